"""The days that the table of trading days names, as dates."""

from __future__ import annotations

from datetime import date, timedelta


def days_of(year: int, words: str) -> frozenset[date]:
    """The days of a year that are written as month and day: `0101 1225`."""
    return frozenset(date(year, int(word[:2]), int(word[2:])) for word in words.split())


def weekdays_of(year: int) -> tuple[date, ...]:
    """Monday to Friday, in order."""
    first = date(year, 1, 1)
    days = (first + timedelta(days=count) for count in range((date(year, 12, 31) - first).days + 1))
    return tuple(day for day in days if day.weekday() <= 4)
