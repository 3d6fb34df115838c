"""Split a profit into what moved it: price, curvature, time, volatility, and what no Greek explains, line by line.

Readings are folded one after another into a `Strip`, which stays as large as the book and what was closed of it. A
step is split by the Greeks at its two ends, averaged, because those of the start alone explain less; and one long step
tells another story than many short ones, because what matters is the path. For a line held through a step (Δ = end
less start, dollars per share):

    delta = δ₀ ΔS   gamma = ½ (δ₁ - δ₀) ΔS   theta = ½ (θ₀ + θ₁) Δt   vega = ½ (ν₀ + ν₁) Δσ   rest = ΔV - these four

The parts add up to the change of the marks, whatever happens. A change that no Greek can speak of (over a gap, between
two kinds of marks, without a volatility, between two forwards) stands in a part of its own and never in vega.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from math import fsum
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from options_helper.analysis.marks import Flags, Integers, MarkSource, Numbers
from options_helper.analysis.risk.readings import Reading
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds, utc_datetime

LONGEST_STEP_SECONDS: Final = 300.0
_STEP_SECONDS: Final = 60.0
_STEP_OF_SPOT: Final = 0.0025
_SECONDS_PER_YEAR: Final = 31_536_000  # of 365 days, as theta is counted
# Told one by one; of more, the oldest two become one.
_GAPS_TOLD: Final = 20


class Part(StrEnum):
    """What a change of the marks is put down to."""

    DELTA = "delta"
    GAMMA = "gamma"
    THETA = "theta"
    VEGA = "vega"
    REST = "rest"  # of what was split: the Greeks do not explain it
    FILLS = "fills"  # what was traded, against the mark at the end of its step
    GAP = "gap"  # no mark in between, or a step too long to be split
    MARK_SOURCE = "changed mark source"
    NOT_A_MIDDLE = "mark that is no middle"  # so a widening spread is in it
    VOLATILITY = "volatility not known"  # lost or regained in the step, or another input that a Greek needs
    FORWARD = "changed forward"  # another source of the underlying's price, or dividends became known
    BEFORE = "before"  # of a day: what it had made before the strip began


_ROWS: Final[Mapping[Part, int]] = {
    part: row for row, part in enumerate(one for one in Part if one not in (Part.REST, Part.BEFORE))
}


class Gap(NamedTuple):
    """A stretch over which a change was not split."""

    since: datetime
    until: datetime
    dollars: float
    stretches: int = 1  # how many are told as one


class _Stretch(NamedTuple):
    """A gap and what came of it, by line."""

    since: datetime
    until: datetime
    dollars: Mapping[str, float]  # by the keys of those whose mark changed
    stretches: int = 1

    def of(self, keys: Collection[str] | None) -> Gap | None:
        """What it is to these lines; None: nothing."""
        chosen = [dollars for key, dollars in self.dollars.items() if keys is None or key in keys]
        return Gap(self.since, self.until, fsum(chosen), self.stretches) if chosen else None

    def with_next(self, other: _Stretch) -> _Stretch:
        """Both as one."""
        dollars = {
            key: self.dollars.get(key, 0.0) + other.dollars.get(key, 0.0)
            for key in {**self.dollars, **other.dollars}
        }
        return _Stretch(self.since, other.until, dollars, self.stretches + other.stretches)


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """What came of all readings so far. Arrays have one element for each line that ever was in a reading."""

    since: datetime
    until: datetime  # of the newest reading
    last: Reading  # each line when it last had a mark
    last_ns: Integers  # when that was, epoch nanoseconds
    begun_ns: Integers  # from when on the line is counted; 0: it is not yet
    is_interrupted: Flags  # the newest reading had no mark for it
    base: Numbers  # dollars; the profit is worth less what was paid less this
    amounts: Numbers  # (parts without the rest, n), dollars
    unpriced: Integers  # how often a quantity changed and nobody said at what price: that counts at the mark
    gaps: tuple[_Stretch, ...]

    @property
    def profit(self) -> Numbers:
        """Dollars by line since it is counted, at its newest mark, before fees; 0 where it is not."""
        return np.where(self.begun_ns > 0, self.last.worth - self.last.paid - self.base, 0.0)


@dataclass(frozen=True, slots=True)
class Change:
    """A profit and its parts, which add up to it."""

    since: datetime
    until: datetime
    profit: float
    parts: dict[Part, float]
    late: tuple[str, ...]  # keys that are counted from a later moment on, because they had no mark before
    without_mark: tuple[str, ...]  # keys without a mark now, so that what came since their last is missing
    not_counted: tuple[str, ...]  # keys that never had one
    without_value: tuple[str, ...]  # keys of which it is not known what a dollar of mark is worth
    unpriced: int  # changes of a quantity at a price that nobody said
    gaps: tuple[Gap, ...]  # over which one of these lines changed
    is_of_day: bool = (
        False  # the profit is that of the day: from the close of the session before, with `Part.BEFORE`
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """From one reading to the next, n lines; where it `is_taken` both have a mark."""

    start: Reading
    end: Reading
    years: Numbers
    is_taken: Flags
    is_gap: Flags

    @property
    def held(self) -> Numbers:
        """Dollars that the marks have moved what was held at the start; of what was closed without a mark, none."""
        moved = np.where(np.isnan(self.end.mark), 0.0, self.end.mark - self.start.mark)
        return np.where(self.is_taken & (self.start.slope != 0), self.start.slope * moved, 0.0)

    @property
    def is_unpriced(self) -> Flags:
        """Where the quantity changed though no fill did."""
        changed = self.is_taken & (self.start.slope != self.end.slope)
        is_same = (self.start.paid == self.end.paid) & (self.start.fills == self.end.fills)
        return np.asarray(changed & is_same)

    @property
    def unpriced(self) -> Numbers:
        """Dollars that such a change is taken to have cost: the mark, or the last one there was."""
        mark = np.where(np.isnan(self.end.mark), self.start.mark, self.end.mark)
        return np.where(self.is_unpriced, (self.end.slope - self.start.slope) * mark, 0.0)

    @property
    def profit(self) -> Numbers:
        """Dollars of all that happened in it."""
        spent = self.end.paid - self.start.paid + self.unpriced
        return np.where(self.is_taken, self.end.worth - self.start.worth - spent, 0.0)


def begin(reading: Reading) -> Strip:
    """A strip that starts at this reading, with nothing changed yet."""
    reading = reading.finite()
    known, at_ns = reading.is_known, datetime_nanoseconds(reading.at)
    return Strip(
        since=reading.at,
        until=reading.at,
        last=reading,
        last_ns=np.full(len(known), at_ns),
        begun_ns=np.where(known, at_ns, 0),
        is_interrupted=~known,
        base=np.where(known, reading.worth - reading.paid, 0.0),
        amounts=np.zeros((len(_ROWS), len(known))),
        unpriced=np.zeros(len(known), dtype=np.int64),
        gaps=(),
    )


def is_due(strip: Strip, reading: Reading) -> bool:
    """Whether it is time for another step: a minute has passed, a price has moved by 0.25 %, or lines changed.

    More readings do no harm and bring little.
    """
    if reading.keys != strip.last.keys:
        return True
    moved = np.abs(reading.spot - strip.last.spot) > _STEP_OF_SPOT * np.abs(strip.last.spot)
    return bool(moved.any()) or (reading.at - strip.until).total_seconds() >= _STEP_SECONDS


def fold(strip: Strip, reading: Reading, *, longest_step_seconds: float = LONGEST_STEP_SECONDS) -> Strip:
    """The strip after one more reading, which is not older than its newest.

    A line that is new was opened by the fills in `paid`; without any it is counted from now on. A line that is in no
    reading any more is closed: at the mark that it had last, unless a reading has it with quantity 0 and its fills.
    """
    strip, reading = _aligned(strip, reading.finite())
    known, begun, at_ns = reading.is_known, strip.begun_ns > 0, datetime_nanoseconds(reading.at)
    seconds = (at_ns - strip.last_ns) / NANOSECONDS
    step = _Step(
        start=strip.last,
        end=reading,
        years=seconds / _SECONDS_PER_YEAR,
        is_taken=known & begun,
        is_gap=strip.is_interrupted | (seconds > longest_step_seconds),
    )
    starts = known & ~begun
    return replace(
        strip,
        until=reading.at,
        last=reading.where(known, strip.last),
        last_ns=np.where(known, at_ns, strip.last_ns),
        begun_ns=np.where(starts, at_ns, strip.begun_ns),
        is_interrupted=~known,
        base=np.where(starts, reading.worth - reading.paid, strip.base + step.unpriced),
        amounts=strip.amounts + _split(step),
        unpriced=strip.unpriced + step.is_unpriced,
        gaps=_shortened((*strip.gaps, *_gaps_in(step, strip.last_ns))),
    )


def change_of(strip: Strip, keys: Collection[str] | None = None) -> Change:
    """The profit of all lines, or of these, with its parts."""
    chosen = np.array([keys is None or key in keys for key in strip.last.keys], dtype=bool)
    profit = fsum(strip.profit[chosen])
    said = {part: fsum(strip.amounts[row][chosen]) for part, row in _ROWS.items()}
    # What is left over, rounding of many steps included, so that the parts add up.
    rest = fsum((profit, *(-dollars for dollars in said.values())))
    held, begun = chosen & (strip.last.slope != 0), strip.begun_ns > 0
    without_value = np.isnan(strip.last.slope)

    def names(flags: Flags) -> tuple[str, ...]:
        return tuple(strip.last.keys[place] for place in np.flatnonzero(flags))

    return Change(
        since=strip.since,
        until=strip.until,
        profit=profit,
        parts={part: said.get(part, 0.0) for part in Part} | {Part.REST: rest},
        late=names(chosen & (strip.begun_ns > datetime_nanoseconds(strip.since))),
        without_mark=names(held & begun & strip.is_interrupted),
        not_counted=names(held & ~begun & ~without_value),
        without_value=names(held & ~begun & without_value),
        unpriced=int(strip.unpriced[chosen].sum()),
        gaps=tuple(gap for stretch in strip.gaps if (gap := stretch.of(keys)) is not None),
    )


def of_day(change: Change, profit: float) -> Change:
    """The profit of a whole day, dollars, of which `change` is what was looked at: the rest of it was before."""
    before = profit - change.profit
    return replace(change, profit=profit, parts=change.parts | {Part.BEFORE: before}, is_of_day=True)


def _split(step: _Step) -> Numbers:
    """(parts, n) dollars: what was held goes to the Greeks, or as a whole to the part that says why it does not."""
    start, end, held = step.start, step.end, step.held
    amounts = np.zeros((len(_ROWS), len(held)))
    traded = (start.slope != end.slope) | (start.paid != end.paid)
    amounts[_ROWS[Part.FILLS]] = np.where(traded, step.profit - held, 0.0)
    left = step.is_taken & (start.slope != 0)
    for part, applies in (
        # A share is its price: it has no Greeks to lose in a gap.
        (Part.GAP, step.is_gap & start.is_option),
        (Part.MARK_SOURCE, _differs(start.source, end.source)),
        (Part.DELTA, ~start.is_option),
        (Part.NOT_A_MIDDLE, _differs(end.source, np.full(len(held), MarkSource.MID, dtype=object))),
        (Part.VOLATILITY, ~(start.has_greeks & end.has_greeks)),
        (Part.FORWARD, _differs(start.forward, end.forward)),
    ):
        here = left & applies
        amounts[_ROWS[part]] = np.where(here, held, 0.0)
        left &= ~here
    move = end.spot - start.spot
    for part, dollars in (
        (Part.DELTA, start.delta * move),
        (Part.GAMMA, 0.5 * (end.delta - start.delta) * move),
        (Part.THETA, 0.5 * (start.theta + end.theta) * step.years),
        (Part.VEGA, 0.5 * (start.vega + end.vega) * (end.volatility - start.volatility)),
    ):
        amounts[_ROWS[part]] += np.where(left, start.slope * dollars, 0.0)
    return amounts


def _differs(one: NDArray[np.object_], other: NDArray[np.object_]) -> Flags:
    return np.asarray(one != other, dtype=np.bool_)


def _gaps_in(step: _Step, last_ns: Integers) -> Iterator[_Stretch]:
    """The gaps that end with this step, by the moment since when there was no mark."""
    dollars = np.where(step.is_gap & step.start.is_option, step.held, 0.0)
    for since_ns in sorted(set(last_ns[dollars != 0].tolist())):
        places = np.flatnonzero((dollars != 0) & (last_ns == since_ns)).tolist()
        of_keys = {step.end.keys[place]: float(dollars[place]) for place in places}
        yield _Stretch(utc_datetime(since_ns), step.end.at, of_keys)


def _shortened(gaps: tuple[_Stretch, ...]) -> tuple[_Stretch, ...]:
    while len(gaps) > _GAPS_TOLD:
        one, other, *later = gaps
        gaps = (one.with_next(other), *later)
    return gaps


def _aligned(strip: Strip, reading: Reading) -> tuple[Strip, Reading]:
    """Both with the same lines in the same places: those of the strip, then those that are new."""
    if strip.last.keys == reading.keys:
        return strip, reading
    old, new = frozenset(strip.last.keys), frozenset(reading.keys)
    # What is new was held in no quantity before, and what is gone is held in none now.
    added = reading.of_keys(key for key in reading.keys if key not in old)
    count = len(added.keys)
    was_opened = (added.paid != 0) | (added.fills != 0)
    nothing = np.zeros(count, dtype=np.int64)
    since_ns, until_ns = datetime_nanoseconds(strip.since), datetime_nanoseconds(strip.until)
    strip = replace(
        strip,
        last=strip.last.beside(added.flat(np.zeros(count), nothing)),
        last_ns=_longer(strip.last_ns, np.full(count, until_ns)),
        begun_ns=_longer(strip.begun_ns, np.where(was_opened, since_ns, 0)),
        is_interrupted=_longer(strip.is_interrupted, np.zeros(count, dtype=np.bool_)),
        base=_longer(strip.base, np.zeros(count)),
        amounts=np.concatenate([strip.amounts, np.zeros((len(_ROWS), count))], axis=1),
        unpriced=_longer(strip.unpriced, nothing),
    )
    gone = strip.last.of_keys(key for key in strip.last.keys if key not in new)
    return strip, reading.beside(gone.flat(gone.paid, gone.fills)).of_keys(strip.last.keys)


def _longer(column: NDArray[Any], more: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([column, more])
