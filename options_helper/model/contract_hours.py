"""When a contract is traded, and when it ends: an expiry is a day, and what is worth something ends at an instant.

Symbols are a contract's in any spelling, or what it is written on; the root decides. Instants are New York's. What a
market told of its sessions (`told`) wins over the calendar.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

from options_helper.model.contract_symbols import INDEX_ROOTS, root_of, underlying_of_root
from options_helper.model.market_hours import (
    EXTRA_OPTION_TIME,
    LATE_OPTION_ROOTS,
    NOTHING_TOLD,
    Session,
    ToldSessions,
    new_york_date,
    regular_session,
    session_before,
)

# Settled by the opening prices of the day on which they expire, so traded for the last time on the session before.
# A root that is listed for both (`MRUT`) is left out: a price too many can be seen, one that is withheld cannot.
_SETTLED_AT_OPEN: Final = frozenset({"DJX", "NDX", "RUT", "SPX"})  # where they expire on a third Friday
_ALWAYS_SETTLED_AT_OPEN: Final = frozenset({"VIX", "VIXW"})
# No holiday keeps the exchange closed for longer, so a contract that expires later has not ended.
_LONGEST_CLOSURE: Final = timedelta(days=10)
_ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)

MINUTES_A_YEAR: Final = 365 * 24 * 60


def is_settled_at_open(
    symbol: str, expiry: date, told: ToldSessions = NOTHING_TOLD, *, named: bool | None = None
) -> bool:
    """Whether what it is worth is fixed by the opening prices of its last day ("AM settlement").

    What is `named`, in a file say, goes before what the root says.
    """
    if named is not None:
        return named
    root = root_of(symbol)
    return root in _ALWAYS_SETTLED_AT_OPEN or (root in _SETTLED_AT_OPEN and _is_standard_expiry(expiry, told))


def last_trading_day(
    symbol: str, expiry: date, told: ToldSessions = NOTHING_TOLD, *, at_open: bool | None = None
) -> date:
    """The last day on which it is traded: the expiry, or a session before it.

    Before it where the exchange is closed on the expiry, and where the contract is settled at the open.
    """
    settled = _settlement_day(expiry, told)
    before = (
        session_before(settled, told) if is_settled_at_open(symbol, expiry, told, named=at_open) else None
    )
    return before or settled


def contract_ended_at(
    symbol: str, expiry: date, told: ToldSessions = NOTHING_TOLD, *, at_open: bool | None = None
) -> datetime | None:
    """From when on it has no price any more; None where the calendar does not reach.

    That is the end of its trading on the last day (16:00, 16:15, on half days 13:00 or 13:15), or the opening by which
    it is settled. What expires on an index ends with the shares, also where its class trades longer.
    """
    if told:
        return _ended_at(symbol, expiry, told, at_open=at_open)
    return _usually_ended_at(symbol, expiry, at_open=at_open)


def _ended_at(symbol: str, expiry: date, told: ToldSessions, *, at_open: bool | None) -> datetime | None:
    settled = _settlement_day(expiry, told)
    session = regular_session(settled, told)
    if session is None:
        return None
    if is_settled_at_open(symbol, expiry, told, named=at_open):
        return session.opens
    return session.closes if _is_on_index(symbol) else option_trading_ends_at(symbol, settled, told)


def settles_at(
    symbol: str, expiry: date, told: ToldSessions = NOTHING_TOLD, *, at_open: bool | None = None
) -> datetime | None:
    """The instant by whose price its value is fixed; None where the calendar does not reach.

    16:00 on the last day (13:00 on half days), also of a class that is traded for a quarter of an hour longer, or the
    opening by which it is settled.
    """
    if told:
        return _settles_at(symbol, expiry, told, at_open=at_open)
    return _usually_settles_at(symbol, expiry, at_open=at_open)


def _settles_at(symbol: str, expiry: date, told: ToldSessions, *, at_open: bool | None) -> datetime | None:
    session = regular_session(_settlement_day(expiry, told), told)
    if session is None:
        return None
    return session.opens if is_settled_at_open(symbol, expiry, told, named=at_open) else session.closes


# Both are asked of each contract several times at each refresh. By the calendar alone the answer never changes; where a
# market told of other sessions, it may.
@lru_cache(maxsize=4_096)
def _usually_ended_at(symbol: str, expiry: date, *, at_open: bool | None) -> datetime | None:
    return _ended_at(symbol, expiry, NOTHING_TOLD, at_open=at_open)


@lru_cache(maxsize=4_096)
def _usually_settles_at(symbol: str, expiry: date, *, at_open: bool | None) -> datetime | None:
    return _settles_at(symbol, expiry, NOTHING_TOLD, at_open=at_open)


def has_ended(
    symbol: str,
    expiry: date,
    at: datetime,
    told: ToldSessions = NOTHING_TOLD,
    *,
    at_open: bool | None = None,
) -> bool:
    """Whether it has no price any more at `at`: it is expired, or settled."""
    since = ended_since(symbol, expiry, new_york_date(at), told, at_open=at_open)
    return since is not None and at >= since


def ended_since(
    symbol: str,
    expiry: date,
    today: date,
    told: ToldSessions = NOTHING_TOLD,
    *,
    at_open: bool | None = None,
) -> datetime | None:
    """Of a New York day, from when on it has no price any more; the beginning of time for what expired before it.

    None: not on that day.
    """
    if expiry < today:
        return _ALWAYS
    if expiry - today > _LONGEST_CLOSURE:
        return None  # without the calendar of its year, which takes its time to make
    return contract_ended_at(symbol, expiry, told, at_open=at_open)


def option_trading_ends_at(symbol: str, day: date, told: ToldSessions = NOTHING_TOLD) -> datetime | None:
    """When the trading of a class ends on a day: with the shares or a quarter of an hour later; None: it has none."""
    session = regular_session(day, told)
    if session is None:
        return None
    is_late = underlying_of_root(root_of(symbol)) in LATE_OPTION_ROOTS
    return session.closes + EXTRA_OPTION_TIME if is_late else session.closes


def latest_session(at: datetime, told: ToldSessions = NOTHING_TOLD) -> Session | None:
    """The newest session that has begun at `at`; None where the calendar does not reach."""
    day = new_york_date(at)
    today = regular_session(day, told)
    if today is not None and today.opens <= at:
        return today
    before = session_before(day, told)
    return None if before is None else regular_session(before, told)


def _is_on_index(symbol: str) -> bool:
    return underlying_of_root(root_of(symbol)) in INDEX_ROOTS.values()


def _settlement_day(expiry: date, told: ToldSessions) -> date:
    """The expiry, or the session before it where the exchange is closed then."""
    return expiry if regular_session(expiry, told) is not None else session_before(expiry, told) or expiry


def _is_standard_expiry(expiry: date, told: ToldSessions) -> bool:
    first = expiry.replace(day=1)
    third_friday = first + timedelta(days=(4 - first.weekday()) % 7 + 14)
    return expiry in (third_friday, _settlement_day(third_friday, told))
