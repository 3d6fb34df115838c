"""Which streams there are: a connection of an account with a provider, and what kind of thing comes over it.

A kind is a row: its hours, channels, feeds and labels stand here and nowhere else. How a connection is made and how its
frames are read belongs to the source that offers it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import ReprEnum, StrEnum, auto
from typing import Any, Final, Self

DEFAULT_PROVIDER: Final = "alpaca"
DEFAULT_ACCOUNT: Final = "default"
ACCOUNT_NAME_RULE: Final = (
    "a name has up to 40 small letters, digits, - and _, begins with a letter or a digit, "
    "and is neither all nor default"
)
# All of them together, and the only one where none is named.
_RESERVED: Final = frozenset({"all", DEFAULT_ACCOUNT})
_ACCOUNT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def is_account_name(text: str) -> bool:
    """Whether a user may call one of several accounts so."""
    return _ACCOUNT_NAME.fullmatch(text) is not None and text not in _RESERVED


class Hours(StrEnum):
    """When something is traded."""

    REGULAR = auto()  # the exchange's session
    OPTIONS = auto()  # the same, and a quarter of an hour more for contracts on some funds and indices
    NIGHT = auto()  # 20:00 to 4:00 before a trading day
    INDIA = auto()  # the session of NSE and BSE, for shares and contracts alike
    ALWAYS = auto()


@dataclass(frozen=True, slots=True)
class Feed:
    """One choice of where a stream's data come from."""

    name: str
    caveat: str | None = None  # what must be known of its prices for as long as they are shown
    hours: Hours | None = None  # where they are not the kind's own


@dataclass(frozen=True, slots=True)
class StreamKind:
    """What comes over a stream."""

    name: str
    label: str  # for people
    hours: Hours
    feeds: tuple[Feed, ...] = ()  # none: there is nothing to choose
    channels: tuple[str, ...] = ()  # none: it has no symbols, and is wanted or not
    carries_orders: bool = False  # the account's own: none may be lost, and they have no price
    silence_is_normal: bool = False  # things come when they come
    book_channel: str | None = None  # the one of the channels that brings order books

    def hours_of(self, feed: str) -> Hours:
        """When this feed moves; the kind's own hours for a feed that is not in the row."""
        return next((one.hours for one in self.feeds if one.name == feed and one.hours), self.hours)

    def caveat_of(self, feed: str) -> str | None:
        """What must be known of this feed's prices."""
        return next((one.caveat for one in self.feeds if one.name == feed), None)

    @property
    def feed_names(self) -> tuple[str, ...]:
        """The choices, in the order in which they are shown."""
        return tuple(feed.name for feed in self.feeds)


STOCKS: Final = StreamKind(
    "stocks",
    "Stocks",
    Hours.REGULAR,
    feeds=(
        Feed("iex", "IEX = not the national best"),
        Feed("sip"),
        Feed("delayed_sip", "delayed 15 min"),
        Feed("boats", "BOATS = one venue, at night", Hours.NIGHT),
        Feed("overnight", "overnight = indicative quotes, trades 15 min late", Hours.NIGHT),
        Feed("test", "test feed = invented prices", Hours.ALWAYS),
    ),
    channels=(
        "quotes",
        "trades",
        "bars",
        "updatedBars",
        "dailyBars",
        "statuses",
        "lulds",
        "corrections",
        "cancelErrors",
    ),
)
OPTIONS: Final = StreamKind(
    "options",
    "Options",
    Hours.OPTIONS,
    feeds=(Feed("indicative", "indicative = modelled quotes"), Feed("opra")),
    channels=("quotes", "trades"),
)
FILLS: Final = StreamKind("fills", "Fills", Hours.REGULAR, carries_orders=True, silence_is_normal=True)
CRYPTO: Final = StreamKind(
    "crypto",
    "Crypto",
    Hours.ALWAYS,
    # Where coins are traded; prices differ between them.
    feeds=(Feed("us"), Feed("us-1", "us-1 = Kraken"), Feed("eu-1", "eu-1 = Kraken in Europe")),
    channels=("quotes", "trades", "bars", "updatedBars", "dailyBars", "orderbooks"),
    book_channel="orderbooks",
)
NEWS: Final = StreamKind("news", "News", Hours.ALWAYS, channels=("news",), silence_is_normal=True)
# Of providers that send whole books of some levels; of Alpaca's there are none for shares and contracts. Breeze's are
# the only ones so far; another provider's feed brings hours of its own.
BOOKS: Final = StreamKind(
    "books",
    "Books",
    Hours.INDIA,
    feeds=(Feed("nse", "NSE and BSE, 5 levels"),),
    channels=("depth", "quotes"),
    book_channel="depth",
)


