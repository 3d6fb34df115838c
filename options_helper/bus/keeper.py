"""Holds the lease of a desk, or waits for it: who leads, who waits, and when to step down."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from options_helper.bus.address import BusAddress
from options_helper.bus.connection import BusConnection, StoreWish, WrongSequence
from options_helper.bus.lease import TTL_SECONDS, Claim, Lease, Step, read_claim
from options_helper.bus.loop import LoopThread
from options_helper.clock import elapsed_seconds
from options_helper.errors import OptionsHelperError, StreamError

log = logging.getLogger(__name__)

# So often the holder looks at its clock, and who waits at the lease.
LOOK_SECONDS: Final = 0.1
# So often who waits says so; the holder believes it for as long as a lease.
WAITING_SECONDS: Final = 1.0
CALL_SECONDS: Final = 5.0
RELEASE_SECONDS: Final = 1.5


def lease_store(address: BusAddress) -> StoreWish:
    """What the server is to keep: a bucket of two keys, each for as long as a lease."""
    names = address.names
    return StoreWish(
        names.lease_store, (names.lease_keys,), max_age=TTL_SECONDS, per_subject=1, duplicates=TTL_SECONDS
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """How it is now. `leader` is who leads where it is another, in words; `problem` is the connection's."""

    leads: bool = False
    leader: str | None = None
    problem: str | None = None


