"""What the simulated server may do wrong: one list for the tests and for the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from http import HTTPStatus
from typing import Any, Final

from options_helper.errors import ConfigError
from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds, timestamp_extension
from options_helper.model.streams import StreamName

Message = dict[str, Any]

MEBIBYTE: Final = 2**20
SLOW_CLIENT: Final = 407
REFUSALS: Final = frozenset(status for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST)
# 1004 to 1006 are reserved for what no server says: that there was no close at all.
CLOSE_CODES: Final = frozenset({*range(1000, 1015), *range(3000, 5000)} - {1004, 1005, 1006})


def switch(meaning: str) -> Any:
    """A field that is off, or on where its name is given."""
    return field(default=False, metadata={"meaning": meaning, "read": bool})


def value(read: type, meaning: str, default: float | None = None) -> Any:
    """A field that is read from what stands behind its name."""
    return field(default=default, metadata={"meaning": meaning, "read": read})


@dataclass(frozen=True, slots=True)
class Faults:
    """Everything that may go wrong; the default is nothing. A name is what `--fault NAME[=VALUE]` takes."""

    # Whom and when.
    stream: StreamName | None = value(  # noqa: RUF009 - a dataclass field, like the others
        StreamName, "only on this stream: stocks, options, fills, crypto or news"
    )
    first_connections: int | None = value(int, "only on the first N connections of each endpoint")
    after_events: int = value(int, "faults of a running stream begin after N events of a connection", 0)

    # Before and during the handshake.
    http_status: int | None = value(int, "answer the handshake with this HTTP status (401, 404, 429, 503 …)")
    redirect: str | None = value(str, "send the handshake on to this address")
    never_upgrade: bool = switch("accept the TCP connection and never answer the handshake")
    silent_welcome: bool = switch("never say 'connected'")
    silent_auth: bool = switch("never answer the authentication")
    auth_error: int | None = value(int, "answer the authentication with this error code (402, 406, 409 …)")
    hold_session_seconds: float = value(float, "keep a departed client's place: 406 for this long", 0.0)

    # The answer to a subscription.
    no_ack: bool = switch("never acknowledge a subscription, and send no data")
    partial_ack: int | None = value(int, "leave the last N symbols of each channel out of the subscription")
    subscribe_error: int | None = value(int, "answer a subscription with this error code (405, 410, 413 …)")

    split_ack: bool = switch("acknowledge each channel in a message of its own")
    late_ack: bool = switch("send a quote before the acknowledgement, in the same frame")
    odd_subscribe_error: str | None = value(
        str, "answer a subscription with an error that has this text as its code; empty for none"
    )

    # The running stream: how it ends.
    mute: bool = switch("send no more data, and answer pings")
    half_open: bool = switch("stop reading and writing without closing: no data, no pong, no FIN")
    reset: bool = switch("abort the TCP connection")
    close_code: int | None = value(int, "close the websocket with this code (1000, 1009, 1011 …)")
    stream_error: int | None = value(int, "send this error in the stream (407 closes the connection)")

    # The running stream: what is wrong with the data.
    bad_compression: bool = switch(
        "compressed messages that nobody can inflate, to clients that agreed to compression"
    )
    malformed: bool = switch("a message that is no map in every frame")
    unknown_type: bool = switch("a message of an unknown type in every frame")
    json_text: bool = switch("JSON text frames to a client that asked for msgpack")
    oversized: bool = switch("one frame above 1 MiB")
    silent_symbol: str | None = value(str, "this symbol says nothing while the others do")
    late_seconds: float = value(float, "exchange times this many seconds behind", 0.0)
    duplicate: bool = switch("every message twice")
    out_of_order: bool = switch("every second message carries a time one second before the previous")
    crossed_quotes: bool = switch("bid and ask change places")
    zero_bids: bool = switch("quotes whose bid price and size are zero")
    zero_quotes: bool = switch("quotes with zero on both sides")
    book_without_reset: bool = switch("order books never come whole, only changes do")
    book_crossed: bool = switch("changes of an order book bid more than is asked")
    book_loses: int | None = value(int, "every N-th change of an order book is left out")
    text_fills: bool = switch("trade updates in text frames, as the live account sends them")
    fill_without_timestamp: bool = switch("trade updates without a timestamp")
    fill_unknown_status: bool = switch("trade updates whose order has an unknown status")
    fill_null_data: bool = switch("trade updates whose data is null")
    fill_error_message: bool = switch("trade updates with an error message, as of a rejected order")

    # Plain HTTP.
    rest_path: str | None = value(str, "REST faults only at addresses that begin so (/v2/positions …)")
    rest_first_requests: int | None = value(int, "REST faults only for the first N requests")
    rest_slow: float = value(float, "answer REST requests this many seconds later", 0.0)
    rest_hang: bool = switch("never answer REST requests")
    rest_status: int | None = value(int, "answer REST requests with this status (401, 429, 500, 504 …)")
    rest_retry_after: float | None = value(float, "say in how many seconds to ask again, with rest_status")
    rest_truncated: bool = switch("send only the first half of a REST answer")
    rest_null_greek: bool = switch("a null among the Greeks of an option's snapshot")
    rest_unknown_exchange: bool = switch("a position and a quote of an exchange that nobody knows")
    closed_today: bool = switch("the calendar and the clock say that the exchange is closed today")
    rest_page: int | None = value(int, "at most N rows on a page of a REST answer")

    def __post_init__(self) -> None:
        _require(self, "http_status", self.http_status in (None, *REFUSALS), "an HTTP status from 400 on")
        _require(self, "rest_status", self.rest_status in (None, *REFUSALS), "an HTTP status from 400 on")
        loses = self.book_loses is None or self.book_loses > 0
        _require(self, "book_loses", loses, "a number from 1 on")
        _require(self, "rest_page", self.rest_page is None or self.rest_page > 0, "a number from 1 on")
        sendable = self.close_code in (None, *CLOSE_CODES)
        _require(
            self, "close_code", sendable, "a code that a server may close with: 1000 to 1014, 3000 to 4999"
        )

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Faults:
        """Read `NAME` and `NAME=VALUE` texts; ConfigError names the first that is wrong."""
        return cls(**dict(parse_named(cls, "fault", text) for text in texts))

    def concern(self, stream: StreamName, connection: int) -> bool:
        """Whether the n-th connection (from 1) of an endpoint of this stream meets them."""
        if self.stream is not None and self.stream != stream:
            return False
        return self.first_connections is None or connection <= self.first_connections

    def concern_request(self, path: str) -> bool:
        """Whether requests for this address meet them; how many of them is not told here."""
        return self.rest_path is None or path.startswith(self.rest_path)

    @property
    def ending(self) -> Ending | None:
        """What a running stream comes to, or None when it goes on."""
        if self.half_open:
            return Ending(half_open=True)
        if self.reset:
            return Ending(reset=True)
        if self.stream_error is not None:
            closes = 1000 if self.stream_error == SLOW_CLIENT else None
            return Ending(error=self.stream_error, close_code=self.close_code or closes)
        if self.close_code is not None:
            return Ending(close_code=self.close_code)
        return None

    @property
    def spoil_data(self) -> bool:
        """Whether messages must be looked at one by one before they leave."""
        return any(getattr(self, name) for name in _DATA_FAULTS)


def _require(faults: Faults, name: str, holds: bool, wanted: str) -> None:  # noqa: FBT001 - the claim itself
    if not holds:
        raise ConfigError(f"The fault {name}={getattr(faults, name)} cannot happen; it takes {wanted}.")


NO_FAULTS: Final = Faults()

_DATA_FAULTS: Final = (
    "mute",
    "malformed",
    "unknown_type",
    "json_text",
    "oversized",
    "silent_symbol",
    "late_seconds",
    "duplicate",
    "out_of_order",
    "crossed_quotes",
    "zero_bids",
    "zero_quotes",
    "book_without_reset",
    "book_crossed",
    "book_loses",
    "fill_without_timestamp",
    "fill_unknown_status",
    "fill_null_data",
    "fill_error_message",
)


def fault_meanings() -> Mapping[str, str]:
    """Every fault's name and what it does, for the command's help."""
    return meanings(Faults)


def meanings(owner: type[Any]) -> Mapping[str, str]:
    """What each field of a dataclass does whose fields say so, by its name."""
    return {item.name: item.metadata["meaning"] for item in fields(owner)}


def parse_named(owner: type[Any], what: str, text: str) -> tuple[str, Any]:
    """Read `NAME` or `NAME=VALUE` as a field of a dataclass whose fields say how they are read.

    ConfigError names the option `--what` and, where it is known, what the field means.
    """
    name, equals, value = text.partition("=")
    name = name.strip().replace("-", "_")
    readers = {item.name: item.metadata["read"] for item in fields(owner)}
    if name not in readers:
        raise ConfigError(
            f"--{what} {text}: there is no {what} of that name. Known are {', '.join(readers)}."
        )
    read = readers[name]
    if read is bool:
        if equals:
            raise ConfigError(f"--{what} {text}: {name} takes no value. Write --{what} {name}.")
        return name, True
    try:
        return name, read(value.strip() if equals else "")
    except ValueError as error:
        meaning = meanings(owner)[name]
        lacks = f"{value.strip()!r} is no value of {name}" if equals else f"{name} needs a value"
        raise ConfigError(f"--{what} {text}: {lacks}: {meaning}. Write --{what} {name}=VALUE.") from error


@dataclass(frozen=True, slots=True)
class Ending:
    """How a running connection ends: an error message first, then one of the rest."""

    error: int | None = None
    close_code: int | None = None
    reset: bool = False
    half_open: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether it is no end at all, only an error in passing."""
        return self.close_code is None and not self.reset and not self.half_open


