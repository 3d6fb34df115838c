"""Does a recording add up? Files, row numbers, journal, gaps and minute bars are held against each other.

Nothing is changed, and a recorder may be at work: what it has not written yet is then none of its faults.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from options_helper.data.intraday.checking import PartReport
from options_helper.data.intraday.contents import reading, sound_texts
from options_helper.data.intraday.layout import PartitionKey, find_parts, parts
from options_helper.data.intraday.locking import writer_of
from options_helper.data.intraday.members import scan
from options_helper.data.intraday.meta import load_meta
from options_helper.data.intraday.rows import DATASET_OF, RowWriter
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.journal import Record, RecordKind, read_records, sessions
from options_helper.data.streaming.events import NANOSECONDS, decode_frame, stamp
from options_helper.data.streaming.gap_ledger import LedgerRow, ledger_rows
from options_helper.data.streaming.recorder import KINDS
from options_helper.errors import ConfigError, StoreError

if TYPE_CHECKING:
    import pandas as pd

_MINUTE_NS: Final = 60 * NANOSECONDS
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


@dataclass(frozen=True, slots=True)
class Audit:
    """Everything that was looked at; `problems` is what does not add up, a sentence each."""

    partitions: tuple[SymbolDay, ...]
    sessions: tuple[SessionAudit, ...]
    gaps: tuple[LedgerRow, ...]
    minutes: tuple[MinuteAudit, ...]
    being_written: bool
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether it all adds up; a gap that is written down and lost nothing that is known does."""
        return not self.problems


def audit(root: Path) -> Audit:
    """Look at every byte and row of a recording; ConfigError where there is none."""
    store = IntradayStore(root)
    being_written = writer_of(root) is not None
    # The journal first: rows that are written meanwhile are more, never less.
    journal = _JournalRows()
    found_sessions = [journal.read(session, files) for session, files in sessions(root).items()]
    ledger = tuple(ledger_rows(root))
    partitions = [
        _symbol_day(list(reports), ledger)
        for _, reports in groupby(store.verify(), key=lambda report: report.part.key)
    ]
    if not partitions and not found_sessions:
        raise ConfigError(f"There is no recording in {root}. Name the folder that was recorded into.")
    journaled = {one.session for one in found_sessions}
    problems = [
        *(f"{_name(one)}: {problem}" for one in partitions for problem in one.problems),
        *(f"{_name(one)}: {one.lost} rows are lost" for one in partitions if one.lost),
        *(f"Journal {one.session}: {problem}" for one in found_sessions for problem in one.problems),
        *(
            f"Journal {one.session}: {one.rejected} events could not be read"
            for one in found_sessions
            if one.rejected
        ),
        *(
            f"{row.lost_events} events of the {row.stream} stream were lost from {row.since} on: {row.reason}"
            for row in ledger
            # What a journal has and nobody can read was counted above.
            if row.lost_events and not (row.session in journaled and row.reason.startswith("rejected"))
        ),
    ]
    if found_sessions:
        problems += journal.disagreements(root, journaled, being_written=being_written)
    return Audit(
        tuple(partitions),
        tuple(found_sessions),
        ledger,
        tuple(_minutes(store)),
        being_written,
        tuple(problems),
    )


def _name(one: SymbolDay) -> str:
    return f"{one.kind} {one.dataset} {one.symbol} {one.day}"


def _symbol_day(reports: list[PartReport], ledger: Iterable[LedgerRow]) -> SymbolDay:
    key = reports[0].part.key
    # A gap of a stream is noted beside each of its files: once in the ledger, it must not count a hundred times.
    of_the_stream = {(row.since_ns, row.until_ns, row.reason) for row in ledger}
    gaps = {gap for report in reports for gap in report.gaps}
    own = [gap for gap in gaps if (gap.since_ns, gap.until_ns, gap.reason) not in of_the_stream]
    filled = [report.extent for report in reports if report.rows]
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
        lost=sum(gap.lost or 0 for gap in own),
        problems=tuple(
            f"{report.part.path.name}: {problem}" for report in reports for problem in report.problems
        ),
    )


