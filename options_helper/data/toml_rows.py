"""Small files of the user's own: a list of tables in TOML, each row with who says so and when it was written down."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from options_helper.errors import ConfigError
from options_helper.model.text import without_quotes


@dataclass(frozen=True, slots=True)
class Row:
    """One table of a list; ConfigError, which begins with where it stands, for a value that is none."""

    values: Mapping[str, Any]
    where: str  # "events.toml, earnings 2"
    example: str  # what to write, a sentence

    def word(self, key: str) -> str:
        """Text that is not blank."""
        value = self.values.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(f"{key} is missing, or is no text")
        return value.strip()

    def day(self, key: str) -> date:
        """A day."""
        value = self.values.get(key)
        # A time is a date to Python, and no day.
        if type(value) is not date:
            raise self._wrong(f"{key} is missing, or is no day")
        return value

    def amount(self, key: str, *, most: float) -> float:
        """A number above 0 and no more than `most`, where a slip of the finger begins."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wrong(f"{key} is missing, or is no number{without_quotes(value)}")
        if not 0 < value <= most:
            raise self._wrong(f"{key} is {value:g}, and not between 0 and {most:g}")
        return float(value)

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"{self.where}: {what}. {self.example}")


def read_text(path: Path) -> str | None:
    """The file's text; None where there is no file. ConfigError, a sentence, for one that cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error.strerror}. Make it a readable text file.") from error
    except UnicodeDecodeError:
        raise ConfigError(f"Cannot read {path}: it is not UTF-8 text. Save it as UTF-8.") from None


def rows_of(text: str, name: str, table: str, keys: frozenset[str], example: str) -> list[Row]:
    """The rows of [[table]], the only thing in the file; ConfigError, which begins with `name`, where it is none."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is no TOML: {error}. {example}") from None
    if strangers := sorted(content.keys() - {table}):
        raise ConfigError(f"{name}: {strangers[0]!r} stands outside of [[{table}]]. {example}")
    rows = content.get(table, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{name}: {table} is no list of tables. {example}")
    found = [Row(row, f"{name}, {table} {place}", example) for place, row in enumerate(rows, 1)]
    for row in found:
        if strangers := sorted(row.values.keys() - keys):
            raise ConfigError(f"{row.where}: {strangers[0]!r} is no known field. {example}")
    return found
