"""Callbacks under traffic and disconnects with the real client: a moment here, a minute in `scripts/check-long`."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from options_helper.data.streaming.callbacks.dispatcher import CallbackHandle
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.data.streaming.market_stream import MarketStream
from options_helper.model.events import Quote
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.pace import LONG
from tests.kit.simulated import settings_for
from tests.kit.waiting import FOREVER, until_no_thread, wait_until
from tests.wire.conftest import running_simulator as running_simulator  # noqa: PLC0414 - a fixture
from tests.wire.test_engine import NOON, ONLY_STOCKS, STOCK_PATH, STOCKS, quote, watching

FRAMES = 12_000 if LONG else 120  # one each 5 ms
DISCONNECTS = 10
STEPS = 1_000 if LONG else 60
SYMBOLS = ("AAPL", "MSFT", "TSLA")
CONFIG = LiveStreamConfig(stream_fills=False, reconnect_base_seconds=0.02, reconnect_cap_seconds=0.05)

Simulators = Callable[..., SimulatorServer]


@pytest.fixture
def server(running_simulator: Simulators) -> SimulatorServer:
    return running_simulator(SilentMarket(start_ns=NOON))


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - what it waits for is of other threads
        await asyncio.sleep(0.005)


@pytest.mark.timeout(FOREVER)
def test_a_minute_on_asyncio_with_disconnects_loses_nothing_that_came(server: SimulatorServer):
    seen: Counter[str] = Counter()

    async def on_quote(one: Quote) -> None:
        await asyncio.sleep(0)
        seen[one.symbol] += 1

    def is_back(before: int) -> bool:
        return server.connections[STOCK_PATH] > before and bool(server.subscribed(STOCKS))

    async def push() -> None:
        for number in range(FRAMES):
            server.push(STOCKS, [quote(symbol) for symbol in SYMBOLS])
            if number % (FRAMES // DISCONNECTS) == FRAMES // DISCONNECTS - 1:
                before = server.connections[STOCK_PATH]
                server.reset_all(STOCKS)
                await until(partial(is_back, before))
            await asyncio.sleep(0.005)

    async def main() -> MarketStream:
        async with MarketStream(settings_for(server), config=CONFIG) as stream:
            handle = await stream.subscribe_quotes(SYMBOLS, on_quote)
            await until(lambda: server.subscribed(STOCKS))
            await push()
            await until(lambda: not stream.snapshot().callbacks.pending + stream.snapshot().queue_depth)
            await until(lambda: handle.stats.delivered == sum(seen.values()))
        return stream

    snapshot = asyncio.run(main()).snapshot()

    until_no_thread("live-")
    assert snapshot.callbacks.accounted
    assert (snapshot.callbacks.failed, snapshot.callbacks.given_up, snapshot.callbacks.pending) == (0, 0, 0)
    assert sum(seen.values()) == snapshot.streams[STOCKS].applied > 0
    assert snapshot.streams[STOCKS].gap_count == DISCONNECTS


@pytest.mark.timeout(FOREVER)
def test_random_steps_through_the_real_client_keep_the_law_exact(server: SimulatorServer):
    chance = random.Random(30)
    returned: Counter[int] = Counter()
    handles: list[CallbackHandle] = []

    def count(number: int, _: object) -> None:
        returned[number] += 1
        if number % 5 == 4:
            raise ValueError("a bug of the user's")

    with watching(server, ONLY_STOCKS, rest_cls=None) as watch:
        manager = watch.manager
        steps: list[Callable[[], object]] = [
            lambda: handles.append(
                manager.on_quote(chance.choice([*SYMBOLS, None]), partial(count, len(handles)))
            ),
            lambda: handles[chance.randrange(len(handles))].remove() if handles else None,
            lambda: manager.subscribe([chance.choice(SYMBOLS)]),
            lambda: manager.unsubscribe(
                [chance.choice(SYMBOLS)], channels=[chance.choice(["quotes", "trades"])]
            ),
            lambda: server.push(STOCKS, [quote(symbol) for symbol in SYMBOLS]),
            lambda: server.reset_all(STOCKS),
        ]
        for _ in range(STEPS):
            chance.choices(steps, weights=(15, 8, 10, 8, 55, 4))[0]()
            assert watch.snapshot.callbacks.accounted
        server.flush()
        wait_until(lambda: watch.snapshot.queue_depth == 0 == watch.snapshot.callbacks.pending)

    for number, handle in enumerate(handles):
        stats = handle.stats
        assert stats.accounted
        assert stats.pending == 0
        assert stats.delivered + stats.failed == returned[number]
    total = watch.snapshot.callbacks
    assert total.delivered + total.failed == sum(returned.values())
