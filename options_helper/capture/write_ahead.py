"""Bring records to the journal first and to the partitions after, and count where each event is meanwhile."""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, TypeVar

from options_helper.capture.pressure import Flushed
from options_helper.data.intraday.files import Displaced
from options_helper.data.recording.journal import JournalWriter, Record, RecordKind, break_record, bus_record
from options_helper.data.recording.recorder import Recorder
from options_helper.data.streaming.engine.frame_queue import FrameQueue, QueueCounts
from options_helper.data.streaming.state.live_state import StreamTally
from options_helper.model.frames import Continuity, Frame, Place
from options_helper.model.streams import StreamId

CATCH_UP_RECORDS: Final = 2_000
# How often the making of rows asks whether something else is more urgent.
CHECK_SECONDS: Final = 0.05
# So long after its flush a row is on the disk, with a reserve.
_SYNCED_AFTER_SECONDS: Final = 10.0
# What a journal says of the capture for good, whatever frames it has not.
_SAID: Final = (RecordKind.SESSION, RecordKind.GAP, RecordKind.MARKET)

T = TypeVar("T", bound="Record | int")


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the events of each stream are, all read at one instant."""

    streams: dict[StreamId, tuple[QueueCounts, StreamTally]]  # what was put off counts as queued still
    put_off: int  # events that are in the journal, and no rows yet
    gone: int  # events that were put off, and whose journal is gone; they count as queued for ever


def _not_later(records: Sequence[Record], latest: Callable[[int], int]) -> Iterator[Record]:
    return (record._replace(received_ns=latest(record.received_ns)) for record in records)


class _Waiting:
    """Stream and events of each record that was put off, in order; five bytes a record."""

    def __init__(self) -> None:
        self._numbers: dict[StreamId, int] = {}  # of the streams, as they come
        self._streams = array("B")
        self._events = array("I")
        self._first = 0

    def add(self, record: Record) -> None:
        """One more, the newest."""
        self._streams.append(self._numbers.setdefault(record.stream, len(self._numbers)))
        self._events.append(record.events if record.kind is RecordKind.FRAME else 0)

    def take(self, records: int) -> Counter[StreamId]:
        """Let the oldest go; their events by stream."""
        names = list(self._numbers)
        events: Counter[StreamId] = Counter()
        for at in range(self._first, min(self._first + records, len(self._streams))):
            events[names[self._streams[at]]] += self._events[at]
        self._first += records
        if self._first > CATCH_UP_RECORDS and self._first * 2 > len(self._streams):
            del self._streams[: self._first], self._events[: self._first]
            self._first = 0
        return events


class WriteAhead:
    """The records in the writer's hands; for the writer's thread, but `ledger` may be read by any.

    `journal` is None for a capture that keeps none: its records are pending as soon as they are added. Frames count as
    queued in the queue until they are in the journal, and after that here, as put off, until they are rows. `desk` is
    one that is followed on a bus: how far that was goes with the frames, in one member, which is written whole.
    """

    def __init__(
        self, queue: FrameQueue, journal: JournalWriter | None, recorder: Recorder, desk: str | None = None
    ) -> None:
        self._queue = queue
        self._desk = desk
        self._places: dict[StreamId, Place] = {}
        self._has_given_up = False
        self._unsaid: list[Record] = []
        self.places: Mapping[StreamId, Place] = {}  # how far the journal is, once it is whole
        self._journal = journal
        self._recorder = recorder
        self._heard: dict[StreamId, Continuity] = {}
        self._last_ns: int | None = None  # of the last record
        # Frames of records in either are not settled.
        self._unwritten: list[Record] = []
        self._pending: list[Record] = []
        self._frames: list[Frame] = []
        self._journaled = 0
        self._made = 0
        self._read_back: Iterator[Record | int] | None = None
        self._waiting = _Waiting()
        self._gone_untold: list[tuple[StreamId, int]] = []
        # When `filed` was asked, by the records' clock, and how many records were rows then.
        self._asked: deque[tuple[float, int]] = deque()
        self._filed = 0
        # Guards what must agree with the queue's counters: written by the writer, read by ledger().
        self._lock = threading.Lock()
        self._tallies: dict[StreamId, StreamTally] = {}
        self._put_off: dict[StreamId, int] = defaultdict(int)
        self._gone: dict[StreamId, int] = defaultdict(int)

    @property
    def unwritten(self) -> int:
        """Records that are not in the journal."""
        return len(self._unwritten)

    @property
    def pending(self) -> int:
        """Records of which rows are to be made."""
        return len(self._pending)

    @property
    def put_off(self) -> int:
        """Records that are in the journal, and no rows."""
        return 0 if self._journal is None else self._journaled - self._made

    @property
    def has_unproven_rows(self) -> bool:
        """Whether the journal has rows that the disk may have failed to keep in their files."""
        return self._journal is not None and self._recorder.counts().sync_failures > 0

    @property
    def unproven(self) -> int:
        """Records that the disk has failed to keep in the journal, also when they were written again."""
        return 0 if self._journal is None else self._journal.unproven

    @property
    def journal_bytes(self) -> int:
        """What the journal's files have grown by."""
        return 0 if self._journal is None else self._journal.written_bytes

    def take_displaced(self) -> list[Displaced]:
        """Files of the journal that were deleted, moved or replaced while they were written, since the last time."""
        return [] if self._journal is None else self._journal.take_displaced()

    def add(self, before: Sequence[Record], frames: Sequence[Frame] = (), *after: Record) -> int:
        """Take these, in this order; how many records that is.

        What a killed capture lost begins with the last moment in its journal, so what it says of itself has none at
        which something still waits that was received before, as it does while the disk refuses.
        """
        taken_until = self._queue.taken_until
        records = [
            *_not_later(
                before, lambda own_ns: min(own_ns, frames[0].received_ns) if frames else taken_until(own_ns)
            ),
            *self._frame_records(frames),
            *self._reached(frames),
            *_not_later(after, taken_until),
        ]
        if records:
            self._last_ns = records[-1].received_ns
        self._frames += [frame for frame in frames if frame.is_message]
        if self._journal is None:
            self._pending += records
            return len(records)
        for record in records:
            self._journal.append(record)
        self._unwritten += records
        return len(records)

    def kept_until(self, now_ns: int) -> int:
        """Until when all that was received is on the disk, but rows of the last `flush_seconds` without a journal."""
        taken_until_ns = self._queue.taken_until(now_ns)
        if self._journal is None:
            waits_since_ns = self._recorder.store.refused_since_ns
        else:
            waits_since_ns = self._unwritten[0].received_ns if self._unwritten else None
        return taken_until_ns if waits_since_ns is None else min(taken_until_ns, waits_since_ns)

    def conclude(self, records: Sequence[Record]) -> int:
        """Take these, which make no rows, after the rows were settled; how many records that is.

        They get the moment of the record before them: at a later one books would be sampled, and these rows would lie
        in a member of their own, where a rebuild settles once. Before them comes what was given up of what the capture
        said of itself.
        """
        records, self._unsaid = [*self._unsaid, *records], []
        at_ns = self._last_ns
        return self.add(records if at_ns is None else [one._replace(received_ns=at_ns) for one in records])

    @property
    def follows_bus(self) -> bool:
        """Whether what the journal has not can be asked for again."""
        return self._desk is not None

    def resume(self, places: Mapping[StreamId, Place]) -> None:
        """Go on from these places; before anything is added."""
        self._places = dict(places)

    def resumed(self, now_ns: int) -> list[Record]:
        """What the journal is to say of where it goes on."""
        if self._desk is None or not self._places:
            return []
        return [bus_record(now_ns, self._desk, self._places)]

    def _reached(self, frames: Sequence[Frame]) -> list[Record]:
        """How far each stream of the desk is, where that has changed."""
        marks = {frame.stream: frame.mark for frame in frames if frame.mark is not None}
        if self._desk is None or not marks:
            return []
        self._places.update({stream: mark.place for stream, mark in marks.items()})
        return [bus_record(frames[-1].received_ns, self._desk, self._places)]

    def _frame_records(self, frames: Sequence[Frame]) -> Iterator[Record]:
        """The frames, and before some of them that their stream's order books do not go on."""
        for frame in frames:
            if not frame.is_message:
                continue
            if frame.stream.kind.book_channel is not None:
                before = self._heard.setdefault(frame.stream, frame.heard)
                if frame.heard != before:
                    self._heard[frame.stream] = frame.heard
                    reason = _break_reason(before, frame.heard)
                    yield break_record(frame.received_ns, frame.stream, reason, connected=True)
            yield _frame_record(frame)

    def flush(self) -> Flushed:
        """Write the unwritten ones to the journal; those that it has now are pending."""
        if self._journal is None:
            return Flushed()
        refusal: str | None = None
        try:
            self._journal.flush()
        except OSError as error:
            refusal = error.strerror or str(error)
        written = len(self._unwritten) - self._journal.waiting
        self._pending += self._unwritten[:written]
        del self._unwritten[:written]
        self._journaled += written
        return Flushed(len(self._unwritten), refusal)

    def make_rows(self, must_stop: Callable[[], bool]) -> int:
        """Make rows of the pending records, now and then asking whether to stop: a slow disk may take long.

        How many were made, the oldest. The others are put off; without a journal they are lost: their frames stay in
        the queue's count. So it is also with those behind a record that ends in an error.
        """
        made = 0
        try:
            for _ in self._applied(self._pending, must_stop):
                made += 1
        finally:
            self._settle(made)
        return made

    def put_off_rows(self) -> None:
        """Make no rows of the pending records."""
        self._settle(0)

    def catch_up(self, must_stop: Callable[[], bool]) -> int:
        """Make rows of some records that were put off; how many, those among them that are gone from the journal.

        OSError where the journal cannot be opened now.
        """
        if self._journal is None or not self.put_off:
            return 0
        records = self._records_read_back(self._journal)
        done: list[Record | int] = []
        try:
            for record in self._applied(records, must_stop):
                done.append(record)  # noqa: PERF402 - what is done before an error is done
        finally:
            self._made += sum(map(_records_in, done))
            if len(done) < len(records) or not self.put_off:
                self._read_back = None  # it has read too far, or everything
            with self._lock:
                for record in done:
                    self._count_caught_up(record)
                self._publish_tallies()
        return sum(map(_records_in, done))

    def take_gone(self) -> list[tuple[StreamId, int]]:
        """Events that were in the journal only and are gone with it, by stream, since the last time."""
        found, self._gone_untold = self._gone_untold, []
        return found

    def filed(self) -> int:
        """How many records of the journal, from its first on, are in the files and on the disk.

        Asked every few seconds. Rows that wait are written after `flush_seconds` of the records' own clock. Once a disk
        has failed to keep what was written, nobody knows which of the later rows it has, and it stays at what it was;
        so it does while files cannot be synced for want of open files.
        """
        counts = self._recorder.counts()
        if counts.problem is not None or counts.total.lost or counts.sync_failures or counts.sync_waits:
            return self._filed
        now = self._recorder.seconds
        self._asked.append((now, self._made))
        while self._asked and self._asked[0][0] + self._recorder.flush_seconds + _SYNCED_AFTER_SECONDS <= now:
            self._filed = self._asked.popleft()[1]
        return self._filed

    def note_flushed(self) -> None:
        """Note that every row was brought to its file a moment ago, where that is so."""
        counts = self._recorder.counts()
        if not (counts.problem or counts.total.buffered or counts.total.lost or counts.sync_failures):
            self._filed = self._made
            self._asked.clear()

    def _records_read_back(self, journal: JournalWriter) -> list[Record | int]:
        """Some of those that were put off, the oldest, and the holes between them."""
        records = list(islice(self._read_back or (), CATCH_UP_RECORDS))
        if not records:
            # It has read all that there was when it was opened.
            self._read_back = _with_holes(journal, self._made)
            records = list(islice(self._read_back, CATCH_UP_RECORDS))
        return records

    def _count_caught_up(self, record: Record | int) -> None:
        for stream, events in self._waiting.take(_records_in(record)).items():
            self._put_off[stream] -= events
            if isinstance(record, int) and events:
                # No row will ever be made of them: they stay in the count of what is queued.
                self._gone[stream] += events
                self._gone_untold.append((stream, events))

    def give_up(self) -> None:
        """Forget the unwritten records: their frames stay in the queue's count, and no later flush writes them."""
        if self._journal is not None:
            self._journal.discard()
        settled = _frames_in(self._pending)
        del self._frames[settled:]
        self._has_given_up |= bool(self._unwritten)
        # Frames are counted as lost; what was lost before them is so all the same.
        self._unsaid += [record for record in self._unwritten if record.kind in _SAID]
        self._unwritten.clear()

    def sync(self) -> None:
        """Wait until the disk has what the journal has; OSError when it fails."""
        if self._journal is not None:
            self._journal.sync()

    def close(self) -> None:
        """Write what is unwritten, if the disk takes it now, and give back the journal's file; OSError when not."""
        if self._journal is not None:
            self._journal.close()
            if not self._has_given_up:  # else it is further in them than what the journal has
                self.places = dict(self._places)

    def ledger(self) -> Ledger:
        """What queue, journal and rows have of each stream."""
        with self._lock:
            counts = self._queue.counts()
            streams = {
                name: (
                    replace(
                        counted,
                        queued=counted.queued + self._put_off.get(name, 0) + self._gone.get(name, 0),
                    ),
                    self._tallies.get(name) or StreamTally(),
                )
                for name, counted in counts.items()
            }
            return Ledger(streams, sum(self._put_off.values()), sum(self._gone.values()))

    def _applied(self, records: Sequence[T], must_stop: Callable[[], bool]) -> Iterator[T]:
        """Each record of which rows were made; and each hole, of which none can be."""
        check_at = time.monotonic() + CHECK_SECONDS
        for record in records:
            if time.monotonic() >= check_at:
                if must_stop():
                    return
                check_at = time.monotonic() + CHECK_SECONDS
            if isinstance(record, Record):
                self._recorder.apply(record)
            else:
                self._recorder.maker.lose_place()
            yield record

    def _settle(self, made: int) -> None:
        """Of the pending records so many are rows; the others are in the journal only, or nowhere."""
        pending, self._pending = self._pending, []
        count = _frames_in(pending)
        frames, self._frames = self._frames[:count], self._frames[count:]
        self._made += made
        with self._lock:
            self._publish_tallies()
            if self._journal is None:
                # What is no row now is nowhere: it stays in the queue's count, and at the end among what was lost.
                frames = frames[: _frames_in(pending[:made])]
            else:
                for record in pending[made:]:
                    self._waiting.add(record)
                    if record.kind is RecordKind.FRAME:
                        self._put_off[record.stream] += record.events
            self._queue.settle(frames)

    def _publish_tallies(self) -> None:
        self._tallies = {name: replace(tally) for name, tally in self._recorder.tallies.items()}


def _break_reason(before: Continuity, now: Continuity) -> str:
    if now.connection != before.connection:
        return "Its stream was connected anew; the whole book has not come since."
    return "Frames of its stream found the queue full and were dropped."


def _frame_record(frame: Frame) -> Record:
    return Record(RecordKind.FRAME, frame.received_ns, frame.payload, frame.stream, frame.events)


def _frames_in(records: Sequence[Record]) -> int:
    return sum(record.kind is RecordKind.FRAME for record in records)


def _records_in(one: Record | int) -> int:
    return one if isinstance(one, int) else 1


def _with_holes(journal: JournalWriter, skip: int) -> Iterator[Record | int]:
    """What is read back, and how many records are gone where some are."""
    holes: list[int] = []
    for record in journal.read_back(skip, lambda hole: holes.append(hole.records)):
        yield from holes
        holes.clear()
        yield record
    yield from holes
