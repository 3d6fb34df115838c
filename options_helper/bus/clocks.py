"""How far this computer's clock is from the owner's: receipts are the owner's, and ages are shown here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self, overload

from msgspec.structs import replace as replace_struct

from options_helper.bus.connection import BusConnection
from options_helper.bus.names import Names
from options_helper.bus.truth import DeskHealth
from options_helper.errors import StreamError
from options_helper.model.clock_skew import format_span
from options_helper.model.gaps import Gap
from options_helper.model.instants import NANOSECONDS
from options_helper.model.snapshot import StreamHealth

WORTH_SAYING_NS: Final = NANOSECONDS
# It is measured anew so often, and where an owner's word does not fit, or it gave no answer, after a moment.
CLOCK_SECONDS: Final = 30.0
AGAIN_SECONDS: Final = 1.0
# Owners whose last batches may still come after another has spoken.
KEPT_TERMS: Final = 4
NOT_KNOWN: Final = (
    "The owner has not told its time: where its clock and this computer's differ, ages are not corrected."
)


@dataclass(frozen=True, slots=True)
class Offset:
    """By so much the owner's clock is ahead of this computer's, nanoseconds; give or take `doubt_ns`."""

    ahead_ns: int = 0
    doubt_ns: int = 0

    @classmethod
    def of(cls, sent_ns: int, owner_ns: int, answered_ns: int) -> Self:
        """What a question that was sent and answered then tells."""
        return cls(owner_ns - (sent_ns + answered_ns) // 2, max(0, (answered_ns - sent_ns) // 2))

    @property
    def matters(self) -> bool:
        """Whether the clocks certainly differ by more than a network explains."""
        return abs(self.ahead_ns) - self.doubt_ns >= WORTH_SAYING_NS

    def here(self, owner_ns: int) -> int:
        """A moment of the owner's clock on this computer's; as it is where the clocks agree."""
        return owner_ns - self.ahead_ns if self.matters else owner_ns

    @overload
    def moment_here(self, at: datetime) -> datetime: ...

    @overload
    def moment_here(self, at: datetime | None) -> datetime | None: ...

    def moment_here(self, at: datetime | None) -> datetime | None:
        """The same of a moment that may not be known."""
        return at if at is None or not self.matters else at - timedelta(microseconds=self.ahead_ns / 1_000)

    def gap_here(self, gap: Gap) -> Gap:
        """The same of both ends of a gap."""
        until_ns = None if gap.until_ns is None else self.here(gap.until_ns)
        return replace(gap, since_ns=self.here(gap.since_ns), until_ns=until_ns)

    def stream_here(self, health: StreamHealth) -> StreamHealth:
        """How a stream is at the owner, with its times on this computer's clock."""
        return replace(
            health,
            next_try_at=self.moment_here(health.next_try_at),
            connected_since=self.moment_here(health.connected_since),
            silent_since=self.moment_here(health.silent_since),
            last_event_at=self.moment_here(health.last_event_at),
            gaps=tuple(map(self.gap_here, health.gaps)),
        )

    def there(self, ns: int) -> int:
        """A moment of this computer's clock on the owner's."""
        return ns + self.ahead_ns if self.matters else ns

    def fits(self, owner_ns: int, heard_ns: int) -> bool:
        """Whether a word that the owner said then, and that was heard then, leaves this possible."""
        return abs(owner_ns - heard_ns - self.ahead_ns) < self.doubt_ns + WORTH_SAYING_NS

    def better(self, other: Offset) -> Offset:
        """The more exact one of two, where both may be true; else the other, which is newer."""
        agree = abs(self.ahead_ns - other.ahead_ns) <= self.doubt_ns + other.doubt_ns
        return self if agree and self.doubt_ns <= other.doubt_ns else other

    @property
    def sentence(self) -> str | None:
        """What to say of it; None where it is nothing."""
        if not self.matters:
            return None
        span = format_span(abs(self.ahead_ns) / NANOSECONDS)
        direction = "behind" if self.ahead_ns > 0 else "ahead of"
        return f"This computer's clock is {span} {direction} the owner's; ages are corrected."


