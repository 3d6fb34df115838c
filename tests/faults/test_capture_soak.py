"""Half an hour of heavy traffic and random faults, for `scripts/check-long`: memory stays flat and the law is exact."""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import psutil
import pytest

from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.loss_log import loss_rows
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.faults.capturer import STOCKS, SYMBOLS, Capturer, capturing
from tests.kit.pace import LONG
from tests.kit.waiting import A_PROCESS, wait_until
from tests.wire.conftest import running_simulator as running_simulator  # noqa: PLC0414 - a fixture
from tests.wire.test_engine import NOON, quote

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
EVENTS_PER_SECOND = 20_000
EVENTS_PER_FRAME = 20
FRAMES_PER_TICK = 20
TICK_SECONDS = EVENTS_PER_FRAME * FRAMES_PER_TICK / EVENTS_PER_SECOND
MEGABYTE = 1 << 20


@pytest.mark.skipif(not LONG, reason="takes half an hour: LONG_TESTS=1, or sh scripts/check-long")
@pytest.mark.timeout(0)
def test_half_an_hour_of_traffic_and_faults(
    tmp_path: Path, running_simulator: Callable[..., SimulatorServer]
):
    server = running_simulator(SilentMarket(start_ns=NOON))
    chance = random.Random(30)
    with capturing(server, tmp_path) as capturer:
        wait_until(lambda: server.subscribed(STOCKS), A_PROCESS)
        memory = _trouble(server, capturer, chance)
        server.set_faults(Faults())
        server.flush()
        wait_until(
            lambda: capturer.received == server.sent[STOCKS], 60, saw=lambda: (capturer.received, server.sent)
        )
        capturer.terminate()
        final = capturer.ended()

    health = final.streams[STOCKS]
    rows = sum(report.rows for report in IntradayStore(tmp_path).verify())
    assert all(report.ok for report in IntradayStore(tmp_path).verify())
    assert server.sent[STOCKS] == health.received == rows + health.dropped + health.rejected + final.put_off
    assert final.lost == sum(row.lost or 0 for row in loss_rows(tmp_path))
    sys.stdout.write(
        f"\n{rows:,} rows, {health.dropped:,} dropped, {health.rejected:,} rejected, {final.gaps} gaps, "
        f"{health.connections} connections; memory {memory[0] >> 20} to {memory[-1] >> 20} MB\n"
    )
    early, late = (statistics.median(part) for part in (_quarter(memory, 1), _quarter(memory, 3)))
    assert late <= early * 1.1 + 10 * MEGABYTE


def _quarter(values: Sequence[int], number: int) -> Sequence[int]:
    length = len(values) // 4
    return values[number * length : (number + 1) * length]


def _trouble(server: SimulatorServer, capturer: Capturer, chance: random.Random) -> list[int]:
    """Send at the set rate, and now and then let something go wrong; the capture's memory, second by second."""
    frames = [
        msgspec.msgpack.encode(
            [
                {**quote(chance.choice(SYMBOLS), chance.randrange(100, 200)), "bs": n}
                for n in range(EVENTS_PER_FRAME)
            ]
        )
        for _ in range(200)
    ]
    spoiled = msgspec.msgpack.encode(["no map", {"T": "q", "S": 7}, quote(SYMBOLS[0])])
    process = psutil.Process(capturer.process.pid)
    memory = [process.memory_info().rss]
    began = time.monotonic()
    due, next_second = began, began + 1
    while due < began + MINUTES * 60:
        for _ in range(FRAMES_PER_TICK):
            server.push_frame(STOCKS, chance.choice(frames))
        if chance.random() < TICK_SECONDS / 5:
            server.push_frame(STOCKS, spoiled)
        if chance.random() < TICK_SECONDS / 20:
            server.flush()
            server.disconnect_all(chance.choice([1000, 1001, 1011]))
        if due >= next_second:
            next_second += 1
            memory.append(process.memory_info().rss)
        due += TICK_SECONDS
        time.sleep(max(0.0, due - time.monotonic()))
    return memory
