"""What was heard is in the journal first, and comes back record for record, whatever became of the process."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from options_helper.data.intraday.files import Disk
from options_helper.data.recording.journal import (
    JournalWriter,
    Record,
    RecordKind,
    facts_record,
    journal_files,
    read_records,
    session_name,
    sessions,
)
from options_helper.errors import StoreError
from options_helper.model.streams import StreamName
from tests.kit.captured import FullDisk
from tests.kit.fakes import NOON, frame, quote_message

HOUR = 3_600_000_000_000
QUOTE = frame(quote_message("AAPL"))


def received(number: int = 0, payload: bytes = QUOTE, stream: StreamName = StreamName.OPTIONS) -> Record:
    return Record(RecordKind.FRAME, NOON + number, payload, stream, 1)


def write(root: Path, records: Sequence[Record], session: str = "one", *, flush_each: bool = False) -> None:
    journal = JournalWriter(root, session)
    for record in records:
        journal.append(record)
        if flush_each:
            journal.flush()
    journal.close()


@pytest.mark.parametrize("room", [0, 60, 100, 150, 200, 300])
def test_what_a_full_disk_refused_for_a_while_is_written_once_and_in_order(tmp_path: Path, room: int):
    disk = FullDisk(room)
    journal = JournalWriter(tmp_path, "one", disk.calls())
    for number in range(5):
        journal.append(received(number))
        with suppress(OSError):
            journal.flush()
    waiting = journal.waiting
    disk.room = None
    journal.close()

    assert 0 < waiting <= 5
    assert journal.waiting == 0
    assert [record.received_ns - NOON for record in read_records(journal_files(tmp_path))] == [*range(5)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    st.lists(
        st.builds(
            Record,
            st.sampled_from(list(RecordKind)),
            st.integers(NOON, NOON + 30 * HOUR),
            st.binary(max_size=400),
            st.sampled_from(list(StreamName)),
            st.integers(0, 2**32 - 1),
        ),
        max_size=20,
    ),
    st.booleans(),
)
def test_every_record_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[Record],
    flush_each: bool,  # noqa: FBT001
):
    root = tmp_path_factory.mktemp("journal")
    ordered = sorted(records, key=lambda record: record.received_ns)
    write(root, ordered, flush_each=flush_each)

    assert list(read_records(journal_files(root))) == ordered


def test_facts_survive_as_they_are(tmp_path: Path):
    write(tmp_path, [facts_record(RecordKind.SESSION, NOON, {"stocks": ["AAPL"], "feed": "iex"})])

    (record,) = read_records(journal_files(tmp_path))
    assert record.facts == {"stocks": ["AAPL"], "feed": "iex"}


def test_a_new_york_day_has_its_own_folder(tmp_path: Path):
    # Noon in New York, and twelve and a half hours later.
    write(tmp_path, [received(0), received(25 * HOUR // 2)], flush_each=True)

    assert [path.parent.name for path in journal_files(tmp_path)] == ["2026-11-05", "2026-11-06"]


def test_sessions_are_kept_apart_and_in_time(tmp_path: Path):
    early = session_name(datetime(2026, 11, 5, 9, tzinfo=UTC), 7)
    late = session_name(datetime(2026, 11, 5, 10, tzinfo=UTC), 6)
    write(tmp_path, [received(2)], late)
    write(tmp_path, [received(1)], early)

    assert list(sessions(tmp_path)) == [early, late]


def test_what_was_flushed_survives_a_kill(tmp_path: Path):
    journal = JournalWriter(tmp_path, "killed")
    journal.append(received(1))
    journal.flush()
    journal.append(received(2))

    assert list(read_records(journal_files(tmp_path))) == [received(1)]
    journal.close()


@pytest.mark.parametrize("skip", range(7))
def test_reading_goes_on_where_it_was_left(tmp_path: Path, skip: int):
    records = [received(number) for number in range(6)]
    journal = JournalWriter(tmp_path, "one")
    for record in records:
        journal.append(record)
        if record.received_ns % 3 == 0:
            journal.flush()
    journal.close()

    assert list(read_records(journal_files(tmp_path), skip)) == records[skip:]


def test_a_torn_tail_costs_its_member_only(tmp_path: Path):
    write(tmp_path, [received(1), received(2)], flush_each=True)
    (path,) = journal_files(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])

    assert list(read_records([path])) == [received(1)]


def test_damage_inside_a_file_is_an_error_that_names_it(tmp_path: Path):
    write(tmp_path, [received(1), received(2)], flush_each=True)
    (path,) = journal_files(tmp_path)
    data = bytearray(path.read_bytes())
    data[70:80] = bytes(10)
    path.write_bytes(bytes(data))

    with pytest.raises(StoreError, match=path.name):
        list(read_records([path]))


def test_what_a_full_disk_refuses_is_written_when_there_is_room(tmp_path: Path):
    room = {"bytes": 100}

    def write_some(descriptor: int, data: memoryview) -> int:
        if room["bytes"] <= 0:
            raise OSError(28, "No space left on device")
        taken = os.write(descriptor, data[: room["bytes"]])
        room["bytes"] -= taken
        return taken

    journal = JournalWriter(tmp_path, "full", Disk(write=write_some))
    journal.append(received(1))
    with pytest.raises(OSError, match="No space"):
        journal.flush()
    journal.append(received(2))
    room["bytes"] = 1 << 20
    journal.close()

    assert list(read_records(journal_files(tmp_path))) == [received(1), received(2)]


class ForgetfulDisk:
    """One that says once that it could not keep what was written since the last sync, and forgets it."""

    def __init__(self, *, for_ever: bool = False) -> None:
        self.fails = for_ever  # the next time
        self._for_ever = for_ever
        self._kept: dict[int, int] = {}  # inode → bytes
        self._has_failed = False

    def sync(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        is_new = status.st_ino not in self._kept
        if is_new or not self.fails or (self._has_failed and not self._for_ever):
            self._kept[status.st_ino] = status.st_size
            self._has_failed &= is_new
            return
        self._has_failed = True
        if not self._for_ever:
            os.ftruncate(descriptor, self._kept[status.st_ino])
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("seed", range(40))
def test_what_a_failed_sync_may_have_lost_is_written_again(tmp_path: Path, seed: int):
    """Whether it fails at a sync that was asked for, at a day's end or at the close: each record is there, and once."""
    chance, disk, records = random.Random(seed), ForgetfulDisk(), list[Record]()
    journal = JournalWriter(tmp_path, "one", Disk(sync=disk.sync))
    for number in range(60):
        records.append(received(number * HOUR // 2))
        journal.append(records[-1])
        disk.fails = chance.random() < 0.5
        with suppress(OSError):
            journal.flush()
            if chance.random() < 0.4:
                journal.sync()
        disk.fails = False
        if chance.random() < 0.3:
            journal.flush()
            skip = chance.randrange(len(records))
            assert list(journal.read_back(skip, pytest.fail)) == records[skip:]
    journal.flush()
    disk.fails = chance.random() < 0.5
    journal.close()

    assert list(read_records(journal_files(tmp_path))) == records
    assert journal.unproven == 0


def test_a_disk_that_keeps_nothing_is_not_given_the_same_for_ever(tmp_path: Path):
    journal = JournalWriter(tmp_path, "one", Disk(sync=ForgetfulDisk(for_ever=True).sync))
    written = list[int]()
    for number in range(20):
        journal.append(received(number))
        journal.flush()
        written.append(journal.written_bytes)
        with pytest.raises(OSError, match="Input/output"):
            journal.sync()

    assert len(journal_files(tmp_path)) == 2
    assert written[-1] < 22 * written[0]
    assert journal.unproven == 20
