"""Each fill is in the book once, however often and over whichever way it was told."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.streaming.state.blotter import KEPT_DAYS, Blotter
from options_helper.data.streaming.trading_normalizers import read_activity, read_trade_update
from options_helper.model.account import Execution, ExecutionKind, PositionMove, Source
from options_helper.model.order_updates import OrderUpdate
from tests.kit.builders import AAPL_CALL
from tests.kit.fills import TODAY, OrderEvent, at, backfill, executions_of, option_update

FIRST = OrderEvent(event="partial_fill", quantity="1", running="1", ordered="3")
SECOND = FIRST.with_(event="fill", quantity="2", running="3", price="2.07", moment=at(5))
CANCELLED = FIRST.with_(event="canceled", moment=at(9))

LONG, SHORT = "SPY261218C00500000", "SPY261218C00510000"


def blotter_of(*events: OrderEvent, size: int = 100) -> Blotter:
    blotter = Blotter(size)
    for one in events:
        blotter.add_update(one.streamed(), one.moment)
    return blotter


def shown(blotter: Blotter, *names: str) -> list[Any]:
    found = [tuple(getattr(entry, name) for name in names) for entry in blotter.entries()]
    return found if len(names) > 1 else [value for (value,) in found]


def changes(executions: Iterable[Execution]) -> list[Any]:
    return [(one.symbol, one.quantity, one.price) for one in executions]


@pytest.mark.parametrize("ways", [("rest", "socket"), ("socket", "rest"), ("rest", "socket", "rest")])
def test_a_fill_over_socket_and_rest_is_one_row_and_the_sockets_stands(ways: tuple[str, ...]):
    blotter = Blotter(10)
    for way in ways:
        if way == "rest":
            blotter.add_backfill(backfill(FIRST.requested()))
        else:
            blotter.add_update(FIRST.streamed(), at(1))

    (entry,) = blotter.entries()
    assert (entry.source, entry.backfilled, entry.received_at) == (Source.STREAM, False, at(1))
    assert len(blotter.executions(TODAY)) == 1


def test_a_fill_that_only_rest_told_is_marked_as_such():
    blotter = Blotter(10)

    assert blotter.add_backfill(backfill(FIRST.requested()), at(60)) == 1
    (entry,) = blotter.entries()
    assert (entry.source, entry.backfilled, entry.received_at) == (Source.REST, True, at(60))
    assert (entry.order_type, entry.price, entry.side) == ("limit", Decimal("2.05"), "buy")


def test_what_was_told_before_is_no_news():
    blotter = blotter_of(FIRST)
    everything = backfill(FIRST.requested(), SECOND.requested(), CANCELLED.requested())

    assert blotter.add_backfill(everything) == 2
    assert blotter.add_backfill(everything) == 0
    assert len(blotter.entries()) == 3


def test_a_socket_that_repeats_itself_is_heard_once():
    blotter = Blotter(10)
    blotter.add_update(FIRST.streamed(), at(3))
    blotter.add_update(FIRST.streamed(), at(1))

    (entry,) = blotter.entries()
    assert entry.received_at == at(1)


def test_the_orders_total_tells_a_fill_whose_execution_has_no_name():
    blotter = Blotter(10)
    blotter.add_update(FIRST.streamed(execution_id=None), at(1))

    assert blotter.add_backfill(backfill(FIRST.requested())) == 0
    assert blotter.add_backfill(backfill(SECOND.requested())) == 1
    assert [one.identity for one in blotter.executions(TODAY)] == [FIRST.order_id + ":1", SECOND.execution]


def test_rest_that_names_executions_otherwise_doubles_none():
    """Alpaca does not promise that an activity is named by the socket's identifier of the execution."""
    blotter = blotter_of(FIRST, SECOND)

    assert (
        blotter.add_backfill(
            backfill(*(one.requested(id=f"20261120::{one.running}") for one in (FIRST, SECOND)))
        )
        == 0
    )
    assert [one.identity for one in blotter.executions(TODAY)] == [FIRST.execution, SECOND.execution]


def test_the_same_total_after_a_withdrawal_is_another_fill():
    again = FIRST.with_(execution_id="again", moment=at(30), price="1.95")
    blotter = blotter_of(FIRST)

    assert blotter.add_backfill(backfill(again.requested())) == 1
    assert shown(blotter, "price") == [Decimal("2.05"), Decimal("1.95")]


def test_an_order_that_was_cancelled_while_away_is_told_once():
    blotter = blotter_of(FIRST)

    assert blotter.add_backfill(backfill(CANCELLED.requested())) == 1
    assert blotter.add_backfill(backfill(CANCELLED.requested())) == 0
    blotter.add_update(CANCELLED.streamed(), at(12))
    assert shown(blotter, "event", "source") == [
        ("partial_fill", Source.STREAM),
        ("canceled", Source.STREAM),
    ]


