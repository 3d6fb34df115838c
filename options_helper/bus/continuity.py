"""How the batches that arrive go on from one another: what is new, what came twice, and how many events are missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from options_helper.bus.batch import Head

# In place of the number of a batch that is not known here: one of another feed of the same stream, which counts the
# same events and numbers otherwise, or one that never came. What comes next goes on by its events.
UNNUMBERED: Final = -1


class Begun(NamedTuple):
    """How far a stream was published once somebody followed it: the owner's term, and its events so far."""

    epoch: int
    events: int


class Verdict(StrEnum):
    """What a batch is to somebody who follows a stream."""

    FIRST = "first"  # what came before it is not counted: nobody was here, for all that is known
    NEXT = "next"
    HOLE = "hole"  # of the same owner, but batches are missing before it
    NEW_OWNER = "new owner"  # of another epoch, whether or not something is missing before it
    DUPLICATE = "duplicate"  # came before, or too late: it was counted as missed
    OLD = "old"  # of an owner that has been followed by another


@dataclass(frozen=True, slots=True)
class Arrival:
    """What to do about one batch: its records are used where `is_new`."""

    verdict: Verdict
    missed: int | None = 0  # events between the last batch and this one; None: nobody can count them
    known: int = 0  # of its events the first so many came before, over another feed

    @property
    def is_broken(self) -> bool:
        """Whether what is used now does not go on from what was used before."""
        return self.verdict in (Verdict.HOLE, Verdict.NEW_OWNER)

    @property
    def is_new(self) -> bool:
        """Whether its events are to be used, and were not yet."""
        return self.verdict not in (Verdict.DUPLICATE, Verdict.OLD)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a stream was followed; what arrived and what is missing, in events.

    Holds at each moment, for whoever began with the first batch: received = delivered + missed. Whoever knows how far
    the stream was published when it began counts from there, also what was missed before the first batch.
    """

    last: Head | None = None
    begun: Begun | None = None
    delivered: int = 0
    missed: int = 0
    lost_count: int = 0  # how often nobody could count what is missing

    @property
    def received(self) -> int:
        """Events that the owner published since this was begun, as far as is known here."""
        return self.delivered + self.missed

    @property
    def _known(self) -> Begun | None:
        """How far the stream is known to have been published; None: nobody said, and nothing has come."""
        return self.begun if self.last is None else Begun(self.last.epoch, self.last.events_until)

    def begin(self, at: Begun) -> tuple[Position, Arrival]:
        """The position where a connection follows the stream, which had been published so far.

        What of it has not come never will: it is missed, also where nothing more is published for a night.
        """
        known = self._known
        if known is None:
            return replace(self, begun=at), Arrival(Verdict.FIRST)
        if at <= known:
            return self, Arrival(Verdict.NEXT)
        missed = at.events - known.events
        counted = missed if missed >= 0 else None
        arrival = Arrival(Verdict.HOLE if at.epoch == known.epoch else Verdict.NEW_OWNER, counted)
        return self._after(arrival, Head(at.epoch, UNNUMBERED, at.events, 0)), arrival

    def is_behind(self, epoch: int, events: int) -> bool:
        """Whether more has been published than has come, by those two."""
        known = self._known
        return known is not None and (epoch, events) > known

    def on_another_feed(self) -> Position:
        """The same, where what comes next is of another feed: it goes on by its events."""
        last = self.last
        return self if last is None else replace(self, last=last._replace(number=UNNUMBERED))

    def take(self, head: Head) -> tuple[Position, Arrival]:
        """The position after this batch, and what it is."""
        arrival = self._judge(head)
        return (self._after(arrival, head) if arrival.is_new else self), arrival

    def _after(self, arrival: Arrival, head: Head) -> Position:
        return replace(
            self,
            last=head,
            delivered=self.delivered + head.events - arrival.known,
            missed=self.missed + (arrival.missed or 0),
            lost_count=self.lost_count + (arrival.missed is None),
        )

    def _judge(self, head: Head) -> Arrival:
        last = self.last
        if last is None:
            return _first(head, self.begun)
        if head.epoch < last.epoch:
            return Arrival(Verdict.OLD)
        missed = head.events_before - last.events_until
        if head.epoch > last.epoch:
            # A bus that was emptied counts from the beginning again: how many there were before, nobody knows.
            return Arrival(Verdict.NEW_OWNER, missed if missed >= 0 else None)
        return _by_events(head, missed) if last.number == UNNUMBERED else _by_number(head, last, missed)


def _first(head: Head, begun: Begun | None) -> Arrival:
    """What the first batch is; one from before it was begun was on its way then."""
    if begun is None or head.epoch < begun.epoch:
        return Arrival(Verdict.FIRST)
    missed = head.events_before - begun.events
    if head.epoch > begun.epoch and missed:
        return Arrival(Verdict.NEW_OWNER, missed if missed > 0 else None)
    return Arrival(Verdict.HOLE, missed) if missed > 0 else Arrival(Verdict.FIRST)


def _by_number(head: Head, last: Head, missed: int) -> Arrival:
    """What a batch of the same owner and feed is."""
    if head.number <= last.number:
        return Arrival(Verdict.DUPLICATE)
    if head.number == last.number + 1 and missed == 0:
        return Arrival(Verdict.NEXT)
    return Arrival(Verdict.HOLE, max(0, missed))


def _by_events(head: Head, missed: int) -> Arrival:
    """What the first batch behind one without a number is, which may begin before that one ended."""
    # One without events too: what it announces was told by the feed before, which has come further.
    if missed < 0 and head.events + missed <= 0:
        return Arrival(Verdict.DUPLICATE)
    return Arrival(Verdict.HOLE, missed) if missed > 0 else Arrival(Verdict.NEXT, known=-missed)
