"""Our spelling of a symbol and Alpaca's: class shares have a dash here, a dot there, nothing in option roots."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Final, cast

from options_helper.errors import ConfigError
from options_helper.model.contract_symbols import (
    INDEX_ROOTS,
    OptionType,
    ParsedContract,
    compact_symbol,
    format_osi_compact,
    has_contract_length,
    is_adjusted_root,
    is_contract_symbol,
    root_of,
    underlying_of_root,
)

_CURRENCY_LETTERS: Final = 3
_NO_SLASH: Final = re.compile(r"(?:([A-Z0-9]{2,10})[.\-]|([A-Z]{3,10}))(USD[CT]?)")
# Indices have neither price nor bars at Alpaca, and these funds hold what is in them.
_FUNDS: Final = {
    "DJX": "DIA",
    "MRUT": "IWM",
    "NDX": "QQQ",
    "OEX": "OEF",
    "RUT": "IWM",
    "SPX": "SPY",
    "XEO": "OEF",
    "XND": "QQQ",
    "XSP": "SPY",
}


def to_alpaca_symbol(symbol: str) -> str:
    """`BRK-B` → `BRK.B`; a symbol already in Alpaca's spelling stays as it is, and so does a coin (`BTC/USD`)."""
    if is_coin_pair(symbol):
        return symbol.strip().upper()
    return re.sub(r"[-/]", ".", symbol.strip().upper())


def to_alpaca_symbols(symbols: Iterable[str]) -> tuple[str, ...]:
    """Symbols as Alpaca's streams know them, shares and contracts, each once, in order; empty text is left out.

    ConfigError for one text in place of a list, which would be taken for its letters, and for what is no text.
    """
    wanted = list(require_list(symbols, "symbols"))
    for symbol in cast("list[object]", wanted):
        if not isinstance(symbol, str):
            raise ConfigError(f"A symbol is a text, and {symbol!r} is none.")
    return tuple(dict.fromkeys(_streamed(symbol) for symbol in wanted if symbol.strip()))


def require_list(texts: Iterable[str], what: str) -> Iterable[str]:
    """The texts; ConfigError where it is one text alone, which would be taken for its letters."""
    if isinstance(texts, str):
        raise ConfigError(f"The {what} are a list of texts and not one text: write [{texts!r}].")
    return texts


def _streamed(symbol: str) -> str:
    contract = compact_symbol(symbol.strip().upper())
    return contract if is_contract_symbol(contract) else to_alpaca_symbol(symbol)


def to_repo_symbol(symbol: str) -> str:
    """`BRK.B` → `BRK-B`; a symbol already in our spelling stays as it is, and so does a coin (`BTC/USD`)."""
    if is_coin_pair(symbol):
        return symbol.strip().upper()
    return re.sub(r"[./]", "-", symbol.strip().upper())


# Of the same few symbols at each refresh, many times.
@lru_cache(maxsize=4_096)
@lru_cache(maxsize=4_096)  # asked of each line at each refresh
def option_root(symbol: str) -> str:
    """The root of a symbol's option contracts: `BRK.B` → `BRKB`."""
    return re.sub(r"[.\-/]", "", symbol.strip().upper())


def contract_symbol(symbol: str, expiry: date, option_type: OptionType, strike: float) -> str:
    """A contract's symbol as Alpaca writes it; SymbolError when the strike or the year cannot be written."""
    root = option_root(symbol)
    return format_osi_compact(ParsedContract(root, underlying_of_root(root), expiry, option_type, strike))


def underlying_symbol(symbol: str) -> str:
    """What a position's contracts are written on, in Alpaca's spelling: `AAPL1` → `AAPL`, `SPXW` → `SPX`."""
    root = option_root(symbol)
    if is_adjusted_root(root) or root in INDEX_ROOTS:
        return to_alpaca_symbol(underlying_of_root(root))
    return to_alpaca_symbol(symbol)


def underlying_root(symbol: str) -> str:
    """What ties a share to its contracts, adjusted ones among them: the root without a dot, and without a digit."""
    root = root_of(symbol)
    return root.strip("0123456789") or root if has_contract_length(symbol) else root


def is_coin_pair(symbol: str) -> bool:
    """Whether it is a coin against a currency, as trades name it: `BTC/USD`; a share's class is one letter."""
    coin, slash, currency = symbol.strip().partition("/")
    return bool(coin and slash) and len(currency) >= _CURRENCY_LETTERS


def pair_without_slash(symbol: str) -> str | None:
    """`BTC-USD`, `BTC.USD`, `BTCUSD` → `BTC/USD`; None for what may be a share: none has six letters."""
    found = _NO_SLASH.fullmatch(symbol.strip().upper())
    return None if found is None else f"{found[1] or found[2]}/{found[3]}"


def to_news_symbol(symbol: str) -> str:
    """As articles name it: a share as Alpaca does, and a coin without its slash (`BTCUSD`)."""
    return to_alpaca_symbol(symbol).replace("/", "")


def to_coin_pairs(symbols: Iterable[str]) -> tuple[str, ...]:
    """Pairs as Alpaca's crypto stream knows them (`btc/usd` → `BTC/USD`), each once, in order; `*` stands for all.

    ConfigError for what is no pair, since a share of that name is another thing.
    """
    wanted = [text for symbol in require_list(symbols, "symbols") if (text := str(symbol).strip().upper())]
    if strangers := [text for text in wanted if text != "*" and not is_coin_pair(text)]:
        raise ConfigError(f"{strangers[0]!r} is no pair of a coin and a currency; write it as BTC/USD.")
    return tuple(dict.fromkeys(wanted))


def is_index(symbol: str) -> bool:
    """Whether contracts of this symbol are written on an index, which has no stock to subscribe to."""
    return underlying_of_root(option_root(symbol)) in INDEX_ROOTS


def fund_of_index(symbol: str) -> str | None:
    """The fund that holds what is in an index, so that both move alike; None where there is none, or it is no index."""
    return _FUNDS.get(underlying_of_root(option_root(symbol)))
