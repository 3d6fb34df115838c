"""`options-helper stream capture`: what it says, how it waits and ends, and what its exit code tells."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from pydantic import SecretStr
from rich.console import Console
from typer.main import get_command
from typer.testing import CliRunner

from options_helper.capture.plan import Selection
from options_helper.capture.runner import CaptureConfig
from options_helper.cli import app
from options_helper.commands.capture_display import LineDisplay
from options_helper.commands.capture_run import (
    CHECK_CLOCK_SECONDS,
    Capture,
    CaptureRequest,
    planned,
    require_same_place,
)
from options_helper.data.intraday.recording import KindCounts, StoreCounts
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.session_notes import SessionNote, save_note
from options_helper.data.recording.status import CaptureState, CaptureStatus
from options_helper.data.rest.option_contracts import Chain, Contract, ContractFilter
from options_helper.data.streaming.breeze.source import BREEZE_BOOKS
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.errors import ConfigError, StoreError
from options_helper.model.alpaca_symbols import contract_symbol
from options_helper.model.announcement import MarketKind
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import Heartbeat, RunState, StreamBeat
from options_helper.monitoring.heartbeat_file import CAPTURE_FILE, read_heartbeat
from options_helper.settings import DEMO_KEY, DEMO_SECRET, Settings
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from options_helper.simulator.wire.protocol import FREE_PLAN
from tests.kit.captured import quotes
from tests.kit.heartbeats import capture_status, stocks_health
from tests.kit.programs import MAIN, Program
from tests.kit.waiting import A_PROCESS, wait_until
from tests.wire.test_engine import CALL, NOON, quote

STOCKS, OPTIONS = StreamName.STOCKS, StreamName.OPTIONS
KEYS = Settings(api_key=SecretStr(DEMO_KEY), api_secret=SecretStr(DEMO_SECRET))
QUARTER = timedelta(minutes=15)
FRIDAY_NOON = datetime(2026, 11, 20, 12, tzinfo=NEW_YORK).astimezone(UTC)


@pytest.fixture(autouse=True)
def own_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APCA_API_KEY_ID", DEMO_KEY)
    monkeypatch.setenv("APCA_API_SECRET_KEY", DEMO_SECRET)


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["stream", "capture", *arguments])


def test_a_dry_run_prints_the_plan_and_touches_nothing(tmp_path: Path):
    out = tmp_path / "recording"

    ended = invoke(
        "--stocks", "SPY,BRK-B", "--option-contracts", CALL, "--options-underlyings", "SPY", "--no-trades",
        "--stock-feed", "sip", "--market-hours", "--format", "both", "--out", str(out), "--dry-run",
    )  # fmt: skip

    assert ended.exit_code == 0, ended.output
    for words in (
        "SPY, BRK.B",
        CALL,
        "sip",
        "quotes, bars",
        "up to 249 contracts",
        "while the market is open",
        "needs the network",
        "Keys: There are no Alpaca keys.",
        "rows a day",
        "of journal",
        "of Parquet copies",
    ):
        assert words in " ".join(ended.output.split()), words
    assert not out.exists()


def test_a_dry_run_needs_no_portfolio_to_be_small(repository: Path, tmp_path: Path):
    ended = invoke("--portfolio", str(repository / "portfolio.json"), "--out", str(tmp_path), "--dry-run")

    assert ended.exit_code == 0, ended.output
    assert "SPY261120C00681000" in ended.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "nothing to record"),
        (["--stocks", "not a symbol"], "--stocks: 'not a symbol'"),
        (["--stocks", "SPY", "--duration", "soon"], "--duration"),
        (["--stocks", "SPY", "--duration", "9" * 400], "--duration: that has no end"),
        (["--stocks", "SPY", "--flush-seconds", "inf"], "--flush-seconds inf: a row cannot wait for so long"),
        (["--stocks", "SPY", "--stock-feed", "imaginary"], "no stock feed 'imaginary'"),
        (["--options-underlyings", "SPY", "--expiries", "friday"], "--expiries friday"),
        (["--portfolio", "nowhere.json"], "nowhere.json"),
    ],
)
def test_a_wrong_option_is_a_sentence(arguments: list[str], says: str, tmp_path: Path):
    ended = invoke(*arguments, "--out", str(tmp_path), "--dry-run")

    assert isinstance(ended.exception, ConfigError)
    assert says in str(ended.exception)


def test_without_keys_nothing_begins(tmp_path: Path):
    ended = invoke("--stocks", "SPY", "--out", str(tmp_path / "out"))

    assert isinstance(ended.exception, ConfigError)
    assert "APCA_API_KEY_ID" in str(ended.exception)
    assert not (tmp_path / "out").exists()


def test_who_has_no_account_is_told_of_the_simulator_and_of_no_option_that_is_not_there(tmp_path: Path):
    said = str(invoke("--stocks", "SPY", "--out", str(tmp_path / "out")).exception)

    assert "options-helper simulate" in said
    # Capturing has no demo of its own, so the option is named with the command that has it.
    assert "--demo" not in said.replace("options-helper ui --demo", "")


@pytest.mark.parametrize("dry", [True, False], ids=["dry run", "capture"])
@pytest.mark.parametrize("folder", ["/proc/recording", "file/recording"])
def test_a_folder_that_cannot_be_is_refused_and_nothing_is_made(
    folder: str,
    dry: bool,  # noqa: FBT001 - a case
    keys: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()

    ended = invoke("--stocks", "SPY", "--out", folder, *(["--dry-run"] if dry else []))

    assert isinstance(ended.exception, ConfigError)
    assert folder in str(ended.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("arguments", [[], ["--stocks", "SPY", "--metrics-port", "TAKEN"]])
def test_what_is_refused_leaves_no_folder_behind(arguments: list[str], keys: None, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = [port if word == "TAKEN" else word for word in arguments]
        ended = invoke(*words, "--out", str(tmp_path / "out"))

    assert isinstance(ended.exception, ConfigError)
    assert not (tmp_path / "out").exists()


def test_the_exit_codes_are_in_the_help():
    assert "Exit codes: 0" in " ".join(invoke("--help").output.split())


class Scene:
    """The world of one capture: its time, its signals, and the sessions it recorded."""

    clock_is_right = True

    def __init__(self, at: str, signals_at: Sequence[str] = ()) -> None:
        self.now_at = new_york(at)
        self.seconds = 0.0  # by a clock that nobody sets
        self._signals_at = [new_york(text) for text in signals_at]
        self.sessions: list[ScriptedRunner] = []
        self.said: list[str] = []
        self.ending: Callable[[CaptureStatus], CaptureStatus] = lambda status: status
        self.on_session: Callable[[], object] = lambda: None
        self.on_start: Callable[[], object] = lambda: None
        self.on_wait: Callable[[], object] = lambda: None
        self.phase = Phase.LIVE
        self.is_tried_again = False
        self.stops_by_itself = True
        self.lookups_fail = False
        # When the computer sleeps, and for how long.
        self.sleeps: tuple[datetime, timedelta] | None = None

    def now(self) -> datetime:
        return self.now_at

    def wait(self, seconds: float) -> int:
        # Short pauses are longer here, and so are those of a night: every look at the clock costs the test some time.
        # By a clock that is wrong nobody knows when it is night.
        before = self.now_at
        until = self.now_at + timedelta(seconds=max(seconds, 20))
        is_idle = seconds == CHECK_CLOCK_SECONDS and self.clock_is_right
        if is_idle and not "09:15" <= f"{before.astimezone(NEW_YORK):%H:%M}" < "09:45":
            until = before + QUARTER - (before - datetime.min.replace(tzinfo=UTC)) % QUARTER
        self.now_at = min([until, *(moment for moment in self._signals_at if moment > self.now_at)])
        if self.sleeps is not None and self.now_at >= self.sleeps[0]:
            self.now_at += self.sleeps[1]
            self.sleeps = None
        self.seconds += (self.now_at - before).total_seconds()
        self.on_wait()
        return sum(moment <= self.now_at for moment in self._signals_at)

    def raising(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def runner(self, config: CaptureConfig, _settings: Settings) -> ScriptedRunner:
        self.sessions.append(ScriptedRunner(self, config))
        self.on_session()
        return self.sessions[-1]

    def find(self, underlying: str, _wanted: ContractFilter) -> Chain:
        """One contract that expires today."""
        if self.lookups_fail:
            raise ConfigError(f"The options of {underlying} cannot be recorded.")
        today = self.now_at.astimezone(NEW_YORK).date()
        symbol = contract_symbol(underlying, today, "call", 100)
        return Chain(underlying, (Contract(symbol, today, 100.0),), 100.0)

    def record(self, out: Path, *, settings: Settings = KEYS, **order: Any) -> int:
        selection = order.pop("selection", Selection(stocks=("AAPL",)))
        capture = Capture.prepare(
            CaptureRequest(selection, out, **order),
            settings,
            self,
            now=self.now,
            elapsed=lambda: self.seconds,
            finder=lambda _: contextlib.nullcontext(self),
            make_runner=self.runner,
        )
        return capture.run(self)

    # What a display does.
    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def waiting(self, words: str) -> None:
        if not self.said or self.said[-1] != words:
            self.said.append(words)

    def show(self, status: CaptureStatus, activity: str) -> None:
        self.sessions[-1].shown += 1

    def summary(self, status: CaptureStatus) -> None:
        pass

    @property
    def hours(self) -> list[tuple[str, str]]:
        """From when to when each session was connected, in New York."""
        return [(format_clock(one.started), format_clock(one.stopped)) for one in self.sessions]


class ScriptedRunner:
    """A recorder whose streams are as the scene says."""

    def __init__(self, scene: Scene, config: CaptureConfig) -> None:
        self.config = config
        self.started = self.stopped = scene.now_at
        self.left = False
        self.asked = self.shown = 0
        self._scene = scene
        self.has_ended = False

    is_writing = True

    def start(self) -> None:
        self._scene.on_start()
        self.started = self._scene.now_at

    def stop(self) -> None:
        self.stopped = self._scene.now_at
        if not self._scene.stops_by_itself:
            wait_until(lambda: self.left)
        self.has_ended = True

    def leave(self) -> None:
        self.left = True

    def status(self) -> CaptureStatus:
        if threading.current_thread() is threading.main_thread():  # and not the heartbeat's
            self.asked += 1
        health = StreamHealth(
            STOCKS, phase=self._scene.phase, feed="iex", connections=1, received=7, applied=7
        )
        if self._scene.phase is Phase.FAILED:
            again = self._scene.is_tried_again
            seconds = (self._scene.now_at - self.started).total_seconds() if again else 0.0
            health = replace(
                health,
                connections=0,
                alive=again,
                refused_seconds=seconds,
                last_error="Check the plan's subscription of iex.",
            )
        status = CaptureStatus(
            as_of=self._scene.now_at,
            state=CaptureState.ENDED if self.has_ended else CaptureState.RECORDING,
            session="s",
            started_at=self.started,
            market=MarketKind.ALPACA,
            streams={STOCKS: health, OPTIONS: StreamHealth(OPTIONS)},
            store=StoreCounts({"stocks": KindCounts(appended=7, written=7)}),
            put_off=0,
            journal_bytes=0,
            gaps=0,
        )
        return self._scene.ending(status) if self.has_ended else status


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def format_clock(at: datetime) -> str:
    return f"{at.astimezone(NEW_YORK):%a %H:%M}"


def test_market_hours_are_waited_for_kept_and_waited_for_again(tmp_path: Path):
    """From a Wednesday evening: Thanksgiving is left out, the half day is half a day, then comes a weekend."""
    scene = Scene("2026-11-25T17:00", signals_at=["2026-11-30T12:00"])

    code = scene.record(tmp_path, market_hours=True)

    assert code == 0
    assert scene.hours == [("Fri 09:29", "Fri 13:01"), ("Mon 09:29", "Mon 12:00")]
    assert scene.said[1] == "The market is closed; recording begins Fri 27 Nov 09:29 in New York."


def test_the_recorder_is_asked_once_for_each_line_that_is_shown(tmp_path: Path):
    """Its answer takes locks that the writer needs. Summary, heartbeat and the turn that ends the session ask too."""
    scene = Scene("2026-11-25T10:00", signals_at=["2026-11-25T10:05"])

    scene.record(tmp_path)

    (session,) = scene.sessions
    assert session.shown > 10
    assert session.asked <= session.shown + 5


def test_a_session_that_begins_late_says_so_and_has_a_gap(tmp_path: Path):
    """The computer slept over the open, or a whole day: no connection was there to be lost."""
    scene = Scene("2026-11-25T07:00", signals_at=["2026-11-25T12:00"])
    scene.sleeps = (new_york("2026-11-25T08:00"), timedelta(hours=3))

    assert scene.record(tmp_path, market_hours=True) == 1
    (at_once, in_the_summary) = [
        sentence for sentence in scene.said if "Recording began 90 min late" in sentence
    ]
    assert at_once == in_the_summary
    assert not any("Nothing was lost" in sentence for sentence in scene.said)
    assert scene.sessions[0].config.due == new_york("2026-11-25T09:29:30")


def test_a_session_that_begins_in_time_has_no_gap(tmp_path: Path):
    scene = Scene("2026-11-25T07:00", signals_at=["2026-11-25T12:00"])
    assert scene.record(tmp_path, market_hours=True) == 0
    assert scene.sessions[0].config.due is None


def test_a_start_that_takes_its_time_is_judged_once_for_the_ledger_and_for_what_is_said(tmp_path: Path):
    """A disk that was asleep: the summary must not tell of a stretch that is nowhere in the ledger."""
    scene = Scene("2026-11-25T07:00", signals_at=["2026-11-25T12:00"])

    def start() -> None:
        scene.now_at += timedelta(minutes=2)
        scene.seconds += 120

    scene.on_start = start

    assert scene.record(tmp_path, market_hours=True) == 0
    assert scene.sessions[0].config.due is None
    assert not any("late" in sentence for sentence in scene.said)


def test_the_clock_may_be_put_back_over_a_weekend(tmp_path: Path):
    scene = Scene("2026-10-30T12:00", signals_at=["2026-11-02T12:00"])

    scene.record(tmp_path, market_hours=True)

    assert scene.hours == [("Fri 12:00", "Fri 16:01"), ("Mon 09:29", "Mon 12:00")]


def test_the_duration_counts_what_is_recorded_over_sessions(tmp_path: Path):
    scene = Scene("2026-11-20T15:01")

    code = scene.record(tmp_path, market_hours=True, duration_seconds=7_200)

    assert code == 0
    assert scene.hours == [("Fri 15:01", "Fri 16:01"), ("Mon 09:29", "Mon 10:29")]


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_duration_is_as_long_as_was_asked_for_however_the_clock_is_set(tmp_path: Path, hours: int):
    """A computer without a battery gets its time after the boot."""
    scene = Scene("2026-11-20T12:00")

    def set_the_clock() -> None:
        scene.now_at += timedelta(hours=hours)
        scene.on_wait = lambda: None

    scene.on_wait = set_the_clock
    code = scene.record(tmp_path, duration_seconds=600)

    assert (code, scene.said[-1]) == (0, "Ended, because its time is over. Nothing was lost.")
    assert 600 <= scene.seconds < 660


def test_a_signal_ends_the_wait_for_the_market(tmp_path: Path):
    scene = Scene("2026-11-21T12:00", signals_at=["2026-11-21T13:00"])

    assert scene.record(tmp_path, market_hours=True) == 0
    assert scene.sessions == []


def test_without_market_hours_nobody_asks_for_the_time_of_day(tmp_path: Path):
    scene = Scene("2026-11-21T23:00", signals_at=["2026-11-22T01:00"])

    scene.record(tmp_path)

    assert scene.hours == [("Sat 23:00", "Sun 01:00")]


def test_each_day_has_the_contracts_of_its_own_day(tmp_path: Path):
    scene = Scene("2026-11-19T15:00", signals_at=["2026-11-20T12:00"])

    scene.record(tmp_path, market_hours=True, selection=Selection(underlyings=("AAPL",)))

    assert [one.config.streams.option_contracts for one in scene.sessions] == [
        ("AAPL261119C00100000",),
        ("AAPL261120C00100000",),
    ]


def test_contracts_that_cannot_be_looked_up_again_leave_those_of_the_day_before(tmp_path: Path):
    scene = Scene("2026-11-20T15:30", signals_at=["2026-11-23T12:00"])
    scene.on_session = lambda: setattr(scene, "lookups_fail", True)
    selection = Selection(option_contracts=("AAPL261218C00180000",), underlyings=("AAPL",))

    code = scene.record(tmp_path, market_hours=True, selection=selection)

    assert code == 1
    assert [one.config.streams.option_contracts for one in scene.sessions] == [
        ("AAPL261218C00180000", "AAPL261120C00100000"),
        ("AAPL261218C00180000",),
    ]
    assert any("The contracts of the day before are recorded." in said for said in scene.said)


@pytest.mark.parametrize("lookups_fail", [False, True])
def test_who_finds_the_contracts_is_closed_as_soon_as_it_has_answered(*, lookups_fail: bool):
    scene, closed = Scene("2026-07-30T10:00", signals_at=[]), []
    scene.lookups_fail = lookups_fail

    @contextlib.contextmanager
    def finder(_: Settings) -> Iterator[Scene]:
        try:
            yield scene
        finally:
            closed.append(True)

    with pytest.raises(ConfigError) if lookups_fail else contextlib.nullcontext():
        planned(Selection(underlyings=("AAPL",)), KEYS, finder)

    assert closed == [True]


def test_with_nothing_left_to_record_the_lookup_is_tried_until_a_signal(tmp_path: Path):
    scene = Scene("2026-11-20T15:30", signals_at=["2026-11-23T09:45"])
    scene.on_session = lambda: setattr(scene, "lookups_fail", True)

    code = scene.record(tmp_path, market_hours=True, selection=Selection(underlyings=("AAPL",)))

    assert code == 1
    assert len(scene.sessions) == 1
    assert "The options of AAPL cannot be recorded. It is tried again." in scene.said


def test_a_folder_that_is_refused_on_a_later_day_is_tried_again_and_said(tmp_path: Path):
    """The day before is recorded: "nothing was recorded" would be wrong, and the disk may have room soon."""
    scene = Scene("2026-11-20T15:30", signals_at=["2026-11-23T12:00"])

    def start() -> None:
        if len(scene.sessions) in (2, 3):
            raise StoreError("Only 3 MB are free.")

    scene.on_start = start

    code = scene.record(tmp_path, market_hours=True)

    assert code == 1
    assert [said for said in scene.said if "tried again" in said] == [
        "Only 3 MB are free. It is tried again."
    ]
    assert [format_clock(one.stopped) for one in scene.sessions if one.has_ended] == [
        "Fri 16:01",
        "Mon 12:00",
    ]
    assert format_clock(scene.sessions[-1].started) == "Mon 09:30"


def test_while_the_folder_is_refused_the_heartbeat_says_so_and_a_signal_ends_it(tmp_path: Path):
    scene = Scene("2026-11-20T15:30", signals_at=["2026-11-23T09:31"])
    seen: list[Heartbeat] = []

    def start() -> None:
        if len(scene.sessions) > 1:
            raise StoreError("Only 3 MB are free.")

    def problem() -> Heartbeat | None:
        beat = read_heartbeat(tmp_path / CAPTURE_FILE)
        return beat if beat and beat.problem else None

    def waiting(words: str) -> None:
        if "tried again" in words:
            seen.append(wait_until(problem))  # type: ignore[arg-type]

    scene.on_start = start
    scene.waiting = waiting  # type: ignore[method-assign]

    assert scene.record(tmp_path, market_hours=True) == 1
    assert {(beat.state, beat.problem) for beat in seen} == {(RunState.RUNNING, "Only 3 MB are free.")}
    assert "Asked to end before recording could go on." in scene.said


def test_when_no_stream_is_left_it_ends_and_says_why(tmp_path: Path):
    scene = Scene("2026-11-20T12:00")
    scene.phase = Phase.FAILED

    assert scene.record(tmp_path) == 1
    assert "The stocks stream (iex) was not recorded: Check the plan's subscription of iex." in scene.said


def test_a_stream_that_is_refused_is_looked_for_until_the_session_ends(tmp_path: Path):
    """A recorder that was started before the open must not be gone for the day."""
    scene = Scene("2026-11-20T12:00")
    scene.phase, scene.is_tried_again = Phase.FAILED, True

    assert scene.record(tmp_path, duration_seconds=3_600.0) == 1
    assert scene.now_at >= new_york("2026-11-20T13:00")
    assert any("was refused for 60 min, and never recorded: Check" in sentence for sentence in scene.said)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"put_off": 5}, "In the journal and not in the files yet: 5 events."),
        ({"problem": "The disk is full."}, "The disk is full."),
        ({"absent_seconds": 591.0}, "This process did not run for 10 min"),
        ({"state": CaptureState.RECORDING}, "The disk did not take everything in time"),
        ({"store": StoreCounts({"stocks": KindCounts(lost=3)})}, "Received and in no file: 3 events."),
        ({"dropped": 1}, "The stocks stream dropped 1 event: the queue was full."),
        (
            {"rejected": 2, "last_rejections": ("no map",)},
            "The stocks stream rejected 2 messages that could not be read (no map).",
        ),
        ({"refused_symbols": ("ZZZZ",), "last_error": "Limit."}, "Alpaca's iex feed refused ZZZZ. Limit."),
        (
            {"refused_symbols": ("ZZZZ",), "last_error": "Not streamed: ZZZZ (1 in all). Limit."},
            "Alpaca's iex feed: Not streamed: ZZZZ (1 in all). Limit.",
        ),
        (
            {
                "name": BREEZE_BOOKS,
                "feed": "nse",
                "refused_symbols": ("NSE:ZZ",),
                "last_error": "No such share.",
            },
            "Breeze's nse feed refused NSE:ZZ. No such share.",
        ),
        ({"connections": 0}, "The stocks stream (iex) never came to life."),
        (
            {"refused_seconds": 7_500.0},
            "The stocks stream (iex) was refused for 2 h 5 min, and then recorded.",
        ),
    ],
)
def test_whatever_is_missing_is_said_and_makes_the_exit_code_1(
    change: dict[str, Any], says: str, tmp_path: Path
):
    def ending(status: CaptureStatus) -> CaptureStatus:
        if any(name in CaptureStatus.__dataclass_fields__ for name in change):
            return replace(status, **change)
        return replace(status, streams={STOCKS: replace(status.streams[STOCKS], **change)})

    scene = Scene("2026-11-20T12:00", signals_at=["2026-11-20T12:01"])
    scene.ending = ending

    assert scene.record(tmp_path) == 1
    assert any(says in sentence for sentence in scene.said), scene.said


def test_the_second_signal_leaves_at_once(tmp_path: Path):
    scene = Scene("2026-11-20T12:00", signals_at=["2026-11-20T12:01", "2026-11-20T12:02"])
    scene.stops_by_itself = False

    scene.record(tmp_path)

    assert scene.sessions[0].left


@pytest.mark.parametrize("disk_answers", [True, False])
def test_an_error_in_telling_ends_the_recording_in_order(tmp_path: Path, *, disk_answers: bool):
    """And not later than a disk that hangs lets it, which may be never."""
    scene = Scene("2026-11-20T12:00")
    scene.stops_by_itself = disk_answers
    scene.show = Mock(side_effect=RuntimeError("a bug"))  # type: ignore[method-assign]

    with pytest.raises(RuntimeError, match="a bug"):
        scene.record(tmp_path)

    assert scene.sessions[0].has_ended
    assert scene.sessions[0].left or disk_answers


def test_an_error_in_telling_that_it_begins_late_ends_the_recording_in_order(tmp_path: Path):
    """Nothing between the start of the threads and their watching may leave them to die with the process."""
    scene = Scene("2026-11-25T07:00")
    scene.sleeps = (new_york("2026-11-25T08:00"), timedelta(hours=3))
    scene.say = Mock(side_effect=lambda said: 1 / ("late" not in said))  # type: ignore[method-assign]

    with pytest.raises(ZeroDivisionError):
        scene.record(tmp_path, market_hours=True)

    assert scene.sessions[0].has_ended


def test_finished_days_get_their_parquet_copy_and_today_does_not(tmp_path: Path):
    day_ns = 86_400 * 10**9
    noon_ns = int(FRIDAY_NOON.timestamp()) * 10**9
    with IntradayStore(tmp_path) as store:
        store.append("stocks", [*quotes(5, start_ns=noon_ns - day_ns), *quotes(5, start_ns=noon_ns)])

    Scene("2026-11-20T12:00").record(tmp_path, parquet=True, duration_seconds=60)

    folder = tmp_path / "stocks" / "quotes" / "tick" / "AAPL"
    assert [path.name for path in folder.glob("*.parquet")] == ["2026-11-19.parquet"]
    assert len(list(folder.glob("*.csv.gz"))) == 2


def test_a_finished_day_that_cannot_be_sealed_is_named_and_the_capture_has_failed(tmp_path: Path):
    """The others are sealed; exit code 0 would say that there is nothing to look at."""
    noon_ns = int(FRIDAY_NOON.timestamp()) * 10**9 - 86_400 * 10**9
    with IntradayStore(tmp_path) as store:
        store.append("stocks", [*quotes(5, start_ns=noon_ns), *quotes(5, "SPY", start_ns=noon_ns)])
    folder = tmp_path / "stocks" / "quotes" / "tick"
    (folder / "AAPL" / ".2026-11-19.parquet.new").mkdir()
    scene = Scene("2026-11-20T12:00")

    code = scene.record(tmp_path, parquet=True, duration_seconds=60)

    assert code == 1
    assert [one for one in scene.said if one.startswith(f"Not sealed: {folder}/AAPL/2026-11-19.csv.gz: ")]
    assert [path.parent.name for path in folder.rglob("*.parquet")] == ["SPY"]


def test_a_heartbeat_that_cannot_be_written_is_said_at_the_end(tmp_path: Path):
    (tmp_path / "file").touch()
    scene = Scene("2026-11-20T12:00")

    scene.record(tmp_path / "out", duration_seconds=60, state=tmp_path / "file" / "state.json")

    assert "state.json could not be written" in scene.said[-1]


def test_a_folder_in_use_is_refused_before_anything_is_waited_for(tmp_path: Path):
    with IntradayStore(tmp_path) as store:
        store.acquire()
        with pytest.raises(StoreError, match=str(os.getpid())):
            Scene("2026-11-21T12:00").record(tmp_path, market_hours=True)


class RunningCapture:
    """`options-helper stream capture` in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], out: Path) -> None:
        self.process = process
        self.out = out

    def until(self, name: StreamName, condition: Callable[[StreamBeat], object]) -> None:
        """Wait until the capture says this of one of its streams."""

        def holds() -> object:
            beat = read_heartbeat(self.out / CAPTURE_FILE)
            return beat is not None and name in beat.streams and condition(beat.streams[name])

        wait_until(holds, A_PROCESS, saw=lambda: read_heartbeat(self.out / CAPTURE_FILE))

    def ends(self, timeout: float = A_PROCESS) -> tuple[int, str, str]:
        said, complained = (text or "" for text in self.process.communicate(timeout=timeout))
        assert "Traceback" not in complained, complained
        for text in (said, complained):
            assert DEMO_SECRET not in text
        return self.process.returncode, said, complained

    def signalled(self, *numbers: signal.Signals) -> tuple[int, str, str]:
        for number in numbers:
            self.process.send_signal(number)
        return self.ends()


