"""A program that serves a desk, or stands by: the product's own lease course and term, carried out by the agenda.

What is written here is what the product's threads do: look each tenth of a second, connect again, publish what came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from options_helper.bus.keeper import LOOK_SECONDS
from options_helper.bus.lease import Claim
from options_helper.bus.lease_course import LeaseCourse
from options_helper.bus.names import Names
from options_helper.bus.owner_term import OwnerTerm
from options_helper.bus.publisher import Fenced
from options_helper.bus.teller import DeskTeller
from options_helper.bus.term_carrier import CALL_SECONDS, FINISH_SECONDS, PAUSE_SECONDS, TELL_SECONDS
from options_helper.bus.truth import DeskHealth, Published
from options_helper.errors import StreamError
from options_helper.model.announcement import MarketKind
from options_helper.model.frames import Continuity, Frame
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId, StreamName
from tests.days.clocks import NS
from tests.days.lease.lines import Line, Network, Server, Work
from tests.days.stage import Stage

if TYPE_CHECKING:
    from tests.days.lease.oracle import DeskOracle

NAMES: Final = Names()
STREAMS: Final[tuple[StreamId, ...]] = (StreamName.STOCKS, StreamName.FILLS)
# Where the server sends what it has stored.
FOLLOWED: Final = {NAMES.published(one): NAMES.followed(one) for one in STREAMS} | {
    NAMES.state("health"): NAMES.told("health")
}
RELEASE_SECONDS: Final = 1.5
GOODBYE_SECONDS: Final = 2.0
TURN_SECONDS: Final = 1.0
CONNECT_SECONDS: Final = 0.3
QUEUE: Final = 8
PING_NS: Final = 15 * NS


class Alpaca:
    """The one connection that it allows; of one that answers no more it lets go after a while."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.holder: Desk | None = None
        self._answered_ns = 0

    def take(self, desk: Desk) -> None:
        """A connection is made."""
        self.holder, self._answered_ns = desk, self._stage.clocks.true_ns

    def cut(self) -> None:
        """End the connection."""
        holder, self.holder = self.holder, None
        if holder is not None:
            holder.owner.later(0.0, holder.is_cut)

    def frame(self, frame: Frame) -> None:
        """Something comes over it."""
        now, holder = self._stage.clocks.true_ns, self.holder
        if holder is None:
            return
        if holder.owner.runs:
            self._answered_ns = now
        elif now - self._answered_ns > PING_NS:
            self.cut()
            return
        holder.owner.later(0.01, partial(holder.hear, frame, holder.connections))


