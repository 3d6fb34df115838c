"""Every order book of a run: which of them can be believed, and which have to be asked for anew.

The protocols have neither numbers nor checksums, so a book is whole only from a reset on, and only for as long as
nothing of it can have been lost: it is never carried over a gap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from options_helper.data.streaming.state.book_history import BookHistory
from options_helper.data.streaming.state.order_book import OrderBook
from options_helper.model.events import BookUpdate
from options_helper.model.frames import Continuity
from options_helper.model.instants import NANOSECONDS
from options_helper.model.order_book import Book, BookCounts, BookState
from options_helper.model.snapshot import StreamHealth
from options_helper.model.streams import StreamId

# A change that makes a book cross may come in two messages; longer than this it is one that was lost.
CROSSED_AT_MOST_NS: Final = 2 * NANOSECONDS
# The whole book usually comes first; where changes come and it does not, it is asked for.
WHOLE_WITHIN_NS: Final = 5 * NANOSECONDS
# A symbol is subscribed anew once in this time at most, whatever is wrong with its book.
RESYNC_PAUSE_NS: Final = 60 * NANOSECONDS
ASKED_ANEW: Final = "It stayed crossed, or could not be believed; it is asked for anew."
# Two comparisons running: one may have met a change on its way.
DIFFERENCES_AT_MOST: Final = 2


@dataclass(frozen=True, slots=True)
class BookPolicy:
    """What is kept of each book for looking back."""

    interval_ns: int = NANOSECONDS
    kept: int = 300
    levels: int = 20


@dataclass(slots=True)
class _Tracked:
    symbol: str
    stream: StreamId
    history: BookHistory
    levels: OrderBook = field(default_factory=OrderBook)
    state: BookState = BookState.WAITING
    since_ns: int | None = None
    reason: str = ""
    received_ns: int | None = None
    made_ns: int | None = None
    seed: Book | None = None  # REST's, while the stream's own has not come
    asked_ns: int | None = None  # when it was subscribed anew
    missed: int = 0  # changes since it has not been whole
    differs: int = 0  # comparisons running
    # Of the whole run.
    messages: int = 0
    late: int = 0
    unapplied: int = 0
    resyncs: int = 0
    verified: int = 0
    differed: int = 0

    def become(self, state: BookState, now_ns: int, reason: str = "") -> None:
        # Of another connection, too: what was missed on the last one is no reason to ask on this one.
        if state is not self.state or state is BookState.WAITING:
            self.since_ns, self.missed = now_ns, 0
        self.state, self.reason = state, reason

    def view(self, levels: int | None) -> Book:
        """The book as it stands; without levels where it cannot be believed."""
        book = self._bare(self.state, self.reason)
        if self.state.has_levels:
            bids, asks = self.levels.bids, self.levels.asks
            return replace(
                book,
                bids=bids.levels(levels),
                asks=asks.levels(levels),
                bid_levels=len(bids),
                ask_levels=len(asks),
            )
        return book if self.seed is None else _with_seed(book, self.seed.best(levels))

    def lost(self, reason: str) -> Book:
        """The book while its stream is not connected."""
        return self._bare(BookState.LOST, reason)

    def _bare(self, state: BookState, reason: str) -> Book:
        counts = BookCounts(
            self.messages, self.late, self.unapplied, self.resyncs, self.verified, self.differed
        )
        return Book(
            self.symbol,
            state,
            str(self.stream),
            received_ns=self.received_ns,
            made_ns=self.made_ns,
            since_ns=self.since_ns,
            reason=reason,
            counts=counts,
        )


def _with_seed(book: Book, seed: Book) -> Book:
    return replace(seed, state=book.state, since_ns=book.since_ns, reason=book.reason, counts=book.counts)


class Books:
    """The books of all streams; one writer. Times are the market's, in epoch nanoseconds.

    A message is applied to a book that is whole; before its reset it only counts. `expect` says which symbols there are
    to be: until it is called, whatever comes is kept.
    """

    def __init__(self, policy: BookPolicy | None = None) -> None:
        self._policy = policy or BookPolicy()
        self._tracked: dict[str, _Tracked] = {}
        self._heard: dict[StreamId, Continuity] = {}
        self._expected: Mapping[str, StreamId] | None = None

    def expect(self, symbols: Mapping[str, StreamId]) -> None:
        """From now on these symbols, of these streams, and no others; `*` stands for whatever comes."""
        self._expected = None if "*" in symbols else dict(symbols)
        if self._expected is None:
            return
        self._tracked = {
            symbol: known for symbol, known in self._tracked.items() if symbols.get(symbol) == known.stream
        }
        for symbol, stream in symbols.items():
            self._track(symbol, stream)

    def _track(self, symbol: str, stream: StreamId) -> _Tracked | None:
        known = self._tracked.get(symbol)
        if known is not None:
            # The same name on another stream is another market, and its changes are not those of this book.
            return known if known.stream == stream else None
        if self._expected is not None and self._expected.get(symbol) != stream:
            return None
        history = BookHistory(interval_ns=self._policy.interval_ns, size=self._policy.kept)
        made = self._tracked[symbol] = _Tracked(symbol, stream, history)
        return made

    def apply(self, stream: StreamId, update: BookUpdate, heard: Continuity) -> None:
        """Take one message in; `heard` is how far its stream had got when it came.

        The caller has looked whether its numbers are possible, and says `doubt` where they are not.
        """
        now_ns = update.received_ns
        known = self._track(update.symbol, stream)
        if known is None or not self.follow(stream, heard, now_ns):
            return
        known.messages += 1
        known.late += _is_late(update, known)
        known.received_ns, known.made_ns = now_ns, update.timestamp_ns
        if update.reset:
            known.levels.replace(update.bids, update.asks)
            known.seed, known.differs = None, 0
        elif known.state.has_levels:
            known.levels.update(update.bids, update.asks)
        else:
            known.unapplied += 1
            known.missed += 1
            known.since_ns = known.since_ns or now_ns
            return
        self._judge(known, now_ns)
        if known.history.is_due(now_ns):
            known.history.add(known.view(self._policy.levels), now_ns)

    def _judge(self, known: _Tracked, now_ns: int) -> None:
        if known.levels.is_crossed:
            known.become(BookState.CROSSED, now_ns, "The best bid is as high as the best ask, or higher.")
        else:
            known.become(BookState.SYNCED, now_ns)

    def follow(self, stream: StreamId, heard: Continuity, now_ns: int) -> bool:
        """Take over how far a stream got: a new connection, or a loss, is the end of all its books.

        False for what was heard before that, which says nothing any more.
        """
        known = self._heard.setdefault(stream, heard)
        if heard == known:
            return True
        if heard < known:
            return False
        self._heard[stream] = heard
        if heard.connection != known.connection:
            state, reason = (
                BookState.WAITING,
                "Its stream has connected, and the whole book has not come since.",
            )
        else:
            state = BookState.UNSURE
            reason = "Frames of its stream found the queue full and were dropped; it is asked for anew."
        for book in self._of(stream):
            self._void(book, state, reason, now_ns)
        return True

    def doubt(self, symbols: Iterable[str], stream: StreamId, reason: str, now_ns: int) -> None:
        """A part of these books was lost, or may be wrong; `*` stands for all of the stream."""
        named = frozenset(symbols)
        for book in self._of(stream):
            if "*" in named or book.symbol in named:
                self._void(book, BookState.UNSURE, reason, now_ns)

    def _void(self, known: _Tracked, state: BookState, reason: str, now_ns: int) -> None:
        """Nothing is known of it any more; where it was, the history has a book without levels."""
        had_levels = known.state.has_levels
        known.levels.clear()
        known.seed = None
        known.become(state, now_ns, reason)
        if had_levels:
            known.history.add(known.view(None), now_ns)

    def _of(self, stream: StreamId) -> list[_Tracked]:
        return [known for known in self._tracked.values() if known.stream == stream]

    def take_resyncs(self, now_ns: int) -> dict[StreamId, list[str]]:
        """The symbols that have to be subscribed anew, by stream; each is told once and counted.

        Whoever does so says `renew` before.
        """
        due: defaultdict[StreamId, list[str]] = defaultdict(list)
        for known in self._tracked.values():
            if _is_broken(known, now_ns) and _may_ask(known, now_ns):
                known.asked_ns = now_ns
                known.resyncs += 1
                due[known.stream].append(known.symbol)
        return dict(due)

    def renew(self, symbols: Iterable[str], stream: StreamId, reason: str, now_ns: int) -> None:
        """These are subscribed anew: what changes before that reaches nobody, so none of them is whole from here on."""
        named = frozenset(symbols)
        for known in self._of(stream):
            if known.symbol in named and known.state.has_levels:
                self._void(known, BookState.UNSURE, reason, now_ns)

    def seed(self, seeds: Iterable[Book]) -> None:
        """Show these where the stream's own have not come; they are REST's, and stay unproven until a reset."""
        for seed in seeds:
            known = self._tracked.get(seed.symbol)
            if known is not None and not known.state.has_levels:
                known.seed = seed

    def compared(self, symbol: str, *, differs: bool, now_ns: int) -> None:
        """Take what a comparison with REST said; twice running it is believed."""
        known = self._tracked.get(symbol)
        if known is None or not known.state.has_levels:
            return
        known.differs = known.differs + 1 if differs else 0
        known.differed += differs
        known.verified += not differs
        if known.differs >= DIFFERENCES_AT_MOST:
            reason = "REST said otherwise twice running; it is asked for anew."
            self._void(known, BookState.UNSURE, reason, now_ns)

    def view(
        self, symbol: str, levels: int | None = None, lost: Mapping[StreamId, str] | None = None
    ) -> Book | None:
        """One book, with so many of its best levels; None where there is none of this symbol, however it is spelled.

        `lost` says of the streams that are not connected why; their books are nothing to go by.
        """
        known = self._find(symbol)
        if known is None:
            return None
        reason = None if lost is None else lost.get(known.stream)
        return known.view(levels) if reason is None else known.lost(reason)

    def _find(self, symbol: str) -> _Tracked | None:
        known = self._tracked.get(symbol)
        if known is not None:
            return known
        spelled = symbol.strip().upper()
        return next((one for name, one in self._tracked.items() if name.upper() == spelled), None)

    def views(self, levels: int, lost: Mapping[StreamId, str] | None = None) -> dict[str, Book]:
        """All books."""
        return {
            symbol: book for symbol in self._tracked if (book := self.view(symbol, levels, lost)) is not None
        }

    def history(self, symbol: str, count: int) -> Sequence[Book]:
        """So many of its last books at most, newest first, one for each interval in which something came."""
        known = self._find(symbol)
        return () if known is None else known.history.newest(count)

    def receive_later(self, by_ns: int) -> None:
        """Somebody set the clock: all that was received keeps its age."""
        for known in self._tracked.values():
            known.received_ns = _moved(known.received_ns, by_ns)
            known.since_ns = _moved(known.since_ns, by_ns)
            known.asked_ns = _moved(known.asked_ns, by_ns)
            known.history.receive_later(by_ns)

    def forget(self) -> None:
        """Another session is played: what was seen of the last is nothing now."""
        streams = {symbol: known.stream for symbol, known in self._tracked.items()}
        self._tracked = {}
        if self._expected is not None:
            self.expect(streams)


def lost_books(healths: Iterable[StreamHealth]) -> dict[StreamId, str]:
    """The streams that bring books and are not connected, each with a sentence."""
    return {
        health.name: f"Its stream is not connected ({health.phase})."
        for health in healths
        if health.name.kind.book_channel is not None and health.connected_since is None
    }


def _is_late(update: BookUpdate, known: _Tracked) -> bool:
    """Whether the exchange made it before the one that came before it; the order on the socket is believed."""
    made_ns = update.timestamp_ns
    return made_ns is not None and known.made_ns is not None and made_ns < known.made_ns


def _is_broken(known: _Tracked, now_ns: int) -> bool:
    since_ns = now_ns if known.since_ns is None else known.since_ns
    match known.state:
        case BookState.CROSSED:
            return now_ns - since_ns > CROSSED_AT_MOST_NS
        case BookState.WAITING:
            return known.missed > 0 and now_ns - since_ns > WHOLE_WITHIN_NS
        case BookState.UNSURE:
            return True
        case BookState.SYNCED | BookState.LOST:
            return False


def _may_ask(known: _Tracked, now_ns: int) -> bool:
    return known.asked_ns is None or now_ns - known.asked_ns >= RESYNC_PAUSE_NS


def _moved(moment_ns: int | None, by_ns: int) -> int | None:
    return None if moment_ns is None else moment_ns + by_ns
