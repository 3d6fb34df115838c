"""The streams of a desk for a recording: each from the place on that the recording's own journal names.

The bus keeps what is not here yet, so a full queue makes it wait and costs nothing; and a connection that was cut is no
gap, as long as everything comes in the end. What the bus has no more is one, to the event.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Protocol, cast

from options_helper.bus.address import BusAddress
from options_helper.bus.batch import Head, read_head
from options_helper.bus.clocks import DeskClock, Offset
from options_helper.bus.connection import BusConnection, Pull
from options_helper.bus.demand import RECORDS
from options_helper.bus.legs import FIRST_LEG, both_legs, speaks_for_desk
from options_helper.bus.listening import Listening, Span
from options_helper.bus.loop import end_tasks
from options_helper.bus.place_reader import Item, PlaceReader
from options_helper.bus.recorded_place import first_behind, place_to_begin, says_feed
from options_helper.bus.roles import right_to_record
from options_helper.bus.streamer import BusLink, BusStreamer, Legs
from options_helper.bus.truth import DeskHealth
from options_helper.bus.truth import decode as decode_truth
from options_helper.clock import utc_now_ns
from options_helper.data.recording.journal import RecordKind
from options_helper.data.streaming.connection.connection_runner import StreamSink
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.messages import Decode, decode_frame
from options_helper.errors import StreamError, StreamRefused
from options_helper.model.announcement import Announcement
from options_helper.model.frames import Mark, Place
from options_helper.model.gaps import Gap
from options_helper.model.instants import NANOSECONDS
from options_helper.model.market_hours import Session
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId, StreamName
from options_helper.settings import Settings

log = logging.getLogger(__name__)

FETCH_MESSAGES: Final = 64
FETCH_SECONDS: Final = 2.0
# A consumer that has died in silence brings nothing, as one does while nothing is sent.
EMPTY_FETCHES: Final = 2
# Above this share of the writer's queue nothing more is taken off the bus, which keeps it: rows are made at their pace.
FULL: Final = 0.4
WAIT_SECONDS: Final = 0.02
LOOK_SECONDS: Final = 0.25
NOBODY: Final = "no owner of the desk listened, and what came meanwhile nobody could count."


class PlacedSink(StreamSink, Protocol):
    """A sink that is told where on the bus what it gets stands."""

    def placed(self, payload: bytes, events: int, received_ns: int, mark: Mark) -> bool:
        """A frame, received then by the owner's clock; whether it was queued."""

    def mark(self, mark: Mark, received_ns: int) -> None:
        """No frame: a place that was reached, or what is missing."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the owner said of itself last; by the monotonic clock `at`, None: it was only found."""

    health: DeskHealth | None = None
    at: float | None = None


