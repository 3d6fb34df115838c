"""What a change is split by: readings of a real look at a book."""

from __future__ import annotations

from datetime import date

import pytest

from options_helper.analysis.book_look import look_at_book
from options_helper.analysis.risk.book_reading import reading_of
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.analysis.risk.readings import Reading
from options_helper.analysis.risk.what_changed import Part, begin, change_of, fold
from tests.analysis.attention.world import dividend, live_at
from tests.kit.builders import portfolio, position

PUTS = portfolio(position("AAPL", 195, "put", contracts=20, expiry=date(2026, 12, 18), cost_basis=8.0))
PAYS = dividend("AAPL", date(2026, 12, 10), 1.5)


def at(moment: str, bid: float, *, pays: bool) -> Reading:
    """The puts at such a bid, with or without what is known of the dividend."""
    live = live_at(
        moment,
        {"AAPL": (189.99, 190.01), "AAPL261218P00195000": (bid, bid + 0.2)},
        held=PUTS.positions,
        actions=[PAYS] if pays else [],
    )
    look = look_at_book(PUTS, live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25)
    return reading_of(look.risk)


def test_a_dividend_that_becomes_known_is_no_change_of_volatility():
    """A run begins before it is read; the same mark then has another volatility."""
    before, after = at("2026-11-20 10:00:00", 9.0, pays=False), at("2026-11-20 10:00:30", 9.1, pays=True)
    assert abs(after.volatility[0] - before.volatility[0]) > 0.01, "else the test proves nothing"

    change = change_of(fold(begin(before), after))

    assert change.profit == pytest.approx(200.0)
    told = {part: dollars for part, dollars in change.parts.items() if abs(dollars) > 1e-9}
    assert told == {Part.FORWARD: pytest.approx(200.0)}
    known = change_of(fold(begin(after), at("2026-11-20 10:01:00", 9.2, pays=True)))
    assert known.parts[Part.FORWARD] == 0.0
    assert known.parts[Part.VEGA] > 0.0
