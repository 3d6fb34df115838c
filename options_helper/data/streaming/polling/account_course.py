"""When the account is asked what, and what its answers come to: fills and positions that are of the same moment.

Knows no thread, lock or clock and asks nobody: time and answers come in as values, and questions go out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol, cast

from options_helper.data.streaming.polling.midnight import MidnightQuantities, Reading
from options_helper.data.streaming.polling.pace import WatchPolicy, paced
from options_helper.data.streaming.polling.reports import with_report
from options_helper.data.streaming.state.blotter import KEPT_DAYS, Backfill, Blotter
from options_helper.errors import RestError
from options_helper.model.account import AccountPositions, AccountState, Execution, RestPhase, RestTask
from options_helper.model.announcement import MarketKind
from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds
from options_helper.model.market_hours import NEW_YORK, new_york_date
from options_helper.model.problems import Problem

ACCOUNT_TASKS: Final = (RestTask.FILLS, RestTask.POSITIONS)


class Seen(NamedTuple):
    """The moment at which something happens, and whose market it is."""

    monotonic: float  # seconds, to measure with
    now: datetime  # the market's
    market: MarketKind = MarketKind.ALPACA
    speed: float = 1.0  # the market's seconds in one of this computer's


@dataclass(frozen=True, slots=True)
class AskPositions:
    """Ask for what is held; with the cash, where somebody will be shown it."""

    with_cash: bool


@dataclass(frozen=True, slots=True)
class AskFills:
    """Ask for what happened to orders and positions since then."""

    since: datetime


@dataclass(frozen=True, slots=True)
class Done:
    """The reading is over; the next one is due in so many of the market's seconds.

    The previous closes of what was traded are wanted too.
    """

    again: float
    closes_of: tuple[str, ...] = ()


Question = AskPositions | AskFills
Answer = AccountPositions | Backfill | RestError
_Reading = Generator[Question, Answer, float]


class HoldsAccount(Protocol):
    """Where the account's state is kept, for everybody who asks for a part of it."""

    account_state: AccountState


