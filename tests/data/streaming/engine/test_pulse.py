"""A process that did not run has a gap: told by its own late look, whoever looks first."""

from __future__ import annotations

import sys
import threading
import time
from functools import partial

import pytest

from options_helper.clock import elapsed_seconds
from options_helper.data.streaming.engine.absence import AbsenceJudge
from options_helper.data.streaming.engine.pulse import LATE_SECONDS, Absence, Pulse
from tests.kit.fakes import NOON, SteppedClock
from tests.kit.waiting import AT_ONCE, wait_until

SECOND = 1_000_000_000


def pulse(clock: SteppedClock) -> tuple[Pulse, list[Absence]]:
    told: list[Absence] = []
    return Pulse(told.append, elapsed=clock.monotonic, monotonic=clock.monotonic, now_ns=clock), told


def test_looks_in_time_are_no_absence():
    clock = SteppedClock()
    subject, told = pulse(clock)
    for _ in range(100):
        subject.look()
        clock.advance(LATE_SECONDS - 0.1)
    assert (told, subject.absent_seconds) == ([], 0.0)


def test_a_late_look_tells_from_when_to_when_nothing_ran():
    clock = SteppedClock()
    subject, told = pulse(clock)
    subject.look()
    clock.advance(40)
    subject.look()
    subject.look()
    assert told == [Absence(NOON, NOON + 40 * SECOND)]
    assert subject.absent_seconds == 40


def test_how_long_of_it_the_computer_slept_is_told_with_it():
    """What measures a silence stands still meanwhile."""
    judge = AbsenceJudge()
    judge.look(10.0, 5.0, NOON)
    absence = judge.look(50.0, 15.0, NOON + 40 * SECOND)
    assert absence == Absence(NOON, NOON + 40 * SECOND, stood_still_seconds=30.0)


def test_setting_the_clock_is_no_absence_and_makes_none_longer():
    clock = SteppedClock()
    subject, told = pulse(clock)
    subject.look()
    clock.put_forward(3_600)
    subject.look()
    assert told == []
    clock.advance(40)
    clock.put_forward(-7_200)
    subject.look()
    assert [absence.seconds for absence in told] == [40]


def test_it_is_noticed_by_itself_and_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("options_helper.data.streaming.engine.pulse.LOOK_EVERY_SECONDS", 0.001)
    clock = SteppedClock()
    subject, told = pulse(clock)
    subject.start()
    try:
        clock.wait_for_looks("live-pulse")
        clock.advance(60)
        wait_until(lambda: told)
        clock.wait_for_looks("live-pulse")
        assert len(told) == 1
    finally:
        subject.stop()
        subject.join(AT_ONCE)


def test_whoever_looks_while_it_is_being_told_waits_until_it_has_been():
    """Otherwise the silence of a computer that slept would be judged before anybody knew that it slept."""
    clock = SteppedClock()
    telling, told = threading.Event(), threading.Event()

    def notice(_: Absence) -> None:
        telling.set()
        wait_until(looker.is_alive)
        told.set()

    subject = Pulse(notice, elapsed=clock.monotonic, monotonic=clock.monotonic, now_ns=clock)
    seen: list[bool] = []

    def look() -> None:
        subject.look()
        seen.append(told.is_set())

    looker = threading.Thread(target=look)
    subject.look()
    clock.advance(60)
    first = threading.Thread(target=subject.look)
    first.start()
    wait_until(telling.is_set)
    looker.start()
    first.join(AT_ONCE)
    looker.join(AT_ONCE)
    assert seen == [True]


def test_the_clock_behind_it_goes_on():
    before, began = elapsed_seconds(), time.monotonic()
    wait_until(lambda: time.monotonic() > began)
    assert elapsed_seconds() > before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the monotonic clock goes on in sleep")
def test_on_linux_it_is_the_clock_that_goes_on_in_sleep():
    assert isinstance(elapsed_seconds, partial)
    assert elapsed_seconds.args == (time.CLOCK_BOOTTIME,)
