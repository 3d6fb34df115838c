"""How wrong this computer's clock is, by what answers and events say of their own times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.rest.server_clock import ServerClock
from options_helper.model.clock_skew import ClockSkew, format_span
from options_helper.model.instants import NANOSECONDS
from tests.kit.fakes import SteppedClock

NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)


def answer(clock: ServerClock, *, ahead: float, at: float = 0.0, took: float = 0.2, **headers: str) -> None:
    """A server's answer, made half way, as a computer sees it whose clock is so far ahead."""
    made_at = NOON + timedelta(seconds=at + took / 2)
    local = NOON + timedelta(seconds=at + ahead)
    date = format_datetime(made_at.replace(microsecond=0), usegmt=True)
    clock.answered({"Date": date, **headers}, local + timedelta(seconds=took), took)


@pytest.mark.parametrize("put_forward", [-3_600.0, -5.0, 5.0, 3_600.0])
def test_a_clock_that_is_set_while_an_answer_is_on_its_way_is_known_as_well(put_forward: float):
    """By the time of the question, which is the old clock's, the true one would lie outside of what is said."""
    made_at, there, back = NOON, 0.5, 6.2
    received_at = made_at + timedelta(seconds=back + put_forward)
    clock = ServerClock()

    clock.answered({"Date": format_datetime(made_at, usegmt=True)}, received_at, there + back)

    skew = clock.skew
    assert skew is not None
    assert abs(skew.ahead - put_forward) <= skew.doubt
    assert skew.doubt == pytest.approx((there + back + 1.0) / 2)


def test_without_answers_and_events_nothing_is_known():
    assert ServerClock().skew is None


@given(
    st.floats(-90_000, 90_000),
    st.lists(st.tuples(st.floats(0, 3_000), st.floats(0.001, 20)), min_size=1, max_size=8),
)
def test_the_truth_is_always_within_what_is_said(ahead: float, answers: list[tuple[float, float]]):
    clock = ServerClock()
    for at, took in answers:
        answer(clock, ahead=ahead, at=at, took=took)

    skew = clock.skew
    assert skew is not None
    assert abs(skew.ahead - ahead) <= skew.doubt + 1e-3
    assert skew.doubt <= 0.5 + min(took for _, took in answers) / 2 + 1e-3


@pytest.mark.parametrize(
    ("ahead", "words"), [(-600.0, "10 min behind the servers'"), (7_500.0, "2 h 5 min ahead of the servers'")]
)
def test_a_wrong_clock_is_known_after_one_answer(ahead: float, words: str):
    clock = ServerClock()

    answer(clock, ahead=ahead)

    skew = clock.skew
    assert skew is not None
    assert skew.matters
    assert skew.words == words


def test_a_clock_that_is_right_is_not_called_wrong_for_a_slow_answer():
    clock = ServerClock()

    answer(clock, ahead=0.3, took=15.0)

    assert clock.skew is not None
    assert not clock.skew.matters


def test_a_clock_that_was_set_is_believed_at_its_next_answer():
    clock = ServerClock()
    for at in range(5):
        answer(clock, ahead=-600, at=at)

    answer(clock, ahead=0, at=60)

    assert clock.skew is not None
    assert abs(clock.skew.ahead) < 1.5
    assert not clock.skew.matters


@pytest.mark.parametrize(
    "headers", [{}, {"Date": "never"}, {"Date": "Fri, 20 Nov 2026 17:00:00 GMT", "Age": "86400"}]
)
def test_an_answer_that_tells_no_time_of_its_own_says_nothing(headers: dict[str, str]):
    clock = ServerClock()

    clock.answered(headers, NOON, 0.0)

    assert clock.skew is None


def test_events_that_arrive_before_they_were_made_show_a_clock_that_is_behind():
    clock = ServerClock()

    clock.streamed([-599.9] * 5)

    assert clock.skew == ClockSkew(-599.9, 0.0, at_least=True)
    assert clock.skew.words == "at least 10 min behind the servers'"


