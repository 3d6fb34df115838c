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
        typer.Option(
            metavar="TIME", help="How old the heartbeat, and an open market's newest event, may be."
        ),
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


RecordingArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder that was recorded into.", show_default=False)
]


@stream.command()
def verify(
    directory: RecordingArgument,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Check a recording: each byte, row and number, the journal, the gaps, and trades against minute bars.

    Exit code 1 when something does not add up: damage, missing rows, rows that only the journal has, lost events.
    Nothing is changed.
    """
    import msgspec

    from options_helper.data.audit_report import audit_lines
    from options_helper.data.auditing import audit

    found = audit(_recording(directory))
    if as_json:
        typer.echo(
            msgspec.json.format(msgspec.json.encode({"ok": found.ok, **msgspec.to_builtins(found)})).decode()
        )
    else:
        for line in audit_lines(found):
            typer.echo(line)
    raise typer.Exit(0 if found.ok else 1)


@stream.command()
def rebuild(
    directory: RecordingArgument,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="NEW", help="A new folder for what is rebuilt.")],
) -> None:
    """Make the partitions of a recording once more, from its journal, into a new folder.

    They are byte for byte what the capture wrote, where it wrote all of it; after a kill they are more. Exit code 1
    when the journal is damaged.
    """
    from options_helper.data.rebuilding import rebuild as rebuild_recording

    made = rebuild_recording(_recording(directory), out)
    for session in made:
        problem = f"; {session.problem}" if session.problem else ""
        unreadable = f", {session.rejected:,} events unreadable" if session.rejected else ""
        typer.echo(
            f"{session.session}: {session.rows:,} rows of {session.frames:,} frames{unreadable}{problem}"
        )
    raise typer.Exit(1 if any(session.problem for session in made) else 0)


@stream.command()
def replay(
    directory: RecordingArgument,
    *,
    speed: Annotated[float, typer.Option(metavar="X", help="Pace; 0 is as fast as the clients read.")] = 1.0,
    day: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="One New York day.", show_default="all days"),
    ] = None,
    symbols: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Only these symbols.", show_default="all symbols")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0 takes any free port.")] = 0,
) -> None:
    """Serve a recording as a market of its own, until Ctrl-C, and print the variables that lead a client here.

    To see it in the page at once: `options-helper ui --replay DIR`.
    """
    from options_helper import launcher
    from options_helper.simulator.replay import ReplayMarket
    from options_helper.simulator.session import serve_market

    wanted = None if symbols is None else {one.strip() for one in symbols.split(",") if one.strip()}
    market = ReplayMarket(_recording(directory), speed=speed, day=day and day.date(), symbols=wanted)
    with launcher.ending_by_signal() as ending, serve_market(market, port=port) as variables:
        typer.echo("# The recording is served until Ctrl-C. To use it, in another terminal:")
        for name, value in variables.items():
            typer.echo(f"export {name}={value}")
        ending.wait()


def _recording(directory: Path) -> Path:
    if not directory.is_dir():
        raise ConfigError(f"{directory}: there is no such folder. Name the folder of a recording.")
    return directory
