"""Before an ex-date, call by call, against a computation of the test's own in decimals.

Who is told, what is owed and what an exercise takes follow from quotes, dividends and shares alone; an oracle that goes
through them one share at a time knows nothing of how the product does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from options_helper.analysis.attention.entries import AttentionKind, Entry
from options_helper.model.portfolio import PortfolioEntry
from options_helper.model.risk_inputs import CorporateActions, Dividend
from tests.analysis.attention.world import FRIDAY, attention, live_at, of_kind
from tests.kit.builders import holding, new_york, position

MONDAY, TUESDAY, DECEMBER = date(2026, 11, 23), date(2026, 11, 24), date(2026, 12, 18)
SPOT = Decimal(190)


@dataclass(frozen=True)
class Call:
    """So many of one strike and end, with what is bid for it and what its put is offered at; short is negative."""

    count: int
    strike: int
    ends: date
    time_value: Decimal | None  # at the bid; None: nobody bids
    put_ask: Decimal | None

    @property
    def inside(self) -> Decimal:
        return SPOT - self.strike

    @property
    def is_exercised(self) -> bool:
        return self.inside >= Decimal("0.01")

    @property
    def bid(self) -> Decimal | None:
        return None if self.time_value is None else max(Decimal(0), self.inside) + self.time_value

    @property
    def symbol(self) -> str:
        return f"AAPL{self.ends:%y%m%d}C{self.strike * 1_000:08d}"

    @property
    def put(self) -> str:
        return f"AAPL{self.ends:%y%m%d}P{self.strike * 1_000:08d}"


@dataclass(frozen=True)
class Pays:
    """Dollars a share on one day."""

    amount: Decimal
    day: date
    special: bool


def found(calls: Sequence[Call], shares: int, pays: Sequence[Pays]) -> dict[str, Entry]:
    """What the product tells at Friday's noon, by the contract."""
    book: list[PortfolioEntry] = [
        position("AAPL", one.strike, "call", contracts=one.count, expiry=one.ends, identity=one.symbol)
        for one in calls
    ]
    if shares:
        book.append(holding("AAPL", shares))
    prices: dict[str, tuple[float | None, float | None]] = {
        "AAPL": (float(SPOT - Decimal("0.01")), float(SPOT + Decimal("0.01")))
    }
    for one in calls:
        if one.bid is not None:
            prices[one.symbol] = (float(one.bid), float(one.bid + 1))
        if one.put_ask is not None:
            prices[one.put] = (0.01, float(one.put_ask))
    dividends = tuple(Dividend("AAPL", one.day, float(one.amount), special=one.special) for one in pays)
    actions = CorporateActions("AAPL", new_york("2026-11-20 08:00"), date(2027, 11, 20), dividends)
    live = live_at("2026-11-20 12:00", prices, held=book, actions=[actions])
    told = of_kind(attention(book, live), AttentionKind.EARLY_EXERCISE)
    assert len(told) == len({one.symbols for one in told})
    return {one.symbols[0]: one for one in told}


def expected(calls: Sequence[Call], shares: int, pays: Sequence[Pays]) -> dict[str, Decimal | None]:
    """By the contract that is told of: dollars that are owed, or that exercising one's own takes; None: nothing."""
    regular = sum((one.amount for one in pays if one.day == MONDAY and not one.special), Decimal(0))
    of_shares = sum((one.amount for one in pays if one.day == MONDAY), Decimal(0))
    if not regular:
        return {}
    # What ends today is assigned and exercised first, and what it brings may not come.
    today = sum(-100 * -one.count for one in calls if one.ends == FRIDAY and one.is_exercised)
    free = max(0, shares + min(0, today))
    told: dict[str, Decimal | None] = {}
    for one in sorted(calls, key=lambda call: call.strike):
        if one.ends == FRIDAY or not one.is_exercised:
            continue
        gains = one.time_value is not None and one.time_value < regular
        if one.count > 0:
            if gains:
                told[one.symbol] = Decimal(100 * one.count * one.strike)
            continue
        by_put = one.put_ask is not None and one.put_ask < regular
        if not (gains or by_put or one.time_value is None):
            continue
        owed = 0
        for _ in range(-100 * one.count):  # share by share
            if free:
                free -= 1
            else:
                owed += 1
        told[one.symbol] = owed * of_shares or None
    return told


CENTS = st.sampled_from([Decimal(cents) / 100 for cents in (0, 10, 30, 40, 55, 70, 71, 100, 200)])
CALLS = st.builds(
    Call,
    st.integers(-3, 2).filter(bool),
    st.sampled_from([180, 185, 189, 190, 195]),
    st.sampled_from([FRIDAY, TUESDAY, DECEMBER]),
    st.one_of(st.none(), CENTS),
    st.one_of(st.none(), CENTS.filter(bool)),
)
PAYS = st.builds(Pays, CENTS.filter(bool), st.sampled_from([MONDAY, MONDAY, TUESDAY]), st.booleans())


TENTHS = [Pays(Decimal("0.1"), MONDAY, special=False)] * 3


@settings(max_examples=150, deadline=None)
@example(calls=[Call(1, 180, DECEMBER, Decimal("0.3"), None)], shares=0, pays=TENTHS)
@given(
    st.lists(CALLS, min_size=1, max_size=5, unique_by=lambda one: (one.strike, one.ends)),
    st.sampled_from([0, 0, 50, 100, 250, -100]),
    st.lists(PAYS, max_size=3),
)
def test_who_is_told_and_what_is_owed_is_what_a_share_by_share_count_says(
    calls: list[Call], shares: int, pays: list[Pays]
):
    told, should = found(calls, shares, pays), expected(calls, shares, pays)

    assert told.keys() == should.keys()
    for symbol, needs in should.items():
        assert told[symbol].needs == (None if needs is None else pytest.approx(float(needs)))
