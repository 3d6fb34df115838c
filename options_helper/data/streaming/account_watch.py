"""Ask over REST what no stream tells: prices before the first quote, fills from while nobody listened, positions.

Two threads ask, so that a market that does not answer keeps nobody from the account. Streams and page wait for
neither: what came back is in the next snapshot, and what did not is a sentence in it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, TypeVar

from options_helper.analysis.osi import is_contract_symbol
from options_helper.data.account import (
    AccountTruth,
    AccountView,
    Execution,
    RestPhase,
    RestReport,
    RestTask,
)
from options_helper.data.account_reading import read_account
from options_helper.data.alpaca_rest import AlpacaRest
from options_helper.data.market_hours import NEW_YORK, new_york_date
from options_helper.data.seeding import SeedBatch, seed
from options_helper.data.streaming.events import RestQuote, RestTrade, StreamName, utc_datetime
from options_helper.data.streaming.fill_backfill import read_backfill
from options_helper.data.streaming.market_clock import MarketKind
from options_helper.data.streaming.snapshot import LiveState, StreamHealth
from options_helper.data.streaming.stream_config import LiveStreamConfig
from options_helper.errors import RestError, RestStopped
from options_helper.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

PRICE_STREAMS: Final = (StreamName.STOCKS, StreamName.OPTIONS)
ACCOUNT_TASKS: Final = (RestTask.FILLS, RestTask.POSITIONS)
# Positions that change while they are read are read again, so often.
LOOKS: Final = 3


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """When to ask, in seconds."""

    grace: float = 3.0  # for a stream to connect: a simulator's tells then which market it is
    poll: float = 60.0
    again: float = 30.0  # after a failure
    settle: float = 1.0  # after a fill, which seldom comes alone
    farewell: float = 0.2


class AccountWatch:
    """Asks at the start of a run, after each reconnect, and each minute; `truth` is what it knows.

    `lock` is the run's: it guards `state` and `truth`. `look` is called on the consumer's thread about twice a
    second; `start`, `change_symbols` and `stop` one at a time.
    """

    def __init__(
        self,
        config: LiveStreamConfig,
        settings: Settings,
        state: LiveState,
        *,
        lock: threading.Lock,
        now_ns: Callable[[], int],
        rest_cls: Callable[..., AlpacaRest] | None,
        policy: WatchPolicy,
    ) -> None:
        self._config = config
        self._settings = settings
        self._state = state
        self._lock = lock
        self._now_ns = now_ns
        self._rest_cls = rest_cls
        self._policy = policy
        self._stopping = threading.Event()
        self._prices = _Errand("live-prices", self._ask_prices, self._stopping, self._policy.again)
        self._account = _Errand("live-account", self._ask_account, self._stopping, self._policy.again)
        # Of the consumer's thread.
        self._connections: dict[StreamName, int] = {}
        self._fills_applied = 0
        # Guarded by the lock.
        self._truth = AccountTruth()
        self._due: set[StreamName] = set()
        self._others: dict[StreamName, frozenset[str]] = dict.fromkeys(PRICE_STREAMS, frozenset())
        self._read_until: datetime | None = None
        self._doubts: tuple[str, ...] = ()  # of the last reading of the fills
        # Of the thread that asks for prices, and of the one that asks for the account.
        self._closes_day: date | None = None
        self._market: AlpacaRest | None = None
        self._broker: AlpacaRest | None = None

    # ---- lifecycle

    def start(self) -> None:
        """Begin; asks nothing before the streams had a moment to connect."""
        if self._rest_cls is None:
            self._stopping.set()
            return
        with self._lock:
            self._due = self._streams_with_symbols()
        if self._due:
            self._report(RestTask.PRICES, phase=RestPhase.WAITING)
            self._prices.start(self._policy.grace)
        if self._config.stream_fills:
            for task in ACCOUNT_TASKS:
                self._report(task, phase=RestPhase.WAITING)
            self._account.start(self._policy.grace)

    def change_symbols(self, config: LiveStreamConfig) -> None:
        """From now on these symbols; the prices of a stream that got new ones are asked for at once."""
        with self._lock:
            before, self._config = self._config, config
            changed = {
                name for name in PRICE_STREAMS if not set(config.symbols(name)) <= set(before.symbols(name))
            }
        for name in changed:
            self._want(name)

    def forget(self) -> None:
        """Another session is played: nothing of the one before counts. Called under the lock."""
        self._truth = replace(AccountTruth(), reports=self._truth.reports)
        self._read_until = None

    def stop(self) -> None:
        """Ask nothing more, and end what is being asked."""
        self._stopping.set()
        for rest in (self._market, self._broker):
            if rest is not None:
                rest.stop()
        for errand in (self._prices, self._account):
            errand.stop(self._policy.farewell)

    # ---- on the consumer's thread

    def look(self, streams: Mapping[StreamName, StreamHealth], fills_applied: int) -> None:
        """Notice what has to be asked for: a stream that connected, a fill that changed a position."""
        for name, health in streams.items():
            if health.connections != self._connections.get(name, 0):
                self._connections[name] = health.connections
                if name is StreamName.FILLS:
                    self._account.due_in(0)
                else:
                    self._want(name)
        if fills_applied != self._fills_applied:
            self._fills_applied = fills_applied
            self._account.due_in(self._policy.settle)

    def _want(self, name: StreamName) -> None:
        with self._lock:
            self._due.add(name)
        self._prices.start(0)
        self._prices.due_in(0)

    # ---- reading, under the lock

    @property
    def truth(self) -> AccountTruth:
        """What is known; read it under the lock that guards the state."""
        return self._truth

    # ---- the thread that asks for prices

    def _ask_prices(self) -> float:
        """Ask for all that is due; seconds until the next look."""
        today = self._today()
        with self._lock:
            if today != self._closes_day:
                self._due |= self._streams_with_symbols()
            due, self._due = self._due, set()
            symbols = {name: self._symbols(name) for name in PRICE_STREAMS if name in due}
        if not symbols:
            return self._policy.poll
        self._report(
            RestTask.PRICES, phase=RestPhase.ASKING, done=0, of=sum(map(len, symbols.values())), problem=None
        )
        problems = {name: said for name in symbols if (said := self._seed(name, symbols[name], today))}
        if problems:
            with self._lock:
                self._due |= problems.keys()
            self._report(
                RestTask.PRICES, phase=RestPhase.FAILED, problem=" ".join(dict.fromkeys(problems.values()))
            )
            return self._policy.again
        self._closes_day = today
        self._report(RestTask.PRICES, phase=RestPhase.DONE, finished_at=self._now())
        return self._policy.poll

    def _seed(self, name: StreamName, symbols: tuple[str, ...], today: date) -> str | None:
        """Ask for the prices of one stream's symbols; what went wrong, as a sentence."""
        rest = self._market = self._market or self._rest()
        stocks, contracts = (symbols, ()) if name is StreamName.STOCKS else ((), symbols)
        feeds = {"stock_feed": self._config.stock_feed, "options_feed": self._config.options_feed}
        try:
            for batch in seed(rest, stocks, contracts, today=today, **feeds):
                self._take(name, batch)
        except RestError as error:
            return str(error)
        return None

    def _take(self, name: StreamName, batch: SeedBatch) -> None:
        closes = {close.symbol: close for close in batch.closes}
        with self._lock:
            wanted = set(self._config.symbols(name))
            told: tuple[RestQuote | RestTrade, ...] = (*batch.quotes, *batch.trades)
            events = [event for event in told if event.symbol in wanted]
            self._state.seed(name, events, self._state.clock.at(self._now_ns()))
            self._truth = replace(self._truth, closes=_with(self._truth.closes, closes))
        done = self._truth.reports[RestTask.PRICES].done + batch.asked
        self._report(RestTask.PRICES, done=done)

    def _streams_with_symbols(self) -> set[StreamName]:
        return {name for name in PRICE_STREAMS if self._symbols(name)}

    def _symbols(self, name: StreamName) -> tuple[str, ...]:
        """What is streamed, and what was traded today beside it: that takes part in the day's profit."""
        return tuple(dict.fromkeys((*self._config.symbols(name), *sorted(self._others[name]))))

    # ---- the thread that asks for the account

    def _ask_account(self) -> float:
        """Read positions and fills that belong together; seconds until the next look."""
        if self._state.clock.kind is MarketKind.REPLAY:
            # A recorded market is nobody's account.
            for task in ACCOUNT_TASKS:
                self._report(task, phase=RestPhase.OFF, problem=None)
            return self._policy.poll
        rest = self._broker = self._broker or self._rest()
        for _ in range(LOOKS):
            before = self._attempt(RestTask.POSITIONS, lambda: self._view(rest, {}))
            # No fill is to be missed because positions cannot be read.
            new_rows = self._attempt(RestTask.FILLS, lambda: self._read_fills(rest))
            if new_rows is not None:
                self._report(RestTask.FILLS, phase=RestPhase.DONE, done=new_rows, finished_at=self._now())
            # Between two equal looks at the positions: whatever was traded meanwhile makes them differ.
            executed = self._executed()
            view = self._attempt(RestTask.POSITIONS, lambda: self._view(rest, rest.account()))
            if before is None or new_rows is None or view is None:
                return self._policy.again
            if _quantities(before) == _quantities(view):
                self._publish(view, executed)
                return self._policy.poll
        self._report(
            RestTask.POSITIONS,
            phase=RestPhase.FAILED,
            problem="The positions changed while they were read; they are read again soon.",
        )
        return self._policy.again

    def _attempt(self, task: RestTask, read: Callable[[], T]) -> T | None:
        """What was read; None, and the reason is in the task's report, when it could not be."""
        self._report(task, phase=RestPhase.ASKING, problem=None)
        try:
            return read()
        except RestError as error:
            self._report(task, phase=RestPhase.FAILED, problem=str(error))
            return None

    def _read_fills(self, rest: AlpacaRest) -> int:
        """Add what happened since the last look; how many rows were new."""
        began = self._now()
        with self._lock:
            since = _midnight(new_york_date(began))
            if self._read_until is not None:
                since = max(since, self._read_until)
        backfill = read_backfill(rest, since)
        with self._lock:
            new = self._state.fills.add_backfill(backfill, began)
            # While something of the day is in doubt, the day is read from its beginning again.
            self._read_until = None if backfill.problems else began
            self._doubts = backfill.problems
        return new

    def _executed(self) -> dict[str, Any]:
        """What is known of today's executions, as the truth tells it."""
        today = self._today()
        with self._lock:
            doubts = tuple(dict.fromkeys((*self._doubts, *self._state.fills.problems(today))))
            return {
                "executions": self._state.fills.executions(today),
                "executions_day": None if doubts else today,
                "doubts": doubts,
            }

    def _view(self, rest: AlpacaRest, account: Mapping[str, Any]) -> AccountView:
        reading = read_account(rest.positions(), account, self._now())
        for problem in reading.problems:
            log.warning("%s", problem)
        return reading.view

    def _publish(self, view: AccountView, executed: Mapping[str, Any]) -> None:
        with self._lock:
            self._truth = replace(self._truth, view=view, **executed)
        self._report(
            RestTask.POSITIONS, phase=RestPhase.DONE, done=len(view.positions), finished_at=self._now()
        )
        self._want_closes_of(executed["executions"])

    def _want_closes_of(self, executions: Iterable[Execution]) -> None:
        """A position that was closed today takes part in the day's profit, and is streamed no longer."""
        traded = {execution.symbol for execution in executions}
        with self._lock:
            missing = {
                name: frozenset(symbol for symbol in traded if is_contract_symbol(symbol) is is_option)
                - set(self._symbols(name))
                for name, is_option in ((StreamName.STOCKS, False), (StreamName.OPTIONS, True))
            }
            for name, symbols in missing.items():
                self._others[name] |= symbols
        for name, symbols in missing.items():
            if symbols:
                self._want(name)

    # ---- both

    def _rest(self) -> AlpacaRest:
        if self._rest_cls is None:
            raise RestStopped
        settings = self._settings.for_account(paper=self._config.paper)
        return self._rest_cls(settings, stopping=self._stopping)

    def _now(self) -> datetime:
        """The market's time."""
        return utc_datetime(self._state.clock.at(self._now_ns()))

    def _today(self) -> date:
        return new_york_date(self._now())

    def _report(self, task: RestTask, **changes: Any) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            report = replace(self._truth.reports.get(task, RestReport(task)), **changes)
            reports = _with(self._truth.reports, {task: report})
            self._truth = replace(self._truth, reports=reports)


