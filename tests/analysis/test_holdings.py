"""What the account holds and the file lacks is said at the totals, and what was split is no profit or loss."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from options_helper.analysis.holdings import Holdings, compare_holdings
from options_helper.analysis.live_health import Headline, Level, book_caveats, headline
from options_helper.analysis.live_portfolio_metrics import (
    LiveTotals,
)
from options_helper.model.account import AccountState, RestPhase, RestReport, RestTask
from options_helper.model.events import Quote
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.problems import Problem
from options_helper.model.snapshot import LiveSnapshot
from tests.analysis.test_day_pnl import account, traded
from tests.kit.builders import (
    AAPL_CALL,
    holding,
    portfolio,
    position,
    quote,
    snapshot_with,
    structure,
)
from tests.kit.tables import row, totals_of

NVDA_PUT = "NVDA261218P00175000"


def live(known: AccountState, *events: Quote) -> LiveSnapshot:
    return replace(snapshot_with(*events), account=known)


def with_position(known: AccountState, symbol: str, **facts: Any) -> AccountState:
    """The same account, of whose position more is known."""
    assert known.view is not None
    positions = {**known.view.positions, symbol: replace(known.view.positions[symbol], **facts)}
    return replace(known, view=replace(known.view, positions=positions))


def test_today_says_too_that_shares_are_of_after_hours_and_contracts_of_the_close():
    """At 18:00: 100 shares quoted at 225 now, beside a put last quoted at 15:59 with the stock at 250."""
    evening, put = datetime(2026, 11, 20, 18, tzinfo=NEW_YORK), "AAPL261218P00250000"
    book = portfolio(holding("AAPL", 100), position(strike=250, option_type="put", cost_basis=5.0))
    events = quote("AAPL", 224.9, 225.1, age=2, as_of=evening), quote(put, 5.0, 5.2, age=7260, as_of=evening)
    known = account({"AAPL": 100, put: 1}, closes={"AAPL": 250, put: 5.1}, as_of=evening)
    total = totals_of(book, replace(snapshot_with(*events, as_of=evening), account=known))

    assert total.day.total == pytest.approx(-2500)
    assert total.day.caveat == "1 of after hours"


class TestWhatTheFileLacks:
    """A file without two positions of the account is a file only, whether or not anything was traded today."""

    BOOK = portfolio(holding("AAPL", 100))
    ACCOUNT = account({"AAPL": 100, "MSFT": 50, NVDA_PUT: -2}, closes={"AAPL": 270, "MSFT": 500})

    def test_it_is_said_at_every_figure_with_no_trade_today(self):
        total = totals_of(self.BOOK, live(self.ACCOUNT, quote("AAPL", 269.9, 270.1)))

        assert total.holdings.account_only == ("MSFT", NVDA_PUT)
        assert total.holdings.caveat == "FILE ONLY: 2 positions of the account are missing"
        assert total.holdings.sentences() == (
            "The account holds what the file lacks: MSFT shares, NVDA 18 Dec 26 175 P.",
        )

    def test_it_is_said_of_a_file_of_no_positions(self):
        total = totals_of(portfolio(), live(self.ACCOUNT))

        assert total.holdings.caveat == "FILE ONLY: 3 positions of the account are missing"
        assert headline(snapshot_with(), caveats=book_caveats(total)).sentence == (
            "Live, but 3 lines of the account that the file lacks."
        )

    def test_a_position_that_was_bought_since_the_account_was_read_counts(self):
        fresh = replace(account({"AAPL": 100}), later=(traded("MSFT", 10, 500),))

        assert compare_holdings(self.BOOK, fresh).account_only == ("MSFT",)

    def test_one_of_which_nobody_knows_yet_is_not_said_to_be_missing(self):
        open_one = replace(self.ACCOUNT, unsettled=frozenset({"MSFT"}))

        assert compare_holdings(self.BOOK, open_one).account_only == (NVDA_PUT,)

    def test_coins_are_no_part_of_it(self):
        assert self.ACCOUNT.view is not None
        coins = replace(self.ACCOUNT, view=replace(self.ACCOUNT.view, foreign=frozenset({"MSFT"})))

        assert compare_holdings(self.BOOK, coins).account_only == (NVDA_PUT,)

    def test_what_it_lacks_is_told_apart_from_another_quantity(self):
        found = compare_holdings(self.BOOK, account({"AAPL": 90, "MSFT": 50}))

        assert found.sentences() == (
            "The account holds what the file lacks: MSFT shares.",
            "The account holds another quantity than the file of these: AAPL shares.",
        )

    def test_a_contract_that_has_ended_lacks_in_no_file(self):
        """SPX is settled at the open, and the account lists it until the evening."""
        settled = "SPX261120P06700000"
        opens = datetime(2026, 11, 20, 9, 30, tzinfo=NEW_YORK)
        before, after = (account({settled: 1}, as_of=at) for at in (opens - timedelta(minutes=1), opens))
        book = portfolio()

        assert compare_holdings(book, before).account_only == (settled,)
        assert totals_of(book, replace(live(after), as_of=opens)).holdings.caveat == ""
        assert compare_holdings(book, before, {opens.date(): None}).account_only == ()

    def test_a_position_that_the_file_lost_and_that_was_traded_leaves_today_in_part(self):
        """The account held 2 overnight and holds 9 now; the file lacks them, so its day is not the account's."""
        known = account(
            {"AAPL": 100, AAPL_CALL: 9}, closes={"AAPL": 270}, executions=[traded(AAPL_CALL, 7, 3)]
        )
        total = totals_of(self.BOOK, live(known, quote("AAPL", 269.9, 270.1)))

        assert (total.day.counted, total.day.of) == (1, 2)


