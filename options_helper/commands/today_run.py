"""Do what the command `today` says: one look over REST at prices and account, judge once, tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.book_look import look_at_book
from options_helper.analysis.live_portfolio_metrics import DEFAULT_WIDE_SPREAD_PCT
from options_helper.analysis.reconcile.reconciliation import file_behind
from options_helper.clock import utc_now
from options_helper.commands.one_look import look_once
from options_helper.commands.portfolio_display import Screen
from options_helper.commands.rest_look import STALE_AFTER_SECONDS, risk_choices
from options_helper.commands.today_display import json_text, lines_of
from options_helper.data.earnings_file import load_earnings
from options_helper.data.rest.client import AlpacaRest
from options_helper.settings import RiskSettings

NOTHING: Final = 0
A_HAND: Final = 1


@dataclass(frozen=True, slots=True)
class TodayRequest:
    """What is asked of the command."""

    file: Path | None
    from_account: bool = False
    account: str | None = None  # by its name, of several


def tell_today(
    request: TodayRequest,
    *,
    as_json: bool,
    screen: Screen | None = None,
    now: Callable[[], datetime] = utc_now,
    rest_cls: Callable[..., AlpacaRest] = AlpacaRest,
) -> int:
    """Tell what needs a hand; the exit code. ConfigError for bad input, RestError when nothing can be asked."""
    screen = screen or Screen()
    risk = RiskSettings.load()
    choices, earnings = risk_choices(risk), load_earnings(risk.events_file)
    looked = look_once(
        request.file,
        choices,
        from_account=request.from_account,
        account=request.account,
        with_activities=True,
        screen=screen,
        now=now,
        rest_cls=rest_cls,
    )
    portfolio, live, problems = looked.portfolio, looked.live, looked.problems
    found = look_at_book(
        portfolio,
        live,
        choices,
        stale_after_seconds=STALE_AFTER_SECONDS,
        wide_spread_pct=DEFAULT_WIDE_SPREAD_PCT,
        earnings=earnings,
        behind=file_behind(portfolio, live.account, live.told_sessions),
    ).attention
    if as_json:
        screen.say(json_text(found, problems))
    else:
        for line in lines_of(found, problems):
            screen.say(line)
    return _exit_code(found, problems)


def _exit_code(found: Attention, problems: list[str]) -> int:
    return A_HAND if found.needs_a_hand or problems else NOTHING
