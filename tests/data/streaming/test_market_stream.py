"""The streams on asyncio, with scripted connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.market_stream import MarketStream
from options_helper.errors import ConfigError, StreamError
from options_helper.model.events import Quote, Trade
from options_helper.settings import Settings
from tests.kit.fakes import (
    SETTINGS,
    ScriptedStreams,
    acknowledge,
    deliver,
    fail,
    frame,
    quote_message,
    trade_message,
)
from tests.kit.waiting import AT_ONCE, at_once, until_no_thread, wait_until


def manager_of(stocks: ScriptedStreams) -> LiveStreamManager:
    return LiveStreamManager(
        SETTINGS, stock_stream_cls=stocks, rest_cls=None, retry=RetryPolicy(slow_base_seconds=0.05)
    )


def run(scenario: Callable[[MarketStream, ScriptedStreams], Coroutine[Any, Any, None]]) -> LiveStreamManager:
    """Play a scenario on a loop of its own, within a time."""
    stocks = ScriptedStreams()
    manager = manager_of(stocks)

    async def play() -> None:
        async with asyncio.timeout(2 * AT_ONCE), MarketStream(manager=manager) as stream:
            await scenario(stream, stocks)

    asyncio.run(play())
    until_no_thread("live-")
    callbacks = manager.snapshot().callbacks
    assert callbacks.accounted
    assert callbacks.pending == 0
    return manager


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - what it waits for is of other threads
        await asyncio.sleep(0.005)


async def send(stocks: ScriptedStreams, *messages: dict[str, Any]) -> None:
    await until(lambda: stocks.made and stocks.made[-1].channels)
    deliver(frame(*messages))(stocks.made[-1])


def test_callbacks_run_on_the_loop_of_whoever_entered():
    async def scenario(stream: MarketStream, stocks: ScriptedStreams) -> None:
        seen: list[tuple[str, object]] = []

        async def awaited(trade: Trade) -> None:
            await asyncio.sleep(0)
            seen.append((trade.symbol, asyncio.get_running_loop()))

        await stream.subscribe_trades(["AAPL", "msft"], awaited)
        await stream.subscribe_quotes(
            ["AAPL"], lambda quote: seen.append((quote.symbol, threading.get_ident()))
        )
        await send(stocks, trade_message("AAPL"), trade_message("MSFT"), quote_message("AAPL"))
        await until(lambda: len(seen) == 3)

        loop, here = asyncio.get_running_loop(), threading.get_ident()
        assert sorted(seen, key=str) == sorted([("AAPL", loop), ("MSFT", loop), ("AAPL", here)], key=str)
        assert stocks.made[0].channels == {"AAPL": {"trades", "quotes"}, "MSFT": {"trades"}}

    run(scenario)


def test_nothing_is_connected_before_something_is_subscribed_to():
    async def scenario(stream: MarketStream, stocks: ScriptedStreams) -> None:
        assert stream.snapshot().running
        assert stocks.made == []

    run(scenario)


@pytest.mark.parametrize("way", ["called", "awaited"])
def test_a_callback_may_stop_what_calls_it(way: str):
    async def scenario(stream: MarketStream, stocks: ScriptedStreams) -> None:
        async def stop(_: Quote) -> None:
            await asyncio.sleep(0)
            stream.stop()

        await stream.subscribe_quotes(["AAPL"], stop if way == "awaited" else lambda _: stream.stop())
        await send(stocks, quote_message("AAPL"))
        await stream.run()

    run(scenario)


def test_a_callback_that_blocks_its_own_loop_in_the_manager_s_stop_is_not_waited_for():
    async def scenario(stream: MarketStream, stocks: ScriptedStreams) -> None:
        stopped: list[Quote] = []

        def stop(quote: Quote) -> None:
            with at_once():
                stream.manager.stop()
            stopped.append(quote)

        await stream.subscribe_quotes(["AAPL"], stop)
        await send(stocks, quote_message("AAPL"))
        await until(lambda: stopped)

    run(scenario)


def test_quotes_are_iterated_over_in_order_until_the_stream_stops():
    bids: list[float | None] = []

    async def scenario(stream: MarketStream, stocks: ScriptedStreams) -> None:
        async def read() -> None:
            async for quote in stream.quotes("aapl"):
                bids.append(quote.bid_price)
                if len(bids) == 20:
                    stream.stop()

        reading = asyncio.create_task(read())
        await send(stocks, *(quote_message("AAPL", number) for number in range(20)))
        await reading

    manager = run(scenario)

    assert bids == list(range(20))
    assert manager.snapshot().callbacks.delivered >= 20


def test_newest_gives_the_newest_quote_of_each_symbol_and_gives_up_the_others():
    seen: list[tuple[str, float | None]] = []

    async def scenario(stream: MarketStream, stocks: ScriptedStreams) -> None:
        quotes = stream.quotes(["AAPL", "MSFT"], newest=True)
        first = asyncio.ensure_future(anext(quotes))
        await send(stocks, quote_message("AAPL", 0))
        await first
        for number in range(1, 10):
            deliver(frame(quote_message("AAPL", number), quote_message("MSFT", number)))(stocks.made[-1])
        await until(
            lambda: stream.snapshot().quotes.get("MSFT") and stream.snapshot().callbacks.given_up == 16
        )
        for _ in range(2):
            quote = await anext(quotes)
            seen.append((quote.symbol, quote.bid_price))
        await quotes.aclose()  # type: ignore[attr-defined]

    run(scenario)

    assert seen == [("AAPL", 9), ("MSFT", 9)]


def test_an_iteration_that_is_left_takes_no_more():
    async def scenario(stream: MarketStream, stocks: ScriptedStreams) -> None:
        sending = asyncio.create_task(send(stocks, *[quote_message("AAPL")] * 5))
        async for _ in stream.quotes("AAPL"):
            break
        await sending
        await until(lambda: stream.snapshot().callbacks.pending == 0)

    run(scenario)


def test_run_ends_with_the_reason_where_a_stream_has_failed_for_good():
    stocks = ScriptedStreams([acknowledge(), fail("the line is cut")])
    config = LiveStreamConfig(stocks=("AAPL",), stream_fills=False, max_reconnects=0)

    async def play() -> None:
        async with (
            asyncio.timeout(AT_ONCE),
            MarketStream(config=config, manager=manager_of(stocks)) as stream,
        ):
            await stream.run()

    with pytest.raises(StreamError, match=r"Gave up after 0 reconnects\. the line is cut"):
        asyncio.run(play())


def test_missing_keys_are_told_at_the_entrance():
    async def play() -> None:
        async with MarketStream(Settings(), config=LiveStreamConfig(stocks=("AAPL",), stream_fills=False)):
            pytest.fail("it must not begin")

    with pytest.raises(ConfigError, match="key"):
        asyncio.run(play())


def test_what_cannot_be_subscribed_to_leaves_no_callback_behind():
    async def scenario(stream: MarketStream, _: ScriptedStreams) -> None:
        with pytest.raises(ConfigError, match=r"write \['AAPL'\]"):
            await stream.subscribe_quotes("AAPL", print)
        with pytest.raises(ConfigError, match="no channel 'orderbooks' of stocks"):
            await stream.subscribe("book", ["AAPL"], print)
        assert stream.manager.remove_callbacks(("AAPL",)) == 0

    run(scenario)


def test_a_stream_that_was_not_entered_says_so():
    stream = MarketStream(SETTINGS)

    with pytest.raises(RuntimeError, match="async with MarketStream"):
        stream.on("quote", "AAPL", print)


def test_an_iteration_that_begins_after_the_stop_is_over_at_once():
    async def scenario(stream: MarketStream, _: ScriptedStreams) -> None:
        stream.stop()
        await stream.run()

        assert [quote async for quote in stream.quotes("AAPL")] == []

    run(scenario)


def test_run_ends_where_somebody_else_stops_the_manager():
    async def scenario(stream: MarketStream, _: ScriptedStreams) -> None:
        await asyncio.to_thread(stream.manager.stop)
        await stream.run()

    run(scenario)


def test_of_two_on_one_manager_the_one_that_began_it_ends_it():
    manager = manager_of(ScriptedStreams())

    async def play() -> None:
        inner = MarketStream(manager=manager)
        async with asyncio.timeout(AT_ONCE), MarketStream(manager=manager):
            async with inner:
                pass
            assert manager.is_running()

    asyncio.run(play())
    assert not manager.is_running()


def test_a_start_that_fails_leaves_nothing_registered():
    manager = LiveStreamManager(Settings(), rest_cls=None)

    async def play() -> None:
        async with MarketStream(manager=manager, config=LiveStreamConfig(stocks=("AAPL",))):
            pytest.fail("it must not begin")

    with pytest.raises(ConfigError):
        asyncio.run(play())
    assert manager.remove_callbacks(None) == 0


@pytest.mark.parametrize("times", [1, 2])
def test_whoever_is_cancelled_at_the_entrance_leaves_nothing_running(
    monkeypatch: pytest.MonkeyPatch, times: int
):
    manager = manager_of(ScriptedStreams())
    start = manager.start
    is_starting, may_start = threading.Event(), threading.Event()

    def slowly(config: LiveStreamConfig) -> None:
        is_starting.set()
        may_start.wait()
        start(config)

    monkeypatch.setattr(manager, "start", slowly)

    async def enter() -> None:
        async with MarketStream(manager=manager):
            pytest.fail("it was cancelled")

    async def play() -> None:
        entering = asyncio.create_task(enter())
        await until(is_starting.is_set)
        for _ in range(times):
            entering.cancel()
            await asyncio.sleep(0)
        may_start.set()
        with pytest.raises(asyncio.CancelledError):
            await entering

    asyncio.run(play())
    assert not manager.is_running()
    assert manager.remove_callbacks(None) == 0


def test_a_manager_that_runs_already_runs_on():
    stocks = ScriptedStreams()
    manager = manager_of(stocks)
    manager.start(LiveStreamConfig(stocks=("AAPL",), stream_fills=False))
    seen: list[Quote] = []

    async def play() -> None:
        async with asyncio.timeout(AT_ONCE), MarketStream(manager=manager) as stream:
            await stream.subscribe_quotes(["AAPL"], seen.append)
            await send(stocks, quote_message("AAPL"))
            await until(lambda: seen)

    try:
        asyncio.run(play())
        assert manager.is_running()
        assert manager.snapshot().callbacks.pending == 0
    finally:
        manager.stop()


def test_the_end_of_a_loop_that_nobody_left_in_order_costs_only_what_waits_there():
    stocks = ScriptedStreams()
    manager = manager_of(stocks)
    manager.start(LiveStreamConfig(stocks=("AAPL",), stream_fills=False))
    seen: list[Quote] = []

    async def forget() -> None:
        stream = MarketStream(manager=manager)
        await stream.__aenter__()
        await stream.subscribe_quotes(["AAPL"], seen.append)

    try:
        asyncio.run(forget())
        deliver(frame(quote_message("AAPL")))(stocks.made[-1])
        wait_until(lambda: manager.snapshot().callbacks.given_up)
        stats = manager.snapshot().callbacks
        assert (stats.given_up >= 1, stats.pending, seen) == (True, 0, [])
    finally:
        manager.stop()
