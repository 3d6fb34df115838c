"""The fold: newest events by symbol, each counted once, nothing shown that was withdrawn."""

from __future__ import annotations

import struct
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from options_helper.data.streaming.messages import count_messages, decode_frame
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.clock_skew import ClockSkew
from options_helper.model.events import RestQuote, RestTrade
from options_helper.model.frames import Frame
from options_helper.model.instants import timestamp_extension, utc_datetime
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import STOCKS, StreamId, StreamName
from tests.kit.fakes import NOON, frame, quote_message, trade_message

SECOND = 1_000_000_000
ARRIVAL = NOON + 7


def fold(
    *payloads: bytes,
    stream: StreamName = StreamName.STOCKS,
    state: LiveState | None = None,
    at_ns: int = ARRIVAL,
) -> LiveState:
    state = state or LiveState(fills_cache_size=3)
    for payload in payloads:
        events = 1 if stream is StreamName.FILLS else count_messages(payload)
        state.apply(Frame(stream, payload, events, at_ns))
    return state


def snapshot_of(state: LiveState) -> LiveSnapshot:
    return state.snapshot(ARRIVAL, running=True, running_since=None, streams={})


def test_the_newest_quote_of_a_symbol_stays():
    snapshot = snapshot_of(
        fold(frame(quote_message("A", 1.0)), frame(quote_message("A", 2.0), quote_message("B", 5.0)))
    )

    assert {symbol: quote.bid_price for symbol, quote in snapshot.stock_quotes.items()} == {
        "A": 2.0,
        "B": 5.0,
    }
    assert snapshot.stock_quotes["A"].received_ns == ARRIVAL


def test_stocks_and_options_are_kept_apart():
    state = fold(frame(quote_message("A")))
    fold(frame(trade_message("A261218C00180000")), stream=StreamName.OPTIONS, state=state)

    assert list(snapshot_of(state).stock_quotes) == ["A"]
    assert list(snapshot_of(state).option_trades) == ["A261218C00180000"]


def test_a_symbol_is_found_whichever_stream_it_came_over():
    """One mapping by symbol; the views by kind hold the same events."""
    contract = "A261218C00180000"
    bar = {"T": "b", "S": "A", "o": 1.0, "h": 1.0, "l": 1.0, "c": 1.0}
    state = fold(frame(quote_message("A"), trade_message("A"), bar))
    fold(frame(quote_message(contract), trade_message(contract)), stream=StreamName.OPTIONS, state=state)

    snapshot = snapshot_of(state)

    assert list(snapshot.quotes) == list(snapshot.trades) == ["A", contract]
    assert snapshot.quotes == {**snapshot.stock_quotes, **snapshot.option_quotes}
    assert snapshot.trades == {**snapshot.stock_trades, **snapshot.option_trades}
    assert snapshot.bars == snapshot.stock_bars
    assert list(snapshot.bars) == ["A"]


def test_a_quote_that_comes_late_does_not_replace_a_newer_one():
    state = fold(
        frame(quote_message("A", 2.0, at_ns=NOON)),
        frame(quote_message("A", 1.0, at_ns=NOON - 3 * SECOND)),
    )

    assert snapshot_of(state).stock_quotes["A"].bid_price == 2.0
    assert (state.tallies[StreamName.STOCKS].applied, state.tallies[StreamName.STOCKS].late) == (2, 1)


@pytest.mark.parametrize("written_as", [timestamp_extension(NOON), utc_datetime(NOON).isoformat(), NOON])
def test_a_quote_of_one_stream_does_not_replace_a_newer_one_of_another(written_as: object):
    """Two providers, or two accounts of one, may both know a symbol; each may write its time in its own way."""
    other = StreamId(STOCKS, "exchange", "main")
    state = LiveState(fills_cache_size=3, decoders={other: decode_frame})
    newer, late, last = (quote_message("A", at_ns=at_ns) for at_ns in (NOON, NOON - 50 * SECOND, NOON + 1))
    newer["t"] = written_as

    for stream, message in ((other, newer), (StreamName.STOCKS, {**late, "bp": 7.0})):
        state.apply(Frame(stream, frame(message), 1, ARRIVAL))

    assert snapshot_of(state).quotes["A"].bid_price == newer["bp"] != 7.0
    assert (state.tallies[other].late, state.tallies[StreamName.STOCKS].late) == (0, 1)
    state.announce(Announcement(MarketKind.REPLAY, NOON, 1.0, None))
    for stream, message in (
        (other, newer),
        (StreamName.STOCKS, late),
        (StreamName.STOCKS, {**last, "bp": 8.0}),
    ):
        state.apply(Frame(stream, frame(message), 1, ARRIVAL))
    assert state.tallies[StreamName.STOCKS].late == 2
    assert snapshot_of(state).quotes["A"].bid_price == 8.0


