"""What is due is done, one window at a time; a failure costs itself and says when it is tried again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from options_helper.errors import RestError, RestStopped
from options_helper.ingest.course import CLOCK_STEP, NothingCame, Task, TooSoon
from options_helper.ingest.doubtful_sessions import BELIEVED_AFTER
from options_helper.ingest.jobs import JobName, Window, all_jobs, due
from options_helper.ingest.plan import EmptySession, plan_ingestion
from options_helper.ingest.selection import Selection
from options_helper.ingest.store import Answer, Entry, IngestStore, Table
from options_helper.ingest.work import Ingestion
from tests.kit.builders import holding, portfolio

# A Wednesday, 10:00 in New York.
AT = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
SELECTION = Selection(("SPY", "QQQ"), ("SPY", "QQQ"))


@dataclass
class Clock:
    """A time that stands still until it is moved."""

    at: datetime = AT
    is_told: bool = True  # by the servers' answers

    def now(self) -> datetime:
        return self.at

    def servers_now(self) -> datetime | None:
        return self.at if self.is_told else None

    def elapsed(self) -> float:
        return (self.at - AT).total_seconds()

    def advance(self, **span: float) -> None:
        self.at += timedelta(**span)


@dataclass
class Asked:
    """Answers with one row, or as the test says."""

    jobs: tuple[JobName, ...]
    errors: dict[str, Exception] = field(default_factory=dict)
    asked: list[tuple[JobName, str]] = field(default_factory=list)
    nothing_of: set[JobName] = field(default_factory=set)  # on that Wednesday
    rows: int = 1
    missing: int = 0  # on that Wednesday, symbols
    unfinished: int = 0  # so often, more of the same is to be asked
    expires: list[datetime | None] = field(default_factory=list)
    puts_right: Callable[[], object] = lambda: None  # the clock, by the time that the answer tells

    def ask(self, job: JobName, subject: str, window: Window) -> Answer:
        self.asked.append((job, subject))
        if subject in self.errors:
            raise self.errors[subject]
        self.expires.append(window.expires)
        self.puts_right()
        is_wednesday = window.since.date() == AT.date()
        rows = 0 if job in self.nothing_of and is_wednesday else self.rows
        is_unfinished = job is JobName.GAPS and self.unfinished > 0
        self.unfinished -= is_unfinished
        return Answer(
            Table(("symbol",), [(f"S{number}",) for number in range(rows)]),
            window.since,
            requests=3,
            seconds=1.5,
            rows=rows,
            missing=self.missing if is_wednesday else 0,
            is_unfinished=is_unfinished,
        )


Make = Callable[..., tuple[Ingestion, Asked]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Iterator[Make]:
    with IngestStore(tmp_path, now=clock.now) as store:

        def made(
            *jobs: JobName, demanded: Sequence[JobName] = (), **errors: Exception
        ) -> tuple[Ingestion, Asked]:
            asked = Asked(jobs, errors)
            ingestion = Ingestion(
                all_jobs(),
                lambda: SELECTION,
                store,
                asked,
                now=clock.now,
                servers_now=clock.servers_now,
                elapsed=clock.elapsed,
                random=lambda: 0.0,
                demanded=demanded,
            )
            return ingestion, asked

        yield made


def do_all(ingestion: Ingestion) -> list[Task]:
    done: list[Task] = []
    for _ in range(100):
        if (task := ingestion.look().task) is None:
            return done
        try:
            ingestion.do(task)
        except (RestError, NothingCame):
            continue
        done.append(task)
    pytest.fail("something is due for ever")


def test_everything_due_is_done_once_and_what_cannot_wait_comes_first(make: Make):
    ingestion, asked = make(JobName.DAILY_BARS, JobName.CHAINS)

    do_all(ingestion)

    assert asked.asked == [(JobName.CHAINS, "SPY"), (JobName.CHAINS, "QQQ"), (JobName.DAILY_BARS, "all")]
    assert ingestion.look().task is None


def test_one_underlying_that_fails_costs_no_other(make: Make, clock: Clock):
    ingestion, asked = make(JobName.CHAINS, SPY=RestError("no answer"))

    do_all(ingestion)

    assert asked.asked == [(JobName.CHAINS, "SPY"), (JobName.CHAINS, "QQQ")]
    tally = ingestion.tallies[JobName.CHAINS]
    assert (tally.successes, tally.failures, tally.failing, tally.problem) == (1, 1, 0, None)
    clock.advance(seconds=14)
    assert ingestion.look().task is None
    clock.advance(seconds=1)
    assert ingestion.look().task is not None


def test_pauses_after_failures_grow_and_a_success_ends_them(make: Make, clock: Clock):
    ingestion, asked = make(JobName.CONTRACTS, SPY=RestError("no answer"), QQQ=RestError("no answer"))

    pauses = []
    for _ in range(7):
        do_all(ingestion)
        pauses.append(ingestion.look().pause_seconds)
        clock.advance(seconds=pauses[-1])

    assert pauses == [15, 30, 60, 120, 240, 450, 450]
    asked.errors.clear()
    assert len(do_all(ingestion)) == 2
    assert ingestion.tallies[JobName.CONTRACTS].failing == 0


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_not_tried_again_soon(make: Make, status: int):
    ingestion, _ = make(JobName.CONTRACTS, SPY=RestError("refused", status=status))

    do_all(ingestion)

    assert ingestion.look().pause_seconds == 900


def test_a_pause_that_the_server_wants_is_kept(make: Make):
    ingestion, _ = make(JobName.CONTRACTS, SPY=RestError("too many", status=429, retry_after=200))

    do_all(ingestion)

    assert ingestion.look().pause_seconds == 200


def test_a_stop_is_no_failure(make: Make):
    ingestion, _ = make(JobName.CONTRACTS, SPY=RestStopped())
    task = ingestion.look().task
    assert task is not None

    with pytest.raises(RestStopped):
        ingestion.do(task)

    assert ingestion.tallies[JobName.CONTRACTS].failures == 0
    assert ingestion.look().task == task


def test_the_pause_lasts_until_the_next_window(make: Make, clock: Clock):
    ingestion, _ = make(JobName.CHAINS)
    do_all(ingestion)

    assert ingestion.look().pause_seconds == 15 * 60
    clock.advance(minutes=15)
    assert ingestion.look().pause_seconds == 0


def test_a_figure_of_our_own_waits_for_the_chain_it_is_made_of(make: Make, clock: Clock):
    ingestion, asked = make(JobName.VOLATILITY, JobName.CHAINS)

    do_all(ingestion)
    clock.advance(minutes=16)
    do_all(ingestion)

    slots = [(JobName.CHAINS, "SPY"), (JobName.CHAINS, "QQQ")]
    assert asked.asked == [*slots, *slots, (JobName.VOLATILITY, "all")]


def test_a_plan_says_what_is_due_and_by_experience_how_much_that_is(make: Make, clock: Clock, tmp_path: Path):
    ingestion, _ = make(JobName.CONTRACTS)
    do_all(ingestion)
    clock.advance(days=2)

    plan = plan_ingestion(all_jobs(), SELECTION, IngestStore(tmp_path), clock.now(), per_minute=100)

    contracts = [planned for planned in plan.jobs if planned.job is JobName.CONTRACTS]
    assert [(one.subject, len(one.windows), one.requests, one.seconds) for one in contracts] == [
        ("SPY", 1, 3, 1.5),
        ("QQQ", 1, 3, 1.5),
    ]
    assert plan.requests == sum(planned.requests for planned in plan.jobs)


def test_a_small_budget_spreads_the_requests_over_minutes(tmp_path: Path):
    plan = plan_ingestion(all_jobs(), SELECTION, IngestStore(tmp_path), AT, per_minute=2)

    assert plan.requests > 4
    assert plan.seconds >= 60 * (plan.requests // 2 - 1)


def test_a_portfolio_without_options_has_no_chain_to_ask_for(tmp_path: Path):
    shares = Selection((), ("AAPL",))
    plan = plan_ingestion(all_jobs(), shares, IngestStore(tmp_path), AT, per_minute=100)

    asked = {planned.job for planned in plan.jobs}
    assert JobName.CHAINS not in asked
    assert JobName.VOLATILITY not in asked
    assert JobName.DAILY_BARS in asked


SESSIONS = [JobName.MINUTE_BARS, JobName.DAILY_BARS, JobName.MACRO_PROXIES]


@pytest.mark.parametrize("job", SESSIONS)
def test_a_session_of_which_no_row_comes_is_asked_for_again(make: Make, clock: Clock, job: JobName):
    """The feed may only be late; what is stored empty would stay so for good."""
    ingestion, asked = make(job)
    asked.nothing_of.add(job)
    clock.at = AT.replace(hour=21, minute=20)

    assert do_all(ingestion) == []
    assert "No row at all came" in str(ingestion.tallies[job].problem)

    asked.nothing_of.clear()
    clock.advance(seconds=ingestion.look().pause_seconds)
    assert len(do_all(ingestion)) == 1


def test_a_session_that_stays_empty_holds_up_no_later_one_for_good(make: Make, clock: Clock):
    ingestion, asked = make(JobName.DAILY_BARS)
    asked.nothing_of.add(JobName.DAILY_BARS)
    clock.at = AT.replace(hour=21, minute=20) + BELIEVED_AFTER - timedelta(seconds=1)
    assert do_all(ingestion) == []

    clock.advance(minutes=10)

    assert len(do_all(ingestion)) == 1


@pytest.fixture
def empty(make: Make, clock: Clock) -> tuple[Ingestion, Asked]:
    """An ingestion that has just stored a session without a single row."""
    ingestion, asked = make(JobName.DAILY_BARS)
    asked.nothing_of.add(JobName.DAILY_BARS)
    clock.at = AT.replace(hour=21, minute=20) + BELIEVED_AFTER
    assert len(do_all(ingestion)) == 1
    return ingestion, asked


Empty = tuple[Ingestion, Asked]


def session_of(store: IngestStore) -> Entry:
    return next(iter(store.entries_of(JobName.DAILY_BARS, "all")))


def test_an_empty_session_is_asked_for_again_at_growing_distances(empty: Empty, clock: Clock, tmp_path: Path):
    ingestion, _ = empty
    distances = []

    for times in range(1, 5):
        entry = session_of(IngestStore(tmp_path))
        assert entry.again_at is not None
        assert (entry.times, entry.rows) == (times, 0)
        assert "a session without trades, or a hole" in entry.notes[-1]
        distances.append((entry.again_at - clock.at).days)
        clock.at = entry.again_at - timedelta(seconds=1)
        do_all(ingestion)
        assert session_of(IngestStore(tmp_path)) == entry, "not before its time"
        clock.advance(seconds=1)
        do_all(ingestion)

    assert distances == [1, 2, 4, 8]


def test_rows_that_come_later_take_the_place_of_an_empty_session(empty: Empty, clock: Clock, tmp_path: Path):
    ingestion, asked = empty
    asked.nothing_of.clear()
    clock.advance(days=1)

    do_all(ingestion)

    entry = session_of(IngestStore(tmp_path))
    assert (entry.rows, entry.times, entry.again_at) == (1, 2, None)
    assert entry.notes == ("1 row more than when it was asked for before, at 2026-11-25 14:30 UTC.",)
    assert ingestion.look().progress[JobName.DAILY_BARS].empty == 0


def test_what_was_never_asked_for_comes_before_what_came_empty(empty: Empty, clock: Clock):
    ingestion, _ = empty
    clock.advance(days=3)  # the session after Thanksgiving's holiday is due, and the empty one again

    done = do_all(ingestion)

    assert [task.window.since.day for task in done] == [27, 25]


@pytest.fixture
def incomplete(make: Make, clock: Clock) -> Empty:
    """An ingestion that has just stored a session of which two of four symbols were missing."""
    ingestion, asked = make(JobName.DAILY_BARS)
    asked.rows, asked.missing = 2, 2
    clock.at = AT.replace(hour=21, minute=20)
    assert len(do_all(ingestion)) == 1
    return ingestion, asked


def test_a_session_that_lacks_symbols_is_asked_for_again_for_a_week_and_is_no_empty_one(
    incomplete: Empty, clock: Clock, tmp_path: Path
):
    ingestion, _ = incomplete
    distances = []
    while len(distances) < 9 and (again_at := session_of(IngestStore(tmp_path)).again_at) is not None:
        distances.append((again_at - clock.at).days)
        clock.at = again_at
        do_all(ingestion)

    assert distances == [1, 2, 4]
    assert session_of(IngestStore(tmp_path)).times == 4
    assert ingestion.look().progress[JobName.DAILY_BARS].empty == 0


def test_what_was_missing_is_stored_when_it_comes(incomplete: Empty, clock: Clock, tmp_path: Path):
    ingestion, asked = incomplete
    asked.rows, asked.missing = 4, 0
    clock.advance(days=1)

    do_all(ingestion)

    store = IngestStore(tmp_path)
    entry = session_of(store)
    assert (entry.rows, entry.missing, entry.again_at) == (4, 0, None)
    assert len(list(store.read(JobName.DAILY_BARS, entry))) == 4
    assert entry.notes[-1].startswith("2 rows more than when it was asked for before")


@pytest.mark.parametrize(("rows", "missing"), [(0, 4), (1, 3), (2, 2)])
def test_an_answer_that_brings_no_more_leaves_what_is_stored(
    incomplete: Empty, clock: Clock, tmp_path: Path, rows: int, missing: int
):
    ingestion, asked = incomplete
    asked.rows, asked.missing = rows, missing
    clock.advance(days=1)

    do_all(ingestion)

    store = IngestStore(tmp_path)
    entry = session_of(store)
    assert (entry.rows, entry.missing, entry.times) == (2, 2, 2)
    assert len(list(store.read(JobName.DAILY_BARS, entry))) == 2
    assert ingestion.look().task is None


def test_a_file_that_was_removed_is_made_anew_by_what_comes(incomplete: Empty, tmp_path: Path):
    """What the ledger remembers of it is nothing to compare with."""
    ingestion, _ = incomplete
    (file,) = tmp_path.rglob("*.csv.gz")
    file.unlink()

    do_all(ingestion)

    assert file.exists()
    assert ingestion.look().task is None


def test_the_daemon_wakes_for_an_empty_session(empty: Empty, clock: Clock):
    """No session is due before Friday's, whose bars come at 18:20 UTC."""
    ingestion, _ = empty

    again_at = ingestion.look().progress[JobName.DAILY_BARS].again_at

    assert again_at == clock.at + timedelta(days=1)
    assert ingestion.outlook.pause_seconds == 24 * 3600


