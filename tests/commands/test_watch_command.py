"""The command `watch`, as a person or systemd meets it: it begins, tells how it goes, and ends when it is asked to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.cli import app
from options_helper.errors import ConfigError
from options_helper.monitoring.heartbeat import Role, RunState
from options_helper.monitoring.heartbeat_file import read_heartbeat
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import holding, nanoseconds, new_york, portfolio
from tests.kit.notified import fake_ntfy
from tests.kit.waiting import A_PROCESS, wait_until


@pytest.mark.processes
def test_it_tells_what_it_is_at_and_ends_in_order_when_it_is_asked_to(tmp_path: Path):
    (tmp_path / "portfolio.json").write_text(
        portfolio_text(portfolio(holding("AAPL", 100))), encoding="utf-8"
    )
    state = tmp_path / "health.json"
    server = SimulatorServer(
        SilentMarket(start_ns=nanoseconds(new_york("2026-11-20 11:00"))), key=DEMO_KEY, secret=DEMO_SECRET
    )
    server.start()
    with fake_ntfy() as ntfy:
        environ = {
            **os.environ,
            "APCA_API_KEY_ID": DEMO_KEY,
            "APCA_API_SECRET_KEY": DEMO_SECRET,
            "APCA_API_BASE_URL": server.rest_url,
            "OH_ALPACA_DATA_URL": server.rest_url,
            "OH_ALPACA_STREAM_URL": server.stream_url,
            "OH_ALERT_TARGET_PHONE": ntfy.url,
            "XDG_STATE_HOME": str(tmp_path / "state"),
        }
        watch = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from options_helper.entry import main; main()",
                "watch",
                "--state",
                state,
            ],
            cwd=tmp_path,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            wait_until(
                lambda: (beat := read_heartbeat(state)) and "; streams; sends" in (beat.activity or ""),
                A_PROCESS,
            )
            watch.send_signal(signal.SIGTERM)
            said, _ = watch.communicate(timeout=A_PROCESS)
        finally:
            watch.kill()
            watch.communicate()
            server.stop()

    beat = read_heartbeat(state)
    assert beat is not None
    assert (beat.role, beat.state, watch.returncode) == (Role.WATCH, RunState.ENDED, 0)
    assert "watching 1 leg, " in said
    assert "hidden-" not in said + state.read_text(encoding="utf-8")


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
