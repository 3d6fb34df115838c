"""The whole engine on a real socket: the manager and the real alpaca-py against the simulator, each fault in turn.

Each test looks at both sides, and each ends with a ledger that adds up.
"""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import pytest
from alpaca.trading.stream import TradingStream

from options_helper.data.streaming.alpaca_stream import AlpacaOptionStreamer, AlpacaStockStreamer
from options_helper.data.streaming.alpaca_trading_stream import AlpacaTradingStreamer
from options_helper.data.streaming.connection.alpaca_sdk import DEFAULT_TIMING, ConnectionTiming
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.errors import ConfigError
from options_helper.model.announcement import MarketKind
from options_helper.model.events import Quote
from options_helper.model.instants import timestamp_extension
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import PORTFOLIO_STREAMS, StreamName
from options_helper.settings import DEMO_SECRET
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from options_helper.simulator.wire.protocol import FREE_PLAN, Limits
from tests.kit.fakes import SteppedClock, trade_message
from tests.kit.simulated import settings_for
from tests.kit.waiting import AT_ONCE, FOREVER, until_no_thread, wait_until

STOCKS, OPTIONS, FILLS = StreamName.STOCKS, StreamName.OPTIONS, StreamName.FILLS
CALL = "AAPL260320C00180000"
NOON = 1_774_022_400_123_456_789  # Friday 2026-03-20 12:00 in New York: the market is open
STOCK_PATH, OPTION_PATH, TRADING_PATH = "/v2/iex", "/v1beta1/indicative", "/stream"
# However busy the machine, a connection that is well is not given up.
PATIENT = ConnectionTiming(opening=FOREVER, acknowledgement=FOREVER, ping_timeout=FOREVER, closing=0.2)
# For servers that go silent.
IMPATIENT = ConnectionTiming(
    opening=0.4, acknowledgement=0.4, ping_interval=0.2, ping_timeout=0.4, closing=0.2
)
CONFIG = LiveStreamConfig(
    stocks=("AAPL", "MSFT"),
    option_contracts=(CALL,),
    reconnect_base_seconds=0.05,
    reconnect_cap_seconds=0.1,
    stall_seconds=30.0,
)
ONLY_STOCKS = replace(CONFIG, stream_options=False, stream_fills=False)
ONLY_FILLS = replace(CONFIG, stream_stocks=False, stream_options=False)
FILL = {
    "stream": "trade_updates",
    "data": {
        "event": "fill",
        "timestamp": "2026-03-20T16:00:00.5Z",
        "execution_id": "e1",
        "price": "1.05",
        "qty": "2",
        "order": {
            "id": "o1",
            "symbol": CALL,
            "side": "buy",
            "qty": "2",
            "filled_qty": "2",
            "status": "filled",
        },
    },
}

Simulators = Callable[..., SimulatorServer]


@pytest.fixture
def simulator(running_simulator: Simulators) -> Simulators:
    return partial(running_simulator, SilentMarket(start_ns=NOON))


class SaidLosses(logging.Handler):
    """What the workers said of each loss; a snapshot may show it for a moment only."""

    def __init__(self) -> None:
        super().__init__()
        self.sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.sentences.append(record.getMessage())


class Watch:
    """A started manager and the questions tests ask of it."""

    def __init__(self, manager: LiveStreamManager, losses: SaidLosses) -> None:
        self.manager = manager
        self._losses = losses

    @property
    def snapshot(self) -> LiveSnapshot:
        return self.manager.snapshot()

    def health(self, name: StreamName = STOCKS) -> StreamHealth:
        return self.manager.snapshot().streams[name]

    def until(self, condition: Callable[[StreamHealth], object], name: StreamName = STOCKS) -> StreamHealth:
        wait_until(lambda: condition(self.health(name)), saw=lambda: self.health(name))
        return self.health(name)

    def until_live(self, *names: StreamName, connections: int = 1) -> None:
        for name in names or (STOCKS,):
            self.until(lambda health: health.connections >= connections, name)

    def until_error(self, words: str) -> str:
        """Wait until a worker gave this reason for a loss; the whole sentence."""
        return wait_until(
            lambda: next((said for said in self._losses.sentences if words in said), ""),
            saw=lambda: self._losses.sentences,
        )


