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
from options_helper.analysis.payoffs import end_of

_ROUNDING: Final = 1e-6
# Of prices, as whether something is exercised is decided.
_DIGITS: Final = 6

Floats: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.int_]


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
    def _rights(self) -> tuple[_Rights, list[_Rights]]:
        """What ends, and what goes on until each of its own ends, at 0 and at every strike of either."""
        ending, going_on = (
            [one for one in lines if one.instrument.is_option] for lines in (self.ending, self.beside)
        )
        grid = _grid((*ending, *going_on))
        return _Rights(ending, grid), _by_end(going_on, grid)

    def _at_each(self, prices: Floats, closed: Closed) -> Floats:
        """How much less is set aside without what ends; what is sold and ends worthless gives back its own later."""
        ending, going_on = self._rights
        now, shares = ending.held(closed, prices), np.full(len(prices), _shares(self.beside))
        # Which calls the shares stand behind, the account does not say: by either the least is sure.
        covered, left = now.covered(shares)
        if not going_on:
            return covered.loss()
        then = going_on[0].all(closed, len(prices))
        # What goes on takes the most of all its ends: what ends sooner covers nothing any more then.
        by_ending = (covered + then.covered(left)[0]).loss() - _most(
            one.loss(closed, left) for one in going_on
        )
        staying, rest = then.covered(shares)
        by_staying = (now + staying).covered(rest)[0].loss() - _most(
            one.loss(closed, shares) for one in going_on
        )
        return np.maximum(0.0, np.minimum(by_ending, by_staying))


def _grid(lines: Iterable[HeldLine]) -> Floats:
    return np.array([0.0, *sorted({one.instrument.strike or 0.0 for one in lines})])


def _by_end(lines: Sequence[HeldLine], grid: Floats) -> list[_Rights]:
    """Of each end what ends no sooner: the first has all of them."""
    ends = sorted({end_of(one.instrument) for one in lines})
    return [_Rights([one for one in lines if end_of(one.instrument) >= end], grid) for end in ends]


def _most(losses: Iterable[Floats]) -> Floats:
    most: Floats = np.maximum.reduce(list(losses))
    return most


class _Rights:
    """Rights to buy and to sell shares, each kind in the order of its strikes; worths are rows of prices."""

    def __init__(self, lines: Sequence[HeldLine], grid: Floats) -> None:
        self.grid = grid
        strikes = {id(one): one.instrument.strike or 0.0 for one in lines}
        of_kind = (
            [one for one in lines if (one.instrument.option_type == "call") is is_call]
            for is_call in (True, False)
        )
        self.calls, self.puts = (sorted(of_one, key=lambda one: strikes[id(one)]) for of_one in of_kind)
        self.call_strikes, self.put_strikes = (
            np.array([strikes[id(one)] for one in of_one]) for of_one in (self.calls, self.puts)
        )
        self.call_worths = np.maximum(0.0, grid[:, None] - self.call_strikes)
        self.put_worths = np.maximum(0.0, self.put_strikes - grid[:, None])

    def held(self, closed: Closed, prices: Floats) -> _Held:
        """What is held of them at each price of the end: without what is sold and ends worthless there.

        Of sold calls those up to some strike are exercised, and of puts those from some strike on, so a sum that runs
        over the strikes has it for every price.
        """
        calls, puts = _units(self.calls, closed), _units(self.puts, closed)
        inside = np.round(prices[:, None] - self.call_strikes, _DIGITS) >= CENT
        assigned_calls = inside.sum(axis=1)
        not_assigned = (np.round(self.put_strikes - prices[:, None], _DIGITS) < CENT).sum(axis=1)
        return self._held(calls, puts, assigned_calls, not_assigned)

    def all(self, closed: Closed, width: int) -> _Held:
        """All of them, so many times beside each other."""
        calls, puts = _units(self.calls, closed), _units(self.puts, closed)
        return self._held(calls, puts, np.full(width, len(calls)), np.zeros(width, dtype=int))

    def loss(self, closed: Closed, shares: Floats) -> Floats:
        """Of all of them what is lost at the worst price, with so many shares behind the deepest of the sold calls.

        Just that, where `_Held.loss` is the least that is sure: what is taken off something else must not be too small.
        """
        calls, puts = _units(self.calls, closed), _units(self.puts, closed)
        sold = -np.minimum(calls, 0.0)
        by_shares = np.minimum(shares, sold.sum())
        covered = by_shares + np.maximum(
            0.0, -calls.sum() - by_shares
        )  # for a naked call nothing is set aside
        deeper = np.cumsum(sold) - sold
        uncovered = sold[:, None] - np.clip(covered - deeper[:, None], 0.0, sold[:, None])
        rest = self.call_worths @ (calls + sold) + self.put_worths @ puts
        lost: Floats = np.maximum(0.0, -(rest[:, None] - self.call_worths @ uncovered).min(axis=0))
        return lost

    def _held(self, calls: Floats, puts: Floats, assigned_calls: Places, not_assigned: Places) -> _Held:
        sold_calls, sold_puts = np.minimum(calls, 0.0), np.minimum(puts, 0.0)
        bought = self.call_worths @ (calls - sold_calls) + self.put_worths @ (puts - sold_puts)
        of_calls = _running(self.call_worths * sold_calls)
        of_puts = _running(self.put_worths * sold_puts)
        worth = bought[:, None] + of_calls[:, assigned_calls] + of_puts[:, -1:] - of_puts[:, not_assigned]
        sold = -_running(sold_calls[None, :])[0, assigned_calls]
        first = int(np.argmax(sold_calls < 0)) if (sold_calls < 0).any() else len(calls)
        lowest = np.where(
            assigned_calls > first, self.call_strikes[first] if first < len(calls) else np.inf, np.inf
        )
        return _Held(self.grid, worth, sold, (calls - sold_calls).sum() - sold, lowest)


def _units(lines: Sequence[HeldLine], closed: Closed) -> Floats:
    """Shares of each, sold where negative."""
    return np.array([kept(one, closed) * (one.instrument.multiplier or 0) for one in lines], dtype=np.float64)


def _running(rows: Floats) -> Floats:
    """The sums of none, of the first, of the first two and so on, of each row."""
    sums = np.zeros((rows.shape[0], rows.shape[1] + 1))
    np.cumsum(rows, axis=1, out=sums[:, 1:])
    return sums


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
        """At the worst price of each, at the least; above the last strike it grows no further: calls are covered."""
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
    shares = np.array([_shares(lines)])
    ends = (one.all(NONE_CLOSED, 1).covered(shares)[0].loss() for one in _by_end(options, _grid(options)))
    return float(_most(ends)[0])


def _shares(lines: Iterable[HeldLine]) -> float:
    return max(0.0, fsum(one.quantity for one in lines if not one.instrument.is_option))
