"""Record the streams: the workers and the queue of the live page, into a journal first and then into partitions.

The writer's thread takes what the queue has, writes the journal, and only then makes rows of it. Under pressure it
stops making rows, which is what costs, and goes on with the journal; the rows follow from the journal when there is
time. Only when the queue itself is full are events dropped, newest first, and counted. What it does next is decided in
`pressure` and carried out in `writer`.

Rows that an earlier capture left in its journal, because it was killed, are made first; its own wait meanwhile.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from options_helper.bus.recording import BusRecording
from options_helper.capture.capture_config import CaptureConfig, wanted_streams
from options_helper.capture.deadline import Deadline
from options_helper.capture.earlier_sessions import EarlierSessions
from options_helper.capture.pressure import WriterState
from options_helper.capture.session_log import SessionLog
from options_helper.capture.write_ahead import WriteAhead
from options_helper.capture.writer import CaptureWriter
from options_helper.clock import boot_name, elapsed_seconds, utc_now_ns
from options_helper.data.intraday.files import Disk
from options_helper.data.recording.bus_places import places_of
from options_helper.data.recording.decoders import decoder_of
from options_helper.data.recording.journal import JournalWriter, Record, RecordKind, session_name
from options_helper.data.recording.recorder import Recorder
from options_helper.data.recording.status import CaptureState, CaptureStatus, unsynced_words
from options_helper.data.streaming.engine.stream_group import StreamGroup, with_ledger
from options_helper.data.streaming.engine.stream_source import AlpacaSource, StreamSource, require_offered
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.state.market_clock import MarketClock
from options_helper.errors import ConfigError
from options_helper.model.announcement import Announcement
from options_helper.model.gaps import Gap
from options_helper.model.instants import NANOSECONDS, utc_datetime
from options_helper.model.market_hours import ToldSessions
from options_helper.model.order_book import Book
from options_helper.settings import Settings

__all__ = ["CaptureConfig", "CaptureEngine", "StreamRunner"]

DRAIN_SECONDS: Final = 9.0
STOP_SECONDS: Final = 0.9


class CaptureEngine:
    """One capture, from `start` to `stop`; `status` may be asked from any thread.

    StoreError at `start` when another process records into the same folder, or the disk is nearly full; ConfigError
    when keys are missing, or the source decodes a stream that is recorded in another way than Alpaca's. `group_cls` and
    `writer_cls` make what runs in threads; `monotonic` measures silences, `writer_clock` the writer's pauses and the
    end.
    """

    def __init__(
        self,
        config: CaptureConfig,
        settings: Settings | None = None,
        *,
        source: StreamSource | None = None,
        retry: RetryPolicy | None = None,
        now_ns: Callable[[], int] = utc_now_ns,
        monotonic: Callable[[], float] = time.monotonic,
        elapsed: Callable[[], float] = elapsed_seconds,
        disk: Disk | None = None,
        drain_seconds: float = DRAIN_SECONDS,
        bus: BusRecording | None = None,
        group_cls: Callable[..., StreamGroup] = StreamGroup,
        writer_cls: Callable[..., CaptureWriter] = CaptureWriter,
        writer_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = settings or Settings.load()
        source = bus or source or AlpacaSource()
        self._bus = bus
        if bus is not None:
            config = replace(config, desk=bus.desk)
        source.check(settings)
        require_offered(config.streams, source)
        _require_recordable(config, source)
        disk = disk or Disk()
        began_ns = now_ns()
        self._config = config
        self._now_ns = now_ns
        self._started_at = utc_datetime(began_ns)
        self._elapsed = elapsed
        self._began = elapsed()
        self.session = session_name(self._started_at, os.getpid())
        self._drain_seconds = drain_seconds
        self._deadline = Deadline(writer_clock)
        # Replaced whole by the writer, read by any.
        self._books: Mapping[str, Book] = {}
        # Filled by the stream threads, emptied by the writer.
        self._announcements: deque[Record] = deque()
        # The lock guards the clock: set by the stream threads and the writer, read by status().
        self._lock = threading.Lock()
        self._clock = MarketClock(settings.market_kind)
        self._streams = group_cls(
            config.streams,
            settings,
            source,
            retry or RetryPolicy(),
            clock=self._clock,
            lock=self._lock,
            announced=self._on_announcement,
            now_ns=now_ns,
            monotonic=monotonic,
            elapsed=elapsed,
            # Rows have the computer's time of receipt, and gaps are looked for beside them.
            report_clock=lambda wall_ns: wall_ns,
        )
        self._recorder = Recorder(
            config.out,
            self.session,
            config.policy,
            disk=disk,
            # What is in the journal need not hold up the end.
            past_deadline=self._deadline.is_past if config.journal else lambda: False,
        )
        keep_folder = self._recorder.store.keep_folder
        journal = (
            JournalWriter(config.out, self.session, disk, keep_folder=keep_folder) if config.journal else None
        )
        self._records = WriteAhead(self._streams.queue, journal, self._recorder, config.desk)
        if bus is not None:
            bus.attach(lambda: self._streams.queue.fill)
        boot = boot_name()
        self._log = SessionLog(
            config, self.session, began_ns, disk, keep_folder=keep_folder, elapsed=elapsed, boot=boot
        )
        self._earlier = EarlierSessions(
            config.out,
            self._recorder.store,
            began_ns,
            self._deadline.is_past,
            elapsed=self._began,
            boot=boot,
        )
        self._writer = writer_cls(
            WriterState(journals=config.journal),
            self._streams,
            records=self._records,
            recorder=self._recorder,
            session_log=self._log,
            earlier=self._earlier,
            announcements=self._announcements,
            deadline=self._deadline,
            status=partial(self._status, watched=True),
            on_rows=self._on_rows,
            now_ns=now_ns,
            monotonic=writer_clock,
        )

    def start(self) -> None:
        """Take the folder and begin; returns in a second or two. After an error nothing runs, and the folder is free.

        Without a journal it first makes the rows that a killed capture left in its own, which may take a while.
        """
        self._recorder.apply(self._log.began)
        try:
            self._begin()
        except BaseException:
            if self._writer.is_alive:
                self.stop()
            else:
                self._earlier.close()
                self._writer.close_unstarted()
            raise

    def _begin(self) -> None:
        self._earlier.find_unfinished()
        self._log.give_number(self._earlier.next_number)
        self._log.save(durable=True)
        if self._bus is not None:
            self._go_on(self._bus)
        if self._config.journal:
            self._writer.state = WriterState(journals=True, earlier=self._earlier.are_incomplete)
        else:
            self._make_earlier_rows_first()
        # Of a year that no table has it takes a second: what came meanwhile would wait in memory, where a kill ends it.
        self._streams.load_calendar()
        self._writer.start()
        self._streams.start()

    def _go_on(self, bus: BusRecording) -> None:
        """From where the captures before this one had followed the desk, by their journals."""
        places = places_of(self._config.out, bus.desk)
        bus.resume(places)
        self._records.resume(places)
        if places:
            self._earlier.resume(bus.desk)

    def _make_earlier_rows_first(self) -> None:
        """Without a journal its own rows cannot wait for those."""
        while self._earlier.are_incomplete and not self._deadline.is_past():
            self._log.write_gaps(self._earlier.make_rows(), self._now_ns())
            if not self._log.unwritten_gaps:
                self._earlier.confirm_completed()
        if self._earlier.rows:
            now_ns = self._now_ns()
            reason = "the rows of an earlier capture were made first"
            wanted = wanted_streams(self._config.streams)
            gaps = [Gap(name, self._log.began.received_ns, now_ns, reason) for name in wanted]
            self._log.write_gaps(gaps, now_ns)

    def stop(self) -> CaptureStatus:
        """Stop receiving, write everything, release the folder; at most ten seconds with a disk that answers.

        A call that hangs in the disk cannot be interrupted, and is waited for. Whoever must not wait calls this on a
        daemon thread, as `commands.capture_session` does: that and the writer's thread end with the process, and the
        next capture makes the rows from the journal, as after a kill.
        """
        self._deadline.start(self._drain_seconds)
        if self._bus is not None:
            self._bus.end()
        try:
            self._streams.stop(STOP_SECONDS)
        finally:  # whatever the streams raise, what was received is written
            self._deadline.drain()
            self._writer.join()
        return self.status()

    def leave(self) -> None:
        """Let the writer write what is at hand and end at once: the second signal."""
        self._deadline.leave()

    def tell_hours(self, told: ToldSessions, ahead_ns: int) -> None:
        """What the market says of its hours, and how far this computer's clock is ahead: when silence is trouble.

        The rows keep this computer's time.
        """
        with self._lock:
            self._clock.told, self._clock.ahead_ns = told, ahead_ns

    @property
    def is_writing(self) -> bool:
        """Whether the writer lives."""
        return self._writer.is_alive

    def books(self) -> Mapping[str, Book]:
        """The order books as they were recorded last, by symbol; their receipts are by this computer's clock."""
        return self._books

    def status(self) -> CaptureStatus:
        """Everything at this instant; the ledger is read as one."""
        return self._status(watched=False)

    def _status(self, *, watched: bool) -> CaptureStatus:
        """The same; `watched` without what is written down where it happened, by the way of the frames."""
        now_ns = self._now_ns()
        bus = self._bus
        if bus is not None and bus.told_sessions:
            with self._lock:
                self._clock.told = dict(bus.told_sessions)
        writer = self._writer.state
        healths = self._streams.healths(now_ns)
        ledger = self._records.ledger()
        streams = {name: with_ledger(health, *ledger.streams[name]) for name, health in healths.items()}
        followed = streams
        if bus is not None:
            followed = {name: bus.watched(health) for name, health in streams.items()}
            streams = followed if watched else {name: bus.health(health) for name, health in streams.items()}
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
            gaps=self._log.gap_count(followed),
            problem=" ".join(
                filter(
                    None,
                    (
                        self._log.removals,
                        unsynced_words(store.sync_failures, has_journal=self._config.journal),
                        self._writer.problem or self._writer.refusal or store.problem,
                    ),
                )
            )
            or None,
            given_up=given_up,
            gone=ledger.gone,
            replay_of=self._clock.replay_of,
            running_seconds=self._elapsed() - self._began,
            removed=self._log.removed_rows,
            completed=self._earlier.rows,
            # What came while this process did not run is on the bus.
            absent_seconds=self._streams.absent_seconds if bus is None else 0.0,
            owner=None if bus is None else bus.owner,
            unowned_seconds=0.0 if bus is None else bus.unowned_seconds,
            clock_ahead_seconds=self._clock.ahead_ns / NANOSECONDS,
            told_sessions=dict(self._clock.told),
        )

    def _state(self, writer: WriterState, *, behind: bool) -> CaptureState:
        if self._writer.has_ended:
            return CaptureState.ENDED
        if writer.refusal is not None:
            return CaptureState.DISK_REFUSES
        return CaptureState.JOURNAL_ONLY if behind else CaptureState.RECORDING

    def _on_announcement(self, announcement: Announcement) -> None:
        self._clock.announce(announcement)
        self._announcements.append(Record(RecordKind.MARKET, self._now_ns(), announcement.header().encode()))

    def _on_rows(self) -> None:
        self._books = self._recorder.maker.books.look(self._config.books.levels)
        if (event := self._recorder.maker.last_event) is None:
            return
        with self._lock:
            # So that the silence after a played session's end is known to be its end.
            if self._clock.plays:
                self._clock.arrival(event.timestamp_ns, event.received_ns)


def _require_recordable(config: CaptureConfig, source: StreamSource) -> None:
    """Raise ConfigError where frames would be read otherwise by the source than from a journal, now or years later."""
    wanted = wanted_streams(config.streams)
    if strange := [name for name in wanted if source.decoder(name) is not decoder_of(name)]:
        raise ConfigError(
            f"{' and '.join(strange)} of {type(source).__name__} cannot be recorded into {config.out}: that source "
            f"decodes their frames itself, and a recording of {strange[0].provider} is read in another way "
            "(`recording.decoders`)."
        )


# What it was called first.
StreamRunner = CaptureEngine
