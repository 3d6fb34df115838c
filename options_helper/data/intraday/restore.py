"""Make a partition file anew from the Parquet copy beside it, where the file is damaged or gone."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from options_helper.data.atomic_file import sync_folder
from options_helper.data.file_lock import try_lock
from options_helper.data.intraday.contents import extent_of, header_of, lines_of, reading, row_texts, rows_in
from options_helper.data.intraday.files import Disk, MemberFile, write_all
from options_helper.data.intraday.finalize import SEALED_ROWS, add_parquet, sealed_member
from options_helper.data.intraday.layout import PartFile
from options_helper.data.intraday.members import scan
from options_helper.data.intraday.meta import load_meta, new_meta, save_meta
from options_helper.data.intraday.parquet import copy_facts, copy_tables, require_same_rows, stored_columns
from options_helper.data.intraday.rows import SIZES, quoted_text
from options_helper.data.intraday.verify_parts import file_digest
from options_helper.errors import StoreError
from options_helper.model.instants import nanosecond_text

log = logging.getLogger(__name__)


class Restored(NamedTuple):
    """What was made anew, and where the damaged file lies; None where there was none."""

    rows: int
    damaged_bytes: int
    kept: Path | None


def restore_from_copy(part: PartFile, at: datetime, disk: Disk) -> Restored | None:
    """Put a file with the rows of its Parquet copy in place; None where nothing is damaged, or no copy is whole.

    A file that has only the first rows of its copy, or none, counts as damaged: it was begun anew, or is of a backup.
    The damaged file is kept. Sizes that the feed sent as `3.0` become `3`; nothing else can differ. OSError when the
    disk refuses, BlockingIOError when another process writes the file; StoreError where pyarrow is needed and absent.
    """
    if not part.parquet_path.exists():
        return None
    file = MemberFile(part.path, disk)
    try:
        damaged = readable = 0
        if part.path.exists():
            file.open()
            found = file.scan(None)
            if not found.damage and not _is_cut_short(part, rows_in(found)):
                return None
            damaged, readable = sum(one.length for one in found.damage), rows_in(found)
        if not has_whole_copy(part, readable):
            return None
        descriptor = _write_rows(part, disk)
        try:
            kept = file.set_aside(at) if part.path.exists() else None
            _new_path(part).rename(part.path)
            sync_folder(part.path.parent)
            rows = _say_so(part)
        finally:
            os.close(descriptor)
    finally:
        file.close()
    log.warning("%s was made anew from %s: %d rows", part.path, part.parquet_path.name, rows)
    return Restored(rows, damaged, kept)


def _is_cut_short(part: PartFile, rows: int) -> bool:
    """Whether a sound file has fewer rows than its copy, and none but the first ones of that."""
    try:
        if rows >= copy_facts(part.parquet_path).rows:
            return False
        pairs = zip(_lines(part), copy_lines(part), strict=False)
        return all(_place(line) == _place(copied) for line, (_, copied) in pairs)
    except (ImportError, StoreError):
        # A sound file is left as it is where nobody can compare it; `verify` says what it finds.
        return False


def _lines(part: PartFile) -> Iterator[bytes]:
    for text in row_texts(part.path, part.key.dataset.columns):
        yield from lines_of(text)


def _place(line: bytes) -> list[bytes]:
    """Number, receipt and exchange time, which are the same text in a file and in its copy."""
    return line.split(b",", 3)[:3]


def has_whole_copy(part: PartFile, readable: int) -> bool:
    """Whether the copy is the one that was sealed; without a word on that, whether it has all rows that are known.

    StoreError where there is a copy, and pyarrow is absent.
    """
    if not part.parquet_path.exists():
        return False
    try:
        rows = copy_facts(part.parquet_path).rows
    except ImportError as error:
        raise StoreError(
            f"{part.path.name} is damaged, and {part.parquet_path.name} may have its rows; to read them needs pyarrow, "
            "which is not installed. Install it (pip install pyarrow) and repair again."
        ) from error
    except StoreError:
        return False
    meta = load_meta(part)
    known = None if meta is None else meta.sha256.get(part.parquet_path.name)
    if known is not None:
        return file_digest(part.parquet_path) == known
    return rows >= max(readable, 0 if meta is None else meta.rows)


def _new_path(part: PartFile) -> Path:
    return part.path.with_name(f".{part.path.name}.new")


def _write_rows(part: PartFile, disk: Disk) -> int:
    """Write the new file beside the old one; returns its locked descriptor."""
    new = _new_path(part)
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        try_lock(descriptor)
        header = part.key.dataset.header.encode()
        for first, lines in _runs(part):
            write_all(descriptor, sealed_member(header + b"".join(lines), first, len(lines)), disk)
            header = b""
        if header:
            write_all(descriptor, sealed_member(header, 1, 0), disk)
        disk.sync(descriptor)
        require_same_rows(new, part.parquet_path, part.key.dataset.columns)
    except BaseException:
        os.close(descriptor)
        with suppress(OSError):
            new.unlink()
        raise
    return descriptor


def _runs(part: PartFile) -> Iterator[tuple[int, list[bytes]]]:
    """The rows of a member each, with the number of the first."""
    first, lines = 1, list[bytes]()
    for number, line in copy_lines(part):
        if lines and (len(lines) == SEALED_ROWS or number != first + len(lines)):
            yield first, lines
            lines = []
        if not lines:
            first = number
        lines.append(line)
    if lines:
        yield first, lines


def copy_lines(part: PartFile) -> Iterator[tuple[int, bytes]]:
    """The rows of a copy as lines of CSV, each with its number."""
    columns = part.key.dataset.columns
    for table in copy_tables(part.parquet_path, stored_columns(columns)):
        values: dict[str, Sequence[Any]] = table.to_pydict()
        if list(values) != stored_columns(columns):
            raise StoreError(f"{part.parquet_path.name} has other columns than its file had")
        values["timestamp"] = [None if ns is None else nanosecond_text(ns) for ns in values["ts_ns"]]
        for row in zip(*(values[name] for name in columns), strict=True):
            fields = (_field(name, value) for name, value in zip(columns, row, strict=True))
            yield int(row[0]), (",".join(fields) + "\n").encode()


def _field(column: str, value: str | float | None) -> str:
    """As `rows` writes it; a whole size has no point, which is how the feed sends it."""
    match value:
        case None:
            return ""
        case str():
            return quoted_text(value)
        case float() if column in SIZES and value.is_integer():
            return str(int(value))
        case _:
            return repr(value)


def _say_so(part: PartFile) -> int:
    """Say beside the file that it is sealed again, with a copy made of the very rows that it has now."""
    with reading(part.path) as (read_at, size):
        found = scan(read_at, size)
        extent = extent_of(read_at, found)
        columns = tuple(header_of(read_at, found) or ())
    meta = replace((load_meta(part) or new_meta(part)).covering(extent), columns=columns)
    add_parquet(part, meta)
    digests = {path.name: file_digest(path) or "" for path in (part.path, part.parquet_path)}
    save_meta(part, replace(meta, sealed=True, sha256=digests), durable=True)
    return extent.rows
