"""Keep every event of the streams in files that no crash, full disk or second process can ruin.

    <root>/<kind>/<dataset>/<timeframe>/<SYMBOL>/<day>.csv.gz

with kind stocks, options, crypto, books or news, and as datasets quotes, trades, corrections, cancels, statuses,
limit_bands and articles (timeframe tick), bars and updated_bars (1Min), daily_bars (1Day), book_updates (tick) and
book_snapshots_N (sampled). The day is New York's, that of a book by UTC. What the parts promise is said where they are:
columns and their texts in `intraday.rows`, the gzip members in `intraday.members`, names in `intraday.layout`, what
stands beside a file in `intraday.meta`.

What can be lost. A killed process loses the rows that were not flushed: those of the last `flush_seconds`. Power loss
takes at most what was written since the last sync, `sync_seconds` ago. A disk that takes no more loses nothing until
`buffer_bytes` of memory are full; then the newest rows are dropped and counted, and the gap is noted beside the file.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import chain
from math import inf
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from options_helper.clock import utc_now
from options_helper.data.intraday.files import Disk, Displaced, MemberFile
from options_helper.data.intraday.finalize import FinalizeReport, finalize_part
from options_helper.data.intraday.frames import exchange_or_receipt_ns, read_frame
from options_helper.data.intraday.layout import (
    Kind,
    PartFile,
    dataset_named,
    find_parts,
    kind_named,
    missing_parts,
    partition_day,
    symbols,
)
from options_helper.data.intraday.locking import RootLock, writer_of
from options_helper.data.intraday.meta import Session, load_meta, require_known_schema, save_meta
from options_helper.data.intraday.recording import (
    KindCounts,
    Recording,
    StoreCounts,
    StorePolicy,
)
from options_helper.data.intraday.repair import examine
from options_helper.data.intraday.restore import restore_from_copy
from options_helper.data.intraday.rows import Storable
from options_helper.data.intraday.verify_parts import PartReport, verify_parts
from options_helper.errors import ConfigError, StoreError
from options_helper.model.gaps import Gap
from options_helper.model.instants import epoch_nanoseconds

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# What was made so shortly before a day's end may be received on the next, where books are kept by receipt.
_LATE: Final = timedelta(hours=1)

__all__ = [
    "FinalizeReport",
    "IntradayStore",
    "KindCounts",
    "PartReport",
    "RepairReport",
    "StoreCounts",
    "StorePolicy",
]


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What was mended in one file, and where the bytes that were cut are kept."""

    part: PartFile
    rows: int
    cut_bytes: int = 0
    kept: Path | None = None
    problem: str | None = None
    made_anew: bool = False  # from its Parquet copy


