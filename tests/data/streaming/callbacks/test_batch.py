"""What a thread calls without a lock is counted exactly, whatever others do meanwhile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.streaming.callbacks.batch import Batch
from options_helper.data.streaming.callbacks.delivery import Delivery, Failure
from options_helper.model.callbacks import CallbackKind


def waiting_for(*values: object, **more) -> Delivery:
    one = Delivery(CallbackKind.QUOTE, None, print, **more)
    for value in values:
        one.offer(str(value), value)
    return one


def lent(*owners: Delivery) -> Batch:
    return Batch([(one, one.lend("a lane", 100)) for one in owners], 0.0)


def test_several_callbacks_take_turns_until_nobody_has_any_more():
    first, second = waiting_for(1, 2, 3), waiting_for("a")

    assert [value for _, value in lent(first, second).calls] == [1, "a", 2, 3]


def test_what_is_over_is_counted_while_the_next_call_is_under_way():
    one = waiting_for(1, 2, 3)
    batch = lent(one)
    next(batch.calls)
    batch.ends.append(2.0)
    next(batch.calls)

    batch.settle(7.0)

    stats = one.stats(7.0)
    assert (stats.delivered, stats.pending, stats.slowest) == (1, 2, 5.0)
    assert batch.under_way is one


def test_what_is_taken_back_waits_before_what_came_later():
    one = waiting_for(1, 2, 3)
    batch = lent(one)
    next(batch.calls)
    one.offer("4", 4)

    for owner, values in batch.take_back().items():
        owner.take_back(values)

    assert list(batch.calls) == []
    assert one.lend("another lane", 100) == [2, 3, 4]


def test_a_newer_value_that_came_meanwhile_stays_and_the_old_one_is_given_up():
    one = waiting_for("AAPL", newest=True)
    batch = lent(one)
    one.offer("AAPL", "newer")

    for owner, values in batch.take_back().items():
        owner.take_back(values)

    assert one.lend("another lane", 100) == ["newer"]
    assert one.stats(0.0).given_up == 1


def test_a_queue_is_full_by_what_is_lent_and_not_with_the_callback_too():
    one = waiting_for(1, 2, 3, size=3)
    batch = lent(one)
    next(batch.calls)

    one.offer("4", 4)
    one.offer("5", 5)

    assert (one.stats(0.0).given_up, one.stats(0.0).pending) == (1, 4)


class Play:
    """A thread that calls, and others that look and take back, each in its own time."""

    def __init__(self, *, newest: bool) -> None:
        self.owners = [Delivery(CallbackKind.QUOTE, None, print, newest=newest, size=4) for _ in range(2)]
        self.batch = Batch([], 0.0)
        self.is_calling = False
        self.returned = self.raised = 0
        self.now = 0.0

    def offer(self) -> None:
        for owner in self.owners:
            owner.offer(str(self.now % 3), self.now)

    def lend(self) -> None:
        if not self.batch.is_long and not self.is_calling:
            self.batch.settle(self.now)
            self.batch = lent(*self.owners)

    def begin(self) -> None:
        self.is_calling = self.is_calling or next(self.batch.calls, None) is not None

    def end(self, *, fails: bool = False) -> None:
        if not self.is_calling:
            return
        if fails:
            self.batch.failures[self.batch.over] = Failure.of(ValueError())
        self.batch.ends.append(self.now)
        self.is_calling = False
        if not self.batch.is_abandoned:
            self.raised += fails
            self.returned += not fails

    def fail(self) -> None:
        self.end(fails=True)

    def settle(self) -> None:
        self.batch.settle(self.now)

    def take_back(self) -> None:
        for owner, values in self.batch.take_back().items():
            owner.take_back(values)
        self.settle()

    def abandon(self) -> None:
        self.take_back()
        if (owner := self.batch.under_way) is not None:
            owner.abandon_lent()
            self.batch.is_abandoned = True


STEPS = (Play.offer, Play.lend, Play.begin, Play.end, Play.fail, Play.settle, Play.take_back, Play.abandon)


@given(st.lists(st.sampled_from(STEPS), max_size=80), st.booleans())
def test_the_law_holds_and_every_call_is_counted_once(happening, newest):
    play = Play(newest=newest)

    for number, step in enumerate(happening):
        play.now = float(number)
        step(play)
        assert all(owner.stats(number).accounted for owner in play.owners)

    play.settle()
    assert sum(owner.delivered for owner in play.owners) == play.returned
    assert sum(owner.failed for owner in play.owners) == play.raised
    assert all(owner.stats(0).offered == happening.count(Play.offer) for owner in play.owners)
