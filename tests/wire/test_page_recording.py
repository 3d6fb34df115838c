"""A page and the recording in its process, through the real client: one connection, two switches, two ledgers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from options_helper.commands.page_recording import PageRecording, RecordingState, prepare_on
from options_helper.data.portfolio_file import PortfolioFile
from options_helper.data.streaming.engine.shared_source import SharedConnections
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.live.session import LiveSession, RunSettings
from options_helper.model.portfolio import load_portfolio
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import Heartbeat, Role
from options_helper.monitoring.heartbeat_file import CAPTURE_FILE, known_heartbeats, read_heartbeat
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from options_helper.simulator.wire.protocol import FREE_PLAN
from tests.kit.simulated import settings_for
from tests.kit.waiting import until_no_thread, wait_until
from tests.wire.test_capture import gap_rows, rows_on_disk
from tests.wire.test_engine import NOON, STOCK_PATH, Simulators, quote
from tests.wire.test_shared_connection import connections_to

STOCKS = StreamName.STOCKS


@pytest.fixture
def simulator(running_simulator: Simulators) -> Simulators:
    return partial(running_simulator, SilentMarket(start_ns=NOON), limits=FREE_PLAN)


@pytest.fixture(autouse=True)
def own_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


class Process:
    """What a page's process has: a session and a recording, on the same connections."""

    def __init__(self, server: SimulatorServer, folder: Path, repository: Path) -> None:
        self.server = server
        self.folder = folder
        self.connections: SharedConnections = connections_to()
        self.session = LiveSession(build_manager=self._build, housekeeping_seconds=3_600)
        self.told: list[str] = []
        self.recording = PageRecording(
            folder, tell=self.told.append, prepare=prepare_on(self.connections.of("the recording"))
        )
        self._book = load_portfolio(repository / "portfolio.json")

    def _build(self, settings: Any) -> LiveStreamManager:
        return LiveStreamManager(settings, source=self.connections.of("the page"), rest_cls=None)

    def press_start(self, **choices: Any) -> None:
        file = PortfolioFile(Path("portfolio.json"), "portfolio.json", portfolio=self._book)
        self.session.start(file, RunSettings(stream_fills=False, **choices), settings_for(self.server))
        run = self.session.run
        assert run is not None
        self.recording.follow(run)

    def page_phase(self) -> Phase | None:
        snapshot = self.session.snapshot()
        return None if snapshot is None else snapshot.streams[STOCKS].phase

    def until_rows(self, rows: int) -> None:
        wait_until(
            lambda: (self.recording.view().rows or 0) >= rows, saw=lambda: (self.recording.view(), self.told)
        )

    def until_recorded_live(self) -> None:
        def is_live() -> bool:
            beat = self.recording.view().beat
            return beat is not None and STOCKS in beat.streams and beat.streams[STOCKS].connections == 1

        wait_until(is_live, saw=lambda: (self.recording.view(), self.told))


@pytest.fixture
def process(simulator: Simulators, tmp_path: Path, repository: Path) -> Iterator[Process]:
    made = Process(simulator(), tmp_path / "recorded", repository)
    yield made
    made.session.stop()
    made.recording.conclude()
    until_no_thread("live-")


def test_stop_ends_what_the_page_shows_and_the_recording_goes_on_without_a_gap(process: Process):
    server = process.server
    process.press_start()
    process.until_recorded_live()
    wait_until(lambda: process.page_phase() in (Phase.LIVE, Phase.QUIET), saw=process.session.snapshot)
    server.push(STOCKS, [quote(bid=1)])
    process.session.stop()
    server.push(STOCKS, [quote(bid=2)])
    process.press_start()
    wait_until(lambda: process.page_phase() in (Phase.LIVE, Phase.QUIET), saw=process.session.snapshot)
    server.push(STOCKS, [quote(bid=3)])
    process.until_rows(3)

    process.recording.switch_off()
    wait_until(lambda: process.recording.view().state is RecordingState.OFF)
    server.push(STOCKS, [quote(bid=4)])
    wait_until(
        lambda: (
            (seen := process.session.snapshot()) is not None
            and "AAPL" in seen.quotes
            and seen.quotes["AAPL"].bid_price == 4
        ),
        saw=process.session.snapshot,
    )
    assert process.recording.conclude() == 0
    assert process.told[-1] == "Ended, because it was asked to end. Nothing was lost."
    assert list(rows_on_disk(process.folder)["bid_price"]) == [1, 2, 3]
    assert gap_rows(process.folder) == []
    assert server.connections[STOCK_PATH] == 1


def test_its_heartbeat_is_a_recorders_and_is_found_as_one(process: Process):
    process.press_start()
    process.until_recorded_live()
    (found,) = known_heartbeats(roles=(Role.CAPTURE,))
    assert found.resolve() == (process.folder / CAPTURE_FILE).resolve()

    def written() -> Heartbeat:
        beat = read_heartbeat(found)
        assert beat is not None
        return beat

    wait_until(lambda: STOCKS in written().streams, saw=written)
    assert (written().role, written().streams[STOCKS].connections) == (Role.CAPTURE, 1)


def test_a_page_that_wants_another_feed_is_told_that_the_recording_has_the_connection(process: Process):
    process.press_start()
    process.until_recorded_live()
    process.session.stop()
    process.press_start(stock_feed="delayed_sip")

    def last_error() -> str:
        snapshot = process.session.snapshot()
        return "" if snapshot is None else snapshot.streams[STOCKS].last_error or ""

    wait_until(
        lambda: "The recording has the stocks connection with the feed iex" in last_error(), saw=last_error
    )
    process.server.push(STOCKS, [quote()])
    process.until_rows(1)
