"""Look at journal and files of a recording, by several processes with some symbols each where that is wanted.

Each process reads no other files than those of its symbols, and what it keeps of each row is as much as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from options_helper.data.intraday.layout import KINDS, find_parts
from options_helper.data.intraday.locking import writer_of
from options_helper.data.intraday.scope import Scope
from options_helper.data.intraday.verify_parts import PartReport, verify_parts
from options_helper.data.recording.journal_rows import Differences, JournalRows, SessionAudit
from options_helper.data.recording.session_notes import SessionNote
from options_helper.data.recording.shares import Beside, Share, shares_of


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
    first, *shares = shares_of(task.root, task.scope, processes)
    others = [Beside(f"verify-{share.number}", _look, task, share, bool) for share in shares]
    try:
        found = _look(task, first, done)
        for share, other in zip(shares, others, strict=True):
            more = other.result() or _look(task, share, bool)
            for report in more.reports:
                done(report.part.path)
            found.reports += more.reports
            found.differences.add(more.differences)
    finally:
        for other in others:
            other.end()
    found.reports.sort(key=partial(_place, task.scope))
    return found


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
