"""What the page says of today: the figure, its parts and its base, or in words why there is none."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from options_helper.data.portfolio_file import open_portfolio_file
from options_helper.live.screen import Preferences, ViewOptions, build_screen
from options_helper.live.session import LiveSession, RunSettings
from options_helper.model.account import AccountState, RestPhase, RestTask
from options_helper.model.events import RestQuote
from options_helper.model.portfolio import load_portfolio
from options_helper.model.problems import Problem
from options_helper.settings import Settings
from tests.kit.builders import nanoseconds
from tests.portal import scenes
from tests.portal.conftest import board, choose, html, number, tile, warned
from tests.portal.scenes import OPEN, SAMPLE, account_with, execution, known_account, with_account

AAPL_CALL = "AAPL270115C00275000"
SOLD_OUT = "AAPL261218C00300000"
MORNING = OPEN - timedelta(minutes=50)


def dollars(text: str) -> list[float]:
    shown = re.sub("<[^>]+>", " ", text)  # without what a pointer says once more
    return [float(sign.replace("−", "-") + amount.replace(",", "")) for sign, amount in AMOUNT.findall(shown)]


AMOUNT = re.compile(r"([+−]?)\$([\d,]+\.\d\d)")


def test_today_is_told_with_its_parts_and_the_close_it_is_measured_from(portal):
    tab = portal.show(with_account())
    words = tile(tab, "P&L today")
    total, realized, unrealized = dollars(words)

    assert total == pytest.approx(realized + unrealized)
    assert realized == 0
    assert "PARTIAL" not in words
    assert "Today: against the close of 19 Nov 26." in html(tab)
    today = board(tab)["Today $"]
    groups = [name for name in today.index if name in ("AAPL", "BRK-B", "MSFT", "NVDA", "SPY")]
    assert sum(number(today[name]) for name in groups) == pytest.approx(total, abs=3)
    assert number(today["Book · 15 legs"]) == pytest.approx(total, abs=0.5)


def test_what_was_sold_today_is_realized_and_a_position_that_is_gone_is_named(portal):
    bought = execution(SOLD_OUT, 2, "1.00", at=MORNING)
    sold = execution(SOLD_OUT, -2, "1.10", at=MORNING + timedelta(minutes=5))
    tab = portal.show(with_account(bought, sold))

    assert "realized +$20.00" in tile(tab, "P&L today")
    assert "Closed today: AAPL 18 Dec 26 300 C." in html(tab)
    # In a row of its own, so that the column adds up to its last row.
    assert board(tab)["Today $"]["Closed today · AAPL 18 Dec 26 300 C"] == "+20"


def test_trades_that_the_file_lacks_are_named_at_the_figure_they_are_not_in(portal):
    bought = execution(AAPL_CALL, 1, "9.15", at=MORNING)
    words = tile(portal.show(with_account(bought)), "P&L today")
    assert "FILE BEHIND in 1 contract" in words
    assert "oh-caveat" in words

    portal.session.stop()
    also = execution("MSFT261218P00500000", 1, "4.00", at=MORNING)
    tab = portal.show(with_account(bought, also, without_close=["SPY261120C00681000"]))
    words = tile(tab, "P&L today")
    assert re.findall(r"oh-caveat\">([^<]+)<", words) == [
        "PARTIAL: 9 of 10 positions",
        "FILE BEHIND in 2 contracts",
        "positions: 2 with a quantity in doubt",
    ]
    assert re.findall(r"oh-figure[^>]*><span[^>]*>≈ ", words)


def test_a_file_that_is_up_to_date_lacks_no_trades(portal):
    assert "FILE BEHIND" not in html(portal.show(with_account()))


def test_a_line_without_a_close_makes_today_partial_and_says_which(portal):
    tab = portal.show(with_account(without_close=[AAPL_CALL]))
    row = board(choose(tab, "Today $", "Today %", "Warnings")).loc["275 C · 15 Jan 27"]

    assert "PARTIAL: 9 of 10 positions" in tile(tab, "P&L today")
    assert ">9 of 10</small>" in tile(tab, "P&L today"), "beside the figure, which is another one than before"
    assert "There is no close of 19 Nov 26: AAPL 15 Jan 27 275 C." in html(tab)
    assert list(row[["Today $", "Today %"]]) == ["", ""]
    assert board(tab)["Today $"]["AAPL"].endswith(" · 1 of 2"), "a sum that lacks a part says so"
    assert board(tab)["Today $"]["Book · 15 legs"].endswith(" · 9 of 10")
    assert "no previous close" in row["Warnings"]


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        (account_with(RestTask.FILLS, RestPhase.REQUESTING), "Today's fills have not been read yet."),
        (
            account_with(RestTask.FILLS, RestPhase.FAILED, problems=(Problem("No route."),)),
            "Today: n/a. Today's fills could not be read; the reason is above.",
        ),
        (
            account_with(RestTask.FILLS, RestPhase.REQUESTING, problems=(Problem("No route."),)),
            "Today's fills are asked for again; the reason is above.",
        ),
        (AccountState(), "Today's fills were not asked for."),
    ],
    ids=["asking", "failed", "again", "off"],
)
def test_while_the_account_is_not_known_today_is_no_figure_and_the_reason_is_there(portal, account, reason):
    tab = portal.show(lambda: scenes.live(account=account))
    words = tile(tab, "P&L today")

    assert "—" in words
    assert "$" not in words
    assert reason in html(tab)
    rows = board(choose(tab, "Today $", "Today %", "Warnings"))
    assert set(rows["Today $"]) | set(rows["Today %"]) == {""}
    # The total has said it; ten rows need not repeat it.
    assert not any("trades unknown" in words for words in rows["Warnings"])


def test_before_start_nothing_is_said_of_today(portal):
    tab = portal.open()

    assert "—" in tile(tab, "P&L today")
    assert "known after Start" in html(tab)


def test_a_close_older_than_the_last_session_s_is_no_base(portal):
    tab = portal.show(with_account(closes_of=date(2026, 11, 17)))

    assert "against the close" not in html(tab)
    assert "There is no close of 19 Nov 26" in html(tab)


def test_what_was_opened_today_needs_no_close_and_names_none(portal):
    opened = execution(AAPL_CALL, 3, "6.50", at=MORNING)
    account = known_account(None, opened, closes_of=date(2026, 11, 17))
    assert account.view is not None
    held = {**account.view.positions, AAPL_CALL: scenes.account_position(AAPL_CALL, Decimal(3))}
    account = replace(account, view=replace(account.view, positions=held))
    tab = portal.show(lambda: scenes.live(account=account))

    assert "PARTIAL: 1 of 10 positions" in tile(tab, "P&L today")
    assert "Today: nothing of it was held overnight." in html(tab)


def test_a_structure_made_today_what_its_legs_did():
    session = LiveSession(build_manager=scenes.manager_for(with_account()), housekeeping_seconds=3_600)
    book = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])
    session.start(book, RunSettings(), Settings())
    screen = build_screen(session, book, ViewOptions(Preferences(), ZoneInfo("America/New_York")), now=OPEN)
    session.stop()

    of_structure = screen.structures["day_pnl"][0]
    of_legs = [
        leg["day_pnl"]
        for leg in screen.legs.rows(("position_id", "day_pnl"))
        if leg["position_id"] == screen.structures["id"][0]
    ]
    assert len(of_legs) == 2
    assert of_structure == pytest.approx(sum(of_legs))


def from_rest(symbol, *, minutes):
    moment = nanoseconds(OPEN - timedelta(minutes=minutes))
    return RestQuote(symbol=symbol, timestamp=moment, received_ns=moment, bid_price=3.0, ask_price=3.1)


def test_a_price_that_was_asked_for_says_so_with_its_age(portal):
    events = [
        from_rest(event.symbol, minutes=12) if event.symbol in (AAPL_CALL, "AAPL") else event
        for event in scenes.prices(load_portfolio(SAMPLE), as_of=OPEN)
        if not (event.symbol == "AAPL" and hasattr(event, "price"))
    ]
    tab = portal.show(lambda: scenes.live(events=events))
    assert board(tab)["Mark"]["275 C · 15 Jan 27"] == "3.05 · REST · 12 min"
    assert board(tab)["Mark"]["AAPL"] == "3.05 · 12 min"
    rows = board(choose(tab, "Mark from", "Spot from"))

    assert rows["Mark from"]["275 C · 15 Jan 27"] == "mid · REST · 12 min"
    assert rows["Mark from"]["500 P · 18 Dec 26"].startswith("mid · ")
    assert "REST" not in rows["Mark from"]["500 P · 18 Dec 26"]
    assert rows["Spot from"]["275 C · 15 Jan 27"] == "REST · 12 min"
    assert " by REST" in tile(tab, "Unrealized P&L")


def test_a_structure_says_how_many_of_its_legs_were_asked_for_and_how_old_the_oldest_is(portal):
    book = load_portfolio(SAMPLE)
    first = book.structures[0].instruments[0].live_symbol
    events = [
        from_rest(event.symbol, minutes=12) if event.symbol == first else event
        for event in scenes.prices(book, as_of=OPEN)
        if not (event.symbol == first and hasattr(event, "price"))
    ]
    tab = portal.show(lambda: scenes.live(events=events))
    choose(tab, "Mark", "Mark from")
    first_name, second_name = "270/280 C vertical · 18 Dec 26", "175/185 P vertical · 15 Jan 27"
    rows = board(tab)

    assert rows["Mark from"][first_name] == "2 mid · 1 REST · 12 min"
    assert rows["Mark from"][second_name] == "2 mid · 1.4 s"
    assert " · " not in rows["Mark"][second_name]

    without = [event for event in events if event.symbol != first]
    portal.scene = lambda: scenes.live(events=without)
    tab.run()
    assert board(tab)["Mark from"][first_name] == "1 mid"


def test_before_start_no_structure_has_marks_from_anywhere(portal):
    assert set(board(choose(portal.open(), "Mark", "Mark from")).stack()) == {""}


def test_hidden_amounts_hide_today_too(portal):
    tab = portal.show(with_account())
    tab.toggle(key="hide").set_value(True).run()

    assert "$" not in html(tab)
    rows = board(choose(tab, "Today $", "Today %"))
    assert "Today $" not in rows.columns
    assert rows["Today %"]["275 C · 15 Jan 27"].endswith(" %")


def test_what_the_account_holds_and_the_file_lacks_is_said_at_every_figure(portal):
    """Two positions of the account are not in the file, and neither was traded today."""
    account = known_account()
    assert account.view is not None
    held = {
        **account.view.positions,
        "IBM": scenes.account_position("IBM", Decimal(50)),
        SOLD_OUT: scenes.account_position(SOLD_OUT, Decimal(-1)),
    }
    account = replace(account, view=replace(account.view, positions=held, cash=Decimal(1000)))
    tab = portal.show(lambda: scenes.live(account=account))
    said = "FILE ONLY: 2 positions of the account are missing"

    for name in (
        "Unrealized P&L",
        "P&L today",
        "Liquidation value",
        "Delta, SPY-weighted",
        "Theta",
        "Vega",
        "Maximum loss",
    ):
        assert said in tile(tab, name).replace("&amp;", "&"), name
    assert "The account holds what the file lacks: IBM shares, AAPL 18 Dec 26 300 C " in warned(tab)
    assert "the account has $1,000.00" in tile(tab, "Liquidation value")
    assert "2 lines of the account that the file lacks" in html(tab)
