"""A capture in a process of its own, which is there to be killed and to be told to stop."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from options_helper.capture.runner import DRAIN_SECONDS, CaptureConfig, CaptureEngine
from options_helper.commands.shutdown_signals import ShutdownSignals
from options_helper.data.intraday.files import Disk
from options_helper.data.intraday.pace import FLUSH_ROWS, FLUSH_SECONDS
from options_helper.data.intraday_store import StorePolicy
from options_helper.data.recording.status import CaptureStatus
from options_helper.data.streaming.alpaca_stream import AlpacaOptionStreamer, AlpacaStockStreamer
from options_helper.data.streaming.engine.pulse import LATE_SECONDS
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.engine.stream_source import AlpacaSource
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.model.instants import utc_datetime
from options_helper.model.market_hours import expects_data
from options_helper.model.streams import StreamName
from options_helper.simulator.server import SimulatorServer
from tests.faults.writer import piecemeal
from tests.kit.simulated import settings_for
from tests.kit.waiting import A_PROCESS, AT_ONCE, wait_until
from tests.wire.test_engine import CALL, NOON, PATIENT, quote

STOCKS, OPTIONS = StreamName.STOCKS, StreamName.OPTIONS
SYMBOLS = ("AAPL", "MSFT")
STREAMS = LiveStreamConfig(
    stocks=SYMBOLS,
    option_contracts=(CALL,),
    stream_options=False,
    stream_fills=False,
    reconnect_base_seconds=0.05,
    reconnect_cap_seconds=0.1,
)

# Forks from a process that has everything imported and the calendar at hand, so that a start takes a moment.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.capturer"])
expects_data(STOCKS, "iex", utc_datetime(NOON), ())


def _state(stat: Path) -> str:
    """What a thread is doing, in the kernel's letter; behind its name, which is in brackets."""
    return stat.read_text(encoding="utf-8").rpartition(") ")[2][:1]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a simulator is found."""

    stream_url: str
    rest_url: str

    def runner(
        self,
        out: Path,
        streams: LiveStreamConfig = STREAMS,
        disk: Disk | None = None,
        *,
        drain_seconds: float = DRAIN_SECONDS,
        flush_events: int = FLUSH_ROWS,
        flush_seconds: float = FLUSH_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        **more: Any,
    ) -> CaptureEngine:
        """A capture from there that is in a hurry; `monotonic` measures its silences."""
        policy = StorePolicy(flush_rows=flush_events, flush_seconds=flush_seconds)
        return CaptureEngine(
            CaptureConfig(streams, out, policy=policy, **more),
            settings_for(self),
            source=AlpacaSource(
                stocks=partial(AlpacaStockStreamer, timing=PATIENT),
                options=partial(AlpacaOptionStreamer, timing=PATIENT),
            ),
            retry=RetryPolicy(slow_base_seconds=0.1),
            monotonic=monotonic,
            disk=disk,
            drain_seconds=drain_seconds,
        )


def addresses(server: SimulatorServer) -> Addresses:
    """Where this one is."""
    return Addresses(server.stream_url, server.rest_url)


def _slowly(descriptor: int, data: memoryview) -> int:
    time.sleep(0.05)
    return os.write(descriptor, data)


DISKS = {
    "quick": Disk(sync=lambda _: None),
    "in pieces": Disk(write=piecemeal, sync=lambda _: None),
    "slow": Disk(write=_slowly),
}


def capture(  # noqa: PLR0917 - multiprocessing passes them on so
    where: Addresses, out: Path, received: Any, said: Any, disk: str, more: dict[str, Any]
) -> None:
    """Be the process: record until a signal; say how it ended. A second signal lets it leave at once."""
    runner = where.runner(out, disk=DISKS[disk], **more)
    keeps_journal = more.get("journal", True)
    with ShutdownSignals() as shutdown:
        runner.start()
        while not shutdown.wait(0.01):
            status = runner.status()
            # A capture that is killed before its journal begins leaves no session to look for.
            if status.journal_bytes or not keeps_journal:
                received.value = status.streams[STOCKS].received
        said.send(_stopped(runner, shutdown))


def _stopped(runner: CaptureEngine, shutdown: ShutdownSignals) -> CaptureStatus:
    """How it ended; at a second signal at once."""
    with ThreadPoolExecutor(1) as stopper:
        stopping = stopper.submit(runner.stop)
        while not stopping.done():
            if shutdown.wait(0.01) > 1:
                runner.leave()
        return stopping.result()


class Capturer:
    """The process, and what it says of itself."""

    def __init__(self, server: SimulatorServer, out: Path, disk: str, more: dict[str, Any]) -> None:
        self._received = _CONTEXT.Value("q", 0, lock=False)
        self._said, said = _CONTEXT.Pipe(duplex=False)
        arguments = (addresses(server), out, self._received, said, disk, more)
        self.process: BaseProcess = _CONTEXT.Process(target=capture, args=arguments, daemon=True)
        self.process.start()
        said.close()

    @property
    def received(self) -> int:
        """Events it has received, about; 0 until its journal has begun."""
        return int(self._received.value)

    def wait_until_it_receives(self, events: int = 1) -> None:
        """Wait for its first events, and for a journal if it keeps one."""
        wait_until(lambda: self.received >= events, A_PROCESS)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.terminate()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """While it does not run: from the block's begin to its end, and so long that it must notice."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGSTOP)
        # Sent is not stopped: until the kernel says so (where it does), its threads may run on.
        tasks = Path(f"/proc/{self.process.pid}/task")
        wait_until(lambda: all(_state(task) == "T" for task in tasks.glob("*/stat")))
        until = time.monotonic() + LATE_SECONDS + 1
        try:
            yield
            wait_until(lambda: time.monotonic() >= until)
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def ended(self) -> CaptureStatus:
        """How it ended, within what it takes to write what it has or to count it, and a busy machine's reserve."""
        assert self._said.poll(DRAIN_SECONDS + AT_ONCE), "it did not end"
        status: CaptureStatus = self._said.recv()
        self.process.join(AT_ONCE)
        assert self.process.exitcode == 0
        return status

    def kill(self) -> None:
        """End it as a power switch would, as far as a process can tell."""
        self.process.kill()
        self.process.join(AT_ONCE)


@contextmanager
def capturing(server: SimulatorServer, out: Path, *, disk: str = "quick", **more: Any) -> Iterator[Capturer]:
    """A capture at work; killed at the end if it still is."""
    capturer = Capturer(server, out, disk, more)
    try:
        yield capturer
    finally:
        capturer.kill()


@contextmanager
def busy_market(server: SimulatorServer, *, quotes_a_frame: int = 5, pause: float = 0.002) -> Iterator[None]:
    """Quotes without end for whoever listens, each with a bid size of its own, in order."""
    ending = threading.Event()
    numbers = count(1)

    def trade() -> None:
        while not ending.wait(pause):
            messages = []
            for _ in range(quotes_a_frame):
                number = next(numbers)
                messages.append({**quote(SYMBOLS[number % len(SYMBOLS)]), "bs": number})
            server.push(STOCKS, messages)

    thread = threading.Thread(target=trade, name="busy-market")
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