@contextlib.contextmanager
def capturing(
    server: SimulatorServer,
    out: Path,
    *arguments: str,
    key: str = DEMO_KEY,
    prelude: str = "",
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    **variables: str,
) -> Iterator[RunningCapture]:
    environment = {
        **os.environ,
        **variables,
        "APCA_API_KEY_ID": key,
        "APCA_API_SECRET_KEY": DEMO_SECRET,
        "APCA_API_BASE_URL": server.rest_url,
        "OH_ALPACA_DATA_URL": server.rest_url,
        "OH_ALPACA_STREAM_URL": server.stream_url,
    }
    words = ("stream", "capture", "--out", str(out), *arguments)
    program = f"{prelude}\n{MAIN}"
    with Program(*words, program=program, env=environment, stdout=stdout, stderr=stderr) as process:
        try:
            yield RunningCapture(process, out)
        finally:
            process.kill()


@pytest.fixture
def simulator() -> Iterator[Callable[..., SimulatorServer]]:
    with contextlib.ExitStack() as servers:
        yield lambda market=None, **options: servers.enter_context(
            SimulatorServer(market or SilentMarket(start_ns=NOON), **options)
        )


def until_subscribed(server: SimulatorServer, stream: StreamName, *symbols: str) -> None:
    wait_until(lambda: set(symbols) <= server.subscribed(stream), A_PROCESS)


