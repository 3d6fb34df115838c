"""Rules at their edges: one crossing is one firing, whenever and by whomever it is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.alerts.evaluator import changed_states, evaluate, is_within
from options_helper.analysis.attention.entries import AttentionKind
from options_helper.model.alerts import (
    ALWAYS,
    ATTENTION_KINDS,
    BUILT_IN,
    FIGURES,
    REGULAR,
    Elapsed,
    Evaluation,
    Firing,
    HoursKind,
    Operator,
    Reading,
    Readings,
    Rule,
    RuleHours,
    RuleState,
    Side,
    Subject,
    SubjectKind,
    Verdict,
    figure_named,
)
from tests.kit.builders import AS_OF, new_york

SPY = Subject(SubjectKind.UNDERLYING, "SPY")
FALLS = Rule("stop", SPY, "price", Operator.BELOW, 500.0, rearm_margin=2.5)


def of_spy(value: float | str | None, figure: str = "price", **more: object) -> Readings:
    return {(SubjectKind.UNDERLYING, figure): {"SPY": replace(Reading(value, "SPY"), **more)}}


def elapsed_at(instant: datetime) -> Elapsed:
    """By a clock that nobody has set."""
    return Elapsed((instant - AS_OF).total_seconds() + 1e7, "boot")


class Watcher:
    """Evaluates one rule at instants of its own, and keeps what a process would keep."""

    def __init__(self, *rules: Rule, states: Mapping[str, RuleState] | None = None) -> None:
        self.rules = rules
        self.states: Mapping[str, RuleState] = states or {}

    def look(self, readings: Readings, seconds: float = 0.0, at: datetime = AS_OF) -> Evaluation:
        instant = at + timedelta(seconds=seconds)
        passed = elapsed_at(instant)
        found = evaluate(self.rules, readings, self.states, at=instant, now=instant, elapsed=passed)
        self.states = found.states
        return found

    def fired(self, *values: float | None, every: float = 1.0) -> list[Firing]:
        return [one for n, value in enumerate(values) for one in self.look(of_spy(value), n * every).firings]


def test_what_is_already_true_at_the_first_look_is_listed_and_fires_not():
    found = Watcher(FALLS).look(of_spy(499.0))

    assert found.firings == ()
    assert [one.verdict for one in found.judgements] == [Verdict.MET]


@pytest.mark.parametrize(
    ("operator", "values", "fires"),
    [
        (Operator.BELOW, [501, 500], 0),
        (Operator.BELOW, [501, 499.99], 1),
        (Operator.AT_MOST, [501, 500], 1),
        (Operator.ABOVE, [499, 500], 0),
        (Operator.ABOVE, [499, 500.01], 1),
        (Operator.AT_LEAST, [499, 500], 1),
    ],
)
def test_the_level_itself_belongs_to_one_side(operator: Operator, values: list[float], fires: int):
    assert len(Watcher(replace(FALLS, operator=operator)).fired(*values)) == fires


def test_it_fires_anew_only_after_the_figure_has_returned_by_the_margin():
    watcher = Watcher(FALLS)

    assert len(watcher.fired(501, 499, 502.49, 499, 502.5, 499)) == 2


def test_it_must_hold_for_as_long_as_the_rule_says_and_the_crossing_is_when_it_began():
    rule = replace(FALLS, for_seconds=30.0)
    values = [501.0] + [499.0] * 31

    firings = Watcher(rule).fired(*values)

    assert [(one.crossed_at, one.fired_at) for one in firings] == [
        (AS_OF + timedelta(seconds=1), AS_OF + timedelta(seconds=31))
    ]
    assert Watcher(rule).fired(*values[:-1]) == []


def test_a_break_begins_the_time_anew_and_so_does_what_is_not_known():
    rule = replace(FALLS, for_seconds=10.0)

    for broken in (501.0, None):
        assert Watcher(rule).fired(501, *[499] * 9, broken, *[499] * 10) == []


def test_a_crossing_in_the_cooldown_fires_when_that_is_over_and_it_still_holds():
    rule = replace(FALLS, cooldown_seconds=60.0)
    watcher = Watcher(rule)

    assert len(watcher.fired(501, 499, 510, 499)) == 1
    assert watcher.look(of_spy(499.0), 60.5).firings == ()
    assert len(watcher.look(of_spy(499.0), 61.0).firings) == 1


def test_what_cannot_be_judged_is_told_once_after_its_time_with_the_reason():
    watcher = Watcher(replace(FALLS, unknown_seconds=60.0))
    unknown = of_spy(None, why="no quote")
    watcher.look(of_spy(501.0))

    firings = [one for second in range(1, 200) for one in watcher.look(unknown, second).firings]

    assert [(one.crossed_at, one.fired_at) for one in firings] == [
        (AS_OF + timedelta(seconds=1), AS_OF + timedelta(seconds=61))
    ]
    assert firings[0].text == "SPY: price cannot be judged: no quote."
    # It has crossed while nobody could see it.
    assert len(watcher.look(of_spy(499.0), 300).firings) == 1
    assert [one.fired_at for second in (400, 500) for one in watcher.look(unknown, second).firings] == [
        AS_OF + timedelta(seconds=500)
    ]


def test_a_figure_that_is_known_late_was_true_at_the_start():
    assert Watcher(FALLS).fired(None, None, 499, 499) == []


def test_a_figure_not_of_the_first_grade_fires_with_that_said():
    watcher = Watcher(FALLS)
    watcher.look(of_spy(501.0))

    (firing,) = watcher.look(
        of_spy(499.0, caveat="its quote is stale", source="rest", age_seconds=40.0), 1
    ).firings

    assert firing.text == (
        "SPY: price $499.00 a share (the rule: below $500.00 a share). From rest, 40 s old. "
        "Not of the first grade: its quote is stale."
    )
    assert (firing.evidence[0].source, firing.evidence[0].age_seconds) == ("rest", 40.0)


def test_a_message_has_no_amount_but_where_it_may():
    book = Subject(SubjectKind.BOOK, "")
    watcher = Watcher(Rule("loss", book, "pnl_today", Operator.AT_MOST, -500.0))
    watcher.look({(SubjectKind.BOOK, "pnl_today"): {"": Reading(0.0, "The book")}})

    (firing,) = watcher.look({(SubjectKind.BOOK, "pnl_today"): {"": Reading(-523.4, "The book")}}, 1).firings

    assert firing.text == "The book: profit today is at most the rule's level."
    assert firing.text_with_amounts == "The book: profit today −$523.40 (the rule: at most −$500.00)."
    assert firing.evidence[0].is_amount


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-27 09:29:59", False),
        ("2026-11-27 09:30", True),
        ("2026-11-27 12:59:59", True),
        ("2026-11-27 13:00", False),  # the half day after Thanksgiving
        ("2026-11-26 11:00", False),
        ("2026-11-28 11:00", False),
    ],
)
def test_regular_hours_know_half_days_holidays_and_weekends(moment: str, *, is_open: bool):
    assert is_within(REGULAR, new_york(moment)) is is_open
    assert is_within(ALWAYS, new_york(moment))


@pytest.mark.parametrize(
    ("moment", "is_in"),
    [
        ("2026-11-20 14:59:59", False),
        ("2026-11-20 15:00", True),
        ("2026-11-20 15:59:59", True),
        ("2026-11-20 16:00", False),
        ("2026-11-21 15:30", False),
    ],
)
def test_a_window_is_of_trading_days(moment: str, *, is_in: bool):
    assert is_within(RuleHours(HoursKind.WINDOW, time(15), time(16)), new_york(moment)) is is_in


def test_outside_of_its_hours_nothing_fires_or_counts_and_what_crossed_meanwhile_fires_when_they_begin():
    watcher = Watcher(replace(FALLS, hours=REGULAR, for_seconds=60.0))
    friday, monday = new_york("2026-11-20 15:59:30"), new_york("2026-11-23 09:30")
    watcher.look(of_spy(501.0), at=friday)
    watcher.look(of_spy(499.0), 10, at=friday)

    over_night = [watcher.look(of_spy(499.0), hour * 3_600, at=friday).firings for hour in range(1, 60)]

    assert not any(over_night)
    assert watcher.look(of_spy(499.0), 0, at=monday).firings == ()
    assert len(watcher.look(of_spy(499.0), 60, at=monday).firings) == 1


def test_a_watch_that_began_at_night_knows_what_was_not_true_yet():
    watcher = Watcher(replace(FALLS, hours=REGULAR))
    watcher.look(of_spy(501.0), at=new_york("2026-11-22 20:00"))

    assert len(watcher.look(of_spy(499.0), at=new_york("2026-11-23 09:30")).firings) == 1


def test_each_rise_of_a_count_fires_and_a_new_day_counts_from_nothing():
    rule = Rule("fill", Subject(SubjectKind.ACCOUNT, ""), "fills", Operator.RISES)
    watcher = Watcher(rule)

    def look(count: int, day: str, seconds: int) -> int:
        reading = Reading(float(count), "The account", period=day)
        return len(watcher.look({(SubjectKind.ACCOUNT, "fills"): {"": reading}}, seconds).firings)

    looks = [(3, "20"), (3, "20"), (5, "20"), (5, "20"), (0, "21"), (2, "21"), (2, "21"), (1, "22")]
    assert [look(count, day, n) for n, (count, day) in enumerate(looks)] == [0, 0, 1, 0, 0, 1, 0, 1]


def test_a_word_is_one_of_several():
    rule = Rule(
        "down", Subject(SubjectKind.STREAM, "options"), "phase", words=("failed", "stalled"), level=0.0
    )
    watcher = Watcher(rule)

    def look(phase: str, second: int) -> int:
        return len(
            watcher.look(
                {(SubjectKind.STREAM, "phase"): {"options": Reading(phase, "options")}}, second
            ).firings
        )

    phases = ["live", "stalled", "failed", "live", "failed"]
    assert [look(phase, n) for n, phase in enumerate(phases)] == [0, 1, 0, 0, 1]


def test_each_short_leg_is_a_condition_of_its_own():
    watcher = Watcher(
        Rule(
            "tested",
            Subject(SubjectKind.LEG, None, Side.SHORT),
            "distance_to_strike",
            Operator.AT_MOST,
            0.0,
        )
    )

    def readings(**distances: float) -> Readings:
        found = {
            name: Reading(value, name, side=Side.LONG if name == "long" else Side.SHORT)
            for name, value in distances.items()
        }
        return {(SubjectKind.LEG, "distance_to_strike"): found}

    watcher.look(readings(a=1, b=1, long=1))
    assert [one.subject for one in watcher.look(readings(a=-1, b=1, long=-1), 1).firings] == ["a"]
    assert [one.subject for one in watcher.look(readings(a=-1, b=-1, long=-1), 2).firings] == ["b"]


def test_a_subject_that_is_not_there_cannot_be_judged_and_each_of_none_is_none():
    rules = (
        Rule("gone", Subject(SubjectKind.LEG, "X"), "mark", Operator.BELOW, 1.0),
        Rule("capture", Subject(SubjectKind.RUN, "capture"), "heartbeat_overdue"),
        Rule("each", Subject(SubjectKind.LEG), "mark", Operator.BELOW, 1.0),
    )

    found = Watcher(*rules).look({(SubjectKind.LEG, "mark"): {}})

    assert [(one.rule.name, one.verdict) for one in found.judgements] == [
        ("gone", Verdict.UNKNOWN),
        ("capture", Verdict.UNKNOWN),
    ]


@pytest.mark.parametrize(
    ("name", "why"), [("SPYY", "there is no underlying of that name"), ("QQQ", "it has no such figure")]
)
def test_a_name_of_nothing_is_told_from_a_figure_that_it_has_not(name: str, why: str):
    rule = replace(FALLS, subject=Subject(SubjectKind.UNDERLYING, name))
    readings = {**of_spy(505.0), (SubjectKind.UNDERLYING, "delta"): {"QQQ": Reading(1.0, "QQQ")}}

    assert [one.reading.why for one in Watcher(rule).look(readings).judgements] == [why]


def test_a_kind_that_was_not_read_says_why():
    rule = Rule("each", Subject(SubjectKind.LEG), "mark", Operator.BELOW, 1.0, unknown_seconds=10)
    states: Mapping[str, RuleState] = {}

    def look(seconds: float) -> Evaluation:
        at = AS_OF + timedelta(seconds=seconds)
        unread = {SubjectKind.LEG: "no keys"}
        return evaluate((rule,), {}, states, at=at, now=at, elapsed=elapsed_at(at), unread=unread)

    found = look(0)
    states = found.states

    assert [one.reading.why for one in found.judgements] == ["no keys"]
    assert [one.text for one in look(10).firings] == ["each leg: mark cannot be judged: no keys."]


def test_each_is_of_what_is_held_and_who_names_another_may():
    seen = {(SubjectKind.UNDERLYING, "price"): {"SPY": Reading(499.0, "SPY", is_held=False)}}

    found = Watcher(FALLS, replace(FALLS, name="each", subject=Subject(SubjectKind.UNDERLYING))).look(seen)

    assert [one.rule.name for one in found.judgements] == ["stop"]


def test_a_rule_of_a_role_is_of_each_run_of_it():
    rule = Rule("capture", Subject(SubjectKind.RUN, "capture"), "heartbeat_overdue")
    runs = {"capture 1": Reading(0.0, "one"), "capture 2": Reading(1.0, "two"), "watch 3": Reading(1.0, "3")}

    found = Watcher(rule).look({(SubjectKind.RUN, "heartbeat_overdue"): runs})

    assert [(one.subject, one.verdict) for one in found.judgements] == [
        ("capture 1", Verdict.NOT_MET),
        ("capture 2", Verdict.MET),
    ]


def test_a_reload_keeps_the_state_of_what_did_not_change():
    watcher = Watcher(FALLS)
    watcher.fired(501, 499)
    watcher.rules = (replace(FALLS, targets=("phone",)), replace(FALLS, name="other", level=499.5))

    found = watcher.look(of_spy(499.0), 3)

    assert found.firings == ()
    assert changed_states(watcher.states, watcher.states) == {}
    watcher.rules = (FALLS,)
    before = watcher.states
    assert list(changed_states(before, watcher.look(of_spy(499.0), 4).states).values()) == [None]


def test_states_of_each_leg_outlive_a_moment_in_which_no_book_is_read():
    rule = Rule("cheap", Subject(SubjectKind.LEG), "mark", Operator.BELOW, 1.0)
    book = {(SubjectKind.LEG, "mark"): {"X": Reading(0.5, "X")}}
    watcher = Watcher(rule)
    watcher.look({(SubjectKind.LEG, "mark"): {"X": Reading(2.0, "X")}})
    assert len(watcher.look(book, 1).firings) == 1

    watcher.look({}, 2)

    assert watcher.look(book, 3).firings == ()


FIGURE = st.one_of(st.none(), st.floats(490, 510).map(lambda value: round(value, 2)))


def crossings(values: Sequence[float | None]) -> int:
    """Counted by another way than the evaluator's: of known figures alone, without those between the two levels."""
    known = [value for value in values if value is not None]
    if not known:
        return 0
    sides = ["below" if value < 500 else "back" for value in known if value < 500 or value >= 502.5]
    # A first look that is not below arms, whether or not it stands beyond the margin.
    first = ["back"] if known[0] >= 500 else []
    return sum(pair == ("back", "below") for pair in pairwise([*first, *sides]))