def _with(known: Mapping[Any, Any], more: Mapping[Any, Any]) -> Mapping[Any, Any]:
    return MappingProxyType({**known, **more})


def _quantities(view: AccountView) -> dict[str, Decimal]:
    return {symbol: position.quantity for symbol, position in view.positions.items()}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time_of_day(), NEW_YORK)


class _Errand:
    """A thread that does its work when it is due; the work says in how many seconds it is due again."""

    def __init__(
        self, name: str, work: Callable[[], float], stopping: threading.Event, again_seconds: float
    ) -> None:
        self._work = work
        self._stopping = stopping
        self._again_seconds = again_seconds
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._changed = threading.Condition()
        self._due_at = float("inf")
        self._started = False

    def start(self, in_seconds: float) -> None:
        """Begin, with the work due then; harmless when it has begun."""
        with self._changed:
            if self._started or self._stopping.is_set():
                return
            self._started = True
            self._due_at = time.monotonic() + in_seconds
            self._thread.start()

    def due_in(self, seconds: float) -> None:
        """Do the work then, if it is not due before."""
        with self._changed:
            self._due_at = min(self._due_at, time.monotonic() + seconds)
            self._changed.notify()

    def stop(self, seconds: float) -> None:
        """End when the work allows it; waits so long."""
        with self._changed:
            self._changed.notify()
            has_begun = self._started
        if has_begun:
            self._thread.join(seconds)

    def _run(self) -> None:
        while self._until_due():
            try:
                again = self._work()
            except RestStopped:
                return
            except Exception:
                # A thread's last line: what nobody thought of must not end the asking for the rest of the day.
                log.exception("asking the account failed")
                again = self._again_seconds
            self.due_in(again)

    def _until_due(self) -> bool:
        """Wait; False when it is time to end."""
        with self._changed:
            while not self._stopping.is_set():
                left = self._due_at - time.monotonic()
                if left <= 0:
                    self._due_at = float("inf")
                    return True
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
        return False
