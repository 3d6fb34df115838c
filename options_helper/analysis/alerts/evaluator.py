"""Rules, the figures of one instant and what was before → what fires now; pure, so that any process can go on with it.

A condition is one rule with one subject. It fires once per crossing: when it comes to hold, has held for as long as the
rule says, and was armed; it is armed anew when the figure has returned by the rule's margin. What holds at the first
look is listed, and fires not. What cannot be judged changes nothing of that, and is told after a while by itself.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple, assert_never

from options_helper.analysis.alerts.messages import firing_of
from options_helper.model.alerts import (
    Elapsed,
    Evaluation,
    Firing,
    HoursKind,
    Judgement,
    Operator,
    Reading,
    Readings,
    Rule,
    RuleHours,
    RuleState,
    Subject,
    SubjectKind,
    Verdict,
)
from options_helper.model.market_hours import (
    NEW_YORK,
    NOTHING_TOLD,
    ToldSessions,
    in_regular_hours,
    regular_session,
)

NOTHING_UNREAD: Final[Mapping[SubjectKind, str]] = MappingProxyType({})
_UNREAD: Final = "nothing of that kind has been read"
_NEW: Final = RuleState()
_HOLDS: Final[Mapping[Operator, Callable[[float, float], bool]]] = {
    Operator.ABOVE: operator.gt,
    Operator.AT_LEAST: operator.ge,
    Operator.BELOW: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.IS: operator.eq,
    Operator.IS_NOT: operator.ne,
}


class _Look(NamedTuple):
    """The moment of a look: on the market's clock, and in seconds that nobody sets."""

    at: datetime
    seconds: float

    def passed(self, since: float | None) -> float:
        """Seconds since then; to the microsecond, so that ten looks of 5 s each are 50 s."""
        return round(self.seconds - (since or 0.0), 6)


def evaluate(
    rules: Iterable[Rule],
    readings: Readings,
    states: Mapping[str, RuleState],
    *,
    at: datetime,
    now: datetime,
    elapsed: Elapsed,
    told: ToldSessions = NOTHING_TOLD,
    unread: Mapping[SubjectKind, str] = NOTHING_UNREAD,
) -> Evaluation:
    """Judge every rule as of `at`, on the market's clock; `now` is the computer's, of which a firing says when it was.

    How long something has lasted, and when a rule fired, goes by `elapsed`: the other two clocks may be set.

    `states` are those of the evaluation before, by whichever process; empty: there was none. The state of a rule that
    is no more is dropped, that of a subject without a reading is kept while its figure is known of nobody; why a
    kind of subject was not read is in `unread`.
    """
    look = _Look(at, elapsed.seconds)
    kept: dict[str, RuleState] = {}
    firings: list[Firing] = []
    judgements: list[Judgement] = []
    awake: dict[RuleHours, bool] = {}
    for rule in rules:
        if rule.hours not in awake:
            awake[rule.hours] = is_within(rule.hours, at, told)
        is_awake, rule_key = awake[rule.hours], rule.key
        found = readings.get((rule.subject.kind, rule.figure))
        # A figure that nobody has now, as of a daemon that starts again, is the same figure when it is back.
        if not found and rule.subject.is_each:
            mark = f"{rule_key}; "
            kept.update((key, state) for key, state in states.items() if key.startswith(mark))
        for name, reading in _subjects(rule.subject, found, readings, unread.get(rule.subject.kind, _UNREAD)):
            key = f"{rule_key}; {name}"
            before = _in_count(states.get(key, _NEW), elapsed)
            verdict = judge(rule, reading, before)
            after, event = _next(rule, reading, verdict, before, look, is_awake=is_awake)
            kept[key] = after
            if event is not None:
                firings.append(firing_of(rule, name, reading, verdict, key=key, crossed_at=event, now=now))
            judgements.append(Judgement(rule, name, verdict, reading, after, is_awake))
    return Evaluation(MappingProxyType(kept), tuple(firings), tuple(judgements))


def after_absence(
    states: Mapping[str, RuleState], of_before: Mapping[str, RuleState]
) -> Mapping[str, RuleState]:
    """These states for a look by which what was so `of_before` has not lasted: nobody saw that it did."""
    return {key: _not_lasting(state, of_before.get(key)) for key, state in states.items()}


def broken_states(before: Mapping[str, RuleState], after: Mapping[str, RuleState]) -> dict[str, RuleState]:
    """Those states of which something lasted and does no more by the evaluation after them; what has fired is over."""
    return {key: state for key, state in before.items() if (new := after.get(key)) and _is_broken(state, new)}


