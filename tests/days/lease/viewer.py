"""Who follows a desk from another program: the product's own `ViewedStream`, over one connection after another.

What is written here is what the product's threads do on each: hear the owner's words, follow, and begin again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from options_helper.bus.batch import read_head
from options_helper.bus.clocks import Offset
from options_helper.bus.continuity import Begun
from options_helper.bus.detail import Detail
from options_helper.bus.legs import both_legs
from options_helper.bus.streamer import Legs
from options_helper.bus.truth import DeskHealth, decode
from options_helper.bus.viewed_stream import ViewedStream
from options_helper.data.streaming.engine.frame_queue import FrameQueue
from options_helper.errors import StreamError
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId
from tests.days.lease.lines import Line, Network, Server, Work
from tests.days.lease.owner import NAMES, STREAMS
from tests.days.life import Life

if TYPE_CHECKING:
    from tests.days.lease.view_oracle import ViewOracle
    from tests.days.stage import Stage

AGAIN_SECONDS: Final = 1.0
CONSUME_SECONDS: Final = 0.15


class OneClock:
    """The owners' computer is the viewer's."""

    @staticmethod
    def offset_of(_: StreamId, __: int) -> Offset:
        """None."""
        return Offset()

    @staticmethod
    def received_here(owner_ns: int, offset: Offset | None) -> int:
        """Then."""
        return owner_ns

    @staticmethod
    def here(health: DeskHealth) -> DeskHealth:
        """As it was said."""
        return health


class Viewing:
    """One stream of a viewer's, over one connection after another."""

    def __init__(self, viewer: Viewer, stream: StreamId) -> None:
        self._viewer, self.stream = viewer, stream
        self.viewed = ViewedStream(stream, self, viewer.legs, OneClock())
        self._line: Line | None = None
        self._health: DeskHealth | None = None
        self._heard_at: float | None = None
        self.is_followed = False
        self.baseline: Begun | None = None  # from where on all is counted
        self.applied = 0
        self.may_miss = 0  # events that were stored when nobody followed, or died on their way
        self._on_its_way = 0
        self._early = 0  # that came before it was known to follow: they count once it is, or are missed

    def is_sent(self, events: int) -> None:
        """So much is stored: it comes over the connection, if there is one that follows."""
        line = self._line
        if line is not None and not line.is_ended and line.follows(NAMES.followed(self.stream)):
            self._on_its_way += events
        else:
            self.may_miss += events

    def connect(self) -> None:
        """Begin a connection, and hear the owner's word there."""
        self.is_followed = False
        line = self._line = self._viewer.connect(self._ended)
        Work(self._viewer, self._ask(line), partial(self._answered, line), within=5.0)

    async def _ask(self, line: Line) -> bytes | None:
        await line.greet()
        await line.follow(NAMES.told("health"), self._hear_health)
        stored = await line.last(NAMES.state_store, NAMES.state("health"))
        return None if stored is None else stored.data

    def _answered(self, line: Line, kept: bytes | None, error: StreamError | None) -> None:
        if error is not None:
            line.end()
            self._again(line)
        elif line is self._line:
            if kept is not None:
                self._hear_health(kept, was_kept=True)
            self._await_owner(line)

    def _await_owner(self, line: Line) -> None:
        if line.is_ended:
            self._again(line)
        if line is not self._line:
            return
        if self._health is None or self._health.ended:
            self._viewer.later(0.1, partial(self._await_owner, line))
            return
        self.viewed.begin()
        follow = line.follow(NAMES.followed(self.stream), self._hear)
        Work(self._viewer, follow, partial(self._following, line), within=5.0)

    def _following(self, line: Line, _: None, error: StreamError | None) -> None:
        if error is not None:
            line.end()
            self._again(line)
        elif line is self._line:
            self.viewed.follow()
            self.is_followed, self._early = True, 0
            self.viewed.answer(self._viewer.monotonic)

    def _ended(self, line: Line) -> None:
        if line is self._line:
            self.may_miss, self._on_its_way = self.may_miss + self._on_its_way, 0
        if line is self._line and self.is_followed:
            self._again(line)

    def _again(self, line: Line) -> None:
        if line is self._line:
            self.is_followed, self._line = False, None
            self.may_miss, self._early = self.may_miss + self._early, 0
            self._viewer.later(AGAIN_SECONDS, self.connect)

    def _hear(self, data: bytes) -> None:
        before = self.viewed.leg.position.last
        self.viewed.take(data, Detail.FULL, self._viewer.monotonic)
        head = read_head(data)
        if head is not None:
            self._on_its_way -= head.events
            if not self.is_followed:
                self._early += head.events
        if (
            self.baseline is None
            and before is None
            and head is not None
            and self.viewed.leg.position.last is not None
        ):
            self.baseline = Begun(head.epoch, head.events_before)

    def _hear_health(self, data: bytes, *, was_kept: bool = False) -> None:
        health = decode(data, DeskHealth)
        if health is None:
            return
        self._health = health
        if not was_kept:
            self._heard_at = self._viewer.monotonic
        self.viewed.published(health)
        if self.baseline is None:
            self.baseline = self.viewed.leg.position.begun

    # What is new.

    def connected(self, announcement: str | None) -> None:
        """Nothing of it is made of changes."""

    def notice(self, sentence: str) -> None:
        """Nothing that an owner sends is to be complained of."""
        self._viewer.oracle.complained(self, sentence)

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        """Into the queue."""
        self._viewer.oracle.heard(self, int(payload))
        self._viewer.queue.put(self.stream, payload, events, received_ns or 0)

    def shown(self) -> StreamHealth:
        """What a page shows of it."""
        counts = self._viewer.queue.counts()[self.stream]
        phase = Phase.LIVE if self.is_followed else Phase.RECONNECTING
        mine = StreamHealth(
            self.stream, phase, received=counts.received, applied=self.applied, dropped=counts.dropped,
            queued=counts.queued,
        )  # fmt: skip
        ago = None if self._heard_at is None else self._viewer.monotonic - self._heard_at
        return both_legs(mine, self._health, self.viewed.leg, heard_ago=ago)


