"""`stream capture --page` and `ui --record`: the recorder's own words, exit code and end, with a page beside it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from options_helper.data.intraday_store import IntradayStore
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from options_helper.simulator.wire.protocol import FREE_PLAN
from tests.commands.test_cli import get
from tests.kit.programs import Program
from tests.kit.waiting import A_PROCESS, AT_ONCE, wait_until
from tests.wire.test_capture import gap_rows, rows_on_disk
from tests.wire.test_engine import NOON, STOCKS, quote

pytestmark = pytest.mark.processes


class Command:
    """A running command, and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []

    def until_said(self, words: str) -> str:
        """Read on until a line has these words."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if words in line:
                return line
        raise AssertionError(f"ended without {words!r}: {self.said}")

    def end(self) -> int:
        """Its exit code, when it has ended."""
        assert self.process.stdout is not None
        self.said += self.process.stdout.readlines()
        return self.process.wait(A_PROCESS)


@contextlib.contextmanager
def server(faults: Faults | None = None) -> Iterator[SimulatorServer]:
    made = SimulatorServer(SilentMarket(start_ns=NOON), limits=FREE_PLAN, faults=faults or Faults())
    made.start()
    try:
        yield made
    finally:
        made.stop()


@contextlib.contextmanager
def command(market: SimulatorServer, cwd: Path, *arguments: str) -> Iterator[Command]:
    environment = {
        **os.environ,
        "APCA_API_KEY_ID": DEMO_KEY,
        "APCA_API_SECRET_KEY": DEMO_SECRET,
        "APCA_API_BASE_URL": market.rest_url,
        "OH_ALPACA_STREAM_URL": market.stream_url,
        "OH_ALPACA_DATA_URL": market.rest_url,
        "XDG_STATE_HOME": str(cwd / "state"),
    }
    with Program(*arguments, cwd=cwd, env=environment, start_new_session=True) as process:
        family: list[psutil.Process] = []
        try:
            made = Command(process)
            yield made
            with contextlib.suppress(psutil.NoSuchProcess):
                family = psutil.Process(process.pid).children(recursive=True)
        finally:
            process.kill()
            for child in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()


PAGE = ("ui", "--no-browser", "--record", "recorded", "--port", "0")
CAPTURE = ("stream", "capture", "--out", "recorded", "--stocks", "AAPL", "--page", "--port", "0")


def test_a_capture_with_a_page_records_at_once_and_ends_in_order_with_its_own_exit_code(tmp_path: Path):
    with server() as market, command(market, tmp_path, *CAPTURE) as capture:
        capture.until_said("Recording 1 stock")
        url = re.search(r"http://127\.0\.0\.1:\d+", capture.until_said("The live portfolio is at"))
        assert url is not None
        assert get(f"{url[0]}/_stcore/health") == 200
        wait_until(lambda: market.subscribed(STOCKS) == {"AAPL"})
        market.push(STOCKS, [quote(), quote()])
        market.flush()
        wait_until(lambda: market.sent[STOCKS] == 2)
        (page,) = psutil.Process(capture.process.pid).children()
        capture.process.send_signal(signal.SIGINT)
        assert capture.end() == 0, capture.said
        assert not page.is_running() or page.status() == psutil.STATUS_ZOMBIE
    assert "Ended, because it was asked to end. Nothing was lost." in "".join(capture.said)
    assert len(rows_on_disk(tmp_path / "recorded")) == 2
    assert gap_rows(tmp_path / "recorded") == []


def test_what_was_lost_of_the_recording_is_in_the_exit_code(tmp_path: Path):
    with server(Faults(malformed=True)) as market, command(market, tmp_path, *CAPTURE) as capture:
        capture.until_said("The live portfolio is at")
        wait_until(lambda: market.subscribed(STOCKS) == {"AAPL"})
        market.push(STOCKS, [quote()])
        market.flush()
        wait_until(lambda: market.sent[STOCKS])
        capture.process.send_signal(signal.SIGTERM)
        assert capture.end() == 1, capture.said
    assert "Something is missing" in "".join(capture.said)


def test_a_recording_whose_time_is_over_takes_its_page_with_it(tmp_path: Path):
    with server() as market, command(market, tmp_path, *CAPTURE, "--duration", "1s") as capture:
        assert capture.end() == 0, capture.said
    assert "Ended, because its time is over" in "".join(capture.said)


def test_a_folder_that_another_records_into_is_told_and_there_is_no_page(tmp_path: Path):
    with server() as market, IntradayStore(tmp_path / "recorded") as store:
        store.acquire()
        with command(market, tmp_path, *CAPTURE) as capture:
            assert capture.end() == 75, capture.said
    assert str(os.getpid()) in "".join(capture.said)
    assert "The live portfolio is at" not in "".join(capture.said)


def test_a_page_that_may_record_and_has_not_begun_ends_as_any_page(tmp_path: Path):
    with server() as market, command(market, tmp_path, *PAGE) as page:
        page.until_said("The live portfolio is at")
        page.process.send_signal(signal.SIGTERM)
        assert page.process.wait(AT_ONCE) == 0
        assert market.connections == {}
    assert not (tmp_path / "recorded").exists()


def test_a_second_recorder_says_who_has_the_connection_and_how_to_share_it(tmp_path: Path):
    other = ("stream", "capture", "--out", "other", "--stocks", "AAPL")
    with server() as market, command(market, tmp_path, *CAPTURE) as capture:
        capture.until_said("The live portfolio is at")
        wait_until(lambda: market.subscribed(STOCKS) == {"AAPL"})
        with command(market, tmp_path, *other) as second:
            said = second.until_said("has the connection to iex")
            assert re.search(r"Note: The capture on this computer \(process \d+\)", said)
            second.process.send_signal(signal.SIGINT)
            assert second.end() == 1
        capture.process.send_signal(signal.SIGINT)
        assert capture.end() == 0
