"""What is said to be set aside for an end is never more than it gives back, by a computation of the test's own.

Of an account whose cash is just what all it holds requires, an end may take no more than leaves what goes on its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from options_helper.analysis.attention.collateral import Collateral, all_set_aside
from options_helper.analysis.attention.held_legs import HeldLine, held_lines
from options_helper.analysis.priced_lines import price_entries
from tests.analysis.attention.world import FRIDAY, HALF_DAY, live_at
from tests.kit.builders import holding, portfolio, position

DECEMBER, JANUARY = date(2026, 12, 18), date(2027, 1, 15)
SPOT = 62.22
STRIKES = (50, 55, 60, 64, 70)
PRICES = [5.0, 50.0, 54.99, 55.01, 57.0, 60.0, 62.22, 64.01, 69.99, 100.0]


@dataclass(frozen=True)
class Right:
    """To buy or to sell so many hundred shares; sold where negative."""

    count: int
    strike: int
    kind: str
    ends: date

    def worth(self, price: float) -> float:
        return (
            100 * self.count * max(0.0, price - self.strike if self.kind == "call" else self.strike - price)
        )


def required(book: list[Right], shares: int) -> float:
    """Dollars that a broker sets aside: the greatest loss at any end, of what lasts as long, with what nobody covers.

    Shares stand behind the sold calls that are deepest in the money. Of a naked call nothing is taken: none is sold.
    """
    return max(
        (_loss([one for one in book if one.ends >= end], shares) for end in {one.ends for one in book}),
        default=0.0,
    )


def _loss(book: list[Right], shares: int) -> float:
    sold = [
        one
        for right in sorted(book, key=lambda one: one.strike)
        for one in _ones(right)
        if one.kind == "call" and one.count < 0
    ]
    bought = sum(one.count for one in book if one.kind == "call" and one.count > 0)
    by_shares = min(len(sold), shares // 100)
    covered = by_shares + max(0, len(sold) - by_shares - bought)
    others = [one for right in book for one in _ones(right) if not (one.kind == "call" and one.count < 0)]
    return max(
        0.0, *(-sum(one.worth(price) for one in (*others, *sold[covered:])) for price in (0, *STRIKES, 1_000))
    )


def naked(book: list[Right], shares: int) -> bool:
    return -sum(one.count for one in book if one.kind == "call") > shares // 100


def _ones(right: Right) -> list[Right]:
    return [Right(1 if right.count > 0 else -1, right.strike, right.kind, right.ends)] * abs(right.count)


def lines_of(book: list[Right], shares: int) -> tuple[HeldLine, ...]:
    held = [
        position("KO", one.strike, one.kind, contracts=one.count, expiry=one.ends, identity=f"{n}")  # type: ignore[arg-type]
        for n, one in enumerate(book)
    ]
    entries = portfolio(*held, *([holding("KO", shares)] if shares else []))
    live = live_at("2026-11-20 14:30", {"KO": (SPOT - 0.01, SPOT + 0.01)}, held=entries.positions)
    priced = price_entries(entries.positions, entries, live, stale_after_seconds=30.0, wide_spread_pct=10.0)
    return held_lines(entries, live, priced=priced, book=None)


def aside(book: list[Right], shares: int, prices: list[float]) -> list[float]:
    lines = lines_of(book, shares)
    ending = tuple(one for one in lines if one.instrument.expiry == FRIDAY)
    found = Collateral(ending, tuple(one for one in lines if one not in ending), is_known=True)
    return [float(one) for one in found.at_each(np.array(prices))]


def right(ends: st.SearchStrategy[date]) -> st.SearchStrategy[Right]:
    counts = st.integers(-2, 2).filter(bool)
    return st.builds(Right, counts, st.sampled_from(STRIKES), st.sampled_from(["call", "put"]), ends)


BOOKS = st.builds(
    lambda now, then: [*now, *then],
    st.lists(right(st.just(FRIDAY)), min_size=1, max_size=4, unique_by=lambda one: (one.strike, one.kind)),
    st.lists(
        right(st.sampled_from([HALF_DAY, DECEMBER, JANUARY])),
        max_size=4,
        unique_by=lambda one: (one.strike, one.kind, one.ends),
    ),
)


# Two hundred shares cover the call at 50 and one of those at 55; of the other spread $500 stay set aside.
CALLS_AT_TWO_STRIKES = [
    Right(-1, 50, "put", FRIDAY),
    Right(1, 60, "call", HALF_DAY),
    Right(-1, 50, "call", HALF_DAY),
    Right(-2, 55, "call", HALF_DAY),
]


@settings(max_examples=300, deadline=None)
@given(BOOKS, st.sampled_from([0, 0, 100, 200]))
@example(CALLS_AT_TWO_STRIKES, 200)
def test_no_more_is_said_to_be_set_aside_than_what_goes_on_leaves(book: list[Right], shares: int):
    # Alpaca sells nobody a naked call: of an account that has one nobody knows what it sets aside for the others.
    assume(
        not any(naked([one for one in book if one.ends >= end], shares) for end in {one.ends for one in book})
    )
    freed = required(book, shares) - required([one for one in book if one.ends != FRIDAY], shares)

    assert all(one <= max(0.0, freed) + 1e-6 for one in aside(book, shares, PRICES)), (
        freed,
        aside(book, shares, PRICES),
    )


@settings(max_examples=200, deadline=None)
@given(BOOKS, st.sampled_from([0, 0, 100, 200]))
def test_a_book_takes_no_more_than_the_most_of_all_its_ends_and_without_sold_calls_just_that(
    book: list[Right], shares: int
):
    found, most = all_set_aside(lines_of(book, shares)), required(book, shares)

    assert found <= most + 1e-6
    if not any(
        one.kind == "call" and one.count < 0 for one in book
    ):  # else which of them the shares cover is open
        assert found == pytest.approx(most)


SHORT_PUT = Right(-1, 60, "put", FRIDAY)


@pytest.mark.parametrize(
    ("beside", "dollars"),
    [
        ([], 6_000),
        (
            [Right(1, 60, "put", HALF_DAY), Right(-1, 60, "put", DECEMBER)],
            0,
        ),  # the latter needs all of it again
        ([Right(1, 60, "put", DECEMBER), Right(-1, 60, "put", HALF_DAY)], 6_000),
        ([Right(1, 55, "put", DECEMBER)], 500),
    ],
    ids=["alone", "what is held ends before what is sold", "and after it", "a calendar"],
)
def test_what_is_held_covers_nothing_that_is_sold_for_longer(beside: list[Right], dollars: float):
    """It was said to be set aside, and enough, where all of the cash was for what is sold till later."""
    assert aside([SHORT_PUT, *beside], 0, [57.0]) == [dollars]
