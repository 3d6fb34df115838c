"""Read what is in a partition file: its rows as text, whoever wrote it and whether it is still being written."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path

from options_helper.data.intraday.members import Damage, Member, ReadAt, Scan, member_pieces, scan
from options_helper.data.intraday.meta import Extent

log = logging.getLogger(__name__)

# The feed says how long a text is; a reader that refuses a long one would refuse the whole file. Python has one
# limit for the whole process: whatever reads CSV beside this module is no longer kept from long fields either.
csv.field_size_limit(2**31 - 1)


@contextmanager
def reading(path: Path) -> Iterator[tuple[ReadAt, int]]:
    """A file to read at any place, and its size now; what a writer appends meanwhile is not seen."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield lambda offset, length: os.pread(descriptor, length, offset), os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


class PartRows:
    """The rows of a partition file as text, in pieces of whole rows; memory does not grow with the file.

    `columns` are those of its header line; where its beginning is damaged, those that the rows must have been written
    with. After the iteration, `damage` is what holds no readable rows; a torn tail is part of it.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path = path
        self.columns = list(columns)
        self.damage: list[Damage] = []

    def __iter__(self) -> Iterator[bytes]:
        with reading(self._path) as (read_at, size):
            found = scan(read_at, size, check_bytes=0)
            self.damage = list(found.damage)
            has_header = False
            for member in found.members:
                if not has_header and member.offset and not self._fits(read_at, member):
                    # The header is damaged, and these are rows of other columns: nobody knows of which.
                    self.damage.append(Damage(member.offset, member.length))
                    continue
                pieces = member_pieces(read_at, member)
                if pieces is None:
                    self.damage.append(Damage(member.offset, member.length))
                    continue
                columns, texts = columns_and_rows(member, pieces)
                if columns is not None:
                    self.columns, has_header = columns, True
                yield from filter(None, texts)

    @property
    def lacks_rows(self) -> bool:
        """Whether there is damage that no kill leaves: rows behind it, or nothing readable at all."""
        with reading(self._path) as (_, size):
            whole = sum(one.length for one in self.damage) == size > 0
            return whole or any(one.end != size for one in self.damage)

    def log_damage(self, remedy: str) -> None:
        """Say where rows are missing, and what helps."""
        for offset, length in sorted(self.damage):
            log.warning(
                "%s is damaged: the %d bytes at %d hold no readable rows. %s",
                self._path,
                length,
                offset,
                remedy,
            )

    def _fits(self, read_at: ReadAt, member: Member) -> bool:
        """Whether rows without a header line can have these columns."""
        return len(next(_rows(read_at, [member]), [])) == len(self.columns)


def row_texts(path: Path, columns: Sequence[str]) -> Iterator[bytes]:
    """The rows of a partition file as text, in pieces of whole rows, wherever they are readable."""
    return iter(PartRows(path, columns))


def joined(texts: Iterable[bytes], size: int = 4 << 20) -> Iterator[bytes]:
    """The same texts in larger pieces, of about `size` bytes; what is read at once costs less."""
    waiting: list[bytes] = []
    bytes_waiting = 0
    for text in texts:
        waiting.append(text)
        bytes_waiting += len(text)
        if bytes_waiting >= size:
            yield b"".join(waiting)
            waiting.clear()
            bytes_waiting = 0
    if waiting:
        yield b"".join(waiting)


def lines_of(text: bytes) -> list[bytes]:
    """Its rows, each with its line end; a line end between quotes is part of a row."""
    if b"\r" not in text and b'"' not in text:
        return text.splitlines(keepends=True)
    lines: list[bytes] = []
    open_quote = False
    for line in text.split(b"\n"):
        if open_quote:
            lines[-1] += line + b"\n"
        else:
            lines.append(line + b"\n")
        open_quote ^= line.count(b'"') % 2 == 1
    # Behind the last line end there is nothing, or a line without its end.
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def columns_and_rows(member: Member, pieces: Iterable[bytes]) -> tuple[list[str] | None, Iterator[bytes]]:
    """The columns that a member names, None where it names none, and the texts of its rows.

    Only a file's first member begins with the line of their names.
    """
    texts = iter(pieces)
    first = next(texts, None) if member.offset == 0 else None
    if first is None:
        return None, texts
    header, _, rows = first.partition(b"\n")
    return next(rows_of(header), []), chain((rows,), texts)


def rows_of(text: bytes) -> Iterator[list[str]]:
    """The fields of each row."""
    return csv.reader(io.StringIO(text.decode(errors="replace"), newline=""))


def header_of(read_at: ReadAt, found: Scan) -> list[str] | None:
    """The names of the columns; None when the beginning of the file is damaged."""
    if not found.members or found.members[0].offset != 0:
        return None
    pieces = member_pieces(read_at, found.members[0])
    return None if pieces is None else next(rows_of(next(pieces, b"")), None)


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
        for text in member_pieces(read_at, member) or ():
            yield from rows_of(text)
