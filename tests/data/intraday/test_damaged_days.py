"""A finished day that is damaged, changed or gone is noticed by whoever reads or checks it, and its copy is of use."""

from __future__ import annotations

import logging
import sys
import zlib
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from options_helper.data.intraday import finalize
from options_helper.data.intraday.layout import dataset_named
from options_helper.data.intraday.members import encode_member, member_pieces, scan
from options_helper.data.intraday.parquet import COPY_SCHEMA, copy_facts
from options_helper.model.events import Quote, Trade
from tests.kit.captured import AAPL_QUOTES, DAY, members_of, numbers, quotes, rows_in, store
from tests.kit.fakes import NOON

TODAY = date.fromisoformat(DAY)
COPY = f"stocks/quotes/tick/AAPL/{DAY}.parquet"


@pytest.fixture(autouse=True)
def small_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a day of a thousand rows has ten of them."""
    monkeypatch.setattr(finalize, "SEALED_ROWS", 100)


def sealed(root: Path, *, parquet: bool = True) -> Path:
    """A finished day of a thousand quotes."""
    with store(root) as kept:
        kept.append("stocks", quotes(1_000, conditions=["R", ","], bid_exchange="V"))
        (report,) = kept.seal(TODAY, parquet=parquet)
    assert report.problem is None
    return root / AAPL_QUOTES


def header() -> bytes:
    """The line of the columns."""
    return dataset_named("quotes").header.encode()


def spoil(path: Path, *, share: float = 0.5) -> None:
    """One bit, as a disk does it."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 1
    path.write_bytes(data)


def as_one_member(path: Path) -> None:
    """As an earlier version sealed it."""
    data = path.read_bytes()
    found = scan(lambda offset, length: data[offset : offset + length], len(data))
    texts = [
        b"".join(member_pieces(lambda offset, length: data[offset : offset + length], one) or ())
        for one in found.members
    ]
    path.write_bytes(
        encode_member(b"".join(texts), 1, 1_000, lambda text: zlib.compress(text, 6, -zlib.MAX_WBITS))
    )


def sizes(root: Path) -> list[int]:
    return [int(size) for size in store(root).read("stocks", "quotes", "AAPL", day=DAY)["bid_size"]]


def problems(root: Path) -> list[str]:
    return [problem for report in store(root).verify() for problem in report.problems]


def test_a_sealed_day_has_several_members_and_every_row(tmp_path: Path):
    path = sealed(tmp_path, parquet=False)

    assert len(members_of(path)) == 10
    assert [int(row["bid_size"]) for row in rows_in(path)] == [*range(1_000)]
    assert problems(tmp_path) == []


def test_a_spoiled_bit_costs_its_member_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    spoil(sealed(tmp_path, parquet=False))

    assert sizes(tmp_path) == [*range(500), *range(600, 1_000)]
    assert "hold no readable rows. `options-helper stream rebuild` makes them from the journal" in caplog.text
    assert any("are damaged" in problem for problem in problems(tmp_path))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
@pytest.mark.parametrize("earlier_version", [False, True])
def test_rows_of_a_spoiled_day_are_read_from_its_copy_and_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, share: float, *, earlier_version: bool
):
    """A day that was one member gave no rows at all, without a word."""
    path = sealed(tmp_path)
    before = store(tmp_path).read("stocks", "quotes", "AAPL")
    if earlier_version:
        as_one_member(path)
    spoil(path, share=share)

    after = store(tmp_path).read("stocks", "quotes", "AAPL")

    assert after.equals(before)
    assert list(after.dtypes) == list(before.dtypes)
    assert f"The 1000 rows of {DAY}.parquet are read in its place" in caplog.text
    assert "`options-helper stream repair` makes the file from them" in caplog.text
    assert any("stream repair" in problem for problem in problems(tmp_path))


def test_a_spoiled_day_of_one_member_without_a_copy_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = sealed(tmp_path, parquet=False)
    as_one_member(path)
    spoil(path)

    assert sizes(tmp_path) == []
    assert "hold no readable rows" in caplog.text


@pytest.mark.parametrize("earlier_version", [False, True])
def test_repair_makes_a_spoiled_day_anew_from_its_copy_and_keeps_the_damaged_one(
    tmp_path: Path, *, earlier_version: bool
):
    path = sealed(tmp_path)
    whole = rows_in(path)
    if earlier_version:
        as_one_member(path)
    spoil(path)
    spoiled = path.read_bytes()

    (report,) = store(tmp_path).repair()

    assert (report.problem, report.rows) == (None, 1_000)
    assert report.kept is not None
    assert report.kept.read_bytes() == spoiled
    assert rows_in(path) == whole
    assert (problems(tmp_path), sizes(tmp_path)) == ([], [*range(1_000)])
    with store(tmp_path) as kept:
        kept.append("stocks", quotes(3, first=1_000))
    assert sizes(tmp_path) == [*range(1_003)]
    assert problems(tmp_path) == []


