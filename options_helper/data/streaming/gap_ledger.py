"""Write down every loss of a capture: one row in `<root>/gaps/<New York day>.csv` for each."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from options_helper.data.market_hours import new_york_date
from options_helper.data.streaming.events import StreamName, epoch_nanoseconds, utc_datetime
from options_helper.data.streaming.normalizers import nanosecond_text
from options_helper.data.streaming.recorder import RecordedGap
from options_helper.data.streaming.snapshot import StreamHealth

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


class GapLedger:
    """Appends rows, each on the disk before the next; for one thread, under the root's lock."""

    def __init__(self, root: Path, session: str) -> None:
        self._folder = root / FOLDER
        self._session = session

    def write(self, gap: RecordedGap) -> None:
        """Add a row to the day on which the gap began."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{new_york_date(utc_datetime(gap.since_ns)).isoformat()}.csv"
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        if not path.exists():
            rows.writerow(COLUMNS)
        rows.writerow(self._row(gap))
        with path.open("ab") as file:
            file.write(text.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())

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
            gap.reason,
        )


class GapWatch:
    """Notices, look by look, what the streams lost since the last one."""

    def __init__(self, began_ns: int) -> None:
        self._looked_ns = began_ns
        self._seen_gaps = dict.fromkeys(StreamName, 0)
        self._counted = dict.fromkeys(StreamName, (0, 0))

    def look(
        self, healths: Mapping[StreamName, StreamHealth], now_ns: int, *, ending: bool = False
    ) -> list[RecordedGap]:
        """New gaps that are over, and events dropped or rejected since the last look.

        At the end of the capture a gap that still lasts is over too.
        """
        found = [gap for health in healths.values() for gap in self._gaps_of(health, now_ns, ending=ending)]
        found += [gap for health in healths.values() for gap in self._losses_of(health, now_ns)]
        self._looked_ns = now_ns
        return found

    def _gaps_of(self, health: StreamHealth, now_ns: int, *, ending: bool) -> list[RecordedGap]:
        unseen = health.gap_count - self._seen_gaps[health.name]
        fresh = []
        for gap in health.gaps[-unseen:] if unseen else ():
            if gap.until is None and not ending:
                break
            until_ns = now_ns if gap.until is None else epoch_nanoseconds(gap.until)
            fresh.append(
                RecordedGap(health.name, epoch_nanoseconds(gap.since) or 0, until_ns or now_ns, gap.reason)
            )
            self._seen_gaps[health.name] += 1
        return fresh

    def _losses_of(self, health: StreamHealth, now_ns: int) -> list[RecordedGap]:
        (dropped, rejected), now = self._counted[health.name], (health.dropped, health.rejected)
        self._counted[health.name] = now
        losses = []
        if now[0] > dropped:
            reason = "dropped: the queue was full"
            losses.append(RecordedGap(health.name, self._looked_ns, now_ns, reason, now[0] - dropped))
        if now[1] > rejected:
            reason = f"rejected: {health.last_rejections[-1] if health.last_rejections else 'unreadable'}"
            losses.append(RecordedGap(health.name, self._looked_ns, now_ns, reason, now[1] - rejected))
        return losses


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


def ledger_rows(root: Path) -> Iterator[LedgerRow]:
    """What is written in a root's ledger, day by day; a row that a kill left unfinished is left out."""
    for path in sorted((root / FOLDER).glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if None not in row.values() and None not in row:
                    yield _read(row)


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
