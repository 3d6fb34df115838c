"""What a valid portfolio file may still have against it: what expired, what names no cost, what cannot be counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from options_helper.analysis.osi import short_date
from options_helper.portfolio import MultiLegPosition, Portfolio, PortfolioEntry


def findings(portfolio: Portfolio, today: date) -> tuple[str, ...]:
    """A sentence for everything to look at, in the order of the file; `today` is New York's."""
    return tuple(sentence for entry in portfolio.positions for sentence in _findings(entry, today))


def _findings(entry: PortfolioEntry, today: date) -> Iterator[str]:
    instruments = entry.instruments if isinstance(entry, MultiLegPosition) else (entry.instrument,)
    for one in instruments:
        if one.expiry is not None and one.expiry < today:
            yield f"'{entry.id}': {one.words} expired on {short_date(one.expiry)}. Remove it from the file."
    if not isinstance(entry, MultiLegPosition) and entry.cost_basis is None:
        yield f"'{entry.id}' names no cost, so there is no P&L. Add cost_basis, the opening price per share."
    if any(one.multiplier is None for one in instruments):
        yield (
            f"'{entry.id}' is an adjusted contract, so its dollar amounts are not known. "
            "Add multiplier, the dollars that one point is worth."
        )
