"""Run a capture from a terminal or a service: wait for the market, record, tell how it goes, end in order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from options_helper.capture.hours import LEAD, CaptureHours
from options_helper.capture.plan import CapturePlan, Selection, plan_capture
from options_helper.capture.runner import CaptureConfig, CaptureEngine
from options_helper.capture.sealer import Sealer
from options_helper.clock import elapsed_seconds, utc_now
from options_helper.commands.capture_bus import Followed, FoundDesk
from options_helper.commands.capture_display import Display, format_market_time, open_display
from options_helper.commands.capture_market import MarketAsked
from options_helper.commands.capture_options import require_folder
from options_helper.commands.capture_session import (
    OBSERVE_EVERY_SECONDS,
    CaptureSession,
    Ending,
    Shutdown,
    Signals,
)
from options_helper.commands.capture_troubles import SHOWN_SECONDS, troubles_of, wholeness
from options_helper.commands.durations import format_duration
from options_helper.commands.shutdown_signals import Interrupted, ShutdownSignals
from options_helper.data.intraday_store import IntradayStore, StorePolicy
from options_helper.data.recording.bus_places import places_of
from options_helper.data.recording.session_notes import session_notes
from options_helper.data.recording.status import CaptureState, CaptureStatus
from options_helper.data.rest.budget_ledger import RECORDER
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.option_contracts import Chain, ContractFinder
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.sdk_import import load_sdk
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.errors import ConfigError, OptionsHelperError, StoreError
from options_helper.model.announcement import MarketKind
from options_helper.model.market_hours import new_york_date
from options_helper.model.streams import StreamName
from options_helper.model.text import format_count
from options_helper.monitoring.heartbeat import Heartbeat, Role, Waiting
from options_helper.monitoring.heartbeat_file import (
    CAPTURE_FILE,
    forget_heartbeats,
    read_heartbeat,
    remember_run,
)
from options_helper.monitoring.heartbeat_writer import HeartbeatWriter
from options_helper.monitoring.prometheus import serve_metrics
from options_helper.monitoring.run_report import process_lives
from options_helper.monitoring.stream_holders import market_key, who_has_it
from options_helper.settings import Settings

log = logging.getLogger(__name__)

# A computer that slept, or whose clock was set, finds out so much later.
CHECK_CLOCK_SECONDS: Final = 30.0
_PLAYED: Final = frozenset({MarketKind.LOCAL, MarketKind.SIMULATED, MarketKind.REPLAY})


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """Everything the command line says."""

    selection: Selection
    out: Path
    duration_seconds: float | None = None
    market_hours: bool = False
    policy: StorePolicy = field(default_factory=StorePolicy)
    journal: bool = True
    parquet: bool = False
    metrics_port: int | None = None
    state: Path | None = None  # where the heartbeat goes; None: into `out`


def run_capture(request: CaptureRequest, settings: Settings, followed: Followed | None = None) -> int:
    """Record until a signal, the duration or the market ends it; the exit code. Blocks, on the main thread.

    `followed` is a desk on a bus whose streams are recorded in place of Alpaca's own.
    """
    with ShutdownSignals() as shutdown, open_display(utc_now) as display:
        try:
            with shutdown.raising():
                if followed is None:
                    capture = Capture.prepare(request, settings, shutdown, rest_cls=AlpacaRest)
                else:
                    capture = Capture.prepare_followed(request, settings, shutdown, followed)
        except Interrupted:
            return 0
        return capture.run(display)


class Capture:
    """One run of the command: one session after another, each a `CaptureEngine` of its own."""

    def __init__(
        self,
        request: CaptureRequest,
        settings: Settings,
        plan: CapturePlan,
        shutdown: Shutdown,
        *,
        now: Callable[[], datetime] = utc_now,
        elapsed: Callable[[], float] = elapsed_seconds,
        finder: Callable[[Settings], Any] = ContractFinder,
        make_runner: Callable[[CaptureConfig, Settings], Any] = CaptureEngine,
        rest_cls: Callable[..., AlpacaRest] | None = None,
        limits: RequestLimits | None = None,
        desk: FoundDesk | None = None,
    ) -> None:
        self._desk = desk
        self._market_kind = settings.market_kind if desk is None else desk.market
        self._market_key = market_key(settings)
        self._request = request
        self._settings = settings
        self._plan = plan
        self._signals = Signals(shutdown)
        self._now = now
        self._due: datetime | None = None  # when this session should begin, where that was waited for
        self._holder_said: str | None = None
        self._late: str | None = None  # what of this session is missing because it began so late
        self._finder = finder
        self._make_runner = make_runner
        self._limits = limits or RequestLimits()
        self._market = MarketAsked(settings, rest_cls, self._limits, now, elapsed)
        self._planned_on = new_york_date(self._market.now())
        self._elapsed = elapsed
        self._recorded = 0.0  # seconds, of all sessions
        self._sound = True
        # Read by the heartbeat's thread, replaced by the main one.
        self._engine: Any = None
        self._waiting: Waiting | None = None
        self._held_up: CaptureStatus | None = None
        self._last: CaptureStatus | None = None  # how the session before ended
        self._sealer = Sealer(request.out, wanted=request.parquet)
        self._writer: HeartbeatWriter | None = None

    @property
    def beat(self) -> Heartbeat | None:
        """How it goes, as of a second ago at most; None before it has the folder. From any thread, and at once."""
        writer = self._writer
        return None if writer is None else writer.last

    @property
    def symbols(self) -> frozenset[str]:
        """What it records, or will. From any thread."""
        return frozenset(self._plan.streams.every_symbol)

    @classmethod
    def prepare(cls, request: CaptureRequest, settings: Settings, shutdown: Shutdown, **more: Any) -> Capture:
        """Find out whether it can be done, before anybody waits for a market; OptionsHelperError when not."""
        settings.require_credentials()
        load_sdk()  # it takes a moment, which would be missing at the beginning of the recording
        _require_means(request)
        # A pause that Alpaca asked for is kept by tomorrow's finder, too.
        limits = more.setdefault("limits", RequestLimits(RECORDER))
        finder = more.setdefault("finder", partial(ContractFinder, limits=limits))
        plan = planned(request.selection, settings, finder)
        require_same_place(request.out, plan.streams, settings.market_kind)
        return cls(request, settings, plan, shutdown, **more)

    @classmethod
    def prepare_followed(
        cls, request: CaptureRequest, settings: Settings, shutdown: Shutdown, followed: Followed, **more: Any
    ) -> Capture:
        """The same of a desk on a bus; no keys are needed, and nothing is asked of Alpaca but for contracts."""
        _require_means(request)
        desk = followed.look()
        request = replace(request, selection=desk.selection(request.selection))
        limits = more.setdefault("limits", RequestLimits(RECORDER))
        finder = more.setdefault("finder", partial(ContractFinder, limits=limits))
        plan = planned(request.selection, settings, finder)
        require_same_place(request.out, plan.streams, desk.market)
        return cls(request, settings, plan, shutdown, make_runner=followed.engine, desk=desk, **more)

    def run(self, display: Display) -> int:
        """Record; the exit code."""
        with closing(self._sealer), self._market:
            return self._run(display)

    def _run(self, display: Display) -> int:
        state = self._request.state or self._request.out / CAPTURE_FILE
        writer = HeartbeatWriter(
            state,
            self._now_status,
            market=self._market_kind,
            market_key=self._market_key,
            providers=self._limits.report,
            now=self._now,
        )
        with self._metrics(writer, display):
            with IntradayStore(self._request.out) as store:
                store.acquire()
            self._writer = writer
            self._show_plan(display)
            self._sealer.start(self._now())
            with writer:
                with suppress(RuntimeError):  # a user without a home
                    forget_heartbeats(process_lives)
                    remember_run(state, Role.CAPTURE)
                ending = self._run_sessions(display)
        if not _was_written(state, writer.last):
            display.say(
                f"The heartbeat {state} could not be written: `stream health` did not see this capture."
            )
        if ending is not Ending.SIGNAL:
            self._seal(display)
        for problem in self._sealer.problems:
            self._sound = False
            display.say(f"Not sealed: {problem}")
        return 0 if self._sound else 1

    def _run_sessions(self, display: Display) -> Ending:
        while True:
            if self._request.market_hours and not self._await_open(display):
                display.say("Asked to end before the market opened.")
                return Ending.SIGNAL
            try:
                ending = self._record(display)
            except StoreError as error:
                if self._last is None:
                    raise
                if not self._wait_for_the_folder(error, self._last, display):
                    return Ending.SIGNAL
                continue
            if ending is not Ending.CLOSED:
                return ending
            self._sealer.start(self._now())

    def _wait_for_the_folder(self, error: StoreError, last: CaptureStatus, display: Display) -> bool:
        """What a later session meets may pass, and the days before are recorded; False when a signal came."""
        self._sound = False
        # For the heartbeat: the run goes on, and has a problem.
        self._held_up = replace(last, state=CaptureState.DISK_REFUSES, problem=str(error))
        display.waiting(f"{error} It is tried again.")
        if self._signals.wait(CHECK_CLOCK_SECONDS):
            display.say("Asked to end before recording could go on.")
            return False
        return True

    def _await_open(self, display: Display) -> bool:
        """Wait until it is time to connect and known to what; False when a signal came first."""
        while not (self._hours.connected(now := self._market.now()) and self._has_plan_of_today(display)):
            self._show_news(display)
            opens = self._hours.next_change(now)
            pause = CHECK_CLOCK_SECONDS
            if opens is not None and not self._hours.connected(now):
                self._waiting = Waiting(opens)
                # The first of those that were waited for, because a computer may sleep through a whole session; but the
                # market may have told meanwhile that there is none.
                if self._due is None or not self._hours.connected(self._due):
                    self._due = opens
                display.waiting(f"The market is closed; recording begins {format_market_time(opens)}.")
                pause = min(pause, (opens - now).total_seconds())
            if self._signals.wait(pause):
                return False
        # What was recorded yesterday has ended; the run has not.
        self._engine = self._waiting = None
        return True

    def _has_plan_of_today(self, display: Display) -> bool:
        """Another day has other contracts; where they cannot be had, yesterday's are recorded on, if there are any."""
        today = new_york_date(self._market.now())
        if today == self._planned_on:
            return True
        try:
            with self._signals.raising():
                self._plan = planned(self._request.selection, self._settings, self._finder)
            self._show_plan(display)
        except Interrupted:
            return False
        except OptionsHelperError as error:
            self._sound = False
            rest = self._plan.without_expired(today)
            if not any(rest.streams.wants(name) for name in StreamName):
                display.waiting(f"{error} It is tried again.")
                return False
            self._plan = rest
            display.say(f"{error} The contracts of the day before are recorded.")
        self._planned_on = today
        return True

    def _record(self, display: Display) -> Ending:
        request = self._request
        late = self._overdue
        due = None if late is None else self._now() - late  # on the computer's clock, as all of a recording
        config = CaptureConfig(self._plan.streams, request.out, request.journal, request.policy, due=due)
        engine = self._make_runner(config, self._settings)
        limit = request.duration_seconds
        session = CaptureSession(
            engine,
            self._signals,
            now=self._now,
            limit=None if limit is None else limit - self._recorded,
            elapsed=self._elapsed,
            is_closed=self._is_closed if request.market_hours else None,
        )

        def meanwhile(now: datetime, status: CaptureStatus) -> None:
            self._sealer.seal_after_midnight(now)
            self._market.tell(engine)
            self._show_news(display)
            self._show_holder(status, now, display)

        with session:
            self._engine, self._held_up = engine, None
            self._due = None
            self._say_late(late, display)
            ending = session.watch(display, meanwhile)
            self._recorded += session.duration
            complete = session.drain(display)
        self._last = status = engine.status()
        display.summary(status)
        self._show_troubles(status, display, complete=complete, ending=ending)
        return ending

    @property
    def _hours(self) -> CaptureHours:
        return replace(self._plan.hours, told=self._market.told)

    def _is_closed(self, _: datetime) -> bool:
        return not self._hours.connected(self._market.now())

    def _show_news(self, display: Display) -> None:
        for sentence in self._market.take_news():
            display.say(sentence)

    @property
    def _overdue(self) -> timedelta | None:
        """How late this session begins, where something is missing because of that."""
        if self._due is None or not self._hours.connected(self._due):
            return None
        if self._desk is not None:
            return None  # what was sent since is on the bus, and what is there no more is found to be missing
        late = self._market.now() - self._due
        return late if late > LEAD else None

    def _say_late(self, late: timedelta | None, display: Display) -> None:
        self._late = None
        if late is not None:
            self._late = (
                f"Recording began {format_duration(late.total_seconds())} late: the computer slept, this process did "
                "not run, or something kept it from beginning."
            )
            display.say(self._late)

    def _show_holder(self, status: CaptureStatus, now: datetime, display: Display) -> None:
        """Who has a connection that is refused, once for each."""
        if self._desk is not None:
            return
        sentence = who_has_it(
            status.streams.values(),
            now,
            Role.CAPTURE,
            local_market=self._settings.local_market,
            key=self._market_key,
        )
        if sentence is not None and sentence != self._holder_said:
            self._holder_said = sentence
            display.say(f"Note: {sentence}")

    def _show_plan(self, display: Display) -> None:
        streams = self._plan.streams
        display.say(f"Recording {_in_words(streams)} into {self._request.out}.")
        if self._desk is not None:
            display.say(f"From {self._desk.words}.")
            is_known = bool(places_of(self._request.out, self._desk.followed.address.names.desk))
            display.say(
                "It goes on where this folder's recording of that desk had got."
                if is_known
                else "It begins with what comes next: this folder does not say where a recording of it had got."
            )
        for warning in self._plan.warnings:
            display.say(f"Note: {warning}")

    def _show_troubles(
        self, status: CaptureStatus, display: Display, *, complete: bool, ending: Ending
    ) -> None:
        troubles = troubles_of(status, complete=complete)
        troubles += [self._late] if self._late else []
        for trouble in troubles:
            display.say(trouble)
        if status.gaps:
            display.say(
                f"{format_count(status.gaps, 'row')} in {self._request.out / 'gaps'}: each stretch in which a stream "
                "could not hear, and each loss of events."
            )
        if status.unowned_seconds >= SHOWN_SECONDS:
            display.say(
                f"For {status.unowned_seconds:.1f} s no owner of the desk listened: what came meanwhile is not here, "
                "and nobody could count it."
            )
        if troubles:
            self._sound = False
        whole = "Something is missing, see above." if troubles else wholeness(status)
        display.say(f"Ended, because {ending}. {whole}")

    def _seal(self, display: Display) -> None:
        """Make the copies that are still to be made, unless a signal comes."""
        self._sealer.start_after_the_last(self._now())
        while self._sealer.busy:
            before = self._signals.count
            self._signals.wait(OBSERVE_EVERY_SECONDS)
            if self._signals.count > before:
                display.say("Asked to end while finished days were sealed; the next capture goes on with it.")
                return

    @contextmanager
    def _metrics(self, writer: HeartbeatWriter, display: Display) -> Iterator[None]:
        if self._request.metrics_port is None:
            yield
            return
        with serve_metrics(self._request.metrics_port, lambda: writer.last) as address:
            display.say(f"Metrics are at {address}")
            yield

    def _now_status(self) -> CaptureStatus | Waiting | None:
        # On the heartbeat's thread: each is read once, because the main thread may replace it at any moment.
        waiting, held_up, engine = self._waiting, self._held_up, self._engine
        if waiting is not None:
            return waiting
        if held_up is not None:
            return held_up
        return None if engine is None else engine.status()


