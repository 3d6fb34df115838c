"""Every common reader reads a healthy or repaired file, sealed or not, and every nanosecond in it."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from options_helper.model.events import Trade
from options_helper.model.instants import epoch_nanoseconds
from tests.kit.captured import AAPL_QUOTES, DAY, quotes, store
from tests.kit.duck import result_of

# Nine digits that no microsecond holds.
EVENTS = quotes(1_200, start_ns=1_793_898_000_123_456_789, bid_exchange="V", conditions=["R"])
TIMES = [event.timestamp_ns for event in EVENTS]
PRICES = [event.bid_price for event in EVENTS]


def with_pandas(path: Path) -> tuple[list[int], list[int], list[float]]:
    frame = pd.read_csv(path, parse_dates=["timestamp"])
    assert str(frame["timestamp"].dtype) == "datetime64[ns, UTC]"
    return list(frame["ts_ns"]), list(frame["timestamp"].astype("int64")), list(frame["bid_price"])


def with_pyarrow(path: Path) -> tuple[list[int], list[int], list[float]]:
    table = pyarrow.csv.read_csv(path)
    times = table["timestamp"].cast(pa.timestamp("ns", "UTC")).cast("int64")
    return table["ts_ns"].to_pylist(), times.to_pylist(), table["bid_price"].to_pylist()


def with_polars(path: Path) -> tuple[list[int], list[int], list[float]]:
    frame = pl.read_csv(path)
    times = frame["timestamp"].str.to_datetime("%Y-%m-%dT%H:%M:%S.%9fZ", time_unit="ns").dt.epoch("ns")
    return frame["ts_ns"].to_list(), times.to_list(), frame["bid_price"].to_list()


def select(query: str, path: Path) -> Any:
    code = "import duckdb\nrows = duckdb.execute(sys.argv[1], [sys.argv[2]]).fetchall()"
    return result_of(code, "rows", query, str(path))


def with_duckdb(path: Path) -> tuple[list[int], list[int], list[float]]:
    rows = select(
        "select ts_ns, epoch_ns(replace(timestamp, 'Z', '')::timestamp_ns), bid_price "
        "from read_csv(?, types={'timestamp': 'varchar'}) order by seq",
        path,
    )
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def with_python(path: Path) -> tuple[list[int], list[int], list[float]]:
    with gzip.open(path, "rt") as file:
        return from_lines(file.read())


def with_zcat(path: Path) -> tuple[list[int], list[int], list[float]]:
    with path.open("rb") as file:
        done = subprocess.run(["zcat"], stdin=file, capture_output=True, check=True)
    assert done.stderr == b""
    return from_lines(done.stdout.decode())


def from_lines(text: str) -> tuple[list[int], list[int], list[float]]:
    rows = [line.split(",") for line in text.splitlines()[1:]]
    return (
        [int(row[2]) for row in rows],
        [epoch_nanoseconds(row[3]) or 0 for row in rows],
        [float(row[5]) for row in rows],
    )


def healthy(root: Path) -> None:
    with store(root, flush_rows=100) as kept:
        kept.append("stocks", EVENTS)


def repaired(root: Path) -> None:
    healthy(root)
    with (root / AAPL_QUOTES).open("ab") as file:
        file.write(b"\x1f\x8b\x08\x04" + bytes(100))
    store(root).repair()


def continued_after_a_tear(root: Path) -> None:
    with store(root, flush_rows=100) as kept:
        kept.append("stocks", EVENTS[:500])
    with (root / AAPL_QUOTES).open("ab") as file:
        file.write(b"\x1f\x8b\x08\x04" + bytes(100))
    with store(root, flush_rows=100) as kept:
        kept.append("stocks", EVENTS[500:])


def sealed(root: Path) -> None:
    healthy(root)
    store(root).seal(date.fromisoformat(DAY))


@pytest.mark.parametrize("make", [healthy, repaired, continued_after_a_tear, sealed])
@pytest.mark.parametrize(
    "read", [with_pandas, with_pyarrow, with_polars, with_duckdb, with_python, with_zcat]
)
def test_a_file_is_read_to_the_nanosecond(
    tmp_path: Path, make: Callable[[Path], None], read: Callable[[Path], Any]
):
    make(tmp_path)

    assert read(tmp_path / AAPL_QUOTES) == (TIMES, TIMES, PRICES)


def test_a_parquet_copy_is_read_to_the_nanosecond(tmp_path: Path):
    healthy(tmp_path)
    (report,) = store(tmp_path).seal(date.fromisoformat(DAY), parquet=True)
    path = (tmp_path / AAPL_QUOTES).with_name(f"{DAY}.parquet")

    table = pyarrow.parquet.read_table(path)
    frame = pd.read_parquet(path)

    assert report.problem is None
    assert sorted(report.sha256) == [f"{DAY}.csv.gz", f"{DAY}.parquet"]
    assert table["ts_ns"].to_pylist() == table["timestamp"].cast("int64").to_pylist() == TIMES
    assert list(frame["timestamp"].astype("int64")) == TIMES
    assert pl.read_parquet(path)["timestamp"].dt.epoch("ns").to_list() == TIMES
    rows = select("select ts_ns from read_parquet(?) order by seq", path)
    assert [row[0] for row in rows] == TIMES
    assert table.column_names == pyarrow.csv.read_csv(tmp_path / AAPL_QUOTES).column_names


@pytest.mark.exhaustive
def test_a_long_parquet_copy_has_several_row_groups_and_every_row(tmp_path: Path):
    with store(tmp_path, flush_rows=50_000) as kept:
        kept.append("stocks", quotes(125_000))
        (report,) = kept.seal(date.fromisoformat(DAY), parquet=True)

    (path,) = tmp_path.rglob("*.parquet")
    with pyarrow.parquet.ParquetFile(path) as file:
        assert (report.problem, file.num_row_groups) == (None, 2)
        assert file.read(["bid_size"])["bid_size"].to_pylist() == [*range(125_000)]


@pytest.mark.parametrize("symbol", ["NA", "A,B", 'A"B', " ", "null", "A\nB"])
def test_a_parquet_copy_keeps_odd_texts_large_numbers_and_what_is_missing(tmp_path: Path, symbol: str):
    trades = [
        Trade(
            symbol=symbol,
            price=0.1,
            size=2**53 + 1,
            conditions=[" ", "I"],
            trade_id=2**62 + 1,
            timestamp=TIMES[0],
        ),
        Trade(symbol=symbol, price=-0.0, conditions=[" "], timestamp=TIMES[0]),
        Trade(symbol=symbol, price=1e-07, received_ns=TIMES[0]),
    ]
    with store(tmp_path) as kept:
        kept.append("stocks", trades)
        (report,) = kept.seal(date.fromisoformat(DAY), parquet=True)

    assert report.problem is None
    (path,) = tmp_path.rglob("*.parquet")
    rows = pyarrow.parquet.read_table(path, partitioning=None).drop_columns(["timestamp"]).to_pylist()
    assert [row["symbol"] for row in rows] == [symbol] * 3
    assert [row["conditions"] for row in rows] == [" |I", " ", None]
    assert [(row["size"], row["trade_id"], row["ts_ns"]) for row in rows] == [
        (2**53 + 1, 2**62 + 1, TIMES[0]), (None, None, TIMES[0]), (None, None, None),
    ]  # fmt: skip


def test_a_parquet_copy_that_would_round_a_number_is_not_kept(tmp_path: Path):
    """A size that needs more than a float has, beside one that is no integer: Parquet has no column for both."""
    with store(tmp_path) as kept:
        kept.append("stocks", [
            Trade(symbol="AAPL", price=1.0, size=2**53 + 1, timestamp=TIMES[0]),
            Trade(symbol="AAPL", price=1.0, size=0.5, timestamp=TIMES[0]),
        ])  # fmt: skip
        (report,) = kept.seal(date.fromisoformat(DAY), parquet=True)

    assert report.problem is not None
    assert "Row 1" in report.problem
    assert list(tmp_path.rglob("*.parquet*")) == []
    assert store(tmp_path).read("stocks", "trades", "AAPL")["size"].tolist() == [2.0**53, 0.5]
    assert not next(iter(store(tmp_path).verify())).sealed
