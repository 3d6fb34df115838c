"""A thread that repeats its work when it is due, survives its errors, and ends when it is asked to."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator

import pytest

from options_helper.data.periodic_task import PeriodicTask
from tests.kit.waiting import AT_ONCE, wait_until

NAME = "live-test"
FOR_EVER = 3_600.0
QUICK = 0.001

Make = Callable[..., PeriodicTask]


class Work:
    """Counts its rounds; each does next what the test wants, and waits while the test holds it."""

    def __init__(self) -> None:
        self.rounds = 0
        self.then: float | None = None
        self.error: BaseException | None = None
        self.going_on = threading.Event()
        self.going_on.set()

    def __call__(self) -> float | None:
        self.rounds += 1
        assert self.going_on.wait(AT_ONCE)
        if self.error is not None:
            raise self.error
        return self.then


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def make(work: Work) -> Iterator[Make]:
    made: list[PeriodicTask] = []

    def build(
        every: float, *rest: Callable[[Exception], float | None], **more: threading.Event
    ) -> PeriodicTask:
        made.append(PeriodicTask(NAME, work, every, *rest, **more))
        return made[-1]

    yield build
    work.going_on.set()
    for task in made:
        task.stop(5)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def test_it_does_its_work_again_and_again_on_one_thread(make: Make, work: Work):
    task = make(QUICK)
    assert threads() == []

    task.start()
    task.start()

    wait_until(lambda: work.rounds >= 3)
    assert len(threads()) == 1


def test_a_round_may_be_wanted_sooner_and_never_later(make: Make, work: Work):
    task = make(FOR_EVER)
    task.start()
    task.run_within(0)
    wait_until(lambda: work.rounds == 1)
    wait_until(lambda: not task.is_busy)

    task.run_within(QUICK)
    task.run_within(FOR_EVER)

    wait_until(lambda: work.rounds == 2)


def test_what_was_wanted_before_it_began_is_the_first_round(make: Make, work: Work):
    task = make(math.inf)
    task.run_within(0)
    assert work.rounds == 0

    task.start()

    wait_until(lambda: work.rounds == 1)
    wait_until(lambda: not task.is_busy)
    assert work.rounds == 1


def test_what_is_wanted_in_the_midst_of_a_round_gets_one_of_its_own(make: Make, work: Work):
    """What changed may have come too late for the one under way; however often it is wanted, one more is enough."""
    work.going_on.clear()
    task = make(math.inf)
    task.start(0)
    wait_until(lambda: work.rounds == 1)

    task.run_within(0)
    task.run_within(0)
    work.going_on.set()

    wait_until(lambda: work.rounds == 2)
    wait_until(lambda: not task.is_busy)
    assert work.rounds == 2


def test_the_work_says_when_it_is_due_again(make: Make, work: Work):
    work.then = QUICK
    task = make(FOR_EVER)

    task.start(0)

    wait_until(lambda: work.rounds >= 2)


def test_an_error_costs_one_round_and_is_reported(make: Make, work: Work, caplog: pytest.LogCaptureFixture):
    reported: list[Exception] = []
    work.error = fault = ArithmeticError("one bad row")
    task = make(QUICK, reported.append)

    task.start()
    wait_until(lambda: len(reported) >= 2)
    work.error = None
    before = work.rounds

    wait_until(lambda: work.rounds >= before + 2)
    assert set(reported) == {fault}
    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in records] == [f"a round of {NAME} failed"] * len(reported)
    assert all(record.exc_info is not None and record.exc_info[1] is fault for record in records)


def test_after_an_error_it_is_due_again_when_the_one_who_hears_of_it_says(make: Make, work: Work):
    work.error = ArithmeticError("one bad row")
    task = make(FOR_EVER, lambda _: QUICK)

    task.start(0)

    wait_until(lambda: work.rounds >= 2)


def test_an_error_in_telling_of_an_error_costs_no_more_than_the_round(
    make: Make, work: Work, caplog: pytest.LogCaptureFixture
):
    def on_error(_: Exception) -> float | None:
        raise LookupError("nobody to tell")

    work.error = ArithmeticError("one bad row")
    task = make(QUICK, on_error)

    task.start()
    wait_until(lambda: work.rounds >= 2)
    work.error = None
    before = work.rounds

    wait_until(lambda: work.rounds >= before + 2)
    assert "nobody to tell" in caplog.text


def test_a_thread_that_was_told_to_exit_is_busy_no_more_and_says_so(
    make: Make, work: Work, caplog: pytest.LogCaptureFixture
):
    work.error = SystemExit(3)
    task = make(FOR_EVER)

    task.start(0)
    wait_until(lambda: work.rounds == 1 and not threads())

    assert not task.is_busy
    task.run_within(0)
    assert not task.is_busy
    assert f"{NAME} ended in the midst of a round" in caplog.text


def test_it_ends_at_once_however_long_it_would_have_waited(make: Make, work: Work):
    task = make(FOR_EVER)
    task.start()
    (thread,) = threads()

    task.stop(10)

    assert not thread.is_alive()
    assert work.rounds == 0


def test_a_round_that_takes_long_is_waited_for_no_longer_than_wanted(make: Make, work: Work):
    work.going_on.clear()
    task = make(QUICK)
    task.start()
    wait_until(lambda: work.rounds == 1)
    (thread,) = threads()

    task.stop(QUICK)

    assert thread.is_alive()
    work.going_on.set()
    wait_until(lambda: not thread.is_alive())
    assert work.rounds == 1


def test_what_breaks_because_it_was_to_stop_is_no_error(
    make: Make, work: Work, caplog: pytest.LogCaptureFixture
):
    reported: list[Exception] = []
    work.going_on.clear()
    work.error = ConnectionError("the connection was closed under it")
    task = make(FOR_EVER, reported.append)
    task.start(0)
    wait_until(lambda: work.rounds == 1)

    task.request_stop()
    work.going_on.set()
    task.stop(10)

    assert (reported, [record for record in caplog.records if record.levelno > logging.DEBUG]) == ([], [])


def test_it_may_stop_itself(make: Make, work: Work):
    stopping = threading.Event()
    task = PeriodicTask(NAME, lambda: task.stop(10), QUICK, stopping=stopping)

    task.start()

    wait_until(lambda: stopping.is_set() and not threads())


def test_stopping_is_harmless_before_the_beginning_and_twice(make: Make, work: Work):
    task = make(QUICK)

    task.stop()
    task.stop()
    task.run_within(0)
    task.start(0)

    assert (threads(), work.rounds, task.is_busy) == ([], 0, False)


def test_tasks_that_share_an_event_end_together(make: Make):
    together = threading.Event()
    first, second = make(FOR_EVER, stopping=together), make(FOR_EVER, stopping=together)
    first.start()
    second.start()

    first.stop(10)
    second.start(0)

    assert together.is_set()
    second.stop(10)
    assert threads() == []


def test_it_is_busy_from_the_moment_a_round_is_wanted_to_its_end(make: Make, work: Work):
    work.going_on.clear()
    task = make(math.inf)
    task.start()
    busy = [task.is_busy]

    task.run_within(0)

    busy.append(task.is_busy)
    wait_until(lambda: work.rounds == 1)
    busy.append(task.is_busy)
    work.going_on.set()
    wait_until(lambda: not task.is_busy)
    assert busy == [False, True, True]
