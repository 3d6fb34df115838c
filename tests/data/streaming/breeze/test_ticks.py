"""A tick is one event or one rejection, by itself and for ever: its symbol travels with it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.streaming.breeze.source import BREEZE_BOOKS, BreezeSource
from options_helper.data.streaming.breeze.ticks import decode_tick, token_of, with_symbol
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.model.events import BookUpdate, Quote
from options_helper.model.frames import Continuity, Frame
from options_helper.model.order_book import BookState
from options_helper.simulator.breeze.wire import Level, depth, quotes
from tests.kit.breeze import BSE_RELIANCE, CALL, RELIANCE

MADE = 1_795_764_600  # 2026-11-27 13:00 in India
BIDS = [Level(1_539.9, 100, 3), Level(1_539.85, 40)]
ASKS = [Level(1_540.0, 75, 2)]


def read(message: str, symbol: str = "NSE:RELIANCE"):
    events, rejected, _ = decode_tick(with_symbol(symbol, message.encode()))
    assert len(events) + len(rejected) == 1
    return events[0] if events else rejected[0]


def stock(*content: object) -> str:
    return "42" + json.dumps(["stock", list(content)])


@pytest.mark.parametrize("listing", [RELIANCE, BSE_RELIANCE, CALL])
def test_a_depth_tick_is_a_whole_book_with_the_exchanges_time(listing):
    """What fills up five levels is no level."""
    book = read(depth(listing, MADE, BIDS, ASKS), "NSE:X")

    assert isinstance(book, BookUpdate)
    assert (book.symbol, book.reset, book.timestamp_ns) == ("NSE:X", True, MADE * 10**9)
    assert [(level.price, level.size) for level in book.bids] == [(1_539.9, 100.0), (1_539.85, 40.0)]
    assert [(level.price, level.size) for level in book.asks] == [(1_540.0, 75.0)]


@pytest.mark.parametrize("listing", [RELIANCE, CALL])
def test_a_quotes_tick_is_a_quote_of_unknown_time(listing):
    """The time in it is that of the last trade, and an age that is not the quote's own would be a lie."""
    quote = read(quotes(listing, MADE, BIDS[0], ASKS[0]))

    assert isinstance(quote, Quote)
    assert (quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size) == (
        1_539.9,
        100.0,
        1_540.0,
        75.0,
    )
    assert quote.timestamp is None


def test_an_index_has_no_bid_and_no_ask_and_says_so():
    values = [None if place in (6, 7, 8, 9) else 1.0 for place in range(1, 21)]

    quote = read(stock("4.1!NIFTY 50", *[None] * 5, *values[5:]))

    assert (quote.bid_price, quote.ask_price) == (None, None)


@pytest.mark.parametrize(
    "message",
    [
        stock("4.2!2885", MADE, [[1.0, 2.0]]),  # a level of no known form
        stock("4.2!2885", MADE, [[-1.0, 5, 1, "", 2.0, 5, 1, ""]]),
        stock("4.2!2885", MADE, [["x", 5, 1, "", 2.0, 5, 1, ""]]),
        stock("4.2!2885", MADE, [[True, 5, 1, "", 2.0, 5, 1, ""]]),
        stock("4.2!2885", "noon", [[1.0, 5, 1, "", 2.0, 5, 1, ""]]),
        stock("4.2!2885"),
        stock("4.1!2885", 1, 2, 3),
        stock("4.9!2885", 1, 2, 3),
        stock(5),
        stock(),
        '42["order",["1","2"]]',
        '42["stock",["4.2!2885",nonsense',
        "<html>",
        "",
    ],
)
def test_what_cannot_be_read_is_rejected_with_its_symbol(message):
    assert "NSE:RELIANCE" in read(message) or "unreadable" in read(message)


@pytest.mark.parametrize(
    ("message", "in_doubt"),
    [
        (stock("4.2!2885", MADE, [["x"]]), {"NSE:RELIANCE"}),
        ('42["stock",["4.2!2885",nonsense', {"NSE:RELIANCE"}),
        (stock("4.1!2885", 1, 2, 3), set()),  # the best prices
    ],
)
def test_a_tick_that_cannot_be_read_puts_the_book_of_its_own_symbol_in_doubt(message, in_doubt):
    """Not those of all others: each of them came whole, in a tick of its own."""
    state = LiveState(
        fills_cache_size=1,
        streams=(BREEZE_BOOKS,),
        decoders={BREEZE_BOOKS: BreezeSource().decoder(BREEZE_BOOKS)},
    )

    def fold(symbol: str, text: str) -> None:
        payload = with_symbol(symbol, text.encode())
        state.apply(Frame(BREEZE_BOOKS, payload, 1, MADE * 10**9, Continuity(1, 0)))

    for symbol in ("NSE:RELIANCE", "NSE:TCS"):
        fold(symbol, depth(RELIANCE, MADE, BIDS, ASKS))
    fold("NSE:RELIANCE", message)

    books = state.books.views(5)
    assert {symbol for symbol, book in books.items() if book.state is BookState.UNSURE} == in_doubt
    assert state.tallies[BREEZE_BOOKS].rejected == 1


@given(st.binary(max_size=60))
def test_no_payload_raises_and_each_counts_once(payload):
    events, rejected, _ = decode_tick(payload)

    assert len(events) + len(rejected) == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=9),
        max_leaves=40,
    )
)
def test_no_content_raises_and_each_counts_once(content):
    read("42" + json.dumps(["stock", ["4.2!2885", 1, content]]))
    read("42" + json.dumps(["stock", content]))


def test_the_number_of_an_instrument_is_read_from_the_message():
    assert token_of(b'42["stock",["4.2!2885",1,[]]]') == "4.2!2885"
    assert token_of(b'42["stock",["4.1!NIFTY 50",1]]') == "4.1!NIFTY 50"
    assert token_of(b"6") == ""
