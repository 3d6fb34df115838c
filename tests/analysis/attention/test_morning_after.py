"""What became of what expired: explained, awaited or unexplained, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest

from options_helper.analysis.attention.morning_after import EndedContract, EndedState
from options_helper.model.account import Execution, ExecutionKind
from options_helper.model.portfolio import PortfolioEntry
from tests.analysis.attention.world import FRIDAY, attention, executed, live_at
from tests.kit.builders import holding, new_york, portfolio, position

PUT = position("AAPL", 200, "put", contracts=-2, expiry=FRIDAY)
SYMBOL = "AAPL261120P00200000"
ASSIGNED = executed(SYMBOL, ExecutionKind.ASSIGNMENT, 2)
SHARES = executed("AAPL", ExecutionKind.OPTION_TRADE, 200, price=200)


def after(
    at: str,
    *executions: Execution,
    book: Sequence[PortfolioEntry] = (PUT,),
    account: Sequence[PortfolioEntry] = (),
    since: date | None = date(2026, 11, 13),
    asked: str | None = None,
    account_asked: str | None = None,
) -> EndedContract:
    """What became of it; the account's activities and positions were asked just now, or at a time of their own."""
    live = live_at(
        at,
        {},
        held=book,
        account=portfolio(*account),
        executions=executions,
        executions_since=since,
    )
    if asked is not None:
        facts = replace(live.expiry_facts, executions_read_at=new_york(asked))
        live = replace(live, expiry_facts=facts)
    if account_asked is not None and live.account.view is not None:
        view = replace(live.account.view, as_of=new_york(account_asked))
        live = replace(live, account=replace(live.account, view=view))
    (ended,) = attention(list(book), live).morning_after
    return ended


@pytest.mark.parametrize(
    ("executions", "why"),
    [
        ((ASSIGNED, SHARES), "Assigned on 20 Nov 26."),
        ((executed(SYMBOL, ExecutionKind.EXPIRY, 2),), "Expired on 20 Nov 26."),
        (
            (
                executed(SYMBOL, ExecutionKind.EXPIRY, 1),
                executed(SYMBOL, ExecutionKind.ASSIGNMENT, 1),
                executed("AAPL", ExecutionKind.OPTION_TRADE, 100, price=200),
            ),
            "Expired and assigned on 20 Nov 26.",
        ),
        (
            (executed(SYMBOL, ExecutionKind.FILL, 2, price=3.0),),
            "Closed by a trade on 20 Nov 26, before it ended.",
        ),
    ],
)
def test_what_the_account_tells_explains_it(executions: tuple[Execution, ...], why: str):
    found = after("2026-11-23 09:00", *executions)

    assert (found.state, found.why, found.quantity) == (EndedState.EXPLAINED, why, -2)


@pytest.mark.parametrize(
    ("at", "state"),
    [
        ("2026-11-20 16:00", EndedState.AWAITED),
        ("2026-11-22 12:00", EndedState.AWAITED),
        ("2026-11-23 15:59:59", EndedState.AWAITED),
        ("2026-11-23 16:00", EndedState.UNEXPLAINED),
        ("2026-11-24 09:00", EndedState.UNEXPLAINED),
    ],
)
def test_what_is_not_told_is_awaited_until_the_next_session_has_ended(at: str, state: EndedState):
    """On paper it is told a day late; over the weekend there is no session."""
    gone, listed = after(at), after(at, account=[PUT])

    assert (gone.state, listed.state) == (state, state)
    assert "gone from the account" in gone.why
    assert "still lists it" in listed.why


@pytest.mark.parametrize(
    ("asked", "account_asked", "account", "state"),
    [
        ("2026-11-23 15:59", "2026-11-24 09:00", (), EndedState.AWAITED),
        ("2026-11-23 16:00", "2026-11-24 09:00", (), EndedState.UNEXPLAINED),
        # The account may still have listed it then; gone is gone.
        ("2026-11-24 09:00", "2026-11-23 15:59", (PUT,), EndedState.AWAITED),
        ("2026-11-24 09:00", "2026-11-23 16:00", (PUT,), EndedState.UNEXPLAINED),
        ("2026-11-24 09:00", "2026-11-23 15:59", (), EndedState.UNEXPLAINED),
    ],
)
def test_what_nobody_could_ask_since_is_not_missing(
    asked: str, account_asked: str, account: Sequence[PortfolioEntry], state: EndedState
):
    """It may have been told in the hours in which asking failed, and nobody has called it unexplained."""
    found = after("2026-11-24 09:00", account=account, asked=asked, account_asked=account_asked)

    assert found.state is state


