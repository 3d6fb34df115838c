"""Turn what tells of an order or a fill, whatever its shape, into one row: an odd field must never cost a fill.

Alpaca writes amounts as text and adds events, states and sides without notice. Amounts become `Decimal`, exactly as
written; words stay the words they are; what is missing or unreadable is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from options_helper.errors import SymbolError
from options_helper.model.contract_symbols import parse_contract_symbol
from options_helper.model.instants import epoch_nanoseconds, utc_datetime
from options_helper.model.portfolio import STANDARD_MULTIPLIER
from options_helper.model.tolerant import amount, field, items, word

Row = dict[str, Any]

# The events that are executions, and those that take one back or restate it.
FILL_EVENTS: Final = ("fill", "partial_fill")
CORRECTIONS: Final = ("trade_bust", "trade_correct")

FILL_ACTIVITY: Final = "FILL"
# What Alpaca calls the activities that only its plain HTTP side tells, and what a row does.
SHARES_MOVED: Final = "OPTRD"
ENDS_OF_CONTRACTS: Final = ("OPASN", "OPEXC", "OPEXP")
OPTION_ACTIVITIES: Final[Mapping[str, str]] = {
    **dict(zip(ENDS_OF_CONTRACTS, ("assignment", "exercise", "expiry"), strict=True)),
    SHARES_MOVED: "option_trade",
}
# What else changes a position, by what it is called there. A pass-through charge (PTC) moves money only.
STOCK_DIVIDEND: Final = "DIV"
POSITION_MOVES: Final[Mapping[str, str]] = {
    "ACATS": "transfer",
    STOCK_DIVIDEND: "stock_dividend",
    "EXTRD": "external_trade",
    "FOPT": "transfer",
    "JNLS": "journal_of_shares",
    "MA": "merger",
    "NC": "name_change",
    "OPCA": "option_corporate_action",
    "OPCSH": "option_cash_settlement",
    "REORG": "reorganization",
    "SC": "symbol_change",
    "SPIN": "spin-off",
    "SPLIT": "split",
    "VOF": "voluntary_offering",
}
MOVE_EVENTS: Final = frozenset(POSITION_MOVES.values())

# When an order came to its end, by its status.
_END_TIMES: Final[Mapping[str | None, str]] = {
    "canceled": "canceled_at",
    "expired": "expired_at",
    "rejected": "failed_at",
    "replaced": "replaced_at",
}


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
    return _row(data, order)


def _row(data: Any, order: Any) -> Row:
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


def normalize_order(order: Any) -> Row:
    """Make the row of an order that was asked for: its status is the event, at the time it came to it."""
    status = word(field(order, "status"))
    since = field(order, _END_TIMES.get(status, "updated_at"))
    return _row({"event": status, "timestamp": since}, order)


def normalize_activity(activity: Any, order: Any = None) -> Row | None:
    """Make the row of an account activity; None for a kind that changes no position.

    Its `order`, where it is known, adds what the activity leaves out. A row has two keys more: `day`, in New York,
    where there is no time, and `position_change`, signed, where there is no order.
    """
    kind = word(field(activity, "activity_type")) or ""
    if kind == FILL_ACTIVITY:
        return _fill(activity, order)
    if kind in OPTION_ACTIVITIES:
        return _option_event(activity, OPTION_ACTIVITIES[kind])
    if kind in POSITION_MOVES and not is_cash_dividend(activity):
        return _move(activity, POSITION_MOVES[kind])
    return None


def is_cash_dividend(activity: Any) -> bool:
    """Whether it pays a dividend in money, which has the same type as one in shares."""
    is_dividend = word(field(activity, "activity_type")) == STOCK_DIVIDEND
    return is_dividend and word(field(activity, "activity_sub_type")) != "SDIV"


def _fill(activity: Any, order: Any) -> Row:
    event = (word(field(activity, "type")) or "").lower()
    row = _activity(activity, event if event in (*FILL_EVENTS, *CORRECTIONS) else "fill")
    running, left = amount(field(activity, "cum_qty")), amount(field(activity, "leaves_qty"))
    known = {} if order is None else normalize_order(order)
    return {
        **row,
        "order_id": word(field(activity, "order_id")),
        "side": word(field(activity, "side")),
        "qty": known.get("qty") if running is None or left is None else running + left,
        "filled_qty": running,
        "status": word(field(activity, "order_status")),
        **{name: known.get(name) for name in ("order_type", "tif", "limit_price", "stop_price")},
    }


def _option_event(activity: Any, event: str) -> Row:
    change = _position_change(activity, event)
    row = _activity(activity, event)
    return {
        **row,
        "side": None if change is None or event != "option_trade" else "buy" if change > 0 else "sell",
        "status": word(field(activity, "status")),
        "price": _price_per_share(activity) if event == "option_trade" else _settlement(activity, change),
        "position_change": change,
    }


def _move(activity: Any, event: str) -> Row:
    return {
        **_activity(activity, event),
        "status": word(field(activity, "status")),
        "position_change": _position_change(activity, event),
    }


def _activity(activity: Any, event: str) -> Row:
    """What all activities have in common, and None for the rest of a row."""
    row = _row(
        {
            "event": event,
            "timestamp": field(activity, "transaction_time"),
            "execution_id": _execution_id(activity),
            "previous_execution_id": field(activity, "previous_execution_id"),
            "price": field(activity, "price"),
            "qty": field(activity, "qty"),
        },
        {"symbol": field(activity, "symbol")},
    )
    quantity = row["fill_qty"]
    return {
        **row,
        "fill_qty": None if quantity is None else abs(quantity),
        "day": None if row["timestamp"] is not None else _day(activity),
        "position_change": None,
    }


def _execution_id(activity: Any) -> str | None:
    """The identifier within the activity's own, which begins with its time: `20190524113406977::8efc7b9a-…`."""
    identifier = word(field(activity, "id"))
    return None if identifier is None else identifier.rpartition("::")[2] or None