@given(st.lists(FIGURE, max_size=60), st.lists(st.floats(0.001, 5_000), min_size=60, max_size=60))
def test_a_figure_that_wanders_fires_once_per_crossing_at_any_times(
    values: list[float | None], pauses: list[float]
):
    watcher = Watcher(replace(FALLS, unknown_seconds=1e9))
    at, firings = 0.0, 0
    for value, pause in zip(values, pauses, strict=False):
        at += pause
        firings += len(watcher.look(of_spy(value), at).firings)

    assert firings == crossings(values)


@given(st.lists(FIGURE, max_size=40), st.lists(st.integers(1, 4), max_size=40), st.sets(st.integers(0, 39)))
def test_restarts_takeovers_and_looks_twice_neither_lose_nor_repeat_a_firing(
    values: list[float | None], looks: list[int], handovers: set[int]
):
    rule = replace(FALLS, unknown_seconds=3.0)
    alone, watcher = Watcher(rule), Watcher(rule)
    once = [one.key for n, value in enumerate(values) for one in alone.look(of_spy(value), n).firings]

    found: list[str] = []
    for n, value in enumerate(values):
        for _ in range(looks[n] if n < len(looks) else 1):
            found += [one.key for one in watcher.look(of_spy(value), n).firings]
        if n in handovers:
            data = msgspec.json.encode(dict(watcher.states))
            watcher = Watcher(rule, states=msgspec.json.decode(data, type=dict[str, RuleState]))

    assert found == once
    assert len(set(found)) == len(found)