def recorded(out: Path, kind: str = "stocks", symbol: str = "AAPL") -> list[float]:
    return list(IntradayStore(out).read(kind, "quotes", symbol)["bid_price"])


@pytest.mark.processes
def test_sigterm_writes_what_was_received_and_ends_with_0(simulator, tmp_path: Path):
    server = simulator()
    with capturing(server, tmp_path, "--stocks", "AAPL", "--option-contracts", CALL) as capture:
        until_subscribed(server, STOCKS, "AAPL")
        until_subscribed(server, OPTIONS, CALL)
        for number in range(50):
            server.push(STOCKS, [quote(bid=number)])
        server.push(OPTIONS, [quote(CALL, 4.2)])
        server.flush()
        capture.until(STOCKS, lambda beat: beat.received == 50)
        code, said, complained = capture.signalled(signal.SIGTERM)

    assert code == 0, said + complained
    assert recorded(tmp_path) == list(range(50))
    assert recorded(tmp_path, "options", CALL) == [4.2]
    assert "Nothing was lost." in said


# An hour is over as soon as there is a file of the name that is in LATER.
HOUR_THAT_PASSES = """
import os
from options_helper.clock import elapsed_seconds
from options_helper.commands.capture_run import Capture

def elapsed():
    return elapsed_seconds() + 3_600 * os.path.exists(os.environ["LATER"])

Capture.__init__.__kwdefaults__["elapsed"] = elapsed
"""


