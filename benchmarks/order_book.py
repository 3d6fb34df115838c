"""Time of a one-level update of an order book, and of a look at its best 20: against a dict and sortedcontainers.

Reach: an update with the best price costs at most twice a dict's, which keeps no order, and half of sortedcontainers'
at most; a look at the best 20 of 100 levels and more costs at most half of a dict's, which has to sort them.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from heapq import nsmallest
from typing import Protocol

from sortedcontainers import SortedDict  # type: ignore[import-untyped]  # Hypothesis brings it along

from options_helper.data.streaming.state.order_book import BookSide
from options_helper.model.events import BookLevel

SIZES = (5, 20, 100, 1_000)
UPDATES = 20_000
LOOKS = 2_000
ROUNDS = 7
LOOKED_AT = 20


class Side(Protocol):
    """The asks of a book."""

    def update(self, levels: Sequence[BookLevel]) -> None:
        """Set these levels; a size of 0 removes one."""

    def best(self) -> float | None:
        """The lowest price."""

    def top(self, count: int) -> Sequence[object]:
        """The lowest prices and their sizes."""


class Ours(BookSide):
    """The engine's."""

    def __init__(self) -> None:
        super().__init__(is_bids=False)

    def best(self) -> float | None:
        """The lowest ask."""
        return self.best_price

    def top(self, count: int) -> Sequence[object]:
        """The lowest asks."""
        return self.levels(count)


class PlainDict:
    """No order: the best one is remembered, and looked for when it goes."""

    def __init__(self) -> None:
        self._sizes: dict[float, float] = {}
        self._best: float | None = None

    def update(self, levels: Sequence[BookLevel]) -> None:
        """Set or remove."""
        sizes = self._sizes
        for level in levels:
            price, size = level.price, level.size
            if size:
                sizes[price] = size
                if self._best is None or price < self._best:
                    self._best = price
            elif sizes.pop(price, None) is not None and price == self._best:
                self._best = min(sizes, default=None)

    def best(self) -> float | None:
        """The remembered one."""
        return self._best

    def top(self, count: int) -> Sequence[object]:
        """Sorted at each look."""
        return [(price, self._sizes[price]) for price in nsmallest(count, self._sizes)]


class Sorted:
    """A sortedcontainers.SortedDict."""

    def __init__(self) -> None:
        self._sizes: SortedDict = SortedDict()

    def update(self, levels: Sequence[BookLevel]) -> None:
        """Set or remove."""
        sizes = self._sizes
        for level in levels:
            if level.size:
                sizes[level.price] = level.size
            else:
                sizes.pop(level.price, None)

    def best(self) -> float | None:
        """The first key."""
        return self._sizes.peekitem(0)[0] if self._sizes else None

    def top(self, count: int) -> Sequence[object]:
        """The first items."""
        return list(self._sizes.items()[:count])


SIDES: dict[str, Callable[[], Side]] = {"ours": Ours, "dict": PlainDict, "sortedcontainers": Sorted}


def whole(levels: int) -> list[BookLevel]:
    """A side of so many levels."""
    return [BookLevel(100.0 + index / 100, 1.0) for index in range(levels)]


def changes(levels: int) -> list[list[BookLevel]]:
    """Sizes change in 70 of 100 messages, and levels go or come in 15 each; most of it near the best price."""
    dice = random.Random(levels)
    prices = [level.price for level in whole(levels)]
    gone: set[float] = set()
    made = []
    for _ in range(UPDATES):
        price = prices[min(levels - 1, int(dice.expovariate(5 / levels)))]
        if gone and dice.random() < 0.15:
            price = dice.choice(sorted(gone)[:5])
        goes = price not in gone and len(gone) < levels // 2 and dice.random() < 0.15
        (gone.add if goes else gone.discard)(price)
        made.append([BookLevel(price, 0.0 if goes else dice.random() + 0.01)])
    return made


def microseconds(side: Side, messages: Sequence[list[BookLevel]]) -> tuple[float, float]:
    """Of an update with the best price, and of a look at the best ones."""
    began = time.perf_counter()
    for message in messages:
        side.update(message)
        side.best()
    updated = time.perf_counter()
    for _ in range(LOOKS):
        side.top(LOOKED_AT)
    looked = time.perf_counter()
    return (updated - began) / len(messages) * 1e6, (looked - updated) / LOOKS * 1e6


def measure(levels: int) -> dict[str, tuple[float, float]]:
    """The fastest of a few rounds of each kind, taken in turns; all must end with the same levels."""
    messages = changes(levels)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in SIDES}
    for _ in range(ROUNDS):
        ends = set()
        for name, kind in SIDES.items():
            side = kind()
            side.update(whole(levels))
            found[name].append(microseconds(side, messages))
            ends.add((len(side.top(levels)), side.best()))
        if len(ends) != 1:
            raise AssertionError(f"the books of {levels} levels differ")
    return {name: (min(a for a, _ in times), min(b for _, b in times)) for name, times in found.items()}


def main() -> None:
    """Print both times of each kind and size, and the ratios to the baselines."""
    print("µs: an update and the best price / the best 20")
    ratios = []
    for levels in SIZES:
        found = measure(levels)
        told = ", ".join(f"{name} {update:.2f} / {look:.2f}" for name, (update, look) in found.items())
        (ours, our_look), (plain, plain_look), (ordered, ordered_look) = found.values()
        ratios.append(ours / plain)
        print(f"{levels:5d} levels: {told}")
        print(f"{'':13} ours / dict {ours / plain:.2f} / {our_look / plain_look:.2f}", end="; ")
        print(f"ours / sortedcontainers {ours / ordered:.2f} / {our_look / ordered_look:.2f}")
    print(f"median ours / dict, update: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
