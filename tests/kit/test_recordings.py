"""The real days that all tests of a run share are made once, whoever asks, and hold what was recorded."""

from __future__ import annotations

import gzip
from pathlib import Path

from tests.kit.recordings import OPENING_ROWS, Recordings, taq_rows


def rows(folder: Path) -> int:
    """The rows of all partitions in it, without their headings."""
    return sum(
        gzip.decompress(path.read_bytes()).count(b"\n") - 1 for path in folder.rglob("stocks/**/*.csv.gz")
    )


def test_a_second_worker_finds_what_the_first_has_made(real_data: Path, tmp_path: Path):
    made = Recordings(real_data, tmp_path).folder("trades", opening=True)
    before = {path: path.stat().st_ino for path in made.rglob("*.gz")}

    found = Recordings(real_data, tmp_path).folder("trades", opening=True)

    assert {path: path.stat().st_ino for path in found.rglob("*.gz")} == before
    assert not any(path.stat().st_mode & 0o222 for path in before)


def test_recordings_in_one_folder_are_those_of_each(real_data: Path, tmp_path: Path):
    recordings = Recordings(real_data, tmp_path)
    both = recordings.folder("quotes", "trades", opening=True)
    parts = [recordings.folder(part, opening=True) for part in ("quotes", "trades")]

    assert rows(both) == sum(map(rows, parts)) == 4 * OPENING_ROWS


def test_the_opening_is_the_first_rows_of_each_day(real_data: Path):
    opening = list(taq_rows(real_data, "quotes", opening=True))
    whole = list(taq_rows(real_data, "quotes"))
    midnight = "2018-01-03T05"  # in New York
    first, second = (
        [row for row in whole if (row["timestamp"] < midnight) is earlier] for earlier in (True, False)
    )

    assert opening == first[:OPENING_ROWS] + second[:OPENING_ROWS]
