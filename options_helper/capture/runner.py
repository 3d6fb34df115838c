"""Record the streams: the workers and the queue of the live page, into a journal first and then into partitions.

The writer's thread takes what the queue has, writes the journal, and only then makes rows of it. Under pressure it
stops making rows, which is what costs, and goes on with the journal; the rows follow from the journal when there is
time. Only when the queue itself is full are events dropped, newest first, and counted. What it does next is decided in
`pressure`; here it is carried out.

Rows that an earlier capture left in its journal, because it was killed, are made first; its own wait meanwhile.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Final, assert_never

from options_helper.capture.capture_config import CaptureConfig
from options_helper.capture.earlier_sessions import EarlierSessions
from options_helper.capture.pressure import (
    AwaitDisk,
    Broke,
    CaughtUp,
    Command,
    Done,
    EarlierRowsMade,
    Flushed,
    GivenUp,
    Happened,
    Noted,
    RowsMade,
    Seen,
    Step,
    Take,
    Taken,
    Writer,
    decide,
)
from options_helper.capture.session_log import SessionLog
from options_helper.capture.write_ahead import WriteAhead
from options_helper.clock import utc_now_ns
from options_helper.data.intraday.files import Disk
from options_helper.data.recording.journal import JournalWriter, Record, RecordKind, session_name
from options_helper.data.recording.recorder import RecordedGap, Recorder
from options_helper.data.recording.status import CaptureState, CaptureStatus
from options_helper.data.streaming.engine.stream_group import StreamGroup, with_ledger
from options_helper.data.streaming.engine.stream_source import AlpacaSource, StreamSource, require_offered
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.state.market_clock import MarketClock
from options_helper.model.announcement import Announcement
from options_helper.model.instants import utc_datetime
from options_helper.model.streams import StreamName
from options_helper.model.text import count_words
from options_helper.settings import Settings

__all__ = ["CaptureConfig", "CaptureEngine", "StreamRunner"]

log = logging.getLogger(__name__)

COMMIT_EVENTS: Final = 20_000
GATHER_SECONDS: Final = 0.1
DRAIN_SECONDS: Final = 9.0
STOP_SECONDS: Final = 0.9


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
        began_ns = now_ns()
        self._config = config
        self._now_ns = now_ns
        self._started_at = utc_datetime(began_ns)
        self.session = session_name(self._started_at, os.getpid())
        self._ending = threading.Event()
        self._leaving = threading.Event()
        self._drain_seconds = drain_seconds
        self._drain_deadline = inf
        # Filled by the stream threads, emptied by the writer.
        self._announcements: deque[Record] = deque()
        # The lock guards the clock: set by the stream threads and the writer, read by status().
        self._lock = threading.Lock()
        self._clock = MarketClock()
        self._streams = StreamGroup(
            config.streams,
            settings,
            source,
            retry or RetryPolicy(),
            clock=self._clock,
            lock=self._lock,
            announced=self._on_announcement,
            now_ns=now_ns,
            # Rows have the computer's time of receipt, and gaps are looked for beside them.
            report_clock=lambda wall_ns: wall_ns,
        )
        self._recorder = Recorder(
            config.out,
            self.session,
            config.policy,
            disk=disk,
            # What is in the journal need not hold up the end.
            past_deadline=self._past_deadline if config.journal else lambda: False,
        )
        journal = JournalWriter(config.out, self.session, disk) if config.journal else None
        self._records = WriteAhead(self._streams.queue, journal, self._recorder)
        self._log = SessionLog(config, self.session, began_ns, disk)
        self._earlier = EarlierSessions(config.out, self._recorder.store, began_ns, self._past_deadline)
        self._thread = threading.Thread(target=self._write, name="live-writer", daemon=True)
        # Only the writer changes these; status() may see them a moment old.
        self._writer = Writer(journals=config.journal)
        self._problem: str | None = None
        self._has_ended = False

    def start(self) -> None:
        """Take the folder and begin; returns at once.

        Without a journal it first makes the rows that a killed capture left in its own, which may take a while.
        """
        self._recorder.apply(self._log.began)
        self._earlier.look_back()
        self._log.save(durable=True)
        if self._config.journal:
            self._writer = Writer(journals=True, earlier=self._earlier.are_incomplete)
        else:
            self._make_earlier_rows_first()
        self._thread.start()
        self._streams.start()

    def _make_earlier_rows_first(self) -> None:
        """Without a journal its own rows cannot wait for those."""
        while self._earlier.are_incomplete and not self._leaving.is_set():
            for record in self._log.write_gaps(self._earlier.make_rows(), self._now_ns()):
                self._recorder.apply(record)
            self._earlier.confirm_completed()
        if self._earlier.rows:
            now_ns = self._now_ns()
            reason = "the rows of an earlier capture were made first"
            wanted = [name for name in StreamName if self._config.streams.wants(name)]
            gaps = [RecordedGap(name, self._log.began.received_ns, now_ns, reason) for name in wanted]
            self._log.write_gaps(gaps, now_ns)

    def stop(self) -> CaptureStatus:
        """Stop receiving, write everything, release the folder; at most ten seconds."""
        self._drain_deadline = time.monotonic() + self._drain_seconds
        self._streams.stop(STOP_SECONDS)
        self._ending.set()
        self._thread.join()
        return self.status()

    def leave(self) -> None:
        """Let the writer write what is at hand and end at once: the second signal."""
        self._leaving.set()
        self._ending.set()

    @property
    def is_writing(self) -> bool:
        """Whether the writer lives."""
        return self._thread.is_alive()

    def status(self) -> CaptureStatus:
        """Everything at this instant; the ledger is read as one."""
        now_ns = self._now_ns()
        writer = self._writer
        healths = self._streams.healths(now_ns)
        ledger = self._records.ledger()
        streams = {name: with_ledger(health, *ledger.streams[name]) for name, health in healths.items()}
        store = self._recorder.counts()
        # The journal has what the store had to give up.
        given_up = store.total.lost if self._config.journal else 0
        return CaptureStatus(
            as_of=utc_datetime(now_ns),
            state=self._state(writer, behind=writer.behind or ledger.put_off > 0),
            session=self.session,
            started_at=self._started_at,
            market=self._clock.kind,
            streams=streams,
            store=store,
            put_off=ledger.put_off + given_up,
            journal_bytes=self._records.journal_bytes,
            gaps=self._log.gap_count(streams),
            problem=self._problem or _refusal_words(writer) or store.problem,
            given_up=given_up,
            completed=self._earlier.rows,
        )

    def _state(self, writer: Writer, *, behind: bool) -> CaptureState:
        if self._has_ended:
            return CaptureState.ENDED
        if writer.refusal is not None:
            return CaptureState.DISK_REFUSES
        return CaptureState.JOURNAL_ONLY if behind else CaptureState.RECORDING

    def _on_announcement(self, announcement: Announcement) -> None:
        self._clock.announce(announcement)
        self._announcements.append(Record(RecordKind.MARKET, self._now_ns(), announcement.header().encode()))

    def _past_deadline(self) -> bool:
        return time.monotonic() >= self._deadline

    @property
    def _deadline(self) -> float:
        return -inf if self._leaving.is_set() else self._drain_deadline

    def _seen(self) -> Seen:
        queue = self._streams.queue
        return Seen(time.monotonic(), queue.fill, queue.drained, self._deadline)

    def _write(self) -> None:
        """The writer's thread."""
        happened = self._attempt(self._begin)
        while (command := self._decide(happened)) is not Step.END:
            happened = self._attempt(partial(self._carry_out, command))
        self._close()

    def _decide(self, happened: Happened) -> Command:
        before, seen = self._writer, self._seen()
        self._writer, command = decide(before, happened, seen)
        self._log_turn(before, seen)
        return command

    def _log_turn(self, before: Writer, seen: Seen) -> None:
        writer = self._writer
        if writer.refusal is not None and writer.refused:
            log.warning("%s", _refusal_words(writer))
        if writer.behind and not before.behind:
            why = "the end is due" if seen.past_deadline else f"the queue is {seen.fill:.0%} full"
            log.warning("%s: rows are put off, the journal goes on", why)
        elif before.behind and not writer.behind:
            log.info("the rows have caught up with the journal")

    def _attempt(self, work: Callable[[], Happened]) -> Happened:
        try:
            return work()
        except Exception as error:
            # The thread's last line: whatever this was, the capture must not look alive much longer.
            log.exception("the capture ends unexpectedly")
            self._problem = f"The capture ended unexpectedly ({type(error).__name__}): {error}"
            return Broke(self._records.unwritten, self._records.put_off)

    def _begin(self) -> Happened:
        self._streams.load_calendar()
        # Another kill may come at any moment: the end of the capture before is written down first.
        gaps = self._log.write_gaps(self._earlier.gaps_since_kills(), self._now_ns())
        self._earlier.confirm_missed()
        return Noted(self._records.add([self._log.began, *gaps]))

    def _carry_out(self, command: Command) -> Happened:  # noqa: C901, PLR0911, PLR0912 - a line for each
        match command:
            case Take(seconds):
                return self._take(seconds)
            case AwaitDisk(seconds):
                self._streams.keep_house()
                self._leaving.wait(seconds)
            case Step.FLUSH:
                return self._flush()
            case Step.MAKE_ROWS:
                return self._make_rows()
            case Step.PUT_OFF:
                self._records.put_off_rows()
                return RowsMade(0)
            case Step.CATCH_UP:
                return self._catch_up()
            case Step.MAKE_EARLIER_ROWS:
                return self._make_earlier_rows()
            case Step.GATHER:
                self._ending.wait(GATHER_SECONDS)
            case Step.OBSERVE:
                return self._observe()
            case Step.SYNC:
                self._sync()
            case Step.TAKE_REST:
                return self._take_rest()
            case Step.GIVE_UP:
                self._records.give_up()
                return GivenUp()
            case Step.CONCLUDE:
                return self._conclude()
            case Step.END:
                pass
            case _:
                assert_never(command)
        return Done()

    def _take(self, seconds: float) -> Happened:
        frames = self._streams.queue.take(seconds, COMMIT_EVENTS)
        # A connection announces its market before its first frame.
        announced = self._taken_announcements()
        return Taken(self._records.add(announced, frames, Record(RecordKind.TICK, self._now_ns())))

    def _take_rest(self) -> Taken:
        self._streams.queue.close()
        frames = self._streams.queue.take(0.0, COMMIT_EVENTS)
        return Taken(self._records.add(self._taken_announcements(), frames) if frames else 0)

    def _taken_announcements(self) -> list[Record]:
        return [self._announcements.popleft() for _ in range(len(self._announcements))]

    def _flush(self) -> Flushed:
        flushed = self._records.flush()
        if not flushed.waiting:
            self._earlier.confirm_completed()
        return flushed

    def _make_rows(self) -> RowsMade:
        must_stop = self._rows_press if self._config.journal else self._past_deadline
        made = self._records.make_rows(must_stop)
        self._follow_market()
        return RowsMade(made)

    def _catch_up(self) -> CaughtUp:
        made = self._records.catch_up(self._rows_press)
        self._follow_market()
        return CaughtUp(made)

    def _rows_press(self) -> bool:
        return self._seen().pressed

    def _follow_market(self) -> None:
        """So that the silence after a played session's end is known to be its end."""
        event = self._recorder.last_event
        with self._lock:
            if self._clock.plays and event is not None:
                self._clock.arrival(event.timestamp_ns, event.received_ns)

    def _make_earlier_rows(self) -> EarlierRowsMade:
        gaps = self._log.write_gaps(self._earlier.make_rows(), self._now_ns())
        return EarlierRowsMade(self._earlier.are_incomplete, self._records.add(gaps))

    def _observe(self) -> Noted:
        self._streams.keep_house()
        return Noted(self._records.add(self._log.observe(self.status(), self._now_ns())))

    def _sync(self) -> None:
        self._log.stay_alive(self._now_ns())
        try:
            self._records.sync()
        except OSError as error:
            log.warning("the journal could not be synced: %s", error)

    def _conclude(self) -> Noted:
        """Write the last rows and the last gaps; whatever is still in memory is written down as lost."""
        self._streams.queue.close()
        self._earlier.close()
        self._recorder.settle()
        now_ns = self._now_ns()
        gaps = self._log.observe_the_end(self.status(), now_ns)
        gaps += self._log.write_gaps(self._left_in_memory(now_ns), now_ns)
        if unwritten := self._log.unwritten_gaps:
            self._problem = f"The disk took no more; not in the ledger: {count_words(unwritten, 'gap')}."
        return Noted(self._records.add([*gaps, self._log.end_record(self.status(), now_ns)]))

    def _left_in_memory(self, now_ns: int) -> list[RecordedGap]:
        """Events that nothing more can be done for."""
        return [
            RecordedGap(name, now_ns, now_ns, "in memory at the end", counts.queued)
            for name, counts in self._streams.queue.counts().items()
            if counts.queued
        ]

    def _close(self) -> None:
        for close in (self._records.close, self._recorder.close):
            try:
                close()
            except OSError as error:
                self._problem = f"The disk took no more at the end ({error.strerror or error})."
            except Exception as error:
                # The thread's last line: the note of how it ended is to be written in any case.
                log.exception("the capture could not be closed")
                self._problem = f"The capture ended unexpectedly ({type(error).__name__}): {error}"
        self._log.end(self.status(), self._now_ns())
        self._has_ended = True


# What it was called first.
StreamRunner = CaptureEngine


def _refusal_words(writer: Writer) -> str | None:
    if writer.refusal is None:
        return None
    return f"The disk takes no more ({writer.refusal}); events wait in memory."
