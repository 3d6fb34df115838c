"""What a market has said, told again to those who ask what they did not hear."""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

import msgspec

from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds, timestamp_extension
from options_helper.simulator.faults import Message

# A bar carries the start of its minute and is known only at its end.
BAR_NS: Final = 60 * NANOSECONDS
# About so many of each symbol and type. A busy symbol's quarter of an hour; who plays longer forgets the oldest.
REMEMBERED: Final = 20_000
# So many are packed together: each is a tenth then of what it is as a map, or less.
A_PACK: Final = 256
_TOLD: Final = frozenset("qtb")

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


@runtime_checkable
class PastMarket(Protocol):
    """A market that knows its past without having played it to anybody."""

    def past(self, kind: str, symbol: str, since_ns: int, until_ns: int) -> Sequence[Message]:
        """Messages of one type ("q", "t", "b") from one time of the exchange up to another, both included, in time."""


@dataclass(frozen=True, slots=True)
class _Pack:
    """Some messages with the exchange's times, of which the least and the greatest stand here."""

    first_ns: int
    last_ns: int
    content: bytes

    @classmethod
    def of(cls, noted: Sequence[tuple[int, bytes]]) -> _Pack:
        times = [at_ns for at_ns, _ in noted]
        content = _encode([msgspec.Raw(one) for _, one in noted])
        return cls(min(times), max(times), zlib.compress(content, 1))

    def events(self) -> Iterator[tuple[int, Message]]:
        # The time of a message is here to the nanosecond, and would be read as a time without them from within.
        return (
            (at_ns, {**one, "t": timestamp_extension(at_ns)})
            for at_ns, one in _decode(zlib.decompress(self.content))
        )


class Remembered:
    """What was remembered of one symbol and type at a moment; to unpack it takes a while."""

    def __init__(self, packs: Iterable[_Pack] = ()) -> None:
        self._packs = tuple(packs)

    def told(self, since_ns: int, until_ns: int) -> Sequence[Message]:
        """As of a market that knows its past."""
        packs = (pack for pack in self._packs if pack.first_ns <= until_ns and since_ns <= pack.last_ns)
        return told(
            sorted((event for pack in packs for event in pack.events()), key=_time), since_ns, until_ns
        )


class _Remembering:
    """The newest of one symbol and type."""

    def __init__(self, remembered: int) -> None:
        self._packs: deque[_Pack] = deque(maxlen=max(1, remembered // A_PACK))
        self._noted: list[tuple[int, bytes]] = []

    def note(self, at_ns: int, message: Message) -> None:
        try:
            self._noted.append((at_ns, _encode((at_ns, {**message, "t": None}))))
        except (TypeError, ValueError, OverflowError, RecursionError):
            return  # what a test pushed to see how it fails on the wire is nobody's past
        if len(self._noted) == A_PACK:
            self._packs.append(_Pack.of(self._noted))
            self._noted = []

    def remembered(self) -> Remembered:
        newest = [_Pack.of(self._noted)] if self._noted else []
        return Remembered((*self._packs, *newest))


class PlayedPast:
    """What was played or pushed, whoever listened; its owner sees to the threads."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._messages: dict[tuple[str, str], _Remembering] = defaultdict(lambda: _Remembering(remembered))

    def note(self, messages: Iterable[Any]) -> None:
        """Keep quotes, trades and minutes that have a symbol and a time; what is none of them is passed over."""
        for message in messages:
            if not isinstance(message, dict):
                continue
            kind, symbol = message.get("T"), message.get("S")
            # A test may push anything under these keys.
            if not (isinstance(kind, str) and isinstance(symbol, str) and kind in _TOLD):
                continue
            if (at_ns := epoch_nanoseconds(message.get("t"))) is not None:
                self._messages[kind, symbol].note(at_ns, message)

    def remembered(self, kind: str, symbol: str) -> Remembered:
        """What is known of it now; of what is noted from here on nothing comes in."""
        known = self._messages.get((kind, symbol))
        return Remembered() if known is None else known.remembered()

    def past(self, kind: str, symbol: str, since_ns: int, until_ns: int) -> Sequence[Message]:
        """As of a market that knows its past."""
        return self.remembered(kind, symbol).told(since_ns, until_ns)


def told(events: Sequence[tuple[int, Message]], since_ns: int, until_ns: int) -> Sequence[Message]:
    """Of events in time those from one moment to another, both included."""
    first = bisect_left(events, since_ns, key=_time)
    return [message for _, message in events[first : bisect_left(events, until_ns + 1, key=_time)]]


def _time(event: tuple[int, Message]) -> int:
    return event[0]
