"""Does a recording add up? Files, row numbers, journal, gaps and minute bars are held against each other.

Nothing is changed, and a recorder may be at work: what it has not written yet is then none of its faults.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date
from itertools import groupby, starmap, zip_longest
from math import inf
from operator import eq
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from options_helper.data.intraday.contents import lines_of, reading, row_texts
from options_helper.data.intraday.frames import frames_of
from options_helper.data.intraday.layout import (
    Kind,
    PartitionKey,
    dataset_named,
    find_parts,
    kinds_of,
    missing_parts,
    parts,
)
from options_helper.data.intraday.locking import writer_of
from options_helper.data.intraday.members import scan
from options_helper.data.intraday.meta import load_meta
from options_helper.data.intraday.rows import DATASET_OF, RowWriter
from options_helper.data.intraday.scope import EVERYTHING, Scope
from options_helper.data.intraday.verify_parts import PartReport
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.closings import read_closings
from options_helper.data.recording.gap_verdict import GapClosing
from options_helper.data.recording.journal import (
    Hole,
    Record,
    RecordKind,
    read_records,
    told,
    unnoted_sessions,
)
from options_helper.data.recording.loss_log import (
    NOT_RECORDED,
    LossRow,
    is_fault,
    read_losses,
)
from options_helper.data.recording.recover import UNREADABLE_JOURNAL
from options_helper.data.recording.row_maker import RowMaker
from options_helper.data.recording.scoped_sessions import sessions_in
from options_helper.data.recording.session_notes import SessionNote, session_notes
from options_helper.data.streaming.state.live_state import StreamTally
from options_helper.errors import ConfigError
from options_helper.model.instants import NANOSECONDS, utc_datetime
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.streams import StreamName
from options_helper.model.text import named

if TYPE_CHECKING:
    import pandas as pd

_MINUTE_NS: Final = 60 * NANOSECONDS
# A minute's bar comes so long after the minute, and a connection takes about as long to be made.
_BAR_DELAY_NS: Final = 3 * NANOSECONDS
# Channels on which something comes when something happens, and the datasets of their rows.
_RARE: Final = {"news": "articles", "statuses": "statuses", "lulds": "limit_bands"}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SymbolDay:
    """One dataset of one symbol on one day, all its files together. Times are receipts, epoch nanoseconds."""

    kind: str
    dataset: str
    symbol: str
    day: date
    files: int
    rows: int
    first_ns: int | None
    last_ns: int | None
    gaps: int
    lost: int  # rows of this symbol alone; what a whole stream lost is in the ledger
    problems: tuple[str, ...]


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


@dataclass(frozen=True, slots=True)
class MinuteAudit:
    """Trades of one symbol and minute, by the feed's own bar and by what was captured."""

    kind: str
    symbol: str
    minute_ns: int
    bar_trades: int | None
    captured_trades: int
    bar_volume: float | None
    captured_volume: float
    partly: bool = False  # the recorder began, ended or could not hear within this minute


@dataclass(frozen=True, slots=True)
class Audit:
    """Everything that was looked at; `problems` is what does not add up, a sentence each.

    `silent` are the symbols that were asked for, not refused, and have no row: kind and symbol.
    """

    partitions: tuple[SymbolDay, ...]
    sessions: tuple[SessionAudit, ...]
    gaps: tuple[LossRow, ...]
    minutes: tuple[MinuteAudit, ...]
    being_written: bool
    problems: tuple[str, ...]
    silent: tuple[tuple[str, str], ...] = ()
    closings: tuple[GapClosing, ...] = ()  # what history said of the gaps
    unheard: tuple[str, ...] = ()  # what was listened for and need not come, and did not

    @property
    def ok(self) -> bool:
        """Whether it all adds up; a gap that is written down and lost nothing that is known does."""
        return not self.problems


