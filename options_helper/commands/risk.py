"""The command `risk`: what a book risks, by one look over REST."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from options_helper.commands.common_options import AccountNameOption, JsonOption

FileArgument = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="The portfolio file.", show_default="portfolio.json")
]


def risk(
    file: FileArgument = None,
    *,
    account: Annotated[
        bool, typer.Option("--account", help="Take the account's positions, grouped by rule, and no file.")
    ] = False,
    account_name: AccountNameOption = None,
    what_if: Annotated[
        str | None,
        typer.Option(
            "--what-if",
            metavar="WORLD",
            help="Say what it is worth elsewhere: spot=-5%,vol=+3,days=7,rate=+0.5.",
        ),
    ] = None,
    second_opinion: Annotated[
        bool,
        typer.Option("--second-opinion", help="Ask QuantLib for each leg's delta too; needs the extra risk."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what a portfolio risks: Greeks with what they cover, the greatest loss, and what could not be judged.

    One look over REST: prices, the options around the money, announced dividends, a year of daily bars, the vendor's
    Greeks, and what the account holds and traded today; no stream, and no order is sent. Every figure is explained in
    "The risk figures, explained". Not financial advice.

    Exit codes: 0, everything could be judged; 1, something could not, and why is said; 2, it cannot say: the file, an
    option or Alpaca's answer cannot be read.
    """
    from options_helper.commands.risk_run import RiskRequest, tell_risk

    request = RiskRequest(
        file,
        from_account=account,
        account=account_name,
        what_if=what_if,
        second_opinion=second_opinion,
    )
    raise typer.Exit(tell_risk(request, as_json=as_json))
