"""The doctor at servers that fail in every way, through the real alpaca-py: each line says what to do."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from options_helper.data.rest.rate_limit import RestPolicy
from options_helper.data.streaming.alpaca_stream import AlpacaStockStreamer
from options_helper.data.streaming.connection.alpaca_sdk import ConnectionTiming
from options_helper.doctor.findings import NETWORK_CHECKS, Check, Finding, Verdict
from options_helper.doctor.run import Checkup, Environment
from options_helper.model.instants import utc_datetime
from options_helper.model.portfolio import load_portfolio
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import Role
from options_helper.monitoring.heartbeat_file import write_heartbeat
from options_helper.settings import DEMO_KEY, DEMO_SECRET, Settings
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from options_helper.simulator.wire.protocol import FREE_PLAN
from tests.kit.heartbeats import heartbeat
from tests.kit.simulated import PATIENT_REST
from tests.kit.waiting import A_PROCESS, AT_ONCE, FOREVER, threads, until_no_thread, wait_until

OK, WARNING, FAILED = Verdict.OK, Verdict.WARNING, Verdict.FAILED
NOON = 1_774_022_400_123_456_789  # Friday 2026-03-20 12:00 in New York
KEY = "PKSENTINELKEY0000001"
SECRET = "sentinelSecret0000000000000000000000002"  # noqa: S105 - made up, to be searched for
STREAMS = (Check.STOCK_STREAM, Check.OPTION_STREAM, Check.ORDER_STREAM)
REQUESTS = (Check.CLOCK, Check.CALENDAR, Check.ACCOUNT, Check.MARKET_DATA)

# For servers that answer, however busy the machine is …
PATIENT = {
    "local_seconds": FOREVER,
    "rest_policy": PATIENT_REST,
    "rest_seconds": FOREVER,
    "stream_timing": ConnectionTiming(opening=FOREVER, acknowledgement=FOREVER),
    "stream_seconds": FOREVER,
}
# … and for those that owe an answer; the answers before it have until then, too.
IMPATIENT_REST = {"rest_policy": RestPolicy(connect_seconds=2.0, read_seconds=2.0, attempts=1)}
IMPATIENT_STREAMS = {"stream_timing": ConnectionTiming(opening=2.0, acknowledgement=2.0, closing=0.2)}

Simulators = Callable[..., SimulatorServer]
Doctor = Callable[..., dict[Check, Finding]]


@pytest.fixture
def simulator(running_simulator: Simulators) -> Simulators:
    """Start servers that know a user's keys, not the simulator's own."""

    def start(**options: Any) -> SimulatorServer:
        return running_simulator(SilentMarket(start_ns=NOON), key=KEY, secret=SECRET, **options)

    return start


def environment(server: SimulatorServer, **variables: str) -> dict[str, str]:
    return {
        "APCA_API_KEY_ID": KEY,
        "APCA_API_SECRET_KEY": SECRET,
        "APCA_API_BASE_URL": server.rest_url,
        "OH_ALPACA_DATA_URL": server.rest_url,
        "OH_ALPACA_STREAM_URL": server.stream_url,
        **variables,
    }


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    """Look, at a server's market time, and answer what was found; nobody is left without a remedy or given a secret."""

    def check(
        server: SimulatorServer, variables: dict[str, str] | None = None, **changed: Any
    ) -> dict[Check, Finding]:
        injected = Environment(
            environ={"XDG_STATE_HOME": str(tmp_path / "state"), **environment(server), **(variables or {})},
            env_file=tmp_path / "no-alpaca.env",
            now=lambda: utc_datetime(server.now_ns),
        )
        found = {
            line.check: line.finding
            for line in Checkup(environment=replace(injected, **{**PATIENT, **changed})).lines()
        }
        for finding in found.values():
            assert finding.remedy or finding.verdict not in (WARNING, FAILED), finding
        assert KEY[:5] not in str(found)
        assert SECRET[:5] not in str(found)
        return found

    return check