def test_what_is_reported_again_unchanged_is_not_settled_again():
    """The account is asked once a minute, and mostly says what it said before."""
    blotter = blotter_of(FIRST, CANCELLED)
    reported = backfill(FIRST.requested(), SECOND.requested(), CANCELLED.requested(), option_update("OPEXP"))
    blotter.add_backfill(reported, at(60))
    entries, executions = blotter.entries(), blotter.executions(TODAY)
    blotter.add_backfill(reported, at(120))
    blotter.add_update(FIRST.streamed(), at(121))

    assert blotter.entries() is entries
    again = blotter.executions(TODAY)
    assert [one is other for one, other in zip(again, executions, strict=True)] == [True] * 3


def test_what_the_socket_left_out_is_completed_by_rest():
    blotter = Blotter(10)
    blotter.add_update(replace(FIRST.streamed(), order_type=None), at(1))
    blotter.add_backfill(backfill(FIRST.requested()))

    assert shown(blotter, "order_type", "source") == [("limit", Source.STREAM)]


def test_rest_that_tells_less_the_next_time_takes_nothing_away():
    """The order is not among those of the last few days any more."""
    blotter = Blotter(10)
    blotter.add_backfill(backfill(FIRST.requested()), at(60))
    alone = read_activity(FIRST.activity())
    assert alone is not None
    blotter.add_backfill(backfill(alone), at(120))

    assert shown(blotter, "order_type", "received_at") == [("limit", at(60))]


def test_partial_fills_stay_apart_with_a_running_total():
    blotter = blotter_of(FIRST, SECOND)

    assert shown(blotter, "fill_qty", "filled_qty", "qty") == [(1, 1, 3), (2, 3, 3)]


def test_rows_are_in_the_exchanges_order_and_the_newest_stay():
    others = [OrderEvent(order_id=f"order-{number}", moment=at(number)) for number in range(9)]
    blotter = blotter_of(*others[5:], *others[:5], size=3)

    assert shown(blotter, "order_id") == ["order-6", "order-7", "order-8"]
    assert len(blotter.executions(TODAY)) == 9


def test_order_updates_beyond_what_is_shown_are_forgotten_and_do_not_come_back_as_news():
    news = [OrderEvent(order_id=f"order-{n}", event="canceled", moment=at(60 * n)) for n in range(500)]
    blotter = blotter_of(*news, size=10)

    assert blotter.add_backfill(backfill(*(one.requested() for one in news[:400]))) == 0
    assert shown(blotter, "order_id") == [one.order_id for one in news[-10:]]


def test_one_that_shows_nothing_counts_executions_all_the_same():
    """As a command has it, which looks once: whatever became of other orders today."""
    blotter = blotter_of(FIRST, CANCELLED, size=0)

    assert blotter.add_backfill(backfill(SECOND.with_(order_id="another").requested())) >= 0
    assert blotter.entries() == ()
    assert next(one.quantity for one in blotter.executions(TODAY)) == 1


def test_an_order_of_several_legs_is_filled_leg_by_leg():
    legs = [OrderEvent(f"leg-{side}", symbol=name, side=side, price=price) for name, side, price in spread()]
    blotter = Blotter(10)
    blotter.add_update(spread_update(legs), at(1))

    assert shown(blotter, "symbol", "side", "price") == [
        (LONG, "buy", Decimal("3.40")),
        (SHORT, "sell", Decimal("1.10")),
    ]
    assert blotter.add_backfill(backfill(*(leg.requested() for leg in legs))) == 0
    assert changes(blotter.executions(TODAY)) == [(LONG, 1, Decimal("3.40")), (SHORT, -1, Decimal("1.10"))]


@pytest.mark.parametrize("seconds", [0, 59])
def test_legs_without_their_orders_totals_are_known_again_by_what_was_executed(seconds: float):
    """Alpaca promises neither the orders of the legs nor the same identifier over both ways."""
    legs = [OrderEvent(f"leg-{side}", symbol=name, side=side, price=price) for name, side, price in spread()]
    blotter = Blotter(10)
    blotter.add_update(spread_update(legs, ordered=False), at(1))
    assert len(blotter.problems(TODAY)) == 2

    events = [leg.with_(execution_id=f"rest-{leg.order_id}", moment=at(seconds)).requested() for leg in legs]
    assert blotter.add_backfill(backfill(*events)) == 0
    assert changes(blotter.executions(TODAY)) == [(LONG, 1, Decimal("3.40")), (SHORT, -1, Decimal("1.10"))]
    assert blotter.problems(TODAY) == ()


