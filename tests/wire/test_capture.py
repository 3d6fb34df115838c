"""The recorder on a real socket: what the server sent is in the files, and what is not is written down."""

from __future__ import annotations

import csv
import errno
import itertools
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from options_helper.capture import pressure, write_ahead, writer
from options_helper.capture.pressure import SYNC_SECONDS
from options_helper.capture.runner import DRAIN_SECONDS, CaptureConfig, CaptureEngine
from options_helper.capture.session_log import BEGAN_LATE
from options_helper.clock import utc_now, utc_now_ns
from options_helper.commands.capture_troubles import troubles_of
from options_helper.data.intraday.files import Disk
from options_helper.data.intraday.layout import find_parts
from options_helper.data.intraday.pace import FLUSH_ROWS, FLUSH_SECONDS
from options_helper.data.intraday_store import IntradayStore, StorePolicy
from options_helper.data.recording.journal import (
    JournalWriter,
    RecordKind,
    facts_record,
    journal_files,
    read_records,
)
from options_helper.data.recording.loss_log import KILLED
from options_helper.data.recording.session_notes import SessionNote, save_note, session_notes
from options_helper.data.recording.status import CaptureState, CaptureStatus
from options_helper.data.recording.verify import audit
from options_helper.data.streaming.alpaca_stream import AlpacaOptionStreamer, AlpacaStockStreamer
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.engine.stream_group import StreamGroup
from options_helper.data.streaming.engine.stream_source import AlpacaSource
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.errors import StoreError
from options_helper.model.instants import (
    NANOSECONDS,
    datetime_nanoseconds,
    epoch_nanoseconds,
    timestamp_extension,
    utc_datetime,
)
from options_helper.model.market_hours import new_york_date
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.market.replay import ReplayMarket
from options_helper.simulator.server import SimulatorServer
from options_helper.simulator.wire.protocol import FREE_PLAN
from tests.kit.fakes import SteppedClock
from tests.kit.pace import LONG
from tests.kit.recordings import Recordings, record_spxw_quotes, spxw_rows, taq_rows, write_partition
from tests.kit.simulated import settings_for
from tests.kit.waiting import AT_ONCE, FOREVER, at_once, wait_until
from tests.wire.test_engine import CALL, NOON, PATIENT, quote

STOCKS, OPTIONS = StreamName.STOCKS, StreamName.OPTIONS
STREAMS = LiveStreamConfig(
    stocks=("AAPL", "MSFT"),
    option_contracts=(CALL,),
    stream_fills=False,
    reconnect_base_seconds=0.05,
    reconnect_cap_seconds=0.1,
)
ONLY_STOCKS = replace(STREAMS, stream_options=False)

NOON_DAY = new_york_date(utc_datetime(NOON)).isoformat()
Simulators = Callable[..., SimulatorServer]


@pytest.fixture
def simulator(running_simulator: Simulators) -> Simulators:
    return partial(running_simulator, SilentMarket(start_ns=NOON))


def runner(
    server: SimulatorServer,
    out: Path,
    streams: LiveStreamConfig = STREAMS,
    *,
    disk: Disk | None = None,
    flush_events: int = FLUSH_ROWS,
    flush_seconds: float = FLUSH_SECONDS,
    journal: bool = True,
    drain_seconds: float = DRAIN_SECONDS,
    retry: RetryPolicy | None = None,
    **more: Any,
) -> CaptureEngine:
    policy = StorePolicy(flush_rows=flush_events, flush_seconds=flush_seconds)
    return CaptureEngine(
        CaptureConfig(streams, out, journal, policy),
        settings_for(server),
        source=AlpacaSource(
            stocks=partial(AlpacaStockStreamer, timing=PATIENT),
            options=partial(AlpacaOptionStreamer, timing=PATIENT),
        ),
        retry=retry or RetryPolicy(slow_base_seconds=0.1),
        disk=disk,
        drain_seconds=drain_seconds,
        **more,
    )


@contextmanager
def capturing(
    server: SimulatorServer, out: Path, streams: LiveStreamConfig = STREAMS, **more: Any
) -> Iterator[CaptureEngine]:
    """A capture that is live; stopped, and its ledger checked, at the end."""
    capture = runner(server, out, streams, **more)
    capture.start()
    try:
        wanted = [name for name in (STOCKS, OPTIONS) if streams.wants(name)]
        wait_until(
            lambda: all(capture.status().streams[name].connections for name in wanted),
            saw=capture.status,
        )
        yield capture
    finally:
        status = capture.stop()
        assert status.accounted, status
        assert status.state is CaptureState.ENDED


def until_received(capture: CaptureEngine, server: SimulatorServer, *names: StreamName) -> None:
    server.flush()
    wait_until(
        lambda: all(
            capture.status().streams[name].received == server.sent[name] for name in names or (STOCKS,)
        ),
        saw=capture.status,
    )


def gap_rows(out: Path) -> list[dict[str, str]]:
    rows = []
    for path in sorted((out / "gaps").glob("*.csv")):
        with path.open(newline="") as file:
            rows += list(csv.DictReader(file))
    return rows


