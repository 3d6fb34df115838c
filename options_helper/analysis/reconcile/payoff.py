"""Say between which amounts a structure's price must lie: an opening debit outside of them was typed wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from options_helper.model.portfolio import Instrument, PortfolioLine

_NOTHING: Final = Decimal(0)
# What has to come back at least is worth less today, by the interest of some years.
_DISCOUNTED: Final = Decimal("0.75")
# Rights to exercise early are worth something, and fees may be in the debit.
_BEYOND: Final = Decimal("0.02")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most that it can be worth, in dollars; None: there is no such limit."""

    least: Decimal | None
    most: Decimal | None

    def contains(self, debit: Decimal) -> bool:
        """Whether somebody may have paid this (negative: received), interest and fees allowed for."""
        return (self.least is None or debit >= _lowered(self.least)) and (
            self.most is None or debit <= -_lowered(-self.most)
        )


def payoff_bounds(held: Sequence[PortfolioLine]) -> Bounds:
    """What these lines can be worth together, between the payoffs at expiry over all prices of the underlying.

    Before the last expiry a bound holds where what is long does not end before what is short, or the other way round.
    Nothing is known of contracts on several underlyings, or of an unknown multiplier.
    """
    lines = [line for line in held if line.quantity]
    weights = [
        (line.instrument, line.quantity * line.instrument.multiplier)
        for line in lines
        if line.instrument.multiplier is not None
    ]
    known = len(weights) == len(lines)
    if not weights or not known or len({one.underlying for one, _ in weights}) > 1:
        return Bounds(None, None)
    strikes = [_exact(one.strike) for one, _ in weights if one.strike is not None]
    payoffs = [_payoff(weights, price) for price in (_NOTHING, *strikes)]
    rise = sum((weight for one, weight in weights if one.option_type != "put"), _NOTHING)
    long_ends = [_end(one) for one, weight in weights if weight > 0]
    short_ends = [_end(one) for one, weight in weights if weight < 0]
    return Bounds(
        least=min(payoffs) if rise >= 0 and _none_before(long_ends, short_ends) else None,
        most=max(payoffs) if rise <= 0 and _none_before(short_ends, long_ends) else None,
    )


def _payoff(weights: Sequence[tuple[Instrument, Decimal]], price: Decimal) -> Decimal:
    return sum((weight * _worth(one, price) for one, weight in weights), _NOTHING)


def _worth(one: Instrument, price: Decimal) -> Decimal:
    """What one of it is worth per share at its end."""
    if one.strike is None:
        return price
    over = price - _exact(one.strike)
    return max(over if one.option_type == "call" else -over, _NOTHING)


def _end(one: Instrument) -> date:
    return one.expiry or date.max


def _none_before(kept: Sequence[date], ending: Sequence[date]) -> bool:
    """Whether all of the first end no sooner than any of the second; shares never end, on whichever side they are."""
    finite = [end for end in ending if end != date.max]
    return not kept or not finite or min(kept) >= max(finite)


def _lowered(bound: Decimal) -> Decimal:
    return bound * (_DISCOUNTED if bound > 0 else 1 + _BEYOND)


def _exact(value: float | None) -> Decimal:
    return _NOTHING if value is None else Decimal(str(value))
