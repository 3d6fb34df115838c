"""Where an ingestion writes: a disk that is full, and on which its process ends before, in or after a write."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from options_helper.data.intraday.files import Disk
from options_helper.data.intraday.row_file import append_rows


class Killed(BaseException):
    """The process ends here, whatever it was at."""


class IngestDisk:
    """Replaces files and appends rows, unless it goes wrong; `kill_in` counts the writes until the kill."""

    def __init__(self) -> None:
        self.is_full = False
        self.kill_in: int | None = None
        self.how = ""

    def fill(self) -> None:
        """Take no more."""
        self.is_full = True

    def clear(self) -> None:
        """Take it again."""
        self.is_full = False

    def replace(self, path: Path, data: bytes) -> None:
        """Give the file these bytes, as a whole or not at all."""
        done = self._part(1)
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(data if done else data[: len(data) // 2])
        if done:
            part.replace(path)
        self._end()

    def append(self, path: Path, data: bytes) -> None:
        """Put a row behind the others."""
        done = self._part(len(data))
        if done < len(data):
            with path.open("ab") as file:
                file.write(data[:done])
        else:
            append_rows(path, data, Disk(sync=lambda _: None))
        self._end()

    def _part(self, size: int) -> int:
        """How much of so much gets there."""
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.kill_in is not None:
            self.kill_in -= 1
            if self.kill_in < 0 and self.how == "before":
                raise Killed
        return size // 2 if self.kill_in is not None and self.kill_in < 0 and self.how == "torn" else size

    def _end(self) -> None:
        if self.kill_in is not None and self.kill_in < 0:
            raise Killed
