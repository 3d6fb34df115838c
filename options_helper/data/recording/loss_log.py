"""Write down every loss of a capture: one row in `<root>/gaps/<New York day>.csv` for each.

All times are the computer's, at which things were received or should have been: like the `recv_ns` of the rows.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Final

from options_helper.data.intraday.files import Disk, write_all
from options_helper.data.intraday.meta import sync_folder
from options_helper.data.recording.recorder import RecordedGap
from options_helper.data.streaming.normalizers import nanosecond_text
from options_helper.model.events import StreamName
from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds, utc_datetime
from options_helper.model.market_hours import new_york_date
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.text import named

FOLDER: Final = "gaps"
COLUMNS: Final = (
    "session",
    "stream",
    "since_ns",
    "until_ns",
    "since",
    "until",
    "seconds",
    "lost_events",
    "reason",
)
# What was asked for and not had: a reason that begins so keeps a recording from adding up.
NOT_RECORDED: Final = "not recorded: "
KILLED: Final = "the recorder was ended without warning"
# What nobody can count, and no rebuild brings back.
KILLED_WITHOUT_JOURNAL: Final = (
    f"{KILLED} and kept no journal: what it had received and not yet written is lost"
)
# Losses that go on are a row for each so many seconds, not one for each look.
LOSSES_EVERY_SECONDS: Final = 60.0
_LONGEST_ROW: Final = 1 << 16


class GapLedger:
    """Appends rows, each on the disk before the next; for one thread, under the root's lock.

    After an OSError the ledger is as it was before.
    """

    def __init__(self, root: Path, session: str, disk: Disk | None = None) -> None:
        self._folder = root / FOLDER
        self._session = session
        self._disk = disk or Disk()

    def write(self, gap: RecordedGap) -> None:
        """Add a row to the day on which the gap began; OSError when the disk refuses."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{new_york_date(utc_datetime(gap.since_ns)).isoformat()}.csv"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = _end_of_last_line(descriptor)
            os.ftruncate(descriptor, size)
            rows = [self._row(gap)] if size else [COLUMNS, self._row(gap)]
            self._append(descriptor, size, _csv_text(rows))
        finally:
            os.close(descriptor)
        if not size:
            sync_folder(self._folder)
            sync_folder(self._folder.parent)

    def _append(self, descriptor: int, size: int, data: bytes) -> None:
        try:
            write_all(descriptor, data, self._disk)
            self._disk.sync(descriptor)
        except OSError:
            # Half a row is worse than none; where even this is refused, the next one cuts it off.
            with suppress(OSError):
                self._disk.truncate(descriptor, size)
            raise

    def _row(self, gap: RecordedGap) -> tuple[object, ...]:
        return (
            self._session,
            gap.stream,
            gap.since_ns,
            gap.until_ns,
            nanosecond_text(gap.since_ns),
            nanosecond_text(gap.until_ns),
            f"{(gap.until_ns - gap.since_ns) / 1e9:.3f}",
            "" if gap.lost is None else gap.lost,
            # One row is one line, whatever a server says.
            " ".join(gap.reason.split()),
        )


