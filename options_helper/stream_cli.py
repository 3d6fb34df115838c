"""The `stream` commands: record market data and look after what was recorded."""

from __future__ import annotations

import typer

stream = typer.Typer(
    name="stream",
    help="Record the market-data streams, check the recordings and play them back.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
