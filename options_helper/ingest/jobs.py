"""What is due, and when: an answer from a schedule, the moment, what is stored, and the exchange's hours.

There is no list of jobs to do that could be lost or be wrong: what is stored and the calendar say it. So a pause is
caught up where that is possible, nothing is asked twice, and a kill leaves nothing to clean up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final, assert_never

from options_helper.model.market_hours import (
    NEW_YORK,
    NOTHING_TOLD,
    ToldSessions,
    new_york_date,
    regular_session,
    session_before,
)

# The last snapshot of a session: nobody knows that a quote of the last second is still one of the session.
BEFORE_CLOSE: Final = timedelta(minutes=1)
# For so long after the close the last quotes still stand, and each has its own time.
AFTER_CLOSE: Final = timedelta(minutes=5)
DEFAULT_CHAINS_EVERY: Final = timedelta(minutes=15)
# No market was closed for longer within living memory.
_LONGEST_CLOSURE_DAYS: Final = 14
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class JobName(StrEnum):
    """The jobs, in the order in which they are done when several are due: first what cannot be had later."""

    CHAINS = "chains"
    CONTRACTS = "contracts"
    CORPORATE_ACTIONS = "corporate-actions"
    MINUTE_BARS = "minute-bars"
    DAILY_BARS = "daily-bars"
    MACRO_PROXIES = "macro-proxies"
    FRED = "fred"
    NEWS = "news"
    VOLATILITY = "volatility"
    GAPS = "gaps"


@dataclass(frozen=True, slots=True)
class Window:
    """What one asking covers; instants in UTC."""

    since: datetime  # for a snapshot, the moment it is of
    until: datetime  # not part of it: the next window begins there or later
    due_at: datetime  # from then on it can be asked
    # From then on it cannot, or something else is to be asked first; None: at any later time, too.
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class InSession:
    """At steady times of each session, and a minute before its close.

    A snapshot can be taken only while its time lasts. What is made from stored ones can be made at any later time,
    and is begun when nothing more can come to it.
    """

    every: timedelta
    is_snapshot: bool = True


@dataclass(frozen=True, slots=True)
class EachTradingDay:
    """Once on each trading day from a time in New York on; a day that has passed cannot be had any more."""

    at: time


@dataclass(frozen=True, slots=True)
class AfterClose:
    """Each session as a whole, so long after its close; the oldest that is missing comes first.

    Where nothing is stored yet, the newest finished session is the first.
    """

    delay: timedelta


@dataclass(frozen=True, slots=True)
class Continuous:
    """All time without a hole, in stretches of whole steps, each so long after its end; also at night."""

    every: timedelta
    delay: timedelta = timedelta()
    longest: timedelta = timedelta(days=1)  # of one stretch, after a pause
    on_demand: bool = False  # whether somebody who names the job has it done now, due or not


Schedule = InSession | EachTradingDay | AfterClose | Continuous


@dataclass(frozen=True, slots=True)
class Job:
    """Something that is asked for again and again."""

    name: JobName
    schedule: Schedule


def all_jobs(chains_every: timedelta = DEFAULT_CHAINS_EVERY) -> tuple[Job, ...]:
    """Every job, in the order in which they are done."""
    a_while_after = AfterClose(timedelta(minutes=20))
    schedules: dict[JobName, Schedule] = {
        JobName.CHAINS: InSession(chains_every),
        JobName.CONTRACTS: EachTradingDay(time(6)),
        JobName.CORPORATE_ACTIONS: EachTradingDay(time(6)),
        JobName.MINUTE_BARS: a_while_after,
        JobName.DAILY_BARS: a_while_after,
        JobName.MACRO_PROXIES: a_while_after,
        JobName.FRED: EachTradingDay(time(18)),
        JobName.NEWS: Continuous(timedelta(hours=1), delay=timedelta(minutes=1)),
        JobName.VOLATILITY: InSession(chains_every, is_snapshot=False),
        JobName.GAPS: Continuous(timedelta(minutes=15), longest=timedelta(days=36_525), on_demand=True),
    }
    return tuple(Job(name, schedules[name]) for name in JobName)


def is_caught_up(job: Job) -> bool:
    """Whether a window that was missed is asked for later; what looks at everything each time misses none."""
    match job.schedule:
        case InSession(is_snapshot=is_snapshot):
            return not is_snapshot
        case EachTradingDay():
            return False
        case AfterClose():
            return True
        case Continuous(on_demand=looks_at_everything):
            return not looks_at_everything
        case _:
            assert_never(job.schedule)


def due(
    job: Job, now: datetime, watermark: datetime | None, told: ToldSessions = NOTHING_TOLD
) -> Window | None:
    """The window to ask for now; None where nothing is due.

    `watermark` is the end of the newest stored window of the job, None where nothing is stored. `told` are the days on
    which the market says otherwise than the calendar. A window is never in the future, and never begins before the
    watermark: once it is stored, it is not due again.
    """
    window = next_window(job, now, watermark, told)
    return window if window is not None and window.due_at <= now else None


def next_window(
    job: Job, now: datetime, watermark: datetime | None, told: ToldSessions = NOTHING_TOLD
) -> Window | None:
    """The first window that is not stored and can still be had: due now or, by its `due_at`, later.

    None where the calendar does not reach.
    """
    schedule = job.schedule
    if isinstance(schedule, Continuous):
        return _stretch(schedule, now, watermark)
    for day in _days_from(_first_day(schedule, now, watermark, told)):
        for window in _windows_of(schedule, day, told):
            is_over = window.expires is not None and window.expires <= now
            if not is_over and (watermark is None or watermark <= window.since):
                return window
    return None


def demanded_window(job: Job, now: datetime, watermark: datetime | None) -> Window | None:
    """What is done at `now` for somebody who names the job; None where that is what is due and no more."""
    schedule = job.schedule
    if not (isinstance(schedule, Continuous) and schedule.on_demand):
        return None
    since = now - schedule.every if watermark is None else watermark
    return Window(since, max(since, now), now)


def _stretch(schedule: Continuous, now: datetime, watermark: datetime | None) -> Window:
    ready = _floor(now - schedule.delay, schedule.every)
    since = ready - schedule.every if watermark is None else watermark
    until = min(ready, since + schedule.longest)
    if until <= since:
        until = _floor(since, schedule.every) + schedule.every
    return Window(since, until, until + schedule.delay)


def _floor(moment: datetime, step: timedelta) -> datetime:
    return moment - (moment - _EPOCH) % step


def _first_day(
    schedule: InSession | EachTradingDay | AfterClose,
    now: datetime,
    watermark: datetime | None,
    told: ToldSessions,
) -> date:
    today = new_york_date(now)
    match schedule:
        case EachTradingDay() | InSession(is_snapshot=True):
            return today
        case InSession():
            return today if watermark is None else new_york_date(watermark)
        case AfterClose(delay):
            if watermark is not None:
                return new_york_date(watermark)
            session = regular_session(today, told)
            has_finished = session is not None and session.closes + delay <= now
            return today if has_finished else session_before(today, told) or today
        case _:
            assert_never(schedule)


def _days_from(first: date) -> Iterator[date]:
    return (first + timedelta(days=count) for count in range(_LONGEST_CLOSURE_DAYS))


def _windows_of(
    schedule: InSession | EachTradingDay | AfterClose, day: date, told: ToldSessions
) -> Iterator[Window]:
    session = regular_session(day, told)
    if session is None:
        return
    opens, closes = session.opens.astimezone(UTC), session.closes.astimezone(UTC)
    match schedule:
        case InSession(every, is_snapshot):
            for since, until in pairwise([*_slots(opens, closes, every), closes + AFTER_CLOSE]):
                yield Window(since, until, since, until) if is_snapshot else Window(since, until, until)
        case EachTradingDay(at):
            since, until = _new_york(day, at), _new_york(day + timedelta(days=1), time())
            yield Window(since, until, since, until)
        case AfterClose(delay):
            yield Window(opens, closes, closes + delay)
        case _:
            assert_never(schedule)


def _slots(opens: datetime, closes: datetime, every: timedelta) -> Iterator[datetime]:
    """The times of a session's snapshots: the opening itself has no settled quotes yet."""
    last = closes - BEFORE_CLOSE
    at = opens + every
    while at < last:
        yield at
        at += every
    yield last


def _new_york(day: date, at: time) -> datetime:
    return datetime.combine(day, at, NEW_YORK).astimezone(UTC)
