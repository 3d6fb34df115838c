"""What must be true of a desk: one leads, soon after the one before; what is stored goes on, and each hole is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from options_helper.bus.batch import Batch, decode
from options_helper.bus.continuity import Position, Verdict
from options_helper.bus.lease import TTL_SECONDS, read_claim
from options_helper.bus.names import Names
from options_helper.data.recording.journal import RecordKind
from options_helper.model.streams import StreamId
from tests.days.clocks import NS
from tests.days.lease.lines import Server
from tests.days.lease.record_oracle import RecordOracle
from tests.days.lease.view_oracle import ViewOracle

if TYPE_CHECKING:
    from tests.days.lease.owner import Desk, Owner
    from tests.days.stage import Stage

# After the lease has run out: a look, a connection, the first words of a term.
TAKEOVER_SECONDS: Final = TTL_SECONDS + 2.5
# Two may be at work together until the older one has looked at its clock or at the lease.
TOGETHER_SECONDS: Final = 3.5
STORED_SECONDS: Final = 12.0
# A look, and the first words of a term.
AT_ONCE_SECONDS: Final = 2.0
# So long a first word may be on its way.
LATE_SECONDS: Final = 2.0
# By then one that ran no more has looked at its clock.
AWAKE_SECONDS: Final = 1.0
# What was wrong with the way to the server before is felt so long.
CALM_SECONDS: Final = 12.0


@dataclass(slots=True)
class Followed:
    """What somebody knows who has followed a stream from its first batch."""

    position: Position = field(default_factory=Position)
    newest: int = -1  # of the frames
    is_hole_told: bool = True  # since that frame
    epoch: int = 0
    desk: Desk | None = None  # whose term that is
    # The server has lost what this stream's store had: until the next term begins, nothing is refused.
    is_forgotten: bool = False
    may_repeat: bool = False  # what was on its way as that happened


@dataclass(frozen=True, slots=True)
class _Given:
    """The lease as the server has it."""

    whose: tuple[str, int]
    since_ns: int
    renewed_ns: int
    is_free: bool


class DeskOracle:
    """Hears everything that is stored, and looks at who leads."""

    def __init__(self, stage: Stage, server: Server, streams: Sequence[StreamId], names: Names) -> None:
        self._stage, self._server, self._names = stage, server, names
        self._subjects = {names.published(stream): stream for stream in streams}
        self._streams = {stream: Followed() for stream in streams}
        self.owners: list[Owner] = []
        self.views = ViewOracle(stage, self, streams)
        self.records = RecordOracle(stage, self)
        self.is_over = False
        self._broken: str | None = None
        # By process and stream, what it has stored; and the process of each term.
        self._stored: dict[tuple[tuple[str, int], StreamId], int] = {}
        self._whose: dict[int, tuple[str, int]] = {}
        self._troubled_ns = stage.clocks.true_ns
        # Of the last look at which somebody led, and at which no two did.
        self._led_ns = self._alone_ns = self._woke_ns = self._lease_lost_ns = 0
        self._freed_ns: int | None = None  # since nobody leads
        self._lease = _Given(("", 0), 0, 0, is_free=True)

    @property
    def now_ns(self) -> int:
        """True time."""
        return self._stage.clocks.true_ns

    def begin(self) -> None:
        """The first program starts."""
        self._led_ns = self._alone_ns = self.now_ns
        self.trouble()

    def check(self) -> str | None:
        """The first thing that is not as it must be."""
        return self._broken

    def trouble(self) -> None:
        """Something went wrong, or is well again."""
        self._troubled_ns, self._freed_ns = self.now_ns, None

    def forgot(self, stores: frozenset[str]) -> None:
        """The server has another past in these stores than it had acknowledged."""
        self.trouble()
        if self._names.lease_store in stores:
            self._lease_lost_ns = self.now_ns
            self._lease = _Given(("", 0), self.now_ns, self.now_ns, is_free=True)
        for stream, followed in self._streams.items():
            if self._names.store(stream) in stores:
                followed.is_forgotten = True
                self.views.forgot(stream)
                self.records.forgot(stream)

    @property
    def troubled_ns(self) -> int:
        """When something went wrong last, or was well again."""
        return self._troubled_ns

    @property
    def _is_calm(self) -> bool:
        return self.now_ns - self._troubled_ns > CALM_SECONDS * NS

    def breaks(self, sentence: str) -> None:
        """Something is not as it must be."""
        if self._broken is None and not self.is_over:
            self._broken = sentence
            self._stage.check(sampled=False)

    # What is stored.

    def stored(self, life: tuple[str, int], desk: Desk | None, subject: str, data: bytes) -> None:
        """The server has taken something new of this process, in that time of leading."""
        if subject == self._names.lease_key:
            self._claimed(life, data)
        stream = self._subjects.get(subject)
        if stream is None:
            return
        batch = decode(data)
        if not isinstance(batch, Batch):
            self.breaks(f"what {life} published is no batch")
            return
        numbers = [(int(one.payload), one.events) for one in batch.records if one.kind is RecordKind.FRAME]
        self.records.stored(stream, numbers)
        followed, epoch = self._streams[stream], batch.head.epoch
        key = life, stream
        self._stored[key] = self._stored.get(key, 0) + batch.head.events
        if self._whose.setdefault(epoch, life) != life:
            self.breaks(f"{life} and {self._whose[epoch]} publish in the same term")
        if epoch > followed.epoch:
            self._begins(life, stream, batch)
        is_repeated = _is_repeated(followed, batch)
        self._stored[key] -= batch.head.events * is_repeated
        if epoch < followed.epoch or is_repeated:
            # A server that has forgotten the newer term refuses nothing, and who follows does.
            if not followed.is_forgotten:
                self.breaks(f"{life} published in {stream} after another's term had begun")
            return
        leads_on = epoch == followed.epoch or (desk is not None and desk is followed.desk)
        is_after_loss = epoch > followed.epoch and followed.is_forgotten
        if epoch > followed.epoch:
            followed.is_forgotten, followed.may_repeat = False, is_after_loss and leads_on
        followed.epoch, followed.desk = epoch, desk
        followed.position, arrival = followed.position.take(batch.head)
        may_be_uncounted = is_after_loss and arrival.verdict is Verdict.NEW_OWNER
        if not arrival.is_new or arrival.missed or (arrival.missed is None and not may_be_uncounted):
            self.breaks(f"a batch of {stream} does not go on from the one before: {arrival}")
        # Who leads on has heard everything that came meanwhile.
        followed.is_hole_told |= arrival.verdict in (Verdict.NEW_OWNER, Verdict.HOLE) and not leads_on
        self.views.stored(stream, batch.head, [number for number, _ in numbers])
        self._follow(key, followed, batch)

    def _begins(self, life: tuple[str, int], stream: StreamId, batch: Batch) -> None:
        """A new term: by whom, and with which word."""
        if self._has_another(life):
            self.breaks(f"{life} begins a term of {stream}, and {self._lease.whose} has the lease")
        if batch.head.number or batch.records[0].kind is not RecordKind.TICK:
            self.breaks(f"a term of {stream} begins with no word of its feed")

    def _claimed(self, life: tuple[str, int], data: bytes) -> None:
        """The lease has another holder only when it was free, or has run out."""
        claim, lease = read_claim(data), self._lease
        if not lease.is_free and lease.whose != life and self.now_ns - lease.renewed_ns < TTL_SECONDS * NS:
            self.breaks(f"{life} takes the lease while {lease.whose} has it")
        is_renewal = lease.whose == life and not lease.is_free
        since_ns = lease.since_ns if is_renewal else self.now_ns
        self._lease = _Given(life, since_ns, self.now_ns, is_free=claim is None or claim.free)
        if claim is not None and not claim.free:
            self._freed_ns = None  # whoever has taken it may sleep before it leads

    def _has_another(self, life: tuple[str, int]) -> bool:
        """Whether somebody else has the lease, for longer than a first word may be on its way."""
        lease, now = self._lease, self.now_ns
        runs = not lease.is_free and now - lease.renewed_ns < TTL_SECONDS * NS
        return runs and lease.whose != life and now - lease.since_ns > LATE_SECONDS * NS

    def _follow(self, key: tuple[tuple[str, int], StreamId], followed: Followed, batch: Batch) -> None:
        _, stream = key
        for record in batch.records:
            if record.kind is RecordKind.GAP:
                followed.is_hole_told = True
            if record.kind is not RecordKind.FRAME:
                continue
            number = int(record.payload)
            if number <= followed.newest and followed.may_repeat:
                self._stored[key] -= record.events  # its answer was lost with what the server had
                continue
            followed.may_repeat = False
            if number <= followed.newest:
                self.breaks(f"frame {number} of {stream} is stored behind frame {followed.newest}")
            if number > followed.newest + 1 and not followed.is_hole_told:
                self.breaks(f"nothing tells of what lies between {followed.newest} and {number} of {stream}")
            followed.newest, followed.is_hole_told = max(number, followed.newest), False

    # Who leads.

    def fenced(self, desk: Desk) -> None:
        """The server has another owner's word, says this one's term."""
        known = any(
            epoch > desk.term.epoch and life != desk.owner.life for epoch, life in self._whose.items()
        )
        if desk.term.fenced is None and not known:
            self.breaks(f"{desk.owner.life} takes its own word for another's")

    def opens(self, desk: Desk) -> None:
        """One begins to lead: its term has, and another that knew that it was waited for has left."""
        for stream, followed in self._streams.items():
            if followed.epoch < desk.term.epoch:
                self.breaks(f"{desk.owner.life} leads, and its term has not begun in {stream}")
        # One that has just been woken may open what it had begun, until it has looked; and a server that has lost the
        # lease gives it to anybody.
        knows = self.now_ns - max(desk.owner.awake_ns, self._woke_ns) > AWAKE_SECONDS * NS
        knows &= self.now_ns - self._lease_lost_ns > TOGETHER_SECONDS * NS
        for one in self.owners:
            is_awake = self.now_ns - max(one.awake_ns, self._woke_ns) > AWAKE_SECONDS * NS
            if one is not desk.owner and one.leads and one.course.is_followed and is_awake and knows:
                self.breaks(f"{one.life} knows that it is waited for, and leads when {desk.owner.life} does")

    def freed(self, owner: Owner) -> None:
        """One has ended in order: whoever waits takes the lease at once."""
        if self._lease.is_free or self._lease.whose == owner.life:
            self._freed_ns = self.now_ns

    def woke(self) -> None:
        """The computer slept."""
        self._woke_ns = self.now_ns
        self.trouble()
        self.views.woke()

    def lost(self, owner: Owner) -> None:
        """It was told that its lease is lost."""
        if self._is_calm:
            self.breaks(f"{owner.life} lost its lease though nothing was wrong")

    def ended(self, owner: Owner) -> None:
        """A process ends."""
        self.trouble()

    def desk_ended(self, owner: Owner, desk: Desk) -> None:
        """A time of leading is over: what it says of itself is so."""
        self._compare(desk)

    def _compare(self, desk: Desk) -> None:
        for stream, counts in desk.term.counts.items():
            stored = self._stored.get((desk.owner.life, stream), 0) - desk.stored_before.get(stream, 0)
            if not counts.stored <= stored <= counts.stored + counts.waiting:
                self.breaks(
                    f"{desk.owner.life} says {counts.stored} events of {stream} stored and {counts.waiting} on their "
                    f"way, and {stored} are stored"
                )

    def leads_before(self, epoch: int) -> bool:
        """Whether who leads never heard of that term, which somebody followed, and the clock was put back behind that.

        The server lost that term before, and what begins anew has its number by the clock. Known, and not cured: nobody
        who has followed the newer one believes the older, as the laws do not.
        """
        desks = [one.desk for one in self.owners if one.leads and one.desk is not None]
        return epoch > self._stage.clocks.wall_ns() and any(one.term.epoch < epoch for one in desks)

    def stored_by(self, life: tuple[str, int]) -> dict[StreamId, int]:
        """How many events of each stream this process has stored."""
        return {stream: count for (whose, stream), count in self._stored.items() if whose == life}

    def look(self) -> None:
        """Once in a while: whether somebody leads, and no two do, what comes gets stored, and who follows has it."""
        self.views.look()
        self.records.look()
        if not self._is_well:
            self.trouble()
        leading = [one.desk for one in self.owners if one.leads and one.desk is not None]
        if len(leading) < 2 or self._troubled_ns == self.now_ns:
            self._alone_ns = self.now_ns
        elif self.now_ns - self._alone_ns > TOGETHER_SECONDS * NS:
            self.breaks(f"{' and '.join(str(one.owner.life) for one in leading)} lead together")
        someone = any(one.runs for one in self.owners)
        if leading or not someone:
            self._led_ns, self._freed_ns = self.now_ns, None
        elif self._freed_ns is not None and self.now_ns - self._freed_ns > AT_ONCE_SECONDS * NS:
            self.breaks("what was given back is not taken at once")
        elif self.now_ns - max(self._led_ns, self._troubled_ns) > TAKEOVER_SECONDS * NS:
            self.breaks(f"nobody has led for {(self.now_ns - self._led_ns) / NS:.1f} s")
        for desk in leading:
            self._compare(desk)
            since = desk.waits_since
            if since is not None and self._is_calm and self.now_ns - since > STORED_SECONDS * NS:
                self.breaks(
                    f"what {desk.owner.life} heard {(self.now_ns - since) / NS:.0f} s ago is not stored"
                )

    @property
    def _is_well(self) -> bool:
        """Whether every program that runs can reach the server."""
        if self._server.is_down:
            return False
        networks = [one.network for one in self.owners if one.runs]
        return not any(one.is_cut or one.loses_answers or one.is_slow for one in networks)


def _is_repeated(followed: Followed, batch: Batch) -> bool:
    """Whether its answer was lost, and then what the server had: it is stored again, behind what is left of that."""
    _, arrival = followed.position.take(batch.head)
    return followed.is_forgotten and arrival.verdict is Verdict.DUPLICATE
