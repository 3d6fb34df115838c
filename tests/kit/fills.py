"""What happens to an account's orders, told as the socket tells it and as REST does; both are Alpaca's raw maps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Self
from zoneinfo import ZoneInfo

from options_helper.data.streaming.state.blotter import Backfill, settled_executions
from options_helper.data.streaming.trading_normalizers import (
    read_activity,
    read_order,
    read_trade_update,
)
from options_helper.model.account import Execution
from options_helper.model.order_updates import OrderUpdate
from tests.kit.builders import AAPL_CALL

NEW_YORK = ZoneInfo("America/New_York")
# A Friday, 10:00 in New York.
MORNING = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
TODAY = date(2026, 11, 20)


def at(seconds: float = 0) -> datetime:
    """So many seconds after the morning's beginning."""
    return MORNING + timedelta(seconds=seconds)


@dataclass(frozen=True)
class OrderEvent:
    """One thing that happens to one order, with the order's total after it."""

    order_id: str = "order-1"
    event: str = "fill"
    symbol: str = AAPL_CALL
    side: str = "buy"
    quantity: str = "1"  # of this execution
    running: str = "1"  # of the order so far
    ordered: str = "1"
    price: str = "2.05"
    moment: datetime = MORNING
    execution_id: str | None = None

    def with_(self, **changes: Any) -> Self:
        """The same but for these."""
        return replace(self, **changes)

    @property
    def is_fill(self) -> bool:
        """Whether this is an execution."""
        return self.event in {"fill", "partial_fill"}

    @property
    def execution(self) -> str:
        """The identifier of the execution."""
        return self.execution_id or f"exec-{self.order_id}-{self.running}"

    @property
    def status(self) -> str:
        """The order's status after it."""
        return {"fill": "filled", "partial_fill": "partially_filled"}.get(self.event, self.event)

    def order(self, **changes: Any) -> dict[str, Any]:
        """The order as it is after it."""
        moment = self.moment.isoformat()
        ended = {f"{self.event}_at": moment} if self.event in {"canceled", "expired", "replaced"} else {}
        return {
            "id": self.order_id,
            "submitted_at": MORNING.isoformat(),
            "updated_at": moment,
            "symbol": self.symbol,
            "qty": self.ordered,
            "filled_qty": self.running,
            "order_class": "simple",
            "order_type": "limit",
            "type": "limit",
            "side": self.side,
            "time_in_force": "day",
            "limit_price": "2.10",
            "status": self.status,
            "legs": None,
            **ended,
            **changes,
        }

    def update(self, **changes: Any) -> dict[str, Any]:
        """What the socket sends."""
        executed = {"execution_id": self.execution, "price": self.price, "qty": self.quantity}
        return {
            "event": self.event,
            "timestamp": self.moment.isoformat(),
            "order": self.order(),
            **(executed if self.is_fill else {}),
            **changes,
        }

    def activity(self, **changes: Any) -> dict[str, Any]:
        """What the account's activities say of the execution."""
        # Their time is cut to the millisecond.
        moment = self.moment.isoformat(timespec="milliseconds")
        return {
            "activity_type": "FILL",
            "id": f"{self.moment.astimezone(NEW_YORK):%Y%m%d%H%M%S000}::{self.execution}",
            "cum_qty": self.running,
            "leaves_qty": str(Decimal(self.ordered) - Decimal(self.running)),
            "price": self.price,
            "qty": self.quantity,
            "side": self.side,
            "symbol": self.symbol,
            "transaction_time": moment,
            "order_id": self.order_id,
            "order_status": self.status,
            "type": self.event,
            **changes,
        }

    def streamed(self, **changes: Any) -> OrderUpdate:
        """What the socket sends, read."""
        update = read_trade_update(self.update(**changes))
        assert update is not None
        return update

    def requested(self, **changes: Any) -> OrderUpdate:
        """What REST reports, read: an activity for an execution, the order for anything else."""
        if not self.is_fill:
            return read_order(self.order(**changes))
        update = read_activity(self.activity(**changes), self.order())
        assert update is not None
        return update


def option_activity(kind: str, symbol: str = AAPL_CALL, qty: str = "1", **changes: Any) -> dict[str, Any]:
    """An assignment, an exercise, an expiry, or the shares that moved by one."""
    return {
        "activity_type": kind,
        "id": "20261120000000000::5f596936-6f23-4cef-bdf1-3806aae57dbf",
        "date": "2026-11-20",
        "net_amount": "0",
        "symbol": symbol,
        "qty": qty,
        "status": "executed",
        **changes,
    }


def option_update(kind: str, *arguments: Any, **changes: Any) -> OrderUpdate:
    """The same, read."""
    update = read_activity(option_activity(kind, *arguments, **changes))
    assert update is not None
    return update


def backfill(*updates: OrderUpdate) -> Backfill:
    """What REST reports, without problems."""
    return Backfill(updates)


def executions_of(reported: Backfill) -> tuple[Execution, ...]:
    """What stands of all that REST reports."""
    return settled_executions(reported.updates)[0]


def doubts_of(reported: Backfill) -> tuple[str, ...]:
    """What REST reports and nobody can place."""
    return settled_executions(reported.updates)[1]
