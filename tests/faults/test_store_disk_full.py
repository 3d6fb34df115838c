"""A disk that takes no more costs nothing while the buffer lasts; then the newest rows, and these are counted."""

from __future__ import annotations

import errno
import os
import random
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from options_helper.data.intraday.writing import LINE_BYTES
from options_helper.data.intraday_store import IntradayStore
from options_helper.errors import StoreError
from tests.kit.captured import AAPL_QUOTES, Clock, FullDisk, bid_sizes, numbers, quotes, rows_in, store
from tests.kit.few_files import few_files
from tests.kit.pace import runs

DAY = date(2026, 11, 5)


def assert_adds_up(kept: IntradayStore) -> None:
    assert all(counts.accounted for counts in kept.counts().kinds.values()), kept.counts()


@pytest.mark.parametrize("room", [0, 1, 40, 100, 137, 300, 500, 1_000])
def test_wherever_the_disk_gets_full_the_file_stays_sound_and_nothing_is_lost(tmp_path: Path, room: int):
    """The first refusal is a write that takes a part; the second one is an error."""
    clock, disk = Clock(), FullDisk(room)
    with store(tmp_path, clock=clock, disk=disk.calls(), flush_rows=10) as kept:
        kept.append("stocks", quotes(100))
        assert_adds_up(kept)
        counts = kept.counts()
        assert counts.total.buffered > 0
        assert counts.problem is not None
        assert "No space left on device" in counts.problem
        if (tmp_path / AAPL_QUOTES).exists():
            assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(counts.total.written)]

        disk.room = None
        clock.advance(31)
        kept.tick()

        assert (kept.counts().total.written, kept.counts().problem) == (100, None)
    rows = rows_in(tmp_path / AAPL_QUOTES)
    assert (bid_sizes(rows), numbers(rows)) == ([*range(100)], [*range(1, 101)])
    assert [report.problems for report in store(tmp_path).verify()] == [()]
    assert list(tmp_path.rglob("*.torn-*")) == []


def test_attempts_become_rarer_and_rows_wait_compressed(tmp_path: Path):
    clock, disk = Clock(), FullDisk(0)
    attempts = 0

    def write(descriptor: int, data: memoryview) -> int:
        nonlocal attempts
        attempts += 1
        return disk.write(descriptor, data)

    calls = replace(disk.calls(), write=write)
    # Uncompressed, there would be room for a hundred rows.
    with store(tmp_path, clock=clock, disk=calls, flush_rows=50, buffer_bytes=100 * LINE_BYTES) as kept:
        disk.room = None
        kept.append("stocks", quotes(50))
        attempts, disk.room = 0, 0
        for first in range(50, 650):
            kept.append("stocks", quotes(1, first=first))
            clock.advance(0.1)
            kept.tick()
        assert 5 <= attempts <= 10, "in a minute: at 0.5, 1, 2, 4, 8, 16 and 30 seconds' distance"
        assert kept.counts().total.buffered == 600

        disk.room = None
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(650)]


def test_when_the_buffer_is_full_the_newest_rows_are_lost_and_counted(tmp_path: Path):
    clock, disk = Clock(), FullDisk()
    with store(tmp_path, clock=clock, disk=disk.calls(), flush_rows=10, buffer_bytes=3_000) as kept:
        kept.append("stocks", quotes(10))
        disk.room = 0
        for first in range(10, 1_000):
            kept.append("stocks", quotes(1, first=first))
            assert_adds_up(kept)
        lost = kept.counts().total.lost
        buffered = kept.counts().total.buffered
        assert 0 < lost < 990

        disk.room = None
        clock.advance(31)
        kept.tick()
        kept.append("stocks", quotes(10, first=1_000))

    rows = rows_in(tmp_path / AAPL_QUOTES)
    assert bid_sizes(rows) == [*range(10 + buffered), *range(1_000, 1_010)]
    assert numbers(rows) == [*range(1, len(rows) + 1)]
    assert kept.counts().total.written + lost == 1_010
    (report,) = store(tmp_path).verify()
    (gap,) = report.gaps
    missing = quotes(lost, first=10 + buffered)
    assert report.ok
    assert (gap.lost, gap.since_ns, gap.until_ns) == (lost, missing[0].received_ns, missing[-1].received_ns)
    assert gap.reason == "the disk took no more, and neither did the buffer"


