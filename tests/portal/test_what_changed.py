"""The tab *What changed*: bars that add up, causes that were not split by their names, and no hidden amount."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import fsum
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.streamlit.components.live_what_changed import (
    causes_table,
    change_sentences,
    line_of_row,
    whole_dollars,
)
from options_helper.analysis.book_look import look_at_book
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.analysis.risk.what_changed import Change, Gap, Part, begin, of_day
from options_helper.model.portfolio import load_portfolio
from tests.portal import scenes
from tests.portal.conftest import html, pieces

START = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
PARTS = dict.fromkeys(Part, 0.0)
cents = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 2))


def change(**parts: float) -> Change:
    every = PARTS | {Part[name.upper()]: amount for name, amount in parts.items()}
    return Change(START, START + timedelta(minutes=9), fsum(every.values()), every, (), (), (), (), 0, ())


@given(st.dictionaries(st.sampled_from(Part), cents))
def test_the_whole_dollars_that_are_shown_add_up_to_what_is_shown(some: dict[Part, float]):
    parts = PARTS | some
    total = fsum(parts.values())
    shown = whole_dollars(parts, total)

    assert sum(shown.values()) == round(total)
    assert all(abs(shown[part] - parts[part]) <= 1 for part in parts)


def test_each_cause_is_a_bar_and_the_sum_stands_below():
    table = causes_table(change(delta=21.4, gamma=-6.8, theta=3.7, vega=-45.3, rest=0.2), hide_amounts=False)

    for words in ("Delta", "Gamma", "Theta", "Vega", "Rest", "P&amp;L since then", "$27"):
        assert words in table
    assert table.count("oh-cause-bar") == 5
    assert "not split" not in table


def test_what_could_not_be_split_has_its_own_name():
    table = causes_table(change(delta=1.0, gap=-14.0, volatility=2.0), hide_amounts=False)

    assert "Gap, not split" in table
    assert "No volatility, not split" in table


def test_a_day_has_what_was_before_start_as_a_line_of_its_own_and_says_so():
    day = of_day(change(delta=21.4), 100.0)
    table = causes_table(day, hide_amounts=False)

    assert "Before Start, not split" in table
    assert "$79" in table
    assert "P&amp;L today" in table
    assert any("from the last close on" in one for one in change_sentences(day, ZoneInfo("UTC")))
    assert "Before Start" not in causes_table(change(delta=21.4), hide_amounts=False)


@pytest.mark.parametrize(
    ("row", "subject"),
    [
        ("", "b:"),
        ("g:AAPL", "u:AAPL"),
        ("p:aapl-call", "e:aapl-call"),
        ("s:nvda-vertical", "e:nvda-vertical"),
        ("l:nvda-vertical:1", "e:nvda-vertical"),
    ],
)
def test_it_follows_the_selected_row(row: str, subject: str):
    look = look_at_book(
        load_portfolio(scenes.SAMPLE),
        scenes.live(),
        RiskChoices(),
        stale_after_seconds=30,
        wide_spread_pct=25,
    )

    assert line_of_row(row, look.risk) == subject


def test_hidden_amounts_are_not_sent():
    assert "$" not in causes_table(change(delta=21.4, gap=-6.8), hide_amounts=True)


def test_the_words_name_gaps_late_lines_and_quantities_that_changed():
    whole = change(delta=1.0)
    said = " ".join(
        change_sentences(
            Change(
                whole.since,
                whole.until,
                1.0,
                whole.parts,
                ("call AAPL261218C00180000 0",),
                ("put AAPL261218P00180000 0",),
                (),
                ("share AAPL1 0",),
                2,
                (Gap(START, START + timedelta(minutes=5), -14.0),),
            ),
            ZoneInfo("America/New_York"),
        )
    )

    assert "From 09:30:00 to 09:39:00" in said
    assert "2 quantity changes that no execution explains" in said
    assert "call: counted only from their first mark on" in said
    assert "put: without a mark now" in said
    assert "Gap 09:30:00 to 09:35:00, not split." in said


def test_every_minute_that_is_kept_can_be_chosen_and_the_change_begins_there(portal):
    """A stop that was moved at 10:17 is asked after from 10:17 on, and not from the nearest of a dozen moments."""
    tab = portal.show(scenes.live)
    portal.session.keep()
    record = portal.session.changes()
    moments = tuple(START + timedelta(minutes=minute) for minute in range(390))
    steps = tuple(replace(record.newest, at=moment) for moment in moments)
    newest = replace(record.newest, at=moments[-1] + timedelta(seconds=30))
    kept = replace(record, steps=steps, strip=begin(steps[0]), newest=newest)
    portal.session.changes = lambda _account: kept
    tab.session_state["tabs"] = "What changed"
    tab.run()
    offered = tab.selectbox(key="changed-since")
    assert offered.options[2:] == [f"since {moment:%H:%M:%S}" for moment in reversed(moments[1:])]

    chosen = (START + timedelta(minutes=47)).isoformat()
    offered.set_value(chosen).run()
    assert "From 15:17:00" in html(tab)

    # The address keeps it, over another tab and a reload of the page.
    assert tab.query_params["since"] == chosen
    tab.session_state["tabs"] = "Fills"
    tab.run()
    tab.session_state["tabs"] = "What changed"
    tab.run()
    assert "From 15:17:00" in html(tab)
    tab.selectbox(key="changed-since").set_value("").run()
    assert "since" not in tab.query_params


def test_of_a_long_session_the_oldest_moment_that_is_kept_can_be_chosen_too(portal):
    """Those of its beginning are gone, so the oldest is not Start."""
    tab = portal.show(scenes.live)
    portal.session.keep()
    record = portal.session.changes()
    steps = tuple(replace(record.newest, at=START + timedelta(minutes=minute)) for minute in range(9))
    kept = replace(record, steps=steps[5:], strip=begin(steps[0]), newest=steps[-1])
    portal.session.changes = lambda _account: kept
    tab.session_state["tabs"] = "What changed"
    tab.run()

    assert tab.selectbox(key="changed-since").options[-1] == f"since {steps[5].at:%H:%M:%S}"


def test_a_moment_of_the_address_that_is_not_kept_is_left(portal):
    tab = portal.show(scenes.live)
    portal.session.keep()
    tab.query_params["since"] = START.isoformat()
    tab.session_state["tabs"] = "What changed"
    tab.run()

    assert "(Start)" in str(tab.selectbox(key="changed-since").options)
    assert tab.selectbox(key="changed-since").value == ""
    assert "since" not in tab.query_params


def test_the_tab_tells_when_the_first_step_is_known(portal):
    tab = portal.show(scenes.live)
    tab.session_state["tabs"] = "What changed"
    tab.run()
    assert any("from the first prices after Start on" in caption.value for caption in tab.caption)

    portal.session.keep()
    tab.run()
    assert "P&L since then" in html(tab)
    assert "(Start)" in str(tab.selectbox(key="changed-since").options)


def test_the_day_is_told_where_it_is_known_and_else_why_it_is_not(portal):
    tab = portal.show(scenes.live)
    portal.session.keep()
    tab.session_state["tabs"] = "What changed"
    tab.run()
    tab.selectbox(key="changed-since").set_value("today").run()

    assert any("Today's profit of it is not known" in caption.value for caption in tab.caption)


def test_the_profit_of_the_day_stands_below_its_parts(portal):
    tab = portal.show(scenes.with_account())
    portal.session.keep()
    tab.session_state["tabs"] = "What changed"
    tab.run()
    tab.selectbox(key="changed-since").set_value("today").run()

    assert "Before Start, not split" in pieces(tab, "oh-causes")
    assert "$20,657" in pieces(tab, "oh-causes").split("P&L today")[1]