@dataclass(frozen=True, slots=True)
class FaultyFrame:
    """Messages that leave in one websocket frame."""

    messages: Sequence[Any]
    as_json_text: bool = False


class FaultyWire:
    """What one connection's faults make of its messages; also its count of events sent."""

    def __init__(self, faults: Faults, stream: StreamName) -> None:
        self.faults = faults
        self.sent = 0
        self._stream = stream
        self._ending = faults.ending
        self._ended = False
        self._spoils = faults.spoil_data
        self._oversized_due = faults.oversized
        self._previous_odd = False
        self._book_changes = 0

    @property
    def transparent(self) -> bool:
        """Whether every message leaves as it is, so that frames may be shared between clients."""
        return self._ending is None and not self._ended and not self._spoils

    @property
    def silenced(self) -> bool:
        """Whether no data may leave any more."""
        return self._ended or (self._begun and (self._ends or self.faults.mute))

    @property
    def _ends(self) -> bool:
        return self._ending is not None and not self._ending.goes_on

    @property
    def _begun(self) -> bool:
        return self.sent >= self.faults.after_events

    @property
    def spoils_compression(self) -> bool:
        """Whether what leaves now cannot be inflated."""
        return self.faults.bad_compression and self.sent > self.faults.after_events

    def take_ending(self) -> Ending | None:
        """How the connection must end now, told once; None while it may go on."""
        if self._ending is None or not self._begun:
            return None
        ending, self._ending = self._ending, None
        self._ended = not ending.goes_on
        return ending

    def outgoing(self, messages: Sequence[Any]) -> list[FaultyFrame]:
        """The frames that leave instead of one frame of these messages; they are counted as sent."""
        clean = min(len(messages), max(0, self.faults.after_events - self.sent))
        frames = [FaultyFrame(messages[:clean])] if clean else []
        self.sent += clean
        rest = messages[clean:]
        if rest and not self.silenced:
            frames += self._spoiled(rest)
        return frames

    def _spoiled(self, messages: Sequence[Any]) -> list[FaultyFrame]:
        spoiled = [result for message in messages for result in self._spoil(message)]
        if not spoiled:
            return []
        spoiled += self._strangers(spoiled[0])
        if self._oversized_due:
            self._oversized_due = False
            spoiled[0] = {**spoiled[0], "padding": "x" * MEBIBYTE}
        self.sent += len(spoiled)
        return [FaultyFrame(spoiled, as_json_text=self.faults.json_text)]

    def _strangers(self, example: Any) -> list[Any]:
        if self._stream is StreamName.FILLS:
            return []
        symbol = example.get("S") if isinstance(example, dict) else None
        strangers: list[Any] = []
        if self.faults.malformed:
            strangers.append("a message that is no map")
        if self.faults.unknown_type:
            strangers.append({"T": "z9", "S": symbol})
        return strangers

    def _spoil(self, message: Any) -> list[Any]:
        if not isinstance(message, dict):
            return [message]
        if self._stream is StreamName.FILLS:
            spoiled = self._spoil_fill(message)
        elif message.get("S") == self.faults.silent_symbol and self.faults.silent_symbol is not None:
            return []
        elif message.get("T") == "o":
            book = self._spoil_book(self._spoil_time(message))
            if book is None:
                return []
            spoiled = book
        else:
            spoiled = self._spoil_quote(self._spoil_time(message))
        return [spoiled, spoiled] if self.faults.duplicate else [spoiled]

    def _spoil_time(self, message: Message) -> Message:
        back_ns = round(self.faults.late_seconds * NANOSECONDS)
        if self.faults.out_of_order:
            self._previous_odd = not self._previous_odd
            back_ns += 0 if self._previous_odd else NANOSECONDS
        time_ns = epoch_nanoseconds(message.get("t"))
        if time_ns is None or not back_ns:
            return message
        return {**message, "t": timestamp_extension(time_ns - back_ns)}

    def _spoil_quote(self, message: Message) -> Message:
        if message.get("T") != "q":
            return message
        if self.faults.crossed_quotes:
            message = {**message, "bp": message.get("ap"), "ap": message.get("bp")}
        if self.faults.zero_bids or self.faults.zero_quotes:
            message = {**message, "bp": 0, "bs": 0}
        if self.faults.zero_quotes:
            message = {**message, "ap": 0, "as": 0}
        return message

    def _spoil_book(self, message: Message) -> Message | None:
        """None where it does not leave."""
        if message.get("r"):
            return {**message, "r": False} if self.faults.book_without_reset else message
        self._book_changes += 1
        if self.faults.book_loses and self._book_changes % self.faults.book_loses == 0:
            return None
        if self.faults.book_crossed and (asked := [level["p"] for level in message.get("a", ())]):
            return {**message, "b": [*message.get("b", ()), {"p": max(asked) * 2, "s": 1.0}]}
        return message

    def _spoil_fill(self, message: Message) -> Message:
        data = message.get("data")
        if self.faults.fill_null_data or not isinstance(data, dict):
            return {**message, "data": None}
        if self.faults.fill_error_message:
            data = {**data, "error_message": "insufficient buying power"}
        if self.faults.fill_without_timestamp:
            data = {key: value for key, value in data.items() if key != "timestamp"}
        if self.faults.fill_unknown_status and isinstance(data.get("order"), dict):
            data = {**data, "order": {**data["order"], "status": "under_review"}}
        return {**message, "data": data}
