"""A file for each symbol with its order book as it stands, for programs that read files: `latest.json`.

It lies at `<root>/books/latest/<SYMBOL>/latest.json`, is replaced whole, once a second at most, and may be read by
anybody. Whoever reads it looks at `as_of` first: a recorder that was killed writes no more.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from options_helper.data.atomic_file import replace_file
from options_helper.data.intraday.layout import folder_name
from options_helper.model.events import BookLevel
from options_helper.model.order_book import Book

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 1.0
# In place of the state: whatever it was, nobody looks after it any more.
ENDED: Final = "ended"
_FOR_ALL: Final = 0o644


class LatestBooks:
    """Writes the files of one recording; for one thread."""

    def __init__(self, root: Path, source: str) -> None:
        self._folder = root / "books" / "latest"
        self._source = source
        self._written_at: datetime | None = None
        self._refused = False

    def write(self, books: Mapping[str, Book], as_of: datetime, market: str, *, ended: bool = False) -> None:
        """Write them all, unless that was done within the last second; `ended`: these are the last, and no more come.

        `market` says whose they are: alpaca, simulated, replay, local where that is not known, or another provider.
        A disk that refuses costs nothing but these files: it is logged once, and they grow old, which tells.
        """
        since = None if self._written_at is None else (as_of - self._written_at).total_seconds()
        # A clock that was set back is no reason to write nothing.
        if not ended and since is not None and 0 <= since < EVERY_SECONDS:
            return
        self._written_at = as_of
        try:
            for symbol, book in books.items():
                folder = self._folder / folder_name(symbol)
                folder.mkdir(parents=True, exist_ok=True)
                state = ENDED if ended else book.word(as_of)
                about = {"source": self._source, "market": market, "recording": not ended, "state": state}
                facts = {**about, **_facts(book, as_of)}
                data = msgspec.json.format(msgspec.json.encode(facts))
                replace_file(folder / "latest.json", data + b"\n", mode=_FOR_ALL)
        except OSError as error:
            if not self._refused:
                log.warning("the latest books cannot be written: %s", error)
            self._refused = True
        else:
            self._refused = False


def _facts(book: Book, as_of: datetime) -> dict[str, Any]:
    """A book as a program reads it; times in UTC, levels as price and size, best first."""
    return {
        "symbol": book.symbol,
        "stream": book.source,
        "as_of": as_of,
        "reason": book.reason or None,
        "age_seconds": book.age_seconds(as_of),
        "received_at": book.received_at,
        "exchange_at": book.exchange_at,
        "mid": book.mid,
        "microprice": book.microprice,
        "spread": book.spread,
        "bids": _pairs(book.bids),
        "asks": _pairs(book.asks),
        "bid_levels": book.bid_levels,
        "ask_levels": book.ask_levels,
    }


def _pairs(levels: Iterable[BookLevel]) -> list[tuple[float, float]]:
    return [(level.price, level.size) for level in levels]
