"""What the manager promises whoever watches a portfolio, on scripted streams."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.streaming.connection.connection_runner import StreamSink
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.messages import Decode, DecodedFrame, decode_frame
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.errors import ConfigError, RestError, StreamRefused
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamId, StreamName
from options_helper.settings import Settings
from tests.kit.fakes import (
    CONFIG,
    NOON,
    SETTINGS,
    ScriptedSource,
    ScriptedStream,
    ScriptedStreams,
    SteppedClock,
    acknowledge,
    announce,
    deliver,
    fail,
    frame,
    quote_message,
    running_manager,
    trade_message,
    wait_for,
)
from tests.kit.waiting import AT_ONCE, FOREVER, until_no_thread, wait_until

FILL = b'{"stream":"trade_updates","data":{"event":"fill","order":{"id":"1","symbol":"AAPL","qty":"1"}}}'


def live_threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("live-"))


def test_a_quote_on_the_wire_becomes_a_quote_in_the_snapshot():
    stocks = ScriptedStreams([acknowledge(), deliver(frame(quote_message("AAPL", 271.5, 271.6)))])

    with running_manager(stocks=stocks) as manager:
        wait_until(lambda: "AAPL" in manager.snapshot().stock_quotes)
        snapshot = manager.snapshot()

    quote = snapshot.stock_quotes["AAPL"]
    assert (quote.bid_price, quote.ask_price, quote.timestamp_ns) == (271.5, 271.6, NOON)
    assert quote.received_at <= snapshot.as_of


def test_every_event_is_applied_or_counted_as_dropped():
    """Nothing disappears: a burst larger than the queue is accounted for."""
    quotes = [frame(quote_message("AAPL", bid)) for bid in range(5_000)]
    burst = ScriptedStreams([acknowledge(), deliver(*quotes)])

    with running_manager(stocks=burst, config=replace(CONFIG, queue_maxsize=10)) as manager:
        stocks = wait_until(lambda: _settled(manager, "stocks", received=5_000))

    assert stocks.applied + stocks.dropped == 5_000
    assert stocks.dropped > 0


def test_the_events_of_a_dropped_frame_are_counted_one_by_one():
    crowded = frame(*(quote_message("AAPL", bid) for bid in range(50)))
    burst = ScriptedStreams([acknowledge(), deliver(crowded)])

    with running_manager(stocks=burst, config=replace(CONFIG, queue_maxsize=20)) as manager:
        stocks = wait_until(lambda: _settled(manager, "stocks", received=50))

    assert (stocks.dropped, stocks.applied) == (50, 0)


def test_a_snapshot_answers_for_each_stream_by_name():
    stocks = ScriptedStreams([acknowledge(), deliver(frame(quote_message("AAPL")))])

    with running_manager(stocks=stocks) as manager:
        wait_until(lambda: manager.snapshot().streams["stocks"].applied)
        snapshot = manager.snapshot()

    assert snapshot.last_event_ts_by_stream["stocks"] == snapshot.stock_quotes["AAPL"].received_at
    assert snapshot.last_event_ts_by_stream["options"] is None
    assert snapshot.dropped_events == {"stocks": 0, "options": 0, "fills": 0}
    assert snapshot.queue_depth == 0
    assert snapshot.alive["stocks"]
    assert snapshot.reconnect_attempts["stocks"] == 0


def test_one_malformed_message_costs_itself_only():
    bad = {"T": "q", "S": 17}
    stocks = ScriptedStreams(
        [acknowledge(), deliver(frame(quote_message("AAPL"), bad, trade_message("AAPL")))]
    )

    with running_manager(stocks=stocks) as manager:
        health = wait_until(lambda: _settled(manager, "stocks", received=3))

    assert (health.applied, health.rejected) == (2, 1)
    assert "17" in health.last_rejections[0]


def test_a_fill_finds_room_when_quotes_fill_the_queue():
    release = threading.Event()
    burst = ScriptedStreams(
        [acknowledge(), deliver(*[frame(quote_message("AAPL"))] * 500), wait_for(release)]
    )
    fills = ScriptedStreams([acknowledge(), deliver(FILL)])

    with running_manager(stocks=burst, fills=fills, config=replace(CONFIG, queue_maxsize=20)) as manager:
        wait_until(lambda: manager.snapshot().fills)
        assert manager.snapshot().streams["fills"].dropped == 0


def test_a_message_that_is_no_update_is_counted_and_named():
    fills = ScriptedStreams(
        [acknowledge(), deliver(b'{"stream":"trade_updates","data":null}', b"\xff\xff", FILL)]
    )

    with running_manager(fills=fills) as manager:
        health = wait_until(lambda: _settled(manager, "fills", received=3))
        assert len(manager.snapshot().fills) == 1

    assert (health.applied, health.rejected) == (1, 2)


def test_starting_twice_with_the_same_config_keeps_the_connection():
    stocks = ScriptedStreams()

    with running_manager(stocks=stocks) as manager:
        wait_until(lambda: manager.snapshot().phase["stocks"] in (Phase.LIVE, Phase.QUIET))
        manager.start(CONFIG)
        assert len(stocks.made) == 1


def test_a_change_of_symbols_alone_is_sent_over_the_open_connection():
    stocks = ScriptedStreams([acknowledge(), deliver(frame(quote_message("AAPL")))])

    with running_manager(stocks=stocks) as manager:
        wait_until(lambda: "AAPL" in manager.snapshot().stock_quotes)
        manager.start(replace(CONFIG, stocks=("MSFT", "NVDA")))

        assert len(stocks.made) == 1
        assert stocks.made[0].sent[1:] == [("unsubscribe", ("AAPL",)), ("subscribe", ("MSFT", "NVDA"))]
        assert manager.snapshot().stock_quotes == {}


def test_a_reconnect_after_a_change_of_symbols_asks_for_the_new_ones():
    cut = threading.Event()
    stocks = ScriptedStreams([acknowledge(), wait_for(cut), fail("cut")], [acknowledge()])

    with running_manager(stocks=stocks) as manager:
        wait_until(lambda: stocks.made)
        manager.start(replace(CONFIG, stocks=("MSFT",)))
        cut.set()
        wait_until(lambda: len(stocks.made) == 2 and list(stocks.made[1].wanted) == ["MSFT"])


def test_a_stream_that_had_no_symbols_starts_when_it_gets_some():
    options = ScriptedStreams()

    with running_manager(options=options, config=replace(CONFIG, option_contracts=())) as manager:
        assert manager.snapshot().phase["options"] is Phase.OFF
        manager.start(CONFIG)
        wait_until(lambda: manager.snapshot().streams["options"].connections == 1)


def test_a_stream_that_loses_its_last_symbol_is_off_and_comes_back_with_the_next():
    options = ScriptedStreams()

    with running_manager(options=options) as manager:
        wait_until(lambda: options.made)
        manager.start(replace(CONFIG, option_contracts=()))
        assert manager.snapshot().phase["options"] is Phase.OFF
        assert "live-options" not in live_threads()
        manager.start(CONFIG)
        wait_until(lambda: manager.snapshot().streams["options"].connections == 1)

    assert len(options.made) == 2


class HeldStreams(ScriptedStreams):
    """Whoever makes the first connection is held until the test lets it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.is_holding = threading.Event()
        self.going_on = threading.Event()

    def __call__(self, settings: Settings, *, sink: StreamSink, **more: Any) -> ScriptedStream:
        if not self.is_holding.is_set():
            self.is_holding.set()
            assert self.going_on.wait(AT_ONCE)
        return super().__call__(settings, sink=sink, **more)


