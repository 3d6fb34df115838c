"""The turns of a watch: whatever fails in one costs that one alone, and is said."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from options_helper.alerting.books import Scope
from options_helper.alerting.judging import Observed
from options_helper.alerting.program import ProgramStatus
from options_helper.alerting.runner import AlertStatus
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.errors import ConfigError
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot
from options_helper.settings import Settings
from options_helper.watch.book import BookNow
from options_helper.watch.engine import Watch, Watching
from options_helper.watch.readings import Observer
from options_helper.watch.rest_follower import RestFollower
from tests.kit.builders import holding, portfolio
from tests.portal import scenes
from tests.portal.scenes import OPEN, ShowingManager

BOOK = portfolio(holding("AAPL", 100))


class Station:
    """A watch in whose place each part can be made to fail."""

    def __init__(self) -> None:
        self.broken: dict[str, Exception] = {}
        self.judged: list[Portfolio | None] = []
        self.as_of: list[datetime] = []
        self.seconds = 0.0
        self.manager = ShowingManager(lambda: self._or_fail("streams", scenes.live()))
        self._start = self.manager.start
        self.manager.start = lambda config: self._or_fail("start", self._start(config))  # type: ignore[method-assign]
        settings = Settings()
        self.watch = Watch(
            settings,
            self,
            manager=self.manager,
            follower=RestFollower(settings, now=lambda: OPEN),
            alerts=self,
            observer=Observer(RiskChoices(), lambda: OPEN),
            holder=lambda: self._or_fail("holder", None),
            now=lambda: OPEN,
            monotonic=lambda: self.seconds,
        )

    def _or_fail(self, part: str, answer: Any) -> Any:
        if part in self.broken:
            raise self.broken[part]
        return answer

    def look(self, snapshot: LiveSnapshot) -> BookNow:
        now: BookNow = self._or_fail("book", BookNow(snapshot, BOOK))
        return now

    def observe(self, observed: Observed) -> None:
        self.judged.append(self._or_fail("rules", observed.portfolio))
        self.as_of.append(observed.snapshot.as_of)

    def status(self) -> ProgramStatus:
        return ProgramStatus(dict.fromkeys(Scope, AlertStatus()))

    def turn(self, **broken: Exception) -> Watching:
        self.broken = broken
        return self.watch.turn()


@pytest.fixture
def station(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Station:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return Station()


def test_a_turn_without_trouble_judges_the_portfolio_by_the_streams(station: Station):
    first, second = station.turn(), station.turn()

    assert (first.problems, second.problems, second.source, second.legs) == ((), (), "streams", 1)
    assert station.judged == [BOOK, BOOK]


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("book", "The portfolio cannot be read (ZeroDivisionError); the log has more."),
        ("holder", "Who has the streams is not known (ZeroDivisionError); the log has more."),
        ("rules", "A snapshot could not be judged (ZeroDivisionError); the log has more."),
        ("streams", "The streams cannot be asked (ZeroDivisionError); the log has more."),
    ],
)
def test_what_fails_in_a_turn_is_said_and_the_next_turn_goes_on(station: Station, part: str, says: str):
    station.turn()
    failed = station.turn(**{part: ZeroDivisionError()})
    after = station.turn()

    assert (failed.problems, after.problems) == ((says,), ())
    assert failed.legs == after.legs == 1
    assert station.judged[-1] is BOOK


@pytest.mark.parametrize(("part", "judged"), [("book", 2), ("holder", 2), ("rules", 1), ("streams", 1)])
def test_rules_are_judged_by_what_is_known_and_never_by_what_was(station: Station, part: str, judged: int):
    """A portfolio that cannot be read is the last one; streams that cannot be asked are nothing new."""
    station.turn()
    station.turn(**{part: ZeroDivisionError()})

    assert len(station.judged) == judged


def test_what_fails_at_the_first_turn_ends_no_watch(station: Station):
    for part in ("book", "holder", "rules", "streams"):
        assert station.turn(**{part: ZeroDivisionError()}).problems != ()
    assert station.turn().problems == ()


def test_streams_that_do_not_start_are_said_in_their_own_words_and_started_at_the_next_turn(station: Station):
    failed = station.turn(start=ConfigError("Name the feed."))

    assert failed.problems == ("The streams cannot be started: Name the feed.",)
    assert len(station.judged) == 1
    assert station.turn().problems == ()
    assert station.manager.runs != []


def test_what_fails_for_a_night_is_logged_once(station: Station, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            station.turn(book=ZeroDivisionError(), start=ConfigError("Name the feed."))

    assert len([one for one in caplog.records if one.name.endswith("watch.engine")]) == 2


def test_while_it_is_not_known_who_has_the_streams_the_last_answer_holds(
    station: Station, monkeypatch: pytest.MonkeyPatch
):
    """Else each failure would take a dashboard's connection, or give up the own one."""
    followed: list[object] = []
    monkeypatch.setattr(RestFollower, "follow", lambda _, *symbols: followed.append(symbols))
    holder: Callable[[], str | None] = lambda: "the dashboard (process 1)"  # noqa: E731 - in the place of another
    monkeypatch.setattr(station.watch, "_holder", holder)
    station.turn()
    monkeypatch.setattr(station.watch, "_holder", lambda: 1 / 0)
    unknown = station.turn()

    assert unknown.source == "prices over REST, since the dashboard (process 1) has the streams"
    assert len(followed) == 2


def test_an_answer_that_nothing_follows_is_judged_again_and_grows_old(
    station: Station, monkeypatch: pytest.MonkeyPatch
):
    """A server that is mute, or a slow pace, leaves no rule unjudged for long."""
    asked_at = OPEN
    monkeypatch.setattr(station.watch, "_holder", lambda: "the dashboard (process 1)")
    monkeypatch.setattr(RestFollower, "follow", lambda *_: None)
    monkeypatch.setattr(RestFollower, "beside", lambda _, own: replace(own, as_of=asked_at))
    for station.seconds in (0, 1, 14, 15, 16, 29, 30):
        station.turn()
    assert [(one - OPEN).total_seconds() for one in station.as_of] == [0, 15, 30]

    asked_at = OPEN + timedelta(seconds=31)
    for station.seconds in (32, 33, 46, 47):
        station.turn()
    assert [(one - OPEN).total_seconds() for one in station.as_of[3:]] == [31, 46]


def test_before_the_first_answer_rules_are_judged_by_what_is_known_without_one(
    station: Station, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(station.watch, "_holder", lambda: "the dashboard (process 1)")
    monkeypatch.setattr(RestFollower, "follow", lambda *_: None)
    for station.seconds in (0, 14, 15, 16, 30):
        station.turn()
    assert station.judged == [BOOK, BOOK]


def test_the_account_of_a_snapshot_is_that_of_the_portfolio_beside_it(
    station: Station, monkeypatch: pytest.MonkeyPatch
):
    settled: list[LiveSnapshot] = []

    def look(snapshot: LiveSnapshot) -> BookNow:
        account = replace(snapshot.account, unsettled=frozenset({"MSFT"}))
        settled.append(replace(snapshot, account=account))
        return BookNow(settled[-1], BOOK)

    monkeypatch.setattr(station, "look", look)
    assert station.turn().snapshot is settled[-1]
