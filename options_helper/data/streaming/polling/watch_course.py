"""What the state of the streams asks of those who ask over REST; knows no thread, lock or clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId


@dataclass(frozen=True, slots=True)
class Noticed:
    """What a look at the streams found."""

    connected: tuple[StreamId, ...]  # anew, since the look before
    listening: Mapping[StreamId, int]  # those that are heard now, and how often they have connected
    is_any_stalled: bool
    has_order_update: bool


class WatchCourse:
    """Compares the streams with the last look at them."""

    def __init__(self) -> None:
        self._connections: dict[StreamId, int] = {}
        self._order_updates = 0

    def observe(self, streams: Mapping[StreamId, StreamHealth], order_updates: int) -> Noticed:
        """Look at them; `order_updates` is how many have been taken in so far."""
        connected = tuple(
            name for name, health in streams.items() if health.connections != self._connections.get(name, 0)
        )
        self._connections |= {name: streams[name].connections for name in connected}
        has_order_update = order_updates != self._order_updates
        self._order_updates = order_updates
        return Noticed(
            connected=connected,
            listening={
                name: health.connections
                for name, health in streams.items()
                if health.phase in (Phase.LIVE, Phase.QUIET)
            },
            is_any_stalled=any(health.phase is Phase.STALLED for health in streams.values()),
            has_order_update=has_order_update,
        )
