"""Order books through the real client: whole, aged, lost with the connection, and asked for anew where they cross."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.model.events import BookLevel
from options_helper.model.instants import utc_datetime
from options_helper.model.order_book import Book, BookState
from options_helper.model.portfolio import Portfolio
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.books import book_message
from tests.kit.fakes import NOON
from tests.kit.simulated import PATIENT_REST, settings_for
from tests.kit.waiting import FOREVER, wait_until

Simulators = Callable[..., SimulatorServer]

BTC = "BTC/USD"
CONFIG = LiveStreamConfig(
    stream_fills=False, crypto=(BTC,), crypto_channels=("orderbooks",), reconnect_base_seconds=0.01
)
WHOLE = book_message({9.0: 1.5, 8.0: 2.0}, {10.0: 4.0}, reset=True)


@contextmanager
def streaming_books(server: SimulatorServer, **options: Any) -> Iterator[LiveStreamManager]:
    manager = LiveStreamManager(settings_for(server), **{"rest_cls": None, **options})
    manager.start(CONFIG)
    try:
        wait_until(lambda: server.subscribed(StreamName.CRYPTO, "orderbooks"), saw=manager.snapshot)
        yield manager
    finally:
        manager.stop()


def await_book(manager: LiveStreamManager, fits: Callable[[Book], bool]) -> Book:
    def found() -> Book | None:
        book = manager.snapshot().books.get(BTC)
        return book if book is not None and fits(book) else None

    book = wait_until(found, saw=manager.snapshot)
    assert book is not None
    return book


def test_a_book_is_there_from_its_reset_on_and_until_its_connection_ends(running_simulator: Simulators):
    server = running_simulator(SilentMarket(start_ns=NOON))
    with streaming_books(server) as manager:
        assert manager.latest_book(BTC) is None
        heard: list[Book] = []
        listener = manager.on_book(BTC, heard.append)
        manager.on_book("ETH/USD", heard.append)
        server.push(StreamName.CRYPTO, [WHOLE])
        server.push(StreamName.CRYPTO, [book_message({9.5: 3.0, 8.0: 0.0}, {})])
        await_book(manager, lambda book: book.counts.messages == 2)
        wait_until(lambda: listener.stats.delivered == 2, saw=lambda: listener.stats)
        assert [book.best_bid for book in heard] == [BookLevel(9.0, 1.5), BookLevel(9.5, 3.0)]

        book = manager.latest_book(BTC, FOREVER)
        assert book is not None
        assert (book.bids, book.asks) == ((BookLevel(9.5, 3.0), BookLevel(9.0, 1.5)), (BookLevel(10.0, 4.0),))
        assert manager.why_no_book(BTC, FOREVER) is None
        assert manager.latest_book(BTC, -1.0) is None
        assert "are allowed" in (manager.why_no_book(BTC, -1.0) or "")
        assert manager.book_history(BTC, 9)[-1].best_bid == BookLevel(9.0, 1.5)

        server.disconnect_all(stream=StreamName.CRYPTO)
        await_book(manager, lambda book: not book.state.has_levels)
        assert manager.latest_book(BTC, FOREVER) is None
        wait_until(
            lambda: manager.snapshot().streams[StreamName.CRYPTO].connections == 2, saw=manager.snapshot
        )

        server.push(StreamName.CRYPTO, [book_message({7.0: 1.0}, {})])
        waiting = await_book(manager, lambda book: book.counts.unapplied == 1)
        assert (waiting.state, waiting.bids) == (BookState.WAITING, ())
        server.push(StreamName.CRYPTO, [WHOLE])
        assert await_book(manager, lambda book: book.state.has_levels).bid_levels == 2

    assert (
        manager.why_no_book(BTC)
        == "The order book of BTC/USD is lost. Its stream is not connected (stopped)."
    )


def test_what_cannot_be_believed_is_subscribed_anew_on_the_open_connection(running_simulator: Simulators):
    server = running_simulator(SilentMarket(start_ns=NOON))
    with streaming_books(server) as manager:
        server.push(StreamName.CRYPTO, [WHOLE])
        server.push(StreamName.CRYPTO, [{**book_message({}, {}), "b": [{"p": -1.0, "s": 1.0}]}])

        asked = await_book(manager, lambda book: book.counts.resyncs == 1)
        assert asked.state is BookState.UNSURE

        def synced() -> bool:
            # What comes between the two requests reaches nobody, so it is said until it is heard.
            server.push(StreamName.CRYPTO, [WHOLE])
            return manager.snapshot().books[BTC].state is BookState.SYNCED

        wait_until(synced, saw=manager.snapshot)
        assert manager.snapshot().streams[StreamName.CRYPTO].connections == 1


def test_asking_anew_brings_the_whole_book_without_another_word(running_simulator: Simulators):
    """A market that sends the whole book to whoever subscribes: nothing else can make this one whole again."""
    server = running_simulator(SeededMarket(Portfolio(positions=()), seed=7))
    with streaming_books(server) as manager:
        await_book(manager, lambda book: book.state is BookState.SYNCED)
        server.push(StreamName.CRYPTO, [{**book_message({}, {}), "b": [{"p": -1.0, "s": 1.0}]}])
        await_book(manager, lambda book: book.counts.resyncs == 1)

        book = await_book(manager, lambda book: book.state is BookState.SYNCED)
        assert (book.counts.resyncs, len(book.bids)) == (1, len(book.asks))
        assert manager.snapshot().streams[StreamName.CRYPTO].connections == 1


def test_what_is_not_streamed_has_no_book_and_the_reason_is_said():
    manager = LiveStreamManager(rest_cls=None)

    assert manager.latest_book(BTC) is None
    assert manager.why_no_book(BTC) == "Nothing is streamed now, so there is no order book."
    assert manager.book_history(BTC) == ()


# A thousand seconds of this market pass in one of ours: what is due after some seconds is due at once.
QUICK = SilentMarket(start_ns=NOON, speed=1_000.0)


@pytest.mark.parametrize(
    ("fault", "state"), [("book-crossed", BookState.UNSURE), ("book-without-reset", BookState.WAITING)]
)
def test_a_book_that_the_server_spoils_is_asked_for_anew(
    running_simulator: Simulators, fault: str, state: BookState
):
    server = running_simulator(QUICK, faults=Faults.parse([fault]))
    with streaming_books(server) as manager:
        server.push(StreamName.CRYPTO, [WHOLE])
        server.push(StreamName.CRYPTO, [book_message({9.0: 2.0}, {10.0: 2.0})])

        assert await_book(manager, lambda book: book.counts.resyncs > 0).state is state


# Asked at once, and again and again.
EAGER: dict[str, Any] = {
    "rest_cls": partial(AlpacaRest, policy=PATIENT_REST),
    "watch": WatchPolicy(initial_delay=0.0, books=0.05, again=0.05),
}


def test_rest_shows_a_book_before_the_streams_own_and_verifies_it_afterwards(running_simulator: Simulators):
    server = running_simulator(SilentMarket(start_ns=NOON))
    server.push(StreamName.CRYPTO, [WHOLE])
    with streaming_books(server, **EAGER) as manager:
        seed = await_book(manager, lambda book: book.source == "rest")
        assert (seed.state, seed.bid_levels, seed.exchange_at) == (BookState.WAITING, 2, utc_datetime(NOON))
        assert manager.latest_book(BTC, FOREVER) is None

        server.push(StreamName.CRYPTO, [WHOLE])
        verified = await_book(manager, lambda book: book.counts.verified > 0)
        assert (verified.source, verified.counts.differed) == ("crypto", 0)


def test_a_lost_change_is_found_by_rest_and_the_book_is_asked_for_anew(running_simulator: Simulators):
    server = running_simulator(SilentMarket(start_ns=NOON), faults=Faults.parse(["book-loses=1"]))
    with streaming_books(server, **EAGER) as manager:
        server.push(StreamName.CRYPTO, [WHOLE])
        await_book(manager, lambda book: book.state is BookState.SYNCED)
        server.push(StreamName.CRYPTO, [book_message({9.0: 7.0}, {})])

        doubted = await_book(manager, lambda book: book.counts.resyncs > 0)
        assert doubted.counts.differed >= 2
        assert "REST said otherwise" in doubted.reason
