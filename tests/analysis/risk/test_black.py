"""European prices and Greeks in closed form, against published figures and their own definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.risk.black import european_greeks, european_value, normal_cdf
from options_helper.analysis.risk.inversion import black_volatility, european_vega
from tests.analysis.risk.legs import Leg, greeks_of, market_of, terms_of, values, volatility_of


def european(spot: float, strike: float, days: float, volatility: float, rate: float, **more: Any) -> Leg:
    return Leg(spot, strike, days, volatility, rate, american=False, **more)


def test_normal_cdf_is_right_far_into_the_tail():
    found = normal_cdf(np.array([-8.0, -1.0, 0.0, 1.0, 8.0]))

    assert found == pytest.approx([6.220960574271786e-16, 0.15865525393145707, 0.5, 0.8413447460685429, 1.0])
    assert found[0] > 0


def test_hulls_options_on_a_share_that_pays_nothing():
    """Hull, ch. 15: S 42, K 40, r 10 %, volatility 20 %, six months."""
    call = european(42, 40, 182.5, 0.2, 0.1)

    assert values(call, call._replace(kind="put")) == pytest.approx([4.759422, 0.808599], abs=1e-6)


def test_hulls_greeks():
    """Hull, ch. 19: S 49, K 50, r 5 %, volatility 20 %, 20 weeks; theta per year, vega per 1.00."""
    found = greeks_of(european(49, 50, 0.3846 * 365, 0.2, 0.05))

    assert found.price[0] == pytest.approx(2.400461, abs=1e-5)
    assert found.delta[0] == pytest.approx(0.521602, abs=1e-5)
    assert found.gamma[0] == pytest.approx(0.065545, abs=1e-5)
    assert found.vega[0] == pytest.approx(12.105, abs=1e-3)
    assert found.theta[0] == pytest.approx(-4.305, abs=1e-3)


@pytest.mark.parametrize(
    ("strike", "kind", "price", "figures"),
    [
        (2700, "call", 45.65, (0.0806, 0.7211, -0.4318, 2.5509)),
        (2700, "put", 10.75, (0.0809, -0.2795, -0.3392, 2.5536)),
        (2735, "call", 21.20, (0.0700, 0.5039, -0.4233, 3.0290)),
    ],
)
def test_cboes_figures_of_an_index(
    strike: float, kind: str, price: float, figures: tuple[float, float, float, float]
):
    """SPXW at noon of 2018-01-05, four weeks to 16:30; theta per day, vega per point."""
    volatility, delta, theta, vega = figures
    leg = european(2732.3144, strike, 28.1875, volatility, 0.01272, kind=kind)
    exact = black_volatility(terms_of([leg]), market_of([leg]), np.array([price]))[0]
    found = greeks_of(leg._replace(volatility=exact))

    assert exact == pytest.approx(volatility, abs=6e-5)
    assert found.delta[0] == pytest.approx(delta, abs=2e-4)
    assert found.theta[0] / 365 == pytest.approx(theta, abs=5e-4)
    assert found.vega[0] / 100 == pytest.approx(vega, abs=2e-3)


@pytest.mark.parametrize("kind", ["call", "put"])
def test_greeks_are_the_slopes_of_the_price_with_dividends_and_carry(kind: str):
    """Time passes for the leg and for its dividends alike."""
    leg = european(100, 105, 120, 0.3, 0.04, kind=kind, carry=0.01, dividends=((30, 1.0), (110, 1.5)))
    found = greeks_of(leg)

    def slope(step: float, *, up: Leg, down: Leg) -> float:
        high, low = values(up, down)
        return float(high - low) / (2 * step)

    def later(days: float) -> Leg:
        return leg._replace(days=leg.days - days, dividends=[(at - days, paid) for at, paid in leg.dividends])

    assert found.delta[0] == pytest.approx(
        slope(1e-3, up=leg._replace(spot=100.001), down=leg._replace(spot=99.999)), abs=1e-7
    )
    high, low = (greeks_of(leg._replace(spot=spot)).delta[0] for spot in (100.001, 99.999))
    assert found.gamma[0] == pytest.approx((high - low) / 2e-3, abs=1e-7)
    assert found.vega[0] == pytest.approx(
        slope(1e-5, up=leg._replace(volatility=0.30001), down=leg._replace(volatility=0.29999)), abs=1e-5
    )
    assert found.rho[0] == pytest.approx(
        slope(1e-5, up=leg._replace(rate=0.04001), down=leg._replace(rate=0.03999)), abs=1e-5
    )
    assert found.theta[0] == pytest.approx(slope(1e-3 / 365, up=later(1e-3), down=later(-1e-3)), abs=1e-5)


DOLLARS = st.integers(1, 3).map(float)
LEGS = st.lists(
    st.builds(
        european,
        st.integers(60, 140),
        st.just(100),
        st.integers(1, 700),
        st.sampled_from([0.05, 0.3, 1.0]),
        st.sampled_from([0.0, 0.043]),
        carry=st.sampled_from([0.0, 0.02]),
        kind=st.sampled_from(["call", "put"]),
        dividends=st.lists(st.tuples(st.integers(0, 800), DOLLARS), max_size=3),
    ),
    min_size=1,
    max_size=4,
)


@given(LEGS)
def test_european_legs_cost_the_same_where_the_dividends_were_taken_off_the_spot_before(legs: list[Leg]):
    terms, market, volatility = terms_of(legs), market_of(legs), volatility_of(legs)
    stripped = market.stripped(terms.years)

    assert not stripped.dividends.years.size
    for price in (european_value, european_vega):
        assert np.array_equal(price(terms, stripped, volatility), price(terms, market, volatility))
    assert np.array_equal(stripped.forward(terms.years), market.forward(terms.years))


def test_without_volatility_an_option_is_worth_what_its_forward_says():
    legs = [
        european(100, strike, 365, 0.0, 0.05, kind=kind) for kind in ("call", "put") for strike in (90, 110)
    ]

    worth = [max(sign * (100 - strike * np.exp(-0.05)), 0) for sign in (1, -1) for strike in (90, 110)]
    assert european_value(terms_of(legs), market_of(legs), volatility_of(legs)) == pytest.approx(worth)


def test_at_its_forward_call_and_put_are_worth_the_same():
    forward = 100 * np.exp(0.05 * 0.5)
    call, put = values(*(european(100, forward, 182.5, 0.2, 0.05, kind=kind) for kind in ("call", "put")))

    assert call == pytest.approx(put, abs=1e-12)


def test_deep_and_certain_legs_have_finite_greeks():
    legs = [european(100, strike, 0.001, 0.01, 0.04) for strike in (1, 100, 10_000)]
    found = european_greeks(terms_of(legs), market_of(legs), volatility_of(legs))

    assert np.isfinite([found.price, found.delta, found.gamma, found.vega, found.theta, found.rho]).all()