def rows_on_disk(out: Path, kind: str = "stocks", dataset: str = "quotes", symbol: str = "AAPL") -> Any:
    return IntradayStore(out).read(kind, dataset, symbol)


def test_what_the_server_sent_is_in_the_files_with_every_value(simulator: Simulators, tmp_path: Path):
    server = simulator()
    with capturing(server, tmp_path) as capture:
        for number in range(700):
            server.push(STOCKS, [quote(bid=100 + number / 100), quote("MSFT", 500.25)])
        server.push(OPTIONS, [quote(CALL, 4.2)])
        until_received(capture, server, STOCKS, OPTIONS)
        final = capture.stop()

    assert final.store.total.written == 1_401
    assert (final.lost, final.put_off) == (0, 0)
    quotes = rows_on_disk(tmp_path)
    assert list(quotes["bid_price"]) == [100 + number / 100 for number in range(700)]
    assert set(quotes["ts_ns"]) == {NOON}
    assert list(quotes["seq"]) == list(range(1, 701))
    assert len(rows_on_disk(tmp_path, symbol="MSFT")) == 700
    assert len(rows_on_disk(tmp_path, "options", symbol=CALL)) == 1


def test_the_journal_holds_every_frame_before_its_rows_are_made(simulator: Simulators, tmp_path: Path):
    server = simulator()
    with capturing(server, tmp_path) as capture:
        for _ in range(10):
            server.push(STOCKS, [quote(), quote("MSFT")])
        until_received(capture, server)

    records = list(read_records(journal_files(tmp_path)))
    assert records[0].kind is RecordKind.SESSION
    assert records[0].facts["streams"]["stocks"] == ["AAPL", "MSFT"]
    assert sum(record.events for record in records if record.kind is RecordKind.FRAME) == 20


def test_a_capture_without_a_journal_has_the_same_rows(simulator: Simulators, tmp_path: Path):
    server = simulator()
    with capturing(server, tmp_path, journal=False) as capture:
        server.push(STOCKS, [quote()])
        until_received(capture, server)

    assert len(rows_on_disk(tmp_path)) == 1
    assert journal_files(tmp_path) == []


def test_a_second_recorder_in_the_same_folder_is_refused_and_told_by_whom(
    simulator: Simulators, tmp_path: Path
):
    server = simulator()
    with capturing(server, tmp_path, ONLY_STOCKS):
        other = runner(server, tmp_path, ONLY_STOCKS)
        with pytest.raises(StoreError, match=str(os.getpid())):
            other.start()


class Unforeseen(Exception):
    """Of nobody's making."""


def fail(*_: object, **__: object) -> None:
    raise Unforeseen


@pytest.mark.parametrize(
    "where",
    [
        "capture.earlier_sessions.EarlierSessions.find_unfinished",
        "capture.runner.CaptureWriter.start",
        "capture.runner.StreamGroup.start",
        "data.streaming.engine.stream_group.StreamWorker.start",
    ],
)
@pytest.mark.parametrize("journal", [True, False])
def test_a_capture_that_cannot_begin_leaves_the_folder_to_the_next(
    simulator: Simulators, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, *, journal: bool
):
    server = simulator()
    with monkeypatch.context() as patched:
        patched.setattr(f"options_helper.{where}", fail)
        failed = runner(server, tmp_path, ONLY_STOCKS, journal=journal)
        with pytest.raises(Unforeseen):
            failed.start()
    assert not failed.is_writing

    with capturing(server, tmp_path, ONLY_STOCKS, journal=journal) as following:
        server.push(STOCKS, [quote(bid=1.0)])
        until_received(following, server)

    assert list(rows_on_disk(tmp_path)["bid_price"]) == [1.0]
    assert not any(KILLED in row["reason"] for row in gap_rows(tmp_path))


@pytest.mark.parametrize(
    ("where", "is_noted"),
    [("StreamGroup.healths", True), ("SessionLog.end", False), ("Recorder.close", True)],
)
def test_an_error_in_the_very_end_leaves_nothing_that_looks_alive(
    simulator: Simulators,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    is_noted: bool,  # noqa: FBT001 - a case
):
    server = simulator()
    capture = runner(server, tmp_path, ONLY_STOCKS)
    capture.start()
    wait_until(lambda: capture.status().streams[STOCKS].connections)
    with monkeypatch.context() as patched:
        patched.setattr(f"options_helper.capture.runner.{where}", fail)
        with suppress(Unforeseen):  # from its status
            capture.stop()
        assert not capture.is_writing

    final = capture.status()
    assert (final.state, "Unforeseen" in (final.problem or "")) == (CaptureState.ENDED, True)
    (note,) = session_notes(tmp_path)
    assert (note.ended_ns is not None) == is_noted


