"""What a run shows of itself to the outside, once a second, and how silence is judged where it can be."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from options_helper.data.recording.status import CaptureState, CaptureStatus
from options_helper.data.state_folder import state_folder
from options_helper.errors import StoreError
from options_helper.model.announcement import MarketKind
from options_helper.model.providers import BudgetReport, EndpointReport, FailureKind, ProviderReport
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import (
    Heartbeat,
    IngestionStatus,
    JobBeat,
    Role,
    RunState,
    Status,
    StreamBeat,
    Waiting,
)
from options_helper.monitoring.heartbeat_file import (
    dashboard_file,
    forget_heartbeats,
    known_heartbeats,
    read_heartbeat,
    remember_run,
    write_heartbeat,
)
from options_helper.monitoring.heartbeat_writer import HeartbeatWriter
from tests.kit.builders import AS_OF, snapshot_with
from tests.kit.heartbeats import Clock, capture_status, heartbeat, stocks_health
from tests.kit.waiting import wait_until

STOCKS, OPTIONS, FILLS = StreamName.STOCKS, StreamName.OPTIONS, StreamName.FILLS
NIGHT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)  # 22:00 in New York
QUICK = 0.01


class Run:
    """A run whose status a test sets."""

    def __init__(self, status: Status | None) -> None:
        self.status = status

    def __call__(self) -> Status | None:
        return self.status


@contextmanager
def watched(
    run: Run, path: Path, *, every_seconds: float = QUICK, clock: Clock | None = None
) -> Iterator[HeartbeatWriter]:
    with HeartbeatWriter(path, run, every_seconds=every_seconds, now=clock or Clock()) as writer:
        yield writer


def read(path: Path) -> Heartbeat:
    beat = read_heartbeat(path)
    assert beat is not None
    return beat


def beat_of(*healths: StreamHealth, path: Path, **more: object) -> StreamBeat:
    """The stream's part of the first heartbeat of a capture with these streams."""
    with watched(Run(capture_status(*healths, **more)), path / "health.json", every_seconds=60) as writer:
        return writer.last.streams[healths[0].name]


def test_what_is_written_is_read_back(tmp_path: Path):
    written = heartbeat(problem="The disk is full.", waits_until=AS_OF, last_flush_at=AS_OF)

    write_heartbeat(tmp_path / "health.json", written)

    assert read_heartbeat(tmp_path / "health.json") == written


def test_the_file_is_there_as_soon_as_the_run_is(tmp_path: Path):
    path = tmp_path / "health.json"

    with watched(
        Run(capture_status(stocks_health(received=12, applied=10, queued=2))), path, every_seconds=60
    ):
        beat = read(path)

    assert (beat.pid, beat.host, beat.role) == (os.getpid(), socket.gethostname(), Role.CAPTURE)
    assert beat.state is RunState.RUNNING
    assert (beat.rows, beat.rows_waiting, beat.bytes, beat.journal_bytes, beat.gaps) == (
        10,
        5,
        2_000,
        1_000,
        1,
    )
    assert list(beat.streams) == [STOCKS], "streams that nobody asked for are left out"
    assert (beat.streams[STOCKS].received, beat.streams[STOCKS].queued) == (12, 2)


def test_it_is_written_again_and_again(tmp_path: Path):
    path, clock = tmp_path / "health.json", Clock()

    with watched(Run(capture_status()), path, clock=clock):
        clock.now += timedelta(seconds=7)
        wait_until(lambda: read(path).written_at == AS_OF + timedelta(seconds=7), saw=lambda: read(path))


def test_a_reader_never_meets_half_a_file(tmp_path: Path):
    """Each is put in place as a whole."""
    path, run = tmp_path / "health.json", Run(capture_status(stocks_health()))

    with watched(run, path, every_seconds=0.0001):
        pids = [read(path).pid for _ in range(300)]

    assert pids == [os.getpid()] * 300


def test_nobody_else_may_read_it(tmp_path: Path):
    path = tmp_path / "folder" / "health.json"
    write_heartbeat(path, heartbeat())
    path.chmod(0o644)

    write_heartbeat(path, heartbeat())

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["health.json"]


def test_a_link_laid_in_its_way_is_not_followed(tmp_path: Path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "health.json").symlink_to(precious)

    write_heartbeat(tmp_path / "health.json", heartbeat())

    assert precious.read_text() == "mine"
    assert not (tmp_path / "health.json").is_symlink()


def test_no_key_and_no_folder_is_in_it(tmp_path: Path):
    path = tmp_path / "health.json"

    with watched(Run(capture_status(stocks_health())), path):
        text = path.read_text()

    assert str(tmp_path) not in text
    assert not {"key", "secret"} & set(json.loads(text))


