"""Whose market was recorded is known for as long as the recording is, and a replay of a made-up one says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from options_helper.analysis.live_health import feed_labels
from options_helper.data.recording.journal import RecordKind, facts_record, recorded_market
from options_helper.data.recording.session_notes import save_note, session_notes
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.simulator.market.market import PlayingClock, SilentMarket
from options_helper.simulator.market.replay import ReplayMarket
from options_helper.simulator.server import SimulatorServer
from tests.data.recording.test_rebuild import began, received, record_session
from tests.data.recording.test_recover import note_of
from tests.kit.fakes import NOON as RECORDED_NOON
from tests.kit.fakes import quote_message
from tests.kit.simulated import settings_for
from tests.kit.waiting import wait_until
from tests.wire.conftest import running_simulator as running_simulator  # noqa: PLC0414 - a fixture
from tests.wire.test_capture import ONLY_STOCKS, STOCKS, capturing, until_received
from tests.wire.test_engine import NOON, quote

Simulators = Callable[..., SimulatorServer]


def announced_by(market: ReplayMarket) -> Announcement:
    clock = PlayingClock(market, steady=lambda: 0.0, computer_ns=lambda: 0)
    return Announcement.parse(clock.announcement().header())


def test_a_recording_keeps_what_it_is_of_and_its_replay_says_it(
    running_simulator: Simulators, tmp_path: Path
):
    server = running_simulator(SilentMarket(start_ns=NOON))
    with capturing(server, tmp_path / "first", ONLY_STOCKS) as capture:
        server.push(STOCKS, [quote()])
        until_received(capture, server)

    (note,) = session_notes(tmp_path / "first")
    assert (note.feeds, note.channels) == ({"stocks": "iex"}, {"stocks": ("quotes", "trades")})
    assert note.market == MarketKind.SIMULATED

    played = running_simulator(ReplayMarket(tmp_path / "first"))
    with capturing(played, tmp_path / "second", ONLY_STOCKS) as again:
        until_received(again, played)
        wait_until(lambda: again.status().streams[STOCKS].received, saw=again.status)
    assert session_notes(tmp_path / "second")[0].market == MarketKind.SIMULATED, "also a replay's recording"

    manager = LiveStreamManager(settings_for(played))
    try:
        manager.start(ONLY_STOCKS)
        snapshot = wait_until(
            lambda: (now := manager.snapshot()).market is MarketKind.REPLAY and now, saw=manager.snapshot
        )
    finally:
        manager.stop()
    (label,) = feed_labels(snapshot)
    assert label.startswith("REPLAY of a SIMULATED market 2026-03-20")


@pytest.mark.parametrize("market", [MarketKind.SIMULATED, MarketKind.ALPACA])
def test_the_note_says_it_where_there_is_no_journal(tmp_path: Path, market: MarketKind):
    record_session(tmp_path, "one", [began(RECORDED_NOON), received(RECORDED_NOON, quote_message("AAPL"))])
    save_note(tmp_path, replace(note_of("one", began(RECORDED_NOON)), market=market))

    of = None if market is MarketKind.ALPACA else market
    assert recorded_market(tmp_path) is of
    assert announced_by(ReplayMarket(tmp_path)).replay_of is of


def test_the_journal_says_it_of_a_recording_of_an_older_version(tmp_path: Path):
    made_up = Announcement(MarketKind.SIMULATED, RECORDED_NOON, 1.0, None).header().encode()
    announced = facts_record(RecordKind.MARKET, RECORDED_NOON, {})._replace(payload=made_up)
    records = [began(RECORDED_NOON), announced, received(RECORDED_NOON, quote_message("AAPL"))]
    record_session(tmp_path, "one", records)

    assert announced_by(ReplayMarket(tmp_path)).replay_of is MarketKind.SIMULATED


def test_a_replay_of_alpacas_market_is_of_nobody_elses(tmp_path: Path):
    record_session(tmp_path, "one", [began(RECORDED_NOON), received(RECORDED_NOON, quote_message("AAPL"))])

    assert announced_by(ReplayMarket(tmp_path)).replay_of is None
