"""A line of a partition says exactly what the event said, as the normalizers have it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from options_helper.data.intraday.rows import DATASET_OF, RowWriter
from options_helper.data.streaming.messages import decode_frame
from options_helper.data.streaming.normalizers import (
    Row,
    join_conditions,
    normalize_bar,
    normalize_quote,
    normalize_trade,
)
from options_helper.model.events import (
    Bar,
    DailyBar,
    Event,
    Quote,
    Trade,
    TradeCancel,
    TradeCorrection,
    UpdatedBar,
    stamp,
)
from options_helper.model.instants import epoch_nanoseconds, timestamp_extension, utc_datetime
from options_helper.model.market_hours import NEW_YORK, new_york_date
from tests.kit.fakes import NOON, frame, quote_message, trade_message

WRITER = RowWriter()
NORMALIZE: dict[type, Callable[[Any], Row | None]] = {
    Quote: normalize_quote,
    Trade: normalize_trade,
    Bar: normalize_bar,
    UpdatedBar: normalize_bar,
    DailyBar: normalize_bar,
}

# What a wire can carry in a text field: msgpack text is valid UTF-8.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
prices = st.none() | st.floats(allow_nan=False, allow_infinity=False)
sizes = st.none() | st.integers(0, 2**63 - 1) | st.floats(0, 1e15)
conditions = st.none() | texts | st.lists(texts, max_size=3)
# Times that a calendar has and 64 bits of nanoseconds hold.
times = st.none() | st.integers(-(2**63) + 1, 2**63 - 1).map(timestamp_extension)
receipts = st.integers(0, 2**62)
common: dict[str, Any] = {"symbol": texts, "timestamp": times, "received_ns": receipts}
quotes = st.builds(
    Quote, **common, bid_price=prices, bid_size=sizes, bid_exchange=st.none() | texts,
    ask_price=prices, ask_size=sizes, ask_exchange=st.none() | texts, conditions=conditions,
)  # fmt: skip
trades = st.builds(
    Trade, **common, price=prices.filter(lambda price: price is not None), size=sizes, exchange=st.none() | texts,
    conditions=conditions, trade_id=st.none() | st.integers(0, 2**64 - 1),
)  # fmt: skip
bar_fields: dict[str, Any] = {
    **common, **dict.fromkeys(("open", "high", "low", "close"), prices.filter(lambda price: price is not None)),
    "volume": sizes, "trade_count": st.none() | st.integers(0, 2**63 - 1), "vwap": prices,
}  # fmt: skip
events = st.one_of(quotes, trades, *(st.builds(kind, **bar_fields) for kind in (Bar, UpdatedBar, DailyBar)))


def line_of(event: Event, writer: RowWriter = WRITER) -> str:
    return writer.of_type(type(event))(event)[1]


def day_of(event: Event) -> date:
    return WRITER.of_type(type(event))(event)[0]


def fields_of(event: Event, writer: RowWriter = WRITER) -> dict[str, str]:
    (row,) = csv.reader(io.StringIO(line_of(event, writer), newline=""))
    return dict(zip(DATASET_OF[type(event)].columns[1:], row, strict=True))


def as_text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else repr(value)


def quote(**more: Any) -> Quote:
    return Quote(symbol="AAPL", timestamp=timestamp_extension(NOON), received_ns=NOON, **more)


@given(events)
def test_a_line_reads_back_as_the_row_of_the_normalizers(event: Event):
    row = NORMALIZE[type(event)](event)
    if row is None:  # a text without a symbol; the store keeps it all the same
        assert event.symbol == ""
        return

    assert fields_of(event) == {name: as_text(value) for name, value in row.items()}


@given(quotes)
def test_what_was_written_before_changes_nothing(event: Quote):
    assert line_of(event) == line_of(event, RowWriter())


@pytest.mark.parametrize(
    ("price", "text"),
    [(0.1, "0.1"), (1e-07, "1e-07"), (0.30000000000000004, "0.30000000000000004"), (0.0, "0.0"), (-0.0, "-0.0"),
     (172.0, "172.0"), (None, "")],
)  # fmt: skip
def test_a_price_is_its_shortest_exact_text(price: float | None, text: str):
    assert fields_of(quote(bid_price=-0.0 if price == 0 else 0.1))
    assert fields_of(quote(bid_price=price))["bid_price"] == text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_missing_wherever_a_number_stands(number: float):
    """A field that says nan makes readers take a whole column for text, or refuse the file."""
    bar = Bar(
        symbol="A", received_ns=NOON, open=number, high=1.0, low=1.0, close=number, volume=number, vwap=number
    )
    trade = Trade(symbol="A", received_ns=NOON, price=number, size=number)
    correction = TradeCorrection(symbol="A", received_ns=NOON, corrected_price=number, corrected_size=number)

    odd = [
        *(fields_of(quote(bid_price=number, bid_size=number))[name] for name in ("bid_price", "bid_size")),
        *(fields_of(bar)[name] for name in ("open", "close", "volume", "vwap")),
        *(fields_of(trade)[name] for name in ("price", "size")),
        *(fields_of(correction)[name] for name in ("corrected_price", "corrected_size")),
    ]

    assert set(odd) == {""}
    assert fields_of(bar)["high"] == "1.0"


@pytest.mark.parametrize(
    ("trade_id", "text"), [(2**64 - 1, str(2**64 - 1)), (2**63, str(2**63)), (0, "0"), (-5, ""), (2**64, "")]
)
def test_an_id_is_one_of_64_bits_without_a_sign_or_missing(trade_id: int, text: str):
    trade = Trade(symbol="A", received_ns=NOON, price=1.0, trade_id=trade_id)
    cancel = TradeCancel(symbol="A", received_ns=NOON, trade_id=trade_id)
    correction = TradeCorrection(symbol="A", received_ns=NOON, original_trade_id=trade_id)

    assert fields_of(trade)["trade_id"] == fields_of(cancel)["trade_id"] == text
    assert fields_of(correction)["original_trade_id"] == text


@pytest.mark.parametrize(("size", "text"), [(3, "3"), (3.0, "3.0"), (0.5, "0.5"), (0, "0"), (None, "")])
def test_an_integer_has_no_point_and_a_float_keeps_it(size: float | None, text: str):
    assert fields_of(quote(bid_size=size))["bid_size"] == text


@pytest.mark.parametrize("symbol", ["A,B", 'A"B', "A\nB", "A\r\nB", " ", "NA", "BTC/USD", "Ä\x00"])
def test_any_text_survives(symbol: str):
    event = Quote(symbol=symbol, conditions=[symbol], bid_exchange=symbol, received_ns=NOON)

    row = fields_of(event)

    assert (row["symbol"], row["conditions"], row["bid_exchange"]) == (symbol, symbol, symbol)


def test_condition_codes_are_joined_and_a_space_is_one():
    assert fields_of(quote(conditions=["@", " ", "I"]))["conditions"] == "@| |I"
    assert fields_of(quote(conditions="A"))["conditions"] == "A"
    assert fields_of(quote(conditions=[" "]))["conditions"] == " "
    assert fields_of(quote(conditions=[]))["conditions"] == ""


@pytest.mark.parametrize(
    "timestamp",
    [timestamp_extension(NOON + 7), timestamp_extension(NOON), NOON + 7, "2026-11-05T17:00:00.000000007Z",
     timestamp_extension(-1), timestamp_extension(0), Ext(-1, ((1_073_741_823 << 34) | 5).to_bytes(8, "big"))],
)  # fmt: skip
def test_every_form_of_a_time_is_exact(timestamp: Any):
    exchange_ns = epoch_nanoseconds(timestamp)

    row = fields_of(Quote(symbol="A", timestamp=timestamp, received_ns=NOON))

    assert row["ts_ns"] == str(exchange_ns)
    assert row["timestamp"].endswith("Z")
    assert epoch_nanoseconds(row["timestamp"]) == exchange_ns


@pytest.mark.parametrize(
    "timestamp",
    [None, "no time", Ext(5, b"12345678"), timestamp_extension(2**63), timestamp_extension(-(2**63))],
)
def test_a_time_that_is_none_leaves_its_fields_empty_and_the_receipt_counts(timestamp: Any):
    event = Quote(symbol="A", timestamp=timestamp, received_ns=NOON)
    row = fields_of(event)

    assert (row["ts_ns"], row["timestamp"], row["recv_ns"]) == ("", "", str(NOON))
    assert day_of(event) == date(2026, 11, 5)


@given(quotes)
def test_the_day_is_new_yorks_by_exchange_time_or_else_by_receipt(event: Quote):
    nanoseconds = event.timestamp_ns if event.timestamp_ns is not None else event.received_ns

    assert day_of(event) == new_york_date(utc_datetime(nanoseconds))


@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2026, 11, 1), date(2026, 11, 5)])
def test_a_day_of_23_25_or_24_hours_ends_at_midnight_in_new_york(day: date):
    midnight = datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)
    first_ns = epoch_nanoseconds(midnight.astimezone(UTC)) or 0
    event = quote_at(first_ns)
    before = quote_at(first_ns - 1)

    assert day_of(event) == day
    assert day_of(before) == date.fromordinal(day.toordinal() - 1)


def quote_at(nanoseconds: int) -> Quote:
    return Quote(symbol="A", timestamp=timestamp_extension(nanoseconds), received_ns=NOON)


def test_one_day_is_one_object():
    """So that a change of the day shows without comparing dates."""
    assert day_of(quote_at(NOON)) is day_of(quote_at(NOON + 1_000_000_000))


def test_events_of_the_wire_become_lines_with_their_receipt():
    decoded = decode_frame(
        frame(quote_message("AAPL", 1.0, 1.1, c=["R"]), trade_message("AAPL", 1.05, i=7))
    ).events
    for event in decoded:
        stamp(event, NOON + 5)

    lines = [line_of(event) for event in decoded]

    time = f"{NOON + 5},{NOON},2026-11-05T17:00:00.000000000Z,AAPL"
    assert lines == [f"{time},1.0,1,,1.1,2,,R\n", f"{time},1.05,1,,,7\n"]


def test_corrections_and_cancels_are_rows_of_their_own():
    times = {"timestamp": NOON, "received_ns": NOON}
    correction = TradeCorrection(
        symbol="A", original_trade_id=1, corrected_trade_id=2, corrected_price=3.5, corrected_size=4,
        corrected_conditions=["@", "T"], exchange="V", **times,
    )  # fmt: skip
    cancel = TradeCancel(symbol="A", trade_id=9, price=3.5, size=4, exchange="V", **times)

    assert list(fields_of(correction).values())[4:] == [
        "1",
        "2",
        "3.5",
        "4",
        join_conditions(["@", "T"]),
        "V",
    ]
    assert list(fields_of(cancel).values())[4:] == ["3.5", "4", "V", "9"]
    assert len({DATASET_OF[kind].name for kind in (Bar, UpdatedBar, DailyBar)}) == 3
