"""Ask Alpaca's plain HTTP side for what its streams do not tell; every answer comes back as Alpaca wrote it.

The clients are alpaca-py's own. What they lack stands below them, in `transport`: a timeout, the pace, another
try, a way to stop, and a refusal of everything that is no reading.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

from options_helper.clock import utc_now
from options_helper.data.rest.rate_limit import DEFAULT_POLICY, RequestLimits, RestPolicy
from options_helper.data.rest.server_clock import ServerClock
from options_helper.data.sdk_import import sdk_class
from options_helper.errors import RestError, TooManyPages
from options_helper.model.announcement import MarketKind
from options_helper.model.tolerant import word
from options_helper.settings import Settings

if TYPE_CHECKING:
    from options_helper.data.rest.transport import ReadOnlyAdapter

log = logging.getLogger(__name__)

Row = dict[str, Any]
Query = dict[str, Any]

# Alpaca's reference of the option snapshots: "a limit of 100" contract symbols; a page holds up to 1000 of them.
OPTION_SYMBOLS_A_REQUEST: Final = 100
SNAPSHOTS_A_PAGE: Final = 1_000
# No number of stocks is documented, but an address above 8 KB gets 414 (alpaca-trade-api-csharp, issue 347):
# 500 symbols of the longest sort and their commas, three bytes each, stay below it.
STOCK_SYMBOLS_A_REQUEST: Final = 500
# The most that Alpaca gives at a time.
ORDERS_A_PAGE: Final = 500
ACTIVITIES_A_PAGE: Final = 100
CONTRACTS_A_PAGE: Final = 1_000
# A server that repeats its pages must not hold us for ever.
PAGES_AT_MOST: Final = 100
# Of the past, which has ten thousand rows a page: whoever wants more asks for shorter stretches.
PAST_PAGES_AT_MOST: Final = 300

# Orders of one instant may be cut apart by a page, and `after` leaves its own instant out.
_OVERLAP: Final = timedelta(milliseconds=1)


def batches(symbols: Iterable[str], size: int) -> Iterator[list[str]]:
    """The symbols in lists of at most `size`, in their order, each symbol once."""
    each_once = list(dict.fromkeys(symbols))
    for first in range(0, len(each_once), size):
        yield each_once[first : first + size]


class AlpacaRest:
    """Reads from the account at `settings.base_url` and the market data at `settings.data_url`; blocks while it does.

    Callable from several threads. Whatever keeps an answer away raises RestError, a sentence with the remedy. `stop`
    ends the calls under way and all later ones with RestStopped, and so does `stopping` for those that pause. All
    clients with the same `limits` keep one pace and the pauses that a host asks for; without, one keeps its own.
    `server_clock` hears when each answer was made, beside `now`, this computer's time.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        stopping: threading.Event | None = None,
        policy: RestPolicy = DEFAULT_POLICY,
        limits: RequestLimits | None = None,
        server_clock: ServerClock | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        key, secret = settings.require_credentials()
        data = settings.market_data
        data_key, data_secret = data.require_credentials()
        trading_client = sdk_class("alpaca.trading.client", "TradingClient")
        # It stands on what comes with the SDK.
        from options_helper.data.rest.transport import ReadOnlyAdapter

        limits, stopping = limits or RequestLimits(), stopping or threading.Event()

        def adapter(whose: Settings) -> ReadOnlyAdapter:
            return ReadOnlyAdapter(
                policy,
                partial(limits.host, whose),
                stopping,
                now=now,
                random=random.random,
                server_clock=server_clock,
            )

        def data_client(name: str) -> Any:
            client_cls = sdk_class("alpaca.data.historical", name)
            return _behind(
                data_side, client_cls(data_key, data_secret, raw_data=True, url_override=data.data_url)
            )

        # One for each account that is asked, since each has a minute of its own, also at one host.
        account_side = adapter(settings)
        data_side = account_side if data is settings else adapter(data)
        self._adapters = tuple(dict.fromkeys((account_side, data_side)))
        self._market = settings.market_kind
        self._account = _behind(
            account_side,
            trading_client(key, secret, paper=settings.paper, raw_data=True, url_override=settings.base_url),
        )
        self._stocks = data_client("StockHistoricalDataClient")
        self._options = data_client("OptionHistoricalDataClient")
        self._crypto = data_client("CryptoHistoricalDataClient")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def market(self) -> MarketKind:
        """Whose market it asks, as far as the address says."""
        return self._market

    def stop(self) -> None:
        """End every call under way and let no other begin; sets `stopping`. Harmless when repeated."""
        for adapter in self._adapters:
            adapter.stop()
            adapter.close()

    def stock_snapshots(self, symbols: Sequence[str], feed: str) -> dict[str, Any]:
        """Latest quote and trade, and the daily bars, by symbol; at most STOCK_SYMBOLS_A_REQUEST symbols."""
        answer = self._map(self._stocks, "/stocks/snapshots", {"symbols": ",".join(symbols), "feed": feed})
        return _inner_map(answer, "snapshots") if "snapshots" in answer else answer

    def option_snapshots(self, symbols: Sequence[str], feed: str) -> dict[str, Any]:
        """Latest quote and trade, and the daily bars, by contract; at most OPTION_SYMBOLS_A_REQUEST symbols."""
        query = {"symbols": ",".join(symbols), "feed": feed, "limit": SNAPSHOTS_A_PAGE}
        found: dict[str, Any] = {}
        for page in self._pages_by_token(self._options, "/options/snapshots", query):
            found |= _inner_map(page, "snapshots")
        return found

    def option_chain(self, underlying: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The same by contract, of those on an underlying that fit Alpaca's own parameters, page by page."""
        path = f"/options/snapshots/{quote(underlying, safe='')}"
        for page in self._pages_by_token(self._options, path, {"limit": SNAPSHOTS_A_PAGE, **query}):
            yield _inner_map(page, "snapshots")

    def latest_stock_trades(self, symbols: Sequence[str]) -> dict[str, Any]:
        """The latest trade by symbol, from the best feed that the plan has; symbols without one are left out."""
        answer = self._map(self._stocks, "/stocks/trades/latest", {"symbols": ",".join(symbols)})
        return _inner_map(answer, "trades")

    def past(self, kind: str, path: str, query: Mapping[str, Any]) -> Iterator[Row]:
        """Quotes, trades or bars of stocks, options or crypto, by Alpaca's own parameters, page by page."""
        client = {"stocks": self._stocks, "options": self._options, "crypto": self._crypto}[kind]
        return self._pages_by_token(client, path, dict(query), at_most=PAST_PAGES_AT_MOST)

    def latest_books(self, pairs: Sequence[str], location: str) -> dict[str, Any]:
        """The whole order book of each coin (`BTC/USD`) at a place: `t`, and `b` and `a` with price and size."""
        path = f"/crypto/{location}/latest/orderbooks"
        return _inner_map(self._map(self._crypto, path, {"symbols": ",".join(pairs)}), "orderbooks")

    def clock(self) -> Row:
        """The market's time and its next opening and closing."""
        return self._map(self._account, "/clock")

    def calendar(self, first: date, last: date) -> list[Row]:
        """The trading days between these two, and their hours in New York."""
        return self._rows("/calendar", {"start": first.isoformat(), "end": last.isoformat()})

    def option_contracts(self, query: Mapping[str, Any]) -> Iterator[list[Row]]:
        """The listed contracts that fit Alpaca's own parameters, page by page."""
        parameters = {"limit": CONTRACTS_A_PAGE, **query}
        for page in self._pages_by_token(self._account, "/options/contracts", parameters):
            yield _maps(page.get("option_contracts"), "/options/contracts")

    def data_pages(self, version: str, path: str, query: Mapping[str, Any]) -> Iterator[Row]:
        """What the market-data host has at `/<version><path>`, page by page."""
        yield from self._pages_by_token(self._stocks, path, dict(query), version=version)

    def news(self, query: Mapping[str, Any]) -> Iterator[list[Row]]:
        """The articles that fit Alpaca's own parameters, page by page."""
        for page in self.data_pages("v1beta1", "/news", query):
            yield _maps(page.get("news"), "/news")

    def option_contract(self, symbol: str) -> Row | None:
        """The listed contract; None when Alpaca knows none of this symbol."""
        return self._map_or_none(f"/options/contracts/{quote(symbol, safe='')}")

    def asset(self, symbol: str) -> Row | None:
        """The stock or coin; None when Alpaca knows none of this symbol."""
        return self._map_or_none(f"/assets/{quote(symbol, safe='')}")

    def account(self) -> Row:
        """The account, its cash among it."""
        return self._map(self._account, "/account")

    def positions(self) -> list[Row]:
        """Everything that is held."""
        return self._rows("/positions")

    def orders(self, after: datetime, until: datetime | None = None) -> Iterator[list[Row]]:
        """Orders of every status that were submitted after an instant, oldest first, legs within their parent.

        Page by page, each order once.
        """
        query: Query = {"status": "all", "nested": "true", "direction": "asc", "limit": ORDERS_A_PAGE}
        if until is not None:
            query["until"] = until.isoformat()
        seen: set[str] = set()
        begin = after
        for _ in range(PAGES_AT_MOST):
            page = self._rows("/orders", {**query, "after": begin.isoformat()})
            fresh = [row for row in page if word(row.get("id")) not in seen]
            if fresh:
                yield fresh
            seen.update(str(row.get("id")) for row in fresh)
            last = _submitted_at(page)
            if last is None or (not fresh and last <= begin):
                return
            # A page that brought nothing new ends at orders known already, so the next begins after them.
            begin = max(begin, last - _OVERLAP) if fresh else last
        raise _endless("/orders")

    def activities(self, types: Iterable[str], after: datetime) -> Iterator[list[Row]]:
        """What changed the account after an instant, oldest first, page by page.

        Assignments, exercises and expiries have a day and no time; to have those of a day, ask from its beginning.
        """
        query: Query = {
            "activity_types": ",".join(types),
            "after": after.isoformat(),
            "direction": "asc",
            "page_size": ACTIVITIES_A_PAGE,
        }
        seen: set[str] = set()
        for _ in range(PAGES_AT_MOST):
            page = self._rows("/account/activities", query)
            fresh = [row for row in page if word(row.get("id")) not in seen]
            if not fresh:
                return
            yield fresh
            seen.update(str(row.get("id")) for row in fresh)
            query["page_token"] = word(page[-1].get("id"))
        raise _endless("/account/activities")

    def _map(self, client: Any, path: str, query: Query | None = None, version: str | None = None) -> Row:
        answer = client.get(path, query, api_version=version)
        if not isinstance(answer, dict):
            raise _unreadable(path)
        return answer

    def _map_or_none(self, path: str) -> Row | None:
        try:
            return self._map(self._account, path)
        except RestError as error:
            if error.status == 404:
                return None
            raise

    def _rows(self, path: str, query: Query | None = None) -> list[Row]:
        return _maps(self._account.get(path, query), path)

    def _pages_by_token(
        self,
        client: Any,
        path: str,
        query: Mapping[str, Any],
        *,
        version: str | None = None,
        at_most: int = PAGES_AT_MOST,
    ) -> Iterator[Row]:
        token: str | None = None
        for _ in range(at_most):
            page = self._map(client, path, {**query, "page_token": token}, version)
            yield page
            token = word(page.get("next_page_token"))
            if token is None:
                return
        raise _endless(path, at_most)


def _inner_map(answer: Row, name: str) -> dict[str, Any]:
    inner = answer.get(name)
    return inner if isinstance(inner, dict) else {}


def _maps(answer: Any, path: str) -> list[Row]:
    """The rows of an answer; one that is no map has nothing to be read and is only said."""
    if not isinstance(answer, list):
        raise _unreadable(path)
    rows = [row for row in answer if isinstance(row, dict)]
    if len(rows) < len(answer):
        log.warning("%d rows of Alpaca's %s are no maps and are left out", len(answer) - len(rows), path)
    return rows


def _submitted_at(page: Sequence[Row]) -> datetime | None:
    """When the last order of a page was submitted; None for an empty page, or when it does not say."""
    if not page:
        return None
    text = word(page[-1].get("submitted_at")) or word(page[-1].get("created_at"))
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None


def _unreadable(path: str) -> RestError:
    return RestError(f"Alpaca's answer to {path} has another form than it should. Try again, or report it.")


def _endless(path: str, pages: int = PAGES_AT_MOST) -> TooManyPages:
    return TooManyPages(
        f"Alpaca's answer to {path} has more than {pages} pages; what is behind them is not known. "
        "Ask for less."
    )


def _behind(adapter: ReadOnlyAdapter, client: Any) -> Any:
    """The client, with all that it asks going through the adapter."""
    for scheme in ("https://", "http://"):
        client._session.mount(scheme, adapter)  # noqa: SLF001 - the SDK has no other place for it
    return client
