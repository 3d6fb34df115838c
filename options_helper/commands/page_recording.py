"""The recording in the page's process: one for all tabs, with a switch of its own, on the page's connections.

It is a run of `stream capture`, on a thread: journal, ledger, heartbeat and exit code are that command's. What it
shares with the page is the connections alone, so Stop ends what the page shows and leaves the recording as it is.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

from options_helper.capture.plan import Selection
from options_helper.capture.runner import CaptureEngine
from options_helper.commands.capture_options import require_folder
from options_helper.commands.capture_run import Capture, CaptureRequest
from options_helper.commands.capture_session import Shutdown
from options_helper.commands.exit_codes import BROKEN
from options_helper.commands.page_server import FOLDER_VARIABLE
from options_helper.commands.recording_thread import RecordingThread
from options_helper.data.accounts_file import load_market_settings
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.streaming.subscriptions import build_subscription_plan
from options_helper.decoders import json_decoder
from options_helper.errors import ConfigError
from options_helper.live.connections import PROCESS_MODULE, process_connections
from options_helper.live.session import Run, config_for
from options_helper.monitoring.heartbeat import Heartbeat, RunState
from options_helper.settings import Settings

# How the launcher tells the page's process what to record.
REQUEST_VARIABLE: Final = "OH_RECORD_REQUEST"

# A recorder needs ten seconds for its end with a disk that answers.
ENDING_SECONDS: Final = 20.0
_TURN_SECONDS: Final = 0.1

Prepare = Callable[[CaptureRequest, Settings, Shutdown], Capture]


class RecordingState(StrEnum):
    """Where the switch is, and what has come of it."""

    NO_FOLDER = "there is no folder"
    OFF = "off"
    AWAITS_STREAMS = "begins when the page streams"
    BEGINS = "begins"
    WAITS = "waits for the market"
    RECORDS = "goes on"
    ENDS = "writes what is left"
    FAILED = "has ended by itself"


@dataclass(frozen=True, slots=True)
class RecordingView:
    """The recording as it is now, for those who look."""

    state: RecordingState
    folder: Path | None = None
    beat: Heartbeat | None = None
    problem: str | None = None  # what is wrong with it, as a sentence
    symbols: frozenset[str] = frozenset()  # what it records

    @property
    def is_on(self) -> bool:
        """Whether the switch is on: something is written now, or will be."""
        return self.state in (
            RecordingState.AWAITS_STREAMS,
            RecordingState.BEGINS,
            RecordingState.WAITS,
            RecordingState.RECORDS,
        )

    @property
    def is_told(self) -> bool:
        """Whether there is anything to tell."""
        return self.state not in (RecordingState.NO_FOLDER, RecordingState.OFF)

    @property
    def is_troubled(self) -> bool:
        """Whether something of it is lost, or in the way."""
        return self.problem is not None or (self.beat is not None and self.beat.lost > 0)

    @property
    def rows(self) -> int | None:
        """How many there are in the files; None while nothing is recorded."""
        return self.beat.rows if self.beat is not None and self.state is RecordingState.RECORDS else None


class PageRecording:
    """Switches one recording on and off, and on again; every method may be called from any thread, and never waits.

    Into `folder` goes what the page streams, or what `request` says; without a folder nothing can be recorded. It is on
    from the beginning: with a request at `begin`, otherwise as soon as there is a run to `follow`. On the recording's
    thread `tell` is called with each sentence, and `on_own_end` when it has ended without being asked to.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        request: CaptureRequest | None = None,
        tell: Callable[[str], object],
        on_own_end: Callable[[], object] = lambda: None,
        prepare: Prepare | None = None,
    ) -> None:
        self._folder = folder
        self._request = request
        self._tell = tell
        self._on_own_end = on_own_end
        self._prepare = prepare or prepare_on(process_connections().of("the recording"))
        # Everything below is guarded by self._lock.
        self._lock = threading.Lock()
        self._is_on = folder is not None
        self._thread: RecordingThread | None = None
        self._is_ending = False
        self._past: list[RecordingThread] = []
        self._is_concluded = False

    def begin(self) -> None:
        """Record what the request says."""
        if self._request is None:
            raise ConfigError("Nobody said what to record.")
        request = self._request
        with self._lock:
            self._begin(lambda: (request, load_market_settings()))

    def follow(self, run: Run) -> None:
        """The page streams this now: record it, where the switch is on and nothing is recorded yet."""
        with self._lock:
            if self._is_on and self._thread is None and self._request is None and _has_anything(run):
                self._begin(lambda: (self._request_for(run), run.settings.without_name))

    def switch_on(self, run: Run | None) -> None:
        """Record from now on; what the page streams, as soon as it does."""
        with self._lock:
            if self._folder is None:
                return
            self._is_on = True
            if self._thread is not None and self._thread.code is None and not self._is_ending:
                return
            if self._request is not None:
                request = self._request
                self._begin(lambda: (request, load_market_settings()))
            elif run is not None and run.ended is None and _has_anything(run):
                self._begin(lambda: (self._request_for(run), run.settings.without_name))
            else:
                self._forget()

    def switch_off(self) -> None:
        """End the recording in order; the page goes on."""
        with self._lock:
            self._is_on = False
            self._end()

    def _begin(self, ask: Callable[[], tuple[CaptureRequest, Settings]]) -> None:
        if self._is_concluded:
            return
        before = self._thread
        self._forget()

        def prepare(shutdown: Shutdown) -> Capture:
            if before is not None:
                # It has the folder until all of it is written.
                before.join(ENDING_SECONDS)
            request, settings = ask()
            return self._prepare(request, settings, shutdown)

        self._thread = RecordingThread(prepare, self._tell, self._on_own_end)
        self._thread.start()

    def _forget(self) -> None:
        """The one before is over, or soon; what it comes to counts at the end."""
        if self._thread is not None:
            self._past.append(self._thread)
        self._thread, self._is_ending = None, False

    def _end(self) -> None:
        if self._thread is not None and self._thread.code is None:
            self._is_ending = True
            self._thread.ask_to_end()

    def _request_for(self, run: Run) -> CaptureRequest:
        if self._folder is None:
            raise ConfigError("There is no folder to record into.")
        return CaptureRequest(selection_of(run), self._folder)

    def conclude(self, is_impatient: Callable[[], bool] = lambda: False) -> int:
        """End it for good and wait for that; the exit code, also of those before. Blocks.

        `is_impatient` is asked now and then whether somebody wants the end at once.
        """
        with self._lock:
            self._is_concluded = True
            self._is_on = False
            self._end()
            self._forget()
            threads = list(self._past)
        for _ in range(int(ENDING_SECONDS / _TURN_SECONDS)):
            living = [thread for thread in threads if not thread.join(0.0)]
            if not living or living[0].join(_TURN_SECONDS) or not is_impatient():
                continue
            for thread in living:
                thread.ask_to_end()
        codes = [BROKEN if thread.code is None else thread.code for thread in threads]
        return next((code for code in reversed(codes) if code), 0)

    def wait_until_begun(self, stopping: threading.Event) -> bool:
        """Wait until it has the folder, or cannot have it, or that is set; whether it records. Blocks."""
        while (view := self.view()).beat is None and view.state is RecordingState.BEGINS:
            if stopping.wait(_TURN_SECONDS):
                break
        return view.state is not RecordingState.FAILED

    def view(self) -> RecordingView:
        """How it is now; reads what is there, so it takes no time."""
        with self._lock:
            thread, is_on, is_ending = self._thread, self._is_on, self._is_ending
        if self._folder is None:
            return RecordingView(RecordingState.NO_FOLDER)
        if thread is None:
            state = RecordingState.AWAITS_STREAMS if is_on else RecordingState.OFF
            return RecordingView(state, self._folder)
        beat = thread.beat
        return RecordingView(
            _state_of(thread, beat, is_ending=is_ending),
            self._folder,
            beat,
            thread.problem or (beat.problem if beat is not None else None),
            thread.symbols,
        )


