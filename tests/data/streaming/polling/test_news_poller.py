"""After a gap the news are asked for from a little before it: an article may be entered after its own time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from options_helper.data.rest.server_clock import ServerClock
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.polling.news_poller import OVERLAP, NewsPoller
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds, utc_datetime
from tests.kit.fakes import NOON
from tests.kit.waiting import wait_until

MINUTE = 60 * NANOSECONDS


class Articles:
    """A market without news, which remembers from when on it was asked, and tells its time."""

    def __init__(self, tell_time: Callable[[], object]) -> None:
        self.since: list[datetime | None] = []
        self._tell_time = tell_time

    def news(self, query: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
        start = query.get("start")
        self.since.append(None if start is None else datetime.fromisoformat(start))
        self._tell_time()
        yield []

    def stop(self) -> None:
        """Nothing is under way."""


class Run:
    """A poller of a run, at a time that the test says, on a clock that it sets."""

    def __init__(self) -> None:
        self.at_ns = NOON
        self.ahead_ns = 0  # of the computer's clock
        server_clock = ServerClock(self.wall_ns, self.elapsed)

        def tell_time() -> None:
            date = format_datetime(utc_datetime(self.at_ns), usegmt=True)
            server_clock.answered({"Date": date}, utc_datetime(self.wall_ns()), 0.0)

        self.articles = Articles(tell_time)
        self.context = PollContext(
            LiveState(fills_cache_size=1),
            threading.Lock(),
            self.wall_ns,
            lambda _: self.articles,  # type: ignore[arg-type, return-value]
            lambda: 0.0,
            server_clock=server_clock,
            elapsed=self.elapsed,
        )
        self.poller = NewsPoller(self.context, LiveStreamConfig(news=("AAPL",)), WatchPolicy(), len)

    def wall_ns(self) -> int:
        return self.at_ns + self.ahead_ns

    def elapsed(self) -> float:
        return self.at_ns / NANOSECONDS

    def keep_house(self, at_ns: int, connection: int) -> None:
        """As the consumer does."""
        self.at_ns = at_ns
        with self.context.lock:
            self.context.correct_clock()
        self.poller.observe(connection)

    def connect(self, connection: int, at_ns: int) -> None:
        """The stream is there, and what it lacks has been asked for."""
        self.keep_house(at_ns, connection)

        def has_asked() -> bool:
            with self.context.lock:
                report = self.context.account_state.reports.get(RestTask.NEWS)
            is_done = report is not None and report.phase is RestPhase.DONE
            if not is_done or report is None or report.finished_at is None:
                return False
            return abs(report.finished_at - utc_datetime(at_ns)) < timedelta(seconds=2)

        wait_until(has_asked)


@pytest.fixture
def run() -> Iterator[Run]:
    made = Run()
    yield made
    made.context.stop()
    made.poller.stop(1.0)


def about(since: Iterable[datetime | None]) -> list[int | None]:
    """Until when all was there of which more was asked for, by whole minutes: an answer tells whole seconds."""
    return [
        None if one is None else round(datetime_nanoseconds(one + OVERLAP) / MINUTE) * MINUTE for one in since
    ]


def test_what_was_entered_late_before_a_gap_is_asked_for_too(run: Run):
    run.connect(1, NOON)
    run.keep_house(NOON + 30 * MINUTE, 1)  # it was complete until then
    run.connect(2, NOON + 45 * MINUTE)

    assert about(run.articles.since) == [None, NOON + 30 * MINUTE]
    assert OVERLAP.total_seconds() >= 60, "clocks of two computers differ by as much"


def test_a_clock_that_is_put_forward_before_a_gap_has_nothing_left_out(run: Run):
    """No answer said since how wrong it was, so the stream was there an hour later than it was."""
    run.connect(1, NOON)
    run.keep_house(NOON + 30 * MINUTE, 1)
    run.ahead_ns = 60 * MINUTE
    run.keep_house(NOON + 31 * MINUTE, 1)
    run.connect(2, NOON + 45 * MINUTE)

    assert about(run.articles.since) == [None, NOON + 30 * MINUTE]


def test_what_is_asked_for_by_a_clock_that_is_ahead_is_complete_until_then_and_no_longer(run: Run):
    run.ahead_ns = 60 * MINUTE
    run.connect(1, NOON)
    run.connect(2, NOON + 15 * MINUTE)

    assert about(run.articles.since) == [None, NOON]
