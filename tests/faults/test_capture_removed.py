"""What a capture has written is deleted or moved under its hands: it is told, and nothing is written over."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from options_helper.capture.runner import CaptureEngine
from options_helper.commands.capture_troubles import troubles_of
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.journal import journal_files
from options_helper.data.recording.loss_log import JOURNAL_GONE, loss_rows
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.session_notes import session_notes
from options_helper.data.recording.status import CaptureState, CaptureStatus
from options_helper.data.recording.verify import audit
from options_helper.errors import StoreError
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.faults.capturer import STOCKS, addresses
from tests.kit.waiting import wait_until
from tests.wire.conftest import running_simulator as running_simulator  # noqa: PLC0414 - a fixture
from tests.wire.test_capture import NOON_DAY
from tests.wire.test_engine import NOON, quote

Simulators = Callable[..., SimulatorServer]
QUOTES = f"stocks/quotes/tick/AAPL/{NOON_DAY}.csv.gz"


@pytest.fixture
def server(running_simulator: Simulators) -> SimulatorServer:
    return partial(running_simulator, SilentMarket(start_ns=NOON))()


@dataclass
class Recording:
    """A capture at work that writes each quote at once."""

    server: SimulatorServer
    engine: CaptureEngine
    pushed: int = 0

    def quotes(self, number: int) -> None:
        """So many are received and written."""
        first, self.pushed = self.pushed + 1, self.pushed + number
        self.server.push(STOCKS, [{**quote(), "bs": size} for size in range(first, self.pushed + 1)])
        wait_until(lambda: self.status.store.total.written == self.pushed, saw=lambda: self.status)

    @property
    def status(self) -> CaptureStatus:
        return self.engine.status()

    def until_told(self) -> str:
        """What keeps the capture from being well."""
        return wait_until(lambda: self.status.problem or "", saw=lambda: self.status)


@contextmanager
def recording(server: SimulatorServer, out: Path, **more: Any) -> Iterator[Recording]:
    engine = addresses(server).runner(out, flush_events=1, **more)
    engine.start()
    try:
        wait_until(lambda: server.subscribed(STOCKS))
        yield Recording(server, engine)
    finally:
        final = engine.stop()
        assert final.accounted


def sizes(root: Path) -> list[int]:
    return IntradayStore(root).read("stocks", "quotes", "AAPL")["bid_size"].tolist()


@pytest.mark.parametrize("journal", [True, False])
def test_a_file_that_is_deleted_while_it_is_written_is_told_and_counted(
    tmp_path: Path, server: SimulatorServer, *, journal: bool
):
    with recording(server, tmp_path, journal=journal) as capture:
        capture.quotes(5)
        (tmp_path / QUOTES).unlink()
        capture.quotes(3)
        told = capture.until_told()
        final = capture.engine.stop()

    assert "1 file of AAPL was removed while written, with 5 rows" in told
    assert troubles_of(final), "the exit code is 1, and nobody says that nothing was lost"
    assert final.lost == (0 if journal else 5)
    (row,) = loss_rows(tmp_path)
    assert (row.stream, row.lost) == ("stocks", None if journal else 5)
    assert sizes(tmp_path) == [6, 7, 8]
    problems = " ".join(audit(tmp_path).problems)
    assert (
        "5 rows are in the journal only" if journal else "5 events of the stocks stream were lost"
    ) in problems
    if journal:
        rebuild(tmp_path, tmp_path / "again")
        assert sizes(tmp_path / "again") == [*range(1, 9)]


def test_a_journal_that_is_deleted_costs_no_row_even_if_the_capture_is_killed_then(
    tmp_path: Path, server: SimulatorServer
):
    """What it held back in memory, because the journal had it, is brought to the files at once."""
    engine = addresses(server).runner(tmp_path, flush_seconds=3_600.0)
    engine.start()
    try:
        wait_until(lambda: server.subscribed(STOCKS))
        server.push(STOCKS, [{**quote(), "bs": number} for number in range(1, 6)])
        wait_until(lambda: engine.status().streams[STOCKS].applied == 5, saw=engine.status)
        shutil.rmtree(tmp_path / "journal", ignore_errors=True)
        wait_until(lambda: engine.status().problem, saw=engine.status)
        wait_until(lambda: engine.status().store.total.written == 5, saw=engine.status)
        assert sizes(tmp_path) == [1, 2, 3, 4, 5]
    finally:
        final = engine.stop()

    assert troubles_of(final)
    assert [row.reason.startswith(JOURNAL_GONE) for row in loss_rows(tmp_path)] == [True]
    assert any("journal" in problem for problem in audit(tmp_path).problems)
    assert journal_files(tmp_path), "it is begun anew"


def test_a_whole_recording_that_is_deleted_is_told_in_the_new_one(tmp_path: Path, server: SimulatorServer):
    root = tmp_path / "root"
    with recording(server, root) as capture:
        capture.quotes(5)
        shutil.rmtree(root, ignore_errors=True)
        told = capture.until_told()
        capture.quotes(3)
        wait_until(lambda: session_notes(root), saw=lambda: list(root.iterdir()))
        final = capture.engine.stop()

    assert "with 5 rows" in told
    assert f"{root} was" in told
    assert (final.lost, sizes(root)) == (5, [6, 7, 8])
    assert [row.lost for row in loss_rows(root) if row.lost] == [5]
    assert not audit(root).ok


def test_the_loss_log_and_the_note_survive_being_deleted(tmp_path: Path, server: SimulatorServer):
    with recording(server, tmp_path) as capture:
        capture.quotes(2)
        (tmp_path / QUOTES).unlink()
        capture.until_told()
        wait_until(lambda: loss_rows(tmp_path))
        shutil.rmtree(tmp_path / "gaps", ignore_errors=True)
        wait_until(lambda: len(loss_rows(tmp_path)) == 2, saw=lambda: loss_rows(tmp_path))
        shutil.rmtree(tmp_path / "sessions", ignore_errors=True)
        capture.engine.stop()

    assert [note.session for note in session_notes(tmp_path)] == [capture.engine.session]
    assert "loss log" in loss_rows(tmp_path)[-1].reason


def test_a_folder_that_is_moved_away_is_not_written_under_its_name_when_another_records_there(
    tmp_path: Path, server: SimulatorServer
):
    root, old = tmp_path / "root", tmp_path / "old"
    with recording(server, root) as first:
        first.quotes(3)
        root.rename(old)
        # Whoever is first under the name has it.
        try:
            second = IntradayStore(root)
            second.acquire()
        except StoreError:
            pytest.skip("the first one had noticed before")
        wait_until(lambda: first.status.state is CaptureState.ENDED, saw=lambda: first.status)
        assert "records under its name now" in str(first.status.problem)
        assert not first.engine.is_writing
        second.close()

    assert [*root.rglob("*.json"), *root.rglob("*.gz"), *root.rglob("*.csv")] == []
    assert sizes(old) == [1, 2, 3]
