"""A feed is expected to move in its hours: on holidays, half days and at night it may be silent without harm."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from options_helper.data.market_hours import (
    NEW_YORK,
    market_open,
    new_york_date,
    next_change,
    regular_session,
)
from options_helper.data.streaming.events import StreamName


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-11-20 09:29:59", False),
        ("2026-11-20 09:30", True),
        ("2026-11-20 15:59:59", True),
        ("2026-11-20 16:00", False),
        ("2026-11-21 12:00", False),  # Saturday
        ("2026-11-26 12:00", False),  # Thanksgiving
        ("2026-11-27 12:59", True),  # the half day after it
        ("2026-11-27 13:00", False),
        ("2018-01-05 10:32", True),
        ("2018-01-01 12:00", False),
        ("2025-01-09 12:00", False),  # day of mourning
    ],
)
@pytest.mark.parametrize("feed", ["iex", "sip", "delayed_sip"])
def test_stocks_move_in_regular_hours(at: str, feed: str, *, is_open: bool):
    assert market_open(StreamName.STOCKS, feed, new_york(at)) is is_open


@pytest.mark.parametrize(
    ("at", "equity_open", "etf_open"),
    [
        ("2026-11-20 15:59", True, True),
        ("2026-11-20 16:10", False, True),
        ("2026-11-20 16:15", False, False),
        ("2026-11-27 13:10", False, True),
        ("2026-11-27 13:15", False, False),
    ],
)
def test_options_on_some_etfs_and_indices_move_a_quarter_of_an_hour_longer(
    *, at: str, equity_open: bool, etf_open: bool
):
    moment = new_york(at)

    assert market_open(StreamName.OPTIONS, "opra", moment, ["AAPL", "BRK-B"]) is equity_open
    assert market_open(StreamName.OPTIONS, "opra", moment, ["AAPL", "SPY"]) is etf_open
    assert market_open(StreamName.OPTIONS, "indicative", moment, ["SPXW"]) is etf_open
    assert market_open(StreamName.STOCKS, "sip", moment, ["SPY"]) is equity_open


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-11-22 19:59", False),
        ("2026-11-22 20:00", True),  # Sunday evening, into Monday
        ("2026-11-23 03:59", True),
        ("2026-11-23 04:00", False),
        ("2026-11-20 21:00", False),  # Friday evening
        ("2026-11-25 21:00", False),  # into Thanksgiving
        ("2026-11-26 02:00", False),
        ("2026-11-26 21:00", True),  # into the half day
        ("2026-11-23 12:00", False),
    ],
)
@pytest.mark.parametrize("feed", ["overnight", "boats"])
def test_night_feeds_move_in_the_night_before_a_trading_day(at: str, feed: str, *, is_open: bool):
    assert market_open(StreamName.STOCKS, feed, new_york(at)) is is_open


def test_the_test_feed_never_sleeps():
    assert market_open(StreamName.STOCKS, "test", new_york("2026-11-22 12:00"))


def test_fills_are_expected_in_regular_hours():
    assert market_open(StreamName.FILLS, "paper", new_york("2026-11-20 12:00"))
    assert not market_open(StreamName.FILLS, "paper", new_york("2026-11-20 18:00"))


@pytest.mark.parametrize(
    ("at", "change"),
    [
        ("2026-11-20 08:00", "2026-11-20 09:30"),
        ("2026-11-20 09:30", "2026-11-20 16:00"),
        ("2026-11-20 16:00", "2026-11-23 09:30"),
        ("2026-11-25 20:00", "2026-11-27 09:30"),
        ("2026-11-27 10:00", "2026-11-27 13:00"),
        ("2026-12-31 18:00", "2027-01-04 09:30"),
    ],
)
def test_the_next_change_skips_nights_weekends_and_holidays(at: str, change: str):
    assert next_change(new_york(at)) == new_york(change)


@pytest.mark.parametrize(
    ("utc", "day"),
    [
        ("2026-11-21T00:30:00+00:00", date(2026, 11, 20)),  # 19:30 in New York, winter
        ("2026-07-18T00:30:00+00:00", date(2026, 7, 17)),  # 20:30 in New York, summer
        ("2026-07-17T04:00:00+00:00", date(2026, 7, 17)),
    ],
)
def test_the_date_is_new_yorks_not_utcs(utc: str, day: date):
    assert new_york_date(datetime.fromisoformat(utc)) == day


def test_the_open_follows_daylight_saving():
    winter, summer = regular_session(date(2026, 3, 6)), regular_session(date(2026, 3, 9))

    assert winter is not None
    assert summer is not None
    assert winter.opens.utcoffset() != summer.opens.utcoffset()
    assert winter.opens.time() == summer.opens.time()
