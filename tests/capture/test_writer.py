"""Whatever ends a capture, what was taken for its journal is in it: the writer's own thread, and no stream's."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from options_helper.capture.capture_config import CaptureConfig
from options_helper.capture.deadline import Deadline
from options_helper.capture.earlier_sessions import EarlierSessions
from options_helper.capture.pressure import WriterState
from options_helper.capture.session_log import SessionLog
from options_helper.capture.write_ahead import WriteAhead
from options_helper.capture.writer import CaptureWriter
from options_helper.data.intraday.files import Disk
from options_helper.data.intraday_store import StorePolicy
from options_helper.data.recording.journal import (
    JournalWriter,
    Record,
    RecordKind,
    journal_files,
    read_records,
)
from options_helper.data.recording.loss_log import loss_rows
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.recorder import Recorder
from options_helper.data.streaming.engine.frame_queue import FrameQueue
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.model.gaps import Gap
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from tests.kit.captured import AAPL_QUOTES, bid_sizes, rows_in
from tests.kit.fakes import NOON, frame, quote_message
from tests.kit.heartbeats import capture_status

STOCKS = StreamName.STOCKS
SECOND = 1_000_000_000
ASLEEP = Gap(STOCKS, NOON - 60 * SECOND, NOON, "This process did not run for 60 s.")
MARKET = Record(RecordKind.MARKET, NOON, b"simulator")


class Broken(Exception):
    """What nobody foresaw."""


class Streams:
    """A queue that the test has filled, and what is noticed as somebody looks."""

    def __init__(self, look: Callable[[Streams], None]) -> None:
        self.queue = FrameQueue(100_000, (STOCKS,))
        self.absent_seconds = 0.0
        self.health = StreamHealth(STOCKS, phase=Phase.LIVE, connections=1)
        self._look = look

    def look(self) -> None:
        """Notice something."""
        self._look(self)

    def keep_house(self, _tallies: object) -> None:
        """Look at nothing."""

    def receive(self, *sizes: int) -> None:
        """Quotes come."""
        for size in sizes:
            self.queue.put(STOCKS, frame(quote_message("AAPL", bs=size)), 1, NOON)

    def oversleep(self) -> None:
        """The gap of a process that did not run."""
        self.absent_seconds = 60.0
        self.health = replace(self.health, gaps=(ASLEEP,), gap_count=1)


def look_at_nothing(_streams: Streams) -> None:
    """Nothing happens."""


class Capture:
    """A capture whose thread is the only one."""

    def __init__(
        self,
        root: Path,
        look: Callable[[Streams], None] = look_at_nothing,
        *,
        journal: bool = True,
        disk: Disk | None = None,
    ) -> None:
        self.root = root
        self.streams: Any = Streams(look)
        self.deadline = Deadline(lambda: 0.0)
        self.announcements: deque[Record] = deque()
        self.recorder = Recorder(root, "one", StorePolicy(min_free_bytes=0))
        config = CaptureConfig(LiveStreamConfig(stocks=("AAPL",)), root, journal=journal)
        log = SessionLog(config, "one", NOON, Disk(), elapsed=lambda: 0.0)
        self.recorder.apply(log.began)
        records = WriteAhead(
            self.streams.queue, JournalWriter(root, "one", disk) if journal else None, self.recorder
        )
        self.earlier = EarlierSessions(root, self.recorder.store, NOON, self.deadline.is_past)
        self.writer = CaptureWriter(
            WriterState(journals=journal),
            self.streams,
            records=records,
            recorder=self.recorder,
            session_log=log,
            earlier=self.earlier,
            announcements=self.announcements,
            deadline=self.deadline,
            status=lambda: capture_status(self.streams.health),
            on_rows=lambda: None,
            now_ns=lambda: NOON,
            monotonic=lambda: 0.0,
        )

    def run(self) -> None:
        """To its end."""
        self.writer.start()
        self.writer.join()

    def journaled(self, kind: RecordKind) -> list[Record]:
        return [record for record in read_records(journal_files(self.root)) if record.kind is kind]

    @property
    def told(self) -> list[str]:
        """The reasons in the loss log, which a rebuild has of the journal too."""
        rebuild(self.root, self.root / "again")
        told = [row.reason for row in loss_rows(self.root)]
        assert [row.reason for row in loss_rows(self.root / "again")] == told
        return told


def test_what_is_noticed_behind_the_last_frame_is_in_the_journal_as_in_the_loss_log(tmp_path: Path):
    """A computer that slept until its second signal, and a market that was announced and sent nothing."""
    capture = Capture(tmp_path, Streams.oversleep)
    capture.announcements.append(MARKET)
    capture.deadline.leave()
    capture.run()

    assert capture.told == [ASLEEP.reason]
    assert [record.gap for record in capture.journaled(RecordKind.GAP)] == [ASLEEP]
    assert [record.payload for record in capture.journaled(RecordKind.MARKET)] == [MARKET.payload]
    assert len(capture.journaled(RecordKind.END)) == 1


@pytest.mark.parametrize("journal", [True, False])
def test_an_error_as_frames_are_taken_costs_none_of_them(tmp_path: Path, *, journal: bool):
    """They are in the queue no more."""
    looks = iter(["breaks"])

    def look(_streams: Streams) -> None:
        if next(looks, None):
            raise Broken

    capture = Capture(tmp_path, look, journal=journal)
    capture.streams.receive(1, 2, 3)
    capture.run()

    assert "Broken" in (capture.writer.problem or "")
    if journal:
        rebuild(tmp_path, tmp_path / "again")
    assert bid_sizes(rows_in((tmp_path / "again" if journal else tmp_path) / AAPL_QUOTES)) == [1, 2, 3]
    assert not list(loss_rows(tmp_path)), "they count as lost"


def test_an_error_that_stays_costs_nothing_of_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """All of a long queue goes to the journal, whatever cannot be found out beside it."""
    monkeypatch.setattr("options_helper.capture.writer.COMMIT_EVENTS", 2)

    def look(_streams: Streams) -> None:
        raise Broken

    capture = Capture(tmp_path, look)
    capture.streams.receive(*range(1, 10))
    capture.run()

    rebuild(tmp_path, tmp_path / "again")
    assert bid_sizes(rows_in(tmp_path / "again" / AAPL_QUOTES)) == list(range(1, 10))
    assert not list(loss_rows(tmp_path)), "they count as lost"


def test_an_error_in_the_last_rows_keeps_nothing_of_the_end_from_being_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def settle() -> None:
        raise Broken

    capture = Capture(tmp_path, Streams.oversleep)
    monkeypatch.setattr(capture.recorder, "settle", settle)
    capture.deadline.leave()
    capture.run()

    assert "Broken" in (capture.writer.problem or "")
    assert capture.told == [ASLEEP.reason]
    assert len(capture.journaled(RecordKind.END)) == 1


def test_an_error_between_a_gap_and_its_record_does_not_keep_it_from_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It is in the loss log by then."""
    begins = iter(["well"])

    def confirm() -> None:
        if next(begins, None) is None:
            raise Broken

    capture = Capture(tmp_path)
    monkeypatch.setattr(capture.earlier, "confirm_missed", confirm)
    capture.streams.oversleep()
    capture.run()

    assert "Broken" in (capture.writer.problem or "")
    assert capture.told == [ASLEEP.reason]


def test_what_a_full_disk_did_not_take_of_the_capture_s_own_words_its_journal_says_at_the_end(tmp_path: Path):
    """The frames are lost, and counted; the gap that was before them was one all the same."""
    tried = []

    def write(descriptor: int, data: memoryview) -> int:
        if len(tried) < 2:
            tried.append(len(data))
            raise OSError(28, "No space left on device")
        return os.write(descriptor, data)

    capture = Capture(tmp_path, Streams.oversleep, disk=Disk(write=write))
    capture.streams.oversleep()
    capture.streams.receive(1)
    capture.deadline.leave()
    capture.run()

    assert len(tried) == 2
    assert set(capture.told) == {ASLEEP.reason, "in memory at the end"}
    assert len(capture.journaled(RecordKind.SESSION)) == 1
