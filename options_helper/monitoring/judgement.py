"""Judge a run by its heartbeat: one list of findings for a person, an exit code, a monitor and a rule that alerts.

Values only: the heartbeat, its age, whether its process lives. Whatever says of a run that it is well or not goes by
these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from options_helper.model.announcement import MarketKind
from options_helper.model.providers import BreakerState, EndpointReport, FailureKind, ProviderReport
from options_helper.model.snapshot import Phase
from options_helper.model.text import format_count
from options_helper.monitoring.heartbeat import Heartbeat, JobBeat, Role, RunState, StreamBeat

# So many failures in a row are no chance.
REPEATED: Final = 3
# A window is late when it has been due for two intervals, and for an hour in any case.
INTERVALS_LATE: Final = 2
LATE_AT_MOST_SECONDS: Final = 3_600.0
# A pause of less is over before somebody has read of it.
SHORT_PAUSE_SECONDS: Final = 2.0


class RunStatus(StrEnum):
    """How a run is; only `running` is healthy."""

    RUNNING = "running"
    STALE = "stale"  # it is there and does not keep up: the heartbeat is old, or a feed is silent that should move
    NOT_RUNNING = "not_running"
    FAILED = "failed"  # something keeps it from its work, most likely until somebody acts


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"  # the run does not do its work
    WARNING = "warning"  # it does, and this is worth a look


class Concern(StrEnum):
    """What a finding is about, in a word that a rule can go by."""

    ENDED = "ended"
    GONE = "gone"
    OLD_HEARTBEAT = "old heartbeat"
    CLOCK_SET_BACK = "clock set back"
    PROBLEM = "problem"
    STREAM_FAILED = "stream failed"
    STREAM_SILENT = "stream silent"
    JOB_LATE = "job late"  # the watermark stays behind
    JOB_FAILING = "job failing"
    JOB_EMPTY = "job empty"  # sessions without a row, which may be holes
    REFUSED = "refused"  # the key, or what the plan includes
    FAILING = "failing"  # questions over REST, again and again
    BREAKER_OPEN = "breaker open"
    BUDGET_EXHAUSTED = "budget exhausted"
    BUDGET_NOT_SHARED = "budget not shared"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be; `status` is what the run is because of it, None: as well as before."""

    concern: Concern
    sentence: str
    remedy: str
    status: RunStatus | None = None
    subject: str | None = None  # the stream, job, host or endpoint

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return Severity.WARNING if self.status is None else Severity.ERROR


