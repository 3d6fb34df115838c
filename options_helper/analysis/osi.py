"""Contract symbols, under the name they had first; their home is `options_helper.model.contract_symbols`."""

from __future__ import annotations

from options_helper.model.contract_symbols import (
    CLASS_SHARES,
    INDEX_ROOTS,
    OptionType,
    ParsedContract,
    format_contract,
    format_osi,
    format_osi_compact,
    is_adjusted_root,
    is_contract_symbol,
    parse_contract_symbol,
    plain_number,
    short_date,
    strike_mills,
    underlying_of_root,
)

__all__ = [
    "CLASS_SHARES",
    "INDEX_ROOTS",
    "OptionType",
    "ParsedContract",
    "format_contract",
    "format_osi",
    "format_osi_compact",
    "is_adjusted_root",
    "is_contract_symbol",
    "parse_contract_symbol",
    "plain_number",
    "short_date",
    "strike_mills",
    "underlying_of_root",
]
