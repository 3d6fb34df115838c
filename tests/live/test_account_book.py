"""The account as the portfolio: after each reading and each fill, and never with half of one."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest

from apps.streamlit.components.live_csv import tables_as_csv
from options_helper.analysis.reconcile.account_book import AccountBook, with_later
from options_helper.data.portfolio_file import PortfolioFile, open_portfolio_file
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.errors import ConfigError
from options_helper.live.account_book import (
    ACCOUNT_FILE,
    AccountBooks,
    PortfolioSource,
    default_source,
)
from options_helper.live.screen import Preferences, ScreenModel, ViewOptions, build_screen
from options_helper.live.session import LiveSession, RunSettings
from options_helper.model.account import (
    AccountPosition,
    AccountPositions,
    AccountState,
    Execution,
    RestPhase,
    RestReport,
    RestTask,
)
from options_helper.model.problems import Problem
from options_helper.model.snapshot import LiveSnapshot
from options_helper.settings import Settings
from tests.kit.builders import AAPL_CALL, is_contract, snapshot_with
from tests.portal.scenes import OPEN, SAMPLE, execution
from tests.portal.scenes import live as live_scene

HIGHER = "AAPL261218C00190000"
VERTICAL = "aapl-18dec26-vertical-180c-190c"
FROM_ACCOUNT = RunSettings(source=PortfolioSource.ACCOUNT)
UTC_VIEW = ViewOptions(Preferences(), ZoneInfo("UTC"))


def held(symbol: str, quantity: int | str, price: str | None = "2") -> AccountPosition:
    average = None if price is None else Decimal(price)
    return AccountPosition(symbol, Decimal(quantity), is_contract(symbol), average, None, None, None)


def account(*positions: AccountPosition, read_after: float = 0, **facts: object) -> AccountState:
    """All of it was read, so many seconds after the scene's beginning."""
    view = AccountPositions(
        OPEN + timedelta(seconds=read_after), {one.symbol: one for one in positions}, Decimal(10_000)
    )
    reports = MappingProxyType({task: RestReport(task, RestPhase.DONE) for task in RestTask})
    return replace(AccountState(reports, view, executions_day=OPEN.date()), **facts)


def snapshot(state: AccountState) -> LiveSnapshot:
    return replace(snapshot_with(as_of=OPEN), account=state)


def bought(symbol: str, quantity: int, price: str = "3", seconds: float = 0) -> Execution:
    return execution(symbol, quantity, price, at=OPEN + timedelta(seconds=seconds))


class Told:
    """An account's books, and what they make of what is told."""

    def __init__(self) -> None:
        self.books = AccountBooks()

    def __call__(self, state: AccountState) -> AccountBook:
        shown = self.books.settled(lambda: snapshot(state))
        book = self.books.book_in(shown)
        assert book is not None
        return book


def lines(book: AccountBook) -> dict[str, Decimal]:
    return dict(book.portfolio.quantities)


def ids(book: AccountBook) -> list[str]:
    return [entry.id for entry in book.portfolio.positions]


def test_positions_are_a_portfolio_in_structures_at_the_account_s_costs():
    book = Told()(account(held("AAPL", 50), held(AAPL_CALL, 1, "3.5"), held(HIGHER, -1, "1.5")))

    assert ids(book) == ["aapl-shares", VERTICAL]
    assert book.portfolio.structures[0].opening_cost == Decimal("200.0")
    assert book.portfolio.cash == 10_000.0
    assert book.problems == ()


def test_before_the_account_was_read_there_is_no_book():
    books = AccountBooks()
    shown = books.settled(lambda: snapshot(AccountState()))
    assert (books.newest, books.book_in(shown)) == (None, None)


def test_a_fill_is_in_the_book_at_once_at_the_average_that_alpaca_will_say():
    told = Told()
    before = account(held(AAPL_CALL, 1, "2"))
    told(before)
    after = told(replace(before, later=(bought(AAPL_CALL, 1, "4"), bought("SPY", 10, "600"))))

    assert lines(after) == {AAPL_CALL: 2, "SPY": 10}
    assert {one.id: one.cost_basis for one in after.portfolio.singles} | {
        one.id: one.cost_basis for one in after.portfolio.shares
    } == {
        "aapl-18dec26-180c": 3.0,
        "spy-shares": 600.0,
    }
    assert after.portfolio.cash == 10_000 - 400 - 6_000


