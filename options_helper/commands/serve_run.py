"""Run the owner of a desk from a terminal or a service: connect, follow the portfolio, tell how it goes, end."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from options_helper.bus.address import BusAddress
from options_helper.bus.demand import BOOKS, HALTS
from options_helper.bus.keeper import LeaseKeeper
from options_helper.bus.lease_course import Standing
from options_helper.bus.owner import BusOwner
from options_helper.bus.roles import ALL_ACCOUNTS
from options_helper.bus.stores import DEFAULT_KEEP_BYTES
from options_helper.clock import elapsed_seconds, utc_now
from options_helper.commands.capture_display import open_console
from options_helper.commands.capture_session import Signals
from options_helper.commands.serve_term import ServeTerm
from options_helper.commands.shutdown_signals import ShutdownSignals
from options_helper.data.accounts_file import Accounts, load_accounts
from options_helper.data.portfolio_file import PortfolioFile, reread
from options_helper.data.rest.budget_ledger import PAGE
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.sdk_import import load_sdk
from options_helper.data.streaming.engine.stream_config import StreamRequest
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.data.streaming.subscriptions import build_subscription_plan
from options_helper.errors import ConfigError, StreamError, StreamRefused, Unavailable
from options_helper.live.further_accounts import FurtherAccount
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import StreamId, StreamName
from options_helper.model.text import format_count
from options_helper.monitoring.heartbeat import Heartbeat, Role, WatchStatus
from options_helper.monitoring.heartbeat_file import file_of, forget_heartbeats, remember_run
from options_helper.monitoring.heartbeat_writer import HeartbeatWriter
from options_helper.monitoring.prometheus import serve_metrics
from options_helper.monitoring.run_report import process_lives
from options_helper.monitoring.stream_holders import market_key
from options_helper.settings import Settings
from options_helper.watch.book import AccountBook, Book, FileBook

if TYPE_CHECKING:
    from rich.console import Console

log = logging.getLogger(__name__)

TURN_SECONDS: Final = 1.0
# So often it looks whether it leads, and still leads.
LOOK_SECONDS: Final = 0.1
LINE_EVERY: Final = timedelta(minutes=5)
# What Alpaca's plans allow of contracts on one connection.
MAX_CONTRACTS: Final = 1_000
FINE, LOST = 0, 1
STOCK_CHANNELS: Final = ("quotes", "trades", "bars")
COIN_CHANNELS: Final = ("quotes", "trades")


@dataclass(frozen=True, slots=True)
class ServeRequest:
    """Everything the command line says."""

    address: BusAddress
    file: Path | None = None
    from_account: bool = False
    stocks: tuple[str, ...] = ()
    option_contracts: tuple[str, ...] = ()
    news: tuple[str, ...] = ()
    halts: bool = False
    books: tuple[str, ...] = ()  # coins
    max_stocks: int | None = None  # None: any number
    max_contracts: int = MAX_CONTRACTS
    keep_bytes: int = DEFAULT_KEEP_BYTES
    duration_seconds: float | None = None
    metrics_port: int | None = None
    state: Path | None = None
    together_with: tuple[str, ...] = ()  # further accounts, by name, or "all"


def further_of(request: ServeRequest, own: str) -> tuple[FurtherAccount, ...]:
    """The accounts that are served beside the desk's own, in their file's order; of one that cannot be used, why.

    ConfigError for a name that is no account's.
    """
    if not request.together_with:
        return ()
    accounts = load_accounts()
    is_all = ALL_ACCOUNTS in request.together_with
    if is_all and not accounts.are_several:
        why = accounts.why_one or f"{own} is the only one in accounts.toml."
        raise ConfigError(f"--together-with all: there is one account; {why}")
    for name in request.together_with:
        if name not in (ALL_ACCOUNTS, *accounts.names):
            accounts.settings(name)  # says which there are
        if name == own:
            raise ConfigError(
                f"--together-with {name}: that is the desk's own account already. Leave it out."
            )
    wanted = [one for one in accounts.names if one != own and (is_all or one in request.together_with)]
    return tuple(_further(accounts, one) for one in wanted)


def _further(accounts: Accounts, name: str) -> FurtherAccount:
    try:
        return FurtherAccount(name, accounts.settings(name))
    except ConfigError as error:
        return FurtherAccount(name, problem=str(error))


def settings_of(request: ServeRequest) -> Settings:
    """Of the account that the portfolio's file names, or of the one with the market data; ConfigError as for either."""
    # What is wrong with the file is said by who follows it.
    file = None if request.file is None else reread(PortfolioFile(request.file, request.file.name))
    portfolio = None if file is None else file.portfolio
    return load_accounts().settings_for(
        None, None if portfolio is None else portfolio.account, "" if file is None else file.name
    )


