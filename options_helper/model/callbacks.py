"""What a library user's callbacks can be told, and the ledger of what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple


class CallbackKind(StrEnum):
    """What a callback is registered for; the values are the names that `LiveStreamManager.on` takes."""

    QUOTE = "quote"
    TRADE = "trade"
    BAR = "bar"  # a minute
    UPDATED_BAR = "updated_bar"  # a minute again, because a late trade changed it
    DAILY_BAR = "daily_bar"  # the day so far
    STATUS = "status"  # a halt, a resumption
    LULD = "luld"  # limit up, limit down
    CORRECTION = "correction"  # of a trade
    CANCEL = "cancel"  # of a trade
    BOOK = "book"
    NEWS = "news"
    ORDER_UPDATE = "order_update"
    GAP = "gap"
    HEALTH = "health"


class Told(NamedTuple):
    """One thing to tell, to the callbacks of these symbols and to those of every symbol."""

    kind: CallbackKind
    symbols: tuple[str, ...]
    value: Any


@dataclass(frozen=True, slots=True)
class CallbackStats:
    """What became of what callbacks were offered.

    The law, at every instant: offered = delivered + failed + given up + pending.
    """

    offered: int = 0
    delivered: int = 0  # the callback returned
    failed: int = 0  # it raised
    given_up: int = 0  # found the queue full, was replaced by a newer one, or still waited at the end
    pending: int = 0  # waits, or is with the callback
    slowest: float = 0.0  # seconds that one call took at most, or has taken so far
    last_error: str | None = None

    @property
    def accounted(self) -> bool:
        """Whether the law holds."""
        return self.offered == self.delivered + self.failed + self.given_up + self.pending


def total_of(every: Iterable[CallbackStats]) -> CallbackStats:
    """Several callbacks as one: sums, the slowest of all, and the error of the last one that has any."""
    every = tuple(every)
    return CallbackStats(
        offered=sum(one.offered for one in every),
        delivered=sum(one.delivered for one in every),
        failed=sum(one.failed for one in every),
        given_up=sum(one.given_up for one in every),
        pending=sum(one.pending for one in every),
        slowest=max((one.slowest for one in every), default=0.0),
        last_error=next((one.last_error for one in reversed(every) if one.last_error), None),
    )
