"""What Alpaca sets aside for what was sold: its options buying power is what is left of the cash without it.

By its docs a cash-secured put takes its strike times 100, a covered call nothing, and legs that cover each other the
greatest loss of them together (the universal spread rule), as long as what is held ends no sooner ("Options Trading",
"Options Level 3 Trading"). Shares sold short take what they are worth and their margin besides: half of it by
Regulation T, and no less than the table of its docs has ("Margin and Short Selling"). It sells nobody a naked call, so
no page says what one takes; a file may hold one, and then it takes what the shares cost that would cover it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from options_helper.model.contract_symbols import (
    ParsedContract,
    is_contract_symbol,
    parse_contract_symbol,
)
from options_helper.simulator.market.account import Holding

_NOTHING = Decimal()
_HALF = Decimal("0.5")
# A share: from so many dollars on no less than as many, below that all of it and no less than the second.
_FIVE, _LEAST = Decimal(5), Decimal("2.5")
# By the symbol of a share what it last cost; None: nobody knows.
PriceOf: TypeAlias = Callable[[str], Decimal | None]


class _Right(NamedTuple):
    contract: ParsedContract
    units: Decimal  # shares, sold where negative

    def worth(self, price: Decimal) -> Decimal:
        """At its end, at that price."""
        strike = Decimal(str(self.contract.strike))
        inside = price - strike if self.contract.option_type == "call" else strike - price
        return self.units * max(_NOTHING, inside)


def set_aside(holdings: Iterable[Holding], price_of: PriceOf) -> Decimal:
    """Dollars, for all of an account."""
    rights: dict[str, list[_Right]] = {}
    shares: dict[str, Decimal] = {}
    sold = _NOTHING
    for one in holdings:
        if is_contract_symbol(one.symbol):
            contract = parse_contract_symbol(one.symbol)
            of_name = rights.setdefault(contract.underlying_norm, [])
            of_name.append(_Right(contract, one.quantity * one.multiplier))
        else:
            shares[one.symbol.replace(".", "-")] = one.quantity
            price = one.average_price if (last := price_of(one.symbol)) is None else last
            sold += max(_NOTHING, -one.quantity) * _each_sold(price or _NOTHING)
    return sum(
        (
            _of_name(of_name, shares.get(name, _NOTHING), price_of(name.replace("-", ".")))
            for name, of_name in rights.items()
        ),
        sold,
    )


def _each_sold(price: Decimal) -> Decimal:
    """Of a share that was sold short, what buying it back costs and the margin besides."""
    least = _FIVE if price >= _FIVE else max(_LEAST, price)
    return price + max(price * _HALF, least)


def _of_name(rights: Sequence[_Right], shares: Decimal, price: Decimal | None) -> Decimal:
    """At the end at which most can be lost: what ends sooner covers nothing any more."""
    ends = {one.contract.expiry for one in rights}
    return max(_until([one for one in rights if one.contract.expiry >= end], shares, price) for end in ends)


def _until(rights: list[_Right], shares: Decimal, price: Decimal | None) -> Decimal:
    """What the loss of all takes, and the shares that would cover what is naked; without a price, at its strike."""
    covered, naked = _covered(rights, shares)
    strikes = [
        Decimal(str(one.contract.strike))
        for one in rights
        if one.units < 0 and one.contract.option_type == "call"
    ]
    return _greatest_loss(covered) + (
        naked * (min(strikes) if price is None else price) if naked else _NOTHING
    )


def _covered(rights: list[_Right], shares: Decimal) -> tuple[list[_Right], Decimal]:
    """With what covers the sold calls, those deepest in the money first: shares, and such as nobody holds."""
    calls = sorted(
        (one for one in rights if one.contract.option_type == "call"), key=lambda one: one.contract.strike
    )
    sold = -sum((one.units for one in calls if one.units < 0), _NOTHING)
    by_shares = min(max(_NOTHING, shares), sold)
    naked = max(_NOTHING, -sum((one.units for one in calls), _NOTHING) - by_shares)
    left, found = by_shares + naked, list(rights)
    for one in calls:
        if one.units < 0 and left > 0:
            found.append(_Right(one.contract, min(left, -one.units)))
            left -= min(left, -one.units)
    return found, naked


def _greatest_loss(rights: Sequence[_Right]) -> Decimal:
    prices = [_NOTHING, *(Decimal(str(one.contract.strike)) for one in rights)]
    return max(_NOTHING, *(-sum((one.worth(price) for one in rights), _NOTHING) for price in prices))
