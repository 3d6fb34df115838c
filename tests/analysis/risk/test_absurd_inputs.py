"""Whatever comes in, no warning, no infinity, and no figure beside a NaN: a leg is known or it is not."""

from __future__ import annotations

import numpy as np
import pytest

from options_helper.analysis.marks import Numbers
from options_helper.analysis.risk.implied_volatility import OptionQuotes, implied_volatility, usual_tick
from options_helper.analysis.risk.pricing import CashDividends, Market, PerShareGreeks, Terms, greeks, value
from tests.kit.pace import runs

LEGS = 400


def absurd(dice: np.random.Generator) -> tuple[Terms, Market, Numbers]:
    """Spots from a tenth of a cent to a million, up to thirty years, volatilities to 10,000 %, and things unknown."""

    def some(*values: float) -> Numbers:
        return dice.choice(np.array(values, dtype=float), LEGS)

    spot = 10 ** dice.uniform(-3, 6, LEGS)
    strike = spot * 10 ** (dice.uniform(-4, 4, LEGS) * some(0, 1, 1, 1))
    years = 10 ** dice.uniform(-9, 1.5, LEGS) * some(1, 1, 1, 1, 0, -1, np.nan)
    volatility = 10 ** dice.uniform(-9, 2, LEGS) * some(1, 1, 1, 1, 1, 0, -1, np.nan, np.inf)
    rate, carry = (dice.uniform(-0.5, 0.5, LEGS) * some(1, 0.1, 0) for _ in range(2))
    dividends = CashDividends(
        years * dice.uniform(-0.2, 1.2, (3, LEGS)), spot * dice.uniform(0, 0.3, (3, LEGS)) * some(0, 1, 0.1)
    )
    return (
        Terms(strike, dice.random(LEGS) < 0.5, dice.random(LEGS) < 0.7, years),
        Market(spot * some(1, 1, 1, 1, 1, 1, np.nan), rate, carry, dividends),
        volatility,
    )


def rows(found: PerShareGreeks) -> Numbers:
    return np.array([found.price, found.delta, found.gamma, found.vega, found.theta, found.rho])


@pytest.mark.parametrize("seed", range(runs(4, 200)))
def test_a_leg_has_all_its_figures_or_none(seed: int):
    terms, market, volatility = absurd(np.random.default_rng(seed))

    known = np.isfinite(found := rows(greeks(terms, market, volatility)))

    assert (known.all(axis=0) | np.isnan(found).all(axis=0)).all()
    assert known.all(axis=0).mean() > 0.2
    assert (np.isfinite(value(terms, market, volatility)) == known[0]).all()


@pytest.mark.parametrize("seed", range(runs(4, 200)))
def test_a_quote_has_a_volatility_within_its_band_or_a_reason(seed: int):
    dice = np.random.default_rng(seed)
    terms, market, volatility = absurd(dice)
    mid = value(terms, market, volatility) * dice.uniform(0.5, 1.5, LEGS)
    half = mid * dice.uniform(0, 0.3, LEGS)
    bid = np.where(dice.random(LEGS) < 0.1, 0, mid - half)

    found = implied_volatility(
        terms, market, OptionQuotes(bid, mid + half, mid, usual_tick(np.nan_to_num(mid)))
    )

    known = found.is_known
    assert [reason is None for reason in found.reason] == known.tolist()
    assert (found.volatility[known] > 0).all()
    assert (found.low[known] <= found.volatility[known] + 1e-9).all()
    assert (found.high[known] >= found.volatility[known] - 1e-9).all()
