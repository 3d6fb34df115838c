"""What is appended is in the files, exactly and once, and can be read back, verified, repaired and sealed."""

from __future__ import annotations

import errno
import json
import os
import re
import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from options_helper.data.intraday.files import Disk
from options_helper.data.intraday.members import encode_member
from options_helper.data.intraday.meta import Session
from options_helper.data.intraday_store import StorePolicy
from options_helper.errors import ConfigError, StoreError
from options_helper.model.events import Bar, DailyBar, Quote, Trade, TradeCancel, TradeCorrection, UpdatedBar
from options_helper.model.gaps import Gap
from options_helper.model.instants import epoch_nanoseconds
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.streams import StreamName
from options_helper.simulator.market.market import Interest
from options_helper.simulator.market.replay import ReplayMarket
from tests.kit.captured import (
    AAPL_QUOTES,
    DAY,
    SECOND,
    Clock,
    FullDisk,
    bid_sizes,
    members_of,
    numbers,
    quotes,
    rows_in,
    store,
)
from tests.kit.fakes import NOON
from tests.kit.recordings import write_partition

TODAY = date(2026, 11, 5)


def meta_of(root: Path, name: str = AAPL_QUOTES) -> Any:
    return json.loads((root / name.replace(".csv.gz", ".meta.json")).read_text())


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_every_event_is_a_row_in_the_order_in_which_it_came(tmp_path: Path):
    """Also two that are equal in everything."""
    same = quotes(1)
    with store(tmp_path) as kept:
        kept.append("stocks", [*quotes(700), *same, *same])

    rows = rows_in(tmp_path / AAPL_QUOTES)

    assert bid_sizes(rows) == [*range(700), 0, 0]
    assert numbers(rows) == [*range(1, 703)]


def test_columns_are_those_that_are_promised(tmp_path: Path):
    with store(tmp_path) as kept:
        kept.append("stocks", quotes(1, bid_exchange="V", ask_price=101.5, conditions=["R", " "]))

    (row,) = rows_in(tmp_path / AAPL_QUOTES)

    assert row == {
        "seq": "1", "recv_ns": str(NOON + 321), "ts_ns": str(NOON), "timestamp": "2026-11-05T17:00:00.000000000Z",
        "symbol": "AAPL", "bid_price": "100.0", "bid_size": "0", "bid_exchange": "V", "ask_price": "101.5",
        "ask_size": "", "ask_exchange": "", "conditions": "R| ",
    }  # fmt: skip


def test_each_kind_dataset_symbol_and_day_has_its_file(tmp_path: Path):
    times = {"timestamp": NOON, "received_ns": NOON}
    prices = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0}
    with store(tmp_path) as kept:
        kept.append("stocks", [
            Quote(symbol="BRK.B", **times), Trade(symbol="BRK.B", price=1.0, **times),
            Bar(symbol="BRK.B", **prices, **times), UpdatedBar(symbol="BRK.B", **prices, **times),
            DailyBar(symbol="BRK.B", **prices, **times), TradeCorrection(symbol="BRK.B", **times),
            TradeCancel(symbol="BRK.B", **times), Quote(symbol="AAPL", **times),
        ])  # fmt: skip
        kept.append(
            "options", [Quote(symbol="AAPL261218C00180000", timestamp=NOON + 86_400 * SECOND, received_ns=1)]
        )

    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.csv.gz"))

    assert files == [
        "options/quotes/tick/AAPL261218C00180000/2026-11-06.csv.gz",
        f"stocks/bars/1Min/BRK.B/{DAY}.csv.gz",
        f"stocks/cancels/tick/BRK.B/{DAY}.csv.gz",
        f"stocks/corrections/tick/BRK.B/{DAY}.csv.gz",
        f"stocks/daily_bars/1Day/BRK.B/{DAY}.csv.gz",
        f"stocks/quotes/tick/AAPL/{DAY}.csv.gz",
        f"stocks/quotes/tick/BRK.B/{DAY}.csv.gz",
        f"stocks/trades/tick/BRK.B/{DAY}.csv.gz",
        f"stocks/updated_bars/1Min/BRK.B/{DAY}.csv.gz",
    ]


@pytest.mark.parametrize(
    "symbol", ["../../etc", "/", ".", "..", "BTC/USD", "A\x00B", "", "x" * 500, "é", "%2E", "CON:"]
)
def test_a_symbol_never_leaves_its_folder_and_reads_back_as_it_was(tmp_path: Path, symbol: str):
    root = tmp_path / "root"
    with store(root) as kept:
        kept.append("stocks", quotes(2, symbol))

    (folder,) = (root / "stocks" / "quotes" / "tick").iterdir()

    assert [row["symbol"] for row in rows_in(folder / f"{DAY}.csv.gz")] == [symbol, symbol]
    assert names_in(tmp_path) == ["root"]
    assert len(store(root).read("stocks", "quotes", symbol)) == 2
    assert len(symbol) > 200 or store(root).list_symbols("stocks", "quotes") == (symbol,)


