"""What is due, how many requests that takes and how long: from the store and the hours alone, without a connection."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from options_helper.ingest.course import holes_of, newest_of, watermark_of
from options_helper.ingest.doubtful_sessions import again_at, again_window, doubtful_sessions
from options_helper.ingest.jobs import Job, JobName, Window, demanded_window, due, next_window
from options_helper.ingest.selection import Selection
from options_helper.ingest.store import Stored
from options_helper.model.market_hours import NOTHING_TOLD, ToldSessions

# Of a window that was never asked for: measured for a usual stock's chain, and pages of the others.
REQUESTS_AT_FIRST: Final[Mapping[JobName, int]] = MappingProxyType(
    {
        JobName.CHAINS: 4,
        JobName.CONTRACTS: 1,
        JobName.CORPORATE_ACTIONS: 1,
        JobName.MINUTE_BARS: 1,
        JobName.DAILY_BARS: 1,
        JobName.MACRO_PROXIES: 1,
        JobName.FRED: 6,
        JobName.NEWS: 1,
        JobName.VOLATILITY: 0,
        JobName.GAPS: 0,
    }
)
SECONDS_A_REQUEST: Final = 0.5
# Who was away for years sees that there is much to do, and need not wait for the sum.
_WINDOWS_AT_MOST: Final = 1_000


@dataclass(frozen=True, slots=True)
class EmptySession:
    """A session of which no row came, so many times that it was asked for."""

    since: datetime
    times: int
    again_at: datetime


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """The due windows of a job for one subject, or when the next one is."""

    job: JobName
    subject: str
    windows: tuple[Window, ...]  # that are due now: oldest first, then those that are asked for again
    next_due_at: datetime | None  # of the first that is not yet due; None where the calendar does not reach
    requests: int  # for all that are due, as the last such window took, or by experience
    seconds: float  # the same, without waiting for the budget
    empty: tuple[EmptySession, ...] = ()  # that are stored without a row, oldest first


@dataclass(frozen=True, slots=True)
class IngestPlan:
    """Everything that is due at one moment."""

    jobs: tuple[PlannedJob, ...]
    per_minute: int

    @property
    def requests(self) -> int:
        """Of all that is due."""
        return sum(planned.requests for planned in self.jobs)

    @property
    def seconds(self) -> float:
        """What it takes about: the answers, or the minutes over which the budget spreads the questions."""
        answers = sum(planned.seconds for planned in self.jobs)
        whole_minutes = max(0, math.ceil(self.requests / self.per_minute) - 1)
        return max(answers, 60.0 * whole_minutes)


def plan_ingestion(
    jobs: Sequence[Job],
    selection: Selection,
    store: Stored,
    now: datetime,
    *,
    per_minute: int,
    told: ToldSessions = NOTHING_TOLD,
    demanded: Collection[JobName] = (),
) -> IngestPlan:
    """What is due at `now`, the market's time, with so many requests a minute, and what of `demanded` is done now."""
    planned = tuple(
        _planned(job, subject, store, now, told, is_demanded=job.name in demanded)
        for job in jobs
        for subject in selection.subjects(job.name)
    )
    return IngestPlan(planned, per_minute)


def _planned(
    job: Job, subject: str, store: Stored, now: datetime, told: ToldSessions, *, is_demanded: bool
) -> PlannedJob:
    newest = newest_of(store, job, subject, now)
    watermark = watermark_of(store, job, subject, now)
    demanded = demanded_window(job, now, watermark) if is_demanded else None
    windows = (demanded,) if demanded is not None else tuple(_due_windows(job, now, watermark, told))
    following = next_window(job, now, windows[-1].until if windows else watermark, told)
    doubtful = tuple(doubtful_sessions(store, job, subject, now))
    more = (*map(again_window, doubtful), *holes_of(store, job, subject, now, told))
    again = tuple(window for window in more if window.due_at <= now)
    later = [at for at in map(again_at, doubtful) if at > now]
    requests = REQUESTS_AT_FIRST[job.name] if newest is None else newest.requests
    seconds = requests * SECONDS_A_REQUEST if newest is None else newest.seconds
    due = (*windows, *again)
    return PlannedJob(
        job.name,
        subject,
        due,
        min([*later, *([] if following is None else [following.due_at])], default=None),
        requests * len(due),
        seconds * len(due),
        tuple(
            EmptySession(entry.since, entry.times, again_at(entry)) for entry in doubtful if not entry.rows
        ),
    )


def _due_windows(job: Job, now: datetime, watermark: datetime | None, told: ToldSessions) -> Iterator[Window]:
    for _ in range(_WINDOWS_AT_MOST):
        window = due(job, now, watermark, told)
        if window is None:
            return
        yield window
        watermark = window.until
