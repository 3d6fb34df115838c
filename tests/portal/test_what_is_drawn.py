"""What a refresh draws: what is seen now, and nothing of the tabs that are closed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import streamlit as st

from tests.portal import scenes
from tests.portal.conftest import Portal


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the page asked to have drawn again: each fragment's arguments and its seconds, in a full run."""
    asked: list[tuple[Any, ...]] = []
    fragment = st.fragment

    def noting(draw: Callable[..., object], *, run_every: float | None = None) -> Callable[..., object]:
        of_page = fragment(draw, run_every=run_every)

        def call(*given: object) -> object:
            asked.append((given[0], run_every))
            return of_page(*given)

        return call

    monkeypatch.setattr(st, "fragment", noting)
    return asked


@pytest.mark.parametrize("name", ["P&L over the session", "Fills", "Alerts", "File and account", "News"])
def test_only_the_tab_that_is_open_is_drawn_again(portal: Portal, timers: list[tuple[Any, ...]], name: str):
    tab = portal.show(scenes.live)
    tab.session_state["tabs"] = name
    timers.clear()
    tab.run()
    assert [given for given, seconds in timers if seconds and isinstance(given, str)] == [name]


def test_a_refresh_makes_no_data_frame(portal: Portal, monkeypatch: pytest.MonkeyPatch):
    """They cost more than all that stands in them; the chart, which is drawn seldom, has its own."""
    tab = portal.show(scenes.live)
    tab.session_state["tabs"] = "News"

    def refuse(*_given: object, **_named: object) -> None:
        raise AssertionError("a DataFrame")

    monkeypatch.setattr("apps.streamlit.components.live_portfolio_page.pnl_chart", lambda *_given: None)
    monkeypatch.setattr("pandas.DataFrame.__init__", refuse)
    tab.run()
    assert not tab.exception
    assert [one for one in tab.get("bidi_component") if one.proto.component_name == "options-helper.board"]


def test_a_refresh_sends_what_is_drawn_around_the_table_as_it_was_drawn(portal: Portal):
    """A full run draws the pieces in their places, and the table's message has the same for the refreshes to come."""
    tab = portal.show(scenes.live)
    drawn = {
        name: body
        for element in tab.get("html")
        for name, body in re.findall(r'data-piece="([a-z]+)"[^>]*>(.*)</div>', element.proto.body, re.DOTALL)
    }
    (table,) = [
        one for one in tab.get("bidi_component") if one.proto.component_name == "options-helper.board"
    ]
    around = json.loads(table.proto.bytes)["around"]

    assert drawn.keys() == {"truth", "details", "banners", "tiles", "side"}
    assert {name: around[name] for name in drawn} == drawn
    assert around["window"]["words"].startswith("Live portfolio running")
    assert "--gain:" in around["style"]


def test_the_page_is_styled_before_anything_of_it_is_drawn(portal: Portal):
    """A style alone is applied when all of the run has arrived: for seconds the alarm's text stood there to be read."""
    first, *_ = portal.open().main.children.values()

    assert ".oh-bar" in first.proto.body
