"""What a viewer makes of one stream of an owner's: what is new, what comes twice, and how much was missed on the way.

Knows no connection, event loop or clock: what the server sends comes in as bytes, moments as values, and what is new
goes to a sink.
"""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import Final, Protocol

from options_helper.bus.batch import Batch, read_head
from options_helper.bus.batch import decode as decode_batch
from options_helper.bus.clocks import Offset
from options_helper.bus.conflation import behind, left_out
from options_helper.bus.continuity import Verdict
from options_helper.bus.detail import Detail
from options_helper.bus.feeds import Feeds
from options_helper.bus.legs import Leg
from options_helper.bus.losses import counted_gaps
from options_helper.bus.truth import DeskHealth
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.model.announcement import Announcement
from options_helper.model.streams import StreamId

log = logging.getLogger(__name__)

# The first of an owner's words that was surely said after the stream was followed: one may wait to be read then.
OWN_WORD: Final = 2
# What comes of an owner whose clock is not known waits so long for that, and then counts as if the clocks agreed.
CLOCK_PATIENCE_SECONDS: Final = 2.0


class Sink(Protocol):
    """What hears of a viewed stream; as much of a `StreamSink` as it takes."""

    def connected(self, announcement: str | None) -> None:
        """What is made of changes does not go on from here; and whose market it is, where that is announced."""

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        """A frame that is new, with its receipt on this computer's clock."""

    def notice(self, sentence: str) -> None:
        """Something is to be said of it."""


class Ledger(Protocol):
    """Where the leg of the stream is kept, for all who read it."""

    def of(self, stream: StreamId) -> Leg:
        """How that stream is."""

    def put(self, leg: Leg, *, hole: bool) -> None:
        """Replace it; a hole wants a picture."""


class Clock(Protocol):
    """How far the owners' clocks are from this computer's, as far as that is known."""

    def offset_of(self, stream: StreamId, epoch: int) -> Offset | None:
        """That of the owner of a term of this stream; None where it is not known (yet)."""

    def received_here(self, owner_ns: int, offset: Offset | None) -> int:
        """When such an owner received what is there now, by this computer's clock."""

    def here(self, health: DeskHealth) -> DeskHealth:
        """An owner's word with its times on this computer's clock."""


class ViewedStream:
    """One stream over all connections of a viewer's; for one thread.

    `begin` before anything is followed, `follow` once the server sends what comes, `answer` once the wishes are
    answered, `hand_on` now and then; seconds are of a clock that nobody sets.
    """

    def __init__(self, stream: StreamId, sink: Sink, legs: Ledger, clock: Clock) -> None:
        self.stream, self._sink, self._legs, self._clock = stream, sink, legs, clock
        self.feeds = Feeds()
        self.slow_heard_at = 0.0  # or when it was asked for
        self._complained = False
        # Of the owner's on this stream since it is followed; None: it is not yet.
        self._words: int | None = None
        # What came before the answer to the wishes was told, or before the clock was known by which it was received.
        self._early: deque[tuple[bytes, Detail]] = deque()
        self._is_answered = True
        self._waits: tuple[int, float] | None = (
            None  # for the clock of which term, and until when; None: for none
        )

    @property
    def leg(self) -> Leg:
        """How it is."""
        return self._legs.of(self.stream)

    def begin(self) -> None:
        """A connection begins: of what it brings nothing is handed on before the answer."""
        self.feeds, self._is_answered, self._words = Feeds(), False, None
        self._early.clear()
        self._waits = None

    def follow(self) -> None:
        """The server sends all that is published from now on."""
        self._words = 0

    def answer(self, now: float) -> None:
        """The wishes are answered: hand on what came, and whatever comes."""
        self._is_answered = True
        self.hand_on(now)

    def take(self, data: bytes, feed: Detail, now: float) -> None:
        """A message of that feed, at that moment."""
        self._early.append((data, feed))
        self.hand_on(now)

    def hand_on(self, now: float) -> None:
        """Hear what has come, in its order, as far as that may be by now."""
        while self._is_answered and self._early and self._has_its_clock(self._early[0][0], now):
            self.hear(*self._early.popleft(), now)

    def _has_its_clock(self, data: bytes, now: float) -> bool:
        """Whether the clock is known by which this was received, or is not to be waited for any more."""
        head = read_head(data)
        if head is None or self._clock.offset_of(self.stream, head.epoch) is not None:
            self._waits = None
            return True
        if self._waits is None or self._waits[0] != head.epoch:
            self._waits = head.epoch, now + CLOCK_PATIENCE_SECONDS
        return now >= self._waits[1]

    def published(self, health: DeskHealth) -> None:
        """The owner says how far it has published: what of that has not come never will."""
        if self._words is None:
            return  # what was published until now may be counted by nobody here
        self._words += 1
        if self._words == OWN_WORD:
            leg, arrival = self.leg.begin(self._clock.here(health))
            self._legs.put(leg, hole=arrival.is_broken)
            if arrival.is_broken:
                self._sink.connected(None)  # what is made of changes does not go on from here

    def hear(self, data: bytes, feed: Detail, now: float) -> None:
        """The same at once: nothing is waited for."""
        batch = decode_batch(data)
        if not isinstance(batch, str) and any(_is_of_another(self.stream, one) for one in batch.records):
            # Who may read the store may have the server deliver what is in it under any subject.
            batch = f"A message of another stream came as one of {self.stream}."
        leg = self.leg
        if isinstance(batch, str):
            self._legs.put(leg.spoil(), hole=False)
            if not self._complained:
                self._complained = True
                self._sink.notice(batch)
            return
        if feed is Detail.SLOW:
            self.slow_heard_at = now
        for one, of in self.feeds.take(feed, batch, leg.position.last, now):
            self._use(one, of)

    def _use(self, batch: Batch, feed: Detail) -> None:
        known = self._clock.offset_of(self.stream, batch.head.epoch)
        here = partial(self._clock.received_here, offset=known)
        frames = [record for record in batch.records if record.kind is RecordKind.FRAME]
        first, last = (here(frames[at].received_ns) if frames else None for at in (0, -1))
        told = [(known or Offset()).gap_here(gap) for gap in counted_gaps(batch.records)]
        leg, arrival = self.leg.take(batch.head, first, last, told, feed)
        if not arrival.is_new:
            self._legs.put(leg, hole=False)
            return
        records = behind(batch.records, arrival.known)
        # The first there is wants a picture too: what came before it may be all there is for long.
        self._legs.put(
            leg.leave_out(left_out(records)), hole=arrival.is_broken or arrival.verdict is Verdict.FIRST
        )
        if arrival.is_broken:
            self._sink.connected(None)  # what is made of changes does not go on from here
        for record in records:
            if record.kind is RecordKind.FRAME:
                self._sink.frame(record.payload, record.events, here(record.received_ns))
            elif record.kind is RecordKind.MARKET:
                self._sink.connected(readable(record.payload))


def readable(announced: str | bytes | None) -> str | None:
    """What is announced of a market; None where it cannot be read, and what comes beside it counts all the same."""
    try:
        header = announced.decode() if isinstance(announced, bytes) else announced
        return None if header is None else Announcement.parse(header).header()
    except ValueError as error:
        log.warning("what the owner announces of its market cannot be read: %s", error)
        return None


def _is_of_another(stream: StreamId, record: Record) -> bool:
    return record.kind is RecordKind.FRAME and record.stream != stream
