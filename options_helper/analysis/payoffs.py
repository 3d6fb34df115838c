"""What a structure can be worth at most and at least: a mark beyond that is no mark, whatever its legs' quotes say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from math import inf
from typing import Final

from options_helper.model.contract_symbols import STANDARD_MULTIPLIER
from options_helper.model.portfolio import Instrument, Portfolio, PortfolioLine

# Of the range between least and greatest: middles of quotes err, and American contracts are not paid at expiry alone.
_TOLERANCE: Final = 0.1
_TICK: Final = 0.05  # dollars per share
# What is paid for certain at expiry is worth less today, by no more than this a year.
_HIGHEST_RATE: Final = 0.1
_DAYS_A_YEAR: Final = 365.0


def payoff_bounds(lines: Sequence[PortfolioLine]) -> tuple[float, float]:
    """The least and the greatest that lines of one expiry are worth then, in dollars; infinite where nothing ends it.

    Multipliers must be known.
    """
    prices = [0.0, *(line.instrument.strike for line in lines if line.instrument.strike is not None)]
    values = [sum(_payoff(line, price) for line in lines) for price in prices]
    slope = sum(_worth(line) for line in lines if line.instrument.option_type != "put")
    return min(values) if slope >= 0 else -inf, max(values) if slope <= 0 else inf


def believable_range(lines: Sequence[PortfolioLine], today: date) -> tuple[float, float]:
    """Between which dollars a mark of this structure is believed; infinite where its payoff does not say."""
    instruments = [line.instrument for line in lines]
    expiries = {one.expiry for one in instruments if one.expiry is not None}
    if len(expiries) != 1 or not _are_comparable(instruments):
        return -inf, inf
    least, greatest = payoff_bounds(lines)
    years = max((expiries.pop() - today).days, 0) / _DAYS_A_YEAR
    today_of_one = max(1 - _HIGHEST_RATE * years, 0.0)
    width = greatest - least
    tolerance = (_TOLERANCE * width if width < inf else 0.0) + _TICK * max(
        abs(_worth(line)) for line in lines
    )
    return min(least, least * today_of_one) - tolerance, max(greatest, greatest * today_of_one) + tolerance


def _are_comparable(instruments: Sequence[Instrument]) -> bool:
    """Whether one price at expiry decides on all of them, and it is known how."""
    known = all(one.multiplier is not None and not one.adjusted for one in instruments)
    return known and len({one.underlying for one in instruments}) == 1


def undefined_risks(portfolio: Portfolio, ended: Collection[str] = ()) -> tuple[str, ...]:
    """The ids of the entries whose loss has no end: calls or shares sold short that nothing held longer covers.

    What is held in the same name covers it, in another entry too; `ended` are contracts that are gone.
    """
    of_name: dict[str, list[tuple[str, PortfolioLine]]] = defaultdict(list)
    for entry in portfolio.positions:
        for line in entry.lines:
            if line.instrument.option_type != "put" and line.instrument.live_symbol not in ended:
                of_name[line.instrument.underlying].append((entry.id, line))
    found: dict[str, None] = {}
    for held in of_name.values():
        found |= dict.fromkeys(_uncovered(held))
    return tuple(entry.id for entry in portfolio.positions if entry.id in found)


def _uncovered(held: Sequence[tuple[str, PortfolioLine]]) -> Iterable[str]:
    """The entries of one name that are short where, at some time ahead, all of it together is."""
    expiries = [line.instrument.expiry for _, line in held if line.instrument.expiry is not None]
    for day in dict.fromkeys((*expiries, date.max)):
        slopes: dict[str, float] = defaultdict(float)
        for identity, line in held:
            if line.instrument.expiry is None or line.instrument.expiry >= day:
                slopes[identity] += _worth(line)
        if sum(slopes.values()) < 0:
            yield from (identity for identity, slope in slopes.items() if slope < 0)


def _worth(line: PortfolioLine) -> float:
    """Dollars for each dollar of price; what an adjusted contract delivers is taken for what is usual."""
    return float(line.quantity) * (line.instrument.multiplier or STANDARD_MULTIPLIER)


def _payoff(line: PortfolioLine, price: float) -> float:
    strike = line.instrument.strike or 0.0
    match line.instrument.option_type:
        case "call":
            return _worth(line) * max(price - strike, 0.0)
        case "put":
            return _worth(line) * max(strike - price, 0.0)
        case None:
            return _worth(line) * price