def test_a_partition_is_written_when_it_has_enough_rows(tmp_path: Path):
    with store(tmp_path, flush_rows=10) as kept:
        kept.append("stocks", quotes(9))
        assert not (tmp_path / AAPL_QUOTES).exists()

        kept.append("stocks", quotes(2, first=9))

        assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [*range(10)]
        assert kept.counts().total.buffered == 1


def test_a_row_waits_no_longer_than_the_flush_time(tmp_path: Path):
    clock = Clock()
    with store(tmp_path, clock=clock, flush_seconds=5.0) as kept:
        kept.append("stocks", quotes(1))
        clock.advance(3)
        kept.append("stocks", [*quotes(1, first=1), *quotes(1, "MSFT")])
        clock.advance(1.9)
        kept.tick()
        assert kept.counts().total.written == 0

        clock.advance(0.1)
        kept.tick()

        assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [0, 1]
        assert kept.list_symbols("stocks", "quotes") == ("AAPL",)


def test_a_file_is_extended_by_the_next_run_and_the_numbers_go_on(tmp_path: Path):
    for first in (0, 5, 10):
        with store(tmp_path, session_id=f"run {first}") as kept:
            kept.append("stocks", quotes(5, first=first))

    rows = rows_in(tmp_path / AAPL_QUOTES)

    assert (bid_sizes(rows), numbers(rows)) == ([*range(15)], [*range(1, 16)])
    assert [(one["id"], one["first_seq"]) for one in meta_of(tmp_path)["sessions"]] == [
        ("run 0", 1), ("run 5", 6), ("run 10", 11),
    ]  # fmt: skip


def test_other_columns_begin_a_new_file_and_the_numbers_go_on(tmp_path: Path):
    """A later version may record more; two kinds of rows in one file would be neither."""
    with store(tmp_path) as kept:
        kept.append("stocks", quotes(3))
    path = tmp_path / AAPL_QUOTES
    path.write_bytes(encode_member(b"seq,symbol\n", 1, 0) + encode_member(b"1,AAPL\n2,AAPL\n", 1, 2))

    with store(tmp_path) as kept:
        kept.append("stocks", quotes(3))

    assert names_in(path.parent) == [
        f"{DAY}.1.csv.gz",
        f"{DAY}.1.meta.json",
        f"{DAY}.csv.gz",
        f"{DAY}.meta.json",
    ]
    assert numbers(rows_in(path.with_name(f"{DAY}.1.csv.gz"))) == [3, 4, 5]
    assert list(store(tmp_path).read("stocks", "quotes", "AAPL")["seq"]) == [1, 2, 3, 4, 5]


def test_a_file_of_another_program_is_left_alone_and_read(tmp_path: Path):
    columns = ("ts_ns", "symbol", "bid_price", "bid_size")
    write_partition(tmp_path, f"stocks/quotes/tick/AAPL/{DAY}", columns, [(NOON, "AAPL", 1.5, 7)] * 3)
    before = (tmp_path / AAPL_QUOTES).read_bytes()

    with store(tmp_path) as kept:
        kept.append("stocks", quotes(2))

    assert (tmp_path / AAPL_QUOTES).read_bytes() == before
    frame = store(tmp_path).read("stocks", "quotes", "AAPL")
    assert list(frame["bid_size"]) == [7, 7, 7, 0, 1]
    assert list(frame["seq"].dropna()) == [4, 5]


def open_below(folder: Path) -> int:
    """How many files: the lock is one."""
    return sum(folder in Path(one.path).parents for one in psutil.Process().open_files())


def test_thousands_of_partitions_need_few_descriptors(tmp_path: Path):
    with store(tmp_path, flush_rows=1, open_files=10) as kept:
        for turn in range(2):
            kept.append(
                "options", [one for number in range(300) for one in quotes(1, f"S{number}", first=turn)]
            )
        held = open_below(tmp_path)

    assert held == 11
    assert all(report.ok and report.rows == 2 for report in store(tmp_path).verify())
    assert len(list(store(tmp_path).verify())) == 300


def test_files_that_are_written_in_turn_stay_open(tmp_path: Path):
    """More of them than the 128 that were kept open once; who opens one anew at each flush spends most on that."""
    with store(tmp_path, flush_rows=1) as kept:
        kept.append("options", [one for number in range(150) for one in quotes(1, f"S{number}")])
        held = open_below(tmp_path)

    assert held == 151


@pytest.mark.parametrize("was_removed", [False, True])
def test_what_stands_beside_many_files_is_written_once_where_nothing_follows(
    tmp_path: Path, *, was_removed: bool
):
    with store(tmp_path) as kept:
        kept.append("stocks", [one for number in range(40) for one in quotes(3, f"S{number}")])
        kept.flush()
        metas = {path: path.stat().st_ino for path in tmp_path.rglob("*.meta.json")}
        if was_removed:
            for path in metas:
                path.rename(path.with_suffix(".elsewhere"))

    assert len(metas) == 40
    assert all((path.stat().st_ino == inode) is not was_removed for path, inode in metas.items())
    assert all(report.ok and report.rows == 3 for report in store(tmp_path).verify())


