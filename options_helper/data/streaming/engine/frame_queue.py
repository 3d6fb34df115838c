"""The one queue between the stream threads and the consumer: bounded, never waited on, and every loss counted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from options_helper.clock import elapsed_seconds
from options_helper.model.frames import Continuity, Frame, Mark
from options_helper.model.streams import StreamId, StreamName


@dataclass(slots=True)
class QueueCounts:
    """Events of one stream: all that came, those that found the queue full, and those not settled yet."""

    received: int = 0
    dropped: int = 0
    queued: int = 0
    heard: Continuity = field(default_factory=Continuity)


class FrameQueue:
    """Hands frames from several threads to one consumer.

    Its size is counted in events. A frame that does not fit is dropped whole and counted. The last tenth is kept for
    streams that carry orders, so that a burst of quotes cannot cost a fill its place. A frame counts as queued until
    `settle` says that its events are in the state: whoever holds the frame, the ledger adds up. `elapsed` is a clock
    that nobody sets, in seconds: what waits while somebody sets the computer's is known to have come before.
    """

    def __init__(
        self,
        max_events: int,
        streams: Iterable[StreamId] = StreamName,
        elapsed: Callable[[], float] = elapsed_seconds,
    ) -> None:
        if max_events < 2:
            raise ValueError(f"a frame queue needs room for 2 events or more, not {max_events}")
        self._limit = max_events
        self._elapsed = elapsed
        market_limit = max_events - max(1, max_events // 10)
        self._limits = {name: max_events if name.kind.carries_orders else market_limit for name in streams}
        # Everything below is guarded by self._lock: written by the stream threads and the consumer.
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._frames: deque[Frame] = deque()
        self._depth = 0
        self._closed = False
        self._consumer_waits = False
        self._nudged = False
        # How often it was nudged; changed under the lock, read without.
        self.nudges = 0
        self._counts = {name: QueueCounts() for name in self._limits}

    def put(
        self, stream: StreamId, payload: bytes, events: int, received_ns: int, mark: Mark | None = None
    ) -> bool:
        """Queue one frame, or drop it when it does not fit; never waits. Returns whether it was queued."""
        limit = self._limits[stream]
        with self._lock:
            counts = self._counts[stream]
            counts.received += events
            if self._closed or self._depth + events > limit:
                counts.dropped += events
                counts.heard = counts.heard._replace(dropped=counts.dropped)
                return False
            counts.queued += events
            self._depth += events
            queued_at = self._elapsed()
            self._frames.append(
                Frame(stream, payload, events, received_ns, counts.heard, mark, queued_at=queued_at)
            )
            if self._consumer_waits:
                self._arrived.notify()
        return True

    def note(self, stream: StreamId, mark: Mark, received_ns: int) -> None:
        """Queue what is no message, in its place among the messages; it needs no room."""
        with self._lock:
            if self._closed:
                return
            heard = self._counts[stream].heard
            self._frames.append(Frame(stream, b"", 0, received_ns, heard, mark, is_message=False))
            if self._consumer_waits:
                self._arrived.notify()

    def connected(self, stream: StreamId) -> None:
        """A connection begins: what it brings does not go on where the one before ended."""
        with self._lock:
            counts = self._counts[stream]
            counts.heard = counts.heard._replace(connection=counts.heard.connection + 1)

    def take(self, timeout: float, max_events: int) -> Sequence[Frame]:
        """The oldest frames, in order, of about `max_events` events; waits up to `timeout` seconds for the first.

        Empty when nothing came, when it was nudged, or the queue is closed and empty.
        """
        with self._lock:
            if not self._frames and not self._closed and not self._nudged:
                self._consumer_waits = True
                self._arrived.wait(timeout)
                self._consumer_waits = False
            self._nudged = False
            frames = self._frames
            if self._depth <= max_events:
                self._frames = deque()
                return frames
            taken: list[Frame] = []
            while frames and max_events > 0:
                max_events -= frames[0].events
                taken.append(frames.popleft())
            return taken

    def nudge(self) -> None:
        """Let the consumer look around soon, though nothing came."""
        with self._lock:
            self._nudged = True
            self.nudges += 1
            self._arrived.notify()

    def settle(self, frames: Sequence[Frame]) -> int:
        """Say that these frames' events are counted as applied or rejected now; how many frames wait."""
        with self._lock:
            for frame in frames:
                self._counts[frame.stream].queued -= frame.events
                self._depth -= frame.events
            return len(self._frames)

    def close(self) -> None:
        """Take no more frames (they count as dropped) and wake the consumer; what is queued can still be taken."""
        with self._lock:
            self._closed = True
            self._arrived.notify_all()

    @property
    def fill(self) -> float:
        """The share of the room that is taken, by frames that wait and those that are not settled."""
        with self._lock:
            return self._depth / self._limit

    def taken_until(self, now_ns: int) -> int:
        """Until when all that was received has been taken: now, or the receipt of the oldest frame that waits."""
        with self._lock:
            return min(now_ns, self._frames[0].received_ns) if self._frames else now_ns

    @property
    def drained(self) -> bool:
        """Whether the queue is closed and empty."""
        with self._lock:
            return self._closed and not self._frames

    def heard(self, stream: StreamId) -> Continuity:
        """How far that stream got, which is one of its counters."""
        with self._lock:
            return self._counts[stream].heard

    def counts(self) -> dict[StreamId, QueueCounts]:
        """A copy of the counters, all read at one instant."""
        with self._lock:
            return {
                name: QueueCounts(c.received, c.dropped, c.queued, c.heard)
                for name, c in self._counts.items()
            }
