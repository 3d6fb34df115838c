"""Days begin and end in New York, whatever the clocks do, and late events find their day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from options_helper.model.events import Quote
from options_helper.model.instants import epoch_nanoseconds
from options_helper.model.market_hours import NEW_YORK
from tests.kit.captured import SECOND, bid_sizes, numbers, quotes, rows_in, store


def midnight_ns(day: date) -> int:
    """The first nanosecond of a day in New York."""
    return epoch_nanoseconds(datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).astimezone(UTC)) or 0


def days_in(root: Path) -> dict[str, list[int]]:
    return {path.name: bid_sizes(rows_in(path)) for path in sorted(root.rglob("*.csv.gz"))}


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 8), 23), (date(2026, 11, 1), 25), (date(2026, 11, 5), 24)]
)
def test_a_day_has_the_hours_that_it_has(tmp_path: Path, day: date, hours: int):
    start = midnight_ns(day)
    every_half_hour = [
        Quote(symbol="AAPL", timestamp=start + half * 1_800 * SECOND, received_ns=start, bid_size=half)
        for half in range(-1, 2 * hours + 1)
    ]
    with store(tmp_path) as kept:
        kept.append("stocks", every_half_hour)

    before, after = day - timedelta(days=1), day + timedelta(days=1)
    assert days_in(tmp_path) == {
        f"{before}.csv.gz": [-1], f"{day}.csv.gz": [*range(2 * hours)], f"{after}.csv.gz": [2 * hours],
    }  # fmt: skip


def test_around_midnight_each_event_goes_to_its_own_day_in_order(tmp_path: Path):
    """Venues' clocks differ, so for a while events of both days arrive in turns."""
    midnight = midnight_ns(date(2026, 11, 6))
    old = quotes(500, start_ns=midnight - 600 * 1_000_000)
    new = quotes(500, first=1_000, start_ns=midnight)
    with store(tmp_path, flush_rows=100) as kept:
        for pair in zip(old, new, strict=True):
            kept.append("stocks", pair)

    assert days_in(tmp_path) == {
        "2026-11-05.csv.gz": [*range(500)],
        "2026-11-06.csv.gz": [*range(1_000, 1_500)],
    }
    assert all(numbers(rows_in(path)) == [*range(1, 501)] for path in tmp_path.rglob("*.csv.gz"))


def test_a_late_event_comes_after_sealing_and_is_kept_with_its_day(tmp_path: Path):
    day = date(2026, 11, 5)
    late = quotes(2, first=50, start_ns=midnight_ns(day))
    with store(tmp_path) as kept:
        kept.append("stocks", quotes(50, start_ns=midnight_ns(day)))
        kept.seal(day)
        for event in late:
            kept.append("stocks", [event])
            kept.flush()

    assert days_in(tmp_path) == {"2026-11-05.1.csv.gz": [50, 51], "2026-11-05.csv.gz": [*range(50)]}
    assert store(tmp_path).read("stocks", "quotes", "AAPL", day=day)["seq"].tolist() == [*range(1, 53)]
    assert [report.problems for report in store(tmp_path).verify()] == [(), ()]


def test_an_event_without_a_time_belongs_to_the_day_of_its_receipt(tmp_path: Path):
    with store(tmp_path) as kept:
        kept.append(
            "stocks", [Quote(symbol="AAPL", received_ns=midnight_ns(date(2026, 11, 6)) - 1, bid_size=1)]
        )
        kept.append("stocks", [Quote(symbol="AAPL", received_ns=midnight_ns(date(2026, 11, 6)), bid_size=2)])

    assert days_in(tmp_path) == {"2026-11-05.csv.gz": [1], "2026-11-06.csv.gz": [2]}