def test_each_time_that_rows_are_lost_is_a_gap(tmp_path: Path):
    clock, disk = Clock(), FullDisk()
    with store(tmp_path, clock=clock, disk=disk.calls(), flush_rows=10, buffer_bytes=1_000) as kept:
        for round_ in range(2):
            disk.room = None
            clock.advance(31)
            kept.tick()
            kept.append("stocks", quotes(10, first=round_ * 1_000))
            disk.room = 0
            for first in range(10, 200):
                kept.append("stocks", quotes(1, first=round_ * 1_000 + first))
        disk.room = None

    (report,) = store(tmp_path).verify()
    assert (report.ok, len(report.gaps)) == (True, 2)
    assert report.lost == kept.counts().total.lost > 0


def test_a_file_that_was_deleted_is_begun_anew_with_the_rows_that_waited(tmp_path: Path):
    clock, disk = Clock(), FullDisk()
    with store(tmp_path, clock=clock, disk=disk.calls(), flush_rows=10) as kept:
        kept.append("stocks", quotes(10))
        disk.room = 0
        kept.append("stocks", quotes(10, first=10))
        (tmp_path / AAPL_QUOTES).unlink()
        disk.room = None
        clock.advance(31)
        kept.tick()
        kept.append("stocks", quotes(10, first=20))

    assert numbers(rows_in(tmp_path / AAPL_QUOTES)) == [*range(11, 31)]
    assert [report.problems for report in store(tmp_path).verify()] == [()]


def test_a_full_buffer_on_a_sound_disk_is_written_and_loses_nothing(tmp_path: Path):
    with store(tmp_path, buffer_bytes=10_000) as kept:
        for first in range(2_000):
            kept.append("stocks", quotes(1, f"S{first % 70}", first=first))
        assert kept.counts().total.buffered <= 51

    assert (kept.counts().total.written, kept.counts().total.lost) == (2_000, 0)


def test_what_cannot_be_written_at_the_end_is_counted_as_lost(tmp_path: Path):
    disk = FullDisk(0)
    kept = store(tmp_path, disk=disk.calls(), flush_rows=10)
    kept.append("stocks", quotes(25))
    kept.append("options", quotes(5, "AAPL261218C00180000"))

    kept.close()

    counts = kept.counts()
    assert (counts.kinds["stocks"].lost, counts.kinds["options"].lost) == (25, 5)
    assert_adds_up(kept)
    assert counts.total.buffered == 0


def test_what_is_lost_at_the_end_is_noted_beside_the_file(tmp_path: Path):
    disk = FullDisk()
    with store(tmp_path, disk=disk.calls(), flush_rows=10) as kept:
        kept.append("stocks", quotes(10))
        disk.room = 0
        kept.append("stocks", quotes(15, first=10))

    (report,) = store(tmp_path).verify()
    (gap,) = report.gaps
    lost = quotes(15, first=10)
    assert (report.ok, report.rows, report.lost) == (True, 10, 15)
    assert (gap.since_ns, gap.until_ns) == (lost[0].received_ns, lost[-1].received_ns)


def test_the_disk_counts_as_full_before_it_is_and_the_rest_is_for_the_end(tmp_path: Path):
    clock, disk = Clock(), FullDisk()
    free = 100 << 20
    calls = replace(disk.calls(), free_bytes=lambda _: free)
    with store(tmp_path, clock=clock, disk=calls, flush_rows=1, min_free_bytes=64 << 20) as kept:
        kept.append("stocks", quotes(1))
        free = 63 << 20
        kept.append("stocks", quotes(1, first=1))
        assert (kept.counts().total.written, kept.counts().total.buffered) == (1, 1)
        assert kept.counts().problem == f"{tmp_path}: less than 64 MB are free"

        free = 100 << 20
        clock.advance(1)
        kept.tick()
        assert kept.counts().total.written == 2

        free = 63 << 20
        kept.append("stocks", quotes(1, first=2))

    assert kept.counts().total.lost == 0
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [0, 1, 2]


