"""What a market has said, told again to those who ask what they did not hear."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol, runtime_checkable

from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds
from options_helper.simulator.faults import Message

# A bar carries the start of its minute and is known only at its end.
BAR_NS: Final = 60 * NANOSECONDS
# Of each symbol and type. A busy symbol's quarter of an hour; who plays longer forgets the oldest.
REMEMBERED: Final = 20_000
_TOLD: Final = frozenset("qtb")


@runtime_checkable
class PastMarket(Protocol):
    """A market that knows its past without having played it to anybody."""

    def past(self, kind: str, symbol: str, since_ns: int, until_ns: int) -> Sequence[Message]:
        """Messages of one type ("q", "t", "b") from one time of the exchange up to another, both included, in time."""


class PlayedPast:
    """What was played or pushed, whoever listened; its owner sees to the threads."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._messages: dict[tuple[str, str], deque[tuple[int, Message]]] = defaultdict(
            lambda: deque(maxlen=remembered)
        )

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
                self._messages[kind, symbol].append((at_ns, message))

    def past(self, kind: str, symbol: str, since_ns: int, until_ns: int) -> Sequence[Message]:
        """As of a market that knows its past."""
        return told(sorted(self._messages.get((kind, symbol), ()), key=_time), since_ns, until_ns)


def told(events: Sequence[tuple[int, Message]], since_ns: int, until_ns: int) -> Sequence[Message]:
    """Of events in time those from one moment to another, both included."""
    first = bisect_left(events, since_ns, key=_time)
    return [message for _, message in events[first : bisect_left(events, until_ns + 1, key=_time)]]


def _time(event: tuple[int, Message]) -> int:
    return event[0]
