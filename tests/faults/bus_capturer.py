"""A recorder of a bus in a process of its own, which is there to be killed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from options_helper.bus.address import BusAddress
from options_helper.commands.shutdown_signals import ShutdownSignals
from options_helper.data.intraday_store import StorePolicy
from options_helper.data.recording.status import CaptureStatus
from tests.kit.recording_bus import STOCKS, recorder
from tests.kit.waiting import A_PROCESS, AT_ONCE, wait_until

# Forks from a process that has everything imported, so that a start takes a moment.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.bus_capturer"])
_SOON = StorePolicy(flush_rows=50, flush_seconds=0.1)


def capture(url: str, out: Path, received: Any, said: Any) -> None:
    """Be the process: record until a signal, and say how it ended."""
    engine = recorder(BusAddress.parse(url), out, policy=_SOON)
    with ShutdownSignals() as shutdown:
        engine.start()
        while not shutdown.wait(0.01):
            received.value = engine.status().streams[STOCKS].received
        said.send(engine.stop())


class BusCapturer:
    """The process, and what it says of itself."""

    def __init__(self, address: BusAddress, out: Path) -> None:
        self._received = _CONTEXT.Value("q", 0, lock=False)
        self._said, said = _CONTEXT.Pipe(duplex=False)
        self.process: BaseProcess = _CONTEXT.Process(
            target=capture, args=(address.url, out, self._received, said), daemon=True
        )
        self.process.start()
        said.close()

    def wait_until_it_receives(self, events: int = 1) -> None:
        """Wait for its first events."""
        wait_until(lambda: int(self._received.value) >= events, A_PROCESS)

    def end(self) -> CaptureStatus:
        """Ask it to end; how it did."""
        self.process.terminate()
        assert self._said.poll(A_PROCESS), "it did not end"
        status: CaptureStatus = self._said.recv()
        self.process.join(AT_ONCE)
        return status

    def kill(self) -> None:
        """End it as a power switch would, as far as a process can tell."""
        self.process.kill()
        self.process.join(AT_ONCE)


@contextmanager
def capturing_bus(address: BusAddress, out: Path) -> Iterator[BusCapturer]:
    """A recorder at work; killed at the end if it still is."""
    capturer = BusCapturer(address, out)
    try:
        yield capturer
    finally:
        capturer.kill()
