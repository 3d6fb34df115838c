"""Every example on the page about recordings runs, and gives what it says."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from options_helper.model.events import Quote, Trade
from options_helper.model.instants import timestamp_extension
from options_helper.monitoring import prometheus
from tests.kit.captured import DAY, quotes, store
from tests.kit.duck import result_of
from tests.kit.fakes import NOON

# Two symbols, one of which most readers take for a missing value; the spread is half a dollar throughout.
SPREAD = 0.5
ROWS = 640
# More whole sizes than any reader looks at before it decides on a type, then a fraction; ids that a sign would spoil.
WHOLE_SIZES = 21_000
SHARES = WHOLE_SIZES + 0.5
LAST_ID = 2**63 + WHOLE_SIZES


@pytest.fixture
def page(repository: Path) -> str:
    return (repository / "docs" / "STREAM_CAPTURE.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small recording: a finished day, and events of it that came late, in further files."""
    folder = tmp_path_factory.mktemp("recorded")
    with store(folder / "market-data") as kept:
        for symbol in ("AAPL", "NA"):
            kept.append("stocks", wide_quotes(600, symbol))
            kept.append("stocks", trades_of(symbol, WHOLE_SIZES))
    with store(folder / "market-data") as kept:
        kept.seal(date.fromisoformat(DAY), parquet=True)
        for symbol in ("AAPL", "NA"):
            kept.append("stocks", wide_quotes(ROWS - 600, symbol, first=600))
            kept.append("stocks", trades_of(symbol, 1, size=0.5, first=WHOLE_SIZES))
    assert len(list(folder.rglob("*.1.csv.gz"))) == 4
    return folder


@pytest.fixture
def recording(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Beside which the examples run."""
    monkeypatch.chdir(recorded)
    return recorded


@pytest.fixture
def finished(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One day in one file each, with its copy."""
    with store(tmp_path / "market-data") as kept:
        for symbol in ("AAPL", "NA"):
            kept.append("stocks", wide_quotes(ROWS, symbol))
            kept.append("stocks", [*trades_of(symbol, 3), *trades_of(symbol, 1, size=0.5, first=3)])
        kept.seal(date.fromisoformat(DAY), parquet=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trades_of(symbol: str, count: int, *, size: float = 1, first: int = 0) -> list[Trade]:
    return [
        Trade(
            symbol=symbol,
            price=1.5,
            size=size,
            trade_id=2**63 + number,
            conditions=[" "],
            timestamp=timestamp_extension(NOON + number),
            received_ns=NOON + number,
        )
        for number in range(first, first + count)
    ]


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
    """Of quotes and of trades, for CSV and for Parquet, with sizes that nobody has to guess."""
    examples = re.findall(r"```python\n(.+?)```", page, flags=re.DOTALL)

    assert len(examples) == 9
    assert all("quotes" in one and "trades" in one for one in examples)
    assert DAY in page


def test_the_example_with_our_own_reader_runs(page: str, recording: Path):
    names = example(page, "IntradayStore")

    assert names["quotes"]["seq"].tolist() == list(range(1, ROWS + 1))
    assert names["spread"].round(6).tolist() == [SPREAD]
    assert (names["shares"], names["trades"]["trade_id"].max()) == (SHARES, LAST_ID)


def test_the_example_with_pandas_runs(page: str, recording: Path):
    names = example(page, "pd.read_csv")
    frame = names["quotes"]

    assert frame["seq"].tolist() == list(range(1, ROWS + 1))
    assert frame["time"].astype("int64").tolist() == frame["ts_ns"].tolist()
    assert set(frame["conditions"]) == {" "}
    assert names["spread"].round(6).tolist() == [SPREAD]
    assert (names["shares"], names["trades"]["trade_id"].max()) == (SHARES, LAST_ID)


def test_the_example_with_polars_runs(page: str, recording: Path):
    names = example(page, "pl.read_csv")
    frame = names["quotes"]

    assert frame["seq"].to_list() == list(range(1, ROWS + 1))
    assert frame["time"].dt.epoch("ns").to_list() == frame["ts_ns"].to_list()
    assert names["spread"]["spread"].round(6).to_list() == [SPREAD]
    assert (names["shares"], names["trades"]["trade_id"].max()) == (SHARES, LAST_ID)


def test_the_example_with_duckdb_runs(page: str, recording: Path):
    code = code_of(page, "from read_csv(") + "\nboth = spread, shares"
    spread, shares = result_of(code, "both")

    assert [(symbol, round(spread, 6), count) for symbol, _, spread, count in spread] == [
        ("AAPL", SPREAD, ROWS),
        ("NA", SPREAD, ROWS),
    ]
    assert shares == [["AAPL", SHARES, LAST_ID], ["NA", SHARES, LAST_ID]]


def test_the_example_with_pyarrow_runs(page: str, recording: Path):
    names = example(page, "from pyarrow import compute, csv")

    assert names["quotes"]["seq"].to_pylist() == list(range(1, ROWS + 1))
    assert set(names["quotes"]["conditions"].to_pylist()) == {" "}
    assert (round(names["spread"].as_py(), 6), names["shares"].as_py()) == (SPREAD, SHARES)
    assert max(names["trades"]["trade_id"].to_pylist()) == LAST_ID


def test_the_example_with_pandas_and_parquet_runs(page: str, finished: Path):
    names = example(page, "pd.read_parquet")

    assert names["quotes"]["seq"].tolist() == list(range(1, ROWS + 1))
    assert (str(names["trades"]["size"].dtype), names["trades"]["size"].sum()) == ("float64", 3.5)
    assert set(names["trades"]["conditions"]) == {" "}


def test_the_example_with_polars_and_parquet_runs(page: str, finished: Path):
    names = example(page, "pl.read_parquet")

    assert names["quotes"]["seq"].to_list() == list(range(1, ROWS + 1))
    assert set(names["trades"]["symbol"]) == {"AAPL", "NA"}
    assert (names["trades"]["size"].sum(), names["trades"]["trade_id"].max()) == (7.0, 2**63 + 3)


def test_the_example_with_duckdb_and_parquet_runs(page: str, finished: Path):
    quotes, trades = result_of(code_of(page, "from read_parquet(") + "\nboth = quotes, trades", "both")

    assert quotes == [["AAPL", ROWS, pytest.approx(SPREAD)], ["NA", ROWS, pytest.approx(SPREAD)]]
    assert trades == [["AAPL", 3.5, 2**63 + 3], ["NA", 3.5, 2**63 + 3]]


def test_the_example_with_pyarrow_and_parquet_runs(page: str, finished: Path):
    names = example(page, "pyarrow.dataset")

    assert names["quotes"]["seq"].to_pylist() == list(range(1, ROWS + 1))
    assert sorted(set(names["trades"]["symbol"].to_pylist())) == ["AAPL", "NA"]
    assert sum(names["trades"]["size"].to_pylist()) == 7.0


def test_the_options_on_the_page_exist(page: str, repository: Path):
    commands = (repository / "docs" / "CLI.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)) - {"--now"}  # of systemctl

    assert {option for option in named if option not in commands} == set()


def test_the_metrics_on_the_page_exist(page: str):
    known = {name for table in vars(prometheus).values() if isinstance(table, tuple) for name, *_ in table}
    known |= {"stream_phase", "start_time_seconds", "heartbeat_time_seconds"}
    named = {name.removesuffix("_total") for name in re.findall(r"options_helper_(\w+?)(?=[ {`])", page)}

    assert named - known - {""} == set()
