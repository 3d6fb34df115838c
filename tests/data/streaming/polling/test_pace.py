"""What is asked at a steady pace is asked at the pace of the session that is played, and of no other clock."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.model.announcement import Announcement, MarketKind


def nobody(_: threading.Event) -> Any:
    raise AssertionError("nobody is asked")


@pytest.mark.parametrize(
    ("speed", "seconds", "expected"),
    [
        (None, 60, 60),  # Alpaca's time
        (1, 60, 60),
        (0, 60, 60),  # as fast as can be: nobody knows how fast
        (10, 60, 6),
        (240, 600, 2.5),
        (240, 60, 1),
        (240, 0.2, 0.2),
    ],
)
def test_a_fast_session_is_asked_as_often_as_its_minutes_go_by(
    speed: float | None, seconds: float, expected: float
):
    state = LiveState(fills_cache_size=10)
    if speed is not None:
        state.clock.announce(Announcement(MarketKind.SIMULATED, 0, speed, None))
    context = PollContext(state, threading.Lock(), lambda: 0, nobody, lambda: 0.0)

    assert context.pace(seconds) == expected
