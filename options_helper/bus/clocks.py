"""How far this computer's clock is from the owner's: receipts are the owner's, and ages are shown here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Self, overload

from msgspec.structs import replace as replace_struct

from options_helper.bus.connection import BusConnection
from options_helper.bus.legs import speaks_for_desk
from options_helper.bus.names import Names
from options_helper.bus.truth import DeskHealth, Published
from options_helper.errors import StreamError
from options_helper.model.clock_skew import format_span
from options_helper.model.gaps import Gap
from options_helper.model.instants import NANOSECONDS
from options_helper.model.snapshot import StreamHealth
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamId

WORTH_SAYING_NS: Final = NANOSECONDS
# It is measured anew so often, and where an owner's word does not fit, or it gave no answer, after a moment.
CLOCK_SECONDS: Final = 30.0
AGAIN_SECONDS: Final = 1.0
# Owners whose last batches may still come after another has spoken.
KEPT_OWNERS: Final = 4
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
        return gap.moved(-self.ahead_ns) if self.matters else gap

    def stream_here(self, health: StreamHealth) -> StreamHealth:
        """How a stream is at the owner, with its times on this computer's clock."""
        return health.moved(-self.ahead_ns) if self.matters else health

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


def process_named(where: str, pid: int) -> bytes:
    """Who is asked for its time: one that another has followed may be there still, and its clock be another."""
    return f"{pid} {where}".encode()


class _Owner(NamedTuple):
    """Whose clock it is: computer, process, and the newest of its terms; 0: an owner of before does not say that."""

    where: str
    pid: int
    epoch: int

    @classmethod
    def of(cls, health: DeskHealth) -> Self:
        """Who said this."""
        return cls(health.where, health.pid, health.epoch)

    def is_process_of(self, other: _Owner) -> bool:
        """Whether both are one process, whatever their terms."""
        return (self.where, self.pid) == (other.where, other.pid)


