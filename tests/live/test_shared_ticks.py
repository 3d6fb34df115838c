"""However many look, the streams are heard once a tick, and what looks alike is made once."""

from __future__ import annotations

import gc
import re
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest

from apps.streamlit.components.board_message import Wishes, build_board
from apps.streamlit.components.board_rows import Grouping
from apps.streamlit.components.live_pieces import pieces
from options_helper.analysis.book_look import look_at_book
from options_helper.data.portfolio_file import open_portfolio_file
from options_helper.live.attention import attention
from options_helper.live.screen import Preferences, ScreenModel, ViewOptions, Viewpoint, shared_screen
from options_helper.live.session import LiveSession, RunSettings
from options_helper.live.shared_ticks import KEPT_AT_MOST, Once, SharedTicks, Tick
from options_helper.model.snapshot import LiveSnapshot
from options_helper.settings import Settings
from tests.portal import scenes
from tests.portal.scenes import OPEN, SAMPLE, manager_for

BOOK = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])
UTC_ZONE, NEW_YORK = ZoneInfo("UTC"), ZoneInfo("America/New_York")
VIEWERS = 10


class Ears:
    """Streams that count how often they are heard."""

    def __init__(self) -> None:
        self.heard = 0
        self.run = object()

    def hear(self) -> LiveSnapshot:
        self.heard += 1
        return scenes.live()

    def tick(
        self,
        shared: SharedTicks,
        viewer: str,
        seconds: float,
        longest: float = 0.5,
        *,
        again: float | None = None,
    ) -> Tick:
        now = OPEN + timedelta(seconds=seconds)
        return shared.take(
            viewer, now, run=self.run, hear=self.hear, longest_seconds=longest, again_seconds=again
        )


def at_once(*calls: Callable[[], object]) -> None:
    """Do all of it on threads that begin together."""
    together = threading.Barrier(len(calls))

    def begin(call: Callable[[], object]) -> None:
        together.wait()
        call()

    threads = [threading.Thread(target=begin, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_of_many_values_the_newest_are_kept():
    once, made = Once(), list[int]()
    for key in range(KEPT_AT_MOST + 1):
        once.get(key, partial(made.append, key))
    once.get(KEPT_AT_MOST, partial(made.append, -1))
    once.get(1, partial(made.append, -2))
    once.get(0, partial(made.append, -3))

    assert made[KEPT_AT_MOST + 1 :] == [-3], "the oldest alone was forgotten"


class Compared:
    """A key; while two of them are compared at one time, both comparisons go on together."""

    def __init__(self, meeting: threading.Barrier) -> None:
        self._meeting = meeting

    def __eq__(self, other: object) -> bool:
        with suppress(threading.BrokenBarrierError):
            self._meeting.wait(0.2)  # alone it goes on after this
        return isinstance(other, Compared)

    __hash__ = object.__hash__


def test_a_value_that_two_ask_for_at_one_moment_has_one_place():
    once, made, meeting = Once(), list[int](), threading.Barrier(2)
    once.get("another", lambda: 0)

    at_once(*(partial(once.get, Compared(meeting), partial(made.append, n)) for n in range(2)))

    assert len(made) == 1


def test_viewers_of_one_moment_share_a_tick_and_nobody_sees_one_twice():
    ears, shared = Ears(), SharedTicks()
    first = ears.tick(shared, "a", 0)

    assert ears.tick(shared, "b", 0.4) is first
    assert ears.tick(shared, "a", 0.45) is not first, "it has seen that one"
    assert ears.heard == 2


def test_who_draws_what_was_drawn_before_gets_that_again():
    ears, shared = Ears(), SharedTicks()
    shown = ears.tick(shared, "a", 0)

    assert ears.tick(shared, "a", 0.3, again=1) is shown
    assert ears.tick(shared, "b", 0.3) is shown
    assert ears.tick(shared, "a", 0.8, again=1) is shown, "older than what another viewer's may be"


def test_who_wants_again_what_it_has_not_seen_gets_nothing_old():
    ears, shared = Ears(), SharedTicks()
    others = ears.tick(shared, "a", 0)

    assert ears.tick(shared, "b", 0.8, again=1) is not others


def test_what_is_wanted_again_is_of_this_run_and_not_of_another_time():
    ears, shared = Ears(), SharedTicks()
    shown = ears.tick(shared, "a", 0)
    earlier = ears.tick(shared, "a", -0.1, again=1)
    ears.run = object()

    assert len({id(shown), id(earlier), id(ears.tick(shared, "a", -0.1, again=1))}) == 3


def test_what_was_wanted_again_and_was_too_old_has_been_seen_too():
    ears, shared = Ears(), SharedTicks()
    ears.tick(shared, "a", 0)
    slow = ears.tick(shared, "a", 5, again=1)

    assert ears.tick(shared, "a", 5.1) is not slow


@pytest.mark.parametrize(
    ("seconds", "longest"),
    [(0.6, 0.5), (1.5, 60.0), (-0.1, 0.5)],
    ids=["older than asked", "older than ever", "the clock was set back"],
)
def test_a_tick_of_another_time_is_taken_over_by_nobody(seconds: float, longest: float):
    ears, shared = Ears(), SharedTicks()
    old = ears.tick(shared, "a", 0)
    new = ears.tick(shared, "b", seconds, longest)

    assert new is not old
    assert new.at == OPEN + timedelta(seconds=seconds)


def test_a_tick_that_was_ended_is_shown_to_nobody_any_more():
    ears, shared = Ears(), SharedTicks()
    old = ears.tick(shared, "a", 0)
    shared.end()
    shared.end()

    new = ears.tick(shared, "a", 0.1, again=1)
    assert new is not old
    assert ears.tick(shared, "b", 0.1) is new


def test_another_run_begins_a_tick_of_its_own():
    ears, shared = Ears(), SharedTicks()
    before = ears.tick(shared, "a", 0)
    ears.run = object()

    assert ears.tick(shared, "b", 0) is not before


def test_viewers_who_come_together_hear_once():
    ears, shared = Ears(), SharedTicks()
    at_once(*(lambda name=str(number): ears.tick(shared, name, 0) for number in range(VIEWERS)))

    assert ears.heard == 1


def test_a_value_is_made_once_however_many_ask_and_may_ask_for_another():
    once, made = Once(), []

    def outer() -> tuple[str, str]:
        made.append("outer")
        return "outer", once.get("inner", inner)

    def inner() -> str:
        made.append("inner")
        return "inner"

    seen: list[object] = []
    at_once(*(lambda: seen.append(once.get("outer", outer)) for _ in range(VIEWERS)))

    assert made == ["outer", "inner"]
    assert len(set(map(id, seen))) == 1


def test_what_could_not_be_made_is_tried_again():
    once = Once()

    def fail() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        once.get("key", fail)
    assert once.get("key", lambda: "made") == "made"


def test_no_more_is_kept_than_has_its_place():
    once = Once()
    for number in range(2 * KEPT_AT_MOST):
        once.get(number, object)
    made: list[int] = []
    for number in range(2 * KEPT_AT_MOST):
        once.get(number, partial(made.append, number))

    assert made, "the oldest are made anew"


@pytest.fixture
def session() -> Iterator[LiveSession]:
    """One whose streams bring a new snapshot whenever they are heard."""
    one = LiveSession(build_manager=manager_for(lambda: replace(scenes.live())), housekeeping_seconds=3_600)
    one.start(BOOK, RunSettings(), Settings())
    yield one
    one.stop()


def view(*, hide: bool = False, zone: ZoneInfo = UTC_ZONE, refresh: int = 1) -> Viewpoint:
    """A viewpoint as each tab makes its own."""
    own = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])
    return Viewpoint(own, ViewOptions(Preferences(hide_amounts=hide, refresh_seconds=refresh), zone))


