"""Two writers on one root would interleave their rows, so the second is refused; the kernel decides who is first."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from options_helper.data.file_lock import is_at, try_lock
from options_helper.data.intraday.layout import LOCK_NAME
from options_helper.errors import StoreError

# A reader that asks whether somebody writes holds the lock for a moment; that must not turn a writer away.
_TRIES = 3
_PAUSE_SECONDS = 0.02
RECORDER = "recorder"


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who holds a root, as the lock file says; each is None when it does not."""

    pid: int | None = None
    host: str | None = None
    started: str | None = None
    role: str | None = None  # what it does there: "recorder", "ingestion"

    @property
    def kind(self) -> str:
        """What to call it when it has to be stopped."""
        return self.role or "program"

    def __str__(self) -> str:
        pid = "another process" if self.pid is None else f"process {self.pid}"
        role = "" if self.role is None else f"the {self.role}, "
        host = "" if self.host is None else f" on {self.host}"
        started = "" if self.started is None else f", which started {self.started}"
        return f"{role}{pid}{host}{started}"


class RootLock:
    """The right to write below a root: a kernel lock on `<root>/.capture.lock`, gone with the process that holds it.

    `role` is what the holder does there. The file names the holder, for messages only. It is never deleted: its name
    belongs to nobody. Network file systems may not honour the lock. It is a right to the folder, not to the folder's
    name: see `keep`.
    """

    def __init__(self, root: Path, role: str = RECORDER) -> None:
        self._path = root / LOCK_NAME
        self._role = role
        self._descriptor: int | None = None
        self._folder = (-1, -1)  # which one was locked
        self._refusal: str | None = None  # why its name is another's, also after this lock was given back

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._descriptor is not None

    def acquire(self, started: datetime) -> None:
        """Take it; StoreError, at once, when another holds it. `started` is what the file tells others."""
        if self.held:
            return
        descriptor = self._opened()
        if not _lock_patiently(descriptor) or not is_at(self._path, descriptor, follow_symlinks=True):
            os.close(descriptor)
            holder = holder_of(self._path)
            raise StoreError(
                f"{self._path.parent} is being written by {holder}. "
                f"Stop that {holder.kind}, or write into another folder."
            )
        self._take(descriptor, started)

    def keep(self, started: datetime) -> bool:
        """Whether the folder is the one that was locked; where its name is another's or nobody's, it is taken anew.

        OSError when another writer has the name: nothing may be written under it then. Harmless when not held.
        """
        held = self._descriptor
        if self._refusal is not None and held is None:
            raise OSError(errno.EBUSY, self._refusal, str(self._path.parent))
        if held is None or is_at(self._path, held, follow_symlinks=True):
            return True
        try:
            descriptor = self._opened()
        except StoreError as error:
            raise OSError(errno.EACCES, str(error), str(self._path.parent)) from error
        if not try_lock(descriptor) or not is_at(self._path, descriptor, follow_symlinks=True):
            os.close(descriptor)
            self._refusal = (
                f"the folder was moved or removed, and {holder_of(self._path)} records under its name now"
            )
            raise OSError(errno.EBUSY, self._refusal, str(self._path.parent))
        before = self._folder
        os.close(held)
        self._take(descriptor, started)
        return self._folder == before

    def _take(self, descriptor: int, started: datetime) -> None:
        folder = self._path.parent.stat()
        self._folder = (folder.st_dev, folder.st_ino)
        said = json.dumps(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "started": f"{started:%Y-%m-%dT%H:%M:%SZ}",
                "role": self._role,
            }
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


def holder_of(lock_path: Path) -> LockHolder:
    """What the lock file says about its holder, present or last."""
    try:
        said = json.loads(lock_path.read_bytes())
        return LockHolder(said["pid"], said["host"], said["started"], said.get("role"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return LockHolder()


def writer_of(root: Path) -> LockHolder | None:
    """Who writes below a root now, or None."""
    path = root / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if try_lock(descriptor, shared=True) else holder_of(path)
    finally:
        os.close(descriptor)


def _lock_patiently(descriptor: int) -> bool:
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        if try_lock(descriptor):
            return True
    return False
