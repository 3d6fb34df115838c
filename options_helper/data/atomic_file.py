"""Replace a file as a whole, so that whoever reads it, whenever, finds the old one or the new one and never a half."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


def replace_file(path: Path, data: bytes, *, mode: int | None = None, durable: bool = False) -> None:
    """Put `data` in the place of the file; OSError when the disk refuses, and then the old one stays.

    `mode` is the permissions of the new file, None those that the process gives to its files; `durable` waits until
    the disk has the file and its name. The folder must exist. Callable from any thread and process: of several who
    write at once, one is last. A link at `path` is replaced, not followed.
    """
    # A name that nobody else can have: no other writer's half file is put in place, and no link is followed.
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    # What is meant for the owner must not be open to others for a moment either.
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode & 0o600)
    try:
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


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder; OSError when it refuses."""
    if os.name == "nt":
        return  # Windows opens no folder, and writes its names down by itself.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