class TestWhatTheAccountLacks:
    """The reverse, and another quantity: the sum says how many of its lines are in doubt."""

    def test_a_line_that_the_account_does_not_hold_is_in_doubt(self):
        total = totals_of(portfolio(holding("AAPL", 100)), live(account({}), quote("AAPL", 269.9, 270.1)))

        assert total.holdings.file_only == ("AAPL",)
        assert (total.pnl.counted, total.pnl.caveat) == (1, "1 with a quantity in doubt")
        assert total.at_natural.caveat == "1 with a quantity in doubt"

    def test_another_quantity_is_in_doubt_everywhere_it_counts(self):
        book = portfolio(position(contracts=2, cost_basis=3.0), structure(net_debit=100))
        events = (quote(AAPL_CALL, 3.0, 3.1), quote("AAPL261218C00185000", 1.0, 1.1))
        known = account({AAPL_CALL: 9, "AAPL261218C00185000": -1})
        total = totals_of(book, live(known, *events))

        assert total.holdings.other_quantity == (AAPL_CALL,)
        assert total.long_premium.caveat == "2 with a quantity in doubt"
        assert total.pnl.caveat == "2 with a quantity in doubt"

    def test_where_both_agree_nothing_is_said(self):
        total = totals_of(
            portfolio(holding("AAPL")), live(account({"AAPL": 100}), quote("AAPL", 269.9, 270.1))
        )

        assert (total.holdings.differing, total.holdings.caveat, total.holdings.sentences()) == (0, "", ())
        assert total.pnl.caveat == ""

    def test_before_the_account_was_read_nothing_is_known(self):
        assert compare_holdings(portfolio(holding("AAPL")), AccountState()) == Holdings()

    def test_what_todays_trades_explain_is_not_said_twice(self):
        found = compare_holdings(portfolio(holding("AAPL")), account({"AAPL": 50, "MSFT": 5}))

        assert len(found.sentences()) == 2
        assert found.sentences(explained={"AAPL"}) == ("The account holds what the file lacks: MSFT shares.",)


def unknown(phase: RestPhase, problem: str | None = None, **facts: Any) -> AccountState:
    """An account whose positions were never read."""
    report = RestReport(RestTask.POSITIONS, phase, problems=(Problem(problem),) if problem else ())
    reports = {**AccountState().reports, RestTask.POSITIONS: report}
    return replace(AccountState(), reports=reports, **facts)


