"""A recorded gap is closed with what history says, as far as the rows on both sides prove it, and never by halves."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.close_gaps import ClosingReport, close_gaps
from options_helper.data.recording.closings import read_closings
from options_helper.data.recording.gap_verdict import ClosingState
from options_helper.data.recording.journal import JournalWriter
from options_helper.data.recording.session_notes import save_note, session_notes
from options_helper.data.recording.verify import audit
from options_helper.errors import RestError, RestStopped, StoreError
from options_helper.model.announcement import MarketKind
from options_helper.model.events import Bar, Quote, Trade
from options_helper.model.instants import NANOSECONDS, nanosecond_text, timestamp_extension, utc_datetime
from options_helper.model.streams import StreamName
from tests.data.recording.test_rebuild import began, received
from tests.kit.builders import AAPL_CALL
from tests.kit.cut import MINUTE, ScriptedHistory, Told, record_cut, rows_kept, uncut_rows
from tests.kit.fakes import NOON

SECOND = NANOSECONDS
GAP = (NOON + 20 * SECOND, NOON + 30 * SECOND)
LATER = utc_datetime(NOON + 60 * MINUTE)
RECORDED = ("quotes", "trades", "bars")
BACKFILL = tuple(f"{name}_backfill" for name in RECORDED)


def day(symbol: str = "AAPL", seconds: int = 50) -> list[Told]:
    """A quote each half second, two at once each ten; a trade each two; the minutes, each 25 seconds after its end."""
    made: list[Told] = []
    for half in range(2 * seconds):
        at_ns = NOON + half * SECOND // 2
        times = {"timestamp": timestamp_extension(at_ns), "received_ns": at_ns + 1_000_000, "symbol": symbol}
        quote = Quote(bid_price=1.0, bid_size=half, ask_price=1.5, ask_size=2, **times)
        made += [quote, quote] if half % 20 == 0 else [quote]
        if half % 4 == 0:
            made.append(
                Trade(price=1.25, size=100, exchange="V", trade_id=half, conditions=["@", " "], **times)
            )
    return [*made, *(bar(NOON + minute * MINUTE, symbol) for minute in range(-2, 1 + seconds // 60))]


def two_days() -> list[Told]:
    """Two of them, 40 minutes apart: what is missing of both is asked in two questions."""
    return [*day(), *(moved(event, 40 * MINUTE) for event in day())]


LATER_GAP = (GAP[0] + 40 * MINUTE, GAP[1] + 40 * MINUTE)


def moved(event: Told, by_ns: int) -> Told:
    times = {"timestamp": timestamp_extension((event.timestamp_ns or 0) + by_ns)}
    return msgspec.structs.replace(event, received_ns=event.received_ns + by_ns, **times)


def bar(at_ns: int, symbol: str = "AAPL", received_ns: int | None = None) -> Bar:
    times = {"timestamp": timestamp_extension(at_ns), "received_ns": received_ns or at_ns + 85 * SECOND}
    return Bar(
        open=1, high=2, low=1, close=2, volume=5_000, trade_count=25, vwap=1.25, symbol=symbol, **times
    )


def close(root: Path, history: ScriptedHistory, now: Any = LATER) -> ClosingReport:
    return close_gaps(root, history.client, now=now)


def test_what_was_not_heard_is_brought_and_what_was_heard_proves_it(tmp_path: Path):
    events = [*day(), *day("MSFT")]
    record_cut(tmp_path, events, [GAP])

    report = close(tmp_path, ScriptedHistory(events, page=7))

    (closing,) = report.closings
    recorded = len(rows_kept(tmp_path, *RECORDED))
    assert (
        closing.words
        == f"{recorded} of {recorded} recorded rows are in the answer, {report.rows} more: gap closed"
    )
    assert rows_kept(tmp_path, *RECORDED, *BACKFILL) == uncut_rows(tmp_path / "uncut", events)
    assert report.rows == len(rows_kept(tmp_path, *BACKFILL)) > 50
    assert report.problems == report.later == ()


def test_what_is_brought_says_when_and_who_and_is_read_like_any_dataset(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP])
    close(tmp_path, ScriptedHistory(events))

    frame = IntradayStore(tmp_path).read("stocks", "quotes_backfill", "AAPL", start=utc_datetime(GAP[0]))

    assert set(frame["source"]) == {"rest iex"}
    assert set(frame["asked_at_ns"]) == {NOON + 60 * MINUTE}
    assert list(frame["seq"]) == list(range(1, len(frame) + 1))
    assert frame["ts_ns"].is_monotonic_increasing
    assert all(report.ok for report in IntradayStore(tmp_path).verify())


def test_asked_again_nothing_changes_and_nothing_is_asked(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP])
    close(tmp_path, ScriptedHistory(events))
    before = contents(tmp_path)
    history = ScriptedHistory(events)

    assert close(tmp_path, history) == ClosingReport()

    assert history.asked == []
    assert contents(tmp_path) == before


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ("backfill" in str(path) or path.parent.name == "closings")
    }


def test_overlapping_gaps_share_a_file_and_bring_each_row_once(tmp_path: Path):
    events = day(seconds=200)
    gaps = [GAP, (GAP[1] + 5 * SECOND, GAP[1] + 40 * SECOND), (NOON + 150 * SECOND, NOON + 170 * SECOND)]
    record_cut(tmp_path, events, gaps)

    report = close(tmp_path, ScriptedHistory(events))

    assert [closing.state for closing in report.closings] == [ClosingState.CLOSED] * 3
    assert rows_kept(tmp_path, *RECORDED, *BACKFILL) == uncut_rows(tmp_path / "uncut", events)


def test_a_gap_within_another_is_proven_by_what_was_heard_around_both(tmp_path: Path):
    """A queue that was full while the connection came and went: nothing was heard on either side of the inner one."""
    events = day(seconds=300)
    outer, inner = (NOON + 20 * SECOND, NOON + 280 * SECOND), (NOON + 140 * SECOND, NOON + 150 * SECOND)
    record_cut(tmp_path, events, [outer, inner])

    history = ScriptedHistory(events)

    report = close(tmp_path, history)

    assert {closing.state for closing in report.closings} == {ClosingState.CLOSED}
    assert len(history.asked) == len(RECORDED)  # both at once
    assert report.rows == len(rows_kept(tmp_path, *BACKFILL)) == report.closings[0].more


def test_an_answer_that_lacks_recorded_rows_closes_in_part_and_brings_the_hole_alone(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP])
    told = [replaced(event) if number % 7 == 0 else event for number, event in enumerate(events)]

    (closing,) = close(tmp_path, ScriptedHistory(told)).closings

    assert closing.state is ClosingState.PARTLY
    assert 0 < closing.found < closing.recorded
    assert f"the answer lacks {closing.recorded - closing.found} recorded rows" in closing.words
    times = IntradayStore(tmp_path).read("stocks", "quotes_backfill", "AAPL")["ts_ns"]
    assert GAP[0] <= times.min() <= times.max() < GAP[1]


def replaced(event: Told) -> Told:
    """The same in another size or volume: a row that contradicts what was heard."""
    match event:
        case Quote():
            return msgspec.structs.replace(event, bid_size=10_000)
        case Trade():
            return msgspec.structs.replace(event, trade_id=10_000)
        case _:
            return event


def test_an_empty_answer_proves_nothing_and_is_asked_again_after_a_day(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP])

    (closing,) = close(tmp_path, ScriptedHistory([])).closings

    assert (closing.state, closing.found, closing.more) == (ClosingState.PARTLY, 0, 0)
    assert rows_kept(tmp_path, *BACKFILL) == []
    history = ScriptedHistory(events)
    assert close(tmp_path, history, utc_datetime(NOON + 120 * MINUTE)).closings == ()
    (again,) = close(tmp_path, history, utc_datetime(NOON + 24 * 60 * MINUTE)).closings
    assert again.state is ClosingState.CLOSED
    assert list(read_closings(tmp_path).of_gaps.values()) == [again]


def test_where_nothing_was_heard_on_either_side_nothing_is_proven(tmp_path: Path):
    events = [event for event in day() if not isinstance(event, Bar)]
    record_cut(tmp_path, events, [(NOON - SECOND, NOON + 50 * SECOND)])

    (closing,) = close(tmp_path, ScriptedHistory(events)).closings

    assert closing.state is ClosingState.PARTLY
    assert closing.more == len(events)
    assert "could prove the answer whole" in closing.words


def test_the_bar_that_came_in_the_gap_is_brought_though_its_minute_was_over_before(tmp_path: Path):
    missed = bar(NOON, received_ns=NOON + 61 * SECOND)
    events = [event for event in day(seconds=120) if not isinstance(event, Bar)]
    record_cut(tmp_path, [*events, missed], [(NOON + 60 * SECOND + SECOND // 2, NOON + 63 * SECOND)])

    close(tmp_path, ScriptedHistory([*events, missed]))

    assert len(rows_kept(tmp_path, "bars_backfill")) == 1


def test_an_answer_that_ends_with_the_gap_does_not_close_it(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events[:50], [GAP])

    (closing,) = close(tmp_path, ScriptedHistory(events[:50])).closings

    assert (closing.found, closing.state) == (closing.recorded, ClosingState.PARTLY)
    assert not closing.is_final


def test_the_rows_of_one_symbol_or_channel_prove_nothing_of_another_that_came_empty(tmp_path: Path):
    events = day()
    quotes = [event for event in events if not isinstance(event, Trade)]
    missed = [event for event in (*day(), *day("MSFT")) if GAP[0] <= event.received_ns < GAP[1]]
    asked = {"stocks": ("AAPL", "MSFT")}
    record_cut(tmp_path, [*quotes, *missed], [GAP], asked=asked)

    (closing,) = close(tmp_path, ScriptedHistory(quotes)).closings

    assert (closing.found, closing.state) == (closing.recorded, ClosingState.PARTLY)
    assert closing.why.endswith("for trades, MSFT")


def test_what_is_known_to_be_lost_and_did_not_come_back_keeps_its_fault(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP], lost=500)

    (closing,) = close(tmp_path, ScriptedHistory(events)).closings

    assert closing.words.endswith("27 more: gap partly closed; 500 events were lost and 27 came back")
    assert not audit(tmp_path).ok


def test_quotes_of_contracts_have_no_history_and_their_trades_are_brought(tmp_path: Path):
    events = [event for event in day(AAPL_CALL) if not isinstance(event, Bar)]
    record_cut(tmp_path, events, [GAP], stream=StreamName.OPTIONS, asked={"options": (AAPL_CALL,)})
    history = ScriptedHistory(events)

    (closing,) = close(tmp_path, history).closings

    assert closing.state is ClosingState.PARTLY
    assert closing.words.endswith("there is no history of options quotes")
    assert {path for path, _ in history.asked} == {"/options/trades"}
    assert closing.is_final


def test_a_recording_of_nothing_but_quotes_of_contracts_cannot_be_closed(tmp_path: Path):
    events = [event for event in day(AAPL_CALL) if isinstance(event, Quote)]
    record_cut(tmp_path, events, [GAP], stream=StreamName.OPTIONS, channels={"options": ("quotes",)})
    history = ScriptedHistory(events)

    (closing,) = close(tmp_path, history).closings

    assert closing.words == "gap cannot be closed; there is no history of options quotes"
    assert history.asked == []


def test_coins_are_asked_for_at_their_location_and_their_books_have_no_history(tmp_path: Path):
    events = [event for event in day("BTC/USD") if not isinstance(event, Bar)]
    more = {"channels": {"crypto": ("quotes", "trades", "orderbooks")}, "feeds": {"crypto": "us"}}
    record_cut(tmp_path, events, [GAP], stream=StreamName.CRYPTO, asked={"crypto": ("BTC/USD",)}, **more)
    history = ScriptedHistory(events)

    (closing,) = close(tmp_path, history).closings

    assert {path for path, _ in history.asked} == {"/crypto/us/quotes", "/crypto/us/trades"}
    assert (closing.found, closing.state) == (closing.recorded, ClosingState.PARTLY)
    assert closing.why == "there is no history of crypto orderbooks"
    assert len(rows_kept(tmp_path, *RECORDED, *BACKFILL)) == len(events)


@pytest.mark.parametrize(
    ("feed", "minutes", "asked_as"), [("iex", 3, "iex"), ("sip", 16, "sip"), ("delayed_sip", 1, "sip")]
)
def test_a_gap_is_asked_about_when_every_plan_is_told_of_it(
    tmp_path: Path, feed: str, minutes: int, asked_as: str
):
    """The consolidated feed after a quarter of an hour, which a delayed one has been through already."""
    delay = 15 * MINUTE if feed == "delayed_sip" else 0
    events = [received_later(event, delay) for event in day()]
    gap = (GAP[0] + delay, GAP[1] + delay)
    record_cut(tmp_path, events, [gap], feeds={"stocks": feed})
    history = ScriptedHistory(events, market=MarketKind.ALPACA)
    due_ns = gap[1] + minutes * MINUTE

    early = close(tmp_path, history, utc_datetime(due_ns - SECOND))
    assert early.closings == ()
    assert "it may be asked about from" in early.later[0]
    assert history.asked == []

    (closing,) = close(tmp_path, history, utc_datetime(due_ns)).closings
    assert closing.state is ClosingState.CLOSED
    assert {query["feed"] for _, query in history.asked} == {asked_as}


def received_later(event: Told, delay_ns: int) -> Told:
    return msgspec.structs.replace(event, received_ns=event.received_ns + delay_ns)


def test_a_refusal_amid_the_pages_leaves_the_gap_for_another_time(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP])

    def refuse(page: int) -> None:
        if page == 2:
            raise RestError("Alpaca answered with HTTP 429.", status=429)

    with pytest.raises(RestError, match="429"):
        close(tmp_path, ScriptedHistory(events, page=20, on_page=refuse))

    assert read_closings(tmp_path).of_gaps == {}
    (closing,) = close(tmp_path, ScriptedHistory(events, page=20)).closings
    assert closing.state is ClosingState.CLOSED
    assert rows_kept(tmp_path, *RECORDED, *BACKFILL) == uncut_rows(tmp_path / "uncut", events)


def test_after_a_refusal_of_the_moment_what_was_closed_before_stays_and_the_rest_waits(tmp_path: Path):
    events = two_days()
    record_cut(tmp_path, events, [GAP, LATER_GAP])

    def refuse(page: int) -> None:
        if page == 5:
            raise RestError("Alpaca answered with HTTP 429.", status=429)

    report = close(tmp_path, ScriptedHistory(events, on_page=refuse))

    assert len(report.closings) == len(report.problems) == 1
    assert "429" in report.problems[0]
    assert len(close(tmp_path, ScriptedHistory(events)).closings) == 1


@pytest.mark.parametrize("status", [400, 403, 500])
def test_a_question_that_is_refused_costs_its_own_gap_alone(tmp_path: Path, status: int):
    events = two_days()
    record_cut(tmp_path, events, [GAP, LATER_GAP])

    def refuse(page: int) -> None:
        if page == 1:
            raise RestError(f"Alpaca answered with HTTP {status}.", status=status)

    report = close(tmp_path, ScriptedHistory(events, on_page=refuse))

    assert [closing.state for closing in report.closings] == [ClosingState.OPEN, ClosingState.CLOSED]
    assert report.closings[0].words == f"gap still open; Alpaca answered with HTTP {status}"
    assert len(report.problems) == 1


def test_a_stop_ends_it_at_once(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP])

    def stop(_: int) -> None:
        raise RestStopped

    with pytest.raises(RestStopped):
        close(tmp_path, ScriptedHistory(events, on_page=stop))


@pytest.mark.parametrize("ends", [None, NOON + 60 * SECOND], ids=["at work", "ended"])
def test_rows_that_are_in_a_journal_alone_come_to_their_files_first(tmp_path: Path, ends: int | None):
    """Of a capture under pressure, or one that had no time at its end: they would be taken for missing."""
    events = day()
    record_cut(tmp_path, events, [GAP], journal=True, put_off=3, ended_ns=ends, filed=2)
    journal = JournalWriter(tmp_path, "one")
    for record in (
        began(NOON),
        received(NOON + SECOND),
        received(NOON + 35 * SECOND),
        received(NOON + 99 * SECOND),
    ):
        journal.append(record)
    journal.close()
    history = ScriptedHistory(events)

    report = close(tmp_path, history)

    assert history.asked == []
    assert "in a journal and not in their files yet" in report.later[0]
    (note,) = session_notes(tmp_path)
    save_note(tmp_path, replace(note, filed=3))
    assert len(close(tmp_path, history).closings) == 1


def test_another_market_is_not_asked_about_this_one(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP], market="alpaca")

    report = close(tmp_path, ScriptedHistory(events, market=MarketKind.LOCAL))

    assert "another market" in report.later[0]
    assert len(close(tmp_path, ScriptedHistory(events, market=MarketKind.ALPACA)).closings) == 1


def test_it_is_done_by_one_process_at_a_time(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP])

    def again(_: int) -> None:
        with pytest.raises(StoreError, match="Another process"):
            close(tmp_path, ScriptedHistory(events))

    assert len(close(tmp_path, ScriptedHistory(events, on_page=again)).closings) == 1


def test_a_sealed_day_is_written_anew_and_sealed_again(tmp_path: Path):
    events = day()
    record_cut(tmp_path, events, [GAP, (NOON + 40 * SECOND, NOON + 45 * SECOND)])
    history = ScriptedHistory([event for event in events if event.received_ns < NOON + 32 * SECOND])
    close(tmp_path, history)
    store = IntradayStore(tmp_path)
    store.seal(utc_datetime(NOON).date(), parquet=True)

    close(tmp_path, ScriptedHistory(events), utc_datetime(NOON + 26 * 60 * MINUTE))

    assert rows_kept(tmp_path, *RECORDED, *BACKFILL) == uncut_rows(tmp_path / "uncut", events)
    assert all(report.ok for report in store.verify())
    assert all(report.problem is None for report in store.seal(utc_datetime(NOON).date(), parquet=True))
    assert all(report.ok for report in store.verify())


class Killed(BaseException):
    """The process is gone: nothing that would tidy up is done any more."""


class _Deaths:
    """Kills before the n-th change to the files of a folder; a hook stays for ever, so there is one."""

    def __init__(self) -> None:
        self.folder = ""
        self.steps_left: int | None = None
        sys.addaudithook(self._on_event)

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.steps_left is None or not self.folder:
            return
        changes = event in ("os.rename", "os.remove", "os.mkdir") or (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & 3
        )
        if changes and str(arguments[0]).startswith(self.folder):
            if self.steps_left == 0:
                raise Killed
            self.steps_left -= 1

    @contextmanager
    def after(self, steps: int, folder: Path) -> Iterator[None]:
        self.folder, self.steps_left = str(folder), steps
        try:
            yield
        finally:
            self.steps_left = None


DEATHS = _Deaths()


def test_wherever_it_is_killed_no_file_is_half_and_the_next_run_makes_the_same(tmp_path: Path):
    events = [event for event in day(seconds=40) if not isinstance(event, Bar)]
    whole = tmp_path / "whole"
    record_cut(whole, events, [GAP])
    close(whole, ScriptedHistory(events))
    expected = contents(whole)
    died = 0
    for steps in range(100):
        root = tmp_path / str(steps)
        record_cut(root, events, [GAP])
        try:
            with DEATHS.after(steps, root):
                close(root, ScriptedHistory(events))
            break
        except Killed:
            died += 1
        rows_kept(root, *BACKFILL)  # readable
        close(root, ScriptedHistory(events))
        assert contents(root) == expected, f"killed after {steps} steps"

    assert died > 10


def test_a_worse_answer_takes_away_nothing_that_a_better_one_told(tmp_path: Path):
    events = day()
    ghost = msgspec.structs.replace(events[0], bid_size=99)  # which no answer has: it keeps the gap open
    record_cut(tmp_path, [*events, ghost], [GAP])
    close(tmp_path, ScriptedHistory(events))
    brought = rows_kept(tmp_path, *BACKFILL)
    assert len(brought) == 27

    (again,) = close(tmp_path, ScriptedHistory([]), utc_datetime(NOON + 24 * 60 * MINUTE)).closings

    assert (again.found, again.state) == (0, ClosingState.PARTLY)
    assert rows_kept(tmp_path, *BACKFILL) == brought


def test_an_answer_adds_to_a_worse_one_of_before_and_doubles_nothing(tmp_path: Path):
    events = day()
    ghost = msgspec.structs.replace(events[0], bid_size=99)
    record_cut(tmp_path, [*events, ghost], [GAP])
    close(tmp_path, ScriptedHistory(event for event in events if event.received_ns < NOON + 25 * SECOND))

    close(tmp_path, ScriptedHistory(events), utc_datetime(NOON + 24 * 60 * MINUTE))

    rows = rows_kept(tmp_path, *RECORDED, *BACKFILL)
    assert rows == uncut_rows(tmp_path / "uncut", [*events, ghost])


def test_a_proven_answer_takes_away_what_history_has_withdrawn(tmp_path: Path):
    """Or told wrongly before, as long as what was heard proves that it is whole now."""
    events = day()
    wrong = msgspec.structs.replace(events[0], bid_size=99, timestamp=timestamp_extension(GAP[0] + SECOND))
    record_cut(tmp_path, events, [GAP])
    close(tmp_path, ScriptedHistory([*events[:60], wrong]))
    assert any("99" in "".join(row) for row in rows_kept(tmp_path, "quotes_backfill"))

    close(tmp_path, ScriptedHistory(events), utc_datetime(NOON + 24 * 60 * MINUTE))

    assert rows_kept(tmp_path, *RECORDED, *BACKFILL) == uncut_rows(tmp_path / "uncut", events)


class _Talkative(ScriptedHistory):
    """Tells of the symbol whatever it has, whenever that was."""

    def past(self, kind: str, path: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        return super().past(kind, path, {**query, "start": EARLIER_TEXT, "end": NEXT_DAY_TEXT})


EARLIER_TEXT, NEXT_DAY_TEXT = (
    nanosecond_text(at_ns) for at_ns in (NOON - 60 * MINUTE, NOON + 24 * 60 * MINUTE)
)


def test_what_was_not_asked_for_is_not_kept(tmp_path: Path):
    """Nobody can tell whether it was heard."""
    events, long_after = (
        day(),
        [
            quote
            for quote in day(seconds=400)
            if isinstance(quote, Quote) and quote.received_ns > NOON + 120 * SECOND
        ],
    )
    record_cut(tmp_path, events, [GAP])

    (closing,) = close(tmp_path, _Talkative([*events, *long_after])).closings

    assert closing.more == len(rows_kept(tmp_path, *BACKFILL)) == 27


@pytest.mark.parametrize("later_session", [False, True])
def test_a_gap_by_a_clock_that_was_put_back_is_not_closed(tmp_path: Path, *, later_session: bool):
    """Found on a simulated day (seed 436796377): at its time by that clock everything had been recorded."""
    events = day()
    record_cut(tmp_path, events, [GAP])
    (note,) = session_notes(tmp_path)
    if later_session:
        # The one before ended after it began.
        save_note(tmp_path, replace(note, number=2))
        save_note(tmp_path, replace(note, session="before", number=1, ended_ns=note.stretch[1] + MINUTE))
    else:
        save_note(tmp_path, replace(note, began_ns=note.stretch[1] + MINUTE, ran_seconds=50.0))
    history = ScriptedHistory(events)

    (closing,) = close(tmp_path, history).closings

    assert closing.state is ClosingState.NOT
    assert "clock was put back" in closing.words
    assert history.asked == []


@pytest.mark.parametrize(
    ("since", "until", "state"),
    [
        (-600, -300, ClosingState.CLOSED),
        (-600, -31, ClosingState.NOT),
        (25, 26, ClosingState.NOT),
        (89, 600, ClosingState.NOT),
        (600, 900, ClosingState.CLOSED),
    ],
)
def test_of_a_clock_that_was_put_back_only_what_it_showed_twice_is_not_asked_for(
    tmp_path: Path, since: int, until: int, state: ClosingState
):
    """A minute about it neither: what was recorded there is held against the answer."""
    events = day()
    record_cut(tmp_path, events, [GAP])
    (note,) = session_notes(tmp_path)
    repeated = ((GAP[0] + (since - 20) * SECOND, GAP[0] + (until - 20) * SECOND),)
    if since > 500:
        # The clock was net put back: by the note's own times alone nobody knows when.
        note = replace(note, began_ns=note.stretch[1] + MINUTE, ran_seconds=50.0)
    save_note(tmp_path, replace(note, repeated=repeated))

    (closing,) = close(tmp_path, ScriptedHistory(events)).closings

    assert closing.state is state


@pytest.mark.parametrize(("began_after_gap", "state"), [(30, ClosingState.NOT), (70, ClosingState.CLOSED)])
def test_a_gap_is_not_closed_by_what_a_later_session_recorded_at_its_time_once_more(
    tmp_path: Path, began_after_gap: int, state: ClosingState
):
    """Found on simulated days (seeds 71000103, 72001232): the clock was put back after the session with the gap."""
    events = day()
    record_cut(tmp_path, events, [GAP])
    (note,) = session_notes(tmp_path)
    save_note(tmp_path, replace(note, number=1, ended_ns=GAP[1] + 10 * MINUTE, repeated=()))
    began_ns = GAP[1] + began_after_gap * SECOND
    after = replace(note, session="later", number=2, began_ns=began_ns, ended_ns=began_ns + 20 * MINUTE)
    save_note(tmp_path, replace(after, asked={}, repeated=()))

    (closing,) = close(tmp_path, ScriptedHistory(events)).closings

    assert closing.state is state


@pytest.mark.parametrize(("ended_before_gap", "state"), [(30, ClosingState.NOT), (70, ClosingState.CLOSED)])
def test_a_gap_after_the_end_of_the_session_before_is_closed_where_the_clock_was_put_back_between_them(
    tmp_path: Path, ended_before_gap: int, state: ClosingState
):
    """From then on its times are nobody else's."""
    events = day()
    record_cut(tmp_path, events, [GAP])
    (note,) = session_notes(tmp_path)
    began_ns = NOON - 10 * MINUTE
    save_note(tmp_path, replace(note, number=2, began_ns=began_ns, repeated=()))
    ended_ns = GAP[0] - ended_before_gap * SECOND
    before = replace(note, session="before", number=1, began_ns=began_ns - MINUTE, ended_ns=ended_ns)
    save_note(tmp_path, replace(before, asked={}))

    (closing,) = close(tmp_path, ScriptedHistory(events)).closings

    assert closing.state is state