def _csv_text(rows: list[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _end_of_last_line(descriptor: int) -> int:
    """Where a row that a kill or a full disk left unfinished begins; the end of the file where there is none."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - _LONGEST_ROW)
    return start + os.pread(descriptor, size - start, start).rfind(b"\n") + 1


@dataclass(slots=True)
class _Losses:
    """Events of one stream that were lost for one reason, as far as they are in the ledger and beyond."""

    seen: int = 0
    told: int = 0
    told_at_ns: int = 0
    since_ns: int = 0
    until_ns: int = 0


class GapWatch:
    """Notices, look by look, what the streams lost since the last one; for one thread."""

    def __init__(self, began_ns: int) -> None:
        self._began_ns = began_ns
        self._looked_ns = began_ns
        self._seen_gaps = dict.fromkeys(StreamName, 0)
        self._losses: dict[tuple[StreamName, str], _Losses] = {}
        # Since when: connected and silent, though data was expected; and the symbols that the server left out.
        self._silent_since_ns: dict[StreamName, int] = {}
        self._refused_since_ns: dict[StreamName, dict[str, int]] = {name: {} for name in StreamName}

    def look(
        self,
        healths: Mapping[StreamName, StreamHealth],
        now_ns: int,
        *,
        unwritten: Mapping[StreamName, int] | None = None,
        ending: bool = False,
    ) -> list[RecordedGap]:
        """New gaps that are over, and events lost since the last look; at the end, also the gaps that still last.

        `unwritten` counts the rows that were lost for want of room on the disk.
        """
        found: list[RecordedGap] = []
        for health in healths.values():
            self._note_silence(health)
            found += self._closed_gaps(health)
            found += self._ended_refusals(health, now_ns)
            lost = (unwritten or {}).get(health.name, 0)
            found += self._losses_of(health, lost, now_ns, ending=ending)
        if ending:
            found += self.lasting(healths, now_ns)
            found += self._never_connected(healths, now_ns)
            self._seen_gaps = {name: health.gap_count for name, health in healths.items()}
        self._looked_ns = now_ns
        return found

    def unseen(self, healths: Mapping[StreamName, StreamHealth]) -> int:
        """Gaps that no look has found yet, mostly because they last."""
        return sum(health.gap_count - self._seen_gaps.get(name, 0) for name, health in healths.items())

    def lasting(self, healths: Mapping[StreamName, StreamHealth], now_ns: int) -> list[RecordedGap]:
        """What is not heard now, as a row would tell it if the capture ended."""
        found = []
        for name, health in healths.items():
            if health.gaps and health.gaps[-1].until is None:
                gap = health.gaps[-1]
                hopeless = health.phase is Phase.FAILED or not health.connections
                reason = f"{NOT_RECORDED}{health.last_error or gap.reason}" if hopeless else gap.reason
                found.append(RecordedGap(name, epoch_nanoseconds(gap.since) or 0, now_ns, reason))
            elif name in self._silent_since_ns:
                reason = f"No {name} data although the market is open, to the end of the capture."
                found.append(RecordedGap(name, self._silent_since_ns[name], now_ns, reason))
            found += self._refusals(health, self._refused_since_ns[name], now_ns)
        return found

    def _never_connected(
        self, healths: Mapping[StreamName, StreamHealth], now_ns: int
    ) -> Iterator[RecordedGap]:
        for name, health in healths.items():
            if health.phase is not Phase.OFF and not health.connections and not health.gaps:
                reason = f"{NOT_RECORDED}the capture ended before there was a connection."
                yield RecordedGap(name, self._began_ns, now_ns, reason)

    def _closed_gaps(self, health: StreamHealth) -> Iterator[RecordedGap]:
        unseen = health.gap_count - self._seen_gaps[health.name]
        for gap in health.gaps[-unseen:] if unseen else ():
            if gap.until is None:
                return
            since_ns, until_ns = epoch_nanoseconds(gap.since) or 0, epoch_nanoseconds(gap.until) or 0
            yield RecordedGap(health.name, since_ns, until_ns, gap.reason)
            self._seen_gaps[health.name] += 1

    def _note_silence(self, health: StreamHealth) -> None:
        if health.phase is Phase.STALLED:
            since = max(filter(None, (health.connected_since, health.last_event_at)), default=None)
            self._silent_since_ns[health.name] = epoch_nanoseconds(since) or self._looked_ns
        elif health.phase is not Phase.STOPPED:
            self._silent_since_ns.pop(health.name, None)

    def _ended_refusals(self, health: StreamHealth, now_ns: int) -> list[RecordedGap]:
        """Symbols that the server leaves out no longer; where it leaves out all, the stream itself has a gap."""
        since_ns = self._refused_since_ns[health.name]
        refused = health.refused_symbols if health.acknowledged else ()
        over = {symbol: since_ns.pop(symbol) for symbol in list(since_ns) if symbol not in refused}
        for symbol in refused:
            since_ns.setdefault(symbol, self._looked_ns)
        return self._refusals(health, over, now_ns)

    def _refusals(self, health: StreamHealth, since_ns: Mapping[str, int], now_ns: int) -> list[RecordedGap]:
        return [
            RecordedGap(health.name, since, now_ns, _refusal(health, symbols), symbols=symbols)
            for since, symbols in _grouped(since_ns)
        ]

    def _losses_of(
        self, health: StreamHealth, unwritten: int, now_ns: int, *, ending: bool
    ) -> Iterator[RecordedGap]:
        example = health.last_rejections[-1] if health.last_rejections else "unreadable"
        for kind, total, reason in (
            ("dropped", health.dropped, "dropped: the queue was full"),
            ("rejected", health.rejected, f"rejected: {example}"),
            ("unwritten", unwritten, "dropped: the disk took no more, and neither did the memory"),
        ):
            losses = self._losses.setdefault((health.name, kind), _Losses())
            if total > losses.seen:
                losses.since_ns = self._looked_ns if losses.seen == losses.told else losses.since_ns
                losses.seen, losses.until_ns = total, now_ns
            due = ending or now_ns - losses.told_at_ns >= LOSSES_EVERY_SECONDS * NANOSECONDS
            if due and losses.seen > losses.told:
                count = losses.seen - losses.told
                losses.told, losses.told_at_ns = losses.seen, now_ns
                yield RecordedGap(health.name, losses.since_ns, losses.until_ns, reason, count)


def _grouped(since_ns: Mapping[str, int]) -> Iterator[tuple[int, tuple[str, ...]]]:
    by_time = sorted((since, symbol) for symbol, since in since_ns.items())
    for since, group in groupby(by_time, key=lambda one: one[0]):
        yield since, tuple(symbol for _, symbol in group)


def _refusal(health: StreamHealth, symbols: tuple[str, ...]) -> str:
    return (
        f"{NOT_RECORDED}{named(symbols)} refused by the {health.feed} feed. {health.last_error or ''}".strip()
    )


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One row of the ledger, as it was written."""

    session: str
    stream: str
    since_ns: int
    until_ns: int
    since: str
    until: str
    lost_events: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class LedgerRows:
    """What is written in a root's ledger; `problems` are sentences about what cannot be read."""

    rows: tuple[LedgerRow, ...] = ()
    problems: tuple[str, ...] = ()


def read_ledger(root: Path) -> LedgerRows:
    """The ledger of a root, day by day; a row that a kill left unfinished is left out."""
    ledger = LedgerRows()
    for path in sorted((root / FOLDER).glob("*.csv")):
        whole_lines = path.read_bytes().rpartition(b"\n")[0].decode(errors="replace")
        rows = tuple(csv.DictReader(io.StringIO(whole_lines, newline="")))
        try:
            ledger = replace(ledger, rows=(*ledger.rows, *map(_read, rows)))
        except (KeyError, ValueError, TypeError):
            problem = f"{FOLDER}/{path.name} has rows that are none of a gap ledger"
            ledger = replace(ledger, problems=(*ledger.problems, problem))
    return ledger


def ledger_rows(root: Path) -> tuple[LedgerRow, ...]:
    """The readable rows of a root's ledger."""
    return read_ledger(root).rows


def _read(row: Mapping[str, str]) -> LedgerRow:
    return LedgerRow(
        row["session"],
        row["stream"],
        int(row["since_ns"]),
        int(row["until_ns"]),
        row["since"],
        row["until"],
        int(row["lost_events"]) if row["lost_events"] else None,
        row["reason"],
    )
