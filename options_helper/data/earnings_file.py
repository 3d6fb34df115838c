"""The user's own list of days on which companies report: Alpaca tells none, and nobody else is asked."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Any, Final

from options_helper.errors import ConfigError
from options_helper.model.alpaca_symbols import to_alpaca_symbol
from options_helper.model.earnings import Earnings

_KEYS: Final = frozenset({"symbol", "day", "said_by", "entered"})
_EXAMPLE: Final = (
    'Write [[earnings]], then symbol = "AAPL", day = 2027-01-29, said_by = "their page" and entered = 2026-11-20, each '
    "on a line of its own."
)


def load_earnings(path: Path) -> tuple[Earnings, ...]:
    """Read the file; none is no error. ConfigError, a sentence, for what is no such file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error.strerror}. Make it a readable text file.") from error
    except UnicodeDecodeError:
        raise ConfigError(f"Cannot read {path}: it is not UTF-8 text. Save it as UTF-8.") from None
    return parse_earnings(text, path.name)


def parse_earnings(text: str, name: str) -> tuple[Earnings, ...]:
    """Reports from TOML by day and symbol; ConfigError, which begins with `name`, where one is none."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is no TOML: {error}. {_EXAMPLE}") from None
    if strangers := sorted(content.keys() - {"earnings"}):
        raise ConfigError(f"{name}: {strangers[0]!r} stands outside of [[earnings]]. {_EXAMPLE}")
    rows = content.get("earnings", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{name}: earnings is no list of tables. {_EXAMPLE}")
    found = [_report(row, f"{name}, earnings {place}") for place, row in enumerate(rows, 1)]
    return tuple(sorted(found, key=lambda one: (one.day, one.symbol)))


def _report(row: dict[str, Any], where: str) -> Earnings:
    if strangers := sorted(row.keys() - _KEYS):
        raise ConfigError(f"{where}: {strangers[0]!r} is no known field. {_EXAMPLE}")
    symbol, said_by = (_word(row, key, where) for key in ("symbol", "said_by"))
    day, entered = (_day(row, key, where) for key in ("day", "entered"))
    return Earnings(to_alpaca_symbol(symbol), day, said_by, entered)


def _word(row: dict[str, Any], key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where}: {key} is missing, or is no text. {_EXAMPLE}")
    return value.strip()


def _day(row: dict[str, Any], key: str, where: str) -> date:
    value = row.get(key)
    # A time is a date to Python, and no day.
    if type(value) is not date:
        raise ConfigError(f"{where}: {key} is missing, or is no day. {_EXAMPLE}")
    return value
