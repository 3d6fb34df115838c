"""`stream verify`, `stream rebuild` and `stream replay`, as a person at a terminal meets them."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from options_helper.cli import app, main
from options_helper.commands import stream_run
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.journal import RecordKind, facts_record
from options_helper.data.recording.session_notes import SessionNote, save_note
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.errors import ConfigError
from options_helper.model.instants import timestamp_extension
from options_helper.model.streams import StreamName
from tests.data.recording.test_rebuild import SECOND, began, received, record_session
from tests.data.recording.test_verify import session, without_rows
from tests.kit.captured import AAPL_QUOTES, members_of
from tests.kit.fakes import NOON, quote_message
from tests.kit.programs import Program
from tests.kit.rebuilt import partitions
from tests.kit.waiting import A_PROCESS, wait_until


@pytest.mark.parametrize("command", ["verify", "rebuild"])
def test_a_file_that_goes_while_it_is_looked_at_ends_nothing(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
):
    """The bar only asks how large it is."""
    name = {"verify": "audit", "rebuild": "rebuild"}[command]
    known = getattr(stream_run, name)
    told: list[Path] = []

    def vanishing(*arguments: Any, **more: Any) -> Any:
        *others, done = arguments
        done(tmp_path / "gone.csv.gz")

        def each(path: Path) -> None:
            told.append(path)
            done(path)

        return known(*others, each, **more)

    monkeypatch.setattr(stream_run, name, vanishing)

    assert (
        stream(command, recording, *(["--out", tmp_path / "new"] if command == "rebuild" else [])).exit_code
        == 0
    )
    assert told


def stream(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["stream", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    root = tmp_path / "recording"
    record_session(root, "20261105T170000.000000Z-7", session())
    return root


def test_what_a_killed_capture_wrote_is_listed_as_not_known(recording: Path):
    name = "20261105T170000.000000Z-7"
    note = SessionNote(
        session=name, began_ns=NOON, seen_ns=NOON, journal=True, flush_events=1, flush_seconds=1
    )
    meta = recording / AAPL_QUOTES.replace(".csv.gz", ".meta.json")
    facts = json.loads(meta.read_text())
    writer = {"id": name, "pid": 7, "host": "here", "started_ns": NOON, "first_seq": 1}
    meta.write_text(json.dumps({**facts, "sessions": [writer]}))

    save_note(recording, note)
    assert "not known: killed" in stream("list", recording).output

    save_note(recording, replace(note, ended_ns=NOON + SECOND))
    assert "no gap known" in stream("list", recording).output


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


@pytest.mark.parametrize(
    "command", ["verify", "rebuild --out new", "replay", "list", "export --out a.csv", "seal", "repair"]
)
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


@pytest.fixture
def two_days(tmp_path: Path) -> Path:
    """Two captures a day apart, of two symbols; the second one has lost a row of AAPL's."""
    root = tmp_path / "recording"
    for day, name in enumerate(("20261105T170000.000000Z-7", "20261106T170000.000000Z-7")):
        at = NOON + day * 86_400 * SECOND
        events = [
            received(
                at + number, {**quote_message(symbol, bid=number), "t": timestamp_extension(at + number)}
            )
            for number in range(20)
            for symbol in ("AAPL", "BRK.B")
        ]
        end = facts_record(RecordKind.END, at + SECOND, {})
        record_session(root, name, [began(at, flush_events=5), *events, end])
    path = root / AAPL_QUOTES.replace("2026-11-05", "2026-11-06")
    path.write_bytes(b"".join(members_of(path)[:-1]))
    IntradayStore(root).repair()
    return root


def test_a_day_and_a_symbol_are_verified_alone(two_days: Path):
    """The daily check of a year's folder must not cost a year."""
    first = stream("verify", two_days, "--day", "2026-11-05")
    second = stream("verify", two_days, "--day", "2026-11-06")
    other = stream("verify", two_days, "--day", "2026-11-06", "--symbols", "brk/b")

    assert (first.exit_code, second.exit_code, other.exit_code) == (0, 1, 0)
    assert "2026-11-06" not in first.output
    assert first.output.count("20261105T170000.000000Z-7") == 1
    assert "5 rows are in the journal only (stocks quotes AAPL 2026-11-06: 5)" in second.output
    assert "AAPL" not in other.output
    facts = json.loads(stream("verify", two_days, "--symbols", "AAPL", "--json").output)
    assert [(one["symbol"], one["day"], one["rows"]) for one in facts["partitions"]] == [
        ("AAPL", "2026-11-05", 20), ("AAPL", "2026-11-06", 15),
    ]  # fmt: skip


