"""What the market says of its own hours reaches a run: the real client, the simulator's calendar and clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial

import pytest

from options_helper.analysis.live_health import feed_labels, headline
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.market_hours import NOTHING_TOLD, regular_session
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.simulated import PATIENT_REST, settings_for
from tests.kit.waiting import wait_until
from tests.wire.test_account_watch import until_done, until_live, until_reported, watching
from tests.wire.test_engine import NOON

TODAY = date(2026, 3, 20)

Simulators = Callable[..., SimulatorServer]


@pytest.fixture
def simulator(running_simulator: Simulators) -> Simulators:
    return partial(running_simulator, SilentMarket(start_ns=NOON))


def told(manager: LiveStreamManager) -> object:
    return dict(manager.snapshot().told_sessions)


def test_a_closing_that_no_calendar_knows_quiets_the_streams_and_is_said(simulator: Simulators):
    """A day of mourning: on our calendar the exchange is open."""
    assert regular_session(TODAY) is not None
    with watching(simulator(faults=Faults(closed_today=True))) as manager:
        wait_until(lambda: told(manager) == {TODAY: None}, saw=lambda: told(manager))
        until_live(manager, StreamName.STOCKS)
        wait_until(
            lambda: manager.snapshot().streams[StreamName.STOCKS].phase is Phase.QUIET,
            saw=lambda: manager.snapshot().streams,
        )
        wait_until(
            lambda: headline(manager.snapshot()).sentence.startswith("Market closed: last session's prices"),
            saw=lambda: headline(manager.snapshot()),
        )
        snapshot = manager.snapshot()

    assert "Opens Mon 09:30 ET" in headline(snapshot).sentence
    assert "CLOSED TODAY (THE MARKET'S CALENDAR)" in feed_labels(snapshot)


def test_a_market_that_agrees_tells_nothing(simulator: Simulators):
    with watching(simulator()) as manager:
        until_done(manager, RestTask.CALENDAR)

        assert told(manager) == {}
        assert not any("CALENDAR" in label for label in feed_labels(manager.snapshot()))


@pytest.mark.parametrize("path", ["/v2/calendar", "/v2/clock"])
def test_without_an_answer_the_calendar_stands_and_it_is_asked_again(simulator: Simulators, path: str):
    server = simulator(faults=Faults(rest_status=403, rest_path=path))
    with watching(server) as manager:
        until_reported(
            manager,
            lambda one: one.phase is RestPhase.FAILED and "HTTP 403" in (one.problem or ""),
            RestTask.CALENDAR,
        )
        assert manager.snapshot().told_sessions == NOTHING_TOLD
        assert "Market closed" not in headline(manager.snapshot()).sentence

        server.set_faults(Faults(closed_today=True))
        wait_until(lambda: told(manager) == {TODAY: None}, saw=lambda: told(manager))


def test_nothing_is_asked_before_start(simulator: Simulators):
    server = simulator()

    LiveStreamManager(settings_for(server)).snapshot()

    assert not server.requests


def test_the_simulator_s_calendar_has_half_days_and_leaves_out_holidays(simulator: Simulators):
    with AlpacaRest(settings_for(simulator()), policy=PATIENT_REST) as rest:
        rows = {row["date"]: row for row in rest.calendar(date(2026, 11, 25), date(2026, 11, 30))}

    assert list(rows) == ["2026-11-25", "2026-11-27", "2026-11-30"]
    assert (rows["2026-11-27"]["open"], rows["2026-11-27"]["close"]) == ("09:30", "13:00")
