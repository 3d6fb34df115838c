"""Options that several commands have, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
DurationOption = Annotated[
    str | None,
    typer.Option("--duration", metavar="TIME", help="End after so long (60s, 2h).", show_default="no end"),
]


def _heartbeat_option(where: str) -> Any:
    """Where a run writes its heartbeat; `where` it stands unless somebody says otherwise."""
    return typer.Option(
        "--state",
        metavar="FILE",
        dir_okay=False,
        help="Where to write, every second, how it goes; `stream health` reads it.",
        show_default=where,
    )


StateOption = Annotated[Path | None, _heartbeat_option("the user's state folder")]
RecordingStateOption = Annotated[Path | None, _heartbeat_option("DIR/.health.json")]
MetricsPortOption = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        min=0,
        max=65535,
        metavar="N",
        help="Serve Prometheus metrics on this computer only.",
        show_default="none",
    ),
]
AccountNameOption = Annotated[
    str | None,
    typer.Option(
        "--account-name",
        metavar="NAME",
        help="Which of the accounts in config/accounts.toml.",
        show_default="the one that the file names, or the one with market_data",
    ),
]
FollowOption = Annotated[
    str | None,
    typer.Option(
        "--bus",
        metavar="URL",
        help="Follow the streams of `stream serve` on this NATS server, without Alpaca keys.",
        show_default="none",
    ),
]
DetailOption = Annotated[
    str,
    typer.Option(
        "--detail",
        metavar="full|slow",
        help="With --bus: all prices, or of each symbol's quotes the newest, three times a second.",
    ),
]
DeskOption = Annotated[
    str, typer.Option("--desk", metavar="NAME", help="Which of several owners on one bus; a name you choose.")
]
