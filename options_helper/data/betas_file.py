"""The user's own betas: a small file of numbers that go before what daily bars say."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from options_helper.data.toml_rows import read_text
from options_helper.errors import ConfigError
from options_helper.model.alpaca_symbols import to_alpaca_symbol
from options_helper.model.text import without_quotes

# A fund with three times its index's moves has 3; a beta beyond this is a slip of the finger.
BETA_WITHIN: Final = 10.0
_KEYS: Final = frozenset({"as_of", "betas"})
_EXAMPLE: Final = (
    'Write as_of = 2026-11-27, then a line [betas], then lines such as NVDA = 1.9 or "BRK.B" = 0.8.'
)


@dataclass(frozen=True, slots=True)
class OwnBetas:
    """Betas by symbol in Alpaca's spelling."""

    betas: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    as_of: date | None = None  # the day that the user wrote down; None: not said
    source: str = ""  # the file's name; empty: there is none


def load_betas(path: Path) -> OwnBetas:
    """Read the file; none is no error. ConfigError, a sentence, for what is no such file."""
    text = read_text(path)
    return OwnBetas() if text is None else parse_betas(text, path.name)


def parse_betas(text: str, name: str) -> OwnBetas:
    """Betas from TOML; ConfigError, which begins with `name`, where a line is none."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is no TOML: {error}. {_EXAMPLE}") from None
    if strangers := sorted(content.keys() - _KEYS):
        raise ConfigError(f"{name}: {strangers[0]!r} stands outside of [betas]. {_EXAMPLE}")
    as_of, table = content.get("as_of"), content.get("betas", {})
    # A time is a date to Python, and no day.
    if as_of is not None and type(as_of) is not date:
        raise ConfigError(f"{name}: as_of is no day. {_EXAMPLE}")
    if not isinstance(table, dict):
        raise ConfigError(f"{name}: betas is no table. {_EXAMPLE}")
    found: dict[str, float] = {}
    for symbol, beta in table.items():
        if (key := to_alpaca_symbol(symbol)) in found:
            raise ConfigError(f"{name} names {symbol} twice. Write each symbol once.")
        found[key] = _beta(symbol, beta, name)
    return OwnBetas(MappingProxyType(found), as_of, name)


def _beta(symbol: str, beta: Any, name: str) -> float:
    if isinstance(beta, dict):
        raise ConfigError(f'{name}: a symbol with a dot stands in quotation marks: "BRK.B" = 0.8.')
    if isinstance(beta, bool) or not isinstance(beta, int | float) or not math.isfinite(beta):
        raise ConfigError(f"{name}: the beta of {symbol} is no number{without_quotes(beta)}. {_EXAMPLE}")
    if abs(beta) > BETA_WITHIN:
        raise ConfigError(
            f"{name}: {symbol} has a beta of {beta:g}. Betas are from -{BETA_WITHIN:g} to {BETA_WITHIN:g}; 1 moves as "
            "the index does."
        )
    return float(beta)
