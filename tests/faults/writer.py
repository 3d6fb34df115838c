"""A recorder in a process of its own, which is there to be killed."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from options_helper.data.intraday.files import Disk
from tests.kit.captured import quotes, store
from tests.kit.waiting import A_PROCESS, AT_ONCE, wait_until

# Forks from a process that has everything imported, so that a start takes a moment.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.writer"])


def piecemeal(descriptor: int, data: memoryview) -> int:
    """Write a little at a time, so that a kill nearly always finds a member half written."""
    time.sleep(0.0002)
    return os.write(descriptor, data[:97])


def record(root: Path, first: int, acknowledged: Any, *, in_pieces: bool) -> None:
    """Append without end; `acknowledged` says how many rows are written."""
    disk = Disk(write=piecemeal, sync=lambda _: None) if in_pieces else Disk(sync=lambda _: None)
    # The buffer is small so that the numbers of rows tell something.
    with store(root, disk=disk, flush_rows=20 if in_pieces else 200) as kept:
        while True:
            kept.append("stocks", quotes(10, first=first))
            kept.tick()
            first += 10
            acknowledged.value = kept.counts().total.written


class Writer:
    """The process, and how many rows it said it wrote."""

    def __init__(self, root: Path, first: int, *, in_pieces: bool) -> None:
        self._acknowledged = _CONTEXT.Value("q", 0, lock=False)
        self.process: BaseProcess = _CONTEXT.Process(
            target=record,
            args=(root, first, self._acknowledged),
            kwargs={"in_pieces": in_pieces},
            daemon=True,
        )
        self.process.start()

    @property
    def acknowledged(self) -> int:
        """Rows that are written for certain."""
        return int(self._acknowledged.value)

    def wait_until_it_writes(self) -> None:
        """Wait for its first acknowledged rows."""
        wait_until(lambda: self.acknowledged > 0, A_PROCESS)

    def kill(self) -> None:
        """End it as a power switch would, as far as a process can tell."""
        self.process.kill()
        self.process.join(AT_ONCE)


@contextmanager
def recording(root: Path, first: int = 0, *, in_pieces: bool = False) -> Iterator[Writer]:
    """A writer at work; killed at the end."""
    writer = Writer(root, first, in_pieces=in_pieces)
    try:
        yield writer
    finally:
        writer.kill()
