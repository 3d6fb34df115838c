"""Read what reports an order or a fill, whatever its shape, into one value: an odd field must never cost a fill.

Alpaca writes amounts as text and adds events, states and sides without notice. Amounts become `Decimal`, exactly as
written; words stay the words they are; what is missing or unreadable is None.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final, assert_never

from options_helper.errors import SymbolError
from options_helper.model.account import ExecutionKind, PositionMove
from options_helper.model.contract_symbols import (
    compact_symbol,
    is_contract_symbol,
    parse_contract_symbol,
    usual_multiplier,
)
from options_helper.model.instants import epoch_nanoseconds, utc_datetime
from options_helper.model.order_updates import (
    FILL_EVENTS,
    CorrectionKind,
    LegUpdate,
    OrderUpdate,
)
from options_helper.model.tolerant import amount, field, items, word

Row = dict[str, Any]

FILL_ACTIVITY: Final = "FILL"
# What Alpaca calls the activities that only its plain HTTP side reports, and what each does. It has two lists of names,
# one in its documents and one in its SDK: exercises are OPXRC or OPEXC, splits SSP or SPLIT, spin-offs SSO or SPIN.
SHARES_MOVED: Final = "OPTRD"
ENDS_OF_CONTRACTS: Final[Mapping[str, ExecutionKind]] = {
    "OPASN": ExecutionKind.ASSIGNMENT,
    "OPCSH": ExecutionKind.CASH_SETTLEMENT,
    "OPEXC": ExecutionKind.EXERCISE,
    "OPEXP": ExecutionKind.EXPIRY,
    "OPXRC": ExecutionKind.EXERCISE,
}
OPTION_ACTIVITIES: Final[Mapping[str, ExecutionKind]] = {
    **ENDS_OF_CONTRACTS,
    SHARES_MOVED: ExecutionKind.OPTION_TRADE,
}
# What else changes a position, by what it is called there. A pass-through charge (PTC) moves money only.
STOCK_DIVIDEND: Final = "DIV"
# These say only by their symbol and quantity whether shares were moved, or money.
MONEY_OR_SHARES: Final = frozenset({"ALLOC", "CORR", "DTCS", "DVF", "JNL", "SSO", "SSP"})
POSITION_MOVES: Final[Mapping[str, PositionMove]] = {
    "ACATS": PositionMove.TRANSFER,
    "ALLOC": PositionMove.ALLOCATION,
    "CORR": PositionMove.CORRECTION,
    STOCK_DIVIDEND: PositionMove.STOCK_DIVIDEND,
    "DTCS": PositionMove.TRANSFER,
    "DVF": PositionMove.TRANSFER,
    "EXTRD": PositionMove.EXTERNAL_TRADE,
    "FOPT": PositionMove.TRANSFER,
    "JNL": PositionMove.JOURNAL_OF_SHARES,
    "JNLS": PositionMove.JOURNAL_OF_SHARES,
    "MA": PositionMove.MERGER,
    "NC": PositionMove.NAME_CHANGE,
    "OPCA": PositionMove.OPTION_CORPORATE_ACTION,
    "REORG": PositionMove.REORGANIZATION,
    "SC": PositionMove.SYMBOL_CHANGE,
    "SPIN": PositionMove.SPIN_OFF,
    "SPLIT": PositionMove.SPLIT,
    "SSO": PositionMove.SPIN_OFF,
    "SSP": PositionMove.SPLIT,
    "VOF": PositionMove.VOLUNTARY_OFFERING,
}

# The keys of a row that are the update's own fields; its legs come last.
_ROW_KEYS: Final = (
    "timestamp",
    "timestamp_ns",
    "event",
    "order_id",
    "symbol",
    "side",
    "qty",
    "filled_qty",
    "filled_avg_price",
    "status",
    "execution_id",
    "previous_execution_id",
    "price",
    "fill_qty",
    "order_type",
    "tif",
    "limit_price",
    "stop_price",
    "position_qty",
)

# When an order came to its end, by its status.
_END_TIMES: Final[Mapping[str | None, str]] = {
    "canceled": "canceled_at",
    "expired": "expired_at",
    "rejected": "failed_at",
    "replaced": "replaced_at",
}


def normalize_trade_update(update: Any) -> Row | None:
    """Make the row of an order update; None for anything that is none, such as the answer to a login.

    The keys are the fields of `OrderUpdate`, `timestamp` among them; `legs` are None or a tuple of such maps.
    """
    found = read_trade_update(update)
    return None if found is None else _as_row(found)


def read_trade_update(update: Any) -> OrderUpdate | None:
    """Read an order update of the socket; None for anything that is none, such as the answer to a login.

    Takes the wire's envelope, its `data` map, or the SDK's TradeUpdate.
    """
    data = _data(update)
    order = field(data, "order")
    if word(field(data, "event")) is None and order is None:
        return None
    return _read(data, order)


def read_order(order: Any) -> OrderUpdate:
    """Read an order of REST: its status is the event, at the time it came to it."""
    status = word(field(order, "status"))
    since = field(order, _END_TIMES.get(status, "updated_at"))
    return _read({"event": status, "timestamp": since}, order)


def read_activity(activity: Any, order: Any = None) -> OrderUpdate | None:
    """Read an account activity of REST; None for a kind that changes no position.

    Its `order`, where it is known, adds what the activity leaves out.
    """
    kind = word(field(activity, "activity_type")) or ""
    if kind == FILL_ACTIVITY:
        return _read_fill(activity, order)
    if kind in OPTION_ACTIVITIES:
        return _read_option_event(activity, OPTION_ACTIVITIES[kind])
    if kind in POSITION_MOVES and not is_payment(activity):
        return _read_move(activity, POSITION_MOVES[kind])
    return None


def is_payment(activity: Any) -> bool:
    """Whether it moves money alone, though its kind moves shares as well: a dividend, a journal entry of cash."""
    kind = word(field(activity, "activity_type"))
    if kind == STOCK_DIVIDEND:
        return word(field(activity, "activity_sub_type")) != "SDIV"
    return kind in MONEY_OR_SHARES and not (
        word(field(activity, "symbol")) and amount(field(activity, "qty"))
    )


def _as_row(update: OrderUpdate) -> Row:
    legs = None if update.legs is None else tuple(asdict(leg) for leg in update.legs)
    return {**{name: getattr(update, name) for name in _ROW_KEYS}, "legs": legs}


def _read(data: Any, order: Any) -> OrderUpdate:
    of_legs = _is_of_legs(order)
    return OrderUpdate(
        timestamp_ns=_update_time(data, order),
        event=word(field(data, "event")),
        order_id=word(field(order, "id")),
        symbol=None if of_legs else _symbol(order),
        side=None if of_legs else _side(order),
        qty=amount(field(order, "qty")),
        filled_qty=amount(field(order, "filled_qty")),
        filled_avg_price=amount(field(order, "filled_avg_price")),
        status=word(field(order, "status")),
        execution_id=word(field(data, "execution_id")),
        previous_execution_id=word(field(data, "previous_execution_id")),
        price=amount(field(data, "price")),
        fill_qty=amount(field(data, "qty")),
        order_type=word(field(order, "order_type")) or word(field(order, "type")),
        tif=word(field(order, "time_in_force")),
        limit_price=amount(field(order, "limit_price")),
        stop_price=amount(field(order, "stop_price")),
        position_qty=amount(field(data, "position_qty")),
        legs=_legs(data, order),
    )


def _read_fill(activity: Any, order: Any) -> OrderUpdate:
    event = (word(field(activity, "type")) or "").lower()
    running, left = amount(field(activity, "cum_qty")), amount(field(activity, "leaves_qty"))
    known = OrderUpdate() if order is None else read_order(order)
    return replace(
        _read_common(activity, event if event in (*FILL_EVENTS, *CorrectionKind) else "fill"),
        order_id=word(field(activity, "order_id")),
        side=_side(activity),
        qty=known.qty if running is None or left is None else running + left,
        filled_qty=running,
        status=word(field(activity, "order_status")),
        order_type=known.order_type,
        tif=known.tif,
        limit_price=known.limit_price,
        stop_price=known.stop_price,
    )


def _read_option_event(activity: Any, kind: ExecutionKind) -> OrderUpdate:
    change = _position_change(activity, kind)
    moves_shares = kind is ExecutionKind.OPTION_TRADE
    symbol = _share(activity) if moves_shares else _contract(activity)
    return replace(
        _read_common(activity, kind.value),
        symbol=symbol,
        side=None if change is None or not moves_shares else "buy" if change > 0 else "sell",
        status=word(field(activity, "status")),
        price=_price_per_share(activity) if moves_shares else _settlement(activity, symbol, change),
        reported_change=change,
    )


def _contract(activity: Any) -> str | None:
    """The contract that an option's event is of; None where it names none, as its symbol may be the underlying's."""
    named = (word(field(activity, "contract_symbol")), word(field(activity, "symbol")))
    of_asset = word(field(field(activity, "asset"), "symbol"))
    return next((compact_symbol(one) for one in (*named, of_asset) if one and is_contract_symbol(one)), None)


def _share(activity: Any) -> str | None:
    """The share that an assignment or exercise moved; None where a contract is named in its place."""
    symbol = word(field(activity, "symbol"))
    return None if symbol is None or is_contract_symbol(symbol) else symbol


def _read_move(activity: Any, move: PositionMove) -> OrderUpdate:
    common = _read_common(activity, move.value)
    return replace(
        common,
        # Of a contract that was adjusted, the symbol may be the underlying's.
        symbol=_contract(activity) or common.symbol,
        status=word(field(activity, "status")),
        # Alpaca signs it as the change.
        reported_change=amount(field(activity, "qty")),
    )


def _read_common(activity: Any, event: str) -> OrderUpdate:
    """What all activities have in common."""
    timestamp_ns = _first_instant(field(activity, "transaction_time"))
    quantity = amount(field(activity, "qty"))
    return OrderUpdate(
        timestamp_ns=timestamp_ns,
        event=event,
        symbol=_symbol(activity),
        execution_id=_execution_id(activity),
        previous_execution_id=word(field(activity, "previous_execution_id")),
        price=amount(field(activity, "price")),
        fill_qty=None if quantity is None else abs(quantity),
        day=None if timestamp_ns is not None else _day(activity),
    )


def _is_of_legs(order: Any) -> bool:
    """Whether it is the whole of a multi-leg order, which trades nothing itself, whatever stands as its symbol."""
    is_multi_leg = word(field(order, "order_class")) == "mleg"
    # Its legs may be of that class too, and are contracts.
    return is_multi_leg and not is_contract_symbol(word(field(order, "symbol")) or "")


def _symbol(holder: Any) -> str | None:
    """A symbol as all of ours are spelled: a contract without padding."""
    symbol = word(field(holder, "symbol"))
    return None if symbol is None else compact_symbol(symbol)


def _side(holder: Any) -> str | None:
    """Which way it goes; an option's order may say it by what it is meant for: buy_to_open, sell_to_close …"""
    return word(field(holder, "side")) or word(field(holder, "position_intent"))


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


