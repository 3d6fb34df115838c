"""What the browser's window says of a page that lies behind others: title, icon, notifications."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from apps.streamlit.components.live_alarm import window_message
from options_helper.data.portfolio_file import open_portfolio_file
from options_helper.live.screen import Preferences, ScreenModel, ViewOptions, build_screen
from options_helper.live.session import LiveSession, RunSettings
from options_helper.model.snapshot import LiveSnapshot
from options_helper.settings import Settings
from tests.portal import scenes
from tests.portal.scenes import OPEN, SAMPLE, fill, manager_for

Show = Callable[..., ScreenModel]


@pytest.fixture
def show() -> Iterator[Show]:
    """The screen of a scene while it runs."""
    sessions: list[LiveSession] = []
    book = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])

    def shown(scene: Callable[[], LiveSnapshot], **preferences: object) -> ScreenModel:
        session = LiveSession(build_manager=manager_for(scene), housekeeping_seconds=3_600)
        sessions.append(session)
        session.start(book, RunSettings(), Settings())
        view = ViewOptions(Preferences(**preferences), ZoneInfo("UTC"))
        return build_screen(session, book, view, now=OPEN)

    yield shown
    for session in sessions:
        session.stop()


def title(screen: ScreenModel) -> str:
    return str(window_message(screen)["title"])


def with_today(screen: ScreenModel, dollars: float, of: int = 15) -> ScreenModel:
    day = replace(screen.totals.day, known=dollars, counted=15, of=of)
    return replace(screen, totals=replace(screen.totals, day=day))


def test_the_title_begins_with_today_s_profit(show):
    screen = with_today(show(scenes.live), -196.4)
    assert title(screen).endswith("\N{MINUS SIGN}196 · Live portfolio")
    assert title(with_today(screen, 1_234.0)).endswith("+1,234 · Live portfolio")


def test_a_profit_that_is_hidden_or_not_all_of_it_is_in_no_title(show):
    assert "196" not in title(with_today(show(scenes.live, hide_amounts=True), -196.4))
    assert "196" not in title(with_today(show(scenes.live), -196.4, of=16))


@pytest.mark.parametrize(
    ("scene", "word", "shape"),
    [
        (scenes.reconnecting, "reconnecting · ", "triangle"),
        (scenes.failed, "error · ", "cross"),
        (scenes.stalled, "stalled · ", "triangle"),
    ],
)
def test_what_does_not_run_is_said_by_word_and_shape(show, scene, word, shape):
    message = window_message(show(scene))
    assert word in message["title"]
    assert message["icon"][0] == shape


def test_an_amount_of_a_made_up_market_is_called_one(show):
    assert title(show(scenes.simulated)).endswith("Live portfolio (simulated)")


def test_what_is_grave_is_counted_and_told_without_a_number_that_moves(show):
    message = window_message(show(scenes.partial))
    grave = int(message["title"].split(")")[0].removeprefix("("))
    assert grave >= 1
    assert message["alert"].startswith("Needs your hand: ")
    assert message["alert"] == window_message(show(scenes.partial))["alert"]


def with_fills(*fills: object) -> Callable[[], LiveSnapshot]:
    return lambda: replace(scenes.live(), fills=fills)


def test_the_last_fills_of_the_run_are_told_and_no_older_ones(show):
    long_ago = OPEN - timedelta(hours=1)
    events = window_message(
        show(with_fills(scenes.backfilled(9, at=long_ago), *(fill(number) for number in range(1, 6))))
    )["events"]
    told = [event for event in events if event["id"].startswith("fill")]
    assert len(told) == len({event["id"] for event in told}) == 3
    assert "order-5" in told[-1]["id"]
    assert "buy 1 AAPL" in told[-1]["text"]


def test_no_quantity_of_a_fill_is_told_where_amounts_are_hidden(show):
    (event,) = (
        event
        for event in window_message(show(with_fills(fill(1)), hide_amounts=True))["events"]
        if event["id"].startswith("fill")
    )
    assert "buy AAPL" in event["text"]
