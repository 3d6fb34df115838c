"""The unmodified alpaca-py clients, pointed at a simulated server and run in threads of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

from alpaca.data.live import OptionDataStream, StockDataStream
from alpaca.trading.stream import TradingStream

from options_helper.simulator.server import SimulatorServer
from tests.kit.waiting import AT_ONCE, wait_until

KEYS = ("demo-key", "demo-secret")
# The SDK's own defaults, with less patience for a peer that does not answer a close.
WEBSOCKET = {"ping_interval": 10, "ping_timeout": 180, "max_queue": 1024, "close_timeout": 1}

# The size at which the SDK cuts its subscribe message.
FRAGMENT_BYTES = 32_768

Stream = StockDataStream | OptionDataStream | TradingStream


class Received:
    """A handler that keeps what it was called with."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def on_message(self, message: Any) -> None:
        self.messages.append(message)

    def wait(self, count: int = 1) -> list[Any]:
        wait_until(lambda: len(self.messages) >= count, saw=lambda: self.messages)
        return self.messages


def stock_stream(
    server: SimulatorServer,
    feed: str = "iex",
    *,
    keys: tuple[str, str] = KEYS,
    websocket: Mapping[str, float] = MappingProxyType({}),
    raw_data: bool = False,
) -> StockDataStream:
    key, secret = keys
    url = f"{server.stream_url}/v2/{feed}"
    return StockDataStream(
        key, secret, raw_data=raw_data, url_override=url, websocket_params={**WEBSOCKET, **websocket}
    )


def option_stream(
    server: SimulatorServer, feed: str = "indicative", *, raw_data: bool = False
) -> OptionDataStream:
    key, secret = KEYS
    url = f"{server.stream_url}/v1beta1/{feed}"
    return OptionDataStream(key, secret, raw_data=raw_data, url_override=url, websocket_params=WEBSOCKET)


def trading_stream(server: SimulatorServer, *, keys: tuple[str, str] = KEYS) -> TradingStream:
    key, secret = keys
    return TradingStream(key, secret, url_override=f"{server.stream_url}/stream", websocket_params=WEBSOCKET)


def has_subscribed(stream: Stream) -> bool:
    """Whether the SDK believes that it runs: it has sent its subscription."""
    return bool(stream._running)  # noqa: SLF001 - the SDK tells nobody


def got_a_pong(stream: Stream) -> bool:
    """Whether the server has answered one of this connection's pings."""
    websocket: Any = stream._ws  # noqa: SLF001 - the SDK tells nobody
    return websocket is not None and bool(websocket.latency > 0)


@contextmanager
def running(server: SimulatorServer, *streams: Stream) -> Iterator[list[threading.Thread]]:
    """Run streams until the block ends; the server ends with them, because an idle SDK is slow to stop."""
    threads = [threading.Thread(target=stream.run, name="live-bare-sdk", daemon=True) for stream in streams]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for stream in streams:
            wait_until(partial(getattr, stream, "_loop"))
            stream.stop()
        server.stop()
        for thread in threads:
            thread.join(AT_ONCE)
