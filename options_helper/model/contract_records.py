"""What Alpaca has on record of a contract: its terms beyond what its symbol says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractRecord:
    """One listed contract; None where the record does not say, or says it in a way that cannot be read."""

    symbol: str
    status: str | None = None  # active, inactive
    tradable: bool | None = None
    root: str | None = None  # of its symbol
    underlying: str | None = None  # in Alpaca's spelling: "BRK.B"
    multiplier: Decimal | None = None  # dollars per point
    size: Decimal | None = None  # shares that one contract delivers
    close_price: Decimal | None = None  # dollars per share
    close_day: date | None = None  # of the session that it is the close of
    settled_at_open: bool | None = None
    exercise_style: str | None = None  # american, european
    last_trading_day: date | None = None
