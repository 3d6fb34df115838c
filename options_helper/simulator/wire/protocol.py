"""One client's conversation with the market, sans-IO: a message in, the server's answers out."""

from __future__ import annotations

import re
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from options_helper.model.instants import epoch_nanoseconds, utc_datetime
from options_helper.model.streams import StreamName
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.faults import NO_FAULTS, Faults, FaultyWire, Message

ERRORS: Final[Mapping[int, str]] = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    411: "insufficient scope",
    412: "option messages are only available in MsgPack format",
    413: "star subscription is not allowed for option quotes",
    500: "internal error",
}

# The types of data messages and the channel that brings them.
CHANNELS: Final[Mapping[str, str]] = {
    "t": "trades",
    "q": "quotes",
    "b": "bars",
    "u": "updatedBars",
    "d": "dailyBars",
    "s": "statuses",
    "l": "lulds",
    "c": "corrections",
    "x": "cancelErrors",
    "o": "orderbooks",
    "n": "news",
}
# They come unasked with the trades channel.
COMPANIONS_OF_TRADES: Final = ("corrections", "cancelErrors")
TRADE_UPDATES: Final = "trade_updates"

STOCK_SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9]*(\.[A-Z]+)?|\*")
OPTION_SYMBOL: Final = re.compile(r"[A-Z0-9]{1,6}\d{6}[CP]\d{8}|\*")
COIN_PAIR: Final = re.compile(r"[A-Z0-9]+/[A-Z]+|\*")
# What each stream offers, in the order of its acknowledgement, and how its symbols are written.
OFFERS: Final[Mapping[StreamName, tuple[tuple[str, ...], re.Pattern[str]]]] = {
    StreamName.STOCKS: (
        (
            "trades",
            "quotes",
            "bars",
            "updatedBars",
            "dailyBars",
            "statuses",
            "lulds",
            "corrections",
            "cancelErrors",
        ),
        STOCK_SYMBOL,
    ),
    StreamName.OPTIONS: (("trades", "quotes"), OPTION_SYMBOL),
    StreamName.CRYPTO: (
        ("trades", "quotes", "orderbooks", "bars", "updatedBars", "dailyBars"),
        COIN_PAIR,
    ),
    StreamName.NEWS: (("news",), STOCK_SYMBOL),
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One websocket address of the server."""

    path: str
    feed: str
    stream: StreamName


def _endpoints(stream: StreamName, *paths: str) -> dict[str, Endpoint]:
    return {path: Endpoint(path, path.rpartition("/")[2], stream) for path in paths}


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    **_endpoints(StreamName.STOCKS, "/v2/iex", "/v2/sip", "/v2/delayed_sip", "/v2/test"),
    **_endpoints(StreamName.STOCKS, "/v1beta1/boats", "/v1beta1/overnight"),
    **_endpoints(StreamName.OPTIONS, "/v1beta1/indicative", "/v1beta1/opra"),
    **_endpoints(StreamName.FILLS, "/stream"),
    **_endpoints(StreamName.CRYPTO, "/v1beta3/crypto/us", "/v1beta3/crypto/us-1", "/v1beta3/crypto/eu-1"),
    **_endpoints(StreamName.NEWS, "/v1beta1/news"),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What the account may do; None and an empty set are no limit."""

    stock_symbols: int | None = None
    option_quotes: int | None = None
    refused_feeds: frozenset[str] = frozenset()
    one_connection: bool = True
    auth_timeout_seconds: float = 10.0
    sip_delay_ns: int = 0  # of the consolidated feed's past, the newest so much is not told


NO_LIMITS: Final = Limits()
FREE_PLAN: Final = Limits(stock_symbols=30, option_quotes=200, refused_feeds=frozenset({"sip", "opra"}))


# The account that is the market's own; every other is called by its key.
FIRST_ACCOUNT: Final = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """The key and secret the server knows, and those of further accounts."""

    key: str = field(default=DEMO_KEY, repr=False)
    secret: str = field(default=DEMO_SECRET, repr=False)
    others: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def account_of(self, key: object, secret: object) -> str | None:
        """Which account they open; None: none."""
        if (key, secret) == (self.key, self.secret):
            return FIRST_ACCOUNT
        return key if isinstance(key, str) and self.others.get(key) == secret is not None else None


DEMO_KEYS: Final = Keys()


class Encoding(StrEnum):
    """How a client wants its messages; the Content-Type of its handshake says."""

    JSON = "application/json"
    MSGPACK = "application/msgpack"

    @classmethod
    def of(cls, content_type: str | None) -> Encoding:
        """JSON unless the client asks for msgpack."""
        return cls.MSGPACK if content_type == cls.MSGPACK else cls.JSON


def _json_value(value: object) -> str:
    nanoseconds = epoch_nanoseconds(value)
    if nanoseconds is None:
        raise TypeError(f"{type(value).__name__} has no form in JSON")
    return rfc3339(nanoseconds)


def rfc3339(nanoseconds: int) -> str:
    """An instant as Alpaca writes it in JSON, exact to the nanosecond."""
    return f"{utc_datetime(nanoseconds):%Y-%m-%dT%H:%M:%S}.{nanoseconds % 1_000_000_000:09d}Z"


_TO_MSGPACK: Final = msgspec.msgpack.Encoder().encode
TO_JSON: Final = msgspec.json.Encoder(enc_hook=_json_value).encode
_FROM_MSGPACK: Final = msgspec.msgpack.Decoder().decode
_FROM_JSON: Final = msgspec.json.Decoder().decode


class Payload(NamedTuple):
    """The content of one websocket frame."""

    data: bytes
    text: bool


TEXT_FRAME: Final = 0x81
_BINARY_FRAME: Final = 0x82
_COMPRESSED: Final = 0x40


def websocket_frame(payload: Payload, *, compressed: bool = False) -> bytes:
    """One whole server frame: unmasked, final, and so the same bytes for every client."""
    head = (TEXT_FRAME if payload.text else _BINARY_FRAME) | (_COMPRESSED if compressed else 0)
    size = len(payload.data)
    if size < 126:
        return struct.pack(">BB", head, size) + payload.data
    if size < 65_536:
        return struct.pack(">BBH", head, 126, size) + payload.data
    return struct.pack(">BBQ", head, 127, size) + payload.data


def frame_bounds(frames: bytes, start: int) -> tuple[int, int]:
    """Where the content of the whole frame that begins at `start` begins and ends."""
    size, body = frames[start + 1], start + 2
    if size in (126, 127):
        body += 2 if size == 126 else 8
        size = int.from_bytes(frames[start + 2 : body], "big")
    return body, body + size


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server sends in answer, and the code it closes with afterwards, if it does."""

    payloads: Sequence[Payload] = ()
    close_code: int | None = None


class ServerProtocol(ABC):
    """What the two kinds of endpoint have in common: faults, keys, who may speak, what was subscribed.

    `claim_slot` says whether the account may open one more connection here, and takes the slot when it may.
    """

    silence: ClassVar = Reply()

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        encoding: Encoding,
        keys: Keys = DEMO_KEYS,
        limits: Limits = NO_LIMITS,
        faults: Faults = NO_FAULTS,
        claim_slot: Callable[[], bool] = lambda: True,
    ) -> None:
        self.endpoint = endpoint
        self.encoding = encoding
        self.authenticated = False
        self.subscription: dict[str, tuple[str, ...]] = {}
        self.wire = FaultyWire(faults, endpoint.stream)
        self.account = FIRST_ACCOUNT  # once it is authenticated
        self._keys = keys
        self._limits = limits
        self._faults = faults
        self._claim_slot = claim_slot

    @property
    def listening(self) -> bool:
        """Whether anything is subscribed."""
        return any(self.subscription.values())

    @abstractmethod
    def open(self, key: str | None = None, secret: str | None = None) -> Reply:
        """Greet a client; a key and secret in the handshake authenticate it at once."""

    @abstractmethod
    def receive(self, message: bytes | str) -> Reply:
        """Answer one message of the client."""

    @abstractmethod
    def time_out(self) -> Reply:
        """Answer a client that did not authenticate in time."""

    @abstractmethod
    def in_stream_error(self, code: int) -> Reply:
        """The message that tells a client of an error in the middle of the stream."""

    @abstractmethod
    def wants(self, message: Any) -> bool:
        """Whether this client subscribed to what the message carries."""

    @abstractmethod
    def payloads(self, messages: Sequence[Any], *, as_json_text: bool = False) -> list[Payload]:
        """The websocket frames that carry these messages."""

    def _matches(self, key: object, secret: object) -> bool:
        account = self._keys.account_of(key, secret)
        self.account = FIRST_ACCOUNT if account is None else account
        return account is not None

    def _encode(self, content: Any) -> bytes:
        return _TO_MSGPACK(content) if self.encoding is Encoding.MSGPACK else TO_JSON(content)

    def _decode(self, message: bytes | str) -> Any:
        """The client's message, or None when it is unreadable."""
        # Control messages are read in either encoding, whatever the handshake announced.
        readers = (_FROM_JSON, _FROM_MSGPACK) if isinstance(message, str) else (_FROM_MSGPACK, _FROM_JSON)
        content = message.encode() if isinstance(message, str) else message
        for read in readers:
            try:
                return read(content)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
        return None


class MarketDataProtocol(ServerProtocol):
    """An endpoint of market data or news: arrays of maps, in msgpack or JSON."""

    # The subscription again, for `wants`, which is asked for every message.
    _wanted: Mapping[str, frozenset[str]] = MappingProxyType({})

    @property
    def _channels(self) -> tuple[str, ...]:
        return OFFERS[self.endpoint.stream][0]

    @property
    def _options(self) -> bool:
        return self.endpoint.stream is StreamName.OPTIONS

    def open(self, key: str | None = None, secret: str | None = None) -> Reply:
        """Say `connected`, and `authenticated` when the handshake carried the right key."""
        if self._faults.silent_welcome:
            return self.silence
        welcome = self._control({"T": "success", "msg": "connected"})
        if key is None:
            return welcome
        answer = self._authenticate(key, secret)
        return Reply((*welcome.payloads, *answer.payloads), answer.close_code)

    def receive(self, message: bytes | str) -> Reply:
        """Answer `auth`, `subscribe` or `unsubscribe`; anything else is an error."""
        request = self._decode(message)
        if not isinstance(request, dict):
            return self._error(400)
        match request.get("action"):
            case "auth":
                return self._authenticate(request.get("key"), request.get("secret"))
            case "subscribe" | "unsubscribe" if not self.authenticated:
                return self._error(401)
            case "subscribe":
                return self._subscribe(request)
            case "unsubscribe":
                return self._unsubscribe(request)
            case _:
                return self._error(400)

    def time_out(self) -> Reply:
        """Error 404, then the end; a server that is silent by fault stays so."""
        if self._faults.silent_welcome or self._faults.silent_auth:
            return self.silence
        return Reply(self._error(404).payloads, close_code=1000)

    def in_stream_error(self, code: int) -> Reply:
        """An `error` message."""
        return self._error(code)

    def wants(self, message: Any) -> bool:
        """Whether channel and symbol are subscribed; what has no channel goes to every listener."""
        channel = CHANNELS.get(str(message.get("T"))) if isinstance(message, dict) else None
        if channel is None:
            return self.listening
        symbols = self._wanted.get(channel, frozenset())
        if channel == "news":
            return "*" in symbols or not symbols.isdisjoint(message.get("symbols", ()))
        return message.get("S") in symbols or "*" in symbols

    def payloads(self, messages: Sequence[Any], *, as_json_text: bool = False) -> list[Payload]:
        """All in one frame."""
        if as_json_text:
            return [Payload(TO_JSON(messages), text=True)]
        return [Payload(self._encode(messages), text=self.encoding is Encoding.JSON)]

    def _authenticate(self, key: object, secret: object) -> Reply:
        if self._faults.silent_auth:
            return self.silence
        code = self._refusal(key, secret)
        if code is not None:
            return self._error(code)
        self.authenticated = True
        return self._control({"T": "success", "msg": "authenticated"})

    def _refusal(self, key: object, secret: object) -> int | None:
        if self.authenticated:
            return 403
        if self._faults.auth_error is not None:
            return self._faults.auth_error
        if self._options and self.encoding is not Encoding.MSGPACK:
            return 412
        if not self._matches(key, secret):
            return 402
        if self.endpoint.feed in self._limits.refused_feeds:
            return 409
        return None if self._claim_slot() else 406

    def _subscribe(self, request: Message) -> Reply:
        if self._faults.subscribe_error is not None:
            return self._error(self._faults.subscribe_error)
        if (odd := self._faults.odd_subscribe_error) is not None:
            return self._control({"T": "error", "msg": "not today"} | ({"code": odd} if odd else {}))
        if self._faults.no_ack:
            return self.silence
        channels = self._requested_channels(request)
        code = self._fault_in(channels)
        if code is not None:
            return self._error(code)
        granted = {channel: self._granted(symbols) for channel, symbols in channels.items()}
        wanted = {
            channel: _united(self.subscription.get(channel, ()), granted.get(channel, ()))
            for channel in self._channels
        }
        if self._exceeds_limit(wanted):
            return self._error(405)
        return self._acknowledge(wanted)

    def _unsubscribe(self, request: Message) -> Reply:
        channels = self._requested_channels(request)
        code = self._fault_in(channels)
        if code is not None:
            return self._error(code)
        left = {
            channel: tuple(symbol for symbol in symbols if symbol not in channels.get(channel, ()))
            for channel, symbols in self.subscription.items()
        }
        return self._acknowledge(left)

    def _acknowledge(self, subscription: dict[str, tuple[str, ...]]) -> Reply:
        complete = {channel: subscription.get(channel, ()) for channel in self._channels}
        if self.endpoint.stream is StreamName.STOCKS:
            complete |= dict.fromkeys(COMPANIONS_OF_TRADES, complete["trades"])
        self.subscription = complete
        self._wanted = {channel: frozenset(symbols) for channel, symbols in complete.items()}
        if self._faults.split_ack:
            parts = [{"T": "subscription", channel: symbols} for channel, symbols in complete.items()]
            return Reply([payload for part in parts for payload in self.payloads([part])])
        messages: list[Message] = [{"T": "subscription", **complete}]
        if self._faults.late_ack and complete.get("quotes"):
            self.wire.sent += 1
            messages.insert(0, {"T": "q", "S": complete["quotes"][0], "bp": 1.0, "ap": 1.1})
        return Reply(self.payloads(messages))

    def _requested_channels(self, request: Message) -> Message:
        return {channel: symbols for channel, symbols in request.items() if channel != "action"}

    def _fault_in(self, channels: Message) -> int | None:
        if not set(channels) <= set(self._channels):
            return 410
        if not all(self._well_formed(symbols) for symbols in channels.values()):
            return 400
        if self._options and "*" in channels.get("quotes", ()):
            return 413
        return None

    def _well_formed(self, symbols: object) -> bool:
        pattern = OFFERS[self.endpoint.stream][1]
        return isinstance(symbols, list) and all(
            isinstance(symbol, str) and pattern.fullmatch(symbol) for symbol in symbols
        )

    def _granted(self, symbols: Sequence[str]) -> Sequence[str]:
        left_out = self._faults.partial_ack or 0
        return symbols[: max(0, len(symbols) - left_out)]

    def _exceeds_limit(self, subscription: Mapping[str, tuple[str, ...]]) -> bool:
        match self.endpoint.stream:
            case StreamName.OPTIONS:
                limit, used = self._limits.option_quotes, len(subscription["quotes"])
            case StreamName.STOCKS:
                limit, used = self._limits.stock_symbols, len(set().union(*subscription.values()))
            case _:
                return False
        return limit is not None and used > limit

    def _control(self, message: Message) -> Reply:
        return Reply(self.payloads([message]))

    def _error(self, code: int) -> Reply:
        return self._control({"T": "error", "code": code, "msg": ERRORS.get(code, "internal error")})


def _united(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


class TradingProtocol(ServerProtocol):
    """The account's endpoint: one JSON object a frame, in binary frames as the paper account sends them."""

    def open(self, key: str | None = None, secret: str | None = None) -> Reply:
        """Say nothing: here the client speaks first."""
        if key is not None and self._matches(key, secret):
            self.authenticated = True
        return self.silence

    def receive(self, message: bytes | str) -> Reply:
        """Answer an authentication (both forms) or `listen`; anything else ends the conversation."""
        request = self._decode(message)
        if not isinstance(request, dict):
            return self._fatal("invalid syntax")
        data = request.get("data")
        match request.get("action"):
            case "authenticate" if isinstance(data, dict):
                return self._authenticate(data.get("key_id"), data.get("secret_key"))
            case "auth":
                return self._authenticate(request.get("key"), request.get("secret"))
            case "listen" if isinstance(data, dict):
                return self._listen(data.get("streams"))
            case action:
                return self._fatal(f"unknown action {action!r}")

    def time_out(self) -> Reply:
        """An error message, then the end; a server that is silent by fault stays so."""
        if self._faults.silent_auth:
            return self.silence
        return self._fatal("auth timeout")

    def in_stream_error(self, code: int) -> Reply:
        """An error message as the account's endpoint words it; the server closes after it."""
        return self._fatal(ERRORS.get(code, "internal error"))

    def wants(self, message: Any) -> bool:  # noqa: ARG002 - every update goes to whoever listens
        """Whether the client listens."""
        return self.listening

    def payloads(self, messages: Sequence[Any], *, as_json_text: bool = False) -> list[Payload]:
        """Each in a frame of its own."""
        if as_json_text or self._faults.text_fills:
            return [Payload(TO_JSON(message), text=True) for message in messages]
        return [Payload(self._encode(message), text=False) for message in messages]

    def _authenticate(self, key: object, secret: object) -> Reply:
        if self._faults.silent_auth:
            return self.silence
        if self.authenticated:
            # A connection is one account's as long as it lasts: what was asked for is heard of no other.
            return self._fatal(ERRORS[403])
        if self._faults.auth_error is not None or not self._matches(key, secret):
            return self._authorization("unauthorized", "authenticate", "access key verification failed")
        self.authenticated = True
        return self._authorization("authorized", "authenticate")

    def _authorization(self, status: str, action: str, message: str | None = None) -> Reply:
        data = {"status": status, "action": action}
        if message is not None:
            data["message"] = message
        return self._say({"stream": "authorization", "data": data})

    def _listen(self, streams: object) -> Reply:
        if not self.authenticated:
            return self._authorization("unauthorized", "listen")
        if not isinstance(streams, list):
            return self._fatal("invalid syntax")
        if self._faults.subscribe_error is not None:
            return self.in_stream_error(self._faults.subscribe_error)
        if self._faults.no_ack:
            return self.silence
        # Absolute, not additive: an empty list ends the stream.
        known = [stream for stream in streams if stream == TRADE_UPDATES and not self._faults.partial_ack]
        self.subscription = {TRADE_UPDATES: ("*",)} if known else {}
        return self._say({"stream": "listening", "data": {"streams": known}})

    def _say(self, message: Message) -> Reply:
        return Reply(self.payloads([message]))

    def _fatal(self, message: str) -> Reply:
        error = {"action": "error", "data": {"error_message": message}}
        return Reply(self.payloads([error]), close_code=1000)


def protocol_for(endpoint: Endpoint, **arguments: Any) -> ServerProtocol:
    """The protocol that belongs to an endpoint."""
    kind = TradingProtocol if endpoint.stream is StreamName.FILLS else MarketDataProtocol
    return kind(endpoint, **arguments)
