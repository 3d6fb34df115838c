"""Several accounts on one page: one, several or all, each figure with whose it is, and no sum that hides one."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType

import pytest
from streamlit.testing.v1 import AppTest

from apps.streamlit.components.live_csv import tables_as_csv
from options_helper.live.screen import Preferences, ViewOptions, build_screen
from options_helper.model.account import (
    AccountPositions,
    AccountState,
    RestPhase,
    RestReport,
    RestTask,
)
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.problems import Problem
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import fills_of
from tests.portal import scenes
from tests.portal.conftest import Portal, board, html, pieces, press, table, tile, warned
from tests.portal.scenes import OPEN, account_position
from tests.portal.test_accounts import IRA, MAIN, configure

CALL = "AAPL270115C00275000"


def scene_of(account: str, held: dict[str, int] | None, fill: int | None = None) -> LiveSnapshot:
    """The market of the sample, and an account with these positions, at a cost of 5 a share; None: it is not read."""
    shown = scenes.live()
    own = fills_of(account)
    streams = {name: one for name, one in shown.streams.items() if not name.kind.carries_orders}
    reports = {task: RestReport(task, RestPhase.DONE, finished_at=OPEN) for task in RestTask}
    view = None
    if held is None:
        reports[RestTask.POSITIONS] = RestReport(
            RestTask.POSITIONS, RestPhase.FAILED, problems=(Problem("Alpaca refused the key."),)
        )
    else:
        view = AccountPositions(
            OPEN,
            {
                symbol: replace(
                    account_position(symbol, Decimal(count)),
                    average_price=Decimal(5),
                    cost_basis=Decimal(5 * count * (100 if len(symbol) > 10 else 1)),
                )
                for symbol, count in held.items()
            },
            cash=Decimal(1_000),
            options_buying_power=Decimal(len(account) * 100),
        )
    return replace(
        shown,
        fills=() if fill is None else (scenes.fill(fill),),
        streams=MappingProxyType({**streams, own: StreamHealth(own, Phase.LIVE)}),
        account=AccountState(reports=MappingProxyType(reports), view=view, executions_day=OPEN.date()),
    )


@pytest.fixture
def both(portal: Portal) -> Portal:
    """`main` holds 100 shares of AAPL and two calls, `ira` has sold one of them."""
    configure(portal.folder, MAIN + IRA)
    portal.scenes = {
        "main": lambda: scene_of("main", {"AAPL": 100, CALL: 2}, fill=1),
        "ira": lambda: scene_of("ira", {CALL: -1}, fill=2),
    }
    return portal


def start_with_both(portal: Portal, **address: str) -> AppTest:
    tab = portal.open(book="account", **address)
    tab.multiselect(key="further_accounts").set_value(["ira"]).run()
    press(tab, "start")
    portal.session.keep()
    tab.run()
    assert not tab.exception
    return tab


def test_an_account_that_is_picked_is_not_told_back_to_who_picks_the_next_one(both: Portal):
    """A browser that is told a choice takes it for newer than what was picked while that was on its way."""
    tab = both.open(book="account")
    tab.multiselect(key="further_accounts").set_value(["ira"]).run()

    box = tab.multiselect(key="further_accounts")
    assert box.value == ["ira"]
    assert not box.proto.set_value

    # What is offered no more is taken out.
    tab.selectbox(key="account_name").set_value("ira").run()
    assert tab.multiselect(key="further_accounts").value == []
    assert not tab.exception


def of_rows(tab: AppTest, column: str) -> list[tuple[str, str]]:
    shown = board(tab)
    return [(name, said) for name, said in zip(shown.index, shown[column], strict=True)]


def test_all_of_them_stand_in_one_table_with_a_column_that_says_whose(both: Portal):
    tab = start_with_both(both)

    assert len(both.managers) == 2
    of_account = of_rows(tab, "Account")
    assert ("275 C · 15 Jan 27 · main", "main") in of_account
    assert ("275 C · 15 Jan 27 · ira", "ira") in of_account, "the same contract is two rows"
    assert ("AAPL", "2 accounts") in of_account
    assert [said for name, said in of_rows(tab, "Qty") if name.startswith("275 C")] == ["+2", "−1"]
    assert "all 2 accounts: main + ira" in html(tab)
    assert not any("Covered call" in name for name, _ in of_account), "no account covers another"


def test_one_is_shown_alone(both: Portal):
    tab = start_with_both(both)
    tab.pills(key="accounts").set_value(["ira"]).run()

    assert "Account" not in board(tab).columns
    assert [said for name, said in of_rows(tab, "Qty") if name.startswith("275 C")] == ["−1"]
    assert "account ira" in html(tab)
    assert "1 of 2 accounts" in html(tab)


def test_a_link_says_which_accounts_are_shown(both: Portal):
    start_with_both(both)

    tab = both.open(accounts="ira")

    assert "1 of 2 accounts" in html(tab)
    assert tab.pills(key="accounts").value == ["ira"]


def test_rows_are_grouped_by_account_with_each_ones_sums(both: Portal):
    tab = start_with_both(both)
    tab.segmented_control(key="group").set_value("account").run()

    groups = of_rows(tab, "P&L $")
    names = [name for name, _ in groups]
    assert names.index("main") < names.index("ira")
    assert "AAPL 275 C · 15 Jan 27" in names, "the group says whose it is"
    alone = [said for name, said in groups if name in ("main", "ira")]
    (last,) = [said for name, said in groups if name.startswith("Book")]
    assert sum(_number(said) for said in alone) == pytest.approx(_number(last), abs=1.5)


def _number(said: str) -> float:
    return float(said.replace("−", "-").replace(",", "").replace("≈ ", ""))


def test_a_short_call_of_one_account_stays_uncovered_beside_the_others_shares(both: Portal):
    assert "undefined" in tile(start_with_both(both), "Maximum loss")


def test_in_one_account_the_same_shares_and_call_are_covered(both: Portal):
    both.scenes["main"] = lambda: scene_of("main", {"AAPL": 100, CALL: -1})
    tab = start_with_both(both)
    tab.pills(key="accounts").set_value(["main"]).run()

    assert "undefined" not in tile(tab, "Maximum loss")
    assert any("overed call" in name for name in board(tab).index)


def test_an_account_that_is_refused_costs_the_other_nothing_and_no_sum_looks_whole(both: Portal):
    both.scenes["ira"] = lambda: scene_of("ira", None)

    tab = start_with_both(both)

    assert "Alpaca refused the key." in warned(tab)
    assert "without what the account ira holds" in html(tab)
    assert "PARTIAL: 2 of 3 positions" in tile(tab, "Unrealized P&L")
    assert "WITHOUT ira" in tile(tab, "Theta")
    assert "not known" in tile(tab, "Maximum loss")
    assert any(name.startswith("Book") and name.endswith("without ira") for name in board(tab).index)
    assert [said for name, said in of_rows(tab, "Qty") if name.startswith("275 C")] == ["+2"]


def test_nothing_is_shown_as_none_while_no_account_is_known(both: Portal):
    for account in ("main", "ira"):
        both.scenes[account] = _unread(account)

    tab = start_with_both(both)

    assert len(board_rows(tab)) == 0
    assert "main: The account's positions could not be read." in html(tab)
    assert "ira: The account's positions could not be read." in html(tab)


def _unread(account: str) -> Callable[[], LiveSnapshot]:
    return lambda: scene_of(account, None)


def board_rows(tab: AppTest) -> list[str]:
    return [] if "data-tile" not in html(tab) else list(board(tab).index)


def test_the_list_of_fills_says_whose_each_is(both: Portal):
    tab = start_with_both(both)

    fills = table(tab, "Side, qty")

    assert sorted(fills["Account"]) == ["ira", "main"]


def test_buying_power_is_no_sum(both: Portal):
    said = tile(start_with_both(both), "Liquidation value")

    assert "main: buying power $400.00" in said
    assert "ira: buying power $300.00" in said
    assert "700" not in said


def test_cash_and_what_the_file_lacks_are_said_of_the_account_whose_they_are(both: Portal):
    """The file of `main` names 50,000, the accounts have 1,000 each: of no account is 51,000 or 2,000 said."""
    tab = both.open()
    tab.multiselect(key="further_accounts").set_value(["ira"]).run()
    press(tab, "start")
    both.session.keep()
    tab.run()

    said = tile(tab, "Liquidation value")
    assert "each account's cash: main (file; the account has $1,000.00) $" in said
    assert "ira (account) $1,000.00, at natural" in said
    assert "$2,000.00" not in said
    assert "FILE ONLY: 1 position of the account main is missing" in said
    assert "1 line of the account main that the file lacks" in html(tab)


def test_file_and_account_are_compared_account_by_account(both: Portal):
    """The file is of the account with the market data; the other one's positions are its own."""
    tab = both.open()
    tab.multiselect(key="further_accounts").set_value(["ira"]).run()
    press(tab, "start")
    both.session.keep()
    tab.run()

    said = " ".join(element.value for element in tab.caption)
    assert "The portfolio is the account's, so there is no file to compare it with." in said
    assert len([one for one in tab.dataframe if "File qty" in one.value.columns]) == 1
    assert "(main)" in pieces(tab, "oh-items")


