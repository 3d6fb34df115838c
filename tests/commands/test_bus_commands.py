"""`stream serve` and those who follow it, each a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.bus.address import BusAddress, bus_environment, bus_of
from options_helper.bus.viewer import BusManager
from options_helper.cli import app
from options_helper.errors import ConfigError
from options_helper.live.session import LiveSession
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import Phase
from options_helper.monitoring.heartbeat import Heartbeat, RunState
from options_helper.monitoring.heartbeat_file import read_heartbeat
from options_helper.monitoring.stream_holders import find_holder
from options_helper.settings import DEMO_KEY, DEMO_SECRET, Settings
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import holding, nanoseconds, new_york, portfolio
from tests.kit.bus import nats_server
from tests.kit.programs import Program
from tests.kit.waiting import A_PROCESS, wait_until


@contextmanager
def command(folder: Path, environ: Mapping[str, str], *words: str) -> Iterator[subprocess.Popen[str]]:
    process = Program(
        *words, cwd=folder, env={**os.environ, "XDG_STATE_HOME": str(folder / "state"), **environ}
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def beat_of(path: Path) -> Heartbeat | None:
    return read_heartbeat(path)


@pytest.mark.processes
def test_a_watch_without_keys_follows_the_owner_and_says_what_market_it_is(tmp_path: Path):
    (tmp_path / "portfolio.json").write_text(
        portfolio_text(portfolio(holding("AAPL", 100))), encoding="utf-8"
    )
    market = SimulatorServer(
        SilentMarket(start_ns=nanoseconds(new_york("2026-11-20 11:00"))), key=DEMO_KEY, secret=DEMO_SECRET
    )
    market.start()
    keys = {
        "APCA_API_KEY_ID": DEMO_KEY,
        "APCA_API_SECRET_KEY": DEMO_SECRET,
        "APCA_API_BASE_URL": market.rest_url,
        "OH_ALPACA_DATA_URL": market.rest_url,
        "OH_ALPACA_STREAM_URL": market.stream_url,
    }
    owned, watched = tmp_path / "owner.json", tmp_path / "watch.json"
    with (
        nats_server() as nats,
        command(
            tmp_path,
            keys,
            *(
                "stream",
                "serve",
                "--bus",
                nats.url,
                "--keep",
                "0.05",
                "--state",
                str(owned),
            ),
        ) as owner,
        command(tmp_path, {}, "watch", "--bus", nats.url, "--state", str(watched)) as watch,
    ):
        try:
            wait_until(
                lambda: (
                    (beat := beat_of(watched))
                    and (stocks := beat.streams.get("stocks"))
                    and stocks.phase in (Phase.LIVE, Phase.QUIET)
                    and beat.market is MarketKind.SIMULATED
                    and stocks.acknowledged == 1
                ),
                A_PROCESS,
                saw=lambda: (beat_of(owned), beat_of(watched)),
            )
            beat = beat_of(watched)
            assert beat is not None
            assert "streams over the bus" in (beat.activity or "")
            assert "served by" in (beat.desk or "")
            owner.send_signal(signal.SIGTERM)
            assert owner.wait(A_PROCESS) == 0
            wait_until(
                lambda: (now := beat_of(watched)) and "has ended" in (now.streams["stocks"].last_error or ""),
                A_PROCESS,
                saw=lambda: beat_of(watched),
            )
            watch.send_signal(signal.SIGTERM)
            assert watch.wait(A_PROCESS) == 0
        finally:
            market.stop()
    last = beat_of(watched)
    assert last is not None
    assert last.state is RunState.ENDED


def test_a_page_that_is_led_to_a_bus_follows_it_and_needs_no_keys(monkeypatch: pytest.MonkeyPatch):
    for name, value in bus_environment(BusAddress.parse("127.0.0.1:4333", "home")).items():
        monkeypatch.setenv(name, value)

    made = LiveSession()._build_manager(Settings())  # noqa: SLF001 - what it runs with

    assert isinstance(made, BusManager)
    assert bus_of(os.environ) == BusAddress.parse("nats://127.0.0.1:4333", "home")


def test_a_page_that_is_led_nowhere_is_embedded():
    assert bus_of({}) is None
    assert not isinstance(LiveSession()._build_manager(Settings()), BusManager)  # noqa: SLF001


def test_a_recording_of_ones_own_streams_and_a_bus_are_one_too_many(tmp_path: Path):
    ended = CliRunner().invoke(app, ["ui", "--bus", "nats://127.0.0.1", "--record", str(tmp_path)])

    assert isinstance(ended.exception, ConfigError)


@pytest.mark.parametrize("played", [["--demo"], ["--replay", "somewhere"]])
def test_a_played_market_and_a_bus_are_one_too_many(played, tmp_path: Path):
    ended = CliRunner().invoke(app, ["ui", "--bus", "nats://127.0.0.1", *played])

    assert isinstance(ended.exception, ConfigError)


def test_who_follows_a_bus_holds_no_connection_of_the_account(tmp_path: Path):
    from options_helper.clock import utc_now
    from options_helper.model.streams import StreamName
    from options_helper.monitoring.heartbeat import Role
    from options_helper.monitoring.heartbeat_writer import HeartbeatWriter
    from tests.kit.builders import health, snapshot_with

    folder = tmp_path / "options-helper"
    folder.mkdir()
    from dataclasses import replace

    from options_helper.model.snapshot import DeskRemarks

    environ = {"XDG_STATE_HOME": str(tmp_path)}
    snapshot = replace(
        snapshot_with(), running=True, streams={StreamName.STOCKS: health("stocks", feed="iex")}
    )
    for desk, holds in ((None, True), (DeskRemarks("the desk home"), False)):
        writer = HeartbeatWriter(
            folder / f"dashboard-{os.getpid()}.json",
            partial(replace, snapshot, desk=desk),
            role=Role.DASHBOARD,
        )
        writer.start()
        try:
            found = find_holder([(StreamName.STOCKS, "iex")], utc_now(), environ)
        finally:
            writer.close()
        assert (found is not None) is holds
