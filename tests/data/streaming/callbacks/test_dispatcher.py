"""Callbacks without a manager: what runs under their lock, whose turn it is, and what a restart leaves behind."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from options_helper.data.streaming.callbacks.delivery import Delivery
from options_helper.data.streaming.callbacks.dispatcher import Callbacks
from options_helper.model.callbacks import CallbackKind, Told
from options_helper.model.gaps import Gap
from options_helper.model.snapshot import StreamHealth
from options_helper.model.streams import StreamName
from tests.kit.waiting import A_PROCESS, AT_ONCE, until_no_thread, wait_until

GAP, NEWS, QUOTE, TRADE = CallbackKind.GAP, CallbackKind.NEWS, CallbackKind.QUOTE, CallbackKind.TRADE
RUN = object()


@pytest.fixture
def callbacks() -> Iterator[Callbacks]:
    callbacks = Callbacks()
    callbacks.open(RUN)
    yield callbacks
    callbacks.open(RUN)  # whatever a test has left it as
    callbacks.close(RUN, 0.1)
    until_no_thread("live-callbacks")
    assert callbacks.stats.accounted
    assert callbacks.stats.pending == 0


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What a stuck callback waits for."""
    event = threading.Event()
    yield event
    event.set()


def tell(callbacks: Callbacks, kind: CallbackKind, *values: Any) -> None:
    callbacks.welcome([])
    callbacks.tell(Told(kind, ("AAPL",), value) for value in values)


def test_an_error_that_cannot_say_what_it_is_costs_no_other_callback(callbacks: Callbacks):
    class Mute(Exception):
        def __str__(self) -> str:
            raise SystemExit

    def fails(_: object) -> None:
        raise Mute

    failing = callbacks.add(GAP, None, fails)
    seen: list[int] = []
    callbacks.add(NEWS, None, seen.append)

    tell(callbacks, GAP, 1)
    tell(callbacks, NEWS, 2)

    wait_until(lambda: seen == [2])
    assert (failing.stats.failed, failing.stats.last_error) == (1, "Mute")


@pytest.mark.parametrize("way", ["called", "awaited"])
def test_an_error_whose_text_asks_for_the_ledger_holds_up_nobody(callbacks: Callbacks, way: str):
    class Curious(Exception):
        def __str__(self) -> str:
            return f"after {callbacks.stats.delivered}"

    def fails(_: object) -> None:
        raise Curious

    async def awaited(_: object) -> None:
        raise Curious

    failing = callbacks.add(GAP, None, awaited if way == "awaited" else fails)

    tell(callbacks, GAP, 1)

    # Whoever asks would wait for the lock for good.
    asking = threading.Thread(
        target=wait_until, args=(lambda: failing.stats.last_error == "Curious: after 0",), daemon=True
    )
    asking.start()
    asking.join(A_PROCESS)
    assert not asking.is_alive()


def test_plain_functions_take_turns_however_much_waits_for_one_of_them(release: threading.Event):
    """As soon as a millisecond is over, by the clock that they are given."""
    now = itertools.count(step=0.002)
    callbacks = Callbacks(lambda: next(now))
    callbacks.open(RUN)
    order: list[str] = []

    def slow(value: object) -> None:
        release.wait()
        order.append(f"slow {value}")

    callbacks.add(QUOTE, None, slow)
    callbacks.add(TRADE, None, lambda value: order.append(f"quick {value}"))

    tell(callbacks, QUOTE, *range(5))
    tell(callbacks, TRADE, 0, 1)
    release.set()

    wait_until(lambda: len(order) == 7)
    callbacks.close(RUN, 1.0)
    # One call of the slow one may have been under way.
    assert order.index("quick 0") <= 1
    assert order.index("quick 1") <= 3
    assert [one for one in order if "slow" in one] == [f"slow {number}" for number in range(5)]


