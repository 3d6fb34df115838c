"""Events to store and files to look into, for the tests of the intraday store."""

from __future__ import annotations

import csv
import errno
import gzip
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from options_helper.data.intraday.files import Disk
from options_helper.data.intraday.members import scan
from options_helper.data.intraday_store import IntradayStore, StorePolicy
from options_helper.model.events import Quote
from options_helper.model.instants import timestamp_extension
from tests.kit.fakes import NOON

DAY = "2026-11-05"
SECOND = 1_000_000_000
AAPL_QUOTES = f"stocks/quotes/tick/AAPL/{DAY}.csv.gz"


def quotes(
    count: int, symbol: str = "AAPL", *, first: int = 0, start_ns: int = NOON, **more: Any
) -> list[Quote]:
    """Quotes a millisecond apart, each of which can be told from the others by its bid size."""
    return [
        Quote(
            symbol=symbol,
            timestamp=timestamp_extension(start_ns + number * 1_000_000),
            received_ns=start_ns + number * 1_000_000 + 321,
            bid_price=100 + number / 100,
            bid_size=number,
            **more,
        )
        for number in range(first, first + count)
    ]


class Clock:
    """A clock that counts seconds and moves when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        """Let that much time pass."""
        self.seconds += seconds


class FullDisk:
    """The calls of a disk that takes so many bytes more, and then a part of a write, and then nothing."""

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.synced = 0

    def calls(self) -> Disk:
        """What a store is given."""
        return Disk(write=self.write, sync=self.sync, sync_all=lambda _: False, free_bytes=lambda _: 1 << 40)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Take what there is room for."""
        if self.room is None:
            return os.write(descriptor, data)
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = os.write(descriptor, data[: self.room])
        self.room -= taken
        return taken

    def sync(self, _descriptor: int) -> None:
        """Count."""
        self.synced += 1


def store(root: Path, **more: Any) -> IntradayStore:
    """A store that takes its disk to have room."""
    names = ("clock", "now", "disk", "session_id")
    own = {name: more.pop(name) for name in names if name in more}
    policy = StorePolicy(**{"min_free_bytes": 0, **more})
    return IntradayStore(root, policy, **own)


def rows_in(path: Path) -> list[dict[str, str]]:
    """The rows of a file, read by nothing of ours."""
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def members_of(path: Path) -> list[bytes]:
    """The gzip members of a file, each as it stands there."""
    data = path.read_bytes()
    found = scan(lambda offset, length: data[offset : offset + length], len(data))
    return [data[member.offset : member.end] for member in found.members]


def bid_sizes(rows: Iterable[dict[str, str]]) -> list[int]:
    """What tells one of our quotes from the others."""
    return [int(row["bid_size"]) for row in rows]


def numbers(rows: Sequence[dict[str, str]]) -> list[int]:
    """The numbers of the rows."""
    return [int(row["seq"]) for row in rows]
