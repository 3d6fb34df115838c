"""What `today` and `risk` begin with: whose book it is, and one look at it over REST."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.commands.portfolio_display import Screen
from options_helper.commands.rest_look import (
    DEFAULT_FILE,
    book_of_account,
    connected,
    look,
    with_account,
    with_records,
)
from options_helper.data.accounts_file import load_accounts
from options_helper.data.rest.client import AlpacaRest
from options_helper.errors import ConfigError
from options_helper.model.portfolio import Portfolio, load_portfolio
from options_helper.model.problems import Problem, sentences
from options_helper.model.snapshot import LiveSnapshot
from options_helper.settings import NO_KEYS


@dataclass(frozen=True, slots=True)
class OneLook:
    """A book as it is now; what of it could not be had is among the problems, in sentences."""

    portfolio: Portfolio
    live: LiveSnapshot
    problems: list[str] = field(default_factory=list)


def look_once(
    file: Path | None,
    choices: RiskChoices,
    *,
    from_account: bool,
    account: str | None,
    with_activities: bool,
    screen: Screen,
    now: Callable[[], datetime],
    rest_cls: Callable[..., AlpacaRest],
) -> OneLook:
    """Look at a file's book, or at an account's; `with_activities` asks what became of contracts that ended too.

    ConfigError for bad input, RestError when nothing can be asked. Blocks while it is asked.
    """
    if from_account and file is not None:
        raise ConfigError("--account takes the account's positions, and FILE a file's. Choose one.")
    file = file or DEFAULT_FILE
    portfolio = None if from_account else load_portfolio(file)
    written = None if portfolio is None else portfolio.account
    settings = load_accounts().settings_for(account, written, file.name)
    if not settings.has_credentials:
        raise ConfigError(NO_KEYS)
    problems: list[Problem] = []
    with connected(screen, settings, rest_cls) as (waiting, rest):
        if portfolio is None:
            portfolio, left_out = book_of_account(rest, now(), waiting)
            problems += map(Problem, left_out)
        live = look(rest, settings, portfolio, choices, now=now, waiting=waiting, problems=problems)
        add = with_account if with_activities else with_records
        live = add(rest, live, portfolio, waiting, problems)
    return OneLook(portfolio, live, list(sentences(problems, with_questions=True)))