def _state_of(thread: RecordingThread, beat: Heartbeat | None, *, is_ending: bool) -> RecordingState:
    if thread.code is not None:
        return RecordingState.OFF if is_ending else RecordingState.FAILED
    if is_ending:
        return RecordingState.ENDS
    if beat is not None and beat.state is RunState.WAITING:
        return RecordingState.WAITS
    return RecordingState.BEGINS if beat is None or beat.session is None else RecordingState.RECORDS


def selection_of(run: Run) -> Selection:
    """What the page streams of the market, as a recorder asks for it; order books and Breeze are not among it."""
    config = config_for(run.choices, run.plan, run.portfolio_file.portfolio)
    return Selection(
        stocks=config.stocks if config.stream_stocks else (),
        option_contracts=config.option_contracts if config.stream_options else (),
        crypto=run.plan.crypto,
        crypto_location=config.crypto_location,
        news=config.news,
        stock_feed=config.stock_feed,
        options_feed=config.options_feed,
        max_contracts=max(1, len(config.option_contracts)),
    )


def _has_anything(run: Run) -> bool:
    """Whether there is anything to record: what an account holds is known some time after Start."""
    return bool(symbols_of(run) or selection_of(run).news)


def symbols_of(run: Run) -> tuple[str, ...]:
    """What a recording of that run would record."""
    selection = selection_of(run)
    return (*selection.stocks, *selection.option_contracts, *selection.crypto)


