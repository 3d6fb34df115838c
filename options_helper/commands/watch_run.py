"""Run a watch from a terminal or a service: begin, take turns, tell how it goes, end in order."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
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
from options_helper.bus.roles import ALL_ACCOUNTS
from options_helper.bus.viewer import BusManager
from options_helper.capture.hours import CaptureHours
from options_helper.clock import elapsed_seconds, utc_now
from options_helper.commands.capture_display import open_console
from options_helper.commands.capture_session import Signals
from options_helper.commands.rest_look import DEFAULT_FILE, risk_choices
from options_helper.commands.shutdown_signals import ShutdownSignals
from options_helper.commands.watch_display import WatchDisplay, of_account, status_of
from options_helper.data.accounts_file import load_accounts, load_desk_settings
from options_helper.data.at_once import do_at_once
from options_helper.data.earnings_file import load_earnings
from options_helper.data.notify.messages import Outcome
from options_helper.data.notify.targets import load_targets
from options_helper.data.portfolio_file import PortfolioFile, reread
from options_helper.data.rest.budget_ledger import PAGE
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.sdk_import import load_sdk
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.errors import ConfigError, Unavailable
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamId, StreamName
from options_helper.monitoring.heartbeat import Heartbeat, Role
from options_helper.monitoring.heartbeat_file import file_of, forget_heartbeats, remember_run
from options_helper.monitoring.heartbeat_writer import HeartbeatWriter
from options_helper.monitoring.prometheus import serve_metrics
from options_helper.monitoring.run_report import process_lives
from options_helper.monitoring.stream_holders import market_key, stream_holder
from options_helper.settings import RiskSettings, Settings
from options_helper.watch.book import AccountBook, Book, FileBook
from options_helper.watch.engine import Manager, Watch, Watching
from options_helper.watch.kept_alerts import KeptAlerts, KeyOf, same_key
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
    together_with: tuple[str, ...] = ()  # further accounts of its owner, by name, or "all"


@dataclass(frozen=True, slots=True)
class WatchedAccount:
    """An account that is watched, by itself: whose positions, and where its alerts are kept."""

    settings: Settings
    file: Path | None  # None: the account's positions
    key: str | None = None  # in place of what the settings say, where the account is another program's


@dataclass(frozen=True, slots=True)
class _Watched:
    """The same at work."""

    account: str  # how it is called here; empty where it is the only one
    watch: Watch
    alerts: KeptAlerts


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
    own_book: Book = AccountBook() if file is None else FileBook(file)
    rules = named_rules(request.rules)
    risk = RiskSettings.load()
    choices, earnings = risk_choices(risk), load_earnings(risk.events_file)
    limits = RequestLimits(PAGE)
    accounts = accounts_of(request, settings, file)

    def watched(one: WatchedAccount) -> _Watched:
        def open_log(key: str | None) -> ProgramAlerts:
            return ProgramAlerts(
                _books(one.settings, one.file, now(), key),
                rules,
                load_targets,
                simulated=one.settings.local_market,
                account=one.settings.account,
                now=now,
            )

        alerts = KeptAlerts(open_log, one.key, key_of(request.bus, one.settings.account))
        watch = Watch(
            one.settings,
            own_book if one is accounts[0] else AccountBook(),
            manager=_manager(request, one.settings, limits),
            follower=_follower(request, one.settings, limits, now),
            alerts=alerts,
            observer=Observer(choices, now, earnings),
            holder=partial(_holder, one.settings, now) if request.bus is None else lambda: None,
            now=now,
            monotonic=time.monotonic,
        )
        return _Watched(one.settings.account if len(accounts) > 1 else "", watch, alerts)

    run = _Run(request, settings, [watched(one) for one in accounts], now)
    with ShutdownSignals() as shutdown, open_console() as (console, live):
        display = WatchDisplay(console, live, amounts=request.amounts)
        with run.judging(display), run.shown_from_outside(limits, display):
            run.take_turns(Signals(shutdown), display, turn_seconds)
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
        watched: Sequence[_Watched],
        now: Callable[[], datetime],
    ) -> None:
        self._request, self._settings, self._watched, self._now = request, settings, watched, now
        self._began_at = now()
        # How each stands, the first account's first. Replaced whole by the main thread, read by the heartbeat's.
        self._last: Mapping[str, Watching] = {}

    @contextmanager
    def judging(self, display: WatchDisplay) -> Iterator[None]:
        """Have part in the alerts of each account; in the end streams, questions and leases are given up."""
        for one in self._watched:
            display.known(one.account, one.alerts.take_found())
        try:
            for one in self._watched:
                one.alerts.start()
            yield
        finally:
            stops = [stop for one in self._watched for stop in (one.watch.stop, one.alerts.stop)]
            do_at_once(stops, "watch-end")

    @contextmanager
    def shown_from_outside(self, limits: RequestLimits, display: WatchDisplay) -> Iterator[None]:
        """Heartbeat and metrics, while it runs."""
        with suppress(RuntimeError):
            forget_heartbeats(process_lives)
        path = self._request.state or file_of(Role.WATCH)
        writer = HeartbeatWriter(
            path,
            lambda: status_of(self._last),
            role=Role.WATCH,
            market=self._settings.market_kind,
            market_key=market_key(self._settings),
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
            is_open = self._is_open()
            self._last = {one.account: one.watch.turn(is_open=is_open) for one in self._watched}
            for one in self._watched:
                display.known(one.account, one.alerts.take_found())
            display.show(self._last, self._now())
            if signals.wait(turn_seconds):
                display.say("Asked to end.", self._now())
                return
        display.say("Its time is over.", self._now())

    def conclude(self, display: WatchDisplay) -> int:
        """Say what did not arrive of what fired in this run; the exit code."""
        lost = [
            f"{of_account(watched.account, one.firing.title)} did not reach {name}: {delivered.why}"
            for watched in self._watched
            for one in watched.alerts.firings
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
        snapshot = next((one.snapshot for one in self._last.values()), None)
        feeds = _feeds(self._settings) if self._request.bus is None else feeds_told(snapshot)
        if snapshot is None:
            return CaptureHours(feeds).connected(self._now())
        at = snapshot.as_of if snapshot.market.plays else self._now()
        return CaptureHours(feeds, told=snapshot.told_sessions).connected(at)

    @contextmanager
    def _metrics(self, read: Callable[[], Heartbeat], display: WatchDisplay) -> Iterator[None]:
        if self._request.metrics_port is None:
            yield
            return
        with serve_metrics(self._request.metrics_port, read) as address:
            display.say(f"Metrics are at {address}", self._now())
            yield


def accounts_of(request: WatchRequest, settings: Settings, file: Path | None) -> tuple[WatchedAccount, ...]:
    """Each account that is watched, the first the one of the file; over a bus, of those that its owner serves.

    Unavailable where nobody says whether there is such an account, or it is not served; ConfigError where several
    are asked for without a bus, or one twice.
    """
    address, wanted = request.bus, request.together_with
    if address is None:
        if wanted:
            raise ConfigError(
                "--together-with watches accounts that an owner serves over a bus: name that with --bus."
            )
        return (WatchedAccount(settings, file),)
    if settings.account == DEFAULT_ACCOUNT and not wanted:
        return (WatchedAccount(settings, file, alerts_key(address, DEFAULT_ACCOUNT, None)),)
    health = look_at_desk(address)
    if health is None:
        raise Unavailable(
            f"Nobody has served the desk {address.names.desk} at {address.url} yet, so which accounts it has is not "
            "known. Start its owner first."
        )
    served = health.accounts or ()
    own = next(iter(served), None)
    first = own if wanted and own is not None and settings.account == DEFAULT_ACCOUNT else settings.account
    if first in wanted:
        raise ConfigError(f"--together-with {first}: that account is watched already. Leave it out.")
    others = [one for one in served if one != first and (ALL_ACCOUNTS in wanted or one in wanted)]
    lacking = [one for one in wanted if one not in (ALL_ACCOUNTS, *served)]
    for name in (first, *lacking):
        if (why := why_not_served(name, health)) is not None:
            raise Unavailable(why)
    if wanted and not others:
        raise Unavailable(f"--together-with all: the owner serves no account beside {first}.")
    return tuple(
        WatchedAccount(
            replace(settings, account=name), file if name == first else None, alerts_key(address, name, own)
        )
        for name in (first, *others)
    )


def key_of(address: BusAddress | None, account: str) -> KeyOf:
    """Under what the alerts of an account are kept as the owner on a bus says now: its own may be another by then."""
    if address is None:
        return same_key

    def told(snapshot: LiveSnapshot, key: str | None) -> str | None:
        accounts = () if snapshot.desk is None else snapshot.desk.accounts
        return alerts_key(address, account, accounts[0]) if accounts else key

    return told


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
    return stream_holder(
        _feeds(settings),
        now(),
        but_not=os.getpid(),
        local_market=settings.local_market,
        key=market_key(settings),
    )
