"""Locks of the kernel's on files, which end with the process that holds them, however that ends."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file until it is closed, without waiting; whether that worked.

    `shared` is with all who want it so. OSError where the system or the file's folder has no such locks.
    """
    if sys.platform == "win32":
        raise OSError(errno.ENOTSUP, "this system has no locks that end with a process")
    import fcntl

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_file(path: Path) -> int | None:
    """A descriptor that holds the lock of the file, which is made where there is none; None where another holds it.

    OSError where the system has no such locks, or the disk refuses.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if try_lock(descriptor) and is_at(path, descriptor):
            held, descriptor = descriptor, -1
            return held
        return None
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether somebody who lives holds the lock of the file."""
    if sys.platform == "win32":
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def is_at(path: Path, descriptor: int, *, follow_symlinks: bool = False) -> bool:
    """Whether this is the name of the open file."""
    try:
        found = path.stat(follow_symlinks=follow_symlinks)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return os.path.samestat(found, os.fstat(descriptor))
