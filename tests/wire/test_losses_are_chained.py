"""A lost connection is told in a sentence, and what ended it is the sentence's cause, for whoever reads the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr
from websockets.exceptions import ConnectionClosed

from options_helper.data.streaming.alpaca_stream import AlpacaStockStreamer
from options_helper.data.streaming.alpaca_trading_stream import AlpacaTradingStreamer
from options_helper.data.streaming.breeze.streamer import BreezeStreamer, Pass
from options_helper.data.streaming.connection.connection_runner import LoggingSink
from options_helper.errors import StreamError
from options_helper.settings import DEMO_KEY, DEMO_SECRET, BreezeSettings, Settings
from options_helper.simulator.breeze.server import BreezeServer
from options_helper.simulator.server import SimulatorServer


class Doing(LoggingSink):
    """Does this as soon as the stream is acknowledged, and whenever a frame comes."""

    def __init__(self, do: Callable[[], object]) -> None:
        self._do = do

    def subscribed(self, *_: Any) -> None:
        self._do()

    def frame(self, *_: Any) -> None:
        self._do()


def settings_of(server: SimulatorServer) -> Settings:
    return Settings(
        api_key=SecretStr(DEMO_KEY),
        api_secret=SecretStr(DEMO_SECRET),
        base_url=server.rest_url,
        stream_url=server.stream_url,
    )


@pytest.mark.parametrize("orders", [False, True])
def test_what_closed_a_stream_of_alpaca_s_is_the_cause_of_its_loss(
    running_simulator: Callable[..., SimulatorServer], *, orders: bool
):
    server = running_simulator()
    sink = Doing(server.disconnect_all)
    if orders:
        streamer: Any = AlpacaTradingStreamer(settings_of(server), sink=sink)
        streamer.subscribe_trade_updates()
    else:
        streamer = AlpacaStockStreamer(settings_of(server), feed="iex", sink=sink)
        streamer.subscribe(("SPY",))

    with pytest.raises(StreamError, match="connection was lost") as lost:
        streamer.run()

    assert isinstance(lost.value.__cause__, ConnectionClosed)


def breeze(server: BreezeServer, do: Callable[[], object]) -> BreezeStreamer:
    settings = BreezeSettings.load(server.variables)
    streamer = BreezeStreamer(lambda: settings, Pass(), sink=BreezeDoing(do))
    streamer.subscribe(("NSE:RELIANCE",))
    return streamer


class BreezeDoing(Doing):
    """Only whenever a frame comes: a symbol is acknowledged by its first one."""

    def subscribed(self, *_: Any) -> None:
        """Nothing yet."""


def test_what_closed_breeze_s_stream_is_the_cause_of_its_loss():
    with (
        BreezeServer(pace_seconds=0.02) as server,
        pytest.raises(StreamError, match="connection was lost") as lost,
    ):
        breeze(server, lambda: server.disconnect("abort")).run()

    assert isinstance(lost.value.__cause__, ConnectionClosed)


def test_what_kept_breeze_s_ticks_from_being_taken_is_named_and_is_the_cause():
    """It was told as a connection that had ended, and what had gone wrong was nowhere to be found."""
    odd = LookupError("odd")

    def stumble() -> None:
        raise odd

    with (
        BreezeServer(pace_seconds=0.02) as server,
        pytest.raises(StreamError, match=r"what came could not be taken \(LookupError\)") as lost,
    ):
        breeze(server, stumble).run()

    assert lost.value.__cause__ is odd
