"""Today's profit is what the account's own record says, to the cent, or it is not given and the reason is.

Every figure is worked out by hand from the identity: what is held now at the price of now, less what was held at
midnight at the previous close, plus what was sold today and less what was bought.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from options_helper.analysis.day_pnl import RunningPosition
from options_helper.analysis.live_portfolio_metrics import (
    LiveTotals,
    compute_live_multileg_rows,
    compute_live_position_rows,
    compute_live_totals,
)
from options_helper.analysis.option_events import halves
from options_helper.model.account import (
    AccountPosition,
    AccountPositions,
    AccountState,
    Execution,
    ExecutionKind,
    PreviousClose,
    RestPhase,
    RestReport,
    RestTask,
    Source,
)
from options_helper.model.alpaca_symbols import underlying_root
from options_helper.model.events import Quote, Trade
from options_helper.model.market_hours import NEW_YORK, new_york_date
from options_helper.model.portfolio import Portfolio, PortfolioEntry
from options_helper.model.problems import Problem
from options_helper.model.risk_inputs import ContractChange, CorporateActions, RiskInputs
from options_helper.model.snapshot import LiveSnapshot
from tests.kit.builders import (
    AAPL_CALL,
    AS_OF,
    holding,
    is_contract,
    leg,
    lots_of,
    nanoseconds,
    portfolio,
    position,
    quote,
    share_leg,
    snapshot_with,
    structure,
)

C180, C185, C190 = AAPL_CALL, "AAPL261218C00185000", "AAPL261218C00190000"
TODAY, YESTERDAY = date(2026, 11, 20), date(2026, 11, 19)
MORNING = datetime(2026, 11, 20, 9, 31, tzinfo=NEW_YORK)


def traded(
    symbol: str,
    quantity: int | str,
    price: float | str | None,
    *,
    kind: ExecutionKind = ExecutionKind.FILL,
    at: datetime | None = MORNING,
) -> Execution:
    """An execution of this morning; a sale is negative."""
    return Execution(
        identity=f"{symbol} {quantity} {price} {at}",
        kind=kind,
        symbol=symbol,
        quantity=Decimal(str(quantity)),
        price=None if price is None else Decimal(str(price)),
        day=TODAY,
        at_ns=None if at is None else nanoseconds(at),
        order_id=None,
        source=Source.STREAM,
    )


def held(symbol: str, quantity: float | str) -> AccountPosition:
    amounts = dict.fromkeys(("average_price", "cost_basis", "market_value", "current_price"))
    return AccountPosition(
        symbol=symbol, quantity=Decimal(str(quantity)), is_option=is_contract(symbol), **amounts
    )


def account(
    holds: Mapping[str, float | str],
    *,
    closes: Mapping[str, float] | None = None,
    closed_on: date = YESTERDAY,
    executions: Sequence[Execution] = (),
    day: date | None = TODAY,
    as_of: datetime = AS_OF,
    left_out: Collection[str] = (),
    unnamed: int = 0,
    moved: Collection[str] = (),
) -> AccountState:
    """An account that was asked just now, after everything that was traded."""
    return AccountState(
        reports=MappingProxyType({task: RestReport(task, RestPhase.DONE) for task in RestTask}),
        view=AccountPositions(
            as_of=as_of,
            positions={symbol: held(symbol, quantity) for symbol, quantity in holds.items()},
            left_out=frozenset(left_out),
            unnamed=unnamed,
        ),
        closes={
            symbol: PreviousClose(symbol, Decimal(str(price)), closed_on)
            for symbol, price in (closes or {}).items()
        },
        executions=tuple(executions),
        executions_day=day,
        moved=frozenset(moved),
    )


def live(known: AccountState, *events: Quote | Trade, as_of: datetime = AS_OF) -> LiveSnapshot:
    return replace(snapshot_with(*events, as_of=as_of), account=known)


def changed_on(day: date, kind: str) -> CorporateActions:
    """What is announced of AAPL."""
    return CorporateActions("AAPL", AS_OF, day, changes=(ContractChange("AAPL", kind, day, 4.0),))


def at(symbol: str, price: float, **facts: Any) -> Quote:
    """A quote whose middle is this price."""
    return quote(symbol, price - 0.05, price + 0.05, **facts)


class Today:
    """The tables and totals of one portfolio at one moment."""

    def __init__(self, entries: Portfolio | PortfolioEntry, snapshot: LiveSnapshot) -> None:
        book = entries if isinstance(entries, Portfolio) else portfolio(entries)
        self.rows = compute_live_position_rows(book, snapshot, stale_after_seconds=30)
        self.structures, self.legs = compute_live_multileg_rows(book, snapshot, stale_after_seconds=30)
        self.totals: LiveTotals = compute_live_totals(book, snapshot, self.rows, self.structures, self.legs)

    def row(self, index: int = 0) -> dict[str, Any]:
        return _known(self.rows, index)

    def structure(self) -> dict[str, Any]:
        return _known(self.structures, 0)

    def figures(self, index: int = 0) -> tuple[float | None, float | None, float | None]:
        """Today's profit, realized and unrealized."""
        return figures(self.row(index))


def _known(table: pd.DataFrame, index: int) -> dict[str, Any]:
    row = {str(name): value for name, value in table.iloc[index].items()}
    return {
        name: None if not isinstance(value, list) and pd.isna(value) else value for name, value in row.items()
    }


