"""Where callbacks run: plain functions on a thread, coroutine functions on an event loop.

Of one callback a lane calls in the order in which things were offered. On a thread the callbacks take turns; on an
event loop they overlap. Whoever owns the lanes shares one lock with them; nothing of a user's runs under it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

from options_helper.data.streaming.callbacks.delivery import Call, Delivery, in_words

log = logging.getLogger(__name__)

# A lane that is busy with the same thing at so many looks, over so long, is stuck in it. Looks as well as seconds:
# where the whole process stood still, it was nobody's fault.
STUCK_LOOKS: Final = 3
STUCK_SECONDS: Final = 0.05
# Others of the same loop may hold what belongs to it, so they are moved to another one only when they must be.
LOOP_STUCK_SECONDS: Final = 1.0
# After so many calls of one callback an event loop turns to the others.
CALLS_IN_A_ROW: Final = 32
# What a callback started on its loop has this long to end with it, in seconds.
TASK_SECONDS: Final = 0.1


@dataclass(slots=True)
class Shared:
    """What the lanes of one owner share: one lock, which guards all of their state, and what it is good for."""

    monotonic: Callable[[], float] = time.monotonic
    lock: threading.Lock = field(default_factory=threading.Lock)
    # Notified when a call is over while somebody waits for it.
    settled: threading.Condition = field(init=False)
    is_awaited: bool = False

    def __post_init__(self) -> None:
        self.settled = threading.Condition(self.lock)


@dataclass(frozen=True, slots=True)
class Failure:
    """What a callback raised, and its text, made where no lock is held."""

    error: BaseException
    text: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Of this error; it may take as long as the user's code takes."""
        return cls(error, in_words(error))


# A call that is over, and how it failed.
Over = tuple[Delivery, Call, Failure | None]


class Lane(ABC):
    """Calls what is ready. Every method is called under the lock, but for `join`, which waits."""

    stuck_seconds = STUCK_SECONDS

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        # Whose turn it is: each callback for which something waits stands here once, behind those that waited before.
        self.ready: OrderedDict[Delivery, None] = OrderedDict()
        # Taken from there, and not begun yet.
        self.unbegun: set[Delivery] = set()
        self._is_ending = False
        self._stuck_in: object = None
        self._stuck_since = 0.0
        self._stuck_looks = 0

    def queue(self, delivery: Delivery) -> None:
        """Something waits for it: it has a turn, if it has none yet. One that hears of gaps goes before all others."""
        self.ready[delivery] = None
        if delivery.goes_first:
            self.ready.move_to_end(delivery, last=False)

    def drop(self, delivery: Delivery) -> None:
        """It has no turn any more."""
        self.ready.pop(delivery, None)

    @abstractmethod
    def wake(self) -> bool:
        """Something is ready; False where the lane is gone, and nothing will be called."""

    @abstractmethod
    def end(self) -> None:
        """Begin no more calls."""

    @abstractmethod
    def join(self, seconds: float) -> None:
        """Wait so long for the thread, if it is the lane's own and not this one."""

    @abstractmethod
    def sibling(self) -> Lane:
        """A new one of its kind, for those that a stuck one must not hold up."""

    @property
    @abstractmethod
    def is_here(self) -> bool:
        """Whether this is the thread on which it calls."""

    @abstractmethod
    def is_calling(self, delivery: Delivery) -> bool:
        """Whether it is this callback that is asking."""

    @property
    @abstractmethod
    def busy_with(self) -> object:
        """What it has been doing without a pause; None while it is idle."""

    @property
    def holds_up(self) -> bool:
        """Whether something waits to be begun, so that it is worth asking whether the lane is stuck."""
        return bool(self.ready or self.unbegun)

    def is_stuck(self) -> bool:
        """Whether one call holds up others that are ready; to be asked again and again."""
        now, busy_with = self._shared.monotonic(), self.busy_with if self.holds_up else None
        if busy_with is None or busy_with is not self._stuck_in:
            self._stuck_in, self._stuck_since, self._stuck_looks = busy_with, now, 0
            return False
        self._stuck_looks += 1
        return self._stuck_looks >= STUCK_LOOKS and now - self._stuck_since >= self.stuck_seconds

    def _settle(self, over: Over, now: float) -> bool:
        """Under the lock: note what became of a call; whether its failure is for the log."""
        delivery, call, failure = over
        is_first = delivery.end(call, now, None if failure is None else failure.text)
        if delivery.lane is not self:
            self._hand_on(delivery)
        if self._shared.is_awaited:
            self._shared.settled.notify_all()
        return is_first

    def _hand_on(self, delivery: Delivery) -> None:
        """It was moved while this lane was with its call: what waits is for the other one now."""
        if delivery.lane is not None and delivery.waiting:
            delivery.lane.queue(delivery)
            delivery.lane.wake()


