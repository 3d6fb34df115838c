"""Write down what the account holds as the entries of a portfolio file, so that nobody has to type them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from options_helper.model.account import AccountPosition, AccountPositions
from options_helper.model.alpaca_symbols import is_coin_pair, option_root, to_repo_symbol
from options_helper.model.contract_symbols import (
    CLASS_SHARES,
    INDEX_ROOTS,
    ParsedContract,
    is_adjusted_root,
    parse_contract_symbol,
    plain_number,
    root_of,
    short_date,
    usual_multiplier,
)
from options_helper.model.portfolio import (
    Portfolio,
    PortfolioEntry,
    Position,
    ShareHolding,
)

# Alpaca rounds its average price; a multiplier that follows from it is whole within so much.
_MULTIPLIER_TOLERANCE: Final = Decimal("0.01")
# A file holds no more; two costs that come to more contradict each other, and no position is left out for that.
_MULTIPLIER_AT_MOST: Final = 1_000_000
# How far a total may be from what its rounded price per share makes of it.
_PRICE_TOLERANCE: Final = Decimal("0.005")
_RELATIVE_TOLERANCE: Final = Decimal("0.01")


class NotImportableError(ValueError):
    """Why a position has no place in a portfolio file; the symbol is in the sentence."""


@dataclass(frozen=True, slots=True)
class ImportedPortfolio:
    """The account as a portfolio, and a sentence for every position that has no place in one."""

    portfolio: Portfolio
    problems: tuple[str, ...]


def import_portfolio(
    view: AccountPositions, underlyings: Mapping[str, str] = MappingProxyType({})
) -> ImportedPortfolio:
    """Every position of the account as an entry of its own, by underlying, shares first, then by expiry.

    `underlyings` says what contracts are written on, in Alpaca's spelling, by the roots of which that is known.
    """
    entries: list[Position | ShareHolding] = []
    problems: list[str] = []
    for position in view.positions.values():
        try:
            entries.append(entry_of(position, underlyings))
        except NotImportableError as error:
            problems.append(str(error))
            continue
        if contradicts_itself(position):
            problems.append(_contradiction(position))
    cash = None if view.cash is None else float(view.cash)
    ordered = sorted(entries, key=_order)
    return ImportedPortfolio(Portfolio(cash=cash, positions=tuple(ordered)), tuple(problems))


def _order(entry: Position | ShareHolding) -> tuple[Any, ...]:
    if isinstance(entry, ShareHolding):
        return (entry.instrument.underlying, entry.symbol, "")
    return (entry.instrument.underlying, entry.symbol, entry.expiry.isoformat(), entry.strike)


def doubtful_roots(view: AccountPositions) -> dict[str, str]:
    """A contract of each root that may be a class of a share, as a root has no dot: BRKB is known, LGFB is not."""
    found: dict[str, str] = {}
    for symbol, position in view.positions.items():
        root = root_of(symbol)
        is_known = root in CLASS_SHARES or root in INDEX_ROOTS or is_adjusted_root(root)
        if position.is_option and not is_known and root not in view.positions:
            found.setdefault(root, symbol)
    return found


def entry_of(
    position: AccountPosition, underlyings: Mapping[str, str] = MappingProxyType({})
) -> Position | ShareHolding:
    """A position of the account as an entry of the file; NotImportableError when a file cannot hold it."""
    try:
        if position.is_option:
            return _contract(position, underlyings)
        return ShareHolding(
            id=_holding_identity(to_repo_symbol(position.symbol)),
            symbol=to_repo_symbol(position.symbol),
            shares=float(position.quantity),
            cost_basis=_price(position, 1),
        )
    except ValidationError as error:
        raise NotImportableError(
            f"{position.symbol} ({position.quantity:f}) cannot be a position of a portfolio; it was left out."
        ) from error


def _holding_identity(symbol: str) -> str:
    """`aapl-shares`, `btc-usd`."""
    return symbol.lower().replace("/", "-") if is_coin_pair(symbol) else f"{symbol.lower()}-shares"


def _contract(position: AccountPosition, underlyings: Mapping[str, str]) -> Position:
    terms = parse_contract_symbol(position.symbol)
    underlying = underlyings.get(terms.underlying, "")
    is_class = option_root(underlying) == terms.underlying
    symbol = to_repo_symbol(underlying) if is_class else CLASS_SHARES.get(terms.underlying, terms.underlying)
    multiplier = multiplier_of(position) if terms.adjusted else None
    return Position(
        id=contract_identity(symbol, terms),
        symbol=symbol,
        option_type=terms.option_type,
        expiry=terms.expiry,
        strike=terms.strike,
        contracts=int(position.quantity),
        cost_basis=_price(position, multiplier if terms.adjusted else standard_multiplier(position)),
        multiplier=multiplier,
    )


def contract_identity(symbol: str, terms: ParsedContract) -> str:
    """The id of a single contract: "aapl-18dec26-185c"."""
    day = short_date(terms.expiry).replace(" ", "")
    return f"{symbol}-{day}-{plain_number(terms.strike)}{terms.option_type[0]}".lower()


def multiplier_of(position: AccountPosition) -> int | None:
    """A contract's multiplier as it follows from Alpaca's two costs; None where it does not."""
    if not position.average_price or position.cost_basis is None:
        return None
    multiplier = abs(position.cost_basis / (position.average_price * position.quantity))
    whole = round(multiplier)
    return (
        whole
        if 0 < whole <= _MULTIPLIER_AT_MOST and abs(multiplier - whole) <= _MULTIPLIER_TOLERANCE
        else None
    )


def standard_multiplier(position: AccountPosition) -> int | None:
    """Dollars per point of what is no adjusted contract, which follows from the symbol alone; None for one that is."""
    if not position.is_option:
        return 1
    return usual_multiplier(root_of(position.symbol))


def contradicts_itself(position: AccountPosition) -> bool:
    """Whether the account's total does not follow from its price per share, so that one of the two is wrong."""
    multiplier = standard_multiplier(position)
    if multiplier is None or position.average_price is None or position.cost_basis is None:
        return False
    shares = abs(position.quantity) * multiplier
    total = abs(position.cost_basis)
    tolerance = max(_PRICE_TOLERANCE * shares, _RELATIVE_TOLERANCE * total)
    return abs(abs(position.average_price) * shares - total) > tolerance


