"""The declarations themselves: no two columns in one place, nothing shown without a width, no amount left in sight."""

from __future__ import annotations

import pytest

from options_helper.analysis.columns import COLUMNS, Kind, Table, page_columns, stored_columns
from options_helper.analysis.live_portfolio_metrics import LEG_COLUMNS, POSITION_COLUMNS, STRUCTURE_COLUMNS


@pytest.mark.parametrize("table", Table)
def test_no_two_columns_share_a_name_a_heading_or_a_place(table: Table):
    shown = page_columns(table)

    for each in (
        [column.name for column in stored_columns(table)],
        [column.heading for column in shown],
        [column.tables[table] for column in shown],
    ):
        assert len(set(each)) == len(each)


@pytest.mark.parametrize("table", Table)
def test_what_is_shown_has_a_heading_and_a_width_and_comes_from_what_is_there(table: Table):
    names = {column.name for column in stored_columns(table)}

    for column in page_columns(table):
        assert column.heading
        assert column.width
        assert set(column.drawn_from or (column.name,)) <= names


def test_dollars_that_are_not_per_share_are_amounts():
    """What hides amounts must not forget one."""
    assert [column.name for column in COLUMNS if column.unit == "$" and not column.is_amount] == []


# What was paid is the file's own word; it is of no price or model.
SAID = {"cost_basis", "net_debit"}


def test_every_amount_that_is_shown_counts_the_quantity_or_is_said_by_the_file():
    """What marks figures of a doubted quantity must not forget one."""
    shown = [column for table in Table for column in page_columns(table) if column.is_amount]
    # The quantities themselves, whose warning stands in their row.
    quantities = {"quantity", "signed_contracts", "units"}

    assert {one.name for one in shown if not one.counts_quantity} == SAID | quantities
    assert [one.name for one in COLUMNS if one.sums and not one.counts_quantity] == []


def test_the_same_heading_looks_and_hides_the_same_in_every_table():
    declared: dict[str | None, set[object]] = {}
    for column in COLUMNS:
        if column.heading:
            declared.setdefault(column.heading, set()).add(
                (column.help if column.kind is not Kind.NAME else "", column.width, column.is_amount)
            )

    assert {heading: each for heading, each in declared.items() if len(each) > 1} == {}


def test_the_tables_have_the_names_they_always_had():
    """Others read them: a rename here breaks a CSV somewhere."""
    for names, some in (
        (POSITION_COLUMNS, ("id", "contract_symbol", "mark", "pnl_abs", "pnl_natural_abs", "warnings")),
        (STRUCTURE_COLUMNS, ("id", "legs", "net_mark", "net_pnl_abs", "marks_from", "warnings")),
        (LEG_COLUMNS, ("position_id", "leg_index", "signed_contracts", "leg_value", "warnings")),
    ):
        assert [name for name in names if name in some] == list(some)
