"""Symbols and prices as sentences say them, the same in a headline and beside a total."""

from __future__ import annotations

from decimal import Decimal

from options_helper.analysis.osi import contract_words, parse_contract_symbol
from options_helper.errors import SymbolError


def in_words(symbol: str) -> str:
    """A contract as a trader says it; any other symbol as it is."""
    try:
        contract = parse_contract_symbol(symbol)
    except SymbolError:
        return symbol
    return contract_words(contract.underlying, contract.expiry, contract.option_type, contract.strike)


def price_words(price: Decimal) -> str:
    """An amount with its cents, and whatever digits it has beyond them."""
    exponent = price.as_tuple().exponent
    return f"{price:,f}" if isinstance(exponent, int) and exponent < -2 else f"{price:,.2f}"
