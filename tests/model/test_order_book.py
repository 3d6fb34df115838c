"""What can be read from a book: best, cumulated size, price for a size, imbalance, microprice, age."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from options_helper.model.events import BookLevel
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.order_book import Book, BookState
from tests.kit.builders import AS_OF

BIDS = (BookLevel(100.0, 2.0), BookLevel(99.0, 3.0), BookLevel(98.0, 5.0))
ASKS = (BookLevel(101.0, 6.0), BookLevel(102.0, 4.0))


def book(bids: tuple[BookLevel, ...] = BIDS, asks: tuple[BookLevel, ...] = ASKS, *, hidden: int = 0) -> Book:
    return Book(
        "BTC/USD",
        BookState.SYNCED,
        "crypto",
        bids,
        asks,
        bid_levels=len(bids) + hidden,
        ask_levels=len(asks) + hidden,
    )


def test_the_best_levels_make_spread_mid_and_microprice():
    """The microprice leans to the thin side: few are bid for, so the price is about to fall."""
    it = book()

    assert (it.best_bid, it.best_ask) == (BookLevel(100.0, 2.0), BookLevel(101.0, 6.0))
    assert (it.spread, it.mid) == (1.0, 100.5)
    assert it.microprice == (100.0 * 6.0 + 101.0 * 2.0) / 8.0 == 100.25


def test_imbalance_is_of_the_levels_that_are_asked_for():
    assert book().imbalance() == (2.0 - 6.0) / 8.0
    assert book().imbalance(2) == (5.0 - 10.0) / 15.0
    assert book(asks=()).imbalance() is None
    with pytest.raises(ValueError, match="one level or more"):
        book().imbalance(0)


def test_a_market_order_pays_the_average_of_the_levels_it_eats():
    assert book().price_to_buy(8.0) == (6.0 * 101.0 + 2.0 * 102.0) / 8.0
    assert book().price_to_sell(10.0) == (2.0 * 100.0 + 3.0 * 99.0 + 5.0 * 98.0) / 10.0
    assert book().price_to_buy(10.01) is None


@pytest.mark.parametrize("size", [0.0, -1.0])
def test_a_size_to_fill_must_be_positive(size: float):
    with pytest.raises(ValueError, match="more than 0"):
        book().price_to_buy(size)


def test_sizes_near_the_mid_are_told_only_where_all_of_them_are_known():
    """A book cut to its best levels does not know what stands behind them."""
    assert book().sizes_within(0.015) == (5.0, 10.0)
    assert book(hidden=1).sizes_within(0.006) == (2.0, 6.0)
    assert book(hidden=1).sizes_within(0.015) is None


def test_a_crossed_book_has_no_mid():
    it = book(bids=(BookLevel(101.0, 1.0),))

    assert it.is_crossed
    assert (it.mid, it.microprice, it.sizes_within(0.1)) == (None, None, None)
    assert it.spread == 0.0


def test_an_empty_book_tells_nothing():
    it = book((), ())

    assert (it.best_bid, it.best_ask, it.spread, it.mid, it.microprice) == (None,) * 5
    assert it.price_to_buy(1.0) is None
    assert (it.received_at, it.exchange_at, it.age_seconds(AS_OF)) == (None, None, None)


def test_the_age_is_of_the_last_message():
    received = datetime_nanoseconds(AS_OF - timedelta(seconds=7))
    it = Book("BTC/USD", BookState.SYNCED, "crypto", received_ns=received, made_ns=received - 1_000_000)

    assert it.age_seconds(AS_OF) == 7.0
    assert it.received_at == AS_OF - timedelta(seconds=7)
    assert it.exchange_at == AS_OF - timedelta(seconds=7, milliseconds=1)


def test_a_book_can_be_cut_and_still_counts_its_levels():
    it = book().best(1)

    assert (it.bids, it.asks) == (BIDS[:1], ASKS[:1])
    assert (it.bid_levels, it.ask_levels) == (3, 2)
    assert book().best(9) == book()


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda it: it.imbalance(0), "one level or more, not of 0"),
        (lambda it: it.imbalance(-1), "one level or more, not of -1"),
        (lambda it: it.bid_size(-1), "one level or more, not of -1"),
        (lambda it: it.ask_size(0), "one level or more, not of 0"),
        (lambda it: it.sizes_within(-1), "0 or more, not -1"),
        (lambda it: it.sizes_within(float("nan")), "0 or more, not nan"),
        (lambda it: it.price_to_sell(0), "more than 0, not 0"),
        (lambda it: it.price_to_buy(float("nan")), "more than 0, not nan"),
    ],
)
@pytest.mark.parametrize("it", [book(), book((), ())], ids=["full", "empty"])
def test_what_cannot_be_asked_of_a_book_is_a_sentence(it: Book, ask: Callable[[Book], object], says: str):
    """The same of an empty book: whoever tries it in a quiet minute must not meet it in a busy one."""
    with pytest.raises(ValueError, match=says):
        ask(it)
