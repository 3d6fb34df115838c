"""The accounts beside the one with the prices: for each a run of its own, of its fills and its positions alone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import Final, Protocol

from options_helper.analysis.reconcile.account_book import AccountBook
from options_helper.clock import utc_now
from options_helper.data.at_once import do_at_once
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.data.streaming.polling.expiry_reading import BEHIND
from options_helper.errors import ConfigError
from options_helper.live.account_book import AccountBooks
from options_helper.model.contract_symbols import parse_contract_symbol
from options_helper.model.market_hours import new_york_date
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.snapshots_together import Unusable
from options_helper.settings import Settings

log = logging.getLogger(__name__)

NO_RUN: Final = "It was not started."
BROKEN: Final = "It could not be started: the program's log says why."


class Manager(Protocol):
    """What is needed of `LiveStreamManager`."""

    def start(self, config: LiveStreamConfig) -> None:
        """Run with this config."""

    def stop(self) -> None:
        """End the run."""

    def snapshot(self) -> LiveSnapshot:
        """What is known now."""


@dataclass(frozen=True, slots=True)
class FurtherAccount:
    """One that a run asks beside its own."""

    name: str
    settings: Settings | None = None
    problem: str | None = None  # why it cannot be asked, as a sentence
    portfolio: Portfolio | None = field(default=None, compare=False)  # what it holds; None: not known yet


@dataclass(slots=True)
class _Run:
    settings: Settings
    manager: Manager
    config: LiveStreamConfig
    books: AccountBooks = field(default_factory=AccountBooks)
    # Of whose contracts, and until which day, it is asked what becomes of them.
    followed: tuple[Portfolio, date] | None = None
    refused: str | None = None  # why its newest contracts are not asked for, as logged


class FurtherAccounts:
    """Starts and stops their runs. What one of them is refused costs none of the others.

    `start` and `stop` are called one at a time, everything else from any thread.
    """

    def __init__(
        self, build_manager: Callable[[Settings], Manager], now: Callable[[], datetime] = utc_now
    ) -> None:
        self._build_manager, self._now = build_manager, now
        # Replaced whole, so that whoever looks takes no lock.
        self._runs: Mapping[str, _Run] = {}
        self._problems: Mapping[str, str] = {}
        self._lock = threading.Lock()  # of those who start and stop

    def start(self, wanted: Sequence[FurtherAccount]) -> None:
        """Ask these and no others; one that is asked already with its settings goes on, and tries again what failed."""
        with self._lock:
            runs = dict(self._runs)
            problems: dict[str, str] = {}
            try:
                for name in runs.keys() - {one.name for one in wanted}:
                    _end(runs, name)
                for one in wanted:
                    if one.settings is None:
                        _end(runs, one.name)
                        problems[one.name] = one.problem or NO_RUN
                    else:
                        self._try_to_begin(runs, problems, one.name, one.settings)
            finally:
                # Also where this is broken off: what was begun can be stopped by nobody who does not know of it.
                self._runs, self._problems = runs, problems

    def _try_to_begin(
        self, runs: dict[str, _Run], problems: dict[str, str], name: str, settings: Settings
    ) -> None:
        try:
            self._begin(runs, name, settings)
        except ConfigError as error:
            _end(runs, name)
            problems[name] = str(error)
        except Exception:
            log.exception("the account %s could not be started", name)
            _end(runs, name)
            problems[name] = BROKEN

    def _begin(self, runs: dict[str, _Run], name: str, settings: Settings) -> None:
        run = runs.get(name)
        if run is None or run.settings != settings:
            _end(runs, name)
            run = runs[name] = _Run(settings, self._build_manager(settings), config_of(()))
            log.info("the account %s is asked for its fills and positions", name)
        run.manager.start(run.config)

    def stop(self) -> None:
        """End all of them at once, as one may take its second; what they said last stays."""
        with self._lock:
            do_at_once([run.manager.stop for run in self._runs.values()], "live-account-end")

    def forget(self) -> None:
        """Stop, and know nothing of any of them any more."""
        self.stop()
        with self._lock:
            self._runs, self._problems = {}, {}

    def snapshots(self, names: Sequence[str]) -> Mapping[str, LiveSnapshot | Unusable]:
        """What each of these says now, its positions with every fill or without any part of it."""
        found: dict[str, LiveSnapshot | Unusable] = {}
        runs = self._runs
        for name in names:
            run = runs.get(name)
            found[name] = (
                Unusable(self._problems.get(name, NO_RUN))
                if run is None
                else run.books.settled(run.manager.snapshot)
            )
        return MappingProxyType(found)

    def book(self, name: str, snapshot: LiveSnapshot) -> AccountBook | None:
        """The positions of one of them as this snapshot of it has them; None before they were read."""
        run = self._runs.get(name)
        return None if run is None else run.books.book_in(snapshot)

    def with_portfolios(self, accounts: Sequence[FurtherAccount]) -> tuple[FurtherAccount, ...]:
        """The same with what each of them holds now."""
        return tuple(replace(one, portfolio=self._portfolio(one.name)) for one in accounts)

    def _portfolio(self, name: str) -> Portfolio | None:
        run = self._runs.get(name)
        book = None if run is None else run.books.newest
        return None if book is None else book.portfolio

    def follow_ends(self) -> None:
        """Ask each of them what became of the contracts that it holds now and held in this run.

        Nothing happens where it is asked that already; one that cannot be asked is at the next call. Of a contract
        that ended long ago nothing is asked any more.
        """
        today = new_york_date(self._now())
        with self._lock:
            for name, run in self._runs.items():
                book = run.books.newest
                if book is None or run.followed == (book.portfolio, today):
                    continue
                held = (one.live_symbol for one in book.portfolio.instruments if one.is_option)
                asked = dict.fromkeys((*run.config.ending_contracts, *held))
                config = config_of(tuple(one for one in asked if _is_of_use(one, today)))
                try:
                    if config != run.config:
                        run.manager.start(config)
                except Exception as error:  # noqa: BLE001 - whatever it is, the others are asked theirs
                    if str(error) != run.refused:
                        log.warning(
                            "the account %s is not asked what became of its contracts: %s", name, error
                        )
                    run.refused = str(error)
                else:
                    run.config, run.refused, run.followed = config, None, (book.portfolio, today)


def _is_of_use(contract: str, today: date) -> bool:
    """Whether anything of it is still to be told, as it ends or has ended lately."""
    return parse_contract_symbol(contract).expiry >= today - BEHIND


def _end(runs: dict[str, _Run], name: str) -> None:
    if name in runs:
        runs[name].manager.stop()
        del runs[name]


def config_of(contracts: tuple[str, ...]) -> LiveStreamConfig:
    """Of an account's fills alone, and of what becomes of these contracts."""
    return LiveStreamConfig(stream_stocks=False, stream_options=False, ending_contracts=contracts)
