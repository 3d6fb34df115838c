"""Does a recording add up? Files, row numbers, journal, gaps and minute bars are held against each other.

Nothing is changed, and a recorder may be at work: what it has not written yet is then none of its faults.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from options_helper.data.intraday.frames import frames_of
from options_helper.data.intraday.layout import (
    dataset_named,
    find_parts,
    kinds_of,
    missing_parts,
)
from options_helper.data.intraday.locking import writer_of
from options_helper.data.intraday.meta import load_meta
from options_helper.data.intraday.scope import EVERYTHING, Scope
from options_helper.data.intraday.verify_parts import PartReport
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.closings import read_closings
from options_helper.data.recording.gap_verdict import GapClosing
from options_helper.data.recording.journal import (
    unnoted_sessions,
)
from options_helper.data.recording.journal_rows import SessionAudit
from options_helper.data.recording.loss_log import (
    NOT_RECORDED,
    LossRow,
    is_fault,
    read_losses,
)
from options_helper.data.recording.scoped_sessions import sessions_in
from options_helper.data.recording.session_notes import SessionNote, session_notes
from options_helper.data.recording.verify_rows import Task, look
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


def audit(
    root: Path,
    scope: Scope = EVERYTHING,
    done: Callable[[Path], object] = bool,
    *,
    processes: int = 1,
) -> Audit:
    """Look at every byte and row of a recording, or of the part that is meant; ConfigError where there is none.

    `done` is told of each file that was read. Several `processes` look at some symbols each, where nobody writes; a
    program that begins them needs to be one that may be imported again (`if __name__ == "__main__"`).
    """
    store = IntradayStore(root)
    being_written = writer_of(root) is not None
    noted = {note.session: note for note in session_notes(root)}
    journals = sessions_in(root, scope)
    notes = [note for note in noted.values() if note.session in journals or _concerns(note, scope)]
    ledger, closings = read_losses(root), read_closings(root)
    losses = tuple(row for row in ledger.rows if scope.meets(row.since_ns, row.until_ns))
    cut_off = {note.session for note in notes if note.ended_ns is None and not being_written}
    journaled = journals.keys()
    task = Task(root, scope, journals, noted, frozenset(cut_off), being_written=being_written)
    looked = look(task, 1 if being_written else processes, done)
    found_sessions = looked.sessions
    partitions = [
        _symbol_day(list(reports), losses, journaled)
        for _, reports in groupby(looked.reports, key=lambda report: report.part.key)
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
        problems += looked.differences.sentences(being_written=being_written, killed=killed)
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
        is_bereft = note.behind and note.session not in journaled and not note.never_worked
        if is_bereft and not note.missed and not at_work:
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


def _concerns(note: SessionNote, scope: Scope) -> bool:
    """Whether a capture was at work on a day that is meant."""
    return scope.meets(*note.stretch)


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


def _symbol_day(
    reports: list[PartReport], ledger: Iterable[LossRow], journaled: AbstractSet[str]
) -> SymbolDay:
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
