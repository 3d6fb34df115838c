"""Run a watch from a terminal or a service: begin, take turns, tell how it goes, end in order."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from options_helper.alerting.books import AlertBooks, Scope, open_books
from options_helper.alerting.judging import named_rules
from options_helper.alerting.program import ProgramAlerts
from options_helper.bus.accounts import alerts_key, why_not_served
from options_helper.bus.address import BusAddress
from options_helper.bus.first_look import look_at_desk
from options_helper.bus.viewer import BusManager
from options_helper.capture.hours import CaptureHours
from options_helper.clock import elapsed_seconds, utc_now
from options_helper.commands.capture_display import open_console
from options_helper.commands.capture_session import Signals
from options_helper.commands.rest_look import DEFAULT_FILE, risk_choices
from options_helper.commands.shutdown_signals import ShutdownSignals
from options_helper.commands.watch_display import WatchDisplay
from options_helper.data.accounts_file import load_accounts, load_desk_settings
from options_helper.data.earnings_file import load_earnings
from options_helper.data.notify.messages import Outcome
from options_helper.data.notify.targets import load_targets
from options_helper.data.portfolio_file import PortfolioFile, reread
from options_helper.data.rest.budget_ledger import PAGE
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.sdk_import import load_sdk
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.errors import Unavailable
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamId, StreamName
from options_helper.monitoring.heartbeat import Heartbeat, Role, WatchStatus
from options_helper.monitoring.heartbeat_file import file_of, forget_heartbeats, remember_run
from options_helper.monitoring.heartbeat_writer import HeartbeatWriter
from options_helper.monitoring.prometheus import serve_metrics
from options_helper.monitoring.run_report import process_lives
from options_helper.monitoring.stream_holders import stream_holder
from options_helper.settings import RiskSettings, Settings
from options_helper.watch.book import AccountBook, Book, FileBook
from options_helper.watch.engine import Manager, Watch, Watching
from options_helper.watch.readings import Observer
from options_helper.watch.rest_follower import RestFollower

log = logging.getLogger(__name__)

TURN_SECONDS: Final = 1.0
FINE: Final = 0
UNDELIVERED: Final = 1


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """Everything the command line says."""

    file: Path | None = None
    from_account: bool = False
    rules: Path | None = None
    market_hours: bool = False
    rest_seconds: float = 15.0
    amounts: bool | None = None  # may be printed; None: at a terminal
    duration_seconds: float | None = None
    metrics_port: int | None = None
    state: Path | None = None
    bus: BusAddress | None = None  # whose streams, where they are another program's


def settings_of(request: WatchRequest, account: str | None) -> Settings:
    """Of the account that was named, or that the portfolio's file names; ConfigError as for either."""
    file = request.file or DEFAULT_FILE
    # What is wrong with the file is said by who follows it.
    portfolio = None if request.from_account else reread(PortfolioFile(file, file.name)).portfolio
    written = None if portfolio is None else portfolio.account
    if request.bus is not None:
        return load_desk_settings(account, written, file.name)
    return load_accounts().settings_for(account, written, file.name)


def run_watch(
    request: WatchRequest,
    settings: Settings,
    *,
    now: Callable[[], datetime] = utc_now,
    turn_seconds: float = TURN_SECONDS,
) -> int:
    """Watch until a signal or the duration ends it; the exit code. Blocks, on the main thread."""
    if request.bus is None:
        settings.require_credentials()
    load_sdk()
    load_targets()  # a file that cannot be used is told before anybody relies on it
    file = None if request.from_account else request.file or DEFAULT_FILE
    book: Book = AccountBook() if file is None else FileBook(file)
    rules = named_rules(request.rules)
    risk = RiskSettings.load()
    observer = Observer(risk_choices(risk), now, load_earnings(risk.events_file))
    limits = RequestLimits(PAGE)
    key = None if request.bus is None else _key_on_bus(request.bus, settings.account)
    alerts = ProgramAlerts(
        _books(settings, file, now(), key),
        rules,
        load_targets,
        simulated=settings.local_market,
        account=settings.account,
        now=now,
    )
    watch = Watch(
        settings,
        book,
        manager=_manager(request, settings, limits),
        follower=_follower(request, settings, limits, now),
        alerts=alerts,
        observer=observer,
        holder=partial(_holder, settings, now) if request.bus is None else lambda: None,
        now=now,
        monotonic=time.monotonic,
    )
    run = _Run(request, settings, watch, alerts, now)
    with ShutdownSignals() as shutdown, open_console() as (console, live):
        display = WatchDisplay(console, live, amounts=request.amounts)
        display.known(alerts.status().firings)
        alerts.start()
        try:
            with run.shown_from_outside(limits, display):
                run.take_turns(Signals(shutdown), display, turn_seconds)
        finally:
            watch.stop()
            alerts.stop()
        return run.conclude(display)


def _manager(request: WatchRequest, settings: Settings, limits: RequestLimits) -> Manager:
    if request.bus is not None:
        return BusManager(settings, request.bus)
    return LiveStreamManager(settings, limits=limits)


def _follower(
    request: WatchRequest, settings: Settings, limits: RequestLimits, now: Callable[[], datetime]
) -> RestFollower | None:
    if request.bus is not None:
        return None
    return RestFollower(settings, now=now, limits=limits, pace_seconds=request.rest_seconds)