class Desk:
    """One time of leading: a term on the bus, and the streams."""

    def __init__(self, owner: Owner, alpaca: Alpaca, epoch: int) -> None:
        self.owner, self._alpaca = owner, alpaca
        self.words = DeskTeller(NAMES)
        self.term = OwnerTerm(NAMES, STREAMS, epoch, self.words, require_lease=owner.require_lease)
        self.stepped_down: str | None = None
        self.stored_before = owner.oracle.stored_by(owner.life)
        self.line: Line | None = None
        self.is_open = self.is_streaming = self.is_ending = False
        self._queue: deque[Frame] = deque()
        self._batch: list[Frame] = []
        self.waits_since: int | None = None  # in true time, the oldest frame that is not settled
        self._dropped = dict.fromkeys(STREAMS, 0)
        self.connections = 0
        self._publishing: Work | None = None
        self._telling: Work | None = None
        self._connecting: Work | None = None
        self._then: list[Callable[[StreamError | None], None]] = []

    @property
    def yields(self) -> str | None:
        """Why another leads."""
        return self.stepped_down or self.term.fenced

    @property
    def settled_all(self) -> bool:
        """Whether nothing that was heard waits."""
        return not self._queue and not self._batch

    # What a connection is made for, and made anew.

    def connected(self, then: Callable[[StreamError | None], None]) -> None:
        """Call `then` when there is a connection on which the term has begun, or with why there is none."""
        if self.line is not None and not self.line.is_ended:
            then(None)
            return
        self._then.append(then)
        if self._connecting is None or self._connecting.is_over:
            line = self.owner.connect()
            self._connecting = Work(
                self.owner, self._greet(line), partial(self._greeted, line), within=CALL_SECONDS
            )

    async def _greet(self, line: Line) -> None:
        self.term.require_desk()
        await line.greet()
        await self.term.begin(line, self.owner.wall_ns)

    def _greeted(self, line: Line, _: None, error: StreamError | None) -> None:
        if error is None and self.term.fenced is None:
            self.line = line
        else:
            line.end()
            if error is None:
                error = Fenced(self.term.fenced or "")
        waiting, self._then = self._then, []
        for then in waiting:
            then(error)

    # The streams.

    def stream(self) -> None:
        """Connect to Alpaca, which may say that there is a connection already."""
        if self.yields is not None or self.is_ending:
            return
        if self._alpaca.holder not in (None, self):
            self.owner.later(1.0, self.stream)
            return
        self._alpaca.take(self)
        self.connections += 1
        self.is_streaming = True

    def is_cut(self) -> None:
        """Alpaca has ended the connection."""
        self.is_streaming = False
        self.owner.later(0.5, self.stream)

    def close_streams(self) -> None:
        """Leave Alpaca."""
        self.is_streaming = False
        if self._alpaca.holder is self:
            self._alpaca.holder = None

    def hear(self, frame: Frame, connection: int) -> None:
        """On the socket; what finds the queue full is dropped and counted."""
        if self.yields is not None or self.is_ending:
            return  # the run has ended
        heard = Continuity(connection, self._dropped[frame.stream])
        if len(self._queue) >= QUEUE:
            self._dropped[frame.stream] += frame.events
            return
        self._queue.append(Frame(frame.stream, frame.payload, frame.events, self.owner.wall_ns, heard))
        if self.waits_since is None:
            self.waits_since = self.owner.oracle.now_ns
        self.owner.later(0.02, self.carry)

    def carry(self) -> None:
        """Publish what waits, one batch in flight."""
        if self._publishing is not None or self.stepped_down is not None or not (self._queue or self._batch):
            return
        if not self._batch:
            self._batch = [self._queue.popleft() for _ in range(min(len(self._queue), 20))]
        try:
            self.term.offer(self._batch, None, self.owner.wall_ns)
        except Fenced:
            return
        self.connected(self._publish)

    def _publish(self, error: StreamError | None) -> None:
        if error is not None or self.line is None:
            self._published(None, error)
        elif self._publishing is None:
            publishing = self.term.publish(self.line, self.owner.wall_ns)
            self._publishing = Work(self.owner, publishing, self._published, within=CALL_SECONDS)
            if self._publishing.is_over:
                self._publishing = None

    def _published(self, _: None, error: StreamError | None) -> None:
        self._publishing = None
        if isinstance(error, Fenced):
            self.owner.oracle.fenced(self)
            self.term.yield_to_another(str(error))
        elif error is not None:
            if self.line is not None:
                self.line.end()
            self.owner.later(PAUSE_SECONDS, self.carry)
        else:
            self.term.settle(self._batch)
            self._batch = []
            self.waits_since = self.owner.oracle.now_ns if self._queue else None
            self.owner.later(0.0, self.carry)

    def tell(self) -> None:
        """Say how it is."""
        if self.is_ending or self.term.fenced is not None:
            return
        self.owner.later(TELL_SECONDS, self.tell)
        if self._telling is None:
            self.connected(self._tell)

    def _tell(self, error: StreamError | None) -> None:
        if error is None and self.line is not None and self._telling is None:
            self._telling = Work(
                self.owner,
                self.words.tell(self.line, "health", self.health()),
                self._told,
                within=CALL_SECONDS,
            )
            if self._telling.is_over:
                self._telling = None

    def _told(self, _: None, error: StreamError | None) -> None:
        self._telling = None
        if isinstance(error, Fenced):
            self.owner.oracle.fenced(self)
            self.term.yield_to_another(str(error))

    def health(self, *, ended: bool = False) -> DeskHealth:
        """What it says of itself."""
        phase = Phase.LIVE if self.is_streaming else Phase.RECONNECTING
        return DeskHealth(
            program="1", host=self.owner.name, pid=1, at_ns=self.owner.wall_ns, epoch=self.term.epoch,
            market=MarketKind.ALPACA,
            published={str(name): Published(at.epoch, at.events) for name, at in self.term.progress.items()},
            streams={str(name): StreamHealth(name, phase) for name in STREAMS}, ended=ended,
        )  # fmt: skip

    def step_down(self, why: str) -> None:
        """Close Alpaca's connection, and publish nothing from now on."""
        self.stepped_down = self.stepped_down or why
        self.term.yield_to_another(why)
        self.close_streams()
        if self.line is not None:
            self.line.end()