@pytest.mark.parametrize(
    ("quantity", "traded", "average"),
    [(2, -1, "2"), (2, -3, "3"), (-2, 1, "2"), (-2, -2, "2.5"), (2, 2, "2.5")],
)
def test_a_sale_leaves_the_average_and_a_change_of_sides_begins_a_new_one(quantity, traded, average):
    state = account(held(AAPL_CALL, quantity, "2"), later=(bought(AAPL_CALL, traded, "3"),))
    view = with_later(state).view
    assert view is not None
    assert view.positions[AAPL_CALL].average_price == Decimal(average)


def test_a_price_that_nobody_told_makes_cost_and_cash_unknown():
    assigned = replace(bought("AAPL", 100), price=None)
    book = Told()(account(held("AAPL", 100), later=(assigned,)))
    assert [(one.shares, one.cost_basis) for one in book.portfolio.shares] == [(200.0, None)]
    assert book.portfolio.cash is None


def test_what_is_closed_is_gone():
    told = Told()
    before = account(held(AAPL_CALL, 1), held(HIGHER, -1))
    assert ids(told(before)) == [VERTICAL]
    assert ids(told(replace(before, later=(bought(HIGHER, 1),)))) == ["aapl-18dec26-180c"]
    assert ids(told(replace(before, later=(bought(HIGHER, 1), bought(AAPL_CALL, -1))))) == []


def test_while_a_symbol_is_open_the_book_before_stays_whole():
    """One leg of a structure may be known already, and the other not: that would be half of a fill."""
    told = Told()
    before = told(account(held("SPY", 1)))
    half = account(held("SPY", 1), held(AAPL_CALL, 1), read_after=9, unsettled=frozenset({HIGHER}))

    shown = told.books.settled(lambda: snapshot(half))

    assert told.books.book_in(shown) is before
    assert shown.account.view is before.account.view
    assert shown.account.unsettled == {HIGHER}, "that it is open is still said"
    settled = told(account(held("SPY", 1), held(AAPL_CALL, 1), held(HIGHER, -1), read_after=12))
    assert ids(settled) == [VERTICAL, "spy-shares"]


def test_what_is_open_in_the_first_book_stays_open_as_long_as_that_book():
    """It waits for nothing, and stays while anything is open: what is open in it may count twice until the next."""
    told = Told()
    first = account(held("SPY", 1), held(AAPL_CALL, 1), unsettled=frozenset({AAPL_CALL}))
    book = told(first)
    another = replace(first, unsettled=frozenset({HIGHER}))

    shown = told.books.settled(lambda: snapshot(another))
    assert told.books.book_in(shown) is book
    assert shown.account.unsettled == {AAPL_CALL, HIGHER}

    shown = told.books.settled(lambda: snapshot(replace(first, unsettled=frozenset())))
    assert shown.account.unsettled == frozenset()
    settled = told.books.book_in(shown)
    assert settled is not None
    assert settled.portfolio is book.portfolio


def test_a_reading_that_changed_nothing_leaves_the_portfolio_the_very_same():
    told = Told()
    first, second = told(account(held("SPY", 1))), told(account(held("SPY", 1), read_after=60))
    assert second.portfolio is first.portfolio
    assert second.read_at - first.read_at == timedelta(seconds=60)


def test_a_snapshot_keeps_its_own_book_when_a_newer_one_was_made_meanwhile():
    told = Told()
    state = account(held("SPY", 1))
    older = told.books.settled(lambda: snapshot(state))
    told(replace(state, later=(bought("SPY", 1),)))

    book = told.books.book_in(older)

    assert book is not None
    assert lines(book) == {"SPY": 1}


def test_what_is_executed_counts_once_in_a_snapshot_and_in_its_book():
    state = account(held("SPY", 1), later=(bought("SPY", 1),))
    shown = AccountBooks().settled(lambda: snapshot(state))
    assert (len(shown.account.executions), shown.account.later) == (1, ())


