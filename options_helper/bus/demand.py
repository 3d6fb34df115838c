"""What those who follow want streamed, united under the plan's limits: nobody is evicted, and wishes expire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from options_helper.bus.detail import Detail
from options_helper.decoders import msgpack_decoder
from options_helper.model.alpaca_symbols import to_alpaca_symbols
from options_helper.model.streams import StreamId
from options_helper.model.text import format_count, named

# Whoever follows asks again each twenty seconds. A page that is loaded again is away for a moment, and what it wants
# shall not be left and taken again.
ASK_SECONDS: Final = 20.0
EXPIRES_SECONDS: Final = 120.0
MOST_SYMBOLS: Final = 5_000
MOST_BYTES: Final = 256 * 1024
MOST_VIEWERS: Final = 1_000
# Of one viewer and stream. Each costs the owner a look at all that is wanted; who asks more often gets no answer.
WISHES_A_SECOND: Final = 1.0
BURST: Final = 10.0


# Who goes first where there is room: the owner's own, then who looks, then who only records.
LOOKS, RECORDS = 1, 2


class Wish(msgspec.Struct, frozen=True):
    """The symbols that one viewer wants of one stream; `viewer` is a name of its own, the same at each asking.

    The smaller its `rank`, the sooner it gets what room there is.
    """

    viewer: str
    stream: str
    symbols: tuple[str, ...]
    rank: int = LOOKS
    detail: str = Detail.FULL  # which feed it follows, or wants to


class Answer(msgspec.Struct, frozen=True):
    """Which of them are not streamed, and why."""

    refusals: dict[str, str] = {}


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
    """The wish; None where these bytes are none, or ask for more than anybody can see."""
    if len(data) > MOST_BYTES:
        return None
    try:
        wish = _WISHES.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return wish if len(wish.symbols) <= MOST_SYMBOLS else None


@dataclass(slots=True)
class _Viewer:
    """What somebody asked for last, and when, by the monotonic clock."""

    symbols: frozenset[str]
    asked_at: float
    rank: int = LOOKS
    allowance: Allowance = field(default_factory=Allowance)


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
            return Answer(dict.fromkeys(wish.symbols, f"{MOST_VIEWERS:,} viewers ask for symbols already."))
        wanted = to_alpaca_symbols(wish.symbols)
        rank = max(LOOKS, wish.rank)  # before those only the owner goes
        known = self._viewers.get(wish.viewer)
        allowance = Allowance(at=now) if known is None else known.allowance
        self._viewers[wish.viewer] = _Viewer(frozenset(wanted), now, rank, allowance)
        self._forget_unwanted()
        reserved = self._awaited_before(rank)
        left_out = [symbol for symbol in wanted if not self._take(symbol, reserved)]
        return Answer(dict.fromkeys(left_out, self._sentence(len(left_out), len(wanted))))

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

    def expire(self, now: float) -> None:
        """Forget who has not asked for a while, and what only they wanted."""
        gone = [name for name, one in self._viewers.items() if now - one.asked_at > EXPIRES_SECONDS]
        for name in gone:
            del self._viewers[name]
        if gone:
            self._forget_unwanted()

    def _forget_unwanted(self) -> None:
        wanted = frozenset(self.own).union(*(one.symbols for one in self._viewers.values()))
        streamed = [symbol for symbol in self._taken if symbol in wanted]
        self._taken = dict.fromkeys((*(one for one in self.own if one in self._taken), *streamed))
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
