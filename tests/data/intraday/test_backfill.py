"""What history told is kept a stretch in place of what it was before, in whole files that add up."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.file_lock import try_lock
from options_helper.data.intraday.backfill import Backfill, Stretch, replace_stretch
from options_helper.data.intraday.layout import find_parts
from options_helper.data.intraday_store import IntradayStore
from options_helper.errors import StoreError
from options_helper.model.events import Quote
from options_helper.model.instants import NANOSECONDS
from tests.kit.captured import FullDisk
from tests.kit.fakes import NOON

HOUR = 3_600 * NANOSECONDS
STRETCHES = st.tuples(st.integers(0, 30), st.integers(1, 15), st.integers(0, 6))


def quoted(at_ns: int, size: int = 0) -> Quote:
    return Quote(symbol="AAPL", timestamp=at_ns, received_ns=NOON + HOUR, bid_price=1.5, bid_size=size)


def keep(root: Path, since_ns: int, until_ns: int, *events: Quote, disk: FullDisk | None = None) -> int:
    backfill = Backfill("stocks", "AAPL", Quote, Stretch(since_ns, until_ns), "rest iex")
    return replace_stretch(root, backfill, events, None if disk is None else disk.calls())


def kept(root: Path) -> list[tuple[int, float]]:
    frame = IntradayStore(root).read("stocks", "quotes_backfill", "AAPL")
    return list(zip(frame["ts_ns"], frame["bid_size"], strict=True))


@given(st.lists(STRETCHES, max_size=6))
def test_it_is_what_each_stretch_was_told_last(told: list[tuple[int, int, int]]):
    """Against a list of all rows that forgets a stretch and takes its new ones."""
    model: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number, (since, length, rows) in enumerate(told):
            since_ns, until_ns = NOON + since, NOON + since + length
            times = [since_ns + place * length // (rows or 1) for place in range(rows)]
            before = len(model)
            model = [row for row in model if not since_ns <= row[0] < until_ns]
            model = sorted([*model, *((at_ns, float(number)) for at_ns in times)], key=lambda row: row[0])

            added = keep(root, since_ns, until_ns, *(quoted(at_ns, number) for at_ns in times))

            assert added == len(model) - before
            assert kept(root) == model
        assert all(report.ok for report in IntradayStore(root).verify())


def test_a_stretch_over_midnight_is_in_two_files(tmp_path: Path):
    midnight = NOON + 12 * HOUR

    assert keep(tmp_path, midnight - 5, midnight + 5, quoted(midnight - 1), quoted(midnight)) == 2

    assert [part.key.day for part in find_parts(tmp_path)] == [date(2026, 11, 5), date(2026, 11, 6)]
    assert keep(tmp_path, midnight - 5, midnight + 5) == -2
    assert kept(tmp_path) == []


def test_nothing_where_nothing_was_makes_no_file(tmp_path: Path):
    assert keep(tmp_path, NOON, NOON + 1) == 0

    assert list(tmp_path.iterdir()) == []


def test_a_day_of_many_rows_is_members_of_ten_thousand(tmp_path: Path):
    keep(tmp_path, NOON, NOON + HOUR, *(quoted(NOON + number, number) for number in range(25_000)))

    (report,) = IntradayStore(tmp_path).verify()
    assert (report.ok, report.rows) == (True, 25_000)


@pytest.mark.parametrize("room", [0, 10, 60])
def test_a_disk_that_refuses_leaves_the_file_as_it_was(tmp_path: Path, room: int):
    keep(tmp_path, NOON, NOON + 10, quoted(NOON + 1))

    with pytest.raises(OSError, match="space"):
        keep(tmp_path, NOON, NOON + 10, quoted(NOON + 2), disk=FullDisk(room))

    assert [at_ns for at_ns, _ in kept(tmp_path)] == [NOON + 1]
    assert len(list(tmp_path.rglob("*.new"))) == 0
    assert all(report.ok for report in IntradayStore(tmp_path).verify())


def test_a_file_that_another_process_finishes_is_left_to_it(tmp_path: Path):
    keep(tmp_path, NOON, NOON + 10, quoted(NOON + 1))
    (part,) = find_parts(tmp_path)

    with part.path.open("rb") as held:
        assert try_lock(held.fileno())
        with pytest.raises(StoreError, match="another process"):
            keep(tmp_path, NOON, NOON + 10, quoted(NOON + 2))


def test_what_a_later_version_wrote_is_not_changed(tmp_path: Path):
    keep(tmp_path, NOON, NOON + 10, quoted(NOON + 1))
    (part,) = find_parts(tmp_path)
    part.meta_path.write_bytes(
        part.meta_path.read_bytes().replace(b'"schema_version": 1', b'"schema_version": 9')
    )

    with pytest.raises(StoreError, match="schema_version 9"):
        keep(tmp_path, NOON, NOON + 10, quoted(NOON + 2))
