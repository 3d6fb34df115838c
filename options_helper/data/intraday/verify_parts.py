"""Does a recording add up? Every byte, row and number of a partition file is looked at; nothing is changed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Final

from options_helper.data.intraday.contents import columns_and_rows, lines_of, reading, row_extent, rows_of
from options_helper.data.intraday.layout import PartFile, PartitionKey
from options_helper.data.intraday.members import Damage, Member, member_pieces, scan
from options_helper.data.intraday.meta import Extent, PartMeta, load_meta
from options_helper.data.intraday.parquet import copy_facts
from options_helper.data.read_errors import is_passing
from options_helper.errors import StoreError
from options_helper.model.gaps import Gap

log = logging.getLogger(__name__)

_SAID_OF_A_KIND: Final = 3
_SHOWN_OF_A_ROW: Final = 200
_COMMAS: Final = methodcaller("count", b",")

# Is told of the rows of a file, as lines, once they were looked at.
Taken = Callable[[PartitionKey, list[bytes]], object]


def _by_nobody(key: PartitionKey, lines: list[bytes]) -> None:
    """Nobody wants to know."""


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
    parts: Iterable[PartFile],
    *,
    being_written: bool,
    cut_off: AbstractSet[str] = frozenset(),
    taken: Taken = _by_nobody,
) -> Iterator[PartReport]:
    """Check files, those of one partition in order; `being_written` allows for a writer at work.

    Such a writer may be amid a member, and what stands beside its files is older than they are. So it is where a
    session that is `cut_off` wrote last: the next writer mends that. `taken` is told of the readable rows in order.
    """
    before: PartReport | None = None
    for part in parts:
        report = verify_part(part, being_written=being_written, cut_off=cut_off, taken=taken)
        if before is not None and before.part.key == part.key:
            report = _continued(before, report)
        before = report
        yield report


def verify_part(
    part: PartFile, *, being_written: bool, cut_off: AbstractSet[str], taken: Taken
) -> PartReport:
    """Check one file; what keeps it from being looked at is its report's problem, and costs no other file."""
    try:
        return _verify_part(part, being_written=being_written, cut_off=cut_off, taken=taken)
    except Exception as error:
        if not isinstance(error, OSError):
            log.exception("%s cannot be checked", part.path)
        reason = f"{error.strerror}" if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        return PartReport(part, 0, Extent(), problems=(f"it cannot be checked ({reason})",))


def _verify_part(
    part: PartFile, *, being_written: bool, cut_off: AbstractSet[str], taken: Taken
) -> PartReport:
    rows = _RowCheck(partial(taken, part.key))
    # What a Parquet copy was made from is told by a digest of the rows.
    digest = hashlib.sha256() if part.parquet_path.exists() else None
    with reading(part.path) as (read_at, size):
        found = scan(read_at, size, check_bytes=0)
        damage = list(found.inner_damage)
        for member in found.members:
            pieces = member_pieces(read_at, member)
            if pieces is None:
                damage.append(Damage(member.offset, member.length))
            else:
                rows.take(member, pieces, bool if digest is None else digest.update)
    problems = [f"the {length} bytes at {offset} are damaged" for offset, length in sorted(damage)]
    meta = load_meta(part)
    sealed = meta is not None and meta.sealed
    being_written = not sealed and (
        being_written or (meta is not None and not cut_off.isdisjoint(one.id for one in meta.sessions[-1:]))
    )
    if found.torn_tail is not None and not being_written:
        problems.append(f"the last {found.torn_tail.length} bytes are no whole member")
    problems += [*rows.problems(), *_disagreements(part, meta, rows.extent, being_written=being_written)]
    if digest is not None:
        problems += _disagreements_of_the_copy(part, meta, rows.extent.rows, digest.hexdigest())
    if problems and (found.damage or damage) and part.parquet_path.exists():
        problems[0] += (
            f"; until `options-helper stream repair` makes the file anew from {part.parquet_path.name}, if that is "
            "whole, its rows are read there"
        )
    return PartReport(
        part,
        size,
        rows.extent,
        sealed=sealed,
        gaps=() if meta is None else meta.gaps,
        problems=tuple(problems),
        sessions=() if meta is None else tuple(session.id for session in meta.sessions),
    )


@dataclass(slots=True)
class _Faults:
    """Of one kind of fault a few, and how many more; a file may have as many as rows."""

    said: list[str] = field(default_factory=list)
    more: int = 0

    def add(self, sentence: str) -> None:
        """One more."""
        if len(self.said) < _SAID_OF_A_KIND:
            self.said.append(sentence)
        else:
            self.more += 1