@contextmanager
def watching(
    server: SimulatorServer,
    config: LiveStreamConfig = CONFIG,
    secret: str = DEMO_SECRET,
    timing: ConnectionTiming = PATIENT,
    **more: Any,
) -> Iterator[Watch]:
    manager = LiveStreamManager(
        more.pop("settings", None) or settings_for(server, secret),
        stock_stream_cls=partial(AlpacaStockStreamer, timing=timing),
        option_stream_cls=partial(AlpacaOptionStreamer, timing=timing),
        trading_stream_cls=partial(AlpacaTradingStreamer, timing=timing),
        retry=more.pop("retry", RetryPolicy(slow_base_seconds=0.1)),
        **more,
    )
    losses = SaidLosses()
    worker_log = logging.getLogger("options_helper.data.streaming.engine.worker")
    worker_log.addHandler(losses)
    manager.start(config)
    try:
        yield Watch(manager, losses)
    finally:
        worker_log.removeHandler(losses)
        manager.stop()
        for health in manager.snapshot().streams.values():
            assert health.accounted, health
            assert health.queued == 0


def quote(
    symbol: str = "AAPL", bid: float = 180.1, *, after_seconds: float = 0.0, **more: Any
) -> dict[str, Any]:
    moment = timestamp_extension(NOON + int(after_seconds * 1e9))
    return {
        "T": "q",
        "S": symbol,
        "bx": "V",
        "bp": bid,
        "bs": 2,
        "ax": "Q",
        "ap": bid + 0.1,
        "as": 3,
        "t": moment,
        **more,
    }


def test_all_three_streams_come_alive_over_one_connection_each(simulator: Simulators):
    server = simulator()
    with watching(server) as watch:
        watch.until_live(STOCKS, OPTIONS, FILLS)
        server.push(STOCKS, [quote(), trade_message("MSFT", 510.0, at_ns=NOON)])
        server.push(OPTIONS, [quote(CALL, 4.2)])
        server.push(FILLS, [FILL])
        wait_until(
            lambda: watch.snapshot.fills and watch.snapshot.option_quotes and watch.snapshot.stock_trades
        )
        snapshot = watch.snapshot

    assert server.connections == {STOCK_PATH: 1, OPTION_PATH: 1, TRADING_PATH: 1}
    assert snapshot.stock_quotes["AAPL"].timestamp_ns == NOON
    assert snapshot.stock_trades["MSFT"].price == 510.0
    assert snapshot.option_quotes[CALL].bid_price == 4.2
    assert (snapshot.fills[0].symbol, str(snapshot.fills[0].price)) == (CALL, "1.05")
    assert snapshot.market is MarketKind.SIMULATED
    assert wait_until(lambda: not server.clients) is True


@pytest.mark.parametrize("offered", [True, False])
def test_compression_changes_nothing_but_the_bytes(simulator: Simulators, offered: bool):  # noqa: FBT001
    """Also where the server agrees to none, and where a message is longer than what a frame's first bytes can say."""
    server = simulator(compression=offered)
    compressed = replace(settings_for(server), compression="deflate")
    with watching(server, ONLY_STOCKS, settings=compressed) as watch:
        watch.until_live()
        for burst in range(20):
            server.push(STOCKS, [quote(bid=180 + burst + number / 1_000) for number in range(200)])
        health = watch.until(lambda health: health.applied == 4_000)

    assert (health.rejected, health.gap_count) == (0, 0)
    assert watch.snapshot.quotes["AAPL"].bid_price == pytest.approx(199.199)
    assert server.connections[STOCK_PATH] == 1