@pytest.mark.parametrize("other", [{"price": "3.45"}, {"quantity": "2"}, {"moment": at(61)}], ids=str)
def test_another_fill_of_a_leg_is_another_row(other: dict[str, Any]):
    leg = OrderEvent("leg-buy", symbol=LONG, price="3.40")
    blotter = Blotter(10)
    blotter.add_update(spread_update([leg], ordered=False), at(1))

    assert blotter.add_backfill(backfill(leg.with_(execution_id="other", **other).requested())) == 1


def test_of_two_equal_fills_the_nearer_one_is_meant():
    leg = OrderEvent("leg-buy", symbol=LONG, price="3.40", ordered="2")
    events = [
        leg.with_(execution_id="before", running="1", moment=at(-20)).requested(),
        leg.with_(execution_id="same", running="2", moment=at(1)).requested(),
    ]
    blotter = Blotter(10)
    blotter.add_update(spread_update([leg], ordered=False), at(1))

    assert blotter.add_backfill(backfill(*events)) == 1
    assert shown(blotter, "identity", "filled_qty") == [("before", 1), (leg.execution, 2)]


def test_legs_whose_execution_the_socket_leaves_out_are_completed_by_rest():
    legs = [OrderEvent(f"leg-{side}", symbol=name, side=side, price=price) for name, side, price in spread()]
    blotter = Blotter(10)
    blotter.add_update(spread_update(legs, with_legs=False), at(1))
    assert blotter.executions(TODAY) == ()
    assert len(blotter.problems(TODAY)) == 2

    assert blotter.add_backfill(backfill(*(leg.requested() for leg in legs))) == 0
    assert changes(blotter.executions(TODAY)) == [(LONG, 1, Decimal("3.40")), (SHORT, -1, Decimal("1.10"))]
    assert blotter.problems(TODAY) == ()


def whole(**changes: Any) -> OrderUpdate:
    """The fill of an order of two legs that names none of them."""
    event = OrderEvent("whole", symbol="", side="", price="2.30", execution_id="of the whole", **changes)
    update = read_trade_update(event.update(order=event.order(order_class="mleg")))
    assert update is not None
    return update


def two_legs() -> list[OrderEvent]:
    return [OrderEvent(f"leg-{side}", symbol=name, side=side, price=price) for name, side, price in spread()]


BOTH_LEGS = {"whole": frozenset({"leg-buy", "leg-sell"})}


@pytest.mark.parametrize("ways", ["rest", "socket"])
@pytest.mark.parametrize("named_by", ["rest", "an earlier update"])
def test_a_fill_of_the_whole_that_names_no_leg_is_settled_once_its_legs_are_told(ways: str, named_by: str):
    """It left the day in doubt for good, and stood in the table beside its own legs."""
    legs = two_legs()
    blotter = Blotter(10)
    if named_by == "an earlier update":
        blotter.add_update(replace(spread_update(legs, with_legs=False), event="new"), at(0))
    blotter.add_update(whole(), at(1))
    assert len(blotter.problems(TODAY)) == 1
    told = legs[:1]
    for _ in legs:
        if ways == "socket":
            blotter.add_update(told[-1].streamed(), at(1))
        known = BOTH_LEGS if named_by == "rest" else {}
        blotter.add_backfill(
            replace(backfill(*(leg.requested() for leg in told if ways == "rest")), legs=known)
        )
        assert bool(blotter.problems(TODAY)) is (len(told) < len(legs))
        told = legs

    assert changes(blotter.executions(TODAY)) == [(LONG, 1, Decimal("3.40")), (SHORT, -1, Decimal("1.10"))]
    assert [symbol for symbol, event in shown(blotter, "symbol", "event") if event == "fill"] == [LONG, SHORT]


def test_the_legs_of_orders_that_are_forgotten_are_forgotten_too():
    """A run of months hears of many; those of orders that are known, and the newest, stay."""
    blotter = Blotter(10)
    blotter.add_update(whole(), at(1))
    blotter.add_backfill(replace(backfill(), legs=BOTH_LEGS))
    sizes = []
    for number in range(1_000, 2_000):
        legs = {f"whole-{number}": frozenset({f"leg-{number}"})}
        blotter.add_backfill(replace(backfill(), legs=legs))
        sizes.append(len(pickle.dumps(blotter)))

    assert max(sizes[100:]) <= max(sizes[:100])
    blotter.add_backfill(backfill(*(leg.requested() for leg in two_legs())))
    assert blotter.problems(TODAY) == ()


def test_a_fill_of_the_whole_that_says_no_quantity_is_settled_by_what_was_ordered():
    order = OrderEvent("whole", symbol="", side="").order(order_class="mleg", filled_qty=None)
    update = read_trade_update(OrderEvent("whole").update(order=order, qty=None))
    assert update is not None
    blotter = Blotter(10)
    blotter.add_update(update, at(1))
    blotter.add_backfill(replace(backfill(*(leg.requested() for leg in two_legs())), legs=BOTH_LEGS))

    assert blotter.problems(TODAY) == ()


