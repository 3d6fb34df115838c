"""After a gap the news are asked for from a little before it: an article may be entered after its own time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest

from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.polling.news_poller import OVERLAP, NewsPoller
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.instants import NANOSECONDS, utc_datetime
from tests.kit.fakes import NOON
from tests.kit.waiting import wait_until

MINUTE = 60 * NANOSECONDS


class Articles:
    """A market without news, which remembers from when on it was asked."""

    def __init__(self) -> None:
        self.since: list[datetime | None] = []

    def news(self, query: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
        start = query.get("start")
        self.since.append(None if start is None else datetime.fromisoformat(start))
        yield []

    def stop(self) -> None:
        """Nothing is under way."""


class Run:
    """A poller of a run, on a clock that the test sets."""

    def __init__(self) -> None:
        self.at_ns = NOON
        self.articles = Articles()
        self.context = PollContext(
            LiveState(fills_cache_size=1),
            threading.Lock(),
            lambda: self.at_ns,
            lambda _: self.articles,  # type: ignore[arg-type, return-value]
            lambda: 0.0,
        )
        self.poller = NewsPoller(self.context, LiveStreamConfig(news=("AAPL",)), WatchPolicy(), len)

    def connect(self, connection: int, at_ns: int) -> None:
        """The stream is there, and what it lacks has been asked for."""
        self.at_ns = at_ns
        self.poller.observe(connection)

        def has_asked() -> bool:
            with self.context.lock:
                report = self.context.account_state.reports.get(RestTask.NEWS)
            is_done = report is not None and report.phase is RestPhase.DONE
            return is_done and report is not None and report.finished_at == utc_datetime(at_ns)

        wait_until(has_asked)


@pytest.fixture
def run() -> Iterator[Run]:
    made = Run()
    yield made
    made.context.stop()
    made.poller.stop(1.0)


def test_what_was_entered_late_before_a_gap_is_asked_for_too(run: Run):
    run.connect(1, NOON)
    run.at_ns = NOON + 30 * MINUTE
    run.poller.observe(1)  # it was complete until then
    run.connect(2, NOON + 45 * MINUTE)

    assert run.articles.since == [None, utc_datetime(NOON + 30 * MINUTE) - OVERLAP]
    assert OVERLAP.total_seconds() >= 60, "clocks of two computers differ by as much"
