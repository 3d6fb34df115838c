"""From the midnight of a split until the account books it, an old quantity times a new price is no profit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from options_helper.analysis.attention.entries import AttentionKind
from options_helper.analysis.grades import Grade
from options_helper.analysis.risk.book_risk import assess_book
from options_helper.analysis.risk.book_values import LineRisk
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.model.account import AccountState, Execution
from options_helper.model.risk_inputs import CorporateActions, Dividend, RiskInputs
from options_helper.model.snapshot import LiveSnapshot
from tests.analysis.attention.world import attention, only
from tests.analysis.test_day_pnl import C180, C190, TODAY, account, at, changed_on, live, traded
from tests.kit.builders import AS_OF, holding, portfolio, position
from tests.kit.tables import row, totals_of

# 4 for 1: bought at 80 as 100 shares, which are quoted at 25 as 400.
SHARES = holding(shares=100, cost_basis=80.0)
CALL = position(strike=180, contracts=-1, cost_basis=1.0)
OTHER = holding("MSFT", 10, cost_basis=50.0)
HOLDS: Mapping[str, float | str] = {"AAPL": 100, C180: -1, "MSFT": 10}
PRICES = at("AAPL", 25.0), at(C180, 1.1), at("MSFT", 51.0)


def announced(
    actions: CorporateActions | None = None,
    *,
    holds: Mapping[str, float | str] = HOLDS,
    moved: Collection[str] = (),
    executions: Sequence[Execution] = (),
    known: AccountState | None = None,
) -> LiveSnapshot:
    """A split of AAPL for today, or what else is announced of it."""
    told = changed_on(TODAY, "forward_splits") if actions is None else actions
    of_account = account(holds, moved=moved, executions=executions) if known is None else known
    return replace(live(of_account, *PRICES), risk_inputs=RiskInputs(actions={"AAPL": told}))


def special(amount: float) -> CorporateActions:
    """A special dividend that goes ex today."""
    return CorporateActions("AAPL", AS_OF, TODAY, (Dividend("AAPL", TODAY, amount, special=True),))


def line(snapshot: LiveSnapshot, *entries: Any) -> LineRisk:
    """What `risk` says of the first line."""
    found = assess_book(
        portfolio(*entries), snapshot, RiskChoices(), stale_after_seconds=30, wide_spread_pct=10
    )
    return found.lines[0]


@pytest.mark.parametrize("kind", ["forward_splits", "reverse_splits", "stock_dividends", "stock_mergers"])
def test_neither_share_nor_contract_has_a_value_or_a_profit(kind: str):
    total = totals_of(portfolio(SHARES, CALL, OTHER), announced(changed_on(TODAY, kind)))

    assert (total.pnl.counted, total.pnl.of) == (1, 3)
    assert total.pnl.known == pytest.approx(10)
    assert (total.pnl_abs, total.market_value, total.liquidation_value) == (None, None, None)
    assert (total.day.counted, total.day.of) == (0, 3)


@pytest.mark.parametrize("kind", ["spin_offs", "rights_distributions"])
@pytest.mark.parametrize("moved", [(), ("NEW",)], ids=["before", "booked"])
def test_what_leaves_the_quantity_takes_the_day_of_the_share_and_the_value_of_contracts(
    kind: str, moved: Collection[str]
):
    """The old close is of a company with the part that leaves; the account's row names the new one alone."""
    snapshot = announced(changed_on(TODAY, kind), moved=moved)
    total = totals_of(portfolio(SHARES, CALL, OTHER), snapshot)

    assert (total.pnl.counted, total.pnl.of) == (2, 3)
    assert total.pnl.known == pytest.approx(-5500 + 10)
    assert total.day.counted == 0
    assert totals_of(portfolio(SHARES), snapshot).market_value == pytest.approx(2500)
    assert row(portfolio(SHARES), snapshot)["warnings"] == ["position_moved"]
    assert (line(snapshot, SHARES).delta, line(snapshot, CALL).delta) == (100, None)


def test_a_row_says_so_and_is_in_doubt():
    found = row(portfolio(SHARES), announced())

    assert found["grade"] == Grade.QUANTITY
    assert "changes_today" in found["warnings"]
    assert totals_of(portfolio(SHARES), announced()).unpriced == ()


