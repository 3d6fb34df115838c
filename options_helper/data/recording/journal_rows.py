"""What a journal's rows are, and how the rows of the files differ from them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import starmap, zip_longest
from math import inf
from operator import eq
from pathlib import Path

from options_helper.data.intraday.contents import lines_of, reading, row_texts
from options_helper.data.intraday.layout import Kind, PartitionKey, find_parts, parts
from options_helper.data.intraday.members import scan
from options_helper.data.intraday.meta import load_meta
from options_helper.data.intraday.rows import DATASET_OF, RowWriter
from options_helper.data.intraday.scope import Scope
from options_helper.data.recording.journal import Hole, Record, RecordKind, read_records, told
from options_helper.data.recording.recover import UNREADABLE_JOURNAL
from options_helper.data.recording.row_maker import RowMaker
from options_helper.data.recording.session_notes import SessionNote
from options_helper.data.recording.shares import WHOLE, IsShared, Share
from options_helper.data.streaming.state.live_state import StreamTally
from options_helper.model.text import named


@dataclass(frozen=True, slots=True)
class SessionAudit:
    """One run of a recorder, by its journal; not `ended`: it was killed, or it records still."""

    session: str
    began_ns: int | None
    last_ns: int | None
    ended: bool
    frames: int
    events: int
    rejected: int
    torn_bytes: int
    problems: tuple[str, ...]
    deleted: tuple[
        str, ...
    ] = ()  # what of the journal is not there any more, and not needed: the files have its rows


@dataclass(slots=True)
class _Hole:
    """When what a journal lacks was received, between these two, as far as one can tell."""

    since_ns: int
    until_ns: float = inf


class JournalRows:
    """The rows that a journal makes, as a number for each line: eight bytes a row are all that is kept.

    Of a `share`, no other symbols' are made.
    """

    def __init__(self, scope: Scope, done: Callable[[Path], object], share: Share = WHOLE) -> None:
        self._scope = scope
        self._share = share
        self._done = done
        self._lines: dict[PartitionKey, array[int]] = {}
        # The same arrays once more, by what a row has at hand: to make a key for each costs as much as its line. None
        # for rows that are not meant.
        self._by_row: dict[tuple[Kind, type, date], dict[str, array[int] | None]] = {}
        self._is_shared = IsShared(share)
        # How many rows of a file are the journal's, one after the other; None where one is not.
        self._alike: dict[PartitionKey, int | None] = {}
        self._rows = RowWriter()
        self._holes: list[_Hole] = []
        self._last_ns = -1  # of the sessions so far

    def read(self, session: str, files: list[Path], note: SessionNote | None) -> SessionAudit:
        """Take the rows of one session."""
        frames = events = 0
        maker, tally = RowMaker(), StreamTally()
        first: Record | None = None
        last: Record | None = None
        problems: list[str] = []
        deleted: list[str] = []
        open_hole: _Hole | None = None

        def on_hole(hole: Hole) -> None:
            nonlocal open_hole
            is_needed = note is None or (note.behind and (hole.until is None or hole.until > note.filed))
            (problems if hole.damaged or is_needed else deleted).append(str(hole))
            began_ns = note.began_ns if note is not None else self._last_ns + 1
            open_hole = _Hole(last.received_ns if last is not None else began_ns - 1)
            self._holes.append(open_hole)

        try:
            for record in read_records(told(files, self._done), on_hole=on_hole):
                first, last = first or record, record
                if open_hole is not None:
                    open_hole.until_ns, open_hole = record.received_ns, None
                if record.kind is RecordKind.FRAME:
                    frames += 1
                    events += record.events
                self._take(maker, record, tally)
        except UNREADABLE_JOURNAL as error:
            problems.append(str(error) or type(error).__name__)
        if open_hole is not None and note is not None:
            open_hole.until_ns = note.stretch[1] + 1
        self._last_ns = last.received_ns if last is not None else self._last_ns
        # One whose journal is deleted or damaged at its end has ended as it should all the same.
        ended = (note is not None and note.ended_ns is not None) or (
            last is not None and last.kind is RecordKind.END
        )
        return SessionAudit(
            session,
            began_ns=first and first.received_ns,
            last_ns=last and last.received_ns,
            ended=ended,
            frames=frames,
            events=events,
            rejected=tally.rejected,
            torn_bytes=sum(map(_torn_bytes, files)),
            problems=tuple(problems),
            deleted=tuple(deleted),
        )

    def _take(self, maker: RowMaker, record: Record, tally: StreamTally) -> None:
        is_shared = self._is_shared
        for kind, rows in maker.rows_of(record, tally):
            of_symbol: dict[str, array[int] | None] = {}
            last: tuple[type, date] | None = None
            for row in rows:
                symbol = row.symbol
                if not is_shared[symbol]:
                    continue
                day, line = self._rows.of_type(row_type := type(row))(row)
                # Neighbours mostly are of one type and day.
                if last is None or last[0] is not row_type or last[1] is not day:
                    last = row_type, day
                    of_symbol = self._by_row.setdefault((kind, row_type, day), {})
                try:
                    numbers = of_symbol[symbol]
                except KeyError:
                    numbers = of_symbol[symbol] = self._numbers_of(kind, row_type, symbol, day)
                if numbers is not None:
                    numbers.append(hash(line.encode()))

    def _numbers_of(self, kind: Kind, event_type: type, symbol: str, day: date) -> array[int] | None:
        key = PartitionKey(kind, DATASET_OF[event_type], symbol, day)
        return self._lines.setdefault(key, array("q")) if self._scope.holds(key) else None

    def compare(self, key: PartitionKey, lines: list[bytes]) -> None:
        """Hold rows that are just being read of a file, in order, against the journal's: most are, and in its order.

        Where they are not, `differences` reads the files once more.
        """
        alike = self._alike.get(key, 0)
        if alike is None or (expected := self._lines.get(key)) is None:
            return
        numbers = array("q", _numbers(lines))
        end = alike + len(numbers)
        self._alike[key] = end if expected[alike:end] == numbers else None

    def differences(self, root: Path, journaled: Collection[str], *, being_written: bool) -> Differences:
        """Rows that only the journal has, and rows that a partition has and the journal not."""
        found = Differences()
        self._by_row.clear()  # or nothing could be let go of
        heard = {part.key for part in find_parts(root) if not part.key.dataset.is_backfill}
        keys = {key for key in heard if self._scope.holds(key) and self._share.has(key.symbol)}
        for key in sorted(keys | self._lines.keys(), key=_key_name):
            # Let go of what is done: of a day of ten million rows it is eighty megabytes.
            expected = self._lines.pop(key, array("q"))
            if expected and self._alike.get(key) == len(expected):
                continue
            if _same_numbers(expected, _numbers_kept(root, key, self._holes)):
                continue
            less, more = _difference_of(expected, array("q", _numbers_kept(root, key, self._holes)))
            if less:
                found.missing[_key_name(key)] = less
            if being_written:
                continue  # since the journal was read, more rows came
            if more and _writers(root, key) <= set(journaled):
                found.unknown[_key_name(key)] = more
            if not less and not more:
                found.reordered.append(_key_name(key))
        return found


@dataclass(slots=True)
class Differences:
    """By the name of a partition, how many rows journal and files have that the other lacks."""

    missing: dict[str, int] = field(default_factory=dict)  # in the journal only
    unknown: dict[str, int] = field(default_factory=dict)  # in the files only
    reordered: list[str] = field(default_factory=list)  # as many in both, in another order

    def add(self, others: Differences) -> None:
        """Those of other symbols, too."""
        self.missing |= others.missing
        self.unknown |= others.unknown
        self.reordered += others.reordered

    def sentences(self, *, being_written: bool, killed: bool) -> Iterator[str]:
        """Each kind of difference in words."""
        for name in sorted(self.reordered):
            yield f"{name}: the rows are in another order than in the journal"
        if self.unknown:
            of = _named(self.unknown)
            yield f"{sum(self.unknown.values())} rows are not in the journal ({of})"
        if self.missing and not being_written:
            remedy = "`stream rebuild` makes them"
            if killed:
                remedy += ", and the next capture into this folder those that a kill left"
            yield f"{sum(self.missing.values())} rows are in the journal only ({_named(self.missing)}); {remedy}"


def _named(rows: Mapping[str, int]) -> str:
    return named(tuple(f"{name}: {rows[name]}" for name in sorted(rows)))


def _key_name(key: PartitionKey) -> str:
    return f"{key.kind} {key.dataset.name} {key.symbol} {key.day}"


def _numbers_kept(root: Path, key: PartitionKey, holes: Sequence[_Hole]) -> Iterator[int]:
    """A number for each row, but for those that were received within a hole of the journal."""
    for part in parts(root, key):
        for text in row_texts(part.path, key.dataset.columns):
            yield from _numbers(_outside(lines_of(text), holes) if holes else lines_of(text))


def _outside(lines: list[bytes], holes: Sequence[_Hole]) -> list[bytes]:
    return [
        line for line in lines if not any(hole.since_ns < _receipt(line) < hole.until_ns for hole in holes)
    ]


def _receipt(line: bytes) -> int:
    receipt = line.split(b",", 2)[1]
    return int(receipt) if receipt.isdigit() else 0


def _same_numbers(expected: Iterable[int], kept: Iterable[int]) -> bool:
    return all(starmap(eq, zip_longest(expected, kept)))


def _difference_of(expected: array[int], kept: array[int]) -> tuple[int, int]:
    """How many numbers the first has and the second not, and the reverse; sorted in place, so that no more is held."""
    import numpy as np

    for numbers in (expected, kept):
        np.frombuffer(numbers, dtype="q").sort() if numbers else None
    less = more = here = there = 0
    while here < len(expected) and there < len(kept):
        one, other = expected[here], kept[there]
        here += one <= other
        there += other <= one
        less += one < other
        more += other < one
    return less + len(expected) - here, more + len(kept) - there


def _writers(root: Path, key: PartitionKey) -> set[str]:
    """The sessions that wrote into a partition; one of them may have kept no journal."""
    metas = [load_meta(part) for part in parts(root, key)]
    return {session.id for meta in metas if meta is not None for session in meta.sessions}


def _torn_bytes(path: Path) -> int:
    try:
        with reading(path) as (read_at, size):
            tail = scan(read_at, size, check_bytes=0).torn_tail
    except OSError:  # told with the records that it has
        return 0
    return 0 if tail is None else tail.length


def _numbers(lines: list[bytes]) -> list[int]:
    """A number for each line without its first field, which is the row's number."""
    return [hash(line.partition(b",")[2]) for line in lines]
