"""Where the file and the account differ is said row by row, with the likely cause and what to put into the file."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from options_helper.analysis.reconcile.account_import import import_portfolio
from options_helper.analysis.reconcile.grouping import group_entries
from options_helper.analysis.reconcile.reconciliation import (
    Behind,
    Cause,
    ReconciledRow,
    file_behind,
    proposed_edit,
    reconcile,
)
from options_helper.model.account import (
    AccountMove,
    AccountPosition,
    AccountPositions,
    AccountState,
    Execution,
    ExecutionKind,
    PositionMove,
    Source,
)
from options_helper.model.portfolio import MultiLegPosition, Portfolio, PortfolioEntry, parse_portfolio
from tests.kit.builders import (
    AAPL_CALL,
    AS_OF,
    EXPIRY,
    holding,
    is_contract,
    leg,
    lots_of,
    portfolio,
    position,
    share_leg,
    structure,
)

TODAY = AS_OF.date()
LONG_LEG, SHORT_LEG = "AAPL261218C00180000", "AAPL261218C00185000"


def held(symbol: str, quantity: float | str, price: str | None = "1", **amounts: str) -> AccountPosition:
    """A position of the account; its cost follows from its price unless given."""
    is_option = is_contract(symbol)
    number, multiplier = Decimal(str(quantity)), 100 if is_option else 1
    given = {name: Decimal(text) for name, text in amounts.items()}
    cost = None if price is None else Decimal(price) * number * multiplier
    return AccountPosition(
        symbol=symbol,
        quantity=number,
        is_option=is_option,
        average_price=None if price is None else Decimal(price),
        cost_basis=given.get("cost_basis", cost),
        market_value=given.get("market_value"),
        current_price=None,
    )


def account(
    *positions: AccountPosition, left_out: str = "", unnamed: int = 0, cash: str | None = None
) -> AccountPositions:
    by_symbol = {one.symbol: one for one in positions}
    known_cash = None if cash is None else Decimal(cash)
    return AccountPositions(AS_OF, by_symbol, known_cash, frozenset(left_out.split()), unnamed)


def executed(
    symbol: str,
    quantity: float,
    price: str | None = "1",
    kind: ExecutionKind = ExecutionKind.FILL,
    *,
    day: date = TODAY,
    order: str | None = "order",
) -> Execution:
    """A change of a position by this quantity."""
    amount = None if price is None else Decimal(price)
    return Execution("one", kind, symbol, Decimal(str(quantity)), amount, day, None, order, Source.REST)


def rows(file: Portfolio, view: AccountPositions, *executions: Execution, **options: Any) -> list[Any]:
    return list(reconcile(file, view, executions, today=TODAY, **options).rows)


def only_row(file: Portfolio, view: AccountPositions, *executions: Execution, **options: Any) -> Any:
    (row,) = rows(file, view, *executions, **options)
    return row


def edited(row: ReconciledRow) -> dict[str, Any]:
    """The proposed entry, which is one that a portfolio file can hold."""
    assert row.edit is not None
    parse_portfolio(f'{{"positions": [{row.edit}]}}', "edit.json")
    entry: dict[str, Any] = json.loads(row.edit)
    return entry


def test_a_file_that_holds_what_the_account_holds_agrees():
    file = portfolio(position(contracts=2), holding(), structure(leg("long", 190), leg("short", 195)))
    view = account(
        held(AAPL_CALL, 2),
        held("AAPL", 100, "250"),
        held("AAPL261218C00190000", 1, "3"),
        held("AAPL261218C00195000", -1, "2"),
    )

    found = reconcile(file, view, [], today=TODAY)

    assert found.agrees is True
    assert [row.label for row in found.rows] == [
        "AAPL 18 Dec 26 180 C",
        "AAPL shares",
        "AAPL 18 Dec 26 190 C",
        "AAPL 18 Dec 26 195 C",
        "AAPL 18 Dec 26 190C/195C (net debit)",
    ]
    assert {row.causes for row in found.rows} == {()}
    assert all(row.advice is None and row.edit is None for row in found.rows)


def test_two_empty_books_agree():
    assert reconcile(portfolio(), account(), [], today=TODAY).agrees is True


def test_a_row_has_quantity_cost_and_value_of_both_sides():
    row = only_row(
        portfolio(position(contracts=-2, cost_basis=4.6)),
        account(held(AAPL_CALL, -2, "4.6", market_value="-620")),
        marks={AAPL_CALL: 3.1},
    )

    assert (row.file_quantity, row.account_quantity) == (-2, -2)
    assert (row.file_cost, row.account_cost) == (-920, -920)
    assert (row.file_value, row.account_value) == (-620, -620)


@pytest.mark.parametrize(("cost_basis", "market_value"), [("-920", "-620"), ("920", "620")])
def test_amounts_of_a_short_are_negative_however_the_account_signs_them(cost_basis: str, market_value: str):
    view = account(held(AAPL_CALL, -2, "4.6", cost_basis=cost_basis, market_value=market_value))

    row = only_row(portfolio(position(contracts=-2, cost_basis=4.6)), view)

    assert (row.account_cost, row.account_value, row.agrees) == (-920, -620, True)


@pytest.mark.parametrize(
    ("in_file", "in_account", "kind", "price", "cause"),
    [
        (2, 3, ExecutionKind.FILL, "9.1", Cause.FILL_AFTER_FILE),
        (2, 0, ExecutionKind.FILL, "9.1", Cause.FILL_AFTER_FILE),
        (2, 0, ExecutionKind.EXPIRY, "0", Cause.EXPIRY),
        (-2, 0, ExecutionKind.ASSIGNMENT, "0", Cause.ASSIGNMENT),
        (2, 0, ExecutionKind.EXERCISE, "0", Cause.EXERCISE),
        (2, 1, ExecutionKind.OPTION_TRADE, "180", Cause.OPTION_TRADE),
    ],
)
def test_an_execution_that_makes_up_the_difference_is_its_cause(
    in_file: int, in_account: int, kind: ExecutionKind, price: str, cause: Cause
):
    execution = executed(AAPL_CALL, in_account - in_file, price, kind)

    row = only_row(
        portfolio(position(contracts=in_file)),
        account(*[held(AAPL_CALL, in_account)] if in_account else []),
        execution,
    )

    assert (row.agrees, row.causes, row.unknown_to_file) == (False, (cause,), (execution,))


def test_only_the_newest_executions_are_unknown_to_a_file_written_in_between():
    morning, noon = executed(AAPL_CALL, 2, "1"), executed(AAPL_CALL, 1, "1.2")

    row = only_row(portfolio(position(contracts=2)), account(held(AAPL_CALL, 3)), morning, noon)

    assert row.unknown_to_file == (noon,)


def test_a_bought_and_sold_contract_that_the_file_knows_is_no_difference():
    row = only_row(
        portfolio(position(contracts=2)),
        account(held(AAPL_CALL, 2)),
        executed(AAPL_CALL, 1),
        executed(AAPL_CALL, -1),
    )

    assert (row.agrees, row.unknown_to_file) == (True, ())


def test_executions_that_do_not_make_up_the_difference_explain_nothing():
    row = only_row(portfolio(position(contracts=2)), account(held(AAPL_CALL, 5)), executed(AAPL_CALL, 1))

    assert (row.causes, row.unknown_to_file) == ((Cause.UNEXPLAINED,), ())


def test_an_execution_before_the_day_of_the_file_explains_nothing():
    before = executed(AAPL_CALL, 1, day=TODAY - timedelta(days=2))
    file, view = portfolio(position(contracts=2)), account(held(AAPL_CALL, 3))

    assert only_row(file, view, before, file_date=TODAY).causes == (Cause.UNEXPLAINED,)
    assert only_row(file, view, before).causes == (Cause.FILL_AFTER_FILE,)


@pytest.mark.parametrize(
    ("expiry", "cause"),
    [
        (TODAY - timedelta(days=1), Cause.EXPIRY),
        (TODAY, Cause.NOT_IN_ACCOUNT),
        (EXPIRY, Cause.NOT_IN_ACCOUNT),
    ],
)
def test_what_the_account_does_not_have_expired_or_is_missing(expiry: date, cause: Cause):
    row = only_row(portfolio(position(expiry=expiry, identity="call")), account())

    assert (row.agrees, row.account_quantity, row.causes) == (False, 0, (cause,))
    assert (row.advice, row.edit) == ("Remove the entry 'call'.", None)


def test_what_the_file_does_not_have_is_proposed_under_an_id_of_its_own():
    file = portfolio(position(identity="aapl-18dec26-185c", cost_basis=None))
    view = account(held(AAPL_CALL, 1, None), held(SHORT_LEG, -2, "4.25"))

    row = rows(file, view)[1]

    assert (row.file_quantity, row.account_quantity, row.causes) == (0, -2, (Cause.NOT_IN_FILE,))
    assert row.advice == "Add this entry:"
    assert edited(row) == {
        "id": "aapl-18dec26-185c-2",
        "symbol": "AAPL",
        "option_type": "call",
        "expiry": "2026-12-18",
        "strike": 185,
        "contracts": -2,
        "cost_basis": 4.25,
    }


@pytest.mark.parametrize("symbol", ["ESCROW.CASH5", "A.B.C.D"])
def test_what_no_file_can_hold_is_said_and_no_difference(symbol: str):
    """A file that was just imported differed for ever."""
    found = reconcile(portfolio(), account(held(symbol, 5)), [], today=TODAY)

    assert (found.agrees, found.rows) == (True, ())
    assert found.remarks == (f"{symbol} (5) cannot be a position of a portfolio; it was left out.",)


@pytest.mark.parametrize(
    ("at", "cause"),
    [
        (datetime(2026, 11, 20, 20, 59, tzinfo=UTC), Cause.NOT_IN_ACCOUNT),
        (datetime(2026, 11, 20, 21, 0, tzinfo=UTC), Cause.EXPIRY),
    ],
)
def test_a_contract_that_ended_this_evening_has_expired(at: datetime, cause: Cause):
    file = portfolio(position(expiry=TODAY, identity="last"))
    row = only_row(file, AccountPositions(at, {}))

    assert (row.agrees, row.causes) == (False, (cause,))


def test_a_contract_whose_shares_moved_has_not_simply_expired():
    """Alpaca may tell the shares before, or without, what they moved for."""
    evening = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
    view = AccountPositions(evening, {"AAPL": held("AAPL", 100, "180")})
    file = portfolio(position(expiry=TODAY, contracts=1, identity="last"))
    found = rows(file, view, executed("AAPL", 100, "180", ExecutionKind.OPTION_TRADE))

    assert [row.causes for row in found] == [(Cause.OPTION_TRADE,), (Cause.OPTION_TRADE,)]


def test_what_has_ended_and_is_still_in_the_account_is_said():
    evening = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
    symbol = "AAPL261120C00180000"
    view = AccountPositions(evening, {symbol: held(symbol, 1, "1")})
    row = only_row(portfolio(position(expiry=TODAY, contracts=1, cost_basis=1)), view)

    assert (row.agrees, row.causes) == (True, (Cause.EXPIRY,))


OPENED = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)  # 10:00 in New York
SETTLED = "SPX261120P06700000"  # by the opening prices of that day


@pytest.mark.parametrize("executions", [(), (executed(SETTLED, 1),)], ids=["old", "of today"])
def test_what_has_ended_and_only_the_account_lists_is_expired_and_not_to_be_added(
    executions: tuple[Execution, ...],
):
    """Check says to remove it, and who did was told to add it again."""
    view = AccountPositions(OPENED, {SETTLED: held(SETTLED, 1, "12")}, Decimal(5))
    file = portfolio(cash=10.0)
    row = only_row(file, view, *executions)

    assert (row.agrees, row.causes, row.account_quantity) == (True, (Cause.EXPIRY,), 1)
    assert (row.advice, row.edit, row.cash_edit) == (None, None, None)
    assert (row.unknown_to_file, row.moves) == ((), ())
    assert file_behind(file, account_state(view, *executions)) is None


def test_what_ended_by_the_market_s_own_hours_is_not_to_be_added_either():
    bought = executed(f"AAPL{TODAY:%y%m%d}C00180000", 1)
    state = account_state(AccountPositions(OPENED, {bought.symbol: held(bought.symbol, 1)}), bought)

    assert file_behind(portfolio(), state) is not None
    assert file_behind(portfolio(), state, {TODAY: None}) is None


def test_what_has_ended_is_no_leg_of_what_is_proposed():
    """A calendar of which the near leg has ended this evening is its far leg."""
    evening = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
    near, far = held("AAPL261120C00180000", -1, "1"), held(AAPL_CALL, 1, "4")
    ended, alive = rows(portfolio(), AccountPositions(evening, {one.symbol: one for one in (near, far)}))

    assert (ended.agrees, ended.advice) == (True, None)
    assert "legs" not in edited(alive)


def test_until_the_moment_at_which_it_ends_it_is_missing_from_the_file():
    before = OPENED.replace(hour=14, minute=29)
    row = only_row(portfolio(), AccountPositions(before, {SETTLED: held(SETTLED, 1, "12")}))

    assert (row.agrees, row.causes, row.advice) == (False, (Cause.NOT_IN_FILE,), "Add this entry:")


def test_what_has_ended_has_no_value_at_a_mark():
    strike = position("SPX", 6700, "put", expiry=TODAY, contracts=1, cost_basis=12)
    view = AccountPositions(OPENED, {SETTLED: held(SETTLED, 1, "12", market_value="2100")})
    row = only_row(portfolio(strike), view, marks={SETTLED: 20.95})

    assert (row.agrees, row.file_value, row.account_value) == (True, None, 2100)
    assert row.causes == (Cause.EXPIRY,)


@pytest.mark.parametrize("told", [True, False])
def test_shares_of_before_a_split_have_no_value_at_a_mark_of_after_it(*, told: bool):
    split = (AccountMove("ca", PositionMove.SPLIT, "KO", Decimal(100), TODAY),) if told else ()
    view = account(held("KO", 200, "35"))
    row = only_row(portfolio(holding("KO", 100, cost_basis=70)), view, marks={"KO": 36.0}, moves=split)

    assert (row.file_quantity, row.account_quantity, row.file_value) == (100, 200, None)


def test_what_was_only_traded_keeps_its_value():
    view = account(held("KO", 200, "40"))
    row = only_row(
        portfolio(holding("KO", 100, cost_basis=70)), view, executed("KO", 100), marks={"KO": 36.0}
    )

    assert row.file_value == 3600


def test_a_coin_that_the_file_calls_shares_is_no_share_that_was_sold():
    view = AccountPositions(AS_OF, {}, foreign=frozenset({"BTCUSD"}))
    row = only_row(portfolio(holding("BTCUSD", 1)), view)

    assert (row.agrees, row.causes, row.advice) == (
        False,
        (Cause.NO_PLACE_IN_FILE,),
        "Remove the entry 'BTCUSD-shares'.",
    )


@pytest.mark.parametrize(
    ("in_file", "agrees"), [(None, True), (2.35, True), (0.0235, True), (5.0, None)], ids=str
)
def test_two_costs_that_contradict_each_other_are_said_and_none_is_proposed(
    in_file: float | None,
    agrees: bool | None,  # noqa: FBT001 - a verdict
):
    view = account(held(AAPL_CALL, 2, "0.0235", cost_basis="470"))
    row = only_row(portfolio(position(contracts=2, cost_basis=in_file)), view)

    assert (row.agrees, row.causes, row.edit) == (agrees, (Cause.CONTRADICTION,), None)


def test_the_edit_of_a_changed_quantity_keeps_the_entry_and_takes_quantity_and_cost_of_the_account():
    row = only_row(portfolio(position(contracts=2, identity="mine")), account(held(AAPL_CALL, 3, "1.066667")))

    assert row.advice == "Replace the entry 'mine' by:"
    assert edited(row) == json.loads(
        '{"id": "mine", "symbol": "AAPL", "option_type": "call", "expiry": "2026-12-18", "strike": 180,'
        ' "contracts": 3, "cost_basis": 1.066667}'
    )


def test_parts_of_a_share_are_kept_exactly():
    row = only_row(portfolio(holding(shares=10)), account(held("AAPL", "10.123456789", "250")))

    assert edited(row)["shares"] == 10.123456789


def test_a_row_that_cannot_be_read_is_neither_right_nor_wrong():
    found = reconcile(
        portfolio(position(), holding()),
        account(held("AAPL", 100, "250"), left_out=AAPL_CALL),
        [],
        today=TODAY,
    )

    assert found.agrees is None
    assert (found.rows[0].agrees, found.rows[0].account_quantity, found.rows[0].causes) == (
        None,
        None,
        (Cause.NOT_READ,),
    )
    assert found.rows[0].advice is None


def test_a_position_that_cannot_be_read_and_that_the_file_lacks_is_a_row_of_its_own():
    found = reconcile(
        portfolio(holding()), account(held("AAPL", 100, "250"), left_out=SHORT_LEG), [], today=TODAY
    )

    assert found.agrees is None
    row = found.rows[-1]
    assert (row.label, row.agrees, row.causes) == ("AAPL 18 Dec 26 185 C", None, (Cause.NOT_READ,))
    assert (row.file_quantity, row.account_quantity) == (Decimal(0), None)
    assert row.advice is None


def test_positions_without_a_name_may_be_anything_so_nothing_agrees_for_sure():
    found = reconcile(portfolio(holding()), account(held("AAPL", 100, "250"), unnamed=2), [], today=TODAY)

    assert [row.agrees for row in found.rows] == [True, None, None]
    assert found.agrees is None


@pytest.mark.parametrize(
    ("price", "agrees"), [("1.005", True), ("0.995", True), ("1.0051", False), ("0.99", False)]
)
def test_costs_may_differ_by_what_rounding_to_cents_takes(price: str, *, agrees: bool):
    row = only_row(portfolio(position(contracts=3, cost_basis=1.0)), account(held(AAPL_CALL, 3, price)))

    assert row.agrees is agrees
    assert row.causes == (() if agrees else (Cause.COST_METHOD,))
    assert agrees or edited(row)["cost_basis"] == float(price)


def test_a_cost_that_only_the_account_knows_is_proposed_and_no_difference():
    row = only_row(portfolio(position(cost_basis=None)), account(held(AAPL_CALL, 1, "2.5")))

    assert (row.agrees, row.file_cost, row.account_cost) == (True, None, 250)
    assert row.causes == (Cause.COST_NOT_IN_FILE,)
    assert edited(row)["cost_basis"] == 2.5


def test_a_cost_that_the_account_does_not_know_is_not_compared():
    row = only_row(portfolio(position()), account(held(AAPL_CALL, 1, None)))

    assert (row.agrees, row.account_cost, row.causes) == (True, None, ())


def test_another_valuation_is_explained_and_no_difference():
    row = only_row(
        portfolio(position()), account(held(AAPL_CALL, 1, market_value="90")), marks={AAPL_CALL: 1.05}
    )

    assert (row.agrees, row.file_value, row.account_value) == (True, 105, 90)
    assert row.causes == (Cause.LAST_TRADE_VALUATION,)


def test_what_several_entries_hold_is_compared_as_a_whole():
    file = portfolio(
        position(contracts=2, cost_basis=1, identity="a"), position(contracts=1, cost_basis=4, identity="b")
    )

    row = only_row(file, account(held(AAPL_CALL, 3, "2")))
    changed = only_row(file, account(held(AAPL_CALL, 4, "2")))

    assert (row.agrees, row.file_quantity, row.file_cost, row.account_cost) == (True, 3, 600, 600)
    assert (changed.advice, changed.edit) == (
        "Change 'a' and 'b' so that together they hold 4 AAPL 18 Dec 26 180 C at 2.00.",
        None,
    )


def test_entries_that_share_what_the_account_no_longer_has_are_told_of_which_contract():
    file = portfolio(position(identity="a"), position(identity="b"), position(identity="c"))

    row = only_row(file, account())

    assert row.advice == "Change 'a', 'b' and 'c' so that together they hold no AAPL 18 Dec 26 180 C."


def test_a_wrong_multiplier_is_the_cause_and_the_one_that_follows_from_the_cost_is_proposed():
    file = portfolio(position("AAPL1", contracts=2, cost_basis=5, multiplier=150, identity="a10"))

    row = only_row(file, account(held("AAPL1261218C00180000", 2, "5", cost_basis="1000")))

    assert (row.file_cost, row.account_cost, row.causes) == (1500, 1000, (Cause.MULTIPLIER,))
    assert row.advice == "Replace the entry 'a10' by:"
    assert edited(row)["multiplier"] == 100


def test_a_cost_that_carries_over_what_closed_parts_brought_may_be_kept():
    """What is left of a calendar, at the debit of both, or shares less the premium that they brought."""
    rest = structure(leg("long", 180), net_debit=300.0, identity="rest")
    (_, of_rest) = rows(portfolio(rest), account(held(AAPL_CALL, 1, "5")))
    of_shares = only_row(portfolio(holding(cost_basis=243.0)), account(held("AAPL", 100, "250")))

    for row in (of_rest, of_shares):
        assert row.causes == (Cause.COST_METHOD,)
        assert row.advice.startswith(
            "Keep the file's cost if it carries what closed parts brought or cost, or name that as realized. "
            "Otherwise: Replace the entry"
        )
        assert row.edit


def test_an_entry_that_would_stay_the_same_is_never_proposed():
    row = only_row(
        portfolio(position(symbol="AAPL1", contracts=2, cost_basis=5, multiplier=100, identity="mine")),
        account(held("AAPL1261218C00180000", 2, "5", cost_basis="1499")),
    )

    assert (row.agrees, row.edit) == (False, None)
    assert row.advice == (
        "Leave the entry 'mine' as it is: its price is the account's, "
        "and the account's total does not follow from that price."
    )


@pytest.mark.parametrize(
    ("entry", "left", "identity"),
    [
        (position(contracts=-2, identity="msft-covered-call"), held(AAPL_CALL, 4), "aapl-18dec26-180c"),
        (position(contracts=-2, identity="msft-covered-call"), held(AAPL_CALL, -1), "msft-covered-call"),
        (position(contracts=2, identity="long-call"), held(AAPL_CALL, -1), "aapl-18dec26-180c"),
        (position(contracts=2, identity="my trade"), held(AAPL_CALL, -1), "my trade"),
        (holding(shares=100).changed(id="long-aapl"), held("AAPL", -5), "aapl-shares"),
        (structure(identity="aapl-call-vertical"), held(SHORT_LEG, -1), "aapl-18dec26-185c"),
        (structure(identity="my trade"), held(SHORT_LEG, -1), "my trade"),
    ],
)
def test_an_id_that_no_longer_says_what_the_entry_holds_gives_way_to_one_that_does(
    entry: Any, left: AccountPosition, identity: str
):
    row = next(row for row in rows(portfolio(entry), account(left)) if row.edit)

    assert row.advice == f"Replace the entry '{entry.id}' by:"
    assert edited(row)["id"] == identity


def test_a_structure_that_became_another_kind_is_proposed_once_under_its_new_name():
    condor = structure(
        leg("long", 170, "put"),
        leg("short", 175, "put"),
        leg("short", 180),
        leg("long", 185),
        identity="condor",
    )
    view = account(held(AAPL_CALL, -1), held(SHORT_LEG, 1))

    edits = {row.edit for row in rows(portfolio(condor), view) if row.edit}

    assert [json.loads(edit)["id"] for edit in edits] == ["aapl-18dec26-vertical"]


def test_an_adjusted_contract_without_a_multiplier_has_no_cost_to_compare():
    file = portfolio(position("AAPL1", cost_basis=1))

    row = only_row(file, account(held("AAPL1261218C00180000", 1, "5")))

    assert (row.file_cost, row.agrees) == (None, True)


def test_the_net_debit_of_a_structure_is_compared_with_the_cost_of_its_legs():
    file = portfolio(structure(net_debit=100, identity="vertical"))
    view = account(held(LONG_LEG, 1, "3"), held(SHORT_LEG, -1, "1.5"))

    row = rows(file, view)[-1]

    assert (row.symbol, row.file_cost, row.account_cost) == (None, 100, 150)
    assert (row.agrees, row.causes, row.file_quantity) == (False, (Cause.COST_METHOD,), None)
    assert (edited(row)["net_debit"], edited(row)["id"]) == (150, "vertical")


def grouped_spy_account() -> tuple[Portfolio, AccountPositions]:
    """An account of a condor and more puts, and a file whose two structures share both puts, with their net debits."""
    view = account(
        held("SPY261218P00650000", 5, "6"),
        held("SPY261218P00660000", -8, "8.5"),
        held("SPY261218C00700000", -3, "4"),
        held("SPY261218C00710000", 3, "2.5"),
    )
    entries = [
        with_net_debit(one) for one in group_entries(import_portfolio(view).portfolio.positions).entries
    ]
    assert len(entries) > 1
    assert isinstance(entries[0], MultiLegPosition)
    return portfolio(*entries), view


def with_net_debit(entry: PortfolioEntry) -> PortfolioEntry:
    """A structure that names its cost in one figure."""
    if not isinstance(entry, MultiLegPosition) or entry.opening_cost is None:
        return entry
    legs = tuple(one.changed(cost_basis=None) for one in entry.legs)
    return entry.changed(net_debit=float(entry.opening_cost), legs=legs)


def test_structures_as_import_groups_them_agree_contract_by_contract():
    _, view = grouped_spy_account()
    file = portfolio(*group_entries(import_portfolio(view).portfolio.positions).entries)

    found = reconcile(file, view, [], today=TODAY)

    assert found.agrees is True
    assert [row.symbol for row in found.rows] == list(
        dict.fromkeys(one.live_symbol for one in file.instruments)
    )


def test_structures_that_share_contracts_agree_when_the_sum_of_their_costs_does():
    file, view = grouped_spy_account()

    found = reconcile(file, view, [], today=TODAY)

    assert found.agrees is True
    (together,) = (row for row in found.rows if row.symbol is None)
    assert together.label.endswith(", which share contracts (net debit)")
    assert all(f"'{entry.id}'" in together.label for entry in file.positions)
    assert together.file_cost == together.account_cost == Decimal(-4250)


def test_a_wrong_net_debit_differs_though_another_entry_shares_its_contracts():
    file, view = grouped_spy_account()
    condor, *others = file.positions
    assert isinstance(condor, MultiLegPosition)

    found = reconcile(
        portfolio(condor.changed(net_debit=-(condor.net_debit or 0)), *others), view, [], today=TODAY
    )

    assert found.agrees is False
    (together,) = (row for row in found.rows if row.agrees is False)
    assert together.causes == (Cause.COST_METHOD,)
    assert together.advice is not None
    assert together.advice.endswith("so that together they come to -4,250.00.")


def test_shared_contracts_of_which_a_cost_is_missing_are_said_not_to_be_compared():
    file = portfolio(structure(identity="vertical"), position(cost_basis=None, identity="call"))
    view = account(held(LONG_LEG, 2, "3"), held(SHORT_LEG, -1, "1.5"))

    found = reconcile(file, view, [], today=TODAY)

    assert found.agrees is None
    (together,) = (row for row in found.rows if row.symbol is None)
    assert together.label == "'vertical' and 'call', which share contracts (net debit)"
    assert together.causes == (Cause.NOT_COMPARED,)


def test_entries_hang_together_over_a_third_one():
    file = portfolio(
        position(cost_basis=3, identity="a"),
        position(strike=185, contracts=-1, cost_basis=1.5, identity="b"),
        structure(net_debit=150, identity="vertical"),
    )
    view = account(held(LONG_LEG, 2, "3"), held(SHORT_LEG, -2, "1.5"))

    (together,) = (row for row in rows(file, view) if row.symbol is None)

    assert together.label == "'a', 'b' and 'vertical', which share contracts (net debit)"
    assert (together.agrees, together.file_cost) == (True, 300)


def test_a_structure_with_a_changed_leg_is_rewritten_as_the_account_holds_it():
    file = portfolio(structure(leg("long", 180, contracts=2), leg("short", 185, contracts=2)))
    view = account(held(LONG_LEG, 2, "3"), held(SHORT_LEG, -1, "1.5"))

    found = reconcile(file, view, [executed(SHORT_LEG, 1)], today=TODAY)

    assert [row.agrees for row in found.rows] == [True, False]
    assert edited(found.rows[1])["legs"] == [
        {"side": "long", "option_type": "call", "expiry": "2026-12-18", "strike": 180, "contracts": 2},
        {"side": "short", "option_type": "call", "expiry": "2026-12-18", "strike": 185, "contracts": 1},
    ]
    assert edited(found.rows[1])["net_debit"] == 450


def test_a_structure_of_which_one_leg_is_left_becomes_a_single():
    found = reconcile(
        portfolio(structure(identity="vertical")), account(held(LONG_LEG, 1, "3")), [], today=TODAY
    )

    assert edited(found.rows[1]) == {
        "id": "aapl-18dec26-180c",
        "symbol": "AAPL",
        "option_type": "call",
        "expiry": "2026-12-18",
        "strike": 180,
        "contracts": 1,
        "cost_basis": 3,
    }


def test_a_structure_that_is_gone_is_removed_once():
    found = reconcile(portfolio(structure(identity="vertical")), account(), [], today=TODAY)

    assert {(row.advice, row.edit) for row in found.rows} == {("Remove the entry 'vertical'.", None)}


@pytest.mark.parametrize(
    ("others", "price", "left_out", "words"),
    [
        (
            [position(identity="single")],
            "3",
            "",
            "Change 'structure' by hand: another entry holds AAPL 18 Dec 26 180 C too.",
        ),
        ([], None, "", "Change 'structure' by hand: the account does not say what its legs cost."),
        (
            [],
            "3",
            LONG_LEG,
            "Change 'structure' by hand: the account's row of AAPL 18 Dec 26 180 C cannot be read.",
        ),
    ],
)
def test_a_structure_that_cannot_be_told_is_left_to_the_user(
    others: list[Any], price: str | None, left_out: str, words: str
):
    readable = [
        one for one in (held(LONG_LEG, 1, price), held(SHORT_LEG, -2, "1.5")) if one.symbol != left_out
    ]
    view = account(*readable, left_out=left_out)

    found = reconcile(portfolio(structure(), *others), view, [], today=TODAY)

    row = next(row for row in found.rows if row.symbol == SHORT_LEG)
    assert (row.advice, row.edit) == (words, None)


def account_state(view: AccountPositions | None, *executions: Execution) -> AccountState:
    """What REST told; whether these are all executions of the day does not matter."""
    return AccountState(view=view, executions=executions, executions_day=None)


def test_the_banner_names_what_the_file_does_not_know_and_proposes_the_edit():
    file = portfolio(position(contracts=2, identity="mine"), structure(identity="vertical", symbol="SPY"))
    view = account(
        held(AAPL_CALL, 1, "1"), held("SPY261218C00180000", 1, "3"), held("SPY261218C00185000", -1, "2")
    )

    behind = file_behind(file, account_state(view, executed(AAPL_CALL, -1, "9.10")))

    assert behind is not None
    assert behind.sentence == "Your file is behind the account: sold 1 AAPL 18 Dec 26 180 C at 9.10."
    assert behind.edit.startswith("Replace the entry 'mine' by:\n{")
    assert json.loads(behind.edit.partition("\n")[2])["contracts"] == 1


def test_the_banner_tells_an_assignment_and_its_shares():
    behind = file_behind(
        portfolio(position(option_type="put", contracts=-1, identity="put")),
        account_state(
            account(held("AAPL", 100, "180")),
            executed("AAPL261218P00180000", 1, "0", ExecutionKind.ASSIGNMENT),
            executed("AAPL", 100, "180", ExecutionKind.OPTION_TRADE),
        ),
    )

    assert behind is not None
    assert behind.sentence == (
        "Your file is behind the account: 1 AAPL 18 Dec 26 180 P assigned; "
        "bought 100 AAPL shares at 180.00 by assignment or exercise."
    )
    assert behind.edit.startswith("Remove the entry 'put'.\n\nAdd this entry:\n{")


def test_the_banner_names_three_executions_and_counts_the_rest():
    fills = [executed(AAPL_CALL, 1, "2", order=f"order {number}") for number in range(5)]

    behind = file_behind(portfolio(), account_state(account(held(AAPL_CALL, 5)), *fills))

    assert behind is not None
    assert behind.sentence.count("bought 1 AAPL 18 Dec 26 180 C at 2") == 3
    assert behind.sentence.endswith("; and 2 more.")
    assert behind.edit.count("Add this entry:") == 1


@pytest.mark.parametrize(
    ("fills", "said"),
    [
        (
            [executed(AAPL_CALL, 1, "2.03"), executed(AAPL_CALL, 4, "2.03")],
            "bought 5 AAPL 18 Dec 26 180 C at 2.03.",
        ),
        (
            [
                executed(AAPL_CALL, 2, "2"),
                executed(AAPL_CALL, 1, "2.01"),
                executed(AAPL_CALL, 2, "2", order="b"),
            ],
            "bought 3 AAPL 18 Dec 26 180 C at 2.0033; bought 2 AAPL 18 Dec 26 180 C at 2.00.",
        ),
        (
            [executed(AAPL_CALL, 4, "2", order=None), executed(AAPL_CALL, 1, "2", order=None)],
            "bought 4 AAPL 18 Dec 26 180 C at 2.00; bought 1 AAPL 18 Dec 26 180 C at 2.00.",
        ),
        ([executed(AAPL_CALL, 1, None), executed(AAPL_CALL, 4, "2")], "bought 5 AAPL 18 Dec 26 180 C."),
    ],
    ids=["one price", "two orders", "no order", "a price missing"],
)
def test_the_banner_adds_up_the_partial_fills_of_an_order(fills: list[Execution], said: str):
    behind = file_behind(portfolio(), account_state(account(held(AAPL_CALL, 5)), *fills))

    assert behind is not None
    assert behind.sentence == f"Your file is behind the account: {said}"


def test_new_positions_come_with_the_cash_that_goes_with_them():
    file = portfolio(position(contracts=2, identity="mine"), cash=18250)
    view = account(held(AAPL_CALL, 3), cash="4686.00")
    cash = (
        "Replace the cash of 18,250.00, which does not go with these positions, by the account's:\n"
        '"cash": 4686.00'
    )

    behind = file_behind(file, account_state(view, executed(AAPL_CALL, 1)))

    assert proposed_edit(rows(file, view)).endswith(f"}}\n\n{cash}")
    assert behind is not None
    assert behind.edit.endswith(f"}}\n\n{cash}")


@pytest.mark.parametrize(
    ("in_file", "view"),
    [
        (18250.0, account(held(AAPL_CALL, 3), cash="18250")),
        (18250.0, account(held(AAPL_CALL, 3))),
        (None, account(held(AAPL_CALL, 3), cash="4686")),
        (18250.0, account(held(AAPL_CALL, 2, "7"), cash="4686")),
        (18250.0, account(held(AAPL_CALL, 2, "7"), held("ESCROW.CASH5", 5), cash="4686")),
    ],
    ids=["the same", "not known", "not in the file", "only a cost changes", "what no file can hold"],
)
def test_cash_is_left_alone_when_positions_stay_or_it_is_right_or_unknown(
    in_file: float | None, view: AccountPositions
):
    edit = proposed_edit(rows(portfolio(position(contracts=2), cash=in_file), view))

    assert edit
    assert "cash" not in edit


@pytest.mark.parametrize(
    ("view", "executions"),
    [
        (None, [executed(AAPL_CALL, 1)]),
        (account(held(AAPL_CALL, 1)), [executed(AAPL_CALL, 1)]),
        (account(held(AAPL_CALL, 5)), [executed(AAPL_CALL, 1)]),
        (account(held(AAPL_CALL, 5)), []),
    ],
    ids=["no view", "the file knows it", "it explains nothing", "no execution"],
)
def test_there_is_no_banner_without_an_execution_that_the_file_does_not_know(
    view: AccountPositions | None, executions: list[Execution]
):
    behind: Behind | None = file_behind(portfolio(position()), account_state(view, *executions))

    assert behind is None


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_is_explained_in_the_docs(cause: Cause, repository: Path):
    page = (repository / "docs" / "IMPORT_AND_RECONCILE.md").read_text(encoding="utf-8")

    assert cause.label.partition(":")[0].partition(",")[0] in page.replace("\n", " ")


COVERED = structure(
    share_leg(), leg("short", 180, symbol="AAPL"), net_debit=24_300, identity="income"
).changed(opened_at=date(2026, 11, 2))


class TestStructuresThatPeopleHold:
    """Shares as a leg, costs by leg, an unknown debit: compared as they are, and kept by the edit."""

    def test_a_covered_call_agrees_leg_by_leg_and_by_its_net_debit(self):
        found = rows(portfolio(COVERED), account(held("AAPL", 100, "250"), held(AAPL_CALL, -1, "7")))

        assert [(row.label, row.agrees) for row in found] == [
            ("AAPL shares", True),
            ("AAPL 18 Dec 26 180 C", True),
            ("AAPL shares/18 Dec 26 180C (net debit)", True),
        ]

    def test_a_leg_that_grew_keeps_everything_else_that_the_entry_says(self):
        row, *_ = rows(portfolio(COVERED), account(held("AAPL", 200, "250"), held(AAPL_CALL, -2, "7")))

        assert row.advice == "Replace the entry 'income' by:"
        assert edited(row) == {
            "id": "income",
            "symbol": "AAPL",
            "net_debit": 48_600,
            "opened_at": "2026-11-02",
            "legs": [
                {"side": "long", "shares": 200},
                {
                    "side": "short",
                    "symbol": "AAPL",
                    "option_type": "call",
                    "expiry": "2026-12-18",
                    "strike": 180,
                    "contracts": 2,
                },
            ],
        }

    def test_shares_that_were_called_away_leave_nothing_and_a_call_that_was_bought_back_leaves_shares(self):
        gone, *_ = rows(portfolio(COVERED), account())
        shares_left = rows(portfolio(COVERED), account(held("AAPL", 100, "250")))[1]

        assert gone.advice == "Remove the entry 'income'."
        assert edited(shares_left) == {
            "id": "income",
            "symbol": "AAPL",
            "shares": 100,
            "cost_basis": 250,
            "opened_at": "2026-11-02",
        }

    def test_a_call_that_is_left_without_its_shares_is_a_single(self):
        row, *_ = rows(portfolio(COVERED), account(held(AAPL_CALL, -1, "7")))

        assert edited(row)["contracts"] == -1
        assert edited(row)["opened_at"] == "2026-11-02"

    def test_costs_by_leg_are_compared_and_corrected_by_leg(self):
        by_leg = structure(
            leg("long", 180, cost_basis=8.4), leg("short", 185, cost_basis=3.15), net_debit=None
        )

        long_leg, short_leg = rows(
            portfolio(by_leg), account(held(LONG_LEG, 1, "8.4"), held(SHORT_LEG, -1, "3.4"))
        )

        assert (long_leg.agrees, short_leg.agrees) == (True, False)
        assert short_leg.causes == (Cause.COST_METHOD,)
        assert [one["cost_basis"] for one in edited(short_leg)["legs"]] == [8.4, 3.4]
        assert "net_debit" not in edited(short_leg)

    def test_what_a_leg_that_is_left_alone_cost_stays_as_the_file_has_it(self):
        by_leg = structure(
            leg("long", 180, cost_basis=8.4), leg("short", 185, cost_basis=3.15), net_debit=None
        )

        _, closed = rows(portfolio(by_leg), account(held(LONG_LEG, 1, "8.3966")))

        assert (closed.agrees, edited(closed)["cost_basis"]) == (False, 8.4)

    def test_a_structure_of_unknown_cost_agrees_and_is_offered_the_account_s(self):
        unknown = structure(net_debit=None)

        first, second = rows(
            portfolio(unknown), account(held(LONG_LEG, 1, "8.4"), held(SHORT_LEG, -1, "3.4"))
        )

        assert (first.agrees, second.agrees) == (True, True)
        assert first.causes == (Cause.COST_NOT_IN_FILE,)
        assert [one["cost_basis"] for one in edited(first)["legs"]] == [8.4, 3.4]

    def test_each_leg_is_looked_for_under_its_own_symbol(self):
        mixed = structure(leg("long", 6800), leg("short", 6800, symbol="SPXW"), symbol="SPX", net_debit=200)
        view = account(held("SPX261218C06800000", 1, "12"), held("SPXW261218C06800000", -1, "10"))

        assert all(row.agrees for row in rows(portfolio(mixed), view))


OLDER, NEWER = date(2026, 10, 2), date(2026, 11, 2)
LOTS = lots_of((2, 8.0, NEWER), (1, 5.0, OLDER), realized=150.0, fees=2.6)


class TestLotsGainsAndFees:
    """What an account cannot know is compared where it can be, and kept by every edit."""

    def test_lots_agree_by_their_sum(self):
        row = only_row(portfolio(LOTS), account(held(AAPL_CALL, 3, "7")))

        assert (row.agrees, row.file_quantity, row.file_cost) == (True, 3, 2100)

    def test_what_was_bought_since_is_a_lot_more_at_what_it_cost(self):
        row = only_row(portfolio(LOTS), account(held(AAPL_CALL, 5, "7.4")))

        assert row.advice == "Replace the entry 'in-lots' by:"
        assert edited(row)["lots"] == [
            {"contracts": 2, "cost_basis": 8, "opened_at": "2026-11-02"},
            {"contracts": 1, "cost_basis": 5, "opened_at": "2026-10-02"},
            {"contracts": 2, "cost_basis": 8},
        ]
        assert (edited(row)["realized"], edited(row)["fees"]) == (150, 2.6)

    def test_what_was_sold_since_goes_from_the_oldest_lot(self):
        row = only_row(portfolio(LOTS), account(held(AAPL_CALL, 1, "8")))

        assert edited(row)["lots"] == [{"contracts": 1, "cost_basis": 8, "opened_at": "2026-11-02"}]
        assert edited(row)["contracts"] == 1

    def test_a_position_that_turned_has_none_of_its_lots_any_more(self):
        row = only_row(portfolio(LOTS), account(held(AAPL_CALL, -1, "8")))

        assert "lots" not in edited(row)
        assert (edited(row)["contracts"], edited(row)["cost_basis"]) == (-1, 8)

    def test_what_came_for_nothing_was_no_purchase(self):
        """A split, of which nobody says what became of each lot."""
        row = only_row(portfolio(LOTS), account(held(AAPL_CALL, 6, "3.5")))

        assert "lots" not in edited(row)
        assert (edited(row)["contracts"], edited(row)["cost_basis"], edited(row)["realized"]) == (6, 3.5, 150)

    def test_lots_of_another_cost_are_changed_by_hand(self):
        row = only_row(portfolio(LOTS), account(held(AAPL_CALL, 3, "9")))

        assert row.causes == (Cause.COST_METHOD,)
        assert (row.advice, row.edit) == (
            "Change the lots of 'in-lots' by hand: by the account they cost 2,700.00 together.",
            None,
        )

    def test_gains_and_fees_of_a_rolled_structure_stay_with_what_is_left_of_it(self):
        rolled = structure(net_debit=300, realized=120.0, fees=1.3)

        row = rows(portfolio(rolled), account(held(LONG_LEG, 1, "4")))[1]

        assert (edited(row)["realized"], edited(row)["fees"]) == (120, 1.3)


DIAGONAL = structure(
    leg("short", 185), leg("long", 180, expiry=date(2027, 6, 18)), net_debit=900, identity="diagonal"
).changed(opened_at=date(2026, 11, 2))
FAR_LEG, ROLLED_TO = "AAPL270618C00180000", "AAPL270115C00190000"


class TestOpenedSince:
    """What belongs together is proposed together, and a rolled structure stays itself."""

    def test_a_condor_that_was_opened_since_is_one_entry_to_add(self):
        view = account(
            held("SPY261218P00640000", 2, "3"),
            held("SPY261218P00655000", -2, "5"),
            held("SPY261218C00705000", -2, "4"),
            held("SPY261218C00720000", 2, "1.5"),
            held("MSFT", 100, "480"),
        )
        found = rows(portfolio(), view)

        assert {row.advice for row in found if row.symbol != "MSFT"} == {"Add this entry, an iron condor:"}
        assert len({row.edit for row in found}) == 2
        condor = next(edited(row) for row in found if row.symbol != "MSFT")
        assert condor["id"] == "spy-18dec26-iron-condor"
        assert [one["cost_basis"] for one in condor["legs"]] == [3, 5, 4, 1.5]
        assert proposed_edit(found).count("iron-condor") == 1

    def test_what_would_be_torn_apart_is_proposed_contract_by_contract(self):
        view = account(held(LONG_LEG, 3, "4"), held(SHORT_LEG, -1, "2"))

        assert [edited(row)["contracts"] for row in rows(portfolio(), view)] == [3, -1]

    def test_a_rolled_diagonal_is_replaced_whole_and_keeps_its_name(self):
        view = account(held(FAR_LEG, 1, "12"), held(ROLLED_TO, -1, "3.5"))
        gone, new = (row for row in rows(portfolio(DIAGONAL), view) if row.agrees is False)

        assert gone.advice == new.advice
        assert new.advice == (
            "Replace the entry 'diagonal', which was rolled (what the closed part brought belongs into realized), "
            "by:"
        )
        assert gone.edit == new.edit
        assert edited(new) == {
            "id": "diagonal",
            "symbol": "AAPL",
            "net_debit": 850,
            "opened_at": "2026-11-02",
            "legs": [
                {
                    "side": "short",
                    "option_type": "call",
                    "expiry": "2027-01-15",
                    "strike": 190,
                    "contracts": 1,
                },
                {
                    "side": "long",
                    "option_type": "call",
                    "expiry": "2027-06-18",
                    "strike": 180,
                    "contracts": 1,
                },
            ],
        }

    @pytest.mark.parametrize(
        "opened",
        [
            [held(ROLLED_TO, -2, "3.5")],
            [held("AAPL270115P00190000", -1, "3.5")],
            [held("AAPL261127C00190000", -1, "3.5")],
            [held(ROLLED_TO, -1, "3.5"), held("AAPL270115C00195000", -1, "2")],
        ],
        ids=["another quantity", "another type", "an earlier expiry", "two that could be it"],
    )
    def test_what_may_not_be_a_roll_is_proposed_apart(self, opened: list[AccountPosition]):
        found = rows(portfolio(DIAGONAL), account(held(FAR_LEG, 1, "12"), *opened))

        assert not any("rolled" in (row.advice or "") for row in found)
        assert any((row.advice or "").startswith("Add this entry") for row in found)
