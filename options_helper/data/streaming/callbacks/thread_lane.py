"""Calls plain functions on a thread, many of them for each look at the lock."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Coroutine
from itertools import islice
from typing import Any, Final, NamedTuple

from options_helper.data.streaming.callbacks.batch import Batch
from options_helper.data.streaming.callbacks.delivery import Delivery, Failure
from options_helper.data.streaming.callbacks.lanes import (
    STUCK_LOOKS,
    STUCK_SECONDS,
    Lane,
    Shared,
    log_failure,
)

# The thread looks for what came meanwhile after so many calls, and after so long.
CALLS_AT_ONCE: Final = 100
TURN_SECONDS: Final = 0.001
# A call that has lasted so long when somebody waits too long gets the thread for itself.
SLOW_CALL_SECONDS: Final = 0.001


class _Wait(NamedTuple):
    """Since when, and at how many looks, a callback has waited for its turn; its turns so far."""

    turns: int
    since: float
    looks: int


class ThreadLane(Lane):
    """Calls plain functions, one after another, on a thread of its own that begins with the first call.

    `await_elsewhere` is given, under the lock, a callback whose function returned something to be awaited.
    """

    def __init__(self, shared: Shared, await_elsewhere: Callable[[Delivery], None]) -> None:
        super().__init__(shared)
        self._await_elsewhere = await_elsewhere
        self._arrived = threading.Condition(shared.lock)
        self._thread: threading.Thread | None = None
        self._batch: Batch | None = None
        self._to_log: list[tuple[Delivery, Failure]] = []
        self._waits: dict[Delivery, _Wait] = {}

    def _put_first(self, delivery: Delivery) -> None:
        self.take_back()  # before what the thread has taken already, too
        super()._put_first(delivery)

    def wake(self) -> bool:
        """Begin the thread, or let it go on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="live-callbacks", daemon=True)
            self._thread.start()
        elif self._batch is None:
            self._arrived.notify()
        return True

    def end(self) -> None:
        """Let the thread end after the call under way."""
        self._is_ending = True
        self._arrived.notify()

    def join(self, seconds: float) -> None:
        """Wait for the thread."""
        if self._thread is not None and not self.is_here:
            self._thread.join(max(0.0, seconds))

    def sibling(self) -> ThreadLane:
        """Another thread."""
        return ThreadLane(self._shared, self._await_elsewhere)

    @property
    def is_here(self) -> bool:
        """Whether this is its thread."""
        return self._thread is threading.current_thread()

    def is_calling(self, delivery: Delivery) -> bool:
        """Whether this is its thread, in that call."""
        return self.is_here and self._batch is not None and self._batch.under_way is delivery

    @property
    def holds_up(self) -> bool:
        """Also of what the thread has taken."""
        batch = self._batch
        return bool(self.ready) or (batch is not None and batch.is_long)

    def is_stuck(self) -> bool:
        """Whether somebody has waited too long, and a call under way is to blame.

        Not how long that call lasts: many that are just short enough hold up the others as well.
        """
        now, batch = self._shared.monotonic(), self._batch
        if batch is None:
            self._waits = {}
            return False
        self.catch_up(now)
        caller = batch.under_way
        before, self._waits = self._waits, {}
        for one in (*batch.to_come, *self.ready):
            if one is not caller:
                wait = before.get(one)
                if wait is None or wait.turns != one.turns:
                    wait = _Wait(one.turns, now, -1)
                self._waits[one] = wait._replace(looks=wait.looks + 1)
        lasts = now - batch.ends[-1]
        return (
            caller is not None
            and lasts >= SLOW_CALL_SECONDS
            and any(map(self._is_long, self._waits.values()))
        )

    def _is_long(self, wait: _Wait) -> bool:
        return wait.looks >= STUCK_LOOKS and self._shared.monotonic() - wait.since >= STUCK_SECONDS

    def catch_up(self, now: float) -> None:
        """Count what the thread has called so far."""
        if self._batch is not None:
            self._to_log += self._batch.settle(now)

    def take_back(self) -> None:
        """Begin nothing more of what the thread has taken: it waits again, before what came later."""
        batch = self._batch
        if batch is None:
            return
        back = batch.take_back()
        self.catch_up(self._shared.monotonic())
        for owner, values in back.items():
            owner.take_back(values)
        called = batch.has_called
        for owner in called:
            if owner.waiting and owner.lane is self:
                # It had its turn: those that waited meanwhile go first.
                self.ready[owner] = None
                self.ready.move_to_end(owner, last=not owner.goes_first)
        for owner in reversed(back):
            if owner not in called and owner.lane is self and owner.waiting:
                self.ready[owner] = None
                self.ready.move_to_end(owner, last=False)

    def abandon(self, now: float) -> None:
        """Wait no longer for the call under way, which counts as given up; what is not begun was taken back."""
        batch = self._batch
        if batch is not None:
            self.catch_up(now)
            if (owner := batch.under_way) is not None:
                owner.abandon_lent()
                batch.is_abandoned = True

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            self._call(batch)

    def _call(self, batch: Batch) -> None:
        # The hot path: no lock, and one look at the clock for each call.
        monotonic, ends = self._shared.monotonic, batch.ends
        until = ends[0] + TURN_SECONDS
        for callback, value in batch.calls:
            try:
                outcome = callback(value)
            except BaseException as error:  # noqa: BLE001 - of code that is not ours, SystemExit too; it is counted
                batch.failures[batch.over] = Failure.of(error)
            else:
                if outcome is not None and inspect.isawaitable(outcome):
                    self._await_outcome(batch, value, outcome)
                    return
            now = monotonic()
            ends.append(now)
            if now > until:
                return

    def _await_outcome(self, batch: Batch, value: Any, outcome: object) -> None:
        """Let a loop await what a call returned."""
        with self._shared.lock:
            self.take_back()
            if not batch.is_abandoned:
                self._await_elsewhere(batch.hand_over(value, outcome))
                return
        # Counted when it was abandoned. Nobody awaits it, and another call of this callback may be under way.
        if isinstance(outcome, Coroutine):
            outcome.close()

    def _next_batch(self) -> Batch | None:
        """Count what was called, and take what is to be called next; None at the end."""
        while True:
            with self._shared.lock:
                self._conclude()
                if not self._to_log:
                    return self._wait_for_batch()
                to_log, self._to_log = self._to_log, []
            for delivery, failure in to_log:
                log_failure(delivery, failure)

    def _conclude(self) -> None:
        batch = self._batch
        if batch is None:
            return
        self.take_back()
        self._batch = None
        for owner in batch.has_called:
            if owner.lane is not self:
                self._hand_on(owner)
        self._say_settled()

    def _wait_for_batch(self) -> Batch | None:
        while not self._is_ending:
            if parts := self._take_turns():
                self._batch = Batch(parts, self._shared.monotonic())
                return self._batch
            self._arrived.wait()
        return None

    def _take_turns(self) -> list[tuple[Delivery, list[Any]]]:
        """What is called next: of all that are ready some, or all of those that go first."""
        chosen = list(islice(self.ready, CALLS_AT_ONCE))
        if chosen and chosen[0].goes_first:
            chosen = [one for one in chosen if one.goes_first]
        parts: list[tuple[Delivery, list[Any]]] = []
        for one in chosen:
            del self.ready[one]
            if one.lane is self and one.waiting and not one.is_busy:
                parts.append((one, one.lend(self, max(1, CALLS_AT_ONCE // len(chosen)))))
        return parts
