"""The gap ledger keeps every loss, once, whatever the disk and a kill do to it; the watch finds them all."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from options_helper.capture.gap_watch import GapWatch, Instant
from options_helper.data.recording.loss_log import COLUMNS, LossLog, loss_rows, read_losses
from options_helper.data.streaming.engine.worker import KEPT_GAPS
from options_helper.model.gaps import Gap
from options_helper.model.instants import NANOSECONDS, utc_datetime
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from tests.kit.captured import FullDisk
from tests.kit.fakes import NOON

STOCKS = StreamName.STOCKS
MINUTE = 60 * NANOSECONDS
LIVE = StreamHealth(
    STOCKS, phase=Phase.LIVE, connections=1, requested=("AAPL", "ZZZZ"), acknowledged=("AAPL",)
)


def gap(number: int) -> Gap:
    return Gap(STOCKS, NOON + number, NOON + number + 5, f"reason {number}")


def file_of(root: Path) -> Path:
    (path,) = (root / "gaps").iterdir()
    return path


def reasons(root: Path) -> list[str]:
    return [row.reason for row in loss_rows(root)]


@pytest.mark.parametrize("room", [0, 1, 50, 100, 150, 200])
def test_wherever_the_disk_gets_full_no_row_is_torn_and_the_next_one_is_whole(tmp_path: Path, room: int):
    disk = FullDisk(room)
    ledger = LossLog(tmp_path, "one", disk.calls())
    written = []
    for number in range(3):
        try:
            ledger.write(gap(number))
        except OSError:
            disk.room = None
        else:
            written.append(f"reason {number}")

    assert reasons(tmp_path) == written
    assert len(written) >= 2
    with file_of(tmp_path).open(newline="") as file:
        assert next(csv.reader(file)) == list(COLUMNS)


def test_a_row_that_a_kill_left_unfinished_is_not_glued_to_the_next(tmp_path: Path):
    LossLog(tmp_path, "one").write(gap(1))
    with file_of(tmp_path).open("ab") as file:
        file.write(b"one,stocks,17")
    assert reasons(tmp_path) == ["reason 1"]

    LossLog(tmp_path, "two").write(gap(2))

    assert reasons(tmp_path) == ["reason 1", "reason 2"]


def test_a_reason_of_several_lines_is_one_row(tmp_path: Path):
    LossLog(tmp_path, "one").write(Gap(STOCKS, NOON, NOON, 'a "server"\nsays, much'))

    assert reasons(tmp_path) == ['a "server" says, much']


def test_a_ledger_that_is_none_is_told(tmp_path: Path):
    LossLog(tmp_path, "one").write(gap(1))
    file_of(tmp_path).write_text("a,b\n1,2\n")

    (problem,) = read_losses(tmp_path).problems
    assert "2026-11-05.csv" in problem


def at(after_ns: int, put_forward_ns: int = 0) -> Instant:
    """So long after noon, by a clock that was put forward by so much."""
    return Instant(NOON + after_ns + put_forward_ns, 1_000 + after_ns / NANOSECONDS)


def observed(watch: GapWatch, health: StreamHealth, after_ns: int, **more: object) -> list[Gap]:
    return watch.observe({STOCKS: health}, at(after_ns), **more)  # type: ignore[arg-type]


def test_losses_that_go_on_are_a_row_a_minute_and_none_is_left_out():
    watch = GapWatch(at(0))
    found = [
        one
        for second in range(1, 200)
        for one in observed(watch, replace(LIVE, dropped=second * 10), second * NANOSECONDS)
    ]
    found += observed(watch, replace(LIVE, dropped=1_990), 200 * NANOSECONDS, ending=True)

    assert [one.lost for one in found] == [10, 600, 600, 600, 180]
    assert all(before.until <= after.since for before, after in pairwise(found) if before.until)


def test_rows_that_the_disk_did_not_take_are_losses():
    (found,) = observed(GapWatch(at(0)), LIVE, NANOSECONDS, unwritten={STOCKS: 7})

    assert (found.lost, "the disk took no more" in found.reason) == (7, True)


def broken(times: int, *, lasts: bool = False) -> StreamHealth:
    """A stream that lost its connection so many times, ten nanoseconds apart, and kept the newest."""
    gaps = [gap(number * 10) for number in range(times)]
    if lasts:
        gaps[-1] = replace(gaps[-1], until_ns=None)
    return replace(LIVE, gaps=tuple(gaps[-KEPT_GAPS:]), gap_count=times)


@pytest.mark.parametrize("times", [KEPT_GAPS - 1, KEPT_GAPS, KEPT_GAPS + 1, KEPT_GAPS + 50])
def test_every_gap_is_returned_once_and_those_that_were_not_kept_as_one(times: int):
    watch = GapWatch(at(0))
    health = broken(times)
    to_come = watch.unseen({STOCKS: health})

    found = observed(watch, health, MINUTE)

    forgotten = max(0, times - KEPT_GAPS)
    assert found[-KEPT_GAPS:] == list(health.gaps)
    assert len(found) == to_come == min(times, KEPT_GAPS) + (forgotten > 0)
    if forgotten:
        assert (found[0].since_ns, found[0].until_ns) == (NOON, health.gaps[0].since_ns)
        assert found[0].reason.startswith(f"{forgotten} gap")
    assert observed(watch, health, 2 * MINUTE) == []
    assert watch.unseen({STOCKS: health}) == 0


def test_what_was_not_kept_lies_between_what_was_returned_and_what_was_kept():
    watch = GapWatch(at(0))
    (first,) = observed(watch, broken(1), MINUTE)
    later = broken(KEPT_GAPS + 50, lasts=True)

    forgotten, *kept = observed(watch, later, 2 * MINUTE)

    assert (forgotten.since_ns, forgotten.until_ns) == (first.until_ns, later.gaps[0].since_ns)
    assert forgotten.reason.startswith("49 gaps")
    assert kept == list(later.gaps[:-1])
    assert observed(watch, later, 3 * MINUTE, ending=True) == [
        replace(later.gaps[-1], until_ns=NOON + 3 * MINUTE)
    ]


def test_a_gap_that_lasts_is_counted_before_it_is_told():
    watch = GapWatch(at(0))
    cut = replace(LIVE, phase=Phase.RECONNECTING, gaps=(Gap(STOCKS, NOON, None, "cut"),), gap_count=1)
    assert observed(watch, cut, NANOSECONDS) == []
    assert watch.unseen({STOCKS: cut}) == 1

    stopped = replace(cut, phase=Phase.STOPPED)
    assert observed(watch, stopped, 2 * NANOSECONDS, ending=True) == [
        Gap(STOCKS, NOON, NOON + 2 * NANOSECONDS, "cut")
    ]
    assert watch.unseen({STOCKS: stopped}) == 0


def test_a_symbol_that_is_refused_for_a_while_has_a_gap_of_its_own():
    watch = GapWatch(at(0))
    refusing = replace(LIVE, feed="iex", refused_symbols=("ZZZZ",), last_error="No such symbol.")
    assert observed(watch, refusing, NANOSECONDS) == []

    (found,) = observed(watch, replace(LIVE, feed="iex"), MINUTE)

    assert (found.since_ns, found.until_ns, found.symbols) == (NOON, NOON + MINUTE, ("ZZZZ",))
    assert found.reason.startswith("not recorded: ZZZZ refused by the iex feed.")


def test_silence_that_was_heard_through_is_no_gap():
    watch = GapWatch(at(0))
    heard = utc_datetime(NOON)
    stalled = replace(LIVE, phase=Phase.STALLED, last_event_at=heard)
    observed(watch, stalled, MINUTE)
    observed(watch, replace(LIVE, last_event_at=heard + timedelta(minutes=1)), MINUTE)

    assert observed(watch, replace(LIVE, phase=Phase.STOPPED), 2 * MINUTE, ending=True) == []


def test_silence_that_lasts_is_counted_and_says_nothing_of_an_end_before_there_is_one():
    watch = GapWatch(at(0))
    stalled = {STOCKS: replace(LIVE, phase=Phase.STALLED)}
    assert watch.observe(stalled, at(MINUTE)) == []

    (lasting,) = watch.lasting(stalled)
    assert (lasting.reason, watch.unseen(stalled)) == ("No stocks data although the market is open.", 1)

    (row,) = watch.observe(stalled, at(2 * MINUTE), ending=True)
    assert row.reason == "No stocks data although the market is open, to the end of the capture."
    assert watch.unseen(stalled) == 0


HOUR = 60 * MINUTE
REFUSED = replace(LIVE, refused_symbols=("ZZZZ",))
CUT = replace(LIVE, gaps=(Gap(STOCKS, NOON + HOUR, None, "cut"),), gap_count=1)


@pytest.mark.parametrize(
    ("health", "since_ns"),
    [
        (REFUSED, 0),
        (CUT, HOUR),
        (replace(LIVE, phase=Phase.STALLED, silent_since=utc_datetime(NOON + HOUR)), HOUR),
        (replace(LIVE, phase=Phase.CONNECTING, connections=0), 0),
    ],
    ids=["left out", "cut", "silent", "never connected"],
)
def test_what_lasts_to_the_end_is_as_long_as_it_was_where_the_clock_was_put_back(
    health: StreamHealth, since_ns: int
):
    """By the clock of then alone it ended before it began, and was told to have no length."""
    watch = GapWatch(at(0))
    watch.observe({STOCKS: health}, at(HOUR))
    stopped = replace(health, phase=Phase.STOPPED) if health.phase is Phase.STALLED else health

    (row,) = watch.observe({STOCKS: stopped}, at(3 * HOUR, put_forward_ns=-5 * HOUR), ending=True)

    assert (row.since_ns - NOON, row.seconds) == (since_ns, (3 * HOUR - since_ns) / NANOSECONDS)


def test_a_refusal_that_is_over_is_as_long_as_it_was_where_the_clock_was_put_back():
    watch = GapWatch(at(0))
    watch.observe({STOCKS: REFUSED}, at(MINUTE))

    (row,) = watch.observe({STOCKS: LIVE}, at(HOUR, put_forward_ns=-5 * HOUR))

    assert (row.since_ns, row.seconds) == (NOON, 3_600)


@pytest.mark.parametrize("put_forward_ns", [-HOUR, HOUR])
def test_losses_before_and_after_the_clock_was_set_are_rows_of_their_own(put_forward_ns: int):
    """Each by the clock of its own time: together they were of an hour, or of no time at all."""
    watch = GapWatch(at(0))
    watch.observe({STOCKS: replace(LIVE, dropped=1)}, at(MINUTE))
    assert watch.observe({STOCKS: replace(LIVE, dropped=8)}, at(MINUTE + 1 * NANOSECONDS)) == []

    after = at(MINUTE + 2 * NANOSECONDS, put_forward_ns)
    (before,) = watch.observe({STOCKS: replace(LIVE, dropped=10)}, after)
    (since,) = watch.observe({STOCKS: replace(LIVE, dropped=10)}, after, ending=True)

    assert [before.lost, since.lost] == [7, 2]
    assert (before.since_ns, before.seconds) == (NOON + MINUTE, 1)
    assert (since.until_ns, since.seconds) == (after.ns, 1)
