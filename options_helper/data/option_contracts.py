"""Find the contracts of an underlying at Alpaca: its streams take no underlying, only contracts one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from options_helper.analysis.osi import parse_contract_symbol
from options_helper.data.alpaca_symbols import is_index, underlying_symbol
from options_helper.data.market_hours import NEW_YORK
from options_helper.data.streaming.alpaca_stream import require_credentials
from options_helper.errors import ConfigError, SymbolError
from options_helper.settings import Settings

log = logging.getLogger(__name__)

PAGE: Final = 1_000
TIMEOUT_SECONDS: Final = 10.0
# The farthest contracts that are listed; the endpoint leaves late expiries out unless it is told a date.
HORIZON: Final = timedelta(days=4 * 366)
# A server that repeats its pages must not hold us for ever.
PAGES_AT_MOST: Final = 100

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Contract:
    """A listed contract: what decides whether it is wanted."""

    symbol: str
    expiry: date
    strike: float


@dataclass(frozen=True, slots=True)
class ExpirySpan:
    """Expiries from a day to a day, both included; None is open."""

    first: date | None = None
    last: date | None = None

    def __contains__(self, day: date) -> bool:
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


@dataclass(frozen=True, slots=True)
class ContractFilter:
    """Which contracts of an underlying are wanted: the expiries of any of the spans, and those of the next days.

    With neither, every expiry is. `moneyness` 0.1 takes strikes within 10 % of the price, None takes all.
    """

    expiries: tuple[ExpirySpan, ...] = ()
    within_days: int | None = None
    moneyness: float | None = None

    def spans(self, today: date) -> tuple[ExpirySpan, ...]:
        """The wanted expiries on that day."""
        if self.within_days is not None:
            return (*self.expiries, ExpirySpan(today, today + timedelta(days=self.within_days)))
        return self.expiries or (ExpirySpan(),)


@dataclass(frozen=True, slots=True)
class Chain:
    """The wanted contracts of one underlying, nearest expiry first and within it nearest the money first."""

    underlying: str
    contracts: tuple[Contract, ...]
    price: float | None  # of the underlying; None: not known


class ContractFinder:
    """Asks Alpaca's contracts endpoint, in Alpaca's account at `settings.base_url`; blocks while it does.

    The market's date and the prices that tell where the money is are asked too.
    """

    def __init__(
        self, settings: Settings, *, timeout_seconds: float = TIMEOUT_SECONDS, page_size: int = PAGE
    ) -> None:
        key, secret = require_credentials(settings)
        self._settings = settings
        self._page_size = page_size
        self._trading = _trading_client(settings, key, secret, timeout_seconds)
        self._prices = _price_client(settings, key, secret, timeout_seconds)

    def find(self, underlying: str, wanted: ContractFilter) -> Chain:
        """The contracts that are wanted; ConfigError, naming the underlying, when there are none or no answer."""
        today = self._answered(underlying, self._today)
        price = None if is_index(underlying) else self._answered(underlying, partial(self._price, underlying))
        if price is None and wanted.moneyness is not None:
            raise _not_expanded(
                underlying,
                "its price is not known, so no strike can be told to be near the money. Check the symbol, or take "
                "all strikes: --moneyness all",
            )
        query = self._query(underlying, wanted, today, price)
        listed = self._answered(underlying, partial(self._listed, query))
        spans = wanted.spans(today)
        contracts = [
            one for one in listed if one.expiry >= today and any(one.expiry in span for span in spans)
        ]
        if not contracts:
            raise _not_expanded(underlying, _why_none(listed, wanted))
        return Chain(underlying, tuple(_nearest_first(contracts, price)), price)

    def _today(self) -> date:
        clock = self._trading.get_clock()
        return datetime.fromisoformat(clock["timestamp"]).astimezone(NEW_YORK).date()

    def _price(self, underlying: str) -> float | None:
        from alpaca.data.requests import StockLatestTradeRequest

        trades = self._prices.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=[underlying]))
        trade = trades.get(underlying)
        return None if not trade else float(trade["p"])

    def _query(
        self, underlying: str, wanted: ContractFilter, today: date, price: float | None
    ) -> dict[str, Any]:
        spans = wanted.spans(today)
        query: dict[str, Any] = {
            "underlying_symbols": [underlying_symbol(underlying)],
            "expiration_date_gte": max(today, min(span.first or today for span in spans)),
            "expiration_date_lte": max(span.last or today + HORIZON for span in spans),
            "limit": self._page_size,
        }
        if price is not None and wanted.moneyness is not None:
            query["strike_price_gte"] = f"{max(0.0, price * (1 - wanted.moneyness)):.3f}"
            query["strike_price_lte"] = f"{price * (1 + wanted.moneyness):.3f}"
        return query

    def _listed(self, query: dict[str, Any]) -> list[Contract]:
        """Every page of the answer."""
        from alpaca.trading.requests import GetOptionContractsRequest

        found: dict[str, Contract] = {}
        token: str | None = None
        for _ in range(PAGES_AT_MOST):
            answer = self._trading.get_option_contracts(GetOptionContractsRequest(**query, page_token=token))
            found |= {one.symbol: one for one in _contracts_in(answer.get("option_contracts") or [])}
            token = answer.get("next_page_token")
            if not token:
                break
        else:
            log.warning(
                "Alpaca's list of contracts has more than %d pages; the rest is left out", PAGES_AT_MOST
            )
        return list(found.values())

    def _answered(self, underlying: str, ask: Callable[[], T]) -> T:
        """What `ask` returns; ConfigError with the remedy when the server refuses or cannot be reached."""
        from alpaca.common.exceptions import APIError
        from requests.exceptions import ConnectionError as Unreachable
        from requests.exceptions import RequestException, Timeout

        try:
            return ask()
        except APIError as error:
            raise _not_expanded(underlying, self._refusal(error)) from error
        except Timeout:
            raise _not_expanded(underlying, "Alpaca did not answer in time. Try again") from None
        except Unreachable:
            raise _not_expanded(
                underlying, "Alpaca cannot be reached. Check the network and APCA_API_BASE_URL"
            ) from None
        except (RequestException, AttributeError, KeyError, TypeError, ValueError) as error:
            raise _not_expanded(
                underlying, f"Alpaca's answer cannot be read ({type(error).__name__}). Try again"
            ) from error

    def _refusal(self, error: Any) -> str:
        status = error.status_code
        if status in (401, 403):
            return (
                f"Alpaca refused the keys ({status}). "
                "Check APCA_API_KEY_ID, APCA_API_SECRET_KEY and APCA_API_BASE_URL"
            )
        if status == 429:
            return "Alpaca allows no more requests for the moment (429). Try again in a minute"
        return f"Alpaca answered with status {status}. Check the symbol, or try again"


def _contracts_in(rows: Iterable[dict[str, Any]]) -> Iterator[Contract]:
    for row in rows:
        try:
            terms = parse_contract_symbol(row["symbol"])
        except SymbolError as error:
            log.warning("a listed contract is left out: %s", error)
            continue
        if row.get("status", "active") == "active":
            yield Contract(row["symbol"], terms.expiry, terms.strike)


def _nearest_first(contracts: Sequence[Contract], price: float | None) -> list[Contract]:
    strikes = sorted(contract.strike for contract in contracts)
    # Without a price the middle strike stands in for it: chains are listed around the money.
    money = strikes[len(strikes) // 2] if price is None else price
    return sorted(contracts, key=lambda one: (one.expiry, abs(one.strike - money), one.strike, one.symbol))


def _why_none(listed: Sequence[Contract], wanted: ContractFilter) -> str:
    if listed:
        return "no listed contract has one of the --expiries. Name other expiries"
    if wanted != ContractFilter():
        return "Alpaca lists no contract within --expiries and --moneyness. Widen them, or check the symbol"
    return "Alpaca lists no contract of it. Check the symbol"


def _not_expanded(underlying: str, reason: str) -> ConfigError:
    return ConfigError(f"The options of {underlying} cannot be recorded: {reason}.")


def _trading_client(settings: Settings, key: str, secret: str, timeout_seconds: float) -> Any:
    from alpaca.trading.client import TradingClient

    client = TradingClient(key, secret, paper=settings.paper, raw_data=True, url_override=settings.base_url)
    return _impatient(client, timeout_seconds)


def _price_client(settings: Settings, key: str, secret: str, timeout_seconds: float) -> Any:
    from alpaca.data.historical import StockHistoricalDataClient

    client = StockHistoricalDataClient(key, secret, raw_data=True, url_override=settings.data_url)
    return _impatient(client, timeout_seconds)


def _impatient(client: Any, timeout_seconds: float) -> Any:
    """The SDK waits for an answer without end; an adapter below it does not."""
    from requests.adapters import HTTPAdapter

    class ImpatientAdapter(HTTPAdapter):
        def send(self, *arguments: Any, **options: Any) -> Any:
            return super().send(*arguments, **{**options, "timeout": timeout_seconds})

    for scheme in ("https://", "http://"):
        client._session.mount(scheme, ImpatientAdapter())  # noqa: SLF001 - the SDK has no other place for it
    return client
