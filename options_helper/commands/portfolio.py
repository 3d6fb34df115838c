"""The `portfolio` commands: check the file, make one from the account, and compare the two."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from options_helper.commands.common_options import AccountNameOption, JsonOption
from options_helper.commands.help_style import plain_typer

portfolio = plain_typer(
    name="portfolio",
    help="Check the portfolio file, write one from the account, and compare the two.",
    no_args_is_help=True,
)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The portfolio file.")]
DEFAULT_FILE = Path("portfolio.json")


@portfolio.command()
def check(file: FileArgument = DEFAULT_FILE, *, as_json: JsonOption = False) -> None:
    """Say what the file holds, structures by their names, and what is to be looked at.

    That is: expired contracts, expiries on which nothing is traded, missing costs, net debits that cannot have been,
    legs that cancel each other, adjusted contracts without a multiplier, and, when there are keys, symbols that
    Alpaca does not know or no longer lists, and what its record of a contract says otherwise than the file. A
    contract has expired when its trading has ended, in New York; with keys the market is asked for its own hours, and
    a simulator for its time. Without keys nothing is connected.

    Exit codes: 0, all is well; 1, something is to be looked at; 2, it cannot say: the file or Alpaca's answer cannot be
    read.
    """
    from options_helper.commands.portfolio_display import screen_for
    from options_helper.commands.portfolio_run import check_file

    raise typer.Exit(check_file(file, screen_for(as_json=as_json)))


@portfolio.command("import")
def import_(
    *,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where to write; - prints it.", show_default="-")
    ] = Path("-"),
    group: Annotated[
        bool,
        typer.Option("--group", help="Propose verticals, condors, calendars and the like, and say why."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    account_name: AccountNameOption = None,
) -> None:
    """Write the account's positions and cash as a portfolio file; of several accounts it names the one it is of.

    Costs are Alpaca's average opening prices per share. What a portfolio file cannot hold, such as bonds, is left out
    and said. With `--group` the order of the rules decides where several fit; look at the reasons before you rely on
    them.

    Exit codes: 0, everything is in it; 1, something was left out; 2, there is no file: the account cannot be read, or
    a file is there already.
    """
    from options_helper.commands.portfolio_run import import_account

    raise typer.Exit(import_account(out, group=group, force=force, account=account_name))


@portfolio.command()
def reconcile(
    file: FileArgument = DEFAULT_FILE,
    *,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="DAY",
            help="The day of which the file is, not after today: what was traded since then explains differences.",
            show_default="when it was last written",
        ),
    ] = None,
    account_name: AccountNameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the file with the account: quantity, cost and value of every contract and share.

    Where they differ it says why that is likely, and what to put into the file; it changes nothing. Quantities must
    be equal, and costs as near as half a cent per share. Values are shown and never count: Alpaca's are by the last
    trade, this program's by the quote.

    Exit codes: 0, they agree; 1, they differ; 2, it cannot say: the file or the account cannot be read.
    """
    from options_helper.commands.portfolio_display import screen_for
    from options_helper.commands.portfolio_run import compare_with_account

    day = since and since.date()
    raise typer.Exit(compare_with_account(file, day, screen_for(as_json=as_json), account=account_name))
