"""A feed is expected to move in its hours: on holidays, half days and at night it may be silent without harm."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from options_helper.analysis.live_health import headline
from options_helper.analysis.live_portfolio_metrics import compute_live_position_rows
from options_helper.capture.plan import CapturePlan
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.engine.stream_group import StreamGroup
from options_helper.data.streaming.engine.stream_source import AlpacaSource
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.state.market_clock import MarketClock
from options_helper.model.contract_symbols import parse_contract_symbol
from options_helper.model.market_hours import (
    Session,
    ToldSessions,
    expects_data,
    in_regular_hours,
    new_york_date,
    next_change,
    regular_session,
    session_before,
)
from options_helper.model.streams import PORTFOLIO_STREAMS, StreamName
from options_helper.monitoring.heartbeat_writer import HeartbeatWriter
from tests.kit.builders import health, nanoseconds, new_york, portfolio, position, quote, snapshot_with
from tests.kit.fakes import SETTINGS


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
    assert expects_data(StreamName.STOCKS, feed, new_york(at)) is is_open


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

    assert expects_data(StreamName.OPTIONS, "opra", moment, ["AAPL", "BRK-B"]) is equity_open
    assert expects_data(StreamName.OPTIONS, "opra", moment, ["AAPL", "SPY"]) is etf_open
    assert expects_data(StreamName.OPTIONS, "indicative", moment, ["SPXW"]) is etf_open
    assert expects_data(StreamName.STOCKS, "sip", moment, ["SPY"]) is equity_open


def page_headline(contract: str, at: datetime, _: Path) -> bool:
    options = health("options", feed="opra", requested=(contract,))
    return "Market closed" not in headline(snapshot_with(as_of=at, streams=[options])).sentence


def page_line(contract: str, at: datetime, _: Path) -> bool:
    parts = parse_contract_symbol(contract)
    held = position(parts.underlying, parts.strike, expiry=parts.expiry, multiplier=100)
    live = snapshot_with(quote(contract, age=600, as_of=at), as_of=at, options_feed="opra")
    rows = compute_live_position_rows(portfolio(held), live, stale_after_seconds=60)
    return "stale_quote" in rows["warnings"].iloc[0]


def engine(contract: str, at: datetime, _: Path) -> bool:
    group = StreamGroup(
        LiveStreamConfig(option_contracts=(contract,), options_feed="opra"),
        SETTINGS,
        AlpacaSource(),
        RetryPolicy(),
        clock=MarketClock(),
        lock=threading.Lock(),
        announced=lambda _: None,
        now_ns=lambda: nanoseconds(at),
    )
    return group.expects_data(StreamName.OPTIONS, nanoseconds(at))


def heartbeat(contract: str, at: datetime, folder: Path) -> bool:
    options = health("options", feed="opra", requested=(contract,))
    writer = HeartbeatWriter(folder / "beat.json", lambda: snapshot_with(as_of=at, streams=[options]))
    with writer:
        return writer.last.streams[StreamName.OPTIONS].expects_data


def recorder(contract: str, at: datetime, _: Path) -> bool:
    streams = LiveStreamConfig(option_contracts=(contract,), options_feed="opra", stream_fills=False)
    return CapturePlan(streams).hours.connected(at)


@pytest.mark.parametrize("ask", [page_headline, page_line, engine, heartbeat, recorder])
@pytest.mark.parametrize(
    ("contract", "is_late"),
    [
        ("SPY261218C00600000", True),
        ("SPY1261218C00600000", True),  # adjusted: traded as long as its class
        ("2SPY261218C00600000", True),  # FLEX
        ("SPXW261218C06000000", True),
        ("AAPL1261218C00180000", False),
        ("BRKB261218C00480000", False),
    ],
)
def test_whoever_asks_gets_the_same_answer(ask, contract: str, tmp_path: Path, *, is_late: bool):
    assert ask(contract, new_york("2026-11-20 15:55"), tmp_path) is True
    assert ask(contract, new_york("2026-11-20 16:05"), tmp_path) is is_late
    assert ask(contract, new_york("2026-11-20 16:20"), tmp_path) is False


@pytest.mark.parametrize("spelling", ["SPY", "spy", "SPY1", "SPY   261218C00600000", "SPX", "XSP"])
def test_an_underlying_stands_for_its_contracts(spelling: str):
    assert expects_data(StreamName.OPTIONS, "opra", new_york("2026-11-20 16:05"), [spelling])


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
    assert expects_data(StreamName.STOCKS, feed, new_york(at)) is is_open


def test_the_test_feed_never_sleeps():
    assert expects_data(StreamName.STOCKS, "test", new_york("2026-11-22 12:00"))


def test_fills_are_expected_in_regular_hours():
    assert expects_data(StreamName.FILLS, "paper", new_york("2026-11-20 12:00"))
    assert not expects_data(StreamName.FILLS, "paper", new_york("2026-11-20 18:00"))


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


@pytest.mark.parametrize(
    ("day", "before"),
    [
        (date(2026, 11, 23), date(2026, 11, 20)),  # a Monday
        (date(2026, 11, 27), date(2026, 11, 25)),  # after Thanksgiving
        (date(2026, 11, 30), date(2026, 11, 27)),  # after a half day
        (date(2028, 3, 1), date(2028, 2, 29)),
        (date(2026, 1, 2), date(2025, 12, 31)),
        (date(2262, 1, 1), None),
        (date(1678, 1, 1), None),
        (date.min, None),
        (date.max, None),
    ],
)
def test_the_last_session_is_the_last_day_on_which_the_exchange_was_open(day: date, before: date | None):
    assert session_before(day) == before


@pytest.mark.parametrize("day", [date.min, date(1677, 12, 31), date(2262, 1, 2), date.max])
def test_in_a_year_that_no_calendar_knows_nothing_is_expected_and_nobody_ends(day: date):
    """A market's time is what a server or a recording says, and that may be any."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)

    assert regular_session(day) is None
    assert next_change(noon) is None
    for stream in PORTFOLIO_STREAMS:
        for feed in ("sip", "opra", "overnight"):
            assert not expects_data(stream, feed, noon, ["SPY"])


