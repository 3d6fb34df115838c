"""The owner's side: publish each frame before it is folded, and say twice a second how the streams are.

`carry` is what a run gives its frames to; it waits until the bus has stored them, one batch in flight, so that load
makes batches larger and not slower. While the bus is away frames wait in the run's own queue, and what finds that full
is dropped and counted there.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from options_helper import __version__
from options_helper.bus.address import BusAddress
from options_helper.bus.admission import ServerFacts
from options_helper.bus.connection import BusConnection, Reply, StoreWish
from options_helper.bus.demand import Demand, demands, read_wish
from options_helper.bus.detail import Detail
from options_helper.bus.loop import LoopThread
from options_helper.bus.names import Names
from options_helper.bus.owner_term import OwnerTerm
from options_helper.bus.publisher import NO_FEEDS, Fenced, StreamCounts
from options_helper.bus.slow_feed import SLOW_SECONDS, SlowFeed
from options_helper.bus.truth import (
    DeskAccount,
    DeskBooks,
    DeskHealth,
    DeskNews,
    DeskRisk,
    Published,
    pictures,
)
from options_helper.data.periodic_task import PeriodicTask
from options_helper.data.streaming.connection.connection_runner import Streamer, StreamSink
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.engine.stream_source import StreamSource
from options_helper.data.streaming.messages import Decode
from options_helper.errors import OptionsHelperError, StreamError
from options_helper.model.announcement import Announcement
from options_helper.model.frames import Frame
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import StreamId
from options_helper.settings import Settings

log = logging.getLogger(__name__)

TELL_SECONDS: Final = 0.5
# What is asked of the bus is over after so long; each question inside has a shorter limit of its own.
CALL_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.25
STOP_SECONDS: Final = 2.0
# At the end what is on its way gets so long to arrive, or to be found there.
FINISH_SECONDS: Final = 3.0
MARKET_AGE_SECONDS: Final = 4 * 3600.0
ACCOUNT_AGE_SECONDS: Final = 7 * 86_400.0
ACCOUNT_BYTES: Final = 100_000_000
DEFAULT_KEEP_BYTES: Final = 2 * 1024**3
_NO_LIMITS: Final[Mapping[StreamId, int | None]] = {}


@dataclass(frozen=True, slots=True)
class Owner:
    """Who the owner is, for whoever follows."""

    host: str
    pid: int
    epoch: int  # its term is at least this: the moment of its start, in epoch nanoseconds


class AnnouncedSource:
    """A source that remembers what a simulator announced, so that it can be told to those who follow."""

    def __init__(self, source: StreamSource) -> None:
        self._source = source
        self.streams: Sequence[StreamId] = tuple(source.streams)
        self.check = source.check
        # Replaced whole by the stream threads.
        self.announced: Announcement | None = None

    def streamer(
        self, stream: StreamId, settings: Settings, config: LiveStreamConfig, sink: StreamSink
    ) -> Streamer:
        """As the source makes it."""
        return self._source.streamer(stream, settings, config, _Listening(sink, self._hear))

    def decoder(self, stream: StreamId) -> Decode:
        """The source's own."""
        return self._source.decoder(stream)

    def _hear(self, header: str) -> None:
        self.announced = Announcement.parse(header)


class _Listening:
    """A sink that lets somebody else hear the announcement too."""

    def __init__(self, sink: StreamSink, hear: Callable[[str], None]) -> None:
        self._sink, self._hear = sink, hear
        self.subscribed, self.answered, self.frame = sink.subscribed, sink.answered, sink.frame
        self.notice, self.invite, self.may_wait = sink.notice, sink.invite, sink.may_wait

    def connected(self, announcement: str | None) -> None:
        """Pass it on."""
        self._sink.connected(announcement)
        if announcement is not None:
            self._hear(announcement)


def stores_of(names: Names, keep_bytes: int) -> tuple[StoreWish, ...]:
    """What a desk needs the server to keep."""
    published, followed = names.stored_market
    orders, followed_orders = names.stored_account
    return (
        StoreWish(
            names.market_store,
            (published,),
            (published, followed),
            max_bytes=keep_bytes,
            max_age=MARKET_AGE_SECONDS,
        ),
        StoreWish(
            names.account_store,
            (orders,),
            (orders, followed_orders),
            max_bytes=ACCOUNT_BYTES,
            max_age=ACCOUNT_AGE_SECONDS,
        ),
        StoreWish(names.state_store, (names.state(">"),), (names.state(">"), names.told(">")), per_subject=1),
        StoreWish(
            names.account_state_store,
            (names.account_state(">"),),
            (names.account_state(">"), names.account_told(">")),
            per_subject=1,
        ),
    )


