"""What a terminal and the page show of an order book: its ladder, its depth, and how far it can be believed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, zip_longest
from typing import Final, NamedTuple

from options_helper.analysis.live_health import Level
from options_helper.model.events import BookLevel
from options_helper.model.order_book import QUIET, Book, BookState

_MOST_DECIMALS: Final = 8


class LadderRow(NamedTuple):
    """One step: the n-th best bid and ask, and all that is offered up to them. None where a side has no such level."""

    bid: BookLevel | None
    bid_total: float
    ask: BookLevel | None
    ask_total: float


class DepthPoint(NamedTuple):
    """So much is bid for, or offered, down or up to a price."""

    side: str  # bid, ask
    price: float
    total: float


@dataclass(frozen=True, slots=True)
class Trust:
    """How far a book can be believed now, in a word, a sentence and a level."""

    level: Level
    word: str
    sentence: str


def ladder(book: Book, levels: int) -> tuple[LadderRow, ...]:
    """The best levels, best first."""
    bids, asks = book.bids[:levels], book.asks[:levels]
    sides = zip_longest(bids, _totals(bids), asks, _totals(asks))
    return tuple(
        LadderRow(bid, bid_total or 0.0, ask, ask_total or 0.0) for bid, bid_total, ask, ask_total in sides
    )


def depth_points(book: Book, levels: int) -> tuple[DepthPoint, ...]:
    """The steps of a depth chart, from the lowest bid to the highest ask."""
    bids = [
        DepthPoint("bid", level.price, total)
        for level, total in zip(book.bids[:levels], _totals(book.bids[:levels]), strict=True)
    ]
    asks = [
        DepthPoint("ask", level.price, total)
        for level, total in zip(book.asks[:levels], _totals(book.asks[:levels]), strict=True)
    ]
    return (*reversed(bids), *asks)


def _totals(levels: Sequence[BookLevel]) -> list[float]:
    return list(accumulate(level.size for level in levels))


def trust(book: Book | None, as_of: datetime) -> Trust:
    """How far a book can be believed at that moment; None: nothing has come for the symbol."""
    if book is None:
        return Trust(Level.INFO, "waiting", "Nothing has come for it yet.")
    age = book.age_seconds(as_of)
    match book.state:
        case BookState.SYNCED if age is not None and book.is_quiet(as_of):
            sentence = (
                f"Nothing has come for it for {age:,.0f} s: a quiet market and a dead feed look the same."
            )
            return Trust(Level.WARNING, QUIET, sentence)
        case BookState.SYNCED:
            return Trust(Level.OK, "synced", "")
        case BookState.WAITING:
            return Trust(Level.INFO, "waiting", book.reason or "The whole book has not come yet.")
        case BookState.CROSSED | BookState.UNSURE:
            return Trust(Level.WARNING, str(book.state), book.reason)
        case BookState.LOST:
            return Trust(Level.ERROR, "lost", book.reason)


def spread_words(book: Book) -> str | None:
    """The spread in the price's unit and in basis points of the mid; None while a side is empty."""
    if (spread := book.spread) is None:
        return None
    # Differences of floats have digits that no price has.
    words = f"{spread:,.{price_decimals(book)}f}"
    return words if book.mid is None else f"{words} ({spread / book.mid * 10_000:,.2f} bp)"


def price_decimals(book: Book) -> int:
    """How many decimals show each of its prices whole; the same for all of them, so that they stand in line."""
    return _decimals(level.price for level in (*book.bids, *book.asks))


def size_decimals(book: Book) -> int:
    """The same of its sizes."""
    return _decimals(level.size for level in (*book.bids, *book.asks))


def _decimals(numbers: Iterable[float]) -> int:
    texts = (f"{number:.{_MOST_DECIMALS}f}".rstrip("0") for number in numbers)
    return max((len(text.partition(".")[2]) for text in texts), default=0)
