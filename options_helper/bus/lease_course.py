"""Who leads a desk: what one that wants the lease does at each look, and what the server's answers come to.

Knows no thread, event loop or clock: moments come in as values, and what is asked goes to whatever `Bus` is at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from options_helper.bus.connection import Stored, WrongSequence
from options_helper.bus.lease import Claim, Lease, Step, read_claim
from options_helper.bus.names import Names
from options_helper.errors import StreamError

# So often who waits says so; the holder believes it for as long as a lease.
WAITING_SECONDS: Final = 1.0
TRIES: Final = 3
NOT_FRESH: Final = (
    "Whether this one still has the lease of the desk is not known; it begins nothing before that is."
)
NOT_IN_TIME: Final = "The lease of this desk was not renewed in time, and another waits: this one steps down."


class Bus(Protocol):
    """What a look needs of a `BusConnection`."""

    async def last(self, store: str, subject: str, *, direct: bool = True) -> Stored | None:
        """The newest message of a subject."""

    async def store(self, subject: str, data: bytes) -> int:
        """Store it, whatever is there."""

    async def store_fenced(
        self, subject: str, data: bytes, *, message_id: str, last: int, of_subject: bool = False
    ) -> int:
        """Store it if the last message of that subject has this sequence; the one it got."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How it is now. `leader` is who leads where it is another, in words; `problem` is the connection's."""

    leads: bool = False
    leader: str | None = None
    problem: str | None = None


class LeaseCourse:
    """The lease of one who holds it, waits for it or does not want it. Moments are seconds of a clock that nobody sets.

    What `overdue` and `look` return is why the lease is lost, as a sentence: end what was led before anything else is
    asked. While one awaits an answer the others may be called. `standing` is replaced whole; `want` and it may be used
    from any thread.
    """

    def __init__(self, names: Names, me: Claim) -> None:
        self._names, self._me = names, me
        self.standing = Standing()
        # Cleared while this program ends what it led before.
        self._is_wanted = False
        self._lease: Lease | None = None
        self._may_stand = (
            False  # the server may have it as this one's: it was written, and is not known to be free since
        )
        self._count = 0
        self._said_at = float("-inf")

    def want(self) -> None:
        """Take the lease as soon as it can be had."""
        self._is_wanted = True

    @property
    def is_followed(self) -> bool:
        """Whether it is held, and somebody waits for it, as far as was known at the last renewal."""
        lease = self._lease
        return lease is not None and lease.is_followed

    def require_fresh(self, now: float) -> None:
        """StreamError where another may have the lease, for all that is known here: no term is to begin then.

        Also where nobody waits, as far as was known: whoever was asleep knows nothing of what came meanwhile.
        """
        lease = self._lease
        if lease is None or not lease.is_fresh(now):
            raise StreamError(NOT_FRESH)

    def note_problem(self, problem: str | None) -> None:
        """Note why the server cannot be asked, as a sentence; None where it can."""
        if problem != self.standing.problem:
            self.standing = Standing(self.standing.leads, self.standing.leader, problem)

    def overdue(self, now: float) -> str | None:
        """Judge without the server, whatever is being asked."""
        lease = self._lease
        if lease is None or lease.judge(now) is not Step.STEP_DOWN:
            return None
        return self._lose(NOT_IN_TIME)

    async def look(self, bus: Bus, now: float) -> str | None:
        """Renew what is held, or try for what is not. StreamError as what is asked raises it."""
        lease = self._lease
        if lease is None:
            await self._try_for_it(bus, now)
            return None
        return await self._renew(bus, lease.ask(now)) if lease.judge(now) is Step.RENEW else None

    async def _renew(self, bus: Bus, lease: Lease) -> str | None:
        self._lease = lease
        followed = await bus.last(self._names.lease_store, self._names.standby_key, direct=False) is not None
        try:
            revision = await self._write(bus, self._me, lease.revision)
        except WrongSequence:
            found = await self._found(bus)
            if self._lease is not lease:
                return None  # it was given back meanwhile
            if found is not None and found[0].holder != self._me.holder:
                self._may_stand = False
                return self._lose(f"{found[0].words} has taken the lease of this desk: this one steps down.")
            # This one's own, whose acknowledgement was lost; or it has run out, and nobody has taken it.
            revision = await self._write(bus, self._me, 0 if found is None else found[1])
        if self._lease is lease:  # it may have been lost meanwhile
            self._lease = lease.renew(revision, is_followed=followed)
        else:
            await self.free(bus)
        return None

    async def _try_for_it(self, bus: Bus, now: float) -> None:
        found = await self._found(bus)
        if found is None or found[0].may_be_taken_by(self._me.holder):
            if self._is_wanted:
                await self._take(bus, now, 0 if found is None else found[1])
            return
        claim, _ = found
        if claim.words != self.standing.leader:
            self.standing = Standing(leader=claim.words)
        if self._is_wanted and now - self._said_at >= WAITING_SECONDS:
            self._said_at = now
            await bus.store(self._names.standby_key, msgspec.msgpack.encode(self._me))

    async def _take(self, bus: Bus, now: float, last: int) -> None:
        try:
            revision = await self._write(bus, self._me, last)
        except WrongSequence:
            return  # another was quicker; the next look tells who
        if self._is_wanted:
            self._lease = Lease(revision, now, now)
            self.standing = Standing(leads=True)
        else:  # it was given back while the answer was on its way
            await self.free(bus)

    async def _found(self, bus: Bus) -> tuple[Claim, int] | None:
        stored = await bus.last(self._names.lease_store, self._names.lease_key, direct=False)
        if stored is None:
            return None
        return read_claim(stored.data) or Claim("nobody", free=True), stored.sequence

    async def _write(self, bus: Bus, claim: Claim, last: int) -> int:
        self._count += 1
        self._may_stand |= not claim.free
        return await bus.store_fenced(
            self._names.lease_key,
            msgspec.msgpack.encode(claim),
            message_id=f"{claim.holder}-{self._count}",
            last=last,
            of_subject=True,
        )

    def give_back(self) -> bool:
        """Hold and want it no more; whether there is something for `free` to tell."""
        self._lease, self._is_wanted = None, False
        self.standing = Standing()
        return self._may_stand

    async def free(self, bus: Bus) -> None:
        """Tell the server that what this one held is anybody's; nothing where it holds it anew."""
        for _ in range(TRIES):
            found = await self._found(bus)
            if self._lease is not None:
                return
            if found is not None and found[0].holder == self._me.holder and not found[0].free:
                try:
                    await self._write(bus, msgspec.structs.replace(self._me, free=True), found[1])
                except WrongSequence:
                    continue  # a renewal that was on its way came between
            self._may_stand = False
            return

    def _lose(self, why: str) -> str:
        self._lease, self._is_wanted = None, False
        # Before the streams are closed, so that whoever is about to open some sees it, or is told by the shell.
        self.standing = Standing()
        return why
