"""The engine of one order book: price levels that messages set, change and remove."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from math import inf

from options_helper.model.events import BookLevel


class BookSide:
    """Bids or asks: the size at each price, and the prices in order.

    A dict answers a change, and a sorted list the question for the best levels: a change costs what one of a dict does
    and a bisection, and reading the best ones does not sort the book.
    """

    __slots__ = ("_prices", "_sizes", "is_bids")

    def __init__(self, *, is_bids: bool) -> None:
        self.is_bids = is_bids
        self._sizes: dict[float, float] = {}
        self._prices: list[float] = []  # ascending, of bids too

    def __len__(self) -> int:
        return len(self._prices)

    def replace(self, levels: Iterable[BookLevel]) -> None:
        """These levels and no others; the last word counts where one is named twice."""
        self._sizes = {level.price: level.size for level in levels}
        self._sizes = {price: size for price, size in self._sizes.items() if size}
        self._prices = sorted(self._sizes)

    def update(self, levels: Iterable[BookLevel]) -> None:
        """Set these levels; a size of 0 removes one, also one that is not there."""
        sizes, prices = self._sizes, self._prices
        for level in levels:
            price, size = level.price, level.size
            if size:
                if price not in sizes:
                    insort(prices, price)
                sizes[price] = size
            elif sizes.pop(price, None) is not None:
                del prices[bisect_left(prices, price)]

    def clear(self) -> None:
        """No level is known."""
        self._sizes = {}
        self._prices = []

    @property
    def best_price(self) -> float | None:
        """The highest bid or the lowest ask; None while there is none."""
        if not self._prices:
            return None
        return self._prices[-1 if self.is_bids else 0]

    def levels(self, count: int | None = None) -> tuple[BookLevel, ...]:
        """The best ones first, so many at most; None for all."""
        prices = self._prices
        count = len(prices) if count is None else count
        chosen = prices[: -count - 1 : -1] if self.is_bids else prices[:count]
        return tuple(map(BookLevel, chosen, map(self._sizes.__getitem__, chosen)))


class OrderBook:
    """Both sides of one symbol's book; whoever holds it knows whether it is whole."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = BookSide(is_bids=True)
        self.asks = BookSide(is_bids=False)

    def replace(self, bids: Iterable[BookLevel], asks: Iterable[BookLevel]) -> None:
        """The whole book anew."""
        self.bids.replace(bids)
        self.asks.replace(asks)

    def update(self, bids: Iterable[BookLevel], asks: Iterable[BookLevel]) -> None:
        """What changed of it."""
        self.bids.update(bids)
        self.asks.update(asks)

    def clear(self) -> None:
        """Nothing is known of it."""
        self.bids.clear()
        self.asks.clear()

    @property
    def is_crossed(self) -> bool:
        """Whether the best bid is as high as the best ask or higher."""
        bid, ask = self.bids.best_price, self.asks.best_price
        return bid is not None and ask is not None and bid >= ask


def are_possible(levels: Sequence[BookLevel]) -> bool:
    """Whether each has a price above 0 and a size of 0 or more, and both are numbers."""
    return all(0.0 < level.price < inf and 0.0 <= level.size < inf for level in levels)
