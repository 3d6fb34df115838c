"""What is watched: the portfolio of a file, or of the account."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from options_helper.analysis.reconcile import account_book
from options_helper.data.portfolio_file import PortfolioFile, follow, reread
from options_helper.errors import ConfigError
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot


@dataclass(frozen=True, slots=True)
class BookNow:
    """The portfolio beside the streams at one moment."""

    snapshot: LiveSnapshot  # with the account as the portfolio counts it
    # The same object while nothing changed; None before there is a first, and while nobody tells of it any more.
    portfolio: Portfolio | None
    problem: str | None = (
        None  # what is wrong with it, as a sentence; the last good reading of a file stays in use
    )


class Book(Protocol):
    """Where the portfolio comes from; called on one thread."""

    def look(self, snapshot: LiveSnapshot) -> BookNow:
        """The portfolio now, beside what the streams say."""


class FileBook:
    """A file, read again when it changes; a broken one leaves the last good reading in use."""

    def __init__(self, path: Path) -> None:
        self._file = reread(PortfolioFile(path, path.name))
        if self._file.portfolio is None:
            raise ConfigError(self._file.problem or f"{path.name} cannot be read.")

    def look(self, snapshot: LiveSnapshot) -> BookNow:
        """What the file says."""
        before, self._file = self._file, follow(self._file)
        if before.portfolio == self._file.portfolio:
            self._file = replace(self._file, portfolio=before.portfolio)
        return BookNow(snapshot, self._file.portfolio, self._file.problem)


class AccountBook:
    """The account's positions after each reading and each fill, in the structures that the page has them in."""

    def __init__(self) -> None:
        self._made: account_book.AccountBook | None = None

    def look(self, snapshot: LiveSnapshot) -> BookNow:
        """What is known of the account, with every fill or without any part of it."""
        self._made = made = account_book.book_after(snapshot.account, self._made)
        lost = None if snapshot.desk is None else snapshot.desk.account_problem
        if made is None or lost is not None:
            return BookNow(snapshot, None, lost or "The account has not been read yet.")
        settled = replace(snapshot, account=made.beside(snapshot.account))
        return BookNow(settled, made.portfolio, " ".join(made.problems) or None)
