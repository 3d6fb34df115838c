"""How soon a quote on the wire is in a snapshot, what a snapshot costs meanwhile, and whether memory stays flat.

Baselines, in the same run: a bare websocket loop's delay from the wire to its dict; copies of four dicts of the same
size for the snapshot; the process's own size after a fifth of the events for memory (reach: within 10 %).
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from typing import Any

import msgspec
import psutil
from _wire import NOON, TICK_SECONDS, Child, quote_frames, say, settings_for

from options_helper.clock import utc_now_ns
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.model.events import Quote
from options_helper.model.instants import timestamp_extension
from options_helper.model.streams import StreamName
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer

SYMBOLS = tuple(f"S{number:04d}" for number in range(1_000))
DELAY_SECONDS = 5
POLL_SECONDS = 0.002
MEMORY_EVENTS = 10_000_000


def serve_stamped(events_per_second: int) -> None:
    """Be a server whose quotes carry the moment they were sent."""
    with SimulatorServer(SilentMarket()) as server:
        say({"url": server.stream_url})
        while not server.subscribed(StreamName.STOCKS):
            time.sleep(0.01)
        total = events_per_second * (DELAY_SECONDS + 2)
        began, sent = time.monotonic(), 0
        while sent < total:
            due = min(total, int((time.monotonic() - began) * events_per_second))
            for number in range(sent, due):
                server.push_frame(StreamName.STOCKS, _stamped(number))
            sent = due
            time.sleep(TICK_SECONDS)
        sys.stdin.readline()


def _stamped(number: int) -> bytes:
    quote = {
        "T": "q", "S": SYMBOLS[number % len(SYMBOLS)], "bp": 1.0, "bs": 1, "ap": 1.1, "as": 1,
        "t": timestamp_extension(utc_now_ns()),
    }  # fmt: skip
    return msgspec.msgpack.encode([quote])


def serve_many(total: int) -> None:
    """Be a server that sends that many quotes, a hundred a frame, as fast as they are read."""
    frames = quote_frames(100)
    with SimulatorServer(SilentMarket()) as server:
        say({"url": server.stream_url})
        while not server.subscribed(StreamName.STOCKS):
            time.sleep(0.01)
        for number in range(total // 100):
            server.push_frame(StreamName.STOCKS, frames[number % len(frames)])
            if number % 100 == 99:
                time.sleep(0.03)
        sys.stdin.readline()


def start_manager(url: str) -> LiveStreamManager:
    """A manager on 1,000 stocks and nothing else."""
    manager = LiveStreamManager(settings_for(url))
    manager.start(LiveStreamConfig(stocks=SYMBOLS, stream_options=False, stream_fills=False))
    return manager


def manager_delays(url: str) -> tuple[list[float], float]:
    """Milliseconds from sent to seen in a snapshot; and what a snapshot costs, in microseconds."""
    manager = start_manager(url)
    delays: list[float] = []
    costs: list[float] = []
    seen: dict[str, Quote] = {}
    deadline = time.monotonic() + DELAY_SECONDS + 2
    while time.monotonic() < deadline:
        before = time.thread_time()
        quotes = manager.snapshot().stock_quotes
        costs.append((time.thread_time() - before) * 1e6)
        now_ns = utc_now_ns()
        delays += [
            (now_ns - (quote.timestamp_ns or 0)) / 1e6
            for symbol, quote in quotes.items()
            if seen.get(symbol) is not quote
        ]
        seen = dict(quotes)
        time.sleep(POLL_SECONDS)
    manager.stop()
    return delays[len(delays) // 4 :], statistics.median(costs[len(costs) // 4 :])


def bare_delays(url: str) -> list[float]:
    """Milliseconds from sent to stored by a bare websocket loop."""
    import asyncio

    from websockets.asyncio.client import connect

    decode = msgspec.msgpack.Decoder(list[Quote]).decode
    cache: dict[str, Quote] = {}
    delays: list[float] = []

    async def loop() -> None:
        headers = {"Content-Type": "application/msgpack"}
        async with connect(f"{url}/v2/iex", additional_headers=headers) as socket:
            await socket.recv()
            keys = {"action": "auth", "key": "demo-key", "secret": "demo-secret"}
            await socket.send(msgspec.msgpack.encode(keys))
            await socket.recv()
            await socket.send(msgspec.msgpack.encode({"action": "subscribe", "quotes": SYMBOLS}))
            await socket.recv()
            async with asyncio.timeout(DELAY_SECONDS):
                async for frame in socket:
                    for quote in decode(frame):  # type: ignore[arg-type]
                        cache[quote.symbol] = quote
                        delays.append((utc_now_ns() - (quote.timestamp_ns or 0)) / 1e6)

    with contextlib.suppress(TimeoutError):  # the time to listen is over
        asyncio.run(loop())
    return delays[len(delays) // 4 :]


def four_copies() -> float:
    """Microseconds to copy four dicts of 1,000 quotes."""
    cache = {symbol: Quote(symbol=symbol, timestamp=NOON) for symbol in SYMBOLS}
    began = time.thread_time()
    for _ in range(1_000):
        for _ in range(4):
            cache.copy()
    return (time.thread_time() - began) / 1_000 * 1e6


def memory(url: str, total: int) -> dict[str, Any]:
    """Megabytes after a fifth of the events and at their end."""
    manager = start_manager(url)
    process = psutil.Process()
    sizes = {}
    for mark in (total // 5, total):
        while manager.snapshot().streams[StreamName.STOCKS].received < mark:
            time.sleep(0.25)
        sizes[mark] = process.memory_info().rss / 2**20
    dropped = manager.snapshot().streams[StreamName.STOCKS].dropped
    manager.stop()
    return {"early": sizes[total // 5], "end": sizes[total], "dropped": dropped}


def _percentiles(delays: list[float]) -> str:
    cuts = statistics.quantiles(delays, n=100)
    return f"p50 {cuts[49]:6.2f} ms  p99 {cuts[98]:6.2f} ms"


def main() -> None:
    """Delays at two rates, the snapshot's cost at the higher one, then the ten million."""
    copies = four_copies()
    for rate in (1_000, 10_000):
        server = Child(__file__, "serve", rate)
        bare = bare_delays(server.receive()["url"])
        server.end()
        server = Child(__file__, "serve", rate)
        delays, cost = manager_delays(server.receive()["url"])
        server.end()
        print(
            f"{rate:>6} quotes/s   wire to snapshot {_percentiles(delays)}   bare loop {_percentiles(bare)}"
        )
        print(
            f"{rate:>6} quotes/s   snapshot() of 1,000 symbols {cost:.0f} µs, "
            f"{cost / copies:.1f}x the copies of four such dicts ({copies:.0f} µs)",
            flush=True,
        )
    server = Child(__file__, "many", MEMORY_EVENTS)
    client = Child(__file__, "memory", server.receive()["url"], MEMORY_EVENTS)
    sizes = client.receive()
    server.end()
    client.end()
    print(
        f"{MEMORY_EVENTS:,} events: {sizes['early']:.0f} MB after a fifth, {sizes['end']:.0f} MB at the end, "
        f"{sizes['end'] / sizes['early']:.3f}x; {sizes['dropped']} dropped"
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", rate]:
            serve_stamped(int(rate))
        case ["many", total]:
            serve_many(int(total))
        case ["memory", url, total]:
            say(memory(url, int(total)))
        case _:
            main()
