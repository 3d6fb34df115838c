"""Whatever the server says or does, the capture goes on as far as it may, and what it sent is accounted for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from options_helper.capture.runner import CaptureEngine
from options_helper.data.intraday.layout import find_parts
from options_helper.data.intraday.meta import load_meta
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.loss_log import LossRow, loss_rows
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.session_notes import session_notes
from options_helper.data.recording.status import CaptureStatus
from options_helper.data.recording.verify import audit
from options_helper.data.recording.verify_report import audit_lines
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from options_helper.simulator.wire.protocol import FREE_PLAN, Limits
from tests.faults.capturer import OPTIONS, STOCKS, STREAMS, addresses
from tests.kit.fakes import SteppedClock
from tests.kit.rebuilt import partitions
from tests.kit.waiting import AT_ONCE, wait_until
from tests.wire.conftest import running_simulator as running_simulator  # noqa: PLC0414 - a fixture
from tests.wire.test_engine import CALL, NOON, STOCK_PATH, quote

Simulators = Callable[..., SimulatorServer]
BOTH = replace(STREAMS, stream_options=True)


@pytest.fixture
def simulator(running_simulator: Simulators) -> Simulators:
    return partial(running_simulator, SilentMarket(start_ns=NOON))


class Watched:
    """A capture at work and the server it hears; the law is checked when it has ended."""

    def __init__(self, server: SimulatorServer, runner: CaptureEngine, out: Path) -> None:
        self.server = server
        self.runner = runner
        self.out = out
        self.final: CaptureStatus | None = None

    def health(self, name: StreamName = STOCKS) -> StreamHealth:
        return self.runner.status().streams[name]

    def until(self, condition: Callable[[StreamHealth], object], name: StreamName = STOCKS) -> None:
        wait_until(lambda: condition(self.health(name)), saw=self.runner.status)

    def send(self, count: int = 50) -> None:
        """Quotes on both streams, and wait until those that were sent are received."""
        for number in range(count):
            self.server.push(STOCKS, [quote("AAPL", number), quote("MSFT", number)])
            self.server.push(OPTIONS, [quote(CALL, number)])
        self.until_received()

    def until_received(self) -> None:
        self.server.flush()
        for name in (STOCKS, OPTIONS):
            sent = self.server.sent[name]
            self.until(lambda health, sent=sent: health.received == sent, name)  # type: ignore[misc]

    def rows(self, name: StreamName) -> int:
        kind = "stocks" if name is STOCKS else "options"
        store = IntradayStore(self.out)
        return sum(
            len(store.read(kind, "quotes", symbol))
            for symbol in (("AAPL", "MSFT") if name is STOCKS else (CALL,))
        )

    @property
    def gaps(self) -> list[LossRow]:
        return list(loss_rows(self.out))


@contextmanager
def watched(
    server: SimulatorServer, out: Path, *live: StreamName, streams=BOTH, **more: Any
) -> Iterator[Watched]:
    watch = Watched(server, addresses(server).runner(out, streams, **more), out)
    watch.runner.start()
    try:
        for name in live:
            watch.until(lambda health: health.connections, name)
        yield watch
    finally:
        final = watch.final = watch.runner.stop()
    assert final.accounted
    for name in (STOCKS, OPTIONS):
        health = final.streams[name]
        assert server.sent[name] == watch.rows(name) + health.dropped + health.rejected
    assert sum(row.lost or 0 for row in watch.gaps) == final.lost
    complete = all(
        health.connections and not health.refused_symbols
        for health in final.streams.values()
        if health.phase is not Phase.OFF
    )
    assert audit(out).ok == (final.lost == 0 and complete)
    rebuild(out, out / "again")
    assert partitions(out / "again") == partitions(out)


def test_a_taken_place_is_waited_for(simulator: Simulators, tmp_path: Path):
    server = simulator(faults=Faults(auth_error=406, first_connections=2))
    with watched(server, tmp_path, STOCKS, OPTIONS) as watch:
        assert server.connections[STOCK_PATH] == 3
        watch.send()


def test_a_slow_client_notice_is_a_gap(simulator: Simulators, tmp_path: Path):
    server = simulator(faults=Faults(stream_error=407, after_events=20, first_connections=1, stream=STOCKS))
    with watched(server, tmp_path, STOCKS, OPTIONS) as watch:
        watch.send()
        watch.until(lambda health: health.connections == 2)
        watch.send()
        wait_until(lambda: watch.runner.status().gaps)

    (gap,) = watch.gaps
    assert (gap.stream, "407" in gap.reason, gap.lost) == ("stocks", True, None)


def test_a_feed_that_the_plan_lacks_leaves_the_other(simulator: Simulators, tmp_path: Path):
    server = simulator(limits=FREE_PLAN)
    with watched(server, tmp_path, STOCKS, streams=replace(BOTH, options_feed="opra")) as watch:
        watch.until(lambda health: health.phase is Phase.FAILED, OPTIONS)
        watch.send()

    assert watch.final
    assert [health.name for health in watch.final.failed] == [OPTIONS]
    assert "opra" in (watch.final.failed[0].last_error or "")
    (gap,) = watch.gaps
    assert (gap.stream, gap.reason.startswith("not recorded: "), "opra" in gap.reason) == (
        "options",
        True,
        True,
    )
    assert gap.seconds is not None
    assert gap.seconds > 0
    (problem,) = audit(tmp_path).problems
    assert "not recorded" in problem
    assert audit(tmp_path).silent == ()


def test_a_place_that_stays_taken_is_a_stream_that_was_not_recorded(simulator: Simulators, tmp_path: Path):
    server = simulator(faults=Faults(auth_error=406, stream=OPTIONS))
    with watched(server, tmp_path, STOCKS) as watch:
        watch.until(lambda health: health.reconnect_attempts > 1, OPTIONS)
        watch.send()

    (gap,) = watch.gaps
    assert (gap.stream, gap.reason.startswith("not recorded: "), "406" in gap.reason) == (
        "options",
        True,
        True,
    )
    assert not audit(tmp_path).ok


def test_over_the_symbol_limit_what_is_let_in_is_recorded(simulator: Simulators, tmp_path: Path):
    server = simulator(limits=Limits(stock_symbols=1))
    with watched(server, tmp_path, STOCKS, OPTIONS) as watch:
        watch.until(lambda health: health.refused_symbols)
        assert watch.health().acknowledged == ("AAPL",)
        watch.send()

    (gap,) = watch.gaps
    assert gap.reason.startswith("not recorded: MSFT refused by the iex feed.")
    (problem,) = audit(tmp_path).problems
    assert "MSFT" in problem
    metas = [load_meta(part) for part in find_parts(tmp_path)]
    assert all(meta and not meta.gaps for meta in metas), "it is none of the other symbols' gaps"


def test_a_symbol_of_which_nothing_came_is_told_and_is_no_fault(simulator: Simulators, tmp_path: Path):
    server = simulator()
    with watched(server, tmp_path, STOCKS, OPTIONS) as watch:
        server.push(STOCKS, [quote("AAPL", 1)])
        watch.until_received()

    found = audit(tmp_path)
    assert (found.ok, found.silent) == (True, (("options", CALL), ("stocks", "MSFT")))
    assert f"Asked for, and nothing came: {CALL}, MSFT" in "\n".join(audit_lines(found))


def test_a_feed_that_is_stalled_when_the_capture_ends_is_a_gap(simulator: Simulators, tmp_path: Path):
    server = simulator(faults=Faults(mute=True, after_events=20, stream=STOCKS))
    clock = SteppedClock()
    with watched(server, tmp_path, STOCKS, OPTIONS, monotonic=clock.monotonic) as watch:
        watch.send(10)
        last_received = wait_until(lambda: watch.health().last_event_at)
        clock.wait_for_looks("live-writer")
        clock.advance(0.7 * STREAMS.stall_seconds)
        watch.until(lambda health: health.phase is Phase.STALLED)
        wait_until(lambda: session_notes(tmp_path)[0].gaps)

    (gap,) = [gap for gap in watch.gaps if gap.stream == STOCKS]
    began_ns = datetime_nanoseconds(last_received)
    # The clock stood still until then, and went on by so much at once.
    assert gap.since_ns <= began_ns + AT_ONCE * NANOSECONDS
    assert gap.seconds is not None
    assert gap.seconds >= 0.7 * STREAMS.stall_seconds


def test_a_mute_connection_is_left_and_the_silence_is_a_gap(simulator: Simulators, tmp_path: Path):
    server = simulator(faults=Faults(mute=True, after_events=20, first_connections=1))
    clock = SteppedClock()
    with watched(server, tmp_path, STOCKS, OPTIONS, monotonic=clock.monotonic) as watch:
        watch.send(20)
        clock.wait_for_looks("live-writer")
        clock.advance(STREAMS.stall_seconds + 1)
        for name in (STOCKS, OPTIONS):
            watch.until(lambda health: health.connections == 2, name)
        watch.send()
        wait_until(lambda: watch.runner.status().gaps == 2)

    assert {gap.stream for gap in watch.gaps} == {"stocks", "options"}


@pytest.mark.parametrize("code", [1000, 1011])
def test_a_close_is_a_gap_however_polite(simulator: Simulators, tmp_path: Path, code: int):
    server = simulator()
    with watched(server, tmp_path, STOCKS, OPTIONS) as watch:
        watch.send()
        server.disconnect_all(code)
        for name in (STOCKS, OPTIONS):
            watch.until(lambda health: health.connections == 2, name)
        watch.send()
        wait_until(lambda: watch.runner.status().gaps == 2)

    assert {gap.stream for gap in watch.gaps} == {"stocks", "options"}
    assert all(str(code) in gap.reason for gap in watch.gaps)


def test_a_malformed_element_and_an_unknown_type_cost_themselves_only(simulator: Simulators, tmp_path: Path):
    server = simulator(faults=Faults(malformed=True, unknown_type=True))
    with watched(server, tmp_path, STOCKS, OPTIONS) as watch:
        watch.send(30)

    assert watch.final
    assert {name: watch.final.streams[name].rejected for name in (STOCKS, OPTIONS)} == {
        STOCKS: 60,
        OPTIONS: 60,
    }
    assert watch.rows(STOCKS) == 60
    assert {gap.stream for gap in watch.gaps} == {"stocks", "options"}
