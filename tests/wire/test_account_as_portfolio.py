"""The page's book from the account: alpaca-py against the simulated account, which trades while somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from options_helper.clock import utc_now
from options_helper.live.account_book import ACCOUNT_FILE, PortfolioSource
from options_helper.live.screen import Preferences, ScreenModel, ViewOptions, build_screen
from options_helper.live.session import LiveSession, RunSettings
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.simulated import settings_for
from tests.kit.waiting import until_no_thread, wait_until
from tests.wire.test_account_watch import PUT, fill, manager_for
from tests.wire.test_engine import CALL, NOON

OPTIONS, FILLS = StreamName.OPTIONS, StreamName.FILLS
HIGHER = "AAPL260320C00190000"
EXPIRED = "AAPL260318P00180000"
VERTICAL = "aapl-20mar26-vertical-180c-190c"
POSITIONS = "/v2/positions"
Simulators = Callable[..., SimulatorServer]


class Looking:
    """A run from the account, and what a viewer sees of it."""

    def __init__(self, server: SimulatorServer) -> None:
        self.server = server
        self.session = LiveSession(
            build_manager=lambda _: manager_for(server), housekeeping_seconds=0.1, now=utc_now
        )
        self.session.start(ACCOUNT_FILE, RunSettings(source=PortfolioSource.ACCOUNT), settings_for(server))

    def screen(self) -> ScreenModel:
        view = ViewOptions(Preferences(), ZoneInfo("UTC"))
        return build_screen(self.session, ACCOUNT_FILE, view, now=utc_now())

    @property
    def snapshot(self) -> LiveSnapshot:
        """The screen's."""
        return self.screen().snapshot

    @property
    def quantities(self) -> dict[str, int]:
        """What the page shows, by symbol."""
        return {symbol: int(held) for symbol, held in self.screen().portfolio.quantities.items()}

    def until_held(self, **held: int) -> None:
        wait_until(lambda: self.quantities == held, saw=lambda: (held, self.screen()))

    def until_streamed(self, *contracts: str) -> None:
        wanted = frozenset(contracts)
        wait_until(
            lambda: self.server.subscribed(OPTIONS, "quotes") == wanted,
            saw=lambda: self.server.subscribed(OPTIONS),
        )

    def until_listening(self) -> None:
        """Fills that are pushed now are heard, and belong to no reading that is under way."""
        wait_until(lambda: self.snapshot.streams[FILLS].connections, saw=self.screen)
        wait_until(
            lambda: self.snapshot.account.reports[RestTask.FILLS].phase is RestPhase.DONE, saw=self.screen
        )


@pytest.fixture
def simulator(running_simulator: Simulators) -> Simulators:
    return partial(running_simulator, SilentMarket(start_ns=NOON))


@contextmanager
def looking(server: SimulatorServer) -> Iterator[Looking]:
    looking = Looking(server)
    try:
        yield looking
    finally:
        looking.session.stop()
        until_no_thread("live-")


def traded(order: str, symbol: str, quantity: int, so_far: int, **more: Any) -> dict[str, Any]:
    """A fill of an order of its own."""
    return fill(f"{order}-{so_far}", quantity, so_far, symbol=symbol, **{"id": order, **more})


def of_legs(order: str, *legs: tuple[str, str]) -> dict[str, Any]:
    """A fill of a multi-leg order for one of each, told at once as the socket does."""
    parts = [(f"{order}-{index}", symbol, side) for index, (symbol, side) in enumerate(legs)]
    shared = {"qty": "1", "filled_qty": "1", "status": "filled", "submitted_at": "2026-03-20T16:00:00Z"}
    data = {
        "event": "fill",
        "timestamp": "2026-03-20T16:00:05Z",
        "execution_id": f"{order}-e",
        "price": "1.00",
        "qty": "1",
        "order": {
            **shared,
            "id": order,
            "symbol": "",
            "side": "",
            "order_class": "mleg",
            "order_type": "limit",
            "legs": [{**shared, "id": name, "symbol": one, "side": side} for name, one, side in parts],
        },
        "legs": [
            {"execution_id": f"{name}-e", "order_id": name, "symbol": one, "qty": "1", "price": "2.00"}
            for name, one, _ in parts
        ],
    }
    return {"stream": "trade_updates", "data": data}


def test_a_fill_opens_a_leg_and_a_close_takes_it_away_on_the_same_connections(simulator: Simulators):
    server = simulator()
    server.account.set_position(CALL, 1, 2.5)
    with looking(server) as page:
        page.until_held(**{CALL: 1})
        page.until_streamed(CALL)
        page.until_listening()
        server.push(FILLS, [traded("o1", PUT, 2, 2, qty="2", status="filled")])
        page.until_held(**{CALL: 1, PUT: 2})
        page.until_streamed(CALL, PUT)
        server.push(FILLS, [traded("o2", CALL, 1, 1, qty="1", side="sell", status="filled")])
        page.until_held(**{PUT: 2})
        page.until_streamed(PUT)
        streams = page.snapshot.streams

    assert {streams[name].connections for name in (OPTIONS, FILLS)} == {1}


