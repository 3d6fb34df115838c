"""Ask for the latest prices of what is streamed, so that a quiet symbol is not empty until its next quote.

One snapshot request brings quotes, trades and daily bars of a whole batch: no fewer requests are possible.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from math import isinf
from typing import Any, Final, TypeVar

from options_helper.data.rest.client import (
    OPTION_SYMBOLS_A_REQUEST,
    STOCK_SYMBOLS_A_REQUEST,
    AlpacaRest,
    batches,
)
from options_helper.data.rest.history import SYMBOLS_A_REQUEST, PastQuery, past_pages
from options_helper.errors import RestError
from options_helper.model.account import PreviousClose
from options_helper.model.events import Bar, RestQuote, RestTrade
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds, epoch_nanoseconds, utc_datetime
from options_helper.model.market_hours import NEW_YORK, new_york_date
from options_helper.model.risk_inputs import SessionClose, VendorGreeks
from options_helper.model.streams import StreamId, StreamName
from options_helper.model.tolerant import amount, field, items, word

# Feeds that are streamed and cannot be asked.
FEEDS_WITHOUT_REST: Final = frozenset({"test"})
# A coin that nobody has quoted for so long has no price of midnight.
_BEFORE_MIDNIGHT_NS: Final = 3_600 * NANOSECONDS
# How a server says that one of the symbols is none: it refuses them all.
SYMBOL_REFUSALS: Final = frozenset({400, 422})
# So many refusals of a batch of which nothing was answered are no symbol's fault: seven symbols at fault, wherever
# they stand, leave a piece that is answered before.
REFUSALS_AT_MOST: Final = 32

# Alpaca names one at a time.
_INVALID_SYMBOL: Final = re.compile(r"\binvalid symbol: *(.+)", re.IGNORECASE)

Snapshots = Mapping[str, Any]
E = TypeVar("E", RestQuote, RestTrade)


@dataclass(frozen=True, slots=True)
class SeedBatch:
    """What one answer brought; the events have the exchange's time as their receipt, so that their age is their own."""

    stream: StreamId
    requested: int  # symbols
    quotes: tuple[RestQuote, ...] = ()
    trades: tuple[RestTrade, ...] = ()
    closes: tuple[PreviousClose, ...] = ()
    newest_closes: tuple[
        PreviousClose, ...
    ] = ()  # of shares: of today's bar, or where there is none the last one's
    greeks: tuple[VendorGreeks, ...] = ()
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
    coins: Sequence[str] = (),
    coin_location: str = "",
) -> Iterator[SeedBatch]:
    """The latest prices of these symbols, batch by batch; `today` is New York's, and closes are of days before it.

    Of `coins`, pairs as `BTC/USD`, only what they were worth when today began. Raises RestError after everything that
    could be had; at once when nobody answers at all.
    """
    failed: RestError | None = None
    for batch_seeds in (
        _snapshots(StreamName.STOCKS, rest.stock_snapshots, stock_feed, stocks, today),
        _snapshots(StreamName.OPTIONS, rest.option_snapshots, options_feed, contracts, today),
        _coins_at_midnight(rest, coins, coin_location, today),
    ):
        try:
            yield from batch_seeds
        except RestError as error:
            if error.status is None:
                raise
            failed = failed or error
    if failed is not None:
        raise failed


def _snapshots(
    stream: StreamId,
    request: Callable[[Sequence[str], str], Snapshots],
    feed: str,
    symbols: Sequence[str],
    today: date,
) -> Iterator[SeedBatch]:
    if feed in FEEDS_WITHOUT_REST:
        return
    size = STOCK_SYMBOLS_A_REQUEST if stream is StreamName.STOCKS else OPTION_SYMBOLS_A_REQUEST
    yield from _batched(
        stream,
        lambda piece: request(piece, feed),
        batches(symbols, size),
        lambda piece, snapshots: read_snapshots(stream, piece, snapshots, today),
    )


