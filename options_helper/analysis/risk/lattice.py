"""American options on one lattice of the forward for all legs at once, cash dividends inside.

The tree of Cox, Ross and Rubinstein (1979) with escrowed dividends (Hull, ch. 21), its drift moved from the
probabilities into the level, so that no probability is ever negative. At step i of N, dt = T/N and u = e^(v √dt):

    share    = A_i M + D_i    with  A_i = (S - PV of dividends) e^((r - q) i dt),  M = u^k,  k = -i, -i+2, …, i,
                              and D_i the value at step i of the dividends still to come;
    value    = max(e^(-r dt) (p up + (1 - p) down),  ±(A_i M + D_i - K)),   p = 1/(1 + u).

The European option is priced on the same nodes: the lattice says only by how much the two differ, Black's formula the
rest (control variate; Hull and White 1988). All arrays have the shape (step or node, leg). In the loop, values of step
i are kept divided by ((1 - p) e^(-r dt))^(N - i), which saves two of seven passes over memory. Inputs are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Final

import numpy as np

from options_helper.analysis.marks import Flags, Numbers
from options_helper.analysis.risk.black import european_greeks, european_value, theta_of
from options_helper.analysis.risk.terms import Market, PerShareGreeks, Terms

STEPS: Final = 51
# Over the whole life. Less is no spread that nodes in double precision can show; more changes no price any more.
_LEAST_DEVIATION: Final = 1e-5
_MOST_DEVIATION: Final = 20.0
_VOLATILITY_BUMP: Final = 0.005
_RATE_BUMP: Final = 0.0025


@dataclass(frozen=True, slots=True, eq=False)
class _Nodes:
    """What the first nodes are worth, dollars per share, rows from the lowest share price up."""

    root: Numbers  # (n,)
    first: Numbers  # (2, n)
    second: Numbers  # (3, n)

    def first_legs(self, count: int) -> _Nodes:
        """Those of so many legs."""
        return _Nodes(self.root[:count], self.first[:, :count], self.second[:, :count])


@dataclass(frozen=True, slots=True, eq=False)
class _Tree:
    """The American and the European option on the same nodes, and where those lie."""

    american: _Nodes
    european: _Nodes
    is_exercised: Flags  # (n,): holding on is worth no more than exercising now
    up: Numbers  # (n,), u
    growth: Numbers  # (n,), of the level in one step

    @property
    def premium(self) -> Numbers:
        """What the right to exercise early is worth on these nodes, dollars per share."""
        return self.american.root - self.european.root

    def first_legs(self, count: int) -> _Tree:
        """The trees of so many legs."""
        return _Tree(
            self.american.first_legs(count),
            self.european.first_legs(count),
            self.is_exercised[:count],
            self.up[:count],
            self.growth[:count],
        )


def american_value(terms: Terms, market: Market, volatility: Numbers, steps: int = STEPS) -> Numbers:
    """Price in dollars per share."""
    tree = _grow(terms, market, volatility, steps)
    return _price(tree, terms, market, european_value(terms, market, volatility))


def american_greeks(terms: Terms, market: Market, volatility: Numbers, steps: int = STEPS) -> PerShareGreeks:
    """Price and derivatives; where exercising now is best, the price is intrinsic and only delta is not 0."""
    tree, by_volatility, by_rate = _grow_with_slopes(terms, market, volatility, steps)
    closed = european_greeks(terms, market, volatility)
    price = _price(tree, terms, market, closed.price)
    delta, gamma = _slopes(tree, terms, market, closed)
    held = ~tree.is_exercised
    return PerShareGreeks(
        price=price,
        delta=np.where(held, delta, terms.sign),
        gamma=np.where(held, gamma, 0.0),
        # More volatility never makes an option cheaper; what is below 0 is the grid's error.
        vega=np.where(held, np.maximum(closed.vega + by_volatility, 0.0), 0.0),
        theta=np.where(held, theta_of(market, volatility, terms.years, (price, delta, gamma)), 0.0),
        rho=np.where(held, closed.rho + by_rate, 0.0),
    )


def _price(tree: _Tree, terms: Terms, market: Market, european: Numbers) -> Numbers:
    premium = np.where(tree.is_exercised, 0.0, tree.premium)
    return np.maximum(european + premium, terms.sign * (market.spot - terms.strike))


def _grow_with_slopes(
    terms: Terms, market: Market, volatility: Numbers, steps: int
) -> tuple[_Tree, Numbers, Numbers]:
    """The tree, and how the right to exercise early gains per 1.00 of volatility and of rate.

    Of volatility over a whole point, not a tenth: between near ones the grid's error changes more than the premium.
    The four are grown as so many more legs, since a pass over few legs costs hardly more than one over none.
    """
    count = len(volatility)
    below = np.minimum(_VOLATILITY_BUMP, 0.5 * volatility)
    each = np.tile(np.arange(count), 4)
    bumped = market.take(each)
    bumped.rate[3 * count :] += _RATE_BUMP
    at = np.concatenate([volatility, volatility + _VOLATILITY_BUMP, volatility - below, volatility])
    grown = _grow(terms.take(each), bumped, at, steps)
    tree = grown.first_legs(count)
    _, high, low, dearer = grown.premium.reshape(4, count)
    return tree, (high - low) / (_VOLATILITY_BUMP + below), (dearer - tree.premium) / _RATE_BUMP


def _slopes(tree: _Tree, terms: Terms, market: Market, closed: PerShareGreeks) -> tuple[Numbers, Numbers]:
    """Delta and gamma: of the nodes, corrected by what the European option's miss, within what they can be."""
    level = market.stripped_spot(terms.years)
    american, european = (
        _node_slopes(nodes, level, tree.up, tree.growth) for nodes in (tree.american, tree.european)
    )
    sign = terms.sign
    delta = sign * np.clip(sign * (american[0] + closed.delta - european[0]), 0.0, 1.0)
    return delta, np.maximum(american[1] + closed.gamma - european[1], 0.0)


