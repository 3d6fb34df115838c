"""By what a row that was recorded and one that history tells are known to be the same.

Pure. Rows are keys: trades by exchange, id and time, or by all that they say where they have no id; quotes by time,
both prices, sizes and exchanges; bars by their minute. The same key may come several times, and counts so often.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

from options_helper.data.streaming.normalizers import join_conditions
from options_helper.model.events import Bar, Quote, Trade

Key = tuple[Hashable, ...]

# The columns that a key needs, by dataset.
KEY_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "quotes": ("ts_ns", "bid_price", "bid_size", "bid_exchange", "ask_price", "ask_size", "ask_exchange"),
    "trades": ("ts_ns", "exchange", "trade_id", "price", "size", "conditions"),
    "bars": ("ts_ns",),
}


def recorded_key(dataset: str, values: Sequence[Any]) -> Key:
    """The key of a recorded row, from its KEY_COLUMNS; None where it has no value."""
    return _trade_key(values) if dataset == "trades" else tuple(values)


def event_key(event: Quote | Trade | Bar) -> Key:
    """The key of an event, equal to that of the row it makes."""
    match event:
        case Quote():
            bid = (event.bid_price, event.bid_size, event.bid_exchange or None)
            return (event.timestamp_ns, *bid, event.ask_price, event.ask_size, event.ask_exchange or None)
        case Trade():
            conditions = join_conditions(event.conditions) or None
            told = (event.timestamp_ns, event.exchange or None, event.trade_id, event.price, event.size)
            return _trade_key((*told, conditions))
        case _:
            return (event.timestamp_ns,)


def _trade_key(values: Sequence[Any]) -> Key:
    ts_ns, exchange, trade_id, *rest = values
    return (exchange, ts_ns, *rest) if trade_id is None else (exchange, ts_ns, trade_id, "id")
