"""What an error in reading a file says of it: that it is not there, that its bytes are gone, or nothing at all."""

from __future__ import annotations

import errno
from typing import Final

from options_helper.errors import StoreError

_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR)
# Linux says EUCLEAN of a file system whose structure is damaged; other systems have no such number.
_BROKEN: Final = (errno.EIO, errno.EISDIR, errno.EBADMSG, getattr(errno, "EUCLEAN", errno.EIO))
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM)


def is_passing(error: BaseException) -> bool:
    """Whether what kept a file from being read says nothing of it, as want of open files: it is known again later.

    Whoever takes such a file for none, or for an unreadable one, writes a poorer one in its place.
    """
    # What has no number is no answer of the system's, but what somebody made of the bytes.
    return isinstance(error, OSError) and error.errno is not None and error.errno not in (*_ABSENT, *_BROKEN)


def not_read_now(what: object, error: OSError) -> StoreError:
    """What to raise of a file that cannot be read for now; `what` it is, as a sentence begins."""
    remedy = "Give this user the right to read it." if error.errno in _FORBIDDEN else "Try again in a moment."
    return StoreError(f"{what} cannot be read now ({error.strerror or type(error).__name__}). {remedy}")