def _coins_at_midnight(
    rest: AlpacaRest, pairs: Sequence[str], location: str, today: date
) -> Iterator[SeedBatch]:
    """What coins were worth when the day began, New York's as everybody's here: the end of their last minute before it.

    They have no session and no close. A daily bar of theirs ends at another hour, as Alpaca counts a coin's day.
    """
    midnight_ns = datetime_nanoseconds(datetime.combine(today, time(), NEW_YORK))

    def last_minutes(piece: Sequence[str]) -> Snapshots:
        query = PastQuery(
            kind="crypto",
            channel="bars",
            symbols=tuple(piece),
            since_ns=midnight_ns - _BEFORE_MIDNIGHT_NS,
            until_ns=midnight_ns,
            feed=location,
        )
        # In time, so the last one of a symbol stays.
        bars = [bar for page in past_pages(rest, query, midnight_ns) for bar in page.events]
        return {bar.symbol: bar for bar in bars if isinstance(bar, Bar)}

    def closes(piece: Sequence[str], bars: Snapshots) -> SeedBatch:
        known = [(pair, amount(bars[pair].close)) for pair in piece if pair in bars]
        yesterday = today - timedelta(days=1)
        found = (PreviousClose(pair, price, yesterday) for pair, price in known if price and price > 0)
        return SeedBatch(StreamName.CRYPTO, len(piece), closes=tuple(found))

    asked = batches(pairs, SYMBOLS_A_REQUEST["crypto"])
    yield from _batched(StreamName.CRYPTO, last_minutes, asked, closes)


def _batched(
    stream: StreamId,
    request: Callable[[Sequence[str]], Snapshots],
    asked: Iterable[Sequence[str]],
    read: Callable[[Sequence[str], Snapshots], SeedBatch],
) -> Iterator[SeedBatch]:
    """What is answered of each batch, without the symbols that are refused."""
    bisector = SymbolBisector(request)
    for batch in asked:
        for piece, snapshots in bisector.answers(batch):
            yield read(piece, snapshots)
        if refused := bisector.take_refused():
            said = tuple(f"{symbol}: {error}" for symbol, error in refused.items())
            yield SeedBatch(stream, len(refused), unreadable=said, refused=tuple(refused))
    bisector.raise_unexplained()


class SymbolBisector:
    """Asks for the batches of a stream, and takes the symbols out that are refused, so that they cost no other.

    A symbol is at fault when the server names it, or when it is refused alone while others are answered.
    """

    def __init__(self, request: Callable[[Sequence[str]], Snapshots]) -> None:
        self._request = request
        self._answered = False
        self._refused: dict[str, RestError] = {}
        self._refused_alone: dict[str, RestError] = {}
        self._unexplained: RestError | None = None

    def answers(self, batch: Sequence[str]) -> Iterator[tuple[Sequence[str], Snapshots]]:
        """What is answered, and of which symbols; raises whatever else than symbols is refused."""
        pieces = deque([batch])
        alone: dict[str, RestError] = {}
        refusals, allowed = 0, self._refusals_allowed()
        while pieces:
            # The smallest and the largest piece by turns, so that one free of faults is soon among them.
            piece = pieces.pop() if refusals % 2 else pieces.popleft()
            answer = self._answer(piece)
            if not isinstance(answer, RestError):
                self._answered, allowed = True, None
                yield piece, answer
            elif (named := _named(answer, piece)) is not None:
                self._refused[named] = answer
                pieces.extendleft(_without(named, piece))
            else:
                refusals += 1
                if allowed is not None and refusals > allowed:
                    self._unexplained = answer
                    return
                pieces.extendleft(_halves(piece))
                if len(piece) == 1:
                    alone[piece[0]] = answer
        self._refused_alone |= alone

    def take_refused(self) -> dict[str, RestError]:
        """The symbols that were found to be at fault since the last call, and what was said of them."""
        if self._answered:
            self._refused |= self._refused_alone
            self._refused_alone = {}
        taken, self._refused = self._refused, {}
        return taken

    def raise_unexplained(self) -> None:
        """Raise the refusal that is no known symbol's fault, if there was one."""
        error = self._unexplained or next(iter(self._refused_alone.values()), None)
        if error is not None:
            raise error

    def _refusals_allowed(self) -> int | None:
        """Of a batch of which nothing is answered; a server that refused all so far is not searched again."""
        return 0 if self._unexplained is not None and not self._answered else REFUSALS_AT_MOST

    def _answer(self, piece: Sequence[str]) -> Snapshots | RestError:
        try:
            return self._request(piece)
        except RestError as error:
            if error.status not in SYMBOL_REFUSALS:
                raise
            return error


