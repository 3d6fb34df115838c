"""A thread calls much without a look at the lock, and nobody is told wrong, held up or called too often by that."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from options_helper.data.streaming.callbacks.dispatcher import Callbacks
from options_helper.model.callbacks import CallbackKind, Told
from tests.kit.waiting import AT_ONCE, FOREVER, until_no_thread, wait_until

GAP, NEWS, QUOTE, TRADE = CallbackKind.GAP, CallbackKind.NEWS, CallbackKind.QUOTE, CallbackKind.TRADE
RUN = object()


class Clock:
    """Stands still until a test moves it, so that no time is over by itself."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Held:
    """A callback that waits in the call with one value until it is let go."""

    def __init__(self, at: object) -> None:
        self.at = at
        self.seen: list[object] = []
        self.threads: set[int] = set()
        self.is_in_it = threading.Event()
        self.release = threading.Event()

    def __call__(self, value: object) -> None:
        self.threads.add(threading.get_ident())
        if value == self.at:
            self.is_in_it.set()
            self.release.wait(FOREVER)
        self.seen.append(value)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hold() -> Iterator[Callable[[object], Held]]:
    """Makes callbacks that wait, and lets all of them go at the end."""
    made: list[Held] = []

    def make(at: object) -> Held:
        made.append(Held(at))
        return made[-1]

    yield make
    for held in made:
        held.release.set()


@pytest.fixture
def held(hold: Callable[[object], Held]) -> Held:
    return hold(3)


@pytest.fixture
def callbacks(clock: Clock) -> Iterator[Callbacks]:
    callbacks = Callbacks(clock)
    callbacks.open(RUN)
    yield callbacks
    callbacks.open(RUN)  # whatever a test has left it as
    callbacks.close(RUN, 1.0)
    until_no_thread("live-callbacks")
    assert callbacks.stats.accounted
    assert callbacks.stats.pending == 0


def tell(callbacks: Callbacks, kind: CallbackKind, *values: Any) -> None:
    callbacks.welcome([])
    callbacks.tell(Told(kind, ("AAPL",), value) for value in values)


def test_what_was_called_is_counted_though_the_next_call_lasts(callbacks: Callbacks, held: Held):
    handle = callbacks.add(QUOTE, None, held)
    tell(callbacks, QUOTE, *range(1, 11))
    assert held.is_in_it.wait(AT_ONCE)

    stats = handle.stats

    assert (stats.delivered, stats.pending) == (2, 8)
    assert callbacks.stats.delivered == 2


def test_a_removed_callback_is_not_called_with_what_its_thread_has_taken(callbacks: Callbacks, held: Held):
    handle = callbacks.add(QUOTE, None, held)
    tell(callbacks, QUOTE, *range(1, 11))
    assert held.is_in_it.wait(AT_ONCE)

    handle.remove()
    held.release.set()

    wait_until(lambda: handle.stats.pending == 0)
    assert held.seen == [1, 2, 3]
    assert (handle.stats.delivered, handle.stats.given_up) == (3, 7)


def test_an_end_gives_up_what_was_not_called_and_nothing_that_was(callbacks: Callbacks, held: Held):
    handle = callbacks.add(QUOTE, None, held)
    tell(callbacks, QUOTE, *range(1, 11))
    assert held.is_in_it.wait(AT_ONCE)

    callbacks.close(RUN, 0.0)
    callbacks.open(RUN)

    assert (handle.stats.delivered, handle.stats.given_up, handle.stats.pending) == (2, 8, 0)
    held.release.set()
    tell(callbacks, QUOTE, 11)
    wait_until(lambda: 11 in held.seen and 3 in held.seen)
    wait_until(lambda: handle.stats.delivered == 3)


def test_a_gap_goes_before_what_the_thread_has_taken(callbacks: Callbacks, held: Held):
    callbacks.add(QUOTE, None, held)
    callbacks.add(GAP, None, lambda value: held.seen.append(f"gap {value}"))
    tell(callbacks, QUOTE, *range(1, 6))
    assert held.is_in_it.wait(AT_ONCE)

    tell(callbacks, GAP, 1, 2)
    held.release.set()

    wait_until(lambda: len(held.seen) == 7)
    assert held.seen == [1, 2, 3, "gap 1", "gap 2", 4, 5]


