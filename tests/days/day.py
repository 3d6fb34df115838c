"""What one simulated day is: values, so that it can be written down, replayed and made shorter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from tests.days.clocks import NS

NEW_YORK = ZoneInfo("America/New_York")


def instant(text: str) -> int:
    """A New York time as epoch nanoseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * NS


def clock_time(true_ns: int) -> str:
    """As a person in New York would say it."""
    return f"{datetime.fromtimestamp(true_ns // NS, NEW_YORK):%H:%M:%S}"


@dataclass(frozen=True, slots=True)
class Session:
    """When shares are traded, in true time; written down, so that the product's calendar is not asked about itself."""

    opens_ns: int
    closes_ns: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """A stretch of the exchange's time that a run lies in."""

    title: str
    first: str  # New York time of the earliest possible start
    sessions: tuple[Session, ...]


@dataclass(frozen=True, order=True, slots=True)
class Trouble:
    """Something that goes wrong, `at` so many seconds after the day's start, and for how long."""

    at: float
    kind: str
    whose: str = ""  # a stream's name
    seconds: float = 0.0
    how: str = ""
    number: float = 0.0

    def __str__(self) -> str:
        parts = [self.kind, self.whose, self.how, f"{self.number:g}" if self.number else ""]
        lasts = f" for {self.seconds:g} s" if self.seconds else ""
        return " ".join(part for part in parts if part) + lasts


@dataclass(frozen=True, slots=True)
class Day:
    """One day: when, with what, and what goes wrong. `more` is what each subject chose beside its troubles."""

    seed: int
    title: str
    start_ns: int
    until_ns: int
    sessions: tuple[Session, ...]
    troubles: tuple[Trouble, ...] = ()
    more: Mapping[str, object] = field(default_factory=dict)

    def at(self, seconds: float) -> int:
        """So many seconds after its start, in true time."""
        return self.start_ns + int(seconds * NS)

    def with_troubles(self, troubles: tuple[Trouble, ...]) -> Day:
        """The same day with these troubles instead."""
        return replace(self, troubles=troubles)

    def is_open(self, true_ns: int, later_seconds: float = 0.0) -> bool:
        """Whether shares are traded, or what is traded so much longer."""
        late_ns = int(later_seconds * NS)
        return any(one.opens_ns <= true_ns < one.closes_ns + late_ns for one in self.sessions)

    def edges(self) -> list[int]:
        """When something opens or closes."""
        return [
            edge for one in self.sessions for edge in (one.opens_ns, one.closes_ns, one.closes_ns + 900 * NS)
        ]
