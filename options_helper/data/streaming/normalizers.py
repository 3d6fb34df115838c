"""Turn a market-data event, however it was read, into the one row that the capture store writes.

An event is ours (`events.py`), a raw wire map with Alpaca's letters, or an object of the SDK. Every row has the same
keys in the same order; what the event did not say, or what is no number, is None. `seq` is not among them: the writer
counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from options_helper.model.events import WIRE_NAMES
from options_helper.model.instants import epoch_nanoseconds, nanosecond_text

Row = dict[str, Any]

_TIME_COLUMNS: Final = ("recv_ns", "ts_ns", "timestamp", "symbol")
QUOTE_COLUMNS: Final = (
    *_TIME_COLUMNS,
    "bid_price",
    "bid_size",
    "bid_exchange",
    "ask_price",
    "ask_size",
    "ask_exchange",
    "conditions",
)
TRADE_COLUMNS: Final = (*_TIME_COLUMNS, "price", "size", "exchange", "conditions", "trade_id")
BAR_COLUMNS: Final = (*_TIME_COLUMNS, "open", "high", "low", "close", "volume", "trade_count", "vwap")

# Condition codes are single signs or short words, the space among them; none of them holds a bar.
CONDITIONS_SEPARATOR: Final = "|"
# The SDK has another word for one of ours.
_SDK_NAMES: Final = {"trade_id": "id"}


def normalize_quote(event: Any, received_ns: int | None = None) -> Row | None:
    """Make the row of a quote; None for something without a symbol."""
    return _row(event, received_ns, QUOTE_COLUMNS, required=())


def normalize_trade(event: Any, received_ns: int | None = None) -> Row | None:
    """Make the row of a trade; None for something without a symbol or a price."""
    return _row(event, received_ns, TRADE_COLUMNS, required=("price",))


def normalize_bar(event: Any, received_ns: int | None = None) -> Row | None:
    """Make the row of a minute; None for something without a symbol or one of its four prices."""
    return _row(event, received_ns, BAR_COLUMNS, required=("open", "high", "low", "close"))


def join_conditions(conditions: Any) -> str | None:
    """One text for the codes of an event: a list on the stock stream, already a text on the option stream."""
    if conditions is None or isinstance(conditions, str):
        return conditions
    return CONDITIONS_SEPARATOR.join(str(code) for code in conditions)


def _row(
    event: Any, received_ns: int | None, columns: tuple[str, ...], required: tuple[str, ...]
) -> Row | None:
    values = {name: _value(event, name) for name in columns[len(_TIME_COLUMNS) :]}
    symbol = _value(event, "symbol")
    if not symbol or any(values[name] is None for name in required):
        return None
    if "conditions" in values:
        values["conditions"] = join_conditions(values["conditions"])
    exchange_ns = epoch_nanoseconds(_value(event, "timestamp"))
    return {
        # An event of ours that was never received says 0, which is no time of receipt.
        "recv_ns": received_ns if received_ns is not None else _value(event, "received_ns") or None,
        "ts_ns": exchange_ns,
        "timestamp": None if exchange_ns is None else nanosecond_text(exchange_ns),
        "symbol": symbol,
        **values,
    }


def _value(event: Any, name: str) -> Any:
    if isinstance(event, Mapping):
        value = event.get(WIRE_NAMES.get(name, name), event.get(name))
    else:
        value = getattr(event, name, None)
        if value is None and name in _SDK_NAMES:
            value = getattr(event, _SDK_NAMES[name], None)
    # The SDK's exchanges and tapes are enums around the letter we keep.
    value = getattr(value, "value", value)
    return None if type(value) is float and not isfinite(value) else value
