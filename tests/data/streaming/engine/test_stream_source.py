"""A stream that nobody thought of is a row and a source: queue, fold, health and heartbeat take it as it is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from options_helper.capture.runner import CaptureConfig, CaptureEngine
from options_helper.data.streaming.engine.frame_queue import FrameQueue
from options_helper.data.streaming.engine.stream_config import StreamRequest
from options_helper.data.streaming.engine.stream_source import JoinedSources
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.messages import DecodedFrame
from options_helper.errors import ConfigError
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.events import Quote
from options_helper.model.market_hours import expects_data
from options_helper.model.snapshot import LiveSnapshot, Phase
from options_helper.model.streams import (
    FILLS,
    PORTFOLIO_STREAMS,
    STOCKS,
    Feed,
    Hours,
    StreamId,
    StreamKind,
    StreamName,
)
from options_helper.monitoring.heartbeat import Role
from options_helper.monitoring.heartbeat_file import read_heartbeat
from options_helper.monitoring.heartbeat_writer import HeartbeatWriter
from options_helper.settings import Settings
from tests.kit.builders import nanoseconds
from tests.kit.fakes import (
    ScriptedSource,
    ScriptedStream,
    ScriptedStreams,
    Step,
    SteppedClock,
    acknowledge,
    announce,
    fail,
    frame,
    quote_message,
)
from tests.kit.waiting import wait_until

# Crypto pairs of another provider, in its own encoding, around the clock.
COINS = StreamKind(
    "coins",
    "Coins",
    Hours.ALWAYS,
    feeds=(Feed("fast"), Feed("delayed", "delayed 15 min")),
    channels=("quotes",),
)
STREAM = StreamId(COINS, "exchange", "main")
SUNDAY = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
PAIR = "BTC/USD"
CONFIG = LiveStreamConfig(
    stream_fills=False,
    reconnect_base_seconds=0.02,
    reconnect_cap_seconds=0.05,
    further=(StreamRequest(STREAM, (PAIR,), "delayed", ("quotes",)),),
)


def decode_coins(payload: bytes) -> DecodedFrame:
    """JSON lines, of which a bad one costs itself."""
    events, rejected = [], []
    for line in payload.splitlines():
        try:
            symbol, bid, ask = json.loads(line)
            events.append(Quote(symbol=symbol, bid_price=bid, ask_price=ask))
        except ValueError as error:
            rejected.append(str(error))
    return DecodedFrame(tuple(events), tuple(rejected))


def coins(*lines: str, received_ns: int | None = None) -> Step:
    """These lines arrive in one message."""

    def step(stream: ScriptedStream) -> None:
        stream.sink.frame("\n".join(lines).encode(), len(lines), received_ns)

    return step


def manager_of(scripted: ScriptedStreams, clock: SteppedClock | None = None) -> LiveStreamManager:
    """A manager that knows no keys."""
    source = ScriptedSource({STREAM: scripted}, decode_coins)
    clock = clock or SteppedClock(nanoseconds(SUNDAY))
    return LiveStreamManager(Settings(), source=source, now_ns=clock)


def seen(manager: LiveStreamManager, events: int) -> LiveSnapshot:
    """The snapshot as soon as so many events are in it."""
    # The first fold waits for the calendar's year to be made.
    wait_until(lambda: manager.snapshot().streams[STREAM].applied == events, 30, saw=manager.snapshot)
    return manager.snapshot()


def test_a_made_up_stream_goes_through_queue_fold_and_health_without_any_key():
    scripted = ScriptedStreams(
        [acknowledge(), coins('["BTC/USD", 9, 10]'), coins("?", '["BTC/USD", 11, 12]')]
    )
    manager = manager_of(scripted)
    manager.start(CONFIG)
    try:
        snapshot = seen(manager, events=2)
    finally:
        manager.stop()

    health = snapshot.streams[STREAM]
    assert (snapshot.quotes[PAIR].bid_price, snapshot.quotes[PAIR].ask_price) == (11, 12)
    assert (health.phase, health.feed, health.acknowledged) == (Phase.LIVE, "delayed", (PAIR,))
    assert (health.received, health.applied, health.rejected) == (3, 2, 1)
    assert health.accounted
    assert [snapshot.streams[name].phase for name in PORTFOLIO_STREAMS] == [Phase.OFF] * 3


def test_several_sources_are_one_run_and_the_first_alone_says_whose_market_it_is():
    """One provider's fake must not make another's prices look invented, nor set the clock of its session."""
    simulated = Announcement(MarketKind.SIMULATED, nanoseconds(SUNDAY) // 2, 1.0, None).header()
    stocks = ScriptedStreams([acknowledge(), lambda one: one.sink.frame(frame(quote_message("AAPL")), 1)])
    beside = ScriptedStreams([acknowledge(), announce(simulated), coins('["BTC/USD", 9, 10]', "?")])
    source = JoinedSources(
        ScriptedSource({StreamName.STOCKS: stocks}), (ScriptedSource({STREAM: beside}, decode_coins),)
    )
    clock = SteppedClock(nanoseconds(SUNDAY))
    manager = LiveStreamManager(Settings(), source=source, now_ns=clock, rest_cls=None)
    manager.start(replace(CONFIG, stocks=("AAPL",)))
    try:
        snapshot = seen(manager, events=1)
        wait_until(lambda: "AAPL" in manager.snapshot().quotes, saw=manager.snapshot)
    finally:
        manager.stop()

    assert (snapshot.market, snapshot.as_of) == (MarketKind.ALPACA, SUNDAY)
    assert snapshot.streams[STREAM].rejected == 1, "it is read as its own source reads"
    assert source.streams == (StreamName.STOCKS, STREAM)


def test_of_several_sources_the_first_has_to_be_able_to_run():
    """What another lacks, its streams say by failing."""

    class Unfit(ScriptedSource):
        def check(self, settings: Settings) -> None:
            raise ConfigError("It is switched off.")

    fit, unfit = ScriptedSource({StreamName.STOCKS: ScriptedStreams()}), Unfit({STREAM: ScriptedStreams()})

    JoinedSources(fit, (unfit,)).check(Settings())
    with pytest.raises(ConfigError, match="switched off"):
        JoinedSources(unfit, (fit,)).check(Settings())


def test_its_losses_symbols_and_reconnects_are_as_any_other_s():
    scripted = ScriptedStreams([acknowledge(), fail("gone")], [acknowledge()])
    manager = manager_of(scripted)
    manager.start(CONFIG)
    try:
        wait_until(lambda: manager.snapshot().streams[STREAM].connections == 2, saw=manager.snapshot)
        more = replace(CONFIG.further[0], symbols=(PAIR, "ETH/USD"))
        manager.start(replace(CONFIG, further=(more,)))
    finally:
        manager.stop()

    health = manager.snapshot().streams[STREAM]
    assert (health.gap_count, health.gaps[0].stream, health.gaps[0].reason) == (1, STREAM, "gone")
    assert scripted.made[-1].sent == [("subscribe", (PAIR,)), ("subscribe", ("ETH/USD",))]


def test_its_heartbeat_says_what_is_expected_of_it(tmp_path: Path):
    manager = manager_of(ScriptedStreams([acknowledge(), coins('["BTC/USD", 9, 10]')]))
    manager.start(CONFIG)
    try:
        seen(manager, events=1)
        with HeartbeatWriter(tmp_path / "beat.json", manager.snapshot, role=Role.DASHBOARD):
            beat = read_heartbeat(tmp_path / "beat.json")
    finally:
        manager.stop()

    assert beat is not None
    assert list(beat.streams) == ["exchange/main/coins"]
    one = beat.streams[STREAM]
    assert (one.phase, one.received, one.expects_data) == (Phase.LIVE, 1, True)


def test_its_hours_are_those_of_its_row():
    night = StreamKind("shares", "Shares", Hours.REGULAR, (Feed("late", hours=Hours.NIGHT),), ("quotes",))

    assert expects_data(STREAM, "fast", SUNDAY)
    assert not expects_data(StreamName.STOCKS, "iex", SUNDAY)
    sunday_evening = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
    assert expects_data(StreamId(night, "exchange"), "late", sunday_evening)
    assert not expects_data(StreamId(night, "exchange"), "early", sunday_evening)


def test_a_source_that_knows_when_a_message_arrived_says_so():
    clock = SteppedClock(nanoseconds(SUNDAY))
    arrived = clock.now_ns - 2_000_000_000
    manager = manager_of(
        ScriptedStreams([acknowledge(), coins('["BTC/USD", 9, 10]', received_ns=arrived)]), clock
    )
    manager.start(CONFIG)
    try:
        assert seen(manager, events=1).quotes[PAIR].received_ns == arrived
    finally:
        manager.stop()


def test_orders_of_any_account_keep_their_room_in_the_queue():
    other = StreamId(FILLS, account="ira")
    queue = FrameQueue(10, (STREAM, other))

    assert [queue.put(STREAM, b"", 1, 0) for _ in range(10)] == [True] * 9 + [False]
    assert queue.put(other, b"", 1, 0)
    assert queue.counts()[STREAM].dropped == 1


def test_what_a_source_has_not_is_refused_with_what_it_has():
    manager = manager_of(ScriptedStreams())

    with pytest.raises(ConfigError, match=r"no stream stocks, fills; it has exchange/main/coins"):
        manager.start(replace(CONFIG, stocks=("AAPL",), stream_fills=True))
    assert not manager.is_running()


ORDERS = StreamId(FILLS, "exchange", "main")


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ([StreamRequest(StreamName.STOCKS, ("AAPL",))], "stocks is the default account's"),
        ([StreamRequest(StreamId(STOCKS), ("AAPL",))], "stocks is the default account's"),
        ([CONFIG.further[0], StreamRequest(STREAM, ("ETH/USD",))], "main/coins is asked for twice"),
        ([StreamRequest(ORDERS), StreamRequest(StreamId(FILLS, account="ira"))], "orders of one account"),
    ],
)
def test_what_can_be_no_run_of_further_streams_is_refused_in_words(further: list[StreamRequest], said: str):
    with pytest.raises(ConfigError, match=said):
        LiveStreamConfig(stream_fills=False, further=tuple(further))


def test_the_orders_of_another_account_stand_in_place_of_the_default_one_s():
    with pytest.raises(ConfigError, match=r"not those of fills, exchange/main/fills together"):
        LiveStreamConfig(further=(StreamRequest(ORDERS),))

    fill = b'{"stream":"trade_updates","data":{"event":"fill","order":{"id":"7"}}}'
    scripted = ScriptedStreams([acknowledge(), lambda stream: stream.sink.frame(fill, 1)])
    manager = LiveStreamManager(Settings(), source=ScriptedSource({ORDERS: scripted}))
    manager.start(LiveStreamConfig(stream_fills=False, further=(StreamRequest(ORDERS),)))
    try:
        wait_until(lambda: manager.snapshot().fills, saw=manager.snapshot)
        snapshot = manager.snapshot()
    finally:
        manager.stop()

    assert [fill.order_id for fill in snapshot.fills] == ["7"]
    assert (snapshot.streams[ORDERS].applied, snapshot.streams[ORDERS].accounted) == (1, True)


def test_a_list_says_the_same_as_a_tuple():
    request = StreamRequest(STREAM, [PAIR, PAIR], channels=["quotes"])  # type: ignore[arg-type]
    listed = LiveStreamConfig(stock_channels=["quotes"], option_channels=["trades"], further=[request])  # type: ignore[arg-type]

    assert request == StreamRequest(STREAM, (PAIR,), channels=("quotes",))
    assert listed == LiveStreamConfig(
        stock_channels=("quotes",), option_channels=("trades",), further=(request,)
    )


def test_alpaca_s_streams_need_keys():
    with pytest.raises(ConfigError, match="no Alpaca keys"):
        LiveStreamManager(Settings()).start(LiveStreamConfig(stocks=("AAPL",)))


def test_a_recorder_takes_any_source_of_what_has_files(tmp_path: Path):
    scripted = ScriptedStreams(
        [acknowledge(), lambda stream: stream.sink.frame(frame(quote_message("AAPL")), 1)]
    )
    source = ScriptedSource({StreamName.STOCKS: scripted, STREAM: ScriptedStreams()})
    capture = CaptureEngine(CaptureConfig(LiveStreamConfig(("AAPL",)), tmp_path), Settings(), source=source)
    capture.start()
    try:
        wait_until(lambda: capture.status().streams[StreamName.STOCKS].received == 1, saw=capture.status)
    finally:
        status = capture.stop()

    assert not scripted.made[0].sink.may_wait(), "its times of receipt are data"
    assert status.streams[StreamName.STOCKS].applied == 1
    assert STREAM not in status.streams, "nobody asked for it"
    assert status.accounted
    with pytest.raises(ConfigError, match="no files yet for exchange/main/coins"):
        CaptureConfig(CONFIG, tmp_path)


def test_a_recorder_refuses_frames_that_its_files_would_be_read_from_otherwise(tmp_path: Path):
    def decode(_: bytes) -> DecodedFrame:
        return DecodedFrame(())

    source = ScriptedSource({name: ScriptedStreams() for name in (StreamName.STOCKS, STREAM)}, decode)

    with pytest.raises(ConfigError, match="stocks of ScriptedSource cannot be recorded") as refused:
        CaptureEngine(CaptureConfig(LiveStreamConfig(("AAPL",)), tmp_path), Settings(), source=source)
    assert str(tmp_path) in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_symbols_are_mapped_wherever_they_enter():
    """`bf-b` is a share whichever way it is written, and two spellings are one subscription."""
    config = LiveStreamConfig(
        stocks=("bf-b", "NVDA", "nvda", ""), option_contracts=("aapl  261218c00180000", "AAPL261218C00180000")
    )
    assert config.stocks == ("BF.B", "NVDA")
    assert config.option_contracts == ("AAPL261218C00180000",)
    assert config == LiveStreamConfig(stocks=("BF.B", "NVDA"), option_contracts=("AAPL261218C00180000",))
    request = StreamRequest(StreamId(STOCKS, account="second"), ("bf-b", "BF.B", ""), "iex", ("quotes",))
    assert request.symbols == ("BF.B",)


def test_another_provider_s_symbols_stay_as_they_are():
    request = StreamRequest(
        StreamId(STOCKS, "breeze", "main"), ("nifty-50", "nifty-50", ""), "nse", ("quotes",)
    )
    assert request.symbols == ("nifty-50",)


@pytest.mark.parametrize(
    "wrong",
    [
        {"stock_channels": ("quote",)},
        {"option_channels": ("quotes", "bars")},
        {"stock_channels": "quotes"},
        {"stock_channels": (), "stocks": ("NVDA",)},
        {"stocks": "NVDA"},
    ],
)
def test_a_channel_that_is_not_there_is_refused_where_it_is_written(wrong: dict[str, Any]):
    with pytest.raises(ConfigError, match=r"choose from|not one text"):
        LiveStreamConfig(**wrong)


def test_a_request_s_channel_is_refused_where_it_is_written():
    with pytest.raises(ConfigError, match=r"no channel 'ticks' of alpaca/second/stocks; choose from quotes"):
        StreamRequest(StreamId(STOCKS, account="second"), ("NVDA",), "iex", ("ticks",))