def _named(refusal: RestError, symbols: Sequence[str]) -> str | None:
    """The symbol that the server names as none; None when it names none of these."""
    said = _INVALID_SYMBOL.search(str(refusal))
    if said is None:
        return None
    # The longest, because BRK begins BRK.B as well.
    named = [each for each in symbols if re.match(rf"{re.escape(each)}(?![A-Za-z0-9])", said[1])]
    return max(named, key=len, default=None)


def _without(symbol: str, symbols: Sequence[str]) -> list[list[str]]:
    rest = [each for each in symbols if each != symbol]
    return [rest] if rest else []


def _halves(symbols: Sequence[str]) -> list[Sequence[str]]:
    middle = len(symbols) // 2
    return [symbols[middle:], symbols[:middle]] if middle else []


def read_snapshots(stream: StreamId, symbols: Sequence[str], snapshots: Snapshots, today: date) -> SeedBatch:
    """What is said of these symbols; an odd value costs itself, and a symbol of which nothing is said is no fault."""
    quotes: list[RestQuote] = []
    trades: list[RestTrade] = []
    closes: list[PreviousClose] = []
    newest: list[PreviousClose] = []
    greeks: list[VendorGreeks] = []
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
        if stream is StreamName.STOCKS:
            newest += _closes(symbol, snapshot)
        if stream is StreamName.OPTIONS and (found := _greeks(symbol, snapshot)) is not None:
            greeks.append(found)
    return SeedBatch(
        stream,
        len(symbols),
        tuple(quotes),
        tuple(trades),
        tuple(closes),
        tuple(newest),
        tuple(greeks),
        tuple(unreadable),
    )


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
    known = [close for close in _closes(symbol, snapshot) if close.day < today]
    return max(known, key=lambda close: close.day, default=None)


def _closes(symbol: str, snapshot: Mapping[str, Any]) -> list[PreviousClose]:
    """Those of the bars that a snapshot has."""
    bars = (_close(symbol, snapshot.get(name)) for name in ("dailyBar", "prevDailyBar"))
    return [close for close in bars if close is not None]


def _close(symbol: str, bar: Any) -> PreviousClose | None:
    time_ns = _time_ns(bar)
    price = amount(field(bar, "c"))
    if time_ns is None or time_ns <= 0 or price is None or price <= 0:
        return None
    # A daily bar begins at midnight in New York.
    return PreviousClose(symbol, price, new_york_date(utc_datetime(time_ns)))


def session_closes(
    closes: Iterable[PreviousClose], read_at: datetime
) -> dict[tuple[str, date], SessionClose]:
    """Closes of newest bars by symbol and day, as they stood at a moment of the market's time."""
    return {
        (one.symbol, one.day): SessionClose(one.symbol, one.day, float(one.price), read_at) for one in closes
    }


def _greeks(symbol: str, snapshot: Mapping[str, Any]) -> VendorGreeks | None:
    """The vendor's own figures, holes among them; None where it gives none at all."""
    greeks = field(snapshot, "greeks")
    found = VendorGreeks(
        symbol,
        implied_volatility=_number(field(snapshot, "impliedVolatility")),
        delta=_number(field(greeks, "delta")),
        gamma=_number(field(greeks, "gamma")),
        theta=_number(field(greeks, "theta")),
        vega=_number(field(greeks, "vega")),
        rho=_number(field(greeks, "rho")),
    )
    if found == VendorGreeks(symbol):
        return None
    quoted_ns = _time_ns(field(snapshot, "latestQuote"))
    return replace(found, quoted_at=utc_datetime(quoted_ns)) if quoted_ns and quoted_ns > 0 else found


def _number(value: Any) -> float | None:
    number = amount(value)
    return None if number is None or isinf(float(number)) else float(number)


def _time_ns(part: Any) -> int | None:
    """The exchange's time; over plain HTTP it is text."""
    text = field(part, "t")
    return epoch_nanoseconds(text) if isinstance(text, str) else None


def _price(part: Mapping[str, Any], name: str) -> float | None:
    return _number(field(part, name))


def _size(part: Mapping[str, Any], name: str) -> int | float | None:
    size = _price(part, name)
    return int(size) if size is not None and size.is_integer() else size


def _conditions(value: Any) -> list[str] | str | None:
    """A list from a stock's side, one word from an option's."""
    return [text for each in items(value) if (text := word(each)) is not None] or word(value)
