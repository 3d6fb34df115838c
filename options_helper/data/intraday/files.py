"""A file that only grows, by whole gzip members: what a kill or a full disk leaves of it can always be mended."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from options_helper.data.atomic_file import sync_folder
from options_helper.data.file_lock import try_lock
from options_helper.data.intraday.members import Damage, Scan, scan

# Power loss can spoil several members; what was written since the last sync is well below this.
CHECKED_BYTES: Final = 1 << 20
_COPY_BYTES: Final = 1 << 20


def _free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _free_inodes(folder: Path) -> int | None:
    status = os.statvfs(folder)
    return status.f_favail if status.f_files else None


def _sync(descriptor: int) -> None:
    # Not every system has the cheaper call.
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_file_system(folder: Path) -> bool:
    """Wait until the disk has everything, which is quicker than a thousand files one by one; False where unknown."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        return False
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(descriptor)
    return True


@dataclass(frozen=True, slots=True)
class Displaced:
    """A file that was being written and is no longer where it was; `rows` of it are not there any more.

    `kind` is None for what is no partition: a journal, whose `rows` are records, or the whole folder.
    """

    path: Path
    what: str  # "removed", "moved", "replaced", "changed"
    rows: int
    kind: str | None = None
    symbol: str = ""
    since_ns: int | None = None  # the receipt of the first of those rows


@dataclass(frozen=True, slots=True)
class Disk:
    """The calls that a full or broken disk answers; a test passes its own."""

    write: Callable[[int, memoryview], int] = os.write
    truncate: Callable[[int, int], None] = os.ftruncate
    sync: Callable[[int], None] = _sync
    sync_all: Callable[[Path], bool] = sync_file_system
    free_bytes: Callable[[Path], int] = _free_bytes
    free_inodes: Callable[[Path], int | None] = _free_inodes  # None where the file system does not count them


