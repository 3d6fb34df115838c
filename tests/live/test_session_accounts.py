"""A run of several accounts: prices once, each account's fills and positions by its own keys, and nothing shared."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import pytest
from pydantic import SecretStr

from options_helper.analysis.book_look import BookLook
from options_helper.bus.accounts import alerts_key
from options_helper.bus.address import BusAddress, bus_environment, bus_of
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.errors import ConfigError
from options_helper.live.account_book import ACCOUNT_FILE, PortfolioSource
from options_helper.live.alerts_view import AlertsReader, judging
from options_helper.live.further_accounts import FurtherAccount
from options_helper.live.session import LOG_NOT_KNOWN, LiveSession, RunSettings
from options_helper.model.account import AccountPositions, AccountState, RestPhase, RestReport, RestTask
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import DeskRemarks, LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import DEFAULT_ACCOUNT, fills_of
from options_helper.monitoring.heartbeat_file import read_heartbeat
from options_helper.settings import Settings
from tests.kit.builders import AS_OF, quote, snapshot_with
from tests.kit.waiting import AT_ONCE, until_no_thread
from tests.portal.scenes import account_position

MAIN = Settings(api_key=SecretStr("main"), api_secret=SecretStr("s"), account="main")
IRA = replace(MAIN, api_key=SecretStr("ira"), account="ira", data_account=MAIN)
ACCOUNT = RunSettings(source=PortfolioSource.ACCOUNT, further=("ira",))


HIGH = """
[[rules]]
name = "AAPL high"
subject = "underlying:AAPL"
figure = "price"
operator = "above"
level = 150
"""

UNHEARD = """
[[rules]]
name = "unheard"
subject = "stream:stocks"
figure = "phase"
operator = "is"
level = "failed"
"""


class AccountManager:
    """Says what the account holds; its time moves with each look."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.account = AccountState()
        self.configs: list[LiveStreamConfig] = []
        self.is_running = False
        self.refuses: ConfigError | None = None
        self.seconds = 0.0
        self.desk: DeskRemarks | None = None
        self.price = 200.0
        self.phase = Phase.LIVE  # of the prices

    def start(self, config: LiveStreamConfig) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.configs.append(config)
        self.is_running = True

    def stop(self) -> None:
        self.is_running = False

    def hold(self, held: dict[str, int]) -> None:
        reports = {task: RestReport(task, RestPhase.DONE, finished_at=AS_OF) for task in RestTask}
        positions = {
            symbol: replace(
                account_position(symbol, Decimal(count)),
                average_price=Decimal(100),
                cost_basis=Decimal(100 * count),
            )
            for symbol, count in held.items()
        }
        self.account = AccountState(reports=reports, view=AccountPositions(AS_OF, positions, Decimal(0)))

    def snapshot(self) -> LiveSnapshot:
        self.seconds += 1
        shown = snapshot_with(
            quote("AAPL", self.price - 0.1, self.price + 0.1),
            quote("MSFT", 499.9, 500.1),
            as_of=AS_OF + timedelta(seconds=self.seconds),
            running=self.is_running,
        )
        own = fills_of(self.settings.account)
        streams = {
            name: replace(one, phase=self.phase)
            for name, one in shown.streams.items()
            if not name.kind.carries_orders
        }
        return replace(
            shown,
            account=self.account,
            streams=MappingProxyType({**streams, own: StreamHealth(own, Phase.LIVE)}),
            desk=self.desk,
        )


class NotingAlerts(AlertsReader):
    """Notes whose alerts it follows, and what is judged."""

    def __init__(self) -> None:
        super().__init__(lambda: 0.0)
        self.follows: list[str] = []
        self.keys: list[str | None] = []
        self.judged: list[dict[str, int] | None] = []  # None: without a book
        self.without_book: list[bool] = []  # whether nothing is told of rules that need one
        self.remark: str | None = None
        self.earlier: str | None = None  # under what they were kept before
        self.stopped = False

    def follow(
        self,
        settings: Settings,
        portfolio: Path | None,
        now: datetime,
        account: str | None = None,
        remark: str | None = None,
        *,
        earlier: str | None = None,
    ) -> None:
        self.remark, self.earlier = remark, earlier
        self.follows.append(settings.account)
        self.keys.append(account)

    def observe(
        self,
        portfolio: Portfolio | None,
        snapshot: LiveSnapshot,
        now: datetime,
        look: Callable[[Portfolio], BookLook],
        *,
        without_book: bool = False,
    ) -> None:
        assert not snapshot.accounts, "one account's snapshot, and no whole"
        self.without_book.append(without_book)
        if portfolio is None:
            self.judged.append(None)
            return
        assert look(portfolio).positions.values("live_symbol") == list(portfolio.quantities)
        self.judged.append({symbol: int(count) for symbol, count in portfolio.quantities.items()})

    def stop(self) -> None:
        self.stopped = True