class _RowCheck:
    """Looks at the rows of one file as they come."""

    def __init__(self, taken: Callable[[list[bytes]], object]) -> None:
        self._taken = taken
        self._columns: list[str] = []
        self._rows = 0
        self._first = b""
        self._last = b""
        self._expected: int | None = None
        self._missing = _Faults()
        self._malformed = _Faults()
        self._miscounted = _Faults()

    def take(self, member: Member, pieces: Iterable[bytes], seen: Callable[[bytes], object]) -> None:
        """The rows of the next readable member; their text is `seen`, too."""
        rows = 0
        columns, texts = columns_and_rows(member, pieces)
        if columns is not None:
            self._columns = columns
            self._expected = None if member.foreign else member.first
        for text in texts:
            seen(text)
            lines = lines_of(text)
            if lines:
                self._first = self._first or lines[0]
                self._last = lines[-1]
            rows += len(lines)
            self._check_rows(lines, quoted=b'"' in text)
            self._taken(lines)
        self._rows += rows
        if not member.foreign and member.rows != rows:
            self._miscounted.add(f"the member at {member.offset} says {member.rows} rows and has {rows}")

    def _check_rows(self, lines: list[bytes], *, quoted: bool) -> None:
        if not self._columns:
            # The beginning of the file is damaged, which is said already.
            return
        width = len(self._columns)
        numbered = self._columns[:1] == ["seq"]
        expected = self._expected
        if numbered and expected is not None and not quoted and _follow(lines, width, expected):
            self._expected = expected + len(lines)
            return
        for line in lines:
            fields = len(next(rows_of(line), [])) if quoted and b'"' in line else line.count(b",") + 1
            if fields != width:
                row = line.decode(errors="replace").rstrip("\r\n")[:_SHOWN_OF_A_ROW]
                self._malformed.add(f"a row has {fields} fields, not {width}: {row}")
            if not numbered:
                continue
            number = line.partition(b",")[0]
            if expected is not None and number != b"%d" % expected:
                self._missing.add(
                    f"row {number.decode(errors='replace')[:_SHOWN_OF_A_ROW]} follows row {expected - 1}"
                )
            expected = int(number) + 1 if number.isdigit() and len(number) < 20 else None
        self._expected = expected

    @property
    def extent(self) -> Extent:
        """What was seen."""
        if not self._rows:
            return Extent()
        first, last = (next(rows_of(line), []) for line in (self._first, self._last))
        return row_extent(self._columns, self._rows, first, last)

    def problems(self) -> Iterator[str]:
        """What is wrong with the rows; of each kind of fault a few, and how many more."""
        for faults in (self._missing, self._malformed, self._miscounted):
            yield from faults.said
            if faults.more:
                yield f"… and {faults.more} more like this"


def _follow(lines: list[bytes], width: int, first: int) -> bool:
    """Whether each line has so many fields and the next number, as nearly all have: asked without a step for each."""
    numbers = map(b"%d,".__mod__, range(first, first + len(lines)))
    return set(map(_COMMAS, lines)) <= {width - 1} and all(map(bytes.startswith, lines, numbers))


def _disagreements(
    part: PartFile, meta: PartMeta | None, extent: Extent, *, being_written: bool
) -> Iterator[str]:
    name = part.meta_path.name
    if meta is None:
        yield f"there is no readable {name} beside it"
        return
    if meta.is_of_the_future:
        yield (
            f"{name} has schema_version {meta.schema_version}, which this version of options-helper does not know: "
            "use the one that wrote it"
        )
        return
    if meta.rows != extent.rows and not (being_written and meta.rows < extent.rows):
        yield f"{name} says {meta.rows} rows, the file has {extent.rows}"
    elif meta.rows == extent.rows and meta.extent != extent:
        yield f"{name} says other numbers or times of the first and the last row than they have"
    for file_name, digest in meta.sha256.items():
        if file_digest(part.path.with_name(file_name)) != digest:
            yield f"{file_name} is not the file that was sealed"


def _disagreements_of_the_copy(
    part: PartFile, meta: PartMeta | None, rows: int, rows_digest: str
) -> Iterator[str]:
    """How the Parquet copy differs from the rows that were read, whatever stands in the meta file."""
    name = part.parquet_path.name
    try:
        copy = copy_facts(part.parquet_path)
    except ImportError:
        if meta is None or name not in meta.sha256:
            yield f"whether {name} has the same rows cannot be checked, because pyarrow is not installed"
        return
    except StoreError as error:
        yield str(error)
        return
    if copy.rows != rows:
        yield f"{name} has {copy.rows} rows, the file has {rows}"
    elif copy.rows_digest not in (None, rows_digest):
        yield f"{name} was made of other rows than the file has"


def _continued(before: PartReport, report: PartReport) -> PartReport:
    last, first = before.extent.last_seq, report.extent.first_seq
    if last is None or first is None or first == last + 1:
        return report
    return replace(
        report, problems=(*report.problems, f"it begins with row {first}, the file before ends with {last}")
    )


def file_digest(path: Path) -> str | None:
    """SHA-256 of a file; None when it is not there, or broken. OSError where it cannot be read for now."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        if is_passing(error):
            raise
        return None
