"""Reports on runs → the figures that rules are judged by: heartbeats, watermarks, keys, budgets and streams."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Final

from options_helper.model.alerts import Reading, Readings, SubjectKind
from options_helper.model.snapshot import Phase
from options_helper.monitoring.heartbeat import Heartbeat, Role
from options_helper.monitoring.heartbeat_file import known_heartbeats
from options_helper.monitoring.judgement import Concern, Finding
from options_helper.monitoring.run_report import RunReport, read_run

_OVERDUE: Final = (Concern.GONE, Concern.OLD_HEARTBEAT, Concern.CLOCK_SET_BACK)
_WELL: Final = {
    Concern.REFUSED: "refuses no key.",
    Concern.BUDGET_EXHAUSTED: "may be asked.",
}
# What a person calls it, and a rule.
_WORDS: Final = {Role.INGESTION: "daemon"}
_SOURCE: Final = "its heartbeat"


def reports_of_others(at: datetime, max_lag_seconds: float) -> list[RunReport]:
    """Of each role the runs of this user that live, or the last one where none does; a run does not judge itself."""
    found: list[RunReport] = []
    with suppress(RuntimeError):  # a user without a home
        for role in Role:
            reports = [read_run(path, at, max_lag_seconds) for path in known_heartbeats(roles=(role,))]
            others = [
                one for one in reports if one.heartbeat is not None and one.heartbeat.pid != os.getpid()
            ]
            found += [one for one in others if not one.ended] or others[:1]
    return found


def run_readings(reports: Iterable[RunReport], nobodys: str | None = None) -> Readings:
    """The figures of each run, of its jobs, providers and streams; of one that does not live only its heartbeat.

    `nobodys` is what to call a run whose heartbeat cannot be read; None: it is left out.
    """
    runs: dict[str, Reading] = {}
    ages: dict[str, Reading] = {}
    late: dict[str, Reading] = {}
    refused: dict[str, Reading] = {}
    exhausted: dict[str, Reading] = {}
    phases: dict[str, tuple[Phase, Reading]] = {}
    for report in reports:
        beat = report.heartbeat
        if beat is None:
            if nobodys is not None:
                runs[nobodys] = Reading(None, nobodys, why=report.message.rstrip("."))
            continue
        found = {one.concern: one for one in report.findings}
        overdue = next((found[one] for one in _OVERDUE if one in found), None)
        name = f"{_WORDS.get(beat.role, beat.role)} {beat.pid}"
        runs[name] = Reading(
            float(overdue is not None),
            f"The {_WORDS.get(beat.role, beat.role)} (process {beat.pid})",
            _SOURCE,
            report.heartbeat_age_seconds,
            said=report.message if overdue is None else overdue.sentence,
        )
        if overdue is None and not report.ended:
            age = max(0.0, report.heartbeat_age_seconds or 0.0)
            _add_jobs(ages, late, beat, report.findings, age)
            _add_providers(refused, Concern.REFUSED, beat, report.findings, age)
            _add_providers(exhausted, Concern.BUDGET_EXHAUSTED, beat, report.findings, age)
            _add_phases(phases, beat, age)
    return {
        (SubjectKind.RUN, "heartbeat_overdue"): runs,
        (SubjectKind.JOB, "watermark_age"): ages,
        (SubjectKind.JOB, "watermark_late"): late,
        (SubjectKind.PROVIDER, "refused_key"): refused,
        (SubjectKind.PROVIDER, "exhausted_budget"): exhausted,
        (SubjectKind.STREAM, "phase"): {stream: reading for stream, (_, reading) in phases.items()},
    }


def _add_phases(into: dict[str, tuple[Phase, Reading]], beat: Heartbeat, age: float) -> None:
    """Each stream; one that two runs have is as the worse of them says."""
    for stream, one in beat.streams.items():
        if stream not in into or one.phase.illness > into[stream][0].illness:
            label = f"The {stream} stream of the {beat.role}"
            into[stream] = one.phase, Reading(str(one.phase), label, _SOURCE, age)


def _add_jobs(
    ages: dict[str, Reading],
    late: dict[str, Reading],
    beat: Heartbeat,
    findings: tuple[Finding, ...],
    age: float,
) -> None:
    is_late = {one.subject: one.sentence for one in findings if one.concern is Concern.JOB_LATE}
    for name, job in beat.jobs.items():
        label = f"The job {name}"
        lies = None if job.watermark_age_seconds is None else job.watermark_age_seconds + age
        ages[name] = Reading(
            lies, label, "its watermark", age, why="" if lies is not None else "it has stored nothing yet"
        )
        late[name] = Reading(
            float(name in is_late), label, _SOURCE, age, said=is_late.get(name, f"{label} is not behind.")
        )


def _add_providers(
    into: dict[str, Reading], concern: Concern, beat: Heartbeat, findings: tuple[Finding, ...], age: float
) -> None:
    """Each host that is asked; one that two runs ask is as the worse of them says."""
    for host in beat.providers:
        said = [one.sentence for one in findings if one.concern is concern and _is_of(one, host)]
        if said or host not in into:
            source = f"the heartbeat of the {beat.role}"
            into[host] = Reading(
                float(bool(said)), host, source, age, said=" ".join(said) or f"{host} {_WELL[concern]}"
            )


def _is_of(finding: Finding, host: str) -> bool:
    """Whether it is about this host, or an endpoint of it."""
    subject = finding.subject or ""
    return subject == host or subject.startswith(f"{host}/")
