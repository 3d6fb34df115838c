"""The rows of one partition on their way: lines in memory, then packed into a member, then in the file."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from options_helper.data.intraday.contents import PartRows, extent_of, reading
from options_helper.data.intraday.files import Disk, Displaced, MemberFile
from options_helper.data.intraday.layout import PartFile, PartitionKey, first_part, parts
from options_helper.data.intraday.members import MAX_TEXT_BYTES, encode_member, scan
from options_helper.data.intraday.meta import Extent, PartMeta, Session, load_meta, new_meta, save_meta
from options_helper.data.intraday.parquet import copy_last_number
from options_helper.data.intraday.repair import FileState, examine, header_member
from options_helper.errors import StoreError
from options_helper.model.gaps import Gap

log = logging.getLogger(__name__)

# What a row that waits as text takes of the memory, about: its line, and what Python adds to any text.
LINE_BYTES: Final = 200
LOST_REASON: Final = "the disk took no more, and neither did the buffer"


@dataclass(slots=True)
class Counters:
    """What became of the rows of one kind: appended = lines + packed + written + lost."""

    appended: int = 0
    lines: int = 0
    packed: int = 0
    packed_bytes: int = 0
    written: int = 0
    written_bytes: int = 0
    flushes: int = 0
    lost: int = 0

    @property
    def buffered(self) -> int:
        """Rows in memory."""
        return self.lines + self.packed

    @property
    def buffered_bytes(self) -> int:
        """What they take of it, about."""
        return self.lines * LINE_BYTES + self.packed_bytes


@dataclass(frozen=True, slots=True)
class WriteContext:
    """What all partitions of a recording share."""

    root: Path
    disk: Disk
    session: Session
    now: Callable[[], datetime]
    # Told of folders that have new names, which the disk does not have yet.
    folders_changed: Callable[[Iterable[Path]], None]
    # Whether so many files are new that the next sync should make them last, all at once.
    many_are_new: Callable[[], bool]
    # Told of a file that is no longer where it was, and of the rows that are gone with it.
    displaced: Callable[[Displaced], None]
    # Whether the session was here before and was cut off: its rows that are in the files are not written again.
    resumes: bool = False
    # The sessions that were before it, whatever their clocks said.
    earlier: AbstractSet[str] = frozenset()


class _Packed(NamedTuple):
    """A member that is ready to be written."""

    data: bytes
    extent: Extent


class Partition:
    """One dataset of one symbol on one day, being recorded; for one thread.

    Rows are appended to `lines` directly, because that happens for every event of the day. `counters` counts
    what happens to them afterwards.
    """

    def __init__(self, key: PartitionKey, context: WriteContext, counters: Counters) -> None:
        self.key = key
        self.lines: list[str] = []
        self.lines_since = 0.0  # when the oldest of them came, on the owner's clock
        self.retry_at = 0.0  # not before that, on the same clock, after the disk refused
        self.retry_delay = 0.0
        self._context = context
        self._counters = counters
        self._packed: deque[_Packed] = deque()
        self._part: PartFile | None = None
        self._file: MemberFile | None = None
        self._meta: PartMeta | None = None  # of its rows, `_extent` is newer
        self._extent = Extent()
        self._saved: PartMeta | None = None  # what stands beside the file
        self._is_unsaid = False  # nothing stands beside a new file yet
        self._next_seq: int | None = None
        self._losses: list[Gap] = []
        self._losing = False
        # Of a session that is resumed: its rows below this number are in the file, the last of them with these times.
        self._there_until = 0
        self._last_there: tuple[int | None, int | None] | None = None
        self._follows = True  # what is new goes behind what is there
        # Events of a session that is resumed are not given again: where it goes on is looked up, not counted.
        self.must_find_place = False

    @property
    def waiting(self) -> int:
        """Rows that are not in the file."""
        return len(self.lines) + sum(packed.extent.rows for packed in self._packed)

    @property
    def received_ns(self) -> tuple[int, int] | None:
        """When the first and the last row of its file were received; None where nobody noted that."""
        first, last = self._extent.first_recv_ns, self._extent.last_recv_ns
        return None if first is None or last is None else (first, last)

    @property
    def waits_since_ns(self) -> int | None:
        """When the oldest row that is not in the file was received; None where there is none, or nobody noted it."""
        if self._packed:
            return self._packed[0].extent.first_recv_ns
        return _times(self.lines[0])[0] if self.lines else None

    def write(self) -> None:
        """Bring every row into the file; OSError when the disk refuses, and what is not written stays here."""
        file = self._ready_file()
        if self._seeks_place and self.lines:
            self.lines = self._found_place(self.lines)
        self.pack()
        try:
            while self._packed:
                file.append(self._packed[0].data)
                self._was_written(self._packed.popleft())
        finally:
            if self._is_unsaid:
                self._say_begun()

    def pack(self) -> None:
        """Compress the lines, which takes less memory; nothing happens before it is known where in the file they go."""
        if self._next_seq is None or not self.lines or self._seeks_place:
            return
        lines, self.lines = self.lines, []
        self._losing = False
        if self._next_seq < self._there_until:
            lines = self._stepped_over(lines, self._next_seq)
        if lines and self._follows:
            self._pack(lines)
        else:
            self._count_unplaced(len(lines))

    @property
    def _seeks_place(self) -> bool:
        """Whether it is to be looked up in the file where the lines go on."""
        return self.must_find_place and self._next_seq is not None and self._next_seq < self._there_until

    def lose(self, received_ns: int) -> None:
        """Note a row that there was no room for."""
        if self._losing:
            last = self._losses[-1]
            self._losses[-1] = replace(last, until_ns=received_ns, lost=(last.lost or 0) + 1)
        else:
            self._losses.append(Gap(self.key.kind, received_ns, received_ns, LOST_REASON, lost=1))
            self._losing = True

    def count_lost(self) -> int:
        """Lose everything that is not written, and return how many rows that is."""
        rows = self.waiting
        extents = [packed.extent for packed in self._packed]
        if self.lines:
            extents.append(_extent(self.lines, first=1))
        if extents:
            since_ns, until_ns = extents[0].first_recv_ns or 0, extents[-1].last_recv_ns
            self._losses.append(Gap(self.key.kind, since_ns, until_ns, LOST_REASON, lost=rows))
        self._counters.lines -= len(self.lines)
        self._counters.packed -= rows - len(self.lines)
        self._counters.packed_bytes -= sum(len(packed.data) for packed in self._packed)
        self._counters.lost += rows
        self.lines = []
        self._packed.clear()
        return rows

    def save_meta(self, gaps: Iterable[Gap] = (), *, durable: bool = False) -> None:
        """Write what is known beside the file, these gaps too; OSError when the disk refuses."""
        # What is beside another file is not overwritten.
        if not self.left_its_place() and self._part is not None and self._meta is not None:
            known = tuple(dict.fromkeys([*self._meta.gaps, *self._losses, *gaps]))
            meta = replace(self._meta.covering(self._extent), gaps=known)
            if durable or meta != self._saved or not self._part.meta_path.exists():
                save_meta(self._part, meta, durable=durable)
                self._saved = meta

    def sync(self) -> None:
        """Wait until the disk has what was written."""
        if self._file is not None and not self.left_its_place():
            self._file.sync()

    def left_its_place(self) -> bool:
        """Whether its file is no longer where it was; it is let go then, and rows that are gone with it are told.

        The next write begins the file anew. One that was sealed or repaired meanwhile has lost no rows. OSError when
        nobody can tell.
        """
        file, part = self._file, self._part
        if file is None or part is None or self._meta is None or (what := file.displacement()) is None:
            return False
        extent = self._extent
        gone = extent.rows if not part.path.exists() else _rows_gone(part, extent)
        file.close()
        self._file = self._part = self._meta = None
        if gone:
            since_ns = extent.first_recv_ns
            reason = f"the file was {what} while it was written"
            until_ns = extent.last_recv_ns
            self._losses.append(Gap(self.key.kind, since_ns or until_ns or 0, until_ns, reason, lost=gone))
            told = Displaced(part.path, what, gone, self.key.kind, self.key.symbol, since_ns)
            self._context.displaced(told)
        return True

    def close_file(self) -> None:
        """Give back the descriptor; the next write opens it again."""
        if self._file is not None:
            self._file.close()

    def _found_place(self, lines: list[str]) -> list[str]:
        """The lines from the first one on that is in the files, which then is the next; all of them if none is there.

        Rows that are older than the newest of the files and in none of them can only be put in order by a rebuild.
        """
        first = self._next_seq or 1
        own = self._session_rows(first)
        for skipped, line in enumerate(lines):
            if (found := own.get(line)) is not None:
                self._next_seq, self.must_find_place = found, False
                self._count_unplaced(skipped)
                return lines[skipped:]
        newest = self._last_there[0] if self._last_there is not None else None
        if newest is not None and (_times(lines[0])[0] or 0) > newest:
            # What is missing is in the files, all of it, and these follow.
            self._next_seq, self.must_find_place = self._there_until, False
            return lines
        self._count_unplaced(len(lines))
        return []

    def _session_rows(self, first: int) -> dict[str, int]:
        """The number of each row, from `first` on, that the session may have written; of equal ones the first."""
        rows: dict[str, int] = {}
        for part in parts(self._context.root, self.key):
            for text in PartRows(part.path, self.key.dataset.columns):
                for line in text.decode(errors="replace").splitlines(keepends=True):
                    number, _, rest = line.partition(",")
                    if number.isdecimal() and first <= int(number) < self._there_until:
                        rows.setdefault(rest, int(number))
        return rows

    def _count_unplaced(self, rows: int) -> None:
        self._counters.lines -= rows
        self._counters.lost += rows

    def _stepped_over(self, lines: list[str], first: int) -> list[str]:
        """Those of the lines that are not in the file; `first` is the number of the first one."""
        there = lines[: self._there_until - first]
        self._next_seq = first + len(there)
        self._counters.lines -= len(there)
        self._counters.appended -= len(there)
        if self._next_seq == self._there_until and self._last_there not in (None, _times(there[-1])):
            self._follows = False
        return lines[len(there) :]

    def _pack(self, lines: Sequence[str]) -> None:
        first = self._next_seq or 1
        text = "".join([f"{seq},{line}" for seq, line in enumerate(lines, first)]).encode()
        if len(text) > MAX_TEXT_BYTES and len(lines) > 1:
            middle = len(lines) // 2
            self._pack(lines[:middle])
            self._pack(lines[middle:])
            return
        rows = len(lines)
        self._next_seq = first + rows
        packed = _Packed(encode_member(text, first, rows), _extent(lines, first))
        self._packed.append(packed)
        self._counters.lines -= rows
        self._counters.packed += rows
        self._counters.packed_bytes += len(packed.data)

    def _was_written(self, packed: _Packed) -> None:
        rows, size = packed.extent.rows, len(packed.data)
        self._extent = self._extent.extended(packed.extent)
        self._counters.packed -= rows
        self._counters.packed_bytes -= size
        self._counters.written += rows
        self._counters.written_bytes += size
        self._counters.flushes += 1

    def _ready_file(self) -> MemberFile:
        """The file to append to, open and mended."""
        with suppress(FileNotFoundError):
            if not self.left_its_place() and self._file is not None and self._file.open():
                return self._file
        # Never seen before, or not as we left it.
        self.close_file()
        return self._attach()

    def _attach(self) -> MemberFile:
        context = self._context
        found = parts(context.root, self.key)
        part = found[-1] if found else first_part(context.root, self.key)
        waiting = self._packed[0].extent.first_seq if self._packed else self._next_seq
        # The newest part may be empty and say nothing of the numbers before it.
        before = [meta.last_seq or 0 for meta in map(load_meta, found[:-1]) if meta is not None]
        number = max([waiting or 1, *(last + 1 for last in before)])
        while True:
            known = load_meta(part)
            there = part.path.exists()
            if known is not None and (known.sealed or known.is_of_the_future) and there:
                number = max(number, (known.last_seq or 0) + 1)
                part = part.next()
                continue
            if not there and part.parquet_path.exists():
                # The file of a day that is over is gone, and its copy has the rows: a new file would hide them.
                number = max(number, _last_number(part, known) + 1)
                part = part.next()
                continue
            file = MemberFile(part.path, context.disk)
            if there:
                file.open()
            else:
                header, durable = header_member(part, number), not context.many_are_new()
                context.folders_changed(file.create(header, durable=durable))
            try:
                state = (
                    examine(file, part, context.now())
                    if there or known is not None
                    else FileState(new_meta(part), number, continues=True)
                )
            except BaseException:
                file.close()
                raise
            number = max(number, state.next_seq)
            if state.continues:
                break
            file.close()
            part = part.next() if part.path.exists() or part.parquet_path.exists() else part
        resumed = context.resumes and self._next_seq is None
        self._part, self._file, self._next_seq = part, file, max(number, self._next_seq or 1)
        if resumed:
            self._next_seq = self._resume(state.meta, self._next_seq)
        self._begin(state.meta)
        return file

    def _resume(self, newest: PartMeta, number: int) -> int:
        """With which number the session began here. Its rows may only follow where no other session wrote since."""
        own = self._context.session
        metas = [*filter(None, map(load_meta, parts(self._context.root, self.key)[:-1])), newest]
        last = next((meta for meta in reversed(metas) if meta.rows), None)
        began: dict[str, int] = {}
        for session in [session for meta in metas for session in meta.sessions]:
            began.setdefault(session.id, session.first_seq)
        if own.id not in began:
            if (
                last is None
                or (last.last_recv_ns or 0) < own.started_ns
                or (began and began.keys() <= self._context.earlier)
            ):
                return number
            # It wrote nothing here; or it did, and what stood beside the file was lost.
            self._there_until, self.must_find_place = number, True
            self._last_there = (last.last_recv_ns, last.last_ts_ns)
            return 1
        later = list(began)[list(began).index(own.id) + 1 :]
        self._there_until = min([began[one] for one in later], default=number)
        self._follows = self._there_until == number
        if self._follows and last is not None:
            self._last_there = (last.last_recv_ns, last.last_ts_ns)
        return began[own.id]

    def _begin(self, meta: PartMeta) -> None:
        # A file that is begun anew begins with what was packed for the one before.
        first = self._packed[0].extent.first_seq if self._packed else self._next_seq
        session = replace(self._context.session, first_seq=first or 1)
        if session.id not in [one.id for one in meta.sessions]:
            meta = replace(meta, sessions=(*meta.sessions, session))
        self._meta, self._extent, self._saved = meta, meta.extent, None
        # Where others wrote before, nobody could tell our rows from theirs; a new file has ours alone, and it waits for
        # the first ones, so that it is written once.
        self._is_unsaid = not meta.rows and len(meta.sessions) == 1
        if not self._is_unsaid:
            self._say_begun()

    def _say_begun(self) -> None:
        self._is_unsaid = False
        # It is written again later; what matters is in the file itself.
        with suppress(OSError):
            self.save_meta()


def _last_number(part: PartFile, known: PartMeta | None) -> int:
    """The number of the last row of a file that is gone and has a copy; 0 where nobody can tell."""
    if known is not None and known.last_seq is not None:
        return known.last_seq
    try:
        return copy_last_number(part.parquet_path)
    except (ImportError, StoreError) as error:
        log.warning(
            "%s cannot be read, so the rows behind it are numbered anew: %s", part.parquet_path, error
        )
        return 0


def _rows_gone(part: PartFile, extent: Extent) -> int:
    """How many of the rows that a file had are not in the one that has its name now."""
    known = load_meta(part)
    if known is not None and known.sealed:
        return max(0, extent.rows - known.rows)
    with reading(part.path) as (read_at, size):
        found = extent_of(read_at, scan(read_at, size, check_bytes=0))
    if found.first_recv_ns != extent.first_recv_ns:
        return extent.rows
    return max(0, extent.rows - found.rows)


def _extent(lines: Sequence[str], first: int) -> Extent:
    first_recv, first_ts = _times(lines[0])
    last_recv, last_ts = _times(lines[-1])
    return Extent(
        rows=len(lines),
        first_seq=first,
        last_seq=first + len(lines) - 1,
        first_ts_ns=first_ts,
        last_ts_ns=last_ts,
        first_recv_ns=first_recv,
        last_recv_ns=last_recv,
    )


def _times(line: str) -> tuple[int | None, int | None]:
    received, exchange, _ = line.split(",", 2)
    return int(received) if received else None, int(exchange) if exchange else None
