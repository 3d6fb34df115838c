"""From the socket to a callback: how late and at what cost, beside the handlers of alpaca-py and of a streamer alone.

The simulator, in a process of its own, writes into each quote when it sent it; each client is a process too. "read" is
what passes from the socket's read to the callback, where the client says when that was.

The baseline is a streamer alone with a handler, the shortest path there is: it runs on the stream's thread and holds it
up, it neither reconnects nor keeps a state. Beside it a streamer's handler in a manager, which was the only way to have
both a callback and a connection that is made again, and alpaca-py's own handlers. What other programs do at the same
time makes everything late and, by emptying the processor's caches, dearer, most of all what is spread over several
threads: so each round says how busy the computer was.

Reach: p99 of "read" at most 3 ms at 10,000 quotes/s, on a computer with nothing else to do; processor time for a quote
at most 1.3 times the baseline.
"""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from _wire import SYMBOLS, Child, measured, say, settings_for

from options_helper.clock import utc_now_ns
from options_helper.model.events import Quote
from options_helper.model.instants import timestamp_extension
from options_helper.model.streams import StreamName
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer

CLIENTS = (
    "alpaca-py",
    "streamer",
    "handler in manager",
    "manager",
    "manager, awaited",
    "manager, 256",
    "no callback",
)
BASELINE, SDK, SHOWN_BY_THREAD = "streamer", "alpaca-py", "manager"
EVENTS_PER_SECOND = 10_000
FRAMES = (1, 10, 100)  # quotes a frame
SECONDS = 5
ROUNDS = 3
TICK_SECONDS = 0.001


class Lateness:
    """How late quotes were when the callback began, in nanoseconds."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.read: list[int] = []

    def note(self, quote: Quote) -> None:
        """A callback."""
        now_ns = utc_now_ns()
        self.sent.append(now_ns - (quote.timestamp_ns or 0))
        self.read.append(now_ns - quote.received_ns)

    async def note_awaited(self, quote: Quote) -> None:
        """A callback that is awaited."""
        self.note(quote)

    async def note_parsed(self, quote: Any) -> None:
        """A handler of alpaca-py's, which does not say when it read."""
        self.sent.append(utc_now_ns() - int(quote.timestamp.timestamp() * 1e6) * 1_000)

    def facts(self, cost: dict[str, float]) -> dict[str, float]:
        """The figures of one client."""
        half = len(self.sent) // 2
        return {
            **cost,
            **{f"sent p{at}": _percentile(self.sent[half:], at) for at in (50, 99)},
            **{f"read p{at}": _percentile(self.read[half:], at) for at in (50, 99)},
        }


def _percentile(nanoseconds: list[int], at: int) -> float:
    """In milliseconds; nan where nobody noted any."""
    if not nanoseconds:
        return float("nan")
    return sorted(nanoseconds)[int(len(nanoseconds) * at / 100)] / 1e6


def serve(per_frame: int) -> None:
    """Be the server: print the address, wait for a subscriber and a number of quotes, send them at a steady pace."""
    with SimulatorServer(SilentMarket()) as server:
        say({"url": server.stream_url})
        while len(server.subscribed(StreamName.STOCKS)) < len(SYMBOLS):
            time.sleep(0.01)
        total = int(sys.stdin.readline())
        sent, began = 0, time.monotonic()
        while sent < total:
            due = min(total, int((time.monotonic() - began) * EVENTS_PER_SECOND))
            while sent + per_frame <= due or sent < due == total:
                server.push_frame(StreamName.STOCKS, _frame(sent, per_frame))
                sent += per_frame
            server.flush()
            time.sleep(TICK_SECONDS)
        say({"sent": sent})
        sys.stdin.readline()


def _frame(first: int, count: int) -> bytes:
    now = timestamp_extension(utc_now_ns())
    return msgspec.msgpack.encode(
        [
            {
                "T": "q", "S": SYMBOLS[number % len(SYMBOLS)], "bx": "V", "bp": 100.5, "bs": 2, "ax": "Q", "ap": 100.52,
                "as": 3, "c": ["R"], "z": "C", "t": now,
            }
            for number in range(first, first + count)
        ]
    )  # fmt: skip


