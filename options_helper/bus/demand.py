"""What those who follow want streamed, united under the plan's limits: nobody is evicted, and wishes expire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from options_helper.bus.detail import Detail
from options_helper.decoders import msgpack_decoder
from options_helper.model.alpaca_symbols import is_coin_pair, to_alpaca_symbols, to_coin_pairs
from options_helper.model.streams import CRYPTO, StreamId, StreamName
from options_helper.model.text import format_count, named

# Whoever follows asks again each twenty seconds. A page that is loaded again is away for a moment, and what it wants
# shall not be left and taken again.
ASK_SECONDS: Final = 20.0
EXPIRES_SECONDS: Final = 120.0
# Who has missed two askings gives its place to who comes anew where all are taken.
MISSED_SECONDS: Final = 2 * ASK_SECONDS
# Of one viewer, and of each channel on demand as many again; the rest is refused.
MOST_SYMBOLS: Final = 5_000
MOST_BYTES: Final = 256 * 1024
TOO_MANY: Final = (
    f"Of one viewer {MOST_SYMBOLS:,} are streamed."  # short: an answer may say it thousands of times
)
MOST_VIEWERS: Final = 1_000
# Of one viewer and stream. Each costs the owner a look at all that is wanted; who asks more often gets no answer.
WISHES_A_SECOND: Final = 1.0
BURST: Final = 10.0


# Who goes first where there is room: the owner's own, then who looks, then who only records.
LOOKS, RECORDS = 1, 2


# What is streamed of a stream's symbols only where somebody wants it: each order book is shown to all twice a second.
BOOKS: Final = "orderbooks"
HALTS: Final = ("statuses", "lulds")
ON_DEMAND: Final[Mapping[StreamId, tuple[str, ...]]] = {StreamName.CRYPTO: (BOOKS,), StreamName.STOCKS: HALTS}
MOST_BOOKS: Final = 50


class Wish(msgspec.Struct, frozen=True):
    """The symbols that one viewer wants of one stream; `viewer` is a name of its own, the same at each asking.

    The smaller its `rank`, the sooner it gets what room there is.
    """

    viewer: str
    stream: str
    symbols: tuple[str, ...]
    rank: int = LOOKS
    detail: str = Detail.FULL  # which feed it follows, or wants to
    channels: dict[str, tuple[str, ...]] = {}  # of those in `ON_DEMAND`: of which symbols each is wanted too


class Answer(msgspec.Struct, frozen=True):
    """Which of them are not streamed, and why."""

    refusals: dict[str, str] = {}
    channels: dict[str, tuple[str, ...]] = {}  # of those that were asked for, what is streamed


@dataclass(slots=True)
class Allowance:
    """How many wishes may be read now: some at once, as of a page that is opened, and one a second after that."""

    left: float = BURST
    at: float = 0.0

    def take(self, now: float) -> bool:
        """Whether there is one; seconds of a clock that nobody sets."""
        self.left = min(BURST, self.left + max(0.0, now - self.at) * WISHES_A_SECOND)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


_WISHES: Final = msgpack_decoder(Wish)
ANSWERS: Final = msgpack_decoder(Answer)


def read_wish(data: bytes) -> Wish | None:
    """The wish; None where these bytes are none, or are more than any wish that is answered."""
    if len(data) > MOST_BYTES:
        return None
    try:
        return _WISHES.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _spelled(stream: StreamId, symbols: Sequence[str]) -> tuple[str, ...]:
    """As the stream spells them; what is no pair of a coin is left out, since a config with it would be none."""
    if stream.kind is not CRYPTO:
        return to_alpaca_symbols(symbols)
    return to_coin_pairs([one for one in symbols if one == "*" or is_coin_pair(one.strip().upper())])


@dataclass(slots=True)
class _Viewer:
    """What somebody asked for last, and when, by the monotonic clock."""

    symbols: frozenset[str]
    asked_at: float
    rank: int = LOOKS
    allowance: Allowance = field(default_factory=Allowance)
    channels: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Demand:
    """The wishes for one stream of an owner; whoever shares it between threads guards it.

    `limit` is how many symbols the plan allows; None: any number. The owner's own symbols come first while there is
    room; those that come when there is none wait in `left_out`, since nobody's are taken away for another's.
    """

    stream: StreamId
    limit: int | None = None
    own: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()  # of the owner's own
    # In the order in which they were taken: what is streamed stays, as long as anybody wants it.
    _taken: dict[str, None] = field(default_factory=dict)
    _viewers: dict[str, _Viewer] = field(default_factory=dict)
    # Of each channel that is streamed on demand, likewise.
    _of_channels: dict[str, dict[str, None]] = field(default_factory=dict)

    def hold(self, own: Sequence[str]) -> None:
        """The owner's own symbols from now on."""
        self.own = tuple(own)
        self._forget_unwanted()

    def may_ask(self, viewer: str, now: float) -> bool:
        """Whether that one's wish is to be read: it asks no more often than anybody's symbols change. It counts."""
        known = self._viewers.get(viewer)
        return known is None or known.allowance.take(now)

    def ask(self, wish: Wish, now: float) -> Answer:
        """Take a viewer's wish, in place of its last one; what cannot be streamed for it, and why."""
        self.expire(now)
        if wish.viewer not in self._viewers and len(self._viewers) >= MOST_VIEWERS:
            self.expire(now, MISSED_SECONDS)
        if wish.viewer not in self._viewers and len(self._viewers) >= MOST_VIEWERS:
            return Answer(dict.fromkeys(wish.symbols, f"{MOST_VIEWERS:,} viewers ask for symbols already."))
        all_wanted = _spelled(self.stream, wish.symbols)
        wanted = all_wanted[:MOST_SYMBOLS]
        # So many at most, or the answer would be more than a bus takes, and there were none.
        too_many = all_wanted[MOST_SYMBOLS : 2 * MOST_SYMBOLS]
        rank = max(LOOKS, wish.rank)  # before those only the owner goes
        known = self._viewers.get(wish.viewer)
        allowance = Allowance(at=now) if known is None else known.allowance
        channels = {
            channel: _spelled(self.stream, wish.channels[channel])[:MOST_SYMBOLS]
            for channel in ON_DEMAND.get(self.stream, ())
            if channel in wish.channels
        }
        self._viewers[wish.viewer] = _Viewer(
            frozenset(wanted), now, rank, allowance, {name: frozenset(of) for name, of in channels.items()}
        )
        self._forget_unwanted()
        reserved = self._awaited_before(rank)
        left_out = [symbol for symbol in wanted if not self._take(symbol, reserved)]
        streamed = {
            channel: tuple(symbol for symbol in of if self._take_channel(channel, symbol))
            for channel, of in channels.items()
        }
        no_books = set(channels.get(BOOKS, ())).difference(streamed.get(BOOKS, ()), wanted)
        return Answer(
            {
                **dict.fromkeys(no_books, f"The owner streams {MOST_BOOKS} order books, which is its limit."),
                **dict.fromkeys(left_out, self._sentence(len(left_out), len(wanted))),
                **dict.fromkeys(too_many, TOO_MANY),
            },
            streamed,
        )

    def _take_channel(self, channel: str, symbol: str) -> bool:
        """Whether that channel of a symbol is streamed; halts are of what is streamed anyway."""
        taken = self._of_channels.setdefault(channel, {})
        has_room = len(taken) < MOST_BOOKS if channel == BOOKS else symbol in self._taken
        if symbol not in taken and has_room:
            taken[symbol] = None
        return symbol in taken

    @property
    def channels(self) -> dict[str, tuple[str, ...]]:
        """Of each channel on demand the symbols that somebody wants it of."""
        return {channel: tuple(of) for channel, of in self._of_channels.items() if of}

    def _awaited_before(self, rank: int) -> frozenset[str]:
        """What those wait for who go before that rank, and ask again within some seconds."""
        if self.limit is None:
            return frozenset()
        earlier = (one.symbols for one in self._viewers.values() if one.rank < rank)
        return frozenset().union(*earlier).difference(self._taken)

    def _take(self, symbol: str, reserved: frozenset[str] = frozenset()) -> bool:
        """Whether it is streamed; now, where there is room beside what is `reserved` for others."""
        if symbol in self._taken:
            return True
        if self.limit is not None and len(self._taken) + len(reserved - {symbol}) >= self.limit:
            return False
        self._taken[symbol] = None
        return True

    def _sentence(self, refused: int, wanted: int) -> str:
        if self.limit is not None and len(self._taken) < self.limit:
            return (
                f"What is free of the owner's limit of {format_count(self.limit, 'symbol')} of {self.stream} is "
                f"awaited by those who look: {refused:,} of your {wanted:,} are not recorded."
            )
        return (
            f"The owner streams {format_count(self.limit or 0, 'symbol')} of {self.stream}, which is its limit: "
            f"{refused:,} of your {wanted:,} are not streamed."
        )

    @property
    def left_out_sentence(self) -> str:
        """What of the owner's own is not streamed, and why."""
        return (
            f"The limit of {format_count(self.limit or 0, 'symbol')} of {self.stream} is reached by what others see: "
            f"{named(self.left_out)} of the owner's own {'is' if len(self.left_out) == 1 else 'are'} not streamed."
        )

    def expire(self, now: float, after: float = EXPIRES_SECONDS) -> None:
        """Forget who has not asked for so long, and what only they wanted."""
        gone = [name for name, one in self._viewers.items() if now - one.asked_at > after]
        for name in gone:
            del self._viewers[name]
        if gone:
            self._forget_unwanted()

    def _forget_unwanted(self) -> None:
        wanted = frozenset(self.own).union(*(one.symbols for one in self._viewers.values()))
        streamed = [symbol for symbol in self._taken if symbol in wanted]
        self._taken = dict.fromkeys((*(one for one in self.own if one in self._taken), *streamed))
        for channel, of in self._of_channels.items():
            asked = frozenset().union(
                *(one.channels.get(channel, frozenset()) for one in self._viewers.values())
            )
            for symbol in [one for one in of if one not in asked]:
                del of[symbol]
        # Whatever room there is now is the owner's first.
        self.left_out = tuple(one for one in self.own if not self._take(one))

    @property
    def symbols(self) -> tuple[str, ...]:
        """All that is to be streamed."""
        return tuple(self._taken)

    @property
    def viewers(self) -> int:
        """How many ask."""
        return len(self._viewers)


def demands(limits: Mapping[StreamId, int | None]) -> dict[StreamId, Demand]:
    """A demand for each of these streams, with its limit."""
    return {stream: Demand(stream, limit) for stream, limit in limits.items()}
