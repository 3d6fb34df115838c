"""The course of alerts by its steps: who was stopped between two, and lost the lease, does nothing that counts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

from options_helper.alerting.course import (
    AlertCourse,
    Answer,
    Append,
    Command,
    Course,
    Judge,
    Judged,
    Offer,
    OfLog,
    Seen,
)
from options_helper.data.firing_log import Logged, Trying
from options_helper.data.lease_course import Ask, Holder, LeaseCourse, Told, carry_out
from options_helper.data.notify.messages import Message, Urgency
from options_helper.model.alerts import Evaluation, Firing, RuleState

AT = datetime(2026, 11, 27, 20, 50, tzinfo=UTC)
SEEN = Seen(AT, 100.0)
MESSAGE = Message("k", "title", "text", "text", Urgency.WARNING, False, AT)  # noqa: FBT003 - its parts in their order
FIRED = Firing(
    key="k", rule="above", subject="SPY", crossed_at=AT, fired_at=AT, severity="warning", title="k", text="risen",
    text_with_amounts="risen", targets=("phone",),
)  # fmt: skip


def course() -> AlertCourse:
    return AlertCourse(LeaseCourse(Holder("watch", 1, "den", AT)), SEEN, looked=None)


T = TypeVar("T")


def played(steps: Course[T], leases: list[bool]) -> tuple[T, list[Command]]:
    """What they come to where the lease is found to be so by turns, and the steps."""
    seen: list[Command] = []

    def do(step: Command) -> Answer:
        seen.append(step)
        match step:
            case OfLog.LOOK:
                return Logged()
            case Judge():
                return Judged(Evaluation({"above": RuleState(is_known=True)}, (FIRED,)), rules=1)
            case Ask.IS_MINE:
                return Told(1.0, is_so=leases.pop(0))
        return None

    return carry_out(steps, do), seen


def test_who_lost_the_lease_over_the_row_of_a_try_sends_nothing():
    may_send, seen = played(course().before(MESSAGE, "phone", 1, SEEN), [True, False])

    assert not may_send
    assert seen == [
        OfLog.ENTER,
        Ask.IS_MINE,
        Append(Trying("k", "phone", 1, AT)),
        OfLog.LEAVE,
        Ask.IS_MINE,
    ]


def test_who_has_not_the_lease_writes_and_offers_nothing_of_what_it_judges():
    _, seen = played(course().observe(560.0, SEEN), [False, False])

    assert any(isinstance(step, Judge) for step in seen)
    assert not [step for step in seen if isinstance(step, Append | Offer)]
