"""What is sent to the table in the browser: all of it at times, and in between the cells that differ from then.

Pure. Messages can be merged on their way, so a short one is told against the last full one and never against the last
short one; a browser that does not have that full one asks for another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import ceil
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from msgspec import Raw

from apps.streamlit.components.board_cell import Cell
from apps.streamlit.components.board_cells import Cells
from apps.streamlit.components.board_columns import (
    BoardColumn,
    board_columns,
    leaving_widths,
    shown_columns,
)
from apps.streamlit.components.board_risk import RiskCells
from apps.streamlit.components.board_rows import (
    Grouping,
    Row,
    RowKind,
    Tables,
    book_row,
    build_rows,
    flatten,
    sorted_rows,
)
from apps.streamlit.components.piece_delta import piece_delta
from options_helper.analysis.columns import COLUMNS, COLUMNS_OF_ACCOUNTS, Column, Kind
from options_helper.live.screen import ScreenModel

# A text alone, or text, tone, tooltip and pills: what most cells say is short.
Wire: TypeAlias = str | list[Any]
FULL_EVERY: Final = 60
# While the browser is still fetching the table's script, which takes a busy one some seconds, only the newest message
# reaches it; were that a short one, it would have to ask, and wait once more.
FULL_AT_FIRST: Final = 6
CLOSED_FROM: Final = 100  # lines: with more, groups are closed at first
RANKED_EVERY_SECONDS: Final = 5
# How far each character of the last row goes, which is the boldest, as measured in a browser and rounded up.
ADVANCES: Final[Mapping[str, float]] = {
    character: pixels
    for characters, pixels in (
        (" ", 2.7),
        (",.·ijlI", 3.8),
        ("()-ft", 4.6),
        ("crs", 5.8),
        ("0123456789+−≈×±$", 6.8),
        ("mw%—", 11.1),
    )
    for character in characters
}
OTHER_PIXELS: Final = 7.5  # of any other small letter
LARGE_PIXELS: Final = 9.0
CELL_PADDING_PIXELS: Final = 17
NEVER_LEAVES: Final = 99  # as a column's `stays`
NAME: Final = "Position"
_PLACES: Final = tuple(str(place) for place in range(len(board_columns(COLUMNS_OF_ACCOUNTS))))
WORDS: Final = frozenset(
    {Kind.TEXT, Kind.WARNINGS, Kind.MARK_ORIGIN, Kind.MARKS_ORIGIN, Kind.PRICE_ORIGIN, Kind.TREND}
)


@dataclass(frozen=True, slots=True)
class Sorting:
    """By which heading, and which way."""

    heading: str
    descending: bool

    @property
    def words(self) -> str:
        """As the address has it: "P&L $ down"."""
        return f"{self.heading} {'down' if self.descending else 'up'}"


def read_sorting(words: str, headings: Iterable[str]) -> Sorting | None:
    """What an address says; None where it names no column."""
    heading, _, way = words.rpartition(" ")
    known = way in ("up", "down") and heading in (NAME, *headings)
    return Sorting(heading, way == "down") if known else None


@dataclass(frozen=True, slots=True)
class Wishes:
    """How this viewer wants the table."""

    grouping: Grouping
    headings: tuple[str, ...]
    sorting: Sorting | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Board:
    """The table at one refresh, as it is sent. Viewers who look alike have the same one, so it is known by identity."""

    columns: tuple[Mapping[str, Any], ...]
    rows: tuple[Mapping[str, Any], ...]
    # By the key of the row, in the order of the columns; of a large book those of the rows that are seen.
    cells: Mapping[str, tuple[Wire, ...]]


@dataclass(frozen=True, slots=True)
class Sent:
    """The last full message, its number, and how many short ones followed it."""

    key: int
    board: Board
    around: Mapping[str, Any] = field(default_factory=dict)
    short_ones: int = 0


def build_board(
    screen: ScreenModel,
    wishes: Wishes,
    order: Mapping[str, int] | None = None,
    declared: tuple[Column, ...] = COLUMNS,
    view: Mapping[str, str] | None = None,
) -> Board:
    """The table of this screen; `order` is how its rows were ranked at last, where that is to be kept.

    Of a large book only what is seen in this `view` has cells; without one all that there is.
    """
    said = screen.once(_said, wishes.grouping, wishes.headings, declared)
    opened = None if view is None else opened_rows(len(said.flat), view)
    if wishes.sorting is None:
        return screen.once(_build, wishes, None, declared, opened)
    return _build(screen, wishes, order, declared, opened)


def _build(
    screen: ScreenModel,
    wishes: Wishes,
    order: Mapping[str, int] | None,
    declared: tuple[Column, ...],
    opened: str | None,
) -> Board:
    said = screen.once(_said, wishes.grouping, wishes.headings, declared)
    ranked = _ranked(said.rows, wishes.sorting, said.columns, said.cells, order)
    closed = screen.totals.legs > CLOSED_FROM
    rows = tuple(_row(row, parent, closed=closed) for row, parent in [*flatten(ranked), (said.book, "")])
    seen = None if opened is None else seen_rows(rows, opened)
    wires = {row.key: said.wire(row) for row in said.flat if seen is None or row.key in seen}
    widths = [
        column_pixels(column, of_column)
        for column, of_column in zip(said.columns, zip(*wires.values(), strict=True), strict=True)
    ]
    return Board(tuple(_columns(said.columns, widths, wishes.sorting)), rows, wires)


NO_BOARD: Final = Board((), (), {})


@dataclass(frozen=True, slots=True)
class _Said:
    """All that the table can say, before anybody ranks or opens its rows."""

    cells: Cells
    columns: tuple[BoardColumn, ...]
    rows: tuple[Row, ...]
    book: Row
    flat: tuple[Row, ...]  # all of them, in their order
    draw: Callable[[Row], list[Cell]]  # the cells of a row
    # What was drawn for one viewer is there for the others; what two draw at once is drawn twice.
    _wires: dict[str, tuple[Wire, ...]] = field(default_factory=dict)

    def wire(self, row: Row) -> tuple[Wire, ...]:
        """The cells of a row."""
        found = self._wires.get(row.key)
        if found is None:
            found = self._wires[row.key] = tuple(
                [
                    _wire(cell) if cell.tone or cell.title or cell.pills else cell.text
                    for cell in self.draw(row)
                ]
            )
        return found


def _said(
    screen: ScreenModel, grouping: Grouping, headings: tuple[str, ...], declared: tuple[Column, ...]
) -> _Said:
    tables = screen.once(Tables)
    cells = Cells(screen, tables, RiskCells(screen, tables))
    columns = shown_columns(headings, hide_amounts=cells.hides, declared=declared)
    rows, book = build_rows(screen, tables, grouping), book_row(screen, tables)
    flat = (*(row for row, _ in flatten(rows)), book)
    return _Said(cells, columns, rows, book, flat, cells.of(columns))


def column_pixels(column: BoardColumn, wires: Iterable[Wire]) -> int:
    """As wide as declared, or as its longest figure: one that is cut off is another figure."""
    declared = column.first.width or 0
    if column.first.kind in WORDS:
        return declared
    # Of many rows most say nothing, or what another says.
    texts = {wire if isinstance(wire, str) else wire[0] for wire in wires}
    longest = max(map(text_pixels, texts), default=0)
    return max(declared, longest + CELL_PADDING_PIXELS)


@lru_cache(maxsize=16_384)  # most figures of a refresh were there before, in some row
def text_pixels(text: str) -> int:
    """How wide a figure is at most."""
    return ceil(
        sum(
            ADVANCES.get(character, LARGE_PIXELS if character.isupper() else OTHER_PIXELS)
            for character in text
        )
    )


def ranking(board: Board) -> dict[str, int]:
    """How the rows of a board are ranked, to keep them so for a while."""
    return {row["key"]: place for place, row in enumerate(board.rows)}


def changed_cells(before: Board, after: Board) -> dict[str, dict[str, Wire]] | None:
    """The cells that are others than before, by row and place; None where a table is laid out otherwise."""
    if before.rows != after.rows or not _fit(after, before):
        return None
    return {row: _differing(before.cells.get(row), wires) for row, wires in after.cells.items()}


# A pair of boards, the earlier one first; Raw is the answer as it is sent.
Compare: TypeAlias = Callable[[Board, Board], Mapping[str, Any] | Raw | None]


def next_message(
    sent: Sent | None,
    board: Board,
    *,
    in_full: bool,
    around: Mapping[str, Any] | None = None,
    compare: Compare = changed_cells,
) -> tuple[dict[str, Any], Sent]:
    """What to send now, and what was sent then: all of it, or the cells that differ from the last full message.

    The same of what is `around` the table, by the name of its place; of a long piece what differs in it. A row that has
    cells is in the message, if with nothing that differs. `compare` is `changed_cells`, or knows its answer.
    """
    around = around or {}
    is_due = sent is None or sent.key < FULL_AT_FIRST or sent.short_ones >= FULL_EVERY
    changed = None if sent is None or is_due or in_full else compare(sent.board, board)
    if sent is None or changed is None:
        key = 1 if sent is None else sent.key + 1
        full = {"columns": board.columns, "rows": board.rows, "cells": board.cells}
        return {"key": key, "full": full, "around": around}, Sent(key, board, around)
    beside = {
        name: _told_against(sent.around.get(name), now)
        for name, now in around.items()
        if sent.around.get(name) != now
    }
    message = {"key": sent.key, "changed": changed, "around": beside}
    return message, replace(sent, short_ones=sent.short_ones + 1)


def _told_against(before: Any, after: Any) -> Any:
    return piece_delta(before, after) if isinstance(before, str) and isinstance(after, str) else after


def _fit(board: Board, before: Board) -> bool:
    """Whether the columns are those of `before`, and none needs more room: figures that come and go move nothing."""
    return len(board.columns) == len(before.columns) and all(
        now == was
        or (now["width"] <= was["width"] and now == {**was, "width": now["width"], "leaves": now["leaves"]})
        for now, was in zip(board.columns, before.columns, strict=True)
    )


def _differing(before: Sequence[Wire] | None, after: Sequence[Wire]) -> dict[str, Wire]:
    """The cells by their place, of a row of which nothing was sent `before` all."""
    if before is None:
        return dict(zip(_PLACES, after, strict=False))
    if before == after:
        return {}
    return {place: new for place, old, new in zip(_PLACES, before, after, strict=False) if old != new}


def opened_rows(count: int, view: Mapping[str, str]) -> str | None:
    """What the address says of the rows that this viewer opened; None where all of so many are told.

    Those are the rows of a small book, and all while a filter opens them. A row that is opened is empty until the
    refresh that this asks for. That is told of large books alone, whose rows are closed at first and would be most of
    what a refresh works out and sends.
    """
    return None if count <= CLOSED_FROM or view["find"].strip() else view["rows"]


def seen_rows(rows: Iterable[Mapping[str, Any]], toggled_rows: str) -> frozenset[str]:
    """The keys of the rows that can be seen, where these are open that usually are not, or closed."""
    toggled = {unquote(key) for key in toggled_rows.split(",")}
    seen: set[str] = set()
    opened: set[str] = {""}
    for row in rows:
        if row["parent"] in opened:
            seen.add(row["key"])
            if row["opens"] and row["open"] != (row["key"] in toggled):
                opened.add(row["key"])
    return frozenset(seen)


def _ranked(
    rows: tuple[Row, ...],
    sorting: Sorting | None,
    columns: Sequence[BoardColumn],
    cells: Cells,
    order: Mapping[str, int] | None,
) -> tuple[Row, ...]:
    if sorting is None:
        return rows
    if order is not None:
        return sorted_rows(rows, lambda row: order.get(row.key), descending=False)
    if sorting.heading == NAME:
        return sorted_rows(rows, lambda row: row.name, descending=sorting.descending)
    column = next((one for one in columns if one.heading == sorting.heading), None)
    if column is None:
        return rows
    return sorted_rows(rows, lambda row: cells.number(row, column), descending=sorting.descending)


def _columns(
    columns: Sequence[BoardColumn], widths: Sequence[int], sorting: Sorting | None
) -> Iterable[Mapping[str, Any]]:
    sorted_by = None if sorting is None else sorting.heading
    way = "" if sorting is None else "descending" if sorting.descending else "ascending"
    yield {"heading": NAME, "help": "", "width": 0, "leaves": 0, "sort": way if sorted_by == NAME else ""}
    for column, width, leaves in zip(columns, widths, leaving_widths(columns, widths), strict=True):
        yield {
            "heading": column.heading,
            "help": column.first.help,
            "width": width,
            "leaves": 0 if (column.first.stays or 0) >= NEVER_LEAVES else leaves,
            "words": column.first.kind in WORDS,
            "pills": column.first.kind is Kind.WARNINGS,
            "sort": way if sorted_by == column.heading else "",
        }


def _row(row: Row, parent: str, *, closed: bool) -> Mapping[str, Any]:
    opens = row.kind is RowKind.GROUP and not closed
    return {
        "key": row.key,
        "kind": row.kind.value,
        "name": row.name,
        "level": row.level,
        "parent": parent,
        "opens": bool(row.children),
        "open": opens,
    }


def _wire(cell: Cell) -> Wire:
    """A cell that says more than its text."""
    return [cell.text, cell.tone, cell.title, *([cell.pills] if cell.pills else [])]
