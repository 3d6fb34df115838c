"""Whose prices are asked for when, and what the answers come to: quotes with their own age, and previous closes.

Knows no thread, lock or clock and asks nobody: moments and answers come in as values, and questions go out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Protocol

from options_helper.data.rest.seeding import SeedBatch, session_closes
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.moment import Done, Moment
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.polling.reports import with_more, with_report
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.errors import RestError
from options_helper.model.account import EMPTY_CLOSES, AccountState, RestPhase, RestTask
from options_helper.model.alpaca_symbols import is_coin_pair
from options_helper.model.contract_symbols import is_contract_symbol
from options_helper.model.events import RestQuote, RestTrade
from options_helper.model.problems import Problem
from options_helper.model.risk_inputs import RiskInputs
from options_helper.model.streams import StreamId, StreamName
from options_helper.model.text import format_count, named

PRICE_STREAMS: Final[tuple[StreamId, ...]] = (StreamName.STOCKS, StreamName.OPTIONS, StreamName.CRYPTO)


@dataclass(frozen=True, slots=True)
class AskPrices:
    """Ask for the latest prices of these symbols of a stream, with the closes before that day; of coins only for those.

    Each batch of the answer is to be `taken`, and then `answered` says that there are no more, or why.
    """

    stream: StreamId
    symbols: tuple[str, ...]
    today: date
    stock_feed: str
    options_feed: str
    coin_location: str

    def of(self, stream: StreamId) -> tuple[str, ...]:
        """The symbols, where they are this stream's."""
        return self.symbols if self.stream == stream else ()


class HoldsPrices(Protocol):
    """Where what was asked is kept, for everybody who asks for a part of it."""

    account_state: AccountState
    risk_inputs: RiskInputs


