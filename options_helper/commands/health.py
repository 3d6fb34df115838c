"""Say of a run whether it is well: what `stream health` and `ingest health` have in common."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import typer

from options_helper.clock import utc_now
from options_helper.commands.durations import parse_duration
from options_helper.errors import ConfigError
from options_helper.monitoring.heartbeat import Role
from options_helper.monitoring.heartbeat_file import file_of, known_heartbeats
from options_helper.monitoring.run_report import read_run, report_lines

STREAMING: Final = (Role.CAPTURE, Role.DASHBOARD, Role.WATCH, Role.OWNER)
INGESTING: Final = (Role.INGESTION,)


def show_health(
    state: Path | None, max_lag: str, roles: Sequence[Role], in_folder: str, *, as_json: bool
) -> int:
    """Print how a run of these roles is; the exit code is 0 only if it is well.

    `state` is its heartbeat file, or the folder in which that is called `in_folder`; None: of the run that is alive.
    """
    try:
        max_lag_seconds = parse_duration(max_lag)
    except ValueError as error:
        raise ConfigError(f"--max-lag: {error}") from error
    now = utc_now()
    path = state or _present_run(now, max_lag_seconds, roles)
    report = read_run(path / in_folder if path.is_dir() else path, now, max_lag_seconds)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report.facts())).decode())
    else:
        typer.echo("\n".join(report_lines(report)))
    return 0 if report.healthy else 1


def _present_run(now: datetime, max_lag_seconds: float, roles: Sequence[Role]) -> Path:
    """The heartbeat of the run that is alive, else the one that wrote last; ConfigError where several are."""
    reports = [read_run(path, now, max_lag_seconds) for path in known_heartbeats(roles=roles)]
    alive = [report for report in reports if report.heartbeat is not None and not report.ended]
    if len(alive) > 1:
        choices = "".join(f"\n  --state {report.path}    {report.name}" for report in alive)
        raise ConfigError(f"{len(alive)} runs are alive. Name the one you ask about:{choices}")
    found = [report.path for report in alive or reports if report.path is not None]
    return found[0] if found else file_of(roles[-1])