class Stage:
    """A session whose accounts are scripted."""

    def __init__(self, folder: Path) -> None:
        self.managers: dict[str, AccountManager] = {}
        self.refused: dict[str, ConfigError] = {}
        self.heartbeat = folder / "heartbeat.json"
        self.seconds = 1_000.0
        self.alerts: list[NotingAlerts] = []
        self.session = LiveSession(
            build_manager=self._build,
            alerts=self._reader(),
            further_alerts=self._reader,
            monotonic=lambda: self.seconds,
            now=lambda: AS_OF,
            housekeeping_seconds=3_600,
            heartbeat=self.heartbeat,
        )

    def _reader(self) -> AlertsReader:
        self.alerts.append(NotingAlerts())
        return self.alerts[-1]

    def _build(self, settings: Settings) -> AccountManager:
        made = self.managers[settings.account] = AccountManager(settings)
        made.refuses = self.refused.get(settings.account)
        return made

    def start(self, *further: FurtherAccount, choices: RunSettings = ACCOUNT) -> None:
        self.session.start(ACCOUNT_FILE, choices, MAIN, further or (FurtherAccount("ira", IRA),))

    def hold(self, account: str, **shares: int) -> None:
        self.managers[account].hold(shares)

    @property
    def held(self) -> dict[str, dict[str, int] | None]:
        run = self.session.run
        assert run is not None
        return {
            name: None if book is None else {symbol: int(count) for symbol, count in book.quantities.items()}
            for name, book in run.portfolios.items()
        }


@pytest.fixture
def stage(tmp_path: Path):
    stage = Stage(tmp_path)
    yield stage
    stage.session.stop()


def test_the_further_account_has_fills_alone_and_the_first_streams_what_both_hold(stage: Stage):
    stage.start()
    stage.hold("main", AAPL=10)
    stage.hold("ira", AAPL=5, MSFT=3)

    stage.session.keep()

    main, ira = stage.managers["main"], stage.managers["ira"]
    assert ira.settings is IRA
    (config, *_) = ira.configs
    assert (config.stream_stocks, config.stream_options, config.stream_fills) == (False, False, True)
    assert not config.stocks
    assert set(main.configs[-1].stocks) == {"AAPL", "MSFT"}
    assert stage.held == {"main": {"AAPL": 10}, "ira": {"AAPL": 5, "MSFT": 3}}


def test_each_part_is_the_accounts_own_and_quantities_stay_apart(stage: Stage):
    stage.start()
    stage.hold("main", AAPL=10)
    stage.hold("ira", AAPL=5)

    snapshot = stage.session.snapshot()
    assert snapshot is not None
    parts = stage.session.parts(snapshot, ACCOUNT_FILE)

    assert [part.account for part in parts] == ["main", "ira"]
    assert [part.portfolio.quantities["AAPL"] for part in parts if part.portfolio] == [10, 5]
    assert parts[0].looks is not parts[1].looks


def test_who_has_one_account_has_one_run_and_no_parts(stage: Stage):
    stage.session.start(ACCOUNT_FILE, replace(ACCOUNT, further=()), MAIN)

    snapshot = stage.session.snapshot()
    assert snapshot is not None
    assert not snapshot.accounts
    assert stage.session.parts(snapshot, ACCOUNT_FILE) == ()
    assert list(stage.managers) == ["main"]


