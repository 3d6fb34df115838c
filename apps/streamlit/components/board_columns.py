"""Which columns the page's table can have: headings that one table declares, or several, from left to right.

Pure. A column is declared once for each table, in `options_helper.analysis.columns`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

from options_helper.analysis.columns import COLUMNS, Column, Kind, Table, page_columns

NAME_PIXELS: Final = 272  # of the names of the rows: "640/655/705/720 iron condor · 18 Dec 26"


@dataclass(frozen=True)
class BoardColumn:
    """One column of the board: what its heading means in each of the tables.

    Without slots: `first` is asked for twenty times for each row.
    """

    heading: str
    declared: Mapping[Table, Column]

    @cached_property
    def first(self) -> Column:
        """The declaration that speaks for all."""
        return next(iter(self.declared.values()))


@cache
def board_columns(declared: tuple[Column, ...] = COLUMNS) -> tuple[BoardColumn, ...]:
    """Every column that the page can show beside the name, from left to right."""
    found: dict[str, dict[Table, Column]] = {}
    places: dict[str, int] = {}
    for table in Table:
        for column in page_columns(table, declared):
            if column.kind is not Kind.NAME and column.heading is not None:
                found.setdefault(column.heading, {})[table] = column
                places.setdefault(column.heading, column.tables[table] or 0)
    ordered = sorted(found, key=lambda heading: places[heading])
    return tuple(BoardColumn(heading, found[heading]) for heading in ordered)


@cache
def headings(declared: tuple[Column, ...] = COLUMNS) -> tuple[str, ...]:
    """The headings of all of them."""
    return tuple(column.heading for column in board_columns(declared))


@cache
def usual_headings(declared: tuple[Column, ...] = COLUMNS) -> tuple[str, ...]:
    """The headings that are shown unless the viewer chooses others."""
    return tuple(column.heading for column in board_columns(declared) if column.first.stays is not None)


def shown_columns(
    chosen: Iterable[str], *, hide_amounts: bool, declared: tuple[Column, ...] = COLUMNS
) -> tuple[BoardColumn, ...]:
    """Those that are chosen, without the amounts that are hidden."""
    wanted = set(chosen)
    return tuple(
        column
        for column in board_columns(declared)
        if column.heading in wanted
        and not (hide_amounts and any(one.is_amount for one in column.declared.values()))
    )


def leaving_widths(columns: Sequence[BoardColumn], widths: Sequence[int]) -> tuple[int, ...]:
    """From which width of the table on, in pixels, each column is shown: it and all that stay longer fit there."""

    def rank(column: BoardColumn) -> int:
        return -1 if column.first.stays is None else column.first.stays

    ranked = list(zip(map(rank, columns), widths, strict=True))
    return tuple(NAME_PIXELS + sum(width for other, width in ranked if other >= own) for own, _ in ranked)
