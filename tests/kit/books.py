"""Order book messages and updates in one line each: a side is a map of prices to sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from options_helper.model.events import BookLevel, BookUpdate, stamp
from options_helper.model.instants import timestamp_extension
from tests.kit.fakes import NOON

Sizes = Mapping[float, float]


def book_message(
    bids: Sizes, asks: Sizes, *, symbol: str = "BTC/USD", reset: bool = False, at_ns: int = NOON
) -> dict[str, Any]:
    """A message about a book as the wire has it."""
    message = {
        "T": "o",
        "S": symbol,
        "t": timestamp_extension(at_ns),
        "b": [{"p": price, "s": size} for price, size in bids.items()],
        "a": [{"p": price, "s": size} for price, size in asks.items()],
    }
    return {**message, "r": True} if reset else message


def book_update(
    bids: Sizes,
    asks: Sizes,
    *,
    symbol: str = "BTC/USD",
    reset: bool = False,
    received_ns: int = NOON,
    made_ns: int | None = None,
) -> BookUpdate:
    """The same as it was received; made at the same moment unless said otherwise."""
    update = BookUpdate(
        symbol=symbol,
        timestamp=received_ns if made_ns is None else made_ns,
        bids=[BookLevel(price, size) for price, size in bids.items()],
        asks=[BookLevel(price, size) for price, size in asks.items()],
        reset=reset,
    )
    stamp(update, received_ns)
    return update
