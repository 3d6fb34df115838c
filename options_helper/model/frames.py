"""One websocket message on its way from a socket to the fold."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from options_helper.model.gaps import Gap
from options_helper.model.streams import StreamId


class Continuity(NamedTuple):
    """How far a stream had got; of two that differ, something of the stream may have been lost between."""

    connection: int = 0  # so many were begun
    dropped: int = 0  # so many events found the queue full


class Place(msgspec.Struct, frozen=True, gc=False):
    """How far a stream was followed on a bus: whoever asks from there on gets each record once.

    A batch that was taken in part is `whole` no more: it is asked for again, and the records that were `taken` are
    left out. A `sequence` of 0 is before everything that the store has.
    """

    sequence: int = 0  # of the message, in its store
    epoch: int = 0
    number: int = 0  # of the batch
    events: int = 0  # of all batches up to here, those of earlier owners too
    taken: int = 0  # records of this batch
    whole: bool = True
    received_ns: int | None = None  # of the last frame, on the owner's clock


class Mark(msgspec.Struct, frozen=True, gc=False):
    """What a place has to tell beside a frame, or without one: what is missing before it."""

    place: Place
    gap: Gap | None = None


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One websocket message as it came, how many events it announces, and when it arrived (epoch nanoseconds).

    `heard` is how far its stream had got: what is built from changes is not carried from one frame to another over a
    difference in it. One with a `mark` came over a bus, or is no message at all and only tells of the way there.
    `queued_at` is when it was queued, in seconds of a clock that nobody sets; None where it was not.
    """

    stream: StreamId
    payload: bytes
    events: int
    received_ns: int
    heard: Continuity = Continuity()
    mark: Mark | None = None
    is_message: bool = True
    queued_at: float | None = None
