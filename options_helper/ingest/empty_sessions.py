"""A session of which no row came: it is believed after a while, never for good, and asked for again ever more rarely.

A feed that is late and a fault of the provider's look the same as a day on which nothing was traded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from options_helper.ingest.jobs import Job, Window
from options_helper.ingest.selection import OF_A_SESSION
from options_helper.ingest.store import Answer, Entry, IngestStore
from options_helper.model.text import format_count

# For so long after it was due it is asked for again as what fails; then it is stored, and the next has its turn.
BELIEVED_AFTER: Final = timedelta(hours=12)
# Then it is asked for again after a day, two, four …; history does not run away.
_AGAIN_AFTER: Final = timedelta(days=1)
_DOUBLED_AT_MOST: Final = 9  # a year and a half


def empty_sessions(store: IngestStore, job: Job, subject: str, now: datetime) -> Iterator[Entry]:
    """The stored windows that must have rows and have none, the oldest first; `now` is the market's time."""
    if job.name not in OF_A_SESSION:
        return
    for entry in store.entries_of(job.name, subject):
        if not entry.rows and entry.until <= now:
            yield entry


def again_at(entry: Entry) -> datetime:
    """From when on an empty session is asked for again; one stored before this was known, at once."""
    return entry.again_at or entry.until


def again_window(entry: Entry) -> Window:
    """What is asked for then."""
    return Window(entry.since, entry.until, again_at(entry))


def believed_for_now(answer: Answer, before: Entry | None, now: datetime) -> Answer:
    """An empty answer with what the ledger says of it; `before` is the row of the last one."""
    times = 1 if before is None else before.times + 1
    doubled = min(times - 1, _DOUBLED_AT_MOST)
    again = now + _AGAIN_AFTER * 2**doubled
    said = (
        f"No row at all came, {format_count(times, 'time')} now: a session without trades, or a hole. "
        f"It is asked for again from {again:%Y-%m-%d %H:%M} UTC on."
    )
    return replace(answer, times=times, again_at=again, notes=(*answer.notes, said))


def found_after_all(answer: Answer, before: Entry) -> Answer:
    """An answer with rows to a question that had brought none."""
    said = f"It had no row when it was asked for before, at {before.asked_at:%Y-%m-%d %H:%M} UTC."
    return replace(answer, times=before.times + 1, notes=(*answer.notes, said))