def test_kept_changes_make_the_same_states_again():
    before: dict[str, RuleState] = {}
    watcher = Watcher(FALLS)
    for n, value in enumerate((501.0, 499.0, 503.0, None)):
        after = watcher.look(of_spy(value), n).states
        changes = changed_states(before, after)
        before = {key: one for key, one in {**before, **changes}.items() if one is not None}
        assert before == after


def test_nothing_changes_in_the_state_while_nothing_happens():
    """So that whoever keeps it on a disk need not write at each look."""
    watcher = Watcher(FALLS)
    watcher.fired(501, 499)
    before = watcher.states

    for n, value in enumerate((499, 499.5, 500.5, 499), 2):
        watcher.look(of_spy(value), n)

    assert changed_states(before, watcher.states) == {}


def test_built_in_rules_are_of_figures_that_there_are():
    for rule in BUILT_IN:
        figure = figure_named(rule.figure)
        assert figure is not None
        assert rule.subject.kind in figure.subjects
        assert rule.subject.is_each


def test_attention_has_the_kinds_that_there_are():
    assert tuple(AttentionKind) == ATTENTION_KINDS
    assert all(figure_named(f"attention:{kind}") for kind in AttentionKind)
    assert figure_named("attention:none") is None
    assert all(figure_named(name) is figure for name, figure in FIGURES.items())


