"""Ask for the latest prices of what is streamed, so that a quiet symbol is not empty until its next quote.

One snapshot request brings quotes, trades and daily bars of a whole batch: no fewer requests are possible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import isinf
from typing import Any, Final, TypeVar

from options_helper.data.account import PreviousClose
from options_helper.data.alpaca_rest import (
    OPTION_SYMBOLS_A_REQUEST,
    STOCK_SYMBOLS_A_REQUEST,
    AlpacaRest,
    batches,
)
from options_helper.data.market_hours import new_york_date
from options_helper.data.streaming.events import (
    RestQuote,
    RestTrade,
    StreamName,
    epoch_nanoseconds,
    utc_datetime,
)
from options_helper.data.tolerant import amount, field, items, word
from options_helper.errors import RestError

# Feeds that are streamed and cannot be asked.
FEEDS_WITHOUT_REST: Final = frozenset({"test"})
# How a server says that one of the symbols is none: it refuses them all.
SYMBOL_REFUSALS: Final = frozenset({400, 422})
# Two symbols at fault in a batch of a hundred take about this many requests to find; then it is no symbol's fault.
REFUSALS_AT_MOST: Final = 16

Snapshots = Mapping[str, Any]
E = TypeVar("E", RestQuote, RestTrade)


@dataclass(frozen=True, slots=True)
class SeedBatch:
    """What one answer brought; the events have the exchange's time as their receipt, so that their age is their own."""

    stream: StreamName
    asked: int  # symbols
    quotes: tuple[RestQuote, ...] = ()
    trades: tuple[RestTrade, ...] = ()
    closes: tuple[PreviousClose, ...] = ()
    unreadable: tuple[str, ...] = ()  # a sentence each
    refused: tuple[str, ...] = ()  # symbols that the server does not know


def seed(
    rest: AlpacaRest,
    stocks: Sequence[str],
    contracts: Sequence[str],
    *,
    stock_feed: str,
    options_feed: str,
    today: date,
) -> Iterator[SeedBatch]:
    """The latest prices of these symbols, batch by batch; `today` is New York's, and closes are of days before it.

    Raises RestError after everything that could be had; at once when nobody answers at all.
    """
    failed: RestError | None = None
    for batch_seeds in (
        _seed(StreamName.STOCKS, rest.stock_snapshots, stock_feed, stocks, today),
        _seed(StreamName.OPTIONS, rest.option_snapshots, options_feed, contracts, today),
    ):
        try:
            yield from batch_seeds
        except RestError as error:
            if error.status is None:
                raise
            failed = failed or error
    if failed is not None:
        raise failed


def _seed(
    stream: StreamName,
    ask: Callable[[Sequence[str], str], Snapshots],
    feed: str,
    symbols: Sequence[str],
    today: date,
) -> Iterator[SeedBatch]:
    if feed in FEEDS_WITHOUT_REST:
        return
    size = STOCK_SYMBOLS_A_REQUEST if stream is StreamName.STOCKS else OPTION_SYMBOLS_A_REQUEST
    waiting = deque(batches(symbols, size))
    refusals = 0
    while waiting:
        batch = waiting.popleft()
        try:
            snapshots = ask(batch, feed)
        except RestError as error:
            refusals += 1
            if error.status not in SYMBOL_REFUSALS or refusals > REFUSALS_AT_MOST:
                raise
            if len(batch) == 1:
                yield SeedBatch(stream, 1, unreadable=(f"{batch[0]}: {error}",))
            else:
                # The symbol at fault must not cost the others: in halves, until it stands alone.
                middle = len(batch) // 2
                waiting.extendleft((batch[middle:], batch[:middle]))
            continue
        yield read_snapshots(stream, batch, snapshots, today)


