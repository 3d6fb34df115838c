"""What deflate saves on the wire and costs in CPU: the real manager with OH_ALPACA_COMPRESSION=deflate against without.

Stock quotes whose prices, sizes, venues and times are all random, at 1, 10 and 100 a frame; bytes are those that the
socket brought. Reach: half of the bytes at 1 and a third at 10 a frame, for at most twice the CPU.
"""

from __future__ import annotations

import random
import statistics
import sys
from dataclasses import replace
from typing import Any
from unittest import mock

import msgspec
from _wire import NOON, SYMBOLS, measure, measured, say, serve_at_rate, settings_for

from options_helper.model.instants import timestamp_extension
from options_helper.model.streams import StreamName

CLIENTS = ("none", "deflate")
LOADS = {1: 5_000, 10: 20_000, 100: 30_000}  # quotes a frame → events per second
SECONDS = 4
ROUNDS = 3
# Many times what fits into a window, so that nothing is found again when they come round.
DIFFERENT_QUOTES = 10_000


def random_frames(per_frame: int) -> list[bytes]:
    """Frames without the regularity of a made-up market, which would compress too well."""
    chance = random.Random(1)
    quotes = [_quote(chance) for _ in range(DIFFERENT_QUOTES)]
    return [
        msgspec.msgpack.encode(quotes[start : start + per_frame])
        for start in range(0, DIFFERENT_QUOTES, per_frame)
    ]


def _quote(chance: random.Random) -> dict[str, Any]:
    bid = round(chance.uniform(5, 800), 2)
    return {
        "T": "q", "S": chance.choice(SYMBOLS), "bx": chance.choice("VQNPZ"), "bp": bid, "bs": chance.randint(1, 20),
        "ax": chance.choice("VQNPZ"), "ap": round(bid + chance.choice((0.01, 0.02, 0.05)), 2),
        "as": chance.randint(1, 20), "c": ["R"], "z": chance.choice("AC"),
        "t": timestamp_extension(NOON + chance.randrange(10**12)),
    }  # fmt: skip


def run_client(compression: str, url: str, total: int) -> None:
    """Be one client process; its CPU per quote, and the bytes its socket brought."""
    from options_helper.data.streaming.connection.websocket_frames import MessageReader
    from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager

    received = 0
    feed = MessageReader.feed

    def counted(reader: MessageReader, data: bytes) -> None:
        nonlocal received
        received += len(data)
        feed(reader, data)

    # The one place where all bytes pass.
    mock.patch.object(MessageReader, "feed", counted).start()
    manager = LiveStreamManager(replace(settings_for(url), compression=compression))
    manager.start(LiveStreamConfig(stocks=SYMBOLS, stream_options=False, stream_fills=False))

    def applied() -> int:
        health = manager.snapshot().streams[StreamName.STOCKS]
        return health.applied + health.dropped

    result = measured(applied, total, total // 3)
    say(
        {
            **result,
            "bytes": received / total,
            "dropped": manager.snapshot().streams[StreamName.STOCKS].dropped,
        }
    )
    manager.stop()


def main() -> None:
    """Each client in its own process, by turns, so that the machine's moods meet both."""
    print("bytes and CPU per quote, wire to cache, 256 symbols; median of 3 runs")
    print(f"{'quotes a frame':>15} {'none':>20} {'deflate':>20}   ratios")
    for per_frame, rate in LOADS.items():
        runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in CLIENTS}
        for _ in range(ROUNDS):
            for kind in CLIENTS:
                runs[kind].append(measure(__file__, kind, per_frame, rate, SECONDS))
        cost = {kind: statistics.median(run["microseconds"] for run in runs[kind]) for kind in CLIENTS}
        size = {kind: statistics.median(run["bytes"] for run in runs[kind]) for kind in CLIENTS}
        columns = " ".join(f"{size[kind]:6.1f} B {cost[kind]:7.2f} µs" for kind in CLIENTS)
        dropped = sum(run["dropped"] for results in runs.values() for run in results)
        print(
            f"{per_frame:>15} {columns}   {size['deflate'] / size['none']:.2f}x the bytes, "
            f"{cost['deflate'] / cost['none']:.2f}x the CPU, {dropped} dropped",
            flush=True,
        )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", per_frame, rate]:
            serve_at_rate(int(per_frame), int(rate), frames=random_frames(int(per_frame)), compression=True)
        case ["client", compression, url, total]:
            run_client(compression, url, int(total))
        case _:
            main()
