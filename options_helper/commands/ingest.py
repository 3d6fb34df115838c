"""The `ingest` commands: ask for market data at steady times, and keep it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from options_helper.commands.common_options import JsonOption, MetricsPortOption
from options_helper.commands.help_style import plain_typer

if TYPE_CHECKING:
    from options_helper.commands.ingest_open import IngestRequest

ingest = plain_typer(
    name="ingest",
    help="Ask for option chains, bars, corporate actions and more at steady times, and keep the answers.",
    no_args_is_help=True,
)

JobsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="JOBS", help="Only these jobs; `ingest plan` names them.", show_default="all"),
]
OutOption = Annotated[
    Path,
    typer.Option(
        "--out", metavar="DIR", file_okay=False, help="The folder to keep it in; a capture's, for its gaps."
    ),
]
PortfolioOption = Annotated[
    Path,
    typer.Option("--portfolio", metavar="PATH", help="Whose underlyings and shares are asked for."),
]
ChainsEveryOption = Annotated[
    str,
    typer.Option("--chains-every", metavar="TIME", help="How often chains are asked for: 5m to 15m."),
]
PerMinuteOption = Annotated[
    int | None,
    typer.Option(
        "--requests-per-minute",
        min=1,
        metavar="N",
        help="So many at most, and never more than half of the account's minute.",
        show_default="half of the account's",
    ),
]


@ingest.command()
def plan(
    jobs: JobsArgument = None,
    *,
    out: OutOption,
    portfolio: PortfolioOption = Path("portfolio.json"),
    chains_every: ChainsEveryOption = "15m",
    requests_per_minute: PerMinuteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is due now, how many requests that takes and how long; connects to nothing.

    What is due follows from what the folder holds and from the exchange's calendar. Requests and seconds are those of
    the last such window; for one that was never asked for, what is usual.

    Exit codes: 0; 2, it cannot say: an option, the portfolio or the folder.
    """
    from options_helper.commands.ingest_run import show_plan

    show_plan(_request(jobs, out, portfolio, chains_every, requests_per_minute), as_json=as_json)


@ingest.command()
def run(
    jobs: JobsArgument = None,
    *,
    out: OutOption,
    portfolio: PortfolioOption = Path("portfolio.json"),
    chains_every: ChainsEveryOption = "15m",
    requests_per_minute: PerMinuteOption = None,
) -> None:
    """Do once what is due, and end: for cron and systemd timers.

    Each window is kept whole or not at all, so it may be killed at any moment and run again; a window that is there is
    not asked for twice. What was missed is caught up where there is a history of it. `gaps` can be done at any time,
    and whoever names it has it done now.

    Exit codes: 0, everything that was due is kept; 1, something is not, and the output says why; 2, nothing was asked
    for: an option, the settings, the portfolio; 75, the same, but it may pass: another ingestion that writes into the
    folder, or a folder that is full or not there.
    """
    from options_helper.commands.ingest_run import run_once

    raise typer.Exit(run_once(_request(jobs, out, portfolio, chains_every, requests_per_minute)))


@ingest.command()
def daemon(
    jobs: JobsArgument = None,
    *,
    out: OutOption,
    portfolio: PortfolioOption = Path("portfolio.json"),
    chains_every: ChainsEveryOption = "15m",
    requests_per_minute: PerMinuteOption = None,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="FILE",
            dir_okay=False,
            help="Where to write, every second, how it goes.",
            show_default="DIR/.ingest-health.json",
        ),
    ] = None,
    metrics_port: MetricsPortOption = None,
) -> None:
    """Do what is due, whenever it is, until Ctrl-C or SIGTERM.

    It pauses until the next window, looks at the clock every half minute, and ends within a second: what is being asked
    is left, and is due again. The market is asked for its hours each morning, and believed. The portfolio file is
    followed; while an edit has broken it, what it said before is asked for.

    Exit codes: 0, ended by a signal; 1, the same while a job was failing; 2, it did not begin: an option, the settings,
    the portfolio; 75, the same, but it may pass: another ingestion that writes into the folder, a folder that is full
    or not there, a port that is taken.
    """
    from options_helper.commands.ingest_daemon import run_daemon

    request = _request(jobs, out, portfolio, chains_every, requests_per_minute)
    raise typer.Exit(run_daemon(request, state=state, metrics_port=metrics_port))


@ingest.command()
def health(
    *,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="FILE",
            help="The heartbeat file, or the folder of its data.",
            show_default="the ingestion that is alive",
        ),
    ] = None,
    max_lag: Annotated[str, typer.Option(metavar="TIME", help="How old the heartbeat may be.")] = "30s",
    as_json: JsonOption = False,
) -> None:
    """Say whether an ingestion is well; the exit code is 0 only if it is.

    It is not where a window has been due for two intervals or an hour and is not stored, where a job has failed three
    times running, where a key is refused, and where the heartbeat is old or its process gone. What is worth a look
    besides, such as a minute of requests that is used up, is listed and costs nothing.

    Exit codes: 0, it is well; 1, it is not, or nothing runs; 2, several are alive and none was named.
    """
    from options_helper.commands.health import INGESTING, show_health
    from options_helper.monitoring.heartbeat_file import INGESTION_FILE

    raise typer.Exit(show_health(state, max_lag, INGESTING, INGESTION_FILE, as_json=as_json))


def _request(
    jobs: list[str] | None, out: Path, portfolio: Path, chains_every: str, requests_per_minute: int | None
) -> IngestRequest:
    from options_helper.commands.ingest_open import IngestRequest
    from options_helper.commands.ingest_run import read_every, read_jobs

    return IngestRequest(
        out=out,
        portfolio=portfolio,
        jobs=read_jobs(jobs or ()),
        chains_every=read_every(chains_every),
        per_minute=requests_per_minute,
    )
