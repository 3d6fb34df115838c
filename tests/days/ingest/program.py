"""The ingestion as a program: the product's course, store, questions and budget, carried out by the agenda."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from options_helper.data.fred import PER_MINUTE as FRED_PER_MINUTE
from options_helper.data.rest.budget_ledger import INGESTION, PAGE, Share
from options_helper.data.rest.question import Addressee, Course, Failure, Pause, Tried, question
from options_helper.data.rest.rate_limit import HostRequests, RequestLimiter, RestPolicy
from options_helper.data.rest.shared_budget import SharedBudget
from options_helper.errors import OptionsHelperError, RestError
from options_helper.ingest.course import IngestCourse, Task, require_time
from options_helper.ingest.jobs import Job, JobName
from options_helper.ingest.selection import Selection
from options_helper.ingest.store import Answer, IngestStore
from options_helper.ingest.work import store_answer
from options_helper.ingest.worker import CHECK_CLOCK_SECONDS
from tests.days.ingest.archive import Archive
from tests.days.ingest.disk import IngestDisk, Killed
from tests.days.ingest.oracle import PER_MINUTE, IngestOracle
from tests.days.life import Life
from tests.days.stage import Stage

SELECTION: Final = Selection(("SPY",), ("SPY", "AAPL"))
POLICY: Final = RestPolicy()
REQUESTS: Final = "requests"  # the folder of the shared minute
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class MortalBudget(SharedBudget):
    """A program's part in the minute, until the program ends."""

    def end(self) -> None:
        """Let the kernel take back the lock that says that the program lives."""
        self._leave()


def budget_of(share: Share, folder: Path) -> MortalBudget:
    """A new program's part."""
    return MortalBudget(None, "data", share, lambda: folder)


def limiter(stage: Stage, budget: MortalBudget) -> RequestLimiter:
    """Who lets its requests leave."""
    return RequestLimiter(PER_MINUTE, now=stage.clocks.elapsed, budget=budget)


class Page(Life):
    """Another program of the same account, which asks now and then."""

    def __init__(self, stage: Stage, oracle: IngestOracle, folder: Path, every: float) -> None:
        super().__init__(stage)
        self._oracle, self._every = oracle, every
        self._budget = budget_of(PAGE, folder)

    def start(self) -> None:
        """Begin to ask."""
        self.begin_life()
        self._limiter = limiter(self.stage, self._budget)
        self._ask()

    def end_life(self) -> None:
        """It is gone, and its lock with it."""
        super().end_life()
        self._budget.end()

    def _ask(self) -> None:
        wait = self._limiter.take()
        if not wait:
            self._oracle.sent("page")
        self.later(wait or self._every, self._ask)


