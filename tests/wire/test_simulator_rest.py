"""The simulator's REST side on a real socket, asked by the real alpaca-py clients."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.historical import OptionHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import OptionLatestQuoteRequest, OptionSnapshotRequest, StockSnapshotRequest
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import GetOrdersRequest
from pydantic import ValidationError

from options_helper.model.announcement import MarketKind
from options_helper.model.portfolio import load_portfolio
from options_helper.model.streams import StreamName
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import Interest, SilentMarket, Step
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import AAPL_CALL, AS_OF, nanoseconds
from tests.kit.fakes import quote_message, trade_message
from tests.kit.order_updates import order_update
from tests.kit.waiting import AT_ONCE, FOREVER, wait_until
from tests.wire.bare_sdk import Received, running, stock_stream

NOW = nanoseconds(AS_OF)
OPTIONS, FILLS = StreamName.OPTIONS, StreamName.FILLS
HEADERS = {"APCA-API-KEY-ID": DEMO_KEY, "APCA-API-SECRET-KEY": DEMO_SECRET}

Simulators = Callable[..., SimulatorServer]


class MarketOfOneFill(SilentMarket):
    """A market in which one order is filled at once."""

    def steps(self, interest: Interest) -> Iterator[Step]:
        yield Step(NOW, FILLS, [order_update()])


def silent(**options: Any) -> SilentMarket:
    return SilentMarket(start_ns=NOW, **options)


def trading(server: SimulatorServer, *, raw: bool = True) -> Any:
    return TradingClient(DEMO_KEY, DEMO_SECRET, raw_data=raw, url_override=server.rest_url)


def option_prices(server: SimulatorServer, *, raw: bool = True) -> Any:
    return OptionHistoricalDataClient(DEMO_KEY, DEMO_SECRET, raw_data=raw, url_override=server.rest_url)


def stock_prices(server: SimulatorServer, *, raw: bool = True) -> Any:
    return StockHistoricalDataClient(DEMO_KEY, DEMO_SECRET, raw_data=raw, url_override=server.rest_url)


def get(server: SimulatorServer, path: str, *, timeout: float = AT_ONCE) -> requests.Response:
    return requests.get(server.rest_url + path, headers=HEADERS, timeout=timeout)


@pytest.fixture(scope="module")
def demo(repository: Path) -> Iterator[SimulatorServer]:
    """The market of the portfolio that the demo opens; nobody subscribes to anything."""
    with SimulatorServer(SeededMarket(load_portfolio(repository / "portfolio.json"))) as server:
        yield server


@pytest.mark.parametrize(
    "path",
    [
        "/v2/stocks/trades?symbols=AAPL&feed=iex",
        "/v2/stocks/bars?symbols=AAPL&feed=iex&timeframe=1Min",
        "/v1beta1/options/trades?symbols=AAPL261218C00190000",
        "/v1beta3/crypto/us/bars?symbols=BTC/USD&timeframe=1Min",
    ],
)
def test_nobody_waits_for_a_past_that_is_being_read(running_simulator: Simulators, path: str):
    """A recording is read from files, which may take long; the market is played and pushed meanwhile."""
    begun, done = threading.Event(), threading.Event()

    class SlowlyRead(SilentMarket):
        def past(self, *_: Any) -> list[Any]:
            begun.set()
            assert done.wait(AT_ONCE), "whoever should not have waited for this did"
            return []

    server = running_simulator(SlowlyRead(start_ns=NOW))
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(get, server, path, timeout=FOREVER)
        assert begun.wait(AT_ONCE)
        server.push(StreamName.STOCKS, [trade_message("AAPL", 190.0)])
        server.flush()
        assert (
            get(server, "/v2/stocks/trades/latest?symbols=AAPL&feed=iex").json()["trades"]["AAPL"]["p"]
            == 190.0
        )
        done.set()

        assert reading.result().status_code == 200


# What is there before anybody listens.


def test_the_account_of_a_made_up_market_is_the_portfolio(demo: SimulatorServer, repository: Path):
    portfolio = load_portfolio(repository / "portfolio.json")

    positions = trading(demo).get_all_positions()

    assert {row["symbol"] for row in positions} == {item.live_symbol for item in portfolio.instruments}
    assert trading(demo).get_account()["cash"] == "18250"
    costs = {row["symbol"]: float(row["cost_basis"]) for row in positions}
    for structure in portfolio.structures:
        legs = [instrument.live_symbol for instrument in structure.instruments]
        assert sum(costs[leg] for leg in legs) == pytest.approx(structure.net_debit)


def test_one_request_prices_every_contract_of_the_portfolio(demo: SimulatorServer, repository: Path):
    portfolio = load_portfolio(repository / "portfolio.json")
    contracts = sorted({item.live_symbol for item in portfolio.instruments if item.is_option})
    before = demo.requests["/v1beta1/options/snapshots"]

    snapshots = option_prices(demo).get_option_snapshot(OptionSnapshotRequest(symbol_or_symbols=contracts))

    assert sorted(snapshots) == contracts
    assert all(row["latestQuote"]["ap"] > 0 and row["prevDailyBar"]["c"] > 0 for row in snapshots.values())
    assert demo.requests["/v1beta1/options/snapshots"] == before + 1


def test_the_sdk_s_own_models_can_read_all_of_it(demo: SimulatorServer):
    contract = "AAPL270115C00275000"
    account = trading(demo, raw=False)

    option = option_prices(demo, raw=False).get_option_snapshot(
        OptionSnapshotRequest(symbol_or_symbols=[contract])
    )[contract]
    stock = stock_prices(demo, raw=False).get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=["MSFT"]))
    position = next(row for row in account.get_all_positions() if row.symbol == contract)

    assert option.greeks is not None
    assert 0 < option.greeks.delta < 1
    assert stock["MSFT"].previous_daily_bar.timestamp.date() == date(2026, 11, 19)
    assert (position.qty, position.avg_entry_price) == ("3", "8.4")
    assert account.get_option_contract(contract).strike_price == 275
    assert account.get_asset("MSFT").symbol == "MSFT"


def test_a_replay_has_prices_and_no_account(running_simulator: Simulators):
    server = running_simulator(silent(kind=MarketKind.REPLAY))
    server.push(OPTIONS, [quote_message(AAPL_CALL, at_ns=NOW)])

    quotes = option_prices(server).get_option_latest_quote(
        OptionLatestQuoteRequest(symbol_or_symbols=[AAPL_CALL])
    )

    assert quotes[AAPL_CALL]["bp"] == 1.0
    for path in ("/v2/positions", "/v2/orders", "/v2/account", "/v2/account/activities"):
        answer = get(server, path)
        assert (answer.status_code, "has no account" in answer.json()["message"]) == (404, True)


def test_of_a_replay_nobody_says_that_nothing_is_announced(running_simulator: Simulators):
    """That its shares pay nothing is not known."""
    recorded, made_up = (
        get(running_simulator(silent(kind=kind)), "/v1/corporate-actions?symbols=AAPL")
        for kind in (MarketKind.REPLAY, MarketKind.SIMULATED)
    )

    assert (recorded.status_code, made_up.status_code) == (404, 200)
    assert "has no corporate actions" in recorded.json()["message"]


# What happens while nobody listens.


def test_what_is_pushed_while_nobody_listens_is_known_to_rest(running_simulator: Simulators):
    server = running_simulator(silent())

    server.push(FILLS, [order_update()])
    server.push(OPTIONS, [trade_message(AAPL_CALL, 1.3, at_ns=NOW)])
    server.set_previous_close(AAPL_CALL, 1.1, date(2026, 11, 19))

    account = trading(server)
    (position,) = account.get_all_positions()
    (order,) = account.get_orders(GetOrdersRequest(status="all"))
    (activity,) = account.get("/account/activities", {"activity_types": "FILL"})
    assert (position["qty"], position["current_price"], position["lastday_price"]) == ("2", "1.3", "1.1")
    assert order["id"] == activity["order_id"] == "order-1"
    assert server.sent == {}


def test_what_the_market_plays_is_known_to_rest(running_simulator: Simulators):
    server = running_simulator(MarketOfOneFill(start_ns=NOW))
    account = trading(server)
    assert account.get_all_positions() == []

    # Any subscriber starts the market's clock; this one does not hear of orders.
    listener = stock_stream(server)
    listener.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, listener):
        wait_until(lambda: server.finished)

        assert [row["symbol"] for row in account.get_all_positions()] == [AAPL_CALL]
        assert server.sent[FILLS] == 0


def test_a_test_may_let_happen_in_the_account_what_no_stream_tells(running_simulator: Simulators):
    server = running_simulator(silent())

    server.account.set_position("MSFT", 100, 487.2)
    server.account.set_position(AAPL_CALL, -1, "2.5", exchange="ELSEWHERE")
    server.account.set_cash("12.34")
    order = server.account.add_order({"symbol": AAPL_CALL, "status": "expired"})
    server.account.add_activity("OPASN", AAPL_CALL, 1)
    server.account.add_activity("OPTRD", "AAPL", -100, 180)

    account = trading(server)
    assert [row["exchange"] for row in account.get_all_positions()] == ["NASDAQ", "ELSEWHERE"]
    assert account.get_account()["cash"] == "12.34"
    assert [row["id"] for row in account.get_orders(GetOrdersRequest(status="closed"))] == [order]
    rows = account.get("/account/activities", {"direction": "asc"})
    assert [(row["activity_type"], row["qty"]) for row in rows] == [("OPASN", "1"), ("OPTRD", "-100")]


def test_the_account_outlives_a_restart_of_the_server(running_simulator: Simulators):
    server = running_simulator(silent())
    server.account.set_position("MSFT", 100, 487.2)
    server.stop()
    server.account.add_activity("OPEXP", AAPL_CALL, -1)
    server.start()

    account = trading(server)
    assert [row["symbol"] for row in account.get_all_positions()] == ["MSFT"]
    assert [row["symbol"] for row in account.get("/account/activities")] == [AAPL_CALL]


def test_pages_of_orders_follow_the_time_of_the_last(running_simulator: Simulators):
    server = running_simulator(silent(), faults=Faults(rest_page=2))
    times = [f"2026-11-20T14:0{minute}:00Z" for minute in range(5)]
    for at in times:
        server.account.add_order({"symbol": AAPL_CALL, "submitted_at": at})

    account = trading(server)
    pages = [account.get_orders(GetOrdersRequest(status="all", direction="asc"))]
    while page := account.get_orders(
        GetOrdersRequest(status="all", direction="asc", after=pages[-1][-1]["submitted_at"])
    ):
        pages.append(page)

    assert [row["submitted_at"] for page in pages for row in page] == times
    assert [len(page) for page in pages] == [2, 2, 1]


# What may go wrong.


def test_more_than_a_hundred_contracts_are_too_many(demo: SimulatorServer):
    symbols = [f"AAPL270115C{strike:08}" for strike in range(1_000, 102_000, 1_000)]

    with pytest.raises(APIError, match="at most 100") as refused:
        option_prices(demo).get_option_snapshot(OptionSnapshotRequest(symbol_or_symbols=symbols))

    assert refused.value.status_code == 400


@pytest.mark.parametrize("status", [401, 429, 500, 504])
def test_a_status_is_answered_with_the_time_to_ask_again(running_simulator: Simulators, status: int):
    server = running_simulator(silent(), faults=Faults(rest_status=status, rest_retry_after=2))

    answer = get(server, "/v2/positions")

    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "2")
    assert answer.json()["code"] == status * 100_000 + 10_000


def test_only_the_first_requests_for_one_address_may_go_wrong(running_simulator: Simulators):
    server = running_simulator(silent())
    server.set_faults(Faults(rest_status=500, rest_path="/v2/positions", rest_first_requests=2))

    paths = ["/v2/clock", "/v2/positions", "/v2/orders", "/v2/positions", "/v2/positions"]
    statuses = [get(server, path).status_code for path in paths]

    assert statuses == [200, 500, 200, 500, 200]
    assert server.requests == {"/v2/clock": 1, "/v2/orders": 1, "/v2/positions": 3}


def test_a_truncated_answer_is_no_json(running_simulator: Simulators):
    server = running_simulator(silent(), faults=Faults(rest_truncated=True))

    with pytest.raises(requests.JSONDecodeError):
        trading(server).get_account()


def test_a_null_greek_and_an_unknown_exchange_are_too_much_for_the_sdk_s_models(demo: SimulatorServer):
    """Which is why nobody should read with them."""
    contract = OptionSnapshotRequest(symbol_or_symbols=["AAPL270115C00275000"])
    demo.set_faults(Faults(rest_null_greek=True, rest_unknown_exchange=True))
    try:
        with pytest.raises(ValidationError):
            option_prices(demo, raw=False).get_option_snapshot(contract)
        with pytest.raises(ValidationError):
            trading(demo, raw=False).get_all_positions()
        assert trading(demo).get_all_positions()[0]["exchange"] == "NOWHERE"
    finally:
        demo.set_faults(Faults())


def test_a_slow_answer_is_a_good_one_later(running_simulator: Simulators):
    server = running_simulator(silent(), faults=Faults(rest_slow=0.3))

    before = time.monotonic()
    answer = get(server, "/v2/clock")

    assert answer.status_code == 200
    assert time.monotonic() - before >= 0.3


@pytest.mark.parametrize("fault", [Faults(rest_hang=True), Faults(rest_slow=FOREVER)])
def test_a_request_that_hangs_ends_at_once_when_the_server_stops(
    running_simulator: Simulators, fault: Faults
):
    server = running_simulator(silent(), faults=fault)
    with ThreadPoolExecutor(max_workers=3) as clients:
        pending = [clients.submit(get, server, "/v2/clock", timeout=FOREVER) for _ in range(3)]
        wait_until(lambda: server.requests["/v2/clock"] == 3)

        server.stop()
        errors = [future.exception(timeout=AT_ONCE) for future in pending]

    assert all(isinstance(error, requests.ConnectionError) for error in errors)


def test_a_hanging_request_holds_up_no_other(running_simulator: Simulators):
    server = running_simulator(silent(), faults=Faults(rest_hang=True, rest_path="/v2/positions"))
    with pytest.raises(requests.Timeout):
        get(server, "/v2/positions", timeout=0.2)

    assert get(server, "/v2/clock").status_code == 200


def test_asking_from_many_threads_while_fills_come_loses_none(running_simulator: Simulators):
    server = running_simulator(silent())
    account = trading(server)

    def ask(_: int) -> int:
        return len(account.get("/account/activities", {"direction": "asc"}))

    with ThreadPoolExecutor(max_workers=4) as clients:
        pending = clients.map(ask, range(12))
        for number in range(50):
            server.push(FILLS, [order_update(order_id=f"order-{number}", execution_id=str(number))])
        seen = list(pending)

    assert max(seen) <= 50
    assert all(row["qty"] == "2" for row in account.get("/account/activities"))
    assert [row["qty"] for row in account.get_all_positions()] == ["100"]
    numbers = [int(row["order_id"][6:]) for row in account.get("/account/activities", {"direction": "asc"})]
    assert all(earlier < later for earlier, later in pairwise(numbers))


def test_a_put_that_is_sold_takes_its_strike_of_the_buying_power_and_brings_cash(
    running_simulator: Simulators,
):
    """As at Alpaca, whose options buying power is net of collateral."""
    server = running_simulator(silent())
    account, put = trading(server), "NVDA261218P00190000"
    server.account.set_cash("20000")

    def money() -> tuple[str, str]:
        told = account.get_account()
        assert told["buying_power"] == told["options_buying_power"]
        return told["cash"], told["options_buying_power"]

    before = money()
    server.account.set_position(put, -1, "2.5")
    server.account.set_cash("20250")
    secured = money()
    server.account.set_position("NVDA261218P00185000", 1, "1.5")
    spread = money()
    server.account.set_position("NVDA261218P00185000", 0, "1.5")
    server.account.set_cash("300")

    assert (before, secured, spread) == (("20000", "20000"), ("20250", "1250"), ("20250", "19750"))
    assert money() == ("300", "0")  # never below it, as Alpaca tells it


def test_shares_sold_short_and_a_naked_call_take_of_the_buying_power_too(running_simulator: Simulators):
    """Their proceeds are cash, and stood there as if they were free."""
    server = running_simulator(silent())
    account, call = trading(server), "NVDA261218C00190000"
    server.account.set_cash("100000")

    def free() -> float:
        return float(account.get_account()["options_buying_power"])

    before = free()
    server.account.set_position("AAPL", -100, "200")
    at_cost = free()
    server.push(StreamName.STOCKS, [trade_message("AAPL", 300, at_ns=NOW)])
    at_price = free()
    server.account.set_position(call, -1, "2.5")

    assert (before, at_cost, at_price) == (100_000, 70_000, 55_000)
    assert at_price - free() == 19_000, "NVDA has no price here: at its strike"
