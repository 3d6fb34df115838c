"""Hold a streamed book against the one that REST tells, which was made at no moment that is exactly ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from options_helper.model.events import BookLevel
from options_helper.model.order_book import Book

COMPARED_LEVELS: Final = 10


def differences(before: Book, after: Book, rest: Book) -> list[float] | None:
    """Prices among REST's best levels of which it says something else than we did, both before and after the question.

    What changed while it was asked is passed over. All three are whole. None where they cannot be compared: one is
    empty, or REST's is older than ours.
    """
    if not (before.state.has_levels and after.state.has_levels and rest.bids and rest.asks):
        return None
    # An older one was kept somewhere on its way, and lacks what ours had before it was asked for.
    if rest.made_ns is None or rest.made_ns < (before.made_ns or 0):
        return None
    return [
        *_side_differences(before.bids, after.bids, rest.bids, highest_first=True),
        *_side_differences(before.asks, after.asks, rest.asks, highest_first=False),
    ]


def _side_differences(
    before: Sequence[BookLevel],
    after: Sequence[BookLevel],
    rest: Sequence[BookLevel],
    *,
    highest_first: bool,
) -> list[float]:
    told = _sizes(rest[:COMPARED_LEVELS])
    worst = rest[:COMPARED_LEVELS][-1].price
    ours, earlier = _sizes(after), _sizes(before)
    within = [price for price in ours if (price >= worst if highest_first else price <= worst)]
    settled = [price for price in {*told, *within} if ours.get(price) == earlier.get(price)]
    return sorted(price for price in settled if ours.get(price) != told.get(price))


def _sizes(levels: Sequence[BookLevel]) -> dict[float, float]:
    return {level.price: level.size for level in levels}
