"""Publish the batches of each stream, one in flight, so that each is stored once, in order, and by one owner alone.

Every batch says which message must be the last of its store. The server refuses it otherwise, and then what it has
tells who was there: this owner itself, whose acknowledgement was lost, or a newer one, to whom this one yields. A term
begins with a batch of each stream that announces nothing and says its feed, so that an owner of before is refused from
then on, whatever comes or not.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from options_helper.bus.batch import BATCH_BYTES, Head, encode, opening, read_head, split
from options_helper.bus.connection import Stored, TooLarge, WrongSequence
from options_helper.bus.losses import records_of
from options_helper.bus.names import Names, message_id
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.errors import StreamError
from options_helper.model.frames import Continuity, Frame
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamId

log = logging.getLogger(__name__)

TRIES: Final = 3
# An owner of before may publish forty batches a second, each of which spoils what was read until then.
BEGIN_TRIES: Final = 20
TAKEN: Final = "Another owner serves this desk: it has published since. This one ends."
NO_FEEDS: Final[Mapping[StreamId, str]] = {}


class Fenced(StreamError):
    """Another owner publishes for this desk now; this one must end."""


class Progress(NamedTuple):
    """How far a stream was published: by which owner's term, and its events so far, those of earlier owners too."""

    epoch: int
    events: int


class Store(Protocol):
    """What a publisher needs of a `BusConnection`."""

    @property
    def room(self) -> int:
        """So large may a batch be."""

    async def store_fenced(self, subject: str, data: bytes, *, message_id: str, last: int) -> int:
        """Store it if the last message of the store has that sequence; the one it got."""

    async def last(self, store: str, subject: str, *, direct: bool = True) -> Stored | None:
        """The newest message of a subject."""

    async def message(self, store: str, sequence: int, *, direct: bool = True) -> Stored | None:
        """The message of that sequence; None where it is gone, or not there yet."""

    async def last_sequence(self, store: str) -> int:
        """The sequence of the newest message of a store, also where that is gone by age."""


