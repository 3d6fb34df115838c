"""Compare the portfolio file with the account once for all who look, because they see one run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from options_helper.analysis.reconcile.reconciliation import Behind, file_behind
from options_helper.model.account import (
    AccountMove,
    AccountPosition,
    AccountPositions,
    AccountState,
    Execution,
)
from options_helper.model.contract_symbols import is_contract_symbol
from options_helper.model.market_hours import NOTHING_TOLD, ToldSessions
from options_helper.model.portfolio import Portfolio


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was found for these, which are compared by identity: comparing their contents costs as much as asking."""

    portfolio: Portfolio
    view: AccountPositions | None
    executions: tuple[Execution, ...]
    moves: tuple[AccountMove, ...]
    later: tuple[Execution, ...]
    told: ToldSessions
    behind: Behind | None

    def holds_for(self, portfolio: Portfolio, account: AccountState, told: ToldSessions) -> bool:
        return (
            self.portfolio is portfolio
            and self.view is account.view
            and self.executions is account.executions
            and self.moves == account.moves
            and self.later is account.later
            and self.told == told
        )


class FileComparison:
    """Remembers the last answer; callable from any thread."""

    def __init__(self) -> None:
        # Replaced in one step; threads that meet here work it out twice at worst.
        self._last: _Answer | None = None

    def behind(
        self, portfolio: Portfolio, account: AccountState, told: ToldSessions = NOTHING_TOLD
    ) -> Behind | None:
        """What the file does not know of today; worked out again only when file or account has changed."""
        last = self._last
        if last is None or not last.holds_for(portfolio, account, told):
            behind = file_behind(portfolio, _with_what_came_later(account), told)
            last = _Answer(
                portfolio, account.view, account.executions, account.moves, account.later, told, behind
            )
            self._last = last
        return last.behind


def _with_what_came_later(account: AccountState) -> AccountState:
    """The account as if it had been read after its last known execution: nobody waits for the next reading."""
    view = account.view
    if view is None or not account.later:
        return account
    positions = dict(view.positions)
    for execution in account.later:
        symbol = execution.symbol
        before = positions.get(symbol) or AccountPosition(
            symbol=symbol,
            quantity=Decimal(0),
            is_option=is_contract_symbol(symbol),
            average_price=None,
            cost_basis=None,
            market_value=None,
            current_price=None,
        )
        # What the account said of the cost was of the quantity before.
        positions[symbol] = replace(
            before,
            quantity=before.quantity + execution.quantity,
            average_price=None,
            cost_basis=None,
            market_value=None,
        )
    held = {symbol: position for symbol, position in positions.items() if position.quantity}
    return replace(
        account, view=replace(view, positions=held), executions=(*account.executions, *account.later)
    )
