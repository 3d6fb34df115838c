"""Ask for the options around the money of what is held: together they say what their underlying costs.

For an index that is the only price there is; for a share it is a second one, which catches a first that is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.seeding import read_snapshots
from options_helper.model.alpaca_symbols import is_index, underlying_symbol
from options_helper.model.contract_symbols import (
    ParsedContract,
    class_and_expiry,
    is_contract_symbol,
    parse_contract_symbol,
)
from options_helper.model.events import Quote
from options_helper.model.risk_inputs import ExpiryChain
from options_helper.model.streams import StreamName

# Further out, early exercise and the cost of holding a share blur what its options say of its price.
LONGEST_OF_SHARE: Final = timedelta(days=92)
# A listed strike is no farther from the next than this part of the price, or these dollars.
_WINDOW: Final = 0.05
_INDEX_WINDOW: Final = 0.02
_LEAST_WINDOW: Final = 2.5


@dataclass(frozen=True, slots=True)
class ChainRequest:
    """One expiry of an underlying, and the strikes from and to which it is asked for; None: all of them."""

    underlying: str  # in Alpaca's spelling
    expiry: date
    strikes: tuple[float, float] | None = None

    @property
    def of_index(self) -> bool:
        """Whether its figures wait for it."""
        return is_index(self.underlying)


def chain_requests(
    contracts: Iterable[str],
    today: date,
    spots: Mapping[str, float],
    money: Mapping[tuple[str, date], float] | None = None,
) -> list[ChainRequest]:
    """What to ask for: of an index each expiry that is held, of a share the last one within three months.

    `spots` are the prices of shares, those without one are left out; `money` is where an earlier look found an index.
    Indices come first, then what ends first. What ends today says nothing of a share.
    """
    expiries: defaultdict[str, set[date]] = defaultdict(set)
    for terms in map(parse_contract_symbol, contracts):
        if terms.expiry >= today and not terms.adjusted:
            expiries[_underlying(terms)].add(terms.expiry)
    requests = [
        request
        for underlying, days in expiries.items()
        for request in (
            _of_index(underlying, days, money or {})
            if is_index(underlying)
            else _of_share(underlying, days, today, spots.get(underlying))
        )
    ]
    return sorted(requests, key=lambda one: (not one.of_index, one.expiry, one.underlying))


def _of_index(
    underlying: str, expiries: Iterable[date], money: Mapping[tuple[str, date], float]
) -> list[ChainRequest]:
    found = {expiry: money.get((underlying, expiry)) for expiry in expiries}
    return [
        ChainRequest(underlying, expiry, None if at is None else _around(at, _INDEX_WINDOW))
        for expiry, at in found.items()
    ]


def _of_share(
    underlying: str, expiries: Iterable[date], today: date, spot: float | None
) -> list[ChainRequest]:
    near = [one for one in expiries if today < one <= today + LONGEST_OF_SHARE]
    if spot is None or not near:
        return []
    return [ChainRequest(underlying, max(near), _around(spot, _WINDOW))]


def _around(price: float, part: float) -> tuple[float, float]:
    width = max(part * price, _LEAST_WINDOW)
    return max(0.0, price - width), price + width


def read_chain(
    rest: AlpacaRest,
    request: ChainRequest,
    *,
    feed: str,
    today: date,
    read_at: datetime,
    spot: Quote | None = None,
) -> dict[str, ExpiryChain]:
    """The quotes that there are, by class and expiry ("SPXW261218"); `spot` is the underlying's at that moment.

    Blocks; RestError.
    """
    query: dict[str, Any] = {"feed": feed, "expiration_date": request.expiry.isoformat()}
    if request.strikes is not None:
        low, high = request.strikes
        query |= {"strike_price_gte": f"{low:.3f}", "strike_price_lte": f"{high:.3f}"}
    by_class: defaultdict[str, dict[str, Quote]] = defaultdict(dict)
    for page in rest.option_chain(request.underlying, query):
        contracts = [one for one in page if is_contract_symbol(one)]
        for quote in read_snapshots(StreamName.OPTIONS, contracts, page, today).quotes:
            by_class[class_and_expiry(quote.symbol)][quote.symbol] = quote
    return {
        name: ExpiryChain(request.underlying, request.expiry, read_at, MappingProxyType(quotes), spot)
        for name, quotes in by_class.items()
    }


def money_of(chains: Iterable[ExpiryChain]) -> float | None:
    """About where the money is: the strike at which call and put cost nearly the same; None where none has both."""
    gaps = [gap for chain in chains for gap in _gaps(chain.quotes)]
    return min(gaps)[1] if gaps else None


def _gaps(quotes: Mapping[str, Quote]) -> list[tuple[float, float]]:
    """How far apart the middles of call and put are, and at which strike."""
    mids: defaultdict[float, dict[str, float]] = defaultdict(dict)
    for symbol, quote in quotes.items():
        if quote.bid_price is not None and quote.ask_price is not None:
            terms = parse_contract_symbol(symbol)
            mids[terms.strike][terms.option_type] = (quote.bid_price + quote.ask_price) / 2
    return [(abs(both["call"] - both["put"]), strike) for strike, both in mids.items() if len(both) == 2]


def _underlying(terms: ParsedContract) -> str:
    return underlying_symbol(terms.underlying)