def test_the_newest_value_is_the_newest_when_it_is_called(callbacks: Callbacks, held: Held, clock: Clock):
    callbacks.add(QUOTE, None, held)
    seen: list[object] = []
    handle = callbacks.add(QUOTE, None, seen.append, newest=True)
    tell(callbacks, QUOTE, 3)
    assert held.is_in_it.wait(AT_ONCE)
    tell(callbacks, QUOTE, 4)

    clock.now += 0.002
    held.release.set()

    wait_until(lambda: handle.stats.pending == 0)
    assert (seen, handle.stats.given_up) == ([4], 1)


def test_failures_among_calls_are_counted_each_in_its_place(
    callbacks: Callbacks, held: Held, caplog: pytest.LogCaptureFixture
):
    def odd_fails(value: int) -> None:
        if value % 2:
            raise ValueError(f"number {value}")
        held(value)

    held.at = 6
    handle = callbacks.add(QUOTE, None, odd_fails)
    tell(callbacks, QUOTE, *range(10))
    assert held.is_in_it.wait(AT_ONCE)
    assert (handle.stats.delivered, handle.stats.failed) == (3, 3)
    assert handle.stats.last_error == "ValueError: number 5"

    held.release.set()

    wait_until(lambda: handle.stats.pending == 0)
    assert (handle.stats.delivered, handle.stats.failed) == (5, 5)
    wait_until(lambda: "odd_fails" in caplog.text)
    assert len([record for record in caplog.records if "odd_fails" in record.getMessage()]) == 1


def test_what_returns_something_to_await_keeps_its_order(callbacks: Callbacks):
    seen: list[int] = []

    async def note(value: int) -> None:
        await asyncio.sleep(0)
        seen.append(value)

    handle = callbacks.add(QUOTE, None, lambda value: note(value) if value == 2 else seen.append(value))
    tell(callbacks, QUOTE, *range(10))

    wait_until(lambda: handle.stats.pending == 0)
    assert seen == list(range(10))
    assert handle.stats.delivered == 10


def test_callbacks_that_are_each_just_quick_enough_do_not_hold_up_another_one_together(
    callbacks: Callbacks, clock: Clock, hold: Callable[[object], Held]
):
    """By how long the others wait, and not by how long one call lasts."""
    first, second = hold(1), hold(1)
    quick: list[object] = []
    callbacks.add(QUOTE, None, first)
    callbacks.add(QUOTE, None, second)
    callbacks.add(TRADE, None, quick.append)
    tell(callbacks, QUOTE, 1)
    tell(callbacks, TRADE, 1)

    assert first.is_in_it.wait(AT_ONCE)
    callbacks.look()
    clock.now = 0.04
    callbacks.look()
    first.release.set()
    assert second.is_in_it.wait(AT_ONCE)
    callbacks.look()
    clock.now = 0.06
    callbacks.look()

    wait_until(lambda: quick)
    assert not second.seen
    second.release.set()


def test_a_callback_whose_turn_comes_is_not_held_up(
    callbacks: Callbacks, clock: Clock, hold: Callable[[object], Held]
):
    """However long another one goes on calling: each stays on its thread."""
    other = hold(None)
    held = hold(0)
    callbacks.add(QUOTE, None, held)
    callbacks.add(QUOTE, None, other)
    for value in range(10):
        held.at = value
        held.is_in_it.clear()
        held.release.clear()
        tell(callbacks, QUOTE, value)
        assert held.is_in_it.wait(AT_ONCE)
        callbacks.look()
        clock.now += 0.03
        callbacks.look()
        held.release.set()
        wait_until(partial(lambda value: value in other.seen, value))

    assert len(held.threads | other.threads) == 1


def test_a_callback_that_ends_the_run_and_returns_something_to_await_leaves_no_thread(callbacks: Callbacks):
    awaited: list[object] = []

    async def report(value: object) -> None:
        awaited.append(value)

    def ends(value: object) -> Any:
        callbacks.close(RUN, 0.0)
        return report(value)

    handle = callbacks.add(QUOTE, None, ends)
    tell(callbacks, QUOTE, 1)

    wait_until(lambda: awaited == [1])
    until_no_thread("live-callbacks-loop")
    assert handle.stats.delivered == 1
    callbacks.open(RUN)
    tell(callbacks, QUOTE, 2)
    wait_until(lambda: awaited == [1, 2])
