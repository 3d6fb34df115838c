"""Send each message to each of its targets on a thread of that target's own, again and again until it is settled.

A target that is mute, slow or refuses holds up nothing but itself, and not even a stop: whoever is at work there then
is left behind, and what it was at counts as unanswered.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Final

from options_helper.clock import elapsed_seconds, utc_now
from options_helper.data.notify.messages import Attempt, Message, Outcome
from options_helper.data.notify.sending import Sent, send
from options_helper.data.notify.target_queue import USUAL, WAITING_AT_MOST, Job, Pacing, TargetQueue, as_of
from options_helper.data.notify.targets import Target

log = logging.getLogger(__name__)

STOP_SECONDS: Final = 1.0
# Of that, what an answer takes to be written down.
_TO_WRITE_SECONDS: Final = 0.2
Before = Callable[[Message, str, int], bool]


class Delivery:
    """Takes messages from any thread and never waits for a target.

    `before` is called on a target's thread right before each try, with message, target and number, and answers whether
    it may be sent at all; `tell` gets what became of each. Neither may take long, and both are called for one target
    at a time.
    """

    def __init__(
        self,
        targets: Iterable[Target],
        *,
        before: Before,
        tell: Callable[[Attempt], None],
        send: Callable[[Target, Message], Sent] = send,
        now: Callable[[], datetime] = utc_now,
        elapsed: Callable[[], float] = elapsed_seconds,
        pacing: Pacing = USUAL,
    ) -> None:
        self._tell, self._now = tell, now
        self._lanes: Mapping[str, _Lane] = {
            target.name: _Lane(
                target, before=before, tell=tell, send=send, now=now, elapsed=elapsed, pacing=pacing
            )
            for target in targets
        }

    def offer(self, message: Message, targets: Iterable[str]) -> None:
        """Send it to each of these; a target that is not known, or has too much to do, is told of at once."""
        for name in dict.fromkeys(targets):
            lane = self._lanes.get(name)
            if lane is None:
                why = "no target has this name"
            elif lane.put(message):
                continue
            else:
                why = f"{WAITING_AT_MOST} messages wait for this target already"
            self._tell(Attempt(message.key, name, Outcome.GAVE_UP, self._now(), why=why))

    @property
    def waiting(self) -> int:
        """How many tries are under way or due some time, over all targets."""
        return sum(lane.waiting for lane in self._lanes.values())

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Begin no more tries, and wait at most so many seconds in all; harmless when repeated.

        What waits is told of to nobody: whoever keeps the books has not heard of its end.
        """
        deadline = time.monotonic() + timeout
        for lane in self._lanes.values():
            lane.request_stop(deadline - _TO_WRITE_SECONDS)
        for lane in self._lanes.values():
            lane.join(max(0.0, deadline - time.monotonic()))


class _Lane:
    """The messages of one target, and the thread that tries them, soonest due first."""

    def __init__(
        self,
        target: Target,
        *,
        before: Before,
        tell: Callable[[Attempt], None],
        send: Callable[[Target, Message], Sent],
        now: Callable[[], datetime],
        elapsed: Callable[[], float],
        pacing: Pacing,
    ) -> None:
        self._target, self._before, self._tell, self._send = target, before, tell, send
        self._now, self._elapsed, self._pacing = now, elapsed, pacing
        self._changed = threading.Condition()
        # Guarded by the condition.
        self._queue = TargetQueue(target.name, pacing)
        self._is_trying = False
        self._is_stopping = False
        self._stop_by = 0.0
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        with self._changed:
            return len(self._queue) + self._is_trying

    def put(self, message: Message) -> bool:
        """Whether there was room for it; after a stop it is taken and lies."""
        with self._changed:
            if not self._queue.put(message, self._elapsed(), self._now()):
                return False
            self._changed.notify_all()
            if self._thread is None and not self._is_stopping:
                self._thread = threading.Thread(
                    target=self._run, name=f"live-notify-{self._target.name}", daemon=True
                )
                self._thread.start()
        return True

    def request_stop(self, by: float) -> None:
        """Begin no more tries; an answer that comes until then, on time.monotonic, is still taken."""
        with self._changed:
            self._is_stopping, self._stop_by = True, by
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._try(job)
            except Exception:
                # A thread's last line: what the books refuse must not cost the messages that follow.
                log.exception("a message to %s was cut short", self._target)
            with self._changed:
                self._is_trying = False

    def _next(self) -> Job | None:
        with self._changed:
            while not self._is_stopping:
                pause = self._queue.due_in(self._elapsed())
                if pause is not None and pause <= 0:
                    self._is_trying = True
                    return self._queue.take()
                self._changed.wait(pause)
        return None

    def _try(self, job: Job) -> None:
        if not self._before(job.message, self._target.name, job.number):
            return
        sent = self._send_within(as_of(job, self._elapsed()))
        if sent is None:
            return  # stopped in the midst of it
        with self._changed:
            attempt = self._queue.ended(
                job, sent, now=self._elapsed(), wall=self._now(), random=random.random
            )
        self._tell(attempt)

    def _send_within(self, message: Message) -> Sent | None:
        """Try on one more thread, which is left behind where it takes too long; None when a stop came meanwhile."""
        answers: list[Sent] = []
        thread = threading.Thread(
            target=partial(self._send_once, message, answers),
            name=f"live-notify-{self._target.name}-try",
            daemon=True,
        )
        thread.start()
        deadline = time.monotonic() + self._pacing.longest_try_seconds
        with self._changed:
            while not answers:
                until = min(deadline, self._stop_by) if self._is_stopping else deadline
                if (left := until - time.monotonic()) <= 0:
                    return None if self._is_stopping else Sent(Outcome.UNANSWERED, "it came to no end")
                self._changed.wait(left)
        return answers[0]

    def _send_once(self, message: Message, answers: list[Sent]) -> None:
        sent = self._send(self._target, message)
        with self._changed:
            answers.append(sent)
            self._changed.notify_all()