def test_a_connection_made_for_a_stream_that_ended_meanwhile_does_not_take_its_successor_s_place():
    stocks = HeldStreams()

    with running_manager(stocks=stocks) as manager:
        assert stocks.is_holding.wait(AT_ONCE)
        manager.start(replace(CONFIG, stocks=()))
        manager.start(CONFIG)
        wait_until(lambda: manager.snapshot().streams["stocks"].connections == 1)
        stocks.going_on.set()
        wait_until(lambda: live_threads().count("live-stocks") == 1)
        manager.start(replace(CONFIG, stocks=("AAPL", "MSFT")))

    successor, retired = stocks.made
    assert successor.sent == [("subscribe", ("AAPL",)), ("subscribe", ("MSFT",))]
    assert retired.sent == []


class BreakableSource(ScriptedSource):
    """A source whose frames nobody can read any more once the test says so."""

    def __init__(self, scripted: Mapping[StreamId, ScriptedStreams]) -> None:
        super().__init__(scripted)
        self.is_broken = False

    def decoder(self, stream: StreamId) -> Decode:
        assert not stream.kind.carries_orders, "the source need not know how to read those"
        if self.is_broken:
            raise ConfigError("The codec is gone.")
        return super().decoder(stream)


def test_a_run_that_cannot_be_made_leaves_the_one_before_running():
    stocks, fills = ScriptedStreams(), ScriptedStreams([acknowledge(), deliver(FILL)])
    source = BreakableSource({StreamName.STOCKS: stocks, StreamName.FILLS: fills})
    manager = LiveStreamManager(SETTINGS, source=source, rest_cls=None)
    config = LiveStreamConfig(stocks=("AAPL",))
    manager.start(config)
    try:
        wait_until(lambda: stocks.made)
        source.is_broken = True
        with pytest.raises(ConfigError, match="codec is gone"):
            manager.start(replace(config, stock_feed="sip"))
        assert manager.config == config
        assert not stocks.made[0].stopped.is_set()

        manager.start(replace(config, stocks=("MSFT",)))
        assert stocks.made[0].sent[1:] == [("unsubscribe", ("AAPL",)), ("subscribe", ("MSFT",))]
        wait_until(lambda: manager.snapshot().fills)
    finally:
        manager.stop()


