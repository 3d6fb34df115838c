"""Typed market-data events, decoded straight from one websocket frame.

A frame is a msgpack array of maps, each with its type under ``T``. The usual frame is decoded in one call; a frame
with a message that does not fit is taken apart, so that the bad message costs itself only.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.msgpack import Ext
from msgspec.structs import force_setattr

NANOSECONDS: Final = 1_000_000_000
# What a decoder raises for bytes that are not what they should be; the last one for a bottomless nesting.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
TIMESTAMP_EXT_CODE: Final = -1
# How far an exchange's clock may be ahead of ours and still be believed.
AHEAD_AT_MOST_NS: Final = 60 * NANOSECONDS


class StreamName(StrEnum):
    """The three streams, one connection each."""

    STOCKS = "stocks"
    OPTIONS = "options"
    FILLS = "fills"


# The wire's letters for our words (docs: real-time stock and option data).
WIRE_NAMES: Final = {
    "symbol": "S",
    "timestamp": "t",
    "bid_price": "bp",
    "bid_size": "bs",
    "bid_exchange": "bx",
    "ask_price": "ap",
    "ask_size": "as",
    "ask_exchange": "ax",
    "conditions": "c",
    "tape": "z",
    "price": "p",
    "size": "s",
    "exchange": "x",
    "trade_id": "i",
    "open": "o",
    "high": "h",
    "low": "l",
    "close": "c",
    "volume": "v",
    "trade_count": "n",
    "vwap": "vw",
    "original_trade_id": "oi",
    "corrected_trade_id": "ci",
    "corrected_price": "cp",
    "corrected_size": "cs",
    "corrected_conditions": "cc",
}


class MarketEvent(msgspec.Struct, frozen=True, gc=False, tag_field="T", rename=WIRE_NAMES, kw_only=True):
    """What every market-data message carries."""

    symbol: str
    # Exchange time as the wire has it: the msgpack timestamp extension, RFC 3339 text, or epoch nanoseconds.
    timestamp: Ext | str | int | None = None
    # Receipt on the market's clock, epoch nanoseconds; never on the wire, set once by `stamp`.
    received_ns: int = msgspec.field(default=0, name="_received_ns")

    @property
    def timestamp_ns(self) -> int | None:
        """Exchange time in epoch nanoseconds, exact, or None when the message had none."""
        return epoch_nanoseconds(self.timestamp)

    @property
    def received_at(self) -> datetime:
        """Receipt as a UTC datetime; for display, it cuts to the microsecond."""
        return utc_datetime(self.received_ns)


class Quote(MarketEvent, frozen=True, gc=False, tag="q", kw_only=True):
    """Best bid and ask of one symbol, as the feed sent it; prices per share in dollars, sizes as sent."""

    bid_price: float | None = None
    bid_size: int | float | None = None
    bid_exchange: str | None = None
    ask_price: float | None = None
    ask_size: int | float | None = None
    ask_exchange: str | None = None
    # A list on the stock stream, one string on the option stream.
    conditions: list[str] | str | None = None
    tape: str | None = None


class Trade(MarketEvent, frozen=True, gc=False, tag="t", kw_only=True):
    """One print; option trades carry neither id nor tape."""

    price: float
    size: int | float | None = None
    exchange: str | None = None
    conditions: list[str] | str | None = None
    trade_id: int | None = None
    tape: str | None = None


class Bar(MarketEvent, frozen=True, gc=False, tag="b", kw_only=True):
    """One minute; `timestamp` is its start. Trade count and VWAP are optional on the wire."""

    open: float
    high: float
    low: float
    close: float
    volume: int | float | None = None
    trade_count: int | None = None
    vwap: float | None = None


class RestQuote(Quote, frozen=True, gc=False, tag="rest quote", kw_only=True):
    """A quote that was asked for; its receipt is the time the exchange made it, so its age is the quote's own."""


class RestTrade(Trade, frozen=True, gc=False, tag="rest trade", kw_only=True):
    """A trade that was asked for; its receipt is the time the exchange made it."""


