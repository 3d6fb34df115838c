"""Registers callbacks, and hands them what the streams bring, beside whoever brings it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Self

from options_helper.data.streaming.callbacks.callables import is_asynchronous, owner_of
from options_helper.data.streaming.callbacks.delivery import (
    QUEUE_SIZE,
    Callback,
    Delivery,
    Symbols,
    spellings_of,
)
from options_helper.data.streaming.callbacks.lanes import Lane, Shared
from options_helper.data.streaming.callbacks.loop_lane import LoopLane
from options_helper.data.streaming.callbacks.pulling import Pull, PullLane
from options_helper.data.streaming.callbacks.registry import KIND_OF_EVENT, Registry, Row
from options_helper.data.streaming.callbacks.thread_lane import ThreadLane
from options_helper.model.callbacks import CallbackKind, CallbackStats, Told, total_of
from options_helper.model.events import Event
from options_helper.model.gaps import Gap
from options_helper.model.snapshot import StreamHealth

# Of these whoever registers is told the present state first.
STATES: Final = frozenset({CallbackKind.HEALTH, CallbackKind.GAP})
# What comes over a stream so often that whoever wants it wants it at once.
_OF_THE_MARKET: Final = frozenset(KIND_OF_EVENT.values()) | {CallbackKind.BOOK}


class CallbackHandle:
    """One registered callback; as a context manager it is registered for the time of the block.

    Every method may be called from any thread, and in the callback itself.
    """

    def __init__(self, owner: Callbacks, delivery: Delivery) -> None:
        self._owner = owner
        self._delivery = delivery

    @property
    def kind(self) -> CallbackKind:
        """What it is told."""
        return self._delivery.kind

    @property
    def symbol(self) -> Symbols:
        """Of which symbol or symbols, as it was registered; None: of every one."""
        return self._delivery.symbol

    @property
    def stats(self) -> CallbackStats:
        """What became of all that it was offered; also after it was removed, and after a stop."""
        return self._owner.stats_of(self._delivery)

    def remove(self) -> None:
        """Call it no more: what waits is given up, a call under way ends by itself. Harmless when repeated."""
        self._owner.remove(self._delivery)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Callbacks:
    """All callbacks of one manager. They outlive its runs; threads and loops for them are there while it is open.

    Plain functions share a thread; one that holds it up gets it for itself, and the others go on on another. Coroutine
    functions of one object share an event loop, the same for as long as one of them is registered; functions without an
    object share one with others of the same code. Every method may be called from any thread, and in a callback.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._shared = Shared(monotonic)
        self._lock = self._shared.lock
        # Everything below is guarded by self._lock. The registry is replaced whole.
        self._registry: Registry[Delivery] = Registry()
        self._rows: dict[type[Any], Row[Delivery]] = {}  # of the registry, by type of event
        self._run: object = None  # whose events are called back with; None: it is closed
        self._newcomers: list[Delivery] = []  # those that wait for a `welcome`
        self._thread = self._new_thread()
        self._loops: dict[object, LoopLane] = {}
        self._lanes: list[Lane] = []
        # Removed, with a call under way; and those whose ledger is closed.
        self._leaving: list[Delivery] = []
        self._left = CallbackStats()

    def add(
        self,
        kind: CallbackKind,
        symbol: Symbols,
        callback: Callback,
        *,
        newest: bool = False,
        queue_size: int = QUEUE_SIZE,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> CallbackHandle:
        """Register a callback; symbols in any spelling, None: every symbol. `loop`: where to call it.

        TypeError where it cannot be called.
        """
        if not callable(callback):
            raise TypeError(
                f"A callback is a function or a coroutine function, and {callback!r} cannot be called."
            )
        delivery = Delivery(kind, symbol, callback, newest=newest, size=queue_size, loop=loop)
        # Asked here, where no lock is held: a callable object may have code of its own for it.
        delivery.is_plain = loop is None and not is_asynchronous(callback)
        delivery.owner = owner_of(callback) if loop is None else id(loop)
        with self._lock:
            self._register(delivery)
        return CallbackHandle(self, delivery)

    def _register(self, delivery: Delivery) -> None:
        self._use(self._registry.with_entry(delivery, delivery.kind, delivery.spellings))
        if delivery.kind in STATES and self._run is not None:
            delivery.is_new = True
            self._newcomers.append(delivery)

    def _use(self, registry: Registry[Delivery]) -> None:
        self._registry = registry
        rows = registry.rows
        self._rows = {event: rows[kind] for event, kind in KIND_OF_EVENT.items() if kind in rows}

    def pull(
        self,
        kind: CallbackKind,
        symbol: Symbols,
        *,
        newest: bool = False,
        queue_size: int = QUEUE_SIZE,
        loop: asyncio.AbstractEventLoop,
    ) -> Pull:
        """Register somebody on this loop who fetches values instead of being called with them."""
        lane = PullLane(self._shared, loop)
        delivery = Delivery(kind, symbol, _call_nobody, newest=newest, size=queue_size, loop=loop)
        with self._lock:
            self._settle_on(lane, delivery)
            self._register(delivery)
        return Pull(lane, delivery, self.remove)

    def remove(self, delivery: Delivery) -> None:
        """Offer it nothing more, and give up what waits for it."""
        with self._lock:
            self._remove(delivery)

    def remove_of(self, symbol: Symbols) -> int:
        """Remove those that were registered for just this, None: for every symbol; how many they were."""
        spellings = spellings_of(symbol)
        with self._lock:
            found = [one for one in self._registry.kinds if one.spellings == spellings]
            for delivery in found:
                self._remove(delivery)
        return len(found)

    def _remove(self, delivery: Delivery) -> None:
        if delivery not in self._registry.kinds:
            return
        self._use(self._registry.without(delivery, delivery.spellings))
        delivery.is_removed = True
        _take_back(delivery)
        delivery.give_up_waiting()
        if delivery.lane is not None:
            delivery.lane.drop(delivery)
        self._leaving.append(delivery)
        self._let_go(delivery.lane)

    def _let_go(self, lane: Lane | None) -> None:
        """End a lane that has nobody left, and is not where the next one comes to."""
        if lane is None or lane is self._thread:
            return
        if self._run is None:  # nothing will come for those that are idle, until they are placed anew
            for one in self._registry.kinds:
                if one.lane is lane and not one.is_busy:
                    one.lane = one.task = None
        if any(one.lane is lane for one in self._registry.kinds):
            return
        if any(one.lane is lane and one.outcome is not None for one in self._leaving):
            return  # a call under way is to be ended there
        lane.end()
        self._lanes = [other for other in self._lanes if other is not lane]
        self._loops = {owner: other for owner, other in self._loops.items() if other is not lane}

    def wants(self, kind: CallbackKind) -> bool:
        """Whether anybody is to be told of this kind."""
        return kind in self._registry.rows

    def wants_of(self, kind: CallbackKind, symbol: str) -> bool:
        """Whether anybody is to be told of this kind of that symbol."""
        return bool(self._registry.find(kind, (symbol,)))

    @property
    def any(self) -> bool:
        """Whether anybody is registered."""
        return bool(self._registry.rows)

    @property
    def wants_market(self) -> bool:
        """Whether anybody waits for what the market sends."""
        return not _OF_THE_MARKET.isdisjoint(self._registry.rows)

    def tell(self, told: Iterable[Told | Sequence[Event]]) -> None:
        """Offer all of this, in order; events of a frame may stand together. Never waits for a callback."""
        with self._lock:
            woken: dict[Lane, None] = {}
            events: list[Event] = []  # of all frames together, which are often of one event each
            for one in told:
                if isinstance(one, Told):
                    self._offer_events(events, woken)
                    events = []
                    self._offer_told(one, woken)
                else:
                    events += one
            self._offer_events(events, woken)
            for lane in woken:
                self._wake(lane)

    @property
    def has_newcomers(self) -> bool:
        """Whether somebody waits for a `welcome`."""
        return bool(self._newcomers)

    def welcome(self, present: Sequence[Told]) -> None:
        """Tell those that are new how things stand, as it was told to the others; never waits for a callback."""
        with self._lock:
            newcomers, self._newcomers = self._newcomers, []
            woken: dict[Lane, None] = {}
            for delivery in newcomers:
                delivery.is_new = False
                wanted = [one for one in present if one.kind is delivery.kind and not delivery.is_removed]
                for told in wanted:
                    if delivery.spellings is None or not delivery.spellings.isdisjoint(told.symbols):
                        self._offer(delivery, told, woken)
            for lane in woken:
                self._wake(lane)

    def _offer_told(self, told: Told, woken: dict[Lane, None]) -> None:
        for delivery in self._registry.find(told.kind, told.symbols):
            if not delivery.is_new:
                self._offer(delivery, told, woken)

    def _offer(self, delivery: Delivery, told: Told, woken: dict[Lane, None]) -> None:
        self._make_room(delivery, 1)
        delivery.offer(_subject_of(told), told.value)
        self._queue(delivery, woken)

    def _offer_events(self, events: Sequence[Event], woken: dict[Lane, None]) -> None:
        # The hot path: nearly always all are of one type, and what is done here is done for each event of the market.
        rows = self._rows
        types = dict.fromkeys(map(type, events))
        for event_type in types:
            row = rows.get(event_type)
            if row is None:
                continue
            of_type = events if len(types) == 1 else [one for one in events if type(one) is event_type]
            for delivery, wanted in row.share_out(of_type):
                self._make_room(delivery, len(wanted))
                delivery.offer_events(wanted)
                self._queue(delivery, woken)

    def _make_room(self, delivery: Delivery, count: int) -> None:
        """What its thread has called, and nobody has counted yet, needs no room."""
        if delivery.lent and delivery.room < count:
            delivery.lender.catch_up(self._shared.monotonic())

    def _queue(self, delivery: Delivery, woken: dict[Lane, None]) -> None:
        if not delivery.waiting:
            return
        if self._run is None:
            delivery.give_up_waiting()
            return
        lane = delivery.lane or self._place(delivery)
        lane.queue(delivery)
        woken[lane] = None

    def _wake(self, lane: Lane) -> None:
        if not lane.wake():
            lane.ready.clear()
            lane.unbegun.clear()
            self._give_up(one for one in self._registry.kinds if one.lane is lane)

    def _give_up(self, deliveries: Iterable[Delivery]) -> None:
        """What waits, and all calls under way but the one that is asking for this."""
        now = self._shared.monotonic()
        for delivery in deliveries:
            _take_back(delivery)
            delivery.give_up_waiting()
            lane = delivery.lender if delivery.lent else delivery.lane
            if lane is not None and lane.is_calling(delivery):
                continue
            if delivery.lent:
                delivery.lender.abandon(now)
            else:
                delivery.abandon(now)

    def _place(self, delivery: Delivery) -> Lane:
        """Where it runs from now on."""
        return self._settle_on(self._thread if delivery.is_plain else self._loop_of(delivery), delivery)

    def _settle_on(self, lane: Lane, delivery: Delivery) -> Lane:
        delivery.lane = lane
        if lane not in self._lanes:
            self._lanes.append(lane)
        return lane

    def _loop_of(self, delivery: Delivery) -> LoopLane:
        owner = delivery.owner
        if owner not in self._loops:
            self._loops[owner] = LoopLane(self._shared, self._let_go, delivery.loop)
        return self._loops[owner]

    def _await_on_loop(self, delivery: Delivery) -> None:
        """Let a loop await what a plain function returned, and serve it from now on."""
        lane = self._loop_of(delivery)
        self._settle_on(lane, delivery)
        lane.queue(delivery)
        self._wake(lane)

    def _new_thread(self) -> ThreadLane:
        return ThreadLane(self._shared, self._await_on_loop)

    @property
    def needs_looks(self) -> bool:
        """Whether something waits that a callback may be holding up: `look` again in a moment."""
        return any(lane.holds_up for lane in self._lanes)

    def look(self) -> None:
        """Move those that a callback holds up; each owner of a stuck thread or loop keeps it."""
        with self._lock:
            for lane in tuple(self._lanes):
                if lane.is_stuck():
                    self._move_from(lane)

    def _move_from(self, lane: Lane) -> None:
        mine = [one for one in self._registry.kinds if one.lane is lane]
        for delivery in mine:
            _take_back(delivery)
        others = [one for one in mine if not one.is_busy]
        if not others:
            return
        sibling = lane.sibling()
        for delivery in others:
            delivery.lane, delivery.task = sibling, None
        for delivery in (*lane.unbegun, *lane.ready):
            if delivery.lane is sibling:
                lane.drop(delivery)
                sibling.queue(delivery)
        self._lanes.append(sibling)
        if isinstance(sibling, ThreadLane):
            self._thread = sibling
        elif isinstance(sibling, LoopLane):
            self._loops = {owner: sibling if other is lane else other for owner, other in self._loops.items()}
        sibling.wake()

    def stats_of(self, delivery: Delivery) -> CallbackStats:
        """The ledger of one."""
        with self._lock:
            now = self._shared.monotonic()
            _catch_up(delivery, now)
            return delivery.stats(now)

    @property
    def stats(self) -> CallbackStats:
        """The ledger of all, those that were removed among them."""
        with self._lock:
            if not (self._leaving or self._registry.kinds):
                return self._left  # as it is for every page without callbacks, at each look
            now = self._shared.monotonic()
            for one in (*self._leaving, *self._registry.kinds):
                _catch_up(one, now)
            self._leaving, over = (
                [one for one in self._leaving if one.pending],
                [one for one in self._leaving if not one.pending],
            )
            self._left = total_of((self._left, *(one.stats(now) for one in over)))
            present = (*self._leaving, *self._registry.kinds)
            return total_of((self._left, *(one.stats(now) for one in present)))

    def open(self, run: object) -> None:
        """Call back from now on, with what this run brings."""
        with self._lock:
            self._run = run
            self._shared.is_open = True
            self._forget_newcomers()

    def _forget_newcomers(self) -> None:
        """A run tells everybody how it begins."""
        for delivery in self._newcomers:
            delivery.is_new = False
        self._newcomers = []

    def close(self, run: object, seconds: float) -> None:
        """Deliver what waits for at most so long, give up the rest, and end the threads; unless another run has begun.

        In a callback it does not wait for that one, which ends by itself and counts then. One that does not end in time
        is abandoned: it counts as given up.
        """
        deadline = time.monotonic() + seconds
        with self._lock:
            self._shared.is_awaited = True
            self._shared.settled.wait_for(self._has_settled, seconds)
            self._shared.is_awaited = False
            if self._run is not run:
                return
            self._run = None
            self._shared.is_open = False
            self._forget_newcomers()
            self._give_up((*self._leaving, *self._registry.kinds))
            for delivery in self._registry.kinds:
                if isinstance(delivery.lane, PullLane):
                    self._remove(
                        delivery
                    )  # its iteration ends here, so nobody would fetch what the next run brings
            lanes, self._lanes, self._loops = self._lanes, [], {}
            self._thread = self._new_thread()
            for delivery in self._registry.kinds:
                delivery.lane = delivery.task = None
            for lane in lanes:
                lane.end()
        for lane in lanes:
            lane.join(deadline - time.monotonic())

    def _has_settled(self) -> bool:
        """Whether nothing waits but for what this thread itself holds up."""
        every = (*self._leaving, *self._registry.kinds)
        return not any(one.pending for one in every if one.lane is None or not one.lane.is_here)


def _subject_of(told: Told) -> str:
    """Of what it is the newest: a stream, where a stream is what it tells of, otherwise a symbol."""
    match told.value:
        case StreamHealth(name=stream) | Gap(stream=stream):
            return stream
        case _:
            return told.symbols[0] if told.symbols else ""


def _catch_up(delivery: Delivery, now: float) -> None:
    """Count what a thread has called of what was lent to it."""
    if delivery.lent:
        delivery.lender.catch_up(now)


def _take_back(delivery: Delivery) -> None:
    """Have back what was lent and is not begun."""
    if delivery.lent:
        delivery.lender.take_back()


def _call_nobody(_: object) -> None:
    """Stands where a callback stands, for values that are fetched."""