def _log_failure(over: Over) -> None:
    delivery, _, failure = over
    log.error(
        "the callback %s failed; it is logged once, and counted",
        delivery,
        exc_info=failure.error if failure else None,
    )


class ThreadLane(Lane):
    """Calls plain functions, one after another, on a thread of its own that begins with the first call.

    `await_elsewhere` is given, under the lock, a callback whose function returned something to be awaited.
    """

    def __init__(self, shared: Shared, await_elsewhere: Callable[[Delivery], None]) -> None:
        super().__init__(shared)
        self._await_elsewhere = await_elsewhere
        self._arrived = threading.Condition(shared.lock)
        self._thread: threading.Thread | None = None
        self._call: Call | None = None

    def wake(self) -> bool:
        """Begin the thread, or let it go on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="live-callbacks", daemon=True)
            self._thread.start()
        else:
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
        return self.is_here and delivery.call is self._call

    @property
    def busy_with(self) -> object:
        """The call under way."""
        return self._call

    def _run(self) -> None:
        over: Over | None = None
        while (begun := self._next_call(over)) is not None:
            delivery, call = begun
            try:
                outcome = delivery.callback(call.value)
                over = (delivery, call, None) if outcome is None else self._look_at(outcome, delivery, call)
            except BaseException as error:  # noqa: BLE001 - of code that is not ours, SystemExit too; it is counted
                over = delivery, call, Failure.of(error)

    def _next_call(self, over: Over | None) -> tuple[Delivery, Call] | None:
        """Note what became of the last call, and begin the next one; None at the end."""
        # The hot path: one look at the lock and one at the clock for each call.
        with self._shared.lock:
            now = self._shared.monotonic()
            if over is None or not self._settle(over, now):
                return self._wait_for_call(now)
            self._call = None
        _log_failure(over)
        return self._next_call(None)

    def _settle(self, over: Over, now: float) -> bool:
        delivery = over[0]
        self.drop(delivery)  # those that waited meanwhile go first
        if delivery.waiting and delivery.lane is self:
            self.queue(delivery)
        return super()._settle(over, now)

    def _wait_for_call(self, now: float) -> tuple[Delivery, Call] | None:
        while not self._is_ending:
            while self.ready:
                delivery, _ = self.ready.popitem(last=False)
                if delivery.lane is self and (call := delivery.begin(now)) is not None:
                    self._call = call
                    return delivery, call
            self._call = None
            self._arrived.wait()
            now = self._shared.monotonic()
        return None

    def _look_at(self, outcome: object, delivery: Delivery, call: Call) -> Over | None:
        """What became of a call that returned something; None where that is for a loop to await."""
        if not inspect.isawaitable(outcome):
            return delivery, call, None
        with self._shared.lock:
            if delivery.call is call:
                delivery.outcome = outcome
                self._await_elsewhere(delivery)
                return None
        # Abandoned, and counted then. Nobody awaits it, and another call of this callback may be under way.
        if isinstance(outcome, Coroutine):
            outcome.close()
        return delivery, call, None


class LoopLane(Lane):
    """Calls on an event loop, and awaits what is to be awaited.

    The loop is its own, on a thread of its own, or one that is given, which goes on without this. `let_go` is told,
    under the lock, that a callback has left which was removed before.
    """

    stuck_seconds = LOOP_STUCK_SECONDS

    def __init__(
        self, shared: Shared, let_go: Callable[[Lane], None], loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        super().__init__(shared)
        self._let_go = let_go
        self._loop = loop
        self._owns_loop = loop is None
        self._thread: threading.Thread | None = None
        self._thread_id: int | None = None
        # What was asked of the loop and has not begun there.
        self._asked: object = None
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

    @property
    def busy_with(self) -> object:
        """What the loop was asked for and has not come to."""
        if self.unbegun:
            self.wake()  # a question of which it is seen whether it comes to it
        # Whose loop it is holds up himself only.
        return self._asked if self._owns_loop else None

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
        _log_failure(over)
        return self._next_call(delivery, None)

    def _begin(self, delivery: Delivery) -> tuple[Call | None, object]:
        self.unbegun.discard(delivery)
        if delivery.lane is not self or self._is_ending:
            return None, None
        if delivery.outcome is None:
            return delivery.begin(self._shared.monotonic()), None
        outcome, delivery.outcome = delivery.outcome, None
        return delivery.call, outcome

    def _note(self, over: Over) -> None:
        with self._shared.lock:
            is_first = self._settle(over, self._shared.monotonic())
        if is_first:
            _log_failure(over)

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
                if delivery.is_removed:
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
