"""Do what the command `risk` says: ask for prices and what risk figures need beside them, compute once, tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from options_helper.analysis.book_look import look_at_book
from options_helper.analysis.live_portfolio_metrics import DEFAULT_WIDE_SPREAD_PCT
from options_helper.analysis.risk.book_values import BookFigures
from options_helper.analysis.risk.scenario import curve
from options_helper.analysis.risk.second_opinion import require_second_opinion, second_delta
from options_helper.analysis.risk.what_if import WhatIf, parse_what_if
from options_helper.clock import utc_now
from options_helper.commands.one_look import look_once
from options_helper.commands.portfolio_display import Screen
from options_helper.commands.rest_look import STALE_AFTER_SECONDS, risk_choices
from options_helper.commands.risk_display import Elsewhere, could_not_judge, json_text, lines_of
from options_helper.data.rest.client import AlpacaRest
from options_helper.settings import RiskSettings

FINE: Final = 0
NOT_ALL: Final = 1


@dataclass(frozen=True, slots=True)
class RiskRequest:
    """What is asked of the command."""

    file: Path | None
    from_account: bool = False
    account: str | None = None  # by its name, of several
    what_if: str | None = None
    second_opinion: bool = False


def tell_risk(
    request: RiskRequest,
    *,
    as_json: bool,
    screen: Screen | None = None,
    now: Callable[[], datetime] = utc_now,
    rest_cls: Callable[..., AlpacaRest] = AlpacaRest,
) -> int:
    """Tell what a book risks; the exit code. ConfigError for bad input, RestError when nothing can be asked."""
    screen = screen or Screen()
    what_if = None if request.what_if is None else parse_what_if(request.what_if)
    if request.second_opinion:
        require_second_opinion()
    choices = risk_choices(RiskSettings.load())
    looked = look_once(
        request.file,
        choices,
        from_account=request.from_account,
        account=request.account,
        with_activities=False,
        screen=screen,
        now=now,
        rest_cls=rest_cls,
    )
    portfolio, live, problems = looked.portfolio, looked.live, looked.problems
    book = look_at_book(
        portfolio,
        live,
        choices,
        stale_after_seconds=STALE_AFTER_SECONDS,
        wide_spread_pct=DEFAULT_WIDE_SPREAD_PCT,
    ).risk
    elsewhere = None if what_if is None else _elsewhere(book, what_if)
    opinion = _second_opinion(book) if request.second_opinion else None
    problems += could_not_judge(book)
    if as_json:
        screen.say(json_text(book, what_if=elsewhere, second_opinion=opinion, problems=problems))
    else:
        for line in lines_of(book, what_if=elsewhere, second_opinion=opinion, problems=problems):
            screen.say(line)
    return NOT_ALL if problems else FINE


def _elsewhere(book: BookFigures, what_if: WhatIf) -> Elsewhere:
    here = np.ones(1)
    return Elsewhere(
        what_if,
        curve(book.scenario, here, what_if),
        {one.symbol: curve(book.scenario_of(one.symbol), here, what_if) for one in book.underlyings},
    )


def _second_opinion(book: BookFigures) -> tuple[float | None, ...]:
    """QuantLib's delta of each option line's position, in the book's order."""
    scenario = book.scenario
    delta = second_delta(scenario.terms, scenario.market, scenario.volatility) * scenario.slope
    return tuple(None if np.isnan(one) else float(one) for one in delta)
