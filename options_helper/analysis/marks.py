"""Quotes and last trades → what things are worth now, from which event, and what speaks against each number.

Everything is in columns, one element for each line of a table: a thousand lines cost little more than ten. A number
that is not known is NaN, as pandas has it; a bid of zero is a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import inf
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from options_helper.model.account import Source
from options_helper.model.events import Quote, RestQuote, RestTrade, Trade
from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds

Numbers: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Integers: TypeAlias = NDArray[np.int64]


class MarkSource(StrEnum):
    """Which price a mark is; its age and its time are those of the same event."""

    MID = "mid"
    TRADE = "trade"
    # There is no other side, or the two are too far apart for a middle.
    BID = "bid"  # worth at least this
    ASK = "ask"  # worth at most this


class QuoteWarning(StrEnum):
    """Everything a table may say against a number, in the order in which it says it."""

    EXPIRED = "expired"
    EXPIRES_TODAY = "expires_today"
    LAST_TRADING_DAY = "last_trading_day"  # and it expires later
    SETTLED_AT_OPEN = "settled_at_open"  # so it was traded for the last time on the session before
    ADJUSTED_CONTRACT = "adjusted_contract"
    MISSING_LEGS = "missing_legs"
    IMPOSSIBLE_MARK = "impossible_mark"  # beyond what the structure can be worth
    NOT_SUBSCRIBED = "not_subscribed"
    REFUSED_SYMBOL = "refused_symbol"
    MISSING_QUOTE = "missing_quote"
    STALE_QUOTE = "stale_quote"
    DELAYED_PRICE = "delayed_price"
    CROSSED_MARKET = "crossed_market"
    LOCKED_MARKET = "locked_market"
    ONE_SIDED = "one_sided"
    ZERO_BID = "zero_bid"
    WIDE_SPREAD = "wide_spread"
    TOO_WIDE = "too_wide"  # for a middle
    NO_SIZE = "no_size"
    AFTER_HOURS = "after_hours"
    OTHER_SESSION = "other_session"
    MARK_FROM_TRADE = "mark_from_trade"
    STALE_TRADE = "stale_trade"
    NO_COST_BASIS = "no_cost_basis"
    QUANTITY_IN_DOUBT = "quantity_in_doubt"
    OTHER_SHARE = (
        "other_share"  # a split or the like moved it: neither quantity nor cost are in today's share
    )
    CHANGES_TODAY = "changes_today"  # by a split or the like that the account has not booked yet
    # These speak against the day's profit alone.
    TRADES_UNKNOWN = "trades_unknown"
    POSITION_MOVED = "position_moved"
    ACCOUNT_DIFFERS = "account_differs"
    SHARED_CONTRACT = "shared_contract"
    NO_PREVIOUS_CLOSE = "no_previous_close"
    UNLIKELY_CLOSE = "unlikely_close"
    FILE_BEHIND = "file_behind"

    @property
    def label(self) -> str:
        """The warning as a person writes it."""
        return self.value.replace("_", " ")


# Which of n lines each warning speaks against, as n flags. A warning that is not in it speaks against none.
Findings: TypeAlias = Mapping[QuoteWarning, Flags]

# An event that is older when it comes is not of now, however fresh its arrival. Feeds take a fraction of a second, and
# a clock here that is wrong by seconds is put right.
DELAYED_SECONDS: Final = 10
_DELAYED_NS: Final = DELAYED_SECONDS * NANOSECONDS
# One nickel tick is as narrow as many contracts can be quoted, whatever share of the price it is.
_NEVER_WIDE: Final = 0.05 + 1e-9
# From here on the sides support no middle: percent of it, and dollars that they are apart at least. One in 1,400 of
# the recorded contract quotes of a session is so wide, nearly all of them stubs (0.00 × 4.30).
_TOO_WIDE_CONTRACT: Final = (100.0, 0.5)  # the ask is more than three times the bid
_TOO_WIDE_SHARE: Final = (10.0, 0.1)
UNKNOWN_TIME: Final = np.iinfo(np.int64).min  # what datetime64 takes for "not a time"
_LAST_TIME: Final = np.iinfo(np.int64).max
_BY_CODE: Final = np.array([None, *MarkSource], dtype=object)
_VIAS: Final = {
    type(None): None,
    Quote: Source.STREAM,
    Trade: Source.STREAM,
    RestQuote: Source.REST,
    RestTrade: Source.REST,
}


@dataclass(frozen=True, slots=True)
class Marks:
    """One element for each line. Prices are dollars per share; `age` and `time_ns` are of the event of `price`."""

    bid: Numbers
    ask: Numbers
    last: Numbers
    price: Numbers
    source: NDArray[np.object_]  # MarkSource, or None beside a price that is not known
    via: NDArray[np.object_]  # Source of the same event, or None
    age: Numbers  # seconds since receipt
    time_ns: Integers  # exchange time, or the datetime64 value for none
    quote_age: Numbers
    findings: Findings

    @property
    def spread_pct(self) -> Numbers:
        """Ask less bid in percent of their middle; negative when crossed."""
        return 200.0 * (self.ask - self.bid) / (self.ask + self.bid)

    def natural(self, *, long: Flags) -> Numbers:
        """What closing now would fetch or cost: a long sells at the bid, a short buys at the ask.

        A crossed quote promises more than anybody would pay, so it says nothing.
        """
        return np.where(
            self.findings[QuoteWarning.CROSSED_MARKET], np.nan, np.where(long, self.bid, self.ask)
        )

    def is_wide(self, wide_spread_pct: float) -> Flags:
        """Where the spread is above the threshold and wider than one tick."""
        return (self.spread_pct > wide_spread_pct) & (self.ask - self.bid > _NEVER_WIDE)


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """The latest session that has begun, of each line, in epoch nanoseconds."""

    opens_ns: Integers
    # Options of some classes are traded longer, coins always. What is made at that instant is the closing quote.
    ends_ns: Integers


def read_marks(
    quotes: Sequence[Quote | None],
    trades: Sequence[Trade | None],
    *,
    is_option: Flags,
    as_of: datetime,
    short: Flags | None = None,
    hours: SessionTimes | None = None,
) -> Marks:
    """Mark each line by its quote and last trade.

    The mark is the middle of an uncrossed quote; else the last trade, where it is inside what is known of the quote;
    else the one side there is; else nothing. The zero bid of a contract is a real bid beside an ask. Zero on both
    sides is no quote, and a zero in a share's quote is a side without an order (one venue's book may have none).

    A quote whose sides are too far apart, behind which no order stands, or which was made after its contract's session
    supports no middle: then the trade of that session counts, else the side at which closing would be, the bid or for
    a `short` the ask, as a bound. `hours` are of the latest session; without them all quotes and trades are of it.
    """
    bid, ask = _sides(quotes, is_option)
    last = _prices(trade.price if trade is not None else None for trade in trades)
    last[last == 0] = np.nan
    of_quotes, of_trades = _times(quotes), _times(trades)
    late_quote = (
        np.zeros(len(bid), dtype=bool) if hours is None else is_option & (of_quotes.at > hours.ends_ns)
    )
    old_trade = np.zeros(len(bid), dtype=bool) if hours is None else of_trades.at < hours.opens_ns

    crossed = bid > ask
    too_wide = _is_too_wide(bid, ask, is_option)
    no_size = _lacks_size(quotes) & ~np.isnan(bid) & ~np.isnan(ask)
    is_weak = (bid <= ask) & (too_wide | no_size | late_quote)
    is_mid = (bid <= ask) & ~is_weak
    # A comparison with NaN is false: a side that is not known sets no bound, a crossed quote the same two.
    outside = np.where(crossed, (last < ask) | (last > bid), (last < bid) | (last > ask))
    # What was quoted after the session says nothing of a trade in it.
    is_trade = ~is_mid & (~outside | late_quote) & ~np.isnan(last) & ~((is_weak | late_quote) & old_trade)
    shorts = np.zeros(len(bid), dtype=bool) if short is None else short
    # "Worth at least nothing" says nothing.
    is_bid = ~is_mid & ~is_trade & (np.isnan(ask) | (is_weak & ~shorts)) & (bid > 0)
    is_ask = ~is_mid & ~is_trade & (np.isnan(bid) | (is_weak & shorts)) & ~np.isnan(ask)

    now_ns = epoch_nanoseconds(as_of) or 0
    code = is_mid * 1 + is_trade * 2 + is_bid * 3 + is_ask * 4
    events = [
        trade if n == 2 else quote if n else None
        for n, quote, trade in zip(code.tolist(), quotes, trades, strict=True)
    ]
    times = _chosen(code, of_quotes, of_trades)
    return Marks(
        bid=bid,
        ask=ask,
        last=last,
        price=np.choose(code, [np.nan, (bid + ask) / 2, last, bid, ask]),
        source=_BY_CODE[code],
        via=np.array([_VIAS[type(event)] for event in events], dtype=object),
        age=_ages(times.received, now_ns),
        time_ns=times.made,
        quote_age=_ages(of_quotes.received, now_ns),
        findings={
            QuoteWarning.MISSING_QUOTE: np.isnan(bid) & np.isnan(ask),
            QuoteWarning.CROSSED_MARKET: crossed,
            QuoteWarning.LOCKED_MARKET: bid == ask,
            QuoteWarning.ONE_SIDED: np.isnan(bid) ^ np.isnan(ask),
            QuoteWarning.ZERO_BID: bid == 0,
            QuoteWarning.TOO_WIDE: too_wide,
            QuoteWarning.NO_SIZE: no_size,
            QuoteWarning.MARK_FROM_TRADE: is_trade,
            QuoteWarning.DELAYED_PRICE: times.late,
            **_session_findings(times.at, hours),
        },
    )


def plain_middle(quote: Quote | None) -> float | None:
    """The middle of a share's quote against which nothing speaks; None: `read_marks` has to say what its price is.

    Without hours, that would say the same; of one quote arrays cost a hundred times as much.
    """
    bid, ask = believed_sides(quote)
    if quote is None or not bid or not ask or not 0 < bid <= ask < inf:
        return None
    percent, dollars = _TOO_WIDE_SHARE
    is_too_wide = 100 * (ask - bid) > percent * (ask + bid) / 2 and ask - bid > dollars + 1e-9
    return None if is_too_wide or quote.bid_size == 0 or quote.ask_size == 0 else (bid + ask) / 2


def believed_sides(quote: Quote | None) -> tuple[float | None, float | None]:
    """Bid and ask in dollars per share; None: not known, which both are where more is bid than asked."""
    if quote is None:
        return None, None
    bid, ask = quote.bid_price, quote.ask_price
    return (None, None) if bid is not None and ask and bid > ask else (bid, ask)


def believed_middle(quote: Quote | None) -> float | None:
    """Halfway between the sides of a share's quote; None where one is missing, or they are crossed."""
    bid, ask = believed_sides(quote)
    return (bid + ask) / 2 if bid and ask else None


