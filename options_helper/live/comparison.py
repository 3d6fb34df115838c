"""Compare the portfolio file with the account once for all who look, because they see one run."""

from __future__ import annotations

from dataclasses import dataclass

from options_helper.analysis.reconcile.account_book import with_later
from options_helper.analysis.reconcile.reconciliation import Behind, file_behind
from options_helper.model.account import AccountMove, AccountPositions, AccountState, Execution
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
            behind = file_behind(portfolio, with_later(account), told)
            last = _Answer(
                portfolio, account.view, account.executions, account.moves, account.later, told, behind
            )
            self._last = last
        return last.behind
