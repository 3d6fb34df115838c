"""An order book as it stood at one moment, and what can be read from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from options_helper.model.events import BookLevel
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds, utc_datetime

# For so long nothing may come for a symbol before that is said; it is the age that `latest_book` allows.
QUIET_AFTER_SECONDS: Final = 5.0
# The word for it, beside those of the states: a quiet market and a dead feed look the same.
QUIET: Final = "quiet"
# The source of a book that no stream brought.
REST: Final = "rest"


class BookState(StrEnum):
    """How far a book can be believed."""

    WAITING = "waiting"  # no whole book came since the subscription: what changes in it means nothing yet
    SYNCED = "synced"
    CROSSED = (
        "crossed"  # somebody bids as much as is asked, or more: a change is missing, or comes any moment
    )
    UNSURE = "unsure"  # a part of it was lost, or REST says otherwise: asked for anew
    LOST = "lost"  # its stream is not connected

    @property
    def has_levels(self) -> bool:
        """Whether the book can be looked at, with its state beside it."""
        return self in (BookState.SYNCED, BookState.CROSSED)


@dataclass(frozen=True, slots=True)
class BookCounts:
    """What happened to one symbol's book in this run."""

    messages: int = 0
    late: int = 0  # of the messages: made before the one that came before; applied all the same
    unapplied: int = 0  # of the messages: changes that came while no whole book was known
    resyncs: int = 0  # how often it was subscribed anew, for a whole book
    verified: int = 0  # comparisons with REST that found nothing
    differed: int = 0  # those that found something


