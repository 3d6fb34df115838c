"""One question to a host, from its first try to its answer: when it is tried, and when it is given up.

Knows no thread and waits for nothing: it says what to do next, and is told what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
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


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Try:
    """Send the request, whose turn it is."""


@dataclass(frozen=True, slots=True)
class Tried(Generic[T]):
    """What came of a try, and how long it took; `is_stopping`: nobody waits for another."""

    answer: T | Failure
    seconds: float
    is_stopping: bool = False


Course = Generator[Pause | Try, Tried[T] | None, T]


def question(
    host: HostRequests,
    path: str,
    where: str,
    policy: RestPolicy,
    *,
    now: Callable[[], datetime],
    random: Callable[[], float],
) -> Course[T]:
    """Ask it: send None after a `Pause`, and a `Tried` after a `Try`; it returns the answer.

    RestError, beginning with `where`, where none comes, and RestStopped where nobody waits any more. Close it where it
    is left in its midst. `now` is this computer's time, `random` is for the pauses between tries.
    """
    endpoint = host.endpoint(path)
    if pause := endpoint.begin():
        reason = endpoint.problem or "It has failed again and again."
        raise RestError(
            f"{where} was not asked. {again_at(now(), pause)} Its last requests failed: {reason}",
            retry_after=pause,
        )
    tries: Generator[Pause | Try, Tried[T] | None, T | Failure] = _tries(
        host.limiter, endpoint, where, policy, now=now, random=random
    )
    try:
        answer = yield from tries
    except BaseException:  # it was left, or not asked
        endpoint.abandoned()
        raise
    if isinstance(answer, Failure):
        endpoint.failed(answer.kind, str(answer.error), policy.breaker_pause_seconds)
        raise answer.error from answer.cause
    endpoint.answered()
    return answer


def _tries(
    limiter: RequestLimiter,
    endpoint: Endpoint,
    where: str,
    policy: RestPolicy,
    *,
    now: Callable[[], datetime],
    random: Callable[[], float],
) -> Generator[Pause | Try, Tried[T] | None, T | Failure]:
    """The answer, or why the last try brought none."""
    tries = 0
    while True:
        tries += 1
        yield from _turn(limiter, where, policy, now)
        tried = yield Try()
        if tried is None:
            raise TypeError("what came of the try is to be told")
        answer = tried.answer
        if not isinstance(answer, Failure):
            endpoint.tried(tried.seconds, None)
            return answer
        limiter.hold(answer.pause or 0)
        if tried.is_stopping:
            raise RestStopped from answer.cause
        endpoint.tried(tried.seconds, answer.kind)
        may_pass = answer.passing and (answer.pause or 0) <= policy.requested_pause_cap_seconds
        if tries >= policy.attempts or endpoint.is_probed or not may_pass:
            return answer
        if answer.pause is None:
            yield Pause(_backoff_seconds(policy, tries, random))


def _turn(
    limiter: RequestLimiter, where: str, policy: RestPolicy, now: Callable[[], datetime]
) -> Generator[Pause, object, None]:
    yield Pause(0)  # whoever was stopped asks for no turn
    while pause := limiter.take():
        held = limiter.held()
        if held > policy.requested_pause_cap_seconds:
            raise RestError(
                f"{where} was not asked, because it wants a pause. {again_at(now(), held)}",
                retry_after=held,
            )
        yield Pause(pause)


def _backoff_seconds(policy: RestPolicy, attempt: int, random: Callable[[], float]) -> float:
    return compute_backoff_seconds(
        attempt,
        base_seconds=policy.backoff_base_seconds,
        cap_seconds=policy.backoff_cap_seconds,
        random=random,
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
