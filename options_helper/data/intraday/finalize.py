"""When a day is over, its files are made small and final: nothing is replaced before the new file was read back."""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from options_helper.data.atomic_file import sync_folder
from options_helper.data.file_lock import try_lock
from options_helper.data.intraday.contents import lines_of
from options_helper.data.intraday.files import Disk, MemberFile, write_all
from options_helper.data.intraday.layout import PartFile
from options_helper.data.intraday.members import Scan, encode_member, member_pieces
from options_helper.data.intraday.meta import PartMeta, load_meta, require_known_schema, save_meta
from options_helper.data.intraday.parquet import COPY_SCHEMA, copy_facts, require_pyarrow, write_parquet
from options_helper.data.intraday.repair import FileState, examine
from options_helper.data.intraday.verify_parts import file_digest
from options_helper.errors import ConfigError, OptionsHelperError, StoreError

log = logging.getLogger(__name__)

_BLOCK: Final = 1 << 20
_LEVEL: Final = 6
# A member of a sealed file: what a spoiled bit costs. Larger ones would be smaller by less than a hundredth.
SEALED_ROWS: Final = 10_000
_SEALED_TEXT_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class FinalizeReport:
    """What sealing did to one file; with a problem, the file is as it was."""

    part: PartFile
    rows: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    sha256: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None


def finalize_part(part: PartFile, *, parquet: bool, at: datetime, disk: Disk) -> FinalizeReport:
    """Recompress a file to large members of level 6, add a Parquet copy if wanted, and mark it as sealed.

    A sealed file is not written again; a copy in the form of an earlier version is made anew. Whatever goes wrong with
    a file is its report's problem. ConfigError when Parquet is wanted and pyarrow is not installed.
    """
    if parquet:
        require_pyarrow()
    try:
        return _finalize(part, parquet=parquet, at=at, disk=disk)
    except BlockingIOError:
        return FinalizeReport(part, problem="another process writes it; seal it when that has ended")
    except OptionsHelperError as error:
        return FinalizeReport(part, problem=str(error))
    except OSError as error:
        return FinalizeReport(part, problem=f"{error.filename or part.path}: {error.strerror or error}")
    except Exception as error:
        # One file must not keep the others from being sealed, tonight and at every later start.
        log.exception("%s is not sealed", part.path)
        return FinalizeReport(part, problem=f"it cannot be sealed ({type(error).__name__}: {error})")


def _finalize(part: PartFile, *, parquet: bool, at: datetime, disk: Disk) -> FinalizeReport:
    file = MemberFile(part.path, disk)
    with ExitStack() as until_said:
        # The locks, also that on the new file, are kept until the meta file says that it is sealed.
        until_said.callback(file.close)
        file.open()
        require_known_schema(part)
        before = part.path.stat().st_size
        known = load_meta(part)
        if known is not None and known.sealed and (not parquet or _has_current_copy(part)):
            return FinalizeReport(part, known.rows, before, before, known.sha256)
        if part.parquet_path.exists() and file.scan(None).damage:
            # To cut the damage out would leave fewer rows than its copy has.
            raise StoreError(
                f"it is damaged; `options-helper stream repair` mends it from {part.parquet_path.name}"
            )
        state = examine(file, part, at, check_bytes=None)
        if not part.path.exists():
            raise StoreError(f"{part.path.name} held nothing readable and is set aside")
        if not state.meta.sealed:
            until_said.callback(os.close, _recompress(file, part, state, disk))
        if parquet:
            add_parquet(part, state.meta)
        names = [path for path in (part.path, part.parquet_path) if path.exists()]
        digests = {path.name: file_digest(path) or "" for path in names}
        save_meta(part, replace(state.meta, sealed=True, sha256=digests), durable=True)
    return FinalizeReport(part, state.meta.rows, before, part.path.stat().st_size, digests)


def _has_current_copy(part: PartFile) -> bool:
    try:
        return part.parquet_path.exists() and copy_facts(part.parquet_path).schema == COPY_SCHEMA
    except StoreError:
        return False


def _recompress(file: MemberFile, part: PartFile, state: FileState, disk: Disk) -> int:
    """Put a file of large members in place of the file; returns the locked descriptor of the new one."""
    new = part.path.with_name(f".{part.path.name}.new")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        try_lock(descriptor)
        first = state.meta.first_seq or state.next_seq
        digest = hashlib.sha256()
        for text, number, rows in _large_members(file, file.scan(0), first):
            digest.update(text)
            write_all(descriptor, sealed_member(text, number, rows), disk)
        _require_digest(new, digest.digest())
        disk.sync(descriptor)
        new.rename(part.path)
    except BaseException:
        os.close(descriptor)
        with suppress(OSError):
            new.unlink()
        raise
    sync_folder(part.path.parent)
    return descriptor


def sealed_member(text: bytes, first: int, rows: int) -> bytes:
    """A member of a file that is written once and kept for years."""
    return encode_member(text, first, rows, lambda rows: zlib.compress(rows, _LEVEL, -zlib.MAX_WBITS))


def _large_members(file: MemberFile, found: Scan, first: int) -> Iterator[tuple[bytes, int, int]]:
    """Text, number of the first row and rows of each new member; they do not hang on how the rows were flushed."""
    header, number, rows, size = b"", first, list[bytes](), 0
    for member in found.members:
        pieces = member_pieces(file.read_at, member)
        if pieces is None:
            raise StoreError(
                f"{file.path.name} is damaged at {member.offset} and is not sealed; "
                "`options-helper stream rebuild` makes a whole one from the journal"
            )
        if rows and not member.foreign and member.rows and member.first != number + len(rows):
            # Rows are missing here, and the next member says so.
            yield header + b"".join(rows), number, len(rows)
            header, number, rows, size = b"", member.first, [], 0
        for index, text in enumerate(pieces):
            lines = lines_of(text)
            if member.offset == index == 0:
                header = lines.pop(0)
            for line in lines:
                rows.append(line)
                size += len(line)
                if len(rows) == SEALED_ROWS or size >= _SEALED_TEXT_BYTES:
                    yield header + b"".join(rows), number, len(rows)
                    header, number, rows, size = b"", number + len(rows), [], 0
    if header or rows:
        yield header + b"".join(rows), number, len(rows)


def _require_digest(path: Path, expected: bytes) -> None:
    """Read a gzip file back; StoreError when it is not sound or holds another text."""
    digest = hashlib.sha256()
    with suppress(OSError, EOFError, zlib.error), gzip.open(path) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
        if digest.digest() == expected:
            return
    raise StoreError(f"{path.name} reads differently when recompressed; the file stays as it is")


def add_parquet(part: PartFile, meta: PartMeta) -> None:
    """Make the Parquet copy, in place of an earlier one; ConfigError where that has more rows than the file."""
    _require_no_more_rows_in_the_copy(part, meta.rows)
    new = part.parquet_path.with_name(f".{part.parquet_path.name}.new")
    try:
        write_parquet(part.path, new, meta.columns)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.rename(part.parquet_path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_folder(part.path.parent)


def _require_no_more_rows_in_the_copy(part: PartFile, rows: int) -> None:
    with suppress(StoreError):  # an unreadable copy is made anew
        if part.parquet_path.exists() and (kept := copy_facts(part.parquet_path).rows) > rows:
            raise ConfigError(
                f"{part.parquet_path.name} has {kept} rows, the file {rows}; the copy is left as it is. "
                "`options-helper stream verify` says more."
            )
