"""What the shares of a made-up market pay and when: invented, as all of it, and the same whenever one asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds
from options_helper.model.market_hours import NEW_YORK
from options_helper.simulator.market.conditions import NO_CONDITIONS, Conditions

Row = dict[str, Any]

_SATURDAY: Final = 5
_SPECIAL_PART: Final = Decimal("0.03")
_SPECIAL_AFTER: Final = timedelta(days=14)
_SPLIT_AFTER: Final = timedelta(days=20)


@dataclass(frozen=True, slots=True)
class _Schedule:
    """Four times a year, about that day of the month, so much of a share's price."""

    first_month: int
    day: int
    part: Decimal


_USUAL: Final = _Schedule(3, 15, Decimal("0.0025"))
_KNOWN: Final[Mapping[str, _Schedule]] = MappingProxyType(
    {
        "AAPL": _Schedule(2, 9, Decimal("0.001")),
        "MSFT": _Schedule(2, 23, Decimal("0.0018")),
        "NVDA": _Schedule(3, 4, Decimal("0.0001")),
        "SPY": _Schedule(3, 18, Decimal("0.003")),
    }
)
PAY_NOTHING: Final = frozenset({"AMD", "AMZN", "BRK.B", "NFLX", "TSLA"})


def ex_dates(symbol: str, first: date, last: date) -> Iterator[date]:
    """The days between these two, both included, from which on a share is bought without its dividend."""
    if symbol in PAY_NOTHING:
        return
    schedule = _KNOWN.get(symbol, _USUAL)
    for year in range(first.year - 1, last.year + 1):
        for quarter in range(4):
            day = _weekday(date(year, schedule.first_month + 3 * quarter, schedule.day))
            if first <= day <= last:
                yield day


def dividend_of(symbol: str, price: float) -> Decimal:
    """What it pays each time, in dollars per share, as long as its price is near this one."""
    part = _KNOWN.get(symbol, _USUAL).part
    return round(part * Decimal(str(price)), 4)


def dividends_until(symbol: str, price: float, first: date, last: date) -> list[tuple[int, float]]:
    """When it goes ex (midnight in New York, epoch nanoseconds) and what it pays, between these days."""
    amount = float(dividend_of(symbol, price))
    return [(_midnight_ns(day), amount) for day in ex_dates(symbol, first, last)]


def announced_actions(
    symbol: str, price: float, first: date, last: date, *, today: date, conditions: Conditions = NO_CONDITIONS
) -> Iterator[tuple[str, Row]]:
    """What Alpaca's corporate actions say of a share that is processed between these days, by kind."""
    if symbol != conditions.silent_dividend:
        for day in ex_dates(symbol, first, last):
            rate = None if symbol == conditions.unreadable_dividend else float(dividend_of(symbol, price))
            yield "cash_dividends", _dividend(symbol, day, rate)
    special, split = today + _SPECIAL_AFTER, today + _SPLIT_AFTER
    if symbol == conditions.special_dividend and first <= special <= last:
        rate = float(round(_SPECIAL_PART * Decimal(str(price)), 2))
        yield "cash_dividends", {**_dividend(symbol, special, rate, "special"), "special": True}
    if symbol == conditions.split and first <= split <= last:
        yield "forward_splits", _row(symbol, split, "split") | {"old_rate": 1, "new_rate": 4}


def _dividend(symbol: str, day: date, rate: float | None, name: str = "") -> Row:
    return _row(symbol, day, name) | {
        "rate": rate,
        "special": False,
        "foreign": False,
        "payable_date": (day + timedelta(days=14)).isoformat(),
    }


def _row(symbol: str, day: date, name: str) -> Row:
    return {
        "id": str(uuid5(NAMESPACE_OID, f"{symbol} {day} {name}".strip())),
        "symbol": symbol,
        "cusip": "",
        "process_date": day.isoformat(),
        "ex_date": day.isoformat(),
        "record_date": day.isoformat(),
    }


def _weekday(day: date) -> date:
    return day + timedelta(days=7 - day.weekday()) if day.weekday() >= _SATURDAY else day


def _midnight_ns(day: date) -> int:
    return epoch_nanoseconds(datetime.combine(day, time(), NEW_YORK)) or NANOSECONDS
