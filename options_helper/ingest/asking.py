"""Ask for one window of one job, and give its answer back as a table; keeps nothing."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from typing import Any, Final

from options_helper.analysis.own_volatility import OptionQuote, thirty_day_volatility
from options_helper.data.fred import Fred, Observation
from options_helper.data.rest.client import STOCK_SYMBOLS_A_REQUEST, AlpacaRest, batches
from options_helper.data.rest.news import read_news_span
from options_helper.errors import RestError, StoreError
from options_helper.ingest.course import require_time
from options_helper.ingest.gap_closing import GapCloser
from options_helper.ingest.jobs import JobName, Window
from options_helper.ingest.selection import FRED_SERIES, PROXIES, RATE_SERIES, Selection
from options_helper.ingest.store import Answer, Cell, Entry, IngestStore, Table
from options_helper.ingest.tables import (
    CHAIN,
    CHAIN_SYMBOL,
    VOLATILITY,
    actions_table,
    bars_table,
    chain_table,
    contracts_table,
    fred_table,
    news_table,
    option_quotes,
    volatility_row,
)
from options_helper.model.market_hours import new_york_date
from options_helper.model.text import named
from options_helper.settings import Settings

SNAPSHOTS_A_PAGE: Final = 1_000
CONTRACTS_A_PAGE: Final = 10_000
ACTIONS_A_PAGE: Final = 1_000
BARS_A_PAGE: Final = 10_000
# The farthest contracts that are listed; the endpoint leaves late expiries out unless it is told a date.
_HORIZON: Final = timedelta(days=4 * 366)
# What was announced, and what has just been put right.
_ACTIONS_BACK: Final = timedelta(days=7)
_ACTIONS_AHEAD: Final = timedelta(days=60)
# So far back FRED's values are asked for again, because they are revised.
_REVISED_DAYS: Final = timedelta(days=30)
# A session's bars are asked for when they are older than a quarter of an hour; every plan has them of all exchanges.
BARS_FEED: Final = "sip"
# An article may be entered a little after its own time, and clocks differ.
NEWS_OVERLAP: Final = timedelta(minutes=10)
NO_RATE: Final = "taken as 0: no rate is stored"
UNREADABLE_RATE: Final = "taken as 0: the stored rate cannot be read"
_SYMBOL_REFUSALS: Final = frozenset({400, 422})


@dataclass(slots=True)
class _Question:
    """What is asked, and what is to be said of the answer."""

    subject: str
    window: Window
    asked_at: datetime
    rows: int = 0  # that were kept elsewhere
    missing: int = 0  # symbols of which no row came
    until: datetime | None = None  # where the answer ends before the window does
    notes: list[str] = field(default_factory=list)
    is_unfinished: bool = False


def offered_jobs(*, fred: bool) -> tuple[JobName, ...]:
    """What can be asked for, with a key of FRED's or without."""
    return tuple(name for name in JobName if fred or name is not JobName.FRED)


