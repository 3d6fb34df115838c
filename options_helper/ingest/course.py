"""What is asked for next, and what becomes of each answer: from what is stored, the hours, the moment and what failed.

Knows no thread, file or clock, and asks nobody: windows, answers and instants come in as values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from options_helper.errors import OptionsHelperError, RestError, StoreError
from options_helper.ingest.doubtful_sessions import (
    BELIEVED_AFTER,
    again_at,
    again_window,
    asked_in_vain,
    brings_more,
    doubtful_sessions,
    to_store,
)
from options_helper.ingest.jobs import (
    EachTradingDay,
    InSession,
    Job,
    JobName,
    Window,
    demanded_window,
    is_caught_up,
    next_window,
)
from options_helper.ingest.selection import OF_A_SESSION, Selection
from options_helper.ingest.store import Answer, Entry, Stored
from options_helper.model.backoff import compute_backoff_seconds
from options_helper.model.market_hours import NOTHING_TOLD, ToldSessions

# So far a clock is set back without anything being wrong: nothing is asked for again because of it.
CLOCK_STEP: Final = timedelta(minutes=5)
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
    bytes: int = 0
    last_success_at: datetime | None = None
    problem: str | None = None  # of the last window, None where it is stored


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come, by its slowest subject."""

    watermark: datetime | None  # None: of one of them, nothing is stored
    due_at: datetime | None  # of the first window that is not stored; in the past, it is late
    ahead_to: datetime | None = None  # up to where a clock that was wrong has stored what counts as nothing
    empty: int = 0  # sessions that are stored without a single row
    again_at: datetime | None = None  # when the first of these is asked for again

    def with_slower(self, other: Progress | None) -> Progress:
        """The earlier of both, each."""
        if other is None:
            return self
        both = (self.watermark, other.watermark)
        watermark = None if None in both else min(at for at in both if at is not None)
        ahead = [at for at in (self.ahead_to, other.ahead_to) if at is not None]
        return Progress(
            watermark,
            _first(self.due_at, other.due_at),
            max(ahead, default=None),
            self.empty + other.empty,
            _first(self.again_at, other.again_at),
        )


def _first(*moments: datetime | None) -> datetime | None:
    return min((at for at in moments if at is not None), default=None)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be done at one moment."""

    task: Task | None = None  # now, what cannot be had later first
    pause_seconds: float = (
        math.inf
    )  # until something is due, on the market's clock; infinity: nothing will be
    progress: Mapping[JobName, Progress] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Trouble:
    failures: int
    until: float  # on the clock that nobody sets


def _giving_way(task: Task, now: datetime, others: Sequence[float]) -> Task:
    """The task until the first of the others is due, in so many seconds each."""
    first = min(others, default=math.inf)
    expires = now + timedelta(seconds=first) if first < math.inf else None
    return replace(task, window=replace(task.window, expires=expires))


def newest_of(store: Stored, job: Job, subject: str, now: datetime) -> Entry | None:
    """The newest stored window; one that lies ahead of `now` is of a clock that was wrong, and counts as none."""
    stored = store.newest_first(job.name, subject)
    return next((entry for entry in stored if not _is_ahead(job, entry, now)), None)


def watermark_of(store: Stored, job: Job, subject: str, now: datetime) -> datetime | None:
    """Until when a job has what it wants; what is made of stored chains begins with the first of them."""
    entry = newest_of(store, job, subject, now)
    if entry is not None or job.name is not JobName.VOLATILITY:
        return None if entry is None else entry.until
    chains = (one.since for one in store.entries(JobName.CHAINS))
    return min((since for since in chains if since <= now), default=now)


def holes_of(
    store: Stored, job: Job, subject: str, now: datetime, told: ToldSessions = NOTHING_TOLD
) -> Iterator[Window]:
    """The windows between stored ones that are not stored, where a row of the ledger is damaged and they can be had."""
    if not store.is_damaged(job.name) or not is_caught_up(job):
        return
    stored = [entry for entry in store.entries_of(job.name, subject) if not _is_ahead(job, entry, now)]
    reached = None
    for entry in stored:
        while reached is not None and reached < entry.since:
            window = next_window(job, now, reached, told)
            if window is None or window.since >= entry.since:
                break
            reached = min(window.until, entry.since)
            yield replace(window, until=reached)
        reached = entry.until if reached is None else max(reached, entry.until)


def _stored_ahead_to(store: Stored, job: Job, subject: str, now: datetime) -> datetime | None:
    newest = store.newest(job.name, subject)
    return newest.until if newest is not None and _is_ahead(job, newest, now) else None


def _is_ahead(job: Job, entry: Entry, now: datetime) -> bool:
    return _stored_up_to(job, entry) > now + CLOCK_STEP


def _stored_up_to(job: Job, entry: Entry) -> datetime:
    """What a snapshot shows is of its beginning, however long none is due after it."""
    match job.schedule:
        case EachTradingDay() | InSession():
            return entry.since
        case _:
            return entry.until


class NothingCame(OptionsHelperError):
    """An answer without a row where there must be some: it is not stored, and asked for again."""


class TooLate(OptionsHelperError):
    """A snapshot was not complete while its time lasted; it is not stored."""


def require_time(window: Window, now: datetime) -> None:
    """TooLate once the time of a snapshot is over: what comes then is of the next one. `now` is the market's."""
    if window.expires is not None and window.expires <= now:
        raise TooLate(
            f"Its pages came too slowly: not all were there at {window.expires:%H:%M} UTC, when its time was over. "
            "Ask less often (--chains-every), or let it have more of the minute (--requests-per-minute)."
        )


