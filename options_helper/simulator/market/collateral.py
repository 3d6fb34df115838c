"""What Alpaca sets aside for options that were sold: its options buying power is what is left of the cash without it.

By its docs a cash-secured put takes its strike times 100, a covered call nothing, and legs that cover each other the
greatest loss of them together (the universal spread rule), as long as what is held ends no sooner. It sells nobody a
naked call; a file may hold one, and then nothing is set aside for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from options_helper.model.contract_symbols import (
    ParsedContract,
    is_contract_symbol,
    parse_contract_symbol,
)
from options_helper.simulator.market.account import Holding

_NOTHING = Decimal()


class _Right(NamedTuple):
    contract: ParsedContract
    units: Decimal  # shares, sold where negative

    def worth(self, price: Decimal) -> Decimal:
        """At its end, at that price."""
        strike = Decimal(str(self.contract.strike))
        inside = price - strike if self.contract.option_type == "call" else strike - price
        return self.units * max(_NOTHING, inside)


def set_aside(holdings: Iterable[Holding]) -> Decimal:
    """Dollars, for all of an account."""
    rights: dict[str, list[_Right]] = {}
    shares: dict[str, Decimal] = {}
    for one in holdings:
        if is_contract_symbol(one.symbol):
            contract = parse_contract_symbol(one.symbol)
            of_name = rights.setdefault(contract.underlying_norm, [])
            of_name.append(_Right(contract, one.quantity * one.multiplier))
        else:
            shares[one.symbol.replace(".", "-")] = one.quantity
    return sum((_of_name(of_name, shares.get(name, _NOTHING)) for name, of_name in rights.items()), _NOTHING)


def _of_name(rights: Sequence[_Right], shares: Decimal) -> Decimal:
    """At the end at which most can be lost: what ends sooner covers nothing any more."""
    ends = {one.contract.expiry for one in rights}
    return max(
        _greatest_loss(_covered([one for one in rights if one.contract.expiry >= end], shares))
        for end in ends
    )


def _covered(rights: list[_Right], shares: Decimal) -> list[_Right]:
    """With what covers the sold calls: shares those that are deepest in the money, and the naked ones nobody."""
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
    return found


def _greatest_loss(rights: Sequence[_Right]) -> Decimal:
    prices = [_NOTHING, *(Decimal(str(one.contract.strike)) for one in rights)]
    return max(_NOTHING, *(-sum((one.worth(price) for one in rights), _NOTHING) for price in prices))