def test_a_fill_of_the_whole_is_settled_by_the_fills_that_rest_alone_tells_at_that_time():
    blotter = Blotter(10)
    blotter.add_update(whole(), at(1))
    blotter.add_backfill(backfill(two_legs()[0].with_(moment=at(3_600)).requested()))
    assert len(blotter.problems(TODAY)) == 1

    blotter.add_backfill(backfill(*(leg.requested() for leg in two_legs())))
    assert blotter.problems(TODAY) == ()


def test_an_update_of_each_leg_and_one_of_the_whole_are_one_fill():
    legs = two_legs()
    blotter = Blotter(10)
    for leg in legs:
        blotter.add_update(leg.with_(execution_id=f"own {leg.order_id}").streamed(), at(1))
    blotter.add_update(spread_update(legs, with_legs=False), at(1))

    assert blotter.problems(TODAY) == ()
    assert changes(blotter.executions(TODAY)) == [(LONG, 1, Decimal("3.40")), (SHORT, -1, Decimal("1.10"))]
    assert len(blotter.entries()) == 2


def test_a_leg_in_two_pieces_counts_both_and_rest_repeats_none():
    leg = OrderEvent("leg-buy", symbol=LONG, ordered="2", running="2")
    update = read_trade_update(
        leg.update(
            order={**OrderEvent("whole", symbol="", side="").order(), "legs": [leg.order()]},
            legs=[
                {"symbol": LONG, "order_id": "leg-buy", "execution_id": name, "qty": "1", "price": price}
                for name, price in (("E2", "6.8"), ("E3", "6.9"))
            ],
        )
    )
    assert update is not None
    blotter = Blotter(10)
    blotter.add_update(update, at(1))
    both = [(LONG, 1, Decimal("6.8")), (LONG, 1, Decimal("6.9"))]
    assert changes(blotter.executions(TODAY)) == both

    pieces = [("R2", "1", "6.8"), ("R3", "2", "6.9")]
    rows = [leg.with_(execution_id=name, running=running, price=price) for name, running, price in pieces]
    assert blotter.add_backfill(backfill(*(row.requested() for row in rows))) == 0
    assert changes(blotter.executions(TODAY)) == both
    assert blotter.problems(TODAY) == ()


@pytest.mark.parametrize("again", ["socket", "rest"])
def test_more_executions_than_an_order_was_filled_are_a_doubt(again: str):
    """The same fill under another name, which no total tells apart."""
    fill = FIRST.with_(event="fill", quantity="2", running="2", ordered="2")
    blotter = blotter_of(fill.with_(execution_id="E1"), fill.with_(execution_id="E1b"))
    if again == "rest":
        blotter.add_backfill(backfill(fill.with_(execution_id="E1").requested()))

    (problem,) = blotter.problems(TODAY)
    assert "come to 4, and it was filled to 2" in problem


def test_an_order_that_is_filled_over_days_has_no_more_than_its_total():
    """Of an order of before, the first executions may be forgotten; its total is not too small for the rest."""
    blotter = blotter_of(FIRST, SECOND)

    assert blotter.problems(TODAY) == ()


def spread() -> list[tuple[str, str, str]]:
    return [(LONG, "buy", "3.40"), (SHORT, "sell", "1.10")]


def spread_update(legs: list[OrderEvent], *, with_legs: bool = True, ordered: bool = True) -> OrderUpdate:
    whole = OrderEvent("whole", symbol="", side="", price="2.30")
    executed = [
        {
            "execution_id": leg.execution,
            "qty": "1",
            "price": leg.price,
            "symbol": leg.symbol,
            "order_id": leg.order_id,
        }
        for leg in legs
    ]
    order = whole.order(order_class="mleg", legs=[leg.order() for leg in legs] if ordered else None)
    update = read_trade_update(whole.update(order=order, legs=executed if with_legs else None))
    assert update is not None
    return update


@pytest.mark.parametrize(
    ("side", "quantity"),
    [("buy", 1), ("sell", -1), ("sell_short", -1), ("buy_to_close", 1), ("sell_to_open", -1)],
)
def test_a_purchase_is_positive_and_a_sale_negative(side: str, quantity: int):
    for blotter in (blotter_of(FIRST.with_(side=side)), Blotter(1)):
        blotter.add_backfill(backfill(FIRST.with_(side=side).requested()))

        assert changes(blotter.executions(TODAY)) == [(AAPL_CALL, quantity, Decimal("2.05"))]


def test_a_day_is_new_yorks():
    """20:30 in New York is the next day in London."""
    evening = FIRST.with_(moment=at(10.5 * 3_600))

    assert len(blotter_of(evening).executions(TODAY)) == 1


