"""Turn an order update, whatever its shape, into one row with stable keys: an odd field must never cost a fill.

Alpaca writes amounts as text and adds events, states and sides without notice. Amounts become `Decimal`, exactly as
written; words stay the words they are; what is missing or unreadable is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from options_helper.data.streaming.events import epoch_nanoseconds, utc_datetime
from options_helper.data.tolerant import amount, field, items, word

Row = dict[str, Any]

# The events that are executions.
FILL_EVENTS: Final = ("fill", "partial_fill")


def normalize_trade_update(update: Any) -> Row | None:
    """Make the row of an order update; None for anything that is none, such as the answer to a login.

    Takes the wire's envelope, its `data` map, or the SDK's TradeUpdate. `qty`, `filled_qty` and `filled_avg_price` are
    the order's so far; `price` and `fill_qty` are those of this one execution. `timestamp` is a UTC datetime cut to
    the microsecond, `timestamp_ns` the same instant exactly.
    """
    data = _data(update)
    order = field(data, "order")
    if word(field(data, "event")) is None and order is None:
        return None
    timestamp_ns = _update_time(data, order)
    return {
        "timestamp": _datetime(timestamp_ns),
        "timestamp_ns": timestamp_ns,
        "event": word(field(data, "event")),
        "order_id": word(field(order, "id")),
        "symbol": word(field(order, "symbol")),
        "side": word(field(order, "side")),
        "qty": amount(field(order, "qty")),
        "filled_qty": amount(field(order, "filled_qty")),
        "filled_avg_price": amount(field(order, "filled_avg_price")),
        "status": word(field(order, "status")),
        "execution_id": word(field(data, "execution_id")),
        "previous_execution_id": word(field(data, "previous_execution_id")),
        "price": amount(field(data, "price")),
        "fill_qty": amount(field(data, "qty")),
        "order_type": word(field(order, "order_type")) or word(field(order, "type")),
        "tif": word(field(order, "time_in_force")),
        "limit_price": amount(field(order, "limit_price")),
        "stop_price": amount(field(order, "stop_price")),
        "position_qty": amount(field(data, "position_qty")),
        "legs": _legs(data, order),
    }


def _data(update: Any) -> Any:
    if not isinstance(update, Mapping) or "stream" not in update:
        return update
    return update.get("data") if update["stream"] == "trade_updates" else None


def _update_time(data: Any, order: Any) -> int | None:
    # Alpaca documents `timestamp` for some events only; `at` and the order's last change are this same update's.
    candidates = (field(data, "timestamp"), field(data, "at"), field(order, "updated_at"))
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
    ordered, executed = items(field(order, "legs")), items(field(data, "legs"))
    if not ordered and not executed:
        return None
    executions = {word(field(leg, "symbol")): leg for leg in executed}
    known = {word(field(leg, "symbol")) for leg in ordered}
    unordered = [leg for leg in executed if word(field(leg, "symbol")) not in known]
    positions = field(data, "position_qtys")
    return tuple(
        _leg(order_leg, executions.get(word(field(order_leg, "symbol"))), positions) for order_leg in ordered
    ) + tuple(_leg(None, execution, positions) for execution in unordered)


def _leg(order_leg: Any, execution: Any, positions: Any) -> Row:
    symbol = word(field(order_leg, "symbol")) or word(field(execution, "symbol"))
    return {
        "order_id": word(field(order_leg, "id")) or word(field(execution, "order_id")),
        "symbol": symbol,
        "side": word(field(order_leg, "side")),
        "qty": amount(field(order_leg, "qty")),
        "filled_qty": amount(field(order_leg, "filled_qty")),
        "filled_avg_price": amount(field(order_leg, "filled_avg_price")),
        "status": word(field(order_leg, "status")),
        "execution_id": word(field(execution, "execution_id")),
        "price": amount(field(execution, "price")),
        "fill_qty": amount(field(execution, "qty")),
        "position_qty": amount(field(positions, symbol)) if symbol else None,
    }
