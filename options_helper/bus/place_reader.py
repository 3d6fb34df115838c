"""What the messages of a store are to a recording that goes on from its own place: new, known, or of a hole.

A consumer that was begun at the place numbers what it brings. Where that numbering jumps, messages died on the way, and
it has to be begun anew; where it does not and the batches' own numbers do, the store lacks what is between, and that is
a hole to be written down. A term of another feed than the recording's is passed by, and is one too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from options_helper.bus.batch import Batch, Head, decode, opened_feed
from options_helper.bus.continuity import Arrival, Position, Verdict
from options_helper.bus.legs import FIRST_LEG, SECOND_LEG
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.model.frames import Mark, Place
from options_helper.model.gaps import Gap
from options_helper.model.streams import StreamId
from options_helper.model.text import format_count

BEGINNING: Final = 0  # the epoch of a place that is before the first batch that is followed


class Item(NamedTuple):
    """A record, or nothing but the place that was reached and what is missing before it."""

    record: Record | None
    mark: Mark


@dataclass(slots=True)
class _Elsewhere:
    """What an owner of another feed published, in which nothing is of this recording."""

    feed: str
    events: int = 0
    first_ns: int | None = None
    last_ns: int = 0

    def take(self, batch: Batch) -> None:
        """A batch of it."""
        self.events += batch.head.events
        if frames := [one.received_ns for one in batch.records if one.kind is RecordKind.FRAME]:
            self.first_ns = self.first_ns or frames[0]
            self.last_ns = frames[-1]

    @property
    def listened_ns(self) -> int:
        """How long it is known to have listened."""
        return 0 if self.first_ns is None else max(0, self.last_ns - self.first_ns)


class PlaceReader:
    """Reads one stream from a place on; for the stream's thread, but the counts may be read by any.

    With a `feed` that of an owner of another is passed by: its term's first batch says which it has, or `say`.
    """

    def __init__(self, stream: StreamId, place: Place, feed: str | None = None) -> None:
        self._stream, self._feed = stream, feed
        self.place = place
        self._feeds: dict[int, str] = {}  # by term, as far as is known
        self._elsewhere: dict[int, _Elsewhere] = {}  # by term, behind the place
        self.missed = 0  # events that the store had no more
        self.rejected = (
            0  # events in messages that could not be read; one for a message whose events nobody knows
        )
        self.holes = 0
        self.unowned_ns = 0  # how long no owner listened, between one and the next
        self._nth = 0
        self._damaged = 0  # messages in a row that cannot be read, and why the last of them cannot
        self._damage: str | None = None
        # What a new owner sent before its first frame; it is handed over behind the gap, which lasts until then.
        self._opening: list[tuple[int, Batch]] = []
        self._connected = (BEGINNING, 0)

    def connected(self, epoch: int, since_ns: int) -> None:
        """The owner of that term says since when it has the stream, by its own clock."""
        self._connected = epoch, since_ns

    def say(self, epoch: int, feed: str) -> None:
        """The owner of that term says of which feed it is."""
        self._feeds[epoch] = feed

    def knows_feed(self, head: Head) -> bool:
        """Whether it is known of which feed that batch is."""
        return head.epoch in self._feeds

    def begin(self) -> None:
        """A consumer was begun anew, at the place."""
        self._nth = 0
        self._damaged, self._damage = 0, None
        self._opening, self._elsewhere = [], {}

    def take(self, sequence: int, nth: int, data: bytes) -> tuple[Item, ...] | None:
        """What is new in a message, the `nth` of its consumer; None: begin anew, for one before it has died."""
        if nth != self._nth + 1:
            return None
        batch = decode(data)
        if isinstance(batch, str):
            self._damaged, self._damage = self._damaged + 1, batch
        if isinstance(batch, str) or self._is_elsewhere(batch):
            self._nth = nth
            return ()
        if self._is_rest(batch.head):
            skipped, gap = self.place.taken, self._gap_of(batch, Arrival(Verdict.NEXT))
        else:
            arrival = self._judge(batch.head)
            if arrival.verdict is Verdict.HOLE and arrival.missed and nth > 1 and not self._damaged:
                return None
            if not arrival.is_new:
                self._nth = nth
                return ()
            # A term opens with batches without frames: the gap before it lasts until the first of those.
            if arrival.verdict is Verdict.NEW_OWNER and not _has_frame(batch):
                self._nth = nth
                self._opening.append((sequence, batch))
                return ()
            skipped, gap = 0, self._gap_of(batch, arrival)
        self._nth = nth
        self._damaged, self._damage = 0, None
        self._elsewhere = {}  # what is missing after this batch is none of it
        return tuple(self._items(sequence, batch, skipped, gap))

    def _is_elsewhere(self, batch: Batch) -> bool:
        """Whether it is of another feed than the recording's; that is noted, for the gap that it is."""
        epoch = batch.head.epoch
        if (opened := opened_feed(batch)) is not None:
            self.say(epoch, opened)
        feed = self._feeds.get(epoch)
        if self._feed is None or feed is None or feed == self._feed:
            return False
        if epoch > self.place.epoch:
            self._elsewhere.setdefault(epoch, _Elsewhere(feed)).take(batch)
        return True

    @property
    def complaint(self) -> str | None:
        """Why the last message was none; None where it was one."""
        return self._damage

    def _is_rest(self, head: Head) -> bool:
        place = self.place
        return not place.whole and (head.epoch, head.number) == (place.epoch, place.number)

    def _judge(self, head: Head) -> Arrival:
        place = self.place
        missing = head.events_before - place.events
        if place.epoch == BEGINNING:
            is_hole = Verdict.NEW_OWNER if self._elsewhere else Verdict.HOLE
            return Arrival(is_hole if missing > 0 else Verdict.FIRST, max(0, missing))
        last = Head(place.epoch, place.number, place.events, 0)
        _, arrival = Position(last).take(head)
        return arrival

    def _gap_of(self, batch: Batch, arrival: Arrival) -> Gap | None:
        """What is to be written down of what is not there; it is counted."""
        damaged = self._damaged
        is_whole = arrival.verdict in (Verdict.FIRST, Verdict.NEXT) or (
            arrival.verdict is Verdict.HOLE and arrival.missed == 0
        )
        if is_whole and not damaged:
            return None
        frames = [one for one in batch.records if one.kind is RecordKind.FRAME]
        first_ns = frames[0].received_ns if frames else None
        since_ns = (
            self.place.received_ns or first_ns or (batch.records[0].received_ns if batch.records else 0)
        )
        until_ns = max(since_ns, first_ns or since_ns)
        if arrival.verdict is Verdict.NEW_OWNER:
            epoch, connected_ns = self._connected
            # One that was connected all the time began a new term on a bus that had lost what it was sent.
            if epoch == batch.head.epoch and since_ns < connected_ns < until_ns:
                until_ns = connected_ns
            listened_ns = sum(one.listened_ns for one in self._elsewhere.values())
            self.unowned_ns += max(0, until_ns - since_ns - listened_ns)
        self.holes += 1
        if damaged:
            lost = None if arrival.missed is None else max(arrival.missed, damaged)
            self.rejected += damaged if lost is None else lost
            messages = format_count(damaged, "message")
            reason = f"rejected: {messages} of the bus could not be read: {self._damage}"
        else:
            self.missed += arrival.missed or 0
            lost = arrival.missed if arrival.verdict is Verdict.HOLE else arrival.missed or None
            reason = _reason(arrival)
        if any(one.events for one in self._elsewhere.values()):
            reason = f"{reason} {self._elsewhere_sentence}"
        return Gap(self._stream, since_ns, until_ns, reason, lost)

    @property
    def _elsewhere_sentence(self) -> str:
        feeds = " and the ".join(dict.fromkeys(one.feed for one in self._elsewhere.values() if one.events))
        events = format_count(sum(one.events for one in self._elsewhere.values()), "event")
        return f"Of them {events} came of the {feeds} feed, and this recording is of the {self._feed} feed."

    def _items(self, sequence: int, batch: Batch, skipped: int, gap: Gap | None) -> Iterator[Item]:
        if gap is not None:
            yield Item(None, Mark(self.place, gap))
        opening, self._opening = self._opening, []
        for before, opened in opening:
            yield from self._items(before, opened, 0, None)
        head = batch.head
        events = head.events_before + sum(record.events for record in batch.records[:skipped])
        received_ns = self.place.received_ns
        for taken, record in enumerate(batch.records[skipped:], skipped + 1):
            events += record.events
            if record.kind is RecordKind.FRAME:
                received_ns = record.received_ns
            whole = taken == len(batch.records)
            self.place = Place(sequence, head.epoch, head.number, events, taken, whole, received_ns)
            told = _told(record) if record.kind is RecordKind.GAP else None
            yield Item(record, Mark(self.place, told))
        if skipped == len(batch.records):
            self.place = Place(sequence, head.epoch, head.number, events, skipped, True, received_ns)  # noqa: FBT003
            yield Item(None, Mark(self.place))


