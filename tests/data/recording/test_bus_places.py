"""Where the next capture of a desk goes on, whatever was deleted of the journals before it."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from options_helper.data.recording.bus_places import places_of
from options_helper.data.recording.journal import (
    JournalWriter,
    Record,
    RecordKind,
    bus_record,
    facts_record,
    journal_files,
    recorded_market,
    session_number,
    sessions,
)
from options_helper.data.recording.session_notes import SessionNote, save_note
from options_helper.errors import StoreError
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.frames import Place
from options_helper.model.streams import StreamName
from tests.kit.fakes import NOON

STOCKS = StreamName.STOCKS
DAY = 86_400 * 10**9
SESSION = "20260611T160000.000000Z-1"
FIRST, SECOND = Place(10, 7, 9, 100), Place(20, 7, 19, 200)
NOTE = SessionNote(
    session=SESSION,
    began_ns=NOON,
    seen_ns=NOON + DAY,
    journal=True,
    flush_events=1,
    flush_seconds=1.0,
    number=1,
    desk="md",
    market="alpaca",
)


def two_days(root: Path, note: SessionNote | None = NOTE) -> list[Path]:
    """A recording of the desk `md` over two days; the folders of its journal."""
    writer = JournalWriter(root, SESSION)
    writer.append(facts_record(RecordKind.SESSION, NOON, {"desk": "md", "number": 1}))
    writer.append(bus_record(NOON, "md", {STOCKS: FIRST}))
    writer.flush()
    announced = Announcement(MarketKind.SIMULATED, NOON, 1.0, None).header()
    writer.append(Record(RecordKind.MARKET, NOON + DAY, announced.encode(), STOCKS))
    writer.append(Record(RecordKind.FRAME, NOON + DAY, b"x", STOCKS, 1))
    writer.append(bus_record(NOON + DAY, "md", {STOCKS: SECOND}))
    writer.close()
    if note is not None:
        save_note(root, note)
    return sorted((root / "journal").iterdir())


@pytest.mark.parametrize("note", [NOTE, replace(NOTE, ended_ns=NOON + DAY), None])
def test_a_recording_whose_first_day_was_deleted_goes_on_where_its_last_one_ends(
    tmp_path: Path, note: SessionNote | None
):
    first, _ = two_days(tmp_path, note)
    shutil.rmtree(first)

    assert places_of(tmp_path, "md") == {STOCKS: SECOND}
    assert places_of(tmp_path, "other") == {}


def test_one_that_ended_in_order_goes_on_where_its_note_says_whatever_is_left_of_its_journal(tmp_path: Path):
    first, last = two_days(
        tmp_path, replace(NOTE, ended_ns=NOON + DAY, places={"stocks": replace_sequence(SECOND, 21)})
    )

    for gone in (last, first):
        shutil.rmtree(gone)
        assert places_of(tmp_path, "md") == {STOCKS: replace_sequence(SECOND, 21)}
        assert places_of(tmp_path, "other") == {}


def test_one_that_was_killed_goes_on_where_its_journal_says_and_anew_without_one(tmp_path: Path):
    """What its note says of later was perhaps never written to the disk."""
    first, last = two_days(tmp_path, replace(NOTE, places={"stocks": replace_sequence(SECOND, 21)}))

    assert places_of(tmp_path, "md") == {STOCKS: SECOND}
    shutil.rmtree(first)
    shutil.rmtree(last)
    assert places_of(tmp_path, "md") == {}


def test_what_was_recorded_since_by_something_else_begins_anew_though_its_first_day_is_gone(tmp_path: Path):
    two_days(tmp_path)
    writer = JournalWriter(tmp_path, "20260613T160000.000000Z-2")
    writer.append(Record(RecordKind.FRAME, NOON + 2 * DAY, b"x", STOCKS, 1))
    writer.close()
    save_note(tmp_path, replace(NOTE, session="20260613T160000.000000Z-2", number=2, desk=""))

    assert places_of(tmp_path, "md") == {}


def test_a_journal_that_cannot_be_read_for_want_of_open_files_is_no_reason_to_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    two_days(tmp_path, note=None)
    files = journal_files(tmp_path)
    opened = os.open

    def full(path: Any, *rest: Any, **more: Any) -> int:
        if str(path).endswith(".jnl.gz"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))
        return opened(path, *rest, **more)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(StoreError, match="cannot be read now"):
        places_of(tmp_path, "md")
    with pytest.raises(StoreError, match="cannot be read now"):
        session_number(files)
    with pytest.raises(StoreError, match="cannot be read now"):
        recorded_market(tmp_path)
    monkeypatch.undo()
    assert list(sessions(tmp_path)) == [SESSION]


def test_whose_market_a_recording_of_before_is_of_is_known_though_its_first_day_is_gone(tmp_path: Path):
    first, _ = two_days(tmp_path, note=None)
    shutil.rmtree(first)

    assert recorded_market(tmp_path) is MarketKind.SIMULATED


def replace_sequence(place: Place, sequence: int) -> Place:
    return Place(sequence, place.epoch, place.number, place.events)