@pytest.mark.parametrize(
    ("kind", "event", "qty", "change"),
    [
        ("OPASN", "assignment", "2", 2),
        ("OPASN", "assignment", "-2", 2),
        ("OPEXC", "exercise", "-2", -2),
        ("OPEXC", "exercise", "2", -2),
        ("OPEXP", "expiry", "-2", -2),
        ("OPEXP", "expiry", "1", 1),
    ],
)
def test_a_contract_that_goes_without_a_trade_goes_for_nothing(kind: str, event: str, qty: str, change: int):
    blotter = Blotter(10)

    assert blotter.add_backfill(backfill(option_update(kind, qty=qty))) == 1
    (execution,) = blotter.executions(TODAY)
    assert execution.kind is ExecutionKind(event)
    assert changes([execution]) == [(AAPL_CALL, change, 0)]
    assert (execution.at_ns, execution.order_id, execution.source) == (None, None, Source.REST)
    assert shown(blotter, "event", "fill_qty", "position_change") == [(event, abs(change), change)]


@pytest.mark.parametrize(
    ("kind", "qty", "cash", "price"),
    [
        ("OPASN", "1", "-2500", 25),  # short: bought back by the settlement
        ("OPASN", "2", "-2500", Decimal("12.5")),
        ("OPEXC", "-1", "2500", 25),
        ("OPEXP", "-1", "2500", 25),
        ("OPASN", "1", "2500", None),  # who is assigned is not paid
        ("OPEXC", "-1", "-2500", None),
    ],
)
def test_a_contract_that_is_settled_in_cash_goes_at_what_was_paid(
    kind: str, qty: str, cash: str, price: Decimal | int | None
):
    reported = backfill(option_update(kind, "SPXW261120C06000000", qty, net_amount=cash))

    assert [one.price for one in executions_of(reported)] == [price]


@pytest.mark.parametrize("kind", ["OPASN", "OPEXC", "OPEXP"])
def test_a_cash_settlement_and_the_end_that_it_pays_for_are_one(kind: str):
    """As the shares of an exercise stand in a row of their own, the cash may."""
    contract = "SPXW261120P06600000"
    qty, cash = ("1", "-1234") if kind == "OPASN" else ("-1", "1234")
    end = option_update(kind, contract, qty)
    paid = option_update("OPCSH", contract, qty, net_amount=cash, id="20261120000000000::paid")
    blotter = Blotter(10)
    blotter.add_backfill(backfill(end, paid))

    once = [(contract, Decimal(qty), Decimal("12.34"))]
    assert changes(blotter.executions(TODAY)) == changes(executions_of(backfill(end, paid))) == once
    assert changes(executions_of(backfill(end))) == [(contract, Decimal(qty), 0)]


def test_of_two_contracts_one_settlement_is_the_half_of_one_end():
    contract = "SPXW261120P06600000"
    ends = [option_update("OPEXP", contract, "-1", id=f"20261120000000000::{name}") for name in "ab"]
    paid = option_update("OPCSH", contract, "-1", net_amount="1234", id="20261120000000000::paid")

    assert sorted(changes(executions_of(backfill(*ends, paid)))) == [
        (contract, -1, Decimal(0)),
        (contract, -1, Decimal("12.34")),
    ]


def test_cash_for_a_contract_of_unknown_size_is_no_price():
    reported = backfill(option_update("OPASN", "SPX1261120C06000000", "1", net_amount="-2500"))

    assert [one.price for one in executions_of(reported)] == [None]


@pytest.mark.parametrize("kind", ["OPASN", "OPCSH", "OPEXC", "OPEXP"])
def test_the_end_of_a_contract_that_names_the_underlying_alone_buys_no_shares_and_is_said(kind: str):
    blotter = Blotter(10)
    blotter.add_backfill(backfill(option_update(kind, "AAPL", "2")))

    assert blotter.executions(TODAY) == ()
    (problem,) = blotter.problems(TODAY)
    assert "not counted" in problem


@pytest.mark.parametrize(
    ("shares", "cash", "price", "expected"),
    [
        ("200", "-30000", "90", (200, 150)),
        ("-200", "30000", "150", (-200, 150)),
        ("200", "30000", "150", (-200, 150)),
        ("200", "0", "150", (200, 150)),
    ],
)
def test_the_shares_of_an_exercise_move_at_the_price_that_was_paid(
    shares: str, cash: str, price: str, expected: tuple[int, int]
):
    """Alpaca's own example of an exercise names one identifier for both halves, and a price that was not paid."""
    blotter = Blotter(10)
    reported = backfill(
        option_update("OPEXC", qty="-2"), option_update("OPTRD", "AAPL", shares, net_amount=cash, price=price)
    )

    assert blotter.add_backfill(reported) == 2
    (of_shares,) = [one for one in blotter.executions(TODAY) if one.kind is ExecutionKind.OPTION_TRADE]
    assert changes([of_shares]) == [("AAPL", *expected)]