class LeaseKeeper:
    """Owns the thread `live-lease`. `open` first, then `stop`; `standing` is replaced whole and may be read by any.

    `lost` is called on that thread with a sentence when the lease is lost: it closes the streams, and until it returns
    nothing else is done there. `elapsed` are seconds that go on while the computer sleeps.
    """

    def __init__(
        self,
        address: BusAddress,
        host: str,
        pid: int,
        *,
        lost: Callable[[str], object],
        elapsed: Callable[[], float] = elapsed_seconds,
    ) -> None:
        self._address, self._names = address, address.names
        self._me = Claim(uuid.uuid4().hex, host, pid)
        self._lost, self._elapsed = lost, elapsed
        self._loop = LoopThread("live-lease")
        self._stopping = threading.Event()
        # Set while the lease is wanted; cleared while this program ends what it led before.
        self._wanted = threading.Event()
        self.standing = Standing()
        # Set at each change of who leads.
        self.changed = threading.Event()
        # The rest belongs to the loop's thread.
        self._lease: Lease | None = None
        self._count = 0
        self._said_at = float("-inf")

    def open(self) -> None:
        """Connect once, and go on in the background. After an error nothing is left behind."""
        self._loop.start()
        try:
            self._loop.call(self._try_once(), CALL_SECONDS)
        except BaseException:
            self._loop.stop(1.0)
            raise
        self._loop.begin(self._keep())
        self._loop.begin(self._watch())

    def want(self) -> None:
        """Take the lease as soon as it can be had."""
        self._wanted.set()

    @property
    def is_followed(self) -> bool:
        """Whether it is held, and somebody waits for it, as far as was known at the last renewal."""
        lease = self._lease
        return lease is not None and lease.is_followed

    def give_back(self) -> None:
        """Let another have it at once; nothing where it is not held."""
        self._wanted.clear()
        try:
            self._loop.call(self._release(), RELEASE_SECONDS)
        except StreamError as error:
            log.info("the lease was not given back, and runs out: %s", error)

    def stop(self) -> None:
        """End; about a second at most."""
        self._stopping.set()
        self._loop.stop(1.0)

    async def _try_once(self) -> None:
        bus = await self._connect()
        await bus.close()

    async def _connect(self) -> BusConnection:
        bus = BusConnection(self._address)
        try:
            await bus.open(f"options-helper lease of {self._names.desk}")
            await bus.keep(lease_store(self._address))
        except BaseException:
            await bus.close()
            raise
        return bus

    async def _keep(self) -> None:
        """Renew what is held, and try for what is not; again and again, on whatever connection there is."""
        while not self._stopping.is_set():
            try:
                await self._keep_on(await self._connect())
            except OptionsHelperError as error:
                self._note_problem(str(error))
            except Exception as error:
                # The thread's last line: a lease that nobody renews any more is lost, and not held for ever.
                log.exception("the lease could not be looked after; it is tried again")
                self._note_problem(f"{type(error).__name__}: {error}")
            await asyncio.sleep(LOOK_SECONDS)

    async def _keep_on(self, bus: BusConnection) -> None:
        try:
            while not self._stopping.is_set() and not bus.ended.done():
                await self._look(bus)
                self._note_problem(None)
                await asyncio.wait([bus.ended], timeout=LOOK_SECONDS)
            if bus.ended.done():
                self._note_problem(f"The connection to the bus ended: {bus.ended.result()}.")
        finally:
            await bus.close()

    async def _watch(self) -> None:
        """Judge by this computer's own clock, whatever the connection is waiting for."""
        while not self._stopping.is_set():
            lease = self._lease
            if lease is not None and lease.judge(self._elapsed()) is Step.STEP_DOWN:
                self._lose(
                    "The lease of this desk was not renewed in time, and another waits: this one steps down."
                )
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, bus: BusConnection) -> None:
        now, lease = self._elapsed(), self._lease
        if lease is None:
            await self._try_for_it(bus, now)
        elif lease.judge(now) is Step.RENEW:
            await self._renew(bus, lease.ask(now))

    async def _renew(self, bus: BusConnection, lease: Lease) -> None:
        self._lease = lease
        followed = await bus.last(self._names.lease_store, self._names.standby_key, direct=False) is not None
        try:
            revision = await self._write(bus, self._me, lease.revision)
        except WrongSequence:
            found = await self._found(bus)
            if self._lease is not lease:
                return  # it was given back meanwhile
            if found is not None and found[0].holder != self._me.holder:
                self._lose(f"{found[0].words} has taken the lease of this desk: this one steps down.")
                return
            # This one's own, whose acknowledgement was lost; or it has run out, and nobody has taken it.
            revision = await self._write(bus, self._me, 0 if found is None else found[1])
        if self._lease is lease:  # it may have been lost meanwhile
            self._lease = lease.renew(revision, is_followed=followed)

    async def _try_for_it(self, bus: BusConnection, now: float) -> None:
        found = await self._found(bus)
        if found is None or found[0].may_be_taken_by(self._me.holder):
            if not self._wanted.is_set():
                return
            try:
                revision = await self._write(bus, self._me, 0 if found is None else found[1])
            except WrongSequence:
                return  # another was quicker; the next look tells who
            self._lease = Lease(revision, now, now)
            self._stand(Standing(leads=True))
            return
        claim, _ = found
        if claim.words != self.standing.leader:
            self._stand(Standing(leader=claim.words))
        if self._wanted.is_set() and now - self._said_at >= WAITING_SECONDS:
            self._said_at = now
            await bus.store(self._names.standby_key, msgspec.msgpack.encode(self._me))

    async def _found(self, bus: BusConnection) -> tuple[Claim, int] | None:
        stored = await bus.last(self._names.lease_store, self._names.lease_key, direct=False)
        if stored is None:
            return None
        return read_claim(stored.data) or Claim("nobody", free=True), stored.sequence

    async def _write(self, bus: BusConnection, claim: Claim, last: int) -> int:
        self._count += 1
        return await bus.store_fenced(
            self._names.lease_key,
            msgspec.msgpack.encode(claim),
            message_id=f"{claim.holder}-{self._count}",
            last=last,
            of_subject=True,
        )

    async def _release(self) -> None:
        lease, self._lease = self._lease, None
        self._stand(Standing())
        if lease is None:
            return
        bus = await self._connect()
        try:
            found = await self._found(bus)
            if found is not None and found[0].holder == self._me.holder:
                await self._write(bus, msgspec.structs.replace(self._me, free=True), found[1])
        finally:
            await bus.close()

    def _lose(self, why: str) -> None:
        self._lease = None
        self._wanted.clear()
        # Before the streams are closed, so that whoever is about to open some sees it, or is told by `lost`.
        self._stand(Standing())
        log.warning("%s", why)
        self._lost(why)

    def _stand(self, standing: Standing) -> None:
        self.standing = standing
        self.changed.set()

    def _note_problem(self, problem: str | None) -> None:
        if problem != self.standing.problem:
            self.standing = Standing(self.standing.leads, self.standing.leader, problem)
