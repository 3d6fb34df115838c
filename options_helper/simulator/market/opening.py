"""The account that a portfolio file describes: one position for each contract, at what the file says it cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Final

from options_helper.model.portfolio import MultiLegPosition, Portfolio, PortfolioEntry, PortfolioLine
from options_helper.simulator.market.account import CONTRACT_SHARES, Holding

PriceOf = Callable[[str], float | None]

CENT: Final = Decimal("0.01")


def opening_holdings(portfolio: Portfolio, price_of: PriceOf) -> list[Holding]:
    """What the portfolio holds; a price that it does not name is about the market's."""
    return [holding for entry in portfolio.positions for holding in _holdings(entry, price_of)]


def _holdings(entry: PortfolioEntry, price_of: PriceOf) -> Iterator[Holding]:
    """Each line at its cost; where a structure names its net debit alone, near the market's prices and at that cost."""
    prices = [_paid(line, price_of) for line in entry.lines]
    if isinstance(entry, MultiLegPosition) and entry.net_debit is not None:
        _spread(_exact(entry.net_debit), entry.lines, prices)
    for line, price in zip(entry.lines, prices, strict=True):
        yield Holding(line.instrument.live_symbol, line.quantity, price)


def _paid(line: PortfolioLine, price_of: PriceOf) -> Decimal:
    return _exact(price_of(line.instrument.live_symbol) or 0) if line.cost_basis is None else line.cost_basis


def _spread(cost: Decimal, lines: Sequence[PortfolioLine], prices: list[Decimal]) -> None:
    """Move the prices that are not named until all lines together cost so much."""
    worth = [line.quantity * (line.instrument.multiplier or CONTRACT_SHARES) for line in lines]
    missing = cost - sum(amount * price for amount, price in zip(worth, prices, strict=True))
    movable = [index for index, line in enumerate(lines) if line.cost_basis is None]
    for index in sorted(movable, key=prices.__getitem__, reverse=True):
        # The dearest leg takes what is missing, as far as its price stays one; the next takes the rest.
        found = max(CENT, prices[index] + missing / worth[index])
        missing -= (found - prices[index]) * worth[index]
        prices[index] = found


def _exact(number: float) -> Decimal:
    return Decimal(str(number))
