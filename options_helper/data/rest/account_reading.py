"""Read the account's positions and cash row by row: a word that nobody knows must not cost the other rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from options_helper.model.account import AccountPosition, AccountPositions
from options_helper.model.contract_symbols import compact_symbol, is_contract_symbol
from options_helper.model.tolerant import amount, field, word

_SHARES: Final = "us_equity"
_COIN: Final = "crypto"
_COINS: Final = (_COIN, "crypto_perp")
_DOLLAR_PAIR: Final = re.compile(r"([A-Z0-9]{2,10}?)/?USD")
_SHARE_SYMBOL: Final = re.compile(r"[A-Z]{1,5}([.\-/][A-Z]{1,4})?")
_SIGNS: Final[Mapping[str, int]] = {"long": 1, "short": -1}


class UnreadableRow(ValueError):
    """Why a position could not be read; the symbol is in the sentence."""


class ForeignRow(ValueError):
    """A position that no portfolio file of ours can hold: there is nothing to compare.

    Such as a bond, or a coin that is not priced in dollars.
    """


@dataclass(frozen=True, slots=True)
class AccountReading:
    """The account as far as it could be read, and a sentence for every position that could not."""

    view: AccountPositions
    problems: tuple[str, ...]


def read_account(positions: Iterable[Any], account: Any, as_of: datetime) -> AccountReading:
    """Read the answers of the positions and of the account endpoint, asked at `as_of`.

    Two rows of one contract are one position; where one of them cannot be read, how much is held is not known.
    """
    found: dict[str, AccountPosition] = {}
    problems: dict[str, None] = {}
    left_out: list[str] = []
    foreign: set[str] = set()
    for row in positions:
        try:
            position = read_position(row)
        except UnreadableRow as error:
            problems[str(error)] = None
            left_out.append(_symbol_of(row))
        except ForeignRow as error:
            problems[str(error)] = None
            foreign.add(_symbol_of(row).replace("/", ""))
        else:
            symbol = position.symbol
            found[symbol] = _together(found[symbol], position) if symbol in found else position
    view = AccountPositions(
        as_of=as_of,
        positions=MappingProxyType(
            {symbol: one for symbol, one in found.items() if one.quantity and symbol not in left_out}
        ),
        cash=amount(field(account, "cash")),
        options_buying_power=amount(field(account, "options_buying_power")),
        left_out=frozenset(left_out) - {""},
        unnamed=left_out.count(""),
        foreign=frozenset(foreign),
    )
    return AccountReading(view, tuple(problems))


def _together(one: AccountPosition, other: AccountPosition) -> AccountPosition:
    """Two rows of one contract as the position that they are; costs of opposite sides make none."""
    quantity = one.quantity + other.quantity
    same_side = (one.quantity < 0) == (other.quantity < 0)
    cost = _sum(_signed(one.cost_basis, one), _signed(other.cost_basis, other)) if same_side else None
    paid = (
        _sum(_times(one.average_price, one.quantity), _times(other.average_price, other.quantity))
        if same_side and quantity
        else None
    )
    return replace(
        one,
        quantity=quantity,
        average_price=None if paid is None else paid / quantity,
        cost_basis=cost,
        market_value=_sum(_signed(one.market_value, one), _signed(other.market_value, other)),
        current_price=one.current_price if one.current_price is not None else other.current_price,
    )


def _signed(value: Decimal | None, position: AccountPosition) -> Decimal | None:
    """An amount of a row with the sign of its quantity: a short's is written with a minus and without."""
    return None if value is None else abs(value).copy_sign(position.quantity)


def _times(price: Decimal | None, quantity: Decimal) -> Decimal | None:
    return None if price is None else price * quantity


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other


def _symbol_of(row: Any) -> str:
    return compact_symbol(word(field(row, "symbol")) or "")


def read_position(row: Any) -> AccountPosition:
    """One position; ForeignRow for what no file can hold.

    UnreadableRow when it is not known what is held, how much of it, or which way.
    """
    name = word(field(row, "symbol"))
    if name is None:
        raise UnreadableRow("A position of the account has no symbol; it was left out.")
    symbol = compact_symbol(name)
    is_option = is_contract_symbol(symbol)
    kind = word(field(row, "asset_class"))
    if kind == _COIN and (pair := _dollar_pair(symbol)) is not None:
        symbol, kind = pair, _SHARES
    if kind in _COINS:
        raise ForeignRow(
            f"{symbol} is neither a US share nor an option (its class is {kind}); it was left out."
        )
    if not is_option and kind not in (_SHARES, None):
        # A word for shares that nobody knows yet must not take a share out of the comparison.
        is_share = _SHARE_SYMBOL.fullmatch(symbol) is not None
        raise (UnreadableRow if is_share else ForeignRow)(
            f"{symbol} is neither a US share nor an option (its class is {kind}); it was left out."
        )
    quantity = _signed_quantity(row, symbol)
    if is_option and quantity != int(quantity):
        raise UnreadableRow(f"{symbol} is held in parts of a contract ({quantity:f}); it was left out.")
    return AccountPosition(
        symbol=symbol,
        quantity=quantity,
        is_option=is_option,
        average_price=_cost(field(row, "avg_entry_price")),
        cost_basis=_cost(field(row, "cost_basis")),
        market_value=amount(field(row, "market_value")),
        current_price=amount(field(row, "current_price")),
        lastday_price=amount(field(row, "lastday_price")),
    )


def _dollar_pair(symbol: str) -> str | None:
    """`BTCUSD` or `BTC/USD` → `BTC/USD`, as the streams spell it; None for a coin priced in anything else."""
    found = _DOLLAR_PAIR.fullmatch(symbol)
    return None if found is None else f"{found[1]}/USD"


def _cost(value: Any) -> Decimal | None:
    """What something that is held cost. 0 is what stands there until it is known, as for shares that were moved in."""
    return amount(value) or None


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