@pytest.mark.parametrize("lags", [[900.0] * 20, [-300.0] * 4, [-300.0, *[0.1] * 6]])
def test_a_delayed_feed_few_events_and_an_odd_one_say_nothing_of_the_clock(lags: list[float]):
    """A delay may be the feed's own: only the other direction can be nothing but the clock."""
    clock = ServerClock()

    clock.streamed(lags)

    assert clock.skew is None


def test_a_feed_whose_times_are_ahead_of_the_servers_clock_is_told_apart():
    clock = ServerClock()
    answer(clock, ahead=0)
    clock.streamed([-300.0] * 9)

    skew = clock.skew
    assert skew is not None
    assert not skew.matters
    assert skew.feed_ahead == pytest.approx(300, abs=1.5)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(35, "35 s"), (119, "119 s"), (130, "2 min 10 s"), (600, "10 min"), (7_200, "2 h"), (200_000, "2 days")],
)
def test_a_length_of_time_is_told_in_its_largest_units(seconds: float, words: str):
    assert format_span(seconds) == words


@pytest.mark.parametrize("seconds", [600, -600, 2])
def test_what_was_known_of_a_clock_that_was_set_counts_no_more(seconds: int):
    computer = SteppedClock()
    clock = ServerClock(computer, computer.monotonic)
    assert clock.look() == 0
    answer(clock, ahead=-600)
    clock.streamed([-600.0] * 9)

    computer.advance(1)
    computer.put_forward(seconds)

    assert clock.look() == seconds * NANOSECONDS
    assert clock.skew is None
    assert clock.look() == 0, "it is noticed once"


def test_a_night_and_a_clock_that_runs_badly_are_no_clock_that_was_set():
    computer = SteppedClock()
    clock = ServerClock(computer, computer.monotonic)
    clock.look()
    answer(clock, ahead=-600)

    computer.advance(30_000)
    assert clock.look() == 0
    for _ in range(9):
        computer.advance(30)
        computer.put_forward(0.5)
        assert clock.look() == 0

    assert clock.skew is not None


def test_a_thread_that_was_held_up_while_it_looked_saw_no_clock_being_set():
    computer = SteppedClock()

    def held_up() -> int:
        before = computer()
        computer.advance(5)
        return before

    clock = ServerClock(computer, computer.monotonic)
    clock.look()
    clock._now_ns = held_up  # noqa: SLF001 - a pause between two readings cannot be had otherwise

    assert clock.look() == 0


@pytest.mark.parametrize("seconds", [600, -600, 2, -2])
def test_what_was_stamped_before_the_clock_was_set_is_told_by_it_as_it_is_now(seconds: int):
    computer = SteppedClock()
    clock = ServerClock(computer, computer.monotonic)
    clock.look()
    computer.advance(4)
    before = computer(), computer.monotonic()
    computer.put_forward(seconds)
    computer.advance(3)
    since = computer(), computer.monotonic()
    assert clock.here(*before) == before[0], "nobody has noticed it yet"
    computer.advance(1)

    clock.look()

    assert computer() - clock.here(*before) == 4 * NANOSECONDS
    assert clock.here(*since) == since[0], "the clock was set when it came"
    assert clock.here(before[0], None) == before[0], "nobody knows when that was"


def test_what_has_waited_while_the_clock_was_set_twice_is_told_by_it_as_it_is_now():
    computer = SteppedClock()
    clock = ServerClock(computer, computer.monotonic)
    clock.look()
    stamps = []
    for seconds in (3_600, -600):
        stamps.append((computer(), computer.monotonic()))
        computer.put_forward(seconds)
        computer.advance(1)
        clock.look()

    assert [computer() - clock.here(*one) for one in stamps] == [2 * NANOSECONDS, NANOSECONDS]


def test_what_came_late_long_after_the_clock_was_set_keeps_its_time():
    """A batch of an hour ago, over a bus, is no receipt by the clock of before that was an hour behind."""
    computer = SteppedClock()
    clock = ServerClock(computer, computer.monotonic)
    clock.look()
    computer.put_forward(3_600)
    clock.look()
    computer.advance(60)

    hour_ago = computer() - 3_600 * NANOSECONDS
    assert clock.here(hour_ago, computer.monotonic()) == hour_ago
