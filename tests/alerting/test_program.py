"""Two programs of one account look at two portfolios: each tells of its own, and one of what is the account's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pytest
from pydantic import SecretStr

from options_helper.alerting.books import Scope, open_books
from options_helper.alerting.course import LOOKING_WITHIN_SECONDS
from options_helper.alerting.judging import Observed, named_rules
from options_helper.alerting.program import ProgramAlerts
from options_helper.analysis.alerts.evaluator import evaluate
from options_helper.analysis.book_look import look_at_book
from options_helper.analysis.live_portfolio_metrics import DEFAULT_WIDE_SPREAD_PCT
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.data.notify.targets import NO_TARGETS
from options_helper.model.alerts import Reading, SubjectKind
from options_helper.model.snapshot import LiveSnapshot
from options_helper.settings import Settings
from tests.kit.builders import holding, portfolio, quote
from tests.kit.waiting import until_no_thread, wait_until
from tests.portal import scenes

NOW = datetime(2026, 11, 20, 15, 32, tzinfo=UTC)
RULES = """
[[rules]]
name = "high"
subject = "each underlying"
figure = "price"
operator = "above"
level = 100
"""
TO_NOBODY = "judges; no target is named"
MUTE = ("overdue heartbeat", "capture 12")  # a rule without a file
SETTINGS = Settings(api_key=SecretStr("key"), api_secret=SecretStr("secret"))


class Computer:
    """A user's state folder, rules, and the programs that judge by them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        (folder / "alerts.toml").write_text(RULES)

    def program(
        self,
        who: str,
        file: str | None,
        account: str | None = None,
        *,
        rules: str = "alerts.toml",
        elapsed: Callable[[], float] = lambda: 0.0,
    ) -> ProgramAlerts:
        """One that looks at this file, None: at the account; started. `account` is one of another program's."""
        path = None if file is None else self.folder / file
        environ = {"XDG_STATE_HOME": str(self.folder)}
        books = open_books(SETTINGS, path, who, NOW, environ, account=account)
        made = ProgramAlerts(
            books, named_rules(self.folder / rules), lambda: NO_TARGETS, now=lambda: NOW, elapsed=elapsed
        )
        self._stack.callback(made.stop)
        made.start()
        return made


@pytest.fixture
def computer(tmp_path: Path) -> Iterator[Computer]:
    with ExitStack() as stack:
        yield Computer(tmp_path, stack)
    until_no_thread("live-alerts")


def seen(symbol: str, price: float, *, overdue: bool = False) -> Observed:
    """A portfolio of this share at this price, and a capture."""
    book = portfolio(holding(symbol, 100))
    scene = scenes.live()
    quotes = {symbol: quote(symbol, price - 0.01, price + 0.01, as_of=scene.as_of)}
    snapshot: LiveSnapshot = replace(scene, quotes=MappingProxyType(quotes))
    look = look_at_book(
        book, snapshot, RiskChoices(), stale_after_seconds=30.0, wide_spread_pct=DEFAULT_WIDE_SPREAD_PCT
    )
    runs = {
        (SubjectKind.RUN, "heartbeat_overdue"): {
            "capture 12": Reading(float(overdue), "capture 12", "a heartbeat")
        }
    }
    return Observed(snapshot, runs, book, look)


def fired(program: ProgramAlerts) -> list[tuple[str, str]]:
    return sorted((one.firing.rule, one.firing.subject) for one in program.status().firings)


def test_each_tells_of_its_portfolio_and_one_of_them_of_the_account(computer: Computer):
    page, watch = computer.program("dashboard", "first.json"), computer.program("watch", "second.json")
    for price, overdue in ((99.0, False), (101.0, True), (102.0, True)):
        page.observe(seen("AAPL", price, overdue=overdue))
        watch.observe(seen("MSFT", price, overdue=overdue))

    assert fired(page) == [("high", "AAPL"), MUTE]
    assert fired(watch) == [("high", "MSFT"), MUTE]
    assert page.status().sends == TO_NOBODY
    assert "what is of the account, sends what is of the portfolio" in watch.status().sends