def test_a_lost_connection_is_a_row_in_the_gap_ledger(simulator: Simulators, tmp_path: Path):
    """On the computer's clock, like the receipt of the rows, whatever the time is in a simulated market."""
    server = simulator()
    began_ns = utc_now_ns()
    with capturing(server, tmp_path, ONLY_STOCKS) as capture:
        server.push(STOCKS, [quote()])
        until_received(capture, server)
        server.disconnect_all()
        wait_until(lambda: capture.status().streams[STOCKS].connections == 2)
        wait_until(lambda: capture.status().gaps == 1)

    (row,) = gap_rows(tmp_path)
    assert row["stream"] == "stocks"
    last_received_ns = int(rows_on_disk(tmp_path)["recv_ns"].max())
    # The moment is kept by the clock that nobody sets, and told by the computer's: two looks, not one.
    assert abs(int(row["since_ns"]) - last_received_ns) < 1_000_000
    assert began_ns < last_received_ns < int(row["until_ns"]) < utc_now_ns()
    assert "1000" in row["reason"]


def test_a_gap_is_told_before_what_came_after_it_is_journaled(
    simulator: Simulators, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Who is killed in between is missed from its last frame on: that gap would lie before it."""
    monkeypatch.setattr("options_helper.capture.pressure.HOUSEKEEPING_SECONDS", 1e9)
    server = simulator()
    with capturing(server, tmp_path, ONLY_STOCKS) as capture:
        server.push(STOCKS, [quote(bid=1.0)])
        until_received(capture, server)
        server.disconnect_all()
        wait_until(lambda: capture.status().streams[STOCKS].connections == 2)
        server.push(STOCKS, [quote(bid=2.0)])
        until_received(capture, server)
        wait_until(lambda: capture.status().streams[STOCKS].applied == 2)

        assert [row["stream"] for row in gap_rows(tmp_path)] == ["stocks"]
        (note,) = session_notes(tmp_path)
        assert note.gaps == ()


def test_a_capture_that_begins_late_has_a_gap_since_it_was_due(simulator: Simulators, tmp_path: Path):
    server = simulator()
    due = utc_now() - timedelta(hours=1)
    config = replace(CaptureConfig(ONLY_STOCKS, tmp_path), due=due)
    capture = CaptureEngine(config, settings_for(server), retry=RetryPolicy())
    capture.start()
    wait_until(lambda: capture.status().streams[STOCKS].connections)
    capture.stop()

    (row,) = gap_rows(tmp_path)
    assert (row["stream"], row["reason"]) == ("stocks", BEGAN_LATE)
    assert float(row["seconds"]) >= 3_600


def test_a_status_travels_to_another_process_with_the_hours_that_were_told(
    simulator: Simulators, tmp_path: Path
):
    server, told = simulator(), MappingProxyType({date(2026, 11, 20): None})
    capture = CaptureEngine(CaptureConfig(ONLY_STOCKS, tmp_path), settings_for(server), retry=RetryPolicy())
    capture.tell_hours(told, 90 * 1_000_000_000)
    capture.start()
    status = capture.stop()

    copied = pickle.loads(pickle.dumps(status))  # noqa: S301 - our own bytes
    assert (copied, copied.told_sessions) == (status, told)
    assert copied.as_of - copied.market_time == timedelta(seconds=90), "it goes by the market's time, too"


def test_a_stream_that_is_let_in_later_is_recorded_from_then_on(simulator: Simulators, tmp_path: Path):
    """Refused before the open, as on a morning of an outage: a recorder must not be gone for the day."""
    server = simulator(faults=Faults(http_status=403, first_connections=4))
    with capturing(
        server, tmp_path, ONLY_STOCKS, retry=RetryPolicy(base_seconds=0.05, refused_pauses=(0.05,))
    ) as capture:
        server.push(STOCKS, [quote()])
        until_received(capture, server)

    assert len(rows_on_disk(tmp_path)) == 1
    (row,) = gap_rows(tmp_path)
    assert "HTTP 403" in row["reason"]
    troubles = troubles_of(capture.status())
    assert any("was refused for" in trouble and "and then recorded" in trouble for trouble in troubles)


def test_a_connection_that_is_mute_since_before_the_open_has_a_gap_from_the_open_on(
    simulator: Simulators, tmp_path: Path, running_simulator: Simulators
):
    """The normal morning of `--market-hours`, which connects half a minute before."""
    opens_ns = datetime_nanoseconds(datetime(2026, 3, 20, 13, 30, tzinfo=UTC))
    server = running_simulator(SilentMarket(start_ns=opens_ns - 2 * NANOSECONDS))
    clock = SteppedClock()
    with capturing(server, tmp_path, ONLY_STOCKS, monotonic=clock.monotonic) as capture:
        # A played market's clock goes on from its first event.
        early = timestamp_extension(opens_ns - NANOSECONDS)
        server.push(STOCKS, [{**quote(), "t": early}])
        wait_until(lambda: capture.status().streams[STOCKS].silent_since, saw=capture.status)
        clock.advance(ONLY_STOCKS.stall_seconds + 1)
        wait_until(lambda: capture.status().streams[STOCKS].connections == 2, saw=capture.status)
        wait_until(lambda: capture.status().gaps == 1)

    (row,) = gap_rows(tmp_path)
    assert "No stocks data for 61 s although the market is open" in row["reason"]
    assert 61 <= float(row["seconds"]) < 61 + AT_ONCE, "not from the quote before the open on"


def test_a_gap_that_lasts_to_the_end_is_written_at_the_end(simulator: Simulators, tmp_path: Path):
    server = simulator()
    began_ns = utc_now_ns()
    with capturing(server, tmp_path, ONLY_STOCKS) as capture:
        server.stop()
        wait_until(lambda: capture.status().streams[STOCKS].phase is Phase.RECONNECTING)

    (row,) = gap_rows(tmp_path)
    assert began_ns <= int(row["since_ns"]) <= int(row["until_ns"]) <= utc_now_ns()


def test_a_malformed_message_is_counted_and_written_down(simulator: Simulators, tmp_path: Path):
    server = simulator(faults=Faults(malformed=True))
    with capturing(server, tmp_path, ONLY_STOCKS) as capture:
        server.push(STOCKS, [quote()])
        until_received(capture, server)
        final = capture.stop()

    assert final.lost == 1
    (row,) = gap_rows(tmp_path)
    assert (row["lost_events"], "rejected" in row["reason"]) == ("1", True)


def test_a_refused_stream_leaves_the_other_recording(simulator: Simulators, tmp_path: Path):
    server = simulator(limits=FREE_PLAN)
    capture = runner(server, tmp_path, replace(STREAMS, options_feed="opra"))
    capture.start()
    wait_until(lambda: capture.status().streams[OPTIONS].phase is Phase.FAILED)
    wait_until(lambda: capture.status().streams[STOCKS].connections)
    server.push(STOCKS, [quote()])
    until_received(capture, server)
    final = capture.stop()

    assert [health.name for health in final.failed] == [OPTIONS]
    assert "opra" in (final.failed[0].last_error or "")
    assert final.store.total.written == 1


@pytest.mark.parametrize("journal", [True, False])
def test_a_disk_that_fails_to_keep_rows_is_told_and_their_journal_is_needed(
    simulator: Simulators, tmp_path: Path, *, journal: bool
):
    """It says so once and drops them, and a loss of power shows what is missing: the next capture makes it."""

    def sync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if "/stocks/" in str(path) and not path.name.startswith("."):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    server = simulator()
    disk = Disk(sync=sync, sync_all=lambda _: False)
    with capturing(server, tmp_path, ONLY_STOCKS, disk=disk, flush_events=1, journal=journal) as capture:
        for number in range(3):
            server.push(STOCKS, [quote("AAPL", number)])
            until_received(capture, server)
    troubles = " ".join(troubles_of(capture.status()))
    assert "The disk failed" in troubles
    assert ("holds them against the journal" in troubles) is journal
    (note,) = session_notes(tmp_path)
    assert (note.behind, note.unproven, note.put_off) == (journal, journal, 0)

    [part] = find_parts(tmp_path, kind="stocks", dataset="quotes", symbol="AAPL")
    os.truncate(part.path, part.path.stat().st_size - 20)
    with capturing(simulator(), tmp_path, ONLY_STOCKS, journal=journal):
        pass
    assert len(rows_on_disk(tmp_path)) == (3 if journal else 2)


def test_a_writer_that_cannot_decide_what_is_next_ends_in_order(
    simulator: Simulators, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its thread must not be gone without a note of the end, and with what is in memory untold."""
    broken = threading.Event()

    def decide(*arguments: Any) -> Any:
        if broken.is_set():
            raise ZeroDivisionError("a bug")
        return pressure.decide(*arguments)

    monkeypatch.setattr(writer, "decide", decide)
    server = simulator()
    with capturing(server, tmp_path, ONLY_STOCKS) as capture:
        server.push(STOCKS, [quote()])
        wait_until(lambda: capture.status().streams[STOCKS].applied == 1, saw=capture.status)
        broken.set()
        wait_until(lambda: capture.status().state is CaptureState.ENDED, saw=capture.status)

    assert "ended unexpectedly (ZeroDivisionError)" in " ".join(troubles_of(capture.status()))
    assert len(rows_on_disk(tmp_path)) == 1
    (note,) = session_notes(tmp_path)
    assert note.ended_ns is not None
    assert audit(tmp_path).ok


def slow_disk(seconds_a_write: float, patience: threading.Event) -> Disk:
    def write(descriptor: int, data: memoryview) -> int:
        patience.wait(seconds_a_write)
        return os.write(descriptor, data)

    return Disk(write=write)


def test_under_pressure_rows_are_put_off_and_made_later_and_nothing_is_lost(
    simulator: Simulators, tmp_path: Path
):
    server = simulator()
    free = threading.Event()
    small = replace(ONLY_STOCKS, queue_maxsize=4_000)
    with capturing(server, tmp_path, small, disk=slow_disk(0.2, free), flush_events=1) as capture:
        for number in range(40):
            server.push(STOCKS, [quote(bid=number), *[quote("MSFT", number)] * 49])
        until_received(capture, server)
        for number in range(40):
            server.push(STOCKS, [quote(bid=40 + number), *[quote("MSFT", number)] * 29])
        wait_until(lambda: capture.status().put_off, timeout=20, saw=capture.status)
        free.set()
        wait_until(lambda: not capture.status().put_off, timeout=20, saw=capture.status)
        final = capture.stop()

    assert final.lost == 0
    assert list(rows_on_disk(tmp_path)["bid_price"]) == list(range(80))


def noted_judgements(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """At each look at the streams: whether they were judged by what could be read of them."""
    judged: list[bool] = []
    keep_house = StreamGroup.keep_house

    def noted(group: StreamGroup, tallies: Any = None) -> None:
        judged.append(tallies is not None)
        keep_house(group, tallies)

    monkeypatch.setattr(StreamGroup, "keep_house", noted)
    return judged


def test_no_stream_is_judged_by_what_was_read_while_its_rows_are_put_off(
    simulator: Simulators, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        write_ahead, "CATCH_UP_RECORDS", 1
    )  # so that it looks at the streams between two of them
    judged = noted_judgements(monkeypatch)
    server = simulator()
    free = threading.Event()
    small = replace(ONLY_STOCKS, queue_maxsize=100)
    with capturing(server, tmp_path, small, disk=slow_disk(0.05, free), flush_events=1) as capture:
        wait_until(lambda: judged)
        for number in range(40):
            server.push(STOCKS, [quote(bid=number)])
        until_received(capture, server)
        for number in range(60):
            server.push(STOCKS, [quote(bid=40 + number)])
        wait_until(lambda: False in judged, timeout=20, saw=capture.status)
        free.set()
        wait_until(lambda: not capture.status().put_off, timeout=20, saw=capture.status)


def test_no_stream_is_judged_by_what_was_read_while_the_disk_refuses(
    simulator: Simulators, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    judged = noted_judgements(monkeypatch)
    server = simulator()
    full = threading.Event()

    def write(descriptor: int, data: memoryview) -> int:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(descriptor, data)

    with capturing(server, tmp_path, ONLY_STOCKS, disk=Disk(write=write)) as capture:
        wait_until(lambda: judged)
        full.set()
        server.push(STOCKS, [quote()])
        wait_until(lambda: False in judged, saw=capture.status)
        full.clear()
        wait_until(lambda: judged[-1], saw=capture.status)


def test_a_full_disk_is_waited_for_and_what_found_no_room_is_counted(simulator: Simulators, tmp_path: Path):
    server = simulator()
    full = threading.Event()

    def write(descriptor: int, data: memoryview) -> int:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(descriptor, data)

    with capturing(
        server, tmp_path, replace(ONLY_STOCKS, queue_maxsize=100), disk=Disk(write=write)
    ) as capture:
        full.set()
        for number in range(200):
            server.push(STOCKS, [quote(bid=number)])
        until_received(capture, server)
        wait_until(lambda: capture.status().state is CaptureState.DISK_REFUSES, saw=capture.status)
        full.clear()
        wait_until(lambda: capture.status().state is CaptureState.RECORDING, saw=capture.status)
        final = capture.stop()

    written = final.store.total.written
    assert 0 < written < 200
    assert final.lost == final.streams[STOCKS].dropped == 200 - written
    assert any(row["lost_events"] and "queue was full" in row["reason"] for row in gap_rows(tmp_path))
    assert list(rows_on_disk(tmp_path)["bid_price"]) == list(range(written))


@pytest.mark.parametrize("refusals_at_the_end", [0, 1, 2, 3])
def test_what_is_told_lost_on_a_full_disk_is_lost_and_the_rest_is_in_the_journal(
    simulator: Simulators, tmp_path: Path, refusals_at_the_end: int
):
    """The disk may take something again at any moment of the end: no event is counted twice, none is left out."""
    server = simulator()
    full = threading.Event()
    refusals = itertools.count()

    def write(descriptor: int, data: memoryview) -> int:
        if full.is_set() and (not ending.is_set() or next(refusals) < refusals_at_the_end):
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(descriptor, data)

    ending = threading.Event()
    capture = runner(server, tmp_path, ONLY_STOCKS, disk=Disk(write=write))
    capture.start()
    wait_until(lambda: capture.status().streams[STOCKS].connections)
    full.set()
    for number in range(50):
        server.push(STOCKS, [quote(bid=number)])
    until_received(capture, server)
    wait_until(lambda: capture.status().state is CaptureState.DISK_REFUSES, saw=capture.status)
    ending.set()
    capture.leave()
    final = capture.stop()

    records = read_records(journal_files(tmp_path))
    journaled = sum(record.events for record in records if record.kind is RecordKind.FRAME)
    assert final.accounted
    assert journaled + final.lost == server.sent[STOCKS] == 50


def test_a_last_attempt_is_made_before_what_a_full_disk_refused_is_given_up(
    simulator: Simulators, tmp_path: Path
):
    server = simulator()
    full = threading.Event()

    def write(descriptor: int, data: memoryview) -> int:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(descriptor, data)

    capture = runner(server, tmp_path, ONLY_STOCKS, disk=Disk(write=write))
    capture.start()
    wait_until(lambda: capture.status().streams[STOCKS].connections)
    full.set()
    server.push(STOCKS, [quote(bid=number) for number in range(50)])
    until_received(capture, server)
    wait_until(lambda: capture.status().state is CaptureState.DISK_REFUSES, saw=capture.status)
    full.clear()
    capture.leave()
    final = capture.stop()

    assert (final.lost, final.put_off, final.problem) == (0, 50, None)
    with capturing(server, tmp_path, ONLY_STOCKS) as following:
        wait_until(lambda: following.status().completed == 50, saw=following.status)
    assert list(rows_on_disk(tmp_path)["bid_price"]) == list(range(50))


def test_a_disk_that_refuses_to_the_last_does_not_hold_up_the_end(simulator: Simulators, tmp_path: Path):
    """However much waits in memory: it is lost, and counted."""
    server = simulator()
    full = threading.Event()
    refusals = itertools.count()

    def write(descriptor: int, data: memoryview) -> int:
        if full.is_set():
            next(refusals)
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(descriptor, data)

    streams = replace(ONLY_STOCKS, queue_maxsize=200_000)
    capture = runner(server, tmp_path, streams, disk=Disk(write=write), drain_seconds=FOREVER)
    capture.start()
    wait_until(lambda: capture.status().streams[STOCKS].connections)
    full.set()
    for _ in range(300):
        server.push(STOCKS, [quote()] * 300)
    until_received(capture, server)
    wait_until(lambda: capture.status().state is CaptureState.DISK_REFUSES, saw=capture.status)
    refused_before = next(refusals)
    with at_once():
        capture.leave()
        final = capture.stop()

    assert next(refusals) - refused_before < 10, "it is not asked again for each of the many that wait"
    assert (final.lost, final.accounted) == (server.sent[STOCKS], True)
    assert "The disk took no more" in (final.problem or "")


def test_a_capture_that_was_killed_as_it_began_hides_no_earlier_kill(simulator: Simulators, tmp_path: Path):
    """It had not come to telling what the one before it had not heard."""
    began_ns = utc_now_ns() - 60 * 1_000_000_000
    for number in range(2):
        session, at_ns = f"session-{number}", began_ns + number * 1_000_000_000
        journal = JournalWriter(tmp_path, session)
        journal.append(facts_record(RecordKind.SESSION, at_ns, {"flush_events": 500, "flush_seconds": 5.0}))
        journal.close()
        save_note(
            tmp_path,
            SessionNote(
                session=session,
                began_ns=at_ns,
                seen_ns=at_ns,
                journal=True,
                flush_events=500,
                flush_seconds=5.0,
                asked={"stocks": ("AAPL",)},
            ),
        )
    with capturing(simulator(), tmp_path, ONLY_STOCKS):
        pass

    assert [int(row["since_ns"]) - began_ns for row in gap_rows(tmp_path)] == [0, 1_000_000_000]
    with capturing(simulator(), tmp_path, ONLY_STOCKS):
        pass
    assert len(gap_rows(tmp_path)) == 2, "told once"


def test_a_second_signal_leaves_at_once_with_what_is_at_hand_in_the_journal(
    simulator: Simulators, tmp_path: Path
):
    """Rows that would take minutes on this disk are made by the next capture."""
    server = simulator()
    disk = slow_disk(0.3, threading.Event())
    capture = runner(server, tmp_path, ONLY_STOCKS, disk=disk, flush_events=1, drain_seconds=FOREVER)
    capture.start()
    wait_until(lambda: capture.status().streams[STOCKS].connections)
    for number in range(500):
        server.push(STOCKS, [quote(bid=number)])
    until_received(capture, server)
    with at_once():
        capture.leave()
        final = capture.stop()

    assert (final.lost, final.accounted) == (0, True)
    assert final.put_off > 20
    records = read_records(journal_files(tmp_path))
    assert sum(record.events for record in records if record.kind is RecordKind.FRAME) == 500
    with capturing(server, tmp_path, ONLY_STOCKS) as following:
        wait_until(lambda: following.status().completed == final.put_off, saw=following.status)
    assert list(rows_on_disk(tmp_path)["bid_price"]) == list(range(500))


def test_rows_that_wait_do_not_hold_up_the_end_when_the_journal_has_them(
    simulator: Simulators, tmp_path: Path
):
    """Hundreds of files, and a disk that takes its time for each."""
    server = simulator()
    symbols = tuple(f"S{number}" for number in range(150))
    disk = slow_disk(0.05, threading.Event())
    capture = runner(server, tmp_path, replace(ONLY_STOCKS, stocks=symbols), disk=disk, flush_seconds=60.0)
    capture.start()
    wait_until(lambda: capture.status().streams[STOCKS].connections)
    server.push(STOCKS, [quote(symbol) for symbol in symbols])
    until_received(capture, server)
    wait_until(lambda: capture.status().store.total.buffered == 150, saw=capture.status)
    capture.leave()
    final = capture.stop()

    # Not one of them was written on the way out.
    assert (final.lost, final.put_off, final.given_up) == (0, 150, 150)
    assert gap_rows(tmp_path) == []


NO_ROOM = OSError(errno.ENOSPC, "No space left on device")


def refusing_partitions(refuses: threading.Event, error: Exception = NO_ROOM) -> Disk:
    """A disk without room for rows; journal and ledger find some."""

    def write(descriptor: int, data: memoryview) -> int:
        if refuses.is_set() and "/stocks/" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise error
        return os.write(descriptor, data)

    return Disk(write=write)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="tells files apart by /proc")
def test_a_capture_that_an_error_ends_counts_nothing_as_lost_that_its_journal_holds(
    simulator: Simulators, tmp_path: Path
):
    server = simulator()
    breaks = threading.Event()
    disk = refusing_partitions(breaks, RuntimeError("nobody thought of this"))
    capture = runner(server, tmp_path, ONLY_STOCKS, disk=disk, flush_events=10)
    capture.start()
    wait_until(lambda: capture.status().streams[STOCKS].connections)
    breaks.set()
    server.push(STOCKS, [quote(bid=number) for number in range(10)])
    wait_until(lambda: not capture.is_writing, saw=capture.status)
    final = capture.stop()

    assert (final.lost, final.put_off, final.accounted) == (0, 10, True)
    assert "nobody thought of this" in (final.problem or "")
    assert gap_rows(tmp_path) == []
    with capturing(server, tmp_path, ONLY_STOCKS) as following:
        wait_until(lambda: following.status().completed == 10, saw=following.status)
    assert list(rows_on_disk(tmp_path)["bid_price"]) == list(range(10))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="tells files apart by /proc")
def test_rows_for_which_there_is_no_room_are_put_off_where_the_journal_has_them(
    simulator: Simulators, tmp_path: Path
):
    server = simulator()
    refuses = threading.Event()
    with capturing(server, tmp_path, ONLY_STOCKS, disk=refusing_partitions(refuses)) as capture:
        refuses.set()
        server.push(STOCKS, [quote(bid=number) for number in range(30)])
        until_received(capture, server)
        final = capture.stop()

    assert (final.lost, final.put_off) == (0, 30)
    assert gap_rows(tmp_path) == []
    with capturing(server, tmp_path, ONLY_STOCKS) as following:
        wait_until(lambda: following.status().completed == 30, saw=following.status)
    assert list(rows_on_disk(tmp_path)["bid_price"]) == list(range(30))
    assert audit(tmp_path).problems == ()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="tells files apart by /proc")
