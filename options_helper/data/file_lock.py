"""Locks of the kernel's on files, which end with the process that holds them, however that ends."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path


def lock_file(path: Path) -> int | None:
    """A descriptor that holds the lock of the file, which is made where there is none; None where another holds it.

    OSError where the system has no such locks, or the disk refuses.
    """
    if sys.platform == "win32":
        raise OSError(errno.ENOTSUP, "this system has no locks that end with a process", str(path))
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_at(path, descriptor):
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def is_held(path: Path) -> bool:
    """Whether somebody who lives holds the lock of the file."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_at(path: Path, descriptor: int) -> bool:
    """Whether this is the name of the open file."""
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)