def test_the_csv_has_the_account_and_whose_costs_each_row_has(both: Portal):
    tab = both.open()
    tab.multiselect(key="further_accounts").set_value(["ira"]).run()
    press(tab, "start")
    both.session.keep()
    run = both.session.run
    assert run is not None
    options = ViewOptions(Preferences(), NEW_YORK)

    screen = build_screen(both.session, run.portfolio_file, options, now=OPEN)
    rows = list(csv.DictReader(io.StringIO(tables_as_csv(screen))))

    assert {(row["account"], row["cost_source"]) for row in rows} == {("main", "file"), ("ira", "account")}
    alone = build_screen(both.session, run.portfolio_file, replace(options, accounts=("ira",)), now=OPEN)
    assert "account" not in tables_as_csv(alone).splitlines()[0].split(",")


def test_who_has_one_account_sees_nothing_of_this(portal: Portal):
    tab = portal.open()
    press(tab, "start")

    assert "accounts" not in [one.key for one in tab.pills]
    assert [one.key for one in tab.multiselect] == ["columns"]
    assert "Account" not in board(tab).columns
    assert "account" not in tab.segmented_control(key="group").options


def test_each_tab_can_be_opened_with_several_accounts(both: Portal):
    tab = start_with_both(both)

    for name in ("Payoff", "What changed", "Fills", "Alerts", "File and account", "News"):
        tab.session_state["tabs"] = name
        tab.run()
        assert not tab.exception, name


