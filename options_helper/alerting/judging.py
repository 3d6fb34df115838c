"""The user's rules, a snapshot and what it comes to → what they say, by the file as it is now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from options_helper.alerting.runner import Judged
from options_helper.analysis.alerts.evaluator import evaluate
from options_helper.analysis.alerts.figures import book_readings
from options_helper.analysis.book_look import BookLook
from options_helper.data.alerts_file import RulesFile, load_rules, reread_rules, rules_file
from options_helper.model.alerts import Readings, RuleState, SubjectKind
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot

NOT_READ: Final[Mapping[SubjectKind, str]] = MappingProxyType(
    {
        kind: "the portfolio has not been read yet"
        for kind in SubjectKind
        if kind not in (SubjectKind.RUN, SubjectKind.JOB, SubjectKind.PROVIDER, SubjectKind.STREAM)
    }
)


@dataclass(frozen=True, slots=True)
class Observed:
    """One snapshot with what it comes to, and the figures of this user's runs."""

    snapshot: LiveSnapshot
    runs: Readings
    portfolio: Portfolio | None = None  # None, as the look: there is none yet
    look: BookLook | None = None


class RuleJudge:
    """Judges by the file of rules as it is at each look; a broken one leaves the rules of before in force.

    Called on one thread at a time.
    """

    def __init__(self, file: RulesFile, now: Callable[[], datetime]) -> None:
        self._file, self._now = file, now

    @classmethod
    def load(cls, path: Path | None, now: Callable[[], datetime]) -> RuleJudge:
        """By this file, None: where it is looked for; without one by the built-in rules. ConfigError for no rules."""
        found = path or rules_file()
        load_rules(found)
        return cls(reread_rules(RulesFile(found)), now)

    @classmethod
    def following(cls, now: Callable[[], datetime]) -> RuleJudge:
        """By the file where it is looked for, also while it is broken; what is wrong with it is among the problems."""
        return cls(reread_rules(RulesFile(rules_file())), now)

    @property
    def needs_book(self) -> bool:
        """Whether some rule asks for more than runs, jobs and providers say of themselves.

        How the streams of this run are, its snapshot tells beside the book.
        """
        kinds = {*NOT_READ, SubjectKind.STREAM}
        return any(rule.subject.kind in kinds for rule in self._file.rules)

    def __call__(self, observed: Observed, states: Mapping[str, RuleState]) -> Judged:
        """What the rules say."""
        self._file = file = reread_rules(self._file)
        snapshot, portfolio, look = observed.snapshot, observed.portfolio, observed.look
        readings: Readings = observed.runs
        if portfolio is not None and look is not None:
            # Of the streams of this run the snapshot knows more than a heartbeat does.
            readings = {**observed.runs, **book_readings(file.rules, portfolio, snapshot, look)}
        evaluation = evaluate(
            file.rules,
            readings,
            states,
            at=snapshot.as_of,
            now=self._now(),
            told=snapshot.told_sessions,
            unread=NOT_READ if look is None else {},
        )
        return Judged(evaluation, len(file.rules), () if file.problem is None else (file.problem,))
