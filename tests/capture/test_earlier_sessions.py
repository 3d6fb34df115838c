"""Whatever the captures before left behind, this one records."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from options_helper.capture.capture_config import CaptureConfig
from options_helper.capture.earlier_sessions import EarlierSessions
from options_helper.capture.session_log import SessionLog
from options_helper.data.intraday.files import Disk
from options_helper.data.intraday_store import IntradayStore, StorePolicy
from options_helper.data.recording.journal import (
    FOLDER,
    JournalWriter,
    Record,
    RecordKind,
    facts_record,
    session_name,
)
from options_helper.data.recording.loss_log import JOURNAL_LOST, LossLog
from options_helper.data.recording.session_notes import SessionNote, save_note, session_notes
from options_helper.data.recording.verify import audit
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.errors import StoreError
from options_helper.model.gaps import Gap
from options_helper.model.instants import utc_datetime
from options_helper.model.streams import StreamName
from tests.data.recording.test_rebuild import CALL, SECOND, began, received, record_session
from tests.data.recording.test_recover import cut, killed, note_of
from tests.kit.captured import AAPL_QUOTES, bid_sizes, quotes, rows_in
from tests.kit.fakes import NOON, quote_message
from tests.kit.heartbeats import capture_status

BEGAN_NS = NOON + 3_600 * 1_000_000_000


@contextmanager
def earlier_than_this(
    root: Path, disk: Disk | None = None, *, began_ns: int = BEGAN_NS, elapsed: float = 0.0, boot: str = ""
) -> Iterator[EarlierSessions]:
    with IntradayStore(root, StorePolicy(min_free_bytes=0), disk=disk) as store:
        store.acquire()
        earlier = EarlierSessions(root, store, began_ns, lambda: False, elapsed=elapsed, boot=boot)
        earlier.find_unfinished()
        yield earlier


def leave_a_killed_session(root: Path) -> None:
    """Ten of twenty rows are in the journal only."""
    save_note(root, replace(killed(root), asked={"stocks": ("AAPL",)}))


def made(earlier: EarlierSessions) -> list[Gap]:
    """Everything that is never to become rows."""
    gaps = []
    while earlier.are_incomplete:
        gaps += earlier.make_rows()
    return gaps


def broken_write(_descriptor: int, _data: memoryview) -> int:
    raise RuntimeError("nobody thought of this")


def test_what_a_kill_left_in_the_journal_becomes_rows_once(tmp_path: Path):
    leave_a_killed_session(tmp_path)

    with earlier_than_this(tmp_path) as earlier:
        assert made(earlier) == []
        earlier.confirm_completed()
        assert earlier.rows == 10
    with earlier_than_this(tmp_path) as earlier:
        assert not earlier.are_incomplete
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(20)]


def test_what_was_not_written_down_before_the_next_kill_is_found_again(tmp_path: Path):
    leave_a_killed_session(tmp_path)

    for _ in range(2):
        with earlier_than_this(tmp_path) as earlier:
            made(earlier)
            assert [gap.since_ns for gap in earlier.gaps_since_kills()] == [NOON + 19]
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(20)]


def test_a_kill_is_missed_by_one_capture_only(tmp_path: Path):
    leave_a_killed_session(tmp_path)

    with earlier_than_this(tmp_path) as earlier:
        assert len(earlier.gaps_since_kills()) == 1
        earlier.confirm_missed()
    with earlier_than_this(tmp_path) as earlier:
        assert earlier.gaps_since_kills() == []


@pytest.mark.parametrize("in_order", [False, True])
def test_a_journal_that_somebody_deletes_before_its_rows_are_made_is_told_once(
    tmp_path: Path, *, in_order: bool
):
    """A full disk may keep a capture from making them for hours; it records on."""
    note = replace(killed(tmp_path), asked={"stocks": ("AAPL",)})
    save_note(tmp_path, replace(note, ended_ns=note.seen_ns, put_off=10) if in_order else note)

    with earlier_than_this(tmp_path) as earlier:
        shutil.rmtree(tmp_path / FOLDER)
        (gap,) = made(earlier)
        earlier.confirm_missed()
        earlier.confirm_completed()
    assert (gap.stream, JOURNAL_LOST in gap.reason) == ("stocks", True)
    assert gap.since_ns <= note.seen_ns
    assert gap.until_ns == (note.seen_ns if in_order else BEGAN_NS)
    with earlier_than_this(tmp_path) as earlier:
        assert (made(earlier), earlier.gaps_since_kills()) == ([], [])


def gaps_of_a_killed_session(
    root: Path,
    *records: Record,
    journal: bool = True,
    lasting: tuple[Gap, ...] = (),
    next_began_ns: int | None = None,
) -> dict[str, int]:
    """Stream → seconds after noon at which the gap of a session begins that asked for two streams at 11:45."""
    began_ns = NOON - 900 * SECOND
    first = began(began_ns, 5)
    record_session(root, "one", [first, *records])
    asked = {"stocks": ("AAPL",), "options": (CALL,)}
    note = replace(
        note_of("one", first), asked=asked, seen_ns=NOON, market="live", journal=journal, gaps=lasting
    )
    save_note(root, note)
    at = {} if next_began_ns is None else {"began_ns": next_began_ns}
    with earlier_than_this(root, **at) as earlier:
        return {gap.stream: (gap.since_ns - NOON) // SECOND for gap in earlier.gaps_since_kills()}


def test_the_gap_of_a_kill_begins_for_each_stream_where_it_was_heard_last(tmp_path: Path):
    """What a dead connection lost before the kill nobody had noticed."""
    found = gaps_of_a_killed_session(
        tmp_path,
        received(NOON - 12 * SECOND, quote_message(CALL), stream=StreamName.OPTIONS),
        received(NOON - SECOND, quote_message("AAPL")),
        Record(RecordKind.TICK, NOON),
    )

    assert found == {"stocks": -1, "options": -12}


def test_what_was_quiet_for_long_before_a_kill_has_a_gap_of_a_minute(tmp_path: Path):
    """A connection that is dead or mute for longer is noticed, and has a gap of its own."""
    found = gaps_of_a_killed_session(
        tmp_path,
        received(NOON - 600 * SECOND, quote_message(CALL), stream=StreamName.OPTIONS),
        *(received(NOON - ago * SECOND, quote_message("AAPL")) for ago in (500, 300, 100)),
        Record(RecordKind.TICK, NOON),
    )

    assert found == {"stocks": -60, "options": -60}


def test_no_gap_of_a_kill_begins_at_a_receipt_that_is_later_than_the_kill(tmp_path: Path):
    """The clock was set back in between."""
    found = gaps_of_a_killed_session(
        tmp_path,
        received(NOON + 300 * SECOND, quote_message(CALL), stream=StreamName.OPTIONS),
        received(NOON, quote_message("AAPL")),
    )

    assert found == {"stocks": 0, "options": -60}


@pytest.mark.parametrize("journal", [True, False])
def test_the_gap_of_a_kill_is_told_by_the_clock_that_was_put_back_behind_the_session_s_beginning(
    tmp_path: Path, *, journal: bool
):
    """It would end before it begins, and tell of nothing."""
    last_ns = NOON - 3_600 * SECOND
    records = (received(NOON - SECOND, quote_message("AAPL")), received(last_ns, quote_message("AAPL")))
    found = gaps_of_a_killed_session(tmp_path, *records, journal=journal, next_began_ns=last_ns + SECOND)

    assert found == {"stocks": -3_600 if journal else -3_659, "options": -3_660 if journal else -3_659}


def a_note_of_noon(*, put_off: int = 0, **facts: Any) -> SessionNote:
    """A session of a quarter of an hour up to noon, which ended in order where it put events off."""
    began_ns = NOON - 900 * SECOND
    note = replace(
        note_of("one", began(began_ns, 5)), asked={"stocks": ("AAPL",)}, market="live", seen_ns=NOON
    )
    return replace(note, ended_ns=NOON if put_off else None, put_off=put_off, **facts)


def lose_the_journal(root: Path) -> None:
    """It ended in order, with events in the journal only."""
    save_note(root, a_note_of_noon(put_off=3))


def spoil_the_note(root: Path) -> None:
    first = began(NOON - 900 * SECOND, 5)
    named = facts_record(
        RecordKind.SESSION, first.received_ns, {**first.facts, "streams": {"stocks": ["AAPL"]}}
    )
    record_session(root, "one", [named, received(NOON, quote_message("AAPL"))])
    save_note(root, a_note_of_noon())
    (root / "sessions" / "one.json").write_text("")


def spoil_the_note_and_lose_the_journals_first_file(root: Path) -> None:
    """What is left of it begins some minutes later, and what there was before is as little known."""
    name = session_name(utc_datetime(NOON - 900 * SECOND), 1)
    (root / "stocks").mkdir()
    journal = JournalWriter(root, name)
    journal.append(received(NOON - 60 * SECOND, quote_message("AAPL")))
    journal.append(received(NOON, quote_message("AAPL")))
    journal.close()
    save_note(root, replace(a_note_of_noon(), session=name))
    (root / "sessions" / f"{name}.json").write_text("")


def leave_a_refused_symbol(root: Path) -> None:
    """As the recorder was killed, one symbol had been refused for a quarter of an hour."""
    refused = Gap("stocks", NOON - 900 * SECOND, None, "MSFT refused.", symbols=("MSFT",))
    save_note(root, a_note_of_noon(journal=False, gaps=(refused,)))


def leave_a_lasting_gap(root: Path) -> None:
    """As the recorder was killed, it had been cut off for a quarter of an hour."""
    lasting = Gap("stocks", NOON - 900 * SECOND, None, "Cut off.")
    save_note(root, a_note_of_noon(journal=False, gaps=(lasting,)))


@pytest.mark.parametrize(
    "leave",
    [
        lose_the_journal,
        spoil_the_note,
        spoil_the_note_and_lose_the_journals_first_file,
        leave_a_refused_symbol,
        leave_a_lasting_gap,
    ],
)
@pytest.mark.parametrize("put_back_seconds", [0, 600, 3_600])
def test_what_an_earlier_session_lacks_keeps_its_length_where_the_clock_was_put_back_since(
    tmp_path: Path, leave: Callable[[Path], None], put_back_seconds: int
):
    """It would have had none, or have been still to come."""
    began_ns = NOON + (60 - put_back_seconds) * SECOND
    leave(tmp_path)

    with earlier_than_this(tmp_path, began_ns=began_ns) as earlier:
        gaps = earlier.gaps_since_kills()

    longest = max(gaps, key=lambda gap: gap.seconds or 0)
    assert longest.until_ns is not None
    assert longest.until_ns <= began_ns
    assert longest.since_ns == min(NOON, began_ns) - 900 * SECOND


def test_a_session_began_when_its_name_says_also_where_its_journal_was_begun_anew(tmp_path: Path):
    """Somebody deleted the journal while it ran, and then nobody can read its note."""
    session = session_name(utc_datetime(NOON - 900 * SECOND), 1)
    record_session(tmp_path, session, [began(NOON - 100 * SECOND, 5), received(NOON, quote_message("AAPL"))])
    (tmp_path / "sessions").mkdir(exist_ok=True)
    (tmp_path / "sessions" / f"{session}.json").touch()

    with earlier_than_this(tmp_path) as earlier:
        gaps = [gap for gap in earlier.gaps_since_kills() if "cannot be read" in gap.reason]

    assert {gap.since_ns for gap in gaps} == {NOON - 900 * SECOND}


@pytest.mark.parametrize("put_back_seconds", [0, 600, 3_600])
def test_rows_that_nobody_can_make_are_a_gap_with_a_length_where_the_clock_was_put_back_since(
    tmp_path: Path, put_back_seconds: int
):
    frames = [received(NOON, quote_message("AAPL", bs=size)) for size in range(20)]
    record_session(tmp_path, "one", [began(NOON - 900 * SECOND, 5), *frames])
    cut(tmp_path / AAPL_QUOTES, 3, 0)
    save_note(tmp_path, a_note_of_noon(missed=True))
    began_ns = NOON + (60 - put_back_seconds) * SECOND

    with (
        suppress(RuntimeError),
        earlier_than_this(tmp_path, Disk(write=broken_write), began_ns=began_ns) as earlier,
    ):
        (gap,) = made(earlier)

    assert (gap.since_ns, gap.until_ns) == (min(NOON, began_ns) - 900 * SECOND, began_ns)


def test_a_note_that_nobody_can_read_and_no_journal_is_a_gap_until_now(tmp_path: Path):
    """Nobody knows how long it recorded."""
    (tmp_path / "stocks").mkdir()
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / f"{session_name(utc_datetime(NOON), 1)}.json").touch()

    with earlier_than_this(tmp_path) as earlier:
        (gap,) = earlier.gaps_since_kills()

    assert (gap.since_ns, gap.until_ns) == (NOON, BEGAN_NS)


@pytest.mark.parametrize("journal", [True, False])
def test_what_a_session_lacks_is_told_by_the_clock_of_its_end_where_it_was_put_back_while_it_ran(
    tmp_path: Path, *, journal: bool
):
    """It began at noon by a clock that was an hour ahead, ran for 900 s, and was killed 60 s before this one began."""
    config = CaptureConfig(LiveStreamConfig(stocks=("AAPL",)), tmp_path, journal=journal)
    ran = iter([0.0, 900.0, 900.0])
    log = SessionLog(config, "one", NOON, Disk(), elapsed=lambda: next(ran))
    seen_ns = NOON + (900 - 3_600) * SECOND
    log.stay_alive(seen_ns, seen_ns)

    with earlier_than_this(tmp_path, began_ns=seen_ns + 60 * SECOND) as earlier:
        (gap,) = earlier.gaps_since_kills()

    assert gap.since_ns == seen_ns - 60 * SECOND
    (note,) = session_notes(tmp_path)
    assert note.stretch == (NOON - 3_600 * SECOND, seen_ns)


@pytest.mark.parametrize("put_forward_seconds", [0, -3_600, 3_600])
def test_how_long_a_killed_one_is_gone_is_counted_by_what_nobody_sets(
    tmp_path: Path, put_forward_seconds: int
):
    """It was seen last 900 s after the computer's start, and this one begins 500 s later.

    Or what seems to be a clock put forward was a paused computer, which counts nothing then: that is no less of a gap.
    """
    config = CaptureConfig(LiveStreamConfig(stocks=("AAPL",)), tmp_path, journal=False)
    elapsed = iter([0.0, 900.0])
    log = SessionLog(config, "one", NOON, Disk(), elapsed=lambda: next(elapsed), boot="this")
    log.stay_alive(NOON + 900 * SECOND, NOON + 900 * SECOND)
    began_ns = NOON + (900 + 500 + put_forward_seconds) * SECOND

    with earlier_than_this(tmp_path, began_ns=began_ns, elapsed=1_400.0, boot="this") as earlier:
        (gap,) = earlier.gaps_since_kills()

    # What it had not written by then is of a minute.
    assert (began_ns - gap.since_ns) // SECOND == 500 + 60 + max(0, put_forward_seconds)


def test_a_journal_says_when_it_was_where_the_note_is_spoiled(tmp_path: Path):
    """It ran from 100 s on after the computer's start until 130 s; this one begins 500 s later, by a clock put back."""
    facts = {**began(NOON, 5).facts, "boot": "this", "elapsed": 100.0, "streams": {"stocks": ["AAPL"]}}
    frames = [received(NOON + seconds * SECOND, quote_message("AAPL")) for seconds in (10, 30)]
    record_session(tmp_path, "one", [facts_record(RecordKind.SESSION, NOON, facts), *frames])
    (tmp_path / "sessions").mkdir(exist_ok=True)
    (tmp_path / "sessions" / "one.json").touch()
    began_ns = NOON - 3_600 * SECOND

    with earlier_than_this(tmp_path, began_ns=began_ns, elapsed=630.0, boot="this") as earlier:
        gaps = [gap for gap in earlier.gaps_since_kills() if "cannot be read" in gap.reason]

    assert {(gap.since_ns, gap.until_ns) for gap in gaps} == {(began_ns - 530 * SECOND, began_ns)}


