"""Judge each new snapshot by the rules, write down what fired, and send it where this process has the lease.

A process without the lease judges and shows by the state that the holder has written down, and sends nothing. When it
takes over, it goes on from there, and sends what the holder has not settled: what fired is neither lost nor repeated.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import isfinite
from typing import Final, Generic, TypeVar

from options_helper.alerting.books import AlertBooks
from options_helper.analysis.alerts.evaluator import after_absence, changed_states
from options_helper.clock import elapsed_seconds, utc_now
from options_helper.data.firing_log import Acknowledged, LoggedFiring, Round, Trying, tried
from options_helper.data.lease import RENEW_SECONDS, Holder
from options_helper.data.notify.delivery import Delivery
from options_helper.data.notify.lifesign import Called, LifeSign
from options_helper.data.notify.messages import Attempt, Message, Urgency
from options_helper.data.notify.target_queue import WAITING_AT_MOST
from options_helper.data.notify.targets import NO_TARGETS, Targets
from options_helper.data.periodic_task import PeriodicTask
from options_helper.errors import ConfigError
from options_helper.model.alerts import Evaluation, Firing, Judgement, RuleSeverity, RuleState
from options_helper.model.streams import DEFAULT_ACCOUNT

log = logging.getLogger(__name__)

O = TypeVar("O")  # noqa: E741 - what is observed

# A process that judges nothing for so long is no watcher, whatever else it does.
WATCHING_WITHIN_SECONDS: Final = 120.0
# Whoever judges looks each quarter of a minute at least. A longer pause (a laptop that slept) is a time of which nobody
# can say what was so, and no rule counts it as one in which its condition lasted.
LOOKING_WITHIN_SECONDS: Final = 45.0
_STOP_SECONDS: Final = 0.5
_URGENCIES: Final[Mapping[str, Urgency]] = {
    RuleSeverity.INFO: Urgency.INFO,
    RuleSeverity.WARNING: Urgency.WARNING,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules say of one snapshot."""

    evaluation: Evaluation = field(default_factory=Evaluation)
    rules: int = 0
    problems: tuple[str, ...] = ()  # in sentences


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
        self._prefix = f"{'SIMULATED: ' * simulated}{whose}"
        self._make_delivery = make_delivery
        self._task = PeriodicTask("live-alerts", self.keep, every_seconds)
        # Held while something is judged, and while targets or the lease change.
        self._lock = threading.Lock()
        # Guarded by the lock: a round or a snapshot may have waited for it while this was stopped.
        self._is_stopped = False
        self._targets = NO_TARGETS
        self._targets_problem: str | None = None
        self._fewer_targets: Targets | None = None  # than before, as the file said at the last look
        self._has_targets = False  # those, or that there are none, are believed
        self._lease_problem: str | None = None
        self._delivery: Delivery | None = None  # while this process has the lease
        self._life_sign: LifeSign | None = None
        self._judged = Judged()  # replaced whole
        self._judged_at: datetime | None = None
        self._begun_at = now()
        # Since when somebody has looked without a break, this program or the one whose place it took.
        looked = self._lease.looked_at()
        # One that is still to come is of before this computer was started.
        self._looked_at = float("-inf") if looked is None or looked > elapsed() else looked

    def start(self) -> None:
        """Ask for the lease, and go on asking by itself."""
        self.keep()
        self._task.start()

    def stop(self) -> None:
        """Send no more, and give the lease back; a second at most, whatever a target does. Harmless twice."""
        self._task.stop(_STOP_SECONDS)
        with self._lock:
            self._is_stopped = True
            self._end_delivery()
            self._end_life_sign()
            self._lease.release(self._looked)

    def observe(self, observed: O) -> None:
        """Judge one snapshot; after a stop none. Quick: it waits for no target. What the rules cannot take raises."""
        with self._lock:
            if self._is_stopped:
                return
            logged = self._log.look()
            judged = self._judge(observed, self._lasting(logged.states))
            self._judged, self._judged_at = judged, self._now()
            changes = changed_states(logged.states, judged.evaluation.states)
            fired = judged.evaluation.firings
            new = tuple(self._addressed(one) for one in fired if one.key not in logged.firings)
            if changes or new:
                self._write_down(new, changes)
            # After what the look brought is in the log: whoever goes on counts from a look that the log has.
            self._lease.note(self._looked_at)

    def _write_down(self, new: Sequence[Firing], changes: Mapping[str, RuleState | None]) -> None:
        """What fired, and where the rules stand after it, where this process has the lease; under the lock."""
        with self._log.exclusive():
            if not self._is_mine:
                return
            # In the log, so that whoever goes on after this program sends it too.
            waits = tuple(one.key for one in new if not (one.targets or self._has_targets))
            self._log.append(Round(tuple(new), dict(changes), waits), durable=bool(new))
        for firing in new:
            self._offer(firing, firing.targets)

    def acknowledge(self, key: str) -> None:
        """Note for everybody that somebody has seen it; harmless for a key that is not known."""
        if key in self._log.look().firings:
            self._log.append(Acknowledged(key, self._now()))

    def status(self) -> AlertStatus:
        """How it stands now."""
        judged = self._judged
        life_sign = self._life_sign
        problems = (self._targets_problem, self._lease_problem, self._log.problem, *judged.problems)
        return AlertStatus(
            delivers=self._delivery is not None and self._is_mine,
            holder=self._lease.holder(),
            judged_at=self._judged_at,
            rules=judged.rules,
            judgements=judged.evaluation.judgements,
            firings=tuple(reversed(tuple(self._log.look().firings.values()))),
            targets=tuple(str(one) for one in self._targets.by_name.values()),
            life_sign=None if life_sign is None else life_sign.last,
            problems=tuple(one for one in problems if one),
        )

    def _lasting(self, states: Mapping[str, RuleState]) -> Mapping[str, RuleState]:
        """The states to judge by: a time in which nobody looked counts for no rule that wants something to last."""
        before, self._looked_at = self._looked_at, self._elapsed()
        return after_absence(states) if self._looked_at - before >= LOOKING_WITHIN_SECONDS else states

    @property
    def _looked(self) -> float | None:
        """When somebody looked last, for whoever goes on after this program."""
        return self._looked_at if isfinite(self._looked_at) else None

    @property
    def _is_mine(self) -> bool:
        return self._lease_problem is not None or self._lease.is_mine

    def keep(self) -> None:
        """Renew the lease or ask for it, and look whether the targets have changed; after a stop nothing."""
        with self._lock:
            if self._is_stopped:
                return
            has_changed = self._reload()
            # Under the log's lock, so that what the holder before wrote last is read after it.
            with self._log.exclusive():
                was_mine = self._is_mine
                if self._is_recent(self._judged_at or self._begun_at):
                    is_mine = self._take()
                else:
                    # Nothing is judged here, so another may, though this process lives.
                    self._lease.release()
                    is_mine = False
            self._log.catch_up()
            if is_mine:
                self._log.shorten(self._now())
            if not is_mine:
                self._end_delivery()
            elif self._delivery is None or has_changed or not was_mine:
                self._address()
                # Who had it meanwhile may have fired, sent and left unsent what this one knows nothing of.
                self._end_delivery()
                self._begin_delivery()

    def _take(self) -> bool:
        try:
            is_mine = self._lease.keep(self._looked)
        except OSError as error:
            self._lease_problem = (
                "Whether another program sends the same alerts cannot be known here, so this one sends them too: "
                f"{(error.strerror or type(error).__name__).lower()}."
            )
            return True
        self._lease_problem = None
        return is_mine

    def _reload(self) -> bool:
        """Whether the targets are others than before; under the lock."""
        before, had_targets = self._targets, self._has_targets
        try:
            self._targets, self._targets_problem = self._believed(self._load()), None
        except ConfigError as error:
            # What was good stays in use: an alert that is on its way is not for a slip in the file to lose.
            self._targets_problem = str(error)
        if self._targets.life_sign != before.life_sign or self._life_sign is None:
            self._end_life_sign()
            if self._targets.life_sign is not None:
                self._life_sign = LifeSign(self._targets.life_sign, is_well=self._watches, now=self._now)
                self._life_sign.start()
        # A slip in the file changes nothing of what is on its way.
        return self._targets != before or self._has_targets is not had_targets

    def _believed(self, found: Targets) -> Targets:
        """These, or for one more look those of before where some are gone: a file is empty while it is written.

        That there are none is believed at the second look too.
        """
        lacks = self._targets.by_name.keys() - found.by_name.keys()
        is_empty = found == NO_TARGETS and not self._has_targets
        if (lacks or is_empty) and self._fewer_targets != found:
            self._fewer_targets = found
            return self._targets
        self._fewer_targets, self._has_targets = None, True
        return found

    def _watches(self) -> bool:
        """Whether something was judged lately."""
        return self._judged_at is not None and self._is_recent(self._judged_at)

    def _is_recent(self, at: datetime) -> bool:
        return abs((self._now() - at).total_seconds()) < WATCHING_WITHIN_SECONDS

    def _begin_delivery(self) -> None:
        self._delivery = self._make_delivery(
            self._targets.by_name.values(), before=self._before, tell=self._tell, now=self._now
        )
        waiting: dict[str, list[LoggedFiring]] = {}
        for logged in self._log.look().firings.values():
            for name in logged.unsettled:
                waiting.setdefault(name, []).append(logged)
        for name, of_target in waiting.items():
            # Where there is no room for all, it is for the newest; of the others it is told that they are given up.
            newest, older = of_target[-WAITING_AT_MOST:], of_target[:-WAITING_AT_MOST]
            for logged in (*newest, *older):
                self._offer(logged.firing, (name,), may_have_come=logged.deliveries[name].may_have_come)

    def _end_delivery(self) -> None:
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            delivery.stop()

    def _end_life_sign(self) -> None:
        life_sign, self._life_sign = self._life_sign, None
        if life_sign is not None:
            life_sign.stop()

    def _addressed(self, firing: Firing) -> Firing:
        """With all targets, where the rule names none."""
        return firing if firing.targets else replace(firing, targets=tuple(self._targets.by_name))

    def _address(self) -> None:
        """Give all targets to what fired before any were known, in the log; under the lock."""
        if not self._has_targets:
            return
        waiting = [one.firing for one in self._log.look().firings.values() if one.is_unaddressed]
        if waiting:
            self._log.append(Round(tuple(map(self._addressed, waiting))))

    def _offer(self, firing: Firing, names: Sequence[str], *, may_have_come: bool = False) -> None:
        if self._delivery is None:
            return
        # While the file cannot be used, or is not believed yet, what it may name waits for it.
        is_said = self._targets_problem is None and self._has_targets
        known = [one for one in names if is_said or one in self._targets.by_name]
        message = Message(
            firing.key,
            self._prefix + firing.title,
            firing.text,
            firing.text_with_amounts,
            _URGENCIES.get(firing.severity, Urgency.FAILURE),
            may_have_come,
            firing.fired_at,
        )
        self._delivery.offer(message, known)

    def _before(self, message: Message, target: str, number: int) -> bool:
        """On a target's thread: whether it may be sent, which is written down first."""
        with self._log.exclusive():
            if not self._is_mine:
                return False
            self._log.append(Trying(message.key, target, number, self._now()))
        return True

    def _tell(self, attempt: Attempt) -> None:
        self._log.append(tried(attempt))
