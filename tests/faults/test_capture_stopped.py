"""Told to stop at the worst moments, a capture writes what it has and goes within ten seconds; told twice, at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from options_helper.clock import utc_now_ns
from options_helper.commands.capture_troubles import troubles_of
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.loss_log import loss_rows
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.status import CaptureState, CaptureStatus
from options_helper.data.recording.verify import audit
from options_helper.data.streaming.engine.pulse import LATE_SECONDS
from options_helper.model.instants import NANOSECONDS
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.faults.capturer import STOCKS, SYMBOLS, busy_market, capturing
from tests.kit.waiting import FOREVER, at_once, wait_until
from tests.wire.conftest import running_simulator as running_simulator  # noqa: PLC0414 - a fixture
from tests.wire.test_engine import NOON, STOCK_PATH, quote

Simulators = Callable[..., SimulatorServer]


def rows(root: Path) -> int:
    return sum(len(IntradayStore(root).read("stocks", "quotes", symbol)) for symbol in SYMBOLS)


def assert_all_is_kept(final: CaptureStatus, out: Path) -> None:
    """Every event that was received is in a row, or in the journal to become one."""
    health = final.streams[STOCKS]
    assert (final.state, final.lost, final.accounted) == (CaptureState.ENDED, 0, True)
    assert rows(out) + final.put_off == health.received
    rebuild(out, out / "again")
    assert rows(out / "again") == health.received


def test_a_signal_during_a_flush_loses_nothing(running_simulator: Simulators, tmp_path: Path):
    """Writes take so long that the signal finds one under way."""
    server = running_simulator(SilentMarket(start_ns=NOON))
    with busy_market(server), capturing(server, tmp_path, disk="slow", flush_events=10) as capturer:
        capturer.wait_until_it_receives(100)
        capturer.terminate()
        final = capturer.ended()

    assert_all_is_kept(final, tmp_path)


def test_a_signal_during_a_reconnect_is_heard_and_the_gap_is_written_down(
    running_simulator: Simulators, tmp_path: Path
):
    server = running_simulator(SilentMarket(start_ns=NOON))
    with busy_market(server), capturing(server, tmp_path) as capturer:
        capturer.wait_until_it_receives(100)
        before = server.connections[STOCK_PATH]
        server.set_faults(Faults(never_upgrade=True))
        server.disconnect_all()
        wait_until(lambda: server.connections[STOCK_PATH] > before)
        capturer.terminate()
        final = capturer.ended()

    assert_all_is_kept(final, tmp_path)
    (gap,) = loss_rows(tmp_path)
    assert gap.seconds is not None
    assert gap.seconds >= 0
    assert audit(tmp_path).problems == ()


def test_a_second_signal_leaves_at_once_and_the_journal_has_it_all(
    running_simulator: Simulators, tmp_path: Path
):
    """Rows that would take minutes on this disk follow from the journal later."""
    server = running_simulator(SilentMarket(start_ns=NOON))
    with (
        busy_market(server),
        capturing(server, tmp_path, disk="slow", flush_events=1, drain_seconds=FOREVER) as capturer,
    ):
        capturer.wait_until_it_receives(2_000)
        capturer.terminate()
        # Two signals at once are one to a process.
        wait_until(lambda: not server.clients)
        capturer.terminate()
        with at_once():
            final = capturer.ended()

    assert_all_is_kept(final, tmp_path)


def test_without_a_journal_what_a_second_signal_leaves_is_written_down_as_lost(
    running_simulator: Simulators, tmp_path: Path
):
    server = running_simulator(SilentMarket(start_ns=NOON))
    with (
        busy_market(server),
        capturing(server, tmp_path, disk="slow", flush_events=1, journal=False) as capturer,
    ):
        capturer.wait_until_it_receives(400)
        capturer.terminate()
        wait_until(lambda: not server.clients)
        capturer.terminate()
        final = capturer.ended()

    assert final.lost > 0
    assert rows(tmp_path) + final.lost == final.streams[STOCKS].received
    assert sum(row.lost or 0 for row in loss_rows(tmp_path)) == final.lost
    assert not audit(tmp_path).ok


def test_a_process_that_did_not_run_has_a_gap_from_its_last_look_on(
    running_simulator: Simulators, tmp_path: Path
):
    """The server cuts the connection meanwhile: what the kernel had kept is read at the waking, and hides nothing."""
    server = running_simulator(SilentMarket(start_ns=NOON))
    with busy_market(server), capturing(server, tmp_path) as capturer:
        capturer.wait_until_it_receives(100)
        with capturer.stopped():
            stopped_at = utc_now_ns()
            server.reset_all()
            reset_at = utc_now_ns()
        wait_until(lambda: server.connections[STOCK_PATH] == 2)
        wait_until(lambda: loss_rows(tmp_path))
        capturer.terminate()
        final = capturer.ended()

    assert_all_is_kept(final, tmp_path)
    assert final.absent_seconds >= LATE_SECONDS
    assert "This process did not run for" in " ".join(troubles_of(final))
    (slept,) = (row for row in loss_rows(tmp_path) if row.reason.startswith("This process did not run"))
    assert slept.since_ns <= stopped_at < reset_at
    assert slept.until_ns is not None
    assert slept.until_ns >= stopped_at + LATE_SECONDS * NANOSECONDS
    # A connection's gap begins with the last that was read of it: before the stop where the reset took the rest from
    # the kernel, after it otherwise, and never in between, when nothing ran that could have read.
    lost = [row.since_ns for row in loss_rows(tmp_path) if row != slept]
    assert all(since_ns <= stopped_at or since_ns >= slept.until_ns for since_ns in lost)


def test_what_came_while_a_process_did_not_run_is_recorded_late_and_said(
    running_simulator: Simulators, tmp_path: Path
):
    """Nothing was cut: the rows are all there, and yet nobody can know that until the server is asked."""
    server = running_simulator(SilentMarket(start_ns=NOON))
    with capturing(server, tmp_path) as capturer:
        wait_until(lambda: server.clients)
        wait_until(lambda: server.connections[STOCK_PATH] == 1)
        with busy_market(server):
            capturer.wait_until_it_receives(100)
        with capturer.stopped():
            server.push(STOCKS, [quote("AAPL", 7)])
            server.flush()
        wait_until(lambda: capturer.received == server.sent[STOCKS])
        wait_until(lambda: loss_rows(tmp_path))
        capturer.terminate()
        final = capturer.ended()

    assert_all_is_kept(final, tmp_path)
    assert final.streams[STOCKS].received == server.sent[STOCKS]
    (gap,) = loss_rows(tmp_path)
    assert gap.reason.startswith("This process did not run")
    assert troubles_of(final), "the summary does not say that nothing was lost"
