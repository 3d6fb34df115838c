"""The recording's own switch on the page, and what the bar says of it while the page's streams run and afterwards."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from options_helper.clock import utc_now
from options_helper.commands.page_recording import RecordingState
from options_helper.commands.page_server import FOLDER_VARIABLE
from options_helper.data.state_folder import state_folder
from options_helper.errors import StoreError
from options_helper.live.connections import PROCESS_MODULE
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import LiveSnapshot, Phase
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import Role
from options_helper.monitoring.heartbeat_file import write_heartbeat
from tests.commands.test_page_recording import BEAT, Desk
from tests.kit.heartbeats import heartbeat, stream_beat
from tests.kit.waiting import until_no_thread
from tests.portal import scenes
from tests.portal.conftest import Portal, everything, markup, press


@pytest.fixture
def desk(portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """The process of a page that was opened with --record."""
    made = Desk(tmp_path / "recorded")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "recorded"))
    monkeypatch.setitem(vars(sys.modules[PROCESS_MODULE]), "recording", made.recording)
    yield made
    made.recording.conclude()
    until_no_thread("live-recording")


def told(tab: AppTest) -> str:
    """What the bar says of the recording, and what is under a pointer."""
    found = re.search(r'<span [^>]*title="([^"]*)"[^>]*data-recording[^>]*>([^<]*)<', markup(tab))
    return "" if found is None else f"{unescape(found[2])} | {unescape(found[1])}"


def test_it_begins_with_start_and_the_bar_counts_its_rows(portal: Portal, desk: Desk):
    tab = portal.open()
    assert told(tab).startswith("● recording begins when the page streams | The recording into ")
    press(tab, "start")
    desk.until(RecordingState.RECORDS)
    tab.run()
    assert told(tab).startswith("● recording: 7 rows")
    assert "7 rows, 0 gaps, 0 lost." in told(tab)


def test_after_stop_the_page_says_that_the_recording_goes_on(portal: Portal, desk: Desk):
    tab = portal.open()
    press(tab, "start")
    desk.until(RecordingState.RECORDS)
    press(tab, "stop")
    assert told(tab).startswith("● recording goes on: 7 rows")
    assert desk.state is RecordingState.RECORDS


def test_its_switch_ends_it_for_all_tabs_and_leaves_the_page_running(portal: Portal, desk: Desk):
    tab, other = portal.open(), portal.open()
    press(tab, "start")
    desk.until(RecordingState.RECORDS)
    tab.run()
    tab.button(key="record-off").click().run()
    desk.until(RecordingState.OFF)
    for one in (tab, other):
        one.run()
        assert told(one) == ""
        assert portal.session.running
    other.button(key="record-on").click().run()
    desk.until(RecordingState.RECORDS)
    assert len(desk.made) == 2


def test_what_came_after_its_beginning_is_told_as_not_recorded(portal: Portal, desk: Desk):
    tab = portal.open()
    press(tab, "start")
    desk.until(RecordingState.RECORDS)
    tab.run()
    # The recorder of this test has SPY alone.
    assert re.match(r"● recording: 7 rows, without \d+ symbols", told(tab))
    assert "Not recorded, because it came later: " in told(tab)


def test_a_loss_and_a_refusal_are_told_as_troubles(portal: Portal, desk: Desk):
    tab = portal.open()
    press(tab, "start")
    desk.until(RecordingState.RECORDS)
    desk.made[0].beat = replace(BEAT, lost=3)
    tab.run()
    assert told(tab).startswith("▲ recording: 7 rows")
    assert "3 lost" in told(tab)


def test_a_folder_that_another_has_is_told_and_does_not_keep_the_page_from_running(
    portal: Portal, desk: Desk
):
    desk.refusal = StoreError("the folder is held by process 7")
    tab = portal.open()
    press(tab, "start")
    desk.until(RecordingState.FAILED)
    tab.run()
    assert told(tab).startswith("▲ recording has ended by itself")
    assert "held by process 7" in told(tab)
    assert portal.session.running


def test_a_page_without_a_folder_says_how_to_get_one_and_nothing_more(portal: Portal):
    tab = portal.show(scenes.live)
    assert told(tab) == ""
    assert [caption.value for caption in tab.sidebar.caption if "ui --record DIR" in caption.value]
    assert not [button for button in tab.button if button.key in ("record-on", "record-off")]


def test_a_page_whose_connection_another_program_has_says_which_and_how_to_share_it(
    portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    beat = heartbeat(
        pid=os.getppid(),
        role=Role.CAPTURE,
        written_at=utc_now(),
        market=MarketKind.SIMULATED,
        streams={StreamName.STOCKS: stream_beat(feed="iex")},
    )
    write_heartbeat(state_folder() / f"capture-{os.getppid()}.json", beat)
    portal.scene = taken
    tab = portal.open()
    press(tab, "start")
    portal.session.keep()
    tab.run()
    assert "has the connection to iex" in everything(tab)
    assert "To see what it records, end it, and begin it again with --page" in everything(tab)
    portal.scene = scenes.live
    tab.run()  # the housekeeper goes by what was heard for a viewer a moment ago
    portal.session.keep()
    tab.run()
    assert "has the connection to iex" not in everything(tab)


def taken() -> LiveSnapshot:
    """The stocks are refused with 406."""
    lost = scenes.reconnecting()
    stocks = replace(
        lost.streams[StreamName.STOCKS], phase=Phase.RECONNECTING, feed="iex", last_error_code=406
    )
    return replace(lost, streams={**lost.streams, StreamName.STOCKS: stocks})