def test_a_file_that_cannot_be_cut_back_is_mended_before_the_next_row(tmp_path: Path):
    """The disk took a part of a member, and then not even a cut."""
    clock, disk = Clock(), FullDisk()

    def truncate(descriptor: int, size: int) -> None:
        if disk.room is not None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.ftruncate(descriptor, size)

    calls = replace(disk.calls(), truncate=truncate)
    with store(tmp_path, clock=clock, disk=calls, flush_rows=10) as kept:
        kept.append("stocks", quotes(10))
        disk.room = 50
        kept.append("stocks", quotes(10, first=10))
        assert kept.counts().total.buffered == 10

        disk.room = None
        clock.advance(1)
        kept.tick()

    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(20)]
    (torn,) = tmp_path.rglob("*.torn-*")
    assert len(torn.read_bytes()) == 50


def test_an_interrupt_amid_a_member_leaves_no_trace(tmp_path: Path):
    disk = FullDisk()
    interrupted = False

    def write(descriptor: int, data: memoryview) -> int:
        nonlocal interrupted
        if not interrupted and len(data) > 200:
            interrupted = True
            os.write(descriptor, data[:100])
            raise KeyboardInterrupt
        return os.write(descriptor, data)

    with (
        pytest.raises(KeyboardInterrupt),
        store(tmp_path, disk=replace(disk.calls(), write=write), flush_rows=10) as kept,
    ):
        kept.append("stocks", quotes(10))

    assert interrupted
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(10)]


def test_a_sync_that_fails_is_told(tmp_path: Path):
    clock = Clock()

    def fails(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    disk = FullDisk().calls()
    with store(tmp_path, clock=clock, disk=disk, flush_rows=1) as kept:
        kept.append("stocks", quotes(1))
    with store(tmp_path, clock=clock, disk=replace(disk, sync=fails), flush_rows=1) as kept:
        kept.append("stocks", quotes(1, first=1))
        clock.advance(5)
        kept.tick()

        assert kept.counts().sync_failures == 1
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [0, 1]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_sync_that_nothing_could_be_opened_for_is_no_failure_of_the_disk_and_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, what: str
):
    clock = Clock()
    refusing = True
    synced = list[object]()

    def sync(one: object) -> None:
        if refusing:
            raise OSError(number, os.strerror(number))
        synced.append(one)

    disk = replace(FullDisk().calls(), sync_all=lambda _: False)
    with store(tmp_path, clock=clock, disk=disk, flush_rows=1) as kept:
        kept.append("stocks", quotes(1))
    if what == "file":
        disk = replace(disk, sync=sync)
    else:
        monkeypatch.setattr("options_helper.data.intraday.recording.sync_folder", sync)
    with store(tmp_path, clock=clock, disk=disk, flush_rows=1) as kept:
        kept.append("stocks", quotes(1, "AAPL" if what == "file" else "MSFT", first=1))
        clock.advance(5)
        kept.tick()
        assert (kept.counts().sync_failures, kept.counts().sync_waits, synced) == (0, True, [])

        refusing = False
        kept.tick()
        assert (kept.counts().sync_failures, kept.counts().sync_waits) == (0, False)
        assert synced

    assert kept.counts().sync_failures == 0


def test_a_sync_that_nothing_could_be_opened_for_until_the_end_counts_as_failed(tmp_path: Path):
    """Nobody knows then what would last."""

    def sync(_: int) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    disk = FullDisk().calls()
    with store(tmp_path, disk=disk, flush_rows=1) as kept:
        kept.append("stocks", quotes(1))
    with store(tmp_path, disk=replace(disk, sync=sync), flush_rows=1) as kept:
        kept.append("stocks", quotes(1, first=1))

    assert kept.counts().sync_failures == 1


