"""Where Alpaca says otherwise than our calendar, Alpaca is believed, unless what it says cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, cast

import pytest

from options_helper.data.rest.calendar_watch import ask_told_sessions
from options_helper.data.rest.client import AlpacaRest
from options_helper.errors import RestError
from options_helper.model.market_hours import (
    NEW_YORK,
    Session,
    ToldSessions,
    in_regular_hours,
    regular_session,
)
from options_helper.model.told_sessions import read_calendar, read_clock

FRIDAY = date(2026, 11, 20)
MONDAY = date(2026, 11, 23)
HALF_DAY = date(2026, 11, 27)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def row(day: date, opens: str = "09:30", closes: str = "16:00") -> dict[str, str]:
    return {"date": day.isoformat(), "open": opens, "close": closes, "session_open": "0400"}


def calendar(first: date = date(2026, 11, 10), last: date = date(2026, 12, 31)) -> dict[date, dict[str, str]]:
    """What Alpaca says when it agrees with ours."""
    days = (first + timedelta(days=count) for count in range((last - first).days + 1))
    sessions = {day: session for day in days if (session := regular_session(day)) is not None}
    return {
        day: row(day, f"{session.opens:%H:%M}", f"{session.closes:%H:%M}")
        for day, session in sessions.items()
    }


def told_by(rows: Mapping[date, dict[str, Any]]) -> ToldSessions:
    return read_calendar(list(rows.values()))


def clock(now: str, *, is_open: bool, next_open: str, next_close: str) -> dict[str, Any]:
    said = {"timestamp": now, "next_open": next_open, "next_close": next_close}
    return {"is_open": is_open, **{name: at(text).isoformat() for name, text in said.items()}}


def test_a_calendar_that_agrees_tells_nothing():
    assert told_by(calendar()) == {}


def test_a_day_that_alpaca_leaves_out_is_closed():
    """A day of mourning."""
    rows = calendar()
    del rows[FRIDAY]

    assert told_by(rows) == {FRIDAY: None}


def test_another_close_another_open_and_a_day_more_are_believed():
    rows = calendar() | {
        FRIDAY: row(FRIDAY, closes="13:00"),
        MONDAY: row(MONDAY, opens="11:00"),
        HALF_DAY: row(HALF_DAY),  # a half day of ours that is none
        date(2026, 11, 21): row(date(2026, 11, 21)),
    }

    assert told_by(rows) == {
        FRIDAY: Session(at("2026-11-20 09:30"), at("2026-11-20 13:00")),
        date(2026, 11, 21): Session(at("2026-11-21 09:30"), at("2026-11-21 16:00")),
        MONDAY: Session(at("2026-11-23 11:00"), at("2026-11-23 16:00")),
        HALF_DAY: Session(at("2026-11-27 09:30"), at("2026-11-27 16:00")),
    }


@pytest.mark.parametrize(
    "odd", [{"open": None}, {"close": "late"}, {"open": "16:00", "close": "09:30"}, {"open": 930}]
)
def test_hours_that_cannot_be_read_say_nothing_of_their_day(odd: dict[str, Any]):
    rows = calendar()
    rows[FRIDAY] = {**rows[FRIDAY], **odd}

    assert told_by(rows) == {}


def test_where_a_row_names_no_day_nothing_is_called_closed():
    """It may be the row of the day that seems to be missing."""
    rows: dict[date, dict[str, Any]] = dict(calendar())
    rows[FRIDAY] = {**rows[FRIDAY], "date": "Friday"}

    assert told_by(rows) == {}


@pytest.mark.parametrize(
    "rows",
    [[], [{"date": None}], [row(date(2026, 11, 10)), row(date(2026, 12, 31))]],
    ids=["empty", "no day", "weeks left out"],
)
def test_what_is_no_calendar_is_not_believed(rows: list[dict[str, Any]]):
    with pytest.raises(RestError, match="own calendar stands"):
        read_calendar(rows)


def test_days_beyond_the_answer_are_not_spoken_of():
    rows = calendar(date(2026, 11, 10), date(2026, 11, 19))

    assert told_by(rows) == {}


AGREEING = [
    clock("2026-11-20 12:00", is_open=True, next_open="2026-11-23 09:30", next_close="2026-11-20 16:00"),
    clock("2026-11-20 18:00", is_open=False, next_open="2026-11-23 09:30", next_close="2026-11-23 16:00"),
    clock("2026-11-21 12:00", is_open=False, next_open="2026-11-23 09:30", next_close="2026-11-23 16:00"),
    clock("2026-11-25 20:00", is_open=False, next_open="2026-11-27 09:30", next_close="2026-11-27 13:00"),
    # A moment early or late is no closing.
    clock(
        "2026-11-20 09:30:05", is_open=False, next_open="2026-11-20 09:30:06", next_close="2026-11-20 16:00"
    ),
    clock("2026-11-20 15:59:30", is_open=False, next_open="2026-11-23 09:30", next_close="2026-11-23 16:00"),
    clock("2026-11-20 16:00:30", is_open=True, next_open="2026-11-23 09:30", next_close="2026-11-20 16:01"),
    {},
    {"is_open": "yes", "timestamp": at("2026-11-20 12:00").isoformat()},
    {"is_open": False, "timestamp": at("2026-11-20 12:00").isoformat(), "next_open": None},
    clock("2026-11-20 12:00", is_open=False, next_open="2026-11-19 09:30", next_close="2026-11-19 16:00"),
]


@pytest.mark.parametrize("said", AGREEING)
def test_a_clock_that_agrees_or_cannot_be_read_tells_nothing(said: dict[str, Any]):
    assert read_clock(said, {}) == {}


def test_a_closing_in_the_midst_of_a_day_is_told_by_the_clock_alone():
    """A storm: trading ended at some time before noon."""
    said = clock(
        "2026-11-20 12:00", is_open=False, next_open="2026-11-23 09:30", next_close="2026-11-23 16:00"
    )

    told = read_clock(said, {})

    assert told == {FRIDAY: Session(at("2026-11-20 09:30"), at("2026-11-20 12:00"))}
    assert not in_regular_hours(at("2026-11-20 12:00"), told)


def test_a_cut_session_does_not_grow_when_the_clock_is_asked_again():
    first = clock(
        "2026-11-20 12:00", is_open=False, next_open="2026-11-23 09:30", next_close="2026-11-23 16:00"
    )
    again = {**first, "timestamp": at("2026-11-20 14:00").isoformat()}

    assert read_clock(again, {}, read_clock(first, {})) == read_clock(first, {})


def test_days_before_the_next_opening_are_closed():
    said = clock(
        "2026-11-20 08:00", is_open=False, next_open="2026-11-24 09:30", next_close="2026-11-24 16:00"
    )

    assert read_clock(said, {}) == {FRIDAY: None, MONDAY: None}


def test_a_late_opening_and_an_early_close_are_told_by_the_clock():
    late = clock(
        "2026-11-20 08:00", is_open=False, next_open="2026-11-20 11:00", next_close="2026-11-20 16:00"
    )
    early = clock(
        "2026-11-20 12:00", is_open=True, next_open="2026-11-23 09:30", next_close="2026-11-20 14:00"
    )

    assert read_clock(late, {}) == {FRIDAY: Session(at("2026-11-20 11:00"), at("2026-11-20 16:00"))}
    assert read_clock(early, {}) == {FRIDAY: Session(at("2026-11-20 09:30"), at("2026-11-20 14:00"))}


def test_an_exchange_that_is_open_on_a_day_of_ours_that_is_none_is_open():
    said = clock(
        "2026-11-26 12:00", is_open=True, next_open="2026-11-27 09:30", next_close="2026-11-26 16:00"
    )

    told = read_clock(said, {})

    assert in_regular_hours(at("2026-11-26 12:00"), told)
    assert not in_regular_hours(at("2026-11-26 16:00"), told)


def test_calendar_and_clock_are_asked_together_and_the_clock_knows_better():
    class Scripted:
        asked: tuple[date, date] | None = None

        def calendar(self, first: date, last: date) -> list[dict[str, str]]:
            self.asked = first, last
            return [each for day, each in calendar(first, last).items() if day != MONDAY]

        def clock(self) -> dict[str, Any]:
            now = "2026-11-20 12:00"
            return clock(now, is_open=False, next_open="2026-11-24 09:30", next_close="2026-11-24 16:00")

    scripted = Scripted()

    told = ask_told_sessions(cast("AlpacaRest", scripted), at("2026-11-20 12:01"))

    assert told == {FRIDAY: Session(at("2026-11-20 09:30"), at("2026-11-20 12:00")), MONDAY: None}
    assert scripted.asked is not None
    assert scripted.asked[0] < FRIDAY - timedelta(days=5)
    assert scripted.asked[1] > FRIDAY + timedelta(days=40)