def test_another_start_of_the_computer_counts_anew(tmp_path: Path):
    config = CaptureConfig(LiveStreamConfig(stocks=("AAPL",)), tmp_path, journal=False)
    elapsed = iter([0.0, 900.0])
    log = SessionLog(config, "one", NOON, Disk(), elapsed=lambda: next(elapsed), boot="before")
    log.stay_alive(NOON + 900 * SECOND, NOON + 900 * SECOND)

    with earlier_than_this(tmp_path, began_ns=NOON, elapsed=20.0, boot="this") as earlier:
        (gap,) = earlier.gaps_since_kills()

    assert (gap.since_ns, gap.until_ns) == (NOON - 60 * SECOND, NOON)


def test_what_waited_for_the_disk_as_the_clock_was_put_back_is_lost_from_before_that_on(tmp_path: Path):
    """The journal's last record is of before, by a clock that was 600 s ahead of that by which the session was seen."""
    began_session = replace(killed(tmp_path), asked={"stocks": ("AAPL",)})
    # Seen 300 s after its beginning, by the clock of after.
    seen_ns = NOON + (300 - 600) * SECOND
    save_note(
        tmp_path,
        replace(
            began_session, began_ns=NOON, seen_ns=seen_ns, ran_seconds=300.0, seen_elapsed=300.0, boot="this"
        ),
    )
    began_ns = seen_ns + 40 * SECOND

    with earlier_than_this(tmp_path, began_ns=began_ns, elapsed=340.0, boot="this") as earlier:
        (gap,) = earlier.gaps_since_kills()

    # As the journal's records are of the first seconds.
    assert NOON - 600 * SECOND <= gap.since_ns <= NOON - 570 * SECOND
    assert gap.until_ns == began_ns


