"""Ask a host a question: at its pace, again where that may help, and not at all while it fails again and again.

What is sent and how it is read is the caller's; how often, how soon and whether at all `question` decides for every
host.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Generic, TypeVar

from options_helper.data.rest.question import Addressee, Course, Failure, Pause, Tried, Try, question
from options_helper.data.rest.rate_limit import HostRequests, RestPolicy
from options_helper.errors import RestStopped

T = TypeVar("T")


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

    def ask(self, host: HostRequests, path: str, where: Addressee, attempt: Callable[[], T | Failure]) -> T:
        """The answer that `attempt` brings, which is one try; RestError, beginning with `where`, if none does."""
        course: Course[T] = question(host, path, where, self._policy, now=self._now, random=self._random)
        with closing(course):
            # Only the course says by StopIteration that it is over: one of `attempt`'s is a fault of its own.
            done: Tried[T] | None = None
            while True:
                try:
                    step = course.send(done)
                except StopIteration as end:
                    answer: T = end.value
                    return answer
                done = self._carry_out(step, attempt)

    def _carry_out(self, step: Pause | Try, attempt: Callable[[], T | Failure]) -> Tried[T] | None:
        if isinstance(step, Pause):
            if self._stopping.wait(step.seconds):
                raise RestStopped
            return None
        began = self._elapsed()
        answer = attempt()
        return Tried(answer, self._elapsed() - began, self._stopping.is_set())
