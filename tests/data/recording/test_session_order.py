"""Sessions are in the order in which they were recorded, whatever the clock said at each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from options_helper.data.intraday_store import IntradayStore, StorePolicy
from options_helper.data.recording.journal import Record, RecordKind, facts_record, sessions
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.recover import Completion, complete
from options_helper.data.recording.session_notes import save_note, session_notes
from options_helper.data.recording.verify import audit
from tests.data.recording.test_rebuild import received, record_session
from tests.data.recording.test_recover import cut, note_of
from tests.kit.captured import AAPL_QUOTES, bid_sizes, rows_in
from tests.kit.fakes import NOON, quote_message
from tests.kit.rebuilt import partitions

HOUR = 3_600 * 1_000_000_000


def session(began_ns: int, number: int, first: int) -> list[Record]:
    facts = {"flush_events": 5, "flush_seconds": 5.0} | ({"number": number} if number else {})
    return [
        facts_record(RecordKind.SESSION, began_ns, facts),
        *(received(began_ns + at, quote_message("AAPL", bs=first + at)) for at in range(10)),
        facts_record(RecordKind.END, began_ns + 99, {}),
    ]


def recorded(root: Path, *, numbered: bool = True, with_notes: bool = True) -> None:
    """Two captures; before the second one the clock was set back by an hour, and so its name sorts first."""
    for number, (name, began_ns) in enumerate(
        [("20261105T120000Z-7", NOON), ("20261105T110000Z-8", NOON - HOUR)], 1
    ):
        records = session(began_ns, number if numbered else 0, (number - 1) * 10)
        record_session(root, name, records)
        if with_notes:
            ended = replace(
                note_of(name, records[0]), ended_ns=began_ns + 99, number=number if numbered else 0
            )
            save_note(root, ended)


def test_a_clock_that_was_set_back_between_captures_is_no_fault(tmp_path: Path):
    recorded(tmp_path)

    assert [note.number for note in session_notes(tmp_path)] == [1, 2]
    assert audit(tmp_path).problems == ()
    assert [one.session for one in audit(tmp_path).sessions] == ["20261105T120000Z-7", "20261105T110000Z-8"]
    rebuild(tmp_path, tmp_path / "again")
    assert partitions(tmp_path / "again") == partitions(tmp_path)


def test_where_the_notes_are_gone_the_journals_say_the_order(tmp_path: Path):
    recorded(tmp_path, with_notes=False)

    assert [*sessions(tmp_path)] == ["20261105T120000Z-7", "20261105T110000Z-8"]


def test_recordings_of_older_versions_are_in_the_order_of_their_names(tmp_path: Path):
    recorded(tmp_path, numbered=False)
    record_session(tmp_path, "20261105T090000Z-9", session(NOON - 3 * HOUR, 1, 20))

    assert [*sessions(tmp_path)] == ["20261105T110000Z-8", "20261105T120000Z-7", "20261105T090000Z-9"]


def test_what_a_kill_left_of_a_session_with_an_earlier_clock_follows_what_is_there(tmp_path: Path):
    recorded(tmp_path)
    cut(tmp_path / AAPL_QUOTES, 3, 0)  # the second session wrote nothing here before it was killed
    second = session_notes(tmp_path)[1]
    IntradayStore(tmp_path).repair()

    with IntradayStore(tmp_path, StorePolicy(min_free_bytes=0)) as store:
        files = sessions(tmp_path)[second.session]
        *_, last = complete(store, second, files, lambda: False, frozenset({"20261105T120000Z-7"}))

    assert (last.rows, last.unplaced) == (10, {})
    assert last == Completion(rows=10, unplaced={})
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(20)]
