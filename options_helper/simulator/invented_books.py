"""A source of invented order books, in this process: no server, no socket, no keys, and the same books for a seed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from options_helper.clock import utc_now_ns
from options_helper.data.streaming.connection.connection_runner import Streamer, StreamSink
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.messages import Decode, decode_frame
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.streams import BOOKS, Hours, StreamId
from options_helper.settings import Settings
from options_helper.simulator.market.book_walk import BookWalk

# Its name is in each record, note and gap: nobody takes it for a market.
INVENTED: Final = StreamId(replace(BOOKS, hours=Hours.ALWAYS), "invented")
EVERY_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class InventedBooks:
    """One stream: a message of each symbol ten times a second, or with `whole` a whole book of five levels."""

    seed: int
    whole: bool = False
    now_ns: Callable[[], int] = utc_now_ns

    @property
    def streams(self) -> tuple[StreamId, ...]:
        """The one."""
        return (INVENTED,)

    def check(self, settings: Settings) -> None:
        """It needs nothing."""

    def streamer(
        self,
        stream: StreamId,  # noqa: ARG002 - there is but one
        settings: Settings,  # noqa: ARG002
        config: LiveStreamConfig,  # noqa: ARG002
        sink: StreamSink,
    ) -> Streamer:
        """The books from their beginning, without symbols yet."""
        return _InventedStreamer(self, sink)

    def decoder(self, stream: StreamId) -> Decode:  # noqa: ARG002 - there is but one
        """Its messages are spelled as Alpaca's."""
        return decode_frame


class _InventedStreamer:
    """Sends what the walks make, at a steady pace, until it is stopped."""

    def __init__(self, source: InventedBooks, sink: StreamSink) -> None:
        self._source = source
        self._sink = sink
        self._stopping = threading.Event()
        # Guards the walks: run() sends, others subscribe.
        self._lock = threading.Lock()
        self._walks: dict[str, BookWalk] = {}
        self._asked_anew: set[str] = set()

    def subscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:  # noqa: ARG002
        """Send these too."""
        with self._lock:
            for symbol in symbols:
                if symbol not in self._walks:
                    self._walks[symbol] = BookWalk(symbol, self._source.seed, whole=self._source.whole)

    def unsubscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        """Send these no longer."""
        if channels is None:
            with self._lock:
                for symbol in symbols:
                    self._walks.pop(symbol, None)

    def renew(self, symbols: Iterable[str], channel: str) -> None:  # noqa: ARG002 - there is but one
        """Send the whole book of those that it sends."""
        with self._lock:
            self._asked_anew.update(symbol for symbol in symbols if symbol in self._walks)

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()

    def abandon(self) -> None:
        """The same: nobody else has it."""
        self.stop()

    def run(self) -> None:
        """Send, until stopped."""
        announced = Announcement(MarketKind.SIMULATED, self._source.now_ns(), 1.0, None)
        self._sink.connected(announced.header())
        names = list(self._walks)
        self._sink.subscribed(names, names, {})
        while not self._stopping.wait(EVERY_SECONDS):
            messages = self._messages(self._source.now_ns())
            if messages:
                self._sink.frame(msgspec.msgpack.encode(messages), len(messages))

    def _messages(self, now_ns: int) -> list[dict[str, object]]:
        with self._lock:
            messages = [walk.next_message(now_ns) for walk in self._walks.values()]
            anew = sorted(self._asked_anew & self._walks.keys())
            wholes = [self._walks[symbol].whole_book(now_ns) for symbol in anew]
            self._asked_anew.clear()
        return [*messages, *wholes]
