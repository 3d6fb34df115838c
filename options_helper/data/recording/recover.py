"""Bring the rows that a capture left in its journal, because it was killed, to their files, before any newer ones."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Generator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from options_helper.data.intraday.meta import Session
from options_helper.data.intraday_store import IntradayStore, StorePolicy
from options_helper.data.read_errors import is_passing
from options_helper.data.recording.journal import Hole, RecordKind, read_records
from options_helper.data.recording.recorder import RecordClock
from options_helper.data.recording.row_maker import RowMaker
from options_helper.data.recording.session_notes import SessionNote
from options_helper.data.streaming.state.live_state import StreamTally
from options_helper.errors import StoreError

# What is heard now must not wait for what was heard then.
STEP_SECONDS: Final = 0.05
# Whatever an old file may be by now, it must not keep a new capture from recording.
UNREADABLE_JOURNAL: Final = (StoreError, OSError, ValueError, IndexError, struct.error)


@dataclass(frozen=True, slots=True)
class Completion:
    """How far it is; `unplaced` counts, for each kind, rows that only a rebuild can put in order."""

    rows: int = 0
    unplaced: Mapping[str, int] | None = None  # None: it goes on
    problem: str | None = None  # what keeps the rest of the journal back
    holes: tuple[Hole, ...] = ()  # what the journal lacks: rows of it that are in no file are lost
    refused: str | None = None  # why the disk took or gave no more: a later attempt may have more luck


def complete(
    store: IntradayStore,
    note: SessionNote,
    files: list[Path],
    past_deadline: Callable[[], bool],
    earlier: AbstractSet[str] = frozenset(),
) -> Generator[Completion]:
    """Make the missing rows of a session from its journal, in steps; the last one tells what could not be made.

    The records drive the same clock and the same flushes as they did, and what is in a file is stepped over: files
    come out as if the session had ended in order. `earlier` are the sessions before it, whatever their clocks said.
    For the writer, before it writes rows of its own.
    """
    clock, tally, maker = RecordClock(), StreamTally(), RowMaker()
    holes: list[Hole] = []
    policy = StorePolicy(flush_rows=note.flush_events, flush_seconds=note.flush_seconds)
    session = Session(note.session, os.getpid(), socket.gethostname(), note.began_ns)
    problem: str | None = None
    is_for_now = False  # that problem
    with store.resuming(
        session, policy, clock=clock.seconds, past_deadline=past_deadline, earlier=earlier
    ) as recording:

        def on_hole(hole: Hole) -> None:
            holes.append(hole)
            recording.lose_place()
            maker.lose_place()

        records = read_records(files, on_hole=on_hole)
        step_ends = time.monotonic() + STEP_SECONDS
        while True:
            try:
                record = next(records, None)
            except UNREADABLE_JOURNAL as error:
                problem = str(error) or type(error).__name__
                is_for_now = is_passing(error)
                break
            if record is None:
                break
            clock.observe(record)
            for kind, made in maker.rows_of(record, tally):
                recording.append(kind, made)
            if record.kind is RecordKind.TICK:
                recording.tick()
            if time.monotonic() >= step_ends:
                yield Completion(recording.counts().total.written)
                step_ends = time.monotonic() + STEP_SECONDS
    kinds, refused = recording.counts().kinds, recording.counts().problem
    if is_for_now:
        problem, refused = None, refused or problem
    rows = sum(counts.written for counts in kinds.values())
    unplaced = {kind: counts.lost for kind, counts in kinds.items() if counts.lost}
    yield Completion(rows, {} if refused else unplaced, problem, tuple(holes), refused)
