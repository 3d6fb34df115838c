"""Ask for the account's fills and positions, so that both are of the same moment."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from typing import Any, Final

from options_helper.data.account import AccountView, RestPhase, RestTask
from options_helper.data.account_reading import read_account
from options_helper.data.alpaca_rest import AlpacaRest
from options_helper.data.market_hours import NEW_YORK, new_york_date
from options_helper.data.streaming.asking import Asked, WatchPolicy
from options_helper.data.streaming.errand import Errand
from options_helper.data.streaming.events import utc_datetime
from options_helper.data.streaming.fill_backfill import read_backfill
from options_helper.data.streaming.fill_book import KEPT_DAYS, Backfill
from options_helper.data.streaming.market_clock import MarketKind

log = logging.getLogger(__name__)

ACCOUNT_TASKS: Final = (RestTask.FILLS, RestTask.POSITIONS)
# Positions that change while they are read are read again, so often.
LOOKS: Final = 3
UNSTEADY: Final = "The positions changed while they were read; they are read again soon."
LATER_FILL: Final = "A fill came after the positions were read; they are read again in a moment."


class AccountAsker:
    """Asks after a connection, after a fill, and once a minute for what no socket tells."""

    def __init__(
        self, asked: Asked, policy: WatchPolicy, want_closes_of: Callable[[Iterable[str]], None]
    ) -> None:
        self._asked = asked
        self._policy = policy
        self._want_closes_of = want_closes_of
        self._errand = Errand("live-account", self._ask, self._failed, asked.stopping)
        self._asked_at = float("-inf")  # on time.monotonic
        # Guarded by the lock of what was asked.
        self._read_until: datetime | None = None
        self._doubts: tuple[str, ...] = ()  # of the last reading of the fills

    def begin(self) -> None:
        """Ask for the first time after the streams had a moment to connect."""
        for task in ACCOUNT_TASKS:
            self._asked.report(task, phase=RestPhase.WAITING)
        self._errand.begin(self._policy.grace)

    def connected(self) -> None:
        """The order updates were away: ask for what they missed."""
        self._errand.due_in(0)

    def heard(self) -> None:
        """An order update came: after an execution the positions are others, and what is known is not all of today."""
        with self._asked.lock:
            truth = self._asked.truth
            if self._asked.state.fills.executions(self._asked.today()) == truth.executions:
                return
            if truth.executions_day is not None:
                self._asked.truth = replace(truth, executions_day=None, doubts=(LATER_FILL,))
        since_asked = time.monotonic() - self._asked_at
        self._errand.due_in(max(self._policy.settle, self._policy.apart - since_asked))

    def forget(self) -> None:
        """Another session is played. Called under the lock."""
        self._read_until = None
        self._doubts = ()

    def end(self, deadline: float) -> None:
        """Let the thread end."""
        self._errand.end(deadline)

    # ---- the thread

    def _ask(self) -> float:
        """Read positions and fills that belong together; seconds until the next look."""
        if self._asked.state.clock.kind is MarketKind.REPLAY:
            # A recorded market is nobody's account.
            for task in ACCOUNT_TASKS:
                self._asked.report(task, phase=RestPhase.OFF, problem=None)
            return self._policy.poll
        self._asked_at = time.monotonic()
        rest = self._asked.rest()
        for _ in range(LOOKS):
            before = self._asked.attempt(RestTask.POSITIONS, lambda: self._view(rest, {}))
            # No fill is to be missed because positions cannot be read.
            backfill = self._asked.attempt(RestTask.FILLS, lambda: self._read_fills(rest))
            if backfill is not None:
                self._take(backfill)
            with self._asked.lock:
                executed = self._executed()
            view = self._asked.attempt(RestTask.POSITIONS, lambda: self._view(rest, rest.account()))
            if before is None or backfill is None or view is None:
                return self._policy.again
            # Whatever was traded between two equal looks would be in the fills.
            if _quantities(before) == _quantities(view) and self._publish(view, executed):
                return self._policy.poll
        self._asked.report(RestTask.POSITIONS, phase=RestPhase.FAILED, problem=UNSTEADY)
        return self._policy.apart

    def _view(self, rest: AlpacaRest, account: Mapping[str, Any]) -> AccountView:
        reading = read_account(rest.positions(), account, self._asked.now())
        for problem in reading.problems:
            log.warning("%s", problem)
        return reading.view

    def _read_fills(self, rest: AlpacaRest) -> Backfill:
        now = self._asked.now()
        with self._asked.lock:
            since = self._read_until or _midnight(new_york_date(now))
        return read_backfill(rest, max(since, now - timedelta(days=KEPT_DAYS)))

    def _take(self, backfill: Backfill) -> None:
        """Note what happened, and from when on to ask the next time."""
        now = self._asked.now()
        with self._asked.lock:
            new = self._asked.state.fills.add_backfill(backfill, now)
            self._doubts = backfill.problems
            # The server's time and not ours; while something is in doubt, the day is read from its beginning again.
            self._read_until = None if backfill.problems else _newest(backfill, now) or self._read_until
        self._asked.report(RestTask.FILLS, phase=RestPhase.DONE, done=new, finished_at=now)

    def _executed(self) -> dict[str, Any]:
        """What is known of today's executions, as the truth tells it; under the lock."""
        today: date = self._asked.today()
        fills = self._asked.state.fills
        doubts = tuple(dict.fromkeys((*self._doubts, *fills.problems(today))))
        return {
            "executions": fills.executions(today),
            "executions_day": None if doubts else today,
            "moved": fills.moved(today),
            "doubts": doubts,
        }

    def _publish(self, view: AccountView, executed: dict[str, Any]) -> bool:
        """Tell positions and executions together, unless one more came meanwhile."""
        with self._asked.lock:
            if self._executed() != executed:
                return False
            self._asked.truth = replace(self._asked.truth, view=view, **executed)
        self._asked.report(
            RestTask.POSITIONS, phase=RestPhase.DONE, done=len(view.positions), finished_at=self._asked.now()
        )
        self._want_closes_of(execution.symbol for execution in executed["executions"])
        return True

    def _failed(self, error: Exception) -> float:
        for task in ACCOUNT_TASKS:
            self._asked.report_failure(task, error)
        return self._policy.again


def _quantities(view: AccountView) -> dict[str, Decimal]:
    return {symbol: position.quantity for symbol, position in view.positions.items()}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time_of_day(), NEW_YORK)


def _newest(backfill: Backfill, now: datetime) -> datetime | None:
    """The time of the newest event, as far as it can be believed."""
    times = [utc_datetime(row["timestamp_ns"]) for row in backfill.rows if row["timestamp_ns"] is not None]
    return min(max(times), now) if times else None
