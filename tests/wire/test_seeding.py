"""Seeding over a real socket: alpaca-py's clients ask the simulator, in good order and through every fault it has."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from options_helper.data.rest.client import OPTION_SYMBOLS_A_REQUEST, AlpacaRest
from options_helper.data.rest.rate_limit import RestPolicy
from options_helper.data.rest.seeding import SeedBatch, seed
from options_helper.errors import RestError, RestStopped
from options_helper.model.alpaca_symbols import contract_symbol
from options_helper.model.market_hours import new_york_date
from options_helper.model.portfolio import Portfolio, load_portfolio
from options_helper.model.streams import StreamName
from options_helper.settings import DEMO_KEY, DEMO_SECRET, Settings
from options_helper.simulator.faults import NO_FAULTS, Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from options_helper.simulator.wire.protocol import Limits
from tests.kit.builders import AAPL_CALL, AS_OF, nanoseconds
from tests.kit.fakes import quote_message, trade_message
from tests.kit.waiting import AT_ONCE, FOREVER, wait_until

STOCKS, OPTIONS = StreamName.STOCKS, StreamName.OPTIONS
STOCK_PATH, OPTION_PATH = "/v2/stocks/snapshots", "/v1beta1/options/snapshots"
QUICK = RestPolicy(
    attempts=2, backoff_base_seconds=0.01, backoff_cap_seconds=0.02, requested_pause_cap_seconds=1
)
CONTRACTS = tuple(
    contract_symbol("AAPL", date(2026, 6, 19) + timedelta(weeks=week), "call", strike)
    for week in range(5)
    for strike in range(150, 200)
)

Simulators = Callable[..., SimulatorServer]
Clients = Callable[..., AlpacaRest]


@pytest.fixture
def portfolio(repository: Path) -> Portfolio:
    return load_portfolio(repository / "portfolio.json")


@pytest.fixture
def rest_of() -> Iterator[Clients]:
    """A client of a server; `rest_of(server, policy=…)`."""
    made: list[AlpacaRest] = []

    def make(server: SimulatorServer, policy: RestPolicy = QUICK) -> AlpacaRest:
        settings = Settings(
            api_key=SecretStr(DEMO_KEY),
            api_secret=SecretStr(DEMO_SECRET),
            base_url=server.rest_url,
            data_url=server.rest_url,
        )
        made.append(AlpacaRest(settings, policy=policy))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def seeded(rest: AlpacaRest, stocks: Any = ("AAPL",), contracts: Any = (AAPL_CALL,), **more: Any) -> Any:
    options = {"stock_feed": "iex", "options_feed": "indicative", "today": new_york_date(AS_OF), **more}
    return seed(rest, stocks, contracts, **options)


def known(batches: list[SeedBatch]) -> dict[StreamName, tuple[set[str], ...]]:
    """The symbols with a quote, with a trade and with a close."""
    return {
        stream: tuple(
            {one.symbol for batch in batches if batch.stream is stream for one in getattr(batch, kind)}
            for kind in ("quotes", "trades", "closes")
        )
        for stream in (STOCKS, OPTIONS)
    }


def market_of_one_stock_and_one_contract(start: Simulators, faults: Faults = NO_FAULTS, **more: Any) -> Any:
    at_ns = nanoseconds(AS_OF)
    server = start(SilentMarket(start_ns=at_ns), faults=faults, **more)
    for stream, symbol in ((STOCKS, "AAPL"), (OPTIONS, AAPL_CALL)):
        server.push(stream, [quote_message(symbol, at_ns=at_ns), trade_message(symbol, at_ns=at_ns)])
        server.set_previous_close(symbol, 1.02, new_york_date(AS_OF) - timedelta(days=1))
    return server


ALL_OF_BOTH = {
    STOCKS: ({"AAPL"}, {"AAPL"}, {"AAPL"}),
    OPTIONS: ({AAPL_CALL}, {AAPL_CALL}, {AAPL_CALL}),
}


def test_everything_in_the_demo_s_portfolio_is_priced_before_anything_is_streamed(
    running_simulator: Simulators, rest_of: Clients, portfolio: Portfolio
):
    server = running_simulator(SeededMarket(portfolio))
    rest = rest_of(server)
    contracts = sorted({one.live_symbol for one in portfolio.instruments if one.is_option})
    stocks = sorted({one.live_symbol for one in portfolio.instruments if not one.is_option})
    today = date.fromisoformat(rest.clock()["timestamp"][:10])

    batches = list(seeded(rest, stocks, contracts, today=today))

    found = known(batches)
    assert found[OPTIONS][0] == found[OPTIONS][2] == set(contracts)
    assert found[STOCKS][0] == found[STOCKS][2] == set(stocks)
    assert all(close.day < today for batch in batches for close in batch.closes)
    assert (server.requests[STOCK_PATH], server.requests[OPTION_PATH]) == (1, 1)


def test_a_quote_is_as_old_as_the_exchange_says(running_simulator: Simulators, rest_of: Clients):
    rest = rest_of(market_of_one_stock_and_one_contract(running_simulator))

    events = [event for batch in seeded(rest) for event in (*batch.quotes, *batch.trades)]

    assert {event.timestamp_ns for event in events} == {nanoseconds(AS_OF)}
    assert {event.received_at for event in events} == {AS_OF}


def test_two_hundred_and_fifty_contracts_are_three_requests(running_simulator: Simulators, rest_of: Clients):
    server = running_simulator(SilentMarket(start_ns=nanoseconds(AS_OF)))
    server.push(OPTIONS, [quote_message(symbol, at_ns=nanoseconds(AS_OF)) for symbol in CONTRACTS])

    batches = list(seeded(rest_of(server), (), CONTRACTS))

    assert known(batches)[OPTIONS][0] == set(CONTRACTS)
    assert server.requests == {OPTION_PATH: 3}


def test_one_symbol_more_than_is_allowed_is_refused(running_simulator: Simulators, rest_of: Clients):
    """The reason for the batches."""
    with pytest.raises(RestError, match="at most 100") as refused:
        rest_of(running_simulator(SilentMarket())).option_snapshots(
            CONTRACTS[: OPTION_SYMBOLS_A_REQUEST + 1], "indicative"
        )

    assert refused.value.status == 400


@pytest.mark.parametrize(
    "faults",
    [
        Faults(rest_status=429, rest_retry_after=0.05, rest_first_requests=1),
        Faults(rest_status=500, rest_first_requests=1),
        Faults(rest_status=504, rest_first_requests=1),
        Faults(rest_truncated=True, rest_first_requests=1),
        Faults(rest_slow=0.2),
        Faults(rest_null_greek=True),
        Faults(rest_unknown_exchange=True),
        Faults(rest_page=1),
    ],
    ids=["429", "500", "504", "truncated", "slow", "null Greek", "unknown exchange", "page"],
)
def test_a_fault_that_passes_costs_nothing(running_simulator: Simulators, rest_of: Clients, faults: Faults):
    rest = rest_of(market_of_one_stock_and_one_contract(running_simulator, faults))

    batches = list(seeded(rest))

    assert known(batches) == ALL_OF_BOTH
    assert [batch.unreadable for batch in batches] == [(), ()]


def test_a_request_that_hung_is_made_again(running_simulator: Simulators, rest_of: Clients):
    faults = Faults(rest_hang=True, rest_first_requests=1)
    server = market_of_one_stock_and_one_contract(running_simulator, faults)

    batches = list(seeded(rest_of(server, replace(QUICK, read_seconds=1.5, attempts=5))))

    assert known(batches) == ALL_OF_BOTH
    assert server.requests[STOCK_PATH] > 1


def test_every_page_of_an_answer_is_read(running_simulator: Simulators, rest_of: Clients):
    server = running_simulator(SilentMarket(start_ns=nanoseconds(AS_OF)), faults=Faults(rest_page=40))
    server.push(OPTIONS, [quote_message(symbol, at_ns=nanoseconds(AS_OF)) for symbol in CONTRACTS[:100]])

    batches = list(seeded(rest_of(server), (), CONTRACTS[:100]))

    assert known(batches)[OPTIONS][0] == set(CONTRACTS[:100])
    assert server.requests == {OPTION_PATH: 3}


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        (Faults(rest_status=401), "APCA_API_KEY_ID"),
        (Faults(rest_status=429), "OH_ALPACA_REST_PER_MINUTE"),
        (Faults(rest_status=500), "try again in a minute"),
        (Faults(rest_truncated=True), "cannot be read"),
    ],
    ids=["401", "429", "500", "truncated"],
)
def test_a_fault_on_one_side_is_a_sentence_and_does_not_cost_the_other(
    running_simulator: Simulators, rest_of: Clients, faults: Faults, says: str
):
    faults = replace(faults, rest_path=STOCK_PATH)
    rest = rest_of(market_of_one_stock_and_one_contract(running_simulator, faults))
    batches: list[SeedBatch] = []

    def collect() -> None:
        for batch in seeded(rest):
            batches.append(batch)  # noqa: PERF402 - what came before the error is to be kept

    with pytest.raises(RestError, match=says):
        collect()

    assert known(batches) == {**ALL_OF_BOTH, STOCKS: (set(), set(), set())}


def test_a_feed_that_the_plan_lacks_is_said(running_simulator: Simulators, rest_of: Clients):
    server = market_of_one_stock_and_one_contract(
        running_simulator, limits=Limits(refused_feeds=frozenset({"sip"}))
    )

    with pytest.raises(RestError, match=r"403.* sip .*plan"):
        list(seeded(rest_of(server), stock_feed="sip"))


def test_a_symbol_that_is_none_costs_only_itself_and_one_request(
    running_simulator: Simulators, rest_of: Clients
):
    server = market_of_one_stock_and_one_contract(running_simulator)

    batches = list(seeded(rest_of(server), ("AAPL", "^VIX")))

    assert known(batches) == ALL_OF_BOTH
    assert [symbol for batch in batches for symbol in batch.refused] == ["^VIX"]
    (said,) = [line for batch in batches for line in batch.unreadable]
    assert said.startswith("^VIX: ")
    assert server.requests[STOCK_PATH] == 2


def test_stop_ends_seeding_that_hangs_at_once(running_simulator: Simulators, rest_of: Clients):
    server = market_of_one_stock_and_one_contract(running_simulator, Faults(rest_hang=True))
    rest = rest_of(server, RestPolicy(read_seconds=FOREVER))
    ended: list[Exception] = []

    def ask() -> None:
        try:
            list(seeded(rest))
        except RestStopped as stopped:
            ended.append(stopped)

    thread = threading.Thread(target=ask, name="live-test")
    thread.start()
    wait_until(lambda: server.requests[STOCK_PATH])
    rest.stop()
    thread.join(AT_ONCE)

    assert len(ended) == 1
