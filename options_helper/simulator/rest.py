"""The few plain HTTP answers a stream's client asks for: the market's clock and the account."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from options_helper.data.market_hours import NEW_YORK, market_open, next_change
from options_helper.data.streaming.events import StreamName, utc_datetime

ACCOUNT: Final = {
    "id": "00000000-0000-4000-8000-000000000001",
    "account_number": "SIMULATED",
    "status": "ACTIVE",
    "currency": "USD",
    "cash": "100000",
    "buying_power": "100000",
    "equity": "100000",
    "portfolio_value": "100000",
    "options_approved_level": 3,
    "options_trading_level": 3,
    "pattern_day_trader": False,
    "trading_blocked": False,
    "account_blocked": False,
    "created_at": "2024-01-02T14:30:00Z",
}


def answer_request(path: str, now_ns: int) -> tuple[HTTPStatus, Any]:
    """Status and JSON body for one GET of an authenticated client."""
    match path:
        case "/v2/clock":
            return HTTPStatus.OK, _clock(now_ns)
        case "/v2/account":
            return HTTPStatus.OK, ACCOUNT
        case _:
            return HTTPStatus.NOT_FOUND, {"code": 40410000, "message": f"the simulator has no {path}"}


def _clock(now_ns: int) -> dict[str, Any]:
    now = utc_datetime(now_ns).astimezone(NEW_YORK)
    is_open = market_open(StreamName.STOCKS, "iex", now)
    first = next_change(now)
    second = next_change(first)
    opening, closing = (second, first) if is_open else (first, second)
    return {
        "timestamp": now.isoformat(),
        "is_open": is_open,
        "next_open": _new_york_text(opening),
        "next_close": _new_york_text(closing),
    }


def _new_york_text(moment: datetime) -> str:
    return moment.astimezone(NEW_YORK).isoformat()
