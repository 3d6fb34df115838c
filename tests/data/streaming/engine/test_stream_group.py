"""What the workers of a run have in common: by which clock it is told when nothing was heard."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from options_helper.data.streaming.engine.absence import Absence
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.engine.stream_group import StreamGroup
from options_helper.data.streaming.engine.stream_source import AlpacaSource
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.state.market_clock import MarketClock
from options_helper.model.instants import NANOSECONDS
from options_helper.model.streams import StreamName
from tests.kit.fakes import NOON, SETTINGS, ScriptedStreams, acknowledge
from tests.kit.waiting import AT_ONCE

HOUR_NS = 3_600 * NANOSECONDS


class ScriptedPulse:
    """Has nothing to tell but what the test does."""

    made: ScriptedPulse
    absent_seconds = 0.0

    def __init__(self, notice: Callable[[Absence], None], **_: Any) -> None:
        self.notice = notice
        ScriptedPulse.made = self

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def join(self, seconds: float) -> None: ...

    def look(self) -> None: ...


def test_a_sleep_in_which_a_clock_that_was_behind_is_set_right_is_told_by_the_clock_as_it_is_then():
    """It was put right by what was known of it until then, which would make of the sleep one that is still to come."""
    clock = MarketClock()
    clock.ahead_ns = -HOUR_NS
    group = StreamGroup(
        LiveStreamConfig(stocks=("AAPL",), stream_fills=False),
        SETTINGS,
        AlpacaSource(stocks=ScriptedStreams([acknowledge()])),
        RetryPolicy(),
        clock=clock,
        lock=threading.Lock(),
        announced=lambda _: None,
        now_ns=lambda: NOON,
        notice_set_clock=lambda: setattr(clock, "ahead_ns", 0),
        pulse_cls=ScriptedPulse,
    )
    group.start()
    try:
        ScriptedPulse.made.notice(Absence(NOON - 2 * HOUR_NS, NOON))
        (gap,) = group.healths(NOON)[StreamName.STOCKS].gaps
    finally:
        group.stop(AT_ONCE)

    assert (gap.since_ns, gap.until_ns) == (NOON - 2 * HOUR_NS, NOON)


def test_a_loss_is_told_by_the_clock_as_it_is_then():
    """As with a sleep: whoever looks before something is told looks at the clock first."""
    looks: list[str] = []
    group = StreamGroup(
        LiveStreamConfig(stocks=("AAPL",), stream_fills=False),
        SETTINGS,
        AlpacaSource(),
        RetryPolicy(),
        clock=MarketClock(),
        lock=threading.Lock(),
        announced=lambda _: None,
        now_ns=lambda: NOON,
        notice_set_clock=lambda: looks.append("the clock"),
        pulse_cls=ScriptedPulse,
    )
    ScriptedPulse.made.look = lambda: looks.append("the pulse")  # type: ignore[method-assign]

    group.look()

    assert looks == ["the clock", "the pulse"]
