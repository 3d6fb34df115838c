"""What the page says needs a hand: each thing once, the worst first, with what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from apps.streamlit.components.live_attention import expiries
from apps.streamlit.components.live_totals import hand_tile
from options_helper.analysis.live_health import Level
from options_helper.analysis.marks import QuoteWarning
from options_helper.data.portfolio_file import open_portfolio_file
from options_helper.live.attention import _SAY, Item, attention
from options_helper.live.screen import Preferences, ScreenModel, ViewOptions, build_screen
from options_helper.live.session import LiveSession, RunSettings
from options_helper.model.snapshot import LiveSnapshot
from options_helper.settings import Settings
from tests.portal import scenes
from tests.portal.scenes import OPEN, SAMPLE, execution, with_account

NEW_YORK = ZoneInfo("America/New_York")
AAPL_CALL = "AAPL270115C00275000"


def screen_of(scene: Callable[[], LiveSnapshot], **preferences) -> ScreenModel:
    session = LiveSession(build_manager=scenes.manager_for(scene), housekeeping_seconds=3_600)
    book = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])
    session.start(book, RunSettings(), Settings())
    try:
        return build_screen(session, book, ViewOptions(Preferences(**preferences), NEW_YORK), now=OPEN)
    finally:
        session.stop()


def with_warnings(screen: ScreenModel, *each: tuple[QuoteWarning, ...]) -> ScreenModel:
    """The screen whose first positions have these warnings, and whose other lines have none."""
    return replace(screen, banners=(), positions=warned(screen.positions, *each), legs=warned(screen.legs))


def warned(table: pd.DataFrame, *each: tuple[QuoteWarning, ...]) -> pd.DataFrame:
    said: list[tuple[QuoteWarning, ...]] = [*each, *[()] * (len(table) - len(each))]
    return table.assign(warnings=pd.Series(said, index=table.index, dtype=object))


def test_a_contract_that_expires_today_says_when_where_it_stands_and_what_happens_then():
    (item,) = attention(screen_of(with_account()))

    assert (item.level, item.subject) == (Level.ERROR, "SPY 20 Nov 26 681 C")
    assert item.what == "Expires today at 16:15 in New York, out of the money by 0.89"
    assert item.remedy == "Out of the money at the end it is worth nothing."


@pytest.mark.parametrize(("quantity", "happens"), [(2.0, "exercised"), (-2.0, "assigned")])
def test_in_the_money_the_side_decides_what_happens(quantity: float, happens: str):
    screen = screen_of(with_account())
    inside = screen.positions.assign(underlying_price=700.0, quantity=quantity)

    assert f"it is {happens};" in attention(replace(screen, positions=inside))[0].remedy


def test_the_worst_comes_first_and_a_row_with_several_warnings_is_one_item():
    screen = with_warnings(
        screen_of(with_account()),
        (QuoteWarning.WIDE_SPREAD, QuoteWarning.LOCKED_MARKET),
        (QuoteWarning.CROSSED_MARKET, QuoteWarning.NO_COST_BASIS),
    )
    first, second = attention(screen)

    assert (first.subject, first.level) == ("AAPL 15 Jan 27 275 C", Level.ERROR)
    assert first.remedy.endswith("Also: no cost basis.")
    assert second.level is Level.WARNING


def test_what_many_lines_have_in_common_is_one_item_that_names_them():
    screen = with_warnings(screen_of(with_account()), *[(QuoteWarning.STALE_QUOTE,)] * 4)
    (item,) = attention(screen)

    assert item.subject == "4 lines"
    assert item.what.startswith("Stale quote: SPY 20 Nov 26 681 C, AAPL 15 Jan 27 275 C")


def test_what_the_account_did_is_told_once_and_not_again_of_its_line():
    bought = execution(AAPL_CALL, 1, "9.15", at=OPEN)
    items = attention(screen_of(with_account(bought)))

    assert [item.subject for item in items].count("Account") == 1
    assert not [item for item in items if item.subject == "AAPL 15 Jan 27 275 C"]


def test_a_wide_spread_says_what_closing_costs_unless_amounts_are_hidden():
    open_one, hidden = (
        attention(with_warnings(screen_of(with_account(), hide_amounts=hide), (QuoteWarning.WIDE_SPREAD,)))[0]
        for hide in (False, True)
    )
    assert "closing now costs $4 against it" in open_one.remedy
    assert "$" not in hidden.remedy
    assert "•••••" in hidden.remedy


def test_before_start_no_price_is_missed():
    session = LiveSession()
    book = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])
    screen = build_screen(session, book, ViewOptions(Preferences(), NEW_YORK), now=OPEN)

    assert {item.what.split(" at ")[0] for item in attention(screen) if item.counts} == {"Expires today"}


def test_a_leg_without_a_price_is_an_item_and_its_structure_no_second_one():
    screen = with_warnings(screen_of(with_account()))
    legs = warned(screen.legs, (QuoteWarning.MISSING_QUOTE,))
    structures = warned(screen.structures, (QuoteWarning.MISSING_LEGS, QuoteWarning.MISSING_QUOTE))
    (item,) = attention(replace(screen, legs=legs, structures=structures))

    assert (item.subject, item.what) == ("AAPL 18 Dec 26 270 C", "No quote yet")


@pytest.mark.parametrize("warning", QuoteWarning)
def test_every_warning_is_either_said_in_words_or_told_of_the_book_as_a_whole(warning: QuoteWarning):
    screen = with_warnings(screen_of(with_account()), (warning,))
    items = [item for item in attention(screen) if item.subject != "P&L today"]

    assert bool(items) == (warning in _SAY)
    assert all(item.what for item in items)


def test_the_tile_counts_what_needs_a_hand_and_names_the_worst():
    grave = Item(Level.ERROR, "SPY 681 C", "Expires today")
    light = Item(Level.WARNING, "BRK-B 510 C", "Spread 7 % of mid")
    known = Item(Level.INFO, "Streams", "Something to know")

    assert (hand_tile([grave, light, known]).figure, hand_tile([grave]).tone) == ("2 items", "error")
    assert hand_tile([grave, light]).caveat == "SPY 681 C: Expires today"
    assert (hand_tile([light]).figure, hand_tile([light]).tone) == ("1 item", "warning")
    assert (hand_tile([known]).figure, hand_tile([]).figure) == ("nothing", "nothing")


def test_the_strip_has_each_day_once_and_counts_a_contract_of_several_positions_once():
    first, second, *_ = expiries(screen_of(with_account()))

    assert (first[0], first[2]) == (0, "SPY 20 Nov 26 681 C")
    assert (second[0], second[2]) == (28, "9 contracts")
