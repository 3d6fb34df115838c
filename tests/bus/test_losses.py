"""What the owner itself did not have, in its place among the frames: told where it was lost, and nowhere else."""

from __future__ import annotations

from options_helper.bus.losses import MADE_ANEW, NO_ROOM, records_of
from options_helper.data.recording.journal import RecordKind
from options_helper.model.frames import Continuity, Frame
from options_helper.model.gaps import Gap
from options_helper.model.streams import StreamName

STOCKS = StreamName.STOCKS


def gaps(heard: Continuity, before: tuple[Continuity, int] | None) -> list[Gap]:
    """Of a frame that is received at 9; the frame itself is always last."""
    *gaps, record = records_of(Frame(STOCKS, b"x", 2, 9, heard), before)
    assert (record.kind, record.payload, record.events, record.stream) == (RecordKind.FRAME, b"x", 2, STOCKS)
    assert all(one.stream == STOCKS for one in gaps)
    return [one.gap for one in gaps]


def test_what_goes_on_has_no_gap_before_it():
    assert gaps(Continuity(3, 5), (Continuity(3, 5), 4)) == []


def test_the_first_frame_of_all_has_none_though_its_stream_was_connected_before():
    assert gaps(Continuity(3, 0), None) == []


def test_what_found_no_room_is_counted_from_the_frame_before():
    assert gaps(Continuity(3, 12), (Continuity(3, 5), 4)) == [Gap(STOCKS, 4, 9, NO_ROOM, lost=7)]


def test_what_found_no_room_before_the_first_frame_is_counted_too():
    assert gaps(Continuity(1, 7), None) == [Gap(STOCKS, 9, 9, NO_ROOM, lost=7)]


def test_a_connection_that_was_made_anew_is_a_gap_in_which_nobody_counted():
    assert gaps(Continuity(4, 5), (Continuity(3, 5), 4)) == [Gap(STOCKS, 4, 9, MADE_ANEW)]


def test_a_new_run_counts_from_its_own_beginning():
    """Its count is below that of the run before it; all of it was lost in this one."""
    assert gaps(Continuity(1, 2), (Continuity(3, 5), 4)) == [Gap(STOCKS, 4, 9, NO_ROOM, lost=2)]
    assert gaps(Continuity(1, 0), (Continuity(3, 5), 4)) == [Gap(STOCKS, 4, 9, MADE_ANEW)]
    # It is another run by its lower count alone, and its first connection is no new one.
    assert gaps(Continuity(0, 0), (Continuity(0, 5), 4)) == []
