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

from options_helper.data.intraday.contents import PartRows
from options_helper.data.intraday.members import encode_member
from options_helper.data.intraday.meta import load_meta
from options_helper.data.intraday.parquet import write_parquet
from options_helper.data.intraday.rows import DATASETS
from options_helper.data.intraday_store import FinalizeReport
from options_helper.model.events import Trade
from options_helper.model.instants import epoch_nanoseconds
from tests.kit.captured import AAPL_QUOTES, DAY, quotes, store
from tests.kit.duck import result_of
from tests.kit.fakes import NOON


@pytest.mark.parametrize("fields", [3, 4])
def test_rows_behind_a_damaged_header_are_read_only_where_they_can_have_its_columns(
    tmp_path: Path, fields: int
):
    """As `repair` judges them; three fields under four names would be other values than were written."""
    path = tmp_path / "file.csv.gz"
    spoilt = b"?" * 40
    member = encode_member(b",".join([b"1"] * fields) + b"\n", 1, 1)
    path.write_bytes(spoilt + member)

    rows = PartRows(path, ["seq", "recv_ns", "ts_ns", "price"])
    read = b"".join(rows)

    assert read == (b"1,1,1,1\n" if fields == 4 else b"")
    assert sum(one.length for one in rows.damage) == len(spoilt) + (0 if fields == 4 else len(member))
    assert rows.lacks_rows


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
    assert table["ts_ns"].to_pylist() == list(frame["ts_ns"]) == TIMES
    assert pl.read_parquet(path)["ts_ns"].to_list() == TIMES
    rows = select("select ts_ns from read_parquet(?) order by seq", path)
    assert [row[0] for row in rows] == TIMES
    names = pyarrow.csv.read_csv(tmp_path / AAPL_QUOTES).column_names
    assert table.column_names == [name for name in names if name != "timestamp"], "the time is there once"


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
            size=2**53,
            conditions=[" ", "I"],
            trade_id=2**64 - 1,
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
    rows = pyarrow.parquet.read_table(path, partitioning=None).to_pylist()
    assert [row["symbol"] for row in rows] == [symbol] * 3
    assert [row["conditions"] for row in rows] == [" |I", " ", None]
    assert [(row["size"], row["trade_id"], row["ts_ns"]) for row in rows] == [
        (2**53, 2**64 - 1, TIMES[0]), (None, None, TIMES[0]), (None, None, None),
    ]  # fmt: skip


def seal(root: Path, **more: Any) -> FinalizeReport:
    (report,) = store(root).seal(date.fromisoformat(DAY), parquet=True, **more)
    return report


def test_sizes_have_one_type_whatever_a_symbol_s_day_holds(tmp_path: Path):
    """A file of whole sizes and one of fractions are one dataset: DuckDB took the first file's type, and rounded."""
    sizes: dict[str, list[float | None]] = {
        "AAPL": [100, 200],
        "BRK.A": [0.4, 0.4, 1.5],
        "SPY": [None, 2**53 + 1],
    }
    with store(tmp_path) as kept:
        for symbol, of_symbol in sizes.items():
            kept.append("stocks", [
                Trade(symbol=symbol, price=1.0, size=size, trade_id=2**63 if size else None, timestamp=TIMES[0])
                for size in of_symbol
            ])  # fmt: skip
        reports = kept.seal(date.fromisoformat(DAY), parquet=True)

    files = f"{tmp_path}/stocks/trades/tick/*/{DAY}.parquet"
    (of_aapl, of_brk, of_spy) = (
        pyarrow.parquet.read_schema(path) for path in sorted(tmp_path.rglob("*.parquet"))
    )
    summed = "select symbol, sum(size), max(trade_id) from read_parquet(?) group by all order by all"

    assert [report.problem for report in reports] == [None] * 3
    assert of_aapl == of_brk == of_spy
    assert (of_aapl.field("size").type, of_aapl.field("trade_id").type) == (pa.float64(), pa.uint64())
    assert select(summed, Path(files)) == [
        ["AAPL", 300, 2**63], ["BRK.A", pytest.approx(2.3), 2**63], ["SPY", 2.0**53, 2**63],
    ]  # fmt: skip
    together = pl.read_parquet(files).group_by("symbol").agg(pl.col("size").sum()).sort("symbol")
    assert together["size"].to_list() == [300, pytest.approx(2.3), 2.0**53]
    read = [pd.read_parquet(path)["size"].dtype for path in sorted(tmp_path.rglob("*.parquet"))]
    assert [str(dtype) for dtype in read] == ["float64"] * 3
    for symbol, of_symbol in sizes.items():
        frame = store(tmp_path).read("stocks", "trades", symbol)
        assert (str(frame["size"].dtype), str(frame["trade_id"].dtype)) == ("float64", "UInt64")
        assert frame["size"].dropna().tolist() == [float(size) for size in of_symbol if size is not None]
        assert set(frame["trade_id"].dropna()) == {2**63}


