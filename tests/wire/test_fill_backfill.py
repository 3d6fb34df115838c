"""Fills on a real socket and over real REST: what happened while nobody listened is in the book once, and marked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.streaming.alpaca_trading_stream import AlpacaTradingStreamer
from options_helper.data.streaming.polling.fill_backfill import read_backfill
from options_helper.data.streaming.state.blotter import Backfill, Blotter
from options_helper.data.streaming.trading_normalizers import read_trade_update
from options_helper.errors import RestError
from options_helper.model.account import ExecutionKind
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import AAPL_CALL, nanoseconds
from tests.kit.fills import MORNING, TODAY, OrderEvent, at, doubts_of, executions_of
from tests.kit.simulated import PATIENT_REST, settings_for
from tests.kit.waiting import AT_ONCE, wait_until
from tests.wire.test_engine import PATIENT

FILLS = StreamName.FILLS

FIRST = OrderEvent("order-1", event="partial_fill", running="1", ordered="6", moment=at(1))
SECOND = FIRST.with_(running="3", quantity="2", price="2.06", moment=at(2))
THIRD = FIRST.with_(event="fill", running="6", quantity="3", price="2.07", moment=at(3))
CANCELLED = OrderEvent("order-2", event="canceled", running="0", moment=at(4))


@pytest.fixture
def server(running_simulator: Callable[..., SimulatorServer]) -> SimulatorServer:
    return running_simulator(SilentMarket(start_ns=nanoseconds(MORNING)))


@contextmanager
def listening(server: SimulatorServer, blotter: Blotter) -> Iterator[None]:
    """Hold one connection for order updates and write them into the book."""

    def note(update: Any) -> None:
        read = read_trade_update(update)
        assert read is not None
        blotter.add_update(read, at(60))

    streamer = AlpacaTradingStreamer(settings_for(server), on_trade_updates=note, timing=PATIENT)
    streamer.subscribe_trade_updates()
    thread = threading.Thread(target=streamer.run, name="live-fills", daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.subscribed(FILLS))
        yield
    finally:
        streamer.stop()
        thread.join(AT_ONCE)
    wait_until(lambda: not server.subscribed(FILLS))


def push(server: SimulatorServer, *reports: OrderEvent, **changes: Any) -> None:
    server.push(FILLS, [{"stream": "trade_updates", "data": one.update(**changes)} for one in reports])


def read(server: SimulatorServer) -> Backfill:
    with AlpacaRest(settings_for(server), policy=PATIENT_REST) as rest:
        return read_backfill(rest, MORNING)


def reports(blotter: Blotter) -> list[tuple[Any, ...]]:
    return [(one.event, one.filled_qty, one.source, one.backfilled) for one in blotter.entries()]


def test_what_happened_while_nobody_listened_appears_exactly_once(server: SimulatorServer):
    blotter = Blotter(50)
    with listening(server, blotter):
        push(server, FIRST)
        wait_until(blotter.entries)
    push(server, SECOND, CANCELLED)
    server.account.add_activity("OPASN", AAPL_CALL, 1, at=at(5))
    with listening(server, blotter):
        push(server, THIRD)
        wait_until(lambda: len(blotter.entries()) == 2, saw=blotter.entries)

    assert blotter.add_backfill(read(server)) == 3
    assert blotter.add_backfill(read(server)) == 0
    assert server.sent[FILLS] == 2
    assert reports(blotter) == [
        ("partial_fill", 1, "stream", False),
        ("partial_fill", 3, "rest", True),
        ("fill", 6, "stream", False),
        ("canceled", 0, "rest", True),
        ("assignment", None, "rest", True),
    ]
    assert sum(one.quantity for one in blotter.executions(TODAY) if one.kind is ExecutionKind.FILL) == 6
    assert blotter.problems(TODAY) == ()


def test_what_was_asked_for_first_and_comes_over_the_socket_later_is_one_row(server: SimulatorServer):
    blotter = Blotter(50)
    push(server, FIRST)
    blotter.add_backfill(read(server))
    with listening(server, blotter):
        push(server, FIRST, THIRD)
        wait_until(lambda: len(blotter.entries()) == 2, saw=blotter.entries)

    assert reports(blotter) == [("partial_fill", 1, "stream", False), ("fill", 6, "stream", False)]
    assert blotter.add_backfill(read(server)) == 0


def test_an_update_that_is_sent_twice_is_heard_once(server: SimulatorServer):
    blotter = Blotter(50)
    with listening(server, blotter):
        push(server, FIRST, FIRST, THIRD)
        wait_until(lambda: len(blotter.entries()) == 2, saw=blotter.entries)

    assert server.sent[FILLS] == 3
    assert [one.identity for one in blotter.executions(TODAY)] == [FIRST.execution, THIRD.execution]


def test_many_fills_come_in_pages_and_none_twice(server: SimulatorServer):
    server.set_faults(Faults(rest_page=3))
    fills = [OrderEvent(f"order-{number}", moment=at(number)) for number in range(10)]
    push(server, *fills)
    blotter = Blotter(50)

    assert blotter.add_backfill(read(server)) == 10
    assert [one.identity for one in blotter.executions(TODAY)] == [one.execution for one in fills]
    assert server.requests["/v2/account/activities"] > 3


def test_the_legs_of_a_spread_over_both_ways_are_one_row_each(server: SimulatorServer):
    legs = [
        OrderEvent("leg-1", symbol="SPY261218C00500000", price="3.40"),
        OrderEvent("leg-2", symbol="SPY261218C00510000", price="1.10", side="sell"),
    ]
    whole = OrderEvent("whole", symbol="", side="")
    executed = [
        {
            "execution_id": leg.execution,
            "order_id": leg.order_id,
            "symbol": leg.symbol,
            "qty": "1",
            "price": leg.price,
        }
        for leg in legs
    ]
    order = whole.order(order_class="mleg", legs=[leg.order() for leg in legs])
    blotter = Blotter(50)
    with listening(server, blotter):
        push(server, whole, order=order, legs=executed)
        wait_until(blotter.entries)

    rest_report = read(server)
    assert (len(rest_report.updates), rest_report.problems) == (2, ())
    assert blotter.add_backfill(rest_report) == 0
    assert [(one.symbol, one.position_change) for one in blotter.entries()] == [
        (legs[0].symbol, Decimal(1)),
        (legs[1].symbol, Decimal(-1)),
    ]


def test_shares_that_an_assignment_moved_come_with_it(server: SimulatorServer):
    server.account.add_activity("OPASN", AAPL_CALL, 1, at=at(5))
    server.account.add_activity("OPTRD", "AAPL", -100, 180, at=at(5))

    executions = executions_of(read(server))
    assert {one.symbol: one.quantity for one in executions} == {AAPL_CALL: 1, "AAPL": -100}
    assert {one.symbol: one.price for one in executions} == {AAPL_CALL: 0, "AAPL": 180}
    assert {one.day for one in executions} == {TODAY}


def test_an_exercise_and_its_shares_have_one_identifier_and_both_are_found_on_any_page(
    server: SimulatorServer,
):
    server.set_faults(Faults(rest_page=1))
    identity = f"{TODAY:%Y%m%d}000000000::0b4d9a3e"
    server.account.add_activity("OPEXC", AAPL_CALL, -1, date=TODAY.isoformat(), id=identity)
    server.account.add_activity("OPTRD", "AAPL", 100, 180, date=TODAY.isoformat(), id=identity)

    with AlpacaRest(settings_for(server), policy=PATIENT_REST) as rest:
        executions = executions_of(read_backfill(rest, MORNING))

    assert [(one.kind, one.quantity) for one in executions] == [
        (ExecutionKind.EXERCISE, Decimal(-1)),
        (ExecutionKind.OPTION_TRADE, Decimal(100)),
    ]


def test_a_split_and_a_cash_settlement_are_found(server: SimulatorServer):
    index_call = "SPXW261120C06000000"
    server.account.add_activity("SPLIT", "AAPL", 300, at=at(5))
    server.account.add_activity("OPASN", index_call, 1, net_amount="-2500", at=at(5))
    server.account.add_activity("OPCSH", "XSP261120C00600000", 1, net_amount="-250", at=at(5))
    blotter = Blotter(50)

    assert blotter.add_backfill(read(server), at(60)) == 3
    assert blotter.moved(TODAY) == {"AAPL"}
    assert {(one.symbol, one.price) for one in blotter.executions(TODAY)} == {
        (index_call, Decimal(25)),
        ("XSP261120C00600000", Decimal("2.5")),
    }


def test_an_old_name_and_a_contract_beside_its_underlying_are_read(server: SimulatorServer):
    """Codes that the server refuses as a filter, and events that name the underlying where the contract was."""
    put = "AAPL261120P00250000"
    server.account.add_activity("OPASN", "AAPL", 2, contract_symbol=put, at=at(5))
    server.account.add_activity("OPXRC", AAPL_CALL, 1, at=at(5))
    server.account.add_activity("SSP", "NVDA", 90, at=at(5))
    server.account.add_activity("CORR", net_amount="1.37", at=at(5))
    blotter = Blotter(50)

    assert blotter.add_backfill(read(server), at(60)) == 3
    assert {(one.symbol, one.quantity) for one in blotter.executions(TODAY)} == {
        (put, Decimal(2)),
        (AAPL_CALL, Decimal(-1)),
    }
    assert blotter.moved(TODAY) == {"NVDA"}
    assert blotter.problems(TODAY) == ()


def test_a_row_that_nobody_can_read_costs_itself(server: SimulatorServer):
    push(server, FIRST)
    server.account.add_activity("OPEXP", AAPL_CALL, None, at=at(5))

    rest_report = read(server)
    assert [one.identity for one in executions_of(rest_report)] == [FIRST.execution]
    (doubt,) = doubts_of(rest_report)
    assert AAPL_CALL in doubt


@pytest.mark.parametrize(
    "faults", [Faults(rest_status=500), Faults(rest_status=401), Faults(rest_truncated=True)], ids=str
)
def test_a_server_that_does_not_answer_leaves_the_book_as_it_was(server: SimulatorServer, faults: Faults):
    blotter = Blotter(50)
    push(server, FIRST)
    blotter.add_backfill(read(server))
    push(server, SECOND)
    server.set_faults(faults)

    with pytest.raises(RestError):
        read(server)
    server.set_faults(Faults())
    assert blotter.add_backfill(read(server)) == 1
