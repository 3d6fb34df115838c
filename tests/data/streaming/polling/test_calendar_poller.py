"""The market is asked for its hours after Start, once each morning, and in doubt; never before, and not without end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.account_watch import AccountWatch
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.errors import RestError
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.market_hours import NEW_YORK, NOTHING_TOLD, regular_session
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from tests.kit.builders import nanoseconds
from tests.kit.fakes import SETTINGS
from tests.kit.waiting import FOREVER, wait_until

FRIDAY = date(2026, 11, 20)


class Exchange:
    """Whom to ask; `closed` are days that are on no calendar of ours."""

    def __init__(self) -> None:
        self.closed: set[date] = set()
        self.refuses = False
        self.asked = 0

    def __call__(self, *_: Any, **__: Any) -> Exchange:
        return self

    def calendar(self, first: date, last: date) -> list[dict[str, str]]:
        """Its trading days."""
        self.asked += 1
        if self.refuses:
            raise RestError("The exchange does not say.")
        days = [first + timedelta(days=count) for count in range((last - first).days + 1)]
        sessions = {day: regular_session(day) for day in days if day not in self.closed}
        return [
            {"date": f"{day}", "open": f"{open_day.opens:%H:%M}", "close": f"{open_day.closes:%H:%M}"}
            for day, open_day in sessions.items()
            if open_day is not None
        ]

    def clock(self) -> dict[str, Any]:
        """It tells nothing."""
        return {}

    def stop(self) -> None:
        """Nothing is under way."""


class Run:
    """A run without prices and fills, at a moment that the test moves."""

    def __init__(self, at: str = "2026-11-20 08:00", doubt: float = FOREVER) -> None:
        self.exchange = Exchange()
        self.state = LiveState(fills_cache_size=1)
        self.lock = threading.Lock()
        self.at = at
        self.watch = AccountWatch(
            LiveStreamConfig(stream_fills=False),
            SETTINGS,
            self.state,
            lock=self.lock,
            now_ns=lambda: nanoseconds(datetime.fromisoformat(self.at).replace(tzinfo=NEW_YORK)),
            rest_cls=self.exchange,
            policy=WatchPolicy(initial_delay=0, poll=0.02, again=0.02, doubt=doubt),
        )

    @contextmanager
    def started(self) -> Iterator[Run]:
        self.watch.start()
        try:
            yield self
        finally:
            self.watch.stop()

    def until_told(self, *closed: date) -> None:
        wait_until(
            lambda: dict(self.state.clock.told) == dict.fromkeys(closed), saw=lambda: self.state.clock.told
        )

    def until_phase(self, phase: RestPhase) -> None:
        wait_until(lambda: self.watch.account_state.reports[RestTask.CALENDAR].phase is phase)

    def observe(self, phase: Phase) -> None:
        self.watch.observe({StreamName.STOCKS: StreamHealth(StreamName.STOCKS, phase=phase)}, 0)


def test_before_start_nobody_is_asked():
    run = Run()

    run.observe(Phase.STALLED)

    assert run.exchange.asked == 0


def test_the_hours_are_asked_for_once_and_again_the_next_morning():
    with Run().started() as run:
        run.until_phase(RestPhase.DONE)
        run.until_told()
        asked = run.exchange.asked
        run.exchange.closed.add(FRIDAY)
        run.at = "2026-11-20 08:59"
        wait_until(lambda: run.watch.account_state.reports[RestTask.CALENDAR].phase is RestPhase.DONE)
        assert run.exchange.asked == asked == 1

        run.at = "2026-11-20 09:00"
        run.until_told(FRIDAY)


def test_a_silence_that_should_not_be_is_a_doubt_and_is_asked_about_once_in_a_while():
    with Run("2026-11-20 10:00", doubt=FOREVER).started() as run:
        run.until_phase(RestPhase.DONE)
        run.watch._calendar._asked_at = float("-inf")  # noqa: SLF001 - as if it were long ago
        run.exchange.closed.add(FRIDAY)
        run.observe(Phase.LIVE)
        assert run.exchange.asked == 1

        run.observe(Phase.STALLED)
        run.until_told(FRIDAY)
        for _ in range(20):
            run.observe(Phase.STALLED)
        assert run.exchange.asked == 2


def test_what_was_told_stands_while_nobody_answers_and_the_calendar_where_nobody_ever_did():
    run = Run()
    run.exchange.closed.add(FRIDAY)
    with run.started():
        run.until_told(FRIDAY)
        run.exchange.refuses = True
        run.at = "2026-11-20 09:30"
        run.until_phase(RestPhase.FAILED)
        assert "does not say" in str(run.watch.account_state.reports[RestTask.CALENDAR].problem)
        run.until_told(FRIDAY)

        run.exchange.refuses = False
        run.exchange.closed.clear()
        run.until_told()


def test_another_session_is_another_market_s_hours():
    run = Run()
    run.exchange.closed.add(FRIDAY)
    with run.started():
        run.until_told(FRIDAY)
        asked = run.exchange.asked
        run.exchange.closed.clear()
        with run.lock:
            run.state.announce(
                Announcement(
                    MarketKind.REPLAY, nanoseconds(datetime(2026, 11, 6, 15, tzinfo=NEW_YORK)), 1.0, None
                )
            )
            run.watch.forget()
            assert run.state.clock.told == NOTHING_TOLD
        wait_until(lambda: run.exchange.asked > asked)
        run.until_told()