def test_a_day_and_a_symbol_are_rebuilt_alone(two_days: Path, tmp_path: Path):
    result = stream(
        "rebuild", two_days, "--out", tmp_path / "again", "--day", "2026-11-06", "--symbols", "AAPL"
    )
    facts = stream("rebuild", two_days, "--out", tmp_path / "all", "--json")

    assert (result.exit_code, facts.exit_code) == (0, 0)
    assert result.output == "20261106T170000.000000Z-7: 20 rows of 40 frames\n"
    made = partitions(tmp_path / "again")
    assert list(made) == [AAPL_QUOTES.replace("2026-11-05", "2026-11-06")]
    assert made.items() <= partitions(tmp_path / "all").items()
    assert [one["rows"] for one in json.loads(facts.output)["sessions"]] == [40, 40]


def test_what_there_is_is_listed(two_days: Path):
    result = stream("list", two_days)
    facts = json.loads(stream("list", two_days, "--day", "2026-11-06", "--symbols", "AAPL", "--json").output)

    assert result.exit_code == 0
    assert re.search(
        r"stocks +quotes +AAPL +2026-11-05 +20 +[\d.]+ (kB|bytes) +as recorded +no gap known", result.output
    )
    assert "2 symbols, 2 days, 75 rows," in result.output
    (day,) = facts["days"]
    assert (day["rows"], day["files"], day["sealed"], day["completeness"]) == (15, 1, False, "no gap known")
    assert facts["journal_bytes"] > 0
    assert facts["being_recorded"] is False


def test_a_list_says_what_is_known_to_be_missing(two_days: Path):
    (two_days / AAPL_QUOTES).unlink()

    assert "1 file gone" in stream("list", two_days).output


@pytest.mark.parametrize("form", ["parquet", "csv", "csv.gz"])
def test_days_and_symbols_become_one_file(two_days: Path, tmp_path: Path, form: str):
    stream("seal", two_days, "--day", "2026-11-05", "--symbols", "AAPL")
    (two_days / AAPL_QUOTES).unlink()  # its copy is there
    out = tmp_path / f"all.{form}"

    result = stream("export", two_days, "--out", out)
    again = stream("export", two_days, "--out", tmp_path / f"one.{form}", "--day", "2026-11-05",
                   "--symbols", "BRK.B", "--json")  # fmt: skip

    assert (result.exit_code, again.exit_code) == (0, 0)
    assert result.output.startswith(f"{out}: 75 rows of 4 files, ")
    assert json.loads(again.output)["rows"] == 20
    read = pd.read_parquet if form == "parquet" else pd.read_csv
    frame = read(out)
    assert frame["symbol"].tolist() == ["AAPL"] * 35 + ["BRK.B"] * 40
    assert frame["seq"].tolist() == [*range(1, 21), *range(1, 16), *range(1, 21), *range(1, 21)]
    assert frame["bid_price"].tolist() == [float(number % 20) for number in [*range(35), *range(40)]]


