"""What a bus costs an owner, its viewers and a recorder, against the same run without one, in the same run.

Reach: carrying costs an owner at most 2 µs an event at 20,000 a second with 10 in a frame; a viewer at most 2.5 times
what a run with connections of its own does with the same frames; half of all frames are folded at most 10 ms later than
there; ten viewers miss nothing; a late joiner has the prices of 1,000 symbols within 100 ms. Nothing here reads a
socket of Alpaca's: frames are made in the process, so that what is compared is what comes after that.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from _wire import SYMBOLS, Child, measured, quote_frames, say

from options_helper.bus.address import BusAddress
from options_helper.bus.owner import BusOwner
from options_helper.bus.recording import BusRecording
from options_helper.bus.term_carrier import Owner
from options_helper.bus.viewer import BusManager
from options_helper.capture.runner import CaptureConfig, CaptureEngine
from options_helper.clock import utc_now_ns
from options_helper.data.streaming.connection.connection_runner import StreamSink
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.data.streaming.messages import Decode, decode_frame
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.model.frames import Frame
from options_helper.model.streams import StreamId, StreamName
from options_helper.settings import Settings

STOCKS: Final = StreamName.STOCKS
SECONDS: Final = 5
TICK_SECONDS: Final = 0.005
LOADS: Final = ((1, 10_000), (10, 20_000), (100, 100_000))
# More than this and rows are put off, which is another measurement.
RECORDED_AT_MOST: Final = 20_000
MANY: Final = tuple(f"M{number:03d}" for number in range(1_000))
JOINS: Final = 5
SERVER: Final = Path(sys.executable).with_name("nats-server")


class Made:
    """A source whose one stream brings frames at a rate, once it is told to begin."""

    def __init__(self, frames: Sequence[bytes], per_frame: int, rate: int) -> None:
        self._frames, self._per_frame, self._rate = frames, per_frame, rate
        self._begin, self._end = threading.Event(), threading.Event()
        self._total = 0
        self.streams: tuple[StreamId, ...] = (STOCKS,)

    def begin(self, total: int) -> None:
        """From now on, so many events."""
        self._total = total
        self._begin.set()

    def check(self, settings: Settings) -> None:
        """It needs nothing."""

    def decoder(self, _: StreamId) -> Decode:
        """As Alpaca's."""
        return decode_frame

    def streamer(self, _: StreamId, __: Settings, ___: LiveStreamConfig, sink: StreamSink) -> Made:
        """Itself: there is one connection."""
        self._sink = sink
        return self

    def subscribe(self, symbols: Sequence[str], **_: object) -> None:
        """All are streamed."""
        self._symbols = tuple(symbols)

    def unsubscribe(self, symbols: Sequence[str], **_: object) -> None:
        """Nothing."""

    def stop(self) -> None:
        """End."""
        self._end.set()
        self._begin.set()

    abandon = stop

    def run(self) -> None:
        """As a socket's thread would."""
        self._sink.connected(None)
        self._sink.subscribed(self._symbols, self._symbols, {})
        self._begin.wait()
        sent, began = 0, time.monotonic()
        while sent < self._total and not self._end.is_set():
            due = min(self._total, int((time.monotonic() - began) * self._rate))
            while sent < due:
                self._sink.frame(self._frames[sent // self._per_frame % len(self._frames)], self._per_frame)
                sent += self._per_frame
            time.sleep(TICK_SECONDS)
        self._end.wait()


class Latencies:
    """How long after its receipt each frame was folded, milliseconds; every so many are noted."""

    def __init__(self) -> None:
        self.noted: list[float] = []
        fold = LiveState.apply

        def timed(state: LiveState, frame: Frame) -> None:
            fold(state, frame)
            if len(self.noted) < 200_000:
                self.noted.append((utc_now_ns() - frame.received_ns) / 1e6)

        LiveState.apply = timed  # type: ignore[method-assign, assignment]

    def quantiles(self) -> dict[str, float]:
        """Without the first third, which is a warm-up."""
        kept = self.noted[len(self.noted) // 3 :] or [0.0, 0.0]
        points = statistics.quantiles(kept, n=100)
        return {"p50": points[49], "p99": points[98]}


def _config(symbols: Sequence[str]) -> LiveStreamConfig:
    return LiveStreamConfig(stocks=tuple(symbols), stream_options=False, stream_fills=False)


def embedded(per_frame: int, rate: int, total: int, url: str = "") -> None:
    """Be a run with a connection of its own; with an address, the owner of a desk."""
    source = Made(quote_frames(per_frame), per_frame, rate)
    latencies = Latencies()
    owner = None
    if url:
        owner = BusOwner(
            BusAddress.parse(url), Owner("here", os.getpid(), utc_now_ns()), (STOCKS,), now_ns=utc_now_ns
        )
        owner.open()
    manager = LiveStreamManager(
        Settings(), source=source, rest_cls=None, carry=None if owner is None else owner.carry
    )
    if owner is not None:
        owner.tell_of(manager.snapshot)
    manager.start(_config(SYMBOLS))
    _await(lambda: manager.snapshot().streams[STOCKS].connections)
    say({"ready": True})
    sys.stdin.readline()
    source.begin(total)
    result = measured(lambda: manager.snapshot().streams[STOCKS].applied, total, total // 3)
    say({**result, **latencies.quantiles(), "dropped": manager.snapshot().streams[STOCKS].dropped})
    sys.stdin.readline()
    manager.stop()
    if owner is not None:
        owner.close()


def viewer(url: str, total: int) -> None:
    """Be one who follows."""
    latencies = Latencies()
    manager = BusManager(Settings(), BusAddress.parse(url))
    manager.start(_config(SYMBOLS))
    # A picture is wanted once what comes is heard: on a busy machine that is some time after the connection.
    _await(lambda: manager._source.legs.holes)  # noqa: SLF001 - no user needs to know
    say({"ready": True})
    result = measured(lambda: manager.snapshot().streams[STOCKS].received, total, total // 3)
    missed = manager.snapshot().streams[STOCKS].missed
    manager.stop()
    say({**result, **latencies.quantiles(), "missed": missed})


def recorder(url: str, total: int, per_frame: int = 0, rate: int = 0) -> None:
    """Be one who records, from the bus; without an address, from a connection of its own."""
    out = Path(tempfile.mkdtemp())
    source = None if url else Made(quote_frames(per_frame), per_frame, rate)
    bus = BusRecording(BusAddress.parse(url)) if url else None
    engine = CaptureEngine(CaptureConfig(_config(SYMBOLS), out), Settings(), source=source, bus=bus)
    engine.start()
    _await(lambda: engine.status().streams[STOCKS].connections)
    time.sleep(0.5)
    say({"ready": True})
    if source is not None:
        sys.stdin.readline()
        source.begin(total)
    result = measured(lambda: engine.status().streams[STOCKS].applied, total, total // 3)
    lost = engine.stop().lost
    shutil.rmtree(out)
    say({**result, "lost": lost})


def joiner(url: str) -> None:
    """Be one who comes late, again and again: until all prices are there."""
    seconds = []
    for _ in range(JOINS):
        manager = BusManager(Settings(), BusAddress.parse(url))
        began = time.monotonic()
        manager.start(_config(MANY))
        while len(manager.snapshot().quotes) < len(MANY):
            time.sleep(0.001)
        seconds.append(time.monotonic() - began)
        manager.stop()
    say({"seconds": seconds})


def desk_of_many(url: str) -> None:
    """Be an owner that has had a quote of each of a thousand symbols."""
    payload = msgspec.msgpack.decode(quote_frames(1)[0])
    frames = [msgspec.msgpack.encode([{**payload[0], "S": symbol}]) for symbol in MANY]
    source = Made(frames, 1, 100_000)
    owner = BusOwner(
        BusAddress.parse(url), Owner("here", os.getpid(), utc_now_ns()), (STOCKS,), now_ns=utc_now_ns
    )
    owner.open()
    manager = LiveStreamManager(Settings(), source=source, rest_cls=None, carry=owner.carry)
    owner.tell_of(manager.snapshot)
    manager.start(_config(MANY))
    source.begin(len(MANY))
    _await(lambda: len(manager.snapshot().quotes) == len(MANY))
    time.sleep(1.5)  # the picture is made twice a second
    say({"ready": True})
    sys.stdin.readline()
    manager.stop()
    owner.close()


def _await(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("a benchmark process waits in vain")
        time.sleep(0.01)


@contextmanager
def nats_server() -> Iterator[tuple[str, Callable[[], float]]]:
    """A server of this run's own: its address, and the CPU seconds it has used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder = tempfile.mkdtemp(prefix="nats-")
    process = subprocess.Popen(
        [str(SERVER), "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", folder],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def spent() -> float:
        fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    try:
        _await(lambda: _listens(port))
        yield f"nats://127.0.0.1:{port}", spent
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def alone(*arguments: object) -> dict[str, Any]:
    """One process without a bus."""
    child = Child(__file__, *arguments)
    child.receive()
    child.send("begin")
    result = child.receive()
    child.send("end")
    child.end()
    return result


def on_a_bus(
    per_frame: int, rate: int, total: int, followers: Sequence[tuple[object, ...]]
) -> dict[str, Any]:
    """An owner and those who follow it, and what each and the server spent."""
    with nats_server() as (url, spent):
        owner = Child(__file__, "owner", per_frame, rate, total, url)
        owner.receive()
        children = [Child(__file__, who, url, *more) for who, *more in followers]
        for child in children:
            child.receive()
        before = spent()
        owner.send("begin")
        results = [child.receive() for child in children]
        of_owner = owner.receive()
        of_server = (spent() - before) / total * 1e6
        owner.send("end")
        for child in (owner, *children):
            child.end()
    return {"owner": of_owner, "server": of_server, "followers": results}


def report(per_frame: int, rate: int) -> None:
    """One load."""
    total = rate * SECONDS // per_frame * per_frame
    base = alone("embedded", per_frame, rate, total)
    found = on_a_bus(per_frame, rate, total, [("viewer", total)])
    owner, (follower,) = found["owner"], found["followers"]
    own = base["microseconds"]
    print(f"{rate:,} events/s, {per_frame} in a frame")
    print(
        f"  owner: {owner['microseconds'] - own:.2f} µs an event for carrying, beside {own:.2f} for folding; "
        f"dropped {owner['dropped']}"
    )
    print(
        f"  viewer: {follower['microseconds']:.2f} µs, {follower['microseconds'] / own:.2f}x of embedded; "
        f"missed {follower['missed']}"
    )
    print(
        f"  receipt to fold: p50 {follower['p50']:.1f} ms, {follower['p50'] - base['p50']:+.1f} ms to embedded; p99 "
        f"{follower['p99']:.1f} ms, {follower['p99'] - base['p99']:+.1f} ms"
    )
    print(f"  server: {found['server']:.2f} µs an event", flush=True)
    if rate <= RECORDED_AT_MOST:
        base_recorder = alone("direct-recorder", "", total, per_frame, rate)
        (recording,) = on_a_bus(per_frame, rate, total, [("recorder", total)])["followers"]
        print(
            f"  recorder: {recording['microseconds']:.2f} µs, "
            f"{recording['microseconds'] / base_recorder['microseconds']:.2f}x of a direct one; lost "
            f"{recording['lost']}",
            flush=True,
        )


def report_ten(rate: int = 20_000) -> None:
    """Ten viewers at once."""
    per_frame = 10
    total = rate * SECONDS
    found = on_a_bus(per_frame, rate, total, [("viewer", total)] * 10)
    missed = [one["missed"] for one in found["followers"]]
    p50 = statistics.median(one["p50"] for one in found["followers"])
    print(
        f"10 viewers at {rate:,} events/s: missed {sum(missed)}, dropped by the owner {found['owner']['dropped']}; "
        f"receipt to fold p50 {p50:.1f} ms; server {found['server']:.2f} µs an event",
        flush=True,
    )


def report_joining() -> None:
    """A late joiner."""
    with nats_server() as (url, _):
        owner = Child(__file__, "many", url)
        owner.receive()
        late = Child(__file__, "joiner", url)
        seconds = late.receive()["seconds"]
        late.end()
        owner.send("end")
        owner.end()
    print(
        f"prices of {len(MANY):,} symbols for who comes late: median {statistics.median(seconds) * 1e3:.0f} ms, "
        f"slowest of {JOINS} {max(seconds) * 1e3:.0f} ms"
    )


def main() -> None:
    """All loads, ten viewers, and who comes late."""
    if not SERVER.exists():
        raise SystemExit("there is no nats-server beside this Python: sh scripts/setup brings one")
    for per_frame, rate in LOADS:
        report(per_frame, rate)
    report_ten()
    report_joining()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["embedded", per_frame, rate, total]:
            embedded(int(per_frame), int(rate), int(total))
        case ["owner", per_frame, rate, total, url]:
            embedded(int(per_frame), int(rate), int(total), url)
        case ["viewer", url, total]:
            viewer(url, int(total))
        case ["recorder", url, total]:
            recorder(url, int(total))
        case ["direct-recorder", url, total, per_frame, rate]:
            recorder(url, int(total), int(per_frame), int(rate))
        case ["many", url]:
            desk_of_many(url)
        case ["joiner", url]:
            joiner(url)
        case _:
            main()
