"""A structure can cost no more than the most it can be worth, and no less than the least."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.reconcile.payoff import payoff_bounds
from options_helper.analysis.reconcile.portfolio_check import findings
from options_helper.model.market_hours import MarketDay
from tests.kit.builders import holding, leg, portfolio, structure

TODAY = MarketDay(date(2026, 11, 20))
LATER = date(2027, 1, 15)


def bounds(*legs: Any) -> tuple[Decimal | None, Decimal | None]:
    entry = structure(*legs)
    found = payoff_bounds(entry.lines)
    return found.least, found.most


def put(side: Any, strike: float, **more: Any) -> Any:
    return leg(side, strike, "put", **more)


@pytest.mark.parametrize(
    ("legs", "least", "most"),
    [
        ((leg("long", 180), leg("short", 185)), 0, 500),
        ((put("long", 640, contracts=2), put("short", 655, contracts=2)), -3_000, 0),
        ((put("long", 640), put("short", 655), leg("short", 705), leg("long", 720)), -1_500, 0),
        ((leg("long", 180), put("long", 180)), 0, None),
        ((leg("short", 180), put("short", 180)), None, 0),
        ((leg("long", 180), leg("short", 185, contracts=2)), None, 500),
        ((leg("long", 180), leg("short", 185), put("long", 185), put("short", 180)), 500, 500),
        # A calendar that was bought is worth no less than nothing, and nobody knows how much at most.
        ((leg("short", 180), leg("long", 180, expiry=LATER)), 0, None),
        ((leg("long", 180), leg("short", 180, expiry=LATER)), None, 0),
        ((leg("long", 180), put("short", 180, expiry=LATER)), None, None),
    ],
    ids=[
        "vertical", "put credit", "iron condor", "straddle", "short straddle", "ratio", "box", "calendar",
        "short calendar", "two expiries",
    ],
)  # fmt: skip
def test_the_bounds_are_those_of_the_payoff(legs: Any, least: int | None, most: int | None):
    assert bounds(*legs) == (least, most)


def test_of_contracts_whose_size_nobody_knows_nothing_is_known():
    entry = structure(leg("long", 180), leg("short", 185), symbol="AAPL1")
    found = payoff_bounds(entry.lines)

    assert (found.least, found.most) == (None, None)


def test_shares_never_end():
    found = payoff_bounds((*holding(shares=100).lines, *structure(leg("short", 180)).lines))

    assert (found.least, found.most) == (Decimal(0), Decimal(18_000))


@pytest.mark.parametrize(
    ("legs", "debit", "words"),
    [
        ((put("long", 640, contracts=2), put("short", 655, contracts=2)), 612.0, "is -612.00 meant?"),
        (
            (put("long", 640), put("short", 655), leg("short", 705), leg("long", 720)),
            612.0,
            "is -612.00 meant?",
        ),
        ((leg("long", 180), leg("short", 185)), -100.0, "is 100.00 meant?"),
        (
            (leg("long", 180), leg("short", 185)),
            23_500.0,
            "never more than 500.00. Correct net_debit. Of legs that were opened apart, name each one's cost_basis.",
        ),
        ((leg("long", 180), leg("short", 185)), 100.0, None),
        ((put("long", 640), put("short", 655)), -306.0, None),
        # A box is worth its width less the interest.
        ((leg("long", 180), leg("short", 185), put("long", 185), put("short", 180)), 480.0, None),
        ((leg("short", 180), leg("long", 185), put("short", 185), put("long", 180)), -480.0, None),
        ((leg("short", 180), leg("long", 180, expiry=LATER)), 300.0, None),
        ((leg("long", 180), leg("short", 185, contracts=2)), -100.0, None),
    ],
    ids=str,
)
def test_a_debit_that_cannot_have_been_is_to_be_looked_at(legs: Any, debit: float, words: str | None):
    found = findings(portfolio(structure(*legs, net_debit=debit, identity="mine")), TODAY)

    assert len(found) == (words is not None)
    assert words is None or words in found[0]


LEGS = st.builds(
    lambda side, strike, kind, contracts: leg(side, strike, kind, contracts=contracts),
    st.sampled_from(["long", "short"]),
    st.integers(1, 500).map(float),
    st.sampled_from(["call", "put"]),
    st.integers(1, 20),
)


@given(st.lists(LEGS, min_size=1, max_size=5), st.integers(0, 2_000))
def test_no_price_of_the_underlying_leads_beyond_the_bounds(legs: list[Any], price: int):
    least, most = bounds(*legs)
    worth = sum(
        one.signed_contracts * 100 * max((price - one.strike) * (1 if one.option_type == "call" else -1), 0)
        for one in legs
    )

    assert least is None or worth >= least
    assert most is None or worth <= most
