"""The usage examples of a service of this kind, with the real client over a real socket."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from options_helper.data.streaming.market_stream import MarketStream
from options_helper.model.callbacks import CallbackStats
from options_helper.model.events import LimitBand, Quote, Trade, TradingStatus
from options_helper.model.gaps import Gap
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.fakes import trade_message
from tests.kit.simulated import settings_for
from tests.kit.waiting import AT_ONCE, FOREVER, at_once, until_no_thread, wait_until
from tests.wire.conftest import running_simulator as running_simulator  # noqa: PLC0414 - a fixture
from tests.wire.test_engine import CONFIG, NOON, ONLY_STOCKS, STOCK_PATH, STOCKS, quote, watching

SYMBOLS = ("AAPL", "MSFT", "TSLA")
THREE = replace(ONLY_STOCKS, stocks=SYMBOLS)
NO_STOCKS = replace(ONLY_STOCKS, stocks=())

Simulators = Callable[..., SimulatorServer]


@pytest.fixture
def simulator(running_simulator: Simulators) -> Simulators:
    return partial(running_simulator, SilentMarket(start_ns=NOON))


def broken(_: Quote) -> None:
    raise ValueError("a bug of the user's")


def test_three_symbols_with_two_callbacks_each_of_which_one_fails(simulator: Simulators):
    server = simulator()
    seen: Counter[str] = Counter()

    async def count(value: Quote) -> None:
        seen[value.symbol] += 1

    with watching(server, THREE, rest_cls=None) as watch:
        good = [watch.manager.on_quote(symbol, count) for symbol in SYMBOLS]
        trades = [watch.manager.on_trade(symbol, lambda _: None) for symbol in SYMBOLS[:2]]
        failing = watch.manager.on_quote("TSLA", broken)
        wait_until(lambda: server.subscribed(STOCKS) == set(SYMBOLS))
        for _ in range(10):
            server.push(
                STOCKS,
                [one for symbol in SYMBOLS for one in (quote(symbol), trade_message(symbol, at_ns=NOON))],
            )
        wait_until(lambda: failing.stats.failed == 10 and sum(seen.values()) == 30)
        wait_until(lambda: watch.snapshot.callbacks.pending == 0)
        total = watch.snapshot.callbacks

    assert seen == dict.fromkeys(SYMBOLS, 10)
    assert [handle.stats.delivered for handle in (*good, *trades)] == [10] * 5
    assert (total.offered, total.delivered, total.failed, total.given_up) == (60, 50, 10, 0)


def test_symbols_and_channels_come_and_go_on_the_live_connection(simulator: Simulators):
    server = simulator()
    seen: list[Any] = []
    with watching(server, replace(ONLY_STOCKS, stocks=("AAPL",)), rest_cls=None) as watch:
        for kind in ("quote", "status", "luld"):
            watch.manager.on(kind, None, seen.append)
        wait_until(lambda: server.subscribed(STOCKS) == {"AAPL"})

        watch.manager.subscribe(["tsla"], channels=["quotes", "statuses", "lulds"])
        watch.manager.unsubscribe(["AAPL"], channels=["quotes"])
        wait_until(lambda: server.subscribed(STOCKS, "quotes") == {"TSLA"})
        wait_until(
            lambda: server.subscribed(STOCKS, "statuses") == {"TSLA"} == server.subscribed(STOCKS, "lulds")
        )
        assert server.subscribed(STOCKS, "trades") == {"AAPL"}
        server.push(STOCKS, [quote("AAPL"), quote("TSLA"), *halted("TSLA")])

        wait_until(lambda: len(seen) == 3)
        watch.manager.unsubscribe(["TSLA", "AAPL"])
        wait_until(lambda: not server.subscribed(STOCKS))
        watch.manager.subscribe(["MSFT"])
        wait_until(lambda: server.subscribed(STOCKS, "quotes") == {"MSFT"})

    assert [type(one) for one in seen] == [Quote, TradingStatus, LimitBand]
    assert {one.symbol for one in seen} == {"TSLA"}
    assert server.connections[STOCK_PATH] == 1


def halted(symbol: str) -> list[dict[str, Any]]:
    moment = quote(symbol)["t"]
    return [
        {
            "T": "s",
            "S": symbol,
            "sc": "H",
            "sm": "Trading Halt",
            "rc": "T1",
            "rm": "News",
            "t": moment,
            "z": "C",
        },
        {"T": "l", "S": symbol, "u": 190.0, "d": 170.0, "i": "B", "t": moment, "z": "C"},
    ]


def _has(values: list[Any], count: int) -> bool:
    return len(values) == count


def test_callbacks_and_what_was_subscribed_to_outlive_ten_disconnects(simulator: Simulators):
    server = simulator()
    quotes: list[float | None] = []
    gaps: list[Gap] = []
    with watching(server, NO_STOCKS, rest_cls=None) as watch:
        watch.manager.subscribe(["AAPL"], channels=["quotes"])
        watch.manager.on_quote("AAPL", lambda one: quotes.append(one.bid_price))
        watch.manager.on_gap("AAPL", gaps.append)
        for number in range(10):
            watch.until_live(connections=number + 1)
            wait_until(lambda: server.subscribed(STOCKS, "quotes") == {"AAPL"})
            server.push(STOCKS, [quote(bid=number)])
            wait_until(partial(_has, quotes, number + 1))
            server.reset_all(STOCKS)
        watch.until_live(connections=11)
        wait_until(lambda: len([gap for gap in gaps if gap.until_ns is not None]) == 10, saw=lambda: gaps)

    assert quotes == list(range(10))
    assert server.connections[STOCK_PATH] == 11


@pytest.mark.parametrize("way", ["called", "awaited"])
def test_a_stop_inside_a_callback_ends_everything(simulator: Simulators, way: str):
    server = simulator()
    with watching(server, ONLY_STOCKS, rest_cls=None) as watch:

        def stop(_: Quote) -> None:
            with at_once():
                watch.manager.stop()

        async def stop_and_go_on(one: Quote) -> None:
            stop(one)
            await asyncio.sleep(0)

        handle = watch.manager.on_quote("AAPL", stop_and_go_on if way == "awaited" else stop)
        wait_until(lambda: server.subscribed(STOCKS))
        server.push(STOCKS, [quote(), quote()])
        wait_until(lambda: not watch.manager.is_running() and not handle.stats.pending)
        until_no_thread("live-")

    assert (handle.stats.delivered, handle.stats.given_up) == (1, 1)
    assert handle.stats.accounted


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What a blocking callback waits for."""
    event = threading.Event()
    yield event
    event.set()


