"""The plain HTTP answers that a stream's client asks for: prices, the account, what is listed, and the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl, unquote
from uuid import NAMESPACE_OID, uuid5
from zlib import crc32

from options_helper.model.alpaca_symbols import is_coin_pair, is_index, to_alpaca_symbol
from options_helper.model.announcement import MarketKind
from options_helper.model.contract_symbols import (
    ParsedContract,
    is_contract_symbol,
    parse_contract_symbol,
    plain_number,
)
from options_helper.model.instants import utc_datetime
from options_helper.model.market_hours import (
    LATE_OPTION_ROOTS,
    NEW_YORK,
    NOTHING_TOLD,
    ToldSessions,
    in_regular_hours,
    new_york_date,
    next_change,
    regular_session,
)
from options_helper.settings import CRYPTO_LOCATIONS
from options_helper.simulator.market.market import ChainMarket, ListingMarket, PeculiarMarket
from options_helper.simulator.rest import account, history, prices, reference
from options_helper.simulator.rest.context import (
    Answer,
    Query,
    RequestContext,
    RequestRefused,
    instant,
    page_of,
    whole_number,
)
from options_helper.simulator.rest.news import news

CONTRACTS_A_PAGE: Final = 100
_CALENDAR_SPAN: Final = timedelta(days=365)
CONTRACTS_A_PAGE_AT_MOST: Final = 10_000
_OPEN_INTEREST_BELOW: Final = 20_000

Answering = Callable[[Query, RequestContext], Answer]


def answer_request(path: str, query: str, context: RequestContext) -> Answer:
    """Status and JSON body for one GET of an authenticated client."""
    try:
        return _answering(path, context)(dict(parse_qsl(query)), context)
    except RequestRefused as refused:
        return refused.answer


def is_of_the_past(path: str, query: str) -> bool:
    """Whether the answer is made of what was played or recorded, and of no account and no last price."""
    return path in _OF_THE_PAST and not reference.is_of_days(dict(parse_qsl(query)))


def _answering(path: str, context: RequestContext) -> Answering:
    if path in _OF_THE_ACCOUNT and context.market.kind is MarketKind.REPLAY:
        raise RequestRefused(HTTPStatus.NOT_FOUND, "a replayed market has no account: it plays prices only")
    answering = _OF_THE_ACCOUNT.get(path) or _OF_THE_PAST.get(path) or _OF_THE_MARKET.get(path)
    if answering is not None:
        return answering
    collection, _, symbol = path.rpartition("/")
    if collection in _OF_ONE:
        return lambda query, context: _OF_ONE[collection](unquote(symbol), query, context)
    raise RequestRefused(HTTPStatus.NOT_FOUND, f"the simulator has no {path}")


def _contracts(query: Query, context: RequestContext) -> Answer:
    """One page of the contracts that fit, ordered by symbol."""
    limit = whole_number(query, "limit", CONTRACTS_A_PAGE, at_most=CONTRACTS_A_PAGE_AT_MOST)
    known = {symbol: parse_contract_symbol(symbol) for symbol in sorted(_listed(context))}
    page, following = page_of(_fitting(known, query), query.get("page_token"), context.at_most(limit))
    return HTTPStatus.OK, {
        "option_contracts": [_contract(symbol, known[symbol], context) for symbol in page],
        "next_page_token": following,
    }


def _chain(underlying: str, query: Query, context: RequestContext) -> Answer:
    """A page of everything about the contracts of one underlying."""
    near = context.market.chain if isinstance(context.market, ChainMarket) else frozenset()
    known = {symbol: parse_contract_symbol(symbol) for symbol in sorted(_listed(context) | near)}
    wanted = {**query, "underlying_symbols": underlying}
    return prices.snapshot_page(_fitting(known, wanted), query, context)


def _one_contract(symbol: str, _: Query, context: RequestContext) -> Answer:
    if symbol not in _listed(context) and not (is_contract_symbol(symbol) and context.snapshot(symbol).quote):
        raise RequestRefused(HTTPStatus.NOT_FOUND, f"option contract not found for {symbol}")
    return HTTPStatus.OK, _contract(symbol, parse_contract_symbol(symbol), context)


def _one_asset(symbol: str, _: Query, context: RequestContext) -> Answer:
    if not _is_share(symbol, context):
        raise RequestRefused(HTTPStatus.NOT_FOUND, f"asset not found for {symbol}")
    market = context.market
    is_hard_to_borrow = isinstance(market, PeculiarMarket) and market.conditions.hard_to_borrow == symbol
    return HTTPStatus.OK, {
        "id": str(uuid5(NAMESPACE_OID, symbol)),
        "class": "crypto" if is_coin_pair(symbol) else "us_equity",
        "exchange": "NASDAQ",
        "symbol": symbol,
        "name": f"{symbol} Common Stock",
        "status": "active",
        "tradable": True,
        "marginable": True,
        "shortable": True,
        "easy_to_borrow": not is_hard_to_borrow,
        "fractionable": True,
        "attributes": ["has_options", *(["options_late_close"] if symbol in LATE_OPTION_ROOTS else [])],
    }


def _is_share(symbol: str, context: RequestContext) -> bool:
    if is_contract_symbol(symbol):
        return False
    snapshot = context.snapshot(symbol)
    market = context.market
    priced = market.price(symbol) is not None if isinstance(market, ListingMarket) else False
    return (priced and not is_index(symbol)) or bool(snapshot.quote or snapshot.trade)


def _listed(context: RequestContext) -> frozenset[str]:
    """The market's contracts, and what the account holds."""
    listed = context.market.contracts if isinstance(context.market, ListingMarket) else ()
    held = (holding.symbol for holding in context.account.holdings)
    return frozenset(listed).union(symbol for symbol in held if is_contract_symbol(symbol))


