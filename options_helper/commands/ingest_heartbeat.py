"""The heartbeat of an ingestion, of a daemon and of a single run alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from options_helper.commands.ingest_open import OpenIngestion
from options_helper.ingest.worker import job_beats
from options_helper.monitoring.heartbeat import IngestionStatus, Role
from options_helper.monitoring.heartbeat_file import forget_heartbeats, remember_run
from options_helper.monitoring.heartbeat_writer import HeartbeatWriter
from options_helper.monitoring.run_report import process_lives


@contextmanager
def heartbeat(
    found: OpenIngestion,
    path: Path,
    *,
    now: Callable[[], datetime],
    elapsed: Callable[[], float],
    problem: Callable[[], str | None] = lambda: None,
) -> Iterator[HeartbeatWriter]:
    """Write each second how it goes, and at the end how it ended; the writer has the newest.

    `problem` is what keeps the whole of it from its work, beside the portfolio's.
    """
    ingestion, kind = found.ingestion, found.settings.market_kind
    began, began_at = elapsed(), now()

    def status() -> IngestionStatus:
        return IngestionStatus(
            started_at=began_at,
            market=kind,
            running_seconds=elapsed() - began,
            jobs=job_beats(ingestion, found.market()),
            rows=sum(tally.rows for tally in ingestion.tallies.values()),
            bytes=sum(tally.bytes for tally in ingestion.tallies.values()),
            problem=problem() or found.portfolio.problem,
        )

    ingestion.look()
    with HeartbeatWriter(
        path, status, role=Role.INGESTION, market=kind, providers=found.limits.report, now=now
    ) as writer:
        with suppress(RuntimeError):  # a user without a home
            forget_heartbeats(process_lives)
            remember_run(path, Role.INGESTION)
        yield writer
        writer.close(failing_words(found))


def failing_words(found: OpenIngestion) -> str | None:
    """Which jobs fail now, as a sentence; None where none does."""
    failing = [name for name, tally in found.ingestion.tallies.items() if tally.failing]
    return f"Failing at the end: {', '.join(failing)}." if failing else None
