"""The pace of plain HTTP requests, and what a server says about it; no clock but the test's own."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from options_helper.data.rest.budget_ledger import INGESTION, PAGE, RECORDER
from options_helper.data.rest.rate_limit import (
    LONGEST_PAUSE_SECONDS,
    RequestLimiter,
    RequestLimits,
    requested_pause_seconds,
)
from options_helper.settings import Settings

NOW = datetime(2026, 3, 20, 16, 0, tzinfo=UTC)


class Clock:
    """A clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_minute_has_as_many_requests_as_are_allowed():
    clock = Clock()
    limiter = RequestLimiter(2, now=clock)

    assert [limiter.take(), limiter.take()] == [0, 0]
    clock.seconds += 20
    assert limiter.take() == pytest.approx(40, abs=0.1)
    clock.seconds += 40.1
    assert limiter.take() == 0


@given(st.integers(1, 5), st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_no_minute_has_more_and_who_waits_as_told_is_let_through(per_minute: int, thoughts: list[int]):
    clock = Clock()
    limiter = RequestLimiter(per_minute, now=clock)
    left: list[float] = []

    for thought in thoughts:
        clock.seconds += thought
        while pause := limiter.take():
            clock.seconds += pause
        left.append(clock.seconds)

    # The limiter counts in milliseconds.
    assert all(later - earlier >= 59.99 for earlier, later in zip(left, left[per_minute:], strict=False))
    assert left[-1] - left[0] <= sum(thoughts) + 60.1 * (len(left) // per_minute)


def test_threads_share_the_minute():
    limiter = RequestLimiter(50, now=Clock())
    taken: list[float] = []
    threads = [
        threading.Thread(target=lambda: taken.extend(limiter.take() for _ in range(20)), name="live-test")
        for _ in range(5)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert taken.count(0) == 50


def account(key: str = "one", per_minute: int = 1) -> Settings:
    return Settings(api_key=SecretStr(key), rest_per_minute=per_minute)


def test_whoever_asks_for_an_account_keeps_one_pace_at_a_host_whatever_it_is_set_to():
    limits = RequestLimits()
    first = limits.host(account(), "one.example").limiter
    assert first.take() == 0
    assert first.take() > 0

    assert limits.host(account(per_minute=2), "one.example").limiter is first
    assert first.take() == 0
    assert first.take() > 0
    assert limits.host(account(), "one.example").limiter.take() > 0
    assert limits.host(account(), "another.example").limiter.take() == 0


def test_each_account_has_a_minute_of_its_own():
    limits = RequestLimits()

    taken = [limits.host(account(key), "one.example").limiter.take() for key in ("one", "another", "one")]

    assert taken[:2] == [0, 0]
    assert taken[2] > 0


def test_a_pause_at_either_host_holds_the_account_and_no_other():
    limits = RequestLimits()
    assert limits.held(account()) == 0

    limits.host(account(), "paper-api.alpaca.markets").limiter.hold(30)
    limits.host(account(), "data.alpaca.markets").limiter.hold(60)
    limits.host(account(), "one.example").limiter.hold(90)

    assert 30 < limits.held(account()) <= 60
    assert limits.held(account("another")) == 0


def test_a_pause_is_kept_by_everybody_and_the_longest_counts():
    clock = Clock()
    limiter = RequestLimiter(2, now=clock)
    assert limiter.held() == 0

    limiter.hold(30)
    limiter.hold(3)

    assert limiter.take() == limiter.held() == 30
    clock.seconds += 29
    assert limiter.take() == limiter.held() == 1
    clock.seconds += 1
    assert limiter.held() == 0
    # Nobody who was held back has used the minute up.
    assert [limiter.take(), limiter.take()] == [0, 0]


def test_who_waits_for_its_turn_says_so_and_who_waits_for_a_moment_does_not():
    clock = Clock()
    limits = RequestLimits(now=clock)
    limiter = limits.host(account(per_minute=2), "data.alpaca.markets").limiter
    assert [limiter.take(), limiter.take()] == [0, 0]
    assert limits.busy(account()) is None

    limiter.take()

    assert limits.busy(account()) == (
        "The minute's requests are used up (2 for this program); the next leaves when its turn comes."
    )
    assert limits.busy(account("another")) is None
    clock.seconds += 59
    assert limits.busy(account()) is None, "it is about to leave"


def test_a_share_that_is_used_up_is_said_to_be_one_of_several():
    clock = Clock()
    page, recorder = RequestLimits(PAGE, now=clock), RequestLimits(RECORDER, now=clock)
    for limits in (recorder, page):
        limiter = limits.host(account(per_minute=3), "data.alpaca.markets").limiter
        limiter.take()
    while not limiter.take():
        pass

    assert page.busy(account()) == (
        "The minute's requests are used up (2 for this program, shared by 2 programs); "
        "the next leaves when its turn comes."
    )


def test_after_a_minute_nothing_of_what_anybody_sent_counts_as_used():
    clock = Clock()
    page, ingestion = RequestLimits(PAGE, now=clock), RequestLimits(INGESTION, now=clock)

    def left(limits: RequestLimits) -> int:
        (provider,) = limits.report().values()
        return provider.budget.left

    page.host(account(per_minute=2), "data.alpaca.markets").limiter.take()
    for limits in (ingestion, page):
        limits.host(account(per_minute=2), "data.alpaca.markets").limiter.take()
    assert left(page) == 0, "one is its own, the other ingestion's"

    clock.seconds += 61
    assert left(page) == 1


RESET = str(int(NOW.timestamp()) + 7)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "30"}, 30),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "Fri, 20 Mar 2026 16:00:12 GMT"}, 12),
        ({"Retry-After": "Fri, 20 Mar 2026 12:00:12 -0400"}, 12),
        ({"Retry-After": "Fri, 20 Mar 2026 15:00:00 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "1e300"}, LONGEST_PAUSE_SECONDS),
        ({"Retry-After": "Fri, 20 Mar 2099 16:00:12 GMT"}, LONGEST_PAUSE_SECONDS),
        ({"Retry-After": f"Fri, 20 Mar {10**30} 16:00:12 GMT"}, None),
        ({"Retry-After": f"Fri, {10**30} Mar 2026 16:00:12 GMT"}, None),
        ({"Retry-After": f"Fri, 20 Mar 2026 {10**30}:00:12 GMT"}, None),
        ({"Retry-After": f"Fri, 20 Mar 2026 16:00:12 +{10**30}"}, None),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 -2300"}, None),
        ({"Retry-After": "Fri, 20 Mar 2026 16:00:12 GMT", "Date": f"Fri, 20 Mar {10**30} 16:00:00 GMT"}, 12),
        ({"X-RateLimit-Reset": RESET}, 7),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) - 7)}, 0),
        ({"X-RateLimit-Reset": "never"}, None),
        ({"X-RateLimit-Reset": "1e300"}, None),
        ({"Retry-After": "3", "X-RateLimit-Reset": RESET}, 3),
    ],
)
def test_the_pause_a_server_asks_for_is_read_in_every_way_it_is_written(
    headers: dict[str, str], seconds: float | None
):
    assert requested_pause_seconds(429, headers, NOW) == seconds


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_the_end_of_the_minute_is_no_pause_for_a_fault(status: int):
    """Alpaca's account side tells it in every answer, whatever is left of the minute."""
    remaining = {"X-RateLimit-Remaining": "180", "X-RateLimit-Reset": RESET}

    assert requested_pause_seconds(status, remaining, NOW) is None
    assert requested_pause_seconds(status, {**remaining, "Retry-After": "3"}, NOW) == 3


@pytest.mark.parametrize(
    "pause", [{"Retry-After": "Fri, 20 Mar 2026 16:00:07 GMT"}, {"X-RateLimit-Reset": RESET}]
)
def test_a_date_is_counted_from_the_server_s_own_time(pause: dict[str, str]):
    """A computer whose clock is an hour behind would otherwise be silent for an hour."""
    headers = {**pause, "Date": "Fri, 20 Mar 2026 16:00:00 GMT"}

    assert requested_pause_seconds(429, headers, NOW - timedelta(hours=1)) == 7
