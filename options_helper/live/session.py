"""One run of streams for the whole process, whatever its viewers do: tabs, reloads, page switches, code reloads."""

from __future__ import annotations

import atexit
import logging
import math
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple, assert_never

from options_helper.analysis.accounts_together import portfolio_together
from options_helper.analysis.book_look import BookLook
from options_helper.analysis.contract_terms import with_told_multipliers
from options_helper.analysis.live_portfolio_metrics import DEFAULT_WIDE_SPREAD_PCT
from options_helper.analysis.live_tables import multileg_tables, position_table
from options_helper.analysis.priced_lines import price_entries
from options_helper.analysis.reconcile.account_book import AccountBook
from options_helper.analysis.risk.fill_costs import trades_of_day
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.analysis.row_table import RowTable
from options_helper.analysis.totals import LiveTotals, sum_up
from options_helper.bus.accounts import alerts_key, earlier_alerts_key
from options_helper.bus.address import bus_of, desk_accounts_of
from options_helper.bus.viewer import BusManager
from options_helper.clock import utc_now
from options_helper.data.at_once import do_at_once
from options_helper.data.betas_file import load_betas
from options_helper.data.dividends_file import load_dividends
from options_helper.data.earnings_file import load_earnings
from options_helper.data.periodic_task import PeriodicTask
from options_helper.data.portfolio_file import PortfolioFile, follow
from options_helper.data.rest.budget_ledger import PAGE
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.streaming.breeze.source import breeze_request
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.subscriptions import SubscriptionPlan, build_subscription_plan
from options_helper.errors import ConfigError
from options_helper.live.account_book import (
    ACCOUNT_FILE,
    AccountBooks,
    PortfolioSource,
    as_file,
    is_account,
)
from options_helper.live.alerts_view import AlertsReader, AlertsView, judging
from options_helper.live.book_history import BookHistory, measures_together
from options_helper.live.change_history import ChangeRecord
from options_helper.live.comparison import FileComparison
from options_helper.live.connections import PROCESS_MODULE, process_connections
from options_helper.live.further_accounts import FurtherAccount, FurtherAccounts, Manager
from options_helper.live.pnl_history import Measure, PnlPoint
from options_helper.live.shared_look import SharedLook
from options_helper.live.shared_ticks import SharedTicks, Tick
from options_helper.model.alpaca_symbols import to_news_symbol
from options_helper.model.earnings import Earnings
from options_helper.model.news import ALL_SYMBOLS
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.snapshots_together import snapshots_together
from options_helper.model.streams import DEFAULT_ACCOUNT
from options_helper.monitoring.heartbeat import Role
from options_helper.monitoring.heartbeat_file import dashboard_file, forget_heartbeats
from options_helper.monitoring.heartbeat_writer import HeartbeatWriter
from options_helper.monitoring.run_report import process_lives
from options_helper.monitoring.stream_holders import market_key, who_has_it
from options_helper.settings import RiskSettings, Settings

log = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS: Final = 2.0
# So long a round takes what viewers look at, by default every two seconds as well: less than from one round to the
# next, so that no two have the same.
SEEN_FOR_SECONDS: Final = 0.9 * HOUSEKEEPING_SECONDS
READING_SECONDS: Final = 15.0
REOPEN_SECONDS: Final = 30.0
STALE_AFTER_SECONDS: Final = 30.0
# A hidden tab draws once a minute, so one that has drawn nothing for this long is gone even if nobody said so.
VIEWER_LIMIT_SECONDS: Final = 300.0
DEFAULT_RISK_CHOICES: Final = RiskChoices()
WHOLE: Final = ""  # in place of an account's name: all that a run has
ACCOUNT_NEEDS_FILLS: Final = (
    "The account is asked for its positions beside the stream of fills: "
    "choose the stream fills, or a portfolio file."
)
LOG_NOT_KNOWN: Final = (
    "Which log is this account's is known once the owner on the bus has said which accounts it serves; until then only "
    "rules about streams, programs, jobs and providers are judged."
)


