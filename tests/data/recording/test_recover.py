"""What a killed capture left in its journal is made, as if it had ended in order, or told to be out of place."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from options_helper.data.intraday.contents import PartRows
from options_helper.data.intraday.files import Disk
from options_helper.data.intraday.layout import find_parts
from options_helper.data.intraday.meta import load_meta, save_meta
from options_helper.data.intraday_store import IntradayStore, StorePolicy
from options_helper.data.recording.journal import Record, journal_files, sessions
from options_helper.data.recording.recover import Completion, complete
from options_helper.data.recording.session_notes import SessionNote
from tests.data.recording.test_rebuild import began, received, record_session, traffic
from tests.kit.captured import AAPL_QUOTES, FullDisk, bid_sizes, members_of, quotes, rows_in
from tests.kit.fakes import NOON, quote_message
from tests.kit.pace import runs
from tests.kit.rebuilt import partitions


def note_of(session: str, first: Record) -> SessionNote:
    facts = first.facts
    return SessionNote(
        session=session,
        began_ns=first.received_ns,
        seen_ns=first.received_ns,
        journal=True,
        flush_events=facts["flush_events"],
        flush_seconds=facts["flush_seconds"],
    )


def completed(root: Path, note: SessionNote, disk: Disk | None = None) -> Completion:
    policy = StorePolicy(min_free_bytes=0)
    with IntradayStore(root, policy, disk=disk) as store:
        *_, last = complete(store, note, sessions(root)[note.session], lambda: False)
    return last


def cut(path: Path, members: int, torn: int) -> None:
    """Leave so many members of a file, and some bytes of the next one."""
    found = members_of(path)
    path.write_bytes(b"".join(found[:members]) + b"".join(found[members:])[:torn])


@pytest.mark.exhaustive
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=runs(20, 300), deadline=None
)
@given(traffic(), st.data())
def test_wherever_a_kill_cuts_the_files_they_become_what_they_would_have_been(
    tmp_path_factory: pytest.TempPathFactory, recorded: list[list[Record]], data: st.DataObject
):
    root = tmp_path_factory.mktemp("killed")
    *before, last = recorded
    for number, records in enumerate(before):
        record_session(root, f"session-{number}", records)
    kept = {part.path: len(members_of(part.path)) for part in find_parts(root)}
    record_session(root, "session-9", last)
    expected = partitions(root)
    for part in list(find_parts(root)):
        members = data.draw(st.integers(kept.get(part.path, 0), len(members_of(part.path))))
        if members:
            cut(part.path, members, data.draw(st.sampled_from([0, 1, 40])))
        else:
            part.path.unlink()
            part.meta_path.unlink()

    found = completed(root, note_of("session-9", last[0]))

    assert partitions(root) == expected
    assert (found.unplaced, found.problem) == ({}, None)


def killed(root: Path, members: int = 3) -> SessionNote:
    """A session of twenty quotes, five to a member, of which only the first members reached the file."""
    records = [
        began(NOON, 5),
        *(received(NOON + number, quote_message("AAPL", bs=number)) for number in range(20)),
    ]
    record_session(root, "one", records)
    cut(root / AAPL_QUOTES, members, 0)
    return note_of("one", records[0])


def test_only_what_is_missing_is_written(tmp_path: Path):
    note = killed(tmp_path)

    assert completed(tmp_path, note) == Completion(rows=10, unplaced={})
    assert completed(tmp_path, note) == Completion(rows=0, unplaced={})
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(20)]


def test_rows_are_not_put_behind_those_of_a_later_session(tmp_path: Path):
    note = killed(tmp_path)
    with IntradayStore(tmp_path, StorePolicy(min_free_bytes=0), session_id="two") as store:
        store.append("stocks", quotes(3, first=100))

    assert completed(tmp_path, note) == Completion(rows=0, unplaced={"stocks": 10})
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(10), 100, 101, 102]


def test_rows_are_not_put_behind_others_that_the_journal_has_elsewhere(tmp_path: Path):
    """A full disk had cost some of them: what the file has is not the beginning of what the journal has."""
    note = killed(tmp_path)
    with IntradayStore(tmp_path, StorePolicy(min_free_bytes=0), session_id="one") as store:
        store.append("stocks", quotes(3, first=100))

    assert completed(tmp_path, note) == Completion(rows=0, unplaced={"stocks": 7})


def test_where_nobody_knows_which_rows_are_its_own_they_are_looked_up_and_none_is_written_twice(
    tmp_path: Path,
):
    """A loss of power, or a disk without inodes, took what stood beside the file."""
    note = killed(tmp_path)
    (part,) = find_parts(tmp_path)
    meta = load_meta(part)
    assert meta
    save_meta(part, replace(meta, sessions=()))

    assert completed(tmp_path, note) == Completion(rows=10, unplaced={})
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(20)]


def test_a_kill_between_the_first_rows_and_what_stands_beside_them_costs_no_row_and_writes_none_twice(
    tmp_path: Path,
):
    note = killed(tmp_path)
    (part,) = find_parts(tmp_path)
    part.meta_path.unlink()

    assert completed(tmp_path, note) == Completion(rows=10, unplaced={})
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(20)]
    (report,) = IntradayStore(tmp_path).verify()
    assert (report.problems, report.sessions) == ((), ("one",))


def test_a_disk_that_refuses_leaves_it_for_later(tmp_path: Path):
    note = killed(tmp_path)

    found = completed(tmp_path, note, FullDisk(0).calls())

    assert (found.rows, found.unplaced, "No space" in str(found.refused)) == (0, {}, True)
    assert completed(tmp_path, note) == Completion(rows=10, unplaced={})


def test_a_file_that_cannot_be_looked_into_for_a_moment_costs_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """For want of open files, as it was to be found out behind a hole which rows it has."""
    note = killed(tmp_path)
    (path,) = journal_files(tmp_path)
    members = members_of(path)
    path.write_bytes(b"".join([*members[:9], bytes(len(members[9])), *members[10:]]))
    refusals = iter([True])

    class Rows(PartRows):
        def __iter__(self) -> Iterator[bytes]:
            if next(refusals, False):
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return super().__iter__()

    monkeypatch.setattr("options_helper.data.intraday.writing.PartRows", Rows)
    found = completed(tmp_path, note)

    assert next(refusals, None) is None, "nothing was looked up"
    assert (found.rows, found.unplaced, found.refused) == (10, {}, None)
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(20)]


def test_damage_to_the_journal_is_told_and_what_is_before_and_behind_it_is_made(tmp_path: Path):
    note = killed(tmp_path, members=1)
    (path,) = journal_files(tmp_path)
    members = members_of(path)
    path.write_bytes(b"".join([*members[:12], bytes(len(members[12])), *members[13:]]))

    found = completed(tmp_path, note)

    (hole,) = found.holes
    assert (found.rows, hole.first, hole.until, hole.damaged) == (19, 11, 12, True)
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(10), *range(11, 20)]
