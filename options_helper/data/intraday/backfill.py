"""Keep what history told of a gap: in datasets of their own, written whole, a stretch in place of what it was before.

A file holds, in the order of the exchange's times, what a recording lacks of its day. It is never appended to: whoever
asks for a stretch again replaces just that, so that asking twice changes nothing, and a kill leaves the old file or the
new one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from options_helper.data.atomic_file import sync_folder
from options_helper.data.file_lock import try_lock
from options_helper.data.intraday.contents import PartRows, extent_of, lines_of, reading
from options_helper.data.intraday.files import Disk, MemberFile, write_all
from options_helper.data.intraday.finalize import SEALED_ROWS, sealed_member
from options_helper.data.intraday.frames import frames_of
from options_helper.data.intraday.layout import Kind, PartFile, PartitionKey, first_part
from options_helper.data.intraday.members import scan
from options_helper.data.intraday.meta import load_meta, new_meta, require_known_schema, save_meta
from options_helper.data.intraday.rows import BACKFILL_OF, RowWriter, quoted_text
from options_helper.errors import StoreError
from options_helper.model.events import Bar, Quote, Trade
from options_helper.model.instants import utc_datetime
from options_helper.model.market_hours import new_york_date

_TS_COLUMN: Final = 2  # of a row: seq, asked_at_ns, ts_ns


class Stretch(NamedTuple):
    """Exchange times in epoch nanoseconds, the last one not included."""

    since_ns: int
    until_ns: int

    def holds(self, at_ns: int) -> bool:
        """Whether a moment is within."""
        return self.since_ns <= at_ns < self.until_ns

    @property
    def days(self) -> tuple[date, ...]:
        """The New York days that it has a moment of."""
        first, last = (new_york_date(utc_datetime(at_ns)) for at_ns in (self.since_ns, self.until_ns - 1))
        return tuple(first + timedelta(days=number) for number in range((last - first).days + 1))


class _Row(NamedTuple):
    ts_ns: int
    text: bytes  # without its number


@dataclass(frozen=True, slots=True)
class Backfill:
    """What history told of one kind of event of one symbol in a stretch, and who told it."""

    kind: Kind
    symbol: str
    event_type: type[Quote | Trade | Bar]
    stretch: Stretch
    source: str


class RowTest(NamedTuple):
    """Which rows of a file stay, by the values of these columns; None where a row has none."""

    columns: tuple[str, ...]
    keeps: Callable[[tuple[Any, ...]], bool]


_NONE_STAYS: Final = RowTest((), lambda _: False)


def replace_stretch(
    root: Path,
    backfill: Backfill,
    events: Sequence[Quote | Trade | Bar],
    disk: Disk | None = None,
    *,
    staying: RowTest = _NONE_STAYS,
) -> int:
    """Let these be what history told of a symbol in a stretch, in place of what it told before; how many rows it adds.

    Of what it told before, `staying` says what stays beside them; nothing, unless told.

    Their receipt is when they were asked for. StoreError where a file is damaged, another process has it, or a later
    version wrote it; OSError when the disk refuses. Each file is whole at any time.
    """
    rows: dict[date, list[_Row]] = {day: [] for day in backfill.stretch.days}
    write = RowWriter().of_type(backfill.event_type)
    for event in events:
        day, line = write(event)
        text = f"{line[:-1]},{quoted_text(backfill.source)}\n".encode()
        rows[day].append(_Row(event.timestamp_ns or 0, text))
    added = 0
    for day, of_day in rows.items():
        key = PartitionKey(backfill.kind, BACKFILL_OF[backfill.event_type], backfill.symbol, day)
        added += _replace(first_part(root, key), backfill.stretch, of_day, disk or Disk(), staying)
    return added


def drop_rows(part: PartFile, staying: RowTest) -> None:
    """Leave in a file that history told what stays by this test; StoreError and OSError as in `replace_stretch`."""
    before = list(_rows_of(part))
    if len(kept := _staying(part, before, staying)) < len(before):
        _exchange(part, kept, Disk())


def values_of(part: PartFile, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The values of each readable row of a file, None where it has none."""
    for frame in frames_of(part, columns):
        rows = frame.reindex(columns=list(columns)).astype(object)
        yield from rows.where(rows.notna(), None).itertuples(index=False, name=None)


def _staying(part: PartFile, rows: Sequence[_Row], test: RowTest) -> list[_Row]:
    if not rows or test is _NONE_STAYS:
        return []
    return [
        row for row, values in zip(rows, values_of(part, test.columns), strict=True) if test.keeps(values)
    ]


def _replace(part: PartFile, stretch: Stretch, rows: Sequence[_Row], disk: Disk, staying: RowTest) -> int:
    require_known_schema(part)
    before = list(_rows_of(part)) if part.path.exists() else []
    kept = [row for row in before if not stretch.holds(row.ts_ns)]
    kept += (row for row in _staying(part, before, staying) if stretch.holds(row.ts_ns))
    after = sorted([*kept, *rows], key=lambda row: row.ts_ns)
    if after == before and (not before or _is_told(part, len(before))):
        return 0
    _exchange(part, after, disk)
    return len(after) - len(before)


def _exchange(part: PartFile, rows: Sequence[_Row], disk: Disk) -> None:
    with suppress(FileExistsError):
        part.path.parent.mkdir(parents=True)
    file = MemberFile(part.path, disk)
    try:
        if part.path.exists():
            file.open()
        _write(part, rows, disk)
    except BlockingIOError as error:
        raise StoreError(f"{part.path} is being finished by another process; ask again later.") from error
    finally:
        file.close()


def _rows_of(part: PartFile) -> Iterator[_Row]:
    texts = PartRows(part.path, part.key.dataset.columns)
    for text in texts:
        for line in lines_of(text):
            fields = line.split(b",", _TS_COLUMN + 1)
            yield _Row(int(fields[_TS_COLUMN]), line.partition(b",")[2])
    if texts.damage:
        raise StoreError(f"{part.path} is damaged. `options-helper stream repair` mends it; then ask again.")


def _is_told(part: PartFile, rows: int) -> bool:
    """Whether what stands beside the file is of just this file; a kill may have come between."""
    meta = load_meta(part)
    return meta is not None and meta.rows == rows


def _write(part: PartFile, rows: Sequence[_Row], disk: Disk) -> None:
    new = part.path.with_name(f".{part.path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        try_lock(descriptor)
        for member in _members(part, rows):
            write_all(descriptor, member, disk)
        disk.sync(descriptor)
        # A copy is of the file before; the next sealing makes it anew.
        part.parquet_path.unlink(missing_ok=True)
        new.rename(part.path)
        sync_folder(part.path.parent)
        _say(part)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    finally:
        os.close(descriptor)


def _members(part: PartFile, rows: Sequence[_Row]) -> Iterator[bytes]:
    header = part.key.dataset.header.encode()
    for first in range(0, max(1, len(rows)), SEALED_ROWS):
        some = rows[first : first + SEALED_ROWS]
        texts = (b"%d,%s" % (number, row.text) for number, row in enumerate(some, first + 1))
        yield sealed_member(header + b"".join(texts), first + 1, len(some))
        header = b""


def _say(part: PartFile) -> None:
    with reading(part.path) as (read_at, size):
        extent = extent_of(read_at, scan(read_at, size, check_bytes=0))
    meta = load_meta(part) or new_meta(part)
    save_meta(part, replace(meta.covering(extent), sealed=False, sha256={}), durable=True)
