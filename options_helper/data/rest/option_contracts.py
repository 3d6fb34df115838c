"""Find the contracts of an underlying at Alpaca: its streams take no underlying, only contracts one by one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, Self

from options_helper.data.rest.client import CONTRACTS_A_PAGE, AlpacaRest
from options_helper.data.rest.market_time import server_time
from options_helper.data.rest.rate_limit import DEFAULT_POLICY, RequestLimits, RestPolicy
from options_helper.errors import ConfigError, RestError, SymbolError
from options_helper.model.alpaca_symbols import is_index, underlying_symbol
from options_helper.model.contract_symbols import parse_contract_symbol
from options_helper.model.market_hours import new_york_date
from options_helper.model.tolerant import amount, field, word
from options_helper.settings import Settings

log = logging.getLogger(__name__)

# The farthest contracts that are listed; the endpoint leaves late expiries out unless it is told a date.
HORIZON: Final = timedelta(days=4 * 366)


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

    The market's date and the prices that tell where the money is are asked too. The end of its context closes what it
    has opened.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        policy: RestPolicy = DEFAULT_POLICY,
        page_size: int = CONTRACTS_A_PAGE,
        limits: RequestLimits | None = None,
    ) -> None:
        self._rest = AlpacaRest(settings, policy=policy, limits=limits)
        self._page_size = page_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rest.stop()

    def find(self, underlying: str, wanted: ContractFilter) -> Chain:
        """The contracts that are wanted; ConfigError, naming the underlying, when there are none or no answer."""
        try:
            return self._find(underlying, wanted)
        except RestError as error:
            raise _not_expanded(underlying, str(error).rstrip(".")) from error

    def _find(self, underlying: str, wanted: ContractFilter) -> Chain:
        today = self._today()
        price = None if is_index(underlying) else self._price(underlying)
        if price is None and wanted.moneyness is not None:
            raise _not_expanded(
                underlying,
                "its price is not known, so no strike can be told to be near the money. Check the symbol, or take "
                "all strikes: --moneyness all",
            )
        listed = self._listed(self._query(underlying, wanted, today, price))
        spans = wanted.spans(today)
        contracts = [
            one for one in listed if one.expiry >= today and any(one.expiry in span for span in spans)
        ]
        if not contracts:
            raise _not_expanded(underlying, _why_none(listed, wanted))
        return Chain(underlying, tuple(_nearest_first(contracts, price)), price)

    def _today(self) -> date:
        server_now = server_time(self._rest)
        if server_now is None:
            raise RestError("Alpaca's clock tells no time that can be read. Try again.")
        return new_york_date(server_now)

    def _price(self, underlying: str) -> float | None:
        trade = self._rest.latest_stock_trades([underlying]).get(underlying)
        price = amount(field(trade, "p"))
        return None if price is None else float(price)

    def _query(
        self, underlying: str, wanted: ContractFilter, today: date, price: float | None
    ) -> dict[str, Any]:
        spans = wanted.spans(today)
        first = max(today, min(span.first or today for span in spans))
        last = max(span.last or today + HORIZON for span in spans)
        query: dict[str, Any] = {
            "underlying_symbols": underlying_symbol(underlying),
            "expiration_date_gte": first.isoformat(),
            "expiration_date_lte": last.isoformat(),
            "limit": self._page_size,
        }
        if price is not None and wanted.moneyness is not None:
            query["strike_price_gte"] = f"{max(0.0, price * (1 - wanted.moneyness)):.3f}"
            query["strike_price_lte"] = f"{price * (1 + wanted.moneyness):.3f}"
        return query

    def _listed(self, query: dict[str, Any]) -> list[Contract]:
        """Every page of the answer, each contract once."""
        pages = self._rest.option_contracts(query)
        return list({one.symbol: one for page in pages for one in _contracts_in(page)}.values())


def _contracts_in(rows: Iterable[dict[str, Any]]) -> Iterator[Contract]:
    for row in rows:
        symbol = word(row.get("symbol")) or ""
        try:
            terms = parse_contract_symbol(symbol)
        except SymbolError as error:
            log.warning("a listed contract is left out: %s", error)
            continue
        if row.get("status", "active") == "active":
            yield Contract(symbol, terms.expiry, terms.strike)


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
