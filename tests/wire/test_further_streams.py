"""Coins and news through the real client: subscribed, acknowledged, counted, also where a share cannot be asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.errors import ConfigError
from options_helper.model.snapshot import LiveSnapshot, Phase
from options_helper.model.streams import PORTFOLIO_STREAMS, StreamName
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.fakes import NOON, quote_message
from tests.kit.simulated import settings_for
from tests.kit.waiting import wait_until

Simulators = Callable[..., SimulatorServer]

CONFIG = LiveStreamConfig(
    stream_fills=False,
    crypto=("btc/usd", "ETH/USD"),
    crypto_channels=("quotes", "orderbooks"),
    news=("*",),
)
BOOK = {
    "T": "o",
    "S": "BTC/USD",
    "t": "2026-11-05T17:00:00Z",
    "b": [{"p": 9.0, "s": 1.5}],
    "a": [],
    "r": True,
}
ARTICLE = {
    "T": "n",
    "id": 7,
    "headline": "Invented",
    "symbols": ["AAPL"],
    "updated_at": "2026-11-05T17:00:00Z",
}


def all_live(snapshot: LiveSnapshot) -> bool:
    return all(snapshot.streams[name].phase is Phase.LIVE for name in (StreamName.CRYPTO, StreamName.NEWS))


def test_coins_and_news_come_over_streams_of_their_own(running_simulator: Simulators):
    server = running_simulator(SilentMarket(start_ns=NOON))
    manager = LiveStreamManager(settings_for(server), rest_cls=None)
    manager.start(CONFIG)
    try:
        wait_until(lambda: all_live(manager.snapshot()), saw=manager.snapshot)
        server.push(StreamName.CRYPTO, [BOOK, quote_message("BTC/USD", bid=9.0, ask=10.0)])
        server.push(StreamName.CRYPTO, [quote_message("DOGE/USD", bid=1.0, ask=2.0)])
        server.push(StreamName.NEWS, [ARTICLE])
        wait_until(lambda: manager.snapshot().streams[StreamName.NEWS].applied == 1, saw=manager.snapshot)
        wait_until(lambda: manager.snapshot().streams[StreamName.CRYPTO].applied == 2, saw=manager.snapshot)
        snapshot, books = manager.snapshot(), server.subscribed(StreamName.CRYPTO, "orderbooks")
    finally:
        manager.stop()

    crypto = snapshot.streams[StreamName.CRYPTO]
    assert (crypto.acknowledged, crypto.feed) == (("BTC/USD", "ETH/USD"), "us")
    assert all(snapshot.streams[name].accounted for name in snapshot.streams)
    assert list(snapshot.quotes) == ["BTC/USD"]
    assert books == {"BTC/USD", "ETH/USD"}


def test_what_nobody_wants_is_in_no_snapshot():
    manager = LiveStreamManager(rest_cls=None)

    assert tuple(manager.snapshot().streams) == PORTFOLIO_STREAMS


@pytest.mark.parametrize("symbol", ["AAPL", "BRK/B", "BTCUSD"])
def test_a_share_is_no_coin(symbol: str):
    with pytest.raises(ConfigError, match="no pair of a coin and a currency"):
        LiveStreamConfig(crypto=(symbol,))


def test_coins_have_places_and_not_feeds():
    with pytest.raises(ConfigError, match="no crypto location 'moon'; choose one of us, us-1, eu-1"):
        LiveStreamConfig(crypto_location="moon")
