"""The contracts of an underlying, asked through the real SDK from the simulator's plain HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from options_helper.data.rest.option_contracts import Chain, ContractFilter, ContractFinder, ExpirySpan
from options_helper.data.rest.rate_limit import RestPolicy
from options_helper.errors import ConfigError
from options_helper.model.alpaca_symbols import contract_symbol
from options_helper.model.portfolio import load_portfolio
from options_helper.settings import DEMO_KEY, DEMO_SECRET, Settings
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import Market, SilentMarket
from options_helper.simulator.market.replay import ReplayMarket
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.recordings import record_spxw_quotes
from tests.wire.test_engine import NOON

TODAY = date(2026, 3, 20)
WEEKS = [TODAY + timedelta(weeks=number) for number in range(4)]
STRIKES = range(80, 121)
CHAIN = tuple(
    contract_symbol("AAPL", expiry, side, strike)
    for expiry in WEEKS
    for strike in STRIKES
    for side in ("call", "put")
)

EVERYTHING = ContractFilter()

Simulators = Callable[..., SimulatorServer]


def market(contracts: tuple[str, ...] = CHAIN, **prices: float) -> SilentMarket:
    return SilentMarket(start_ns=NOON, contracts=contracts, prices=prices or {"AAPL": 100.0})


def find(
    server: SimulatorServer,
    underlying: str = "AAPL",
    wanted: ContractFilter = EVERYTHING,
    *,
    key: str = DEMO_KEY,
    **options: object,
) -> Chain:
    settings = Settings(
        api_key=SecretStr(key),
        api_secret=SecretStr(DEMO_SECRET),
        base_url=server.rest_url,
        data_url=server.rest_url,
    )
    with ContractFinder(settings, **options) as finder:
        return finder.find(underlying, wanted)


@pytest.fixture
def chain_server(running_simulator: Simulators) -> SimulatorServer:
    return running_simulator(market())


def test_every_page_is_followed(chain_server: SimulatorServer):
    chain = find(chain_server, page_size=50)

    assert {contract.symbol for contract in chain.contracts} == set(CHAIN)
    assert chain_server.requests["/v2/options/contracts"] == -(-len(CHAIN) // 50)


def test_the_nearest_expiry_comes_first_and_in_it_what_is_nearest_the_money(chain_server: SimulatorServer):
    chain = find(chain_server)

    assert chain.price == 100
    assert [contract.expiry for contract in chain.contracts] == sorted(
        contract.expiry for contract in chain.contracts
    )
    assert [contract.strike for contract in chain.contracts[:6]] == [100, 100, 99, 99, 101, 101]


def test_far_strikes_and_other_expiries_are_left_out(chain_server: SimulatorServer):
    wanted = ContractFilter((ExpirySpan(WEEKS[1], WEEKS[2]),), moneyness=0.1)

    chain = find(chain_server, "AAPL", wanted)

    assert {contract.expiry for contract in chain.contracts} == set(WEEKS[1:3])
    assert {contract.strike for contract in chain.contracts} == set(range(90, 111))


def test_between_two_named_days_nothing_else_is_taken(chain_server: SimulatorServer):
    days = (ExpirySpan(WEEKS[0], WEEKS[0]), ExpirySpan(WEEKS[3], WEEKS[3]))

    chain = find(chain_server, "AAPL", ContractFilter(days))

    assert {contract.expiry for contract in chain.contracts} == {WEEKS[0], WEEKS[3]}


def test_an_expired_contract_is_not_asked_for(running_simulator: Simulators):
    gone = contract_symbol("AAPL", TODAY - timedelta(weeks=1), "call", 100)
    chain = find(running_simulator(market((gone, *CHAIN))))

    assert gone not in {contract.symbol for contract in chain.contracts}


@pytest.mark.parametrize(
    ("underlying", "wanted", "says"),
    [
        ("MSFT", ContractFilter(), "lists no contract of it"),
        ("MSFT", ContractFilter(moneyness=0.1), "--moneyness all"),
        ("AAPL", ContractFilter((ExpirySpan(date(2030, 1, 1)),)), "Widen them"),
        ("AAPL", ContractFilter((ExpirySpan(TODAY + timedelta(1), TODAY + timedelta(2)),)), "Widen them"),
    ],
)
def test_an_underlying_without_contracts_is_named(
    chain_server: SimulatorServer, underlying: str, wanted: ContractFilter, says: str
):
    with pytest.raises(ConfigError, match=says) as refused:
        find(chain_server, underlying, wanted)

    assert underlying in str(refused.value)


def test_refused_keys_are_said_to_be_and_not_shown(chain_server: SimulatorServer):
    with pytest.raises(ConfigError, match="APCA_API_KEY_ID") as refused:
        find(chain_server, key="another-key")

    assert "another-key" not in str(refused.value)


def test_a_server_that_does_not_answer_is_not_waited_for(running_simulator: Simulators):
    server = running_simulator(market(), faults=Faults(rest_slow=5))

    with pytest.raises(ConfigError, match=r"AAPL .*did not answer in time"):
        find(server, policy=RestPolicy(read_seconds=0.2, attempts=1))


def test_a_server_that_is_not_there_is_said_to_be_out_of_reach(running_simulator: Simulators):
    server = running_simulator(market())
    server.stop()

    with pytest.raises(ConfigError, match="cannot be reached"):
        find(server, policy=RestPolicy(attempts=1))


def test_a_simulated_market_lists_what_its_portfolio_holds(repository: Path, running_simulator: Simulators):
    portfolio = load_portfolio(repository / "portfolio.json")
    chain = find(running_simulator(SeededMarket(portfolio)), "SPY")

    held = {item.live_symbol for item in portfolio.instruments if item.is_option and item.underlying == "SPY"}
    assert {contract.symbol for contract in chain.contracts} == held
    assert chain.price


def test_a_replay_lists_what_was_recorded(real_data: Path, tmp_path: Path, running_simulator: Simulators):
    record_spxw_quotes(real_data, tmp_path, until="2018-01-05 09:32:00")
    replay: Market = ReplayMarket(tmp_path, speed=0)
    recorded = {path.name for path in (tmp_path / "options" / "quotes" / "tick").iterdir()}

    chain = find(running_simulator(replay), "SPX")

    assert {contract.symbol for contract in chain.contracts} == recorded
