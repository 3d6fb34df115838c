"""Ask for the latest prices of what is streamed, and for the previous closes that today's profit counts from."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from typing import Final

from options_helper.data.rest.seeding import SeedBatch, seed, session_closes
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.polling.reports import with_more
from options_helper.errors import RestError
from options_helper.model.account import EMPTY_CLOSES, RestPhase, RestTask
from options_helper.model.alpaca_symbols import is_coin_pair
from options_helper.model.contract_symbols import is_contract_symbol
from options_helper.model.events import RestQuote, RestTrade
from options_helper.model.streams import StreamId, StreamName
from options_helper.model.text import format_count, named

log = logging.getLogger(__name__)

PRICE_STREAMS: Final[tuple[StreamId, ...]] = (StreamName.STOCKS, StreamName.OPTIONS)


class PricePoller:
    """Asks for a stream's symbols whenever somebody wants it, and for all when a new day begins."""

    def __init__(self, context: PollContext, config: LiveStreamConfig, policy: WatchPolicy) -> None:
        self._context = context
        self._policy = policy
        self._task = context.periodic("live-prices", self._poll, policy.poll, self._failed)
        # Replaced whole under the lock of what was asked; that they are the newest is sure only under it.
        self._config = config
        self._refused: frozenset[str] = frozenset()  # symbols that nobody there knows
        # Guarded by the lock of what was asked.
        self._due: set[StreamId] = set()
        self._traded: dict[StreamId, frozenset[str]] = {}  # today, and not streamed
        # Only the thread that asks knows these.
        self._day: date | None = None
        self._left_out: list[RestQuote | RestTrade] = []  # of the last answers: their times cannot be

    def begin(self) -> None:
        """Ask for the first time after the streams had a moment to connect; for nothing when there are none."""
        with self._context.lock:
            self._due = self._with_symbols()
            is_any_due = bool(self._due)
        if is_any_due:
            self._context.report(RestTask.PRICES, phase=RestPhase.WAITING)
            self._task.start(self._policy.initial_delay)

    def change_symbols(self, config: LiveStreamConfig) -> None:
        """From now on these symbols; a stream that got new ones is asked for at once."""
        with self._context.lock:
            before, self._config = self._config, config
        for name in PRICE_STREAMS:
            if not set(config.symbols(name)) <= set(before.symbols(name)):
                self.want(name)

    def want(self, name: StreamId) -> None:
        """Ask for the prices of this stream's symbols now."""
        with self._context.lock:
            self._due.add(name)
        self._task.run_within(0)
        self._task.start()

    def want_closes_of(self, symbols: Iterable[str]) -> None:
        """Ask for these too: what was closed today takes part in its profit, and is streamed no longer."""
        every = frozenset(symbol for symbol in symbols if not is_coin_pair(symbol))  # those have no session
        contracts = frozenset(symbol for symbol in every if is_contract_symbol(symbol))
        of_stream: dict[StreamId, frozenset[str]] = {
            StreamName.STOCKS: every - contracts,
            StreamName.OPTIONS: contracts,
        }
        with self._context.lock:
            missing = {name: found - set(self._symbols(name)) for name, found in of_stream.items()}
            for name, found in missing.items():
                self._traded[name] = self._traded.get(name, frozenset()) | found
        for name, found in missing.items():
            if found - self._refused:
                self.want(name)

    def stop(self, timeout: float) -> None:
        """End the thread; waits for it at most `timeout` seconds."""
        self._task.stop(timeout)

    def _poll(self) -> float:
        """Ask for all that is due; seconds until the next look."""
        today = self._context.today()
        with self._context.lock:
            if today != self._day:
                self._begin_day(today)
            symbols = {name: self._symbols(name) for name in PRICE_STREAMS if name in self._due}
        if not symbols:
            return self._policy.poll
        count = sum(map(len, symbols.values()))
        self._context.report(RestTask.PRICES, phase=RestPhase.REQUESTING, done=0, of=count)
        self._left_out = []
        problems = [self._seed(name, of_stream, today) for name, of_stream in symbols.items()]
        if sentences := [problem for problem in dict.fromkeys(problems) if problem is not None]:
            self._context.report(RestTask.PRICES, phase=RestPhase.FAILED, problem=" ".join(sentences))
            return self._policy.again
        self._context.report(
            RestTask.PRICES,
            phase=RestPhase.DONE,
            finished_at=self._context.now(),
            problem=" ".join(self._doubts()) or None,
        )
        return self._policy.poll

    def _doubts(self) -> Iterator[str]:
        """What was asked for and is shown nowhere, and why."""
        if self._refused:
            yield f"Alpaca knows no prices of {named(sorted(self._refused))}."
        if self._left_out:
            symbols = dict.fromkeys(event.symbol for event in self._left_out)
            count = format_count(len(self._left_out), "price")
            yield (
                f"{count} of {named(list(symbols), 3)} came with a time that lies ahead of now and "
                f"{'is' if len(self._left_out) == 1 else 'are'} not shown; check this computer's clock."
            )

    def _begin_day(self, today: date) -> None:
        """Yesterday's close is not the base any more, and what was traded yesterday is no part of today."""
        if self._day is not None:
            self._traded = {}
            # They are read anew, with those of the last session among them, so that no day adds to them. On the first
            # day others may have read some before this thread came to look.
            self._context.risk_inputs = replace(self._context.risk_inputs, session_closes=with_more({}, {}))
        self._day = today
        self._due |= self._with_symbols()
        self._context.account_state = replace(self._context.account_state, closes=EMPTY_CLOSES)

    def _seed(self, name: StreamId, symbols: tuple[str, ...], today: date) -> str | None:
        """Ask for the prices of one stream's symbols; why that failed, as a sentence."""
        with self._context.lock:
            # Somebody may want it again while it is being asked for.
            self._due.discard(name)
        is_answered = False
        try:
            self._take_all(name, symbols, today)
            is_answered = True
        except RestError as error:
            return str(error)
        finally:
            if not is_answered:
                with self._context.lock:
                    self._due.add(name)
        return None

    def _take_all(self, name: StreamId, symbols: tuple[str, ...], today: date) -> None:
        stocks, contracts = (symbols, ()) if name == StreamName.STOCKS else ((), symbols)
        feeds = {"stock_feed": self._config.stock_feed, "options_feed": self._config.options_feed}
        for batch in seed(self._context.rest(), stocks, contracts, today=today, **feeds):
            self._take(name, batch)

    def _take(self, name: StreamId, batch: SeedBatch) -> None:
        context = self._context
        for problem in batch.unreadable:
            log.warning("%s", problem)
        with context.lock:
            streamed = set(self._config.symbols(name))
            answered: tuple[RestQuote | RestTrade, ...] = (*batch.quotes, *batch.trades)
            # The answer itself says what time it is there.
            context.correct_clock()
            context.state.seed(
                name,
                [event for event in answered if event.symbol in streamed],
                context.market_ns(),
                impossible=self._left_out.append,
            )
            closes = {close.symbol: close for close in batch.closes}
            context.account_state = replace(
                context.account_state, closes=with_more(context.account_state.closes, closes)
            )
            read_at = context.now()
            greeks = {one.symbol: replace(one, read_at=read_at) for one in batch.greeks}
            context.risk_inputs = replace(
                context.risk_inputs,
                vendor_greeks=with_more(context.risk_inputs.vendor_greeks, greeks),
                session_closes=with_more(
                    context.risk_inputs.session_closes, session_closes(batch.newest_closes, read_at)
                ),
            )
            self._refused |= set(batch.refused)
            done = context.account_state.reports[RestTask.PRICES].done + batch.requested
        context.report(RestTask.PRICES, done=done)

    def _failed(self, error: Exception) -> float:
        self._context.report_failure(RestTask.PRICES, error)
        return self._policy.again

    def _with_symbols(self) -> set[StreamId]:
        """The streams that have something to ask for; under the lock."""
        return {name for name in PRICE_STREAMS if self._symbols(name)}

    def _symbols(self, name: StreamId) -> tuple[str, ...]:
        """What is streamed, and what was traded today, without what Alpaca does not know; under the lock."""
        every = dict.fromkeys((*self._config.symbols(name), *sorted(self._traded.get(name, ()))))
        return tuple(symbol for symbol in every if symbol not in self._refused)
