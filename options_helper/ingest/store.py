"""What was ingested: a file for each window, and a ledger that says which windows are there.

    <root>/ingest/<job>/<subject>/2026-11-27T150000Z.csv.gz
    <root>/ingest/<job>/ledger.jsonl

A window is there when the ledger says so, and the ledger is written last: the file gets its name as a whole, then the
row follows. A kill before the row leaves a file that the next run replaces; a kill in its midst leaves half a line,
which counts as none and is cut off before the next. So nothing is ever there by halves, and asking again changes
nothing.
"""

from __future__ import annotations

import csv
import gzip
import io
import logging
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self
from urllib.parse import quote

import msgspec

from options_helper.clock import utc_now
from options_helper.data.atomic_file import make_folder, replace_file, sync_folder
from options_helper.data.intraday.locking import RootLock
from options_helper.data.intraday.row_file import append_rows
from options_helper.data.recording.session_notes import session_notes
from options_helper.decoders import json_decoder
from options_helper.errors import ConfigError, StoreError
from options_helper.ingest.jobs import JobName, Window
from options_helper.model.announcement import MarketKind

log = logging.getLogger(__name__)

FOLDER: Final = "ingest"
LEDGER: Final = "ledger.jsonl"
EVERYTHING: Final = "all"  # the subject of what is asked for all symbols at once
_SUFFIX: Final = ".csv.gz"
_STAMP: Final = "%Y-%m-%dT%H%M%SZ"

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under their columns; None is a field of which nothing is known, and stays empty in the file."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]] = ()


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row of a ledger: a window that is stored. Instants are UTC."""

    subject: str
    since: datetime
    until: datetime
    asked_at: datetime
    written_at: datetime
    market: str = MarketKind.ALPACA.value  # whose: a simulated one is none of anybody's money
    rows: int = 0
    bytes: int = 0  # of the file
    file: str | None = None  # below the job's folder; None: the job keeps its rows elsewhere
    requests: int = 0
    seconds: float = 0.0  # what asking took
    notes: tuple[str, ...] = ()  # what is missing, or odd; a sentence each
    times: int = 1  # that it was asked for
    missing: int = 0  # symbols of which no row came, among others
    again_at: datetime | None = None  # from then on it is asked for again, for what is missing; market's time
    void: bool = False  # struck out: the window of the row before this one counts as missing


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked for a window; `table` None: the job keeps its rows elsewhere and says here what it did."""

    table: Table | None
    asked_at: datetime
    requests: int = 0
    seconds: float = 0.0
    rows: int = 0
    notes: tuple[str, ...] = ()
    times: int = 1
    missing: int = 0
    again_at: datetime | None = None
    is_unfinished: bool = False  # more of the same is to be asked, and may be at once
    until: datetime | None = None  # where it ends before its window does


class Stored(Protocol):
    """Which windows are stored, for whoever decides what is asked for."""

    def entries(self, job: JobName) -> Iterator[Entry]:
        """The stored windows of a job, subject by subject, each in the order of their ends."""

    def entries_of(self, job: JobName, subject: str) -> Sequence[Entry]:
        """The stored windows of one subject, in the order of their ends."""

    def is_damaged(self, job: JobName) -> bool:
        """Whether the ledger of a job has a row that cannot be read: some window between others may not be stored."""

    def newest(self, job: JobName, subject: str = EVERYTHING) -> Entry | None:
        """The stored window of a subject that ends last and whose rows are still there; None where there is none."""

    def newest_first(self, job: JobName, subject: str = EVERYTHING) -> Iterator[Entry]:
        """The stored windows of a subject whose rows are still there, from the one that ends last."""


def _append(path: Path, data: bytes) -> None:
    """Put a row behind the others and wait until the disk has it; OSError when it refuses."""
    is_new = not path.exists()
    append_rows(path, data)
    if is_new:
        sync_folder(path.parent)


