"""What an owner's terms have in common: a connection, frames that are stored before they are folded, and words."""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from options_helper.bus.address import BusAddress
from options_helper.bus.admission import ServerFacts
from options_helper.bus.connection import BusConnection, StoreWish, TooLarge
from options_helper.bus.loop import LoopThread
from options_helper.bus.owner_term import OwnerTerm
from options_helper.bus.publisher import Fenced, StreamCounts
from options_helper.data.periodic_task import PeriodicTask
from options_helper.errors import OptionsHelperError, StreamError
from options_helper.model.announcement import Announcement
from options_helper.model.frames import Frame
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamId

log = logging.getLogger(__name__)

TELL_SECONDS: Final = 0.5
# What is asked of the bus is over after so long; each question inside has a shorter limit of its own.
CALL_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.25
STOP_SECONDS: Final = 2.0
# At the end what is on its way gets so long to arrive, or to be found there.
FINISH_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Owner:
    """Who the owner is, for whoever follows."""

    host: str
    pid: int
    epoch: int  # its term is at least this: the moment of its start, in epoch nanoseconds

    def host_with(self, accounts: Sequence[str]) -> str:
        """What programs of before show of an owner: they show one account, and say nothing of others."""
        if len(accounts) == 1:
            return self.host
        return f"{self.host}, with {len(accounts)} accounts ({', '.join(accounts)}), of which this is {accounts[0]}"


