"""The lowest part of every way out over HTTP: it lets nothing but a GET through, and what is under way can be ended.

It is imported where it is used, because `requests` is.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from http.client import HTTPResponse
from typing import Any, Final
from weakref import WeakSet

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from options_helper.data.network import readable_roots
from options_helper.errors import RestError

# What requests adds on its own, of ~/.netrc for one: another service's password, which is no server's business here,
# and which it would take for a second way to authenticate.
AMBIENT_HEADER: Final = "Authorization"


def require_reading(request: PreparedRequest) -> None:
    """Raise RestError for whatever could change something; what only reads loses what was added unasked."""
    if request.method != "GET":
        raise RestError(
            f"A {request.method} request was held back, because this program only reads. Please report it."
        )
    request.headers.pop(AMBIENT_HEADER, None)


class GetOnlyAdapter(HTTPAdapter):
    """Sends one GET by our roots and proxies; an answer as a whole takes `answer_seconds` at most, however it drips."""

    def __init__(self, answer_seconds: float) -> None:
        self._answer_seconds = answer_seconds
        self._sockets = _OpenSockets()
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Let the connections tell their sockets, which nothing else would give away, and keep the deadline."""
        super().init_poolmanager(*arguments, **options)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """The same for connections through a proxy."""
        return self._watch(super().proxy_manager_for(proxy, **options))

    def _watch(self, manager: Any) -> Any:
        manager.pool_classes_by_scheme = _pools(self._sockets, self._answer_seconds)
        return manager

    def shut(self) -> None:
        """End the requests under way and all later ones; callable from any thread."""
        self._sockets.shut()

    def close(self) -> None:
        """Close what waits to be used again; a connection under way is closed by whoever uses it, when it is done.

        The managers alone would let go of their pools, which lasts until nothing refers to one: an error in whose
        trace it stands keeps its sockets open.
        """
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - it is locked, and no mapping to iterate
                if (pool := manager.pools.get(key)) is not None:
                    pool.close()
        super().close()

    def send(self, request: PreparedRequest, *_arguments: Any, **options: Any) -> Response:
        """The answer to one try; RestError where it is no GET, otherwise what `requests` raises."""
        require_reading(request)
        # Plain HTTP goes to this computer alone, and with it the keys: a proxy must not come between.
        proxies = {} if str(request.url).startswith("http://") else options.get("proxies")
        return super().send(request, **{**options, "proxies": proxies, "verify": str(readable_roots().path)})


class _OpenSockets:
    """The sockets of the connections that are open, so that a request under way can be ended from outside."""

    def __init__(self) -> None:
        # Guarded by self._lock: filled by the threads that ask, read by the one that stops.
        self._lock = threading.Lock()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._ended = False

    def add(self, connected: socket.socket) -> None:
        with self._lock:
            self._sockets.add(connected)
            if self._ended:
                _shut(connected)

    def shut(self) -> None:
        """End what waits on them, and what will."""
        with self._lock:
            self._ended = True
            for each in self._sockets:
                _shut(each)


def _shut(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


class _UntilDeadline(io.RawIOBase):
    """What a socket brings before a deadline: a timeout of the socket alone begins anew with every byte."""

    def __init__(self, raw: io.RawIOBase, seconds: float) -> None:
        self._raw = raw
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        """As the socket's own file."""
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """As the socket's own file; TimeoutError after the deadline."""
        if time.monotonic() > self._deadline:
            raise TimeoutError("the answer took too long")
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Close the socket's own file."""
        self._raw.close()
        super().close()


def _pools(sockets: _OpenSockets, answer_seconds: float) -> dict[str, type[HTTPConnectionPool]]:
    class Answer(HTTPResponse):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            # Below the headers, which can drip as the body can.
            self.fp = io.BufferedReader(_UntilDeadline(self.fp.detach(), answer_seconds))

    class Connection(HTTPConnection):
        response_class = Answer

        def connect(self) -> None:
            super().connect()
            sockets.add(self.sock)

    class SecureConnection(HTTPSConnection):
        response_class = Answer

        def connect(self) -> None:
            super().connect()
            sockets.add(self.sock)

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}
