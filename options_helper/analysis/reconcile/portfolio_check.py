"""What a valid portfolio file may still have against it: what expired, what names no cost, what cannot be counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from options_helper.model.contract_symbols import short_date
from options_helper.model.portfolio import MultiLegPosition, Portfolio, PortfolioEntry
from options_helper.model.text import format_count

REMOVE_AS_OF: Final = 'When it is yours, remove "as_of" from it.'


def picture(portfolio: Portfolio, name: str, today: date) -> str | None:
    """That the file called `name` is a picture of another day, and what has become of it by `today`, both New York's.

    None where the file names no day.
    """
    if portfolio.as_of is None:
        return None
    expiries = {one.live_symbol: one.expiry for one in portfolio.instruments if one.expiry is not None}
    expired = sum(expiry < today for expiry in expiries.values())
    return (
        f"{name} is a picture of {short_date(portfolio.as_of)}, so its expiries are judged as of that day. "
        f"Expired by today, {short_date(today)}: {expired or 'none'} of {format_count(len(expiries), 'contract')}. "
        f"{REMOVE_AS_OF}"
    )


def findings(portfolio: Portfolio, today: date) -> tuple[str, ...]:
    """A sentence for everything to look at, in the order of the file; `today` is New York's.

    What has expired is judged as of the day that the file is a picture of, if it names one.
    """
    day = portfolio.as_of or today
    ahead = (f"as_of {day} lies ahead: it is {today} in New York. Correct it.",) if day > today else ()
    return (*ahead, *(sentence for entry in portfolio.positions for sentence in _findings(entry, day)))


def _findings(entry: PortfolioEntry, today: date) -> Iterator[str]:
    instruments = entry.instruments if isinstance(entry, MultiLegPosition) else (entry.instrument,)
    for one in instruments:
        if one.expiry is not None and one.expiry < today:
            yield f"'{entry.id}': {one.label} expired on {short_date(one.expiry)}. Remove it from the file."
    if not isinstance(entry, MultiLegPosition) and entry.cost_basis is None:
        yield f"'{entry.id}' names no cost, so there is no P&L. Add cost_basis, the opening price per share."
    if any(one.multiplier is None for one in instruments):
        yield (
            f"'{entry.id}' is an adjusted contract, so its dollar amounts are not known. "
            "Add multiplier, the dollars that one point is worth."
        )
