"""What one target is still to be sent: what is tried when, when again, and when it is given up.

Knows no thread and no clock: whoever carries it out says what time it is, and how each try ended.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from options_helper.data.notify.messages import LATE_SECONDS, Attempt, Message, Outcome
from options_helper.data.notify.sending import Sent
from options_helper.model.backoff import compute_backoff_seconds

WAITING_AT_MOST: Final = 100  # messages for one target
PAUSE_SECONDS: Final = 2.0
LONGEST_PAUSE_SECONDS: Final = 120.0
# An alert that is older would mislead more than it helps.
GIVE_UP_SECONDS: Final = 1_800.0
# A server that drips its answer byte by byte is left to itself by then.
LONGEST_TRY_SECONDS: Final = 30.0
# A wrong address is tried once more, in case that it was the server that was wrong.
_TRIES_IF_FINAL: Final = 2
_TRIES_IF_UNANSWERED: Final = 2


@dataclass(frozen=True, slots=True)
class Pacing:
    """How long to try."""

    pause_seconds: float = PAUSE_SECONDS
    longest_pause_seconds: float = LONGEST_PAUSE_SECONDS
    give_up_seconds: float = GIVE_UP_SECONDS
    longest_try_seconds: float = LONGEST_TRY_SECONDS


USUAL: Final = Pacing()


@dataclass(frozen=True, slots=True)
class Job:
    """One message, and what has been tried with it."""

    message: Message
    since: float  # when it was put here
    age: float = 0.0  # of its news then, in seconds
    number: int = 1
    unanswered: int = 0
    final: int = 0

    def age_at(self, now: float) -> float:
        """Seconds since it fired; what the clock was set by since it was put here is not among them."""
        return self.age + now - self.since


class TargetQueue:
    """The messages of one target, soonest due first.

    `now` is everywhere in seconds that nobody sets and that go on while the computer sleeps, `wall` the clock's.
    """

    def __init__(self, target: str, pacing: Pacing = USUAL) -> None:
        self._target, self._pacing = target, pacing
        self._due: list[tuple[float, int, Job]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._due)

    def put(self, message: Message, now: float, wall: datetime) -> bool:
        """Whether there is room for it."""
        if len(self._due) >= WAITING_AT_MOST:
            return False
        self._push(Job(message, now, message.age_seconds(wall)), now)
        return True

    def due_in(self, now: float) -> float | None:
        """Seconds until something is tried, 0 or fewer where it is now; None: nothing waits."""
        return self._due[0][0] - now if self._due else None

    def take(self) -> Job:
        """What is due first, out of the queue; `ended` puts it back where it is to be tried again."""
        return heapq.heappop(self._due)[2]

    def ended(
        self, job: Job, sent: Sent, *, now: float, wall: datetime, random: Callable[[], float]
    ) -> Attempt:
        """What is told of a try that ended so."""
        job = replace(
            job,
            final=job.final + sent.is_final,
            unanswered=job.unanswered + (sent.outcome is Outcome.UNANSWERED),
        )
        pause = compute_backoff_seconds(
            job.number,
            base_seconds=self._pacing.pause_seconds,
            cap_seconds=self._pacing.longest_pause_seconds,
            random=random,
        )
        outcome = sent.outcome
        if outcome is not Outcome.DELIVERED and self._is_over(job, now, now + pause):
            outcome = Outcome.GAVE_UP
        if outcome in (Outcome.FAILED, Outcome.UNANSWERED):
            message = replace(job.message, may_have_come=job.message.may_have_come or job.unanswered > 0)
            self._push(replace(job, message=message, number=job.number + 1), now + pause)
        return Attempt(job.message.key, self._target, outcome, wall, job.number, sent.why)

    def _push(self, job: Job, at: float) -> None:
        heapq.heappush(self._due, (at, next(self._order), job))

    def _is_over(self, job: Job, now: float, again_at: float) -> bool:
        return (
            job.final >= _TRIES_IF_FINAL
            or job.unanswered >= _TRIES_IF_UNANSWERED
            or again_at - job.since >= self._pacing.give_up_seconds
            # What was tried by a program before this one began to be tried then; here it had its one try more.
            or job.age_at(now) >= self._pacing.give_up_seconds
        )


def as_of(job: Job, now: float) -> Message:
    """The message as it is sent at that time: what is late says so."""
    return replace(job.message, is_late=job.age_at(now) >= LATE_SECONDS)
