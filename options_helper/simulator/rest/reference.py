"""What is asked for at steady times over plain HTTP: bars and corporate actions, both invented as the market is."""

from __future__ import annotations

from datetime import date, timedelta
from http import HTTPStatus
from typing import Any, Final

from options_helper.model.announcement import MarketKind
from options_helper.model.instants import epoch_nanoseconds, utc_datetime
from options_helper.model.market_hours import new_york_date
from options_helper.simulator.faults import Message
from options_helper.simulator.market.conditions import NO_CONDITIONS
from options_helper.simulator.market.market import ListingMarket, PeculiarMarket
from options_helper.simulator.market.payouts import announced_actions
from options_helper.simulator.rest.context import (
    Answer,
    Query,
    RequestContext,
    RequestRefused,
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
_minute_bars: Final = stock_history("bars")


def bars(query: Query, context: RequestContext) -> Answer:
    """A page of minutes, or of days."""
    return _daily_bars(query, context) if is_of_days(query) else _minute_bars(query, context)


def is_of_days(query: Query) -> bool:
    """Whether bars of days are asked for."""
    return query.get("timeframe") == "1Day"


def _daily_bars(query: Query, context: RequestContext) -> Answer:
    """A page of the days that the market knows."""
    require_feed(query, context, STOCK_FEEDS)
    limit = whole_number(query, "limit", BARS_A_PAGE, at_most=BARS_A_PAGE_AT_MOST)
    since_ns, until_ns = instant(query, "start"), instant(query, "end")
    found = [
        (symbol, bar)
        for symbol in symbols_in(query, STOCK_SYMBOL)
        for _, bar in sorted(_days_of(symbol, since_ns, context).items())
        if (at_ns := epoch_nanoseconds(bar["t"])) is not None
        and (since_ns is None or since_ns <= at_ns)
        and (until_ns is None or at_ns <= until_ns)
    ]
    page, following = page_of(found, query.get("page_token"), context.at_most(limit))
    by_symbol: dict[str, list[Any]] = {}
    for symbol, bar in page:
        by_symbol.setdefault(symbol, []).append(plain_message(bar))
    return HTTPStatus.OK, {"bars": by_symbol, "next_page_token": following}


def _days_of(symbol: str, since_ns: int | None, context: RequestContext) -> dict[date, Message]:
    market, known = context.market, dict(context.snapshot(symbol).daily_bars)
    if since_ns is None or not isinstance(market, PeculiarMarket):
        return known
    first = new_york_date(utc_datetime(since_ns))
    return {**market.past_days(symbol, first, context.last_session), **known}


def corporate_actions(query: Query, context: RequestContext) -> Answer:
    """A page of what is announced between two days; of a recorded market nobody knows, which is not nothing."""
    if context.market.kind is MarketKind.REPLAY:
        raise RequestRefused(
            HTTPStatus.NOT_FOUND, "a replayed market has no corporate actions: none were recorded"
        )
    limit = whole_number(query, "limit", ACTIONS_A_PAGE, at_most=ACTIONS_A_PAGE_AT_MOST)
    today = new_york_date(utc_datetime(context.now_ns))
    first, last = _day(query, "start", today), _day(query, "end", today + _ACTIONS_SPAN)
    market = context.market
    conditions = market.conditions if isinstance(market, PeculiarMarket) else NO_CONDITIONS
    found = [
        action
        for symbol in symbols_in(query, STOCK_SYMBOL)
        if isinstance(market, ListingMarket) and (price := market.price(symbol)) is not None
        for action in announced_actions(symbol, price, first, last, today=today, conditions=conditions)
    ]
    page, following = page_of(found, query.get("page_token"), context.at_most(limit))
    by_kind: dict[str, list[Any]] = {}
    for kind, action in page:
        by_kind.setdefault(kind, []).append(action)
    return HTTPStatus.OK, {"corporate_actions": by_kind, "next_page_token": following}


def _day(query: Query, name: str, default: date) -> date:
    at_ns = instant(query, name)
    return default if at_ns is None else new_york_date(utc_datetime(at_ns))