def test_a_quote_from_the_next_century_freezes_nothing():
    state = fold(frame(quote_message("A", 1.0, at_ns=NOON + 10**18)), frame(quote_message("A", 2.0)))

    assert snapshot_of(state).stock_quotes["A"].bid_price == 2.0
    fold(frame(quote_message("A", 3.0, at_ns=NOON - 5 * SECOND)), state=state)
    assert snapshot_of(state).stock_quotes["A"].bid_price == 2.0


def test_a_frame_that_nobody_thought_of_is_counted_and_the_next_one_folded(caplog):
    state = LiveState(fills_cache_size=3)
    state.apply(Frame(StreamName.STOCKS, None, 4, ARRIVAL))  # type: ignore[arg-type]
    fold(frame(quote_message("A")), state=state)

    tally = state.tallies[StreamName.STOCKS]
    assert (tally.rejected, tally.applied) == (4, 1)
    assert "could not be folded" in caplog.text


def test_an_amount_beyond_all_digits_does_not_cost_the_fill():
    update = msgspec.msgpack.encode(
        {"stream": "trade_updates", "data": {"event": "fill", "price": 2**64 - 1, "order": {"id": "1"}}}
    )

    assert len(snapshot_of(fold(update, stream=StreamName.FILLS)).fills) == 1


def test_a_corrected_trade_shows_its_corrected_price():
    correction = {"T": "c", "S": "A", "oi": 7, "ci": 8, "cp": 9.0, "cs": 2}
    trade = snapshot_of(fold(frame(trade_message("A", 99.0, i=7), correction))).stock_trades["A"]

    assert (trade.price, trade.trade_id) == (9.0, 8)


def test_a_cancelled_trade_is_not_shown_any_more():
    assert (
        "A"
        not in snapshot_of(fold(frame(trade_message("A", i=7), {"T": "x", "S": "A", "i": 7}))).stock_trades
    )


def test_a_correction_of_an_earlier_trade_leaves_the_last_one_alone():
    state = fold(
        frame(
            trade_message("A", 1.0, i=9),
            {"T": "c", "S": "A", "oi": 7, "cp": 9.0},
            {"T": "x", "S": "A", "i": 6},
        )
    )

    assert snapshot_of(state).stock_trades["A"].price == 1.0


def test_minute_bars_are_kept_and_day_bars_are_not_taken_for_minutes():
    bar = {"S": "A", "o": 1, "h": 1, "l": 1, "t": quote_message("A")["t"]}
    state = fold(frame({"T": "b", **bar, "c": 1.0}, {"T": "u", **bar, "c": 2.0}, {"T": "d", **bar, "c": 3.0}))

    assert snapshot_of(state).stock_bars["A"].close == 2.0
    assert state.tallies[StreamName.STOCKS].applied == 3


def test_only_the_newest_fills_are_kept_in_order():
    updates = [
        b'{"stream":"trade_updates","data":{"event":"fill","order":{"id":"%d"}}}' % n for n in range(5)
    ]

    fills = snapshot_of(fold(*updates, stream=StreamName.FILLS)).fills

    assert [fill.order_id for fill in fills] == ["2", "3", "4"]
    assert fills[0].received_at is not None


def test_symbols_no_longer_wanted_are_forgotten():
    state = fold(frame(quote_message("A"), quote_message("B")))
    state.keep_only(["B"])

    assert list(snapshot_of(state).stock_quotes) == ["B"]
    fold(frame(quote_message("A")), state=state)  # it was on its way
    assert list(snapshot_of(state).stock_quotes) == ["B"]