def without_portfolio(request: CaptureRequest) -> CaptureRequest:
    """The same with the portfolio's symbols in its place, so that it can be told to another process."""
    selection = request.selection
    if selection.portfolio is None:
        return request
    held = build_subscription_plan(
        selection.portfolio,
        stream_stocks=True,
        stream_options=bool(selection.option_channels),
        max_option_contracts=sys.maxsize,
    )
    named = replace(
        selection,
        portfolio=None,
        stocks=(*selection.stocks, *held.stocks),
        option_contracts=(*selection.option_contracts, *held.option_contracts),
        crypto=(*selection.crypto, *held.crypto),
    )
    return replace(request, selection=named)


def prepare_on(source: Any) -> Prepare:
    """A capture whose streams come from there."""

    def prepare(request: CaptureRequest, settings: Settings, shutdown: Shutdown) -> Capture:
        make = partial(CaptureEngine, source=source)
        return Capture.prepare(request, settings, shutdown, make_runner=make, rest_cls=AlpacaRest)

    return prepare


def recording_environment(folder: Path, request: CaptureRequest | None = None) -> dict[str, str]:
    """Variables for a page's process that is to record; Unavailable where that folder cannot be written into."""
    require_folder(folder)
    environment = {FOLDER_VARIABLE: str(folder.resolve())}
    if request is not None:
        environment[REQUEST_VARIABLE] = msgspec.json.encode(request, enc_hook=str).decode()
    return environment


_REQUESTS: Final = json_decoder(CaptureRequest, lambda kind, text: kind(text))


def read_recording(environ: Mapping[str, str]) -> tuple[Path | None, CaptureRequest | None]:
    """What the launcher said: the folder, and what goes into it."""
    folder, request = environ.get(FOLDER_VARIABLE), environ.get(REQUEST_VARIABLE)
    return (
        Path(folder) if folder else None,
        _REQUESTS.decode(request) if request else None,
    )


def process_recording() -> PageRecording:
    """The one recording of this process; it hangs where the session does."""
    anchor = vars(sys.modules.setdefault(PROCESS_MODULE, ModuleType(PROCESS_MODULE)))
    recording: PageRecording = anchor.get("recording") or anchor.setdefault(
        "recording", PageRecording(read_recording(os.environ)[0], tell=lambda _: None)
    )
    return recording


def install_recording(recording: PageRecording) -> None:
    """Make this the one of this process, before anybody asks for it."""
    vars(sys.modules.setdefault(PROCESS_MODULE, ModuleType(PROCESS_MODULE)))["recording"] = recording
