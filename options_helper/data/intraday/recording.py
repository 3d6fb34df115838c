"""Bring rows from the hot path to their files: when to flush, sync and retry, and what to do when a disk is full."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final

from options_helper.data.atomic_file import sync_folder
from options_helper.data.intraday.files import Disk, Displaced
from options_helper.data.intraday.layout import KINDS, Kind, PartitionKey, kinds_of, partition_day
from options_helper.data.intraday.meta import Session
from options_helper.data.intraday.pace import FLUSH_ROWS, FLUSH_SECONDS
from options_helper.data.intraday.rows import DATASET_OF, RowWriter, Storable
from options_helper.data.intraday.writing import Counters, Partition, WriteContext
from options_helper.errors import StoreError
from options_helper.model.gaps import Gap
from options_helper.model.instants import utc_datetime

log = logging.getLogger(__name__)

# From so many files on, one call for the whole file system is quicker than one for each.
_MANY_FILES: Final = 32
_RETIRE_EVERY_SECONDS: Final = 60.0
_MOST_OPEN: Final = 1_024
# What keeps a file from being opened to be synced: the disk was not asked then, and has failed nothing.
_NOT_ASKED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def _open_files() -> int:
    """Half of what the process may open: who writes 250 files in turn and keeps 128 open opens each one each time."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return _MOST_OPEN
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_OPEN if allowed == resource.RLIM_INFINITY else max(1, min(allowed // 2, _MOST_OPEN))


@dataclass(frozen=True, slots=True)
class StorePolicy:
    """When a store writes, syncs, retries and gives up."""

    flush_rows: int = FLUSH_ROWS  # a partition is written when it has so many rows,
    flush_seconds: float = FLUSH_SECONDS  # or when its oldest row has waited for so long
    sync_seconds: float = 5.0
    look_seconds: float = 5.0  # how often it is looked whether the files are still where they were
    meta_seconds: float = 60.0  # how old what stands beside a file may become while rows come
    idle_seconds: float = 900.0  # a partition of a day that is over is left after so long without rows
    buffer_bytes: int = 128 << 20  # memory for rows that the disk does not take
    open_files: int = field(default_factory=_open_files)
    min_free_bytes: int = 64 << 20  # with less than this the disk counts as full, so that it never is
    retry_seconds: float = 0.5  # after a refusal; doubles with each one up to
    retry_cap_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class KindCounts:
    """What became of the events of one kind: appended = written + buffered + lost."""

    appended: int = 0
    written: int = 0
    buffered: int = 0
    lost: int = 0
    bytes_written: int = 0
    flushes: int = 0

    @property
    def accounted(self) -> bool:
        """Whether every event is somewhere."""
        return self.appended == self.written + self.buffered + self.lost


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """A copy of the counters of one recording; `problem` says in a sentence what keeps rows from the disk."""

    kinds: Mapping[str, KindCounts]
    partitions: int = 0
    last_flush_at: datetime | None = None
    sync_failures: int = 0
    problem: str | None = None
    sync_waits: bool = False  # for open files or memory: the disk was not asked yet for all that is due

    @property
    def total(self) -> KindCounts:
        """All kinds together."""
        return self.of(self.kinds)

    def of(self, kinds: Iterable[str]) -> KindCounts:
        """These kinds together."""
        found = [self.kinds[kind] for kind in kinds if kind in self.kinds]
        return KindCounts(
            appended=sum(kind.appended for kind in found),
            written=sum(kind.written for kind in found),
            buffered=sum(kind.buffered for kind in found),
            lost=sum(kind.lost for kind in found),
            bytes_written=sum(kind.bytes_written for kind in found),
            flushes=sum(kind.flushes for kind in found),
        )


# The partitions of one kind, type of event and day.
_BySymbol = dict[str, Partition]


class Recording:
    """The partitions that one process writes; for one thread, but `counts` may be read by any.

    The holder of the root's lock makes it. `clock` counts seconds and only ever goes on; `now` tells the time. Once
    it is `past_deadline`, no further file is begun: what waits then is lost at the end, and counted. `keep_folder`
    raises OSError where nothing may be written under the root's name, and `displaced` is told of files that left their
    place. With `resumes`,
    `session` was here before and was cut off: it is given all its events again, and only those that are in no file are
    written.
    """

    def __init__(
        self,
        root: Path,
        policy: StorePolicy,
        session: Session,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        disk: Disk,
        past_deadline: Callable[[], bool] = lambda: False,
        keep_folder: Callable[[], None] = lambda: None,
        displaced: Callable[[Displaced], None] = lambda _: None,
        resumes: bool = False,
        earlier: AbstractSet[str] = frozenset(),
    ) -> None:
        self._root = root
        self._policy = policy
        self._clock = clock
        self._now = now
        self._disk = disk
        self._past_deadline = past_deadline
        self._keep_folder = keep_folder
        self._context = WriteContext(
            root, disk, session, now, self._folders_changed, self._many_are_new, displaced, resumes, earlier
        )
        self._rows = RowWriter()
        self._counters: dict[Kind, Counters] = {kind: Counters() for kind in KINDS}
        self._days: dict[tuple[Kind, type, date], _BySymbol] = {}
        self._newest_day = date.min
        self._gaps: list[Gap] = []
        # Each in the order in which its partitions came to be in it, two of them with the time of that.
        self._with_lines: dict[Partition, None] = {}
        self._refused: dict[Partition, None] = {}
        self._open: dict[Partition, None] = {}
        self._unsynced: dict[Partition, float] = {}
        self._meta_since: dict[Partition, float] = {}
        self._unsynced_folders: dict[Path, None] = {}
        self._looked_at = self._retired_at = clock()
        self._last_flush_at: datetime | None = None
        self._sync_failures = 0
        self._sync_waits = False
        self._problem: str | None = None
        self._dropping = False
        self._closing = False
        self._place_lost = False

    def append(self, kind: Kind, events: Sequence[Storable]) -> None:
        """Take decoded and stamped events; writes the partitions that have enough rows now."""
        counters = self._counters[kind]
        counters.appended += len(events)
        now = self._clock()
        if self._is_full() and not self._made_room(now):
            self._drop(kind, events)
            return
        counters.lines += len(events)
        # Neighbours mostly are of one type.
        for event_type, run in groupby(events, type):
            self._append_run(kind, event_type, run, now)

    def tick(self) -> None:
        """Do what time brings: flush by age, try again, sync, write what is known beside the files. Call it often."""
        now = self._clock()
        if self._looked_at + self._policy.look_seconds <= now:
            self.look_for_files()
        while self._with_lines:
            oldest = next(iter(self._with_lines))
            if oldest.lines_since + self._policy.flush_seconds > now or self._past_deadline():
                break
            self._flush(oldest, now)
        for partition in [one for one in self._refused if one.retry_at <= now]:
            self._flush(partition, now)
        self._sync_due(now)
        for partition in [
            one for one, at in self._meta_since.items() if at + self._policy.meta_seconds <= now
        ]:
            self._save_meta(partition, now)
        if self._retired_at + _RETIRE_EVERY_SECONDS <= now:
            self._retired_at = now
            self._retire_idle(now)

    @property
    def refused_since_ns(self) -> int | None:
        """When the oldest row was received that the disk has refused so far; None while it takes everything."""
        times = (partition.waits_since_ns for partition in self._refused)
        return min((at_ns for at_ns in times if at_ns is not None), default=None)

    def look_for_files(self) -> None:
        """Notice files that are no longer where they were, also those that no row comes for; they are begun anew."""
        self._looked_at = self._clock()
        try:
            self._keep_folder()
            for partition in self._partitions():
                partition.left_its_place()
        except OSError as error:
            log.warning("The files cannot be looked for: %s", error)

    def flush(self) -> None:
        """Write every row that waits, also where the next attempt is not due yet."""
        now = self._clock()
        for partition in [one for one in self._partitions() if one.waiting]:
            if self._past_deadline():
                return
            partition.retry_at = now
            self._flush(partition, now)

    def lose_place(self) -> None:
        """Of a session that is resumed, some events are not given again: its next rows are looked for in the files."""
        self.flush()
        self._place_lost = True
        for partition in self._partitions():
            partition.must_find_place = True

    def note_gap(self, gap: Gap) -> None:
        """Note a stretch without events, once it is over, beside the files of its stream, days and symbols."""
        self._gaps.append(gap)
        now = self._clock()
        for partition in self._partitions():
            if partition.key.kind in kinds_of(gap.stream):
                self._meta_since.setdefault(partition, now)

    def finish_day(self, day: date) -> None:
        """Leave the files of one day complete and closed.

        StoreError when the disk does not take their last rows, and where one cannot be opened to be synced now. Nothing
        is lost by it: the rows are kept, a file that is not synced stays open, and the next call goes on.
        """
        now = self._clock()
        for partition in [one for one in self._partitions() if one.key.day == day]:
            partition.retry_at = now
            self._flush(partition, now)
            if partition.waiting:
                raise StoreError(
                    f"{partition.waiting} rows of {partition.key.symbol} on {day} are not in their file yet: "
                    f"{self._problem}. Make room on the disk, then seal the day."
                )
            self._retire(partition)
            if partition in self._unsynced:
                raise StoreError(
                    f"The file of {partition.key.symbol} on {day} cannot be synced now. Try again in a moment."
                )

    def settle(self) -> int:
        """Write every row that waits for the last time; how many were lost, for want of room or of time."""
        # What was kept free is for this.
        self._closing = True
        self.flush()
        lost = sum(partition.count_lost() for partition in self._partitions())
        if lost:
            log.error("%d rows are not in their files: %s", lost, self._problem or "there was no time left")
        return lost

    def close(self) -> int:
        """Write, sync and close everything; returns how many rows were lost now, for want of room or of time."""
        lost = self.settle()
        self._sync(list(self._unsynced))
        partitions = self._partitions()
        for partition in partitions:
            self._save_meta(partition, self._clock(), durable=len(partitions) <= _MANY_FILES)
            partition.close_file()
        if len(partitions) > _MANY_FILES:
            self._sync_all()
        for memory in (
            self._days,
            self._with_lines,
            self._refused,
            self._open,
            self._unsynced,
            self._meta_since,
        ):
            memory.clear()
        return lost

    def counts(self) -> StoreCounts:
        """What became of the events so far. Read by another thread, they may be amid one call of `append`."""
        kinds: dict[str, KindCounts] = {
            kind: KindCounts(
                counters.appended,
                counters.written,
                counters.buffered,
                counters.lost,
                counters.written_bytes,
                counters.flushes,
            )
            for kind, counters in self._counters.items()
        }
        partitions = sum(len(by_symbol) for by_symbol in list(self._days.values()))
        return StoreCounts(
            kinds, partitions, self._last_flush_at, self._sync_failures, self._problem, self._sync_waits
        )

    def _append_run(self, kind: Kind, event_type: type, events: Iterable[Storable], now: float) -> None:
        row, flush_rows = self._rows.of_type(event_type), self._policy.flush_rows
        by_symbol: _BySymbol = {}
        run_day: date | None = None
        for event in events:
            day, line = row(event)
            if day is not run_day:
                by_symbol, run_day = self._of_day(kind, event_type, day), day
            partition = by_symbol.get(event.symbol) or self._begin(
                by_symbol, kind, event_type, event.symbol, day
            )
            lines = partition.lines
            if not lines:
                partition.lines_since = now
                self._with_lines[partition] = None
            lines.append(line)
            if len(lines) >= flush_rows:
                self._flush(partition, now)

    def _partitions(self) -> list[Partition]:
        return [partition for by_symbol in self._days.values() for partition in by_symbol.values()]

    def _of_day(self, kind: Kind, event_type: type, day: date) -> _BySymbol:
        self._newest_day = max(self._newest_day, day)
        return self._days.setdefault((kind, event_type, day), {})

    def _begin(self, by_symbol: _BySymbol, kind: Kind, event_type: type, symbol: str, day: date) -> Partition:
        key = PartitionKey(kind, DATASET_OF[event_type], symbol, day)
        by_symbol[symbol] = partition = Partition(key, self._context, self._counters[kind])
        partition.must_find_place = self._place_lost
        return partition

    def _flush(self, partition: Partition, now: float) -> None:
        self._with_lines.pop(partition, None)
        if partition.retry_at > now:
            partition.pack()
            return
        written = self._counters[partition.key.kind].written
        try:
            self._keep_folder()
            self._require_free_space()
            partition.write()
        except OSError as error:
            self._was_refused(partition, error, now)
        else:
            self._was_taken(partition)
        if self._counters[partition.key.kind].written > written:
            self._last_flush_at = self._now()
            self._unsynced.setdefault(partition, now)
            self._meta_since.setdefault(partition, now)

    def _require_free_space(self) -> None:
        least = self._policy.min_free_bytes
        if not self._closing and self._disk.free_bytes(self._root) < least:
            raise OSError(errno.ENOSPC, f"less than {least >> 20} MB are free", str(self._root))

    def _was_taken(self, partition: Partition) -> None:
        self._open.pop(partition, None)
        self._open[partition] = None
        if len(self._open) > self._policy.open_files:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.close_file()
        partition.retry_delay = partition.retry_at = 0.0
        if partition in self._refused:
            del self._refused[partition]
            if not self._refused:
                log.warning("The disk takes rows again; %d were lost meanwhile", self.counts().total.lost)
                self._problem, self._dropping = None, False

    def _was_refused(self, partition: Partition, error: OSError, now: float) -> None:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            # Files of ours may well be the reason.
            self._close_files()
        # The file it was about may be replaced or gone; nothing is kept open that may be in the way.
        partition.close_file()
        self._open.pop(partition, None)
        delay = partition.retry_delay * 2 or self._policy.retry_seconds
        partition.retry_delay = min(delay, self._policy.retry_cap_seconds)
        partition.retry_at = now + partition.retry_delay
        self._problem = f"{error.filename or partition.key.folder(self._root)}: {error.strerror or error}"
        if not self._refused:
            log.error("Rows cannot be written and wait in memory: %s", self._problem)
        self._refused[partition] = None
        partition.pack()

    def _is_full(self) -> bool:
        held = sum(counters.buffered_bytes for counters in self._counters.values())
        return held >= self._policy.buffer_bytes

    def _made_room(self, now: float) -> bool:
        """Write, or at least compress, everything that waits; whether there is room now."""
        for partition in list(self._with_lines):
            self._flush(partition, now)
        return not self._is_full()

    def _drop(self, kind: Kind, events: Sequence[Storable]) -> None:
        """Lose these, as the newest, and count them; what waits is kept."""
        if not self._dropping:
            self._dropping = True
            log.error("The buffer is full, so new rows are lost from now on: %s", self._problem)
        self._counters[kind].lost += len(events)
        for event in events:
            day, _ = self._rows.of_type(type(event))(event)
            by_symbol = self._of_day(kind, type(event), day)
            partition = by_symbol.get(event.symbol) or self._begin(
                by_symbol, kind, type(event), event.symbol, day
            )
            partition.lose(event.received_ns)
            self._meta_since.setdefault(partition, self._clock())

    def _folders_changed(self, folders: Iterable[Path]) -> None:
        self._unsynced_folders.update(dict.fromkeys(folders))

    def _many_are_new(self) -> bool:
        # At the open, a thousand contracts begin within a second; a slow disk syncs a hundred files in that time.
        return len(self._unsynced_folders) > _MANY_FILES

    def _sync_due(self, now: float) -> None:
        due = [one for one, since in self._unsynced.items() if since + self._policy.sync_seconds <= now]
        self._sync(due)
        waits = any(one in self._unsynced for one in due)
        if waits and not self._sync_waits:
            log.warning("Files cannot be opened to be synced now; it is tried again")
        self._sync_waits = waits

    def _sync(self, due: Collection[Partition]) -> None:
        """Make what these wrote, and the names of new files, last through a loss of power."""
        if not due:
            return
        if len(due) + len(self._unsynced_folders) > _MANY_FILES and self._sync_all():
            return
        synced = [partition for partition in due if self._attempt_sync(partition.sync)]
        for folder in list(self._unsynced_folders):
            # It may be deleted, and its files are missed where they are looked for.
            if not folder.is_dir() or self._attempt_sync(partial(sync_folder, folder)):
                del self._unsynced_folders[folder]
        if not self._unsynced_folders:  # a file whose name may not last is not synced yet
            for partition in synced:
                self._unsynced.pop(partition, None)

    def _sync_all(self) -> bool:
        done = self._attempt_sync(partial(self._disk.sync_all, self._root))
        if done:
            self._unsynced.clear()
            self._unsynced_folders.clear()
        return done

    def _attempt_sync(self, sync: Callable[[], object]) -> bool:
        """Whether the disk was asked; what it was not asked for waits for the next round, and counts if none comes."""
        try:
            return sync() is not False
        except OSError as error:
            if error.errno in _NOT_ASKED and not self._closing:
                return False
            # What the disk could not keep may be gone already; trying again would only say that all is well.
            self._sync_failures += 1
            log.error("What was written may not last through a loss of power: %s", error)  # noqa: TRY400
            return True

    def _save_meta(self, partition: Partition, now: float, *, durable: bool = False) -> None:
        self._meta_since.pop(partition, None)
        try:
            self._keep_folder()
            partition.save_meta(self._gaps_of(partition), durable=durable)
        except OSError as error:
            log.warning("What is known about %s is not saved: %s", partition.key.symbol, error)
            self._meta_since[partition] = now

    def _gaps_of(self, partition: Partition) -> list[Gap]:
        key = partition.key
        # As it will be read again: for which other symbols it was is not written beside each file.
        return [
            replace(gap, symbols=())
            for gap in self._gaps
            if key.kind in kinds_of(gap.stream)
            and (not gap.symbols or key.symbol in gap.symbols)
            and _touches(gap, key, partition.received_ns)
        ]

    def _close_files(self) -> None:
        for partition in self._open:
            partition.close_file()
        self._open.clear()

    def _retire_idle(self, now: float) -> None:
        before = now - self._policy.idle_seconds
        for partition in self._partitions():
            if (
                partition.key.day < self._newest_day
                and partition.lines_since <= before
                and not partition.waiting
            ):
                self._retire(partition)

    def _retire(self, partition: Partition) -> None:
        """Close a partition and forget it; the next event of its day would find the file again."""
        if partition in self._unsynced:
            self._sync([partition])
            if partition in self._unsynced:
                return
        self._save_meta(partition, self._clock())
        partition.close_file()
        for memory in (self._open, self._unsynced, self._meta_since):
            memory.pop(partition, None)
        for by_symbol in self._days.values():
            if by_symbol.get(partition.key.symbol) is partition:
                del by_symbol[partition.key.symbol]


def _touches(gap: Gap, key: PartitionKey, received_ns: tuple[int, int] | None) -> bool:
    """Whether it is of that day, or of the time in which the rows of that day came: a market is played on another day.

    A gap is of the computer's time, and a partition's day is the market's.
    """
    since = partition_day(key.kind, gap.since)
    until = None if gap.until is None else partition_day(key.kind, gap.until)
    first, last = (
        (key.day, key.day)
        if received_ns is None
        else (partition_day(key.kind, utc_datetime(at)) for at in received_ns)
    )
    return any(
        since <= late and (until is None or early <= until)
        for early, late in ((key.day, key.day), (first, last))
    )
