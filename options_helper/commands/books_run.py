"""Show order books in a terminal, and record them where a folder is named, until a signal or the duration ends it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from options_helper.capture.runner import CaptureConfig, CaptureEngine
from options_helper.clock import elapsed_seconds, utc_now
from options_helper.commands.books_display import BooksDisplay, open_books_display
from options_helper.commands.books_view import BooksView, refusals, truth_words
from options_helper.commands.books_watch import BooksWatch
from options_helper.commands.capture_session import CaptureSession, Ending, Signals
from options_helper.commands.capture_troubles import troubles_of
from options_helper.commands.shutdown_signals import ShutdownSignals
from options_helper.data.intraday.layout import kinds_of
from options_helper.data.recording.book_recorder import BookSampling
from options_helper.data.recording.latest_books import LatestBooks
from options_helper.data.recording.session_notes import session_notes
from options_helper.data.recording.status import CaptureStatus
from options_helper.data.streaming.engine.stream_source import StreamSource
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.errors import ConfigError
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId
from options_helper.model.text import format_count
from options_helper.monitoring.heartbeat import Role
from options_helper.monitoring.heartbeat_file import CAPTURE_FILE, forget_heartbeats, remember_run
from options_helper.monitoring.heartbeat_writer import HeartbeatWriter
from options_helper.monitoring.run_report import process_lives
from options_helper.monitoring.stream_holders import market_key
from options_helper.settings import Settings


@dataclass(frozen=True, slots=True)
class BooksRequest:
    """Everything the command line says. `source` brings `stream`, which `config` asks for; `label` names both.

    `market` says whose books they are where another than Alpaca's handshake tells: its provider, `local`, `simulated`.
    """

    source: StreamSource
    stream: StreamId
    config: LiveStreamConfig
    label: str
    sampling: BookSampling
    duration_seconds: float | None = None
    market: str | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """Whose books."""
        return self.config.symbols(self.stream)

    def market_of(self, told: MarketKind) -> str:
        """Whose market it is, in a word, where Alpaca's side has told this."""
        return self.market or str(told)

    def whose(self, told: MarketKind) -> str:
        """The same with the label, for people; no market but the provider's own goes without a word."""
        match self.market_of(told):
            case self.stream.provider:
                return self.label
            case MarketKind.LOCAL:
                return f"{self.label} (NOT {self.stream.provider.upper()}: a market on this computer)"
            case market:
                return f"{self.label} ({market.upper()} MARKET)"


class Feed(Protocol):
    """Where the books that are shown come from."""

    @property
    def elapsed(self) -> float:
        """Seconds since it began, by its own clock."""

    @property
    def has_failed(self) -> bool:
        """Whether nothing more will come."""

    def look(self) -> BooksView:
        """The books as they are now."""


class LiveFeed:
    """A run of streams without a recording."""

    def __init__(self, request: BooksRequest, manager: LiveStreamManager) -> None:
        self._request = request
        self._manager = manager
        self._began = elapsed_seconds()

    @property
    def elapsed(self) -> float:
        """By this computer's."""
        return elapsed_seconds() - self._began

    @property
    def health(self) -> StreamHealth:
        """How the stream is."""
        return self._manager.snapshot().streams[self._request.stream]

    @property
    def has_failed(self) -> bool:
        """One that is refused is tried again for as long as the run lasts, so its thread lives."""
        health = self.health
        return health.phase is Phase.FAILED and not health.alive

    def look(self) -> BooksView:
        """Of one snapshot."""
        snapshot, request = self._manager.snapshot(), self._request
        health = snapshot.streams[request.stream]
        truth = truth_words(health, request.whose(snapshot.market), snapshot.as_of)
        return BooksView(snapshot.as_of, request.symbols, snapshot.books, truth, refusals(health))


def run_books(request: BooksRequest, settings: Settings, out: Path | None) -> int:
    """Show, and record where there is a folder, until something ends it; the exit code. Blocks, on the main thread."""
    if out is not None:
        require_same_books(out, request)
    with ShutdownSignals() as shutdown, open_books_display(request.sampling.levels) as display:
        signals = Signals(shutdown)
        if out is not None:
            return _record(request, out, settings, signals, display)
        return _show(request, settings, signals, display)


def rehearse(feed: Feed, request: BooksRequest) -> int:
    """Show the books of a feed that can lose nothing; the exit code."""
    with ShutdownSignals() as shutdown, open_books_display(request.sampling.levels) as display:
        books = BooksWatch()
        ending = watch(feed, request, Signals(shutdown), display, books)
        display.conclude(feed.look())
        return conclude(display, ending, books, [])


def require_same_books(out: Path, request: BooksRequest) -> None:
    """ConfigError where the folder has books of another place: a symbol's file would be of both."""
    wanted = (str(request.stream), request.config.feed(request.stream))
    for note in session_notes(out):
        for stream in note.asked:
            there = (str(stream), note.feeds.get(stream, ""))
            if "books" in kinds_of(stream) and there != wanted:
                raise ConfigError(
                    f"{out} has order books of {' '.join(there)}, and those of {' '.join(wanted)} would be in the same "
                    "files. Record them into a folder of their own."
                )