class TermCarrier(ABC):
    """Carries frames to the bus in one term of an owner's, and tells how it is; on threads of its own.

    `open` first: it begins the term, and an owner of before is refused from then on; StreamError where there is no bus.
    `tell_of` begins to tell, `close` says goodbye.
    """

    def __init__(
        self,
        address: BusAddress,
        term: OwnerTerm,
        *,
        what: str,
        threads: tuple[str, str],
        now_ns: Callable[[], int],
    ) -> None:
        """`what` brings what is carried, in words; `threads`: the loop's name, and that of the one that tells."""
        self._address, self._names, self._what = address, address.names, what
        self._now_ns = now_ns
        self._loop = LoopThread(threads[0])
        self._stopping = threading.Event()
        self._teller = PeriodicTask(threads[1], self._tell, TELL_SECONDS, self._could_not_tell)
        self._snapshot: Callable[[], LiveSnapshot] | None = None
        # The rest belongs to the loop's thread; what is replaced whole may be read by any.
        self._term = term
        self._connecting = asyncio.Lock()
        self._publishing = asyncio.Lock()
        self._connection: BusConnection | None = None
        self.problem: str | None = None
        self.facts: ServerFacts | None = None  # of the server that it was connected to last
        self.untold: Mapping[str, str] = {}  # what the bus does not take, and why, as a sentence

    @abstractmethod
    def _stores(self) -> tuple[StoreWish, ...]:
        """What the server is to keep."""

    @abstractmethod
    async def _tell_all(self, connection: BusConnection, snapshot: LiveSnapshot) -> None:
        """Tell what is known now."""

    @abstractmethod
    async def _say_goodbye(self, connection: BusConnection, snapshot: LiveSnapshot) -> None:
        """Tell that this owner has ended."""

    @abstractmethod
    async def _begun(self, connection: BusConnection) -> None:
        """Called once the term is open on a new connection."""

    def open(self) -> None:
        """Connect and make the stores. After an error nothing is left behind."""
        self._loop.start()
        try:
            self._loop.call(self._connected(), CALL_SECONDS)
        except BaseException:
            self._loop.stop(STOP_SECONDS)
            raise

    def tell_of(self, snapshot: Callable[[], LiveSnapshot]) -> None:
        """From now on tell what this run's snapshots say."""
        self._snapshot = snapshot
        self._teller.start(0.0)

    def _carry(
        self, frames: Sequence[Frame], announced: Announcement | None, account: str = DEFAULT_ACCOUNT
    ) -> bool:
        """Have the bus store these frames of that account's run, which waits meanwhile; False where the bus is away."""
        self._term.offer(frames, announced, self._now_ns(), account)
        try:
            self._loop.call(self._publish(), CALL_SECONDS)
        except Fenced as error:
            self._term.yield_to_another(str(error))
            raise
        except StreamError as error:
            if self.problem is None:
                log.warning("what %s bring waits for the bus: %s", self._what, error)
            self.problem = str(error)
            self._stopping.wait(PAUSE_SECONDS)
            return False
        self.problem = None
        self._term.settle(frames, account)
        return True

    @property
    def fenced(self) -> str | None:
        """Why this owner must end, as a sentence; None while no other is there."""
        return self._term.fenced

    @property
    def counts(self) -> Mapping[StreamId, StreamCounts]:
        """What became of each stream's events at the bus."""
        return self._term.counts

    @property
    def lost_messages(self) -> int:
        """Messages that the server had acknowledged, and lost."""
        return self._term.lost_messages

    @property
    def stored_unsettled(self) -> int:
        """Events that were found stored only after the run was told that the bus was away: it has them as queued."""
        return self._term.stored_unsettled

    @property
    def unknown(self) -> int:
        """Events that were on their way at the end, and may be stored or not."""
        return self._term.unknown

    def yield_to_another(self, why: str) -> None:
        """Publish and tell nothing from now on, at once; from any thread, and it waits for nothing."""
        self._term.yield_to_another(why)
        self._stopping.set()
        with suppress(RuntimeError):  # it has ended already
            self._loop.begin(self._disconnect())

    def close(self) -> None:
        """Have what is on its way stored, say that this owner has ended, and leave. After the run was stopped.

        At once where the bus answers; else each step is given up after some seconds.
        """
        self._stopping.set()
        self._teller.stop(STOP_SECONDS)
        try:
            if not self._term.is_done:
                self._finish()
            if self._snapshot is not None and self.fenced is None:
                self._loop.call(self._part(self._snapshot()), STOP_SECONDS)
            self._loop.call(self._disconnect(), STOP_SECONDS)
        except OptionsHelperError as error:
            log.info("no goodbye: %s", error)
        finally:
            self._loop.stop(STOP_SECONDS)

    async def _part(self, snapshot: LiveSnapshot) -> None:
        await self._say_goodbye(await self._connected(), snapshot)

    def _finish(self) -> None:
        """Publish what was offered and is not known to be stored, so that the ledger is told as it is."""
        try:
            self._loop.call(self._publish_patiently(), FINISH_SECONDS)
        except Fenced as error:
            self._term.yield_to_another(str(error))
        except StreamError as error:
            log.warning("whether the last events are stored is not known: %s", error)

    async def _publish_patiently(self) -> None:
        while True:
            try:
                await self._publish()
            except Fenced:
                raise
            except StreamError:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return

    async def _connected(self) -> BusConnection:
        """The connection, made anew where it is gone."""
        async with self._connecting:
            self._term.require_desk()
            connection = self._connection
            if connection is None or connection.ended.done():
                connection = self._connection = await self._connect()
                if self.fenced is not None:  # it was yielded when there was only the old one to close
                    await connection.close()
                    self._term.require_desk()
            return connection

    async def _connect(self) -> BusConnection:
        connection = BusConnection(self._address)
        try:
            await connection.open(f"options-helper owner of {self._names.desk}")
            self.facts = connection.facts
            for wish in self._stores():
                await connection.keep(wish)
            await self._term.begin(connection, self._now_ns())
            await self._begun(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _publish(self) -> None:
        # Held by whoever publishes, as one that was given up may still be ending.
        async with self._publishing:
            connection = await self._connected()
            try:
                await self._term.publish(connection, self._now_ns())
            except Fenced:
                raise
            except StreamError:
                # Whatever it was, a new connection begins with a clean slate.
                await connection.close()
                raise

    def _tell(self) -> None:
        if self._snapshot is None or self.fenced is not None:
            return
        try:
            self._loop.call(self._tell_now(self._snapshot()), CALL_SECONDS)
        except Fenced as error:
            self._term.yield_to_another(str(error))

    async def _tell_now(self, snapshot: LiveSnapshot) -> None:
        await self._tell_all(await self._connected(), snapshot)

    def _could_not_tell(self, error: Exception) -> None:
        log.info("the bus was not told how %s are: %s", self._what, error)

    async def _try_to_tell(self, untold: dict[str, str], what: str, telling: Awaitable[None]) -> None:
        """Tell one thing; what is too large for the bus is noted, and holds up nothing else."""
        try:
            await telling
        except TooLarge as error:
            untold[what] = str(error)
            if what not in self.untold:
                log.warning("the bus was not told %s: %s", what, error)