class AccountCourse:
    """What is asked after a connection, after a fill, and once a minute for what no socket tells.

    `ask` begins a reading, and `answered` is given each answer until the reading is `Done`; `ask` gives up a reading
    that is not. `holder` and `fills` are changed by it alone while it is called. One call at a time.
    """

    def __init__(self, holder: HoldsAccount, fills: Blotter, policy: WatchPolicy) -> None:
        self._holder = holder
        self._fills = fills
        self._policy = policy
        # Of a reading that is under way, and the moment of its last answer.
        self._reading: _Reading | None = None
        self._seen: Seen
        self._polled_at = float("-inf")
        self._read_at = float("-inf")
        self._read_until: datetime | None = None
        self._doubts: tuple[str, ...] = ()  # of the last reading of the fills
        self._are_fills_known = False  # whether the last reading of the fills was answered
        self._closes_of: dict[str, None] = {}
        self._midnight = MidnightQuantities()

    def order_update(self, seen: Seen) -> float | None:
        """After an execution the account holds something else than when it was asked.

        Within how many of this computer's seconds it is to be asked again; None where nothing was executed.
        """
        soon = seen.monotonic - self._read_at < self._policy.race_window
        if not self._note_later(seen.now, is_certain=not soon):
            return None
        between = paced(self._policy.minimum_interval, seen.speed)
        return max(self._policy.debounce, between - (seen.monotonic - self._polled_at))

    def forget(self) -> None:
        """Another session is played."""
        self._read_until = None
        self._doubts = ()
        self._midnight = MidnightQuantities()

    def ask(self, seen: Seen) -> Question | Done:
        """Begin a reading of positions and fills that belong together."""
        self._seen = seen
        self._closes_of = {}
        if seen.market is MarketKind.REPLAY:
            # A recorded market is nobody's account.
            for task in ACCOUNT_TASKS:
                self._report(task, phase=RestPhase.OFF, problems=())
            return Done(self._policy.poll)
        self._polled_at = seen.monotonic
        self._reading = self._read()
        return self._go_on(None)

    def answered(self, seen: Seen, answer: Answer) -> Question | Done:
        """Take the answer to the last question; what is to be asked next."""
        self._seen = seen
        return self._go_on(answer)

    def _go_on(self, answer: Answer | None) -> Question | Done:
        if self._reading is None:
            raise ValueError("nothing was asked")
        try:
            return self._reading.send(answer)  # type: ignore[arg-type]  # None begins a generator
        except StopIteration as end:
            self._reading = None
            return Done(end.value, tuple(self._closes_of))

    def _read(self) -> _Reading:
        # What happens between two answers no order update tells for sure: it may come later, be lost in a socket that
        # is half dead, or be of a kind that no socket tells. The look before shows what moved until the look after.
        before = yield from self._look()
        # No fill is to be missed because positions cannot be read, and no position because fills cannot.
        were_known, backfill = self._are_fills_known, (yield from self._attempt_fills())
        if before is None or (backfill is None and not were_known):
            return self._policy.again
        executed = self._executed()
        view = yield from self._attempt_positions(with_cash=True)
        if view is None:
            return self._policy.again
        if backfill is None:
            self._publish_without_fills(view, executed)
            return self._policy.again
        unsettled = open_between(before, view, executed["executions"], self._policy.race_window)
        self._publish(view, executed | self._unexplained(view, executed, unsettled), unsettled)
        # What is not clear now is when it is asked again.
        return self._policy.minimum_interval if self._holder.account_state.unsettled else self._policy.poll

    def _unexplained(
        self, view: AccountPositions, executed: dict[str, Any], unsettled: frozenset[str]
    ) -> dict[str, Any]:
        """The symbols whose positions are other than what is told of the day comes to."""
        day = executed["executions_day"]
        if day is None:
            return {"unexplained": frozenset()}
        reading = Reading(day, held(view), executed["executions"], datetime_nanoseconds(view.as_of))
        open_ones = unsettled | executed["moved"] | view.left_out
        return {"unexplained": self._midnight.unexplained(reading, open_ones, self._seen.monotonic)}

    def _look(self) -> Generator[Question, Answer, AccountPositions | None]:
        """The positions before the fills are asked for; told at once where the fills may keep everybody waiting."""
        if self._are_fills_known:
            return (yield from self._attempt_positions(with_cash=False))
        executed = self._executed()
        view = yield from self._attempt_positions(with_cash=True)
        if view is not None:
            self._publish_without_fills(view, executed)
        return view

    def _attempt_positions(self, *, with_cash: bool) -> Generator[Question, Answer, AccountPositions | None]:
        self._report(RestTask.POSITIONS, phase=RestPhase.REQUESTING)
        answer = yield AskPositions(with_cash)
        if isinstance(answer, AccountPositions):
            return answer
        self._report(
            RestTask.POSITIONS, phase=RestPhase.FAILED, problems=(Problem.of(cast("RestError", answer)),)
        )
        return None

    def _attempt_fills(self) -> Generator[Question, Answer, Backfill | None]:
        self._report(RestTask.FILLS, phase=RestPhase.REQUESTING)
        # Whatever comes instead of an answer, these fills are not known.
        self._are_fills_known = False
        answer = yield AskFills(self._since())
        if isinstance(answer, Backfill):
            self._are_fills_known = True
            self._take(answer)
            return answer
        self._report(
            RestTask.FILLS, phase=RestPhase.FAILED, problems=(Problem.of(cast("RestError", answer)),)
        )
        return None

    def _since(self) -> datetime:
        now = self._seen.now
        return max(self._read_until or _midnight(new_york_date(now)), now - timedelta(days=KEPT_DAYS))

    def _publish_without_fills(self, view: AccountPositions, executed: dict[str, Any]) -> None:
        """Tell positions; where executions that nobody heard may be in them, the fills' report says why no day is."""
        unheard = {} if self._is_told(view) else {"executions_day": None, "doubts": ()}
        self._publish(view, executed | unheard, frozenset())

    def _is_told(self, view: AccountPositions) -> bool:
        """Whether the last reading and what was heard since come to these very positions: then its day stands."""
        known, today = self._holder.account_state, new_york_date(self._seen.now)
        if known.view is None or known.executions_day != today or known.unsettled:
            return False
        quantities = defaultdict(Decimal, held(known.view))
        for execution in known.later:
            quantities[execution.symbol] += execution.quantity
        return {symbol: quantity for symbol, quantity in quantities.items() if quantity} == held(view)

    def _take(self, backfill: Backfill) -> None:
        """Note what happened, and from when on to ask the next time."""
        now = self._seen.now
        new = self._fills.add_backfill(backfill, now)
        self._doubts = backfill.problems
        # The server's time and not ours; while something is in doubt, the day is read from its beginning again.
        self._read_until = None if backfill.problems else _newest(backfill, now) or self._read_until
        # Nobody heard these, so whether they were before or after the last look at the positions is not known.
        self._note_later(now, is_certain=False)
        self._report(RestTask.FILLS, phase=RestPhase.DONE, done=new, finished_at=now, problems=())

    def _executed(self) -> dict[str, Any]:
        """What is known of today's executions, as the account's state has it."""
        today: date = new_york_date(self._seen.now)
        fills = self._fills
        doubts = tuple(dict.fromkeys((*self._doubts, *fills.problems(today))))
        return {
            "executions": fills.executions(today),
            "executions_day": None if doubts else today,
            "moved": fills.moved(today),
            "moves": fills.moves(today),
            "doubts": doubts,
        }

    def _note_later(self, now: datetime, *, is_certain: bool) -> bool:
        """Tell the executions that came after the positions were read; whether there are any.

        Those that may be in the positions already, and those that were taken back, leave their symbol open.
        """
        account_state = self._holder.account_state
        current = self._fills.executions(new_york_date(now))
        known, counted = (
            {*map(_identity_of, (*account_state.executions, *account_state.later))},
            {*map(_identity_of, account_state.executions)},
        )
        changed = {*map(_identity_of, current)} ^ known
        if not changed:
            return False
        reported_before = changed & known
        open_ones = {symbol for symbol, *_ in (reported_before if is_certain else changed)}
        self._holder.account_state = replace(
            account_state,
            later=tuple(execution for execution in current if _identity_of(execution) not in counted),
            unsettled=account_state.unsettled | open_ones,
        )
        return True

    def _publish(self, view: AccountPositions, executed: dict[str, Any], unsettled: frozenset[str]) -> None:
        """Tell positions and executions together; symbols that were traded between the two stay open."""
        self._holder.account_state = replace(
            self._holder.account_state, view=view, later=(), unsettled=unsettled, **executed
        )
        self._note_later(self._seen.now, is_certain=False)
        self._read_at = self._seen.monotonic
        self._report(
            RestTask.POSITIONS,
            phase=RestPhase.DONE,
            done=len(view.positions),
            finished_at=self._seen.now,
            problems=(),
        )
        traded: tuple[Execution, ...] = executed["executions"]
        self._closes_of |= {one.symbol: None for one in traded if not view.is_foreign(one.symbol)}

    def _report(self, task: RestTask, **changes: Any) -> None:
        self._holder.account_state = with_report(self._holder.account_state, task, **changes)