@pytest.mark.parametrize("status", ["canceled", "pending"])
def test_an_assignment_that_did_not_happen_moves_nothing(status: str):
    blotter = Blotter(10)
    blotter.add_backfill(backfill(option_update("OPASN")))
    blotter.add_backfill(backfill(option_update("OPASN", status=status)))

    assert blotter.executions(TODAY) == ()
    assert shown(blotter, "status") == [status]


def test_what_was_filled_of_an_order_that_was_then_cancelled_counts():
    blotter = Blotter(10)
    blotter.add_backfill(backfill(FIRST.requested(order_status="canceled"), CANCELLED.requested()))

    assert changes(blotter.executions(TODAY)) == [(AAPL_CALL, 1, Decimal("2.05"))]


def test_an_expiry_comes_after_what_was_traded_that_day():
    blotter = blotter_of(FIRST)
    blotter.add_backfill(backfill(option_update("OPEXP", qty="-1")))

    assert shown(blotter, "event") == ["partial_fill", "expiry"]
    assert [one.kind for one in blotter.executions(TODAY)] == [ExecutionKind.FILL, ExecutionKind.EXPIRY]


def test_a_fill_that_does_not_say_what_it_was_is_said_and_not_counted():
    blotter = blotter_of(FIRST.with_(side=""))

    assert blotter.executions(TODAY) == ()
    (problem,) = blotter.problems(TODAY)
    assert AAPL_CALL in problem
    assert blotter.problems(TODAY - timedelta(days=1)) == ()


@pytest.mark.parametrize("named", ["previous_execution_id", "execution_id", None])
def test_a_withdrawn_execution_does_not_count(named: str | None):
    blotter = blotter_of(FIRST, SECOND)
    bust = FIRST.with_(event="trade_bust", moment=at(60))
    fields = {
        "execution_id": None,
        "qty": "1",
        "price": "2.05",
        **({named: FIRST.execution} if named else {}),
    }
    blotter.add_update(bust.streamed(**fields), at(60))

    assert changes(blotter.executions(TODAY)) == [(AAPL_CALL, 2, Decimal("2.07"))]
    assert shown(blotter, "event") == ["partial_fill", "fill", "trade_bust"]
    assert blotter.problems(TODAY) == ()


def test_a_withdrawal_told_before_its_execution_still_counts():
    bust = FIRST.with_(event="trade_bust", moment=at(60))
    blotter = Blotter(10)
    blotter.add_update(bust.streamed(previous_execution_id=FIRST.execution), at(60))
    assert len(blotter.problems(TODAY)) == 1
    blotter.add_backfill(backfill(FIRST.requested()))

    assert (blotter.executions(TODAY), blotter.problems(TODAY)) == ((), ())


def test_a_restated_execution_counts_as_restated():
    blotter = blotter_of(FIRST, SECOND)
    restated = FIRST.with_(event="trade_correct", moment=at(60))
    fields = {"previous_execution_id": FIRST.execution, "execution_id": "new", "qty": "1", "price": "2.00"}
    blotter.add_update(restated.streamed(**fields), at(60))

    assert changes(blotter.executions(TODAY)) == [
        (AAPL_CALL, 2, Decimal("2.07")),
        (AAPL_CALL, 1, Decimal("2.00")),
    ]


def test_a_withdrawal_of_an_earlier_day_is_todays_change():
    """The position of last night had it, and today it is gone."""
    yesterday = FIRST.with_(moment=at(-86_400))
    blotter = blotter_of(yesterday)
    bust = FIRST.with_(event="trade_bust")
    blotter.add_update(bust.streamed(previous_execution_id=FIRST.execution), at(1))

    assert changes(blotter.executions(TODAY)) == [(AAPL_CALL, -1, Decimal("2.05"))]
    assert changes(blotter.executions(TODAY - timedelta(days=1))) == [(AAPL_CALL, 1, Decimal("2.05"))]


@pytest.mark.parametrize("event", ["trade_bust", "trade_correct"])
def test_a_withdrawal_that_names_nothing_known_is_said(event: str):
    blotter = blotter_of(FIRST, SECOND)
    blotter.add_update(
        FIRST.with_(event=event, moment=at(60)).streamed(previous_execution_id="unheard"), at(60)
    )

    assert len(blotter.executions(TODAY)) == 2
    (problem,) = blotter.problems(TODAY)
    assert "it is not known which one" in problem