class TooSoon(OptionsHelperError):
    """By the time after its answer, mostly that which answers tell, a window is not due yet; it is not stored."""


def _require_due(window: Window, now: datetime, *, by_servers: bool) -> None:
    if window.due_at <= now + CLOCK_STEP:
        return
    at, due_at = f"{now:%Y-%m-%d %H:%M}", f"{window.due_at:%Y-%m-%d %H:%M}"
    if by_servers:
        raise TooSoon(
            f"It was asked for by a clock that is ahead: by the servers' it is {at} UTC, and this is due at {due_at}. "
            "It is asked for again then. Set this computer's clock."
        )
    raise TooSoon(
        f"This computer's clock was set while it was asked for: by that it is {at} UTC now, and this is due at "
        f"{due_at}. Which is right is not known before another answer; it is asked for again when it is due."
    )


@dataclass(frozen=True, slots=True)
class Keep:
    """Store an answer as that window's."""

    window: Window
    answer: Answer


@dataclass(frozen=True, slots=True)
class Note:
    """Say something else of a window that is stored, whose rows stay."""

    entry: Entry


class IngestCourse:
    """The due windows of some jobs; one call at a time.

    `outlook` and `tallies` are replaced as a whole. What of `demanded` can be done at any time is due once at once.
    Market's times are `now`; `elapsed` are seconds of a clock that nobody sets.
    """

    def __init__(self, jobs: Sequence[Job], *, demanded: Collection[JobName] = ()) -> None:
        self.jobs = tuple(jobs)
        self._demanded = set(demanded)
        self._troubles: dict[tuple[JobName, str], _Trouble] = {}
        self.outlook = Outlook()
        self.tallies: Mapping[JobName, Tally] = {job.name: Tally() for job in self.jobs}

    def look(
        self,
        stored: Stored,
        selection: Selection,
        now: datetime,
        elapsed: float,
        told: ToldSessions = NOTHING_TOLD,
    ) -> Outlook:
        """What is to be done now, and otherwise for how long nothing is. `told`: what the market says of its hours."""
        first, again, progress = list[Task](), list[Task](), dict[JobName, Progress]()
        for job, subject in self._subjects(selection):
            window = self._window(job, now, watermark_of(stored, job, subject, now), told)
            doubtful = list(doubtful_sessions(stored, job, subject, now))
            first += [] if window is None else [Task(job.name, subject, window)]
            holes = holes_of(stored, job, subject, now, told)
            again += [Task(job.name, subject, one) for one in (*map(again_window, doubtful), *holes)]
            found = self._progress(
                stored, job, subject, window, [one for one in doubtful if not one.rows], now=now
            )
            progress[job.name] = found.with_slower(progress.get(job.name))
        # What was never asked for comes first; last, what can be asked at any time.
        others = [task for task in (*first, *again) if task.job is not JobName.GAPS]
        gaps = [task for task in first if task.job is JobName.GAPS]
        left = [(self._seconds_left(task, now, elapsed), task) for task in (*others, *gaps)]
        due = next((task for seconds, task in left if seconds == 0), None)
        if due is not None and due.job is JobName.GAPS:
            due = _giving_way(due, now, [seconds for seconds, task in left if task.job is not JobName.GAPS])
        self.outlook = Outlook(due, min((seconds for seconds, _ in left), default=math.inf), progress)
        return self.outlook

    @staticmethod
    def _progress(
        stored: Stored,
        job: Job,
        subject: str,
        window: Window | None,
        empty: Sequence[Entry],
        *,
        now: datetime,
    ) -> Progress:
        newest = newest_of(stored, job, subject, now)
        return Progress(
            None if newest is None else _stored_up_to(job, newest),
            None if window is None else window.due_at,
            _stored_ahead_to(stored, job, subject, now),
            len(empty),
            _first(*map(again_at, empty)),
        )

    def _window(
        self, job: Job, now: datetime, watermark: datetime | None, told: ToldSessions
    ) -> Window | None:
        demanded = demanded_window(job, now, watermark) if job.name in self._demanded else None
        return demanded or next_window(job, now, watermark, told)

    def _seconds_left(self, task: Task, now: datetime, elapsed: float) -> float:
        until_due = (task.window.due_at - now).total_seconds()
        return max(0.0, until_due, self._trouble_seconds(task.job, task.subject, elapsed))

    def judge(
        self, task: Task, answer: Answer, before: Entry | None, now: datetime, *, by_servers: bool
    ) -> Keep | Note:
        """What to store of an answer; `before` is the row that a session has already.

        NothingCame where it has no row at all, which for a while is no answer, and TooSoon where at `now` it is not
        due: by a clock that answers have put right, where that is so, `by_servers`, and otherwise by one that was set.
        A window of which more is to be asked is stored up to its beginning alone, and stays due.
        """
        window = task.window
        _require_due(window, now, by_servers=by_servers)
        if task.job in OF_A_SESSION:
            if before is None:
                _require_rows(window, answer, now)
            elif not brings_more(answer, before):
                return Note(asked_in_vain(before, answer, now))
            answer = to_store(answer, before, now)
        if answer.is_unfinished:
            window = replace(window, until=window.since)
        return Keep(window, answer)

    def succeeded(self, task: Task, answer: Answer, entry: Entry) -> None:
        """A window is stored."""
        if not answer.is_unfinished:
            self._demanded.discard(task.job)
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
                bytes=tally.bytes + entry.bytes,
                last_success_at=entry.written_at,
                problem=None,
            ),
        )

    def failed(self, task: Task, error: Exception, elapsed: float, random: Callable[[], float]) -> None:
        """No usable answer came, or it is not stored; it is due again after a pause, for which `random` is."""
        before = self._troubles.get((task.job, task.subject))
        failures = 1 if before is None else before.failures + 1
        until = elapsed + _again_seconds(failures, error, random)
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

    def _subjects(self, selection: Selection) -> Iterator[tuple[Job, str]]:
        return ((job, subject) for job in self.jobs for subject in selection.subjects(job.name))

    def _trouble_seconds(self, job: JobName, subject: str, elapsed: float) -> float:
        trouble = self._troubles.get((job, subject))
        return 0.0 if trouble is None else max(0.0, trouble.until - elapsed)

    def _replace(self, job: JobName, tally: Tally) -> None:
        self.tallies = {**self.tallies, job: tally}


def _require_rows(window: Window, answer: Answer, now: datetime) -> None:
    believed_at = window.due_at + BELIEVED_AFTER
    if not answer.rows and now < believed_at:
        raise NothingCame(
            f"No row at all came. It is asked for again, and stored without rows from "
            f"{believed_at:%Y-%m-%d %H:%M} UTC on."
        )


def _again_seconds(failures: int, error: Exception, random: Callable[[], float]) -> float:
    if isinstance(error, StoreError) or (isinstance(error, RestError) and error.status in _REFUSALS):
        return _AGAIN_SECONDS_AT_MOST
    pause = compute_backoff_seconds(
        failures,
        base_seconds=_AGAIN_SECONDS,
        cap_seconds=_AGAIN_SECONDS_AT_MOST,
        random=random,
    )
    wanted = error.retry_after if isinstance(error, RestError) else None
    return max(pause, wanted or 0.0)
