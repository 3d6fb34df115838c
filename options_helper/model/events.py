"""Typed market-data events, named as the wire names them."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec.msgpack import Ext
from msgspec.structs import force_setattr

from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds, utc_datetime

# A float of the wire that is a number: the decoder refuses NaN and the infinities, at no cost.
Finite = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]

# How far an exchange's clock may be ahead of ours and still be believed.
AHEAD_AT_MOST_NS: Final = 60 * NANOSECONDS


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
    "status_code": "sc",
    "status_message": "sm",
    "reason_code": "rc",
    "reason_message": "rm",
    "limit_up_price": "u",
    "limit_down_price": "d",
    "indicator": "i",
    "bids": "b",
    "asks": "a",
    "reset": "r",
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
    def exchange_at(self) -> datetime | None:
        """Exchange time as a UTC datetime, cut to the microsecond; None when there was none, or none that can be."""
        made_ns = self.timestamp_ns
        try:
            return None if made_ns is None else utc_datetime(made_ns)
        except (ValueError, OverflowError, OSError):  # beyond the year 9999, or what the platform knows
            return None

    @property
    def received_at(self) -> datetime:
        """Receipt as a UTC datetime; for display, it cuts to the microsecond."""
        return utc_datetime(self.received_ns)

    def __repr__(self) -> str:
        """All fields, the wire's time as people write it."""
        made_at = self.exchange_at
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        shown["timestamp"] = None if made_at is None else made_at.isoformat()
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


class Quote(MarketEvent, frozen=True, gc=False, tag="q", kw_only=True):
    """Best bid and ask of one symbol, as the feed sent it; prices per share in dollars, sizes as sent."""

    bid_price: Finite | None = None
    bid_size: int | Finite | None = None
    bid_exchange: str | None = None
    ask_price: Finite | None = None
    ask_size: int | Finite | None = None
    ask_exchange: str | None = None
    # A list on the stock stream, one string on the option stream.
    conditions: list[str] | str | None = None
    tape: str | None = None


class Trade(MarketEvent, frozen=True, gc=False, tag="t", kw_only=True):
    """One print; option trades carry neither id nor tape."""

    price: Finite
    size: int | Finite | None = None
    exchange: str | None = None
    conditions: list[str] | str | None = None
    trade_id: int | None = None
    tape: str | None = None


class Bar(MarketEvent, frozen=True, gc=False, tag="b", kw_only=True):
    """One minute; `timestamp` is its start. Trade count and VWAP are optional on the wire."""

    open: Finite
    high: Finite
    low: Finite
    close: Finite
    volume: int | Finite | None = None
    trade_count: int | None = None
    vwap: Finite | None = None


class RestQuote(Quote, frozen=True, gc=False, tag="rest quote", kw_only=True):
    """A quote that was asked for; its receipt is the time the exchange made it, so its age is the quote's own.

    But where that lies ahead of its answer, which is its receipt then.
    """


class RestTrade(Trade, frozen=True, gc=False, tag="rest trade", kw_only=True):
    """A trade that was asked for; its receipt is that of a quote that was."""


class UpdatedBar(Bar, frozen=True, gc=False, tag="u", kw_only=True):
    """A minute bar sent again because a late trade changed it."""


class DailyBar(Bar, frozen=True, gc=False, tag="d", kw_only=True):
    """The day so far, sent every minute after the open."""


class TradeCorrection(MarketEvent, frozen=True, gc=False, tag="c", kw_only=True):
    """A print was restated; comes unasked with the trades channel."""

    original_trade_id: int | None = None
    corrected_trade_id: int | None = None
    corrected_price: Finite | None = None
    corrected_size: int | Finite | None = None
    corrected_conditions: list[str] | str | None = None
    exchange: str | None = None


class TradeCancel(MarketEvent, frozen=True, gc=False, tag="x", kw_only=True):
    """A print was withdrawn; comes unasked with the trades channel."""

    trade_id: int | None = None
    price: Finite | None = None
    size: int | Finite | None = None
    exchange: str | None = None


class TradingStatus(MarketEvent, frozen=True, gc=False, tag="s", kw_only=True):
    """Trading in one share was halted, paused or resumed; codes as the tape's plan (CTA or UTP) has them."""

    status_code: str | None = None
    status_message: str | None = None
    reason_code: str | None = None
    reason_message: str | None = None
    tape: str | None = None


class LimitBand(MarketEvent, frozen=True, gc=False, tag="l", kw_only=True):
    """Limit up and limit down: outside of these prices, in dollars, a share is not traded now."""

    limit_up_price: Finite | None = None
    limit_down_price: Finite | None = None
    indicator: str | None = None
    tape: str | None = None


class BookLevel(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """One price of an order book and all that is offered there; a size of 0 says that it is gone."""

    price: Finite
    size: Finite


class BookUpdate(MarketEvent, frozen=True, gc=False, tag="o", kw_only=True):
    """Levels of one order book that changed; with `reset`, the whole book, and what was known is void.

    Alpaca numbers these messages in no way and sends no checksum.
    """

    bids: list[BookLevel] = []
    asks: list[BookLevel] = []
    reset: bool = False


class News(MarketEvent, frozen=True, gc=False, tag="n", kw_only=True):
    """An article; `symbols` are those it is about, `symbol` is of no one. Texts as sent: `content` is HTML or empty."""

    symbol: str = "*"
    # When it was last changed, which is when it was made in the form that came.
    timestamp: Ext | str | int | None = msgspec.field(default=None, name="updated_at")
    created: Ext | str | int | None = msgspec.field(default=None, name="created_at")
    article_id: int = msgspec.field(name="id")
    headline: str | None = None
    summary: str | None = None
    author: str | None = None
    content: str | None = None
    url: str | None = None
    source: str | None = None
    symbols: list[str] | None = None


Event = (
    Quote
    | Trade
    | Bar
    | UpdatedBar
    | DailyBar
    | TradeCorrection
    | TradeCancel
    | TradingStatus
    | LimitBand
    | BookUpdate
    | News
)


def stamp(event: Event, received_ns: int) -> None:
    """Complete a freshly decoded event with its receipt; nobody else has seen it yet, so it stays frozen for all."""
    force_setattr(event, "received_ns", received_ns)


def is_older(event: MarketEvent, known: MarketEvent) -> bool:
    """Whether the exchange made `event` a second or more before `known`.

    Venues' clocks differ by milliseconds, so within a second the order of arrival stands. False where a time is
    missing, and where the known one is ahead of its own receipt: a time that cannot be must not freeze a symbol. What
    was asked for is no newer than its answer.
    """
    new_ns, known_ns = event.timestamp_ns, known.timestamp_ns
    if known_ns is not None and isinstance(known, RestQuote | RestTrade):
        known_ns = min(known_ns, known.received_ns)
    if new_ns is None or known_ns is None or known_ns > known.received_ns + AHEAD_AT_MOST_NS:
        return False
    return new_ns // NANOSECONDS < known_ns // NANOSECONDS
