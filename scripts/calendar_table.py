"""Write the table of trading days from exchange_calendars; a test compares them day by day."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from datetime import date, time, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

NEW_YORK: Final = ZoneInfo("America/New_York")
NEW_YORK_YEARS: Final = range(2000, 2050)
# Those of which anything is recorded, as far as the calendar knows.
INDIAN_YEARS: Final = range(2016, 2027)

HEAD: Final = '''"""The trading days of some years, none to be computed; `scripts/calendar_table.py` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# The version of exchange_calendars whose days they are.
WRITTEN_FROM: Final = "{version}"

# New York, by year, each day as month and day: weekdays without trading, and days that end at 13:00.
NEW_YORK_YEARS: Final[Mapping[int, tuple[str, str]]] = {{
{new_york}
}}

# Bombay: weekdays without trading.
INDIAN_YEARS: Final[Mapping[int, str]] = {{
{india}
}}
'''


def main(target: str) -> None:
    """Write the module to `target`."""
    # What it does with pandas is for its authors to change.
    warnings.simplefilter("ignore", DeprecationWarning)
    import exchange_calendars

    table = HEAD.format(
        version=version("exchange_calendars"),
        new_york="\n".join(_new_york(exchange_calendars)),
        india="\n".join(_india(exchange_calendars)),
    )
    Path(target).write_text(table, encoding="utf-8")


def _new_york(package: Any) -> Iterable[str]:
    first, last = NEW_YORK_YEARS[0], NEW_YORK_YEARS[-1]
    calendar = package.exchange_calendar_xnys.XNYSExchangeCalendar
    schedule = calendar(start=f"{first}-01-01", end=f"{last}-12-31").schedule
    opens = [moment.to_pydatetime() for moment in schedule["open"].dt.tz_convert(NEW_YORK)]
    closes = [moment.to_pydatetime() for moment in schedule["close"].dt.tz_convert(NEW_YORK)]
    if any(opened.time() != time(9, 30) or opened.weekday() > 4 for opened in opens):
        raise SystemExit("a day begins at another time, or trades at a weekend: the table cannot say so")
    if any(closed.time() not in {time(13), time(16)} for closed in closes):
        raise SystemExit("a day ends neither at 16:00 nor at 13:00: the table cannot say so")
    trading = {opened.date() for opened in opens}
    early = {closed.date() for closed in closes if closed.time() == time(13)}
    for year in NEW_YORK_YEARS:
        yield f'    {year}: ("{_words(year, _weekdays(year) - trading)}", "{_words(year, early)}"),'


def _india(package: Any) -> Iterable[str]:
    calendar = package.exchange_calendar_xbom.XBOMExchangeCalendar
    first, last = date(INDIAN_YEARS[0], 1, 1), date(INDIAN_YEARS[-1], 12, 31)
    if calendar.bound_max().date() < last:
        raise SystemExit(f"the calendar of India ends on {calendar.bound_max().date()}")
    trading = {moment.date() for moment in calendar(start=first, end=last).sessions}
    if any(day.weekday() > 4 for day in trading):
        raise SystemExit("a day of India's is at a weekend: the table cannot say so")
    for year in INDIAN_YEARS:
        yield f'    {year}: "{_words(year, _weekdays(year) - trading)}",'


def _weekdays(year: int) -> set[date]:
    days = {date(year, 1, 1) + timedelta(days=count) for count in range(366)}
    return {day for day in days if day.year == year and day.weekday() <= 4}


def _words(year: int, days: Iterable[date]) -> str:
    return " ".join(f"{day:%m%d}" for day in sorted(days) if day.year == year)


if __name__ == "__main__":
    main(sys.argv[1])