@pytest.fixture
def looked(monkeypatch) -> list[object]:
    """One for each time the book was looked at."""
    looks: list[object] = []

    def counted(*things, **more):
        looks.append(things)
        return look_at_book(*things, **more)

    monkeypatch.setattr("options_helper.live.shared_look.look_at_book", counted)
    return looks


def test_ten_viewers_who_look_alike_are_one_screen_and_one_table(session, looked):
    screens: list[ScreenModel] = []
    at_once(
        *(
            lambda name=str(number): screens.append(shared_screen(session, view(), name, OPEN))
            for number in range(VIEWERS)
        )
    )
    wishes = Wishes(Grouping.UNDERLYING, ("Mark", "P&L $"))

    assert len(looked) == 1
    assert len(set(map(id, screens))) == 1
    assert len({id(build_board(screen, wishes)) for screen in screens}) == 1
    assert len({id(screen.once(attention)) for screen in screens}) == 1


def test_the_next_refresh_shows_what_is_new(session, looked):
    first = shared_screen(session, view(), "a", OPEN)
    second = shared_screen(session, view(), "a", OPEN + timedelta(seconds=1))

    assert second.now - first.now == timedelta(seconds=1)
    assert second.snapshot is not first.snapshot
    assert len(looked) == 2


@pytest.mark.parametrize("refresh", [1, 2, 10])
def test_what_is_drawn_beside_the_refreshes_is_of_the_last_one_and_looks_at_nothing_itself(
    session, looked, refresh
):
    """The open tab is drawn every five seconds, at any moment between two refreshes, or after a late one."""
    shown = shared_screen(session, view(refresh=refresh), "a", OPEN)
    for part in (0.1, 0.95, 1.4):
        now = OPEN + timedelta(seconds=part * refresh)
        assert shared_screen(session, view(refresh=refresh), "a", now, again=True) is shown
    assert len(looked) == 1

    late = OPEN + timedelta(seconds=2 * refresh)
    assert shared_screen(session, view(refresh=refresh), "a", late, again=True).now == late


def test_a_screen_that_is_shared_says_when_it_is_of(session):
    shown = shared_screen(session, view(), "a", OPEN)
    later = shared_screen(session, view(), "b", OPEN + timedelta(seconds=0.4))

    assert later is shown
    assert later.now == OPEN, "not the later viewer's moment, by which its ages would be wrong"


