"""One run for the whole process: what tabs, reloads and idle hours may and may not do to it."""

from __future__ import annotations

import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from options_helper.data.portfolio_file import PortfolioFile, open_portfolio_file
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.errors import ConfigError
from options_helper.live.pnl_history import Measure
from options_helper.live.session import (
    LiveSession,
    RunSettings,
    install_session,
    process_session,
)
from options_helper.model.snapshot import LiveSnapshot
from options_helper.monitoring.heartbeat import RunState
from options_helper.monitoring.heartbeat_file import read_heartbeat
from options_helper.settings import Settings
from tests.kit.builders import AS_OF, snapshot_with
from tests.kit.waiting import until_no_thread, wait_until


class ScriptedManager:
    """Keeps account of what it is told; its snapshots move one second at a time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.config: LiveStreamConfig | None = None
        self.runs: list[LiveStreamConfig] = []
        self.symbol_changes: list[LiveStreamConfig] = []
        self.seconds = 0.0
        self.refuses: ConfigError | None = None

    def start(self, config: LiveStreamConfig) -> None:
        if self.refuses is not None:
            raise self.refuses
        if self.config is not None and self.config.without_symbols() == config.without_symbols():
            self.symbol_changes.append(config)
        else:
            self.runs.append(config)
        self.config = config

    def stop(self) -> None:
        self.config = None

    def is_running(self) -> bool:
        return self.config is not None

    def snapshot(self) -> LiveSnapshot:
        self.seconds += 1
        return snapshot_with(as_of=AS_OF + timedelta(seconds=self.seconds), running=self.is_running())


class Clock:
    """Moves when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """A session with everything scripted around it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.managers: list[ScriptedManager] = []
        self.pnl = 100.0
        self.refuses: ConfigError | None = None
        self.refuses_start: ConfigError | None = None
        self.heartbeat = folder / "heartbeat.json"
        self.session = LiveSession(
            build_manager=self._build,
            measure=lambda part: Measure(self.pnl, self.pnl, 1, 1, {"shares": self.pnl}),
            monotonic=self.clock,
            # Rounds come when a test asks for them.
            housekeeping_seconds=3_600,
            heartbeat=self.heartbeat,
        )
        self.portfolio_file = self.write("AAPL")

    def _build(self, settings: Settings) -> ScriptedManager:
        if self.refuses is not None:
            raise self.refuses
        self.managers.append(ScriptedManager(settings))
        self.manager.refuses = self.refuses_start
        return self.managers[-1]

    def write(self, *symbols: str, changed_at: int = 1_000) -> PortfolioFile:
        path = self.folder / "portfolio.json"
        entries = [{"id": symbol, "symbol": symbol, "shares": 100} for symbol in symbols]
        path.write_text(json.dumps({"positions": entries}))
        os.utime(path, (changed_at, changed_at))
        return open_portfolio_file("portfolio.json", [self.folder])

    def start(self, choices: RunSettings | None = None, settings: Settings | None = None) -> None:
        self.session.start(self.portfolio_file, choices or RunSettings(), settings or Settings())

    @property
    def heartbeat_state(self) -> RunState:
        beat = read_heartbeat(self.heartbeat)
        assert beat is not None
        return beat.state

    @property
    def manager(self) -> ScriptedManager:
        return self.managers[-1]


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path)
    yield stage
    stage.session.stop()


def test_a_new_session_does_nothing_at_all(stage):
    assert not stage.session.running
    assert stage.session.run is None
    assert stage.session.snapshot() is None
    assert stage.managers == []


def test_five_presses_of_start_are_one_run(stage):
    for _ in range(5):
        stage.start()

    assert len(stage.managers) == 1
    assert len(stage.manager.runs) == 1


def test_a_start_of_what_runs_is_passed_on_for_what_has_failed(stage):
    """The manager tries refused streams again; everything else runs on."""
    stage.start()
    stage.start()
    assert len(stage.manager.runs) == 1
    assert stage.manager.symbol_changes == stage.manager.runs


def test_two_tabs_that_press_start_at_once_are_one_run(stage):
    """Two connections to one endpoint would be refused with 406."""
    together = threading.Barrier(8)

    def press() -> None:
        together.wait()
        stage.start()

    with ThreadPoolExecutor(8) as tabs:
        for tab in [tabs.submit(press) for _ in range(8)]:
            tab.result()

    assert len(stage.managers) == 1
    assert len(stage.manager.runs) == 1


def test_start_passes_on_what_was_chosen(stage):
    stage.start(RunSettings(stream_options=False, stock_feed="sip", paper=True))

    config = stage.manager.config
    assert config.stocks == ("AAPL",)
    assert (config.stream_options, config.stock_feed, config.paper) == (False, "sip", True)


def test_a_portfolio_that_did_not_load_starts_nothing(stage):
    stage.portfolio_file = PortfolioFile(stage.folder / "no.json", "no.json", problem="There is no no.json.")

    with pytest.raises(ConfigError, match=r"There is no no\.json"):
        stage.start()
    assert not stage.session.running


def test_new_keys_take_a_new_manager_and_the_old_one_is_stopped(stage):
    stage.start()
    stage.start(settings=Settings(base_url="https://api.alpaca.markets"))

    first, second = stage.managers
    assert not first.is_running()
    assert second.is_running()


@pytest.mark.parametrize("where", ["refuses", "refuses_start"])
def test_a_run_whose_new_keys_do_not_work_is_over_and_not_half_alive(stage, where):
    stage.start()
    setattr(stage, where, ConfigError("No keys."))

    with pytest.raises(ConfigError, match="No keys"):
        stage.start(settings=Settings(base_url="https://api.alpaca.markets"))
    assert not stage.session.running
    assert not any(manager.is_running() for manager in stage.managers)
    until_no_thread("live-")
    assert stage.heartbeat_state is RunState.ENDED


@pytest.mark.parametrize("where", ["refuses", "refuses_start"])
def test_after_new_keys_that_do_not_work_the_old_ones_start_again(stage, where):
    stage.start()
    setattr(stage, where, ConfigError("No keys."))
    with pytest.raises(ConfigError):
        stage.start(settings=Settings(base_url="https://api.alpaca.markets"))
    setattr(stage, where, None)

    stage.start()

    assert stage.session.running
    assert [manager.settings for manager in stage.managers if manager.is_running()] == [Settings()]
    assert stage.heartbeat_state is RunState.RUNNING


def test_stop_says_why_and_keeps_the_last_snapshot(stage):
    stage.start()
    stage.session.stop()
    stage.session.stop()

    assert not stage.session.running
    assert stage.session.run.ended == "Stopped."
    assert stage.session.snapshot() is not None


def test_an_edited_portfolio_changes_the_symbols_of_the_same_run(stage):
    stage.start()
    stage.write("AAPL", "SPY", changed_at=2_000)
    stage.session.keep()

    assert len(stage.manager.runs) == 1
    assert [config.stocks for config in stage.manager.symbol_changes] == [("AAPL", "SPY")]
    assert len(stage.session.run.portfolio_file.portfolio.positions) == 2


def test_a_portfolio_broken_while_running_leaves_the_run_as_it_was_and_is_named(stage):
    stage.start()
    (stage.folder / "portfolio.json").write_text("{")
    stage.session.keep()

    assert stage.manager.symbol_changes == []
    assert stage.session.run.portfolio_file.portfolio == stage.portfolio_file.portfolio
    assert "not valid JSON" in stage.session.run.portfolio_file.problem

    stage.write("AAPL", "SPY", changed_at=3_000)
    stage.session.keep()
    assert stage.session.run.portfolio_file.problem is None


def test_streams_stop_some_minutes_after_the_last_viewer_left(stage):
    stage.session.acquire("tab")
    stage.start(RunSettings(idle_stop_minutes=10))
    stage.clock.now += 60
    stage.session.release("tab")

    stage.clock.now += 599
    stage.session.keep()
    assert stage.session.running

    stage.clock.now += 1
    stage.session.keep()
    assert not stage.session.running
    assert stage.session.run.ended == "Stopped: nobody had looked at the page for 10 minutes."


def test_a_viewer_who_comes_back_in_time_keeps_the_streams(stage):
    """F5, a cut connection and a closed lid all look like leaving."""
    stage.session.acquire("tab")
    stage.start(RunSettings(idle_stop_minutes=10))
    stage.session.release("tab")
    stage.clock.now += 590
    stage.session.acquire("the same tab after F5")
    stage.clock.now += 250
    stage.session.keep()

    assert stage.session.running


def test_a_viewer_who_comes_back_as_the_run_is_about_to_end_keeps_the_streams(
    stage, monkeypatch: pytest.MonkeyPatch
):
    """A Start or an Apply of theirs may hold up the housekeeper between its look and its Stop."""
    stage.start(RunSettings(idle_stop_minutes=10))
    stage.clock.now += 601
    changing = vars(stage.session)["_changing"]

    class ComesBack:
        def __enter__(self) -> None:
            stage.session.acquire("somebody is back")
            changing.acquire()

        def __exit__(self, *_: object) -> None:
            changing.release()

    monkeypatch.setattr(stage.session, "_changing", ComesBack())
    stage.session.keep()

    assert stage.session.running


def test_tabs_that_left_without_a_word_are_forgotten_where_no_run_ends_by_that_too(stage):
    stage.start(RunSettings(idle_stop_minutes=0))
    for number in range(10):
        stage.session.acquire(f"tab {number}")
        stage.clock.now += 100
    stage.session.keep()

    assert len(vars(stage.session)["_viewers"]) == 3


def test_zero_minutes_means_never(stage):
    stage.start(RunSettings(idle_stop_minutes=0))
    stage.clock.now += 1_000_000
    stage.session.keep()

    assert stage.session.running


def test_a_viewer_who_left_without_a_word_is_not_counted_for_ever(stage):
    """The last drawing of a closed tab can come after its release."""
    stage.session.acquire("closed tab")
    stage.start(RunSettings(idle_stop_minutes=10))
    assert stage.session.viewers == 1

    stage.clock.now += 301
    assert stage.session.viewers == 0

    stage.clock.now += 300
    stage.session.keep()
    assert not stage.session.running


def test_the_history_is_kept_for_every_viewer_and_through_a_restart(stage):
    stage.start()
    stage.session.keep()
    stage.session.stop()
    stage.start()
    stage.pnl = 120.0
    stage.session.keep()

    history = stage.session.history()
    assert [point.pnl for point in history.points] == [100.0, 120.0]
    assert [point.segment for point in history.points] == [0, 1]
    assert history.trends == {"shares": (100.0, 120.0)}


def test_another_portfolio_begins_another_history(stage):
    stage.start()
    stage.session.keep()
    other = stage.folder / "other.json"
    other.write_text((stage.folder / "portfolio.json").read_text())
    stage.portfolio_file = open_portfolio_file("other.json", [stage.folder])
    stage.start()

    assert stage.session.history().points == ()
    assert len(stage.manager.runs) == 1


def test_a_replay_started_again_begins_another_history(stage):
    stage.start()
    stage.session.keep()
    stage.manager.seconds = -3_600
    stage.session.keep()

    assert len(stage.session.history().points) == 1


def test_housekeeping_goes_on_after_a_bad_round(tmp_path):
    rounds: list[int] = []

    def measure(part) -> Measure:
        rounds.append(1)
        if len(rounds) == 1:
            raise ArithmeticError("one bad row")
        return Measure(1.0, 1.0, 1, 1)

    session = LiveSession(build_manager=ScriptedManager, measure=measure, housekeeping_seconds=0.01)
    session.start(Stage(tmp_path).portfolio_file, RunSettings(), Settings())
    wait_until(lambda: session.history().points)
    session.stop()

    assert not [thread for thread in threading.enumerate() if thread.name == "live-housekeeper"]


STEPS = (
    "_follow_file",
    "_follow_desk",
    "_follow_account",
    "_reopen_alerts",
    "_judge",
    "_sample",
    "_look_for_holder",
    "_stop_when_idle",
)


@pytest.mark.parametrize("broken", STEPS)
def test_a_step_of_the_housekeeping_that_fails_costs_no_other_and_is_said_until_it_works(
    stage, monkeypatch: pytest.MonkeyPatch, broken: str
):
    stage.start()
    done: list[str] = []
    for step in STEPS:
        monkeypatch.setattr(stage.session, step, lambda step=step: done.append(step))

    def fail() -> None:
        raise ArithmeticError("nobody thought of this")

    with monkeypatch.context() as broken_for_now:
        broken_for_now.setattr(stage.session, broken, fail)
        stage.session.keep()
    (problem,) = stage.session.problems
    assert done == [step for step in STEPS if step != broken]
    assert "ArithmeticError" in problem
    assert "nobody thought of this" not in problem, "what stands in an error may be a secret"

    stage.session.keep()
    assert stage.session.problems == ()


def test_a_profit_that_cannot_be_worked_out_ends_the_run_all_the_same_when_nobody_looks(
    stage, monkeypatch: pytest.MonkeyPatch
):
    stage.start(RunSettings(idle_stop_minutes=1))

    def fail(part) -> Measure:
        raise ArithmeticError("one bad row")

    monkeypatch.setattr(stage.session, "_measure", fail)
    stage.clock.now += 61
    stage.session.keep()

    assert not stage.session.running
    assert stage.session.problems == (), "of a run that is over nothing fails any more"


def test_the_log_has_a_step_that_fails_again_and_again_once(
    stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    stage.start()

    def fail() -> None:
        raise ArithmeticError("nobody thought of this")

    monkeypatch.setattr(stage.session, "_judge", fail)
    for _ in range(3):
        stage.session.keep()

    assert [record.levelname for record in caplog.records].count("ERROR") == 1


def test_one_round_hears_the_streams_once(stage):
    stage.start()
    before = stage.manager.seconds

    stage.session.keep()

    assert stage.manager.seconds == before + 1


@pytest.fixture
def own_process_session():
    before = process_session()
    yield
    install_session(before)


def test_code_that_is_loaded_again_finds_the_same_session(own_process_session):
    """A development server drops and re-imports every changed module."""
    session = process_session()
    name = "options_helper.live.session"
    kept = sys.modules.pop(name)
    try:
        again = __import__(name, fromlist=["process_session"])
        assert again is not kept
        assert again.process_session() is session
    finally:
        sys.modules[name] = kept


def test_tabs_that_arrive_together_get_one_session(own_process_session):
    vars(sys.modules["_options_helper_process"]).pop("session")
    together = threading.Barrier(8)

    def arrive() -> LiveSession:
        together.wait()
        return process_session()

    with ThreadPoolExecutor(8) as tabs:
        sessions = {id(tab.result()) for tab in [tabs.submit(arrive) for _ in range(8)]}
    assert len(sessions) == 1


def test_a_session_put_in_place_of_another_stops_it(own_process_session, stage):
    install_session(stage.session)
    stage.start()
    install_session(LiveSession())

    assert not stage.session.running
    assert replace(stage.session.run, ended=None).portfolio_file == stage.portfolio_file


def test_another_account_begins_another_history_though_its_portfolio_has_the_same_name(stage):
    stage.start(settings=Settings(account="main"))
    stage.session.keep()
    assert stage.session.history().points != ()

    stage.start(settings=Settings(account="ira"))

    assert stage.session.history().points == ()
    assert stage.session.run.settings.account == "ira"


def test_a_file_that_becomes_another_accounts_is_not_followed_and_the_page_says_so(stage):
    def write(account: str, changed_at: int) -> None:
        path = stage.folder / "portfolio.json"
        entries = [{"id": account, "symbol": "AAPL", "shares": 100}]
        path.write_text(json.dumps({"account": account, "positions": entries}))
        os.utime(path, (changed_at, changed_at))

    write("main", 2_000)
    stage.portfolio_file = open_portfolio_file("portfolio.json", [stage.folder])
    stage.start(settings=Settings(account="main"))

    write("ira", 3_000)
    stage.session.keep()

    file = stage.session.run.portfolio_file
    assert file.portfolio.account == "main"
    assert file.problem == (
        "portfolio.json is of the account 'ira' now, and was of the account 'main'. "
        "Stop and start again to follow that."
    )
    write("main", 4_000)
    stage.session.keep()
    assert stage.session.run.portfolio_file.problem is None