class _Run:
    """The turns of one run, and what they come to."""

    def __init__(
        self,
        request: WatchRequest,
        settings: Settings,
        watch: Watch,
        alerts: ProgramAlerts,
        now: Callable[[], datetime],
    ) -> None:
        self._request, self._settings, self._watch, self._alerts, self._now = (
            request,
            settings,
            watch,
            alerts,
            now,
        )
        self._began_at = now()
        # Replaced whole by the main thread, read by the heartbeat's.
        self._last: Watching | None = None

    @contextmanager
    def shown_from_outside(self, limits: RequestLimits, display: WatchDisplay) -> Iterator[None]:
        """Heartbeat and metrics, while it runs."""
        with suppress(RuntimeError):
            forget_heartbeats(process_lives)
        path = self._request.state or file_of(Role.WATCH)
        writer = HeartbeatWriter(
            path,
            self._status,
            role=Role.WATCH,
            market=self._settings.market_kind,
            providers=limits.report,
            now=self._now,
        )
        with self._metrics(lambda: writer.last, display), writer:
            if self._request.state is not None:
                with suppress(RuntimeError):
                    remember_run(path, Role.WATCH)
            yield

    def take_turns(self, signals: Signals, display: WatchDisplay, turn_seconds: float) -> None:
        """Until somebody asks for the end, or the time is over."""
        limit, began = self._request.duration_seconds, elapsed_seconds()
        while limit is None or elapsed_seconds() - began < limit:
            watching = self._watch.turn(is_open=self._is_open())
            self._last = watching
            display.show(watching, self._now())
            if signals.wait(turn_seconds):
                display.say("Asked to end.", self._now())
                return
        display.say("Its time is over.", self._now())

    def conclude(self, display: WatchDisplay) -> int:
        """Say what did not arrive of what fired in this run; the exit code."""
        lost = [
            f"{one.firing.title} did not reach {name}: {delivered.why}"
            for one in self._alerts.status().firings
            if one.firing.fired_at >= self._began_at
            for name, delivered in one.deliveries.items()
            if delivered.outcome is Outcome.GAVE_UP
        ]
        for sentence in lost:
            display.say(sentence, self._now())
        return UNDELIVERED if lost else FINE

    def _is_open(self) -> bool:
        """Whether this is an hour to stream in, by the market's clock once it has told that it has one of its own."""
        if not self._request.market_hours:
            return True
        last = self._last
        own = _feeds(self._settings)
        feeds = own if self._request.bus is None else feeds_told(None if last is None else last.snapshot)
        if last is None:
            return CaptureHours(feeds).connected(self._now())
        snapshot = last.snapshot
        at = snapshot.as_of if snapshot.market.plays else self._now()
        return CaptureHours(feeds, told=snapshot.told_sessions).connected(at)

    def _status(self) -> WatchStatus | None:
        last = self._last
        return (
            None
            if last is None
            else WatchStatus(last.snapshot, last.activity, " ".join(last.problems) or None)
        )

    @contextmanager
    def _metrics(self, read: Callable[[], Heartbeat], display: WatchDisplay) -> Iterator[None]:
        if self._request.metrics_port is None:
            yield
            return
        with serve_metrics(self._request.metrics_port, read) as address:
            display.say(f"Metrics are at {address}", self._now())
            yield


def _key_on_bus(address: BusAddress, account: str) -> str | None:
    """What the account's alerts are kept under; Unavailable where nobody says whether there is such an account."""
    if account == DEFAULT_ACCOUNT:
        return alerts_key(address, account, None)
    health = look_at_desk(address)
    if health is None:
        raise Unavailable(
            f"Nobody has served the desk {address.names.desk} at {address.url} yet, so whether it has the account "
            f"{account} is not known. Start its owner first."
        )
    if (why := why_not_served(account, health)) is not None:
        raise Unavailable(why)
    return alerts_key(address, account, (health.accounts or (None,))[0])


def _books(
    settings: Settings, portfolio: Path | None, since: datetime, key: str | None
) -> Mapping[Scope, AlertBooks]:
    try:
        return open_books(settings, portfolio, Role.WATCH, since, account=key)
    except OSError as error:
        raise Unavailable(
            f"The state folder cannot be used ({error}), and without it nobody knows what was sent. Name another in "
            "XDG_STATE_HOME."
        ) from error


def _feeds(settings: Settings) -> tuple[tuple[StreamId, str], ...]:
    return ((StreamName.STOCKS, settings.stock_feed), (StreamName.OPTIONS, settings.options_feed))


def feeds_told(snapshot: LiveSnapshot | None) -> tuple[tuple[StreamId, str], ...]:
    """Those that the owner on a bus has said; without a name, which has a kind's usual hours, until it has."""
    streams = {} if snapshot is None else snapshot.streams
    told = {name: streams[name].feed for name in (StreamName.STOCKS, StreamName.OPTIONS) if name in streams}
    return tuple((name, told.get(name) or "") for name in (StreamName.STOCKS, StreamName.OPTIONS))


def _holder(settings: Settings, now: Callable[[], datetime]) -> str | None:
    return stream_holder(_feeds(settings), now(), but_not=os.getpid(), local_market=settings.local_market)