def test_what_stands_beside_a_file_says_what_is_in_it(tmp_path: Path):
    with store(tmp_path) as kept:
        kept.append("stocks", quotes(5))

    meta = meta_of(tmp_path)

    assert {name: meta[name] for name in ("kind", "dataset", "timeframe", "symbol", "day", "schema_version")} == {
        "kind": "stocks", "dataset": "quotes", "timeframe": "tick", "symbol": "AAPL", "day": DAY,
        "schema_version": 1,
    }  # fmt: skip
    assert (meta["rows"], meta["first_seq"], meta["last_seq"]) == (5, 1, 5)
    assert (meta["first_ts_ns"], meta["last_ts_ns"]) == (NOON, NOON + 4_000_000)
    assert (meta["first_recv_ns"], meta["last_recv_ns"]) == (NOON + 321, NOON + 4_000_321)
    assert meta["columns"][:3] == ["seq", "recv_ns", "ts_ns"]
    assert (meta["gaps"], meta["sealed"]) == ([], False)
    assert (meta["sessions"][0]["pid"], meta["sessions"][0]["first_seq"]) == (os.getpid(), 1)


def test_it_is_not_written_with_each_flush_but_now_and_then(tmp_path: Path):
    clock = Clock()
    with store(tmp_path, clock=clock, flush_rows=1, meta_seconds=60.0) as kept:
        kept.append("stocks", quotes(5))
        kept.tick()
        assert meta_of(tmp_path)["rows"] == 1

        clock.advance(60)
        kept.tick()

        assert meta_of(tmp_path)["rows"] == 5


def test_a_gap_is_noted_beside_the_files_it_concerns(tmp_path: Path):
    gap = Gap("stocks", NOON, NOON + SECOND, "connection lost")
    with store(tmp_path) as kept:
        kept.append("stocks", [*quotes(1), *quotes(1, "MSFT")])
        kept.append("options", quotes(1, "AAPL261218C00180000"))
        kept.note_gap(gap)
        kept.note_gap(Gap("stocks", NOON, NOON, "refused", symbols=("MSFT",)))
        kept.note_gap(Gap("stocks", NOON - 86_400 * SECOND, NOON - 86_400 * SECOND, "another day"))

    reasons = {
        report.part.key.symbol: [one.reason for one in report.gaps] for report in store(tmp_path).verify()
    }

    assert reasons == {
        "AAPL": ["connection lost"], "MSFT": ["connection lost", "refused"], "AAPL261218C00180000": [],
    }  # fmt: skip
    assert meta_of(tmp_path)["gaps"] == [
        {"since_ns": NOON, "until_ns": NOON + SECOND, "reason": "connection lost", "lost": None}
    ]


def test_a_gap_of_one_symbol_is_noted_once_however_often_its_file_is_opened(tmp_path: Path):
    """What was written of it is read again then, and without the names of the symbols."""
    clock = Clock()
    with store(tmp_path, clock=clock, flush_rows=1, idle_seconds=900.0) as kept:
        kept.append("stocks", quotes(1))
        kept.note_gap(Gap(StreamName.STOCKS, NOON, NOON + SECOND, "refused", symbols=("AAPL", "MSFT")))
        kept.append("stocks", quotes(1, start_ns=NOON + 86_400 * SECOND))
        clock.advance(901)
        kept.tick()
        kept.append("stocks", quotes(1, first=1))

    assert meta_of(tmp_path)["gaps"] == [
        {"since_ns": NOON, "until_ns": NOON + SECOND, "reason": "refused", "lost": None}
    ]


def test_counts_do_not_fall_while_it_is_closed(tmp_path: Path):
    seen = []

    def write(descriptor: int, data: memoryview) -> int:
        seen.append(kept.counts().total.appended)
        return os.write(descriptor, data)

    kept = store(tmp_path, disk=Disk(write=write))
    kept.append("stocks", quotes(10))
    kept.close()

    assert set(seen) == {10}


def test_counts_add_up_and_stay_after_the_end(tmp_path: Path):
    with store(tmp_path, flush_rows=4) as kept:
        kept.append("stocks", quotes(10))
        kept.append("options", quotes(3, "AAPL261218C00180000"))
        stocks, options = kept.counts().kinds["stocks"], kept.counts().kinds["options"]

    assert (stocks.appended, stocks.written, stocks.buffered, stocks.lost, stocks.flushes) == (10, 8, 2, 0, 2)
    assert (options.appended, options.written, options.buffered) == (3, 0, 3)
    final = kept.counts()
    assert (final.total.written, final.total.buffered, final.total.accounted) == (13, 0, True)
    assert final.last_flush_at is not None
    header_bytes = 2 * len(members_of(tmp_path / AAPL_QUOTES)[0])
    files = sum(path.stat().st_size for path in tmp_path.rglob("*.csv.gz"))
    assert final.total.bytes_written == files - header_bytes


def test_a_member_is_never_larger_than_one_write_may_be(tmp_path: Path):
    with store(tmp_path, flush_rows=50_000) as kept:
        kept.append("stocks", quotes(10_000, conditions=["R" * 50]))

    assert len(members_of(tmp_path / AAPL_QUOTES)) > 5
    assert numbers(rows_in(tmp_path / AAPL_QUOTES)) == [*range(1, 10_001)]


