"""Of what a change is told: the book, all on one underlying, or one entry; with what the day has made of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import Final

import numpy as np

from options_helper.analysis.risk.book_reading import entry_of
from options_helper.analysis.risk.book_values import BookFigures
from options_helper.analysis.risk.fill_costs import DayTrades
from options_helper.analysis.risk.readings import Reading

BOOK: Final = "b:"  # the others are "u:" with an underlying's symbol, and "e:" with an entry's id


def keys_of(reading: Reading, subject: str) -> frozenset[str] | None:
    """The keys of its lines, with those that were closed; None: of all."""
    kind, _, name = subject.partition(":")
    if subject == BOOK:
        return None
    if kind == "u":
        pairs = zip(reading.keys, reading.underlying.tolist(), strict=True)
        return frozenset(key for key, underlying in pairs if underlying == name)
    return frozenset(key for key in reading.keys if entry_of(key) == name)


@dataclass(frozen=True, slots=True)
class DayProfits:
    """What the day has made since the close of the session before, dollars by subject; None is "not known"."""

    of: Mapping[str, float | None]
    reasons: tuple[str, ...]  # sentences: why what is missing of the book's is missing


def day_profits(book: BookFigures, trades: DayTrades | None) -> DayProfits:
    """Those of a book and of the day's executions in it.

    An underlying's is with what was closed today; an entry's is of what it holds now.
    """
    of_underlying: dict[str, float | None] = {one.symbol: one.pnl_today for one in book.underlyings}
    if trades is not None:
        for symbol in trades.closed_underlyings:
            of_underlying.setdefault(symbol, 0.0)
        of_underlying = {
            symbol: _sum(dollars, trades.closed_of(symbol)) for symbol, dollars in of_underlying.items()
        }
    return DayProfits(
        of=MappingProxyType(
            {
                BOOK: book.profits.book_today,
                **{f"u:{symbol}": dollars for symbol, dollars in of_underlying.items()},
                **{f"e:{entry}": dollars for entry, dollars in book.profits.today.items()},
            }
        ),
        reasons=book.profits.today_reasons,
    )


def _sum(held: float | None, closed: float) -> float | None:
    return held + closed if held is not None and isfinite(closed) else None


def has_closed_line(reading: Reading, subject: str) -> bool:
    """Whether an entry had a line that it has no more: the day of the entry is then not that of all its lines."""
    keys = keys_of(reading, subject) if subject.startswith("e:") else frozenset()
    chosen = np.array([key in (keys or ()) for key in reading.keys], dtype=np.bool_)
    return bool(np.any(chosen & (reading.slope == 0) & (reading.fills > 0)))
