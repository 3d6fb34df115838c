"""`stream health`: what cron, systemd and a person are told of a run, and by which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from options_helper.clock import utc_now
from options_helper.commands.durations import parse_duration
from options_helper.commands.stream import stream
from options_helper.data.state_folder import state_folder
from options_helper.errors import ConfigError
from options_helper.live.session import LiveSession, RunSettings
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import Role, RunState
from options_helper.monitoring.heartbeat_file import (
    read_heartbeat,
    remember_run,
    write_heartbeat,
)
from options_helper.monitoring.judgement import RunStatus, format_age
from options_helper.monitoring.run_report import (
    RunReport,
    read_run,
    report_lines,
)
from options_helper.settings import Settings
from tests.kit.builders import AS_OF
from tests.kit.heartbeats import heartbeat, heartbeat_file, stream_beat
from tests.kit.waiting import wait_until
from tests.live.test_session import ScriptedManager, Stage

STOCKS, OPTIONS = StreamName.STOCKS, StreamName.OPTIONS


def report_of(
    folder: Path, *, seconds_later: float = 1.0, max_lag: float = 30.0, lives: bool = True, **facts: Any
) -> RunReport:
    """A look, some seconds later, at a run of these facts."""
    path = heartbeat_file(folder, **facts)
    return read_run(path, AS_OF + timedelta(seconds=seconds_later), max_lag, process_lives=lambda _: lives)


def streams(**more: Any) -> dict[StreamName, Any]:
    return {STOCKS: stream_beat(**more)}


def stream_health(*arguments: str) -> Result:
    """What the command says."""
    return CliRunner().invoke(stream, ["health", *arguments])


def test_a_run_that_keeps_up_is_running(tmp_path: Path):
    report = report_of(tmp_path)

    assert (report.status, report.healthy) == (RunStatus.RUNNING, True)
    assert report.message == "The capture runs."


def test_where_nothing_has_run_nothing_is_running(tmp_path: Path):
    report = read_run(tmp_path / "health.json", AS_OF, 30)

    assert report.status is RunStatus.NOT_RUNNING
    assert "There is no heartbeat at" in report.message


def test_an_old_heartbeat_is_stale_also_when_the_market_is_closed(tmp_path: Path):
    closed = streams(expects_data=False, lag_seconds=None)

    report = report_of(tmp_path, seconds_later=31, streams=closed)

    assert report.status is RunStatus.STALE
    assert "last wrote its heartbeat 31 s ago" in report.message


def test_a_heartbeat_of_tomorrow_is_stale(tmp_path: Path):
    report = report_of(tmp_path, seconds_later=-3_600)

    assert (report.status, "clock was set back" in report.message) == (RunStatus.STALE, True)


def test_a_process_that_is_gone_is_not_running_however_fresh_its_heartbeat(tmp_path: Path):
    report = report_of(tmp_path, lives=False)

    assert report.status is RunStatus.NOT_RUNNING
    assert "gone without a word" in report.message


def test_a_killed_process_is_noticed_at_once(tmp_path: Path):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    path = heartbeat_file(tmp_path, pid=process.pid)
    at = AS_OF + timedelta(seconds=1)
    assert read_run(path, at, 30).status is RunStatus.RUNNING

    process.kill()
    # Before its parent has collected it, as long as which its number is taken.
    wait_until(lambda: read_run(path, at, 30).status is RunStatus.NOT_RUNNING)
    process.wait()

    assert read_run(path, at, 30).status is RunStatus.NOT_RUNNING


def test_a_run_on_another_computer_is_judged_by_its_heartbeat_alone(tmp_path: Path):
    """Process numbers mean nothing there."""
    assert report_of(tmp_path, host="elsewhere", lives=False).status is RunStatus.RUNNING
    assert report_of(tmp_path, host="elsewhere", lives=False, seconds_later=60).status is RunStatus.STALE


def test_the_silence_of_an_open_market_is_stale(tmp_path: Path):
    late = streams(lag_seconds=45.0, phase=Phase.RECONNECTING, last_error="The server closed the connection.")

    report = report_of(tmp_path, streams=late)

    assert report.status is RunStatus.STALE
    assert report.message == (
        "No stocks data for 46 s although the market is open (reconnecting). The server closed the connection."
    )


def test_the_silence_of_a_closed_market_is_healthy(tmp_path: Path):
    closed = streams(expects_data=False, lag_seconds=None, silent_seconds=50_000.0, phase=Phase.QUIET)

    report = report_of(tmp_path, streams=closed)

    assert (report.status, report.lag_seconds) == (RunStatus.RUNNING, None)
    assert "nothing is expected from its feeds now" in report.message


def test_how_late_is_too_late_is_the_reader_s_to_say(tmp_path: Path):
    assert report_of(tmp_path, max_lag=60, streams=streams(lag_seconds=45.0)).healthy
    assert not report_of(tmp_path, max_lag=40, streams=streams(lag_seconds=45.0)).healthy


def test_one_stream_that_has_failed_is_a_failure(tmp_path: Path):
    refused = stream_beat(phase=Phase.FAILED, lag_seconds=None, last_error="Alpaca refused the opra feed.")

    report = report_of(tmp_path, streams={STOCKS: stream_beat(), OPTIONS: refused})

    assert report.status is RunStatus.FAILED
    assert report.message == "The options stream has failed. Alpaca refused the opra feed."


def test_a_problem_is_a_failure_while_it_lasts(tmp_path: Path):
    report = report_of(tmp_path, problem="The disk takes no more.")

    assert (report.status, report.message) == (
        RunStatus.FAILED,
        "The capture runs, but: The disk takes no more.",
    )


def test_an_orderly_end_is_no_failure_and_not_healthy(tmp_path: Path):
    report = report_of(tmp_path, state=RunState.ENDED, lives=False)

    assert (report.status, report.healthy) == (RunStatus.NOT_RUNNING, False)
    assert report.message == "The capture ended in order at 2026-11-20 15:00:00 UTC."


def test_an_end_by_an_error_is_a_failure(tmp_path: Path):
    report = report_of(tmp_path, state=RunState.ENDED, problem="The folder is gone.")

    assert (report.status, report.message) == (RunStatus.FAILED, "The capture has ended. The folder is gone.")


def test_an_end_for_want_of_streams_is_a_failure(tmp_path: Path):
    refused = streams(phase=Phase.FAILED, lag_seconds=None, last_error="Alpaca refused the sip feed.")

    report = report_of(tmp_path, state=RunState.ENDED, streams=refused)

    assert report.status is RunStatus.FAILED
    assert (
        report.message == "The capture has ended. The stocks stream has failed. Alpaca refused the sip feed."
    )


def test_waiting_for_the_open_is_healthy(tmp_path: Path):
    report = report_of(tmp_path, state=RunState.WAITING, waits_until=AS_OF, streams={})

    assert report.healthy
    assert report.message == "The capture waits for the market to open at Fri 2026-11-20 15:00 UTC."


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"market": MarketKind.SIMULATED}, "The capture runs on a simulated market."),
        ({"market": MarketKind.REPLAY}, "The capture runs on a replay."),
        (
            {"state": RunState.JOURNAL_ONLY},
            "The capture runs; under pressure it writes the journal first, and the rows later.",
        ),
    ],
)
def test_what_is_special_is_said(tmp_path: Path, facts: dict[str, Any], words: str):
    assert report_of(tmp_path, **facts).message == words


def test_a_run_that_never_connected_is_not_just_said_to_run(tmp_path: Path):
    lost = stream_beat(
        phase=Phase.RECONNECTING, connections=0, acknowledged=0, last_error="Nobody answers at 127.0.0.1."
    )

    report = report_of(tmp_path, streams={"stocks": lost, "options": lost, "fills": stream_beat()})

    assert report.message == (
        "The capture runs. Never connected so far: stocks, options. Nobody answers at 127.0.0.1."
    )
    assert "stocks (iex): reconnecting, last event" in "".join(report_lines(report))
    assert "0 of 2 symbols" in "".join(report_lines(report))


def test_the_exit_code_is_nought_only_when_all_is_well(tmp_path: Path):
    well = stream_health("--state", str(heartbeat_file(tmp_path, written_at=utc_now())))
    stale = stream_health("--state", str(heartbeat_file(tmp_path)))
    nothing = stream_health("--state", str(tmp_path / "nothing"))

    assert (well.exit_code, stale.exit_code, nothing.exit_code) == (0, 1, 1)
    assert [one.output.split(":")[0] for one in (well, stale, nothing)] == ["running", "stale", "not_running"]


def test_a_folder_stands_for_the_recording_in_it(tmp_path: Path):
    heartbeat_file(tmp_path, written_at=utc_now())

    assert stream_health("--state", str(tmp_path)).exit_code == 0


def test_without_a_name_it_is_the_run_that_is_alive(tmp_path: Path):
    capture = heartbeat_file(tmp_path, written_at=utc_now())
    remember_run(capture, Role.CAPTURE)
    # It ended later than the capture wrote last, and is not meant all the same.
    write_heartbeat(state_folder() / "dashboard-1.json", heartbeat(role=Role.DASHBOARD, state=RunState.ENDED))
    os.utime(capture, (1, 1))

    said = stream_health().output
    assert said.startswith("running: The capture runs.")
    assert f"the capture (process {os.getpid()})" in said
    assert str(state_folder()) in said.replace("\n", ""), "the file is named"


def test_where_two_runs_are_alive_none_is_chosen_by_chance(tmp_path: Path):
    """For cron, the one written last by a hair would be a coin toss."""
    remember_run(heartbeat_file(tmp_path, written_at=utc_now()), Role.CAPTURE)
    dashboard = state_folder() / "dashboard-1.json"
    write_heartbeat(dashboard, heartbeat(role=Role.DASHBOARD, written_at=utc_now()))

    result = stream_health()
    assert isinstance(result.exception, ConfigError)
    assert f"--state {dashboard}    the dashboard (process {os.getpid()})" in str(result.exception)
    assert "the capture (process" in str(result.exception)
    assert stream_health("--state", str(dashboard)).exit_code == 0


def test_where_nothing_ever_ran_it_says_so():
    assert stream_health().exit_code == 1
    assert "nothing has run" in stream_health().output


def test_a_person_reads_lag_uptime_totals_symbols_and_gaps(tmp_path: Path):
    output = stream_health("--state", str(heartbeat_file(tmp_path))).output

    for fact in (
        "up 10 min",
        "lag: 0.5 s",
        "stocks (iex): live",
        "12.5 events/s",
        "2 of 2 symbols",
        "100 events received, 2 dropped, 1 rejected",
        "97 rows written",
        "1 gap, 3 events lost",
    ):
        assert fact in output, output


def test_of_a_run_that_is_over_nothing_is_told_as_if_it_were_so_now(tmp_path: Path):
    """A killed capture is not live, and nothing of it lags."""
    killed = report_of(tmp_path, lives=False, seconds_later=100)

    said = "\n".join(report_lines(killed))
    assert "stocks (iex): was live, last event 100 s ago, 2 of 2 symbols" in said
    assert "this is how it was 100 s ago" in said
    assert "lag" not in said
    assert (killed.lag_seconds, killed.facts()["lag_seconds"]) == (None, None)
    assert report_of(tmp_path, state=RunState.ENDED).lag_seconds is None


def test_symbols_that_are_refused_are_named(tmp_path: Path):
    refused = streams(refused=7, refused_symbols=tuple("ABCDEFG"))

    assert "7 refused (A, B, C, D, E and 2 more)" in "\n".join(
        report_lines(report_of(tmp_path, streams=refused))
    )


@pytest.mark.parametrize(("size", "words"), [(12_600, "13.6 kB"), (2_345_678, "2.3 MB")])
def test_sizes_are_said_as_people_read_them(tmp_path: Path, size: int, words: str):
    assert words in "\n".join(report_lines(report_of(tmp_path, bytes=size)))


def test_a_monitor_reads_json(tmp_path: Path):
    now = utc_now()
    path = heartbeat_file(tmp_path, written_at=now, started_at=now - timedelta(minutes=10))

    said = json.loads(stream_health("--json", "--state", str(path)).output)

    assert (said["status"], said["healthy"], said["gaps"], said["lag_seconds"]) == ("running", True, 1, 0.5)
    assert said["totals"] == {"received": 100, "applied": 97, "dropped": 2, "rejected": 1, "queued": 0}
    assert said["symbols"] == {"asked": 2, "acknowledged": 2, "refused": 0}
    assert said["heartbeat"]["streams"]["stocks"]["phase"] == "live"
    assert said["uptime_seconds"] == 600
    assert 0 <= said["heartbeat_age_seconds"] < 30


def test_a_monitor_reads_json_also_where_there_is_nothing(tmp_path: Path):
    nothing = stream_health("--json", "--state", str(tmp_path / "nothing"))
    spoilt = tmp_path / "spoilt"
    spoilt.write_text("{")

    assert json.loads(nothing.output)["status"] == "not_running"
    assert json.loads(stream_health("--json", "--state", str(spoilt)).output)["status"] == "failed"


def test_a_lag_that_is_no_time_is_a_sentence(tmp_path: Path):
    result = stream_health("--max-lag", "soon", "--state", str(tmp_path))

    assert isinstance(result.exception, ConfigError)
    assert "'soon' is no stretch of time" in str(result.exception)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("30", 30),
        ("1.5", 1.5),
        ("5m", 300),
        ("5min", 300),
        ("1h30m", 5_400),
        ("1h30", 5_400),
        ("2m30", 150),
        ("1d12", 129_600),
        ("2 d", 172_800),
        ("250ms", 0.25),
    ],
)
def test_times_are_read_as_people_write_them(text: str, seconds: float):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-5s", "5 parsecs", "1h 5", "five", "10ms5", "1h30m5x"])
def test_what_is_no_time_is_refused(text: str):
    with pytest.raises(ValueError, match="no stretch of time"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.42, "0.4 s"), (45, "45 s"), (600, "10 min"), (36_000, "10.0 h"), (864_000, "10.0 days")],
)
def test_ages_are_said_as_people_read_them(seconds: float, words: str):
    assert format_age(seconds) == words


def test_the_dashboard_shows_that_it_runs_and_that_it_ended(tmp_path: Path):
    path = tmp_path / "dashboard.json"
    session = LiveSession(build_manager=ScriptedManager, heartbeat=path, housekeeping_seconds=3_600)
    session.start(Stage(tmp_path).portfolio_file, RunSettings(), Settings())
    try:
        wait_until(lambda: read_run(path, utc_now(), 30).status is RunStatus.RUNNING)
    finally:
        session.stop()

    beat = read_heartbeat(path)
    assert beat is not None
    assert (beat.role, beat.state, beat.problem) == ("dashboard", RunState.ENDED, None)
