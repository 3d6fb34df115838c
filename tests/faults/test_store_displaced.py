"""A name is not trusted to be the open file: what is deleted, moved or replaced while it is written is noticed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from options_helper.data.intraday.locking import RootLock
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording import loss_log
from options_helper.data.recording.journal import JournalWriter, journal_files
from options_helper.data.recording.loss_log import LossLog, loss_rows
from options_helper.errors import StoreError
from options_helper.model.gaps import Gap
from options_helper.model.instants import utc_datetime
from tests.data.recording.test_journal import received
from tests.kit.captured import AAPL_QUOTES, DAY, SECOND, Clock, bid_sizes, numbers, quotes, rows_in, store
from tests.kit.fakes import NOON
from tests.kit.waiting import at_once


def removed(path: Path) -> None:
    path.unlink()


def its_folder_removed(path: Path) -> None:
    shutil.rmtree(path.parent)


def moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def its_folder_moved(path: Path) -> None:
    path.parent.rename(path.parent.with_name("ELSEWHERE"))


def replaced(path: Path) -> None:
    """By an old copy: a restored backup, or what a synchronizing service thinks is newer."""
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes()[:-60])
    copy.replace(path)


def emptied(path: Path) -> None:
    """As logrotate does with copytruncate."""
    os.truncate(path, 0)


@pytest.mark.parametrize("fate", [removed, its_folder_removed, moved, its_folder_moved, replaced, emptied])
@pytest.mark.parametrize("open_files", [128, 0])
def test_rows_after_a_file_lost_its_name_are_in_a_file_with_that_name(
    tmp_path: Path, fate: Callable[[Path], None], open_files: int
):
    path = tmp_path / AAPL_QUOTES
    with store(tmp_path, flush_rows=4, open_files=open_files) as kept:
        kept.append("stocks", quotes(8))
        fate(path)
        kept.append("stocks", quotes(4, first=8))
        (found,) = kept.take_displaced()
        assert kept.counts().total.accounted

    sizes = bid_sizes(rows_in(path))
    assert sizes[-4:] == [8, 9, 10, 11]
    assert (found.path, found.symbol, found.rows) == (path, "AAPL", 8 - (len(sizes) - 4))
    assert numbers(rows_in(path))[-4:] == [9, 10, 11, 12], "numbers that were given are not given again"
    (report,) = store(tmp_path).verify(symbol="AAPL")
    assert report.lost == found.rows


def test_a_file_that_no_row_comes_for_is_missed_within_seconds(tmp_path: Path):
    clock = Clock()
    with store(tmp_path, flush_rows=1, clock=clock) as kept:
        kept.append("stocks", [*quotes(3, "AAPL"), *quotes(3, "MSFT")])
        (tmp_path / AAPL_QUOTES).unlink()
        clock.advance(5.0)
        kept.tick()

        (found,) = kept.take_displaced()
    assert (found.what, found.symbol, found.rows) == ("removed", "AAPL", 3)


def test_a_file_that_another_process_sealed_has_lost_nothing(tmp_path: Path):
    clock = Clock()
    with store(tmp_path, flush_rows=1, open_files=1, clock=clock) as kept:
        kept.append("stocks", [*quotes(3, "AAPL"), *quotes(3, "MSFT")])
        (report, *_) = store(tmp_path).seal(date.fromisoformat(DAY))
        clock.advance(60.0)
        kept.tick()
        assert (report.problem, kept.take_displaced()) == (None, [])
        kept.append("stocks", quotes(1, "AAPL", first=9))

    assert all(not one.problems for one in store(tmp_path).verify(symbol="AAPL"))
    assert IntradayStore(tmp_path).read("stocks", "quotes", "AAPL")["seq"].tolist() == [1, 2, 3, 4]


def test_a_folder_that_is_deleted_is_locked_anew(tmp_path: Path):
    root = tmp_path / "root"
    with store(root, flush_rows=1) as kept:
        kept.append("stocks", quotes(2))
        shutil.rmtree(root)
        kept.append("stocks", quotes(1, first=2))
        assert {file.path for file in kept.take_displaced()} == {root, root / AAPL_QUOTES}
        with pytest.raises(StoreError, match="being written"):
            store(root).acquire()

    assert bid_sizes(rows_in(root / AAPL_QUOTES)) == [2]


def test_under_the_name_of_a_folder_that_was_moved_only_one_records(tmp_path: Path):
    """Two recorders on one path would write over each other's meta files."""
    root, old = tmp_path / "root", tmp_path / "old"
    with store(root, flush_rows=1) as first:
        first.append("stocks", quotes(2))
        root.rename(old)
        with store(root, flush_rows=1) as second:
            second.append("stocks", quotes(1, first=70))
            first.append("stocks", quotes(1, first=2))
            assert "records under its name now" in str(first.counts().problem)
            first.close()
            second.append("stocks", quotes(1, first=71))

        assert all(not report.problems for report in store(root).verify())
    assert bid_sizes(rows_in(root / AAPL_QUOTES)) == [70, 71]
    assert bid_sizes(rows_in(old / AAPL_QUOTES)) == [0, 1]
    assert first.counts().total.lost == 1