class NewsOf(StrEnum):
    """Whose news a run streams."""

    NOTHING = "none"
    PORTFOLIO = "the portfolio's symbols"
    EVERYTHING = "every symbol"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a viewer can choose about the run; equal choices are the same run."""

    source: PortfolioSource = PortfolioSource.FILE
    account: str | None = (
        None  # by its name, of several; None: as the file says, or the one with the market data
    )
    further: tuple[str, ...] = ()  # accounts that are asked beside it, by name
    stream_stocks: bool = True
    stream_options: bool = True
    stream_fills: bool = True
    stock_feed: str = "iex"
    options_feed: str = "indicative"
    paper: bool | None = None  # None: as the account's address says
    max_option_contracts: int = 250
    idle_stop_minutes: float = 10.0  # 0: never
    book_pairs: tuple[str, ...] = ()  # of which coins order books are streamed
    crypto_location: str = "us"  # where the coins are traded, those of the portfolio too
    breeze_books: tuple[str, ...] = ()  # of which shares and contracts of India, as `NSE:RELIANCE`
    news: NewsOf = NewsOf.NOTHING


@dataclass(frozen=True, slots=True)
class Run:
    """What is running, or was running last, and for which portfolio."""

    choices: RunSettings
    portfolio_file: PortfolioFile
    settings: Settings
    plan: SubscriptionPlan
    risk: RiskChoices = DEFAULT_RISK_CHOICES
    risk_problem: str | None = None  # why these are not what the user wrote, as a sentence
    earnings: tuple[Earnings, ...] = ()  # the user's own list, as it was at Start
    earnings_problem: str | None = None  # why there is none, as a sentence
    started_at: datetime | None = field(default=None, compare=False)  # by this computer's clock
    ended: str | None = None  # why it is over, as a sentence
    ended_at: datetime | None = None  # by this computer's clock
    further: tuple[FurtherAccount, ...] = ()

    @property
    def of_account(self) -> bool:
        """Whether its portfolio is the account's."""
        return self.choices.source is PortfolioSource.ACCOUNT

    @property
    def portfolios(self) -> dict[str, Portfolio | None]:
        """What each of its accounts holds, by name; None where that is not known yet."""
        return {
            self.settings.account: self.portfolio_file.portfolio,
            **{one.name: one.portfolio for one in self.further},
        }


@dataclass(frozen=True, slots=True)
class AccountPart:
    """One account of a run that has several: what it has in one snapshot, and who looks at that for all viewers."""

    account: str
    snapshot: LiveSnapshot
    portfolio_file: PortfolioFile  # the file, or what stands for the account
    book: AccountBook | None  # the account's positions; None: of a file, or not known yet
    looks: SharedLook

    @property
    def portfolio(self) -> Portfolio | None:
        """What it holds, as far as that is known."""
        return self.portfolio_file.portfolio if self.book is None else self.book.portfolio


class _Heard(NamedTuple):
    """What the streams said in a round of housekeeping, and the run that they were heard for."""

    run: Run | None
    snapshot: LiveSnapshot | None


class _LogOf(NamedTuple):
    """Under what the alerts of an account are kept, None: under what its settings say, and whether that is known."""

    key: str | None
    is_known: bool
    earlier: str | None = None  # under what they were kept while it was not, where that is something else


@dataclass(frozen=True, slots=True)
class History:
    """A copy of what the session remembers."""

    points: tuple[PnlPoint, ...] = ()
    trends: dict[str, tuple[float, ...]] = field(default_factory=dict)


