"""Is this feed expected to move now? Silence means trouble only while it should; ages and dates are New York's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from options_helper.analysis.osi import INDEX_ROOTS
from options_helper.data.alpaca_symbols import option_root
from options_helper.data.streaming.events import StreamName

NEW_YORK: Final = ZoneInfo("America/New_York")

_EXTRA_OPTION_TIME: Final = timedelta(minutes=15)
_NIGHT_BEGINS: Final = time(20)
_NIGHT_ENDS: Final = time(4)
_NIGHT_FEEDS: Final = {"overnight", "boats"}
_ALWAYS_OPEN_FEEDS: Final = {"test"}

# Options on these trade a quarter of an hour longer than the shares do, as brokers list them; the list changes.
# A name too many here would take a quiet quarter of an hour for a stall, so a doubtful one is left out.
# fmt: off
LATE_OPTION_ROOTS: Final = frozenset(INDEX_ROOTS) | {
    "AMJ", "DBA", "DBB", "DBC", "DBO", "DIA", "EEM", "EFA", "GAZ", "GLD", "IWM", "IWN", "IWO", "IWV", "JJC",
    "KBE", "KRE", "MDY", "MOO", "OEF", "OIL", "QQQ", "SLX", "SPY", "SVIX", "SVXY", "TLT", "UNG", "UUP",
    "UVIX", "UVXY", "VIXM", "VIXY", "VXX", "VXZ", "XHB", "XLB", "XLC", "XLE", "XLF", "XLI", "XLK", "XLP",
    "XLRE", "XLU", "XLV", "XLY", "XME", "XRT",
}
# fmt: on


@dataclass(frozen=True, slots=True)
class Session:
    """The regular hours of one trading day, in New York time."""

    opens: datetime
    closes: datetime


def market_open(stream: StreamName, feed: str, at: datetime, underlyings: Collection[str] = ()) -> bool:
    """Whether this feed is expected to move at `at`; for options it depends on what they are written on."""
    if feed in _ALWAYS_OPEN_FEEDS:
        return True
    if feed in _NIGHT_FEEDS:
        return _is_night(at)
    session = regular_session(new_york_date(at))
    if session is None:
        return False
    late = stream is StreamName.OPTIONS and any(
        option_root(name) in LATE_OPTION_ROOTS for name in underlyings
    )
    return session.opens <= at < session.closes + (_EXTRA_OPTION_TIME if late else timedelta())


def _is_night(at: datetime) -> bool:
    """Whether the night session runs that leads into a trading day: 20:00 to 4:00."""
    local = at.astimezone(NEW_YORK)
    if local.time() >= _NIGHT_BEGINS:
        return regular_session(local.date() + timedelta(days=1)) is not None
    return local.time() < _NIGHT_ENDS and regular_session(local.date()) is not None


def next_change(at: datetime) -> datetime:
    """When the regular session next opens or closes, in New York time."""
    day = new_york_date(at)
    while True:
        session = regular_session(day)
        if session is not None and at < session.opens:
            return session.opens
        if session is not None and at < session.closes:
            return session.closes
        day += timedelta(days=1)


def new_york_date(at: datetime) -> date:
    """The calendar date in New York, which days to expiry are counted from."""
    return at.astimezone(NEW_YORK).date()


def regular_session(day: date) -> Session | None:
    """The regular hours of a day, holidays and half days known; None when the exchange is closed."""
    return _sessions(day.year).get(day)


@lru_cache(maxsize=16)
def _sessions(year: int) -> Mapping[date, Session]:
    # About a quarter of a second for the first year, so it happens when it is needed and once.
    from exchange_calendars.exchange_calendar_xnys import XNYSExchangeCalendar

    schedule = XNYSExchangeCalendar(start=f"{year}-01-01", end=f"{year}-12-31").schedule
    opens = [moment.to_pydatetime() for moment in schedule["open"].dt.tz_convert(NEW_YORK)]
    closes = [moment.to_pydatetime() for moment in schedule["close"].dt.tz_convert(NEW_YORK)]
    return {opened.date(): Session(opened, closed) for opened, closed in zip(opens, closes, strict=True)}
