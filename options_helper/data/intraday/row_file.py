"""Put rows behind those of a file, each a line of its own, whatever a kill or a broken disk has left of another."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from options_helper.data.intraday.files import Disk, write_all

_LONGEST_ROW: Final = 1 << 16


def append_rows(path: Path, rows: bytes, disk: Disk | None = None, heading: bytes = b"") -> tuple[int, int]:
    """Add whole lines and wait until the disk has them; which file that is, also where its name is gone by then.

    OSError when the disk refuses, and then the file ends as it did before. What was left of a row, where even that
    could not be taken back, is cut off first. `heading` begins a new file, whose name is the caller's to sync. The
    folder must exist, and nobody else write at once.
    """
    disk = disk or Disk()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = _end_of_last_line(descriptor)
        if size < os.fstat(descriptor).st_size:
            disk.truncate(descriptor, size)
        try:
            write_all(descriptor, rows if size else heading + rows, disk)
            disk.sync(descriptor)
        except OSError:
            # Half a row is worse than none; where even this is refused, the next one cuts it off.
            with suppress(OSError):
                disk.truncate(descriptor, size)
            raise
        status = os.fstat(descriptor)
        return status.st_dev, status.st_ino
    finally:
        os.close(descriptor)


def _end_of_last_line(descriptor: int) -> int:
    """Where a row that was left unfinished begins; the end of the file where there is none."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - _LONGEST_ROW)
    return start + os.pread(descriptor, size - start, start).rfind(b"\n") + 1