class Ingester(Life):
    """Asks for what is due, one window after another."""

    def __init__(
        self,
        stage: Stage,
        oracle: IngestOracle,
        archive: Archive,
        jobs: tuple[Job, ...],
        root: Path,
    ) -> None:
        super().__init__(stage)
        self._oracle, self._archive, self._jobs, self._root = oracle, archive, jobs, root
        self._dice = stage.dice("ingestion's pauses")
        self.disk = IngestDisk()
        self.away = 1.0  # until somebody starts it again
        self._store: IngestStore | None = None
        self._question: Course[bool] | None = None

    @property
    def now(self) -> datetime:
        """Its computer's time, which is the market's."""
        return _EPOCH + timedelta(microseconds=self.stage.clocks.wall_ns() // 1_000)

    def start(self) -> None:
        """Begin, from what the disk holds."""
        if self.is_alive or self._oracle.is_over:
            return
        self.begin_life()
        self._oracle.begins()
        self.stage.note("the ingestion starts")
        self._store = IngestStore(
            self._root, now=lambda: self.now, replace=self.disk.replace, append=self.disk.append
        )
        self._store.__enter__()
        self._course = IngestCourse(self._jobs)
        elapsed = self.stage.clocks.elapsed
        self._budget = budget_of(INGESTION, self._root / REQUESTS)
        self._host: HostRequests | None = HostRequests(limiter(self.stage, self._budget), elapsed)
        # Another host, with a minute of its own that nobody shares.
        self._fred = HostRequests(RequestLimiter(FRED_PER_MINUTE, now=elapsed), elapsed)
        self.later(0.0, self._round)

    def kill(self) -> None:
        """End it: the kernel takes its locks back."""
        if not self.is_alive:
            return
        self.stage.note("the ingestion is killed")
        self.end_life()
        self.disk.kill_in = None
        self.stage.agenda.after(self.away, self.start, product=True)
        if self._store is not None:
            self._store.__exit__(None, None, None)
        if self._question is not None:
            self._question.close()
        # What an error keeps of it would hold the lock until it is collected.
        self._budget.end()
        self._question = self._host = self._store = None

    def kill_if_due(self) -> None:
        """Where it has not come to the write at which it was to be killed."""
        if self.disk.kill_in is not None:
            self.kill()

    def carry_out(self, action: Callable[[], None]) -> None:
        """A step, in which it may be killed."""
        try:
            action()
        except Killed:
            self.kill()

    @property
    def _elapsed(self) -> float:
        return self.stage.clocks.elapsed()

    def look(self) -> Task | None:
        """What is due now."""
        assert self._store is not None
        return self._course.look(self._store, SELECTION, self.now, self._elapsed).task

    def _round(self) -> None:
        assert self._store is not None
        task = self.look()
        if task is None:
            self.later(min(self._course.outlook.pause_seconds, CHECK_CLOCK_SECONDS), self._round)
            return
        self._oracle.asks(task, self._store.stored(task.job, task.subject, task.window), self.now)
        self._next_page(task, self._archive.pages(task.job), self.now)

    def _next_page(self, task: Task, left: int, asked_at: datetime) -> None:
        """Ask for the rest, a page at a time."""
        if not left:
            self._answered(task, asked_at)
            return
        assert self._host is not None
        path = f"/v2/{task.job}"
        host = self._fred if task.job is JobName.FRED else self._host
        where = Addressee("Alpaca", "data", str(task.job))
        self._question = question(host, path, where, POLICY, now=lambda: self.now, random=self._dice.random)
        self._step(partial(self._next_page, task, left - 1, asked_at), task, None)

    def _step(self, then: Callable[[], None], task: Task, told: Tried[bool] | None) -> None:
        assert self._question is not None
        try:
            step = self._question.send(told)
        except StopIteration:
            try:
                require_time(task.window, self.now)
            except OptionsHelperError as late:
                self._failed(task, late)
            else:
                then()
            return
        except RestError as error:
            self._failed(task, error)
            return
        if isinstance(step, Pause):
            self.later(step.seconds, partial(self._step, then, task, None))
            return
        if task.job is not JobName.FRED:
            self._oracle.sent("ingestion")
        seconds, failure = self._archive.attempt()
        self.later(seconds, partial(self._tried, then, task, failure, seconds))

    def _tried(self, then: Callable[[], None], task: Task, failure: Failure | None, seconds: float) -> None:
        if failure is not None and failure.pause and task.job is not JobName.FRED:
            self._oracle.wants_silence(failure.pause)
        self._step(then, task, Tried(failure or True, seconds))

    def _answered(self, task: Task, asked_at: datetime) -> None:
        assert self._store is not None
        try:
            answer = self._answer(task, asked_at)
            entry = store_answer(self._store, self._course, task, answer, self.now, servers_now=self.now)
        except OptionsHelperError as error:
            self._failed(task, error)
            return
        self._course.succeeded(task, answer, entry)
        self._oracle.succeeded(task, entry)
        self.later(0.0, self._round)

    def _answer(self, task: Task, asked_at: datetime) -> Answer:
        more: dict[str, Any] = {"requests": 1, "seconds": 1.0}
        if task.job is JobName.GAPS:
            return Answer(None, asked_at, is_unfinished=self._dice.random() < 0.3, **more)
        table, missing = self._archive.rows(task.job, task.window)
        return Answer(table, asked_at, rows=len(table.rows), missing=missing, **more)

    def _failed(self, task: Task, error: Exception) -> None:
        self._course.failed(task, error, self._elapsed, self._dice.random)
        self._oracle.failed(task, error)
        self.later(0.0, self._round)