class IngestStore:
    """The ingested windows below `<root>/ingest`; for one thread.

    In a `with` it is the folder's one writer (StoreError where another is, ConfigError where the folder has windows of
    another market); without, it only reads, makes nothing, and may be used while another writes. `market` is whose
    market is asked. `now`, `replace` and `append` are for tests.
    """

    def __init__(
        self,
        root: Path,
        *,
        market: MarketKind = MarketKind.ALPACA,
        now: Callable[[], datetime] = utc_now,
        replace: Callable[[Path, bytes], None] | None = None,
        append: Callable[[Path, bytes], None] = _append,
    ) -> None:
        self.root = root
        self._market = market
        self._now = now
        self._replace = replace or (lambda path, data: replace_file(path, data, durable=True))
        self._append = append
        self._lock = RootLock(root / FOLDER, "ingestion")
        # By job and subject, in the order of their ends.
        self._entries: dict[JobName, dict[str, list[Entry]]] = {}
        self._damaged: set[JobName] = set()

    def __enter__(self) -> Self:
        with suppress(OSError):  # the lock says what is wrong
            make_folder(self.root / FOLDER)
        self._lock.acquire(self._now())
        try:
            self._begin()
        except BaseException:
            self._lock.release()
            raise
        return self

    def _begin(self) -> None:
        self._entries.clear()
        self._damaged.clear()
        self.require_same_market()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def require_same_market(self) -> None:
        """ConfigError where the folder has windows or a recording of another market: they would count as this one's."""
        for entry in chain.from_iterable(self.entries(job) for job in JobName):
            if entry.market != self._market.value:
                raise ConfigError(
                    f"{self.root / FOLDER} holds what another market answered ({entry.market}), and this is "
                    f"{self._market.value}. Choose another folder with --out."
                )
        for note in session_notes(self.root):
            # A note of before markets were noted says nothing.
            if note.market and (note.market == MarketKind.ALPACA) != (self._market is MarketKind.ALPACA):
                raise ConfigError(
                    f"{self.root} has a recording of another market ({note.market}), and this is "
                    f"{self._market.value}. Choose another folder with --out."
                )

    def entries(self, job: JobName) -> Iterator[Entry]:
        """The stored windows of a job, subject by subject, each in the order of their ends."""
        return chain.from_iterable(self._by_subject(job).values())

    def entries_of(self, job: JobName, subject: str) -> Sequence[Entry]:
        """The stored windows of one subject, in the order of their ends."""
        return tuple(self._by_subject(job).get(subject, ()))

    def is_damaged(self, job: JobName) -> bool:
        """Whether the ledger of a job has a row that cannot be read: some window between others may not be stored."""
        self._by_subject(job)
        return job in self._damaged

    def stored(self, job: JobName, subject: str, window: Window) -> Entry | None:
        """The row of a window; None where it is not stored, or its file is gone or another."""
        of_subject = self.entries_of(job, subject)
        found = next(iter(of_subject[_place(of_subject, window) :]), None)
        is_stored = found is not None and _order(found) == _order(window) and self._is_there(job, found)
        return found if is_stored else None

    def newest(self, job: JobName, subject: str = EVERYTHING) -> Entry | None:
        """The stored window of a subject that ends last and whose file is still there; None where there is none."""
        return next(self.newest_first(job, subject), None)

    def newest_first(self, job: JobName, subject: str = EVERYTHING) -> Iterator[Entry]:
        """The stored windows of a subject whose files are still there, from the one that ends last."""
        of_subject = self._by_subject(job).get(subject, ())
        return (entry for entry in reversed(of_subject) if self._is_there(job, entry))

    def watermark(self, job: JobName, subject: str = EVERYTHING) -> datetime | None:
        """Until when a job has what it wants of a subject, as far as is stored."""
        entry = self.newest(job, subject)
        return None if entry is None else entry.until

    def keep(self, job: JobName, subject: str, window: Window, answer: Answer) -> Entry:
        """Store what was asked for a window, whole or not at all; StoreError when the disk refuses.

        A file that is there already, of a run that was killed, is replaced. Where the folder was moved or removed it is
        begun anew, unless another writer has its name: StoreError then too.
        """
        table = answer.table
        name = None if table is None else f"{quote(subject, safe='')}/{window.since:{_STAMP}}{_SUFFIX}"
        data = b"" if table is None else encode_table(table)
        entry = Entry(
            subject=subject,
            since=window.since,
            until=answer.until or window.until,
            asked_at=answer.asked_at,
            written_at=self._now(),
            market=self._market.value,
            rows=answer.rows,
            bytes=len(data),
            file=name,
            requests=answer.requests,
            seconds=round(answer.seconds, 3),
            notes=answer.notes,
            times=answer.times,
            missing=answer.missing,
            again_at=answer.again_at,
        )
        return self._write(job, entry, data)

    def note(self, job: JobName, entry: Entry) -> Entry:
        """Say something else of a stored window, whose file stays; StoreError when the disk refuses."""
        return self._write(job, msgspec.structs.replace(entry, written_at=self._now()))

    def strike_out(self, latest: datetime) -> None:
        """Let what was stored later than that count as missing, for good; StoreError when the disk refuses.

        For who knows the right time by a server: a clock that was ahead has stored it.
        """
        for job in JobName:
            for entry in [one for one in self.entries(job) if one.written_at > latest]:
                log.warning(
                    "%s of %s up to %s was stored at %s, which is to come: it counts as missing",
                    *(job, entry.subject, entry.until, entry.written_at),
                )
                self._write(job, msgspec.structs.replace(entry, void=True))

    def _write(self, job: JobName, entry: Entry, data: bytes | None = None) -> Entry:
        try:
            self._keep_folder()
            known = self._by_subject(job)
            if entry.file is not None and data is not None:
                path = self._folder(job) / entry.file
                make_folder(path.parent)
                self._replace(path, data)
            make_folder(self._folder(job))
            self._append(self._ledger(job), msgspec.json.encode(entry) + b"\n")
        except OSError as error:
            raise StoreError(
                f"{self._folder(job)} cannot be written into: {error.strerror or error}. Make room, or choose "
                "another folder with --out; what is missing is asked for again."
            ) from error
        _put(known, entry)
        return entry

    def _keep_folder(self) -> None:
        """See that the folder's name is still of the folder that is locked, or lock the one that is there now.

        OSError when another writer has it: nothing may be written under the name then.
        """
        if not self._lock.keep(self._now()):
            log.warning(
                "%s was moved or removed; what is not there now is asked for again", self.root / FOLDER
            )
            self._begin()

    def read(self, job: JobName, entry: Entry) -> Iterator[dict[str, str]]:
        """The rows of a stored window by column, as text; StoreError where the file cannot be read."""
        if entry.file is None:
            return
        path = self._folder(job) / entry.file
        try:
            text = gzip.decompress(path.read_bytes()).decode()
        except FileNotFoundError as error:
            raise StoreError(
                f"{path} is gone, and what was in it with it. Put it back if there is a copy."
            ) from error
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise StoreError(
                f"{path} cannot be read: {error}. Remove it, and the window is asked for again where that is possible."
            ) from error
        yield from csv.DictReader(io.StringIO(text))

    def _by_subject(self, job: JobName) -> dict[str, list[Entry]]:
        if job not in self._entries:
            found: dict[str, list[Entry]] = {}
            for entry in _read_ledger(self._ledger(job)):
                if entry is None:
                    self._damaged.add(job)
                else:
                    _put(found, entry)
            self._entries[job] = found
        return self._entries[job]

    def _is_there(self, job: JobName, entry: Entry) -> bool:
        """Whether its file is the one of its row, and none of a kill between a second file and the row for that."""
        if entry.file is None:
            return True
        try:
            return (self._folder(job) / entry.file).stat().st_size == entry.bytes
        except FileNotFoundError:
            return False

    def _folder(self, job: JobName) -> Path:
        return self.root / FOLDER / job

    def _ledger(self, job: JobName) -> Path:
        return self._folder(job) / LEDGER


