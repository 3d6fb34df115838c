"""What else reads and writes a recording whose gaps are closed: its ledger, verify, rebuild, list, export, repair."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from options_helper.data.intraday.backfill import Backfill, Stretch, replace_stretch
from options_helper.data.intraday.export import export_rows
from options_helper.data.intraday.listing import recorded_days
from options_helper.data.intraday.scope import EVERYTHING
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.closings import Closings, read_closings, save_closings
from options_helper.data.recording.gap_verdict import ClosingState
from options_helper.data.recording.journal import RecordKind, facts_record, gap_record
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.session_notes import SessionNote, save_note
from options_helper.data.recording.verify import audit
from options_helper.data.recording.verify_report import audit_facts, audit_lines
from options_helper.errors import StoreError
from options_helper.model.events import Quote
from options_helper.model.gaps import Gap
from options_helper.model.streams import StreamName
from tests.data.recording.test_close_gaps import GAP, SECOND, close, contents, day
from tests.data.recording.test_rebuild import began, received, record_session
from tests.kit.cut import MINUTE, ScriptedHistory, Told, record_cut, rows_kept, uncut_rows
from tests.kit.fakes import NOON, quote_message


def test_verify_tells_the_counts_and_a_loss_that_is_closed_is_no_fault_any_more(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP], lost=27, reason="dropped: the queue was full")
    assert "27 events of the stocks stream were lost" in audit(tmp_path).problems[0]

    report = close(tmp_path, ScriptedHistory(events))

    found = audit(tmp_path)
    assert found.ok
    assert found.closings == report.closings
    said = "\n".join(audit_lines(found))
    assert "recorded rows are in the answer, " in said
    assert "more: gap closed" in said
    (closing,) = cast("list[dict[str, Any]]", audit_facts(found)["closings"])
    assert (closing["state"], closing["recorded"]) == ("closed", closing["found"])
    assert msgspec.json.encode(audit_facts(found))


def test_verify_keeps_the_fault_of_a_gap_that_is_closed_in_part(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP], lost=60, reason="dropped: the queue was full")

    close(tmp_path, ScriptedHistory([]))

    assert [problem for problem in audit(tmp_path).problems if "60 events" in problem]


def test_verify_names_a_ledger_of_closings_that_cannot_be_read(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP])
    close(tmp_path, ScriptedHistory(events))
    (path,) = (tmp_path / "closings").iterdir()
    path.write_bytes(b"session,stream\n\xff,1\n")

    assert any("cannot be read" in problem for problem in audit(tmp_path).problems)
    report = close(tmp_path, ScriptedHistory(events))
    assert report.closings[0].state is ClosingState.CLOSED
    assert "cannot be read" in report.problems[0]
    assert audit(tmp_path).ok


def test_a_damaged_row_of_the_closings_costs_itself(tmp_path: Path):
    """Also when another one is written behind it."""
    first, second = ((NOON + at * SECOND, NOON + (at + 4) * SECOND) for at in (14, 30))
    events = day()
    record_cut(tmp_path, events, [first])
    (kept,) = close(tmp_path, ScriptedHistory(events)).closings
    (path,) = (tmp_path / "closings").iterdir()
    path.write_bytes(path.read_bytes() + b"one,stocks,\xff\n")

    found = read_closings(tmp_path)
    assert tuple(found.of_gaps.values()) == (kept,)
    assert found.problems == (f"closings/{path.name}: 1 row cannot be read; the gaps are asked about again",)

    later = replace(kept, since_ns=second[0], until_ns=second[1])
    save_closings(tmp_path, [later])
    assert read_closings(tmp_path) == Closings({kept.of: kept, later.of: later})


def test_closings_that_the_disk_does_not_give_are_not_written_over(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP])
    (closing,) = close(tmp_path, ScriptedHistory(events)).closings
    (path,) = (tmp_path / "closings").iterdir()
    path.unlink()
    path.mkdir()  # what no user may read is no obstacle to root

    with pytest.raises(OSError, match="directory"):
        save_closings(tmp_path, [closing])
    assert "cannot be read (Is a directory)" in read_closings(tmp_path).problems[0]


def record_with_journal(root: Path, *gaps: Gap) -> list[Told]:
    """Two quotes with a gap between them, of which history has a third; what history tells."""
    heard = [received(NOON + at * SECOND, quote_message("AAPL", at_ns=NOON + at * SECOND)) for at in (1, 9)]
    records = [began(NOON), *heard, *(gap_record(gap.until_ns or 0, gap) for gap in gaps)]
    record_session(root, "one", [*records, facts_record(RecordKind.END, NOON + 10 * SECOND, {})])
    save_note(
        root,
        SessionNote(
            session="one",
            began_ns=NOON,
            seen_ns=NOON + 10 * SECOND,
            ended_ns=NOON + 10 * SECOND,
            journal=True,
            flush_events=500,
            flush_seconds=5.0,
            asked={"stocks": ("AAPL",)},
            feeds={"stocks": "iex"},
            channels={"stocks": ("quotes",)},
        ),
    )
    return [
        msgspec.convert(quote_message("AAPL", at_ns=NOON + at * SECOND) | {"t": NOON + at * SECOND}, Quote)
        for at in (1, 3, 9)
    ]


LOST = Gap(StreamName.STOCKS, NOON + 2 * SECOND, NOON + 8 * SECOND, "The connection was lost.")


def test_rows_that_history_told_are_none_that_the_journal_lacks_and_are_copied_by_a_rebuild(tmp_path: Path):
    root, out = tmp_path / "recorded", tmp_path / "rebuilt"
    told = record_with_journal(root, LOST)

    (closing,) = close(root, ScriptedHistory(told)).closings
    assert (closing.words, audit(root).ok) == (
        "2 of 2 recorded rows are in the answer, 1 more: gap closed",
        True,
    )

    rebuild(root, out)
    assert contents(out) == contents(root)
    assert audit(out).closings == (closing,)


def test_a_rebuild_that_makes_rows_which_history_told_has_each_of_them_once(tmp_path: Path):
    """Their files were removed, so that they were missing when history was asked."""
    root, out = tmp_path / "recorded", tmp_path / "rebuilt"
    told = record_with_journal(root, LOST)
    shutil.rmtree(root / "stocks")
    close(root, ScriptedHistory(told))
    assert len(rows_kept(root, "quotes_backfill")) == 3

    rebuild(root, out)

    assert rows_kept(out, "quotes", "quotes_backfill") == uncut_rows(tmp_path / "uncut", told)
    assert len(rows_kept(out, "quotes")) == 2
    assert audit(out).ok


def test_rows_that_a_rebuild_would_make_next_to_a_gap_are_not_asked_of_history(tmp_path: Path):
    """Of its own stream, and as long as there is a journal that has them."""
    reason = "the file was removed; its journal has them: `stream rebuild` makes them"
    removed = Gap(StreamName.STOCKS, NOON + 30 * SECOND, NOON + 31 * SECOND, reason)
    told = record_with_journal(tmp_path, LOST, removed)
    history = ScriptedHistory(told)

    report = close(tmp_path, history)

    assert (report.closings, history.asked) == ((), [])
    assert "`stream rebuild` makes them" in report.later[0]
    shutil.rmtree(tmp_path / "journal")
    assert len(close(tmp_path, history).closings) == 1


def test_list_export_and_repair_have_the_datasets_like_any_other(tmp_path: Path):
    root, out = tmp_path / "recorded", tmp_path / "brought.csv"
    events = day()
    record_cut(root, events, [GAP])
    close(root, ScriptedHistory(events))

    listed = {(one.dataset, one.rows) for one in recorded_days(root)}
    assert ("quotes_backfill", 21) in listed
    exported = export_rows(root, out, kind="stocks", dataset="quotes_backfill", scope=EVERYTHING)
    assert (exported.rows, len(out.read_text().splitlines())) == (21, 22)

    (path,) = root.rglob("quotes_backfill/**/*.csv.gz")
    path.write_bytes(path.read_bytes() + b"torn")
    with pytest.raises(StoreError, match="repair"):
        replace_stretch(root, Backfill("stocks", "AAPL", Quote, Stretch(NOON, NOON + MINUTE), "rest"), [])
    IntradayStore(root).repair()
    assert audit(root).ok
