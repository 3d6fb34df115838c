"""The switch of the recording in the page's process, with a capture that does what the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from options_helper.capture.plan import Selection
from options_helper.commands.capture_run import Capture, CaptureRequest
from options_helper.commands.capture_session import Shutdown
from options_helper.commands.page_recording import (
    PageRecording,
    RecordingState,
    read_recording,
    recording_environment,
    selection_of,
    without_portfolio,
)
from options_helper.commands.recording_thread import Requests
from options_helper.data.intraday_store import StorePolicy
from options_helper.data.portfolio_file import PortfolioFile
from options_helper.data.rest.option_contracts import ContractFilter, ExpirySpan
from options_helper.errors import ConfigError, OptionsHelperError, StoreError, Unavailable
from options_helper.live.session import NewsOf, Run, RunSettings, plan_for
from options_helper.model.portfolio import Portfolio, load_portfolio
from options_helper.monitoring.heartbeat import Heartbeat, Role, RunState
from tests.kit.fakes import SETTINGS
from tests.kit.waiting import AT_ONCE, FOREVER, at_once, until_no_thread, wait_until

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
BEAT = Heartbeat(
    role=Role.CAPTURE,
    pid=1,
    host="desk",
    started_at=NOW,
    written_at=NOW,
    state=RunState.RUNNING,
    session="s",
    rows=7,
)


class Recorder:
    """Stands where a `Capture` stands: records until it is asked to end, or until the test says how it ends."""

    def __init__(self, shutdown: Shutdown, code: int, problem: OptionsHelperError | None) -> None:
        self._shutdown = shutdown
        self._code = code
        self._problem = problem
        self.beat: Heartbeat | None = None
        self.symbols = frozenset(("SPY",))
        self.ends_by_itself = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()
        self.asked = 0

    def run(self, display: Any) -> int:
        display.say("Recording.")
        self.beat = BEAT
        while not self.ends_by_itself.is_set():
            self.asked = self._shutdown.wait(0.01)
            if self.asked:
                break
        while not self.may_end.wait(0.01):
            self.asked = self._shutdown.wait(0.0)
            if self.asked > 1:
                break
        if self._problem is not None:
            raise self._problem
        return self._code


class Desk:
    """A recording on such recorders, and what became of them."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.made: list[Recorder] = []
        self.requests: list[CaptureRequest] = []
        self.told: list[str] = []
        self.code = 0
        self.problem: OptionsHelperError | None = None
        self.refusal: OptionsHelperError | None = None
        self.recording = PageRecording(folder, tell=self.told.append, prepare=self._prepare, **more)

    def _prepare(self, request: CaptureRequest, _: object, shutdown: Shutdown) -> Capture:
        self.requests.append(request)
        if self.refusal is not None:
            raise self.refusal
        self.made.append(Recorder(shutdown, self.code, self.problem))
        return cast("Capture", self.made[-1])

    @property
    def state(self) -> RecordingState:
        return self.recording.view().state

    def until(self, state: RecordingState) -> None:
        wait_until(lambda: self.state is state, saw=lambda: self.state)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**more: Any) -> Desk:
        made.append(Desk(tmp_path, **more))
        return made[-1]

    yield make
    for one in made:
        for recorder in one.made:
            recorder.may_end.set()
        one.recording.conclude()
    until_no_thread("live-")


@pytest.fixture
def book(repository: Path) -> Portfolio:
    return load_portfolio(repository / "portfolio.json")


@pytest.fixture
def run(book: Portfolio) -> Run:
    choices = RunSettings(stock_feed="sip", news=NewsOf.EVERYTHING, book_pairs=("BTC/USD",))
    return Run(
        choices,
        PortfolioFile(Path("portfolio.json"), "portfolio.json", portfolio=book),
        SETTINGS,
        plan_for(book, choices),
    )


