"""A disk that cannot keep up: rows wait in the journal first, then events in memory, and only then are some dropped."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from options_helper.data.intraday.files import Disk
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.journal import JOURNAL_SUFFIX
from options_helper.data.recording.loss_log import loss_rows
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.status import CaptureState, CaptureStatus
from options_helper.data.recording.verify import audit
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.faults.capturer import STOCKS, STREAMS, SYMBOLS, addresses
from tests.kit.waiting import wait_until
from tests.wire.conftest import running_simulator as running_simulator  # noqa: PLC0414 - a fixture
from tests.wire.test_engine import NOON, quote

ROOM = 2_000


def _is_journal(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").readlink().name.endswith(JOURNAL_SUFFIX)


class TiredDisk:
    """Slow for partitions while `slow` is set; takes nothing at all, of anybody, until `moving` is set again."""

    def __init__(self) -> None:
        self.slow = threading.Event()
        self.moving = threading.Event()
        self.moving.set()

    def stall(self) -> None:
        """Let every write wait."""
        self.moving.clear()

    def write(self, descriptor: int, data: memoryview) -> int:
        """Take it, sooner or later."""
        self.moving.wait(20)
        if self.slow.is_set() and not _is_journal(descriptor):
            time.sleep(0.05)
        return os.write(descriptor, data)

    def calls(self) -> Disk:
        """What a capture is given."""
        return Disk(write=self.write, sync=lambda _: None)


class Pusher:
    """Sends quotes, each with a bid size of its own."""

    def __init__(self, server: SimulatorServer) -> None:
        self._server = server
        self._sent = 0

    def push(self, frames: int, quotes_a_frame: int = 20) -> None:
        """So many frames."""
        for _ in range(frames):
            numbers = range(self._sent, self._sent + quotes_a_frame)
            self._server.push(STOCKS, [{**quote(SYMBOLS[n % 2]), "bs": n} for n in numbers])
            self._sent += quotes_a_frame
        self._server.flush()


def bid_sizes(root: Path) -> list[int]:
    store = IntradayStore(root)
    return sorted(
        size for symbol in SYMBOLS for size in store.read("stocks", "quotes", symbol)["bid_size"].tolist()
    )


def test_the_steps_of_pressure_come_in_order_and_all_events_are_accounted_for(
    tmp_path: Path, running_simulator: Callable[..., SimulatorServer], request: pytest.FixtureRequest
):
    server = running_simulator(SilentMarket(start_ns=NOON))
    disk, market = TiredDisk(), Pusher(server)
    out = tmp_path / "out"
    small = replace(STREAMS, queue_maxsize=ROOM)
    capture = addresses(server).runner(out, small, disk.calls(), flush_events=1)
    seen: list[CaptureStatus] = []

    def status() -> CaptureStatus:
        seen.append(capture.status())
        return seen[-1]

    request.addfinalizer(capture.stop)
    request.addfinalizer(disk.moving.set)
    capture.start()
    wait_until(lambda: status().streams[STOCKS].connections)
    market.push(5)
    wait_until(lambda: status().store.total.written == 100, saw=status)
    assert status().state is CaptureState.RECORDING

    disk.slow.set()
    market.push(600, quotes_a_frame=2)
    wait_until(lambda: status().put_off, saw=status)
    assert (status().state, status().lost) == (CaptureState.JOURNAL_ONLY, 0)
    wait_until(lambda: status().streams[STOCKS].received == server.sent[STOCKS], saw=status)

    disk.stall()
    market.push(ROOM // 20 * 3)
    wait_until(lambda: status().streams[STOCKS].dropped, saw=status)
    wait_until(lambda: status().streams[STOCKS].received == server.sent[STOCKS], saw=status)

    disk.moving.set()
    disk.slow.clear()
    wait_until(lambda: not status().put_off and status().state is CaptureState.RECORDING, 20, saw=status)
    market.push(5)
    wait_until(lambda: status().streams[STOCKS].received == server.sent[STOCKS], saw=status)
    final = capture.stop()

    health = final.streams[STOCKS]
    assert all(one.accounted for one in seen)
    assert max(one.streams[STOCKS].queued - one.put_off for one in seen) <= ROOM, "memory is bounded"
    assert server.sent[STOCKS] == final.store.total.written + health.dropped
    assert (final.lost, final.put_off) == (health.dropped, 0)
    kept = bid_sizes(out)
    assert len(kept) == len(set(kept)) == final.store.total.written
    assert kept[:100] == [*range(100)]
    assert sum(row.lost or 0 for row in loss_rows(out)) == health.dropped
    assert all("were lost" in problem for problem in audit(out).problems)
    rebuild(out, tmp_path / "again")
    assert bid_sizes(tmp_path / "again") == kept
