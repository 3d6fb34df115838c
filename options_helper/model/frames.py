"""One websocket message on its way from a socket to the fold."""

from __future__ import annotations

import msgspec

from options_helper.model.streams import StreamId


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One websocket message as it came, how many events it announces, and when it arrived (epoch nanoseconds)."""

    stream: StreamId
    payload: bytes
    events: int
    received_ns: int
