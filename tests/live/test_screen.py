"""The screen as values, without a page: what a watch in a terminal would have to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from options_helper.analysis.live_health import Level
from options_helper.analysis.marks import QuoteWarning
from options_helper.data.portfolio_file import open_portfolio_file
from options_helper.live.screen import Preferences, ScreenModel, State, ViewOptions, build_screen
from options_helper.live.session import LiveSession, RunSettings
from options_helper.model.announcement import MarketKind
from options_helper.model.instants import NANOSECONDS
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import StreamName
from options_helper.settings import Settings
from tests.portal import scenes
from tests.portal.scenes import OPEN, SAMPLE, ShowingManager, execution, manager_for

BOOK = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])
BOUGHT = execution("AAPL270115C00275000", 1, "9.15", at=OPEN - timedelta(minutes=10))
Show = Callable[..., ScreenModel]


@pytest.fixture
def show() -> Iterator[Show]:
    """The screen of a scene, with these preferences, once something runs."""
    sessions: list[LiveSession] = []

    def shown(scene: Callable[[], LiveSnapshot], **preferences: object) -> ScreenModel:
        session = LiveSession(build_manager=manager_for(scene), housekeeping_seconds=3_600)
        sessions.append(session)
        session.start(BOOK, RunSettings(), Settings())
        return build_screen(session, BOOK, ViewOptions(Preferences(**preferences), ZoneInfo("UTC")), now=OPEN)

    yield shown
    for session in sessions:
        session.stop()


def test_before_start_it_says_how_to_begin():
    screen = build_screen(LiveSession(), BOOK, ViewOptions(Preferences(), ZoneInfo("UTC")), now=OPEN)

    assert (screen.state, screen.headline.level) == (State.NOT_STARTED, Level.INFO)
    assert (len(screen.positions), len(screen.structures), len(screen.legs)) == (7, 3, 8)
    assert not screen.priced


@pytest.mark.parametrize(
    ("scene", "state", "level"),
    [
        (scenes.live, State.RUNNING, Level.OK),
        (scenes.stale, State.RUNNING, Level.WARNING),
        (scenes.connecting, State.CONNECTING, Level.INFO),
        (scenes.stalled, State.STALLED, Level.WARNING),
        (scenes.reconnecting, State.RECONNECTING, Level.WARNING),
        (scenes.failed, State.ERROR, Level.ERROR),
    ],
)
def test_the_worst_stream_speaks_for_all(
    show: Show, scene: Callable[[], LiveSnapshot], state: State, level: Level
):
    screen = show(scene)

    assert (screen.state, screen.headline.level) == (state, level)


def test_tables_and_totals_are_of_one_snapshot(show: Show):
    screen = show(scenes.live)

    lines = sum((*screen.positions["pnl_abs"], *screen.structures["net_pnl_abs"]))
    assert screen.totals.pnl_abs == pytest.approx(lines)
    assert screen.snapshot.as_of == OPEN


def test_thresholds_are_the_viewers(show: Show):
    def stale_lines(after_seconds: int) -> int:
        totals = show(scenes.stale, stale_after_seconds=after_seconds).totals
        return len(totals.with_warning(QuoteWarning.STALE_QUOTE))

    assert stale_lines(100) == 0
    assert stale_lines(30) > 0


def test_a_file_behind_the_account_is_said_without_hidden_amounts(show: Show):
    (banner,) = show(scenes.with_account(BOUGHT)).banners
    (hidden,) = show(scenes.with_account(BOUGHT), hide_amounts=True).banners

    assert "9.15" in banner.text
    assert "9.15" not in hidden.text
    assert (banner.level, hidden.level) == (Level.WARNING, Level.WARNING)


def test_what_the_user_wrote_of_the_risk_figures_is_taken_at_start(show: Show, monkeypatch, tmp_path):
    betas = tmp_path / "betas.toml"
    betas.write_text("[betas]\nAAPL = 1.7\n")
    monkeypatch.setenv("OH_RISK_BETAS", str(betas))

    beta = next(one.beta for one in show(scenes.live).risk.underlyings if one.symbol == "AAPL")

    assert beta.value == 1.7


def test_the_users_own_dividends_are_taken_at_start(show: Show, monkeypatch, tmp_path):
    dividends = tmp_path / "dividends.toml"
    dividends.write_text(
        '[[dividends]]\nsymbol = "AAPL"\nex_date = 2026-11-30\namount = 0.5\nsaid_by = "me"\nentered = 2026-11-02\n'
    )
    monkeypatch.setenv("OH_RISK_DIVIDENDS", str(dividends))

    reasons = [reason for line in show(scenes.live).risk.lines for reason in line.reasons]

    assert any("our $0.5 on 30 Nov 26 (me, entered 2 Nov 26)" in reason for reason in reasons)


def test_a_betas_file_that_is_none_costs_the_betas_and_not_the_page(show: Show, monkeypatch, tmp_path):
    betas = tmp_path / "betas.toml"
    betas.write_text('[betas]\nAAPL = "high"\n')
    monkeypatch.setenv("OH_RISK_BETAS", str(betas))

    screen = show(scenes.live)

    (banner,) = [banner for banner in screen.banners if banner.subject == "Risk figures"]
    assert "the beta of AAPL is no number" in banner.text
    assert "made with the defaults" in banner.text
    assert screen.risk.sums.delta.coverage.known > 0


def test_a_market_on_this_computer_that_has_not_told_its_time_goes_on_from_the_start_of_the_run():
    """Its day is the demo's, and until it speaks all else is told by this computer's clock."""
    days, since = timedelta(days=8), timedelta(seconds=40)

    def local() -> LiveSnapshot:
        scene, by = scenes.failed(), int(days.total_seconds()) * NANOSECONDS
        health = replace(
            scene.streams[StreamName.OPTIONS], next_try_at=scene.as_of + timedelta(seconds=25)
        ).moved(by)
        return replace(
            scene,
            as_of=scene.as_of + days,
            running_since=scene.as_of + days - since,
            streams={**scene.streams, health.name: health},
        )

    session = LiveSession(
        build_manager=lambda _: ShowingManager(local, MarketKind.LOCAL), housekeeping_seconds=3_600
    )
    session.start(BOOK, RunSettings(), Settings())
    began = scenes.failed().as_of
    screen = build_screen(
        session,
        BOOK,
        ViewOptions(Preferences(), ZoneInfo("UTC")),
        now=OPEN + days,
        local_market=True,
        market_time=began,
    )
    session.stop()

    assert screen.snapshot.as_of == began + since
    assert "It is tried again in 25 s." in screen.headline.sentence
