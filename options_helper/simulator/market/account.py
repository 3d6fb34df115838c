"""The account behind a market: what it holds and ordered and what happened to it, whether or not somebody listened."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from decimal import Decimal
from itertools import count
from types import MappingProxyType
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

from options_helper.model import tolerant
from options_helper.model.contract_symbols import is_contract_symbol
from options_helper.model.instants import epoch_nanoseconds, utc_datetime
from options_helper.model.market_hours import NEW_YORK
from options_helper.simulator.wire.protocol import TRADE_UPDATES, rfc3339

Row = Mapping[str, Any]
Number = Decimal | int | float | str

NO_FIELDS: Final[Row] = MappingProxyType({})
DEFAULT_CASH: Final = Decimal(100_000)
CONTRACT_SHARES: Final = 100
FILL: Final = "FILL"
EXECUTIONS: Final = frozenset({"fill", "partial_fill"})
CLOSED_STATUSES: Final = frozenset({"filled", "canceled", "expired", "replaced", "rejected"})
DESCRIPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "OPASN": "Option Assignment",
        "OPEXC": "Option Exercise",
        "OPEXP": "Option Expiry",
        "OPTRD": "Option Trade",
    }
)


@dataclass(frozen=True, slots=True)
class Holding:
    """A position: short is negative. `raw` are fields that the answer shall have as they are."""

    symbol: str
    quantity: Decimal
    average_price: Decimal | None  # per share; None: not known
    raw: Row = field(default_factory=lambda: NO_FIELDS)

    @property
    def multiplier(self) -> int:
        """Shares that one of it stands for."""
        return shares_in(self.symbol)

    def after(self, quantity: Decimal, price: Decimal) -> Holding:
        """What is left after a purchase (or a sale, negative): the cost of what was held before stays."""
        left = self.quantity + quantity
        if self.quantity * quantity >= 0:
            known = price if self.average_price is None else self.average_price
            average = (known * self.quantity + price * quantity) / left if left else known
        elif self.quantity * left < 0:
            average = price
        else:
            return replace(self, quantity=left)
        return replace(self, quantity=left, average_price=average)


@dataclass(frozen=True, slots=True, order=True)
class Placed:
    """An order or an activity as REST tells it, in its place in time."""

    at_ns: int
    number: int
    row: Row = field(compare=False)

    @property
    def identity(self) -> str:
        """Its id."""
        return str(self.row["id"])


@dataclass(frozen=True, slots=True)
class _Execution:
    """A fill of an order, or of one leg of it."""

    identity: str
    kind: str
    order_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    at_ns: int
    ordered: Decimal | None
    filled: Decimal | None  # of the order so far, as the update says
    status: str | None

    @property
    def signed_quantity(self) -> Decimal:
        return -self.quantity if self.side.startswith("sell") else self.quantity


class SimulatedAccount:
    """Positions, cash, orders and activities; whoever owns it sees to it that one thread at a time uses it."""

    def __init__(self, holdings: Sequence[Holding] = (), cash: Decimal | None = None) -> None:
        self.cash = DEFAULT_CASH if cash is None else cash
        self._holdings: dict[str, Holding] = {}
        self._orders: dict[str, Placed] = {}
        self._activities: list[Placed] = []
        self._executed: set[str] = set()
        self._filled: dict[str, Decimal] = {}
        self._numbers = count()
        for holding in holdings:
            self._trade(holding.symbol, holding.quantity, holding.average_price or Decimal())

    @property
    def holdings(self) -> list[Holding]:
        """What it holds, in the order in which it came."""
        return list(self._holdings.values())

    def set_holding(self, holding: Holding) -> None:
        """Hold exactly this much; 0 is nothing."""
        self._holdings.pop(holding.symbol, None)
        if holding.quantity:
            self._holdings[holding.symbol] = holding

    def receive(self, symbol: str, quantity: Decimal, price: Decimal) -> None:
        """Have shares come at a price that is paid, or go where negative; no order did it."""
        self._trade(symbol, quantity, price)
        self.cash -= quantity * price * shares_in(symbol)

    def note(self, update: Any, now_ns: int) -> None:
        """Keep what an order update of the socket says; anything that is none is passed over."""
        data = _data_of(update)
        order = tolerant.field(data, "order")
        if not isinstance(order, Mapping) or tolerant.word(order.get("id")) is None:
            return
        times = (tolerant.field(data, "timestamp"), tolerant.field(data, "at"), order.get("updated_at"))
        at_ns = next((ns for ns in map(epoch_nanoseconds, times) if ns is not None), now_ns)
        self.add_order(order, at_ns)
        if tolerant.field(data, "event") in EXECUTIONS:
            for execution in _executions(data, order, at_ns):
                self._execute(execution)

    def add_order(self, raw: Row, now_ns: int) -> str:
        """Put an order in the book, or in the place of the one with its id; missing id and times are made up."""
        identity = tolerant.word(raw.get("id")) or self._new_identity("order")
        before = self._orders[identity].row["submitted_at"] if identity in self._orders else rfc3339(now_ns)
        submitted = raw.get("submitted_at") or raw.get("created_at") or before
        row = {**raw, "id": identity, "submitted_at": submitted}
        at_ns = epoch_nanoseconds(submitted)
        self._orders[identity] = Placed(now_ns if at_ns is None else at_ns, next(self._numbers), row)
        return identity

    def add_activity(self, kind: str, at_ns: int, fields: Row) -> str:
        """Let something have happened that no socket told; positions stay as they are. Its id.

        A fill has its instant. Everything else has only a day, and an id of that day's midnight, as with Alpaca.
        """
        moment = utc_datetime(at_ns).astimezone(NEW_YORK)
        if kind != FILL:
            at_ns = _midnight(moment.date())
        execution = fields.get("execution_id") or self._new_identity(kind)
        own = {key: value for key, value in fields.items() if key != "execution_id" and value is not None}
        row = {"activity_type": kind, "id": _activity_id(at_ns, str(execution))}
        of_kind = self._fill_fields(at_ns, own) if kind == FILL else _event_fields(kind, moment.date(), own)
        row |= of_kind | own
        insort(self._activities, Placed(at_ns, next(self._numbers), row))
        return str(row["id"])

    def orders(self) -> list[Placed]:
        """All orders, oldest first."""
        return sorted(self._orders.values())

    def activities(self) -> Sequence[Placed]:
        """All activities, oldest first."""
        return tuple(self._activities)

    def _execute(self, execution: _Execution) -> None:
        if execution.identity in self._executed:
            return
        self._executed.add(execution.identity)
        so_far = self._filled.get(execution.order_id, Decimal()) + execution.quantity
        filled = self._filled[execution.order_id] = execution.filled or so_far
        leaves = Decimal() if execution.ordered is None else max(Decimal(), execution.ordered - filled)
        self._trade(execution.symbol, execution.signed_quantity, execution.price)
        self.cash -= execution.signed_quantity * execution.price * shares_in(execution.symbol)
        fields = {
            "execution_id": execution.identity,
            "cum_qty": plain(filled),
            "leaves_qty": plain(leaves),
            "price": plain(execution.price),
            "qty": plain(execution.quantity),
            "side": execution.side,
            "symbol": execution.symbol,
            "order_id": execution.order_id,
            "order_status": execution.status,
            "type": execution.kind,
        }
        self.add_activity(FILL, execution.at_ns, fields)

    def _fill_fields(self, at_ns: int, own: Row) -> dict[str, Any]:
        """What a fill has besides: it filled its order, unless something else is said."""
        return {
            "transaction_time": _milliseconds(at_ns),
            "cum_qty": own.get("qty"),
            "leaves_qty": "0",
            "order_id": self._new_identity("order"),
            "order_status": "filled",
            "type": "fill",
        }

    def _trade(self, symbol: str, quantity: Decimal, price: Decimal) -> None:
        held = self._holdings.get(symbol) or Holding(symbol, Decimal(), None)
        left = held.after(quantity, price)
        self._holdings[symbol] = left
        if not left.quantity:
            del self._holdings[symbol]

    def _new_identity(self, kind: str) -> str:
        return str(uuid5(NAMESPACE_OID, f"{kind} {next(self._numbers)}"))


def shares_in(symbol: str) -> int:
    """Shares that one of it stands for."""
    return CONTRACT_SHARES if is_contract_symbol(symbol) else 1


def plain(number: Decimal) -> str:
    """An amount as Alpaca writes it: no exponent, no zeros that say nothing."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _data_of(update: Any) -> Any:
    if not isinstance(update, Mapping) or "stream" not in update:
        return update
    return update.get("data") if update["stream"] == TRADE_UPDATES else None