def test_executions_are_complete_for_the_newest_days_only():
    days = [FIRST.with_(order_id=f"order-{n}", moment=at(-86_400 * n)) for n in range(KEPT_DAYS + 2)]
    blotter = blotter_of(*days, size=1)

    kept = [bool(blotter.executions(TODAY - timedelta(days=n))) for n in range(KEPT_DAYS + 2)]
    assert kept == [True] * KEPT_DAYS + [False] * 2
    assert blotter.add_backfill(backfill(days[-1].requested())) == 0


def test_days_before_all_that_are_kept_cost_nothing():
    kept = [FIRST.with_(order_id=f"order-{n}", moment=at(-86_400 * n)) for n in range(KEPT_DAYS)]
    blotter = blotter_of(*kept)
    before = blotter.entries()
    older = [option_update("OPEXP", id=f"20261001::{n}", date="2026-10-01") for n in range(50)]

    assert blotter.add_backfill(backfill(*older)) == 0
    # The same rows and not only equal ones: nothing was gone through to forget it.
    assert blotter.entries() is before


@pytest.mark.parametrize("way", ["socket", "rest"])
def test_what_is_dated_in_the_future_pushes_no_day_out_and_is_said(way: str):
    blotter = blotter_of(FIRST)
    for days in range(1, KEPT_DAYS + 1):
        ahead = FIRST.with_(order_id=f"ahead-{days}", moment=at(86_400 * days))
        if way == "socket":
            blotter.add_update(ahead.streamed(), at(60))
        else:
            blotter.add_backfill(backfill(ahead.requested()), at(60))

    assert [one.order_id for one in blotter.executions(TODAY)] == [FIRST.order_id]
    assert blotter.executions(TODAY + timedelta(days=1)) == ()
    assert len(blotter.entries()) == KEPT_DAYS + 1
    (problem,) = blotter.problems(TODAY)
    assert "is dated after the day on which it came" in problem


@pytest.mark.parametrize("way", ["socket", "rest"])
def test_what_was_dated_in_the_future_counts_once_rest_dates_it_otherwise(way: str):
    ahead = FIRST.with_(moment=at(86_400))
    blotter = Blotter(10)
    if way == "socket":
        blotter.add_update(ahead.streamed(), at(1))
    else:
        blotter.add_backfill(backfill(ahead.requested()), at(1))
    blotter.add_backfill(backfill(FIRST.requested()), at(2))

    assert changes(blotter.executions(TODAY)) == [(AAPL_CALL, 1, Decimal("2.05"))]
    assert (len(blotter.entries()), blotter.problems(TODAY)) == (1, ())


def test_a_brokers_clock_may_be_a_little_ahead_at_midnight():
    """Shares trade through the night."""
    midnight = at(14 * 3_600)
    blotter = Blotter(10)
    blotter.add_update(
        FIRST.with_(moment=midnight + timedelta(seconds=2)).streamed(), midnight - timedelta(seconds=2)
    )

    assert len(blotter.executions(TODAY + timedelta(days=1))) == 1
    assert blotter.problems(TODAY) == ()


def test_a_split_or_transfer_is_a_row_and_names_what_it_moved_that_day():
    blotter = Blotter(10)
    reported = backfill(
        option_update("SPLIT", "AAPL", "300", id="20261120::split"),
        option_update("ACATS", "MSFT", "100", id="20261119::transfer", date="2026-11-19"),
    )

    assert (blotter.add_backfill(reported), blotter.add_backfill(reported)) == (2, 0)
    assert shown(blotter, "event", "symbol", "position_change") == [
        ("transfer", "MSFT", 100),
        ("split", "AAPL", 300),
    ]
    assert blotter.executions(TODAY) == ()
    assert blotter.moved(TODAY) == {"AAPL"}
    assert blotter.moved(TODAY - timedelta(days=1)) == {"MSFT"}


def test_a_merger_may_name_what_goes_and_what_comes_by_one_identifier():
    blotter = Blotter(10)
    blotter.add_backfill(backfill(option_update("MA", "OLD", "-10"), option_update("MA", "NEW", "5")))

    assert blotter.moved(TODAY) == {"OLD", "NEW"}
    assert {(one.move, one.symbol, one.quantity) for one in blotter.moves(TODAY)} == {
        (PositionMove.MERGER, "OLD", Decimal(-10)),
        (PositionMove.MERGER, "NEW", Decimal(5)),
    }


def test_a_split_that_was_cancelled_moved_nothing():
    blotter = Blotter(10)
    blotter.add_backfill(backfill(option_update("SPLIT", "AAPL", "300", status="canceled")))

    assert (shown(blotter, "event"), blotter.moved(TODAY)) == (["split"], frozenset())


def test_a_split_of_nobody_knows_what_leaves_the_day_in_doubt():
    blotter = Blotter(10)
    blotter.add_backfill(backfill(option_update("SPLIT", None, "300")))

    assert blotter.moved(TODAY) == frozenset()
    (problem,) = blotter.problems(TODAY)
    assert "A split of an unnamed contract" in problem


