"""What an owner tells beside its batches, as bytes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from options_helper.bus.truth import DeskHealth, encode
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import StreamHealth
from options_helper.model.streams import StreamName


class Told(msgspec.Struct):
    """Anything in a message."""

    key: Any


def test_what_has_no_form_on_the_bus_is_refused_where_it_is_written():
    """Nothing is sent as whatever its text may be, a secret least of all."""
    with pytest.raises(TypeError, match="SecretStr does not travel"):
        encode(Told(SecretStr("hidden")))


@pytest.mark.parametrize(
    ("said", "feed", "published_in", "is_told"),
    [
        (2, "iex", 2, True),
        (2, None, 2, False),  # its first word, from before its streams begin
        (2, "iex", 3, False),  # the next owner's, which has said nothing yet
        (2, None, 1, True),  # nobody will say it any more
        (0, None, 3, True),  # an owner of before says no term
    ],
)
def test_of_which_feed_frames_are_their_own_owner_says(
    said: int, feed: str | None, published_in: int, *, is_told: bool
):
    streams = {} if feed is None else {"stocks": StreamHealth(StreamName.STOCKS, feed=feed)}
    health = DeskHealth(
        program="1", host="den", pid=7, at_ns=0, epoch=said, market=MarketKind.ALPACA, streams=streams
    )

    assert health.tells_feed(StreamName.STOCKS, published_in) is is_told
