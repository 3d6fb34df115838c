"""Bring the rows that a capture left in its journal, because it was killed, to their files, before any newer ones."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from options_helper.data.intraday.meta import Session
from options_helper.data.intraday_store import IntradayStore, StorePolicy
from options_helper.data.journal import RecordKind, read_records
from options_helper.data.session_notes import SessionNote
from options_helper.data.streaming.recorder import RecordClock, keep_events
from options_helper.data.streaming.snapshot import StreamTally
from options_helper.errors import StoreError

RECORDS_A_STEP: Final = 2_000


@dataclass(frozen=True, slots=True)
class Completion:
    """How far it is; `unplaced` counts, for each kind, rows that only a rebuild can put in order."""

    rows: int = 0
    unplaced: Mapping[str, int] | None = None  # None: it goes on
    problem: str | None = None  # what keeps the rest of the journal back
    refused: str | None = None  # why the disk took no more: a later attempt may have more luck


def complete(
    store: IntradayStore, note: SessionNote, files: list[Path], hurried: Callable[[], bool]
) -> Generator[Completion]:
    """Make the missing rows of a session from its journal, in steps; the last one tells what could not be made.

    The records drive the same clock and the same flushes as they did, and what is in a file is stepped over: files
    come out as if the session had ended in order. For the writer, before it writes rows of its own.
    """
    clock, tally = RecordClock(), StreamTally()
    policy = StorePolicy(flush_rows=note.flush_events, flush_seconds=note.flush_seconds)
    session = Session(note.session, os.getpid(), socket.gethostname(), note.began_ns)
    problem: str | None = None
    with store.resuming(session, policy, clock=clock.seconds, hurried=hurried) as recording:
        try:
            for number, record in enumerate(read_records(files), start=1):
                clock.look(record)
                if record.kind is RecordKind.FRAME:
                    keep_events(record, recording, tally)
                elif record.kind is RecordKind.TICK:
                    recording.tick()
                if number % RECORDS_A_STEP == 0:
                    yield Completion(recording.counts().total.written)
        except StoreError as error:
            problem = str(error)
    kinds, refused = recording.counts().kinds, recording.counts().problem
    rows = sum(counts.written for counts in kinds.values())
    unplaced = {kind: counts.lost for kind, counts in kinds.items() if counts.lost}
    yield Completion(rows, {} if refused else unplaced, problem, refused)