def test_a_lock_file_that_is_deleted_lets_no_second_one_in(tmp_path: Path):
    first = RootLock(tmp_path)
    first.acquire(utc_datetime(NOON))
    (tmp_path / ".capture.lock").unlink()

    assert first.keep(utc_datetime(NOON)), "the folder is the same"
    with pytest.raises(StoreError, match="being written"), at_once():
        RootLock(tmp_path).acquire(utc_datetime(NOON))
    first.release()


@pytest.mark.parametrize("fate", [removed, its_folder_removed, moved, its_folder_moved, emptied])
def test_a_journal_that_lost_its_name_is_begun_anew_and_told(tmp_path: Path, fate: Callable[[Path], None]):
    journal = JournalWriter(tmp_path, "one")
    for number in range(3):
        journal.append(received(number))
        journal.flush()
    (path,) = journal_files(tmp_path)
    fate(path)
    journal.append(received(3))
    journal.flush()

    (found,) = journal.take_displaced()
    assert (found.path, found.rows) == (path, 3)
    assert "one-001.jnl.gz" in [file.name for file in journal_files(tmp_path)]
    journal.close()


def test_the_rows_of_a_loss_log_that_is_deleted_are_written_again(tmp_path: Path):
    losses = LossLog(tmp_path, "one")
    gaps = [
        Gap("stocks", NOON + number * SECOND, NOON + number * SECOND, f"gap {number}") for number in range(3)
    ]
    for gap in gaps:
        losses.write(gap)
    assert losses.restore() == []
    shutil.rmtree(tmp_path / "gaps")

    (path,) = losses.restore()
    assert [row.reason for row in loss_rows(tmp_path)] == ["gap 0", "gap 1", "gap 2"]
    assert path.exists()


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_of_a_loss_log_that_is_replaced_only_what_the_new_file_lacks_is_written_again(
    tmp_path: Path, kept: int
):
    """An editor's save, or a copy that is put in the place, has the same rows in another file."""
    losses = LossLog(tmp_path, "one")
    gaps = [
        Gap("stocks", NOON, NOON + SECOND, f'"{number // 2}", said the\nserver', 5) for number in range(3)
    ]
    for gap in gaps:
        losses.write(gap)
    (path,) = (tmp_path / "gaps").iterdir()
    told = loss_rows(tmp_path)
    saved = path.with_suffix(".saved")
    saved.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[: kept + 1]))
    saved.replace(path)

    assert losses.restore() == ([] if kept == 3 else [path])
    assert loss_rows(tmp_path) == told
    losses.write(Gap("stocks", NOON, NOON, "later"))
    assert loss_rows(tmp_path)[:-1] == told
    assert losses.restore() == []


def test_a_row_that_is_written_before_the_deletion_is_noticed_hides_none_of_those_before(tmp_path: Path):
    """It begins the file anew, which from then on is the right one."""
    losses = LossLog(tmp_path, "one")
    losses.write(Gap("stocks", NOON, NOON, "before"))
    shutil.rmtree(tmp_path / "gaps")

    losses.write(Gap("stocks", NOON + SECOND, NOON + SECOND, "after"))

    assert [row.reason for row in loss_rows(tmp_path)] == ["before", "after"]
    assert len(losses.restore()) == 1, "told once"
    assert losses.restore() == []


def test_a_row_that_was_on_its_way_when_the_loss_log_was_deleted_is_told_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The row is written, and gone before its folder could be made sure of."""

    def deletes(_folder: Path) -> None:
        shutil.rmtree(tmp_path / "gaps")
        raise FileNotFoundError

    losses, lost = LossLog(tmp_path, "one"), Gap("stocks", NOON, NOON, "a gap")
    with monkeypatch.context() as patch:
        patch.setattr(loss_log, "sync_folder", deletes)
        with pytest.raises(FileNotFoundError):
            losses.write(lost)

    losses.write(lost)

    assert [row.reason for row in loss_rows(tmp_path)] == ["a gap"]
    assert len(losses.restore()) == 1
