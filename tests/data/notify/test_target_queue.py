"""What is tried when, when again, and when no more: plain values, no thread and no clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from options_helper.data.notify.messages import Attempt, Message, Outcome
from options_helper.data.notify.sending import Sent
from options_helper.data.notify.target_queue import WAITING_AT_MOST, Pacing, TargetQueue, as_of

AT = datetime(2026, 11, 27, 20, 50, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def message(key: str = "m", fired_at: datetime | None = AT) -> Message:
    return Message(key, key, "text", "text", fired_at=fired_at)


def try_all(queue: TargetQueue, sent: Sent, *, most: int = 100) -> tuple[list[Attempt], list[Message], float]:
    """Let each try end so at once, with pauses as long as they can be: what was told, what was sent, and until when."""
    now, told, tried = 0.0, [], []
    while (pause := queue.due_in(now)) is not None and len(told) < most:
        now += max(0.0, pause)
        job = queue.take()
        tried.append(job.message)
        told.append(queue.ended(job, sent, now=now, wall=AT + now * SECOND, random=lambda: 1.0))
    return told, tried, now


def test_what_waits_is_tried_in_the_order_of_its_coming():
    queue = TargetQueue("phone")
    assert queue.due_in(5.0) is None
    assert all(queue.put(message(key), 5.0, AT) for key in "abc")
    assert queue.due_in(5.0) == 0
    assert [queue.take().message.key for _ in "abc"] == ["a", "b", "c"]


def test_there_is_room_for_so_many_and_no_more():
    queue = TargetQueue("phone")
    assert [queue.put(message(str(one)), 0.0, AT) for one in range(WAITING_AT_MOST + 1)][-2:] == [True, False]


def test_what_fails_is_tried_with_longer_pauses_until_it_is_too_old():
    queue = TargetQueue("phone", Pacing(2.0, 120.0, 1_800.0))
    queue.put(message(), 0.0, AT)
    told, tried, until = try_all(queue, Sent(Outcome.FAILED, "503"))

    assert told[-1].outcome is Outcome.GAVE_UP
    assert 1_800 - 120 <= until < 1_800
    assert [one.number for one in told] == list(range(1, len(told) + 1))
    assert not any(one.may_have_come for one in tried)


def test_what_nobody_answers_is_sent_twice_and_the_second_says_so():
    queue = TargetQueue("phone")
    queue.put(message(), 0.0, AT)
    told, tried, _ = try_all(queue, Sent(Outcome.UNANSWERED))

    assert [one.outcome for one in told] == [Outcome.UNANSWERED, Outcome.GAVE_UP]
    assert [one.may_have_come for one in tried] == [False, True]


@pytest.mark.parametrize(
    ("sent", "tries"), [(Sent(Outcome.DELIVERED), 1), (Sent(Outcome.FAILED, "404", is_final=True), 2)]
)
def test_what_is_settled_is_tried_no_more(sent: Sent, tries: int):
    queue = TargetQueue("phone")
    queue.put(message(), 0.0, AT)
    assert len(try_all(queue, sent)[0]) == tries
    assert len(queue) == 0


def test_what_was_tried_before_by_another_program_has_one_try_more_when_it_is_old():
    queue = TargetQueue("phone")
    queue.put(message(fired_at=AT - timedelta(hours=1)), 0.0, AT)
    assert [one.outcome for one in try_all(queue, Sent(Outcome.FAILED))[0]] == [Outcome.GAVE_UP]


@pytest.mark.parametrize(("age", "is_late"), [(59, False), (60, True)])
def test_what_is_sent_late_says_so(age: int, is_late: object):
    queue = TargetQueue("phone")
    queue.put(message(), 0.0, AT)

    assert as_of(queue.take(), age).is_late is is_late


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_clock_that_is_set_makes_nothing_late_or_too_old(hours: int):
    """A message that is given up for that is missed for ever."""
    queue = TargetQueue("phone")
    queue.put(message(), 0.0, AT)
    job = queue.take()

    told = queue.ended(
        job, Sent(Outcome.FAILED), now=5.0, wall=AT + timedelta(hours=hours), random=lambda: 1.0
    )

    assert told.outcome is Outcome.FAILED
    assert not as_of(queue.take(), 59.0).is_late


def test_what_was_old_when_it_was_put_there_stays_so_much_older():
    queue = TargetQueue("phone")
    queue.put(message(fired_at=AT - timedelta(seconds=10)), 0.0, AT)

    assert as_of(queue.take(), 50.0).is_late
