"""The risk in the page's table: what a cell says of a leg, what adds up, what covers what, and what hides."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from math import fsum
from pathlib import Path
from typing import Any

import pytest

from apps.streamlit.components.board_columns import headings, usual_headings
from apps.streamlit.components.board_message import Sorting, Wishes, build_board
from apps.streamlit.components.board_rows import Grouping
from apps.streamlit.components.live_csv import tables_as_csv
from apps.streamlit.components.live_pieces import pieces
from apps.streamlit.components.risk_ages import RiskAges
from options_helper.analysis.columns import COLUMNS
from options_helper.analysis.risk import risk_tables
from options_helper.live.screen import ScreenModel
from options_helper.model.account import AccountPositions, PreviousClose
from tests.kit.builders import new_york
from tests.portal import scenes
from tests.portal.conftest import number
from tests.portal.risk_books import DEEP, LONG, OTHER, SOLD, SPREAD, Show, showing
from tests.portal.scenes import OPEN, THURSDAY, account_position, execution, known_account
from tests.portal.test_board import screen_of
from tests.portal.test_risk_tiles import C105, C110, beside_account


@pytest.fixture
def show(tmp_path: Path) -> Show:
    """The screen of these positions at these quotes."""
    return showing(tmp_path)


def cells(screen: ScreenModel, grouping: Grouping = Grouping.UNDERLYING) -> dict[str, dict[str, list[Any]]]:
    """Text, tone and tooltip of each cell, by the names of rows and columns."""
    board = build_board(screen, Wishes(grouping, headings()))
    names = [column["heading"] for column in board.columns[1:]]
    return {
        row["name"]: {
            name: [wire, "", ""] if isinstance(wire, str) else wire
            for name, wire in zip(names, board.cells[row["key"]], strict=True)
        }
        for row in board.rows
    }


def test_four_figures_of_the_risk_are_shown_and_the_others_can_be_chosen():
    usual = [name for name in usual_headings() if name in ("Delta", "Theta", "IV", "% max", "Vega", "POP")]

    assert usual == ["Delta", "Theta", "IV", "% max"]
    assert {"Vega", "Rho", "Gamma", "POP", "Max loss $", "Forward $", "Days held"} <= set(headings())


def test_a_refresh_works_out_no_column_that_nobody_sees(show: Show, monkeypatch: pytest.MonkeyPatch):
    """The chance of a profit, which is in the CSV and in a column to be chosen, costs more than all that is shown."""

    def refuse(*_: object) -> None:
        raise AssertionError("nobody asked for it")

    monkeypatch.setattr(risk_tables, "probabilities_of_profit", refuse)
    screen = show(LONG, SOLD, OTHER)
    pieces(screen)
    board = build_board(screen, Wishes(Grouping.UNDERLYING, usual_headings()))

    assert board.cells["book"]
    with pytest.raises(AssertionError, match="nobody asked"):
        build_board(screen, Wishes(Grouping.UNDERLYING, headings()))


def test_a_line_says_its_position_and_a_group_the_sum_of_one_underlying(show: Show):
    screen = show(LONG, SOLD, OTHER)
    rows = cells(screen)
    deltas = {line.position_id: line.delta or 0.0 for line in screen.risk.lines}

    assert rows["105 C · 18 Dec 26"]["Delta"][0] == f"−{abs(deltas['other']):.0f}"  # of the last of that name
    assert number(rows["AAPL"]["Delta"][0]) == pytest.approx(deltas["long"] + deltas["sold"], abs=0.51)
    assert rows["Book · 3 legs"]["Delta"][0] == ""
    by_name = [number(rows[name]["Theta"][0]) for name in ("AAPL", "MSFT")]
    assert number(rows["Book · 3 legs"]["Theta"][0]) == pytest.approx(fsum(by_name), abs=1.01)


def test_a_sum_of_thetas_says_what_of_it_is_no_rate_but_left_of_a_last_day():
    """Where all of it is, and beside the sum where a part is; of the book the tile says it, and here a pointer."""
    screen = screen_of(scenes.live)
    by_day, by_underlying = cells(screen, Grouping.EXPIRY), cells(screen, Grouping.UNDERLYING)
    alone = by_day["20 Nov 26"]["Theta"][0]
    assert alone.endswith(" left")
    left = alone.removesuffix(" left")

    assert f" · {left} left" in by_underlying["SPY"]["Theta"][0]
    text, _, title = by_underlying["Book · 15 legs"]["Theta"]
    assert "left" not in text
    assert "time value left, not per day: SPY 20 Nov 26 681 C" in title
    assert "left" not in by_underlying["NVDA"]["Theta"][0]


def test_an_expiry_over_several_underlyings_has_a_theta_and_no_delta(show: Show):
    group = cells(show(LONG, OTHER), Grouping.EXPIRY)["18 Dec 26"]

    assert group["Delta"][0] == group["Gamma"][0] == ""
    assert group["Theta"][0] != ""
    assert group["Delta $"][0] != ""


def test_a_structure_has_the_sums_of_its_legs_and_no_volatility(show: Show):
    screen = show(SPREAD)
    rows = cells(screen)
    legs = [rows[f"{strike} C · 18 Dec 26"] for strike in (105, 110)]
    spread = next(row for name, row in rows.items() if "vertical" in name)

    for figure in ("Delta", "Theta", "Vega", "Rho"):
        assert number(spread[figure][0]) == pytest.approx(
            fsum(number(leg[figure][0]) for leg in legs), abs=1.5
        )
    assert spread["IV"][0] == ""
    assert all(" ±" in leg["IV"][0] for leg in legs)
    assert (spread["Max loss $"][0], spread["Max profit $"][0]) == ("−200", "+300")


def test_a_sum_without_a_leg_says_how_many_it_has_and_names_what_is_missing(show: Show):
    rows = cells(show(LONG, SOLD, without=(110,)))

    for figure in ("Theta", "Vega"):
        for name in ("AAPL", "Book · 2 legs, 1 priced"):
            text, tone, title = rows[name][figure]
            assert text.endswith(" · 1 of 2")
            assert tone == "warning"
            assert "1 of 2 legs" in title
            assert "missing: AAPL 18 Dec 26 110 C" in title
    assert rows["AAPL"]["Theta"][0].partition(" · ")[0] == rows["105 C · 18 Dec 26"]["Theta"][0]


def test_what_is_missing_in_a_structure_is_no_number_in_the_table(show: Show):
    screen = show(SPREAD, without=(110,))

    assert screen.structures.values("theta") == [None]
    assert list(screen.structures["theta_coverage"]) == ["1 of 2 legs"]
    assert list(screen.structures["delta_state"]) == ["unknown"]


def test_a_leg_at_intrinsic_value_has_a_bound_for_delta_and_a_reason_for_the_rest(show: Show):
    rows = cells(show(DEEP, half=0.5))
    deep = rows["60 C · 18 Dec 26"]

    assert deep["Delta"][:2] == ["≈ +100", "warning"]
    assert deep["Delta"][2] == "a bound: the bid is at or below intrinsic value"
    assert deep["IV"] == deep["Theta"] == ["—", "quiet", "the bid is at or below intrinsic value"]
    assert rows["AAPL"]["Delta"][0] == "≈ +100"
    reason = "missing: AAPL 18 Dec 26 60 C (the bid is at or below intrinsic value)"
    assert rows["AAPL"]["Theta"] == rows["Book · 1 leg"]["Theta"] == ["—", "quiet", reason]


def test_a_wide_band_is_amber(show: Show):
    narrow, wide = (cells(show(LONG, half=half))["105 C · 18 Dec 26"]["IV"] for half in (0.02, 0.24))

    assert (narrow[1], wide[1]) == ("", "warning")
    assert float(wide[0].partition("±")[2]) >= 2


def test_an_old_price_of_the_underlying_is_amber_with_its_age_at_every_figure_it_carries(show: Show):
    rows = cells(show(LONG, spot_age=41.0))
    leg = rows["105 C · 18 Dec 26"]

    for cell in (leg["Delta"], rows["AAPL"]["Delta"], rows["AAPL"]["Mark"]):
        assert (cell[0].endswith(" · 41 s"), cell[1]) == (True, "warning")
    for name in ("Theta", "IV"):
        assert leg[name][1] == "warning"
        assert "41 s" in leg[name][2]
    assert "41 s" in rows["Book · 1 leg"]["Theta"][2]


def test_while_nothing_is_traded_an_old_price_is_no_warning(show: Show, monkeypatch: pytest.MonkeyPatch):
    screen = show(LONG, spot_age=41.0)
    night = replace(screen, snapshot=replace(screen.snapshot, as_of=OPEN + timedelta(hours=10)))

    assert cells(night)["105 C · 18 Dec 26"]["Delta"][1] == ""
    assert cells(night)["AAPL"]["Mark"][1] == ""


def test_shares_and_their_calls_have_the_share_of_the_most_that_both_can_win(show: Show):
    shares = {"id": "shares", "symbol": "AAPL", "shares": 200, "cost_basis": 98.0}
    row = next(
        row for name, row in cells(show(shares, {**SOLD, "cost_basis": 2.0})).items() if "Covered" in name
    )

    # At the strike: 12 on each share and the 2 that were taken; so far 2 on each share and 0.40 of the call.
    assert row["% max"][0] == f"{100 * (2 + 0.4) / (12 + 2):.1f} %"


def test_a_call_sold_alone_has_no_end_to_its_loss(show: Show):
    sold = cells(show(SOLD))["110 C · 18 Dec 26"]

    assert sold["Max loss $"][:2] == ["undefined", "error"]
    assert "nothing that is held as long covers them" in sold["Max loss $"][2]


def test_what_wins_or_loses_at_every_price_says_so_under_the_pointer(show: Show):
    won, lost, usual = (
        next(row for row in cells(show({**SPREAD, "net_debit": debit})).values() if row["Max loss $"][0])
        for debit in (-50, 600, 200)
    )

    assert won["Max loss $"][::2] == ["+50", "+50.00; no loss: at least so much is won"]
    assert lost["Max profit $"][::2] == ["−100", "−100.00; no gain: at least so much is lost"]
    assert (usual["Max loss $"][2], usual["Max profit $"][2]) == ("−200.00", "+300.00")


def test_a_worst_that_shares_can_make_worse_later_says_until_when_it_holds(show: Show):
    put, call = ({**SPREAD["legs"][0], "option_type": kind, "strike": 105.0} for kind in ("put", "call"))
    insured = {**SPREAD, "net_debit": 10_600, "legs": [{"side": "long", "shares": 100}, put]}
    screen = show(
        insured,
        {
            **SPREAD,
            "id": "covered",
            "net_debit": 9_000,
            "legs": [{"side": "long", "shares": 100}, {**call, "side": "short"}],
        },
    )
    found = [row["Max loss $"] for row in cells(screen).values() if row["Max loss $"][0]]

    assert found[0] == [
        "−100 until 18 Dec 26",
        "warning",
        "−100.00; until 18 Dec 26: shares can lose more after it",
    ]
    assert found[1][:2] == ["−9,000", ""]
    rows = list(csv.DictReader(tables_as_csv(screen).splitlines()))
    assert [row["max_loss_until"] for row in rows if row["max_loss"]] == ["2026-12-18", ""]


def test_hidden_amounts_take_the_figures_of_positions_along_and_leave_volatilities_and_percents(show: Show):
    screen = show(LONG, SOLD, hide_amounts=True)
    shown = cells(screen)["105 C · 18 Dec 26"].keys()
    written = tables_as_csv(screen).partition("\n")[0].split(",")

    assert not shown & {"Delta", "Delta $", "Gamma", "Theta", "Vega", "Rho", "Max loss $", "European delta"}
    assert {"IV", "% max", "POP", "Forward $"} <= shown
    assert not {"delta", "theta", "second_delta", "vendor_delta", "max_loss", "risk_reasons"} & set(written)
    assert {"iv", "iv_low", "iv_high", "percent_of_max", "greek_age_seconds"} <= set(written)


def test_figures_are_ranked_by_their_amounts(show: Show):
    screen = show(LONG, SOLD, OTHER)
    board = build_board(screen, Wishes(Grouping.UNDERLYING, headings(), Sorting("Theta", descending=True)))
    groups = [row["name"] for row in board.rows if row["kind"] == "group"]
    thetas = {name: number(cells(screen)[name]["Theta"][0]) for name in groups}

    assert groups == sorted(groups, key=lambda name: -thetas[name])


def test_limits_of_a_structure_say_of_how_many_legs_they_are_when_some_have_ended(show: Show):
    ended = {**SPREAD["legs"][1], "expiry": "2026-11-13"}
    screen = show(
        {**SPREAD, "legs": [SPREAD["legs"][0], ended]}, {**SOLD, "id": "gone", "expiry": "2026-11-13"}
    )
    rows = cells(screen)
    structure = next(row for name, row in rows.items() if row["Max loss $"][0].endswith("· 1 of 2"))

    assert structure["Max profit $"][0].endswith("· 1 of 2")
    assert "1 leg that has ended is not in it" in structure["Max loss $"][2]
    assert rows["110 C · 13 Nov 26"]["Max loss $"][:2] == ["unknown", "quiet"]


@pytest.mark.parametrize("grouping", list(Grouping))
def test_every_sum_in_which_a_quantity_is_in_doubt_says_so(show: Show, grouping: Grouping):
    """A sum of deltas by the file's quantities is no delta of what the account holds, and it stood there as one."""
    summed = ("Delta", "Theta", "Vega", "Gamma", "P&L $", "Natural $")
    agreed = cells(beside_account(show, {C105: 2, C110: -2}, LONG, SOLD), grouping)
    apart = cells(beside_account(show, {C105: 2, C110: -1}, LONG, SOLD), grouping)
    sums = [name for name in apart if name == "AAPL" or name.startswith("Book")]
    assert sums

    for name in sums:
        for column in summed:
            text, tone, title = apart[name][column]
            if not agreed[name][column][0]:
                continue  # what has no sum over underlyings
            assert (text[:2], tone) == ("≈ ", "warning"), (name, column)
            assert "quantity in doubt" in title, (name, column)
            assert not agreed[name][column][0].startswith("≈")
    assert "AAPL 18 Dec 26 110 C" in apart[sums[-1]]["Theta"][2]


