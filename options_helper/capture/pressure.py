"""Decide what a recorder's writer does next: journal, make rows, put them off, catch up, wait for the disk, end.

`decide` is a pure function; the writer's thread carries out one command at a time and answers with what came of it.
Records wait in one of five places, and a decision only ever moves them from one to another:

    unwritten ─▶ pending ─▶ made          the journal first, then the rows
        │           └─▶ put off ─▶ made   under pressure rows wait in the journal
        └─▶ given up                      what the disk would not take until the deadline

Without a journal there is nowhere to wait: a record is pending at once, and what is no row at the deadline is given up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum, auto
from math import inf
from typing import Final, assert_never

COMMIT_SECONDS: Final = 0.5
SYNC_SECONDS: Final = 5.0
HOUSEKEEPING_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 1.0
# Above this share of the queue rows are put off; below the other they are made again.
PRESSURE: Final = 0.5
RELIEF: Final = 0.1


@dataclass(frozen=True, slots=True)
class Seen:
    """What the writer sees before each step; times are seconds of the monotonic clock."""

    now: float
    fill: float = 0.0  # the share of the queue's room that is taken
    drained: bool = False  # the queue is closed and empty
    deadline: float = inf  # inf: nobody has asked to end; -inf: it has to end at once

    @property
    def ending(self) -> bool:
        """Whether the capture was asked to end."""
        return self.deadline < inf

    @property
    def past_deadline(self) -> bool:
        """Whether there is only time left for what is at hand."""
        return self.now >= self.deadline

    @property
    def pressed(self) -> bool:
        """Whether rows have to wait, so that frames need not."""
        return self.past_deadline or self.fill >= PRESSURE

    @property
    def relieved(self) -> bool:
        """Whether there is time for rows that were put off."""
        return self.ending or self.fill <= RELIEF


class Stage(IntEnum):
    """How far a capture is."""

    RECORDING = 0
    SAVING = 1  # what is left in the queue goes to the journal only
    CONCLUDING = 2  # nothing more is taken; what the capture says of its end is next
    ENDING = 3  # that is on its way
    OVER = 4  # or it ended in an error, too


@dataclass(frozen=True, slots=True)
class Take:
    """Take frames from the queue, waiting so many seconds for the first, and note the time; the answer is `Taken`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class AwaitDisk:
    """Leave the disk alone for so many seconds, unless the end has to come at once; the answer is `Done`."""

    seconds: float


class Step(Enum):
    """The commands that need no number; beside each is its answer."""

    FLUSH = auto()  # Write what is unwritten to the journal: `Flushed`.
    MAKE_ROWS = auto()  # Make rows of what is pending, until that must stop: `RowsMade`.
    PUT_OFF = auto()  # Make no rows of what is pending: `RowsMade`, of none.
    CATCH_UP = auto()  # Make rows of some of what was put off, the oldest first: `CaughtUp`.
    MAKE_EARLIER_ROWS = auto()  # Make some of what an earlier capture left in its journal: `EarlierRowsMade`.
    GATHER = auto()  # Let some frames gather, unless the end comes: `Done`.
    OBSERVE = auto()  # Look at the streams; the gaps that were found are `Noted`.
    SYNC = auto()  # Wait until the disk has what the journal has: `Done`.
    TAKE_REST = (
        auto()
    )  # Close the queue and take some of what is left in it: `Taken`, of none when there is none.
    GIVE_UP = auto()  # Forget what is unwritten: no later flush writes what is counted as lost. `GivenUp`.
    CONCLUDE = auto()  # Close the queue and settle the rows; what there is to say of the end is `Noted`.
    END = auto()  # Close everything; there is no answer.


Command = Take | AwaitDisk | Step


@dataclass(frozen=True, slots=True)
class Done:
    """The command was carried out, and there is nothing to say of it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """So many records, of frames most of them, are in the writer's hands."""

    records: int


@dataclass(frozen=True, slots=True)
class Noted:
    """So many records of what the capture says of itself are in the writer's hands."""

    records: int


@dataclass(frozen=True, slots=True)
class Flushed:
    """The journal has all but so many of the unwritten records; `refusal` is the disk's reason where it has not all."""

    waiting: int = 0
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class RowsMade:
    """So many of the pending records, the oldest, are rows."""

    records: int


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """So many of the records that were put off, the oldest, are rows."""

    records: int


@dataclass(frozen=True, slots=True)
class EarlierRowsMade:
    """A step of that was done; `more` says whether another is needed, `records` how many gaps were noted of it."""

    more: bool
    records: int = 0


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What was unwritten is forgotten."""


@dataclass(frozen=True, slots=True)
class Broke:
    """A command ended in an error; so many records are unwritten, put off and pending now."""

    unwritten: int
    put_off: int
    pending: int = 0


Happened = Done | Taken | Noted | Flushed | RowsMade | CaughtUp | EarlierRowsMade | GivenUp | Broke


@dataclass(frozen=True, slots=True)
class WriterState:
    """Where the records of one capture are, counted, and what its writer has to remember."""

    journals: bool  # whether the capture keeps a journal
    unwritten: int = 0
    pending: int = 0
    put_off: int = 0
    made: int = 0
    given_up: int = 0
    stage: Stage = Stage.RECORDING
    earlier: bool = False  # earlier captures' rows are to be made before this one's
    refusal: str | None = None  # why the disk takes no more
    refused: bool = False  # the last flush was, and nothing was waited for since
    stuck: bool = False  # the last attempt to make rows that were put off made none
    rows_are_next: bool = False  # after each take it is the turn of the rows that wait
    observe_at: float = -inf
    sync_at: float = -inf

    @property
    def behind(self) -> bool:
        """Whether rows wait in the journal; all that follow wait too then, so that the order is kept."""
        return self.put_off > 0 or self.earlier

    @property
    def records(self) -> int:
        """All that were ever in the writer's hands."""
        return self.unwritten + self.pending + self.put_off + self.made + self.given_up


