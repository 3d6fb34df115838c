"""Who may send a request now, of the programs that share an account's minute; values only, the instants come in.

Each program that has asked lately has a share by its weight, and at most its ceiling; all of them together keep within
the account's minute. What was sent counts for a minute, also when its sender is gone; the share of one that is gone, or
has nothing to ask, is the others'.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

# Requests are counted by twentieths of a second: a program at 10,000 a minute keeps 1,200 numbers and not 10,000.
TICKS_A_SECOND: Final = 20
MINUTE: Final = 60 * TICKS_A_SECOND
# Who has not asked for so long leaves its share to the others until it asks again. The page asks each minute.
IDLE: Final = 2 * MINUTE
# Floats of a clock: who waited as told is not told to wait for nothing.
SHORTEST_WAIT: Final = 0.001

Window = tuple[tuple[int, int], ...]
"""How many requests left in which tick, oldest first."""


def tick_of(seconds: float) -> int:
    """The tick of a moment."""
    return int(seconds * TICKS_A_SECOND)


def recent(window: Window, now: int) -> Window:
    """What of it still counts. What is of later than now is of before the computer's start, and does not."""
    return tuple((tick, count) for tick, count in window if now - MINUTE <= tick <= now)


def with_one_more(window: Window, now: int) -> Window:
    """The same with a request that leaves now."""
    if window and window[-1][0] == now:
        return (*window[:-1], (now, window[-1][1] + 1))
    return (*window, (now, 1))


def size(window: Window) -> int:
    """How many requests."""
    return sum(count for _, count in window)


def free_at(window: Window, most: int) -> int:
    """The tick at which fewer than `most` of these count, while no more are sent; 0: now."""
    too_many = size(window) - most
    for tick, count in window:
        if too_many < 0:
            return 0
        too_many -= count
        if too_many < 0:
            return tick + MINUTE + 1
    return 0


class Share(Struct, frozen=True):
    """What of an account's minute is meant for one kind of program."""

    name: str
    weight: int
    ceiling: float = 1.0  # of the whole minute, however few others ask


# Of a minute of 200 requests, while all three ask: page 100, recorder 50, ingestion 50. Ingestion leaves half of it to
# whoever comes, since it could use all there is and none of it is urgent.
PAGE: Final = Share("page", 2)
RECORDER: Final = Share("recorder", 1)
INGESTION: Final = Share("ingestion", 1, 0.5)
COMMAND: Final = Share("command", 1)
# Who cannot know of the others assumes one of each that runs for long.
_ALL_WEIGHTS: Final = PAGE.weight + RECORDER.weight + INGESTION.weight


class Member(Struct, frozen=True):
    """One program, as of when it asked last."""

    token: str
    share: Share
    per_minute: int  # what its settings say the account has
    at_most: int  # what its own settings allow it
    asked: int  # the tick
    sent: Window = ()


class Ledger(Struct, frozen=True):
    """All that programs know of each other."""

    boot: str = ""  # the ticks of another start of the computer mean nothing
    held_until: float = 0.0  # seconds of the computer's clock: a server wants silence from all
    members: tuple[Member, ...] = ()
    sent: Window = ()  # by those that are gone

    def of(self, boot: str, living: Iterable[str], now: int) -> Ledger:
        """What of it holds now: of this start of the computer, with the living as its members."""
        if self.boot != boot:
            return Ledger(boot)
        alive = frozenset(living)
        members = tuple(
            replace(one, sent=recent(one.sent, now)) for one in self.members if one.token in alive
        )
        gone = [one.sent for one in self.members if one.token not in alive]
        return Ledger(boot, self.held_until, members, recent(merged((self.sent, *gone)), now))

    def with_member(self, member: Member) -> Ledger:
        """The same with what a program says of itself now."""
        others = tuple(one for one in self.members if one.token != member.token)
        return replace(self, members=(*others, member))

    def member(self, token: str) -> Member:
        """The one of this token, who is in it."""
        return next(one for one in self.members if one.token == token)

    @property
    def all_sent(self) -> Window:
        """What counts of everybody's."""
        return merged((self.sent, *(one.sent for one in self.members)))


class Turn(Struct, frozen=True):
    """What a program may do."""

    wait: float  # seconds; 0: the request may leave, and is counted
    share: int
    left: int  # after that
    programs: int


def decide(ledger: Ledger, token: str, seconds: float) -> tuple[Ledger, Turn]:
    """Let one request of a member leave, or wait; `seconds` is the computer's clock."""
    now = tick_of(seconds)
    me = ledger.member(token)
    active = [one for one in ledger.members if one is me or now - one.asked <= IDLE]
    whole = min(one.per_minute for one in active)
    share = share_of(me, whole, sum(one.share.weight for one in active))
    everybody = ledger.all_sent
    free = max(free_at(me.sent, share), free_at(everybody, whole))
    held = max(0.0, ledger.held_until - seconds)
    if not free and not held:
        me = replace(me, sent=with_one_more(me.sent, now))
        ledger, everybody = ledger.with_member(me), with_one_more(everybody, now)
    left = max(0, min(share - size(me.sent), whole - size(everybody)))
    wait = max(held, max(SHORTEST_WAIT, free / TICKS_A_SECOND - seconds) if free else 0.0)
    return ledger, Turn(wait, share, left, len(active))


class Answer(Struct, frozen=True):
    """What a program may do, and what it then knows."""

    turn: Turn
    sent: Window = ()  # its own requests that count, the present one among them if it may leave
    held_until: float = 0.0  # seconds of the computer's clock
    problem: str | None = None  # why the minute is not shared


def take_alone(member: Member, held_until: float, seconds: float) -> Answer:
    """The same for a program that shares with nobody."""
    member = replace(member, sent=recent(member.sent, tick_of(seconds)))
    ledger, turn = decide(Ledger(held_until=held_until, members=(member,)), member.token, seconds)
    return Answer(turn, ledger.member(member.token).sent, held_until)


def share_of(member: Member, whole: int, weights: int | None = None) -> int:
    """The most that a program may send in a minute of `whole`, one at least.

    `weights` are those of all who ask; None: they are not known.
    """
    mine = whole * member.share.weight // (weights or _ALL_WEIGHTS)
    return max(1, min(mine, int(whole * member.share.ceiling), member.at_most))


def merged(windows: Iterable[Window]) -> Window:
    """Several as one."""
    counts: dict[int, int] = {}
    for window in windows:
        for tick, count in window:
            counts[tick] = counts.get(tick, 0) + count
    return tuple(sorted(counts.items()))
