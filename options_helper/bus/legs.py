"""The two legs of what a viewer shows: Alpaca to the owner, and the owner to this computer; and their one truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from options_helper.bus.batch import Head
from options_helper.bus.continuity import Arrival, Begun, Position, Verdict
from options_helper.bus.detail import Detail
from options_helper.bus.truth import DeskHealth
from options_helper.model.gaps import Gap
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId

# An owner tells how it is twice a second.
UNHEARD_SECONDS: Final = 3.0
KEPT_GAPS: Final = 200
FIRST_LEG: Final = "Alpaca to the owner"
SECOND_LEG: Final = "the owner to this program"


def speaks_for_desk(epoch: int, heard_at: float | None, newest: int, newest_heard_at: float | None) -> bool:
    """Whether an owner's word of that term counts beside one of the newest term so far; None: found, and not heard.

    The connections of one program bring the same words at different times, and a fenced owner's last may come behind
    another's first. One of an earlier term that is heard alone speaks for a bus that lost what it had.
    """
    if epoch >= newest:
        return True
    if heard_at is None:
        return False
    return newest_heard_at is None or heard_at - newest_heard_at >= UNHEARD_SECONDS


@dataclass(frozen=True, slots=True)
class Leg:
    """What came of one stream over the bus, and what did not; times are on this computer's clock, epoch nanoseconds."""

    stream: StreamId
    position: Position = field(default_factory=Position)
    damaged: int = 0  # messages that are no batch
    last_received_ns: int | None = None
    begun_ns: int | None = None  # when it was followed first; None: nobody said
    gaps: tuple[Gap, ...] = ()
    gap_count: int = 0
    feed: Detail = Detail.FULL  # of the last batch
    left_out: int = 0  # quotes that the slow feed stood in for by newer ones
    slow_events: int = 0  # all that it stood for

    @property
    def missed(self) -> int:
        """Events that the owner published and that are not used here."""
        return self.position.missed + self.left_out

    @property
    def epoch(self) -> int:
        """The newest term of an owner that was heard; 0: none was."""
        return 0 if self.position.last is None else self.position.last.epoch

    def take(
        self,
        head: Head,
        first_ns: int | None,
        last_ns: int | None,
        told: Sequence[Gap] = (),
        feed: Detail = Detail.FULL,
    ) -> tuple[Leg, Arrival]:
        """The leg after a batch whose first and last frame the owner received then; None: it has no frame.

        `told` are gaps of the owner's own among the frames, in which it counted what it lost.
        """
        before = self.position if feed is self.feed else self.position.on_another_feed()
        position, arrival = before.take(head)
        if not arrival.is_new:
            return replace(self, position=before, feed=feed), arrival
        gaps = self.gaps if first_ns is None else tuple(_until(gap, first_ns) for gap in self.gaps)
        new = [*([] if self._is_whole(arrival) else [self._gap(arrival, first_ns)]), *told]
        leg = replace(
            self,
            position=position,
            last_received_ns=last_ns or self.last_received_ns,
            gaps=(*gaps, *new)[-KEPT_GAPS:],
            gap_count=self.gap_count + len(new),
            feed=feed,
            slow_events=self.slow_events + (head.events - arrival.known if feed is Detail.SLOW else 0),
        )
        return leg, arrival

    def begin(self, health: DeskHealth) -> tuple[Leg, Arrival]:
        """The leg where a connection follows it since before the owner said this, and what that comes to."""
        published = health.published.get(str(self.stream))
        if published is None:
            return self, Arrival(Verdict.NEXT)
        position, arrival = self.position.begin(Begun(published.epoch, published.events))
        leg = replace(self, position=position, begun_ns=self.begun_ns or health.at_ns)
        if self._is_whole(arrival):
            return leg, arrival
        # Of a new owner it is not known since when it publishes.
        until_ns = health.at_ns if arrival.verdict is Verdict.HOLE else None
        gaps = (*self.gaps, self._gap(arrival, until_ns))[-KEPT_GAPS:]
        return replace(leg, gaps=gaps, gap_count=self.gap_count + 1), arrival

    def is_behind(self, health: DeskHealth) -> bool:
        """Whether the owner has published more than has come, by its own word."""
        published = health.published.get(str(self.stream))
        return published is not None and self.position.is_behind(published.epoch, published.events)

    def leave_out(self, events: int) -> Leg:
        """The leg after a batch of the slow feed in which so many quotes are left out."""
        return replace(self, left_out=self.left_out + events) if events else self

    def _gap(self, arrival: Arrival, first_ns: int | None) -> Gap:
        """A new owner's lasts until something comes of it, or it says that it is connected."""
        since_ns = self.last_received_ns or self.begun_ns or first_ns or 0
        until_ns = None if first_ns is None else max(since_ns, first_ns)
        if first_ns is None and (arrival.verdict is not Verdict.NEW_OWNER or not since_ns):
            until_ns = since_ns
        return Gap(self.stream, since_ns, until_ns, _reason(arrival), lost=arrival.missed)

    @staticmethod
    def _is_whole(arrival: Arrival) -> bool:
        """Whether nothing is to be told: an owner that follows another is told even if nothing is missing."""
        return arrival.verdict in (Verdict.FIRST, Verdict.NEXT)

    def spoil(self) -> Leg:
        """The leg after a message that is no batch; its events are counted by the next one."""
        return replace(self, damaged=self.damaged + 1)