class MemberFile:
    """One file of gzip members, open and locked for appending, or closed for a while; for one thread.

    Every method may raise OSError; the file is then as it was before, or `open` mends it.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path = path
        self._disk = disk
        self._descriptor: int | None = None
        # Where the next member goes, and which file that is about: another process may have replaced it.
        self._size = -1
        self._identity = (-1, -1)

    @property
    def is_open(self) -> bool:
        """Whether it holds a descriptor and the lock."""
        return self._descriptor is not None

    @property
    def size(self) -> int:
        """Where the next member goes."""
        return self._size

    def open(self) -> bool:
        """Open and lock it; whether it is still as this object left it. If not, scan it before appending.

        BlockingIOError when another process has the lock.
        """
        if self._descriptor is not None:
            return True
        descriptor = _open_locked(self.path)
        before = (self._identity, self._size)
        self._hold(descriptor)
        return before == (self._identity, self._size)

    def create(self, data: bytes, *, durable: bool = True) -> list[Path]:
        """Make it with this content in one step and hold it, open and locked; for the rest see `create_file`."""
        self.close()
        folders, descriptor = _created(self.path, data, self._disk, durable=durable, lock=True)
        self._hold(descriptor)
        return folders

    def displacement(self) -> str | None:
        """What became of its name since this object left it, in a word; None where it still is that very file.

        A name is not the open file: that one may be deleted, moved or replaced, and every write to it still succeeds.
        """
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            has_a_name = self._descriptor is not None and os.fstat(self._descriptor).st_nlink > 0
            return "moved" if has_a_name else "removed"
        identity = self._identity
        if self._descriptor is not None:
            # Asked anew: not every file system keeps the number of a file.
            held = os.fstat(self._descriptor)
            identity = (held.st_dev, held.st_ino)
        if (found.st_dev, found.st_ino) != identity:
            return "replaced"
        return None if found.st_size == self._size else "changed"

    def scan(self, check_bytes: int | None = CHECKED_BYTES) -> Scan:
        """What the open file consists of; see `members.scan`."""
        return scan(self.read_at, self._size, check_bytes=check_bytes)

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes of the open file."""
        return os.pread(self._opened(), length, offset)

    def append(self, data: bytes) -> None:
        """Write one member, whole or not at all."""
        descriptor = self._opened()
        try:
            write_all(descriptor, data, self._disk)
        except BaseException:
            # Ctrl-C, too, may come amid a member.
            self._cut_back(descriptor)
            raise
        self._size += len(data)

    def sync(self) -> None:
        """Wait until the disk has all of it."""
        if self._descriptor is not None:
            self._disk.sync(self._descriptor)
            return
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            self._disk.sync(descriptor)
        finally:
            os.close(descriptor)

    def repair(self, found: Scan, at: datetime, header: bytes = b"") -> Path:
        """Take the damage out of the open file and return where its bytes are kept now.

        A tail is cut off; damage further in makes it a new file, put in place in one step. `header` is a member to
        begin with where the file's own is damaged.
        """
        kept = self._keep_damage(found.damage, at)
        if found.inner_damage:
            self._rewrite(found, header)
        else:
            self._truncate(found.damage[0].offset)
        return kept

    def set_aside(self, at: datetime) -> Path | None:
        """Give a file without anything readable the name of a torn one, and close it; None when it was empty."""
        kept = _free_name(self.path, at) if self._size else None
        if kept is None:
            self.path.unlink()
        else:
            self.path.rename(kept)
        self.close()
        return kept

    def close(self) -> None:
        """Give back descriptor and lock; harmless when it is closed."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _hold(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self._descriptor, self._size = descriptor, status.st_size
        self._identity = (status.st_dev, status.st_ino)

    def _opened(self) -> int:
        if self._descriptor is None:
            raise ValueError(f"{self.path} is not open")
        return self._descriptor

    def _cut_back(self, descriptor: int) -> None:
        try:
            self._disk.truncate(descriptor, self._size)
        except OSError:
            # What stands there now is unknown: the next `open` finds it changed, and it is scanned.
            self._size = -1
            self.close()

    def _keep_damage(self, damage: Sequence[Damage], at: datetime) -> Path:
        kept = _free_name(self.path, at)
        descriptor = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            for part in damage:
                self._copy(part.offset, part.length, descriptor)
            self._disk.sync(descriptor)
        except OSError:
            kept.unlink()
            raise
        finally:
            os.close(descriptor)
        return kept

    def _truncate(self, size: int) -> None:
        descriptor = self._opened()
        self._disk.truncate(descriptor, size)
        self._size = size
        self._disk.sync(descriptor)

    def _rewrite(self, found: Scan, header: bytes) -> None:
        new = self.path.with_name(f".{self.path.name}.new")
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        try:
            # Locked before it has the name, so that nobody finds it unlocked.
            try_lock(descriptor)
            write_all(descriptor, header, self._disk)
            for member in found.members:
                self._copy(member.offset, member.length, descriptor)
            self._disk.sync(descriptor)
            new.rename(self.path)
        except OSError:
            os.close(descriptor)
            new.unlink()
            raise
        self.close()
        self._hold(descriptor)
        sync_folder(self.path.parent)

    def _copy(self, offset: int, length: int, to: int) -> None:
        end = offset + length
        while offset < end:
            data = self.read_at(offset, min(_COPY_BYTES, end - offset))
            if not data:
                raise OSError(errno.EIO, "the file is shorter than it was", str(self.path))
            write_all(to, data, self._disk)
            offset += len(data)


def create_file(path: Path, data: bytes, disk: Disk, *, durable: bool = True) -> list[Path]:
    """Make a file with content in one step, with the folders it needs; returns the folders that have new names.

    Unless it is `durable`, a loss of power before the next sync can leave the name without the content. The OSError of
    a disk that has room and no inodes says so: who reads only of space looks for the wrong thing.
    """
    folders, descriptor = _created(path, data, disk, durable=durable)
    os.close(descriptor)
    return folders


def _created(
    path: Path, data: bytes, disk: Disk, *, durable: bool, lock: bool = False
) -> tuple[list[Path], int]:
    try:
        return _create(path, data, disk, durable=durable, lock=lock)
    except OSError as error:
        if error.errno == errno.ENOSPC and disk.free_inodes(_nearest_folder(path)) == 0:
            reason = "the disk has no inodes left, so it takes no further file"
            raise OSError(errno.ENOSPC, reason, str(path)) from error
        raise


def _create(path: Path, data: bytes, disk: Disk, *, durable: bool, lock: bool) -> tuple[list[Path], int]:
    """The folders that have new names, and the open file."""
    folder = path.parent
    changed = _make_folders(folder)
    new = f"{folder}/.{path.name}.new"
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    try:
        if lock:
            # Before it has the name, so that nobody finds it unlocked.
            try_lock(descriptor)
        write_all(descriptor, data, disk)
        if durable:
            disk.sync(descriptor)
        os.rename(new, path)  # noqa: PTH104 - as all that is done for each of a thousand new files, without `Path`
    except BaseException:
        os.close(descriptor)
        with suppress(OSError):
            os.unlink(new)  # noqa: PTH108
        raise
    return [*changed, folder], descriptor


def write_all(descriptor: int, data: bytes, disk: Disk) -> None:
    """Write until all of it is written: a disk about to be full first takes a part, and refuses the rest."""
    rest = memoryview(data)
    while rest:
        written = disk.write(descriptor, rest)
        if written <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rest = rest[written:]


def _open_locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        if not try_lock(descriptor):
            os.close(descriptor)
            raise BlockingIOError(errno.EWOULDBLOCK, "another process writes it", str(path))
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
        # Replaced between opening and locking: that lock is on a file without a name.
        os.close(descriptor)


def _nearest_folder(path: Path) -> Path:
    return next((folder for folder in path.parents if folder.is_dir()), Path("/"))


def _make_folders(folder: Path) -> list[Path]:
    missing: list[Path] = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
    return [one.parent for one in missing]


def _free_name(path: Path, at: datetime) -> Path:
    stem = f"{path.name}.torn-{at:%Y%m%dT%H%M%SZ}"
    name, number = path.with_name(stem), 1
    while name.exists():
        name, number = path.with_name(f"{stem}-{number}"), number + 1
    return name