def test_a_group_of_one_line_says_what_the_line_does_unless_something_speaks_against_it(show: Show):
    """It is told the line's own cells, which are drawn once; in doubt it says as a sum in how many positions."""
    columns = ("Today $", "P&L $", "Natural $", "Delta", "Theta", "Vega", "Gamma")
    line = "105 C · 18 Dec 26"
    agreed = cells(beside_account(show, {C105: 2}, LONG))
    apart = cells(beside_account(show, {C105: 9}, LONG))

    assert [agreed["AAPL"][name] for name in columns] == [agreed[line][name] for name in columns]
    assert all(agreed["AAPL"][name][0] for name in ("P&L $", "Delta", "Theta"))
    for name in columns:
        text, tone, title = apart["AAPL"][name]
        if not apart[line][name][0]:
            continue  # no close of the session before is known
        assert (text, tone) == (apart[line][name][0], "warning"), name
        assert "in doubt" in title
    assert "1 position with a quantity in doubt" in apart["AAPL"]["P&L $"][2]


def test_each_figure_of_a_line_whose_quantity_is_in_doubt_says_so(show: Show):
    """The file has two, the account nine: only structures and sums said it, and a figure is read alone."""
    agreed = cells(beside_account(show, {C105: 2, C110: -2}, LONG, SOLD))["105 C · 18 Dec 26"]
    apart_screen = beside_account(show, {C105: 9, C110: -2}, LONG, SOLD)
    apart, sold = (cells(apart_screen)[name] for name in ("105 C · 18 Dec 26", "110 C · 18 Dec 26"))
    counting = {
        heading for heading in apart if any(one.heading == heading and one.counts_quantity for one in COLUMNS)
    }

    assert {
        "P&L $",
        "Natural $",
        "Delta",
        "Delta $",
        "Gamma",
        "Theta",
        "Vega",
        "Rho",
        "Max loss $",
        "European delta",
    } < counting
    for heading in counting:
        text, tone, title = apart[heading]
        if agreed[heading][0] and not agreed[heading][0][0].isalpha():
            assert (text, tone) == (f"≈ {agreed[heading][0]}", "warning"), heading
            assert title.startswith("quantity in doubt"), heading
        assert not sold[heading][0].startswith("≈"), heading
    for heading in apart.keys() - counting:
        assert not apart[heading][0].startswith("≈"), heading
    rows = csv.DictReader(tables_as_csv(apart_screen).splitlines())
    assert {row["id"]: row["legs_in_doubt"] for row in rows if row["section"] == "position"} == {
        "long": "1",
        "sold": "",
    }


