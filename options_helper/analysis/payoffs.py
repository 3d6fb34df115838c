"""What a structure can be worth at most and at least: beyond that a mark is no mark, and a debit was typed wrongly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from math import exp, inf
from typing import Final, NamedTuple

from options_helper.analysis.deliveries import ALL_USUAL, Usual, as_usual
from options_helper.model.alpaca_symbols import is_index
from options_helper.model.contract_hours import is_settled_at_open
from options_helper.model.contract_records import is_american
from options_helper.model.contract_symbols import STANDARD_MULTIPLIER
from options_helper.model.portfolio import Instrument, Portfolio, PortfolioLine

_NOTHING: Final = Decimal(0)
# Of a debit. What has to come back at least was worth less then, by the interest of some years.
_DISCOUNTED: Final = Decimal("0.75")
# Rights to exercise early are worth something, and fees may be in the debit.
_BEYOND: Final = Decimal("0.02")
# Of a mark, in parts of the range: middles of quotes err, and American contracts are not paid at expiry alone.
_TOLERANCE: Final = 0.1
_TICK: Final = 0.05  # dollars per share
# What is paid for certain at expiry is worth less today, by no more than this a year.
_HIGHEST_RATE: Final = 0.1
# What may be paid on what a European call is written on, of the strike a year.
_HIGHEST_YIELD: Final = 0.05
_DAYS_A_YEAR: Final = 365.0
# Their options of each expiry are written on a price of its own, as a future is: none covers one of another day.
_APART_BY_EXPIRY: Final = frozenset({"VIX"})


class End(NamedTuple):
    """When a line ends; of two, the lesser ends first. What the market tells of its hours changes no such order."""

    day: date
    at_close: bool  # of the session; else its worth is fixed at the opening of that day, hours before


NEVER: Final = End(date.max, at_close=True)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most that it can be worth, in dollars; None: there is no such limit, or it is not known."""

    least: Decimal | None
    most: Decimal | None

    def contains(self, debit: Decimal) -> bool:
        """Whether somebody may have paid this (negative: received), interest and fees allowed for."""
        return (self.least is None or debit >= _lowered(self.least)) and (
            self.most is None or debit <= -_lowered(-self.most)
        )


class Given(StrEnum):
    """What a worth before the end of a European contract counts with, a year; in words."""

    INTEREST = "interest up to 10 %"
    DIVIDENDS = "dividends up to 5 % of the strike"


def is_european(instrument: Instrument) -> bool:
    """Whether an option is exercised at its end alone, by the file, else by its root."""
    return instrument.is_option and not is_american(instrument, {})


def is_apart_by_expiry(instrument: Instrument) -> bool:
    """Whether options of two ends are written on two prices, neither of which says anything of the other."""
    return instrument.underlying in _APART_BY_EXPIRY


def strike_before(*, is_put: bool, strike: Decimal, later: End, earlier: End, sold: Decimal) -> Decimal:
    """By which strike a European option is worth at an earlier end at least what that much in the money would be.

    It cannot be exercised then, and a market without free money pays K e^(-rT) - S for the put and S - D - K for the
    call: the first with the highest interest that is counted with, the second with the highest dividends. `sold` is
    the highest strike of what it stands for, above which the price is.
    """
    # What is settled at the open lives some hours less, and at the close some more.
    years = ((later.day - earlier.day).days + 1) / _DAYS_A_YEAR
    if is_put:
        return strike * Decimal(exp(-_HIGHEST_RATE * years))
    return strike + max(strike, sold) * Decimal(_HIGHEST_YIELD * years)


def given_by(lines: Iterable[PortfolioLine]) -> tuple[Given, ...]:
    """With what bounds count, which take what is European for what is sold and ends before it; the puts first."""
    options = [line for line in lines if line.instrument.is_option]
    found = []
    for kind, given in (("put", Given.INTEREST), ("call", Given.DIVIDENDS)):
        of_kind = [line for line in options if line.instrument.option_type == kind]
        sold = [end_of(line.instrument) for line in of_kind if line.quantity < 0]
        longs = [line.instrument for line in of_kind if line.quantity > 0 and is_european(line.instrument)]
        if sold and any(end_of(one) > min(sold) for one in longs):
            found.append(given)
    return tuple(found)