def _until(gap: Gap, until_ns: int) -> Gap:
    """The same, over by then where it lasts."""
    return gap if gap.until_ns is not None else replace(gap, until_ns=max(gap.since_ns, until_ns))


def _reason(arrival: Arrival) -> str:
    missed = "an unknown number of" if arrival.missed is None else f"{arrival.missed:,}"
    if arrival.verdict is Verdict.NEW_OWNER:
        return f"Another owner took over; {missed} events were missed on the way from {SECOND_LEG}."
    return f"On the way from {SECOND_LEG}, {missed} events were missed."


def both_legs(
    mine: StreamHealth,
    desk: DeskHealth | None,
    leg: Leg | None,
    *,
    heard_ago: float | None,
    shift_ns: int = 0,
    reached: bool = True,
) -> StreamHealth:
    """A stream's health as a viewer shows it: the worse phase of the two, with the leg that it is of.

    The times of all three are on this computer's clock, or on that of the market that the owner plays.
    `heard_ago` is how many seconds ago the owner told of itself; None: never. `shift_ns` is added to the times of the
    leg's gaps. `reached` is whether the bus is: an owner that has ended then explains why nothing comes. The ledger is
    this program's own, and what was missed on the way; so received = applied + dropped + rejected + queued + missed.
    The feed is the owner's: None until it says one, whatever this program would stream by itself.
    """
    health = _with_leg(mine, leg, shift_ns, _connected_since_ns(mine.name, desk, leg))
    health = replace(health, feed=None if desk is None else desk.feed_of(mine.name))
    if mine.phase in (Phase.OFF, Phase.STOPPED):
        return health
    phase, why = _of_owner(mine.name, desk, heard_ago, leg)
    owner = None if desk is None else desk.health_of(mine.name)
    if owner is not None:
        health = _with_owner(health, owner)
    explained = phase is Phase.STOPPED and reached and mine.phase is not Phase.FAILED
    # A viewer is quiet while it has all that the owner published: whether that is little, the owner says.
    own_phase = Phase.LIVE if mine.phase is Phase.QUIET else mine.phase
    if not explained and (phase.illness < own_phase.illness or (phase is own_phase and mine.last_error)):
        sentence = mine.last_error
        said = None if sentence is None else f"From {SECOND_LEG}: {sentence}"
        return replace(health, phase=own_phase, last_error=said)
    return replace(
        health,
        phase=phase,
        last_error=f"From {FIRST_LEG}: {why}" if why else health.last_error,
        next_try_at=None if owner is None or _has_ended(desk) else owner.next_try_at,
        reconnect_attempts=0 if owner is None else owner.reconnect_attempts,
        silent_since=health.silent_since if owner is None else owner.silent_since,
    )


