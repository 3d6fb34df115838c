"""Whose a shortage is: the contracts without which what ends together takes less than is there.

A total does not say that. Of a long and three short calls in the money the long one brings shares that the others lack:
to leave out its exercise makes the shortage larger. So each leg is asked what is missing without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, copysign, floor, inf
from typing import Final

from options_helper.analysis.attention.delivery import Demand, Outcome, outcome_at
from options_helper.analysis.attention.held_legs import HeldLine

# Dollars, shares and contracts below this are none.
_ROUNDING: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Part:
    """So many contracts of one leg, without a sign."""

    leg: HeldLine
    contracts: float

    @property
    def is_whole(self) -> bool:
        """Whether that is all of the leg."""
        return self.contracts >= abs(self.leg.quantity) - _ROUNDING


@dataclass(frozen=True, slots=True)
class Blame:
    """The parts without each of which less is missing, and nothing is that was not; the long ones first."""

    longs: tuple[Part, ...] = ()  # not to be exercised
    shorts: tuple[Part, ...] = ()  # to be closed
    # More is missing than these account for: there each leg alone offsets another, and no part of one can go.
    is_rest: bool = False

    def of(self, symbol: str) -> Part | None:
        """What of a contract that was sold is too much."""
        return next((one for one in self.shorts if one.leg.instrument.live_symbol == symbol), None)


NOBODY: Final = Blame()


def blame(legs: Sequence[HeldLine], wanted: Demand, money: float) -> Blame:
    """Whose it is that `wanted` is more than `money` dollars and the free shares; delivered legs only.

    As few contracts as do, of each side those first that are least in the money: they are cheapest to give up.
    """
    left = wanted.outcome
    found: list[Part] = []
    inside = [one for one in legs if one.is_in_the_money]
    for one in sorted(inside, key=lambda leg: (leg.quantity < 0, leg.inside or 0.0)):
        each = _of_one(one)
        if each is None:
            return NOBODY
        contracts = _too_many(_spare(left, wanted.free, money), each, abs(one.quantity))
        if contracts > 0:
            found.append(Part(one, contracts))
            left = Outcome(left.shares - contracts * each.shares, left.cash - contracts * each.cash)
    return Blame(
        longs=tuple(one for one in found if one.leg.quantity > 0),
        shorts=tuple(one for one in found if one.leg.quantity < 0),
        is_rest=any(one < -_ROUNDING for one in _spare(left, wanted.free, money)),
    )


def _of_one(one: HeldLine) -> Outcome | None:
    """What the end of one contract of a leg brings."""
    single = replace(one, quantity=copysign(1.0, one.quantity))
    return None if one.spot is None else outcome_at(single, one.spot)


def _spare(outcome: Outcome, free: float | None, money: float) -> tuple[float, float]:
    """Shares and dollars that are there beyond what goes; negative: so many are missing."""
    return outcome.shares + max(0.0, free or 0.0), outcome.cash + money


def _too_many(spare: Iterable[float], each: Outcome, held: float) -> float:
    """The fewest contracts without which nothing is missing that they take, as far as what they bring can be spared."""
    wanted, bearable = 0.0, inf
    for there, brings in zip(spare, (each.shares, each.cash), strict=True):
        if brings < 0 and there < -_ROUNDING:
            wanted = max(wanted, ceil(there / brings - _ROUNDING))
        elif brings > 0:
            bearable = min(bearable, floor(max(0.0, there) / brings + _ROUNDING))
    return min(held, wanted, bearable)
