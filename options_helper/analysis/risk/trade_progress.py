"""How far a trade has come: what it has won of the most it can win, and for how many days it is held."""

from __future__ import annotations

from datetime import date

from options_helper.analysis.risk.extremes import Extreme
from options_helper.model.portfolio import MultiLegPosition, PortfolioEntry


def percent_of_best(profit: float | None, best: Extreme) -> float | None:
    """Profit so far in percent of the greatest possible; negative at a loss.

    None where either is no number, or where there is nothing to win.
    """
    if profit is None or best.amount is None or best.amount <= 0:
        return None
    return 100 * profit / float(best.amount)


def days_in_trade(entry: PortfolioEntry, today: date) -> int | None:
    """Calendar days since it was opened, of lots since the first; None where a day is not known or is ahead.

    `today` is New York's day.
    """
    opened = opened_at(entry)
    return None if opened is None or opened > today else (today - opened).days


def opened_at(entry: PortfolioEntry) -> date | None:
    """The day on which it was opened, or the first of its lots; None where that of one is not known."""
    if isinstance(entry, MultiLegPosition) or not entry.lots:
        return entry.opened_at
    days = [lot.opened_at for lot in entry.lots]
    known = [day for day in days if day is not None]
    return min(known) if len(known) == len(days) else None
