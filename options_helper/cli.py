"""The commands; each imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from options_helper import __version__
from options_helper.errors import OptionsHelperError

app = typer.Typer(
    name="options-helper",
    help="A live, read-only view of an options portfolio on Alpaca's streams. Not financial advice.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback is for a bug report; a decorated one prints the values of variables, secrets among them.
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run a command; an error that the user can act on is a sentence and exit code 2, any other keeps its traceback."""
    try:
        app()
    except OptionsHelperError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - the option's value
    if wanted:
        typer.echo(f"options-helper {__version__}")
        raise typer.Exit


@app.callback()
def options_helper(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """A live, read-only view of an options portfolio on Alpaca's streams. Not financial advice."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


@app.command()
def ui(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Show a sample portfolio on a simulated market; no keys.")
    ] = False,
) -> None:
    """Open the live portfolio in a browser."""
    from options_helper import launcher

    launcher.open_page("127.0.0.1", 8501, portfolio=None)
