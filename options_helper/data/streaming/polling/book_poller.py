"""Ask REST for whole order books: to show one before the stream's own comes, and to see whether ours is still right."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from options_helper.data.rest.client import STOCK_SYMBOLS_A_REQUEST, batches
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.state.book_check import differences
from options_helper.data.streaming.state.order_book import OrderBook, are_possible
from options_helper.decoders import converter
from options_helper.errors import RestError
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.events import BookUpdate
from options_helper.model.order_book import Book, BookState
from options_helper.model.problems import Problem
from options_helper.model.streams import StreamName

log = logging.getLogger(__name__)


class BookPoller:
    """Asks for the coins whose books are streamed, every few minutes, and sooner where one has not come."""

    def __init__(self, context: PollContext, config: LiveStreamConfig, policy: WatchPolicy) -> None:
        self._context = context
        self._policy = policy
        self._config = config  # replaced whole
        self._task = context.periodic("live-books", self._poll, policy.books, self._failed)

    def begin(self) -> None:
        """Ask for the first time after the stream had a moment to bring its own; for nothing where there is none."""
        if self._symbols:
            self._context.report(RestTask.BOOKS, phase=RestPhase.WAITING)
            self._task.start(self._policy.initial_delay)

    def change_symbols(self, config: LiveStreamConfig) -> None:
        """From now on these symbols."""
        self._config = config
        self.want()

    def want(self) -> None:
        """Ask soon, and not before the stream had a moment."""
        if self._symbols:
            self._task.run_within(self._policy.initial_delay)
            self._task.start()

    def stop(self, timeout: float) -> None:
        """End the thread; waits for it at most `timeout` seconds."""
        self._task.stop(timeout)

    @property
    def _symbols(self) -> tuple[str, ...]:
        books = self._config.book_symbols
        return tuple(
            symbol for symbol, stream in books.items() if stream == StreamName.CRYPTO and symbol != "*"
        )

    def _poll(self) -> float:
        """Ask for all; seconds until the next look."""
        symbols, location = self._symbols, self._config.crypto_location
        if not symbols:
            return self._policy.books
        self._context.report(RestTask.BOOKS, phase=RestPhase.REQUESTING, done=0, of=len(symbols))
        try:
            missing = sum(self._take(batch, location) for batch in batches(symbols, STOCK_SYMBOLS_A_REQUEST))
        except RestError as error:
            self._context.report(RestTask.BOOKS, phase=RestPhase.FAILED, problems=(Problem.of(error),))
            return self._policy.again
        self._context.report(
            RestTask.BOOKS,
            phase=RestPhase.DONE,
            finished_at=self._context.now(),
            problems=(),
            done=len(symbols),
        )
        return self._policy.again if missing else self._policy.books

    def _take(self, symbols: list[str], location: str) -> int:
        """Ask for these, seed and compare; how many the stream itself has not brought yet."""
        context = self._context
        with context.lock:
            before = {symbol: context.state.books.view(symbol) for symbol in symbols}
        told = read_books(context.rest().latest_books(symbols, location))
        missing = 0
        with context.lock:
            # The answer itself says what time it is there.
            context.correct_clock()
            books, now_ns = context.state.books, context.market_ns()
            books.seed(told.values())
            for symbol in symbols:
                ours, rest, earlier = books.view(symbol), told.get(symbol), before[symbol]
                missing += ours is None or not ours.state.has_levels
                if ours is None or rest is None or earlier is None:
                    continue
                found = differences(earlier, ours, rest)
                if found:
                    log.warning("%s: REST says otherwise of the book at %s", symbol, found)
                if found is not None:
                    books.compared(symbol, differs=bool(found), now_ns=now_ns)
        return missing

    def _failed(self, error: Exception) -> float:
        self._context.report_failure(RestTask.BOOKS, error)
        return self._policy.again


_update: Final = converter(BookUpdate)


def read_books(rows: Mapping[str, Any]) -> dict[str, Book]:
    """REST's books by symbol; one that cannot be read is left out, and logged."""
    found: dict[str, Book] = {}
    for symbol, row in rows.items():
        try:
            update = _update({**row, "S": symbol, "T": "o"})
        except (msgspec.ValidationError, TypeError) as error:
            log.warning("REST's order book of %s cannot be read: %s", symbol, error)
            continue
        if are_possible(update.bids) and are_possible(update.asks):
            found[symbol] = _book_of(update)
    return found


def _book_of(update: BookUpdate) -> Book:
    """As it was asked for: its age is the exchange's, and nothing says that the stream goes on from it."""
    levels = OrderBook()
    levels.replace(update.bids, update.asks)
    return Book(
        update.symbol,
        BookState.WAITING,
        "rest",
        levels.bids.levels(),
        levels.asks.levels(),
        bid_levels=len(levels.bids),
        ask_levels=len(levels.asks),
        received_ns=update.timestamp_ns,
        made_ns=update.timestamp_ns,
    )
