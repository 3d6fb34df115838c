"""What happened while nobody listened is read from orders and activities, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from options_helper.data.streaming.polling.fill_backfill import LOOKBACK, OVERLAP, read_backfill
from options_helper.data.streaming.state.blotter import Backfill
from options_helper.data.streaming.trading_normalizers import FILL_ACTIVITY, read_activity
from options_helper.errors import RestError
from options_helper.model.account import ExecutionKind
from tests.kit.builders import AAPL_CALL
from tests.kit.fills import (
    MORNING,
    NEW_YORK,
    TODAY,
    OrderEvent,
    at,
    doubts_of,
    executions_of,
    option_activity,
)

FIRST = OrderEvent(event="partial_fill", ordered="3", moment=at(1))
SECOND = FIRST.with_(event="fill", quantity="2", running="3", moment=at(5))
LEG = OrderEvent("leg", moment=at(2))


class StoredAccount:
    """An account that gives back what it holds, in pages of two, and remembers what it was asked."""

    def __init__(
        self, *, orders: list[Any] | None = None, activities: list[Any] | None = None, unheard: str = ""
    ) -> None:
        self._orders = orders or []
        self._activities = activities or []
        self._unheard = set(unheard.split())
        self.orders_after: datetime | None = None
        self.activities_after: dict[str, datetime] = {}
        self.questions: list[tuple[str, ...]] = []

    def orders(self, after: datetime, until: datetime | None = None) -> Iterator[list[Any]]:
        self.orders_after = after
        yield from pages(self._orders)

    def activities(self, types: list[str], after: datetime) -> Iterator[list[Any]]:
        self.activities_after |= dict.fromkeys(types, after)
        self.questions.append(tuple(types))
        if unheard := self._unheard & set(types):
            raise RestError(f"Alpaca refused the request (422): invalid activity type: {unheard}", status=422)
        yield from pages([row for row in self._activities if _kind(row) in (*types, None)])


def _kind(row: Any) -> str | None:
    kind = row.get("activity_type") if isinstance(row, dict) else None
    # A row of no kind is found among the fills.
    return kind or FILL_ACTIVITY


def pages(rows: list[Any]) -> Iterator[list[Any]]:
    for first in range(0, len(rows), 2):
        yield rows[first : first + 2]


def read(*activities: Any, orders: list[Any] | None = None, since: datetime = MORNING) -> Backfill:
    return read_backfill(StoredAccount(orders=orders, activities=list(activities)), since)


def test_fills_and_what_ends_contracts_are_read_over_all_pages():
    found = read(
        FIRST.activity(),
        SECOND.activity(),
        option_activity("OPASN"),
        option_activity("OPTRD", "AAPL", "-100", price="180"),
        option_activity("OPEXP", id="20261120000000000::another"),
        orders=[SECOND.order()],
    )

    assert found.problems == ()
    assert [update.event for update in found.updates] == [
        "partial_fill",
        "fill",
        "assignment",
        "expiry",
        "option_trade",
    ]
    assert {one.kind for one in executions_of(found)} == {
        ExecutionKind.FILL,
        ExecutionKind.ASSIGNMENT,
        ExecutionKind.OPTION_TRADE,
        ExecutionKind.EXPIRY,
    }


def test_executions_are_oldest_first_whatever_the_order_of_the_pages():
    found = read(SECOND.activity(), FIRST.activity())

    assert [one.identity for one in executions_of(found)] == [FIRST.execution, SECOND.execution]


def test_an_execution_is_the_same_as_over_the_socket():
    (update,) = read(FIRST.activity(), orders=[FIRST.order()]).updates

    # Orders have no execution, and only the socket tells the position after it.
    streamed = FIRST.streamed()
    differing = {
        one.name for one in fields(streamed) if getattr(update, one.name) != getattr(streamed, one.name)
    }
    assert differing <= {"filled_avg_price", "position_qty", "timestamp_ns"}


def test_the_order_adds_what_an_activity_leaves_out():
    (alone,) = read(FIRST.activity()).updates
    (completed,) = read(FIRST.activity(), orders=[FIRST.order()]).updates

    assert (alone.order_type, alone.limit_price) == (None, None)
    assert (completed.order_type, completed.limit_price) == ("limit", Decimal("2.10"))
    assert alone.qty == completed.qty == 3


def test_more_is_asked_for_than_since():
    """What was entered late, or is of the last session's day, is not missed."""
    account = StoredAccount()
    read_backfill(account, MORNING)

    assert account.activities_after[FILL_ACTIVITY] == MORNING - OVERLAP
    assert account.orders_after == MORNING - OVERLAP - LOOKBACK
    since = account.activities_after["OPEXP"].astimezone(NEW_YORK)
    assert (since.date(), since.hour) == (date(2026, 11, 16), 0)
    assert account.activities_after["SPLIT"] == account.activities_after["OPEXP"]


