"""Ask for what is due until a signal: one thread that works, a heartbeat that tells, and an end within a second."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, cast

from options_helper.clock import elapsed_seconds, utc_now
from options_helper.commands.background_writer import BackgroundWriter
from options_helper.commands.ingest_run import (
    IngestRequest,
    OpenIngestion,
    entry_line,
    failure_line,
    opened,
)
from options_helper.commands.shutdown_signals import ShutdownSignals
from options_helper.data.rest.client import AlpacaRest
from options_helper.ingest.store import Entry
from options_helper.ingest.work import Task
from options_helper.ingest.worker import IngestWorker, Outcome, job_beats
from options_helper.monitoring.heartbeat import IngestionStatus, Role
from options_helper.monitoring.heartbeat_file import INGESTION_FILE, forget_heartbeats, remember_run
from options_helper.monitoring.heartbeat_writer import HeartbeatWriter
from options_helper.monitoring.prometheus import serve_metrics
from options_helper.monitoring.run_report import process_lives
from options_helper.settings import FredSettings, Settings

_LISTEN_SECONDS: Final = 1.0


class Waiting(Protocol):
    """How the daemon waits; `ShutdownSignals` is one."""

    def wait(self, seconds: float) -> int:
        """Wait so long, or until the next signal; how many there were so far."""


def run_daemon(request: IngestRequest, *, state: Path | None, metrics_port: int | None) -> int:
    """Ask for what is due until a signal; the exit code. Blocks, on the main thread."""
    with (
        ShutdownSignals() as shutdown,
        BackgroundWriter(sys.stdout) as out,
        opened(request, Settings.load(), FredSettings.load(), now=utc_now, rest_cls=AlpacaRest) as ingestion,
    ):
        say = cast("Callable[[str], object]", lambda text: out.write(f"{text}\n"))
        return watch(ingestion, shutdown, say, state=state, metrics_port=metrics_port)


def watch(
    opened_ingestion: OpenIngestion,
    shutdown: Waiting,
    say: Callable[[str], object],
    *,
    state: Path | None = None,
    metrics_port: int | None = None,
    now: Callable[[], datetime] = utc_now,
    elapsed: Callable[[], float] = elapsed_seconds,
) -> int:
    """Let the worker work until a signal; 1 where a job was failing at the end."""
    ingestion, market = opened_ingestion.ingestion, opened_ingestion.market
    began, began_at = elapsed(), now()

    def heard(task: Task, outcome: Outcome) -> None:
        say(entry_line(task, outcome) if isinstance(outcome, Entry) else failure_line(task, outcome))

    def status() -> IngestionStatus:
        return IngestionStatus(
            started_at=began_at,
            market=opened_ingestion.settings.market_kind,
            running_seconds=elapsed() - began,
            jobs=job_beats(ingestion, market()),
            rows=sum(tally.rows for tally in ingestion.tallies.values()),
            bytes=sum(tally.bytes for tally in ingestion.tallies.values()),
        )

    path = state or opened_ingestion.folder / INGESTION_FILE
    writer = HeartbeatWriter(
        path,
        status,
        role=Role.INGESTION,
        market=opened_ingestion.settings.market_kind,
        providers=opened_ingestion.limits.report,
        now=now,
    )
    worker = IngestWorker(ingestion, heard, lambda: [end() for end in opened_ingestion.end_requests])
    with ExitStack() as stack:
        if metrics_port is not None:
            address = stack.enter_context(serve_metrics(metrics_port, lambda: writer.last))
            say(f"Metrics are at {address}")
        ingestion.look()
        stack.enter_context(writer)
        with suppress(RuntimeError):  # a user without a home
            forget_heartbeats(process_lives)
            remember_run(path, Role.INGESTION)
        stack.enter_context(_working(worker))
        say(
            f"Asking for {', '.join(job.name for job in ingestion.jobs)} when they are due, into {path.parent}."
        )
        if opened_ingestion.left_out:
            say(opened_ingestion.left_out)
        while not shutdown.wait(_LISTEN_SECONDS):
            for sentence in opened_ingestion.take_news():
                say(sentence)
    failing = [name for name, tally in ingestion.tallies.items() if tally.failing]
    say("Ended, because it was asked to end.")
    if failing:
        say(f"Failing at the end: {', '.join(failing)}.")
    return 1 if failing else 0


@contextmanager
def _working(worker: IngestWorker) -> Iterator[None]:
    worker.start()
    try:
        yield
    finally:
        worker.stop()
