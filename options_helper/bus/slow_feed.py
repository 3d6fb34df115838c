"""Which streams of an owner have a slow feed now, and what it says next; for one event loop. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from options_helper.bus.batch import BATCH_BYTES, Head, encode, split
from options_helper.bus.conflation import Conflater
from options_helper.data.recording.journal import Record
from options_helper.model.streams import StreamId

# Between 2 and 4 a second.
SLOW_SECONDS: Final = 0.3
# Whoever follows it says so each twenty seconds.
KEPT_SECONDS: Final = 65.0


class SlowFeed:
    """Takes what was stored of each stream that somebody follows slowly; of the others nothing, at no cost."""

    def __init__(self) -> None:
        self._until: dict[StreamId, float] = {}
        self._conflaters: dict[StreamId, Conflater] = {}
        self._numbers: dict[StreamId, tuple[int, int]] = {}  # the epoch, and of it the next batch's number

    def want(self, stream: StreamId, now: float) -> None:
        """Somebody follows it; seconds of a clock that nobody sets."""
        self._until[stream] = now + KEPT_SECONDS
        self._conflaters.setdefault(stream, Conflater())

    def take(self, stream: StreamId, head: Head, records: Sequence[Record]) -> None:
        """A batch that the server has stored."""
        if (conflater := self._conflaters.get(stream)) is not None:
            conflater.take(head, records)

    def flush(self, now: float, room: int) -> list[tuple[StreamId, bytes]]:
        """What is to be sent now, none larger than `room`; what nobody has followed for a while ends with it."""
        found = []
        for stream, conflater in list(self._conflaters.items()):
            for interval in conflater.flush():
                before = interval.events_before
                for part in split(interval.records(), min(BATCH_BYTES, room)):
                    events = sum(record.events for record in part)
                    head = Head(interval.epoch, self._next_number(stream, interval.epoch), before, events)
                    before += events
                    found.append((stream, encode(head, part)))
            if now > self._until[stream]:
                del self._conflaters[stream], self._until[stream]
        return found

    def _next_number(self, stream: StreamId, epoch: int) -> int:
        last, number = self._numbers.get(stream, (epoch, 0))
        number = number if last == epoch else 0
        self._numbers[stream] = epoch, number + 1
        return number
