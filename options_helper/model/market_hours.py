"""Is this feed expected to move now? Silence means trouble only while it should; ages and dates are New York's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Final, assert_never
from zoneinfo import ZoneInfo

from options_helper.model.calendar_package import calendar_package
from options_helper.model.calendar_table import NEW_YORK_YEARS
from options_helper.model.contract_symbols import INDEX_ROOTS, root_of, short_date, underlying_of_root
from options_helper.model.indian_hours import is_indian_session
from options_helper.model.streams import Hours, StreamId
from options_helper.model.tabled_days import days_of, weekdays_of

NEW_YORK: Final = ZoneInfo("America/New_York")

EXTRA_OPTION_TIME: Final = timedelta(minutes=15)
_OPENS: Final = time(9, 30)
_CLOSES: Final = time(16)
_CLOSES_EARLY: Final = time(13)
_NIGHT_BEGINS: Final = time(20)
_NIGHT_ENDS: Final = time(4)
# The calendar counts nanoseconds in 64 bits, and these are the years that lie in them as a whole.
_KNOWN_YEARS: Final = range(1678, 2262)

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


# Days of which the market itself says otherwise than the calendar of this program: their hours, None where it is
# closed. A closing that no calendar can know (mourning, a storm) is known from there alone, so what is told wins.
ToldSessions = Mapping[date, Session | None]
NOTHING_TOLD: Final[ToldSessions] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class MarketDay:
    """The day by which something is judged: New York's, or that of the session which a simulator plays."""

    date: date
    plays: bool = False
    at: datetime | None = None  # the moment of that day at which it is judged; None: not known
    told: ToldSessions = field(default_factory=lambda: NOTHING_TOLD)

    @property
    def place(self) -> str:
        """Where it is that day."""
        return "the simulated market" if self.plays else "New York"

    @property
    def today(self) -> str:
        """The day for people, who call New York's their own: "today, 27 Nov 26"."""
        return f"today{f' in {self.place}' if self.plays else ''}, {short_date(self.date)}"


def expects_data(
    stream: StreamId,
    feed: str,
    at: datetime,
    symbols: Collection[str] = (),
    told: ToldSessions = NOTHING_TOLD,
) -> bool:
    """Whether this stream of that feed should be moving at `at`: the one answer for page, engine and recorder.

    The hours are the kind's, or the feed's where it has its own. For options they depend on `symbols`: contracts, or
    what contracts are written on, in any spelling. An adjusted contract (`SPY1…`) is traded as long as those of its
    class are. Nothing is expected in a year that the calendar does not know (before 1678 and after 2261). `told` wins
    over the calendar, here and below.
    """
    hours = stream.kind.hours_of(feed)
    if hours is Hours.ALWAYS:
        return True
    if at.year not in _KNOWN_YEARS:
        return False
    match hours:
        case Hours.NIGHT:
            return _is_night(at, told)
        case Hours.REGULAR:
            return in_regular_hours(at, told)
        case Hours.INDIA:
            return is_indian_session(at)
        case Hours.OPTIONS:
            return in_regular_hours(at, told) or (
                _in_extra_option_time(at, told) and any(map(_is_traded_late, symbols))
            )
        case _:
            assert_never(hours)


def _in_extra_option_time(at: datetime, told: ToldSessions) -> bool:
    session = regular_session(new_york_date(at), told)
    return session is not None and session.closes <= at < session.closes + EXTRA_OPTION_TIME


def _is_traded_late(symbol: str) -> bool:
    return underlying_of_root(root_of(symbol)) in LATE_OPTION_ROOTS


def in_regular_hours(at: datetime, told: ToldSessions = NOTHING_TOLD) -> bool:
    """Whether the exchange's regular session runs."""
    if at.year not in _KNOWN_YEARS:
        return False
    session = regular_session(new_york_date(at), told)
    return session is not None and session.opens <= at < session.closes


def _is_night(at: datetime, told: ToldSessions) -> bool:
    """Whether the night session runs that leads into a trading day: 20:00 to 4:00."""
    local = at.astimezone(NEW_YORK)
    if local.time() >= _NIGHT_BEGINS:
        return regular_session(local.date() + timedelta(days=1), told) is not None
    return local.time() < _NIGHT_ENDS and regular_session(local.date(), told) is not None


def next_change(at: datetime, told: ToldSessions = NOTHING_TOLD) -> datetime | None:
    """When the regular session next opens or closes, in New York time; None where the calendar does not reach."""
    day = new_york_date(at)
    while day.year in _KNOWN_YEARS:
        session = regular_session(day, told)
        if session is not None and at < session.opens:
            return session.opens
        if session is not None and at < session.closes:
            return session.closes
        day += timedelta(days=1)
    return None


def session_before(day: date, told: ToldSessions = NOTHING_TOLD) -> date | None:
    """The last trading day before a day; None where the calendar does not reach."""
    while day.year in _KNOWN_YEARS:
        day -= timedelta(days=1)
        if regular_session(day, told) is not None:
            return day
    return None


def next_session(day: date, told: ToldSessions = NOTHING_TOLD) -> date | None:
    """The first trading day after a day; None where the calendar does not reach."""
    while day.year in _KNOWN_YEARS:
        day += timedelta(days=1)
        if regular_session(day, told) is not None:
            return day
    return None


@lru_cache(maxsize=256)  # a snapshot's instant is asked for its day hundreds of times
def new_york_date(at: datetime) -> date:
    """The calendar date in New York, which days to expiry are counted from."""
    return at.astimezone(NEW_YORK).date()


def regular_session(day: date, told: ToldSessions = NOTHING_TOLD) -> Session | None:
    """The regular hours of a day, holidays and half days known, or as told; None when the exchange is closed.

    None also in a year that the calendar does not know: a market's time is what a server or a recording says, and an
    impossible one must not end who reads it.
    """
    if day in told:
        return told[day]
    return _sessions(day.year).get(day) if day.year in _KNOWN_YEARS else None


@lru_cache(maxsize=16)
def _sessions(year: int) -> Mapping[date, Session]:
    return _tabled_sessions(year) if year in NEW_YORK_YEARS else _computed_sessions(year)


def _tabled_sessions(year: int) -> Mapping[date, Session]:
    closed, early = (days_of(year, words) for words in NEW_YORK_YEARS[year])
    return {
        day: Session(
            datetime.combine(day, _OPENS, NEW_YORK),
            datetime.combine(day, _CLOSES_EARLY if day in early else _CLOSES, NEW_YORK),
        )
        for day in weekdays_of(year)
        if day not in closed
    }


def _computed_sessions(year: int) -> Mapping[date, Session]:
    # More than half a second for the first year, so it happens when it is needed and once.
    new_york = calendar_package().exchange_calendar_xnys.XNYSExchangeCalendar
    schedule = new_york(start=f"{year}-01-01", end=f"{year}-12-31").schedule
    opens = [moment.to_pydatetime() for moment in schedule["open"].dt.tz_convert(NEW_YORK)]
    closes = [moment.to_pydatetime() for moment in schedule["close"].dt.tz_convert(NEW_YORK)]
    return {opened.date(): Session(opened, closed) for opened, closed in zip(opens, closes, strict=True)}