@given(
    st.lists(st.integers(0, 3), max_size=40),
    st.sets(st.integers(0, 39)),
    st.floats(0, 5),
)
def test_no_rise_of_a_count_is_lost_whatever_cooldown_and_restarts(
    rises: list[int], restarts: set[int], cooldown: float
):
    """What rises in a cooldown is told with the next, so at the end everything has been told."""
    rule = Rule("fill", Subject(SubjectKind.ACCOUNT, ""), "fills", Operator.RISES, cooldown_seconds=cooldown)
    watcher, count, told = Watcher(rule), 0, 0

    def look(seconds: float) -> None:
        nonlocal told
        readings = {(SubjectKind.ACCOUNT, "fills"): {"": Reading(float(count), "The account")}}
        for firing in watcher.look(readings, seconds).firings:
            assert count > told
            told = count
            assert firing.evidence[0].value == str(count)

    look(0)
    for n, rise in enumerate(rises, 1):
        count += rise
        look(n)
        if n in restarts:
            watcher = Watcher(rule, states=dict(watcher.states))
    look(len(rises) + 10)

    assert told == count


@given(st.lists(FIGURE, max_size=40), st.lists(st.integers(0, 3), min_size=40, max_size=40))
def test_reloads_of_other_rules_change_nothing_of_one_that_stays(
    values: list[float | None], others: list[int]
):
    alone, among = Watcher(FALLS), Watcher(FALLS)
    for n, value in enumerate(values):
        another = replace(FALLS, name=f"other {others[n]}", level=495.0 + others[n])
        among.rules = (another, FALLS) if others[n] % 2 else (FALLS, another)
        expected = [one.key for one in alone.look(of_spy(value), n).firings]
        found = [one.key for one in among.look(of_spy(value), n).firings if one.rule == FALLS.name]
        assert found == expected