class DeskClock:
    """The owner's clock, as all who follow one desk in this program know it; for any thread.

    It is measured for each owner, now and then, and where its word does not fit, as after either clock was set. What
    was measured holds until something better is known; an owner on the same computer as the one before has its clock.

    An owner has a term in each store, and they differ once the bus has lost what one of them had: whose a batch is, is
    known by its stream and its term, which the owner says together.
    """

    def __init__(self, now_ns: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._now_ns, self._monotonic = now_ns, monotonic
        self._lock = threading.Lock()
        # Guarded by the lock, as all of the rest.
        self._owner: _Owner | None = None  # the one that spoke last
        self._heard_at: float | None = None  # when it did; None: found. By the monotonic clock, as these two:
        self._due_at = self._measured_at = 0.0
        self._known: dict[_Owner, Offset] = {}
        self._terms: dict[tuple[str, int], _Owner] = {}  # whose each is, by stream and number
        self._asked_in_vain = False  # of this owner
        self._moves, self._used_ns = 0, 0

    @property
    def offset(self) -> Offset | None:
        """That of the owner that spoke last; None where it is not known."""
        with self._lock:
            return None if self._owner is None else self._known.get(self._owner)

    @property
    def moves(self) -> int:
        """How often receipts were found to be of another moment than was believed until then; only ever grows."""
        with self._lock:
            return self._moves

    def here(self, health: DeskHealth, told: Offset | None = None) -> DeskHealth:
        """An owner's word with its times on this computer's clock, as far as that is known.

        `told` is how far what it tells is ahead, where another word of the owner says that: on a further account it
        does not say it again.
        """
        offset, told = self._offset_by(health), told or self.told_by(health)
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
        offset, skew = self._offset_by(health), health.clock_skew
        put_right_ns = 0 if skew is None or not skew.matters else int(skew.ahead * NANOSECONDS)
        ahead_ns, doubt_ns = (offset.ahead_ns, offset.doubt_ns) if offset.matters else (0, 0)
        return Offset(ahead_ns - put_right_ns, doubt_ns)

    def _offset_by(self, health: DeskHealth) -> Offset:
        """That of whoever said this, on its own account or on a further one."""
        owner = _Owner.of(health)
        with self._lock:
            known = self._known.get(owner)
            if known is None and (same := self._same_process(owner)) is not None:
                known = self._known.get(same)
            return known or Offset()

    def offset_of(self, stream: StreamId, epoch: int) -> Offset | None:
        """That of the owner of a term of this stream; None where it is not known (yet)."""
        with self._lock:
            owner = self._terms.get((stream, epoch))
            # By the number alone only of the desk's own streams: terms of further accounts are counted apart.
            if owner is None and stream.account == DEFAULT_ACCOUNT:
                owner = next((one for one in reversed(self._known) if one.epoch == epoch), None)
            if owner is None and self._owner is not None and not self._owner.epoch:
                owner = self._owner
            return None if owner is None else self._known.get(owner)

    def received_here(self, owner_ns: int, offset: Offset | None) -> int:
        """When an owner whose clock is so far ahead received what is there now; None: as if the clocks agreed.

        That is in the past. What seems to come later is of a clock that was set since it was measured: it would look
        fresh until that time had come, however long nothing follows it.
        """
        if offset is None:
            return owner_ns
        at_ns, now_ns = offset.here(owner_ns), self._now_ns()
        return now_ns if at_ns - now_ns > offset.doubt_ns + WORTH_SAYING_NS else at_ns

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
        owner = _Owner.of(health)
        with self._lock:
            before, at = self._owner, self._monotonic()
            heard_at = at if now else None
            if before is not None and not speaks_for_desk(
                owner.epoch, heard_at, before.epoch, self._heard_at
            ):
                return
            if now:
                self._heard_at = at
            is_another = owner != before
            if is_another:
                self._owner, self._due_at, self._asked_in_vain = owner, at, False
                if before is not None:
                    self._follow_on(before, owner)
            self._note_terms(owner, health.published)
            known = self._known.get(owner)
            if not is_another and now and known is not None and not known.fits(health.at_ns, self._now_ns()):
                self._due_at = min(self._due_at, self._measured_at + AGAIN_SECONDS)

    def hear_of_account(self, health: DeskHealth) -> None:
        """An owner's word on a further account, whose streams have a term of their own.

        It counts once that process has spoken of the desk.
        """
        with self._lock:
            if (owner := self._same_process(_Owner.of(health))) is not None:
                self._note_terms(owner, health.published)

    def _same_process(self, owner: _Owner) -> _Owner | None:
        """The newest known owner that is this process; None where it has not spoken of the desk."""
        heard = [*self._known, *([] if self._owner is None else [self._owner])]
        return next((one for one in reversed(heard) if one.is_process_of(owner)), None)

    async def measure(self, bus: BusConnection, names: Names) -> None:
        """Ask the owner for its time, where that is due; where it does not answer, what was known holds."""
        with self._lock:
            owner, asked_at = self._owner, self._monotonic()
            if owner is None or asked_at < self._due_at:
                return
            if owner in self._known:
                self._due_at = asked_at + AGAIN_SECONDS  # one is enough to ask anew
        found = await self._ask(bus, names, owner)
        with self._lock:
            if owner != self._owner:
                return  # whose answer this is, nobody knows
            now = self._measured_at = self._monotonic()
            if found is None:
                self._asked_in_vain, self._due_at = True, now + AGAIN_SECONDS
                return
            known = self._known.get(owner)
            self._keep(owner, found if known is None else known.better(found))
            self._due_at = now + CLOCK_SECONDS

    async def _ask(self, bus: BusConnection, names: Names, owner: _Owner) -> Offset | None:
        asked_at = self._monotonic()
        try:
            owner_ns = int(await bus.ask(names.ask("time"), process_named(owner.where, owner.pid)))
        except (StreamError, ValueError):
            return None
        # Counted back from the answer: this clock may have been set since it was asked.
        answered_ns = self._now_ns()
        took_ns = int((self._monotonic() - asked_at) * NANOSECONDS)
        return Offset.of(answered_ns - took_ns, owner_ns, answered_ns)

    def _follow_on(self, before: _Owner, owner: _Owner) -> None:
        offset = self._known.get(before) if before.where == owner.where else None
        if offset is not None and owner not in self._known:
            self._keep(owner, offset)
        self._note_move()

    def _note_terms(self, owner: _Owner, published: Mapping[str, Published]) -> None:
        self._terms |= {(stream, at.epoch): owner for stream, at in published.items()}

    def _keep(self, owner: _Owner, offset: Offset) -> None:
        self._known[owner] = offset
        while len(self._known) > KEPT_OWNERS:
            del self._known[next(one for one in self._known if one != self._owner)]
            self._terms = {term: one for term, one in self._terms.items() if one in self._known}
        self._note_move()

    def _note_move(self) -> None:
        """Count it where receipts of the owner that spoke last are of another moment now."""
        known = None if self._owner is None else self._known.get(self._owner)
        used_ns = known.ahead_ns if known is not None and known.matters else 0
        if abs(used_ns - self._used_ns) >= WORTH_SAYING_NS:
            self._moves, self._used_ns = self._moves + 1, used_ns
