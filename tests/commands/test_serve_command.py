"""The command `stream serve`, as a person or systemd meets it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from options_helper.bus.admission import ServerFacts
from options_helper.bus.connection import BusConnection
from options_helper.bus.names import Names
from options_helper.cli import app
from options_helper.commands.serve_run import ServeRequest, run_serve
from options_helper.commands.serve_term import ServeTerm
from options_helper.errors import ConfigError, Unavailable
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot
from options_helper.monitoring.heartbeat import Role, RunState
from options_helper.monitoring.heartbeat_file import read_heartbeat
from options_helper.settings import DEMO_KEY, DEMO_SECRET, Settings
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from options_helper.watch.book import BookNow
from tests.kit.builders import nanoseconds, new_york
from tests.kit.bus import nats_server
from tests.kit.programs import Program
from tests.kit.simulated import settings_for
from tests.kit.waiting import A_PROCESS, AT_ONCE, at_once, wait_until


def environment(server: SimulatorServer, folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "APCA_API_KEY_ID": DEMO_KEY,
        "APCA_API_SECRET_KEY": DEMO_SECRET,
        "APCA_API_BASE_URL": server.rest_url,
        "OH_ALPACA_DATA_URL": server.rest_url,
        "OH_ALPACA_STREAM_URL": server.stream_url,
        "XDG_STATE_HOME": str(folder / "state"),
    }


def kept(url: str) -> bytes:
    """All that the bus keeps of what the owner says of itself."""

    async def read() -> bytes:
        from options_helper.bus.address import BusAddress

        connection = BusConnection(BusAddress.parse(url))
        await connection.open("a test")
        names, found = Names(), b""
        for store in (names.state_store, names.account_state_store, names.market_store, names.account_store):
            for sequence in range(1, await connection.last_sequence(store) + 1):
                if (message := await connection.message(store, sequence)) is not None:
                    found += message.data
        await connection.close()
        return found

    return asyncio.run(asyncio.wait_for(read(), AT_ONCE))


@pytest.mark.processes
def test_it_holds_the_streams_tells_how_it_is_and_ends_in_order(tmp_path: Path):
    state = tmp_path / "health.json"
    market = SimulatorServer(
        SilentMarket(start_ns=nanoseconds(new_york("2026-11-20 11:00"))), key=DEMO_KEY, secret=DEMO_SECRET
    )
    market.start()
    with nats_server() as nats:
        command = [
            "stream",
            "serve",
            "--bus",
            nats.url,
            "--stocks",
            "AAPL",
            "--keep",
            "0.05",
            "--state",
            str(state),
        ]
        owner = Program(*command, cwd=tmp_path, env=environment(market, tmp_path))
        try:
            wait_until(
                lambda: (
                    (beat := read_heartbeat(state))
                    and beat.streams.get("stocks")
                    and beat.streams["stocks"].acknowledged == 1
                ),
                A_PROCESS,
            )
            owner.send_signal(signal.SIGTERM)
            said, _ = owner.communicate(timeout=A_PROCESS)
        finally:
            owner.kill()
            owner.communicate()
            market.stop()
        on_the_bus = kept(nats.url)

    beat = read_heartbeat(state)
    assert beat is not None
    assert (beat.role, beat.state, owner.returncode) == (Role.OWNER, RunState.ENDED, 0), said
    assert "serving 1 stock and 0 contracts" in said
    for place in (said.encode(), state.read_bytes(), on_the_bus):
        assert DEMO_SECRET.encode() not in place
        assert DEMO_KEY.encode() not in place


@contextmanager
def a_desk(tmp_path: Path) -> Iterator[tuple[ServeRequest, Settings]]:
    """A market and a bus, and what a run in this process is asked for."""
    start = nanoseconds(new_york("2026-11-20 11:00"))
    with (
        SimulatorServer(SilentMarket(start_ns=start), key=DEMO_KEY, secret=DEMO_SECRET) as market,
        nats_server() as nats,
    ):
        request = ServeRequest(
            nats.address,
            stocks=("AAPL",),
            keep_bytes=50_000_000,
            duration_seconds=AT_ONCE,
            state=tmp_path / "health.json",
        )
        yield request, settings_for(market)


def test_what_is_wrong_with_one_turn_ends_nothing_and_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    class Broken:
        """A book whose looks fail until the third."""

        looks = 0

        def look(self, snapshot: LiveSnapshot) -> BookNow:
            self.looks += 1
            if self.looks < 3:
                raise ValueError("odd file")
            return BookNow(snapshot, Portfolio(positions=()), None)

    book = Broken()
    with a_desk(tmp_path) as (request, settings):
        short = replace(request, duration_seconds=2.0)
        assert run_serve(short, settings, book=lambda _: book, turn_seconds=0.05) == 0

    said = capsys.readouterr().out
    assert said.count("could not look after its streams (ValueError: odd file)") == 1
    assert book.looks > 3


def test_one_that_takes_nothing_in_any_more_says_so_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    class Failing(ServeTerm):
        @property
        def failure(self) -> str | None:
            return (
                "What the streams bring cannot be taken in any more." if self.manager.is_running() else None
            )

    with a_desk(tmp_path) as (request, settings), at_once():
        assert run_serve(request, settings, term=Failing, turn_seconds=0.05) == 1

    assert "cannot be taken in any more" in capsys.readouterr().out
    beat = read_heartbeat(tmp_path / "health.json")
    assert beat is not None
    assert beat.state is RunState.ENDED


def test_where_no_server_listens_it_may_pass(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("APCA_API_KEY_ID", DEMO_KEY)
    monkeypatch.setenv("APCA_API_SECRET_KEY", DEMO_SECRET)
    with nats_server() as nats:
        nats.kill()
        ended = CliRunner().invoke(app, ["stream", "serve", "--bus", nats.url])

    assert isinstance(ended.exception, Unavailable)
    assert "nats-server -js" in str(ended.exception)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--bus", "nats://10.1.2.3"], "another computer"),
        (["--desk", "a.b"], "no name for a desk"),
        (["portfolio.json", "--account"], "Choose one"),
    ],
)
def test_what_cannot_be_is_told_before_anything_begins(options, why):
    ended = CliRunner().invoke(app, ["stream", "serve", *options])

    assert isinstance(ended.exception, ConfigError)
    assert why in str(ended.exception)


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("APCA_API_KEY_ID", DEMO_KEY)
    monkeypatch.setenv("APCA_API_SECRET_KEY", DEMO_SECRET)
    monkeypatch.setitem(sys.modules, "nats.aio.client", None)

    ended = CliRunner().invoke(app, ["stream", "serve"])

    assert isinstance(ended.exception, ConfigError)
    assert "options-helper[bus]" in str(ended.exception)


@pytest.mark.processes
def test_a_server_that_others_reach_is_told_of_once_with_whose_the_data_are(monkeypatch, tmp_path: Path):
    beyond = ServerFacts((2, 15, 1), "0.0.0.0", asks_who=False, encrypts=False)  # noqa: S104 - what it says
    monkeypatch.setattr(BusConnection, "facts", beyond)
    market = SimulatorServer(
        SilentMarket(start_ns=nanoseconds(new_york("2026-11-20 11:00"))), key=DEMO_KEY, secret=DEMO_SECRET
    )
    market.start()
    with nats_server() as nats:
        try:
            ended = CliRunner().invoke(
                app,
                ["stream", "serve", "--bus", nats.url, "--keep", "0.05", "--duration", "2s"],
                env=environment(market, tmp_path),
            )
        finally:
            market.stop()

    assert ended.exit_code == 0, ended.output
    assert ended.output.count("account holder's own devices") == 1
    assert ended.output.count("lets other computers in (0.0.0.0) without encryption") == 1