def _require_means(request: CaptureRequest) -> None:
    """ConfigError where a finished day could not be sealed, or the folder cannot be had."""
    if request.parquet:
        from options_helper.data.intraday.parquet import require_pyarrow

        require_pyarrow()
    require_folder(request.out)


def _was_written(path: Path, last: Heartbeat) -> bool:
    try:
        found = read_heartbeat(path)
    except StoreError:
        return False
    return found is not None and found.written_at == last.written_at


def require_same_place(out: Path, streams: LiveStreamConfig, market: MarketKind) -> None:
    """ConfigError where the folder has coins of another exchange, or another market: one file would be of both."""
    wanted = streams.feed(StreamName.CRYPTO) if streams.wants(StreamName.CRYPTO) else None
    for note in session_notes(out):
        there = note.feeds.get(str(StreamName.CRYPTO))
        if wanted and there and there != wanted:
            raise ConfigError(
                f"{out} has coins of {there}, and those of {wanted} would be in the same files. Record them into a "
                "folder of their own, or choose that exchange with --crypto-location."
            )
        # What is played here may be a recording of Alpaca's, whose folder says so.
        if market is MarketKind.ALPACA and note.market in _PLAYED:
            raise ConfigError(
                f"{out} has a recording of another market ({note.market}), and Alpaca's would be in the same files. "
                "Choose another folder with --out."
            )


def planned(
    selection: Selection, settings: Settings, finder: Callable[[Settings], Any] = ContractFinder
) -> CapturePlan:
    """The plan, with the contracts of the underlyings; blocks while Alpaca is asked. OptionsHelperError when not."""
    chains: Sequence[Chain] = ()
    if selection.underlyings:
        with finder(settings) as contracts:
            chains = [contracts.find(underlying, selection.wanted) for underlying in selection.underlyings]
    return plan_capture(selection, chains)


def _in_words(streams: LiveStreamConfig) -> str:
    """What is recorded, each kind counted."""
    said = [
        format_count(len(streams.stocks), "stock"),
        format_count(len(streams.option_contracts), "option contract"),
    ]
    said += [format_count(len(streams.crypto), "coin")] if streams.crypto else []
    if streams.news:
        of = "all symbols" if "*" in streams.news else format_count(len(streams.news), "symbol")
        said.append(f"the news of {of}")
    return f"{', '.join(said[:-1])} and {said[-1]}"