def test_in_a_structure_the_leg_in_doubt_says_so_and_the_other_does_not(show: Show):
    rows = cells(beside_account(show, {C105: 1, C110: -2}, SPREAD))
    legs = [row for name, row in rows.items() if row["Value $"][0] and "vertical" not in name]

    doubted = [[row[column][0][:2] == "≈ " for column in ("Delta", "Vega", "Value $")] for row in legs]
    assert doubted == [[False] * 3, [True] * 3]


def test_a_line_in_doubt_shows_no_amount_where_amounts_are_hidden(show: Show):
    shown = cells(beside_account(show, {C105: 9}, LONG, hide_amounts=True))["105 C · 18 Dec 26"]

    assert shown
    assert not any(wire[0].startswith("≈") for wire in shown.values())


def test_todays_profit_without_a_later_trade_is_in_doubt_in_every_row_that_sums_it(show: Show):
    """The group said so, and the last row, whose sum is the group's, did not."""
    base = known_account()
    account = replace(
        base,
        view=AccountPositions(
            OPEN, {C105: account_position(C105, Decimal(1)), C110: account_position(C110, Decimal(-1))}
        ),
        closes={name: PreviousClose(name, Decimal(3), THURSDAY) for name in (C105, C110)},
        later=(execution(C110, -1, "3", at=OPEN),),
    )

    rows = cells(show(SPREAD, account=account))

    sums = [rows[name]["Today $"] for name in ("AAPL", "105/110 C vertical · 18 Dec 26", "Book · 2 legs")]
    assert len({text for text, _, _ in sums}) == 1
    assert all(text.startswith("≈ ") and tone == "warning" for text, tone, _ in sums)