def test_what_no_portfolio_can_hold_is_named():
    state = account(held("SPY", 1))
    assert state.view is not None
    view = replace(state.view, left_out=frozenset({"QQQ"}), foreign=frozenset({"DOGEBTC"}), unnamed=1)
    said = " ".join(Told()(replace(state, view=view)).problems)
    assert "QQQ" in said
    assert "DOGEBTC" in said
    assert "1 row" in said


def test_the_launcher_chooses_the_source():
    assert default_source({}) is PortfolioSource.FILE
    assert default_source({"OH_PORTFOLIO_SOURCE": "account"}) is PortfolioSource.ACCOUNT
    assert default_source({"OH_PORTFOLIO_SOURCE": "nonsense"}) is PortfolioSource.FILE


class Following:
    """A run from the account, whose manager says what a test says."""

    def __init__(self) -> None:
        self.account = AccountState()
        self.configs: list[LiveStreamConfig] = []
        self.session = LiveSession(build_manager=lambda _: self, housekeeping_seconds=3_600, now=lambda: OPEN)

    def start(self, config: LiveStreamConfig) -> None:
        self.configs.append(config)

    def stop(self) -> None:
        """Nothing runs."""

    def snapshot(self) -> LiveSnapshot:
        return replace(live_scene(as_of=OPEN), account=self.account)

    def begin(self, choices: RunSettings = FROM_ACCOUNT) -> None:
        self.session.start(ACCOUNT_FILE, choices, Settings())

    def screen(self, **preferences: object) -> ScreenModel:
        view = ViewOptions(Preferences(**preferences), ZoneInfo("UTC"))
        return build_screen(self.session, ACCOUNT_FILE, view, now=OPEN)

    @property
    def contracts(self) -> list[Sequence[str]]:
        return [config.option_contracts for config in self.configs]


@pytest.fixture
def following():
    following = Following()
    yield following
    following.session.stop()


def texts(screen: ScreenModel) -> str:
    return " ".join(banner.text for banner in screen.banners)


def test_a_run_from_the_account_needs_no_file_and_streams_what_is_held_once_it_is_known(following):
    following.begin()
    assert following.contracts == [()]

    following.account = account(held(AAPL_CALL, 1))
    following.session.keep()
    following.account = account(held(AAPL_CALL, 2), read_after=60)
    following.session.keep()
    following.account = account(held(AAPL_CALL, 2), held(HIGHER, -2), read_after=120)
    following.session.keep()
    following.account = account(held("SPY", 1), read_after=180)
    following.session.keep()

    assert following.contracts == [(), (AAPL_CALL,), (AAPL_CALL, HIGHER), ()], "a quantity is no symbol"
    assert following.session.run.portfolio_file.portfolio.shares[0].shares == 1.0


def test_the_account_is_not_asked_without_the_stream_of_fills(following):
    with pytest.raises(ConfigError, match="choose the stream fills"):
        following.begin(replace(FROM_ACCOUNT, stream_fills=False))
    assert not following.session.running


def test_before_the_first_reading_the_page_waits_and_says_until_when(following):
    assert following.screen().nothing_because.endswith("its positions are asked for after Start.")
    following.begin()

    waiting = replace(
        AccountState(), reports={task: RestReport(task, RestPhase.WAITING) for task in RestTask}
    )
    following.account = waiting
    screen = following.screen()

    assert not screen.loaded
    assert screen.headline.sentence == screen.nothing_because
    assert "should be here by" in screen.nothing_because


def test_a_refused_account_says_why_and_what_else_to_do(following):
    following.begin()
    report = RestReport(
        RestTask.POSITIONS, RestPhase.FAILED, problems=(Problem("Alpaca refused the keys (401)."),)
    )
    following.account = replace(
        AccountState(), reports={**AccountState().reports, RestTask.POSITIONS: report}
    )

    sentence = following.screen().headline.sentence

    assert "Alpaca refused the keys (401)." in sentence
    assert "a portfolio file needs no account" in sentence


def test_a_market_without_an_account_sends_to_the_file(following):
    following.begin()
    assert "Choose a portfolio file" in following.screen().headline.sentence


