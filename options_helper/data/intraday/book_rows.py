"""The rows that order books are kept as: each level that a message set, and the best levels at a steady interval."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final

import msgspec
from msgspec.msgpack import Ext

from options_helper.data.intraday.pace import MOST_LEVELS
from options_helper.model.events import BookLevel


class BookStart(StrEnum):
    """With what a row begins the book anew; whatever was known of the symbol is void then."""

    NOT = ""  # it goes on
    FEED = "feed"  # the whole book, as the feed sent it
    CARRIED = "carried"  # the whole book, as it stood when the file began: no message of the feed
    LOST = "lost"  # nothing: what follows is no book until the next whole one


class BookLevelRow(msgspec.Struct, frozen=True, gc=False):
    """One level of one message; a message without levels is one row without side, price and size.

    `message` is its place in the frame: the rows of a symbol with the same receipt and place are one message.
    """

    symbol: str
    timestamp: Ext | str | int | None
    received_ns: int
    message: int | None  # None: no message of the feed
    start: BookStart
    side: str  # "bid", "ask", or "" in a row without a level
    price: float | None
    size: float | None  # 0: the level is gone


class BookSnapshotRow(msgspec.Struct, frozen=True, gc=False):
    """The best levels at one moment, `received_ns` of the computer's clock; none unless the book can be believed then.

    `timestamp` is the exchange's of the last message, `heard_ns` its receipt: the difference is the book's age. `state`
    is the book's, or `quiet` where that age is more than a book can be gone by.
    """

    LEVELS: ClassVar[int] = 0

    symbol: str
    timestamp: int | None
    received_ns: int
    heard_ns: int | None
    state: str
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]


class BookSnapshot5(BookSnapshotRow, frozen=True, gc=False):
    """Five levels of each side."""

    LEVELS = 5


class BookSnapshot10(BookSnapshotRow, frozen=True, gc=False):
    """Ten levels of each side."""

    LEVELS = 10


class BookSnapshot20(BookSnapshotRow, frozen=True, gc=False):
    """Twenty levels of each side."""

    LEVELS = 20


class BookSnapshot50(BookSnapshotRow, frozen=True, gc=False):
    """Fifty levels of each side."""

    LEVELS = MOST_LEVELS


# The columns of a file cannot depend on what is asked for today, so a few depths have files.
SNAPSHOTS: Final[tuple[type[BookSnapshotRow], ...]] = (
    BookSnapshot5,
    BookSnapshot10,
    BookSnapshot20,
    BookSnapshot50,
)


def snapshot_type(levels: int) -> type[BookSnapshotRow]:
    """The kind of row that holds so many levels: the smallest that does, or the largest."""
    return next((one for one in SNAPSHOTS if levels <= one.LEVELS), SNAPSHOTS[-1])