def test_another_feed_restarts_the_run():
    stocks = ScriptedStreams()

    with running_manager(stocks=stocks) as manager:
        wait_until(lambda: stocks.made)
        first = manager.snapshot().running_since
        manager.start(replace(CONFIG, stock_feed="sip"))
        wait_until(lambda: len(stocks.made) == 2)

        assert stocks.made[0].stopped.is_set()
        assert manager.snapshot().running_since != first
        assert live_threads().count("live-consumer") == 1


def test_a_late_frame_of_the_old_run_reaches_nobody():
    stocks = ScriptedStreams()

    with running_manager(stocks=stocks) as manager:
        wait_until(lambda: stocks.made)
        old_sink = stocks.made[0].sink
        manager.start(replace(CONFIG, stock_feed="sip"))
        old_sink.frame(frame(quote_message("AAPL")), 1)
        assert manager.snapshot().streams["stocks"].received == 0


def test_stop_ends_every_thread_at_once_and_can_be_repeated():
    with running_manager() as manager:
        wait_until(lambda: len(live_threads()) == 5)
        manager.stop()
        until_no_thread("live-")
        manager.stop()
        assert not manager.is_running()
        assert set(manager.snapshot().phase.values()) == {Phase.STOPPED}


@pytest.mark.parametrize("where", ["live-consumer", "live-stocks"])
def test_stop_may_be_called_from_the_run_s_own_threads(where: str):
    stopped = threading.Event()

    def stop() -> None:
        manager.stop()
        stopped.set()

    def decode(payload: bytes) -> DecodedFrame:
        if where == "live-consumer":
            stop()
        return decode_frame(payload)

    steps = [acknowledge(), deliver(frame(quote_message("AAPL")))]
    if where == "live-stocks":
        steps.append(lambda _: stop())
    source = ScriptedSource({StreamName.STOCKS: ScriptedStreams(steps)}, decode)
    manager = LiveStreamManager(SETTINGS, source=source, rest_cls=None)
    manager.start(LiveStreamConfig(stocks=("AAPL",), stream_fills=False))
    try:
        wait_until(stopped.is_set)
        until_no_thread("live-")
    finally:
        manager.stop()
    assert manager.snapshot().phase["stocks"] is Phase.STOPPED


def test_stop_is_quick_while_a_stream_waits_to_reconnect():
    down = ScriptedStreams([fail("down")])
    # Half of a pause is random.
    config = replace(CONFIG, reconnect_base_seconds=2 * FOREVER, reconnect_cap_seconds=2 * FOREVER)

    with running_manager(stocks=down, config=config) as manager:
        wait_until(lambda: manager.snapshot().phase["stocks"] is Phase.RECONNECTING)
        manager.stop()
        until_no_thread("live-")


