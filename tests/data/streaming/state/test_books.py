"""When a book can be believed, what ends that, and when it is asked for anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.streaming.state.books import ASKED_ANEW, BookPolicy, Books, lost_books
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.model.events import BookLevel
from options_helper.model.frames import Continuity, Frame
from options_helper.model.instants import NANOSECONDS, utc_datetime
from options_helper.model.order_book import Book, BookState
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from tests.kit.books import Sizes, book_message, book_update
from tests.kit.fakes import NOON, frame, quote_message

CRYPTO = StreamName.CRYPTO
BTC, ETH = "BTC/USD", "ETH/USD"
AS_OF = utc_datetime(NOON)


def second(number: float) -> int:
    """That many seconds after noon."""
    return NOON + int(number * NANOSECONDS)


class Heard:
    """A stream that brings books, told message by message."""

    def __init__(self, policy: BookPolicy | None = None) -> None:
        self.books = Books(policy)
        self.books.expect({BTC: CRYPTO, ETH: CRYPTO})
        self.heard = Continuity(1, 0)

    def hear(self, bids: Sizes, asks: Sizes, *, at: float = 0.0, **more: Any) -> Book:
        update = book_update(bids, asks, received_ns=second(at), **more)
        self.books.apply(CRYPTO, update, self.heard)
        return self.book(update.symbol)

    def whole(self, *, at: float = 0.0, symbol: str = BTC) -> Book:
        return self.hear({100.0: 1.0, 99.0: 2.0}, {101.0: 3.0}, at=at, symbol=symbol, reset=True)

    def book(self, symbol: str = BTC) -> Book:
        book = self.books.view(symbol)
        assert book is not None
        return book

    def resyncs(self, at: float) -> list[str]:
        due = self.books.take_resyncs(second(at)).get(CRYPTO, [])
        self.books.renew(due, CRYPTO, ASKED_ANEW, second(at))
        return due


@pytest.fixture
def stream() -> Heard:
    return Heard()


def test_a_book_waits_for_its_reset_and_changes_before_it_only_count(stream: Heard):
    waiting = stream.hear({100.0: 1.0}, {})

    assert (waiting.state, waiting.bids) == (BookState.WAITING, ())
    assert (waiting.counts.messages, waiting.counts.unapplied) == (1, 1)

    synced = stream.whole(at=1)

    assert (synced.state, synced.best_bid, synced.best_ask) == (
        BookState.SYNCED,
        BookLevel(100.0, 1.0),
        BookLevel(101.0, 3.0),
    )
    assert (synced.bid_levels, synced.ask_levels, synced.source) == (2, 1, "crypto")


def test_a_change_sets_and_removes_levels(stream: Heard):
    stream.whole()

    book = stream.hear({100.0: 0.0, 99.5: 4.0}, {101.0: 7.0})

    assert book.bids == (BookLevel(99.5, 4.0), BookLevel(99.0, 2.0))
    assert book.asks == (BookLevel(101.0, 7.0),)


def test_a_new_connection_ends_what_was_known_until_the_next_reset(stream: Heard):
    """Never carried over a gap: what changed meanwhile was not heard."""
    stream.whole()
    stream.heard = Continuity(2, 0)

    book = stream.hear({99.0: 5.0}, {})

    assert (book.state, book.bids) == (BookState.WAITING, ())
    assert stream.whole().state is BookState.SYNCED


def test_dropped_frames_leave_all_books_of_their_stream_unsure(stream: Heard):
    stream.whole()
    stream.whole(symbol=ETH)
    stream.books.apply(
        StreamName.STOCKS, book_update({1.0: 1.0}, {}, symbol="X", reset=True), Continuity(1, 0)
    )

    stream.books.follow(CRYPTO, Continuity(1, 12), second(1))

    assert {stream.book(symbol).state for symbol in (BTC, ETH)} == {BookState.UNSURE}
    assert "dropped" in stream.book().reason
    assert stream.resyncs(1) == [BTC, ETH]


def test_what_was_heard_before_a_loss_cannot_mend_it(stream: Heard):
    """A frame that waited in the queue while later ones were dropped is not the book's newest word."""
    stream.books.follow(CRYPTO, Continuity(1, 12), second(1))

    assert stream.whole().state is BookState.WAITING

    stream.heard = Continuity(1, 12)
    assert stream.whole(at=2).state is BookState.SYNCED


