"""`stream books --dry-run` without a folder: invented books in invented time, so that a run can be repeated exactly."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from options_helper.commands.books_view import BooksView
from options_helper.data.streaming.messages import decode_frame
from options_helper.data.streaming.state.books import Books
from options_helper.model.events import BookUpdate, stamp
from options_helper.model.frames import Continuity
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds, utc_datetime
from options_helper.model.text import format_count
from options_helper.simulator.invented_books import EVERY_SECONDS, INVENTED
from options_helper.simulator.market.book_walk import BookWalk

BEGINS_AT: Final = datetime(2026, 1, 2, 15, 0, tzinfo=UTC)


class Rehearsal:
    """A feed whose clock goes on by an interval at each look, and by nothing else."""

    def __init__(
        self, symbols: tuple[str, ...], seed: int, *, whole: bool, levels: int, interval_seconds: float
    ) -> None:
        self._symbols = symbols
        self._walks = [BookWalk(symbol, seed, whole=whole) for symbol in symbols]
        self._books = Books()
        self._levels = levels
        self._interval_ns = round(interval_seconds * NANOSECONDS)
        self._begins_ns = self._now_ns = datetime_nanoseconds(BEGINS_AT)
        self._next_ns = self._begins_ns
        self._messages = 0
        self._label = f"invented, seed {seed} (SIMULATED MARKET, in a time of its own)"

    @property
    def elapsed(self) -> float:
        """By its own clock."""
        return (self._now_ns - self._begins_ns) / NANOSECONDS

    @property
    def has_failed(self) -> bool:
        """Never."""
        return False

    def look(self) -> BooksView:
        """The books as they are; the next look is an interval later."""
        while self._next_ns <= self._now_ns:
            for walk in self._walks:
                self._apply(walk.next_message(self._next_ns))
            self._next_ns += round(EVERY_SECONDS * NANOSECONDS)
        as_of = utc_datetime(self._now_ns)
        books = self._books.views(self._levels)
        self._now_ns += self._interval_ns
        truth = f"{self._label} · {format_count(self._messages, 'message')}, none dropped"
        return BooksView(as_of, self._symbols, books, truth)

    def _apply(self, message: dict[str, object]) -> None:
        for event in decode_frame(msgspec.msgpack.encode([message])).events:
            if isinstance(event, BookUpdate):
                stamp(event, self._next_ns)
                self._books.apply(INVENTED, event, Continuity())
                self._messages += 1
