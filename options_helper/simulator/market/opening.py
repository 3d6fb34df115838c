"""The account that a portfolio file describes: one position for each contract, at what the file says it cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final, assert_never

from options_helper.model.portfolio import MultiLegPosition, Portfolio, PortfolioEntry, Position, ShareHolding
from options_helper.simulator.market.account import CONTRACT_SHARES, Holding

PriceOf = Callable[[str], float | None]

CENT: Final = Decimal("0.01")


def opening_holdings(portfolio: Portfolio, price_of: PriceOf) -> list[Holding]:
    """What the portfolio holds; a price that it does not name is about the market's."""
    return [holding for entry in portfolio.positions for holding in _holdings(entry, price_of)]


def _holdings(entry: PortfolioEntry, price_of: PriceOf) -> Iterator[Holding]:
    match entry:
        case Position():
            symbol = entry.instrument.live_symbol
            yield Holding(symbol, Decimal(entry.contracts), _paid(entry.cost_basis, symbol, price_of))
        case ShareHolding():
            symbol = entry.instrument.live_symbol
            yield Holding(symbol, _exact(entry.shares), _paid(entry.cost_basis, symbol, price_of))
        case MultiLegPosition():
            yield from _legs(entry, price_of)
        case _:
            assert_never(entry)


def _paid(cost_basis: float | None, symbol: str, price_of: PriceOf) -> Decimal:
    return _exact(price_of(symbol) or 0) if cost_basis is None else _exact(cost_basis)


def _legs(entry: MultiLegPosition, price_of: PriceOf) -> Iterator[Holding]:
    """Legs near the market's prices whose cost is the structure's net debit."""
    symbols = [instrument.live_symbol for instrument in entry.instruments]
    quantities = [Decimal(leg.signed_contracts) for leg in entry.legs]
    prices = [_exact(price_of(symbol) or 0) for symbol in symbols]
    missing = _exact(entry.net_debit) / (entry.multiplier or CONTRACT_SHARES) - sum(
        quantity * price for quantity, price in zip(quantities, prices, strict=True)
    )
    for index in sorted(range(len(prices)), key=prices.__getitem__, reverse=True):
        # The dearest leg takes what is missing, as far as its price stays one; the next takes the rest.
        wanted = prices[index] + missing / quantities[index]
        found = max(CENT, wanted)
        missing -= (found - prices[index]) * quantities[index]
        prices[index] = found
    for symbol, quantity, price in zip(symbols, quantities, prices, strict=True):
        yield Holding(symbol, quantity, price)


def _exact(number: float) -> Decimal:
    return Decimal(str(number))
