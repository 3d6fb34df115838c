"""What one run of several is told of a connection that they share: in order, and mostly at once."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from options_helper.data.streaming.connection.connection_runner import StreamSink
from options_helper.errors import OptionsHelperError, StreamError
from options_helper.model.text import format_count

log = logging.getLogger(__name__)

# Frames wait here only while a sink takes in that it is connected. What else keeps it busy so long is no reason to fill
# the memory of the others.
MOST_EVENTS: Final = 200_000


class Inbox:
    """Hands a sink what the shared connection's thread brings.

    Frames are handed over on that thread, for they are many and taking them is quick. Whatever else there is to tell
    may take its time (a calendar is loaded, a lock waited for), so it is told by `hear` on the run's own thread, and
    the frames behind it wait their turn. After `hear` has returned nothing is told any more.
    """

    def __init__(self, sink: StreamSink, most_events: int = MOST_EVENTS) -> None:
        self._sink = sink
        self._most_events = most_events
        # Everything below is guarded by self._lock.
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._pending: deque[tuple[Callable[[], None], int]] = deque()  # with the events in it
        self._waiting_events = 0
        self._is_telling = False
        self._is_over = False  # nothing more is taken
        self._error: OptionsHelperError | None = None
        self._is_stopped = False

    def tell(self, news: Callable[[], None]) -> None:
        """Have this told on the run's thread; never waits."""
        with self._lock:
            if not self._is_over:
                self._pending.append((news, 0))
                self._news.notify()

    def frame(self, payload: bytes, events: int, received_ns: int) -> None:
        """Hand it over, or let it wait behind what came before; on one thread only, and never waits."""
        with self._lock:
            if self._is_over:
                return
            if not self._pending and not self._is_telling:
                self._hand_over(payload, events, received_ns)
                return
            self._pending.append((partial(self._sink.frame, payload, events, received_ns), events))
            self._waiting_events += events
            if self._waiting_events > self._most_events:
                waiting = format_count(self._waiting_events, "event")
                self._end(StreamError(f"This run took nothing in while {waiting} came; it joins anew."))

    def _hand_over(self, payload: bytes, events: int, received_ns: int) -> None:
        try:
            self._sink.frame(payload, events, received_ns)
        except Exception as error:
            # On the connection's thread: what is wrong with one run must end no other's.
            log.exception("a run could not take a frame")
            self._end(StreamError(f"This run could not take a frame ({type(error).__name__}): {error}"))

    def end(self, error: OptionsHelperError | None) -> None:
        """Nothing more comes: `hear` raises this when it has told what came before, or with None returns at once."""
        with self._lock:
            self._end(error)

    def _end(self, error: OptionsHelperError | None) -> None:
        if error is None:
            self._is_stopped = True
        elif self._error is None:
            self._error = error
        self._is_over = True
        self._news.notify()

    def hear(self) -> None:
        """Tell the sink everything until the end, on this thread; raises what ended it, unless it was stopped."""
        while (news := self._next()) is not None:
            news()
        if self._error is not None and not self._is_stopped:
            raise self._error

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            self._is_telling = False
            while not (self._pending or self._is_over):
                self._news.wait()
            if self._is_stopped or not self._pending:
                return None
            self._is_telling = True
            news, events = self._pending.popleft()
            self._waiting_events -= events
            return news
