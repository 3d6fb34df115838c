"""A second voice beside each figure: another model, or the vendor, and what it would cost to believe it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from options_helper.analysis.marks import Flags, Numbers
from options_helper.analysis.risk.black import european_greeks
from options_helper.analysis.risk.implied_volatility import ImpliedVolatility, VolatilityState
from options_helper.analysis.risk.pricing import Market, Terms, can_be_priced

LARGEST_DELTA_GAP: Final = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """What somebody says of n legs; NaN is "says nothing"."""

    volatility: Numbers  # per year, as a fraction
    delta: Numbers  # per share


@dataclass(frozen=True, slots=True, eq=False)
class Disagreement:
    """How far two voices are apart on n legs, the other less ours; NaN where one of them is silent."""

    delta: Numbers  # per share
    volatility: Numbers
    shares: Numbers  # that the position would be hedged with more (or fewer) by the other voice
    is_flagged: Flags


def european_voice(terms: Terms, market: Market, volatility: ImpliedVolatility) -> Voice:
    """Black's model on the same forward, at the volatility that the same quote has by it.

    What is taken from a partner is the partner's here too.
    """
    by_black = np.where(
        volatility.state == VolatilityState.FROM_PARTNER, volatility.volatility, volatility.solution.european
    )
    said = np.where(volatility.is_known, by_black, np.nan)
    delta = np.full(len(said), np.nan)
    legs: Flags = can_be_priced(terms, market) & ~np.isnan(said)
    delta[legs] = european_greeks(terms.take(legs), market.take(legs), said[legs]).delta
    return Voice(said, delta)


def compare(ours: Voice, other: Voice, volatility: ImpliedVolatility, worth: Numbers) -> Disagreement:
    """Flag a leg where delta differs by more than 0.02, or volatility by more than the quote's own band.

    `worth` is signed contracts times shares for each.
    """
    delta = other.delta - ours.delta
    apart = other.volatility - ours.volatility
    # A comparison with NaN is false: nobody is contradicted by silence.
    is_flagged = (np.abs(delta) > LARGEST_DELTA_GAP) | (np.abs(apart) > volatility.high - volatility.low)
    return Disagreement(delta, apart, worth * delta, is_flagged)
