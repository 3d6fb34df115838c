"""Which gap is asked about, how and when; and what an answer is worth that is held against what was recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from options_helper.data.recording.gap_closing import (
    MARGIN_NS,
    SLICE_NS,
    GapQuestion,
    overlapping,
    question_of,
)
from options_helper.data.recording.gap_verdict import ClosingState, GapClosing, Side, Witness
from options_helper.data.recording.loss_log import LossRow
from options_helper.data.recording.overlap import event_key, recorded_key
from options_helper.data.recording.session_notes import SessionNote
from options_helper.model.events import Bar, Quote, Trade
from options_helper.model.gaps import Gap
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds
from options_helper.model.market_hours import NEW_YORK
from tests.kit.fakes import NOON

SECOND = NANOSECONDS
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
NOTE = SessionNote(
    session="one",
    began_ns=NOON - HOUR,
    seen_ns=NOON + HOUR,
    ended_ns=NOON + HOUR,
    journal=False,
    flush_events=500,
    flush_seconds=5.0,
    asked={"stocks": ("AAPL", "MSFT"), "options": ("SPY261218C00700000",)},
    feeds={"stocks": "iex", "options": "indicative"},
    channels={"stocks": ("quotes", "bars"), "options": ("quotes", "trades")},
)


def row(
    stream: str = "stocks", since_ns: int = NOON, until_ns: int | None = NOON + SECOND, **more: Any
) -> LossRow:
    return LossRow(stream, since_ns, until_ns, more.pop("reason", "lost"), session="one", **more)


def asked(gap: LossRow, *notes: SessionNote, ledger: tuple[LossRow, ...] = ()) -> GapQuestion:
    question = question_of(
        gap,
        overlapping(ledger or (gap,))[gap],
        {note.session: note for note in notes or (NOTE,)},
        NOON + HOUR,
    )
    assert isinstance(question, GapQuestion)
    return question


def refused(gap: LossRow, *notes: SessionNote) -> str:
    closing = question_of(gap, (gap,), {note.session: note for note in notes}, NOON + HOUR)
    assert isinstance(closing, GapClosing)
    assert closing.state is ClosingState.NOT
    return closing.why


def test_a_gap_is_asked_about_with_a_minute_on_both_sides_as_it_was_recorded():
    question = asked(row())

    assert tuple(question.stretch) == (NOON - MARGIN_NS, NOON + SECOND + MARGIN_NS)
    assert (question.kind, question.channels, question.symbols) == (
        "stocks",
        ("quotes", "bars"),
        ("AAPL", "MSFT"),
    )
    assert (question.feed, question.untold) == ("iex", ())
    assert list(question.slices()) == [question.stretch]


def test_what_has_no_history_is_named_and_the_rest_is_asked():
    question = asked(row("options"))

    assert (question.channels, question.untold) == (("trades",), ("options quotes",))


def test_halts_have_no_history_and_what_comes_with_other_channels_needs_none():
    channels = ("trades", "bars", "updatedBars", "dailyBars", "corrections", "cancelErrors", "statuses")

    question = asked(row(), replace(NOTE, channels={"stocks": channels}))

    assert (question.channels, question.untold) == (("trades", "bars"), ("stocks statuses",))


@pytest.mark.parametrize(
    ("gap", "note", "said"),
    [
        (row("options"), replace(NOTE, channels={"options": ("quotes",)}), "no history of options quotes"),
        (row("fills"), NOTE, "no history of the fills stream"),
        (row("breeze/main/books"), NOTE, "no history of the breeze/main/books stream"),
        (row(), replace(NOTE, feeds={}), "does not say of which feed"),
        (row(), replace(NOTE, feeds={"stocks": "test"}), "no history of the test feed"),
        (row(until_ns=NOON + 30 * 24 * HOUR), NOTE, "more than a day of trading"),
    ],
)
def test_what_cannot_be_closed_says_why(gap: LossRow, note: SessionNote, said: str):
    assert said in refused(gap, note)


def test_without_its_note_nobody_knows_what_a_gap_is_of():
    assert "nobody knows" in refused(row(), replace(NOTE, asked={}))


def test_an_older_note_without_channels_recorded_what_is_recorded_as_a_rule():
    assert asked(row(), replace(NOTE, channels={})).channels == ("quotes", "trades", "bars")
    assert asked(row("options"), replace(NOTE, channels={})).untold == ("options quotes",)


@pytest.mark.parametrize(
    "gap", [row(until_ns=None), row(reason="in its journal only; `stream rebuild` makes them")]
)
def test_what_lasts_or_is_made_from_the_journal_is_not_asked_for(gap: LossRow):
    assert question_of(gap, (gap,), {"one": NOTE}, NOON) is None


def test_after_a_kill_the_gap_is_of_what_both_captures_were_asked_for():
    """The row is written by the second, and lasts from the first one's last sign of life."""
    first = replace(NOTE, session="zero", began_ns=NOON - 2 * HOUR, seen_ns=NOON, ended_ns=None, missed=True)
    second = replace(NOTE, began_ns=NOON + SECOND, asked={"stocks": ("NVDA",)})
    stranger = replace(NOTE, session="other", began_ns=NOON + 3 * HOUR, asked={"stocks": ("TSLA",)})

    assert set(asked(row(), first, second, stranger).symbols) == {"AAPL", "MSFT", "NVDA"}


