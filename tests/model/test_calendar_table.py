"""The table of trading days is what exchange_calendars says, day by day; of other years that itself is asked."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from importlib.metadata import version
from typing import Any, Final

import pytest

from options_helper.model import indian_hours
from options_helper.model.calendar_package import calendar_package
from options_helper.model.calendar_table import INDIAN_YEARS, NEW_YORK_YEARS, WRITTEN_FROM
from options_helper.model.indian_hours import indian_session
from options_helper.model.market_hours import NEW_YORK, regular_session

RENEW: Final = "Write it anew: python scripts/calendar_table.py options_helper/model/calendar_table.py"
REGULAR = (indian_hours.OPENS, indian_hours.CLOSES)


def days(years: Mapping[int, Any]) -> Iterator[date]:
    day, last = date(min(years), 1, 1), date(max(years), 12, 31)
    while day <= last:
        yield day
        day += timedelta(days=1)


def test_new_york_s_days_are_those_of_the_calendar():
    first, last = min(NEW_YORK_YEARS), max(NEW_YORK_YEARS)
    package = calendar_package()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        schedule = package.exchange_calendar_xnys.XNYSExchangeCalendar(
            start=f"{first}-01-01", end=f"{last}-12-31"
        ).schedule
    instants = zip(schedule["open"].tolist(), schedule["close"].tolist(), strict=True)
    theirs = {opens.astimezone(NEW_YORK).date(): (opens, closes) for opens, closes in instants}

    ours = {day: (one.opens, one.closes) for day in days(NEW_YORK_YEARS) if (one := regular_session(day))}

    assert len(ours) > 250 * len(NEW_YORK_YEARS)
    assert ours == theirs, RENEW
    assert {one.tzinfo for pair in ours.values() for one in pair} == {NEW_YORK}


def test_indias_days_are_those_of_the_calendar():
    first, last = min(INDIAN_YEARS), max(INDIAN_YEARS)
    calendar = calendar_package().exchange_calendar_xbom.XBOMExchangeCalendar
    sessions = calendar(start=date(first, 1, 1), end=date(last, 12, 31)).sessions
    own = indian_hours._OWN_DAYS  # noqa: SLF001 - what it says apart from the calendar

    ours = {day: indian_session(day) for day in days(INDIAN_YEARS) if day not in own and indian_session(day)}

    assert len(ours) > 240 * len(INDIAN_YEARS)
    assert ours == {moment.date(): REGULAR for moment in sessions if moment.date() not in own}, RENEW


def test_the_table_has_every_year_between_its_first_and_last_and_names_its_source():
    for table in (NEW_YORK_YEARS, INDIAN_YEARS):
        assert list(table) == list(range(min(table), max(table) + 1))
    assert version("exchange_calendars") == WRITTEN_FROM, RENEW


@pytest.mark.parametrize(
    ("day", "closes"),
    [
        (date(1990, 12, 24), time(14)),  # no table says that a day ends at 14:00
        (date(1994, 4, 27), None),  # a day of mourning
        (date(2051, 7, 3), time(13)),
        (date(2051, 7, 4), None),
    ],
)
def test_of_a_year_beyond_the_table_the_calendar_is_asked(day: date, closes: time | None):
    session = regular_session(day)

    assert (session and session.closes.time()) == closes


def test_of_india_another_version_of_the_calendar_is_asked_itself(monkeypatch: pytest.MonkeyPatch):
    """It may know of a holiday that was announced since."""
    day = date(2026, 11, 24)
    monkeypatch.setattr(indian_hours, "INDIAN_YEARS", {2026: ""})
    monkeypatch.setattr(indian_hours, "_days", indian_hours._days.__wrapped__)  # noqa: SLF001 - which keeps years
    assert indian_session(day) == REGULAR  # of the table

    monkeypatch.setattr(indian_hours, "_installed_version", lambda: "5.0")

    assert indian_session(day) is None