def test_rows_for_which_there_is_no_room_are_in_the_ledger_where_there_is_no_journal(
    simulator: Simulators, tmp_path: Path
):
    server = simulator()
    refuses = threading.Event()
    disk = refusing_partitions(refuses)
    with capturing(server, tmp_path, ONLY_STOCKS, disk=disk, journal=False, flush_events=1) as capture:
        server.push(STOCKS, [quote()])
        until_received(capture, server)
        wait_until(lambda: capture.status().store.total.written == 1, saw=capture.status)
        refuses.set()
        server.push(STOCKS, [quote(bid=number) for number in range(30)])
        until_received(capture, server)
        final = capture.stop()

    assert (final.lost, final.put_off) == (30, 0)
    assert [row["lost_events"] for row in gap_rows(tmp_path)] == ["30"]


def test_the_journal_is_synced_while_it_is_written(simulator: Simulators, tmp_path: Path):
    """What a loss of power can cost is bounded by it."""
    synced: set[int] = set()

    def sync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)

    server = simulator()
    with capturing(server, tmp_path, ONLY_STOCKS, disk=Disk(sync=sync, sync_all=lambda _: True)):
        wait_until(lambda: journal_files(tmp_path))
        (path,) = journal_files(tmp_path)
        wait_until(lambda: path.stat().st_ino in synced, timeout=SYNC_SECONDS + AT_ONCE)


