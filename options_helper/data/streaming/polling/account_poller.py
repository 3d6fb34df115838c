"""The thread that asks for the account's fills and positions; what and when is `AccountCourse`'s to decide."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from options_helper.data.rest.account_reading import read_account
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.streaming.polling.account_course import (
    ACCOUNT_TASKS,
    AccountCourse,
    Answer,
    AskPositions,
    Done,
    Question,
    Seen,
)
from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.polling.fill_backfill import read_backfill
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.errors import RestError
from options_helper.model.account import AccountPositions, RestPhase

log = logging.getLogger(__name__)


class AccountPoller:
    """Asks after a connection, after a fill, and once a minute for what no socket tells."""

    def __init__(
        self, context: PollContext, policy: WatchPolicy, want_closes_of: Callable[[Iterable[str]], None]
    ) -> None:
        self._context = context
        self._policy = policy
        self._want_closes_of = want_closes_of
        self._task = context.periodic("live-account", self._poll, policy.poll, self._failed)
        # Guarded by the lock of what was asked.
        self._course = AccountCourse(context, context.state.fills, policy)

    def begin(self) -> None:
        """Ask for the first time after the streams had a moment to connect."""
        for task in ACCOUNT_TASKS:
            self._context.report(task, phase=RestPhase.WAITING)
        self._task.start(self._policy.initial_delay)

    def connected(self) -> None:
        """The order updates were away: ask for what they missed."""
        self._task.run_within(0)

    def on_order_update(self) -> None:
        """An order update came."""
        with self._context.lock:
            # Under the lock, as a reading that is published before this one is noted is the one it may be in.
            seconds = self._course.order_update(self._seen())
        if seconds is not None:
            self._task.run_within(seconds)

    def forget(self) -> None:
        """Another session is played. Called under the lock."""
        self._course.forget()

    def stop(self, timeout: float) -> None:
        """End the thread; waits for it at most `timeout` seconds."""
        self._task.stop(timeout)

    def _poll(self) -> float:
        """Read positions and fills that belong together; seconds until the next look."""
        with self._context.lock:
            question = self._course.ask(self._seen())
        while not isinstance(question, Done):
            answer = self._answer(question)
            with self._context.lock:
                if self._context.stopping.is_set():
                    # What a stopped run still hears changes nothing.
                    return self._policy.poll
                # The answer itself says what time it is there.
                self._context.correct_clock()
                question = self._course.answered(self._seen(), answer)
        self._want_closes_of(question.closes_of)
        return question.again

    def _answer(self, question: Question) -> Answer:
        rest = self._context.rest()
        try:
            if isinstance(question, AskPositions):
                return self._positions(rest, with_cash=question.with_cash)
            return read_backfill(rest, question.since)
        except RestError as error:
            return error

    def _positions(self, rest: AlpacaRest, *, with_cash: bool) -> AccountPositions:
        # As old as the question: what changes while an answer is awaited may be in it, or not.
        context = self._context
        asked = context.moment()
        positions = rest.positions()
        account = rest.account() if with_cash else {}
        with context.lock:
            # By the clock as the answers put it right: it may have been set since, or been wrong before.
            context.correct_clock()
            as_of = context.time_of(asked)
        reading = read_account(positions, account, as_of)
        for problem in reading.problems:
            log.warning("%s", problem)
        return reading.view

    def _seen(self) -> Seen:
        clock = self._context.state.clock
        return Seen(time.monotonic(), self._context.now(), clock.kind, clock.speed)

    def _failed(self, error: Exception) -> float:
        for task in ACCOUNT_TASKS:
            self._context.report_failure(task, error)
        return self._policy.again