class Viewer(Life):
    """One program; it may be killed, frozen, and cut off."""

    def __init__(self, stage: Stage, oracle: ViewOracle, server: Server, network: Network, room: int) -> None:
        super().__init__(stage)
        self.oracle, self._server, self.network, self._room = oracle, server, network, room
        self.is_slow = False
        self.viewings: list[Viewing] = []

    @property
    def monotonic(self) -> float:
        """Its clock that nobody sets."""
        return self.stage.clocks.monotonic()

    @property
    def runs(self) -> bool:
        """Whether it does anything at this moment."""
        return self.is_alive and not self.is_frozen and not self.stage.agenda.is_asleep

    def start(self) -> None:
        """Begin anew, from nothing."""
        if self.is_alive or self.oracle.is_over:
            return
        self.begin_life()
        self.legs, self.queue = Legs(), FrameQueue(self._room, STREAMS)
        self.viewings = [Viewing(self, stream) for stream in STREAMS]
        self.stage.note("the viewer starts")
        for one in self.viewings:
            one.connect()
        self.later(CONSUME_SECONDS, self._consume)

    def kill(self) -> None:
        """Its sockets are closed."""
        if self.is_alive:
            self.end_life()
            for line in list(self.network.lines):
                line.end()

    def connect(self, ended: Callable[[Line], None]) -> Line:
        """A connection of its own, which says when it is gone."""
        line = Line(self._server, self.network, self, ended=ended)
        if self._server.is_down:
            line.end()
        return line

    def consume_again(self) -> None:
        """What held up its consumer is over."""
        self.is_slow = False

    def _consume(self) -> None:
        if not self.is_slow:
            frames = self.queue.take(0.0, 1_000_000)
            for one in self.viewings:
                one.applied += sum(frame.events for frame in frames if frame.stream == one.stream)
            self.queue.settle(frames)
        self.later(CONSUME_SECONDS, self._consume)