def capture_all(server: SimulatorServer, out: Path, streams: LiveStreamConfig) -> CaptureStatus:
    capture = runner(server, out, replace(streams, queue_maxsize=1_000_000))
    capture.start()
    names = [name for name in (STOCKS, OPTIONS) if streams.wants(name)]
    wait_until(
        lambda: (
            server.finished
            and all(capture.status().streams[name].received == server.sent[name] for name in names)
        ),
        timeout=150,
        saw=capture.status,
    )
    return capture.stop()


def test_the_end_of_a_played_session_is_no_stall(running_simulator: Simulators, tmp_path: Path):
    columns = ("ts_ns", "symbol", "bid_price", "bid_size", "ask_price", "ask_size")
    rows = [(NOON + second * 1_000_000_000, "AAPL", 100, 1, 101, 1) for second in range(100)]
    write_partition(tmp_path / "in", f"stocks/quotes/tick/AAPL/{NOON_DAY}", columns, rows)
    server = running_simulator(ReplayMarket(tmp_path / "in", speed=200))
    clock = SteppedClock()
    with capturing(server, tmp_path / "out", ONLY_STOCKS, monotonic=clock.monotonic) as capture:
        wait_until(lambda: capture.status().streams[STOCKS].received == 100, saw=capture.status)
        wait_until(lambda: capture.status().streams[STOCKS].phase is Phase.QUIET, saw=capture.status)
        clock.advance(3_600)
        clock.wait_for_looks("live-writer")
        assert capture.status().streams[STOCKS].phase is Phase.QUIET
        assert capture.status().streams[STOCKS].connections == 1

    assert gap_rows(tmp_path / "out") == []


