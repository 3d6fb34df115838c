"""Bounds and paces of a recording: here alone, so that the commands' help need not load the store."""

from __future__ import annotations

from typing import Final

FLUSH_ROWS: Final = 500
FLUSH_SECONDS: Final = 5.0
# Of a sampled order book, on each side.
MOST_LEVELS: Final = 50
