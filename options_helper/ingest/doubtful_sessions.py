"""A session that came without a row, or without a symbol's: stored, never believed for good, and asked for again.

A feed that is late and a fault of the provider's look the same as a day on which nothing was traded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from options_helper.ingest.jobs import Job, Window
from options_helper.ingest.selection import OF_A_SESSION
from options_helper.ingest.store import Answer, Entry, Stored
from options_helper.model.text import format_count

# For so long after it was due it is asked for again as what fails; then it is stored, and the next has its turn.
BELIEVED_AFTER: Final = timedelta(hours=12)
# Then it is asked for again after a day, two, four …; history does not run away.
_AGAIN_AFTER: Final = timedelta(days=1)
_DOUBLED_AT_MOST: Final = 9  # a year and a half
# A symbol that is missing among others is most likely one that was not traded: for a week, and no longer.
_TIMES_FOR_A_SYMBOL: Final = 4


def doubtful_sessions(store: Stored, job: Job, subject: str, now: datetime) -> Iterator[Entry]:
    """The stored windows that are asked for again: they lack all rows, or those of some symbol. The oldest first.

    `now` is the market's time.
    """
    if job.name not in OF_A_SESSION:
        return
    for entry in store.entries_of(job.name, subject):
        if (not entry.rows or entry.again_at is not None) and entry.until <= now:
            yield entry


def again_at(entry: Entry) -> datetime:
    """From when on a session is asked for again; an empty one that was stored before this was known, at once."""
    return entry.again_at or entry.until


def again_window(entry: Entry) -> Window:
    """What is asked for then."""
    return Window(entry.since, entry.until, again_at(entry))


def brings_more(answer: Answer, before: Entry) -> bool:
    """Whether an answer is to take the place of the one before: a worse one does not."""
    return (answer.rows, -answer.missing) > (before.rows, -before.missing)


def to_store(answer: Answer, before: Entry | None, now: datetime) -> Answer:
    """An answer with what the ledger says of it, and when it is asked for again; `before` is the row there is."""
    times = 1 if before is None else before.times + 1
    again = _next_time(answer.rows, answer.missing, times, now)
    said = [*answer.notes, *_again_words(answer.rows, times, again)]
    if before is not None:
        said.append(
            f"{format_count(answer.rows - before.rows, 'row')} more than when it was asked for before, at "
            f"{before.asked_at:%Y-%m-%d %H:%M} UTC."
        )
    return replace(answer, times=times, again_at=again, notes=tuple(said))


def asked_in_vain(before: Entry, answer: Answer, now: datetime) -> Entry:
    """The row of a session that was asked for again and brought nothing more: what is stored stays."""
    times = before.times + 1
    again = _next_time(before.rows, before.missing, times, now)
    notes = answer.notes if answer.rows == before.rows else before.notes
    return msgspec.structs.replace(
        before,
        asked_at=answer.asked_at,
        requests=answer.requests,
        seconds=round(answer.seconds, 3),
        times=times,
        again_at=again,
        notes=(*notes, *_again_words(before.rows, times, again)),
    )


def _next_time(rows: int, missing: int, times: int, now: datetime) -> datetime | None:
    if rows and (not missing or times >= _TIMES_FOR_A_SYMBOL):
        return None
    doublings = min(times - 1, _DOUBLED_AT_MOST)
    return now + _AGAIN_AFTER * int(2**doublings)


def _again_words(rows: int, times: int, again: datetime | None) -> list[str]:
    if again is None:
        return []
    nothing = "" if rows else "No row at all came: a session without trades, or a hole. "
    asked = format_count(times, "time")
    return [f"{nothing}Asked for {asked}, and again from {again:%Y-%m-%d %H:%M} UTC on."]
