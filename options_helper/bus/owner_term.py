"""One owner's term on the bus: what is offered, what is known to be stored, and why it is over.

Knows no thread, event loop or clock: moments come in as values, and what is asked goes to whatever `Bus` is at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from options_helper.bus.teller import StateStore, TermTeller
from options_helper.bus.truth import DeskHealth, decode
from options_helper.model.announcement import Announcement
from options_helper.model.frames import Frame
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamId, fills_of, stream_named

# Returns where the lease is held, and raises a StreamError where another may have it.
Require = Callable[[], None]


def no_lease() -> None:
    """There is none to be held."""


class Bus(Store, StateStore, Protocol):
    """What a term needs of a `BusConnection`."""


class OwnerTerm:
    """From its first word until another's. `begin` on each connection, before anything else is asked on it.

    Of the desk's own streams, or of those of the accounts beside it: a term of their own, with fences of its own.

    `require_lease` raises where the lease is not surely held at that moment: a term that begins fences whoever leads.
    `fenced` says why this owner must end, once another one is there; then `require_desk`, `offer` and what is published
    raise Fenced. What is kept `teller` tells, whose term is this one.
    """

    def __init__(
        self,
        names: Names,
        streams: Sequence[StreamId],
        epoch: int,
        teller: TermTeller,
        stored: OnStored = nobody,
        *,
        feeds: Mapping[StreamId, str] = NO_FEEDS,
        require_lease: Require = no_lease,
    ) -> None:
        self._teller, self._require_lease = teller, require_lease
        self._publisher = DeskPublisher(
            names, streams, epoch, stored, feeds=feeds, require_desk=self._require_to_begin
        )
        self.fenced: str | None = None
        # By the account whose run it is, whose thread alone changes what is its own.
        # What was offered last, until it is known to be stored: the same frames are not taken twice.
        self._offered: dict[str, tuple[Frame, ...]] = {}
        self._announced: dict[str, Announcement] = {}
        self._settled: dict[str, int] = {}

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
        return sum(one.stored + one.unsendable for one in counts) - sum(tuple(self._settled.values()))

    def stored_unsettled_of(self, account: str) -> int:
        """The same of a further account's run alone."""
        counts = self.counts[fills_of(account)]
        return counts.stored + counts.unsendable - self._settled.get(account, 0)

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

    def _require_to_begin(self) -> None:
        self.require_desk()
        self._require_lease()

    async def begin(self, bus: Bus, now_ns: int) -> None:
        """Begin it, where it has not begun; what is kept is told again, as the server may have lost it.

        Fenced where it was yielded meanwhile: whoever leads now is not refused by a term that begins late.
        """
        known = await self._known(bus)
        newest = await self._teller.newest_term(bus)
        await self._publisher.begin(bus, known, now_ns, newer_than=newest)
        self.require_desk()
        await self._teller.begin(bus, self.epoch)
        self._teller.forget_told()

    async def _known(self, bus: Bus) -> dict[StreamId, Progress]:
        """How far the owner before this one had got, as it said itself."""
        found: dict[StreamId, Progress] = {}
        for store, subject in self._teller.healths:
            stored = await bus.last(store, subject, direct=False)
            health = None if stored is None else decode(stored.data, DeskHealth)
            published = {} if health is None else health.published
            found |= {stream_named(name): Progress(one.epoch, one.events) for name, one in published.items()}
        return found

    def offer(
        self,
        frames: Sequence[Frame],
        announced: Announcement | None,
        now_ns: int,
        account: str = DEFAULT_ACCOUNT,
    ) -> None:
        """Take frames of an account's run until they are settled; the same ones again are not taken twice.

        Others are of a new run, where the one before ended without an answer: whether its were stored it is not told.
        What a simulator announced is told where its frames stand, so that nobody takes them for Alpaca's. Each run
        calls it on a thread of its own.
        """
        self.require_desk()
        offered = tuple(frames)
        if self._offered.get(account) == offered:
            return
        if announced is not None and announced is not self._announced.get(account):
            self._announced[account] = announced
            self._publisher.announce(announced.header(), now_ns, account)
        self._publisher.offer(frames)
        self._offered[account] = offered

    async def publish(self, bus: Bus, now_ns: int) -> None:
        """Publish what was offered and is not stored. Fenced for good; other StreamErrors may pass."""
        self.require_desk()
        await self._publisher.publish(bus, now_ns)

    def settle(self, frames: Sequence[Frame], account: str = DEFAULT_ACCOUNT) -> None:
        """What that run offered is stored, and it is told so."""
        self._settled[account] = self._settled.get(account, 0) + sum(frame.events for frame in frames)
        self._offered.pop(account, None)