def test_an_export_without_damaged_rows_says_so(two_days: Path, tmp_path: Path):
    path = two_days / AAPL_QUOTES
    header, first, *rest = members_of(path)
    path.write_bytes(b"".join([header, bytes(len(first)), *rest]))

    result = stream("export", two_days, "--out", tmp_path / "all.csv", "--day", "2026-11-05")

    assert result.exit_code == 1
    assert f"! {path} is damaged" in result.output
    assert "35 rows of 2 files" in result.output


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("export ROOT --out here.txt", "here.txt: the name must end with .parquet, .csv or .csv.gz."),
        ("export ROOT --out ROOT/.capture.lock.csv --dataset news", "There is no dataset 'news'"),
        ("export ROOT --out a.csv --dataset trades", "There are no stocks trades in"),
        (
            "export ROOT --out a.csv --day 2026-11-05 --to 2026-11-06",
            "--day goes with neither --from nor --to.",
        ),
        ("export ROOT --out nowhere/a.csv", "nowhere: there is no such folder."),
        ("verify ROOT --symbols MSFT", "--symbols: nothing is recorded of MSFT in"),
        ("verify ROOT --symbols MSFT", "Recorded are: AAPL, BRK.B."),
        ("list ROOT --day 2026-11-07", "There is no recording on 2026-11-07 in"),
        ("seal ROOT --day 5.11.2026", "--day 5.11.2026: that is no day."),
    ],
)
def test_what_cannot_be_answered_is_a_sentence(command: str, says: str, two_days: Path):
    with pytest.raises(ConfigError) as refusal:
        stream(*(word.replace("ROOT", str(two_days)) for word in command.split()))

    assert says in str(refusal.value)


def test_a_folder_into_which_nothing_came_lists_the_captures_that_asked(tmp_path: Path):
    """They recorded into it, and that no row came is an answer; a folder of nobody is refused."""
    note = SessionNote(
        session="one", began_ns=1, seen_ns=2, journal=True, flush_events=1, flush_seconds=1.0, ended_ns=2
    )
    save_note(tmp_path, replace(note, asked={"news": ("AAPL",)}, channels={"news": ("news",)}))
    said = stream("list", tmp_path)

    assert said.exit_code == 0
    assert "No rows are in" in said.output
    assert "1 session recorded into it" in said.output
    assert json.loads(stream("list", tmp_path, "--json").output)["days"] == []
    (tmp_path / "nobodys").mkdir()
    with pytest.raises(ConfigError, match="There is no recording"):
        stream("list", tmp_path / "nobodys")


def test_an_export_never_overwrites(two_days: Path, tmp_path: Path):
    (tmp_path / "all.csv").write_text("mine")

    with pytest.raises(ConfigError, match="is there already"):
        stream("export", two_days, "--out", tmp_path / "all.csv")

    assert (tmp_path / "all.csv").read_text() == "mine"


def test_finished_days_are_sealed_by_command(two_days: Path):
    result = stream("seal", two_days)
    again = json.loads(stream("seal", two_days, "--json").output)

    assert result.exit_code == 0
    assert "4 files of 2 days sealed, with Parquet copies: 75 rows" in result.output
    assert [one["problem"] for one in again["files"]] == [None] * 4
    assert len(list(two_days.rglob("*.parquet"))) == 4
    assert "sealed, with copy" in stream("list", two_days).output


def test_what_cannot_be_sealed_is_named_and_the_rest_is_sealed(two_days: Path):
    in_the_way = (two_days / AAPL_QUOTES).with_name(".2026-11-05.parquet.new")
    in_the_way.mkdir()

    result = stream("seal", two_days)

    assert result.exit_code == 1
    assert f"! {two_days / AAPL_QUOTES}: " in result.output
    assert "3 files of 2 days sealed" in result.output


def test_a_damaged_day_is_repaired_by_command(two_days: Path):
    stream("seal", two_days)
    path = two_days / AAPL_QUOTES
    path.write_bytes(bytes(100))

    result = stream("repair", two_days, "--day", "2026-11-05")
    again = json.loads(stream("repair", two_days, "--json").output)

    assert result.exit_code == 0
    assert f"{path}: made anew from its Parquet copy, 20 rows; what was damaged is kept in" in result.output
    assert "2 files looked at, 1 mended, 0 not." in result.output
    assert len(again["files"]) == 4
    assert stream("verify", two_days, "--day", "2026-11-05").exit_code == 0


def test_a_torn_end_is_cut_off_by_command(two_days: Path):
    path = two_days / AAPL_QUOTES
    with path.open("ab") as file:
        file.write(b"torn")

    result = stream("repair", two_days, "--symbols", "AAPL")

    assert f"{path}: 4 damaged bytes cut out, 20 rows" in result.output


@contextmanager
def replayed(*arguments: object) -> Iterator[dict[str, str]]:
    """A running `stream replay`, and the variables that it printed."""
    process = Program("stream", "replay", *map(str, arguments), stderr=None)
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