@pytest.mark.timeout(200)
def test_two_days_of_real_ticks_come_back_row_for_row(
    real_data: Path, recordings: Recordings, tmp_path: Path, running_simulator: Simulators
):
    """In its short form the first ticks of each day."""
    recorded = recordings.folder("quotes", "trades", opening=not LONG)
    quotes, trades = (list(taq_rows(real_data, part, opening=not LONG)) for part in ("quotes", "trades"))
    symbol = quotes[0]["symbol"]
    streams = LiveStreamConfig(stocks=(symbol,), stream_options=False, stream_fills=False)
    out = tmp_path / "out"

    final = capture_all(running_simulator(ReplayMarket(recorded, speed=0)), out, streams)

    assert (final.lost, final.put_off) == (0, 0)
    captured = rows_on_disk(out, symbol=symbol)
    assert list(captured["ts_ns"]) == [epoch_nanoseconds(row["timestamp"]) for row in quotes]
    for column, field in (("bid_price", "bid_price"), ("ask_price", "ask_price"), ("bid_size", "bid_size")):
        assert list(captured[column]) == [float(row[field]) for row in quotes]
    assert list(captured["bid_exchange"]) == [row["exchange"] for row in quotes]
    prints = rows_on_disk(out, dataset="trades", symbol=symbol)
    assert list(prints["ts_ns"]) == [epoch_nanoseconds(row["timestamp"]) for row in trades]
    assert list(prints["price"]) == [float(row["price"]) for row in trades]
    assert list(prints["size"]) == [float(row["size"]) for row in trades]


