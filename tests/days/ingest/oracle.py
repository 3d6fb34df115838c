"""What must be true of an ingestion: each window stored once and whole, nothing asked too soon, no minute exceeded."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from options_helper.errors import RestError
from options_helper.ingest.course import CLOCK_STEP, Task
from options_helper.ingest.doubtful_sessions import BELIEVED_AFTER
from options_helper.ingest.jobs import Continuous, Job, JobName, Window
from options_helper.ingest.selection import OF_A_SESSION
from options_helper.ingest.store import FOLDER, LEDGER, Entry, IngestStore
from tests.days.clocks import NS

if TYPE_CHECKING:
    from tests.days.stage import Stage

PER_MINUTE: Final = 20
# The shortest pause after a failure.
PACE_SECONDS: Final = 15.0
# Requests are counted by twentieths of a second.
TICK: Final = 0.06
LEFT_SECONDS: Final = timedelta(seconds=400)
# So long after the clock was set, what is due by it is stored.
SETTLED_SECONDS: Final = 1_500.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Key = tuple[JobName, str]


class IngestOracle:
    """Hears what is sent, asked and stored."""

    def __init__(self, stage: Stage, root: Path, jobs: Sequence[Job]) -> None:
        self._stage, self._root, self._jobs = stage, root, {job.name: job for job in jobs}
        self._broken: str | None = None
        self.is_over = False
        self._sent: deque[float] = deque()
        self._silent_until = 0.0
        self._not_before: dict[Key, float] = {}  # in this life
        self._offset_ns = stage.clocks.offset_ns
        self.is_clock_set = False
        self._set_at = -math.inf
        # Each window that was stored: when it was due, when that was in true time, and by the program's clock.
        self._stored: list[tuple[Window, JobName, str, datetime, datetime]] = []

    def check(self) -> str | None:
        """The first thing that is not as it must be."""
        return self._broken

    def _breaks(self, sentence: str) -> None:
        if self._broken is None and not self.is_over:
            self._broken = sentence
            self._stage.check(sampled=False)

    @property
    def _elapsed(self) -> float:
        return self._stage.clocks.elapsed()

    def look(self) -> None:
        """Notice a clock that was set: windows that lie ahead count as none then, and are asked for again."""
        offset_ns = self._stage.clocks.offset_ns
        if abs(offset_ns - self._offset_ns) > NS:
            self.is_clock_set, self._set_at, self._offset_ns = True, self._elapsed, offset_ns

    # Requests.

    def sent(self, who: str) -> None:
        """A request leaves."""
        now = self._elapsed
        while self._sent and self._sent[0] <= now - 60:
            self._sent.popleft()
        self._sent.append(now)
        if len(self._sent) > PER_MINUTE:
            self._breaks(
                f"{len(self._sent)} requests have left within a minute of {PER_MINUTE}; the last is the {who}'s"
            )
        if now < self._silent_until - TICK:
            self._breaks(f"the {who} asks while silence is wanted for {self._silent_until - now:.1f} s more")

    def wants_silence(self, seconds: float) -> None:
        """A program has been told so."""
        self._silent_until = max(self._silent_until, self._elapsed + seconds)

    # Windows.

    def begins(self) -> None:
        """A process starts, which knows of no failure before."""
        self._not_before.clear()

    def asks(self, task: Task, before: Entry | None, now: datetime) -> None:
        """A window is asked for; `before` is its row, where it is stored."""
        self.look()
        key = task.job, task.subject
        if self._elapsed < self._not_before.get(key, 0.0) - TICK:
            self._breaks(f"{task.job} of {task.subject} is asked for too soon after it failed")
        if task.window.due_at > now:
            self._breaks(f"{task.job} of {task.subject} is asked for before it is due")
        if before is None or self.is_clock_set:
            return
        if task.job not in OF_A_SESSION or (before.rows and before.again_at is None):
            self._breaks(f"{task.job} of {task.subject} is asked for though {before.since:%H:%M} is stored")
        elif before.again_at is not None and now < before.again_at:
            self._breaks(f"{task.job} of {task.subject} is asked for again too soon")

    def failed(self, task: Task, error: Exception) -> None:
        """No usable answer came."""
        wanted = error.retry_after if isinstance(error, RestError) else None
        self._not_before[task.job, task.subject] = self._elapsed + max(PACE_SECONDS, wanted or 0.0)

    def succeeded(self, task: Task, entry: Entry) -> None:
        """It is stored."""
        self._not_before.pop((task.job, task.subject), None)
        true_at = _EPOCH + timedelta(microseconds=self._stage.clocks.true_ns // 1_000)
        self._stored.append((task.window, task.job, task.subject, true_at, entry.written_at))

    def left(self, task: Task | None, now: datetime) -> None:
        """At the end, after a calm while: what is still to be done."""
        self.look()
        is_settled = self._elapsed - self._set_at >= SETTLED_SECONDS
        if task is not None and task.window.due_at < now - LEFT_SECONDS and is_settled:
            self._breaks(
                f"{task.job} of {task.subject}, due at {task.window.due_at:%H:%M:%S} UTC, is not stored"
            )

    # What the disk holds.

    def audit(self) -> None:
        """Read all of it, as another program would."""
        store = IngestStore(self._root)
        for job in self._jobs:
            rows = list(self._rows(job))
            self._audit_rows(job, rows)
            for subject in dict.fromkeys(row["subject"] for row in rows):
                self._audit_windows(job, subject, store.entries_of(job, subject))
            for entry in store.entries(job):
                self._audit_entry(store, job, entry)
        self._audit_times(store)

    def _audit_times(self, store: IngestStore) -> None:
        """What a clock that was ahead stored before its time counts as nothing, once another clock had an answer."""
        counting = {
            (job, entry.subject, entry.since, entry.until, entry.written_at)
            for job in self._jobs
            for entry in store.entries(job)
        }
        earliest_later = datetime.max.replace(tzinfo=UTC)
        stored_later = set[tuple[JobName, str, datetime, datetime]]()
        for window, job, subject, true_at, written_at in reversed(self._stored):
            was_too_soon = window.due_at > true_at + CLOCK_STEP
            was_noticed = earliest_later < written_at - CLOCK_STEP
            which = job, subject, window.since, window.until
            # The row that counts may be that of a later storing, at the same time by a clock that was set back.
            is_last, is_counted = which not in stored_later, (*which, written_at) in counting
            stored_later.add(which)
            if was_too_soon and was_noticed and is_last and is_counted:
                self._breaks(
                    f"{job} of {subject} counts, though it was stored at {true_at}, before {window.due_at}"
                )
            earliest_later = min(earliest_later, written_at)

    def _rows(self, job: JobName) -> Iterator[dict[str, str]]:
        path = self._root / FOLDER / job / LEDGER
        if path.exists():
            for line in path.read_bytes().split(b"\n")[:-1]:
                try:
                    yield json.loads(line)
                except ValueError:
                    self._breaks(f"a row of {job}'s ledger cannot be read")

    def _audit_rows(self, job: JobName, rows: Sequence[dict[str, str]]) -> None:
        times: dict[tuple[str, str, str], int] = {}
        for row in rows:
            window = row["subject"], row["since"], row["until"]
            before, now = times.get(window, 0), int(row.get("times", 1))
            is_empty = row["since"] == row["until"]
            if now <= before and not is_empty and not self.is_clock_set:
                self._breaks(f"{job} of {window} is stored twice")
            times[window] = now

    def _audit_windows(self, job: JobName, subject: str, entries: Sequence[Entry]) -> None:
        if self.is_clock_set:
            return
        for before, after in pairwise(entries):
            if after.since < before.until:
                self._breaks(f"windows of {job} of {subject} lie over each other at {after.since}")
            if isinstance(self._jobs[job].schedule, Continuous) and after.since != before.until:
                self._breaks(f"nothing is stored of {job} between {before.until} and {after.since}")

    def _audit_entry(self, store: IngestStore, job: JobName, entry: Entry) -> None:
        if entry.file is not None:
            rows = list(store.read(job, entry))
            if len(rows) != entry.rows:
                self._breaks(f"{job} of {entry.since} has {len(rows)} rows, and its ledger says {entry.rows}")
            if any(row["since"] != entry.since.isoformat() or row["job"] != job for row in rows):
                self._breaks(f"{job} of {entry.since} has the rows of another window")
        believed_at = entry.until + BELIEVED_AFTER
        if self.is_clock_set:
            return
        if job in OF_A_SESSION and not entry.rows and entry.asked_at < believed_at:
            self._breaks(f"that {job} of {entry.since} has no rows is believed too early")
        if job is JobName.CHAINS and entry.written_at > entry.until:
            self._breaks(f"{job} of {entry.since} was stored at {entry.written_at}, when its time was over")