def test_files_are_made_to_last_within_the_sync_time(tmp_path: Path):
    clock, disk = Clock(), FullDisk()
    with store(tmp_path, clock=clock, disk=disk.calls(), flush_rows=1, sync_seconds=5.0) as kept:
        kept.append("stocks", quotes(1))
        made = disk.synced
        kept.tick()
        assert disk.synced == made

        clock.advance(5)
        kept.tick()
        assert disk.synced == made + 1

        clock.advance(5)
        kept.tick()
        assert disk.synced == made + 1, "nothing was written since"


def test_many_files_are_synced_in_one_call(tmp_path: Path):
    """A thousand contracts would keep a slow disk busy with nothing else."""
    clock, disk, synced = Clock(), FullDisk(), []

    def sync_all(root: Path) -> bool:
        synced.append(root)
        return True

    all_at_once = replace(disk.calls(), sync_all=sync_all)
    with store(tmp_path, clock=clock, disk=all_at_once, flush_rows=1) as kept:
        kept.append("stocks", [one for number in range(100) for one in quotes(1, f"S{number}")])
        made = disk.synced
        assert made < 50, "new files do not wait for the disk one by one either"
        clock.advance(5)
        kept.tick()

        assert (synced, disk.synced) == ([tmp_path], made)


def test_reading_back_gives_every_nanosecond_and_value(tmp_path: Path):
    events = quotes(1_200, bid_exchange="V", ask_price=0.1, ask_size=7, conditions=["R"])
    with store(tmp_path) as kept:
        kept.append("stocks", events)

    frame = store(tmp_path).read("stocks", "quotes", "AAPL", day=DAY)

    assert list(frame["ts_ns"]) == [event.timestamp_ns for event in events]
    assert list(frame["recv_ns"]) == [event.received_ns for event in events]
    assert list(frame["bid_price"]) == [event.bid_price for event in events]
    assert str(frame["timestamp"].dtype) == "datetime64[ns, UTC]"
    assert list(frame["timestamp"].astype("int64")) == list(frame["ts_ns"])
    assert {str(frame[name].dtype) for name in ("seq", "recv_ns", "ts_ns")} == {"int64"}
    assert {str(frame[name].dtype) for name in ("bid_size", "ask_size")} == {"float64"}
    assert list(frame["conditions"]) == ["R"] * 1_200
    assert frame["ask_exchange"].isna().all()


def test_missing_times_and_ids_are_missing_and_the_others_stay_exact(tmp_path: Path):
    large = 2**62 + 1
    trades = [
        Trade(symbol="NA", price=0.1, trade_id=large, conditions=[" "], timestamp=NOON + 1, received_ns=NOON),
        Trade(symbol="NA", price=0.30000000000000004, conditions="NULL", received_ns=NOON + 1),
    ]
    with store(tmp_path) as kept:
        kept.append("stocks", trades)

    frame = store(tmp_path).read("stocks", "trades", "NA")

    assert (frame["ts_ns"][0], frame["ts_ns"].isna()[1], frame["timestamp"].isna()[1]) == (
        NOON + 1,
        True,
        True,
    )
    assert (frame["trade_id"][0], frame["trade_id"].isna()[1]) == (large, True)
    assert list(frame["price"]) == [0.1, 0.30000000000000004]
    assert (list(frame["symbol"]), list(frame["conditions"])) == (["NA", "NA"], [" ", "NULL"])
    assert frame["timestamp"][0].value == NOON + 1


def test_reading_nothing_gives_the_columns(tmp_path: Path):
    frame = store(tmp_path).read("options", "trades", "AAPL261218C00180000")

    assert (len(frame), list(frame.columns)[:5]) == (0, ["seq", "recv_ns", "ts_ns", "timestamp", "symbol"])
    assert str(frame["timestamp"].dtype) == "datetime64[ns, UTC]"
    assert names_in(tmp_path) == [], "reading makes nothing"


def test_a_stretch_is_read_by_exchange_time_across_days(tmp_path: Path):
    midnight = epoch_nanoseconds(datetime(2026, 11, 6, tzinfo=NEW_YORK).astimezone(UTC)) or 0
    with store(tmp_path) as kept:
        kept.append("stocks", quotes(10, start_ns=midnight - 5_000_000))
        kept.append("stocks", [Quote(symbol="AAPL", received_ns=midnight, bid_size=99)])
    kept = store(tmp_path)

    def sizes(**limits) -> list[int]:
        return list(kept.read("stocks", "quotes", "AAPL", **limits)["bid_size"])

    start = datetime(2026, 11, 5, 23, 59, 59, 998_000, tzinfo=NEW_YORK)
    end = datetime(2026, 11, 6, 0, 0, 0, 2_000, tzinfo=NEW_YORK)
    assert kept.list_days("stocks", "quotes", "AAPL") == (date(2026, 11, 5), date(2026, 11, 6))
    assert sizes() == [*range(10), 99]
    assert sizes(day=date(2026, 11, 6)) == [5, 6, 7, 8, 9, 99]
    assert sizes(start=start) == [3, 4, 5, 6, 7, 8, 9, 99]
    assert sizes(start=start, end=end) == [3, 4, 5, 6, 99]
    assert sizes(end=end) == [0, 1, 2, 3, 4, 5, 6, 99]