def _executions(data: Any, order: Row, at_ns: int) -> Iterator[_Execution]:
    """One for a simple order, one for each executed leg of another."""
    legs = [leg for leg in tolerant.items(tolerant.field(data, "legs")) if isinstance(leg, Mapping)]
    if not legs:
        yield from _execution(data, order, tolerant.word(tolerant.field(data, "event")) or "", at_ns)
        return
    ordered = [leg for leg in tolerant.items(order.get("legs")) if isinstance(leg, Mapping)]
    for leg in legs:
        leg_order = _order_of(leg, ordered)
        at = epoch_nanoseconds(leg.get("timestamp"))
        kind = "partial_fill" if leg_order.get("status") == "partially_filled" else "fill"
        yield from _execution(leg, leg_order, kind, at_ns if at is None else at)


def _order_of(leg: Row, ordered: Sequence[Row]) -> Row:
    """The order of an executed leg, as far as the update tells it."""
    same_id = [order for order in ordered if order.get("id") == leg.get("order_id") is not None]
    same_symbol = [order for order in ordered if order.get("symbol") == leg.get("symbol")]
    known_fields = (same_id or same_symbol or [NO_FIELDS])[0]
    known = {"id": leg.get("order_id"), "symbol": leg.get("symbol")}
    return {**known, **{key: value for key, value in known_fields.items() if value is not None}}


