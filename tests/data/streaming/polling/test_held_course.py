"""Rounds of questions about what is held, as values: what is asked when, and how old the answers are said to be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from options_helper.data.rest.expiry_chains import ChainRequest
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.chain_course import AskChain, ChainCourse
from options_helper.data.streaming.polling.expiry_course import ExpiryCourse
from options_helper.data.streaming.polling.expiry_reading import AskAsset, AskContract
from options_helper.data.streaming.polling.fill_backfill import AskOrders
from options_helper.data.streaming.polling.moment import Done, Moment
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.polling.question import Question
from options_helper.data.streaming.polling.risk_course import AskActions, AskDailyCloses, RiskCourse
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.errors import RestError
from options_helper.model.account import AccountState, RestPhase, RestTask
from options_helper.model.events import Quote
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.risk_inputs import CorporateActions, DailyCloses, ExpiryChain, RiskInputs
from tests.kit.builders import nanoseconds, new_york

AT = new_york("2026-11-20 16:00")
INDEX_PUT = "SPXW261218P06500000"
POLICY = WatchPolicy()
CONFIG = LiveStreamConfig(stocks=("AAPL",))


class Holder:
    """Where the readings are kept."""

    account_state = AccountState()
    risk_inputs = RiskInputs()
    expiry_facts = ExpiryFacts()


def moment(seconds: float, put_forward: float = 0.0) -> Moment:
    """So many seconds after the beginning, by a clock that is ahead by so many."""
    return Moment(nanoseconds(AT + timedelta(seconds=seconds + put_forward)), 1_000 + seconds)


def answer_to(question: Question) -> Any:
    """What a server says that knows every share."""
    assert isinstance(question, AskActions | AskDailyCloses)
    at, symbols = question.asked.now, question.symbols
    if isinstance(question, AskActions):
        return {one: CorporateActions(one, at, date(2027, 1, 1)) for one in symbols}
    return {one: DailyCloses(one, at, {}) for one in symbols}


def carried_out(course: RiskCourse, *, asked: Moment, answered: Moment) -> Done:
    step = course.ask(asked)
    while not isinstance(step, Done):
        step = course.answered(answered, answer_to(step))
    return step


@pytest.mark.parametrize("put_forward", [0.0, 3_600.0, -3_600.0])
def test_what_was_asked_by_a_clock_that_was_put_right_since_is_as_old_as_it_is(put_forward: float):
    """The answer says what time it is there: until then nobody knew."""
    holder = Holder()
    carried_out(
        RiskCourse(holder, CONFIG, POLICY), asked=moment(0, put_forward), answered=moment(30, put_forward=0.0)
    )

    assert holder.risk_inputs.actions["AAPL"].read_at == AT.astimezone(UTC)


def test_of_a_question_without_an_answer_it_is_said_why_and_the_next_one_is_asked():
    holder = Holder()
    course = RiskCourse(holder, CONFIG, POLICY)
    first = course.ask(moment(0))
    second = course.answered(moment(30), RestError("No answer."))

    assert isinstance(first, AskActions)
    assert isinstance(second, AskDailyCloses)
    assert course.answered(moment(31), answer_to(second)) == Done(POLICY.again)
    report = holder.account_state.reports[RestTask.DIVIDENDS]
    assert (report.phase, report.problem) == (RestPhase.FAILED, "No answer.")
    assert holder.account_state.reports[RestTask.CLOSES].phase is RestPhase.DONE


def test_what_another_session_was_asked_changes_nothing_of_this_one():
    holder = Holder()
    course = RiskCourse(holder, CONFIG, POLICY)
    question = course.ask(moment(0))
    assert not isinstance(question, Done)
    course.forget()

    assert course.answered(moment(1), answer_to(question)) == Done(POLICY.again)
    assert holder.risk_inputs == RiskInputs()
    assert isinstance(course.ask(moment(2)), AskActions)


def test_a_round_that_is_left_in_its_midst_begins_anew():
    course = RiskCourse(Holder(), CONFIG, POLICY)

    assert course.ask(moment(0)) == AskActions(("AAPL",), moment(0))
    assert course.ask(moment(60)) == AskActions(("AAPL",), moment(60))


def test_a_moment_of_before_is_told_by_the_clock_of_now():
    assert moment(60).time_of(moment(0)) == datetime.fromtimestamp(AT.timestamp(), UTC)
    # What is no jump is the running of a clock, and the time that was read stays.
    assert moment(60, 0.5).time_of(moment(0)) == AT.astimezone(UTC)


def chain(mids: Mapping[str, float], made_at: datetime) -> dict[str, ExpiryChain]:
    """Options of one expiry, quoted so by the end of their symbols."""
    made_ns = nanoseconds(made_at)
    quotes = {
        symbol: Quote(
            symbol=symbol, timestamp=made_ns, received_ns=made_ns, bid_price=mid - 1, ask_price=mid + 1
        )
        for symbol, mid in ((f"SPXW261218{end}", mid) for end, mid in mids.items())
    }
    return {"SPXW261218": ExpiryChain("SPX", date(2026, 12, 18), made_at, quotes, None)}


def test_what_is_left_standing_after_the_session_moves_no_window_of_strikes():
    """A look at other strikes would lose the quotes of the session, and an index has no other price at night."""
    course = ChainCourse(
        Holder(), LiveStreamConfig(option_contracts=(INDEX_PUT,)), POLICY, LiveState(fills_cache_size=1)
    )

    def look(seconds: float, answer: dict[str, ExpiryChain]) -> ChainRequest:
        question = course.ask(moment(seconds))
        assert isinstance(question, AskChain)
        assert isinstance(course.answered(moment(seconds + 1), answer), Done)
        return question.request

    of_session = {"C06600000": 150.0, "P06600000": 50.0, "C06700000": 90.0, "P06700000": 90.0}
    standing = {"C06600000": 20.0, "P06600000": 20.0, "C06700000": 20.0, "P06700000": 90.0}
    look(1_000, chain(of_session, AT))
    second = look(2_000, chain(standing, AT + timedelta(seconds=1_500)))
    third = look(3_000, chain(standing, AT + timedelta(seconds=1_500)))

    assert second.strikes is not None
    assert third.strikes == second.strikes


def test_what_failed_is_asked_again_also_where_the_clock_is_put_back_to_a_day_that_was_answered():
    """Found on a simulated day (seed 240134356): it was said to have failed, and counted as answered."""
    holder = Holder()
    course = ExpiryCourse(
        holder, LiveStreamConfig(option_contracts=("AAPL261123C00180000",)), POLICY, traded=False
    )

    def look(at: Moment, answer: Any) -> bool:
        """Whether anything is asked."""
        step, asked = course.ask(at), 0
        while not isinstance(step, Done):
            step, asked = course.answered(at, answer), asked + 1
        return asked > 0

    evening, night = 7.99 * 3_600, 8.01 * 3_600  # about midnight
    assert look(moment(evening), {})
    assert look(moment(night), RestError("No answer."))
    assert holder.account_state.reports[RestTask.EXPIRIES].phase is RestPhase.FAILED

    assert look(moment(night + 40, put_forward=-3_600), {})
    assert holder.account_state.reports[RestTask.EXPIRIES].phase is RestPhase.DONE


ENDING, FAILS = "AAPL261120C00180000", RestError("No answer.")


def read_expiries(course: ExpiryCourse, began: Moment, *answers: tuple[Moment, Any]) -> None:
    """Contract, asset and orders are answered so, in this order, and of the activities there are none."""
    step = course.ask(began)
    for at, answer in answers:
        assert isinstance(step, AskContract | AskAsset | AskOrders)
        step = course.answered(at, answer)
    while not isinstance(step, Done):
        step = course.answered(answers[-1][0], [])


def expiries(holder: Holder) -> ExpiryCourse:
    return ExpiryCourse(holder, LiveStreamConfig(option_contracts=(ENDING,)), POLICY, traded=True)


def ages(holder: Holder, now: Moment) -> tuple[float, ...]:
    """How many seconds ago record, hours and executions were read."""
    facts = holder.expiry_facts
    every = (facts.records[ENDING].read_at, facts.late_close_read_at["AAPL"], facts.executions_read_at)
    return tuple((now.now - at).total_seconds() for at in every if at is not None)


def test_a_question_that_fails_makes_nothing_younger_that_was_told_before():
    """Found on a simulated day (3232): where it hung, and the clock was set, what was told was still to come."""
    holder = Holder()
    course = expiries(holder)
    told = ({"settlement": "pm"}, {"attributes": []}, [])
    read_expiries(course, moment(0), *((moment(1), answer) for answer in told))
    done_at = holder.account_state.reports[RestTask.EXPIRIES].finished_at

    read_expiries(
        course, moment(700), (moment(701), FAILS), (moment(702), {"attributes": []}), (moment(703), FAILS)
    )

    assert ages(holder, moment(703)) == (703, 2, 702)
    report = holder.account_state.reports[RestTask.EXPIRIES]
    assert (report.phase, report.finished_at) == (RestPhase.FAILED, done_at)


@pytest.mark.parametrize("put_forward", [3_600.0, -3_600.0])
def test_what_was_answered_is_as_old_as_its_own_question_whatever_the_next_one_meets(put_forward: float):
    """The clock is set while the next one hangs, and no answer says so: the reading ends by a clock that is wrong."""
    holder = Holder()
    read_expiries(
        expiries(holder),
        moment(0),
        (moment(1), {"settlement": "pm"}),
        (moment(30, put_forward), FAILS),
        (moment(60, put_forward), FAILS),
    )

    assert holder.expiry_facts.records[ENDING].read_at == AT.astimezone(UTC)
    assert holder.expiry_facts.executions_read_at is None


def test_what_ends_was_asked_by_a_clock_that_its_answer_put_right():
    holder = Holder()
    told = ({"settlement": "pm"}, {"attributes": []}, [])
    read_expiries(expiries(holder), moment(0, 3_600), *((moment(30), answer) for answer in told))

    assert ages(holder, moment(30)) == (30, 0, 0)