def test_a_full_disk_does_not_keep_it_from_saying_so(tmp_path: Path):
    """The last word must not be that all is well."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system takes root")
    try:
        path = folder / "health.json"
        write_heartbeat(path, heartbeat())
        with suppress(OSError), (folder / "ballast").open("wb", buffering=0) as ballast:
            while ballast.write(bytes(512)):
                pass

        write_heartbeat(path, heartbeat(problem="The disk takes no more."))

        assert read(path).problem == "The disk takes no more."
        assert [entry.name for entry in folder.iterdir() if entry.name != "ballast"] == ["health.json"]
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_refuses_costs_only_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """The run goes on, the log says it once, and the file is written when there is room again."""
    folder = tmp_path / "folder"
    folder.write_text("a file where the folder should be")
    run = Run(capture_status())

    with watched(run, folder / "health.json", clock=Clock()) as writer:
        run.status = capture_status(gaps=5)
        wait_until(lambda: writer.last.gaps == 5)
        folder.unlink()
        wait_until((folder / "health.json").exists)

    assert caplog.text.count("cannot be written") == 1


@pytest.mark.parametrize("content", ["", "{}", "[1]", "\xff", '{"role": "capture"'])
def test_a_file_that_is_no_heartbeat_is_said_to_be_none(tmp_path: Path, content: str):
    path = tmp_path / "health.json"
    path.write_text(content, encoding="latin-1")

    with pytest.raises(StoreError, match=r"health\.json is no heartbeat"):
        read_heartbeat(path)


def test_where_nothing_has_run_there_is_nothing_to_read(tmp_path: Path):
    assert read_heartbeat(tmp_path / "health.json") is None


def test_an_orderly_end_is_written_down(tmp_path: Path):
    path, run = tmp_path / "health.json", Run(capture_status())

    with watched(run, path):
        run.status = capture_status(state=CaptureState.ENDED, gaps=3)

    assert (read(path).state, read(path).problem, read(path).gaps) == (RunState.ENDED, None, 3)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (StoreError("The folder is gone."), "The folder is gone."),
        (KeyError("symbol"), "It ended unexpectedly (KeyError): 'symbol'"),
    ],
)
def test_an_end_by_an_error_says_so(tmp_path: Path, error: Exception, problem: str):
    path = tmp_path / "health.json"

    with pytest.raises(type(error)), watched(Run(capture_status()), path):
        raise error

    assert (read(path).state, read(path).problem) == (RunState.ENDED, problem)


def test_a_look_that_fails_does_not_end_the_looks(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path, failing = tmp_path / "health.json", threading.Event()

    def status() -> CaptureStatus:
        if failing.is_set():
            raise ValueError("a fault of ours")
        return capture_status(gaps=9)

    with HeartbeatWriter(path, status, every_seconds=QUICK) as writer:
        failing.set()
        wait_until(lambda: "a round of live-heartbeat failed" in caplog.text)
        path.unlink()
        failing.clear()
        wait_until(path.exists)
        assert writer.last.gaps == 9


def test_silence_counts_while_the_market_is_open(tmp_path: Path):
    path, clock = tmp_path / "health.json", Clock()
    run = Run(capture_status(stocks_health(silent=0)))

    with watched(run, path, clock=clock) as writer:
        later = AS_OF + timedelta(seconds=45)
        run.status = capture_status(stocks_health(silent=45, as_of=later), as_of=later)
        wait_until(lambda: writer.last.lag_seconds == 45, saw=lambda: writer.last)


@pytest.mark.parametrize(("running", "lag"), [(True, 45), (False, None)])
def test_a_run_whose_stream_ended_elsewhere_is_late_and_one_that_was_stopped_is_not(
    tmp_path: Path, *, running: bool, lag: int | None
):
    later = AS_OF + timedelta(seconds=45)
    before, after = (
        snapshot_with(
            as_of=at,
            running=running,
            streams=[stocks_health(silent=silent, phase=Phase.STOPPED, as_of=at)],
        )
        for silent, at in ((0, AS_OF), (45, later))
    )
    run = Run(before)

    with watched(run, tmp_path / "health.json") as writer:
        run.status = after
        wait_until(lambda: writer.last.streams[STOCKS].silent_seconds == 45, saw=lambda: writer.last)
        assert writer.last.streams[STOCKS].lag_seconds == lag


def test_the_silence_of_a_closed_market_is_none(tmp_path: Path):
    beat = beat_of(stocks_health(silent=7_200, as_of=NIGHT), path=tmp_path, as_of=NIGHT)

    assert (beat.expects_data, beat.lag_seconds, beat.silent_seconds) == (False, None, 7_200)


def test_the_night_before_the_open_does_not_count(tmp_path: Path):
    """A stream that was silent since yesterday's close is not late in the first second of the day."""
    opened = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
    before, after = opened - timedelta(seconds=1), opened + timedelta(seconds=2)
    run = Run(capture_status(stocks_health(silent=60_000, as_of=before), as_of=before))

    with watched(run, tmp_path / "health.json") as writer:
        assert writer.last.lag_seconds is None
        run.status = capture_status(stocks_health(silent=60_003, as_of=opened), as_of=opened)
        wait_until(lambda: writer.last.lag_seconds == 0, saw=lambda: writer.last)
        run.status = capture_status(stocks_health(silent=60_005, as_of=after), as_of=after)
        wait_until(lambda: writer.last.lag_seconds == 2, saw=lambda: writer.last)


