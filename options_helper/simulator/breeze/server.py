"""The fake Breeze on two loopback ports: HTTP for session and instruments, a websocket for the ticks.

HTTP is the standard library's, since Breeze wants bodies in its GETs and the websocket library cannot answer those.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Any, Final, Self

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from options_helper.clock import utc_now_ns
from options_helper.model.announcement import ANNOUNCEMENT_HEADER, Announcement, MarketKind
from options_helper.simulator.breeze import wire
from options_helper.simulator.breeze.listings import LISTINGS, Listing, master_zip
from options_helper.simulator.listening import stop_listening

KEY: Final = "demo-breeze-key"
SECRET: Final = "demo-breeze-secret"  # noqa: S105 - a made-up secret for a made-up market
SESSION: Final = "12345678"
# How often each instrument ticks where the market runs by itself.
BREEZE_PACE_SECONDS: Final = 1.0
_USER: Final = "DEMOUSER"
_ACCESS: Final = "ZGVtbw"
_READY_SECONDS: Final = 30.0

# At DEBUG the library logs every message, and a client's first one holds a key; below that, each coming and going.
_wire_log = logging.getLogger("options_helper.simulated_breeze")
_wire_log.setLevel(logging.WARNING)


@dataclass(slots=True)
class BreezeFaults:
    """How it misbehaves; may be changed while it runs."""

    session_over: bool = False  # the session of the day is not accepted any more, by HTTP and by the stream
    key_void: bool = False  # the stream alone refuses what HTTP gave out before
    pings: bool = True
    master_broken: bool = False
    status: int = 200  # of every answer to a question
    garbage_every: int = 0  # after so many ticks something that is none


class BreezeServer:
    """Serves while its context lasts; every method may be called from any thread.

    Only what is pushed is streamed, unless `pace_seconds` lets the seeded market tick by itself. As with the real one,
    a token that nobody knows is joined without a word and never ticks.
    """

    def __init__(
        self,
        listings: Iterable[Listing] = LISTINGS,
        *,
        faults: BreezeFaults | None = None,
        seed: int = 7,
        pace_seconds: float | None = None,
        ping_interval: float = 25.0,
        ping_timeout: float = 20.0,
        now_ns: Callable[[], int] = utc_now_ns,
    ) -> None:
        self._listings = {listing.number: listing for listing in listings}
        self.faults = faults or BreezeFaults()
        self._seed = seed
        self._pace_seconds = pace_seconds
        self._pings = ping_interval, ping_timeout
        self._now_ns = now_ns
        # Guarded by the GIL: a count is one step, and tests read it a moment late.
        self.counts: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._serve, name="simulator-breeze", daemon=True)
        self._ready: Future[int] = Future()
        self._stopping = asyncio.Event()
        # Touched on the loop's thread alone.
        self._joined: dict[ServerConnection, set[str]] = {}
        self._books: dict[str, Iterator[tuple[list[wire.Level], list[wire.Level]]]] = {}

    def __enter__(self) -> Self:
        self._http = HTTPServer(("127.0.0.1", 0), self._handler())
        try:
            self._thread.start()
            self._port = self._ready.result(_READY_SECONDS)
        except BaseException:
            self._http.server_close()
            raise
        self._http_thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="simulator-breeze-http", daemon=True
        )
        self._http_thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._http_thread.join()

    @property
    def variables(self) -> Mapping[str, str]:
        """What a user of this server has in the environment."""
        http = f"http://127.0.0.1:{self._http.server_port}"
        return {
            "BREEZE_ENABLED": "yes",
            "BREEZE_API_KEY": KEY,
            "BREEZE_API_SECRET": SECRET,
            "BREEZE_SESSION": SESSION,
            "BREEZE_REST_URL": f"{http}/breezeapi/api/v1",
            "BREEZE_STREAM_URL": f"ws://127.0.0.1:{self._port}",
            "BREEZE_MASTER_URL": f"{http}/SecurityMaster.zip",
        }

    @property
    def joined(self) -> frozenset[str]:
        """All tokens that some connection has joined."""

        async def read() -> frozenset[str]:
            return frozenset(token for tokens in self._joined.values() for token in tokens)

        return asyncio.run_coroutine_threadsafe(read(), self._loop).result(_READY_SECONDS)

    def push(self, token: str, message: str) -> int:
        """Send this to whoever has joined the token; to how many."""

        async def send() -> int:
            return await self._send(token, message)

        return asyncio.run_coroutine_threadsafe(send(), self._loop).result(_READY_SECONDS)

    def disconnect(self, how: str = "close") -> None:
        """End every connection: `close` as a websocket does, `packet` as Socket.IO does, `abort` as a cut cable."""

        async def end() -> None:
            for connection in tuple(self._joined):
                await _end(connection, how)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(_READY_SECONDS)

    def _serve(self) -> None:
        try:
            asyncio.run(self._hold())
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _hold(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with serve(
            self._converse,
            "127.0.0.1",
            0,
            process_request=self._let_in,
            process_response=self._announce,
            compression=None,
            ping_interval=None,
            logger=_wire_log,
        ) as server:
            self._ready.set_result(next(iter(server.sockets)).getsockname()[1])
            market = asyncio.create_task(self._tick_for_ever())
            await self._stopping.wait()
            market.cancel()
            await stop_listening(server)

    def _let_in(self, connection: ServerConnection, request: Request) -> Response | None:
        path, _, query = request.path.partition("?")
        if path != "/socket.io/":
            return connection.respond(HTTPStatus.NOT_FOUND, "no such stream\n")
        if not {"EIO=4", "transport=websocket"} <= set(query.split("&")):
            return connection.respond(
                HTTPStatus.BAD_REQUEST, "this fake speaks Engine.IO 4 over websockets\n"
            )
        return None

    def _announce(self, _: ServerConnection, __: Request, response: Response) -> None:
        """Say in the handshake that these prices are made up, and what time it is in their market."""
        said = Announcement(MarketKind.SIMULATED, self._now_ns(), speed=1.0, until_ns=None)
        response.headers[ANNOUNCEMENT_HEADER] = said.header()

    async def _converse(self, connection: ServerConnection) -> None:
        self.counts["connections"] += 1
        sid = f"sid-{self.counts['connections']}"
        with suppress(ConnectionClosed):
            await connection.send(wire.opened(sid, *self._pings))
            pings = asyncio.create_task(self._ping(connection))
            try:
                async for message in connection:
                    await self._answer(connection, sid, str(message))
            finally:
                pings.cancel()
                self._joined.pop(connection, None)

    async def _ping(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(self._pings[0])
                if self.faults.pings:
                    await connection.send(wire.PING)

    async def _answer(self, connection: ServerConnection, sid: str, message: str) -> None:
        match wire.read_request(message):
            case wire.Enters(user, token):
                if self.faults.session_over or self.faults.key_void or (user, token) != (_USER, _ACCESS):
                    self.counts["refused"] += 1
                    await connection.send(wire.refused("Authentication failed"))
                else:
                    self._joined[connection] = set()
                    await connection.send(wire.welcomed(sid))
            case wire.Asks("join", tokens) if connection in self._joined:
                self.counts["joins"] += 1
                self._joined[connection].update(tokens)
            case wire.Asks("leave", tokens) if connection in self._joined:
                self.counts["leaves"] += 1
                self._joined[connection].difference_update(tokens)
            case _ if message == wire.DISCONNECT:
                await connection.close()
            case _ if message == "3":
                self.counts["pongs"] += 1

    async def _send(self, token: str, message: str) -> int:
        sent = 0
        for connection, tokens in tuple(self._joined.items()):
            if token in tokens:
                with suppress(ConnectionClosed):
                    await connection.send(message)
                    sent += 1
                self.counts["ticks"] += 1
                every = self.faults.garbage_every
                if every and not self.counts["ticks"] % every:
                    with suppress(ConnectionClosed):
                        await connection.send('42["stock",["4.2!2885",nonsense')
        return sent

    async def _tick_for_ever(self) -> None:
        while self._pace_seconds is not None:
            await asyncio.sleep(self._pace_seconds)
            for number, listing in self._listings.items():
                await self._tick(number, listing)

    async def _tick(self, number: str, listing: Listing) -> None:
        books = self._books.setdefault(number, wire.seeded_books(listing, self._seed))
        bids, asks = next(books)
        seconds = self._now_ns() // 10**9
        await self._send(number.format(kind=2), wire.depth(listing, seconds, bids, asks))
        await self._send(number.format(kind=1), wire.quotes(listing, seconds, bids[0], asks[0]))

    def answer(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str], raw: str
    ) -> tuple[int, bytes]:
        """Status and body for one question over HTTP."""
        if path == "/SecurityMaster.zip":
            self.counts["masters"] += 1
            return HTTPStatus.OK, b"<html>" if self.faults.master_broken else master_zip(
                self._listings.values()
            )
        if self.faults.status != HTTPStatus.OK:
            return self.faults.status, b"<html>out of order</html>"
        match path.rpartition("/")[2]:
            case "customerdetails":
                return self._log_in(body)
            case "quotes":
                return self._quote(body, headers, raw)
            case _:
                return _failed(HTTPStatus.NOT_FOUND, "Resource not found.")

    def _log_in(self, body: Mapping[str, Any]) -> tuple[int, bytes]:
        self.counts["log_ins"] += 1
        if body.get("AppKey") != KEY:
            return _failed(HTTPStatus.INTERNAL_SERVER_ERROR, "Public Key does not exist.")
        if self.faults.session_over or body.get("SessionToken") != SESSION:
            return _failed(HTTPStatus.INTERNAL_SERVER_ERROR, "Invalid session.")
        return _succeeded({"session_token": _token(), "idirect_userid": _USER, "idirect_user_name": "DEMO"})

    def _quote(self, body: Mapping[str, Any], headers: Mapping[str, str], raw: str) -> tuple[int, bytes]:
        expected = hashlib.sha256(f"{headers.get('X-Timestamp')}{raw}{SECRET}".encode()).hexdigest()
        if headers.get("X-Checksum") != f"token {expected}" or headers.get("X-AppKey") != KEY:
            return _failed(HTTPStatus.UNAUTHORIZED, "Invalid checksum.")
        if self.faults.session_over or headers.get("X-SessionToken") != _token():
            return _failed(HTTPStatus.UNAUTHORIZED, "Invalid session.")
        self.counts["signed"] += 1
        found = [
            listing
            for listing in self._listings.values()
            if (listing.exchange, listing.short_name) == (body.get("exchange_code"), body.get("stock_code"))
        ]
        if not found:
            return _failed(HTTPStatus.INTERNAL_SERVER_ERROR, "No Data Found")
        return _succeeded([{"exchange_code": found[-1].exchange, "ltp": found[-1].price}])

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                try:
                    body = json.loads(raw or "{}")
                except ValueError:
                    body = {}
                status, content = fake.answer(
                    self.path, body if isinstance(body, dict) else {}, dict(self.headers), raw
                )
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments: Any) -> None:
                """Nothing: the questions hold a session."""

        return Handler


async def _end(connection: ServerConnection, how: str) -> None:
    with suppress(ConnectionClosed):
        if how == "packet":
            await connection.send(wire.DISCONNECT)
        elif how == "abort":
            connection.transport.abort()
        else:
            await connection.close(1001)


def _token() -> str:
    return base64.b64encode(f"{_USER}:{_ACCESS}".encode()).decode()


def _succeeded(content: Any) -> tuple[int, bytes]:
    return HTTPStatus.OK, json.dumps({"Success": content, "Status": 200, "Error": None}).encode()


def _failed(status: int, error: str) -> tuple[int, bytes]:
    return status, json.dumps({"Success": None, "Status": status, "Error": error}).encode()
