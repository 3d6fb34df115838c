"""Judge every rule once, without a word to anybody: `alerts check`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import typer

from options_helper.alerting.judging import named_rules
from options_helper.analysis.alerts.evaluator import evaluate
from options_helper.analysis.alerts.figures import book_readings
from options_helper.analysis.alerts.messages import evidence_of, judgement_text
from options_helper.analysis.book_look import look_at_book
from options_helper.analysis.live_portfolio_metrics import DEFAULT_WIDE_SPREAD_PCT
from options_helper.analysis.reconcile.reconciliation import file_behind
from options_helper.clock import utc_now
from options_helper.commands.durations import parse_duration
from options_helper.commands.portfolio_display import Screen
from options_helper.commands.rest_look import (
    DEFAULT_FILE,
    STALE_AFTER_SECONDS,
    connected,
    look,
    risk_choices,
    with_account,
)
from options_helper.data.earnings_file import load_earnings
from options_helper.data.notify.targets import load_targets
from options_helper.data.rest.client import AlpacaRest
from options_helper.errors import ConfigError, RestError
from options_helper.model.alerts import Elapsed, Judgement, Readings, Rule, SubjectKind, Verdict
from options_helper.model.market_hours import NOTHING_TOLD, ToldSessions
from options_helper.model.portfolio import load_portfolio
from options_helper.model.problems import Problem, sentences
from options_helper.model.text import format_count
from options_helper.monitoring.heartbeat_file import CAPTURE_FILE, INGESTION_FILE
from options_helper.monitoring.run_readings import reports_of_others, run_readings
from options_helper.monitoring.run_report import RunReport, read_run
from options_helper.settings import NO_KEYS, RiskSettings, Settings

_WORST_FIRST: Final = (Verdict.MET, Verdict.UNKNOWN, Verdict.NOT_MET)
_OF_A_BOOK: Final = (
    SubjectKind.LEG,
    SubjectKind.STRUCTURE,
    SubjectKind.UNDERLYING,
    SubjectKind.EXPIRY,
    SubjectKind.BOOK,
    SubjectKind.ACCOUNT,
)


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What is asked of the command."""

    file: Path | None = None  # of the portfolio
    rules: Path | None = None
    state: Path | None = None
    max_lag: str = "30s"


@dataclass(frozen=True, slots=True)
class _Observed:
    """What a book comes to at one look, or why there was none."""

    readings: Readings = field(default_factory=dict)
    at: datetime | None = None  # on the market's clock
    told: ToldSessions = field(default_factory=lambda: NOTHING_TOLD)
    unread: str = ""
    problems: tuple[str, ...] = ()


def show_check(
    request: CheckRequest,
    *,
    as_json: bool,
    now: Callable[[], datetime] = utc_now,
    rest_cls: Callable[..., AlpacaRest] = AlpacaRest,
) -> int:
    """Judge and print; the exit code. ConfigError for bad input."""
    try:
        max_lag = parse_duration(request.max_lag)
    except ValueError as error:
        raise ConfigError(f"--max-lag: {error}") from error
    rules = named_rules(request.rules).rules
    book = _observed(request.file, rules, now, rest_cls)
    at = now()
    runs = run_readings(_reports(request.state, at, max_lag), nobodys=_name_of(request.state))
    judgements = evaluate(
        rules,
        {**book.readings, **runs},
        {},
        at=book.at or at,
        now=at,
        elapsed=Elapsed(0.0),  # of one look nothing lasts
        told=book.told,
        unread=dict.fromkeys(_OF_A_BOOK, book.unread),
    ).judgements
    in_order = sorted(judgements, key=lambda one: _WORST_FIRST.index(one.verdict))
    problems = (*book.problems, *_unknown_targets(rules))
    if as_json:
        typer.echo(json.dumps(_facts(rules, in_order, problems, book.at or at), indent=1))
    else:
        typer.echo("\n".join(_lines(rules, in_order, problems)))
    return 0 if all(one.verdict is Verdict.NOT_MET for one in judgements) else 1