def audit(root: Path, scope: Scope = EVERYTHING, done: Callable[[Path], object] = bool) -> Audit:
    """Look at every byte and row of a recording, or of the part that is meant; ConfigError where there is none.

    `done` is told of each file that was read.
    """
    store = IntradayStore(root)
    being_written = writer_of(root) is not None
    # The journal first: rows that are written meanwhile are more, never less.
    journal = _JournalRows(scope, done)
    noted = {note.session: note for note in session_notes(root)}
    found_sessions = [
        journal.read(session, files, noted.get(session))
        for session, files in sessions_in(root, scope).items()
    ]
    read = {one.session for one in found_sessions}
    notes = [note for note in noted.values() if note.session in read or _concerns(note, scope)]
    ledger, closings = read_losses(root), read_closings(root)
    losses = tuple(row for row in ledger.rows if scope.meets(row.since_ns, row.until_ns))
    cut_off = {note.session for note in notes if note.ended_ns is None and not being_written}
    journaled = {one.session for one in found_sessions}
    partitions = [
        _symbol_day(list(reports), losses, journaled)
        for _, reports in groupby(_reports(store, scope, cut_off, done), key=lambda report: report.part.key)
    ]
    if not partitions and not found_sessions and not notes:
        raise ConfigError(f"There is no recording{scope} in {root}. Name the folder that was recorded into.")
    problems = [
        *(f"{_name(one)}: {problem}" for one in partitions for problem in one.problems),
        *(f"{_name(one)}: {one.lost} rows are lost" for one in partitions if one.lost),
        *(f"Journal {one.session}: {problem}" for one in found_sessions for problem in one.problems),
        *(
            f"Journal {one.session}: {one.rejected} events could not be read"
            for one in found_sessions
            if one.rejected
        ),
        *ledger.problems,
        *closings.problems,
        *(problem for row in losses if not closings.has_closed(row) for problem in _faults(row, journaled)),
        *_unmissed(notes, journaled, being_written=being_written),
        *(
            f"The note of session {session} is gone or cannot be read: how it ended, and what it was asked for, "
            "nobody knows"
            for session in unnoted_sessions(root)
            if not being_written  # which may be about to write its own
        ),
        *_gone(root, scope),
    ]
    if found_sessions:
        killed = any(note.behind for note in notes)
        problems += journal.disagreements(root, journaled, being_written=being_written, killed=killed)
    return Audit(
        tuple(partitions),
        tuple(found_sessions),
        losses,
        tuple(_minutes(store, scope, _Coverage(found_sessions, notes, losses))),
        being_written,
        tuple(problems),
        tuple(one for one in _silent(notes, partitions, losses) if scope.has_symbol(one[1])),
        tuple(filter(None, map(closings.of_gap, losses))),
        () if scope.symbols else unheard(notes, {(one.kind, one.dataset) for one in partitions if one.rows}),
    )


def _faults(row: LossRow, journaled: Collection[str]) -> Iterator[str]:
    """Why a row of the ledger keeps the recording from adding up; a lost connection that came back does not."""
    since = format_new_york(row.since_ns)
    where = f"The {row.stream} stream, from {since} on"
    if row.until_ns is not None and row.until_ns < row.since_ns:
        yield f"{where}: a gap that ends before it begins, at {format_new_york(row.until_ns)}"
    # What a journal has and nobody can read is counted there.
    if row.lost and not (row.session in journaled and row.reason.startswith("rejected")):
        yield f"{row.lost} events of the {row.stream} stream were lost from {since} on: {row.reason}"
    elif is_fault(row.reason):
        yield f"{where}: {row.reason}"


def format_new_york(nanoseconds: int) -> str:
    """A moment, by the clock on the wall in New York."""
    return f"{utc_datetime(nanoseconds).astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}"


def _unmissed(
    notes: Iterable[SessionNote], journaled: Collection[str], *, being_written: bool
) -> Iterator[str]:
    """What captures that were ended without warning left untold, because none has followed them."""
    for note in notes:
        at_work = being_written and note.ended_ns is None
        if note.behind and note.session not in journaled and not note.missed and not at_work:
            yield (
                f"Session {note.session} kept a journal, and it is gone: rows that it had and the files lack are lost"
            )
        if note.ended_ns is not None or note.missed or being_written:
            continue
        if not note.journal:
            yield (
                f"Session {note.session} was ended without warning and kept no journal: what it had received in its "
                f"last {note.flush_seconds:g} seconds or more is lost"
            )
        for gap in note.gaps:
            if gap.reason.startswith(NOT_RECORDED):
                yield f"The {gap.stream} stream of session {note.session}: {gap.reason}"


