"""What those who ask over REST share: what is known so far, the market's time, and how a failure is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from options_helper.clock import elapsed_seconds
from options_helper.data.periodic_task import PeriodicTask
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.server_clock import ServerClock
from options_helper.data.streaming.polling.moment import Moment
from options_helper.data.streaming.polling.pace import paced
from options_helper.data.streaming.polling.reports import with_report
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.model.account import AccountState, RestPhase, RestTask
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.frames import Frame
from options_helper.model.instants import NANOSECONDS, utc_datetime
from options_helper.model.problems import Problem
from options_helper.model.risk_inputs import RiskInputs

T = TypeVar("T")

# What is over in a moment is not worth a word.
SHORT_PAUSE_SECONDS: Final = 2.0
# A time that moves with every look would be another sentence each time.
PAUSE_STEP_NS: Final = 5 * NANOSECONDS


class PollContext:
    """What was asked for in one run. `lock` is the run's: it guards `state` and what is known beside it."""

    def __init__(
        self,
        state: LiveState,
        lock: threading.Lock,
        now_ns: Callable[[], int],
        connect: Callable[[threading.Event], AlpacaRest],
        held: Callable[[], float],
        *,
        busy: Callable[[], str | None] = lambda: None,
        server_clock: ServerClock | None = None,
        elapsed: Callable[[], float] = elapsed_seconds,
    ) -> None:
        self.state = state
        self._held = held
        self._busy = busy
        self.lock = lock
        self.account_state = AccountState()
        self.risk_inputs = RiskInputs()
        self.expiry_facts = ExpiryFacts()
        self.stopping = threading.Event()
        # Guarded by the lock: False from when somebody sets the clock until an answer says what time it is.
        self.knows_time = True
        self._now_ns = now_ns
        self._elapsed = elapsed
        self._connect = connect
        self._server_clock = server_clock or ServerClock(now_ns)
        self._rest: AlpacaRest | None = None
        # Held while the clients are made, which imports much.
        self._connecting = threading.Lock()

    def rest(self) -> AlpacaRest:
        """Whom to ask; made when somebody asks for the first time. ConfigError when that is not possible."""
        with self._connecting:
            if self._rest is None:
                self._rest = self._connect(self.stopping)
            return self._rest

    def stop(self) -> None:
        """End what is being asked, and let nothing more be known."""
        self.stopping.set()
        rest = self._rest
        if rest is not None:
            rest.stop()

    def periodic(
        self, name: str, work: Callable[[], float], every: float, on_error: Callable[[Exception], float]
    ) -> PeriodicTask:
        """What is asked again and again until the run stops, at the pace of the market's time."""
        return PeriodicTask(
            name,
            lambda: self.pace(work()),
            every,
            lambda error: self.pace(on_error(error)),
            stopping=self.stopping,
        )

    def pace(self, seconds: float) -> float:
        """How long so many seconds of the market last here."""
        return paced(seconds, self.state.clock.speed)

    def correct_clock(self) -> None:
        """Put the market's clock right by what answers and events say of this computer's; under the lock."""
        self.notice_set_clock()
        if not self.state.clock.plays:
            self._server_clock.streamed(self.state.take_lags())
            skew = self._server_clock.skew
            self.state.correct_clock(skew)
            self.knows_time = self.knows_time or (skew is not None and not skew.at_least)

    def notice_set_clock(self) -> None:
        """Let what was received keep its age where somebody has set the computer's clock; under the lock."""
        if put_forward_ns := self._server_clock.look():
            self.state.clock_was_set(put_forward_ns)
            if not self.state.clock.plays:
                # What was known of the old clock corrects the new one no more, not for a moment.
                self.state.correct_clock(None)
                self.knows_time = False

    def received(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """The frames as received by the clock as it is set now: what waited while it was set keeps its age, too."""
        here = self._server_clock.here
        if not self._server_clock.was_set:
            return frames
        return [replace(one, received_ns=here(one.received_ns, one.queued_at)) for one in frames]

    def market_ns(self) -> int:
        """The market's time."""
        return self.state.clock.at(self._now_ns())

    def now(self) -> datetime:
        """The market's time."""
        return utc_datetime(self.market_ns())

    def moment(self) -> Moment:
        """Now, as a course is given it."""
        return Moment(self.market_ns(), self._elapsed(), self.state.clock.speed)

    def time_of(self, earlier: Moment) -> datetime:
        """When that was, by the market's clock as it is known now; nobody sets that of a session that is played."""
        return earlier.now if self.state.clock.plays else self.moment().time_of(earlier)

    def report(self, task: RestTask, **changes: Any) -> None:
        """Say how a task is getting on."""
        with self.lock:
            if not self.stopping.is_set():
                self.account_state = with_report(self.account_state, task, **changes)

    def report_pause(self) -> None:
        """Say of the tasks under way why they are late: the server wants a pause, or the minute is used up."""
        said = None if self._rest is None else self._pause() or self._busy()
        if said is None:
            return
        problem = Problem(said)
        with self.lock:
            waiting = [
                one for one in self.account_state.reports.values() if one.phase is RestPhase.REQUESTING
            ]
        for one in waiting:
            if one.problems != (problem,):
                self.report(one.task, problems=(problem,))

    def _pause(self) -> str | None:
        """That the server wants one, and until about when; None where it does not, or for a moment only."""
        seconds = self._held()
        if seconds < SHORT_PAUSE_SECONDS:
            return None
        # The pause is one of this computer's seconds, so its end is told by this computer's clock, and said to be.
        until = utc_datetime(
            -(-(self._now_ns() + int(seconds * NANOSECONDS)) // PAUSE_STEP_NS) * PAUSE_STEP_NS
        )
        whose = ", by this computer's clock" if self.state.clock.plays else ""
        return f"Alpaca allows no more requests until {until:%H:%M:%S} UTC{whose}; then it is asked again."

    def report_failure(self, task: RestTask, error: Exception) -> None:
        """Say that something else than an answer's failing ended a task."""
        self.report(task, phase=RestPhase.FAILED, problems=(Problem.of(error),))
