"""Two accounts through the real clients: nothing of one changes the other, and prices come with the keys of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from options_helper.cli import app
from options_helper.data.accounts_file import Accounts, load_accounts
from options_helper.data.sdk_import import load_sdk
from options_helper.data.streaming.alpaca_stream import AlpacaOptionStreamer, AlpacaStockStreamer
from options_helper.data.streaming.alpaca_trading_stream import AlpacaTradingStreamer
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.errors import ConfigError
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.portfolio import load_portfolio
from options_helper.model.snapshot import LiveSnapshot, Phase
from options_helper.model.streams import StreamName, fills_of
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from options_helper.simulator.wire.protocol import Limits
from tests.kit.waiting import FOREVER, until_no_thread, wait_until
from tests.wire.test_account_watch import ONE_TRY, SOON, fill, until_done
from tests.wire.test_engine import CALL, CONFIG, NOON, PATIENT, quote

STOCKS, OPTIONS, FILLS = StreamName.STOCKS, StreamName.OPTIONS, StreamName.FILLS
IRA_KEY, IRA_SECRET, WRONG = "AKIRA000000000000002", "secretOfIra", "wrong"
FILLS_ALONE = replace(CONFIG, stocks=(), option_contracts=())

Simulators = Callable[..., SimulatorServer]


def accounts_at(
    folder: Path, data: SimulatorServer, broker: SimulatorServer | None = None, ira_secret: str = IRA_SECRET
) -> Accounts:
    """`main`, which has the market data, and `ira`, whose broker may be another one."""
    (folder / "ira.env").write_text(
        f"APCA_API_KEY_ID={IRA_KEY}\nAPCA_API_SECRET_KEY={ira_secret}\n"
        f"APCA_API_BASE_URL={(broker or data).rest_url}\n"
    )
    file = folder / "accounts.toml"
    file.write_text(
        f'[accounts.main]\nmarket_data = true\nkey = "{DEMO_KEY}"\nsecret = "{DEMO_SECRET}"\npaper = true\n'
        '[accounts.ira]\nenv_file = "ira.env"\n'
    )
    file.chmod(0o600)
    addresses = {
        "APCA_API_BASE_URL": data.rest_url,
        "OH_ALPACA_STREAM_URL": data.stream_url,
        "OH_ALPACA_DATA_URL": data.rest_url,
    }
    return load_accounts(addresses, folder / "alpaca.env")


@contextmanager
def watching(
    accounts: Accounts, *names: str, config: LiveStreamConfig = CONFIG, watch: WatchPolicy = SOON
) -> Iterator[list[LiveStreamManager]]:
    """A started manager for each account."""
    managers = [
        LiveStreamManager(
            accounts.settings(name),
            stock_stream_cls=partial(AlpacaStockStreamer, timing=PATIENT),
            option_stream_cls=partial(AlpacaOptionStreamer, timing=PATIENT),
            trading_stream_cls=partial(AlpacaTradingStreamer, timing=PATIENT),
            rest_cls=ONE_TRY,
            watch=watch,
            retry=RetryPolicy(slow_base_seconds=0.1),
        )
        for name in names
    ]
    try:
        for manager in managers:
            manager.start(config)
        yield managers
    finally:
        for manager in managers:
            manager.stop()
        until_no_thread("live-")


def held(snapshot: LiveSnapshot) -> dict[str, Decimal]:
    view = snapshot.account.view
    return {} if view is None else {symbol: one.quantity for symbol, one in view.positions.items()}


def until_read(manager: LiveStreamManager) -> None:
    wait_until(
        lambda: manager.snapshot().account.view is not None, saw=lambda: manager.snapshot().account.reports
    )


def until_heard(manager: LiveStreamManager, account: str) -> None:
    wait_until(
        lambda: manager.snapshot().streams[fills_of(account)].connections,
        saw=lambda: manager.snapshot().streams,
    )


def until_executed(manager: LiveStreamManager, quantities: dict[str, int]) -> LiveSnapshot:
    """A snapshot that has the fills and what they made of the positions, and in which no moment is in doubt."""

    def executed() -> LiveSnapshot | None:
        now = manager.snapshot()
        return now if now.fills and now.account.executions and held(now) == quantities else None

    found = wait_until(executed, saw=lambda: manager.snapshot().account)
    assert found is not None
    return found


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """What is loaded once may take as long as it does; what is awaited begins after it."""
    load_sdk()


@pytest.fixture
def simulator(running_simulator: Simulators) -> SimulatorServer:
    # Both runs have market data of the one account, which Alpaca would not allow at once.
    return running_simulator(
        SilentMarket(start_ns=NOON), accounts={IRA_KEY: IRA_SECRET}, limits=Limits(one_connection=False)
    )


def test_what_is_filled_and_held_in_one_account_is_not_in_the_other(
    simulator: SimulatorServer, tmp_path: Path
):
    simulator.account.set_position("MSFT", 7, 400)
    simulator.account_of(IRA_KEY).set_position(CALL, 3, 1)

    with watching(accounts_at(tmp_path, simulator), "main", "ira", config=FILLS_ALONE) as (main, ira):
        for manager, name in ((main, "main"), (ira, "ira")):
            until_read(manager)
            until_heard(manager, name)
        simulator.push(FILLS, [fill("e1", 2, 2)], account=IRA_KEY)
        until_executed(ira, {CALL: 5})
        simulator.push(FILLS, [fill("e2", 1, 1, symbol="MSFT", price="400")])
        snapshots = until_executed(main, {"MSFT": 8}), until_executed(ira, {CALL: 5})

    assert [{one.symbol for one in snapshot.fills} for snapshot in snapshots] == [{"MSFT"}, {CALL}]
    assert [held(snapshot) for snapshot in snapshots] == [{"MSFT": 8}, {CALL: 5}]
    assert [{one.symbol for one in snapshot.account.executions} for snapshot in snapshots] == [
        {"MSFT"},
        {CALL},
    ]
    for snapshot, name in zip(snapshots, ("main", "ira"), strict=True):
        health = snapshot.streams[fills_of(name)]
        assert (health.received, health.applied) == (1, 1)
        assert FILLS not in snapshot.streams
        assert health.accounted


def test_prices_come_with_the_keys_of_the_account_that_has_the_market_data(
    running_simulator: Simulators, tmp_path: Path
):
    """The one's broker does not know the other's keys, over no way."""
    data = running_simulator(SilentMarket(start_ns=NOON))
    broker = running_simulator(SilentMarket(start_ns=NOON), key=IRA_KEY, secret=IRA_SECRET)
    broker.account.set_position(CALL, 3, 1)
    data.push(OPTIONS, [quote(CALL, 4.2)])
    data.flush()

    with watching(accounts_at(tmp_path, data, broker), "ira") as (ira,):
        until_read(ira)
        until_heard(ira, "ira")
        wait_until(lambda: ira.snapshot().quotes.get(CALL), saw=ira.snapshot)
        wait_until(lambda: data.subscribed(STOCKS) == {"AAPL", "MSFT"})
        snapshot = ira.snapshot()

    assert held(snapshot) == {CALL: 3}
    assert snapshot.account.reports[RestTask.PRICES].problem is None
    assert (data.connections["/stream"], broker.connections["/stream"]) == (0, 1)
    assert (data.connections["/v2/iex"], broker.connections["/v2/iex"]) == (1, 0)


def test_a_named_account_is_asked_again_after_its_stream_was_away(simulator: SimulatorServer, tmp_path: Path):
    simulator.account_of(IRA_KEY).set_position(CALL, 3, 1)
    seldom = replace(SOON, poll=FOREVER)

    with watching(accounts_at(tmp_path, simulator), "ira", config=FILLS_ALONE, watch=seldom) as (ira,):
        until_read(ira)
        until_heard(ira, "ira")
        until_done(ira, RestTask.FILLS, RestTask.POSITIONS)
        simulator.account_of(IRA_KEY).set_position(CALL, 5, 1)
        simulator.disconnect_all(stream=FILLS)

        wait_until(lambda: held(ira.snapshot()) == {CALL: 5}, saw=lambda: ira.snapshot().account)


def test_refused_keys_of_one_account_cost_the_other_nothing(simulator: SimulatorServer, tmp_path: Path):
    simulator.account.set_position("MSFT", 7, 400)

    accounts = accounts_at(tmp_path, simulator, ira_secret=WRONG)
    with watching(accounts, "main", "ira", config=FILLS_ALONE) as (main, ira):
        until_read(main)
        until_heard(main, "main")
        wait_until(
            lambda: ira.snapshot().streams[fills_of("ira")].phase is Phase.FAILED,
            saw=lambda: ira.snapshot().streams,
        )
        wait_until(lambda: ira.snapshot().account.reports[RestTask.POSITIONS].phase is RestPhase.FAILED)
        simulator.push(FILLS, [fill("e2", 1, 1, symbol="MSFT", price="400")])
        wait_until(lambda: held(main.snapshot()) == {"MSFT": 8})
        snapshots = main.snapshot(), ira.snapshot()

    assert snapshots[0].streams[fills_of("main")].last_error is None
    assert snapshots[0].account.reports[RestTask.POSITIONS].problem is None
    assert snapshots[1].account.view is None


@pytest.fixture
def command(
    simulator: SimulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """The program in a folder with both accounts: `main` holds 7 MSFT, `ira` 3 calls."""
    # Beside the file of keys, which is hidden from every test.
    accounts_at(tmp_path, simulator)
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "APCA_API_BASE_URL": simulator.rest_url,
        "OH_ALPACA_STREAM_URL": simulator.stream_url,
        "OH_ALPACA_DATA_URL": simulator.rest_url,
    }.items():
        monkeypatch.setenv(name, value)
    simulator.account.set_position("MSFT", 7, 400)
    simulator.account_of(IRA_KEY).set_position(CALL, 3, 1)
    return lambda *arguments: CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_each_accounts_file_is_written_and_compared_with_its_own_account(
    command: Callable[..., Result], tmp_path: Path
):
    command("portfolio", "import", "--account-name", "ira", "--out", "ira.json")
    command("portfolio", "import", "--out", "main.json")

    files = [load_portfolio(tmp_path / f"{name}.json") for name in ("main", "ira")]
    assert [
        (file.account, {symbol: int(held) for symbol, held in file.quantities.items()}) for file in files
    ] == [
        ("main", {"MSFT": 7}),
        ("ira", {CALL: 3}),
    ]
    # The file says whose it is, so nothing else has to.
    for name in ("main", "ira"):
        said = command("portfolio", "reconcile", f"{name}.json")
        assert said.exit_code == 0, said.output
    with pytest.raises(ConfigError, match=r"ira\.json is of the account 'ira', and 'main' was asked for"):
        command("portfolio", "reconcile", "ira.json", "--account-name", "main")


def test_risk_and_today_look_at_the_account_that_is_named(command: Callable[..., Result]):
    for name in ("risk", "today"):
        said = {
            account: command(name, "--account", "--account-name", account, "--json").stdout
            for account in ("main", "ira")
        }

        assert ("MSFT" in said["main"], "MSFT" in said["ira"]) == (True, False)
        assert ("AAPL" in said["main"], "AAPL" in said["ira"]) == (False, True)


def test_market_data_alone_are_recorded_with_the_keys_of_the_account_that_has_them(
    command: Callable[..., Result], simulator: SimulatorServer, tmp_path: Path
):
    """A recording is nobody's: its streams are called as if there were one account."""
    said = command(
        "stream", "capture", "--stocks", "AAPL", "--out", str(tmp_path / "days"), "--duration", "2s"
    )

    assert said.exit_code == 0, said.output
    assert simulator.connections["/v2/iex"] == 1
    assert simulator.connections["/stream"] == 0
    assert "Traceback" not in said.output
