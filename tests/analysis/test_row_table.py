"""A table of columns: plain values where they are read, and the DataFrame that its values stand for."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial

import numpy as np
import pandas as pd
import pytest

from options_helper.analysis.columns import Column, Kind, Table
from options_helper.analysis.live_portfolio_metrics import (
    POSITION_COLUMNS,
    compute_live_position_rows,
    compute_live_totals,
)
from options_helper.analysis.live_tables import multileg_tables, position_table
from options_helper.analysis.marks import UNKNOWN_TIME
from options_helper.analysis.priced_lines import price_entries
from options_helper.analysis.row_table import RowTable, late_table, row_table, table_of_frame
from options_helper.analysis.totals import sum_up
from options_helper.model.portfolio import Portfolio, load_portfolio
from tests.kit.builders import holding, leg, portfolio, position, structure
from tests.portal import scenes

DECLARED = tuple(
    Column(name, {Table.POSITION: None}, "", kind=kind)
    for name, kind in (
        ("words", Kind.TEXT),
        ("pnl", Kind.NUMBER),
        ("dte", Kind.WHOLE),
        ("expiry", Kind.DATE),
        ("mark_at", Kind.TIME),
    )
)
MADE_AT = datetime(2026, 11, 20, 15, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture
def table() -> RowTable:
    """Two rows: of one all is known, of the other nothing."""
    values = {
        "words": ["SPY 681 C", None],
        "pnl": np.array([-12.5, np.nan]),
        "dte": np.array([28.0, np.nan]),
        "expiry": [date(2026, 12, 18), None],
        "mark_at": np.array([int(MADE_AT.timestamp() * 1e3) * 1_000_000, UNKNOWN_TIME]),
    }
    return row_table(values, Table.POSITION, ["one", "other"], DECLARED)


def test_what_is_not_known_is_none_in_every_kind_of_column(table: RowTable):
    assert table.row(0) == {
        "words": "SPY 681 C",
        "pnl": -12.5,
        "dte": 28,
        "expiry": date(2026, 12, 18),
        "mark_at": MADE_AT,
    }
    assert set(table.row(1).values()) == {None}
    assert isinstance(table.values("dte")[0], int)
    assert table.values("no such column") == [None, None]


def test_its_frame_has_the_types_that_the_columns_declare(table: RowTable):
    frame = table.frame()

    assert list(frame.index) == ["one", "other"]
    assert [str(kind) for kind in frame.dtypes] == [
        "str",
        "float64",
        "Int64",
        "object",
        "datetime64[ns, UTC]",
    ]
    assert frame.loc["other"].isna().all()
    assert frame.loc["one", "mark_at"] == pd.Timestamp(MADE_AT)


def test_a_frame_is_read_back_as_the_table_that_it_was_of(table: RowTable):
    again = table_of_frame(table.frame(), Table.POSITION, DECLARED)

    assert again.identities == table.identities
    assert [again.row(place) for place in range(2)] == [table.row(place) for place in range(2)]


def test_totals_of_tables_are_those_of_their_frames():
    book, live = load_portfolio(scenes.SAMPLE), scenes.live()
    priced = price_entries(book.positions, book, live, stale_after_seconds=30, wide_spread_pct=25)
    tables = position_table(book, live, priced), *multileg_tables(book, live, priced)

    frames = [table.frame() for table in tables]
    # In words, because a share's days to expiry are NaN, which does not equal itself.
    assert repr(compute_live_totals(book, live, *frames)) == repr(sum_up(book, live, *tables))
    pd.testing.assert_frame_equal(
        frames[0], compute_live_position_rows(book, live, stale_after_seconds=30, wide_spread_pct=25)
    )
    assert tuple(frames[0]) == POSITION_COLUMNS


def test_a_book_without_structures_has_their_tables_without_rows_and_they_are_made_once():
    book = portfolio(position(), holding())
    with_one = portfolio(structure(leg("long", 180), leg("short", 190)))
    live = scenes.live()

    def tables_of(held: Portfolio) -> tuple[RowTable, RowTable]:
        priced = price_entries(held.positions, held, live, stale_after_seconds=30, wide_spread_pct=25)
        return multileg_tables(held, live, priced)

    empty, again = tables_of(book), tables_of(book)

    assert [len(table) for table in empty] == [0, 0]
    assert [table.kinds for table in empty] == [table.kinds for table in tables_of(with_one)]
    assert all(first is second for first, second in zip(empty, again, strict=True))
    assert tables_of(with_one)[0] is not tables_of(with_one)[0]


def test_a_late_column_is_made_when_it_is_first_read_and_once():
    made: list[str] = []

    def late(name: str) -> list[str]:
        made.append(name)
        return [name]

    table = late_table(
        {column.name: partial(late, column.name) for column in DECLARED}, Table.POSITION, ["one"], DECLARED
    )
    both = table.beside(RowTable(("one",), {"more": Kind.TEXT}, {"more": ["ready"]}))

    assert list(both.kinds) == [*(column.name for column in DECLARED), "more"]
    assert not made
    assert (both.row(0)["words"], both.values("words"), both["words"]) == ("words", ["words"], ["words"])
    assert both.values("more") == ["ready"]
    assert made == ["words"]
