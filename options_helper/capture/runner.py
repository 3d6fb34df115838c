"""Record the streams: the workers and the queue of the live page, into a journal first and then into partitions.

The writer's thread commits in steps: it takes what the queue has, writes the journal, and only then makes rows of it.
Under pressure it stops making rows, which is what costs, and goes on with the journal; the rows follow from the
journal when there is time. Only when the queue itself is full are events dropped, newest first, and counted.

Rows that an earlier capture left in its journal, because it was killed, are made first; its own wait meanwhile.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import islice
from typing import Any, Final

from options_helper.capture.capture_config import CaptureConfig
from options_helper.capture.gap_watch import GapWatch
from options_helper.clock import utc_now_ns
from options_helper.data.intraday.files import Disk
from options_helper.data.recording.journal import (
    JournalWriter,
    Record,
    RecordKind,
    facts_record,
    last_record,
    read_records,
    session_name,
    sessions,
)
from options_helper.data.recording.loss_log import KILLED, KILLED_WITHOUT_JOURNAL, LossLog
from options_helper.data.recording.recorder import RecordedGap, Recorder
from options_helper.data.recording.recover import UNREADABLE_JOURNAL, Completion, complete
from options_helper.data.recording.session_notes import LastingGap, SessionNote, save_note, session_notes
from options_helper.data.recording.status import CaptureState, CaptureStatus
from options_helper.data.streaming.engine.frame_queue import QueueCounts
from options_helper.data.streaming.engine.stream_group import StreamGroup, with_ledger
from options_helper.data.streaming.engine.stream_source import AlpacaSource, StreamSource, require_offered
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.state.live_state import StreamTally
from options_helper.data.streaming.state.market_clock import MarketClock
from options_helper.model.announcement import Announcement
from options_helper.model.frames import Frame
from options_helper.model.instants import NANOSECONDS, utc_datetime
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamId, StreamName
from options_helper.model.text import count_words
from options_helper.settings import Settings

__all__ = ["CaptureConfig", "CaptureEngine"]

log = logging.getLogger(__name__)

COMMIT_SECONDS: Final = 0.5
COMMIT_EVENTS: Final = 20_000
SYNC_SECONDS: Final = 5.0
HOUSEKEEPING_SECONDS: Final = 0.5
DRAIN_SECONDS: Final = 9.0
STOP_SECONDS: Final = 0.9
# Above this share of the queue rows are put off; below the other they are made again.
PRESSURE: Final = 0.5
RELIEF: Final = 0.1
CATCH_UP_RECORDS: Final = 2_000
GATHER_SECONDS: Final = 0.1
RETRY_SECONDS: Final = 1.0
# How often the making of rows asks whether something else is more urgent.
ASK_SECONDS: Final = 0.05


class CaptureEngine:
    """One capture, from `start` to `stop`; `status` may be asked from any thread.

    StoreError at `start` when another process records into the same folder, or the disk is nearly full; ConfigError
    when keys are missing.
    """

    def __init__(
        self,
        config: CaptureConfig,
        settings: Settings | None = None,
        *,
        source: StreamSource | None = None,
        retry: RetryPolicy | None = None,
        now_ns: Callable[[], int] = utc_now_ns,
        disk: Disk | None = None,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        settings = settings or Settings.load()
        source = source or AlpacaSource()
        source.check(settings)
        require_offered(config.streams, source)
        disk = disk or Disk()
        self._config = config
        self._now_ns = now_ns
        self._drain_seconds = drain_seconds
        self._started_at = utc_datetime(now_ns())
        self.session = session_name(self._started_at, os.getpid())
        self._recorder = Recorder(
            config.out,
            self.session,
            config.policy,
            disk=disk,
            # What is in the journal need not hold up the end.
            past_deadline=self._must_leave if config.journal else lambda: False,
        )
        self._journal = JournalWriter(config.out, self.session, disk) if config.journal else None
        self._gap_ledger = LossLog(config.out, self.session, disk)
        self._gap_watch = GapWatch(now_ns())
        # Filled by the stream threads, emptied by the writer.
        self._announcements: deque[Record] = deque()
        self._clock = MarketClock()
        # Guards what must agree with the queue's counters: written by the writer, read by status().
        self._lock = threading.Lock()
        self._tallies: dict[StreamId, StreamTally] = {}
        self._put_off: dict[StreamId, int] = defaultdict(int)
        self._streams = StreamGroup(
            config.streams,
            settings,
            source,
            retry or RetryPolicy(),
            clock=self._clock,
            lock=self._lock,
            announced=self._announced,
            now_ns=now_ns,
            # Rows have the computer's time of receipt, and gaps are looked for beside them.
            report_clock=lambda wall_ns: wall_ns,
        )
        self._began = facts_record(RecordKind.SESSION, now_ns(), config.facts())
        self._note = self._new_note()
        self._writer = threading.Thread(target=self._write, name="live-writer", daemon=True)
        self._ending = threading.Event()
        self._leaving = threading.Event()
        self._drain_deadline = float("inf")
        # Only the writer changes these; status() may see them a moment old.
        self._state = CaptureState.RECORDING
        self._problem: str | None = None
        self._gaps = 0
        self._gaps_to_write: deque[RecordedGap] = deque()
        self._completed = 0
        self._journaled_records = 0
        self._applied_records = 0
        self._behind = False  # rows wait in the journal
        # Taken from the queue, and not in the journal yet: the disk refused.
        self._unwritten: list[Record] = []
        self._unsettled: list[Frame] = []
        self._follower: Iterator[Record] | None = None
        # Captures before this one: those that nobody has missed yet, and those whose rows are to be made.
        self._missed: list[SessionNote] = []
        self._incomplete: deque[SessionNote] = deque()
        self._completing: Generator[Completion] | None = None

    # ---- lifecycle

    def start(self) -> None:
        """Take the folder and begin; returns at once.

        Without a journal it first makes the rows that a killed capture left in its own, which may take a while.
        """
        self._recorder.apply(self._began)
        self._look_back()
        if self._journal is None:
            # Without a journal its own rows cannot wait for those.
            while self._incomplete and not self._leaving.is_set():
                self._complete_earlier()
            self._write_gaps(self._deaf_since_start())
        self._writer.start()
        self._streams.start()

    def _deaf_since_start(self) -> list[RecordedGap]:
        """What was not heard while an earlier capture's rows were made."""
        if not self._completed:
            return []
        streams, began_ns = self._config.streams, self._began.received_ns
        reason = "the rows of an earlier capture were made first"
        return [
            RecordedGap(name, began_ns, self._now_ns(), reason) for name in StreamName if streams.wants(name)
        ]

    def stop(self) -> CaptureStatus:
        """Stop receiving, write everything, release the folder; at most ten seconds."""
        self._drain_deadline = time.monotonic() + self._drain_seconds
        self._streams.stop(STOP_SECONDS)
        self._ending.set()
        self._writer.join()
        return self.status()

    def leave(self) -> None:
        """Let the writer write what is at hand and end at once: the second signal."""
        self._leaving.set()
        self._ending.set()

    @property
    def is_writing(self) -> bool:
        """Whether the writer lives."""
        return self._writer.is_alive()

    def _announced(self, announcement: Announcement) -> None:
        self._clock.announce(announcement)
        self._announcements.append(Record(RecordKind.MARKET, self._now_ns(), announcement.header().encode()))

    # ---- the writer's thread

    def _write(self) -> None:
        self._streams.load_calendar()
        try:
            # Another kill may come at any moment: the end of the capture before is told before this one begins.
            gaps = self._tell_sudden_ends()
            self._commit([self._began], ())
            self._journal_gaps(gaps)
            self._write_until_drained()
        except Exception as error:
            # The thread's last line: whatever this was, the capture must not look alive any more.
            log.exception("the capture ended unexpectedly")
            self._problem = f"The capture ended unexpectedly ({type(error).__name__}): {error}"
        finally:
            self._end()

    def _write_until_drained(self) -> None:
        queue = self._streams.queue
        next_look = next_sync = time.monotonic()
        while not self._must_leave() and (self._behind or not queue.drained):
            frames = queue.take(0.0 if self._behind else COMMIT_SECONDS, COMMIT_EVENTS)
            # A connection announces its market before its first frame.
            announced = [self._announcements.popleft() for _ in range(len(self._announcements))]
            tick = Record(RecordKind.TICK, self._now_ns())
            self._commit([*announced, *map(_frame_record, frames), tick], frames)
            if self._behind:
                self._catch_up()
            else:
                # Small commits make small members: let some frames gather, unless the end has come.
                self._ending.wait(GATHER_SECONDS)
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + HOUSEKEEPING_SECONDS
                self._keep_house()
            if time.monotonic() >= next_sync:
                next_sync = time.monotonic() + SYNC_SECONDS
                self._sync()

    def _must_leave(self) -> bool:
        return self._leaving.is_set() or time.monotonic() >= self._drain_deadline

    def _commit(self, records: Sequence[Record], frames: Sequence[Frame]) -> None:
        """Journal the records, make rows of them unless rows must wait, and settle the frames they are from."""
        self._unwritten += records
        self._unsettled += frames
        # Until a later commit writes them, frames that are refused stay in the queue's count.
        written = len(self._unwritten) - self._journal_all(records)
        records, self._unwritten = self._unwritten[:written], self._unwritten[written:]
        settled = sum(record.kind is RecordKind.FRAME for record in records)
        frames, self._unsettled = self._unsettled[:settled], self._unsettled[settled:]
        self._journaled_records += len(records)
        applied = 0 if self._rows_must_wait() else self._apply(records, self._rows_must_wait)
        self._applied_records += applied
        unmade = [record for record in records[applied:] if record.kind is RecordKind.FRAME]
        with self._lock:
            self._publish_tallies()
            if self._journal is None:
                # What is no row now is nowhere: it stays in the queue's count, and at the end among what was lost.
                self._streams.queue.settle(list(islice(frames, len(frames) - len(unmade))))
                return
            for record in unmade:
                self._put_off[record.stream] += record.events
            self._streams.queue.settle(frames)

    def _apply(self, records: Sequence[Record], stop: Callable[[], bool]) -> int:
        """Make rows of them, now and then asking whether to stop: a slow disk may take long. How many were made."""
        ask_at = time.monotonic() + ASK_SECONDS
        for number, record in enumerate(records):
            if time.monotonic() >= ask_at:
                if stop():
                    return number
                ask_at = time.monotonic() + ASK_SECONDS
            self._recorder.apply(record)
        return len(records)

    def _journal_all(self, records: Sequence[Record]) -> int:
        """Write them; while the disk refuses, wait and let the queue fill. How many it still refuses at the end."""
        if self._journal is None:
            return 0
        for record in records:
            self._journal.append(record)
        while True:
            try:
                self._journal.flush()
            except OSError as error:
                self._state = CaptureState.DISK_REFUSES
                self._problem = f"The disk takes no more ({error.strerror or error}); events wait in memory."
                log.warning("%s", self._problem)
                self._streams.keep_house()
                self._leaving.wait(min(RETRY_SECONDS, max(0.0, self._drain_deadline - time.monotonic())))
                if self._must_leave():
                    return self._journal.waiting
                continue
            if self._state is CaptureState.DISK_REFUSES:
                self._state = CaptureState.JOURNAL_ONLY if self._behind else CaptureState.RECORDING
                self._problem = None
            return 0

    def _rows_must_wait(self) -> bool:
        """Under pressure they do; and once some wait, all that follow have to, so that the order is kept."""
        if self._journal is None:
            return self._must_leave()
        if not self._behind and self._under_pressure():
            why = "the end is due" if self._must_leave() else f"the queue is {self._fill:.0%} full"
            log.warning("%s: rows are put off, the journal goes on", why)
            self._behind = True
            self._state = CaptureState.JOURNAL_ONLY
        return self._behind

    def _under_pressure(self) -> bool:
        return self._must_leave() or self._fill >= PRESSURE

    @property
    def _fill(self) -> float:
        return self._streams.queue.fill

    def _catch_up(self) -> None:
        """Make rows of some records that were put off, when the pressure is over."""
        if self._fill > RELIEF and not self._ending.is_set():
            return
        if self._incomplete:
            self._complete_earlier()
            return
        if self._follower is None:
            files = sessions(self._config.out)[self.session]
            self._follower = read_records(files, self._applied_records)
        records = list(islice(self._follower, CATCH_UP_RECORDS))
        if not records:
            self._follower = None  # what was appended since it was opened is for the next one
        applied = self._apply(records, self._under_pressure)
        if applied < len(records):
            self._follower = None
        self._applied_records += applied
        with self._lock:
            for record in records[:applied]:
                if record.kind is RecordKind.FRAME:
                    self._put_off[record.stream] -= record.events
            self._publish_tallies()
        if self._applied_records == self._journaled_records:
            log.info("the rows have caught up with the journal")
            self._behind, self._follower, self._state = False, None, CaptureState.RECORDING

    def _publish_tallies(self) -> None:
        self._tallies = {name: replace(tally) for name, tally in self._recorder.tallies.items()}
        event = self._recorder.last_event
        if self._clock.plays and event is not None:
            # So that the silence after a played session's end is known to be its end.
            self._clock.arrival(event.timestamp_ns, event.received_ns)

    # ---- the captures before this one

    def _look_back(self) -> None:
        notes = session_notes(self._config.out)
        self._missed = [note for note in notes if note.ended_ns is None and not note.missed]
        files = sessions(self._config.out)
        self._incomplete.extend(note for note in notes if note.behind and note.session in files)
        if self._incomplete and self._journal is not None:
            self._behind, self._state = True, CaptureState.JOURNAL_ONLY
        self._save_note(durable=True)

    def _tell_sudden_ends(self) -> list[RecordedGap]:
        """Write down what those captures have not heard since they were killed."""
        gaps = [gap for note in self._missed for gap in self._unheard_since(note)]
        self._write_gaps(gaps)
        for note in self._missed:
            log.warning("The capture %s was ended without warning.", note.session)
            self._save_other_note(note.session, missed=True)
        return gaps

    def _unheard_since(self, note: SessionNote) -> Iterator[RecordedGap]:
        until_ns = self._began.received_ns
        reason = KILLED if note.journal else KILLED_WITHOUT_JOURNAL
        if note.journal:
            since_ns = self._journaled_until(note)
        else:
            since_ns = max(note.began_ns, note.seen_ns - int(note.flush_seconds * NANOSECONDS))
        for name in [name for name in StreamName if name in note.asked]:
            # A gap that nobody could close lasts until now.
            lasting = [gap for gap in note.gaps if gap.stream == name]
            for gap in lasting:
                yield RecordedGap(
                    name,
                    gap.since_ns,
                    until_ns,
                    f"{gap.reason.removesuffix('.')}. Then {reason}",
                    None,
                    gap.symbols,
                )
            if all(gap.symbols for gap in lasting):
                yield RecordedGap(name, since_ns, until_ns, reason)

    def _journaled_until(self, note: SessionNote) -> int:
        """When the journal of an earlier capture ends; when that one began, if nothing of it can be read."""
        try:
            last = last_record(sessions(self._config.out).get(note.session, []))
        except UNREADABLE_JOURNAL as error:
            log.warning("The journal of %s cannot be read: %s", note.session, error)
            last = None
        return note.began_ns if last is None else last.received_ns

    def _complete_earlier(self) -> None:
        """Make some of the rows that the oldest of them left in its journal."""
        note = self._incomplete[0]
        if self._completing is None:
            log.warning("Making the rows of %s that are in its journal only.", note.session)
            files = sessions(self._config.out)[note.session]
            self._completing = complete(self._recorder.store, note, files, self._must_leave)
        step = next(self._completing)
        if step.unplaced is None:
            return
        self._completing = None
        self._incomplete.popleft()
        if self._must_leave():
            return  # some may have been given up for want of time; the next capture makes them
        self._completed += step.rows
        log.warning("%d rows of %s were made from its journal.", step.rows, note.session)
        if step.refused:
            log.error("The rest has to wait for the next capture: %s", step.refused)
            return
        reasons = {
            StreamName(
                kind
            ): f"{rows} rows of {note.session} are in its journal only, because later ones are in "
            "the files already; `options-helper stream rebuild` makes them"
            for kind, rows in step.unplaced.items()
        }
        if step.problem:
            log.error("The journal of %s: %s", note.session, step.problem)
            damaged = f"the journal of {note.session} cannot be read to its end: {step.problem}"
            reasons |= {name: damaged for name in StreamName if name in note.asked}
        gaps = [
            RecordedGap(name, note.began_ns, self._began.received_ns, why) for name, why in reasons.items()
        ]
        self._write_gaps(gaps)
        self._journal_gaps(gaps)
        self._save_other_note(note.session, completed=True)

    # ---- what this one writes down of itself

    def _new_note(self) -> SessionNote:
        config = self._config
        return SessionNote(
            session=self.session,
            began_ns=self._began.received_ns,
            seen_ns=self._began.received_ns,
            journal=config.journal,
            flush_events=config.policy.flush_rows,
            flush_seconds=config.policy.flush_seconds,
            asked={
                name: tuple(config.streams.symbols(name)) for name in StreamName if config.streams.wants(name)
            },
        )

    def _save_note(self, *, durable: bool = False) -> None:
        try:
            save_note(self._config.out, self._note, durable=durable)
        except OSError as error:
            log.info("the note of this session cannot be written: %s", error)

    def _save_other_note(self, session: str, **changes: Any) -> None:
        for note in session_notes(self._config.out):
            if note.session == session:
                with suppress(OSError):  # the next capture finds it as it was, and does all of this again
                    save_note(self._config.out, replace(note, **changes), durable=True)

    def _keep_house(self) -> None:
        self._streams.keep_house()
        self._note_gaps(ending=False)

    def _note_gaps(self, *, ending: bool) -> None:
        status, now_ns = self.status(), self._now_ns()
        unwritten: dict[StreamId, int] = (
            {}
            if self._journal is not None
            else {StreamName(kind): counts.lost for kind, counts in status.store.kinds.items()}
        )
        gaps = self._gap_watch.look(status.streams, now_ns, unwritten=unwritten, ending=ending)
        if gaps or self._gaps_to_write:
            self._write_gaps(gaps)
            self._journal_gaps(gaps)
        lasting = tuple(
            LastingGap(gap.stream, gap.since_ns, gap.reason, gap.symbols)
            for gap in self._gap_watch.lasting(status.streams, now_ns)
        )
        if lasting != self._note.gaps and not ending:
            self._note = replace(self._note, gaps=lasting, seen_ns=now_ns)
            self._save_note()

    def _write_gaps(self, gaps: Sequence[RecordedGap]) -> None:
        """Add them to the ledger; what the disk refuses is tried again at each look."""
        self._gaps += len(gaps)
        self._gaps_to_write.extend(gaps)
        try:
            while self._gaps_to_write:
                self._gap_ledger.write(self._gaps_to_write[0])
                self._gaps_to_write.popleft()
        except OSError as error:
            log.warning("a gap could not be written down yet: %s", error)

    def _journal_gaps(self, gaps: Sequence[RecordedGap]) -> None:
        now_ns = self._now_ns()
        self._commit([facts_record(RecordKind.GAP, now_ns, asdict(gap)) for gap in gaps], ())

    def _sync(self) -> None:
        self._note = replace(self._note, seen_ns=self._now_ns())
        self._save_note()
        if self._journal is None:
            return
        try:
            self._journal.sync()
        except OSError as error:
            log.warning("the journal could not be synced: %s", error)

    def _end(self) -> None:
        """Write what is at hand: to the journal, which is quick; the rows that wait can be made from it later."""
        try:
            if self._completing is not None:
                self._completing.close()
            self._save_the_rest()
            self._give_up_unwritten()
            self._recorder.settle()
            self._note_gaps(ending=True)
            left = self._left_behind()
            self._write_gaps(left)
            self._journal_gaps(left)
            if self._gaps_to_write:
                missing = count_words(len(self._gaps_to_write), "gap")
                self._problem = f"The disk took no more; not in the ledger: {missing}."
            if self._journal is not None:
                self._commit([facts_record(RecordKind.END, self._now_ns(), self._totals())], ())
                self._journal.close()
        except OSError as error:
            self._problem = f"The disk took no more at the end ({error.strerror or error})."
        finally:
            self._recorder.close()
            now_ns = self._now_ns()
            put_off = self.status().put_off
            refused = tuple(gap for gap in self._note.gaps if gap.symbols)
            self._note = replace(
                self._note, seen_ns=now_ns, ended_ns=now_ns, put_off=put_off, gaps=(), refused=refused
            )
            self._save_note(durable=True)
            self._state = CaptureState.ENDED

    def _give_up_unwritten(self) -> None:
        """What the disk refused to the last is lost, and is told so: a later flush must not write it after all."""
        if self._journal is not None and self._unwritten:
            self._journal.discard()
            self._unwritten, self._unsettled = [], []

    def _left_behind(self) -> list[RecordedGap]:
        """Events that are still in memory, when nothing more can be done for them."""
        now_ns = self._now_ns()
        left = {name: health.queued - self._put_off[name] for name, health in self.status().streams.items()}
        return [
            RecordedGap(name, now_ns, now_ns, "in memory at the end", events)
            for name, events in left.items()
            if events
        ]

    def _totals(self) -> dict[str, object]:
        status = self.status()
        return {
            "gaps": status.gaps,
            "streams": {
                name: {
                    "received": health.received,
                    "dropped": health.dropped,
                }
                for name, health in status.streams.items()
                if health.phase is not Phase.OFF
            },
        }

    def _save_the_rest(self) -> None:
        queue = self._streams.queue
        queue.close()
        while (
            self._journal is not None and not self._unwritten and (frames := queue.take(0.0, COMMIT_EVENTS))
        ):
            self._behind = True
            self._commit([_frame_record(frame) for frame in frames], frames)

    # ---- reading

    def status(self) -> CaptureStatus:
        """Everything at this instant; the ledger is read as one."""
        now_ns = self._now_ns()
        healths = self._streams.healths(now_ns)
        with self._lock:
            counts = self._streams.queue.counts()
            streams = {
                name: with_ledger(
                    health, self._counted(name, counts[name]), self._tallies.get(name) or StreamTally()
                )
                for name, health in healths.items()
            }
            put_off = sum(self._put_off.values())
        store = self._recorder.counts()
        # The journal has what the store had to give up.
        given_up = 0 if self._journal is None else store.total.lost
        return CaptureStatus(
            as_of=utc_datetime(now_ns),
            state=self._state,
            session=self.session,
            started_at=self._started_at,
            market=self._clock.kind,
            streams=streams,
            store=store,
            put_off=put_off + given_up,
            journal_bytes=0 if self._journal is None else self._journal.written_bytes,
            gaps=self._gaps + self._gap_watch.unseen(streams),
            problem=self._problem or store.problem,
            given_up=given_up,
            completed=self._completed,
        )

    def _counted(self, name: StreamId, counts: QueueCounts) -> QueueCounts:
        # Rows that were put off are on their way still.
        return replace(counts, queued=counts.queued + self._put_off.get(name, 0))


def _frame_record(frame: Frame) -> Record:
    return Record(RecordKind.FRAME, frame.received_ns, frame.payload, frame.stream, frame.events)