def run_client(kind: str, url: str, total: int) -> None:
    """Be one client."""
    lateness = Lateness()
    if kind == "alpaca-py":
        end = _sdk(url, lateness)
    elif kind == "streamer":
        end = _streamer(url, lateness)
    else:
        end, received = _manager(kind, url, lateness)
        if kind == "no callback":
            say(lateness.facts(measured(received, total, total // 3)))
            end()
            return
    say(lateness.facts(measured(lambda: len(lateness.sent), total, total // 3)))
    end()


def _manager(kind: str, url: str, lateness: Lateness) -> tuple[Callable[[], None], Callable[[], int]]:
    from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager

    manager = LiveStreamManager(settings_for(url), rest_cls=None)
    if kind == "handler in manager":
        from options_helper.data.streaming.alpaca_stream import AlpacaStockStreamer

        streamer = partial(AlpacaStockStreamer, on_quotes=lateness.note)
        manager = LiveStreamManager(settings_for(url), rest_cls=None, stock_stream_cls=streamer)
    elif kind == "manager":
        manager.on_quote(None, lateness.note)
    elif kind == "manager, awaited":
        manager.on_quote(None, lateness.note_awaited)
    elif kind == "manager, 256":
        for symbol in SYMBOLS:
            manager.on_quote(symbol, lateness.note)
    config = LiveStreamConfig(
        stocks=SYMBOLS, stock_channels=("quotes",), stream_options=False, stream_fills=False
    )
    manager.start(config)
    return manager.stop, lambda: manager.snapshot().streams[StreamName.STOCKS].applied


def _streamer(url: str, lateness: Lateness) -> Callable[[], None]:
    from options_helper.data.streaming.alpaca_stream import AlpacaStockStreamer

    streamer = AlpacaStockStreamer(settings_for(url), feed="iex", on_quotes=lateness.note)
    streamer.subscribe(SYMBOLS, channels=("quotes",))
    threading.Thread(target=streamer.run, daemon=True).start()
    return streamer.stop


def _sdk(url: str, lateness: Lateness) -> Callable[[], None]:
    warnings.simplefilter("ignore", DeprecationWarning)
    from alpaca.data.live import StockDataStream

    stream = StockDataStream("demo-key", "demo-secret", url_override=f"{url}/v2/iex")
    stream.subscribe_quotes(lateness.note_parsed, *SYMBOLS)
    threading.Thread(target=stream.run, daemon=True).start()
    return lambda: None


def run_all() -> None:
    """Each client in turn, several times over; medians."""
    print(
        f"{EVENTS_PER_SECOND:,} quotes/s, {SECONDS} s, medians of {ROUNDS} rounds; processor time; late in ms"
    )
    for per_frame in FRAMES:
        found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in CLIENTS}
        loads = [os.getloadavg()[0]]
        for _ in range(ROUNDS):
            for kind in CLIENTS:
                found[kind].append(_one(kind, per_frame))
            loads.append(os.getloadavg()[0])
        _print_table(per_frame, found, loads)


def _one(kind: str, per_frame: int) -> dict[str, Any]:
    total = EVENTS_PER_SECOND * SECONDS // per_frame * per_frame
    server = Child(__file__, "serve", per_frame)
    client = Child(__file__, "client", kind, server.receive()["url"], total)
    server.send(total)
    result = client.receive()
    server.receive()
    client.end()
    server.end()
    return result


def _print_table(per_frame: int, found: dict[str, list[dict[str, Any]]], loads: list[float]) -> None:
    busy = f"load {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} processors"
    if max(loads) > (os.cpu_count() or 1):
        busy += ": busy, so that the times of being late are of this moment and not of the product"
    print(f"\n{per_frame:3} quotes a frame; {busy}")
    print(f"{'':20}    µs/quote  × {BASELINE}  × {SDK}  sent p50  sent p99  read p50  read p99")
    cost = {kind: statistics.median(one["microseconds"] for one in rounds) for kind, rounds in found.items()}
    for kind, rounds in found.items():
        late = [
            statistics.median(one[name] for one in rounds)
            for name in ("sent p50", "sent p99", "read p50", "read p99")
        ]
        figures = "".join(f"{value:10.2f}" for value in late)
        ratios = f"{cost[kind] / cost[BASELINE]:12.2f}{cost[kind] / cost[SDK]:13.2f}"
        print(f"{kind:20}{cost[kind]:12.2f}{ratios}{figures}")
    shown = found[SHOWN_BY_THREAD]
    threads = [name for name in shown[0] if name.startswith("thread ")]
    spent = {
        name.removeprefix("thread "): statistics.median(one.get(name, 0.0) for one in shown)
        for name in threads
    }
    parts = ", ".join(f"{name} {value:.2f}" for name, value in spent.items() if value >= 0.05)
    print(f"of {SHOWN_BY_THREAD!r}, by thread: {parts}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", per_frame]:
            serve(int(per_frame))
        case ["client", kind, url, total]:
            run_client(kind, url, int(total))
        case _:
            run_all()