def test_a_compressed_message_that_cannot_be_read_is_a_loss_that_says_so(simulator: Simulators):
    server = simulator(compression=True, faults=Faults(bad_compression=True, first_connections=1))
    compressed = replace(settings_for(server), compression="deflate")
    with watching(server, ONLY_STOCKS, settings=compressed) as watch:
        watch.until_live()
        server.push(STOCKS, [quote()])
        watch.until_error("a compressed message cannot be read")
        watch.until_live(connections=2)
        server.push(STOCKS, [quote()])
        health = watch.until(lambda health: health.applied == 1)

    assert (health.rejected, health.gap_count) == (0, 1)


def test_the_server_gets_exactly_the_symbols_and_channels_asked_for(simulator: Simulators):
    server = simulator()
    with watching(server) as watch:
        watch.until_live(STOCKS, OPTIONS)
        assert server.subscribed(STOCKS, "quotes") == server.subscribed(STOCKS, "trades") == {"AAPL", "MSFT"}
        assert server.subscribed(STOCKS, "bars") == frozenset()
        assert server.subscribed(OPTIONS, "quotes") == {CALL}
        assert watch.health().acknowledged == ("AAPL", "MSFT")


def test_a_change_of_symbols_needs_no_new_connection(simulator: Simulators):
    server = simulator()
    with watching(server) as watch:
        watch.until_live(STOCKS, OPTIONS)
        watch.manager.start(replace(CONFIG, stocks=("AAPL", "NVDA")))
        wait_until(lambda: server.subscribed(STOCKS, "quotes") == {"AAPL", "NVDA"})
        watch.until(lambda health: health.acknowledged == ("AAPL", "NVDA"))

    assert server.connections[STOCK_PATH] == 1


def test_thousands_of_symbols_are_subscribed_in_a_fragmented_message(simulator: Simulators):
    symbols = tuple(f"S{number:05d}" for number in range(8_000))
    with watching(simulator(), replace(ONLY_STOCKS, stocks=symbols)) as watch:
        watch.until(lambda health: len(health.acknowledged) == 8_000)


def test_a_wrong_key_is_final_after_one_confirmation_and_says_what_to_check(simulator: Simulators):
    server = simulator()
    with watching(server, secret="wrong-secret") as watch:  # noqa: S106 - a made-up secret
        for name in PORTFOLIO_STREAMS:
            health = watch.until(lambda health: health.phase is Phase.FAILED, name)
            assert "APCA_API_SECRET_KEY" in (health.last_error or "")

    assert server.connections == {STOCK_PATH: 2, OPTION_PATH: 2, TRADING_PATH: 2}


def test_a_feed_that_the_plan_lacks_is_final_and_named(simulator: Simulators):
    server = simulator(limits=FREE_PLAN)
    with watching(server, replace(ONLY_STOCKS, stock_feed="sip")) as watch:
        health = watch.until(lambda health: health.phase is Phase.FAILED)

    assert "sip" in (health.last_error or "")
    assert "409" in (health.last_error or "")
    assert server.connections["/v2/sip"] == 2


def test_a_taken_connection_is_explained_and_taken_over_when_it_is_free(simulator: Simulators):
    server = simulator()
    with watching(server, ONLY_STOCKS) as first:
        first.until_live()
        with watching(server, ONLY_STOCKS) as second:
            second.until_error("Another program")
            first.manager.stop()
            second.until_live()


def test_a_place_held_for_a_dead_session_is_waited_for(simulator: Simulators):
    server = simulator(faults=Faults(hold_session_seconds=0.5))
    with watching(server, ONLY_STOCKS) as watch:
        watch.until_live()
        server.reset_all()
        watch.until_error("connection limit")
        watch.until_live(connections=2)