def _day(activity: Any) -> date | None:
    # Of the identifier's digits the first are the day, in New York.
    for text in (word(field(activity, "date")), word(field(activity, "id"))):
        for written in ((text or "")[:10], (text or "")[:8]):
            try:
                return date.fromisoformat(written)
            except ValueError:
                continue
    return None


def _position_change(activity: Any, event: str) -> Decimal | None:
    quantity = amount(field(activity, "qty"))
    if quantity is None:
        return None
    match event:
        case "assignment":
            return abs(quantity)  # only who is short is assigned
        case "exercise":
            return -abs(quantity)  # only who is long exercises
        case "option_trade":
            cash = amount(field(activity, "net_amount"))
            return quantity if not cash else -abs(quantity).copy_sign(cash)
        case _:
            return quantity  # Alpaca signs it as the change: -2 for two contracts held, 1 for one written


def _price_per_share(activity: Any) -> Decimal | None:
    cash, quantity = amount(field(activity, "net_amount")), amount(field(activity, "qty"))
    if cash and quantity:
        # The cash that moved; in Alpaca's own example the price beside it is another.
        return abs(cash / quantity)
    return amount(field(activity, "price"))


def _settlement(activity: Any, change: Decimal | None) -> Decimal | None:
    """What a contract that ended was settled at, per share: nothing where shares moved, or where it was worthless."""
    cash = amount(field(activity, "net_amount"))
    if not cash:
        return Decimal(0)
    try:
        contract = parse_contract_symbol(word(field(activity, "symbol")) or "")
    except SymbolError:
        return None
    if not change or contract.adjusted:
        return None
    price = -cash / (change * STANDARD_MULTIPLIER)
    # Who closes a short pays, and who closes a long is paid.
    return price if price > 0 else None


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
