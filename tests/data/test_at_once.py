"""Several things that each take a while take no longer together, and none costs another."""

from __future__ import annotations

import threading

import pytest

from options_helper.data.at_once import do_at_once
from tests.kit.waiting import AT_ONCE, until_no_thread


def test_all_of_it_is_under_way_at_once():
    together = threading.Barrier(3, timeout=AT_ONCE)

    do_at_once([together.wait] * 3, "at-once")

    assert not together.broken
    until_no_thread("at-once")


@pytest.mark.parametrize("failing", [0, 1])
def test_what_fails_is_raised_when_the_others_have_ended(failing: int):
    done: list[int] = []

    def work(number: int) -> None:
        if number == failing:
            raise ArithmeticError("one of them")
        done.append(number)

    with pytest.raises(ArithmeticError):
        do_at_once([lambda number=number: work(number) for number in range(3)], "at-once")  # type: ignore[misc]

    assert sorted(done) == [number for number in range(3) if number != failing]


def test_nothing_to_do_is_done():
    do_at_once([], "at-once")