class TestAnAccountThatWasAskedAndIsNotKnown:
    """Then nobody can say that the file's quantities are the account's, and each figure says that nobody does."""

    BOOK = portfolio(holding("AAPL", 100), position(contracts=2))
    EVENTS = quote("AAPL", 269.9, 270.1), quote(AAPL_CALL, 3.0, 3.1)

    @pytest.mark.parametrize(
        ("phase", "problem", "why"),
        [
            (RestPhase.FAILED, "HTTP 500.", "it could not be read"),
            (RestPhase.REQUESTING, "HTTP 500.", "it could not be read"),
            (RestPhase.REQUESTING, None, "it has not answered yet"),
        ],
    )
    def test_headline_and_totals_say_that_nothing_was_compared_and_why(
        self, phase: RestPhase, problem: str | None, why: str
    ):
        total = totals_of(self.BOOK, live(unknown(phase, problem), *self.EVENTS))

        assert total.holdings.caveat == f"QUANTITIES not compared with the account ({why})"
        said = headline(snapshot_with(), caveats=book_caveats(total))
        assert said == Headline(Level.WARNING, f"Live, but quantities not compared with the account ({why}).")

    @pytest.mark.parametrize("phase", [RestPhase.OFF, RestPhase.WAITING])
    def test_one_that_is_not_asked_is_no_reason_to_worry(self, phase: RestPhase):
        """By choice, as of a replay, or before its turn."""
        total = totals_of(self.BOOK, live(unknown(phase), *self.EVENTS))

        assert (total.holdings.caveat, total.pnl.caveat, book_caveats(total)) == ("", "", ())

    @pytest.mark.parametrize("phase", [RestPhase.FAILED, RestPhase.REQUESTING, RestPhase.WAITING])
    def test_a_fill_of_what_the_file_holds_leaves_its_line_in_doubt(self, phase: RestPhase):
        sold = unknown(phase, later=(traded(AAPL_CALL, -2, 3),))
        total = totals_of(self.BOOK, live(sold, *self.EVENTS))

        assert total.holdings.unread == (AAPL_CALL,)
        assert total.pnl.caveat == "1 with a quantity in doubt"
        assert "1 line with a quantity in doubt" in book_caveats(total)

    def test_a_recording_s_fills_are_of_no_account_that_could_be_compared(self):
        played = unknown(RestPhase.OFF, later=(traded(AAPL_CALL, -2, 3),))

        assert compare_holdings(self.BOOK, played) == Holdings()

    def test_what_was_read_before_it_failed_is_said_to_be_old(self):
        known = account({"AAPL": 100, AAPL_CALL: 2, "MSFT": 1})
        report = RestReport(RestTask.POSITIONS, RestPhase.FAILED, problems=(Problem("HTTP 500."),))
        lost = replace(known, reports={**known.reports, RestTask.POSITIONS: report})
        total = totals_of(self.BOOK, live(lost, *self.EVENTS))

        assert total.holdings.account_only == ("MSFT",)
        assert total.holdings.caveat == (
            "FILE ONLY: 1 position of the account is missing\n"
            "QUANTITIES compared with an older reading of the account (it could not be read since)"
        )
        assert book_caveats(total)[0] == (
            "quantities compared with an older reading of the account (it could not be read since)"
        )

    def test_asking_again_each_minute_is_nothing_to_say(self):
        known = account({"AAPL": 100, AAPL_CALL: 2})
        report = RestReport(RestTask.POSITIONS, RestPhase.REQUESTING)
        again = replace(known, reports={**known.reports, RestTask.POSITIONS: report})

        assert book_caveats(totals_of(self.BOOK, live(again, *self.EVENTS))) == ()


