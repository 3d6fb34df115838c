"""The command `watch`: the run without a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from options_helper.commands.common_options import (
    AccountNameOption,
    DeskOption,
    DetailOption,
    DurationOption,
    FollowOption,
    MetricsPortOption,
    StateOption,
)


def watch(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The portfolio file.", show_default="portfolio.json")
    ] = None,
    *,
    account: Annotated[
        bool, typer.Option("--account", help="Watch the account's positions, grouped by rule, and no file.")
    ] = False,
    account_name: AccountNameOption = None,
    together_with: Annotated[
        list[str] | None,
        typer.Option(
            "--together-with",
            metavar="NAME|all",
            help="Over a bus: watch the positions of these accounts of its owner too, each by itself.",
        ),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option("--rules", metavar="PATH", help="The file of rules.", show_default="config/alerts.toml"),
    ] = None,
    market_hours: Annotated[
        bool,
        typer.Option(
            "--market-hours", help="Stream from the open to the close only, and go on with each session."
        ),
    ] = False,
    rest_every: Annotated[
        str,
        typer.Option(
            "--rest-every", metavar="TIME", help="While another program has the streams: ask so often."
        ),
    ] = "15s",
    amounts: Annotated[
        bool | None,
        typer.Option(
            "--amounts/--no-amounts",
            help="Whether what it prints may say dollars of yours.",
            show_default="at a terminal only",
        ),
    ] = None,
    duration: DurationOption = None,
    bus: FollowOption = None,
    desk: DeskOption = "desk",
    detail: DetailOption = "full",
    metrics_port: MetricsPortOption = None,
    state: StateOption = None,
) -> None:
    """Watch a portfolio without a page, and send what the rules say, until Ctrl-C or SIGTERM.

    Rules stand in config/alerts.toml, targets in config/alert-targets.toml. Of several on this computer that watch
    the same account one sends, and another takes over within half a minute when that one is gone. While
    another program has the account's streams, prices are asked for over REST; then the streams are taken. With `--bus`
    they are those of `stream serve`, and no keys are needed; of its accounts more can be watched, `--together-with`. No
    order is sent.

    Exit codes: 0, it was asked to end or its time is over; 1, a message did not reach its target; 2, it cannot begin:
    the file, the rules, the targets, an option or the keys; 75, what is in the way may pass.
    """
    from options_helper.commands.bus_request import asked_bus
    from options_helper.commands.capture_options import read_names
    from options_helper.commands.durations import parse_duration
    from options_helper.commands.watch_run import WatchRequest, run_watch, settings_of
    from options_helper.errors import ConfigError

    if account and file is not None:
        raise ConfigError("--account watches the account's positions, and FILE a file's. Choose one.")
    try:
        pace, limit = parse_duration(rest_every), None if duration is None else parse_duration(duration)
    except ValueError as error:
        raise ConfigError(f"--rest-every and --duration are stretches of time: {error}") from error
    if pace < 1:
        raise ConfigError("--rest-every is a second at least: the account's requests are limited.")
    request = WatchRequest(
        file=file,
        from_account=account,
        rules=rules,
        market_hours=market_hours,
        rest_seconds=pace,
        amounts=amounts,
        duration_seconds=limit,
        metrics_port=metrics_port,
        state=state,
        bus=None if bus is None else asked_bus(bus, desk, detail),
        together_with=read_names(together_with),
    )
    raise typer.Exit(run_watch(request, settings_of(request, account_name)))
