"""A contract ends at an instant that the calendar knows: holidays, half days, late classes and AM settlement."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from options_helper.model.contract_hours import (
    contract_ended_at,
    has_ended,
    is_settled_at_open,
    last_trading_day,
    option_trading_ends_at,
    settles_at,
)
from options_helper.model.market_hours import Session
from tests.kit.builders import new_york

FRIDAY, HALF_DAY = date(2026, 11, 20), date(2026, 11, 27)


@pytest.mark.parametrize(
    ("symbol", "expiry", "ended_at"),
    [
        ("AAPL", FRIDAY, "2026-11-20 16:00"),
        ("AAPL261120C00180000", FRIDAY, "2026-11-20 16:00"),
        ("AAPL", HALF_DAY, "2026-11-27 13:00"),
        ("SPY", FRIDAY, "2026-11-20 16:15"),
        ("SPY", HALF_DAY, "2026-11-27 13:15"),
        ("SPY1", FRIDAY, "2026-11-20 16:15"),  # adjusted: as its class
        ("SPXW", FRIDAY, "2026-11-20 16:00"),  # the class trades to 16:15, what expires does not
        ("XSP", FRIDAY, "2026-11-20 16:00"),
        ("SPX", FRIDAY, "2026-11-20 09:30"),  # settled at the open
        ("NDX", FRIDAY, "2026-11-20 09:30"),
        ("NDXP", FRIDAY, "2026-11-20 16:00"),
        ("VIX", date(2026, 11, 18), "2026-11-18 09:30"),
        ("AAPL", date(2025, 4, 18), "2025-04-17 16:00"),  # Good Friday
        ("SPX", date(2025, 4, 17), "2025-04-17 09:30"),  # the standard one before it
        ("AAPL", date(2015, 1, 17), "2015-01-16 16:00"),  # the Saturdays of old
    ],
)
def test_a_contract_ends_at_an_instant(symbol: str, expiry: date, ended_at: str):
    ended = new_york(ended_at)

    assert contract_ended_at(symbol, expiry) == ended
    assert has_ended(symbol, expiry, ended)
    assert not has_ended(symbol, expiry, ended - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("symbol", "expiry", "last_day"),
    [
        ("AAPL", FRIDAY, FRIDAY),
        ("SPXW", FRIDAY, FRIDAY),
        ("SPX", FRIDAY, date(2026, 11, 19)),
        ("SPX", date(2025, 4, 17), date(2025, 4, 16)),  # before a holiday, so a day earlier
        ("VIXW", date(2026, 11, 25), date(2026, 11, 24)),
        ("AAPL", date(2025, 4, 18), date(2025, 4, 17)),
    ],
)
def test_the_last_trading_day_may_come_before_the_expiry(symbol: str, expiry: date, last_day: date):
    assert last_trading_day(symbol, expiry) == last_day


def test_only_the_standard_series_of_an_index_is_settled_at_the_open():
    assert is_settled_at_open("SPX261120P06600000", FRIDAY)
    assert not is_settled_at_open("SPX", date(2026, 11, 13))
    assert not is_settled_at_open("SPXW261120P06600000", FRIDAY)
    assert not is_settled_at_open("SPY261120P00660000", FRIDAY)


def test_a_class_has_no_end_of_trading_on_a_day_without_a_session():
    assert option_trading_ends_at("SPY", date(2026, 11, 26)) is None
    assert option_trading_ends_at("SPY", FRIDAY) == new_york("2026-11-20 16:15")


def test_what_expires_in_a_year_ahead_has_not_ended():
    assert not has_ended("AAPL", date(2099, 12, 18), new_york("2026-11-20 23:59"))


def test_what_expired_on_an_earlier_day_has_ended():
    assert has_ended("AAPL", date(2000, 1, 21), new_york("2026-11-20 00:00"))


def test_what_the_market_says_of_its_hours_wins():
    """A day of mourning, and a half day that no calendar knew: contracts end with the last session before, or early."""
    short_day = Session(new_york("2026-11-20 09:30"), new_york("2026-11-20 12:00"))

    assert contract_ended_at("AAPL", FRIDAY, {FRIDAY: None}) == new_york("2026-11-19 16:00")
    assert last_trading_day("AAPL", FRIDAY, {FRIDAY: None}) == date(2026, 11, 19)
    assert has_ended("AAPL", FRIDAY, new_york("2026-11-20 12:00"), {FRIDAY: short_day})


@pytest.mark.parametrize(
    ("symbol", "expiry", "settled_at"),
    [
        ("AAPL", FRIDAY, "2026-11-20 16:00"),
        ("SPY", FRIDAY, "2026-11-20 16:00"),  # traded until 16:15, worth what the fund closed at
        ("SPY", HALF_DAY, "2026-11-27 13:00"),
        ("SPXW", FRIDAY, "2026-11-20 16:00"),
        ("SPX", FRIDAY, "2026-11-20 09:30"),  # the morning after its last trade
        ("VIX", date(2026, 11, 18), "2026-11-18 09:30"),
        ("AAPL", date(2025, 4, 18), "2025-04-17 16:00"),  # Good Friday
    ],
)
def test_what_a_contract_is_worth_is_fixed_at_an_instant(symbol: str, expiry: date, settled_at: str):
    settled = new_york(settled_at)

    assert settles_at(symbol, expiry) == settled


def test_a_contract_that_a_file_calls_settled_at_the_open_is_fixed_there():
    assert settles_at("MRUT", FRIDAY, at_open=True) == new_york("2026-11-20 09:30")


def test_a_closing_that_the_market_told_moves_the_settlement():
    told = {FRIDAY: Session(new_york("2026-11-20 09:30"), new_york("2026-11-20 12:00")), HALF_DAY: None}

    assert settles_at("SPY", FRIDAY, told) == new_york("2026-11-20 12:00")
    assert settles_at("AAPL", HALF_DAY, told) == new_york("2026-11-25 16:00")


def test_beyond_the_calendar_the_settlement_is_not_known():
    assert settles_at("AAPL", date(2400, 1, 21)) is None
