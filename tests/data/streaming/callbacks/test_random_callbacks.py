"""A thousand random steps: callbacks come and go, symbols too, connections end, and the law is exact at each."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from options_helper.data.streaming.callbacks.dispatcher import CallbackHandle
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.errors import StreamError
from options_helper.model.events import Quote
from tests.kit.fakes import (
    CONFIG,
    ScriptedStream,
    ScriptedStreams,
    acknowledge,
    deliver,
    frame,
    quote_message,
    running_manager,
)
from tests.kit.pace import LONG
from tests.kit.waiting import wait_until

SYMBOLS = ("AAPL", "MSFT", "TSLA")
STEPS = 1_000
CONFIGURED = replace(
    CONFIG, stocks=SYMBOLS, option_contracts=(), stream_fills=False, reconnect_base_seconds=0.001
)


def hold_until_dropped(stream: ScriptedStream) -> None:
    """The connection lasts until somebody ends it."""
    stream.stopped.wait()
    if "dropped" in stream.wanted:
        raise StreamError("dropped")


class Play:
    """Callbacks of every sort at random, and what each of them says that it got."""

    def __init__(self, manager: LiveStreamManager, streams: ScriptedStreams, chance: random.Random) -> None:
        self.manager = manager
        self.streams = streams
        self.chance = chance
        self.all: list[tuple[int, CallbackHandle]] = []
        self.present: list[CallbackHandle] = []
        # By the number of the callback; each is called by one thread at a time.
        self.returned: Counter[int] = Counter()
        self.raised: Counter[int] = Counter()

    def register(self) -> None:
        number = len(self.all)
        plain, awaited = self.callbacks(number)
        handle = self.manager.on(
            self.chance.choice(["quote", "quote", "gap", "health"]),
            self.chance.choice([*SYMBOLS, None]),
            self.chance.choice([plain, awaited]),
            newest=self.chance.random() < 0.2,
            queue_size=self.chance.choice([1, 10, 10_000]),
        )
        self.all.append((number, handle))
        self.present.append(handle)

    def callbacks(self, number: int):
        fails = self.chance.random() < 0.2

        def plain(value: object) -> None:
            if fails:
                self.raised[number] += 1
                raise self.error(value)
            self.returned[number] += 1

        async def awaited(value: object) -> None:
            await asyncio.sleep(0)
            plain(value)

        return plain, awaited

    @staticmethod
    def error(value: object) -> BaseException:
        cancels = isinstance(value, Quote) and value.symbol == "MSFT"
        return asyncio.CancelledError() if cancels else ValueError("a bug of the user's")

    def remove(self) -> None:
        if self.present:
            self.present.pop(self.chance.randrange(len(self.present))).remove()

    def subscribe(self) -> None:
        channels = self.chance.choice([(), ("quotes",), ("bars", "trades")])
        self.manager.subscribe([self.chance.choice(SYMBOLS)], channels=channels)

    def unsubscribe(self) -> None:
        self.manager.unsubscribe([self.chance.choice(SYMBOLS)])

    def send(self) -> None:
        symbols = self.chance.choices(SYMBOLS, k=self.chance.randint(1, 8))
        deliver(frame(*map(quote_message, symbols)))(self.streams.made[-1])

    def disconnect(self) -> None:
        stream = self.streams.made[-1]
        stream.wanted["dropped"] = None
        stream.stop()

    def step(self) -> None:
        steps = (self.send, self.register, self.remove, self.subscribe, self.unsubscribe, self.disconnect)
        self.chance.choices(steps, weights=(60, 14, 12, 6, 6, 2))[0]()

    def settle(self) -> None:
        """Until what was sent is folded: it shall meet those who are registered now, however slow the machine is."""
        wait_until(lambda: self.manager.snapshot().streams["stocks"].queued == 0)

    def check(self) -> None:
        assert self.manager.snapshot().callbacks.accounted
        assert all(handle.stats.accounted for _, handle in self.all)


@pytest.fixture
def streams() -> ScriptedStreams:
    return ScriptedStreams([acknowledge(), hold_until_dropped])


@pytest.fixture
def manager(streams: ScriptedStreams) -> Iterator[LiveStreamManager]:
    with running_manager(stocks=streams, config=CONFIGURED) as manager:
        wait_until(lambda: streams.made)
        yield manager


@pytest.mark.parametrize("seed", range(1, 30 if LONG else 3))
def test_the_law_is_exact_through_a_thousand_random_steps(
    manager: LiveStreamManager, streams: ScriptedStreams, seed: int
):
    play = Play(manager, streams, random.Random(seed))

    for number in range(STEPS):
        play.step()
        if number % 10 == 0:
            play.check()
        if number % 50 == 0:
            play.settle()
    wait_until(lambda: manager.snapshot().callbacks.pending == 0, saw=lambda: manager.snapshot().callbacks)
    manager.stop()

    play.check()
    for number, handle in play.all:
        stats = handle.stats
        assert (stats.delivered, stats.failed, stats.pending) == (
            play.returned[number],
            play.raised[number],
            0,
        )
    total = manager.snapshot().callbacks
    assert total.offered == sum(handle.stats.offered for _, handle in play.all) > 100
    assert total.delivered == sum(play.returned.values())
    assert len(streams.made) > 3, "it was disconnected, and came back"