def test_over_the_plan_s_limit_the_first_symbols_stream_and_the_rest_are_named(simulator: Simulators):
    symbols = tuple(f"S{number:02d}" for number in range(40))
    server = simulator(limits=Limits(stock_symbols=30))
    with watching(server, replace(ONLY_STOCKS, stocks=symbols)) as watch:
        health = watch.until(lambda health: health.refused_symbols)
        server.push(STOCKS, [quote("S00")])
        wait_until(lambda: "S00" in watch.snapshot.stock_quotes)

    assert (health.acknowledged, health.refused_symbols) == (symbols[:30], symbols[30:])
    assert "30 stocks" in (health.last_error or "")
    assert server.connections[STOCK_PATH] == 1


@pytest.mark.parametrize("code", [405, 410, 413])
def test_a_stream_whose_every_symbol_is_refused_has_failed(simulator: Simulators, code: int):
    with watching(simulator(faults=Faults(subscribe_error=code)), ONLY_STOCKS) as watch:
        health = watch.until(lambda health: health.phase is Phase.FAILED)

    assert "refused every symbol" in (health.last_error or "")
    assert health.refused_symbols == ("AAPL", "MSFT")


def test_a_malformed_symbol_does_not_cost_the_others(simulator: Simulators):
    server = simulator()
    with watching(server, replace(ONLY_STOCKS, stocks=("AAPL", "not a symbol!", "MSFT"))) as watch:
        health = watch.until(lambda health: health.refused_symbols)

    assert (health.acknowledged, health.refused_symbols) == (("AAPL", "MSFT"), ("NOT A SYMBOL!",))


def test_symbols_that_the_acknowledgement_leaves_out_are_listed(simulator: Simulators):
    with watching(simulator(faults=Faults(partial_ack=1)), ONLY_STOCKS) as watch:
        health = watch.until(lambda health: health.refused_symbols)

    assert (health.acknowledged, health.refused_symbols) == (("AAPL",), ("MSFT",))


@pytest.mark.parametrize(
    ("status", "final"),
    [(401, True), (403, True), (404, True), (408, False), (425, False), (429, False), (503, False)],
)
def test_a_refused_handshake_is_final_or_passing(simulator: Simulators, status: int, final: bool):  # noqa: FBT001
    server = simulator(faults=Faults(http_status=status, first_connections=2))
    with watching(server, ONLY_STOCKS) as watch:
        watch.until_error(f"HTTP {status}")
        if final:
            watch.until(lambda health: health.phase is Phase.FAILED)
        else:
            watch.until_live()


@pytest.mark.parametrize("faults", [Faults(http_status=403), Faults(auth_error=402), Faults(auth_error=409)])
def test_a_refusal_that_passes_ends_no_stream_for_good(simulator: Simulators, faults: Faults):
    """Alpaca's own outages have refused good keys all day."""
    server = simulator(faults=replace(faults, first_connections=3))
    with watching(server, ONLY_STOCKS, retry=RetryPolicy(refused_pauses=(0.05,))) as watch:
        watch.until_live()
        server.push(STOCKS, [quote()])
        health = watch.until(lambda health: health.applied)
    assert (server.connections[STOCK_PATH], health.gap_count) == (4, 1)
    assert health.refused_seconds > 0


def test_a_redirect_is_not_followed_so_that_the_keys_stay_here(simulator: Simulators):
    elsewhere = simulator()
    server = simulator(faults=Faults(redirect=elsewhere.stream_url + STOCK_PATH))
    with watching(server, ONLY_STOCKS) as watch:
        health = watch.until(lambda health: health.phase is Phase.FAILED)

    assert "another address" in (health.last_error or "")
    assert not elsewhere.connections