def test_a_reading_that_fails_later_leaves_the_last_book_with_its_age(following):
    following.begin()
    following.account = account(held(AAPL_CALL, 1), read_after=-90)
    following.session.keep()
    reports = dict(following.account.reports)
    reports[RestTask.POSITIONS] = RestReport(
        RestTask.POSITIONS, RestPhase.FAILED, problems=(Problem("No answer."),)
    )
    following.account = replace(following.account, reports=reports)

    screen = following.screen()

    assert list(screen.positions["live_symbol"]) == [AAPL_CALL]
    assert "90 s ago: since then the account could not be read. No answer." in texts(screen)


def test_an_empty_account_is_no_fault(following):
    following.begin()
    following.account = account()
    screen = following.screen()
    assert screen.loaded
    assert "The account holds nothing." in texts(screen)


def test_file_and_account_are_not_compared_when_they_are_one(following):
    following.begin()
    following.account = account(held(AAPL_CALL, 1), later=(bought(AAPL_CALL, 1),))
    screen = following.screen()

    assert screen.of_account
    assert screen.totals.holdings.differing == 0
    assert screen.totals.day.complete or screen.totals.day_reasons
    assert texts(screen) == ""


def test_what_cannot_be_shown_is_said_at_each_figure_and_nothing_is_said_of_a_file(following):
    following.begin()
    following.account = account(held(AAPL_CALL, 1), held("A NAME OF NO SHARE", 5))
    screen = following.screen()
    said = " ".join(
        (
            texts(screen),
            screen.headline.sentence,
            screen.totals.holdings.caveat,
            *screen.risk.alarms,
            *(f"{one.what} {one.remedy}" for one in screen.attention.entries),
        )
    )

    assert screen.totals.holdings.caveat == "NOT ALL OF IT: 1 position of the account is missing"
    assert "The account holds what cannot be shown here" in said
    assert "1 line of the account that cannot be shown here" in said
    assert "file" not in said.lower()


def test_an_old_reading_is_no_comparison_where_the_quantities_are_its_own(following):
    following.begin()
    following.account = account(held(AAPL_CALL, 1))
    following.session.keep()
    reports = dict(following.account.reports)
    reports[RestTask.POSITIONS] = RestReport(
        RestTask.POSITIONS, RestPhase.FAILED, problems=(Problem("No answer."),)
    )
    following.account = replace(following.account, reports=reports)
    holdings = following.screen().totals.holdings

    assert holdings.caveat == "QUANTITIES of an older reading of the account (it could not be read since)"


def test_the_csv_says_whose_costs_it_has(following):
    following.begin()
    following.account = account(held(AAPL_CALL, 1))
    (row,) = csv.DictReader(tables_as_csv(following.screen()).splitlines())

    assert row["cost_source"] == "account"


def test_one_refresh_has_prices_and_quantities_of_one_moment(following):
    """The housekeeper comes later: the table does not wait for it."""
    following.begin()
    following.account = account(held(AAPL_CALL, 1))
    following.session.keep()
    following.account = replace(following.account, later=(bought(AAPL_CALL, 2),))
    assert list(following.screen().positions["quantity"]) == [3]


def test_other_keys_are_another_account(following):
    following.begin()
    following.account = account(held(AAPL_CALL, 1))
    following.session.keep()
    following.account = AccountState()

    following.session.stop()
    following.begin()
    assert following.screen().loaded, "the same account: its last book is better than none"

    following.session.start(ACCOUNT_FILE, replace(FROM_ACCOUNT, paper=False), Settings())
    assert not following.screen().loaded


def test_another_source_begins_a_history_of_its_own(following, tmp_path):
    following.begin()
    following.account = account(held("AAPL", 1))
    following.session.keep()
    following.session.keep()
    assert following.session.history().points

    file: PortfolioFile = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])
    following.session.start(file, RunSettings(), Settings())
    assert following.session.history().points == ()


def test_a_fill_begins_another_sum_and_money_alone_does_not(following):
    following.begin()
    following.account = account(held("AAPL", 1))
    following.session.keep()
    assert following.account.view is not None
    view = replace(following.account.view, cash=Decimal(5))
    following.account = replace(following.account, view=view)
    following.session.keep()
    following.account = replace(following.account, later=(bought("AAPL", 1, "250"),))
    following.session.keep()

    assert [point.book for point in following.session.history().points] == [0, 0, 1]
