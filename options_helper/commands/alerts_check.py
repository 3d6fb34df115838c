"""Judge every rule once, without a word to anybody: `alerts check`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import typer

from options_helper.analysis.alerts.evaluator import evaluate
from options_helper.analysis.alerts.messages import evidence_of, judgement_text
from options_helper.clock import utc_now
from options_helper.commands.durations import parse_duration
from options_helper.data.alerts_file import load_rules, rules_file
from options_helper.errors import ConfigError
from options_helper.model.alerts import Judgement, Rule, SubjectKind, Verdict
from options_helper.model.text import format_count
from options_helper.monitoring.heartbeat import Role
from options_helper.monitoring.heartbeat_file import CAPTURE_FILE, INGESTION_FILE, known_heartbeats
from options_helper.monitoring.run_readings import run_readings
from options_helper.monitoring.run_report import RunReport, read_run

_WORST_FIRST: Final = (Verdict.MET, Verdict.UNKNOWN, Verdict.NOT_MET)
_UNREAD: Final[Mapping[SubjectKind, str]] = {
    kind: "this command reads heartbeats, and no prices"
    for kind in SubjectKind
    if kind not in (SubjectKind.RUN, SubjectKind.JOB, SubjectKind.PROVIDER, SubjectKind.STREAM)
}


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What is asked of the command."""

    rules: Path | None = None
    state: Path | None = None
    max_lag: str = "30s"


def show_check(request: CheckRequest, *, as_json: bool, now: datetime | None = None) -> int:
    """Judge and print; the exit code. ConfigError for bad input."""
    try:
        max_lag = parse_duration(request.max_lag)
    except ValueError as error:
        raise ConfigError(f"--max-lag: {error}") from error
    if request.rules is not None and not request.rules.exists():
        raise ConfigError(f"There is no {request.rules}; check the name.")
    rules = load_rules(request.rules or rules_file())
    at = now or utc_now()
    readings = run_readings(_reports(request.state, at, max_lag), nobodys=_name_of(request.state))
    judgements = evaluate(rules, readings, {}, at=at, now=at, unread=_UNREAD).judgements
    in_order = sorted(judgements, key=lambda one: _WORST_FIRST.index(one.verdict))
    if as_json:
        typer.echo(json.dumps(_facts(rules, in_order, at), indent=1))
    else:
        typer.echo("\n".join(_lines(rules, in_order)))
    return 0 if all(one.verdict is Verdict.NOT_MET for one in judgements) else 1


def _reports(state: Path | None, at: datetime, max_lag: float) -> list[RunReport]:
    """The run that is asked about; else of each role those that live, or the last one where none does."""
    if state is not None:
        path = state
        if state.is_dir():
            name = INGESTION_FILE if _only_an_ingestion(state) else CAPTURE_FILE
            path = state / name
        return [read_run(path, at, max_lag)]
    found: list[RunReport] = []
    for role in Role:
        reports = [read_run(path, at, max_lag) for path in known_heartbeats(roles=(role,))]
        alive = [one for one in reports if one.heartbeat is not None and not one.ended]
        found += alive or reports[:1]
    return found


def _only_an_ingestion(folder: Path) -> bool:
    return (folder / INGESTION_FILE).exists() and not (folder / CAPTURE_FILE).exists()


def _name_of(state: Path | None) -> str | None:
    return None if state is None else f"The run of {state.name}"


def _lines(rules: Sequence[Rule], judgements: Sequence[Judgement]) -> Iterable[str]:
    counts = [sum(one.verdict is verdict for one in judgements) for verdict in _WORST_FIRST]
    yield (
        f"{format_count(len(rules), 'rule')}: {counts[0]} met, {counts[1]} that cannot be judged, "
        f"{counts[2]} not met."
    )
    width = max((len(one.rule.name) for one in judgements), default=0)
    for one in judgements:
        yield f"{one.verdict.upper():16}  {one.rule.name:{width}}  {judgement_text(one)}"
    for rule in _idle(rules, judgements):
        yield f"{'NOTHING TO JUDGE':16}  {rule.name:{width}}  There is nothing now that it is about: {rule.subject}."


def _idle(rules: Sequence[Rule], judgements: Sequence[Judgement]) -> Iterable[Rule]:
    judged = {one.rule.name for one in judgements}
    return (rule for rule in rules if rule.name not in judged)


def _facts(rules: Sequence[Rule], judgements: Sequence[Judgement], at: datetime) -> dict[str, Any]:
    return {
        "as_of": at.isoformat(),
        "rules": len(rules),
        "met": sum(one.verdict is Verdict.MET for one in judgements),
        "not_judged": sum(one.verdict is Verdict.UNKNOWN for one in judgements),
        "judgements": [_judgement(one) for one in judgements],
        "nothing_to_judge": [rule.name for rule in _idle(rules, judgements)],
    }


def _judgement(one: Judgement) -> dict[str, Any]:
    rule, reading, evidence = one.rule, one.reading, evidence_of(one.rule, one.reading)
    return {
        "rule": rule.name,
        "verdict": one.verdict,
        "subject": one.subject,
        "figure": rule.figure,
        "operator": rule.operator,
        "level": list(rule.words) or rule.level,
        "sentence": judgement_text(one),
        "in_hours": one.is_awake,
        "severity": rule.severity,
        "targets": list(rule.targets),
        "inputs": [
            {
                "name": evidence.name,
                "value": reading.value,
                "source": evidence.source or None,
                "age_seconds": evidence.age_seconds,
                "why_not": reading.why or None,
                "caveat": reading.caveat or None,
            }
        ],
    }
