"""A volatility of the next 30 days out of one underlying's option quotes: our own figure, not the VIX.

The formula is that of a variance swap replicated with options, as Cboe's white paper on the VIX has it (*Volatility
Index Methodology: Cboe Volatility Index*). For each of the two expiries around 30 days, with T years left, rate R and
forward F:

    F   = K* + e^(RT) (call(K*) - put(K*)), at the strike K* where the two are closest
    K0  = the largest strike with both that is not above F
    s^2 = 2/T sum(dK/K^2 e^(RT) Q(K)) - 1/T (F/K0 - 1)^2

Q is the middle of bid and ask: of the put below K0, of the call above it, of both on average at K0. dK is half the
distance between the neighbours, at the ends the distance to the one. Going away from K0, an option without a bid is
left out, and after two of them in a row all further ones. The figure is the root of the two variances, weighed to 30
days, times 100.

It is *our own* because of what differs: SPY in place of SPX, so American exercise and dividends are in the prices; the
feed's quotes; and one rate for both expiries. What is missing makes it None and is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Final

from options_helper.model.contract_symbols import OptionType
from options_helper.model.market_hours import NEW_YORK

THIRTY_DAYS: Final = timedelta(days=30)
# As Cboe takes them: so near to 30 days that weighing between two of them says something about 30 days.
NEAREST: Final = timedelta(days=23)
FARTHEST: Final = timedelta(days=37)
YEAR: Final = timedelta(days=365)
# On either side of K0. With fewer, the sum is a guess about the wings.
STRIKES_AT_LEAST: Final = 4
_ENDS_AT: Final = time(16)


@dataclass(frozen=True, slots=True)
class OptionQuote:
    """Bid and ask of one contract, dollars per share; None: there is none."""

    expiry: date
    option_type: OptionType
    strike: float
    bid: float | None
    ask: float | None


@dataclass(frozen=True, slots=True)
class Term:
    """One of the two expiries."""

    expiry: date
    years: float
    forward: float  # dollars
    strikes: int  # that are in the sum
    variance: float  # of a year

    @property
    def days(self) -> float:
        """Until it expires."""
        return self.years * YEAR.days


@dataclass(frozen=True, slots=True)
class ThirtyDayVolatility:
    """The figure in percent of a year, as 17.4; None with the reason in `missing`."""

    percent: float | None = None
    near: Term | None = None
    far: Term | None = None
    missing: str | None = None


def thirty_day_volatility(
    quotes: Iterable[OptionQuote], as_of: datetime, *, rate: float = 0.0
) -> ThirtyDayVolatility:
    """Our own figure from the quotes of one moment, whatever their order; `rate` is continuous, 0.04 for 4 %."""
    by_expiry: dict[date, list[OptionQuote]] = {}
    for quote in quotes:
        by_expiry.setdefault(quote.expiry, []).append(quote)
    left = {expiry: _ends(expiry) - as_of for expiry in by_expiry}
    near = max((day for day in left if NEAREST < left[day] <= THIRTY_DAYS), default=None)
    far = min((day for day in left if THIRTY_DAYS < left[day] < FARTHEST), default=None)
    if near is None or far is None:
        side = "23 to 30" if near is None else "30 to 37"
        return ThirtyDayVolatility(missing=f"No expiry in {side} days was quoted.")
    terms = []
    for expiry in (near, far):
        term = _term(expiry, by_expiry[expiry], left[expiry] / YEAR, rate)
        if isinstance(term, str):
            return ThirtyDayVolatility(missing=f"{expiry}: {term}")
        terms.append(term)
    return _weighed(*terms)


def _weighed(near: Term, far: Term) -> ThirtyDayVolatility:
    wanted = THIRTY_DAYS / YEAR
    share = (far.years - wanted) / (far.years - near.years)
    total = share * near.years * near.variance + (1 - share) * far.years * far.variance
    if total <= 0:
        return ThirtyDayVolatility(None, near, far, "The quotes make a variance below zero.")
    return ThirtyDayVolatility(100 * math.sqrt(total / wanted), near, far)


def _ends(expiry: date) -> datetime:
    return datetime.combine(expiry, _ENDS_AT, NEW_YORK)


def _term(expiry: date, quotes: Sequence[OptionQuote], years: float, rate: float) -> Term | str:
    """The term; a sentence where it cannot be had."""
    calls, puts = ({one.strike: one for one in quotes if one.option_type == kind} for kind in ("call", "put"))
    middles = {
        strike: (call, put)
        for strike in calls.keys() & puts.keys()
        if (call := _middle(calls[strike])) is not None and (put := _middle(puts[strike])) is not None
    }
    if not middles:
        return "no strike has both a call and a put with bid and ask."
    growth = math.exp(rate * years)
    # Of two strikes that are as good, the lower one: the answer must not hang on the order of the quotes.
    closest = min(middles, key=lambda strike: (abs(middles[strike][0] - middles[strike][1]), strike))
    forward = closest + growth * (middles[closest][0] - middles[closest][1])
    center = max((strike for strike in middles if strike <= forward), default=None)
    if center is None:
        return "no strike below the forward price is quoted."
    below = _wing(puts, sorted((strike for strike in puts if strike < center), reverse=True))
    above = _wing(calls, sorted(strike for strike in calls if strike > center))
    if min(len(below), len(above)) < STRIKES_AT_LEAST:
        return (
            f"{len(below)} puts and {len(above)} calls away from the money are quoted, and {STRIKES_AT_LEAST} of each "
            "are needed."
        )
    prices = below | {center: sum(middles[center]) / 2} | above
    variance = 2 / years * growth * _replication(prices) - (forward / center - 1) ** 2 / years
    return Term(expiry, years, forward, len(prices), variance)


def _wing(quotes: Mapping[float, OptionQuote], outward: Sequence[float]) -> dict[float, float]:
    """The middles from the money outward, until two in a row have no bid."""
    found: dict[float, float] = {}
    without_bid = 0
    for strike in outward:
        middle = _middle(quotes[strike])
        without_bid = without_bid + 1 if middle is None else 0
        if without_bid == 2:
            break
        if middle is not None:
            found[strike] = middle
    return found


def _replication(prices: Mapping[float, float]) -> float:
    strikes = sorted(prices)
    gaps = [high - low for low, high in pairwise(strikes)]
    widths = [gaps[0], *((left + right) / 2 for left, right in pairwise(gaps)), gaps[-1]]
    return sum(width / strike**2 * prices[strike] for strike, width in zip(strikes, widths, strict=True))


def _middle(quote: OptionQuote) -> float | None:
    """Halfway between bid and ask; None without a bid, or where the two are crossed."""
    if quote.bid is None or quote.ask is None or quote.bid <= 0 or quote.ask < quote.bid:
        return None
    return (quote.bid + quote.ask) / 2
