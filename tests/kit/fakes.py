"""Streams that follow a script, for tests of the threads without a socket."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from pydantic import SecretStr

from options_helper.data.streaming.connection.connection_runner import StreamSink
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.messages import Decode, count_messages, decode_frame
from options_helper.errors import StreamError
from options_helper.model.instants import timestamp_extension
from options_helper.model.streams import StreamId
from options_helper.settings import Settings
from tests.kit.waiting import wait_until

SETTINGS = Settings(api_key=SecretStr("demo-key"), api_secret=SecretStr("demo-secret"))
NOON = 1_793_898_000_000_000_000  # Thursday 2026-11-05, noon in New York

Step = Callable[["ScriptedStream"], None]


def quote_message(
    symbol: str, bid: float = 1.0, ask: float = 1.1, *, at_ns: int = NOON, **more: Any
) -> dict[str, Any]:
    """A quote as the wire has it."""
    return {
        "T": "q",
        "S": symbol,
        "bp": bid,
        "bs": 1,
        "ap": ask,
        "as": 2,
        "t": timestamp_extension(at_ns),
        **more,
    }


def trade_message(symbol: str, price: float = 1.05, *, at_ns: int = NOON, **more: Any) -> dict[str, Any]:
    """A trade as the wire has it."""
    return {"T": "t", "S": symbol, "p": price, "s": 1, "t": timestamp_extension(at_ns), **more}


def frame(*messages: Any) -> bytes:
    """One websocket message."""
    return msgspec.msgpack.encode(list(messages))


class SteppedClock:
    """A computer's two clocks, which move when the test says so: called, it tells the time in epoch nanoseconds."""

    def __init__(self, now_ns: int = NOON) -> None:
        self.now_ns = now_ns
        self._passed = 0.0
        # Written by whoever measures; a count may be a moment late.
        self._measured: Counter[str] = Counter()

    def __call__(self) -> int:
        return self.now_ns

    def monotonic(self) -> float:
        """Seconds that have passed, however the clock was set."""
        self._measured[threading.current_thread().name] += 1
        return self._passed

    def wait_for_looks(self, thread: str) -> None:
        """Wait until the thread of that name, which looks twice a second, has looked at everything anew."""
        before = self._measured[thread]
        wait_until(lambda: self._measured[thread] > before + 12, saw=lambda: self._measured)

    def advance(self, seconds: float) -> None:
        """Let that much time pass."""
        self._passed += seconds
        self.now_ns += int(seconds * 1_000_000_000)

    def put_forward(self, seconds: float) -> None:
        """Set the wall clock; a negative number puts it back."""
        self.now_ns += int(seconds * 1_000_000_000)


class ScriptedStream:
    """Does what its script says, then holds the connection until it is stopped."""

    def __init__(self, sink: StreamSink, script: Sequence[Step]) -> None:
        self.sink = sink
        self.wanted: dict[str, None] = {}
        self.channels: dict[str, frozenset[str]] = {}  # by symbol
        self.sent: list[tuple[str, tuple[str, ...]]] = []
        self.stopped = threading.Event()
        self.is_abandoned = False
        self._script = script

    def subscribe(self, symbols: Iterable[str], *, channels: Sequence[str] = ()) -> None:
        """Note the symbols, as the real streamer does."""
        added = tuple(symbols)
        self.sent.append(("subscribe", added))
        self.wanted.update(dict.fromkeys(added))
        for symbol in added:
            self.channels[symbol] = self.channels.get(symbol, frozenset()).union(channels)

    def unsubscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        """Note that these are wanted no longer, on these channels or at all."""
        gone = tuple(symbols)
        self.sent.append(("unsubscribe", gone))
        for symbol in gone:
            left = self.channels.pop(symbol, frozenset()).difference(channels or ())
            if channels is not None and left:
                self.channels[symbol] = left
            else:
                self.wanted.pop(symbol, None)

    def renew(self, symbols: Iterable[str], channel: str) -> None:
        """Note the symbols."""
        self.sent.append((f"renew {channel}", tuple(symbols)))

    def subscribe_trade_updates(self) -> None:
        """Note the one stream there is."""
        self.wanted["trade_updates"] = None

    def run(self) -> None:
        """Play the script."""
        for step in self._script:
            if self.stopped.is_set():
                return
            step(self)
        self.stopped.wait()

    def stop(self) -> None:
        """End `run`."""
        self.stopped.set()

    def abandon(self) -> None:
        """The same, noted: whoever shares it ends with it."""
        self.is_abandoned = True
        self.stop()


