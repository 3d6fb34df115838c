"""What the account is asked, and when: answers and moments as values, without a thread or a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from options_helper.data.streaming.polling.account_course import (
    UNHEARD,
    AccountCourse,
    AskFills,
    AskPositions,
    Done,
    Seen,
)
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.state.blotter import Backfill, Blotter
from options_helper.errors import RestError
from options_helper.model.account import AccountPosition, AccountPositions, AccountState, RestPhase, RestTask
from options_helper.model.announcement import MarketKind

MORNING = datetime(2026, 11, 5, 15, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 5, 5, 0, tzinfo=UTC)
POLICY = WatchPolicy()
CALL = "AAPL261218C00180000"


class Holder:
    """Where the account's state is kept."""

    account_state = AccountState()


def course() -> tuple[AccountCourse, Holder]:
    holder = Holder()
    return AccountCourse(holder, Blotter(10), POLICY), holder


def at(seconds: float, **more: Any) -> Seen:
    return Seen(1_000 + seconds, MORNING + timedelta(seconds=seconds), **more)


def holding(quantity: int, seconds: float = 0) -> AccountPositions:
    position = AccountPosition(
        CALL,
        Decimal(quantity),
        is_option=True,
        average_price=None,
        cost_basis=None,
        market_value=None,
        current_price=None,
    )
    return AccountPositions(MORNING + timedelta(seconds=seconds), MappingProxyType({CALL: position}))


def test_while_order_updates_are_heard_a_look_before_is_only_needed_until_the_fills_are_known():
    account, holder = course()
    account.listening(1)

    first = [account.ask(at(0)), account.answered(at(1), holding(1)), account.answered(at(2), Backfill())]
    assert first == [AskPositions(with_cash=True), AskFills(MIDNIGHT), AskPositions(with_cash=True)]
    assert account.answered(at(3), holding(1)) == Done(POLICY.poll)
    assert holder.account_state.executions_day == MORNING.date()

    assert account.ask(at(60)) == AskFills(MIDNIGHT)
    assert account.answered(at(61), Backfill()) == AskPositions(with_cash=True)
    assert account.answered(at(62), holding(1)) == Done(POLICY.poll)


def test_a_connection_that_came_anew_while_positions_were_read_may_have_lost_a_fill():
    account, holder = course()
    account.listening(1)
    account.ask(at(0))
    account.answered(at(1), holding(1))
    account.answered(at(2), Backfill())
    account.answered(at(3), holding(1))
    account.ask(at(60))
    account.answered(at(61), Backfill())
    account.listening(2)

    assert account.answered(at(62), holding(2)) == Done(POLICY.minimum_interval)
    assert holder.account_state.view == holding(1)
    assert holder.account_state.reports[RestTask.POSITIONS].problem == UNHEARD


def test_a_reading_that_was_given_up_is_begun_anew_and_knows_no_fills():
    """Whatever ended it: its questions may not have been answered."""
    account, _ = course()
    account.listening(1)
    account.ask(at(0))
    account.answered(at(1), holding(1))
    account.answered(at(2), Backfill())
    account.answered(at(3), holding(1))
    assert account.ask(at(60)) == AskFills(MIDNIGHT)  # and never answered

    assert account.ask(at(90)) == AskPositions(with_cash=True)


def test_nothing_is_answered_that_was_not_asked():
    account, _ = course()
    with pytest.raises(ValueError, match="nothing was asked"):
        account.answered(at(0), Backfill())


def test_a_recorded_market_is_nobody_s_account():
    account, holder = course()
    assert account.ask(at(0, market=MarketKind.REPLAY)) == Done(POLICY.poll)
    assert holder.account_state.reports[RestTask.FILLS].phase is RestPhase.OFF


def test_where_neither_can_be_read_it_is_asked_again_soon_and_both_say_why():
    account, holder = course()
    account.ask(at(0))
    assert account.answered(at(1), RestError("No positions.")) == AskFills(MIDNIGHT)
    assert account.answered(at(2), RestError("No fills.")) == AskPositions(with_cash=True)
    assert account.answered(at(3), RestError("No positions.")) == Done(POLICY.again)
    problems = {
        task: holder.account_state.reports[task].problem for task in (RestTask.FILLS, RestTask.POSITIONS)
    }
    assert problems == {RestTask.FILLS: "No fills.", RestTask.POSITIONS: "No positions."}