def _node_slopes(nodes: _Nodes, level: Numbers, up: Numbers, growth: Numbers) -> tuple[Numbers, Numbers]:
    """Delta of the two nodes of the first step, gamma of the three of the second."""
    low, middle, high = nodes.second
    one, two = level * growth, level * growth**2
    rise, fall = two * (up**2 - 1), two * (1 - up**-2)
    delta = (nodes.first[1] - nodes.first[0]) / (one * (up - 1 / up))
    gamma = ((high - middle) / rise - (middle - low) / fall) / (0.5 * (rise + fall))
    return delta, gamma


def _grow(terms: Terms, market: Market, volatility: Numbers, steps: int) -> _Tree:
    """Build the tree and roll it back to its root."""
    step = terms.years / steps
    spread = np.clip(volatility * np.sqrt(terms.years), _LEAST_DEVIATION, _MOST_DEVIATION) / np.sqrt(steps)
    up = np.exp(spread)
    down = 1 / up
    shrink = np.exp(-market.rate * step) * up / (1 + up)  # of the value in one step, down
    growth = np.exp((market.rate - market.carry) * step)
    unscaled = _powers(shrink, steps)[::-1]  # what turns a kept value of step i into dollars
    sign = terms.sign
    slope = sign * market.stripped_spot(terms.years) * _powers(growth, steps) / unscaled
    base = sign * (_still_to_come(terms, market, steps) - terms.strike) / unscaled
    # M for the k of one parity each, so that the nodes of a step lie beside each other.
    levels = [np.exp(np.arange(-last, last + 1, 2)[:, np.newaxis] * spread) for last in (steps, steps - 1)]

    kept = np.maximum(levels[0] * slope[steps] + base[steps], 0.0)
    second = _european_second(kept, down, steps)
    scratch = np.empty_like(kept)
    tops: dict[int, Numbers] = {}
    is_exercised = np.zeros(len(terms.strike), dtype=bool)
    for i in range(steps - 1, -1, -1):
        value, exercise = kept[: i + 1], scratch[: i + 1]
        np.multiply(kept[1 : i + 2], down, out=exercise)
        value += exercise
        first = (steps - i) // 2
        np.multiply(levels[(steps - i) % 2][first : first + i + 1], slope[i], out=exercise)
        exercise += base[i]
        if i == 0:
            is_exercised = (exercise[0] >= value[0]) & (exercise[0] > 0)
        np.maximum(value, exercise, out=value)
        if i <= 2:  # delta and gamma are taken from these
            tops[i] = value * unscaled[i]
    return _Tree(
        american=_Nodes(tops[0][0], tops[1], tops[2]),
        european=_european_nodes(second, down, unscaled),
        is_exercised=is_exercised,
        up=up,
        growth=growth,
    )


def _european_second(payoff: Numbers, down: Numbers, steps: int) -> Numbers:
    """What the three nodes of step 2 are worth, kept as in the loop: payoffs (steps + 1, n) by binomial weights."""
    left = steps - 2
    weights = np.array([comb(left, up) for up in range(left + 1)], dtype=np.float64)[:, np.newaxis]
    weights = weights * _powers(down, left)
    return np.array([np.einsum("ij,ij->j", weights, payoff[low : low + left + 1]) for low in range(3)])


def _european_nodes(second: Numbers, down: Numbers, unscaled: Numbers) -> _Nodes:
    first = second[:-1] + down * second[1:]
    root = first[0] + down * first[1]
    return _Nodes(root * unscaled[0], first * unscaled[1], second * unscaled[2])


def _powers(base: Numbers, highest: int) -> Numbers:
    """base^0 to base^highest, shape (highest + 1, n)."""
    powers = np.empty((highest + 1, len(base)))
    powers[0], powers[1:] = 1.0, base
    return np.multiply.accumulate(powers, axis=0)


def _still_to_come(terms: Terms, market: Market, steps: int) -> Numbers:
    """D_i, the value at each step of the dividends that go ex after it: (steps + 1, n)."""
    dividends, step = market.dividends, terms.years / steps
    at = np.arange(steps + 1)[:, np.newaxis] * step
    paid = dividends.until(terms.years)
    worth = np.zeros_like(at)
    for years, amount in zip(dividends.years, paid, strict=True):
        worth += np.where(years > at, amount * np.exp(market.rate * (at - years)), 0.0)
    return worth
