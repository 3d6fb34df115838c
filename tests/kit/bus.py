"""A NATS server of a test's own, on this computer, that can be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import pytest

from options_helper.bus.address import BusAddress
from tests.kit.ports import free_port
from tests.kit.waiting import wait_until

# The one among the developer's tools, and the one of the system, whose answers to a repeated message differ.
CURRENT: Final = Path(sys.executable).with_name("nats-server")
_ELSEWHERE: Final = [
    one for one in os.environ.get("PATH", "").split(os.pathsep) if one != str(CURRENT.parent)
]
SYSTEM: Final = shutil.which("nats-server", path=os.pathsep.join(_ELSEWHERE))


class NatsServer:
    """One server with JetStream in a folder of its own; for use in a `with`."""

    def __init__(self, binary: str | Path, configuration: Callable[[int], Path] | None = None) -> None:
        """`configuration` makes a file for the port that it is given."""
        self._binary = str(binary)
        self._folder = tempfile.mkdtemp(prefix="nats-")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self._arguments = ["-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", self._folder]
        if configuration is not None:
            self._arguments = ["-c", str(configuration(self.port))]

    @property
    def url(self) -> str:
        """Where it is."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def address(self) -> BusAddress:
        """The same for our code."""
        return BusAddress.parse(self.url)

    def start(self) -> None:
        """Start it, also again after `kill`; it has what it stored."""
        self._begin()
        wait_until(self._listens)

    def _begin(self) -> None:
        self._process = subprocess.Popen(
            [self._binary, *self._arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"nats-server ended with {self._process.returncode}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def reload(self) -> None:
        """Have it read its configuration again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """End it as a crash would; harmless when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def forget(self) -> None:
        """Lose all that it stored; while it does not run."""
        shutil.rmtree(self._folder)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def nats_server(binary: str | Path | None = CURRENT) -> Iterator[NatsServer]:
    """A server that runs; the test is skipped where that one is not installed."""
    if binary is None or not Path(binary).exists():
        pytest.skip(
            "there is no such nats-server on this computer; `sh scripts/setup` or the system's packages bring one"
        )
    with NatsServer(binary) as server:
        yield server


both_servers = pytest.mark.parametrize(
    "binary", [pytest.param(CURRENT, id="current"), pytest.param(SYSTEM, id="system")]
)