def payoff_bounds(held: Sequence[PortfolioLine]) -> Bounds:
    """What these lines can be worth together, between the payoffs at expiry over all prices of the underlying.

    Before the last expiry a bound holds where what is long does not end before what is short, or the other way round;
    what of the one that ends later is European counts by what it is worth at the first end of the other.
    Nothing is known of several underlyings, of an unknown multiplier, of contracts that may deliver something else, or
    of a day on which some are settled at the open and others at the close: two prices decide then.
    """
    lines = [line for line in held if line.quantity]
    if not lines or not _are_comparable([line.instrument for line in lines]):
        return Bounds(None, None)
    most = _least(tuple(replace(line, quantity=-line.quantity) for line in lines))
    return Bounds(least=_least(lines), most=None if most is None else -most)


def _least(lines: Sequence[PortfolioLine]) -> Decimal | None:
    """The least of the payoffs; None: there is none, or it does not hold before the last expiry."""
    rise = sum((slope_of(line) for line in lines if line.instrument.option_type != "put"), _NOTHING)
    sold = [line.instrument for line in lines if line.quantity < 0]
    kept = [end_of(line.instrument) for line in lines if line.quantity > 0]
    if rise < 0 or not _none_before(kept, [end_of(one) for one in sold]):
        return None
    counted = _as_at_first_end(lines, [one for one in sold if one.is_option])
    prices = (_NOTHING, *(_exact(line.instrument.strike) for line in counted if line.instrument.is_option))
    return min(sum((worth_at_end(line, price) for line in counted), _NOTHING) for price in prices)


def _as_at_first_end(lines: Sequence[PortfolioLine], sold: Sequence[Instrument]) -> list[PortfolioLine]:
    """With what is held, European and ends after the first that is sold as what it is worth then."""
    if not sold:
        return list(lines)
    first = min(end_of(one) for one in sold)
    highest = max(_exact(one.strike) for one in sold)
    return [
        _with_strike(line, first, highest)
        if line.quantity > 0 and is_european(line.instrument) and end_of(line.instrument) > first
        else line
        for line in lines
    ]


def _with_strike(line: PortfolioLine, earlier: End, sold: Decimal) -> PortfolioLine:
    one = line.instrument
    strike = strike_before(
        is_put=one.option_type == "put",
        strike=_exact(one.strike),
        later=end_of(one),
        earlier=earlier,
        sold=sold,
    )
    return replace(line, instrument=replace(one, strike=float(strike)))


@lru_cache(maxsize=4096)  # asked at each refresh, and lines never change
def believable_range(lines: tuple[PortfolioLine, ...], today: date) -> tuple[float, float]:
    """Between which dollars a mark of this structure is believed; infinite where its payoff does not say.

    Over several expiries every mark is believed: a debit beyond the bounds is looked at once, a mark would be missing.
    """
    expiries = {line.instrument.expiry for line in lines if line.instrument.expiry is not None}
    bounds = payoff_bounds(lines)
    if len(expiries) != 1:
        return -inf, inf
    least = -inf if bounds.least is None else float(bounds.least)
    most = inf if bounds.most is None else float(bounds.most)
    years = max((expiries.pop() - today).days, 0) / _DAYS_A_YEAR
    today_of_one = max(1 - _HIGHEST_RATE * years, 0.0)
    width = most - least
    tick = _TICK * float(max(abs(slope_of(line)) for line in lines))
    tolerance = tick + (_TOLERANCE * width if width < inf else 0.0)
    if not width:
        # C − P is between S − D − K and S − K e^(−rT) where it may be exercised early: what is the same at every price,
        # as a box, is worth its payoff give or take the interest on its highest strike.
        tolerance += (1 - today_of_one) * _exercised_early(lines)
    return min(least, least * today_of_one) - tolerance, max(most, most * today_of_one) + tolerance


def _exercised_early(lines: Sequence[PortfolioLine]) -> float:
    """What its highest strike comes to in dollars, of contracts that may be exercised before they end."""
    return max(
        (
            (line.instrument.strike or 0.0) * float(abs(slope_of(line)))
            for line in lines
            if line.instrument.is_option and not is_index(line.instrument.underlying)
        ),
        default=0.0,
    )


def undefined_risks(
    portfolio: Portfolio, ended: Collection[str] = (), usual: Usual = ALL_USUAL
) -> tuple[str, ...]:
    """The ids of the entries whose loss has no end: calls or shares sold short that nothing held longer covers.

    What is held in the same name covers it, in another entry too; `ended` are contracts that are gone, and `usual`
    ones stand in place of adjusted ones.
    """
    of_name: dict[str, list[tuple[str, PortfolioLine]]] = defaultdict(list)
    for entry in portfolio.positions:
        for line in entry.lines:
            if line.instrument.option_type != "put" and line.instrument.live_symbol not in ended:
                of_name[line.instrument.underlying].append((entry.id, as_usual(line, usual)))
    found: dict[str, None] = {}
    for held in of_name.values():
        for _, entries in uncovered_entries(held):
            found |= dict.fromkeys(entries)
    return tuple(entry.id for entry in portfolio.positions if entry.id in found)


