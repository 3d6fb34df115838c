"""Order updates as the trading socket sends them, in one line each."""

from __future__ import annotations

from typing import Any

from tests.kit.builders import AAPL_CALL


def order_update(event: str = "fill", **changes: Any) -> dict[str, Any]:
    """A fill of two contracts at 1.25 as the socket sends it; `order_…` changes the order in it."""
    order = {
        "id": "order-1",
        "symbol": AAPL_CALL,
        "side": "buy",
        "qty": "2",
        "filled_qty": "2",
        "filled_avg_price": "1.25",
        "status": "filled",
        "submitted_at": "2026-11-20T14:59:00Z",
        "legs": None,
    }
    data = {"event": event, "timestamp": "2026-11-20T15:00:00.123456789Z", "execution_id": "execution-1"}
    data |= {"price": "1.25", "qty": "2"}
    order |= {
        name.removeprefix("order_"): value for name, value in changes.items() if name.startswith("order_")
    }
    data |= {name: value for name, value in changes.items() if not name.startswith("order_")}
    return {"stream": "trade_updates", "data": {**data, "order": order}}
