"""A new figure is one declaration and its values: types, page, CSV, hidden amounts and docs follow."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from apps.streamlit.components.board_columns import headings, usual_headings
from apps.streamlit.components.board_message import CELL_PADDING_PIXELS, Wishes, build_board, text_pixels
from apps.streamlit.components.board_rows import Grouping
from apps.streamlit.components.live_csv import tables_as_csv
from apps.streamlit.components.style import pixels_for
from options_helper.analysis.columns import COLUMNS, Column, Kind, Table, money
from options_helper.analysis.row_table import row_table
from options_helper.data.portfolio_file import open_portfolio_file
from options_helper.live.screen import Preferences, ScreenModel, ViewOptions, build_screen
from options_helper.live.session import LiveSession, RunSettings
from options_helper.settings import Settings
from scripts.columns_page import page
from tests.portal import scenes
from tests.portal.scenes import SAMPLE, manager_for

CARRY = money("carry", {Table.POSITION: 132}, "What a day costs.", "Carry $", 60, sums=True, stays=3)
LEVELS = Column("levels", {Table.POSITION: 134}, "How many.", "Levels", 40, kind=Kind.WHOLE)
DECLARED = (*COLUMNS, CARRY, LEVELS)
NEW_YORK = ZoneInfo("America/New_York")

MakeScreen = Callable[..., ScreenModel]


@pytest.fixture
def screen_for() -> Iterator[MakeScreen]:
    """The live scene with two figures more."""
    session = LiveSession(build_manager=manager_for(scenes.live), housekeeping_seconds=3_600)
    book = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])
    session.start(book, RunSettings(), Settings())

    def make(**preferences: object) -> ScreenModel:
        screen = build_screen(
            session, book, ViewOptions(Preferences(**preferences), NEW_YORK), now=scenes.OPEN
        )
        count = len(screen.positions)
        values = {"carry": [-12.5] * count, "levels": [3] + [None] * (count - 1)}
        both = row_table(values, Table.POSITION, list(screen.positions["id"]), (CARRY, LEVELS))
        return replace(screen, positions=screen.positions.beside(both))

    yield make
    session.stop()


def test_the_table_has_it_with_its_type(screen_for: MakeScreen):
    rows = screen_for().positions.frame()

    assert list(rows.columns[-2:]) == ["carry", "levels"]
    assert [str(kind) for kind in rows.dtypes[-2:]] == ["float64", "Int64"]
    assert rows["levels"].isna().sum() == len(rows) - 1


def shown(screen: ScreenModel) -> tuple[list[str], dict[str, dict[str, str]]]:
    """The headings that are sent, and what each row says under them."""
    board = build_board(screen, Wishes(Grouping.UNDERLYING, headings(DECLARED)), declared=DECLARED)
    names = [column["heading"] for column in board.columns[1:]]
    return names, {
        row["name"]: {
            name: wire if isinstance(wire, str) else wire[0]
            for name, wire in zip(names, board.cells[row["key"]], strict=True)
        }
        for row in board.rows
    }


def test_the_page_shows_it_in_its_place_as_declared(screen_for: MakeScreen):
    names, rows = shown(screen_for())

    after_dte = names.index("DTE") + 1
    assert names[after_dte : after_dte + 3] == ["Carry $", "Levels", "% max"]
    assert rows["681 C · 20 Nov 26"]["Carry $"] == "−12"
    assert rows["681 C · 20 Nov 26"]["Levels"] == "3"
    assert (rows["MSFT"]["Carry $"], rows["MSFT"]["Levels"]) == ("−38", "")
    assert rows["Book · 15 legs"]["Carry $"] == "−88"


def test_what_stays_in_no_window_is_there_for_who_chooses_it():
    assert "Carry $" in usual_headings(DECLARED)
    assert "Levels" in headings(DECLARED)
    assert "Levels" not in usual_headings(DECLARED)


def test_a_quantity_and_a_price_of_coins_have_room_in_any_table():
    assert pixels_for(["+0.12345678", None], 62) > 62
    assert pixels_for(["60,021.00", "1.20"], 56) > 9 * 5.5 + 16
    assert pixels_for([None], 56) == 56


@pytest.mark.parametrize("value", [60_021.0, -1_234_567.891, 0.123456])
def test_a_column_is_as_wide_as_its_longest_number(screen_for: MakeScreen, value: float):
    screen = screen_for()
    rows = screen.positions.assign(carry=[value] + [1.0] * (len(screen.positions) - 1))
    wishes = Wishes(Grouping.NONE, ("Carry $", "Levels"))
    board = build_board(replace(screen, positions=rows), wishes, declared=DECLARED)
    widths = {column["heading"]: column["width"] for column in board.columns}

    assert widths["Carry $"] == max(60, text_pixels(f"{value:+,.0f}".replace("-", "−")) + CELL_PADDING_PIXELS)
    assert widths["Levels"] == 40


def test_the_csv_has_it(screen_for: MakeScreen):
    table = pd.read_csv(io.StringIO(tables_as_csv(screen_for(), DECLARED)))

    assert set(table["carry"][table["section"] == "position"]) == {-12.5}
    assert table["carry"][table["section"] != "position"].isna().all()


@pytest.mark.parametrize(
    ("local", "market"), [(True, "local"), (False, "alpaca")], ids=["this computer", "Alpaca"]
)
def test_before_start_the_csv_says_whose_market_it_will_be(*, local: bool, market: str):
    book = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])
    options = ViewOptions(Preferences(), NEW_YORK)
    screen = build_screen(LiveSession(), book, options, now=scenes.OPEN, local_market=local)
    table = pd.read_csv(io.StringIO(tables_as_csv(screen)))

    assert set(table["market"]) == {market}
    assert set(table["state"]) == {"not started"}


def test_the_docs_have_what_stands_before_each_row_of_the_csv(screen_for: MakeScreen):
    header = tables_as_csv(screen_for()).partition("\n")[0].split(",")
    rows = page().partition("## In the CSV before each row")[2]

    assert re.findall(r"^\| `(\w+)`", rows, flags=re.MULTILINE) == header[: header.index("id")]


def test_an_amount_hides_with_the_amounts_on_the_page_and_in_the_csv(screen_for: MakeScreen):
    screen = screen_for(hide_amounts=True)
    names, _ = shown(screen)
    table = pd.read_csv(io.StringIO(tables_as_csv(screen, DECLARED)))

    assert "Carry $" not in names
    assert "Levels" in names
    assert "carry" not in table
    assert "levels" in table


def test_the_docs_have_its_row():
    rows = page(DECLARED).splitlines()

    assert "| `carry` | Carry $ | $ | What a day costs. | amount |" in rows
    assert rows.index("| `levels` | Levels |  | How many. |  |") < rows.index("## Structures")
