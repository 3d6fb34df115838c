"""Whatever the captures before left behind, this one records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from options_helper.capture.earlier_sessions import EarlierSessions
from options_helper.data.intraday.files import Disk
from options_helper.data.intraday_store import IntradayStore, StorePolicy
from options_helper.data.recording.session_notes import save_note, session_notes
from options_helper.model.gaps import Gap
from options_helper.model.streams import StreamName
from tests.data.recording.test_recover import killed
from tests.kit.captured import AAPL_QUOTES, bid_sizes, rows_in
from tests.kit.fakes import NOON

BEGAN_NS = NOON + 3_600 * 1_000_000_000


@contextmanager
def earlier_than_this(root: Path, disk: Disk | None = None) -> Iterator[EarlierSessions]:
    with IntradayStore(root, StorePolicy(min_free_bytes=0), disk=disk) as store:
        store.acquire()
        earlier = EarlierSessions(root, store, BEGAN_NS, lambda: False)
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


def test_rows_that_nobody_can_make_are_a_gap_and_keep_no_capture_from_recording(tmp_path: Path):
    """Each capture after it would otherwise end where this one did."""
    leave_a_killed_session(tmp_path)

    with suppress(RuntimeError), earlier_than_this(tmp_path, Disk(write=broken_write)) as earlier:
        (gap,) = made(earlier)
        earlier.confirm_completed()

    assert gap.stream is StreamName.STOCKS
    assert gap.reason.endswith("cannot be read to its end: RuntimeError: nobody thought of this")
    assert session_notes(tmp_path)[0].completed
