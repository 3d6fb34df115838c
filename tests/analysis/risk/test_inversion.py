"""From prices back to volatilities: what was put in comes out, in whatever state the search begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from options_helper.analysis.risk.inversion import Solution, band_end, black_volatility, european_vega, solve
from options_helper.analysis.risk.pricing import value
from tests.analysis.risk.legs import Leg, greeks_of, market_of, terms_of, values, volatility_of

CENT = 0.01


def solved(*legs: Leg, earlier: Solution | None = None, more: float = 0.0) -> Solution:
    """The volatilities of these legs' own prices, or of prices that are higher by so many dollars."""
    return solve(terms_of(legs), market_of(legs), values(*legs) + more, np.full(len(legs), CENT), earlier)


@given(
    st.floats(-8, 8),
    st.floats(0.02, 5),
    st.floats(0.01, 1000),
    st.sampled_from(["call", "put"]),
)
@example(8.0, 1.5, 20.0, "call")  # so little that the search was over where it had just gone on
def test_a_european_volatility_comes_back(deviations: float, volatility: float, days: float, kind: str):
    """Up to eight standard deviations out of the money, on either side."""
    spread = volatility * np.sqrt(days / 365)
    strike = 100 * np.exp(min(max(deviations * spread, -3), 3))
    leg = Leg(100, strike, days, volatility, kind=kind, american=False)
    terms, market = terms_of([leg]), market_of([leg])
    price = values(leg)
    certain = max((100 - strike * np.exp(-0.043 * days / 365)) * (1 if kind == "call" else -1), 0)

    found = black_volatility(terms, market, price)

    if price[0] - certain > 1e-7:
        assert found[0] == pytest.approx(volatility, rel=1e-5)
        assert value(terms, market, found)[0] == pytest.approx(price[0], abs=1e-10)
    else:  # there is nothing left to read it from
        assert np.isnan(found[0]) or abs(value(terms, market, found)[0] - price[0]) < 1e-7


@pytest.mark.parametrize("price", [0.0, -1.0, 4.99, 100.0, 101.0, np.nan, np.inf])
def test_a_price_that_no_volatility_gives_has_none(price: float):
    """A call that is worth between 5 and 100."""
    leg = Leg(100, 95, 30, 0.2, 0.0, american=False)

    assert np.isnan(black_volatility(terms_of([leg]), market_of([leg]), np.array([price])))


def test_a_wrong_hint_costs_time_and_changes_nothing():
    legs = [Leg(100, strike, 30, 0.25, american=False) for strike in (70, 95, 100, 130)]
    terms, market, price = terms_of(legs), market_of(legs), values(*legs)

    for hint in (0.01, 0.2, 4.0):
        found = black_volatility(terms, market, price, np.full(4, hint))
        assert found[1:] == pytest.approx(0.25, rel=1e-6), hint


LEGS = [
    Leg(100, strike, days, volatility, kind=kind, carry=carry, dividends=dividends)
    for strike in (80, 95, 100, 105, 112)
    for days in (3, 30, 200)
    for volatility in (0.2, 0.6)
    for kind in ("call", "put")
    for carry in (0.0, 0.03)
    for dividends in ((), ((2, 0.5),))
]


def identifiable() -> list[Leg]:
    """Those whose price changes by half a cent with a point of volatility."""
    return [leg for leg, vega in zip(LEGS, greeks_of(*LEGS).vega, strict=True) if vega > 0.5]


def test_american_volatilities_come_back():
    legs = identifiable()

    found = solved(*legs).volatility

    assert len(legs) > 100
    assert found == pytest.approx(volatility_of(legs), abs=2e-3)
    assert np.mean(np.abs(found - volatility_of(legs)) < 1e-5) > 0.95
    again = value(terms_of(legs), market_of(legs), found)
    assert again == pytest.approx(values(*legs), abs=1e-3)


def test_an_earlier_solution_leads_to_the_same_answer():
    legs = identifiable()
    earlier = solved(*(leg._replace(spot=100.7) for leg in legs))

    assert solved(*legs, earlier=earlier).volatility == pytest.approx(volatility_of(legs), abs=2e-3)


def test_an_earlier_solution_that_knows_nothing_is_none():
    legs = identifiable()[:5]
    nothing = np.full(5, np.nan)

    found = solved(*legs, earlier=Solution(nothing, nothing, nothing))

    assert found.volatility == pytest.approx(volatility_of(legs), abs=5e-5)


def test_the_vega_of_a_solution_is_the_slope_of_the_price():
    legs = identifiable()
    step = 0.002
    above, below = (
        values(*(leg._replace(volatility=leg.volatility + by) for leg in legs)) for by in (step, -step)
    )
    slope = (above - below) / (2 * step)

    solution = solved(*legs)
    found = solution.vega_ratio * european_vega(terms_of(legs), market_of(legs), solution.volatility)

    assert np.median(np.abs(found - slope)) < 0.02 * np.median(slope)
    assert (found > 0).all()


def test_the_ends_of_a_band_are_those_of_a_search_of_their_own():
    """Two per cent of the price up; where a straight line is taken for it, that costs a twentieth of the band."""
    legs = [leg for leg in identifiable() if leg.days > 3]
    middle, mid = solved(*legs), values(*legs)
    terms, market = terms_of(legs), market_of(legs)
    half = np.maximum(0.01, 0.02 * mid)
    full = solve(terms, market, mid + half, np.full(len(legs), CENT)).volatility

    found = band_end(terms, market, middle, mid, mid + half, tick=np.full(len(legs), CENT))

    width = full - middle.volatility
    narrow = width < 0.05  # the others' bands are too wide to be believed
    error = np.abs(found - full)[narrow]
    assert narrow.mean() > 0.8
    assert (error < 0.05 * width[narrow]).all()


def test_one_leg_without_an_answer_leaves_the_others_theirs():
    legs = [Leg(100, 100, 30, 0.25, kind="put"), Leg(100, 105, 30, 0.3, kind="put")]
    terms, market, price = terms_of(legs), market_of(legs), values(*legs)
    alone = solve(terms, market, price, np.full(2, CENT)).volatility

    price[0] = 100.0  # as dear as its strike
    beside = solve(terms, market, price, np.full(2, CENT)).volatility

    assert np.isnan(beside[0])
    assert beside[1] == pytest.approx(alone[1], abs=1e-9)


def test_without_spot_there_is_no_volatility():
    legs = [Leg(100, 100, 30, 0.25, kind="put")] * 2
    market = market_of(legs)
    market = replace(market, spot=np.array([np.nan, 100.0]))

    found = solve(terms_of(legs), market, values(*legs), np.full(2, CENT)).volatility

    assert np.isnan(found).tolist() == [True, False]