@pytest.mark.parametrize(("lasts_seconds", "begins"), [(5, -20), (200, -200)])
def test_what_was_received_before_a_gap_that_lasts_at_a_kill_may_be_lost_by_the_kill(
    tmp_path: Path, lasts_seconds: int, begins: int
):
    """It was in memory: the journal's last frame is older than the gap."""
    found = gaps_of_a_killed_session(
        tmp_path,
        received(NOON - 20 * SECOND, quote_message("AAPL")),
        Record(RecordKind.TICK, NOON),
        lasting=(Gap("stocks", NOON - lasts_seconds * SECOND, None, "Cut off."),),
    )

    assert found["stocks"] == begins


def test_without_a_journal_rows_are_lost_from_before_a_gap_that_lasts_at_a_kill(tmp_path: Path):
    lasting = (Gap("stocks", NOON - 5 * SECOND, None, "Cut off."),)

    assert gaps_of_a_killed_session(tmp_path, journal=False, lasting=lasting)["stocks"] == -60


def test_without_a_journal_the_gap_of_a_kill_begins_a_minute_before_it(tmp_path: Path):
    assert gaps_of_a_killed_session(tmp_path, journal=False) == {"stocks": -60, "options": -60}


@pytest.mark.parametrize("lasts", [False, True], ids=["heard to the end", "already in a gap"])
def test_after_a_reboot_with_the_clock_behind_no_gap_ends_before_it_begins(tmp_path: Path, *, lasts: bool):
    """The audit would complain of it for good."""
    leave_a_killed_session(tmp_path)
    (note,) = session_notes(tmp_path)
    if lasts:
        save_note(tmp_path, replace(note, gaps=(Gap("stocks", NOON + 5, None, "Cut off."),)))
    began_ns = NOON - 3_600 * 1_000_000_000
    config = CaptureConfig(LiveStreamConfig(stocks=("AAPL",)), tmp_path)
    log = SessionLog(config, "two", began_ns, Disk())

    with earlier_than_this(tmp_path, began_ns=began_ns) as earlier:
        log.write_gaps(earlier.gaps_since_kills(), began_ns)

    assert len(log.take_records()) == 1
    (row,) = audit(tmp_path).gaps
    # When it was killed, nobody knows by this clock.
    assert (row.since_ns, row.until_ns) == (began_ns - 60 * SECOND, began_ns)
    assert not any("ends before it begins" in problem for problem in audit(tmp_path).problems)