def test_in_a_replay_receipt_and_as_of_are_the_replayed_time():
    state = LiveState(fills_cache_size=1)
    state.announce(Announcement(MarketKind.REPLAY, NOON - 9 * SECOND, 0.0, None))
    first = frame(quote_message("A", at_ns=NOON - 60 * SECOND))
    fold(first, frame(quote_message("B", at_ns=NOON)), state=state)

    snapshot = snapshot_of(state)
    ages = {
        symbol: (snapshot.as_of - quote.received_at).total_seconds()
        for symbol, quote in snapshot.stock_quotes.items()
    }
    assert ages == {"A": 9.0, "B": 0.0}


def test_a_replay_begun_again_shows_nothing_of_the_one_before():
    state = LiveState(fills_cache_size=1)
    state.announce(Announcement(MarketKind.REPLAY, NOON - 3_600 * SECOND, 1.0, None))
    fold(frame(quote_message("A", 2.0, at_ns=NOON)), state=state)
    state.announce(Announcement(MarketKind.REPLAY, NOON - 3_600 * SECOND, 1.0, None))

    assert not snapshot_of(state).stock_quotes
    fold(frame(quote_message("A", 1.0, at_ns=NOON - 3_599 * SECOND)), state=state)
    assert snapshot_of(state).stock_quotes["A"].bid_price == 1.0


def test_a_replay_says_when_it_has_ended():
    state = LiveState(fills_cache_size=1)
    state.announce(Announcement(MarketKind.REPLAY, NOON, 0.0, NOON + SECOND))

    assert not snapshot_of(state).played_out
    fold(frame(quote_message("A", at_ns=NOON + SECOND)), state=state)
    assert snapshot_of(state).played_out


def rest_quote(symbol: str, bid: float, at_ns: int | None) -> RestQuote:
    moment = None if at_ns is None else timestamp_extension(at_ns)
    return RestQuote(
        symbol=symbol, timestamp=moment, received_ns=at_ns or 0, bid_price=bid, ask_price=bid + 0.1
    )


def rest_trade(symbol: str, price: float, at_ns: int) -> RestTrade:
    return RestTrade(symbol=symbol, timestamp=timestamp_extension(at_ns), received_ns=at_ns, price=price)


def test_what_was_asked_for_fills_the_silence_with_its_own_age_and_is_no_event_of_the_stream():
    state = LiveState(fills_cache_size=3)
    made_ns = NOON - 3_600 * SECOND
    events = [rest_quote("A", 2.0, made_ns), rest_trade("A", 2.05, made_ns + 1)]

    assert state.seed(StreamName.STOCKS, events, ARRIVAL) == 2
    snapshot = snapshot_of(state)
    assert (snapshot.stock_quotes["A"].bid_price, snapshot.stock_trades["A"].price) == (2.0, 2.05)
    assert snapshot.as_of - snapshot.stock_quotes["A"].received_at > timedelta(minutes=59)
    assert state.tallies[StreamName.STOCKS].applied == 0


def test_what_was_asked_for_never_replaces_what_was_streamed_later_nor_a_time_that_nobody_knows():
    state = fold(
        frame(
            quote_message("A", 3.0),
            {**quote_message("B", 4.0), "t": None},
            quote_message("OLD", 1.0, at_ns=NOON - SECOND),
        )
    )
    answered = [rest_quote(symbol, 9.0, NOON - 1) for symbol in ("A", "B", "OLD")]

    assert state.seed(StreamName.STOCKS, answered, ARRIVAL) == 1
    bids = {symbol: quote.bid_price for symbol, quote in snapshot_of(state).stock_quotes.items()}
    assert bids == {"A": 3.0, "B": 4.0, "OLD": 9.0}


def test_a_late_streamed_quote_does_not_replace_what_was_asked_for():
    state = LiveState(fills_cache_size=3)
    state.seed(StreamName.STOCKS, [rest_quote("A", 2.0, NOON)], ARRIVAL)
    fold(frame(quote_message("A", 1.0, at_ns=NOON - 2 * SECOND)), state=state)
    assert snapshot_of(state).stock_quotes["A"].bid_price == 2.0

    fold(frame(quote_message("A", 3.0, at_ns=NOON + 1)), state=state)
    assert snapshot_of(state).stock_quotes["A"].bid_price == 3.0


