"""The user's rules, a snapshot and what it comes to → what they say, by the file as it is now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from options_helper.alerting.books import Scope
from options_helper.alerting.course import SETTLES_SECONDS, Judged
from options_helper.analysis.alerts.evaluator import after_absence, evaluate
from options_helper.analysis.alerts.figures import book_readings, stream_readings
from options_helper.analysis.book_look import BookLook
from options_helper.clock import boot_name, elapsed_seconds
from options_helper.data.alerts_file import RulesFile, reread_rules, rules_file
from options_helper.errors import ConfigError
from options_helper.model.alerts import Elapsed, Readings, Rule, RuleState, SubjectKind
from options_helper.model.announcement import MarketKind
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot

NOT_READ: Final[Mapping[SubjectKind, str]] = MappingProxyType(
    {
        kind: "the portfolio has not been read yet"
        for kind in SubjectKind
        if kind not in (SubjectKind.RUN, SubjectKind.JOB, SubjectKind.PROVIDER, SubjectKind.STREAM)
    }
)

UNTIMED: Final[Mapping[SubjectKind, str]] = MappingProxyType(
    dict.fromkeys(NOT_READ, "what time it is in the simulated market is not known yet")
)


def named_rules(path: Path | None) -> RulesFile:
    """The rules of a file, None: where it is looked for. ConfigError for no rules, and for a name of no file."""
    found = reread_rules(rules_file(path))
    if found.problem is not None:
        raise ConfigError(found.problem)
    return found


def followed_rules() -> RulesFile:
    """The file where it is looked for, also while it is broken; what is wrong with it is among the problems."""
    return reread_rules(rules_file())


@dataclass(frozen=True, slots=True)
class Observed:
    """One snapshot with what it comes to, and the figures of this user's runs."""

    snapshot: LiveSnapshot
    runs: Readings
    portfolio: Portfolio | None = None  # None, as the look: there is none yet
    look: BookLook | None = None
    without_book: bool = False  # no rule is judged that asks for one, nor told that it cannot be


class RuleJudge:
    """Judges by the rules of one scope in a file as it is at each look; a broken one leaves those of before in force.

    Called on one thread at a time.
    """

    def __init__(
        self,
        file: RulesFile,
        scope: Scope,
        now: Callable[[], datetime],
        elapsed: Callable[[], float] = elapsed_seconds,
        boot: str | None = None,
    ) -> None:
        self._file, self._scope, self._now, self._elapsed = file, scope, now, elapsed
        self._boot = boot_name() if boot is None else boot  # what `elapsed` counts from
        # When the rules in force became others, by `elapsed`; None: nothing was judged yet.
        self._changed_at: float | None = None

    @property
    def needs_book(self) -> bool:
        """Whether some rule asks for more than streams, runs, jobs and providers say of themselves."""
        return any(rule.subject.kind in NOT_READ for rule in self._rules)

    @property
    def _rules(self) -> tuple[Rule, ...]:
        of_book = self._scope is Scope.BOOK
        return tuple(rule for rule in self._file.rules if rule.subject.kind.is_of_book is of_book)

    def __call__(self, observed: Observed, states: Mapping[str, RuleState]) -> Judged:
        """What the rules say."""
        # After the log was looked at, so that no program has counted further there.
        before, seconds = self._file, self._elapsed()
        self._file = file = reread_rules(before)
        if self._changed_at is None or file.rules != before.rules or file.problem != before.problem:
            self._changed_at = seconds
        rules, others = self._rules, tuple[Rule, ...]()
        if observed.without_book:
            others = tuple(rule for rule in rules if rule.subject.kind in NOT_READ)
            rules = tuple(rule for rule in rules if rule.subject.kind not in NOT_READ)
        snapshot, portfolio = observed.snapshot, observed.portfolio
        is_timeless = _is_timeless(snapshot)
        look = None if is_timeless else observed.look
        # Of the streams of this run the snapshot knows more than a heartbeat does.
        readings: Readings = {**observed.runs, **stream_readings(rules, snapshot)}
        if portfolio is not None and look is not None:
            readings = {**readings, **book_readings(rules, portfolio, snapshot, look)}
        evaluation = evaluate(
            rules,
            readings,
            states,
            at=snapshot.as_of,
            now=self._now(),
            elapsed=_elapsed(snapshot, seconds, self._boot),
            told=snapshot.told_sessions,
            unread=UNTIMED if is_timeless else NOT_READ if look is None else {},
        )
        if others:
            marks = tuple(f"{rule.key}; " for rule in others)
            kept = {key: state for key, state in states.items() if key.startswith(marks)}
            # Nobody looks whether what was so lasts.
            kept = {**after_absence(kept, kept), **evaluation.states}
            evaluation = replace(evaluation, states=MappingProxyType(kept))
        if file.problem is not None or seconds - self._changed_at < SETTLES_SECONDS:
            # A file is empty or torn while it is written. Were the states of its rules dropped then, they would begin
            # anew a moment later, and list what has crossed meanwhile in place of telling of it.
            evaluation = replace(evaluation, states=MappingProxyType({**states, **evaluation.states}))
        return Judged(evaluation, len(rules), () if file.problem is None else (file.problem,))


def _elapsed(snapshot: LiveSnapshot, seconds: float, boot: str) -> Elapsed:
    """By what lengths are told: a session that is played has its own pace, and no clock of ours sets its time."""
    if snapshot.market.plays:
        return Elapsed(snapshot.as_of.timestamp(), "the session that is played")
    return Elapsed(seconds, boot)


def _is_timeless(snapshot: LiveSnapshot) -> bool:
    """Whether a market on this computer has said nothing yet: its day is another, and all may have ended by ours.

    A connection alone says nothing: its market's time may come a moment after it.
    """
    return snapshot.market is MarketKind.LOCAL and not snapshot.quotes
