"""What the account is asked, and when: answers and moments as values, without a thread or a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from options_helper.data.streaming.polling.account_course import (
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
from options_helper.model.order_updates import OrderUpdate
from tests.kit.fills import OrderEvent

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


def read(account: AccountCourse, seconds: float, before: int, after: int, *fills: OrderUpdate) -> Done:
    """A whole reading that begins then; positions before and after the fills."""
    with_cash = account.ask(at(seconds))
    assert isinstance(with_cash, AskPositions)
    asked = account.answered(at(seconds + 1), holding(before, seconds))
    assert isinstance(asked, AskFills)
    assert account.answered(at(seconds + 2), Backfill(fills)) == AskPositions(with_cash=True)
    done = account.answered(at(seconds + 3), holding(after, seconds + 2))
    assert isinstance(done, Done)
    return done


def test_positions_are_read_before_the_fills_and_after_them():
    account, holder = course()
    first = [account.ask(at(0)), account.answered(at(1), holding(1)), account.answered(at(2), Backfill())]
    assert first == [AskPositions(with_cash=True), AskFills(MIDNIGHT), AskPositions(with_cash=True)]
    assert account.answered(at(3), holding(1)) == Done(POLICY.poll)
    assert holder.account_state.executions_day == MORNING.date()
    assert account.ask(at(60)) == AskPositions(with_cash=False)


def test_what_moved_between_the_two_looks_is_open_whether_or_not_order_updates_are_heard():
    """No socket tells an assignment, and a socket that is half dead tells no fill."""
    account, holder = course()
    read(account, 0, 1, 1)

    assert read(account, 60, 1, 0) == Done(POLICY.minimum_interval)
    assert holder.account_state.unsettled == {CALL}


def test_what_was_executed_just_before_the_first_look_is_open_since_positions_may_have_it_later():
    account, holder = course()
    read(account, 0, 1, 1)
    fill = OrderEvent(symbol=CALL, moment=MORNING + timedelta(seconds=59))

    assert read(account, 60, 1, 1, fill.requested()) == Done(POLICY.minimum_interval, (CALL,))
    assert holder.account_state.unsettled == {CALL}

    assert read(account, 70, 2, 2) == Done(POLICY.poll, (CALL,))
    assert holder.account_state.unsettled == frozenset()


def test_a_position_that_moved_and_nothing_tells_why_is_told_and_read_again_as_usual():
    """What it was at midnight is not known; what it is, is."""
    account, holder = course()
    read(account, 0, 1, 1)

    assert read(account, 60, 3, 3) == Done(POLICY.poll)
    assert holder.account_state.unexplained == {CALL}
    assert holder.account_state.unsettled == frozenset()
    assert holder.account_state.view == holding(3, 62)

    late = OrderEvent(
        symbol=CALL, moment=MORNING + timedelta(seconds=30), quantity="2", running="2", ordered="2"
    )
    read(account, 120, 3, 3, late.requested())
    assert holder.account_state.unexplained == frozenset()


def test_a_reading_that_was_given_up_is_begun_anew_and_knows_no_fills():
    """Whatever ended it: its questions may not have been answered."""
    account, _ = course()
    read(account, 0, 1, 1)
    account.ask(at(60))
    assert account.answered(at(61), holding(1)) == AskFills(MIDNIGHT)  # and never answered

    assert account.ask(at(90)) == AskPositions(with_cash=True)


def test_nothing_is_answered_that_was_not_asked():
    account, _ = course()
    with pytest.raises(ValueError, match="nothing was asked"):
        account.answered(at(0), Backfill())


def test_a_recorded_market_is_nobody_s_account():
    account, holder = course()
    assert account.ask(at(0, market=MarketKind.REPLAY)) == Done(POLICY.poll)
    assert holder.account_state.reports[RestTask.FILLS].phase is RestPhase.OFF


def test_where_positions_cannot_be_read_the_fills_are_and_both_are_asked_for_again_soon():
    account, holder = course()
    account.ask(at(0))
    assert account.answered(at(1), RestError("No positions.")) == AskFills(MIDNIGHT)
    assert account.answered(at(2), Backfill()) == Done(POLICY.again)
    assert holder.account_state.reports[RestTask.POSITIONS].problem == "No positions."
    assert holder.account_state.reports[RestTask.FILLS].phase is RestPhase.DONE