class Owner:
    """One of the programs of a desk; it may be killed, frozen, and asked to end."""

    def __init__(
        self, oracle: DeskOracle, name: str, server: Server, network: Network, alpaca: Alpaca
    ) -> None:
        self.oracle, self.name = oracle, name
        self._stage, self._server, self.network, self._alpaca = server.stage, server, network, alpaca
        self._life = 0
        self.is_alive = self.is_frozen = False
        self.awake_ns = 0  # since then
        self.ends_as_it_takes = False
        self._held_up: list[Callable[[], None]] = []
        self.desk: Desk | None = None
        self._line: Line | None = None  # the keeper's

    # A process.

    def start(self) -> None:
        """Begin anew."""
        if self.is_alive or self.oracle.is_over:
            return
        self._life += 1
        self.is_alive, self.is_frozen, self._held_up = True, False, []
        self.awake_ns = self._stage.clocks.true_ns
        self.desk = self._line = None
        self.course = LeaseCourse(NAMES, Claim(f"{self.name}-{self._life}", self.name, self._life))
        self.asked_to_end = self._is_leaving = self._stands_by = False
        self._stage.note(f"{self.name} starts")
        self._look()
        self._watch()
        self._serve()

    def kill(self) -> None:
        """Its sockets are closed; what it has sent arrives."""
        if not self.is_alive:
            return
        self._stage.note(f"{self.name} ends")
        self.ends_as_it_takes = False
        self.oracle.ended(self)
        self.is_alive = False
        if self.desk is not None:
            self.desk.close_streams()
        for line in list(self.network.lines):
            line.end()
        self.desk = None

    def ask_to_end(self) -> None:
        """As Ctrl-C does."""
        if self.is_alive:
            self.asked_to_end = True

    def freeze(self) -> None:
        """It runs no more, and keeps what it has."""
        self.is_frozen = True

    def go_on(self) -> None:
        """What was due meanwhile is due now."""
        held, self._held_up, self.is_frozen = self._held_up, [], False
        self.awake_ns = self._stage.clocks.true_ns
        for action in held:  # in their order, before whatever is due now
            self._due(self._life, action)

    def require_lease(self) -> None:
        """StreamError where another may have it."""
        self.course.require_fresh(self._stage.clocks.elapsed())

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """A step of this process."""
        self._stage.agenda.timer(seconds, partial(self._due, self._life, action))

    def _due(self, life: int, action: Callable[[], None]) -> None:
        if life != self._life or not self.is_alive:
            return
        if self.is_frozen:
            self._held_up.append(action)
            return
        action()

    @property
    def leads(self) -> bool:
        """Whether it streams and publishes, or is about to."""
        desk = self.desk if self.runs else None
        return desk is not None and desk.is_open and desk.yields is None and not desk.is_ending

    @property
    def runs(self) -> bool:
        """Whether it does anything at this moment."""
        return self.is_alive and not self.is_frozen and not self._stage.agenda.is_asleep

    @property
    def life(self) -> tuple[str, int]:
        """Which process it is."""
        return self.name, self._life

    @property
    def wall_ns(self) -> int:
        """Its computer's time."""
        return self._stage.clocks.wall_ns()

    def connect(self) -> Line:
        """A connection of its own."""
        line = Line(self._server, self.network, self, partial(self._stored, self.life, self.desk))
        if self._server.is_down:
            line.end()
        return line

    def _stored(self, life: tuple[str, int], desk: Desk | None, subject: str, data: bytes) -> None:
        self.oracle.stored(life, desk, subject, data)
        if (followed := FOLLOWED.get(subject)) is not None:
            self._server.send(followed, data)
            if subject == NAMES.state("health"):
                self.oracle.views.told()
        if self.ends_as_it_takes and subject == NAMES.lease_key and life == self.life and self._stands_by:
            self.ends_as_it_takes = False
            self.later(0.0, partial(self._end_standing_by, self.oracle.now_ns))

    def _end_standing_by(self, stored_ns: int) -> None:
        """Asked to end when the server has given it the lease, and it does not know yet."""
        is_on_its_way = self.oracle.now_ns - stored_ns < NS // 10
        if is_on_its_way and self._stands_by and not self.course.standing.leads:
            self.asked_to_end = True
            self._stage.note(f"{self.name} is asked to end")
            self._is_leaving = True
            self._give_back()

    # The lease, as the keeper's thread looks after it.

    def _look(self) -> None:
        line = self._line
        if line is None or line.is_ended:
            self._line = line = self.connect()
            Work(self, line.greet(), self._looked, within=5.0)
        else:
            Work(self, self.course.look(line, self._stage.clocks.elapsed()), self._looked)

    def _looked(self, why: str | None, error: StreamError | None) -> None:
        if error is not None and self._line is not None:
            self._line.end()
        self.course.note_problem(None if error is None else str(error))
        self._end_where_lost(why)
        self.later(LOOK_SECONDS, self._look)

    def _watch(self) -> None:
        self._end_where_lost(self.course.overdue(self._stage.clocks.elapsed()))
        self.later(LOOK_SECONDS, self._watch)

    def _end_where_lost(self, why: str | None) -> None:
        if why is not None:
            self._stage.note(f"{self.name}: {why}")
            self.oracle.lost(self)
            if self.desk is not None and self.desk.is_open:
                self.desk.step_down(why)

    # The main thread: stand by, lead, and again.

    def _serve(self) -> None:
        self.course.want()
        self._stands_by = True
        self._stand_by()

    def _stand_by(self) -> None:
        if self._is_leaving:
            return
        if self.asked_to_end:
            self._give_back()
        elif self.course.standing.leads:
            self._stands_by = False
            desk = self.desk = Desk(self, self._alpaca, self.wall_ns)
            desk.connected(partial(self._opened, desk))
        else:
            self.later(LOOK_SECONDS, self._stand_by)

    def _opened(self, desk: Desk, error: StreamError | None) -> None:
        if error is not None:
            self.later(TURN_SECONDS, partial(self._end_desk, desk))
            return
        self.oracle.opens(desk)
        desk.is_open = True
        self._stage.note(f"{self.name} leads, term {desk.term.epoch % 1_000_000}")
        if not self.course.standing.leads:
            desk.step_down("The lease of this desk was lost before anything began.")
        self.later(TELL_SECONDS, desk.tell)
        self.later(CONNECT_SECONDS, desk.stream)
        self._lead(desk)

    def _lead(self, desk: Desk) -> None:
        if desk.yields is None and not self.asked_to_end:
            self.later(LOOK_SECONDS, partial(self._lead, desk))
            return
        self._end_desk(desk)

    def _end_desk(self, desk: Desk) -> None:
        """Close the streams, have stored what came, and give the lease back, in this order."""
        desk.is_ending = True
        desk.close_streams()
        if desk.term.is_done and desk.settled_all:
            self._say_goodbye(desk)
        else:
            self._finish(desk, self._stage.clocks.elapsed() + FINISH_SECONDS)

    def _finish(self, desk: Desk, until: float) -> None:
        if desk.term.is_done or self._stage.clocks.elapsed() >= until:
            self._say_goodbye(desk)
            return
        desk.carry()
        self.later(0.05, partial(self._finish, desk, until))

    def _say_goodbye(self, desk: Desk) -> None:
        if desk.line is None or desk.line.is_ended or desk.term.fenced is not None:
            self._ended_desk(desk)
        else:
            word = desk.words.tell(desk.line, "health", desk.health(ended=True))
            Work(self, word, lambda *_: self._ended_desk(desk), within=GOODBYE_SECONDS)

    def _ended_desk(self, desk: Desk) -> None:
        self.oracle.desk_ended(self, desk)
        if desk.line is not None:
            desk.line.end()
        self.desk = None
        self._give_back()

    def _give_back(self) -> None:
        self._stands_by = False
        if not self.course.give_back():
            self._go_round(is_free=False)
            return
        line = self.connect()
        Work(self, self._free(line), partial(self._freed, line), within=RELEASE_SECONDS)

    async def _free(self, line: Line) -> None:
        await line.greet()
        await self.course.free(line)

    def _freed(self, line: Line, _: None, error: StreamError | None) -> None:
        line.end()
        self._go_round(is_free=error is None)

    def _go_round(self, *, is_free: bool) -> None:
        """Stand by again, or end."""
        if not self.asked_to_end:
            self._serve()
            return
        self.kill()
        if is_free or self._is_leaving:
            self.oracle.freed(self)


def frames(number: int, streams: Sequence[StreamId] = STREAMS) -> list[Frame]:
    """What the market says at its turn of that number: shares each time, an order seldom."""
    found = [Frame(StreamName.STOCKS, str(number).encode(), 1 + number % 3, 0)]
    return found + [Frame(StreamName.FILLS, str(number // 7).encode(), 1, 0)] * (number % 7 == 0)