def test_a_server_that_is_well_is_said_to_be(simulator: Simulators, doctor: Doctor):
    server = simulator()

    found = doctor(server)

    assert {check: found[check].verdict for check in NETWORK_CHECKS} == dict.fromkeys(NETWORK_CHECKS, OK)
    assert "SPY acknowledged in" in found[Check.STOCK_STREAM].message
    assert "SPY261218C00600000 acknowledged in" in found[Check.OPTION_STREAM].message
    assert found[Check.ORDER_STREAM].details.keys() == {"connected and authenticated", "acknowledged", "left"}
    assert "a SIMULATED market answers" in found[Check.STOCK_STREAM].message


def test_each_stream_is_visited_once_and_left(simulator: Simulators, doctor: Doctor):
    server = simulator()

    doctor(server)

    assert dict(server.connections) == {"/v2/iex": 1, "/v1beta1/indicative": 1, "/stream": 1}
    wait_until(lambda: not any(server.clients.values()), saw=lambda: server.clients)


def test_the_feeds_that_are_set_are_the_ones_visited(simulator: Simulators, doctor: Doctor):
    server = simulator()

    doctor(server, {"OH_ALPACA_STOCK_FEED": "test", "OH_ALPACA_OPTIONS_FEED": "opra"})

    assert dict(server.connections) == {"/v2/test": 1, "/v1beta1/opra": 1, "/stream": 1}


STREAM_FAULTS: dict[str, tuple[Faults, tuple[Check, ...], Verdict, str, str]] = {
    "the slot is taken": (
        Faults(auth_error=406),
        STREAMS[:2],
        FAILED,
        "(406)",
        "Stop the other program, tab or computer",
    ),
    "not in the plan": (Faults(auth_error=409), STREAMS[:2], FAILED, "(409)", "upgrade the subscription"),
    "refused key": (Faults(auth_error=402), STREAMS, FAILED, "", "Check APCA_API_KEY_ID"),
    "no scope": (Faults(auth_error=411), STREAMS[:2], FAILED, "(411)", "create one with that scope"),
    "fault of the server": (Faults(auth_error=500), STREAMS[:2], FAILED, "(500)", "Try again in a minute."),
    "http 401": (Faults(http_status=401), STREAMS, FAILED, "HTTP 401", "Check APCA_API_KEY_ID"),
    "http 404": (Faults(http_status=404), STREAMS[:2], FAILED, "HTTP 404", "check OH_ALPACA_STREAM_URL"),
    "http 404 of the account": (
        Faults(http_status=404, stream=StreamName.FILLS),
        STREAMS[2:],
        FAILED,
        "HTTP 404",
        "check APCA_API_BASE_URL",
    ),
    "http 429": (Faults(http_status=429), STREAMS, FAILED, "HTTP 429", "Try again in a minute."),
    "http 503": (Faults(http_status=503), STREAMS, FAILED, "HTTP 503", "the server's fault"),
    "redirect": (
        Faults(redirect="https://example.com"),
        STREAMS,
        FAILED,
        "another address",
        "Check OH_ALPACA",
    ),
    "hangs": (Faults(never_upgrade=True), STREAMS, FAILED, "no welcome", "a firewall or proxy"),
    "no welcome": (Faults(silent_welcome=True), STREAMS[:2], FAILED, "no welcome", "a firewall or proxy"),
    "no answer to the key": (Faults(silent_auth=True), STREAMS, FAILED, "no answer to the key", "proxy"),
    "no acknowledgement": (Faults(no_ack=True), STREAMS, FAILED, "did not acknowledge", "proxy"),
    "too many symbols": (
        Faults(subscribe_error=405),
        STREAMS[:2],
        WARNING,
        "(405)",
        "Other symbols may work",
    ),
    "left out": (Faults(partial_ack=1), STREAMS[:2], WARNING, "leaves it out", "Other symbols may work"),
}

SILENT = ("hangs", "no welcome", "no answer to the key", "no acknowledgement")


