"""One program of several does it: a lease that ends with its holder, and that a holder who was stopped loses.

The holder has the lock of a file, which the kernel takes back with the process, however that ends, and writes into it
each few seconds that it lives. A process that is stopped keeps its lock and writes no more: whoever waits then puts a
file of its own in the place. The stopped one finds that out as soon as it runs again, because each use of the lease
looks whether its file is still the one of that name.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from options_helper.data.file_lock import is_at, lock_file
from options_helper.decoders import json_decoder

log = logging.getLogger(__name__)

# Whoever has not renewed it for so long does not run; a whole takeover takes half a minute at most.
STALE_SECONDS: Final = 18.0
RENEW_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has it."""

    who: str  # dashboard, watch
    pid: int
    host: str
    since: datetime  # UTC, by its computer's clock
    renewed: float = 0.0  # on the monotonic clock that all processes of a computer share
    looked: float | None = (
        None  # when somebody did last what it is for, by a clock of theirs; None: nobody has
    )


_HOLDERS: Final = json_decoder(Holder)


class Lease:
    """One process's part in it; callable from any thread, never waits.

    OSError where the system has no such locks, or the folder does not serve.
    """

    def __init__(
        self, path: Path, who: str, *, since: datetime, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._me = Holder(who, os.getpid(), socket.gethostname(), since)
        self._monotonic = monotonic
        # The descriptor whose lock this process has had since it took it; None: it has not, or has given it back.
        self._held: int | None = None

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
        """Renew it, or take it where nobody has it who runs; whether it is this process's now.

        `looked` is written down for who comes after: when this process, or the one before it, did what it is for.
        """
        self._me = replace(self._me, looked=looked)
        if self.is_mine:
            self._write()
            return True
        self._let_go()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = lock_file(self._path)
        if held is None:
            held = self._from_the_stopped()
        if held is None:
            return False
        self._held = held
        self._write()
        return self.is_mine

    def note(self, looked: float) -> None:
        """Write down when this process did what it is for, for whoever comes after; where it has the lease."""
        self._me = replace(self._me, looked=looked)
        if self.is_mine:
            with suppress(OSError):
                self._write()

    def release(self, looked: float | None = None) -> None:
        """Give it back at once; harmless where this process has it not. `looked` as for `keep`."""
        if looked is not None:
            self.note(looked)
        self._let_go()

    def _from_the_stopped(self) -> int | None:
        """A new file in the place of one whose holder runs no more; None where it does."""
        found = self.holder()
        if found is None or self._monotonic() - found.renewed < STALE_SECONDS:
            return None
        turn = lock_file(self._path.with_suffix(".turn"))  # of those who wait, one takes it
        if turn is None:
            return None
        try:
            if self.holder() != found:
                return None
            new = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
            held = lock_file(new)
            if held is None:
                return None
            try:
                _write_into(held, replace(self._me, renewed=self._monotonic()))
                new.replace(self._path)
            except BaseException:
                os.close(held)
                new.unlink(missing_ok=True)
                raise
        finally:
            os.close(turn)
        log.warning("the %s (process %d) runs no more; this process takes its place", found.who, found.pid)
        return held

    def _write(self) -> None:
        held = self._held
        if held is not None:
            _write_into(held, replace(self._me, renewed=self._monotonic()))

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            with suppress(OSError):
                os.close(held)


def _write_into(descriptor: int, holder: Holder) -> None:
    data = msgspec.json.encode(holder)
    # In one write over the old one, of the same length nearly always: whoever reads in between reads again.
    os.pwrite(descriptor, data.ljust(512), 0)