def test_a_day_that_is_gone_is_read_from_its_copy_and_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = sealed(tmp_path)
    whole = rows_in(path)
    path.unlink()

    assert sizes(tmp_path) == [*range(1_000)]
    assert f"is gone; {DAY}.parquet is read in its place" in caplog.text
    (report,) = store(tmp_path).repair()

    assert (report.problem, report.rows, report.kept) == (None, 1_000, None)
    assert (rows_in(path), problems(tmp_path)) == (whole, [])


def test_odd_values_survive_the_way_to_the_copy_and_back(tmp_path: Path):
    trades = [
        Trade(symbol='A,"B', price=1e-07, size=0.5, trade_id=2**64 - 1, conditions=[" ", "I"], received_ns=NOON),
        Trade(symbol='A,"B', price=-0.0, size=3, timestamp=NOON + 1, received_ns=NOON, exchange="a\nb"),
    ]  # fmt: skip
    with store(tmp_path) as kept:
        kept.append("stocks", trades)
        kept.seal(TODAY, parquet=True)
    (path,) = tmp_path.rglob("*.csv.gz")
    whole = rows_in(path)
    path.unlink()

    store(tmp_path).repair()

    assert rows_in(path) == whole
    assert problems(tmp_path) == []


def test_nothing_is_cut_out_of_a_day_that_its_copy_could_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Not by sealing it again, nor by a repair that cannot read the copy."""
    path = sealed(tmp_path)
    spoil(path)
    spoiled = path.read_bytes()
    (tmp_path / AAPL_QUOTES).with_name(f"{DAY}.meta.json").unlink()

    (again,) = store(tmp_path).seal(TODAY, parquet=True)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (repaired,) = store(tmp_path).repair()

    assert again.problem is not None
    assert "`options-helper stream repair` mends it" in again.problem
    assert repaired.problem is not None
    assert "needs pyarrow" in repaired.problem
    assert path.read_bytes() == spoiled


def test_a_copy_that_is_not_the_one_that_was_sealed_mends_nothing(tmp_path: Path):
    path = sealed(tmp_path)
    spoil(path)
    spoil(tmp_path / COPY, share=0.1)

    (report,) = store(tmp_path).repair()

    assert (report.problem, report.rows) == (None, 900)
    assert f"{DAY}.parquet has 1000 rows, the file has 900" in "\n".join(problems(tmp_path))


def test_a_late_event_never_goes_into_a_day_that_has_a_copy(tmp_path: Path):
    """Also where nothing but the copy says that the day is sealed."""
    path = sealed(tmp_path)
    before = path.read_bytes()
    path.with_name(f"{DAY}.meta.json").unlink()

    with store(tmp_path) as kept:
        kept.append("stocks", quotes(100, first=1_000))

    assert path.read_bytes() == before
    assert sizes(tmp_path) == [*range(1_100)]
    assert "the file has" not in "\n".join(problems(tmp_path))


@pytest.mark.parametrize("said", [True, False])
def test_a_late_event_hides_no_sealed_day_of_which_only_the_copy_is_left(tmp_path: Path, *, said: bool):
    path = sealed(tmp_path)
    path.unlink()
    if not said:
        path.with_name(f"{DAY}.meta.json").unlink()

    with store(tmp_path) as kept:
        kept.append("stocks", quotes(100, first=1_000))

    assert not path.exists(), "an empty file in its place would hide the copy"
    assert sizes(tmp_path) == [*range(1_100)]
    assert numbers(rows_in(path.with_name(f"{DAY}.1.csv.gz"))) == [*range(1_001, 1_101)]
    store(tmp_path).repair()
    assert (sizes(tmp_path), problems(tmp_path)) == ([*range(1_100)], [])


@pytest.mark.parametrize("left", [0, 300])
def test_a_file_that_has_fewer_rows_than_its_sealed_copy_is_made_anew(tmp_path: Path, left: int):
    """As an earlier version began it anew, and as a backup of that afternoon has it."""
    path = sealed(tmp_path)
    whole = rows_in(path)
    path.write_bytes(b"".join(members_of(path)[: left // 100] or [encode_member(header(), 1, 0)]))
    assert len(rows_in(path)) == left

    (report,) = store(tmp_path).repair()

    assert (report.problem, report.rows, report.made_anew) == (None, 1_000, True)
    assert (rows_in(path), problems(tmp_path)) == (whole, [])
    assert report.kept is not None, "what was in its place is kept"


def test_a_sound_file_with_rows_of_its_own_is_not_replaced_by_its_copy(tmp_path: Path):
    path = sealed(tmp_path)
    path.write_bytes(encode_member(header() + b"1,5,6" + b"," * 10 + b"\n", 1, 1))
    before = path.read_bytes()

    (report,) = store(tmp_path).repair()

    assert (report.made_anew, path.read_bytes()) == (False, before)
    assert f"{DAY}.parquet has 1000 rows, the file has 1" in "\n".join(problems(tmp_path))


@pytest.mark.parametrize("meta", ["there", "without a digest", "gone"])
def test_a_day_that_changed_beside_its_copy_is_noticed(tmp_path: Path, meta: str):
    path = sealed(tmp_path)
    about = path.with_name(f"{DAY}.meta.json")
    more = b"1001" + b",".join([b""] * 12) + b"\n"
    path.write_bytes(path.read_bytes() + encode_member(more, 1_001, 1))
    if meta == "gone":
        about.unlink()
    if meta == "without a digest":
        about.write_text(about.read_text().replace('"sha256"', '"forgotten"'))

    assert f"{DAY}.parquet has 1000 rows, the file has 1001" in "\n".join(problems(tmp_path))


def test_a_copy_of_other_rows_is_noticed_though_they_are_as_many(tmp_path: Path):
    path = sealed(tmp_path)
    with store(tmp_path / "other") as kept:
        kept.append("stocks", quotes(1_000, conditions=["R"]))
        kept.seal(TODAY)
    path.write_bytes((tmp_path / "other" / AAPL_QUOTES).read_bytes())
    path.with_name(f"{DAY}.meta.json").unlink()

    assert f"{DAY}.parquet was made of other rows than the file has" in problems(tmp_path)


def test_a_copy_of_an_earlier_version_stays_valid_and_is_made_anew_by_sealing_again(tmp_path: Path):
    """It had sizes of two types and the time twice, and no word on what it was made of."""
    path = sealed(tmp_path, parquet=False)
    as_one_member(path)
    with store(tmp_path / "new") as kept:
        kept.append("stocks", quotes(1_000, conditions=["R", ","], bid_exchange="V"))
        kept.seal(TODAY, parquet=True)
    table = pyarrow.parquet.read_table(tmp_path / "new" / COPY, partitioning=None)
    whole_sizes = table["bid_size"].cast(pa.int64())
    times = table["ts_ns"].cast(pa.timestamp("ns", "UTC"))
    old = table.set_column(5, "bid_size", whole_sizes).append_column("timestamp", times)
    pyarrow.parquet.write_table(old.replace_schema_metadata(None), tmp_path / COPY)
    assert old.schema.field("bid_size").type == pa.int64()

    path.with_name(f"{DAY}.meta.json").unlink()
    store(tmp_path).repair()
    assert problems(tmp_path) == []

    (report,) = store(tmp_path).seal(TODAY, parquet=True)

    assert report.problem is None
    assert copy_facts(tmp_path / COPY).schema == COPY_SCHEMA
    assert (problems(tmp_path), sizes(tmp_path)) == ([], [*range(1_000)])


def test_a_large_member_of_an_earlier_version_is_read_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A line end between quotes is no place to cut."""
    from options_helper.data.intraday import members

    monkeypatch.setattr(members, "LARGE_TEXT_BYTES", 1_000)
    monkeypatch.setattr(members, "_PIECE_BYTES", 300)
    odd = [
        Quote(symbol="AAPL", received_ns=NOON, bid_size=number, conditions='\n"\n,') for number in range(50)
    ]
    with store(tmp_path, flush_rows=50) as kept:
        kept.append("stocks", odd)

    assert sizes(tmp_path) == [*range(50)]
    assert problems(tmp_path) == []
    assert set(store(tmp_path).read("stocks", "quotes", "AAPL")["conditions"]) == {'\n"\n,'}


@pytest.mark.parametrize(
    ("dataset", "symbol", "day", "says"),
    [
        ("quotes", "aapl", None, "No stocks quotes of 'aapl' are recorded in {root}. Is it AAPL?"),
        ("quotes", "x", None, "`list_symbols('stocks', 'quotes')` says of which"),
        ("trades", "AAPL", None, "No stocks trades of 'AAPL' are recorded"),
        ("quotes", "AAPL", "2026-11-06", f"recorded of {DAY} to {DAY}, and not of the time asked for"),
    ],
)
def test_an_empty_answer_says_why_it_is_empty(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, dataset: str, symbol: str, day: str | None, says: str
):
    sealed(tmp_path, parquet=False)
    caplog.set_level(logging.WARNING)

    assert len(store(tmp_path).read("stocks", dataset, symbol, day=day)) == 0

    assert says.format(root=tmp_path) in caplog.text