@pytest.mark.parametrize("case", STREAM_FAULTS)
def test_a_stream_that_fails_is_one_line_with_the_remedy(simulator: Simulators, doctor: Doctor, case: str):
    faults, checks, verdict, words, remedy = STREAM_FAULTS[case]

    found = doctor(simulator(faults=faults), **(IMPATIENT_STREAMS if case in SILENT else {}))

    assert {check: found[check].verdict for check in checks} == dict.fromkeys(checks, verdict)
    for check in checks:
        assert words in found[check].message
        assert remedy in (found[check].remedy or "")
    assert {check: found[check].verdict for check in REQUESTS} == dict.fromkeys(REQUESTS, OK)


@pytest.mark.parametrize(
    ("faults", "words", "remedy"),
    [
        (Faults(rest_status=401), "HTTP 401", "Check APCA_API_KEY_ID"),
        (Faults(rest_status=403), "HTTP 403", "whether the plan includes"),
        (Faults(rest_status=429), "HTTP 429", "wait a minute"),
        (Faults(rest_status=500), "HTTP 500", "try again in a minute"),
        (Faults(rest_status=504), "HTTP 504", "try again in a minute"),
        (Faults(rest_hang=True), "did not answer in time", "Check the network"),
        (Faults(rest_slow=5.0), "did not answer in time", "Check the network"),
        (Faults(rest_truncated=True), "cannot be", "ry again"),
    ],
    ids=["401", "403", "429", "500", "504", "hangs", "slow", "truncated"],
)
def test_a_request_that_fails_is_one_line_with_the_remedy(
    simulator: Simulators, doctor: Doctor, faults: Faults, words: str, remedy: str
):
    owes_an_answer = faults.rest_hang or faults.rest_slow

    found = doctor(simulator(faults=faults), **(IMPATIENT_REST if owes_an_answer else {}))

    for check in REQUESTS:
        assert found[check].verdict is FAILED
        assert words in found[check].message
        assert remedy in (found[check].remedy or "")
    assert {check: found[check].verdict for check in STREAMS} == dict.fromkeys(STREAMS, OK)


def test_where_the_market_s_hours_differ_the_market_is_believed(simulator: Simulators, doctor: Doctor):
    agreed = doctor(simulator())[Check.CALENDAR]
    closed = doctor(simulator(faults=Faults(closed_today=True)))[Check.CALENDAR]

    assert (agreed.verdict, closed.verdict) == (OK, OK)
    assert "the market is open; it closes Fri 20 Mar 16:00 ET; it says of its hours what" in agreed.message
    assert "the market is closed; it opens Mon 23 Mar 09:30 ET" in closed.message
    assert "is believed: 20 Mar 26 closed" in closed.message
    assert closed.details == {"2026-03-20": "closed"}


def test_a_wrong_secret_fails_everywhere_with_the_same_remedy(simulator: Simulators, doctor: Doctor):
    found = doctor(simulator(), {"APCA_API_SECRET_KEY": "another-secret"})

    for check in NETWORK_CHECKS:
        assert found[check].verdict is FAILED
        assert "APCA_API_SECRET_KEY" in (found[check].remedy or "")
    assert "another-secret" not in str(found)


def test_a_feed_beyond_the_plan_is_named_and_the_others_are_well(simulator: Simulators, doctor: Doctor):
    found = doctor(simulator(limits=FREE_PLAN), {"OH_ALPACA_OPTIONS_FEED": "opra"})

    assert found[Check.OPTION_STREAM].verdict is FAILED
    assert "insufficient subscription (409) on the opra feed" in found[Check.OPTION_STREAM].message
    assert "choose iex or indicative" in (found[Check.OPTION_STREAM].remedy or "")
    assert found[Check.STOCK_STREAM].verdict is OK