def test_who_hides_amounts_and_who_does_not_share_the_numbers_and_nothing_else(session, looked):
    wishes = Wishes(Grouping.UNDERLYING, ("Qty", "Mark", "P&L $", "P&L %"))
    for shown_first in (False, True):
        views = {hide: view(hide=hide) for hide in (shown_first, not shown_first)}
        now = OPEN + timedelta(seconds=10 * shown_first)
        screens = {hide: shared_screen(session, one, f"viewer {hide}", now) for hide, one in views.items()}
        boards = {hide: build_board(screen, wishes) for hide, screen in screens.items()}

        assert screens[True].snapshot is screens[False].snapshot
        headings = {hide: [column["heading"] for column in board.columns] for hide, board in boards.items()}
        assert "P&L $" in headings[False]
        assert "P&L $" not in headings[True]
        assert all(screen.options.preferences.hide_amounts is hide for hide, screen in screens.items())
    assert len(looked) == 2


@pytest.mark.parametrize("hidden_first", [True, False])
def test_nothing_drawn_for_one_who_shows_amounts_reaches_one_who_hides_them(session, hidden_first):
    pages: dict[bool, str] = {}
    for hide in (hidden_first, not hidden_first):
        screen = shared_screen(session, view(hide=hide), f"viewer {hide}", OPEN)
        pages[hide] = "".join(screen.once(pieces).values())

    amount = re.compile(r"\$[\d,]*\d")
    assert amount.search(pages[False])
    assert not amount.search(pages[True])


def test_each_viewer_has_its_own_zone_and_pace(session):
    seen = {
        (zone.key, refresh): shared_screen(
            session, view(zone=zone, refresh=refresh), f"{zone}{refresh}", OPEN
        )
        for zone in (UTC_ZONE, NEW_YORK)
        for refresh in (1, 2)
    }

    assert {(one.options.zone.key, one.options.preferences.refresh_seconds) for one in seen.values()} == set(
        seen
    )
    assert len({id(one.snapshot) for one in seen.values()}) == 1


def test_what_was_made_of_a_screen_is_not_taken_for_another(session):
    screen = shared_screen(session, view(), "a", OPEN)
    items = screen.once(attention)

    assert replace(screen, banners=()).once(attention) is not items


class Drawing:
    """Made of a screen, and names it."""

    def __init__(self, screen: ScreenModel) -> None:
        self.screen = screen


def test_what_was_made_of_a_screen_goes_with_it_and_waits_for_no_collector(session):
    """It names the screen, which keeps it: a ring, with all that was looked at in it."""
    drawing = weakref.ref(shared_screen(session, view(), "a", OPEN).once(Drawing))
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        shared_screen(session, view(), "a", OPEN + timedelta(seconds=1))
        assert drawing() is not None, "somebody may still draw it"
        shared_screen(session, view(), "a", OPEN + timedelta(seconds=2))
        assert drawing() is None
    finally:
        if was_enabled:
            gc.enable()


def test_who_still_draws_what_was_forgotten_has_it_made_again(session):
    screen = shared_screen(session, view(), "a", OPEN)
    items = screen.once(attention)
    screen.forget()

    assert screen.once(attention) == items


@pytest.mark.parametrize(
    ("seconds", "looks"), [(0.5, 1), (1.7, 1), (1.9, 2)], ids=["in time", "just in time", "too late"]
)
def test_the_housekeeper_looks_at_what_viewers_have_just_looked_at(looked, seconds, looks):
    """Its look is another one of the same second, for which every viewer waits."""
    session = LiveSession(
        build_manager=manager_for(lambda: replace(scenes.live())),
        now=lambda: OPEN + timedelta(seconds=seconds),
        housekeeping_seconds=3_600,
    )
    session.start(BOOK, RunSettings(), Settings())
    try:
        shown = shared_screen(session, view(), "a", OPEN)
        session.keep()

        assert len(looked) == looks
        record = session.changes()
        assert record is not None
        assert record.newest.at == shown.snapshot.as_of, "by the market's clock it is of that instant"
    finally:
        session.stop()


def test_of_another_run_the_housekeeper_takes_no_snapshot():
    ears, shared = Ears(), SharedTicks()
    seen = ears.tick(shared, "a", 0)

    assert shared.recent(OPEN, run=ears.run, longest_seconds=1) is seen.snapshot
    assert shared.recent(OPEN, run=object(), longest_seconds=1) is None
    assert shared.recent(OPEN + timedelta(seconds=1.1), run=ears.run, longest_seconds=1) is None


@pytest.mark.parametrize(("seconds", "is_shared"), [(0.89, True), (0.95, False)])
def test_a_screen_serves_those_who_look_within_nine_tenths_of_a_refresh(session, seconds, *, is_shared):
    """So that ten who look once a second cost one computation in it, and not two."""
    every_second = view(refresh=1)
    shown = shared_screen(session, every_second, "a", OPEN)
    later = shared_screen(session, every_second, "b", OPEN + timedelta(seconds=seconds))

    assert (later is shown) is is_shared
