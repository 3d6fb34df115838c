"""The few plain HTTP answers a stream's client asks for: clock, account, option contracts and last prices."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl
from uuid import NAMESPACE_OID, uuid5

from options_helper.analysis.osi import ParsedContract, parse_contract_symbol, plain_number
from options_helper.data.alpaca_symbols import underlying_symbol
from options_helper.data.market_hours import NEW_YORK, market_open, next_change
from options_helper.data.streaming.events import StreamName, utc_datetime
from options_helper.simulator.market import ListingMarket, Market

Answer = tuple[HTTPStatus, Any]
Query = Mapping[str, str]

CONTRACTS_A_PAGE: Final = 100
CONTRACTS_A_PAGE_AT_MOST: Final = 10_000

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


def answer_request(path: str, query: str, now_ns: int, market: Market) -> Answer:
    """Status and JSON body for one GET of an authenticated client."""
    asked = dict(parse_qsl(query))
    match path:
        case "/v2/clock":
            return HTTPStatus.OK, _clock(now_ns)
        case "/v2/account":
            return HTTPStatus.OK, ACCOUNT
        case "/v2/options/contracts" if isinstance(market, ListingMarket):
            return _contracts(asked, market)
        case "/v2/stocks/trades/latest" if isinstance(market, ListingMarket):
            return HTTPStatus.OK, {"trades": _latest_trades(asked, market, now_ns)}
        case _:
            return HTTPStatus.NOT_FOUND, {"code": 40410000, "message": f"the simulator has no {path}"}


def _contracts(asked: Query, market: ListingMarket) -> Answer:
    """One page of the contracts that fit, ordered by symbol; the token of the next page is where it begins."""
    try:
        first = max(0, int(asked.get("page_token", 0)))
        limit = min(max(1, int(asked.get("limit", CONTRACTS_A_PAGE))), CONTRACTS_A_PAGE_AT_MOST)
        known = {symbol: parse_contract_symbol(symbol) for symbol in sorted(market.contracts)}
        fitting = [symbol for symbol, terms in known.items() if _fits(terms, asked)]
    except ValueError as error:
        return HTTPStatus.UNPROCESSABLE_ENTITY, {"code": 42210000, "message": str(error)}
    page = fitting[first : first + limit]
    following = first + len(page)
    return HTTPStatus.OK, {
        "option_contracts": [_contract(symbol, known[symbol]) for symbol in page],
        "next_page_token": str(following) if following < len(fitting) else None,
    }


def _fits(terms: ParsedContract, asked: Query) -> bool:
    wanted = asked.get("underlying_symbols")
    underlying = underlying_symbol(terms.underlying)
    least_day, last_day = asked.get("expiration_date_gte"), asked.get("expiration_date_lte")
    least_strike, last_strike = asked.get("strike_price_gte"), asked.get("strike_price_lte")
    return all(
        (
            wanted is None or underlying in wanted.split(","),
            asked.get("root_symbol") in (None, terms.underlying),
            asked.get("type") in (None, terms.option_type),
            asked.get("expiration_date") in (None, terms.expiry.isoformat()),
            least_day is None or terms.expiry >= date.fromisoformat(least_day),
            last_day is None or terms.expiry <= date.fromisoformat(last_day),
            least_strike is None or terms.strike >= float(least_strike),
            last_strike is None or terms.strike <= float(last_strike),
        )
    )


def _contract(symbol: str, terms: ParsedContract) -> dict[str, Any]:
    underlying = underlying_symbol(terms.underlying)
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
        "style": "american",
        "strike_price": strike,
        "multiplier": "100",
        "size": "100",
        "open_interest": None,
        "open_interest_date": None,
        "close_price": None,
        "close_price_date": None,
    }


def _latest_trades(asked: Query, market: ListingMarket, now_ns: int) -> dict[str, Any]:
    """The trades of those symbols that have a price; as with Alpaca, the others are left out."""
    prices = {symbol: market.price(symbol) for symbol in asked.get("symbols", "").split(",")}
    moment = utc_datetime(now_ns).isoformat().replace("+00:00", "Z")
    return {
        symbol: {"t": moment, "x": "V", "p": price, "s": 100, "c": ["@"], "i": 1, "z": "C"}
        for symbol, price in prices.items()
        if price is not None
    }


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
