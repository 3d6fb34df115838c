"""What is held in yesterday's share while the market quotes today's: on a split's day, before the account books it."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
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
# They take from a share's worth and bring another security beside it; it stays as it is, and so does its quantity. What
# a contract delivers is changed by them as by any other.
_LEAVE_THE_QUANTITY: Final = frozenset({"spin_offs", "rights_distributions"})
_NOTHING: Final[frozenset[str]] = frozenset()


def of_yesterdays_share(symbols: Iterable[str], live: LiveSnapshot) -> frozenset[str]:
    """Those of a share that is another one from today on, as announced, and that may still be told in the old one.

    The account may book it hours after the market quotes the new share. Until it has, neither quantity nor cost nor
    strike go with the prices of today. What was opened today and not before is of today's share. A special dividend
    changes contracts, and no share; so does what leaves a share's quantity as it is.
    """
    return _of_the_old(symbols, live, harmless=_LEAVE_THE_QUANTITY)


def of_yesterdays_close(symbols: Iterable[str], live: LiveSnapshot) -> frozenset[str]:
    """Those whose last close says nothing of today: of yesterday's share, or of one from which a part leaves today."""
    return _of_the_old(symbols, live, harmless=())


def _of_the_old(symbols: Iterable[str], live: LiveSnapshot, *, harmless: Container[str]) -> frozenset[str]:
    """`harmless` are the kinds of changes that do nothing to shares."""
    today = new_york_date(live.as_of)
    shares, contracts = set[str](), set[str]()
    for name, told in live.risk_inputs.actions.items():
        kinds = [one.kind for one in told.changes if one.day == today]
        if any(kind not in harmless for kind in kinds):
            shares.add(name)
        if kinds or _pays_specially(told, live):
            contracts.add(name)
    if not contracts:
        return _NOTHING
    account = live.account
    is_of_today = account.executions_day == today
    booked: Collection[str] = account.moved if is_of_today else ()
    return frozenset(
        one
        for one in symbols
        if underlying_root(one) in (contracts if has_contract_length(one) else shares)
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
