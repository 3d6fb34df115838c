"""What was held at midnight: the same at each reading of one day, or something moved that nobody has told yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from options_helper.model.account import Execution

_NOTHING: Final = Decimal(0)
# Positions follow what is told of them within seconds. Where they did not, they had it when they were first read.
BELIEVED_SECONDS: Final = 60.0


class Reading(NamedTuple):
    """Positions, with the executions of the day in New York that are in them."""

    day: date
    held: Mapping[str, Decimal]  # by symbol, signed
    executions: Iterable[Execution]
    asked_ns: int  # when the positions were asked for, in epoch nanoseconds of the market's clock


@dataclass(slots=True)
class _Known:
    """Of one symbol: what was held at midnight, and at the last reading."""

    at_midnight: Decimal
    held: Decimal
    other: Decimal | None = None  # what the readings come to instead
    since: float = 0.0  # of those, on the monotonic clock
    by_telling: bool = False  # whether that began with an execution of before the first reading, and no move


class MidnightQuantities:
    """Follows positions less executions over one day in New York.

    A position that moved without an execution was moved by something that is told late, or never: until it is told,
    what was held at midnight is not known. An execution of before the first reading that comes without a move is told
    late of what that reading had already, and is believed once the positions had time to follow.
    """

    def __init__(self) -> None:
        self._day: date | None = None
        self._began_ns = 0  # when the positions of the day's first reading were asked for
        self._known: dict[str, _Known] = {}
        self._unseen: set[str] = (
            set()
        )  # whatever is held of them at their first reading, they were held before

    def unexplained(self, reading: Reading, open_ones: AbstractSet[str], now: float) -> frozenset[str]:
        """The symbols of which more or less is held than what is told of the day explains.

        Of `open_ones` nothing is said, as it is not known which of their executions the positions have. `now` is in
        seconds of the monotonic clock.
        """
        executed: defaultdict[str, Decimal] = defaultdict(Decimal)
        newest_ns: dict[str, int] = {}
        for execution in reading.executions:
            executed[execution.symbol] += execution.quantity
            newest_ns[execution.symbol] = max(newest_ns.get(execution.symbol, 0), execution.at_ns or 0)
        symbols = {*reading.held, *executed, *self._known} - open_ones
        if reading.day != self._day:
            self._day, self._began_ns = reading.day, reading.asked_ns
            self._known, self._unseen = {}, {*symbols, *open_ones}
        for symbol in self._unseen & symbols:
            held = reading.held.get(symbol, _NOTHING)
            self._known[symbol] = _Known(held - executed[symbol], held)
        self._unseen -= symbols
        return frozenset(
            symbol
            for symbol in symbols
            if not self._agrees(
                symbol,
                reading.held.get(symbol, _NOTHING),
                executed[symbol],
                now,
                is_old=newest_ns.get(symbol, 0) <= self._began_ns,
            )
        )

    def _agrees(self, symbol: str, held: Decimal, executed: Decimal, now: float, *, is_old: bool) -> bool:
        at_midnight = held - executed
        known = self._known.setdefault(symbol, _Known(_NOTHING, _NOTHING))
        before, known.held = known.held, held
        if known.at_midnight == at_midnight:
            known.other = None
        elif known.other != at_midnight:
            known.other, known.since, known.by_telling = at_midnight, now, held == before and is_old
        elif known.by_telling and now - known.since >= BELIEVED_SECONDS:
            known.at_midnight, known.other = at_midnight, None
        return known.other is None