class LiveSession:
    """Owns the process's manager, counts its viewers, samples its P&L and stops it when nobody looks.

    Every method may be called from any thread. `start` and `stop` may take a second, everything else returns at once.
    While a run is on, the file `heartbeat` shows from outside that it is, and how.
    """

    def __init__(
        self,
        *,
        build_manager: Callable[[Settings], Manager] | None = None,
        measure: Callable[[AccountPart], Measure | None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
        housekeeping_seconds: float = HOUSEKEEPING_SECONDS,
        heartbeat: Path | None = None,
        alerts: AlertsReader | None = None,
        further_alerts: Callable[[], AlertsReader] | None = None,
    ) -> None:
        # One pace for all managers: new settings do not give an account another minute.
        self._limits = RequestLimits(PAGE)
        self._build_manager = build_manager or partial(_live_manager, limits=self._limits)
        self._measure = measure or measure_part
        self._monotonic = monotonic
        self._now = now
        self._housekeeping_seconds = housekeeping_seconds
        self._heartbeat_path = heartbeat
        self.comparison = FileComparison()
        self.looks = SharedLook()
        self._ticks = SharedTicks()
        self._books = AccountBooks()
        self._further = FurtherAccounts(self._build_manager, now)
        self._further_looks: dict[str, SharedLook] = {}  # by account; they stay
        self._alerts = alerts
        self._make_alerts = further_alerts
        self._further_alerts: Mapping[str, AlertsReader] = {}  # by account; replaced whole
        # Over a bus, the accounts that its owner serves, as it said last, its own the first; the housekeeper's.
        self._desk_accounts: tuple[str, ...] = ()
        # Held while a run begins, changes or ends. Readers do not take it: they see whole values, replaced in one step.
        self._changing = threading.Lock()
        self._manager: Manager | None = None
        # Not always those of the run: a manager may turn out not to start.
        self._manager_settings: Settings | None = None
        self._run: Run | None = None
        self._housekeeper: PeriodicTask | None = None
        self._heartbeat: HeartbeatWriter | None = None
        # Replaced whole by the housekeeper, read by any.
        self._holder: str | None = None
        self._failed: Mapping[
            str, str
        ] = {}  # steps of the housekeeping, and how each fails; replaced likewise
        # Guards the history: written by the housekeeper, copied by the pages.
        self._history_lock = threading.Lock()
        # Of all that the run has under `WHOLE`, and of several accounts each one's under its name.
        self._histories: defaultdict[str, BookHistory] = defaultdict(BookHistory)
        # Looked at by the housekeeper alone.
        self._next_reading = 0.0
        self._next_opening = 0.0
        self._heard: _Heard | None = None  # in this round
        # Guards the viewers; never held while anything waits, since Streamlit releases on its event loop.
        self._viewers_lock = threading.Lock()
        self._viewers: dict[str, float] = {}
        self._last_seen_viewer = monotonic()

    @property
    def run(self) -> Run | None:
        """The present run, or the last one with the reason for its end; None before the first."""
        return self._run

    @property
    def running(self) -> bool:
        """Whether a run is on."""
        return self._run is not None and self._run.ended is None

    def snapshot(self) -> LiveSnapshot | None:
        """What the streams say now, or said last; None before the first run."""
        manager, run = self._manager, self._run
        if manager is None:
            return None
        if run is None or not run.further:
            return self._snapshot_of(manager, run)
        # The others first, so that nothing that one of them was told is newer than the whole.
        others = self._further.snapshots([one.name for one in run.further])
        return snapshots_together(run.settings.account, self._snapshot_of(manager, run), others)

    def _snapshot_of(self, manager: Manager, run: Run | None) -> LiveSnapshot:
        if run is None or not run.of_account:
            return manager.snapshot()
        return self._books.settled(manager.snapshot)

    def parts(self, snapshot: LiveSnapshot, own: PortfolioFile) -> tuple[AccountPart, ...]:
        """Each account of a snapshot that is of several; none where it is of one. `own` is the first one's file."""
        if (desk := snapshot.desk) is not None and desk.account_problem is not None and is_account(own):
            own = ACCOUNT_FILE  # what it held when it was believed last is no part of a sum
        return tuple(
            AccountPart(name, one, own, self._book_beside(own, one), self.looks)
            if place == 0
            else AccountPart(
                name,
                one,
                ACCOUNT_FILE,
                self._with_prices_soon(self._further.book(name, one), name),
                self._further_looks.setdefault(name, SharedLook()),
            )
            for place, (name, one) in enumerate(snapshot.accounts.items())
        )

    def _book_beside(self, own: PortfolioFile, snapshot: LiveSnapshot) -> AccountBook | None:
        return self.account_book(snapshot) if is_account(own) else None

    def account_book(self, snapshot: LiveSnapshot) -> AccountBook | None:
        """The account's positions as this snapshot of a run has them; None before they were read, and of a file."""
        run = self._run
        if run is None or not run.of_account:
            return None
        return self._with_prices_soon(self._books.book_in(snapshot), run.settings.account)

    def _with_prices_soon(self, book: AccountBook | None, account: str) -> AccountBook | None:
        run, housekeeper = self._run, self._housekeeper
        is_new = run is not None and book is not None and book.portfolio != run.portfolios.get(account)
        if is_new and housekeeper is not None:
            # What was bought a moment ago has prices once it is streamed.
            housekeeper.run_within(0)
        return book

    def tick(
        self, viewer: str, now: datetime, *, longest_seconds: float, again_seconds: float | None = None
    ) -> Tick:
        """What is known now, for all who look within `longest_seconds`; a later call by the same `viewer` brings news.

        Unless it wants again what it saw at most `again_seconds` ago.
        """
        return self._ticks.take(
            viewer,
            now,
            run=self._run,
            hear=self.snapshot,
            longest_seconds=longest_seconds,
            again_seconds=again_seconds,
        )

    def alerts(self, account: str | None = None) -> AlertsView:
        """What alerts of the run's account have fired, or of a further one's, whichever program judged them."""
        reader = self._alerts if account is None else self._further_alerts.get(account, self._alerts)
        return AlertsView() if reader is None else reader.view()

    def acknowledge(self, firing: str, account: str | None = None) -> None:
        """Note for all tabs and programs that somebody has seen a firing of an account, by its key."""
        reader = self._alerts if account is None else self._further_alerts.get(account, self._alerts)
        if reader is not None:
            reader.acknowledge(firing, self._now())
            # Else what is drawn again would have its button still.
            self._ticks.end()

    @property
    def holder(self) -> str | None:
        """Who on this computer has a connection that this run is refused, and how to share it, as a sentence."""
        return self._holder if self.running else None

    @property
    def problems(self) -> tuple[str, ...]:
        """What this run does not do at present, as sentences: steps of its housekeeping that failed last time."""
        return tuple(self._failed.values()) if self.running else ()

    def changes(self, account: str = WHOLE) -> ChangeRecord | None:
        """What the book was, step after step, the same for every viewer; None before the first prices.

        Of several accounts each has its own, and all together have none.
        """
        with self._history_lock:
            return self._histories[account].changes.record()

    def history(self, account: str = WHOLE) -> History:
        """The P&L and the marks so far, the same for every viewer; of all accounts together, or of one of several."""
        with self._history_lock:
            kept = self._histories[account].pnl
            return History(kept.points(), kept.trends())

    def start(
        self,
        portfolio_file: PortfolioFile,
        choices: RunSettings,
        settings: Settings,
        further: Sequence[FurtherAccount] = (),
    ) -> None:
        """Run with these choices for this portfolio; where that is what runs, only what has failed is tried again.

        Choices that only change symbols or the idle time leave the connections up. Where the account is the source,
        no file is needed, and what it holds is streamed as soon as it is known. ConfigError when the portfolio or the
        keys are missing; of the `further` accounts one that cannot be asked costs none of the others.
        """
        with self._changing:
            now = self._run
            portfolio_file = self._begin_with(portfolio_file, choices, settings)
            further = self._further.with_portfolios(further)
            held = held_together(settings.account, portfolio_file.portfolio, further)
            plan = plan_for(held or Portfolio(positions=()), choices)
            wanted = Run(
                choices,
                portfolio_file,
                settings,
                plan,
                *_risk_choices(),
                *_earnings(),
                started_at=self._now(),
                further=further,
            )
            if now == wanted:
                self._manager_for(settings).start(config_for(choices, wanted.plan, held))
                self._further.start(further)
                self._keep_house()
                self._follow_shut_alerts(wanted)
                return
            try:
                self._manager_for(settings).start(config_for(choices, wanted.plan, held))
            except BaseException:
                if not self.running:
                    # The run before is over and nothing came in its place: there is no house to keep.
                    self._further.stop()
                    self._end_housekeeping()
                raise
            self._further.start(further)
            self._go_on_as(wanted)
            # First, so that whatever else fails these streams are ended when nobody looks.
            self._keep_house()
            self._follow_alerts(wanted)

    @property
    def desk_accounts(self) -> tuple[str, ...]:
        """Over a bus, the accounts that its owner serves, its own the first; none where nobody has said yet."""
        return self._desk_accounts or desk_accounts_of(os.environ)

    def _follow_desk(self) -> None:
        """Over a bus, note which accounts are served; whose log of alerts is whose may become known by that."""
        snapshot = self._hear()
        desk = None if snapshot is None or bus_of(os.environ) is None else snapshot.desk
        if desk is None or not desk.accounts or desk.accounts == self.desk_accounts:
            return
        with self._changing:
            run = self._run
            before = None if run is None else self._alert_logs(run)
            self._desk_accounts = desk.accounts
            if run is not None and run.ended is None and self._alert_logs(run) != before:
                self._follow_alerts(run)

    def _alert_logs(self, run: Run) -> dict[str, _LogOf]:
        """In which log the alerts of each of its accounts are kept.

        One that is named counts as no desk's own until an owner has said that it is; see `_has_its_log`.
        """
        names = [run.settings.account, *(one.name for one in run.further)]
        address = bus_of(os.environ)
        own = next(iter(self.desk_accounts), None)
        if address is None:
            return dict.fromkeys(names, _LogOf(None, is_known=True))
        return {
            name: _LogOf(
                alerts_key(address, name, own),
                self._has_its_log(name),
                earlier_alerts_key(address, name, own),
            )
            for name in names
        }

    def _has_its_log(self, account: str) -> bool:
        """Whether it is known under what this account's alerts are kept.

        Where not, rules about programs and streams are judged all the same: that nobody is heard is what they are for.
        What is told of its positions, and of prices, has to stand in one log.
        """
        return account == DEFAULT_ACCOUNT or bool(self.desk_accounts) or bus_of(os.environ) is None

    def _follow_alerts(self, run: Run) -> None:
        """Those of each account of the run; under the lock."""
        if self._alerts is not None:
            self._follow_log(self._alerts, run, run.settings)
        do_at_once([reader.stop for reader in self._further_alerts.values()], "live-alerts-end")
        found: dict[str, AlertsReader] = {}
        for one in run.further:
            if one.settings is not None and self._make_alerts is not None:
                found[one.name] = self._make_alerts()
                self._follow_log(found[one.name], run, one.settings)
        self._further_alerts = found

    def _reopen_alerts(self) -> None:
        """Follow what could not be opened before, now and then: a disk that was full may have room again."""
        now = self._monotonic()
        readers = (self._alerts, *self._further_alerts.values())
        if now < self._next_opening or not any(one is not None and one.is_shut for one in readers):
            return
        with self._changing:
            run = self._run
            if run is not None and run.ended is None:
                self._next_opening = now + REOPEN_SECONDS
                self._follow_shut_alerts(run)

    def _follow_shut_alerts(self, run: Run) -> None:
        """Those that could not be opened before; under the lock."""
        if self._alerts is not None and self._alerts.is_shut:
            self._follow_log(self._alerts, run, run.settings)
        for one in run.further:
            reader = self._further_alerts.get(one.name)
            if reader is not None and reader.is_shut and one.settings is not None:
                self._follow_log(reader, run, one.settings)

    def _follow_log(self, reader: AlertsReader, run: Run, settings: Settings) -> None:
        """That of the account of these settings; under the lock."""
        of_file = settings.account == run.settings.account and not run.of_account
        file = run.portfolio_file.path if of_file else None
        kept = self._alert_logs(run)[settings.account]
        remark = None if kept.is_known else LOG_NOT_KNOWN
        reader.follow(settings, file, self._now(), kept.key, remark, earlier=kept.earlier)

    def stop(self, because: str = "Stopped.") -> None:
        """End the run; harmless when none is on."""
        self._stop_if(because, lambda: True)

    def _stop_if(self, because: str, holds: Callable[[], bool]) -> None:
        """End the run if this holds once nothing else changes it."""
        with self._changing:
            if not holds():
                return
            housekeeper = self._housekeeper
            if housekeeper is not None:
                housekeeper.request_stop()
            if self._manager is not None:
                self._manager.stop()
            self._further.stop()
            self._end_housekeeping()
            if self._run is not None and self._run.ended is None:
                self._run = replace(self._run, ended=because, ended_at=self._now())
        if housekeeper is not None:
            # Not under the lock, which a round may be waiting for.
            housekeeper.stop()

    def reload(self) -> None:
        """Read the run's portfolio file again, whether it looks changed or not; harmless when nothing runs."""
        self._follow_file(unchanged_too=True)

    def acquire(self, viewer: str) -> None:
        """Note that this viewer is looking; called whenever its page is drawn."""
        with self._viewers_lock:
            self._viewers[viewer] = self._last_seen_viewer = self._monotonic()

    def release(self, viewer: str) -> None:
        """Note that this viewer left."""
        with self._viewers_lock:
            if self._viewers.pop(viewer, None) is not None:
                self._last_seen_viewer = self._monotonic()

    @property
    def viewers(self) -> int:
        """How many look at the page now."""
        oldest = self._monotonic() - VIEWER_LIMIT_SECONDS
        with self._viewers_lock:
            self._viewers = {viewer: seen for viewer, seen in self._viewers.items() if seen >= oldest}
            return len(self._viewers)

    def keep(self) -> None:
        """One round of housekeeping; what fails in one step of it costs that step alone, and is among the problems."""
        self._heard = None
        steps: dict[str, Callable[[], None]] = {
            "The portfolio file is not followed": self._follow_file,
            "The accounts that the bus serves are not followed": self._follow_desk,
            "The account's positions are not followed": self._follow_account,
            "The log of the alerts is not opened again": self._reopen_alerts,
            "The rules of the alerts are not judged": self._judge,
            "The line of the profit is not drawn on": self._sample,
            "Who has the streams is not known": self._look_for_holder,
            "Whether somebody looks at the page is not known": self._stop_when_idle,
        }
        failed: dict[str, str] = {}
        for what, step in steps.items():
            try:
                step()
            except Exception as error:
                # What nobody thought of, each time anew; the log has it once.
                failed[what] = f"{what} ({type(error).__name__}); the log has more."
                if failed[what] != self._failed.get(what):
                    log.exception("%s", what)
        self._failed = failed

    def _hear(self) -> LiveSnapshot | None:
        """What the streams say in this round; anew where another run has begun in it."""
        run, heard = self._run, self._heard
        if heard is None or heard.run is not run:
            # Of what viewers look at the book is looked at already; a snapshot of its own would cost one more look,
            # and whoever looks meanwhile waits for it.
            seen = self._ticks.recent(self._now(), run=run, longest_seconds=SEEN_FOR_SECONDS)
            heard = self._heard = _Heard(run, seen or self.snapshot())
        return heard.snapshot

    def _begin_with(
        self, portfolio_file: PortfolioFile, choices: RunSettings, settings: Settings
    ) -> PortfolioFile:
        """What a run has at its start; ConfigError when it has no portfolio, or nobody to hear one from."""
        if choices.source is PortfolioSource.FILE:
            if portfolio_file.portfolio is None:
                raise ConfigError(portfolio_file.problem or "Load a portfolio first.")
            return portfolio_file
        if not choices.stream_fills:
            raise ConfigError(ACCOUNT_NEEDS_FILLS)
        before = self._run
        if before is None or (before.settings, before.choices.paper) != (settings, choices.paper):
            self._books.forget()
        book = self._books.newest
        return ACCOUNT_FILE if book is None else as_file(book)

    def _manager_for(self, settings: Settings) -> Manager:
        # New settings mean new keys or another server: those take a new manager.
        if self._manager is None or self._manager_settings != settings:
            if self._manager is not None:
                self._manager.stop()
            if self._run is not None:
                # It stays ended when the new settings turn out not to work.
                self._run = replace(self._run, ended="Stopped: the settings changed.", ended_at=self._now())
            self._manager = self._build_manager(settings)
            self._manager_settings = settings
        return self._manager

    def _go_on_as(self, run: Run) -> None:
        """Make this the run; the history of another file's book, or of the account's, is not its own."""
        last = self._run
        # Both in one step: a sample that was measured for the run before must not land in this one's history.
        with self._history_lock:
            if last is None or not _is_of_the_same(last, run):
                self._histories.clear()
            else:
                before, after = last.portfolios, run.portfolios
                same = {name: _are_the_same_positions(before[name], after[name]) for name in after}
                for name, history in self._histories.items():
                    history.go_on(is_same=same.get(name, all(same.values())))
            self._run = run

    def _keep_house(self) -> None:
        if self._housekeeper is None:
            # At the process's end daemon threads just vanish; the streams say goodbye first.
            atexit.unregister(self.stop)
            atexit.register(self.stop)
            self._housekeeper = PeriodicTask("live-housekeeper", self.keep, self._housekeeping_seconds)
            self._housekeeper.start()
        key = None if self._run is None else market_key(self._run.settings)
        if self._heartbeat is not None:
            self._heartbeat.now_of(key)
        elif self._heartbeat_path is not None:
            forget_heartbeats(process_lives)
            self._heartbeat = HeartbeatWriter(
                self._heartbeat_path,
                self.snapshot,
                role=Role.DASHBOARD,
                market_key=key,
                providers=self._limits.report,
            )
            self._heartbeat.start()

    def _end_housekeeping(self) -> None:
        """Begin no more rounds, judge no more rules, and let the heartbeat say that the run ended; under the lock."""
        housekeeper, self._housekeeper = self._housekeeper, None
        heartbeat, self._heartbeat = self._heartbeat, None
        if housekeeper is not None:
            # It is not waited for: a round may be waiting for the lock.
            housekeeper.request_stop()
        if heartbeat is not None:
            heartbeat.close()
        readers = [] if self._alerts is None else [self._alerts]
        # Under the lock, so that it cannot end those of a run that begins meanwhile.
        do_at_once([one.stop for one in (*readers, *self._further_alerts.values())], "live-alerts-end")

    def _follow_file(self, *, unchanged_too: bool = False) -> None:
        run = self._run
        if run is None or run.ended:
            return
        portfolio_file = follow(
            replace(run.portfolio_file, stamp=None) if unchanged_too else run.portfolio_file
        )
        if portfolio_file == run.portfolio_file:
            return
        with self._changing:
            # Another portfolio was applied, or the run ended, while the file was read.
            if self._run is not run or portfolio_file.portfolio is None:
                return
            if portfolio_file.portfolio == run.portfolio_file.portfolio:
                self._run = replace(run, portfolio_file=portfolio_file)
                return
            self._become(run, replace(run, portfolio_file=portfolio_file))

    def _follow_account(self) -> None:
        """Stream what the accounts hold now, on the same connections."""
        run = self._run
        if run is None or run.ended or not (run.of_account or run.further):
            return
        self._hear()  # by which the books are those of now
        book = self._books.newest if run.of_account else None
        after = replace(
            run,
            portfolio_file=run.portfolio_file if book is None else as_file(book),
            further=self._further.with_portfolios(run.further),
        )
        with self._changing:
            if self._run is run:
                if after.portfolios != run.portfolios:
                    self._become(run, after)
                # Also of unchanged positions: a run with new keys was asked for none yet.
                self._further.follow_ends()

    def _become(self, run: Run, after: Run) -> None:
        """Let the run go on with other portfolios; under the lock."""
        if self._manager is None:
            return
        held = held_together(after.settings.account, after.portfolio_file.portfolio, after.further)
        plan = plan_for(held or Portfolio(positions=()), run.choices)
        if plan != run.plan or run.choices.news is NewsOf.PORTFOLIO:
            self._manager.start(config_for(run.choices, plan, held))
        self._go_on_as(replace(after, plan=plan))

    def _running_parts(self, run: Run) -> tuple[AccountPart, ...]:
        """Each account of this run as it was heard, an only one too; none where nothing runs."""
        snapshot = self._hear()
        if snapshot is None or not snapshot.running:
            return ()
        return self.parts(snapshot, run.portfolio_file) or (self._only_part(run, snapshot),)

    def _judge(self) -> None:
        """Have the rules judged, of each account by itself; those that need no book also before there is one."""
        run = self._run
        if run is None:
            return
        for part in self._running_parts(run):
            first = part.account == run.settings.account
            reader = self._alerts if first else self._further_alerts.get(part.account)
            if reader is not None:
                look = partial(self._look, run, part)
                is_known = self._has_its_log(part.account)
                portfolio = part.portfolio if is_known else None
                reader.observe(portfolio, part.snapshot, self._now(), look, without_book=not is_known)

    def _sample(self) -> None:
        run = self._run
        if run is None:
            return
        parts = self._running_parts(run)
        measures = {part.account: self._measure(part) for part in parts}
        if all(measure is None for measure in measures.values()):
            return
        with self._history_lock:
            if self._run is not run:
                return
            for part in parts:
                measure = measures[part.account]
                if measure is not None:
                    self._histories[self._key_of(run, part)].sample(part.snapshot, measure)
            if run.further and (whole := self._hear()) is not None:
                self._histories[WHOLE].sample(whole, measures_together(measures))
        self._note_changes(run, parts)

    def _only_part(self, run: Run, snapshot: LiveSnapshot) -> AccountPart:
        """All of a run that has one account."""
        book = self._books.book_in(snapshot) if run.of_account else None
        return AccountPart(run.settings.account, snapshot, run.portfolio_file, book, self.looks)

    def _key_of(self, run: Run, part: AccountPart) -> str:
        """Under which the history of a part is kept."""
        return part.account if run.further else WHOLE

    def _look(self, run: Run, part: AccountPart, portfolio: Portfolio) -> BookLook:
        """Everything that is said of the book, by the usual thresholds."""
        return part.looks.look(
            portfolio,
            part.snapshot,
            run.risk,
            stale_after_seconds=STALE_AFTER_SECONDS,
            wide_spread_pct=DEFAULT_WIDE_SPREAD_PCT,
            earnings=run.earnings,
        )

    def _note_changes(self, run: Run, parts: Sequence[AccountPart]) -> None:
        """What each book is now, so that its change can be told by causes; some times a minute, as it costs a look."""
        now = self._monotonic()
        if now < self._next_reading:
            return
        self._next_reading = now + READING_SECONDS
        for part in parts:
            if (portfolio := part.portfolio) is None:
                continue
            book = self._look(run, part, portfolio).risk
            trades = trades_of_day(portfolio, part.snapshot)
            with self._history_lock:
                if self._run is not run:
                    return
                self._histories[self._key_of(run, part)].note(book, trades, part.snapshot)

    def _look_for_holder(self) -> None:
        run, snapshot = self._run, self._hear()
        self._holder = (
            None
            if run is None or snapshot is None
            else who_has_it(
                snapshot.streams.values(),
                self._now(),
                Role.DASHBOARD,
                local_market=run.settings.local_market,
                key=market_key(run.settings),
            )
        )

    def _stop_when_idle(self) -> None:
        run, viewers = self._run, self.viewers  # which forgets who is gone, also where no run ends by that
        if run is None or not run.choices.idle_stop_minutes or viewers:
            return
        minutes = run.choices.idle_stop_minutes

        def is_left_alone() -> bool:
            if self._run is not run or self.viewers:
                return False
            with self._viewers_lock:
                return self._monotonic() - self._last_seen_viewer >= minutes * 60

        if is_left_alone():
            # Asked once more under the lock: whoever pressed Start or Apply meanwhile is somebody who looks.
            self._stop_if(f"Stopped: nobody had looked at the page for {minutes:g} minutes.", is_left_alone)


def _live_manager(settings: Settings, limits: RequestLimits) -> Manager:
    """On the connections of this process, which a recording may share; or on the bus that the page was led to."""
    if (address := bus_of(os.environ)) is not None:
        return BusManager(settings, address)
    return LiveStreamManager(settings, source=process_connections().of("the page"), limits=limits)


def held_together(
    account: str, portfolio: Portfolio | None, further: Sequence[FurtherAccount]
) -> Portfolio | None:
    """All that is held, to be streamed: of one account its own portfolio, of several theirs beside each other."""
    if not further:
        return portfolio
    known = [(account, portfolio), *((one.name, one.portfolio) for one in further)]
    return portfolio_together([(name, held) for name, held in known if held is not None])


def _is_of_the_same(last: Run, run: Run) -> bool:
    """Whether what was drawn of the one is the history of the other: the same file, of the same accounts."""
    is_same_file = last.portfolio_file.path == run.portfolio_file.path
    return is_same_file and list(last.portfolios) == list(run.portfolios)


def _are_the_same_positions(one: Portfolio | None, other: Portfolio | None) -> bool:
    """Whether the profit of both is one sum, whatever cash is beside it; before the first there is none."""
    return one is None or (other is not None and one.positions == other.positions)


def _risk_choices() -> tuple[RiskChoices, str | None]:
    """What the user decided of the risk figures, or the defaults and why; prices are shown in either case."""
    try:
        settings = RiskSettings.load()
        betas = load_betas(settings.betas_file).betas
        dividends = load_dividends(settings.dividends_file)
    except ConfigError as error:
        return DEFAULT_RISK_CHOICES, f"{error} Until then the risk figures are made with the defaults."
    return RiskChoices(settings.rates, settings.assume_dividends, betas, own_dividends=dividends), None


def _earnings() -> tuple[tuple[Earnings, ...], str | None]:
    """The user's list of reports, or none and why."""
    try:
        return load_earnings(RiskSettings.load().events_file), None
    except ConfigError as error:
        return (), f"{error} Until then no report is told."


def plan_for(portfolio: Portfolio, choices: RunSettings) -> SubscriptionPlan:
    """What to subscribe to for this portfolio under these choices."""
    return build_subscription_plan(
        portfolio,
        stream_stocks=choices.stream_stocks,
        stream_options=choices.stream_options,
        max_option_contracts=choices.max_option_contracts,
    )


def config_for(
    choices: RunSettings, plan: SubscriptionPlan, portfolio: Portfolio | None = None
) -> LiveStreamConfig:
    """The manager's config for this plan, and for news of this portfolio where they are wanted."""
    return LiveStreamConfig(
        stocks=plan.stocks,
        option_contracts=plan.option_contracts,
        stream_stocks=choices.stream_stocks,
        stream_options=choices.stream_options,
        stream_fills=choices.stream_fills,
        stock_feed=choices.stock_feed,
        options_feed=choices.options_feed,
        paper=choices.paper,
        crypto=(*plan.crypto, *choices.book_pairs),
        crypto_channels=_crypto_channels(choices, plan),
        crypto_location=choices.crypto_location,
        news=news_symbols(choices.news, portfolio),
        further=(breeze_request(choices.breeze_books),) if choices.breeze_books else (),
    )


def _crypto_channels(choices: RunSettings, plan: SubscriptionPlan) -> tuple[str, ...]:
    """Prices of what is held, books of what is looked at; where both are wanted, of all pairs."""
    prices = ("quotes", "trades") if plan.crypto else ()
    return (*prices, *(("orderbooks",) if choices.book_pairs or not prices else ()))


def news_symbols(wanted: NewsOf, portfolio: Portfolio | None) -> tuple[str, ...]:
    """What to ask the news stream for: what the portfolio's contracts and shares are of, or everything."""
    match wanted:
        case NewsOf.NOTHING:
            return ()
        case NewsOf.EVERYTHING:
            return (ALL_SYMBOLS,)
        case NewsOf.PORTFOLIO:
            instruments = portfolio.instruments if portfolio is not None else ()
            return tuple(dict.fromkeys(to_news_symbol(item.underlying) for item in instruments))
        case _:
            assert_never(wanted)


def measure_part(part: AccountPart) -> Measure | None:
    """What its snapshot says that a part is worth; None where what it holds is not known.

    Where somebody has looked at it, that is read from there. How old a mark may be, and how wide a quote, is for each
    viewer to say, and changes no price: the history takes what there is.
    """
    portfolio, snapshot = part.portfolio, part.snapshot
    if portfolio is None:
        return None
    look = part.looks.any_of(portfolio, snapshot)
    if look is not None:
        return _measure(look.positions, look.structures, look.totals)
    portfolio = with_told_multipliers(portfolio, snapshot.expiry_facts.records)
    priced = price_entries(
        portfolio.positions,
        portfolio,
        snapshot,
        stale_after_seconds=math.inf,
        wide_spread_pct=DEFAULT_WIDE_SPREAD_PCT,
    )
    positions = position_table(portfolio, snapshot, priced)
    structures, legs = multileg_tables(portfolio, snapshot, priced)
    return _measure(positions, structures, sum_up(portfolio, snapshot, positions, structures, legs))


def _measure(positions: RowTable, structures: RowTable, totals: LiveTotals) -> Measure:
    marks = {
        **dict(zip(positions["id"], positions.values("mark"), strict=True)),
        **dict(zip(structures["id"], structures.values("net_mark"), strict=True)),
    }
    pnl, natural = totals.pnl, totals.pnl_natural
    return Measure(
        pnl=pnl.known if pnl.counted else None,
        # Beside a sum of other positions it would show a distance that is not there.
        natural=natural.known if natural.counted == pnl.counted else None,
        counted=pnl.counted,
        positions=pnl.of,
        marks={key: mark for key, mark in marks.items() if mark is not None},
    )


def process_session() -> LiveSession:
    """The one session of this process.

    It hangs on a module without a file, which a server that reloads changed code neither watches nor drops.
    """
    anchor = vars(sys.modules.setdefault(PROCESS_MODULE, ModuleType(PROCESS_MODULE)))
    # `setdefault` is one step for all threads, and a session that loses the race has done nothing yet.
    session: LiveSession = anchor.get("session") or anchor.setdefault("session", new_session())
    return session


def new_session() -> LiveSession:
    """One as the page has it: it is seen from outside, and takes part in the alerts of its account."""
    return LiveSession(heartbeat=dashboard_file(), alerts=_judging_alerts(), further_alerts=_judging_alerts)


def _judging_alerts() -> AlertsReader:
    return AlertsReader(time.monotonic, judging=judging)


def changed_code(session: LiveSession) -> bool:
    """Whether the session was made by an older version of this code, which runs on until it is stopped."""
    return type(session) is not LiveSession


def install_session(session: LiveSession) -> None:
    """Stop the process's session and put this one in its place."""
    process_session().stop("Stopped: the session was replaced.")
    vars(sys.modules[PROCESS_MODULE])["session"] = session