def test_what_was_received_before_stop_is_applied():
    stocks = ScriptedStreams([acknowledge(), deliver(*[frame(quote_message("AAPL"))] * 2_000)])

    with running_manager(stocks=stocks) as manager:
        wait_until(lambda: manager.snapshot().streams["stocks"].received == 2_000)
        manager.stop()
        health = manager.snapshot().streams["stocks"]

    assert (health.applied, health.queued) == (2_000, 0)


def test_a_restart_gives_the_account_no_minute_of_its_own():
    runs: dict[threading.Event, RequestLimits] = {}

    def unreachable(
        _: Settings, *, limits: RequestLimits, stopping: threading.Event, **__: Any
    ) -> AlpacaRest:
        runs[stopping] = limits
        raise RestError("The account cannot be reached.")

    with running_manager(rest_cls=unreachable, watch=WatchPolicy(initial_delay=0)) as manager:
        wait_until(lambda: len(runs) == 1)
        manager.stop()
        manager.start(CONFIG)
        wait_until(lambda: len(runs) == 2)

    first, second = runs.values()
    assert first is second


def test_threads_that_start_together_make_one_run():
    """Two tabs press Start in the same moment: one run, one connection per stream."""
    stocks = ScriptedStreams()
    manager = LiveStreamManager(
        SETTINGS,
        stock_stream_cls=stocks,
        option_stream_cls=ScriptedStreams(),
        trading_stream_cls=ScriptedStreams(),
        rest_cls=None,
    )
    together = threading.Barrier(8)

    def press_start() -> None:
        together.wait()
        manager.start(CONFIG)

    tabs = [threading.Thread(target=press_start) for _ in range(8)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    try:
        wait_until(lambda: stocks.made)
        assert live_threads() == ["live-consumer", "live-fills", "live-options", "live-pulse", "live-stocks"]
    finally:
        manager.stop()
    assert len(stocks.made) == 1


def test_a_lost_connection_is_tried_again_and_leaves_a_gap():
    stocks = ScriptedStreams([acknowledge(), fail("the line was cut")], [acknowledge()])

    with running_manager(stocks=stocks) as manager:
        wait_until(lambda: manager.snapshot().streams["stocks"].connections == 2)
        health = manager.snapshot().streams["stocks"]

    (gap,) = health.gaps
    assert gap.reason == "the line was cut"
    assert gap.until is not None
    assert gap.since <= gap.until
    assert health.last_error is None


def test_a_refusal_is_confirmed_once_then_shown_and_looked_at_again_later():
    refused = ScriptedStreams([fail(StreamRefused("Alpaca answered auth failed (402)."))])

    with running_manager(stocks=refused) as manager:
        wait_until(lambda: manager.snapshot().phase["stocks"] is Phase.FAILED)
        health = manager.snapshot().streams["stocks"]

    assert len(refused.made) == 2
    assert "402" in (health.last_error or "")
    assert health.next_try_at is not None, "it says when"


def test_a_start_of_the_same_config_tries_a_refused_stream_again_at_once():
    refused = [fail(StreamRefused("no"))]
    stocks = ScriptedStreams(refused, refused, [acknowledge()])

    with running_manager(stocks=stocks) as manager:
        wait_until(lambda: manager.snapshot().phase["stocks"] is Phase.FAILED)
        wait_until(lambda: manager.snapshot().streams["options"].connections == 1)
        manager.start(CONFIG)
        wait_until(lambda: manager.snapshot().streams["stocks"].connections == 1)
        health = manager.snapshot().streams["stocks"]
        assert manager.snapshot().streams["options"].connections == 1, "the others were left alone"

    assert health.last_error is None
    (gap,) = health.gaps
    assert gap.until is not None


def test_a_start_of_the_same_config_revives_what_had_given_up():
    stocks = ScriptedStreams([fail("down")], [fail("down")], [acknowledge()])
    config = replace(CONFIG, max_reconnects=1)

    with running_manager(stocks=stocks, config=config) as manager:
        wait_until(lambda: manager.snapshot().phase["stocks"] is Phase.FAILED)
        assert manager.snapshot().streams["stocks"].next_try_at is None
        manager.start(config)
        wait_until(lambda: manager.snapshot().streams["stocks"].connections == 1)


def test_a_start_after_a_refusal_reads_the_settings_anew(monkeypatch: pytest.MonkeyPatch):
    """Keys were wrong, and are corrected in the file while the page runs on."""
    keys: list[str] = []

    class Keyed(ScriptedStreams):
        def __call__(self, settings: Settings, *, sink: StreamSink, **more: Any) -> ScriptedStream:
            assert settings.api_key is not None
            keys.append(settings.api_key.get_secret_value())
            made = super().__call__(settings, sink=sink, **more)
            return made if keys[-1] == "right" else ScriptedStream(sink, [fail(StreamRefused("no"))])

    now = [replace(SETTINGS, api_key=SecretStr("wrong"))]
    monkeypatch.setattr(Settings, "load", staticmethod(lambda: now[0]))
    manager = LiveStreamManager(stock_stream_cls=Keyed([acknowledge()]), rest_cls=None)
    config = replace(CONFIG, stream_options=False, stream_fills=False)
    manager.start(config)
    try:
        wait_until(lambda: manager.snapshot().phase["stocks"] is Phase.FAILED)
        now[0] = replace(SETTINGS, api_key=SecretStr("right"))
        manager.start(config)
        wait_until(lambda: manager.snapshot().streams["stocks"].connections == 1)
    finally:
        manager.stop()
    assert keys == ["wrong", "wrong", "right"]


def test_one_failed_stream_leaves_the_others_alone():
    refused = ScriptedStreams([fail(StreamRefused("no"))])

    with running_manager(options=refused) as manager:
        wait_until(lambda: manager.snapshot().phase["options"] is Phase.FAILED)
        assert manager.snapshot().alive["stocks"]


def test_reconnects_end_where_the_config_says_so():
    down = ScriptedStreams([fail("down")])

    with running_manager(stocks=down, config=replace(CONFIG, max_reconnects=3)) as manager:
        wait_until(lambda: manager.snapshot().phase["stocks"] is Phase.FAILED)
        assert "3 reconnects" in (manager.snapshot().last_error["stocks"] or "")

    assert len(down.made) == 4


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("a bug"), asyncio.CancelledError("a bug"), SystemExit("a bug")]
)
def test_whatever_a_stream_raises_is_reported_and_tried_again(
    caplog: pytest.LogCaptureFixture, error: BaseException
):
    broken = ScriptedStreams([fail(error)], [acknowledge()])

    with running_manager(stocks=broken) as manager:
        wait_until(lambda: manager.snapshot().streams["stocks"].connections == 1)

    assert "a bug" in caplog.text


