"""An owner with scripted streams on a test's own bus, and a relay whose connections can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, Protocol, Self

from options_helper.bus.address import BusAddress
from options_helper.bus.connection import BusConnection
from options_helper.bus.owner import AnnouncedSource, BusOwner
from options_helper.bus.term_carrier import Owner
from options_helper.clock import utc_now_ns
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamId, StreamName
from tests.kit.fakes import (
    CONFIG,
    NOON,
    SETTINGS,
    ScriptedSource,
    ScriptedStream,
    ScriptedStreams,
    Step,
    acknowledge,
    frame,
    quote_message,
)
from tests.kit.waiting import FOREVER

KEEP: Final = 64 * 1024 * 1024


def quotes(first: int, count: int) -> list[bytes]:
    """Frames of two quotes each."""
    return [
        frame(quote_message("AAPL", bid=100 + number), quote_message("MSFT", bid=200 + number))
        for number in range(first, first + count)
    ]


class Bus(Protocol):
    """Something that has an address of a bus, such as a `NatsServer`."""

    @property
    def address(self) -> BusAddress: ...


class Serving:
    """A run whose frames go to the bus."""

    def __init__(
        self,
        server: Bus,
        *stocks: Step,
        fills: tuple[Step, ...] = (),
        queue: int = 100_000,
        epoch: int = NOON,
        accounts: Sequence[str] = (DEFAULT_ACCOUNT,),
        host: str = "here",
        now_ns: Callable[[], int] = utc_now_ns,
    ) -> None:
        self._queue = queue
        scripted: dict[StreamId, ScriptedStreams] = {
            StreamName.STOCKS: ScriptedStreams([acknowledge(), *stocks]),
            StreamName.OPTIONS: ScriptedStreams(),
            StreamName.FILLS: ScriptedStreams([acknowledge(), *fills]),
        }
        self._stocks = scripted[StreamName.STOCKS]
        self._server = server
        self.source = AnnouncedSource(ScriptedSource(scripted))
        self.owner = BusOwner(
            server.address,
            Owner(host, 1, epoch),
            self.source.streams,
            now_ns=now_ns,
            announced=lambda: self.source.announced,
            keep_bytes=KEEP,
            limits={StreamName.STOCKS: 3},
            accounts=accounts,
        )
        self.manager = LiveStreamManager(
            SETTINGS, source=self.source, rest_cls=None, carry=self.owner.carry, now_ns=now_ns
        )

    def start(self) -> None:
        """Begin its streams: until then its words name no feed."""
        self.manager.start(replace(CONFIG, stocks=("AAPL", "MSFT"), queue_maxsize=self._queue))

    def source_stream(self) -> ScriptedStream:
        """The stream of stocks as it is now."""
        return self._stocks.made[-1]

    def say(self, subject: str, data: bytes) -> None:
        """Send something to a subject, as nobody should."""

        async def send() -> None:
            connection = BusConnection(self._server.address)
            await connection.open("a test")
            await connection.send(subject, data)
            await connection.settle()
            await connection.close()

        asyncio.run(send())

    def events(self) -> int:
        """Applied so far."""
        return self.manager.snapshot().streams[StreamName.STOCKS].applied


@contextmanager
def serving(
    server: Bus, *stocks: Step, epoch: int = NOON, queue: int = 100_000, **more: Any
) -> Iterator[Serving]:
    """An owner that runs; it ends in order."""
    with beginning(server, *stocks, epoch=epoch, queue=queue, **more) as made:
        made.start()
        yield made


@contextmanager
def beginning(server: Bus, *stocks: Step, **more: Any) -> Iterator[Serving]:
    """An owner that has the desk and speaks, and whose streams `start` begins; it ends in order."""
    made = Serving(server, *stocks, **more)
    made.owner.open()
    made.owner.tell_of(made.manager.snapshot)
    try:
        yield made
    finally:
        made.manager.stop()
        made.owner.close()


class Relay:
    """Passes bytes on to a port, until its connections are cut; for use in a `with`.

    With `bytes_per_second` what the server says comes no faster, as over a thin line.
    """

    def __init__(self, port: int, bytes_per_second: int | None = None) -> None:
        self._target = port
        self._bytes_per_second = bytes_per_second
        self._ending = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []  # guarded by the lock
        self._open = True
        self._answers = threading.Event()
        self._answers.set()
        self.accepted = 0  # connections so far
        self._threads: list[threading.Thread] = []

    @property
    def address(self) -> BusAddress:
        """The bus behind it."""
        return BusAddress.parse(f"nats://127.0.0.1:{self.port}")

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name="relay", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if not self._open:
                    client.close()
                    continue
                self.accepted += 1
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += (client, server)
            self._begin(self._pass, client, server, None)
            self._begin(self._pass, server, client, self._answers)

    def _pass(self, source: socket.socket, target: socket.socket, gate: threading.Event | None) -> None:
        most = 65_536 if self._bytes_per_second is None else max(1, self._bytes_per_second // 20)
        with contextlib.suppress(OSError):
            while data := source.recv(most):
                if gate is not None:
                    gate.wait(FOREVER)
                    if self._bytes_per_second is not None:
                        self._ending.wait(len(data) / self._bytes_per_second)
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        source.close()

    def mute(self) -> None:
        """Hold back whatever the server says until `unmute`; what is said to it arrives."""
        self._answers.clear()

    def unmute(self) -> None:
        """Let the server be heard again."""
        self._answers.set()

    def cut(self, *, stays_away: bool = False) -> None:
        """End all connections; with `stays_away`, let none begin until `heal`."""
        with self._lock:
            self._open = not stays_away
            sockets, self._sockets = self._sockets, []
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def heal(self) -> None:
        """Let connections begin again."""
        with self._lock:
            self._open = True

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.unmute()
        self.cut(stays_away=True)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(20)
