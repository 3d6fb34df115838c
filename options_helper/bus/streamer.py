"""One stream, followed over the bus: what a `StreamWorker` runs in place of a connection to Alpaca."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from options_helper.bus.accounts import AccountPlace, place_of
from options_helper.bus.address import BusAddress
from options_helper.bus.clocks import DeskClock
from options_helper.bus.connection import BusConnection, Followed
from options_helper.bus.demand import ANSWERS, ASK_SECONDS, BOOKS, LOOKS, ON_DEMAND, Answer, Wish
from options_helper.bus.detail import Detail, Pace
from options_helper.bus.legs import Leg
from options_helper.bus.loop import end_tasks
from options_helper.bus.truth import DeskHealth
from options_helper.bus.truth import decode as decode_truth
from options_helper.bus.viewed_stream import ViewedStream, readable
from options_helper.clock import utc_now_ns
from options_helper.data.streaming.connection.alpaca_sdk import ConnectionTiming
from options_helper.data.streaming.connection.connection_runner import ConnectionRunner, StreamSink
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.messages import Decode, decode_frame
from options_helper.errors import StreamError, StreamRefused
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamId, StreamName
from options_helper.settings import Settings

log = logging.getLogger(__name__)

# So often a viewer looks whether it keeps up.
PACE_SECONDS: Final = 0.25
# An owner answers a viewer once a second, but for some at once.
BETWEEN_SECONDS: Final = 1.0
# A slow feed speaks three times a second.
SILENT_SECONDS: Final = 3.0
CLOCK_LOOK_SECONDS: Final = 0.1
NO_OWNER: Final = -1  # in place of a term
NO_BOOKS: Final = "The owner streams no order book of it: `stream serve --books` names whose it is to stream."


class Legs:
    """The legs of all streams of one viewer; written by the stream threads, read by any."""

    def __init__(self, asked: Detail = Detail.FULL) -> None:
        self._lock = threading.Lock()
        self._legs: dict[StreamId, Leg] = {}
        self.holes = 0  # how often a picture was needed since; only ever grows
        self._pace = Pace(asked)

    def pace(self, fill: float, now: float) -> Pace:
        """Whether this viewer keeps up, judged now, by how full its queue is."""
        with self._lock:
            self._pace = self._pace.judge(fill, now)
            return self._pace

    def of(self, stream: StreamId) -> Leg:
        """How that stream is."""
        with self._lock:
            return self._legs.get(stream) or Leg(stream)

    def put(self, leg: Leg, *, hole: bool) -> None:
        """Replace it; a hole wants a picture."""
        with self._lock:
            self._legs[leg.stream] = leg
            self.holes += hole

    def want_picture(self) -> None:
        """A connection begins: what came while there was none may be all there is for long."""
        with self._lock:
            self.holes += 1

    def forget(self) -> None:
        """A new run counts from its own beginning."""
        with self._lock:
            self._legs.clear()


class BusLink:
    """A connection to the bus, as `ConnectionRunner` holds one."""

    def __init__(self, address: BusAddress, who: str) -> None:
        self._address, self._who = address, who
        self._bus: BusConnection | None = None

    async def open(self) -> None:
        """Connect."""
        self._bus = BusConnection(self._address)
        await self._bus.open(self._who)

    @property
    def bus(self) -> BusConnection:
        """The open connection."""
        if self._bus is None:
            raise StreamError("The connection to the bus is not open.")
        return self._bus

    async def ended(self) -> None:
        """Wait until it is gone."""
        await asyncio.shield(self.bus.ended)

    def loss(self) -> StreamError:
        """Why it is gone."""
        why = self.bus.ended.result() if self.bus.ended.done() else "it is open"
        return StreamError(f"The connection to the bus at {self._address.url} ended: {why}.")

    async def close(self) -> None:
        """Leave."""
        if self._bus is not None:
            await self._bus.close()


class BusStreamer(ConnectionRunner[BusLink]):
    """Follows one stream of an owner; the symbols that it is asked for are those that the worker is told of.

    What the owner streams beside them comes too, and is left to the fold.
    """

    RANK = LOOKS  # of its wishes

    def __init__(
        self,
        address: BusAddress,
        stream: StreamId,
        sink: StreamSink,
        legs: Legs,
        *,
        viewer: str,
        clock: DeskClock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        fill: Callable[[], float] = lambda: 0.0,
        account: str = DEFAULT_ACCOUNT,
    ) -> None:
        """Of a stream of orders `account` says whose; where that is on the bus, the owner's word says.

        `clock` is the desk's, for all who follow it here; None: nobody else does.
        """
        super().__init__(stream, ConnectionTiming())
        self._account = account if stream.kind.carries_orders else DEFAULT_ACCOUNT
        self._monotonic, self._fill = monotonic, fill
        self._clock = clock or DeskClock(utc_now_ns, monotonic)
        self._viewer = viewer
        self._address, self._sink, self._legs = address, sink, legs
        # Guarded by self._wanted_lock: changed from any thread.
        self._wanted_lock = threading.Lock()
        self._wanted: dict[str, frozenset[str]] = {}
        # The rest belongs to the thread that runs it.
        self._viewed = ViewedStream(stream, sink, legs, self._clock)
        self._health: DeskHealth | None = None
        self._told: object = None
        self._asked: tuple[tuple[str, ...], dict[str, frozenset[str]]] = (), {}
        self._last_answer = NO_OWNER, Answer()  # to a wish, and in which term of an owner
        self._ask_now: asyncio.Event | None = None
        self._followed: dict[Detail, Followed] = {}
        self._of_further = False  # whether those are of an account beside the desk's own

    def subscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        """Want these too."""
        with self._wanted_lock:
            for symbol in symbols:
                self._wanted[symbol] = self._wanted.get(symbol, frozenset()).union(channels or ())
        self.wake()

    def unsubscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        """Want these no longer."""
        with self._wanted_lock:
            for symbol in symbols:
                left = self._wanted.pop(symbol, frozenset()).difference(channels or ())
                if channels is not None and left:
                    self._wanted[symbol] = left
        self.wake()

    def renew(self, symbols: Iterable[str], channel: str) -> None:
        """Nothing: order books are shown as the owner has them, which asks for them anew itself."""

    @property
    def _stream(self) -> StreamId:
        """What the owner calls it."""
        return self._viewed.stream

    def _new_connection(self) -> BusLink:
        return BusLink(self._address, f"options-helper viewer of {self._stream}")

    async def _communicate(self, connection: BusLink, news: asyncio.Event, ended: asyncio.Task[None]) -> None:
        bus, names = connection.bus, self._address.names
        self._told = None
        if self._account == DEFAULT_ACCOUNT:
            # Before anything is told of a connection that will bring nothing.
            await bus.require_may_follow(names.followed(self._stream))
        await self._hear_words(bus, names.told("health"), lambda data: self._hear_health(data, news))
        stored = await bus.kept(names.state_store, names.state("health"))
        if stored is not None:
            self._hear_health(stored.data, news, now=False)
        health, place = await self._await_owner(connection, news, ended)
        if self._account != DEFAULT_ACCOUNT:
            await self._begin_account(bus, place, news)
        await self._clock.measure(bus, names)
        self._sink.connected(readable(health.announcement))
        # Nobody is told that it is heard before the server sends what comes; and of that, nothing before the answer.
        self._followed = {}
        self._viewed.begin()
        await self._follow(bus, Detail.FULL)
        self._viewed.follow()
        self._answer()
        self._viewed.answer(self._monotonic())
        self._legs.want_picture()
        self._ask_now = asyncio.Event()
        tasks = [
            asyncio.create_task(self._keep_asking(bus, news, self._ask_now)),
            asyncio.create_task(self._keep_clock(bus)),
        ]
        if self._stream.kind.channels and not self._stream.kind.carries_orders:
            tasks.append(asyncio.create_task(self._keep_pace(bus, self._ask_now)))
        try:
            # The client may swallow a cancellation; the owner's next word then shows that this was stopped.
            while not ended.done() and not self._stopped:
                await self._next_news(news)
                if self._place() != place:
                    raise StreamError(
                        f"The owner serves other accounts now; {self._account} is looked for again."
                    )
                self._answer()
        finally:
            await end_tasks(tasks)
        if self._stopped:
            return
        raise connection.loss()

    async def _await_owner(
        self, connection: BusLink, news: asyncio.Event, ended: asyncio.Task[None]
    ) -> tuple[DeskHealth, AccountPlace]:
        """Until somebody serves this desk, and this account; meanwhile it is told beside that nobody does."""
        while (health := self._health) is None or health.ended or (place := self._place()) is None:
            await self._next_news(news)
            if ended.done():
                raise connection.loss()
        return health, place

    def _place(self) -> AccountPlace | None:
        return place_of(self._account, self._health)

    async def _begin_account(self, bus: BusConnection, place: AccountPlace, news: asyncio.Event) -> None:
        """Be of the account that is there, whose owner tells of it apart where it is not the desk's own."""
        names = self._address.names
        self._viewed.stream, self._of_further = place.stream, not place.is_own
        await bus.require_may_follow(names.followed(self._stream))
        if self._of_further:
            subject = names.account_told("health", place.account)
            await self._hear_words(bus, subject, lambda data: self._hear_account(data, news))

    async def _hear_words(self, bus: BusConnection, subject: str, hear: Callable[[bytes], None]) -> None:
        """Hear what the owner says of itself, each word behind the batches that came before it, as it counts them."""
        await bus.subscribe(subject, lambda _, data, __: hear(data), behind_others=True)

    def _goes_on(self, bus: BusConnection) -> bool:
        """Whether anything is to be asked of this connection: a task that swallowed its end sees it by this."""
        return not bus.ended.done() and not self._stopped

    async def _keep_asking(self, bus: BusConnection, news: asyncio.Event, ask_now: asyncio.Event) -> None:
        """Want the symbols again and again, so that the owner streams them for as long as this is followed."""
        if not self._stream.kind.channels:
            return
        while self._goes_on(bus):
            ask_now.clear()
            self._asked = wanted, channels = self._wanted_now(), self._channels_wanted()
            epoch = self._epoch
            try:
                detail = Detail.SLOW if Detail.SLOW in self._followed else Detail.FULL
                more = {channel: tuple(sorted(of)) for channel, of in channels.items()}
                wish = Wish(self._viewer, self._stream, wanted, self.RANK, detail, more)
                told = ANSWERS.decode(
                    await bus.ask(self._address.names.ask("want"), msgspec.msgpack.encode(wish))
                )
                # Where another owner took over meanwhile nobody knows whose word it is, and that one is asked anew.
                self._last_answer = epoch, told
                news.set()
            except (StreamError, msgspec.MsgspecError) as error:
                # What is streamed is in the owner's health in any case.
                log.info("the owner did not answer to what is wanted of %s: %s", self._stream, error)
            except Exception:
                # This task's last line: a wish that is not repeated expires, and its symbols are left without a word.
                log.exception("what is wanted of %s could not be asked for; it is tried again", self._stream)
            await asyncio.sleep(BETWEEN_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(ASK_SECONDS):
                    await ask_now.wait()

    async def _keep_clock(self, bus: BusConnection) -> None:
        """Know the owner's clock, whichever owner it is, and let go what waits for that."""
        while self._goes_on(bus):
            try:
                await self._clock.measure(bus, self._address.names)
                self._viewed.hand_on(self._monotonic())
            except Exception:
                # This task's last line: what waits would wait for ever.
                log.exception("the clock of the owner of %s could not be measured", self._stream)
            await asyncio.sleep(CLOCK_LOOK_SECONDS)

    async def _keep_pace(self, bus: BusConnection, ask_now: asyncio.Event) -> None:
        """Follow all prices, or the slow feed where that is asked for or this viewer is behind."""
        while self._goes_on(bus):
            try:
                await self._change_feed(bus, ask_now)
            except StreamRefused as error:
                self._sink.notice(f"The slow feed cannot be followed, and all prices are: {error}")
                return
            except StreamError as error:
                log.info("the feed of %s could not be changed: %s", self._stream, error)
            except Exception:
                # This task's last line: what is followed now goes on.
                log.exception("the feed of %s could not be changed", self._stream)
            await asyncio.sleep(PACE_SECONDS)

    async def _change_feed(self, bus: BusConnection, ask_now: asyncio.Event) -> None:
        now = self._monotonic()
        pace = self._legs.pace(self._fill(), now)
        if pace.wanted is Detail.SLOW and Detail.SLOW not in self._followed:
            self._viewed.slow_heard_at = now
            await self._follow(bus, Detail.SLOW)
            ask_now.set()
        # An owner that says nothing slowly, though it publishes: another one, or one that knows no slow feed.
        is_silent = now - self._viewed.slow_heard_at > SILENT_SECONDS and self._is_left_behind()
        use = pace.wanted if not is_silent else Detail.FULL
        if use is Detail.FULL and Detail.FULL not in self._followed:
            await self._follow(bus, Detail.FULL)
        self._viewed.feeds.want(use)
        if self._viewed.feeds.at_hand is not use:
            return
        other = Detail.SLOW if use is Detail.FULL else Detail.FULL
        if other in self._followed and (other is Detail.FULL or pace.wanted is Detail.FULL):
            await self._followed.pop(other).leave()
            ask_now.set()

    def _is_left_behind(self) -> bool:
        """Whether the owner has published more than has come."""
        return self._health is not None and self._viewed.leg.is_behind(self._health)

    async def _follow(self, bus: BusConnection, feed: Detail) -> None:
        names, stream = self._address.names, self._stream
        subject = names.followed(stream) if feed is Detail.FULL else names.slow(stream)
        self._followed[feed] = await bus.subscribe(
            subject, lambda _, data, __: self._viewed.take(data, feed, self._monotonic())
        )

    def _wanted_now(self) -> tuple[str, ...]:
        with self._wanted_lock:
            return tuple(symbol for symbol, channels in self._wanted.items() if channels != {BOOKS})

    def _channels_wanted(self) -> dict[str, frozenset[str]]:
        """Of what is streamed on demand, the symbols of each channel that is wanted."""
        with self._wanted_lock:
            found = {
                channel: frozenset(one for one, channels in self._wanted.items() if channel in channels)
                for channel in ON_DEMAND.get(self._stream, ())
            }
        return {channel: symbols for channel, symbols in found.items() if symbols}

    @property
    def _epoch(self) -> int:
        """The term of the owner, as far as it was heard of."""
        return NO_OWNER if self._health is None else self._health.epoch

    def _hear_health(self, data: bytes, news: asyncio.Event, *, now: bool = True) -> None:
        health = decode_truth(data, DeskHealth)
        if health is None:
            return
        before, self._health = self._health, health
        self._clock.hear(health, now=now)
        if not self._of_further:
            self._viewed.published(health)
        if before is not None and self._told is not None and _is_another(before, health):
            self._sink.connected(readable(health.announcement))
            if self._ask_now is not None:
                self._ask_now.set()
        news.set()

    def _hear_account(self, data: bytes, news: asyncio.Event) -> None:
        """How a further account is at the owner."""
        if (health := decode_truth(data, DeskHealth)) is not None:
            self._clock.hear_of_account(health)
            self._viewed.published(health)
            news.set()

    def _answer(self) -> None:
        """Tell the worker what is streamed of what it wants, where that has changed."""
        owner = None if self._health is None else self._health.health_of(self._stream)
        taken = frozenset() if owner is None else frozenset(owner.acknowledged)
        epoch, said = self._last_answer
        if epoch != self._epoch:
            said = Answer()  # of an owner of before
        books = frozenset(said.channels.get(BOOKS, ())).union(
            () if self._health is None else self._health.books
        )
        with self._wanted_lock:
            wanted = dict(self._wanted)
        if self._ask_now is not None and (self._wanted_now(), self._channels_wanted()) != self._asked:
            self._ask_now.set()
        no_books = {
            symbol: NO_BOOKS
            for symbol, channels in wanted.items()
            if channels == {BOOKS} and symbol not in books
        }
        refusals = {**no_books, **{one: why for one, why in said.refusals.items() if one in wanted}}
        answer = (tuple(wanted), tuple(symbol for symbol in wanted if symbol in taken), refusals)
        if answer != self._told:
            self._told = answer
            self._sink.subscribed(*answer)


def _is_another(before: DeskHealth, now: DeskHealth) -> bool:
    """Whether it is another owner, of another market for all that is known, or the market has told its time by now."""
    if (before.host, before.pid, before.epoch) != (now.host, now.pid, now.epoch):
        return True
    return before.announcement is None and now.announcement is not None


class BusSource:
    """A `StreamSource` of what an owner streams; it needs an address and no keys."""

    def __init__(
        self,
        address: BusAddress,
        now_ns: Callable[[], int] = utc_now_ns,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        fill: Callable[[], float] = lambda: 0.0,
        account: str = DEFAULT_ACCOUNT,
    ) -> None:
        self.address, self._account = address, account
        self._monotonic, self._fill = monotonic, fill
        self.legs = Legs(address.detail)
        self._viewer = uuid.uuid4().hex
        self.clock = DeskClock(now_ns, monotonic)

    @property
    def streams(self) -> Sequence[StreamId]:
        """All of the default account."""
        return tuple(StreamName)

    def check(self, settings: Settings) -> None:  # noqa: ARG002 - a source of Alpaca's needs it
        """Nothing but the seed and the certificates: whether somebody is there is seen by trying."""
        self.address.access.require_usable()

    def streamer(
        self,
        stream: StreamId,
        settings: Settings,  # noqa: ARG002 - a source of Alpaca's needs it
        config: LiveStreamConfig,  # noqa: ARG002
        sink: StreamSink,
    ) -> BusStreamer:
        """A fresh one."""
        return BusStreamer(
            self.address,
            stream,
            sink,
            self.legs,
            viewer=self._viewer,
            clock=self.clock,
            monotonic=self._monotonic,
            fill=self._fill,
            account=self._account,
        )

    def decoder(self, stream: StreamId) -> Decode:  # noqa: ARG002 - the same for each
        """Frames are Alpaca's own."""
        return decode_frame
