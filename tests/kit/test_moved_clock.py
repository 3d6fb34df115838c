"""What `--at` does to the tests' own process: the time of day moves, what measures how long does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.kit.moved_clock import moment, move_clock

LEAP_DAY = datetime(2028, 2, 29, 15, tzinfo=UTC)


class Run:
    """Keeps what is to be done when a run ends."""

    def __init__(self) -> None:
        self.cleanups: list[Callable[[], Any]] = []

    def add_cleanup(self, cleanup: Callable[[], Any]) -> None:
        self.cleanups.append(cleanup)


def test_the_time_of_day_moves_and_goes_on_until_the_run_is_over():
    run, before, began = Run(), datetime.now(UTC), time.monotonic()
    move_clock(run, LEAP_DAY)
    try:
        first, second = datetime.now(UTC), time.time()
        took = time.monotonic() - began
    finally:
        for cleanup in run.cleanups:
            cleanup()

    assert timedelta(0) <= first - LEAP_DAY <= timedelta(seconds=took)
    assert first.timestamp() <= second <= LEAP_DAY.timestamp() + took
    assert timedelta(0) <= datetime.now(UTC) - before < timedelta(days=1)


def test_an_instant_is_the_same_wherever_it_is_written():
    assert moment("2028-02-29T10:00:00-05:00") == moment("2028-02-29T15:00:00Z") == LEAP_DAY
    assert moment("2028-02-29T10:00:00-05:00").tzinfo is UTC


@pytest.mark.parametrize("text", ["2028-02-29T15:00:00", "tomorrow"])
def test_what_is_no_instant_is_refused(text: str):
    with pytest.raises(ValueError, match=text):
        moment(text)
