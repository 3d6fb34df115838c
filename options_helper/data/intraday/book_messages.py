"""The messages about an order book that a day's file was made of, put together again from its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from options_helper.data.intraday.book_rows import BookLevelRow, BookStart
from options_helper.data.intraday.contents import PartRows, rows_of
from options_helper.data.intraday.layout import PartitionKey, parts
from options_helper.data.intraday.rows import DATASET_OF
from options_helper.model.events import BookLevel


class BookMessage(NamedTuple):
    """One message, or what a file says in place of one: see `BookStart`. Times are epoch nanoseconds."""

    received_ns: int
    made_ns: int | None
    start: BookStart
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]  # a size of 0: the level is gone


def book_messages(root: Path, symbol: str, day: date) -> Iterator[BookMessage]:
    """Those of one symbol on one day by UTC, in the order of their receipt; a file is read bit by bit.

    Whoever applies them in order has the book at each moment, without the day before. Rows that cannot be read are left
    out, as `PartRows` does.
    """
    key = PartitionKey("books", DATASET_OF[BookLevelRow], symbol, day)
    for part in parts(root, key):
        yield from messages_in(part.path)


def messages_in(path: Path) -> Iterator[BookMessage]:
    """Those of one file."""
    rows = PartRows(path, DATASET_OF[BookLevelRow].columns)
    yield from _messages(dict(zip(rows.columns, row, strict=False)) for text in rows for row in rows_of(text))


def _messages(rows: Iterable[dict[str, str]]) -> Iterator[BookMessage]:
    for (received, _, start), group in groupby(rows, _message_of):
        levels = list(group)
        made = levels[0]["ts_ns"]
        yield BookMessage(
            int(received),
            int(made) if made else None,
            BookStart(start),
            _levels("bid", levels),
            _levels("ask", levels),
        )


def _message_of(row: dict[str, str]) -> tuple[str, str, str]:
    return row["recv_ns"], row["message"], row["reset"]


def _levels(side: str, rows: Iterable[dict[str, str]]) -> tuple[BookLevel, ...]:
    return tuple(BookLevel(float(row["price"]), float(row["size"])) for row in rows if row["side"] == side)
