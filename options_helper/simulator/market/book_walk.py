"""An invented order book, message by message, where no server plays: one seed is one book, in any process."""

from __future__ import annotations

from typing import Any, Final

from options_helper.simulator.market.coins import SeededCoin

# Of those who send whole books and no changes: Breeze's depth.
WHOLE_LEVELS: Final = 5


class BookWalk:
    """One symbol's book, a step for each message. With `whole` each message is the best five levels of both sides."""

    def __init__(self, symbol: str, seed: int, *, whole: bool = False) -> None:
        self._coin = SeededCoin(symbol, seed)
        self._whole = whole
        self._begun = False

    def next_message(self, timestamp_ns: int) -> dict[str, Any]:
        """As a feed would send it: first the whole book, then what has changed since the message before."""
        if self._begun:
            self._coin.move()
        changes, begun, self._begun = self._coin.take_changes(), self._begun, True
        if begun and changes is not None and not self._whole:
            return {**changes, "t": timestamp_ns}
        return self.whole_book(timestamp_ns)

    def whole_book(self, timestamp_ns: int) -> dict[str, Any]:
        """The whole book as it is, also for somebody who asks for it anew."""
        book = self._coin.whole_book()
        levels = {side: book[side][: WHOLE_LEVELS if self._whole else None] for side in "ba"}
        return {**book, **levels, "t": timestamp_ns}
