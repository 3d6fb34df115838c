"""Read what is in a partition file: its rows as text, whoever wrote it and whether it is still being written."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from options_helper.data.intraday.members import Member, ReadAt, Scan, member_text, scan
from options_helper.data.intraday.meta import Extent

log = logging.getLogger(__name__)


@contextmanager
def reading(path: Path) -> Iterator[tuple[ReadAt, int]]:
    """A file to read at any place, and its size now; what a writer appends meanwhile is not seen."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield lambda offset, length: os.pread(descriptor, length, offset), os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def sound_texts(path: Path) -> Iterator[bytes]:
    """The text of each whole member, the header line first; a torn tail is where the file ends.

    Damage with rows behind it is logged, because rows are missing then.
    """
    with reading(path) as (read_at, size):
        found = scan(read_at, size, check_bytes=0)
        missing = [(damage.offset, damage.length) for damage in found.inner_damage]
        for member in found.members:
            text = member_text(read_at, member)
            if text is None:
                missing.append((member.offset, member.length))
            else:
                yield text
    for offset, length in missing:
        log.warning("%s is damaged: the %d bytes at %d hold no readable rows", path, length, offset)


def rows_of(text: bytes) -> Iterator[list[str]]:
    """The fields of each row."""
    return csv.reader(io.StringIO(text.decode(errors="replace"), newline=""))


def header_of(read_at: ReadAt, found: Scan) -> list[str] | None:
    """The names of the columns; None when the beginning of the file is damaged."""
    if not found.members or found.members[0].offset != 0:
        return None
    text = member_text(read_at, found.members[0])
    return None if text is None else next(rows_of(text), None)


def rows_in(found: Scan) -> int:
    """Rows without the header line, by what the members say; in a foreign file that line was counted."""
    return found.rows - (1 if found.members and found.members[0].foreign else 0)


def extent_of(read_at: ReadAt, found: Scan) -> Extent:
    """Rows by what the members say; numbers and times of the first and the last row, which alone are read."""
    count = rows_in(found)
    if count <= 0:
        return Extent()
    columns, *first_rows = islice(_rows(read_at, found.members), 2)
    last = deque(_rows(read_at, [member for member in found.members if member.rows][-1:]), maxlen=1)
    if not first_rows or not last:
        return Extent()
    return row_extent(columns, count, first_rows[0], last[0])


def row_extent(columns: Sequence[str], rows: int, first: Sequence[str], last: Sequence[str]) -> Extent:
    """An extent from the fields of the first and the last row."""

    def integer(row: Sequence[str], name: str) -> int | None:
        text = row[columns.index(name)] if name in columns[: len(row)] else ""
        return int(text) if text.removeprefix("-").isdecimal() else None

    return Extent(
        rows=rows,
        first_seq=integer(first, "seq"),
        last_seq=integer(last, "seq"),
        first_ts_ns=integer(first, "ts_ns"),
        last_ts_ns=integer(last, "ts_ns"),
        first_recv_ns=integer(first, "recv_ns"),
        last_recv_ns=integer(last, "recv_ns"),
    )


def _rows(read_at: ReadAt, members: Iterable[Member]) -> Iterator[list[str]]:
    for member in members:
        yield from rows_of(member_text(read_at, member) or b"")