def test_a_part_of_an_order_is_held_at_once_and_more_of_it_when_it_comes(simulator: Simulators):
    server = simulator()
    with looking(server) as page:
        page.until_held()
        page.until_listening()
        server.push(FILLS, [traded("o1", CALL, 2, 2, price="2.00")])
        page.until_held(**{CALL: 2})
        server.push(FILLS, [traded("o1", CALL, 3, 5, price="3.00")])
        page.until_held(**{CALL: 5})
        # What Alpaca says later is what was worked out before.
        worked_out = page.screen()
        wait_until(lambda: read_again(worked_out, page.screen()), saw=page.screen)
        told = page.screen()

    for screen in (worked_out, told):
        assert screen.portfolio.singles[0].cost_basis == pytest.approx((2 * 2.0 + 3 * 3.0) / 5)


def read_again(earlier: ScreenModel, later: ScreenModel) -> bool:
    """Whether the account was read since, so that nothing of it is worked out."""
    before, after = earlier.snapshot.account.view, later.snapshot.account.view
    return before is not None and after is not None and after.as_of > before.as_of


def test_an_order_of_several_legs_is_seen_whole_or_not_at_all(simulator: Simulators):
    server = simulator()
    seen: list[frozenset[str]] = []
    with looking(server) as page:
        page.until_held()
        page.until_listening()
        server.push(FILLS, [of_legs("m1", (CALL, "buy"), (HIGHER, "sell"))])

        def both_are_held() -> bool:
            seen.append(frozenset(page.quantities))
            return len(seen[-1]) == 2

        wait_until(both_are_held, saw=page.screen)
        page.until_streamed(CALL, HIGHER)
        seen += [frozenset(page.quantities) for _ in range(20)]
        structures = page.screen().portfolio.structures

    assert set(seen) == {frozenset(), frozenset({CALL, HIGHER})}
    assert [one.id for one in structures] == [VERTICAL]


def test_shares_coins_and_what_has_expired_are_all_there(simulator: Simulators):
    server = simulator()
    server.account.set_position("AAPL", 100, 200)
    server.account.set_position("BTCUSD", "0.5", 60_000, asset_class="crypto")
    server.account.set_position(EXPIRED, -1, 1.0)
    with looking(server) as page:
        wait_until(lambda: page.screen().portfolio.positions, saw=page.screen)
        book = page.screen().portfolio

    assert [one.symbol for one in book.shares] == ["AAPL", "BTC/USD"]
    assert EXPIRED in book.quantities


def test_a_refused_account_is_said_with_what_to_do(simulator: Simulators):
    server = simulator(faults=Faults(rest_path=POSITIONS, rest_status=401))
    with looking(server) as page:
        wait_until(
            lambda: "a portfolio file needs no account" in page.screen().nothing_because, saw=page.screen
        )
        assert not page.screen().loaded


def test_an_account_that_answers_late_is_waited_for(simulator: Simulators):
    server = simulator(faults=Faults(rest_path=POSITIONS, rest_hang=True))
    server.account.set_position(CALL, 1, 2.5)
    with looking(server) as page:
        wait_until(lambda: server.requests[POSITIONS], saw=lambda: server.requests)
        assert "should be here by" in page.screen().nothing_because


def test_a_reading_that_fails_later_leaves_the_last_book_and_says_since_when(simulator: Simulators):
    server = simulator()
    server.account.set_position(CALL, 1, 2.5)
    with looking(server) as page:
        page.until_held(**{CALL: 1})
        server.set_faults(Faults(rest_path=POSITIONS, rest_status=500))
        wait_until(
            lambda: any(
                "since then the account could not be read" in one.text for one in page.screen().banners
            ),
            saw=page.screen,
        )
        assert page.quantities == {CALL: 1}


def test_what_only_the_account_holds_is_streamed_with_its_underlying_and_its_chain_is_asked_for(
    simulator: Simulators,
):
    """No file names MSFT: its share, its contract and the options around the money come from a fill alone."""
    server = simulator()
    server.account.set_position(CALL, 1, 2.5)
    of_msft = "MSFT260320C00400000"
    with looking(server) as page:
        page.until_streamed(CALL)
        page.until_listening()
        server.push(FILLS, [traded("o1", of_msft, 1, 1, qty="1", status="filled")])
        page.until_streamed(CALL, of_msft)
        wait_until(
            lambda: server.subscribed(StreamName.STOCKS, "quotes") >= {"AAPL", "MSFT"},
            saw=lambda: server.subscribed(StreamName.STOCKS),
        )
        quote = {
            "T": "q",
            "S": "MSFT",
            "bp": 399.9,
            "ap": 400.1,
            "bs": 1,
            "as": 1,
            "bx": "V",
            "ax": "V",
            "c": ["R"],
        }
        server.push(StreamName.STOCKS, [{**quote, "t": "2026-03-20T16:00:00Z", "z": "C"}])
        wait_until(
            lambda: any("MSFT" in path and "options" in path for path in server.requests),
            saw=lambda: dict(server.requests),
        )
