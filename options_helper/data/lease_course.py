"""Who has a lease, from what its file says: the steps by which one program renews it, takes it and gives it back.

Knows no file, lock or clock: whoever has them carries out one step at a time, and tells what came of it and when.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from math import inf
from typing import Final, NamedTuple, TypeVar

# Whoever has not renewed it for so long does not run; a whole takeover takes half a minute at most.
STALE_SECONDS: Final = 18.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has it."""

    who: str  # dashboard, watch
    pid: int
    host: str
    since: datetime  # UTC, by its computer's clock
    renewed: float = 0.0  # on the monotonic clock that all processes of a computer share
    clock: str = ""  # which clock that is: of another computer, nobody here can compare it
    looked: float | None = (
        None  # when somebody did last what it is for, by a clock of theirs; None: nobody has
    )


class Ask(Enum):
    """What is asked of the file and its locks, or done with them."""

    IS_MINE = auto()  # whether the file whose lock this program has is still the one of that name
    LOCK = auto()  # take the lock of the file, made where there is none; whether nobody had it
    READ = auto()  # who stands in it
    TURN = auto()  # of those who wait, one takes it: whether it is this one's turn
    END_TURN = auto()
    LET_GO = auto()


@dataclass(frozen=True, slots=True)
class Write:
    """Into the file whose lock this program has."""

    holder: Holder


@dataclass(frozen=True, slots=True)
class Supplant:
    """Put a file of this program's own, whose lock it has already, in the place of that of one who runs no more."""

    holder: Holder
    stopped: Holder | None  # None: it was stopped before it could say who it is


Step = Ask | Write | Supplant


class Told(NamedTuple):
    """What came of a step, and when it was over, in seconds of the clock that all processes share."""

    at: float
    is_so: bool = False
    holder: Holder | None = None  # None: nobody ever had it, or it cannot be read


S = TypeVar("S")
A = TypeVar("A")
T = TypeVar("T")
Steps = Generator[Step, Told, T]


class LeaseCourse:
    """One program's part in it. The steps of one call are over, or left for good, before those of the next begin.

    OSError of a step is to be thrown into its steps, which take it or let it go on.
    """

    def __init__(self, me: Holder) -> None:
        self._me = me
        # What stood there at the last look, and when this program found that for the first time, and last.
        self._found: tuple[Holder | None, float, float] | None = None
        self.taken = 0  # how often this program has taken it, which renewing is not

    def keep(self, looked: float | None, now: float = inf) -> Steps[bool]:
        """Renew it, or take it where nobody has it who runs; whether it is this program's now.

        `looked` is written down for who comes after: when this program, or the one before it, did what it is for. Who
        takes it keeps what the one before has written, where that is later, but not later than `now`.
        """
        self._me = replace(self._me, looked=looked)
        told = yield Ask.IS_MINE
        if not told.is_so:
            yield Ask.LET_GO
            told = yield Ask.LOCK
            if told.is_so:
                self._go_on_from((yield Ask.READ).holder, now)
            elif not (yield from self._from_the_stopped(now)):
                return False
            self.taken += 1
        yield Write(self._as_of(told))
        # It may have been stopped between any two steps, for so long that another took it.
        return (yield Ask.IS_MINE).is_so

    def note(self, looked: float) -> Steps[None]:
        """Write down when this program did what it is for, for whoever comes after; where it has the lease."""
        self._me = replace(self._me, looked=looked)
        told = yield Ask.IS_MINE
        if told.is_so:
            with suppress(OSError):
                yield Write(self._as_of(told))

    def looked(self) -> Steps[float | None]:
        """When whoever has it, or had it last, noted that; None: nobody has."""
        found = (yield Ask.READ).holder
        return None if found is None else found.looked

    def release(self, looked: float | None = None) -> Steps[None]:
        """Give it back; harmless where this program has it not. `looked` as for `keep`."""
        if looked is not None:
            yield from self.note(looked)
        yield Ask.LET_GO

    def _go_on_from(self, before: Holder | None, now: float) -> None:
        """Keep when the holder of before looked, which may be since this program did."""
        looks = [
            one.looked
            for one in (self._me, before)
            if one is not None and one.looked is not None and one.looked <= now
        ]
        self._me = replace(self._me, looked=max(looks, default=self._me.looked))

    def _from_the_stopped(self, now: float) -> Steps[bool]:
        told = yield Ask.READ
        found = told.holder
        unchanged_since = self._unchanged_since(found, told.at)
        renewed = unchanged_since if found is None or found.clock != self._me.clock else found.renewed
        if told.at - renewed < STALE_SECONDS or not (yield Ask.TURN).is_so:
            return False
        told = yield Ask.READ
        # Another had its turn before, or whoever was stopped goes on.
        is_stopped = told.holder == found
        if is_stopped:
            self._go_on_from(found, now)
            try:
                yield Supplant(self._as_of(told), found)
            except OSError:
                yield Ask.END_TURN
                if found is not None:
                    raise
                # Who has the lock may live, and be as unable to write: it says so and sends, and one is enough.
                return False
        yield Ask.END_TURN
        return is_stopped

    def _unchanged_since(self, found: Holder | None, at: float) -> float:
        """Since when the same is found again and again, or nothing is; a look long ago says nothing of today's."""
        before, first, last = self._found or (found, at, at)
        first = first if found == before and at - last < STALE_SECONDS else at
        self._found = found, first, at
        return first

    def _as_of(self, told: Told) -> Holder:
        return replace(self._me, renewed=told.at)


def carry_out(steps: Generator[S, A, T], do: Callable[[S], A]) -> T:
    """Do one step after the other; what they come to. An OSError of one is the steps' own to take."""
    try:
        step = next(steps)
        while True:
            try:
                told = do(step)
            except OSError as error:
                step = steps.throw(error)
            else:
                step = steps.send(told)
    except StopIteration as end:
        answer: T = end.value
        return answer