def _put(found: dict[str, list[Entry]], entry: Entry) -> None:
    """Add a row, or take it out where it is struck out; of two of the same window, the later one counts."""
    of_subject = found.setdefault(entry.subject, [])
    place = _place(of_subject, entry)
    is_known = place < len(of_subject) and _order(of_subject[place]) == _order(entry)
    of_subject[place : place + is_known] = [] if entry.void else [entry]


def _place(of_subject: Sequence[Entry], window: Entry | Window) -> int:
    return bisect_left(of_subject, _order(window), key=_order)


def _order(window: Entry | Window) -> tuple[datetime, datetime]:
    return window.until, window.since


def encode_table(table: Table) -> bytes:
    """The table as a gzipped CSV file; the same rows are the same bytes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return gzip.compress(text.getvalue().encode(), mtime=0)


_ENTRIES: Final = json_decoder(Entry)


def _read_ledger(path: Path) -> Iterator[Entry | None]:
    """Its rows, None for one that cannot be read."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {error.strerror or error}. Make it readable for this user."
        ) from error
    # Behind the last line's end stands nothing, or the half of a row that is being written.
    for number, line in enumerate(lines[:-1], start=1):
        try:
            yield _ENTRIES.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning(
                "%s, line %d is no row of a ledger (%s): its window counts as missing", path, number, error
            )
            yield None