@dataclass(slots=True)
class StreamCounts:
    """What became of one stream's events at the bus."""

    offered: int = 0
    stored: int = 0
    unsendable: int = 0  # in frames larger than the server takes; those who follow count them as missed

    @property
    def waiting(self) -> int:
        """Those that are not known to be stored, and may be."""
        return self.offered - self.stored - self.unsendable


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A batch that is not known to be stored."""

    stream: StreamId
    head: Head
    records: Sequence[Record]
    data: bytes

    @property
    def is_opening(self) -> bool:
        """Whether it begins the term of its stream, and says its feed."""
        return self.head.number == 0


# Called with each batch of frames that the server has stored, once.
OnStored = Callable[[StreamId, Head, Sequence[Record]], None]


def nobody(_: StreamId, __: Head, ___: Sequence[Record]) -> None:
    """Is told, and does nothing."""


class StorePublisher:
    """Publishes the streams of one store, each of its feed; for one event loop. `survey` and `open_term` first.

    `offer` takes records; `publish` sends all that is not stored yet, and after an error goes on from there.
    """

    def __init__(
        self,
        names: Names,
        store: str,
        streams: Iterable[StreamId],
        stored: OnStored = nobody,
        *,
        feeds: Mapping[StreamId, str] = NO_FEEDS,
        require_desk: Callable[[], None] = lambda: None,
    ) -> None:
        self._names, self._store, self._stored, self._feeds = names, store, stored, feeds
        self._require_desk = require_desk
        self.epoch = 0
        self._opened_ns = 0
        self._last_sequence = 0
        self._numbers = dict.fromkeys(streams, 0)
        self._events = dict.fromkeys(self._numbers, 0)
        self.counts = {stream: StreamCounts() for stream in self._numbers}
        self._offered: deque[tuple[StreamId, Sequence[Record]]] = deque()
        self._waiting: _Waiting | None = None
        # Of a term that was begun anew, the streams whose first batch is to come, before all that is offered.
        self._unopened: deque[StreamId] = deque()
        self.lost_messages = 0  # that the server had acknowledged

    @property
    def progress(self) -> dict[StreamId, Progress]:
        """How far each stream was published."""
        return {stream: Progress(self.epoch, events) for stream, events in self._events.items()}

    @property
    def is_done(self) -> bool:
        """Whether everything that was offered is stored."""
        return self._waiting is None and not self._offered and not self._unopened

    async def survey(self, bus: Store, known: Mapping[StreamId, Progress]) -> int:
        """Take over what is there and what is known of before; the newest term that there was."""
        # First: what is stored after it makes the first batch of a term that is built on the rest a wrong one.
        self._last_sequence = await bus.last_sequence(self._store)
        newest = await self._newest_term(bus)
        for stream in self._numbers:
            stored = await bus.last(self._store, self._names.published(stream), direct=False)
            head = None if stored is None else read_head(stored.data)
            before = known.get(stream, Progress(0, 0))
            if head is not None:
                before = Progress(max(before.epoch, head.epoch), max(before.events, head.events_until))
            self._events[stream] = before.events
            newest = max(newest, before.epoch)
        return newest

    async def _newest_term(self, bus: Store) -> int:
        """That of the newest batch, also where it is of an owner with other streams than these; 0: there is none."""
        for sequence in range(self._last_sequence, 0, -1):
            stored = await bus.message(self._store, sequence, direct=False)
            if stored is None:
                break  # by age, and so are all before it
            if (head := read_head(stored.data)) is not None:
                return head.epoch
        return 0

    async def open_term(self, bus: Store, epoch: int, opened_ns: int) -> None:
        """Begin a term, with a batch of each stream that says no more than its feed.

        WrongSequence where somebody published since `survey`.
        """
        self._require_desk()
        self.epoch, self._opened_ns = epoch, opened_ns
        self._numbers = dict.fromkeys(self._numbers, 0)
        for stream in self._numbers:
            self._require_desk()
            first = self._first_batch(stream)
            self._go_on(first, await self._store_one(bus, first))

    def offer(self, stream: StreamId, records: Sequence[Record]) -> None:
        """Take records of a stream, to be published in their order."""
        self.counts[stream].offered += sum(record.events for record in records)
        self._offered.append((stream, records))

    async def publish(self, bus: Store, now_ns: int) -> None:
        """Publish all that was offered. Fenced where another owner is there; other StreamErrors may pass."""
        while not self.is_done:
            if self._waiting is None:
                self._waiting = self._next_batch(bus)
            await self._store_waiting(bus, now_ns)

    def _first_batch(self, stream: StreamId) -> _Waiting:
        return self._batch(stream, [opening(self._opened_ns, stream, self._feeds.get(stream, ""))])

    def _next_batch(self, bus: Store) -> _Waiting:
        """As much of what was offered first as one message has room for; before it what opens the term."""
        if self._unopened:
            return self._first_batch(self._unopened.popleft())
        stream, records = self._offered.popleft()
        first, *rest = split(records, min(BATCH_BYTES, bus.room))
        self._offered.extendleft((stream, part) for part in reversed(rest))
        return self._batch(stream, first)

    def _batch(self, stream: StreamId, records: Sequence[Record]) -> _Waiting:
        events = sum(record.events for record in records)
        head = Head(self.epoch, self._numbers[stream], self._events[stream], events)
        return _Waiting(stream, head, records, encode(head, records))

    async def _store_one(self, bus: Store, batch: _Waiting) -> int:
        return await bus.store_fenced(
            self._names.published(batch.stream),
            batch.data,
            message_id=message_id(batch.stream, batch.head.epoch, batch.head.number),
            last=self._last_sequence,
        )

    async def _store_waiting(self, bus: Store, now_ns: int) -> None:
        for _ in range(TRIES):
            if (waiting := self._waiting) is None:
                return
            if waiting.is_opening:
                self._require_desk()
            try:
                sequence = await self._store_one(bus, waiting)
            except WrongSequence:
                await self._find_out(bus, waiting, now_ns)
            except TooLarge as error:
                await self._make_smaller(bus, waiting, error, now_ns)
            else:
                self._is_stored(waiting, sequence)
        if self._waiting is not None:
            raise StreamError(self._refused)

    @property
    def _refused(self) -> str:
        return f"The bus refuses what is published to {self._store} again and again."

    def _is_stored(self, waiting: _Waiting, sequence: int) -> None:
        self.counts[waiting.stream].stored += waiting.head.events
        self._go_on(waiting, sequence)
        if not waiting.is_opening:
            self._stored(waiting.stream, waiting.head, waiting.records)

    def _go_on(self, waiting: _Waiting, sequence: int) -> None:
        self._numbers[waiting.stream] = waiting.head.number + 1
        self._events[waiting.stream] = waiting.head.events_until
        self._last_sequence = sequence
        self._waiting = None

    async def _make_smaller(self, bus: Store, waiting: _Waiting, error: TooLarge, now_ns: int) -> None:
        """The server takes less than it did, or a frame alone is larger than it takes."""
        if await bus.last_sequence(self._store) != self._last_sequence:
            # It took this batch before, and its answer was lost.
            await self._find_out(bus, waiting, now_ns)
            return
        if len(waiting.records) > 1:
            self._waiting = None
            self._offered.appendleft((waiting.stream, waiting.records))
            self._waiting = self._next_batch(bus)
            return
        log.warning("a batch of the %s stream is not sent: %s", waiting.stream, error)
        self.counts[waiting.stream].unsendable += waiting.head.events
        self._go_on(waiting, self._last_sequence)

    async def _find_out(self, bus: Store, waiting: _Waiting, now_ns: int) -> None:
        """Look at what the server has in place of what was expected: what came first behind it decides."""
        sequence, known = await bus.last_sequence(self._store), self._last_sequence
        for number in range(known + 1, sequence + 1):
            stored = await bus.message(self._store, number, direct=False)
            if stored is None:
                raise Fenced(TAKEN)  # it is gone by age: somebody went on when this one did not
            if stored.data == waiting.data:
                self._is_stored(waiting, number)
                return
            head = read_head(stored.data)
            if head is None:
                self._last_sequence = number  # no batch, such as a question whether somebody may publish here
            elif head.epoch < self.epoch:
                break  # of another past
            else:
                raise Fenced(
                    TAKEN
                )  # whatever streams it has: the next batch of any of them is the newer owner's
        else:
            if sequence > known:
                return
        await self._begin_anew(bus, sequence, waiting, now_ns)

    async def _begin_anew(self, bus: Store, sequence: int, waiting: _Waiting, now_ns: int) -> None:
        """The server has another past than it acknowledged (emptied, or an old copy put back): a new term begins.

        Whoever followed has heard what is gone, and the count of events goes on from the larger of the two pasts, so
        nobody counts anything twice. What is gone may have been a newer owner's term, of which this one never heard: as
        that had its number by the clock, this one has it by the clock too, and whoever followed that believes it.
        """
        known, events = self._last_sequence, dict(self._events)
        try:
            newest = await self.survey(bus, self.progress)
            self._require_newest(newest)
            self._require_desk()
        except BaseException:
            # It is found out once more: built on what is there the old term would go on, and nothing be lost.
            self._last_sequence, self._events = known, events
            raise
        lost = max(0, known - sequence)
        self.lost_messages += lost
        log.error(
            "the bus lost %d messages of %s that it had acknowledged; a new term begins", lost, self._store
        )
        self._waiting = None
        if not waiting.is_opening:
            self._offered.appendleft((waiting.stream, waiting.records))
        # Published as what is offered is: an error amid the first batches leaves none of them out.
        self.epoch = max(newest + 1, now_ns)
        self._numbers = dict.fromkeys(self._numbers, 0)
        self._unopened = deque(self._numbers)
        if waiting.is_opening:  # of a term that was begun anew itself: whoever publishes waits a moment first
            raise StreamError(self._refused)

    def _require_newest(self, newest: int) -> None:
        if newest > self.epoch:
            raise Fenced(TAKEN)  # it has begun on what was left


class DeskPublisher:
    """Publishes frames of market data and of orders, each to its store; for one event loop.

    `require_desk` raises where this owner is to begin no term any more; it is asked before each word of one.
    """

    def __init__(
        self,
        names: Names,
        streams: Iterable[StreamId],
        epoch: int,
        stored: OnStored = nobody,
        *,
        feeds: Mapping[StreamId, str] = NO_FEEDS,
        require_desk: Callable[[], None] = lambda: None,
    ) -> None:
        self._epoch = epoch
        by_store: dict[str, list[StreamId]] = {}
        for stream in streams:
            by_store.setdefault(names.store(stream), []).append(stream)
        self._publishers = [
            StorePublisher(names, store, of_it, stored, feeds=feeds, require_desk=require_desk)
            for store, of_it in by_store.items()
        ]
        self._of = {stream: one for one in self._publishers for stream in one.counts}
        self._heard: dict[StreamId, tuple[Continuity, int]] = {}
        self.has_begun = False

    @property
    def epoch(self) -> int:
        """The owner's term; 0 before it has begun."""
        return max((one.epoch for one in self._publishers), default=0)

    @property
    def counts(self) -> dict[StreamId, StreamCounts]:
        """What became of each stream's events."""
        return {stream: one.counts[stream] for stream, one in self._of.items()}

    @property
    def progress(self) -> dict[StreamId, Progress]:
        """How far each stream was published."""
        return {stream: at for one in self._publishers for stream, at in one.progress.items()}

    @property
    def lost_messages(self) -> int:
        """Messages that the server had acknowledged, and lost."""
        return sum(one.lost_messages for one in self._publishers)

    @property
    def is_done(self) -> bool:
        """Whether everything that was offered is stored."""
        return all(one.is_done for one in self._publishers)

    def offer(self, frames: Iterable[Frame]) -> None:
        """Take frames, to be published in their order, and between them what was lost before each."""
        by_stream: dict[StreamId, list[Record]] = {}
        for frame in frames:
            records = records_of(frame, self._heard.get(frame.stream))
            self._heard[frame.stream] = (frame.heard, frame.received_ns)
            by_stream.setdefault(frame.stream, []).extend(records)
        for stream, records in by_stream.items():
            self._of[stream].offer(stream, records)

    def announce(self, header: str, received_ns: int, account: str = DEFAULT_ACCOUNT) -> None:
        """Tell in every stream of an account's run, before what follows, that a simulator plays its market."""
        record = Record(RecordKind.MARKET, received_ns, header.encode())
        for stream, publisher in self._of.items():
            if stream.account == account:
                publisher.offer(stream, [record._replace(stream=stream)])

    async def begin(
        self, bus: Store, known: Mapping[StreamId, Progress], now_ns: int = 0, *, newer_than: int = 0
    ) -> None:
        """Begin a term newer than all before, from what is there and what is known; does nothing where it has begun.

        From then on the server refuses what an owner of before publishes.
        """
        if self.has_begun:
            return
        for _ in range(BEGIN_TRIES):
            newest = [await one.survey(bus, known) for one in self._publishers]
            epoch = max(self._epoch, *(one + 1 for one in (newer_than, *newest)))
            try:
                for one in self._publishers:
                    await one.open_term(bus, epoch, now_ns)
            except WrongSequence:
                continue  # an owner of before has published meanwhile
            self.has_begun = True
            return
        raise StreamError("Another owner publishes so fast for this desk that none can begin after it.")

    async def publish(self, bus: Store, now_ns: int = 0) -> None:
        """Publish all that was offered and is not stored. Fenced where another owner is there."""
        for publisher in self._publishers:
            await publisher.publish(bus, now_ns)