@pytest.mark.parametrize("how", ["no settings", "no manager"])
def test_an_account_that_cannot_be_asked_costs_the_others_nothing_and_says_why(stage: Stage, how: str):
    said = "env_file ira.env is not there."
    if how == "no settings":
        stage.start(FurtherAccount("ira", problem=said))
    else:
        stage.refused["ira"] = ConfigError(said)
        stage.start()
    stage.hold("main", AAPL=10)

    stage.session.keep()
    snapshot = stage.session.snapshot()

    assert snapshot is not None
    assert stage.session.running
    assert stage.held == {"main": {"AAPL": 10}, "ira": None}
    assert snapshot.accounts["ira"].account.reports[RestTask.POSITIONS].problem == said
    assert snapshot.accounts["main"].account.view is not None


def test_the_alerts_of_all_accounts_end_together(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    """Each may take a second, for a message that is on its way; nobody else can press anything meanwhile."""
    stage.start()
    together = threading.Barrier(2, timeout=AT_ONCE)
    for reader in stage.alerts:
        monkeypatch.setattr(reader, "stop", together.wait)

    stage.session.stop()

    assert not together.broken
    for reader in stage.alerts:
        monkeypatch.setattr(reader, "stop", lambda: None)


def test_a_stop_ends_all_and_what_was_known_last_stays(stage: Stage):
    stage.start()
    stage.hold("main", AAPL=10)
    stage.hold("ira", MSFT=3)
    stage.session.keep()

    stage.session.stop()

    assert not any(one.is_running for one in stage.managers.values())
    snapshot = stage.session.snapshot()
    assert snapshot is not None
    held = [part.portfolio for part in stage.session.parts(snapshot, ACCOUNT_FILE)]
    assert [list(book.quantities) if book else None for book in held] == [["AAPL"], ["MSFT"]]


def test_a_start_without_it_ends_the_further_account_alone(stage: Stage):
    stage.start()
    ira = stage.managers["ira"]

    stage.session.start(ACCOUNT_FILE, replace(ACCOUNT, further=()), MAIN)

    assert not ira.is_running
    assert stage.managers["main"].is_running


def test_another_start_of_the_same_leaves_what_runs_and_tries_again_what_failed(stage: Stage):
    stage.refused["ira"] = ConfigError("The key is missing.")
    stage.start()
    main = stage.managers["main"]
    stage.refused.clear()

    stage.start()

    assert stage.managers["main"] is main
    assert stage.managers["ira"].is_running
    snapshot = stage.session.snapshot()
    assert snapshot is not None
    assert snapshot.accounts["ira"].account.reports[RestTask.POSITIONS].problem is None


def test_the_line_is_kept_for_each_account_and_for_all_and_one_that_is_not_known_lacks_in_it(stage: Stage):
    stage.start()
    stage.hold("main", AAPL=10)
    stage.session.keep()
    *_, first = stage.session.history().points
    assert (first.counted, first.positions) == (1, 2), "of ira nothing is known"

    stage.hold("ira", MSFT=3)
    stage.seconds += 60
    stage.session.keep()

    *_, last = stage.session.history().points
    by_account = [stage.session.history(name).points for name in ("main", "ira")]
    assert last.pnl == pytest.approx(sum(points[-1].pnl for points in by_account))
    assert (last.counted, last.positions) == (2, 2)
    assert last.segment != first.segment or last.book != first.book
    assert set(stage.session.history().trends) == {"main/aapl-shares", "ira/msft-shares"}
    assert [stage.session.changes(name) is not None for name in ("main", "ira", "")] == [True, True, False]


def test_what_becomes_of_its_contracts_is_asked_of_the_account_that_holds_them(stage: Stage):
    stage.start()
    stage.hold("main", AAPL=10)
    stage.hold("ira", AAPL261218C00180000=2)

    stage.session.keep()

    assert stage.managers["ira"].configs[-1].ending_contracts == ("AAPL261218C00180000",)
    assert stage.managers["main"].configs[-1].ending_contracts == ()
    assert stage.managers["main"].configs[-1].option_contracts == ("AAPL261218C00180000",)


def test_new_keys_do_not_forget_which_contracts_end(stage: Stage):
    """The new run holds what the one before held: the book is unchanged."""
    stage.start()
    stage.hold("ira", AAPL261218C00180000=-1)
    stage.session.keep()
    before = stage.managers["ira"]

    stage.start(FurtherAccount("ira", replace(IRA, api_key=SecretStr("new"))))
    stage.hold("ira", AAPL261218C00180000=-1)
    stage.session.keep()

    assert stage.managers["ira"] is not before
    assert stage.managers["ira"].configs[-1].ending_contracts == ("AAPL261218C00180000",)


def test_rules_are_judged_of_each_account_by_itself_and_end_with_it(stage: Stage):
    stage.start()
    stage.hold("main", AAPL=10)
    stage.hold("ira", MSFT=3)
    stage.session.keep()

    main, ira = stage.alerts

    assert (main.follows, ira.follows) == (["main"], ["ira"])
    assert main.judged[-1] == {"AAPL": 10}
    assert ira.judged[-1] == {"MSFT": 3}
    stage.session.stop()
    assert ira.stopped


def on_desk(*accounts: str, problem: str | None = None) -> DeskRemarks:
    return DeskRemarks("the desk home", (), accounts, accounts[0], account_problem=problem)


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> BusAddress:
    """The one that the page is led to."""
    for name, value in bus_environment(BusAddress.parse("127.0.0.1:4333", "home")).items():
        monkeypatch.setenv(name, value)
    return bus_of_here()


def test_over_a_bus_alerts_are_kept_by_desk_and_account_and_the_desks_own_without_its_name(
    stage: Stage, bus: BusAddress
):
    """In one log each, whenever the page learns which account is the desk's own."""
    stage.start()
    assert [one.keys for one in stage.alerts] == [
        [alerts_key(bus, "main", None)],
        [alerts_key(bus, "ira", None)],
    ], "which one is the desk's own nobody has said"
    assert [one.remark for one in stage.alerts] == [LOG_NOT_KNOWN] * 2
    stage.hold("main", AAPL=10)
    stage.session.keep()
    assert [one.judged for one in stage.alerts] == [[None], [None]], "that nobody is heard is judged, too"
    assert [one.without_book for one in stage.alerts] == [[True], [True]], "what else cannot be, is not told"

    for manager in stage.managers.values():
        manager.desk = on_desk("main", "ira")
    stage.session.keep()

    assert stage.session.desk_accounts == ("main", "ira")
    main, ira = stage.alerts[0], stage.alerts[-1]
    assert (main.remark, ira.remark) == (None, None)
    assert main.keys[1:] == [alerts_key(bus, DEFAULT_ACCOUNT, None)], "as a watch without a name"
    assert ira.keys == [alerts_key(bus, "ira", "main")] == [alerts_key(bus, "ira", None)]
    assert (main.earlier, ira.earlier) == (alerts_key(bus, "main", None), None)
    stage.session.keep()
    assert len(main.keys) == 2, "once"


@pytest.mark.usefixtures("bus")
def test_over_a_bus_the_desks_own_account_without_a_name_has_its_log_from_the_start(stage: Stage):
    stage.session.start(ACCOUNT_FILE, replace(ACCOUNT, further=()), Settings())

    assert len(stage.alerts[0].keys) == 1
    stage.managers[DEFAULT_ACCOUNT].desk = on_desk("main", "ira")
    stage.session.keep()
    assert len(stage.alerts[0].keys) == 1


@pytest.mark.usefixtures("bus")
@pytest.mark.parametrize("settings", [MAIN, IRA], ids=["the desk's own", "another"])
def test_over_a_bus_that_the_log_is_known_is_noticed_also_where_it_is_the_same_as_before(
    stage: Stage, settings: Settings
):
    stage.session.start(ACCOUNT_FILE, replace(ACCOUNT, further=()), settings)
    reader = stage.alerts[0]
    assert [one.remark for one in stage.alerts] == [LOG_NOT_KNOWN]

    stage.managers[settings.account].desk = on_desk("main", "ira")
    stage.hold(settings.account, MSFT=3)
    stage.session.keep()

    assert reader.remark is None
    assert reader.judged == [{"MSFT": 3}]
    assert reader.without_book == [False]
    stage.session.keep()
    assert len(reader.keys) == 2, "once"


@pytest.mark.usefixtures("bus")
def test_over_a_bus_what_fires_is_in_one_log_whenever_the_page_learns_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What stood in another log before would be told once more, and not be there for whoever reads."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("OH_ALERT_RULES", str(tmp_path / "alerts.toml"))
    (tmp_path / "alerts.toml").write_text(HIGH)
    manager = AccountManager(MAIN)
    session = LiveSession(
        build_manager=lambda _: manager,
        alerts=AlertsReader(lambda: 0.0, judging=judging),
        housekeeping_seconds=3_600,
    )
    try:
        session.start(ACCOUNT_FILE, replace(ACCOUNT, further=()), MAIN)
        for desk in (None, on_desk("main", "ira")):
            manager.desk = desk
            for price in (100.0, 200.0):
                manager.hold({"AAPL": 10})
                manager.price = price
                session.keep()
        fired = [one.firing.rule for one in session.alerts().firings]
    finally:
        session.stop()
        until_no_thread("live-alerts")

    assert fired == ["AAPL high"]
    written = [log.read_text().count('"rule":"AAPL high"') for log in tmp_path.rglob("*.jsonl")]
    assert sum(count > 0 for count in written) == 1


@pytest.mark.usefixtures("bus")
def test_over_a_bus_what_fired_before_the_page_knew_its_log_is_shown_and_acknowledged_there_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It was sent, so whoever looks for it finds it, whatever its log; also when the page is opened anew."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("OH_ALERT_RULES", str(tmp_path / "alerts.toml"))
    (tmp_path / "alerts.toml").write_text(UNHEARD)
    manager = AccountManager(MAIN)

    def opened() -> LiveSession:
        reader = AlertsReader(lambda: 0.0, judging=judging)
        return LiveSession(build_manager=lambda _: manager, alerts=reader, housekeeping_seconds=3_600)

    def fired(session: LiveSession) -> list[tuple[str, bool]]:
        return [(one.firing.rule, one.acknowledged_at is None) for one in session.alerts().firings]

    session, again = opened(), opened()
    try:
        session.start(ACCOUNT_FILE, replace(ACCOUNT, further=()), MAIN)
        for phase in (Phase.LIVE, Phase.FAILED):
            manager.phase = phase
            session.keep()
        assert fired(session) == [("unheard", True)]

        manager.desk = on_desk("main", "ira")
        session.keep()
        assert session.desk_accounts == ("main", "ira")
        assert fired(session) == [("unheard", True)]

        session.acknowledge(session.alerts().firings[0].firing.key)
        assert fired(session) == [("unheard", False)]
        session.stop()

        again.start(ACCOUNT_FILE, replace(ACCOUNT, further=()), MAIN)
        again.keep()
        assert fired(again) == [("unheard", False)]
    finally:
        session.stop()
        again.stop()
        until_no_thread("live-alerts")


def bus_of_here() -> BusAddress:
    address = bus_of(os.environ)
    assert address is not None
    return address


@pytest.mark.parametrize("lost", ["main", "ira"])
def test_over_a_bus_what_is_not_to_be_believed_of_an_account_is_no_part_of_the_whole(stage: Stage, lost: str):
    stage.start()
    stage.hold("main", AAPL=10)
    stage.hold("ira", MSFT=3)
    stage.session.keep()
    stage.managers[lost].account = AccountState()
    stage.managers[lost].desk = on_desk("main", "ira", problem="The owner has not told of it.")

    snapshot = stage.session.snapshot()
    assert snapshot is not None
    parts = {part.account: part for part in stage.session.parts(snapshot, stage.session.run.portfolio_file)}  # type: ignore[union-attr]

    assert parts[lost].portfolio is None, "what it held before is not what it holds"
    assert parts[{"main": "ira", "ira": "main"}[lost]].portfolio is not None


def test_of_an_account_that_is_not_known_is_judged_what_needs_no_book(stage: Stage):
    stage.start()
    stage.hold("main", AAPL=10)
    stage.session.keep()

    main, ira = stage.alerts

    assert main.judged[-1] == {"AAPL": 10}
    assert ira.judged == [None]


def test_the_heartbeat_tells_of_every_accounts_stream(stage: Stage):
    stage.start()
    stage.session.stop()

    beat = read_heartbeat(stage.heartbeat)

    assert beat is not None
    assert {"alpaca/main/fills", "alpaca/ira/fills", "stocks"} <= set(beat.streams)