def _is_too_wide(bid: Numbers, ask: Numbers, is_option: Flags) -> Flags:
    apart, middle = ask - bid, (ask + bid) / 2
    percent, dollars = (
        np.where(is_option, *pair) for pair in zip(_TOO_WIDE_CONTRACT, _TOO_WIDE_SHARE, strict=True)
    )
    return (100 * apart > percent * middle) & (apart > dollars + 1e-9)


def _lacks_size(quotes: Sequence[Quote | None]) -> Flags:
    """Where it is said that no order stands behind one of the prices; a size that is not said is not zero."""
    return np.array(
        [
            quote is not None
            and bool((quote.bid_size == 0 and quote.bid_price) or (quote.ask_size == 0 and quote.ask_price))
            for quote in quotes
        ],
        dtype=bool,
    )


@dataclass(frozen=True, slots=True)
class _Times:
    """When events were made and came, one element for each line, epoch nanoseconds."""

    made: Integers  # by the exchange's clock, or `UNKNOWN_TIME`
    received: Integers  # 0 for no event
    late: Flags  # made long before it came

    @property
    def at(self) -> Integers:
        """When each was made, or where that is not known, when it came; 0 for none."""
        return np.where(self.made == UNKNOWN_TIME, self.received, self.made)


def _times(events: Sequence[Quote | Trade | None]) -> _Times:
    """Read each event's time once: that is most of what a refresh costs."""
    received = [0 if event is None else event.received_ns for event in events]
    made = [None if event is None else event.timestamp_ns for event in events]
    return _Times(
        # The wire can carry times that no calendar has.
        np.array(
            [UNKNOWN_TIME if ns is None or not 0 <= ns <= _LAST_TIME else ns for ns in made], dtype=np.int64
        ),
        np.array(received, dtype=np.int64),
        np.array(
            [
                ns is not None and came - ns > DELAYED_SECONDS * NANOSECONDS
                for came, ns in zip(received, made, strict=True)
            ],
            dtype=np.bool_,
        ),
    )