@pytest.mark.parametrize("day", [TODAY - timedelta(days=1), TODAY + timedelta(days=1)])
def test_of_another_day_it_is_nothing(day: date):
    found = totals_of(portfolio(SHARES), announced(changed_on(day, "forward_splits")))

    assert found.pnl_abs == pytest.approx(-5500)


def test_once_the_account_has_booked_it_its_quantity_counts():
    booked = announced(holds={"AAPL": 400}, moved=["AAPL"])

    assert totals_of(portfolio(holding(shares=400, cost_basis=20.0)), booked).pnl_abs == pytest.approx(2000)


def test_what_moved_on_another_day_is_not_booked_today():
    known = account(HOLDS, moved=["AAPL"], day=TODAY - timedelta(days=1))

    assert totals_of(portfolio(SHARES), announced(known=known)).pnl_abs is None


def test_without_an_account_nobody_knows_of_which_share_the_file_is():
    assert totals_of(portfolio(SHARES), announced(known=AccountState())).pnl_abs is None


@pytest.mark.parametrize(("held", "profit"), [(10, 50.0), (11, None)], ids=["all of it", "one was held"])
def test_what_was_bought_today_is_of_todays_share(held: int, profit: float | None):
    found = announced(holds={"AAPL": held}, executions=[traded("AAPL", 10, 20)])
    total = totals_of(portfolio(holding(shares=held, cost_basis=20.0)), found)

    assert total.pnl_abs == (None if profit is None else pytest.approx(profit))
    assert total.day.total == (None if profit is None else pytest.approx(profit))


@pytest.mark.parametrize(("amount", "counted"), [(0.124, 2), (0.125, 1), (15.0, 1)])
def test_a_special_dividend_changes_contracts_and_no_share(amount: float, counted: int):
    """By OCC's rule, from $12.50 a contract on."""
    total = totals_of(portfolio(SHARES, CALL), announced(special(amount)))

    assert (total.pnl.counted, total.pnl.of) == (counted, 2)
    assert total.pnl.known == pytest.approx(-5500 - (10 if counted == 2 else 0))


def test_an_ordinary_dividend_changes_nothing():
    ordinary = CorporateActions("AAPL", AS_OF, TODAY, (Dividend("AAPL", TODAY, 1.0),))

    assert totals_of(portfolio(SHARES, CALL), announced(ordinary)).pnl.complete


@pytest.mark.parametrize("entry", [SHARES, CALL])
def test_no_figure_of_risk_goes_with_a_strike_or_a_quantity_of_the_old_share(entry: Any):
    found = line(announced(), entry)

    assert (found.delta, found.gamma, found.delta_dollars) == (None, None, None)
    assert any("its quantity and its strike may be of the old share" in one for one in found.reasons)


def test_whether_a_contract_is_in_the_money_is_not_judged_by_the_new_price():
    """A put of 180 would be deep in the money at 25, and the share of its strike costs 100."""
    put = position(strike=180, option_type="put", contracts=-1, cost_basis=1.0)
    symbol = C180.replace("C00", "P00")
    found = attention([put], announced(holds={symbol: -1}))

    entry = only(found, AttentionKind.FILE_ACCOUNT)
    assert entry.what == ("1 line of a share that a split or the like changes today: AAPL 18 Dec 26 180 P.")
    assert symbol in found.unjudged[AttentionKind.IN_THE_MONEY_SHORT]
    assert not [one for one in found.entries if one.kind is AttentionKind.IN_THE_MONEY_SHORT]


def test_nor_that_of_one_which_the_account_alone_has():
    """It ends today, so that it would be told with its money."""
    alone = "AAPL261120P00190000"
    found = attention([OTHER], announced(holds={"MSFT": 10, alone: -1}))

    assert [one for one in found.not_judged if "AAPL 20 Nov 26 190 P" in one]
    assert not [one for one in found.entries if one.kind is AttentionKind.IN_THE_MONEY_SHORT]


def test_several_executions_of_a_contract_that_was_opened_today_are_all_of_it():
    two = [traded(C190, 1, 0.5), traded(C190, Decimal(2), 0.6)]
    snapshot = announced(holds={C190: 3}, executions=two)
    found = row(portfolio(position(strike=190, contracts=3, cost_basis=0.5)), snapshot)

    assert "changes_today" not in found["warnings"]