def _has_frame(batch: Batch) -> bool:
    return any(record.kind is RecordKind.FRAME for record in batch.records)


def is_place_of(place: Place, stream: StreamId, data: bytes) -> bool:
    """Whether this is the message that the place names; another one where the store was made anew."""
    batch = decode(data)
    if isinstance(batch, str):
        return False
    if any(record.stream != stream for record in batch.records):
        return False
    until = not place.whole or batch.head.events_until == place.events
    return until and (batch.head.epoch, batch.head.number) == (place.epoch, place.number)


def _told(record: Record) -> Gap | None:
    """A gap that the owner had, in the words of whoever follows it; None where it cannot be read."""
    try:
        gap = record.gap
    except (msgspec.MsgspecError, ValueError, TypeError):
        return None
    reason = f"From {FIRST_LEG}: {gap.reason}"
    return Gap(record.stream, gap.since_ns, gap.until_ns, reason, gap.lost, gap.symbols)


def _reason(arrival: Arrival) -> str:
    if arrival.verdict is Verdict.HOLE:
        return f"From {SECOND_LEG}: the bus does not have {format_count(arrival.missed or 0, 'event')} (any more)."
    if arrival.missed is None:
        return (
            "Another owner took over, on a bus that has forgotten what was before: how many events are missing is not "
            "known."
        )
    return (
        f"Another owner took over, or the bus lost what it had: {format_count(arrival.missed, 'event')} of before are "
        "missing, and what was sent between the two, which nobody could count."
    )