def test_a_start_again_without_the_other_account_is_applied_as_any_choice(both: Portal):
    tab = start_with_both(both)

    tab.multiselect(key="further_accounts").set_value([]).run()
    tab.button(key="apply").click().run()

    assert not tab.exception
    assert "Account" not in board(tab).columns
    assert not both.managers[1].is_running()


def test_what_cannot_be_read_of_one_account_is_said_of_that_one(both: Portal):
    """The file is of `main`, whose keys are refused; what `ira` says is no older for it."""

    def refused() -> LiveSnapshot:
        shown = scene_of("main", None, fill=1)
        failed = RestReport(RestTask.FILLS, RestPhase.FAILED, problems=(Problem("Alpaca refused the key."),))
        reports = {**shown.account.reports, RestTask.FILLS: failed}
        return replace(shown, account=replace(shown.account, reports=MappingProxyType(reports)))

    both.scenes["main"] = refused
    tab = both.open()
    tab.multiselect(key="further_accounts").set_value(["ira"]).run()
    press(tab, "start")
    both.session.keep()
    tab.run()

    said = tile(tab, "Liquidation value")
    assert "QUANTITIES of main not compared with the account (it could not be read)" in said
    assert "quantities of main not compared with the account" in html(tab)
    captions = " ".join(element.value for element in tab.caption)
    assert "main: The account's record of the day could not be read" in captions
    assert "ira: Known since midnight in New York" in captions
    assert captions.count("Known since midnight") == 1
