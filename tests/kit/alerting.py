"""The logs and leases of alerts in a test's folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from options_helper.alerting.books import AlertBooks, Scope, books_at


def alert_books(path: Path, who: str, since: datetime) -> dict[Scope, AlertBooks]:
    """The portfolio's at this path, and the account's beside it."""
    account = path.with_name(f"{path.name}-of-the-account")
    return {Scope.ACCOUNT: books_at(account, who, since), Scope.BOOK: books_at(path, who, since)}