def test_a_refusal_of_some_symbols_is_of_those_and_other_gaps_are_of_the_others():
    refusal = Gap("stocks", NOON, None, "not recorded:  MSFT refused", symbols=("MSFT",))
    note = replace(NOTE, refused=(refusal,))

    assert asked(row(reason="not recorded: MSFT refused"), note).symbols == ("MSFT",)
    assert asked(row(since_ns=NOON + 1), note).symbols == ("AAPL",)


def test_gaps_that_overlap_are_asked_about_together():
    inner, outer = (
        row(since_ns=NOON + 5 * SECOND, until_ns=NOON + 6 * SECOND),
        row(until_ns=NOON + 10 * SECOND),
    )
    behind, other = (
        row(since_ns=NOON + 10 * SECOND, until_ns=NOON + 20 * SECOND),
        row("options", NOON, NOON + HOUR),
    )

    question = asked(inner, ledger=(inner, outer, behind, other))

    assert (question.since_ns, question.until_ns) == (NOON, NOON + 20 * SECOND)
    assert question.judged(NOON, {}, set()).of == ("one", "stocks", inner.since_ns, inner.until_ns)


def test_each_gap_is_together_with_those_it_overlaps_with_by_a_chain_too():
    """Losses that go on are a row a minute, each beginning where the one before ends."""
    chain = tuple(row(since_ns=NOON + at * MINUTE, until_ns=NOON + (at + 1) * MINUTE) for at in range(800))
    alone, lasting = row(since_ns=NOON - HOUR, until_ns=NOON - MINUTE), row(until_ns=None)

    together = overlapping([*reversed(chain), alone, lasting])

    assert list(together[chain[400]]) == list(chain)
    assert together[alone] == [alone]
    assert lasting not in together


def new_york(text: str) -> int:
    return datetime_nanoseconds(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK))


def test_nights_and_holidays_are_not_asked_for():
    """From the evening before Christmas, a Thursday, to the Monday after."""
    gap = row(since_ns=new_york("2026-12-24T19:30:00"), until_ns=new_york("2026-12-28T04:30:00"))

    slices = list(asked(gap).slices())

    assert slices[0].since_ns == gap.since_ns - MARGIN_NS
    assert [one.since_ns for one in slices if one.since_ns > gap.since_ns][1] == new_york(
        "2026-12-28T04:00:00"
    )
    assert sum(one.until_ns - one.since_ns for one in slices) == HOUR + 2 * MARGIN_NS


