"""Options that several commands have, said once."""

from __future__ import annotations

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
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
DeskOption = Annotated[
    str, typer.Option("--desk", metavar="NAME", help="Which of several owners on one bus; a name you choose.")
]
