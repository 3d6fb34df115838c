"""What a capture says of itself at one instant, and what of it was lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from options_helper.data.intraday_store import StoreCounts
from options_helper.model.announcement import MarketKind
from options_helper.model.market_hours import ToldSessions
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId
from options_helper.model.text import format_count


class CaptureState(StrEnum):
    """What the recorder is doing."""

    RECORDING = "recording"
    JOURNAL_ONLY = "journal only"  # rows are put off, nothing is lost
    DISK_REFUSES = "disk refuses"  # events wait in the queue
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class CaptureStatus:
    """Everything about a capture at one instant."""

    as_of: datetime
    state: CaptureState
    session: str
    started_at: datetime
    market: MarketKind
    streams: dict[StreamId, StreamHealth]
    store: StoreCounts
    put_off: int  # events that are in the journal and not in the files yet
    journal_bytes: int
    gaps: int
    problem: str | None = None
    given_up: int = 0  # of those that are put off: rows for which the disk had no room, or the end no time
    gone: int = 0  # events that were in the journal only, which was deleted before rows were made of them
    removed: int = 0  # rows that were written, in files that were deleted since, and in no journal
    running_seconds: float = 0.0  # however the computer's clock was set meanwhile
    replay_of: MarketKind | None = None  # whose market was recorded, of a replay that is not of Alpaca's
    completed: int = 0  # rows of earlier captures that were made from their journal
    absent_seconds: float = 0.0  # how long the process did not run: a computer asleep, or a process stopped
    clock_ahead_seconds: float = (
        0.0  # this computer's, of the market's time, as far as that is known and matters
    )
    owner: str | None = None  # who has the connections, in words, where that is another program
    unowned_seconds: float = (
        0.0  # how long no owner of the desk listened, of the stream that was without the longest
    )
    # Of which days the market's own calendar says otherwise than ours; a copy, which can travel to another process.
    told_sessions: ToldSessions = field(default_factory=dict)

    @property
    def market_time(self) -> datetime:
        """The market's time, by which its hours are judged; `as_of` is this computer's, as all of a recording."""
        return self.as_of - timedelta(seconds=self.clock_ahead_seconds)

    @property
    def accounted(self) -> bool:
        """The conservation law: every received event is applied, dropped, rejected or queued."""
        return all(health.accounted for health in self.streams.values())

    @property
    def lost(self) -> int:
        """Events that are in no file: dropped, unreadable, refused, left in memory at the end, or in a deleted file."""
        ledger = sum(health.dropped + health.rejected + health.missed for health in self.streams.values())
        if self.state is CaptureState.ENDED:
            ledger += sum(health.queued for health in self.streams.values()) - (self.put_off - self.given_up)
        else:
            ledger += self.gone
        return ledger + self.store.total.lost - self.given_up + self.removed

    @property
    def failed(self) -> tuple[StreamHealth, ...]:
        """The streams that are refused, or have given up."""
        return tuple(health for health in self.streams.values() if health.phase is Phase.FAILED)


def unsynced_words(failures: int, *, has_journal: bool) -> str | None:
    """That a disk failed so often to keep what was written into the files, as sentences; None where it never did."""
    if not failures:
        return None
    said = f"The disk failed {format_count(failures, 'time')} to keep what was written: rows may be missing."
    remedy = (
        "The next capture into this folder holds them against the journal."
        if has_journal
        else "Replace that disk."
    )
    return f"{said} {remedy}"
