"""Read messages off the wire: frames of typed events in one go, and single ones of either encoding.

A frame of market data is a msgpack array of maps, each with its type under ``T``. The usual frame is decoded in one
call; a frame with a message that does not fit is taken apart, so that the bad message costs itself only. What is no
number (NaN, an infinity) where one should be counts as missing, and an event that cannot be without that value is
rejected: no figure and no file meets it. A control or trading message may be JSON or MessagePack, text or binary:
Alpaca's streams use all of these.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from options_helper.decoders import msgpack_decoder
from options_helper.model.events import BookUpdate, Event

# What a decoder raises for bytes that are not what they should be; the last one for a bottomless nesting.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class DecodedFrame(NamedTuple):
    """The events of one frame, in order, and a sentence for each message that could not be read.

    `damaged` matters only where something was rejected: the symbols whose order books it may have been about, `*` where
    nobody can tell.
    """

    events: Sequence[Event]
    rejected: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ("*",)


# What makes a frame's bytes into events; it never raises, and what it cannot read it rejects.
Decode = Callable[[bytes], DecodedFrame]

_DECODE_FRAME: Final = msgpack_decoder(list[Event]).decode
_DECODE_ONE: Final = msgpack_decoder(Event).decode
_TAKE_APART: Final = msgpack_decoder(list[msgspec.Raw]).decode
_READ_ANY: Final = msgspec.msgpack.Decoder().decode
_READ_FIELDS: Final = msgpack_decoder(dict[str, msgspec.Raw]).decode
_BOOK_TYPE: Final = str(BookUpdate.__struct_config__.tag)
# NaN and the infinities, of 64 and of 32 bits.
_NO_NUMBER: Final = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff].{6}|\xca[\x7f\xff][\x80-\xff].{2}", re.DOTALL)


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
    damaged: list[str] = []
    for message in messages:
        try:
            events.append(_DECODE_ONE(message))
        except UNREADABLE as error:
            if (rest := _with_numbers_only(message)) is not None:
                events.append(rest)
            else:
                rejected.append(f"{_describe(message)}: {error}")
                if (book := _book_in(message)) is not None:
                    damaged.append(book)
    return DecodedFrame(events, tuple(rejected), tuple(damaged))


def _book_in(message: msgspec.Raw) -> str | None:
    """Whose book a message that cannot be read may be about, `*` where nobody can tell; None: about no book."""
    try:
        content = _READ_ANY(message)
    except UNREADABLE:
        return "*"
    if not isinstance(content, dict) or content.get("T") != _BOOK_TYPE:
        return None
    return str(content.get("S") or "*")


def _with_numbers_only(message: msgspec.Raw) -> Event | None:
    """The event without its values that are no numbers; None where that is no event, or it has none of them."""
    try:
        values = _READ_FIELDS(message)
        rest = {name: value for name, value in values.items() if not _NO_NUMBER.fullmatch(value)}
        return None if len(rest) == len(values) else _DECODE_ONE(msgspec.msgpack.encode(rest))
    except UNREADABLE:
        return None


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
# How the type of a control message stands in a frame's bytes; in a text field it may stand by chance.
_CONTROL_MARKS: Final = tuple(b"\xa1T" + msgspec.msgpack.encode(kind) for kind in _CONTROL_TYPES)
_ONE_MESSAGE: Final = b"\x91"


def split_control(payload: bytes) -> tuple[list[dict[str, Any]], bytes | None]:
    """Part a frame into its control messages and a frame of the rest, or None where nothing else is in it.

    Alpaca sends control messages in frames of their own: where the first message is data, and nothing behind it bears
    the mark of another kind, the frame comes back as it was, unread. That is nearly every frame.
    """
    if _begins_with_data(payload) and not _may_hold_control(payload):
        return [], payload
    try:
        messages = _TAKE_APART(payload)
    except UNREADABLE:
        return _split_json(payload)
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


def _split_json(payload: bytes) -> tuple[list[dict[str, Any]], bytes | None]:
    """The same of a frame that is no MessagePack: why a server ends a stream may come as JSON; data may not."""
    messages = read_message(payload) if payload[:1] == b"[" else None
    if not isinstance(messages, list):
        return [], payload
    control = [one for one in messages if isinstance(one, dict) and one.get("T") in _CONTROL_TYPES]
    return control, None if len(control) == len(messages) else payload


def _begins_with_data(payload: bytes) -> bool:
    """Whether the first key of the first message is its type, and the type is one letter."""
    head = payload[:1]
    start = 5 if head == b"\xdd" else 3 if head == b"\xdc" else 1
    # A map of fewer than 16 keys, as all data messages are, begins with one byte.
    return payload[start + 1 : start + 4] == b"\xa1T\xa1" and payload[start] & 0xF0 == 0x80


def _may_hold_control(payload: bytes) -> bool:
    """Whether a control message may stand behind the first, which is data."""
    return payload[:1] != _ONE_MESSAGE and any(mark in payload for mark in _CONTROL_MARKS)


def _control_content(message: msgspec.Raw) -> dict[str, Any] | None:
    try:
        content = _READ_ANY(message)
    except UNREADABLE:
        return None
    if isinstance(content, dict) and content.get("T") in _CONTROL_TYPES:
        return content
    return None


Message = bytes | str


def read_message(message: Message | None) -> Any:
    """Decode a control message of either encoding; None when it is neither JSON nor MessagePack."""
    if message is None:
        return None
    try:
        return json.loads(message) if isinstance(message, str) else _read_binary(message)
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None


def _read_binary(message: bytes) -> Any:
    # The paper trading stream sends JSON in binary frames; a JSON object starts with "{", which no array does.
    if message[:1] in (b"{", b"["):
        return json.loads(message)
    return msgspec.msgpack.decode(message)
