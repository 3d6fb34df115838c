"""What runs without a page loads nothing of what only tables, recordings and calendars of other years need."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from tests.commands.test_serve_command import environment
from tests.kit.builders import holding, portfolio, position
from tests.kit.bus import nats_server
from tests.kit.waiting import A_PROCESS

LARGE = ("exchange_calendars", "numpy", "pandas", "pyarrow", "streamlit")
PROGRAM = f"""
import json, sys
from typer.testing import CliRunner
from options_helper.cli import app
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.settings import Settings
from tests.kit.waiting import A_PROCESS, wait_until

def loaded(name, code):
    print(json.dumps([name, code, [large for large in {LARGE} if large in sys.modules]]))

def run(*words):
    loaded(" ".join(words[:2]), CliRunner().invoke(app, words, catch_exceptions=False).exit_code)

manager = LiveStreamManager(Settings.load())
manager.start(LiveStreamConfig(stocks=("AAPL",), stream_options=False))
wait_until(lambda: manager.snapshot().streams["stocks"].phase == "live", A_PROCESS)
manager.stop()
loaded("a script", 0)
run("stream", "capture", "--out", "out", "--stocks", "AAPL", "--duration", "1s")
run("stream", "serve", "--bus", sys.argv[1], "--stocks", "AAPL", "--keep", "0.05", "--duration", "1s")
run("today", "portfolio.json")
run("watch", "portfolio.json", "--duration", "1s")
"""


@pytest.mark.processes
def test_of_what_is_large_only_numpy_is_loaded_and_only_where_figures_are_made(
    tmp_path: Path, repository: Path
):
    """One after the other in a new process, since this one has everything."""
    held = portfolio(holding("AAPL", 100), position("AAPL", 180, expiry=date(2026, 11, 20)))
    (tmp_path / "portfolio.json").write_text(portfolio_text(held), "utf-8")
    with (
        SimulatorServer(SeededMarket(held), key=DEMO_KEY, secret=DEMO_SECRET) as server,
        nats_server() as nats,
    ):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, nats.url],
            cwd=tmp_path,
            env={**environment(server, tmp_path), "PYTHONPATH": str(repository)},
            capture_output=True,
            text=True,
            check=False,
            timeout=A_PROCESS,
        )

    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        ["a script", 0, []],
        ["stream capture", 0, []],
        ["stream serve", 0, []],
        ["today portfolio.json", 1, ["numpy"]],  # a contract that ends today needs a hand
        ["watch portfolio.json", 0, ["numpy"]],
    ], done.stderr