def test_a_gap_of_the_night_is_told_to_hide_nothing_and_is_not_asked_about_again():
    night = new_york("2026-11-05T02:00:00")
    note = replace(NOTE, began_ns=night)

    gap = row(since_ns=night, until_ns=night + MINUTE)
    closing = question_of(gap, (gap,), {"one": note}, night + HOUR)

    assert isinstance(closing, GapClosing)
    assert closing.is_final
    assert (
        closing.words
        == "gap cannot be closed; nothing is traded at that time, so there is nothing to ask for"
    )


def test_coins_are_traded_by_night_too():
    note = replace(
        NOTE, asked={"crypto": ("BTC/USD",)}, feeds={"crypto": "us"}, channels={"crypto": ("trades",)}
    )
    night = new_york("2026-12-25T02:00:00")
    note = replace(note, began_ns=night, ended_ns=night + HOUR, seen_ns=night + HOUR)

    assert len(list(asked(row("crypto", night, night + SECOND), note).slices())) == 1


@given(
    st.integers(0, 400 * 24 * 60).map(lambda minutes: NOON + minutes * MINUTE), st.integers(0, 8 * 60 * 60)
)
def test_slices_are_apart_and_short_and_within_the_stretch(since_ns: int, seconds: int):
    note = replace(NOTE, began_ns=0, seen_ns=since_ns * 2, ended_ns=since_ns * 2)
    gap = row(since_ns=since_ns, until_ns=since_ns + seconds * SECOND)
    question = question_of(gap, (gap,), {"one": note}, since_ns)
    assume(isinstance(question, GapQuestion))  # nobody asks about a night
    assert isinstance(question, GapQuestion)

    slices = list(question.slices())

    assert all(one.until_ns <= other.since_ns for one, other in pairwise(slices))
    assert all(0 < one.until_ns - one.since_ns <= SLICE_NS for one in slices)
    assert all(
        question.stretch.since_ns <= one.since_ns < one.until_ns <= question.stretch.until_ns
        for one in slices
    )


# The proof.


# Of each channel and symbol that NOTE asks for, on both sides.
ALL = set(product(("quotes", "bars"), ("AAPL", "MSFT"), Side))


def closing(gap: LossRow | None = None, witnesses: set[Witness] = ALL, **counts: int) -> GapClosing:
    return asked(gap or row()).judged(NOON, counts, witnesses)


def test_the_counts_are_told():
    assert closing(recorded=412, found=412, more=3).words == (
        "412 of 412 recorded rows are in the answer, 3 more: gap closed"
    )
    assert closing(recorded=1, found=1).words == "1 of 1 recorded row is in the answer, 0 more: gap closed"


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ({"recorded": 5, "found": 4, "more": 1}, "the answer lacks 1 recorded row, so it may lack others"),
        ({"more": 9}, "nothing was recorded within a minute of it that could prove the answer whole"),
        ({"recorded": 5, "found": 5, "unreadable": 2}, "2 rows of the answer cannot be read"),
    ],
)
def test_an_answer_with_a_shortcoming_closes_in_part_and_says_which(counts: dict[str, int], why: str):
    assert (closing(**counts).state, closing(**counts).why) == (ClosingState.PARTLY, why)


def test_only_what_may_become_better_is_asked_about_again_once_a_day_for_a_week():
    lacking, day = closing(recorded=5, found=4), 24 * HOUR

    assert not lacking.is_worth_another_try(NOON + HOUR)
    assert lacking.is_worth_another_try(NOON + day)
    assert not lacking.is_worth_another_try(NOON + 8 * day)
    assert not closing(recorded=5, found=5).is_worth_another_try(NOON + day)
    assert closing(recorded=5, found=5, witnesses=set()).is_worth_another_try(NOON + day)