def _reports(
    store: IntradayStore, scope: Scope, cut_off: AbstractSet[str], done: Callable[[Path], object]
) -> Iterator[PartReport]:
    symbols: Sequence[str | None] = sorted(scope.symbols) or [None]
    for symbol in symbols:
        for report in store.verify(symbol=symbol, day=scope.day, cut_off=cut_off):
            if scope.holds(report.part.key):
                yield report
                done(report.part.path)


def _concerns(note: SessionNote, scope: Scope) -> bool:
    """Whether a capture was at work on a day that is meant."""
    return scope.meets(note.began_ns, note.ended_ns or note.seen_ns)


def _gone(root: Path, scope: Scope) -> Iterator[str]:
    """Files that are gone while what is known about them is there."""
    for part in missing_parts(root):
        if not scope.holds(part.key):
            continue
        meta, copied = load_meta(part), part.parquet_path.exists()
        if meta is not None or copied:
            rows = f"{meta.rows} rows or more" if meta and meta.rows else "rows that nobody had counted yet"
            remedy = f"; `stream repair` makes it anew from {part.parquet_path.name}" if copied else ""
            yield f"{part.path.relative_to(root)} is gone; it had {rows}{remedy}"


def _silent(
    notes: Iterable[SessionNote], partitions: Iterable[SymbolDay], ledger: Iterable[LossRow]
) -> Iterator[tuple[str, str]]:
    """What was asked for and never came, where the ledger does not say why."""
    notes = list(notes)
    filled = {(one.kind, one.symbol) for one in partitions if one.rows and not is_backfill(one.dataset)}
    refused = {
        (gap.stream, symbol)
        for note in notes
        for gap in (*note.gaps, *note.refused)
        for symbol in gap.symbols
    }
    kinds = {kind for kind, _ in filled}
    explained = {
        row.stream
        for row in ledger
        if row.reason.startswith(NOT_RECORDED) and kinds.isdisjoint(kinds_of(row.stream))
    }
    asked = {
        (stream, symbol)
        for note in notes
        for stream, symbols in note.asked.items()
        for symbol in symbols
        # An article is not of one symbol, and of most symbols there is none on most days.
        if stream not in explained and stream != StreamName.NEWS
    }
    yield from sorted(
        (stream, symbol)
        for stream, symbol in asked - refused
        if not any((kind, symbol) in filled for kind in kinds_of(stream))
    )


def unheard(notes: Iterable[SessionNote], filled: Collection[tuple[str, str]]) -> tuple[str, ...]:
    """What was listened for, need not come, and has no row among those of these kinds and datasets, in words."""
    asked = {
        (kind, channel): note.asked.get(stream, ())
        for note in notes
        for stream in note.asked
        for kind in kinds_of(stream)
        for channel in note.channels.get(stream, ())
        if channel in _RARE
    }
    return tuple(
        f"{channel} of {'all symbols' if '*' in symbols else named(symbols)}"
        for (kind, channel), symbols in sorted(asked.items())
        if (kind, _RARE[channel]) not in filled
    )


def is_backfill(dataset: str) -> bool:
    """Whether the rows of a dataset were asked for and not heard."""
    return dataset_named(dataset).is_backfill


def _name(one: SymbolDay) -> str:
    return f"{one.kind} {one.dataset} {one.symbol} {one.day}"


def _symbol_day(reports: list[PartReport], ledger: Iterable[LossRow], journaled: set[str]) -> SymbolDay:
    key = reports[0].part.key
    # A gap of a stream is noted beside each of its files: once in the ledger, it must not count a hundred times.
    of_the_stream = {(row.since_ns, row.until_ns, row.reason) for row in ledger}
    gaps = {gap for report in reports for gap in report.gaps}
    own = [gap for gap in gaps if (gap.since_ns, gap.until_ns, gap.reason) not in of_the_stream]
    filled = [report.extent for report in reports if report.rows]
    # What the journal has is held against the rows themselves.
    in_doubt = not {session for report in reports for session in report.sessions} <= journaled
    return SymbolDay(
        key.kind,
        key.dataset.name,
        key.symbol,
        key.day,
        files=len(reports),
        rows=sum(report.rows for report in reports),
        first_ns=filled[0].first_recv_ns if filled else None,
        last_ns=filled[-1].last_recv_ns if filled else None,
        gaps=len(gaps),
        lost=sum(gap.lost or 0 for gap in own) if in_doubt else 0,
        problems=tuple(
            f"{report.part.path.name}: {problem}" for report in reports for problem in report.problems
        ),
    )


