"""Replace a file as a whole, so that whoever reads it, whenever, finds the old one or the new one and never a half."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_SUFFIX: Final = ".new"
_IS_RANDOM: Final = re.compile("[0-9a-f]{8}" + re.escape(_SUFFIX)).fullmatch


def replace_file(path: Path, data: bytes, *, mode: int | None = None, durable: bool = False) -> None:
    """Put `data` in the place of the file; OSError when the disk refuses, and then the old one stays.

    `mode` is the permissions of the new file, None those that the process gives to its files; `durable` waits until
    the disk has the file and its name. The folder must exist. Callable from any thread and process: of several who
    write at once, one is last. A link at `path` is replaced, not followed. What a killed writer left is removed.
    """
    _remove_leftovers(path)
    new, descriptor = _create_beside(path, mode)
    try:
        with _locked_to_the_end(descriptor):
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(descriptor)
            if mode is not None:
                new.chmod(mode)
            new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    if durable:
        sync_folder(path.parent)


def _create_beside(path: Path, mode: int | None) -> tuple[Path, int]:
    """A new file and its descriptor, locked for as long as its writer lives."""
    while True:
        # A name that nobody else can have: no other writer's half file is put in place, and no link is followed.
        new = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_SUFFIX}")
        # What is meant for the owner must not be open to others for a moment either.
        descriptor = os.open(
            new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode & 0o600
        )
        _lock(descriptor, wait=True)
        if new.exists():
            return new, descriptor
        # Between its name and its lock another writer took it for a leftover.
        os.close(descriptor)


def _remove_leftovers(path: Path) -> None:
    """Remove what writers of this file left who were killed: their locks are gone, those of the living are not."""
    beginning = f".{path.name}."
    with suppress(OSError):
        for name in os.listdir(path.parent):  # noqa: PTH208 - a third of the time of paths, for each of a thousand files
            if name.startswith(beginning) and _IS_RANDOM(name[len(beginning) :]):
                with suppress(OSError):  # it has just got its name, or is another user's
                    _remove_unlocked(path.with_name(name))


def _remove_unlocked(leftover: Path) -> None:
    # Whatever has such a name, it is not followed and not waited for.
    descriptor = os.open(leftover, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if _lock(descriptor, wait=False):
            leftover.unlink()
    finally:
        os.close(descriptor)


@contextmanager
def _locked_to_the_end(descriptor: int) -> Iterator[None]:
    """Keep the lock when the descriptor is closed."""
    if os.name == "nt":
        yield  # there is no lock, and Windows renames no open file
        return
    held = os.dup(descriptor)
    try:
        yield
    finally:
        os.close(held)


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Whether the file is locked now; never where the system or its folder has no such locks."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def make_folder(folder: Path, *, mode: int = 0o777) -> None:
    """Make it and those it lies in, and wait until the disk has the names of the new ones; OSError when it refuses.

    `mode` is the permissions of the folder itself, less what the process takes away.
    """
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    for one in new:
        sync_folder(one.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder; OSError when it refuses."""
    if os.name == "nt":
        return  # Windows opens no folder, and writes its names down by itself.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