def test_the_last_evening_that_the_calendar_knows_leads_into_no_change():
    evening = new_york("2261-12-31 20:30")

    assert not expects_data(StreamName.STOCKS, "overnight", evening)
    assert next_change(evening) is None


def test_the_calendar_s_own_warnings_reach_no_terminal():
    """Not even where somebody wants to see those of others; of a year that no table has."""
    program = (
        "from datetime import date; from options_helper.model.market_hours import regular_session;"
        "print(regular_session(date(1999, 11, 19)) is not None)"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "always", "-c", program], capture_output=True, text=True, check=True
    )

    assert (ended.stdout, ended.stderr) == ("True\n", "")


MOURNING: ToldSessions = {date(2026, 11, 20): None}
HALF_DAY: ToldSessions = {
    date(2026, 11, 20): Session(new_york("2026-11-20 09:30"), new_york("2026-11-20 13:00"))
}
OPEN_SATURDAY: ToldSessions = {
    date(2026, 11, 21): Session(new_york("2026-11-21 09:30"), new_york("2026-11-21 16:00"))
}


@pytest.mark.parametrize(
    ("told", "at", "is_open"),
    [
        (MOURNING, "2026-11-20 12:00", False),
        (HALF_DAY, "2026-11-20 12:59", True),
        (HALF_DAY, "2026-11-20 13:00", False),
        (OPEN_SATURDAY, "2026-11-21 12:00", True),
        (MOURNING, "2026-11-23 12:00", True),  # of other days nothing was said
    ],
)
def test_what_the_market_says_of_its_hours_wins_over_the_calendar(
    told: ToldSessions, at: str, *, is_open: bool
):
    moment = new_york(at)

    assert in_regular_hours(moment, told) is is_open
    assert expects_data(StreamName.STOCKS, "iex", moment, told=told) is is_open
    assert expects_data(StreamName.OPTIONS, "opra", moment, ["AAPL"], told) is is_open


