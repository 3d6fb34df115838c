"""The command `today`: what needs a hand, by one look over REST."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from options_helper.commands.common_options import AccountNameOption, JsonOption

FileArgument = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="The portfolio file.", show_default="portfolio.json")
]


def today(
    file: FileArgument = None,
    *,
    account: Annotated[
        bool, typer.Option("--account", help="Take the account's positions, grouped by rule, and no file.")
    ] = False,
    account_name: AccountNameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what needs your hand today: expiries, pins, assignments, dividends, and what cannot be believed.

    One look over REST, for a person or for cron at 9:00: worst first, each with whose instant it is and where that
    stands; on expiry days the cockpit of what ends; and what became of contracts that ended in the last week. No
    stream, and no order is sent. Every kind is explained in "What needs your hand". Not financial advice.

    Exit codes: 0, nothing needs a hand; 1, something does, is unexplained or could not be judged; 2, it cannot say: the
    file, an option or Alpaca's answer cannot be read.
    """
    from options_helper.commands.today_run import TodayRequest, tell_today

    request = TodayRequest(file, from_account=account, account=account_name)
    raise typer.Exit(tell_today(request, as_json=as_json))