def as_an_earlier_version_wrote_it(root: Path, dataset: str, rows: list[str]) -> Path:
    """A file whose fields no version writes any more."""
    kind = DATASETS[dataset]
    path = root / "stocks" / dataset / kind.timeframe / "SPY" / f"{DAY}.csv.gz"
    path.parent.mkdir(parents=True)
    text = "".join(f"{number},{row}\n" for number, row in enumerate(rows, 1))
    path.write_bytes(encode_member(kind.header.encode(), 1, 0) + encode_member(text.encode(), 1, len(rows)))
    return path


@pytest.mark.parametrize(
    ("dataset", "column", "fields", "values"),
    [
        ("quotes", "bid_price", f"{NOON},{NOON},,SPY,{{}},3,V,1.5,4,Q,R", ["nan", "inf", "-inf", "1.25"]),
        ("quotes", "bid_size", f"{NOON},{NOON},,SPY,1.0,{{}},V,1.5,4,Q,R", ["nan", "1e400", "", "1.25"]),
        ("bars", "vwap", f"{NOON},{NOON},,SPY,1.0,1.0,1.0,1.0,5,3,{{}}", ["nan", "", "inf", "1.25"]),
        ("trades", "trade_id", f"{NOON},{NOON},,SPY,1.0,3,V,R,{{}}", ["-5", "", str(2**64), "7"]),
        ("trades", "ts_ns", f"{NOON},{{}},,SPY,1.0,3,V,R,7", ["", str(2**63), "soon", str(NOON)]),
    ],
)
def test_a_value_that_its_column_cannot_hold_costs_itself_and_no_file(
    tmp_path: Path, dataset: str, column: str, fields: str, values: list[str]
):
    as_an_earlier_version_wrote_it(tmp_path, dataset, [fields.format(value) for value in values])

    before = store(tmp_path).read("stocks", dataset, "SPY")
    report = seal(tmp_path)

    assert before[column].isna().tolist() == [True, True, True, False]
    assert before["symbol"].tolist() == ["SPY"] * 4
    assert report.problem is None
    (copy,) = tmp_path.rglob("*.parquet")
    kept = pyarrow.parquet.read_table(copy, partitioning=None)[column]
    assert (kept.null_count, kept[3].as_py()) == (3, before[column][3])
    (sealed,) = store(tmp_path).verify()
    assert sealed.problems == ()


def test_a_text_of_any_length_costs_itself(tmp_path: Path):
    """The field limit of Python's csv is 131,072 signs, and a block of pyarrow's a megabyte."""
    long = "R" * 1_500_000
    with store(tmp_path) as kept:
        kept.append("stocks", quotes(3, conditions=[long]))

    report = seal(tmp_path)

    assert report.problem is None
    (checked,) = store(tmp_path).verify()
    assert (checked.problems, checked.rows) == ((), 3)
    assert store(tmp_path).read("stocks", "quotes", "AAPL")["conditions"].tolist() == [long] * 3
    (copy,) = tmp_path.rglob("*.parquet")
    assert pyarrow.parquet.read_table(copy, partitioning=None)["conditions"].to_pylist() == [long] * 3


def test_a_file_that_cannot_be_sealed_is_named_and_the_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Also where what fails is nothing that anybody thought of."""
    from options_helper.data.intraday import finalize

    def write_or_fail(source: Path, *more: Any) -> None:
        if "MSFT" in str(source):
            raise ZeroDivisionError("a bug")
        write_parquet(source, *more)

    monkeypatch.setattr(finalize, "write_parquet", write_or_fail)
    with store(tmp_path) as kept:
        kept.append("stocks", [*quotes(3), *quotes(3, "MSFT"), *quotes(3, "SPY")])

    reports = store(tmp_path).seal(date.fromisoformat(DAY), parquet=True)

    assert [(report.part.key.symbol, report.problem) for report in reports] == [
        ("AAPL", None), ("MSFT", "it cannot be sealed (ZeroDivisionError: a bug)"), ("SPY", None),
    ]  # fmt: skip
    assert [path.parent.name for path in sorted(tmp_path.rglob("*.parquet"))] == ["AAPL", "SPY"]


def test_a_file_that_cannot_be_checked_is_named_and_the_others_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from options_helper.data.intraday import verify_parts

    def load_or_fail(part: Any) -> Any:
        if part.key.symbol == "MSFT":
            raise ZeroDivisionError("a bug")
        return load_meta(part)

    monkeypatch.setattr(verify_parts, "load_meta", load_or_fail)
    with store(tmp_path) as kept:
        kept.append("stocks", [*quotes(3), *quotes(3, "MSFT"), *quotes(3, "SPY")])

    reports = list(store(tmp_path).verify())

    assert [report.problems for report in reports] == [
        (), ("it cannot be checked (ZeroDivisionError: a bug)",), (),
    ]  # fmt: skip
