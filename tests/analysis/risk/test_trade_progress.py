"""How far a trade has come is said where the greatest gain and the day are known."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from options_helper.analysis.risk.extremes import Extreme, Limit
from options_helper.analysis.risk.trade_progress import days_in_trade, percent_of_best
from options_helper.model.portfolio import PortfolioEntry
from tests.kit.builders import holding, lots_of, position, structure

TODAY = date(2026, 11, 28)
OPENED = date(2026, 11, 3)


@pytest.mark.parametrize(
    ("profit", "best", "percent"),
    [
        (60.0, Extreme(Limit.NUMBER, Decimal(120)), 50.0),
        (-240.0, Extreme(Limit.NUMBER, Decimal(120)), -200.0),
        (None, Extreme(Limit.NUMBER, Decimal(120)), None),
        (60.0, Extreme(Limit.UNLIMITED), None),
        (60.0, Extreme(Limit.UNKNOWN, reason="what was paid is not known"), None),
        (60.0, Extreme(Limit.NUMBER, Decimal(0)), None),
        (60.0, Extreme(Limit.NUMBER, Decimal(-5)), None),
    ],
)
def test_profit_in_percent_of_the_greatest(profit: float | None, best: Extreme, percent: float | None):
    assert percent_of_best(profit, best) == percent


@pytest.mark.parametrize(
    ("entry", "days"),
    [
        (structure(opened_at=OPENED), 25),
        (structure(), None),
        (position(opened_at=TODAY), 0),
        (holding(opened_at=OPENED), 25),
        (position(opened_at=date(2026, 11, 29)), None),
        (lots_of((1, 2.0, date(2026, 11, 10)), (1, 2.0, OPENED)), 25),
        (lots_of((1, 2.0, None), (1, 2.0, OPENED)), None),
    ],
    ids=["structure", "no day", "today", "shares", "ahead", "lots", "a lot without"],
)
def test_days_are_counted_from_the_first_lot(entry: PortfolioEntry, days: int | None):
    assert days_in_trade(entry, TODAY) == days
