"""The last books of a symbol, one for each interval, packed: a level takes 16 bytes and not 100."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from msgspec.structs import astuple

from options_helper.model.events import BookLevel
from options_helper.model.order_book import Book


@dataclass(frozen=True, slots=True)
class _Packed:
    """A book whose levels are one array: bids, then asks, each as price and size."""

    book: Book  # without levels
    bids: int
    numbers: array[float]

    def received_later(self, by_ns: int) -> _Packed:
        return replace(self, book=self.book.received_later(by_ns))

    def unpack(self) -> Book:
        pairs = tuple(map(BookLevel, self.numbers[::2], self.numbers[1::2]))
        return replace(self.book, bids=pairs[: self.bids], asks=pairs[self.bids :])


class BookHistory:
    """A ring of so many books, one for each interval of the receipt's clock in which there was something to tell.

    Nothing is filled in: an interval without a message has no book, and where one was lost stands a book that says so.
    """

    def __init__(self, *, interval_ns: int, size: int) -> None:
        self._interval_ns = interval_ns
        self._ring: deque[_Packed] = deque(maxlen=size)
        self._interval: int | None = None

    def is_due(self, now_ns: int) -> bool:
        """Whether the interval of this moment has no book yet; a clock that was set back begins a new one."""
        return now_ns // self._interval_ns != self._interval

    def add(self, book: Book, now_ns: int) -> None:
        """Keep this book as the one of its interval, beside what is kept of it already."""
        self._interval = now_ns // self._interval_ns
        numbers = array("d", [number for level in book.bids + book.asks for number in astuple(level)])
        self._ring.append(_Packed(replace(book, bids=(), asks=()), len(book.bids), numbers))

    def receive_later(self, by_ns: int) -> None:
        """Move the receipt of all of them."""
        self._ring = deque((packed.received_later(by_ns) for packed in self._ring), self._ring.maxlen)

    def newest(self, count: int) -> Sequence[Book]:
        """So many of the last books at most, newest first; ValueError for less than none."""
        if count < 0:
            raise ValueError(f"how many books to look back at is a number from 0 on, not {count}")
        return tuple(packed.unpack() for packed in islice(reversed(self._ring), count))

    def __len__(self) -> int:
        return len(self._ring)