def test_a_wrong_question_is_answered_with_a_sentence(tmp_path: Path):
    kept = store(tmp_path)
    with pytest.raises(ConfigError, match="no kind 'futures'; the store has stocks, options"):
        kept.list_symbols("futures", "quotes")
    with pytest.raises(ConfigError, match="no dataset 'ticks'; the store has articles, bars, "):
        kept.read("stocks", "ticks", "AAPL")
    with pytest.raises(ConfigError, match="has no time zone"):
        kept.read("stocks", "quotes", "AAPL", start=datetime(2026, 11, 5))  # noqa: DTZ001


def test_a_writer_at_work_can_be_read(tmp_path: Path):
    with store(tmp_path, flush_rows=10) as kept:
        kept.append("stocks", quotes(25))
        with (tmp_path / AAPL_QUOTES).open("ab") as file:
            file.write(b"\x1f\x8b\x08\x04half a member")

        assert list(store(tmp_path).read("stocks", "quotes", "AAPL")["bid_size"]) == [*range(20)]
        (report,) = store(tmp_path).verify()
        assert (report.ok, report.rows) == (True, 20)


def test_verify_finds_what_does_not_add_up(tmp_path: Path):
    with store(tmp_path, flush_rows=10) as kept:
        kept.append("stocks", quotes(40))
    members = members_of(tmp_path / AAPL_QUOTES)
    spoiled = bytearray(members[2])
    spoiled[-3] ^= 1

    def problems(*parts: bytes) -> str:
        (tmp_path / AAPL_QUOTES).write_bytes(b"".join(parts))
        (report,) = store(tmp_path).verify()
        assert report.ok == (not report.problems)
        return "; ".join(report.problems)

    assert problems(*members) == ""
    assert (
        problems(*members[:3], *members[4:])
        == f"row 31 follows row 20; {DAY}.meta.json says 40 rows, the file has 30"
    )
    assert problems(*members, members[4]).startswith("row 31 follows row 40")
    assert problems(*members[:2], bytes(spoiled), *members[3:]).startswith(
        f"the {len(spoiled)} bytes at {len(members[0] + members[1])} are damaged; row 21 follows row 10"
    )
    assert problems(*members[:4], members[4][:50]).startswith("the last 50 bytes are no whole member")
    assert problems(*members[1:]).startswith("the member at 0 says 10 rows and has 9")
    (tmp_path / AAPL_QUOTES).with_name(f"{DAY}.meta.json").unlink()
    assert problems(*members) == f"there is no readable {DAY}.meta.json beside it"


def test_repair_keeps_every_whole_member_and_the_bytes_it_cuts(tmp_path: Path):
    with store(tmp_path, flush_rows=10) as kept:
        kept.append("stocks", quotes(40))
    path = tmp_path / AAPL_QUOTES
    members = members_of(path)
    spoiled = bytearray(members[2])
    spoiled[-3] ^= 1
    path.write_bytes(b"".join([*members[:2], bytes(spoiled), *members[3:], b"tail"]))

    (report,) = store(tmp_path, now=lambda: datetime(2026, 11, 5, 18, tzinfo=UTC)).repair()

    assert (report.rows, report.cut_bytes, report.problem) == (30, len(spoiled) + 4, None)
    assert report.kept is not None
    assert report.kept.name == f"{DAY}.csv.gz.torn-20261105T180000Z"
    assert report.kept.read_bytes() == bytes(spoiled) + b"tail"
    assert numbers(rows_in(path)) == [*range(1, 11), *range(21, 41)]
    (checked,) = store(tmp_path).verify()
    assert checked.problems == ("row 21 follows row 10",), "a missing row stays known"
    assert "damaged" in checked.gaps[0].reason
    (again,) = store(tmp_path).repair()
    assert (again.cut_bytes, again.kept) == (0, None)


def test_repair_brings_back_rows_behind_a_spoiled_header(tmp_path: Path):
    with store(tmp_path, flush_rows=10) as kept:
        kept.append("stocks", quotes(20))
    path = tmp_path / AAPL_QUOTES
    path.write_bytes(bytes(20) + path.read_bytes()[20:])

    store(tmp_path).repair()

    assert numbers(rows_in(path)) == [*range(1, 21)]


def test_a_file_without_anything_readable_is_set_aside_and_the_numbers_go_on(tmp_path: Path):
    with store(tmp_path) as kept:
        kept.append("stocks", quotes(5))
    path = tmp_path / AAPL_QUOTES
    path.write_bytes(b"not gzip at all")

    with store(tmp_path) as kept:
        kept.append("stocks", quotes(2))

    assert numbers(rows_in(path)) == [6, 7]
    (torn,) = path.parent.glob("*.torn-*")
    assert torn.read_bytes() == b"not gzip at all"
    (report,) = store(tmp_path).verify()
    assert (report.ok, report.lost) == (True, 5)


def test_an_empty_file_is_begun_anew(tmp_path: Path):
    path = tmp_path / AAPL_QUOTES
    path.parent.mkdir(parents=True)
    path.touch()

    with store(tmp_path) as kept:
        kept.append("stocks", quotes(2))

    assert numbers(rows_in(path)) == [1, 2]
    assert names_in(path.parent) == [f"{DAY}.csv.gz", f"{DAY}.meta.json"]


