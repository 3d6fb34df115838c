"""What one program does for the alerts of an account: from moments, rows and answers to what is done next.

Knows no thread, lock, file or clock: `AlertRunner` carries out one step at a time and tells what came of it. Between
two steps the program may be stopped for as long as anybody likes, and another may have taken its place meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, auto
from math import isfinite
from typing import Any, Final, Generic, NamedTuple, TypeVar

from options_helper.analysis.alerts.evaluator import after_absence, broken_states, changed_states
from options_helper.data.firing_log import Logged, LoggedFiring, Round, Row, Took, Trying
from options_helper.data.lease_course import Ask, LeaseCourse, Step, Told
from options_helper.data.notify.messages import Message, Urgency
from options_helper.data.notify.target_queue import WAITING_AT_MOST
from options_helper.data.notify.targets import NO_TARGETS, LifeSignTarget, Targets
from options_helper.errors import ConfigError
from options_helper.model.alerts import Evaluation, Firing, RuleSeverity, RuleState

O = TypeVar("O")  # noqa: E741 - what is observed
T = TypeVar("T")

# A process that judges nothing for so long is no watcher, whatever else it does.
WATCHING_WITHIN_SECONDS: Final = 120.0
# Whoever judges looks each quarter of a minute at least. A longer pause (a laptop that slept) is a time of which nobody
# can say what was so, and no rule counts it as one in which its condition lasted.
LOOKING_WITHIN_SECONDS: Final = 45.0
# So long a file of rules or targets that has fewer of them than before may be one that is just being written.
SETTLES_SECONDS: Final = 5.0
_URGENCIES: Final[Mapping[str, Urgency]] = {
    RuleSeverity.INFO: Urgency.INFO,
    RuleSeverity.WARNING: Urgency.WARNING,
}


class Seen(NamedTuple):
    """The moment at which something happens."""

    now: datetime  # this computer's
    elapsed: float  # seconds that nobody sets and that go on while it sleeps


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules say of one snapshot."""

    evaluation: Evaluation = field(default_factory=Evaluation)
    rules: int = 0
    problems: tuple[str, ...] = ()  # in sentences


class OfLog(Enum):
    """What is done with the log and needs nothing said beside it."""

    LOOK = auto()  # the answer is what stands in it
    ENTER = auto()  # let no other program append, until LEAVE
    LEAVE = auto()
    CATCH_UP = auto()  # write what the disk has refused


class OfTargets(Enum):
    """What is done about those who are told, and needs nothing said beside it."""

    LOAD = auto()  # read their file; the answer is what it says, or what is wrong with it
    END_DELIVERY = auto()


@dataclass(frozen=True, slots=True)
class Judge(Generic[O]):
    """What is observed, by these states; the answer is what the rules say."""

    observed: O
    states: Mapping[str, RuleState]


@dataclass(frozen=True, slots=True)
class Append:
    """A row to the log; `durable` waits until the disk has it."""

    row: Row
    durable: bool = True


@dataclass(frozen=True, slots=True)
class Shorten:
    """The log, where it has grown large; what is older than is of use as of that time goes."""

    now: datetime


@dataclass(frozen=True, slots=True)
class BeginDelivery:
    """To these, of whom nobody is offered anything yet."""

    targets: Targets


@dataclass(frozen=True, slots=True)
class Offer:
    """A message to each of these."""

    message: Message
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CallLifeSign:
    """Call this dead-man's service from now on in place of another; None: none."""

    target: LifeSignTarget | None


LogCommand = OfLog | Append | Shorten
TargetCommand = OfTargets | BeginDelivery | Offer | CallLifeSign
Command = Judge[Any] | LogCommand | TargetCommand | Step
Answer = Targets | ConfigError | Logged | Judged | Told | None
Course = Generator[Command, Answer, T]


