"""The page's figures of a portfolio and a snapshot, where a test wants no more than one row or the totals."""

from __future__ import annotations

from typing import Any

from options_helper.analysis.live_portfolio_metrics import (
    LiveTotals,
    compute_live_multileg_rows,
    compute_live_position_rows,
    compute_live_totals,
)
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot


def totals_of(book: Portfolio, live: LiveSnapshot) -> LiveTotals:
    """The totals of all of it; prices are stale after half a minute."""
    rows = compute_live_position_rows(book, live, stale_after_seconds=30)
    structures, legs = compute_live_multileg_rows(book, live, stale_after_seconds=30)
    return compute_live_totals(book, live, rows, structures, legs)


def row(book: Portfolio, live: LiveSnapshot) -> dict[str, Any]:
    """The first row of the positions."""
    return dict(compute_live_position_rows(book, live, stale_after_seconds=30).iloc[0])