# The worse first.
_ORDER: Final = (RunStatus.NOT_RUNNING, RunStatus.FAILED, RunStatus.STALE)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a look at a run comes to: the most serious says what it is, in `words`; the findings have everything."""

    status: RunStatus
    words: str
    findings: tuple[Finding, ...] = ()


def judge(beat: Heartbeat, age: float, max_lag: float, *, lives: bool | None) -> Judgement:
    """Judge a heartbeat that is `age` seconds old; `lives` is whether its process does, None: nobody can say.

    `max_lag` is how old, in seconds, the heartbeat and an open market's newest event may be.
    """
    findings = tuple(_findings(beat, age, max_lag, lives=lives))
    for status in _ORDER:
        if decisive := [one.sentence for one in findings if one.status is status]:
            return Judgement(status, " ".join(decisive), findings)
    return Judgement(RunStatus.RUNNING, _wellness(beat), findings)


def _findings(beat: Heartbeat, age: float, max_lag: float, *, lives: bool | None) -> Iterator[Finding]:
    if beat.state is RunState.ENDED:
        yield _ended(beat)
    elif lives is False:
        yield Finding(
            Concern.GONE,
            f"The {beat.role} (process {beat.pid}) is gone without a word; its last sign is {format_age(age)} old. "
            "It was killed, or it crashed.",
            "Start it again; see the system's log for who ended it.",
            RunStatus.NOT_RUNNING,
        )
    elif age > max_lag:
        yield Finding(
            Concern.OLD_HEARTBEAT,
            f"The {beat.role} (process {beat.pid}) last wrote its heartbeat {format_age(age)} ago: it is stopped, or "
            "its disk is full or hangs.",
            "See that the disk has room, and whether the process is stopped; else end it and start it again.",
            RunStatus.STALE,
        )
    elif age < -max_lag:
        yield Finding(
            Concern.CLOCK_SET_BACK,
            f"The {beat.role} wrote its heartbeat {format_age(-age)} in the future: the computer's clock was set back.",
            "See that the computer's clock is right.",
            RunStatus.STALE,
        )
    else:
        yield from _of_a_run(beat, max(0.0, age), max_lag)


def _ended(beat: Heartbeat) -> Finding:
    if why := beat.problem or " ".join(one.sentence for one in _failed_streams(beat)):
        said, status = f"The {beat.role} has ended. {why}", RunStatus.FAILED
    else:
        said = f"The {beat.role} ended in order at {beat.written_at:%Y-%m-%d %H:%M:%S} UTC."
        status = RunStatus.NOT_RUNNING
    return Finding(Concern.ENDED, said, "Start it again.", status)


def _of_a_run(beat: Heartbeat, age: float, max_lag: float) -> Iterator[Finding]:
    if beat.problem:
        said = f"The {beat.role} runs, but: {beat.problem}"
        yield Finding(
            Concern.PROBLEM, said, "Do what the sentence says; the run goes on by itself.", RunStatus.FAILED
        )
    yield from _failed_streams(beat)
    yield from _silent_streams(beat, age, max_lag)
    for name, job in beat.jobs.items():
        yield from _of_a_job(name, job, age)
    for host, provider in beat.providers.items():
        yield from _of_a_budget(host, provider)
        for family, endpoint in provider.endpoints.items():
            yield from _of_an_endpoint(beat.role, host, family, endpoint)


def _failed_streams(beat: Heartbeat) -> Iterator[Finding]:
    """Those that are refused or have given up, however often they are still tried."""
    for name, one in beat.streams.items():
        if one.phase is Phase.FAILED:
            said = f"The {name} stream has failed. {_reason(one)}".strip()
            yield Finding(
                Concern.STREAM_FAILED,
                said,
                "It is tried again ever more rarely; mend what is refused.",
                RunStatus.FAILED,
                name,
            )


def _silent_streams(beat: Heartbeat, age: float, max_lag: float) -> Iterator[Finding]:
    for name, one in beat.streams.items():
        lag = None if one.lag_seconds is None else one.lag_seconds + age
        if lag is not None and lag > max_lag and one.phase is not Phase.FAILED:
            said = f"No {name} data for {format_age(lag)} although the market is open ({one.phase}). {_reason(one)}"
            yield Finding(
                Concern.STREAM_SILENT,
                said.strip(),
                "It connects anew by itself; see whether the network and the provider are well.",
                RunStatus.STALE,
                name,
            )


def _of_a_job(name: str, job: JobBeat, age: float) -> Iterator[Finding]:
    problem = f" {job.problem}" if job.problem else ""
    if job.failing >= REPEATED:
        yield Finding(
            Concern.JOB_FAILING,
            f"The job {name} has failed {job.failing} times running.{problem}",
            "It is tried again by itself; mend what the sentence says.",
            RunStatus.FAILED,
            name,
        )
    if job.ahead_to is not None:
        yield Finding(
            Concern.CLOCK_SET_BACK,
            f"The job {name} has stored up to {_moment(job.ahead_to)}, which is to come: the clock was wrong then.",
            "What was stored ahead counts as nothing, and is asked for when its time comes; look at the clock.",
            subject=name,
        )
    if job.empty:
        again = "" if job.again_at is None else f" The next is asked for again at {_moment(job.again_at)}."
        yield Finding(
            Concern.JOB_EMPTY,
            f"Of the job {name}, {format_count(job.empty, 'session')} came without a single row.{again}",
            "`ingest plan` names them; see whether these shares were traded then.",
            subject=name,
        )
    late = None if job.late_seconds is None else job.late_seconds + age
    if late is not None and late > min(INTERVALS_LATE * job.every_seconds, LATE_AT_MOST_SECONDS):
        upto = (
            "nothing is stored"
            if job.watermark_at is None
            else f"it has data up to {_moment(job.watermark_at)}"
        )
        yield Finding(
            Concern.JOB_LATE,
            f"The job {name} is {format_age(late)} behind: {upto}.{problem}",
            "See what else is found, and whether the budget of requests is large enough for all jobs.",
            RunStatus.STALE,
            name,
        )


def _of_a_budget(host: str, provider: ProviderReport) -> Iterator[Finding]:
    budget = provider.budget
    if budget.held_seconds > SHORT_PAUSE_SECONDS:
        yield Finding(
            Concern.BUDGET_EXHAUSTED,
            f"{host} wants no requests for {format_age(budget.held_seconds)}: it has had too many.",
            "It is waited for; where it comes again, lower OH_ALPACA_REST_PER_MINUTE.",
            subject=host,
        )
    elif not budget.left:
        yield Finding(
            Concern.BUDGET_EXHAUSTED,
            f"The minute's requests to {host} are used up: this program's share is {budget.share} of the account's "
            f"{budget.per_minute}, and {format_count(budget.programs, 'program')} asked.",
            "Questions wait for their turn; where they always do, ask for less.",
            subject=host,
        )
    if budget.problem:
        yield Finding(
            Concern.BUDGET_NOT_SHARED,
            budget.problem,
            "See that the user's state folder can be written.",
            subject=host,
        )


def _of_an_endpoint(role: Role, host: str, family: str, endpoint: EndpointReport) -> Iterator[Finding]:
    subject = f"{host}{family}"
    problem = f" {endpoint.problem}" if endpoint.problem else ""
    if endpoint.breaker is not BreakerState.CLOSED:
        again = (
            "the next question finds out whether it works again"
            if endpoint.retry_seconds is None
            else f"it is tried again in {format_age(endpoint.retry_seconds)}"
        )
        yield Finding(
            Concern.BREAKER_OPEN,
            f"{subject} failed {endpoint.failing} times running and is left alone; {again}.{problem}",
            "Nothing, where it is a fault of the provider's; otherwise mend what the sentence says.",
            subject=subject,
        )
    elif endpoint.failing_as is FailureKind.REFUSED:
        yield Finding(
            Concern.REFUSED,
            f"{subject} refuses this key.{problem}",
            "Correct the key, or ask only for what the plan includes.",
            # A recorder and a page have their streams, which say by themselves where they are refused.
            RunStatus.FAILED if role is Role.INGESTION else None,
            subject,
        )
    elif endpoint.failing >= REPEATED:
        yield Finding(
            Concern.FAILING,
            f"{subject} failed {endpoint.failing} times running.{problem}",
            "It is asked again by itself; mend what the sentence says.",
            subject=subject,
        )


def _wellness(beat: Heartbeat) -> str:
    if beat.state is RunState.WAITING:
        until = "" if beat.waits_until is None else f" at {beat.waits_until:%a %Y-%m-%d %H:%M %Z}"
        return f"The {beat.role} waits for the market to open{until}."
    doing = {
        RunState.RUNNING: "runs",
        RunState.JOURNAL_ONLY: "runs; under pressure it writes the journal first, and the rows later",
    }[beat.state]
    played = {
        MarketKind.ALPACA: "",
        MarketKind.LOCAL: " on a market of this computer",
        MarketKind.SIMULATED: " on a simulated market",
        MarketKind.REPLAY: " on a replay",
    }
    return f"The {beat.role} {doing}{played[beat.market]}{_idleness(beat)}.{_unconnected(beat)}"


def _idleness(beat: Heartbeat) -> str:
    if beat.role is Role.INGESTION:
        due = min((job.next_due_at for job in beat.jobs.values() if job.next_due_at), default=None)
        return "" if due is None else f"; it asks next at {_moment(due)}"
    if any(one.expects_data for one in beat.streams.values()):
        return ""
    return "; nothing is expected from its feeds now"


def _unconnected(beat: Heartbeat) -> str:
    """Which streams have never been connected, and why; empty where all have."""
    waiting = {name: one for name, one in beat.streams.items() if not one.connections}
    if not waiting:
        return ""
    reasons = dict.fromkeys(filter(None, map(_reason, waiting.values())))
    return " ".join((f" Never connected so far: {', '.join(waiting)}.", *reasons))


def _reason(one: StreamBeat) -> str:
    return "" if one.last_error is None else one.last_error


def format_age(seconds: float) -> str:
    """A stretch of time as one reads it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3_600:.1f} h"
    return f"{seconds / 86_400:.1f} days"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