def decide(writer: WriterState, happened: Happened, seen: Seen) -> tuple[WriterState, Command]:
    """What is next, now that this has come of the last command."""
    return _next(_after(writer, happened), seen)


def _after(writer: WriterState, happened: Happened) -> WriterState:  # noqa: C901, PLR0911 - a case for each
    """Move the records to where they are now."""
    match happened:
        case Done():
            return writer
        case Taken(records):
            if not records and writer.stage is Stage.SAVING:
                return replace(writer, stage=Stage.CONCLUDING)
            return replace(_with_new(writer, records), rows_are_next=True)
        case Noted(records):
            return _with_new(writer, records)
        case Flushed(waiting, refusal):
            return replace(
                writer,
                unwritten=waiting,
                pending=writer.pending + writer.unwritten - waiting,
                refusal=refusal,
                refused=waiting > 0,
            )
        case RowsMade(records):
            unmade = writer.pending - records
            return replace(
                writer,
                pending=0,
                made=writer.made + records,
                put_off=writer.put_off + (unmade if writer.journals else 0),
                given_up=writer.given_up + (0 if writer.journals else unmade),
            )
        case CaughtUp(records):
            left = writer.put_off - records
            stuck = records == 0 and left > 0
            return replace(writer, put_off=left, made=writer.made + records, stuck=stuck)
        case EarlierRowsMade(more, records):
            return replace(_with_new(writer, records), earlier=more)
        case GivenUp():
            # What is left in the queue would be refused like this.
            return replace(
                writer,
                unwritten=0,
                given_up=writer.given_up + writer.unwritten,
                refused=False,
                stage=Stage.CONCLUDING,
            )
        case Broke(unwritten, put_off, pending):
            stage = Stage(min(writer.stage + 1, Stage.OVER))
            # What was taken as it broke is pending without a journal; nothing was before it.
            given_up = writer.given_up + (0 if writer.journals else max(0, writer.pending - pending))
            return replace(
                writer,
                unwritten=unwritten,
                pending=pending,
                put_off=put_off,
                given_up=given_up,
                stage=stage,
                refused=False,
            )
    assert_never(happened)


def _with_new(writer: WriterState, records: int) -> WriterState:
    if writer.journals:
        return replace(writer, unwritten=writer.unwritten + records)
    return replace(writer, pending=writer.pending + records)


def _next(writer: WriterState, seen: Seen) -> tuple[WriterState, Command]:
    if writer.unwritten and writer.stage is not Stage.OVER and not _is_final_write_refused(writer, seen):
        return _write(writer, seen)
    if writer.pending:
        return writer, Step.MAKE_ROWS if _may_make_rows(writer, seen) else Step.PUT_OFF
    match writer.stage:
        case Stage.RECORDING:
            return _record(writer, seen)
        case Stage.SAVING if writer.journals:
            return writer, Step.TAKE_REST
        case Stage.SAVING | Stage.CONCLUDING:
            return replace(writer, stage=Stage.ENDING), Step.CONCLUDE
        case Stage.ENDING | Stage.OVER:
            return replace(writer, stage=Stage.OVER), Step.END


def _is_final_write_refused(writer: WriterState, seen: Seen) -> bool:
    """The last records are not given up then: the journal tries once more as it is closed."""
    return writer.stage is Stage.ENDING and writer.refused and seen.past_deadline


def _write(writer: WriterState, seen: Seen) -> tuple[WriterState, Command]:
    """Try, and wait while the disk refuses, and let the queue fill; after the deadline try once more."""
    if not writer.refused:
        return writer, Step.FLUSH
    if not seen.past_deadline:
        return replace(writer, refused=False), AwaitDisk(min(RETRY_SECONDS, seen.deadline - seen.now))
    return writer, Step.GIVE_UP


def _may_make_rows(writer: WriterState, seen: Seen) -> bool:
    if not writer.journals:
        return not seen.past_deadline
    return not writer.behind and not seen.pressed and writer.stage is not Stage.SAVING


def _record(writer: WriterState, seen: Seen) -> tuple[WriterState, Command]:
    if seen.past_deadline or (seen.drained and (writer.stuck or not writer.behind)):
        return _next(replace(writer, stage=Stage.SAVING), seen)
    if seen.now >= writer.observe_at:
        return replace(writer, observe_at=seen.now + HOUSEKEEPING_SECONDS), Step.OBSERVE
    if seen.now >= writer.sync_at:
        return replace(writer, sync_at=seen.now + SYNC_SECONDS), Step.SYNC
    if writer.rows_are_next:
        writer = replace(writer, rows_are_next=False)
        if not writer.behind:
            # Small commits make small members.
            return writer, Step.GATHER
        if seen.relieved:
            return writer, Step.MAKE_EARLIER_ROWS if writer.earlier else Step.CATCH_UP
    # Rows that cannot be made are no reason for haste.
    return writer, Take(0.0 if writer.behind and not writer.stuck else COMMIT_SECONDS)
