"""Read what the command line says of a capture: lists with commas, expiries, percentages, stretches of time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Final

from options_helper.analysis.osi import format_osi_compact, parse_contract_symbol
from options_helper.data.alpaca_symbols import to_alpaca_symbol
from options_helper.data.option_contracts import ContractFilter, ExpirySpan
from options_helper.durations import parse_duration
from options_helper.errors import ConfigError, SymbolError

_SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9]{0,9}(\.[A-Z]{1,3})?")
_DAYS: Final = re.compile(r"(\d{1,4})d")
_EXPIRY_WORDS: Final = "Write days (2026-12-18), spans (2026-12-01..2026-12-31) or the next days (30d)."


def read_symbols(option: str, texts: Sequence[str] | None) -> tuple[str, ...]:
    """Symbols in Alpaca's spelling; ConfigError names the first that is none."""
    return _read_all(option, texts, _symbol)


def read_contracts(option: str, texts: Sequence[str] | None) -> tuple[str, ...]:
    """Contract symbols as Alpaca writes them; ConfigError names the first that is none."""
    return _read_all(option, texts, lambda text: format_osi_compact(parse_contract_symbol(text)))


def read_filter(expiries: Sequence[str] | None, moneyness: str) -> ContractFilter:
    """Which contracts of the underlyings; ConfigError for what cannot be read."""
    spans = []
    within_days = None
    for text in _parts(expiries):
        if days := _DAYS.fullmatch(text.lower()):
            within_days = max(int(days[1]), within_days or 0)
        else:
            spans.append(_span(text))
    return ContractFilter(tuple(spans), within_days, _share(moneyness))


def read_seconds(option: str, text: str | None) -> float | None:
    """A stretch of time of more than nothing; ConfigError when it is none."""
    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from error
    if seconds <= 0:
        raise ConfigError(f"{option} {text}: it must be longer than nothing.")
    return seconds


def _read_all(option: str, texts: Sequence[str] | None, read: Callable[[str], str]) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(read(text) for text in _parts(texts)))
    except SymbolError as error:
        raise ConfigError(f"{option}: {error}") from error


def _parts(texts: Sequence[str] | None) -> Iterator[str]:
    """The option may be repeated, and each value may be a list."""
    for text in texts or ():
        yield from (part.strip() for part in text.split(",") if part.strip())


def _symbol(text: str) -> str:
    symbol = to_alpaca_symbol(text)
    if not _SYMBOL.fullmatch(symbol):
        raise SymbolError(f"{text!r} is no symbol; one looks like SPY or BRK.B.")
    return symbol


def _span(text: str) -> ExpirySpan:
    first, dots, last = text.partition("..")
    try:
        span = ExpirySpan(_day(first), _day(last) if dots else _day(first))
    except ValueError as error:
        raise ConfigError(f"--expiries {text}: {error}. {_EXPIRY_WORDS}") from error
    if span == ExpirySpan():
        raise ConfigError(f"--expiries {text}: there is no day in it. {_EXPIRY_WORDS}")
    if span.first is not None and span.last is not None and span.last < span.first:
        raise ConfigError(f"--expiries {text}: the last day is before the first. {_EXPIRY_WORDS}")
    return span


def _day(text: str) -> date | None:
    return date.fromisoformat(text.strip()) if text.strip() else None


def _share(text: str) -> float | None:
    if text.strip().lower() == "all":
        return None
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / 100
    except ValueError as error:
        raise ConfigError(f"--moneyness {text}: write a percentage such as 10%, or all.") from error
    if not 0 < share <= 10:
        raise ConfigError(f"--moneyness {text}: it must be more than 0 % and at most 1000 %, or all.")
    return share
