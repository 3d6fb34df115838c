"""Read what the command line says of a capture: lists with commas, expiries, percentages, times and folders."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from math import isfinite
from pathlib import Path
from typing import Final

from options_helper.commands.durations import parse_duration
from options_helper.data.intraday.recording import StorePolicy
from options_helper.data.rest.option_contracts import ContractFilter, ExpirySpan
from options_helper.errors import ConfigError, SymbolError, Unavailable
from options_helper.model.alpaca_symbols import to_alpaca_symbol, to_coin_pairs, to_news_symbol
from options_helper.model.contract_symbols import format_osi_compact, parse_contract_symbol
from options_helper.model.news import ALL_SYMBOLS

LONGEST_FLUSH_SECONDS: Final = 3_600.0
_SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9]{0,9}(\.[A-Z]{1,3})?")
_DAYS: Final = re.compile(r"(\d{1,4})d")
_EXPIRY_SYNTAX: Final = "Write days (2026-12-18), spans (2026-12-01..2026-12-31) or the next days (30d)."


def read_symbols(option: str, texts: Sequence[str] | None) -> tuple[str, ...]:
    """Symbols in Alpaca's spelling; ConfigError names the first that is none."""
    return _read_all(option, texts, _symbol)


def read_contracts(option: str, texts: Sequence[str] | None) -> tuple[str, ...]:
    """Contract symbols as Alpaca writes them; ConfigError names the first that is none."""
    return _read_all(option, texts, lambda text: format_osi_compact(parse_contract_symbol(text)))


def read_coins(option: str, texts: Sequence[str] | None) -> tuple[str, ...]:
    """Pairs such as BTC/USD; ConfigError names the first that is none."""
    try:
        return to_coin_pairs(list(_parts(texts)))
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from error


def read_news(option: str, texts: Sequence[str] | None) -> tuple[str, ...]:
    """Symbols, or the one sign for all of them; ConfigError names the first that is none."""
    words = list(_parts(texts))
    if any(word.lower() in ("all", ALL_SYMBOLS) for word in words):
        return (ALL_SYMBOLS,)
    return _read_all(option, words, lambda text: _symbol(to_news_symbol(text)))


def read_names(texts: Sequence[str] | None) -> tuple[str, ...]:
    """Names of accounts, each once, as they stand there."""
    return tuple(dict.fromkeys(_parts(texts)))


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
    if not isfinite(seconds):
        raise ConfigError(f"{option}: that has no end. Leave the option away where there is to be none.")
    return seconds


def require_flush_seconds(seconds: float) -> float:
    """ConfigError where it is no number of seconds in which a row can wait."""
    if not 0 < seconds <= LONGEST_FLUSH_SECONDS:
        raise ConfigError(
            f"--flush-seconds {seconds:g}: a row cannot wait for so long. Use {LONGEST_FLUSH_SECONDS:g} at most."
        )
    return seconds


def read_day(option: str, text: str | None) -> date | None:
    """A day; ConfigError when it is none."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{option} {text}: that is no day. Write it as 2026-12-18.") from error


def require_folder(folder: Path) -> None:
    """Unavailable unless this is a folder with room to write into, or can become one; makes nothing."""
    nearest = folder.absolute()
    while not os.access(nearest, os.F_OK):
        nearest = nearest.parent
    if not nearest.is_dir():
        raise Unavailable(f"{folder} cannot be written into: {nearest} is no folder. Choose another.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise Unavailable(f"{folder} cannot be written into: {nearest} is not yours. Choose another folder.")
    free, least = shutil.disk_usage(nearest).free, StorePolicy().min_free_bytes
    if free < least:
        raise Unavailable(
            f"Only {free >> 20} MB are free for {folder}, and {least >> 20} MB are needed at least. "
            "Make room, or choose another folder."
        )


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
        raise ConfigError(f"--expiries {text}: that is no day. {_EXPIRY_SYNTAX}") from error
    if span == ExpirySpan():
        raise ConfigError(f"--expiries {text}: there is no day in it. {_EXPIRY_SYNTAX}")
    if span.first is not None and span.last is not None and span.last < span.first:
        raise ConfigError(f"--expiries {text}: the last day is before the first. {_EXPIRY_SYNTAX}")
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
