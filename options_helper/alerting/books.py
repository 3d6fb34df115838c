"""The log and the lease of one account's alerts on this computer."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from options_helper.data.firing_log import FiringLog
from options_helper.data.lease import Lease
from options_helper.data.secret_name import secret_name
from options_helper.data.state_folder import state_folder
from options_helper.settings import Settings

FOLDER: Final = "alerts"


@dataclass(frozen=True, slots=True)
class AlertBooks:
    """What all programs that judge this account's rules share."""

    log: FiringLog
    lease: Lease


def open_books(
    settings: Settings, who: str, since: datetime, environ: Mapping[str, str] | None = None
) -> AlertBooks:
    """Those of the account that these settings name, at their address; `who` is this program's role.

    OSError where the user has no home or the disk refuses.
    """
    try:
        folder = state_folder(environ) / FOLDER
    except RuntimeError as error:
        raise OSError("this user has no home") from error
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / secret_name(folder, _account(settings))
    return books_at(path, who, since)


def books_at(path: Path, who: str, since: datetime) -> AlertBooks:
    """Those whose files begin with this path."""
    return AlertBooks(
        FiringLog(path.with_suffix(".jsonl")), Lease(path.with_suffix(".lease"), who, since=since)
    )


def _account(settings: Settings) -> str:
    key = "" if settings.api_key is None else settings.api_key.get_secret_value()
    return f"{socket.gethostname()}\0{settings.base_url}\0{key}"