def test_a_crossed_book_is_asked_for_after_two_seconds_and_once_a_minute(stream: Heard):
    stream.whole()
    crossed = stream.hear({101.0: 1.0}, {}, at=1)

    assert (crossed.state, crossed.since_ns, len(crossed.bids)) == (BookState.CROSSED, second(1), 3)
    assert stream.resyncs(2.9) == []
    assert stream.resyncs(3.1) == [BTC]
    assert stream.resyncs(63) == []
    assert stream.resyncs(63.2) == [BTC]
    assert stream.book().counts.resyncs == 2


def test_a_crossed_book_that_is_asked_for_is_nothing_to_go_by_until_its_reset(stream: Heard):
    """What changed between the two requests reached nobody, and a change that uncrosses it does not bring that back."""
    stream.whole()
    stream.hear({101.0: 1.0}, {}, at=1)
    stream.resyncs(4)

    book = stream.hear({}, {101.0: 0.0, 102.0: 1.0}, at=5)

    assert (book.state, book.bids, book.counts.unapplied) == (BookState.UNSURE, (), 1)
    assert stream.whole(at=6).state is BookState.SYNCED


def test_what_was_missed_on_the_last_connection_is_no_reason_to_ask_on_this_one(stream: Heard):
    stream.hear({100.0: 1.0}, {}, at=0)
    stream.books.follow(CRYPTO, Continuity(2, 0), second(9))

    assert stream.resyncs(9.1) == []
    assert stream.book().since_ns == second(9)


@pytest.mark.parametrize("spelling", [" btc/usd", "Btc/USD"])
def test_a_book_is_found_in_any_spelling(stream: Heard, spelling: str):
    stream.whole()

    assert stream.books.view(spelling) == stream.book()
    assert len(stream.books.history(spelling, 5)) == 1


def test_a_book_that_crosses_for_a_moment_is_left_alone(stream: Heard):
    stream.whole()
    stream.hear({101.0: 1.0}, {}, at=1)

    assert stream.hear({}, {101.0: 0.0, 102.0: 1.0}, at=2).state is BookState.SYNCED
    assert stream.resyncs(60) == []


def test_a_locked_book_is_crossed(stream: Heard):
    assert stream.hear({100.0: 1.0}, {100.0: 1.0}, reset=True).state is BookState.CROSSED


def test_changes_without_a_reset_are_reason_to_ask_and_silence_is_not(stream: Heard):
    stream.hear({100.0: 1.0}, {}, at=0)

    assert stream.resyncs(4.9) == []
    assert stream.resyncs(5.1) == [BTC]


def test_a_message_that_is_older_than_the_last_counts_as_late_and_is_applied(stream: Heard):
    stream.whole(at=5)

    book = stream.hear({100.0: 9.0}, {}, at=6, made_ns=second(4))

    assert (book.counts.late, book.best_bid) == (1, BookLevel(100.0, 9.0))


def test_the_age_is_that_of_the_symbols_last_message(stream: Heard):
    stream.whole(at=1)
    stream.whole(at=9, symbol=ETH)

    assert stream.book().age_seconds(AS_OF + timedelta(seconds=11)) == 10.0


def test_a_symbol_that_is_wanted_no_longer_is_forgotten(stream: Heard):
    stream.whole()

    stream.books.expect({ETH: CRYPTO})
    stream.books.apply(CRYPTO, book_update({1.0: 1.0}, {}, reset=True), stream.heard)

    assert stream.books.view(BTC) is None
    assert list(stream.books.views(1)) == [ETH]


def test_a_star_keeps_whatever_comes():
    books = Books()
    books.expect({"*": CRYPTO})

    books.apply(CRYPTO, book_update({1.0: 1.0}, {}, reset=True), Continuity())

    assert list(books.views(1)) == [BTC]


