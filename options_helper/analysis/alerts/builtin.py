"""The rules that hold without a file: a run that is silent, a job that is behind, a key or a budget that stops it."""

from __future__ import annotations

from typing import Final

from options_helper.model.alerts import Rule, RuleSeverity, Subject, SubjectKind

BUILT_IN: Final = (
    Rule(
        "overdue heartbeat",
        Subject(SubjectKind.RUN),
        "heartbeat_overdue",
        severity=RuleSeverity.CRITICAL,
    ),
    Rule("late watermark", Subject(SubjectKind.JOB), "watermark_late"),
    Rule("refused key", Subject(SubjectKind.PROVIDER), "refused_key", severity=RuleSeverity.CRITICAL),
    # A minute without a request to spare is usual for whoever asks for much.
    Rule("exhausted budget", Subject(SubjectKind.PROVIDER), "exhausted_budget", for_seconds=120.0),
)
