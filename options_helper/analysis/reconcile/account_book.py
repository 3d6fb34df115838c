"""The portfolio as the account has it: its positions, grouped by rule, after each reading and each fill."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from options_helper.analysis.reconcile.account_import import (
    import_portfolio,
    multiplier_of,
    standard_multiplier,
)
from options_helper.analysis.reconcile.regrouping import regroup
from options_helper.model.account import AccountPosition, AccountPositions, AccountState, Execution
from options_helper.model.contract_symbols import is_contract_symbol
from options_helper.model.portfolio import AccountPortfolio, MultiLegPosition, Portfolio
from options_helper.model.text import format_count, named

_NAMED_AT_MOST: Final = 6


@dataclass(frozen=True, slots=True)
class AccountBook:
    """The account at one instant as a portfolio, and the state of the account that it was made of."""

    portfolio: Portfolio
    problems: tuple[str, ...]  # what has no place in it, or only half of one, in sentences
    account: AccountState  # positions with all that was executed since they were read
    source: AccountState  # the same as it was told

    @property
    def read_at(self) -> datetime:
        """When the positions were asked for, on the market's clock."""
        return _view(self.account).as_of

    def is_of(self, account: AccountState) -> bool:
        """Whether it was made of what this says of positions and executions, by identity, and of as much doubt."""
        source = self.source
        return (
            source.view is account.view
            and source.executions is account.executions
            and source.later is account.later
            and source.moves == account.moves
            and source.unsettled == account.unsettled
        )

    def beside(self, account: AccountState) -> AccountState:
        """The account of now with the positions and executions of this book.

        What was open for a symbol when the book was made stays open in it: the first one waits for nothing, and stays
        while anything is open.
        """
        unsettled = self.source.unsettled | account.unsettled
        return replace(self.account, reports=account.reports, closes=account.closes, unsettled=unsettled)


def book_after(account: AccountState, before: AccountBook | None) -> AccountBook | None:
    """The book of this state, with the structures of the one before; the same object where nothing was told since.

    Where it is open for some symbols whether the positions have their last fills, and where nothing was read yet,
    the one before stays: no book has half of a fill.
    """
    if account.view is None or (before is not None and (account.unsettled or before.is_of(account))):
        return before
    return _book(account, before)


def with_later(account: AccountState) -> AccountState:
    """The account as if it had been read after its last known execution: nobody waits for the next reading.

    Costs go on as Alpaca has them within a day: an average of what was bought, which a sale leaves as it is.
    """
    view = account.view
    if view is None or not account.later:
        return account
    positions = dict(view.positions)
    for execution in account.later:
        positions[execution.symbol] = _after(positions.get(execution.symbol), execution)
    held = {symbol: position for symbol, position in positions.items() if position.quantity}
    return replace(
        account,
        view=replace(view, positions=held, cash=_cash_after(view.cash, account.later)),
        executions=(*account.executions, *account.later),
        later=(),
    )


def _after(before: AccountPosition | None, execution: Execution) -> AccountPosition:
    symbol = execution.symbol
    held = before or AccountPosition(
        symbol=symbol,
        quantity=Decimal(),
        is_option=is_contract_symbol(symbol),
        average_price=None,
        cost_basis=None,
        market_value=None,
        current_price=None,
    )
    quantity = held.quantity + execution.quantity
    average = _average_after(held, execution)
    multiplier = standard_multiplier(held) or multiplier_of(held)
    cost = None if average is None or multiplier is None else average * quantity * multiplier
    return replace(
        held,
        quantity=quantity,
        average_price=average,
        cost_basis=cost,
        market_value=None,
    )


def _average_after(held: AccountPosition, execution: Execution) -> Decimal | None:
    """Dollars per share; None where what was held, or what came, has no known price."""
    quantity, price = held.quantity + execution.quantity, execution.price
    if quantity * held.quantity < 0 or not held.quantity:
        return price
    if abs(quantity) < abs(held.quantity):
        return held.average_price
    if price is None or held.average_price is None or not quantity:
        return None
    return (held.average_price * held.quantity + price * execution.quantity) / quantity


def _cash_after(cash: Decimal | None, executions: Iterable[Execution]) -> Decimal | None:
    """What is left of the cash, before fees; None where the price of something is not known."""
    for execution in executions:
        multiplier = standard_multiplier(_after(None, execution))
        if cash is None or execution.price is None or multiplier is None:
            return None
        cash -= execution.quantity * execution.price * multiplier
    return cash


def _book(source: AccountState, before: AccountBook | None) -> AccountBook:
    account = with_later(source)
    imported = import_portfolio(_view(account))
    singles = [one for one in imported.portfolio.positions if not isinstance(one, MultiLegPosition)]
    grouped = regroup(singles, before.portfolio.structures if before else ())
    portfolio = AccountPortfolio(cash=imported.portfolio.cash, positions=grouped)
    if before is not None and before.portfolio == portfolio:
        # Whoever compares by identity sees that nothing has changed.
        portfolio = before.portfolio
    problems = (*imported.problems, *_not_readable(_view(account)))
    return AccountBook(portfolio, problems, account, source)


def _view(account: AccountState) -> AccountPositions:
    if account.view is None:
        raise ValueError("an account that was not read makes no book")
    return account.view


def _not_readable(view: AccountPositions) -> Iterator[str]:
    if view.left_out:
        yield f"Held, but how much of it could not be read: {named(sorted(view.left_out), _NAMED_AT_MOST)}."
    if view.unnamed:
        yield f"{format_count(view.unnamed, 'row')} of the account could not be read and named nothing."
    if view.foreign:
        yield (
            f"Neither a US share nor an option nor a coin in dollars: "
            f"{named(sorted(view.foreign), _NAMED_AT_MOST)}."
        )