class IntradayStore:
    """The recorded files below one folder.

    Reading needs no lock and meets a writer at work without harm: it sees whole members. Writing needs the lock of the
    folder, which `acquire` or the first `append` takes; a second writer gets a StoreError that names the first, at
    once. `append`, `tick`, `flush`, `note_gap`, `seal` and `close` belong to one thread; `counts` may be read by any.

    `clock` counts seconds and only ever goes on; `now` tells the time for lock, sessions and names of torn files. Once
    it is `past_deadline`, no further file is written: what waits then is lost at the end, and counted.
    """

    def __init__(
        self,
        root: Path,
        policy: StorePolicy | None = None,
        *,
        session_id: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
        disk: Disk | None = None,
        past_deadline: Callable[[], bool] = lambda: False,
    ) -> None:
        self.root = Path(root)
        self._policy = policy or StorePolicy()
        self._session_id = session_id
        self._clock = clock
        self._now = now
        self._disk = disk or Disk()
        self._past_deadline = past_deadline
        self._lock = RootLock(self.root)
        self._displaced: list[Displaced] = []
        self._recording: Recording | None = None
        self._final_counts: StoreCounts | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def acquire(self) -> None:
        """Become the writer; StoreError when another one is at work or the disk is nearly full. Harmless twice."""
        self._writer()

    def append(self, kind: Kind, events: Sequence[Storable]) -> None:
        """Keep events as they were decoded, with their receipt stamped; nothing is left out, merged or rounded.

        They are in a file `flush_rows` events or `flush_seconds` later, the latter by `tick`. Never waits for room:
        what cannot be kept is in `counts` as lost.
        """
        self._writer().append(kind, events)

    def tick(self) -> None:
        """Do what time brings: flush by age, try again, sync. The writing thread calls it a few times a second."""
        if self._recording is not None:
            self._recording.tick()

    def flush(self) -> None:
        """Write every row that waits; what the disk refuses goes on waiting."""
        if self._recording is not None:
            self._recording.flush()

    @property
    def refused_since_ns(self) -> int | None:
        """When the oldest row was received that the disk has refused so far; None while it takes everything."""
        return None if self._recording is None else self._recording.refused_since_ns

    def look_for_files(self) -> None:
        """Notice now, and not within some seconds, files that are no longer where they were."""
        if self._recording is not None:
            self._recording.look_for_files()

    def keep_folder(self) -> None:
        """Make sure that the folder's name still is the folder that was locked, or lock the one that is there now.

        OSError when another recorder has it: nothing may be written under the name then.
        """
        if not self._lock.keep(self._now()):
            self._displaced.append(Displaced(self.root, "removed or moved", 0))

    def take_displaced(self) -> list[Displaced]:
        """Files that were deleted, moved or replaced while they were written, since the last time this was asked."""
        found, self._displaced = self._displaced, []
        return found

    def note_gap(self, gap: Gap) -> None:
        """Note a stretch without events, once it is over, beside the files of its stream, days and symbols."""
        self._writer().note_gap(gap)

    def counts(self) -> StoreCounts:
        """What became of the events that this object was given; after `close` they are final."""
        if self._recording is not None:
            return self._recording.counts()
        return self._final_counts or StoreCounts(kinds={})

    def settle(self) -> None:
        """Write every row that waits for the last time; what the disk refuses now is lost, and counted so."""
        if self._recording is not None:
            self._recording.settle()

    def close(self) -> None:
        """Settle, sync and close everything and release the lock."""
        try:
            if self._recording is not None:
                self._recording.close()
        finally:
            if self._recording is not None:
                # In this order, because another thread may ask for the counts meanwhile.
                self._final_counts = self._recording.counts()
                self._recording = None
            self._lock.release()

    @contextmanager
    def resuming(
        self,
        session: Session,
        policy: StorePolicy,
        *,
        clock: Callable[[], float],
        past_deadline: Callable[[], bool],
        earlier: AbstractSet[str] = frozenset(),
    ) -> Iterator[Recording]:
        """A recording for a session that was cut off; it is to be given all its events again.

        Only what is in no file is written, behind what is there, in the members that the session would have written.
        Rows that cannot be put in order any more, because another session has written since, are counted as lost.
        `earlier` are sessions that are known to have been before it. For the writer, before it appends anything itself.
        """
        self._writer()
        recording = Recording(
            self.root,
            replace(policy, idle_seconds=inf, look_seconds=inf, min_free_bytes=self._policy.min_free_bytes),
            session,
            clock=clock,
            now=self._now,
            disk=self._disk,
            past_deadline=past_deadline,
            keep_folder=self.keep_folder,
            displaced=self._note_displaced,
            resumes=True,
            earlier=earlier,
        )
        try:
            yield recording
        finally:
            recording.close()

    def read(
        self,
        kind: str,
        dataset: str,
        symbol: str,
        *,
        day: date | str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        """The flushed rows of one symbol, in the order in which they were received.

        Of one day, or from `start` up to but without `end`, by exchange time (by receipt where there is none).
        For the types of the columns see `intraday.frames.read_frame`. ConfigError for a time without a zone.
        """
        wanted = date.fromisoformat(day) if isinstance(day, str) else day
        since_ns, until_ns = _nanoseconds("start", start), _nanoseconds("end", end)
        places = {"kind": kind, "dataset": dataset, "symbol": symbol}
        there = chain(
            find_parts(self.root, **places, day=wanted), missing_parts(self.root, **places, day=wanted)
        )
        found = [
            part
            for part in sorted(there, key=lambda part: (part.key.day, part.part))
            if (start is None or part.key.day >= partition_day(kind, start))
            and (end is None or part.key.day <= partition_day(kind, end + _LATE))
        ]
        if not found:
            self._say_what_there_is(kind, dataset, symbol)
        frame = read_frame(found, dataset_named(dataset))
        if since_ns is None and until_ns is None:
            return frame
        moments = exchange_or_receipt_ns(frame)
        wanted_rows = moments.notna()
        if since_ns is not None:
            wanted_rows &= moments >= since_ns
        if until_ns is not None:
            wanted_rows &= moments < until_ns
        return frame[wanted_rows].reset_index(drop=True)

    def _say_what_there_is(self, kind: str, dataset: str, symbol: str) -> None:
        """Nothing of it is recorded, which may be a matter of spelling; an empty frame alone would not say so."""
        days = self.list_days(kind, dataset, symbol)
        if days:
            log.warning("%s %s of %s are recorded of %s to %s, and not of the time asked for",
                        kind, dataset, symbol, days[0], days[-1])  # fmt: skip
            return
        close = [one for one in self.list_symbols(kind, dataset) if _letters(one) == _letters(symbol)]
        hint = (
            f" Is it {' or '.join(close)}?"
            if close
            else f" `list_symbols({kind!r}, {dataset!r})` says of which."
        )
        log.warning("No %s %s of %r are recorded in %s.%s", kind, dataset, symbol, self.root, hint)

    def list_symbols(self, kind: str, dataset: str) -> tuple[str, ...]:
        """The symbols that have a file, in order."""
        return tuple(symbols(self.root, kind_named(kind), dataset_named(dataset)))

    def list_days(self, kind: str, dataset: str, symbol: str) -> tuple[date, ...]:
        """The days that have a file, in order."""
        found = find_parts(self.root, kind=kind, dataset=dataset, symbol=symbol)
        return tuple(dict.fromkeys(part.key.day for part in found))

    def verify(
        self,
        *,
        kind: str | None = None,
        dataset: str | None = None,
        symbol: str | None = None,
        day: date | None = None,
        cut_off: AbstractSet[str] = frozenset(),
    ) -> Iterator[PartReport]:
        """Look at every byte and row of the files that fit, and say of each what is wrong; changes nothing.

        While a recorder is at work, an unfinished last member is none of its faults; nor is it where a session that is
        `cut_off`, because it was killed, wrote last: the next writer mends that.
        """
        found = find_parts(self.root, kind=kind, dataset=dataset, symbol=symbol, day=day)
        return verify_parts(found, being_written=writer_of(self.root) is not None, cut_off=cut_off)

    def repair(
        self,
        *,
        kind: str | None = None,
        dataset: str | None = None,
        symbol: str | None = None,
        day: date | None = None,
    ) -> tuple[RepairReport, ...]:
        """Cut what is damaged out of the files that fit, and bring what stands beside them up to date.

        A damaged or missing file whose Parquet copy is whole is made anew from that. Of others the cut bytes are kept,
        and every whole member stays. Files that a recorder has open are left alone, and said to be.
        """
        found = chain(
            find_parts(self.root, kind=kind, dataset=dataset, symbol=symbol, day=day),
            missing_parts(self.root, kind=kind, dataset=dataset, symbol=symbol, day=day),
        )
        return tuple([self._repaired(part) for part in found])

    def seal(
        self,
        day: date,
        *,
        kind: str | None = None,
        dataset: str | None = None,
        symbol: str | None = None,
        parquet: bool = False,
    ) -> tuple[FinalizeReport, ...]:
        """Make the files of a day that is over small and final: one gzip member of level 6, and Parquet if wanted.

        Each new file is compared with the old one before it takes its place; the CSV stays beside the Parquet copy.
        Events of that day that come later go into a further file. Needs no lock on the folder, so that a day can be
        sealed by another process while the next one is recorded.
        """
        if self._recording is not None:
            self._recording.finish_day(day)
        found = find_parts(self.root, kind=kind, dataset=dataset, symbol=symbol, day=day)
        return tuple(
            [finalize_part(part, parquet=parquet, at=self._now(), disk=self._disk) for part in found]
        )

    def _writer(self) -> Recording:
        if self._recording is not None:
            return self._recording
        if self._final_counts is not None:
            raise ValueError("this store is closed")
        now = self._now()
        self._lock.acquire(now)
        try:
            self._require_free_space()
            self._recording = self._open_recording(now)
        except BaseException:
            self._lock.release()
            raise
        return self._recording

    def _open_recording(self, now: datetime) -> Recording:
        session = Session(
            self._session_id or f"{now:%Y%m%dT%H%M%SZ}-{os.getpid()}",
            os.getpid(),
            socket.gethostname(),
            epoch_nanoseconds(now) or 0,
        )
        return Recording(
            self.root,
            self._policy,
            session,
            clock=self._clock,
            now=self._now,
            disk=self._disk,
            past_deadline=self._past_deadline,
            keep_folder=self.keep_folder,
            displaced=self._note_displaced,
        )

    def _note_displaced(self, file: Displaced) -> None:
        log.error("%s was %s while it was written; %d rows of it are gone", file.path, file.what, file.rows)
        self._displaced.append(file)

    def _require_free_space(self) -> None:
        free, least = self._disk.free_bytes(self.root), self._policy.min_free_bytes
        if free < least:
            raise StoreError(
                f"Only {free >> 20} MB are free for {self.root}, and recording needs {least >> 20} MB at least. "
                "Make room, or record into another folder."
            )

    def _repaired(self, part: PartFile) -> RepairReport:
        file = MemberFile(part.path, self._disk)
        try:
            require_known_schema(part)
            if (restored := restore_from_copy(part, self._now(), self._disk)) is not None:
                return RepairReport(
                    part, restored.rows, restored.damaged_bytes, restored.kept, made_anew=True
                )
            if not part.path.exists():
                return RepairReport(part, 0, problem=f"{part.path} is gone, and no whole copy of it is there")
            file.open()
            state = examine(file, part, self._now(), check_bytes=None)
            # A sealed file that had to be mended is no longer the one that was sealed.
            meta = replace(state.meta, sealed=False, sha256={}) if state.cut_bytes else state.meta
            if meta != load_meta(part):
                save_meta(part, meta, durable=True)
        except StoreError as error:
            return RepairReport(part, 0, problem=str(error))
        except OSError as error:
            return RepairReport(part, 0, problem=f"{part.path}: {error.strerror or error}")
        except Exception as error:
            # One file must not keep the others from being mended.
            log.exception("%s is not mended", part.path)
            return RepairReport(part, 0, problem=f"{part.path}: {type(error).__name__}: {error}")
        finally:
            file.close()
        return RepairReport(part, meta.rows, state.cut_bytes, state.kept)


def _letters(symbol: str) -> str:
    return "".join(sign for sign in symbol.upper() if sign.isalnum())


def _nanoseconds(name: str, moment: datetime | None) -> int | None:
    if moment is not None and moment.tzinfo is None:
        raise ConfigError(f"The {name} {moment} has no time zone; say which, for instance with tzinfo=UTC.")
    return epoch_nanoseconds(moment)
