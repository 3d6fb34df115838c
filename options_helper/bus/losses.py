"""What the owner itself did not have, told in its place among the frames: a full queue, a connection made anew."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from options_helper.data.recording.journal import Record, RecordKind, gap_record
from options_helper.model.frames import Continuity, Frame
from options_helper.model.gaps import Gap

NO_ROOM = "At the owner what came found no place: the bus was away, or too slow."
MADE_ANEW = "The owner's connection was made anew."


def counted_gaps(records: Sequence[Record]) -> list[Gap]:
    """The gaps among these in which somebody counted what was lost; the others are in the owner's health too."""
    found = []
    for record in records:
        if record.kind is RecordKind.GAP:
            with suppress(
                ValueError, TypeError, msgspec.MsgspecError
            ):  # of another version; its events are counted
                found.append(record.gap)
    return [gap for gap in found if gap.lost]


def records_of(frame: Frame, before: tuple[Continuity, int] | None) -> list[Record]:
    """A frame as it travels, behind a gap where it does not go on from the one before it.

    `before` is how far the stream had got at that one, and when it was received; None: there was none.
    """
    record = Record(RecordKind.FRAME, frame.received_ns, frame.payload, frame.stream, frame.events)
    heard, since_ns = before or (Continuity(), frame.received_ns)
    if frame.heard.dropped < heard.dropped:
        heard = Continuity()  # a new run counts from its own beginning
    if dropped := frame.heard.dropped - heard.dropped:
        gap = Gap(frame.stream, since_ns, frame.received_ns, NO_ROOM, lost=dropped)
    elif before is not None and frame.heard.connection != heard.connection:
        gap = Gap(frame.stream, since_ns, frame.received_ns, MADE_ANEW)
    else:
        return [record]
    return [gap_record(frame.received_ns, gap.in_order)._replace(stream=frame.stream), record]
