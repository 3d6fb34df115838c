"""Publish the batches of each stream, one in flight, so that each is stored once, in order, and by one owner alone.

Every batch says which message must be the last of its store. The server refuses it otherwise, and then what it has
tells who was there: this owner itself, whose acknowledgement was lost, or a newer one, to whom this one yields.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from options_helper.bus.batch import Head, encode, read_head, split
from options_helper.bus.connection import Stored, TooLarge, WrongSequence
from options_helper.bus.names import Names, message_id
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.errors import StreamError
from options_helper.model.frames import Frame
from options_helper.model.streams import StreamId

log = logging.getLogger(__name__)

TRIES: Final = 3


class Fenced(StreamError):
    """Another owner publishes for this desk now; this one must end."""


class Progress(NamedTuple):
    """How far a stream was published: by which owner's term, and its events so far, those of earlier owners too."""

    epoch: int
    events: int


class Store(Protocol):
    """What a publisher needs of a `BusConnection`."""

    async def store_fenced(self, subject: str, data: bytes, *, message_id: str, last: int) -> int:
        """Store it if the last message of the store has that sequence; the one it got."""

    async def last(self, store: str, subject: str, *, direct: bool = True) -> Stored | None:
        """The newest message of a subject."""

    async def last_sequence(self, store: str) -> int:
        """The sequence of the newest message of a store, also where that is gone by age."""

    async def message(self, store: str, sequence: int) -> Stored | None:
        """The message of that sequence."""


