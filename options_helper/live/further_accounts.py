"""The accounts beside the one with the prices: for each a run of its own, of its fills and its positions alone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Protocol

from options_helper.analysis.reconcile.account_book import AccountBook
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.errors import ConfigError
from options_helper.live.account_book import AccountBooks
from options_helper.live.snapshots_together import Unusable
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot
from options_helper.settings import Settings

log = logging.getLogger(__name__)

NO_RUN: Final = "It was not started."


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


class FurtherAccounts:
    """Starts and stops their runs. What one of them is refused costs none of the others.

    `start` and `stop` are called one at a time, everything else from any thread.
    """

    def __init__(self, build_manager: Callable[[Settings], Manager]) -> None:
        self._build_manager = build_manager
        # Replaced whole, so that whoever looks takes no lock.
        self._runs: Mapping[str, _Run] = {}
        self._problems: Mapping[str, str] = {}
        self._lock = threading.Lock()  # of those who start and stop

    def start(self, wanted: Sequence[FurtherAccount]) -> None:
        """Ask these and no others; one that is asked already with its settings goes on, and tries again what failed."""
        with self._lock:
            names = {one.name for one in wanted}
            kept = {name: run for name, run in self._runs.items() if name in names}
            for name, run in self._runs.items():
                if name not in names:
                    run.manager.stop()
            problems: dict[str, str] = {}
            for one in wanted:
                if one.settings is None:
                    if (before := kept.pop(one.name, None)) is not None:
                        before.manager.stop()
                    problems[one.name] = one.problem or NO_RUN
                    continue
                try:
                    kept[one.name] = self._started(one.name, one.settings, kept.get(one.name))
                except ConfigError as error:
                    kept.pop(one.name, None)
                    problems[one.name] = str(error)
            self._runs, self._problems = kept, problems

    def _started(self, name: str, settings: Settings, before: _Run | None) -> _Run:
        if before is not None and before.settings == settings:
            before.manager.start(before.config)
            return before
        if before is not None:
            before.manager.stop()
        run = _Run(settings, self._build_manager(settings), config_of(()))
        log.info("the account %s is asked for its fills and positions", name)
        run.manager.start(run.config)
        return run

    def stop(self) -> None:
        """End all of them; what they said last stays."""
        with self._lock:
            for run in self._runs.values():
                run.manager.stop()

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
        """Ask each of them what became of the contracts that it holds now and held in this run."""
        with self._lock:
            for run in self._runs.values():
                book = run.books.newest
                if book is None:
                    continue
                held = (one.live_symbol for one in book.portfolio.instruments if one.is_option)
                config = config_of(tuple(dict.fromkeys((*run.config.ending_contracts, *held))))
                if config != run.config:
                    run.config = config
                    run.manager.start(config)


def config_of(contracts: tuple[str, ...]) -> LiveStreamConfig:
    """Of an account's fills alone, and of what becomes of these contracts."""
    return LiveStreamConfig(stream_stocks=False, stream_options=False, ending_contracts=contracts)
