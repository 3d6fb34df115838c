"""REST's whole books beside the streamed ones: shown first, compared later, and never with what changed meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.account_watch import AccountWatch
from options_helper.data.streaming.polling.book_poller import read_books
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.errors import RestError
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.frames import Continuity
from options_helper.model.order_book import Book, BookState
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from tests.kit.books import Sizes, book_update
from tests.kit.fakes import NOON, SETTINGS
from tests.kit.waiting import wait_until

CRYPTO, BTC = StreamName.CRYPTO, "BTC/USD"


def told(bids: Sizes, asks: Sizes, at: str = "2026-11-05T17:00:01Z") -> dict[str, Any]:
    """A book as REST spells it."""
    return {
        "t": at,
        "b": [{"p": price, "s": size} for price, size in bids.items()],
        "a": [{"p": price, "s": size} for price, size in asks.items()],
    }


class Rest:
    """Answers with `books`; `meanwhile` happens while it is asked."""

    def __init__(self) -> None:
        self.books: dict[str, Any] = {}
        self.meanwhile: Callable[[], object] = lambda: None
        self.refuses = False
        self.asked: list[tuple[tuple[str, ...], str]] = []

    def __call__(self, *_: Any, **__: Any) -> Rest:
        return self

    def latest_books(self, pairs: list[str], location: str) -> dict[str, Any]:
        """The answer, of a moment before what happened meanwhile."""
        answer = dict(self.books)
        self.meanwhile()
        self.asked.append((tuple(pairs), location))
        if self.refuses:
            raise RestError("The exchange does not say.")
        return answer

    def calendar(self, *_: Any) -> list[Any]:
        return []

    def clock(self) -> dict[str, Any]:
        return {}

    def stop(self) -> None:
        """Nothing is under way."""


class Run:
    """A run that streams one coin's book, asked about as often as can be."""

    def __init__(self, policy: WatchPolicy, *symbols: str, location: str = "us") -> None:
        self.rest = Rest()
        self.state = LiveState(fills_cache_size=1)
        self.lock = threading.Lock()
        config = LiveStreamConfig(
            stream_fills=False,
            crypto=symbols or (BTC,),
            crypto_channels=("orderbooks",),
            crypto_location=location,
        )
        self.state.books.expect(config.book_symbols)
        self.watch = AccountWatch(
            config,
            SETTINGS,
            self.state,
            lock=self.lock,
            now_ns=lambda: NOON,
            rest_cls=self.rest,
            policy=policy,
        )

    def hear(self, bids: Sizes, asks: Sizes, *, reset: bool = False) -> None:
        """A message of the stream."""
        with self.lock:
            self.state.books.apply(CRYPTO, book_update(bids, asks, reset=reset), Continuity(1, 0))

    def book(self) -> Book:
        with self.lock:
            book = self.state.books.view(BTC)
        assert book is not None
        return book

    def until(self, fits: Callable[[Book], bool]) -> Book:
        wait_until(lambda: fits(self.book()), saw=self.book)
        return self.book()

    @contextmanager
    def started(self) -> Iterator[Run]:
        self.watch.start()
        try:
            yield self
        finally:
            self.watch.stop()


EAGER = WatchPolicy(initial_delay=0, books=0.01, again=0.01)


def test_what_changed_while_rest_was_asked_is_no_difference():
    """Its answer is of before; what stood still agrees, and that is what was verified."""
    run = Run(EAGER)
    sizes = count(2)
    run.hear({9.0: 1.0, 8.0: 2.0}, {10.0: 4.0}, reset=True)

    def change() -> None:
        size = next(sizes)
        run.rest.books = {BTC: told({9.0: size, 8.0: 2.0}, {10.0: 4.0})}
        run.hear({9.0: size}, {})

    run.rest.books = {BTC: told({9.0: 1.0, 8.0: 2.0}, {10.0: 4.0})}
    run.rest.meanwhile = change
    with run.started():
        book = run.until(lambda book: book.counts.verified > 3)

    assert (book.state, book.counts.differed) == (BookState.SYNCED, 0)


def test_a_level_that_stood_still_and_is_told_otherwise_twice_ends_the_book():
    run = Run(EAGER)
    run.hear({9.0: 1.0, 8.0: 2.0}, {10.0: 4.0}, reset=True)
    run.rest.books = {BTC: told({9.0: 7.0, 8.0: 2.0}, {10.0: 4.0})}
    with run.started():
        book = run.until(lambda book: book.state is BookState.UNSURE)

    assert (book.counts.differed, book.counts.verified) == (2, 0)
    assert "REST said otherwise" in book.reason


def test_rests_book_is_shown_until_the_streams_own_comes_and_is_asked_for_soon_again():
    """Every five minutes is for comparing; where a book is missing, it is asked sooner."""
    run = Run(WatchPolicy(initial_delay=0, books=10_000.0, again=0.01), BTC, location="eu-1")
    run.rest.books = {BTC: told({9.0: 7.0}, {10.0: 4.0})}
    with run.started():
        seed = run.until(lambda book: book.source == "rest")
        wait_until(lambda: len(run.rest.asked) > 2, saw=lambda: run.rest.asked)

    assert (seed.state, seed.bids[0].size) == (BookState.WAITING, 7.0)
    assert set(run.rest.asked) == {((BTC,), "eu-1")}


def test_a_book_is_asked_for_after_each_connection():
    run = Run(WatchPolicy(initial_delay=0, books=10_000.0, again=10_000.0))
    run.hear({9.0: 1.0}, {10.0: 4.0}, reset=True)
    with run.started():
        wait_until(lambda: run.watch.account_state.reports[RestTask.BOOKS].phase is RestPhase.DONE)
        asked = len(run.rest.asked)
        run.watch.observe({CRYPTO: StreamHealth(CRYPTO, phase=Phase.LIVE, connections=1)}, 0)
        wait_until(lambda: len(run.rest.asked) > asked, saw=lambda: run.rest.asked)


def test_a_question_that_fails_is_told_and_asked_again():
    run = Run(WatchPolicy(initial_delay=0, books=10_000.0, again=0.01))
    run.hear({9.0: 1.0}, {10.0: 4.0}, reset=True)
    run.rest.refuses = True

    def report() -> tuple[RestPhase, str | None]:
        told = run.watch.account_state.reports[RestTask.BOOKS]
        return told.phase, told.problem

    with run.started():
        wait_until(lambda: report() == (RestPhase.FAILED, "The exchange does not say."), saw=report)
        run.rest.refuses = False
        wait_until(lambda: report() == (RestPhase.DONE, None), saw=report)


@pytest.mark.parametrize(
    "row",
    [
        {"t": "2026-11-05T17:00:01Z", "b": "nothing", "a": []},
        None,
        told({9.0: -1.0}, {10.0: 4.0}),
        told({9.0: 1.0}, {0.0: 4.0}),
    ],
)
def test_a_book_of_rest_that_cannot_be_costs_itself(row: Any):
    assert set(read_books({"BAD/USD": row, BTC: told({9.0: 1.0}, {10.0: 4.0})})) == {BTC}