@given(
    st.lists(st.floats(490, 510), min_size=1, max_size=40),
    st.integers(0, 5),
    st.lists(st.booleans(), max_size=40),
)
def test_holding_for_a_time_fires_at_most_once_per_crossing_and_only_after_it(
    values: list[float], seconds: int, is_read_twice: list[bool]
):
    rule = replace(FALLS, for_seconds=float(seconds))
    watcher, since, fired = Watcher(rule), None, 0
    for n, value in enumerate(values):
        since = None if value >= 500 else n if since is None else since
        twice = n < len(is_read_twice) and is_read_twice[n]
        for _ in range(1 + twice):
            for firing in watcher.look(of_spy(value), n).firings:
                assert since is not None
                assert n - since >= seconds
                assert firing.crossed_at == AS_OF + timedelta(seconds=since)
                fired += 1

    assert fired <= crossings(values)


class Clocks:
    """The market's clock, which somebody sets, and the seconds of a start of the computer, which nobody does."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.states: Mapping[str, RuleState] = {}
        self.seconds, self.ahead, self.boot = 5_000.0, 0.0, "one"

    @property
    def market(self) -> datetime:
        return AS_OF + timedelta(seconds=self.seconds + self.ahead)

    def look(self, value: float | None, after: float = 1.0) -> bool:
        """Whether it fires so much later."""
        self.seconds += after
        elapsed = Elapsed(self.seconds, self.boot)
        found = evaluate(
            (self.rule,), of_spy(value), self.states, at=self.market, now=self.market, elapsed=elapsed
        )
        # As the log of firings keeps them, through which each look of each program goes.
        self.states = msgspec.json.decode(msgspec.json.encode(dict(found.states)), type=dict[str, RuleState])
        return bool(found.firings)

    def boots(self, seconds: float, boot: str = "two") -> None:
        """The computer is started anew, and counts from 0."""
        self.ahead += self.seconds - seconds
        self.seconds, self.boot = seconds, boot


SET = pytest.mark.parametrize("set_by", [3_600.0, 31.0, -31.0, -3_600.0])


@SET
def test_what_has_to_last_lasts_as_long_whoever_sets_the_clock_meanwhile(set_by: float):
    clocks = Clocks(replace(FALLS, for_seconds=30.0))
    clocks.look(501)
    clocks.look(499)

    clocks.ahead += set_by

    assert [clocks.look(499, 10) for _ in range(3)] == [False, False, True]


@SET
def test_a_cooldown_is_neither_over_nor_begun_anew_by_a_clock_that_is_set(set_by: float):
    clocks = Clocks(replace(FALLS, cooldown_seconds=60.0))
    clocks.look(501)
    assert clocks.look(499)

    clocks.ahead += set_by

    assert [clocks.look(value, 10) for value in (503, 499, 499, 499, 499, 499)] == [False] * 5 + [True]


@SET
def test_what_cannot_be_judged_is_told_after_its_time_whoever_sets_the_clock(set_by: float):
    clocks = Clocks(replace(FALLS, unknown_seconds=60.0))
    clocks.look(501)
    clocks.look(None)

    clocks.ahead += set_by

    assert [clocks.look(None, 20) for _ in range(4)] == [False, False, True, False]


@pytest.mark.parametrize("boot", ["two", "one"], ids=["by its name", "where the system does not name it"])
def test_after_another_start_of_the_computer_a_cooldown_goes_by_the_clock_and_what_lasted_begins_anew(
    boot: str,
):
    clocks = Clocks(replace(FALLS, for_seconds=30.0, cooldown_seconds=200.0))
    for value in (501, 499):
        clocks.look(value)
    assert clocks.look(499, 30)
    clocks.look(503)
    clocks.look(499)

    clocks.boots(20.0, boot)

    assert [clocks.look(499, 40) for _ in range(5)] == [False] * 4 + [True]
    assert clocks.states[f"{clocks.rule.key}; SPY"].fired_elapsed == 220.0


@given(
    st.lists(st.tuples(FIGURE, st.floats(0.5, 100)), max_size=40),
    st.dictionaries(st.integers(0, 39), st.floats(-10_000, 10_000), max_size=4),
    st.sampled_from([0.0, 30.0, 60.0]),
    st.sampled_from([0.0, 45.0, 90.0]),
)
def test_a_clock_that_is_set_changes_nothing_of_what_fires(
    looks: list[tuple[float | None, float]], sets: dict[int, float], lasts: float, cools: float
):
    rule = replace(FALLS, for_seconds=lasts, cooldown_seconds=cools, unknown_seconds=120.0)
    left_alone, is_set = Clocks(rule), Clocks(rule)
    for n, (value, after) in enumerate(looks):
        is_set.ahead += sets.get(n, 0.0)
        assert is_set.look(value, after) is left_alone.look(value, after)