def test_a_session_that_an_older_program_believed_to_be_empty_is_asked_for_at_once(
    empty: Empty, tmp_path: Path
):
    del empty
    ledger = tmp_path / "ingest" / "daily-bars" / "ledger.jsonl"
    ledger.write_bytes(re.sub(rb',"again_at":"[^"]*"', b"", ledger.read_bytes()))

    at = AT + timedelta(days=1)
    plan = plan_ingestion(all_jobs(), SELECTION, IngestStore(tmp_path), at, per_minute=9)

    (bars,) = (planned for planned in plan.jobs if planned.job is JobName.DAILY_BARS)
    assert [window.since.day for window in bars.windows] == [25]


def test_a_plan_names_the_sessions_that_came_empty(empty: Empty, clock: Clock, tmp_path: Path):
    del empty

    plan = plan_ingestion(all_jobs(), SELECTION, IngestStore(tmp_path), clock.now(), per_minute=9)

    found = {planned.job: planned.empty for planned in plan.jobs if planned.empty}
    assert found == {
        JobName.DAILY_BARS: (
            EmptySession(AT.replace(hour=14, minute=30), times=1, again_at=clock.at + timedelta(days=1)),
        )
    }


def test_an_hour_without_news_is_an_answer(make: Make):
    ingestion, asked = make(JobName.NEWS)
    asked.nothing_of.add(JobName.NEWS)

    assert len(do_all(ingestion)) == 1


