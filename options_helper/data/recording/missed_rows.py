"""Which rows of an answer were missed in which hole of a recording, and how much of what was heard proves it. Pure.

The answer has margins, and holes lie close together; what it has beside a hole is no row of the hole. The times of a
hole are those of receipt, those of the answer the exchange's: the age that recorded rows had tells one from the other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf
from statistics import median
from typing import Any, Final, Generic, NamedTuple, TypeVar

from options_helper.data.intraday.backfill import Stretch
from options_helper.data.recording.gap_verdict import Side
from options_helper.data.recording.overlap import Key
from options_helper.model.instants import NANOSECONDS

E = TypeVar("E")

_MINUTE_NS: Final = 60 * NANOSECONDS
# How much ages may differ from the usual one, at least and at most: what came still later was reported late.
_DIFFERING_NS: Final = (NANOSECONDS, 10 * NANOSECONDS)
_OF_BARS_NS: Final = (5 * NANOSECONDS, 30 * NANOSECONDS)
_IN_TIME: Final = 0.98  # of the recorded rows
# Rows whose ages differ by more were not received by one clock.
_CLOCK_SET_NS: Final = 30 * NANOSECONDS


class Hole(NamedTuple):
    """Where nothing was heard: gaps of a stream that overlap. Epoch nanoseconds."""

    since_ns: int  # of receipt
    until_ns: int
    stretch: Stretch  # with its margins, of the exchange's time
    delay_ns: int  # how much older than its receipt an event of the feed is


class HeardRow(NamedTuple):
    """A recorded row."""

    received_ns: int
    ts_ns: int
    key: Key


class AnsweredRow(NamedTuple, Generic[E]):
    """A row of the answer."""

    ts_ns: int
    key: Key
    event: E


class Age(NamedTuple):
    """How much older than its receipt a row is, as a rule, at least and at most; nanoseconds."""

    usual_ns: int
    least_ns: int
    most_ns: int


@dataclass(frozen=True, slots=True)
class Missed(Generic[E]):
    """What an answer says of one hole."""

    window: Stretch  # of the exchange's time, in which rows are missing
    recorded: int  # rows within the hole's stretch …
    found: int  # … and those of them that are in the answer
    rows: Sequence[AnsweredRow[E]]  # that are missing
    beside: int  # rows of the answer, in the margins, that were not recorded either
    sides: frozenset[Side]  # where of it a recorded row is in the answer

    @property
    def is_proven(self) -> bool:
        """Whether the answer has every row that was recorded, and some on both sides."""
        return self.found == self.recorded and self.sides == set(Side)


@dataclass(frozen=True, slots=True)
class Comparison(Generic[E]):
    """What an answer says of each hole, and how often it has the rows that it is believed to have."""

    missed: Sequence[Missed[E]]
    told: Counter[Key]

    @property
    def events(self) -> list[E]:
        """Those that are missing, of all holes."""
        return [row.event for one in self.missed for row in one.rows]

    def staying(self) -> StayingRows:
        """Which rows of earlier answers stay beside those that are missing now."""
        return StayingRows([(one.window, one.is_proven) for one in self.missed], Counter(self.told))


def usual_age(channel: str, heard: Sequence[HeardRow]) -> Age | None:
    """The age of rows of a channel at their receipt, as they were heard; None where none was."""
    if not heard:
        return None
    ages = [row.received_ns - row.ts_ns for row in heard]
    usual_ns = round(median(ages))
    least_ns, most_ns = _OF_BARS_NS if channel == "bars" else _DIFFERING_NS
    differing = sorted(abs(age - usual_ns) for age in ages)
    give_ns = min(max(differing[ceil(_IN_TIME * (len(ages) - 1))], least_ns), most_ns)
    return Age(usual_ns, usual_ns - give_ns, usual_ns + give_ns)


def expected_age(channel: str, delay_ns: int) -> Age:
    """The same where no row was heard that would tell: a bar comes when its minute is over, all else at once."""
    give_ns, _ = _DIFFERING_NS
    if channel == "bars":
        usual_ns = delay_ns + _MINUTE_NS
        return Age(usual_ns, usual_ns - give_ns, usual_ns + _OF_BARS_NS[1])
    return Age(delay_ns, delay_ns - give_ns, delay_ns + give_ns)


def missed_rows(
    heard: Iterable[HeardRow],
    answered: Iterable[AnsweredRow[E]],
    withdrawn: Iterable[Key],
    *,
    holes: Sequence[Hole],
    piece: Stretch,
    age: Age,
    others: Sequence[Stretch] = (),
) -> Comparison[E]:
    """Match recorded and answered rows of one symbol one to one, and say for each hole what the answer lacks and adds.

    `piece` is what was asked for. What history has withdrawn proves that it was there, and is no row that is missing.
    `others` are holes that are asked about otherwise, by receipt: what lies in them is beside none.
    """
    heard, answered = sorted(heard, key=_time), sorted(answered, key=_time)
    told = Counter(row.key for row in answered)
    told.update(withdrawn)
    untold, unasked = Counter(told), Counter(row.key for row in heard)
    is_found = [_takes(untold, row.key) for row in heard]
    unheard = [row for row in answered if not _takes(unasked, row.key)]
    taken: set[int] = set()
    missed = []
    for hole in holes:
        near = _within(hole.stretch, heard)
        near_age = _age_near(hole, heard[near], age)
        window = _window(hole, piece, heard[near], near_age or age, is_whole=all(is_found[near]))
        places = [place for place in _places(window, unheard) if place not in taken]
        taken.update(places)
        found = [row for row, is_told in zip(heard[near], is_found[near], strict=True) if is_told]
        # By two clocks nobody knows which rows would have been received in the hole.
        proving = found if near_age is not None else []
        sides = frozenset(side for row in proving if (side := _side(hole, row)) is not None)
        rows = [unheard[place] for place in places]
        missed.append(Missed(window, near.stop - near.start, len(found), rows, 0, sides))
    for place in set(range(len(unheard))) - taken:
        told[unheard[place].key] -= 1
    of_others = {
        place
        for since_ns, until_ns in others
        for place in _places(Stretch(since_ns - age.most_ns, until_ns - age.least_ns + 1), unheard)
    }
    told_of = taken | of_others
    beside = [sum(place not in told_of for place in _places(hole.stretch, unheard)) for hole in holes]
    return Comparison([replace(one, beside=count) for one, count in zip(missed, beside, strict=True)], told)


class StayingRows:
    """Asked of each row that an earlier answer brought, in their order: a row stays as often as it is not told again.

    What lies in no hole stays; in one that is proven nothing does, for the new answer has all of it.
    """

    def __init__(self, windows: Sequence[tuple[Stretch, bool]], told: Counter[Key]) -> None:
        self._windows = windows
        self._told = told

    def keeps(self, ts_ns: int, key: Key) -> bool:
        """Whether this row stays."""
        proven = [is_proven for window, is_proven in self._windows if window.holds(ts_ns)]
        return not proven or (not any(proven) and not _takes(self._told, key))


def _takes(counter: Counter[Key], key: Key) -> bool:
    if counter[key] <= 0:
        return False
    counter[key] -= 1
    return True


def _time(row: HeardRow | AnsweredRow[Any]) -> int:
    return row.ts_ns


def _within(stretch: Stretch, rows: Sequence[HeardRow | AnsweredRow[Any]]) -> slice:
    """Where in rows that are in order those of a stretch are."""
    first, end = (bisect_left(rows, at_ns, key=_time) for at_ns in stretch)
    return slice(first, max(first, end))


def _places(stretch: Stretch, rows: Sequence[AnsweredRow[Any]]) -> range:
    found = _within(stretch, rows)
    return range(found.start, found.stop)


def _side(hole: Hole, row: HeardRow) -> Side | None:
    if row.received_ns <= hole.since_ns:
        return Side.BEFORE
    return Side.AFTER if row.received_ns >= hole.until_ns else None


def _age_near(hole: Hole, near: Sequence[HeardRow], age: Age) -> Age | None:
    """The age of rows about a hole: the usual one, or their own where the clock was another then.

    None where it was set between those before the hole and those after it.
    """
    ages = {side: [row.received_ns - row.ts_ns for row in near if _side(hole, row) is side] for side in Side}
    of_sides = [median(some) for some in ages.values() if some]
    apart_ns = max(_CLOCK_SET_NS, age.most_ns - age.usual_ns)
    if len(of_sides) == len(Side) and abs(of_sides[0] - of_sides[1]) > apart_ns:
        return None
    moved_ns = round(median(of_sides)) - age.usual_ns if of_sides else 0
    return Age(*(at_ns + moved_ns for at_ns in age)) if abs(moved_ns) > apart_ns else age


def _window(hole: Hole, piece: Stretch, near: Sequence[HeardRow], age: Age, *, is_whole: bool) -> Stretch:
    """The exchange's times whose rows would have been received in a hole, by what was heard around it.

    At the usual age they are missing; somewhat before and after as far as no row of the symbol was heard that came in
    time. Of an answer that lacks rows, nothing is believed but what lies strictly between those that were heard: what
    differs from a row that was heard would be counted twice.
    """
    since_ns, until_ns = hole.since_ns - age.most_ns, hole.until_ns - age.least_ns
    if is_whole:
        timely = [row for row in near if age.least_ns <= row.received_ns - row.ts_ns <= age.most_ns]
        last_ns = max((row.ts_ns for row in timely if row.received_ns <= hole.since_ns), default=-inf)
        first_ns = min((row.ts_ns for row in timely if row.received_ns >= hole.until_ns), default=inf)
        begins = max(since_ns, min(last_ns, hole.since_ns - age.usual_ns))
        ends = min(until_ns, max(first_ns, hole.until_ns - age.usual_ns))
    else:
        last_ns = max((row.ts_ns for row in near if row.received_ns <= hole.since_ns), default=-inf)
        first_ns = min((row.ts_ns for row in near if row.received_ns > hole.since_ns), default=inf)
        begins, ends = max(since_ns, last_ns + 1), min(until_ns, first_ns - 1)
    begins = max(begins, hole.stretch.since_ns, piece.since_ns)
    # Both ends belong to it: of events of one nanosecond, the connection may have brought a part.
    return Stretch(int(begins), int(min(ends + 1, hole.stretch.until_ns, piece.until_ns)))
