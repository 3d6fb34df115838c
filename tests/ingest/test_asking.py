"""What is asked for a window, and what becomes of the answer: symbols at fault, our own volatility, closed gaps."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from options_helper.data.fred import Observation
from options_helper.errors import RestError, TooManyPages
from options_helper.ingest.asking import NEWS_OVERLAP, Asker
from options_helper.ingest.course import TooLate
from options_helper.ingest.jobs import JobName, Window
from options_helper.ingest.selection import Selection
from options_helper.ingest.store import Answer, IngestStore, Table
from options_helper.ingest.tables import chain_table
from options_helper.model.contract_symbols import ParsedContract, format_osi_compact
from options_helper.model.instants import datetime_nanoseconds
from options_helper.settings import Settings
from options_helper.simulator.market.pricing import SECONDS_PER_YEAR, value_option

# A Monday, 10:00 in New York; expiries lie 28 and 32 days ahead.
AT = datetime(2026, 11, 2, 15, 0, tzinfo=UTC)
WINDOW = Window(AT, AT + timedelta(minutes=15), AT)


@dataclass
class Market:
    """Answers each path with the pages of the test, or refuses the symbols at fault."""

    pages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    at_fault: frozenset[str] = frozenset()
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def data_pages(self, version: str, path: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        self.asked.append((f"/{version}{path}", dict(query)))
        symbols = str(query.get("symbols", "")).split(",")
        if wrong := self.at_fault.intersection(symbols):
            raise RestError(f"invalid symbol: {min(wrong)}", status=400)
        for page in self.pages.get(path, []):
            bars = page.get("bars", {})
            yield {**page, "bars": {symbol: rows for symbol, rows in bars.items() if symbol in symbols}}


@dataclass(frozen=True)
class Closed:
    """What somebody who closes gaps reports."""

    words: tuple[str, ...] = ("stocks: 412 of 412 recorded rows are in the answer, 3 more.",)
    rows: int = 3
    unfinished: int = 0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[IngestStore]:
    with IngestStore(tmp_path, now=lambda: AT) as made:
        yield made


def asker(store: IngestStore, market: Market, *stocks: str) -> Asker:
    return Asker(
        Settings(),
        lambda: Selection(("SPY",), stocks or ("SPY",)),
        store,
        lambda: market,  # type: ignore[arg-type, return-value]
        now=lambda: AT,
        elapsed=lambda: 0.0,
        requested=lambda: len(market.asked),
        close_gaps=lambda root, rest, *, now, gives_way: Closed(),
    )


def bar(symbol: str) -> dict[str, Any]:
    return {symbol: [{"t": "2026-11-02T05:00:00Z", "o": 1, "h": 2, "l": 1, "c": 2, "v": 10}]}


def test_a_symbol_at_fault_is_named_and_costs_no_other(store: IngestStore):
    market = Market({"/stocks/bars": [{"bars": bar("SPY") | bar("AAPL")}]}, frozenset({"OLD"}))

    answer = asker(store, market, "SPY", "OLD", "AAPL").ask(JobName.DAILY_BARS, "all", WINDOW)

    assert answer.table is not None
    assert [row[0] for row in answer.table.rows] == ["AAPL", "SPY"]
    assert answer.notes == ("OLD: invalid symbol: OLD", "No bar came of OLD.")
    assert answer.missing == 1
    assert answer.requests == 4


def test_a_question_that_is_refused_for_every_symbol_is_no_symbols_fault(store: IngestStore):
    market = Market({}, frozenset({"SPY", "AAPL"}))

    with pytest.raises(RestError, match="invalid symbol"):
        asker(store, market, "SPY", "AAPL").ask(JobName.DAILY_BARS, "all", WINDOW)


def test_a_session_is_asked_for_from_the_beginning_of_its_day_and_without_what_comes_after(
    store: IngestStore,
):
    market = Market()
    session = Window(AT, datetime(2026, 11, 2, 21, 0, tzinfo=UTC), AT)

    asker(store, market).ask(JobName.DAILY_BARS, "all", session)
    asker(store, market).ask(JobName.MINUTE_BARS, "all", session)

    (_, days), (_, minutes) = market.asked
    assert (days["start"], days["end"]) == ("2026-11-02", "2026-11-02T20:59:59+00:00")
    assert (minutes["start"], minutes["timeframe"]) == ("2026-11-02T15:00:00+00:00", "1Min")


def test_an_underlying_with_a_class_is_asked_for_as_the_provider_spells_it(store: IngestStore):
    market = Market({"/options/snapshots/BRK.B": [{"snapshots": None}]})

    answer = asker(store, market).ask(JobName.CHAINS, "BRK.B", WINDOW)

    assert market.asked[0][0] == "/v1beta1/options/snapshots/BRK.B"
    assert answer.rows == 0


def quoted_chain(volatility: float) -> Table:
    """Quotes a cent around Black-Scholes, for two expiries around 30 days."""
    snapshots = {}
    for expiry in (date(2026, 11, 30), date(2026, 12, 4)):
        years = (datetime(expiry.year, expiry.month, expiry.day, 21, tzinfo=UTC) - AT).total_seconds()
        for strike in range(500, 861, 5):
            for kind in ("call", "put"):
                symbol = format_osi_compact(ParsedContract("SPY", "SPY", expiry, kind, strike))
                price = value_option(
                    kind, spot=680, strike=strike, years=years / SECONDS_PER_YEAR, volatility=volatility
                ).price
                quote = {"bp": max(0.0, round(price - 0.005, 4)), "ap": round(price + 0.005, 4)}
                snapshots[symbol] = {"latestQuote": quote}
    return chain_table(snapshots, AT, AT, "indicative")


def figure(store: IngestStore) -> dict[str, Any]:
    answer = asker(store, Market()).ask(JobName.VOLATILITY, "all", WINDOW)
    assert answer.table is not None
    (row,) = answer.table.rows
    return dict(zip(answer.table.columns, row, strict=True))


def test_our_own_volatility_is_made_of_the_stored_chain(store: IngestStore):
    store.keep(JobName.CHAINS, "SPY", WINDOW, Answer(quoted_chain(0.2), AT))

    found = figure(store)

    assert found["percent"] == pytest.approx(20, rel=0.02)
    assert (found["near_expiry"], found["far_expiry"]) == ("2026-11-30", "2026-12-04")
    assert (found["rate"], found["rate_source"]) == (0.0, "taken as 0: no rate is stored")


def test_its_rate_is_the_newest_that_fred_had(store: IngestStore):
    def observations(series: str, _first: date) -> list[Observation]:
        known = [
            Observation(date(2026, 10, 29), Decimal("3.9"), None),
            Observation(date(2026, 10, 30), None, None),
        ]
        return known if series == "DGS3MO" else []

    fred = type("Fred", (), {"observations": staticmethod(observations)})()
    asking = Asker(
        Settings(),
        Selection,
        store,
        lambda: None,  # type: ignore[arg-type, return-value]
        now=lambda: AT,
        elapsed=lambda: 0.0,
        requested=lambda: 0,
        close_gaps=lambda root, rest, *, now, gives_way: Closed(),
        fred=fred,
    )
    store.keep(JobName.FRED, "all", WINDOW, asking.ask(JobName.FRED, "all", WINDOW))
    store.keep(JobName.CHAINS, "SPY", WINDOW, Answer(quoted_chain(0.2), AT))

    found = figure(store)

    assert found["rate"] == pytest.approx(math.log(1.039), abs=1e-5)
    assert found["rate_source"] == "DGS3MO of 2026-10-29"


def test_a_chain_that_lacks_what_is_needed_makes_a_row_that_says_so(store: IngestStore):
    store.keep(JobName.CHAINS, "SPY", WINDOW, Answer(chain_table({}, AT, AT, "indicative"), AT))

    found = figure(store)

    assert (found["percent"], found["missing"]) == (None, "No expiry in 23 to 30 days was quoted.")


@dataclass
class Slow:
    """A market that brings a contract on each page, some minutes after the other."""

    minutes: int
    at: datetime = AT

    def data_pages(self, *_: object) -> Iterator[dict[str, Any]]:
        for strike in (702, 701, 700):
            self.at += timedelta(minutes=self.minutes)
            yield {"snapshots": {f"SPY261218C00{strike}000": {}}}

    def ask(self, store: IngestStore) -> Answer:
        asking = Asker(
            Settings(),
            lambda: Selection(("SPY",)),
            store,
            lambda: self,  # type: ignore[arg-type, return-value]
            now=lambda: self.at,
            elapsed=lambda: 0.0,
            requested=lambda: 0,
            close_gaps=lambda root, rest, *, now, gives_way: Closed(),
        )
        return asking.ask(JobName.CHAINS, "SPY", replace(WINDOW, expires=WINDOW.until))


def test_each_page_of_a_snapshot_says_when_it_was_asked_for(store: IngestStore):
    table = Slow(minutes=4).ask(store).table

    assert table is not None
    asked = {row[3]: (int(str(row[1])) - datetime_nanoseconds(AT)) // (60 * 10**9) for row in table.rows}
    assert asked == {"SPY261218C00700000": 8, "SPY261218C00701000": 4, "SPY261218C00702000": 0}
    assert list(asked) == sorted(asked, key=str)


def test_a_snapshot_whose_time_is_over_is_none(store: IngestStore):
    """Its last pages would be of the next one."""
    with pytest.raises(TooLate, match="not all were there at 15:15 UTC"):
        Slow(minutes=5).ask(store)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:30])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[15] ^= 0xFF
    path.write_bytes(data)


def write_no_text(path: Path) -> None:
    path.write_bytes(gzip.compress(b"\xff\xfe"))


def write_other_columns(path: Path) -> None:
    path.write_bytes(gzip.compress(b"symbol,price\nSPY261218C00700000,1\n"))


@pytest.mark.parametrize("harm", [halve, flip_a_bit, write_no_text, write_other_columns, Path.unlink])
def test_a_damaged_chain_costs_its_own_figure_only_and_is_named(
    store: IngestStore, harm: Callable[[Path], None]
):
    entry = store.keep(JobName.CHAINS, "QQQ", WINDOW, Answer(quoted_chain(0.2), AT))
    store.keep(JobName.CHAINS, "SPY", WINDOW, Answer(quoted_chain(0.2), AT))
    assert entry.file is not None
    harm(store.root / "ingest" / "chains" / entry.file)

    answer = asker(store, Market()).ask(JobName.VOLATILITY, "all", WINDOW)

    assert answer.table is not None
    assert [row[1] for row in answer.table.rows] == ["SPY"]
    (note,) = answer.notes
    assert "No figure of QQQ" in note
    assert entry.file in note


def test_a_damaged_rate_is_taken_as_none_and_said(store: IngestStore):
    entry = store.keep(JobName.FRED, "all", WINDOW, Answer(Table(("series", "day", "value")), AT))
    store.keep(JobName.CHAINS, "SPY", WINDOW, Answer(quoted_chain(0.2), AT))
    assert entry.file is not None
    flip_a_bit(store.root / "ingest" / "fred" / entry.file)

    answer = asker(store, Market()).ask(JobName.VOLATILITY, "all", WINDOW)

    assert answer.table is not None
    assert [row[4] for row in answer.table.rows] == ["taken as 0: the stored rate cannot be read"]
    assert entry.file in answer.notes[0]


def test_a_figure_is_made_of_its_own_window_and_of_no_other(store: IngestStore):
    later = Window(WINDOW.until, WINDOW.until + timedelta(minutes=15), WINDOW.until)
    store.keep(JobName.CHAINS, "SPY", WINDOW, Answer(quoted_chain(0.2), AT))
    store.keep(JobName.CHAINS, "SPY", later, Answer(quoted_chain(0.3), AT))

    assert figure(store)["percent"] == pytest.approx(20, rel=0.02)


def test_what_was_done_about_gaps_is_told_and_its_rows_are_elsewhere(store: IngestStore):
    answer = asker(store, Market()).ask(JobName.GAPS, "all", WINDOW)

    assert (answer.table, answer.rows, answer.notes) == (None, 3, Closed.words)


def test_gaps_that_are_left_to_another_run_are_told_and_give_way_when_something_else_is_due(
    store: IngestStore,
):
    asked: list[bool] = []

    def close(*_: object, gives_way: Callable[[], bool], **__: object) -> Closed:
        asked.append(gives_way())
        return Closed(unfinished=800)

    def ask(expires: datetime | None) -> Answer:
        gaps = Asker(
            Settings(),
            Selection(),
            store,
            Market,  # type: ignore[arg-type]
            now=lambda: AT,
            elapsed=lambda: 0.0,
            requested=lambda: 0,
            close_gaps=close,
        )
        return gaps.ask(JobName.GAPS, "all", replace(WINDOW, expires=expires))

    answers = [ask(expires) for expires in (None, AT, AT + timedelta(seconds=1))]

    assert asked == [False, True, False]
    assert all(answer.is_unfinished for answer in answers)


@dataclass
class Newsroom:
    """A market's articles by when they were last changed; it follows so many of them and no more."""

    changed: list[datetime]
    at_most: int = 1_000
    asked: list[tuple[str, str]] = field(default_factory=list)

    def news(self, query: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
        self.asked.append((query["start"], query["end"]))
        since, until = (datetime.fromisoformat(query[name]) for name in ("start", "end"))
        found = [
            {"id": number, "updated_at": at.isoformat(), "symbols": ["SPY"]}
            for number, at in enumerate(self.changed)
            if since <= at <= until
        ]
        yield found[: self.at_most]
        if len(found) > self.at_most:
            raise TooManyPages("more pages")

    def ask(self, store: IngestStore, window: Window) -> list[str]:
        """Ask for a window and store it; the numbers of the articles in it."""
        answer = asker(store, self).ask(JobName.NEWS, "all", window)  # type: ignore[arg-type]
        entry = store.keep(JobName.NEWS, "all", window, answer)
        return [row["id"] for row in store.read(JobName.NEWS, entry)]


def after(**span: float) -> datetime:
    return AT + timedelta(**span)


HOUR = Window(AT, after(hours=1), after(hours=1))
NEXT_HOUR = Window(HOUR.until, after(hours=2), after(hours=2))


def test_an_article_that_was_entered_late_is_in_the_next_window_and_no_other_is_twice(store: IngestStore):
    newsroom = Newsroom([after(minutes=5), after(minutes=55), after(minutes=70)])
    first = newsroom.ask(store, HOUR)
    late = after(minutes=58)
    newsroom.changed.append(late)

    second = newsroom.ask(store, NEXT_HOUR)

    assert (first, second) == (["0", "1"], ["3", "2"])
    assert newsroom.asked[1][0] == (HOUR.until - NEWS_OVERLAP).isoformat()


def test_what_of_a_window_could_not_be_asked_for_is_said_and_asked_for_next(store: IngestStore):
    newsroom = Newsroom([after(minutes=minute) for minute in (10, 20, 30, 40, 50)], at_most=3)

    first = newsroom.ask(store, HOUR)

    entry = store.newest(JobName.NEWS)
    assert entry is not None
    assert (first, entry.until) == (["0", "1"], after(minutes=30))
    assert "up to 2026-11-02 15:30:00 UTC, and the next question goes on there." in entry.notes[0]
    rest = []
    while len(newsroom.asked) < 9 and (end := store.watermark(JobName.NEWS)) != HOUR.until:
        assert end is not None
        rest += newsroom.ask(store, replace(HOUR, since=end))
    assert rest == ["2", "3", "4"]


def test_more_before_a_window_than_one_question_brings_keeps_none_from_its_own_time(store: IngestStore):
    newsroom = Newsroom([after(minutes=minute) for minute in (-9, -8, -7, 10)], at_most=2)

    assert newsroom.ask(store, HOUR) == ["3"]
    assert [since for since, _ in newsroom.asked] == [(AT - NEWS_OVERLAP).isoformat(), AT.isoformat()]
    assert store.watermark(JobName.NEWS) == HOUR.until


def test_a_damaged_file_of_articles_keeps_none_from_being_asked_for(store: IngestStore):
    newsroom = Newsroom([after(minutes=55)])
    newsroom.ask(store, HOUR)
    (file,) = store.root.rglob("news/**/*.csv.gz")
    flip_a_bit(file)

    assert newsroom.ask(store, NEXT_HOUR) == ["0"], "twice rather than never"
