"""Calls coroutine functions on an event loop, and awaits what is to be awaited."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, cast

from options_helper.data.streaming.callbacks.delivery import Call, Delivery, Failure
from options_helper.data.streaming.callbacks.lanes import STUCK_LOOKS, Lane, Shared, log_failure

log = logging.getLogger(__name__)

# Others of the same loop may hold what belongs to it, so they are moved to another one only when they must be.
LOOP_STUCK_SECONDS: Final = 1.0
# After so many calls of one callback an event loop turns to the others.
CALLS_IN_A_ROW: Final = 32
# What a callback started on its loop has this long to end with it, in seconds.
TASK_SECONDS: Final = 0.1

# A call that is over, and how it failed.
Over = tuple[Delivery, Call, Failure | None]


class LoopLane(Lane):
    """Calls on an event loop, and awaits what is to be awaited.

    The loop is its own, on a thread of its own, or one that is given, which goes on without this. `let_go` is told,
    under the lock, that a callback has left which was removed before, or while nothing is offered.
    """

    def __init__(
        self, shared: Shared, let_go: Callable[[Lane], None], loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        super().__init__(shared)
        self._let_go = let_go
        self._loop = loop
        self._owns_loop = loop is None
        self._thread: threading.Thread | None = None
        self._thread_id: int | None = None
        # What was asked of the loop and has not begun there; and at the last look, and since when.
        self._asked: object = None
        self._stuck_in: object = None
        self._stuck_since = 0.0
        self._stuck_looks = 0
        # Only the loop's thread looks at it.
        self._tasks: dict[asyncio.Task[None], tuple[Delivery, Call | None]] = {}

    def wake(self) -> bool:
        """Ask the loop to serve what is ready; False where it is closed."""
        if self._is_ending or (self._loop is not None and self._loop.is_closed()):
            return False
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._run, args=(self._loop,), name="live-callbacks-loop", daemon=True
            )
            self._thread.start()
        if self._asked is None:
            self._asked = object()
            return self._call_soon(self._loop, self._serve_ready)
        return True

    def _call_soon(self, loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> bool:
        try:
            loop.call_soon_threadsafe(function)
        except RuntimeError:  # closed in this moment
            return False
        return True

    def end(self) -> None:
        """Cancel what was abandoned; an own loop ends with the last call that was not."""
        self._is_ending = True
        if self._loop is not None:
            self._call_soon(self._loop, self._cancel)

    def join(self, seconds: float) -> None:
        """Wait for the thread."""
        if self._thread is not None and not self.is_here:
            self._thread.join(max(0.0, seconds))

    def sibling(self) -> LoopLane:
        """Another loop, on a thread of its own."""
        return LoopLane(self._shared, self._let_go)

    @property
    def is_here(self) -> bool:
        """Whether this is the thread of its loop."""
        return self._thread_id == threading.get_ident()

    def is_calling(self, delivery: Delivery) -> bool:
        """Whether this is the task that serves it."""
        return self.is_here and delivery.task is not None and delivery.task is _current_task()

    def is_stuck(self) -> bool:
        """Whether the loop has not come to what it was asked for."""
        if self.unbegun:
            self.wake()  # a question of which it is seen whether it comes to it
        # Whose loop it is holds up himself only.
        asked = self._asked if self._owns_loop and self.holds_up else None
        now = self._shared.monotonic()
        if asked is None or asked is not self._stuck_in:
            self._stuck_in, self._stuck_since, self._stuck_looks = asked, now, 0
            return False
        self._stuck_looks += 1
        return self._stuck_looks >= STUCK_LOOKS and now - self._stuck_since >= LOOP_STUCK_SECONDS

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while not self._is_ending:
                try:
                    loop.run_forever()
                except BaseException:
                    # SystemExit of a task that a callback started: a thread would obey it without a word.
                    log.exception("something that a callback started raised an error")
            loop.run_until_complete(_end_tasks())
        finally:
            loop.close()

    def _cancel(self) -> None:
        """On the loop's thread: end the calls that were abandoned; the others end by themselves."""
        for task, (delivery, call) in list(self._tasks.items()):
            if call is None or delivery.call is not call:
                del self._tasks[task]
                task.cancel()
        self._stop_when_idle()

    def _stop_when_idle(self) -> None:
        if self._is_ending and self._owns_loop and not self._tasks:
            asyncio.get_running_loop().stop()

    def _serve_ready(self) -> None:
        """On the loop's thread: begin a task for each callback that has something to do and no task yet."""
        self._thread_id = threading.get_ident()
        with self._shared.lock:
            self._asked = None
            waiting = tuple(self.ready)
            self.ready.clear()
            for delivery in waiting:
                if delivery.lane is self and delivery.task is None and not self._is_ending:
                    delivery.task = task = asyncio.get_running_loop().create_task(self._serve(delivery))
                    self._tasks[task] = (delivery, None)
                    self.unbegun.add(delivery)
                    task.add_done_callback(partial(self._leave, delivery))

    async def _serve(self, delivery: Delivery) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        over: Over | None = None
        for _ in range(CALLS_IN_A_ROW):
            call, outcome = self._next_call(delivery, over)
            over = None
            if call is None:
                return
            self._tasks[task] = (delivery, call)
            failure: Failure | None = None
            try:
                if outcome is None:
                    outcome = delivery.callback(call.value)
                if outcome is not None and inspect.isawaitable(outcome):
                    await outcome
            except BaseException as error:  # noqa: BLE001 - of code that is not ours, CancelledError too
                failure = Failure.of(error)
            over = delivery, call, failure
            if task.cancelling():
                break
        if over is not None:
            self._note(over)

    def _next_call(self, delivery: Delivery, over: Over | None) -> tuple[Call | None, object]:
        """The next call, and what its function has returned where it was called already."""
        with self._shared.lock:
            if over is None or not self._settle(over, self._shared.monotonic()):
                return self._begin(delivery)
        log_failure(over[0], over[2])
        return self._next_call(delivery, None)

    def _begin(self, delivery: Delivery) -> tuple[Call | None, object]:
        self.unbegun.discard(delivery)
        if delivery.lane is not self or self._is_ending:
            return None, None
        if delivery.outcome is None:
            return delivery.begin(self._shared.monotonic()), None
        outcome, delivery.outcome = delivery.outcome, None
        return delivery.call, outcome

    def _settle(self, over: Over, now: float) -> bool:
        """Under the lock: note what became of a call; whether its failure is for the log."""
        delivery, call, failure = over
        is_first = delivery.end(call, now, None if failure is None else failure.text)
        self._hand_on(delivery)
        self._say_settled()
        return is_first

    def _note(self, over: Over) -> None:
        with self._shared.lock:
            is_first = self._settle(over, self._shared.monotonic())
        if is_first:
            log_failure(over[0], over[2])

    def _leave(self, delivery: Delivery, task: asyncio.Task[None]) -> None:
        """A task is over, whatever ended it: another one goes on with what still waits."""
        self._tasks.pop(task, None)
        self._stop_when_idle()
        with self._shared.lock:
            if delivery.task is task:
                self.unbegun.discard(delivery)
                delivery.task = None
                # One whose call lasts, since a run began anew in it, is handed on when that is over.
                if delivery.waiting and delivery.lane is self and delivery.call is None:
                    self.queue(delivery)
                    self.wake()
                if delivery.is_removed or not self._shared.is_open:
                    self._let_go(self)


def _current_task() -> object:
    try:
        return asyncio.current_task()
    except RuntimeError:  # there is no loop on this thread
        return None


async def _end_tasks() -> None:
    """End what is left on this thread's loop, and wait a moment for it."""
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest, timeout=TASK_SECONDS)
