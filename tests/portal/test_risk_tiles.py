"""The tiles of the risk: what a figure covers, what is missing in it, how old it is, and what hides."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apps.streamlit.components.live_risk_tiles import risk_tiles
from apps.streamlit.components.live_tile import Tile
from apps.streamlit.components.live_totals import liquidation_tile
from options_helper.live.screen import ScreenModel
from options_helper.model.account import AccountPositions
from options_helper.model.text import HIDDEN, without_quantities
from tests.portal import scenes
from tests.portal.risk_books import DEEP, LONG, OTHER, SOLD, SPREAD, Show, showing
from tests.portal.scenes import OPEN, account_position, known_account
from tests.portal.test_board import screen_of

C105, C110 = "AAPL261218C00105000", "AAPL261218C00110000"
BETAS = "[betas]\nAAPL = 1.5\n"


@pytest.fixture(autouse=True)
def own_betas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user says one beta, and nothing is known of any other."""
    betas = tmp_path / "betas.toml"
    betas.write_text(BETAS, encoding="utf-8")
    monkeypatch.setenv("OH_RISK_BETAS", str(betas))


@pytest.fixture
def show(tmp_path: Path) -> Show:
    return showing(tmp_path)


def tiles(screen: ScreenModel) -> dict[str, Tile]:
    return {tile.name.partition(",")[0]: tile for tile in risk_tiles(screen)}


def dollars(words: str) -> float:
    return float(words.replace("−", "-").replace("$", "").replace(",", ""))


def test_the_delta_is_in_shares_of_the_index_and_in_dollars_for_a_percent(show: Show):
    screen = show(LONG)
    delta = screen.risk.sums.delta.amount or 0.0
    tile = tiles(screen)["Delta"]

    assert tile.figure == f"+{delta * 100 * 1.5 / 500:.0f}"
    assert dollars(tile.beside.removesuffix(" / 1 %")) == pytest.approx(delta * 1.5, abs=0.51)
    assert (tile.caveat, tile.note.splitlines()[0]) == ("", "delta 1 of 1 leg")


def test_what_has_no_beta_is_named_and_not_counted(show: Show):
    alone, both = (tiles(show(*held))["Delta"] for held in ((LONG,), (LONG, OTHER)))

    assert (both.figure, both.beside) == (alone.figure, alone.beside)
    assert both.caveat.splitlines() == ["PARTIAL: 1 of 2 lines", "MSFT without a beta"]


def test_without_a_price_of_the_index_there_are_only_dollars(show: Show):
    tile = tiles(show(LONG, index=None))["Delta"]

    assert tile.figure.startswith("+$")
    assert tile.beside == "/ 1 %"
    assert "SPY has no price" in tile.caveat


def test_a_bound_is_counted_apart(show: Show):
    tile = tiles(show(LONG, DEEP, half=0.2))["Delta"]

    said = next(one for one in tile.caveat.splitlines() if one.startswith("1 leg at a bound: between "))
    assert tile.figure.startswith("≈ ")
    # The figure is the end at which the bound is counted in full.
    assert tile.figure.removeprefix("≈ ") in said.removeprefix("1 leg at a bound: between ").split(" and ")
    assert len(set(said.removeprefix("1 leg at a bound: between ").split(" and "))) == 2


def test_theta_and_vega_of_which_nothing_is_known_say_why_and_before_a_start_that_it_is_too_early(show: Show):
    screen = show(LONG, SOLD, without=(105, 110))

    for name in ("Theta", "Vega"):
        assert tiles(screen)[name].figure == "—"
        assert tiles(screen)[name].note.startswith("2 legs: ")
        assert "yet" not in tiles(screen)[name].note
        assert tiles(replace(screen, priced=False))[name].note == "nothing to count yet"


def test_theta_and_vega_say_of_how_many_legs_they_are_and_which_are_missing(show: Show):
    whole, partial = tiles(show(LONG, SOLD)), tiles(show(LONG, SOLD, without=(110,)))

    for name in ("Theta", "Vega"):
        assert (whole[name].caveat, whole[name].note.splitlines()[0]) == ("", "2 of 2 legs")
        assert partial[name].caveat.splitlines() == [
            "PARTIAL: 1 of 2 legs",
            "missing: AAPL 18 Dec 26 110 C",
        ]
        assert partial[name].figure == tiles(show(LONG))[name].figure


def test_what_rests_on_an_old_price_says_how_old(show: Show):
    for tile in (tiles(show(LONG, spot_age=41.0))[name] for name in ("Delta", "Theta", "Vega")):
        assert "1 of 1 on prices up to 41 s old" in tile.caveat