def test_two_programs_on_one_account_of_a_bus_tell_once_and_two_accounts_share_nothing(computer: Computer):
    page, watch, other, embedded = (
        computer.program("dashboard", None, "bus of ira"),
        computer.program("watch", None, "bus of ira"),
        computer.program("watch", None, "bus of roth"),
        computer.program("watch", None),
    )
    for price, overdue in ((99.0, False), (101.0, True)):
        for one in (page, watch):
            one.observe(seen("AAPL", price, overdue=overdue))
        other.observe(seen("MSFT", price))

    assert fired(page) == fired(watch) == [("high", "AAPL"), MUTE]
    assert page.status().sends == TO_NOBODY
    assert watch.status().sends.startswith("the dashboard (process ")
    assert (fired(other), other.status().sends) == ([("high", "MSFT")], TO_NOBODY)
    assert (fired(embedded), embedded.status().sends) == ([], TO_NOBODY)


def test_what_is_the_accounts_is_taken_over_from_one_that_ends_and_its_portfolio_waits_for_it(
    computer: Computer,
):
    page, watch = computer.program("dashboard", "first.json"), computer.program("watch", "second.json")
    for one, symbol in ((page, "AAPL"), (watch, "MSFT")):
        one.observe(seen(symbol, 99.0))
    page.stop()
    wait_until(lambda: watch.status().sends == TO_NOBODY)

    watch.observe(seen("MSFT", 99.0, overdue=True))
    assert fired(watch) == [MUTE]
    again = computer.program("dashboard", "first.json")
    again.observe(seen("AAPL", 101.0, overdue=True))
    assert fired(again) == [("high", "AAPL"), MUTE], "it crossed while nobody looked"


def test_one_portfolio_is_told_of_by_one_program_however_its_path_is_written(computer: Computer):
    (computer.folder / "here").mkdir()
    page, watch = computer.program("dashboard", "first.json"), computer.program("watch", "here/../first.json")
    for price in (99.0, 101.0):
        for one in (page, watch):
            one.observe(seen("AAPL", price))

    assert fired(watch) == fired(page) == [("high", "AAPL")]
    assert watch.status().sends.startswith("the dashboard (process ")


def test_rules_of_a_program_that_does_not_send_are_said_to_be_judged_by_nobody_where_the_other_lacks_them(
    computer: Computer,
):
    (computer.folder / "more.toml").write_text(
        RULES + RULES.replace('"high"', '"low"').replace("above", "below")
    )
    moment = [0.0]
    page = computer.program("dashboard", "first.json")
    watch = computer.program("watch", "first.json", rules="more.toml", elapsed=lambda: moment[0])

    def look() -> tuple[str, ...]:
        for one in (page, watch):
            one.observe(seen("AAPL", 99.0))
        return watch.status().problems

    assert look() == (), "the other may not have looked yet"
    moment[0] = LOOKING_WITHIN_SECONDS
    (problem,) = look()
    assert problem.startswith("Nobody judges 'low': the dashboard (process ")
    assert "goes by another file of rules" in problem
    assert page.status().problems == ()

    page.stop()
    wait_until(lambda: watch.status().sends == TO_NOBODY)
    assert look() == (), "it judges its own"


def test_the_account_as_portfolio_is_another_than_every_file(computer: Computer):
    of_account, of_file = computer.program("watch", None), computer.program("dashboard", "first.json")
    for price in (99.0, 101.0):
        of_account.observe(seen("AAPL", price))
        of_file.observe(seen("AAPL", price))

    assert fired(of_account) == fired(of_file) == [("high", "AAPL")]
    assert {scope: one.delivers for scope, one in of_file.status().scopes.items()} == {
        Scope.ACCOUNT: False,
        Scope.BOOK: True,
    }


def test_what_the_rules_of_one_scope_cannot_take_costs_the_other_nothing(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
):
    page = computer.program("dashboard", "first.json")
    page.observe(seen("AAPL", 99.0))

    def only_the_portfolio(rules, *arguments, **more):
        if not any(rule.subject.kind.is_of_book for rule in rules):
            raise ZeroDivisionError
        return evaluate(rules, *arguments, **more)

    monkeypatch.setattr("options_helper.alerting.judging.evaluate", only_the_portfolio)
    with pytest.raises(ZeroDivisionError):
        page.observe(seen("AAPL", 101.0))
    assert fired(page) == [("high", "AAPL")]
