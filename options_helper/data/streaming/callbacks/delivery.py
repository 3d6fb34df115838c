"""One callback's queue and its ledger; whoever shares it between threads guards it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from options_helper.model.alpaca_symbols import to_alpaca_symbols, to_news_symbol
from options_helper.model.callbacks import CallbackKind, CallbackStats
from options_helper.model.events import Event

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
    """As streams may call them: as they were written, in Alpaca's spelling, and as articles name them."""
    if symbols is None:
        return None
    written = (symbols,) if isinstance(symbols, str) else symbols
    said = to_alpaca_symbols(written)
    return frozenset((*written, *(one.strip().upper() for one in written), *said, *map(to_news_symbol, said)))


@dataclass(frozen=True, slots=True)
class Failure:
    """What a callback raised, and its text, made where no lock is held."""

    error: BaseException
    text: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Of this error; it may take as long as the user's code takes."""
        return cls(error, in_words(error))


class Call:
    """One value that is with a callback now, and since when; each is its own."""

    __slots__ = ("began", "value")

    def __init__(self, value: Any, began: float) -> None:
        self.value = value
        self.began = began


class _InOrder(deque[Any]):
    """Everything, as it came."""

    def take(self, most: int) -> list[Any]:
        if len(self) > most:
            return [self.popleft() for _ in range(most)]
        values = list(self)
        self.clear()
        return values

    def put_back(self, values: Sequence[Any]) -> int:
        """Before all others, as they were taken; how many had no place any more."""
        self.extendleft(reversed(values))
        return 0


class _NewestOfEach(OrderedDict[str, Any]):
    """The newest of each symbol, in the order in which the symbols came."""

    last = ""  # whose value was taken

    def take(self, most: int) -> list[Any]:  # noqa: ARG002 - what is taken is replaced by no newer one
        if not self:
            return []
        self.last, value = self.popitem(last=False)
        return [value]

    def put_back(self, values: Sequence[Any]) -> int:
        """The one that was taken; 1 where a newer one has come since."""
        if not values:
            return 0
        if self.last in self:
            return 1
        (self[self.last],) = values
        self.move_to_end(self.last, last=False)
        return 0


class Delivery:
    """What one callback was offered, in order, and what became of it.

    A bounded queue: what does not fit is given up. With `newest` it is one place a subject, a symbol or a stream: a
    newer value takes the place of one that still waits, which is given up. One call at a time; one that is abandoned
    counts as given up, and may end when it will. What a thread is to call without a lock is lent to it, and comes back
    as calls that are over, or as what waits.
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
        self.is_new = False  # it is told the present state first, and nothing before that
        self.loop = loop  # where it wants to run
        self.lane: Any = None  # where it runs; None: nowhere yet
        self.newest = newest
        self.call: Call | None = None
        # What is with a thread, and which lane's that is: of these calls one is under way at most.
        self.lent = 0
        self.lender: Any = None
        # Of an event loop: the task that serves it now, and what a plain function returned to be awaited there.
        self.task: object = None
        self.outcome: object = None
        self.delivered = self.failed = self.given_up = 0
        self.slowest = 0.0
        self.last_error: str | None = None
        self._offered = 0
        self._size = size
        self._queue: _InOrder | _NewestOfEach = _NewestOfEach() if newest else _InOrder()

    def offer(self, symbol: str, value: Any) -> None:
        """Take one, or give it up."""
        self._offered += 1
        queue = self._queue
        if isinstance(queue, _InOrder):
            if self.room > 0:
                queue.append(value)
            else:
                self.given_up += 1
        elif symbol in queue or self.room <= 0:
            self.given_up += 1
            if symbol in queue:
                queue[symbol] = value
        else:
            queue[symbol] = value

    def offer_events(self, events: Sequence[Event]) -> None:
        """Take these in order, as far as there is room."""
        queue = self._queue
        if not isinstance(queue, _InOrder):
            for event in events:
                self.offer(event.symbol, event)
            return
        count, room = len(events), self.room
        self._offered += count
        if count <= room:
            queue.extend(events)
        else:
            queue.extend(events[:room])
            self.given_up += count - room

    @property
    def room(self) -> int:
        """How many more may wait; of those that are lent, the one that is with the callback does not."""
        return self._size - len(self._queue) - (self.lent - 1 if self.lent > 1 else 0)

    def lend(self, lender: object, most: int) -> list[Any]:
        """Give the oldest, so many at most, to a thread that calls without the lock; of the newest one alone."""
        values = self._queue.take(most)
        self.lent += len(values)
        self.lender = lender
        return values

    def take_back(self, values: Sequence[Any]) -> None:
        """These were not begun: they wait again, before those that came later."""
        self.lent -= len(values)
        self.given_up += self._queue.put_back(values)

    def settle(self, calls: int, slowest: float) -> None:
        """So many of the lent ones returned; how long one of them took at most."""
        self.lent -= calls
        self.delivered += calls
        if slowest > self.slowest:  # noqa: PLR1730 - for each event; `max` takes three times as long
            self.slowest = slowest

    def settle_failure(self, failure: str, took: float) -> bool:
        """One of the lent ones raised this; whether that is worth a line in the log."""
        self.lent -= 1
        self.slowest = max(self.slowest, took)
        return self._fail(failure)

    def abandon_lent(self) -> None:
        """Wait no longer for the lent one that is under way."""
        self.lent -= 1
        self.given_up += 1

    def await_lent(self, value: Any, began: float, outcome: object) -> None:
        """The lent one that is under way returned something to be awaited, by an event loop."""
        self.lent -= 1
        self.call = Call(value, began)
        self.outcome = outcome

    @property
    def is_busy(self) -> bool:
        """Whether a call is under way, or may be."""
        return self.lent > 0 or self.call is not None

    def begin(self, now: float) -> Call | None:
        """The next call; None while one is under way, or nothing waits."""
        if not self._queue or self.is_busy:
            return None
        self.call = Call(self._queue.take(1)[0], now)
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
        return self._fail(failure)

    def _fail(self, failure: str) -> bool:
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
    def turns(self) -> int:
        """How many calls are over."""
        return self.delivered + self.failed

    @property
    def waiting(self) -> int:
        """How many wait, what is with the callback or lent not among them."""
        return len(self._queue)

    @property
    def pending(self) -> int:
        """How many wait or are with the callback."""
        return len(self._queue) + self.lent + (self.call is not None)

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
