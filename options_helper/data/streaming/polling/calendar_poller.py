"""Ask what the market says of its own hours: a closing for mourning or a storm is in no calendar of ours."""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import Final

from options_helper.data.periodic_task import PeriodicTask
from options_helper.data.rest.market_calendar import ask_told_sessions
from options_helper.data.streaming.polling.context import PollContext, WatchPolicy
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.market_hours import NOTHING_TOLD, new_york_date

# Once a day, half an hour before the open: what was announced over night is known then.
ASKED_AT: Final = timedelta(hours=9)


class CalendarPoller:
    """Asks after the start, each morning, and in doubt: when a stream is silent although the market should be open."""

    def __init__(self, context: PollContext, policy: WatchPolicy) -> None:
        self._context = context
        self._policy = policy
        self._task = PeriodicTask(
            "live-calendar", self._poll, policy.poll, self._failed, stopping=context.stopping
        )
        # Guarded by the lock of what was asked.
        self._day: date | None = None  # of the last answer; None: ask
        self._asked_at = float("-inf")  # on time.monotonic
        self._session = 0  # of those that are played one after another

    def begin(self) -> None:
        """Ask for the first time after the streams had a moment to connect."""
        self._context.report(RestTask.CALENDAR, phase=RestPhase.WAITING)
        self._task.start(self._policy.initial_delay)

    def doubt(self) -> None:
        """Something is silent that should not be: ask again, unless that was done a moment ago."""
        with self._context.lock:
            if time.monotonic() - self._asked_at < self._policy.doubt:
                return
            self._asked_at = time.monotonic()
            self._day = None
        self._task.run_within(0)

    def forget(self) -> None:
        """Another session is played. Called under the lock."""
        self._session += 1
        self._context.state.clock.told = NOTHING_TOLD
        self._day = None

    def stop(self, timeout: float) -> None:
        """End the thread; waits for it at most `timeout` seconds."""
        self._task.stop(timeout)

    def _poll(self) -> float:
        """Ask if it is time; seconds until the next look."""
        context = self._context
        at = context.now()
        with context.lock:
            if self._day == (day := new_york_date(at - ASKED_AT)):
                return self._policy.poll
            self._asked_at = time.monotonic()
            known, session = context.state.clock.told, self._session
        told = context.attempt(RestTask.CALENDAR, lambda: ask_told_sessions(context.rest(), at, known))
        if told is None:
            return self._policy.again
        with context.lock:
            if session == self._session and not context.stopping.is_set():
                context.state.clock.told = told
                self._day = day
        context.report(
            RestTask.CALENDAR, phase=RestPhase.DONE, done=len(told), finished_at=context.now(), problem=None
        )
        return self._policy.poll

    def _failed(self, error: Exception) -> float:
        self._context.report_failure(RestTask.CALENDAR, error)
        return self._policy.again
