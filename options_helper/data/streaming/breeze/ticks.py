"""Breeze's ticks: what a journal keeps of each, and what is read of it.

A tick names its instrument by a number that the exchanges use again, so a journal would be read by the wrong list a
year later. What is queued and recorded is therefore the message as it came, with our symbol in front of it:
`NSE:RELIANCE 42["stock",["4.2!2885",1795764600,[[…]]]]`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from options_helper.data.streaming.messages import UNREADABLE, DecodedFrame
from options_helper.model.events import BookLevel, BookUpdate, Event, Quote
from options_helper.model.instants import NANOSECONDS

_TOKEN_AT: Final = len(b'42["stock",["')
_BEFORE_MESSAGE: Final = b" 42["
# How a tick that is about no book begins, behind that.
_OF_BEST_PRICES: Final = re.compile(rb'"stock"\s*,\s*\["\d+\.1!')
_DECODE: Final = msgspec.json.Decoder().decode
# Where the price and the size of each side stand in a level; BSE sends neither orders nor flags.
_PLACES: Final = {4: (0, 1, 2, 3), 8: (0, 1, 4, 5)}
_QUOTE_FIELDS: Final = (21, 23)  # of shares, of contracts
_LARGEST: Final = 1e15


def token_of(message: bytes) -> str:
    """By what number a tick names its instrument; empty where it names none."""
    end = message.find(b'"', _TOKEN_AT)
    return message[_TOKEN_AT:end].decode(errors="replace") if end > 0 else ""


def with_symbol(symbol: str, message: bytes) -> bytes:
    """What is queued and recorded of a tick."""
    return b"%b %b" % (symbol.encode(), message)


def decode_tick(payload: bytes) -> DecodedFrame:
    """The book or the quote in a recorded tick; never raises, and what it cannot read it rejects.

    A book is whole (`reset`), of five levels a side at most. Its time is the exchange's, in whole seconds; a quote's is
    not known, because what it carries is the time of the last trade.
    """
    symbol, _, message = payload.partition(_BEFORE_MESSAGE)
    try:
        _, content = _DECODE(b"[" + message)
        return DecodedFrame((_read(symbol.decode(), content),))
    except (*UNREADABLE, ValueError, TypeError, LookupError, AttributeError) as error:
        named = symbol.decode(errors="replace")
        # One without a symbol may have been anybody's, and costs no book: each comes whole with its own next tick.
        damaged = () if _OF_BEST_PRICES.match(message) else (named,)
        return DecodedFrame((), (f"unreadable tick for {named!r}: {error}",), damaged)


def _read(symbol: str, content: list[Any]) -> Event:
    kind = content[0].partition("!")[0].rpartition(".")[2]
    if kind == "2":
        return _book(symbol, *content[1:3])
    if kind == "1" and len(content) in _QUOTE_FIELDS:
        return _quote(symbol, content)
    raise ValueError(f"a tick of {len(content)} fields and kind {kind[:20]!r} is not known")


def _book(symbol: str, seconds: Any, rows: Sequence[Sequence[Any]]) -> BookUpdate:
    bids, asks = [], []
    for row in rows:
        bid, bid_size, ask, ask_size = (row[place] for place in _PLACES[len(row)])
        # A side with fewer orders than five prices is filled up with nothing.
        if (level := _level(bid, bid_size)) is not None:
            bids.append(level)
        if (level := _level(ask, ask_size)) is not None:
            asks.append(level)
    made_ns = int(_number(seconds) or 0) * NANOSECONDS
    return BookUpdate(symbol=symbol, timestamp=made_ns or None, bids=bids, asks=asks, reset=True)


def _level(price: Any, size: Any) -> BookLevel | None:
    known_price, known_size = _number(price), _number(size)
    return BookLevel(known_price, known_size) if known_price and known_size else None


def _quote(symbol: str, content: Sequence[Any]) -> Quote:
    bid, bid_size, ask, ask_size = map(_number, content[6:10])
    return Quote(symbol=symbol, bid_price=bid, bid_size=bid_size, ask_price=ask, ask_size=ask_size)


def _number(value: Any) -> float | None:
    """A price or a size; None where Breeze says none. ValueError for what is neither."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST:
        raise ValueError(f"{str(value)[:20]!r} is neither a price nor a size")
    return float(value)
