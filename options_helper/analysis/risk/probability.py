"""How likely a profit is at expiry, and how far the price is expected to move: what option prices imply, no forecast.

The chance that the price ends above b is N(d2) of Black's formula at b, on the forward, with the volatility at b (Hull,
ch. 15): *risk-neutral, from implied volatility, at expiry*. Delta is another number. People who trade options are paid
for bearing risk, so what happens is not what their prices imply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, inf, isfinite, sqrt
from typing import Final, NamedTuple

import numpy as np

from options_helper.analysis.marks import Numbers
from options_helper.analysis.risk.black import distances, normal_cdf
from options_helper.analysis.risk.extremes import Held
from options_helper.analysis.risk.payoff import Stretch

_NEARLY_SURE: Final = 99  # percent; what lies above is said to


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """What the market says of one underlying at one expiry."""

    forward: float | None  # dollars per share for delivery then
    years: float  # calendar years until then
    strikes: Numbers  # of options of that expiry, in any order, also the same twice
    volatilities: Numbers  # of each, per year, as a fraction; NaN: not known

    @property
    def reason(self) -> str | None:
        """In words, why nothing can be said of the price then; None where it can."""
        if not self.years > 0:
            return "it has ended"
        if self.forward is None or not isfinite(self.forward) or self.forward <= 0:
            return "the forward is not known"
        if not (np.isfinite(self.volatilities) & (self.volatilities > 0)).any():
            return "no leg has a volatility"
        return None

    def volatility_at(self, price: Numbers) -> Numbers:
        """Between strikes the straight line through their volatilities, beyond them that of the last."""
        known = np.isfinite(self.volatilities) & (self.volatilities > 0)
        strikes, places = np.unique(self.strikes[known], return_inverse=True)
        # A call and a put of one strike say the same, nearly.
        sums = np.bincount(places, weights=self.volatilities[known])
        return np.interp(price, strikes, sums / np.bincount(places))

    def chance_below(self, price: Numbers) -> Numbers:
        """How likely it ends below each price (dollars per share, 0 to infinity), where there is no `reason`."""
        inside = (price > 0) & (price < inf)
        at = np.where(inside, price, 1.0)
        deviation = self.volatility_at(at) * sqrt(self.years)
        _, d2 = distances(np.full(len(at), self.forward or 1.0), at, deviation)
        return np.where(inside, normal_cdf(-d2), (price > 0).astype(np.float64))


class Chance(NamedTuple):
    """A probability, 0 to 1; None with the reason in words."""

    value: float | None
    reason: str = ""

    @property
    def words(self) -> str:
        """As in "64 %"; 0 and 100 only where no price wins, or none loses. Empty where it is not known."""
        if self.value is None:
            return ""
        percent = 100 * self.value
        if percent < 1 and self.value:
            return "less than 1 %"
        return "more than 99 %" if percent > _NEARLY_SURE and self.value < 1 else f"{percent:.0f} %"


class ExpectedMove(NamedTuple):
    """How far the price moves until expiry, dollars per share to either side, two ways; None where it is not known."""

    simple: float | None  # S · volatility · √years: one standard deviation
    straddle: float | None  # what a call and a put at the money cost together: about 0.8 of it


def probability_of_profit(held: Held, outlook: Outlook) -> Chance:
    """How likely it ends with a cent of profit or more, when all of it ends on one day."""
    return probabilities_of_profit((held,), outlook)[0]


def probabilities_of_profit(several: Sequence[Held], outlook: Outlook) -> tuple[Chance, ...]:
    """The same of several that end together, each for itself; computed at once."""
    unsaid = [_why_no_chance(held, outlook) for held in several]
    stretches = [() if why else held.winning for held, why in zip(several, unsaid, strict=True)]
    within = iter(_chances_within([one for of_held in stretches for one in of_held], outlook))
    return tuple(
        Chance(None, why) if why else Chance(min(fsum(next(within) for _ in of_held), 1.0))
        for why, of_held in zip(unsaid, stretches, strict=True)
    )


def _why_no_chance(held: Held, outlook: Outlook) -> str:
    """In words; empty where there is one."""
    if held.first_end is None:
        return "nothing of it expires"
    if why := held.why_no_payoff:
        return f"not defined: {why}"
    if held.basis is None:
        return held.why_no_basis
    return outlook.reason or ""


def expected_move(spot: float | None, outlook: Outlook, straddle: float | None) -> ExpectedMove:
    """Both forms of it; the simple one with the volatility at the forward. `straddle` is from `straddle_at_money`."""
    if spot is None or not isfinite(spot) or spot <= 0 or outlook.reason or outlook.forward is None:
        return ExpectedMove(None, straddle)
    (volatility,) = outlook.volatility_at(np.array([outlook.forward])).tolist()
    return ExpectedMove(spot * volatility * sqrt(outlook.years), straddle)


def straddle_at_money(
    forward: float, strikes: Sequence[float], calls: Sequence[float], puts: Sequence[float]
) -> float | None:
    """The middles of call and put together, dollars per share, at the strike next to the forward.

    NaN is "not quoted"; None where both are quoted at none of the two strikes around the forward: another one is no
    straddle at the money.
    """
    below = max((strike for strike in strikes if strike <= forward), default=-inf)
    above = min((strike for strike in strikes if strike >= forward), default=inf)
    both = [
        (abs(strike - forward), call + put)
        for strike, call, put in zip(strikes, calls, puts, strict=True)
        if strike in {below, above} and isfinite(call + put)
    ]
    return min(both)[1] if both else None


def _chances_within(stretches: Sequence[Stretch], outlook: Outlook) -> list[float]:
    if not stretches:
        return []
    below = np.array([float(one.below) for one in stretches])
    above = np.array([inf if one.above is None else float(one.above) for one in stretches])
    under = outlook.chance_below(np.concatenate([above, below]))
    # Each end has a volatility of its own; over a narrow stretch that may come out below nothing.
    within: list[float] = np.maximum(under[: len(above)] - under[len(above) :], 0.0).tolist()
    return within
