"""What an event says of itself."""

from __future__ import annotations

from options_helper.model.events import Quote
from options_helper.model.instants import timestamp_extension
from tests.kit.fakes import NOON


def test_an_event_is_printed_with_the_exchange_s_time_and_not_with_the_wire_s():
    printed = repr(Quote(symbol="AAPL", timestamp=timestamp_extension(NOON), bid_price=1.5))

    assert printed.startswith(
        "Quote(symbol='AAPL', timestamp='2026-11-05T17:00:00+00:00', received_ns=0, bid_price=1.5"
    )
    assert "Ext" not in printed
    assert "timestamp=None" in repr(Quote(symbol="AAPL"))