def _is_broken(state: RuleState, after: RuleState) -> bool:
    was_met = state.met_since is not None and after.met_since is None and after.fired_at == state.fired_at
    return was_met or (state.unknown_since is not None and after.unknown_since is None)


def _not_lasting(state: RuleState, before: RuleState | None) -> RuleState:
    if before is None:
        return state
    if state.met_since is not None and state.met_since == before.met_since:
        state = replace(state, met_since=None, met_elapsed=None)
    if state.unknown_since is not None and state.unknown_since == before.unknown_since:
        state = replace(state, unknown_since=None, unknown_elapsed=None)
    return state


def _in_count(state: RuleState, elapsed: Elapsed) -> RuleState:
    """The state with no length of another count: what lasted then begins anew.

    What lies ahead is of another, as of before the computer's start where the system does not name that.
    """
    met, unknown, fired = state.met_elapsed, state.unknown_elapsed, state.fired_elapsed
    seconds, since = elapsed
    if (
        state.counted_since == since
        and (met is None or met <= seconds)
        and (unknown is None or unknown <= seconds)
        and (fired is None or fired <= seconds)
    ):
        return state
    return replace(
        state,
        counted_since=since,
        met_since=None,
        met_elapsed=None,
        unknown_since=None,
        unknown_elapsed=None,
        fired_elapsed=None,
    )


def changed_states(
    before: Mapping[str, RuleState], after: Mapping[str, RuleState]
) -> dict[str, RuleState | None]:
    """What of the states is new or another, for whoever keeps them; None: it is no more."""
    gone: dict[str, RuleState | None] = {key: None for key in before if key not in after}
    return gone | {key: state for key, state in after.items() if before.get(key) != state}


def is_within(hours: RuleHours, at: datetime, told: ToldSessions = NOTHING_TOLD) -> bool:
    """Whether a rule of these hours is judged at `at`; of a window the end is not in it."""
    match hours.kind:
        case HoursKind.ALWAYS:
            return True
        case HoursKind.REGULAR:
            return in_regular_hours(at, told)
        case HoursKind.WINDOW:
            local = at.astimezone(NEW_YORK)
            return (
                hours.begins <= local.time() < hours.ends and regular_session(local.date(), told) is not None
            )
        case _:
            assert_never(hours.kind)


def judge(rule: Rule, reading: Reading, state: RuleState) -> Verdict:
    """What the rule says of a figure; of a count the state says up to where it has been told."""
    value = reading.value
    if value is None:
        return Verdict.UNKNOWN
    if isinstance(value, str):
        holds = (value in rule.words) is (rule.operator is Operator.IS)
    elif rule.operator is Operator.RISES:
        holds = state.count is not None and value > _told_of(state, reading)
    else:
        holds = _HOLDS[rule.operator](value, rule.level)
    return Verdict.MET if holds else Verdict.NOT_MET


def _subjects(
    subject: Subject, found: Mapping[str, Reading] | None, readings: Readings, unread: str
) -> Iterable[tuple[str, Reading]]:
    """Whom a rule is about now, with the reading of each; `found` are those of its figure."""
    if found is None:
        return [(subject.name or str(subject), Reading(None, str(subject), why=unread))]
    if subject.name is None:
        return [
            (name, one)
            for name, one in found.items()
            if one.is_held and (subject.side is None or one.side is subject.side)
        ]
    if subject.kind is SubjectKind.RUN:
        runs = [(name, one) for name, one in found.items() if name.partition(" ")[0] == subject.name]
        return runs or [(subject.name, Reading(None, str(subject), why="no such run is known"))]
    reading = found.get(subject.name)
    is_there = any(
        subject.name in of_figure for (kind, _), of_figure in readings.items() if kind is subject.kind
    )
    why = "it has no such figure" if is_there else f"there is no {subject.kind} of that name"
    return [(subject.name, reading or Reading(None, str(subject), why=why))]