def test_a_sealed_day_has_the_same_rows_in_fewer_members(tmp_path: Path):
    with store(tmp_path, flush_rows=10) as kept:
        kept.append("stocks", quotes(95))
    before = rows_in(tmp_path / AAPL_QUOTES)
    size = (tmp_path / AAPL_QUOTES).stat().st_size

    (report,) = store(tmp_path).seal(TODAY)

    assert (report.problem, report.rows) == (None, 95)
    assert report.bytes_after < size
    assert len(members_of(tmp_path / AAPL_QUOTES)) == 1
    assert rows_in(tmp_path / AAPL_QUOTES) == before
    assert meta_of(tmp_path)["sealed"] is True
    assert list(meta_of(tmp_path)["sha256"]) == [f"{DAY}.csv.gz"]
    (checked,) = store(tmp_path).verify()
    assert (checked.ok, checked.sealed, checked.rows) == (True, True, 95)


def test_sealing_twice_gives_the_same_bytes(tmp_path: Path):
    """So a recording that was rebuilt can be compared with the first one."""
    for root, flush_rows in ((tmp_path / "a", 7), (tmp_path / "b", 100)):
        with store(root, flush_rows=flush_rows) as kept:
            kept.append("stocks", quotes(95))
            kept.seal(TODAY)

    assert (tmp_path / "a" / AAPL_QUOTES).read_bytes() == (tmp_path / "b" / AAPL_QUOTES).read_bytes()


def test_a_file_that_does_not_read_back_the_same_is_not_replaced(tmp_path: Path):
    with store(tmp_path) as kept:
        kept.append("stocks", quotes(5))
    before = (tmp_path / AAPL_QUOTES).read_bytes()
    forgetful = Disk(write=lambda descriptor, data: os.write(descriptor, bytes(len(data))))

    (report,) = store(tmp_path, disk=forgetful).seal(TODAY)

    assert report.problem is not None
    assert "reads differently when recompressed" in report.problem
    assert (tmp_path / AAPL_QUOTES).read_bytes() == before
    assert names_in((tmp_path / AAPL_QUOTES).parent) == [f"{DAY}.csv.gz", f"{DAY}.meta.json"]
    assert meta_of(tmp_path)["sealed"] is False


