"""The queue never waits and never forgets what it dropped."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.streaming.engine.frame_queue import FrameQueue
from options_helper.model.frames import Continuity
from options_helper.model.streams import PORTFOLIO_STREAMS, StreamName
from tests.kit.waiting import FOREVER, at_once

STOCKS, OPTIONS, FILLS = PORTFOLIO_STREAMS


def test_frames_come_out_in_the_order_they_went_in():
    queue = FrameQueue(100)
    for number in range(5):
        queue.put(STOCKS, bytes([number]), 1, number)

    assert [frame.payload[0] for frame in queue.take(0, 1_000)] == [0, 1, 2, 3, 4]


def test_a_frame_says_when_it_was_queued_by_a_clock_that_nobody_sets():
    seconds = iter((7.0, 9.0))
    queue = FrameQueue(100, elapsed=lambda: next(seconds))
    queue.put(STOCKS, b"", 1, 10**18)
    queue.put(STOCKS, b"", 1, 0)

    assert [frame.queued_at for frame in queue.take(0, 1_000)] == [7.0, 9.0]


def test_a_frame_counts_as_queued_until_it_is_settled():
    queue = FrameQueue(100)
    queue.put(STOCKS, b"", 7, 0)
    frames = queue.take(0, 1_000)

    assert queue.counts()[STOCKS].queued == 7
    queue.settle(frames)
    assert queue.counts()[STOCKS].queued == 0


def test_a_full_queue_drops_and_counts_events_not_frames():
    queue = FrameQueue(100)
    assert queue.put(STOCKS, b"", 90, 0)
    assert not queue.put(OPTIONS, b"", 30, 0)

    counts = queue.counts()
    assert (counts[STOCKS].dropped, counts[OPTIONS].dropped, counts[OPTIONS].received) == (0, 30, 30)


def test_the_last_tenth_is_for_fills():
    queue = FrameQueue(10)
    for _ in range(10):
        queue.put(STOCKS, b"", 1, 0)

    assert queue.counts()[STOCKS].dropped == 1
    assert queue.put(FILLS, b"", 1, 0)
    assert not queue.put(FILLS, b"", 1, 0)


def test_taking_from_an_empty_queue_waits_no_longer_than_said():
    assert list(FrameQueue(10).take(0.01, 10)) == []


def test_a_waiting_consumer_is_woken_by_a_frame():
    queue = FrameQueue(10)
    threading.Timer(0.02, queue.put, (STOCKS, b"x", 1, 0)).start()

    with at_once():
        assert [frame.payload for frame in queue.take(FOREVER, 10)] == [b"x"]


def test_a_waiting_consumer_is_woken_by_the_end():
    queue = FrameQueue(10)
    threading.Timer(0.02, queue.close).start()

    with at_once():
        assert list(queue.take(FOREVER, 10)) == []
    assert queue.drained


def test_a_closed_queue_still_gives_what_it_has_and_counts_what_comes():
    queue = FrameQueue(10)
    queue.put(STOCKS, b"x", 1, 0)
    queue.close()
    queue.put(STOCKS, b"y", 1, 0)

    assert not queue.drained
    assert [frame.payload for frame in queue.take(0, 1_000)] == [b"x"]
    assert queue.counts()[STOCKS].dropped == 1


def test_a_long_backlog_is_handed_out_in_parts():
    queue = FrameQueue(1_000)
    for number in range(30):
        queue.put(STOCKS, b"", 10, number)

    assert len(queue.take(0, 200)) == 20
    assert len(queue.take(0, 200)) == 10


def test_settling_tells_whether_more_is_waiting():
    queue = FrameQueue(1_000)
    for number in range(3):
        queue.put(STOCKS, b"", 10, number)

    assert queue.settle(queue.take(0, 20)) == 1
    assert queue.settle(queue.take(0, 20)) == 0


def test_a_queue_without_room_for_both_kinds_is_refused():
    with pytest.raises(ValueError, match="room for 2"):
        FrameQueue(1)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.sampled_from(list(StreamName)), st.integers(0, 60)),
            st.tuples(st.just("take"), st.just(STOCKS), st.integers(1, 5)),
            st.tuples(st.just("settle"), st.just(STOCKS), st.just(0)),
        )
    )
)
def test_received_is_always_settled_or_dropped_or_queued(steps: list[tuple[str, StreamName, int]]):
    """The conservation law, for any order of putting, taking and settling."""
    queue = FrameQueue(100)
    taken = []
    settled = dict.fromkeys(StreamName, 0)
    for action, stream, number in steps:
        match action:
            case "put":
                queue.put(stream, b"", number, 0)
            case "take":
                taken.extend(queue.take(0, number))
            case "settle":
                queue.settle(taken)
                for frame in taken:
                    settled[frame.stream] += frame.events
                taken = []
        counts = queue.counts()
        for name in StreamName:
            assert counts[name].received == settled[name] + counts[name].dropped + counts[name].queued
        assert sum(count.queued for count in counts.values()) <= 100


def test_a_frame_knows_how_far_its_stream_had_got():
    """Between two frames that differ in it, something may have been lost; other streams have no part in it."""
    queue = FrameQueue(10)
    queue.connected(StreamName.STOCKS)
    queue.put(StreamName.STOCKS, b"first", 5, 0)
    queue.put(StreamName.STOCKS, b"too much", 9, 0)
    queue.put(StreamName.STOCKS, b"after a loss", 1, 0)
    queue.put(StreamName.OPTIONS, b"another stream", 1, 0)
    queue.connected(StreamName.STOCKS)
    queue.put(StreamName.STOCKS, b"anew", 1, 0)

    assert [frame.heard for frame in queue.take(0, 10)] == [
        Continuity(1, 0),
        Continuity(1, 9),
        Continuity(),
        Continuity(2, 9),
    ]
    assert queue.counts()[StreamName.STOCKS].heard == Continuity(2, 9)