def _observed(
    file: Path | None,
    rules: Sequence[Rule],
    now: Callable[[], datetime],
    rest_cls: Callable[..., AlpacaRest],
) -> _Observed:
    """One look over REST, where a rule asks for what only that tells; ConfigError for a portfolio that was named."""
    if not any(rule.subject.kind in _OF_A_BOOK for rule in rules):
        return _Observed()
    try:
        portfolio = load_portfolio(file or DEFAULT_FILE)
    except ConfigError as error:
        if file is not None:
            raise
        return _Observed(unread=str(error).rstrip("."))
    settings, risk = Settings.load(), RiskSettings.load()
    if not settings.has_credentials:
        return _Observed(unread=f"no keys: {NO_KEYS.rstrip('.')}")
    choices, earnings = risk_choices(risk), load_earnings(risk.events_file)
    problems: list[Problem] = []
    try:
        with connected(Screen(), settings, rest_cls) as (waiting, rest):
            live = look(rest, settings, portfolio, choices, now=now, waiting=waiting, problems=problems)
            live = with_account(rest, live, portfolio, waiting, problems)
    except RestError as error:
        return _Observed(unread=str(error).rstrip("."))
    found = look_at_book(
        portfolio,
        live,
        choices,
        stale_after_seconds=STALE_AFTER_SECONDS,
        wide_spread_pct=DEFAULT_WIDE_SPREAD_PCT,
        earnings=earnings,
        behind=file_behind(portfolio, live.account, live.told_sessions),
    )
    of_book = tuple(rule for rule in rules if rule.subject.kind in _OF_A_BOOK)
    readings = book_readings(of_book, portfolio, live, found)
    return _Observed(
        readings, live.as_of, live.told_sessions, problems=sentences(problems, with_questions=True)
    )


def _unknown_targets(rules: Sequence[Rule]) -> Iterable[str]:
    """Targets that rules name and the user has not; where their file cannot be used, `alerts test` says why."""
    try:
        known = load_targets().by_name
    except ConfigError as error:
        return [str(error)]
    return [
        f"The rule {rule.name!r} is for the target {name!r}, which there is not."
        for rule in rules
        for name in rule.targets
        if name not in known
    ]


def _reports(state: Path | None, at: datetime, max_lag: float) -> list[RunReport]:
    """The run that is asked about, else all of this user's."""
    if state is None:
        return reports_of_others(at, max_lag)
    path = state
    if state.is_dir():
        path = state / (INGESTION_FILE if _only_an_ingestion(state) else CAPTURE_FILE)
    return [read_run(path, at, max_lag)]


def _only_an_ingestion(folder: Path) -> bool:
    return (folder / INGESTION_FILE).exists() and not (folder / CAPTURE_FILE).exists()


def _name_of(state: Path | None) -> str | None:
    return None if state is None else f"The run of {state.name}"


def _lines(rules: Sequence[Rule], judgements: Sequence[Judgement], problems: Sequence[str]) -> Iterable[str]:
    counts = [sum(one.verdict is verdict for one in judgements) for verdict in _WORST_FIRST]
    idle = list(_idle(rules, judgements))
    # A rule is judged once for each of its subjects, so the two are counted apart.
    without = f", {len(idle)} of them with nothing to judge" if idle else ""
    yield (
        f"{format_count(len(rules), 'rule')}{without}. {format_count(len(judgements), 'judgement')}: "
        f"{counts[0]} met, {counts[1]} that cannot be judged, {counts[2]} not met."
    )
    width = max((len(one.rule.name) for one in judgements), default=0)
    for one in judgements:
        yield f"{one.verdict.upper():16}  {one.rule.name:{width}}  {judgement_text(one)}"
    for rule in idle:
        yield f"{'NOTHING TO JUDGE':16}  {rule.name:{width}}  There is nothing now that it is about: {rule.subject}."
    yield from (f"! {problem}" for problem in problems)


def _idle(rules: Sequence[Rule], judgements: Sequence[Judgement]) -> Iterable[Rule]:
    judged = {one.rule.name for one in judgements}
    return (rule for rule in rules if rule.name not in judged)


def _facts(
    rules: Sequence[Rule], judgements: Sequence[Judgement], problems: Sequence[str], at: datetime
) -> dict[str, Any]:
    return {
        "as_of": at.isoformat(),
        "rules": len(rules),
        "met": sum(one.verdict is Verdict.MET for one in judgements),
        "not_judged": sum(one.verdict is Verdict.UNKNOWN for one in judgements),
        "judgements": [_judgement(one) for one in judgements],
        "nothing_to_judge": [rule.name for rule in _idle(rules, judgements)],
        "problems": list(problems),
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
