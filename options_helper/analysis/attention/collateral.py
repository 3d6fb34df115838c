"""What the account set aside for contracts that were sold: it is no buying power any more, and pays for their end.

Alpaca's options buying power is net of collateral: a cash-secured put takes its strike times its multiplier, a spread
the greatest loss of its legs together ("Options Trading" and "Options Level 3 Trading", docs). How much that is for
each position the account does not say, so it is computed here, and never higher than what is sure to be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from options_helper.analysis.attention.closings import NONE_CLOSED, Closed, kept
from options_helper.analysis.attention.held_legs import CENT, HeldLine

_ROUNDING: Final = 1e-6
# Of prices, as whether something is exercised is decided.
_DIGITS: Final = 6

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Collateral:
    """Of options of one underlying that end together, what is set aside for those that were sold.

    Without slots: it is asked for at many prices at once with every closing that is thought of.
    """

    ending: tuple[HeldLine, ...] = ()
    beside: tuple[HeldLine, ...] = ()  # what else is held on the underlying, shares too
    # Whether these are the quantities for which the buying power was told: what was sold since has not taken it yet.
    is_known: bool = False

    def at(self, price: float) -> float:
        """Dollars that pay for their end at that price; 0 where nobody knows."""
        return float(self.at_each(np.array([price]))[0])

    def at_each(self, prices: Floats) -> Floats:
        """The same at each of these prices."""
        return self._at_each(prices, NONE_CLOSED) if self.has_any else np.zeros(len(prices))

    def after(self, closed: Closed, prices: Floats, before: Floats) -> Floats:
        """What of it is sure after so many contracts were closed, `before` which it is `at_each` of these prices.

        A closing may free some of it, less what it costs, and to close what covers a sold leg takes more: neither is
        counted.
        """
        return np.minimum(before, self._at_each(prices, closed)) if before.any() else before

    def of_leg(self, one: HeldLine, price: float) -> float:
        """Dollars that are set aside for one of them, as long as the others stay."""
        others = tuple(other for other in self.ending if other.instrument != one.instrument)
        return Collateral((one,), (*others, *self.beside), self.is_known).at(price)

    @cached_property
    def has_any(self) -> bool:
        """Whether something is set aside, and known.

        An adjusted contract, and shares sold short beside puts, make it another sum, which nobody knows here.
        """
        held = (*self.ending, *self.beside)
        is_another = any(
            one.delivers_something_else or (one.quantity < 0 and not one.instrument.is_option) for one in held
        )
        return self.is_known and not is_another and any(one.quantity < 0 for one in self.ending)

    @cached_property
    def _rights(self) -> tuple[_Rights, _Rights]:
        """What ends and what goes on, at 0 and at every strike of either."""
        options = [[one for one in lines if one.instrument.is_option] for lines in (self.ending, self.beside)]
        strikes = sorted({one.instrument.strike or 0.0 for lines in options for one in lines})
        ending, going_on = (_Rights(lines, np.array([0.0, *strikes])) for lines in options)
        return ending, going_on

    def _at_each(self, prices: Floats, closed: Closed) -> Floats:
        """How much less is set aside without what ends; what is sold and ends worthless gives back its own later."""
        ending, going_on = self._rights
        now = ending.held(closed, np.array(prices, ndmin=1))
        then = going_on.held(closed, np.zeros(len(prices)), all_of_it=True)
        shares = np.full(len(prices), _shares(self.beside))
        # Which calls the shares stand behind, the account does not say: by either the least is sure.
        covered, left = now.covered(shares)
        stay, _ = then.covered(left)
        staying, left_then = then.covered(shares)
        together, _ = (now + staying).covered(left_then)
        by_ending, by_staying = (covered + stay).loss() - stay.loss(), together.loss() - staying.loss()
        return np.maximum(0.0, np.minimum(by_ending, by_staying))


class _Rights:
    """Rights to buy and to sell shares, as columns; worths are rows of prices by columns of rights."""

    def __init__(self, lines: Sequence[HeldLine], grid: Floats) -> None:
        self.lines = lines
        self.grid = grid
        self.strikes = np.array([one.instrument.strike or 0.0 for one in lines])
        self.is_call = np.array([one.instrument.option_type == "call" for one in lines], dtype=bool)
        self.multipliers = np.array([float(one.instrument.multiplier or 0) for one in lines])
        inside = np.where(self.is_call, grid[:, None] - self.strikes, self.strikes - grid[:, None])
        self.worths = np.maximum(0.0, inside)

    def held(self, closed: Closed, prices: Floats, *, all_of_it: bool = False) -> _Held:
        """What is held of them at each price of the end: without what is sold and ends worthless there."""
        units = np.array([kept(one, closed) for one in self.lines]) * self.multipliers
        inside = np.where(
            self.is_call[:, None], prices - self.strikes[:, None], self.strikes[:, None] - prices
        )
        counts = all_of_it | (units[:, None] > 0) | (np.round(inside, _DIGITS) >= CENT)
        each = np.where(counts, units[:, None], 0.0)
        calls = np.where(self.is_call[:, None], each, 0.0)
        sold = np.minimum(calls, 0.0)
        lowest = np.where(sold < 0, self.strikes[:, None], np.inf).min(axis=0, initial=np.inf)
        return _Held(self.grid, self.worths @ each, -sold.sum(axis=0), calls.sum(axis=0), lowest)


class _Held(NamedTuple):
    """At each of several ends: what is held is worth so much by the price (rows), and of calls so many are sold."""

    grid: Floats
    worth: Floats  # prices by ends
    sold: Floats  # shares of sold calls, without a sign
    net: Floats  # shares of all calls
    lowest: Floats  # the lowest strike of a sold call; infinite: there is none

    def covered(self, shares: Floats) -> tuple[_Held, Floats]:
        """With what covers sold calls, since for naked ones nothing is set aside; and the shares that are left."""
        by_shares = np.minimum(shares, self.sold)
        by_all = by_shares + np.maximum(0.0, -self.net - by_shares)
        by_all = np.where(self.sold > _ROUNDING, by_all, 0.0)
        lowest = np.where(np.isfinite(self.lowest), self.lowest, 0.0)
        worth = self.worth + by_all * np.maximum(0.0, self.grid[:, None] - lowest)
        return self._replace(worth=worth, net=self.net + by_all), shares - by_shares

    def __add__(self, other: object) -> _Held:
        if not isinstance(other, _Held):
            return NotImplemented
        return _Held(
            self.grid,
            self.worth + other.worth,
            self.sold + other.sold,
            self.net + other.net,
            np.minimum(self.lowest, other.lowest),
        )

    def loss(self) -> Floats:
        """At the worst price of each; above the last strike it grows no further, since calls are covered."""
        lost: Floats = np.maximum(0.0, -self.worth.min(axis=0))
        return lost


def all_set_aside(book: Iterable[HeldLine]) -> float:
    """Dollars that all that was sold of a book takes at the least."""
    of_name: dict[str, list[HeldLine]] = {}
    for one in book:
        if not one.ended:
            of_name.setdefault(one.instrument.underlying, []).append(one)
    return fsum(_of_name(lines) for lines in of_name.values())


def _of_name(lines: Sequence[HeldLine]) -> float:
    options = [one for one in lines if one.instrument.is_option]
    if not any(one.quantity < 0 for one in options):
        return 0.0
    grid = np.array([0.0, *sorted({one.instrument.strike or 0.0 for one in options})])
    held = _Rights(options, grid).held(NONE_CLOSED, np.zeros(1), all_of_it=True)
    return float(held.covered(np.array([_shares(lines)]))[0].loss()[0])


def _shares(lines: Iterable[HeldLine]) -> float:
    return max(0.0, fsum(one.quantity for one in lines if not one.instrument.is_option))
