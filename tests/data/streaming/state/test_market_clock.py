"""The market's clock is the computer's, unless a session is played."""

from __future__ import annotations

import pytest

from options_helper.data.streaming.state.market_clock import MarketClock
from options_helper.model.announcement import Announcement, MarketKind

SECOND = 1_000_000_000
WALL = 1_795_000_000 * SECOND
THEN = 1_515_000_000 * SECOND


def replay(speed: float = 1.0, until_ns: int | None = None) -> MarketClock:
    clock = MarketClock()
    clock.announce(Announcement(MarketKind.REPLAY, THEN, speed, until_ns))
    return clock


def test_alpaca_s_time_is_the_computer_s():
    clock = MarketClock()
    clock.arrival(THEN, WALL)

    assert clock.at(WALL) == WALL
    assert clock.kind is MarketKind.ALPACA


def test_a_market_on_this_computer_is_not_alpaca_s_before_it_says_which_it_is():
    clock = MarketClock(MarketKind.LOCAL)
    before = clock.kind, clock.at(WALL)

    clock.announce(Announcement(MarketKind.REPLAY, THEN, 1.0, None))

    assert before == (MarketKind.LOCAL, WALL)
    assert clock.kind is MarketKind.REPLAY


def test_a_replay_stands_still_until_its_first_event():
    clock = replay()

    assert clock.at(WALL) == clock.at(WALL + 60 * SECOND) == THEN


def test_between_events_a_replay_runs_at_its_speed():
    clock = replay(speed=60)
    clock.arrival(THEN + 5 * SECOND, WALL)

    assert clock.at(WALL + SECOND) == THEN + 65 * SECOND


def test_as_fast_as_possible_means_from_event_to_event():
    clock = replay(speed=0)
    clock.arrival(THEN + 5 * SECOND, WALL)

    assert clock.at(WALL + 60 * SECOND) == THEN + 5 * SECOND


def test_a_clock_ahead_of_its_events_stands_still_until_they_catch_up():
    clock = replay()
    clock.arrival(THEN, WALL)
    clock.arrival(THEN + SECOND, WALL + 3 * SECOND)

    assert clock.at(WALL + 3 * SECOND) == THEN + 3 * SECOND
    assert clock.at(WALL + 4 * SECOND) == THEN + 3 * SECOND
    assert clock.at(WALL + 6 * SECOND) == THEN + 4 * SECOND


def test_a_late_event_does_not_move_the_clock():
    clock = replay()
    clock.arrival(THEN + 10 * SECOND, WALL)
    clock.arrival(THEN + 2 * SECOND, WALL + SECOND)

    assert clock.at(WALL + SECOND) == THEN + 11 * SECOND


def test_an_event_arrives_at_its_own_time_or_when_the_clock_says():
    clock = replay()

    assert clock.arrival(THEN + 5 * SECOND, WALL) == THEN + 5 * SECOND
    assert clock.arrival(THEN, WALL + SECOND) == THEN + 6 * SECOND
    assert clock.arrival(None, WALL + 2 * SECOND) == THEN + 7 * SECOND


def test_a_replay_ends_where_its_data_end():
    clock = replay(speed=10, until_ns=THEN + 30 * SECOND)
    clock.arrival(THEN, WALL)

    assert clock.at(WALL + 60 * SECOND) == THEN + 30 * SECOND
    assert clock.ended(clock.at(WALL + 60 * SECOND))
    assert not clock.ended(clock.at(WALL + SECOND))


def test_a_session_started_again_is_another_one_and_sets_the_clock_back():
    clock = replay()
    clock.arrival(THEN + 3_600 * SECOND, WALL)

    assert clock.announce(Announcement(MarketKind.REPLAY, THEN, 1.0, None))
    assert clock.at(WALL) == THEN
    assert clock.arrival(THEN + SECOND, WALL + SECOND) == THEN + SECOND


def test_a_reconnect_to_the_same_session_is_not_another_one():
    clock = replay()
    clock.arrival(THEN + 3_600 * SECOND, WALL)

    assert not clock.announce(Announcement(MarketKind.REPLAY, THEN + 3_590 * SECOND, 1.0, None))
    assert clock.at(WALL) == THEN + 3_600 * SECOND


@pytest.mark.parametrize("until", [None, THEN + SECOND])
def test_an_announcement_survives_the_header(until: int | None):
    announced = Announcement(MarketKind.SIMULATED, THEN, 2.5, until)

    assert Announcement.parse(announced.header()) == announced


@pytest.mark.parametrize(
    "header", ["", "kind=replay", "kind=else; now_ns=1; speed=1", "kind=replay; now_ns=x; speed=1"]
)
def test_a_header_that_says_nothing_useful_is_refused(header: str):
    with pytest.raises(ValueError, match=r".+"):
        Announcement.parse(header)


def test_a_past_moment_of_a_replay_is_not_now():
    """When a connection began, or where a gap did, must not move with the events."""
    clock = replay()
    clock.arrival(THEN + 10 * SECOND, WALL)
    clock.arrival(THEN + 100 * SECOND, WALL + 90 * SECOND)

    assert clock.at(WALL + 30 * SECOND) == THEN + 40 * SECOND
    assert clock.at(WALL + 90 * SECOND) == THEN + 100 * SECOND


def test_a_played_session_does_not_jump_when_somebody_sets_this_computer_s_clock():
    clock = replay()
    clock.arrival(THEN + 10 * SECOND, WALL)

    clock.wall_was_set(3_600 * SECOND)

    assert clock.at(WALL + 3_605 * SECOND) == THEN + 15 * SECOND