def _fitting(known: Mapping[str, ParsedContract], query: Query) -> list[str]:
    try:
        return [symbol for symbol, terms in known.items() if _fits(terms, query)]
    except ValueError as error:
        raise RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error


def _fits(terms: ParsedContract, query: Query) -> bool:
    wanted = query.get("underlying_symbols")
    underlying = to_alpaca_symbol(terms.underlying_norm)
    least_day, last_day = query.get("expiration_date_gte"), query.get("expiration_date_lte")
    least_strike, last_strike = query.get("strike_price_gte"), query.get("strike_price_lte")
    return all(
        (
            wanted is None or underlying in wanted.split(","),
            query.get("root_symbol") in (None, terms.underlying),
            query.get("type") in (None, terms.option_type),
            query.get("expiration_date") in (None, terms.expiry.isoformat()),
            least_day is None or terms.expiry >= date.fromisoformat(least_day),
            last_day is None or terms.expiry <= date.fromisoformat(last_day),
            least_strike is None or terms.strike >= float(least_strike),
            last_strike is None or terms.strike <= float(last_strike),
        )
    )


def _contract(symbol: str, terms: ParsedContract, context: RequestContext) -> dict[str, Any]:
    underlying = to_alpaca_symbol(terms.underlying_norm)
    strike = plain_number(terms.strike)
    return {
        "id": str(uuid5(NAMESPACE_OID, symbol)),
        "symbol": symbol,
        "name": f"{underlying} {terms.expiry:%b %d %Y} {strike} {terms.option_type.capitalize()}",
        "status": "active",
        "tradable": True,
        "expiration_date": terms.expiry.isoformat(),
        "root_symbol": terms.underlying,
        "underlying_symbol": underlying,
        "underlying_asset_id": str(uuid5(NAMESPACE_OID, underlying)),
        "type": terms.option_type,
        "style": "european" if is_index(underlying) else "american",
        "strike_price": strike,
        "multiplier": "100",
        # Whatever happened to what has a digit in its root: it left 110 shares.
        "size": "110" if terms.adjusted else "100",
        "deliverables": [] if is_index(underlying) else [_deliverable(underlying, adjusted=terms.adjusted)],
        # Invented, as everything here, and the same whenever one asks.
        "open_interest": str(crc32(symbol.encode()) % _OPEN_INTEREST_BELOW),
        "open_interest_date": context.last_session.isoformat(),
        "close_price": None,
        "close_price_date": None,
    }