def test_it_begins_with_the_pages_first_run_and_not_with_each_drawing(desk: Callable[..., Desk], run: Run):
    page = desk()
    assert page.state is RecordingState.AWAITS_STREAMS
    for _ in range(3):
        page.recording.follow(run)
    page.until(RecordingState.RECORDS)
    assert len(page.made) == 1
    assert page.recording.view().rows == 7
    assert page.told == ["Recording."]


def test_an_account_s_book_is_recorded_as_soon_as_it_is_known(desk: Callable[..., Desk], run: Run):
    page = desk()
    unknown = replace(run, choices=RunSettings(), plan=plan_for(Portfolio(positions=()), RunSettings()))
    page.recording.follow(unknown)
    page.recording.switch_on(unknown)
    assert (page.state, page.requests) == (RecordingState.AWAITS_STREAMS, [])
    page.recording.follow(run)
    page.until(RecordingState.RECORDS)


def test_it_records_what_the_page_streams_of_the_market(run: Run):
    selection = selection_of(run)
    assert (selection.stocks, selection.option_contracts) == (run.plan.stocks, run.plan.option_contracts)
    assert (selection.stock_feed, selection.options_feed, selection.news) == ("sip", "indicative", ("*",))
    assert selection.crypto == run.plan.crypto  # no order books
    assert (
        selection_of(replace(run, choices=replace(run.choices, stream_options=False))).option_contracts == ()
    )


def test_switched_off_it_ends_in_order_and_on_again_it_waits_for_the_one_before(
    desk: Callable[..., Desk], run: Run
):
    """That one has the folder until all of it is written."""
    page = desk()
    page.recording.follow(run)
    page.until(RecordingState.RECORDS)
    page.made[0].may_end.clear()
    page.recording.switch_off()
    page.until(RecordingState.ENDS)
    page.recording.follow(run)  # the page is drawn again meanwhile
    page.recording.switch_on(run)
    page.until(RecordingState.BEGINS)
    wait_until(lambda: page.made[0].asked == 1)
    assert len(page.made) == 1
    page.made[0].may_end.set()
    page.until(RecordingState.RECORDS)
    assert len(page.made) == 2


def test_switched_off_before_start_nothing_is_recorded(desk: Callable[..., Desk], run: Run):
    page = desk()
    page.recording.switch_off()
    page.recording.follow(run)
    assert (page.state, page.made) == (RecordingState.OFF, [])
    page.recording.switch_on(None)
    assert page.state is RecordingState.AWAITS_STREAMS
    page.recording.switch_on(replace(run, ended="Stopped."))
    assert page.state is RecordingState.AWAITS_STREAMS
    page.recording.switch_on(run)
    page.until(RecordingState.RECORDS)


def test_without_a_folder_there_is_nothing_to_switch_on(run: Run):
    recording = PageRecording(None, tell=lambda _: None)
    recording.switch_on(run)
    recording.follow(run)
    view = recording.view()
    assert (view.state, view.is_on, view.is_told) == (RecordingState.NO_FOLDER, False, False)
    assert recording.conclude() == 0


@pytest.mark.parametrize(
    ("error", "code"), [(StoreError("held"), 75), (Unavailable("full"), 75), (ConfigError("no keys"), 2)]
)
def test_a_refusal_is_a_sentence_an_exit_code_and_the_end_of_trying(
    desk: Callable[..., Desk], run: Run, error: OptionsHelperError, code: int
):
    page = desk()
    page.refusal = error
    page.recording.follow(run)
    page.until(RecordingState.FAILED)
    page.recording.follow(run)
    view = page.recording.view()
    assert (view.problem, view.is_troubled, view.is_on) == (str(error), True, False)
    assert len(page.requests) == 1
    assert page.told == [str(error)]
    assert page.recording.conclude() == code


