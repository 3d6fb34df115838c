"""A payoff at expiry is exact: at every price, at its break-evens, and where it is at least so much."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.payoffs import payoff_bounds, worth_at_end
from options_helper.analysis.risk.payoff import Payoff, payoff_of, why_no_payoff
from options_helper.model.portfolio import Leg, ShareLeg
from tests.kit.builders import holding, leg, portfolio, share_leg, structure

LATER = date(2027, 1, 15)
CONDOR = (leg("long", 170, "put"), leg("short", 175, "put"), leg("short", 180), leg("long", 185))

LEGS = st.builds(
    lambda side, strike, kind, contracts: leg(side, strike / 2, kind, contracts=contracts),
    st.sampled_from(("long", "short")),
    st.integers(1, 400),
    st.sampled_from(("call", "put")),
    st.integers(1, 20),
)
SHARES = st.builds(share_leg, st.sampled_from(("long", "short")), st.integers(1, 500).map(float))
HELD = st.builds(lambda legs, shares: (*legs, *shares), st.lists(LEGS, min_size=1, max_size=5),
                 st.lists(SHARES, max_size=1))  # fmt: skip
PRICES = st.integers(0, 1_000).map(lambda quarters: Decimal(quarters) / 4)
AMOUNTS = st.integers(-200_000, 200_000).map(lambda cents: Decimal(cents) / 100)


def payoff(*legs: Leg | ShareLeg) -> Payoff:
    return payoff_of(structure(*legs).lines)


def decimals(*numbers: float | str) -> tuple[Decimal, ...]:
    return tuple(Decimal(str(number)) for number in numbers)


@pytest.mark.parametrize(
    ("legs", "paid", "break_evens"),
    [
        (CONDOR, -120, ("173.8", "181.2")),
        ((leg("long", 180),), 250, ("182.5",)),
        ((leg("short", 180, "put"),), -300, ("177",)),
        ((leg("short", 180, "put", contracts=3),), -100, ("179.6666666666666666666666667",)),
        ((leg("long", 180), leg("long", 180, "put")), 1_000, ("170", "190")),
        ((share_leg(), leg("short", 180)), 17_250, ("172.5",)),
        ((leg("long", 180), leg("short", 185)), 500, ("185",)),  # from there on: the end of it is a kink
        (CONDOR, 0, ("175", "180")),  # and between them
        ((leg("long", 180), leg("short", 185, contracts=2), leg("long", 190)), 500, ("185",)),  # touches it
        ((leg("long", 180), leg("short", 185)), -10, ()),
        ((leg("short", 180),), -200, ("182",)),
    ],
    ids=["condor", "call", "put", "third of a cent", "straddle", "covered", "width", "flat", "peak", "free", "naked"],
)  # fmt: skip
def test_break_evens_are_the_roots_of_the_segments(
    legs: tuple[Leg | ShareLeg, ...], paid: int, break_evens: tuple[str, ...]
):
    assert payoff(*legs).break_evens(Decimal(paid)) == decimals(*break_evens)


@pytest.mark.parametrize(
    ("legs", "level", "stretches"),
    [
        (CONDOR, -120, [("173.8", "181.2")]),
        ((leg("long", 180),), 250, [("182.5", None)]),
        ((leg("long", 180), leg("long", 180, "put")), 1_000, [(0, "170"), ("190", None)]),
        ((leg("short", 180, "put"),), 0, [("180", None)]),
        (CONDOR, -500, [(0, None)]),
        (CONDOR, 1, []),
        ((leg("long", 180), leg("short", 185, contracts=2), leg("long", 190)), 500, []),
    ],
)
def test_it_is_worth_so_much_in_these_stretches(
    legs: tuple[Leg, ...], level: int, stretches: list[tuple[Any, Any]]
):
    expected = [(Decimal(low), None if high is None else Decimal(high)) for low, high in stretches]

    assert list(payoff(*legs).stretches_from(Decimal(level))) == expected


@given(HELD, PRICES)
def test_it_is_the_sum_of_its_lines_at_every_price(legs: tuple[Leg | ShareLeg, ...], price: Decimal):
    lines = structure(*legs).lines

    assert payoff(*legs).at(price) == sum(worth_at_end(line, price) for line in lines)


@given(HELD, AMOUNTS)
def test_at_a_break_even_it_comes_to_what_was_paid(legs: tuple[Leg | ShareLeg, ...], paid: Decimal):
    of_legs = payoff(*legs)

    for price in of_legs.break_evens(paid):
        assert float(of_legs.at(price)) == pytest.approx(float(paid), abs=1e-9)


@given(HELD, AMOUNTS, PRICES)
def test_a_price_is_in_a_stretch_where_it_is_worth_so_much(
    legs: tuple[Leg | ShareLeg, ...], level: Decimal, price: Decimal
):
    of_legs = payoff(*legs)
    inside = any(
        low < price and (high is None or price < high) for low, high in of_legs.stretches_from(level)
    )

    if inside:
        assert float(of_legs.at(price)) >= float(level) - 1e-9
    elif price > 0:
        # It may be the end of a stretch, or a peak that touches the level.
        assert of_legs.at(price) <= level or price in {
            end for stretch in of_legs.stretches_from(level) for end in stretch
        }


@given(HELD)
def test_its_least_and_most_are_the_bounds_that_marks_are_believed_by(legs: tuple[Leg | ShareLeg, ...]):
    of_legs, bounds = payoff(*legs), payoff_bounds(structure(*legs).lines)

    assert bounds.least in (None, of_legs.least)
    assert bounds.most in (None, of_legs.most)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (structure(symbol="AAPL1"), "are adjusted contracts: the file does not say what is delivered"),
        (structure(symbol="AAPL1", multiplier=100), "the file does not say what is delivered"),
        (structure(leg("long", 180), leg("short", 185, symbol="MSFT")), "it is over 2 underlyings: AAPL, MSFT"),
        (
            structure(leg("short", 180), leg("long", 180, expiry=LATER)),
            "it ends on 2 days: 18 Dec 26, 15 Jan 27",
        ),
        (
            structure(leg("short", 180, settlement="am"), leg("long", 185, settlement="pm")),
            "of 18 Dec 26 some is settled at the open, some at the close",
        ),
    ],
)  # fmt: skip
def test_where_no_one_price_decides_it_says_why(entry: Any, reason: str):
    said = why_no_payoff(entry.lines)

    assert said is not None
    assert said.endswith(reason)


def test_nothing_has_no_payoff():
    assert why_no_payoff(()) == "nothing is held"


def test_shares_and_contracts_have_one_together():
    book = portfolio(holding(shares=100), structure(leg("short", 180)))

    assert why_no_payoff(book.lines) is None
    assert payoff_of(book.lines).most == 18_000