def test_the_structure_and_the_csv_say_in_how_many_legs_a_quantity_is_in_doubt(show: Show):
    apart = beside_account(show, {C105: 1, C110: -2}, SPREAD)
    row = next(row for name, row in cells(apart).items() if "vertical" in name)
    written = csv.DictReader(tables_as_csv(apart).splitlines())

    for column in ("Delta", "P&L $", "Natural $", "Max loss $", "Max profit $"):
        assert (row[column][0][:2], row[column][1]) == ("≈ ", "warning"), column
    assert [line["legs_in_doubt"] for line in written if line["section"] == "structure"] == ["1"]


@pytest.mark.parametrize(
    ("at", "moving"),
    [
        ("2026-11-19 12:00", {("AAPL", True), ("SPY", True), ("AAPL", False)}),
        (
            "2026-11-19 16:05",
            {("SPY", True)},
        ),  # options on some underlyings are traded for a quarter of an hour more
        ("2026-11-19 16:20", set()),
    ],
)
def test_whether_a_price_should_be_moving_is_said_of_each_underlying(at: str, moving: set[tuple[str, bool]]):
    screen = screen_of(partial(scenes.live, as_of=new_york(at)))
    ages = RiskAges(screen)
    asked = [("AAPL", True), ("SPY", True), ("AAPL", False)]

    for _ in range(2):
        assert {one for one in asked if ages.is_moving(one[0], is_option=one[1])} == moving
