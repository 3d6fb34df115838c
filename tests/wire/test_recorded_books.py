"""Books recorded from a real socket: never over a cut, asked for anew, and the same from the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, groupby
from pathlib import Path

from msgspec import msgpack

from options_helper.capture.runner import CaptureConfig, CaptureEngine
from options_helper.clock import utc_now_ns
from options_helper.data.intraday.book_messages import book_messages
from options_helper.data.intraday.book_rows import BookStart
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.journal import (
    Record,
    RecordKind,
    break_record,
    facts_record,
    journal_files,
    read_records,
)
from options_helper.data.recording.loss_log import loss_rows
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.verify import audit
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.model.events import BookLevel
from options_helper.model.order_book import Book, BookState
from options_helper.model.streams import StreamName
from options_helper.simulator.market.book_walk import BookWalk
from options_helper.simulator.market.market import Interest, SilentMarket
from options_helper.simulator.market.replay import ReplayMarket
from options_helper.simulator.server import SimulatorServer
from tests.data.recording.test_rebuild import record_session
from tests.kit.books import book_message
from tests.kit.fakes import NOON
from tests.kit.rebuilt import partitions
from tests.kit.simulated import settings_for
from tests.kit.waiting import wait_until
from tests.wire.test_order_books import streaming_books

Simulators = Callable[..., SimulatorServer]

CRYPTO, BTC = StreamName.CRYPTO, "BTC/USD"
CONFIG = LiveStreamConfig(
    stream_fills=False, crypto=(BTC,), crypto_channels=("orderbooks",), reconnect_base_seconds=0.01
)
SESSION = {"flush_events": 500, "flush_seconds": 1.0}
WHOLE = book_message({9.0: 1.5, 8.0: 2.0}, {10.0: 4.0}, reset=True)


@contextmanager
def recording(
    server: SimulatorServer, out: Path, now_ns: Callable[[], int] = utc_now_ns
) -> Iterator[CaptureEngine]:
    engine = CaptureEngine(CaptureConfig(CONFIG, out), settings_for(server), now_ns=now_ns)
    engine.start()
    try:
        wait_until(lambda: server.subscribed(CRYPTO, "orderbooks"), saw=engine.status)
        yield engine
    finally:
        engine.stop()


def await_book(engine: CaptureEngine, fits: Callable[[Book], bool]) -> None:
    wait_until(lambda: (book := engine.books().get(BTC)) is not None and fits(book), saw=engine.books)


def test_a_cut_connection_ends_the_book_in_the_files_too(running_simulator: Simulators, tmp_path: Path):
    server, out = running_simulator(SilentMarket()), tmp_path / "recorded"
    with recording(server, out) as engine:
        server.push(CRYPTO, [WHOLE])
        await_book(engine, lambda book: book.best_bid == BookLevel(9.0, 1.5))
        server.disconnect_all(stream=CRYPTO)
        wait_until(lambda: engine.status().streams[CRYPTO].connections == 2, saw=engine.status)
        wait_until(lambda: server.subscribed(CRYPTO, "orderbooks"), saw=engine.status)

        server.push(CRYPTO, [book_message({7.0: 1.0}, {})])
        await_book(engine, lambda book: book.state is BookState.WAITING and book.counts.unapplied == 1)
        server.push(CRYPTO, [WHOLE])
        await_book(engine, lambda book: book.state is BookState.SYNCED)

    days = IntradayStore(out).list_days("books", "book_updates", BTC)
    starts = [one.start for day in days for one in book_messages(out, BTC, day)]
    # A test that runs over midnight has a file more.
    assert [start for start in starts if start is not BookStart.CARRIED] == [
        BookStart.FEED,
        BookStart.LOST,
        BookStart.NOT,
        BookStart.FEED,
    ]
    assert [row.stream for row in loss_rows(out)] == ["crypto"]
    assert audit(out).problems == ()
    rebuild(out, tmp_path / "rebuilt")
    assert partitions(tmp_path / "rebuilt") == partitions(out)


def test_however_long_the_end_takes_the_journal_gives_the_same_files_again(
    running_simulator: Simulators, tmp_path: Path
):
    """Rows are settled before the last records are written, and each look at this clock is a second later."""
    server, out = running_simulator(SilentMarket()), tmp_path / "recorded"
    seconds = count(NOON, 1_000_000_000)
    with recording(server, out, now_ns=lambda: next(seconds)) as engine:
        server.push(CRYPTO, [WHOLE])
        await_book(engine, lambda book: book.state is BookState.SYNCED)

    rebuild(out, tmp_path / "rebuilt")
    assert partitions(tmp_path / "rebuilt") == partitions(out)
    assert audit(out).problems == ()


def test_what_cannot_be_believed_is_asked_for_anew_while_it_is_recorded(
    running_simulator: Simulators, tmp_path: Path
):
    server = running_simulator(SilentMarket())
    with recording(server, tmp_path) as engine:
        server.push(CRYPTO, [WHOLE])
        server.push(CRYPTO, [{**book_message({}, {}), "b": [{"p": -1.0, "s": 1.0}]}])
        await_book(engine, lambda book: book.counts.resyncs == 1)

        def synced() -> bool:
            # What comes between the two requests reaches nobody, so it is said until it is heard.
            server.push(CRYPTO, [WHOLE])
            return engine.books()[BTC].state is BookState.SYNCED

        wait_until(synced, saw=engine.books)
        assert engine.status().streams[CRYPTO].connections == 1


def test_a_book_that_stays_crossed_begins_anew_in_the_files_as_it_does_live(
    running_simulator: Simulators, tmp_path: Path
):
    """Capture, journal and rebuild say the same: from the asking on it is no book until the whole one comes."""
    server, out = running_simulator(SilentMarket()), tmp_path / "recorded"
    with recording(server, out) as engine:
        server.push(CRYPTO, [WHOLE])
        await_book(engine, lambda book: book.state is BookState.SYNCED)
        server.push(CRYPTO, [book_message({11.0: 1.0}, {})])
        await_book(engine, lambda book: book.counts.resyncs == 1 and book.state is BookState.UNSURE)

        def synced() -> bool:
            # What comes between the two requests reaches nobody, so it is said until it is heard.
            server.push(CRYPTO, [WHOLE])
            return engine.books()[BTC].state is BookState.SYNCED

        wait_until(synced, saw=engine.books)

    breaks = [one.facts for one in read_records(journal_files(out)) if one.kind is RecordKind.BREAK]
    assert [(facts["stream"], facts["symbols"]) for facts in breaks] == [("crypto", [BTC])]
    days = IntradayStore(out).list_days("books", "book_updates", BTC)
    starts = [one.start for day in days for one in book_messages(out, BTC, day)]
    # The whole one may be heard more than once, and a test that runs over midnight has a file more.
    told = [start for start, _ in groupby(starts) if start is not BookStart.CARRIED]
    assert told == [BookStart.FEED, BookStart.NOT, BookStart.LOST, BookStart.FEED]
    assert audit(out).problems == ()
    rebuild(out, tmp_path / "rebuilt")
    assert partitions(tmp_path / "rebuilt") == partitions(out)


def test_a_recorded_book_is_played_again_to_the_real_client(running_simulator: Simulators, tmp_path: Path):
    """What was lost while it was recorded is not played either: the book goes on with the next whole one."""
    walk, records = BookWalk(BTC, seed=7), [facts_record(RecordKind.SESSION, NOON, SESSION)]
    for number in range(20):
        at_ns = NOON + number * 1_000_000
        if number == 10:
            records.append(break_record(at_ns, CRYPTO, "cut", connected=True))
        message = walk.whole_book(at_ns) if number == 15 else walk.next_message(at_ns)
        records.append(Record(RecordKind.FRAME, at_ns, msgpack.encode([message]), CRYPTO, 1))
    record_session(tmp_path, "one", [*records, facts_record(RecordKind.END, NOON + 10**9, {"streams": {}})])

    played = ReplayMarket(tmp_path, speed=0)
    assert sum(len(step.messages) for step in played.steps(Interest())) == 15
    with streaming_books(running_simulator(played)) as manager:
        last = walk.whole_book(0)
        best = BookLevel(last["b"][0]["p"], last["b"][0]["s"])
        wait_until(
            lambda: (book := manager.snapshot().books[BTC]).counts.messages == 15 and book.best_bid == best,
            saw=manager.snapshot,
        )