def test_what_nobody_expected_ends_it_with_what_it_was(
    desk: Callable[..., Desk], run: Run, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> int:
        raise RuntimeError("odd")

    monkeypatch.setattr(Recorder, "run", fail)
    page = desk()
    page.recording.follow(run)
    page.until(RecordingState.FAILED)
    assert "(RuntimeError): odd" in str(page.recording.view().problem)
    assert page.recording.conclude() == 1


def test_the_exit_code_is_that_of_the_last_recording_that_was_not_well(desk: Callable[..., Desk], run: Run):
    page = desk()
    page.code = 1
    page.recording.follow(run)
    page.until(RecordingState.RECORDS)
    page.recording.switch_off()
    page.until(RecordingState.OFF)
    page.code = 0
    page.recording.switch_on(run)
    page.until(RecordingState.RECORDS)
    assert page.recording.conclude() == 1
    page.recording.switch_on(run)  # a click that came too late
    assert len(page.made) == 2


def test_whoever_is_impatient_at_the_end_gets_it_at_once(desk: Callable[..., Desk], run: Run):
    page = desk()
    page.recording.follow(run)
    page.until(RecordingState.RECORDS)
    page.made[0].may_end.clear()
    with at_once():
        assert page.recording.conclude(lambda: True) == 0
    assert page.made[0].asked > 1


def test_a_request_is_recorded_from_the_beginning_and_again_when_it_is_switched_on(
    desk: Callable[..., Desk], run: Run
):
    ended = threading.Event()
    request = CaptureRequest(Selection(stocks=("QQQ",)), Path("anywhere"))
    page = desk(request=request, on_own_end=ended.set)
    page.recording.begin()
    assert page.recording.wait_until_begun(threading.Event())
    page.recording.follow(run)
    page.recording.switch_off()
    page.until(RecordingState.OFF)
    assert not ended.is_set()  # it was asked to
    page.recording.switch_on(run)
    page.until(RecordingState.RECORDS)
    assert page.requests == [request, request]
    page.made[1].ends_by_itself.set()
    assert ended.wait(AT_ONCE)
    page.until(RecordingState.FAILED)


def test_waiting_for_its_begin_ends_when_it_cannot_begin_or_somebody_leaves(desk: Callable[..., Desk]):
    page = desk(request=CaptureRequest(Selection(), Path("anywhere")))
    page.refusal = ConfigError("nothing to record")
    page.recording.begin()
    assert not page.recording.wait_until_begun(threading.Event())


def test_the_launcher_tells_the_pages_process_everything_that_was_asked_for(tmp_path: Path, book: Portfolio):
    wanted = ContractFilter((ExpirySpan(date(2026, 12, 18), None),), 30, 0.1)
    selection = Selection(
        stocks=("SPY",), underlyings=("QQQ",), wanted=wanted, portfolio=book, halts=True, news=("*",)
    )
    request = CaptureRequest(
        selection, tmp_path, 60.0, market_hours=True, policy=StorePolicy(flush_rows=7), state=tmp_path / "s"
    )
    told = without_portfolio(request)
    assert told.selection.portfolio is None
    assert set(plan_for(book, RunSettings()).option_contracts) <= set(told.selection.option_contracts)
    assert told.selection.stocks[0] == "SPY"
    assert read_recording(recording_environment(tmp_path, told)) == (tmp_path, told)
    assert read_recording(recording_environment(tmp_path)) == (tmp_path, None)
    assert read_recording({}) == (None, None)
    assert without_portfolio(told) is told


def test_a_folder_that_cannot_be_written_into_is_told_before_a_page_opens(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="is no folder"):
        recording_environment(tmp_path / "file" / "in it")


def test_requests_are_counted_and_end_a_wait_at_once():
    requests = Requests()
    assert requests.wait(0.0) == 0
    requests.ask()
    requests.ask()
    with at_once():
        assert requests.wait(FOREVER) == 2
    # Each is heard once, so that whoever turns around does not do so without a pause.
    assert requests.wait(0.0) == 2
    threading.Timer(0.05, requests.ask).start()
    with at_once(), requests.raising():
        assert requests.wait(FOREVER) == 3
