"""However many gaps a recording has, a run asks little, goes on where it was, and asks nobody twice without use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording import gap_asking
from options_helper.data.recording.close_gaps import REQUESTS_A_RUN, ClosingReport, close_gaps
from options_helper.data.recording.closing_progress import NAME as PROGRESS
from options_helper.data.recording.closings import COLUMNS, read_closings
from options_helper.data.recording.gap_verdict import ClosingState
from options_helper.data.recording.verify import audit
from options_helper.errors import RestError, RestStopped
from options_helper.model.events import Bar, Quote, Trade
from options_helper.model.instants import NANOSECONDS, timestamp_extension, utc_datetime
from tests.data.recording.test_close_gaps import (
    BACKFILL,
    GAP,
    LATER_GAP,
    RECORDED,
    day,
    moved,
    two_days,
)
from tests.kit.cut import MINUTE, ScriptedHistory, Told, record_cut, rows_kept, uncut_rows
from tests.kit.fakes import NOON

SECOND = NANOSECONDS
HOUR = 60 * MINUTE
ONLY_QUOTES = {"channels": {"stocks": ("quotes",)}}


def quotes(seconds: int, every: int = 1, symbol: str = "AAPL") -> list[Told]:
    """One each so many seconds from noon on."""
    return [
        Quote(
            bid_price=1.0,
            bid_size=second,
            ask_price=1.5,
            ask_size=2,
            symbol=symbol,
            timestamp=timestamp_extension(NOON + second * SECOND),
            received_ns=NOON + second * SECOND + 1_000_000,
        )
        for second in range(0, seconds, every)
    ]


def gaps_each(seconds: int, count: int) -> list[tuple[int, int]]:
    begins = (NOON + (number * seconds + 5) * SECOND for number in range(count))
    return [(begin, begin + 3 * SECOND) for begin in begins]


def close(root: Path, history: ScriptedHistory, hours: float = 6, **more: Any) -> ClosingReport:
    return close_gaps(root, history.client, now=utc_datetime(NOON + round(hours * HOUR)), **more)


def runs_until_all_is_told(root: Path, history: ScriptedHistory, **more: Any) -> list[ClosingReport]:
    reports = [close(root, history, **more)]
    while reports[-1].unfinished:
        reports.append(close(root, history, **more))
    return reports


def test_eight_hundred_gaps_are_asked_about_in_few_questions(tmp_path: Path):
    """Of half an hour each, and not of each gap with its margins."""
    events = quotes(12_000)
    record_cut(tmp_path, events, gaps_each(15, 800), **ONLY_QUOTES)
    history = ScriptedHistory(events, page=10_000)

    report = close(tmp_path, history)

    assert len(report.closings) == 800
    assert {closing.state for closing in report.closings} == {ClosingState.CLOSED}
    assert {closing.more for closing in report.closings} == {3}
    assert (report.rows, report.unfinished) == (2_400, 0)
    assert len(history.asked) < 12
    assert rows_kept(tmp_path, "quotes", "quotes_backfill") == uncut_rows(tmp_path / "uncut", events)
    assert len(report.words) < 30
    assert "… and so of 780 more gaps: 780 closed." in report.words


def test_margins_that_overlap_are_asked_for_once(tmp_path: Path):
    events = day(seconds=200)
    record_cut(tmp_path, events, [GAP, (GAP[1] + 70 * SECOND, GAP[1] + 80 * SECOND)])
    history = ScriptedHistory(events)

    report = close(tmp_path, history)

    assert len(history.asked) == len(RECORDED)
    assert [closing.state for closing in report.closings] == [ClosingState.CLOSED] * 2
    assert sum(closing.more for closing in report.closings) == report.rows
    assert rows_kept(tmp_path, *RECORDED, *BACKFILL) == uncut_rows(tmp_path / "uncut", events)


def test_a_run_ends_after_so_many_requests_and_the_next_goes_on(tmp_path: Path):
    events = quotes(4 * 3_600, every=5)
    gaps = gaps_each(1_800, 8)
    record_cut(tmp_path, events, gaps, **ONLY_QUOTES)
    history = ScriptedHistory(events, page=100)

    reports = runs_until_all_is_told(tmp_path, history, requests=3)

    assert [report.unfinished for report in reports] == sorted(
        (report.unfinished for report in reports), reverse=True
    )
    assert len(reports) > 2
    assert history.pages <= 3 * len(reports)
    assert sum(len(report.closings) for report in reports) == len(gaps)
    assert "wait for the next run, which may begin at once." in reports[0].words[-1]
    assert rows_kept(tmp_path, "quotes", "quotes_backfill") == uncut_rows(tmp_path / "uncut", events)


def test_a_gap_that_takes_more_than_a_run_is_gone_on_with_and_counted_as_a_whole(tmp_path: Path):
    events = quotes(4 * 3_600, every=5)
    gap = (NOON + 60 * SECOND, NOON + 4 * HOUR - 60 * SECOND)
    for root in (tmp_path / "at once", tmp_path / "by and by"):
        record_cut(root, events, [gap], **ONLY_QUOTES)
    history = ScriptedHistory(events)

    (whole,) = close(tmp_path / "at once", ScriptedHistory(events)).closings
    reports = runs_until_all_is_told(tmp_path / "by and by", history, requests=3)

    assert [len(report.closings) for report in reports] == [0, 0, 1]
    assert reports[-1].closings[0] == whole
    assert whole.state is ClosingState.CLOSED
    assert len(history.asked) == 8
    assert not (tmp_path / "by and by" / PROGRESS).exists()


@pytest.mark.parametrize("damage", [b"", b'{"at_ns": 1', b"\xff"])
def test_a_progress_that_cannot_be_read_costs_its_requests_alone(tmp_path: Path, damage: bytes):
    events = quotes(4 * 3_600, every=5)
    record_cut(tmp_path, events, [(NOON + 60 * SECOND, NOON + 4 * HOUR - 60 * SECOND)], **ONLY_QUOTES)
    history = ScriptedHistory(events)
    close(tmp_path, history, requests=4)
    (tmp_path / PROGRESS).write_bytes(damage)

    (closing,) = close(tmp_path, history).closings

    assert (closing.state, closing.found) == (ClosingState.CLOSED, closing.recorded)
    assert len(history.asked) == 4 + 8


def test_what_else_is_due_comes_first(tmp_path: Path):
    events = quotes(4 * 3_600, every=5)
    record_cut(tmp_path, events, gaps_each(1_800, 8), **ONLY_QUOTES)
    history = ScriptedHistory(events)

    report = close(tmp_path, history, gives_way=lambda: len(history.asked) == 2)

    assert len(history.asked) == 2
    assert report.unfinished > 0
    assert REQUESTS_A_RUN == 200


def test_a_stop_amid_a_long_gap_is_gone_on_from(tmp_path: Path):
    events = quotes(4 * 3_600, every=5)
    record_cut(tmp_path, events, [(NOON + 60 * SECOND, NOON + 4 * HOUR - 60 * SECOND)], **ONLY_QUOTES)

    def stop(page: int) -> None:
        if page == 6:
            raise RestStopped

    with pytest.raises(RestStopped):
        close(tmp_path, ScriptedHistory(events, on_page=stop))
    history = ScriptedHistory(events)
    (closing,) = close(tmp_path, history).closings

    assert closing.state is ClosingState.CLOSED
    assert len(history.asked) == 3


def test_what_another_gap_lost_is_beside_none(tmp_path: Path):
    """Where it is of another question, which brings it."""
    events = quotes(4_000)
    gaps = gaps_each(60, 60)
    record_cut(tmp_path, events, gaps, **ONLY_QUOTES)
    history = ScriptedHistory(events, page=10_000)

    reports = runs_until_all_is_told(tmp_path, history, requests=1)

    closings = [closing for report in reports for closing in report.closings]
    assert len(history.asked) == len(reports) == 3
    assert len(closings) == len(gaps)
    assert {(closing.more, closing.beside) for closing in closings} == {(3, 0)}


def test_rows_beside_a_gap_are_never_brought_whatever_the_overlap(tmp_path: Path):
    """History has what the stream did not send, or sends otherwise: the connection was well then."""
    events = day()
    record_cut(tmp_path, events, [GAP])
    beside = [
        msgspec.structs.replace(event, timestamp=timestamp_extension(NOON + at * SECOND + SECOND // 3))
        for at, event in zip((5, 10, 35, 45), events, strict=False)
    ]

    (closing,) = close(tmp_path, ScriptedHistory([*events, *beside])).closings

    assert (closing.state, closing.more, closing.beside) == (ClosingState.CLOSED, 27, 4)
    assert "27 more: gap closed; 4 rows beside it that nobody recorded are left alone" in closing.words
    assert rows_kept(tmp_path, *RECORDED, *BACKFILL) == uncut_rows(tmp_path / "uncut", events)
    assert audit(tmp_path).closings == (closing,)


class _Refusing(ScriptedHistory):
    """Knows some symbols not, as Alpaca says it, and refuses everything while told to."""

    unknown: tuple[str, ...] = ()
    status: int | None = None

    def past(self, kind: str, path: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        wrong = set(self.unknown) & set(query["symbols"].split(","))
        status = 400 if wrong else self.status
        if status is not None:
            self.asked.append((path, query))
            raise RestError(f"Alpaca answered with HTTP {status}: invalid symbol.", status=status)
        return super().past(kind, path, query)


@pytest.mark.parametrize("status", [400, 403, 422, 500])
def test_a_refusal_is_remembered_and_asked_about_again_later_and_later(tmp_path: Path, status: int):
    events = day()
    record_cut(tmp_path, events, [GAP])
    history = _Refusing(events)
    history.status = status

    asked_at = []
    for quarter in range(4 * 40):
        before = len(history.asked)
        close(tmp_path, history, 1 + quarter / 4)
        if len(history.asked) > before:
            asked_at.append(quarter / 4)

    assert asked_at == [0, 1, 3, 7, 15, 31]
    (told,) = audit(tmp_path).closings
    assert told.words == f"gap still open; Alpaca answered with HTTP {status}: invalid symbol"
    history.status = None
    (closing,) = close(tmp_path, history, 1 + 63).closings
    assert closing.state is ClosingState.CLOSED
    assert rows_kept(tmp_path, *RECORDED, *BACKFILL) == uncut_rows(tmp_path / "uncut", events)


def test_an_answer_that_may_become_better_is_asked_for_later_and_later_and_for_a_week(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP])
    history = ScriptedHistory([])

    asked_at = []
    for hour in range(24 * 14):
        before = len(history.asked)
        close(tmp_path, history, 1 + hour)
        if len(history.asked) > before:
            asked_at.append(hour)

    assert asked_at == [0, 20, 60, 140]


def test_a_refusal_keeps_what_an_earlier_answer_was_worth(tmp_path: Path):
    events = day()
    ghost = msgspec.structs.replace(events[0], bid_size=99)  # which no answer has
    record_cut(tmp_path, [*events, ghost], [GAP])
    history = _Refusing(events)
    (first,) = close(tmp_path, history, 1).closings
    history.status = 403

    (again,) = close(tmp_path, history, 25).closings

    assert again.words == first.words
    assert (again.state, again.tries) == (ClosingState.PARTLY, 2)


def test_a_symbol_that_nobody_knows_costs_the_others_nothing(tmp_path: Path):
    symbols = ("AAPL", "GONE", "MSFT", "NVDA", "TSLA")
    events = [event for symbol in symbols if symbol != "GONE" for event in day(symbol)]
    record_cut(tmp_path, events, [GAP], asked={"stocks": symbols})
    history = _Refusing(events)
    history.unknown = ("GONE",)

    (closing,) = close(tmp_path, history).closings

    assert closing.why == ("questions about GONE are refused (Alpaca answered with HTTP 400: invalid symbol)")
    assert (closing.state, closing.is_final) == (ClosingState.PARTLY, True)
    assert closing.found == closing.recorded
    assert rows_kept(tmp_path, *RECORDED, *BACKFILL) == uncut_rows(tmp_path / "uncut", events)
    assert len(history.asked) <= 1 + 2 * 3 + len(RECORDED)


def test_a_refusal_that_is_no_symbols_fault_is_found_out_in_few_questions(tmp_path: Path):
    symbols = tuple(f"A{number}" for number in range(64))
    record_cut(tmp_path, day(symbols[0]), [GAP], asked={"stocks": symbols})
    history = _Refusing([])
    history.status = 400

    (closing,) = close(tmp_path, history).closings

    assert closing.state is ClosingState.OPEN
    assert len(history.asked) < 20


def test_an_answer_that_does_not_fit_into_memory_is_asked_for_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of symbols first, and then of the time."""
    monkeypatch.setattr(gap_asking, "PAGES_AT_ONCE", 3)
    events = [event for symbol in ("AAPL", "MSFT") for event in day(symbol, seconds=500)]
    gap = (NOON + 20 * SECOND, NOON + 480 * SECOND)
    record_cut(tmp_path, events, [gap])
    history = ScriptedHistory(events, page=100)

    (closing,) = close(tmp_path, history).closings

    assert closing.state is ClosingState.CLOSED
    assert {query["symbols"] for _, query in history.asked} == {"AAPL,MSFT", "AAPL", "MSFT"}
    assert rows_kept(tmp_path, *RECORDED, *BACKFILL) == uncut_rows(tmp_path / "uncut", events)


