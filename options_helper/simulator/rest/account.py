"""Positions, orders and activities over plain HTTP, as Alpaca's account tells them: every amount is a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from http import HTTPStatus
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

from options_helper.model.alpaca_symbols import is_coin_pair
from options_helper.model.contract_symbols import is_contract_symbol
from options_helper.model.tolerant import amount
from options_helper.simulator.market.account import CLOSED_STATUSES, Holding, Placed, plain
from options_helper.simulator.market.collateral import set_aside
from options_helper.simulator.market.last_values import SymbolSnapshot
from options_helper.simulator.rest.context import (
    Answer,
    Query,
    RequestContext,
    instant,
    one_of,
    refuse_field,
    whole_number,
)

ORDERS_A_PAGE: Final = 50
ORDERS_A_PAGE_AT_MOST: Final = 500
ACTIVITIES_A_PAGE: Final = 100
# Alpaca tells these and refuses them as a filter (its changelog of 6 November 2026).
TOLD_ONLY: Final = frozenset({"CORR", "DTCS", "SEG", "SSO", "SSP"})
# The filter for everything that is neither a fill, a payment nor a dividend.
MISCELLANEOUS: Final = "MISC"
NOT_MISCELLANEOUS: Final = frozenset({"CSD", "CSW", "DIV", "FILL"})
DIRECTIONS: Final = ("asc", "desc")
CENT: Final = Decimal("0.01")
PRICE_STEP: Final = Decimal("0.000001")
RATIO_STEP: Final = Decimal("0.0001")
NOBODY_KNOWS: Final = {"exchange": "NOWHERE", "asset_class": "us_nowhere"}

ACCOUNT: Final = {
    "id": "00000000-0000-4000-8000-000000000001",
    "account_number": "SIMULATED",
    "status": "ACTIVE",
    "currency": "USD",
    "options_approved_level": 3,
    "options_trading_level": 3,
    "pattern_day_trader": False,
    "trading_blocked": False,
    "account_blocked": False,
    "created_at": "2024-01-02T14:30:00Z",
}


def account(_: Query, context: RequestContext) -> Answer:
    """Cash, what of it is free, and what everything is worth by its last trade."""
    values = [_valued(holding, context).market_value for holding in context.account.holdings]
    positions = sum((value for value in values if value is not None), Decimal())
    equity = _text(context.account.cash + positions, CENT)
    cash = plain(context.account.cash)
    # Cash that is neither owed nor set aside for what was sold: nothing is lent here.
    aside = set_aside(context.account.holdings, lambda symbol: _last_price(context.snapshot(symbol)))
    free = _text(max(context.account.cash - aside, Decimal()), CENT)
    return HTTPStatus.OK, ACCOUNT | {
        "cash": cash,
        "buying_power": free,
        "options_buying_power": free,
        "position_market_value": _text(positions, CENT),
        "equity": equity,
        "portfolio_value": equity,
    }


def positions(_: Query, context: RequestContext) -> Answer:
    """Everything held."""
    rows = [_position(_valued(holding, context)) for holding in context.account.holdings]
    if context.faults.rest_unknown_exchange:
        rows[:1] = [row | NOBODY_KNOWS for row in rows[:1]]
    return HTTPStatus.OK, rows


def orders(query: Query, context: RequestContext) -> Answer:
    """Orders by the time at which they were submitted; both ends of the time are left out."""
    status = one_of(query, "status", "open", ("open", "closed", "all"))
    nested = one_of(query, "nested", "false", ("true", "false", "True", "False")).lower() == "true"
    limit = whole_number(query, "limit", ORDERS_A_PAGE, at_most=ORDERS_A_PAGE_AT_MOST)
    found = _within(context.account.orders(), query)
    rows = [row for order in found for row in _flat(order.row, nested=nested) if _is(row, status)]
    return HTTPStatus.OK, rows[: context.at_most(limit)]


def activities(query: Query, context: RequestContext) -> Answer:
    """A page of what happened; the next one begins after the id that the page token names."""
    limit = whole_number(query, "page_size", ACTIVITIES_A_PAGE, at_most=ACTIVITIES_A_PAGE)
    kinds = [kind for kind in query.get("activity_types", "").split(",") if kind]
    if told_only := sorted(TOLD_ONLY.intersection(kinds)):
        refuse_field(f"invalid activity type: {told_only[0]}")
    found = [one for one in context.account.activities() if not kinds or _is_of_kind(one.row, kinds)]
    found = [one for one in found if query.get("date") in (None, _day_of(one.row))]
    following = _after_token(_within(found, query), query.get("page_token"))
    return HTTPStatus.OK, [one.row for one in following[: context.at_most(limit)]]


def _is_of_kind(row: Mapping[str, Any], kinds: Sequence[str]) -> bool:
    kind = row["activity_type"]
    return kind in kinds or (MISCELLANEOUS in kinds and kind not in NOT_MISCELLANEOUS)


def _within(placed: Iterable[Placed], query: Query) -> list[Placed]:
    """Those between `after` and `until`, in the direction asked for."""
    after_ns, until_ns = instant(query, "after"), instant(query, "until")
    found = [
        one
        for one in placed
        if (after_ns is None or one.at_ns > after_ns) and (until_ns is None or one.at_ns < until_ns)
    ]
    return found if one_of(query, "direction", "desc", DIRECTIONS) == "asc" else found[::-1]


def _after_token(found: Sequence[Placed], token: str | None) -> Sequence[Placed]:
    if not token:
        return found
    # An assignment and the trade of its shares may have one id: the next page begins after both.
    indices = [index for index, one in enumerate(found) if one.identity == token]
    if not indices:
        refuse_field(f"page_token must be the id of an activity, and is {token}")
    return found[indices[-1] + 1 :]


def _day_of(row: Mapping[str, Any]) -> str:
    """The day by which an activity is asked for; its id begins with it."""
    digits = str(row["id"])[:8]
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"


def _flat(order: Mapping[str, Any], *, nested: bool) -> Iterator[Mapping[str, Any]]:
    """The order with its legs inside it, or each leg as an order of its own."""
    legs = order.get("legs") or []
    if nested or not legs:
        yield order
        return
    yield {**order, "legs": None}
    yield from legs


def _is(order: Mapping[str, Any], status: str) -> bool:
    closed = order.get("status") in CLOSED_STATUSES
    return status == "all" or closed == (status == "closed")


@dataclass(frozen=True, slots=True)
class _Valued:
    """A holding and its prices a share; None where there is none."""

    holding: Holding
    current: Decimal | None
    last_day: Decimal | None

    @property
    def market_value(self) -> Decimal | None:
        return self._times_size(self.current)

    @property
    def cost_basis(self) -> Decimal | None:
        return self._times_size(self.holding.average_price)

    def gain(self, since: Decimal | None) -> Decimal | None:
        """Dollars since a price."""
        before, now = self._times_size(since), self.market_value
        return None if before is None or now is None else now - before

    def _times_size(self, price: Decimal | None) -> Decimal | None:
        return None if price is None else price * self.holding.quantity * self.holding.multiplier


def _valued(holding: Holding, context: RequestContext) -> _Valued:
    snapshot = context.snapshot(holding.symbol)
    return _Valued(holding, _last_price(snapshot), _last_close(snapshot, context))


def _last_price(snapshot: SymbolSnapshot) -> Decimal | None:
    """Alpaca values by the last trade, however old."""
    return amount((snapshot.trade or {}).get("p"))


def _last_close(snapshot: SymbolSnapshot, context: RequestContext) -> Decimal | None:
    days = [day for day in snapshot.daily_bars if day <= context.last_session]
    return amount(snapshot.daily_bars[max(days)].get("c")) if days else None


def _position(valued: _Valued) -> dict[str, Any]:
    holding = valued.holding
    option, coin = is_contract_symbol(holding.symbol), is_coin_pair(holding.symbol)
    gain, gain_today = valued.gain(holding.average_price), valued.gain(valued.last_day)
    return {
        "asset_id": str(uuid5(NAMESPACE_OID, holding.symbol)),
        # Among positions Alpaca writes a pair without its slash.
        "symbol": holding.symbol.replace("/", ""),
        "exchange": "" if option else "CRYPTO" if coin else "NASDAQ",
        "asset_class": "us_option" if option else "crypto" if coin else "us_equity",
        "asset_marginable": not option,
        "qty": plain(holding.quantity),
        "qty_available": plain(holding.quantity),
        "side": "short" if holding.quantity < 0 else "long",
        "avg_entry_price": _text(holding.average_price, PRICE_STEP),
        "cost_basis": _text(valued.cost_basis, CENT),
        "market_value": _text(valued.market_value, CENT),
        "current_price": _text(valued.current, PRICE_STEP),
        "lastday_price": _text(valued.last_day, PRICE_STEP),
        "change_today": _ratio(_change(valued), valued.last_day),
        "unrealized_pl": _text(gain, CENT),
        "unrealized_plpc": _ratio(gain, valued.cost_basis),
        "unrealized_intraday_pl": _text(gain_today, CENT),
        "unrealized_intraday_plpc": _ratio(gain_today, valued.cost_basis),
        **holding.raw,
    }


def _change(valued: _Valued) -> Decimal | None:
    if valued.current is None or valued.last_day is None:
        return None
    return valued.current - valued.last_day


def _text(number: Decimal | None, step: Decimal) -> str | None:
    return None if number is None else plain(number.quantize(step, ROUND_HALF_UP))


def _ratio(part: Decimal | None, whole: Decimal | None) -> str | None:
    return _text(part / abs(whole), RATIO_STEP) if part is not None and whole else None
