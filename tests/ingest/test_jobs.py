"""What is due: for any moment the same answer to the same questions, never a window twice, never one to come."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_helper.ingest.jobs import (
    AfterClose,
    Continuous,
    EachTradingDay,
    InSession,
    Job,
    JobName,
    Window,
    all_jobs,
    due,
    next_window,
)
from options_helper.model.market_hours import NEW_YORK, Session, regular_session

JOBS = {job.name: job for job in all_jobs()}
CHAINS, CONTRACTS = JOBS[JobName.CHAINS], JOBS[JobName.CONTRACTS]
BARS, NEWS = JOBS[JobName.DAILY_BARS], JOBS[JobName.NEWS]
VOLATILITY = JOBS[JobName.VOLATILITY]

# Thanksgiving is the 26th; the 27th closes at 13:00.
WEDNESDAY, HALF_DAY, MONDAY = date(2026, 11, 25), date(2026, 11, 27), date(2026, 11, 30)

# Ten weeks with a change of clocks, holidays and half days in them.
moments = st.integers(0, 60 * 24 * 77).map(
    lambda minutes: datetime(2026, 10, 25, tzinfo=UTC) + timedelta(minutes=minutes)
)
any_job = st.sampled_from(all_jobs())


def new_york(day: date, *hour_and_minute: int) -> datetime:
    return datetime.combine(day, time(*hour_and_minute), NEW_YORK).astimezone(UTC)


def since(window: Window | None) -> datetime | None:
    return None if window is None else window.since


def test_a_snapshot_is_due_for_as_long_as_its_time_lasts():
    at_ten = new_york(WEDNESDAY, 10, 0)

    assert since(due(CHAINS, at_ten, None)) == at_ten
    assert since(due(CHAINS, new_york(WEDNESDAY, 10, 14), None)) == at_ten
    assert since(due(CHAINS, new_york(WEDNESDAY, 10, 15), None)) == new_york(WEDNESDAY, 10, 15)


def test_the_first_snapshot_waits_for_quotes_to_settle_and_the_last_is_before_the_close():
    assert due(CHAINS, new_york(WEDNESDAY, 9, 40), None) is None
    assert since(due(CHAINS, new_york(WEDNESDAY, 16, 2), None)) == new_york(WEDNESDAY, 15, 59)
    assert due(CHAINS, new_york(WEDNESDAY, 16, 5), None) is None


def test_a_half_day_ends_early_and_a_holiday_has_no_snapshot():
    assert since(due(CHAINS, new_york(HALF_DAY, 13, 1), None)) == new_york(HALF_DAY, 12, 59)
    assert due(CHAINS, new_york(HALF_DAY, 14, 0), None) is None
    assert due(CHAINS, new_york(date(2026, 11, 26), 11, 0), None) is None


def test_the_next_snapshot_after_a_half_day_is_on_monday():
    window = next_window(CHAINS, new_york(HALF_DAY, 14, 0), None)

    assert since(window) == new_york(MONDAY, 9, 45)


def test_missed_snapshots_are_not_made_up_from_later_prices():
    watermark = new_york(WEDNESDAY, 10, 15)

    assert since(due(CHAINS, new_york(WEDNESDAY, 13, 3), watermark)) == new_york(WEDNESDAY, 13, 0)


def test_what_is_made_from_stored_snapshots_waits_for_them_and_catches_up():
    first = due(VOLATILITY, new_york(WEDNESDAY, 10, 16), new_york(WEDNESDAY, 10, 0))

    assert since(first) == new_york(WEDNESDAY, 10, 0)
    assert due(VOLATILITY, new_york(WEDNESDAY, 10, 14), new_york(WEDNESDAY, 10, 0)) is None
    assert since(due(VOLATILITY, new_york(MONDAY, 8, 0), new_york(WEDNESDAY, 16, 5))) == new_york(
        HALF_DAY, 9, 45
    )


def test_contracts_are_asked_for_on_trading_days_only_and_once():
    window = due(CONTRACTS, new_york(HALF_DAY, 7, 0), new_york(WEDNESDAY, 6, 0))

    assert window is not None
    assert window.since == new_york(HALF_DAY, 6, 0)
    assert due(CONTRACTS, new_york(HALF_DAY, 23, 59), window.until) is None
    assert due(CONTRACTS, new_york(date(2026, 11, 26), 12, 0), None) is None


def test_sessions_that_were_missed_are_caught_up_oldest_first():
    stored = new_york(WEDNESDAY, 16, 0)
    now = new_york(date(2026, 12, 1), 20, 0)

    caught_up = []
    while window := due(BARS, now, stored):
        caught_up.append(window.since)
        stored = window.until

    assert caught_up == [new_york(day, 9, 30) for day in (HALF_DAY, MONDAY, date(2026, 12, 1))]


def test_bars_wait_a_while_after_the_close():
    assert since(due(BARS, new_york(HALF_DAY, 13, 19), None)) == new_york(WEDNESDAY, 9, 30)
    assert since(due(BARS, new_york(HALF_DAY, 13, 20), None)) == new_york(HALF_DAY, 9, 30)


def test_after_a_long_pause_news_come_a_day_at_a_time_and_without_a_hole():
    stored, now = new_york(WEDNESDAY, 10, 0), new_york(HALF_DAY, 10, 30)

    stretches = []
    while window := due(NEWS, now, stored):
        stretches.append((window.since, window.until))
        stored = window.until

    ends = [new_york(date(2026, 11, 26), 10, 0), new_york(HALF_DAY, 10, 0)]
    assert stretches == [(new_york(WEDNESDAY, 10, 0), ends[0]), (ends[0], ends[1])]


def test_hours_that_the_market_tells_win_over_the_calendar():
    session = regular_session(WEDNESDAY)
    assert session is not None
    early = {WEDNESDAY: Session(session.opens, session.opens.replace(hour=12, minute=0))}

    assert since(due(CHAINS, new_york(WEDNESDAY, 12, 1), None, early)) == new_york(WEDNESDAY, 11, 59)
    assert due(CHAINS, new_york(WEDNESDAY, 13, 0), None, early) is None
    assert due(CHAINS, new_york(WEDNESDAY, 12, 0), None, {WEDNESDAY: None}) is None


@pytest.mark.parametrize("name", [JobName.CHAINS, JobName.DAILY_BARS, JobName.NEWS])
def test_a_clock_that_was_set_back_makes_nothing_due(name: JobName):
    now = new_york(WEDNESDAY, 12, 0)
    stored = new_york(MONDAY, 12, 0)

    assert due(JOBS[name], now, stored) is None


@settings(max_examples=80, deadline=None)
@given(job=any_job, now=moments, pauses=st.lists(st.integers(1, 60 * 24 * 9), max_size=12))
def test_no_window_is_in_the_future_and_none_is_due_twice(job: Job, now: datetime, pauses: list[int]):
    """Whenever one looks, and however long one did not."""
    watermark: datetime | None = None
    for minutes in pauses:
        now += timedelta(minutes=minutes)
        for _ in range(40):
            window = due(job, now, watermark)
            if window is None:
                break
            assert window.since < window.until
            assert window.due_at <= now
            assert window.expires is None or now < window.expires
            assert watermark is None or watermark <= window.since
            watermark = window.until


@settings(max_examples=80, deadline=None)
@given(job=any_job, now=moments, stored_minutes=st.none() | st.integers(0, 60 * 24 * 20))
def test_the_pause_until_the_next_window_is_neither_too_short_nor_too_long(
    job: Job, now: datetime, stored_minutes: int | None
):
    watermark = None if stored_minutes is None else now - timedelta(minutes=stored_minutes)
    window = next_window(job, now, watermark)

    assert window is not None
    if window.due_at > now:
        assert due(job, window.due_at, watermark) == window
        assert due(job, window.due_at - timedelta(microseconds=1), watermark) is None


@settings(max_examples=50, deadline=None)
@given(now=moments, every=st.integers(5, 15))
def test_every_snapshot_lies_in_a_session(now: datetime, every: int):
    window = due(Job(JobName.CHAINS, InSession(timedelta(minutes=every))), now, None)

    if window is not None:
        local = window.since.astimezone(NEW_YORK)
        session = regular_session(local.date())
        assert session is not None
        assert session.opens < local < session.closes


@settings(max_examples=50, deadline=None)
@given(start=moments, minutes=st.integers(1, 500), longest=st.integers(1, 5))
def test_a_continuous_job_leaves_no_hole(start: datetime, minutes: int, longest: int):
    job = Job(JobName.NEWS, Continuous(timedelta(minutes=7), longest=timedelta(minutes=7 * longest)))
    first = due(job, start, None)
    assert first is not None

    watermark = first.until
    while window := due(job, start + timedelta(minutes=minutes), watermark):
        assert window.since == watermark
        watermark = window.until

    assert start + timedelta(minutes=minutes) - watermark < timedelta(minutes=7)


def test_the_night_in_which_the_clocks_change_moves_no_time_in_new_york():
    job = Job(JobName.FRED, EachTradingDay(time(6)))

    before, after = date(2026, 10, 30), date(2026, 11, 2)
    assert since(due(job, new_york(before, 8, 0), None)) == datetime(2026, 10, 30, 10, tzinfo=UTC)
    assert since(due(job, new_york(after, 8, 0), None)) == datetime(2026, 11, 2, 11, tzinfo=UTC)


def test_the_first_session_to_be_had_is_the_newest_that_has_finished():
    job = Job(JobName.DAILY_BARS, AfterClose(timedelta(minutes=20)))

    assert since(due(job, new_york(date(2026, 11, 29), 12, 0), None)) == new_york(HALF_DAY, 9, 30)
