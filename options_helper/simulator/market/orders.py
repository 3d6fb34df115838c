"""The account's orders in a simulated market: now and then one is placed, partly filled, filled or cancelled."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, Literal
from uuid import UUID

from options_helper.model.instants import NANOSECONDS
from options_helper.simulator.wire.protocol import TRADE_UPDATES, rfc3339

FIRST_ORDER_SECONDS: Final = 5.0
SECONDS_BETWEEN_ORDERS: Final = (12.0, 45.0)
CANCELLED_SHARE: Final = 0.15
UNTIL_PARTLY_SECONDS: Final = 4.0
UNTIL_DONE_SECONDS: Final = 6.0
LONGEST_ORDER_NS: Final = round((UNTIL_PARTLY_SECONDS + UNTIL_DONE_SECONDS) * NANOSECONDS)

OrderEvent = Literal["new", "partial_fill", "fill", "canceled"]
STATUSES: Final[Mapping[OrderEvent, str]] = {
    "new": "new",
    "partial_fill": "partially_filled",
    "fill": "filled",
    "canceled": "canceled",
}


@dataclass(frozen=True, slots=True)
class Tradable:
    """Something the account trades: its symbol, what it holds of it, bid and ask at a market time, and until when."""

    symbol: str
    held: float
    is_option: bool
    quote: Callable[[int], tuple[float, float]]
    ends_ns: int | None = None  # from when on nobody trades it; None: never

    def trades_at(self, at_ns: int) -> bool:
        """Whether it has not ended at this market time."""
        return self.ends_ns is None or at_ns < self.ends_ns


@dataclass(slots=True)
class Order:
    """One limit order and how much of it is done."""

    tradable: Tradable
    order_id: str
    client_order_id: str
    asset_id: str
    side: Literal["buy", "sell"]
    quantity: int
    limit_price: Decimal
    created_ns: int
    filled: int = 0
    paid: Decimal = field(default_factory=Decimal)
    kind: Literal["limit", "market"] = "limit"

    @property
    def sign(self) -> int:
        """1 for a purchase, -1 for a sale."""
        return 1 if self.side == "buy" else -1


@dataclass(frozen=True, slots=True, order=True)
class _Planned:
    at_ns: int
    number: int
    order: Order = field(compare=False)
    event: OrderEvent = field(compare=False)
    quantity: int = field(compare=False, default=0)


class OrderScript:
    """Places orders and lets them happen, from dice alone; `updates` must be asked in time order."""

    def __init__(self, tradables: Sequence[Tradable], dice: random.Random, start_ns: int) -> None:
        self._tradables = tradables
        self._dice = dice
        self._next_order_ns = start_ns + round(FIRST_ORDER_SECONDS * NANOSECONDS)
        self._plan: list[_Planned] = []
        self._placed = 0
        self._positions = {tradable.symbol: Decimal(str(tradable.held)) for tradable in tradables}

    def updates(self, now_ns: int) -> Iterator[dict[str, Any]]:
        """The trade updates that fell due, as the account's endpoint sends them."""
        while self._tradables and self._next_order_ns <= now_ns:
            self._place(self._next_order_ns)
            self._next_order_ns += self._seconds(*SECONDS_BETWEEN_ORDERS)
        while self._plan and self._plan[0].at_ns <= now_ns:
            yield self._happen(heapq.heappop(self._plan))

    def _seconds(self, least: float, most: float) -> int:
        return round(self._dice.uniform(least, most) * NANOSECONDS)

    def _place(self, at_ns: int) -> None:
        # No order is placed that would outlive what it is about.
        tradables = [one for one in self._tradables if one.trades_at(at_ns + LONGEST_ORDER_NS)]
        if not tradables:
            return
        order = self._new_order(self._dice.choice(tradables), at_ns)
        cancelled = self._placed > 1 and self._dice.random() < CANCELLED_SHARE
        first = self._dice.randint(1, order.quantity - 1)
        partly_ns = at_ns + self._seconds(1, UNTIL_PARTLY_SECONDS)
        done_ns = partly_ns + self._seconds(1, UNTIL_DONE_SECONDS)
        self._plan_event(at_ns, order, "new")
        self._plan_event(partly_ns, order, "partial_fill", first)
        if cancelled:
            self._plan_event(done_ns, order, "canceled")
        else:
            self._plan_event(done_ns, order, "fill", order.quantity - first)

    def _new_order(self, tradable: Tradable, at_ns: int) -> Order:
        bid, ask = tradable.quote(at_ns)
        side = self._dice.choice(("buy", "sell"))
        # A buyer pays the offer and a seller takes the bid, unless the bid is nothing.
        price = ask if side == "buy" else bid or ask
        lot = 1 if tradable.is_option else 10
        return Order(
            tradable=tradable,
            order_id=self._identity(),
            client_order_id=self._identity(),
            asset_id=self._identity(),
            side="buy" if side == "buy" else "sell",
            quantity=lot * self._dice.randint(2, 5),
            limit_price=Decimal(str(price)),
            created_ns=at_ns,
        )

    def _identity(self) -> str:
        return str(UUID(int=self._dice.getrandbits(128), version=4))

    def _plan_event(self, at_ns: int, order: Order, event: OrderEvent, quantity: int = 0) -> None:
        self._placed += 1
        heapq.heappush(self._plan, _Planned(at_ns, self._placed, order, event, quantity))

    def _happen(self, planned: _Planned) -> dict[str, Any]:
        order, symbol = planned.order, planned.order.tradable.symbol
        self._positions[symbol] += order.sign * planned.quantity
        return order_update(
            order,
            planned.event,
            planned.at_ns,
            planned.quantity,
            position=self._positions[symbol],
            identity=self._identity,
        )


