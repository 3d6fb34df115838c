"""One websocket message on its way from a socket to the fold."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from options_helper.model.streams import StreamId


class Continuity(NamedTuple):
    """How far a stream had got; of two that differ, something of the stream may have been lost between."""

    connection: int = 0  # so many were begun
    dropped: int = 0  # so many events found the queue full


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One websocket message as it came, how many events it announces, and when it arrived (epoch nanoseconds).

    `heard` is how far its stream had got: what is built from changes is not carried from one frame to another over a
    difference in it.
    """

    stream: StreamId
    payload: bytes
    events: int
    received_ns: int
    heard: Continuity = Continuity()
