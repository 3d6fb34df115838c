"""The forward that options imply by put-call parity, and the alarm where it contradicts the spot.

At one strike, with DF = e^(-rT), European call and put say  F = K + (C - P) / DF  (Hull, ch. 11). The five strikes
where the two are closest count, each by how narrowly it is quoted; a mean that strays from their median is not used.

For American options parity holds up to what exercising early is worth. That is taken off by the model, which is small
near the money; what then contradicts the spot is a stale or foreign spot, a dividend nobody told of, or shares that are
hard to borrow.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from options_helper.analysis.marks import Flags, Integers, Numbers
from options_helper.analysis.risk.black import european_value
from options_helper.analysis.risk.implied_volatility import OptionQuotes, implied_volatility, usual_tick
from options_helper.analysis.risk.pricing import CashDividends, Market, Terms, value

STRIKES: Final = 5
# So few strikes have no median that would catch a bad one.
_FEWEST_STRIKES: Final = 3
# Two more than decide stand in for those that have no volatility.
_FREED: Final = STRIKES + 2
_LEAST_WIDTH: Final = 0.01  # dollars; a locked quote is no proof


@dataclass(frozen=True, slots=True, eq=False)
class StrikePairs:
    """Call and put of n strikes of one expiry, dollars per share; NaN: no such side."""

    strike: Numbers
    call_bid: Numbers
    call_ask: Numbers
    put_bid: Numbers
    put_ask: Numbers

    def take(self, places: Flags | Integers) -> StrikePairs:
        """Some of the strikes, by flags or by their places."""
        return StrikePairs(*(getattr(self, one.name)[places] for one in fields(self)))


@dataclass(frozen=True, slots=True)
class ParityForward:
    """What the options of one expiry say the share costs then, dollars per share."""

    forward: float
    low: float  # buying the call at its ask and selling the put at its bid would be no cheaper
    high: float
    places: tuple[int, ...]  # which of the strikes say so
    is_median: bool  # the strikes did not agree, so the middle one speaks

    def spot(self, rate: float, years: float) -> float:
        """The forward discounted: the spot of European legs of this expiry, dividends and carry inside."""
        return float(self.forward * np.exp(-rate * years))


def parity_forward(pairs: StrikePairs, *, rate: float, years: float) -> ParityForward | None:
    """The forward of one expiry; None where fewer than three strikes are quoted on all four sides.

    `rate` is continuous, per year; `years` are to the settlement instant, above 0.
    """
    call, put = (pairs.call_bid + pairs.call_ask) / 2, (pairs.put_bid + pairs.put_ask) / 2
    width = (pairs.call_ask - pairs.call_bid) + (pairs.put_ask - pairs.put_bid)
    sound = (pairs.call_ask >= pairs.call_bid) & (pairs.put_ask >= pairs.put_bid)
    # A side out of the money may have no bid near the end; what is in the money has one.
    sound &= (np.minimum(pairs.call_bid, pairs.put_bid) >= 0) & (
        np.maximum(pairs.call_bid, pairs.put_bid) > 0
    )
    sound &= pairs.strike > 0
    places = np.flatnonzero(sound & np.isfinite(width))
    if len(places) < _FEWEST_STRIKES or not (np.isfinite(rate) and years > 0):
        return None
    nearest = places[np.argsort(np.abs(call - put)[places], kind="stable")[:STRIKES]]
    grown = np.exp(rate * years)
    said = pairs.strike[nearest] + (call - put)[nearest] * grown
    half = 0.5 * width[nearest] * grown
    median, mean = float(np.median(said)), _weighted(said, half)
    tolerance = float(np.median(half))
    is_median = abs(mean - median) > 0.5 * tolerance
    forward = median if is_median else mean
    return ParityForward(
        forward, forward - tolerance, forward + tolerance, tuple(nearest.tolist()), is_median
    )


def _weighted(said: Numbers, half: Numbers) -> float:
    return float(np.average(said, weights=1 / np.maximum(half, _LEAST_WIDTH)))


def american_parity_forward(
    pairs: StrikePairs, paid: CashDividends, *, rate: float, years: float
) -> ParityForward | None:
    """The same of American options: their quotes near the money less what exercising early is worth by our model.

    `paid` are the dividends of one leg that lives as long (of an index none: they are in the forward), and what is told
    is the forward with them inside. Places are those among the strikes nearest to the money.
    """
    roughly = parity_forward(pairs, rate=rate, years=years)
    if roughly is None:
        return None
    nearest = _nearest(pairs)
    to_come = float(paid.present_value(np.array([rate]), np.array([years]))[0])
    freed = _freed(pairs.take(nearest), roughly.spot(rate, years) + to_come, paid, rate=rate, years=years)
    found = parity_forward(freed, rate=rate, years=years)
    return None if found is None else replace(found, places=tuple(nearest[list(found.places)].tolist()))


def _nearest(pairs: StrikePairs) -> Integers:
    """The places of the strikes at which call and put are closest."""
    apart = np.abs(pairs.call_bid + pairs.call_ask - pairs.put_bid - pairs.put_ask)
    return np.argsort(apart, kind="stable")[:_FREED]


def _freed(
    pairs: StrikePairs, implied_spot: float, paid: CashDividends, *, rate: float, years: float
) -> StrikePairs:
    """American quotes less what exercising early is worth, at the price that they imply themselves."""
    count = len(pairs.strike)
    each = np.zeros(count, dtype=np.int64)
    market = Market(np.full(count, implied_spot), np.full(count, rate), np.zeros(count), paid.take(each))
    calls, puts, outside = (
        Terms(pairs.strike, is_call, np.ones(count, dtype=bool), np.full(count, years))
        for is_call in (
            np.ones(count, dtype=bool),
            np.zeros(count, dtype=bool),
            pairs.strike > market.forward(np.full(count, years)),
        )
    )
    bid = np.where(outside.is_call, pairs.call_bid, pairs.put_bid)
    ask = np.where(outside.is_call, pairs.call_ask, pairs.put_ask)
    quotes = OptionQuotes(bid, ask, (bid + ask) / 2, usual_tick(bid))
    volatility = implied_volatility(outside, market, quotes).volatility
    return without_early_exercise(pairs, calls, puts, market, volatility)


def without_early_exercise(
    pairs: StrikePairs, calls: Terms, puts: Terms, market: Market, volatility: Numbers
) -> StrikePairs:
    """American quotes less what exercising early is worth by our model, so that parity may be asked of them.

    `volatility` is that of each strike's out-of-the-money side; where it is not known the pair drops out.
    """
    call = _early_exercise(calls, market, volatility)
    put = _early_exercise(puts, market, volatility)
    return replace(
        pairs,
        call_bid=pairs.call_bid - call,
        call_ask=pairs.call_ask - call,
        put_bid=pairs.put_bid - put,
        put_ask=pairs.put_ask - put,
    )


def _early_exercise(terms: Terms, market: Market, volatility: Numbers) -> Numbers:
    american = value(terms, market, volatility)
    worth = np.full_like(american, np.nan)
    legs = np.flatnonzero(~np.isnan(american))
    worth[legs] = american[legs] - european_value(terms.take(legs), market.take(legs), volatility[legs])
    return worth


@dataclass(frozen=True, slots=True)
class SpotAlarm:
    """Options and quote of one underlying contradict each other; dollars per share."""

    implied_spot: float
    quoted_spot: float
    tolerance: float

    def words(self, symbol: str, quote_age: str) -> str:
        """The sentence; `quote_age` is as in "14 s"."""
        return (
            f"{symbol}: options imply {self.implied_spot:,.2f}, the quote says {self.quoted_spot:,.2f} "
            f"(age {quote_age}): a stale price, a dividend not told of, or shares that are hard to borrow"
        )


def spot_alarm(
    parity: ParityForward,
    *,
    spot: float,
    spot_half_width: float,
    forward: float,
    rate: float,
    years: float,
    rate_doubt: float = 0.0,
) -> SpotAlarm | None:
    """Whether the forward computed from the spot is further from what options imply than both quotes are wide.

    `forward` is that of `Market.forward`, so what is known of dividends and carry is in it; `spot_half_width` is half
    of the underlying's own spread; by `rate_doubt` a year the rate may err. None too where one is not known.
    """
    discount = float(np.exp(-rate * years))
    apart = (parity.forward - forward) * discount
    tolerance = 0.5 * (parity.high - parity.low) * discount + max(spot_half_width, 0.0)
    tolerance += rate_doubt * spot * years
    if not abs(apart) > tolerance:
        return None
    return SpotAlarm(spot + apart, spot, tolerance)
