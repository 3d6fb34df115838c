"""The pace of plain HTTP requests, and what a server says about it; no clock but the test's own."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.rest_pace import RequestLimiter, asked_pause_seconds, shared_limiter
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


def test_the_process_has_one_pace_for_an_address():
    settings = Settings(base_url="http://127.0.0.1:1")

    assert shared_limiter(settings) is shared_limiter(Settings(base_url="http://127.0.0.1:1"))
    assert shared_limiter(settings) is not shared_limiter(Settings(base_url="http://127.0.0.1:2"))


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
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 7)}, 7),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) - 7)}, 0),
        ({"X-RateLimit-Reset": "never"}, None),
        ({"Retry-After": "3", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 7)}, 3),
    ],
)
def test_the_pause_a_server_asks_for_is_read_in_every_way_it_is_written(
    headers: dict[str, str], seconds: float | None
):
    assert asked_pause_seconds(headers, NOW) == seconds
