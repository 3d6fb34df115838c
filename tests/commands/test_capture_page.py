"""Every example on the page about recordings runs, and gives what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from options_helper.model.events import Quote
from options_helper.monitoring import prometheus
from tests.kit.captured import DAY, quotes, store
from tests.kit.duck import result_of

# Two symbols, one of which most readers take for a missing value; the spread is half a dollar throughout.
SPREAD = 0.5
ROWS = 640


@pytest.fixture
def page(repository: Path) -> str:
    return (repository / "docs" / "STREAM_CAPTURE.md").read_text(encoding="utf-8")


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small recording beside which the examples run."""
    monkeypatch.chdir(tmp_path)
    with store(tmp_path / "market-data") as kept:
        for symbol in ("AAPL", "NA"):
            kept.append("stocks", wide_quotes(600, symbol))
    # The day is finished, and then events of it come late: into a further file.
    with store(tmp_path / "market-data") as kept:
        kept.seal(date.fromisoformat(DAY), parquet=True)
        for symbol in ("AAPL", "NA"):
            kept.append("stocks", wide_quotes(ROWS - 600, symbol, first=600))
    assert len(list(tmp_path.rglob("*.1.csv.gz"))) == 2
    return tmp_path


def wide_quotes(count: int, symbol: str, *, first: int = 0) -> list[Quote]:
    events = quotes(count, symbol, first=first, bid_exchange="V", ask_exchange="Q", conditions=[" "])
    return [replace(one, ask_price=(one.bid_price or 0) + SPREAD) for one in events]


def example(page: str, word: str) -> dict[str, Any]:
    """What the one example with this word leaves behind."""
    names: dict[str, Any] = {}
    exec(code_of(page, word), names)  # noqa: S102 - our own page
    return names


def code_of(page: str, word: str) -> str:
    (code,) = [block for block in re.findall(r"```python\n(.+?)```", page, flags=re.DOTALL) if word in block]
    return str(code)


def test_there_is_an_example_for_each_reader(page: str):
    assert len(re.findall(r"```python", page)) == 4
    assert DAY in page


def test_the_example_with_our_own_reader_runs(page: str, recording: Path):
    names = example(page, "IntradayStore")

    assert names["quotes"]["seq"].tolist() == list(range(1, ROWS + 1))
    assert names["spread"].round(6).tolist() == [SPREAD]


def test_the_example_with_pandas_runs(page: str, recording: Path):
    names = example(page, "pd.read_csv")
    frame = names["quotes"]

    assert frame["seq"].tolist() == list(range(1, ROWS + 1))
    assert frame["time"].astype("int64").tolist() == frame["ts_ns"].tolist()
    assert set(frame["conditions"]) == {" "}
    assert names["spread"].round(6).tolist() == [SPREAD]


def test_the_example_with_polars_runs(page: str, recording: Path):
    names = example(page, "polars")
    frame = names["quotes"]

    assert frame["seq"].to_list() == list(range(1, ROWS + 1))
    assert frame["time"].dt.epoch("ns").to_list() == frame["ts_ns"].to_list()
    assert names["spread"]["spread"].round(6).to_list() == [SPREAD]


def test_the_example_with_duckdb_runs(page: str, recording: Path):
    rows = result_of(code_of(page, "duckdb"), "spread")

    assert [(symbol, round(spread, 6), count) for symbol, _, spread, count in rows] == [
        ("AAPL", SPREAD, ROWS),
        ("NA", SPREAD, ROWS),
    ]


def test_the_systemd_unit_is_one(page: str, tmp_path: Path):
    """Checked by systemd itself, with a program that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    (unit,) = re.findall(r"```ini\n(.+?)```", page, flags=re.DOTALL)
    program = (
        tmp_path / "options-helper"
    )  # where a checkout lies may have spaces, which a unit would have to quote
    program.symlink_to(sys.executable)
    unit = unit.replace("/srv/options-helper/.venv/bin/options-helper", str(program))
    path = tmp_path / "options-capture.service"
    path.write_text(unit.replace("User=recorder", "User=daemon"), encoding="utf-8")

    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
    )

    complaints = [line for line in checked.stderr.splitlines() if "options-capture" in line]
    assert complaints == []


def test_the_options_on_the_page_exist(page: str, repository: Path):
    commands = (repository / "docs" / "CLI.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)) - {"--now"}  # of systemctl

    assert {option for option in named if option not in commands} == set()


def test_the_metrics_on_the_page_exist(page: str):
    known = {name for table in vars(prometheus).values() if isinstance(table, tuple) for name, *_ in table}
    known |= {"stream_phase", "start_time_seconds", "heartbeat_time_seconds"}
    named = {name.removesuffix("_total") for name in re.findall(r"options_helper_(\w+?)(?=[ {`])", page)}

    assert named - known - {""} == set()
