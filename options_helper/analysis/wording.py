"""Symbols and lists of them as sentences say them, the same in a headline and beside a total."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from options_helper.analysis.osi import contract_words, parse_contract_symbol
from options_helper.errors import SymbolError

_NAMED_AT_MOST: Final = 3


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


def named(words: Sequence[str]) -> str:
    """The first few of a list, and how many more there are."""
    more = len(words) - _NAMED_AT_MOST
    return ", ".join(words[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