def open_between(
    before: AccountPositions, after: AccountPositions, executions: Iterable[Execution], race_seconds: float
) -> frozenset[str]:
    """The symbols of which it is open whether the positions `after` have just these executions, told in between.

    Those that moved between the two looks, and those that were executed less than `race_seconds` before the first:
    positions may have such a thing later, and what goes in and out again leaves them as they were.
    """
    moved = {symbol for symbol, _ in held(before).items() ^ held(after).items()}
    since_ns = datetime_nanoseconds(before.as_of) - int(race_seconds * NANOSECONDS)
    return frozenset(
        moved | {one.symbol for one in executions if one.at_ns is not None and one.at_ns >= since_ns}
    )


def held(view: AccountPositions) -> dict[str, Decimal]:
    """How much is held of each symbol."""
    return {symbol: position.quantity for symbol, position in view.positions.items() if position.quantity}


def _identity_of(execution: Execution) -> tuple[str, str, Decimal, Decimal | None]:
    """What makes an execution the one that was reported before, whichever way it came since."""
    return execution.symbol, execution.identity, execution.quantity, execution.price


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time_of_day(), NEW_YORK)


def _newest(backfill: Backfill, now: datetime) -> datetime | None:
    """The time of the newest event, as far as it can be believed."""
    times = [moment for update in backfill.updates if (moment := update.timestamp) is not None]
    return min(max(times), now) if times else None
