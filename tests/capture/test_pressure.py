"""What a recorder's writer does next, as values: no thread, no disk and no clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from itertools import product
from math import inf
from typing import assert_never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.capture.pressure import (
    COMMIT_SECONDS,
    PRESSURE,
    RELIEF,
    RETRY_SECONDS,
    AwaitDisk,
    Broke,
    CaughtUp,
    Command,
    Done,
    EarlierRowsMade,
    Flushed,
    GivenUp,
    Happened,
    Noted,
    RowsMade,
    Seen,
    Stage,
    Step,
    Take,
    Taken,
    WriterState,
    decide,
)

CALM = Seen(now=100.0)
PRESSED = Seen(now=100.0, fill=PRESSURE)
LATE = Seen(now=100.0, drained=True, deadline=100.0)
# A writer that has just observed and synced, so that these are not what is next.
BUSY = WriterState(journals=True, observe_at=inf, sync_at=inf)


def commands(writer: WriterState, *steps: tuple[Happened, Seen]) -> tuple[WriterState, list[Command]]:
    """What is commanded after each of these."""
    said: list[Command] = []
    for happened, seen in steps:
        writer, command = decide(writer, happened, seen)
        said.append(command)
    return writer, said


def test_frames_are_journaled_and_then_made_rows_and_then_some_may_gather():
    writer, said = commands(BUSY, (Taken(5), CALM), (Flushed(), CALM), (RowsMade(5), CALM), (Done(), CALM))

    assert said == [Step.FLUSH, Step.MAKE_ROWS, Step.GATHER, Take(COMMIT_SECONDS)]
    assert (writer.made, writer.behind) == (5, False)


def test_without_a_journal_rows_are_made_at_once():
    _, said = commands(replace(BUSY, journals=False), (Taken(5), PRESSED), (RowsMade(5), CALM))

    assert said == [Step.MAKE_ROWS, Step.GATHER]


def test_without_a_journal_what_is_no_row_at_the_deadline_is_given_up():
    writer, said = commands(replace(BUSY, journals=False), (Taken(5), LATE), (RowsMade(0), LATE))

    assert said == [Step.PUT_OFF, Step.CONCLUDE]
    assert (writer.given_up, writer.put_off) == (5, 0)


def test_under_pressure_rows_wait_and_follow_when_it_is_over_and_meanwhile_nothing_waits_for_frames():
    writer, said = commands(
        BUSY,
        (Taken(5), PRESSED),
        (Flushed(), PRESSED),
        (RowsMade(0), PRESSED),
        (Taken(3), CALM),
        (Flushed(), CALM),
        (RowsMade(0), CALM),
        (CaughtUp(8), CALM),
    )

    assert said == [
        Step.FLUSH,
        Step.PUT_OFF,
        Take(0.0),
        Step.FLUSH,
        Step.PUT_OFF,
        Step.CATCH_UP,
        Take(COMMIT_SECONDS),
    ]
    assert (writer.made, writer.put_off) == (8, 0)


def test_rows_that_were_interrupted_are_put_off():
    writer, said = commands(BUSY, (Taken(5), CALM), (Flushed(), CALM), (RowsMade(2), PRESSED))

    assert said[-1] == Take(0.0)
    assert (writer.made, writer.put_off) == (2, 3)


@pytest.mark.parametrize(
    ("seen", "caught_up"),
    [
        (Seen(100.0, fill=RELIEF), True),
        (Seen(100.0, fill=RELIEF + 0.01), False),
        (Seen(100.0, fill=PRESSURE, deadline=109.0), True),
    ],
)
def test_what_was_put_off_waits_for_relief_or_the_end(seen: Seen, caught_up: bool):  # noqa: FBT001 - a case
    _, command = decide(replace(BUSY, pending=1, put_off=4, rows_are_next=True), RowsMade(0), seen)

    assert (command is Step.CATCH_UP) == caught_up


def test_rows_that_cannot_be_made_are_tried_again_and_again_with_a_pause_before_each():
    writer, said = commands(
        replace(BUSY, put_off=4, rows_are_next=True),
        (Noted(0), CALM),
        *[(CaughtUp(0), CALM), (Taken(1), CALM), (Flushed(), CALM), (RowsMade(0), CALM)] * 2,
        (CaughtUp(6), CALM),
    )

    one_round = [Step.CATCH_UP, Take(COMMIT_SECONDS), Step.FLUSH, Step.PUT_OFF]
    assert said == [*one_round, *one_round, Step.CATCH_UP, Take(COMMIT_SECONDS)]
    assert (writer.made, writer.put_off, writer.stuck) == (6, 0, False)


def test_rows_that_cannot_be_made_do_not_hold_up_the_end():
    drained = Seen(now=100.0, drained=True, deadline=109.0)

    _, said = commands(replace(BUSY, put_off=4), (CaughtUp(0), drained), (Taken(0), drained))

    assert said == [Step.TAKE_REST, Step.CONCLUDE]


def test_the_rows_of_an_earlier_capture_come_before_its_own():
    writer, said = commands(
        replace(BUSY, earlier=True),
        (Taken(5), CALM),
        (Flushed(), CALM),
        (RowsMade(0), CALM),
        (EarlierRowsMade(more=False, records=2), CALM),
        (Flushed(), CALM),
        (RowsMade(0), CALM),
        (Taken(1), CALM),
        (Flushed(), CALM),
        (RowsMade(0), CALM),
    )

    assert said == [
        Step.FLUSH,
        Step.PUT_OFF,
        Step.MAKE_EARLIER_ROWS,
        Step.FLUSH,
        Step.PUT_OFF,
        Take(0.0),
        Step.FLUSH,
        Step.PUT_OFF,
        Step.CATCH_UP,
    ]
    assert writer.put_off == 8


def test_a_disk_that_refuses_is_tried_again_and_again():
    refused = Flushed(3, "No space left on device")
    writer, said = commands(BUSY, (Taken(5), CALM), (refused, CALM), (Done(), CALM), (refused, CALM))

    assert said == [Step.FLUSH, AwaitDisk(RETRY_SECONDS), Step.FLUSH, AwaitDisk(RETRY_SECONDS)]
    assert (writer.unwritten, writer.pending, writer.refusal) == (3, 2, "No space left on device")
    writer, said = commands(writer, (Done(), CALM), (Flushed(), CALM))
    assert said == [Step.FLUSH, Step.MAKE_ROWS]
    assert writer.refusal is None


def test_no_wait_for_the_disk_goes_beyond_the_deadline():
    _, command = decide(replace(BUSY, unwritten=5), Flushed(5, "full"), Seen(100.0, deadline=100.25))

    assert command == AwaitDisk(0.25)


def test_after_the_deadline_the_disk_is_asked_once_more_before_anything_is_given_up():
    waited = replace(BUSY, unwritten=5, refusal="full")
    writer, said = commands(waited, (Done(), LATE), (Flushed(), LATE), (RowsMade(0), LATE))

    assert said == [Step.FLUSH, Step.PUT_OFF, Step.TAKE_REST]
    assert (writer.put_off, writer.given_up) == (5, 0)


def test_what_the_disk_refuses_to_the_last_is_given_up_and_the_rest_not_tried():
    refused = Flushed(4, "full")
    writer, said = commands(BUSY, (Taken(5), LATE), (refused, LATE), (GivenUp(), LATE), (RowsMade(0), LATE))

    assert said == [Step.FLUSH, Step.GIVE_UP, Step.PUT_OFF, Step.CONCLUDE]
    assert (writer.put_off, writer.given_up) == (1, 4)


def test_at_the_deadline_what_is_left_in_the_queue_is_journaled_only():
    _, said = commands(
        BUSY,
        (Done(), LATE),
        (Taken(9), LATE),
        (Flushed(), LATE),
        (RowsMade(0), LATE),
        (Taken(0), LATE),
        (Noted(1), LATE),
        (Flushed(), LATE),
        (RowsMade(0), LATE),
    )

    assert said == [
        Step.TAKE_REST,
        Step.FLUSH,
        Step.PUT_OFF,
        Step.TAKE_REST,
        Step.CONCLUDE,
        Step.FLUSH,
        Step.PUT_OFF,
        Step.END,
    ]


def test_the_last_words_are_the_journal_s_to_try_once_more_as_it_is_closed():
    """They are no events, so nothing is counted as lost with them."""
    writer, command = decide(replace(BUSY, stage=Stage.ENDING, unwritten=1), Flushed(1, "full"), LATE)

    assert (command, writer.given_up) == (Step.END, 0)


def test_the_streams_are_observed_and_the_journal_synced_when_that_is_due():
    writer = WriterState(journals=True)
    writer, said = commands(writer, (Noted(0), CALM), (Noted(0), CALM), (Done(), CALM))
    assert said == [Step.OBSERVE, Step.SYNC, Take(COMMIT_SECONDS)]

    _, said = commands(writer, (Noted(0), CALM), (Noted(0), Seen(100.5)), (Noted(0), Seen(105.0)))
    assert said == [Take(COMMIT_SECONDS), Step.OBSERVE, Step.OBSERVE]


@pytest.mark.parametrize("stage", Stage)
def test_an_error_brings_every_stage_nearer_to_the_end(stage: Stage):
    writer, _ = decide(replace(BUSY, stage=stage, pending=4), Broke(unwritten=0, put_off=4), CALM)

    assert writer.stage >= min(stage + 1, Stage.OVER)
    assert (writer.pending, writer.put_off) == (0, 4)


def test_whatever_ends_in_an_error_again_and_again_comes_to_its_end():
    _, said = commands(BUSY, *[(Broke(unwritten=1, put_off=0), CALM)] * 4)

    assert said[-1] is Step.END


MOMENTS = st.sampled_from([
    *product([0.0, 0.01, 0.3, 2.0], [0, 1, 12], ["go on"]),
    *product([0.01, 0.3], [0, 12], ["stop", "leave"]),
])  # fmt: skip


@dataclass
class World:
    """A queue, a journal and rows, and a disk that is as the test draws; it does what it is told."""

    draw: st.DataObject
    journals: bool
    earlier_steps: int
    room: int = 40
    now: float = 100.0
    deadline: float = inf
    closed: bool = False
    arrived: int = 0
    kind: bool = False  # the disk takes everything from now on, and time is cheap
    dropped: list[int] = field(default_factory=list)
    queue: deque[int] = field(default_factory=deque)
    unwritten: list[int] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)
    journal: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    given_up: list[int] = field(default_factory=list)
    last_flush_refused: bool = False
    last_catch_up_made_none: bool = False
    flushes_past_deadline: int = 0

    def seen(self) -> Seen:
        held = len(self.queue) + len(self.unwritten) + len(self.pending)
        drained = self.closed and not self.queue
        return Seen(self.now, min(1.0, held / self.room), drained, self.deadline)

    def live(self) -> None:
        """Time goes on, frames come, and somebody may ask for the end."""
        if not self.kind:
            seconds, arriving, ending = self.draw.draw(MOMENTS)
            self.now += seconds
            self._arrive(arriving)
        else:
            self.now += 0.01
            ending = "stop"
        if ending == "leave":
            self.deadline = -inf
        elif ending == "stop" and self.deadline == inf:
            self.deadline = self.now + 9.0
        if self.deadline < inf:
            self.closed = True

    def _arrive(self, frames: int) -> None:
        for _ in range(frames):
            held = len(self.queue) + len(self.unwritten) + len(self.pending)
            (self.dropped if self.closed or held >= self.room else self.queue).append(self.arrived)
            self.arrived += 1

    def carry_out(  # noqa: C901, PLR0911, PLR0912 - a case for each
        self, command: Command, writer: WriterState
    ) -> Happened:
        past_deadline = self.seen().past_deadline
        match command:
            case Take(seconds):
                idle = not writer.behind or self.last_catch_up_made_none
                assert (seconds > 0) == idle, "nothing waits while rows can be made, and only then"
                assert not self.unwritten
                return Taken(self._take(12, -1))
            case AwaitDisk(seconds):
                assert self.last_flush_refused
                assert 0 <= seconds <= RETRY_SECONDS
                self.now += seconds
            case Step.FLUSH:
                assert self.journals
                assert self.unwritten
                self.flushes_past_deadline += past_deadline
                return self._flush()
            case Step.MAKE_ROWS:
                assert not past_deadline
                return RowsMade(self._make_pending())
            case Step.PUT_OFF:
                if not self.journals:
                    assert past_deadline
                    self.given_up += self.pending
                self.pending.clear()
                return RowsMade(0)
            case Step.CATCH_UP:
                assert not self.earlier_steps, "the earlier capture's come first"
                waiting = self.journal[len(self.rows) :]
                caught_up = waiting[: self._some(len(waiting))]
                self._make(caught_up)
                self.last_catch_up_made_none = bool(waiting) and not caught_up
                return CaughtUp(len(caught_up))
            case Step.MAKE_EARLIER_ROWS:
                self.earlier_steps -= 1
                return EarlierRowsMade(self.earlier_steps > 0)
            case Step.TAKE_REST:
                self.closed = True
                return Taken(self._take(12))
            case Step.GIVE_UP:
                assert past_deadline
                assert self.last_flush_refused
                self.given_up += self.unwritten
                self.unwritten.clear()
                return GivenUp()
            case Step.CONCLUDE:
                self.closed = True
                self.unwritten += [-1] if self.journals else []
                self.pending += [] if self.journals else [-1]
                return Noted(1)
            case Step.OBSERVE:
                return Noted(0)
            case Step.GATHER | Step.SYNC:
                pass
            case Step.END:
                raise AssertionError("there is nothing to carry out")
            case _:
                assert_never(command)
        return Done()

    def break_down(self, command: Command) -> Broke:
        """It ends in an error; the writer's hands put off what they held, and keep what they took."""
        if not self.journals:
            self.given_up += self.pending
        self.pending.clear()
        if isinstance(command, Take):
            self._take(12, -1)
        put_off = len(self.journal) - len(self.rows) if self.journals else 0
        return Broke(len(self.unwritten), put_off, len(self.pending))

    def _take(self, frames: int, *more: int) -> int:
        taken = [self.queue.popleft() for _ in range(min(frames, len(self.queue)))]
        (self.unwritten if self.journals else self.pending).extend([*taken, *more])
        return len(taken) + len(more)

    def _flush(self) -> Flushed:
        written = len(self.unwritten) if self.kind else self._some(len(self.unwritten))
        self.journal += self.unwritten[:written]
        self.pending += self.unwritten[:written]
        del self.unwritten[:written]
        self.last_flush_refused = bool(self.unwritten)
        return Flushed(len(self.unwritten), "full" if self.unwritten else None)

    def _make_pending(self) -> int:
        count = self._some(len(self.pending)) if self.journals or self.deadline < inf else len(self.pending)
        self._make(self.pending[:count])
        if not self.journals and count < len(self.pending):
            self.now = max(self.now, self.deadline)  # nothing else keeps rows from being made
            self.given_up += self.pending[count:]
        self.pending.clear()
        return count

    def _make(self, records: list[int]) -> None:
        if self.journals:
            made = len(self.rows)
            assert self.journal[made : made + len(records)] == records, "from the journal, and in its order"
        self.rows += records

    def _some(self, count: int) -> int:
        """All, or as many as a slow or a full disk lets through."""
        if self.kind:
            return count
        return min(count, self.draw.draw(st.sampled_from([count, count, count, 0, 1, count // 2])))


def frames(records: list[int]) -> list[int]:
    return [record for record in records if record >= 0]


@given(st.data(), st.booleans(), st.integers(0, 3), st.integers(0, 60), st.booleans())
def test_whatever_happens_every_frame_is_in_one_place_and_the_end_comes(
    draw: st.DataObject,
    journals: bool,  # noqa: FBT001 - drawn
    earlier_steps: int,
    unkind_steps: int,
    kind_in_the_end: bool,  # noqa: FBT001 - drawn
):
    world = World(draw, journals, earlier_steps if journals else 0)
    writer = WriterState(journals=journals, earlier=world.earlier_steps > 0)
    happened: Happened = Noted(0)
    errors_at = draw.draw(st.sets(st.integers(0, 90), max_size=4))
    for step in range(2_000):
        world.kind = kind_in_the_end and step >= unkind_steps
        if step >= unkind_steps and world.deadline == inf:
            world.deadline = world.now + 9.0
            world.closed = True
        world.live()
        writer, command = decide(writer, happened, world.seen())
        if command is Step.END:
            break
        happened = world.break_down(command) if step in errors_at else world.carry_out(command, writer)
    else:
        pytest.fail("it does not end")

    assert not world.pending
    assert writer.records == len(world.rows) + writer.put_off + len(world.given_up) + len(world.unwritten)
    everything = [*world.queue, *world.dropped, *frames(world.given_up)]
    everything += frames(world.journal) if journals else frames(world.rows)
    assert sorted(everything) == list(range(world.arrived)), "each frame is in one place"
    if journals:
        assert writer.put_off == len(world.journal) - len(world.rows)
        assert not frames(world.unwritten), "only the last words may be left"
    assert world.flushes_past_deadline <= len(world.queue) + len(world.journal) + 3


@given(st.data(), st.booleans(), st.integers(0, 3), st.integers(0, 150))
def test_when_the_disk_takes_everything_in_time_all_that_was_not_dropped_is_a_row(
    draw: st.DataObject,
    journals: bool,  # noqa: FBT001 - drawn
    earlier_steps: int,
    frames_sent: int,
):
    world = World(draw, journals, earlier_steps if journals else 0, room=1_000, kind=True)
    world.queue.extend(range(frames_sent))
    world.arrived = frames_sent
    writer = WriterState(journals=journals, earlier=world.earlier_steps > 0)
    happened: Happened = Noted(0)
    while True:
        world.live()
        writer, command = decide(writer, happened, world.seen())
        if command is Step.END:
            break
        happened = world.carry_out(command, writer)

    assert frames(world.rows) == list(range(frames_sent))
    assert (writer.put_off, writer.given_up, writer.unwritten) == (0, 0, 0)
    assert world.now < world.deadline
