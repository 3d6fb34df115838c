"""What no stream tells, asked for on a real socket: the manager with alpaca-py's clients against the simulator.

Whoever answers slowly, or never, delays nobody: an answer that is awaited here lasts longer than any test.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.rate_limit import RestPolicy
from options_helper.data.streaming.alpaca_stream import AlpacaOptionStreamer, AlpacaStockStreamer
from options_helper.data.streaming.alpaca_trading_stream import AlpacaTradingStreamer
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.model.account import ExecutionKind, RestPhase, RestReport, RestTask, Source
from options_helper.model.announcement import MarketKind
from options_helper.model.events import RestQuote, RestTrade
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.fakes import trade_message
from tests.kit.simulated import settings_for
from tests.kit.waiting import AT_ONCE, FOREVER, at_once, until_no_thread, wait_until
from tests.wire.test_engine import CALL, CONFIG, NOON, PATIENT, quote

STOCKS, OPTIONS, FILLS = StreamName.STOCKS, StreamName.OPTIONS, StreamName.FILLS
PUT = "AAPL260320P00170000"
TODAY, YESTERDAY = date(2026, 3, 20), date(2026, 3, 19)
SNAPSHOTS = "/v1beta1/options/snapshots"
ACTIVITIES = "/v2/account/activities"
ONE_TRY = partial(AlpacaRest, policy=RestPolicy(attempts=1, read_seconds=FOREVER, breaker_pause_seconds=0.05))
SOON = WatchPolicy(initial_delay=0.1, poll=0.3, again=0.2, debounce=0.05, minimum_interval=0.2)

Simulators = Callable[..., SimulatorServer]


@pytest.fixture
def simulator(running_simulator: Simulators) -> Simulators:
    return partial(running_simulator, SilentMarket(start_ns=NOON))


def manager_for(
    server: SimulatorServer, watch: WatchPolicy = SOON, rest_cls: Callable[..., AlpacaRest] = ONE_TRY
) -> LiveStreamManager:
    return LiveStreamManager(
        settings_for(server),
        stock_stream_cls=partial(AlpacaStockStreamer, timing=PATIENT),
        option_stream_cls=partial(AlpacaOptionStreamer, timing=PATIENT),
        trading_stream_cls=partial(AlpacaTradingStreamer, timing=PATIENT),
        rest_cls=rest_cls,
        watch=watch,
        retry=RetryPolicy(slow_base_seconds=0.1),
    )


@contextmanager
def watching(
    server: SimulatorServer, config: LiveStreamConfig = CONFIG, watch: WatchPolicy = SOON
) -> Iterator[LiveStreamManager]:
    """A started manager; stopping it ends its threads, whatever is being asked."""
    manager = manager_for(server, watch)
    manager.start(config)
    try:
        yield manager
    finally:
        manager.stop()
        until_no_thread("live-")


def report(manager: LiveStreamManager, task: RestTask) -> RestReport:
    return manager.snapshot().account.reports[task]


def until_reported(
    manager: LiveStreamManager, condition: Callable[[RestReport], bool], *tasks: RestTask
) -> None:
    wait_until(
        lambda: all(condition(report(manager, task)) for task in tasks),
        saw=lambda: manager.snapshot().account.reports,
    )


# Books and news are asked for where they are streamed.
OF_THE_ACCOUNT = (RestTask.PRICES, RestTask.FILLS, RestTask.POSITIONS, RestTask.CALENDAR)


def until_done(manager: LiveStreamManager, *tasks: RestTask) -> None:
    until_reported(manager, lambda one: one.phase is RestPhase.DONE, *tasks)


def until_live(manager: LiveStreamManager, name: StreamName, connections: int = 1) -> None:
    wait_until(
        lambda: manager.snapshot().streams[name].connections >= connections,
        saw=lambda: manager.snapshot().streams,
    )


def fill(
    execution: str,
    quantity: int,
    so_far: int,
    *,
    price: str = "1.05",
    at: str = "2026-03-20T16:00:01Z",
    symbol: str = CALL,
    **order: Any,
) -> dict[str, Any]:
    """A fill of an order for 5 contracts, as the socket tells it."""
    event = "fill" if so_far == 5 else "partial_fill"
    return {
        "stream": "trade_updates",
        "data": {
            "event": event,
            "timestamp": at,
            "execution_id": execution,
            "price": price,
            "qty": str(quantity),
            "order": {
                "id": "o1",
                "symbol": symbol,
                "side": "buy",
                "qty": "5",
                "filled_qty": str(so_far),
                "status": "filled" if so_far == 5 else "partially_filled",
                "order_type": "limit",
                "submitted_at": "2026-03-20T16:00:00Z",
                **order,
            },
        },
    }


def test_a_contract_that_nobody_quotes_has_its_latest_quote_trade_and_close_with_their_own_age(
    simulator: Simulators,
):
    server = simulator()
    server.push(
        OPTIONS, [quote(CALL, 4.2, after_seconds=-3_600), trade_message(CALL, 4.25, at_ns=NOON - 10**9)]
    )
    server.flush()
    server.set_previous_close(CALL, 3.9, YESTERDAY)
    with watching(server, watch=replace(SOON, initial_delay=60)) as manager:
        # Each stream is asked for when it has connected, so in one round or in two.
        wait_until(
            lambda: {CALL} == set(manager.snapshot().option_quotes) == set(manager.snapshot().option_trades),
        )
        until_done(manager, RestTask.PRICES)
        snapshot = manager.snapshot()

    known = snapshot.option_quotes[CALL]
    assert type(known) is RestQuote
    assert (known.bid_price, known.received_ns) == (4.2, known.timestamp_ns)
    assert snapshot.as_of - known.received_at >= timedelta(hours=1)
    assert type(snapshot.option_trades[CALL]) is RestTrade
    close = snapshot.account.closes[CALL]
    assert (close.price, close.day) == (Decimal("3.9"), YESTERDAY)
    report = snapshot.account.reports[RestTask.PRICES]
    assert (report.done, report.problem) == (report.of, None)
    assert all(health.received == 0 for health in snapshot.streams.values()), "these are no streamed events"


def test_what_is_streamed_later_replaces_what_was_asked_for(simulator: Simulators):
    server = simulator()
    server.push(OPTIONS, [quote(CALL, 4.2)])
    server.flush()
    with watching(server, watch=replace(SOON, initial_delay=60)) as manager:
        # Asked for once, when the stream had connected.
        wait_until(lambda: CALL in manager.snapshot().option_quotes)
        server.push(OPTIONS, [quote(CALL, 4.3, after_seconds=0.5)])
        wait_until(lambda: manager.snapshot().option_quotes[CALL].bid_price == 4.3)
        assert type(manager.snapshot().option_quotes[CALL]) is not RestQuote


def test_prices_are_asked_for_again_after_each_reconnect(simulator: Simulators):
    server = simulator()
    with watching(server) as manager:
        until_live(manager, OPTIONS)
        until_done(manager, RestTask.PRICES)
        before = server.requests[SNAPSHOTS]
        server.disconnect_all(stream=OPTIONS)
        # While the client was away; nobody will stream it again.
        server.push(OPTIONS, [quote(CALL, 4.4, after_seconds=1)])
        until_live(manager, OPTIONS, connections=2)
        wait_until(lambda: manager.snapshot().option_quotes.get(CALL), saw=lambda: server.requests)
        wait_until(lambda: server.requests[SNAPSHOTS] > before)


def test_symbols_that_are_added_get_their_prices_without_a_reconnect(simulator: Simulators):
    server = simulator()
    server.push(STOCKS, [quote("NVDA", 177.0)])
    server.flush()
    with watching(server) as manager:
        until_done(manager, RestTask.PRICES)
        manager.start(replace(CONFIG, stocks=("AAPL", "NVDA")))
        wait_until(lambda: "NVDA" in manager.snapshot().stock_quotes, saw=lambda: server.requests)

    assert server.connections["/v2/iex"] == 1


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (Faults(rest_status=401), "APCA_API_KEY_ID"),
        (Faults(rest_status=429, rest_retry_after=0), "HTTP 429"),
        (Faults(rest_status=500), "HTTP 500"),
        (Faults(rest_status=504), "HTTP 504"),
        (Faults(rest_truncated=True), "cannot be read"),
    ],
    ids=["401", "429", "500", "504", "truncated"],
)
def test_a_failure_is_a_sentence_the_streams_go_on_and_it_is_tried_again(
    simulator: Simulators, faults: Faults, said: str
):
    server = simulator(faults=faults)
    with watching(server) as manager:
        until_reported(manager, lambda one: said in (one.problem or ""), *OF_THE_ACCOUNT)
        until_live(manager, OPTIONS)
        server.push(OPTIONS, [quote(CALL, 4.2)])
        wait_until(lambda: CALL in manager.snapshot().option_quotes)
        assert manager.snapshot().account.view is None
        server.set_faults(Faults())
        until_done(manager, *OF_THE_ACCOUNT)
        # What is asked for beside the account is tried again too, in its own time.
        wait_until(lambda: not [one for one in manager.snapshot().account.reports.values() if one.problem])


def test_a_pause_that_the_server_wants_is_said_while_it_lasts(simulator: Simulators):
    server = simulator(faults=Faults(rest_status=429, rest_retry_after=FOREVER, rest_first_requests=1))
    patient = partial(AlpacaRest, policy=RestPolicy(attempts=2, requested_pause_cap_seconds=2 * FOREVER))
    manager = manager_for(server, rest_cls=patient)
    manager.start(CONFIG)
    try:
        until_reported(
            manager, lambda one: "allows no more requests until" in (one.problem or ""), RestTask.PRICES
        )
    finally:
        manager.stop()


def test_an_endpoint_that_is_left_alone_is_said_and_the_others_are_asked_on(simulator: Simulators):
    server = simulator(faults=Faults(rest_path="/v2/positions", rest_status=500))
    left_alone = RestPolicy(attempts=1, read_seconds=FOREVER, breaker_pause_seconds=FOREVER)
    manager = manager_for(server, rest_cls=partial(AlpacaRest, policy=left_alone))
    manager.start(CONFIG)
    try:
        until_reported(manager, lambda one: "may be asked again" in (one.problem or ""), RestTask.POSITIONS)
        said = report(manager, RestTask.POSITIONS).problem
        until_done(manager, RestTask.PRICES, RestTask.FILLS)
    finally:
        manager.stop()

    assert said
    assert re.fullmatch(
        r"Alpaca \(127\.0\.0\.1\) answered with HTTP 500.* "
        r"It may be asked again at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\.",
        said,
    )


def test_fills_from_while_nobody_listened_appear_once_each_with_a_running_total(simulator: Simulators):
    server = simulator()
    with watching(server) as manager:
        until_live(manager, FILLS)
        server.push(FILLS, [fill("e1", 2, 2)])
        wait_until(lambda: len(manager.snapshot().fills) == 1)
        server.set_faults(Faults(stream=FILLS, http_status=503))
        server.disconnect_all(stream=FILLS)
        wait_until(lambda: "/stream" not in server.clients, saw=lambda: server.clients)
        server.push(FILLS, [fill("e2", 1, 3), fill("e3", 2, 5)])
        server.flush()
        server.set_faults(Faults())
        wait_until(lambda: len(manager.snapshot().fills) == 3, saw=lambda: manager.snapshot().fills)
        # Told again by the socket, and asked for again a few times: still once.
        until_live(manager, FILLS, connections=2)
        server.push(FILLS, [fill("e3", 2, 5)])
        wait_until(lambda: manager.snapshot().streams[FILLS].applied == 2)
        seen = server.requests[ACTIVITIES]
        wait_until(lambda: server.requests[ACTIVITIES] >= seen + 4)
        fills = manager.snapshot().fills

    assert [one.execution_id for one in fills] == ["e1", "e2", "e3"]
    assert [str(one.filled_qty) for one in fills] == ["2", "3", "5"]
    assert [one.source for one in fills[:2]] == [Source.STREAM, Source.REST]
    assert [one.backfilled for one in fills[:2]] == [False, True]


def test_an_assignment_that_no_socket_tells_is_found_by_polling(simulator: Simulators):
    server = simulator()
    with watching(server) as manager:
        until_live(manager, FILLS)
        until_done(manager, RestTask.FILLS)
        server.account.add_activity("OPASN", CALL, 1, date=TODAY.isoformat())
        server.account.add_activity("OPTRD", "AAPL", -100, 180, date=TODAY.isoformat())
        wait_until(lambda: len(manager.snapshot().account.executions) == 2, saw=manager.snapshot)
        executions = manager.snapshot().account.executions

    assert {(one.kind, one.symbol, one.quantity, one.price) for one in executions} == {
        (ExecutionKind.ASSIGNMENT, CALL, Decimal(1), Decimal(0)),
        (ExecutionKind.OPTION_TRADE, "AAPL", Decimal(-100), Decimal(180)),
    }


def test_a_split_that_no_socket_tells_is_a_row_and_named_beside_the_executions(simulator: Simulators):
    server = simulator()
    with watching(server) as manager:
        until_live(manager, FILLS)
        until_done(manager, RestTask.FILLS)
        server.account.add_activity("SPLIT", "AAPL", 300, date=TODAY.isoformat())
        wait_until(lambda: manager.snapshot().account.moved, saw=manager.snapshot)
        found = manager.snapshot()

    assert (found.account.moved, found.account.executions) == (frozenset({"AAPL"}), ())
    assert [(one.event, one.symbol, one.source) for one in found.fills] == [("split", "AAPL", Source.REST)]


def test_positions_and_the_day_s_executions_are_told_together(simulator: Simulators):
    server = simulator()
    server.account.set_position(PUT, -3, 2.5)
    server.account.set_cash("1234.56")
    with watching(server) as manager:
        until_live(manager, FILLS)
        until_done(manager, *OF_THE_ACCOUNT)
        before = manager.snapshot().account
        server.push(FILLS, [fill("e1", 5, 5)])
        wait_until(lambda: len(manager.snapshot().account.executions) == 1)
        after = manager.snapshot().account

    assert before.view is not None
    assert after.view is not None
    assert (before.view.cash, before.executions_day) == (Decimal("1234.56"), TODAY)
    assert {name: one.quantity for name, one in before.view.positions.items()} == {PUT: Decimal(-3)}
    assert {name: one.quantity for name, one in after.view.positions.items()} == {PUT: -3, CALL: 5}


def test_what_was_traded_today_and_is_not_streamed_has_its_previous_close_too(simulator: Simulators):
    server = simulator()
    server.set_previous_close(PUT, 2.4, YESTERDAY)
    server.push(FILLS, [fill("e1", 5, 5, symbol=PUT)])
    server.flush()
    with watching(server) as manager:
        wait_until(lambda: PUT in manager.snapshot().account.closes, saw=manager.snapshot)

    assert PUT not in CONFIG.option_contracts


def test_an_execution_that_cannot_be_placed_leaves_the_day_in_doubt_and_says_so(simulator: Simulators):
    server = simulator()
    server.account.add_activity(
        "FILL", CALL, 1, 2.0, side=None, order_id="o9", cum_qty="1", type="fill", order_status="filled"
    )
    with watching(server) as manager:
        wait_until(lambda: manager.snapshot().account.doubts, saw=manager.snapshot)
        account = manager.snapshot().account

    assert account.executions_day is None
    assert any(CALL in doubt for doubt in account.doubts)


def test_fills_that_cannot_be_read_do_not_keep_the_positions_away(simulator: Simulators):
    """Whatever the activities answer, and however long: the file's quantities are compared."""
    server = simulator(faults=Faults(rest_path=ACTIVITIES, rest_status=500))
    server.account.set_position(PUT, -3, 2.5)
    with watching(server) as manager:
        until_reported(manager, lambda one: "HTTP 500" in (one.problem or ""), RestTask.FILLS)
        until_done(manager, RestTask.POSITIONS)
        account = manager.snapshot().account
        assert account.view is not None
        assert account.view.positions[PUT].quantity == -3
        assert account.executions_day is None
        server.set_faults(Faults())
        wait_until(lambda: manager.snapshot().account.executions_day == TODAY, saw=manager.snapshot)


