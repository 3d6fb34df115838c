"""A stretch without data, one value from the thread that notices it to every page and file that tells of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from options_helper.model.instants import NANOSECONDS, utc_datetime


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch in which a stream could not hear, or in which events or rows were lost.

    Epoch nanoseconds, on the clock of whoever noticed it: the market's in a snapshot, the computer's in a recording.
    """

    stream: str  # a `StreamId`, or its text where a file told of it
    since_ns: int
    until_ns: int | None  # None while it lasts
    reason: str
    lost: int | None = None  # events; None: nobody can count what was not heard
    symbols: tuple[str, ...] = ()  # only of these, where they are not all

    @property
    def since(self) -> datetime:
        """When it began, UTC."""
        return utc_datetime(self.since_ns)

    @property
    def until(self) -> datetime | None:
        """When it ended, UTC; None while it lasts."""
        return None if self.until_ns is None else utc_datetime(self.until_ns)

    def moved(self, by_ns: int) -> Gap:
        """The same on a clock that is ahead of its own by so many nanoseconds."""
        until_ns = None if self.until_ns is None else self.until_ns + by_ns
        return replace(self, since_ns=self.since_ns + by_ns, until_ns=until_ns)

    @property
    def in_order(self) -> Gap:
        """The same; where the clock was set back before it ended, it begins where it ends."""
        if self.until_ns is None or self.since_ns <= self.until_ns:
            return self
        return replace(self, since_ns=self.until_ns)

    @property
    def seconds(self) -> float | None:
        """How long it was; None while it lasts."""
        return None if self.until_ns is None else (self.until_ns - self.since_ns) / NANOSECONDS