def test_a_split_without_a_quantity_still_moved_its_symbol():
    blotter = Blotter(10)
    blotter.add_backfill(backfill(option_update("SPLIT", "AAPL", None)))

    assert blotter.moved(TODAY) == {"AAPL"}
    assert blotter.problems(TODAY) == ()


def test_a_new_session_begins_with_an_empty_book():
    blotter = blotter_of(FIRST, SECOND)
    blotter.clear()

    assert (blotter.entries(), blotter.executions(TODAY)) == ((), ())
    assert blotter.add_backfill(backfill(FIRST.requested())) == 1


def test_a_row_without_any_time_is_of_the_day_it_came():
    blotter = Blotter(10)
    blotter.add_update(
        OrderEvent().streamed(timestamp=None, order=OrderEvent().order(updated_at=None)), at(7)
    )

    (execution,) = blotter.executions(TODAY)
    assert (execution.day, execution.at_ns) == (TODAY, None)


@st.composite
def stories(draw: st.DrawFn) -> list[OrderEvent]:
    """Orders over two days, each filled in parts and then filled, cancelled or left."""
    events: list[OrderEvent] = []
    for number in range(draw(st.integers(1, 4))):
        parts = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
        ordered = sum(parts) + draw(st.integers(0, 2))
        side = draw(st.sampled_from(["buy", "sell"]))
        begin = draw(st.integers(-86_400, 3_600))
        base = OrderEvent(
            f"order-{number}", side=side, ordered=str(ordered), symbol=draw(st.sampled_from([LONG, SHORT]))
        )
        events.append(base.with_(event="new", running="0", moment=at(begin)))
        for index, part in enumerate(parts, 1):
            running = sum(parts[:index])
            events.append(
                base.with_(
                    event="fill" if running == ordered else "partial_fill",
                    quantity=str(part),
                    running=str(running),
                    moment=at(begin + index),
                )
            )
        if sum(parts) < ordered and draw(st.booleans()):
            events.append(base.with_(event="canceled", running=str(sum(parts)), moment=at(begin + 9)))
    return events


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[int, list[tuple[str, list[OrderEvent]]]]:
    """Every event over the socket, over REST or over both, some of them again; REST in pages of any size."""
    story = draw(stories())
    by_socket = draw(st.lists(st.sampled_from(story), max_size=12))
    rest_events = [one for one in story if one.event != "new"]
    pages = draw(st.lists(st.lists(st.sampled_from(rest_events), max_size=6), max_size=4))
    known = {*by_socket, *(one for page in pages for one in page)}
    rest = [one for one in story if one not in known]
    every = [("socket", [one]) for one in (*by_socket, *(one for one in rest if one.event == "new"))]
    every += [("rest", page) for page in (*pages, [one for one in rest if one.event != "new"])]
    return draw(st.integers(1, 8)), every


@given(deliveries(), st.randoms(use_true_random=False), st.sampled_from([{}, {"execution_id": None}]))
def test_any_interleaving_gives_the_same_rows_and_executions(
    delivered: tuple[int, list[tuple[str, list[OrderEvent]]]], dice: Any, nameless: dict[str, None]
):
    """With and without names of executions, however small the table."""
    size, every = delivered
    shuffled = list(every)
    dice.shuffle(shuffled)

    blotters = [Blotter(size), Blotter(size)]
    for blotter, order in zip(blotters, (every, [*shuffled, *shuffled]), strict=True):
        for way, events in order:
            if way == "rest":
                blotter.add_backfill(backfill(*(one.requested() for one in events)))
                continue
            for one in events:
                update = one.streamed(**(nameless if one.is_fill else {}))
                blotter.add_update(update, one.moment + timedelta(milliseconds=20))

    straight, mixed = blotters
    assert mixed.entries() == straight.entries()
    for day in (TODAY, TODAY - timedelta(days=1)):
        assert mixed.executions(day) == straight.executions(day)
    assert _per_order(straight) == _story_totals(every)


def _per_order(blotter: Blotter) -> dict[str | None, Decimal]:
    totals: dict[str | None, Decimal] = {}
    for day in (TODAY, TODAY - timedelta(days=1), TODAY - timedelta(days=2)):
        for one in blotter.executions(day):
            totals[one.order_id] = totals.get(one.order_id, Decimal(0)) + abs(one.quantity)
    return totals


def _story_totals(every: list[tuple[str, list[OrderEvent]]]) -> dict[str, Decimal]:
    fills = {one for _, events in every for one in events if one.is_fill}
    totals: dict[str, Decimal] = {}
    for one in fills:
        totals[one.order_id] = totals.get(one.order_id, Decimal(0)) + Decimal(one.quantity)
    return totals
