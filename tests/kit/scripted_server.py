"""A plain HTTP server on loopback that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.kit.waiting import FOREVER


class Dripping(Enum):
    """What of an answer comes a byte at a time, for ever."""

    HEADERS = b"X: "
    BODY = b"Content-Length: 1000000\r\n\r\n"
    CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server says to one request."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    announced_bytes: int | None = None  # in place of the truth
    silent: bool = False  # never answers
    stays_open: bool = False  # after its last byte, as if more were to come
    dripping: Dripping | None = None  # answers without end, a byte at a time

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True)
class Request:
    """A request that arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    at: float = field(default_factory=time.monotonic)


Answering = Callable[[Request], Reply]


class ScriptedServer:
    """A plain HTTP server that answers as a test says and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Answering = lambda _: Reply()
        self.requests: list[Request] = []
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="simulator http"
        )
        self._thread.start()

    def replies(self, *script: Reply) -> None:
        """Answer with these in turn, and with the last of them from then on."""
        self.answer = lambda _: script[min(len(self.requests), len(script)) - 1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def paths(self) -> list[str]:
        return [each.path for each in self.requests]

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _handle(self) -> None:
                parts = urlsplit(self.path)
                request = Request(self.command, parts.path, dict(parse_qsl(parts.query)), dict(self.headers))
                server.requests.append(request)
                reply = server.answer(request)
                if reply.silent:
                    server._closing.wait(FOREVER)
                    self.close_connection = True
                    return
                if reply.dripping is not None:
                    self._drip(reply.dripping)
                    return
                self.send_response(reply.status)
                length = len(reply.content) if reply.announced_bytes is None else reply.announced_bytes
                for name, value in {"Content-Length": str(length), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.content)
                if reply.stays_open:
                    server._closing.wait(FOREVER)
                self.close_connection = reply.announced_bytes is not None

            def _drip(self, dripping: Dripping) -> None:
                self.close_connection = True
                drop = b"1\r\n \r\n" if dripping is Dripping.CHUNKS else b" "
                with contextlib.suppress(OSError):
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n" + dripping.value)
                    while not server._closing.wait(0.05):
                        self.wfile.write(drop)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - the names it looks for

            def log_message(self, *_: object) -> None:
                """Say nothing on the terminal."""

        return Handler
