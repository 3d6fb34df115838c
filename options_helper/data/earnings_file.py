"""The user's own list of days on which companies report: Alpaca tells none, and nobody else is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from options_helper.data.toml_rows import Row, read_text, rows_of
from options_helper.model.alpaca_symbols import to_alpaca_symbol
from options_helper.model.earnings import Earnings

_KEYS: Final = frozenset({"symbol", "day", "said_by", "entered"})
_EXAMPLE: Final = (
    'Write [[earnings]], then symbol = "AAPL", day = 2027-01-29, said_by = "their page" and entered = 2026-11-20, each '
    "on a line of its own."
)


def load_earnings(path: Path) -> tuple[Earnings, ...]:
    """Read the file; none is no error. ConfigError, a sentence, for what is no such file."""
    text = read_text(path)
    return () if text is None else parse_earnings(text, path.name)


def parse_earnings(text: str, name: str) -> tuple[Earnings, ...]:
    """Reports from TOML by day and symbol; ConfigError, which begins with `name`, where one is none."""
    found = map(_report, rows_of(text, name, "earnings", _KEYS, _EXAMPLE))
    return tuple(sorted(found, key=lambda one: (one.day, one.symbol)))


def _report(row: Row) -> Earnings:
    symbol, said_by = row.word("symbol"), row.word("said_by")
    return Earnings(to_alpaca_symbol(symbol), row.day("day"), said_by, row.day("entered"))
