"""Holds the lease of a desk, or waits for it: the thread and the connection on which `LeaseCourse` is carried out."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable
from typing import Final

from options_helper.bus.address import BusAddress
from options_helper.bus.connection import BusConnection, StoreWish
from options_helper.bus.lease import TTL_SECONDS, Claim
from options_helper.bus.lease_course import LeaseCourse, Standing
from options_helper.bus.loop import LoopThread
from options_helper.clock import elapsed_seconds
from options_helper.errors import OptionsHelperError, StreamError

log = logging.getLogger(__name__)

# So often the holder looks at its clock, and who waits at the lease.
LOOK_SECONDS: Final = 0.1
CALL_SECONDS: Final = 5.0
RELEASE_SECONDS: Final = 1.5


def lease_store(address: BusAddress) -> StoreWish:
    """What the server is to keep: a bucket of two keys, each for as long as a lease."""
    names = address.names
    return StoreWish(
        names.lease_store, (names.lease_keys,), max_age=TTL_SECONDS, per_subject=1, duplicates=TTL_SECONDS
    )


class LeaseKeeper:
    """Owns the thread `live-lease`. `open` first, then `stop`; `standing` is replaced whole and may be read by any.

    `lost` is called on that thread with a sentence when the lease is lost: it closes the streams, and until it returns
    nothing else is done there. What it raises is logged, and the next lease is looked after all the same. `elapsed` are
    seconds that go on while the computer sleeps.
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
        self._course = LeaseCourse(self._names, Claim(uuid.uuid4().hex, host, pid))
        self._lost, self._elapsed = lost, elapsed
        self._loop = LoopThread("live-lease")
        self._stopping = threading.Event()

    @property
    def standing(self) -> Standing:
        """How it is now; from any thread."""
        return self._course.standing

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
        self._course.want()

    @property
    def is_followed(self) -> bool:
        """Whether it is held, and somebody waits for it, as far as was known at the last renewal."""
        return self._course.is_followed

    def require_fresh(self) -> None:
        """StreamError where another may have the lease, for all that is known at this moment; from any thread."""
        self._course.require_fresh(self._elapsed())

    def give_back(self) -> None:
        """Let another have it at once; nothing where it is not held."""
        try:
            self._loop.call(self._release(), RELEASE_SECONDS)
        except StreamError as error:
            log.info("the lease was not given back: %s", error)

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
        """Look again and again, on whatever connection there is."""
        while not self._stopping.is_set():
            try:
                await self._keep_on(await self._connect())
            except OptionsHelperError as error:
                self._course.note_problem(str(error))
            except Exception as error:
                # The thread's last line: a lease that nobody renews any more is lost, and not held for ever.
                log.exception("the lease could not be looked after; it is tried again")
                self._course.note_problem(f"{type(error).__name__}: {error}")
            await asyncio.sleep(LOOK_SECONDS)

    async def _keep_on(self, bus: BusConnection) -> None:
        try:
            while not self._stopping.is_set() and not bus.ended.done():
                self._end_where_lost(await self._course.look(bus, self._elapsed()))
                self._course.note_problem(None)
                await asyncio.wait([bus.ended], timeout=LOOK_SECONDS)
            if bus.ended.done():
                self._course.note_problem(f"The connection to the bus ended: {bus.ended.result()}.")
        finally:
            await bus.close()

    async def _watch(self) -> None:
        """Judge by this computer's own clock, whatever the connection is waiting for."""
        while not self._stopping.is_set():
            self._end_where_lost(self._course.overdue(self._elapsed()))
            await asyncio.sleep(LOOK_SECONDS)

    async def _release(self) -> None:
        if not self._course.give_back():
            return
        bus = await self._connect()
        try:
            await self._course.free(bus)
        finally:
            await bus.close()

    def _end_where_lost(self, why: str | None) -> None:
        if why is not None:
            log.warning("%s", why)
            try:
                self._lost(why)
            except Exception:
                # Of somebody else's code: a keeper that ended by it would let the next lease run out unseen.
                log.exception("closing the streams failed, though another leads")
