"""A gap is told in nanoseconds, and shown in time."""

from __future__ import annotations

from datetime import UTC, datetime

from options_helper.model.gaps import Gap
from tests.kit.fakes import NOON


def test_a_gap_has_its_times_in_utc_and_its_length_in_seconds():
    gap = Gap("stocks", NOON, NOON + 1_500_000_000, "cut")

    assert gap.since == datetime(2026, 11, 5, 17, tzinfo=UTC)
    assert gap.until == datetime(2026, 11, 5, 17, 0, 1, 500_000, tzinfo=UTC)
    assert gap.seconds == 1.5


def test_a_gap_that_lasts_has_no_end_and_no_length():
    gap = Gap("stocks", NOON, None, "cut")

    assert (gap.until, gap.seconds) == (None, None)


def test_a_gap_over_which_the_clock_was_set_back_has_no_length_below_nothing():
    assert Gap("stocks", NOON, NOON - 3_600, "cut").in_order == Gap(
        "stocks", NOON - 3_600, NOON - 3_600, "cut"
    )
    for gap in (Gap("stocks", NOON, None, "cut"), Gap("stocks", NOON, NOON + 1, "cut")):
        assert gap.in_order == gap
