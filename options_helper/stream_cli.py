"""The `stream` commands: record market data and look after what was recorded."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from options_helper.errors import ConfigError

stream = typer.Typer(
    name="stream",
    help="Record the market-data streams, check the recordings and play them back.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@stream.command()
def health(
    *,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="FILE",
            help="The heartbeat file, or the folder of a recording.",
            show_default="the one written last, of the last capture and of the dashboard",
        ),
    ] = None,
    max_lag: Annotated[
        str,
        typer.Option(metavar="TIME", help="How old the heartbeat, and an open market's newest event, may be."),
    ] = "30s",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say whether a capture or the dashboard is well; the exit code is 0 only if it is.

    The silence of a closed market is healthy; an old heartbeat or a process that is gone never is.
    """
    import msgspec

    from options_helper.data.streaming.heartbeat import CAPTURE_FILE, newest_heartbeat
    from options_helper.data.streaming.run_report import look_at_run, report_lines
    from options_helper.durations import parse_duration

    try:
        max_lag_seconds = parse_duration(max_lag)
    except ValueError as error:
        raise ConfigError(f"--max-lag: {error}") from error
    path = state or newest_heartbeat()
    report = look_at_run(path / CAPTURE_FILE if path.is_dir() else path, datetime.now(UTC), max_lag_seconds)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report.facts())).decode())
    else:
        typer.echo("\n".join(report_lines(report)))
    raise typer.Exit(0 if report.healthy else 1)