def _contradiction(position: AccountPosition) -> str:
    points = f"{standard_multiplier(position)} dollars per point"
    return (
        f"Alpaca's average price of {position.symbol} ({position.average_price:f}) and its cost "
        f"({position.cost_basis:f}) do not fit a quantity of {position.quantity:f} at {points}; the cost was left out."
    )


def _price(position: AccountPosition, multiplier: int | None) -> float | None:
    price = opening_price(position, multiplier)
    return None if price is None else float(price)


def opening_price(position: AccountPosition, multiplier: int | None) -> Decimal | None:
    """The average opening price per share, without a sign; None where the account does not say, or says two things."""
    if contradicts_itself(position):
        return None
    if position.average_price is not None and position.average_price >= 0:
        return position.average_price
    if position.cost_basis is None or multiplier is None:
        return None
    return abs(position.cost_basis / (position.quantity * multiplier))


def opening_cost(position: AccountPosition, multiplier: int | None) -> Decimal | None:
    """What opening it cost in dollars, negative for a short; None where the account says nothing, or two things."""
    if contradicts_itself(position):
        return None
    if position.cost_basis is not None:
        return abs(position.cost_basis).copy_sign(position.quantity)
    price = opening_price(position, multiplier)
    return None if price is None or multiplier is None else price * position.quantity * multiplier


def portfolio_text(portfolio: Portfolio) -> str:
    """A portfolio as the text of a file that reads back as the same portfolio, but of now: no `as_of` is written."""
    entries = ",\n".join(_indented(entry_text(entry), 4) for entry in portfolio.positions)
    positions = f"[\n{entries}\n  ]" if entries else "[]"
    cash = "" if portfolio.cash is None else f'  "cash": {_json(portfolio.cash)},\n'
    account = "" if portfolio.account is None else f'  "account": {_json(portfolio.account)},\n'
    currency = _json(portfolio.base_currency)
    return f'{{\n  "base_currency": {currency},\n{account}{cash}  "positions": {positions}\n}}\n'


def entry_text(entry: PortfolioEntry) -> str:
    """One entry as it stands in a file; what is not known is left away."""
    content = entry.model_dump(mode="json", exclude_none=True)
    fields = ",\n".join(f"  {_json(name)}: {_field(value)}" for name, value in content.items())
    return f"{{\n{fields}\n}}"


def _field(value: Any) -> str:
    if not isinstance(value, list):
        return _json(value)
    legs = ",\n".join(f"    {_json(leg)}" for leg in value)
    return f"[\n{legs}\n  ]"


def _json(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Whole numbers without a decimal point, as people write strikes and shares."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _indented(text: str, spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in text.split("\n"))
