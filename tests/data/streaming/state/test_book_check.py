"""A streamed book against REST's: only what stood still while it was asked can differ."""

from __future__ import annotations

from options_helper.data.streaming.state.book_check import differences
from options_helper.model.events import BookLevel
from options_helper.model.order_book import Book, BookState
from tests.kit.books import Sizes
from tests.kit.fakes import NOON


def book(bids: Sizes, asks: Sizes, *, made_ns: int = NOON, state: BookState = BookState.SYNCED) -> Book:
    return Book(
        "BTC/USD",
        state,
        "crypto",
        tuple(BookLevel(price, size) for price, size in sorted(bids.items(), reverse=True)),
        tuple(BookLevel(price, size) for price, size in sorted(asks.items())),
        made_ns=made_ns,
    )


OURS = book({9.0: 1.0, 8.0: 2.0}, {10.0: 3.0})


def test_the_same_book_does_not_differ():
    assert differences(OURS, OURS, OURS) == []


def test_another_size_a_level_too_many_and_one_too_few_differ():
    assert differences(OURS, OURS, book({9.0: 5.0, 8.0: 2.0}, {10.0: 3.0})) == [9.0]
    assert differences(OURS, OURS, book({9.0: 1.0, 7.0: 1.0}, {10.0: 3.0})) == [7.0, 8.0]


def test_what_changed_while_it_was_asked_is_passed_over():
    after = book({9.0: 4.0, 8.0: 2.0}, {10.0: 3.0, 9.5: 1.0})

    assert differences(OURS, after, book({9.0: 1.0, 8.0: 2.0}, {10.0: 3.0})) == []


def test_what_was_made_later_is_compared_and_an_older_answer_is_not():
    """It lacks what ours already had when it was asked for, which would be a difference at each question."""
    told = {9.0: 5.0, 8.0: 2.0}, {10.0: 3.0}

    assert differences(OURS, OURS, book(*told, made_ns=NOON + 1)) == [9.0]
    assert differences(OURS, OURS, book(*told, made_ns=NOON - 1)) is None


def test_levels_beyond_the_best_of_rest_are_not_compared():
    deep = book({float(price): 1.0 for price in range(1, 21)}, {30.0: 1.0})
    told = book({float(price): 1.0 for price in range(11, 21)}, {30.0: 1.0})

    assert differences(deep, deep, told) == []


def test_what_is_too_old_empty_or_not_known_compares_nothing():
    old = book({9.0: 5.0}, {10.0: 3.0}, made_ns=NOON - 1)

    assert differences(OURS, OURS, old) is None
    assert differences(OURS, OURS, book({}, {})) is None
    assert differences(OURS, book({}, {}, state=BookState.UNSURE), OURS) is None
