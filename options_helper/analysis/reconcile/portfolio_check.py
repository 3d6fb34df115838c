"""What a valid portfolio file may still have against it: what expired, what names no cost, what cannot be counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from options_helper.model.contract_symbols import short_date
from options_helper.model.market_hours import MarketDay
from options_helper.model.portfolio import MultiLegPosition, Portfolio, PortfolioEntry
from options_helper.model.text import format_count

CORRECT_AS_OF: Final = 'Correct "as_of" or remove it.'
REMOVE_AS_OF: Final = 'When it is yours, remove "as_of" from it.'


def judged_as_of(portfolio: Portfolio, today: MarketDay) -> date | None:
    """The day by which it is told what has expired: the one that the file is a picture of, else today.

    None where that picture lies ahead: by a day that has not come nothing has expired.
    """
    day = portfolio.as_of or today.date
    return None if day > today.date else day


def picture(portfolio: Portfolio, name: str, today: MarketDay) -> str | None:
    """That the file called `name` is a picture of another day, and what has become of it by `today`.

    None where the file names no day, or one that has not come: that is a finding.
    """
    if portfolio.as_of is None or judged_as_of(portfolio, today) is None:
        return None
    return (
        f"{name} is a picture of {short_date(portfolio.as_of)}, so its expiries are judged as of that day. "
        f"{expired_by(portfolio, today)} {REMOVE_AS_OF}"
    )


def expired_by(portfolio: Portfolio, today: MarketDay) -> str:
    """How many of its contracts have expired by now, each counted once."""
    expiries = {one.live_symbol: one.expiry for one in portfolio.instruments if one.expiry is not None}
    expired = sum(expiry < today.date for expiry in expiries.values())
    return f"Expired by {today.today}: {expired or 'none'} of {format_count(len(expiries), 'contract')}."


def ahead(portfolio: Portfolio, today: MarketDay) -> str | None:
    """That the file is a picture of a day to come, so that nothing can be judged; None where it is not."""
    if judged_as_of(portfolio, today) is not None:
        return None
    return f"as_of {portfolio.as_of} lies ahead: it is {today.date} in {today.place}. What has expired is not judged."


def findings(portfolio: Portfolio, today: MarketDay) -> tuple[str, ...]:
    """A sentence for everything to look at, in the order of the file.

    What has expired is judged as of the day that the file is a picture of, if it names one that has come.
    """
    day = judged_as_of(portfolio, today)
    early = ahead(portfolio, today)
    return (
        *((f"{early} {CORRECT_AS_OF}",) if early else ()),
        *(sentence for entry in portfolio.positions for sentence in _findings(entry, day)),
    )


def _findings(entry: PortfolioEntry, day: date | None) -> Iterator[str]:
    for one in entry.instruments:
        if day is not None and one.expiry is not None and one.expiry < day:
            yield f"'{entry.id}': {one.label} expired on {short_date(one.expiry)}. Remove it from the file."
    if isinstance(entry, MultiLegPosition):
        if entry.net_debit is None and any(line.cost_basis is None for line in entry.lines):
            yield (
                f"'{entry.id}' names no cost, so there is no P&L. Add net_debit, the dollars for all of it, "
                "or a cost_basis to each leg."
            )
    elif entry.cost_basis is None:
        yield f"'{entry.id}' names no cost, so there is no P&L. Add cost_basis, the opening price per share."
    if any(one.multiplier is None for one in entry.instruments):
        yield (
            f"'{entry.id}' is an adjusted contract, so its dollar amounts are not known. "
            "Add multiplier, the dollars that one point is worth."
        )
