"""Say of a run, from its heartbeat, whether all is well: for a person, for cron and for a monitor."""

from __future__ import annotations

import os
import socket
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich import filesize

from options_helper.errors import StoreError
from options_helper.model.providers import ProviderReport
from options_helper.model.text import format_count
from options_helper.monitoring.heartbeat import Heartbeat, JobBeat, Role, RunState, StreamBeat
from options_helper.monitoring.heartbeat_file import read_heartbeat
from options_helper.monitoring.judgement import Finding, RunStatus, format_age, judge


@dataclass(frozen=True, slots=True)
class RunReport:
    """One look at a run. `message` is a sentence; what is not known is None."""

    status: RunStatus
    message: str
    heartbeat: Heartbeat | None = None
    heartbeat_age_seconds: float | None = None
    path: Path | None = None  # of the heartbeat's file
    findings: tuple[Finding, ...] = ()

    @property
    def name(self) -> str:
        """Which run it is: "the capture (process 4711)"."""
        beat = self.heartbeat
        return "nobody's run" if beat is None else f"the {beat.role} (process {beat.pid})"

    @property
    def healthy(self) -> bool:
        """Whether nobody needs to look."""
        return self.status is RunStatus.RUNNING

    @property
    def ended(self) -> bool:
        """Whether the run is over: the heartbeat is its last word, and nothing in it is so now."""
        over = self.heartbeat is not None and self.heartbeat.state is RunState.ENDED
        return over or self.status is RunStatus.NOT_RUNNING

    @property
    def lag_seconds(self) -> float | None:
        """The longest silence of a stream that should be moving, as of the heartbeat; None where none should."""
        return None if self.heartbeat is None or self.ended else self.heartbeat.lag_seconds

    @property
    def uptime_seconds(self) -> float | None:
        """How long the run has lasted, or did."""
        beat = self.heartbeat
        if beat is None or beat.uptime_seconds is not None:
            return None if beat is None else beat.uptime_seconds
        return max(0.0, (beat.written_at - beat.started_at).total_seconds())

    def facts(self) -> dict[str, Any]:
        """Everything, for JSON."""
        beat = self.heartbeat
        streams = () if beat is None else beat.streams.values()
        return {
            "status": self.status,
            "healthy": self.healthy,
            "words": self.message,
            "findings": [{"severity": one.severity, **asdict(one)} for one in self.findings],
            "file": None if self.path is None else str(self.path),
            "role": None if beat is None else beat.role,
            "lag_seconds": self.lag_seconds,
            "heartbeat_age_seconds": self.heartbeat_age_seconds,
            "uptime_seconds": self.uptime_seconds,
            "totals": {name: sum(getattr(one, name) for one in streams) for name in _COUNTS},
            "symbols": {name: sum(getattr(one, name) for one in streams) for name in _SYMBOLS},
            "gaps": None if beat is None else beat.gaps,
            "heartbeat": None if beat is None else asdict(beat),
        }


_COUNTS: Final = ("received", "applied", "dropped", "rejected", "queued")
_NAMED_AT_MOST: Final = 5
_SYMBOLS: Final = ("asked", "acknowledged", "refused")


def process_lives(pid: int) -> bool | None:
    """Whether the process of this number is there and no zombie; None where asking would end it."""
    if sys.platform == "win32":
        return None  # asking would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether it is dead and only its number is left, as in a container where nobody collects it."""
    try:
        said = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False  # another kind of system, or just gone
    return said.rpartition(b")")[2].split()[:1] == [b"Z"]


def read_run(
    path: Path,
    at: datetime,
    max_lag_seconds: float,
    *,
    process_lives: Callable[[int], bool | None] = process_lives,
) -> RunReport:
    """Read the heartbeat at `path` and judge it; never raises for what it finds there."""
    try:
        beat = read_heartbeat(path)
    except StoreError as error:
        return RunReport(RunStatus.FAILED, str(error), path=path)
    if beat is None:
        return RunReport(
            RunStatus.NOT_RUNNING,
            f"There is no heartbeat at {path}: nothing has run. Start it, or name --state.",
            path=path,
        )
    # A number means nothing on another computer, which a shared folder may be from.
    here = beat.host == socket.gethostname()
    lives = process_lives(beat.pid) if here else None
    age = round((at - beat.written_at).total_seconds(), 3)
    judged = judge(beat, age, max_lag_seconds, lives=lives)
    return RunReport(judged.status, judged.words, beat, age, path, judged.findings)


