"""The daemon's thread: it works while something is due, pauses otherwise, and ends in the midst of a question."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from options_helper.errors import RestError, RestStopped
from options_helper.ingest.course import Task
from options_helper.ingest.jobs import JobName, Window, all_jobs
from options_helper.ingest.selection import Selection
from options_helper.ingest.store import Answer, Entry, IngestStore, Table
from options_helper.ingest.work import Ingestion
from options_helper.ingest.worker import IngestWorker, Outcome, job_beats
from tests.kit.waiting import FOREVER, at_once, wait_until

# A Wednesday, 10:00 in New York.
AT = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
SELECTION = Selection(("SPY", "QQQ"), ("SPY", "QQQ"))

Ask = Callable[[JobName, str, Window], Answer]


def one_row(_job: JobName, _subject: str, window: Window) -> Answer:
    return Answer(Table(("symbol",), [("SPY",)]), window.since, requests=1, seconds=0.1, rows=1)


class Daemon:
    """A worker on a clock that the test moves, and what it told."""

    jobs = (JobName.CHAINS, JobName.CONTRACTS)

    def __init__(self, root: Path, store: IngestStore) -> None:
        self.root = root
        self.at = AT
        self.heard: list[tuple[Task, Outcome]] = []
        self.answer: Ask = one_row
        self.stopped = threading.Event()
        self.ingestion = Ingestion(
            all_jobs(),
            lambda: SELECTION,
            store,
            self,
            now=lambda: self.at,
            servers_now=lambda: self.at,
            elapsed=self.elapsed,
            random=lambda: 0.0,
        )
        self.worker = IngestWorker(
            self.ingestion,
            lambda task, outcome: self.heard.append((task, outcome)),
            self.stopped.set,
            check_seconds=FOREVER,
        )

    def elapsed(self) -> float:
        """Seconds of the same clock."""
        return (self.at - AT).total_seconds()

    def ask(self, job: JobName, subject: str, window: Window) -> Answer:
        """As the test has it."""
        return self.answer(job, subject, window)

    def advance(self, **span: float) -> None:
        """Move the clock, and let the worker look."""
        self.at += timedelta(**span)
        self.worker.wake()

    @property
    def kept(self) -> list[tuple[str, str]]:
        """What was stored."""
        return [(task.job.value, task.subject) for task, outcome in self.heard if isinstance(outcome, Entry)]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with IngestStore(tmp_path, now=lambda: AT) as store:
        made = Daemon(tmp_path, store)
        yield made
        made.worker.stop()


def test_it_does_what_is_due_and_then_what_becomes_due(daemon: Daemon):
    daemon.worker.start()
    wait_until(lambda: len(daemon.kept) == 4, saw=lambda: daemon.heard)

    daemon.advance(minutes=15)
    wait_until(lambda: len(daemon.kept) == 6, saw=lambda: daemon.heard)

    both = [("chains", "SPY"), ("chains", "QQQ")]
    assert daemon.kept == [*both, ("contracts", "SPY"), ("contracts", "QQQ"), *both]


def test_a_stop_ends_what_is_asked_at_that_moment(daemon: Daemon):
    asking = threading.Event()

    def hangs(_job: JobName, _subject: str, _window: Window) -> Answer:
        asking.set()
        assert daemon.stopped.wait(FOREVER)
        raise RestStopped

    daemon.answer = hangs
    daemon.worker.start()
    assert asking.wait(FOREVER)

    with at_once():
        daemon.worker.stop()

    assert daemon.heard == []
    assert IngestStore(daemon.root).newest(JobName.CHAINS, "SPY") is None


def test_a_failure_is_told_and_costs_no_other_window(daemon: Daemon):
    def fails_for_spy(job: JobName, subject: str, window: Window) -> Answer:
        if subject == "SPY":
            raise RestError("no answer")
        return one_row(job, subject, window)

    daemon.answer = fails_for_spy
    daemon.worker.start()
    wait_until(lambda: len(daemon.heard) == 4, saw=lambda: daemon.heard)

    assert daemon.kept == [("chains", "QQQ"), ("contracts", "QQQ")]


def test_an_error_that_nobody_thought_of_costs_its_window_only(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
):
    def has_a_bug(job: JobName, subject: str, window: Window) -> Answer:
        if subject == "SPY":
            raise ZeroDivisionError
        return one_row(job, subject, window)

    daemon.answer = has_a_bug
    daemon.worker.start()
    wait_until(lambda: daemon.ingestion.tallies[JobName.CHAINS].failures == 1)
    wait_until(lambda: "a round of live-ingest failed" in caplog.text, saw=lambda: caplog.text)
    wait_until(lambda: "ZeroDivisionError" in (daemon.worker.problem or ""))
    daemon.worker.wake()
    wait_until(lambda: ("chains", "QQQ") in daemon.kept, saw=lambda: daemon.heard)


def test_the_heartbeat_says_how_far_each_job_has_come_and_how_late_it_is(daemon: Daemon):
    def fails_for_contracts(job: JobName, subject: str, window: Window) -> Answer:
        if job is JobName.CONTRACTS:
            raise RestError("no answer")
        return one_row(job, subject, window)

    daemon.answer = fails_for_contracts
    daemon.worker.start()
    wait_until(lambda: len(daemon.heard) == 4, saw=lambda: daemon.heard)
    daemon.ingestion.look()

    beats = job_beats(daemon.ingestion, AT + timedelta(seconds=5))

    chains, contracts = beats["chains"], beats["contracts"]
    assert (chains.watermark_at, chains.watermark_age_seconds) == (AT, 5)
    assert (chains.successes, chains.rows, chains.late_seconds, chains.problem) == (2, 2, None, None)
    assert chains.next_due_at == AT + timedelta(minutes=15)
    assert chains.every_seconds == 900
    assert (contracts.watermark_at, contracts.failing) == (None, 2)
    assert contracts.problem == "QQQ: no answer"
    # It was due at 06:00 in New York.
    assert contracts.late_seconds == 4 * 3600 + 5