def test_a_session_was_at_work_from_its_beginning_on_where_a_bus_gives_it_what_is_older(tmp_path: Path):
    """Verify and a recovery would otherwise have it end before it began."""
    config = CaptureConfig(LiveStreamConfig(stocks=("AAPL",)), tmp_path, desk="nats://desk")
    log = SessionLog(config, "one", NOON, Disk())

    log.stay_alive(NOON, NOON - SECOND)
    assert [note.seen_ns for note in session_notes(tmp_path)] == [NOON]

    log.stay_alive(NOON + SECOND, NOON + SECOND)
    assert [note.seen_ns for note in session_notes(tmp_path)] == [NOON + SECOND]


def test_what_its_clock_showed_twice_is_in_a_session_s_note(tmp_path: Path):
    """So that gaps beside it are asked for all the same."""
    config = CaptureConfig(LiveStreamConfig(stocks=("AAPL",)), tmp_path)
    passed, ahead = [0.0], [0.0]
    log = SessionLog(config, "one", NOON, Disk(), elapsed=lambda: passed[0])

    def look(after: float, put_forward: float = 0.0) -> None:
        passed[0] += after
        ahead[0] += put_forward
        now_ns = NOON + int((passed[0] + ahead[0]) * SECOND)
        log.observe(capture_status(), now_ns, now_ns)

    look(10)
    look(2, put_forward=3_600)
    look(2, put_forward=-600)
    look(700)

    (note,) = session_notes(tmp_path)
    at_ns = NOON + 3_612 * SECOND
    assert note.repeated == ((at_ns - 600 * SECOND, at_ns + 2 * SECOND),)