def run_serve(
    request: ServeRequest,
    settings: Settings,
    *,
    further: Sequence[FurtherAccount] = (),
    now: Callable[[], datetime] = utc_now,
    turn_seconds: float = TURN_SECONDS,
    book: Callable[[ServeRequest], Book | None] | None = None,
    term: Callable[..., ServeTerm] = ServeTerm,
) -> int:
    """Serve until a signal or the duration ends it; the exit code. Blocks, on the main thread.

    The settings are those of the desk's own account, and the `further` ones are served beside it. Where another owner
    leads the desk it stands by, and leads when that one has gone.
    """
    settings.require_credentials()
    load_sdk()
    serving = _Serving(
        request,
        settings,
        further=further,
        book=(book or _book)(request),
        term=term,
        now=now,
        turn_seconds=turn_seconds,
    )
    serving.open()
    with ShutdownSignals() as shutdown, open_console() as (console, _):
        try:
            with serving.shown_from_outside(console):
                serving.take_part(Signals(shutdown), console)
        finally:
            serving.close()
        return serving.conclude(console)


def _book(request: ServeRequest) -> Book | None:
    if request.from_account:
        return AccountBook()
    return None if request.file is None else FileBook(request.file)


class _Serving:
    """The turns of one run, leading or standing by, and what they come to."""

    def __init__(
        self,
        request: ServeRequest,
        settings: Settings,
        *,
        further: Sequence[FurtherAccount] = (),
        book: Book | None,
        term: Callable[..., ServeTerm],
        now: Callable[[], datetime],
        turn_seconds: float,
    ) -> None:
        # What a desk carries is called as if it were the only account's: who follows it need not know others.
        self._request, self._settings, self._book = request, settings.without_name, book
        self._account, self._further = settings.account, tuple(further)
        self._make_term = term
        self._now, self._turn_seconds = now, turn_seconds
        self._limits = RequestLimits(PAGE)
        self._keeper = LeaseKeeper(request.address, socket.gethostname(), os.getpid(), lost=self._step_down)
        self._began = elapsed_seconds()
        self._since = now()
        # Replaced by the main thread; whoever looks after the lease has it step down.
        self._term: ServeTerm | None = None
        self._config: LiveStreamConfig | None = None
        self._said: str | None = None
        self._said_at = self._since
        self._problem: str | None = None
        self._failure: str | None = None  # why it ended by itself
        self._losses: list[tuple[int, str]] = []
        self._took_over = False
        self._is_warned = False
        # Replaced whole by the main thread, read by the heartbeat's.
        self._last: WatchStatus | None = None

    def open(self) -> None:
        """Find the bus; ConfigError or Unavailable where it cannot be used."""
        try:
            self._keeper.open()
        except StreamRefused as error:
            raise ConfigError(str(error)) from error
        except StreamError as error:
            raise Unavailable(str(error)) from error

    def close(self) -> None:
        """Let another lead at once, and end."""
        self._end_term()
        self._keeper.stop()

    def _step_down(self, why: str) -> None:
        term = self._term
        if term is not None:
            term.step_down(why)

    @contextmanager
    def shown_from_outside(self, console: Console) -> Iterator[None]:
        """Heartbeat and metrics, while it runs."""
        with suppress(RuntimeError):
            forget_heartbeats(process_lives)
        path = self._request.state or file_of(Role.OWNER)
        writer = HeartbeatWriter(
            path,
            lambda: self._last,
            role=Role.OWNER,
            market=self._settings.market_kind,
            market_key=market_key(self._settings),
            providers=self._limits.report,
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

    def take_part(self, signals: Signals, console: Console) -> None:
        """Lead whenever nobody else does, until somebody asks for the end, the time is over, or it cannot go on."""
        while self._failure is None:
            self._keeper.want()
            if not self._stand_by(signals, console):
                return
            try:
                if not self._lead(signals, console):
                    return
            finally:
                self._end_term()

    def _stand_by(self, signals: Signals, console: Console) -> bool:
        """Wait until this one leads; False where somebody asked for the end before, or its time is over."""
        waited = False
        while not (standing := self._keeper.standing).leads:
            if standing.leader is not None or standing.problem is not None:
                waited = True
                self._note_standing_by(standing, console)
            if self._is_over(signals, console, LOOK_SECONDS):
                return False
        self._took_over = waited
        return True

    def _note_standing_by(self, standing: Standing, console: Console) -> None:
        if standing.leader is None:
            said = (
                f"standing by for the desk {self._request.address.names.desk} at {self._request.address.url}"
            )
        else:
            said = f"standing by: {standing.leader} leads the desk {self._request.address.names.desk}"
        self._last = WatchStatus(_nothing(self._settings, self._now()), said, standing.problem)
        if said != self._said:
            self._said = said
            self._say(console, said)
        self._note_problem(standing.problem, console)

    def _note_problem(self, problem: str | None, console: Console) -> None:
        if problem is not None and problem != self._problem:
            self._say(console, problem)
        self._problem = problem

    def _lead(self, signals: Signals, console: Console) -> bool:
        """Until another leads; False where this one is to end."""
        term = self._make_term(
            self._request.address,
            self._settings,
            self._limits,
            keep_bytes=self._request.keep_bytes,
            plan={
                StreamName.STOCKS: self._request.max_stocks,
                StreamName.OPTIONS: self._request.max_contracts,
                StreamName.CRYPTO: None,
                StreamName.NEWS: None,
            },
            took_over=self._took_over,
            account=self._account,
            further=self._further,
            require_lease=self._keeper.require_fresh,
        )
        self._config = None
        # Before it opens, which may take longer than a lease: what has lost that begins no term.
        self._term = term
        if not self._keeper.standing.leads:
            term.step_down("The lease of this desk was lost before anything began.")
        try:
            term.open()
        except StreamRefused as error:
            raise ConfigError(str(error)) from error
        except StreamError as error:
            # The bus went away in this moment, or another was quicker.
            self._note_problem(str(error), console)
            return not self._is_over(signals, console, self._turn_seconds)
        self._warn(term.owner, console)
        next_turn = float("-inf")
        while term.yields is None:
            if elapsed_seconds() >= next_turn:
                next_turn = elapsed_seconds() + self._turn_seconds
                self._take_turn(term, console)
            self._failure = term.failure
            if self._failure is not None:
                self._say(console, self._failure)
                return False
            if self._is_over(signals, console, min(LOOK_SECONDS, self._turn_seconds)):
                return False
        self._say(console, term.yields)
        return True

    def _warn(self, owner: BusOwner, console: Console) -> None:
        """Say once what is to be known of the server, and whose the data are where other computers reach it."""
        for notice in () if owner.facts is None or self._is_warned else owner.facts.notices:
            self._say(console, notice)
        self._is_warned = True

    def _is_over(self, signals: Signals, console: Console, seconds: float) -> bool:
        """Wait so long; whether somebody has asked for the end by then, or its time is over."""
        limit = self._request.duration_seconds
        if limit is not None and elapsed_seconds() - self._began >= limit:
            self._say(console, "Its time is over.")
            return True
        if signals.wait(seconds):
            self._say(console, "Asked to end.")
            return True
        return False

    def _end_term(self) -> None:
        """Close the streams, say goodbye and give the lease back, in this order."""
        term, self._term = self._term, None
        if term is not None:
            term.end()
            self._losses += term.losses()
        self._keeper.give_back()

    def _take_turn(self, term: ServeTerm, console: Console) -> None:
        """Whatever is wrong with one turn costs this one: who follows goes on hearing what is streamed."""
        try:
            self._turn(term, console)
        except Exception as error:
            problem = f"The owner could not look after its streams ({type(error).__name__}: {error})."
            if problem != self._problem:
                log.debug("a turn failed", exc_info=True)
            self._note_problem(problem, console)
            last = self._last
            if last is not None:
                self._last = replace(last, snapshot=term.snapshot(), problem=problem)

    def _turn(self, term: ServeTerm, console: Console) -> None:
        snapshot = term.snapshot()
        # Of the desk's own account, without what the others have.
        book = None if self._book is None else self._book.look(snapshot.accounts.get(self._account, snapshot))
        config = self._config_for(term.owner, self._held(term, None if book is None else book.portfolio))
        if config != self._config:
            term.start(config)
            self._config = config
        term.look_after_accounts()
        problem = (
            term.problem
            or (None if book is None else book.problem)
            or term.owner.left_out
            or term.trouble(snapshot)
        )
        self._last = WatchStatus(snapshot, self._activity(term.owner, config, snapshot), problem)
        self._note_problem(problem, console)
        said = self._serves(config)
        if said != self._said or self._now() - self._said_at >= LINE_EVERY:
            self._said, self._said_at = said, self._now()
            self._say(console, self._last.activity)

    def _held(self, term: ServeTerm, own: Portfolio | None) -> list[Portfolio]:
        """What is to be streamed by itself: what a file holds, or all accounts that are served."""
        others = term.portfolios() if self._request.from_account else []
        return [*([] if own is None else [own]), *others]

    def _config_for(self, owner: BusOwner, held: Sequence[Portfolio]) -> LiveStreamConfig:
        plans = [
            build_subscription_plan(
                portfolio,
                stream_stocks=True,
                stream_options=True,
                max_option_contracts=self._request.max_contracts,
            )
            for portfolio in held
        ]
        stocks = (symbol for plan in plans for symbol in plan.stocks)
        contracts = (symbol for plan in plans for symbol in plan.option_contracts)
        coins = (symbol for plan in plans for symbol in plan.crypto)
        wanted = owner.unite(
            {
                StreamName.STOCKS: tuple(dict.fromkeys((*stocks, *self._request.stocks))),
                StreamName.OPTIONS: tuple(dict.fromkeys((*contracts, *self._request.option_contracts))),
                StreamName.CRYPTO: tuple(dict.fromkeys(coins)),
                StreamName.NEWS: self._request.news,
            }
        )
        return served_config(self._request, self._settings, wanted, owner.on_demand)

    def _serves(self, config: LiveStreamConfig) -> str:
        shares = format_count(len(config.stocks), "stock")
        contracts = format_count(len(config.option_contracts), "contract")
        names = (self._account, *(one.name for one in self._further))
        accounts = f" for the accounts {', '.join(names)}" if self._further else ""
        return f"serving {shares} and {contracts}{accounts} at {self._request.address.url}"

    def _activity(self, owner: BusOwner, config: LiveStreamConfig, snapshot: LiveSnapshot) -> str:
        """In one line what it is at."""
        stored = sum(counts.stored for counts in owner.counts.values())
        return (
            f"{self._serves(config)} (desk {self._request.address.names.desk}), since "
            f"{self._since.astimezone(NEW_YORK):%H:%M} New York; {format_count(owner.viewers, 'viewer')}, "
            f"{stored:,} events stored, "
            f"{snapshot.queue_depth:,} waiting, {sum(snapshot.dropped_events.values()):,} dropped"
        )

    def _say(self, console: Console, sentence: str) -> None:
        at = self._now().astimezone(NEW_YORK)
        console.print(f"{at:%H:%M:%S} {sentence}", markup=False, highlight=False, soft_wrap=True)

    def conclude(self, console: Console) -> int:
        """Say what was lost; the exit code."""
        told = [f"{count:,} {what}." for count, what in self._losses]
        for sentence in told:
            self._say(console, sentence)
        return LOST if told or self._failure is not None else FINE


def served_config(
    request: ServeRequest,
    settings: Settings,
    wanted: Mapping[StreamId, tuple[str, ...]],
    on_demand: Mapping[StreamId, Mapping[str, tuple[str, ...]]] = MappingProxyType({}),
) -> LiveStreamConfig:
    """What is to be streamed where so much is wanted of each stream, and these of its channels besides."""
    books = on_demand.get(StreamName.CRYPTO, {}).get(BOOKS, ())
    halted = dict.fromkeys(one for of in on_demand.get(StreamName.STOCKS, {}).values() for one in of)
    halts = () if request.halts else tuple(one for one in halted if one in wanted[StreamName.STOCKS])
    return LiveStreamConfig(
        stocks=wanted[StreamName.STOCKS],
        option_contracts=wanted[StreamName.OPTIONS],
        crypto=wanted[StreamName.CRYPTO],
        news=wanted[StreamName.NEWS],
        symbol_channels=(
            *_with_books(tuple(dict.fromkeys((*request.books, *books))), wanted[StreamName.CRYPTO]),
            StreamRequest(StreamName.STOCKS, halts, channels=(*STOCK_CHANNELS, *HALTS)),
        ),
        stream_stocks=True,
        stream_options=True,
        stream_fills=True,
        stock_feed=settings.stock_feed,
        options_feed=settings.options_feed,
        stock_channels=(*STOCK_CHANNELS, *(HALTS if request.halts else ())),
    )


def _with_books(books: Sequence[str], coins: Sequence[str]) -> tuple[StreamRequest, ...]:
    """Their order books, and the prices of those among them that are wanted too."""
    both = tuple(coin for coin in books if coin in coins)
    alone = tuple(coin for coin in books if coin not in coins)
    requests = (
        StreamRequest(StreamName.CRYPTO, both, channels=(*COIN_CHANNELS, BOOKS)),
        StreamRequest(StreamName.CRYPTO, alone, channels=(BOOKS,)),
    )
    return tuple(one for one in requests if one.symbols)


def _nothing(settings: Settings, as_of: datetime) -> LiveSnapshot:
    """What is to be seen of streams that another has."""
    return LiveSnapshot(as_of, market=settings.market_kind)
