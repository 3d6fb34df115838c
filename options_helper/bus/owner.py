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
from dataclasses import replace
from typing import Final

import msgspec

from options_helper import __version__
from options_helper.bus.address import BusAddress
from options_helper.bus.clocks import process_named
from options_helper.bus.connection import BusConnection, Reply, StoreWish
from options_helper.bus.demand import Demand, demands, read_wish
from options_helper.bus.detail import Detail
from options_helper.bus.owner_term import OwnerTerm, Require, no_lease
from options_helper.bus.publisher import NO_FEEDS
from options_helper.bus.slow_feed import SLOW_SECONDS, SlowFeed
from options_helper.bus.stores import DEFAULT_KEEP_BYTES, stores_of
from options_helper.bus.teller import DeskTeller
from options_helper.bus.term_carrier import Owner, TermCarrier
from options_helper.bus.truth import (
    DeskAccount,
    DeskBooks,
    DeskHealth,
    DeskNews,
    DeskRisk,
    Published,
    pictures,
)
from options_helper.data.streaming.connection.connection_runner import Streamer, StreamSink
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.engine.stream_source import StreamSource
from options_helper.data.streaming.messages import Decode
from options_helper.errors import StreamError
from options_helper.model.announcement import Announcement
from options_helper.model.frames import Frame
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamId
from options_helper.settings import Settings

log = logging.getLogger(__name__)

_NO_LIMITS: Final[Mapping[StreamId, int | None]] = {}


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


class BusOwner(TermCarrier):
    """Carries one run's frames to the bus, and tells how it is. `carry` is for the run's consumer alone.

    `limits` are the streams of which viewers may want symbols, and how many the plan allows of each; None: any number.
    `feeds` are what the streams are of, all the term long. `accounts` are all that this desk serves, its own the first.
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
        accounts: Sequence[str] = (DEFAULT_ACCOUNT,),
        monotonic: Callable[[], float] = time.monotonic,
        require_lease: Require = no_lease,
    ) -> None:
        self._slow, self._words = SlowFeed(), DeskTeller(address.names)
        super().__init__(
            address,
            OwnerTerm(
                address.names,
                streams,
                owner.epoch,
                self._words,
                self._slow.take,
                feeds=feeds,
                require_lease=require_lease,
            ),
            what="the streams",
            threads=("live-bus", "live-desk"),
            now_ns=now_ns,
        )
        # Guarded by its lock: asked on the loop's thread, read by whoever follows the wishes.
        self._demands = demands(limits)
        self._demands_lock = threading.Lock()
        self._monotonic = monotonic
        self._owner, self._accounts = owner, tuple(accounts)
        self._host = owner.host_with(self._accounts)
        self._announced = announced
        self._keep_bytes = keep_bytes
        self._feeds = feeds
        self._answers: set[asyncio.Future[None]] = set()

    def open(self) -> None:
        """Connect and make the stores. After an error nothing is left behind."""
        super().open()
        self._loop.begin(self._tell_slowly())

    def carry(self, frames: Sequence[Frame]) -> bool:
        """Have the bus store these frames; False where it is away, after a moment. Raises Fenced for good."""
        return self._carry(frames, self._announced())

    def _stores(self) -> tuple[StoreWish, ...]:
        return stores_of(self._names, self._keep_bytes)

    async def _begun(self, connection: BusConnection) -> None:
        await connection.subscribe(
            self._names.ask("time"), lambda _, data, answer: self._tell_time(data, answer)
        )
        await connection.subscribe(
            self._names.ask("want"), lambda _, data, answer: self._take_wish(data, answer)
        )

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
        # Whoever serves now is asked as well, and answers.
        if wish is None or demand is None or answer is None or self.fenced is not None:
            return
        with self._demands_lock:
            if not demand.may_ask(wish.viewer, self._monotonic()):
                return
            told = demand.ask(wish, self._monotonic())
        if wish.detail == Detail.SLOW:
            self._slow.want(demand.stream, self._monotonic())
        self._send(answer, msgspec.msgpack.encode(told))

    def _tell_time(self, asked: bytes, answer: Reply | None) -> None:
        """Answer a viewer that asks for this computer's time, unless it asks another; one of before names nobody."""
        is_meant = asked in (b"", process_named(self._owner.host, self._owner.pid))
        if answer is not None and is_meant and self.fenced is None:
            self._send(answer, str(self._now_ns()).encode())

    def _send(self, answer: Reply, data: bytes) -> None:
        task = asyncio.ensure_future(answer(data))
        self._answers.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Future[None]) -> None:
        self._answers.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("a viewer's question was not answered: %s", error)

    async def _say_goodbye(self, connection: BusConnection, snapshot: LiveSnapshot) -> None:
        await self._tell_health(connection, snapshot, ended=True)

    async def _tell_all(self, connection: BusConnection, snapshot: LiveSnapshot) -> None:
        untold: dict[str, str] = {}
        account = DeskAccount(snapshot.account, snapshot.fills, snapshot.expiry_facts, self._accounts[0])
        parts = list(pictures(snapshot))
        await self._try_to_tell(untold, "truth", self._words.tell_account(connection, "truth", account))
        said: list[tuple[str, msgspec.Struct]] = [
            ("risk", DeskRisk.of(snapshot.risk_inputs)),
            ("news", DeskNews(snapshot.news)),
            *((f"picture.{number}", part) for number, part in enumerate(parts)),
            # None too: another owner had some.
            ("books", DeskBooks(dict(snapshot.books))),
        ]
        for what, value in said:
            await self._try_to_tell(untold, what, self._words.tell(connection, what, value))
        self.untold = untold
        # Last, as it says how many pictures there are, and what is not to be believed of the rest.
        await self._tell_health(connection, snapshot, parts=len(parts))

    async def _tell_health(
        self, connection: BusConnection, snapshot: LiveSnapshot, *, parts: int = 0, ended: bool = False
    ) -> None:
        health = self._health(snapshot, parts=parts, ended=ended)
        await self._words.tell(connection, "health", health)

    def _health(self, snapshot: LiveSnapshot, *, parts: int, ended: bool) -> DeskHealth:
        return DeskHealth(
            program=__version__,
            host=self._host,
            computer=self._owner.host,
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
            untold=dict(self.untold),
            accounts=self._accounts,
        )

    def _announcement(self, snapshot: LiveSnapshot) -> str | None:
        """What the simulator would announce now."""
        announced = self._announced()
        if announced is None or not snapshot.market.plays:
            return None  # the snapshot is of before it
        return replace(announced, now_ns=datetime_nanoseconds(snapshot.as_of)).header()
