"""A journal is read from any member on: what follows a hole is played, and the hole is counted and named."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from options_helper.data.intraday.layout import find_parts
from options_helper.data.intraday_store import IntradayStore, StorePolicy
from options_helper.data.recording.journal import (
    FOLDER,
    Hole,
    JournalWriter,
    Record,
    RecordKind,
    facts_record,
    journal_files,
    read_records,
    sessions,
)
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.recover import Completion, complete
from options_helper.data.recording.session_notes import SessionNote, save_note
from options_helper.data.recording.verify import audit
from options_helper.data.recording.verify_report import audit_lines
from tests.data.recording.test_rebuild import began, received, record_session
from tests.data.recording.test_recover import cut, note_of
from tests.kit.captured import AAPL_QUOTES, bid_sizes, members_of, rows_in
from tests.kit.fakes import NOON, quote_message
from tests.kit.pace import runs

DAY_NS = 24 * 3_600 * 1_000_000_000
SECOND_DAY_QUOTES = AAPL_QUOTES.replace("05.csv", "06.csv")


def read_all(root: Path) -> tuple[list[Record], list[Hole]]:
    holes: list[Hole] = []
    return list(read_records(journal_files(root), on_hole=holes.append)), holes


def quote_records(count: int, start_ns: int = NOON, first: int = 0) -> list[Record]:
    return [
        received(start_ns + number, quote_message("AAPL", bs=number, at_ns=start_ns + number))
        for number in range(first, first + count)
    ]


def two_days(*, ends: bool = False) -> list[Record]:
    """A session that records through the night, as the quick start's does: ten quotes on each day."""
    end = [facts_record(RecordKind.END, NOON + DAY_NS + 99, {})] if ends else []
    return [began(NOON, 5), *quote_records(10), *quote_records(10, NOON + DAY_NS, 10), *end]


def without_first_day(root: Path) -> None:
    """As the page of the docs allows once a day is verified."""
    shutil.rmtree(min((root / FOLDER).iterdir()))


