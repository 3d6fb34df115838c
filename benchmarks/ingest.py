"""CPU per quote from the wire to a last-value cache: the real manager against alpaca-py's handlers and bare loops.

Two paces. In bursts, as a busy feed sends: many quotes a frame, or many frames in a few milliseconds. Evenly, one quote
after the other, as a real feed of single quotes does: there to be woken is what costs, so the baseline is the least
that can be woken, a loop on a blocking socket; and "at once" is the manager that may not let frames wait, as a
recorder's streams and those of callbacks. Where Node and Alpaca's SDK for it are found, that stands beside them:
`npm install @alpacahq/alpaca-trade-api` in a folder, whose `node_modules` is then named by NODE_PATH.

Reach: 4, 8 and 15 times less than alpaca-py's parsed handler at 1, 10 and 100 quotes a frame; at 100 a frame at most
1.5 times a bare loop that does nothing else; evenly, at 2,000 and 5,000 a second, at most 0.8 times the blocking
socket's and 1.8 times less than the SDK for Node; nothing dropped at the default queue size.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from _wire import SYMBOLS, measure, measured, say, serve_at_rate, settings_for

from options_helper.model.streams import StreamName

CLIENTS = ("manager", "parsed", "raw", "bare")
EVEN_CLIENTS = ("manager", "at once", "parsed", "bare", "blocking")
NODE_CLIENT = Path(__file__).with_name("_node_client.cjs")
LOADS = {1: 20_000, 10: 60_000, 100: 200_000}  # quotes a frame → events per second
EVEN_RATES = (500, 2_000, 5_000)  # frames of one quote per second
DATA, LONG = 0x82, 126  # of a websocket: a whole binary message; a length of two bytes follows
SECONDS = 6
ROUNDS = 3


def run_client(kind: str, url: str, total: int) -> None:
    """Be one client process; ready, then measured."""
    warm_up = total // 3
    match kind:
        case "manager":
            say(_manager(url, total, warm_up))
        case "at once":
            say(_manager(url, total, warm_up, at_once=True))
        case "parsed" | "raw":
            say(_sdk(url, total, warm_up, raw_data=kind == "raw"))
        case "bare":
            say(_bare(url, total, warm_up))
        case "blocking":
            say(_blocking(url, total, warm_up))
        case "node":
            arguments = (url, str(total), str(warm_up), ",".join(SYMBOLS))
            # In place of this process, so that its lines are the client's.
            os.execvp("node", ["node", str(NODE_CLIENT), *arguments])  # noqa: S606, S607 - no shell is wanted


def _manager(url: str, total: int, warm_up: int, *, at_once: bool = False) -> dict[str, Any]:
    from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager

    manager = LiveStreamManager(settings_for(url), rest_cls=None, carry=(lambda _: True) if at_once else None)
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


def _blocking(url: str, total: int, warm_up: int) -> dict[str, Any]:
    """The least that can be woken: a blocking socket, frames cut by hand, a typed decode, a dict; one thread."""
    import msgspec

    from options_helper.model.events import Event

    decode = msgspec.msgpack.Decoder(list[Event]).decode
    cache: dict[str, Event] = {}
    seen = 0
    wire = _subscribed_socket(url)

    def loop() -> None:
        nonlocal seen
        buffer, answers = b"", 3  # welcome, authenticated, subscribed
        while data := wire.recv(256 * 1024):
            buffer += data
            at = 0
            while (end := _end_of_frame(buffer, at)) is not None:
                payload = buffer[at + (4 if buffer[at + 1] == LONG else 2) : end]
                if answers:
                    answers -= 1
                elif buffer[at] == DATA:
                    events = decode(payload)
                    for event in events:
                        cache[event.symbol] = event
                    seen += len(events)
                at = end
            buffer = buffer[at:]

    threading.Thread(target=loop, daemon=True).start()
    return measured(lambda: seen, total, warm_up)


def _end_of_frame(buffer: bytes, at: int) -> int | None:
    """Where the frame ends that begins there; None while it is not whole. For frames of less than 64 KiB."""
    if len(buffer) < at + 4:
        return None
    length = buffer[at + 1]
    end = at + 4 + int.from_bytes(buffer[at + 2 : at + 4], "big") if length == LONG else at + 2 + length
    return end if end <= len(buffer) else None


def _subscribed_socket(url: str) -> socket.socket:
    import msgspec

    address = urlsplit(url)
    wire = socket.create_connection((address.hostname or "", address.port or 80))
    wire.sendall(
        f"GET /v2/iex HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        "Content-Type: application/msgpack\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += wire.recv(1)
    for message in (
        {"action": "auth", "key": "demo-key", "secret": "demo-secret"},
        {"action": "subscribe", "quotes": SYMBOLS},
    ):
        payload = msgspec.msgpack.encode(message)
        # Masked with zeros, which changes nothing.
        wire.sendall(b"\x82\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload)
    return wire


def main() -> None:
    """Each client in its own process, round by round, so that the machine's moods meet all of them."""
    _run_even()
    _run_bursts()