def _deliverable(underlying: str, *, adjusted: bool) -> dict[str, Any]:
    return {
        "type": "equity",
        "symbol": underlying,
        "asset_id": str(uuid5(NAMESPACE_OID, underlying)),
        "amount": "110" if adjusted else "100",
        "allocation_percentage": "100",
        "settlement_type": "T+1",
        "settlement_method": "CCC",
        "delayed_settlement": False,
    }


def _clock(_: Query, context: RequestContext) -> Answer:
    now, told = utc_datetime(context.now_ns).astimezone(NEW_YORK), _told(context)
    is_open = in_regular_hours(now, told)
    first = next_change(now, told)
    second = None if first is None else next_change(first, told)
    opening, closing = (second, first) if is_open else (first, second)
    return HTTPStatus.OK, {
        "timestamp": now.isoformat(),
        "is_open": is_open,
        "next_open": _new_york_text(opening),
        "next_close": _new_york_text(closing),
    }


def _told(context: RequestContext) -> ToldSessions:
    today = new_york_date(utc_datetime(context.now_ns))
    return {today: None} if context.faults.closed_today else NOTHING_TOLD


def _calendar(query: Query, context: RequestContext) -> Answer:
    """The trading days of a range, a year from today where it has no end."""
    today, told = new_york_date(utc_datetime(context.now_ns)), _told(context)
    first = _day(query, "start", today)
    last = min(_day(query, "end", first + _CALENDAR_SPAN), first + _CALENDAR_SPAN)
    days = (first + timedelta(days=count) for count in range((last - first).days + 1))
    return HTTPStatus.OK, [row for day in days if (row := _calendar_row(day, told)) is not None]


def _day(query: Query, name: str, default: date) -> date:
    at_ns = instant(query, name)
    return default if at_ns is None else new_york_date(utc_datetime(at_ns))


def _calendar_row(day: date, told: ToldSessions) -> dict[str, str] | None:
    session = regular_session(day, told)
    if session is None:
        return None
    return {
        "date": day.isoformat(),
        "open": f"{session.opens:%H:%M}",
        "close": f"{session.closes:%H:%M}",
        "session_open": "0400",
        "session_close": "2000" if session.closes.hour >= 16 else "1700",
    }


def _new_york_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(NEW_YORK).isoformat()


_OF_THE_ACCOUNT: Final[Mapping[str, Answering]] = MappingProxyType(
    {
        "/v2/account": account.account,
        "/v2/account/activities": account.activities,
        "/v2/orders": account.orders,
        "/v2/positions": account.positions,
    }
)
_OF_THE_MARKET: Final[Mapping[str, Answering]] = MappingProxyType(
    {
        "/v2/calendar": _calendar,
        "/v2/clock": _clock,
        "/v2/options/contracts": _contracts,
        "/v1/corporate-actions": reference.corporate_actions,
        "/v2/stocks/snapshots": prices.stock_snapshots,
        "/v2/stocks/quotes/latest": prices.latest_stock_quotes,
        "/v2/stocks/trades/latest": prices.latest_stock_trades,
        **{f"/v1beta3/crypto/{place}/latest/orderbooks": prices.latest_books for place in CRYPTO_LOCATIONS},
        "/v1beta1/news": news,
        "/v1beta1/options/snapshots": prices.option_snapshots,
        "/v1beta1/options/quotes/latest": prices.latest_option_quotes,
        "/v1beta1/options/trades/latest": prices.latest_option_trades,
    }
)
_OF_THE_PAST: Final[Mapping[str, Answering]] = MappingProxyType(
    {
        **{f"/v2/stocks/{name}": history.stock_history(name) for name in ("quotes", "trades")},
        "/v2/stocks/bars": reference.bars,
        **{f"/v1beta1/options/{name}": history.option_history(name) for name in ("trades", "bars")},
        **{
            f"/v1beta3/crypto/{location}/{name}": history.crypto_history(name)
            for location in CRYPTO_LOCATIONS
            for name in ("quotes", "trades", "bars")
        },
    }
)
_OF_ONE: Final[Mapping[str, Callable[[str, Query, RequestContext], Answer]]] = MappingProxyType(
    {"/v2/options/contracts": _one_contract, "/v2/assets": _one_asset, "/v1beta1/options/snapshots": _chain}
)
