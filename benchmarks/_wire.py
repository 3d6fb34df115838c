"""What the benchmarks on a socket share: a server process that sends at a set rate, and one process a client."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from pydantic import SecretStr

from options_helper.model.instants import timestamp_extension
from options_helper.model.streams import StreamName
from options_helper.settings import DEMO_KEY, DEMO_SECRET, Settings
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer

SYMBOLS = tuple(f"S{number:03d}" for number in range(256))
NOON = 1_774_022_400_000_000_000  # Friday 2026-03-20 12:00 in New York
TICK_SECONDS = 0.005


def quote_frames(per_frame: int, count: int = 256) -> list[bytes]:
    """Frames of stock quotes as Alpaca sends them, over all symbols in turn."""
    return [
        msgspec.msgpack.encode([_quote(number * per_frame + item) for item in range(per_frame)])
        for number in range(count)
    ]


def _quote(number: int) -> dict[str, Any]:
    bid = 100 + number % 97 / 100
    return {
        "T": "q", "S": SYMBOLS[number % len(SYMBOLS)], "bx": "V", "bp": bid, "bs": 2, "ax": "Q", "ap": bid + 0.02,
        "as": 3, "c": ["R"], "z": "C", "t": timestamp_extension(NOON + number),
    }  # fmt: skip


def settings_for(url: str) -> Settings:
    """The made-up keys of the simulator at this address."""
    return Settings(
        api_key=SecretStr(DEMO_KEY),
        api_secret=SecretStr(DEMO_SECRET),
        base_url=url.replace("ws://", "http://"),
        stream_url=url,
        data_url=url.replace("ws://", "http://"),
    )


def serve_at_rate(
    per_frame: int,
    events_per_second: int,
    *,
    frames: Sequence[bytes] = (),
    compression: bool = False,
    evenly: bool = False,
) -> None:
    """Be the server process: print the address, wait for a subscriber, send until the input says stop.

    In bursts of some milliseconds, or `evenly`, frame by frame.
    """
    tick_seconds = per_frame / events_per_second if evenly else TICK_SECONDS
    with SimulatorServer(SilentMarket(), compression=compression) as server:
        say({"url": server.stream_url})
        while not server.subscribed(StreamName.STOCKS):
            time.sleep(0.01)
        total = int(sys.stdin.readline())
        frames = frames or quote_frames(per_frame)
        sent = 0
        began = time.monotonic()
        while sent < total:
            due = min(
                total, int((time.monotonic() - began) * events_per_second) if events_per_second else total
            )
            while sent < due:
                server.push_frame(StreamName.STOCKS, frames[sent // per_frame % len(frames)])
                sent += per_frame
            server.flush()
            time.sleep(tick_seconds if events_per_second else 0)
        say({"sent": server.sent[StreamName.STOCKS]})
        sys.stdin.readline()


def say(facts: dict[str, Any]) -> None:
    """One line of JSON for the process that started this one."""
    print(json.dumps(facts), flush=True)


class Child:
    """A process of this benchmark that speaks JSON lines."""

    def __init__(self, script: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def receive(self) -> dict[str, Any]:
        """Its next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a benchmark process ended early")
        return dict(json.loads(line))

    def send(self, word: object) -> None:
        """A line for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Let it go, and make sure that it went."""
        self._process.stdin.close() if self._process.stdin else None
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def measure(
    script: str, client: str, per_frame: int, rate: int, seconds: int, *, pace: str | None = None
) -> dict[str, Any]:
    """One client of this benchmark against a fresh server that sends so many quotes a second."""
    total = rate * seconds // per_frame * per_frame
    server = Child(script, "serve", per_frame, rate, *([] if pace is None else [pace]))
    process = Child(script, "client", client, server.receive()["url"], total)
    server.send(total)
    result = process.receive()
    server.end()
    process.end()
    return result


def measured(received: Callable[[], int], total: int, warm_up: int) -> dict[str, float]:
    """CPU per event of this process and of each of its threads, from the first `warm_up` events on to the last one."""
    _await(lambda: received() >= warm_up)
    first, cpu, threads = received(), time.process_time(), _thread_seconds()
    _await(lambda: received() >= total)
    spent, events = time.process_time() - cpu, received() - first
    return {
        "microseconds": spent / events * 1e6,
        **{
            f"thread {name}": (seconds - threads.get(name, 0.0)) / events * 1e6
            for name, seconds in _thread_seconds().items()
        },
    }


def _thread_seconds() -> dict[str, float]:
    """CPU of each thread so far, where the system tells."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return {}
    return {
        # Of another thread than this one no other call tells it.
        thread.name: time.clock_gettime(time.pthread_getcpuclockid(thread.ident))  # noqa: TID251
        for thread in threading.enumerate()
        if thread.ident is not None
    }


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the events did not arrive")
        time.sleep(0.25)
