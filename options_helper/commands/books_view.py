"""What a terminal shows of order books at one moment, as text: lines for a pipe, tables for a screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from options_helper.analysis.book_ladder import (
    LadderRow,
    Trust,
    ladder,
    price_decimals,
    size_decimals,
    spread_words,
    trust,
)
from options_helper.analysis.live_health import Level
from options_helper.model.events import BookLevel
from options_helper.model.order_book import Book
from options_helper.model.snapshot import StreamHealth
from options_helper.model.text import format_count

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_COLOURS: Final = {Level.OK: "green", Level.INFO: "cyan", Level.WARNING: "yellow", Level.ERROR: "bold red"}
_BAR_CELLS: Final = 8


@dataclass(frozen=True, slots=True)
class BooksView:
    """The books of some symbols at one moment; `truth` says whose they are and what was lost, in a line."""

    as_of: datetime
    symbols: tuple[str, ...]
    books: Mapping[str, Book]
    truth: str
    refused: Mapping[str, str] = field(default_factory=dict)  # why, of each symbol that was

    def trust(self, symbol: str) -> Trust:
        """How far its book can be believed now."""
        if (reason := self.refused.get(symbol)) is not None:
            return Trust(Level.ERROR, "refused", reason)
        return trust(self.books.get(symbol), self.as_of)


def truth_words(health: StreamHealth, source: str, as_of: datetime) -> str:
    """Whose books these are, how the stream is, how old its last event, and what of it was lost."""
    age = None if health.last_event_at is None else (as_of - health.last_event_at).total_seconds()
    facts = [
        source,
        str(health.phase),
        "nothing yet" if age is None else f"last message {age:.1f} s ago",
        f"{format_count(health.received, 'message')}, {health.dropped:,} dropped, {health.rejected:,} rejected",
        format_count(health.gap_count, "gap"),
    ]
    if health.last_error and not health.connected_since:
        facts.append(health.last_error)
    return " · ".join(facts)


def book_lines(view: BooksView, levels: int) -> Iterator[str]:
    """One line for each symbol."""
    for symbol in view.symbols:
        yield f"{view.as_of:%H:%M:%S}Z {symbol} {_line(view, symbol, levels)}"


def refusals(health: StreamHealth) -> dict[str, str]:
    """The symbols whose books will not come as long as this run lasts, each with the reason."""
    error = health.last_error or ""
    return {
        # Where some are streamed, what went wrong last may be another thing.
        symbol: error if error and (symbol in error or not health.connections) else "Its provider refused it."
        for symbol in health.refused_symbols
    }


def _line(view: BooksView, symbol: str, levels: int) -> str:
    book, trusted = view.books.get(symbol), view.trust(symbol)
    if book is None or not (book.bids or book.asks):
        return f"{trusted.word} {_age(book, view.as_of)} {trusted.sentence}"
    prices, sizes = price_decimals(book), size_decimals(book)
    bid, ask = (
        "none" if level is None else f"{level.price:,.{prices}f} × {level.size:,.{sizes}f}"
        for level in (book.best_bid, book.best_ask)
    )
    facts = [
        f"{trusted.word} {_age(book, view.as_of)}",
        f"bid {bid}",
        f"ask {ask}",
        f"spread {spread_words(book) or 'none'}",
        f"top {_held(book, levels)}: {book.bid_size(levels):,.{sizes}f} bid, {book.ask_size(levels):,.{sizes}f} asked",
    ]
    return "  ".join([*facts, trusted.sentence]).rstrip()


def _held(book: Book, levels: int) -> int:
    """How many of so many levels it has, on the side that has more."""
    return min(levels, max(len(book.bids), len(book.asks)))


def _age(book: Book | None, as_of: datetime) -> str:
    age = None if book is None else book.age_seconds(as_of)
    if book is None or age is None:
        return "-"
    return f"from REST, made {age:.1f} s ago" if book.is_from_rest else f"{age:.1f} s"


def screen(view: BooksView, levels: int) -> RenderableType:
    """The ladders side by side, as many as the screen has room for, and the truth line below."""
    from rich.columns import Columns
    from rich.console import Group
    from rich.text import Text

    tables = [_table(view, symbol, levels) for symbol in view.symbols]
    return Group(Columns(tables), Text(view.truth, style="dim"))


def _table(view: BooksView, symbol: str, levels: int) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    book, trusted = view.books.get(symbol), view.trust(symbol)
    title = Text.assemble(
        (symbol, "bold"), "  ", (trusted.word, _COLOURS[trusted.level]), f"  {_age(book, view.as_of)}"
    )
    table = Table(
        title=title,
        title_justify="left",
        caption=Text(_caption(book, trusted.sentence)),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("", justify="right", style="green", width=_BAR_CELLS)
    for name in ("total", "size", "bid", "ask", "size", "total"):
        table.add_column(name, justify="right", no_wrap=True, style={"bid": "green", "ask": "red"}.get(name))
    table.add_column("", style="red", width=_BAR_CELLS)
    # As many rows as were asked for: a table that grows and shrinks cannot be read.
    rows: Sequence[LadderRow] = () if book is None else ladder(book, levels)
    largest = max((max(row.bid_total, row.ask_total) for row in rows), default=0.0)
    for row in rows:
        table.add_row(*_cells(row, book, largest))
    for _ in range(levels - len(rows)):
        table.add_row(*[""] * 8)
    return table


def _cells(row: LadderRow, book: Book | None, largest: float) -> list[str]:
    if book is None:
        return []
    bid, ask = [""] * 4, [""] * 4
    if row.bid is not None:
        bid = [_bar(row.bid_total, largest), *_figures(book, row.bid_total, row.bid)]
    if row.ask is not None:
        ask = [*reversed(_figures(book, row.ask_total, row.ask)), _bar(row.ask_total, largest)]
    return [*bid, *ask]


def _figures(book: Book, total: float, level: BookLevel) -> list[str]:
    prices, sizes = price_decimals(book), size_decimals(book)
    return [f"{total:,.{sizes}f}", f"{level.size:,.{sizes}f}", f"{level.price:,.{prices}f}"]


def _bar(total: float, largest: float) -> str:
    return "▪" * round(total / largest * _BAR_CELLS) if largest else ""


def _caption(book: Book | None, sentence: str) -> str:
    if book is None or book.spread is None:
        return sentence
    facts = [f"spread {spread_words(book)}"]
    held = _held(book, 5)
    if (imbalance := book.imbalance(held)) is not None:
        facts.append(f"imbalance of {format_count(held, 'level')} {imbalance:+.2f}")
    return "\n".join(filter(None, [" · ".join(facts), sentence]))