def test_refused_symbols_are_listed_and_the_rest_streams():
    stocks = ScriptedStreams([acknowledge("ZZZZ")])

    with running_manager(stocks=stocks, config=replace(CONFIG, stocks=("AAPL", "ZZZZ"))) as manager:
        wait_until(lambda: manager.snapshot().streams["stocks"].refused_symbols)
        health = manager.snapshot().streams["stocks"]

    assert (health.acknowledged, health.refused_symbols) == (("AAPL",), ("ZZZZ",))
    assert "ZZZZ" in (health.last_error or "")


def test_what_was_asked_for_is_known_before_a_server_is_reached():
    """None of none would hide that something is missing."""
    config = replace(CONFIG, stocks=("AAPL", "MSFT", "AAPL"))

    with running_manager(stocks=ScriptedStreams([]), config=config) as manager:
        health = manager.snapshot().streams["stocks"]
        assert (health.requested, health.acknowledged) == (("AAPL", "MSFT"), ())

        manager.start(replace(config, stocks=("AAPL", "NVDA")))
        assert manager.snapshot().streams["stocks"].requested == ("AAPL", "NVDA")


def test_the_time_of_a_replay_is_the_replayed_one():
    year_2018 = 1_515_166_320_000_000_000
    stocks = ScriptedStreams(
        [
            announce(f"kind=replay; now_ns={year_2018}; speed=0"),
            acknowledge(),
            deliver(frame(quote_message("AAPL", at_ns=year_2018 + 60_000_000_000))),
        ]
    )

    with running_manager(stocks=stocks) as manager:
        wait_until(lambda: manager.snapshot().stock_quotes)
        snapshot = manager.snapshot()

    assert snapshot.market is MarketKind.REPLAY
    assert snapshot.as_of.isoformat() == "2018-01-05T15:33:00+00:00"
    assert snapshot.stock_quotes["AAPL"].received_at == snapshot.as_of