class ScriptedStreams:
    """Stands where a stream class stands: the first connection plays the first script, the last one stays."""

    def __init__(self, *scripts: Sequence[Step]) -> None:
        self._scripts = scripts or ([acknowledge()],)
        self.made: list[ScriptedStream] = []

    def __call__(self, settings: Settings, *, sink: StreamSink, **_: Any) -> ScriptedStream:
        script = self._scripts[min(len(self.made), len(self._scripts) - 1)]
        stream = ScriptedStream(sink, script)
        self.made.append(stream)
        return stream


class ScriptedSource:
    """A source of any streams, each with its scripts; it asks for no keys."""

    def __init__(self, scripted: Mapping[StreamId, ScriptedStreams], decode: Decode = decode_frame) -> None:
        self._scripted = dict(scripted)
        self._decode = decode

    @property
    def streams(self) -> tuple[StreamId, ...]:
        """Those that have scripts."""
        return tuple(self._scripted)

    def check(self, settings: Settings) -> None:
        """It needs nothing."""

    def streamer(
        self, stream: StreamId, settings: Settings, config: LiveStreamConfig, sink: StreamSink
    ) -> ScriptedStream:
        """The next connection of that stream."""
        return self._scripted[stream](settings, sink=sink)

    def decoder(self, stream: StreamId) -> Decode:
        """The same for each."""
        return self._decode


def acknowledge(*refused: str) -> Step:
    """The server has every symbol but these."""

    def step(stream: ScriptedStream) -> None:
        stream.sink.connected(None)
        taken = tuple(symbol for symbol in stream.wanted if symbol not in refused)
        stream.sink.subscribed(tuple(stream.wanted), taken, dict.fromkeys(refused, "no such symbol"))

    return step


def announce(header: str) -> Step:
    """The server says that it plays a market."""
    return lambda stream: stream.sink.connected(header)


def deliver(*payloads: bytes) -> Step:
    """These frames arrive."""

    def step(stream: ScriptedStream) -> None:
        for payload in payloads:
            stream.sink.frame(payload, count_messages(payload))

    return step


def fail(error: BaseException | str) -> Step:
    """The connection ends like this."""

    def step(_: ScriptedStream) -> None:
        raise StreamError(error) if isinstance(error, str) else error

    return step


def wait_for(event: threading.Event) -> Step:
    """Nothing happens until the test says so, or the stream is stopped."""

    def step(stream: ScriptedStream) -> None:
        while not event.wait(0.01):
            if stream.stopped.is_set():
                return

    return step


CONFIG = LiveStreamConfig(
    stocks=("AAPL",),
    option_contracts=("AAPL261218C00180000",),
    reconnect_base_seconds=0.02,
    reconnect_cap_seconds=0.05,
)


@contextmanager
def running_manager(
    *,
    stocks: ScriptedStreams | None = None,
    options: ScriptedStreams | None = None,
    fills: ScriptedStreams | None = None,
    config: LiveStreamConfig = CONFIG,
    settings: Settings = SETTINGS,
    **more: Any,
) -> Iterator[LiveStreamManager]:
    """A started manager on scripted streams; stopped, and its ledger checked, at the end.

    Nothing is asked for beside them unless a `rest_cls` is given.
    """
    more.setdefault("rest_cls", None)
    manager = LiveStreamManager(
        settings,
        stock_stream_cls=stocks or ScriptedStreams(),
        option_stream_cls=options or ScriptedStreams(),
        trading_stream_cls=fills or ScriptedStreams(),
        retry=RetryPolicy(slow_base_seconds=0.05),
        **more,
    )
    manager.start(config)
    try:
        yield manager
    finally:
        manager.stop()
        for health in manager.snapshot().streams.values():
            assert health.accounted, health
