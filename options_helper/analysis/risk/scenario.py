"""What a book is worth at other prices, volatilities, days and rates: the curve of today, and what-ifs.

The rule is *sticky strike*: each leg keeps its own implied volatility wherever the price goes. By what a mark differs
from the model is carried along, so that today's curve goes through today's marks; it shrinks with the time that is
left, and at a leg's end nothing is left of it. Early exercise, assignment and dividends to shares are not in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import fsum
from typing import Final, NamedTuple

import numpy as np

from options_helper.analysis.marks import Flags, Integers, Numbers
from options_helper.analysis.risk.pricing import CashDividends, Market, Terms, value
from options_helper.analysis.risk.what_if import NOW, WhatIf
from options_helper.model.text import format_count

_DAYS_A_YEAR: Final = 365.0
# Of a year, some hundredths of a second; less is rounding, as 30 days less 7 and 23 days are not the same number.
_NO_TIME: Final = 1e-9
# Columns that are priced at once, which bounds the memory.
_AT_ONCE: Final = 4_096


@dataclass(frozen=True, slots=True, eq=False)
class ScenarioLines:
    """What is held: n option legs and k lines of shares. NaN is "not known"."""

    labels: tuple[str, ...]  # of the legs, as a person calls them
    terms: Terms
    market: Market
    volatility: Numbers  # each leg's own
    mark: Numbers  # dollars per share
    slope: Numbers  # dollars for each dollar of mark: contracts times multiplier, short is negative
    share_labels: tuple[str, ...]
    share_worth: Numbers  # (k,) dollars at the mark, short is negative

    def take(self, legs: Integers, shares: Integers) -> ScenarioLines:
        """Some of the legs and of the lines of shares, by their places."""
        return ScenarioLines(
            labels=tuple(self.labels[leg] for leg in legs.tolist()),
            terms=self.terms.take(legs),
            market=self.market.take(legs),
            volatility=self.volatility[legs],
            mark=self.mark[legs],
            slope=self.slope[legs],
            share_labels=tuple(self.share_labels[line] for line in shares.tolist()),
            share_worth=self.share_worth[shares],
        )


class Scenario(NamedTuple):
    """The inputs of n legs in another world, for prices and Greeks; `years` of 0 or less: the leg has ended."""

    terms: Terms
    market: Market
    volatility: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """What lines are worth at m prices; everything in dollars, before costs."""

    factors: Numbers  # (m,) of each underlying's price now: 1 is now
    worth: Numbers  # (m,)
    now: float  # the sum of the marks; of a leg without a mark, what the model or its intrinsic value says
    carried: float  # by how much the marks exceed the model, legs that have both
    by_model: int  # how many legs are, now and there; what has ended by then is not
    legs: int
    by_intrinsic: tuple[
        str, ...
    ]  # labels of legs without a volatility: intrinsic value and today's time value
    without_mark: tuple[str, ...]  # labels of legs that have no mark, so that `now` is no sum of marks
    ended: tuple[str, ...]  # labels of legs that settle within the days that pass: at intrinsic value
    left_out: tuple[str, ...]  # sentences: what is not in the curve, and why
    at_floor: tuple[str, ...]  # labels of legs whose volatility the what-if takes below 0, where it stops

    @property
    def change(self) -> Numbers:
        """Won or lost against now, at each price."""
        return self.worth - self.now

    @property
    def words(self) -> str:
        """How much of it is drawn by the model: "10 of 12 legs"."""
        return f"{self.by_model} of {format_count(self.legs, 'leg')}"


def curve(lines: ScenarioLines, factors: Numbers, what_if: WhatIf = NOW) -> Curve:
    """What the lines are worth with their underlyings at these multiples of their prices now, all else as in `what_if`.

    With factor 1 and nothing else changed that is the sum of the marks.
    """
    return _curve(lines, np.asarray(factors, dtype=np.float64) * (1 + what_if.spot_percent / 100), what_if)


def first_end_days(lines: ScenarioLines) -> float | None:
    """In how many days the first leg ends; None where none is to end."""
    ahead = lines.terms.years[lines.terms.years > _NO_TIME]
    return float(ahead.min()) * _DAYS_A_YEAR if len(ahead) else None


def curve_at_first_end(lines: ScenarioLines, factors: Numbers) -> Curve | None:
    """What the lines are worth when the first leg ends; None where none is to end.

    Of one expiry that is the payoff. Later legs are worth what the model says with the volatility that they have now:
    that is no promise, and whoever shows it says so.
    """
    days = first_end_days(lines)
    return None if days is None else curve(lines, factors, WhatIf(days=days))


def curve_factors(spot: float, strikes: Numbers, *, width: float = 0.2, points: int = 41) -> Numbers:
    """Prices at which to draw, as multiples of the spot: evenly spaced, and at each strike between, where it bends."""
    even = np.linspace(1 - width, 1 + width, points)
    kinks = strikes[np.isfinite(strikes)] / spot
    inside = kinks[(kinks > 1 - width) & (kinks < 1 + width)]
    return np.unique(np.concatenate([even, inside, [1.0]]))


def shifted(scenario: Scenario, what_if: WhatIf) -> Scenario:
    """The same legs in that world: to be priced, or for their Greeks there."""
    terms, market, volatility = scenario
    passed = what_if.days / _DAYS_A_YEAR
    points = np.full(len(volatility), float(what_if.vol_points))
    if what_if.term_days is not None:
        points *= np.sqrt(what_if.term_days / np.maximum(terms.years * _DAYS_A_YEAR, 1.0))
    years = terms.years - passed
    return Scenario(
        replace(terms, years=np.where(years > _NO_TIME, years, 0.0)),
        Market(
            spot=market.spot * (1 + what_if.spot_percent / 100),
            rate=market.rate + what_if.rate_points / 100,
            carry=market.carry,
            # One that has gone ex by then is in the price already.
            dividends=CashDividends(market.dividends.years - passed, market.dividends.amounts),
        ),
        np.maximum(volatility + points / 100, 0.0),
    )


def _curve(lines: ScenarioLines, factors: Numbers, what_if: WhatIf) -> Curve:
    drawn = _is_drawn(lines)
    legs = np.flatnonzero(drawn)
    today = Scenario(lines.terms.take(legs), lines.market.take(legs), lines.volatility[legs])
    mark, slope = lines.mark[legs], lines.slope[legs]
    by_model, model = _model(today, np.ones(1))
    model_now = model[0]
    gap = np.where(np.isnan(mark), 0.0, mark - model_now)
    then = shifted(today, replace(what_if, spot_percent=0.0))
    left = then.terms.years / today.terms.years
    by_model_then, price_then = _model(then, factors)
    worth = (price_then + gap * left) * slope
    shares = lines.share_worth[np.isfinite(lines.share_worth)]
    at_price = [fsum((*row, *(shares * factor))) for row, factor in zip(worth, factors, strict=True)]
    names = np.array(lines.labels, dtype=object)[legs]
    return Curve(
        factors=factors,
        worth=np.array(at_price),
        now=fsum((*(slope * (model_now + gap)), *shares)),
        carried=fsum((slope * gap)[by_model]),
        by_model=int((by_model & by_model_then).sum()),
        legs=len(lines.labels),
        # What has ended by then is at intrinsic value too, and stands apart.
        by_intrinsic=tuple(names[~(by_model & by_model_then) & (then.terms.years > 0)]),
        without_mark=tuple(names[np.isnan(mark)]),
        ended=tuple(names[then.terms.years == 0]),
        left_out=_left_out(lines, drawn),
        at_floor=tuple(names[(then.volatility <= 0) & (today.volatility > 0) & (then.terms.years > 0)]),
    )


def _model(scenario: Scenario, factors: Numbers) -> tuple[Flags, Numbers]:
    """Which legs have a price by the model now, and dollars per share of each leg (columns) at each price (rows).

    Without a volatility, at its end, or where the model has no answer, a leg is worth its intrinsic value.
    """
    terms, market, volatility = scenario
    count, prices = len(volatility), len(factors)
    places = np.tile(np.arange(count, dtype=np.int64), prices)
    scale = np.repeat(factors, count)
    parts = [
        _priced(scenario, places[start : start + _AT_ONCE], scale[start : start + _AT_ONCE])
        for start in range(0, len(places), _AT_ONCE)
    ]
    priced = np.concatenate([*parts, np.zeros(0)]).reshape(prices, count)
    intrinsic = np.maximum(terms.sign * (np.outer(factors, market.spot) - terms.strike), 0.0)
    is_known = np.isfinite(priced)
    return is_known.all(axis=0), np.where(is_known, priced, intrinsic)


def _priced(scenario: Scenario, places: Integers, scale: Numbers) -> Numbers:
    market = scenario.market.take(places)
    at_price = Market(market.spot * scale, market.rate, market.carry, market.dividends)
    return value(scenario.terms.take(places), at_price, scenario.volatility[places])


def _is_drawn(lines: ScenarioLines) -> Flags:
    """Where there is a size, a price of the underlying to move, and time left."""
    known = np.isfinite(lines.slope) & np.isfinite(lines.market.spot) & np.isfinite(lines.terms.strike)
    return np.asarray(known & (lines.market.spot > 0) & (lines.terms.years > _NO_TIME))


def _left_out(lines: ScenarioLines, drawn: Flags) -> tuple[str, ...]:
    said = [_why_not(lines, leg) for leg in np.flatnonzero(~drawn).tolist()]
    for label, worth in zip(lines.share_labels, lines.share_worth, strict=True):
        if not np.isfinite(worth):
            said.append(f"{label}: no price")
    return tuple(said)


def _why_not(lines: ScenarioLines, leg: int) -> str:
    if not np.isfinite(lines.slope[leg]):
        reason = "what one contract delivers is not known"
    elif lines.terms.years[leg] <= _NO_TIME:
        reason = "it has ended, and what it settled at is not known here"
    else:
        reason = "no price of the underlying"
    return f"{lines.labels[leg]}: {reason}"
