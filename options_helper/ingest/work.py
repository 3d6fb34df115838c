"""Do what is due, a window at a time: what is stored and the hours say what, and a failure says when again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from options_helper.errors import OptionsHelperError, RestError, RestStopped, StoreError
from options_helper.ingest.jobs import Job, JobName, Window, due, next_window
from options_helper.ingest.selection import Selection
from options_helper.ingest.store import Answer, Entry, IngestStore
from options_helper.model.backoff import compute_backoff_seconds
from options_helper.model.market_hours import NOTHING_TOLD, ToldSessions

_AGAIN_SECONDS: Final = 30.0
_AGAIN_SECONDS_AT_MOST: Final = 900.0
# A wrong key and a plan without the feed are somebody's to mend.
_REFUSALS: Final = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Task:
    """One window of one job, for one subject."""

    job: JobName
    subject: str
    window: Window


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of a job's windows in this run."""

    successes: int = 0
    failures: int = 0
    failing: int = 0  # since the last success
    rows: int = 0
    requests: int = 0
    last_success_at: datetime | None = None
    problem: str | None = None  # of the last window, None where it is stored


@dataclass(frozen=True, slots=True)
class _Trouble:
    failures: int
    until: float  # on the clock that nobody sets


def watermark_of(store: IngestStore, job: JobName, subject: str, now: datetime) -> datetime | None:
    """Until when a job has what it wants; what is made of stored chains begins with the first of them."""
    stored = store.watermark(job, subject)
    if stored is not None or job is not JobName.VOLATILITY:
        return stored
    return min((entry.since for entry in store.entries(JobName.CHAINS)), default=now)


class Asking(Protocol):
    """Who is asked; an `Asker` is one."""

    @property
    def jobs(self) -> tuple[JobName, ...]:
        """What can be asked for."""

    def ask(self, job: JobName, subject: str, window: Window) -> Answer:
        """Ask for everything in a window; OptionsHelperError where no usable answer came."""


class Ingestion:
    """The due windows of some jobs, done one after another; for one thread, but `tallies` is replaced as a whole.

    `now` is the market's time, `told` what the market says of its hours; `elapsed` is a clock that nobody sets, and
    `random` is for the pauses after failures.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        selection: Selection,
        store: IngestStore,
        asking: Asking,
        *,
        now: Callable[[], datetime],
        elapsed: Callable[[], float],
        random: Callable[[], float],
        told: Callable[[], ToldSessions] = lambda: NOTHING_TOLD,
    ) -> None:
        self.jobs = tuple(job for job in jobs if job.name in asking.jobs)
        self._selection = selection
        self._store = store
        self._asking = asking
        self._now = now
        self._elapsed = elapsed
        self._random = random
        self._told = told
        self._troubles: dict[tuple[JobName, str], _Trouble] = {}
        self.tallies: dict[JobName, Tally] = {job.name: Tally() for job in self.jobs}

    def next_task(self) -> Task | None:
        """What is to be done now, what cannot be had later first; None where nothing is due."""
        now, told = self._now(), self._told()
        for job, subject in self._subjects():
            window = due(job, now, watermark_of(self._store, job.name, subject, now), told)
            if window is not None and not self._waits(job.name, subject):
                return Task(job.name, subject, window)
        return None

    def pause_seconds(self) -> float:
        """How long nothing will be due, on the market's clock; infinity where nothing ever will be."""
        now, told, left = self._now(), self._told(), math.inf
        for job, subject in self._subjects():
            window = next_window(job, now, watermark_of(self._store, job.name, subject, now), told)
            if window is None:
                continue
            until_due = (window.due_at - now).total_seconds()
            left = min(left, max(0.0, until_due, self._trouble_seconds(job.name, subject)))
        return left

    def do(self, task: Task) -> Entry:
        """Ask for a window and store it. Blocks; what goes wrong is counted, and raised.

        A stop is no failure.
        """
        try:
            answer = self._asking.ask(task.job, task.subject, task.window)
            entry = self._store.keep(task.job, task.subject, task.window, answer)
        except RestStopped:
            raise
        except OptionsHelperError as error:
            self._note_failure(task, error)
            raise
        self._note_success(task, entry)
        return entry

    def _subjects(self) -> Iterator[tuple[Job, str]]:
        return ((job, subject) for job in self.jobs for subject in self._selection.subjects(job.name))

    def _waits(self, job: JobName, subject: str) -> bool:
        return self._trouble_seconds(job, subject) > 0

    def _trouble_seconds(self, job: JobName, subject: str) -> float:
        trouble = self._troubles.get((job, subject))
        return 0.0 if trouble is None else max(0.0, trouble.until - self._elapsed())

    def _note_failure(self, task: Task, error: OptionsHelperError) -> None:
        before = self._troubles.get((task.job, task.subject))
        failures = 1 if before is None else before.failures + 1
        until = self._elapsed() + self._again_seconds(failures, error)
        self._troubles[task.job, task.subject] = _Trouble(failures, until)
        tally = self.tallies[task.job]
        self._replace(
            task.job,
            replace(
                tally,
                failures=tally.failures + 1,
                failing=tally.failing + 1,
                problem=f"{task.subject}: {error}",
            ),
        )

    def _again_seconds(self, failures: int, error: OptionsHelperError) -> float:
        if isinstance(error, StoreError) or (isinstance(error, RestError) and error.status in _REFUSALS):
            return _AGAIN_SECONDS_AT_MOST
        pause = compute_backoff_seconds(
            failures,
            base_seconds=_AGAIN_SECONDS,
            cap_seconds=_AGAIN_SECONDS_AT_MOST,
            random=self._random,
        )
        wanted = error.retry_after if isinstance(error, RestError) else None
        return max(pause, wanted or 0.0)

    def _note_success(self, task: Task, entry: Entry) -> None:
        self._troubles.pop((task.job, task.subject), None)
        tally = self.tallies[task.job]
        self._replace(
            task.job,
            replace(
                tally,
                successes=tally.successes + 1,
                failing=0,
                rows=tally.rows + entry.rows,
                requests=tally.requests + entry.requests,
                last_success_at=entry.written_at,
                problem=None,
            ),
        )

    def _replace(self, job: JobName, tally: Tally) -> None:
        self.tallies = {**self.tallies, job: tally}