@pytest.mark.timeout(200)
def test_a_real_option_chain_comes_back_row_for_row(
    real_data: Path, tmp_path: Path, running_simulator: Simulators
):
    until = "2018-01-05 10:30:00" if LONG else "2018-01-05 09:45:00"
    record_spxw_quotes(real_data, tmp_path / "in", until=until)
    rows: dict[str, list[dict[str, str]]] = {}
    for row in spxw_rows(real_data, "2018-01-05", until=until):
        rows.setdefault(row["contract"], []).append(row)
    streams = LiveStreamConfig(option_contracts=tuple(rows), stream_stocks=False, stream_fills=False)
    out = tmp_path / "out"

    final = capture_all(running_simulator(ReplayMarket(tmp_path / "in", speed=0)), out, streams)

    assert (final.lost, final.put_off) == (0, 0)
    assert final.store.total.written == sum(map(len, rows.values()))
    for contract, expected in rows.items():
        captured = rows_on_disk(out, "options", symbol=contract)
        assert list(captured["ts_ns"]) == [int(row["ts_ns"]) for row in expected]
        assert list(captured["bid_price"]) == [float(row["bid"]) for row in expected]
        assert list(captured["ask_price"]) == [float(row["ask"]) for row in expected]


def test_fills_are_not_recorded_even_when_they_are_asked_for(simulator: Simulators, tmp_path: Path):
    """They are the account's, and a recording is of the market."""
    server = simulator()
    with capturing(server, tmp_path, replace(STREAMS, stream_fills=True)) as capture:
        server.push(STOCKS, [quote()])
        until_received(capture, server)

    assert server.connections["/stream"] == 0
    assert len(rows_on_disk(tmp_path)) == 1


def test_streams_that_cannot_be_stopped_do_not_keep_the_writer_from_ending(
    simulator: Simulators, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What was received is written and the folder free, whatever the streams raise."""

    def refuse(*_: object) -> None:
        raise RuntimeError("the streams cannot be stopped")

    capture = runner(simulator(), tmp_path, ONLY_STOCKS, drain_seconds=0.1)
    capture.start()
    with monkeypatch.context() as patched:
        patched.setattr(StreamGroup, "stop", refuse)
        with pytest.raises(RuntimeError, match="cannot be stopped"):
            capture.stop()

    assert capture.status().state is CaptureState.ENDED
    with IntradayStore(tmp_path) as store:
        store.acquire()
    capture.stop()  # the streams' own threads
