"""What the product's threads do with the account's machines, carried out in one thread at virtual times."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import Any, Final

from options_helper.data.rest.account_reading import read_account
from options_helper.data.streaming.polling.account_course import (
    AccountCourse,
    Answer,
    AskFills,
    Done,
    Question,
    Seen,
)
from options_helper.data.streaming.polling.fill_backfill import (
    AskActivities,
    AskOrders,
    BackfillReading,
    backfill_reading,
)
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.polling.watch_course import WatchCourse
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.errors import RestError
from options_helper.model.account import AccountState
from options_helper.model.due_time import DueTime
from options_helper.model.frames import Frame
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from tests.days.account.world import Account, Happening
from tests.days.agenda import Entry
from tests.days.day import Trouble
from tests.days.stage import Stage

# How long a question without an answer takes, and the status of what comes instead.
_NO_ANSWER: Final = {"hang": (30.0, None), "refused": (0.1, 403), "busy": (3.0, 503)}
HOUSEKEEPING_SECONDS: Final = 0.5


class AccountDesk:
    """The account's poller, the order updates and the look at the streams, from `begin` on."""

    def __init__(self, stage: Stage, account: Account, changed: Callable[[], None]) -> None:
        self.account_state = AccountState()
        self.state = LiveState(fills_cache_size=500)
        self._stage = stage
        self._account = account
        self._dice = stage.dice("account's way")
        self._changed = changed
        self._wrong: dict[str, tuple[float, float]] = {}  # until when, and how much
        self.policy = WatchPolicy()
        self._course = AccountCourse(self, self.state.fills, self.policy)
        self._watch = WatchCourse()
        self._due = DueTime(self.policy.poll)
        self._is_reading = False
        self._round: Entry | None = None
        self._connections = 0
        self._is_heard = False  # as the product thinks
        self._is_keeping_house = False
        self._is_over = False
        self._began: float | None = None
        # Of each day in New York: when its first whole reading was begun, and how late the activities were then.
        self.first_reading: dict[date, tuple[float, float]] = {}

    def seconds_watched(self) -> float:
        """How long it has been at work."""
        return 0.0 if self._began is None else self._now() - self._began

    def begin(self) -> None:
        """Press Start, with the first connection a moment later."""
        self._began = self._now()
        self._timer(1.0, self._connect)
        self._run_within(self.policy.initial_delay)
        for happening in self._account.happenings:
            if happening.is_streamed and happening.at >= self._began:
                self._stage.agenda.at(self._account.true_ns(happening.at), partial(self._send, happening))

    def end(self) -> None:
        """Press Stop: nothing is asked or heard any more."""
        self._is_over = True

    def go_wrong(self, trouble: Trouble) -> None:
        """Let something be wrong with the way to the server for so long."""
        self._wrong[trouble.how] = self._now() + trouble.seconds, trouble.number
        if trouble.how == "deaf":
            # A dead socket is noticed after a while.
            self._timer(trouble.number, self._notice_loss)
            self._timer(trouble.seconds + 0.5, self._connect)

    # The socket.

    def _connect(self) -> None:
        if self._began is None or self._is_in("deaf") is not None:
            return
        self._connections += not self._is_heard
        self._is_heard = True
        self._wake()

    def _notice_loss(self) -> None:
        self._is_heard = False
        self._wake()

    def _send(self, happening: Happening) -> None:
        if not self._is_heard or self._is_in("deaf") is not None:
            return
        for update in self._account.updates(happening):
            self._timer(self._dice.choice((0.01, 0.05, 0.3, 1.0)), partial(self._hear, update))

    def _hear(self, update: dict[str, Any]) -> None:
        if self._is_in("deaf") is not None:
            return
        frame = Frame(StreamName.FILLS, json.dumps(update).encode(), 1, self._stage.clocks.true_ns)
        self.state.apply(frame)
        self._wake()

    # The look at the streams.

    def _wake(self) -> None:
        """Something is new for the next look; a look that finds nothing new changes nothing."""
        if not self._is_keeping_house:
            self._is_keeping_house = True
            self._timer(HOUSEKEEPING_SECONDS - self._now() % HOUSEKEEPING_SECONDS, self._keep_house)

    def _keep_house(self) -> None:
        self._is_keeping_house = False
        phase = Phase.LIVE if self._is_heard else Phase.RECONNECTING
        health = StreamHealth(StreamName.FILLS, phase=phase, connections=self._connections)
        applied = self.state.tallies[StreamName.FILLS].applied
        noticed = self._watch.observe({StreamName.FILLS: health}, applied)
        if noticed.connected:
            self._run_within(0.0)
        if noticed.has_order_update:
            seconds = self._course.order_update(self._seen())
            if seconds is not None:
                self._run_within(seconds)
        self._changed()

    # The poller's thread.

    def _run_within(self, seconds: float) -> None:
        self._due.within(self._stage.clocks.monotonic(), seconds)
        self._wait()

    def _wait(self) -> None:
        if self._round is not None:
            self._round.cancel()
        if not self._is_reading:
            left = max(0.0, self._due.left(self._stage.clocks.monotonic()))
            self._round = self._timer(left, self._begin_round)

    def _begin_round(self) -> None:
        self._due.begin()
        self._is_reading = True
        self._go_on(self._course.ask(self._seen()))

    def _go_on(self, question: Question | Done) -> None:
        state = self.account_state
        if state.executions_day is not None and state.view is not None:
            asked = (state.view.as_of - self._account.opened).total_seconds()
            self.first_reading.setdefault(state.executions_day, (asked, self._is_in("stale") or 0.0))
        self._changed()
        if isinstance(question, Done):
            self._is_reading = False
            self._run_within(question.again)
        elif isinstance(question, AskFills):
            self._read_fills(question.since)
        else:
            as_of = self._moment()
            answers = 2 if question.with_cash else 1
            self._ask(self._account.positions, partial(self._positions, as_of), answers)

    def _positions(self, as_of: datetime, rows: list[Any] | RestError) -> None:
        self._answer(rows if isinstance(rows, RestError) else read_account(rows, {}, as_of).view)

    def _read_fills(self, since: datetime) -> None:
        reading = backfill_reading(since)
        self._answered_rows(reading, partial(next, reading))

    def _answered_rows(self, reading: BackfillReading, step: Callable[[], AskOrders | AskActivities]) -> None:
        try:
            question = step()
        except StopIteration as end:
            self._answer(end.value)
        except RestError as error:
            self._answer(error)
        else:
            self._ask(partial(self._serve, question), partial(self._rows, reading))

    def _rows(self, reading: BackfillReading, rows: list[Any] | RestError) -> None:
        step = partial(reading.throw, rows) if isinstance(rows, RestError) else partial(reading.send, rows)
        self._answered_rows(reading, step)

    def _serve(self, question: AskOrders | AskActivities, at: float) -> list[Any]:
        if isinstance(question, AskOrders):
            return self._account.orders(at, question.since)
        return self._account.activities(at - (self._is_in("stale") or 0.0), question.kinds, question.since)

    def _answer(self, answer: Answer) -> None:
        self._go_on(self._course.answered(self._seen(), answer))

    # The way to the server and back.

    def _ask(
        self,
        serve: Callable[[float], list[Any]],
        then: Callable[[list[Any] | RestError], None],
        answers: int = 1,
    ) -> None:
        there = self._dice.choice((0.02, 0.05, 0.3))
        back = self._dice.choice((0.02, 0.05, 0.3)) * answers
        if (slow := self._is_in("slow")) is not None:
            there += self._dice.uniform(0, slow)
            back += self._dice.uniform(0, slow)
        for how, (seconds, status) in _NO_ANSWER.items():
            if self._is_in(how) is not None:
                self._timer(seconds, partial(then, RestError("No answer.", status=status)))
                return
        self._stage.agenda.after(there, lambda: self._timer(back, partial(then, serve(self._now()))))

    def _timer(self, seconds: float, action: Callable[[], object]) -> Entry:
        return self._stage.agenda.timer(seconds, lambda: None if self._is_over else action())

    def _is_in(self, how: str) -> float | None:
        until, number = self._wrong.get(how, (0.0, 0.0))
        return number if self._now() < until else None

    def _now(self) -> float:
        """Seconds since the account was opened, in true time."""
        return self._account.seconds(self._stage.clocks.true_ns)

    def _seen(self) -> Seen:
        return Seen(self._stage.clocks.monotonic(), self._moment())

    def _moment(self) -> datetime:
        return self._account.moment(self._now())
