"""The user's own dividends: what Alpaca has not announced, or was not asked for, with who says so and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from options_helper.data.toml_rows import Row, read_text, rows_of
from options_helper.errors import ConfigError
from options_helper.model.alpaca_symbols import to_alpaca_symbol
from options_helper.model.risk_inputs import Dividend

# Dollars a share; beyond it is a slip of the finger.
DIVIDEND_AT_MOST: Final = 1_000.0
_KEYS: Final = frozenset({"symbol", "ex_date", "amount", "said_by", "entered"})
_EXAMPLE: Final = (
    'Write [[dividends]], then symbol = "MSFT", ex_date = 2027-02-18, amount = 0.91, said_by = "their page" and '
    "entered = 2026-11-20, each on a line of its own."
)


def load_dividends(path: Path) -> Mapping[str, tuple[Dividend, ...]]:
    """Read the file; none is no error. ConfigError, a sentence, for what is no such file."""
    text = read_text(path)
    return MappingProxyType({}) if text is None else parse_dividends(text, path.name)


def parse_dividends(text: str, name: str) -> Mapping[str, tuple[Dividend, ...]]:
    """Dividends from TOML by symbol in Alpaca's spelling, by ex-date; ConfigError, which begins with `name`."""
    found: defaultdict[str, dict[str, Dividend]] = defaultdict(dict)
    for row in rows_of(text, name, "dividends", _KEYS, _EXAMPLE):
        one = _dividend(row)
        if one.ex_date.isoformat() in found[one.symbol]:
            raise ConfigError(f"{row.where}: {one.symbol} has another of this ex_date. {_EXAMPLE}")
        found[one.symbol][one.ex_date.isoformat()] = one
    return MappingProxyType(
        {symbol: tuple(days[day] for day in sorted(days)) for symbol, days in found.items()}
    )


def _dividend(row: Row) -> Dividend:
    return Dividend(
        symbol=to_alpaca_symbol(row.word("symbol")),
        ex_date=row.day("ex_date"),
        amount=row.amount("amount", most=DIVIDEND_AT_MOST),
        said_by=row.word("said_by"),
        entered=row.day("entered"),
    )
