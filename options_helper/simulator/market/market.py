"""What happens in the market, step by step in its own time; knows no thread, socket or clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, Protocol, runtime_checkable

from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.instants import NANOSECONDS
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Message
from options_helper.simulator.market.account import Holding
from options_helper.simulator.market.conditions import Conditions
from options_helper.simulator.market.last_values import SymbolSnapshot
from options_helper.simulator.wire.protocol import FIRST_ACCOUNT

# A recording of several days has nights in it.
LONGEST_SILENCE_NS: Final = 3_600 * NANOSECONDS


@dataclass(frozen=True, slots=True)
class Step:
    """Messages of one stream that happen at one instant and leave in one frame."""

    market_ns: int
    stream: StreamName
    messages: Sequence[Any]
    account: str = FIRST_ACCOUNT  # whose orders, on the stream that carries them


@dataclass(slots=True)
class Interest:
    """What all clients together subscribed to; the server keeps it up to date, the market reads it."""

    version: int = 0
    _symbols: Mapping[tuple[StreamName, str], frozenset[str]] = field(default_factory=dict)

    def symbols(self, stream: StreamName, channel: str) -> frozenset[str]:
        """The subscribed symbols of one channel; may hold `*`."""
        return self._symbols.get((stream, channel), frozenset())

    def replace(self, symbols: Mapping[tuple[StreamName, str], frozenset[str]]) -> None:
        """Take note of a client that came, left, or changed its mind."""
        self._symbols = symbols
        self.version += 1


class Market(Protocol):
    """A source of steps and the pace at which they are played."""

    @property
    def kind(self) -> MarketKind:
        """Simulated or replayed: clients are told."""

    @property
    def start_ns(self) -> int | None:
        """The market's time when its clock starts; None when its clock is the computer's."""

    @property
    def until_ns(self) -> int | None:
        """The time of the last step, where it is known."""

    @property
    def speed(self) -> float:
        """Market seconds per second; 0 plays as fast as the clients read."""

    @property
    def awaited(self) -> frozenset[StreamName]:
        """Streams whose clients should have subscribed before the clock starts."""

    @property
    def lossless(self) -> bool:
        """Whether the market waits for a slow client instead of cutting it off."""

    def steps(self, interest: Interest) -> Iterator[Step]:
        """The steps in time; they may look at what is subscribed at that moment."""


@runtime_checkable
class ListingMarket(Protocol):
    """A market that can say what may be subscribed to, for those who ask over plain HTTP."""

    @property
    def contracts(self) -> Sequence[str]:
        """The symbols of its option contracts."""

    def price(self, underlying: str) -> float | None:
        """About what the underlying costs, where that is known."""


@runtime_checkable
class ChainMarket(Protocol):
    """A market that knows contracts which nobody holds."""

    @property
    def chain(self) -> frozenset[str]:
        """The symbols of the contracts of the classes and expiries that are held, near the money."""


@runtime_checkable
class PeculiarMarket(Protocol):
    """A made-up market with a past, and with what a plain one has not."""

    @property
    def conditions(self) -> Conditions:
        """What is peculiar about it."""

    def past_days(self, symbol: str, first: date, last_session: date) -> Mapping[date, Message]:
        """The daily bars of a share from a day until the last session, by day; empty for one it does not know."""


@runtime_checkable
class QuotingMarket(Protocol):
    """A market that knows a price without having said it."""

    def snapshot(self, symbol: str, now_ns: int, last_session: date) -> SymbolSnapshot:
        """What one symbol costs now and cost at the end of the last session; empty for one it does not know."""


@runtime_checkable
class HoldingMarket(Protocol):
    """A market made for somebody's account."""

    @property
    def cash(self) -> float | None:
        """Dollars in the account at the start; None: not known."""

    def holdings(self) -> Sequence[Holding]:
        """What the account holds at the start."""


@runtime_checkable
class SharedMarket(Protocol):
    """A market made for several accounts: the first one's is all that another market has."""

    def further_holdings(self, account: str) -> Sequence[Holding]:
        """What another account holds at the start, by the account's key; nothing where it is not known."""

    def further_cash(self, account: str) -> float | None:
        """Dollars in that account at the start; None: not known."""


@runtime_checkable
class RecordedMarket(Protocol):
    """A market that was recorded."""

    @property
    def replay_of(self) -> MarketKind | None:
        """Whose it was, where it was not Alpaca's."""


@dataclass(frozen=True, slots=True)
class SilentMarket:
    """A market in which nothing happens by itself: tests push what they need."""

    start_ns: int | None = None
    until_ns: int | None = None
    speed: float = 1.0
    kind: MarketKind = MarketKind.SIMULATED
    awaited: frozenset[StreamName] = frozenset()
    lossless: bool = True
    contracts: tuple[str, ...] = ()
    prices: Mapping[str, float] = field(default_factory=dict)

    def steps(self, interest: Interest) -> Iterator[Step]:  # noqa: ARG002 - nobody's interest makes it speak
        """None."""
        return iter(())

    def price(self, underlying: str) -> float | None:
        """As the test has it."""
        return self.prices.get(underlying)


class PlayingClock:
    """The market's time, run on a steady clock (seconds); it stands still until it is started."""

    def __init__(
        self, market: Market, *, steady: Callable[[], float], computer_ns: Callable[[], int]
    ) -> None:
        self._market = market
        self._steady = steady
        self._computer_ns = computer_ns
        self._started_at: float | None = None
        self._skipped_ns = 0
        self._reached_ns = market.start_ns or 0

    @property
    def started(self) -> bool:
        """Whether it runs."""
        return self._started_at is not None

    def start(self) -> None:
        """Let it run; harmless when it does."""
        if self._started_at is None:
            self._started_at = self._steady()

    def reach(self, market_ns: int) -> None:
        """Note the time of a step that left: at full speed the clock knows nothing else."""
        self._reached_ns = max(self._reached_ns, market_ns)

    def now_ns(self) -> int:
        """The market's time."""
        start_ns = self._market.start_ns
        if start_ns is None:
            return self._computer_ns()
        if self._started_at is None or self._market.speed == 0:
            return self._reached_ns
        elapsed = (self._steady() - self._started_at) * self._market.speed
        now_ns = start_ns + self._skipped_ns + round(elapsed * NANOSECONDS)
        return now_ns if self._market.until_ns is None else min(now_ns, self._market.until_ns)

    def announcement(self) -> Announcement:
        """What clients are told in the handshake."""
        market = self._market
        replay_of = market.replay_of if isinstance(market, RecordedMarket) else None
        return Announcement(market.kind, self.now_ns(), market.speed, market.until_ns, replay_of)

    def skip_silence(self, until_ns: int) -> None:
        """Jump to just before the next event when it is more than an hour away: nobody waits for a night."""
        silence_ns = until_ns - self.now_ns()
        if self._market.start_ns is not None and silence_ns > LONGEST_SILENCE_NS:
            self._skipped_ns += silence_ns - NANOSECONDS

    def jump(self, market_ns: int) -> None:
        """Go on from this market time, where it is later than now; harmless where the clock is the computer's."""
        if self._market.start_ns is not None:
            self._skipped_ns += max(0, market_ns - self.now_ns())
            self._reached_ns = max(self._reached_ns, market_ns)

    def seconds_until(self, market_ns: int) -> float:
        """How long the computer must wait for this market time; 0 when it is past."""
        if self._market.speed == 0:
            return 0.0
        return max(0.0, (market_ns - self.now_ns()) / NANOSECONDS / self._market.speed)