class Uncovered(NamedTuple):
    """What is sold short and stays so until its end, with nothing beside it that is held as long."""

    end: End
    slope: Decimal  # dollars for each dollar of price, above 0: so many shares


def uncovered_ends(held: Iterable[PortfolioLine]) -> tuple[Uncovered, ...]:
    """Where these calls and shares of one name are short together, so that their loss has no end; the longest first.

    What is held covers what ends no later, and what ends last is covered first. So of a short call that runs on and a
    vertical that ends before it, the call is uncovered, and not the vertical's short leg.
    """
    slopes: dict[End, Decimal] = defaultdict(Decimal)
    for line in held:
        if line.instrument.option_type != "put":
            slopes[end_of(line.instrument)] += slope_of(line)
    found: list[Uncovered] = []
    left = named = _NOTHING
    for end in sorted(slopes, reverse=True):
        left += slopes[end]
        if -left > named:
            found.append(Uncovered(end, -left - named))
            named = -left
    return tuple(found)


def uncovered_entries(
    held: Sequence[tuple[str, PortfolioLine]],
) -> Iterator[tuple[Uncovered, tuple[str, ...]]]:
    """What of one name is uncovered, with the entries whose own short calls or shares that is, by their ids."""
    calls = [(identity, line) for identity, line in held if line.instrument.option_type != "put"]
    for one in uncovered_ends(line for _, line in calls):
        until, longer = _slopes(calls, one.end, and_then=True), _slopes(calls, one.end, and_then=False)
        short = [identity for identity, slope in until.items() if slope < 0]
        # Of what is short longer than that it is said there, or something covers it.
        yield one, tuple(n for n in short if until[n] < longer.get(n, _NOTHING)) or tuple(short)


def _slopes(held: Sequence[tuple[str, PortfolioLine]], end: End, *, and_then: bool) -> dict[str, Decimal]:
    """By entry, how short or long it is of what ends after `end`, or then too."""
    slopes: dict[str, Decimal] = defaultdict(Decimal)
    for identity, line in held:
        of_line = end_of(line.instrument)
        if of_line > end or (and_then and of_line == end):
            slopes[identity] += slope_of(line)
    return slopes


def _are_comparable(instruments: Sequence[Instrument]) -> bool:
    """Whether one price at each expiry decides on all of them, and it is known how."""
    known = all(one.multiplier is not None and not one.adjusted for one in instruments)
    ends = {end_of(one) for one in instruments}
    one_a_day = len({end.day for end in ends}) == len(ends)
    one_price = len({one.underlying for one in instruments}) == 1
    if len(ends) > 1 and any(is_apart_by_expiry(one) for one in instruments):
        return False
    return known and one_a_day and one_price


def slope_of(line: PortfolioLine) -> Decimal:
    """Dollars for each dollar of price, short is negative; an adjusted contract counts as a usual one."""
    return line.quantity * (line.instrument.multiplier or STANDARD_MULTIPLIER)


def worth_at_end(line: PortfolioLine, price: Decimal) -> Decimal:
    """What it is worth at its end, in dollars, at this price of the underlying."""
    over = price - _exact(line.instrument.strike)
    match line.instrument.option_type:
        case "call":
            return slope_of(line) * max(over, _NOTHING)
        case "put":
            return slope_of(line) * max(-over, _NOTHING)
        case None:
            return slope_of(line) * price


@lru_cache(maxsize=4096)  # asked at each refresh, and an instrument never changes
def end_of(instrument: Instrument) -> End:
    """When its worth is fixed by the price of what it is written on; of shares, never."""
    if instrument.expiry is None:
        return NEVER
    at_open = is_settled_at_open(instrument.live_symbol, instrument.expiry, named=instrument.settled_at_open)
    return End(instrument.expiry, at_close=not at_open)


def _none_before(kept: Sequence[End], ending: Sequence[End]) -> bool:
    """Whether all of the first end no sooner than any of the second; shares never end, on whichever side they are."""
    finite = [end for end in ending if end != NEVER]
    return not kept or not finite or min(kept) >= max(finite)


def _lowered(bound: Decimal) -> Decimal:
    return bound * (_DISCOUNTED if bound > 0 else 1 + _BEYOND)


def _exact(value: float | None) -> Decimal:
    return _NOTHING if value is None else Decimal(str(value))
