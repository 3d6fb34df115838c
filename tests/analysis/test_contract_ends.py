"""A day is not an instant: a contract whose trading is over has no price that evening, and the row says so."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from options_helper.analysis.live_portfolio_metrics import (
    compute_live_multileg_rows,
)
from tests.kit.builders import leg, new_york, portfolio, position, quote, snapshot_with, structure
from tests.kit.tables import row, totals_of

FRIDAY, HALF_DAY = date(2026, 11, 20), date(2026, 11, 27)


@pytest.mark.parametrize(
    ("symbol", "expiry", "as_of", "has_ended"),
    [
        ("AAPL", FRIDAY, "2026-11-20 15:59:59", False),
        ("AAPL", FRIDAY, "2026-11-20 16:00", True),
        ("AAPL", FRIDAY, "2026-11-20 18:00", True),
        ("AAPL", HALF_DAY, "2026-11-27 13:00", True),  # the exchange closes at 13:00
        ("AAPL", HALF_DAY, "2026-11-27 12:59", False),
        ("SPY", FRIDAY, "2026-11-20 16:10", False),  # its options trade until 16:15
        ("SPXW", FRIDAY, "2026-11-20 16:10", True),
    ],
)
def test_from_the_end_of_its_last_session_a_contract_has_no_price_and_no_natural_value(
    symbol: str, expiry: date, as_of: str, *, has_ended: bool
):
    book = portfolio(position(symbol, expiry=expiry, contracts=5, cost_basis=4.0))
    contract = book.instruments[0].live_symbol
    moment = new_york(as_of)
    live = snapshot_with(quote(contract, 3.0, 3.2, age=60, as_of=moment), as_of=moment)
    total = totals_of(book, live)

    assert ("expired" in row(book, live)["warnings"]) is has_ended
    assert ("expires_today" in row(book, live)["warnings"]) is not has_ended
    assert (total.pnl.counted, total.liquidation_value, total.long_premium_paid) == (
        (0, None, 0) if has_ended else (1, 1500, 2000)
    )
    assert (total.nearest_expiry is None) is has_ended


def test_a_calendar_whose_front_has_ended_tonight_waits_for_its_back():
    book = portfolio(structure(leg("short", 180, expiry=FRIDAY), leg("long", 180), net_debit=300.0))
    live = snapshot_with(as_of=new_york("2026-11-20 18:00"))
    structures, _ = compute_live_multileg_rows(book, live, stale_after_seconds=30)

    assert structures["dte"].tolist() == [28]
    assert totals_of(book, live).nearest_expiry.dte == 28  # type: ignore[union-attr]


class TestSettledAtTheOpen:
    """SPX on a third Friday: traded for the last time on Thursday, settled by Friday's opening prices."""

    BOOK = portfolio(position("SPX", 6600, "put", expiry=FRIDAY, cost_basis=20.0))
    LAST = quote("SPX261120P06600000", 12.2, 12.4, as_of=new_york("2026-11-19 16:14"))

    def test_on_thursday_it_is_the_last_chance_to_trade(self):
        found = row(self.BOOK, snapshot_with(self.LAST, as_of=new_york("2026-11-19 15:00")))

        assert (found["dte"], found["last_day"]) == (1, date(2026, 11, 19))
        assert "last_trading_day" in found["warnings"]

    def test_before_the_open_of_friday_it_still_is_what_it_was(self):
        found = row(self.BOOK, snapshot_with(self.LAST, as_of=new_york("2026-11-20 09:29")))

        assert found["mark"] == pytest.approx(12.3)
        assert [word for word in found["warnings"] if word != "other_session"] == [
            "expires_today",
            "settled_at_open",
        ]

    def test_from_the_open_of_friday_thursdays_quote_is_no_price(self):
        live = snapshot_with(self.LAST, as_of=new_york("2026-11-20 11:00"))

        assert row(self.BOOK, live)["warnings"] == ["expired", "settled_at_open"]
        assert totals_of(self.BOOK, live).pnl.counted == 0


@pytest.mark.parametrize(
    ("symbol", "settlement", "as_of", "ended"),
    [
        ("MRUT", None, "2026-11-20 11:00", False),
        ("MRUT", "am", "2026-11-20 11:00", True),
        ("SPX", None, "2026-11-20 11:00", True),
        ("SPX", "pm", "2026-11-20 11:00", False),
        ("SPX", "pm", "2026-11-20 16:00", True),
    ],
)
def test_a_settlement_that_the_file_names_goes_before_what_the_root_says(
    symbol: str,
    settlement: Any,
    as_of: str,
    ended: bool,  # noqa: FBT001 - an outcome
):
    """A root can be listed for both, and then only the contract's terms tell."""
    terms = {"settlement": settlement}
    single = position(symbol, 180, expiry=FRIDAY, **terms)
    spread = structure(
        leg("long", 180, expiry=FRIDAY, **terms), leg("short", 185, expiry=FRIDAY, **terms), symbol=symbol
    )
    symbols = [one.live_symbol for one in portfolio(single, spread).instruments]
    live = snapshot_with(
        *(quote(one, 3.0, 3.2, age=60, as_of=new_york(as_of)) for one in dict.fromkeys(symbols)),
        as_of=new_york(as_of),
    )

    _, legs = compute_live_multileg_rows(portfolio(spread), live, stale_after_seconds=30)
    assert (row(portfolio(single), live)["grade"] == "ended") is ended
    assert [grade == "ended" for grade in legs["grade"]] == [ended, ended]


def test_the_last_day_of_a_contract_that_is_settled_at_the_open_is_the_session_before():
    live = snapshot_with(as_of=new_york("2026-11-18 11:00"))

    assert row(portfolio(position("MRUT", 180, expiry=FRIDAY, settlement="am")), live)["last_day"] == date(
        2026, 11, 19
    )
    assert row(portfolio(position("MRUT", 180, expiry=FRIDAY)), live)["last_day"] == FRIDAY
