"""A portfolio and a snapshot → the tables of the page as DataFrames, for whoever uses them as a library.

Rows come in portfolio order, indexed by position id. Money is dollars, prices are dollars per share, percentages are
percent. A number that is not known is NaN (NA in whole-number columns) and is never counted as 0; a sum with a
missing part is not known either, and says how much of it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from options_helper.analysis.columns import PRICE_COLUMNS, Table, column_names
from options_helper.analysis.live_tables import DEFAULT_WIDE_SPREAD_PCT, multileg_tables, position_table
from options_helper.analysis.priced_lines import PricedLines, price_entries
from options_helper.analysis.row_table import table_of_frame
from options_helper.analysis.totals import LiveTotals, Tally, sum_up
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = [
    "DEFAULT_WIDE_SPREAD_PCT",
    "LEG_COLUMNS",
    "POSITION_COLUMNS",
    "STRUCTURE_COLUMNS",
    "LiveTotals",
    "Tally",
    "compute_live_multileg_rows",
    "compute_live_position_rows",
    "compute_live_totals",
]

POSITION_COLUMNS: Final = column_names(Table.POSITION, PRICE_COLUMNS)
STRUCTURE_COLUMNS: Final = column_names(Table.STRUCTURE, PRICE_COLUMNS)
LEG_COLUMNS: Final = column_names(Table.LEG, PRICE_COLUMNS)


def compute_live_position_rows(
    portfolio: Portfolio,
    live: LiveSnapshot,
    *,
    stale_after_seconds: float,
    wide_spread_pct: float = DEFAULT_WIDE_SPREAD_PCT,
    priced: PricedLines | None = None,
) -> DataFrame:
    """One row for each single contract and share holding: `POSITION_COLUMNS`.

    `priced` are all lines of the portfolio, in its order, where they have been priced already.
    """
    lines = priced or _priced(portfolio, live, stale_after_seconds, wide_spread_pct)
    return position_table(portfolio, live, lines).frame()


def compute_live_multileg_rows(
    portfolio: Portfolio,
    live: LiveSnapshot,
    *,
    stale_after_seconds: float,
    wide_spread_pct: float = DEFAULT_WIDE_SPREAD_PCT,
    priced: PricedLines | None = None,
) -> tuple[DataFrame, DataFrame]:
    """One row for each structure (`STRUCTURE_COLUMNS`), and one for each of their legs (`LEG_COLUMNS`).

    `priced` are all lines of the portfolio, in its order, where they have been priced already.
    """
    lines = priced or _priced(portfolio, live, stale_after_seconds, wide_spread_pct)
    structures, legs = multileg_tables(portfolio, live, lines)
    return structures.frame(), legs.frame()


def compute_live_totals(
    portfolio: Portfolio,
    live: LiveSnapshot,
    position_rows: DataFrame,
    structure_df: DataFrame,
    legs_df: DataFrame,
) -> LiveTotals:
    """Sum the tables of one snapshot; a missing part makes a total unknown, never smaller."""
    frames = {Table.POSITION: position_rows, Table.STRUCTURE: structure_df, Table.LEG: legs_df}
    return sum_up(
        portfolio, live, *(table_of_frame(frame, table, PRICE_COLUMNS) for table, frame in frames.items())
    )


def _priced(
    portfolio: Portfolio, live: LiveSnapshot, stale_after_seconds: float, wide_spread_pct: float
) -> PricedLines:
    return price_entries(
        portfolio.positions,
        portfolio,
        live,
        stale_after_seconds=stale_after_seconds,
        wide_spread_pct=wide_spread_pct,
    )
