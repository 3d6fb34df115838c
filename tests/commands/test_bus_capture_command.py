"""`stream capture --bus`: a recorder without keys, as it is called."""

from __future__ import annotations

import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from options_helper.bus.address import BusAddress
from options_helper.bus.first_look import look_at_desk
from options_helper.capture.plan import Selection
from options_helper.cli import app
from options_helper.commands.capture_bus import Followed
from options_helper.data.recording.verify import audit
from options_helper.errors import ConfigError, Unavailable
from options_helper.model.snapshot import Phase
from options_helper.monitoring.heartbeat import Heartbeat, Role, RunState
from options_helper.monitoring.heartbeat_file import CAPTURE_FILE, read_heartbeat
from tests.commands.test_bus_commands import command
from tests.kit.builders import AS_OF
from tests.kit.bus import nats_server
from tests.kit.fakes import deliver, wait_for
from tests.kit.recording_bus import bids
from tests.kit.serving import beginning, quotes, serving
from tests.kit.waiting import A_PROCESS, wait_until


def beat_of(out: Path) -> Heartbeat:
    """What it said last; an empty word before the first."""
    return read_heartbeat(out / CAPTURE_FILE) or Heartbeat(
        role=Role.CAPTURE, pid=0, host="", started_at=AS_OF, written_at=AS_OF, state=RunState.WAITING
    )


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["stream", "capture", *arguments])


@pytest.mark.processes
def test_it_records_what_the_owner_streams_and_says_from_whom(tmp_path: Path):
    out = tmp_path / "out"
    go_on = threading.Event()
    with (
        nats_server() as server,
        serving(server, wait_for(go_on), deliver(*quotes(0, 5))),
        command(
            tmp_path, {}, "stream", "capture", "--bus", server.url, "--stocks", "AAPL", "--out", str(out)
        ) as process,
    ):
        wait_until(
            lambda: (
                (stocks := beat_of(out).streams.get("stocks")) and stocks.phase in (Phase.LIVE, Phase.QUIET)
            ),
            A_PROCESS,
            saw=lambda: beat_of(out),
        )
        assert "served by here (process 1)" in (beat_of(out).desk or "")
        go_on.set()
        wait_until(lambda: beat_of(out).streams["stocks"].applied == 10, A_PROCESS, saw=lambda: beat_of(out))
        now = beat_of(out).streams["stocks"]
        assert now.received == now.applied + now.dropped + now.rejected + now.queued + now.missed
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=A_PROCESS)

    assert process.returncode == 0, said
    assert "From the desk desk at nats://127.0.0.1" in said
    assert "It begins with what comes next" in said
    assert "Nothing was lost." in said
    assert beat_of(out).state is RunState.ENDED
    assert bids(out) == [100, 101, 102, 103, 104]
    assert bids(out, "MSFT") == [], "the desk streams it for others"
    assert audit(out).problems == ()


def test_without_a_bus_it_does_not_begin_and_that_may_pass(tmp_path: Path):
    with nats_server() as server:
        server.kill()
        ended = invoke("--bus", server.url, "--stocks", "AAPL", "--out", str(tmp_path))

    assert isinstance(ended.exception, Unavailable)
    assert "cannot be reached" in str(ended.exception)


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("nats", "nats.aio", "nats.aio.client"):
        monkeypatch.setitem(sys.modules, name, None)

    ended = invoke("--bus", "nats://127.0.0.1", "--stocks", "AAPL", "--out", str(tmp_path))

    assert isinstance(ended.exception, ConfigError)
    assert "pip install 'options-helper[bus]'" in str(ended.exception)
    assert not list(tmp_path.glob("*")), "nothing was begun"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--news", "AAPL"], "not recorded from it"),
        (["--halts"], "not recorded from it"),
        (["--no-journal"], "keeps its place there in its journal"),
        (["--page"], "ui --bus"),
        (["--options-underlyings", "SPY"], "asks for keys"),
    ],
)
def test_what_no_desk_brings_is_refused_with_its_reason(tmp_path: Path, more: list[str], why: str):
    ended = invoke("--bus", "nats://127.0.0.1", "--stocks", "AAPL", "--out", str(tmp_path), *more)

    assert isinstance(ended.exception, ConfigError)
    assert why in str(ended.exception)


ASKED = Selection(stocks=("AAPL",), stock_feed="sip", options_feed="opra")


def test_it_is_of_the_feeds_that_the_owner_streams_unless_others_are_named():
    with nats_server() as server, serving(server, deliver(*quotes(0, 1))):
        until_it_speaks(server.address)
        assert Followed(server.address).look().selection(ASKED).stock_feed == "iex"

        named = Followed(server.address, stock_feed="sip").look()
        assert named.selection(ASKED).stock_feed == "sip"


def until_it_speaks(address: BusAddress) -> None:
    wait_until(lambda: look_at_desk(address) is not None)


def test_it_waits_for_an_owner_whose_first_word_names_no_feed_yet():
    with nats_server() as server, beginning(server) as owner, ThreadPoolExecutor(1) as threads:
        until_it_speaks(server.address)
        looking = threads.submit(Followed(server.address).look)
        with pytest.raises(TimeoutError):
            looking.result(1.0)  # it would have looked by now
        owner.start()

        assert looking.result(A_PROCESS).selection(ASKED).stock_feed == "iex"


def test_an_owner_that_does_not_name_its_feed_is_recorded_under_none_but_what_the_user_names():
    with nats_server() as server, beginning(server):
        until_it_speaks(server.address)
        desk = Followed(server.address).look(patience=0.1)
        with pytest.raises(Unavailable, match=r"has not said which feed of stocks .* --stock-feed"):
            desk.selection(ASKED)

        named = Followed(server.address, stock_feed="sip").look(patience=0.1)
        assert named.selection(ASKED).stock_feed == "sip"