def test_positions_are_known_while_the_activities_never_answer(simulator: Simulators):
    server = simulator(faults=Faults(rest_path=ACTIVITIES, rest_hang=True))
    with watching(server) as manager:
        until_live(manager, FILLS)
        wait_until(lambda: manager.snapshot().account.view is not None, saw=manager.snapshot)
        assert report(manager, RestTask.FILLS).phase is not RestPhase.DONE


def test_without_the_trading_stream_the_account_is_not_asked(simulator: Simulators):
    server = simulator()
    with watching(server, replace(CONFIG, stream_fills=False)) as manager:
        until_done(manager, RestTask.PRICES)
        assert report(manager, RestTask.FILLS).phase is RestPhase.OFF

    assert server.requests[ACTIVITIES] == server.requests["/v2/positions"] == 0


def test_a_recorded_market_is_nobody_s_account(running_simulator: Simulators):
    server = running_simulator(SilentMarket(start_ns=NOON, kind=MarketKind.REPLAY))
    with watching(server, watch=replace(SOON, initial_delay=60)) as manager:
        until_live(manager, FILLS)
        until_reported(manager, lambda one: one.phase is RestPhase.OFF, RestTask.FILLS, RestTask.POSITIONS)

    assert server.requests["/v2/positions"] == 0