class _JournalRows:
    """The rows that a journal makes, as a number for each line: eight bytes a row are all that is kept."""

    def __init__(self) -> None:
        self._lines: dict[PartitionKey, array[int]] = defaultdict(lambda: array("q"))
        self._rows = RowWriter()

    def read(self, session: str, files: list[Path]) -> SessionAudit:
        """Take the rows of one session."""
        frames = events = rejected = 0
        first: Record | None = None
        last: Record | None = None
        problems: list[str] = []
        try:
            for record in read_records(files):
                first, last = first or record, record
                if record.kind is RecordKind.FRAME:
                    frames += 1
                    events += record.events
                    rejected += self._take(record)
        except StoreError as error:
            problems.append(str(error))
        ended = last is not None and last.kind is RecordKind.END
        return SessionAudit(
            session,
            began_ns=first and first.received_ns,
            last_ns=last and last.received_ns,
            ended=ended,
            frames=frames,
            events=events,
            rejected=rejected,
            torn_bytes=sum(map(_torn_bytes, files)),
            problems=tuple(problems),
        )

    def _take(self, record: Record) -> int:
        found, rejected = decode_frame(record.payload)
        for event in found:
            stamp(event, record.received_ns)
            day, line = self._rows.of_type(type(event))(event)
            key = PartitionKey(KINDS[record.stream], DATASET_OF[type(event)], event.symbol, day)
            self._lines[key].extend(_numbers(f"0,{line}".encode()))
        return len(rejected)

    def disagreements(self, root: Path, journaled: set[str], *, being_written: bool) -> Iterator[str]:
        """Rows that only the journal has, and rows that a partition has and the journal not."""
        missing_rows = missing_from = 0
        keys = {part.key for part in find_parts(root)} | self._lines.keys()
        for key in sorted(keys, key=_key_name):
            expected, kept = self._lines[key], _lines_kept(root, key)
            if kept == expected:
                continue
            missing, extra = Counter(expected) - Counter(kept), Counter(kept) - Counter(expected)
            if extra and _writers(root, key) <= journaled:
                yield f"{_key_name(key)}: {extra.total()} rows are not in the journal"
            if not missing and not extra:
                yield f"{_key_name(key)}: the rows are in another order than in the journal"
            missing_rows += missing.total()
            missing_from += bool(missing)
        if missing_rows and not being_written:
            yield (
                f"{missing_rows} rows of {missing_from} partitions are in the journal only; "
                "`stream rebuild` makes them"
            )


def _key_name(key: PartitionKey) -> str:
    return f"{key.kind} {key.dataset.name} {key.symbol} {key.day}"


def _lines_kept(root: Path, key: PartitionKey) -> array[int]:
    kept = array("q")
    for part in parts(root, key):
        for text in sound_texts(part.path):
            kept.extend(_numbers(text.removeprefix(key.dataset.header.encode())))
    return kept


def _writers(root: Path, key: PartitionKey) -> set[str]:
    """The sessions that wrote into a partition; one of them may have kept no journal."""
    metas = [load_meta(part) for part in parts(root, key)]
    return {session.id for meta in metas if meta is not None for session in meta.sessions}


def _torn_bytes(path: Path) -> int:
    with reading(path) as (read_at, size):
        tail = scan(read_at, size, check_bytes=0).torn_tail
    return 0 if tail is None else tail.length


def _numbers(text: bytes) -> Iterator[int]:
    """A number for each line without its first field, which is the row's number."""
    return (hash(line.partition(b",")[2]) for line in text.splitlines())


def _minutes(store: IntradayStore) -> Iterator[MinuteAudit]:
    for kind in ("stocks", "options"):
        for symbol in store.list_symbols(kind, "bars"):
            for day in store.list_days(kind, "bars", symbol):
                yield from _minutes_of(store, kind, symbol, day)


def _minutes_of(store: IntradayStore, kind: str, symbol: str, day: date) -> Iterator[MinuteAudit]:
    bars, trades = (
        frame.dropna(subset=["ts_ns"])
        for frame in (store.read(kind, name, symbol, day=day) for name in ("bars", "trades"))
    )
    if not len(trades):
        return  # bars alone were recorded
    captured: dict[int, list[float]] = defaultdict(list)
    for minute, size in zip(_minute(trades), trades["size"], strict=True):
        captured[minute].append(size)
    # A bar that was sent again replaces the first one.
    again = store.read(kind, "updated_bars", symbol, day=day).dropna(subset=["ts_ns"])
    last_bars: dict[int, tuple[Any, Any]] = {
        minute: (count, volume)
        for frame in (bars, again)
        for minute, count, volume in zip(_minute(frame), frame["trade_count"], frame["volume"], strict=True)
    }
    for minute, (count, volume) in sorted(last_bars.items()):
        sizes = captured.get(minute, [])
        yield MinuteAudit(
            kind,
            symbol,
            minute,
            bar_trades=_known(count, int),
            captured_trades=len(sizes),
            bar_volume=_known(volume, float),
            captured_volume=float(sum(sizes)),
        )


def _minute(frame: pd.DataFrame) -> list[int]:
    """The minute of each row that has a time."""
    return [int(ns) // _MINUTE_NS * _MINUTE_NS for ns in frame["ts_ns"]]


def _known(value: Any, read: Callable[[Any], T]) -> T | None:
    import pandas as pd

    return None if pd.isna(value) else read(value)
