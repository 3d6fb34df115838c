"""If it expires now: which shares come and go for all that ends at one instant, and which money that takes.

Legs of one underlying that end together are exercised and assigned together, so what one brings another may deliver.
Shares that stand behind a short call which ends later are not counted twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import copysign, fsum, sqrt
from typing import Final

from msgspec import Struct

from options_helper.analysis.attention.held_legs import (
    MINUTES_TO_DECIDE,
    HeldLine,
    inside_at,
    is_exercised,
)
from options_helper.model.contract_hours import MINUTES_A_YEAR

# The band of a pin, in standard deviations of what is left of the day, and in spreads of the underlying's quote.
PIN_DEVIATIONS: Final = 0.5
PIN_SPREADS: Final = 2.0
_ROUNDING: Final = 1e-6


class Outcome(Struct, frozen=True, gc=False):
    """What an end brings: shares and dollars that come, or go where negative."""

    shares: float
    cash: float


NOTHING: Final = Outcome(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Demand:
    """What an outcome takes that is not there yet."""

    outcome: Outcome
    dollars: float  # to be paid, 0 or more
    shares: float | None  # to be delivered and not held, 0 or more; None: not known
    free: float | None  # shares that may be delivered; None: not known


def outcome_at(one: HeldLine, spot: float) -> Outcome | None:
    """What the end of a leg brings at that price; None: what it delivers is not known."""
    if one.delivers_something_else or one.instrument.multiplier is None or one.life is None:
        return None
    return _outcome(one, one.quantity * one.instrument.multiplier, spot)


def outcome_of_each(one: HeldLine, spot: float) -> Outcome | None:
    """The same of one contract, on the side of the leg."""
    if one.delivers_something_else or one.instrument.multiplier is None or one.life is None:
        return None
    return _outcome(one, copysign(one.instrument.multiplier, one.quantity), spot)


def _outcome(one: HeldLine, units: float, spot: float) -> Outcome:
    inside = inside_at(one.instrument, spot)
    if not is_exercised(inside):
        return NOTHING
    if one.life is not None and one.life.is_cash:
        return Outcome(0.0, units * inside)
    bought = units if one.instrument.option_type == "call" else -units
    return Outcome(bought, -bought * (one.instrument.strike or 0.0))


def together(legs: Iterable[HeldLine], spot: float) -> Outcome | None:
    """What the end of all of these brings; None while one of them is not known."""
    outcomes = [outcome_at(one, spot) for one in legs]
    known = [one for one in outcomes if one is not None]
    if len(known) < len(outcomes):
        return None
    return Outcome(fsum(one.shares for one in known), fsum(one.cash for one in known))


def free_shares(of_name: Sequence[HeldLine], ending: Sequence[HeldLine]) -> float | None:
    """Shares among the lines of one underlying that are not needed behind a short call which does not end with these.

    None: one of those is adjusted, and how many shares it delivers is not known. One that is held brings none for sure.
    """
    going_on = [
        one for one in of_name if one.instrument.option_type == "call" and not one.ended and one not in ending
    ]
    held = fsum(one.quantity for one in of_name if not one.instrument.is_option and not one.ended)
    if held > 0 and any(one.delivers_something_else and one.quantity < 0 for one in going_on):
        return None
    calls = fsum(
        one.quantity * (one.instrument.multiplier or 0) for one in going_on if not one.delivers_something_else
    )
    return held - max(0.0, -calls)


def demand(outcome: Outcome, free: float | None) -> Demand:
    """What is to be paid and delivered; `free` shares are there, None: nobody knows how many."""
    to_deliver = max(0.0, -outcome.shares)
    missing = max(0.0, to_deliver - max(0.0, free)) if free is not None else None if to_deliver else 0.0
    return Demand(outcome, max(0.0, -outcome.cash), missing, free)


def pin_band(one: HeldLine, at: datetime) -> float | None:
    """Within how many dollars of the strike a leg is pinned on its last day; None: nothing to judge it by."""
    bands = [PIN_SPREADS * one.spot_spread] if one.spot_spread is not None else []
    settles = None if one.life is None else one.life.settles
    if settles is not None and one.near_iv is not None and one.spot is not None:
        left = (settles - at).total_seconds() / 60
        minutes = left if left > 0 else MINUTES_TO_DECIDE
        bands.append(PIN_DEVIATIONS * one.spot * one.near_iv * sqrt(minutes / MINUTES_A_YEAR))
    return max(bands, default=None)


def is_pinned(one: HeldLine, at: datetime) -> bool | None:
    """Whether it may end on either side of its strike; None: not known."""
    band = pin_band(one, at)
    if band is None or one.inside is None:
        return None
    return abs(one.inside) <= band + _ROUNDING