class BusOwner:
    """Carries one run's frames to the bus, and tells how it is. `carry` is for the run's consumer alone.

    `open` first: it begins this owner's term, and an owner of before is refused from then on; StreamError where there
    is no bus. `tell_of` begins to tell, `close` says goodbye. `limits` are the streams of which viewers may
    want symbols, and how many the plan allows of each; None: any number. `feeds` are what the streams are of, all the
    term long.
    """

    def __init__(
        self,
        address: BusAddress,
        owner: Owner,
        streams: Sequence[StreamId],
        *,
        now_ns: Callable[[], int],
        announced: Callable[[], Announcement | None] = lambda: None,
        keep_bytes: int = DEFAULT_KEEP_BYTES,
        limits: Mapping[StreamId, int | None] = _NO_LIMITS,
        feeds: Mapping[StreamId, str] = NO_FEEDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        # Guarded by its lock: asked on the loop's thread, read by whoever follows the wishes.
        self._demands = demands(limits)
        self._demands_lock = threading.Lock()
        self._monotonic = monotonic
        self._address, self._names, self._owner = address, address.names, owner
        self._now_ns = now_ns
        self._announced = announced
        self._keep_bytes = keep_bytes
        self._loop = LoopThread("live-bus")
        self._stopping = threading.Event()
        self._teller = PeriodicTask("live-desk", self._tell, TELL_SECONDS, self._could_not_tell)
        self._snapshot: Callable[[], LiveSnapshot] | None = None
        # The rest belongs to the loop's thread; what is replaced whole may be read by any.
        self._slow = SlowFeed()
        self._feeds = feeds
        self._term = OwnerTerm(self._names, streams, owner.epoch, self._slow.take, feeds=feeds)
        self._connecting = asyncio.Lock()
        self._publishing = asyncio.Lock()
        self._connection: BusConnection | None = None
        self._answers: set[asyncio.Future[None]] = set()
        self.problem: str | None = None
        self.facts: ServerFacts | None = None  # of the server that it was connected to last

    def open(self) -> None:
        """Connect and make the stores. After an error nothing is left behind."""
        self._loop.start()
        try:
            self._loop.call(self._connected(), CALL_SECONDS)
        except BaseException:
            self._loop.stop(STOP_SECONDS)
            raise
        self._loop.begin(self._tell_slowly())

    def tell_of(self, snapshot: Callable[[], LiveSnapshot]) -> None:
        """From now on tell what this run's snapshots say."""
        self._snapshot = snapshot
        self._teller.start(0.0)

    def carry(self, frames: Sequence[Frame]) -> bool:
        """Have the bus store these frames; False where it is away, after a moment. Raises Fenced for good."""
        self._term.offer(frames, self._announced(), self._now_ns())
        try:
            self._loop.call(self._publish(), CALL_SECONDS)
        except Fenced as error:
            self._term.yield_to_another(str(error))
            raise
        except StreamError as error:
            if self.problem is None:
                log.warning("what the streams bring waits for the bus: %s", error)
            self.problem = str(error)
            self._stopping.wait(PAUSE_SECONDS)
            return False
        self.problem = None
        self._term.settle(frames)
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

        About two seconds where the bus answers, and seven at most.
        """
        self._stopping.set()
        self._teller.stop(STOP_SECONDS)
        try:
            if not self._term.is_done:
                self._finish()
            if self._snapshot is not None and self.fenced is None:
                self._loop.call(self._say_goodbye(self._snapshot()), STOP_SECONDS)
            self._loop.call(self._disconnect(), STOP_SECONDS)
        except OptionsHelperError as error:
            log.info("no goodbye: %s", error)
        finally:
            self._loop.stop(STOP_SECONDS)

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
            for wish in stores_of(self._names, self._keep_bytes):
                await connection.keep(wish)
            await self._term.begin(connection, self._now_ns())
            await connection.subscribe(self._names.ask("time"), lambda _, __, answer: self._tell_time(answer))
            await connection.subscribe(
                self._names.ask("want"), lambda _, data, answer: self._take_wish(data, answer)
            )
        except BaseException:
            await connection.close()
            raise
        return connection

    def unite(self, own: Mapping[StreamId, Sequence[str]]) -> dict[StreamId, tuple[str, ...]]:
        """What is to be streamed now: the owner's own symbols, and what those who follow want."""
        with self._demands_lock:
            for stream, demand in self._demands.items():
                demand.hold(own.get(stream, ()))
                demand.expire(self._monotonic())
            return {stream: demand.symbols for stream, demand in self._demands.items()}

    @property
    def on_demand(self) -> dict[StreamId, dict[str, tuple[str, ...]]]:
        """Of each stream the channels that those who follow want besides, with the symbols."""
        with self._demands_lock:
            return {stream: demand.channels for stream, demand in self._demands.items()}

    @property
    def left_out(self) -> str | None:
        """Which of the owner's own symbols find no room, as a sentence; None where all do."""
        with self._demands_lock:
            left = {stream: demand for stream, demand in self._demands.items() if demand.left_out}
            return " ".join(demand.left_out_sentence for demand in left.values()) or None

    @property
    def viewers(self) -> int:
        """How many ask for symbols."""
        with self._demands_lock:
            return max((demand.viewers for demand in self._demands.values()), default=0)

    def _demand_for(self, name: str) -> Demand | None:
        return next((demand for stream, demand in self._demands.items() if stream == name), None)

    async def _tell_slowly(self) -> None:
        """Send the slow feed while this owner serves; what finds no connection is missed, and counted there."""
        while not self._stopping.is_set():
            await asyncio.sleep(SLOW_SECONDS)
            connection = self._connection
            if self.fenced is not None or connection is None or connection.ended.done():
                continue
            try:
                for stream, data in self._slow.flush(self._monotonic(), connection.room):
                    await connection.send(self._names.slow(stream), data)
            except StreamError as error:
                log.info("the slow feed was not sent: %s", error)
            except Exception:
                # This task's last line: the next interval is sent, and who follows counts what he missed.
                log.exception("the slow feed was not sent")

    def _take_wish(self, data: bytes, answer: Reply | None) -> None:
        """Answer a viewer that wants symbols; what is no wish has no answer."""
        wish = read_wish(data)
        demand = None if wish is None else self._demand_for(wish.stream)
        if wish is None or demand is None or answer is None:
            return
        with self._demands_lock:
            if not demand.may_ask(wish.viewer, self._monotonic()):
                return
            told = demand.ask(wish, self._monotonic())
        if wish.detail == Detail.SLOW:
            self._slow.want(demand.stream, self._monotonic())
        self._send(answer, msgspec.msgpack.encode(told))

    def _tell_time(self, answer: Reply | None) -> None:
        """Answer a viewer that asks for this computer's time."""
        if answer is not None:
            self._send(answer, str(self._now_ns()).encode())

    def _send(self, answer: Reply, data: bytes) -> None:
        task = asyncio.ensure_future(answer(data))
        self._answers.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Future[None]) -> None:
        self._answers.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("a viewer's question was not answered: %s", error)

    async def _disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _publish(self) -> None:
        # Held by whoever publishes, as one that was given up may still be ending.
        async with self._publishing:
            connection = await self._connected()
            try:
                await self._term.publish(connection)
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
            self._loop.call(self._tell_all(self._snapshot()), CALL_SECONDS)
        except Fenced as error:
            self._term.yield_to_another(str(error))

    def _could_not_tell(self, error: Exception) -> None:
        log.info("the bus was not told how the streams are: %s", error)

    async def _say_goodbye(self, snapshot: LiveSnapshot) -> None:
        await self._tell_health(await self._connected(), snapshot, ended=True)

    async def _tell_all(self, snapshot: LiveSnapshot) -> None:
        connection = await self._connected()
        teller = self._term.teller
        account = DeskAccount(snapshot.account, snapshot.fills, snapshot.expiry_facts)
        parts = list(pictures(snapshot))
        await teller.tell_account(connection, "truth", account)
        await teller.tell(connection, "risk", DeskRisk.of(snapshot.risk_inputs))
        await teller.tell(connection, "news", DeskNews(snapshot.news))
        for number, part in enumerate(parts):
            await teller.tell(connection, f"picture.{number}", part)
        await self._tell_health(connection, snapshot, parts=len(parts))
        # Last: what is too large for the server to take holds up nothing else. None too: another owner had some.
        await teller.tell(connection, "books", DeskBooks(dict(snapshot.books)))

    async def _tell_health(
        self, connection: BusConnection, snapshot: LiveSnapshot, *, parts: int = 0, ended: bool = False
    ) -> None:
        health = self._health(snapshot, parts=parts, ended=ended)
        await self._term.teller.tell(connection, "health", health)

    def _health(self, snapshot: LiveSnapshot, *, parts: int, ended: bool) -> DeskHealth:
        return DeskHealth(
            program=__version__,
            host=self._owner.host,
            pid=self._owner.pid,
            epoch=self._term.epoch,
            at_ns=self._now_ns(),
            as_of_ns=datetime_nanoseconds(snapshot.as_of),
            market=snapshot.market,
            announcement=self._announcement(snapshot),
            running=snapshot.running,
            ended=ended,
            played_out=snapshot.played_out,
            replay_of=snapshot.replay_of,
            streams={str(name): health for name, health in snapshot.streams.items()},
            feeds={str(name): feed for name, feed in self._feeds.items()},
            published={str(name): Published(at.epoch, at.events) for name, at in self._term.progress.items()},
            unsendable={
                str(name): one.unsendable for name, one in self._term.counts.items() if one.unsendable
            },
            picture_parts=parts,
            clock_skew=snapshot.clock_skew,
            told_sessions=dict(snapshot.told_sessions),
            books=tuple(snapshot.books),
        )

    def _announcement(self, snapshot: LiveSnapshot) -> str | None:
        """What the simulator would announce now."""
        announced = self._announced()
        if announced is None or not snapshot.market.plays:
            return None  # the snapshot is of before it
        return replace(announced, now_ns=datetime_nanoseconds(snapshot.as_of)).header()