def test_the_history_has_one_book_an_interval_and_tells_where_it_was_lost():
    stream = Heard(BookPolicy(interval_ns=NANOSECONDS, kept=4, levels=1))
    stream.whole(at=0)
    stream.hear({100.0: 2.0}, {}, at=0.5)
    stream.hear({100.0: 3.0}, {}, at=1)
    stream.heard = Continuity(2, 0)
    stream.hear({100.0: 4.0}, {}, at=2)
    stream.whole(at=3)

    history = stream.books.history(BTC, 10)

    assert [(book.state, book.bids) for book in history] == [
        (BookState.SYNCED, (BookLevel(100.0, 1.0),)),
        (BookState.WAITING, ()),
        (BookState.SYNCED, (BookLevel(100.0, 3.0),)),
        (BookState.SYNCED, (BookLevel(100.0, 1.0),)),
    ]
    assert history[0].bid_levels == 2
    assert [book.received_ns for book in stream.books.history(BTC, 1)] == [second(3)]
    assert stream.books.history("DOGE/USD", 1) == ()


def test_books_of_a_stream_that_is_not_connected_are_lost(stream: Heard):
    stream.whole()
    lost = lost_books([StreamHealth(CRYPTO, phase=Phase.RECONNECTING), StreamHealth(StreamName.STOCKS)])

    book = stream.books.views(5, lost)[BTC]

    assert (book.state, book.bids, book.bid_levels) == (BookState.LOST, (), 0)
    assert (
        book.why_not(AS_OF, 5.0)
        == "The order book of BTC/USD is lost. Its stream is not connected (reconnecting)."
    )
    assert stream.book().state is BookState.SYNCED


def test_rest_shows_a_book_that_has_not_come_and_proves_nothing(stream: Heard):
    seed = Book(
        BTC, BookState.WAITING, "rest", bids=(BookLevel(98.0, 1.0),), bid_levels=1, made_ns=second(-3)
    )

    stream.books.seed([seed, Book(ETH, BookState.WAITING, "rest")])
    shown = stream.book()

    assert (shown.state, shown.source, shown.bids) == (BookState.WAITING, "rest", seed.bids)
    assert shown.why_not(AS_OF, 60.0) == "The order book of BTC/USD is waiting."
    assert stream.whole().source == "crypto"


def test_rest_does_not_replace_the_streams_own(stream: Heard):
    stream.whole()
    stream.books.seed([Book(BTC, BookState.WAITING, "rest")])

    assert stream.book().source == "crypto"


def test_two_differences_from_rest_running_are_believed(stream: Heard):
    stream.whole()
    for differs in (True, False, True):
        stream.books.compared(BTC, differs=differs, now_ns=second(1))
    assert stream.book().state is BookState.SYNCED

    stream.books.compared(BTC, differs=True, now_ns=second(2))

    book = stream.book()
    assert (book.state, book.bids) == (BookState.UNSURE, ())
    assert (book.counts.verified, book.counts.differed) == (1, 3)
    assert stream.resyncs(2) == [BTC]


def test_a_difference_from_before_a_reset_says_nothing_of_the_book_after_it(stream: Heard):
    stream.whole()
    stream.books.compared(BTC, differs=True, now_ns=second(1))
    stream.whole(at=2)
    stream.books.compared(BTC, differs=True, now_ns=second(3))

    assert stream.book().state is BookState.SYNCED


def test_a_clock_that_was_set_changes_no_age(stream: Heard):
    stream.whole()

    stream.books.receive_later(3_600 * NANOSECONDS)

    assert stream.book().age_seconds(AS_OF + timedelta(hours=1)) == 0.0
    (kept,) = stream.books.history(BTC, 5)
    assert kept == stream.book()


def test_the_same_symbol_on_another_stream_is_no_message_of_this_book(stream: Heard):
    stream.whole()
    other = book_update({500.0: 1.0}, {501.0: 1.0}, reset=True)
    stream.books.apply(StreamName.STOCKS, other, Continuity(1, 0))

    assert (stream.book().best_bid, stream.book().counts.messages) == (BookLevel(100.0, 1.0), 1)

    whoever_comes = Books()
    for of in (CRYPTO, StreamName.STOCKS):
        whoever_comes.apply(of, book_update({1.0: 1.0}, {2.0: 1.0}, reset=True), Continuity(1, 0))
    found = whoever_comes.view(BTC)
    assert found is not None
    assert (found.source, found.counts.messages) == ("crypto", 1)


