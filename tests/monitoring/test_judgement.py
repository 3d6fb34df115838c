"""What is found of a run, by what it says of itself: jobs, keys, budgets, breakers; streams are in `stream health`."""

from __future__ import annotations

from typing import Any

import pytest

from options_helper.model.providers import (
    BreakerState,
    BudgetReport,
    EndpointReport,
    FailureKind,
    ProviderReport,
)
from options_helper.monitoring.heartbeat import JobBeat, Role, RunState
from options_helper.monitoring.judgement import Concern, Finding, Judgement, RunStatus, Severity, judge
from options_helper.monitoring.run_report import RunReport, report_lines
from tests.kit.builders import AS_OF
from tests.kit.heartbeats import heartbeat, stream_beat

HOST, FAMILY = "data.alpaca.markets", "/v2/stocks/bars"


def judged(role: Role = Role.INGESTION, **facts: Any) -> Judgement:
    """An ingestion without streams, two seconds ago."""
    return judge(heartbeat(**{"role": role, "streams": {}, **facts}), 2.0, 30.0, lives=True)


def job(**more: Any) -> dict[str, JobBeat]:
    return {"chains": JobBeat(**{"every_seconds": 900.0, **more})}


def providers(endpoint: dict[str, Any] | None = None, **budget: Any) -> dict[str, ProviderReport]:
    facts = {"per_minute": 200, "share": 100, "left": 95, **budget}
    return {
        HOST: ProviderReport(
            budget=BudgetReport(**facts), endpoints={FAMILY: EndpointReport(**(endpoint or {}))}
        )
    }


def only(found: Judgement) -> Finding:
    (finding,) = found.findings
    return finding


def test_an_ingestion_that_keeps_up_is_well_and_says_when_it_asks_next():
    found = judged(jobs=job(next_due_at=AS_OF, late_seconds=30.0), providers=providers())

    assert (found.status, found.findings) == (RunStatus.RUNNING, ())
    assert found.words == "The ingestion runs; it asks next at 2026-11-20 15:00:00 UTC."


@pytest.mark.parametrize(("every", "late"), [(300.0, 597.0), (86_400.0, 3_590.0)])
def test_a_job_is_late_after_two_intervals_and_after_an_hour_in_any_case(every: float, late: float):
    assert judged(jobs=job(every_seconds=every, late_seconds=late)).findings == ()

    found = judged(jobs=job(every_seconds=every, late_seconds=late + 10, watermark_at=AS_OF))

    assert found.status is RunStatus.STALE
    assert only(found).concern is Concern.JOB_LATE
    assert "it has data up to 2026-11-20 15:00:00 UTC" in found.words


def test_a_watermark_of_the_night_is_no_finding():
    """However old it is: nothing is due while the market is closed."""
    assert judged(jobs=job(watermark_age_seconds=60_000.0, late_seconds=None)).findings == ()


def test_what_a_wrong_clock_stored_ahead_is_worth_a_look():
    found = judged(jobs=job(ahead_to=AS_OF))

    assert found.status is RunStatus.RUNNING
    assert (only(found).concern, only(found).subject) == (Concern.CLOCK_SET_BACK, "chains")
    assert "has stored up to 2026-11-20 15:00:00 UTC, which is to come" in only(found).sentence


def test_a_job_that_fails_three_times_is_a_failure_and_says_why():
    assert judged(jobs=job(failing=2)).findings == ()

    found = judged(jobs=job(failing=3, problem="HTTP 503. Try again in a minute."))

    assert found.status is RunStatus.FAILED
    assert found.words == "The job chains has failed 3 times running. HTTP 503. Try again in a minute."
    assert only(found).subject == "chains"


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.INGESTION, RunStatus.FAILED),
        (Role.CAPTURE, RunStatus.RUNNING),
        (Role.DASHBOARD, RunStatus.RUNNING),
    ],
)
def test_a_refused_key_keeps_an_ingestion_from_its_work_and_no_streams_from_theirs(
    role: Role, status: RunStatus
):
    refused = {"failing": 1, "failing_as": FailureKind.REFUSED, "problem": "Answered with HTTP 401."}

    found = judged(role, providers=providers(refused), streams={"stocks": stream_beat()})

    assert found.status is status
    assert only(found).concern is Concern.REFUSED
    assert only(found).sentence == f"{HOST}{FAMILY} refuses this key. Answered with HTTP 401."