def test_kinds_that_share_an_identifier_are_asked_for_apart_and_all_in_five_questions():
    """A page begins behind the identifier of the one before."""
    account = StoredAccount()
    read_backfill(account, MORNING)

    assert [set(kinds) & {"FILL", "OPEXC", "OPTRD", "SPLIT", "MISC"} for kinds in account.questions] == [
        {"FILL"},
        {"OPEXC"},
        {"OPTRD"},
        {"SPLIT"},
        {"MISC"},
    ]
    assert set().union(*account.questions) >= {"ACATS", "JNLS", "MA", "NC", "OPCA", "REORG", "SPIN", "SPLIT"}


@pytest.mark.parametrize("status", ["canceled", "expired", "rejected", "replaced", "done_for_day"])
def test_an_order_that_ended_while_away_is_told(status: str):
    ended = OrderEvent(event=status, running="0", moment=at(8))

    (update,) = read(orders=[ended.order()]).updates
    assert (update.event, update.status, update.order_id, update.symbol) == (
        status,
        status,
        "order-1",
        AAPL_CALL,
    )
    assert update.timestamp == at(8)


@pytest.mark.parametrize("status", ["new", "filled", "partially_filled", "accepted", "held", None])
def test_an_order_that_is_open_or_filled_is_no_row_of_its_own(status: str | None):
    assert read(orders=[OrderEvent(running="0").order(status=status)]).updates == ()


def test_an_order_that_ended_before_is_not_told_again():
    before = OrderEvent(event="canceled", running="0", moment=at(-3_600))

    assert read(orders=[before.order()]).updates == ()


def test_a_multi_leg_order_ends_as_one_and_the_legs_of_a_bracket_by_themselves():
    def with_leg(name: str, order_class: str) -> dict[str, Any]:
        leg = OrderEvent(f"{name}-leg", event="canceled", running="0")
        return OrderEvent(name, event="canceled", running="0").order(
            order_class=order_class, legs=[leg.order()]
        )

    found = read(orders=[with_leg("spread", "mleg"), with_leg("bracket", "bracket")])
    assert [update.order_id for update in found.updates] == ["spread", "bracket", "bracket-leg"]


def test_a_leg_is_completed_by_its_own_order():
    whole = OrderEvent("whole", symbol="").order(order_class="mleg", legs=[LEG.order()])

    found = read(LEG.activity(), orders=[whole])
    assert found.problems == ()
    assert found.updates[0].limit_price == Decimal("2.10")


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "text",
        {},
        {"activity_type": None, "id": "1::2"},
        {"activity_type": "NEWS", "id": "1::2"},
    ],
)
def test_an_activity_that_cannot_be_read_costs_itself_and_is_said(odd: Any):
    account = StoredAccount(activities=[FIRST.activity()])
    account.activities = lambda types, after: pages(  # type: ignore[method-assign]
        [odd, FIRST.activity()] if FILL_ACTIVITY in types else []
    )

    found = read_backfill(account, MORNING)
    assert [one.identity for one in executions_of(found)] == [FIRST.execution]
    (problem,) = found.problems
    assert "left out" in problem


