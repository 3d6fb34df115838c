"""What a watch prints: each thing once, and amounts only where the user reads them, or asked for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from rich.console import Console

from options_helper.alerting.books import Scope
from options_helper.alerting.program import ProgramStatus
from options_helper.alerting.runner import AlertStatus
from options_helper.analysis.alerts.evaluator import evaluate
from options_helper.commands.watch_display import LINE_EVERY, WatchDisplay, problems_of, status_of
from options_helper.data.firing_log import LoggedFiring
from options_helper.model.alerts import (
    REGULAR,
    Elapsed,
    Firing,
    Operator,
    Reading,
    Rule,
    RuleState,
    Subject,
    SubjectKind,
)
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from options_helper.watch.engine import Watching
from tests.portal.scenes import OPEN, live

HALF = Firing(
    key="half", rule="half", subject="structure:condor", crossed_at=OPEN, fired_at=OPEN, severity="warning",
    title="half: condor", text="half of its profit", text_with_amounts="half of its profit: $196",
)  # fmt: skip


def watching(*firings: Firing, problems: Iterable[str] = ()) -> Watching:
    status = AlertStatus(firings=tuple(map(LoggedFiring, firings)))
    alerts = ProgramStatus({Scope.ACCOUNT: AlertStatus(), Scope.BOOK: status})
    return Watching(live(), alerts, 1, OPEN, "streams", tuple(problems))


def printed(*turns: Watching, terminal: bool = False, amounts: bool | None = None) -> list[str]:
    out = StringIO()
    display = WatchDisplay(Console(file=out, force_terminal=terminal), None, amounts=amounts)
    for turn in turns:
        display.show({"": turn}, OPEN)
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    ("terminal", "amounts", "is_told"),
    [
        (True, None, True),
        (False, None, False),
        (True, False, False),
        (False, True, True),
    ],
)
def test_amounts_are_printed_at_a_terminal_and_else_where_they_are_asked_for(
    *, terminal: bool, amounts: bool | None, is_told: bool
):
    said = printed(watching(HALF), terminal=terminal, amounts=amounts)[0]

    assert said.endswith("WARNING: half: condor. half of its profit" + ": $196" * is_told)


def test_a_problem_is_said_when_it_is_new_and_when_it_comes_back():
    one, well = watching(problems=("It cannot be read.",)), watching()

    said = [line for line in printed(one, one, well, one) if "cannot be read" in line]
    assert len(said) == 2


@pytest.mark.parametrize(
    ("of_ira", "of_roth", "of_main", "said"),
    [
        (("Down.",), ("Down.",), ("Down.",), ("Down.",)),
        (("Down.",), (), ("Down.", "Empty."), ("ira and main: Down.", "main: Empty.")),
        ((), ("Down.",), (), ("roth: Down.",)),
    ],
    ids=["all", "some", "one"],
)
def test_what_several_accounts_meet_alike_is_said_once(
    of_ira: tuple[str, ...], of_roth: tuple[str, ...], of_main: tuple[str, ...], said: tuple[str, ...]
):
    problems = {"ira": of_ira, "roth": of_roth, "main": of_main}

    assert problems_of({account: watching(problems=one) for account, one in problems.items()}) == said


def test_a_firing_is_told_once_and_how_it_stands_every_few_minutes():
    out = StringIO()
    display = WatchDisplay(Console(file=out), None)
    display.known("", [LoggedFiring(replace(HALF, key="of yesterday", title="old"))])
    for minute in range(6):
        turn = watching(HALF, replace(HALF, key="of yesterday", title="old"))
        display.show({"": turn}, OPEN + timedelta(minutes=minute))

    said = out.getvalue()
    assert (said.count("WARNING: half: condor"), said.count("old")) == (1, 0)
    assert said.count("watching 1 leg") == 1 + timedelta(minutes=5) // LINE_EVERY


FALLS = Rule("falls", Subject(SubjectKind.UNDERLYING), "price", Operator.BELOW, level=100.0)
LOSES = Rule("loses", Subject(SubjectKind.BOOK, ""), "unrealized", Operator.BELOW, level=-500.0)


def looks(
    *prices: Mapping[str, float | None], rule: Rule = FALLS, amounts: bool = True, asleep: int = 0
) -> list[str]:
    """What is said of rules in these looks, one after another; the first ones are outside of the rule's hours."""
    out = StringIO()
    display = WatchDisplay(Console(file=out), None, amounts=amounts)
    rule = replace(rule, hours=REGULAR)
    states: Mapping[str, RuleState] = {}
    firings: tuple[Firing, ...] = ()
    for number, of_each in enumerate(prices):
        at = OPEN - timedelta(days=1, hours=12) if number < asleep else OPEN + timedelta(seconds=number)
        readings = {
            (rule.subject.kind, rule.figure): {
                name: Reading(price, name or "The book", why="" if price else "it has no price")
                for name, price in of_each.items()
            }
        }
        found = evaluate([rule], readings, states, at=at, now=at, elapsed=Elapsed(float(number)))
        states, firings = found.states, (*found.firings, *firings)
        status = AlertStatus(firings=tuple(map(LoggedFiring, firings)), judgements=found.judgements)
        turn = replace(watching(), alerts=ProgramStatus({Scope.ACCOUNT: AlertStatus(), Scope.BOOK: status}))
        display.show({"": turn}, OPEN)
    return [line[9:] for line in out.getvalue().splitlines() if not line[9:].startswith("watching")]


