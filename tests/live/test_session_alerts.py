"""The page judges the rules too: on every snapshot, whether somebody looks or not, and sends under the lease."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest

from options_helper.alerting.books import AlertBooks, Scope, books_at
from options_helper.data.portfolio_file import open_portfolio_file
from options_helper.data.secret_name import secret_name
from options_helper.errors import ConfigError
from options_helper.live.account_book import ACCOUNT_FILE, PortfolioSource
from options_helper.live.alerts_view import AlertsReader, judging
from options_helper.live.further_accounts import Manager
from options_helper.live.screen import Preferences, ViewOptions, Viewpoint, shared_screen
from options_helper.live.session import LiveSession, RunSettings
from options_helper.model.snapshot import LiveSnapshot
from options_helper.monitoring.heartbeat import RunState
from options_helper.monitoring.heartbeat_file import read_heartbeat
from options_helper.settings import Settings
from tests.kit.alerting import alert_books
from tests.kit.builders import quote
from tests.kit.waiting import until_no_thread
from tests.portal import scenes
from tests.portal.scenes import SAMPLE, manager_for

RULE = """
[[rules]]
name = "SPY high"
subject = "underlying:SPY"
figure = "price"
operator = "above"
level = 685
"""
BOOK = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])
NOW = datetime(2026, 11, 20, 15, 32, tzinfo=UTC)


class Stage:
    """A session that judges, by a file of rules and with a log of its own."""

    def __init__(self, folder: Path) -> None:
        self.spot = 680.1
        self.refuses = False
        self.scene: Callable[[], LiveSnapshot] = scenes.live
        self.log = folder / "log"
        self.portfolio: Path | None = None
        self.broken: Exception | None = None
        self.seconds = 0.0
        self.session = LiveSession(
            build_manager=self._build,
            monotonic=lambda: self.seconds,
            housekeeping_seconds=3_600,
            heartbeat=folder / "heartbeat.json",
            alerts=AlertsReader(time.monotonic, open_books=self._open, judging=judging),
        )

    def _build(self, settings: Settings) -> Manager:
        if self.refuses:
            raise ConfigError("These settings do not work.")
        return manager_for(self._scene)(settings)

    def _open(
        self, _settings: Settings, portfolio: Path | None, who: str, since: datetime
    ) -> Mapping[Scope, AlertBooks]:
        if self.broken is not None:
            raise self.broken
        self.portfolio = portfolio
        return alert_books(self.log, who, since)

    def _scene(self) -> LiveSnapshot:
        scene = self.scene()
        spy = quote("SPY", self.spot - 0.01, self.spot + 0.01, as_of=scene.as_of)
        return replace(scene, quotes=MappingProxyType({**scene.quotes, "SPY": spy}))

    def start(self) -> None:
        """Begin a run."""
        self.session.start(BOOK, RunSettings(), Settings())

    def start_with_account(self) -> None:
        """Begin one whose portfolio is the account's, which says nothing yet."""
        self.session.start(ACCOUNT_FILE, RunSettings(source=PortfolioSource.ACCOUNT), Settings())

    def fired(self) -> list[str]:
        """The rules that have fired, the newest first."""
        return [one.firing.rule for one in self.session.alerts().firings]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    rules = tmp_path / "alerts.toml"
    rules.write_text(RULE)
    monkeypatch.setenv("OH_ALERT_RULES", str(rules))
    made = Stage(tmp_path)
    yield made
    made.session.stop()
    until_no_thread("live-alerts")


def test_a_crossing_fires_once_without_anybody_who_looks(stage: Stage):
    stage.start()
    stage.session.keep()
    assert stage.fired() == []

    stage.spot = 690.0
    for _ in range(3):
        stage.session.keep()
    assert stage.fired() == ["SPY high"]
    assert stage.session.alerts().problem is None


def test_what_was_acknowledged_is_so_where_it_is_drawn_again(stage: Stage):
    """A click on the button draws the open tab alone, of what the last refresh has shown."""
    stage.start()
    stage.session.keep()
    stage.spot = 690.0
    stage.session.keep()
    seen = Viewpoint(BOOK, ViewOptions(Preferences(), ZoneInfo("UTC")))
    shown = shared_screen(stage.session, seen, "a tab", NOW)
    stage.session.acknowledge(shown.alerts.firings[0].firing.key)

    drawn = shared_screen(stage.session, seen, "a tab", NOW, again=True)

    assert shown.alerts.firings[0].acknowledged_at is None
    assert drawn.alerts.firings[0].acknowledged_at is not None


def test_what_is_true_at_start_is_not_fired(stage: Stage):
    stage.spot = 690.0
    stage.start()
    for _ in range(2):
        stage.session.keep()

    assert stage.fired() == []


def test_the_page_has_the_lease_while_it_runs_and_gives_it_back(stage: Stage):
    stage.start()
    assert {sender.who for sender in stage.session.alerts().senders.values()} == {"dashboard"}
    assert stage.portfolio == SAMPLE

    stage.session.stop()
    other = books_at(stage.log, "watch", NOW)
    assert other.lease.keep()
    other.lease.release()


