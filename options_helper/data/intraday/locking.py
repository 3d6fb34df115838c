"""Two writers on one root would interleave their rows, so the second is refused; the kernel decides who is first."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from options_helper.data.intraday.layout import LOCK_NAME
from options_helper.errors import StoreError

# A reader that asks whether somebody writes holds the lock for a moment; that must not turn a writer away.
_TRIES = 3
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a root, as the lock file says; each is None when it does not."""

    pid: int | None = None
    host: str | None = None
    started: str | None = None

    def __str__(self) -> str:
        pid = "another process" if self.pid is None else f"process {self.pid}"
        host = "" if self.host is None else f" on {self.host}"
        started = "" if self.started is None else f", which started {self.started}"
        return f"{pid}{host}{started}"


class RootLock:
    """The right to write below a root: a kernel lock on `<root>/.capture.lock`, gone with the process that holds it.

    The file names the holder, for messages only. It is never deleted: its name belongs to nobody. Network file systems
    may not honour the lock.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / LOCK_NAME
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._descriptor is not None

    def acquire(self, started: datetime) -> None:
        """Take it; StoreError, at once, when another holds it. `started` is what the file tells others."""
        if self.held:
            return
        descriptor = self._opened()
        if not _lock_patiently(descriptor):
            os.close(descriptor)
            raise StoreError(
                f"{self._path.parent} is being written by {holder_of(self._path)}. "
                "Stop that recorder, or record into another folder."
            )
        said = json.dumps(
            {"pid": os.getpid(), "host": socket.gethostname(), "started": f"{started:%Y-%m-%dT%H:%M:%SZ}"}
        ).encode()
        # For messages only: a full disk is found out, and reported, by others.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, said, 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give it back; harmless when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise StoreError(
                f"{self._path.parent} cannot be recorded into: {reason}. "
                "Choose a folder that you may write to."
            ) from error


def holder_of(lock_path: Path) -> Holder:
    """What the lock file says about its holder, present or last."""
    try:
        said = json.loads(lock_path.read_bytes())
        return Holder(said["pid"], said["host"], said["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return Holder()


def writer_of(root: Path) -> Holder | None:
    """Who writes below a root now, or None."""
    path = root / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if lock_file(descriptor, shared=True) else holder_of(path)
    finally:
        os.close(descriptor)


def lock_file(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file until it is closed, without waiting; whether that worked."""
    import fcntl

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_patiently(descriptor: int) -> bool:
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        if lock_file(descriptor):
            return True
    return False