def _connected_since_ns(stream: StreamId, desk: DeskHealth | None, leg: Leg | None) -> int | None:
    """Since when the owner that is heard now has the stream; None while it has not."""
    if desk is None or leg is None or leg.epoch > desk.epoch:
        return None
    owner = desk.health_of(stream)
    if owner is None or owner.phase not in (Phase.LIVE, Phase.QUIET) or owner.connected_since is None:
        return None
    return datetime_nanoseconds(owner.connected_since)


def _with_leg(
    mine: StreamHealth, leg: Leg | None, shift_ns: int, connected_since_ns: int | None
) -> StreamHealth:
    if leg is None:
        return mine
    missed = leg.missed
    moved = (_moved(gap, shift_ns, connected_since_ns) for gap in leg.gaps)
    return replace(
        mine,
        received=mine.received + missed,
        missed=missed,
        gaps=_in_time((*mine.gaps, *moved)),
        gap_count=mine.gap_count + leg.gap_count,
    )


def _moved(gap: Gap, shift_ns: int, connected_since_ns: int | None) -> Gap:
    """The same on the clock that is shown; one that lasts is over once the owner is connected."""
    moved = replace(gap, since_ns=gap.since_ns + shift_ns)
    if gap.until_ns is not None:
        return replace(moved, until_ns=gap.until_ns + shift_ns)
    return moved if connected_since_ns is None else _until(moved, connected_since_ns)


def _with_owner(health: StreamHealth, owner: StreamHealth) -> StreamHealth:
    """With what the server acknowledged to the owner and what it refused it, and the gaps it had."""
    taken, refused = set(owner.acknowledged), {*health.refused_symbols, *owner.refused_symbols}
    return replace(
        health,
        acknowledged=tuple(symbol for symbol in health.requested if symbol in taken),
        refused_symbols=tuple(symbol for symbol in health.requested if symbol in refused - taken),
        gaps=_in_time((*health.gaps, *owner.gaps)),
        gap_count=health.gap_count + owner.gap_count,
    )


def _in_time(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    return tuple(sorted(gaps, key=lambda gap: gap.since_ns))[-KEPT_GAPS:]


def _of_owner(
    stream: StreamId, desk: DeskHealth | None, heard_ago: float | None, leg: Leg | None
) -> tuple[Phase, str | None]:
    """How the stream is at the owner, and why, as a sentence."""
    # That it ended is true also where it is read from the store only, by a viewer that began later.
    if desk is None or (heard_ago is None and not desk.ended):
        return Phase.CONNECTING, "no owner has told of itself yet."
    if (gone := _gone(desk, heard_ago, leg)) is not None:
        return Phase.RECONNECTING, gone
    owner = desk.health_of(stream)
    if desk.ended:
        failure = owner.last_error if owner is not None and owner.phase is Phase.FAILED else None
        return Phase.STOPPED, _ending(desk, failure)
    if owner is None or owner.phase is Phase.OFF:
        return Phase.CONNECTING, "the owner does not stream it."
    if owner.phase is Phase.STOPPED:
        return Phase.STOPPED, "the owner has stopped it."
    return owner.phase, owner.last_error


def _gone(desk: DeskHealth, heard_ago: float | None, leg: Leg | None) -> str | None:
    """Why what the owner said last is not believed any more; None where it is."""
    if desk.epoch and leg is not None and leg.epoch > desk.epoch:
        return "another owner has taken over, and has not told of itself yet."
    if not desk.ended and heard_ago is not None and heard_ago > UNHEARD_SECONDS:
        return f"{_named(desk)} has not been heard for {heard_ago:.0f} s."
    return None


def _ending(desk: DeskHealth, failure: str | None) -> str:
    """Who ended and why, and what comes of it."""
    # In order is all that its goodbye shows: a program that ends for a fault of its own says one, too.
    how = "after its recording was played out" if desk.played_out else "in order"
    said = f"{_named(desk)} has ended {how}; the next one is followed as soon as it begins."
    return f"{said} Before that it had failed: {failure}" if failure else said


def _named(desk: DeskHealth) -> str:
    return f"the owner on {desk.where} (process {desk.pid})"


def _has_ended(desk: DeskHealth | None) -> bool:
    return desk is not None and desk.ended