class BusRecording:
    """One recording's side of a desk: a source of its streams, and the truth about both legs.

    `resume` and `attach` come before any stream is made. `health` and what follows may be asked from any thread.
    """

    def __init__(
        self,
        address: BusAddress,
        *,
        now_ns: Callable[[], int] = utc_now_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self.now_ns, self.monotonic = now_ns, monotonic
        self.viewer = uuid.uuid4().hex
        self.fill: Callable[[], float] = lambda: 0.0
        self._places: Mapping[StreamId, Place] = {}
        # Made by the stream threads, each its own, and read by any.
        self._lock = threading.Lock()
        self._readers: dict[StreamId, PlaceReader] = {}
        self._listening: dict[StreamId, Listening] = {}  # likewise
        # When it was asked to end, by both clocks: what comes to pass later is no matter of this recording.
        self._ended: tuple[float, int] | None = None
        # Replaced whole by the stream threads.
        self.heard = _Heard()
        self.clock = DeskClock(now_ns, monotonic)

    @property
    def desk(self) -> str:
        """The desk's name."""
        return self.address.names.desk

    def resume(self, places: Mapping[StreamId, Place]) -> None:
        """Go on from there; a stream that is not among them begins with what comes next."""
        self._places = dict(places)

    def attach(self, fill: Callable[[], float]) -> None:
        """From now on ask this how full the writer's queue is."""
        self.fill = fill

    def reader(self, stream: StreamId, feed: str) -> PlaceReader | None:
        """Where a stream is that is recorded of that feed; None where nobody knows yet where to begin."""
        with self._lock:
            known = self._readers.get(stream)
            if known is None and (place := self._places.get(stream)) is not None:
                known = self._readers[stream] = PlaceReader(stream, place, feed)
            return known

    def begin(self, stream: StreamId, place: Place, feed: str) -> PlaceReader:
        """A stream begins there."""
        with self._lock:
            self._readers[stream] = reader = PlaceReader(stream, place, feed)
        return reader

    def hear(self, health: DeskHealth, *, now: bool) -> None:
        """The owner's word, over any stream's connection; `now` is when it was heard and not found."""
        before, at = self.heard, self.monotonic() if now else None
        if before.health is None or speaks_for_desk(health.epoch, at, before.health.epoch, before.at):
            self.heard = _Heard(health, before.at if at is None else at)

    def reach(self, stream: StreamId) -> None:
        """The bus is there, for that stream."""
        now = self.monotonic()
        with self._lock:
            known = self._listening.get(stream) or Listening(until=now)
            self._listening[stream] = known.reach(now)

    def note(self, stream: StreamId, change: Callable[[Listening, float], Listening]) -> None:
        """Something shows whether an owner listens to that stream."""
        now = self.monotonic()
        with self._lock:
            if self._ended is None and (known := self._listening.get(stream)) is not None:
                self._listening[stream] = change(known, now)

    def end(self) -> None:
        """It is to end: before its streams are stopped."""
        with self._lock:
            self._ended = self._ended or (self.monotonic(), self.now_ns())

    # What StreamSource asks for.

    @property
    def streams(self) -> Sequence[StreamId]:
        """Those with prices; orders are the account's, and in no recording."""
        return tuple(stream for stream in StreamName if not stream.kind.carries_orders)

    def check(self, settings: Settings) -> None:  # noqa: ARG002 - a source of Alpaca's needs it
        """Nothing but the seed and the certificates: no keys are needed."""
        self.address.access.require_usable()

    def streamer(
        self,
        stream: StreamId,
        settings: Settings,  # noqa: ARG002 - a source of Alpaca's needs it
        config: LiveStreamConfig,
        sink: StreamSink,
    ) -> BusRecordStreamer:
        """A fresh one; the sink is a worker's."""
        return BusRecordStreamer(self, stream, config.feed(stream), cast("PlacedSink", sink))

    def decoder(self, stream: StreamId) -> Decode:  # noqa: ARG002 - the same for each
        """Frames are Alpaca's own."""
        return decode_frame

    # What a status says.

    def health(self, mine: StreamHealth) -> StreamHealth:
        """A stream as it is shown: the worse of both legs, and the ledger over both."""
        health = self._both(mine)
        with self._lock:
            reader = self._readers.get(mine.name)
        if reader is None:
            return replace(health, gaps=(), gap_count=0)
        missed, rejected = reader.missed, reader.rejected
        return replace(
            health,
            received=health.received + missed + rejected,
            missed=missed,
            rejected=health.rejected + rejected,
            gaps=(),
            gap_count=reader.holes,
        )

    def watched(self, mine: StreamHealth) -> StreamHealth:
        """The same for whoever writes down what was lost: what the readers found is in its place in the journal.

        Of gaps only one that lasts: of those that are over, the owner tells in their place, and its own way is none
        where all came in the end.
        """
        lasting = self._lasting(mine)
        gaps = (*self._unowned(mine.name), *(() if lasting is None else (lasting,)))
        return replace(self._both(mine), gaps=gaps, gap_count=len(gaps))

    def _unowned(self, stream: StreamId) -> tuple[Gap, ...]:
        """At the end, the time without an owner of which nothing on the bus tells; before, it may yet."""
        with self._lock:
            known, ended = self._listening.get(stream), self._ended
        if known is None or ended is None:
            return ()
        at, at_ns = ended
        owners_ns = self._offset.there(at_ns)  # as all receipts
        return tuple(_gap_of(stream, span, at, owners_ns) for span in known.spans(at))

    def _both(self, mine: StreamHealth) -> StreamHealth:
        heard = self.heard
        ago = None if heard.at is None else self.monotonic() - heard.at
        # Its rows are of one feed, whichever the owner has.
        word = None if heard.health is None else self.clock.here(heard.health)
        health = replace(both_legs(mine, word, None, heard_ago=ago), feed=mine.feed)
        if health.phase is Phase.STOPPED and mine.phase is not Phase.STOPPED:
            # Of a capture that says its own end: this one waits for the next owner, and is silent until then.
            health = replace(health, phase=Phase.RECONNECTING)
        return replace(health, last_event_at=self._offset.moment_here(health.last_event_at))

    @property
    def _offset(self) -> Offset:
        return self.clock.offset or Offset()

    def _lasting(self, mine: StreamHealth) -> Gap | None:
        if mine.phase is Phase.OFF or not mine.gaps or mine.gaps[-1].until_ns is not None:
            return None
        gap = mine.gaps[-1]
        kept = "The bus keeps for a while what is sent meanwhile, and the next capture into this folder asks for it."
        return replace(gap, reason=f"{gap.reason.rstrip('.')}. {kept}")

    @property
    def owner(self) -> str:
        """Who has the connections, in words."""
        owner = f"the desk {self.desk} at {self.address.url}"
        health = self.heard.health
        return owner if health is None else f"{owner}, served by {health.where} (process {health.pid})"

    @property
    def unowned_seconds(self) -> float:
        """How long no owner listened, of the stream that was without one the longest."""
        now = self.monotonic()
        with self._lock:
            now = now if self._ended is None else self._ended[0]
            streams = self._listening.keys() | self._readers.keys()
            return max((self._unowned_of(one, now) for one in streams), default=0.0)

    def _unowned_of(self, stream: StreamId, now: float) -> float:
        reader, known = self._readers.get(stream), self._listening.get(stream)
        told = 0.0 if reader is None else reader.unowned_ns / NANOSECONDS
        return told + (0.0 if known is None else known.seconds(now))

    @property
    def told_sessions(self) -> Mapping[date, Session | None]:
        """What the market told the owner of its hours."""
        health = self.heard.health
        return {} if health is None else health.told_sessions


class BusRecordStreamer(BusStreamer):
    """Follows one stream from its place in the recording on, also where no owner is there now."""

    RANK = RECORDS

    def __init__(self, recording: BusRecording, stream: StreamId, feed: str, sink: PlacedSink) -> None:
        super().__init__(
            recording.address, stream, sink, Legs(), viewer=recording.viewer, clock=recording.clock
        )
        self._recording, self._feed, self._placed_sink = recording, feed, sink
        self._announced: Announcement | None = None
        self._problem: StreamError | None = None
        self._pulls = False  # it is live once something can come
        self._told_unknown = self._complained = False

    def _new_connection(self) -> BusLink:
        return BusLink(self._address, f"options-helper recorder of {self._stream}")

    async def _communicate(self, connection: BusLink, news: asyncio.Event, ended: asyncio.Task[None]) -> None:
        bus, names = connection.bus, self._address.names
        self._told = None
        await bus.subscribe(names.told("health"), lambda _, data, __: self._hear_health(data, news))
        stored = await bus.kept(names.state_store, names.state("health"))
        if stored is not None and self._health is None:
            self._find_health(stored.data)
        header = None if self._health is None else self._health.announcement
        # Before anything is told of a connection that will bring nothing.
        await bus.require_may_publish(right_to_record(names.store(self._stream)))
        self._recording.reach(self._stream)
        self._sink.connected(header)
        self._announced = None if header is None else Announcement.parse(header)
        self._pulls = False
        self._ask_now = asyncio.Event()
        tasks = [
            asyncio.create_task(self._pull(bus, news)),
            asyncio.create_task(self._keep_asking(bus, news, self._ask_now)),
            asyncio.create_task(self._keep_clock(bus)),
        ]
        tasks[0].add_done_callback(lambda _: news.set())
        try:
            while not ended.done() and not self._stopped and not tasks[0].done() and self._problem is None:
                # The client may swallow the cancellation by which this is stopped.
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._next_news(news)
                if self._pulls:
                    self._answer()
        finally:
            if not self._stopped:
                self._recording.note(self._stream, lambda known, _: known.lose())
            await end_tasks(tasks)
        if self._stopped:
            return
        if self._problem is not None:
            raise self._problem
        if not tasks[0].cancelled() and (error := tasks[0].exception()) is not None and not ended.done():
            raise error
        raise connection.loss()

    def _find_health(self, data: bytes) -> None:
        self._health = health = decode_truth(data, DeskHealth)
        if health is not None:
            self._clock.hear(health, now=False)
            self._recording.hear(health, now=False)
            self._note_feed()

    def _hear_health(self, data: bytes, news: asyncio.Event, *, now: bool = True) -> None:
        super()._hear_health(data, news, now=now)
        health = self._health
        if health is None:
            return
        self._recording.hear(health, now=True)
        self._recording.note(self._stream, lambda known, now: known.hear(health, self._stream, now))
        self._note_feed()
        self._problem = self._strangeness(health)
        if self._problem is not None:
            news.set()

    @property
    def _reader(self) -> PlaceReader | None:
        return self._recording.reader(self._stream, self._feed)

    def _note_feed(self) -> None:
        """Of which feed the owner's term is that spoke last, where it says so."""
        reader, health = self._reader, self._health
        feed = None if health is None else health.feed_of(self._stream)
        if reader is not None and health is not None and health.epoch and feed is not None:
            reader.say(health.epoch, feed)

    def _strangeness(self, health: DeskHealth) -> StreamError | None:
        """Why what this owner sends cannot go on from what was recorded."""
        owner = health.health_of(self._stream)
        if owner is not None and owner.phase is not Phase.OFF and owner.feed and owner.feed != self._feed:
            return StreamRefused(
                f"The owner streams the {owner.feed} feed, and this recording is of the {self._feed} feed: one file "
                "would be of both. Name the owner's feed, and another folder where this one has other data."
            )
        reader, published = self._reader, health.published.get(str(self._stream))
        lasts = health.connected_for(self._stream)
        if reader is not None and published is not None and lasts is not None:
            reader.connected(published.epoch, health.at_ns - int(lasts * NANOSECONDS))
        if reader is None or published is None or health.ended or published.epoch >= reader.place.epoch:
            return None
        return StreamError(
            "The owner's term is before the one that was recorded last: its computer's clock was put back, or this is "
            "another bus. Nothing of it is recorded; set the clock and start it anew, or record into another folder."
        )

    async def _pull(self, bus: BusConnection, news: asyncio.Event) -> None:
        """Hand over what the store has from the place on, and what comes, until the connection is gone."""
        names = self._address.names
        store, subject = names.store(self._stream), names.published(self._stream)
        reader = self._reader or await self._begin(bus, store, subject)
        self._note_feed()
        while not self._stopped:
            first = await first_behind(bus, store, subject, reader.place, self._stream)
            reader.begin()
            pull = await bus.pull(store, subject, first)
            if not self._pulls:
                self._pulls = True
                news.set()
            try:
                await self._read(bus, pull, reader)
            finally:
                await pull.close()

    async def _begin(self, bus: BusConnection, store: str, subject: str) -> PlaceReader:
        """The first time: behind what is there now. It is written down at once, so that a kill changes nothing."""
        published = None if self._health is None else self._health.published.get(str(self._stream))
        place = await place_to_begin(bus, store, subject, 0 if published is None else published.events)
        self._placed_sink.mark(Mark(place), self._recording.now_ns())
        return self._recording.begin(self._stream, place, self._feed)

    async def _read(self, bus: BusConnection, pull: Pull, reader: PlaceReader) -> None:
        """Until the consumer has to be begun anew."""
        empty = 0
        while empty < EMPTY_FETCHES and not self._stopped:
            try:
                found = await pull.fetch(FETCH_MESSAGES, FETCH_SECONDS)
            except StreamError as error:
                if bus.ended.done():
                    raise
                log.info("the consumer of %s is begun anew: %s", self._stream, error)
                return
            empty = 0 if found else empty + 1
            for one in found:
                if not await self._may_take(reader, one.data):
                    return  # before the reader counts as followed what would not be handed over
                items = reader.take(*one)
                if items is None:
                    return
                if reader.complaint is not None and not self._complained:
                    self._complained = True
                    self._sink.notice(reader.complaint)
                self._hand_over(items)

    async def _may_take(self, reader: PlaceReader, data: bytes) -> bool:
        """Wait until the writer's queue has room, and until it is known of what feed this is; False when stopped."""
        head = read_head(data)
        says = head is not None and head.number == 0 and says_feed(data)

        def waits() -> bool:
            return self._recording.fill() > FULL or self._awaits_feed(reader, None if says else head)

        while not self._stopped and waits():  # noqa: ASYNC110 - the queue is of threads
            await asyncio.sleep(WAIT_SECONDS)
        return not self._stopped

    def _awaits_feed(self, reader: PlaceReader, head: Head | None) -> bool:
        """Whether the owner that sent this has yet to say of which feed it is, or the owner now has another."""
        health = self._health
        if self._problem is not None:
            return True  # this connection ends
        if health is None or head is None or reader.knows_feed(head):
            return False
        if not health.tells_feed(self._stream, head.epoch):
            return True
        if head.epoch != reader.place.epoch:
            self._tell_unknown(health)
        return False

    def _tell_unknown(self, health: DeskHealth) -> None:
        """Nobody will say any more of which feed that owner's term was: its first batch is gone, or said nothing."""
        if health.epoch and not self._told_unknown:
            self._told_unknown = True
            self._sink.notice(
                f"Of which feed an owner of before streamed {self._stream} the bus does not say (any more): what it "
                f"published is taken for the {self._feed} feed."
            )

    def _hand_over(self, items: Sequence[Item]) -> None:
        if any(mark.gap is not None for _, mark in items):
            place = items[-1].mark.place
            self._recording.note(self._stream, lambda known, now: known.told(place, now))
        elif any(record is not None and record.kind is RecordKind.FRAME for record, _ in items):
            place = items[-1].mark.place
            self._recording.note(self._stream, lambda known, now: known.go_on(place, now))
        for record, mark in items:
            if record is not None and record.kind is RecordKind.FRAME:
                self._placed_sink.placed(record.payload, record.events, record.received_ns, mark)
                continue
            if record is not None and record.kind is RecordKind.MARKET:
                self._announce(record.payload)
            self._placed_sink.mark(mark, mark.place.received_ns or self._recording.now_ns())

    def _announce(self, payload: bytes) -> None:
        """Another market than was told last; its time is that of then, and the owner's newest word has the present."""
        with suppress(ValueError):
            announced = Announcement.parse(payload.decode())
            if self._announced is None or announced.kind is not self._announced.kind:
                self._announced = announced
                self._sink.connected(announced.header())


def _gap_of(stream: StreamId, span: Span, now: float, now_ns: int) -> Gap:
    """The time without an owner as a row, by a clock that is at `now_ns` when the monotonic one is at `now`."""
    since_ns, until_ns = (now_ns - int((now - at) * NANOSECONDS) for at in (span.since, span.until))
    return Gap(stream, since_ns, until_ns, f"From {FIRST_LEG}: {NOBODY}")
