"""What is watched: the portfolio of a file, or of the account."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from options_helper.analysis.reconcile.account_import import import_portfolio
from options_helper.analysis.reconcile.grouping import group_entries
from options_helper.data.portfolio_file import PortfolioFile, reread
from options_helper.errors import ConfigError
from options_helper.model.account import AccountState
from options_helper.model.portfolio import Portfolio


class Book(Protocol):
    """Where the portfolio comes from."""

    @property
    def problem(self) -> str | None:
        """What is wrong with it now, as a sentence; the last good one stays in use."""

    def look(self, account: AccountState) -> Portfolio | None:
        """The portfolio now; the same object while nothing changed; None before there is a first."""


class FileBook:
    """A file, read again when it changes; a broken one leaves the last good reading in use."""

    def __init__(self, path: Path) -> None:
        self._file = reread(PortfolioFile(path, path.name))
        if self._file.portfolio is None:
            raise ConfigError(self._file.problem or f"{path.name} cannot be read.")

    @property
    def problem(self) -> str | None:
        """What is wrong with the file now."""
        return self._file.problem

    def look(self, account: AccountState) -> Portfolio | None:  # noqa: ARG002 - a file does not ask it
        """What the file says."""
        before, self._file = self._file, reread(self._file)
        if before.portfolio == self._file.portfolio:
            self._file = replace(self._file, portfolio=before.portfolio)
        return self._file.portfolio


class AccountBook:
    """The account's positions, grouped by rule; while it is open whether a fill is in them, those of before stay."""

    def __init__(self) -> None:
        self._portfolio: Portfolio | None = None
        self._problems: tuple[str, ...] = ()

    @property
    def problem(self) -> str | None:
        """What has no place in it; or that nothing was read yet."""
        if self._portfolio is None:
            return "The account has not been read yet."
        return " ".join(self._problems) or None

    def look(self, account: AccountState) -> Portfolio | None:
        """What was read of the account last."""
        if account.view is None or account.unsettled:
            return self._portfolio
        imported = import_portfolio(account.view)
        grouped = group_entries(imported.portfolio.positions)
        portfolio = imported.portfolio.changed(positions=grouped.entries)
        if self._portfolio is None or portfolio.positions != self._portfolio.positions:
            self._portfolio = portfolio
        self._problems = imported.problems
        return self._portfolio