def _position_change(activity: Any, kind: ExecutionKind) -> Decimal | None:
    quantity = amount(field(activity, "qty"))
    if quantity is None:
        return None
    match kind:
        case ExecutionKind.ASSIGNMENT:
            return abs(quantity)  # only who is short is assigned
        case ExecutionKind.EXERCISE:
            return -abs(quantity)  # only who is long exercises
        case ExecutionKind.OPTION_TRADE | ExecutionKind.CASH_SETTLEMENT:
            cash = amount(field(activity, "net_amount"))
            # Who buys pays; and who is paid for a contract that ended held it, and holds it no more.
            return quantity if not cash else -abs(quantity).copy_sign(cash)
        case ExecutionKind.EXPIRY | ExecutionKind.FILL:
            return quantity  # Alpaca signs it as the change: -2 for two contracts held, 1 for one written
        case _:
            assert_never(kind)


def _price_per_share(activity: Any) -> Decimal | None:
    cash, quantity = amount(field(activity, "net_amount")), amount(field(activity, "qty"))
    if cash and quantity:
        # The cash that moved; in Alpaca's own example the price beside it is another.
        return abs(cash / quantity)
    return amount(field(activity, "price"))


def _settlement(activity: Any, symbol: str | None, change: Decimal | None) -> Decimal | None:
    """What a contract that ended was settled at, per share: nothing where shares moved, or where it was worthless."""
    cash = amount(field(activity, "net_amount"))
    if not cash:
        return Decimal(0)
    try:
        contract = parse_contract_symbol(symbol or "")
    except SymbolError:
        return None
    multiplier = usual_multiplier(contract.underlying)
    if not change or multiplier is None:
        return None
    price = -cash / (change * multiplier)
    # Who closes a short pays, and who closes a long is paid.
    return price if price > 0 else None


