"""What the account set aside for contracts that were sold: it is no buying power any more, and pays for their end.

Alpaca's options buying power is net of collateral: a cash-secured put takes its strike times its multiplier, a spread
the greatest loss of its legs together ("Options Trading" and "Options Level 3 Trading", docs). How much that is for
each position the account does not say, so it is computed here, and never higher than what is sure to be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import fsum
from typing import Final, NamedTuple

from options_helper.analysis.attention.closings import NONE_CLOSED, Closed, kept
from options_helper.analysis.attention.held_legs import HeldLine, inside_at, is_exercised

_ROUNDING: Final = 1e-6


class _Right(NamedTuple):
    """A right to buy or to sell so many shares, sold where negative."""

    strike: float
    is_call: bool
    units: float

    def worth(self, price: float) -> float:
        """At its end, at that price."""
        inside = price - self.strike if self.is_call else self.strike - price
        return self.units * max(0.0, inside)


@dataclass(frozen=True)
class Collateral:
    """Of options of one underlying that end together, what is set aside for those that were sold.

    Without slots: what is set aside at each price is asked for with every closing that is thought of.
    """

    ending: tuple[HeldLine, ...] = ()
    beside: tuple[HeldLine, ...] = ()  # what else is held on the underlying, shares too
    # Whether these are the quantities for which the buying power was told: what was sold since has not taken it yet.
    is_known: bool = False
    _found: dict[float, float] = field(default_factory=dict, compare=False, repr=False)

    def at(self, price: float, closed: Closed = NONE_CLOSED) -> float:
        """Dollars that pay for their end at that price, after so many contracts were closed; 0 where nobody knows.

        A closing may free some of it, less what it costs, and to close what covers a sold leg takes more: neither is
        counted.
        """
        if not self._has_any:
            return 0.0
        if price not in self._found:
            self._found[price] = self._at(price, NONE_CLOSED)
        before = self._found[price]
        return min(before, self._at(price, closed)) if closed and before else before

    def of_leg(self, one: HeldLine, price: float) -> float:
        """Dollars that are set aside for one of them, as long as the others stay."""
        others = tuple(other for other in self.ending if other.instrument != one.instrument)
        return Collateral((one,), (*others, *self.beside), self.is_known).at(price)

    @cached_property
    def _has_any(self) -> bool:
        """An adjusted contract, and shares sold short beside puts, make it another sum, which nobody knows here."""
        held = (*self.ending, *self.beside)
        is_another = any(
            one.delivers_something_else or (one.quantity < 0 and not one.instrument.is_option) for one in held
        )
        return self.is_known and not is_another and any(one.quantity < 0 for one in self.ending)

    def _at(self, price: float, closed: Closed) -> float:
        """How much less is set aside without what ends; what is sold and ends worthless gives back its own later."""
        counted = [
            one for one in self.ending if one.quantity > 0 or is_exercised(inside_at(one.instrument, price))
        ]
        ending, going_on = list(_rights(counted, closed)), list(_rights(self.beside, closed))
        shares = _shares(self.beside)
        # Which calls the shares stand behind, the account does not say: by either the least is sure.
        covered, left = _covered(ending, shares)
        stay, _ = _covered(going_on, left)
        staying, left_then = _covered(going_on, shares)
        together, _ = _covered([*ending, *staying], left_then)
        return max(
            0.0,
            min(
                _greatest_loss([*covered, *stay]) - _greatest_loss(stay),
                _greatest_loss(together) - _greatest_loss(staying),
            ),
        )


def all_set_aside(book: Iterable[HeldLine]) -> float:
    """Dollars that all that was sold of a book takes at the least."""
    of_name: dict[str, list[HeldLine]] = {}
    for one in book:
        if not one.ended:
            of_name.setdefault(one.instrument.underlying, []).append(one)
    return fsum(
        _greatest_loss(_covered(list(_rights(lines, NONE_CLOSED)), _shares(lines))[0])
        for lines in of_name.values()
    )


def _shares(lines: Iterable[HeldLine]) -> float:
    return max(0.0, fsum(one.quantity for one in lines if not one.instrument.is_option))


def _rights(lines: Iterable[HeldLine], closed: Closed) -> Iterator[_Right]:
    for one in lines:
        if one.instrument.is_option and one.instrument.multiplier is not None:
            units = kept(one, closed) * one.instrument.multiplier
            yield _Right(one.instrument.strike or 0.0, one.instrument.option_type == "call", units)


def _covered(rights: list[_Right], shares: float) -> tuple[list[_Right], float]:
    """With what covers sold calls: shares, and for those that are naked nothing is set aside. And the shares left."""
    calls = [one for one in rights if one.is_call]
    sold = -fsum(one.units for one in calls if one.units < 0)
    if sold <= _ROUNDING:
        return rights, shares
    by_shares = min(max(0.0, shares), sold)
    naked = max(0.0, -fsum(one.units for one in calls) - by_shares)
    lowest = min(one.strike for one in calls if one.units < 0)
    return [*rights, _Right(lowest, is_call=True, units=by_shares + naked)], shares - by_shares


def _greatest_loss(rights: Sequence[_Right]) -> float:
    """At the worst price; above the last strike it grows no further, since calls are covered."""
    prices = (0.0, *(one.strike for one in rights))
    return max(0.0, *(-fsum(one.worth(price) for one in rights) for price in prices))