@pytest.mark.parametrize("at_ns", [None, NOON + 61 * SECOND])
def test_an_answer_without_a_time_that_can_be_is_not_shown(at_ns: int | None):
    state = LiveState(fills_cache_size=3)

    assert state.seed(StreamName.STOCKS, [rest_quote("A", 2.0, at_ns)], NOON) == 0
    assert not snapshot_of(state).stock_quotes


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from("AB"), st.integers(0, 5)), max_size=20),
)
def test_whatever_comes_first_the_newest_second_is_shown(steps: list[tuple[bool, str, int]]):
    state = LiveState(fills_cache_size=3)
    newest: dict[str, int] = {}
    for streamed, symbol, second in steps:
        at_ns = NOON - 10 * SECOND + second * SECOND
        newest[symbol] = max(newest.get(symbol, 0), at_ns)
        if streamed:
            fold(frame(quote_message(symbol, 1.0, at_ns=at_ns)), state=state)
        else:
            state.seed(StreamName.STOCKS, [rest_quote(symbol, 2.0, at_ns)], ARRIVAL)

    shown = {symbol: quote.timestamp_ns for symbol, quote in snapshot_of(state).stock_quotes.items()}
    assert shown == newest


@given(st.lists(st.sampled_from(["good", "late", "bad", "unknown", "none"]), max_size=30))
def test_every_announced_event_is_applied_or_rejected(kinds: list[str]):
    messages: dict[str, Any] = {
        "good": quote_message("A"),
        "late": quote_message("A", at_ns=NOON - 9 * SECOND),
        "bad": {"T": "q", "S": 1},
        "unknown": {"T": "future", "S": "A"},
        "none": None,
    }
    tally = fold(frame(*(messages[kind] for kind in kinds))).tallies[StreamName.STOCKS]

    assert tally.applied + tally.rejected == len(kinds)
    assert tally.applied == sum(kind in ("good", "late") for kind in kinds)


BEHIND = ClockSkew(-600.0, 0.6)


def test_a_clock_that_is_wrong_is_put_right_for_ages_and_for_what_is_known_already():
    """Ten minutes behind: nothing is made in the future, and no quote's age jumps."""
    late = ARRIVAL - 600 * SECOND  # what this computer takes for now
    state = fold(frame(quote_message("A", 3.0, at_ns=NOON)), at_ns=late)

    state.correct_clock(BEHIND)
    fold(frame(quote_message("B", 4.0, at_ns=NOON)), at_ns=late, state=state)

    snapshot = state.snapshot(late, running=True, running_since=None, streams={})
    assert snapshot.as_of == utc_datetime(ARRIVAL)
    assert {quote.received_ns for quote in snapshot.quotes.values()} == {ARRIVAL}
    assert snapshot.clock_skew == BEHIND


def test_after_a_correction_the_newest_quote_stays_the_newest():
    """Before it, a quote of ten minutes ahead was not believed, and so compared with nothing."""
    late = ARRIVAL - 600 * SECOND
    state = fold(frame(quote_message("A", 3.0, at_ns=NOON)), at_ns=late)
    state.correct_clock(BEHIND)

    fold(frame(quote_message("A", 1.0, at_ns=NOON - 2 * SECOND)), at_ns=late, state=state)

    assert snapshot_of(state).stock_quotes["A"].bid_price == 3.0
    assert state.tallies[StreamName.STOCKS].late == 1


def test_a_snapshot_that_was_taken_does_not_change_when_the_clock_is_put_right():
    state = fold(frame(quote_message("A", 3.0)))
    before = snapshot_of(state).stock_quotes["A"]

    state.correct_clock(BEHIND)

    assert before.received_ns == ARRIVAL
    assert snapshot_of(state).stock_quotes["A"].received_ns == ARRIVAL + 600 * SECOND


