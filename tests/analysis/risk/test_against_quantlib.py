"""QuantLib as oracle over thousands of random legs: what our own numbers may err by, and no more."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from options_helper.analysis.marks import Integers, Numbers
from options_helper.analysis.risk.inversion import solve
from options_helper.analysis.risk.pricing import (
    CashDividends,
    Market,
    PerShareGreeks,
    Terms,
    greeks,
    value,
)
from options_helper.analysis.risk.second_opinion import second_delta, second_value
from options_helper.errors import ConfigError
from tests.analysis.risk.legs import Leg, market_of, terms_of, volatility_of
from tests.kit.pace import runs

SPOT = 100.0
Legs = tuple[Terms, Market, Numbers]


def random_legs(count: int, seed: int, *, dividends: int = 0, days: float = 730) -> Legs:
    """Strikes 30 % around, 12 to 80 % of volatility, up to two years; dividends up to 1.5 % each."""
    dice = np.random.default_rng(seed)
    years = dice.uniform(1, days, count) / 365
    terms = Terms(
        SPOT * dice.uniform(0.7, 1.3, count), dice.random(count) < 0.5, np.ones(count, dtype=bool), years
    )
    paid = CashDividends(
        dice.uniform(0, 1, (dividends, count)) * years, dice.uniform(0.1, 1.5, (dividends, count))
    )
    market = Market(
        np.full(count, SPOT),
        dice.uniform(0.0, 0.05, count),
        dice.uniform(0, 0.03, count) * (dividends == 0),
        paid,
    )
    return terms, market, dice.uniform(0.12, 0.8, count)


def with_time_value(terms: Terms, price: Numbers) -> Integers:
    """The places of the legs that are worth more than half a cent above exercising now."""
    return np.flatnonzero(price - np.maximum(terms.sign * (SPOT - terms.strike), 0) > 0.005)


def bumped(legs: Legs, **bumps: float) -> Numbers:
    """QuantLib's prices with spot, volatility, rate or years a little off; dividends stay where they are."""
    terms, market, volatility = legs
    later = bumps.get("years", 0.0)
    dividends = CashDividends(market.dividends.years + later, market.dividends.amounts)
    return second_value(
        Terms(terms.strike, terms.is_call, terms.is_american, terms.years + later),
        Market(
            market.spot + bumps.get("spot", 0.0),
            market.rate + bumps.get("rate", 0.0),
            market.carry,
            dividends,
        ),
        volatility + bumps.get("volatility", 0.0),
    )


def quantlib_greeks(legs: Legs) -> PerShareGreeks:
    def slope(name: str, step: float) -> Numbers:
        return (bumped(legs, **{name: step}) - bumped(legs, **{name: -step})) / (2 * step)

    spot_step = 0.05
    middle = bumped(legs)
    gamma = (bumped(legs, spot=spot_step) + bumped(legs, spot=-spot_step) - 2 * middle) / spot_step**2
    return PerShareGreeks(
        price=middle,
        delta=slope("spot", spot_step),
        gamma=gamma,
        vega=slope("volatility", 1e-3),
        theta=-slope("years", 1e-4),
        rho=slope("rate", 1e-4),
    )


def percentiles(differences: Numbers) -> tuple[float, float, float]:
    """Median, 99th and largest."""
    half, nearly_all, largest = np.percentile(np.abs(differences), [50, 99, 100])
    return float(half), float(nearly_all), float(largest)


@pytest.mark.parametrize("seed", range(runs(1, 20)))
def test_prices_of_legs_without_dividends(seed: int):
    terms, market, volatility = legs = random_legs(3000, seed)

    error = value(*legs) - second_value(terms, market, volatility)

    assert np.sqrt(np.mean(error**2)) < 8e-3
    assert percentiles(error)[2] < 0.07


@pytest.mark.parametrize("seed", range(runs(1, 20)))
def test_prices_of_legs_with_dividends(seed: int):
    """A cent or two near an ex-date: the lattice exercises at one of its 51 moments."""
    terms, market, volatility = legs = random_legs(400, seed, dividends=2, days=180)

    error = value(*legs) - second_value(terms, market, volatility)

    assert np.sqrt(np.mean(error**2)) < 1e-2
    assert percentiles(error)[2] < 0.05


@pytest.mark.parametrize("seed", range(runs(1, 20)))
def test_volatility_and_greeks_of_true_prices(seed: int):
    """What the page does: from a price to the volatility, and from there to the Greeks."""
    terms, market, volatility = random_legs(1000, seed)
    chosen = with_time_value(terms, second_value(terms, market, volatility))
    terms, market, volatility = legs = terms.take(chosen), market.take(chosen), volatility[chosen]
    truth = quantlib_greeks(legs)

    found = solve(terms, market, truth.price, np.full(len(chosen), 0.01)).volatility
    ours = greeks(terms, market, found)

    known = ~np.isnan(found)
    assert known.mean() > 0.98
    of_volatility, of_delta = (
        percentiles(error[known]) for error in (found - volatility, ours.delta - truth.delta)
    )
    assert of_volatility[0] < 1e-4
    assert of_volatility[1] < 2e-3
    assert of_delta[0] < 1e-4
    assert of_delta[1] < 2.5e-3
    assert percentiles((ours.gamma - truth.gamma)[known])[1] < 5e-4
    assert percentiles((ours.vega - truth.vega)[known] / 100)[1] < 1.5e-2
    assert percentiles((ours.theta - truth.theta)[known] / 365)[1] < 5e-4
    assert percentiles((ours.rho - truth.rho)[known] / 100)[1] < 0.1


def test_delta_of_legs_with_dividends():
    terms, market, volatility = random_legs(runs(150, 1500), 7, dividends=2, days=180)
    chosen = with_time_value(terms, value(terms, market, volatility))
    legs = terms.take(chosen), market.take(chosen), volatility[chosen]

    error = greeks(*legs).delta - second_delta(*legs)

    assert percentiles(error)[0] < 1e-3
    assert percentiles(error)[1] < 1.5e-2


def test_european_legs_are_exact_in_both():
    terms, market, volatility = random_legs(200, 3, dividends=2)
    european = Terms(terms.strike, terms.is_call, ~terms.is_american, terms.years)

    assert value(european, market, volatility) == pytest.approx(
        second_value(european, market, volatility), abs=1e-9
    )


def test_a_leg_with_an_unknown_input_is_unknown_to_quantlib_too():
    legs = [Leg(np.nan, 100, 30, 0.2, kind="put"), Leg(100, 100, 30, 0.2, kind="put")]

    found = second_value(terms_of(legs), market_of(legs), volatility_of(legs))

    assert np.isnan(found).tolist() == [True, False]


def test_where_quantlib_is_missing_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "QuantLib", None)

    with pytest.raises(ConfigError, match=r"pip install 'options-helper\[risk\]'"):
        second_value(*random_legs(1, 0))