def test_a_server_that_is_not_there_is_said_to_be_out_of_reach(simulator: Simulators, doctor: Doctor):
    server = simulator()
    gone = environment(server)
    now = server.now_ns
    server.stop()

    found = doctor(server, gone, now=lambda: utc_datetime(now))

    for check in NETWORK_CHECKS:
        assert found[check].verdict is FAILED
        assert "Check the network" in (found[check].remedy or "")


def test_a_name_that_leads_nowhere_is_told(simulator: Simulators, doctor: Doctor):
    found = doctor(simulator(), {"OH_ALPACA_STREAM_URL": "wss://stream.invalid"})

    for check in STREAMS[:2]:
        assert found[check].message == "The name stream.invalid leads to no address."
        assert "OH_ALPACA_STREAM_URL" in (found[check].remedy or "")
    assert found[Check.ORDER_STREAM].verdict is OK


def test_a_port_that_speaks_no_websocket_does_not_hold_anything_up(simulator: Simulators, doctor: Doctor):
    with mute_listener() as address:
        found = doctor(
            simulator(),
            {"OH_ALPACA_STREAM_URL": f"ws://{address}", "OH_ALPACA_DATA_URL": f"http://{address}"},
            **IMPATIENT_STREAMS,
            **IMPATIENT_REST,
        )

    # Each gave up by itself, before nobody waited for it any more.
    for check in (Check.STOCK_STREAM, Check.OPTION_STREAM, Check.MARKET_DATA):
        assert found[check].verdict is FAILED
        assert not found[check].message.startswith("No answer within")
        assert "network" in (found[check].remedy or "")


@contextmanager
def mute_listener() -> Iterator[str]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_when_everything_hangs_each_line_still_comes_in_time(simulator: Simulators, doctor: Doctor):
    """The last resort, for what no timeout of its own ends."""
    server = simulator(faults=Faults(rest_hang=True, never_upgrade=True))

    found = doctor(server, rest_seconds=0.5, stream_seconds=0.7)

    assert all(found[check].message.startswith("No answer within 0.") for check in NETWORK_CHECKS)
    assert threads("doctor-"), "they go on although nobody waits for them"
    server.stop()
    until_no_thread("doctor-")


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [(0.0, OK), (20.0, WARNING), (-20.0, WARNING), (3_600.0, FAILED), (-3_600.0, FAILED)],
)
def test_a_clock_that_differs_from_the_server_s_is_noticed(
    simulator: Simulators, doctor: Doctor, ahead: float, verdict: Verdict
):
    server = simulator()

    found = doctor(server, now=lambda: utc_datetime(server.now_ns) + timedelta(seconds=ahead))

    assert found[Check.CLOCK].verdict is verdict


def test_a_session_that_is_played_has_its_own_time_and_its_own_keys(
    running_simulator: Simulators, repository: Path, doctor: Doctor
):
    portfolio = load_portfolio(repository / "portfolio.json")
    server = running_simulator(SeededMarket(portfolio), key=DEMO_KEY, secret=DEMO_SECRET)
    demo = {"APCA_API_KEY_ID": DEMO_KEY, "APCA_API_SECRET_KEY": DEMO_SECRET}

    found = doctor(server, demo, now=lambda: utc_datetime(NOON))

    assert found[Check.CLOCK].verdict is OK
    assert "a simulated market plays its own time" in found[Check.CLOCK].message
    assert found[Check.ACCOUNT].verdict is OK
    assert "the simulator's own" in found[Check.KEYS].message


@pytest.mark.parametrize("answers", [True, False])
def test_a_demo_s_file_is_judged_by_the_day_it_plays(
    running_simulator: Simulators, repository: Path, doctor: Doctor, *, answers: bool
):
    """Also when it does not answer: then by where its session begins, as the launcher told."""
    sample = repository / "portfolio.json"
    server = running_simulator(SeededMarket(load_portfolio(sample)), key=DEMO_KEY, secret=DEMO_SECRET)
    demo = {
        "APCA_API_KEY_ID": DEMO_KEY,
        "APCA_API_SECRET_KEY": DEMO_SECRET,
        "OH_PORTFOLIO": str(sample),
        "OH_ALPACA_MARKET_TIME": utc_datetime(server.now_ns).isoformat(),
    }
    if not answers:
        server.set_faults(Faults(rest_status=403))

    found = doctor(server, demo, now=lambda: datetime(2031, 2, 3, tzinfo=UTC))

    assert found[Check.CLOCK].verdict is (OK if answers else FAILED)
    assert found[Check.PORTFOLIO].verdict is OK


