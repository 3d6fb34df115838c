"""Quotes → implied volatility with its band, or the reason why there is none: never 0, and never a floor.

The volatility is that of the believable middle; the band is between those of bid and ask, and its width is the honesty
of every Greek that follows. Where many volatilities give the same price, or none does, the leg is *not identifiable*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from options_helper.analysis.marks import Flags, Integers, Numbers
from options_helper.analysis.risk.inversion import Solution, band_end, european_vega, solve
from options_helper.analysis.risk.pricing import Market, Terms, can_be_priced

Words: TypeAlias = NDArray[np.object_]

WIDEST_BAND: Final = 0.05  # of volatility: five points
LEAST_YEARS: Final = 5 / 525_600  # five minutes
# Contracts of the penny program: a cent below three dollars, five from there on. The widest that is usual.
_DEAR: Final = 3.0
_TICK: Final = 0.01
_TICK_OF_DEAR: Final = 0.05
_ONE_POINT: Final = 0.01
_ROUNDING: Final = 1e-9


class VolatilityState(StrEnum):
    """Whether a leg has a volatility, and whose."""

    OK = "ok"
    NOT_IDENTIFIABLE = "not_identifiable"
    NO_QUOTE = "no_quote"
    EXPIRED = "expired"
    FROM_PARTNER = "from_partner"  # of the same strike's out-of-the-money contract


class VolatilityReason(StrEnum):
    """Why a leg has no volatility of its own; the first that holds is said."""

    ENDED = "the contract has ended"
    NO_QUOTE = "no quote"
    CROSSED = "crossed quote"
    NO_BID = "no bid"
    NO_ASK = "no ask"
    NO_MIDDLE = "the quote supports no middle"
    NO_SPOT = "no price of the underlying"
    NO_INPUT = "rate, carry or dividends are not known, or the time to settlement"
    LITTLE_TIME = "less than five minutes are left"
    AT_INTRINSIC = "the bid is at or below intrinsic value"
    TOO_DEAR = "dearer than any volatility makes it"
    LOW_VEGA = "a point of volatility is less than half a tick"
    WIDE_BAND = "bid and ask are too far apart in volatility"


@dataclass(frozen=True, slots=True, eq=False)
class OptionQuotes:
    """Quotes of n legs, dollars per share, NaN where there is none; a bid of 0 is a bid of an option nobody wants."""

    bid: Numbers
    ask: Numbers
    mid: Numbers  # NaN where the quote supports no middle; the same that marks the leg
    tick: Numbers  # the least difference between two prices

    def take(self, legs: Integers) -> OptionQuotes:
        """The quotes of some of the legs, by their places."""
        return OptionQuotes(self.bid[legs], self.ask[legs], self.mid[legs], self.tick[legs])

    @classmethod
    def none(cls, legs: int) -> Self:
        """No quote at all, for so many legs."""
        unknown = np.full(legs, np.nan)
        return cls(unknown, unknown, unknown, np.full(legs, _TICK))


@dataclass(frozen=True, slots=True, eq=False)
class ImpliedVolatility:
    """Of n legs, per year as fractions; NaN is "not known", and then `reason` says why."""

    volatility: Numbers
    low: Numbers  # at the bid; also known of a band that is too wide
    high: Numbers  # at the ask
    state: Words  # VolatilityState
    reason: Words  # a sentence's part, or None
    # No delta lies farther from 0: 1 or -1 for an in-the-money leg whose bid is at intrinsic value, for one out of the
    # money without a bid what its ask allows. Else NaN.
    delta_bound: Numbers
    # Of the leg's own quote, for the next search, and not for showing: of its middle, and of its ask where nobody bids.
    solution: Solution

    @property
    def is_known(self) -> Flags:
        """Where there is a volatility to compute with."""
        return ~np.isnan(self.volatility)


def usual_tick(price: Numbers) -> Numbers:
    """The least difference between two prices of a contract that costs this much, where nothing else is known."""
    return np.where(price < _DEAR, _TICK, _TICK_OF_DEAR)


def implied_volatility(
    terms: Terms,
    market: Market,
    quotes: OptionQuotes,
    *,
    earlier: Solution | None = None,
    widest_band: float = WIDEST_BAND,
) -> ImpliedVolatility:
    """The volatility of each quote; `terms.years` of 0 or less say that the contract has ended.

    `earlier` is the `solution` of an earlier look at the same legs; it changes how long this takes, not the answer.
    """
    lowest = intrinsic_value(terms, market)
    reasons = _before(terms, market, quotes, lowest)
    asked = _is_unsaid(reasons)
    # Of what nobody bids for the ask says how high it can be; solved beside the others, it costs next to nothing.
    price = np.where(asked, quotes.mid, np.where(reasons == VolatilityReason.NO_BID, quotes.ask, np.nan))
    solution = solve(terms, market, price, quotes.tick, earlier)
    low, high = _band(terms, market, quotes, solution, np.where(asked, price, np.nan))
    vega = solution.vega_ratio * european_vega(terms, market, solution.volatility)
    found = _Found(solution, vega, low, high)
    reasons = _after(reasons, found, quotes, widest_band)
    is_ok = _is_unsaid(reasons)
    shown = is_ok | (reasons == VolatilityReason.WIDE_BAND)
    in_the_money = terms.sign * (market.spot - terms.strike) > 0
    return ImpliedVolatility(
        volatility=np.where(is_ok, solution.volatility, np.nan),
        low=np.where(shown, low, np.nan),
        high=np.where(shown, high, np.nan),
        state=np.array([_state(reason) for reason in reasons], dtype=object),
        reason=reasons,
        delta_bound=np.where(in_the_money & (reasons == VolatilityReason.AT_INTRINSIC), terms.sign, np.nan),
        solution=solution,
    )


def _band(
    terms: Terms, market: Market, quotes: OptionQuotes, middle: Solution, price: Numbers
) -> tuple[Numbers, Numbers]:
    """The volatilities at bid and ask; both ends are searched for at once, as so many more legs."""
    count = len(price)
    solved = ~np.isnan(middle.volatility) & ~np.isnan(price)
    twice = np.tile(np.arange(count), 2)
    sides = np.concatenate([quotes.bid, quotes.ask])
    ends = band_end(
        terms.take(twice),
        market.take(twice),
        middle.take(twice),
        price[twice],
        np.where(solved[twice], sides, np.nan),
        tick=quotes.tick[twice],
    )
    return ends[:count], ends[count:]


def intrinsic_value(terms: Terms, market: Market) -> Numbers:
    """The least that each leg is worth whatever its volatility, dollars per share; NaN where it cannot be said.

    That is the most of what exercising fetches on the way along the forward: at the end, and of American legs also now,
    a call just before and a put just after each dividend.
    """
    worth = np.full(len(terms.strike), np.nan)
    legs = np.flatnonzero(can_be_priced(terms, market))
    some, there = terms.take(legs), market.take(legs)
    most = np.maximum(_exercised_at(some.years, some, there), 0.0)
    of_dividends = np.where(there.dividends.until(some.years) != 0, there.dividends.years, 0.0)
    for when in (np.zeros(len(legs)), *of_dividends):
        most = np.where(some.is_american, np.maximum(most, _exercised_at(when, some, there)), most)
    worth[legs] = most
    return worth


def _exercised_at(when: Numbers, terms: Terms, market: Market) -> Numbers:
    """What exercising after so many years is worth now if the share follows its forward, dollars per share."""
    dividends, end = market.dividends, terms.years
    still = np.where(terms.is_call, dividends.years >= when, dividends.years > when)
    to_come = np.sum(dividends.until(end) * still * np.exp(-market.rate * dividends.years), axis=0)
    stripped = market.stripped_spot(end) * np.exp(-market.carry * when)
    worth: Numbers = terms.sign * (stripped + to_come - terms.strike * np.exp(-market.rate * when))
    return worth


def with_partners(
    own: ImpliedVolatility,
    partner: ImpliedVolatility,
    terms: Terms,
    market: Market,
    names: Sequence[str],
) -> ImpliedVolatility:
    """Where an in-the-money leg has no volatility of its own, take that of the contract on the other side.

    `partner` has the other type of the same strike and expiry at each place (call and put have one volatility:
    European ones exactly, American ones nearly), without a quote where none was asked for; `names` are as in "180 put".
    """
    in_the_money = terms.sign * (market.spot - terms.strike) > 0
    lacking = np.array([reason in _RESCUED for reason in own.reason.tolist()], dtype=bool)
    taken = lacking & in_the_money & (partner.state == VolatilityState.OK) & can_be_priced(terms, market)
    state, reason = own.state.copy(), own.reason.copy()
    for leg in np.flatnonzero(taken).tolist():
        state[leg] = VolatilityState.FROM_PARTNER
        reason[leg] = f"volatility of the {names[leg]}"
    return ImpliedVolatility(
        volatility=np.where(taken, partner.volatility, own.volatility),
        low=np.where(taken, partner.low, own.low),
        high=np.where(taken, partner.high, own.high),
        state=state,
        reason=reason,
        delta_bound=np.where(taken, np.nan, own.delta_bound),
        solution=own.solution,
    )


_RESCUED: Final = frozenset(
    {
        VolatilityReason.NO_QUOTE,
        VolatilityReason.CROSSED,
        VolatilityReason.NO_BID,
        VolatilityReason.NO_ASK,
        VolatilityReason.NO_MIDDLE,
        VolatilityReason.AT_INTRINSIC,
        VolatilityReason.TOO_DEAR,
        VolatilityReason.LOW_VEGA,
        VolatilityReason.WIDE_BAND,
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    solution: Solution
    vega: Numbers  # dollars per 1.00
    low: Numbers
    high: Numbers


def _before(terms: Terms, market: Market, quotes: OptionQuotes, lowest: Numbers) -> Words:
    """Why each leg needs no search."""
    no_bid, no_ask = np.isnan(quotes.bid), np.isnan(quotes.ask)
    return _first_of(
        len(terms.strike),
        {
            VolatilityReason.ENDED: terms.years <= 0,
            VolatilityReason.NO_QUOTE: no_bid & no_ask,
            VolatilityReason.CROSSED: quotes.bid > quotes.ask,
            VolatilityReason.NO_BID: no_bid | (quotes.bid <= 0),
            VolatilityReason.NO_ASK: no_ask,
            VolatilityReason.NO_MIDDLE: np.isnan(quotes.mid),
            VolatilityReason.NO_SPOT: ~(market.spot > 0),
            VolatilityReason.NO_INPUT: ~can_be_priced(terms, market),
            VolatilityReason.LITTLE_TIME: terms.years < LEAST_YEARS,
            VolatilityReason.AT_INTRINSIC: quotes.bid <= lowest + 0.5 * quotes.tick + _ROUNDING,
        },
    )


def _after(reasons: Words, found: _Found, quotes: OptionQuotes, widest_band: float) -> Words:
    """Why what was searched for is not to be believed."""
    asked = _is_unsaid(reasons)
    # How far apart the sides are says what a point is worth; where they are not, the slope at the middle does.
    apart = found.high - found.low
    between = np.divide(quotes.ask - quotes.bid, apart, out=found.vega.copy(), where=apart > _ONE_POINT / 10)
    # A dearer price that needs less volatility is the grid's error, where volatility hardly matters.
    at = found.solution.volatility
    turns_back = (found.low > at + _ROUNDING) | (found.high < at - _ROUNDING)
    later = _first_of(
        len(reasons),
        {
            VolatilityReason.TOO_DEAR: np.isnan(found.solution.european),
            VolatilityReason.AT_INTRINSIC: np.isnan(found.solution.volatility),
            VolatilityReason.LOW_VEGA: turns_back | ~(between * _ONE_POINT >= 0.5 * quotes.tick),
            VolatilityReason.WIDE_BAND: ~(apart <= widest_band),
        },
    )
    return np.where(asked, later, reasons)


def _first_of(count: int, findings: dict[VolatilityReason, Flags]) -> Words:
    words = np.full(count, None, dtype=object)
    for reason, flags in reversed(findings.items()):
        words[flags] = reason
    return words


def _is_unsaid(reasons: Words) -> Flags:
    return np.array([reason is None for reason in reasons.tolist()], dtype=bool)


def _state(reason: VolatilityReason | None) -> VolatilityState:
    match reason:
        case None:
            return VolatilityState.OK
        case VolatilityReason.ENDED:
            return VolatilityState.EXPIRED
        case VolatilityReason.NO_QUOTE:
            return VolatilityState.NO_QUOTE
        case _:
            return VolatilityState.NOT_IDENTIFIABLE