def _chosen(code: Integers, of_quotes: _Times, of_trades: _Times) -> _Times:
    """The times of the event that each price is of."""
    is_trade, is_any = code == 2, code != 0
    made = np.where(is_trade, of_trades.made, of_quotes.made)
    received = np.where(is_trade, of_trades.received, of_quotes.received)
    late = np.where(is_trade, of_trades.late, of_quotes.late)
    return _Times(np.where(is_any, made, UNKNOWN_TIME), np.where(is_any, received, 0), is_any & late)


def _session_findings(made_ns: Integers, hours: SessionTimes | None) -> Findings:
    if hours is None:
        return {}
    known = made_ns > 0
    return {
        QuoteWarning.AFTER_HOURS: known & (made_ns > hours.ends_ns),
        QuoteWarning.OTHER_SESSION: known & (made_ns < hours.opens_ns),
    }


def _sides(quotes: Sequence[Quote | None], is_option: Flags) -> tuple[Numbers, Numbers]:
    bid = _prices(quote.bid_price if quote is not None else None for quote in quotes)
    ask = _prices(quote.ask_price if quote is not None else None for quote in quotes)
    ask[ask == 0] = np.nan
    bid[(bid == 0) & (~is_option | np.isnan(ask))] = np.nan
    return bid, ask


def _prices(values: Iterable[float | None]) -> Numbers:
    prices = np.array(list(values), dtype=np.float64)
    prices[~((prices >= 0) & (prices < np.inf))] = np.nan
    return prices


def _ages(received: Integers, now_ns: int) -> Numbers:
    """Seconds since each was received; NaN for none."""
    # An event may be received while the snapshot is taken: that is no age below zero.
    ages = np.maximum(now_ns - received, 0) / NANOSECONDS
    ages[received == 0] = np.nan
    return ages


_WARNINGS: Final = tuple(QuoteWarning)


def warning_lists(findings: Findings, count: int) -> list[list[QuoteWarning]]:
    """The warnings of each line, in the order of `QuoteWarning`."""
    lists: list[list[QuoteWarning]] = [[] for _ in range(count)]
    kinds = [warning for warning in _WARNINGS if warning in findings]
    if not kinds:
        return lists
    # One after the other by kind, and of one kind by line.
    found, lines = np.nonzero(np.array([findings[warning] for warning in kinds]))
    for kind, line in zip(found.tolist(), lines.tolist(), strict=True):
        lists[line].append(kinds[kind])
    return lists
