"""What is said of a rule: a crossing as a message, with and without amounts, and a judgement as a line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from options_helper.model.alerts import (
    Evidence,
    Figure,
    FigureType,
    Firing,
    Judgement,
    Operator,
    Reading,
    Rule,
    Verdict,
    figure_named,
)
from options_helper.model.text import figure_text, price_text

_WORDS: Final = {
    Operator.ABOVE: "above",
    Operator.AT_LEAST: "at least",
    Operator.BELOW: "below",
    Operator.AT_MOST: "at most",
}
_CENT: Final = 0.01
_SIGNED_UNITS: Final = ("$ a share", "$ a day", "$")


def firing_of(
    rule: Rule,
    subject: str,
    reading: Reading,
    verdict: Verdict,
    *,
    key: str,
    crossed_at: datetime,
    now: datetime,
) -> Firing:
    """The message of a crossing, or of a figure that has not been known for too long."""
    kind = "unknown; " if verdict is Verdict.UNKNOWN else ""
    return Firing(
        key=f"{key}; {kind}{crossed_at.astimezone(UTC).isoformat()}",
        rule=rule.name,
        subject=subject,
        crossed_at=crossed_at,
        fired_at=now,
        severity=rule.severity,
        title=f"{rule.name}: {reading.label}",
        text=sentence(rule, reading, verdict, with_amounts=False),
        text_with_amounts=sentence(rule, reading, verdict),
        evidence=(evidence_of(rule, reading),),
        targets=rule.targets,
    )


def evidence_of(rule: Rule, reading: Reading) -> Evidence:
    """What a rule was judged by."""
    figure = _figure(rule)
    value = "not known" if reading.value is None else value_text(reading.value, figure)
    return Evidence(figure.words, value, reading.source, reading.age_seconds, figure.is_amount)


def judgement_text(judgement: Judgement) -> str:
    """One judgement as a sentence, with the amounts."""
    said = sentence(judgement.rule, judgement.reading, judgement.verdict)
    return said if judgement.is_awake else f"{said} It is outside of its hours."


def sentence(rule: Rule, reading: Reading, verdict: Verdict, *, with_amounts: bool = True) -> str:
    """What is so, with the source and age of the figure and what speaks against it."""
    figure = _figure(rule)
    if verdict is Verdict.UNKNOWN:
        why = f": {reading.why}" if reading.why else ""
        said = f"{reading.label}: {figure.words} cannot be judged{why}."
        return f"{said} {reading.part}" if with_amounts and reading.part else said
    claim = _claim(rule, reading, figure, with_amounts=with_amounts or not figure.is_amount)
    said = (with_amounts and reading.said_with_amounts) or reading.said or f"{reading.label}: {claim}."
    return " ".join(filter(None, (said, _origin(reading), _caveat(reading))))


def value_text(value: float | str, figure: Figure) -> str:
    """A value with its unit, as it is read."""
    if isinstance(value, str):
        return value
    match figure.type:
        case FigureType.FLAG:
            return "yes" if value else "no"
        case FigureType.COUNT:
            return f"{value:,.0f}"
        case FigureType.NUMBER | FigureType.WORD:
            return _amount(value, figure.unit)


def _amount(value: float, unit: str) -> str:
    if unit in _SIGNED_UNITS:
        sign, size = "−" if value < 0 else "", abs(value)
        shown = (
            price_text(size)
            if unit == "$ a share"
            else f"{size:,.2f}"
            if size >= _CENT
            else figure_text(size, 2)
        )
        return f"{sign}${shown}{unit.removeprefix('$')}"
    # What reads as 0 and is none would be taken for another thing: of 0 another rule may hold.
    shown = figure_text(value, 0 if unit in ("days", "s") else 1, 2 if unit.startswith("shares") else 1)
    gap = "" if unit.startswith("%") else " "
    return f"{shown}{gap}{unit}"


def _claim(rule: Rule, reading: Reading, figure: Figure, *, with_amounts: bool) -> str:
    value = reading.value
    if figure.type is FigureType.FLAG:
        return f"{'' if value else 'no '}{figure.words}"
    if figure.type is FigureType.COUNT or isinstance(value, str) or value is None:
        shown = value_text(value, figure) if value is not None else ""
        return f"{figure.words} {shown}".strip()
    holds = _WORDS.get(rule.operator, str(rule.operator))
    if not with_amounts:
        return f"{figure.words} is {holds} the rule's level"
    return f"{figure.words} {value_text(value, figure)} (the rule: {holds} {value_text(rule.level, figure)})"


def _origin(reading: Reading) -> str:
    if not reading.source:
        return ""
    age = "" if reading.age_seconds is None else f", {reading.age_seconds:,.0f} s old"
    return f"From {reading.source}{age}."


def _caveat(reading: Reading) -> str:
    return f"Not of the first grade: {reading.caveat}." if reading.caveat else ""


def _figure(rule: Rule) -> Figure:
    found = figure_named(rule.figure)
    if found is None:
        raise ValueError(f"{rule.figure!r} is no figure; a rule is checked before it is judged.")
    return found
