"""Write the page of columns from their declarations; a test checks that it is fresh."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from options_helper.analysis.columns import COLUMNS_OF_ACCOUNTS, CSV_COLUMNS, Column, Table

HEAD = """# The columns

What stands in the tables of the live portfolio, in its CSV and in the DataFrames of the library
([Reference](REFERENCE.md)). Written by `sh scripts/docs` from `options_helper/analysis/columns.py`.

An empty heading: only in the CSV. An empty name: only on the page, drawn from other columns. *Amount*: left out while
amounts are hidden. What is not known is empty.
"""
TITLES = {
    Table.POSITION: "Positions: single contracts and shares",
    Table.STRUCTURE: "Structures",
    Table.LEG: "Legs",
}
CSV_TITLE = "In the CSV before each row"


def page(declared: tuple[Column, ...] = COLUMNS_OF_ACCOUNTS) -> str:
    """The whole page in Markdown."""
    tables = (
        line
        for table in Table
        for line in _section(TITLES[table], [column for column in declared if table in column.tables])
    )
    return "\n".join([HEAD, *tables, *_section(CSV_TITLE, CSV_COLUMNS)])


def main(target: str) -> None:
    """Write the page to `target`."""
    Path(target).write_text(page(), encoding="utf-8")


def _section(title: str, columns: Iterable[Column]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| Name | Heading | Unit | Meaning | |"
    yield "|---|---|---|---|---|"
    yield from map(_row, columns)
    yield ""


def _row(column: Column) -> str:
    name = "" if column.drawn_from else f"`{column.name}`"
    amount = "amount" if column.is_amount else ""
    return f"| {name} | {column.heading or ''} | {column.unit} | {column.help} | {amount} |"


if __name__ == "__main__":
    main(sys.argv[1])