@pytest.mark.processes
def test_it_ends_by_itself_when_its_time_is_over(simulator, tmp_path: Path):
    server, out, later = simulator(), tmp_path / "out", tmp_path / "later"
    arguments = ["--stocks", "AAPL", "--duration", "1h", "--no-journal"]
    with capturing(server, out, *arguments, prelude=HOUR_THAT_PASSES, LATER=str(later)) as capture:
        until_subscribed(server, STOCKS, "AAPL")
        server.push(STOCKS, [quote(bid=1)])
        capture.until(STOCKS, lambda beat: beat.received == 1)
        later.touch()
        code, said, complained = capture.ends()

    assert code == 0, said + complained
    assert recorded(out) == [1]
    assert not (out / "journal").exists()


@pytest.mark.processes
def test_two_signals_leave_at_once_and_nothing_received_is_gone_uncounted(simulator, tmp_path: Path):
    """What the second signal left to the journal can be made from it, and the exit code says whether there is such."""
    server, out, again = simulator(), tmp_path / "out", tmp_path / "again"
    with capturing(server, out, "--stocks", "AAPL") as capture:
        until_subscribed(server, STOCKS, "AAPL")
        for number in range(2_000):
            server.push(STOCKS, [quote(bid=number)])
        capture.until(STOCKS, lambda beat: beat.received == 2_000)
        for number in range(2_000, 4_000):
            server.push(STOCKS, [quote(bid=number)])
        server.flush()
        code, said, complained = capture.signalled(signal.SIGTERM, signal.SIGINT)

    rebuild(out, again)
    last = read_heartbeat(out / CAPTURE_FILE)
    assert last is not None
    # What comes while it leaves finds the queue closed, and is counted.
    beat = last.streams[STOCKS]
    kept = list(range(beat.received - beat.dropped))
    assert len(kept) >= 2_000
    assert recorded(again) == kept
    assert code == (0 if beat.dropped == 0 and recorded(out) == kept else 1), said + complained


