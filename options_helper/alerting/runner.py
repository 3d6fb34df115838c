"""Judge each new snapshot by the rules, write down what fired, and send it where this process has the lease.

A process without the lease judges and shows by the state that the holder has written down, and sends nothing. When it
takes over, it goes on from there, and sends what the holder has not settled: what fired is neither lost nor repeated.
What is done when is `AlertCourse`'s to decide; here are the thread, the lock, the clocks and the files.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Generic, TypeVar, assert_never

from options_helper.alerting.books import AlertBooks
from options_helper.alerting.course import (
    AlertCourse,
    Answer,
    Append,
    BeginDelivery,
    CallLifeSign,
    Command,
    Course,
    Judge,
    Judged,
    LogCommand,
    Offer,
    OfLog,
    OfTargets,
    Seen,
    Shorten,
    TargetCommand,
)
from options_helper.clock import elapsed_seconds, utc_now
from options_helper.data.firing_log import Acknowledged, Logged, LoggedFiring, tried
from options_helper.data.lease import RENEW_SECONDS
from options_helper.data.lease_course import Ask, Holder, Supplant, Write, carry_out
from options_helper.data.notify.delivery import Delivery
from options_helper.data.notify.lifesign import Called, LifeSign
from options_helper.data.notify.messages import Attempt, Message
from options_helper.data.notify.targets import LifeSignTarget, Targets
from options_helper.data.periodic_task import PeriodicTask
from options_helper.errors import ConfigError
from options_helper.model.alerts import Judgement, RuleState
from options_helper.model.streams import DEFAULT_ACCOUNT

# More names make no sentence.
_NAMED_AT_MOST: Final = 5
O = TypeVar("O")  # noqa: E741 - what is observed
T = TypeVar("T")

_STOP_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class AlertStatus:
    """How alerts stand in this process, for whoever shows it."""

    delivers: bool = False  # this process sends
    holder: Holder | None = None  # who sends, or did last
    judged_at: datetime | None = None  # by this computer's clock; None: nothing was judged yet
    rules: int = 0
    judgements: tuple[Judgement, ...] = ()
    firings: tuple[LoggedFiring, ...] = ()  # the newest first, also those of other programs of this account
    targets: tuple[str, ...] = ()  # name and kind of service
    life_sign: Called | None = None  # None: no dead-man's service is named
    problems: tuple[str, ...] = ()


class AlertRunner(Generic[O]):
    """Owns one process's part in the alerts of an account. Every method may be called from any thread.

    `judge` is pure: from what is observed and the state of the rules to what they say. `load` reads the targets and
    raises ConfigError; it is asked again now and then. `simulated` puts a word before each title,
    and so does an `account` that its user has named.
    """

    def __init__(
        self,
        books: AlertBooks,
        judge: Callable[[O, Mapping[str, RuleState]], Judged],
        load: Callable[[], Targets],
        *,
        simulated: bool = False,
        account: str = DEFAULT_ACCOUNT,
        now: Callable[[], datetime] = utc_now,
        elapsed: Callable[[], float] = elapsed_seconds,
        make_delivery: Callable[..., Delivery] = Delivery,
        every_seconds: float = RENEW_SECONDS,
    ) -> None:
        self._log, self._lease = books.log, books.lease
        self._judge, self._load, self._now, self._elapsed = judge, load, now, elapsed
        whose = "" if account == DEFAULT_ACCOUNT else f"{account}: "
        self._make_delivery = make_delivery
        self._task = PeriodicTask("live-alerts", self.keep, every_seconds)
        # Held while something is judged, and while targets or the lease change: a round or a snapshot may have waited
        # for it while this was stopped. Whoever asks `before` on a target's thread does not wait for it.
        self._lock = threading.Lock()
        # Its state changes under the lock; what others read is replaced whole.
        self.course = AlertCourse(
            books.lease.course,
            self.seen(),
            looked=self._lease.looked_at(),
            prefix=f"{'SIMULATED: ' * simulated}{whose}",
        )
        self._delivery: Delivery | None = None
        self._life_sign: LifeSign | None = None

    def start(self) -> None:
        """Ask for the lease, and go on asking by itself."""
        self.keep()
        self._task.start()

    def stop(self) -> None:
        """Send no more, and give the lease back; a second at most, whatever a target does. Harmless twice."""
        self._task.stop(_STOP_SECONDS)
        with self._lock:
            self._carry_out(self.course.stop())

    def observe(self, observed: O) -> None:
        """Judge one snapshot; after a stop none. Quick: it waits for no target. What the rules cannot take raises."""
        with self._lock:
            self._carry_out(self.course.observe(observed, self.seen()))

    def keep(self) -> None:
        """Renew the lease or ask for it, and look whether the targets have changed; after a stop nothing."""
        with self._lock:
            self._carry_out(self.course.keep(self.seen()))

    def acknowledge(self, key: str) -> None:
        """Note for everybody that somebody has seen it; harmless for a key that is not known."""
        if key in self._log.look().firings:
            self._log.append(Acknowledged(key, self._now()))

    def status(self) -> AlertStatus:
        """How it stands now."""
        course, life_sign = self.course, self._life_sign
        judged = course.judged
        holder = self._lease.holder()
        problems = (
            course.targets_problem,
            course.lease_problem,
            _unjudged(course.unjudged, holder),
            self._log.problem,
            *judged.problems,
        )
        has_lease = course.lease_problem is not None or self._lease.is_mine
        return AlertStatus(
            delivers=self._delivery is not None and has_lease,
            holder=holder,
            judged_at=course.judged_at,
            rules=judged.rules,
            judgements=judged.evaluation.judgements,
            firings=tuple(reversed(tuple(self._log.look().firings.values()))),
            targets=tuple(str(one) for one in course.targets.by_name.values()),
            life_sign=None if life_sign is None else life_sign.last,
            problems=tuple(one for one in problems if one),
        )

    def seen(self) -> Seen:
        """The moment."""
        return Seen(self._now(), self._elapsed())

    def _carry_out(self, course: Course[T]) -> T:
        with ExitStack() as entered:
            return carry_out(course, partial(self.do, entered=entered))

    def do(self, command: Command, entered: ExitStack) -> Answer:
        """Do one step of the course; `entered` is closed at its end, however that comes about."""
        match command:
            case Ask() | Write() | Supplant():
                return self._lease.do(command)
            case Judge(observed, states):
                return self._judge(observed, states)
            case OfLog() | Append() | Shorten():
                return self._do_with_log(command, entered)
            case _:
                return self._do_with_targets(command)

    def _do_with_log(self, command: LogCommand, entered: ExitStack) -> Logged | None:
        match command:
            case OfLog.LOOK:
                return self._log.look()
            case OfLog.ENTER:
                entered.enter_context(self._log.exclusive())
            case OfLog.LEAVE:
                entered.close()
            case OfLog.CATCH_UP:
                self._log.catch_up()
            case Append(row, durable):
                self._log.append(row, durable=durable)
            case Shorten(now):
                self._log.shorten(now)
            case _:
                assert_never(command)
        return None

    def _do_with_targets(self, command: TargetCommand) -> Targets | ConfigError | None:
        match command:
            case OfTargets.LOAD:
                return self._loaded()
            case BeginDelivery(targets):
                self._delivery = self._make_delivery(
                    targets.by_name.values(),
                    before=self._before,
                    tell=self.tell,
                    now=self._now,
                    elapsed=self._elapsed,
                )
            case OfTargets.END_DELIVERY:
                self._end_delivery()
            case Offer(message, names):
                if self._delivery is not None:
                    self._delivery.offer(message, names)
            case CallLifeSign(target):
                self._call(target)
            case _:
                assert_never(command)
        return None

    def _loaded(self) -> Targets | ConfigError:
        try:
            return self._load()
        except ConfigError as error:
            return error

    def _end_delivery(self) -> None:
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            delivery.stop()

    def _call(self, target: LifeSignTarget | None) -> None:
        life_sign, self._life_sign = self._life_sign, None
        if life_sign is not None:
            life_sign.stop()
        if target is not None:
            watches: Callable[[], bool] = lambda: self.course.is_watching(self._elapsed())  # noqa: E731 - for another
            self._life_sign = LifeSign(target, is_well=watches, now=self._now)
            self._life_sign.start()

    def _before(self, message: Message, target: str, number: int) -> bool:
        """On a target's thread: whether it may be sent, which is written down first."""
        return self._carry_out(self.course.before(message, target, number, self.seen()))

    def tell(self, attempt: Attempt) -> None:
        """Write down what became of a message."""
        self._log.append(tried(attempt))


def _unjudged(names: Sequence[str], holder: Holder | None) -> str | None:
    """That whoever sends goes by another file of rules, in a sentence."""
    if not names or holder is None:
        return None
    shown = ", ".join(map(repr, names[:_NAMED_AT_MOST]))
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return (
        f"Nobody judges {shown}{more}: the {holder.who} (process {holder.pid}), which sends, goes by another file of "
        "rules. Name the same one for both, with OH_ALERT_RULES, and start that one anew."
    )
