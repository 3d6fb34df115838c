"""A callback's queue, and its ledger."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.streaming.callbacks.delivery import Delivery, in_words
from options_helper.model.callbacks import CallbackKind


def delivery(**more) -> Delivery:
    return Delivery(CallbackKind.QUOTE, "AAPL", print, **more)


def test_what_does_not_fit_is_given_up_and_what_waits_stays():
    one = delivery(size=2)

    for number in range(3):
        one.offer("AAPL", number)

    call = one.begin(0.0)
    assert call is not None
    assert call.value == 0
    assert one.stats(0.0).given_up == 1


def test_newest_keeps_one_of_each_symbol_in_the_order_of_the_symbols():
    one = delivery(newest=True)
    for symbol, value in (("AAPL", 1), ("MSFT", 2), ("AAPL", 3)):
        one.offer(symbol, value)

    taken = []
    while (call := one.begin(0.0)) is not None:
        taken.append(call.value)
        one.end(call, 0.0)

    assert taken == [3, 2]
    assert (one.stats(0.0).delivered, one.stats(0.0).given_up) == (2, 1)


def test_an_abandoned_call_that_ends_after_all_changes_nothing():
    one = delivery()
    one.offer("AAPL", 1)
    call = one.begin(0.0)
    assert call is not None
    one.abandon(3.0)

    one.end(call, 9.0, "late")

    stats = one.stats(9.0)
    assert (stats.given_up, stats.failed, stats.slowest) == (1, 0, 3.0)


def test_the_slowest_call_may_be_the_one_under_way():
    one = delivery()
    one.offer("AAPL", 1)
    one.begin(10.0)

    assert one.stats(14.0).slowest == 4.0


def test_only_the_first_failure_is_for_the_log():
    one = delivery()
    told = []
    for number in range(3):
        one.offer("AAPL", number)
        call = one.begin(0.0)
        assert call is not None
        told.append(one.end(call, 0.0, in_words(ValueError(f"number {number}"))))

    assert told == [True, False, False]
    assert one.stats(0.0).last_error == "ValueError: number 2"


def test_a_queue_without_room_is_refused():
    with pytest.raises(ValueError, match="room for 1 or more"):
        delivery(size=0)


steps = st.lists(st.sampled_from(["offer", "begin", "end", "fail", "abandon", "give up"]), max_size=60)


@given(steps, st.booleans(), st.integers(1, 4))
def test_the_law_holds_whatever_happens(happening, newest, size):
    one = delivery(newest=newest, size=size)
    call = None
    for number, step in enumerate(happening):
        match step:
            case "offer":
                one.offer(str(number % 3), number)
            case "begin":
                call = one.begin(number) or call
            case "end" | "fail" if call is not None:
                one.end(call, number, "broken" if step == "fail" else None)
            case "abandon":
                one.abandon(number)
            case "give up":
                one.give_up_waiting()
        assert one.stats(number).accounted
    assert one.stats(0).offered == happening.count("offer")