class UpdatedBar(Bar, frozen=True, gc=False, tag="u", kw_only=True):
    """A minute bar sent again because a late trade changed it."""


class DailyBar(Bar, frozen=True, gc=False, tag="d", kw_only=True):
    """The day so far, sent every minute after the open."""


class TradeCorrection(MarketEvent, frozen=True, gc=False, tag="c", kw_only=True):
    """A print was restated; comes unasked with the trades channel."""

    original_trade_id: int | None = None
    corrected_trade_id: int | None = None
    corrected_price: float | None = None
    corrected_size: int | float | None = None
    corrected_conditions: list[str] | str | None = None
    exchange: str | None = None


class TradeCancel(MarketEvent, frozen=True, gc=False, tag="x", kw_only=True):
    """A print was withdrawn; comes unasked with the trades channel."""

    trade_id: int | None = None
    price: float | None = None
    size: int | float | None = None
    exchange: str | None = None


Event = Quote | Trade | Bar | UpdatedBar | DailyBar | TradeCorrection | TradeCancel


class DecodedFrame(NamedTuple):
    """The events of one frame, in order, and a sentence for each message that could not be read."""

    events: Sequence[Event]
    rejected: tuple[str, ...] = ()


_DECODE_FRAME: Final = msgspec.msgpack.Decoder(list[Event]).decode
_DECODE_ONE: Final = msgspec.msgpack.Decoder(Event).decode
_TAKE_APART: Final = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_READ_ANY: Final = msgspec.msgpack.Decoder().decode


def decode_frame(payload: bytes) -> DecodedFrame:
    """Decode one frame of market data; never raises on bad input.

    As many events and rejections come out as `count_messages` announces.
    """
    try:
        return DecodedFrame(_DECODE_FRAME(payload))
    except UNREADABLE:
        return _decode_one_by_one(payload)


def _decode_one_by_one(payload: bytes) -> DecodedFrame:
    try:
        messages = _TAKE_APART(payload)
    except UNREADABLE as error:
        # It may have announced several messages, and all of them are lost.
        return DecodedFrame((), (f"unreadable frame: {error}",) * count_messages(payload))
    events: list[Event] = []
    rejected: list[str] = []
    for message in messages:
        try:
            events.append(_DECODE_ONE(message))
        except UNREADABLE as error:
            rejected.append(f"{_describe(message)}: {error}")
    return DecodedFrame(events, tuple(rejected))


def stamp(event: Event, received_ns: int) -> None:
    """Complete a freshly decoded event with its receipt; nobody else has seen it yet, so it stays frozen for all."""
    force_setattr(event, "received_ns", received_ns)


def is_older(event: MarketEvent, known: MarketEvent) -> bool:
    """Whether the exchange made `event` a second or more before `known`.

    Venues' clocks differ by milliseconds, so within a second the order of arrival stands. False where a time is
    missing, and where the known one is ahead of its own receipt: a time that cannot be must not freeze a symbol.
    """
    new_ns, known_ns = event.timestamp_ns, known.timestamp_ns
    if new_ns is None or known_ns is None or known_ns > known.received_ns + AHEAD_AT_MOST_NS:
        return False
    return new_ns // NANOSECONDS < known_ns // NANOSECONDS


def _describe(message: msgspec.Raw) -> str:
    try:
        content = _READ_ANY(message)
    except UNREADABLE:
        return "unreadable message"
    if not isinstance(content, dict):
        return "message that is no map"
    return f"message of type {content.get('T')!r} for {content.get('S')!r}"


def count_messages(payload: bytes) -> int:
    """How many messages a frame announces, read from its first bytes; an unreadable frame counts as one."""
    head = payload[0] if payload else 0
    if 0x90 <= head <= 0x9F:
        return head & 0x0F
    if head == 0xDC and len(payload) >= 3:
        return int.from_bytes(payload[1:3], "big")
    if head == 0xDD and len(payload) >= 5:
        # A header may announce more messages than the frame has bytes.
        return min(int.from_bytes(payload[1:5], "big"), len(payload))
    return 1


_CONTROL_TYPES: Final = ("error", "subscription", "success")


