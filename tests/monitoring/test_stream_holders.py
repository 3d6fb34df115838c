"""Who has an account's one connection to a feed, by the heartbeats of this user's programs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from options_helper.data.state_folder import state_folder
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import Role, RunState
from options_helper.monitoring.heartbeat_file import write_heartbeat
from options_helper.monitoring.stream_holders import find_holder, market_key, stream_holder, who_has_it
from options_helper.settings import Settings
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


def settings(key: str = "PKMINE", url: str = "ws://127.0.0.1:9001") -> Settings:
    return Settings(api_key=SecretStr(key), api_secret=SecretStr("its-secret"), stream_url=url)


@pytest.mark.parametrize(
    ("theirs", "has_it"),
    [
        (settings(), True),
        (settings(url="ws://127.0.0.1:9002"), False),
        (settings(key="PKANOTHER"), False),
        (replace(settings(key="PKOTHER"), data_account=settings()), True),
        (None, True),
    ],
    ids=["the same", "another server", "another account", "the same market data", "it does not say"],
)
def test_who_streams_from_another_server_or_for_another_account_has_not_this_connection(
    environ: dict[str, str],
    theirs: Settings | None,
    has_it: bool,  # noqa: FBT001
):
    """A watch asks over REST where its own connection is taken, and not where there is some dashboard."""
    beating(environ, market_key=None if theirs is None else market_key(theirs, environ))
    key = market_key(settings(), environ)

    assert (find_holder(FEEDS, AS_OF, environ, key=key) is not None) == has_it
    said = who_has_it([taken_options()], AS_OF, Role.DASHBOARD, environ, local_market=False, key=key)
    assert (said is not None) == has_it


def test_a_heartbeat_names_server_and_key_so_that_nobody_can_tell_them_from_it(environ: dict[str, str]):
    key = market_key(settings(), environ)
    beating(environ, market_key=key)
    (file,) = state_folder(environ).glob("*.json")

    assert key is not None
    assert key == market_key(settings(), environ)
    assert not any(secret in file.read_text() for secret in ("PKMINE", "its-secret", "9001"))
    # Made with a number of this user's own, so that trying keys elsewhere finds nothing.
    assert key != market_key(settings(), {"XDG_STATE_HOME": f"{environ['XDG_STATE_HOME']}-elsewhere"})


def test_without_a_key_or_a_folder_it_names_nothing(tmp_path: Path, environ: dict[str, str]):
    (tmp_path / "a-file").touch()

    assert market_key(Settings(), environ) is None
    assert market_key(settings(), {"XDG_STATE_HOME": str(tmp_path / "a-file")}) is None


PAGE = "http://127.0.0.1:8501/Live_Portfolio"


@pytest.mark.parametrize(
    ("role", "page", "asking", "way"),
    [
        (Role.DASHBOARD, PAGE, Role.DASHBOARD, f"Its page is at {PAGE}: open that one."),
        (Role.CAPTURE, PAGE, Role.DASHBOARD, f"Its page is at {PAGE}: open that one."),
        (Role.CAPTURE, None, Role.DASHBOARD, "begin it again with --page"),
        (Role.DASHBOARD, PAGE, Role.CAPTURE, "open it again with `options-helper ui --record DIR`"),
        (Role.CAPTURE, None, Role.CAPTURE, "End it first."),
        (Role.WATCH, None, Role.DASHBOARD, "End it first."),
    ],
)
def test_whoever_is_refused_is_told_who_has_the_connection_and_how_to_share_it(
    environ: dict[str, str], role: Role, page: str | None, asking: Role, way: str
):
    beating(environ, role=role, page=page)
    taken = taken_options()
    said = who_has_it([taken], AS_OF, asking, environ, local_market=False)
    assert said is not None
    assert said.startswith(
        f"The {role} on this computer (process {os.getppid()}) has the connection to indicative. "
    )
    assert way in said


def taken_options(**more: Any) -> StreamHealth:
    return StreamHealth(
        StreamName.OPTIONS,
        **{"phase": Phase.RECONNECTING, "feed": "indicative", "last_error_code": 406, **more},
    )


@pytest.mark.parametrize(
    "well",
    [
        taken_options(last_error_code=None),
        taken_options(last_error_code=402),
        taken_options(phase=Phase.LIVE),
        taken_options(feed="opra"),
    ],
)
def test_nobody_is_looked_for_where_the_connection_is_not_taken(environ: dict[str, str], well: StreamHealth):
    beating(environ)
    assert who_has_it([well], AS_OF, Role.DASHBOARD, environ, local_market=False) is None


def test_a_run_does_not_find_itself(environ: dict[str, str]):
    beating(environ, pid=os.getpid())
    assert who_has_it([taken_options()], AS_OF, Role.DASHBOARD, environ, local_market=False) is None


def test_a_market_of_this_computer_takes_no_connection_of_the_account(environ: dict[str, str]):
    beating(environ, market=MarketKind.SIMULATED)
    assert who_has_it([taken_options()], AS_OF, Role.DASHBOARD, environ, local_market=False) is None
    assert who_has_it([taken_options()], AS_OF, Role.DASHBOARD, environ, local_market=True) is not None


def test_a_process_that_shows_and_records_is_told_as_the_one_that_records(environ: dict[str, str]):
    """So that nobody ends it for a dashboard."""
    beating(environ, role=Role.CAPTURE, page=PAGE)
    beating(environ, role=Role.DASHBOARD, page=PAGE)
    found = find_holder(FEEDS, AS_OF, environ)
    assert found is not None
    assert (found.role, found.page) == (Role.CAPTURE, PAGE)
