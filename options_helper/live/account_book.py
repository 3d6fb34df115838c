"""The portfolio as the account has it, for all viewers of a run, and where a run's portfolio comes from."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from options_helper.analysis.reconcile.account_book import AccountBook, book_after
from options_helper.data.portfolio_file import PortfolioFile
from options_helper.model.snapshot import LiveSnapshot

# In place of a file that was read: it has no path, so nobody follows it.
ACCOUNT_FILE: Final = PortfolioFile(Path(), name="the account")
# Who holds an older snapshot than the newest is at most some looks behind.
_KEPT: Final = 4


def is_account(portfolio_file: PortfolioFile) -> bool:
    """Whether it stands for the account and not for a file."""
    return replace(portfolio_file, portfolio=None) == ACCOUNT_FILE


class PortfolioSource(StrEnum):
    """Where the portfolio of a run comes from."""

    FILE = "file"
    ACCOUNT = "account"


def default_source(environ: Mapping[str, str] = os.environ) -> PortfolioSource:
    """What the launcher was told, else a file."""
    named_source = environ.get("OH_PORTFOLIO_SOURCE", "")
    return PortfolioSource.ACCOUNT if named_source == PortfolioSource.ACCOUNT else PortfolioSource.FILE


def as_file(book: AccountBook) -> PortfolioFile:
    """The same where a portfolio file is expected."""
    return replace(ACCOUNT_FILE, portfolio=book.portfolio)


class AccountBooks:
    """Makes the books of one account, each with the structures of the one before. Callable from any thread."""

    def __init__(self) -> None:
        # Held while a snapshot is taken too, so that no book is made of an older one than the last.
        self._lock = threading.Lock()
        self._books: deque[AccountBook] = deque(maxlen=_KEPT)  # the newest first; replaced under the lock

    @property
    def newest(self) -> AccountBook | None:
        """The last book that was made; None before the account was read for the first time."""
        books = self._books
        return books[0] if books else None

    def forget(self) -> None:
        """Another account is asked from now on."""
        with self._lock:
            self._books.clear()

    def settled(self, take: Callable[[], LiveSnapshot]) -> LiveSnapshot:
        """A snapshot whose account is that of a book: with every fill, or without any part of it.

        Where it is open for some symbols whether the positions have their last fills, and where nothing was read yet,
        the book before stays.
        """
        with self._lock:
            snapshot = take()
            if snapshot.desk is not None and snapshot.desk.account_problem is not None:
                return snapshot  # what was known of it is not to be believed any more, or is another's
            before = self.newest
            book = book_after(snapshot.account, before)
            if book is not None and book is not before:
                self._books.appendleft(book)
        return snapshot if book is None else replace(snapshot, account=book.beside(snapshot.account))

    def book_in(self, snapshot: LiveSnapshot) -> AccountBook | None:
        """The book of a snapshot that `settled` gave; None before the first."""
        with self._lock:
            books = tuple(self._books)
        view = snapshot.account.view
        return next((book for book in books if book.account.view is view), None) if view is not None else None