class AlertCourse:
    """One program's part. Its state changes while steps are carried out; one call's are over before the next begins.

    But for those of `before`, which only read it. `looked` is when somebody did last what the lease is for, as its
    holders said; `prefix` stands before each title.
    """

    def __init__(self, lease: LeaseCourse, begun: Seen, *, looked: float | None, prefix: str = "") -> None:
        self._lease = lease
        self._prefix = prefix
        # When something was judged last, by seconds that nobody sets; before that, when this program began.
        self._watched_at = begun.elapsed
        # Since when somebody has looked without a break, this program or the one whose place it took. One that is still
        # to come is of before this computer was started.
        self._looked_at = float("-inf") if looked is None or looked > begun.elapsed else looked
        self._told_at = self._looked_at
        # How the rules stood before nobody looked for a while, or as this program saw that something does not last.
        self._of_before: Mapping[str, RuleState] = {}
        self.is_over = False
        self.is_delivering = False  # while this process has the lease
        self.judged = Judged()
        # Rules of this program, by name, that whoever has the lease does not judge; and since when it has had no state
        # of some.
        self.unjudged: tuple[str, ...] = ()
        self._unjudged_since: float | None = None
        self.judged_at: datetime | None = None  # None: nothing was judged yet
        self.targets = NO_TARGETS
        self.targets_problem: str | None = None
        self._fewer_targets: Targets | None = None  # than before, as the file said at the last look
        self._fewer_since = begun.elapsed  # since when it says so
        self._has_targets = False  # those, or that there are none, are believed
        # The number of this program's time with the lease, which its rows have; 0: it has it not, or there is none.
        self._term = 0
        # Why it cannot be known whether another program sends the same, as a sentence.
        self.lease_problem: str | None = None

    # A snapshot.

    def observe(self, observed: O, seen: Seen) -> Course[None]:
        """Judge one snapshot, and send what fired; after a stop nothing. What the rules cannot take raises."""
        if self.is_over:
            return
        logged = yield from _look()
        lasting = yield from self._lasting(logged.states, seen)
        judged = _told(Judged, (yield Judge(observed, lasting)))
        self.judged, self.judged_at, self._watched_at = judged, seen.now, seen.elapsed
        self._note_unjudged(logged.states, seen)
        if not self._goes_by_own:
            # Who has the lease may not see it, and run no more: whoever goes on has a look in which it did not last.
            broken = broken_states(logged.states, judged.evaluation.states)
            if broken:
                kept = {key: one for key, one in self._of_before.items() if key in logged.states}
                self._of_before = kept | broken
        changes = changed_states(logged.states, judged.evaluation.states)
        fired = judged.evaluation.firings
        new = tuple(self._addressed(one) for one in fired if one.key not in logged.firings)
        is_written = bool(changes or new) and (yield from self._write_down(seen, new, changes))
        if is_written or lasting == logged.states:
            # Else the log does not know that nobody had looked for a while, and whoever goes on has to find that.
            self._told_at = seen.elapsed
        # After what the look brought is in the log: whoever goes on counts from a look that the log has.
        if isfinite(self._told_at):
            yield from self._lease.note(self._told_at)

    def _note_unjudged(self, states: Mapping[str, RuleState], seen: Seen) -> None:
        """Find the rules that nobody goes by, where another has the lease: it may have another file of rules.

        A state of each that it judges is in the log, in the time of a look at the latest.
        """
        missing = [] if self._goes_by_own else self._without_state(states)
        if not missing:
            self._unjudged_since, self.unjudged = None, ()
            return
        if self._unjudged_since is None:
            self._unjudged_since = seen.elapsed
        is_lasting = seen.elapsed - self._unjudged_since >= LOOKING_WITHIN_SECONDS
        self.unjudged = tuple(missing) if is_lasting else ()

    @property
    def _goes_by_own(self) -> bool:
        """Whether this program's rules are those that are gone by: it has the lease, or nobody can have it."""
        return self._term != 0 or self.lease_problem is not None

    def _without_state(self, states: Mapping[str, RuleState]) -> list[str]:
        """The names of the rules of which there is no state of any subject."""
        marks = {f"{one.rule.key}; ": one.rule.name for one in self.judged.evaluation.judgements}
        return [name for mark, name in marks.items() if not any(key.startswith(mark) for key in states)]

    def _lasting(self, states: Mapping[str, RuleState], seen: Seen) -> Course[Mapping[str, RuleState]]:
        """The states to judge by: a time in which nobody looked counts for no rule that wants something to last."""
        before, self._looked_at = self._looked_at, seen.elapsed
        if _is_absence(before, seen) and _is_absence((yield from self._lease.looked()), seen):
            # Who has not the lease writes nothing down of that, and may take it before somebody does.
            self._of_before = states
        return after_absence(states, self._of_before)

    def _write_down(
        self, seen: Seen, new: Sequence[Firing], changes: Mapping[str, RuleState | None]
    ) -> Course[bool]:
        """What fired, and where the rules stand after it, where this process has the lease; whether it has."""
        yield OfLog.ENTER
        has_lease = yield from self._has_term(seen)
        if has_lease:
            # In the log, so that whoever goes on after this program sends it too.
            waits = tuple(one.key for one in new if not (one.targets or self._has_targets))
            yield Append(Round(tuple(new), dict(changes), waits, self._term), durable=bool(new))
        yield OfLog.LEAVE
        if has_lease:
            for firing in new:
                yield from self._offer(firing, firing.targets)
        return has_lease

    # The lease, and the targets.

    def keep(self, seen: Seen) -> Course[None]:
        """Renew the lease or ask for it, and look whether the targets have changed; after a stop nothing."""
        if self.is_over:
            return
        has_changed = yield from self._reload(seen)
        # Under the log's lock, so that what the holder before wrote last is read after it.
        yield OfLog.ENTER
        goes_on = is_mine = False
        if self._is_recent(seen.elapsed):
            taken = self._lease.taken
            is_mine = yield from self._take(seen)
            goes_on = self._lease.taken == taken or self.lease_problem is not None
            is_mine = is_mine and (yield from self._has_term(seen, goes_on=goes_on))
        else:
            # Nothing is judged here, so another may, though this process lives.
            yield from self._lease.release()
        if not is_mine:
            self._term = 0
        yield OfLog.LEAVE
        yield OfLog.CATCH_UP
        if is_mine:
            yield Shorten(seen.now)
        if not is_mine:
            yield from self._end_delivery()
        elif not self.is_delivering or has_changed or not goes_on:
            yield from self._address(seen)
            # Who had it meanwhile may have fired, sent and left unsent what this one knows nothing of.
            yield from self._end_delivery()
            yield from self._begin_delivery()

    def stop(self) -> Course[None]:
        """Send no more, and give the lease back."""
        self.is_over = True
        yield from self._end_delivery()
        yield CallLifeSign(None)
        yield from self._lease.release(self._looked)

    def is_watching(self, elapsed: float) -> bool:
        """Whether something was judged lately."""
        return self.judged_at is not None and self._is_recent(elapsed)

    def _is_recent(self, elapsed: float) -> bool:
        return elapsed - self._watched_at < WATCHING_WITHIN_SECONDS

    @property
    def _looked(self) -> float | None:
        """When somebody looked last whose look the log has, for whoever goes on after this program."""
        return self._told_at if isfinite(self._told_at) else None

    def _has_lease(self) -> Course[bool]:
        if self.lease_problem is not None:
            return True
        return _told(Told, (yield Ask.IS_MINE)).is_so

    def _take(self, seen: Seen) -> Course[bool]:
        try:
            is_mine = yield from self._lease.keep(self._looked, seen.elapsed)
        except OSError as error:
            self.lease_problem = (
                "Whether another program sends the same alerts cannot be known here, so this one sends them too: "
                f"{(error.strerror or type(error).__name__).lower()}."
            )
            return True
        self.lease_problem = None
        return is_mine

    def _has_term(self, seen: Seen, *, goes_on: bool = True) -> Course[bool]:
        """Whether the lease is this program's, and its rows count; what another was about to write counts no more.

        That is a term in the log, begun where it does not go on with one, or where another's is the newest there: a
        row of before may come late. The log is looked at before the lease is asked for: whoever is stopped after both
        begins no newer term than who takes the lease then, and asks once more before it writes anything else.
        """
        if self.lease_problem is not None:
            # No lease can be had: several send, and nobody's rows are to cost another's.
            self._term = 0
            return True
        logged = yield from _look()
        if not (yield from self._has_lease()):
            return False
        if goes_on and self._term == logged.term != 0:
            return True
        self._term = max(self._term, logged.term) + 1
        yield Append(Took(self._term, seen.now), durable=False)
        return (yield from self._has_lease())

    def _reload(self, seen: Seen) -> Course[bool]:
        """Whether the targets are others than before."""
        before, had_targets = self.targets, self._has_targets
        found = yield OfTargets.LOAD
        if isinstance(found, Targets) and found.file is None and before.file is not None:
            # As with the file of rules: who replaces a file may take it away first, and nobody knows for how long.
            until = "until it is there again, or this program begins anew"
            self.targets_problem = f"{before.file} is gone. Its targets hold {until}."
        elif isinstance(found, Targets):
            self.targets, self.targets_problem = self._believed(found, seen), None
        else:
            # What was good stays in use: an alert that is on its way is not for a slip in the file to lose.
            self.targets_problem = str(found)
        if self.targets.life_sign != before.life_sign:
            yield CallLifeSign(self.targets.life_sign)
        # A slip in the file changes nothing of what is on its way.
        return self.targets != before or self._has_targets is not had_targets

    def _believed(self, found: Targets, seen: Seen) -> Targets:
        """These, or for a while those of before where some are gone: a file is empty while it is written.

        That there are none is believed after as long too.
        """
        lacks = (
            not self.targets.by_name.keys() <= found.by_name.keys()
            or (self.targets.life_sign is not None and found.life_sign is None)
            or (found == NO_TARGETS and not self._has_targets)
        )
        if lacks:
            if self._fewer_targets != found:
                self._fewer_targets, self._fewer_since = found, seen.elapsed
            if seen.elapsed - self._fewer_since < SETTLES_SECONDS:
                return self.targets
        self._fewer_targets, self._has_targets = None, True
        return found

    # What is sent.

    def before(self, message: Message, target: str, number: int, seen: Seen) -> Course[bool]:
        """Whether it may be sent now, which is written down first."""
        yield OfLog.ENTER
        has_lease = yield from self._has_lease()
        if has_lease:
            yield Append(Trying(message.key, target, number, seen.now, self._term))
        yield OfLog.LEAVE
        # It may have been stopped over the row, which then counts for nothing.
        return has_lease and (yield from self._has_lease())

    def _begin_delivery(self) -> Course[None]:
        yield BeginDelivery(self.targets)
        self.is_delivering = True
        logged = yield from _look()
        waiting: dict[str, list[LoggedFiring]] = {}
        for one in logged.firings.values():
            for name in one.unsettled:
                waiting.setdefault(name, []).append(one)
        for name, of_target in waiting.items():
            # Where there is no room for all, it is for the newest; of the others it is told that they are given up.
            newest, older = of_target[-WAITING_AT_MOST:], of_target[:-WAITING_AT_MOST]
            for one in (*newest, *older):
                may_have_come = one.deliveries[name].may_have_come
                yield from self._offer(one.firing, (name,), may_have_come=may_have_come)

    def _end_delivery(self) -> Course[None]:
        if self.is_delivering:
            self.is_delivering = False
            yield OfTargets.END_DELIVERY

    def _addressed(self, firing: Firing) -> Firing:
        """With all targets, where the rule names none."""
        return firing if firing.targets else replace(firing, targets=tuple(self.targets.by_name))

    def _address(self, seen: Seen) -> Course[None]:
        """Give all targets to what fired before any were known, in the log."""
        if not self._has_targets:
            return
        logged = yield from _look()
        waiting = [one.firing for one in logged.firings.values() if one.is_unaddressed]
        if not waiting:
            return
        yield OfLog.ENTER
        if (yield from self._has_term(seen)):
            yield Append(Round(tuple(map(self._addressed, waiting)), term=self._term))
        yield OfLog.LEAVE

    def _offer(self, firing: Firing, names: Sequence[str], *, may_have_come: bool = False) -> Course[None]:
        if not self.is_delivering:
            return
        # While the file cannot be used, or is not believed yet, what it may name waits for it.
        is_said = self.targets_problem is None and self._has_targets
        known = tuple(one for one in names if is_said or one in self.targets.by_name)
        yield Offer(
            Message(
                firing.key,
                self._prefix + firing.title,
                firing.text,
                firing.text_with_amounts,
                _URGENCIES.get(firing.severity, Urgency.FAILURE),
                may_have_come,
                firing.fired_at,
            ),
            known,
        )


def _look() -> Course[Logged]:
    return _told(Logged, (yield OfLog.LOOK))


def _told(kind: type[T], answer: Answer) -> T:
    """The answer of a step, as it is to be told."""
    if not isinstance(answer, kind):
        raise TypeError(f"the answer is to be of {kind.__name__}")
    return answer


def _is_absence(looked: float | None, seen: Seen) -> bool:
    """Whether nobody looked for too long; a look that is still to come is of before this computer was started."""
    return looked is None or not 0 <= seen.elapsed - looked < LOOKING_WITHIN_SECONDS