def test_a_callback_that_blocks_costs_no_connection_and_no_other_callback(
    simulator: Simulators, release: threading.Event
):
    """A handler on the stream's own thread would be told that it is too slow, and cut off."""
    server = simulator()
    seen: list[Quote] = []
    with watching(server, ONLY_STOCKS, rest_cls=None) as watch:
        stuck = watch.manager.on_quote("AAPL", lambda _: release.wait(FOREVER), queue_size=5)
        watch.manager.on_quote("MSFT", seen.append)
        wait_until(lambda: server.subscribed(STOCKS))
        server.push(STOCKS, [quote("AAPL")])
        wait_until(lambda: stuck.stats.slowest)
        for _ in range(20):
            server.push(STOCKS, [quote("AAPL"), quote("MSFT")])
        wait_until(lambda: len(seen) == 20 and stuck.stats.offered == 21)
        assert (stuck.stats.pending, stuck.stats.given_up) == (6, 15)
        release.set()
        wait_until(lambda: stuck.stats.delivered == 6)
    assert server.connections[STOCK_PATH] == 1


def play(
    server: SimulatorServer, scenario: Callable[[MarketStream], Coroutine[Any, Any, None]]
) -> CallbackStats:
    """On asyncio, as a user would write it; what became of everything."""

    async def main() -> CallbackStats:
        stream = MarketStream(
            settings_for(server), config=replace(CONFIG, stocks=(), option_contracts=(), stream_fills=False)
        )
        async with asyncio.timeout(2 * AT_ONCE), stream:
            await scenario(stream)
        return stream.snapshot().callbacks

    stats = asyncio.run(main())
    until_no_thread("live-")
    return stats


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - what it waits for is of other threads
        await asyncio.sleep(0.005)


def test_a_service_on_asyncio_from_its_first_trade_to_its_end(simulator: Simulators):
    server = simulator()
    trades: list[Trade] = []
    bids: list[float | None] = []

    async def scenario(stream: MarketStream) -> None:
        async def on_trade(trade: Trade) -> None:
            await asyncio.sleep(0)
            trades.append(trade)
            if len(trades) == 3:
                stream.stop()

        async def read() -> None:
            bids.extend([one.bid_price async for one in stream.quotes("MSFT")])

        await stream.subscribe_trades(["AAPL"], on_trade)
        reading = asyncio.create_task(read())
        await until(lambda: server.subscribed(STOCKS, "quotes") and server.subscribed(STOCKS, "trades"))
        for number in range(3):
            server.push(STOCKS, [quote("MSFT", number), trade_message("AAPL", at_ns=NOON)])
        await stream.run()
        await reading

    stats = play(server, scenario)

    assert len(trades) == 3
    assert trades[0].timestamp_ns == NOON
    assert trades[0].exchange_at is not None
    assert trades[0].exchange_at.tzinfo is not None
    assert bids == [0, 1, 2][: len(bids)]
    assert stats.accounted
    assert stats.pending == 0


def test_a_refused_key_is_said_by_the_health_that_is_told(simulator: Simulators):
    server = simulator(faults=Faults(stream_error=402))
    said: list[str | None] = []

    async def scenario(stream: MarketStream) -> None:
        stream.on("health", None, lambda health: said.append(health.last_error))
        await stream.subscribe_quotes(["AAPL"], print)
        await until(lambda: any(said))

    play(server, scenario)

    assert "402" in str(next(filter(None, said)))
