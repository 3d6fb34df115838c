"""What is held in yesterday's share while the market quotes today's: on a split's day, before the account books it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Final

from options_helper.model.account import AccountState
from options_helper.model.alpaca_symbols import underlying_root
from options_helper.model.contract_symbols import has_contract_length
from options_helper.model.market_hours import new_york_date
from options_helper.model.risk_inputs import CorporateActions
from options_helper.model.snapshot import LiveSnapshot

# OCC adjusts contracts for a special dividend of so many dollars a share, and for no smaller one.
_ADJUSTS_FROM: Final = 0.125
_NOTHING: Final[frozenset[str]] = frozenset()


def of_yesterdays_share(symbols: Iterable[str], live: LiveSnapshot) -> frozenset[str]:
    """Those of a share that is another one from today on, as announced, and that may still be told in the old one.

    The account may book it hours after the market quotes the new share. Until it has, neither quantity nor cost nor
    strike go with the prices of today. What was opened today and not before is of today's share. A special dividend
    changes contracts, and no share.
    """
    today = new_york_date(live.as_of)
    changed, paid = set[str](), set[str]()
    for name, told in live.risk_inputs.actions.items():
        if any(one.day == today for one in told.changes):
            changed.add(name)
        if _pays_specially(told, live):
            paid.add(name)
    if not changed and not paid:
        return _NOTHING
    account = live.account
    is_of_today = account.executions_day == today
    booked: Collection[str] = account.moved if is_of_today else ()
    return frozenset(
        one
        for one in symbols
        if (underlying_root(one) in changed or (has_contract_length(one) and underlying_root(one) in paid))
        and one not in booked
        and not (is_of_today and _was_opened_since(one, account))
    )


def _pays_specially(told: CorporateActions, live: LiveSnapshot) -> bool:
    today = new_york_date(live.as_of)
    return any(one.special and one.ex_date == today and one.amount >= _ADJUSTS_FROM for one in told.dividends)


def _was_opened_since(symbol: str, account: AccountState) -> bool:
    """Whether nothing of it was held at midnight, by the executions of the day."""
    position = None if account.view is None else account.view.positions.get(symbol)
    executed = sum((one.quantity for one in account.executions if one.symbol == symbol), Decimal(0))
    return position is not None and bool(position.quantity) and position.quantity == executed