# Writes hang as soon as there is a file of the name that is in HANG.
HANGING_DISK = """
import functools, os, time
from options_helper.commands.capture_run import Capture
from options_helper.data.intraday.files import Disk
from options_helper.capture.runner import CaptureEngine

def write(descriptor, data):
    while os.path.exists(os.environ["HANG"]):
        time.sleep(0.05)
    return os.write(descriptor, data)

Capture.__init__.__kwdefaults__["make_runner"] = functools.partial(CaptureEngine, disk=Disk(write=write))
"""


@pytest.mark.processes
def test_a_disk_that_hangs_is_left_at_the_second_signal_and_the_exit_code_is_1(simulator, tmp_path: Path):
    server, hang = simulator(), tmp_path / "hang"
    with capturing(
        server, tmp_path / "out", "--stocks", "AAPL", prelude=HANGING_DISK, HANG=str(hang)
    ) as capture:
        until_subscribed(server, STOCKS, "AAPL")
        hang.touch()
        server.push(STOCKS, [quote(bid=1)])
        server.flush()
        capture.until(STOCKS, lambda beat: beat.received == 1)
        capture.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not server.subscribed(STOCKS), A_PROCESS)
        code, said, complained = capture.signalled(signal.SIGTERM)

    assert code == 1, said + complained
    assert "The disk did not take everything in time" in said