@dataclass(slots=True)
class StreamCounts:
    """What became of one stream's events at the bus."""

    stored: int = 0
    unsendable: int = 0  # in frames larger than the server takes; those who follow count them as missed


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A batch that is not known to be stored."""

    stream: StreamId
    head: Head
    records: Sequence[Record]
    data: bytes


class StorePublisher:
    """Publishes the streams of one store; for one event loop. `begin` first, on whatever connection there is.

    `offer` takes records; `publish` sends all that is not stored yet, and after an error goes on from there.
    """

    def __init__(self, names: Names, store: str, streams: Iterable[StreamId]) -> None:
        self._names, self._store = names, store
        self._epoch = 0
        self._last_sequence = 0
        self._numbers = dict.fromkeys(streams, 0)
        self._events = dict.fromkeys(self._numbers, 0)
        self.counts = {stream: StreamCounts() for stream in self._numbers}
        self._offered: deque[tuple[StreamId, Sequence[Record]]] = deque()
        self._waiting: _Waiting | None = None
        self.lost_messages = 0  # that the server had acknowledged

    @property
    def progress(self) -> dict[StreamId, Progress]:
        """How far each stream was published."""
        return {stream: Progress(self._epoch, events) for stream, events in self._events.items()}

    @property
    def is_done(self) -> bool:
        """Whether everything that was offered is stored."""
        return self._waiting is None and not self._offered

    async def begin(self, bus: Store, epoch: int, known: Mapping[StreamId, Progress]) -> None:
        """Go on, in a new term that is at least `epoch`, from what is there and what is known of before.

        Does nothing where it has begun.
        """
        if self._epoch:
            return
        self._last_sequence = await bus.last_sequence(self._store)
        for stream in self._numbers:
            stored = await bus.last(self._store, self._names.published(stream), direct=False)
            head = None if stored is None else read_head(stored.data)
            before = known.get(stream, Progress(0, 0))
            if head is not None:
                before = Progress(max(before.epoch, head.epoch), max(before.events, head.events_until))
            self._events[stream] = before.events
            epoch = max(epoch, before.epoch + 1)
        self._epoch = epoch

    def offer(self, stream: StreamId, records: Iterable[Record]) -> None:
        """Take records of a stream, to be published in their order."""
        self._offered.extend((stream, part) for part in split(records))

    async def publish(self, bus: Store) -> None:
        """Publish all that was offered. Fenced where another owner is there; other StreamErrors may pass."""
        while not self.is_done:
            if self._waiting is None:
                self._waiting = self._batch(*self._offered.popleft())
            await self._store_waiting(bus)

    def _batch(self, stream: StreamId, records: Sequence[Record]) -> _Waiting:
        events = sum(record.events for record in records)
        head = Head(self._epoch, self._numbers[stream], self._events[stream], events)
        return _Waiting(stream, head, records, encode(head, records))

    async def _store_waiting(self, bus: Store) -> None:
        for _ in range(TRIES):
            if (waiting := self._waiting) is None:
                return
            try:
                sequence = await bus.store_fenced(
                    self._names.published(waiting.stream),
                    waiting.data,
                    message_id=message_id(waiting.stream, waiting.head.epoch, waiting.head.number),
                    last=self._last_sequence,
                )
            except WrongSequence:
                await self._find_out(bus, waiting)
            except TooLarge as error:
                log.warning("a batch of the %s stream is not sent: %s", waiting.stream, error)
                self.counts[waiting.stream].unsendable += waiting.head.events
                self._go_on(waiting, self._last_sequence)
            else:
                self.counts[waiting.stream].stored += waiting.head.events
                self._go_on(waiting, sequence)
        if self._waiting is not None:
            raise StreamError(f"The bus refuses what is published to {self._store} again and again.")

    def _go_on(self, waiting: _Waiting, sequence: int) -> None:
        self._numbers[waiting.stream] = waiting.head.number + 1
        self._events[waiting.stream] = waiting.head.events_until
        self._last_sequence = sequence
        self._waiting = None

    async def _find_out(self, bus: Store, waiting: _Waiting) -> None:
        """Look at what the server has in place of what was expected."""
        sequence = await bus.last_sequence(self._store)
        if sequence > self._last_sequence:
            stored = await bus.message(self._store, sequence)
            if stored is not None and stored.data == waiting.data:
                self.counts[waiting.stream].stored += waiting.head.events
                self._go_on(waiting, sequence)
                return
            head = None if stored is None else read_head(stored.data)
            if head is not None and head.epoch > self._epoch:
                raise Fenced("Another owner serves this desk: it has published since. This one ends.")
        self._begin_anew(sequence, waiting)

    def _begin_anew(self, sequence: int, waiting: _Waiting) -> None:
        """The server has another past than it acknowledged (emptied, or an old copy put back): a new term begins.

        Whoever followed has heard what is gone, and the count of events goes on, so nobody counts anything twice.
        """
        lost = max(0, self._last_sequence - sequence)
        self.lost_messages += lost
        log.error(
            "the bus lost %d messages of %s that it had acknowledged; a new term begins", lost, self._store
        )
        self._epoch += 1
        self._numbers = dict.fromkeys(self._numbers, 0)
        self._last_sequence = sequence
        self._waiting = self._batch(waiting.stream, waiting.records)


class DeskPublisher:
    """Publishes frames of market data and of orders, each to its store; for one event loop."""

    def __init__(self, names: Names, streams: Iterable[StreamId], epoch: int) -> None:
        self._epoch = epoch
        by_store: dict[str, list[StreamId]] = {}
        for stream in streams:
            by_store.setdefault(names.store(stream), []).append(stream)
        self._publishers = [StorePublisher(names, store, of_it) for store, of_it in by_store.items()]
        self._of = {stream: one for one in self._publishers for stream in one.counts}

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
        """Take frames, to be published in their order."""
        by_stream: dict[StreamId, list[Record]] = {}
        for frame in frames:
            record = Record(RecordKind.FRAME, frame.received_ns, frame.payload, frame.stream, frame.events)
            by_stream.setdefault(frame.stream, []).append(record)
        for stream, records in by_stream.items():
            self._of[stream].offer(stream, records)

    def announce(self, header: str, received_ns: int) -> None:
        """Tell in every stream, before what follows, that a simulator plays its market."""
        record = Record(RecordKind.MARKET, received_ns, header.encode())
        for stream, publisher in self._of.items():
            publisher.offer(stream, [record._replace(stream=stream)])

    async def begin(self, bus: Store, known: Mapping[StreamId, Progress]) -> None:
        """Go on from what is there; does nothing where it has begun."""
        for publisher in self._publishers:
            await publisher.begin(bus, self._epoch, known)

    async def publish(self, bus: Store) -> None:
        """Publish all that was offered and is not stored. Fenced where another owner is there."""
        for publisher in self._publishers:
            await publisher.publish(bus)
