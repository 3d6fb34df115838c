"""When a day is over, its files are made small and final: nothing is replaced before the new file was read back."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from options_helper.data.atomic_file import sync_folder
from options_helper.data.intraday.contents import rows_in
from options_helper.data.intraday.files import Disk, MemberFile, write_all
from options_helper.data.intraday.layout import PartFile
from options_helper.data.intraday.locking import lock_file
from options_helper.data.intraday.members import (
    HEAD_BYTES,
    Scan,
    member_head,
    member_text,
    member_trailer,
)
from options_helper.data.intraday.meta import load_meta, save_meta
from options_helper.data.intraday.parquet import require_pyarrow, write_parquet
from options_helper.data.intraday.repair import FileState, examine
from options_helper.data.intraday.verify_parts import file_digest
from options_helper.errors import StoreError

_BLOCK: Final = 1 << 20
_LEVEL: Final = 6


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
    """Recompress a file to one gzip member of level 6, add a Parquet copy if wanted, and mark it as sealed.

    A sealed file is not written again. ConfigError when Parquet is wanted and pyarrow is not installed.
    """
    if parquet:
        require_pyarrow()
    try:
        return _finalize(part, parquet=parquet, at=at, disk=disk)
    except BlockingIOError:
        return FinalizeReport(part, problem="another process writes it; seal it when that has ended")
    except StoreError as error:
        return FinalizeReport(part, problem=str(error))
    except OSError as error:
        return FinalizeReport(part, problem=f"{error.filename or part.path}: {error.strerror or error}")


def _finalize(part: PartFile, *, parquet: bool, at: datetime, disk: Disk) -> FinalizeReport:
    file = MemberFile(part.path, disk)
    with ExitStack() as until_said:
        # The locks, also that on the new file, are kept until the meta file says that it is sealed.
        until_said.callback(file.close)
        file.open()
        before = part.path.stat().st_size
        known = load_meta(part)
        if known is not None and known.sealed and (part.parquet_path.exists() or not parquet):
            return FinalizeReport(part, known.rows, before, before, known.sha256)
        state = examine(file, part, at, check_bytes=None)
        if not part.path.exists():
            raise StoreError(f"{part.path.name} held nothing readable and is set aside")
        if not state.meta.sealed:
            until_said.callback(os.close, _recompress(file, part, state, disk))
        if parquet:
            _add_parquet(part, state)
        names = [path for path in (part.path, part.parquet_path) if path.exists()]
        digests = {path.name: file_digest(path) or "" for path in names}
        save_meta(part, replace(state.meta, sealed=True, sha256=digests), durable=True)
    return FinalizeReport(part, state.meta.rows, before, part.path.stat().st_size, digests)


def _recompress(file: MemberFile, part: PartFile, state: FileState, disk: Disk) -> int:
    """Put a file of one member in place of the file; returns the locked descriptor of the new one."""
    new = part.path.with_name(f".{part.path.name}.new")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        lock_file(descriptor)
        first = state.meta.first_seq or state.next_seq
        digest = _write_one_member(file, file.scan(0), first, descriptor, disk)
        _require_digest(new, digest)
        disk.sync(descriptor)
        new.rename(part.path)
    except BaseException:
        os.close(descriptor)
        with suppress(OSError):
            new.unlink()
        raise
    sync_folder(part.path.parent)
    return descriptor


def _write_one_member(file: MemberFile, found: Scan, first: int, to: int, disk: Disk) -> bytes:
    """Write the text of all members as one; returns the digest of the text."""
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    digest, crc, length = hashlib.sha256(), 0, 0
    # The head says how long the member is, which is known in the end.
    write_all(to, bytes(HEAD_BYTES), disk)
    size = HEAD_BYTES
    for member in found.members:
        text = member_text(file.read_at, member)
        if text is None:
            raise StoreError(
                f"{file.path.name} is damaged at {member.offset} and is not sealed; "
                "`options-helper stream rebuild` makes a whole one from the journal"
            )
        digest.update(text)
        crc, length = zlib.crc32(text, crc), length + len(text)
        size += _write(to, deflate.compress(text), disk)
    size += _write(to, deflate.flush() + member_trailer(crc, length), disk)
    os.pwrite(to, member_head(size, first, rows_in(found)), 0)
    return digest.digest()


def _write(to: int, data: bytes, disk: Disk) -> int:
    write_all(to, data, disk)
    return len(data)


def _require_digest(path: Path, expected: bytes) -> None:
    """Read a file of one gzip member back; StoreError when it is not sound or holds another text."""
    digest, inflate = hashlib.sha256(), zlib.decompressobj(16 + zlib.MAX_WBITS)
    with path.open("rb") as file, suppress(zlib.error):
        while block := file.read(_BLOCK):
            digest.update(inflate.decompress(block))
        if inflate.eof and not inflate.unused_data and digest.digest() == expected:
            return
    raise StoreError(f"{path.name} reads differently when recompressed; the file stays as it is")


def _add_parquet(part: PartFile, state: FileState) -> None:
    new = part.parquet_path.with_name(f".{part.parquet_path.name}.new")
    try:
        write_parquet(part.path, new, state.meta.columns)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.rename(part.parquet_path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_folder(part.path.parent)
