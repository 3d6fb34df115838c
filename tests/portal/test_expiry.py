"""The expiry cockpit on the page: what ends today, what it brings, and whose instants are ahead."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from apps.streamlit.components.live_expiry import expiry_panels
from options_helper.analysis.attention.morning_after import EndedContract, EndedState
from options_helper.data.portfolio_file import open_portfolio_file
from options_helper.live.screen import Preferences, ScreenModel, ViewOptions, build_screen
from options_helper.live.session import LiveSession
from tests.portal.conftest import Portal, html
from tests.portal.scenes import OPEN, SAMPLE, quiet, with_account
from tests.portal.test_attention import NEW_YORK, screen_of


def ended(state: EndedState) -> EndedContract:
    return EndedContract("SPY261119C00681000", "SPY 19 Nov 26 681 C", state, "Nothing is told.", OPEN, 1.0)


def with_ended(screen: ScreenModel, *states: EndedState) -> str:
    found = replace(screen.attention, morning_after=tuple(map(ended, states)))
    return expiry_panels(replace(screen, attention=found))


def test_on_a_day_of_expiry_each_leg_has_its_state_and_both_sides():
    html = expiry_panels(screen_of(with_account()))

    assert 'aria-label="Expiry cockpit"' in html
    assert 'data-state="pin"' in html
    assert "above: +200 SPY for $136,200; below: nothing" in html
    assert "The options buying power is not known." in html
    assert "15:00 ET, 4 h 26 min left: Alpaca may close" in html
    # What is ahead does not read as past.
    assert "16:15 ET, 5 h 41 min left: exchange trading ends<" in html


def test_the_page_has_it_below_what_needs_a_hand_with_the_countdown(portal: Portal):
    drawn = html(portal.show(with_account()))

    assert 'data-kind="pin"' in drawn
    assert "by 15:00 ET, 4 h 26 min left" in drawn
    assert drawn.index('aria-label="Attention, worst first"') < drawn.index('aria-label="Expiry cockpit"')


def test_hidden_amounts_stand_nowhere_in_it():
    html = expiry_panels(screen_of(with_account(), hide_amounts=True))

    assert "•••••" in html
    assert "136,200" not in html
    assert "200 SPY" not in html


def test_the_day_after_there_is_no_cockpit_and_what_ended_is_awaited():
    html = expiry_panels(screen_of(quiet))

    assert "Expiry cockpit" not in html
    assert 'data-state="awaited"' in html
    assert "executions since it ended were not read" in html


def test_how_old_the_records_are_by_which_it_ends_is_said():
    screen = screen_of(with_account())
    now, first, *others = screen.snapshot.as_of, *screen.attention.cockpit
    asked = tuple(replace(one, read_at=now - timedelta(minutes=25)) for one in first.deadlines)
    found = replace(screen.attention, cockpit=(replace(first, deadlines=asked), *others))

    assert "Alpaca&#x27;s records, asked 25 min ago." in expiry_panels(replace(screen, attention=found))
    # Where no record was read, nothing of one is said.
    assert "records, asked" not in expiry_panels(screen)


def test_how_old_is_what_the_account_tells_of_what_ended_is_said():
    screen = screen_of(with_account())
    found = replace(screen.attention, activities_at=screen.snapshot.as_of - timedelta(hours=3))

    said = with_ended(replace(screen, attention=found), EndedState.AWAITED)
    assert "activities, asked 3 h ago." in said


def test_before_start_there_is_none():
    book = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])

    assert (
        expiry_panels(build_screen(LiveSession(), book, ViewOptions(Preferences(), NEW_YORK), now=OPEN)) == ""
    )


@pytest.mark.parametrize(
    ("states", "is_shown"),
    [
        ((EndedState.EXPLAINED,), False),
        ((EndedState.EXPLAINED, EndedState.AWAITED), True),
        ((EndedState.UNEXPLAINED,), True),
    ],
)
def test_what_ended_is_shown_until_all_of_it_is_explained(states: tuple[EndedState, ...], *, is_shown: bool):
    html = with_ended(screen_of(with_account()), *states)

    assert ('aria-label="What ended"' in html) is is_shown
    assert html.count("Nothing is told.") == (len(states) if is_shown else 0)
