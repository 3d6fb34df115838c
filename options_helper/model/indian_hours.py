"""When NSE and BSE trade, shares and contracts alike; instants are India's.

The days are exchange_calendars' own of the BSE (XBOM), which both keep; it has none of the NSE. They come from a table
where that was written from the installed version: another one may know better. What it leaves out stands below, each
with where it was announced: a Muhurat session, an hour at Diwali, has another time each year.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from options_helper.model.calendar_package import calendar_package
from options_helper.model.calendar_table import INDIAN_YEARS, WRITTEN_FROM
from options_helper.model.tabled_days import days_of, weekdays_of

INDIA: Final = ZoneInfo("Asia/Kolkata")
OPENS: Final = time(9, 15)
CLOSES: Final = time(15, 30)

# Of that day's trading: from, to; None where there is none.
_OWN_DAYS: Final[Mapping[date, tuple[time, time] | None]] = MappingProxyType(
    {
        date(2021, 11, 4): (time(18, 15), time(19, 15)),  # Free Press Journal, 2021-11-04
        date(2022, 10, 24): (time(18, 15), time(19, 15)),  # Hindustan Times, 2022-10-24
        date(2023, 11, 12): (
            time(18, 15),
            time(19, 15),
        ),  # a Sunday; Angel One's notice "Muhurat Trading Session"
        date(2024, 1, 20): (
            OPENS,
            CLOSES,
        ),  # a Saturday; exchange_calendars names BSE's release, and 4.13 leaves it out
        date(2024, 11, 1): (time(18), time(19)),  # NDTV Profit, 2024-10-31
        date(2025, 2, 1): (OPENS, CLOSES),  # the budget, on a Saturday; as 2024-01-20
        date(2025, 10, 21): (time(13, 45), time(14, 45)),  # NSE's circular of 2025-09-22, by NDTV Profit
        date(2026, 1, 15): None,  # municipal elections; exchange_calendars, issue 544
        date(2026, 2, 1): (OPENS, CLOSES),  # the budget, on a Sunday; NSE's circular of 2026-01-16
    }
)


def is_indian_session(at: datetime) -> bool:
    """Whether NSE and BSE trade at that moment; False where nobody knows (see `indian_days_known_until`)."""
    local = at.astimezone(INDIA)
    hours = indian_session(local.date())
    return hours is not None and hours[0] <= local.time() < hours[1]


def indian_session(day: date) -> tuple[time, time] | None:
    """From when to when they trade on a day; None where they do not, or where the calendar does not reach."""
    if day in _OWN_DAYS:
        return _OWN_DAYS[day]
    return (OPENS, CLOSES) if day in _days(day.year) else None


def indian_days_known_until() -> date:
    """The last day of which the calendar knows anything; a newer exchange_calendars knows more."""
    return _bounds()[1]


@lru_cache(maxsize=16)
def _days(year: int) -> frozenset[date]:
    if year in INDIAN_YEARS and _installed_version() == WRITTEN_FROM:
        return frozenset(weekdays_of(year)) - days_of(year, INDIAN_YEARS[year])
    first, last = _bounds()
    if not first.year <= year <= last.year:
        return frozenset()
    calendar = _calendar()(start=max(first, date(year, 1, 1)), end=min(last, date(year, 12, 31)))
    return frozenset(moment.date() for moment in calendar.sessions)


@lru_cache(maxsize=1)
def _bounds() -> tuple[date, date]:
    return _calendar().bound_min().date(), _calendar().bound_max().date()


def _calendar() -> Any:
    return calendar_package().exchange_calendar_xbom.XBOMExchangeCalendar


def _installed_version() -> str:
    from importlib.metadata import version

    return version("exchange_calendars")
