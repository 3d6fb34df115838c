"""One callback's queue and its ledger; whoever shares it between threads guards it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from options_helper.model.alpaca_symbols import to_alpaca_symbols
from options_helper.model.callbacks import CallbackKind, CallbackStats

QUEUE_SIZE: Final = 10_000

Callback = Callable[[Any], object]
# One, several, or all of them.
Symbols = str | tuple[str, ...] | None

_ERROR_LETTERS: Final = 300


def in_words(error: BaseException) -> str:
    """Its type and its text, which is code of a user's: never under a lock."""
    name = type(error).__name__
    try:
        return f"{name}: {error}"[:_ERROR_LETTERS]
    except BaseException:  # noqa: BLE001 - whatever it raises, there is the name
        return name


def spellings_of(symbols: Symbols) -> frozenset[str] | None:
    """As streams may call them: as they were written, and in Alpaca's spelling."""
    if symbols is None:
        return None
    written = (symbols,) if isinstance(symbols, str) else symbols
    return frozenset((*written, *(one.strip().upper() for one in written), *to_alpaca_symbols(written)))


class Call:
    """One value that is with a callback now, and since when; each is its own."""

    __slots__ = ("began", "value")

    def __init__(self, value: Any, began: float) -> None:
        self.value = value
        self.began = began


class _InOrder(deque[Any]):
    """Everything, as it came."""

    take = deque.popleft


class _NewestOfEach(OrderedDict[str, Any]):
    """The newest of each symbol, in the order in which the symbols came."""

    def take(self) -> Any:
        return self.popitem(last=False)[1]


class Delivery:
    """What one callback was offered, in order, and what became of it.

    A bounded queue: what does not fit is given up. With `newest` it is one place a subject, a symbol or a stream: a
    newer value takes the place of one that still waits, which is given up. One call at a time; one that is abandoned
    counts as given up, and may end when it will.
    """

    def __init__(
        self,
        kind: CallbackKind,
        symbol: Symbols,
        callback: Callback,
        *,
        newest: bool = False,
        size: int = QUEUE_SIZE,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if size < 1:
            raise ValueError(f"a callback's queue needs room for 1 or more, not {size}")
        self.kind = kind
        self.symbol = symbol
        self.spellings = spellings_of(symbol)
        self.callback = callback
        self.is_plain = True  # a thread is enough for it
        self.owner: object = None  # with whom it shares an event loop
        self.goes_first = (
            kind is CallbackKind.GAP
        )  # whoever is told of one must know of it before what came after it
        self.is_removed = False
        self.loop = loop  # where it wants to run
        self.lane: Any = None  # where it runs; None: nowhere yet
        self.newest = newest
        self.call: Call | None = None
        # Of an event loop: the task that serves it now, and what a plain function returned to be awaited there.
        self.task: object = None
        self.outcome: object = None
        self.delivered = self.failed = self.given_up = 0
        self.slowest = 0.0
        self.last_error: str | None = None
        self._offered = 0
        self._size = size
        self._queue: _InOrder | _NewestOfEach = _NewestOfEach() if newest else _InOrder()

    def offer(self, symbol: str, value: Any) -> bool:
        """Take one; whether another one waits now than before."""
        self._offered += 1
        queue = self._queue
        if isinstance(queue, _NewestOfEach):
            if symbol in queue:
                queue[symbol] = value
                self.given_up += 1
                return False
            if len(queue) < self._size:
                queue[symbol] = value
                return True
        elif len(queue) < self._size:
            queue.append(value)
            return True
        self.given_up += 1
        return False

    def begin(self, now: float) -> Call | None:
        """The next call; None while one is under way, or nothing waits."""
        if self.call is not None or not self._queue:
            return None
        self.call = Call(self._queue.take(), now)
        return self.call

    def end(self, call: Call, now: float, failure: str | None = None) -> bool:
        """It is over, or failed so; whether that is worth a line in the log: the first failure of this callback."""
        if self.call is not call:
            return False  # abandoned, and counted then
        self.call = None
        took = now - call.began
        if took > self.slowest:  # noqa: PLR1730 - for each event; `max` takes three times as long
            self.slowest = took
        if failure is None:
            self.delivered += 1
            return False
        self.failed += 1
        self.last_error = failure
        return self.failed == 1

    def give_up_waiting(self) -> None:
        """Nothing that waits will be delivered."""
        self.given_up += len(self._queue)
        self._queue.clear()

    def abandon(self, now: float) -> None:
        """Nor wait any longer for the call under way, if there is one."""
        if self.call is not None:
            self.slowest = max(self.slowest, now - self.call.began)
            self.given_up += 1
            self.call = None
            if isinstance(self.outcome, Coroutine):
                self.outcome.close()
            self.outcome = None

    @property
    def waiting(self) -> int:
        """How many wait, the one that is with the callback not among them."""
        return len(self._queue)

    @property
    def pending(self) -> int:
        """How many wait or are with the callback."""
        return len(self._queue) + (self.call is not None)

    def stats(self, now: float) -> CallbackStats:
        """The ledger at this instant."""
        lasts = 0.0 if self.call is None else now - self.call.began
        return CallbackStats(
            offered=self._offered,
            delivered=self.delivered,
            failed=self.failed,
            given_up=self.given_up,
            pending=self.pending,
            slowest=max(self.slowest, lasts),
            last_error=self.last_error,
        )

    def __str__(self) -> str:
        of = "every symbol" if self.symbol is None else self.symbol
        name = getattr(self.callback, "__qualname__", type(self.callback).__name__)
        return f"{name} (on {self.kind} of {of})"