def order_update(
    order: Order,
    event: OrderEvent,
    at_ns: int,
    quantity: int,
    *,
    position: Decimal,
    identity: Callable[[], str],
) -> dict[str, Any]:
    """The update as the account's endpoint sends it, after which so much more of the order is done."""
    order.filled += quantity
    order.paid += quantity * order.limit_price
    moment = rfc3339(at_ns)
    data: dict[str, Any] = {
        "event": event,
        "timestamp": moment,
        "at": moment,
        "event_id": identity(),
        "order": _order_map(order, event, at_ns),
    }
    if quantity:
        data |= {
            "execution_id": identity(),
            "price": str(order.limit_price),
            "qty": str(quantity),
            "position_qty": str(position),
        }
    return {"stream": TRADE_UPDATES, "data": data}


def _order_map(order: Order, event: OrderEvent, at_ns: int) -> dict[str, Any]:
    created, updated = rfc3339(order.created_ns), rfc3339(at_ns)
    return {
        "id": order.order_id,
        "client_order_id": order.client_order_id,
        "created_at": created,
        "updated_at": updated,
        "submitted_at": created,
        "filled_at": updated if event == "fill" else None,
        "expired_at": None,
        "expires_at": None,
        "cancel_requested_at": updated if event == "canceled" else None,
        "canceled_at": updated if event == "canceled" else None,
        "failed_at": None,
        "replaced_at": None,
        "replaced_by": None,
        "replaces": None,
        "asset_id": order.asset_id,
        "symbol": order.tradable.symbol,
        "asset_class": "us_option" if order.tradable.is_option else "us_equity",
        "notional": None,
        "qty": str(order.quantity),
        "filled_qty": str(order.filled),
        "filled_avg_price": _average(order),
        "order_class": "simple",
        "order_type": order.kind,
        "type": order.kind,
        "side": order.side,
        "position_intent": _intent(order) if order.tradable.is_option else None,
        "time_in_force": "day",
        "limit_price": str(order.limit_price) if order.kind == "limit" else None,
        "stop_price": None,
        "status": STATUSES[event],
        "extended_hours": False,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "ratio_qty": None,
    }


def _average(order: Order) -> str | None:
    if not order.filled:
        return None
    average = (order.paid / order.filled).quantize(Decimal("0.0001"), ROUND_HALF_UP).normalize()
    return f"{average:f}"


def _intent(order: Order) -> str:
    closes = order.tradable.held * order.sign < 0
    return f"{order.side}_to_{'close' if closes else 'open'}"
