"""One owner's term on the bus: what is offered, what is known to be stored, and why it is over.

Knows no thread, event loop or clock: moments come in as values, and what is asked goes to whatever `Bus` is at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from options_helper.bus.names import Names
from options_helper.bus.publisher import (
    NO_FEEDS,
    DeskPublisher,
    Fenced,
    OnStored,
    Progress,
    Store,
    StreamCounts,
    nobody,
)
from options_helper.bus.teller import DeskTeller, StateStore
from options_helper.bus.truth import DeskHealth, decode
from options_helper.model.announcement import Announcement
from options_helper.model.frames import Frame
from options_helper.model.streams import StreamId, stream_named


class Bus(Store, StateStore, Protocol):
    """What a term needs of a `BusConnection`."""


class OwnerTerm:
    """From its first word until another's. `begin` on each connection, before anything else is asked on it.

    `fenced` says why this owner must end, once another one is there; then `require_desk`, `offer` and what is published
    raise Fenced. `teller` tells what is kept.
    """

    def __init__(
        self,
        names: Names,
        streams: Sequence[StreamId],
        epoch: int,
        stored: OnStored = nobody,
        *,
        feeds: Mapping[StreamId, str] = NO_FEEDS,
    ) -> None:
        self._names = names
        self._publisher = DeskPublisher(
            names, streams, epoch, stored, feeds=feeds, require_desk=self.require_desk
        )
        self.teller = DeskTeller(names)
        self.fenced: str | None = None
        # What was offered is not offered again until it is known to be stored.
        self._is_offered = False
        self._announced: Announcement | None = None
        self._settled = 0

    @property
    def epoch(self) -> int:
        """Its number; 0 before it has begun."""
        return self._publisher.epoch

    @property
    def counts(self) -> Mapping[StreamId, StreamCounts]:
        """What became of each stream's events at the bus."""
        return self._publisher.counts

    @property
    def progress(self) -> Mapping[StreamId, Progress]:
        """How far each stream was published."""
        return self._publisher.progress

    @property
    def lost_messages(self) -> int:
        """Messages that the server had acknowledged, and lost."""
        return self._publisher.lost_messages

    @property
    def stored_unsettled(self) -> int:
        """Events that are stored, and of which their run was not told: it has them as queued."""
        counts = self.counts.values()
        return sum(one.stored + one.unsendable for one in counts) - self._settled

    @property
    def unknown(self) -> int:
        """Events that are not known to be stored, and may be."""
        return sum(one.waiting for one in self.counts.values())

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be stored, or nothing may be any more."""
        return self.fenced is not None or self._publisher.is_done

    def yield_to_another(self, why: str) -> None:
        """Publish nothing from now on. From any thread."""
        self.fenced = self.fenced or why

    def require_desk(self) -> None:
        """Fenced where another owner is there."""
        if self.fenced is not None:
            raise Fenced(self.fenced)

    async def begin(self, bus: Bus, now_ns: int) -> None:
        """Begin it, where it has not begun; what is kept is told again, as the server may have lost it.

        Fenced where it was yielded meanwhile: whoever leads now is not refused by a term that begins late.
        """
        known = await self._known(bus)
        newest = await self.teller.newest_term(bus)
        await self._publisher.begin(bus, known, now_ns, newer_than=newest)
        self.require_desk()
        await self.teller.begin(bus, self.epoch)
        self.teller.forget_told()

    async def _known(self, bus: Bus) -> dict[StreamId, Progress]:
        """How far the owner before this one had got, as it said itself."""
        stored = await bus.last(self._names.state_store, self._names.state("health"), direct=False)
        health = None if stored is None else decode(stored.data, DeskHealth)
        published = {} if health is None else health.published
        return {stream_named(name): Progress(one.epoch, one.events) for name, one in published.items()}

    def offer(self, frames: Sequence[Frame], announced: Announcement | None, now_ns: int) -> None:
        """Take frames until they are settled; the same ones again are not taken twice.

        What a simulator announced is told where its frames stand, so that nobody takes them for Alpaca's.
        """
        self.require_desk()
        if self._is_offered:
            return
        if announced is not None and announced is not self._announced:
            self._announced = announced
            self._publisher.announce(announced.header(), now_ns)
        self._publisher.offer(frames)
        self._is_offered = True

    async def publish(self, bus: Bus) -> None:
        """Publish what was offered and is not stored. Fenced for good; other StreamErrors may pass."""
        self.require_desk()
        await self._publisher.publish(bus)

    def settle(self, frames: Sequence[Frame]) -> None:
        """What was offered is stored, and their run is told so."""
        self._is_offered = False
        self._settled += sum(frame.events for frame in frames)
