"""A page's run and a recorder on one connection, through the real client: both meet each fault, each in its ledger.

The server allows one connection for each feed, as Alpaca does, so that a second one would be noticed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from options_helper.capture.runner import CaptureConfig, CaptureEngine
from options_helper.data.intraday_store import StorePolicy
from options_helper.data.streaming.alpaca_stream import AlpacaOptionStreamer, AlpacaStockStreamer
from options_helper.data.streaming.connection.alpaca_sdk import ConnectionTiming
from options_helper.data.streaming.engine.shared_source import SharedConnections
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.engine.stream_source import AlpacaSource
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from options_helper.simulator.wire.protocol import FREE_PLAN
from tests.kit.fakes import SteppedClock
from tests.kit.simulated import settings_for
from tests.kit.waiting import FOREVER, until_no_thread, wait_until
from tests.wire.test_capture import gap_rows, rows_on_disk
from tests.wire.test_engine import CALL, IMPATIENT, NOON, PATIENT, STOCK_PATH, Simulators, quote

STOCKS, OPTIONS = StreamName.STOCKS, StreamName.OPTIONS
PAGE = LiveStreamConfig(
    stocks=("AAPL", "SPY"),
    option_contracts=(CALL,),
    stream_fills=False,
    reconnect_base_seconds=0.05,
    reconnect_cap_seconds=0.1,
)
RECORDED = replace(PAGE, stocks=("AAPL", "MSFT"), stock_channels=("quotes", "trades", "bars"))


@pytest.fixture
def simulator(running_simulator: Simulators) -> Simulators:
    return partial(running_simulator, SilentMarket(start_ns=NOON), limits=FREE_PLAN)


def connections_to(
    timing: ConnectionTiming = PATIENT, now_ns: Callable[[], int] | None = None
) -> SharedConnections:
    source = AlpacaSource(
        stocks=partial(AlpacaStockStreamer, timing=timing),
        options=partial(AlpacaOptionStreamer, timing=timing),
    )
    return SharedConnections(source) if now_ns is None else SharedConnections(source, now_ns=now_ns)


@dataclass
class Desk:
    """A page and a recorder on the same connections."""

    server: SimulatorServer
    out: Path
    page: LiveStreamManager
    recorder: CaptureEngine

    def health(self, name: StreamName = STOCKS) -> tuple[StreamHealth, StreamHealth]:
        return self.page.snapshot().streams[name], self.recorder.status().streams[name]

    def until(self, condition: Callable[[StreamHealth], object], name: StreamName = STOCKS) -> None:
        """Wait until that is so of both."""
        wait_until(lambda: all(condition(one) for one in self.health(name)), saw=lambda: self.health(name))


@contextmanager
def page_of(
    server: SimulatorServer, connections: SharedConnections, config: LiveStreamConfig = PAGE
) -> Iterator[LiveStreamManager]:
    manager = LiveStreamManager(
        settings_for(server),
        source=connections.of("the page"),
        rest_cls=None,
        retry=RetryPolicy(slow_base_seconds=0.1),
    )
    manager.start(config)
    try:
        yield manager
    finally:
        manager.stop()
        assert all(health.accounted for health in manager.snapshot().streams.values())


@contextmanager
def recorder_of(
    server: SimulatorServer,
    connections: SharedConnections,
    out: Path,
    config: LiveStreamConfig = RECORDED,
    **more: Any,
) -> Iterator[CaptureEngine]:
    engine = CaptureEngine(
        CaptureConfig(config, out, policy=StorePolicy(flush_rows=1_000_000, flush_seconds=3_600.0)),
        settings_for(server),
        source=connections.of("the recording"),
        retry=RetryPolicy(slow_base_seconds=0.1),
        **more,
    )
    engine.start()
    try:
        yield engine
    finally:
        status = engine.stop()
        assert status.accounted, status


@contextmanager
def desk(server: SimulatorServer, out: Path, timing: ConnectionTiming = PATIENT) -> Iterator[Desk]:
    with ExitStack() as stack:
        connections = connections_to(timing)
        page = stack.enter_context(page_of(server, connections))
        made = Desk(server, out, page, stack.enter_context(recorder_of(server, connections, out)))
        made.until(lambda health: health.connections and len(health.acknowledged) == 2)
        made.until(lambda health: health.connections, OPTIONS)
        yield made
    until_no_thread("live-")


def test_the_one_connection_that_the_plan_allows_feeds_page_and_recorder(
    simulator: Simulators, tmp_path: Path
):
    server = simulator()
    with desk(server, tmp_path) as both:
        server.push(
            STOCKS, [quote(), quote("MSFT", 510), quote("SPY", 700), {"T": "b", "S": "AAPL", "c": 1.0}]
        )
        server.push(OPTIONS, [quote(CALL, 4.2)])
        wait_until(lambda: set(both.page.snapshot().quotes) == {"AAPL", "SPY", CALL})
        both.until(lambda health: health.received == 1, OPTIONS)
        wait_until(lambda: both.recorder.status().streams[STOCKS].received == 3)
        assert both.page.snapshot().streams[STOCKS].received == 2
        assert server.connections[STOCK_PATH] == 1
        assert server.subscribed(STOCKS, "quotes") == {"AAPL", "MSFT", "SPY"}
        assert server.subscribed(STOCKS, "bars") == {"AAPL", "MSFT"}

    assert sorted(path.parent.name for path in tmp_path.glob("*/quotes/tick/*/*.csv.gz")) == sorted(
        ("AAPL", "MSFT", CALL)
    )


def test_a_recording_beside_a_page_is_byte_for_byte_that_of_a_capture_alone(
    simulator: Simulators, tmp_path: Path
):
    """Whatever the page streams beside it, comes and goes, or changes meanwhile."""

    def record(
        out: Path, page: Callable[[SimulatorServer, SharedConnections], Any] | None
    ) -> dict[str, bytes]:
        server, clock = simulator(), SteppedClock(NOON)
        connections = connections_to(now_ns=clock)
        with recorder_of(server, connections, out, now_ns=clock) as recorder, ExitStack() as stack:
            wait_until(lambda: recorder.status().streams[STOCKS].connections, saw=recorder.status)
            wait_until(lambda: recorder.status().streams[OPTIONS].connections, saw=recorder.status)
            viewer = stack.enter_context(page_of(server, connections)) if page else None
            for number in range(300):
                server.push(STOCKS, [quote("SPY", number), quote(bid=number), quote("MSFT", number)])
                server.push(OPTIONS, [quote(CALL, number)])
                if viewer is not None and number == 100:
                    wait_until(lambda: "SPY" in server.subscribed(STOCKS))
                    viewer.start(replace(PAGE, stocks=("QQQ", "MSFT"), option_contracts=()))
                if viewer is not None and number == 200:
                    viewer.stop()
            wait_until(lambda: recorder.status().streams[STOCKS].received == 600, saw=recorder.status)
            wait_until(lambda: recorder.status().streams[OPTIONS].received == 300, saw=recorder.status)
        assert recorder.status().lost == 0
        return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.csv.gz"))}

    alone = record(tmp_path / "alone", None)
    beside = record(tmp_path / "beside", page_of)
    assert len(alone) == 3
    assert beside == alone


def test_each_is_stopped_without_the_other(simulator: Simulators, tmp_path: Path):
    server = simulator()
    with desk(server, tmp_path) as both:
        both.page.stop()
        server.push(STOCKS, [quote()])
        wait_until(lambda: both.recorder.status().streams[STOCKS].received == 1)
        assert server.subscribed(STOCKS, "quotes") == {"AAPL", "MSFT"}
        both.page.start(PAGE)
        for name in (STOCKS, OPTIONS):
            both.until(lambda health: health.phase in (Phase.LIVE, Phase.QUIET), name)
        final = both.recorder.stop()
        server.push(STOCKS, [quote("SPY")])
        wait_until(lambda: "SPY" in both.page.snapshot().quotes)
        assert (final.lost, final.gaps) == (0, 0)
        assert server.connections == {STOCK_PATH: 1, "/v1beta1/indicative": 1}
    assert gap_rows(tmp_path) == []


def test_a_place_that_is_still_held_is_waited_for_by_both(simulator: Simulators, tmp_path: Path):
    server = simulator(faults=Faults(auth_error=406, stream=STOCKS))
    connections = connections_to()
    with (
        page_of(server, connections) as page,
        recorder_of(server, connections, tmp_path) as recorder,
    ):
        both = Desk(server, tmp_path, page, recorder)
        both.until(lambda health: health.connections, OPTIONS)
        both.until(lambda health: health.gap_count == 1)
        server.set_faults(Faults())
        both.until(lambda health: health.connections == 1)
        assert all("406" in health.gaps[0].reason for health in both.health())
        assert all(health.gap_count == 1 for health in both.health())
    assert {row["stream"] for row in gap_rows(tmp_path)} == {"stocks"}


def test_a_cut_is_a_gap_of_both_and_both_go_on(simulator: Simulators, tmp_path: Path):
    server = simulator()
    with desk(server, tmp_path) as both:
        for cuts in (1, 2, 3):
            server.reset_all(STOCKS)
            both.until(lambda health, cuts=cuts: health.connections == cuts + 1)  # type: ignore[misc]
            server.push(STOCKS, [quote(bid=cuts)])
            both.until(lambda health, cuts=cuts: health.received == cuts)  # type: ignore[misc]
        assert server.connections[STOCK_PATH] == 4
        assert [health.gap_count for health in both.health()] == [3, 3]
        assert [health.gap_count for health in both.health(OPTIONS)] == [0, 0]
    rows = gap_rows(tmp_path)
    assert [row["stream"] for row in rows] == ["stocks"] * 3
    assert list(rows_on_disk(tmp_path)["bid_price"]) == [1, 2, 3]


def test_a_connection_that_died_without_a_word_is_noticed_for_both(simulator: Simulators, tmp_path: Path):
    server = simulator()
    with desk(server, tmp_path, IMPATIENT) as both:
        server.freeze_all(STOCKS)
        both.until(lambda health: health.connections == 2 and health.gap_count == 1)
    assert {row["stream"] for row in gap_rows(tmp_path)} == {"stocks"}


def test_a_connection_that_answers_and_says_nothing_is_made_anew_for_both(
    simulator: Simulators, tmp_path: Path
):
    """Whoever loses patience first leaves with the other: alone it would find the same mute connection again."""
    server = simulator()
    connections = connections_to()
    # Of the two the page alone is impatient.
    impatient, patient = replace(PAGE, stall_seconds=1.0), replace(RECORDED, stall_seconds=FOREVER)
    with (
        page_of(server, connections, impatient) as page,
        recorder_of(server, connections, tmp_path, patient) as recorder,
    ):
        both = Desk(server, tmp_path, page, recorder)
        both.until(lambda health: health.connections and len(health.acknowledged) == 2)
        server.push(STOCKS, [quote()])
        both.until(lambda health: health.connections >= 2)
        (gap, *_) = recorder.status().streams[STOCKS].gaps
        assert gap.reason == "Nothing came over the stocks connection, so the page has it made anew."
    assert {row["stream"] for row in gap_rows(tmp_path)} >= {"stocks"}


def test_one_that_joins_while_there_is_no_connection_comes_alive_with_the_other(
    simulator: Simulators, tmp_path: Path
):
    """A gap of the recorder ends no later for the page that comes meanwhile, and the page's first try is its own."""
    server = simulator()
    connections = connections_to()
    with recorder_of(server, connections, tmp_path) as recorder:
        wait_until(lambda: recorder.status().streams[STOCKS].connections, saw=recorder.status)
        server.set_faults(Faults(http_status=503))
        server.reset_all(STOCKS)
        wait_until(lambda: recorder.status().streams[STOCKS].phase is Phase.RECONNECTING, saw=recorder.status)
        with page_of(server, connections) as page:
            wait_until(lambda: page.snapshot().streams[STOCKS].gaps, saw=page.snapshot)
            server.set_faults(Faults())
            wait_until(lambda: page.snapshot().streams[STOCKS].connections == 1, saw=page.snapshot)
            wait_until(lambda: recorder.status().streams[STOCKS].connections == 2, saw=recorder.status)
            server.push(STOCKS, [quote()])
            wait_until(lambda: "AAPL" in page.snapshot().quotes)
            wait_until(lambda: recorder.status().streams[STOCKS].received == 1)


def test_a_page_that_comes_and_goes_while_it_changes_its_symbols_costs_no_row(
    simulator: Simulators, tmp_path: Path
):
    """The server keeps what the recorder wants through every change, and the recorder hears each quote once."""
    server = simulator()
    sent = 0
    with desk(server, tmp_path) as both:
        ended = threading.Event()

        def keep_changing() -> None:
            number = 0
            while not ended.is_set():
                number += 1
                both.page.start(replace(PAGE, stocks=("MSFT", "AAPL", f"S{number}")[number % 3 :]))
                if number % 5 == 0:
                    both.page.stop()

        changer = threading.Thread(target=keep_changing, name="changer")
        changer.start()
        try:
            for number in range(2_000):
                server.push(STOCKS, [quote(bid=number), quote("MSFT", number)])
                sent += 2
            wait_until(
                lambda: both.recorder.status().streams[STOCKS].received == sent, saw=both.recorder.status
            )
        finally:
            ended.set()
            changer.join()
        assert both.recorder.status().gaps == 0
    for symbol in ("AAPL", "MSFT"):
        assert list(rows_on_disk(tmp_path, symbol=symbol)["bid_price"]) == list(range(2_000))
