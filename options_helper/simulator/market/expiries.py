"""What an account's contracts become on their last day: sold out by the broker, exercised, assigned, or worth nothing.

Whoever owns the account lets it look whenever somebody asks; between two looks nothing is missed, and nothing happens
twice. Invented prices decide, as everywhere here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

from options_helper.model.alpaca_symbols import is_index, to_alpaca_symbol
from options_helper.model.contract_hours import settles_at
from options_helper.model.contract_symbols import ParsedContract, is_contract_symbol, parse_contract_symbol
from options_helper.model.instants import epoch_nanoseconds, utc_datetime
from options_helper.model.market_hours import NEW_YORK
from options_helper.simulator.market.account import Holding, SimulatedAccount, plain
from options_helper.simulator.market.orders import Order, Tradable, order_update

PriceOf = Callable[[str], float | None]

# As Alpaca's support page has it: 15:15 where the close is at 16:00.
SOLD_OUT_BEFORE: Final = timedelta(minutes=45)
# A contract so near its strike is closed with those in the money.
NEAR: Final = 0.005
# The clearing house has matched by then; an account lists what ended until then.
MATCHED_AFTER: Final = timedelta(hours=2)
# On paper the activities come on the next day.
TOLD_LATE_AT: Final = time(9, 0)
CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class ExpiryRules:
    """What happens to contracts that end, and when it is told."""

    settle: bool = False
    late: bool = False  # activities on the next day, as on paper
    sell_out: bool = False  # what lacks money or shares is closed before the end


@dataclass(frozen=True, slots=True)
class _Activity:
    """What is told at an instant, of an earlier day."""

    told_ns: int
    kind: str
    at_ns: int
    fields: dict[str, Any]


class ExpiryClerk:
    """Looks after one account; one thread at a time uses it."""

    def __init__(self, rules: ExpiryRules) -> None:
        self._rules = rules
        self._untold: list[_Activity] = []

    @property
    def is_idle(self) -> bool:
        """Whether nothing ever happens."""
        return not self._rules.settle and not self._rules.sell_out

    def look(self, account: SimulatedAccount, now_ns: int, price_of: PriceOf) -> list[dict[str, Any]]:
        """Let everything have happened that is due; the order updates that the account's stream tells of it.

        `price_of` says what shares, indices and contracts cost. What the clearing house does, no stream tells.
        """
        if self.is_idle:
            return []
        now, updates = utc_datetime(now_ns), []
        for holding in account.holdings:
            if not is_contract_symbol(holding.symbol):
                continue
            terms = parse_contract_symbol(holding.symbol)
            ends = settles_at(holding.symbol, terms.expiry)
            spot = price_of(to_alpaca_symbol(terms.underlying_norm))
            if ends is None or spot is None:
                continue
            if self._rules.sell_out and ends - SOLD_OUT_BEFORE <= now < ends:
                update = _sell_out(account, holding, terms, now_ns, spot=spot, price_of=price_of)
                updates += [] if update is None else [update]
            elif self._rules.settle and now >= ends + MATCHED_AFTER:
                self._end(account, holding, terms, ends, spot)
        self._tell(account, now_ns)
        return updates

    def _end(
        self, account: SimulatedAccount, holding: Holding, terms: ParsedContract, ends: datetime, spot: float
    ) -> None:
        """Take it from the account, with the shares or the cash that it brings, and have it told."""
        quantity, inside = holding.quantity, inside_at(terms, spot)
        account.set_holding(Holding(holding.symbol, Decimal(), None))
        underlying = to_alpaca_symbol(terms.underlying_norm)
        change = {"symbol": holding.symbol, "qty": plain(-quantity)}
        if inside < CENT:
            self._later("OPEXP", ends, change)
        elif is_index(underlying):
            paid = quantity * holding.multiplier * inside
            account.cash += paid
            self._later("OPCSH", ends, change | {"net_amount": plain(paid), "price": plain(inside)})
        else:
            strike, shares = Decimal(str(terms.strike)), quantity * holding.multiplier
            bought = shares if terms.option_type == "call" else -shares
            account.receive(underlying, bought, strike)
            self._later("OPASN" if quantity < 0 else "OPEXC", ends, change)
            self._later("OPTRD", ends, {"symbol": underlying, "qty": plain(bought), "price": plain(strike)})

    def _later(self, kind: str, ends: datetime, fields: dict[str, Any]) -> None:
        at = ends + MATCHED_AFTER
        if self._rules.late:
            at = datetime.combine(ends.date() + timedelta(days=1), TOLD_LATE_AT, NEW_YORK)
        self._untold.append(_Activity(epoch_nanoseconds(at) or 0, kind, epoch_nanoseconds(ends) or 0, fields))

    def _tell(self, account: SimulatedAccount, now_ns: int) -> None:
        for activity in self._untold:
            if activity.told_ns <= now_ns:
                account.add_activity(activity.kind, activity.at_ns, activity.fields)
        self._untold = [one for one in self._untold if one.told_ns > now_ns]


def inside_at(terms: ParsedContract, spot: float) -> Decimal:
    """By how many dollars a share it is in the money."""
    over = Decimal(str(round(spot, 4))) - Decimal(str(terms.strike))
    return over if terms.option_type == "call" else -over


def _sell_out(
    account: SimulatedAccount,
    holding: Holding,
    terms: ParsedContract,
    now_ns: int,
    *,
    spot: float,
    price_of: PriceOf,
) -> dict[str, Any] | None:
    """Close it at its price where it is in or near the money and what that takes is lacking; the update of that."""
    underlying, price = to_alpaca_symbol(terms.underlying_norm), price_of(holding.symbol)
    near = inside_at(terms, spot) >= -Decimal(str(NEAR * spot))
    if is_index(underlying) or price is None or not near:
        return None
    shares = holding.quantity * holding.multiplier
    bought = shares if terms.option_type == "call" else -shares
    held = sum((one.quantity for one in account.holdings if one.symbol == underlying), Decimal())
    lacks = bought * Decimal(str(terms.strike)) > account.cash if bought > 0 else held < -bought
    if not lacks:
        return None
    names = (str(uuid5(NAMESPACE_OID, f"sell-out {holding.symbol} {number}")) for number in itertools.count())
    count, cost = int(abs(holding.quantity)), Decimal(str(round(price, 2)))
    order = Order(
        tradable=Tradable(
            holding.symbol, float(holding.quantity), is_option=True, quote=lambda _: (price, price)
        ),
        order_id=next(names),
        client_order_id=next(names),
        asset_id=next(names),
        side="sell" if holding.quantity > 0 else "buy",
        quantity=count,
        limit_price=cost,
        created_ns=now_ns,
        kind="market",
    )
    update = order_update(order, "fill", now_ns, count, position=Decimal(), identity=lambda: next(names))
    account.note(update, now_ns)
    return update
