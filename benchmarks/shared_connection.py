"""A page and a recorder in one process on one connection, against each of them alone, in the same run.

Reach: a refresh with a recorder beside it takes at most 1.5 times one without at 2,000 events a second, and at most
twice at 20,000 (median, both want the same); the recorder loses nothing whatever the page does; and both on one
connection cost at most 0.9 times what they cost with a connection each, and at most as much where each wants half of
what comes, so that each frame is parted.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from _wire import SYMBOLS, Child, measured, quote_frames, say, serve_at_rate, settings_for
from tables import singles, snapshot_of

from options_helper.analysis.live_portfolio_metrics import compute_live_position_rows
from options_helper.capture.runner import CaptureConfig, CaptureEngine
from options_helper.data.streaming.engine.shared_source import SharedConnections
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.engine.stream_source import AlpacaSource
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.model.streams import StreamName

STOCKS: Final = StreamName.STOCKS
SECONDS: Final = 6
ROUNDS: Final = 3
PER_FRAME: Final = 20
REFRESH_EVERY: Final = 0.2
POSITIONS: Final = 100
# What each of the two wants: all of it, or its half.
WISHES: Final = {"same": (SYMBOLS, SYMBOLS), "halves": (SYMBOLS[::2], SYMBOLS[1::2])}


def _config(symbols: tuple[str, ...]) -> LiveStreamConfig:
    return LiveStreamConfig(stocks=symbols, stream_options=False, stream_fills=False)


class Refreshes:
    """Does what a page does five times a second, and notes how long each took."""

    def __init__(self, manager: LiveStreamManager) -> None:
        self._manager = manager
        self._book = singles(POSITIONS)
        self._film = snapshot_of(self._book)
        self._ended = threading.Event()
        self.seconds: list[float] = []
        self._thread = threading.Thread(target=self._work, name="page", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._ended.wait(REFRESH_EVERY):
            began = time.perf_counter()
            self._manager.snapshot()
            compute_live_position_rows(self._book, self._film, stale_after_seconds=30.0)
            self.seconds.append(time.perf_counter() - began)

    def end(self) -> list[float]:
        """What was noted, without the warm-up."""
        self._ended.set()
        self._thread.join()
        return self.seconds[len(self.seconds) // 3 :]


@contextmanager
def _page(url: str, connections: SharedConnections, symbols: tuple[str, ...]) -> Iterator[LiveStreamManager]:
    manager = LiveStreamManager(settings_for(url), source=connections.of("the page"), rest_cls=None)
    manager.start(_config(symbols))
    try:
        yield manager
    finally:
        manager.stop()


@contextmanager
def _recorder(url: str, connections: SharedConnections, symbols: tuple[str, ...]) -> Iterator[CaptureEngine]:
    out = Path(tempfile.mkdtemp())
    engine = CaptureEngine(
        CaptureConfig(_config(symbols), out), settings_for(url), source=connections.of("the recording")
    )
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()
        shutil.rmtree(out)


def run(who: str, wishes: str, url: str, total: int) -> None:
    """Be the client's process: the page, the recorder or both, and be measured."""
    connections = SharedConnections(AlpacaSource())
    of_page, of_recorder = WISHES[wishes]
    result: dict[str, Any] = {}
    with ExitStack() as stack:
        page = stack.enter_context(_page(url, connections, of_page)) if who != "recorder" else None
        engine = stack.enter_context(_recorder(url, connections, of_recorder)) if who != "page" else None

        def received() -> int:
            counts = [] if page is None else [page.snapshot().streams[STOCKS].received]
            counts += [] if engine is None else [engine.status().streams[STOCKS].received]
            return min(counts)

        expected = total if wishes == "same" else total // 2
        while not _is_ready(page, engine):
            time.sleep(0.05)
        say({"ready": True})
        refreshes = None if page is None else Refreshes(page)
        result |= measured(received, expected, expected // 3)
        result["refreshes"] = [] if refreshes is None else refreshes.end()
        if engine is not None:
            final = engine.stop()
            result |= {"lost": final.lost, "written": final.store.total.written}
    say(result)


def _is_ready(page: LiveStreamManager | None, engine: CaptureEngine | None) -> bool:
    healths = [] if page is None else [page.snapshot().streams[STOCKS]]
    healths += [] if engine is None else [engine.status().streams[STOCKS]]
    return all(set(health.acknowledged) == set(health.requested) and health.connections for health in healths)


def serve(who: str, wishes: str, rate: int) -> None:
    """Be the server of one who is alone, who is sent what it wants, or of both."""
    frames = quote_frames(PER_FRAME)
    if wishes == "same" or who == "both":
        serve_at_rate(PER_FRAME, rate, frames=frames)
        return
    wanted = set(WISHES[wishes][who == "recorder"])
    halves = [
        msgspec.msgpack.encode([quote for quote in msgspec.msgpack.decode(one) if quote["S"] in wanted])
        for one in frames
    ]
    serve_at_rate(PER_FRAME // 2, rate // 2, frames=halves)


def measure(who: str, wishes: str, rate: int) -> dict[str, Any]:
    """One of them against a fresh server."""
    total = rate * SECONDS // 1_000 * 1_000
    server = Child(__file__, "serve", who, wishes, rate)
    client = Child(__file__, "client", who, wishes, server.receive()["url"], total)
    client.receive()
    server.send(total if wishes == "same" or who == "both" else total // 2)
    result = client.receive()
    server.end()
    client.end()
    return result


def report(rate: int, wishes: str) -> None:
    """One rate and one kind of wishes; round by round, so that the machine's moods meet all of them."""
    runs: dict[str, list[dict[str, Any]]] = {"page": [], "recorder": [], "both": []}
    for _ in range(ROUNDS):
        for who, results in runs.items():
            results.append(measure(who, wishes, rate))
    alone, beside = ([second for one in runs[who] for second in one["refreshes"]] for who in ("page", "both"))
    median = statistics.median(beside) / statistics.median(alone)
    slowest = statistics.quantiles(beside, n=20)[-1] / statistics.quantiles(alone, n=20)[-1]
    cost = {who: statistics.median(one["microseconds"] for one in results) for who, results in runs.items()}
    lost = [one["lost"] for who in ("recorder", "both") for one in runs[who]]
    print(f"{rate:,} events/s, {wishes}")
    print(
        f"  a refresh with a recorder beside it: {median:.2f}x one without (median "
        f"{statistics.median(alone) * 1e3:.1f} ms), its 95th percentile {slowest:.2f}x"
    )
    print(f"  lost by recorders alone and beside a page: {lost}")
    print(
        f"  CPU an event: page {cost['page']:.1f} µs, recorder {cost['recorder']:.1f} µs, both on one connection "
        f"{cost['both']:.1f} µs, {cost['both'] / (cost['page'] + cost['recorder']):.2f}x of the two",
        flush=True,
    )


def main() -> None:
    """A usual rate and a busy one."""
    for rate in (2_000, 20_000):
        for wishes in WISHES:
            report(rate, wishes)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", who, wishes, rate]:
            serve(who, wishes, int(rate))
        case ["client", who, wishes, url, total]:
            run(who, wishes, url, int(total))
        case _:
            main()