def _data(update: Any) -> Any:
    if not isinstance(update, Mapping) or "stream" not in update:
        return update
    return update.get("data") if update["stream"] == "trade_updates" else None


def _update_time(data: Any, order: Any) -> int | None:
    # Alpaca documents `timestamp` for some events only; `at` and the order's last change are this same update's.
    return _first_instant(field(data, "timestamp"), field(data, "at"), field(order, "updated_at"))


def _first_instant(*candidates: Any) -> int | None:
    """The first that is a time a datetime can have, in epoch nanoseconds."""
    instants = (epoch_nanoseconds(candidate) for candidate in candidates)
    return next((instant for instant in instants if instant is not None and _is_in_range(instant)), None)


def _is_in_range(nanoseconds: int) -> bool:
    try:
        utc_datetime(nanoseconds)
    except (ValueError, OverflowError, OSError):
        return False
    return True


def _legs(data: Any, order: Any) -> tuple[LegUpdate, ...] | None:
    """What the update says of each leg of a multi-leg order: the order's legs, completed by this execution's.

    A leg that was filled in several pieces is told once a piece.
    """
    ordered, executed = items(field(order, "legs")), items(field(data, "legs"))
    if not ordered and not executed:
        return None
    by_id = {name: one for one in ordered if (name := word(field(one, "id")))}
    by_symbol = {_symbol(one): one for one in reversed(ordered)}
    pieces: defaultdict[int, list[Any]] = defaultdict(list)
    unordered: list[Any] = []
    for execution in executed:
        # By its order where that is told: a contract may stand twice in one order.
        order_leg = by_id.get(word(field(execution, "order_id")) or "", by_symbol.get(_symbol(execution)))
        (unordered if order_leg is None else pieces[id(order_leg)]).append(execution)
    positions = field(data, "position_qtys")
    of_ordered = [
        leg for one in ordered for leg in _legs_of_order(one, pieces.get(id(one), [None]), positions)
    ]
    return (*of_ordered, *(_leg(None, execution, positions) for execution in unordered))


def _legs_of_order(order_leg: Any, executions: list[Any], positions: Any) -> list[LegUpdate]:
    legs = [_leg(order_leg, execution, positions) for execution in executions]
    # What the order has got so far is that of the last piece, and which one that is nobody says.
    return legs if len(legs) == 1 else [replace(leg, filled_qty=None) for leg in legs]


def _leg(order_leg: Any, execution: Any, positions: Any) -> LegUpdate:
    symbol = _symbol(order_leg) or _symbol(execution)
    return LegUpdate(
        order_id=word(field(order_leg, "id")) or word(field(execution, "order_id")),
        symbol=symbol,
        side=_side(order_leg),
        qty=amount(field(order_leg, "qty")),
        filled_qty=amount(field(order_leg, "filled_qty")),
        filled_avg_price=amount(field(order_leg, "filled_avg_price")),
        status=word(field(order_leg, "status")),
        execution_id=word(field(execution, "execution_id")),
        price=amount(field(execution, "price")),
        fill_qty=amount(field(execution, "qty")),
        position_qty=amount(field(positions, symbol)) if symbol else None,
    )
