"""When the consumer of the frames does what."""

from __future__ import annotations

from options_helper.data.streaming.engine.consumer_round import (
    CALLBACK_LINGER_SECONDS,
    HOUSEKEEPING,
    HOUSEKEEPING_SECONDS,
    LINGER_SECONDS,
    ConsumerRound,
    Gather,
    Task,
)
from options_helper.model.frames import Frame
from options_helper.model.streams import StreamName

MILLISECOND = 1_000_000


def frames(*received_ms: int) -> list[Frame]:
    return [Frame(StreamName.STOCKS, b"", 1, milliseconds * MILLISECOND) for milliseconds in received_ms]


def test_the_house_is_kept_twice_a_second_however_often_frames_come():
    subject = ConsumerRound(0.0)
    kept = [now for now in range(0, 3_000, 20) if subject.due(now / 1_000, needs_looks=False)]
    assert len(kept) == 3_000 / 1_000 / HOUSEKEEPING_SECONDS - 1
    assert subject.due(9.0, needs_looks=False) == HOUSEKEEPING
    assert subject.due(9.0, needs_looks=False) == (), "a late round is not made up for"


def test_what_a_callback_may_hold_up_is_looked_at_more_often_and_before_the_house():
    subject = ConsumerRound(0.0)
    assert subject.due(0.01, needs_looks=True) == (Task.LOOK_AT_CALLBACKS,)
    assert subject.due(0.02, needs_looks=True) == ()
    assert subject.due(0.5, needs_looks=True) == (Task.LOOK_AT_CALLBACKS, *HOUSEKEEPING)
    assert subject.patience(needs_looks=True) < subject.patience(needs_looks=False) == HOUSEKEEPING_SECONDS


def test_news_of_a_stream_are_looked_at_once():
    subject = ConsumerRound(0.0)
    assert [subject.has_news(nudges) for nudges in (0, 1, 1, 3)] == [False, True, False, True]


def test_frames_gather_as_long_as_nobody_waits_for_the_market():
    subject = ConsumerRound(0.0)
    assert subject.pause_after(frames(5), wants_market=False) == Gather(LINGER_SECONDS, listening=True)


def test_a_callback_gets_a_lonely_event_at_once_and_a_dense_one_two_milliseconds_late():
    subject = ConsumerRound(0.0)
    assert subject.pause_after(frames(5, 9), wants_market=True) is None
    assert subject.pause_after(frames(10), wants_market=True) == Gather(
        CALLBACK_LINGER_SECONDS, listening=False
    )
    assert subject.pause_after(frames(20), wants_market=True) is None
