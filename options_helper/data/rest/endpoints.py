"""What each family of endpoints of one host was asked and answered, and whether it is asked at all; for any thread."""

from __future__ import annotations

import re
import threading
from collections import Counter, deque
from collections.abc import Callable
from math import ceil
from typing import Final

from options_helper.data.rest.breaker import CLOSED
from options_helper.model.providers import FAULTS, BreakerState, EndpointReport, FailureKind

# So many newest answers make the percentiles.
LATENCIES: Final = 200
# What is behind the third part of an address is a detail of the same service; symbols are capitals and digits.
_PARTS: Final = 3
_is_word: Final = re.compile(r"[a-z][a-z0-9-]*").fullmatch


def family_of(path: str) -> str:
    """The endpoint without the symbols in it: /v2/options/contracts of /v2/options/contracts/AAPL260320C00180000."""
    words = [part for part in path.split("/") if _is_word(part)]
    return "/" + "/".join(words[:_PARTS])


class Endpoint:
    """One family: its breaker, its counts and the time its answers took."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        # Guarded by self._lock: written by the threads that ask, read by whoever reports.
        self._lock = threading.Lock()
        self._breaker = CLOSED
        self._successes = 0
        self._failures: Counter[FailureKind] = Counter()
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._failing = 0
        self._failing_as: FailureKind | None = None
        self._problem: str | None = None
        self._cause: str | None = None

    def begin(self) -> float:
        """Begin a question and return 0, or return the seconds for which none may be asked.

        What was begun is ended by `answered`, `failed` or `abandoned`, on the same thread.
        """
        with self._lock:
            now = self._now()
            if wait := self._breaker.wait(now):
                return wait
            self._breaker = self._breaker.admitted(now, by=threading.get_ident())
            return 0.0

    @property
    def is_probed(self) -> bool:
        """Whether one request finds out whether it works again, which is not tried twice."""
        with self._lock:
            return self._breaker.is_probed

    @property
    def problem(self) -> str | None:
        """What the newest failure said; None where there is none since the last answer."""
        with self._lock:
            return self._problem

    @property
    def cause(self) -> str | None:
        """The same without which question it was."""
        with self._lock:
            return self._cause

    def tried(self, seconds: float, failure: FailureKind | None) -> None:
        """Count one request of a question, which took so long; `failure` is what was wrong with what came."""
        with self._lock:
            if failure is None:
                self._successes += 1
            else:
                self._failures[failure] += 1
            if failure not in (FailureKind.NETWORK, FailureKind.TIMEOUT, FailureKind.OTHER):
                self._latencies.append(round(seconds, 6))

    def answered(self) -> None:
        """The question has its answer."""
        with self._lock:
            self._breaker = CLOSED
            self._failing, self._failing_as, self._problem, self._cause = 0, None, None, None

    def failed(self, kind: FailureKind, problem: str, pause: float, *, cause: str | None = None) -> None:
        """All tries of a question failed, the last one so; `pause` is a breaker's first, `cause` a RestError's."""
        with self._lock:
            if kind in FAULTS:
                self._breaker = self._breaker.failed(self._now(), pause, by=threading.get_ident())
            elif kind is FailureKind.OTHER:
                self._breaker = self._breaker.abandoned(by=threading.get_ident())
            else:
                self._breaker = CLOSED  # it works, and says no
            if kind is not FailureKind.QUESTION:
                # A wrong symbol is nobody's trouble but its own.
                self._failing, self._failing_as = self._failing + 1, kind
                self._problem, self._cause = problem, cause

    def abandoned(self) -> None:
        """The question was ended before it was known."""
        with self._lock:
            self._breaker = self._breaker.abandoned(by=threading.get_ident())

    def report(self) -> EndpointReport:
        """All of it at this instant."""
        with self._lock:
            now, latencies = self._now(), sorted(self._latencies)
            state = self._breaker.state(now)
            return EndpointReport(
                requests=self._successes + self._failures.total(),
                successes=self._successes,
                failures=dict(self._failures),
                latency_last=self._latencies[-1] if latencies else None,
                latency_p50=_percentile(latencies, 0.5),
                latency_p95=_percentile(latencies, 0.95),
                failing=self._failing,
                failing_as=self._failing_as,
                problem=self._problem,
                breaker=state,
                retry_seconds=self._breaker.wait(now) if state is BreakerState.OPEN else None,
            )


def _percentile(ordered: list[float], part: float) -> float | None:
    """The nearest rank; None of nothing."""
    return ordered[ceil(part * len(ordered)) - 1] if ordered else None