class PriceCourse:
    """What is asked for after a start, a connection, new symbols, and when a new day begins.

    `ask` begins a round, in which each question is `answered` before the next. One call at a time: `holder` and
    `state` are changed by it alone while it is called. What says which streams are to be asked for now names them, so
    that whoever asks does not wait for the next look.
    """

    def __init__(
        self, holder: HoldsPrices, state: LiveState, config: LiveStreamConfig, policy: WatchPolicy
    ) -> None:
        self._holder, self._state, self._config, self._policy = holder, state, config, policy
        self._due: set[StreamId] = set()
        self._traded: dict[StreamId, frozenset[str]] = {}  # today, and not streamed
        self._refused: frozenset[str] = frozenset()  # symbols that nobody there knows
        self._day: date | None = None
        # Of the round that is under way.
        self._waiting: list[StreamId] = []
        self._asked: StreamId | None = None
        self._problems: dict[Problem, None] = {}
        self._left_out: list[RestQuote | RestTrade] = []  # their times cannot be

    def begin(self) -> bool:
        """Ask for everything at the first look; whether there is anything."""
        self._due = self._with_symbols()
        return bool(self._due)

    def change_symbols(self, config: LiveStreamConfig) -> bool:
        """From now on these symbols; whether a stream that got new ones is to be asked for now."""
        before, self._config = self._config, config
        new = {name for name in PRICE_STREAMS if not set(config.symbols(name)) <= set(before.symbols(name))}
        self._due |= new
        return bool(new)

    def want(self, name: StreamId) -> None:
        """Ask for the prices of this stream's symbols at the next look."""
        self._due.add(name)

    def want_closes_of(self, symbols: Iterable[str]) -> bool:
        """Ask for these too: what was closed today takes part in its profit, and is streamed no longer.

        Whether some stream is to be asked for now.
        """
        every = frozenset(symbol for symbol in symbols if not is_coin_pair(symbol))  # those have no session
        contracts = frozenset(symbol for symbol in every if is_contract_symbol(symbol))
        of_stream: dict[StreamId, frozenset[str]] = {
            StreamName.STOCKS: every - contracts,
            StreamName.OPTIONS: contracts,
        }
        is_any_new = False
        for name, found in of_stream.items():
            missing = found - set(self._symbols(name))
            self._traded[name] = self._traded.get(name, frozenset()) | missing
            if missing - self._refused:
                self._due.add(name)
                is_any_new = True
        return is_any_new

    def ask(self, at: Moment) -> AskPrices | Done:
        """Begin a round; one that was left in its midst has answered nothing of what it was at."""
        if self._asked is not None:
            self._due.add(self._asked)
            self._asked = None
        if at.today != self._day:
            self._begin_day(at.today)
        self._waiting = [name for name in PRICE_STREAMS if name in self._due and self._symbols(name)]
        self._due -= {name for name in self._due if not self._symbols(name)}
        if not self._waiting:
            return Done(self._policy.poll)
        count = sum(len(self._symbols(name)) for name in self._waiting)
        self._problems, self._left_out = {}, []
        self._report(phase=RestPhase.REQUESTING, done=0, of=count)
        return self._next(at)

    def taken(self, at: Moment, batch: SeedBatch) -> None:
        """Take one batch of the answer."""
        holder, name = self._holder, batch.stream
        streamed = set(self._config.symbols(name))
        found: tuple[RestQuote | RestTrade, ...] = (*batch.quotes, *batch.trades)
        self._state.seed(
            name,
            [event for event in found if event.symbol in streamed],
            at.ns,
            impossible=self._left_out.append,
        )
        closes = {close.symbol: close for close in batch.closes}
        holder.account_state = replace(
            holder.account_state, closes=with_more(holder.account_state.closes, closes)
        )
        greeks = {one.symbol: replace(one, read_at=at.now) for one in batch.greeks}
        holder.risk_inputs = replace(
            holder.risk_inputs,
            vendor_greeks=with_more(holder.risk_inputs.vendor_greeks, greeks),
            session_closes=with_more(
                holder.risk_inputs.session_closes, session_closes(batch.newest_closes, at.now)
            ),
        )
        self._refused |= set(batch.refused)
        self._report(done=holder.account_state.reports[RestTask.PRICES].done + batch.requested)

    def answered(self, at: Moment, error: RestError | None) -> AskPrices | Done:
        """That was all of the answer, or this came in place of the rest; what is to be asked next."""
        name, self._asked = self._asked, None
        if error is not None and name is not None:
            self._due.add(name)
            self._problems[Problem.of(error)] = None
        return self._next(at)

    def _next(self, at: Moment) -> AskPrices | Done:
        if self._waiting:
            name = self._asked = self._waiting.pop(0)
            # Somebody may want it again while it is being asked for.
            self._due.discard(name)
            config = self._config
            return AskPrices(
                name,
                self._symbols(name),
                at.today,
                config.stock_feed,
                config.options_feed,
                config.crypto_location,
            )
        if self._problems:
            self._report(phase=RestPhase.FAILED, problems=tuple(self._problems))
            return Done(self._policy.again)
        self._report(phase=RestPhase.DONE, finished_at=at.now, problems=tuple(map(Problem, self._doubts())))
        return Done(self._policy.poll)

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
        holder = self._holder
        if self._day is not None:
            self._traded = {}
            # They are read anew, with those of the last session among them, so that no day adds to them. On the first
            # day others may have read some before this one came to look.
            holder.risk_inputs = replace(holder.risk_inputs, session_closes=with_more({}, {}))
        self._day = today
        self._due |= self._with_symbols()
        holder.account_state = replace(holder.account_state, closes=EMPTY_CLOSES)

    def _report(self, **changes: object) -> None:
        self._holder.account_state = with_report(self._holder.account_state, RestTask.PRICES, **changes)

    def _with_symbols(self) -> set[StreamId]:
        """The streams that have something to ask for."""
        return {name for name in PRICE_STREAMS if self._symbols(name)}

    def _symbols(self, name: StreamId) -> tuple[str, ...]:
        """What is streamed, and what was traded today, without what Alpaca does not know; REST knows no `*` for all."""
        every = dict.fromkeys((*self._config.symbols(name), *sorted(self._traded.get(name, ()))))
        return tuple(symbol for symbol in every if symbol != "*" and symbol not in self._refused)