def test_rows_that_nobody_can_make_are_a_gap_and_keep_no_capture_from_recording(tmp_path: Path):
    """Each capture after it would otherwise end where this one did."""
    leave_a_killed_session(tmp_path)

    with suppress(RuntimeError), earlier_than_this(tmp_path, Disk(write=broken_write)) as earlier:
        (gap,) = made(earlier)
        earlier.confirm_completed()

    assert gap.stream == StreamName.STOCKS
    assert gap.reason.endswith("cannot be read to its end: RuntimeError: nobody thought of this")
    assert session_notes(tmp_path)[0].completed


def told(root: Path) -> list[str]:
    """What the next capture writes down before it records, and what `verify` says until then is a fault."""
    with earlier_than_this(root) as earlier:
        losses = LossLog(root, "this")
        gaps = earlier.gaps_since_kills()
        for gap in gaps:
            losses.write(gap)
        earlier.confirm_missed()
        for gap in made(earlier):
            losses.write(gap)
        earlier.confirm_completed()
    return [gap.reason for gap in gaps]


@pytest.mark.parametrize("text", ["", "{", "null", '{"flush_seconds": null}', "\x00" * 40])
def test_a_note_that_nobody_can_read_is_a_fault_and_its_journal_says_what_it_said(tmp_path: Path, text: str):
    """What a loss of power leaves of a file that was replaced a moment before."""
    leave_a_killed_session(tmp_path)
    (note,) = session_notes(tmp_path)
    path = tmp_path / "sessions" / f"{note.session}.json"
    path.write_text(text)
    assert any(
        "The note of session one is gone or cannot be read" in problem for problem in audit(tmp_path).problems
    )

    (unreadable,) = told(tmp_path)

    assert unreadable.startswith("the note of session one is gone or cannot be read")
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(20)], "its rows are made all the same"
    assert path.with_name("one.json.unreadable").read_text() == text
    assert any("cannot be read" in problem for problem in audit(tmp_path).problems), "it is a fault for ever"
    assert told(tmp_path) == [], "it is told once"


