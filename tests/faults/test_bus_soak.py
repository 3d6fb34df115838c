"""Ten dashboards on one owner for half an hour, for `scripts/check-long`: each ledger exact, memory flat at all."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from tests.kit.bus import NatsServer, nats_server
from tests.kit.pace import LONG
from tests.kit.waiting import A_PROCESS, wait_until

MINUTES: Final = float(os.environ.get("SOAK_MINUTES", "30"))
EVENTS_PER_SECOND: Final = int(os.environ.get("SOAK_RATE", "20000"))
# One of the ten has the slow feed.
DETAILS: Final = ("slow", *["full"] * 9)
LOOK_SECONDS: Final = 5.0
MEGABYTE: Final = 1 << 20
ROOT: Final = Path(__file__).resolve().parents[2]


class Child:
    """A program of the soak."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.bus_dashboard", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.memory: list[int] = []

    def ask(self, word: str = "how") -> dict[str, Any]:
        """What it says."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))

    def measure(self) -> None:
        """Note its memory."""
        self.memory.append(psutil.Process(self._process.pid).memory_info().rss)

    def end(self) -> None:
        """Ask it to end, and make sure."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write("\n")
            self._process.stdin.close()
            self._process.wait(A_PROCESS)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()


@contextmanager
def children(server: NatsServer) -> Iterator[tuple[Child, list[Child]]]:
    """The owner, and all who follow it."""
    with ExitStack() as stack:

        def made(*arguments: str) -> Child:
            child = Child(*arguments)
            stack.callback(child.end)
            return child

        owner = made("owner", server.url, str(EVENTS_PER_SECOND))
        wait_until(lambda: owner.ask()["phase"] in ("live", "quiet"), A_PROCESS)
        viewers = [made("viewer", server.url, detail) for detail in DETAILS]
        for viewer in viewers:
            wait_until(lambda: viewer.ask()["phase"] in ("live", "quiet"), A_PROCESS)  # noqa: B023
        yield owner, viewers


@pytest.mark.skipif(not LONG, reason="takes half an hour: LONG_TESTS=1, or sh scripts/check-long")
@pytest.mark.timeout(0)
def test_half_an_hour_of_ten_dashboards():
    with nats_server() as server, children(server) as (owner, viewers):
        everybody = [owner, *viewers]
        owner.ask("go")
        until = time.monotonic() + MINUTES * 60
        while time.monotonic() < until:
            time.sleep(LOOK_SECONDS)  # not waiting for a fact: the time is what is tried
            for one in everybody:
                one.measure()
        owner.ask("enough")
        wait_until(lambda: owner.ask()["queued"] == 0, A_PROCESS, saw=owner.ask)
        final = owner.ask()
        published = final["applied"]
        for viewer in viewers:
            wait_until(
                lambda: (told := viewer.ask())["received"] == published and not told["queued"],  # noqa: B023
                A_PROCESS,
                saw=viewer.ask,
            )
        told = [viewer.ask() for viewer in viewers]

    assert final["sent"] == final["received"] == published + final["dropped"]
    for its in told:
        assert its["broken"] == []
        assert its["received"] == its["applied"] + its["dropped"] + its["rejected"] + its["missed"]
    growth = [grown(one.memory) for one in everybody]
    sys.stdout.write(
        f"\n{published:,} events published in {MINUTES:g} minutes, {final['dropped']:,} dropped by the owner; "
        f"missed by the nine {sum(its['missed'] for its in told[1:]):,}, dropped there "
        f"{sum(its['dropped'] for its in told):,}; left out for the slow one {told[0]['missed']:,} of "
        f"{told[0]['received']:,}; memory, second quarter to last: owner {growth[0]}, viewers {growth[1:]}\n"
    )
    for one in everybody:
        early, late = quarters(one.memory)
        assert late <= early * 1.1 + 10 * MEGABYTE


def quarters(values: Sequence[int]) -> tuple[float, float]:
    """The medians of the second quarter and of the last."""
    length = len(values) // 4
    return statistics.median(values[length : 2 * length]), statistics.median(values[3 * length :])


def grown(values: Sequence[int]) -> str:
    """From how much to how much."""
    early, late = quarters(values)
    return f"{early / MEGABYTE:.0f}-{late / MEGABYTE:.0f} MB"
