"""Finished days get their Parquet copies beside the recording; what goes wrong is said and tried again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from options_helper.capture.sealer import Sealer
from options_helper.data.intraday_store import IntradayStore
from tests.kit.builders import new_york
from tests.kit.captured import quotes
from tests.kit.waiting import wait_until

DAY = "2026-11-19"
DAY_NS = 86_400 * 10**9


def nanoseconds(at: datetime) -> int:
    return int(at.timestamp()) * 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a symbol with two recorded days."""
    noon_ns = nanoseconds(new_york(f"{DAY}T12:00"))
    with IntradayStore(tmp_path) as store:
        store.append("stocks", [*quotes(5, start_ns=noon_ns), *quotes(5, start_ns=noon_ns + DAY_NS)])
    return tmp_path / "stocks" / "quotes" / "tick" / "AAPL"


@pytest.fixture
def sealer(tmp_path: Path) -> Iterator[Sealer]:
    sealer = Sealer(tmp_path, wanted=True)
    yield sealer
    wait_until(lambda: not sealer.busy)
    sealer.close()


def copies(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.parquet") if path.is_file())


def test_the_days_before_today_get_their_copies(sealer: Sealer, folder: Path):
    sealer.start(new_york("2026-11-20T12:00"))

    wait_until(lambda: not sealer.busy)
    assert (copies(folder), sealer.problems) == ([f"{DAY}.parquet"], ())


def test_a_day_is_sealed_some_time_after_its_midnight(sealer: Sealer, folder: Path):
    sealer.start(new_york("2026-11-20T12:00"))
    wait_until(lambda: not sealer.busy)

    sealer.seal_after_midnight(new_york("2026-11-21T00:29"))
    assert not sealer.busy
    sealer.seal_after_midnight(new_york("2026-11-21T00:30"))

    wait_until(lambda: not sealer.busy)
    assert copies(folder) == [f"{DAY}.parquet", "2026-11-20.parquet"]


def test_what_cannot_be_sealed_is_said_and_tried_again(sealer: Sealer, folder: Path):
    in_the_way = folder / f".{DAY}.parquet.new"
    in_the_way.mkdir()
    sealer.start(new_york("2026-11-20T12:00"))
    wait_until(lambda: not sealer.busy)
    assert (len(sealer.problems), copies(folder)) == (1, [])

    in_the_way.rmdir()
    sealer.start_after_the_last(new_york("2026-11-20T12:00"))

    wait_until(lambda: not sealer.busy)
    assert (sealer.problems, copies(folder)) == ((), [f"{DAY}.parquet"])


def test_a_bug_costs_one_round_and_is_said(tmp_path: Path, folder: Path):
    openings = iter([ZeroDivisionError("a bug"), None])

    def open_store(root: Path) -> IntradayStore:
        if (error := next(openings)) is not None:
            raise error
        return IntradayStore(root)

    sealer = Sealer(tmp_path, wanted=True, open_store=open_store)
    sealer.start(new_york("2026-11-20T12:00"))
    wait_until(lambda: not sealer.busy)
    said = sealer.problems

    sealer.start(new_york("2026-11-20T12:00"))
    wait_until(lambda: not sealer.busy)
    sealer.close()

    assert said == ("the finished days, because of ZeroDivisionError: a bug",)
    assert sealer.problems == ()
    assert copies(folder) == [f"{DAY}.parquet"]


def test_where_no_copies_are_wanted_nothing_is_done(tmp_path: Path, folder: Path):
    sealer = Sealer(tmp_path, wanted=False)

    sealer.start(new_york("2026-11-20T12:00"))

    assert not sealer.busy
    assert copies(folder) == []


def test_after_its_end_nothing_more_begins(sealer: Sealer, folder: Path):
    sealer.close()

    sealer.start(new_york("2026-11-20T12:00"))

    assert not sealer.busy
    assert copies(folder) == []


def test_a_day_that_fails_costs_no_other_day(tmp_path: Path, folder: Path):
    """Whatever fails, what can be sealed is, and what cannot is named."""

    class Failing(IntradayStore):
        def seal(self, day, **more):
            if day.isoformat() == DAY:
                raise ZeroDivisionError("a bug")
            return super().seal(day, **more)

    sealer = Sealer(tmp_path, wanted=True, open_store=Failing)
    sealer.start(new_york("2026-11-21T12:00"))
    wait_until(lambda: not sealer.busy)
    sealer.close()

    assert sealer.problems == (f"{DAY}: ZeroDivisionError: a bug",)
    assert copies(folder) == ["2026-11-20.parquet"]
