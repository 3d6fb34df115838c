"""The daemon's one thread: it does what is due, and pauses until something is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from options_helper.data.periodic_task import STOP_SECONDS, PeriodicTask
from options_helper.errors import OptionsHelperError, RestStopped
from options_helper.ingest.course import Progress, Tally, Task
from options_helper.ingest.jobs import Continuous, InSession, Job
from options_helper.ingest.store import Entry
from options_helper.ingest.work import Ingestion
from options_helper.monitoring.heartbeat import JobBeat

# A computer that slept, or whose clock was set, finds out so much later.
CHECK_CLOCK_SECONDS: Final = 30.0
_A_DAY: Final = timedelta(days=1)

Outcome = Entry | OptionsHelperError


class IngestWorker:
    """Does one window after another on the thread `live-ingest`.

    `heard` gets each task with what became of it, on that thread. `end_requests` ends what is asked at that moment;
    both the worker and whoever else asks get RestStopped then.
    """

    def __init__(
        self,
        ingestion: Ingestion,
        heard: Callable[[Task, Outcome], object],
        end_requests: Callable[[], object],
        *,
        check_seconds: float = CHECK_CLOCK_SECONDS,
    ) -> None:
        self._ingestion = ingestion
        self._heard = heard
        self._end_requests = end_requests
        self._check_seconds = check_seconds
        self._task = PeriodicTask("live-ingest", self._round, check_seconds, self._failed)
        self.problem: str | None = None  # what keeps it from looking; from any thread

    def start(self) -> None:
        """Look for the first time, at once."""
        self._task.start(0.0)

    def wake(self) -> None:
        """Look again now: something may have become due."""
        self._task.run_within(0.0)

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Begin nothing more, end what is asked, and wait a moment; harmless when repeated. From any thread.

        What is being written is whole when its row is in the ledger, and is asked for again when it is not.
        """
        self._task.request_stop()
        self._end_requests()
        self._task.stop(timeout)

    def _round(self) -> float:
        """Do one window, if one is due; the seconds until the next look."""
        outlook = self._ingestion.look()
        self.problem = None
        if outlook.task is None:
            return min(outlook.pause_seconds, self._check_seconds)
        try:
            self._heard(outlook.task, self._ingestion.do(outlook.task))
        except RestStopped:
            return self._check_seconds
        except OptionsHelperError as error:
            self._heard(outlook.task, error)
        return 0.0

    def _failed(self, error: Exception) -> None:
        """What went wrong beside the windows, which have their own counts; it is tried again by itself."""
        self.problem = (
            str(error)
            if isinstance(error, OptionsHelperError)
            else f"A round failed by a fault of this program ({type(error).__name__}). The log has it."
        )


def job_beats(ingestion: Ingestion, now: datetime) -> Mapping[str, JobBeat]:
    """How each job is at the market's `now`; from any thread."""
    progress, tallies = ingestion.outlook.progress, ingestion.tallies
    return {
        job.name: _beat(job, progress[job.name], tallies[job.name], now)
        for job in ingestion.jobs
        if job.name in progress
    }


def _beat(job: Job, progress: Progress, tally: Tally, now: datetime) -> JobBeat:
    late = None if progress.due_at is None else (now - progress.due_at).total_seconds()
    watermark = progress.watermark
    return JobBeat(
        every_seconds=_every(job).total_seconds(),
        watermark_at=watermark,
        watermark_age_seconds=None if watermark is None else _seconds(now, watermark),
        next_due_at=progress.due_at,
        late_seconds=None if late is None or late < 0 else round(late, 3),
        successes=tally.successes,
        failures=tally.failures,
        failing=tally.failing,
        last_success_at=tally.last_success_at,
        rows=tally.rows,
        problem=tally.problem,
        ahead_to=progress.ahead_to,
        empty=progress.empty,
        again_at=progress.again_at,
    )


def _seconds(now: datetime, since: datetime) -> float:
    return round(max(0.0, (now - since).total_seconds()), 3)


def _every(job: Job) -> timedelta:
    schedule = job.schedule
    return schedule.every if isinstance(schedule, InSession | Continuous) else _A_DAY
