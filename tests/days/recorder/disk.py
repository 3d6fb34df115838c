"""A disk in memory's files, as hostile as can be: full, in pieces, and gone with the process at any write."""

from __future__ import annotations

import errno
import os
import random

from options_helper.data.intraday.files import Disk

ROOMY = 1 << 40


class Killed(BaseException):
    """The process is gone, in the midst of whatever it did."""


class BadDisk:
    """The calls that a recorder makes of its disk.

    A kill leaves of the last write what `is_torn` leaves of it: a process that is killed leaves all or nothing of it,
    as the kernel has it, and a computer that stops may leave a piece.
    """

    def __init__(self, dice: random.Random) -> None:
        self._dice, self._rooms = dice, random.Random(dice.random())
        self.is_full = False
        self.in_pieces = False
        self.kill_in: int | None = None  # so many writes from now
        self.writes = 0
        self._is_dead = False

    def calls(self) -> Disk:
        """As the recorder is given them."""
        return Disk(
            write=self._write,
            truncate=self._truncate,
            sync=lambda _: self._live(),
            sync_all=lambda _: True,
            free_bytes=lambda _: ROOMY,
            free_inodes=lambda _: None,
        )

    def revive(self) -> None:
        """Another process uses it."""
        self._is_dead, self.kill_in = False, None

    def die(self) -> None:
        """Whoever uses it is gone: nothing of it is written any more."""
        self._is_dead = True

    def _live(self) -> None:
        if self._is_dead:
            raise Killed

    def _write(self, descriptor: int, data: memoryview) -> int:
        self._live()
        self.writes += 1
        if self.is_full and len(data) > 1 and self._rooms.random() < 0.3:
            # There is room for a piece of it, and none for the rest.
            return os.write(descriptor, data[: _piece(self._rooms, data)])
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.kill_in is not None:
            self.kill_in -= 1
            if self.kill_in < 0:
                self._is_dead = True
                left = self._dice.choice((0, len(data), int(self._dice.random() * (len(data) + 1))))
                if left:
                    os.write(descriptor, data[:left])
                raise Killed
        if self.in_pieces and len(data) > 1:
            data = data[: _piece(self._dice, data)]
        return os.write(descriptor, data)

    def _truncate(self, descriptor: int, size: int) -> None:
        self._live()
        os.ftruncate(descriptor, size)


def _piece(dice: random.Random, data: memoryview) -> int:
    """How much of it: one throw, whatever its length, which is the compression's."""
    return 1 + int(dice.random() * (len(data) - 1))