@pytest.mark.parametrize(
    ("lacking", "unproven"),
    [
        (lambda channel, symbol, side: symbol == "MSFT" and side is Side.AFTER, "MSFT"),
        (lambda channel, symbol, side: channel == "bars" and side is Side.BEFORE, "bars"),
        (lambda channel, symbol, side: side is Side.AFTER, "quotes, bars, AAPL, MSFT"),
    ],
)
def test_what_has_no_witness_on_both_sides_is_named_and_not_proven_by_others(
    lacking: Callable[[str, str, Side], bool], unproven: str
):
    """An answer that ends with the gap, or is empty for a symbol or a channel, lacks nothing that was recorded."""
    told = closing(recorded=9, found=9, witnesses={one for one in ALL if not lacking(*one)})

    assert told.state is ClosingState.PARTLY
    assert told.why == f"no rows recorded before and after it prove the answer whole for {unproven}"


def test_a_symbol_is_proven_by_any_of_its_channels_and_a_channel_by_any_symbol():
    sparse = {one for one in ALL if one[:2] != ("bars", "MSFT")}

    assert closing(recorded=9, found=9, witnesses=sparse).state is ClosingState.CLOSED


def test_fewer_rows_than_are_known_to_be_lost_close_in_part_and_both_numbers_are_told():
    gap = row(lost=500)

    assert closing(gap, recorded=9, found=9, more=500).state is ClosingState.CLOSED
    told = closing(gap, recorded=9, found=9, more=27)
    assert (told.state, told.why) == (ClosingState.PARTLY, "500 events were lost and 27 came back")
    assert not told.is_final


def test_what_overlapping_gaps_lost_is_counted_together():
    """Their rows come back in one answer, and cannot be told apart; what the journal has is not lost."""
    first, second = row(lost=20), row(since_ns=NOON + SECOND, until_ns=NOON + 3 * SECOND, lost=10)
    journaled = row(reason="its journal has them: `stream rebuild` makes them", lost=7)
    unknown, other = row(reason="not counted"), row("options", lost=100)

    question = asked(first, ledger=(first, second, journaled, unknown, other))

    assert question.lost == 30


def test_bars_are_asked_for_from_the_minute_before_whose_bar_may_come_in_the_gap():
    """Sixty seconds and a half after its minute began, for a gap of the second after."""
    question = asked(row(since_ns=NOON + MINUTE + SECOND // 2, until_ns=NOON + MINUTE + 3 * SECOND))

    (quotes,), (bars,) = question.slices("quotes"), question.slices("bars")

    assert quotes.since_ns == NOON + SECOND // 2
    assert (bars.since_ns, bars.until_ns) == (NOON - MINUTE, quotes.until_ns)


TIMED: dict[str, Any] = {"symbol": "AAPL", "timestamp": NOON, "received_ns": 1}


@pytest.mark.parametrize(
    ("dataset", "event", "values"),
    [
        ("quotes", Quote(bid_price=1.0, bid_size=2, **TIMED), (NOON, 1.0, 2.0, None, None, None, None)),
        ("trades", Trade(price=1.5, size=1, exchange="V", trade_id=7, **TIMED), (NOON, "V", 7, 1.75, 2.0, "@")),
        ("trades", Trade(price=1.5, size=1, exchange="C", conditions="I", **TIMED), (NOON, "C", None, 1.5, 1.0, "I")),
        ("trades", Trade(price=1.5, size=1, conditions=["@", " "], **TIMED), (NOON, None, None, 1.5, 1.0, "@| ")),
        ("bars", Bar(open=1, high=1, low=1, close=1, **TIMED), (NOON,)),
    ],
)  # fmt: skip
def test_an_event_has_the_key_of_its_row(dataset: str, event: Any, values: tuple[Any, ...]):
    """A trade with an id is that trade, whatever else is said of it."""
    assert event_key(event) == recorded_key(dataset, values)


def test_a_trade_without_an_id_is_told_from_another_by_all_that_it_says():
    one = Trade(price=1.5, size=1, exchange="C", **TIMED)

    assert event_key(one) != event_key(Trade(price=1.5, size=2, exchange="C", **TIMED))
    assert event_key(one) != event_key(Trade(price=1.5, size=1, exchange="C", trade_id=1, **TIMED))