@dataclass(slots=True)
class _Hole:
    """When what a journal lacks was received, between these two, as far as one can tell."""

    since_ns: int
    until_ns: float = inf


class _JournalRows:
    """The rows that a journal makes, as a number for each line: eight bytes a row are all that is kept."""

    def __init__(self, scope: Scope, done: Callable[[Path], object]) -> None:
        self._scope = scope
        self._done = done
        self._lines: dict[PartitionKey, array[int]] = {}
        # The same arrays once more, by what a row has at hand: to make a key for each costs as much as its line. None
        # for rows that are not meant.
        self._by_row: dict[tuple[Kind, type, str, date], array[int] | None] = {}
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
            open_hole.until_ns = (note.ended_ns or note.seen_ns) + 1
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
        for kind, rows in maker.rows_of(record, tally):
            for row in rows:
                day, line = self._rows.of_type(type(row))(row)
                at = kind, type(row), row.symbol, day
                try:
                    numbers = self._by_row[at]
                except KeyError:
                    numbers = self._by_row[at] = self._numbers_of(*at)
                if numbers is not None:
                    numbers.append(hash(line.encode()))

    def _numbers_of(self, kind: Kind, event_type: type, symbol: str, day: date) -> array[int] | None:
        key = PartitionKey(kind, DATASET_OF[event_type], symbol, day)
        return self._lines.setdefault(key, array("q")) if self._scope.holds(key) else None

    def disagreements(
        self, root: Path, journaled: set[str], *, being_written: bool, killed: bool
    ) -> Iterator[str]:
        """Rows that only the journal has, and rows that a partition has and the journal not."""
        missing: dict[str, int] = {}
        unknown: dict[str, int] = {}
        self._by_row.clear()  # or nothing could be let go of
        heard = {part.key for part in find_parts(root) if not part.key.dataset.is_backfill}
        keys = {key for key in heard if self._scope.holds(key)} | self._lines.keys()
        for key in sorted(keys, key=_key_name):
            # Let go of what is done: of a day of ten million rows it is eighty megabytes.
            expected = self._lines.pop(key, array("q"))
            if _same_numbers(expected, _numbers_kept(root, key, self._holes)):
                continue
            less, more = _difference_of(expected, array("q", _numbers_kept(root, key, self._holes)))
            if less:
                missing[_key_name(key)] = less
            if being_written:
                continue  # since the journal was read, more rows came
            if more and _writers(root, key) <= journaled:
                unknown[_key_name(key)] = more
            if not less and not more:
                yield f"{_key_name(key)}: the rows are in another order than in the journal"
        if unknown:
            of = named(tuple(f"{name}: {rows}" for name, rows in unknown.items()))
            yield f"{sum(unknown.values())} rows are not in the journal ({of})"
        if missing and not being_written:
            of = named(tuple(f"{name}: {rows}" for name, rows in missing.items()))
            remedy = "`stream rebuild` makes them"
            if killed:
                remedy += ", and the next capture into this folder those that a kill left"
            yield f"{sum(missing.values())} rows are in the journal only ({of}); {remedy}"


def _key_name(key: PartitionKey) -> str:
    return f"{key.kind} {key.dataset.name} {key.symbol} {key.day}"


def _numbers_kept(root: Path, key: PartitionKey, holes: Sequence[_Hole]) -> Iterator[int]:
    """A number for each row, but for those that were received within a hole of the journal."""
    for part in parts(root, key):
        for text in row_texts(part.path, key.dataset.columns):
            yield from _numbers(text if not holes else _outside(text, holes))


def _outside(text: bytes, holes: Sequence[_Hole]) -> bytes:
    return b"".join(
        line
        for line in lines_of(text)
        if not any(hole.since_ns < _receipt(line) < hole.until_ns for hole in holes)
    )


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


