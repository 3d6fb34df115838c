"""How the batches that arrive go on from one another: what is new, what came twice, and how many events are missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from options_helper.bus.batch import Head

# The number of a batch of another feed of the same stream, which counts the same events and numbers otherwise.
ANOTHER_FEED: Final = -1


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

    def begin(self, at: Begun) -> Position:
        """The same, where the stream is followed and was published so far; as it is where more is known."""
        return self if self.last is not None or self.begun is not None else replace(self, begun=at)

    def is_behind(self, epoch: int, events: int) -> bool:
        """Whether more has been published than has come, by those two."""
        known = self.begun if self.last is None else Begun(self.last.epoch, self.last.events_until)
        return known is not None and (epoch, events) > known

    def on_another_feed(self) -> Position:
        """The same, where what comes next is of another feed: it goes on by its events."""
        last = self.last
        return self if last is None else replace(self, last=last._replace(number=ANOTHER_FEED))

    def take(self, head: Head) -> tuple[Position, Arrival]:
        """The position after this batch, and what it is."""
        arrival = self._judge(head)
        if not arrival.is_new:
            return self, arrival
        return (
            replace(
                self,
                last=head,
                delivered=self.delivered + head.events - arrival.known,
                missed=self.missed + (arrival.missed or 0),
                lost_count=self.lost_count + (arrival.missed is None),
            ),
            arrival,
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
        return _by_events(head, missed) if last.number == ANOTHER_FEED else _by_number(head, last, missed)


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
    """What the first batch of another feed is, which may begin before the last one ended."""
    # One without events too: what it announces was told by the feed before, which has come further.
    if missed < 0 and head.events + missed <= 0:
        return Arrival(Verdict.DUPLICATE)
    return Arrival(Verdict.HOLE, missed) if missed > 0 else Arrival(Verdict.NEXT, known=-missed)
