"""Do what is due, a window at a time: ask for it and store it, as `IngestCourse` says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from options_helper.errors import RestStopped
from options_helper.ingest.course import CLOCK_STEP, IngestCourse, Note, Outlook, Tally, Task
from options_helper.ingest.jobs import Job, JobName, Window
from options_helper.ingest.selection import Selection
from options_helper.ingest.store import Answer, Entry, IngestStore
from options_helper.model.market_hours import NOTHING_TOLD, ToldSessions


class Asking(Protocol):
    """Who is asked; an `Asker` is one."""

    @property
    def jobs(self) -> tuple[JobName, ...]:
        """What can be asked for."""

    def ask(self, job: JobName, subject: str, window: Window) -> Answer:
        """Ask for everything in a window; OptionsHelperError where no usable answer came."""


class Ingestion:
    """The due windows of some jobs, done one after another; for one thread.

    `outlook` and `tallies` are replaced as a whole, and may be read by any.

    `selection` is what is asked for, which may change. `now` is the market's time, and `servers_now` that which answers
    have told, None where none has. `told` is what the market says of its hours; `elapsed` is a clock that nobody sets,
    and `random` is for the pauses after failures. What of `demanded` can be done at any time is done once at once.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        selection: Callable[[], Selection],
        store: IngestStore,
        asking: Asking,
        *,
        now: Callable[[], datetime],
        servers_now: Callable[[], datetime | None],
        elapsed: Callable[[], float],
        random: Callable[[], float],
        told: Callable[[], ToldSessions] = lambda: NOTHING_TOLD,
        demanded: Collection[JobName] = (),
    ) -> None:
        self._store = store
        self._asking = asking
        self._selection = selection
        self._now = now
        self._servers_now = servers_now
        self._elapsed = elapsed
        self._random = random
        self._told = told
        self._course = IngestCourse([job for job in jobs if job.name in asking.jobs], demanded=demanded)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Those that can be asked for."""
        return self._course.jobs

    @property
    def outlook(self) -> Outlook:
        """What the last look found."""
        return self._course.outlook

    @property
    def tallies(self) -> Mapping[JobName, Tally]:
        """What became of each job's windows."""
        return self._course.tallies

    def look(self) -> Outlook:
        """What is to be done now, and otherwise for how long nothing is; publishes the `outlook`."""
        return self._course.look(self._store, self._selection(), self._now(), self._elapsed(), self._told())

    def do(self, task: Task) -> Entry:
        """Ask for a window and store it. Blocks; what goes wrong is counted, and raised. A stop is no failure."""
        try:
            answer = self._asking.ask(task.job, task.subject, task.window)
            # The servers' after the market's: a clock that was set meanwhile is noticed, and theirs unknown.
            now, servers_now = self._now(), self._servers_now()
            entry = store_answer(self._store, self._course, task, answer, now, servers_now=servers_now)
        except RestStopped:
            raise
        except Exception as error:
            # Whatever it is, it is this window's; the next ones get their turn.
            self._course.failed(task, error, self._elapsed(), self._random)
            raise
        self._course.succeeded(task, answer, entry)
        return entry


def store_answer(
    store: IngestStore,
    course: IngestCourse,
    task: Task,
    answer: Answer,
    now: datetime,
    *,
    servers_now: datetime | None,
) -> Entry:
    """Store it as the course says, by the market's `now`; `servers_now` is None where no server's time is known.

    NothingCame where it is no answer, TooSoon where a clock was ahead, StoreError where the disk refuses.
    """
    # A mere clock says of no row that it is to come: it may be what is wrong, and a row is struck out for good.
    if answer.requests and servers_now is not None:
        store.strike_out(servers_now + CLOCK_STEP)
    before = store.stored(task.job, task.subject, task.window)
    decided = course.judge(task, answer, before, now, by_servers=servers_now is not None)
    if isinstance(decided, Note):
        return store.note(task.job, decided.entry)
    return store.keep(task.job, task.subject, decided.window, decided.answer)
