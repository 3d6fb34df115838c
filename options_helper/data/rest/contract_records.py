"""Read the record of a contract field by field: one odd value must never cost the others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from options_helper.model.contract_records import ContractRecord, Deliverable
from options_helper.model.tolerant import amount, field, items, word

# No page of Alpaca's names the fields of an index option's settlement; these are what the field calls them.
_SETTLEMENTS: Final = ("settlement", "settlement_type", "settlement_style", "settlement_time")
_LAST_DAYS: Final = ("last_trading_date", "last_trade_date", "last_trading_day")
_AT_OPEN: Final[Mapping[str, bool]] = {"am": True, "pm": False}


def read_contract_record(symbol: str, row: Any) -> ContractRecord:
    """The record of the contract with this symbol."""
    settlements = (_AT_OPEN.get((word(field(row, name)) or "").lower()) for name in _SETTLEMENTS)
    last_days = (_day(field(row, name)) for name in _LAST_DAYS)
    tradable = field(row, "tradable")
    return ContractRecord(
        symbol=symbol,
        status=word(field(row, "status")),
        tradable=tradable if isinstance(tradable, bool) else None,
        root=word(field(row, "root_symbol")),
        underlying=word(field(row, "underlying_symbol")),
        multiplier=amount(field(row, "multiplier")) or None,
        size=amount(field(row, "size")) or None,
        close_price=amount(field(row, "close_price")),
        close_day=_day(field(row, "close_price_date")),
        settled_at_open=next((one for one in settlements if one is not None), None),
        exercise_style=(word(field(row, "style")) or "").lower() or None,
        last_trading_day=next((one for one in last_days if one is not None), None),
        deliverables=tuple(map(_deliverable, items(field(row, "deliverables")))),
    )


def _deliverable(row: Any) -> Deliverable:
    """Alpaca writes an amount of "0" while it is not determined, with a word that its settlement is delayed."""
    is_cash = (word(field(row, "type")) or "").lower() == "cash"
    told = amount(field(row, "amount"))
    is_open = field(row, "delayed_settlement") is True and not told
    # Shares that are not named are of nobody knows what.
    symbol = None if is_cash else word(field(row, "symbol")) or "shares that are not named"
    return Deliverable(symbol, None if is_open else told)


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat((word(value) or "")[:10])
    except ValueError:
        return None