def test_a_note_that_nobody_can_read_and_no_journal_is_told(tmp_path: Path):
    with IntradayStore(tmp_path, StorePolicy(min_free_bytes=0), session_id="one") as store:
        store.append("stocks", quotes(3))
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "one.json").touch()

    assert not audit(tmp_path).ok
    (reason,) = told(tmp_path)
    assert "what it was asked for and how it ended is not known" in reason
    assert not audit(tmp_path).ok
    assert told(tmp_path) == []


@pytest.mark.parametrize("killed_then", [True, False])
def test_a_journal_that_a_session_says_it_has_and_that_is_gone_is_told(tmp_path: Path, *, killed_then: bool):
    leave_a_killed_session(tmp_path)
    (note,) = session_notes(tmp_path)
    ended_ns, put_off = (None, 0) if killed_then else (NOON + 99, 10)
    save_note(tmp_path, replace(note, seen_ns=note.began_ns + 1, ended_ns=ended_ns, put_off=put_off))
    shutil.rmtree(tmp_path / "journal")
    assert any("kept a journal, and it is gone" in problem for problem in audit(tmp_path).problems)

    (reason,) = told(tmp_path)

    assert JOURNAL_LOST in reason
    assert not audit(tmp_path).ok
    assert told(tmp_path) == []


