"""The engine against a naive model: whatever comes, its levels are those of a dict that is sorted at each look."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.streaming.state.book_history import BookHistory
from options_helper.data.streaming.state.order_book import OrderBook, are_possible
from options_helper.model.events import BookLevel
from options_helper.model.order_book import Book, BookState

SECOND = 1_000_000_000
# Few prices, so that levels are changed and removed about as often as they are new.
LEVELS = st.lists(
    st.builds(BookLevel, st.integers(1, 12).map(float), st.sampled_from([0.0, 0.5, 1.0, 7.0])), max_size=6
)
STEPS = st.lists(st.tuples(st.booleans(), LEVELS, LEVELS), max_size=25)


class NaiveSide(dict[float, float]):
    """What the engine promises, in the shortest way."""

    def hear(self, levels: list[BookLevel], *, reset: bool) -> None:
        if reset:
            self.clear()
        self.update((level.price, level.size) for level in levels)
        for price in [price for price, size in self.items() if not size]:
            del self[price]

    def best(self, *, highest: bool) -> tuple[BookLevel, ...]:
        return tuple(BookLevel(*item) for item in sorted(self.items(), reverse=highest))


@given(STEPS, st.integers(0, 13))
def test_the_levels_are_those_of_the_naive_model(steps: list[Any], count: int):
    engine, bids, asks = OrderBook(), NaiveSide(), NaiveSide()
    for reset, new_bids, new_asks in steps:
        (engine.replace if reset else engine.update)(new_bids, new_asks)
        bids.hear(new_bids, reset=reset)
        asks.hear(new_asks, reset=reset)

        assert engine.bids.levels() == bids.best(highest=True)
        assert engine.asks.levels() == asks.best(highest=False)
        assert engine.bids.levels(count) == bids.best(highest=True)[:count]
        assert (len(engine.bids), len(engine.asks)) == (len(bids), len(asks))
        assert engine.bids.best_price == max(bids, default=None)
        assert engine.asks.best_price == min(asks, default=None)
        assert engine.is_crossed == bool(bids and asks and max(bids) >= min(asks))


def test_nothing_is_left_of_a_cleared_book():
    engine = OrderBook()
    engine.replace([BookLevel(1.0, 1.0)], [BookLevel(2.0, 1.0)])

    engine.clear()

    assert (engine.bids.levels(), engine.asks.levels()) == ((), ())
    assert not engine.is_crossed


@pytest.mark.parametrize(
    "level",
    [
        BookLevel(-1.0, 1.0),
        BookLevel(0.0, 1.0),
        BookLevel(1.0, -0.5),
        BookLevel(float("nan"), 1.0),
        BookLevel(1.0, float("nan")),
        BookLevel(float("inf"), 1.0),
        BookLevel(1.0, float("inf")),
    ],
)
def test_what_is_no_price_or_no_size_is_not_possible(level: BookLevel):
    assert not are_possible([BookLevel(1.0, 1.0), level])


def test_a_removal_is_possible():
    assert are_possible([BookLevel(1.0, 0.0)])


def synced(price: float, received_ns: int) -> Book:
    levels = (BookLevel(price, 2.0), BookLevel(price - 1.0, 3.0))
    return Book(
        "BTC/USD",
        BookState.SYNCED,
        "crypto",
        levels,
        (BookLevel(price + 1.0, 4.0),),
        bid_levels=2,
        ask_levels=1,
        received_ns=received_ns,
    )


def test_the_history_gives_back_what_it_was_given_newest_first():
    history = BookHistory(interval_ns=SECOND, size=3)
    books = [synced(100.0 + second, second * SECOND) for second in range(5)]
    for book in books:
        history.add(book, book.received_ns or 0)

    assert history.newest(2) == (books[4], books[3])
    assert history.newest(10) == (books[4], books[3], books[2])
    with pytest.raises(ValueError, match="from 0 on, not -5"):
        history.newest(-5)
    assert len(history) == 3


def test_an_interval_has_its_book_until_it_is_over():
    history = BookHistory(interval_ns=SECOND, size=3)
    assert history.is_due(0)

    history.add(synced(100.0, 5 * SECOND), 5 * SECOND)

    assert not history.is_due(6 * SECOND - 1)
    assert history.is_due(6 * SECOND)
    assert history.is_due(4 * SECOND)  # the clock was set back


def test_a_lost_book_is_in_the_history_without_levels():
    history = BookHistory(interval_ns=SECOND, size=3)
    lost = Book("BTC/USD", BookState.LOST, "crypto", reason="not connected")

    history.add(lost, 0)

    assert history.newest(1) == (lost,)
