"""Books recorded from the fake Breeze: whole ones of five levels, by symbol, and the same from the journal."""

from __future__ import annotations

from pathlib import Path

from options_helper.capture.runner import CaptureConfig, CaptureEngine
from options_helper.data.intraday.book_messages import book_messages
from options_helper.data.intraday.book_rows import BookStart
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.session_notes import session_notes
from options_helper.data.recording.verify import audit
from options_helper.data.streaming.breeze.source import BREEZE_BOOKS, BreezeSource
from options_helper.model.events import BookLevel
from options_helper.settings import Settings
from options_helper.simulator.breeze.server import BreezeServer
from options_helper.simulator.breeze.wire import Level, depth
from tests.kit.breeze import INDIAN_NOON, PATIENT, RELIANCE, config_for, settings_of
from tests.kit.rebuilt import partitions
from tests.kit.waiting import wait_until

SYMBOL = "NSE:RELIANCE"


def test_books_of_breeze_are_recorded_by_symbol_and_come_back_from_the_journal(tmp_path: Path):
    """Ticks name an instrument by a number that is used again; what is journaled has the symbol in front."""
    out = tmp_path / "recorded"
    with BreezeServer(now_ns=lambda: INDIAN_NOON) as server:
        source = BreezeSource(lambda: settings_of(server), PATIENT)
        engine = CaptureEngine(CaptureConfig(config_for(SYMBOL), out), Settings(), source=source)
        engine.start()
        try:
            token = RELIANCE.number.format(kind=2)
            wait_until(lambda: token in server.joined, saw=engine.status)
            for price in (100.0, 100.5):
                message = depth(RELIANCE, INDIAN_NOON // 10**9, [Level(price, 10)], [Level(price + 1, 20)])
                server.push(token, message)
            best = BookLevel(100.5, 10.0)
            wait_until(
                lambda: (book := engine.books().get(SYMBOL)) is not None and book.best_bid == best,
                saw=engine.books,
            )
        finally:
            engine.stop()

    (day,) = IntradayStore(out).list_days("books", "book_updates", SYMBOL)
    messages = list(book_messages(out, SYMBOL, day))
    assert [one.start for one in messages] == [BookStart.FEED, BookStart.FEED]
    assert [one.asks[0] for one in messages] == [BookLevel(101.0, 20.0), BookLevel(101.5, 20.0)]
    (note,) = session_notes(out)
    assert note.asked == {BREEZE_BOOKS: (SYMBOL,)}
    assert audit(out).problems == ()
    rebuild(out, tmp_path / "rebuilt")
    assert partitions(tmp_path / "rebuilt") == partitions(out)
