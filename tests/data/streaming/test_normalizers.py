"""Whatever read an event, its row is the same, exact, and complete in keys."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgpack
import pytest
from alpaca.data import models

from options_helper.data.streaming import normalizers
from options_helper.data.streaming.messages import decode_frame
from options_helper.data.streaming.normalizers import (
    BAR_COLUMNS,
    QUOTE_COLUMNS,
    TRADE_COLUMNS,
)
from options_helper.model.events import Bar, Event, Quote, Trade, UpdatedBar, stamp
from options_helper.model.instants import nanosecond_text, timestamp_extension

EXCHANGE_NS = 1_515_166_320_123_456_789  # 2018-01-05 15:32:00.123456789 UTC
RECEIVED_NS = EXCHANGE_NS + 21_000_000

WIRE_QUOTE = {
    "T": "q",
    "S": "AAPL",
    "bx": "V",
    "bp": 172.01,
    "bs": 3,
    "ax": "Q",
    "ap": 172.02,
    "as": 1,
    "c": ["R"],
    "z": "C",
    "t": msgpack.Timestamp.from_unix_nano(EXCHANGE_NS),
}
WIRE_TRADE = {
    "T": "t",
    "S": "AAPL",
    "i": 52983,
    "x": "V",
    "p": 172.015,
    "s": 40,
    "c": ["@", "I"],
    "t": EXCHANGE_NS,
}
WIRE_BAR = {
    "T": "b",
    "S": "AAPL",
    "o": 1.0,
    "h": 4.0,
    "l": 0.5,
    "c": 2.0,
    "v": 100,
    "n": 7,
    "vw": 1.75,
    "t": EXCHANGE_NS,
}


def normalize_quote(event: Any, received_ns: int | None = None) -> dict[str, Any]:
    return row_of(normalizers.normalize_quote(event, received_ns))


def normalize_trade(event: Any, received_ns: int | None = None) -> dict[str, Any]:
    return row_of(normalizers.normalize_trade(event, received_ns))


def normalize_bar(event: Any, received_ns: int | None = None) -> dict[str, Any]:
    return row_of(normalizers.normalize_bar(event, received_ns))


def row_of(row: dict[str, Any] | None) -> dict[str, Any]:
    assert row is not None
    return row


def decoded(message: dict[str, Any]) -> Event:
    (event,) = decode_frame(msgpack.packb([message])).events
    stamp(event, RECEIVED_NS)
    return event


def test_a_quote_row_says_everything_the_event_said():
    assert normalize_quote(decoded(WIRE_QUOTE)) == {
        "recv_ns": RECEIVED_NS,
        "ts_ns": EXCHANGE_NS,
        "timestamp": "2018-01-05T15:32:00.123456789Z",
        "symbol": "AAPL",
        "bid_price": 172.01,
        "bid_size": 3,
        "bid_exchange": "V",
        "ask_price": 172.02,
        "ask_size": 1,
        "ask_exchange": "Q",
        "conditions": "R",
    }


def test_a_wire_map_gives_the_row_of_the_decoded_event():
    for normalize, message in (
        (normalize_quote, WIRE_QUOTE),
        (normalize_trade, WIRE_TRADE),
        (normalize_bar, WIRE_BAR),
    ):
        assert normalize(message, RECEIVED_NS) == normalize(decoded(message))


def test_an_object_of_the_sdk_gives_the_same_row_to_the_microsecond():
    """The SDK cuts the time; nothing else may differ."""
    moment = datetime(2018, 1, 5, 15, 32, 0, 123456, tzinfo=UTC)
    for normalize, model, message in (
        (normalize_quote, models.Quote, WIRE_QUOTE),
        (normalize_trade, models.Trade, WIRE_TRADE),
        (normalize_bar, models.Bar, WIRE_BAR),
    ):
        expected = normalize(message, RECEIVED_NS)
        row = normalize(model("AAPL", {**message, "t": moment}), RECEIVED_NS)

        assert row == {**expected, "ts_ns": EXCHANGE_NS - 789, "timestamp": "2018-01-05T15:32:00.123456000Z"}


def test_words_are_read_as_well_as_the_wires_letters():
    row = normalize_trade({"symbol": "SPY", "price": 1.5, "timestamp": "2018-01-05T15:32:00.123456789Z"})

    assert (row["symbol"], row["price"], row["ts_ns"]) == ("SPY", 1.5, EXCHANGE_NS)


@pytest.mark.parametrize(
    ("conditions", "text"),
    [(["@", " ", "I"], "@| |I"), ([], ""), (" ", " "), ("I", "I"), (None, None)],
)
def test_conditions_become_one_text_and_keep_the_space_code(conditions: object, text: str | None):
    assert normalize_trade({**WIRE_TRADE, "c": conditions})["conditions"] == text


def test_columns_are_stable_and_in_order_whatever_is_missing():
    rows = (
        (QUOTE_COLUMNS, normalize_quote({"S": "A"})),
        (TRADE_COLUMNS, normalize_trade({"S": "A", "p": 1.0})),
        (BAR_COLUMNS, normalize_bar({"S": "A", "o": 1.0, "h": 1.0, "l": 1.0, "c": 1.0})),
    )

    for columns, row in rows:
        assert tuple(row) == columns
    assert rows[0][1] == {**dict.fromkeys(QUOTE_COLUMNS), "symbol": "A"}


def test_missing_is_none_and_zero_is_zero():
    row = normalizers.normalize_quote(Quote(symbol="A", bid_price=0.0, bid_size=0))

    assert (row["bid_price"], row["bid_size"], row["ask_price"], row["recv_ns"]) == (0.0, 0, None, None)


@pytest.mark.parametrize("event", [None, {}, {"S": ""}, {"p": 1.0}, "text", 5])
def test_what_is_no_event_has_no_row(event: object):
    assert normalizers.normalize_quote(event) is None
    assert normalizers.normalize_trade(event) is None
    assert normalizers.normalize_bar(event) is None


def test_a_trade_without_price_and_a_bar_without_close_have_no_row():
    assert normalizers.normalize_trade({"S": "A", "s": 5}) is None
    assert normalizers.normalize_bar({**WIRE_BAR, "c": None}) is None


def test_a_restated_minute_is_a_bar_too():
    bar = UpdatedBar(symbol="A", open=1.0, high=1.0, low=1.0, close=1.0)

    assert normalize_bar(bar) == normalize_bar(Bar(symbol="A", open=1.0, high=1.0, low=1.0, close=1.0))


def test_a_time_outside_the_calendar_costs_only_its_text():
    row = normalize_trade(Trade(symbol="A", price=1.0, timestamp=10**30))

    assert (row["ts_ns"], row["timestamp"]) == (10**30, None)


def test_nine_digits_even_on_the_second():
    assert nanosecond_text(0) == "1970-01-01T00:00:00.000000000Z"
    assert nanosecond_text(-1) == "1969-12-31T23:59:59.999999999Z"


def test_recorded_quotes_keep_every_price_size_and_instant(real_data: Path):
    """Recorded rows, sent as wire maps, come back as they were."""
    path = real_data / "stock_xxx_taq_quotes_20180102-03.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        for recorded in islice(csv.DictReader(lines), 5_000):
            instant = datetime.fromisoformat(recorded["timestamp"])
            nanoseconds = int(instant.timestamp()) * 10**9 + instant.microsecond * 1_000
            message = {
                "T": "q",
                "S": recorded["symbol"],
                "bx": recorded["exchange"],
                "bp": float(recorded["bid_price"]),
                "bs": float(recorded["bid_size"]),
                "ax": recorded["exchange"],
                "ap": float(recorded["ask_price"]),
                "as": float(recorded["ask_size"]),
            }
            timestamp = msgpack.Timestamp.from_unix_nano(nanoseconds)

            row = normalizers.normalize_quote(decoded({**message, "t": timestamp}))

            assert row["timestamp"] == f"{instant:%Y-%m-%dT%H:%M:%S.%f}000Z"
            assert (row["bid_price"], row["ask_price"]) == (message["bp"], message["ap"])
            assert (row["bid_size"], row["ask_size"], row["bid_exchange"]) == (
                message["bs"],
                message["as"],
                recorded["exchange"],
            )


def test_the_timestamp_extension_is_read_exactly():
    assert normalize_quote({"S": "A", "t": timestamp_extension(EXCHANGE_NS)})["ts_ns"] == EXCHANGE_NS


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_missing_in_a_row_too(number: float):
    row = normalizers.normalize_quote({"S": "AAPL", "bp": number, "bs": number, "ap": 1.5})

    assert row is not None
    assert (row["bid_price"], row["bid_size"], row["ask_price"]) == (None, None, 1.5)
    assert normalizers.normalize_trade({"S": "AAPL", "p": number}) is None
