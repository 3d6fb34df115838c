"""Does a recording add up? Every byte, row and number of a partition file is looked at; nothing is changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from options_helper.data.intraday.contents import reading, row_extent, rows_of
from options_helper.data.intraday.layout import PartFile
from options_helper.data.intraday.members import Damage, Member, member_text, scan
from options_helper.data.intraday.meta import Extent, PartMeta, load_meta
from options_helper.model.gaps import Gap

_SAID_OF_A_KIND: Final = 3


@dataclass(frozen=True, slots=True)
class PartReport:
    """What a file holds and what is wrong with it."""

    part: PartFile
    bytes: int
    extent: Extent
    sealed: bool = False
    gaps: tuple[Gap, ...] = ()
    problems: tuple[str, ...] = ()  # a sentence each
    sessions: tuple[str, ...] = ()  # that wrote into it

    @property
    def rows(self) -> int:
        """Readable rows."""
        return self.extent.rows

    @property
    def lost(self) -> int:
        """Rows that are known to be missing: lost for want of room, or cut out as damaged."""
        return sum(gap.lost or 0 for gap in self.gaps)

    @property
    def ok(self) -> bool:
        """Whether each numbered row is there, once and readable, and what stands beside the file agrees."""
        return not self.problems


def verify_parts(
    parts: Iterable[PartFile], *, being_written: bool, cut_off: AbstractSet[str] = frozenset()
) -> Iterator[PartReport]:
    """Check files, those of one partition in order; `being_written` allows for a writer at work.

    Such a writer may be amid a member, and what stands beside its files is older than they are. So it is where a
    session that is `cut_off` wrote last: the next writer mends that.
    """
    before: PartReport | None = None
    for part in parts:
        report = verify_part(part, being_written=being_written, cut_off=cut_off)
        if before is not None and before.part.key == part.key:
            report = _continued(before, report)
        before = report
        yield report


def verify_part(
    part: PartFile, *, being_written: bool = False, cut_off: AbstractSet[str] = frozenset()
) -> PartReport:
    """Check one file."""
    rows = _RowCheck()
    with reading(part.path) as (read_at, size):
        found = scan(read_at, size, check_bytes=0)
        damage = list(found.inner_damage)
        for member in found.members:
            text = member_text(read_at, member)
            if text is None:
                damage.append(Damage(member.offset, member.length))
            else:
                rows.take(member, text)
    problems = [f"the {length} bytes at {offset} are damaged" for offset, length in damage]
    meta = load_meta(part)
    being_written = being_written or (
        meta is not None and not cut_off.isdisjoint(one.id for one in meta.sessions[-1:])
    )
    if found.torn_tail is not None and not being_written:
        problems.append(f"the last {found.torn_tail.length} bytes are no whole member")
    problems += [*rows.problems(), *_disagreements(part, meta, rows.extent, being_written=being_written)]
    return PartReport(
        part,
        size,
        rows.extent,
        sealed=meta is not None and meta.sealed,
        gaps=() if meta is None else meta.gaps,
        problems=tuple(problems),
        sessions=() if meta is None else tuple(session.id for session in meta.sessions),
    )


class _RowCheck:
    """Looks at the rows of one file as they come."""

    def __init__(self) -> None:
        self._columns: list[str] = []
        self._rows = 0
        self._first: list[str] = []
        self._last: list[str] = []
        self._expected: int | None = None
        self._missing: list[str] = []
        self._malformed: list[str] = []
        self._miscounted: list[str] = []

    def take(self, member: Member, text: bytes) -> None:
        """The rows of the next readable member."""
        rows = list(rows_of(text))
        if member.offset == 0 and rows:
            self._columns = rows.pop(0)
            self._expected = None if member.foreign else member.first
        if not member.foreign and member.rows != len(rows):
            self._miscounted.append(
                f"the member at {member.offset} says {member.rows} rows and has {len(rows)}"
            )
        if not rows:
            return
        self._first = self._first or rows[0]
        self._last = rows[-1]
        self._rows += len(rows)
        self._check_rows(rows)

    def _check_rows(self, rows: list[list[str]]) -> None:
        if not self._columns:
            # The beginning of the file is damaged, which is said already.
            return
        width = len(self._columns)
        numbered = self._columns[:1] == ["seq"]
        expected = self._expected
        for row in rows:
            if len(row) != width:
                self._malformed.append(f"a row has {len(row)} fields, not {width}: {','.join(row)}")
            if not numbered:
                continue
            if row[0] != str(expected) and expected is not None:
                self._missing.append(f"row {row[0]} follows row {expected - 1}")
            expected = int(row[0]) + 1 if row[0].isdecimal() else None
        self._expected = expected

    @property
    def extent(self) -> Extent:
        """What was seen."""
        if not self._rows:
            return Extent()
        return row_extent(self._columns, self._rows, self._first, self._last)

    def problems(self) -> Iterator[str]:
        """What is wrong with the rows; of each kind of fault a few, and how many more."""
        for faults in (self._missing, self._malformed, self._miscounted):
            yield from faults[:_SAID_OF_A_KIND]
            if len(faults) > _SAID_OF_A_KIND:
                yield f"… and {len(faults) - _SAID_OF_A_KIND} more like this"


def _disagreements(
    part: PartFile, meta: PartMeta | None, extent: Extent, *, being_written: bool
) -> Iterator[str]:
    name = part.meta_path.name
    if meta is None:
        yield f"there is no readable {name} beside it"
        return
    if meta.rows != extent.rows and not (being_written and meta.rows < extent.rows):
        yield f"{name} says {meta.rows} rows, the file has {extent.rows}"
    elif meta.rows == extent.rows and meta.extent != extent:
        yield f"{name} says other numbers or times of the first and the last row than they have"
    for file_name, digest in meta.sha256.items():
        if file_digest(part.path.with_name(file_name)) != digest:
            yield f"{file_name} is not the file that was sealed"


def _continued(before: PartReport, report: PartReport) -> PartReport:
    last, first = before.extent.last_seq, report.extent.first_seq
    if last is None or first is None or first == last + 1:
        return report
    return replace(
        report, problems=(*report.problems, f"it begins with row {first}, the file before ends with {last}")
    )


def file_digest(path: Path) -> str | None:
    """SHA-256 of a file; None when it is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
