"""Servers on this computer that messages go to: an ntfy and a mail server that write down what they are given."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FakeNtfy:
    """Takes what real ntfy takes; `status` is its answer after some seconds, and while it is `mute` it has none."""

    port: int = 0
    status: int = 200
    slow_seconds: float = 0.0
    posted: list[dict[str, Any]] = field(default_factory=list)
    mute: threading.Event = field(default_factory=threading.Event)
    ending: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where Apprise posts to; the user and the topic are secrets."""
        return f"ntfy://hidden-user:hidden-word@127.0.0.1:{self.port}/hidden-topic"

    @property
    def titles(self) -> list[str]:
        """What came, by title, first to last."""
        return [str(one.get("title")) for one in self.posted]


@contextmanager
def fake_ntfy(*, status: int = 200, slow_seconds: float = 0.0) -> Iterator[FakeNtfy]:
    """Serve until the end."""
    told = FakeNtfy(status=status, slow_seconds=slow_seconds)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if told.mute.is_set():
                told.ending.wait(60)
                return
            told.ending.wait(told.slow_seconds)
            with suppress(OSError):  # who asked has waited long enough
                self.send_response(told.status)
                self.end_headers()
                self.wfile.write(b"{}")

        def do_GET(self) -> None:
            told.posted.append({"title": self.path})
            self.send_response(told.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """A test prints nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="fake-ntfy")
    thread.start()
    try:
        yield told
    finally:
        told.ending.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class FakeMail:
    """Takes what a mail server takes, and keeps it."""

    port: int = 0
    mails: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where Apprise sends mail by."""
        return f"mailto://127.0.0.1:{self.port}/?from=watch@example.org&to=hidden-person@example.org&mode=insecure"


@contextmanager
def fake_mail() -> Iterator[FakeMail]:
    """Serve until the end."""
    told = FakeMail()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                command = line.strip().upper()
                if command.startswith(b"DATA"):
                    self.wfile.write(b"354 go on\r\n")
                    told.mails.append(self._data())
                    self.wfile.write(b"250 taken\r\n")
                elif command.startswith(b"QUIT"):
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    self.wfile.write(b"250 well\r\n")

        def _data(self) -> str:
            lines = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line)
            return b"".join(lines).decode()

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="fake-mail")
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