@pytest.mark.parametrize(
    "job", [JobName.CHAINS, JobName.CONTRACTS, JobName.DAILY_BARS, JobName.NEWS, JobName.GAPS]
)
def test_what_a_wrong_clock_stored_ahead_counts_as_nothing_and_is_said(
    make: Make, clock: Clock, tmp_path: Path, job: JobName
):
    ingestion, asked = make(job)
    clock.at = AT + timedelta(days=364)
    do_all(ingestion)
    asked.asked.clear()
    clock.at = AT + timedelta(days=7)

    plan = plan_ingestion(all_jobs(), SELECTION, IngestStore(tmp_path), clock.now(), per_minute=9)
    assert all(planned.windows for planned in plan.jobs if planned.job is job)
    ahead = ingestion.look().progress[job].ahead_to
    assert ahead is not None
    assert ahead > clock.now()
    assert do_all(ingestion)
    assert {name for name, _ in asked.asked} == {job}


def ingested(root: Path, clock: Clock, *jobs: JobName, minutes: Sequence[int]) -> list[Task]:
    """What a process asks for that looks so many minutes after ten o'clock."""
    with IngestStore(root, now=clock.now) as store:
        ingestion = Ingestion(
            all_jobs(),
            lambda: SELECTION,
            store,
            Asked(jobs),
            now=clock.now,
            servers_now=clock.servers_now,
            elapsed=clock.elapsed,
            random=lambda: 0.0,
        )
        done = list[Task]()
        for minute in minutes:
            clock.at = AT + timedelta(minutes=minute)
            done += do_all(ingestion)
        return done


