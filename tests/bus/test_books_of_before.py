"""What an owner of before kept of its order books is not shown as the present one's."""

# ruff: noqa: SLF001 - what a follower hears is handed in here, without a server

from __future__ import annotations

import pytest

from options_helper.bus.address import BusAddress
from options_helper.bus.clocks import Offset
from options_helper.bus.follower import Desk
from options_helper.bus.truth import DeskBooks, DeskHealth
from options_helper.bus.viewer import BusManager
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig, StreamRequest
from options_helper.model.announcement import MarketKind
from options_helper.model.instants import utc_datetime
from options_helper.model.order_book import Book, BookState
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import StreamName
from options_helper.settings import Settings
from tests.kit.fakes import NOON


@pytest.mark.parametrize("streamed", [(), ("BTC/USD",)])
def test_a_book_is_shown_where_the_owner_says_that_it_streams_it(streamed: tuple[str, ...]):
    viewer = BusManager(Settings(), BusAddress.parse("nats://127.0.0.1"))
    viewer._config = LiveStreamConfig(
        symbol_channels=(StreamRequest(StreamName.CRYPTO, ("BTC/USD",), channels=("orderbooks",)),)
    )
    health = DeskHealth(program="1", host="den", pid=7, at_ns=0, market=MarketKind.ALPACA, books=streamed)
    books = DeskBooks({"BTC/USD": Book("BTC/USD", BookState.SYNCED, "crypto")})
    snapshot = LiveSnapshot(utc_datetime(NOON), market=MarketKind.ALPACA)
    assert (
        tuple(viewer._books_of(Desk(health=health, heard_at=0.0, books=books), books, snapshot, Offset()))
        == streamed
    )
