"""Read the account's positions and cash row by row: a word that nobody knows must not cost the other rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from options_helper.errors import SymbolError
from options_helper.model.account import AccountPosition, AccountPositions
from options_helper.model.contract_symbols import (
    format_osi_compact,
    is_contract_symbol,
    parse_contract_symbol,
)
from options_helper.model.tolerant import amount, field, word

_SHARES: Final = "us_equity"
_COINS: Final = ("crypto", "crypto_perp")
_SIGNS: Final[Mapping[str, int]] = {"long": 1, "short": -1}


class UnreadableRow(ValueError):
    """Why a position could not be read; the symbol is in the sentence."""


class CoinRow(ValueError):
    """A position in a coin: no portfolio file of ours can hold one, so there is nothing to compare it with."""


@dataclass(frozen=True, slots=True)
class AccountReading:
    """The account as far as it could be read, and a sentence for every position that could not."""

    view: AccountPositions
    problems: tuple[str, ...]


def read_account(positions: Iterable[Any], account: Any, as_of: datetime) -> AccountReading:
    """Read the answers of the positions and of the account endpoint, asked at `as_of`."""
    found: dict[str, AccountPosition] = {}
    problems: dict[str, None] = {}
    left_out: list[str] = []
    for row in positions:
        try:
            position = read_position(row)
        except UnreadableRow as error:
            problems[str(error)] = None
            left_out.append(_spelled(word(field(row, "symbol")) or ""))
            continue
        except CoinRow as error:
            problems[str(error)] = None
            continue
        if position.quantity:
            found[position.symbol] = position
    view = AccountPositions(
        as_of=as_of,
        positions=MappingProxyType(found),
        cash=amount(field(account, "cash")),
        left_out=frozenset(left_out) - {""},
        unnamed=left_out.count(""),
    )
    return AccountReading(view, tuple(problems))


def read_position(row: Any) -> AccountPosition:
    """One position; CoinRow for a coin.

    UnreadableRow when it is not known what is held, how much of it, or which way.
    """
    name = word(field(row, "symbol"))
    if name is None:
        raise UnreadableRow("A position of the account has no symbol; it was left out.")
    symbol = _spelled(name)
    is_option = is_contract_symbol(symbol)
    kind = word(field(row, "asset_class"))
    if kind in _COINS:
        raise CoinRow(f"{symbol} is neither a US share nor an option (its class is {kind}); it was left out.")
    if not is_option and kind not in (_SHARES, None):
        raise UnreadableRow(
            f"{symbol} is neither a US share nor an option (its class is {kind}); it was left out."
        )
    quantity = _signed_quantity(row, symbol)
    if is_option and quantity != int(quantity):
        raise UnreadableRow(f"{symbol} is held in parts of a contract ({quantity:f}); it was left out.")
    return AccountPosition(
        symbol=symbol,
        quantity=quantity,
        is_option=is_option,
        average_price=amount(field(row, "avg_entry_price")),
        cost_basis=amount(field(row, "cost_basis")),
        market_value=amount(field(row, "market_value")),
        current_price=amount(field(row, "current_price")),
    )


def _signed_quantity(row: Any, symbol: str) -> Decimal:
    """The quantity with the sign of its side, since a short's own is written with a minus and without."""
    written = amount(field(row, "qty"))
    if written is None:
        raise UnreadableRow(f"The account's quantity of {symbol} cannot be read; it was left out.")
    side = word(field(row, "side"))
    sign = _SIGNS.get((side or "").lower())
    if sign is not None:
        return sign * abs(written)
    if written > 0:
        raise UnreadableRow(
            f"Whether {symbol} is held long or short is not known (its side is {side or 'missing'}); "
            "it was left out."
        )
    return written


def _spelled(symbol: str) -> str:
    """A contract without padding, as all of our symbols are; any other symbol as it is."""
    try:
        return format_osi_compact(parse_contract_symbol(symbol))
    except SymbolError:
        return symbol
