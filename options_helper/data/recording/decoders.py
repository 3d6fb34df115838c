"""What reads the frames of a recording, now and years later: by the provider that sent them."""

from __future__ import annotations

from options_helper.data.streaming.messages import Decode, decode_frame
from options_helper.model.streams import StreamId


def decoder_of(stream: StreamId) -> Decode:  # noqa: ARG001 - so far all providers' frames are read alike
    """The decoder of a stream's frames; it never raises on bad bytes."""
    return decode_frame