class StreamId(str):
    """One stream; as a text it is the key in journals, notes, heartbeats and metrics.

    Streams of the default provider and account are called by their kind alone ("stocks"), others in full
    ("breeze/main/books"). Ids with the same text are equal.
    """

    __slots__ = ("account", "kind", "provider")

    provider: str
    account: str
    kind: StreamKind

    def __new__(
        cls, kind: StreamKind, provider: str = DEFAULT_PROVIDER, account: str = DEFAULT_ACCOUNT
    ) -> Self:
        """The stream of that kind; of the default account unless said otherwise."""
        is_default = (provider, account) == (DEFAULT_PROVIDER, DEFAULT_ACCOUNT)
        made = str.__new__(cls, kind.name if is_default else f"{provider}/{account}/{kind.name}")
        made.provider, made.account, made.kind = provider, account, kind
        return made

    def __getnewargs__(self) -> tuple[StreamKind, str, str]:  # type: ignore[override]
        # A copy, also one in another process, is made of the parts and not of the text.
        return self.kind, self.provider, self.account

    @property
    def label(self) -> str:
        """Its name for people: "Stocks", "Fills (ira)", "Books (breeze, main)"."""
        label = self.kind.label
        if self == self.kind.name:
            return label
        owner = self.account if self.provider == DEFAULT_PROVIDER else f"{self.provider}, {self.account}"
        return f"{label} ({owner})"


class StreamName(StreamId, ReprEnum):
    """The streams of the default account: `StreamName("stocks")` finds one by its text."""

    STOCKS = STOCKS
    OPTIONS = OPTIONS
    FILLS = FILLS
    CRYPTO = CRYPTO
    NEWS = NEWS

    def __new__(cls, kind: Any) -> Self:  # of a member; what calls the class gives the text of one
        """A member's value is its text, as with any enumeration of texts."""
        member = StreamId.__new__(cls, kind)
        member._value_ = str(member)
        return member


def fills_of(account: str) -> StreamId:
    """The stream of an account's order updates; the default account's is called by its kind alone."""
    return StreamName.FILLS if account == DEFAULT_ACCOUNT else StreamId(FILLS, account=account)


_KINDS: Final = {kind.name: kind for kind in (STOCKS, OPTIONS, FILLS, CRYPTO, NEWS, BOOKS)}


def stream_named(text: str) -> StreamId:
    """The stream with this text, which a journal or a note has; ValueError where there is no such kind."""
    *owner, name = text.split("/")
    if name not in _KINDS or len(owner) not in (0, 2):
        raise ValueError(f"there is no stream {text!r}")
    return StreamId(_KINDS[name], *owner) if owner else StreamName(name)


# What a portfolio of shares and contracts needs: every snapshot tells of these, and of others while they are wanted.
PORTFOLIO_STREAMS: Final = (StreamName.STOCKS, StreamName.OPTIONS, StreamName.FILLS)


def portfolio_streams(account: str) -> tuple[StreamId, ...]:
    """The same with the fills of an account by its name."""
    return (StreamName.STOCKS, StreamName.OPTIONS, fills_of(account))
