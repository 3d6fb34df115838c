"""A portfolio and a snapshot → what rules are judged by: one look at the book, and this user's heartbeats."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from options_helper.alerting.judging import Observed
from options_helper.analysis.book_look import BookLook, look_at_book
from options_helper.analysis.live_portfolio_metrics import DEFAULT_WIDE_SPREAD_PCT
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.model.earnings import Earnings
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot
from options_helper.monitoring.run_readings import reports_of_others, run_readings

STALE_AFTER_SECONDS: Final = 30.0
MAX_LAG_SECONDS: Final = 30.0


class Observer:
    """Looks at one book after another; of the risk, only what moved since the look before is computed anew.

    Called on one thread.
    """

    def __init__(
        self, choices: RiskChoices, now: Callable[[], datetime], earnings: tuple[Earnings, ...] = ()
    ) -> None:
        self._choices, self._now, self._earnings = choices, now, earnings
        self._earlier: BookLook | None = None

    def observe(self, portfolio: Portfolio | None, snapshot: LiveSnapshot) -> Observed:
        """Everything that a rule can ask for."""
        runs = run_readings(reports_of_others(self._now(), MAX_LAG_SECONDS))
        if portfolio is None:
            return Observed(snapshot, runs)
        self._earlier = look = look_at_book(
            portfolio,
            snapshot,
            self._choices,
            stale_after_seconds=STALE_AFTER_SECONDS,
            wide_spread_pct=DEFAULT_WIDE_SPREAD_PCT,
            earnings=self._earnings,
            earlier=self._earlier,
        )
        return Observed(snapshot, runs, portfolio, look)
