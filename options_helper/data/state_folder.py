"""Where programs keep what is theirs for this user and outlives none of them: heartbeats, and what they share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from platformdirs import user_state_path

APPLICATION: Final = "options-helper"


def state_folder(environ: Mapping[str, str] | None = None) -> Path:
    """The folder; it may not exist yet. RuntimeError for a user without a home."""
    environ = os.environ if environ is None else environ
    if base := environ.get("XDG_STATE_HOME"):
        return Path(base) / APPLICATION
    return user_state_path(APPLICATION, appauthor=False)
