"""What is closed of a book, as everybody here says it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from options_helper.analysis.attention.held_legs import HeldLine

# Contracts without a sign by the symbols of their legs.
Closed = Mapping[str, float]
NONE_CLOSED: Final[Closed] = MappingProxyType({})


def kept(one: HeldLine, closed: Closed) -> float:
    """What is left of a leg, signed."""
    gone = closed.get(one.instrument.live_symbol, 0.0)
    return one.quantity - gone if one.quantity > 0 else one.quantity + gone