def test_a_gap_is_told_before_all_that_waits(callbacks: Callbacks, release: threading.Event):
    order: list[str] = []
    callbacks.add(NEWS, None, lambda _: release.wait())
    callbacks.add(QUOTE, None, lambda value: order.append(f"quote {value}"))
    callbacks.add(GAP, None, lambda value: order.append(f"gap {value}"))

    tell(callbacks, NEWS, 0)
    tell(callbacks, QUOTE, 1, 2)
    tell(callbacks, GAP, 1, 2)
    tell(callbacks, QUOTE, 3)
    release.set()

    wait_until(lambda: len(order) == 5)
    assert order.index("gap 2") < order.index("quote 3")
    assert order[:2] == ["gap 1", "gap 2"]


class Strategy:
    """Two coroutine functions that share a loop."""

    def __init__(self, release: threading.Event) -> None:
        self.order: list[str] = []
        self._release = release

    async def busy(self, value: object) -> None:
        self._release.wait()
        self.order.append(f"busy {value}")

    async def other(self, value: object) -> None:
        self.order.append(f"other {value}")


def test_an_event_loop_turns_to_the_others_before_all_of_one_callback_is_done(
    callbacks: Callbacks, release: threading.Event
):
    strategy = Strategy(release)
    callbacks.add(QUOTE, None, strategy.busy)
    callbacks.add(TRADE, None, strategy.other)

    tell(callbacks, QUOTE, *range(200))
    tell(callbacks, TRADE, 0)
    release.set()

    wait_until(lambda: len(strategy.order) == 201)
    assert strategy.order.index("other 0") < 100


def test_a_coroutine_that_restarts_the_run_lets_the_processor_rest_while_it_goes_on(
    callbacks: Callbacks, monkeypatch: pytest.MonkeyPatch
):
    begun: Counter[CallbackKind] = Counter()
    begin = Delivery.begin

    def counted(delivery: Delivery, now: float) -> Any:
        begun[delivery.kind] += 1
        return begin(delivery, now)

    monkeypatch.setattr(Delivery, "begin", counted)

    class Restarting:
        def __init__(self) -> None:
            self.has_restarted, self.is_over = threading.Event(), threading.Event()
            self.gaps: list[object] = []
            self.news: list[object] = []

        async def on_gap(self, value: object) -> None:
            if value == "first":
                callbacks.close(RUN, 0.0)
                callbacks.open(RUN)
                self.has_restarted.set()
                while not self.is_over.is_set():  # noqa: ASYNC110 - of another thread
                    await asyncio.sleep(0.001)
            self.gaps.append(value)

        async def on_news(self, value: object) -> None:
            self.news.append(value)

        def has_news(self, value: object) -> bool:
            return value in self.news

    one = Restarting()
    callbacks.add(GAP, None, one.on_gap)
    callbacks.add(NEWS, None, one.on_news)
    tell(callbacks, GAP, "first")
    assert one.has_restarted.wait(AT_ONCE)
    tell(callbacks, GAP, "second")
    for number in range(
        50
    ):  # rounds of the new run's loop, on which the second one waits for the first one's end
        tell(callbacks, NEWS, number)
        wait_until(partial(one.has_news, number))

    assert begun[GAP] < 10
    one.is_over.set()
    wait_until(lambda: one.gaps == ["first", "second"])


def test_what_an_abandoned_call_returns_is_not_awaited(callbacks: Callbacks, release: threading.Event):
    awaited: list[object] = []
    called: list[object] = []
    returned: list[Any] = []

    async def report(value: object) -> None:
        awaited.append(value)

    def plain(value: object) -> Any:
        called.append(value)
        if value == 1:
            release.wait()
        returned.append(report(value))
        return returned[-1]

    handle = callbacks.add(GAP, None, plain)
    tell(callbacks, GAP, 1)
    wait_until(lambda: called)
    callbacks.close(RUN, 0.0)
    callbacks.open(RUN)
    release.set()
    wait_until(lambda: returned)
    tell(callbacks, GAP, 2)

    wait_until(lambda: handle.stats.delivered == 1)
    assert awaited == [2]
    assert handle.stats.given_up == 1


