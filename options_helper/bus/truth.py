"""What an owner says of itself, of the account and of the market beside the frames, as values and as bytes.

Each is one message that replaces the one before it, so whoever comes late needs the newest and no other.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from datetime import date
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec

from options_helper.decoders import msgpack_decoder
from options_helper.model.account import AccountState
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.clock_skew import ClockSkew
from options_helper.model.events import Bar, Quote, RestQuote, RestTrade, Trade, UpdatedBar
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds
from options_helper.model.market_hours import Session
from options_helper.model.news import Article
from options_helper.model.order_book import Book
from options_helper.model.order_updates import BlotterEntry
from options_helper.model.risk_inputs import (
    CorporateActions,
    DailyCloses,
    ExpiryChain,
    RiskInputs,
    SessionClose,
    VendorGreeks,
)
from options_helper.model.snapshot import LiveSnapshot, StreamHealth
from options_helper.model.streams import StreamId, stream_named

# Of one message of a picture, so that it is below what a server takes by default.
PICTURE_SYMBOLS: Final = 2_000
_COMPRESS_FROM: Final = 32 * 1024
_MOST_BYTES: Final = 64 * 1024 * 1024
_RAW, _DEFLATED = b"\0", b"\1"

AnyQuote = Quote | RestQuote
PictureEvent = Quote | RestQuote | Trade | RestTrade | Bar | UpdatedBar
T = TypeVar("T")


class Published(msgspec.Struct, frozen=True):
    """How far a stream was published: the owner's term, and its events so far, those of earlier owners too."""

    epoch: int
    events: int


class DeskHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The owner at one instant; `at_ns` and the times of `streams` are on its own clock, or on that of its market."""

    program: str
    host: str  # with the accounts, where there are several: programs of before show it, and one account
    pid: int
    computer: str = ""  # the host alone
    at_ns: int  # the owner's computer's clock
    as_of_ns: int = 0  # the same moment on the clock of `streams`; 0: an owner of before did not say
    epoch: int = 0  # its term
    market: MarketKind
    announcement: str | None = None  # what a simulator would say of its time at `at_ns`
    running: bool = False
    ended: bool = False  # it was asked to end, and has
    played_out: bool = False
    replay_of: MarketKind | None = None
    streams: dict[str, StreamHealth] = {}
    feeds: dict[str, str] = {}  # from its first word on; an owner of before says them with its streams only
    published: dict[str, Published] = {}
    unsendable: dict[str, int] = {}  # events in frames that the bus does not take, by stream
    picture_parts: int = 0
    clock_skew: ClockSkew | None = None
    told_sessions: dict[date, Session | None] = {}
    books: tuple[str, ...] = ()  # whose order books it streams
    # What the bus did not take of what else was to be told, and why: what is kept of that is of before.
    untold: dict[str, str] = {}
    # All that it serves, the desk's own the first; None: an owner of before has one account, and does not say which.
    accounts: tuple[str, ...] | None = None

    @property
    def where(self) -> str:
        """On which computer it is."""
        return self.computer or self.host

    def health_of(self, stream: StreamId) -> StreamHealth | None:
        """How a stream is at the owner; None where it has no such stream."""
        return self.streams.get(stream)

    def feed_of(self, stream: StreamId) -> str | None:
        """Of which feed a stream is, or would be; None where the owner has not said."""
        health = self.health_of(stream)
        return self.feeds.get(stream) or (None if health is None else health.feed) or None

    def tells_feed(self, stream: StreamId, epoch: int) -> bool:
        """Whether nothing more is to be expected of the feed of what was published in that term.

        The word of a later term comes yet; that of an earlier one was replaced by this.
        """
        if not self.epoch:
            return True  # an owner of before did not say its term
        return epoch < self.epoch or (epoch == self.epoch and self.feed_of(stream) is not None)

    def connected_for(self, stream: StreamId) -> float | None:
        """For how many seconds of the owner's it has been connected; None where it is not, or nobody said."""
        health = self.health_of(stream)
        if health is None or health.connected_since is None:
            return None
        played_ns = (self.as_of_ns or self.at_ns) - datetime_nanoseconds(health.connected_since)
        return max(0.0, played_ns / NANOSECONDS / (self._speed or 1.0))

    @property
    def _speed(self) -> float:
        """How fast the market's time passes that a simulator plays."""
        if self.announcement is None:
            return 1.0
        try:
            return Announcement.parse(self.announcement).speed
        except ValueError:
            return 1.0


