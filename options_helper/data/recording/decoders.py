"""What reads the frames of a recording, now and years later: by the provider that sent them."""

from __future__ import annotations

from options_helper.data.streaming.breeze.source import BREEZE_BOOKS
from options_helper.data.streaming.breeze.ticks import decode_tick
from options_helper.data.streaming.messages import Decode, decode_frame
from options_helper.model.streams import StreamId


def decoder_of(stream: StreamId) -> Decode:
    """The decoder of a stream's frames; it never raises on bad bytes."""
    return decode_tick if stream.provider == BREEZE_BOOKS.provider else decode_frame
