"""Quotes, trades and minute bars of the past over plain HTTP, page by page, as far as the market has come."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time
from http import HTTPStatus
from typing import Any, Final

from options_helper.model.alpaca_symbols import is_coin_pair
from options_helper.model.instants import (
    datetime_nanoseconds,
    epoch_nanoseconds,
    timestamp_extension,
    utc_datetime,
)
from options_helper.model.market_hours import NEW_YORK, new_york_date
from options_helper.simulator.faults import Message
from options_helper.simulator.market.last_values import daily_bar
from options_helper.simulator.market.market import QuotingMarket
from options_helper.simulator.market.past import BAR_NS, PastMarket
from options_helper.simulator.rest.context import (
    Answer,
    Query,
    RequestContext,
    RequestRefused,
    instant,
    page_of,
    whole_number,
)
from options_helper.simulator.rest.prices import STOCK_FEEDS, plain_message, require_feed, symbols_in
from options_helper.simulator.wire.protocol import COIN_PAIR, OPTION_SYMBOL, STOCK_SYMBOL

ROWS_A_PAGE: Final = 1_000
ROWS_A_PAGE_AT_MOST: Final = 10_000
# Its bars are of a minute; others nobody here asks for.
TIMEFRAME: Final = "1Min"
_TYPES: Final = {"quotes": "q", "trades": "t", "bars": "b"}


def stock_history(channel: str) -> Callable[[Query, RequestContext], Answer]:
    """What answers of quotes, trades or bars of stocks."""

    def answer(query: Query, context: RequestContext) -> Answer:
        require_feed(query, context, STOCK_FEEDS)
        if query.get("feed", "sip") == "sip":
            _require_old_enough(query, context)
        return _history(channel, STOCK_SYMBOL, query, context)

    return answer


def option_history(channel: str) -> Callable[[Query, RequestContext], Answer]:
    """What answers of trades or bars of contracts; nobody tells quotes of them."""
    return lambda query, context: _history(channel, OPTION_SYMBOL, query, context)


def crypto_history(channel: str) -> Callable[[Query, RequestContext], Answer]:
    """What answers of quotes, trades or bars of coins."""
    return lambda query, context: _history(channel, COIN_PAIR, query, context)


def _history(channel: str, spelling: re.Pattern[str], query: Query, context: RequestContext) -> Answer:
    symbols = sorted(symbols_in(query, spelling))
    limit = whole_number(query, "limit", ROWS_A_PAGE, at_most=ROWS_A_PAGE_AT_MOST)
    if channel == "bars" and query.get("timeframe", TIMEFRAME) != TIMEFRAME:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, f"the simulator has bars of {TIMEFRAME} only")
    since_ns, until_ns = _stretch(query, context, _TYPES[channel])
    if since_ns > until_ns:
        rows: list[tuple[str, Message]] = []
    else:
        rows = list(_rows(symbols, _TYPES[channel], since_ns, until_ns, context))
    page, following = page_of(rows, query.get("page_token"), context.at_most(limit))
    by_symbol: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for symbol, message in page:
        by_symbol[symbol].append(plain_message(message))
    return HTTPStatus.OK, {channel: by_symbol, "next_page_token": following}


def _rows(
    symbols: list[str], kind: str, since_ns: int, until_ns: int, context: RequestContext
) -> Iterator[tuple[str, Message]]:
    for symbol in symbols:
        from_ns = since_ns
        made_up = _minute_before_today(symbol, context) if kind == "b" and is_coin_pair(symbol) else None
        if made_up is not None and since_ns <= made_up[0] <= until_ns:
            from_ns, minute = made_up
            for message in context.past.past(kind, symbol, since_ns, from_ns - 1):
                yield symbol, message
            if not context.past.past(kind, symbol, from_ns, from_ns):
                yield symbol, minute
        for message in context.past.past(kind, symbol, from_ns, until_ns):
            yield symbol, message


def _minute_before_today(symbol: str, context: RequestContext) -> tuple[int, Message] | None:
    """The last minute of a coin's day before, for where nobody played it: it ended where its today began."""
    if isinstance(context.market, PastMarket) or not isinstance(context.market, QuotingMarket):
        return None
    today = new_york_date(utc_datetime(context.now_ns))
    made = context.market.snapshot(symbol, context.now_ns, context.last_session)
    if (bar := made.daily_bars.get(today)) is None:
        return None
    at_ns = datetime_nanoseconds(datetime.combine(today, time(), NEW_YORK)) - BAR_NS
    return at_ns, {**daily_bar(today, bar["o"], volume=0), "t": timestamp_extension(at_ns), "n": 0}


def _stretch(query: Query, context: RequestContext, kind: str) -> tuple[int, int]:
    """From and until, both included: of today unless said otherwise, and never of what has not happened yet."""
    midnight = datetime.combine(utc_datetime(context.now_ns).date(), time(), UTC)
    since_ns, until_ns = instant(query, "start"), instant(query, "end")
    known_ns = context.now_ns - (BAR_NS if kind == "b" else 0)
    return (
        (epoch_nanoseconds(midnight) or 0) if since_ns is None else since_ns,
        known_ns if until_ns is None else min(until_ns, known_ns),
    )


def _require_old_enough(query: Query, context: RequestContext) -> None:
    """As the free plan refuses the consolidated feed's last quarter of an hour."""
    until_ns = instant(query, "end")
    newest_ns = context.now_ns - context.limits.sip_delay_ns
    if context.limits.sip_delay_ns and (until_ns is None or until_ns > newest_ns):
        raise RequestRefused(HTTPStatus.FORBIDDEN, "subscription does not permit querying recent SIP data")