class DeskAccount(msgspec.Struct, frozen=True):
    """What the account says, and what was filled, of one moment."""

    account: AccountState
    fills: tuple[BlotterEntry, ...]
    expiry_facts: ExpiryFacts
    name: str = ""  # of the account; an owner of before did not say


class DeskNews(msgspec.Struct, frozen=True):
    """The articles that are known."""

    articles: tuple[Article, ...]


class DeskBooks(msgspec.Struct, frozen=True):
    """The order books that the owner streams, as it shows them; their times are on its clock, or on its market's."""

    books: dict[str, Book]


class _Chain(msgspec.Struct, frozen=True):
    """An `ExpiryChain`, whose quotes may be such as were asked for."""

    underlying: str
    expiry: date
    read_at: Any
    quotes: dict[str, AnyQuote]
    spot: AnyQuote | None


class DeskRisk(msgspec.Struct, frozen=True):
    """`RiskInputs`, whose quotes may be such as were asked for, and whose keys are texts."""

    actions: dict[str, CorporateActions]
    closes: dict[str, DailyCloses]
    vendor_greeks: dict[str, VendorGreeks]
    session_closes: list[SessionClose]
    chains: dict[str, _Chain]
    partners: dict[str, AnyQuote]

    @classmethod
    def of(cls, inputs: RiskInputs) -> DeskRisk:
        """The same as it travels."""
        return cls(
            dict(inputs.actions),
            dict(inputs.closes),
            dict(inputs.vendor_greeks),
            list(inputs.session_closes.values()),
            {
                name: _Chain(one.underlying, one.expiry, one.read_at, dict(one.quotes), one.spot)
                for name, one in inputs.chains.items()
            },
            dict(inputs.partners),
        )

    @property
    def inputs(self) -> RiskInputs:
        """The same as the figures are computed from."""
        return RiskInputs(
            actions=self.actions,
            closes=self.closes,
            vendor_greeks=self.vendor_greeks,
            session_closes={(one.symbol, one.day): one for one in self.session_closes},
            chains={
                name: ExpiryChain(one.underlying, one.expiry, one.read_at, one.quotes, one.spot)
                for name, one in self.chains.items()
            },
            partners=self.partners,
        )


class Picture(msgspec.Struct, frozen=True):
    """The newest quote, trade and bar of some symbols, each with the moment of its own receipt at the owner."""

    events: list[PictureEvent]


def pictures(snapshot: LiveSnapshot, symbols: int = PICTURE_SYMBOLS) -> Iterator[Picture]:
    """All prices of a snapshot, so many symbols in each part; one that is empty where there are none."""
    caches: tuple[Mapping[str, Any], ...] = (snapshot.quotes, snapshot.trades, snapshot.bars)
    named = sorted(set().union(*caches))
    for first in range(0, max(1, len(named)), symbols):
        part = named[first : first + symbols]
        yield Picture([cache[symbol] for cache in caches for symbol in part if symbol in cache])


def encode(value: msgspec.Struct) -> bytes:
    """The bytes of a value of this module."""
    data = msgspec.msgpack.encode(value, enc_hook=_encoded)
    return _DEFLATED + zlib.compress(data, 1) if len(data) >= _COMPRESS_FROM else _RAW + data


def _decoded(kind: type, value: object) -> object:
    if issubclass(kind, StreamId):
        return stream_named(str(value))
    raise TypeError(f"{kind} does not travel")


def decode(data: bytes, kind: type[T]) -> T | None:
    """The value, None where these bytes are none of that kind; never raises."""
    try:
        plain = data[1:] if data[:1] == _RAW else _inflated(data)
        return msgpack_decoder(kind, _decoded).decode(plain)
    except (msgspec.MsgspecError, zlib.error, ValueError, OverflowError, RecursionError):
        return None


def _inflated(data: bytes) -> bytes:
    if data[:1] != _DEFLATED:
        raise ValueError("neither raw nor deflated")
    inflating = zlib.decompressobj()
    plain = inflating.decompress(data[1:], _MOST_BYTES)
    if not inflating.eof:
        raise ValueError("cut off, or too large")
    return plain


def _encoded(value: object) -> object:
    if isinstance(value, MappingProxyType):
        return dict(value)
    if isinstance(value, StreamId):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not travel")
