"""What each record of a journal does to the files: the same at a capture and at a rebuild, so the files are the same.

Everything a file depends on is in the records, the writer's looks at its clock among them; the store's own clock is
made of those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from options_helper.data.intraday.files import Disk
from options_helper.data.intraday.layout import Kind, PartitionKey
from options_helper.data.intraday.rows import DATASET_OF, RowWriter, Storable
from options_helper.data.intraday.scope import EVERYTHING, Scope
from options_helper.data.intraday_store import IntradayStore, StoreCounts, StorePolicy
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.data.recording.row_maker import RowMaker
from options_helper.data.recording.shares import WHOLE, IsShared, Share
from options_helper.data.streaming.state.live_state import StreamTally
from options_helper.model.instants import NANOSECONDS, utc_datetime
from options_helper.model.streams import PORTFOLIO_STREAMS, StreamId


class RecordClock:
    """Seconds that only ever go on, made of records alone: also where the computer's clock was set back."""

    def __init__(self) -> None:
        self.wall_ns = 0  # what the computer's clock said last
        self._observed_ns = 0
        self._elapsed_ns = 0

    def seconds(self) -> float:
        """How long it has run."""
        return self._elapsed_ns / NANOSECONDS

    def now(self) -> datetime:
        """The computer's time at the last record."""
        return utc_datetime(self.wall_ns)

    def observe(self, record: Record) -> None:
        """Go on to this record. Only the writer's own looks move the clock: frames were received before them."""
        self.wall_ns = record.received_ns
        if record.kind is RecordKind.TICK:
            self._elapsed_ns += max(0, record.received_ns - (self._observed_ns or record.received_ns))
            self._observed_ns = record.received_ns


class Appends(Protocol):
    """What takes rows."""

    def append(self, kind: Kind, events: Sequence[Storable], /) -> None:
        """Keep them."""


class _OfShare:
    """Passes on the events of some symbols."""

    def __init__(self, store: Appends, share: Share) -> None:
        self._store = store
        self._is_shared = IsShared(share)

    def append(self, kind: Kind, events: Sequence[Storable], /) -> None:
        """Keep those that are of the share."""
        if shared := [event for event in events if self._is_shared[event.symbol]]:
            self._store.append(kind, shared)


class _InScope:
    """Passes on the events of some symbols and days."""

    def __init__(self, store: Appends, scope: Scope) -> None:
        self._store = store
        self._scope = scope
        self._lines = RowWriter()

    def append(self, kind: Kind, events: Sequence[Storable], /) -> None:
        """Keep those that are meant."""

        def key(event: Storable) -> PartitionKey:
            day, _ = self._lines.of_type(type(event))(event)
            return PartitionKey(kind, DATASET_OF[type(event)], event.symbol, day)

        if wanted := [event for event in events if self._scope.holds(key(event))]:
            self._store.append(kind, wanted)


class Recorder:
    """Applies records to an `IntradayStore`, in order; for one thread.

    Once it is `past_deadline`, no further file is written: what waits then is lost at the end, and counted. Of a
    `scope` and a `share` of it, nothing else becomes rows.
    """

    def __init__(
        self,
        root: Path,
        session: str,
        policy: StorePolicy,
        *,
        scope: Scope = EVERYTHING,
        share: Share = WHOLE,
        now: Callable[[], datetime] | None = None,
        disk: Disk | None = None,
        past_deadline: Callable[[], bool] = lambda: False,
    ) -> None:
        self._clock = RecordClock()
        self.flush_seconds = policy.flush_seconds
        self.maker = RowMaker()
        self.tallies: dict[StreamId, StreamTally] = {name: StreamTally() for name in PORTFOLIO_STREAMS}
        self.store = IntradayStore(
            root,
            policy,
            session_id=session,
            clock=self._clock.seconds,
            now=now or self._clock.now,
            disk=disk,
            past_deadline=past_deadline,
        )
        in_scope: Appends = self.store if scope.is_everything else _InScope(self.store, scope)
        self._rows: Appends = in_scope if share == WHOLE else _OfShare(in_scope, share)

    def apply(self, record: Record) -> None:
        """Do what this record says; a frame's events are counted as applied or rejected."""
        self._clock.observe(record)
        tally = self.tallies.get(record.stream) or self.tallies.setdefault(record.stream, StreamTally())
        for kind, rows in self.maker.rows_of(record, tally):
            self._rows.append(kind, rows)
        match record.kind:
            case RecordKind.TICK:
                self.store.tick()
            case RecordKind.GAP:
                gap = record.gap
                # What is counted is in the loss log for the whole stream; each file would tell it as its own.
                if gap.lost is None:
                    self.store.note_gap(gap)
            case RecordKind.SESSION:
                self.store.acquire()
            case RecordKind.FRAME | RecordKind.BREAK | RecordKind.MARKET | RecordKind.END | RecordKind.BUS:
                pass  # rows keep the computer's time of receipt, and files know when they end

    @property
    def seconds(self) -> float:
        """How long it has run, by the clock that the records make."""
        return self._clock.seconds()

    def counts(self) -> StoreCounts:
        """What became of the rows."""
        return self.store.counts()

    def settle(self) -> None:
        """Write what waits, for the last time."""
        self.store.settle()

    def close(self) -> None:
        """Write what waits and give back the files and the lock."""
        self.store.close()