def test_a_feed_that_knows_itself_to_be_idle_is_not_late(tmp_path: Path):
    assert beat_of(stocks_health(silent=45, phase=Phase.QUIET), path=tmp_path).lag_seconds is None


def test_a_lost_connection_is_silence_too(tmp_path: Path):
    beat = beat_of(stocks_health(silent=45, phase=Phase.RECONNECTING, last_error="gone"), path=tmp_path)

    assert (beat.expects_data, beat.last_error) == (True, "gone")


def test_orders_come_when_they_come(tmp_path: Path):
    """No fill for hours is no silence; a lost connection for fills is."""
    live = StreamHealth(FILLS, Phase.LIVE, "paper")

    assert beat_of(live, path=tmp_path).expects_data is False
    assert beat_of(replace(live, phase=Phase.RECONNECTING), path=tmp_path).expects_data is True


def test_options_on_some_funds_are_expected_a_quarter_of_an_hour_longer(tmp_path: Path):
    after_close = datetime(2026, 11, 20, 21, 10, tzinfo=UTC)
    spy = StreamHealth(OPTIONS, Phase.LIVE, "indicative", requested=("SPY261120C00600000",))
    aapl = StreamHealth(OPTIONS, Phase.LIVE, "indicative", requested=("AAPL261120C00200000",))

    assert beat_of(spy, path=tmp_path, as_of=after_close).expects_data is True
    assert beat_of(aapl, path=tmp_path, as_of=after_close).expects_data is False


def test_a_played_session_moves_at_any_hour(tmp_path: Path):
    at_night = {"as_of": NIGHT, "market": MarketKind.SIMULATED}

    assert beat_of(stocks_health(as_of=NIGHT), path=tmp_path, **at_night).expects_data is True


def test_a_market_on_this_computer_keeps_exchange_hours_until_it_says_what_it_plays(tmp_path: Path):
    at_night = {"as_of": NIGHT, "market": MarketKind.LOCAL}

    assert beat_of(stocks_health(as_of=NIGHT), path=tmp_path, **at_night).expects_data is False


def test_before_a_capture_is_connected_its_market_is_not_called_alpaca_s_on_this_computer(tmp_path: Path):
    waiting = Run(Waiting(until=AS_OF))

    with HeartbeatWriter(tmp_path / "health.json", waiting, market=MarketKind.LOCAL, now=Clock()):
        assert read(tmp_path / "health.json").market is MarketKind.LOCAL


def test_a_capture_that_waits_for_the_open_says_until_when(tmp_path: Path):
    with watched(Run(Waiting(until=AS_OF)), tmp_path / "health.json") as writer:
        assert (writer.last.state, writer.last.waits_until) == (RunState.WAITING, AS_OF)


def test_pressure_is_told_from_trouble(tmp_path: Path):
    with watched(Run(capture_status(state=CaptureState.JOURNAL_ONLY)), tmp_path / "health.json") as writer:
        assert (writer.last.state, writer.last.problem) == (RunState.JOURNAL_ONLY, None)


def test_the_dashboard_writes_the_same_file(tmp_path: Path):
    snapshot = snapshot_with(streams=[stocks_health(received=9, applied=8, dropped=1, gap_count=2)])

    with HeartbeatWriter(tmp_path / "health.json", Run(snapshot), role=Role.DASHBOARD, now=Clock()) as writer:
        beat = writer.last

    assert (beat.role, beat.state, beat.gaps, beat.lost, beat.rows) == (
        Role.DASHBOARD,
        RunState.RUNNING,
        2,
        1,
        None,
    )
    assert beat.started_at == AS_OF - timedelta(minutes=5)


def test_the_state_folder_is_the_one_that_is_named(tmp_path: Path):
    assert state_folder({"XDG_STATE_HOME": str(tmp_path / "state")}) == tmp_path / "state" / "options-helper"


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems have other folders, which platformdirs knows"
)
def test_the_state_folder_is_the_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert state_folder() == tmp_path / ".local" / "state" / "options-helper"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep their users elsewhere")
def test_a_user_without_a_home_has_no_state_folder(monkeypatch: pytest.MonkeyPatch):
    """A container's user may be a number alone."""
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_001)

    with pytest.raises(RuntimeError):
        state_folder()
    assert dashboard_file() is None


