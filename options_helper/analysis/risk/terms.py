"""What a valuation needs to know of n option legs and of the world, and what it answers: values in columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from options_helper.analysis.marks import Flags, Integers, Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What the contracts of n option legs say."""

    strike: Numbers  # dollars per share
    is_call: Flags
    is_american: Flags
    years: Numbers  # calendar minutes to the settlement instant / 525,600; above 0

    @property
    def sign(self) -> Numbers:
        """1 for a call, -1 for a put."""
        return np.where(self.is_call, 1.0, -1.0)

    def take(self, legs: Flags | Integers) -> Terms:
        """The terms of some of the legs, by flags or by their places."""
        return Terms(self.strike[legs], self.is_call[legs], self.is_american[legs], self.years[legs])


@dataclass(frozen=True, slots=True, eq=False)
class CashDividends:
    """What is still to be paid on the underlyings of n legs: k dividends at most, the missing ones with amount 0.

    One that goes ex after the leg's end, or that is not ahead any more, counts for nothing.
    """

    years: Numbers  # (k, n), calendar years to the ex-date
    amounts: Numbers  # (k, n), dollars per share

    @classmethod
    def none(cls, legs: int) -> Self:
        """No dividend at all, for so many legs."""
        return cls(np.zeros((0, legs)), np.zeros((0, legs)))

    def take(self, legs: Flags | Integers) -> CashDividends:
        """The dividends of some of the legs, by flags or by their places."""
        return CashDividends(self.years[:, legs], self.amounts[:, legs])

    def until(self, end: Numbers) -> Numbers:
        """The amounts, (k, n), and 0 for what goes ex at no time between now and `end` (years)."""
        return np.where((self.years > 0) & (self.years <= end), self.amounts, 0.0)

    def present_value(self, rate: Numbers, end: Numbers) -> Numbers:
        """What they are worth now, discounted at `rate` (per year, continuous), dollars per share."""
        worth: Numbers = np.sum(self.until(end) * np.exp(-rate * self.years), axis=0)
        return worth


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """What the world says of n option legs. NaN is "not known", and then nothing is known of the leg."""

    spot: Numbers  # dollars per share; for European legs on an index the forward that parity implies, discounted
    rate: Numbers  # continuous, per year, as a fraction
    carry: Numbers  # continuous yield (cost to borrow, dividends of an index), per year, as a fraction
    dividends: CashDividends

    def take(self, legs: Flags | Integers) -> Market:
        """The market of some of the legs, by flags or by their places."""
        return Market(self.spot[legs], self.rate[legs], self.carry[legs], self.dividends.take(legs))

    def stripped_spot(self, years: Numbers) -> Numbers:
        """The spot less the value of the cash dividends up to `years`: the part that moves at random."""
        if not len(self.dividends.years):
            return self.spot
        return self.spot - self.dividends.present_value(self.rate, years)

    def stripped(self, years: Numbers) -> Market:
        """The market in which a share is worth the stripped spot and pays nothing: European legs cost the same."""
        none = CashDividends.none(len(self.spot))
        return Market(self.stripped_spot(years), self.rate, self.carry, none)

    def forward(self, years: Numbers) -> Numbers:
        """What the share costs for delivery in `years`, dollars per share (Hull, ch. 5)."""
        return self.stripped_spot(years) * np.exp((self.rate - self.carry) * years)


@dataclass(frozen=True, slots=True, eq=False)
class PerShareGreeks:
    """Price and derivatives of one option on one share, n of each; NaN where an input is not known."""

    price: Numbers  # dollars
    delta: Numbers  # dollars per dollar of spot
    gamma: Numbers  # delta per dollar of spot
    vega: Numbers  # dollars per 1.00 of volatility
    theta: Numbers  # dollars per year that passes; negative where time costs
    rho: Numbers  # dollars per 1.00 of rate
