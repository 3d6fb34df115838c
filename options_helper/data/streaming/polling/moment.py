"""The moment at which a course is asked or answered, as a value: what it knows of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple

from options_helper.model.instants import NANOSECONDS, utc_datetime
from options_helper.model.market_hours import new_york_date

# A clock that is set, or put right by what is known of it, moves by more between a question and its answer.
_MOVED_NS: Final = NANOSECONDS


class Moment(NamedTuple):
    """The market's time, and the seconds that nobody sets."""

    ns: int
    elapsed: float = 0.0  # also while this computer sleeps
    speed: float = 1.0  # the market's seconds in one of this computer's

    @property
    def now(self) -> datetime:
        """In UTC."""
        return utc_datetime(self.ns)

    @property
    def today(self) -> date:
        """In New York."""
        return new_york_date(self.now)

    def time_of(self, earlier: Moment) -> datetime:
        """When that was, by what the clock says now: it may have been set or put right since."""
        passed_ns = int((self.elapsed - earlier.elapsed) * self.speed * NANOSECONDS)
        moved_ns = self.ns - earlier.ns - passed_ns
        return utc_datetime(earlier.ns + (moved_ns if abs(moved_ns) > _MOVED_NS else 0))


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing is asked now; the next look is due in so many of the market's seconds."""

    again: float
