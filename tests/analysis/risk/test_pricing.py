"""What every option price obeys, whichever model gives it, and what a leg that cannot be priced costs the others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.risk.pricing import can_be_priced, needs_lattice
from tests.analysis.risk.legs import Leg, greeks_of, market_of, terms_of, values

KINDS = st.sampled_from(["call", "put"])
LEGS = st.builds(
    Leg,
    spot=st.floats(5, 1000),
    strike=st.floats(0.6, 1.6),
    days=st.floats(0.01, 800),
    volatility=st.floats(0.05, 3),
    rate=st.floats(-0.01, 0.1),
    carry=st.floats(0, 0.1),
    kind=KINDS,
    american=st.just(True),  # noqa: FBT003 - hypothesis would choose
    dividends=st.lists(st.tuples(st.floats(0.01, 800), st.floats(0, 0.02)), max_size=3).map(tuple),
).map(
    lambda leg: leg._replace(
        strike=leg.strike * leg.spot, dividends=[(days, paid * leg.spot) for days, paid in leg.dividends]
    )
)


@given(LEGS)
def test_american_is_worth_no_less_than_european_and_than_exercise(leg: Leg):
    american, european = values(leg, leg._replace(american=False))
    intrinsic = max((leg.spot - leg.strike) * (1 if leg.kind == "call" else -1), 0)

    assert american >= european - 1e-9 * leg.spot
    assert european >= 0
    assert american >= intrinsic - 1e-9 * leg.spot


@given(LEGS)
def test_delta_keeps_its_sign_and_nothing_is_nan(leg: Leg):
    found = greeks_of(leg)
    sign = 1 if leg.kind == "call" else -1

    assert 0 <= sign * found.delta[0] <= 1
    assert found.gamma[0] >= 0
    assert found.vega[0] >= 0
    assert np.isfinite([found.price, found.theta, found.rho]).all()


@given(LEGS, st.floats(0.01, 100))
def test_in_another_currency_the_leg_is_the_same(leg: Leg, c: float):
    """Price scales with the currency, gamma with its inverse, and delta does not change."""
    scaled = leg._replace(
        spot=leg.spot * c, strike=leg.strike * c, dividends=[(days, paid * c) for days, paid in leg.dividends]
    )
    one, other = greeks_of(leg), greeks_of(scaled)

    assert other.price[0] == pytest.approx(c * one.price[0], rel=1e-6, abs=1e-9 * c * leg.spot)
    assert other.delta[0] == pytest.approx(one.delta[0], abs=1e-5)
    assert other.gamma[0] * c == pytest.approx(one.gamma[0], rel=1e-4, abs=1e-4 / leg.spot)
    assert other.vega[0] == pytest.approx(c * one.vega[0], rel=1e-4, abs=1e-6 * c * leg.spot)


@given(LEGS, st.floats(0.01, 0.2))
def test_the_price_falls_or_rises_with_the_strike_and_is_convex(leg: Leg, apart: float):
    """Up to what 51 steps err by."""
    low, middle, high = values(*(leg._replace(strike=leg.strike * (1 + step * apart)) for step in (-1, 0, 1)))
    error = 5e-4 * leg.spot

    falls = low - high if leg.kind == "call" else high - low
    assert falls >= -error
    assert low + high - 2 * middle >= -2 * error


@given(LEGS)
def test_at_its_end_a_leg_is_worth_its_intrinsic_value(leg: Leg):
    """A second before the end, and no warning on the way there."""
    ends = leg._replace(days=1 / 86_400, volatility=min(leg.volatility, 0.5), dividends=())
    intrinsic = max((leg.spot - leg.strike) * (1 if leg.kind == "call" else -1), 0)

    assert values(ends)[0] == pytest.approx(intrinsic, abs=1e-4 * leg.spot)


@given(
    st.lists(LEGS, min_size=1, max_size=4),
    st.sampled_from(["spot", "strike", "days", "volatility", "rate", "carry"]),
)
def test_a_leg_with_an_unknown_input_is_unknown_and_changes_no_other(legs: list[Leg], missing: str):
    unknown = legs[0]._replace(**{missing: np.nan})
    alone, beside = greeks_of(*legs), greeks_of(unknown, *legs)

    for figures, all_figures in (
        (alone.price, beside.price),
        (alone.delta, beside.delta),
        (alone.rho, beside.rho),
    ):
        assert np.isnan(all_figures[0])
        assert all_figures[1:] == pytest.approx(figures, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    "leg",
    [
        Leg(0, 100, 30, 0.2),
        Leg(-1, 100, 30, 0.2),
        Leg(100, 0, 30, 0.2),
        Leg(100, 100, 0, 0.2),
        Leg(100, 100, -1, 0.2),
        Leg(100, 100, 30, -0.1),
        Leg(100, 100, 30, np.inf),
        Leg(10, 10, 30, 0.2, dividends=((5, 10.5),)),
        Leg(10, 10, 30, 0.2, dividends=((5, np.nan),)),
    ],
)
def test_what_cannot_be_has_no_price(leg: Leg):
    assert np.isnan(values(leg)).all()
    assert np.isnan(values(leg._replace(american=False))).all()


def test_a_leg_with_a_spot_is_priced_and_one_without_is_not():
    legs = [Leg(100, 100, 30, 0.2), Leg(np.nan, 100, 30, 0.2)]

    assert can_be_priced(terms_of(legs), market_of(legs)).tolist() == [True, False]


@pytest.mark.parametrize(
    ("leg", "early"),
    [
        (Leg(100, 100, 30, 0.2), False),
        (Leg(100, 100, 30, 0.2, carry=0.02), True),
        (Leg(100, 100, 30, 0.2, dividends=((10, 1.0),)), True),
        (Leg(100, 100, 30, 0.2, dividends=((31, 1.0),)), False),  # of the next holder
        (Leg(100, 100, 30, 0.2, rate=-0.01), True),
        (Leg(100, 100, 30, 0.2, kind="put"), True),
        (Leg(100, 100, 30, 0.2, rate=0.0, kind="put"), False),
        (Leg(100, 100, 30, 0.2, kind="put", american=False), False),
    ],
)
def test_the_lattice_is_asked_where_exercising_early_may_pay(leg: Leg, early: bool):  # noqa: FBT001 - a column
    assert needs_lattice(terms_of([leg]), market_of([leg])).tolist() == [early]
    if not early:
        assert values(leg) == values(leg._replace(american=False))


def test_no_legs_are_no_figures():
    assert values().size == 0
    assert greeks_of().price.size == 0


def test_long_and_short_of_one_leg_are_nothing():
    legs = (Leg(100, 100, 30, 0.2, kind="put"),) * 2
    quantity = np.array([3.0, -3.0])

    assert float(np.sum(quantity * greeks_of(*legs).delta)) == 0.0