def _next(
    rule: Rule, reading: Reading, verdict: Verdict, state: RuleState, look: _Look, *, is_awake: bool
) -> tuple[RuleState, datetime | None]:
    """The state after a look, and the instant of the crossing where the rule fires."""
    if not is_awake:
        return _asleep(rule, reading, verdict, state), None
    if verdict is Verdict.UNKNOWN:
        return _unknown(rule, state, look)
    if state.unknown_since is not None or state.is_unknown_told:
        state = replace(state, unknown_since=None, unknown_elapsed=None, is_unknown_told=False)
    if rule.operator is Operator.RISES:
        return _counted(rule, reading, verdict, state, look)
    if not state.is_known:
        return replace(state, is_known=True, is_armed=verdict is Verdict.NOT_MET), None
    if verdict is Verdict.NOT_MET:
        return _not_met(rule, reading, state), None
    return _held(rule, state, look) if state.is_armed else (state, None)


def _not_met(rule: Rule, reading: Reading, state: RuleState) -> RuleState:
    is_armed = state.is_armed or _has_returned(rule, reading)
    if state.met_since is None and is_armed is state.is_armed:
        return state
    return replace(state, met_since=None, met_elapsed=None, is_armed=is_armed)


def _held(rule: Rule, state: RuleState, look: _Look) -> tuple[RuleState, datetime | None]:
    if state.met_since is None or state.met_elapsed is None:
        state = replace(state, met_since=look.at, met_elapsed=look.seconds)
    if look.passed(state.met_elapsed) < rule.for_seconds or _cools(rule, state, look):
        return state, None
    fired = replace(
        state, is_armed=False, met_since=None, met_elapsed=None, fired_at=look.at, fired_elapsed=look.seconds
    )
    return fired, state.met_since


def _asleep(rule: Rule, reading: Reading, verdict: Verdict, state: RuleState) -> RuleState:
    """Outside of its hours a rule begins nothing and counts no time, but what was true before them is known."""
    if state.met_since is not None or state.unknown_since is not None:
        state = replace(state, met_since=None, met_elapsed=None, unknown_since=None, unknown_elapsed=None)
    if verdict is Verdict.UNKNOWN or state.is_known:
        return state
    if rule.operator is Operator.RISES:
        return replace(state, is_known=True, count=_number(reading), period=reading.period)
    return replace(state, is_known=True, is_armed=verdict is Verdict.NOT_MET)


def _unknown(rule: Rule, state: RuleState, look: _Look) -> tuple[RuleState, datetime | None]:
    if state.met_since is not None:
        state = replace(state, met_since=None, met_elapsed=None)
    if state.unknown_since is None or state.unknown_elapsed is None:
        state = replace(state, unknown_since=look.at, unknown_elapsed=look.seconds)
    if state.is_unknown_told or look.passed(state.unknown_elapsed) < rule.unknown_seconds:
        return state, None
    return replace(state, is_unknown_told=True), state.unknown_since


def _counted(
    rule: Rule, reading: Reading, verdict: Verdict, state: RuleState, look: _Look
) -> tuple[RuleState, datetime | None]:
    """Of a count each rise is a crossing of its own; those that fall into a cooldown are told together after it."""
    count = _number(reading)
    if verdict is Verdict.MET and not _cools(rule, state, look):
        fired = replace(state, fired_at=look.at, fired_elapsed=look.seconds)
        return replace(fired, count=count, period=reading.period), look.at
    if verdict is Verdict.MET or (state.count == count and state.period == reading.period):
        return state, None
    return replace(state, is_known=True, count=count, period=reading.period), None


def _told_of(state: RuleState, reading: Reading) -> float:
    return (state.count or 0.0) if state.period == reading.period else 0.0


def _number(reading: Reading) -> float:
    return float(reading.value or 0.0)


def _cools(rule: Rule, state: RuleState, look: _Look) -> bool:
    """Whether it fired so short a time ago.

    Of what fired in another count the market's clock alone can tell; by one that was ahead then it is no reason to be
    silent.
    """
    if state.fired_at is None:
        return False
    is_counted = state.fired_elapsed is not None
    passed = look.passed(state.fired_elapsed) if is_counted else (look.at - state.fired_at).total_seconds()
    return 0 <= passed < rule.cooldown_seconds


def _has_returned(rule: Rule, reading: Reading) -> bool:
    """Whether a figure that is not met any more has come back by the margin."""
    value = reading.value
    if not isinstance(value, int | float):
        return True
    match rule.operator:
        case Operator.ABOVE | Operator.AT_LEAST:
            return value <= rule.level - rule.rearm_margin
        case Operator.BELOW | Operator.AT_MOST:
            return value >= rule.level + rule.rearm_margin
        case Operator.IS | Operator.IS_NOT | Operator.RISES:
            return True
        case _:
            assert_never(rule.operator)
