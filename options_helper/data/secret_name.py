"""Names of files for what belongs to a secret, such as an account's key, that tell nothing of it."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

_SALT: Final = "salt"


def secret_name(folder: Path, secret: str) -> str:
    """Sixteen letters and digits, the same for the same secret in this folder; OSError where the disk refuses.

    They are made with a random number of the folder's own, so that nobody can try keys elsewhere.
    """
    return blake2b(os.fsencode(secret), key=_salt(folder), digest_size=8).hexdigest()


def _salt(folder: Path) -> bytes:
    """The folder's own random number, which whoever comes first makes; OSError where it cannot be had."""
    path = folder / _SALT
    with suppress(FileNotFoundError):
        return path.read_bytes()[:64]
    new = folder / f".{_SALT}.{secrets.token_hex(4)}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(32))
        # A link is made of a whole file, and of the first of several only.
        with suppress(FileExistsError):
            os.link(new, path)
    finally:
        os.close(descriptor)
        new.unlink()
    return path.read_bytes()[:64]
