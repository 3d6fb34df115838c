"""Before anything is appended to a file, find out what it holds and mend it; the same on every open and on repair."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from options_helper.data.intraday.contents import extent_of, header_of, rows_in, rows_of
from options_helper.data.intraday.files import CHECKED_BYTES, MemberFile
from options_helper.data.intraday.layout import PartFile
from options_helper.data.intraday.members import Scan, encode_member, member_text
from options_helper.data.intraday.meta import Extent, PartMeta, load_meta, new_meta, save_meta
from options_helper.model.gaps import Gap
from options_helper.model.instants import datetime_nanoseconds

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileState:
    """What a file holds, now that it is mended."""

    meta: PartMeta  # as the file is now; what was written beside it last may say less
    next_seq: int  # the number of the next row
    continues: bool  # whether rows can be appended: it is there, in our format, with our columns, not sealed or copied
    cut_bytes: int = 0
    kept: Path | None = None  # where the bytes that were cut lie


def header_member(part: PartFile, first: int) -> bytes:
    """The member that a file begins with: the line of its columns. Its next row will have the number `first`."""
    return encode_member(part.key.dataset.header.encode(), first, 0)


def examine(
    file: MemberFile, part: PartFile, at: datetime, check_bytes: int | None = CHECKED_BYTES
) -> FileState:
    """Look through an open file and mend it; a file without anything readable is set aside, and is gone then.

    The members within the last `check_bytes` are decoded, or all of them when that is None.
    """
    found = file.scan(check_bytes)
    known = load_meta(part) or new_meta(part)
    if found.members and not found.damage:
        return _file_state(file, part, found, known)
    header = _lost_header(file, part, found)
    if header is None:
        return _set_aside(file, part, found, known, at)
    kept = file.repair(found, at, header)
    repaired = file.scan(0)
    cut = sum(damage.length for damage in found.damage)
    log.warning(
        "%s was damaged: %d bytes are now in %s, %d rows stand", part.path, cut, kept.name, rows_in(repaired)
    )
    state = _file_state(file, part, repaired, known)
    gap = _gap(
        part, state.meta, _missing_rows(found), at, f"damaged: {cut} bytes cut and kept in {kept.name}"
    )
    return replace(state, meta=replace(state.meta, gaps=(*known.gaps, gap)), cut_bytes=cut, kept=kept)


def _file_state(file: MemberFile, part: PartFile, found: Scan, known: PartMeta) -> FileState:
    columns = tuple(header_of(file.read_at, found) or ())
    extent: Extent = known
    if known.rows != rows_in(found):
        extent = extent_of(file.read_at, found)
    foreign = any(member.foreign for member in found.members)
    last = found.members[-1]
    return FileState(
        meta=replace(known.covering(extent), columns=columns),
        next_seq=(extent.last_seq or extent.rows) + 1 if foreign else last.first + last.rows,
        continues=not foreign
        and not known.sealed
        # The copy of a day that is over says so, even where the meta file is gone.
        and not part.parquet_path.exists()
        and columns == part.key.dataset.columns,
    )


def _lost_header(file: MemberFile, part: PartFile, found: Scan) -> bytes | None:
    """The header to put before the whole members: empty when the file has one, None when nothing can be saved."""
    if not found.members:
        return None
    first = found.members[0]
    if first.offset == 0:
        return b""
    row = next(rows_of(member_text(file.read_at, first) or b""), [])
    return header_member(part, first.first) if len(row) == len(part.key.dataset.columns) else None


def _set_aside(file: MemberFile, part: PartFile, found: Scan, known: PartMeta, at: datetime) -> FileState:
    kept = file.set_aside(at)
    meta = replace(known.covering(Extent()), sealed=False, sha256={})
    if kept is not None:
        log.warning("%s held nothing readable; its %d bytes are now in %s", part.path, found.size, kept.name)
        reason = f"damaged: {found.size} bytes set aside in {kept.name}"
        meta = replace(meta, gaps=(*known.gaps, _gap(part, known, known.rows or None, at, reason)))
    # The file that will be begun in its place finds this.
    with suppress(OSError):
        save_meta(part, meta)
    return FileState(meta, (known.last_seq or 0) + 1, continues=False, cut_bytes=found.size, kept=kept)


def _gap(part: PartFile, extent: Extent, lost: int | None, at: datetime, reason: str) -> Gap:
    until_ns = datetime_nanoseconds(at)
    return Gap(part.key.kind, extent.last_recv_ns or until_ns, until_ns, reason, lost)


def _missing_rows(found: Scan) -> int | None:
    """How many rows the damage had; None where the file ends in it, because nobody knows what was to come."""
    if found.torn_tail is not None:
        return None
    pairs = zip(found.members, found.members[1:], strict=False)
    return sum(after.first - before.first - before.rows for before, after in pairs)
