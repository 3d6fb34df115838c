"""Ask for the account's fills and positions, so that both are of the same moment."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from typing import Any, Final

from options_helper.data.rest.account_reading import read_account
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.streaming.polling.account_look import differing, held
from options_helper.data.streaming.polling.context import PollContext, WatchPolicy
from options_helper.data.streaming.polling.fill_backfill import read_backfill
from options_helper.data.streaming.state.blotter import KEPT_DAYS, Backfill
from options_helper.model.account import AccountPositions, Execution, RestPhase, RestTask
from options_helper.model.announcement import MarketKind
from options_helper.model.market_hours import NEW_YORK, new_york_date

log = logging.getLogger(__name__)

ACCOUNT_TASKS: Final = (RestTask.FILLS, RestTask.POSITIONS)
UNHEARD: Final = (
    "What was traded while the positions were read is not known; they are read again in a moment."
)


class AccountPoller:
    """Asks after a connection, after a fill, and once a minute for what no socket tells."""

    def __init__(
        self, context: PollContext, policy: WatchPolicy, want_closes_of: Callable[[Iterable[str]], None]
    ) -> None:
        self._context = context
        self._policy = policy
        self._want_closes_of = want_closes_of
        self._task = context.periodic("live-account", self._poll, policy.poll, self._failed)
        # Replaced by the thread, read by the consumer, which may be a moment behind; on time.monotonic.
        self._polled_at = float("-inf")
        self._connection: int | None = None  # replaced by the consumer, read by the thread
        # Guarded by the lock of what was asked.
        self._read_at = float("-inf")  # on time.monotonic
        self._read_until: datetime | None = None
        self._doubts: tuple[str, ...] = ()  # of the last reading of the fills
        self._are_fills_known = False  # whether the last reading of the fills was answered; the thread's

    def begin(self) -> None:
        """Ask for the first time after the streams had a moment to connect."""
        for task in ACCOUNT_TASKS:
            self._context.report(task, phase=RestPhase.WAITING)
        self._task.start(self._policy.initial_delay)

    def connected(self) -> None:
        """The order updates were away: ask for what they missed."""
        self._task.run_within(0)

    def listening(self, connection: int | None) -> None:
        """The order updates come over this connection now; None: over none."""
        self._connection = connection

    def on_order_update(self) -> None:
        """An order update came: after an execution the account holds something else than when it was asked."""
        with self._context.lock:
            # Under the lock, as a reading that is published before this one is noted is the one it may be in.
            soon = time.monotonic() - self._read_at < self._policy.race_window
            has_news = self._note_later(is_certain=not soon)
        if has_news:
            since_poll = time.monotonic() - self._polled_at
            between = self._context.pace(self._policy.minimum_interval)
            self._task.run_within(max(self._policy.debounce, between - since_poll))

    def forget(self) -> None:
        """Another session is played. Called under the lock."""
        self._read_until = None
        self._doubts = ()

    def stop(self, timeout: float) -> None:
        """End the thread; waits for it at most `timeout` seconds."""
        self._task.stop(timeout)

    def _poll(self) -> float:
        """Read positions and fills that belong together; seconds until the next look."""
        if self._context.state.clock.kind is MarketKind.REPLAY:
            # A recorded market is nobody's account.
            for task in ACCOUNT_TASKS:
                self._context.report(task, phase=RestPhase.OFF, problem=None)
            return self._policy.poll
        self._polled_at = time.monotonic()
        rest = self._context.rest()
        # While order updates are heard, they tell what happens between two answers; else a look before tells.
        connection = self._connection
        before = None
        if connection is None or not self._are_fills_known:
            before = self._look(rest)
        # No fill is to be missed because positions cannot be read, and no position because fills cannot.
        were_known, backfill = self._are_fills_known, self._attempt_fills(rest)
        if backfill is None and before is not None and not were_known:
            return self._policy.again
        with self._context.lock:
            executed = self._executed()
        view = self._context.attempt(RestTask.POSITIONS, lambda: self._view(rest, with_cash=True))
        if view is None:
            return self._policy.again
        if backfill is None:
            self._publish_without_fills(view, executed)
            return self._policy.again
        is_listening = connection is not None and connection == self._connection
        if before is None and not is_listening:
            self._context.report(RestTask.POSITIONS, phase=RestPhase.FAILED, problem=UNHEARD)
            return self._policy.minimum_interval
        self._publish(view, executed, differing(before, view) if before else frozenset())
        # What is not clear now is when it is asked again.
        return self._policy.minimum_interval if self._context.account_state.unsettled else self._policy.poll

    def _look(self, rest: AlpacaRest) -> AccountPositions | None:
        """The positions before the fills are asked for; told at once where the fills may keep everybody waiting."""
        if self._are_fills_known:
            return self._context.attempt(RestTask.POSITIONS, lambda: self._view(rest, with_cash=False))
        with self._context.lock:
            executed = self._executed()
        view = self._context.attempt(RestTask.POSITIONS, lambda: self._view(rest, with_cash=True))
        if view is not None:
            self._publish_without_fills(view, executed)
        return view

    def _attempt_fills(self, rest: AlpacaRest) -> Backfill | None:
        backfill = self._context.attempt(RestTask.FILLS, lambda: self._read_fills(rest))
        self._are_fills_known = backfill is not None
        if backfill is not None:
            self._take(backfill)
        return backfill

    def _publish_without_fills(self, view: AccountPositions, executed: dict[str, Any]) -> None:
        """Tell positions; where executions that nobody heard may be in them, the fills' report says why no day is."""
        unheard = {} if self._is_told(view) else {"executions_day": None, "doubts": ()}
        self._publish(view, executed | unheard, frozenset())

    def _is_told(self, view: AccountPositions) -> bool:
        """Whether the last reading and what was heard since come to these very positions: then its day stands."""
        with self._context.lock:
            known, today = self._context.account_state, self._context.today()
        if known.view is None or known.executions_day != today or known.unsettled:
            return False
        quantities = defaultdict(Decimal, held(known.view))
        for execution in known.later:
            quantities[execution.symbol] += execution.quantity
        return {symbol: quantity for symbol, quantity in quantities.items() if quantity} == held(view)

    def _view(self, rest: AlpacaRest, *, with_cash: bool) -> AccountPositions:
        positions = rest.positions()
        reading = read_account(positions, rest.account() if with_cash else {}, self._context.now())
        for problem in reading.problems:
            log.warning("%s", problem)
        return reading.view

    def _read_fills(self, rest: AlpacaRest) -> Backfill:
        now = self._context.now()
        with self._context.lock:
            since = self._read_until or _midnight(new_york_date(now))
        return read_backfill(rest, max(since, now - timedelta(days=KEPT_DAYS)))

    def _take(self, backfill: Backfill) -> None:
        """Note what happened, and from when on to ask the next time."""
        now = self._context.now()
        with self._context.lock:
            new = self._context.state.fills.add_backfill(backfill, now)
            self._doubts = backfill.problems
            # The server's time and not ours; while something is in doubt, the day is read from its beginning again.
            self._read_until = None if backfill.problems else _newest(backfill, now) or self._read_until
            # Nobody heard these, so whether they were before or after the last look at the positions is not known.
            self._note_later(is_certain=False)
        self._context.report(RestTask.FILLS, phase=RestPhase.DONE, done=new, finished_at=now, problem=None)

    def _executed(self) -> dict[str, Any]:
        """What is known of today's executions, as the account's state has it; under the lock."""
        today: date = self._context.today()
        fills = self._context.state.fills
        doubts = tuple(dict.fromkeys((*self._doubts, *fills.problems(today))))
        return {
            "executions": fills.executions(today),
            "executions_day": None if doubts else today,
            "moved": fills.moved(today),
            "moves": fills.moves(today),
            "doubts": doubts,
        }

    def _note_later(self, *, is_certain: bool) -> bool:
        """Tell the executions that came after the positions were read; whether there are any. Under the lock.

        Those that may be in the positions already, and those that were taken back, leave their symbol open.
        """
        account_state = self._context.account_state
        current = self._context.state.fills.executions(self._context.today())
        known, counted = (
            {*map(_identity_of, (*account_state.executions, *account_state.later))},
            {*map(_identity_of, account_state.executions)},
        )
        changed = {*map(_identity_of, current)} ^ known
        if not changed:
            return False
        reported_before = changed & known
        open_ones = {symbol for symbol, *_ in (reported_before if is_certain else changed)}
        self._context.account_state = replace(
            account_state,
            later=tuple(execution for execution in current if _identity_of(execution) not in counted),
            unsettled=account_state.unsettled | open_ones,
        )
        return True

    def _publish(self, view: AccountPositions, executed: dict[str, Any], unsettled: frozenset[str]) -> None:
        """Tell positions and executions together; symbols that were traded between the two stay open."""
        with self._context.lock:
            self._context.account_state = replace(
                self._context.account_state, view=view, later=(), unsettled=unsettled, **executed
            )
            self._note_later(is_certain=False)
            self._read_at = time.monotonic()
        self._context.report(
            RestTask.POSITIONS,
            phase=RestPhase.DONE,
            done=len(view.positions),
            finished_at=self._context.now(),
            problem=None,
        )
        symbols = (execution.symbol for execution in executed["executions"])
        self._want_closes_of(symbol for symbol in symbols if not view.is_foreign(symbol))

    def _failed(self, error: Exception) -> float:
        for task in ACCOUNT_TASKS:
            self._context.report_failure(task, error)
        return self._policy.again


def _identity_of(execution: Execution) -> tuple[str, str, Decimal, Decimal | None]:
    """What makes an execution the one that was reported before, whichever way it came since."""
    return execution.symbol, execution.identity, execution.quantity, execution.price


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time_of_day(), NEW_YORK)


def _newest(backfill: Backfill, now: datetime) -> datetime | None:
    """The time of the newest event, as far as it can be believed."""
    times = [moment for update in backfill.updates if (moment := update.timestamp) is not None]
    return min(max(times), now) if times else None