def test_one_flipped_bit_costs_one_member(tmp_path: Path):
    record_session(tmp_path, "one", [began(NOON), *quote_records(100)])
    (path,) = journal_files(tmp_path)
    data = bytearray(path.read_bytes())
    spoiled = members_of(path)[21]
    data[data.index(spoiled) + 45] ^= 1
    path.write_bytes(data)

    records, (hole,) = read_all(tmp_path)

    assert len(records) == 100
    assert (hole.first, hole.until, hole.damaged) == (20, 21, True)
    assert path.name in str(hole)
    (made,) = rebuild(tmp_path, tmp_path / "again")
    assert (made.rows, "records 20 to 20 are missing" in (made.problem or "")) == (99, True)
    (problem,) = [one for one in audit(tmp_path).problems if "Journal" in one]
    assert "records 20 to 20 are missing" in problem


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=12, max_size=12), st.data())
def test_whatever_members_are_spoiled_the_others_are_read_and_the_rest_is_counted(
    tmp_path_factory: pytest.TempPathFactory, spoiled: Sequence[bool], data: st.DataObject
):
    root = tmp_path_factory.mktemp("spoiled")
    journal = JournalWriter(root, "one")
    for number in range(12):
        journal.append(Record(RecordKind.FRAME, NOON + number * DAY_NS // 4, b"x" * 50))
        journal.flush()
    journal.close()
    number = 0
    for path in journal_files(root):
        head, *members = members_of(path)
        found = [head]
        for member in members:
            bad = bytearray(member)
            bad[data.draw(st.integers(40, len(member) - 1))] ^= 0xFF
            found.append(bytes(bad) if spoiled[number] else member)
            number += 1
        path.write_bytes(b"".join(found))

    records, holes = read_all(root)

    assert [record.received_ns for record in records] == [
        NOON + number * DAY_NS // 4 for number in range(12) if not spoiled[number]
    ]
    missing = {number for hole in holes for number in range(hole.first, hole.until or 12)}
    # Damage at the very end cannot be told from what a kill leaves.
    last = max((number for number in range(12) if not spoiled[number]), default=-1)
    assert missing >= {number for number in range(last) if spoiled[number]}
    assert all(spoiled[number] for number in missing)


def test_a_thousandth_file_follows_the_nine_hundred_and_ninety_ninth(tmp_path: Path):
    folder = tmp_path / FOLDER / "2026-11-05"
    folder.mkdir(parents=True)
    for number in (1_000, 999, 2):
        (folder / f"one-{number:03d}.jnl.gz").touch()

    assert [path.name.split("-")[1].split(".")[0] for path in journal_files(tmp_path)] == [
        "002",
        "999",
        "1000",
    ]


def killed_on_the_second_day(root: Path, *, filed: int) -> SessionNote:
    """The first day is in the files, of the second one only five of ten rows; the first day's journal is deleted."""
    records = two_days()
    record_session(root, "one", records)
    cut(root / SECOND_DAY_QUOTES, 2, 0)
    without_first_day(root)
    return replace(note_of("one", records[0]), filed=filed, asked={"stocks": ("AAPL",)})


def test_what_a_kill_left_is_made_although_an_old_day_of_the_journal_is_deleted(tmp_path: Path):
    note = killed_on_the_second_day(tmp_path, filed=11)
    with IntradayStore(tmp_path, StorePolicy(min_free_bytes=0)) as store:
        *_, last = complete(store, note, sessions(tmp_path)["one"], lambda: False)

    assert last == Completion(rows=5, unplaced={}, holes=last.holes)
    assert [(hole.first, hole.until) for hole in last.holes] == [(0, 11)]
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(10)]
    assert bid_sizes(rows_in(tmp_path / SECOND_DAY_QUOTES)) == [*range(10, 20)]


def test_a_recording_whose_old_journal_was_deleted_adds_up_and_is_rebuilt_as_far_as_it_goes(tmp_path: Path):
    records = two_days(ends=True)
    record_session(tmp_path, "one", records)
    ended = replace(note_of("one", records[0]), ended_ns=NOON + DAY_NS + 99)
    save_note(tmp_path, ended)
    without_first_day(tmp_path)

    found = audit(tmp_path)
    assert found.problems == ()
    assert any("records 0 to 10 are missing" in line for line in audit_lines(found)), (
        "it is told all the same"
    )
    (made,) = rebuild(tmp_path, tmp_path / "again")
    assert made.rows == 10
    assert (tmp_path / "again" / SECOND_DAY_QUOTES).read_bytes() == (
        tmp_path / SECOND_DAY_QUOTES
    ).read_bytes()


def test_a_journal_that_is_needed_and_missing_is_a_fault(tmp_path: Path):
    save_note(tmp_path, killed_on_the_second_day(tmp_path, filed=3))

    assert any("records 0 to 10 are missing" in problem for problem in audit(tmp_path).problems)
    shutil.rmtree(tmp_path / FOLDER)
    assert any("kept a journal, and it is gone" in problem for problem in audit(tmp_path).problems)


def test_rows_that_no_journal_has_are_still_found_beside_a_hole(tmp_path: Path):
    records = two_days(ends=True)
    record_session(tmp_path, "one", records)
    save_note(tmp_path, replace(note_of("one", records[0]), ended_ns=NOON + DAY_NS + 99))
    without_first_day(tmp_path)
    with IntradayStore(tmp_path, session_id="one") as store:
        from tests.kit.captured import quotes

        store.append("stocks", quotes(3, start_ns=NOON + DAY_NS + 60))

    assert any(problem.startswith("3 rows are not in the journal") for problem in audit(tmp_path).problems)


@pytest.mark.exhaustive
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=runs(30, 300), deadline=None
)
@given(st.data())
def test_with_any_hole_and_any_kill_no_row_is_written_twice_or_out_of_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
):
    root = tmp_path_factory.mktemp("holes")
    repeats = data.draw(st.lists(st.integers(0, 3), min_size=12, max_size=12), label="equal quotes")
    messages = [
        quote_message("AAPL", bs=number) for number, times in enumerate(repeats) for _ in range(times + 1)
    ]
    records = [began(NOON, 3), *(received(NOON + at // 2, message) for at, message in enumerate(messages))]
    record_session(root, "one", records)
    expected = bid_sizes(rows_in(root / AAPL_QUOTES))
    (part,) = find_parts(root)
    kept = data.draw(st.integers(1, len(members_of(part.path))), label="members kept")
    cut(part.path, kept, 0)
    before = bid_sizes(rows_in(part.path))
    (path,) = journal_files(root)
    members = members_of(path)
    first = data.draw(st.integers(1, len(members) - 2), label="hole from")
    until = data.draw(st.integers(first + 1, len(members) - 1), label="to")
    path.write_bytes(b"".join(members[:first] + members[until:]))

    with IntradayStore(root, StorePolicy(min_free_bytes=0)) as store:
        *_, last = complete(store, note_of("one", records[0]), sessions(root)["one"], lambda: False)

    after = bid_sizes(rows_in(part.path))
    assert after[: len(before)] == before
    rest = iter(expected)
    assert all(size in rest for size in after), f"{after} is no selection of {expected}"
    assert last.holes
