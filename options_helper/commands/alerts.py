"""The `alerts` commands: what rules say, and whether their messages arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from options_helper.commands.common_options import JsonOption
from options_helper.commands.help_style import plain_typer

alerts = plain_typer(
    name="alerts",
    help="Say what rules judge, and try whether alerts reach you.",
    no_args_is_help=True,
)


@alerts.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The portfolio file.", show_default="portfolio.json")
    ] = None,
    *,
    rules: Annotated[
        Path | None,
        typer.Option("--rules", metavar="FILE", help="The file of rules.", show_default="config/alerts.toml"),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="FILE",
            help="Judge the run of this heartbeat file alone, or of the folder of a recording.",
            show_default="the runs that are alive",
        ),
    ] = None,
    max_lag: Annotated[
        str, typer.Option(metavar="TIME", help="From which age on a heartbeat is overdue.")
    ] = "30s",
    as_json: JsonOption = False,
) -> None:
    """Say what each rule judges now, and from which figures, with their source and age.

    The built-in rules need no file: an overdue heartbeat, a late watermark, a refused key, an exhausted budget. Where a
    rule is about the book or the account, one look over REST says how they stand. Nothing is sent, and nothing of what
    has fired is changed.

    Exit codes: 0, no rule is met; 1, one is, or cannot be judged; 2, the file of rules or an option cannot be read.
    """
    from options_helper.commands.alerts_check import CheckRequest, show_check

    raise typer.Exit(show_check(CheckRequest(file, rules, state, max_lag), as_json=as_json))


@alerts.command("test")
def try_targets(
    target: Annotated[
        str | None,
        typer.Argument(metavar="TARGET", help="Only this target, by its name.", show_default="all"),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Send a test message to each target, and say which took it.

    Targets stand in config/alert-targets.toml, which nobody else may read, or in the environment: OH_ALERT_TARGET_NAME.
    A dead-man's service is called too. Each is tried once, all at the same time; it takes half a minute at most. No
    address is printed.

    Exit codes: 0, every one took it; 1, one did not; 2, there is no such target, or the file cannot be used.
    """
    from options_helper.commands.alerts_trial import show_trial

    raise typer.Exit(show_trial(target, as_json=as_json))
