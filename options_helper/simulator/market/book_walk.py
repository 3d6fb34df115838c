"""An invented order book, message by message: the same seed gives the same book, in any process and at any pace.

Prices are counted in ticks and sizes in lots, so that no rounding can tell two runs apart. A book never crosses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any, Final

DEPTH: Final = 25  # price levels on each side at the beginning
_FEWEST: Final = 15
_MOST: Final = 40
# Of all messages, so many change the size of a level and so many take one away; the others add one.
_CHANGES: Final = 0.70
_REMOVALS: Final = 0.85
_WIDE_TICKS: Final = 4  # a spread that soon finds somebody to narrow it
_CHANGED_AT_ONCE: Final = 3


@dataclass(frozen=True, slots=True)
class BookTerms:
    """How a symbol is quoted: the first price in ticks, and how many ticks and lots make one."""

    first_ticks: int
    ticks: int  # of which one unit of price is made
    lots: int  # of which one unit of size is made


_KNOWN: Final = {
    "BTC/USD": BookTerms(9_125_000, 100, 10_000),
    "ETH/USD": BookTerms(301_250, 100, 1_000),
    "SOL/USD": BookTerms(13_640, 100, 100),
}


class BookWalk:
    """One symbol's book. `next_message` changes it and returns what a feed would send of that, as Alpaca spells it.

    With `whole` each message holds the best `levels` of the book, as providers send it that know no changes.
    """

    def __init__(self, symbol: str, seed: int, *, whole: bool = False, levels: int = 5) -> None:
        self.symbol = symbol
        # A text seeds the generator by its SHA-512: no hash of this process has a part in it.
        self._random = Random(f"{seed} {symbol}")
        self._terms = _KNOWN.get(symbol) or BookTerms(self._random.randrange(2_000, 100_000), 20, 1)
        self._whole = whole
        self._levels = levels
        self._sides: tuple[dict[int, int], dict[int, int]] = (
            {self._terms.first_ticks - n: self._lots() for n in range(1, DEPTH + 1)},
            {self._terms.first_ticks + n: self._lots() for n in range(1, DEPTH + 1)},
        )
        self._begun = False

    def next_message(self, timestamp_ns: int) -> dict[str, Any]:
        """The first one is the whole book, each other what has changed since the one before."""
        if not self._begun or self._whole:
            if self._begun:
                self._change()
            self._begun = True
            limit = self._levels if self._whole else None
            sides = [self._best(side)[:limit] for side in (0, 1)]
            return self._message(timestamp_ns, sides[0], sides[1], reset=True)
        changed: tuple[list[int], list[int]] = ([], [])
        for side, ticks in self._change():
            changed[side].append(ticks)
        return self._message(timestamp_ns, changed[0], changed[1])

    def reset_message(self, timestamp_ns: int) -> dict[str, Any]:
        """The whole book as it is, for somebody who has just subscribed."""
        return self._message(timestamp_ns, self._best(0), self._best(1), reset=True)

    def _change(self) -> list[tuple[int, int]]:
        """Change some levels; which, as side and price."""
        return [self._change_one() for _ in range(1 + self._random.randrange(_CHANGED_AT_ONCE))]

    def _change_one(self) -> tuple[int, int]:
        side, kind = self._random.randrange(2), self._random.random()
        levels = self._sides[side]
        if self._spread() > _WIDE_TICKS or len(levels) < _FEWEST:
            return side, self._add(side)
        if len(levels) > _MOST:
            return side, self._remove(side, self._best(side)[-1])
        if kind < _CHANGES:
            ticks = self._near_the_top(side)
            levels[ticks] = self._lots()
            return side, ticks
        return side, self._remove(side, self._near_the_top(side)) if kind < _REMOVALS else self._add(side)

    def _add(self, side: int) -> int:
        """A new level: inside the spread if there is room, else in the first hole behind the best price."""
        best, away = self._best(side)[0], 1 if side else -1
        if self._spread() > 1:
            ticks = best - away
        else:
            ticks = next(best + away * n for n in count(1) if best + away * n not in self._sides[side])
        # Below the last tick nobody bids.
        ticks = max(1, ticks)
        self._sides[side][ticks] = self._lots()
        return ticks

    def _remove(self, side: int, ticks: int) -> int:
        del self._sides[side][ticks]
        return ticks

    def _near_the_top(self, side: int) -> int:
        best = self._best(side)
        return best[min(int(self._random.expovariate(0.35)), len(best) - 1)]

    def _spread(self) -> int:
        return min(self._sides[1]) - max(self._sides[0])

    def _best(self, side: int) -> list[int]:
        return sorted(self._sides[side], reverse=not side)

    def _lots(self) -> int:
        return 1 + int(self._random.expovariate(1 / self._terms.lots))

    def _message(
        self, timestamp_ns: int, bids: list[int], asks: list[int], *, reset: bool = False
    ) -> dict[str, Any]:
        message = {
            "T": "o",
            "S": self.symbol,
            "t": timestamp_ns,
            "b": list(self._wire_levels(0, bids)),
            "a": list(self._wire_levels(1, asks)),
        }
        return {**message, "r": True} if reset else message

    def _wire_levels(self, side: int, prices: list[int]) -> Iterator[dict[str, float]]:
        for ticks in prices:
            lots = self._sides[side].get(ticks, 0)
            yield {"p": ticks / self._terms.ticks, "s": lots / self._terms.lots}