@pytest.mark.parametrize(
    ("executions", "state", "why"),
    [
        ((), EndedState.AWAITED, "The account's executions since it ended were not read."),
        (
            (executed(SYMBOL, ExecutionKind.FILL, 1, price=3.0),),
            EndedState.AWAITED,
            "The account's executions since it ended were not read.",
        ),
        (
            (executed(SYMBOL, ExecutionKind.FILL, 2, price=3.0),),
            EndedState.EXPLAINED,
            "Closed by a trade on 20 Nov 26, before it ended.",
        ),
    ],
)
def test_of_what_was_asked_before_it_ended_no_end_is_told(
    executions: Sequence[Execution], state: EndedState, why: str
):
    found = after("2026-11-24 09:00", *executions, asked="2026-11-20 15:59", account_asked="2026-11-20 15:59")

    assert (found.state, found.why) == (state, why)


def test_what_was_traded_in_part_waits_for_the_end_of_the_rest():
    traded = executed(SYMBOL, ExecutionKind.FILL, 1, price=3.0)

    states = [after(at, traded).state for at in ("2026-11-23 09:00", "2026-11-23 16:00")]
    assert states == [EndedState.AWAITED, EndedState.UNEXPLAINED]


def test_an_assignment_without_its_shares_is_awaited():
    found = after("2026-11-23 09:00", ASSIGNED)

    assert (found.state, found.why) == (
        EndedState.AWAITED,
        "Assigned on 20 Nov 26; of contract and shares only one half is told.",
    )


def test_another_quantity_than_the_files_is_unexplained():
    found = after("2026-11-23 09:00", executed(SYMBOL, ExecutionKind.EXPIRY, 1))

    assert (found.state, "another quantity" in found.why) == (EndedState.UNEXPLAINED, True)


def test_of_what_was_traded_that_day_the_file_may_know_a_part():
    """Three were sold, one of them was bought back, and the file has the two that were left."""
    found = after(
        "2026-11-23 09:00",
        executed(SYMBOL, ExecutionKind.FILL, -3, price=1.0),
        executed(SYMBOL, ExecutionKind.FILL, 1, price=0.5),
        executed(SYMBOL, ExecutionKind.EXPIRY, 2),
    )

    assert found.state is EndedState.EXPLAINED


@pytest.mark.parametrize("since", [None, date(2026, 11, 21)])
def test_executions_that_were_not_asked_for_are_not_missing(since: date | None):
    found = after("2026-11-24 09:00", since=since)

    assert (found.state, found.why) == (
        EndedState.AWAITED,
        "The account's executions since it ended were not read.",
    )


def test_what_only_the_account_knows_is_told_too():
    """A contract that the file lacks, and one that the account lists though it has ended."""
    live = live_at(
        "2026-11-23 09:00",
        {},
        held=[holding()],
        account=portfolio(holding(), position("MSFT", 400, expiry=FRIDAY)),
        executions=[executed(SYMBOL, ExecutionKind.EXPIRY, 2)],
    )

    found = attention([holding()], live).morning_after

    assert [(one.symbol, one.state, one.quantity) for one in found] == [
        (SYMBOL, EndedState.EXPLAINED, None),
        ("MSFT261120C00400000", EndedState.AWAITED, None),
    ]


@pytest.mark.parametrize(("at", "is_told"), [("2026-11-27 16:00", True), ("2026-11-27 16:01", False)])
def test_after_a_week_it_is_the_files_business(at: str, *, is_told: bool):
    live = live_at(at, {}, held=[PUT], account=portfolio())

    assert bool(attention([PUT], live).morning_after) is is_told


def test_an_index_that_was_settled_in_cash_moves_no_shares():
    put = position("SPXW", 6600, "put", contracts=1, expiry=FRIDAY)
    found = after(
        "2026-11-23 09:00",
        executed("SPXW261120P06600000", ExecutionKind.CASH_SETTLEMENT, -1, price=12.0),
        book=[put],
    )

    assert (found.state, found.why) == (EndedState.EXPLAINED, "Settled in cash on 20 Nov 26.")
