"""From the one feed of a stream to the other without a hole and without anything twice.

Both count the same events, so what the next feed brings waits until the one at hand has come so far. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from options_helper.bus.batch import Batch, Head
from options_helper.bus.detail import Detail

# What waits so long, or is so much, is taken all the same: the feed at hand has ended, and the hole is counted.
PATIENCE_SECONDS: Final = 2.0
MOST_WAITING: Final = 2_000


@dataclass(slots=True)
class Feeds:
    """Which feed is at hand, and what the other one has brought meanwhile; for one thread."""

    at_hand: Detail | None = None  # None: nothing has come
    wanted: Detail = Detail.FULL
    _waiting: list[Batch] = field(default_factory=list)
    _since: float = 0.0

    def take(self, feed: Detail, batch: Batch, last: Head | None, now: float) -> list[tuple[Batch, Detail]]:
        """What is to be used now, in order, each with its feed; `last` is what was used last, and may be in it again.

        Seconds are of a clock that nobody sets.
        """
        if self.at_hand is None or last is None:
            self.at_hand = feed
            return [(batch, feed)]
        if feed is self.at_hand:
            return [(batch, feed), *self._joined(batch.head, now)]
        if feed is not self.wanted:
            return []  # it was left a moment ago
        if not self._waiting:
            self._since = now
        self._waiting.append(batch)
        return self._joined(last, now)

    def want(self, feed: Detail) -> None:
        """Change to that feed as soon as it joins on; what waits of the other one is of no use then."""
        if feed is not self.wanted:
            self.wanted = feed
            self._waiting = []

    def _joined(self, last: Head, now: float) -> list[tuple[Batch, Detail]]:
        if not self._waiting:
            return []
        first = self._waiting[0].head
        joins = first.epoch != last.epoch or first.events_before <= last.events_until
        given_up = now - self._since >= PATIENCE_SECONDS or len(self._waiting) > MOST_WAITING
        if not (joins or given_up):
            return []
        self.at_hand = self.wanted
        waiting, self._waiting = self._waiting, []
        return [(batch, self.wanted) for batch in waiting]
