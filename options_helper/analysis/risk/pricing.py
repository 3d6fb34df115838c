"""What option legs are worth and how that changes: the one way in to the models, which it chooses by leg.

European legs, and American ones for which exercising early can never pay, are priced by Black's formula; all other
American legs by the lattice. A leg with an input that is not known or cannot be (NaN, a spot below its dividends, no
time left) gets NaN; it changes no other leg's figure, and there is no warning.
"""

from __future__ import annotations

import numpy as np

from options_helper.analysis.marks import Flags, Numbers
from options_helper.analysis.risk.black import european_greeks, european_value
from options_helper.analysis.risk.lattice import american_greeks, american_value
from options_helper.analysis.risk.terms import CashDividends, Market, PerShareGreeks, Terms

__all__ = [
    "CashDividends",
    "Market",
    "PerShareGreeks",
    "Terms",
    "can_be_priced",
    "greeks",
    "needs_lattice",
    "value",
]


def value(terms: Terms, market: Market, volatility: Numbers) -> Numbers:
    """Dollars per share of n legs; volatility per year, as a fraction, 0 or more."""
    by_lattice, in_closed_form = _routes(terms, market, volatility)
    worth = np.full(len(terms.strike), np.nan)
    for legs, model in ((in_closed_form, european_value), (by_lattice, american_value)):
        if legs.any():
            worth[legs] = model(terms.take(legs), market.take(legs), volatility[legs])
    return worth


def greeks(terms: Terms, market: Market, volatility: Numbers) -> PerShareGreeks:
    """Price and derivatives per share of n legs, in the units of `PerShareGreeks`."""
    by_lattice, in_closed_form = _routes(terms, market, volatility)
    rows = np.full((6, len(terms.strike)), np.nan)
    for legs, model in ((in_closed_form, european_greeks), (by_lattice, american_greeks)):
        if legs.any():
            found = model(terms.take(legs), market.take(legs), volatility[legs])
            rows[:, legs] = (found.price, found.delta, found.gamma, found.vega, found.theta, found.rho)
    return PerShareGreeks(*rows)


def needs_lattice(terms: Terms, market: Market) -> Flags:
    """Where exercising early may pay, so that the closed form is not the price.

    A call is held while waiting for the strike earns interest and no dividend is missed; a put while waiting costs no
    interest (Merton 1973). A borrow cost is to the call what a dividend is.
    """
    paid = np.any(market.dividends.until(terms.years) != 0, axis=0)
    call_waits = (market.rate >= 0) & (market.carry <= 0) & ~paid
    put_waits = (market.rate <= 0) & (market.carry >= 0)
    waits: Flags = (terms.is_call & call_waits) | (~terms.is_call & put_waits)
    early: Flags = terms.is_american & ~waits
    return early


def can_be_priced(terms: Terms, market: Market) -> Flags:
    """Where all that a price needs besides a volatility is known and possible."""
    numbers = (terms.strike, terms.years, market.spot, market.rate, market.carry)
    known = np.all(np.isfinite(numbers), axis=0) & np.all(
        np.isfinite(market.dividends.until(terms.years)), axis=0
    )
    possible: Flags = known & (terms.strike > 0) & (terms.years > 0)
    stripped = np.zeros(len(possible))
    legs = np.flatnonzero(possible)
    stripped[legs] = market.take(legs).stripped_spot(terms.years[legs])
    possible &= stripped > 0
    return possible


def _routes(terms: Terms, market: Market, volatility: Numbers) -> tuple[Flags, Flags]:
    """Which legs go through the lattice, and which are priced in closed form."""
    possible = can_be_priced(terms, market) & np.isfinite(volatility) & (volatility >= 0)
    by_lattice = possible & needs_lattice(terms, market)
    return by_lattice, possible & ~by_lattice
