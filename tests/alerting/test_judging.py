"""What rules say of a book before its market has told what time it is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from options_helper.alerting.books import Scope
from options_helper.alerting.course import SETTLES_SECONDS
from options_helper.alerting.judging import Observed, RuleJudge
from options_helper.analysis.book_look import look_at_book
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.data.alerts_file import RulesFile, reread_rules
from options_helper.model.alerts import RuleState, SubjectKind, Verdict
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import LiveSnapshot, Phase
from options_helper.model.streams import StreamName
from tests.kit.builders import new_york, portfolio, position, quote, snapshot_with

RULE = '[[rules]]\nname = "tested"\nsubject = "each leg"\nfigure = "attention:in_the_money_short"\n'
# The session that is played is of a Friday some days before the computer's today, on which all of it has ended.
BOOK = portfolio(position("AAPL", 200, "put", contracts=-1, expiry=date(2026, 11, 20), cost_basis=1.0))
PUT = "AAPL261120P00200000"


def verdict(folder: Path, live: LiveSnapshot) -> Verdict:
    file = folder / "alerts.toml"
    file.write_text(RULE, encoding="utf-8")
    judge = RuleJudge(RulesFile(file), Scope.BOOK, lambda: live.as_of)
    look = look_at_book(BOOK, live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25)
    (said,) = judge(Observed(live, {}, BOOK, look), {}).evaluation.judgements
    return said.verdict


class Clock:
    """The computer's, moved by the test."""

    def __init__(self) -> None:
        self.at = new_york("2026-11-20 15:00").astimezone(UTC)

    def __call__(self) -> datetime:
        return self.at

    def elapsed(self) -> float:
        """Seconds that nobody sets."""
        return self.at.timestamp()


@pytest.mark.parametrize("content", ["", "[[rules]]\nname = ", None], ids=["empty", "torn", "gone"])
@pytest.mark.parametrize("is_new", [False, True], ids=["in the run", "at the start of one"])
def test_a_file_of_rules_that_is_being_written_costs_no_rule_its_state(
    tmp_path: Path, content: str | None, *, is_new: bool
):
    """Dropped, it would begin anew and list what has crossed meanwhile, in place of telling of it."""
    file, clock = tmp_path / "alerts.toml", Clock()
    live = snapshot_with(as_of=clock.at)
    look = look_at_book(BOOK, live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25)
    observed = Observed(live, {}, BOOK, look)
    file.write_text(RULE, encoding="utf-8")
    judge = RuleJudge(RulesFile(file), Scope.BOOK, clock, clock.elapsed, "boot")
    kept = dict(judge(observed, {}).evaluation.states)
    assert kept, "it has a state"

    clock.at += timedelta(minutes=1)
    if content is None:
        file.unlink()
    else:
        file.write_text(content, encoding="utf-8")
    judge = RuleJudge(RulesFile(file), Scope.BOOK, clock, clock.elapsed, "boot") if is_new else judge
    for _ in range(3):
        assert judge(observed, kept).evaluation.states == kept
        clock.at += timedelta(seconds=1)
    clock.at += timedelta(seconds=SETTLES_SECONDS)
    # One that cannot be read, or is gone, leaves them for ever; one that has no rules, or never was there, does not.
    lasts = bool(content) or (content is None and not is_new)
    assert (judge(observed, kept).evaluation.states == kept) is lasts


STARTER = Path(__file__).parents[2] / "config" / "alerts.toml.example"
OF_PROGRAMS = {SubjectKind.STREAM, SubjectKind.RUN, SubjectKind.JOB, SubjectKind.PROVIDER}


@pytest.mark.parametrize("scope", Scope)
def test_without_a_book_nothing_is_told_of_a_rule_that_needs_one(scope: Scope):
    """It would stand in a log that may be another's, and be sent."""
    clock, states = Clock(), {}
    judge = RuleJudge(RulesFile(STARTER), scope, clock, clock.elapsed, "boot")
    rules = {rule.name: rule.subject.kind for rule in reread_rules(RulesFile(STARTER)).rules}
    fired, judged = set[SubjectKind](), set[SubjectKind]()
    for _ in range(60):
        clock.at += timedelta(seconds=10)
        evaluation = judge(Observed(snapshot_with(as_of=clock.at), {}, without_book=True), states).evaluation
        states = dict(evaluation.states)
        fired |= {rules[one.rule] for one in evaluation.firings}
        judged |= {one.rule.subject.kind for one in evaluation.judgements}

    assert fired <= OF_PROGRAMS
    assert judged == (OF_PROGRAMS & set(rules.values()) if scope is Scope.ACCOUNT else set())


def test_without_a_book_the_states_of_rules_that_need_one_stay_but_for_what_lasted(tmp_path: Path):
    """Else what has fired fires once more as the book is known, and what began before counts as if it had lasted."""
    file, clock = tmp_path / "alerts.toml", Clock()
    file.write_text(RULE, encoding="utf-8")
    judge = RuleJudge(RulesFile(file), Scope.BOOK, clock, clock.elapsed, "boot")
    live = snapshot_with(as_of=clock.at)
    look = look_at_book(BOOK, live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25)
    (key,) = judge(Observed(live, {}, BOOK, look), {}).evaluation.states
    told = RuleState(
        is_known=True,
        is_unknown_told=True,
        fired_at=clock.at,
        fired_elapsed=clock.elapsed(),
        counted_since="boot",
    )
    lasting = replace(told, met_since=clock.at, met_elapsed=clock.elapsed())
    clock.at += timedelta(seconds=2 * SETTLES_SECONDS)

    said = judge(Observed(live, {}, without_book=True), {key: lasting, "of no rule; x": told}).evaluation

    assert said.states == {key: told}


def test_before_a_market_on_this_computer_has_told_its_time_nothing_of_the_book_is_judged(tmp_path: Path):
    """By the computer's day the leg is past its end, which would read as "not met" and arm what is met there."""
    at = new_york("2026-11-28 12:00").astimezone(UTC)

    silent = snapshot_with(as_of=at, market=MarketKind.LOCAL)
    connected = replace(silent.streams[StreamName.STOCKS], phase=Phase.LIVE, connections=1)

    assert verdict(tmp_path, silent) is Verdict.UNKNOWN
    assert (
        verdict(tmp_path, replace(silent, streams={**silent.streams, StreamName.STOCKS: connected}))
        is Verdict.UNKNOWN
    )


@pytest.mark.parametrize("market", [MarketKind.LOCAL, MarketKind.SIMULATED, MarketKind.ALPACA])
def test_once_it_is_heard_it_is_judged(tmp_path: Path, market: MarketKind):
    at = new_york("2026-11-20 15:00").astimezone(UTC)
    quotes = [quote("AAPL", 189.9, 190.1, age=1, as_of=at), quote(PUT, 10.0, 10.2, age=1, as_of=at)]

    live = replace(snapshot_with(*quotes, as_of=at), market=market)

    assert verdict(tmp_path, live) is Verdict.MET
