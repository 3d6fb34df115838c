"""The command `watch`, as a person or systemd meets it: it begins, tells how it goes, and ends when it is asked to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.capture.hours import CaptureHours
from options_helper.cli import app
from options_helper.commands.watch_run import feeds_told
from options_helper.errors import ConfigError
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import Role, RunState
from options_helper.monitoring.heartbeat_file import read_heartbeat
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import holding, nanoseconds, new_york, portfolio
from tests.kit.notified import fake_ntfy
from tests.kit.ports import free_port
from tests.kit.programs import Program
from tests.kit.waiting import A_PROCESS, AT_ONCE, wait_until


@dataclass
class RunningWatch:
    """`options-helper watch` in a process, and where its heartbeat is."""

    process: subprocess.Popen[str]
    state: Path

    def until(self, words: str) -> None:
        """Wait until it says that it is at this."""

        def activity() -> str:
            beat = read_heartbeat(self.state)
            return "" if beat is None else beat.activity or ""

        wait_until(lambda: words in activity(), A_PROCESS, saw=activity)

    def end(self) -> str:
        """Ask it to end, which takes seconds; what it printed."""
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=AT_ONCE)
        return said


@contextmanager
def watching(
    folder: Path, *arguments: str, at: str = "2026-11-20 11:00", state_home: Path | None = None
) -> Iterator[RunningWatch]:
    """On a market of that moment, whose account holds two contracts; the file holds 100 shares."""
    folder.mkdir(exist_ok=True)
    (folder / "portfolio.json").write_text(portfolio_text(portfolio(holding("AAPL", 100))), encoding="utf-8")
    state = folder / "health.json"
    server = SimulatorServer(
        SilentMarket(start_ns=nanoseconds(new_york(at))), key=DEMO_KEY, secret=DEMO_SECRET
    )
    with server, fake_ntfy() as ntfy:
        for symbol in ("AAPL261218C00200000", "AAPL261218P00180000"):
            server.account.set_position(symbol, 1, 2)
        environ = {
            **os.environ,
            "APCA_API_KEY_ID": DEMO_KEY,
            "APCA_API_SECRET_KEY": DEMO_SECRET,
            "APCA_API_BASE_URL": server.rest_url,
            "OH_ALPACA_DATA_URL": server.rest_url,
            "OH_ALPACA_STREAM_URL": server.stream_url,
            "OH_ALERT_TARGET_PHONE": ntfy.url,
            "XDG_STATE_HOME": str(state_home or folder / "state"),
        }
        process = Program("watch", "--state", str(state), *arguments, cwd=folder, env=environ)
        try:
            yield RunningWatch(process, state)
        finally:
            process.kill()
            process.communicate()


@pytest.mark.processes
@pytest.mark.parametrize("named", ["option", "OH_ALERT_RULES", "OH_ALERT_TARGETS"])
def test_a_file_that_is_named_and_not_there_is_refused_before_anything_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
):
    none = tmp_path / "none.toml"
    if named != "option":
        monkeypatch.setenv(named, str(none))
    with watching(tmp_path, *(["--rules", str(none)] if named == "option" else [])) as watch:
        assert watch.process.wait(A_PROCESS) == 2
        said = "" if watch.process.stdout is None else watch.process.stdout.read()
    assert "There is no " in said
    assert "none.toml; check " in " ".join(said.split())


@pytest.mark.processes
def test_it_tells_what_it_is_at_and_ends_in_order_when_it_is_asked_to(tmp_path: Path):
    with watching(tmp_path) as watch:
        watch.until("; streams; sends")
        said = watch.end()

    beat = read_heartbeat(watch.state)
    assert beat is not None
    assert (beat.role, beat.state, watch.process.returncode) == (Role.WATCH, RunState.ENDED, 0)
    assert "watching 1 leg, " in said
    assert "hidden-" not in said + watch.state.read_text(encoding="utf-8")


@pytest.mark.processes
def test_beside_a_program_that_streams_from_another_server_it_streams_itself(tmp_path: Path):
    """By the same user on this computer, with the same feeds."""
    home = tmp_path / "state"
    with watching(tmp_path / "one", state_home=home) as other:
        other.until("; streams; sends")
        with watching(tmp_path / "two", state_home=home) as watch:
            watch.until("; streams; sends")
            watch.end()
        other.end()


@pytest.mark.processes
def test_it_watches_the_accounts_positions_and_serves_metrics(tmp_path: Path):
    port = free_port()
    with watching(tmp_path, "--account", "--metrics-port", str(port)) as watch:
        watch.until("watching 2 legs, ")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=AT_ONCE) as answer:
            metrics = answer.read().decode()
        watch.end()

    assert re.search(r"^options_helper_start_time_seconds [\d.e+]+$", metrics, re.MULTILINE)
    assert DEMO_SECRET not in metrics


@pytest.mark.processes
@pytest.mark.parametrize(
    ("at", "says"),
    [("2026-11-20 11:00", "; streams; "), ("2026-11-20 18:00", "; the market is closed; ")],
)
def test_between_the_close_and_the_open_it_streams_nothing_by_the_markets_clock(
    tmp_path: Path, at: str, says: str
):
    """Whatever the hour is here."""
    with watching(tmp_path, "--market-hours", at=at) as watch:
        watch.until(says)
        watch.end()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--account", "portfolio.json"), "Choose one"),
        (("--rest-every", "soon"), "stretches of time"),
        (("--rest-every", "0.1s"), "a second at least"),
    ],
)
def test_what_cannot_be_is_said(arguments: tuple[str, ...], says: str):
    result = CliRunner().invoke(app, ["watch", *arguments])

    assert isinstance(result.exception, ConfigError)
    assert says in str(result.exception)


@pytest.mark.parametrize(
    ("told", "hour", "is_open"),
    [(None, 11, True), (None, 21, False), ("sip", 21, False), ("boats", 21, True), ("boats", 11, False)],
)
def test_over_a_bus_the_markets_hours_are_those_of_the_owners_feed_and_a_kinds_own_before_it_is_known(
    told: str | None, hour: int, *, is_open: bool
):
    night = StreamHealth(StreamName.STOCKS, Phase.LIVE, feed=told)
    snapshot = LiveSnapshot(new_york(f"2026-11-19 {hour}:00"), streams={StreamName.STOCKS: night})
    stocks, _ = feeds_told(snapshot)

    assert CaptureHours((stocks,)).connected(snapshot.as_of) is is_open
    assert feeds_told(None) == ((StreamName.STOCKS, ""), (StreamName.OPTIONS, ""))