def test_a_market_on_this_computer_that_was_never_reached_is_not_called_alpaca_s():
    local = replace(SETTINGS, stream_url="ws://127.0.0.1:9")
    assert LiveStreamManager(local).snapshot().market is MarketKind.LOCAL

    with running_manager(settings=local, stocks=ScriptedStreams([])) as manager:
        assert manager.snapshot().market is MarketKind.LOCAL


def test_a_mute_stream_is_ended_and_connected_anew_while_the_market_is_open():
    clock = SteppedClock(NOON)
    mute = ScriptedStreams([acknowledge(), deliver(frame(quote_message("AAPL")))], [acknowledge()])

    with running_manager(stocks=mute, now_ns=clock, monotonic=clock.monotonic) as manager:
        wait_until(lambda: manager.snapshot().streams["stocks"].connections == 1)
        clock.wait_for_looks("live-consumer")
        clock.advance(61)
        wait_until(lambda: manager.snapshot().streams["stocks"].connections == 2)
        (gap,) = manager.snapshot().streams["stocks"].gaps

    assert "No stocks data for" in gap.reason


def test_a_computer_that_slept_has_a_gap_on_each_stream_and_no_stall():
    clock, sleepless = SteppedClock(NOON), SteppedClock()
    with running_manager(now_ns=clock, monotonic=clock.monotonic, elapsed=sleepless.monotonic) as manager:
        wait_until(lambda: all(one.connections == 1 for one in manager.snapshot().streams.values()))
        clock.wait_for_looks("live-consumer")
        # Stopped: the monotonic clock goes on. Asleep it would stand still.
        clock.advance(7_200)
        sleepless.advance(7_200)
        wait_until(lambda: all(one.gaps for one in manager.snapshot().streams.values()))
        clock.wait_for_looks("live-consumer")
        for health in manager.snapshot().streams.values():
            assert health.connections == 1, "nothing was cut"
            assert health.phase is Phase.LIVE, "it is no silence"
            (gap,) = health.gaps
            assert gap.reason.startswith("This process did not run")
            assert gap.seconds == 7_200


def test_a_sleep_makes_what_is_known_old_and_is_no_clock_that_was_set():
    """On Linux the monotonic clock stands still meanwhile."""
    clock, awake = SteppedClock(NOON), SteppedClock()
    stocks = ScriptedStreams([acknowledge(), deliver(frame(quote_message("AAPL")))])
    with running_manager(
        stocks=stocks, now_ns=clock, monotonic=awake.monotonic, elapsed=clock.monotonic
    ) as manager:
        wait_until(lambda: manager.snapshot().quotes)
        clock.advance(7_200)
        snapshot = manager.snapshot()
        quote = snapshot.stock_quotes["AAPL"]
        assert (snapshot.as_of - quote.received_at).total_seconds() == 7_200


@pytest.mark.parametrize("seconds", [600, -600])
def test_no_age_jumps_when_somebody_sets_the_clock(seconds: int):
    clock = SteppedClock(NOON)
    stocks = ScriptedStreams([acknowledge(), deliver(frame(quote_message("AAPL")))])
    with running_manager(
        stocks=stocks, now_ns=clock, monotonic=clock.monotonic, elapsed=clock.monotonic
    ) as manager:
        wait_until(lambda: manager.snapshot().quotes)
        clock.advance(21)
        clock.put_forward(seconds)
        snapshot = manager.snapshot()
        quote = snapshot.stock_quotes["AAPL"]
        assert (snapshot.as_of - quote.received_at).total_seconds() == 21
        last_event_at = snapshot.streams["stocks"].last_event_at
        assert last_event_at is not None
        assert (snapshot.as_of - last_event_at).total_seconds() == 21