class Screen:
    """What a capture writes to, and how it is spoiled while it records."""

    def __init__(self, write: int, spoil: Callable[[], object] = lambda: None) -> None:
        self.write = write
        self.spoil = spoil


@contextlib.contextmanager
def full_disk() -> Iterator[Screen]:
    with Path("/dev/full").open("wb") as full:
        yield Screen(full.fileno())


@contextlib.contextmanager
def closed_pipe() -> Iterator[Screen]:
    read, write = os.pipe()
    try:
        yield Screen(write, lambda: os.close(read))
    finally:
        os.close(write)


@contextlib.contextmanager
def closed_terminal() -> Iterator[Screen]:
    ours, theirs = pty.openpty()
    try:
        yield Screen(theirs, lambda: os.close(ours))
    finally:
        os.close(theirs)


@contextlib.contextmanager
def paused_reader() -> Iterator[Screen]:
    """`| less` that nobody pages on: the pipe is full from the beginning."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(write, b"." * 4_096):
            pass
    os.set_blocking(write, True)
    try:
        yield Screen(write)
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("screen_of", "log_too"),
    # Where both end there, the log fails as well as the display; once the log goes on alone.
    [(full_disk, False), (closed_pipe, True), (closed_terminal, True), (paused_reader, True)],
)
def test_whatever_becomes_of_the_screen_the_recording_is_whole_and_ends_in_time(
    screen_of: Callable[[], contextlib.AbstractContextManager[Screen]],
    log_too: bool,  # noqa: FBT001 - a case
    simulator,
    tmp_path: Path,
):
    server = simulator()
    with (
        screen_of() as screen,
        capturing(
            server,
            tmp_path,
            "--stocks",
            "AAPL,MSFT",
            stdout=screen.write,
            stderr=screen.write if log_too else subprocess.PIPE,
        ) as capture,
    ):
        until_subscribed(server, STOCKS, "AAPL")
        for number in range(500):
            server.push(STOCKS, [quote(bid=number)])
        capture.until(STOCKS, lambda beat: beat.received >= 500)
        screen.spoil()
        server.disconnect_all(stream=STOCKS)  # this is told, and logged
        capture.until(STOCKS, lambda beat: beat.gaps == 1 and beat.phase is Phase.LIVE)
        for number in range(500, 1_000):
            server.push(STOCKS, [quote(bid=number)])
        server.flush()
        capture.until(STOCKS, lambda beat: beat.received == 1_000)
        code, *_ = capture.signalled(signal.SIGTERM)

    assert code == 0
    assert recorded(tmp_path) == list(range(1_000))


@pytest.mark.processes
def test_a_wrong_key_is_one_sentence_for_each_stream(simulator, tmp_path: Path):
    server = simulator()
    with capturing(
        server, tmp_path, "--stocks", "AAPL", "--option-contracts", CALL, key="wrong-key"
    ) as capture:
        for name in (STOCKS, OPTIONS):
            capture.until(name, lambda beat: beat.phase is Phase.FAILED)
        code, said, _ = capture.signalled(signal.SIGTERM)

    assert code == 1
    assert "The stocks stream (iex) was refused for " in said
    assert "The options stream (indicative) was refused for " in said
    assert "APCA_API_KEY_ID" in said
    assert "wrong-key" not in said


@pytest.mark.processes
def test_a_feed_that_is_not_in_the_plan_leaves_the_other_recording(simulator, tmp_path: Path):
    server = simulator(limits=FREE_PLAN)
    arguments = ["--stocks", "AAPL", "--option-contracts", CALL, "--options-feed", "opra"]
    with capturing(server, tmp_path, *arguments) as capture:
        until_subscribed(server, STOCKS, "AAPL")
        wait_until(lambda: server.connections["/v1beta1/opra"] >= 2, A_PROCESS)
        server.push(STOCKS, [quote(bid=1)])
        server.flush()
        capture.until(OPTIONS, lambda beat: beat.phase is Phase.FAILED)
        code, said, _ = capture.signalled(signal.SIGTERM)

    assert code == 1
    assert "The options stream (opra) was refused for " in said
    assert recorded(tmp_path) == [1]


@pytest.mark.processes
def test_a_second_process_is_refused_with_the_pid_of_the_first(simulator, tmp_path: Path):
    server = simulator()
    with capturing(server, tmp_path, "--stocks", "AAPL") as first:
        until_subscribed(server, STOCKS, "AAPL")
        with capturing(server, tmp_path, "--stocks", "MSFT") as second:
            code, _, complained = second.ends()
        assert first.signalled(signal.SIGTERM)[0] == 0

    assert code == 75
    assert f"process {first.process.pid}" in complained


@pytest.mark.processes
def test_the_contracts_of_an_underlying_are_looked_up_and_recorded(simulator, tmp_path: Path):
    chain = tuple(contract_symbol("AAPL", date(2026, 3, 27), "call", strike) for strike in range(95, 200))
    server = simulator(SilentMarket(start_ns=NOON, contracts=chain, prices={"AAPL": 100.0}))
    arguments = ["--options-underlyings", "AAPL", "--moneyness", "5%", "--max-contracts", "3"]
    with capturing(server, tmp_path, *arguments) as capture:
        until_subscribed(server, OPTIONS, *chain[4:7])
        # A stream that is ended before it has the server's answer never came to life.
        capture.until(OPTIONS, lambda beat: beat.acknowledged == 3)
        subscribed = server.subscribed(OPTIONS)
        code, said, complained = capture.signalled(signal.SIGTERM)

    assert code == 0, said + complained
    assert subscribed == set(chain[4:7])
    assert "8 of 11 contracts of the underlyings are left out" in said


@pytest.mark.processes
def test_an_underlying_that_cannot_be_looked_up_is_an_error_that_names_it(simulator, tmp_path: Path):
    server = simulator(faults=Faults(rest_status=404))
    with capturing(server, tmp_path, "--options-underlyings", "AAPL") as capture:
        code, said, complained = capture.ends()

    assert code == 2
    assert complained.startswith("The options of AAPL cannot be recorded")
    assert said == ""


@pytest.mark.processes
def test_at_a_terminal_a_table_shows_how_it_goes(simulator, tmp_path: Path):
    server, later = simulator(), tmp_path / "later"
    ours, theirs = pty.openpty()
    terminal = {"stdout": theirs, "TERM": "xterm", "COLUMNS": "100"}
    arguments = ["--stocks", "AAPL", "--duration", "1h"]
    said = ""
    with capturing(
        server, tmp_path / "out", *arguments, prelude=HOUR_THAT_PASSES, LATER=str(later), **terminal
    ) as capture:
        os.close(theirs)
        for block in until_closed(ours):
            said += block
            if "live" in said:
                later.touch()
        code = capture.process.wait(A_PROCESS)

    assert code == 0
    for words in ("events/s", "live", "nothing flushed yet", "Nothing was lost."):
        assert words in said, words


def until_closed(terminal: int) -> Iterator[str]:
    with (
        open(terminal, "rb", buffering=0) as screen,
        contextlib.suppress(OSError),
    ):  # at the end it is an error
        while block := screen.read(4_096):
            yield block.decode(errors="replace")


NARROW_COLUMNS = 60


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(NARROW_COLUMNS))


def test_a_narrow_terminal_shows_the_plan_and_each_symbol_whole(repository: Path, narrow: None):
    said = invoke("--portfolio", str(repository / "portfolio.json"), "--out", "recording", "--dry-run").output

    assert "SPY261120C00681000" in said
    assert max(map(len, said.splitlines())) <= NARROW_COLUMNS


@pytest.mark.parametrize("command", ["capture", "health", "verify", "rebuild", "replay"])
def test_a_narrow_terminal_shows_the_name_of_each_option_whole(command: str, narrow: None):
    said = CliRunner().invoke(app, ["stream", command, "--help"]).output

    (stream,) = [one for name, one in get_command(app).commands.items() if name == "stream"]  # type: ignore[attr-defined]
    names = [name for param in stream.commands[command].params for name in param.opts if name[0] == "-"]
    assert names
    assert [name for name in names if not re.search(rf"{name}\b", said)] == []


def test_a_narrow_terminal_shows_each_number_of_the_summary_whole(tmp_path: Path):
    lines = io.StringIO()
    display = LineDisplay(Console(file=lines, width=NARROW_COLUMNS), lambda: FRIDAY_NOON)
    many = {"phase": Phase.STOPPED, "received": 1_234_567_890, "applied": 1_234_567_890}
    display.summary(
        capture_status(
            stocks_health(**many, rejected=33),
            StreamHealth(OPTIONS, feed="indicative", **many),
            store=StoreCounts({"stocks": KindCounts(written=1_234_567, bytes_written=3_400_000)}),
        )
    )

    said = lines.getvalue()
    assert "…" not in said
    for row in (
        r"stream +stocks +options",
        r"received +1,234,567,890 +1,234,567,890",
        r"rows +1,234,567 +0",
        r"bytes of rows +3\.4 MB +0 bytes",
        r"dropped +0 +0",
        r"rejected +33 +0",
    ):
        assert re.search(row, said), (row, said)


def test_a_line_tells_what_was_dropped_from_what_could_not_be_read():
    lines = io.StringIO()
    display = LineDisplay(Console(file=lines), lambda: FRIDAY_NOON)

    display.show(capture_status(stocks_health(dropped=2, rejected=33)), "recording")

    assert "dropped 2 rejected 33 gaps 0" in lines.getvalue()


def test_elsewhere_a_line_is_written_at_each_change_and_every_half_minute(tmp_path: Path):
    scene, lines = Scene("2026-11-20T12:00"), io.StringIO()
    display = LineDisplay(Console(file=lines, width=200), scene.now)
    runner = scene.runner(CaptureConfig(LiveStreamConfig(stocks=("AAPL",)), tmp_path), KEYS)

    for _ in range(80):  # a second each
        display.show(runner.status(), "recording")
        scene.now_at += timedelta(seconds=1)
    scene.phase = Phase.STALLED
    display.show(runner.status(), "recording")

    said = lines.getvalue().splitlines()
    assert [line.partition(" ")[0] for line in said] == ["17:00:00Z", "17:00:30Z", "17:01:00Z", "17:01:20Z"]
    assert "stocks iex live 0.0/s rows 7" in said[0]
    assert "stocks iex stalled" in said[-1]


def earlier(out: Path, **more: Any) -> None:
    """The note of a capture that recorded there before."""
    note = SessionNote(
        session="one", began_ns=1, seen_ns=1, journal=True, flush_events=500, flush_seconds=1.0
    )
    save_note(out, replace(note, **more))


def test_a_folder_has_the_coins_of_one_exchange(tmp_path: Path):
    """A file is named by the symbol alone."""
    earlier(tmp_path, asked={"crypto": ("BTC/USD",)}, feeds={"crypto": "us"})
    coins = LiveStreamConfig(crypto=("BTC/USD",), crypto_location="us-1")

    with pytest.raises(ConfigError, match=r"has coins of us, and those of us-1 would"):
        require_same_place(tmp_path, coins, MarketKind.ALPACA)
    require_same_place(tmp_path, replace(coins, crypto_location="us"), MarketKind.ALPACA)
    require_same_place(tmp_path, LiveStreamConfig(stocks=("SPY",)), MarketKind.ALPACA)


@pytest.mark.parametrize("market", [MarketKind.LOCAL, MarketKind.SIMULATED, MarketKind.REPLAY])
def test_alpacas_market_is_not_recorded_among_what_was_played(tmp_path: Path, market: MarketKind):
    earlier(tmp_path, market=market.value)
    stocks = LiveStreamConfig(stocks=("SPY",))

    with pytest.raises(ConfigError, match=rf"recording of another market \({market.value}\)"):
        require_same_place(tmp_path, stocks, MarketKind.ALPACA)
    require_same_place(tmp_path, stocks, MarketKind.LOCAL)


def test_a_capture_into_a_folder_with_another_exchanges_coins_does_not_begin(tmp_path: Path):
    earlier(tmp_path, asked={"crypto": ("BTC/USD",)}, feeds={"crypto": "us"})
    selection = Selection(crypto=("BTC/USD",), crypto_location="us-1")

    with pytest.raises(ConfigError, match="--crypto-location"):
        Capture.prepare(CaptureRequest(selection, tmp_path), KEYS, Mock(), now=lambda: FRIDAY_NOON)
