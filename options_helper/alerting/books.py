"""The logs and the leases of one account's alerts on this computer: one pair of its own, one for each portfolio."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from options_helper.data.atomic_file import make_folder
from options_helper.data.firing_log import FiringLog
from options_helper.data.lease import Lease
from options_helper.data.secret_name import secret_name
from options_helper.data.state_folder import state_folder
from options_helper.settings import Settings

FOLDER: Final = "alerts"


class Scope(StrEnum):
    """What a rule is about, and so with whom its states and its lease are shared.

    Two programs of one account may look at two portfolios: each judges its own, and of what is the account's, its
    money, its streams and its programs, one of them tells.
    """

    ACCOUNT = "account"
    BOOK = "portfolio"


@dataclass(frozen=True, slots=True)
class AlertBooks:
    """What all programs share that judge the same."""

    log: FiringLog
    lease: Lease


def open_books(
    settings: Settings,
    portfolio: Path | None,
    who: str,
    since: datetime,
    environ: Mapping[str, str] | None = None,
    *,
    account: str | None = None,
) -> dict[Scope, AlertBooks]:
    """Those of the account that these settings name, at their address; `who` is this program's role.

    `account` stands in place of that where the account is another program's, and no key here says which.
    `portfolio` is a file; None: the account itself is the portfolio. OSError where the user has no home or the disk
    refuses.
    """
    try:
        folder = state_folder(environ) / FOLDER
    except RuntimeError as error:
        raise OSError("this user has no home") from error
    make_folder(folder, mode=0o700)
    account = _account(settings) if account is None else f"{socket.gethostname()}\0{account}"
    book = f"{account}\0{'' if portfolio is None else os.fspath(portfolio.resolve())}"
    return {
        Scope.ACCOUNT: books_at(folder / secret_name(folder, account), who, since),
        Scope.BOOK: books_at(folder / secret_name(folder, book), who, since),
    }


def books_at(path: Path, who: str, since: datetime) -> AlertBooks:
    """Those whose files begin with this path."""
    return AlertBooks(
        FiringLog(path.with_suffix(".jsonl")), Lease(path.with_suffix(".lease"), who, since=since)
    )


def _account(settings: Settings) -> str:
    key = "" if settings.api_key is None else settings.api_key.get_secret_value()
    return f"{socket.gethostname()}\0{settings.base_url}\0{key}"