@pytest.mark.parametrize("skew", [None, ClockSkew(1.0, 0.5), ClockSkew(5.0, 4.0)])
def test_what_does_not_matter_or_is_not_known_corrects_nothing(skew: ClockSkew | None):
    state = fold(frame(quote_message("A", 3.0)))

    state.correct_clock(skew)

    assert snapshot_of(state).stock_quotes["A"].received_ns == ARRIVAL
    assert snapshot_of(state).clock_skew == skew


def test_a_correction_is_taken_back_when_the_clock_was_set():
    state = fold(frame(quote_message("A", 3.0)))

    state.correct_clock(BEHIND)
    state.correct_clock(ClockSkew(0.1, 0.5))

    assert snapshot_of(state).stock_quotes["A"].received_ns == ARRIVAL


def test_what_was_streamed_tells_its_delay_once_by_the_computer_s_own_clock():
    state = fold(frame(quote_message("A", 3.0, at_ns=ARRIVAL - 2 * SECOND)))
    state.seed(StreamName.STOCKS, [rest_quote("R", 2.0, NOON)], ARRIVAL)
    state.correct_clock(BEHIND)

    assert state.take_lags() == [2.0]
    assert state.take_lags() == []


TOO_LATE = {
    "the year 10000": struct.pack(">Iq", 0, 253_402_300_800),
    "2^62 seconds": struct.pack(">Iq", 0, 2**62),
}


@pytest.mark.parametrize("data", list(TOO_LATE.values()), ids=list(TOO_LATE))
def test_a_time_that_cannot_be_costs_its_event_and_is_counted_with_its_reason(data: bytes):
    moment = Ext(-1, data)
    trade = {"T": "t", "S": "A", "p": 9.0, "s": 1, "i": 1, "x": "V", "t": moment}
    state = fold(frame({**quote_message("A", 9.0), "t": moment}, trade, quote_message("B", 4.0)))

    tally = state.tallies[StreamName.STOCKS]
    assert (tally.applied, tally.rejected) == (1, 2)
    assert list(tally.last_rejections) == ["A: a time that cannot be"] * 2
    assert list(snapshot_of(state).quotes) == ["B"]
    assert not snapshot_of(state).trades


def test_a_time_that_cannot_be_does_not_end_a_played_session():
    state = LiveState(fills_cache_size=3)
    state.announce(Announcement(MarketKind.REPLAY, NOON, 1.0, None))

    fold(frame({**quote_message("A", 9.0), "t": Ext(-1, TOO_LATE["the year 10000"])}), state=state)
    fold(frame(quote_message("B", 4.0, at_ns=NOON + SECOND)), state=state)

    assert snapshot_of(state).as_of < utc_datetime(NOON + 60 * SECOND)
    assert list(snapshot_of(state).quotes) == ["B"]


def test_an_answer_of_later_than_now_is_told_of():
    state, told = LiveState(fills_cache_size=3), []

    state.seed(StreamName.STOCKS, [rest_quote("A", 2.0, NOON + 61 * SECOND)], NOON, impossible=told.append)

    assert [event.symbol for event in told] == ["A"]


def test_an_answer_of_a_little_later_than_now_ages_from_now_on_and_holds_off_nothing_that_is_streamed():
    """It was called fresh until then, and for so long no quote of the stream was shown."""
    state = LiveState(fills_cache_size=3)
    state.seed(StreamName.STOCKS, [rest_quote("A", 2.0, NOON + 50 * SECOND)], NOON)
    state.seed(StreamName.STOCKS, [rest_trade("A", 2.0, NOON + 50 * SECOND)], NOON)

    known = state.snapshot(NOON + 30 * SECOND, running=True, running_since=None, streams={})
    assert [known.quotes["A"].received_ns, known.trades["A"].received_ns] == [NOON, NOON]

    streamed = {
        "T": "t",
        "S": "A",
        "p": 3.0,
        "s": 1,
        "i": 1,
        "x": "V",
        "t": timestamp_extension(NOON + SECOND),
    }
    fold(frame(quote_message("A", 3.0, at_ns=NOON + SECOND), streamed), at_ns=NOON + 2 * SECOND, state=state)

    snapshot = snapshot_of(state)
    assert (snapshot.quotes["A"].bid_price, snapshot.trades["A"].price) == (3.0, 3.0)