@pytest.mark.parametrize("code", [404, 500])
def test_a_passing_error_at_the_key_is_tried_again(simulator: Simulators, code: int):
    server = simulator(faults=Faults(auth_error=code, first_connections=2))
    with watching(server, ONLY_STOCKS) as watch:
        watch.until_error(str(code))
        watch.until_live()

    assert server.connections[STOCK_PATH] == 3


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (STOCKS, "never_upgrade"),
        (STOCKS, "silent_welcome"),
        (STOCKS, "silent_auth"),
        (STOCKS, "no_ack"),
        (FILLS, "never_upgrade"),
        (FILLS, "silent_auth"),
        (FILLS, "no_ack"),
    ],
)
def test_a_server_that_goes_silent_while_connecting_is_left_in_time(
    simulator: Simulators, name: StreamName, fault: str
):
    server = simulator(faults=Faults(first_connections=1, **{fault: True}))
    with watching(server, ONLY_FILLS if name is FILLS else ONLY_STOCKS, timing=IMPATIENT) as watch:
        watch.until_error("within")
        watch.until_live(name)


@pytest.mark.parametrize("fault", ["never_upgrade", "silent_welcome", "silent_auth", "no_ack"])
def test_stop_does_not_wait_for_a_silent_server(simulator: Simulators, fault: str):
    server = simulator(faults=Faults(**{fault: True}))
    with watching(server, ONLY_STOCKS) as watch:
        wait_until(lambda: server.connections.get(STOCK_PATH))
        watch.manager.stop()
        until_no_thread("live-")
        assert watch.health().phase is Phase.STOPPED


def test_a_server_that_is_not_there_is_named_and_tried_again(simulator: Simulators):
    server = simulator()
    server.stop()
    with watching(server, ONLY_STOCKS) as watch:
        assert f"127.0.0.1:{server.port}" in watch.until_error("Cannot connect")
        server.start()
        watch.until_live()


@pytest.mark.parametrize("code", [1000, 1009, 1011])
def test_a_closed_connection_is_a_gap_and_is_made_anew(simulator: Simulators, code: int):
    server = simulator()
    with watching(server) as watch:
        watch.until_live(*PORTFOLIO_STREAMS)
        server.disconnect_all(code)
        watch.until_live(*PORTFOLIO_STREAMS, connections=2)
        server.push(STOCKS, [quote()])
        wait_until(lambda: watch.snapshot.stock_quotes)
        gaps = [health.gaps for health in watch.snapshot.streams.values()]

    assert all(len(gap) == 1 and gap[0].until is not None for gap in gaps)
    assert str(code) in gaps[0][0].reason


def test_an_abrupt_reset_is_a_gap_and_is_made_anew(simulator: Simulators):
    server = simulator()
    with watching(server, ONLY_STOCKS) as watch:
        watch.until_live()
        server.reset_all()
        watch.until_live(connections=2)
        assert len(watch.health().gaps) == 1


@pytest.mark.parametrize("name", [STOCKS, FILLS])
def test_a_half_open_socket_is_noticed_by_its_pings(simulator: Simulators, name: StreamName):
    server = simulator()
    with watching(server, ONLY_FILLS if name is FILLS else ONLY_STOCKS, timing=IMPATIENT) as watch:
        watch.until_live(name)
        server.freeze_all()
        watch.until_error("ping")
        watch.until_live(name, connections=2)


def test_stop_leaves_no_thread_on_half_open_sockets(simulator: Simulators):
    """Closed as they are configured; no ping notices before that nobody is there."""
    server = simulator()
    timing = replace(DEFAULT_TIMING, ping_timeout=FOREVER)
    manager = LiveStreamManager(
        settings_for(server),
        stock_stream_cls=partial(AlpacaStockStreamer, timing=timing),
        option_stream_cls=partial(AlpacaOptionStreamer, timing=timing),
        trading_stream_cls=partial(AlpacaTradingStreamer, timing=timing),
    )
    manager.start(CONFIG)
    wait_until(lambda: all(health.connections for health in manager.snapshot().streams.values()))
    server.freeze_all()
    manager.stop()

    until_no_thread("live-")
    assert set(manager.snapshot().phase.values()) == {Phase.STOPPED}