class TestASplitIsNoProfitAndNoLoss:
    """Seen elsewhere: 10 shares at 1,200 become 100 at 120, and the page shows a loss of ten thousand."""

    @pytest.mark.parametrize(
        ("shares", "cost", "now", "price"), [(10, 1200.0, 100, 120.0), (1000, 2.0, 100, 20.0)]
    )
    def test_a_row_of_today_says_it(self, shares: float, cost: float, now: float, price: float):
        book = portfolio(holding("NVDA", shares, cost_basis=cost))
        known = account({"NVDA": now}, closes={"NVDA": price}, moved={"NVDA"})
        snapshot = live(known, quote("NVDA", price - 0.05, price + 0.05))
        total = totals_of(book, snapshot)

        assert (total.pnl.counted, total.pnl.of) == (0, 1)
        assert (total.liquidation_value, total.market_value) == (None, None)
        assert total.holdings.sentences()[-1] == (
            "A split, a transfer or the like changed these, and the file does not know it: NVDA shares."
        )
        assert row(book, snapshot)["grade"] == "quantity in doubt"
        assert {"other_share", "position_moved"} <= set(row(book, snapshot)["warnings"])

    def test_without_a_row_the_cost_that_stayed_says_it(self):
        """The row is dated the day before, or has not come yet: other shares of the very cost were not traded."""
        book = portfolio(holding("NVDA", 10, cost_basis=1200.0))
        known = with_position(account({"NVDA": 100}), "NVDA", cost_basis=Decimal("12000.40"))

        assert totals_of(book, live(known, quote("NVDA", 119.9, 120.1))).pnl.counted == 0

    def test_shares_that_were_bought_are_no_split(self):
        book = portfolio(holding("NVDA", 10, cost_basis=120.0))
        known = with_position(account({"NVDA": 100}), "NVDA", cost_basis=Decimal(12000))
        total = totals_of(book, live(known, quote("NVDA", 119.9, 120.1)))

        assert (total.pnl.total, total.pnl.caveat) == (0, "1 with a quantity in doubt")

    def test_a_file_that_has_followed_is_right_again(self):
        book = portfolio(holding("NVDA", 100, cost_basis=120.0))
        known = account({"NVDA": 100}, closes={"NVDA": 1200}, moved={"NVDA"})
        total = totals_of(book, live(known, quote("NVDA", 120.9, 121.1)))

        assert total.pnl.total == pytest.approx(100)
        assert total.day.counted == 0


class TestACloseOfAnotherShare:
    """File and account hold 100, the close is of before the split: no session makes such a jump."""

    BOOK = portfolio(holding("NVDA", 100, cost_basis=80.0))

    def day(self, close: float, price: float, witness: str | None = None) -> LiveTotals:
        known = account({"NVDA": 100}, closes={"NVDA": close})
        if witness is not None:
            known = with_position(known, "NVDA", lastday_price=Decimal(witness))
        return totals_of(self.BOOK, live(known, quote("NVDA", price - 0.05, price + 0.05)))

    def test_without_a_witness_it_is_not_used(self):
        total = self.day(1200, 120)

        assert total.day.counted == 0
        assert total.day_reasons == (
            "The close of 19 Nov 26 cannot be in today's share (a split?): NVDA shares.",
        )

    def test_the_accounts_own_price_of_that_day_is_the_witness(self):
        assert self.day(1200, 120, witness="120.40").day.counted == 0
        assert self.day(130, 120, witness="65").day.counted == 0
        assert self.day(120.4, 120, witness="120.40").day.total == pytest.approx(-40)

    def test_a_jump_that_a_session_made_counts_with_a_witness(self):
        """A trial that failed: from 60 to 21 in one night, and the account says 60 too."""
        assert self.day(60, 21, witness="60.00").day.total == pytest.approx(-3900)

    def test_what_sessions_do_make_needs_none(self):
        """An ex-dividend day, a bad quarter: a close is as it was traded, and the dividend counts as a loss."""
        assert self.day(60, 50).day.total == pytest.approx(-1000)
        assert self.day(60, 85).day.total == pytest.approx(2500)

    def test_a_contract_may_jump_as_it_likes_but_not_against_its_witness(self):
        book = portfolio(position())
        known = account({AAPL_CALL: 1}, closes={AAPL_CALL: 0.1})
        events = quote(AAPL_CALL, 2.4, 2.6)

        assert totals_of(book, live(known, events)).day.total == pytest.approx(240)
        contradicted = with_position(known, AAPL_CALL, lastday_price=Decimal("2.00"))
        assert totals_of(book, live(contradicted, events)).day.counted == 0

    def test_a_traded_share_whose_close_is_not_believed_has_no_profit_either(self):
        known = account({"NVDA": 100}, closes={"NVDA": 1200}, executions=[traded("NVDA", 10, 120)])
        total = totals_of(self.BOOK, live(known, quote("NVDA", 119.9, 120.1)))

        assert total.day.counted == 0
        assert "cannot be in today's share" in total.day_reasons[0]


def test_the_cash_of_the_account_stands_beside_the_files():
    known = account({})
    assert known.view is not None
    rich = replace(known, view=replace(known.view, cash=Decimal(1000)))
    total = totals_of(portfolio(cash=18250.0), live(rich))

    assert (total.cash, total.holdings.cash) == (18250.0, Decimal(1000))
