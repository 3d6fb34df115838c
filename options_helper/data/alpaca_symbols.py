"""Alpaca's spelling of symbols, under the name it had first; its home is `options_helper.model.alpaca_symbols`."""

from __future__ import annotations

from options_helper.model.alpaca_symbols import (
    contract_symbol,
    is_index,
    option_root,
    to_alpaca_symbol,
    to_repo_symbol,
    underlying_symbol,
)

__all__ = [
    "contract_symbol",
    "is_index",
    "option_root",
    "to_alpaca_symbol",
    "to_repo_symbol",
    "underlying_symbol",
]
