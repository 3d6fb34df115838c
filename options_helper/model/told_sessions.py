"""What Alpaca's calendar and clock say of the market's hours, and where that differs from our calendar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from options_helper.errors import RestError
from options_helper.model.contract_symbols import short_date
from options_helper.model.instants import epoch_nanoseconds, utc_datetime
from options_helper.model.market_hours import (
    NEW_YORK,
    NOTHING_TOLD,
    Session,
    ToldSessions,
    new_york_date,
    regular_session,
)
from options_helper.model.tolerant import field, word

# The longest closing since the war had four days. An answer that closes more is no calendar.
_CLOSINGS_AT_MOST: Final = 10
# At an opening and a closing two clocks may disagree for a moment.
_NEAR: Final = timedelta(minutes=2)
_SOON: Final = timedelta(days=10)

Row = Mapping[str, Any]


def read_calendar(rows: Sequence[Row]) -> dict[date, Session | None]:
    """The days between the first and the last of the answer that differ from our calendar; RestError where it is none.

    A day that the answer leaves out is closed, if all its rows can be read as days; unreadable hours say nothing.
    """
    said = {day: _session(day, row) for row in rows if (day := _day(row)) is not None}
    if not said:
        raise RestError(
            "Alpaca's calendar names no day. The program's own calendar stands; it is asked again."
        )
    told: dict[date, Session | None] = {}
    for day in _days(min(said), max(said) + timedelta(days=1)):
        ours = regular_session(day)
        if day in said:
            theirs = said[day]
            if theirs is not None and theirs != ours:
                told[day] = theirs
        elif ours is not None and len(said) == len(rows):
            told[day] = None
    if sum(1 for session in told.values() if session is None) > _CLOSINGS_AT_MOST:
        raise RestError(
            "Alpaca's calendar leaves out weeks of trading days, which is not believed. The program's own calendar "
            "stands; it is asked again."
        )
    return told


def _day(row: Row) -> date | None:
    try:
        return date.fromisoformat(word(field(row, "date")) or "")
    except ValueError:
        return None


def _session(day: date, row: Row) -> Session | None:
    """The hours of a row; None where they cannot be read or cannot be."""
    try:
        opens, closes = (time.fromisoformat(word(field(row, name)) or "") for name in ("open", "close"))
    except ValueError:
        return None
    if opens.tzinfo or closes.tzinfo or opens >= closes:
        return None
    return Session(datetime.combine(day, opens, NEW_YORK), datetime.combine(day, closes, NEW_YORK))


def read_clock(
    row: Row, told: ToldSessions, known: ToldSessions = NOTHING_TOLD
) -> dict[date, Session | None]:
    """`told`, put right by what the clock says of now: a closing in the midst of a day is in no calendar."""
    said = dict(told)
    at, next_open, next_close = (_instant(row, name) for name in ("timestamp", "next_open", "next_close"))
    is_open = field(row, "is_open")
    if at is None or not isinstance(is_open, bool):
        return said
    if is_open:
        if next_close is not None and at < next_close <= at + timedelta(days=1):
            _note_open(said, at, next_close)
    elif next_open is not None and at < next_open <= at + _SOON:
        _note_closed(said, at, next_open, known)
    return said


def _note_open(said: dict[date, Session | None], at: datetime, closes: datetime) -> None:
    today = new_york_date(at)
    ours = regular_session(today, said)
    if new_york_date(closes) != today or _is_near(at, ours):
        return
    if ours is None or not ours.opens <= at < ours.closes or ours.closes != closes:
        opens = at if ours is None or at < ours.opens else ours.opens
        said[today] = Session(opens.astimezone(NEW_YORK), closes.astimezone(NEW_YORK))


def _note_closed(
    said: dict[date, Session | None], at: datetime, opens: datetime, known: ToldSessions
) -> None:
    today, next_day = new_york_date(at), new_york_date(opens)
    for day in _days(today, next_day):
        ours = regular_session(day, said)
        if ours is None or ours.closes <= at or _is_near(at, ours):
            continue
        cut = known.get(day)
        if cut is not None and cut.opens == ours.opens and cut.closes <= at:
            said[day] = cut
        elif ours.opens < at:
            # When it closed is not known; from now on it is closed.
            said[day] = Session(ours.opens, at.astimezone(NEW_YORK))
        else:
            said[day] = None
    ours = regular_session(next_day, said)
    if ours is not None and ours.opens != opens and opens < ours.closes and not _is_near(at, ours):
        said[next_day] = Session(opens.astimezone(NEW_YORK), ours.closes)


def format_hours(session: Session | None) -> str:
    """The hours of a day for people: "09:30 to 13:00 ET", or "closed"."""
    return "closed" if session is None else f"{session.opens:%H:%M} to {session.closes:%H:%M} ET"


def format_told(told: ToldSessions) -> str:
    """The days that differ, in their order, for people: "26 Nov 26 closed, 27 Nov 26 09:30 to 13:00 ET"."""
    return ", ".join(f"{short_date(day)} {format_hours(session)}" for day, session in sorted(told.items()))


def _is_near(at: datetime, session: Session | None) -> bool:
    return session is not None and min(abs(at - session.opens), abs(at - session.closes)) < _NEAR


def _instant(row: Row, name: str) -> datetime | None:
    at_ns = epoch_nanoseconds(field(row, name))
    return None if at_ns is None else utc_datetime(at_ns)


def _days(first: date, end: date) -> Iterator[date]:
    while first < end:
        yield first
        first += timedelta(days=1)
