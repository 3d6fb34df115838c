"""What Alpaca has on record of a contract: its terms beyond what its symbol says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from options_helper.model.alpaca_symbols import is_index
from options_helper.model.portfolio import Instrument

# Options on an index are exercised at their end alone, but for these (Cboe's specifications; XEO is the European one).
_AMERICAN_INDICES: Final = frozenset({"OEX"})


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


def named_at_open(one: Instrument, records: Mapping[str, ContractRecord]) -> bool | None:
    """Whether it is settled at the open, as Alpaca's record says, else the file; None: its root has to."""
    record = records.get(one.live_symbol)
    told = None if record is None else record.settled_at_open
    return one.settled_at_open if told is None else told


def is_american(one: Instrument, records: Mapping[str, ContractRecord]) -> bool:
    """Whether it may be exercised before its end: as the file says, else Alpaca's record, else by its root."""
    record = records.get(one.live_symbol)
    style = one.exercise_style or (None if record is None else record.exercise_style)
    if style is not None:
        return style != "european"
    return not is_index(one.underlying) or one.underlying in _AMERICAN_INDICES
