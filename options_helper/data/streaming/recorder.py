"""What each record of a journal does to the files: the same at a capture and at a rebuild, so the files are the same.

Everything a file depends on is in the records, the writer's looks at its clock among them; the store's own clock is
the time of the last record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from options_helper.data.intraday.files import Disk
from options_helper.data.intraday_store import Gap, IntradayStore, StoreCounts, StorePolicy
from options_helper.data.journal import Record, RecordKind
from options_helper.data.streaming.events import NANOSECONDS, StreamName, decode_frame, stamp, utc_datetime
from options_helper.data.streaming.snapshot import StreamTally

KINDS: Final[dict[StreamName, Literal["stocks", "options"]]] = {
    StreamName.STOCKS: "stocks",
    StreamName.OPTIONS: "options",
}


@dataclass(frozen=True, slots=True)
class RecordedGap:
    """A stretch in which a stream could not hear, or events that found no room. Epoch nanoseconds."""

    stream: StreamName
    since_ns: int
    until_ns: int
    reason: str
    lost: int | None = None  # None: nobody can count what was not heard


class Recorder:
    """Applies records to an `IntradayStore`, in order; for one thread."""

    def __init__(
        self,
        root: Path,
        session: str,
        policy: StorePolicy,
        *,
        now: Callable[[], datetime] | None = None,
        disk: Disk | None = None,
    ) -> None:
        self._now_ns = 0
        self.tallies = {name: StreamTally() for name in StreamName}
        self.store = IntradayStore(
            root,
            policy,
            session_id=session,
            clock=lambda: self._now_ns / NANOSECONDS,
            now=now or (lambda: utc_datetime(self._now_ns)),
            disk=disk,
        )

    def apply(self, record: Record) -> None:
        """Do what this record says; a frame's events are counted as applied or rejected."""
        self._now_ns = max(self._now_ns, record.received_ns)
        match record.kind:
            case RecordKind.FRAME:
                self._keep(record)
            case RecordKind.TICK:
                self.store.tick()
            case RecordKind.GAP:
                self._note(record)
            case RecordKind.SESSION:
                self.store.acquire()
            case RecordKind.MARKET | RecordKind.END:
                pass  # rows keep the computer's time of receipt, and files know when they end

    def _keep(self, record: Record) -> None:
        tally = self.tallies[record.stream]
        events, rejected = decode_frame(record.payload)
        for event in events:
            stamp(event, record.received_ns)
        if events:
            self.store.append(KINDS[record.stream], events)
            tally.applied += len(events)
            tally.last_event_ns = record.received_ns
        if rejected:
            tally.rejected += len(rejected)
            tally.last_rejections.extend(rejected)

    def _note(self, record: Record) -> None:
        gap = RecordedGap(**record.facts)
        kind = KINDS[StreamName(gap.stream)]
        self.store.note_gap(kind, Gap(gap.since_ns, gap.until_ns, gap.reason, gap.lost))

    def counts(self) -> StoreCounts:
        """What became of the rows."""
        return self.store.counts()

    def close(self) -> None:
        """Write what waits and give back the files and the lock."""
        self.store.close()