def watch(
    feed: Feed, request: BooksRequest, signals: Signals, display: BooksDisplay, books: BooksWatch
) -> Ending:
    """Show the books at a steady pace until it has to end; `books` sees them too."""
    limit, due = request.duration_seconds, elapsed_seconds()
    while True:
        view = feed.look()
        books.see(view, feed.elapsed)
        display.show(view)
        if limit is not None and feed.elapsed >= limit:
            return Ending.DURATION
        due += request.sampling.interval_seconds
        if signals.wait(due - elapsed_seconds()):
            return Ending.SIGNAL
        if feed.has_failed:
            return Ending.FAILED


def _show(request: BooksRequest, settings: Settings, signals: Signals, display: BooksDisplay) -> int:
    manager = LiveStreamManager(settings, source=request.source)
    manager.start(request.config)
    try:
        feed, books = LiveFeed(request, manager), BooksWatch()
        ending = watch(feed, request, signals, display, books)
        view, health = feed.look(), feed.health
        books.see(view, feed.elapsed)
    finally:
        manager.stop()
    display.conclude(view)
    return conclude(display, ending, books, _losses(health))


def _record(
    request: BooksRequest, out: Path, settings: Settings, signals: Signals, display: BooksDisplay
) -> int:
    config = CaptureConfig(request.config, out, books=request.sampling)
    engine = CaptureEngine(config, settings, source=request.source)
    session = CaptureSession(
        engine,
        signals,
        now=utc_now,
        limit=request.duration_seconds,
        is_closed=None,
        every_seconds=request.sampling.interval_seconds,
    )
    state = out / CAPTURE_FILE
    beats = HeartbeatWriter(
        state, engine.status, market=settings.market_kind, market_key=market_key(settings)
    )
    with session, beats:
        shown = _Recorded(request, engine, LatestBooks(out, request.label), display)
        with suppress(RuntimeError):  # a user without a home
            forget_heartbeats(process_lives)
            remember_run(state, Role.CAPTURE)
        ending = session.watch(shown, lambda *_: None)
        shown.close(engine.status())
        complete = session.drain(shown)
    status = engine.status()
    view = shown.view(status)
    shown.end(view, status.market)
    written = status.store.of(kinds_of(request.stream))
    display.say(f"{format_count(written.written, 'row')} in {out}; session {status.session}.")
    return conclude(display, ending, shown.books, troubles_of(status, complete=complete))


class _Recorded:
    """Shows the books of a capture while it records, and writes the files for those who read files."""

    def __init__(
        self, request: BooksRequest, engine: CaptureEngine, latest: LatestBooks, display: BooksDisplay
    ) -> None:
        self._request = request
        self._engine = engine
        self._latest = latest
        self._display = display
        self._began = elapsed_seconds()
        self._is_over = False
        self.books = BooksWatch()

    def view(self, status: CaptureStatus) -> BooksView:
        """The books as they were recorded last."""
        request = self._request
        health = status.streams[request.stream]
        truth = truth_words(health, request.whose(status.market), status.as_of)
        return BooksView(status.as_of, request.symbols, self._engine.books(), truth, refusals(health))

    def say(self, sentence: str) -> None:
        """Pass it on."""
        self._display.say(sentence)

    def waiting(self, text: str) -> None:
        """Nothing waits for an open market here."""

    def show(self, status: CaptureStatus, activity: str) -> None:  # noqa: ARG002 - the books say it
        """The books, on the screen and in their files, until what is left is written."""
        if self._is_over:
            return
        view = self._seen(status)
        self._display.show(view)
        self._latest.write(view.books, view.as_of, self._request.market_of(status.market))

    def close(self, status: CaptureStatus) -> None:
        """Look once more while the streams are there: what is left is only written."""
        self._seen(status)
        self._is_over = True

    def _seen(self, status: CaptureStatus) -> BooksView:
        view = self.view(status)
        self.books.see(view, elapsed_seconds() - self._began)
        return view

    def summary(self, status: CaptureStatus) -> None:
        """Told by the caller."""

    def end(self, view: BooksView, market: MarketKind) -> None:
        """How they were last."""
        self._display.conclude(view)
        self._latest.write(view.books, view.as_of, self._request.market_of(market), ended=True)


def conclude(display: BooksDisplay, ending: Ending, books: BooksWatch, losses: Sequence[str]) -> int:
    """Say how it ended; the exit code, which is 1 where something is missing or a book was not whole at last."""
    troubles = books.troubles()
    for sentence in (*losses, *troubles, *books.notes()):
        display.say(sentence)
    if losses:
        verdict = "Something is missing, see above."
    else:
        verdict = f"Nothing that was received was lost{', but see above.' if troubles else '.'}"
    display.say(f"Ended, because {ending}. {verdict}")
    return 1 if losses or troubles else 0


def _losses(health: StreamHealth) -> list[str]:
    facts = ((health.dropped, "dropped: the queue was full"), (health.rejected, "could not be read"))
    return [f"{format_count(count, 'message')} {what}." for count, what in facts if count]