def test_events_that_come_after_sealing_go_into_a_further_file(tmp_path: Path):
    with store(tmp_path) as kept:
        kept.append("stocks", quotes(5))
        kept.seal(TODAY)
        sealed = (tmp_path / AAPL_QUOTES).read_bytes()
        kept.append("stocks", quotes(3, first=5))

    assert (tmp_path / AAPL_QUOTES).read_bytes() == sealed
    assert numbers(rows_in((tmp_path / AAPL_QUOTES).with_name(f"{DAY}.1.csv.gz"))) == [6, 7, 8]
    assert list(store(tmp_path).read("stocks", "quotes", "AAPL", day=TODAY)["bid_size"]) == [*range(8)]
    assert store(tmp_path).list_days("stocks", "quotes", "AAPL") == (TODAY,)
    store(tmp_path).seal(TODAY)
    assert [(report.ok, report.sealed, report.rows) for report in store(tmp_path).verify()] == [
        (True, True, 5), (True, True, 3),
    ]  # fmt: skip


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ends of names that cannot be read while they stand here, because too many files are open."""
    ends: list[str] = []
    read, opened = Path.read_bytes, Path.open

    def require(path: Path) -> None:
        if path.name.endswith(tuple(ends)):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    def reads(path: Path) -> bytes:
        require(path)
        return read(path)

    def opens(path: Path, *rest: Any, **more: Any) -> Any:
        require(path)
        return opened(path, *rest, **more)

    monkeypatch.setattr(Path, "read_bytes", reads)
    monkeypatch.setattr(Path, "open", opens)
    return ends


def test_what_is_known_of_a_file_and_cannot_be_read_now_is_not_made_anew(tmp_path: Path, refused: list[str]):
    """Gaps, sessions and that it was sealed were forgotten, and the rows went into the sealed file."""
    gap = Gap(StreamName.STOCKS, NOON, NOON + SECOND, "cut", lost=3)
    with store(tmp_path) as kept:
        kept.append("stocks", quotes(5))
        kept.note_gap(gap)
        kept.seal(TODAY)
    before = (meta_of(tmp_path), (tmp_path / AAPL_QUOTES).read_bytes())
    refused.append(".meta.json")

    (again,) = store(tmp_path).seal(TODAY)
    assert "Too many open files" in (again.problem or "")
    (mended,) = store(tmp_path).repair()
    assert "Too many open files" in (mended.problem or "")
    with store(tmp_path, flush_rows=1) as recorder:
        recorder.append("stocks", quotes(2, first=5))
        assert "Too many open files" in (recorder.counts().problem or "")
        refused.clear()
        recorder.flush()

    assert (meta_of(tmp_path), (tmp_path / AAPL_QUOTES).read_bytes()) == before
    assert before[0]["gaps"]
    assert list(store(tmp_path).read("stocks", "quotes", "AAPL")["bid_size"]) == [*range(7)]


def test_a_file_that_cannot_be_read_as_it_is_sealed_has_no_empty_digest_for_it(
    tmp_path: Path, refused: list[str], monkeypatch: pytest.MonkeyPatch
):
    with store(tmp_path) as kept:
        kept.append("stocks", quotes(5))
    opened = Path.open

    def opens(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if mode == "rb" and path.name == f"{DAY}.csv.gz":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))
        return opened(path, mode, *rest, **more)

    with monkeypatch.context() as while_full:
        while_full.setattr(Path, "open", opens)
        (report,) = store(tmp_path).seal(TODAY)
    assert "Too many open files" in (report.problem or "")
    assert meta_of(tmp_path)["sealed"] is False

    (report,) = store(tmp_path).seal(TODAY)
    assert report.problem is None
    assert all(one.ok for one in store(tmp_path).verify())


def test_a_sealed_file_that_was_changed_is_noticed(tmp_path: Path):
    with store(tmp_path) as kept:
        kept.append("stocks", quotes(5))
        kept.seal(TODAY)
    data = bytearray((tmp_path / AAPL_QUOTES).read_bytes())
    data[8] ^= 1  # a byte that no reader looks at
    (tmp_path / AAPL_QUOTES).write_bytes(data)

    (report,) = store(tmp_path).verify()

    assert report.problems == (f"{DAY}.csv.gz is not the file that was sealed",)


def test_a_day_is_sealed_by_another_store_while_the_next_one_is_recorded(tmp_path: Path):
    with store(tmp_path, flush_rows=1) as recorder:
        recorder.append("stocks", quotes(2))
        recorder.append("stocks", quotes(2, start_ns=NOON + 86_400 * SECOND))
        (busy,) = store(tmp_path).seal(TODAY)
        assert busy.problem == "another process writes it; seal it when that has ended"

        recorder.append("stocks", quotes(1, first=2))
        recorder.seal(TODAY)
        recorder.append("stocks", quotes(1, first=3))

    assert list(store(tmp_path).read("stocks", "quotes", "AAPL", day=TODAY)["bid_size"]) == [0, 1, 2, 3]
    assert all(report.ok for report in store(tmp_path).verify())


def test_a_recorder_whose_file_was_sealed_behind_its_back_goes_on_in_a_further_one(tmp_path: Path):
    with store(tmp_path, flush_rows=1, open_files=1) as recorder:
        recorder.append("stocks", quotes(2))
        recorder.append("stocks", quotes(1, "MSFT"))  # takes the one descriptor
        (sealed,) = store(tmp_path).seal(TODAY, symbol="AAPL")
        assert sealed.problem is None
        recorder.append("stocks", quotes(2, first=2))

    frame = store(tmp_path).read("stocks", "quotes", "AAPL")
    assert (list(frame["bid_size"]), list(frame["seq"])) == ([0, 1, 2, 3], [1, 2, 3, 4])
    assert [(report.ok, report.sealed) for report in store(tmp_path).verify(symbol="AAPL")] == [
        (True, True), (True, False),
    ]  # fmt: skip


def test_a_second_writer_is_refused_and_told_who_the_first_is(tmp_path: Path):
    with store(tmp_path, now=lambda: datetime(2026, 11, 5, 14, 30, tzinfo=UTC)) as first:
        first.acquire()
        second = store(tmp_path)

        with pytest.raises(
            StoreError, match=rf"process {os.getpid()} on \S+, which started 2026-11-05T14:30:00Z"
        ):
            second.append("stocks", quotes(1))

        assert len(second.read("stocks", "quotes", "AAPL")) == 0, "reading needs no lock"
    with store(tmp_path) as third:
        third.acquire()


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path):
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match=re.escape(f"{tmp_path / 'file'} cannot be recorded into")):
        store(tmp_path / "file").acquire()


def test_a_disk_that_is_nearly_full_is_refused_before_anything_is_recorded(tmp_path: Path):
    nearly_full = Disk(free_bytes=lambda _: 12 << 20)
    kept = store(tmp_path, disk=nearly_full, min_free_bytes=64 << 20)

    with pytest.raises(StoreError, match=r"Only 12 MB are free .* recording needs 64 MB at least"):
        kept.acquire()

    with store(tmp_path) as other:
        other.acquire()  # the lock was given back


def test_partitions_of_days_that_are_over_are_left(tmp_path: Path):
    clock = Clock()
    with store(tmp_path, clock=clock, flush_rows=1, idle_seconds=900.0) as kept:
        kept.append("stocks", quotes(1))
        kept.append("stocks", quotes(1, start_ns=NOON + 86_400 * SECOND))
        clock.advance(901)
        kept.tick()
        assert kept.counts().partitions == 1

        kept.append("stocks", quotes(1, first=1))

    assert list(store(tmp_path).read("stocks", "quotes", "AAPL", day=TODAY)["seq"]) == [1, 2]


def test_the_end_can_be_told_twice_and_nothing_comes_after_it(tmp_path: Path):
    kept = store(tmp_path)
    kept.append("stocks", quotes(1))
    kept.close()
    kept.close()

    with pytest.raises(ValueError, match="closed"):
        kept.append("stocks", quotes(1))


def test_counts_can_be_read_while_another_thread_writes(tmp_path: Path):
    done = threading.Event()
    seen = []
    with store(tmp_path, flush_rows=5) as kept:
        kept.acquire()

        def watch() -> None:
            while not done.is_set():
                seen.append(kept.counts().total.written)

        watcher = threading.Thread(target=watch)
        watcher.start()
        for number in range(300):
            kept.append("stocks", quotes(1, f"S{number % 50}"))
        done.set()
        watcher.join()

    assert seen == sorted(seen)


def test_a_recording_plays_in_the_simulator(tmp_path: Path):
    option = "AAPL261218C00180000"
    with store(tmp_path, flush_rows=7) as kept:
        kept.append(
            "stocks",
            [*quotes(20, conditions=["R", " "]), Trade(symbol="AAPL", price=1.5, trade_id=9, timestamp=NOON)],
        )
        kept.append("options", quotes(5, option, conditions="A"))
        kept.append(
            "stocks", [UpdatedBar(symbol="AAPL", open=1.0, high=1.0, low=1.0, close=1.0, timestamp=NOON)]
        )

    messages = [
        message for step in ReplayMarket(tmp_path, speed=0).steps(Interest()) for message in step.messages
    ]

    kinds = [(message["T"], message["S"]) for message in messages]
    assert (kinds.count(("q", "AAPL")), kinds.count(("t", "AAPL")), kinds.count(("q", option))) == (20, 1, 5)
    assert len(messages) == 26, "a bar that was sent again is no new bar"
    assert messages[0]["c"] == ["R", " "] or messages[0]["c"] == "A"


def test_a_sealed_part_without_rows_does_not_begin_the_numbers_again(tmp_path: Path):
    """Completing a killed session over sealed files can leave one; the next session must not take old numbers."""
    session = Session("killed", os.getpid(), "host", NOON)
    with store(tmp_path, session_id=session.id) as first:
        first.append("stocks", quotes(5))
    first.seal(TODAY)
    for _ in range(2):
        with (
            store(tmp_path) as again,
            again.resuming(session, StorePolicy(), clock=Clock(), past_deadline=lambda: False) as recording,
        ):
            recording.append("stocks", quotes(5))
        again.seal(TODAY)
    with store(tmp_path) as last:
        last.append("stocks", quotes(1, first=5))

    frame = store(tmp_path).read("stocks", "quotes", "AAPL")
    assert frame["seq"].tolist() == [1, 2, 3, 4, 5, 6]
    assert frame["bid_size"].tolist() == [*range(6)]


def test_a_disk_that_cannot_be_asked_for_its_room_leaves_the_folder_to_the_next(tmp_path: Path):
    def unknown(_: Path) -> int:
        raise OSError("the disk says nothing")

    with store(tmp_path, disk=Disk(free_bytes=unknown), min_free_bytes=1) as refused:
        with pytest.raises(OSError, match="says nothing"):
            refused.acquire()

        with store(tmp_path) as following:
            following.acquire()


def from_the_future(root: Path) -> bytes:
    """A day as a later version may write it; what stands beside it, as bytes."""
    with store(root) as kept:
        kept.append("stocks", quotes(3))
    about = (root / AAPL_QUOTES).with_name(f"{DAY}.meta.json")
    about.write_text(json.dumps({**json.loads(about.read_text()), "schema_version": 9, "tape": {"a": [1]}}))
    return about.read_bytes()


def test_a_file_of_a_later_version_is_neither_continued_nor_changed(tmp_path: Path):
    about = from_the_future(tmp_path)
    before = (tmp_path / AAPL_QUOTES).read_bytes()

    with store(tmp_path) as kept:
        kept.append("stocks", quotes(2, first=3))
    (sealed, _) = store(tmp_path).seal(TODAY)
    (repaired, _) = store(tmp_path).repair()

    says = f"{DAY}.meta.json has schema_version 9, and this version of options-helper knows 1"
    assert (sealed.problem or "").startswith(says)
    assert (repaired.problem or "").startswith(says)
    assert (tmp_path / AAPL_QUOTES).read_bytes() == before
    assert (tmp_path / AAPL_QUOTES).with_name(f"{DAY}.meta.json").read_bytes() == about
    assert numbers(rows_in((tmp_path / AAPL_QUOTES).with_name(f"{DAY}.1.csv.gz"))) == [4, 5]
    (first, further) = store(tmp_path).verify()
    assert "schema_version 9, which this version of options-helper does not know" in first.problems[0]
    assert further.ok


def test_what_another_version_says_beside_a_file_is_kept(tmp_path: Path):
    from_the_future(tmp_path)
    about = (tmp_path / AAPL_QUOTES).with_name(f"{DAY}.meta.json")
    about.write_text(about.read_text().replace('"schema_version": 9', '"schema_version": 1'))

    with store(tmp_path) as kept:
        kept.append("stocks", quotes(2, first=3))
        kept.seal(TODAY)

    assert meta_of(tmp_path)["tape"] == {"a": [1]}
    assert (meta_of(tmp_path)["rows"], meta_of(tmp_path)["sealed"]) == (5, True)