def read_snapshots(
    stream: StreamName, symbols: Sequence[str], snapshots: Snapshots, today: date
) -> SeedBatch:
    """What is said of these symbols; an odd value costs itself, and a symbol of which nothing is said is no fault."""
    quotes: list[RestQuote] = []
    trades: list[RestTrade] = []
    closes: list[PreviousClose] = []
    unreadable: list[str] = []
    for symbol in symbols:
        snapshot = snapshots.get(symbol)
        if snapshot is None:
            continue
        if not isinstance(snapshot, Mapping):
            unreadable.append(f"{symbol}: its snapshot is no map and is left out.")
            continue
        quotes += _part(snapshot, "latestQuote", symbol, _quote, unreadable)
        trades += _part(snapshot, "latestTrade", symbol, _trade, unreadable)
        if (close := _previous_close(symbol, snapshot, today)) is not None:
            closes.append(close)
    return SeedBatch(stream, len(symbols), tuple(quotes), tuple(trades), tuple(closes), tuple(unreadable))


def _part(
    snapshot: Mapping[str, Any],
    name: str,
    symbol: str,
    read: Callable[[str, Any, int], E | None],
    unreadable: list[str],
) -> list[E]:
    """The one event that this part of a snapshot makes, if anything was ever quoted or traded."""
    part = snapshot.get(name)
    if not part:
        return []
    time_ns = _time_ns(part)
    if time_ns is None:
        unreadable.append(f"{symbol}: its {name} has no time that can be read and is left out.")
        return []
    # Alpaca writes the year 1 where there has been none.
    if time_ns <= 0:
        return []
    event = read(symbol, part, time_ns)
    if event is None:
        unreadable.append(f"{symbol}: its {name} has no price that can be read and is left out.")
        return []
    return [event]


def _quote(symbol: str, part: Mapping[str, Any], time_ns: int) -> RestQuote | None:
    bid, ask = _price(part, "bp"), _price(part, "ap")
    if bid is None and ask is None:
        return None
    return RestQuote(
        symbol=symbol,
        timestamp=time_ns,
        received_ns=time_ns,
        bid_price=bid,
        bid_size=_size(part, "bs"),
        bid_exchange=word(field(part, "bx")),
        ask_price=ask,
        ask_size=_size(part, "as"),
        ask_exchange=word(field(part, "ax")),
        conditions=_conditions(field(part, "c")),
        tape=word(field(part, "z")),
    )


def _trade(symbol: str, part: Mapping[str, Any], time_ns: int) -> RestTrade | None:
    price = _price(part, "p")
    if price is None:
        return None
    trade_id = field(part, "i")
    return RestTrade(
        symbol=symbol,
        timestamp=time_ns,
        received_ns=time_ns,
        price=price,
        size=_size(part, "s"),
        exchange=word(field(part, "x")),
        conditions=_conditions(field(part, "c")),
        trade_id=trade_id if type(trade_id) is int else None,
        tape=word(field(part, "z")),
    )


def _previous_close(symbol: str, snapshot: Mapping[str, Any], today: date) -> PreviousClose | None:
    """The close of the newest day before today; before the open, that is still the one called the daily bar."""
    known = [
        close
        for name in ("dailyBar", "prevDailyBar")
        if (close := _close(symbol, snapshot.get(name))) is not None and close.day < today
    ]
    return max(known, key=lambda close: close.day, default=None)


def _close(symbol: str, bar: Any) -> PreviousClose | None:
    time_ns = _time_ns(bar)
    price = amount(field(bar, "c"))
    if time_ns is None or time_ns <= 0 or price is None or price <= 0:
        return None
    # A daily bar begins at midnight in New York.
    return PreviousClose(symbol, price, new_york_date(utc_datetime(time_ns)))


def _time_ns(part: Any) -> int | None:
    """The exchange's time; over plain HTTP it is text."""
    text = field(part, "t")
    return epoch_nanoseconds(text) if isinstance(text, str) else None


def _price(part: Mapping[str, Any], name: str) -> float | None:
    price = amount(field(part, name))
    return None if price is None or isinf(float(price)) else float(price)


def _size(part: Mapping[str, Any], name: str) -> int | float | None:
    size = _price(part, name)
    return int(size) if size is not None and size.is_integer() else size


def _conditions(value: Any) -> list[str] | str | None:
    """A list from a stock's side, one word from an option's."""
    return [text for each in items(value) if (text := word(each)) is not None] or word(value)
