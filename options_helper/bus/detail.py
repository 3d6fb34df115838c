"""How much of an owner's prices a viewer has: all of them, or the slow feed, since it asked for that or is behind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

# Of a viewer's queue: from here on it is behind, and at that it is well again.
BEHIND_AT: Final = 0.75
WELL_AT: Final = 0.5
# So long it is well before it has all prices again: on the slow feed a queue is empty at once.
WELL_SECONDS: Final = 30.0


class Detail(StrEnum):
    """Which feed is followed."""

    FULL = "full"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Pace:
    """Whether a viewer keeps up; `now` is by a clock that nobody sets, `fill` the taken share of its queue."""

    asked: Detail = Detail.FULL
    is_behind: bool = False
    well_since: float | None = None  # since when a queue that was too full is not any more

    def judge(self, fill: float, now: float) -> Pace:
        """How it is now."""
        if fill >= BEHIND_AT:
            return replace(self, is_behind=True, well_since=None)
        if not self.is_behind or fill >= WELL_AT:
            return self
        since = now if self.well_since is None else self.well_since
        if now - since >= WELL_SECONDS:
            return Pace(self.asked)
        return replace(self, well_since=since)

    @property
    def wanted(self) -> Detail:
        """Which feed it is to follow."""
        return Detail.SLOW if self.is_behind else self.asked

    @property
    def reason(self) -> str | None:
        """Why it has the slow feed, in words; None where it has all."""
        if self.is_behind and self.well_since is None:
            return "it is behind"
        if self.is_behind:
            return "it was behind"
        return "as asked" if self.asked is Detail.SLOW else None


def slowness(pace: Pace, left_out: int, shown: int, newest_age: float | None) -> str | None:
    """One line on the slow feed; None where all prices are followed, and none was ever left out."""
    reason = pace.reason
    if reason is None:
        return (
            f"{left_out:,} prices were left out while this computer had the slow feed." if left_out else None
        )
    if not left_out + shown:
        return f"The slow feed is wanted ({reason}) and has not come: all prices are shown."
    every = _named(round((left_out + shown) / max(1, shown)))
    age = "" if newest_age is None else f", newest {max(0.0, newest_age):.1f} s old"
    return f"This computer shows {every} ({reason}): {left_out:,} missed{age}."


def _named(number: int) -> str:
    """Of how many prices it shows one, in words."""
    named = {1: "nearly every price", 2: "every second price", 3: "every third price"}
    return named.get(max(1, number), f"one price of {number:,}")
