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
from options_helper.model.problems import again_words
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


@dataclass(frozen=True, slots=True)
class Addressee:
    """Who is asked, and what."""

    name: str
    host: str
    asked: str

    @property
    def server(self) -> str:
        """Without what: one server says the same of several questions."""
        return f"{self.name} ({self.host})"

    def __str__(self) -> str:
        return f"{self.name} ({self.host}, {self.asked})"


def question(
    host: HostRequests,
    path: str,
    where: Addressee,
    policy: RestPolicy,
    *,
    now: Callable[[], datetime],
    random: Callable[[], float],
) -> Course[T]:
    """Ask it: send None after a `Pause`, and a `Tried` after a `Try`; it returns the answer.

    RestError, beginning with `where`, where none comes, and RestStopped where nobody waits any more; its `cause` is the
    same for all that the server answers alike. Close it where it is left in its midst. `now` is this computer's time,
    `random` is for the pauses between tries.
    """
    endpoint = host.endpoint(path)
    if pause := endpoint.begin():
        reason = endpoint.problem or "It has failed again and again."
        again_at = now() + timedelta(seconds=pause)
        raise _of(
            where,
            RestError(
                f"{where} was not asked. {again_words(again_at)} Its last requests failed: {reason}",
                retry_after=pause,
                cause=endpoint.cause,
                again_at=again_at,
            ),
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
        error = _of(where, answer.error)
        endpoint.failed(answer.kind, str(error), policy.breaker_pause_seconds, cause=error.cause)
        raise error from answer.cause
    endpoint.answered()
    return answer


def _tries(
    limiter: RequestLimiter,
    endpoint: Endpoint,
    where: Addressee,
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
    limiter: RequestLimiter, where: Addressee, policy: RestPolicy, now: Callable[[], datetime]
) -> Generator[Pause, object, None]:
    yield Pause(0)  # whoever was stopped asks for no turn
    while pause := limiter.take():
        held = limiter.held()
        if held > policy.requested_pause_cap_seconds:
            again_at, said = now() + timedelta(seconds=held), "was not asked, because it wants a pause."
            raise _of(
                where,
                RestError(
                    f"{where} {said} {again_words(again_at)}",
                    retry_after=held,
                    cause=f"{where.server} {said}",
                    again_at=again_at,
                ),
            )
        yield Pause(pause)


def _backoff_seconds(policy: RestPolicy, attempt: int, random: Callable[[], float]) -> float:
    return compute_backoff_seconds(
        attempt,
        base_seconds=policy.backoff_base_seconds,
        cap_seconds=policy.backoff_cap_seconds,
        random=random,
    )


def _of(where: Addressee, error: RestError) -> RestError:
    """The error, whose cause does not say which question it was."""
    error.cause, error.asked = error.cause.replace(str(where), where.server), where.asked
    return error


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
