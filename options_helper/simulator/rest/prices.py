"""Latest quotes, trades and snapshots over plain HTTP; a symbol without any is left out, as Alpaca does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from options_helper.model.instants import timestamp_extension
from options_helper.simulator.faults import Message
from options_helper.simulator.market.last_values import SymbolSnapshot
from options_helper.simulator.market.market import ListingMarket
from options_helper.simulator.rest.context import (
    Answer,
    Query,
    RequestContext,
    RequestRefused,
    page_of,
    whole_number,
)
from options_helper.simulator.wire.protocol import COIN_PAIR, OPTION_SYMBOL, STOCK_SYMBOL

Rows = dict[str, dict[str, Any]]

OPTION_SYMBOLS_AT_MOST: Final = 100
SNAPSHOTS_A_PAGE: Final = 100
SNAPSHOTS_A_PAGE_AT_MOST: Final = 1_000
STOCK_FEEDS: Final = ("iex", "sip", "delayed_sip", "boats", "overnight", "otc")
OPTION_FEEDS: Final = ("indicative", "opra")
UNKNOWN_EXCHANGE: Final = "?"
NO_GREEKS: Final[Mapping[str, float | None]] = dict.fromkeys(("delta", "gamma", "rho", "theta", "vega"), 0.0)


def stock_snapshots(query: Query, context: RequestContext) -> Answer:
    """Everything about each stock, under its symbol."""
    return HTTPStatus.OK, _rows(_stocks(query, context), context, _snapshot)


def option_snapshots(query: Query, context: RequestContext) -> Answer:
    """A page of everything about each contract."""
    return snapshot_page(_contracts(query, context), query, context)


def snapshot_page(contracts: list[str], query: Query, context: RequestContext) -> Answer:
    """A page of everything about these contracts."""
    require_feed(query, context, OPTION_FEEDS)
    limit = whole_number(query, "limit", SNAPSHOTS_A_PAGE, at_most=SNAPSHOTS_A_PAGE_AT_MOST)
    rows = _rows(contracts, context, _option_snapshot)
    if context.faults.rest_null_greek:
        _lose_greek(rows)
    page, following = page_of(sorted(rows.items()), query.get("page_token"), context.at_most(limit))
    return HTTPStatus.OK, {"snapshots": dict(page), "next_page_token": following}


def latest_stock_quotes(query: Query, context: RequestContext) -> Answer:
    """The last quote of each stock."""
    return HTTPStatus.OK, {"quotes": _rows(_stocks(query, context), context, _quote)}


def latest_stock_trades(query: Query, context: RequestContext) -> Answer:
    """The last trade of each stock; before a recording begins, one at its first price."""
    symbols = _stocks(query, context)
    first = {symbol: _first_trade(symbol, context) for symbol in symbols}
    known = {symbol: trade for symbol, trade in first.items() if trade}
    return HTTPStatus.OK, {"trades": known | _rows(symbols, context, _trade)}


def latest_option_quotes(query: Query, context: RequestContext) -> Answer:
    """The last quote of each contract."""
    return HTTPStatus.OK, {"quotes": _rows(_contracts(query, context), context, _quote)}


def latest_option_trades(query: Query, context: RequestContext) -> Answer:
    """The last trade of each contract."""
    return HTTPStatus.OK, {"trades": _rows(_contracts(query, context), context, _trade)}


def latest_books(query: Query, context: RequestContext) -> Answer:
    """The whole order book of each coin."""
    return HTTPStatus.OK, {"orderbooks": _rows(symbols_in(query, COIN_PAIR), context, _book)}


def _stocks(query: Query, context: RequestContext) -> list[str]:
    require_feed(query, context, STOCK_FEEDS)
    return symbols_in(query, STOCK_SYMBOL)


def _contracts(query: Query, context: RequestContext) -> list[str]:
    require_feed(query, context, OPTION_FEEDS)
    symbols = symbols_in(query, OPTION_SYMBOL)
    if len(symbols) > OPTION_SYMBOLS_AT_MOST:
        raise RequestRefused(
            HTTPStatus.BAD_REQUEST,
            f"{len(symbols)} symbols are asked for; at most {OPTION_SYMBOLS_AT_MOST} are allowed in one request",
        )
    return symbols


def require_feed(query: Query, context: RequestContext, feeds: tuple[str, ...]) -> None:
    """Refuse a feed that there is not, or that the plan has not."""
    feed = query.get("feed")
    if feed is not None and feed not in feeds:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, f"invalid feed: {feed}")
    if feed in context.limits.refused_feeds:
        raise RequestRefused(HTTPStatus.FORBIDDEN, f"subscription does not permit querying {feed} data")


def symbols_in(query: Query, spelling: re.Pattern[str]) -> list[str]:
    """The symbols that are asked for, each once; the request is refused where there is none, or one is no symbol."""
    symbols = [symbol for symbol in query.get("symbols", "").split(",") if symbol]
    if not symbols:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "symbols is required")
    for symbol in symbols:
        if not spelling.fullmatch(symbol) or symbol == "*":
            raise RequestRefused(HTTPStatus.BAD_REQUEST, f"invalid symbol: {symbol}")
    return list(dict.fromkeys(symbols))


def _rows(
    symbols: list[str], context: RequestContext, fields_of: Callable[[SymbolSnapshot], dict[str, Any]]
) -> Rows:
    """What is told of each symbol of which anything is known."""
    snapshots = {symbol: context.snapshot(symbol) for symbol in symbols}
    rows = {symbol: row for symbol, snapshot in snapshots.items() if (row := fields_of(snapshot))}
    if context.faults.rest_unknown_exchange:
        _lose_exchange(rows)
    return rows


def _snapshot(snapshot: SymbolSnapshot) -> dict[str, Any]:
    newest_first = [snapshot.daily_bars[day] for day in sorted(snapshot.daily_bars, reverse=True)]
    daily, previous = (*newest_first, None, None)[:2]
    parts = {
        "latestTrade": snapshot.trade,
        "latestQuote": snapshot.quote,
        "minuteBar": snapshot.minute_bar,
        "dailyBar": daily,
        "prevDailyBar": previous,
    }
    return {name: plain_message(message) for name, message in parts.items() if message is not None}


def _option_snapshot(snapshot: SymbolSnapshot) -> dict[str, Any]:
    row = _snapshot(snapshot)
    told = {"greeks": snapshot.greeks, "impliedVolatility": snapshot.implied_volatility}
    return row | {name: value for name, value in told.items() if row and value is not None}


def _quote(snapshot: SymbolSnapshot) -> dict[str, Any]:
    return plain_message(snapshot.quote or {})


def _trade(snapshot: SymbolSnapshot) -> dict[str, Any]:
    return plain_message(snapshot.trade or {})


def _book(snapshot: SymbolSnapshot) -> dict[str, Any]:
    return plain_message(snapshot.book or {})


def plain_message(message: Message) -> dict[str, Any]:
    """The message without what the answer says elsewhere."""
    return {key: value for key, value in message.items() if key not in ("T", "S")}


def _first_trade(symbol: str, context: RequestContext) -> dict[str, Any]:
    price = context.market.price(symbol) if isinstance(context.market, ListingMarket) else None
    if price is None:
        return {}
    at = timestamp_extension(context.now_ns)
    return {"t": at, "x": "V", "p": price, "s": 100, "c": ["@"], "i": 1, "z": "C"}


def _lose_greek(rows: Rows) -> None:
    for symbol in sorted(rows)[:1]:
        rows[symbol]["greeks"] = {**(rows[symbol].get("greeks") or NO_GREEKS), "theta": None}


def _lose_exchange(rows: Rows) -> None:
    """In the first row: of a snapshot, its quote's."""
    for symbol in sorted(rows)[:1]:
        quote = rows[symbol].get("latestQuote", rows[symbol])
        quote |= {name: UNKNOWN_EXCHANGE for name in ("bx", "ax", "x") if name in quote}
