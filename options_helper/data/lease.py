"""One program of several does it: a lease that ends with its holder, and that a holder who was stopped loses.

The holder has the lock of a file, which the kernel takes back with the process, however that ends, and writes into it
each few seconds that it lives. A process that is stopped keeps its lock and writes no more: whoever waits then puts a
file of its own in the place. The stopped one finds that out as soon as it runs again, because each use of the lease
looks whether its file is still the one of that name. What is done when is `LeaseCourse`'s to decide.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, assert_never

import msgspec

from options_helper.clock import boot_name
from options_helper.data.file_lock import is_at, lock_file
from options_helper.data.lease_course import (
    Ask,
    Holder,
    LeaseCourse,
    Step,
    Supplant,
    Told,
    Write,
    carry_out,
)
from options_helper.decoders import json_decoder

log = logging.getLogger(__name__)

RENEW_SECONDS: Final = 3.0

_HOLDERS: Final = json_decoder(Holder)


class Lease:
    """One process's part in it; callable from any thread, never waits.

    OSError where the system has no such locks, or the folder does not serve. Whoever decides by `course` itself has its
    steps done by `do`.
    """

    def __init__(
        self, path: Path, who: str, *, since: datetime, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        host = socket.gethostname()
        self.course = LeaseCourse(Holder(who, os.getpid(), host, since, clock=boot_name() or host))
        self._monotonic = monotonic
        # The descriptor whose lock this process has had since it took it; None: it has not, or has given it back.
        self._held: int | None = None
        self._turn: int | None = None  # while it supplants one that runs no more

    @property
    def is_mine(self) -> bool:
        """Whether this process has it at this moment."""
        held = self._held
        try:
            return held is not None and is_at(self._path, held)
        except OSError:
            return False

    def holder(self) -> Holder | None:
        """Who has it or had it last; None where nobody ever had, or it cannot be read."""
        try:
            return _HOLDERS.decode(self._path.read_bytes())
        except (OSError, msgspec.DecodeError):
            return None

    def looked_at(self) -> float | None:
        """When its holders did last what it is for, as they said; None where nobody did."""
        found = self.holder()
        return None if found is None else found.looked

    def keep(self, looked: float | None = None) -> bool:
        """Renew it, or take it where nobody has it who runs; whether it is this process's now."""
        return carry_out(self.course.keep(looked), self.do)

    def release(self, looked: float | None = None) -> None:
        """Give it back at once; harmless where this process has it not."""
        carry_out(self.course.release(looked), self.do)

    def do(self, step: Step) -> Told:
        """Do one step of the course."""
        is_so, holder = False, None
        match step:
            case Ask.IS_MINE:
                is_so = self.is_mine
            case Ask.LOCK:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._held = lock_file(self._path)
                is_so = self._held is not None
            case Ask.READ:
                holder = self.holder()
            case Ask.TURN:
                self._turn = lock_file(self._path.with_suffix(".turn"))
                is_so = self._turn is not None
            case Ask.END_TURN:
                self._end_turn()
            case Ask.LET_GO:
                self.let_go()
            case Write():
                if self._held is not None:
                    _write_into(self._held, step.holder)
            case Supplant():
                self._supplant(step)
            case _:
                assert_never(step)
        return Told(self._monotonic(), is_so, holder)

    def let_go(self) -> None:
        """Leave everything as the end of the process does."""
        held, self._held = self._held, None
        _close(held)
        self._end_turn()

    def _supplant(self, step: Supplant) -> None:
        new = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        held = lock_file(new)
        if held is None:
            return
        try:
            _write_into(held, step.holder)
            new.replace(self._path)
        except BaseException:
            os.close(held)
            new.unlink(missing_ok=True)
            raise
        self._held = held
        if step.stopped is None:
            log.warning("who took the lease first was stopped over it; this process takes its place")
        else:
            who, pid = step.stopped.who, step.stopped.pid
            log.warning("the %s (process %d) runs no more; this process takes its place", who, pid)

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        _close(turn)


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        with suppress(OSError):
            os.close(descriptor)


def _write_into(descriptor: int, holder: Holder) -> None:
    data = msgspec.json.encode(holder)
    # In one write over the old one, of the same length nearly always: whoever reads in between reads again.
    os.pwrite(descriptor, data.ljust(512), 0)
