"""European options in closed form: Black's formula on the forward.

F. Black, *The pricing of commodity contracts* (1976), as in Hull, *Options, Futures, and Other Derivatives*, ch. 18:

    price = e^(-rT) (F N(d1) - K N(d2)) for a call,   d1 = ln(F/K)/(v √T) + v √T / 2,   d2 = d1 - v √T

with F = (S - PV of cash dividends) e^((r - q) T). So it is Black and Scholes' formula with escrowed dividends, and the
derivatives are by the spot S. Inputs are known numbers (no NaN), spot above the dividends, years above 0.
"""

from __future__ import annotations

from math import erfc, pi, sqrt
from typing import Final

import numpy as np

from options_helper.analysis.marks import Numbers
from options_helper.analysis.risk.terms import Market, PerShareGreeks, Terms

_ROOT_HALF: Final = sqrt(0.5)
_DENSITY_AT_0: Final = 1 / sqrt(2 * pi)
# Standard deviations. Farther out the density is 0 in double precision, and its square is not to overflow.
_FARTHEST: Final = 40.0


def normal_cdf(x: Numbers) -> Numbers:
    """The chance that a standard normal number is below x."""
    # NumPy has no erfc; the loop over `math.erfc` is exact to the last digits, in the tails too.
    return 0.5 * np.array([erfc(one) for one in (x * -_ROOT_HALF).tolist()], dtype=np.float64)


def normal_density(x: Numbers) -> Numbers:
    """The density of a standard normal number at x."""
    return _DENSITY_AT_0 * np.exp(-0.5 * np.minimum(np.abs(x), _FARTHEST) ** 2)


def distances(forward: Numbers, strike: Numbers, deviation: Numbers) -> tuple[Numbers, Numbers]:
    """d1 and d2; `deviation` is volatility times the root of the years.

    Without deviation all is certain: both are as far out as numbers go, on the side where the forward is, or 0 at it.
    """
    moneyness = np.log(forward / strike)
    moves = deviation > 0
    scaled = np.divide(moneyness, deviation, out=np.sign(moneyness) * _FARTHEST, where=moves)
    d1 = np.clip(scaled, -1e6, 1e6) + 0.5 * deviation
    return d1, d1 - deviation


def black_price(
    forward: Numbers, strike: Numbers, sign: Numbers, deviation: Numbers, discount: Numbers
) -> Numbers:
    """Price in dollars per share; `sign` is 1 for calls and -1 for puts, `discount` is e^(-rT)."""
    d1, d2 = distances(forward, strike, deviation)
    worth = sign * (forward * normal_cdf(sign * d1) - strike * normal_cdf(sign * d2))
    return discount * np.maximum(worth, 0.0)


def european_value(terms: Terms, market: Market, volatility: Numbers) -> Numbers:
    """Price in dollars per share of the legs as if none could be exercised before its end."""
    return black_price(
        market.forward(terms.years),
        terms.strike,
        terms.sign,
        volatility * np.sqrt(terms.years),
        np.exp(-market.rate * terms.years),
    )


def european_greeks(terms: Terms, market: Market, volatility: Numbers) -> PerShareGreeks:
    """Price and derivatives of the legs as if none could be exercised before its end."""
    years, sign, strike = terms.years, terms.sign, terms.strike
    stripped, root = market.stripped_spot(years), np.sqrt(years)
    deviation, discount, grown = (
        volatility * root,
        np.exp(-market.rate * years),
        np.exp(-market.carry * years),
    )
    d1, d2 = distances(stripped * grown / discount, strike, deviation)
    near, far = normal_cdf(sign * d1), normal_cdf(sign * d2)
    density = normal_density(d1)
    price = np.maximum(sign * (stripped * grown * near - strike * discount * far), 0.0)
    delta = sign * grown * near
    gamma = np.divide(grown * density, stripped * deviation, out=np.zeros_like(density), where=deviation > 0)
    return PerShareGreeks(
        price=price,
        delta=delta,
        gamma=gamma,
        vega=stripped * grown * density * root,
        theta=theta_of(market, volatility, years, (price, delta, gamma)),
        rho=sign * (strike * years * discount * far + grown * near * _slope_of_dividends(market, years)),
    )


def theta_of(
    market: Market, volatility: Numbers, years: Numbers, held: tuple[Numbers, Numbers, Numbers]
) -> Numbers:
    """Dollars per year, from price, delta and gamma: the equation that each obeys while it is held (Hull, ch. 15).

    With X = S - PV of the dividends, each at its own date:  theta = rV - (rS - qX) delta - v² X² gamma / 2.
    """
    price, delta, gamma = held
    stripped = market.stripped_spot(years)
    drift = market.rate * market.spot - market.carry * stripped
    return market.rate * price - drift * delta - 0.5 * (volatility * stripped) ** 2 * gamma


def _slope_of_dividends(market: Market, years: Numbers) -> Numbers:
    """By how many dollars the value of the dividends falls per 1.00 of rate."""
    paid = market.dividends
    slopes: Numbers = np.sum(paid.until(years) * paid.years * np.exp(-market.rate * paid.years), axis=0)
    return slopes
