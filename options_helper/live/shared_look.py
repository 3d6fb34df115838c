"""Look at the book once for all viewers who look at the same snapshot in the same way."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from options_helper.analysis.book_look import BookLook, look_at_book
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.model.earnings import Earnings
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot


@dataclass(frozen=True, slots=True)
class _Kept:
    """A look and what it is of; portfolio and snapshot are compared by identity, which costs nothing."""

    portfolio: Portfolio
    snapshot: LiveSnapshot
    choices: RiskChoices
    earnings: tuple[Earnings, ...]
    thresholds: tuple[float, float]
    look: BookLook

    def is_of(
        self,
        portfolio: Portfolio,
        snapshot: LiveSnapshot,
        choices: RiskChoices,
        earnings: tuple[Earnings, ...],
    ) -> bool:
        same = self.portfolio is portfolio and self.snapshot is snapshot
        return same and (self.choices, self.earnings) == (choices, earnings)


class SharedLook:
    """Keeps the looks at the newest snapshot, one for each way of looking; callable from any thread."""

    def __init__(self) -> None:
        # Held while a look is computed, so that who wants the same waits for it and computes nothing.
        self._lock = threading.Lock()
        self._kept: list[_Kept] = []

    def look(
        self,
        portfolio: Portfolio,
        snapshot: LiveSnapshot,
        choices: RiskChoices,
        *,
        stale_after_seconds: float,
        wide_spread_pct: float,
        earnings: tuple[Earnings, ...] = (),
    ) -> BookLook:
        """What `look_at_book` says; of the risk, only what moved since the last look is computed anew."""
        thresholds = (stale_after_seconds, wide_spread_pct)
        with self._lock:
            same = [one for one in self._kept if one.is_of(portfolio, snapshot, choices, earnings)]
            for one in same:
                if one.thresholds == thresholds:
                    return one.look
            look = look_at_book(
                portfolio,
                snapshot,
                choices,
                stale_after_seconds=stale_after_seconds,
                wide_spread_pct=wide_spread_pct,
                earnings=earnings,
                earlier=self._kept[-1].look if self._kept else None,
            )
            self._kept = [*same, _Kept(portfolio, snapshot, choices, earnings, thresholds, look)]
            return look

    def any_of(self, portfolio: Portfolio, snapshot: LiveSnapshot) -> BookLook | None:
        """A look at this very portfolio and snapshot, by whatever thresholds; None where there is none. Never waits."""
        kept = self._kept  # replaced whole
        return next(
            (one.look for one in kept if one.portfolio is portfolio and one.snapshot is snapshot), None
        )