def test_a_mute_server_is_left_while_the_market_is_open(simulator: Simulators):
    server = simulator()
    clock = SteppedClock()
    with watching(server, ONLY_STOCKS, monotonic=clock.monotonic) as watch:
        watch.until_live()
        server.push(STOCKS, [quote()])
        wait_until(lambda: watch.snapshot.stock_quotes)
        server.mute()
        clock.wait_for_looks("live-consumer")
        clock.advance(ONLY_STOCKS.stall_seconds + 1)
        watch.until(lambda health: any("No stocks data" in gap.reason for gap in health.gaps))
        watch.until_live(connections=2)


def test_a_slow_client_notice_is_shown_and_the_loss_recorded(simulator: Simulators):
    server = simulator(faults=Faults(stream_error=407, after_events=1, first_connections=1))
    with watching(server, ONLY_STOCKS) as watch:
        watch.until_live()
        server.push(STOCKS, [quote()])
        watch.until_live(connections=2)
        assert len(watch.health().gaps) == 1


def test_a_reconnect_asks_for_the_symbols_wanted_by_then(simulator: Simulators):
    server = simulator()
    with watching(server, ONLY_STOCKS) as watch:
        watch.until_live()
        watch.manager.start(replace(ONLY_STOCKS, stocks=("NVDA",)))
        server.reset_all()
        watch.until_live(connections=2)
        assert server.subscribed(STOCKS, "quotes") == {"NVDA"}


def test_a_malformed_message_and_an_unknown_type_cost_themselves_only(simulator: Simulators):
    server = simulator(faults=Faults(malformed=True, unknown_type=True))
    with watching(server, ONLY_STOCKS) as watch:
        watch.until_live()
        for number in range(10):
            server.push(STOCKS, [quote(bid=100.0 + number), quote("MSFT")])
        health = watch.until(
            lambda health: health.received == server.sent[STOCKS] == 40 and not health.queued
        )
        assert watch.snapshot.stock_quotes["AAPL"].bid_price == 109.0

    assert (health.applied, health.rejected) == (20, 20)


def test_text_frames_are_rejected_and_counted_and_the_stream_goes_on(simulator: Simulators):
    server = simulator(faults=Faults(json_text=True, after_events=1))
    with watching(server, ONLY_STOCKS) as watch:
        watch.until_live()
        server.push(STOCKS, [quote()])
        server.push(STOCKS, [quote()])
        health = watch.until(lambda health: health.received == 2 and not health.queued)

    assert (health.applied, health.rejected, health.connections) == (1, 1, 1)


def test_a_stream_of_which_nothing_can_be_read_is_not_live_for_long(simulator: Simulators):
    server = simulator(faults=Faults(json_text=True, first_connections=1))
    clock = SteppedClock()
    with watching(server, ONLY_STOCKS, monotonic=clock.monotonic) as watch:
        watch.until_live()
        clock.wait_for_looks("live-consumer")
        clock.advance(0.6 * ONLY_STOCKS.stall_seconds)
        server.push(STOCKS, [quote()])
        watch.until(lambda health: health.rejected)
        clock.wait_for_looks("live-consumer")
        clock.advance(0.6 * ONLY_STOCKS.stall_seconds)
        watch.until_live(connections=2)
        assert "data that can be read" in watch.health().gaps[0].reason
        server.push(STOCKS, [quote()])
        watch.until(lambda health: health.applied)


def test_a_frame_above_one_mebibyte_is_read(simulator: Simulators):
    server = simulator(faults=Faults(oversized=True))
    with watching(server, ONLY_STOCKS) as watch:
        watch.until_live()
        server.push(STOCKS, [quote()])
        watch.until(lambda health: health.applied == 1)
        assert watch.health().connections == 1


def test_late_and_repeated_quotes_do_not_replace_newer_ones(simulator: Simulators):
    server = simulator(faults=Faults(duplicate=True))
    with watching(server, ONLY_STOCKS) as watch:
        watch.until_live()
        server.push(STOCKS, [quote(bid=200.0, after_seconds=10)])
        server.push(STOCKS, [quote(bid=100.0)])
        health = watch.until(lambda health: health.applied == 4)
        assert watch.snapshot.stock_quotes["AAPL"].bid_price == 200.0

    assert health.late == 2


