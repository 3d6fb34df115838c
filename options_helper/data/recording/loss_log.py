"""Write down every loss of a capture: one row in `<root>/gaps/<New York day>.csv` for each.

All times are the computer's, at which things were received or should have been: like the `recv_ns` of the rows.
"""

from __future__ import annotations

import csv
import io
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from options_helper.data.atomic_file import sync_folder
from options_helper.data.intraday.files import Disk
from options_helper.data.intraday.row_file import append_rows
from options_helper.model.gaps import Gap
from options_helper.model.instants import nanosecond_text
from options_helper.model.market_hours import new_york_date

log = logging.getLogger(__name__)

FOLDER: Final = "gaps"
COLUMNS: Final = (
    "session",
    "stream",
    "since_ns",
    "until_ns",
    "since",
    "until",
    "seconds",
    "lost_events",
    "reason",
)
# What was asked for and not had: a reason that begins so keeps a recording from adding up.
NOT_RECORDED: Final = "not recorded: "
# What was written and is there no more: the records of a journal cannot be played again.
JOURNAL_GONE: Final = "the journal of this session was "
KILLED: Final = "the recorder was ended without warning"
# What nobody can count, and no rebuild brings back.
KILLED_WITHOUT_JOURNAL: Final = (
    f"{KILLED} and kept no journal: what it had received and not yet written is lost"
)
# Evidence that a session says it has and that is missing: nobody can tell, or make, what it had.
JOURNAL_LOST: Final = "its journal is gone"
JOURNAL_LACKS: Final = "the journal lacks"
NOTE_UNREADABLE: Final = "the note of session"


class LossLog:
    """Appends rows, each on the disk before the next; for one thread, under the root's lock.

    After an OSError the ledger is as it was before.
    """

    def __init__(self, root: Path, session: str, disk: Disk | None = None) -> None:
        self._folder = root / FOLDER
        self._session = session
        self._disk = disk or Disk()
        # What this session wrote, by file, and which file that was: it may be deleted meanwhile.
        self._written: dict[Path, list[Gap]] = {}
        self._files: dict[Path, tuple[int, int]] = {}
        self._restored: list[Path] = []  # found displaced, and not yet told

    def write(self, gap: Gap) -> None:
        """Add a row to the day on which the gap began; OSError when the disk refuses."""
        path = self._folder / f"{new_york_date(gap.since).isoformat()}.csv"
        # First, for the row would begin a file that looks as if it had been this one all along.
        self._restore(path)
        self._write(path, [gap])
        self._written.setdefault(path, []).append(gap)

    def restore(self) -> list[Path]:
        """Write this session's rows again where their file was deleted or replaced by one that lacks them.

        Returns which files those are, each once, also those that a row written since has found so.
        """
        for path in tuple(self._files):
            self._restore(path)
        restored, self._restored = self._restored, []
        return restored

    def _restore(self, path: Path) -> None:
        known = self._files.get(path)
        if known is None or (found := _identity(path)) == known:
            return
        told = self._written.get(path, [])
        if told and found is not None and not (told := self._not_in(path, told)):
            # An editor or a copy put another file in the place, which has everything.
            self._files[path] = found
            return
        log.error("%s was removed or replaced; what this session had told there is told again", path)
        if told:
            self._write(path, told)
        else:
            del self._files[path]
        self._restored.append(path)

    def _not_in(self, path: Path, gaps: Sequence[Gap]) -> list[Gap]:
        """Those of which the file has no row; of two that are the same, as many as it lacks."""
        rows = Counter(map(tuple, csv.reader(io.StringIO(_whole_lines(path), newline=""))))
        lacking = list[Gap]()
        for gap in gaps:
            (row,) = csv.reader([_csv_text([self._row(gap)]).decode()])
            rows[tuple(row)] -= 1
            if rows[tuple(row)] < 0:
                lacking.append(gap)
        return lacking

    def _write(self, path: Path, gaps: Sequence[Gap]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        rows = _csv_text([self._row(gap) for gap in gaps])
        self._files[path] = append_rows(path, rows, self._disk, _csv_text([COLUMNS]))
        if is_new:
            sync_folder(self._folder)
            sync_folder(self._folder.parent)

    def _row(self, gap: Gap) -> tuple[object, ...]:
        # What is None becomes an empty field.
        return (
            self._session,
            gap.stream,
            gap.since_ns,
            gap.until_ns,
            nanosecond_text(gap.since_ns),
            None if gap.until_ns is None else nanosecond_text(gap.until_ns),
            None if gap.seconds is None else f"{gap.seconds:.3f}",
            gap.lost,
            # One row is one line, whatever a server says.
            " ".join(gap.reason.split()),
        )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def _csv_text(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRow(Gap):
    """One row of the ledger; of which symbols it was is in its reason alone."""

    session: str


@dataclass(frozen=True, slots=True)
class LossRows:
    """What is written in a root's ledger; `problems` are sentences about what cannot be read."""

    rows: tuple[LossRow, ...] = ()
    problems: tuple[str, ...] = ()


def read_losses(root: Path) -> LossRows:
    """The ledger of a root, day by day; a row that a kill left unfinished is left out."""
    ledger = LossRows()
    for path in sorted((root / FOLDER).glob("*.csv")):
        rows = tuple(csv.DictReader(io.StringIO(_whole_lines(path), newline="")))
        try:
            ledger = replace(ledger, rows=(*ledger.rows, *map(_read, rows)))
        except (KeyError, ValueError, TypeError):
            problem = f"{FOLDER}/{path.name} has rows that are none of a gap ledger"
            ledger = replace(ledger, problems=(*ledger.problems, problem))
    return ledger


def _whole_lines(path: Path) -> str:
    return path.read_bytes().rpartition(b"\n")[0].decode(errors="replace")


def is_fault(reason: str) -> bool:
    """Whether a row with this reason keeps a recording from adding up, also where nobody could count its events."""
    return reason.startswith((NOT_RECORDED, JOURNAL_GONE, NOTE_UNREADABLE)) or any(
        mark in reason for mark in (KILLED_WITHOUT_JOURNAL, JOURNAL_LOST, JOURNAL_LACKS)
    )


def loss_rows(root: Path) -> tuple[LossRow, ...]:
    """The readable rows of a root's ledger."""
    return read_losses(root).rows


def _read(row: Mapping[str, str]) -> LossRow:
    return LossRow(
        row["stream"],
        int(row["since_ns"]),
        int(row["until_ns"]) if row["until_ns"] else None,
        row["reason"],
        int(row["lost_events"]) if row["lost_events"] else None,
        session=row["session"],
    )