class Asker:
    """Asks Alpaca, for one thread; `rest` is made when something is asked for the first time. `selection` may change.

    `now` is this computer's time, `market` the market's where that is another, `elapsed` seconds of a clock that nobody
    sets, and `requested` how many requests left so far. Without a `fred`, FRED is not asked. Everything may raise
    OptionsHelperError, and RestStopped after a stop.
    """

    def __init__(
        self,
        settings: Settings,
        selection: Callable[[], Selection],
        store: IngestStore,
        rest: Callable[[], AlpacaRest],
        *,
        now: Callable[[], datetime],
        elapsed: Callable[[], float],
        requested: Callable[[], int],
        close_gaps: GapCloser,
        fred: Fred | None = None,
        market: Callable[[], datetime] | None = None,
    ) -> None:
        self._settings = settings
        self._selection = selection
        self._store = store
        self._rest = rest
        self._now = now
        self._market = market or now
        self._elapsed = elapsed
        self._requested = requested
        self._close_gaps = close_gaps
        self._methods: dict[JobName, Callable[[_Question], Table | None]] = {
            JobName.CHAINS: self._chain,
            JobName.CONTRACTS: self._contracts,
            JobName.CORPORATE_ACTIONS: self._actions,
            JobName.MINUTE_BARS: self._minute_bars,
            JobName.DAILY_BARS: self._daily_bars,
            JobName.MACRO_PROXIES: self._proxies,
            JobName.NEWS: self._news,
            JobName.VOLATILITY: self._volatilities,
            JobName.GAPS: self._gaps,
        }
        if fred is not None:
            self._methods[JobName.FRED] = partial(self._fred, fred)

    @property
    def jobs(self) -> tuple[JobName, ...]:
        """What can be asked for."""
        return tuple(self._methods)

    def ask(self, job: JobName, subject: str, window: Window) -> Answer:
        """Ask for everything in a window. Blocks."""
        question = _Question(subject, window, self._now())
        began, requests = self._elapsed(), self._requested()
        table = self._methods[job](question)
        return Answer(
            table,
            question.asked_at,
            requests=self._requested() - requests,
            seconds=self._elapsed() - began,
            rows=question.rows if table is None else len(table.rows),
            notes=tuple(question.notes),
            missing=question.missing,
            is_unfinished=question.is_unfinished,
            until=question.until,
        )

    def _minute_bars(self, question: _Question) -> Table:
        return self._bars("1Min", self._selection().stocks, question)

    def _daily_bars(self, question: _Question) -> Table:
        return self._bars("1Day", self._selection().stocks, question)

    def _proxies(self, question: _Question) -> Table:
        return self._bars("1Day", tuple(PROXIES), question, PROXIES)

    def _chain(self, question: _Question) -> Table:
        feed = self._settings.options_feed
        query = {"feed": feed, "limit": SNAPSHOTS_A_PAGE}
        path = f"/options/snapshots/{question.subject}"
        found: dict[str, Any] = {}
        rows: dict[Cell, Sequence[Cell]] = {}
        asked_at = question.asked_at
        for page in self._rest().data_pages("v1beta1", path, query):
            require_time(question.window, self._market())
            snapshots = page.get("snapshots")
            snapshots = snapshots if isinstance(snapshots, dict) else {}
            found |= snapshots
            of_page = chain_table(snapshots, question.window.since, asked_at, feed)
            rows |= {row[CHAIN_SYMBOL]: row for row in of_page.rows}
            asked_at = self._now()  # a page is asked for when the one before it is there
        table = Table(CHAIN, [rows[symbol] for symbol in sorted(rows, key=str)])
        question.notes += _left_out(len(found) - len(table.rows), "contracts whose symbol is none")
        question.notes += _nothing_of(table)
        return table

    def _contracts(self, question: _Question) -> Table:
        day = new_york_date(question.window.since)
        query = {
            "underlying_symbols": question.subject,
            "expiration_date_gte": day.isoformat(),
            "expiration_date_lte": (day + _HORIZON).isoformat(),
            "limit": CONTRACTS_A_PAGE,
        }
        rows = [row for page in self._rest().option_contracts(query) for row in page]
        table = contracts_table(rows, day.isoformat(), question.asked_at)
        question.notes += _nothing_of(table)
        without = sum(1 for row in table.rows if row[11] is None)
        if without:
            question.notes.append(
                f"{without} of {len(table.rows)} contracts have no open interest on record."
            )
        return table

    def _actions(self, question: _Question) -> Table:
        day = new_york_date(question.window.since)
        query = {
            "start": (day - _ACTIONS_BACK).isoformat(),
            "end": (day + _ACTIONS_AHEAD).isoformat(),
            "limit": ACTIONS_A_PAGE,
        }
        found = self._of_symbols("v1", "/corporate-actions", query, self._selection().stocks, question)
        return actions_table(found, question.asked_at)

    def _bars(
        self,
        timeframe: str,
        symbols: Sequence[str],
        question: _Question,
        stands_for: Mapping[str, str] | None = None,
    ) -> Table:
        query = {
            "timeframe": timeframe,
            "start": _bar_start(timeframe, question.window),
            # Alpaca includes the end.
            "end": (question.window.until - timedelta(seconds=1)).isoformat(),
            "feed": BARS_FEED,
            "adjustment": "raw",
            "limit": BARS_A_PAGE,
        }
        pages = self._of_symbols("v2", "/stocks/bars", query, symbols, question)
        table = bars_table(pages, timeframe, BARS_FEED, stands_for)
        found = {row[0] for row in table.rows}
        if without := [symbol for symbol in symbols if symbol not in found]:
            question.notes.append(f"No bar came of {named(without)}.")
            question.missing = len(without)
        return table

    def _of_symbols(
        self, version: str, path: str, query: Mapping[str, Any], symbols: Sequence[str], question: _Question
    ) -> list[Any]:
        """All pages of all symbols; one that the server does not know is noted, and costs the others nothing."""
        found: list[Any] = []
        for batch in batches(symbols, STOCK_SYMBOLS_A_REQUEST):
            try:
                found += self._batch(version, path, query, batch)
            except RestError as error:
                if error.status not in _SYMBOL_REFUSALS or len(batch) == 1:
                    raise
                found += self._one_by_one(version, path, query, batch, question)
        return found

    def _batch(self, version: str, path: str, query: Mapping[str, Any], symbols: Sequence[str]) -> list[Any]:
        asked = {**query, "symbols": ",".join(symbols)}
        return list(self._rest().data_pages(version, path, asked))

    def _one_by_one(
        self, version: str, path: str, query: Mapping[str, Any], symbols: Sequence[str], question: _Question
    ) -> Iterator[Any]:
        refused: list[RestError] = []
        for symbol in symbols:
            try:
                yield from self._batch(version, path, query, [symbol])
            except RestError as error:
                if error.status not in _SYMBOL_REFUSALS:
                    raise
                refused.append(error)
                question.notes.append(f"{symbol}: {error}")
        if len(refused) == len(symbols):  # it is no symbol's fault
            raise refused[0]

    def _volatilities(self, question: _Question) -> Table:
        window, rows = question.window, list[Sequence[Cell]]()
        rate, rate_source = self._rate(question)
        for entry in self._store.entries(JobName.CHAINS):
            if not window.since <= entry.since < window.until:
                continue
            try:
                quotes = self._stored_quotes(entry)
            except StoreError as error:
                question.notes.append(f"No figure of {entry.subject}: {error}")
                continue
            found = thirty_day_volatility(quotes, entry.since, rate=rate)
            rows.append(volatility_row(entry.since, entry.subject, found, rate, rate_source))
        return Table(VOLATILITY, rows)

    def _stored_quotes(self, entry: Entry) -> list[OptionQuote]:
        try:
            return list(option_quotes(self._store.read(JobName.CHAINS, entry)))
        except (KeyError, ValueError, csv.Error) as error:
            raise StoreError(f"{entry.file} is no chain: {error!r}. Remove it.") from error

    def _news(self, question: _Question) -> Table:
        """The changes of a window, and those of just before it that were not there when it was asked for."""
        window = question.window
        stocks = self._selection().stocks
        span = read_news_span(self._rest(), window.since - NEWS_OVERLAP, window.until, stocks)
        if span.until <= window.since:  # all that a question brings was changed before: so without that
            span = read_news_span(self._rest(), window.since, window.until, stocks)
        question.notes += span.unreadable
        if span.until < window.until:
            question.until = span.until
            question.notes.append(
                f"More came than one question brings: this is up to {span.until:%Y-%m-%d %H:%M:%S} UTC, and the "
                "next question goes on there."
            )
        known = self._known_articles(window.since - NEWS_OVERLAP)
        new = (one for one in span.articles if (str(one.timestamp_ns), str(one.article_id)) not in known)
        return news_table(new, question.asked_at)

    def _known_articles(self, since: datetime) -> set[tuple[str, str]]:
        """Time of the change and number of what is stored of windows that end later than this."""
        known: set[tuple[str, str]] = set()
        for entry in takewhile(lambda one: one.until > since, self._store.newest_first(JobName.NEWS)):
            # One that cannot be read is no reason to ask for nothing: at worst an article is there twice.
            with suppress(StoreError):
                known.update((row["updated_ns"], row["id"]) for row in self._store.read(JobName.NEWS, entry))
        return known

    def _fred(self, fred: Fred, question: _Question) -> Table:
        """What is new and what was revised; a series that FRED refuses alone is noted, and costs no other."""
        since = question.window.since
        # One that lies ahead is of a clock that was wrong.
        newest = min(self._store.watermark(JobName.FRED) or since, since)
        first = new_york_date(newest) - _REVISED_DAYS
        found: dict[str, Sequence[Observation]] = {}
        refused: list[RestError] = []
        for series in FRED_SERIES:
            try:
                found[series] = fred.observations(series, first)
            except RestError as error:
                if error.status not in _SYMBOL_REFUSALS:
                    raise
                refused.append(error)
                question.notes.append(str(error))
        if not found:
            raise refused[0]
        question.notes += [f"{series} has no value since {first}." for series in found if not found[series]]
        return fred_table(found, FRED_SERIES, question.asked_at)

    def _rate(self, question: _Question) -> tuple[float, str]:
        """The newest short rate that is stored, continuous, and what it is."""
        entry = self._store.newest(JobName.FRED)
        try:
            rows = [] if entry is None else list(self._store.read(JobName.FRED, entry))
        except StoreError as error:
            question.notes.append(f"No rate: {error}")
            return 0.0, UNREADABLE_RATE
        known = [row for row in rows if row["series"] == RATE_SERIES and row["value"]]
        if not known:
            return 0.0, NO_RATE
        percent = float(known[-1]["value"])
        return round(math.log1p(percent / 100), 6), f"{RATE_SERIES} of {known[-1]['day']}"

    def _gaps(self, question: _Question) -> None:
        expires = question.window.expires

        def gives_way() -> bool:
            return expires is not None and expires <= self._market()

        report = self._close_gaps(self._store.root, self._rest(), now=question.asked_at, gives_way=gives_way)
        question.rows = report.rows
        question.notes += report.words
        question.is_unfinished = report.unfinished > 0


def _bar_start(timeframe: str, window: Window) -> str:
    """A daily bar begins at midnight in New York, before its session."""
    return new_york_date(window.since).isoformat() if timeframe == "1Day" else window.since.isoformat()


def _nothing_of(table: Table) -> list[str]:
    return [] if table.rows else ["No contract at all came."]


def _left_out(count: int, what: str) -> list[str]:
    return [f"{count} {what} are left out."] if count else []
