"""Ask for what is due until a signal: one thread that works, a heartbeat that tells, and an end within a second."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, cast

from options_helper.clock import elapsed_seconds, utc_now
from options_helper.commands.background_writer import BackgroundWriter
from options_helper.commands.ingest_heartbeat import failing_words, heartbeat
from options_helper.commands.ingest_open import IngestRequest, OpenIngestion, opened
from options_helper.commands.ingest_run import entry_line, failure_line
from options_helper.commands.shutdown_signals import ShutdownSignals
from options_helper.data.accounts_file import load_market_settings
from options_helper.data.rest.client import AlpacaRest
from options_helper.ingest.course import Task
from options_helper.ingest.store import Entry
from options_helper.ingest.worker import IngestWorker, Outcome
from options_helper.monitoring.heartbeat_file import INGESTION_FILE
from options_helper.monitoring.prometheus import serve_metrics
from options_helper.settings import FredSettings

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
        opened(
            request, load_market_settings(), FredSettings.load(), now=utc_now, rest_cls=AlpacaRest
        ) as ingestion,
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
    ingestion, portfolio = opened_ingestion.ingestion, opened_ingestion.portfolio
    path = state or opened_ingestion.folder / INGESTION_FILE

    def heard(task: Task, outcome: Outcome) -> None:
        say(entry_line(task, outcome) if isinstance(outcome, Entry) else failure_line(task, outcome))

    worker = IngestWorker(ingestion, heard, lambda: [end() for end in opened_ingestion.end_requests])
    with ExitStack() as stack:
        writer = stack.enter_context(
            heartbeat(opened_ingestion, path, now=now, elapsed=elapsed, problem=lambda: worker.problem)
        )
        if metrics_port is not None:
            address = stack.enter_context(serve_metrics(metrics_port, lambda: writer.last))
            say(f"Metrics are at {address}")
        stack.enter_context(_working(worker))
        say(
            f"Asking for {', '.join(job.name for job in ingestion.jobs)} when they are due, into {path.parent}."
        )
        if portfolio.selection.left_out:
            say(portfolio.selection.left_out)
        while not shutdown.wait(_LISTEN_SECONDS):
            changes = portfolio.look()
            if changes:
                worker.wake()
            for sentence in (*opened_ingestion.take_news(), *changes):
                say(sentence)
    failing = failing_words(opened_ingestion)
    say("Ended, because it was asked to end.")
    if failing:
        say(failing)
    return 1 if failing else 0


@contextmanager
def _working(worker: IngestWorker) -> Iterator[None]:
    worker.start()
    try:
        yield
    finally:
        worker.stop()
