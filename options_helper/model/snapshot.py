"""What is known at one instant, immutable: the newest events, fills, the account, and each stream's health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeVar

from options_helper.model.account import AccountState
from options_helper.model.announcement import MarketKind
from options_helper.model.callbacks import CallbackStats
from options_helper.model.clock_skew import ClockSkew
from options_helper.model.contract_symbols import has_contract_length
from options_helper.model.events import (
    Bar,
    Quote,
    Trade,
)
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.gaps import Gap
from options_helper.model.market_hours import NOTHING_TOLD, ToldSessions
from options_helper.model.news import Article
from options_helper.model.order_book import Book
from options_helper.model.order_updates import BlotterEntry
from options_helper.model.risk_inputs import RiskInputs
from options_helper.model.streams import PORTFOLIO_STREAMS, StreamId

E = TypeVar("E")

EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


class Phase(StrEnum):
    """What one stream is doing, in the words the page shows."""

    OFF = "off"  # not asked for
    CONNECTING = "connecting"
    LIVE = "live"  # subscribed, and the server's acknowledgement was compared with what was asked
    QUIET = "quiet"  # connected, nothing expected: market closed or illiquid
    STALLED = "stalled"  # connected, silent though data is expected
    RECONNECTING = "reconnecting"
    FAILED = (
        "failed"  # retrying would repeat the answer, as far as is known; looked at again ever more rarely
    )
    STOPPED = "stopped"

    @property
    def illness(self) -> int:
        """How ill a stream is, beside another: the greater is the worse. One that ended in order is no loss."""
        return _FROM_WELL_TO_ILL.index(self)


_FROM_WELL_TO_ILL: Final = (
    Phase.OFF,
    Phase.LIVE,
    Phase.QUIET,
    Phase.CONNECTING,
    Phase.STOPPED,
    Phase.RECONNECTING,
    Phase.STALLED,
    Phase.FAILED,
)

# What Alpaca answers where another has the connection.
CONNECTION_LIMIT: Final = 406


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """What one stream says about itself at one instant. Times are UTC, on the snapshot's clock.

    The ledger holds at every snapshot: received = applied + dropped + rejected + queued + missed.
    """

    name: StreamId
    phase: Phase = Phase.OFF
    feed: str | None = None
    alive: bool = False  # its thread runs
    last_error: str | None = None
    reconnect_attempts: int = 0  # since the last time it was live
    next_try_at: datetime | None = None  # also of a failed one, while it is tried again by itself
    connections: int = 0  # how often it became live in this run
    connected_since: datetime | None = None
    silent_since: datetime | None = None  # nothing that can be read came since, though the feed should move
    last_event_at: datetime | None = None  # receipt
    events_per_second: float = 0.0
    requested: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()
    refused_symbols: tuple[str, ...] = ()
    refused_seconds: float = 0.0  # how long it has been failed in this run
    received: int = 0
    applied: int = 0
    dropped: int = 0
    rejected: int = 0
    queued: int = 0
    missed: int = 0  # the owner of the connection had them, and they did not arrive here; 0 without a bus
    late: int = 0  # of the applied: came after a newer one of the same symbol, and so changed nothing
    last_rejections: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()  # the newest ones
    gap_count: int = 0  # all of this run
    last_error_code: int | None = None  # the server's own, of that error; None: it named none

    @property
    def is_taken(self) -> bool:
        """Whether somebody else has the one connection that the account has for this."""
        return self.last_error_code == CONNECTION_LIMIT

    def moved(self, by_ns: int) -> StreamHealth:
        """The same with its times on a clock that is ahead of its own by so many nanoseconds."""
        by = timedelta(microseconds=by_ns / 1_000)
        return replace(
            self,
            next_try_at=_later(self.next_try_at, by),
            connected_since=_later(self.connected_since, by),
            silent_since=_later(self.silent_since, by),
            last_event_at=_later(self.last_event_at, by),
            gaps=tuple(gap.moved(by_ns) for gap in self.gaps),
        )

    @property
    def accounted(self) -> bool:
        """Whether every received event is applied, dropped, rejected, missed or still queued."""
        return self.received == self.applied + self.dropped + self.rejected + self.queued + self.missed


def _later(at: datetime | None, by: timedelta) -> datetime | None:
    return None if at is None else at + by


@dataclass(frozen=True, slots=True)
class DeskRemarks:
    """Another program that has the connections, in words, and what is to be said of the way from there."""

    owner: str
    remarks: tuple[str, ...] = ()
    # All accounts that it serves, its own the first, which alone may have no name there; none: nobody has said.
    accounts: tuple[str, ...] = ()
    account: str | None = None  # the one of them that is shown; None: none is, for all that is known
    unseen: tuple[str, ...] = ()  # those that this computer may not see, as far as its seed's own note says
    account_problem: str | None = None  # why nothing of the account is to be believed now, as a sentence

    def said_of_accounts(self, shown: Sequence[str]) -> str | None:
        """Which accounts there are, which of them are `shown`, and which may not be; None where there is one."""
        if len(self.accounts) < 2:
            return None
        there = [one for one in self.accounts if one in shown]
        said = f"The owner serves {len(self.accounts)} accounts: {', '.join(self.accounts)}. "
        said += f"Shown {'is' if len(there) < 2 else 'are'} {', '.join(there) or 'none of them'}."
        return said + (f" This computer's seed is not for {', '.join(self.unseen)}." if self.unseen else "")


@dataclass(frozen=True, slots=True)
class LiveSnapshot:
    """Everything a page needs at one instant, immutable; `as_of` and every age are on the market's clock.

    The market's clock is the computer's for Alpaca, put right by `clock_skew` where that matters, and the simulator's
    for a simulated or replayed session.
    """

    as_of: datetime
    running: bool = False
    running_since: datetime | None = None  # the computer's clock
    market: MarketKind = MarketKind.ALPACA
    replay_of: MarketKind | None = None  # whose market was recorded, of a replay that is not of Alpaca's
    played_out: bool = False  # a replay has reached its end: nothing more will come
    # The newest of each symbol, whichever stream it came over; symbols of shares and contracts cannot be the same.
    quotes: Mapping[str, Quote] = field(default_factory=lambda: EMPTY)
    trades: Mapping[str, Trade] = field(default_factory=lambda: EMPTY)
    bars: Mapping[str, Bar] = field(default_factory=lambda: EMPTY)
    books: Mapping[str, Book] = field(default_factory=lambda: EMPTY)  # of what is streamed with order books
    news: tuple[Article, ...] = ()  # the newest articles, each in its newest form, newest first
    fills: tuple[BlotterEntry, ...] = ()  # executions and other order updates, each once, newest last
    account: AccountState = field(default_factory=AccountState)
    risk_inputs: RiskInputs = field(default_factory=RiskInputs)  # what REST adds for the risk figures
    expiry_facts: ExpiryFacts = field(default_factory=ExpiryFacts)  # and for contracts that end
    streams: Mapping[StreamId, StreamHealth] = field(
        default_factory=lambda: MappingProxyType({name: StreamHealth(name) for name in PORTFOLIO_STREAMS})
    )
    # This computer's clock beside the servers', which `as_of` and every age are put right by; None: not measured.
    clock_skew: ClockSkew | None = None
    # Of which days the market's own calendar says otherwise than ours; whoever judges hours or days passes it on.
    told_sessions: ToldSessions = field(default_factory=lambda: NOTHING_TOLD)
    desk: DeskRemarks | None = None  # who has the connections, where that is another program
    # Of all callbacks together, those that were removed among them.
    callbacks: CallbackStats = field(default_factory=CallbackStats)
    # Of several accounts what each of them has alone, by name; its own fills, positions and trouble, and these prices.
    # Then fills, streams and trouble here are those of all, and no positions are: they have no sum.
    accounts: Mapping[str, LiveSnapshot] = field(default_factory=lambda: EMPTY)

    @property
    def stock_quotes(self) -> Mapping[str, Quote]:
        """Those of `quotes` that are no contract's; made at each call."""
        return _of_contracts(self.quotes, wanted=False)

    @property
    def stock_trades(self) -> Mapping[str, Trade]:
        """Those of `trades` that are no contract's; made at each call."""
        return _of_contracts(self.trades, wanted=False)

    @property
    def stock_bars(self) -> Mapping[str, Bar]:
        """Those of `bars` that are no contract's; made at each call."""
        return _of_contracts(self.bars, wanted=False)

    @property
    def option_quotes(self) -> Mapping[str, Quote]:
        """Those of `quotes` that are a contract's; made at each call."""
        return _of_contracts(self.quotes, wanted=True)

    @property
    def option_trades(self) -> Mapping[str, Trade]:
        """Those of `trades` that are a contract's; made at each call."""
        return _of_contracts(self.trades, wanted=True)

    @property
    def alive(self) -> dict[str, bool]:
        """Per stream: does its thread run?"""
        return {name: health.alive for name, health in self.streams.items()}

    @property
    def phase(self) -> dict[str, Phase]:
        """Per stream: what it is doing."""
        return {name: health.phase for name, health in self.streams.items()}

    @property
    def last_error(self) -> dict[str, str | None]:
        """Per stream: the last thing that went wrong, as a sentence."""
        return {name: health.last_error for name, health in self.streams.items()}

    @property
    def reconnect_attempts(self) -> dict[str, int]:
        """Per stream: attempts since it was last live."""
        return {name: health.reconnect_attempts for name, health in self.streams.items()}

    @property
    def last_event_ts_by_stream(self) -> dict[str, datetime | None]:
        """Per stream: receipt of its newest event, UTC."""
        return {name: health.last_event_at for name, health in self.streams.items()}

    @property
    def dropped_events(self) -> dict[str, int]:
        """Per stream: events that found the queue full."""
        return {name: health.dropped for name, health in self.streams.items()}

    @property
    def queue_depth(self) -> int:
        """Events waiting in the queue, all streams together."""
        return sum(health.queued for health in self.streams.values())


def _of_contracts(events: Mapping[str, E], *, wanted: bool) -> Mapping[str, E]:
    return MappingProxyType(
        {symbol: event for symbol, event in events.items() if has_contract_length(symbol) is wanted}
    )
