"""When a capture should be connected: from shortly before its feeds begin to move until shortly after they stop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Final

from options_helper.model.market_hours import (
    EXTRA_OPTION_TIME,
    NEW_YORK,
    NOTHING_TOLD,
    ToldSessions,
    expects_data,
    new_york_date,
    regular_session,
)
from options_helper.model.streams import StreamId

# The first quote of the day is wanted too, and connecting takes a moment.
LEAD: Final = timedelta(seconds=30)
# The last minute's bar comes after the minute, and its correction half a minute later.
TAIL: Final = timedelta(seconds=60)
_DAYS_AHEAD: Final = 15


@dataclass(frozen=True, slots=True)
class CaptureHours:
    """The hours of some feeds together; `symbols` are what is recorded, or what its contracts will be written on.

    `told` are days of which the market itself says otherwise than the calendar.
    """

    feeds: tuple[tuple[StreamId, str], ...]
    symbols: frozenset[str] = frozenset()
    told: ToldSessions = field(default_factory=lambda: NOTHING_TOLD)

    def connected(self, at: datetime) -> bool:
        """Whether a capture should be connected at that moment."""
        return any(self._open(at + shift) for shift in (LEAD, -TAIL, timedelta()))

    def next_change(self, at: datetime) -> datetime | None:
        """When that is next otherwise, in UTC; None when it never is, as with the test feed."""
        now = self.connected(at)
        return next((moment for moment in _turns(at, self.told) if self.connected(moment) is not now), None)

    def _open(self, at: datetime) -> bool:
        return any(expects_data(name, feed, at, self.symbols, self.told) for name, feed in self.feeds)


def _turns(at: datetime, told: ToldSessions) -> Iterator[datetime]:
    """The moments after `at` at which a capture may begin or end, in time."""
    day = new_york_date(at) - timedelta(days=1)
    for _ in range(_DAYS_AHEAD):
        night_ends = datetime.combine(day, time(4), NEW_YORK)
        night_begins = datetime.combine(day, time(20), NEW_YORK)
        session = regular_session(day, told)
        opens = [night_begins] if session is None else [session.opens, night_begins]
        closes = (
            [night_ends]
            if session is None
            else [night_ends, session.closes, session.closes + EXTRA_OPTION_TIME]
        )
        # Added in UTC: a sum in local time would be wrong where the clock is put forward or back.
        moments = [moment.astimezone(UTC) - LEAD for moment in opens]
        moments += [moment.astimezone(UTC) + TAIL for moment in closes]
        yield from (moment for moment in sorted(moments) if moment > at)
        day += timedelta(days=1)
