"""The newest articles, each in its newest form, whichever way and however often it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from options_helper.data.streaming.messages import decode_frame
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.data.streaming.state.news import NewsBoard
from options_helper.model.callbacks import CallbackKind, Told
from options_helper.model.events import News
from options_helper.model.frames import Frame
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import StreamName
from tests.kit.fakes import NOON, frame
from tests.kit.news import news_message

SECOND = 10**9


def news(*arguments: Any, **fields: Any) -> News:
    (event,) = decode_frame(frame(news_message(*arguments, **fields))).events
    assert isinstance(event, News)
    return event


def fold(state: LiveState, *messages: dict[str, Any]) -> LiveState:
    for message in messages:
        state.apply(Frame(StreamName.NEWS, frame(message), 1, NOON + SECOND))
    return state


def snapshot_of(state: LiveState) -> LiveSnapshot:
    return state.snapshot(NOON + SECOND, running=True, running_since=None, streams={})


def headlines(board: NewsBoard) -> Sequence[str]:
    return [article.headline for article in board.articles()]


def test_the_newest_comes_first_and_a_newer_form_takes_the_older_one_s_place():
    board = NewsBoard()

    assert [
        board.add(news(1, "One", made_ns=NOON)),
        board.add(news(2, "Two", made_ns=NOON + 1)),
        board.add(news(1, "One, corrected", made_ns=NOON, updated_ns=NOON + 2)),
        board.add(news(1, "One", made_ns=NOON)),
        board.add(news(2, "Two", made_ns=NOON + 1)),
    ] == [True, True, True, False, False]
    assert headlines(board) == ["One, corrected", "Two"]


def test_only_the_newest_are_kept_however_they_come():
    board = NewsBoard(at_most=2)
    for number in (5, 1, 4, 2, 3):
        board.add(news(number, f"No. {number}", made_ns=NOON + number))

    assert headlines(board) == ["No. 5", "No. 4"]


def test_an_article_from_before_all_that_is_kept_is_new_only_once():
    """It is asked for again and again by whoever fills in a gap, and finds no room each time."""
    board = NewsBoard(at_most=2)
    for number in (1, 2, 3):
        board.add(news(number, made_ns=NOON + number))

    assert not board.add(news(1, made_ns=NOON + 1))
    assert not board.add(news(9, made_ns=NOON))
    assert board.add(news(1, "Corrected", made_ns=NOON + 1, updated_ns=NOON + 4))
    board.clear()
    assert board.add(news(1, made_ns=NOON + 1))


def test_a_streamed_article_is_in_the_snapshot_counted_and_told():
    state = LiveState(fills_cache_size=1)
    state.collect_told(wanted=True)
    fold(state, news_message(7, symbols=("AAPL", "MSFT")), news_message(7, symbols=("AAPL", "MSFT")))

    (article,) = snapshot_of(state).news
    assert (article.article_id, article.received_at.timestamp()) == (7, (NOON + SECOND) / SECOND)
    assert (state.tallies[StreamName.NEWS].applied, state.tallies[StreamName.NEWS].rejected) == (2, 0)
    told = [one for one in state.take_told() if isinstance(one, Told)]
    assert [(one.kind, one.symbols, one.value.article_id) for one in told] == [
        (CallbackKind.NEWS, ("AAPL", "MSFT"), 7)
    ]


def test_what_was_asked_for_fills_in_and_is_never_over_a_newer_form():
    state = fold(LiveState(fills_cache_size=1), news_message(1, "Newer", updated_ns=NOON + 5))
    asked = [news(1, "Older"), news(2, "Missed"), news(3, "From tomorrow", made_ns=NOON + 90_000 * SECOND)]

    fresh = state.seed_news(asked, NOON + SECOND)

    assert [one.article_id for one in fresh] == [2]
    assert [(one.headline, one.is_asked) for one in snapshot_of(state).news] == [
        ("Newer", False),
        ("Missed", True),
    ]
    assert state.tallies[StreamName.NEWS].applied == 1


@pytest.mark.parametrize(
    "odd",
    [{"id": None}, {"id": "one"}, {"symbols": "AAPL"}, {"symbols": [None]}, {"headline": 5}],
)
def test_an_article_that_cannot_be_read_costs_itself(odd: dict[str, Any]):
    state = LiveState(fills_cache_size=1)
    state.apply(Frame(StreamName.NEWS, frame({**news_message(1), **odd}, news_message(2)), 2, NOON))

    assert [one.article_id for one in snapshot_of(state).news] == [2]
    assert (state.tallies[StreamName.NEWS].applied, state.tallies[StreamName.NEWS].rejected) == (1, 1)


def test_an_article_of_many_megabytes_is_read_and_its_beginning_kept():
    huge = news_message(1, content="<p>" + "word " * 2**22)
    state = fold(LiveState(fills_cache_size=1), huge)

    assert len(snapshot_of(state).news[0].text or "") == 2_000


def test_a_clock_that_is_set_keeps_the_ages():
    state = fold(LiveState(fills_cache_size=1), news_message())
    before = snapshot_of(state).news[0].received_at
    state.clock_was_set(60 * SECOND)

    assert (snapshot_of(state).news[0].received_at - before).total_seconds() == 60


def test_times_come_as_msgpack_timestamps_or_as_text():
    text = {"created_at": "2026-11-05T17:00:00Z", "updated_at": "2026-11-05T17:00:00.000000001Z"}
    (event,) = decode_frame(msgspec.msgpack.encode([{**news_message(), **text}])).events

    assert event.timestamp_ns == NOON + 1
    assert news(updated_ns=NOON + 3).timestamp_ns == NOON + 3
