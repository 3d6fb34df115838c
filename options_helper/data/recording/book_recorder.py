"""Order books while they are recorded: rows of their messages, whole books where a file begins, samples of the best.

Pure: what it is given is all it knows. A book is never carried over a gap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from msgspec.msgpack import Ext

from options_helper.data.intraday.book_rows import (
    BookLevelRow,
    BookSnapshotRow,
    BookStart,
    snapshot_type,
)
from options_helper.data.intraday.pace import MOST_LEVELS
from options_helper.data.streaming.state.books import BookPolicy, Books
from options_helper.data.streaming.state.order_book import are_possible
from options_helper.errors import ConfigError
from options_helper.model.events import BookLevel, BookUpdate
from options_helper.model.frames import Continuity
from options_helper.model.instants import NANOSECONDS, utc_datetime
from options_helper.model.order_book import Book
from options_helper.model.streams import StreamId

SHORTEST_INTERVAL_SECONDS: Final = 0.1
# Symbol, exchange's time, receipt, place in the frame, and how the book begins.
_About = tuple[str, Ext | str | int | None, int, int | None, BookStart]
_DAY_NS: Final = 86_400 * NANOSECONDS
# The writer's look at its clock may be a moment ahead of frames that are taken next.
_CLOCK_WAS_SET_NS: Final = 5 * NANOSECONDS


@dataclass(frozen=True, slots=True)
class BookSampling:
    """How many levels of each side are recorded steadily, and how often; ConfigError for what cannot be."""

    levels: int = 10
    interval_seconds: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.levels <= MOST_LEVELS:
            raise ConfigError(f"1 to {MOST_LEVELS} levels of a book can be recorded, not {self.levels}.")
        if self.interval_seconds < SHORTEST_INTERVAL_SECONDS:
            raise ConfigError(
                f"A book is looked at ten times a second at most, not each {self.interval_seconds:g} s; "
                "write an interval of 100ms or more."
            )


@dataclass(frozen=True, slots=True)
class BookBreak:
    """From here on nothing is known of a stream's books; not `connected`: nor will be until it is back.

    With `symbols` it is about these alone: they are subscribed anew, and the stream goes on.
    """

    stream: str
    reason: str
    connected: bool
    symbols: Sequence[str] | None = None


class BookRecorder:
    """The books of one session; for one thread. Times are receipts, epoch nanoseconds."""

    def __init__(self) -> None:
        self.sampling = BookSampling()
        # What is looked back at is in the files.
        self._books = Books(BookPolicy(kept=1, levels=1))
        self._streams: dict[str, StreamId] = {}  # of each symbol
        self._days: dict[str, int] = {}  # of the file that its rows go to
        self._breaks: defaultdict[str, int] = defaultdict(int)  # so far, of each stream
        self._lost: dict[StreamId, str] = {}  # the streams that are not connected, and why
        self._sampled_ns = 0

    def rows_of(self, stream: StreamId, update: BookUpdate, place: int) -> list[BookLevelRow]:
        """The rows of a message, at that place in its frame; none where a level of it cannot be."""
        if not (are_possible(update.bids) and are_possible(update.asks)):
            return []
        self._lost.pop(stream, None)
        before = list(self._head(stream, update))
        self._books.apply(stream, update, self._heard(stream))
        return [*before, *_rows_of_message(update, place)]

    def break_off(self, broken: BookBreak, at_ns: int) -> list[BookLevelRow]:
        """Forget the books of a stream, or some of them; a mark for each that was one."""

        def renew(stream: StreamId) -> None:
            self._books.renew(broken.symbols or (), stream, broken.reason, at_ns)

        def begin_anew(stream: StreamId) -> None:
            if not broken.connected:
                self._lost[stream] = broken.reason
            self._books.follow(stream, self._heard(stream), at_ns)

        if broken.symbols is not None:
            return self._marks(broken.stream, renew, at_ns)
        self._breaks[broken.stream] += 1
        return self._marks(broken.stream, begin_anew, at_ns)

    def break_off_all(self, reason: str, at_ns: int) -> list[BookLevelRow]:
        """Forget the books of every stream; a mark for each that was one."""
        streams = dict.fromkeys(self._streams.values())
        marks = (self.break_off(BookBreak(stream, reason, connected=True), at_ns) for stream in streams)
        return list(chain.from_iterable(marks))

    def doubt(self, stream: str, symbols: Iterable[str], reason: str, at_ns: int) -> list[BookLevelRow]:
        """A part of these books was lost, `*` for all of the stream; a mark for each that was one."""
        return self._marks(stream, lambda one: self._books.doubt(symbols, one, reason, at_ns), at_ns)

    def sampled_until(self, now_ns: int) -> list[BookSnapshotRow]:
        """The best levels of each book at the last full interval; none where that was sampled already."""
        if not self._days:
            return []
        moment_ns = self._last_full_interval(now_ns)
        if self._sampled_ns - _CLOCK_WAS_SET_NS <= moment_ns <= self._sampled_ns:
            return []
        self._sampled_ns = moment_ns
        make = snapshot_type(self.sampling.levels)
        return [_snapshot(make, book, moment_ns) for book in self.look(make.LEVELS).values()]

    def look(self, levels: int | None) -> dict[str, Book]:
        """Each book as it stands, with so many levels of each side at most; by symbol."""
        books = ((symbol, self._books.view(symbol, levels, self._lost)) for symbol in self._days)
        return {symbol: book for symbol, book in books if book is not None}

    def take_resyncs(self, now_ns: int) -> dict[StreamId, list[str]]:
        """The symbols that have to be subscribed anew, by stream: a `BookBreak` that names them comes before that."""
        return self._books.take_resyncs(now_ns)

    def _heard(self, stream: str) -> Continuity:
        return Continuity(connection=self._breaks[stream])

    def _head(self, stream: StreamId, update: BookUpdate) -> Iterator[BookLevelRow]:
        """What stands before a message in a file that is not read on from: nobody needs the day before to read it."""
        symbol, at_ns = update.symbol, update.received_ns
        day = at_ns // _DAY_NS
        before, self._days[symbol] = self._days.get(symbol), day
        if before is None:
            self._streams[symbol] = stream
            self._sampled_ns = self._sampled_ns or self._last_full_interval(at_ns)
            if not update.reset:
                # What another session left in this file is no book of this one.
                yield _mark(symbol, at_ns)
        elif day != before and (book := self._books.view(symbol)) is not None:
            yield from _rows_of_book(book, at_ns) if book.state.has_levels else [_mark(symbol, at_ns)]

    def _marks(self, stream: str, void: Callable[[StreamId], object], at_ns: int) -> list[BookLevelRow]:
        known = [symbol for symbol, its in self._streams.items() if its == stream]
        whole = [symbol for symbol in known if self._is_whole(symbol)]
        for its in {self._streams[symbol] for symbol in known}:
            void(its)
        marked = [symbol for symbol in whole if not self._is_whole(symbol)]
        self._days.update(dict.fromkeys(marked, at_ns // _DAY_NS))
        return [_mark(symbol, at_ns) for symbol in marked]

    def _is_whole(self, symbol: str) -> bool:
        book = self._books.view(symbol, 0)
        return book is not None and book.state.has_levels

    def _last_full_interval(self, at_ns: int) -> int:
        interval_ns = int(self.sampling.interval_seconds * NANOSECONDS)
        return at_ns // interval_ns * interval_ns


def _rows_of_message(update: BookUpdate, place: int) -> list[BookLevelRow]:
    start = BookStart.FEED if update.reset else BookStart.NOT
    about = (update.symbol, update.timestamp, update.received_ns, place, start)
    return _rows(about, update.bids, update.asks)


def _rows_of_book(book: Book, at_ns: int) -> list[BookLevelRow]:
    return _rows((book.symbol, book.made_ns, at_ns, None, BookStart.CARRIED), book.bids, book.asks)


def _rows(about: _About, bids: Iterable[BookLevel], asks: Iterable[BookLevel]) -> list[BookLevelRow]:
    rows = [BookLevelRow(*about, "bid", level.price, level.size) for level in bids]
    rows += [BookLevelRow(*about, "ask", level.price, level.size) for level in asks]
    # A message without levels is a message all the same: with it, a whole book is empty.
    return rows or [BookLevelRow(*about, "", None, None)]


def _mark(symbol: str, at_ns: int) -> BookLevelRow:
    """The row that says: what follows is no book until the next whole one."""
    return BookLevelRow(symbol, None, at_ns, None, BookStart.LOST, "", None, None)


def _snapshot(make: type[BookSnapshotRow], book: Book, moment_ns: int) -> BookSnapshotRow:
    moment = utc_datetime(moment_ns)
    # The silence may be a gap, which the ledger knows only when it is over.
    bids, asks = ((), ()) if book.is_quiet(moment) else (book.bids, book.asks)
    return make(book.symbol, book.made_ns, moment_ns, book.received_ns, book.word(moment), bids, asks)