def figures(row: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    return row["day_pnl"], row["day_realized"], row["day_unrealized"]


def dollars(*amounts: float) -> tuple[Any, ...]:
    return tuple(pytest.approx(amount, abs=1e-9) for amount in amounts)


NOTHING = (None, None, None)


class TestOneContract:
    """The identity, for one position."""

    def test_a_long_held_overnight_counts_from_the_previous_close(self):
        today = Today(
            position(contracts=2, cost_basis=0.2), live(account({C180: 2}, closes={C180: 1.0}), at(C180, 1.1))
        )

        assert today.figures() == dollars(20, 0, 20)
        assert today.row()["day_pct"] == pytest.approx(10)
        assert (today.row()["previous_close"], today.row()["previous_close_day"]) == (1.0, YESTERDAY)
        assert today.row()["warnings"] == []
        assert today.totals.day.total == pytest.approx(20)
        assert today.totals.day_reasons == ()

    def test_a_short_loses_when_its_price_rises(self):
        today = Today(position(contracts=-2), live(account({C180: -2}, closes={C180: 1.0}), at(C180, 1.1)))

        assert today.figures() == dollars(-20, 0, -20)
        assert today.row()["day_pct"] == pytest.approx(-10)

    @pytest.mark.parametrize("closes", [{}, {C180: 9.0}], ids=["no close", "a close"])
    def test_what_was_opened_today_counts_from_what_was_paid(self, closes: Mapping[str, float]):
        known = account({C180: 1}, closes=closes, executions=[traded(C180, 1, 1.05)])
        today = Today(position(), live(known, at(C180, 1.1)))

        assert today.figures() == dollars(5, 0, 5)
        assert today.row()["day_pct"] == pytest.approx(100 * 5 / 105)
        assert today.row()["warnings"] == []

    def test_adding_to_an_older_lot_keeps_the_older_lots_close(self):
        """One at the close of 1.00 and one bought at 1.20: 2 × 1.30 − 1.00 − 1.20, a hundredfold."""
        known = account({C180: 2}, closes={C180: 1.0}, executions=[traded(C180, 1, 1.2)])
        today = Today(position(contracts=2), live(known, at(C180, 1.3)))

        assert today.figures() == dollars(40, 0, 40)
        assert today.row()["day_pct"] == pytest.approx(100 * 40 / 220)

    def test_a_partial_close_realizes_its_part(self):
        known = account({C180: 2}, closes={C180: 1.0}, executions=[traded(C180, -1, 1.5)])
        today = Today(position(contracts=2), live(known, at(C180, 1.1)))

        assert today.figures() == dollars(70, 50, 20)
        assert today.row()["day_pct"] == pytest.approx(100 * 70 / 300)

    def test_a_short_that_is_bought_back_in_part(self):
        known = account({C180: -1}, closes={C180: 1.0}, executions=[traded(C180, 2, 0.7)])
        today = Today(position(contracts=-1), live(known, at(C180, 1.1)))

        assert today.figures() == dollars(50, 60, -10)

    def test_a_long_that_was_turned_into_a_short(self):
        """Three sold at 1.50: one closes the long, two are short since: 150 − 100, and 2 × (150 − 110)."""
        known = account({C180: -2}, closes={C180: 1.0}, executions=[traded(C180, -3, 1.5)])
        today = Today(position(contracts=-2), live(known, at(C180, 1.1)))

        assert today.figures() == dollars(130, 50, 80)

    def test_a_round_trip_of_today_beside_an_overnight_lot_averages_both(self):
        """Bought at 2.00 beside one at 1.00, then one of the two sold at 1.80: 1.80 − 1.50 realized."""
        trades = [traded(C180, 1, 2.0), traded(C180, -1, 1.8)]
        today = Today(
            position(), live(account({C180: 1}, closes={C180: 1.0}, executions=trades), at(C180, 1.1))
        )

        assert today.figures() == dollars(-10, 30, -40)

    def test_shares_are_counted_one_by_one_and_in_fractions(self):
        known = account({"AAPL": "10.5"}, closes={"AAPL": 180.0}, executions=[traded("AAPL", "-0.25", 190.0)])
        today = Today(holding("AAPL", 10.5), live(known, at("AAPL", 182.0)))

        assert today.figures() == dollars(2.5 + 21, 2.5, 21)

    def test_an_adjusted_contract_counts_by_the_multiplier_of_the_file(self):
        symbol = "AAPL1261218C00180000"
        known = account({symbol: 1}, closes={symbol: 1.0})
        given_ten = Today(position("AAPL1", multiplier=10), live(known, at(symbol, 1.1)))
        not_given = Today(position("AAPL1"), live(known, at(symbol, 1.1)))

        assert given_ten.figures() == dollars(1, 0, 1)
        assert not_given.row()["day_pnl"] is None
        assert not_given.totals.day.total is None
        assert not_given.totals.day_reasons == ("The multiplier is not given: AAPL1 18 Dec 26 180 C.",)

    @pytest.mark.parametrize("cost_basis", [None, 0.0, 55.0])
    def test_what_was_paid_long_ago_has_no_part_in_today(self, cost_basis: float | None):
        known = account({C180: 1}, closes={C180: 1.0})

        assert Today(position(cost_basis=cost_basis), live(known, at(C180, 1.1))).figures() == dollars(
            10, 0, 10
        )


class TestDefectsOfOtherProducts:
    """Each was found in a shipped product."""

    def test_a_short_leg_sold_today_against_an_overnight_long_is_not_the_longs_whole_loss(self):
        """The long, bought at 50.00 and worth 5.00 at the close, lost 20 dollars today; the short made 10."""
        book = structure(leg("long", 180), leg("short", 185), net_debit=4_800)
        known = account(
            {C180: 1, C185: -1}, closes={C180: 5.0, C185: 9.0}, executions=[traded(C185, -1, 2.0)]
        )
        today = Today(book, live(known, at(C180, 4.8), at(C185, 1.9)))

        assert today.structure()["net_pnl_abs"] == pytest.approx(290 - 4_800)
        assert figures(today.structure()) == dollars(-10, 0, -10)
        # Worth 500 at the close, less the 200 that the short fetched.
        assert today.structure()["day_pct"] == pytest.approx(100 * -10 / 300)
        assert today.legs["day_pnl"].tolist() == pytest.approx([-20, 10])

    def test_lots_of_one_position_are_one_line_also_after_a_trade(self):
        """As entries of one contract they shared it, and a trade left each of them unknown."""
        known = account({C180: 3}, closes={C180: 1.0}, executions=[traded(C180, 1, 1.05)])
        today = Today(lots_of((2, 0.4, None), (1, 1.05, TODAY)), live(known, at(C180, 1.1)))

        assert today.figures() == dollars(25, 0, 25)
        assert today.row()["warnings"] == []

    def test_a_covered_call_is_its_shares_and_its_call(self):
        covered, call = structure(share_leg(), leg("short", 270), net_debit=24_300), "AAPL261218C00270000"
        known = account({"AAPL": 100, call: -1}, closes={"AAPL": 248, call: 5.0})
        today = Today(covered, live(known, at("AAPL", 250), at(call, 5.4)))

        assert figures(today.structure()) == dollars(160, 0, 160)
        assert today.totals.day.total == pytest.approx(160)

    def test_shares_bought_today_do_not_count_from_yesterdays_close(self):
        known = account({"AAPL": 100}, closes={"AAPL": 180.0}, executions=[traded("AAPL", 100, 190.0)])
        today = Today(holding("AAPL", 100), live(known, at("AAPL", 191.0)))

        assert today.figures() == dollars(100, 0, 100)

    def test_a_position_added_to_today_is_not_judged_by_its_whole_profit(self):
        known = account({C180: 2}, closes={C180: 10.0}, executions=[traded(C180, 1, 10.2)])
        today = Today(position(contracts=2, cost_basis=1.0), live(known, at(C180, 10.1)))

        assert today.row()["pnl_abs"] == pytest.approx(1_820)
        assert today.figures() == dollars(0, 0, 0)


class TestWhatTheFileHoldsNoMore:
    """What was closed today is part of today."""

    def test_a_contract_closed_today_counts_and_is_named(self):
        known = account({}, closes={C180: 1.0}, executions=[traded(C180, -2, 1.4)])
        totals = Today(portfolio(), live(known)).totals

        assert (totals.day.total, totals.day_realized.total, totals.day_unrealized.total) == dollars(
            80, 80, 0
        )
        assert totals.closed_today == (C180,)

    def test_a_round_trip_of_today_needs_no_close(self):
        trades = [traded(C180, 1, 1.0), traded(C180, -1, 1.3)]
        totals = Today(portfolio(), live(account({}, executions=trades))).totals

        assert totals.day_realized.total == pytest.approx(30)
        assert totals.day_reasons == ()

    def test_a_roll_is_the_old_contracts_profit_and_the_new_ones(self):
        """Short at 2.00 overnight, bought back at 1.50; the next one sold at 2.20 and now at 2.30."""
        known = account(
            {C185: -1}, closes={C180: 2.0}, executions=[traded(C180, 1, 1.5), traded(C185, -1, 2.2)]
        )
        today = Today(position(strike=185, contracts=-1), live(known, at(C185, 2.3)))

        assert today.figures() == dollars(-10, 0, -10)
        assert (today.totals.day.total, today.totals.day_realized.total) == dollars(40, 50)
        assert (today.totals.day.counted, today.totals.day.of) == (2, 2)
        assert today.totals.closed_today == (C180,)

    @pytest.mark.parametrize(("quantity", "profit"), [(3, -120.0), (-3, 120.0)])
    def test_an_expiry_without_value_costs_the_long_its_last_close_and_leaves_it_to_the_short(
        self, quantity: int, profit: float
    ):
        gone = traded(C180, -quantity, 0, kind=ExecutionKind.EXPIRY, at=None)
        totals = Today(portfolio(), live(account({}, closes={C180: 0.4}, executions=[gone]))).totals

        assert totals.day_realized.total == pytest.approx(profit)

    def test_an_assignment_is_the_contract_at_nothing_and_the_shares_at_the_strike(self):
        """The short call of 10.20 is gone; a hundred shares that closed at 190 went for 180: 20 dollars left."""
        trades = [
            traded(C180, 1, 0, kind=ExecutionKind.ASSIGNMENT, at=None),
            traded("AAPL", -100, 180, kind=ExecutionKind.OPTION_TRADE, at=None),
        ]
        known = account({}, closes={C180: 10.2, "AAPL": 190.0}, executions=trades)
        totals = Today(portfolio(), live(known)).totals

        assert totals.day.total == pytest.approx(1_020 - 1_000)
        assert totals.closed_today == (C180, "AAPL")

    def test_an_exercise_opens_the_shares_at_the_strike(self):
        trades = [
            traded(C180, -1, 0, kind=ExecutionKind.EXERCISE, at=None),
            traded("AAPL", 100, 180, kind=ExecutionKind.OPTION_TRADE, at=None),
        ]
        known = account({"AAPL": 100}, closes={C180: 10.2, "AAPL": 190.0}, executions=trades)
        today = Today(holding("AAPL", 100), live(known, at("AAPL", 191.0)))

        assert today.figures() == dollars(1_100, 0, 1_100)
        assert today.totals.day.total == pytest.approx(1_100 - 1_020)

    def test_shares_that_moved_for_a_contract_that_nobody_says_ended_leave_the_day_open(self):
        """The calls that were exercised had closed at 4.20; without them 1,000 dollars of profit stood there."""
        known = account(
            {"AAPL": 200},
            closes={"AAPL": 254.0},
            executions=[traded("AAPL", 200, 250, kind=ExecutionKind.OPTION_TRADE, at=None)],
        )
        totals = Today(holding("AAPL", 200), live(known, at("AAPL", 255.0))).totals

        assert totals.day.total is None
        assert totals.day_reasons == (
            "Of what was assigned or exercised today only one half is told, the contract or the shares: AAPL shares.",
        )

    @pytest.mark.parametrize(
        "half",
        [
            traded(C180, 1, 0, kind=ExecutionKind.ASSIGNMENT, at=None),
            traded("AAPL", -100, 180, kind=ExecutionKind.OPTION_TRADE, at=None),
        ],
        ids=["the contract", "the shares"],
    )
    def test_half_of_an_assignment_is_no_figure_of_any_line_on_that_underlying(self, half: Execution):
        known = account(
            {"MSFT": 10, C185: 1},
            closes={"MSFT": 400.0, "AAPL": 190.0, C180: 10.2, C185: 7.0},
            executions=[half],
        )
        book = portfolio(holding("MSFT", 10), position(strike=185, contracts=1))
        totals = Today(book, live(known, at("MSFT", 401.0), at(C185, 7.5))).totals

        assert totals.day.known == pytest.approx(10)
        assert (totals.day.counted, totals.day.of) == (1, 3)

    @pytest.mark.parametrize(
        ("symbol", "executions", "doubt"),
        [
            ("BRK.B", [("BRKB261218C00510000", 1, "assignment"), ("BRK.B", -100, "option_trade")], False),
            ("AAPL", [(C180, 2, "assignment"), ("AAPL", -100, "option_trade")], True),
            ("AAPL", [(C180, -1, "exercise"), ("AAPL", -100, "option_trade")], True),
            ("AAPL", [("AAPL1261218C00180000", 1, "assignment"), ("AAPL", -110, "option_trade")], False),
            ("AAPL", [("AAPL1261218C00180000", 1, "assignment")], True),
            ("SPX", [("SPXW261218C06800000", 1, "assignment")], False),
        ],
    )
    def test_both_halves_are_of_one_size(
        self,
        symbol: str,
        executions: list[tuple[str, int, str]],
        doubt: bool,  # noqa: FBT001 - the answer
    ):
        told = [
            traded(name, change, 0, kind=ExecutionKind(kind), at=None) for name, change, kind in executions
        ]

        assert bool(halves(told)) is doubt
        assert not doubt or halves(told) == {underlying_root(symbol)}

    def test_a_coin_that_was_bought_is_not_closed_today_and_leaves_the_day_whole(self):
        known = account({"MSFT": 100}, closes={"MSFT": 498.0}, executions=[traded("BTC/USD", "0.1", 60_000)])
        totals = Today(holding("MSFT", 100), live(known, at("MSFT", 500.0))).totals

        assert totals.day.total == pytest.approx(200)
        assert totals.closed_today == ()
        assert totals.day_reasons == (
            "No portfolio file can hold these, so their trades are not counted: BTC/USD.",
        )

    def test_an_adjusted_contract_that_was_closed_is_not_multiplied_by_a_guess(self):
        symbol = "AAPL1261218C00180000"
        known = account({}, closes={symbol: 1.0}, executions=[traded(symbol, -1, 2.0)])
        totals = Today(portfolio(), live(known)).totals

        assert totals.day.total is None
        assert totals.day_reasons == ("The multiplier is not given: AAPL1 18 Dec 26 180 C.",)

    def test_a_contract_closed_without_a_previous_close_leaves_the_total_unknown(self):
        known = account({}, executions=[traded(C180, -1, 2.0)])
        totals = Today(portfolio(), live(known)).totals

        assert (totals.day.total, totals.day_unrealized.total) == (None, 0.0)
        assert totals.day_reasons == ("There is no close of 19 Nov 26: AAPL 18 Dec 26 180 C.",)

    def test_what_was_opened_today_and_is_not_in_the_file_is_said_and_not_counted(self):
        known = account({C180: 1}, executions=[traded(C180, 1, 1.0)])
        totals = Today(portfolio(), live(known)).totals

        assert (totals.day.total, totals.closed_today) == (0.0, ())
        assert totals.day_reasons == (
            "Traded today but in no position here, so not counted: AAPL 18 Dec 26 180 C.",
        )


class TestTheFileAndTheAccount:
    """Only where both agree, now or at an earlier moment of today, is there a profit of today."""

    def test_a_fill_that_the_file_does_not_know_is_not_in_its_profit(self):
        known = account({C180: 3}, closes={C180: 1.0}, executions=[traded(C180, 2, 1.5)])
        today = Today(position(), live(known, at(C180, 1.1)))

        assert today.figures() == dollars(10, 0, 10)
        assert today.row()["warnings"] == ["file_behind"]
        assert today.totals.day.total == pytest.approx(10)
        assert today.totals.day_reasons == (
            "The file is behind, so later trades are not counted: AAPL 18 Dec 26 180 C.",
        )

    def test_the_file_may_have_followed_some_of_todays_fills(self):
        trades = [traded(C180, 1, 1.2), traded(C180, -2, 1.5)]
        known = account({}, closes={C180: 1.0}, executions=trades)
        today = Today(position(contracts=2), live(known, at(C180, 1.3)))

        assert today.figures() == dollars(40, 0, 40)
        assert today.row()["warnings"] == ["file_behind"]

    def test_a_position_sold_and_bought_back_today_counts_both(self):
        trades = [traded(C180, -1, 1.5), traded(C180, 1, 1.2)]
        known = account({C180: 1}, closes={C180: 1.0}, executions=trades)
        today = Today(position(), live(known, at(C180, 1.3)))

        assert today.figures() == dollars(60, 50, 10)
        assert today.row()["warnings"] == []

    @pytest.mark.parametrize("trades", [(), (traded(C180, 1, 1.0),)], ids=["quiet day", "traded"])
    def test_a_quantity_that_the_account_never_had_today_has_no_profit(self, trades: Sequence[Execution]):
        known = account({C180: 3}, closes={C180: 1.0}, executions=trades)
        today = Today(position(contracts=5), live(known, at(C180, 1.1)))

        assert today.figures() == NOTHING
        assert today.row()["warnings"] == ["account_differs"]
        assert today.totals.day.total is None
        assert today.totals.day_reasons == (
            "The account holds another quantity than the file: AAPL 18 Dec 26 180 C.",
        )

    def test_a_contract_that_the_account_does_not_hold_differs_too(self):
        today = Today(position(), live(account({}, closes={C180: 1.0}), at(C180, 1.1)))

        assert today.row()["warnings"] == ["account_differs"]

    @pytest.mark.parametrize("trades", [(), (traded(C180, 1, 1.0),)], ids=["quiet day", "traded"])
    def test_a_position_that_could_not_be_read_is_not_taken_for_none(self, trades: Sequence[Execution]):
        known = account({}, closes={C180: 1.0}, executions=trades, left_out=[C180])
        today = Today(position(), live(known, at(C180, 1.1)))

        assert today.figures() == NOTHING
        assert today.row()["warnings"] == ["quantity_in_doubt", "trades_unknown"]

    def test_a_position_that_could_not_be_read_and_that_the_file_lacks_leaves_the_total_unknown(self):
        known = account({}, executions=[traded(C190, 1, 1.0)], left_out=[C190])
        today = Today(portfolio(), live(known))

        assert (today.totals.day.total, today.totals.closed_today) == (None, ())
        assert today.totals.day_reasons == (
            "How much of it the account holds could not be read: AAPL 18 Dec 26 190 C.",
        )

    @pytest.mark.parametrize("trades", [(), (traded(C180, -1, 1.0),)], ids=["quiet day", "traded"])
    def test_a_position_without_a_name_may_be_any_that_is_missing(self, trades: Sequence[Execution]):
        known = account({C190: 1}, closes={C180: 1.0, C190: 1.0}, executions=trades, unnamed=1)
        book = portfolio(position(), position(strike=190))
        today = Today(book, live(known, at(C180, 1.1), at(C190, 1.1)))

        assert today.figures(0) == NOTHING
        assert today.row(0)["warnings"] == ["quantity_in_doubt", "trades_unknown"]
        assert today.figures(1) == dollars(10, 0, 10)

    @pytest.mark.parametrize("trades", [(), (traded("AAPL", 1, 100),)], ids=["quiet day", "traded"])
    def test_a_split_or_a_transfer_leaves_its_symbol_without_a_profit_and_says_why(
        self, trades: Sequence[Execution]
    ):
        """A split of 4 to 1: 400 shares at 100 were 100 at a close of 400, and not 400 of them."""
        holds = {"AAPL": 400 + len(trades), "MSFT": 10}
        closes = {"AAPL": 400.0, "MSFT": 50.0}
        known = account(holds, closes=closes, executions=trades, moved=["AAPL"])
        book = portfolio(holding(shares=400 + len(trades)), holding("MSFT", 10))
        today = Today(book, live(known, at("AAPL", 100.0), at("MSFT", 51.0)))

        assert today.figures(0) == NOTHING
        assert today.row(0)["warnings"] == ["position_moved"]
        assert today.figures(1) == dollars(10, 0, 10)
        assert (today.totals.day.counted, today.totals.day.of) == (1, 2)
        assert today.totals.day_reasons == ("Split, transfer or the like today: AAPL shares.",)

    @pytest.mark.parametrize("kind", ["forward_splits", "spin_offs"])
    def test_a_share_that_is_another_one_today_has_no_profit_before_the_account_tells(self, kind: str):
        """Quoted in the new share, while positions and closes, and the account's own price, are the old one's."""
        known = account({"AAPL": 100, C180: 1, "MSFT": 10}, closes={"AAPL": 400.0, C180: 1.0, "MSFT": 50.0})
        book = portfolio(holding(shares=100), position(), holding("MSFT", 10))
        announced = live(known, at("AAPL", 100.0), at(C180, 1.1), at("MSFT", 51.0))
        announced = replace(announced, risk_inputs=RiskInputs(actions={"AAPL": changed_on(TODAY, kind)}))
        today = Today(book, announced)

        assert today.figures(0) == today.figures(1) == NOTHING
        assert today.figures(2) == dollars(10, 0, 10)
        assert (today.totals.day.counted, today.totals.day.of) == (1, 3)
        assert today.totals.day_reasons == (
            "Split, transfer or the like today: AAPL shares, AAPL 18 Dec 26 180 C.",
        )

    @pytest.mark.parametrize("day", [YESTERDAY, TODAY + timedelta(days=1)])
    def test_a_change_of_another_day_takes_no_profit_away(self, day: date):
        known = account({"AAPL": 100}, closes={"AAPL": 99.0})
        announced = replace(
            live(known, at("AAPL", 100.0)),
            risk_inputs=RiskInputs(actions={"AAPL": changed_on(day, "forward_splits")}),
        )

        assert Today(portfolio(holding(shares=100)), announced).figures() == dollars(100, 0, 100)

    def test_what_was_transferred_away_leaves_the_total_unknown(self):
        known = account({C180: 1}, closes={C180: 1.0}, moved=[C190])
        today = Today(position(), live(known, at(C180, 1.1)))

        assert today.figures() == dollars(10, 0, 10)
        assert (today.totals.day.counted, today.totals.day.of) == (1, 2)
        assert today.totals.day_reasons == ("Split, transfer or the like today: AAPL 18 Dec 26 190 C.",)

    @pytest.mark.parametrize(("holds", "closes"), [(2, {C180: 1.0}), (1, {})], ids=["added", "opened"])
    def test_a_fill_without_a_price_leaves_today_unknown(self, holds: int, closes: Mapping[str, float]):
        known = account({C180: holds}, closes=closes, executions=[traded(C180, 1, None)])
        today = Today(position(contracts=holds), live(known, at(C180, 1.1)))

        assert today.row()["day_pnl"] is None
        assert today.row()["warnings"] == ["trades_unknown"]
        assert today.totals.day_reasons == (
            "A price at which it was executed today is not known: AAPL 18 Dec 26 180 C.",
        )

    def test_what_is_not_known_is_said_of_each_by_its_own_cause(self):
        """A fill that stands in the list of fills is known; what is not, is whether the positions have it."""
        known = account(
            {C180: 1, C190: 1}, closes={C180: 1.0}, executions=[traded(C180, 1, None), traded(C190, 1, 0.5)]
        )
        file = portfolio(position(), position(identity="other", strike=190))
        today = Today(file, live(replace(known, unsettled=frozenset({C190})), at(C180, 1.1), at(C190, 0.6)))

        assert today.totals.day_reasons == (
            "A price at which it was executed today is not known: AAPL 18 Dec 26 180 C.",
            "Whether the last fills are in the account's positions is not known yet: AAPL 18 Dec 26 190 C.",
        )


class TestSeveralLinesOfOneContract:
    """A contract may stand in the file more than once."""

    BOOK = portfolio(
        position(contracts=2, identity="first"),
        structure(leg("long", 180), leg("short", 185)),
        position(contracts=-1, strike=190),
    )
    EVENTS = (at(C180, 1.1), at(C185, 0.5), at(C190, 0.3))
    CLOSES: Mapping[str, float] = {C180: 1.0, C185: 0.4, C190: 0.3}

    def test_untraded_each_line_has_its_own_profit(self):
        known = account({C180: 3, C185: -1, C190: -1}, closes=self.CLOSES)
        today = Today(self.BOOK, live(known, *self.EVENTS))

        assert today.rows["day_pnl"].tolist() == pytest.approx([20, 0])
        assert today.structure()["day_pnl"] == pytest.approx(0)
        assert today.totals.day.total == pytest.approx(20)

    def test_traded_its_lines_cannot_be_told_apart_and_the_total_still_counts_it(self):
        """Three now at 1.10, two overnight at 1.00, one bought at 1.05: 25 dollars; the short leg lost 10."""
        known = account({C180: 3, C185: -1, C190: -1}, closes=self.CLOSES, executions=[traded(C180, 1, 1.05)])
        today = Today(self.BOOK, live(known, *self.EVENTS))

        assert today.figures(0) == NOTHING
        assert today.figures(1) == dollars(0, 0, 0)
        assert figures(today.structure()) == NOTHING
        assert today.row()["warnings"] == today.structure()["warnings"] == ["shared_contract"]
        assert (today.totals.day.total, today.totals.day_realized.total) == dollars(15, 0)
        assert today.totals.day_reasons == (
            "Held by several lines and traded today, so counted in the total only: AAPL 18 Dec 26 180 C.",
        )

    def test_traded_without_a_previous_close_the_total_is_unknown_and_says_both_reasons(self):
        trades = [traded(C180, 1, 1.05)]
        known = account({C180: 3, C185: -1, C190: -1}, closes={C185: 0.4, C190: 0.3}, executions=trades)
        today = Today(self.BOOK, live(known, *self.EVENTS))

        assert today.row()["warnings"] == ["shared_contract", "no_previous_close"]
        assert today.totals.day.total is None
        assert len(today.totals.day_reasons) == 2

    def test_fractions_of_a_share_add_up_exactly(self):
        first, second = holding("AAPL", 0.1), holding("AAPL", 0.2)
        book = portfolio(first, second.changed(id="second"))
        today = Today(book, live(account({"AAPL": "0.3"}, closes={"AAPL": 180.0}), at("AAPL", 190.0)))

        assert today.totals.day.total == pytest.approx(3)

    def test_lines_that_disagree_on_the_multiplier_have_no_total(self):
        symbol = "AAPL1261218C00180000"
        book = portfolio(
            position("AAPL1", multiplier=10, identity="ten"),
            position("AAPL1", multiplier=100, identity="hundred"),
        )
        known = account({symbol: 2}, closes={symbol: 1.0}, executions=[traded(symbol, 1, 1.0)])

        assert Today(book, live(known, at(symbol, 1.1))).totals.day.total is None

    def test_lines_that_cancel_each_other_out_keep_what_was_realized(self):
        book = portfolio(position(identity="long"), position(identity="short", contracts=-1))
        trades = [traded(C180, 1, 1.0), traded(C180, -1, 1.2)]
        today = Today(book, live(account({}, executions=trades)))

        assert today.totals.day.total == pytest.approx(20)


class TestThePreviousClose:
    """Only the close of the last session before today is a base."""

    @pytest.mark.parametrize("closed_on", [date(2026, 11, 18), TODAY])
    def test_a_close_of_another_session_is_shown_and_not_used(self, closed_on: date):
        known = account({C180: 1}, closes={C180: 1.0}, closed_on=closed_on)
        today = Today(position(), live(known, at(C180, 1.1)))

        assert (today.row()["previous_close"], today.row()["previous_close_day"]) == (1.0, closed_on)
        assert today.figures() == (None, 0.0, None)
        assert today.row()["warnings"] == ["no_previous_close"]
        assert today.totals.day_reasons == ("There is no close of 19 Nov 26: AAPL 18 Dec 26 180 C.",)

    def test_without_any_close_nothing_is_put_in_its_place(self):
        today = Today(position(), live(account({C180: 1}), at(C180, 1.1)))

        assert today.row()["day_pnl"] is None
        assert (today.row()["previous_close"], today.row()["previous_close_day"]) == (None, None)
        assert (today.totals.day.total, today.totals.day_realized.total) == (None, 0.0)

    def test_a_sale_of_what_has_no_close_realizes_nobody_knows_how_much(self):
        known = account({C180: 1}, executions=[traded(C180, -1, 1.5)])
        today = Today(position(), live(known, at(C180, 1.1)))

        assert today.figures() == NOTHING
        assert today.row()["warnings"] == ["no_previous_close"]

    @pytest.mark.parametrize(
        ("as_of", "session"),
        [
            (datetime(2026, 11, 23, 11, 0, tzinfo=NEW_YORK), date(2026, 11, 20)),  # Monday
            (datetime(2026, 11, 27, 11, 0, tzinfo=NEW_YORK), date(2026, 11, 25)),  # after Thanksgiving
            (datetime(2027, 1, 4, 11, 0, tzinfo=NEW_YORK), date(2026, 12, 31)),  # after New Year's Day
        ],
    )
    def test_weekends_and_holidays_have_no_close(self, as_of: datetime, session: date):
        expiry = date(2027, 3, 19)
        symbol = "AAPL270319C00180000"
        day = new_york_date(as_of)
        known = account({symbol: 1}, closes={symbol: 1.0}, closed_on=session, day=day, as_of=as_of)
        today = Today(position(expiry=expiry), live(known, at(symbol, 1.1, as_of=as_of), as_of=as_of))

        assert today.figures() == dollars(10, 0, 10)


class TestCoins:
    """They have no session: their day begins at midnight in New York, at the price of then."""

    BTC = "BTC/USD"
    MONDAY = datetime(2026, 11, 23, 11, 0, tzinfo=NEW_YORK)

    def today(
        self, *executions: Execution, closes: Mapping[str, float], held: float = 0.5, **more: Any
    ) -> Today:
        known = account({self.BTC: held}, closes=closes, executions=executions, **more)
        at_now = {"as_of": more.get("as_of", AS_OF)}
        return Today(holding(self.BTC, 0.5), live(known, at(self.BTC, 61_000.0, **at_now), **at_now))

    def test_what_is_held_counts_from_midnight_on(self):
        today = self.today(closes={self.BTC: 60_000.0})

        assert today.figures() == dollars(500, 0, 500)
        assert today.totals.day.total == pytest.approx(500)
        assert today.totals.day_reasons == ()

    def test_no_session_is_named_of_which_nothing_was_measured(self):
        known = account({self.BTC: 0.5, "MSFT": 10}, closes={self.BTC: 60_000.0, "MSFT": 50.0})
        prices = at(self.BTC, 61_000.0), at("MSFT", 51.0)
        alone = Today(holding(self.BTC, 0.5), live(known, *prices))
        beside = Today(portfolio(holding(self.BTC, 0.5), holding("MSFT", 10)), live(known, *prices))

        assert (alone.totals.day.complete, alone.totals.day_base) == (True, None)
        assert (beside.totals.day.complete, beside.totals.day_base) == (True, YESTERDAY)

    def test_on_a_monday_that_is_sundays_price_and_no_sessions(self):
        of_day = {"day": date(2026, 11, 23), "as_of": self.MONDAY, "closes": {self.BTC: 60_000.0}}

        assert self.today(**of_day, closed_on=date(2026, 11, 22)).figures() == dollars(500, 0, 500)
        assert self.today(**of_day, closed_on=date(2026, 11, 20)).figures() == (None, 0.0, None)

    def test_without_that_price_the_reason_names_it_and_no_close(self):
        assert self.today(closes={}).totals.day_reasons == (
            "There is no price at which the day began, at midnight in New York: BTC/USD.",
        )

    def test_no_jump_of_a_coin_is_taken_for_a_split(self):
        assert self.today(closes={self.BTC: 30_000.0}).figures() == dollars(15_500, 0, 15_500)

    def test_of_what_was_traded_today_the_quantity_at_midnight_is_not_known_for_the_fees(self):
        today = self.today(traded(self.BTC, "0.1", 60_500), closes={self.BTC: 60_000.0})

        assert today.figures() == NOTHING
        assert today.row()["warnings"] == ["trades_unknown"]
        assert today.totals.day_reasons == (
            "Traded today, and of coins fees are taken in coins, so what was held at midnight is not known: BTC/USD.",
        )

    def test_where_the_account_holds_another_quantity_nothing_is_said(self):
        assert self.today(closes={self.BTC: 60_000.0}, held=0.4).figures() == NOTHING


class TestTheDay:
    """Days are New York's."""

    def test_an_evening_that_is_tomorrow_elsewhere_is_still_today(self):
        as_of = datetime(2026, 11, 20, 22, 0, tzinfo=NEW_YORK)
        known = account({C180: 1}, closes={C180: 1.0}, as_of=as_of)
        today = Today(position(), live(known, at(C180, 1.1, age=6 * 3600, as_of=as_of), as_of=as_of))

        assert today.row()["day_pnl"] == pytest.approx(10)

    def test_yesterdays_price_says_nothing_of_today(self):
        """Before the first quote of a day, and at weekends, a mark is the last session's."""
        early = datetime(2026, 11, 20, 8, 0, tzinfo=NEW_YORK)
        known = account({C180: 1}, closes={C180: 1.0}, as_of=early)
        today = Today(position(), live(known, at(C180, 1.1, age=16 * 3600, as_of=early), as_of=early))

        assert today.row()["mark"] == pytest.approx(1.1)
        assert today.figures() == (None, 0.0, None)
        assert today.totals.day_reasons == ("There is no price of today: AAPL 18 Dec 26 180 C.",)

    @pytest.mark.parametrize(("age", "profit"), [(3_600, 10.0), (16 * 3_600, None)])
    def test_a_price_without_a_time_is_of_the_day_on_which_it_came(self, age: float, profit: float | None):
        timeless = structs.replace(at(C180, 1.1, age=age), timestamp=None)
        today = Today(position(), live(account({C180: 1}, closes={C180: 1.0}), timeless))

        assert today.row()["day_pnl"] == (profit and pytest.approx(profit))

    def test_a_contract_bought_on_its_last_day_has_no_price_once_its_market_has_closed(self):
        """Bought at 0.30, at 0.50 when its market closed, and gone since: the account says what it settled at."""
        symbol, night = "AAPL261120C00180000", datetime(2026, 11, 20, 18, 0, tzinfo=NEW_YORK)
        trades = [traded(symbol, 1, 0.3), traded(symbol, -1, 0, kind=ExecutionKind.EXPIRY, at=None)]
        known = account({}, executions=trades, as_of=night)
        last = at(symbol, 0.5, age=2 * 3_600, as_of=night)
        still_there = Today(position(expiry=TODAY), live(known, last, as_of=night))
        removed = Today(portfolio(), live(known, last, as_of=night))

        assert still_there.row()["day_pnl"] is None
        assert still_there.row()["warnings"] == ["expired", "file_behind"]
        assert removed.totals.day.total == pytest.approx(-30)

    def test_an_expired_contract_has_no_price_of_today(self):
        gone, symbol = date(2026, 11, 19), "AAPL261119C00180000"
        expiry = traded(symbol, -1, 0, kind=ExecutionKind.EXPIRY, at=None)
        known = account({}, closes={symbol: 0.4}, executions=[expiry])
        today = Today(position(expiry=gone), live(known, at(symbol, 0.5)))

        assert today.row()["day_pnl"] is None
        assert today.row()["warnings"] == ["expired", "file_behind"]

    @pytest.mark.parametrize("day", [None, YESTERDAY])
    def test_without_todays_fills_nothing_is_known_of_today(self, day: date | None):
        known = account({C180: 1}, closes={C180: 1.0}, day=day)
        today = Today(position(), live(known, at(C180, 1.1)))

        assert today.figures() == NOTHING
        assert today.row()["previous_close"] == 1.0
        assert today.row()["warnings"] == ["trades_unknown"]
        assert today.totals.day_reasons == ("Today's fills have not been read yet.",)

    def test_what_is_waited_for_is_what_has_not_come(self):
        """The fills were read; told apart from positions they would be counted half."""
        refused = RestReport(
            RestTask.POSITIONS,
            RestPhase.REQUESTING,
            problems=(Problem("Alpaca answered with HTTP 500. Wait a minute."),),
        )
        known = replace(account({C180: 1}, closes={C180: 1.0}, day=None), view=None)
        reports = {**known.reports, RestTask.POSITIONS: refused}
        today = Today(position(), live(replace(known, reports=reports), at(C180, 1.1)))

        (reason,) = today.totals.day_reasons
        assert reason == f"The account's positions are asked for again, after this: {refused.problem}"

    def test_a_trade_after_the_last_reading_counts_as_if_it_had_been_read(self):
        sold = traded(C180, -1, 1.6)
        read = account({C180: 1}, closes={C180: 1.0}, executions=[sold])
        received = replace(account({C180: 2}, closes={C180: 1.0}), later=read.executions)

        for file in (position(contracts=1), position(contracts=2)):
            figures = [Today(file, live(known, at(C180, 1.1))).figures() for known in (read, received)]
            assert figures[0] == figures[1] != NOTHING

    def test_where_the_account_may_or_may_not_have_the_last_trade_nothing_is_told_of_that_line(self):
        known = account({C180: 2, C190: 1}, closes={C180: 1.0, C190: 0.5})
        open_one = replace(known, unsettled=frozenset({C180}))
        file = portfolio(position(contracts=2), position(identity="other", strike=190))
        today = Today(file, live(open_one, at(C180, 1.1), at(C190, 0.6)))

        assert today.row(1)["day_pnl"] == pytest.approx(10.0)
        assert today.totals.day.total is None
        assert today.totals.day_reasons == (
            "Whether the last fills are in the account's positions is not known yet: AAPL 18 Dec 26 180 C.",
        )

    def test_of_what_moved_and_nobody_tells_why_nothing_is_told_of_the_day(self):
        known = account({C180: 2, C190: 1}, closes={C180: 1.0, C190: 0.5})
        file = portfolio(position(contracts=2), position(identity="other", strike=190))
        today = Today(file, live(replace(known, unexplained=frozenset({C180})), at(C180, 1.1), at(C190, 0.6)))

        assert today.row(1)["day_pnl"] == pytest.approx(10.0)
        assert today.totals.day.total is None
        assert today.totals.day_reasons == (
            "The account holds another quantity of it than what it tells of today comes to: AAPL 18 Dec 26 180 C.",
        )

    @pytest.mark.parametrize("as_of", [None, AS_OF - timedelta(days=1)])
    def test_without_the_positions_of_today_nothing_is_known_of_it(self, as_of: datetime | None):
        known = account({C180: 1}, closes={C180: 1.0})
        view = known.view and as_of and replace(known.view, as_of=as_of)
        today = Today(position(), live(replace(known, view=view or None), at(C180, 1.1)))

        assert today.figures() == NOTHING
        assert today.totals.day_reasons == ("The account's positions have not been read yet.",)

    def test_a_failure_is_the_reason(self):
        problem = "Alpaca answered 500. It is asked again in a minute."
        report = RestReport(RestTask.FILLS, RestPhase.FAILED, problems=(Problem(problem),) if problem else ())
        known = replace(AccountState(), reports={**AccountState().reports, RestTask.FILLS: report})
        totals = Today(portfolio(), live(known)).totals

        assert totals.day_reasons == (f"Today's fills could not be read: {problem}",)
        assert totals.day.total is None

    def test_a_doubt_about_todays_fills_is_the_reason(self):
        doubt = "A fill of AAPL 18 Dec 26 180 C was withdrawn, and which one is not known."
        known = replace(account({C180: 1}, closes={C180: 1.0}, day=None), doubts=(doubt,))
        today = Today(position(), live(known, at(C180, 1.1)))

        assert today.figures() == NOTHING
        assert today.totals.day_reasons == (doubt,)

    @pytest.mark.parametrize("phase", [RestPhase.DONE, RestPhase.REQUESTING, RestPhase.FAILED])
    def test_a_fill_that_came_after_the_positions_were_read_is_the_reason(self, phase: RestPhase):
        later = "A fill came after the positions were read; they are read again in a moment."
        known = account({C180: 1}, closes={C180: 1.0}, executions=[traded(C180, 1, 1.0)], day=None)
        reports = {task: RestReport(task, phase) for task in RestTask}
        today = Today(
            position(contracts=2), live(replace(known, doubts=(later,), reports=reports), at(C180, 1.1))
        )

        assert today.figures() == NOTHING
        assert today.row()["warnings"] == ["quantity_in_doubt", "trades_unknown"]
        assert today.totals.day_reasons == (later,)

    def test_an_account_that_was_not_asked_is_no_fault_of_a_line(self):
        today = Today(position(), live(AccountState(), at(C180, 1.1)))

        assert today.figures() == NOTHING
        assert today.row()["warnings"] == []
        assert (today.totals.day.total, today.totals.day.of) == (None, 1)
        assert today.totals.day_reasons == ("Today's fills were not asked for.",)


class TestStructures:
    """A structure's day is the sum of its legs' days, or it is not known."""

    BOOK = structure(leg("long", 180), leg("short", 185), net_debit=60)
    KNOWN = account({C180: 1, C185: -1}, closes={C180: 1.0, C185: 0.4})

    def test_it_is_the_sum_of_its_legs(self):
        today = Today(self.BOOK, live(self.KNOWN, at(C180, 1.2), at(C185, 0.5)))

        assert today.legs["day_pnl"].tolist() == pytest.approx([20, -10])
        assert figures(today.structure()) == dollars(10, 0, 10)
        assert today.structure()["day_pct"] == pytest.approx(100 * 10 / 60)

    def test_with_a_missing_leg_it_is_not_known(self):
        today = Today(self.BOOK, live(self.KNOWN, at(C180, 1.2)))

        assert today.legs["day_pnl"].tolist() == [pytest.approx(20), pytest.approx(float("nan"), nan_ok=True)]
        assert figures(today.structure()) == (None, 0.0, None)
        # The total says what the row does: not one leg of two.
        assert (today.totals.day.known, today.totals.day.counted, today.totals.day.of) == (0, 0, 1)

    def test_what_worth_nothing_at_the_close_has_no_percentage(self):
        known = account({C180: 1, C185: -1}, closes={C180: 1.0, C185: 1.0})
        today = Today(self.BOOK, live(known, at(C180, 1.2), at(C185, 0.5)))

        assert (today.structure()["day_pnl"], today.structure()["day_pct"]) == (pytest.approx(70), None)


def test_a_book_names_a_few_of_its_lines_and_counts_the_rest():
    book = portfolio(*(position(strike=strike) for strike in (180, 185, 190, 195, 200)))
    known = account({item.live_symbol: 1 for item in book.instruments})
    today = Today(book, live(known, *(at(item.live_symbol, 1.0) for item in book.instruments)))

    (reason,) = today.totals.day_reasons
    assert reason.startswith("There is no close of 19 Nov 26: AAPL 18 Dec 26 180 C, AAPL 18 Dec 26 185 C, ")
    assert reason.endswith(" and 2 more.")


CENTS = st.integers(0, 2_000).map(lambda cents: Decimal(cents) / 100)
TRADES = st.lists(st.tuples(st.integers(-5, 5).filter(bool), CENTS), max_size=8)


@given(st.integers(-5, 5), CENTS, TRADES, CENTS)
def test_realized_and_unrealized_add_up_to_the_identity(
    overnight: int, close: Decimal, trades: list[tuple[int, Decimal]], price: Decimal
):
    """Whatever was traded in whichever order: held now − held at midnight + sold − bought."""
    position = RunningPosition.at_midnight(Decimal(overnight), close)
    for quantity, paid in trades:
        position = position.after(traded(C180, quantity, str(paid)))

    cash = -sum(quantity * paid for quantity, paid in trades)
    now = overnight + sum(quantity for quantity, _ in trades)
    assert position.quantity == now
    assert position.realized + position.quantity * (price - position.average) == pytest.approx(
        now * price - overnight * close + cash, abs=Decimal("1e-20")
    )


@given(st.integers(-5, 5).filter(bool), CENTS, TRADES)
def test_a_book_without_what_it_closed_has_what_the_trades_made(
    overnight: int, close: Decimal, trades: list[tuple[int, Decimal]]
):
    left = overnight + sum(quantity for quantity, _ in trades)
    executions = [traded(C180, quantity, str(paid)) for quantity, paid in trades]
    closing = traded(C180, -left, "1.00") if left else None
    done = [*executions, *([closing] if closing else [])]
    totals = Today(portfolio(), live(account({}, closes={C180: float(close)}, executions=done))).totals

    made = -overnight * close - sum(each.quantity * (each.price or 0) for each in done)
    assert totals.day.total == pytest.approx(float(100 * made), abs=1e-6)
    assert totals.day_realized.total == totals.day.total


class TestThePercentageOfAStructuresDay:
    """Its base is net and does not wander: a leg that is traded to and fro within the day leaves it as it is."""

    BOOK = structure(leg("long", 180), leg("short", 185), net_debit=300)
    CLOSES: Mapping[str, float] = MappingProxyType({C180: 8.0, C185: 5.0})

    def percent(self, *executions: Execution, closes: Mapping[str, float] | None = None) -> float | None:
        known = account({C180: 1, C185: -1}, closes=closes or self.CLOSES, executions=executions)
        today = Today(self.BOOK, live(known, at(C180, 8.6), at(C185, 5.3)))
        found = today.structure()["day_pct"]
        return None if found is None else float(found)

    def test_it_is_of_what_the_structure_was_worth_at_midnight(self):
        assert self.percent() == pytest.approx(100 * 30 / 300)

    def test_a_round_trip_in_one_leg_does_not_move_the_base(self):
        """Seen here: each purchase counted anew, so that the base came near zero and the percentage to hundreds."""
        trips = [traded(C185, 1, 5.2), traded(C185, -1, 5.25)] * 3

        assert self.percent(*trips) == pytest.approx(100 * (30 + 3 * 5) / 300)

    def test_opened_today_it_is_of_the_net_debit(self):
        assert self.percent(traded(C180, 1, 8.2), traded(C185, -1, 5.2)) == pytest.approx(100 * 30 / 300)

    def test_one_leg_of_yesterday_and_one_of_today_are_taken_together(self):
        assert self.percent(traded(C185, -1, 4.0)) == pytest.approx(100 * (60 - 130) / 400)

    def test_of_next_to_nothing_there_is_no_percentage(self):
        """8.00 less 7.95: five dollars beside sixteen hundred."""
        assert self.percent(closes={C180: 8.0, C185: 7.95}) is None


class TestTheTotalSaysWhatTheRowsDo:
    """Right after a fill the total counted three of a condor's four legs while its row showed none."""

    def test_a_structure_with_an_open_leg_counts_as_a_whole_or_not_at_all(self):
        book = portfolio(structure(leg("long", 180), leg("short", 185)), position(strike=190))
        known = account({C180: 1, C185: -1, C190: 1}, closes={C180: 5.0, C185: 3.0, C190: 1.0})
        unsettled = replace(known, unsettled=frozenset({C185}))
        today = Today(book, live(unsettled, at(C180, 5.2), at(C185, 3.1), at(C190, 1.5)))

        assert today.structure()["day_pnl"] is None
        assert (today.totals.day.counted, today.totals.day.of) == (1, 2)
        assert today.totals.day.known == pytest.approx(50)

    def test_the_base_is_named_also_where_only_what_was_closed_was_held_overnight(self):
        sold = account({}, closes={C180: 5.0}, executions=[traded(C180, -1, 6.0)])
        opened = account({C190: 1}, closes={C190: 1.0}, executions=[traded(C190, 1, 1.2)])

        assert Today(portfolio(), live(sold)).totals.day_base == YESTERDAY
        assert Today(position(strike=190), live(opened, at(C190, 1.5))).totals.day_base is None