def _numbers(text: bytes) -> Iterator[int]:
    """A number for each line without its first field, which is the row's number."""
    return (hash(line.partition(b",")[2]) for line in lines_of(text))


class _Coverage:
    """When the recorder received, on the computer's clock."""

    def __init__(
        self, journals: Iterable[SessionAudit], notes: Iterable[SessionNote], gaps: Iterable[LossRow]
    ) -> None:
        began = {one.session: one.began_ns for one in journals if one.began_ns is not None}
        began |= {note.session: note.began_ns for note in notes}
        self._beginnings = sorted(began.values())
        self._gaps = list(gaps)

    def covers(self, kind: str, bar_received_ns: int | None) -> bool:
        """Whether the minute that ended with this bar was received from its beginning on."""
        if bar_received_ns is None:
            return True
        since_ns = bar_received_ns - _MINUTE_NS - _BAR_DELAY_NS
        return not (
            any(since_ns < began <= bar_received_ns for began in self._beginnings)
            or any(
                gap.stream == kind
                and gap.since_ns < bar_received_ns
                and (gap.until_ns is None or since_ns < gap.until_ns)
                for gap in self._gaps
            )
        )


def _minutes(store: IntradayStore, scope: Scope, coverage: _Coverage) -> Iterator[MinuteAudit]:
    for kind in ("stocks", "options"):
        for symbol in filter(scope.has_symbol, store.list_symbols(kind, "bars")):
            for day in filter(scope.has_day, store.list_days(kind, "bars", symbol)):
                yield from _minutes_of(store, coverage, kind, symbol, day)


def _minutes_of(
    store: IntradayStore, coverage: _Coverage, kind: str, symbol: str, day: date
) -> Iterator[MinuteAudit]:
    bars = store.read(kind, "bars", symbol, day=day).dropna(subset=["ts_ns"])
    captured = _captured(store.root, kind, symbol, day)
    if not captured:
        return  # bars alone were recorded
    # A bar that was sent again replaces the first one.
    again = (
        store.read(kind, "updated_bars", symbol, day=day).dropna(subset=["ts_ns"])
        if day in store.list_days(kind, "updated_bars", symbol)
        else bars[:0]
    )
    last_bars: dict[int, tuple[Any, Any]] = {
        minute: (count, volume)
        for frame in (bars, again)
        for minute, count, volume in zip(_minute(frame), frame["trade_count"], frame["volume"], strict=True)
    }
    received = dict(zip(_minute(bars), bars["recv_ns"], strict=True))
    for minute, (count, volume) in sorted(last_bars.items()):
        trades, volume_captured = captured.get(minute, (0, 0.0))
        yield MinuteAudit(
            kind,
            symbol,
            minute,
            bar_trades=_known(count, int),
            captured_trades=trades,
            bar_volume=_known(volume, float),
            captured_volume=volume_captured,
            partly=not coverage.covers(kind, _known(received.get(minute), int)),
        )


def _captured(root: Path, kind: str, symbol: str, day: date) -> dict[int, tuple[int, float]]:
    """How many trades there were in each minute and how large they were together; a trade without a size counts as 0.

    Read bit by bit: a busy day of trades is a gigabyte as one frame.
    """
    captured: dict[int, tuple[int, float]] = {}
    for part in find_parts(root, kind=kind, dataset="trades", symbol=symbol, day=day):
        for frame in frames_of(part, ("ts_ns", "size")):
            timed = frame.dropna(subset=["ts_ns"])
            sums = timed["size"].fillna(0.0).groupby(_minute(timed)).agg(["count", "sum"])
            for minute, count, volume in zip(sums.index, sums["count"], sums["sum"], strict=True):
                before, volume_before = captured.get(minute, (0, 0.0))
                captured[int(minute)] = before + int(count), volume_before + float(volume)
    return captured


def _minute(frame: pd.DataFrame) -> list[int]:
    """The minute of each row that has a time."""
    return [int(ns) // _MINUTE_NS * _MINUTE_NS for ns in frame["ts_ns"]]


def _known(value: Any, read: Callable[[Any], T]) -> T | None:
    import pandas as pd

    return None if pd.isna(value) else read(value)