def test_a_damaged_file_is_told_once_and_asked_about_again_later(tmp_path: Path):
    events = two_days()
    record_cut(tmp_path, events, [GAP])
    close(tmp_path, ScriptedHistory(events))
    (path,) = tmp_path.rglob("quotes_backfill/**/*.csv.gz")
    path.write_bytes(path.read_bytes() + b"torn")
    record_cut(tmp_path, [], [LATER_GAP], session="two", asked={"stocks": ("AAPL",)})

    report = close(tmp_path, ScriptedHistory(events))

    (closing,) = report.closings
    assert closing.state is ClosingState.OPEN
    assert "is damaged" in closing.why
    history = ScriptedHistory(events)
    assert close(tmp_path, history).closings == ()
    assert history.asked == []


def test_closings_of_an_earlier_version_are_read_and_asked_about_again(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP])
    close(tmp_path, ScriptedHistory([]), 1)
    (path,) = (tmp_path / "closings").iterdir()
    known = len(COLUMNS) - 3
    lines = [",".join(line.split(",")[:known]) for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")

    (told,) = read_closings(tmp_path).of_gaps.values()
    assert (told.tries, told.beside, told.is_final) == (1, 0, False)
    assert close(tmp_path, ScriptedHistory(events), 2).closings == ()
    (closing,) = close(tmp_path, ScriptedHistory(events), 25).closings
    assert closing.state is ClosingState.CLOSED


def test_equal_trades_of_one_nanosecond_are_counted_and_brought_as_often_as_they_came(tmp_path: Path):
    """They have no id at some venues; two of them were heard, two were not, and history has all four."""
    trades = [event for event in day() if not isinstance(event, Bar | Quote)]
    anonymous = [msgspec.structs.replace(event, trade_id=None) for event in trades]
    events = [*(event for event in day() if isinstance(event, Bar | Quote)), *anonymous, *anonymous]
    record_cut(tmp_path, events, [GAP])

    (closing,) = close(tmp_path, ScriptedHistory(events)).closings

    assert closing.state is ClosingState.CLOSED
    assert closing.recorded == len(rows_kept(tmp_path, *RECORDED))
    uncut = uncut_rows(tmp_path / "uncut", events)
    assert rows_kept(tmp_path, *RECORDED, *BACKFILL) == uncut


def test_a_worse_answer_with_one_of_two_equal_trades_takes_none_away(tmp_path: Path):
    trades = [event for event in day() if isinstance(event, Trade)]
    once = [msgspec.structs.replace(event, trade_id=None) for event in trades]
    record_cut(tmp_path, [*once, *once], [GAP], channels={"stocks": ("trades",)})
    close(tmp_path, ScriptedHistory([*once, *once]))
    brought = rows_kept(tmp_path, "trades_backfill")
    assert len(brought) == 10
    shutil.rmtree(tmp_path / "closings")

    (closing,) = close(tmp_path, ScriptedHistory(once)).closings

    assert closing.found < closing.recorded
    assert rows_kept(tmp_path, "trades_backfill") == brought


class _Correcting(ScriptedHistory):
    """Says of some trades, by their ids, what became of them since."""

    fates: Mapping[int, str] = {}

    def past(self, kind: str, path: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for page in super().past(kind, path, query):
            for row in page.get("trades", {}).get("AAPL", []):
                if fate := self.fates.get(row["i"]):
                    row["u"] = fate
            yield page


def test_trades_that_were_cancelled_or_corrected_prove_that_they_were_there_and_are_not_brought(
    tmp_path: Path,
):
    """Of a correction history has the trade that was wrong, and another in its place."""
    trades = [event for event in day() if isinstance(event, Trade)]
    wrong_beside, cancelled_beside, wrong_within = trades[1], trades[2], trades[11]
    places = [
        msgspec.structs.replace(wrong, trade_id=1_000 + number, price=9.0)
        for number, wrong in enumerate((wrong_beside, wrong_within))
    ]
    record_cut(tmp_path, trades, [GAP], channels={"stocks": ("trades",)})
    history = _Correcting([*trades, *places])
    history.fates = {
        wrong_beside.trade_id or 0: "incorrect",
        cancelled_beside.trade_id or 0: "canceled",
        wrong_within.trade_id or 0: "incorrect",
        1_000: "corrected",
        1_001: "corrected",
    }

    (closing,) = close(tmp_path, history).closings

    missed = [trade for trade in trades if GAP[0] <= trade.received_ns < GAP[1]]
    assert (closing.state, closing.found) == (ClosingState.CLOSED, len(trades) - len(missed))
    assert (closing.more, closing.beside) == (len(missed), 1)
    brought = IntradayStore(tmp_path).read("stocks", "trades_backfill", "AAPL")
    assert set(brought["trade_id"]) == {trade.trade_id for trade in missed} - {wrong_within.trade_id} | {
        1_001
    }


def test_where_nothing_was_recorded_beside_it_a_gap_is_never_closed(tmp_path: Path):
    """Whatever comes back: nothing proves that it is all."""
    events = [moved(event, 5 * MINUTE) for event in day()]
    record_cut(tmp_path, events, [(NOON + 2 * MINUTE, NOON + 20 * MINUTE)], began_ns=NOON)

    (closing,) = close(tmp_path, ScriptedHistory(events)).closings

    assert (closing.state, closing.recorded) == (ClosingState.PARTLY, 0)
    assert "nothing was recorded within a minute of it" in closing.why
    assert closing.more == len(events)


def test_sessions_of_other_symbols_are_other_questions_and_all_are_closed(tmp_path: Path):
    events = [*day(), *(moved(event, 2 * MINUTE) for event in day("MSFT"))]
    later = (GAP[0] + 2 * MINUTE, GAP[1] + 2 * MINUTE)
    record_cut(tmp_path, day(), [GAP], ended_ns=NOON + 65 * SECOND, asked={"stocks": ("AAPL",)})
    rest = [event for event in events if event.symbol == "MSFT"]
    record_cut(
        tmp_path, rest, [later], session="two", began_ns=NOON + 110 * SECOND, asked={"stocks": ("MSFT",)}
    )

    report = close(tmp_path, ScriptedHistory(events), 1)

    assert len(report.closings) == 2
    assert rows_kept(tmp_path, *RECORDED, *BACKFILL) == uncut_rows(tmp_path / "uncut", events)
