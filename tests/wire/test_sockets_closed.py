"""A stream stopped while it connects leaves no socket to the garbage collector, in whatever turn of its loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from options_helper.data.network import PROXY_VARIABLES
from options_helper.data.streaming.alpaca_stream import AlpacaStockStreamer
from options_helper.data.streaming.alpaca_trading_stream import AlpacaTradingStreamer
from options_helper.data.streaming.breeze.streamer import BreezeStreamer, Pass
from options_helper.data.streaming.connection.connection_runner import LoggingSink, Streamer
from options_helper.settings import DEMO_KEY, DEMO_SECRET, BreezeSettings, Settings
from options_helper.simulator.breeze.server import BreezeServer
from tests.kit.left_open import nothing_left_open
from tests.kit.waiting import AT_ONCE

# Enough for the race of the addresses, the protocol's beginning and the first words.
TURNS = 8
Making = Callable[[int, pytest.MonkeyPatch], Streamer]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """What takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        found.settimeout(AT_ONCE)
        yield found


def stop_after_connecting(monkeypatch: pytest.MonkeyPatch, turns: int, stop: Callable[[], object]) -> None:
    """Have the stream stopped so many turns of its loop after the socket has connected, before anybody heard of it."""
    connect = asyncio.SelectorEventLoop.sock_connect

    async def connecting(self: asyncio.SelectorEventLoop, *where: Any) -> None:
        await connect(self, *where)
        in_turn(self, turns)

    def in_turn(loop: asyncio.AbstractEventLoop, left: int) -> None:
        if left:
            loop.call_soon(in_turn, loop, left - 1)
        else:
            stop()

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connecting)


def settings_to(port: int, scheme: str = "") -> Settings:
    return Settings(
        api_key=SecretStr(DEMO_KEY),
        api_secret=SecretStr(DEMO_SECRET),
        base_url=f"http{scheme}://127.0.0.1:{port}",
        stream_url=f"ws{scheme}://127.0.0.1:{port}",
    )


def market_data(port: int, _: pytest.MonkeyPatch) -> Streamer:
    return AlpacaStockStreamer(settings_to(port), feed="iex", sink=LoggingSink())


def orders(port: int, _: pytest.MonkeyPatch) -> Streamer:
    return AlpacaTradingStreamer(settings_to(port), sink=LoggingSink())


def encrypted(port: int, _: pytest.MonkeyPatch) -> Streamer:
    return AlpacaStockStreamer(settings_to(port, "s"), feed="iex", sink=LoggingSink())


def through_a_proxy(port: int, monkeypatch: pytest.MonkeyPatch) -> Streamer:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    return AlpacaStockStreamer(settings_to(9, "s"), feed="iex", sink=LoggingSink())


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXY_VARIABLES, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("turns", range(TURNS))
@pytest.mark.parametrize("make", [market_data, orders, encrypted, through_a_proxy])
def test_a_stream_that_is_stopped_as_it_connects_closes_its_socket(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, make: Making, turns: int
):
    streamer = make(listener.getsockname()[1], monkeypatch)
    stop_after_connecting(monkeypatch, turns, streamer.stop)

    with nothing_left_open():
        streamer.run()
    require_closed(listener)


@pytest.mark.parametrize("turns", range(TURNS))
def test_breezes_stream_that_is_stopped_as_it_connects_closes_its_socket(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, turns: int
):
    with BreezeServer() as server:
        address = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        settings = BreezeSettings.load({**server.variables, "BREEZE_STREAM_URL": address})
        streamer = BreezeStreamer(lambda: settings, Pass(), sink=LoggingSink())
        streamer.subscribe(("NSE:RELIANCE",))
        stop_after_connecting(monkeypatch, turns, streamer.stop)

        with nothing_left_open():
            streamer.run()
    require_closed(listener)


def test_a_fake_breeze_that_serves_nobody_has_opened_nothing():
    with nothing_left_open():
        BreezeServer()


def test_a_fake_breeze_that_cannot_listen_says_so_at_once_and_closes_what_it_had(
    monkeypatch: pytest.MonkeyPatch,
):
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no port is left")

    monkeypatch.setattr("options_helper.simulator.breeze.server.serve", refuse)

    with nothing_left_open(), pytest.raises(OSError, match="no port is left"), BreezeServer():
        pass


def require_closed(listener: socket.socket) -> None:
    """The other end of the one connection that came hears that it is over."""
    taken, _ = listener.accept()
    with taken:
        taken.settimeout(AT_ONCE)
        while taken.recv(4_096):
            pass