def _run_even() -> None:
    clients = (*EVEN_CLIENTS, "node") if _has_node() else EVEN_CLIENTS
    print(f"CPU per quote, one quote a frame, evenly; 256 symbols; median of {ROUNDS} runs of {SECONDS} s")
    print(f"{'quotes/s':>10}" + "".join(f"{kind:>13}" for kind in clients) + "   ratios at that rate")
    for rate in EVEN_RATES:
        runs = _in_turn(clients, 1, rate, "evenly")
        cost = _medians(runs)
        columns = "".join(f"{cost[kind]:10.2f} µs" for kind in clients)
        node = f"{cost['node'] / cost['manager']:.1f}x less than the SDK for Node, " if "node" in cost else ""
        dropped = sum(run["dropped"] for kind in ("manager", "at once") for run in runs[kind])
        print(
            f"{rate:>10}{columns}   at {rate}/s {cost['manager'] / cost['blocking']:.2f}x the blocking socket, "
            f"{cost['at once'] / cost['blocking']:.2f}x at once, "
            f"{cost['parsed'] / cost['manager']:.1f}x less than parsed, {node}{dropped} dropped, "
            f"load {os.getloadavg()[0]:.1f}",
            flush=True,
        )


def _has_node() -> bool:
    """Whether Alpaca's SDK for Node can be run here."""
    if shutil.which("node") is None:
        return False
    asked = ["node", "--eval", "require.resolve('@alpacahq/alpaca-trade-api')"]
    return subprocess.run(asked, stderr=subprocess.DEVNULL, check=False).returncode == 0


def _in_turn(
    clients: tuple[str, ...], per_frame: int, rate: int, pace: str
) -> dict[str, list[dict[str, Any]]]:
    runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in clients}
    for _ in range(ROUNDS):
        for kind in clients:
            runs[kind].append(measure(__file__, kind, per_frame, rate, SECONDS, pace=pace))
    return runs


def _medians(runs: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    return {kind: statistics.median(run["microseconds"] for run in results) for kind, results in runs.items()}


def _run_bursts() -> None:
    print(f"CPU per quote, in bursts; 256 symbols; median of {ROUNDS} runs of {SECONDS} s")
    print(f"{'quotes a frame':>15} {'manager':>10} {'parsed':>10} {'raw':>10} {'bare loop':>10}   ratios")
    for per_frame, rate in LOADS.items():
        runs = _in_turn(CLIENTS, per_frame, rate, "bursts")
        cost = _medians(runs)
        dropped = sum(run["dropped"] for run in runs["manager"])
        columns = " ".join(f"{cost[kind]:7.2f} µs" for kind in CLIENTS)
        print(
            f"{per_frame:>15} {columns}   at {rate}/s {cost['parsed'] / cost['manager']:.1f}x less than parsed, "
            f"{cost['raw'] / cost['manager']:.1f}x less than raw, {cost['manager'] / cost['bare']:.2f}x the bare loop, "
            f"{dropped} dropped",
            flush=True,
        )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", per_frame, rate, pace]:
            serve_at_rate(int(per_frame), int(rate), evenly=pace == "evenly")
        case ["client", kind, url, total]:
            run_client(kind, url, int(total))
        case _:
            main()