@pytest.mark.parametrize("put_off", [0, 3])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_of_a_session_whose_files_may_have_all_only_what_is_known_to_be_lost_with_its_journal_is_counted(
    tmp_path: Path, when: str, put_off: int
):
    """A sync of its files failed, and all that anybody knows is what the journal had alone."""
    ended = replace(a_note_of_noon(), ended_ns=NOON, unproven=True, put_off=put_off)
    save_note(tmp_path, ended)
    if when == "meanwhile":
        record_session(tmp_path, "one", [began(NOON - 900 * SECOND, 5)])

    with earlier_than_this(tmp_path) as earlier:
        if when == "meanwhile":
            shutil.rmtree(tmp_path / FOLDER)
        (gap,) = [*earlier.gaps_since_kills(), *(made(earlier) if when == "meanwhile" else [])]

    assert gap.lost == (put_off or None)
    not_known = f"whether the files of one have all other events is not known, and {JOURNAL_LOST}"
    if put_off:
        assert gap.reason == f"3 events of one were in its journal only, {not_known}"
    else:
        assert gap.reason == f"whether the files of one have all events is not known, and {JOURNAL_LOST}"


def test_a_session_that_was_killed_as_it_began_had_no_journal_to_lose(tmp_path: Path):
    """It has its note before its journal."""
    leave_a_killed_session(tmp_path / "other")
    (note,) = session_notes(tmp_path / "other")
    save_note(tmp_path, replace(note, seen_ns=note.began_ns))
    assert audit(tmp_path).problems == ()

    (reason,) = told(tmp_path)

    assert JOURNAL_LOST not in reason
    assert audit(tmp_path).problems == ()


def test_the_end_of_a_killed_session_is_told_again_while_the_loss_log_has_no_room_for_it(tmp_path: Path):
    """What the disk did not take is told by nobody."""
    leave_a_killed_session(tmp_path)
    with earlier_than_this(tmp_path) as earlier:
        assert earlier.gaps_since_kills()
    with earlier_than_this(tmp_path) as earlier:
        assert earlier.gaps_since_kills()
        earlier.confirm_missed()
    with earlier_than_this(tmp_path) as earlier:
        assert earlier.gaps_since_kills() == []


def test_a_journal_whose_rows_are_all_in_the_files_may_be_deleted(tmp_path: Path):
    leave_a_killed_session(tmp_path)
    told(tmp_path)
    shutil.rmtree(tmp_path / "journal")

    assert audit(tmp_path).problems == ()
    assert told(tmp_path) == []


def test_a_session_whose_note_the_disk_did_not_take_is_not_called_killed(tmp_path: Path):
    """Its journal has its end."""
    records = [
        began(NOON, 5),
        received(NOON + 1, quote_message("AAPL")),
        facts_record(RecordKind.END, NOON + 2, {}),
    ]
    record_session(tmp_path, "one", records)
    save_note(tmp_path, replace(note_of("one", records[0]), asked={"stocks": ("AAPL",)}))

    assert told(tmp_path) == []
    (note,) = session_notes(tmp_path)
    assert (note.ended_ns, note.put_off, note.unproven, note.completed) == (NOON + 2, 0, True, True)


