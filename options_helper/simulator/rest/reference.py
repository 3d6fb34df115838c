"""What is asked for at steady times over plain HTTP: bars and corporate actions.

The actions are invented, as the market is: each share pays a quarter of a percent on the 15th of each quarter's last
month.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

from options_helper.model.instants import epoch_nanoseconds, utc_datetime
from options_helper.model.market_hours import new_york_date
from options_helper.simulator.market.market import ListingMarket
from options_helper.simulator.rest.context import (
    Answer,
    Query,
    RequestContext,
    instant,
    page_of,
    whole_number,
)
from options_helper.simulator.rest.history import stock_history
from options_helper.simulator.rest.prices import STOCK_FEEDS, plain_message, require_feed, symbols_in
from options_helper.simulator.wire.protocol import STOCK_SYMBOL

BARS_A_PAGE: Final = 1_000
BARS_A_PAGE_AT_MOST: Final = 10_000
ACTIONS_A_PAGE: Final = 100
ACTIONS_A_PAGE_AT_MOST: Final = 1_000
_ACTIONS_SPAN: Final = timedelta(days=60)
_LAST_MONTHS: Final = (3, 6, 9, 12)
_PAID_ON: Final = 15
_minute_bars: Final = stock_history("bars")


def bars(query: Query, context: RequestContext) -> Answer:
    """A page of minutes, or of days."""
    return _daily_bars(query, context) if query.get("timeframe") == "1Day" else _minute_bars(query, context)


def _daily_bars(query: Query, context: RequestContext) -> Answer:
    """A page of the days that the market knows; it makes up no others."""
    require_feed(query, context, STOCK_FEEDS)
    limit = whole_number(query, "limit", BARS_A_PAGE, at_most=BARS_A_PAGE_AT_MOST)
    since_ns, until_ns = instant(query, "start"), instant(query, "end")
    found = [
        (symbol, bar)
        for symbol in symbols_in(query, STOCK_SYMBOL)
        for _, bar in sorted(context.snapshot(symbol).daily_bars.items())
        if (at_ns := epoch_nanoseconds(bar["t"])) is not None
        and (since_ns is None or since_ns <= at_ns)
        and (until_ns is None or at_ns <= until_ns)
    ]
    page, following = page_of(found, query.get("page_token"), context.at_most(limit))
    by_symbol: dict[str, list[Any]] = {}
    for symbol, bar in page:
        by_symbol.setdefault(symbol, []).append(plain_message(bar))
    return HTTPStatus.OK, {"bars": by_symbol, "next_page_token": following}


def corporate_actions(query: Query, context: RequestContext) -> Answer:
    """A page of the dividends between two days."""
    limit = whole_number(query, "limit", ACTIONS_A_PAGE, at_most=ACTIONS_A_PAGE_AT_MOST)
    today = new_york_date(utc_datetime(context.now_ns))
    first, last = _day(query, "start", today), _day(query, "end", today + _ACTIONS_SPAN)
    found = [
        _dividend(symbol, day, context)
        for symbol in symbols_in(query, STOCK_SYMBOL)
        for day in _days_of_payment(first, last)
    ]
    page, following = page_of(found, query.get("page_token"), context.at_most(limit))
    return HTTPStatus.OK, {"corporate_actions": _by_type(page), "next_page_token": following}


def _by_type(dividends: Sequence[Any]) -> dict[str, Any]:
    return {"cash_dividends": list(dividends)} if dividends else {}


def _day(query: Query, name: str, default: date) -> date:
    at_ns = instant(query, name)
    return default if at_ns is None else new_york_date(utc_datetime(at_ns))


def _days_of_payment(first: date, last: date) -> Iterator[date]:
    for year in range(first.year, last.year + 1):
        for month in _LAST_MONTHS:
            day = date(year, month, _PAID_ON)
            if first <= day <= last:
                yield day


def _dividend(symbol: str, day: date, context: RequestContext) -> dict[str, Any]:
    market = context.market
    price = market.price(symbol) if isinstance(market, ListingMarket) else None
    return {
        "id": str(uuid5(NAMESPACE_OID, f"{symbol} {day}")),
        "symbol": symbol,
        "cusip": "",
        "rate": float(round(Decimal(str(price or 0)) / 400, 4)),
        "special": False,
        "foreign": False,
        "process_date": day.isoformat(),
        "ex_date": day.isoformat(),
        "record_date": day.isoformat(),
        "payable_date": (day + timedelta(days=14)).isoformat(),
    }
