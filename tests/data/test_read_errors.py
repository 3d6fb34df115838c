"""What an error in reading a file says of the file."""

from __future__ import annotations

import errno
import gzip
import os

import pytest

from options_helper.data.read_errors import is_passing, not_read_now


def of_number(number: int) -> OSError:
    return OSError(number, os.strerror(number), "a.json")


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        *((of_number(one), True) for one in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES)),
        *((of_number(one), True) for one in (errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN)),
        *((of_number(one), False) for one in (errno.ENOENT, errno.ENOTDIR)),
        *((of_number(one), False) for one in (errno.EIO, errno.EISDIR, errno.EBADMSG)),
        (of_number(getattr(errno, "EUCLEAN", errno.EIO)), False),
        (gzip.BadGzipFile("Not a gzipped file"), False),
        (ValueError("no number"), False),
    ],
)
def test_only_what_says_that_a_file_is_gone_or_broken_says_anything_of_it(error: Exception, *, passes: bool):
    assert is_passing(error) is passes


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.EMFILE, "Try again"), (errno.EACCES, "Give this user")]
)
def test_it_is_said_why_a_file_is_not_read_and_what_to_do(number: int, remedy: str):
    said = str(not_read_now("a.json", of_number(number)))
    assert said.startswith(f"a.json cannot be read now ({os.strerror(number)}). {remedy}")
