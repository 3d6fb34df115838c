"""A window is stored whole or not at all, wherever the process is killed, and the store says what it has."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from options_helper.data.atomic_file import replace_file
from options_helper.data.recording.session_notes import SessionNote, save_note
from options_helper.errors import ConfigError, StoreError
from options_helper.ingest.jobs import JobName, Window
from options_helper.ingest.store import Answer, IngestStore, Table, _append
from options_helper.model.announcement import MarketKind

AT = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
SLOT = Window(AT, AT + timedelta(minutes=15), AT)
NEXT = Window(SLOT.until, SLOT.until + timedelta(minutes=15), SLOT.until)
TABLE = Table(("symbol", "bid"), [("SPY261218C00700000", 1.25), ("SPY261218P00700000", None)])


def now() -> datetime:
    return AT


class Killed(BaseException):
    """What no `except Exception` stops, as little as SIGKILL."""


def answer(table: Table | None = TABLE) -> Answer:
    return Answer(table, AT, requests=2, seconds=0.5, rows=2)


def files(root: Path) -> list[str]:
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and path.name != ".capture.lock"
    )


def test_what_is_kept_is_read_back_and_moves_the_watermark(tmp_path: Path):
    with IngestStore(tmp_path, now=now) as store:
        store.keep(JobName.CHAINS, "SPY", SLOT, answer())

    again = IngestStore(tmp_path)
    entry = again.newest(JobName.CHAINS, "SPY")

    assert entry is not None
    assert (entry.rows, entry.requests, entry.asked_at) == (2, 2, AT)
    assert again.watermark(JobName.CHAINS, "SPY") == SLOT.until
    assert again.watermark(JobName.CHAINS, "QQQ") is None
    assert list(again.read(JobName.CHAINS, entry)) == [
        {"symbol": "SPY261218C00700000", "bid": "1.25"},
        {"symbol": "SPY261218P00700000", "bid": ""},
    ]


def test_the_same_window_is_the_same_bytes(tmp_path: Path):
    for folder in ("a", "b"):
        with IngestStore(tmp_path / folder, now=now) as store:
            store.keep(JobName.CHAINS, "SPY", SLOT, answer())

    first, second = (next((tmp_path / name).rglob("*.csv.gz")).read_bytes() for name in ("a", "b"))
    assert first == second


def test_a_subject_with_odd_signs_stays_in_its_folder(tmp_path: Path):
    with IngestStore(tmp_path, now=now) as store:
        store.keep(JobName.CHAINS, "../BRK/B", SLOT, answer())

    assert [name for name in files(tmp_path) if name.endswith(".gz")] == [
        "ingest/chains/..%2FBRK%2FB/2026-11-25T150000Z.csv.gz"
    ]


def dies_before(_path: Path, _data: bytes) -> None:
    raise Killed


def replaces_and_dies(path: Path, data: bytes) -> None:
    replace_file(path, data)
    raise Killed


def writes_half_and_dies(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data[: len(data) // 2])
    raise Killed


def leaves_half_a_file(path: Path, data: bytes) -> None:
    path.with_name(f".{path.name}.0123abcd.new").write_bytes(data[: len(data) // 2])
    raise Killed


def appends_and_dies(path: Path, data: bytes) -> None:
    _append(path, data)
    raise Killed


@pytest.mark.parametrize(
    ("step", "kill", "is_stored"),
    [
        ("replace", dies_before, False),
        ("replace", leaves_half_a_file, False),
        ("replace", replaces_and_dies, False),
        ("append", dies_before, False),
        ("append", writes_half_and_dies, False),
        ("append", appends_and_dies, True),
    ],
)
def test_a_kill_at_any_step_leaves_nothing_by_halves(
    tmp_path: Path, step: str, kill: Callable[[Path, bytes], None], *, is_stored: bool
):
    with IngestStore(tmp_path, now=now) as store:
        store.keep(JobName.CHAINS, "SPY", SLOT, answer())
    with pytest.raises(Killed), IngestStore(tmp_path, now=now, **{step: kill}) as store:  # type: ignore[arg-type]
        store.keep(JobName.CHAINS, "SPY", NEXT, answer())

    expected = NEXT.until if is_stored else SLOT.until
    assert IngestStore(tmp_path).watermark(JobName.CHAINS, "SPY") == expected

    with IngestStore(tmp_path, now=now) as store:
        if not is_stored:
            store.keep(JobName.CHAINS, "SPY", NEXT, answer())
    # Nothing of the kill is left for a later row to go on in its midst.
    assert all(map(json.loads, (tmp_path / "ingest" / "chains" / "ledger.jsonl").read_bytes().splitlines()))

    windows = [(entry.since, entry.rows) for entry in IngestStore(tmp_path).entries(JobName.CHAINS)]
    assert windows == [(SLOT.since, 2), (NEXT.since, 2)]
    assert files(tmp_path) == [
        "ingest/chains/SPY/2026-11-25T150000Z.csv.gz",
        "ingest/chains/SPY/2026-11-25T151500Z.csv.gz",
        "ingest/chains/ledger.jsonl",
    ]


def test_a_second_file_whose_row_a_kill_left_out_is_asked_for_again(tmp_path: Path):
    """As by a clock that was put back: the row that is there says how many rows the first file had."""
    with IngestStore(tmp_path, now=now) as store:
        store.keep(JobName.CHAINS, "SPY", SLOT, answer())
        store.keep(JobName.CHAINS, "SPY", NEXT, answer())
    again = replace(answer(), table=replace(TABLE, rows=()), rows=0)
    with pytest.raises(Killed), IngestStore(tmp_path, now=now, append=dies_before) as store:
        store.keep(JobName.CHAINS, "SPY", NEXT, again)

    store = IngestStore(tmp_path)
    assert store.watermark(JobName.CHAINS, "SPY") == SLOT.until
    assert store.stored(JobName.CHAINS, "SPY", NEXT) is None


def test_a_file_that_somebody_removed_is_asked_for_again(tmp_path: Path):
    with IngestStore(tmp_path, now=now) as store:
        store.keep(JobName.CHAINS, "SPY", SLOT, answer())
        entry = store.keep(JobName.CHAINS, "SPY", NEXT, answer())
        assert entry.file is not None
        (tmp_path / "ingest" / "chains" / entry.file).unlink()

        assert store.watermark(JobName.CHAINS, "SPY") == SLOT.until


def test_a_job_that_keeps_its_rows_elsewhere_has_a_row_in_the_ledger_alone(tmp_path: Path):
    with IngestStore(tmp_path, now=now) as store:
        entry = store.keep(JobName.GAPS, "all", SLOT, answer(None))

        assert store.watermark(JobName.GAPS) == SLOT.until
        assert list(store.read(JobName.GAPS, entry)) == []


@pytest.mark.skipif(sys.platform == "win32", reason="a folder's names are no file's there")
def test_a_row_says_that_a_window_is_there_when_the_disk_has_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """After a loss of power too: file, its name and the names of new folders, and only then the row."""
    synced: list[tuple[int, int]] = []

    def notes(descriptor: int) -> None:
        found = os.fstat(descriptor)
        synced.append((found.st_ino, found.st_size if stat.S_ISREG(found.st_mode) else 0))

    monkeypatch.setattr(os, "fsync", notes)
    monkeypatch.setattr(os, "fdatasync", notes, raising=False)
    with IngestStore(tmp_path, now=now) as store:
        store.keep(JobName.CHAINS, "SPY", SLOT, answer())

    job = tmp_path / "ingest" / "chains"
    (file,), ledger = job.glob("SPY/*.csv.gz"), job / "ledger.jsonl"
    folders = [(one.stat().st_ino, 0) for one in (job / "SPY", job, job.parent, tmp_path)]
    written, row = [(one.stat().st_ino, one.stat().st_size) for one in (file, ledger)]
    assert {written, row, *folders} <= set(synced)
    before = synced[: synced.index(row)]
    assert written in before
    assert folders[0] in before, "the file's own name"
    assert synced[synced.index(row) + 1 :] == [folders[1]], "the ledger's name, which is new"


def test_of_two_rows_of_the_same_window_the_later_one_counts(tmp_path: Path):
    with IngestStore(tmp_path, now=now) as store:
        for rows in (1, 2):
            for window in (SLOT, NEXT):
                store.keep(JobName.CHAINS, "SPY", window, replace(answer(), rows=rows))

        found = [
            [(entry.since, entry.rows) for entry in one.entries(JobName.CHAINS)]
            for one in (store, IngestStore(tmp_path))
        ]

    assert found == [[(SLOT.since, 2), (NEXT.since, 2)]] * 2


def test_a_second_writer_is_turned_away_and_a_reader_is_not(tmp_path: Path):
    with IngestStore(tmp_path, now=now) as store:
        store.keep(JobName.CHAINS, "SPY", SLOT, answer())

        said = f"by the ingestion, process {os.getpid()} on .* Stop that ingestion"
        with pytest.raises(StoreError, match=said), IngestStore(tmp_path, now=now):
            pass
        assert IngestStore(tmp_path).watermark(JobName.CHAINS, "SPY") == SLOT.until


def test_a_folder_of_another_market_is_refused(tmp_path: Path):
    with IngestStore(tmp_path, market=MarketKind.LOCAL, now=now) as store:
        store.keep(JobName.CHAINS, "SPY", SLOT, answer())

    with pytest.raises(ConfigError, match=r"another market answered \(local\).*--out"), IngestStore(tmp_path):
        pass
    with pytest.raises(ConfigError):
        IngestStore(tmp_path).require_same_market()
    with IngestStore(tmp_path, market=MarketKind.LOCAL, now=now) as store:
        assert store.watermark(JobName.CHAINS, "SPY") == SLOT.until


def test_to_read_makes_no_folder(tmp_path: Path):
    assert IngestStore(tmp_path).watermark(JobName.CHAINS, "SPY") is None
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_cannot_be_read_costs_its_window_only(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with IngestStore(tmp_path, now=now) as store:
        store.keep(JobName.CHAINS, "SPY", SLOT, answer())
    ledger = tmp_path / "ingest" / "chains" / "ledger.jsonl"
    ledger.write_bytes(b'{"subject": 7}\n' + ledger.read_bytes())

    assert IngestStore(tmp_path).watermark(JobName.CHAINS, "SPY") == SLOT.until
    assert "line 1 is no row of a ledger" in caplog.text


def test_half_a_row_that_could_not_be_taken_back_is_not_glued_to_the_next(tmp_path: Path):
    """The process lives on, and asks for that window again: another one finds it stored."""
    path, torn = tmp_path / "ingest" / "chains" / "ledger.jsonl", [b""]

    def append(path: Path, data: bytes) -> None:
        if torn[0]:
            path.write_bytes(path.read_bytes() + torn[0])
            raise OSError(5, "Input/output error")
        _append(path, data)

    with IngestStore(tmp_path, now=now, append=append) as store:
        store.keep(JobName.CHAINS, "SPY", SLOT, answer())
        torn[0] = path.read_bytes()[:40]
        with pytest.raises(StoreError):
            store.keep(JobName.CHAINS, "SPY", NEXT, answer())
        torn[0] = b""
        store.keep(JobName.CHAINS, "SPY", NEXT, answer())

    assert [entry.since for entry in IngestStore(tmp_path).entries(JobName.CHAINS)] == [
        SLOT.since,
        NEXT.since,
    ]


def test_a_disk_that_refuses_is_a_sentence(tmp_path: Path):
    def full(_path: Path, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with (
        IngestStore(tmp_path, now=now, replace=full) as store,
        pytest.raises(StoreError, match=r"No space left.*asked for again"),
    ):
        store.keep(JobName.CHAINS, "SPY", SLOT, answer())


@pytest.mark.parametrize(
    ("recorded", "asked"),
    [
        (MarketKind.ALPACA, MarketKind.LOCAL),
        (MarketKind.SIMULATED, MarketKind.ALPACA),
        (MarketKind.REPLAY, MarketKind.ALPACA),
    ],
)
def test_a_folder_with_a_recording_of_another_market_is_refused(
    tmp_path: Path, recorded: MarketKind, asked: MarketKind
):
    note = SessionNote(
        session="one", began_ns=1, seen_ns=1, journal=True, flush_events=500, flush_seconds=1.0
    )
    save_note(tmp_path, replace(note, market=recorded.value))

    said = rf"a recording of another market \({recorded.value}\), and this is {asked.value}.*--out"
    with pytest.raises(ConfigError, match=said), IngestStore(tmp_path, market=asked):
        pass


@pytest.mark.parametrize(
    ("recorded", "asked"),
    [
        ("", MarketKind.LOCAL),
        ("", MarketKind.ALPACA),
        ("alpaca", MarketKind.ALPACA),
        ("simulated", MarketKind.LOCAL),
    ],
)
def test_a_recording_of_the_same_market_or_of_nobody_knows_whose_is_welcome(
    tmp_path: Path, recorded: str, asked: MarketKind
):
    note = SessionNote(
        session="one", began_ns=1, seen_ns=1, journal=True, flush_events=500, flush_seconds=1.0
    )
    save_note(tmp_path, replace(note, market=recorded))

    with IngestStore(tmp_path, market=asked, now=now) as store:
        store.keep(JobName.CHAINS, "SPY", SLOT, answer())


def moved(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


@pytest.mark.parametrize("fate", [shutil.rmtree, moved])
def test_a_folder_that_is_moved_or_removed_is_begun_anew_and_what_is_not_there_counts_as_missing(
    tmp_path: Path, fate: Callable[[Path], None], caplog: pytest.LogCaptureFixture
):
    with IngestStore(tmp_path, now=now) as store:
        store.keep(JobName.GAPS, "all", SLOT, answer(None))
        fate(tmp_path / "ingest")
        store.keep(JobName.CHAINS, "SPY", SLOT, answer())

        assert store.watermark(JobName.GAPS) is None
        assert IngestStore(tmp_path).watermark(JobName.CHAINS, "SPY") == SLOT.until
        with pytest.raises(StoreError, match="Stop that ingestion"), IngestStore(tmp_path, now=now):
            pass
    assert "was moved or removed" in caplog.text


def test_a_folder_whose_name_another_writer_has_is_not_written_into(tmp_path: Path):
    with IngestStore(tmp_path, now=now) as first:
        moved(tmp_path / "ingest")
        with IngestStore(tmp_path, now=now) as second:
            second.keep(JobName.CHAINS, "SPY", SLOT, answer())

            with pytest.raises(StoreError, match=f"the ingestion, process {os.getpid()}"):
                first.keep(JobName.CHAINS, "SPY", NEXT, answer())

    assert IngestStore(tmp_path).watermark(JobName.CHAINS, "SPY") == SLOT.until