def test_the_option_that_is_looked_at_is_listed_on_new_york_s_day(simulator: Simulators, doctor: Doctor):
    """The December contract of the year, until New York's November ends."""
    server = simulator()

    found = doctor(server, now=lambda: datetime(2026, 12, 1, 4, 59, tzinfo=UTC))

    assert "SPY261218C00600000 acknowledged" in found[Check.OPTION_STREAM].message


@contextmanager
def held_stock_stream(server: SimulatorServer) -> Iterator[None]:
    """Another program of the user's, streaming."""
    streamer = AlpacaStockStreamer(Settings.load(environment(server)), feed="iex")
    streamer.subscribe(("AAPL",))
    thread = threading.Thread(target=streamer.run, name="live-other")
    thread.start()
    try:
        wait_until(lambda: server.subscribed(StreamName.STOCKS))
        yield
    finally:
        streamer.stop()
        thread.join(AT_ONCE)


def test_a_stream_in_use_is_told_and_stays_with_its_owner(simulator: Simulators, doctor: Doctor):
    server = simulator()

    with held_stock_stream(server):
        found = doctor(server)

        assert found[Check.STOCK_STREAM].verdict is FAILED
        assert "is taken" in found[Check.STOCK_STREAM].message
        assert found[Check.OPTION_STREAM].verdict is OK
        assert server.subscribed(StreamName.STOCKS, "quotes") == {"AAPL"}


def test_that_the_own_dashboard_uses_its_stream_is_no_failure(
    simulator: Simulators, doctor: Doctor, tmp_path: Path
):
    server = simulator()
    beat = heartbeat(role=Role.DASHBOARD, written_at=utc_datetime(server.now_ns))
    write_heartbeat(tmp_path / "state" / "options-helper" / "dashboard-4711.json", beat)

    with held_stock_stream(server):
        found = doctor(server)

    assert found[Check.STOCK_STREAM].verdict is WARNING
    assert (
        f"in use by the dashboard on this computer (process {beat.pid})" in found[Check.STOCK_STREAM].message
    )


def command(
    server: SimulatorServer, folder: Path, *arguments: str, python: str = ""
) -> subprocess.CompletedProcess[str]:
    """The command as a person has it; `python` runs first, in the same process."""
    program = f"{python}\nfrom options_helper.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "doctor", *arguments],
        cwd=folder,
        env=environment(server, XDG_STATE_HOME=str(folder)),
        capture_output=True,
        text=True,
        timeout=A_PROCESS,
        check=False,
    )


def test_without_the_sdk_each_line_that_needs_it_says_how_to_get_it(simulator: Simulators, tmp_path: Path):
    result = command(simulator(), tmp_path, "--json", python="import sys; sys.modules['alpaca'] = None")

    found = {one["check"]: one for one in json.loads(result.stdout)["checks"]}
    assert result.returncode == 1
    for check in NETWORK_CHECKS:
        assert found[check]["words"] == "This needs alpaca, which is not installed."
        assert "pip install 'options-helper[ui,alpaca]'" in found[check]["remedy"]


def test_the_command_looks_at_a_real_server_and_is_quiet_otherwise(simulator: Simulators, tmp_path: Path):
    server = simulator(faults=Faults(auth_error=409))

    result = command(server, tmp_path)

    assert result.returncode == 1
    assert result.stderr == ""
    failed = [line for line in result.stdout.splitlines() if line.startswith("failed")]
    assert any("Stock stream" in line and "upgrade the subscription" in line for line in failed)
    assert SECRET not in result.stdout
