"""The script for cron, as cron calls it, against a market on a real socket."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from options_helper.clock import utc_now
from options_helper.data.intraday_store import IntradayStore
from options_helper.model.streams import StreamName
from options_helper.monitoring.judgement import RunStatus
from options_helper.monitoring.run_report import RunReport, read_run
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.waiting import A_PROCESS, AT_ONCE, wait_until
from tests.wire.test_engine import NOON, quote

# The `test` feed is open at all hours, so that --market-hours has nothing to wait for.
ALWAYS_OPEN = ("--stocks", "AAPL", "--stock-feed", "test")

pytestmark = pytest.mark.skipif(shutil.which("flock") is None, reason="there is no flock (util-linux) here")


@pytest.fixture
def simulator(running_simulator: Callable[..., SimulatorServer]) -> SimulatorServer:
    return running_simulator(SilentMarket(start_ns=NOON))


class Cron:
    """Starts the script as cron would: with nearly nothing in the environment."""

    def __init__(self, repository: Path, server: SimulatorServer, home: Path) -> None:
        self.script = repository / "scripts" / "cron_stream_capture.sh"
        self.folder = home / "market data"  # a name with a space in it
        self.state = self.folder / ".health.json"
        self.environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "OPTIONS_HELPER": str(Path(sys.executable).with_name("options-helper")),
            "APCA_API_KEY_ID": DEMO_KEY,
            "APCA_API_SECRET_KEY": DEMO_SECRET,
            "APCA_API_BASE_URL": server.rest_url,
            "OH_ALPACA_STREAM_URL": server.stream_url,
            "OH_ALPACA_DATA_URL": server.rest_url,
        }

    def start(self, *options: str) -> subprocess.Popen[str]:
        command = [str(self.script), str(self.folder), *options]
        return subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.environment["HOME"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def running(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """A script whose capture is at work."""
        process = self.start(*options)
        try:
            wait_until(
                lambda: self.report().healthy and self.report().facts()["symbols"]["acknowledged"],
                A_PROCESS,
                saw=self.report,
            )
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=A_PROCESS)

    def report(self) -> RunReport:
        return read_run(self.state, utc_now(), 30)


@pytest.fixture
def cron(repository: Path, simulator: SimulatorServer, tmp_path: Path) -> Cron:
    return Cron(repository, simulator, tmp_path)


def test_it_records_until_it_is_asked_to_end(cron: Cron, simulator: SimulatorServer):
    with cron.running(*ALWAYS_OPEN) as process:
        simulator.push(StreamName.STOCKS, [quote("AAPL", 100.0)])
        wait_until(lambda: cron.report().facts()["totals"]["applied"] == 1, saw=cron.report)

    assert process.returncode == 0
    assert cron.report().status is RunStatus.NOT_RUNNING
    assert "ended in order" in cron.report().message
    assert len(IntradayStore(cron.folder).read("stocks", "quotes", "AAPL")) == 1
    (log,) = (cron.folder / "log").iterdir()
    assert "Nothing was lost." in log.read_text(encoding="utf-8")


def test_the_next_start_leaves_the_running_one_alone_and_says_nothing(cron: Cron):
    with cron.running(*ALWAYS_OPEN):
        second = cron.start(*ALWAYS_OPEN)
        said = second.communicate(timeout=A_PROCESS)

        assert (second.returncode, said) == (0, ("", ""))
        assert len(list((cron.folder / "log").iterdir())) == 1


def test_an_error_is_said_so_that_cron_mails_it(cron: Cron):
    process = cron.start("--stocks", "AAPL", "--stock-feed", "nasdaq")

    out, error = process.communicate(timeout=A_PROCESS)

    assert (process.returncode, out) == (2, "")
    assert "ended with exit code 2" in error
    assert "nasdaq" in error


def test_without_a_folder_it_says_how_it_is_used(cron: Cron):
    process = subprocess.run(
        [str(cron.script), "--stocks", "SPY"], capture_output=True, text=True, check=False
    )

    assert process.returncode == 2
    assert process.stderr == "usage: cron_stream_capture.sh FOLDER [option of stream capture] ...\n"


@pytest.mark.parametrize("spelling", [["--portfolio", "portfolio.json"], ["--portfolio=portfolio.json"]])
def test_a_path_is_the_callers_and_not_the_checkouts(spelling: list[str], cron: Cron, tmp_path: Path):
    """The checkout has a portfolio.json of its own, with other symbols."""
    holding = {"id": "one", "symbol": "HERE", "shares": 1, "cost_basis": 1.0}
    (tmp_path / "portfolio.json").write_text(json.dumps({"positions": [holding]}), encoding="utf-8")
    cron.state = tmp_path / "here.json"

    with cron.running(*spelling, "--stock-feed", "test", "--state", "here.json"):
        assert cron.report().facts()["symbols"]["asked"] == 1


def test_state_and_metrics_go_where_they_were_told(cron: Cron, tmp_path: Path):
    state = tmp_path / "elsewhere.json"

    process = cron.start(*ALWAYS_OPEN, "--state", str(state), "--metrics-port", "0")
    try:
        wait_until(
            lambda: read_run(state, utc_now(), 30).facts()["symbols"]["acknowledged"],
            A_PROCESS,
        )
        (log,) = (cron.folder / "log").iterdir()
        (line,) = [one for one in log.read_text(encoding="utf-8").splitlines() if "/metrics" in one]
        with urllib.request.urlopen(line.split()[-1], timeout=AT_ONCE) as answer:  # noqa: S310 - our own server
            metrics = answer.read().decode()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=A_PROCESS)

    assert 'options_helper_symbols_acknowledged{feed="test",stream="stocks"} 1.0' in metrics
    assert not (cron.folder / ".health.json").exists()