def test_a_day_is_not_finished_while_its_file_cannot_be_opened_to_be_synced_and_loses_nothing_by_it(
    tmp_path: Path,
):
    """Sealed it would be a file of which nobody knows that it lasts, and which a recorder still has open."""
    refusing = True

    def sync(_: int) -> None:
        if refusing:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    disk = replace(FullDisk().calls(), sync_all=lambda _: False)
    with store(tmp_path, disk=disk, flush_rows=1) as kept:
        kept.append("stocks", quotes(1))
    with store(tmp_path, disk=replace(disk, sync=sync), flush_rows=1) as kept:
        kept.append("stocks", quotes(1, first=1))
        with pytest.raises(StoreError, match=r"AAPL .* cannot be synced now\. Try again in a moment"):
            kept.seal(DAY)
        kept.append("stocks", quotes(1, first=2))
        assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [0, 1, 2]

        refusing = False
        (report,) = kept.seal(DAY)

    assert (report.problem, kept.counts().sync_failures) == (None, 0)
    assert [(one.ok, one.sealed, one.rows) for one in store(tmp_path).verify()] == [(True, True, 3)]


def test_running_out_of_descriptors_costs_time_and_no_rows(tmp_path: Path):
    clock = Clock()
    with few_files(), store(tmp_path, clock=clock, flush_rows=1, open_files=128) as kept:
        kept.append("options", [one for number in range(60) for one in quotes(1, f"S{number}")])
        for _ in range(10):
            clock.advance(1)
            kept.tick()

    assert (kept.counts().total.written, kept.counts().total.lost) == (60, 0)


@pytest.mark.parametrize("seed", range(runs(20, 300)))
def test_whatever_the_disk_does_every_row_is_written_waiting_or_counted_as_lost(tmp_path: Path, seed: int):
    """And the files hold exactly the rows that were not lost, in order."""
    chance = random.Random(seed)
    clock, disk = Clock(), FullDisk()
    symbols = ("A", "B", "C")
    given: dict[str, list[int]] = {symbol: [] for symbol in symbols}
    kept = store(tmp_path, clock=clock, disk=disk.calls(), flush_rows=7, buffer_bytes=2_500, open_files=2)
    for number in range(400):
        match chance.randrange(12):
            case 0:
                disk.room = chance.choice([0, 60, 200, 900])
            case 1:
                disk.room = None
            case 2:
                clock.advance(chance.choice([0.5, 6, 40]))
                kept.tick()
            case 3:
                kept.flush()
            case _:
                symbol = chance.choice(symbols)
                before = kept.counts().total.lost
                kept.append("stocks", quotes(1, symbol, first=number))
                if kept.counts().total.lost == before:
                    given[symbol].append(number)
        assert_adds_up(kept)
    disk.room = None
    kept.close()

    assert kept.counts().total.written == sum(map(len, given.values()))
    for report in store(tmp_path).verify():
        assert report.ok, report
        rows = rows_in(report.part.path)
        assert bid_sizes(rows) == given[report.part.key.symbol]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full_and_then_has_room_again(tiny_disk: Path):
    clock = Clock()
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(os.urandom(180 << 10))
    root = tiny_disk / "root"
    with store(root, clock=clock, flush_rows=100) as kept:
        kept.append("stocks", quotes(10_000))
        written = kept.counts().total.written
        assert 0 < written < 10_000
        assert bid_sizes(rows_in(root / AAPL_QUOTES)) == [*range(written)]
        assert_adds_up(kept)

        ballast.unlink()
        clock.advance(31)
        kept.tick()
        assert kept.counts().total.written == 10_000

    assert bid_sizes(rows_in(root / AAPL_QUOTES)) == [*range(10_000)]
    assert [report.problems for report in store(root).verify()] == [()]


def test_a_disk_without_inodes_is_not_called_full(tmp_path: Path):
    """Space is left: who reads of space looks for large files, and there are none."""
    disk = FullDisk(0).calls()
    with store(tmp_path, flush_rows=1, disk=replace(disk, free_inodes=lambda _: 0)) as kept:
        kept.append("stocks", quotes(1))

        assert "no inodes left" in str(kept.counts().problem)
    with store(tmp_path, flush_rows=1, disk=disk) as kept:
        kept.append("stocks", quotes(1))

        assert "No space left" in str(kept.counts().problem)
