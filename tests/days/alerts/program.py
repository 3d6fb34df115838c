"""A program that looks and sends, by the product's own course and runner; killed at any write, stopped at any step."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from options_helper.alerting.books import AlertBooks
from options_helper.alerting.course import Append, Command, Course, Judged
from options_helper.alerting.runner import AlertRunner
from options_helper.analysis.alerts.evaluator import evaluate
from options_helper.data.firing_log import FiringLog
from options_helper.data.lease import RENEW_SECONDS, Lease
from options_helper.data.lease_course import Ask, Supplant, Told
from options_helper.data.notify.messages import Attempt, Message, Outcome
from options_helper.data.notify.sending import Sent
from options_helper.data.notify.target_queue import LONGEST_TRY_SECONDS, Job, TargetQueue, as_of
from options_helper.data.notify.targets import Target, Targets
from options_helper.model.alerts import Elapsed, Reading, Rule, RuleState, SubjectKind
from tests.days.alerts.oracle import AlertOracle
from tests.days.stage import Stage

T = TypeVar("T")

# What is looked at: a price, and when it was so by the computer's clock, which is the market's here.
Look = tuple[float, datetime]
# From the row of a try to the message itself: another program may come in between.
_TO_SEND_SECONDS: Final = 0.05
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """The process ends here, whatever it was at."""


class AlertDisk:
    """Where rows go, for one program; `kill_in` counts the writes until it is killed, `how` in which moment of it."""

    def __init__(
        self, name: str, oracle: AlertOracle, has_lease: Callable[[], bool], dice: random.Random
    ) -> None:
        self._name, self._oracle, self._has_lease, self._dice = name, oracle, has_lease, dice
        self.is_full = False
        self.kill_in: int | None = None
        self.how = ""

    def fill(self) -> None:
        """Take no more."""
        self.is_full = True

    def clear(self) -> None:
        """Take rows again."""
        self.is_full = False

    def append(self, path: Path, data: bytes, *, durable: bool) -> None:
        """As the product's own, unless it goes wrong."""
        if self.is_full:
            self._oracle.refused(self._name)
            if self._dice.random() < 0.5:  # there was room for a part
                _add(path, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        kills = self.kill_in == 0
        if self.kill_in is not None:
            self.kill_in -= 1
        part = {"before": 0, "torn": len(data) // 2}.get(self.how, len(data)) if kills else len(data)
        _add(path, data[:part])
        if part == len(data):
            self._oracle.wrote(self._name, data, has_lease=self._has_lease())
        if kills:
            raise Killed


def _add(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


class Program:
    """The page or the watch."""

    def __init__(
        self,
        stage: Stage,
        name: str,
        path: Path,
        oracle: AlertOracle,
        *,
        rules: tuple[Rule, ...],
        price: Callable[[], float],
        load: Callable[[], Targets],
        post: Callable[[str, Message], tuple[float, Sent]],
        look_seconds: float,
        holders: Callable[[], list[str]],
    ) -> None:
        self.name = name
        self._stage, self._path, self._oracle = stage, path, oracle
        self._rules, self._price, self._load, self._post = rules, price, load, post
        self._look_seconds, self.holders = look_seconds, holders
        self.disk = AlertDisk(name, oracle, lambda: self.has_lease, stage.dice(f"disk of the {name}"))
        self._life = 0  # which of its processes runs
        self.is_alive = self.is_stopped = self.is_over = False
        self._held_up: list[Callable[[], None]] = []
        self.runner: AlertRunner[Look] | None = None
        self._entered = ExitStack()  # the lock of the log, while it has that
        # So many steps from now it is killed, or stopped for so many seconds, in the midst of what it is at.
        self._cut_in: int | None = None
        self._cut_seconds: float | None = None
        self._cuts_at_rows = False  # only the steps that write a row count
        self._cuts_as_it_takes = False  # the steps count from when it takes the lease

    def start(self) -> None:
        """Begin anew, from what the disk holds."""
        if self.is_alive or self.is_over:
            return
        self._life += 1
        self.is_alive, self.is_stopped, self._held_up = True, False, []
        self._step(self._begin)

    def kill(self) -> None:
        """End it: the kernel takes its locks back."""
        if self.is_alive:
            self._stage.note(f"the {self.name} is killed")
            self._oracle.died(self.name)
            self.is_alive, self.runner = False, None
            self.disk.kill_in = self._cut_in = None
            self._lease.let_go()
            self._entered.close()

    def kill_if_due(self) -> None:
        """Where it has not come to the write at which it was to be killed."""
        if self.disk.kill_in is not None or (self._cut_in is not None and self._cut_seconds is None):
            self.kill()

    def cut_short(
        self, steps: int, seconds: float | None = None, *, at_rows: bool = False, as_it_takes: bool = False
    ) -> None:
        """Kill it so many steps from now, or stop it for so long; `at_rows`: right before so many more rows.

        `as_it_takes`: so many steps after the one by which it takes the lease.
        """
        self._cut_in, self._cut_seconds = steps, seconds
        self._cuts_at_rows, self._cuts_as_it_takes = at_rows, as_it_takes

    def stop(self) -> None:
        """It runs no more, and keeps what it has."""
        self.is_stopped = True

    def go_on(self) -> None:
        """What was due meanwhile is done now, in its order; what it was at first of all."""
        held, self._held_up, self.is_stopped = self._held_up, [], False
        for action in held:
            self._due(self._life, action)

    def quit(self) -> None:
        """End in order."""
        if self.is_alive and not self.is_stopped and self.runner is not None:
            self._step(partial(self.carry_out, self.runner.course.stop(), self._has_quit))

    def _has_quit(self, _: None) -> None:
        self._oracle.died(self.name)
        self.is_alive, self.runner = False, None

    # What the runner's thread and its lock are in the product.

    def carry_out(self, course: Course[T], then: Callable[[T], None]) -> None:
        """One step after the other; before each of them it may be killed, or stopped."""
        self._go_on(course, then, partial(next, course))

    def _go_on(self, course: Course[T], then: Callable[[T], None], step: Callable[[], Command]) -> None:
        try:
            while True:
                command = step()
                if self._is_cut_short(command):
                    self._stop_before(partial(self._resume, course, then, command))
                    return
                step = self._done(course, command)
        except StopIteration as end:
            self._entered.close()
            answer: T = end.value
        then(answer)

    def _resume(self, course: Course[T], then: Callable[[T], None], command: Command) -> None:
        self._go_on(course, then, self._done(course, command))

    def _done(self, course: Course[T], command: Command) -> Callable[[], Command]:
        assert self.runner is not None
        try:
            told = self.runner.do(command, self._entered)
        except OSError as error:
            return partial(course.throw, error)
        if isinstance(command, Supplant) or (command is Ask.LOCK and isinstance(told, Told) and told.is_so):
            self._cuts_as_it_takes = False
        return partial(course.send, told)

    def _is_cut_short(self, command: Command) -> bool:
        if self._cut_in is None or self._cuts_as_it_takes:
            return False
        if self._cuts_at_rows and not isinstance(command, Append):
            return False
        self._cut_in -= 1
        if self._cut_in >= 0:
            return False
        self._cut_in = None
        if self._cut_seconds is None:
            raise Killed
        return True

    def _stop_before(self, rest: Callable[[], None]) -> None:
        assert self._cut_seconds is not None
        self._stage.note(f"the {self.name} is stopped in the midst of a step")
        self._held_up = [rest]
        self.stop()
        self._stage.agenda.after(self._cut_seconds, self.go_on, product=True)

    @property
    def has_lease(self) -> bool:
        """Whether it may send."""
        return self.is_alive and self._lease.is_mine

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """A step of this process."""
        self._stage.agenda.timer(seconds, partial(self._due, self._life, action))

    def _due(self, life: int, action: Callable[[], None]) -> None:
        if life != self._life or not self.is_alive:
            return
        if self.is_stopped:
            self._held_up.append(action)
            return
        self._step(action)

    def _step(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Killed:
            self.kill()

    def _now(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self._stage.clocks.wall_ns() // 1_000)

    def _begin(self) -> None:
        clocks = self._stage.clocks
        self._lease = Lease(
            self._path.with_suffix(".lease"), self.name, since=self._now(), monotonic=clocks.monotonic
        )
        # A lock that one who is stopped has is waited for in vain, which need not take a second of ours.
        log = FiringLog(self._path.with_suffix(".jsonl"), append=self.disk.append, patience_seconds=0.0)
        books = AlertBooks(log, self._lease)
        self.runner = AlertRunner(
            books,
            self._judge,
            self._load,
            now=self._now,
            elapsed=clocks.elapsed,
            make_delivery=self._delivery,
        )
        self._keep()
        self.later(0.3, self._look)

    def _keep(self) -> None:
        # Asked for first: a step that is cut short is one of a process that is no more.
        self.later(RENEW_SECONDS, self._keep)
        runner = self.runner
        assert runner is not None
        self.carry_out(
            runner.course.keep(runner.seen()),
            lambda _: self._oracle.kept(self.name, has_lease=self.has_lease),
        )

    def _look(self) -> None:
        self.later(self._look_seconds, self._look)
        runner, has_lease = self.runner, self.has_lease
        assert runner is not None
        look = self._price(), self._now()
        self._oracle.looks(self.name, look[0], counts=has_lease)
        self.carry_out(
            runner.course.observe(look, runner.seen()),
            lambda _: self._oracle.looked(self.name, has_lease=self.has_lease),
        )

    def _judge(self, look: Look, states: Mapping[str, RuleState]) -> Judged:
        price, at = look
        self._oracle.judges(self.name)
        found = {(SubjectKind.UNDERLYING, "price"): {"SPY": Reading(price, "SPY")}}
        elapsed = Elapsed(self._stage.clocks.elapsed(), "this start")
        found_now = evaluate(self._rules, found, states, at=at, now=self._now(), elapsed=elapsed)
        return Judged(found_now, len(self._rules))

    def _delivery(self, targets: Iterable[Target], **more: Any) -> Any:
        return VirtualDelivery(self, self._stage, targets, self._post, self._oracle, **more)


class VirtualDelivery:
    """Carries out the queues of all targets in the agenda; as thin as the product's own."""

    def __init__(
        self,
        program: Program,
        stage: Stage,
        targets: Iterable[Target],
        post: Callable[[str, Message], tuple[float, Sent]],
        oracle: AlertOracle,
        *,
        before: object,
        tell: Callable[[Attempt], None],
        now: Callable[[], datetime],
        elapsed: object,
    ) -> None:
        del elapsed  # the computer's own
        self._program, self._stage, self._post, self._oracle = program, stage, post, oracle
        del before  # whose steps the program does one by one
        self._tell, self._now = tell, now
        self._queues = {one.name: TargetQueue(one.name) for one in targets}
        self._trying: set[str] = set()
        self._is_over = False

    def offer(self, message: Message, targets: Iterable[str]) -> None:
        """To each of these."""
        for name in targets:
            queue = self._queues.get(name)
            if queue is not None and queue.put(message, self._stage.clocks.elapsed(), self._now()):
                self._wake(name)
            else:
                why = "no target has this name" if queue is None else "it is full"
                self._tell(Attempt(message.key, name, Outcome.GAVE_UP, self._now(), why=why))

    def stop(self) -> None:
        """Try no more; what is under way is left behind."""
        self._is_over = True

    def _wake(self, name: str) -> None:
        due = self._queues[name].due_in(self._stage.clocks.elapsed())
        if due is not None:
            self._program.later(max(0.0, due), partial(self._try, name))

    def _try(self, name: str) -> None:
        queue = self._queues[name]
        due = queue.due_in(self._stage.clocks.elapsed())
        if self._is_over or name in self._trying or due is None or due > 1e-6:
            return
        job = queue.take()
        self._trying.add(name)
        program, runner = self._program, self._program.runner
        assert runner is not None
        program.carry_out(
            runner.course.before(job.message, name, job.number, runner.seen()),
            partial(self._may_send, name, job),
        )

    def _may_send(self, name: str, job: Job, may_send: bool) -> None:  # noqa: FBT001 - as it is answered
        if not may_send:
            self._trying.discard(name)
            self._wake(name)
            return
        self._oracle.may_send(self._program.name, self._program.holders())
        # A thread is beyond recall from here on.
        self._program.later(_TO_SEND_SECONDS, partial(self._send, name, job))

    def _send(self, name: str, job: Job) -> None:
        seconds, sent = self._post(name, as_of(job, self._stage.clocks.elapsed()))
        if seconds > LONGEST_TRY_SECONDS:
            seconds, sent = LONGEST_TRY_SECONDS, Sent(Outcome.UNANSWERED, "it came to no end")
        self._program.later(seconds, partial(self._ended, name, job, sent))

    def _ended(self, name: str, job: Job, sent: Sent) -> None:
        if self._is_over:
            return
        self._trying.discard(name)
        self._tell(
            self._queues[name].ended(
                job,
                sent,
                now=self._stage.clocks.elapsed(),
                wall=self._now(),
                random=self._stage.parts["alert dice"].random,
            )
        )
        self._wake(name)
