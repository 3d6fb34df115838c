"""A structure can have cost no more than the most it can be worth, and no less than the least."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from options_helper.analysis.reconcile.portfolio_check import findings
from options_helper.model.market_hours import MarketDay
from options_helper.model.portfolio import Leg, Side
from tests.kit.builders import leg, portfolio, structure

TODAY = MarketDay(date(2026, 11, 20))
LATER = date(2027, 1, 15)


def put(side: Side, strike: float, **more: Any) -> Leg:
    return leg(side, strike, "put", **more)


@pytest.mark.parametrize("debit", [-100.0, -4_900.0, -7_600.0, 100.0])
def test_a_european_calendar_in_the_money_is_sold_for_a_credit(debit: float):
    """SPX 8000 P of January and June is worth 49 to 76 less than nothing with the index 14 % lower."""
    near, far = (
        put(side, 8_000, expiry=day) for side, day in (("short", LATER), ("long", date(2027, 6, 17)))
    )

    assert not findings(portfolio(structure(near, far, symbol="SPX", net_debit=debit)), TODAY)
    assert findings(portfolio(structure(near, far, symbol="AAPL", net_debit=debit)), TODAY) or debit > 0


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
def test_a_debit_that_cannot_have_been_is_to_be_looked_at(
    legs: tuple[Leg, ...], debit: float, words: str | None
):
    found = findings(portfolio(structure(*legs, net_debit=debit, identity="mine")), TODAY)

    assert len(found) == (words is not None)
    assert words is None or words in found[0]
