"""Ask a host a question: at its pace, again where that may help, and not at all while it fails again and again.

What is sent and how it is read is the caller's; how often, how soon and whether at all is decided here for every host.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from options_helper.data.rest.endpoints import Endpoint
from options_helper.data.rest.rate_limit import HostRequests, RequestLimiter, RestPolicy
from options_helper.errors import RestError, RestStopped
from options_helper.model.backoff import compute_backoff_seconds
from options_helper.model.providers import FailureKind

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a try brought nothing, and whether another may."""

    error: RestError
    kind: FailureKind
    passing: bool = False
    pause: float | None = None  # seconds, as the server asked; None: it did not
    cause: Exception | None = (
        None  # which the error is told to come from; None: from nothing that may be shown
    )


class Retrying(Generic[T]):
    """Asks for answers of type T; callable from several threads.

    Blocks for the policy's attempts, for the pauses between them, and while the host's limiter lets nobody through;
    RestStopped as soon as `stopping` is set. `now` is this computer's time, `elapsed` seconds of a clock that nobody
    sets, and `random` is for the pauses between tries.
    """

    def __init__(
        self,
        policy: RestPolicy,
        stopping: threading.Event,
        *,
        now: Callable[[], datetime],
        elapsed: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._stopping = stopping
        self._now = now
        self._elapsed = elapsed
        self._random = random

    def ask(self, host: HostRequests, path: str, where: str, attempt: Callable[[], T | Failure]) -> T:
        """The answer that `attempt` brings, which is one try; RestError, beginning with `where`, if none does."""
        endpoint = host.endpoint(path)
        self._require_working(endpoint, where)
        answer: T | Failure | None = None
        try:
            answer = self._answer(host.limiter, endpoint, where, attempt)
        finally:
            self._tell(endpoint, answer)
        if isinstance(answer, Failure):
            raise answer.error from answer.cause
        return answer

    def _tell(self, endpoint: Endpoint, answer: T | Failure | None) -> None:
        """How a question ended; None: before it was known."""
        match answer:
            case None:
                endpoint.abandoned()
            case Failure():
                endpoint.failed(answer.kind, str(answer.error), self._policy.breaker_pause_seconds)
            case _:
                endpoint.answered()

    def _require_working(self, endpoint: Endpoint, where: str) -> None:
        """Begin, unless the endpoint has failed too often of late."""
        if pause := endpoint.begin():
            reason = endpoint.problem or "It has failed again and again."
            raise RestError(
                f"{where} was not asked. {again_at(self._now(), pause)} Its last requests failed: {reason}",
                retry_after=pause,
            )

    def _answer(
        self, limiter: RequestLimiter, endpoint: Endpoint, where: str, attempt: Callable[[], T | Failure]
    ) -> T | Failure:
        """The answer, or why the last try brought none; RestStopped, and RestError where it was not asked."""
        tries = 0
        while True:
            tries += 1
            self._await_turn(limiter, where)
            began = self._elapsed()
            answer = attempt()
            took = self._elapsed() - began
            if not isinstance(answer, Failure):
                endpoint.tried(took, None)
                return answer
            limiter.hold(answer.pause or 0)
            if self._stopping.is_set():
                raise RestStopped from answer.cause
            endpoint.tried(took, answer.kind)
            if tries >= self._policy.attempts or endpoint.is_probed or not self._may_pass(answer):
                return answer
            if answer.pause is None:
                self._wait(self._backoff_seconds(tries))

    def _await_turn(self, limiter: RequestLimiter, where: str) -> None:
        self._wait(0)
        while pause := limiter.take():
            held = limiter.held()
            if held > self._policy.requested_pause_cap_seconds:
                raise RestError(
                    f"{where} was not asked, because it wants a pause. {again_at(self._now(), held)}",
                    retry_after=held,
                )
            self._wait(pause)

    def _wait(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise RestStopped

    def _may_pass(self, failure: Failure) -> bool:
        return failure.passing and (failure.pause or 0) <= self._policy.requested_pause_cap_seconds

    def _backoff_seconds(self, attempt: int) -> float:
        return compute_backoff_seconds(
            attempt,
            base_seconds=self._policy.backoff_base_seconds,
            cap_seconds=self._policy.backoff_cap_seconds,
            random=self._random,
        )


def again_at(now: datetime, seconds: float) -> str:
    """When a host may be asked again, as a sentence."""
    return f"It may be asked again at {now + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S} UTC."


def kind_of(status: int) -> FailureKind:
    """What an HTTP status that is no answer counts as."""
    match status:
        case 401 | 403:
            return FailureKind.REFUSED
        case 408:
            return FailureKind.TIMEOUT
        case 429:
            return FailureKind.TOO_MANY
        case _:
            return FailureKind.SERVER if status >= 500 else FailureKind.QUESTION
