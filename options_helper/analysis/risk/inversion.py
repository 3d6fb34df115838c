"""Price → volatility: Black's formula turned round, and the lattice's by Newton steps from there.

A volatility is found for each leg by itself, so no leg's trouble is another's. NaN: no volatility gives this price.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from options_helper.analysis.marks import Flags, Integers, Numbers
from options_helper.analysis.risk.black import black_price, distances, european_value, normal_density
from options_helper.analysis.risk.lattice import american_value
from options_helper.analysis.risk.pricing import Market, Terms, can_be_priced, needs_lattice

# Dollars per 1.00 of volatility. Less is no slope to divide by.
LEAST_VEGA: Final = 1e-9
_ROUNDS: Final = 40  # of Black's formula; four to eight do for nearly all
_EXACT: Final = 1e-13  # of the forward
# A deviation of less than this, and of more than that, is no answer: the price does not depend on it any more.
_LEAST_DEVIATION: Final = 1e-5
_MOST_DEVIATION: Final = 20.0
_LATTICE_ROUNDS: Final = 10  # two or three do, except near the exercise boundary
_LEAST_MOVE: Final = 1e-4  # of volatility between two prices whose slope is believed
# Of a tick. The step that follows squares what is left where its slope was measured, and else takes off most of it.
_NEAR_ENOUGH: Final = 0.25
_NEAR_AT_ONCE: Final = 0.05
_JUST_ABOVE: Final = 1.001
# Where vega is so near to the European one, early exercise is worth little and changes along a line.
_STRAIGHT: Final = 0.2
_BAND_ROUNDS: Final = 4
_BAND_MISS: Final = 1e-2  # of the distance from the middle, before the last step


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """A volatility for each price, per year as a fraction, and what the next search begins with. NaN: none."""

    volatility: Numbers
    vega_ratio: Numbers  # vega, to that of the leg as if European; it changes slowly
    european: Numbers  # the volatility at which the leg, if it were European, would cost as much

    def take(self, legs: Integers) -> Solution:
        """The solutions of some of the legs."""
        return Solution(self.volatility[legs], self.vega_ratio[legs], self.european[legs])


def black_volatility(terms: Terms, market: Market, price: Numbers, near: Numbers | None = None) -> Numbers:
    """The volatility at which the legs, as if European, cost `price` (dollars per share); NaN: none.

    `near` are volatilities that are thought to be close, NaN where none is known; they save time.
    """
    found = np.full(len(price), np.nan)
    legs = np.flatnonzero(can_be_priced(terms, market) & np.isfinite(price))
    terms, market, price = terms.take(legs), market.take(legs), price[legs]
    forward, discount = market.forward(terms.years), np.exp(-market.rate * terms.years)
    # The out-of-the-money side of the same strike has the same volatility, and all of its price is time value.
    certain = np.maximum(terms.sign * (forward - terms.strike), 0.0)
    wanted = price / discount - certain
    # Less than what the search ends with says nothing.
    chosen = np.flatnonzero((wanted > _EXACT * forward) & (wanted < np.minimum(forward, terms.strike)))
    root = np.sqrt(terms.years[chosen])
    hint = np.full(len(chosen), np.nan) if near is None else near[legs[chosen]] * root
    found[legs[chosen]] = _deviation(forward[chosen], terms.strike[chosen], wanted[chosen], hint) / root
    return found


def _deviation(forward: Numbers, strike: Numbers, wanted: Numbers, hint: Numbers) -> Numbers:
    """Volatility times root of time at which the out-of-the-money option costs `wanted`, undiscounted.

    Newton's steps from the point of inflection (Manaster and Koehler 1982), where they never turn back; for prices
    below the one there on the logarithm of the price, which is nearly straight where the price itself is flat.
    """
    sign, one = np.where(strike >= forward, 1.0, -1.0), np.ones_like(forward)
    inflection = np.sqrt(2 * np.abs(np.log(forward / strike)))
    is_low = black_price(forward, strike, sign, inflection, one) > wanted
    at = np.where(hint > 0, hint, np.maximum(inflection, 2.5 * wanted / np.sqrt(forward * strike)))
    legs = np.arange(len(at))
    for _ in range(_ROUNDS):
        here, target, levels = at[legs], wanted[legs], forward[legs]
        worth = black_price(levels, strike[legs], sign[legs], here, one[legs])
        slope = levels * normal_density(distances(levels, strike[legs], here)[0])
        by_log = is_low[legs] & (worth > 0)
        miss = np.where(by_log, np.log(np.where(by_log, worth / target, 1.0)) * worth, worth - target)
        # Where price and slope are 0 to all digits, the volatility is far too low; where only the slope is, too high.
        blind = np.where(worth < target, -here, 0.5 * here)
        step = np.divide(miss, slope, out=blind, where=slope > LEAST_VEGA * _EXACT)
        at[legs] = np.clip(here - step, here / 3, 3 * here + 1)
        legs = legs[(np.abs(worth - target) > _EXACT * levels) & (np.abs(step) > _EXACT * here)]
        if not legs.size:
            break
    return np.where((at > _LEAST_DEVIATION) & (at < _MOST_DEVIATION), at, np.nan)


def solve(
    terms: Terms, market: Market, price: Numbers, tick: Numbers, earlier: Solution | None = None
) -> Solution:
    """The volatility at which each leg costs `price`, by the model that prices it.

    With an `earlier` solution (NaN where a leg has none) most legs of the lattice are priced once. The price is met to
    far less than a quarter of `tick`, dollars per share.
    """
    european = black_volatility(terms, market, price, None if earlier is None else earlier.european)
    found = Solution(european.copy(), np.where(np.isnan(european), np.nan, 1.0), european)
    legs = np.flatnonzero(needs_lattice(terms, market) & np.isfinite(european))
    if legs.size:
        start = _start(found.take(legs), None if earlier is None else earlier.take(legs))
        at, ratio = _by_lattice(terms.take(legs), market.take(legs), price[legs], tick[legs], start)
        found.volatility[legs], found.vega_ratio[legs] = at, ratio
    return found


def _start(cold: Solution, earlier: Solution | None) -> Solution:
    """Where the search begins: as far from the European volatility as the last one ended."""
    if earlier is None:
        return cold
    at = earlier.volatility + (cold.european - earlier.european)
    # American options cost no less than European ones, so no volatility above the European one fits.
    usable = (at > 0) & (at <= cold.european) & (earlier.vega_ratio > 0)
    return Solution(
        np.where(usable, at, cold.volatility),
        np.where(usable, earlier.vega_ratio, cold.vega_ratio),
        cold.european,
    )


@dataclass(slots=True)
class _Search:
    """A search for n volatilities under way; its arrays are written to."""

    at: Numbers  # the next to be tried
    slope: Numbers  # dollars per 1.00
    low: Numbers  # too low, as far as is known
    high: Numbers  # too high
    tried: Numbers
    worth: Numbers  # at what was tried last

    def learn(self, legs: Integers, worth: Numbers, price: Numbers, enough: Numbers) -> Flags:
        """What the legs were worth at `at`: choose the next volatilities, and say which are near enough (dollars)."""
        here = self.at[legs]
        moved = here - self.tried[legs]
        secant = np.divide(
            worth - self.worth[legs],
            moved,
            out=np.full_like(moved, np.nan),
            where=np.abs(moved) > _LEAST_MOVE,
        )
        self.slope[legs] = np.where(secant > 0, secant, self.slope[legs])
        self.tried[legs], self.worth[legs] = here, worth
        miss = worth - price
        self.low[legs] = np.where(miss < 0, np.maximum(self.low[legs], here), self.low[legs])
        self.high[legs] = np.where(miss > 0, np.minimum(self.high[legs], here), self.high[legs])
        step = np.divide(
            miss, self.slope[legs], out=np.full_like(miss, np.nan), where=self.slope[legs] > LEAST_VEGA
        )
        by_newton = here - step
        is_inside = (by_newton > self.low[legs]) & (by_newton < self.high[legs])
        is_near = np.abs(miss) <= enough
        # What is near already is not thrown back to the middle of its bounds.
        otherwise = np.where(is_near, here, 0.5 * (self.low[legs] + self.high[legs]))
        self.at[legs] = np.where(is_inside, by_newton, otherwise)
        return is_near


def _by_lattice(
    terms: Terms, market: Market, price: Numbers, tick: Numbers, start: Solution
) -> tuple[Numbers, Numbers]:
    """Newton's steps with the slope between the last two prices, between bounds that close in.

    Returns volatility and vega ratio.
    """
    unknown = np.full_like(price, np.nan)
    search = _Search(
        start.volatility.copy(),
        start.vega_ratio * european_vega(terms, market, start.volatility),
        np.zeros_like(price),
        start.european * _JUST_ABOVE,
        unknown.copy(),
        unknown.copy(),
    )
    found = np.zeros(len(price), dtype=bool)
    legs = np.arange(len(price))
    for enough in (_NEAR_AT_ONCE, *(_LATTICE_ROUNDS - 1) * (_NEAR_ENOUGH,)):
        worth = american_value(terms.take(legs), market.take(legs), search.at[legs])
        found[legs] = search.learn(legs, worth, price[legs], enough * tick[legs])
        legs = legs[~found[legs]]
        if not legs.size:
            break
    at = np.where(found, search.at, np.nan)
    as_if_european = european_vega(terms, market, at)
    return at, np.divide(search.slope, as_if_european, out=unknown, where=as_if_european > LEAST_VEGA)


def band_end(
    terms: Terms, market: Market, middle: Solution, mid: Numbers, price: Numbers, *, tick: Numbers
) -> Numbers:
    """The volatility at `price`, a little away from `mid` (dollars per share), whose solution is known; NaN: none.

    Near exercise by a search of its own, else without another lattice.
    """
    found = _along_a_line(terms, market, middle, mid, price)
    bends = np.abs(middle.vega_ratio - 1) > _STRAIGHT  # a comparison with NaN is false
    legs = np.flatnonzero(bends & np.isfinite(price))
    if legs.size:
        own = solve(terms.take(legs), market.take(legs), price[legs], tick[legs], middle.take(legs))
        found[legs] = own.volatility
    return found


def _along_a_line(terms: Terms, market: Market, middle: Solution, mid: Numbers, price: Numbers) -> Numbers:
    """What exercising early is worth is taken for a straight line through the middle; Black's formula says the rest.

    NaN where the price is out of its reach.
    """
    found = np.full(len(price), np.nan)
    legs = np.flatnonzero(np.isfinite(middle.volatility) & np.isfinite(price))
    terms, market, price = terms.take(legs), market.take(legs), price[legs]
    # Of a European leg the dividends count by what they are worth together, which no volatility changes.
    market = market.stripped(terms.years)
    center = middle.volatility[legs]
    premium = mid[legs] - european_value(terms, market, center)
    lean = (middle.vega_ratio[legs] - 1) * european_vega(terms, market, center)
    at, miss = center.copy(), np.zeros_like(center)
    for _ in range(_BAND_ROUNDS):
        miss = european_value(terms, market, at) + premium + lean * (at - center) - price
        slope = european_vega(terms, market, at) + lean
        step = np.divide(miss, slope, out=np.zeros_like(miss), where=slope > LEAST_VEGA)
        at = np.clip(at - step, at / 3, 3 * at)
    found[legs] = np.where(np.abs(miss) <= _BAND_MISS * np.abs(price - mid[legs]) + _EXACT, at, np.nan)
    return found


def european_vega(terms: Terms, market: Market, volatility: Numbers) -> Numbers:
    """Dollars per 1.00 of volatility, of the legs as if European; NaN where the volatility is not known."""
    vega = np.full(len(volatility), np.nan)
    legs: Flags = np.isfinite(volatility)
    terms, market = terms.take(legs), market.take(legs)
    root = np.sqrt(terms.years)
    d1, _ = distances(market.forward(terms.years), terms.strike, volatility[legs] * root)
    grown = market.stripped_spot(terms.years) * np.exp(-market.carry * terms.years)
    vega[legs] = grown * normal_density(d1) * root
    return vega