def test_a_server_that_never_answers_delays_neither_start_nor_look_nor_stop(simulator: Simulators):
    server = simulator(faults=Faults(rest_hang=True))
    manager = manager_for(server)
    with at_once():
        manager.start(CONFIG)
    try:
        wait_until(lambda: server.requests["/v2/stocks/snapshots"] and server.requests["/v2/positions"])
        until_live(manager, OPTIONS)
        server.push(OPTIONS, [quote(CALL, 4.2)])
        wait_until(lambda: CALL in manager.snapshot().option_quotes)
        with at_once():
            snapshot = manager.snapshot()
        assert snapshot.account.reports[RestTask.PRICES].phase is RestPhase.REQUESTING
    finally:
        manager.stop()
    until_no_thread("live-")


class Overtaken(AlpacaRest):
    """Hands on the account's positions only when the test says so, which may be after the run has ended."""

    answered, released = threading.Event(), threading.Event()

    def positions(self) -> list[dict[str, Any]]:
        answer = super().positions()
        self.answered.set()
        assert self.released.wait(AT_ONCE)
        return answer


def test_what_a_stopped_run_still_hears_changes_nothing(simulator: Simulators):
    server = simulator()
    manager = manager_for(server, rest_cls=Overtaken)
    manager.start(CONFIG)
    try:
        assert Overtaken.answered.wait(AT_ONCE)
    finally:
        manager.stop()
    ended = manager.snapshot()
    Overtaken.released.set()
    until_no_thread("live-")

    assert ended.account.view is None
    assert manager.snapshot().account == ended.account
