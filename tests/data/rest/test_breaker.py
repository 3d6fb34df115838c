"""When an endpoint that fails is left alone, and how it comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.rest.breaker import (
    CLOSED,
    FAILURES_TO_OPEN,
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSES,
    PROBE_SECONDS,
    Breaker,
)
from options_helper.data.rest.endpoints import Endpoint
from options_helper.model.providers import BreakerState, FailureKind

CLOSED_, OPEN, HALF_OPEN = BreakerState
LONGEST_PAUSE_SECONDS = LONGEST_PAUSES * FIRST_PAUSE_SECONDS


def failed_often(at: float = 0.0) -> Breaker:
    breaker = CLOSED
    for _ in range(FAILURES_TO_OPEN):
        breaker = breaker.admitted(at).failed(at)
    return breaker


def test_it_opens_after_five_failures_and_not_after_four():
    breaker = CLOSED
    states = []
    for _ in range(5):
        breaker = breaker.failed(0.0)
        states.append(breaker.state(0.0))

    assert states == [CLOSED_] * 4 + [OPEN]
    assert breaker.wait(0.0) == FIRST_PAUSE_SECONDS


def test_after_the_pause_one_request_finds_out_and_the_others_wait_for_it():
    breaker = failed_often()

    assert (breaker.state(29.9), breaker.wait(29.0)) == (OPEN, 1.0)
    assert (breaker.state(30.0), breaker.wait(30.0)) == (HALF_OPEN, 0.0)
    assert breaker.admitted(30.0).wait(30.0) == PROBE_SECONDS


def test_a_probe_that_fails_doubles_the_pause_up_to_two_minutes():
    breaker, at, pauses = failed_often(), 0.0, []
    for _ in range(4):
        at += breaker.wait(at)
        breaker = breaker.admitted(at).failed(at)
        pauses.append(breaker.wait(at))

    assert pauses == [60.0, 120.0, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]


def test_a_probe_that_is_ended_before_its_answer_leaves_it_to_the_next():
    probed = failed_often().admitted(30.0)

    assert probed.abandoned().wait(30.0) == 0.0


def test_what_was_under_way_when_it_opened_neither_prolongs_nor_probes():
    breaker = failed_often().failed(20.0)

    assert breaker.wait(20.0) == 10.0
    assert breaker.failures == FAILURES_TO_OPEN + 1


@pytest.mark.parametrize("outcome", [lambda one: one.abandoned(by=1), lambda one: one.failed(31.0, by=1)])
def test_what_was_under_way_when_it_opened_ends_no_probe_of_another(outcome: Callable[[Breaker], Breaker]):
    probed = outcome(failed_often().admitted(30.0, by=2))

    assert probed.wait(31.0) == PROBE_SECONDS, "a second one would be let through"
    assert probed.failed(32.0, by=2).wait(32.0) == 2 * FIRST_PAUSE_SECONDS
    assert probed.abandoned(by=2).wait(32.0) == 0.0


@pytest.fixture
def opened() -> tuple[Endpoint, list[float]]:
    """An endpoint that failed five times, and its clock."""
    clock = [0.0]
    endpoint = Endpoint(lambda: clock[0])
    for _ in range(FAILURES_TO_OPEN):
        assert endpoint.begin() == 0.0
        endpoint.failed(FailureKind.NETWORK, "no answer", FIRST_PAUSE_SECONDS)
    return endpoint, clock


def test_a_probe_that_this_computer_could_not_send_is_left_to_the_next(
    opened: tuple[Endpoint, list[float]],
):
    endpoint, clock = opened
    clock[0] = FIRST_PAUSE_SECONDS
    assert endpoint.begin() == 0.0

    endpoint.failed(FailureKind.OTHER, "no such certificate", FIRST_PAUSE_SECONDS)

    assert endpoint.report().breaker is HALF_OPEN
    assert endpoint.begin() == 0.0


def test_only_the_thread_that_probes_ends_its_probe(opened: tuple[Endpoint, list[float]]):
    endpoint, clock = opened
    clock[0] = FIRST_PAUSE_SECONDS
    assert endpoint.begin() == 0.0

    other = threading.Thread(target=endpoint.abandoned)
    other.start()
    other.join()

    assert endpoint.is_probed
    assert endpoint.begin() == PROBE_SECONDS
    endpoint.abandoned()
    assert not endpoint.is_probed


@given(st.lists(st.tuples(st.integers(0, 90), st.sampled_from(["failed", "answered", "abandoned"]))))
def test_nobody_waits_for_longer_than_two_minutes_and_no_two_find_out_at_once(
    happenings: list[tuple[int, str]],
):
    breaker, at = CLOSED, 0.0
    for seconds, outcome in happenings:
        at += seconds
        assert 0 <= breaker.wait(at) <= LONGEST_PAUSE_SECONDS
        if breaker.wait(at):
            continue
        breaker = breaker.admitted(at)
        if breaker.state(at) is HALF_OPEN:
            assert breaker.wait(at) > 0, "a second one was let through"
        breaker = (
            CLOSED if outcome == "answered" else getattr(breaker, outcome)(*[at] * (outcome == "failed"))
        )
    assert breaker.abandoned().wait(at + LONGEST_PAUSE_SECONDS) == 0
