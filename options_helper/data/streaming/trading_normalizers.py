"""Turn an order update, whatever its shape, into one row with stable keys: an odd field must never cost a fill.

Alpaca writes amounts as text and adds events, states and sides without notice. Amounts become `Decimal`, exactly as
written; words stay the words they are; what is missing or unreadable is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from options_helper.data.streaming.events import epoch_nanoseconds, utc_datetime

Row = dict[str, Any]


def normalize_trade_update(update: Any) -> Row | None:
    """Make the row of an order update; None for anything that is none, such as the answer to a login.

    Takes the wire's envelope, its `data` map, or the SDK's TradeUpdate. `qty`, `filled_qty` and `filled_avg_price` are
    the order's so far; `price` and `fill_qty` are those of this one execution. `timestamp` is a UTC datetime cut to
    the microsecond, `timestamp_ns` the same instant exactly.
    """
    data = _data(update)
    order = _field(data, "order")
    if _word(_field(data, "event")) is None and order is None:
        return None
    timestamp_ns = _update_time(data, order)
    return {
        "timestamp": _datetime(timestamp_ns),
        "timestamp_ns": timestamp_ns,
        "event": _word(_field(data, "event")),
        "order_id": _word(_field(order, "id")),
        "symbol": _word(_field(order, "symbol")),
        "side": _word(_field(order, "side")),
        "qty": _amount(_field(order, "qty")),
        "filled_qty": _amount(_field(order, "filled_qty")),
        "filled_avg_price": _amount(_field(order, "filled_avg_price")),
        "status": _word(_field(order, "status")),
        "execution_id": _word(_field(data, "execution_id")),
        "price": _amount(_field(data, "price")),
        "fill_qty": _amount(_field(data, "qty")),
        "order_type": _word(_field(order, "order_type")) or _word(_field(order, "type")),
        "tif": _word(_field(order, "time_in_force")),
        "limit_price": _amount(_field(order, "limit_price")),
        "stop_price": _amount(_field(order, "stop_price")),
        "position_qty": _amount(_field(data, "position_qty")),
        "legs": _legs(data, order),
    }


def _data(update: Any) -> Any:
    if not isinstance(update, Mapping) or "stream" not in update:
        return update
    return update.get("data") if update["stream"] == "trade_updates" else None


def _field(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def _word(value: Any) -> str | None:
    """The text of a word, an enum or an identifier; Alpaca leaves a field empty where it does not apply."""
    plain = getattr(value, "value", value)
    if plain is None or isinstance(plain, Mapping | bool) or _is_list(plain):
        return None
    return str(plain) or None


def _amount(value: Any) -> Decimal | None:
    """An amount exactly as written; a float by its shortest text, which is what was written before it was parsed."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        amount = Decimal(str(value))
    except (InvalidOperation, ValueError):
        # The second is Python's own limit on the digits of an integer.
        return None
    return amount if amount.is_finite() else None


def _update_time(data: Any, order: Any) -> int | None:
    # Alpaca documents `timestamp` for some events only; `at` and the order's last change are this same update's.
    candidates = (_field(data, "timestamp"), _field(data, "at"), _field(order, "updated_at"))
    instants = (epoch_nanoseconds(candidate) for candidate in candidates)
    return next((instant for instant in instants if _datetime(instant) is not None), None)


def _datetime(nanoseconds: int | None) -> datetime | None:
    if nanoseconds is None:
        return None
    try:
        return utc_datetime(nanoseconds)
    except (ValueError, OverflowError, OSError):
        return None


def _legs(data: Any, order: Any) -> tuple[Row, ...] | None:
    """What the update says of each leg of a multi-leg order: the order's legs, completed by this execution's."""
    ordered, executed = _list(_field(order, "legs")), _list(_field(data, "legs"))
    if not ordered and not executed:
        return None
    executions = {_word(_field(leg, "symbol")): leg for leg in executed}
    known = {_word(_field(leg, "symbol")) for leg in ordered}
    unordered = [leg for leg in executed if _word(_field(leg, "symbol")) not in known]
    positions = _field(data, "position_qtys")
    return tuple(
        _leg(order_leg, executions.get(_word(_field(order_leg, "symbol"))), positions)
        for order_leg in ordered
    ) + tuple(_leg(None, execution, positions) for execution in unordered)


def _leg(order_leg: Any, execution: Any, positions: Any) -> Row:
    symbol = _word(_field(order_leg, "symbol")) or _word(_field(execution, "symbol"))
    return {
        "order_id": _word(_field(order_leg, "id")) or _word(_field(execution, "order_id")),
        "symbol": symbol,
        "side": _word(_field(order_leg, "side")),
        "qty": _amount(_field(order_leg, "qty")),
        "filled_qty": _amount(_field(order_leg, "filled_qty")),
        "filled_avg_price": _amount(_field(order_leg, "filled_avg_price")),
        "status": _word(_field(order_leg, "status")),
        "execution_id": _word(_field(execution, "execution_id")),
        "price": _amount(_field(execution, "price")),
        "fill_qty": _amount(_field(execution, "qty")),
        "position_qty": _amount(_field(positions, symbol)) if symbol else None,
    }


def _list(value: Any) -> list[Any]:
    return list(value) if _is_list(value) else []


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
