"""CPU per quote from the wire to a last-value cache: the real manager against alpaca-py's handlers and a bare loop.

Reach: 4, 8 and 15 times less than alpaca-py's parsed handler at 1, 10 and 100 quotes a frame; at 100 a frame at most
1.5 times a bare loop that does nothing else; nothing dropped at the default queue size.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import threading
import warnings
from typing import Any

from _wire import SYMBOLS, measure, measured, say, serve_at_rate, settings_for

from options_helper.model.streams import StreamName

CLIENTS = ("manager", "parsed", "raw", "bare")
LOADS = {1: 20_000, 10: 60_000, 100: 200_000}  # quotes a frame → events per second
SECONDS = 6
ROUNDS = 3


def run_client(kind: str, url: str, total: int) -> None:
    """Be one client process; ready, then measured."""
    warm_up = total // 3
    match kind:
        case "manager":
            say(_manager(url, total, warm_up))
        case "parsed" | "raw":
            say(_sdk(url, total, warm_up, raw_data=kind == "raw"))
        case "bare":
            say(_bare(url, total, warm_up))


def _manager(url: str, total: int, warm_up: int) -> dict[str, Any]:
    from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager

    manager = LiveStreamManager(settings_for(url))
    manager.start(LiveStreamConfig(stocks=SYMBOLS, stream_options=False, stream_fills=False))

    def applied() -> int:
        health = manager.snapshot().streams[StreamName.STOCKS]
        return health.applied + health.dropped

    result = measured(applied, total, warm_up)
    dropped = manager.snapshot().streams[StreamName.STOCKS].dropped
    manager.stop()
    return {**result, "dropped": dropped}


def _sdk(url: str, total: int, warm_up: int, *, raw_data: bool) -> dict[str, Any]:
    warnings.simplefilter("ignore", DeprecationWarning)
    from alpaca.data.live import StockDataStream

    cache: dict[str, Any] = {}
    seen = 0

    async def keep_raw(message: Any) -> None:
        nonlocal seen
        cache[message["S"]] = message
        seen += 1

    async def keep_parsed(quote: Any) -> None:
        nonlocal seen
        cache[quote.symbol] = quote
        seen += 1

    stream = StockDataStream("demo-key", "demo-secret", raw_data=raw_data, url_override=f"{url}/v2/iex")
    stream.subscribe_quotes(keep_raw if raw_data else keep_parsed, *SYMBOLS)
    threading.Thread(target=stream.run, daemon=True).start()
    return measured(lambda: seen, total, warm_up)


def _bare(url: str, total: int, warm_up: int) -> dict[str, Any]:
    """The least that can be done in one thread: websockets, a typed decode, a dict."""
    import msgspec
    from websockets.asyncio.client import connect

    from options_helper.model.events import Event

    decode = msgspec.msgpack.Decoder(list[Event]).decode
    cache: dict[str, Event] = {}
    seen = 0

    async def loop() -> None:
        nonlocal seen
        headers = {"Content-Type": "application/msgpack"}
        async with connect(f"{url}/v2/iex", additional_headers=headers, max_size=None) as socket:
            await socket.recv()
            await socket.send(
                msgspec.msgpack.encode({"action": "auth", "key": "demo-key", "secret": "demo-secret"})
            )
            await socket.recv()
            await socket.send(msgspec.msgpack.encode({"action": "subscribe", "quotes": SYMBOLS}))
            await socket.recv()
            async for frame in socket:
                events = decode(frame)  # type: ignore[arg-type]
                for event in events:
                    cache[event.symbol] = event
                seen += len(events)

    threading.Thread(target=lambda: asyncio.run(loop()), daemon=True).start()
    return measured(lambda: seen, total, warm_up)


def main() -> None:
    """Each client in its own process, round by round, so that the machine's moods meet all of them."""
    print("CPU per quote, wire to cache, 256 symbols; median of 3 runs")
    print(f"{'quotes a frame':>15} {'manager':>10} {'parsed':>10} {'raw':>10} {'bare loop':>10}   ratios")
    for per_frame, rate in LOADS.items():
        runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in CLIENTS}
        for _ in range(ROUNDS):
            for kind in CLIENTS:
                runs[kind].append(measure(__file__, kind, per_frame, rate, SECONDS))
        cost = {
            kind: statistics.median(run["microseconds"] for run in results) for kind, results in runs.items()
        }
        dropped = sum(run["dropped"] for run in runs["manager"])
        columns = " ".join(f"{cost[kind]:7.2f} µs" for kind in CLIENTS)
        print(
            f"{per_frame:>15} {columns}   {cost['parsed'] / cost['manager']:.1f}x less than parsed, "
            f"{cost['raw'] / cost['manager']:.1f}x less than raw, {cost['manager'] / cost['bare']:.2f}x the bare loop, "
            f"{dropped} dropped",
            flush=True,
        )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", per_frame, rate]:
            serve_at_rate(int(per_frame), int(rate))
        case ["client", kind, url, total]:
            run_client(kind, url, int(total))
        case _:
            main()