def test_each_process_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Three dashboards once wrote one file, and each other's half-written replacement."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    names = set()
    for pid in (11, 12, 13):
        monkeypatch.setattr("os.getpid", lambda pid=pid: pid)
        names.add(dashboard_file())

    assert len(names) == 3
    assert dashboard_file() == state_folder() / "dashboard-13.json"


def test_the_file_written_last_is_found_without_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert known_heartbeats() == ()
    dashboard, capture = dashboard_file(), tmp_path / "data" / ".health.json"
    assert dashboard is not None
    for seconds, path in ((100, capture), (200, dashboard)):
        write_heartbeat(path, heartbeat())
        os.utime(path, (seconds, seconds))

    remember_run(tmp_path / "gone" / ".health.json", Role.CAPTURE)
    assert known_heartbeats() == (dashboard,)
    remember_run(capture, Role.CAPTURE)
    assert [path.resolve() for path in known_heartbeats()] == [dashboard, capture]
    os.utime(capture, (300, 300))
    assert known_heartbeats()[0].resolve() == capture


def test_what_processes_left_that_are_gone_goes_when_another_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for pid in (11, 12, 13):
        beat = heartbeat(pid=pid, host=socket.gethostname())
        write_heartbeat(state_folder() / f"dashboard-{pid}.json", beat)

    forget_heartbeats({11: True, 12: False, 13: None}.get)

    assert {path.name for path in known_heartbeats()} == {"dashboard-11.json", "dashboard-13.json"}


def test_what_another_computer_left_in_a_home_that_both_share_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its process numbers mean nothing here; nor does a file that cannot be read say whose it is."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    write_heartbeat(state_folder() / "dashboard-12.json", heartbeat(pid=12, host="another"))
    (state_folder() / "dashboard-13.json").write_text("{}")

    forget_heartbeats(lambda _: False)

    assert {path.name for path in known_heartbeats()} == {"dashboard-12.json", "dashboard-13.json"}


def test_a_service_manager_hears_of_the_run_s_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = tmp_path / "notify"
        manager.bind(str(address))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))

        with watched(Run(capture_status()), tmp_path / "health.json"):
            messages = [manager.recv(100) for _ in range(3)]
        while messages[-1] != b"STOPPING=1":
            messages.append(manager.recv(100))

    assert messages[:3] == [b"WATCHDOG=1", b"READY=1", b"WATCHDOG=1"]


def test_the_watchdog_is_not_fed_when_the_recorder_has_ended(tmp_path: Path):
    """A process whose writer died must be started again."""
    notified: list[str] = []
    run, clock = Run(capture_status(state=CaptureState.ENDED, problem="It broke.")), Clock()

    with HeartbeatWriter(
        tmp_path / "h.json", run, every_seconds=QUICK, now=clock, notify_service=notified.append
    ) as writer:
        clock.now += timedelta(seconds=1)
        wait_until(lambda: writer.last.written_at == clock.now)

    assert "WATCHDOG=1" not in notified


@pytest.mark.parametrize(("ahead", "expects"), [(0, False), (-12, True), (12, True), (4, False)])
def test_by_a_wrong_clock_a_capture_s_stream_is_expected_to_move_in_the_market_s_hours(
    tmp_path: Path, ahead: int, *, expects: bool
):
    """It is 22:00 by this computer, and 10:00 in New York where it is twelve hours wrong."""
    beat = beat_of(
        stocks_health(as_of=NIGHT), path=tmp_path, as_of=NIGHT, clock_ahead_seconds=ahead * 3_600.0
    )

    assert beat.expects_data is expects


def test_an_ingestion_has_its_jobs_and_every_run_what_it_asked(tmp_path: Path):
    path = tmp_path / "health.json"
    job = JobBeat(every_seconds=300.0, watermark_at=AS_OF, failures=1, problem="HTTP 503.")
    asked = {
        "data.alpaca.markets": ProviderReport(
            budget=BudgetReport(per_minute=200, share=100, left=99),
            endpoints={"/v2/clock": EndpointReport(requests=1, failures={FailureKind.SERVER: 1})},
        )
    }
    status = IngestionStatus(started_at=AS_OF, running_seconds=2.5, jobs={"chains": job}, rows=7)

    with HeartbeatWriter(path, lambda: status, role=Role.INGESTION, providers=lambda: asked):
        beat = read_heartbeat(path)

    assert beat is not None
    assert (beat.role, beat.state, beat.uptime_seconds, beat.rows) == ("ingestion", RunState.RUNNING, 2.5, 7)
    assert (beat.jobs, beat.providers) == ({"chains": job}, asked)