def _execution(data: Row, order: Row, kind: str, at_ns: int) -> Iterator[_Execution]:
    """None at all when it cannot be booked: without symbol, side, quantity or price there is no execution."""
    symbol, side, order_id = (tolerant.word(order.get(name)) for name in ("symbol", "side", "id"))
    quantity, price = (tolerant.amount(data.get(name)) for name in ("qty", "price"))
    if symbol is None or side is None or order_id is None or quantity is None or price is None:
        return
    filled = tolerant.amount(order.get("filled_qty"))
    unnamed = str(uuid5(NAMESPACE_OID, f"{order_id} {filled} {at_ns}"))
    yield _Execution(
        identity=tolerant.word(data.get("execution_id")) or unnamed,
        kind=kind,
        order_id=order_id,
        symbol=symbol,
        side=side,
        quantity=abs(quantity),
        price=price,
        at_ns=at_ns,
        ordered=tolerant.amount(order.get("qty")),
        filled=filled,
        status=tolerant.word(order.get("status")),
    )


def _event_fields(kind: str, day: date, own: Row) -> dict[str, Any]:
    quantity, price = tolerant.amount(own.get("qty")), tolerant.amount(own.get("price"))
    paid = Decimal() if quantity is None or price is None else quantity * price
    return {
        "date": day.isoformat(),
        "net_amount": plain(-paid),
        "description": DESCRIPTIONS.get(kind, ""),
        "status": "executed",
    }


def _activity_id(at_ns: int, execution: str) -> str:
    moment = utc_datetime(at_ns).astimezone(NEW_YORK)
    return f"{moment:%Y%m%d%H%M%S}{moment.microsecond // 1_000:03d}::{execution}"


def _midnight(day: date) -> int:
    return epoch_nanoseconds(datetime.combine(day, time(), NEW_YORK)) or 0


def _milliseconds(at_ns: int) -> str:
    return f"{utc_datetime(at_ns):%Y-%m-%dT%H:%M:%S}.{at_ns // 1_000_000 % 1_000:03d}Z"
