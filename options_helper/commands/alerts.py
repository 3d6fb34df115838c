"""The `alerts` commands: what rules say, and whether their messages arrive."""

from __future__ import annotations

from typing import Annotated

import typer

from options_helper.commands.common_options import JsonOption
from options_helper.commands.help_style import plain_typer

alerts = plain_typer(
    name="alerts",
    help="Try whether alerts reach you.",
    no_args_is_help=True,
)


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
