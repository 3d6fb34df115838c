"""A day on which a company reports, as the user wrote it down: no server of Alpaca's tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Earnings:
    """One report of one company."""

    symbol: str  # of the share, in Alpaca's spelling
    day: date
    said_by: str  # who says so
    entered: date  # when it was written down