@pytest.mark.parametrize("odd", [None, "many", "NaN", [], {}, True])
def test_an_odd_field_costs_no_other(odd: Any):
    fill = FIRST.activity(cum_qty=odd, leaves_qty=odd, price=odd, order_status=odd, type=odd)

    (execution,) = executions_of(read(fill))
    assert (execution.symbol, execution.quantity, execution.price) == (AAPL_CALL, Decimal(1), None)


@pytest.mark.parametrize("name", ["symbol", "qty", "side"])
def test_a_fill_that_does_not_say_what_it_was_is_a_row_and_a_doubt(name: str):
    found = read(FIRST.activity(**{name: None}))

    assert (len(found.updates), executions_of(found), len(doubts_of(found))) == (1, (), 1)
    assert found.problems == ()


def test_an_activity_without_an_identifier_still_counts_once():
    nameless = FIRST.activity(id=None)

    assert len(executions_of(read(nameless, nameless))) == 1


def test_a_day_is_told_by_the_date_and_else_by_the_identifier():
    (execution,) = executions_of(read(option_activity("OPEXP", date=None)))
    assert execution.day == TODAY
    (execution,) = executions_of(read(option_activity("OPEXP", date="2026-11-19")))
    assert execution.day == TODAY - timedelta(days=1)
    (execution,) = executions_of(read(FIRST.activity(transaction_time="soon")))
    assert (execution.day, execution.at_ns) == (TODAY, None)


def test_an_assignment_without_any_day_is_said():
    found = read(option_activity("OPASN", date=None, id="nameless"))

    assert (executions_of(found), len(doubts_of(found))) == ((), 1)


def test_dividends_are_none_of_this():
    assert read_activity({"activity_type": "DIV", "id": "1::2", "symbol": "T", "qty": "2"}) is None


@pytest.mark.parametrize(
    ("kind", "event"),
    [("SPLIT", "split"), ("ACATS", "transfer"), ("SPIN", "spin-off"), ("NC", "name_change"), ("OPCA", None)],
)
def test_what_moves_a_position_otherwise_is_a_row_and_no_execution(kind: str, event: str | None):
    found = read(option_activity(kind, "AAPL", "300"))

    (update,) = found.updates
    assert (update.event, update.symbol, update.position_change, update.day) == (
        event or "option_corporate_action",
        "AAPL",
        Decimal(300),
        TODAY,
    )
    assert (executions_of(found), found.problems, doubts_of(found)) == ((), (), ())


def test_a_dividend_in_shares_moves_a_position_and_one_in_money_is_none_of_this():
    in_money = option_activity("DIV", "AAPL", "100", activity_sub_type="CDIV", id="20261120::cash")
    in_shares = option_activity("DIV", "AAPL", "5", activity_sub_type="SDIV", id="20261120::shares")

    found = read(in_money, in_shares)
    assert [(update.event, update.fill_qty) for update in found.updates] == [("stock_dividend", Decimal(5))]
    assert found.problems == ()


def test_a_kind_that_the_server_has_not_heard_of_costs_no_other():
    split = option_activity("SPLIT", "AAPL", "300")

    found = read_backfill(StoredAccount(activities=[FIRST.activity(), split], unheard="FOPT"), MORNING)
    assert ([update.event for update in found.updates], found.problems) == (["partial_fill", "split"], ())


@pytest.mark.parametrize("kind", ["OPXRC", "OPCSH"])
def test_an_ending_that_the_server_has_not_heard_of_costs_no_other(kind: str):
    expiry = option_activity("OPEXP", qty="-1")

    found = read_backfill(StoredAccount(activities=[expiry], unheard=kind), MORNING)
    assert ([update.event for update in found.updates], found.problems) == (["expiry"], ())