def test_the_time_value_that_is_left_today_is_no_theta_of_a_day():
    screen = screen_of(scenes.live)
    theta = tiles(screen)["Theta"]
    (left,) = [line.theta or 0.0 for line in screen.risk.lines if line.is_last_day]

    # Beside the figure, since of the line below a phone shows the beginning and has no pointer.
    assert theta.beside == f"with {('+' if left > 0 else '−')}${abs(left):,.0f} left"
    assert "time value left in 1 leg, the rest a day" in theta.note
    assert "all expiries in parallel" in tiles(screen)["Vega"].note


def test_the_worst_is_a_number_or_undefined_in_so_many_positions(show: Show):
    spread, sold = tiles(show(SPREAD))["Maximum loss"], tiles(show(SPREAD, SOLD))["Maximum loss"]

    assert (spread.figure, spread.tone) == ("−$200", "")
    assert (sold.figure, sold.beside, sold.tone) == ("undefined", "", "error")
    assert sold.caveat.startswith(
        f"in 1 position: {SOLD['id']}: calls or shares sold short that nothing covers"
    )


INSURED = [
    {"id": "shares", "symbol": "AAPL", "shares": 100, "cost_basis": 105.0},
    {**LONG, "id": "insurance", "contracts": 1, "option_type": "put", "strike": 105.0, "cost_basis": 1.0},
]


def test_a_worst_that_shares_can_make_worse_later_says_until_when_it_holds(show: Show):
    later = {**LONG, "id": "later", "strike": 110.0, "expiry": "2027-01-15", "cost_basis": 2.0}

    insured, longer = (tiles(show(*held))["Maximum loss"] for held in (INSURED, [*INSURED, later]))
    assert (insured.figure, insured.beside) == ("−$100", "until 18 Dec 26")
    # The put ends without worth, and the shares fall before the call does.
    assert (longer.figure, longer.beside) == ("−$11,000", "")


def test_every_position_whose_loss_is_undefined_is_named(show: Show):
    names = [f"sold-{number}" for number in range(4)]

    caveat = tiles(show(*({**SOLD, "id": name} for name in names)))["Maximum loss"].caveat

    assert caveat.startswith("in 4 positions: sold-0, sold-1, sold-2 and 1 more: calls or shares")
    assert f"all of these: {', '.join(names)}" in caveat.splitlines()


def beside_account(show: Show, quantities: dict[str, int], *held: dict[str, Any], **how: Any) -> ScreenModel:
    """The screen of what is held where the account holds these quantities of contracts."""
    positions = {symbol: account_position(symbol, Decimal(count)) for symbol, count in quantities.items()}
    view = AccountPositions(OPEN, positions)
    return show(*held, account=replace(known_account(), view=view), **how)


def test_a_structure_of_which_the_account_holds_less_is_in_doubt_in_every_tile(show: Show):
    same = beside_account(show, {C105: 1, C110: -1}, SPREAD)
    apart = beside_account(show, {C110: -1}, SPREAD)

    for name, tile in tiles(apart).items():
        of_loss = "loss: " if name == "Maximum loss" else ""
        assert f"{of_loss}1 line with a quantity in doubt" in tile.caveat.splitlines(), name
        # What is undefined is no figure that could be about right.
        assert tile.figure.startswith("≈ ") is (name != "Maximum loss"), name
    more = tiles(beside_account(show, {C105: 2, C110: -1}, SPREAD))["Maximum loss"]
    assert more.figure == "≈ −$200"
    assert not any("in doubt" in tile.caveat or "≈" in tile.figure for tile in tiles(same).values())


def test_the_vega_of_each_expiry_says_where_a_quantity_in_it_is_in_doubt(show: Show):
    later = {**LONG, "id": "later", "expiry": "2027-01-15"}
    tile = tiles(beside_account(show, {C105: 1, "AAPL270115C00105000": 2}, LONG, later))["Vega"]
    of_days = [line for line in tile.note.splitlines() if line.startswith(("18 Dec 26", "15 Jan 27"))]

    assert [line.endswith("(quantity in doubt)") for line in of_days] == [True, False]


def test_a_loss_that_is_undefined_by_the_account_is_no_number_whatever_the_file_says(show: Show):
    tile = tiles(beside_account(show, {C110: -1}, SPREAD))["Maximum loss"]

    assert (tile.figure, tile.tone) == ("undefined", "error")
    # The first line alone is seen without a pointer, and a tile has room for some twenty letters.
    assert tile.caveat.splitlines()[:3] == [
        "by the account",
        "−$200 by the file",
        "AAPL: calls on 100 shares are sold until 18 Dec 26, and nothing that is held as long covers them",
    ]


