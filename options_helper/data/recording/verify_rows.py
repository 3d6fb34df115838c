"""Look at journal and files of a recording, by several processes with some symbols each where that is wanted.

Each process reads the whole journal, because a frame has many symbols, and makes rows of its own symbols alone. It
reads no other files than theirs, and what it keeps of each row is as much as it was.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from options_helper.data.intraday.layout import KINDS, find_parts
from options_helper.data.intraday.locking import writer_of
from options_helper.data.intraday.scope import Scope
from options_helper.data.intraday.verify_parts import PartReport, verify_parts
from options_helper.data.recording.journal_rows import WHOLE, Differences, JournalRows, SessionAudit, Share
from options_helper.data.recording.session_notes import SessionNote

# Not by a fork: that would take the locks of the other threads along as they are.
_CONTEXT: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Task:
    """What is looked at."""

    root: Path
    scope: Scope
    journals: dict[str, list[Path]]  # the files of each session
    notes: dict[str, SessionNote]
    cut_off: frozenset[str]  # sessions that were ended without warning
    being_written: bool


@dataclass(slots=True)
class Looked:
    """What was found, of each file in the order of the files."""

    sessions: list[SessionAudit]
    reports: list[PartReport]
    differences: Differences


def look(task: Task, processes: int, done: Callable[[Path], object]) -> Looked:
    """All of it; `done` is told of each file. A process that ends early has its share looked at here."""
    shares = _shares(task, processes)
    others = [_Beside(task, share) for share in shares[1:]]
    try:
        found = _look(task, shares[0], done)
        for other in others:
            more = other.result() or _look(task, other.share, bool)
            for report in more.reports:
                done(report.part.path)
            found.reports += more.reports
            found.differences.add(more.differences)
    finally:
        for other in others:
            other.end()
    found.reports.sort(key=partial(_place, task.scope))
    return found


def _shares(task: Task, processes: int) -> list[Share]:
    """As many, with about as many bytes of files each."""
    sizes: Counter[str] = Counter()
    for part in find_parts(task.root):
        if task.scope.holds(part.key):
            with suppress(OSError):
                sizes[part.key.symbol] += part.path.stat().st_size
    count = max(1, min(processes, len(sizes)))
    if count == 1:
        return [WHOLE]
    held = [0] * count
    places: dict[str, int] = {}
    for symbol, size in sizes.most_common():
        places[symbol] = least = held.index(min(held))
        held[least] += size
    return [Share(number, count, places) for number in range(count)]


def _look(task: Task, share: Share, done: Callable[[Path], object]) -> Looked:
    # The journal first: rows that are written meanwhile are more, never less.
    journal = JournalRows(task.scope, done, share)
    sessions = [
        journal.read(session, files, task.notes.get(session)) for session, files in task.journals.items()
    ]
    reports = list(_reports(task, share, journal, done))
    differences = Differences()
    if sessions:
        differences = journal.differences(task.root, task.journals.keys(), being_written=task.being_written)
    return Looked(sessions, reports, differences)


def _reports(
    task: Task, share: Share, journal: JournalRows, done: Callable[[Path], object]
) -> Iterator[PartReport]:
    scope = task.scope
    symbols: Sequence[str | None] = sorted(scope.symbols) or [None]
    for symbol in symbols:
        meant = (
            part
            for part in find_parts(task.root, symbol=symbol, day=scope.day)
            if scope.holds(part.key) and share.has(part.key.symbol)
        )
        # Asked anew: one may have begun to write since.
        being_written = writer_of(task.root) is not None
        for report in verify_parts(
            meant, being_written=being_written, cut_off=task.cut_off, taken=journal.compare
        ):
            yield report
            done(report.part.path)


def _place(scope: Scope, report: PartReport) -> tuple[Any, ...]:
    """Where a report stands: in the order of the files, and of one symbol after the other where some are named."""
    part = report.part
    key = part.key
    named = key.symbol if scope.symbols else ""
    return named, KINDS.index(key.kind), key.dataset.name, key.symbol, key.day, part.part


class _Beside:
    """A process that looks at a share; it ends with this one."""

    def __init__(self, task: Task, share: Share) -> None:
        self.share = share
        self._receive, send = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(
            target=_work, args=(send, task, share), name=f"verify-{share.number}", daemon=True
        )
        self._process.start()
        send.close()

    def result(self) -> Looked | None:
        """What it found; None where it ended without."""
        try:
            found = self._receive.recv()
        except (EOFError, OSError):
            return None
        return found if isinstance(found, Looked) else None

    def end(self) -> None:
        """End it, also amid its work."""
        self._process.terminate()
        self._process.join()
        self._receive.close()


def _work(send: Connection, task: Task, share: Share) -> None:
    # Ctrl-C goes to all processes of a terminal; who began this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What goes wrong here goes wrong there, too, and is told there.
    with suppress(Exception):
        send.send(_look(task, share, bool))
