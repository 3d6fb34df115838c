"""The simulated account keeps what order updates and tests say of it, without a server."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from options_helper.model.instants import epoch_nanoseconds
from options_helper.simulator.market.account import Holding, SimulatedAccount
from options_helper.simulator.market.opening import opening_holdings
from options_helper.simulator.market.orders import OrderScript, Tradable
from tests.kit.builders import (
    AAPL_CALL,
    AS_OF,
    holding,
    leg,
    nanoseconds,
    portfolio,
    position,
    share_leg,
    structure,
)
from tests.kit.order_updates import order_update

NOW = nanoseconds(AS_OF)
PUT = "AAPL261218P00180000"


def holdings(account: SimulatedAccount) -> dict[str, tuple[Decimal, Decimal | None]]:
    return {held.symbol: (held.quantity, held.average_price) for held in account.holdings}


def test_a_fill_changes_position_and_cash_and_becomes_an_order_and_an_activity():
    account = SimulatedAccount(cash=Decimal(1_000))

    account.note(order_update(), NOW)

    assert holdings(account) == {AAPL_CALL: (Decimal(2), Decimal("1.25"))}
    assert account.cash == 750
    assert [order.row["status"] for order in account.orders()] == ["filled"]
    (activity,) = account.activities()
    assert activity.row == {
        "activity_type": "FILL",
        "id": "20261120100000123::execution-1",
        "transaction_time": "2026-11-20T15:00:00.123Z",
        "cum_qty": "2",
        "leaves_qty": "0",
        "price": "1.25",
        "qty": "2",
        "side": "buy",
        "symbol": AAPL_CALL,
        "order_id": "order-1",
        "order_status": "filled",
        "type": "fill",
    }


def test_partial_fills_of_one_order_are_two_activities_with_a_running_total():
    account = SimulatedAccount()
    partly = order_update(
        "partial_fill", execution_id="a", qty="1", order_filled_qty="1", order_status="partially_filled"
    )

    account.note(partly, NOW)
    account.note(order_update(execution_id="b", qty="1"), NOW)

    rows = [(one.row["type"], one.row["cum_qty"], one.row["leaves_qty"]) for one in account.activities()]
    assert rows == [("partial_fill", "1", "1"), ("fill", "2", "0")]
    assert len(account.orders()) == 1
    assert holdings(account)[AAPL_CALL][0] == 2


def test_an_execution_that_is_told_twice_happened_once():
    account = SimulatedAccount()

    account.note(order_update(), NOW)
    account.note(order_update(), NOW)

    assert holdings(account)[AAPL_CALL][0] == 2
    assert len(account.activities()) == 1


def test_each_leg_of_a_multi_leg_order_is_an_activity_of_its_own_order():
    account = SimulatedAccount()
    legs = [
        {
            "id": "leg-1",
            "symbol": AAPL_CALL,
            "side": "buy",
            "qty": "1",
            "filled_qty": "1",
            "status": "filled",
        },
        {"id": "leg-2", "symbol": PUT, "side": "sell", "qty": "1", "filled_qty": "1", "status": "filled"},
    ]
    executed = [
        {"execution_id": "x1", "qty": "1", "price": "3.10", "order_id": "leg-1", "symbol": AAPL_CALL},
        {"execution_id": "x2", "qty": "1", "price": "2.00", "order_id": "leg-2", "symbol": PUT},
    ]

    account.note(order_update(order_symbol="", order_side="", order_legs=legs, legs=executed), NOW)

    rows = [(one.row["order_id"], one.row["side"], one.row["price"]) for one in account.activities()]
    assert rows == [("leg-1", "buy", "3.1"), ("leg-2", "sell", "2")]
    assert holdings(account) == {AAPL_CALL: (Decimal(1), Decimal("3.1")), PUT: (Decimal(-1), Decimal(2))}


@pytest.mark.parametrize(
    "update",
    [
        {"stream": "trade_updates", "data": None},
        {"stream": "authorization", "data": {"status": "authorized"}},
        {"event": "fill"},
        "no map at all",
        None,
    ],
)
def test_what_is_no_order_update_leaves_the_account_as_it_is(update: Any):
    account = SimulatedAccount()

    account.note(update, NOW)

    assert not account.orders()
    assert not account.activities()


def test_a_fill_without_a_price_is_an_order_and_no_execution():
    account = SimulatedAccount()

    account.note(order_update(price=None), NOW)

    assert len(account.orders()) == 1
    assert not account.activities()
    assert not account.holdings


@pytest.mark.parametrize(
    ("before", "traded", "price", "after"),
    [
        (None, 2, 3, (2, 3)),
        ((2, 3), 2, 5, (4, 4)),
        ((4, 4), -1, 9, (3, 4)),
        ((3, 4), -5, 6, (-2, 6)),
        ((-2, 6), 1, 1, (-1, 6)),
        ((-2, 6), -2, 4, (-4, 5)),
        ((-1, 6), 1, 2, None),
    ],
)
def test_the_average_price_is_that_of_what_is_still_open(
    before: tuple[int, int] | None, traded: int, price: int, after: tuple[int, int] | None
):
    account = SimulatedAccount()
    if before is not None:
        account.set_holding(Holding(AAPL_CALL, Decimal(before[0]), Decimal(before[1])))

    side, quantity = "buy" if traded > 0 else "sell", str(abs(traded))
    account.note(order_update(order_side=side, qty=quantity, price=str(price)), NOW)

    expected = {} if after is None else {AAPL_CALL: (Decimal(after[0]), Decimal(after[1]))}
    assert holdings(account) == expected


def test_an_assignment_has_a_day_a_signed_quantity_and_the_id_of_a_midnight():
    account = SimulatedAccount()

    account.add_activity("OPASN", NOW, {"symbol": AAPL_CALL, "qty": "1", "execution_id": "event-1"})
    account.add_activity("OPTRD", NOW, {"symbol": "AAPL", "qty": "-100", "price": "180"})

    contract, stock = (one.row for one in account.activities())
    assert contract == {
        "activity_type": "OPASN",
        "id": "20261120000000000::event-1",
        "date": "2026-11-20",
        "net_amount": "0",
        "description": "Option Assignment",
        "status": "executed",
        "symbol": AAPL_CALL,
        "qty": "1",
    }
    assert (stock["net_amount"], stock["price"]) == ("18000", "180")


def test_an_order_keeps_the_time_at_which_it_was_first_seen():
    account = SimulatedAccount()
    account.note(order_update("new", order_submitted_at=None, timestamp="2026-11-20T14:00:00Z"), NOW)
    account.note(order_update("canceled", order_submitted_at=None, order_status="canceled"), NOW)

    (order,) = account.orders()
    assert order.at_ns == epoch_nanoseconds(datetime(2026, 11, 20, 14, tzinfo=UTC))
    assert order.row["status"] == "canceled"


def test_the_orders_of_a_simulated_market_add_up_to_the_account_s_positions():
    """What the market tells over the socket and what it tells over REST is the same account."""
    import random

    tradable = Tradable(AAPL_CALL, held=5, is_option=True, quote=lambda _: (1.0, 1.1))
    account = SimulatedAccount([Holding(AAPL_CALL, Decimal(5), Decimal(1))])
    updates = list(OrderScript([tradable], random.Random(3), NOW).updates(NOW + 600 * 10**9))
    for update in updates:
        account.note(update, NOW)

    said = [update["data"]["position_qty"] for update in updates if "position_qty" in update["data"]]
    assert len(said) > 5
    assert holdings(account)[AAPL_CALL][0] == Decimal(said[-1])


def test_the_opening_account_is_the_portfolio_at_its_costs():
    book = portfolio(
        position(contracts=-2, cost_basis=4.6),
        holding("MSFT", 100, cost_basis=487.2),
    )

    opened = opening_holdings(book, lambda _: None)

    assert [(held.quantity, held.average_price) for held in opened] == [
        (Decimal(-2), Decimal("4.6")),
        (Decimal(100), Decimal("487.2")),
    ]


@pytest.mark.parametrize("net_debit", [792.0, -345.0, 0.0, -612.0, 100.0])
def test_the_legs_of_a_structure_cost_its_net_debit_and_no_leg_less_than_a_cent(net_debit: float):
    book = portfolio(structure(net_debit=net_debit))
    prices = {instrument.live_symbol: 2.0 + index for index, instrument in enumerate(book.instruments)}

    legs = opening_holdings(book, prices.get)

    paid = sum(leg.quantity * (leg.average_price or 0) * leg.multiplier for leg in legs)
    assert float(paid) == pytest.approx(net_debit)
    assert all(leg.average_price and leg.average_price >= Decimal("0.01") for leg in legs)


def test_a_cost_that_the_file_does_not_name_is_the_market_s_price():
    (held,) = opening_holdings(portfolio(position(cost_basis=None)), lambda _: 3.5)

    assert held.average_price == Decimal("3.5")


def test_a_covered_call_is_held_as_its_shares_and_its_call():
    covered = structure(share_leg(), leg("short", 180, cost_basis=7), net_debit=24_300)

    shares, call = opening_holdings(portfolio(covered), {"AAPL": 240.0, AAPL_CALL: 60.0}.get)

    assert (shares.symbol, call.symbol) == ("AAPL", AAPL_CALL)
    assert [shares.quantity, shares.average_price, call.quantity, call.average_price] == [100, 250, -1, 7]