@pytest.mark.parametrize(
    ("kind", "event"),
    [("OPXRC", "exercise"), ("OPEXC", "exercise"), ("OPCSH", "cash_settlement"), ("OPASN", "assignment")],
)
def test_a_contract_that_ended_is_known_by_either_of_alpacas_lists(kind: str, event: str):
    (update,) = read(option_activity(kind)).updates

    assert (update.event, update.symbol) == (event, AAPL_CALL)


@pytest.mark.parametrize(
    ("kind", "event"),
    [("SSP", "split"), ("SSO", "spin-off"), ("CORR", "correction"), ("SC", "symbol_change")],
)
def test_what_cannot_be_asked_for_by_its_name_is_found_among_the_rest(kind: str, event: str):
    """Alpaca's changelog of 6 November 2026: returned by the listing, and refused as a filter."""
    account = StoredAccount(unheard="CORR SC SSO SSP")
    row, payment = option_activity(kind, "AAPL", "300"), option_activity("JNL", "", "", net_amount="1.37")
    asked = account.activities
    account.activities = lambda types, after: (  # type: ignore[method-assign]
        pages([row, payment, option_activity("OPASN"), option_activity("FEE", "", "")])
        if "MISC" in types
        else asked(types, after)
    )

    found = read_backfill(account, MORNING)
    assert [(update.event, update.symbol) for update in found.updates] == [(event, "AAPL")]
    assert found.problems == ()


def test_what_was_asked_for_by_its_name_is_not_told_twice_and_nothing_else_is_a_must():
    change = option_activity("SC", "META", "300")
    account = StoredAccount(activities=[change])
    asked = account.activities
    account.activities = lambda types, after: (  # type: ignore[method-assign]
        pages([change]) if "MISC" in types else asked(types, after)
    )

    assert len(read_backfill(account, MORNING).updates) == 1
    assert read_backfill(StoredAccount(activities=[change], unheard="MISC"), MORNING).problems == ()


def test_the_legs_of_an_order_are_told_by_the_orders():
    whole = OrderEvent("whole", symbol="").order(order_class="mleg", legs=[LEG.order()])

    assert read(orders=[whole, FIRST.order()]).legs == {"whole": {"leg"}}


def test_a_server_that_tells_no_splits_leaves_the_fills_and_is_said():
    found = read_backfill(StoredAccount(activities=[FIRST.activity()], unheard="SPLIT"), MORNING)

    assert len(executions_of(found)) == 1
    (problem,) = found.problems
    assert "whether a split, a transfer or the like changed a position" in problem
    assert "invalid activity type" in problem


def test_an_order_filled_beyond_what_is_told_is_said():
    (problem,) = read(FIRST.activity(), orders=[SECOND.order()]).problems

    assert "filled to 3" in problem
    assert "up to 1 only" in problem


def test_an_order_of_before_may_have_fills_that_were_not_asked_for():
    order = SECOND.order(submitted_at=(MORNING - timedelta(days=1)).isoformat())

    assert read(SECOND.activity(), orders=[order]).problems == ()
    assert read(orders=[order]).problems == ()


def test_a_withdrawn_execution_does_not_count():
    bust = FIRST.activity(
        type="trade_bust", id="20261120101000000::bust", previous_execution_id=FIRST.execution
    )

    found = read(FIRST.activity(), SECOND.activity(), bust)
    assert [one.identity for one in executions_of(found)] == [SECOND.execution]
    assert (found.problems, doubts_of(found)) == ((), ())


def test_the_executions_of_many_days_are_all_there():
    """The file may be older than what a page keeps."""
    days = [OrderEvent(f"order-{n}", moment=MORNING - timedelta(days=n)).activity() for n in range(30)]

    found = read(*days, since=datetime(2026, 10, 1, tzinfo=UTC))
    assert len({one.day for one in executions_of(found)}) == 30