ENDED = {**SOLD, "id": "ended", "expiry": "2026-11-13"}
SETTLED = {"id": "settled", "symbol": "SPX", "option_type": "put", "expiry": "2026-11-20", "strike": 6_000}


def test_what_has_ended_is_named_beside_the_greatest_loss_and_the_delta_that_lack_it(show: Show):
    """A short that is assigned or settled is owed still, and a number alone would say that nothing else can be lost."""
    without = "1 leg that has ended is not in it"
    found = tiles(show(SPREAD, ENDED))
    settled = tiles(show(SPREAD, {**SETTLED, "contracts": -1, "cost_basis": 3.0}, without=(6_000,)))

    assert (found["Maximum loss"].figure, found["Maximum loss"].caveat.splitlines()[0]) == ("−$200", without)
    assert without in found["Delta"].caveat.splitlines()
    # What is settled in cash brings no shares.
    assert without in settled["Maximum loss"].caveat.splitlines()
    assert without not in settled["Delta"].caveat
    assert "ended" not in tiles(show(SPREAD))["Maximum loss"].caveat


def test_a_book_of_which_all_has_ended_has_no_greatest_loss_of_nothing(show: Show):
    tile = tiles(show(ENDED, {**ENDED, "id": "second", "strike": 105}))["Maximum loss"]

    assert tile.figure == "not known"
    assert "it has ended, and what it settled at is not known here" in tile.caveat
    assert "2 legs that have ended are not in it" in tile.caveat


def test_each_count_in_the_tile_of_the_greatest_loss_says_of_what_it_is(show: Show):
    """Two numbers that stand below each other are of two things: lines of the loss, positions of the premium."""
    tile = tiles(beside_account(show, {C105: 1}, LONG, {**LONG, "id": "unpaid", "cost_basis": None}))[
        "Maximum loss"
    ]

    assert {
        "loss: 2 lines with a quantity in doubt",
        "long premium: 1 of 2 positions known",
        "long premium: 1 with a quantity in doubt",
    } <= set(tile.caveat.splitlines())


def test_what_wins_at_every_price_has_no_maximum_loss(show: Show):
    tile = tiles(show({**SPREAD, "net_debit": -50}))["Maximum loss"]

    assert (tile.figure, tile.beside, tile.tone) == ("none", "at least +$50", "")


def test_a_book_without_options_has_no_theta_and_no_vega(show: Show):
    found = tiles(show({"id": "shares", "symbol": "AAPL", "shares": 10, "cost_basis": 90.0}))

    assert [found[name].figure for name in ("Theta", "Vega")] == ["—", "—"]
    assert found["Theta"].note == "no option is held"
    assert found["Maximum loss"].figure == "−$900"


def test_hidden_amounts_leave_no_figure_of_the_book(show: Show):
    screen = show(LONG, SOLD, OTHER, hide_amounts=True)

    for tile in (*risk_tiles(screen), liquidation_tile(screen)):
        assert "$" not in f"{tile.figure}{tile.beside}{tile.note}{tile.caveat}"
        if tile.figure not in ("undefined", "—"):
            assert tile.figure == HIDDEN


def test_how_much_is_sold_and_not_covered_by_the_account_hides_with_the_amounts(show: Show):
    """It was said of an account that holds less than the file, in words, which nothing had hidden."""
    shown, hidden = (
        tiles(beside_account(show, {C110: -3}, SPREAD, hide_amounts=hides))["Maximum loss"].caveat
        for hides in (False, True)
    )

    said = "AAPL: calls on {} shares are sold until 18 Dec 26, and nothing that is held as long covers them"
    assert said.format(300) in shown.splitlines()
    assert said.format(HIDDEN) in hidden.splitlines()
    assert "300" not in hidden


@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        ("1,250.5 shares are sold short", "••••• shares are sold short"),
        ("calls of $200 a point are sold until 18 Dec 26", "calls of ••••• a point are sold until 18 Dec 26"),
        ("calls on 100 shares and calls on 200 shares", "calls on ••••• shares and calls on ••••• shares"),
        ("no price of AAPL 18 Dec 26 100 C", "no price of AAPL 18 Dec 26 100 C"),
    ],
)
def test_a_quantity_hides_whatever_it_is_of_and_a_contract_s_name_stays(said: str, hidden: str):
    assert without_quantities(said) == hidden


def test_what_the_account_lets_be_bought_stands_beside_what_the_book_would_fetch():
    account = known_account()
    assert account.view is not None
    view = replace(account.view, options_buying_power=Decimal(18_250))
    screen = screen_of(lambda: scenes.live(account=replace(account, view=view)))

    assert liquidation_tile(screen).note.startswith("buying power $18,250.00 at ")
