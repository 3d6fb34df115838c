"""`stream verify`, `stream rebuild` and `stream replay`, as a person at a terminal meets them."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from options_helper.cli import app, main
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.errors import ConfigError
from options_helper.model.streams import StreamName
from tests.data.recording.test_rebuild import record_session
from tests.data.recording.test_verify import session, without_rows
from tests.kit.fakes import NOON
from tests.kit.rebuilt import partitions
from tests.kit.waiting import A_PROCESS, wait_until


def stream(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["stream", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    root = tmp_path / "recording"
    record_session(root, "20261105T170000.000000Z-7", session())
    return root


def test_a_sound_recording_passes_and_is_shown_by_symbol_and_day(recording: Path):
    result = stream("verify", recording)

    assert result.exit_code == 0
    assert re.search(r"stocks +quotes +AAPL +2026-11-05 +20 +12:00:00 +12:00:00 +0 +0", result.output)
    assert result.output.endswith("It all adds up.\n")


def test_a_recording_with_rows_missing_fails_and_says_what_helps(recording: Path):
    without_rows(recording)

    result = stream("verify", recording)

    assert result.exit_code == 1
    assert (
        "5 rows are in the journal only (stocks quotes AAPL 2026-11-05: 5); `stream rebuild` makes them"
        in result.output
    )
    assert result.output.endswith("1 thing does not add up.\n")


def test_verify_tells_programs_everything(recording: Path):
    result = json.loads(stream("verify", recording, "--json").output)

    assert (result["ok"], result["problems"]) == (True, [])
    assert result["partitions"][0] | {"files": 1} == {
        "kind": "stocks", "dataset": "quotes", "symbol": "AAPL", "day": "2026-11-05", "files": 1, "rows": 20,
        "first_ns": NOON, "last_ns": NOON + 19, "gaps": 0, "lost": 0, "problems": [],
    }  # fmt: skip
    assert result["sessions"][0]["events"] == 20


def test_rebuild_makes_the_files_again_and_says_how_many_rows(recording: Path, tmp_path: Path):
    before = partitions(recording)
    shutil.rmtree(recording / "stocks")

    result = stream("rebuild", recording, "--out", tmp_path / "again")

    assert result.exit_code == 0
    assert result.output == "20261105T170000.000000Z-7: 20 rows of 20 frames\n"
    assert partitions(tmp_path / "again") == before


@pytest.mark.parametrize("command", ["verify", "rebuild --out new", "replay"])
def test_a_folder_that_is_not_there_is_named(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    name, *options = command.split()
    monkeypatch.setattr(sys, "argv", ["options-helper", "stream", name, "nowhere", *options])

    with pytest.raises(SystemExit) as ending:
        main()

    assert ending.value.code == 2
    assert capsys.readouterr().err == "nowhere: there is no such folder. Name the folder of a recording.\n"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("rebuild RECORDING --out /proc/again", "MB are free for /proc/again"),
        ("rebuild RECORDING --out RECORDING/gaps/again", "/gaps is no folder"),
        ("replay RECORDING --day foo", "--day foo: that is no day. Write it as 2026-12-18."),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_nothing_is_made(command: str, says: str, recording: Path):
    (recording / "gaps").touch()
    before = sorted(recording.rglob("*"))
    words = command.replace("RECORDING", str(recording)).split()

    with pytest.raises(ConfigError) as refusal:
        stream(*words)

    assert says in str(refusal.value)
    assert sorted(recording.rglob("*")) == before


@contextmanager
def replayed(*arguments: object) -> Iterator[dict[str, str]]:
    """A running `stream replay`, and the variables that it printed."""
    program = "from options_helper.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "stream", "replay", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(8)]
        yield dict(re.findall(r"^export (\w+)=(\S+)$", "".join(lines), flags=re.MULTILINE))
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(A_PROCESS) == 0
        process.stdout.close()


def test_replay_serves_the_recording_to_the_page_s_manager(recording: Path, monkeypatch: pytest.MonkeyPatch):
    from options_helper.data.streaming.live_manager import LiveStreamManager

    with replayed(recording, "--speed", 0, "--day", "2026-11-05", "--symbols", "AAPL,MSFT") as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        manager = LiveStreamManager()
        manager.start(LiveStreamConfig(stocks=("AAPL",), stream_options=False, stream_fills=False))
        try:
            wait_until(
                lambda: manager.snapshot().streams[StreamName.STOCKS].applied == 20, saw=manager.snapshot
            )
            shown = manager.snapshot()
        finally:
            manager.stop()

    assert shown.market == "replay"
    assert shown.stock_quotes["AAPL"].bid_price == 19


def test_a_recording_without_that_symbol_is_not_served(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(
        sys, "argv", ["options-helper", "stream", "replay", str(recording), "--symbols", "MSFT"]
    )

    with pytest.raises(SystemExit):
        main()

    assert "There is nothing to replay of MSFT" in capsys.readouterr().err