@dataclass(frozen=True, slots=True)
class Book:
    """One symbol's order book, best prices first; prices in the quote's currency, sizes as the provider sends them.

    It may hold fewer levels than there are: `bid_levels` and `ask_levels` count all. Times are epoch nanoseconds:
    receipt of the symbol's last message and when the exchange made it, None where none came; `since_ns` is when the
    state began. All of them are on the snapshot's clock, but for the exchange's own.
    """

    symbol: str
    state: BookState
    source: str  # the stream's text, or `REST`
    bids: tuple[BookLevel, ...] = ()
    asks: tuple[BookLevel, ...] = ()
    bid_levels: int = 0
    ask_levels: int = 0
    received_ns: int | None = None
    made_ns: int | None = None
    since_ns: int | None = None
    reason: str = ""  # why it is not synced, as a sentence
    counts: BookCounts = BookCounts()

    @property
    def received_at(self) -> datetime | None:
        """Receipt of its last message, UTC."""
        return None if self.received_ns is None else utc_datetime(self.received_ns)

    @property
    def exchange_at(self) -> datetime | None:
        """When the exchange made its last message, UTC, cut to the microsecond."""
        return None if self.made_ns is None else utc_datetime(self.made_ns)

    def received_later(self, by_ns: int) -> Book:
        """The same, received so much later and as long in its state."""
        return replace(
            self,
            received_ns=None if self.received_ns is None else self.received_ns + by_ns,
            since_ns=None if self.since_ns is None else self.since_ns + by_ns,
        )

    @property
    def is_from_rest(self) -> bool:
        """Whether it is REST's, shown until the stream's own comes; its receipt is then the exchange's own time."""
        return self.source == REST

    def age_seconds(self, as_of: datetime) -> float | None:
        """How long nothing has come for this symbol; None where nothing ever did. Silence is not freshness."""
        if self.received_ns is None:
            return None
        return (datetime_nanoseconds(as_of) - self.received_ns) / NANOSECONDS

    def is_quiet(self, as_of: datetime) -> bool:
        """Whether nothing has come for it for longer than a book can be gone by, though it can be looked at."""
        age = self.age_seconds(as_of)
        return self.state.has_levels and age is not None and age > QUIET_AFTER_SECONDS

    def word(self, as_of: datetime) -> str:
        """Its state at that moment, or `quiet`: what is old is never called synced."""
        return QUIET if self.is_quiet(as_of) else str(self.state)

    def why_not(self, as_of: datetime, max_age_seconds: float) -> str | None:
        """Why it is nothing to go by at that moment, as a sentence; None where it is."""
        if not self.state.has_levels:
            return f"The order book of {self.symbol} is {self.state}. {self.reason}".rstrip()
        age = self.age_seconds(as_of)
        if age is None or age > max_age_seconds:
            told = "of unknown age" if age is None else f"{age:.1f} s old"
            return f"The last message of {self.symbol} is {told}, and {max_age_seconds:g} s are allowed."
        return None

    @property
    def best_bid(self) -> BookLevel | None:
        """The highest bid."""
        return self.bids[0] if self.bids else None

    @property
    def best_ask(self) -> BookLevel | None:
        """The lowest ask."""
        return self.asks[0] if self.asks else None

    @property
    def is_crossed(self) -> bool:
        """Whether the best bid is as high as the best ask or higher, which no market leaves so."""
        return bool(self.bids and self.asks) and self.bids[0].price >= self.asks[0].price

    @property
    def spread(self) -> float | None:
        """Best ask less best bid; None while a side is empty, negative while it is crossed."""
        return self.asks[0].price - self.bids[0].price if self.bids and self.asks else None

    @property
    def mid(self) -> float | None:
        """Halfway between bid and ask; None while a side is empty or the book is crossed."""
        if not (self.bids and self.asks) or self.is_crossed:
            return None
        return (self.bids[0].price + self.asks[0].price) / 2

    @property
    def microprice(self) -> float | None:
        """The mid weighted by the other side's size: (bid * ask size + ask * bid size) / (bid size + ask size).

        It leans to the side that is about to give way (Stoikov 2018). None where there is no mid.
        """
        if self.mid is None:
            return None
        bid, ask = self.bids[0], self.asks[0]
        return (bid.price * ask.size + ask.price * bid.size) / (bid.size + ask.size)

    def imbalance(self, levels: int = 1) -> float | None:
        """(bid size - ask size) / (bid size + ask size) of the best levels, -1 to 1; None while a side is empty.

        ValueError for fewer levels than one.
        """
        if levels < 1:
            raise ValueError(f"an imbalance is that of one level or more, not of {levels}")
        if not (self.bids and self.asks):
            return None
        bid, ask = self.bid_size(levels), self.ask_size(levels)
        return (bid - ask) / (bid + ask)

    def bid_size(self, levels: int) -> float:
        """What is bid for at the best levels together; of those it holds. ValueError for no level at all."""
        _require_levels(levels)
        return sum(level.size for level in self.bids[:levels])

    def ask_size(self, levels: int) -> float:
        """What is offered at the best levels together; of those it holds. ValueError for no level at all."""
        _require_levels(levels)
        return sum(level.size for level in self.asks[:levels])

    def sizes_within(self, fraction: float) -> tuple[float, float] | None:
        """Bid and ask size no further from the mid than this fraction of it; None without a mid.

        Also None where the levels that it holds end before that, and there are more. ValueError for less than 0.
        """
        if not fraction >= 0:
            raise ValueError(f"a distance from the mid is a fraction of it, 0 or more, not {fraction}")
        if (mid := self.mid) is None:
            return None
        lowest, highest = mid * (1 - fraction), mid * (1 + fraction)
        if self._hides_bids and self.bids[-1].price >= lowest:
            return None
        if self._hides_asks and self.asks[-1].price <= highest:
            return None
        return (
            sum(level.size for level in self.bids if level.price >= lowest),
            sum(level.size for level in self.asks if level.price <= highest),
        )

    @property
    def _hides_bids(self) -> bool:
        return self.bid_levels > len(self.bids)

    @property
    def _hides_asks(self) -> bool:
        return self.ask_levels > len(self.asks)

    def price_to_buy(self, size: float) -> float | None:
        """Average price that a market order to buy `size` would pay now; None where the levels held are not enough.

        ValueError for a size that is not more than 0.
        """
        return _average_price(self.asks, size)

    def price_to_sell(self, size: float) -> float | None:
        """Average price that a market order to sell `size` would get now; None where the levels held are not enough.

        ValueError for a size that is not more than 0.
        """
        return _average_price(self.bids, size)

    def best(self, levels: int | None) -> Book:
        """The same with so many levels of each side at most; None for all."""
        if levels is None or max(len(self.bids), len(self.asks)) <= levels:
            return self
        return replace(self, bids=self.bids[:levels], asks=self.asks[:levels])


def _require_levels(levels: int) -> None:
    if levels < 1:
        raise ValueError(f"sizes are those of one level or more, not of {levels}")


def _average_price(levels: Sequence[BookLevel], size: float) -> float | None:
    """What the best levels cost for each piece, walked until the size is filled."""
    if not size > 0:
        raise ValueError(f"a size to fill is more than 0, not {size}")
    left, paid = size, 0.0
    for level in levels:
        taken = min(left, level.size)
        paid += taken * level.price
        left -= taken
        if left <= 0:
            return paid / size
    return None
