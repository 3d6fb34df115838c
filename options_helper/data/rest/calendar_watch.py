"""Ask what the market says of its own hours: a closing for mourning or a storm is in no calendar of ours."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Final

from options_helper.data.periodic_task import PeriodicTask
from options_helper.data.rest.client import AlpacaRest
from options_helper.errors import RestError
from options_helper.model.account import RestPhase
from options_helper.model.market_hours import NOTHING_TOLD, ToldSessions, new_york_date
from options_helper.model.problems import Problem
from options_helper.model.told_sessions import read_calendar, read_clock

# Once a day, half an hour before the open: what was announced over night is known then.
ASKED_AT: Final = timedelta(hours=9)


# Back to the session before a long closure; ahead as far as a capture or a page looks.
_BACK: Final = timedelta(days=10)
_AHEAD: Final = timedelta(days=45)


def ask_told_sessions(rest: AlpacaRest, at: datetime, known: ToldSessions = NOTHING_TOLD) -> ToldSessions:
    """Ask for the days of which Alpaca says otherwise than our calendar, about `at`; blocks, RestError.

    `known` is what was told before: a session that was cut off then is not made longer by asking again.
    """
    today = new_york_date(at)
    told = read_calendar(rest.calendar(today - _BACK, today + _AHEAD))
    return MappingProxyType(read_clock(rest.clock(), told, known))


class CalendarWatch:
    """Asks after its start, each morning, and in doubt: when a stream is silent although the market should be open.

    On the thread `live-calendar`, `rest` gives whom to ask and `now` the market's time; `hear` gets what is told, under
    `lock`, which is the owner's, and `report` how it goes: a phase, and what went wrong. Without an answer, what was
    told before stands. Seconds: `poll` between two looks at the time, `again` after a failure, `doubt` at least
    between two doubts.
    """

    def __init__(
        self,
        rest: Callable[[], AlpacaRest],
        now: Callable[[], datetime],
        hear: Callable[[ToldSessions], object],
        report: Callable[[RestPhase, Problem | None], object],
        *,
        lock: threading.Lock,
        poll: float = 60.0,
        again: float = 60.0,
        doubt: float = 300.0,
        stopping: threading.Event | None = None,
    ) -> None:
        self._rest = rest
        self._now = now
        self._hear = hear
        self._report = report
        self._poll_seconds = poll
        self._again_seconds = again
        self._doubt_seconds = doubt
        self._task = PeriodicTask("live-calendar", self._poll, poll, self._failed, stopping=stopping)
        # Guarded by self._lock.
        self._lock = lock
        self._told: ToldSessions = NOTHING_TOLD
        self._day: date | None = None  # of the last answer; None: ask
        self._asked_at = float("-inf")  # on time.monotonic
        self._session = 0  # of those that are played one after another
        self._anew = 0  # how often it was to be asked anew

    def start(self, after: float = 0.0) -> None:
        """Ask for the first time after so many seconds."""
        self._task.start(after)

    def doubt(self) -> None:
        """Something is silent that should not be: ask again, unless that was done a moment ago."""
        with self._lock:
            if time.monotonic() - self._asked_at < self._doubt_seconds:
                return
            self._asked_at = time.monotonic()
            self._day = None
        self._task.run_within(0)

    def ask_anew(self) -> None:
        """Ask at once, whenever that was done last; what is being asked is not enough."""
        with self._lock:
            self._anew += 1
            self._day = None
        self._task.run_within(0)

    def forget(self) -> None:
        """Another session is played. Called under the lock."""
        self._session += 1
        self._told, self._day = NOTHING_TOLD, None
        self._hear(NOTHING_TOLD)

    def stop(self, timeout: float) -> None:
        """End the thread; waits for it at most `timeout` seconds."""
        self._task.stop(timeout)

    def _poll(self) -> float:
        """Ask if it is time; seconds until the next look."""
        at = self._now()
        day = new_york_date(at - ASKED_AT)
        with self._lock:
            if self._day == day:
                return self._poll_seconds
            self._asked_at = time.monotonic()
            known, session, anew = self._told, self._session, self._anew
        self._report(RestPhase.REQUESTING, None)
        try:
            told = ask_told_sessions(self._rest(), at, known)
        except RestError as error:
            self._report(RestPhase.FAILED, Problem.of(error))
            return self._again_seconds
        with self._lock:
            if session == self._session:
                self._told, self._day = told, day if anew == self._anew else None
                self._hear(told)
        self._report(RestPhase.DONE, None)
        return self._poll_seconds

    def _failed(self, error: Exception) -> float:
        self._report(RestPhase.FAILED, Problem.of(error))
        return self._again_seconds