class DeskClock:
    """The owner's clock, as all who follow one desk in this program know it; for any thread.

    It is measured for each owner, now and then, and where its word does not fit, as after either clock was set. What
    was measured holds until something better is known; an owner on the same computer as the one before has its clock.
    """

    def __init__(self, now_ns: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._now_ns, self._monotonic = now_ns, monotonic
        self._lock = threading.Lock()
        # Guarded by the lock, as all of the rest.
        self._owner: tuple[str, int, int] | None = (
            None  # computer, process and term of the one that spoke last
        )
        self._known: dict[int, Offset] = {}  # by term
        self._due_at = self._measured_at = 0.0  # by the monotonic clock
        self._asked_in_vain = False  # of this owner

    @property
    def offset(self) -> Offset | None:
        """That of the owner that spoke last; None where it is not known."""
        with self._lock:
            return None if self._owner is None else self._known.get(self._owner[2])

    def here(self, health: DeskHealth, told: Offset | None = None) -> DeskHealth:
        """An owner's word with its times on this computer's clock, as far as that is known.

        `told` is how far what it tells is ahead, where another word of the owner says that: on a further account it
        does not say it again.
        """
        offset, told = self.offset_of(health.epoch) or Offset(), told or self.told_by(health)
        if not offset.matters and not told.matters:
            return health
        return replace_struct(
            health,
            at_ns=offset.here(health.at_ns),
            as_of_ns=told.here(health.as_of_ns) if health.as_of_ns else 0,
            streams={name: told.stream_here(stream) for name, stream in health.streams.items()},
        )

    def told_by(self, health: DeskHealth | None) -> Offset:
        """By how much the times of what an owner tells are ahead of this computer's clock.

        They are on its market's clock, which is its own, put right where it knows by how much that is wrong. Those of a
        market that is played are shown as they are.
        """
        if health is None or health.market.plays:
            return Offset()
        offset = self.offset_of(health.epoch) or Offset()
        skew = health.clock_skew
        put_right_ns = 0 if skew is None or not skew.matters else int(skew.ahead * NANOSECONDS)
        ahead_ns, doubt_ns = (offset.ahead_ns, offset.doubt_ns) if offset.matters else (0, 0)
        return Offset(ahead_ns - put_right_ns, doubt_ns)

    def offset_of(self, epoch: int) -> Offset | None:
        """That of the owner of a term; None where it is not known (yet)."""
        with self._lock:
            if epoch in self._known:
                return self._known[epoch]
            says_no_term = self._owner is not None and not self._owner[2]
            return self._known.get(0) if says_no_term else None

    @property
    def sentence(self) -> str | None:
        """What to say of it; None where it is nothing."""
        offset = self.offset
        if offset is not None:
            return offset.sentence
        with self._lock:
            return NOT_KNOWN if self._asked_in_vain else None

    def hear(self, health: DeskHealth, *, now: bool) -> None:
        """The owner's word; `now` where it was heard and not found."""
        owner = (health.where, health.pid, health.epoch)
        with self._lock:
            before = self._owner
            if owner != before:
                if before is not None and before[2] > health.epoch and not now:
                    return  # what is found may be of before
                self._owner, self._due_at, self._asked_in_vain = owner, self._monotonic(), False
                if before is not None:
                    self._follow_on(before, owner)
                return
            known = self._known.get(owner[2])
            if now and known is not None and not known.fits(health.at_ns, self._now_ns()):
                self._due_at = min(self._due_at, self._measured_at + AGAIN_SECONDS)

    async def measure(self, bus: BusConnection, names: Names) -> None:
        """Ask the owner for its time, where that is due; where it does not answer, what was known holds."""
        with self._lock:
            owner, asked_at = self._owner, self._monotonic()
            if owner is None or asked_at < self._due_at:
                return
            if owner[2] in self._known:
                self._due_at = asked_at + AGAIN_SECONDS  # one is enough to ask anew
        found = await self._ask(bus, names)
        with self._lock:
            if owner != self._owner:
                return  # whose answer this is, nobody knows
            now = self._measured_at = self._monotonic()
            if found is None:
                self._asked_in_vain, self._due_at = True, now + AGAIN_SECONDS
                return
            known = self._known.get(owner[2])
            self._keep(owner[2], found if known is None else known.better(found))
            self._due_at = now + CLOCK_SECONDS

    async def _ask(self, bus: BusConnection, names: Names) -> Offset | None:
        asked_at = self._monotonic()
        try:
            owner_ns = int(await bus.ask(names.ask("time")))
        except (StreamError, ValueError):
            return None
        # Counted back from the answer: this clock may have been set since it was asked.
        answered_ns = self._now_ns()
        took_ns = int((self._monotonic() - asked_at) * NANOSECONDS)
        return Offset.of(answered_ns - took_ns, owner_ns, answered_ns)

    def _follow_on(self, before: tuple[str, int, int], owner: tuple[str, int, int]) -> None:
        offset = self._known.get(before[2]) if before[0] == owner[0] else None
        if before[2] == owner[2]:  # neither says its term
            self._known.pop(owner[2], None)
        if offset is not None and owner[2] not in self._known:
            self._keep(owner[2], offset)

    def _keep(self, epoch: int, offset: Offset) -> None:
        self._known[epoch] = offset
        while len(self._known) > KEPT_TERMS:
            del self._known[next(iter(self._known))]