def test_a_note_that_is_deleted_is_missed_where_the_journal_says_that_there_was_one(tmp_path: Path):
    first, *rest = [began(NOON, 5), received(NOON + 1, quote_message("AAPL"))]
    numbered = facts_record(RecordKind.SESSION, NOON, {**first.facts, "number": 1})
    record_session(tmp_path, "one", [numbered, *rest])

    assert any("The note of session one is gone" in problem for problem in audit(tmp_path).problems)
    (reason,) = told(tmp_path)
    assert reason.startswith("the note of session one is gone")
    assert session_notes(tmp_path)[0].number == 1
    assert told(tmp_path) == []


@pytest.fixture
def open_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ends of names that cannot be opened while they stand here, because too many files are open."""
    full: list[str] = []
    opened, read = os.open, Path.read_bytes

    def refuse(path: object) -> None:
        if str(path).endswith(tuple(full)):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    def opens(path: Any, *rest: Any, **more: Any) -> int:
        refuse(path)
        return opened(path, *rest, **more)

    def reads(path: Path) -> bytes:
        refuse(path)
        return read(path)

    monkeypatch.setattr(os, "open", opens)
    monkeypatch.setattr(Path, "read_bytes", reads)
    return full


@pytest.mark.parametrize("suffix", [".json", ".jnl.gz"])
def test_too_many_open_files_replace_no_note_and_tell_of_no_loss(
    tmp_path: Path, open_files: list[str], suffix: str
):
    """A good note was put aside as unreadable, and a poorer one made in its place."""
    leave_a_killed_session(tmp_path)
    if suffix == ".jnl.gz":
        spoil_note(tmp_path)
    before = {path.name: path.read_text() for path in (tmp_path / "sessions").iterdir()}
    open_files.append(suffix)
    with pytest.raises(StoreError, match="cannot be read now"), earlier_than_this(tmp_path):
        pass

    open_files.clear()
    assert {path.name: path.read_text() for path in (tmp_path / "sessions").iterdir()} == before


def spoil_note(root: Path) -> None:
    (note,) = (root / "sessions").iterdir()
    note.write_text("{")


def test_a_note_that_cannot_be_read_at_the_end_is_left_to_the_next_capture(
    tmp_path: Path, open_files: list[str]
):
    leave_a_killed_session(tmp_path)
    with earlier_than_this(tmp_path) as earlier:
        assert made(earlier) == []
        (gap,) = earlier.gaps_since_kills()
        open_files.append(".json")
        earlier.confirm_missed()
        earlier.confirm_completed()
    open_files.clear()

    with earlier_than_this(tmp_path) as earlier:
        assert earlier.gaps_since_kills() == [gap]


def test_rows_of_a_journal_that_cannot_be_read_now_wait_for_the_next_capture(
    tmp_path: Path, open_files: list[str]
):
    """They were told as never to become rows."""
    leave_a_killed_session(tmp_path)
    with earlier_than_this(tmp_path) as earlier:
        open_files.append(".jnl.gz")
        assert made(earlier) == []
        with pytest.raises(StoreError, match="cannot be read now"):
            earlier.gaps_since_kills()
        earlier.confirm_completed()
    open_files.clear()

    with earlier_than_this(tmp_path) as earlier:
        assert made(earlier) == []
        assert earlier.rows == 10


def test_a_broken_disk_under_a_note_keeps_no_capture_from_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    leave_a_killed_session(tmp_path)

    def broken(_: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "read_bytes", broken)
    with earlier_than_this(tmp_path) as earlier:
        assert any("cannot be read" in gap.reason for gap in earlier.gaps_since_kills())


def test_a_note_that_is_made_anew_says_which_desk_was_followed(tmp_path: Path):
    writer = JournalWriter(tmp_path, "one")
    writer.append(facts_record(RecordKind.SESSION, NOON, {"desk": "md", "number": 1}))
    writer.close()
    with earlier_than_this(tmp_path) as earlier:
        earlier.confirm_missed()

    assert [note.desk for note in session_notes(tmp_path)] == ["md"]