@pytest.mark.parametrize("task", ["load_calendar", "keep_house", "_observe_account"])
def test_an_error_of_the_housekeeping_costs_its_round_and_no_quote(
    task: str, caplog: pytest.LogCaptureFixture
):
    """Calendar, rates and account are looked at on the consumer's thread, which must outlive them."""
    clock = SteppedClock()
    broken = threading.Event()
    failed: list[str] = []

    def now_ns() -> int:
        callers = [frame.name for frame in traceback.extract_stack()]
        if broken.is_set() and "live-consumer" in threading.current_thread().name and task in callers:
            failed.append(task)
            raise ArithmeticError("no such hour")
        return clock()

    more = threading.Event()
    quotes = [frame(quote_message("AAPL", bid)) for bid in (1.0, 2.0)]
    stocks = ScriptedStreams([acknowledge(), wait_for(more), deliver(*quotes)])
    broken.set()

    with running_manager(stocks=stocks, now_ns=now_ns) as manager:
        wait_until(lambda: len(failed) >= (1 if task == "load_calendar" else 2))
        more.set()
        wait_until(lambda: _settled(manager, "stocks", received=2))
        broken.clear()
        assert manager.snapshot().phase["stocks"] is not Phase.FAILED
        assert "live-consumer" in live_threads()

    logged = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(logged) == 1, "twice a second would fill the log"
    assert logged[0].exc_info is not None


def test_a_run_that_can_take_nothing_in_any_more_has_failed_and_says_so(caplog: pytest.LogCaptureFixture):
    def decode(_: bytes) -> DecodedFrame:
        raise SystemExit(3)

    scripted = ScriptedStreams([acknowledge(), deliver(frame(quote_message("AAPL")))], [acknowledge()])
    source = ScriptedSource({StreamName.STOCKS: scripted}, decode)
    manager = LiveStreamManager(SETTINGS, source=source, rest_cls=None)
    config = LiveStreamConfig(stocks=("AAPL",), stream_fills=False)
    manager.start(config)
    try:
        wait_until(lambda: manager.snapshot().phase["stocks"] is Phase.FAILED, saw=manager.snapshot)
        wait_until(lambda: live_threads() == [])
        failed = manager.snapshot().streams["stocks"]
        manager.start(config)
        assert manager.snapshot().phase["stocks"] is not Phase.FAILED
        assert len(live_threads()) == 3
    finally:
        manager.stop()

    assert "cannot be taken in any more (SystemExit: 3)" in (failed.last_error or "")
    assert failed.accounted
    assert [record.message for record in caplog.records if record.exc_info] == [
        "the consumer of the streams ended"
    ]


def test_starting_without_keys_says_what_to_set():
    manager = LiveStreamManager(Settings())

    with pytest.raises(ConfigError, match="APCA_API_KEY_ID"):
        manager.start(CONFIG)

    assert not manager.is_running()


def test_before_the_first_start_the_snapshot_is_empty_and_off():
    snapshot = LiveStreamManager(SETTINGS).snapshot()

    assert not snapshot.running
    assert set(snapshot.phase.values()) == {Phase.OFF}
    assert snapshot.queue_depth == 0


def test_a_snapshot_cannot_be_changed_from_outside():
    stocks = ScriptedStreams([acknowledge(), deliver(frame(quote_message("AAPL")))])

    with running_manager(stocks=stocks) as manager:
        wait_until(lambda: manager.snapshot().stock_quotes)
        snapshot = manager.snapshot()
        with pytest.raises(TypeError):
            snapshot.stock_quotes["AAPL"] = None  # type: ignore[index]


@pytest.mark.parametrize("wrong", [{"stock_feed": "nyse"}, {"options_feed": "cboe"}, {"queue_maxsize": 1}])
def test_a_config_that_cannot_work_is_refused_in_words(wrong: dict[str, object]):
    with pytest.raises(ConfigError):
        LiveStreamConfig(**wrong)  # type: ignore[arg-type]


def _settled(manager: LiveStreamManager, name: str, *, received: int):
    health = manager.snapshot().streams[name]
    return health if health.received == received and health.queued == 0 else None


def test_frames_may_be_read_late_only_where_nobody_wants_them_at_once():
    """A callback wants each event soon, and who carries the frames may keep their times of receipt."""
    plain, carried = ScriptedStreams(), ScriptedStreams()

    with running_manager(stocks=plain) as manager:
        sink = wait_until(lambda: plain.made)[0].sink
        assert sink.may_wait()
        handle = manager.on_quote("AAPL", lambda _: None)
        assert not sink.may_wait()
        handle.remove()
        assert sink.may_wait()
    with running_manager(stocks=carried, carry=lambda _: True):
        assert not wait_until(lambda: carried.made)[0].sink.may_wait()