def report_lines(report: RunReport) -> list[str]:
    """The report as a person reads it in a terminal."""
    beat = report.heartbeat
    lines = [f"{report.status}: {report.message}"]
    lines += [f"! {_in_full(one, report)}" for one in report.findings]
    if beat is None:
        return lines
    lines.append(f"{report.name}, {report.path}")
    up, age = format_age(report.uptime_seconds or 0.0), max(0.0, report.heartbeat_age_seconds or 0.0)
    if report.ended:
        lines.append(f"It was up {up}; this is how it was {format_age(age)} ago:")
    elif beat.role is Role.INGESTION:
        lines.append(f"up {up}, heartbeat {format_age(age)} old")
    else:
        lag = "nothing expected" if report.lag_seconds is None else format_age(report.lag_seconds)
        lines.append(f"up {up}, heartbeat {format_age(age)} old, lag: {lag}")
    lines += [beat.activity] if beat.activity else []
    lines += [_stream_line(name, one, age, ended=report.ended) for name, one in beat.streams.items()]
    lines += [_job_line(name, job, age) for name, job in beat.jobs.items()]
    lines += [_provider_line(host, one) for host, one in beat.providers.items()]
    if beat.rows is not None:
        size = filesize.decimal((beat.bytes or 0) + (beat.journal_bytes or 0))
        waiting = "" if beat.rows_waiting is None else f" {beat.rows_waiting:,} waiting,"
        lines.append(f"{format_count(beat.rows, 'row')} written,{waiting} {size}")
    if beat.role is not Role.INGESTION:
        lines.append(f"{format_count(beat.gaps, 'gap')}, {format_count(beat.lost, 'event')} lost")
    return lines


def _in_full(finding: Finding, report: RunReport) -> str:
    """What to do, and what is found where the first line does not say it."""
    return finding.remedy if finding.status is report.status else f"{finding.sentence} {finding.remedy}"


def _job_line(name: str, job: JobBeat, age: float) -> str:
    lies = None if job.watermark_age_seconds is None else format_age(job.watermark_age_seconds + age)
    upto = "nothing stored yet" if lies is None else f"stored up to {lies} ago"
    due = "" if job.next_due_at is None else f", next due {job.next_due_at:%a %H:%M:%S} UTC"
    failed = f", {job.failures:,} failed" if job.failures else ""
    windows, rows = format_count(job.successes, "window"), format_count(job.rows, "row")
    return f"{name}: {upto}{due}, {windows}{failed}, {rows}"


def _provider_line(host: str, provider: ProviderReport) -> str:
    """The host in a line; its endpoints one by one are in the JSON."""
    budget, endpoints = provider.budget, provider.endpoints.values()
    kinds = Counter[str]()
    for one in endpoints:
        kinds.update(one.failures)
    failed = (
        f", {kinds.total():,} failed ({', '.join(f'{kind} {n:,}' for kind, n in kinds.items())})"
        if kinds
        else ""
    )
    slowest = max((one.latency_p95 for one in endpoints if one.latency_p95 is not None), default=None)
    speed = "" if slowest is None else f", 95 % answered within {format_age(slowest)}"
    others = f", {budget.programs} programs ask" if budget.programs > 1 else ""
    requests = format_count(sum(one.requests for one in endpoints), "request")
    return (
        f"{host}: {requests}{failed}{speed}; {budget.left:,} of {budget.share:,} left this minute "
        f"(the account has {budget.per_minute:,}{others})"
    )


def _stream_line(name: str, one: StreamBeat, age: float, *, ended: bool) -> str:
    silent = one.silent_seconds
    last = "no event yet" if silent is None else f"last event {format_age(silent + age)} ago"
    refused = f", {one.refused} refused ({_some(one)})" if one.refused else ""
    rate = "" if ended else f"{one.events_per_second:,.1f} events/s, "
    return (
        f"{name} ({one.feed}): {'was ' if ended else ''}{one.phase}, {last}, {rate}"
        f"{one.acknowledged} of {one.asked} symbols{refused}, {one.received:,} events received, "
        f"{one.dropped:,} dropped, {one.rejected:,} rejected"
    )


def _some(one: StreamBeat) -> str:
    named = one.refused_symbols[:_NAMED_AT_MOST]
    more = one.refused - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