@pytest.mark.parametrize(
    ("fault", "bid", "ask"),
    [("crossed_quotes", 180.2, 180.1), ("zero_bids", 0, 180.2), ("zero_quotes", 0, 0)],
)
def test_odd_quotes_arrive_as_they_are(simulator: Simulators, fault: str, bid: float, ask: float):
    server = simulator(faults=Faults(**{fault: True}))
    with watching(server, ONLY_STOCKS) as watch:
        watch.until_live()
        server.push(STOCKS, [quote()])
        wait_until(lambda: watch.snapshot.stock_quotes)
        got = watch.snapshot.stock_quotes["AAPL"]

    assert (got.bid_price, got.ask_price) == pytest.approx((bid, ask))


@pytest.mark.parametrize("fault", ["fill_without_timestamp", "fill_unknown_status", "text_fills"])
def test_an_odd_fill_is_a_fill(simulator: Simulators, fault: str):
    server = simulator(faults=Faults(**{fault: True}))
    with watching(server, ONLY_FILLS) as watch:
        watch.until_live(FILLS)
        server.push(FILLS, [FILL])
        wait_until(lambda: watch.snapshot.fills)
        assert watch.snapshot.fills[0].order_id == "o1"


def test_an_update_without_data_is_counted_and_the_next_fill_arrives(simulator: Simulators):
    server = simulator(faults=Faults(fill_null_data=True, first_connections=1))
    with watching(server, ONLY_FILLS) as watch:
        watch.until_live(FILLS)
        server.push(FILLS, [FILL])
        watch.until(lambda health: health.rejected == 1, FILLS)
        server.reset_all()
        watch.until_live(FILLS, connections=2)
        server.push(FILLS, [FILL])
        wait_until(lambda: watch.snapshot.fills)


def test_everything_the_server_sent_is_accounted_for_through_cuts_and_a_small_queue(simulator: Simulators):
    """Received = applied + dropped + rejected + queued, and received is what the server wrote before each cut."""
    server = simulator(faults=Faults(malformed=True))
    frames = [msgspec.msgpack.encode([quote(bid=number), quote("MSFT"), None]) for number in range(2_000)]
    with watching(server, replace(ONLY_STOCKS, queue_maxsize=50)) as watch:
        for cut in range(3):
            watch.until_live(connections=cut + 1)
            for payload in frames:
                server.push_frame(STOCKS, payload)
            server.flush()
            watch.until(lambda health: health.received == server.sent[STOCKS] and not health.queued)
            server.disconnect_all()
        health = watch.health()

    assert health.received == server.sent[STOCKS] == 3 * 6_000
    assert health.dropped > 0


def test_the_secret_is_in_no_log_error_or_repr_whatever_goes_wrong(simulator: Simulators):
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    secret = "s3cret-that-must-not-be-seen"  # noqa: S105 - a made-up secret
    try:
        for faults in (
            Faults(),
            Faults(auth_error=402),
            Faults(silent_auth=True),
            Faults(http_status=401),
            Faults(reset=True),
        ):
            with watching(simulator(faults=faults, secret=secret), secret=secret, timing=IMPATIENT) as watch:
                for name in PORTFOLIO_STREAMS:
                    watch.until(lambda health: health.connections or health.last_error, name)
                written.write(repr(watch.snapshot) + repr(watch.manager) + repr(vars(watch.manager)))
    finally:
        root.removeHandler(handler)
        root.setLevel(before)

    assert len(written.getvalue()) > 1_000
    assert secret not in written.getvalue()