def test_a_clock_that_was_set_makes_nobody_ask_sooner(stream: Heard):
    stream.hear({100.0: 1.0}, {}, at=0)
    assert stream.resyncs(6) == [BTC]
    stream.books.receive_later(1_000 * NANOSECONDS)

    assert stream.resyncs(1_065.9) == []
    assert stream.resyncs(1_066.1) == [BTC]


def test_another_session_begins_without_a_book(stream: Heard):
    stream.whole()

    stream.books.forget()

    assert (stream.book().state, stream.book().received_ns) == (BookState.WAITING, None)


def folded(*messages: Any) -> LiveState:
    state = LiveState(fills_cache_size=1)
    for part in messages:
        payload = frame(part)
        state.apply(Frame(CRYPTO, payload, 1, NOON, Continuity(1, 0)))
    return state


def test_the_fold_keeps_books_beside_quotes():
    state = folded(book_message({9.0: 1.5}, {10.0: 2.0}, reset=True), quote_message(BTC, bid=9.0, ask=10.0))

    snapshot = state.snapshot(NOON, running=True, running_since=None, streams={})

    assert snapshot.books[BTC].bids == (BookLevel(9.0, 1.5),)
    assert snapshot.quotes[BTC].bid_price == 9.0
    assert state.tallies[CRYPTO].applied == 2


@pytest.mark.parametrize(
    "level", [{"p": -9.0, "s": 1.0}, {"p": 9.0, "s": -1.0}, {"p": float("nan"), "s": 1.0}]
)
def test_a_level_that_cannot_be_costs_its_message_and_the_trust_in_its_book(level: dict[str, float]):
    bad = {**book_message({}, {}), "b": [level]}
    state = folded(
        book_message({9.0: 1.5}, {}, reset=True), book_message({8.0: 1.0}, {}, symbol=ETH, reset=True), bad
    )

    books = state.books.views(5)

    assert (state.tallies[CRYPTO].applied, state.tallies[CRYPTO].rejected) == (2, 1)
    assert (books[BTC].state, books[ETH].state) == (BookState.UNSURE, BookState.SYNCED)


def test_a_frame_that_cannot_be_read_leaves_every_book_in_doubt():
    state = folded(book_message({9.0: 1.5}, {}, reset=True))

    state.apply(Frame(CRYPTO, b"\x91\xc1", 1, NOON, Continuity(1, 0)))

    assert state.books.views(5)[BTC].state is BookState.UNSURE


def test_a_trade_that_cannot_be_read_leaves_books_alone():
    state = folded(book_message({9.0: 1.5}, {}, reset=True), {"T": "t", "S": BTC, "p": "much"})

    assert state.books.views(5)[BTC].state is BookState.SYNCED


PRICES = st.integers(1, 6).map(float)
SIDE = st.dictionaries(PRICES, st.sampled_from([0.0, 1.0, 2.0]), max_size=3)
HAPPENINGS = st.sampled_from(["heard", "heard", "heard", "reset", "dropped", "reconnected", "overtaken"])


@given(st.lists(st.tuples(HAPPENINGS, SIDE), max_size=40))
def test_a_book_that_has_levels_has_all_that_the_exchange_has(
    happenings: list[tuple[str, dict[float, float]]],
):
    """Whatever is lost, and however late it is noticed: it shows the truth as of its last message, or nothing."""
    books, heard, truth = Books(), Continuity(1, 0), dict[float, float]()
    for happened, change in happenings:
        truth.update(change)
        truth = {price: size for price, size in truth.items() if size}
        before = heard
        if happened in ("dropped", "overtaken"):
            heard = heard._replace(dropped=heard.dropped + 1)
        elif happened == "reconnected":
            heard = Continuity(heard.connection + 1, heard.dropped)
        if happened == "overtaken":
            # The loss is noticed before what was queued ahead of it is folded.
            books.follow(CRYPTO, heard, NOON)
            books.apply(CRYPTO, book_update(change, {}), before)
        elif happened == "heard":
            books.apply(CRYPTO, book_update(change, {}), heard)
        elif happened == "reset":
            books.apply(CRYPTO, book_update(truth, {}, reset=True), heard)
        book = books.view(BTC)
        if happened in ("heard", "reset") and book is not None and book.state.has_levels:
            assert {level.price: level.size for level in book.bids} == truth