def test_a_night_into_a_day_that_is_closed_after_all_is_silent():
    evening, morning = new_york("2026-11-19 21:00"), new_york("2026-11-20 02:00")

    for moment in (evening, morning):
        assert expects_data(StreamName.STOCKS, "overnight", moment)
        assert not expects_data(StreamName.STOCKS, "overnight", moment, told=MOURNING)


def test_what_is_told_moves_the_next_change_the_late_options_and_the_session_before():
    at = new_york("2026-11-20 12:00")

    assert next_change(at, HALF_DAY) == new_york("2026-11-20 13:00")
    assert next_change(at, MOURNING) == new_york("2026-11-23 09:30")
    assert expects_data(StreamName.OPTIONS, "opra", new_york("2026-11-20 13:10"), ["SPY"], HALF_DAY)
    assert not expects_data(StreamName.OPTIONS, "opra", new_york("2026-11-20 13:20"), ["SPY"], HALF_DAY)
    assert session_before(date(2026, 11, 23), MOURNING) == date(2026, 11, 19)
    assert session_before(date(2026, 11, 23), OPEN_SATURDAY) == date(2026, 11, 21)


def told_headline(contract: str, at: datetime, told: ToldSessions, _: Path) -> bool:
    options = health("options", feed="opra", requested=(contract,))
    live = replace(snapshot_with(as_of=at, streams=[options]), told_sessions=told)
    return "Market closed" not in headline(live).sentence


def told_line(contract: str, at: datetime, told: ToldSessions, _: Path) -> bool:
    parts = parse_contract_symbol(contract)
    held = position(parts.underlying, parts.strike, expiry=parts.expiry, multiplier=100)
    live = snapshot_with(quote(contract, age=600, as_of=at), as_of=at, options_feed="opra")
    rows = compute_live_position_rows(
        portfolio(held), replace(live, told_sessions=told), stale_after_seconds=60
    )
    return "stale_quote" in rows["warnings"].iloc[0]


def told_engine(contract: str, at: datetime, told: ToldSessions, _: Path) -> bool:
    clock = MarketClock()
    group = StreamGroup(
        LiveStreamConfig(option_contracts=(contract,), options_feed="opra"),
        SETTINGS,
        AlpacaSource(),
        RetryPolicy(),
        clock=clock,
        lock=threading.Lock(),
        announced=lambda _: None,
        now_ns=lambda: nanoseconds(at),
    )
    assert group.expects_data(StreamName.OPTIONS, nanoseconds(at)), "it is asked before anything is told, too"
    clock.told = told
    return group.expects_data(StreamName.OPTIONS, nanoseconds(at))


def told_heartbeat(contract: str, at: datetime, told: ToldSessions, folder: Path) -> bool:
    options = health("options", feed="opra", requested=(contract,))
    live = replace(snapshot_with(as_of=at, streams=[options]), told_sessions=told)
    with HeartbeatWriter(folder / "beat.json", lambda: live) as writer:
        return writer.last.streams[StreamName.OPTIONS].expects_data


def told_recorder(contract: str, at: datetime, told: ToldSessions, _: Path) -> bool:
    streams = LiveStreamConfig(option_contracts=(contract,), options_feed="opra", stream_fills=False)
    return replace(CapturePlan(streams).hours, told=told).connected(at)


@pytest.mark.parametrize("ask", [told_headline, told_line, told_engine, told_heartbeat, told_recorder])
def test_whoever_asks_knows_of_a_closing_that_no_calendar_knows(ask, tmp_path: Path):
    """A day of mourning: nothing is expected, nothing is stale, nothing is stalled."""
    noon = new_york("2026-11-20 12:00")

    assert ask("AAPL261218C00180000", noon, {}, tmp_path) is True
    assert ask("AAPL261218C00180000", noon, MOURNING, tmp_path) is False