def split_control(payload: bytes) -> tuple[list[dict[str, Any]], bytes | None]:
    """Part a frame into its control messages and a frame of the rest, or None where nothing else is in it.

    Alpaca sends control messages in frames of their own, so the first message tells: a type of one letter is data,
    and nearly every frame comes back as it was, unread.
    """
    if _begins_with_data(payload):
        return [], payload
    try:
        messages = _TAKE_APART(payload)
    except UNREADABLE:
        return [], payload
    control: list[dict[str, Any]] = []
    data: list[bytes] = []
    for message in messages:
        content = _control_content(message)
        if content is None:
            data.append(bytes(message))
        else:
            control.append(content)
    if not data:
        return control, None
    return control, b"\xdd" + struct.pack(">I", len(data)) + b"".join(data)


def _begins_with_data(payload: bytes) -> bool:
    """Whether the first key of the first message is its type, and the type is one letter."""
    head = payload[:1]
    start = 5 if head == b"\xdd" else 3 if head == b"\xdc" else 1
    # A map of fewer than 16 keys, as all data messages are, begins with one byte.
    return payload[start + 1 : start + 4] == b"\xa1T\xa1" and payload[start] & 0xF0 == 0x80


def _control_content(message: msgspec.Raw) -> dict[str, Any] | None:
    try:
        content = _READ_ANY(message)
    except UNREADABLE:
        return None
    if isinstance(content, dict) and content.get("T") in _CONTROL_TYPES:
        return content
    return None


def epoch_nanoseconds(timestamp: object) -> int | None:
    """Read a wire time exactly: msgpack extension (ours or `msgpack.Timestamp`), RFC 3339 text, datetime, integer.

    None for anything else, and for text that is no time.
    """
    match timestamp:
        case Ext(code=-1, data=data):
            return _extension_nanoseconds(bytes(data))
        case bool() | None:
            return None
        case int():
            return timestamp
        case str():
            return _text_nanoseconds(timestamp)
        case datetime():
            return _datetime_nanoseconds(timestamp)
        case _:
            to_unix_nano = getattr(timestamp, "to_unix_nano", None)
            return int(to_unix_nano()) if callable(to_unix_nano) else None


def _extension_nanoseconds(data: bytes) -> int | None:
    # msgpack specification, "Timestamp extension type": 32, 64 and 96 bit forms.
    if len(data) == 4:
        return int.from_bytes(data, "big") * NANOSECONDS
    if len(data) == 8:
        word = int.from_bytes(data, "big")
        return (word & 0x3_FFFF_FFFF) * NANOSECONDS + (word >> 34)
    if len(data) == 12:
        nanoseconds, seconds = struct.unpack(">Iq", data)
        return int(seconds) * NANOSECONDS + int(nanoseconds)
    return None


def _text_nanoseconds(text: str) -> int | None:
    body, point, fraction = text.partition(".")
    digits = ""
    if point:
        digits = fraction[: len(fraction) - len(fraction.lstrip("0123456789"))]
        body += fraction[len(digits) :]
    try:
        moment = datetime.fromisoformat(body)
    except ValueError:
        return None
    return _datetime_nanoseconds(moment) + int(digits.ljust(9, "0")[:9] or 0)


def _datetime_nanoseconds(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NANOSECONDS + since.microseconds * 1_000


def utc_datetime(nanoseconds: int) -> datetime:
    """Epoch nanoseconds as a UTC datetime, cut to the microsecond."""
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1_000)


def timestamp_extension(nanoseconds: int) -> Ext:
    """Epoch nanoseconds as the msgpack timestamp extension, in the form msgpack-python chooses (32 or 64 bit)."""
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    if rest == 0 and 0 <= seconds < 2**32:
        return Ext(TIMESTAMP_EXT_CODE, seconds.to_bytes(4, "big"))
    if 0 <= seconds < 2**34:
        return Ext(TIMESTAMP_EXT_CODE, (rest << 34 | seconds).to_bytes(8, "big"))
    return Ext(TIMESTAMP_EXT_CODE, struct.pack(">Iq", rest, seconds))
