"""How long tests may take: LONG_TESTS=1 in the environment makes many runs of few."""

from __future__ import annotations

import os

LONG = bool(os.environ.get("LONG_TESTS"))


def runs(quick: int, long: int) -> int:
    """How often to repeat something."""
    return long if LONG else quick
