"""Where a recording begins in a store, and where it goes on: asked on whatever connection there is, without a clock."""

from __future__ import annotations

from typing import Protocol

from options_helper.bus.batch import decode, opened_feed, read_head
from options_helper.bus.connection import Stored
from options_helper.bus.place_reader import BEGINNING, is_place_of
from options_helper.model.frames import Place
from options_helper.model.streams import StreamId


class RecordedStore(Protocol):
    """What is needed of a `BusConnection`."""

    async def recorded(self, store: str, subject: str) -> Stored | None:
        """The newest message of a subject; None is certain."""

    async def message(self, store: str, sequence: int, *, direct: bool = True) -> Stored | None:
        """The message of that sequence; None where it is gone, or not there yet."""


def says_feed(data: bytes) -> bool:
    """Whether this message says of which feed its term is."""
    batch = decode(data)
    return not isinstance(batch, str) and opened_feed(batch) is not None


async def place_to_begin(bus: RecordedStore, store: str, subject: str, published: int) -> Place:
    """Behind what is there now; where nothing is, behind so many events that the owner says it has published."""
    stored = await bus.recorded(store, subject)
    if stored is None:
        return Place(events=published)
    if (head := read_head(stored.data)) is None:
        return Place(stored.sequence, events=published)
    if says_feed(stored.data):  # with it, as it says of which feed all is that follows
        return Place(stored.sequence - 1, events=head.events_before)
    return Place(stored.sequence, head.epoch, head.number, head.events_until)


async def first_behind(bus: RecordedStore, store: str, subject: str, place: Place, stream: StreamId) -> int:
    """The sequence from which on a store has what is behind a place; 1 where it is not the store of that place.

    What was recorded already is known by its number, so too low is never wrong.
    """
    behind = place.sequence + place.whole
    newest = await bus.recorded(store, subject)
    if newest is None:
        return 1
    stored = None if place.epoch == BEGINNING else await bus.message(store, place.sequence)
    if stored is not None:
        return behind if is_place_of(place, stream, stored.data) else 1
    return behind if newest.sequence >= place.sequence else 1