def test_beside_a_watch_that_sends_the_page_judges_and_writes_nothing(stage: Stage):
    watch = books_at(stage.log, "watch", NOW)
    assert watch.lease.keep()
    stage.start()
    stage.session.keep()
    stage.spot = 690.0
    stage.session.keep()

    assert stage.fired() == []
    senders = stage.session.alerts().senders
    assert {scope: sender.who for scope, sender in senders.items()} == {
        Scope.ACCOUNT: "dashboard",
        Scope.BOOK: "watch",
    }
    watch.lease.release()


def test_a_file_of_rules_that_is_broken_is_said_and_costs_no_page(stage: Stage, tmp_path: Path):
    (tmp_path / "alerts.toml").write_text(f'{RULE}colour = "red"\n')
    stage.start()
    stage.session.keep()

    problem = stage.session.alerts().problem
    assert problem is not None
    assert "colour" in problem
    assert stage.session.history().points != ()


def test_without_rules_about_the_book_nobody_looks_at_it_for_them(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "alerts.toml").unlink()
    asked: list[object] = []
    stage.start()
    look: Callable[..., object] = stage.session.looks.look

    def noted(*things: object, **more: object) -> object:
        asked.append(things)
        return look(*things, **more)

    stage.session.keep()  # the first reading of what changes, which asks too
    monkeypatch.setattr(stage.session.looks, "look", noted)
    stage.session.keep()

    assert asked == []


def test_a_start_that_fails_after_the_run_before_has_ended_leaves_nobody_who_judges(stage: Stage):
    """Otherwise a watch would wait for a lease that a session without a run keeps renewing."""
    stage.start()
    fails = Settings(base_url="https://paper-api.alpaca.markets/other")
    stage.refuses = True
    with pytest.raises(ConfigError):
        stage.session.start(BOOK, RunSettings(), fails)

    assert not stage.session.running
    other = books_at(stage.log, "watch", NOW)
    assert other.lease.keep()
    other.lease.release()


def test_a_rule_about_this_run_s_streams_is_judged_without_any_about_the_book(stage: Stage, tmp_path: Path):
    (tmp_path / "alerts.toml").write_text(
        '[[rules]]\nname = "deaf"\nsubject = "stream:options"\nfigure = "phase"\noperator = "is"\nlevel = "failed"\n'
    )
    stage.start()
    stage.session.keep()
    stage.scene = scenes.failed
    stage.session.keep()

    assert stage.fired() == ["deaf"]


def test_what_needs_no_book_is_judged_before_an_account_s_positions_are_known(stage: Stage, tmp_path: Path):
    """A key that is refused is told of by a built-in rule, and just then nobody knows what the account holds."""
    (tmp_path / "alerts.toml").write_text(
        '[[rules]]\nname = "deaf"\nsubject = "stream:options"\nfigure = "phase"\noperator = "is"\nlevel = "failed"\n'
        + RULE
    )
    stage.start_with_account()
    stage.session.keep()
    assert stage.session.run is not None
    assert stage.session.run.portfolio_file.portfolio is None

    stage.scene, stage.spot = scenes.failed, 690.0
    stage.session.keep()

    assert stage.fired() == ["deaf"], "and nothing about a book that is not known"


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (UnicodeEncodeError("utf-8", "caf\udce9", 3, 4, "surrogates not allowed"), "UnicodeEncodeError"),
    ],
)
def test_a_log_that_cannot_be_opened_leaves_a_run_that_is_kept_and_is_opened_later(
    stage: Stage, broken: Exception, said: str
):
    """Whatever it is: streams without a housekeeper would end when nobody looks at them never."""
    stage.broken = broken
    stage.start()
    assert said in str(stage.session.alerts().problem)
    beat = read_heartbeat(stage.log.parent / "heartbeat.json")
    assert beat is not None
    assert beat.state is RunState.RUNNING
    stage.session.keep()

    stage.broken = None
    stage.seconds += 31
    stage.session.keep()
    assert stage.session.alerts().problem is None
    stage.spot = 690.0
    stage.session.keep()
    assert stage.fired() == ["SPY high"]


def test_a_second_start_opens_at_once_what_could_not_be_opened(stage: Stage):
    stage.broken = OSError(28, "No space left on device")
    stage.start()
    stage.broken = None
    stage.start()

    assert stage.session.alerts().problem is None
    assert stage.session.alerts().senders


def test_a_portfolio_in_a_folder_whose_name_is_no_utf_8_has_a_log_of_its_own(tmp_path: Path):
    odd = Path(os.fsdecode(b"caf\xe9")) / "portfolio.json"
    kept = {secret_name(tmp_path, str(path)) for path in (odd, Path("caf\u00e9/portfolio.json"), odd)}

    assert len(kept) == 2