# By the first of these a session is asked for in the minute in which it becomes due.
@pytest.mark.parametrize("ahead", [380, 440, 2 * 24 * 60])
@pytest.mark.parametrize(
    "job", [JobName.MINUTE_BARS, JobName.DAILY_BARS, JobName.NEWS, JobName.CHAINS, JobName.VOLATILITY]
)
def test_what_a_wrong_clock_stored_ahead_is_asked_for_when_its_time_comes(
    tmp_path: Path, clock: Clock, job: JobName, ahead: int
):
    """For good: it becomes no watermark as the time goes on, and for another process neither."""
    jobs, morning, rest = (JobName.CHAINS, job), (0, 15, 30, 45, 61), (200, 330, 359, 363, 380, 500)
    honest = ingested(tmp_path / "honest", clock, *jobs, minutes=(*morning, *rest))

    ingested(tmp_path / "wrong", clock, *jobs, minutes=[ahead])
    found = ingested(tmp_path / "wrong", clock, *jobs, minutes=morning)
    found += ingested(tmp_path / "wrong", clock, *jobs, minutes=rest)

    assert {task.job for task in honest} == set(jobs)
    assert found == honest


@pytest.mark.parametrize("job", [JobName.MINUTE_BARS, JobName.DAILY_BARS, JobName.NEWS, JobName.VOLATILITY])
def test_what_a_damaged_row_of_the_ledger_was_of_is_asked_for_again_where_it_can_be_had(
    tmp_path: Path, clock: Clock, job: JobName
):
    """Though later windows are stored; once, and nothing beside it."""
    days = range(0, 5 * 24 * 60, 60)
    asked = [task for task in ingested(tmp_path, clock, JobName.CHAINS, job, minutes=days) if task.job is job]
    ledger = tmp_path / "ingest" / job / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    # Neither end: what is before the first and behind the last, nobody missed.
    damaged = sorted({1, len(lines) // 2, len(lines) - 2})
    for number in damaged:
        lines[number] = lines[number][:20] + b"\n"
    ledger.write_bytes(b"".join(lines))
    planned = plan_ingestion(all_jobs(), SELECTION, IngestStore(tmp_path), clock.now(), per_minute=9)
    again = [
        *ingested(tmp_path, clock, job, minutes=[days[-1]]),
        *ingested(tmp_path, clock, job, minutes=[days[-1]]),
    ]

    missing = [asked[number].window for number in damaged]
    assert [(task.window.since, task.window.until) for task in again] == [
        (one.since, one.until) for one in missing
    ]
    assert sum(len(one.windows) for one in planned.jobs if one.job is job) == len(missing)


def test_what_the_answer_itself_shows_to_be_asked_too_soon_is_not_stored(make: Make, clock: Clock):
    """Each answer tells the servers' time: by that, the clock is put right before anything is stored."""
    ingestion, asked = make(JobName.DAILY_BARS)
    clock.at = AT + timedelta(minutes=380)
    task = ingestion.look().task
    assert task is not None
    asked.puts_right = partial(setattr, clock, "at", AT)

    with pytest.raises(TooSoon, match="a clock that is ahead: by the servers' it is 2026-11-25 15:00 UTC"):
        ingestion.do(task)

    asked.puts_right = lambda: None
    clock.at = AT + timedelta(minutes=380)
    assert do_all(ingestion) == [task]


def test_a_clock_that_no_server_has_told_strikes_nothing_out(make: Make, clock: Clock, tmp_path: Path):
    """Set back while an answer came, or before any: FRED's tell no time, and what is struck out is so for good."""
    ingestion, asked = make(JobName.CHAINS)
    for _ in range(4):
        do_all(ingestion)
        clock.advance(minutes=15)
    task = ingestion.look().task
    assert task is not None
    asked.puts_right = partial(setattr, clock, "at", clock.at - timedelta(hours=2))
    clock.is_told = False

    with pytest.raises(
        TooSoon, match="clock was set while it was asked for: by that it is 2026-11-25 14:00 UTC"
    ):
        ingestion.do(task)

    assert len(list(IngestStore(tmp_path).entries(JobName.CHAINS))) == 8
    asked.puts_right = lambda: None
    clock.at, clock.is_told = AT + timedelta(hours=1), True
    assert task in do_all(ingestion)


def test_a_clock_that_was_set_back_a_little_has_nothing_asked_for_again(make: Make, clock: Clock):
    ingestion, _ = make(JobName.CHAINS, JobName.CONTRACTS, JobName.NEWS)
    do_all(ingestion)
    clock.at -= CLOCK_STEP

    assert ingestion.look().task is None
    assert {one.ahead_to for one in ingestion.outlook.progress.values()} == {None}


def test_what_is_not_finished_stays_due_at_once_and_what_else_is_due_comes_first(make: Make, clock: Clock):
    ingestion, asked = make(JobName.GAPS, JobName.CHAINS)
    asked.unfinished = 2

    for _ in range(4):
        task = ingestion.look().task
        assert task is not None
        ingestion.do(task)
    assert [job for job, _ in asked.asked] == [JobName.CHAINS, JobName.CHAINS, JobName.GAPS, JobName.GAPS]

    clock.at += timedelta(minutes=15)
    do_all(ingestion)
    assert [job for job, _ in asked.asked[4:]] == [JobName.CHAINS, JobName.CHAINS, JobName.GAPS]
    assert ingestion.look().task is None


def test_the_rest_is_due_in_another_process_too(make: Make, tmp_path: Path):
    ingestion, asked = make(JobName.GAPS)
    asked.unfinished = 1
    task = ingestion.look().task
    assert task is not None
    entry = ingestion.do(task)

    assert (entry.since, entry.until) == (task.window.since, task.window.since)
    assert entry.rows == 1
    stored = IngestStore(tmp_path)
    gaps = next(job for job in all_jobs() if job.name is JobName.GAPS)
    assert due(gaps, AT, stored.watermark(JobName.GAPS)) == task.window


def test_gaps_are_asked_about_until_something_else_is_due(make: Make):
    """A chain of 10:15 is not to be one of 10:17."""
    ingestion, asked = make(JobName.GAPS, JobName.CHAINS, JobName.NEWS)

    do_all(ingestion)

    assert asked.expires[-1] == AT + timedelta(minutes=1)  # the news of the hour
    alone, asked_alone = make(JobName.GAPS, demanded=[JobName.GAPS])
    do_all(alone)
    assert asked_alone.expires == [None]


def test_somebody_who_names_the_gaps_wants_them_now_and_once(make: Make, clock: Clock, tmp_path: Path):
    do_all(make(JobName.GAPS)[0])
    clock.advance(minutes=1)
    assert do_all(make(JobName.GAPS)[0]) == []

    ingestion, asked = make(JobName.GAPS, JobName.CHAINS, demanded=[JobName.GAPS, JobName.CHAINS])
    asked.unfinished = 1
    plan = plan_ingestion(
        ingestion.jobs, SELECTION, IngestStore(tmp_path), clock.now(), per_minute=9, demanded=[JobName.GAPS]
    )
    assert {planned.job: len(planned.windows) for planned in plan.jobs} == {
        JobName.GAPS: 1,
        JobName.CHAINS: 1,
    }
    done = do_all(ingestion)

    assert [task.job for task in done] == [JobName.CHAINS, JobName.CHAINS, JobName.GAPS, JobName.GAPS]
    assert done[-1].window.until == clock.now()
    assert do_all(ingestion) == []


def test_gaps_that_were_named_and_fail_are_tried_again_after_a_pause(make: Make, clock: Clock):
    ingestion, asked = make(JobName.GAPS, demanded=[JobName.GAPS], all=RestError("no answer"))

    assert do_all(ingestion) == []
    assert len(asked.asked) == 1
    asked.errors.clear()
    clock.advance(seconds=15)
    assert len(do_all(ingestion)) == 1


def test_coins_are_no_shares_and_are_named():
    selection = Selection.of(portfolio(holding("BTC/USD"), holding("BRK.B")))

    assert (selection.stocks, selection.coins) == (("BRK.B",), ("BTC/USD",))
    assert selection.left_out == "Coins are not asked for: BTC/USD."
    assert Selection().left_out is None