def test_the_loop_of_a_callback_that_was_removed_in_its_last_call_ends_with_it(callbacks: Callbacks):
    awaited: list[object] = []

    async def report(value: object) -> None:
        awaited.append(value)

    def once(value: object) -> Any:
        handle.remove()
        return report(value)

    handle = callbacks.add(GAP, None, once)
    tell(callbacks, GAP, 1)

    wait_until(lambda: handle.stats.delivered == 1)
    assert awaited == [1]
    until_no_thread("live-callbacks-loop")


def test_a_loop_that_was_closed_without_a_word_keeps_nothing(callbacks: Callbacks):
    loop = asyncio.new_event_loop()
    loop.close()
    callbacks.add(QUOTE, None, print, loop=loop)

    tell(callbacks, QUOTE, *range(10))

    assert not callbacks.needs_looks
    assert (callbacks.stats.given_up, callbacks.stats.pending) == (10, 0)


def test_a_pull_ends_with_its_run_and_takes_nothing_of_the_next_one(callbacks: Callbacks):
    async def fetch() -> list[object]:
        pull = callbacks.pull(QUOTE, None, loop=asyncio.get_running_loop())
        tell(callbacks, QUOTE, 1)
        first = await anext(pull)
        callbacks.close(RUN, 0.0)
        return [first, *[value async for value in pull]]

    assert asyncio.run(fetch()) == [1]
    callbacks.open(RUN)
    tell(callbacks, QUOTE, 2)

    assert callbacks.stats.offered == 1
    assert not callbacks.any


def test_the_newest_phase_of_one_stream_does_not_replace_that_of_another(
    callbacks: Callbacks, release: threading.Event
):
    seen: list[object] = []
    callbacks.add(NEWS, None, lambda _: release.wait())
    for kind in (CallbackKind.HEALTH, GAP):
        callbacks.add(kind, None, seen.append, newest=True)
    healths = [StreamHealth(name) for name in (StreamName.STOCKS, StreamName.NEWS)]
    gaps = [Gap(name, 1, None, "cut") for name in (StreamName.STOCKS, StreamName.NEWS)]

    tell(callbacks, NEWS, 0)
    tell(callbacks, CallbackKind.HEALTH, *healths)
    tell(callbacks, GAP, *gaps)
    release.set()

    wait_until(lambda: len(seen) == 4)
    assert callbacks.stats.given_up == 0


def test_a_callable_object_is_looked_at_where_no_lock_is_held(callbacks: Callbacks):
    asked: list[int] = []

    class Curious:
        def __call__(self, value: object) -> None:
            asked.append(-1)

        def __getattr__(self, name: str) -> Any:
            asked.append(callbacks.stats.offered)
            raise AttributeError(name)

    callbacks.add(NEWS, None, Curious())
    telling = threading.Thread(target=tell, args=(callbacks, NEWS, 1), daemon=True)
    telling.start()
    telling.join(AT_ONCE)

    assert not telling.is_alive()
    wait_until(lambda: -1 in asked)


def test_who_is_new_is_told_how_things_stand_and_then_what_changes(callbacks: Callbacks):
    told: list[object] = []
    missed: list[object] = []
    callbacks.add(GAP, "AAPL", told.append)
    callbacks.add(GAP, "MSFT", missed.append)

    callbacks.tell([Told(GAP, ("AAPL",), "before")])
    assert callbacks.has_newcomers
    callbacks.welcome([Told(GAP, ("AAPL",), "open"), Told(CallbackKind.HEALTH, ("AAPL",), "live")])
    callbacks.tell([Told(GAP, ("AAPL", "MSFT"), "over")])

    wait_until(lambda: len(told) == 2 and missed)
    assert (told, missed) == (["open", "over"], ["over"])
    assert not callbacks.has_newcomers


def test_who_was_there_before_a_run_is_told_how_it_begins(callbacks: Callbacks):
    told: list[object] = []
    callbacks.close(RUN, 0.0)
    callbacks.add(GAP, None, told.append)
    callbacks.open(RUN)

    callbacks.tell([Told(GAP, ("AAPL",), "first")])

    wait_until(lambda: told == ["first"])
