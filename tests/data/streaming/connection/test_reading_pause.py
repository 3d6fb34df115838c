"""When a connection leaves what comes next in the system's buffer."""

from __future__ import annotations

import pytest

from options_helper.data.streaming.connection.reading_pause import (
    FOLLOWS_SECONDS,
    FULL_READ_BYTES,
    PAUSE_SECONDS,
    ReadingPause,
)


def test_what_comes_alone_is_read_without_a_pause_after_it():
    pause = ReadingPause()

    assert [pause.after(moment, 80) for moment in (0.0, FOLLOWS_SECONDS, 1.0)] == [0.0, 0.0, 0.0]


def test_a_read_that_soon_follows_another_is_followed_by_a_pause():
    pause = ReadingPause()
    pause.after(0.0, 80)

    assert [pause.after(moment, 80) for moment in (0.012, 0.024)] == [PAUSE_SECONDS, PAUSE_SECONDS]


@pytest.mark.parametrize("size", [FULL_READ_BYTES, 10 * FULL_READ_BYTES])
def test_a_connection_that_brings_so_much_is_never_held_up(size: int):
    pause = ReadingPause()
    pause.after(0.0, size)

    assert pause.after(0.001, size) == 0.0


def test_pauses_alone_do_not_make_the_next_read_one_that_comes_alone():
    assert PAUSE_SECONDS < FOLLOWS_SECONDS
