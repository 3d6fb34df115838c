"""A recorded hour: at the price of each minute, today's curve is what the marks come to."""

from __future__ import annotations

from datetime import date
from math import fsum
from pathlib import Path

import numpy as np
import pytest

from options_helper.analysis.risk.book_risk import assess_book
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.analysis.risk.payoff_view import PayoffView, payoff_view, subjects
from tests.analysis.attention.world import live_at
from tests.kit.builders import leg, portfolio, position, structure
from tests.kit.pace import LONG
from tests.kit.spxw import minutes, prices_of, symbol

DAY = date(2018, 1, 5)
CALL = position("SPXW", 2735, "call", contracts=2, cost_basis=3.0, expiry=DAY, identity="call")
CONDOR = structure(
    leg("long", 2720, "put", expiry=DAY),
    leg("short", 2730, "put", expiry=DAY),
    leg("short", 2740, expiry=DAY),
    leg("long", 2750, expiry=DAY),
    symbol="SPXW",
    identity="condor",
    net_debit=-300.0,
)
BOOK = portfolio(CALL, CONDOR)
# Strike, whether it is a call, and contracts.
HELD = {(2735, True): 2, (2720, False): 1, (2730, False): -1, (2740, True): -1, (2750, True): 1}
PAID = 2 * 100 * 3.0 - 300.0


def test_on_each_minute_today_at_the_price_is_the_sum_of_the_marks(real_data: Path):
    hour = [(at, one) for at, one in sorted(minutes(real_data).items()) if "10:00" <= at < "11:00"]
    assert len(hour) == 60
    for at, minute in hour if LONG else hour[::5]:
        live = live_at(f"2018-01-05 {at}", prices_of(minute), held=[CALL, CONDOR])
        risk = assess_book(BOOK, live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25)
        view = payoff_view(risk, next(one for one in subjects(risk) if one.key == "u:SPX"))
        assert isinstance(view, PayoffView), (at, view)

        marks = {line.symbol: line.mark for line in risk.lines}
        worth = fsum(
            100 * count * (marks[symbol(strike, call=call)] or 0.0) for (strike, call), count in HELD.items()
        )
        assert view.now == pytest.approx(worth - PAID, abs=0.005), at
        (place,) = np.flatnonzero(view.prices == view.spot)
        assert view.today[place] == pytest.approx(view.now, abs=0.005), at