def test_what_is_met_at_the_first_look_is_listed_once_and_what_crosses_later_is_told():
    said = looks({"SPY": 99.0, "QQQ": 101.0}, {"SPY": 98.0, "QQQ": 99.0}, {"SPY": 98.0, "QQQ": 99.0})

    assert said == [
        "Met at the first look: falls: SPY. SPY: price $99.00 a share (the rule: below $100.00 a share).",
        "WARNING: falls: QQQ. QQQ: price $99.00 a share (the rule: below $100.00 a share).",
    ]


@pytest.mark.parametrize(
    ("prices", "asleep", "listed"),
    [
        pytest.param(({"SPY": None}, {"SPY": 99.0}), 0, 1, id="the first look that could judge it"),
        pytest.param(({"SPY": 99.0}, {"SPY": 99.0}), 1, 1, id="the first look within its hours"),
        pytest.param(({"SPY": 101.0}, {"SPY": 101.0, "QQQ": 99.0}), 0, 1, id="one that is new"),
        pytest.param(({"SPY": 99.0}, {"QQQ": 101.0}, {"SPY": 99.0}), 0, 2, id="one that was gone"),
        pytest.param(({"SPY": 99.0}, {}, {"SPY": 99.0}), 0, 1, id="a figure that nobody had for a while"),
        pytest.param(({"SPY": 99.0}, {"SPY": None}, {"SPY": 99.0}), 0, 1, id="a price that was away"),
        pytest.param(({"SPY": 101.0}, {"SPY": 99.0}), 0, 0, id="a crossing"),
    ],
)
def test_a_first_look_is_the_first_by_which_a_rule_judges_a_subject(
    prices: Sequence[Mapping[str, float | None]], asleep: int, listed: int
):
    said = looks(*prices, asleep=asleep)

    assert sum(line.startswith("Met at the first look: ") for line in said) == listed
    assert all(line.startswith(("Met at the first look: ", "WARNING: ")) for line in said)


def test_what_is_listed_says_amounts_only_where_they_may_be_told():
    assert looks({"": -600.0}, rule=LOSES) == [
        "Met at the first look: loses: The book. The book: unrealized profit −$600.00 (the rule: below −$500.00)."
    ]
    assert looks({"": -600.0}, rule=LOSES, amounts=False) == [
        "Met at the first look: loses: The book. The book: unrealized profit is below the rule's level."
    ]


def test_of_several_accounts_each_thing_is_said_with_the_account_it_is_of():
    """A rule may fire in both of them, by the same key."""
    out = StringIO()
    display = WatchDisplay(Console(file=out), None)
    display.known("roth", [LoggedFiring(replace(HALF, key="of yesterday", title="old"))])
    display.show({"ira": watching(HALF), "roth": watching(HALF, problems=("It is not read.",))}, OPEN)
    display.show({"ira": watching(replace(HALF, key="of yesterday", title="old")), "roth": watching()}, OPEN)

    said = out.getvalue()
    assert said.count("WARNING: ira: half: condor") == said.count("WARNING: roth: half: condor") == 1
    assert said.count("WARNING: ira: old") == 1
    assert "roth: It is not read." in said
    assert "ira: It is not read." not in said
    assert said.count("ira: watching 1 leg, ") == said.count(" | roth: watching 1 leg, ") == 1


def test_the_heartbeat_of_several_accounts_says_of_a_stream_what_the_worst_of_them_says():
    """The second one's had failed, and whoever asked was told that the first one's is live."""
    stocks = StreamName.STOCKS
    first, second = watching(), watching()

    def so(one: Watching, health: StreamHealth) -> Watching:
        return replace(one, snapshot=replace(one.snapshot, streams={stocks: health}))

    told = status_of(
        {
            "main": so(first, StreamHealth(stocks, Phase.LIVE)),
            "ira": so(second, StreamHealth(stocks, Phase.FAILED, last_error="Refused.")),
        }
    )

    assert told is not None
    assert told.activity.startswith("main: watching 1 leg, ")
    assert (told.snapshot.streams[stocks].phase, told.snapshot.streams[stocks].last_error) == (
        Phase.FAILED,
        "ira: Refused.",
    )
    assert status_of({}) is None
