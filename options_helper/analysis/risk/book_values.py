"""What is said of a book's risk: of each line, each underlying, and all of it together; frozen values and no sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from math import fsum
from types import MappingProxyType
from typing import Final

import numpy as np
from msgspec import Struct

from options_helper.analysis.marks import MarkSource
from options_helper.analysis.risk.beta import Beta, BetaWeighted
from options_helper.analysis.risk.dividends import DividendState
from options_helper.analysis.risk.extremes import BookRisk, EndedLegs, Extreme, Held
from options_helper.analysis.risk.greeks import FigureState, GreekSums
from options_helper.analysis.risk.implied_volatility import VolatilityState
from options_helper.analysis.risk.leg_risk import LegRisk
from options_helper.analysis.risk.quantity_doubt import QuantityDoubt
from options_helper.analysis.risk.scenario import ScenarioLines
from options_helper.model.contract_symbols import short_date

SHARES: Final = "shares"
EUROPEAN: Final = "Black on the forward"
LATTICE: Final = "American lattice"


class SpotSource(StrEnum):
    """Which price of the underlying a figure rests on."""

    OWN = "its own quote or trade"
    OPTIONS = "from options: parity forward, discounted"


class LineRisk(Struct, frozen=True, gc=False):
    """One option leg or share line; figures are those of the position, None is "not known"."""

    position_id: str
    symbol: str  # a contract's, compact, or the share's
    label: str
    underlying: str
    expiry: date | None  # None: shares
    quantity: float  # signed
    multiplier: int | None
    has_ended: bool
    mark: float | None  # dollars per share
    mark_source: MarkSource | None
    mark_age_seconds: float | None
    delta: float | None  # shares
    delta_dollars: float | None
    gamma: float | None  # shares per dollar of spot
    vega: float | None  # dollars per point of volatility
    theta: float | None  # dollars per calendar day; in the last day what is left of time value
    rho: float | None  # dollars per point of rate
    delta_state: FigureState
    spot: float | None  # dollars per share, as the model takes it
    spot_age_seconds: float | None
    reasons: tuple[str, ...]
    iv: float | None = None  # per year, as fractions
    iv_low: float | None = None
    iv_high: float | None = None
    iv_state: VolatilityState | None = None  # None: shares have none
    iv_reason: str | None = None
    iv_at: datetime | None = None  # the close whose quote and price say the volatility; None: those of now do
    model: str | None = SHARES
    is_last_day: bool = False
    greek_age_seconds: float | None = None  # of the oldest input
    forward: float | None = None  # dollars per share at the settlement
    rate: float | None = None  # per year, as a fraction
    dividends_state: DividendState | None = None  # None: shares
    second_delta: float | None = None  # of the position, by the European model
    second_iv: float | None = None
    vendor_delta: float | None = None  # of the position, by Alpaca's Black-Scholes
    vendor_iv: float | None = None
    voices_apart: bool = False  # the European model and ours, by more than the quote allows
    vendor_apart: bool = False  # Alpaca's of the same quote and ours
    quantity_in_doubt: bool = False  # the account holds another than the file, or may
    spot_source: SpotSource | None = None  # None: there is no price
    # Whether by the model exercising it now is worth as much as waiting; None: not known, or shares.
    in_exercise_region: bool | None = None

    @property
    def is_over(self) -> bool:
        """Whether its value is fixed: it has ended, or is traded on for some minutes at what it settled at."""
        return self.has_ended or self.iv_state is VolatilityState.EXPIRED


def price_line(lines: Iterable[LineRisk]) -> LineRisk | None:
    """Of lines on one underlying the one whose price stands for all, in whatever order the file has them.

    What options imply is another price for each expiry, so it is that of the first, and the index itself only where
    they imply none. None while no line has a price.
    """
    return min(
        (one for one in lines if one.spot is not None),
        key=lambda one: (
            one.has_ended,
            one.spot_source is not SpotSource.OPTIONS,
            one.expiry or date.max,
            one.symbol,
        ),
        default=None,
    )


@dataclass(frozen=True, slots=True)
class ThetaParts:
    """What a sum of thetas is made of: dollars a day, and dollars that are left of time value in a last day."""

    per_day: float | None  # None: of no leg
    time_value_left: float | None
    last_day_legs: int  # of how many it is what is left


def theta_parts(lines: Iterable[LineRisk]) -> ThetaParts:
    """The two apart, of the option legs among these that have not ended and whose theta is known."""
    known = [one for one in lines if one.iv_state is not None and one.theta is not None and not one.is_over]
    left = [one.theta or 0.0 for one in known if one.is_last_day]
    rates = [one.theta or 0.0 for one in known if not one.is_last_day]
    return ThetaParts(fsum(rates) if rates else None, fsum(left) if left else None, len(left))


class UnderlyingRisk(Struct, frozen=True, gc=False):
    """All that is held on one underlying."""

    symbol: str
    spot: float | None
    spot_source: SpotSource | None  # None: there is no price
    spot_age_seconds: float | None
    spot_expiry: date | None  # whose options imply it, the first that is held; None: none do
    sums: GreekSums
    beta: Beta
    held: Held | None  # the most that can be won and lost; None: all of it has ended
    ended: EndedLegs  # what is in none of these
    next_expiry: date | None
    pnl_today: float | None  # dollars; None also where an entry spans two underlyings
    unrealized: float | None

    @property
    def worst(self) -> Extreme | None:
        """The worst of what has not ended; not known where all of it has, None where there is nothing."""
        return self.ended.alone if self.held is None else self.held.worst

    @property
    def spot_words(self) -> str:
        """Where its price comes from, in a sentence, if not from its own quote or trade; else empty."""
        if self.spot_source is not SpotSource.OPTIONS or self.spot_expiry is None:
            return ""
        return (
            f"{self.symbol} has the price that its options imply: the parity forward of "
            f"{short_date(self.spot_expiry)}, discounted."
        )


@dataclass(frozen=True, slots=True)
class Profits:
    """The profits that the tables have computed, dollars; None is "not known"."""

    today: Mapping[str, float | None] = field(
        default_factory=lambda: MappingProxyType({})
    )  # by an entry's id
    unrealized: Mapping[str, float | None] = field(default_factory=lambda: MappingProxyType({}))
    book_today: float | None = None  # with what was closed today and is held no more
    today_reasons: tuple[str, ...] = ()  # sentences: why what is missing of today is missing
    book_unrealized: float | None = None
    book_natural: float | None = None  # if all were closed now, longs at the bid and shorts at the ask
    natural_lacks: tuple[str, ...] = ()  # the ids of the entries of which that is not known


@dataclass(frozen=True, slots=True)
class BookFigures:
    """The risk of a whole book at one instant."""

    as_of: datetime
    lines: tuple[LineRisk, ...]
    underlyings: tuple[UnderlyingRisk, ...]
    sums: GreekSums
    sums_by_entry: Mapping[str, GreekSums]
    sums_by_expiry: Mapping[date | None, GreekSums]  # None: shares
    beta_weighted: BetaWeighted
    extremes: BookRisk
    doubt: QuantityDoubt  # which of it rests on quantities that are not the account's
    profits: Profits
    alarms: tuple[str, ...]  # sentences
    computed: LegRisk  # what the next look begins with
    scenario: ScenarioLines  # the option lines and the shares that have not ended, for other prices and days
    accounts: tuple[str, ...] = ()  # of several together: whose entries the ids begin with, by name

    def account_of(self, position_id: str) -> str | None:
        """Which of several accounts an entry is of; None where they are all of one."""
        name = position_id.partition("/")[0]
        return name if name in self.accounts else None

    def scenario_of(self, underlying: str) -> ScenarioLines:
        """What is held on one underlying, for other prices and days."""
        legs = [one for one in self.lines if one.expiry is not None]
        shares = [one for one in self.lines if one.expiry is None]
        wanted = (np.flatnonzero([one.underlying == underlying for one in lines]) for lines in (legs, shares))
        return self.scenario.take(*wanted)

    @property
    def max_loss(self) -> Extreme:
        """The book's worst of what has not ended; its amount is negative where it is a loss."""
        return self.extremes.known_worst

    @property
    def ended_words(self) -> tuple[str, ...]:
        """How many legs that have ended its greatest loss is without: of the file, and of the account alone."""
        alone = self.doubt.ended_alone.words
        return tuple(filter(None, (self.extremes.ended.words, alone and f"of the account alone, {alone}")))
