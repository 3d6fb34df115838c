"""Each row is whole or is not there, whatever the disk takes of it and gives back."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from options_helper.data.intraday.files import Disk
from options_helper.data.intraday.row_file import append_rows
from tests.kit.captured import FullDisk


def refuse(*_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("takes_back", [True, False])
@pytest.mark.parametrize("room", [0, 1, 5, 7])
def test_half_a_row_is_cut_off_at_once_or_before_the_next(tmp_path: Path, room: int, *, takes_back: bool):
    path, full = tmp_path / "rows", FullDisk(room)
    append_rows(path, b"first\n", heading=b"heading\n")
    disk = Disk(write=full.write, **({} if takes_back else {"truncate": refuse}))

    with pytest.raises(OSError, match="No space"):
        append_rows(path, b"second\n" * 2, disk)
    if takes_back:
        assert path.read_bytes() == b"heading\nfirst\n"
    append_rows(path, b"third\n")

    whole = path.read_bytes().removeprefix(b"heading\nfirst\n").removesuffix(b"third\n")
    assert whole == (b"second\n" if room == 7 and not takes_back else b"")


def test_a_row_that_the_disk_fails_to_keep_is_not_there(tmp_path: Path):
    path = tmp_path / "rows"
    append_rows(path, b"first\n")

    with pytest.raises(OSError, match="Input/output"):
        append_rows(path, b"second\n", Disk(sync=refuse))

    assert path.read_bytes() == b"first\n"


def test_what_was_torn_in_the_heading_is_begun_anew(tmp_path: Path):
    path = tmp_path / "rows"
    path.write_bytes(b"head")

    append_rows(path, b"first\n", heading=b"heading\n")

    assert path.read_bytes() == b"heading\nfirst\n"
