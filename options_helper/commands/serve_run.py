"""Run the owner of a desk from a terminal or a service: connect, follow the portfolio, tell how it goes, end."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from options_helper.bus.address import BusAddress
from options_helper.bus.owner import DEFAULT_KEEP_BYTES, AnnouncedSource, BusOwner, Owner
from options_helper.clock import elapsed_seconds, utc_now, utc_now_ns
from options_helper.commands.capture_display import open_console
from options_helper.commands.capture_session import Signals
from options_helper.commands.shutdown_signals import ShutdownSignals
from options_helper.data.rest.budget_ledger import PAGE
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.sdk_import import load_sdk
from options_helper.data.streaming.engine.stream_source import AlpacaSource
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.subscriptions import build_subscription_plan
from options_helper.errors import ConfigError, StreamError, StreamRefused, Unavailable
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import StreamName
from options_helper.model.text import format_count
from options_helper.monitoring.heartbeat import Heartbeat, Role, WatchStatus
from options_helper.monitoring.heartbeat_file import file_of, forget_heartbeats, remember_run
from options_helper.monitoring.heartbeat_writer import HeartbeatWriter
from options_helper.monitoring.prometheus import serve_metrics
from options_helper.monitoring.run_report import process_lives
from options_helper.settings import Settings
from options_helper.watch.book import AccountBook, Book, FileBook

if TYPE_CHECKING:
    from rich.console import Console

log = logging.getLogger(__name__)

TURN_SECONDS: Final = 1.0
LINE_EVERY: Final = timedelta(minutes=5)
# What Alpaca's plans allow of contracts on one connection.
MAX_CONTRACTS: Final = 1_000
FINE, LOST = 0, 1


@dataclass(frozen=True, slots=True)
class ServeRequest:
    """Everything the command line says."""

    address: BusAddress
    file: Path | None = None
    from_account: bool = False
    stocks: tuple[str, ...] = ()
    option_contracts: tuple[str, ...] = ()
    max_stocks: int | None = None  # None: any number
    max_contracts: int = MAX_CONTRACTS
    keep_bytes: int = DEFAULT_KEEP_BYTES
    duration_seconds: float | None = None
    metrics_port: int | None = None
    state: Path | None = None


def run_serve(
    request: ServeRequest,
    settings: Settings,
    *,
    now: Callable[[], datetime] = utc_now,
    turn_seconds: float = TURN_SECONDS,
) -> int:
    """Serve until a signal or the duration ends it; the exit code. Blocks, on the main thread."""
    settings.require_credentials()
    load_sdk()
    book = _book(request)
    source = AnnouncedSource(AlpacaSource())
    owner = BusOwner(
        request.address,
        Owner(socket.gethostname(), os.getpid(), utc_now_ns()),
        source.streams,
        now_ns=utc_now_ns,
        announced=lambda: source.announced,
        keep_bytes=request.keep_bytes,
        limits={
            StreamName.STOCKS: request.max_stocks,
            StreamName.OPTIONS: request.max_contracts,
            StreamName.CRYPTO: None,
        },
    )
    limits = RequestLimits(PAGE)
    manager = LiveStreamManager(settings, source=source, limits=limits, carry=owner.carry)
    try:
        owner.open()
    except StreamRefused as error:
        raise ConfigError(str(error)) from error
    except StreamError as error:
        raise Unavailable(str(error)) from error
    serving = _Serving(request, settings, book=book, manager=manager, owner=owner, now=now)
    with ShutdownSignals() as shutdown, open_console() as (console, _):
        try:
            owner.tell_of(manager.snapshot)
            serving.warn(console)
            with serving.shown_from_outside(limits, console):
                serving.take_turns(Signals(shutdown), console, turn_seconds)
        finally:
            manager.stop()
            owner.close()
        return serving.conclude(console)


def _book(request: ServeRequest) -> Book | None:
    if request.from_account:
        return AccountBook()
    return None if request.file is None else FileBook(request.file)


class _Serving:
    """The turns of one run, and what they come to."""

    def __init__(
        self,
        request: ServeRequest,
        settings: Settings,
        *,
        book: Book | None,
        manager: LiveStreamManager,
        owner: BusOwner,
        now: Callable[[], datetime],
    ) -> None:
        self._request, self._settings, self._book = request, settings, book
        self._manager, self._owner, self._now = manager, owner, now
        self._since = now()
        self._config: LiveStreamConfig | None = None
        self._said: str | None = None
        self._said_at = self._since
        self._problem: str | None = None
        self._failure: str | None = None  # why it ended by itself
        # Replaced whole by the main thread, read by the heartbeat's.
        self._last: WatchStatus | None = None

    def warn(self, console: Console) -> None:
        """Say once what is to be known of the server, and whose the data are where other computers reach it."""
        for notice in () if self._owner.facts is None else self._owner.facts.notices:
            self._say(console, notice)

    @contextmanager
    def shown_from_outside(self, limits: RequestLimits, console: Console) -> Iterator[None]:
        """Heartbeat and metrics, while it runs."""
        with suppress(RuntimeError):
            forget_heartbeats(process_lives)
        path = self._request.state or file_of(Role.OWNER)
        writer = HeartbeatWriter(
            path,
            lambda: self._last,
            role=Role.OWNER,
            market=self._settings.market_kind,
            providers=limits.report,
            now=self._now,
        )
        with self._metrics(lambda: writer.last, console), writer:
            if self._request.state is not None:
                with suppress(RuntimeError):
                    remember_run(path, Role.OWNER)
            yield

    @contextmanager
    def _metrics(self, read: Callable[[], Heartbeat], console: Console) -> Iterator[None]:
        if self._request.metrics_port is None:
            yield
            return
        with serve_metrics(self._request.metrics_port, read) as address:
            self._say(console, f"Metrics are at {address}")
            yield

    def take_turns(self, signals: Signals, console: Console, turn_seconds: float) -> None:
        """Until somebody asks for the end, the time is over, or another owner has the desk."""
        limit, began = self._request.duration_seconds, elapsed_seconds()
        while limit is None or elapsed_seconds() - began < limit:
            self._take_turn(console)
            self._failure = self._owner.fenced or self._manager.failure
            if self._failure is not None:
                self._say(console, self._failure)
                return
            if signals.wait(turn_seconds):
                self._say(console, "Asked to end.")
                return
        self._say(console, "Its time is over.")

    def _take_turn(self, console: Console) -> None:
        """Whatever is wrong with one turn costs this one: who follows goes on hearing what is streamed."""
        try:
            self._turn(console)
        except Exception as error:
            problem = f"The owner could not look after its streams ({type(error).__name__}: {error})."
            if problem != self._problem:
                self._say(console, problem)
                log.debug("a turn failed", exc_info=True)
            self._problem = problem
            last = self._last
            if last is not None:
                self._last = replace(last, snapshot=self._manager.snapshot(), problem=problem)

    def _turn(self, console: Console) -> None:
        snapshot = self._manager.snapshot()
        book = None if self._book is None else self._book.look(snapshot)
        config = self._config_for(None if book is None else book.portfolio)
        if config != self._config:
            self._manager.start(config)
            self._config = config
        problem = self._owner.problem or (None if book is None else book.problem) or self._owner.left_out
        self._last = WatchStatus(snapshot, self._activity(config, snapshot), problem)
        if problem is not None and problem != self._problem:
            self._say(console, problem)
        self._problem = problem
        said = self._serves(config)
        if said != self._said or self._now() - self._said_at >= LINE_EVERY:
            self._said, self._said_at = said, self._now()
            self._say(console, self._last.activity)

    def _config_for(self, portfolio: Portfolio | None) -> LiveStreamConfig:
        plan = build_subscription_plan(
            portfolio or Portfolio(positions=()),
            stream_stocks=True,
            stream_options=True,
            max_option_contracts=self._request.max_contracts,
        )
        wanted = self._owner.unite(
            {
                StreamName.STOCKS: tuple(dict.fromkeys((*plan.stocks, *self._request.stocks))),
                StreamName.OPTIONS: tuple(
                    dict.fromkeys((*plan.option_contracts, *self._request.option_contracts))
                ),
                StreamName.CRYPTO: plan.crypto,
            }
        )
        return LiveStreamConfig(
            stocks=wanted[StreamName.STOCKS],
            option_contracts=wanted[StreamName.OPTIONS],
            crypto=wanted[StreamName.CRYPTO],
            stream_stocks=True,
            stream_options=True,
            stream_fills=True,
            stock_feed=self._settings.stock_feed,
            options_feed=self._settings.options_feed,
            stock_channels=("quotes", "trades", "bars"),
        )

    def _serves(self, config: LiveStreamConfig) -> str:
        shares = format_count(len(config.stocks), "stock")
        contracts = format_count(len(config.option_contracts), "contract")
        return f"serving {shares} and {contracts} at {self._request.address.url}"

    def _activity(self, config: LiveStreamConfig, snapshot: LiveSnapshot) -> str:
        """In one line what it is at."""
        stored = sum(counts.stored for counts in self._owner.counts.values())
        return (
            f"{self._serves(config)} (desk {self._request.address.names.desk}), since "
            f"{self._since.astimezone(NEW_YORK):%H:%M} New York; {format_count(self._owner.viewers, 'viewer')}, "
            f"{stored:,} events stored, "
            f"{snapshot.queue_depth:,} waiting, {sum(snapshot.dropped_events.values()):,} dropped"
        )

    def _say(self, console: Console, sentence: str) -> None:
        at = self._now().astimezone(NEW_YORK)
        console.print(f"{at:%H:%M:%S} {sentence}", markup=False, highlight=False, soft_wrap=True)

    def conclude(self, console: Console) -> int:
        """Say what was lost; the exit code."""
        healths = self._manager.snapshot().streams.values()
        unstored = sum(health.dropped + health.queued for health in healths)
        unknown = self._owner.unknown
        lost = [
            (
                max(0, unstored - self._owner.stored_unsettled - unknown),
                "events found no place and are not stored",
            ),
            (unknown, "events were on their way at the end, and nobody knows whether they are stored"),
            (
                sum(counts.unsendable for counts in self._owner.counts.values()),
                "events were in messages larger than the bus takes",
            ),
            (self._owner.lost_messages, "batches were lost by the bus after it had acknowledged them"),
        ]
        told = [f"{count:,} {what}." for count, what in lost if count]
        for sentence in told:
            self._say(console, sentence)
        return LOST if told or self._failure is not None else FINE
