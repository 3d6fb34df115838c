"""A split, a name change or a transfer is told as what made file and account differ, and is one edit."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from options_helper.analysis.reconcile.reconciliation import (
    Cause,
    Reconciliation,
    file_behind,
    proposed_edit,
    reconcile,
)
from options_helper.model.account import (
    AccountMove,
    AccountPosition,
    AccountPositions,
    AccountState,
    PositionMove,
)
from options_helper.model.portfolio import PortfolioEntry, parse_portfolio
from tests.analysis.reconcile.test_reconciliation import executed
from tests.kit.builders import AS_OF, holding, is_contract, leg, portfolio, position, structure

TODAY = date(2026, 11, 20)
OLD_CALL, NEW_CALL = "NVDA261218C01200000", "NVDA261218C00120000"


def move(kind: PositionMove, symbol: str, quantity: float | None, *, day: date = TODAY) -> AccountMove:
    amount = None if quantity is None else Decimal(str(quantity))
    return AccountMove(f"{kind} {symbol} {quantity}", kind, symbol, amount, day)


def held(symbol: str, quantity: float, price: str | None = None) -> AccountPosition:
    multiplier = 100 if is_contract(symbol) else 1
    average = None if price is None else Decimal(price)
    cost = None if average is None else average * Decimal(str(quantity)) * multiplier
    return AccountPosition(symbol, Decimal(str(quantity)), is_contract(symbol), average, cost, None, None)


def compared(
    entries: list[PortfolioEntry], positions: list[AccountPosition], *moves: AccountMove, **more: Any
) -> Reconciliation:
    view = AccountPositions(AS_OF, {one.symbol: one for one in positions})
    return reconcile(portfolio(*entries), view, more.pop("executions", ()), today=TODAY, moves=moves, **more)


def edits(found: Reconciliation) -> list[Any]:
    """Every proposed entry once, each of which a file can hold."""
    entries = dict.fromkeys(row.edit for row in found.rows if row.edit)
    parse_portfolio(f'{{"positions": [{", ".join(entries)}]}}', "edits.json")
    return [json.loads(entry) for entry in entries]


NVDA = position("NVDA", 1200, contracts=1, cost_basis=50, identity="mine")


def opened(entry: Any) -> Any:
    return entry.changed(opened_at=date(2026, 11, 2))


def test_a_split_is_the_cause_and_one_edit_that_keeps_id_and_day():
    """Ten NVDA at 1200 and a call of 1200 are a hundred at 120 and ten calls of 120."""
    found = compared(
        [holding("NVDA", 10, cost_basis=1200.0), opened(NVDA)],
        [held("NVDA", 100, "120"), held(NEW_CALL, 10, "5")],
        move(PositionMove.SPLIT, "NVDA", 90),
        move(PositionMove.OPTION_CORPORATE_ACTION, OLD_CALL, -1),
        move(PositionMove.OPTION_CORPORATE_ACTION, NEW_CALL, 10),
    )

    assert [row.reasons for row in found.rows] == [
        ("split on 20 Nov 26",),
        ("contract adjusted by a corporate action on 20 Nov 26",),
        ("contract adjusted by a corporate action on 20 Nov 26",),
    ]
    of_shares, of_call = edits(found)
    assert (of_shares["id"], of_shares["shares"], of_shares["cost_basis"]) == ("NVDA-shares", 100, 120)
    assert of_call == {
        "id": "mine",
        "symbol": "NVDA",
        "option_type": "call",
        "expiry": "2026-12-18",
        "strike": 120,
        "contracts": 10,
        "cost_basis": 5,
        "opened_at": "2026-11-02",
    }
    assert proposed_edit(found.rows).count("Replace the entry 'mine' by:") == 1


def test_a_split_multiplies_each_lot_and_keeps_its_day():
    lots = [
        {"shares": 10, "cost_basis": 1000.0, "opened_at": "2025-01-02"},
        {"shares": 5, "cost_basis": 1300.0, "opened_at": "2026-01-02"},
    ]
    text = json.dumps({"positions": [{"id": "nvda", "symbol": "NVDA", "lots": lots}]})
    found = compared(
        list(parse_portfolio(text, "lots.json").positions),
        [held("NVDA", 150, "110")],
        move(PositionMove.SPLIT, "NVDA", 135),
    )

    (entry,) = edits(found)
    assert entry["lots"] == [
        {"shares": 100, "cost_basis": 100, "opened_at": "2025-01-02"},
        {"shares": 50, "cost_basis": 130, "opened_at": "2026-01-02"},
    ]


def test_a_contract_without_a_record_of_its_own_takes_its_underlyings():
    found = compared([NVDA], [held(NEW_CALL, 10)], move(PositionMove.SPLIT, "NVDA", None))

    assert [row.causes for row in found.rows] == [(Cause.SPLIT,), (Cause.SPLIT,)]
    assert len(edits(found)) == 1


def test_a_name_change_of_shares_and_their_contracts_is_an_edit_each():
    call, renamed = "FB261218C00300000", "META261218C00300000"
    found = compared(
        [holding("FB", 100), position("FB", 300, contracts=-1, identity="covered")],
        [held("META", 100), held(renamed, -1)],
        *(move(PositionMove.NAME_CHANGE, name, change) for name, change in (("FB", -100), ("META", 100))),
        *(move(PositionMove.NAME_CHANGE, name, change) for name, change in ((call, 1), (renamed, -1))),
    )

    assert {row.causes for row in found.rows} == {(Cause.NAME_CHANGE,)}
    assert [(one["id"], one["symbol"]) for one in edits(found)] == [
        ("FB-shares", "META"),
        ("covered", "META"),
    ]


@pytest.mark.parametrize(
    ("now", "quantity", "symbol", "strike"),
    [("NVDA1261218C01200000", 1, "NVDA1", 1200), ("NVDA261218C01185000", 1, "NVDA", 1185)],
    ids=["a spin-off", "a special dividend"],
)
def test_an_adjusted_contract_is_the_one_that_it_was(now: str, quantity: int, symbol: str, strike: float):
    found = compared(
        [NVDA], [held(now, quantity, "50")], move(PositionMove.OPTION_CORPORATE_ACTION, "NVDA", None)
    )

    (entry,) = edits(found)
    assert (entry["id"], entry["symbol"], entry["strike"]) == ("mine", symbol, strike)


def test_the_legs_of_a_structure_are_adjusted_within_it():
    legs = [leg("long", 1200), leg("short", 1250)]
    found = compared(
        [opened(structure(*legs, symbol="NVDA", net_debit=1_000.0, identity="spread"))],
        [held(NEW_CALL, 10, "5"), held("NVDA261218C00125000", -10, "4")],
        move(PositionMove.SPLIT, "NVDA", None),
    )

    (entry,) = edits(found)
    assert (entry["id"], entry["symbol"], entry["opened_at"]) == ("spread", "NVDA", "2026-11-02")
    assert [(one["side"], one["strike"], one["contracts"]) for one in entry["legs"]] == [
        ("long", 120, 10),
        ("short", 125, 10),
    ]


def test_a_structure_under_a_new_root_has_it_as_a_whole():
    found = compared(
        [structure(leg("long", 180), leg("short", 185), symbol="FB", identity="spread")],
        [held("META261218C00180000", 1, "5"), held("META261218C00185000", -1, "4")],
        *(move(PositionMove.NAME_CHANGE, name, change) for name, change in (("FB", -100), ("META", 100))),
        move(PositionMove.NAME_CHANGE, "FB261218C00180000", -1),
    )
    assert found.agrees is False

    found = compared(
        [holding("FB", 100), structure(leg("long", 180), leg("short", 185), symbol="FB", identity="spread")],
        [held("META", 100), held("META261218C00180000", 1, "5"), held("META261218C00185000", -1, "4")],
        *(move(PositionMove.NAME_CHANGE, name, change) for name, change in (("FB", -100), ("META", 100))),
    )
    entry = edits(found)[1]
    assert (entry["id"], entry["symbol"]) == ("spread", "META")
    assert all("symbol" not in one for one in entry["legs"])


def test_what_may_be_the_successor_of_two_is_that_of_none():
    found = compared(
        [NVDA, position("NVDA", 1100, contracts=1, identity="other")],
        [held("NVDA261218C01185000", 1), held("NVDA261218C01085000", 1)],
        move(PositionMove.OPTION_CORPORATE_ACTION, "NVDA", None),
    )

    text = proposed_edit(found.rows)
    assert text.count("Remove the entry") == 2
    assert text.count("Add this entry:") == 2


@pytest.mark.parametrize("kind", [PositionMove.JOURNAL_OF_SHARES, PositionMove.TRANSFER])
def test_shares_that_were_moved_in_are_told_as_such(kind: PositionMove):
    (row,) = compared([], [held("MSFT", 100)], move(kind, "MSFT", 100)).rows

    assert row.reasons == ("transfer on 20 Nov 26",)
    assert row.advice == "Add this entry:"


def test_a_spin_off_leaves_the_one_and_brings_the_other():
    found = compared(
        [holding("MMM", 100)], [held("MMM", 100), held("SOLV", 25)], move(PositionMove.SPIN_OFF, "SOLV", 25)
    )

    assert [row.causes for row in found.rows] == [(), (Cause.SPIN_OFF,)]


def test_moves_and_trades_together_make_up_a_difference():
    found = compared(
        [holding("NVDA", 10)],
        [held("NVDA", 105)],
        move(PositionMove.SPLIT, "NVDA", 90),
        executions=[executed("NVDA", 5, "120")],
    )

    assert found.rows[0].causes == (Cause.SPLIT, Cause.FILL_AFTER_FILE)


def test_what_they_do_not_make_up_is_said_too():
    found = compared([holding("NVDA", 10)], [held("NVDA", 120)], move(PositionMove.SPLIT, "NVDA", 90))

    assert found.rows[0].causes == (Cause.SPLIT, Cause.UNEXPLAINED)


def test_what_trades_explain_alone_needs_no_move():
    found = compared(
        [holding("NVDA", 100)],
        [held("NVDA", 105)],
        move(PositionMove.SPLIT, "NVDA", 90),
        executions=[executed("NVDA", 5, "120")],
    )

    assert found.rows[0].causes == (Cause.FILL_AFTER_FILE,)


def test_a_move_of_before_the_file_is_in_it():
    before = move(PositionMove.SPLIT, "NVDA", 90, day=TODAY - timedelta(days=1))

    assert compared([holding("NVDA", 10)], [held("NVDA", 100)], before, file_date=TODAY).rows[0].causes == (
        Cause.UNEXPLAINED,
    )


def test_a_contract_that_expired_has_not_been_adjusted():
    expired = position("NVDA", 1200, expiry=TODAY - timedelta(days=1), identity="old")
    found = compared([expired], [], move(PositionMove.SPLIT, "NVDA", 90))

    assert found.rows[0].causes == (Cause.EXPIRY,)


def test_the_banner_names_a_split_without_any_trade():
    """Total P&L stood at -10,800, complete, and nothing was said of it."""
    view = AccountPositions(AS_OF, {"NVDA": held("NVDA", 100, "120")})
    state = AccountState(view=view, moves=(move(PositionMove.SPLIT, "NVDA", 90),))
    behind = file_behind(portfolio(holding("NVDA", 10, cost_basis=1200.0)), state)

    assert behind is not None
    assert behind.sentence == "Your file is behind the account: 10 → 100 NVDA shares (split)."
    assert '"shares": 100' in behind.edit
    assert file_behind(portfolio(holding("NVDA", 100, cost_basis=120.0)), state) is None