def test_handlers_of_a_library_user_get_typed_events_and_may_change_the_subscription(simulator: Simulators):
    """From inside a handler, subscribing and stopping do not deadlock."""
    server = simulator()
    received: list[Quote] = []

    async def on_quote(event: Quote) -> None:
        received.append(event)
        if event.symbol == "AAPL":
            streamer.subscribe(["MSFT"], channels=["quotes"])
        else:
            streamer.stop()

    def on_trade(_: object) -> None:
        raise RuntimeError("a handler's failure costs no event")

    streamer = AlpacaStockStreamer(
        settings_for(server), feed="iex", on_quotes=on_quote, on_trades=on_trade, timing=PATIENT
    )
    streamer.subscribe(["AAPL"])
    thread = threading.Thread(target=streamer.run, name="live-library-user")
    thread.start()
    wait_until(lambda: "AAPL" in server.subscribed(STOCKS, "quotes"))
    server.push(STOCKS, [trade_message("AAPL", at_ns=NOON), quote()])
    wait_until(lambda: "MSFT" in server.subscribed(STOCKS, "quotes"))
    assert server.subscribed(STOCKS, "trades") == {"AAPL"}
    server.push(STOCKS, [quote("MSFT")])
    thread.join(AT_ONCE)

    assert not thread.is_alive()
    assert [event.symbol for event in received] == ["AAPL", "MSFT"]


def test_a_handler_may_return_what_is_to_be_awaited(simulator: Simulators):
    server = simulator()
    received: list[Quote] = []

    async def keep(event: Quote) -> None:
        received.append(event)

    streamer = AlpacaStockStreamer(settings_for(server), feed="iex", on_quotes=partial(keep), timing=PATIENT)
    streamer.subscribe(["AAPL"])
    thread = threading.Thread(target=streamer.run, name="live-library-user")
    thread.start()
    wait_until(lambda: server.subscribed(STOCKS))
    server.push(STOCKS, [quote(bid=number) for number in range(20)])
    wait_until(lambda: len(received) == 20)
    streamer.stop()
    thread.join(AT_ONCE)

    assert [event.bid_price for event in received] == list(range(20))


def test_keys_are_not_given_to_an_address_that_is_neither_safe_nor_local(simulator: Simulators):
    server = simulator()
    careless = TradingStream("demo-key", "demo-secret", url_override="ws://192.0.2.1/stream")
    streamer = AlpacaTradingStreamer(settings_for(server), stream=careless)
    streamer.subscribe_trade_updates()

    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
        streamer.run()


def test_a_ready_made_sdk_stream_can_be_connected_with(simulator: Simulators):
    server = simulator()
    ready = TradingStream("demo-key", "demo-secret", url_override=f"ws://127.0.0.1:{server.port}/stream")
    streamer = AlpacaTradingStreamer(settings_for(server), stream=ready)
    streamer.subscribe_trade_updates()
    thread = threading.Thread(target=streamer.run, name="live-library-user")
    thread.start()
    wait_until(lambda: server.clients.get(TRADING_PATH))
    streamer.stop()
    thread.join(AT_ONCE)

    assert not thread.is_alive()


def test_order_updates_reach_a_library_user_s_handler(simulator: Simulators):
    server = simulator()
    received: list[dict[str, Any]] = []
    streamer = AlpacaTradingStreamer(
        settings_for(server), paper=True, on_trade_updates=received.append, timing=PATIENT
    )
    streamer.subscribe_trade_updates()
    thread = threading.Thread(target=streamer.run, name="live-library-user")
    thread.start()
    wait_until(lambda: server.clients.get(TRADING_PATH) and server.clients[TRADING_PATH][0])
    wait_until(lambda: _push_until_received(server, received))
    streamer.stop()
    thread.join(AT_ONCE)

    assert not thread.is_alive()
    assert received[0]["order"]["id"] == "o1"


def _push_until_received(server: SimulatorServer, received: list[dict[str, Any]]) -> bool:
    server.push(FILLS, [FILL])
    return bool(received)


def test_a_streamer_stopped_before_it_runs_never_connects(simulator: Simulators):
    server = simulator()
    streamer = AlpacaStockStreamer(settings_for(server), feed="iex")
    streamer.subscribe(["AAPL"])
    streamer.stop()
    streamer.run()

    assert not server.connections
