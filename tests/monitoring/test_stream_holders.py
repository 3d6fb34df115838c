"""Who has an account's one connection to a feed, by the heartbeats of this user's programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from options_helper.data.state_folder import state_folder
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import Role, RunState
from options_helper.monitoring.heartbeat_file import write_heartbeat
from options_helper.monitoring.stream_holders import stream_holder
from tests.kit.builders import AS_OF
from tests.kit.heartbeats import heartbeat, stream_beat

FEEDS = [(StreamName.STOCKS, "iex"), (StreamName.OPTIONS, "indicative")]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path / "state")}


def beating(environ: dict[str, str], *, pid: int | None = None, phase: Phase = Phase.LIVE, **more) -> None:
    # The parent of a test lives, and is not the one that looks.
    pid = os.getppid() if pid is None else pid
    beat = heartbeat(
        pid=pid, streams={StreamName.OPTIONS: stream_beat(phase=phase, feed="indicative")}, **more
    )
    write_heartbeat(state_folder(environ) / f"{beat.role}-{pid}.json", beat)


@pytest.mark.parametrize("role", [Role.DASHBOARD, Role.CAPTURE, Role.WATCH])
def test_a_program_that_is_connected_has_the_feed(environ: dict[str, str], role: Role):
    beating(environ, role=role)

    assert stream_holder(FEEDS, AS_OF, environ) == f"the {role} on this computer (process {os.getppid()})"
    assert stream_holder(FEEDS[:1], AS_OF, environ) is None
    assert stream_holder([(StreamName.OPTIONS, "opra")], AS_OF, environ) is None


@pytest.mark.parametrize("phase", [Phase.RECONNECTING, Phase.FAILED, Phase.STOPPED, Phase.CONNECTING])
def test_one_that_is_not_connected_has_it_not(environ: dict[str, str], phase: Phase):
    beating(environ, phase=phase)

    assert stream_holder(FEEDS, AS_OF, environ) is None


def test_a_process_may_be_left_out_and_one_that_has_ended_has_nothing(environ: dict[str, str]):
    beating(environ)
    assert stream_holder(FEEDS, AS_OF, environ, but_not=os.getppid()) is None

    beating(environ, state=RunState.ENDED)
    assert stream_holder(FEEDS, AS_OF, environ) is None


def test_a_market_of_this_computer_is_none_of_alpacas(environ: dict[str, str]):
    beating(environ, market=MarketKind.SIMULATED)

    assert stream_holder(FEEDS, AS_OF, environ, local_market=False) is None
    assert stream_holder(FEEDS, AS_OF, environ, local_market=True) is not None
