"""A frame of the wire becomes typed events: exactly, and without one bad message costing another."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.streaming.messages import count_messages, decode_frame, split_control
from options_helper.model.events import (
    Bar,
    DailyBar,
    Quote,
    Trade,
    TradeCancel,
    TradeCorrection,
    UpdatedBar,
    is_older,
)
from options_helper.model.instants import epoch_nanoseconds, timestamp_extension, utc_datetime
from tests.kit.fakes import NOON, frame, quote_message, trade_message

STOCK_QUOTE = {
    "T": "q", "S": "AAPL", "bx": "V", "bp": 271.5, "bs": 2, "ax": "Q", "ap": 271.6, "as": 3, "c": ["R"], "z": "C",
    "t": timestamp_extension(NOON + 123_456_789),
}  # fmt: skip
OPTION_QUOTE = {
    "T": "q", "S": "AAPL261218C00180000", "t": timestamp_extension(NOON), "bx": "A", "bp": 0, "bs": 0, "ax": "C",
    "ap": 0.05, "as": 11, "c": "A",
}  # fmt: skip


def only(payload: bytes) -> Any:
    (event,) = decode_frame(payload).events
    return event


def test_a_stock_quote_keeps_every_field_and_each_nanosecond():
    quote = only(frame(STOCK_QUOTE))

    assert isinstance(quote, Quote)
    assert (quote.symbol, quote.bid_price, quote.bid_size, quote.bid_exchange) == ("AAPL", 271.5, 2, "V")
    assert (quote.ask_price, quote.ask_size, quote.ask_exchange) == (271.6, 3, "Q")
    assert (quote.conditions, quote.tape, quote.timestamp_ns) == (["R"], "C", NOON + 123_456_789)


def test_an_option_quote_has_its_condition_as_text_and_a_zero_bid_as_zero():
    quote = only(frame(OPTION_QUOTE))

    assert (quote.conditions, quote.bid_price, quote.bid_size) == ("A", 0.0, 0)


def test_a_trade_id_beyond_32_bits_is_kept():
    assert only(frame(trade_message("AAPL", i=52_983_625_699_126))).trade_id == 52_983_625_699_126


def test_a_bar_without_count_and_average_is_a_bar():
    bar = only(frame({"T": "b", "S": "AAPL", "o": 1, "h": 2, "l": 0.5, "c": 1.5, "v": 100}))

    assert isinstance(bar, Bar)
    assert (bar.open, bar.close, bar.trade_count, bar.vwap) == (1, 1.5, None, None)


@pytest.mark.parametrize(("letter", "kind"), [("u", UpdatedBar), ("d", DailyBar)])
def test_updated_and_daily_bars_are_told_apart(letter: str, kind: type[Bar]):
    assert type(only(frame({"T": letter, "S": "A", "o": 1, "h": 1, "l": 1, "c": 1}))) is kind


def test_corrections_and_cancels_are_read():
    payload = frame({"T": "c", "S": "A", "oi": 1, "ci": 2, "cp": 3.5}, {"T": "x", "S": "A", "i": 2, "a": "C"})

    assert [type(event) for event in decode_frame(payload).events] == [TradeCorrection, TradeCancel]


def test_unknown_fields_are_passed_over():
    assert only(frame(quote_message("AAPL", r=5, new_field={"a": [1]}))).symbol == "AAPL"


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"T": "zz", "S": "AAPL"}, "zz"),
        ({"T": "q", "bp": 1.0}, "symbol"),
        ({"T": "q", "S": "AAPL", "bp": "dear"}, "AAPL"),
        ({"T": "t", "S": "AAPL"}, "AAPL"),
        ("no map", "no map"),
        (None, "no map"),
    ],
)
def test_a_bad_message_is_rejected_alone_and_named(bad: Any, named: str):
    decoded = decode_frame(frame(quote_message("MSFT"), bad, trade_message("NVDA")))

    assert [event.symbol for event in decoded.events] == ["MSFT", "NVDA"]
    (reason,) = decoded.rejected
    assert named in reason or "missing" in reason


def test_text_that_is_no_text_costs_its_message_only():
    broken = frame(quote_message("MSFT"), quote_message("AAPL")).replace(b"AAPL", b"\xff\xfe\xfd\xfc")

    decoded = decode_frame(broken)

    assert [event.symbol for event in decoded.events] == ["MSFT"]
    assert len(decoded.rejected) == 1


@pytest.mark.parametrize(
    "payload", [b"", b"\xc1", b'[{"T":"q"}]', frame(STOCK_QUOTE)[:40], b"\xdd\xff\xff\xff\xff"]
)
def test_an_unreadable_frame_is_rejected_for_all_it_announced(payload: bytes):
    decoded = decode_frame(payload)

    assert decoded.events == ()
    assert len(decoded.rejected) == count_messages(payload)


@given(st.binary(max_size=60))
def test_whatever_arrives_as_much_comes_out_as_was_announced(payload: bytes):
    decoded = decode_frame(payload)

    assert len(decoded.events) + len(decoded.rejected) == count_messages(payload)


ODD_VALUES = st.one_of(st.text(), st.floats(), st.integers(0, 2**63))
ODD_MESSAGES = st.dictionaries(st.sampled_from(["T", "S", "bp", "p", "t"]), ODD_VALUES)


@given(st.lists(st.one_of(st.just(STOCK_QUOTE), st.none(), ODD_MESSAGES), max_size=40))
def test_any_mixture_of_good_and_bad_adds_up(messages: list[Any]):
    payload = frame(*messages)
    decoded = decode_frame(payload)

    assert count_messages(payload) == len(messages) == len(decoded.events) + len(decoded.rejected)
    assert sum(message is STOCK_QUOTE for message in messages) <= len(decoded.events)


@given(st.integers(min_value=0, max_value=2**34 * 10**9 - 1))
def test_a_time_survives_the_wire_exactly(nanoseconds: int):
    extension = timestamp_extension(nanoseconds)

    assert epoch_nanoseconds(extension) == nanoseconds
    assert msgpack.unpackb(msgspec.msgpack.encode(extension)).to_unix_nano() == nanoseconds
    assert msgspec.msgpack.encode(extension) == msgpack.packb(msgpack.Timestamp.from_unix_nano(nanoseconds))


def test_a_time_before_1970_survives_too():
    assert epoch_nanoseconds(timestamp_extension(-1)) == -1


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("2018-01-02T09:04:13.125Z", 1_514_883_853_125_000_000),
        ("2018-01-02T09:04:13Z", 1_514_883_853_000_000_000),
        ("2018-01-02T09:04:13.123456789Z", 1_514_883_853_123_456_789),
        ("2018-01-02T04:04:13.5-05:00", 1_514_883_853_500_000_000),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times_in_text_are_read_whatever_their_digits(text: str, nanoseconds: int | None):
    assert epoch_nanoseconds(text) == nanoseconds


@pytest.mark.parametrize(
    "nothing", [None, True, 1.5, [], msgspec.msgpack.Ext(5, b"1234"), msgspec.msgpack.Ext(-1, b"1")]
)
def test_what_is_no_time_is_none(nothing: object):
    assert epoch_nanoseconds(nothing) is None


def test_the_sdk_s_own_timestamp_is_read_exactly():
    assert epoch_nanoseconds(msgpack.Timestamp.from_unix_nano(NOON + 1)) == NOON + 1


def test_a_datetime_is_cut_not_rounded():
    assert utc_datetime(NOON + 999).microsecond == 0
    assert epoch_nanoseconds(datetime(2018, 1, 2, tzinfo=UTC)) == 1_514_851_200_000_000_000


def quote_at(nanoseconds: int) -> Quote:
    return Quote(symbol="A", timestamp=timestamp_extension(nanoseconds), received_ns=NOON)


@pytest.mark.parametrize(
    ("new_ns", "known_ns", "older"),
    [
        (NOON, NOON + 2_000_000_000, True),
        (NOON + 5, NOON + 2_000_000_000, True),
        (NOON + 2_000_000_000, NOON + 5, False),
        (NOON, NOON, False),
        (NOON + 1, NOON + 900_000_000, False),
    ],
)
def test_a_quote_made_a_second_or_more_before_is_older(new_ns: int, known_ns: int, older: bool):  # noqa: FBT001
    assert is_older(quote_at(new_ns), quote_at(known_ns)) is older
    assert is_older(Quote(symbol="A", timestamp=new_ns), quote_at(known_ns)) is older


def test_a_known_time_that_cannot_be_yet_makes_nothing_older():
    """One quote stamped in the next century must not freeze its symbol."""
    impossible = Quote(symbol="A", timestamp=timestamp_extension(NOON + 10**18), received_ns=NOON)

    assert not is_older(quote_at(NOON + 2_000_000_000), impossible)


def test_without_a_time_nothing_is_older():
    assert not is_older(Quote(symbol="A"), quote_at(NOON))
    assert not is_older(quote_at(NOON), Quote(symbol="A"))


def test_a_data_frame_is_handed_on_unread():
    payload = frame(STOCK_QUOTE)

    assert split_control(payload) == ([], payload)


def test_control_messages_are_parted_from_data_in_one_frame():
    control, data = split_control(
        frame({"T": "error", "code": 405, "msg": "limit"}, STOCK_QUOTE, OPTION_QUOTE)
    )

    assert control == [{"T": "error", "code": 405, "msg": "limit"}]
    assert data is not None
    assert [event.symbol for event in decode_frame(data).events] == ["AAPL", "AAPL261218C00180000"]
    assert count_messages(data) == 2


def test_the_symbol_t_is_not_taken_for_a_type():
    """AT&T trades under T; a map promises no order of its keys."""
    acknowledgement = {"trades": ["T", "F"], "quotes": ["T"], "T": "subscription"}

    assert split_control(frame(acknowledgement)) == ([acknowledgement], None)
    assert split_control(frame({"S": "T", "T": "error", "code": 405}))[1] is None


def test_a_bottomless_nesting_costs_its_message_only():
    deep = b"\x82\xa1T\xa1q\xa1S" + b"\x91" * 200_000 + b"\x01"
    payload = b"\x92" + msgspec.msgpack.encode(quote_message("MSFT")) + deep

    decoded = decode_frame(payload)

    assert len(decoded.events) + len(decoded.rejected) == 2


@pytest.mark.parametrize(
    "control",
    [
        {"T": "subscription", "quotes": ["A"]},
        {"T": "error", "code": 407, "msg": "slow client"},
        {"code": 407, "T": "error"},
        {"T": "success", "msg": "authenticated"},
    ],
)
def test_a_control_message_behind_data_is_seen(control: dict[str, Any]):
    quotes = [quote_message("A", 1.0), quote_message("A", 2.0)]
    found, data = split_control(frame(*quotes, control))
    assert found == [control]
    assert data is not None
    assert [event.bid_price for event in decode_frame(data).events] == [1.0, 2.0]  # type: ignore[union-attr]


def test_a_text_that_looks_like_control_is_data():
    trade = {"T": "t", "S": "A", "p": 1.0, "z": "\ufffd", "c": ["T", "subscription"]}
    payload = frame(trade, {**trade, "x": "\x01T", "i": 5})
    control, data = split_control(payload)
    assert control == []
    assert data is not None
    assert count_messages(data) == 2


def test_a_control_frame_leaves_no_data():
    assert split_control(frame({"T": "subscription", "quotes": []})) == (
        [{"T": "subscription", "quotes": []}],
        None,
    )


def test_why_a_server_ends_a_stream_is_read_in_json_too_and_data_in_it_are_not_passed_over():
    said = {"T": "error", "code": 406, "msg": "connection limit exceeded"}
    assert split_control(json.dumps([said]).encode()) == ([said], None)

    with_data = json.dumps([said, {"T": "q", "S": "AAPL"}]).encode()
    assert split_control(with_data) == ([said], with_data)
    assert len(decode_frame(with_data).rejected) == 1
    for odd in (b"[", b"[1]", b"[" * 100_000, b'{"T":"error"}', b'[{"T":["error"]}]'):
        assert split_control(odd) == ([], odd)


NO_NUMBERS = [float("nan"), float("inf"), float("-inf")]


@pytest.mark.parametrize("number", NO_NUMBERS)
@pytest.mark.parametrize("field", ["bp", "bs", "ap", "as"])
def test_what_is_no_number_is_missing_and_costs_nothing_else(field: str, number: float):
    sound = only(frame(STOCK_QUOTE))
    names = {"bp": "bid_price", "bs": "bid_size", "ap": "ask_price", "as": "ask_size"}

    decoded = decode_frame(frame(STOCK_QUOTE, {**STOCK_QUOTE, field: number}))

    assert decoded.rejected == ()
    assert decoded.events[0] == sound
    odd = decoded.events[1]
    assert getattr(odd, names[field]) is None
    assert msgspec.structs.replace(odd, **{names[field]: getattr(sound, names[field])}) == sound
    assert odd.timestamp_ns == NOON + 123_456_789


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_an_event_that_needs_a_number_and_has_none_is_rejected_alone(number: float):
    """A trade without a price is no trade, and no figure may be made of it."""
    bar_of = {"T": "b", "S": "AAPL", "o": 1.0, "h": 1.0, "l": 1.0, "c": 1.0, "v": 3}
    payload = frame(
        trade_message("AAPL", number), trade_message("AAPL", 1.5), {**bar_of, "c": number}, bar_of,
        {**bar_of, "vw": number, "v": number},
    )  # fmt: skip

    decoded = decode_frame(payload)

    trade, sound, odd = decoded.events
    assert isinstance(trade, Trade)
    assert isinstance(sound, Bar)
    assert isinstance(odd, Bar)
    assert (trade.price, sound.volume, odd.vwap, odd.volume) == (1.5, 3, None, None)
    assert [sentence.partition(":")[0] for sentence in decoded.rejected] == [
        "message of type 't' for 'AAPL'",
        "message of type 'b' for 'AAPL'",
    ]
    assert count_messages(payload) == len(decoded.events) + len(decoded.rejected)


def test_a_number_of_32_bits_that_is_none_is_missing_too():
    message = msgpack.packb({**STOCK_QUOTE, "t": None, "bp": float("nan")}, use_single_float=True)

    event = only(b"\x91" + message)

    assert (event.bid_price, event.ask_price) == (None, pytest.approx(271.6))