@pytest.mark.parametrize(
    ("endpoint", "budget", "concern", "words"),
    [
        ({"failing": 3, "failing_as": FailureKind.SERVER}, {}, Concern.FAILING, "failed 3 times running"),
        (
            {"failing": 5, "breaker": BreakerState.OPEN, "retry_seconds": 20.0},
            {},
            Concern.BREAKER_OPEN,
            "it is tried again in 20 s",
        ),
        (
            {"failing": 5, "breaker": BreakerState.HALF_OPEN},
            {},
            Concern.BREAKER_OPEN,
            "the next question finds out",
        ),
        (
            {},
            {"left": 0, "programs": 2},
            Concern.BUDGET_EXHAUSTED,
            "share is 100 of the account's 200, and 2 programs",
        ),
        ({}, {"held_seconds": 40.0, "left": 0}, Concern.BUDGET_EXHAUSTED, "wants no requests for 40 s"),
        ({}, {"problem": "Not shared: no space left."}, Concern.BUDGET_NOT_SHARED, "no space left"),
    ],
)
def test_what_passes_by_itself_is_a_warning(
    endpoint: dict[str, Any], budget: dict[str, Any], concern: Concern, words: str
):
    found = judged(providers=providers(endpoint, **budget))

    assert found.status is RunStatus.RUNNING
    finding = only(found)
    assert (finding.concern, finding.severity) == (concern, Severity.WARNING)
    assert words in finding.sentence
    assert finding.remedy


@pytest.mark.parametrize(
    ("endpoint", "budget"),
    [
        ({"failing": 2, "failing_as": FailureKind.TIMEOUT}, {}),
        ({"failures": {FailureKind.QUESTION: 99}}, {}),
        ({}, {"left": 1}),
        ({}, {"held_seconds": 1.0}),
    ],
)
def test_what_is_usual_is_no_finding(endpoint: dict[str, Any], budget: dict[str, Any]):
    assert judged(providers=providers(endpoint, **budget)).findings == ()


def test_the_most_serious_says_what_the_run_is_and_all_are_listed():
    found = judged(
        jobs=job(late_seconds=5_000.0, failing=3),
        providers=providers({"failing": 4}),
        problem="The disk is full.",
    )

    assert found.status is RunStatus.FAILED
    assert found.words.startswith("The ingestion runs, but: The disk is full. The job chains has failed")
    assert [one.concern for one in found.findings] == [
        Concern.PROBLEM,
        Concern.JOB_FAILING,
        Concern.JOB_LATE,
        Concern.FAILING,
    ]


def test_of_a_run_that_is_over_nothing_else_is_found():
    ended = judged(state=RunState.ENDED, jobs=job(failing=9), providers=providers({"failing": 9}))

    assert [one.concern for one in ended.findings] == [Concern.ENDED]


def test_a_person_reads_what_to_do_and_how_jobs_and_providers_are():
    beat = heartbeat(
        role=Role.INGESTION,
        streams={},
        rows_waiting=None,
        jobs=job(
            failing=3, failures=4, successes=12, rows=3_400, watermark_age_seconds=130.0, next_due_at=AS_OF
        ),
        providers=providers(
            {"requests": 12, "successes": 8, "failures": {FailureKind.SERVER: 4}, "latency_p95": 0.21},
            programs=2,
        ),
    )
    found = judge(beat, 0.0, 30.0, lives=True)

    lines = report_lines(RunReport(found.status, found.words, beat, 0.0, None, found.findings))

    assert lines[0] == "failed: The job chains has failed 3 times running."
    assert "! It is tried again by itself; mend what the sentence says." in lines
    assert (
        "chains: stored up to 2 min ago, next due Fri 15:00:00 UTC, 12 windows, 4 failed, 3,400 rows" in lines
    )
    assert (
        f"{HOST}: 12 requests, 4 failed (5xx 4), 95 % answered within 0.2 s; 95 of 100 left this minute "
        "(the account has 200, 2 programs ask)"
    ) in lines
    assert not any("gap" in line for line in lines), "an ingestion has no streams to have gaps in"
