"""Write down what became of each gap that history was asked about: a row in `<root>/closings/<New York day>.csv`.

The day is that of the gap, whose row in the gap ledger stays as it is. An answer takes the place of an earlier one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from options_helper.data.atomic_file import replace_file
from options_helper.data.recording.gap_verdict import ClosingState, GapClosing, end_of
from options_helper.data.recording.loss_log import LossRow
from options_helper.model.instants import nanosecond_text, utc_datetime
from options_helper.model.market_hours import new_york_date
from options_helper.model.text import format_count

FOLDER: Final = "closings"
GapId = tuple[str, str, int, int]
COLUMNS: Final = (
    "session",
    "stream",
    "since_ns",
    "until_ns",
    "since",
    "until",
    "state",
    "asked_at_ns",
    "recorded",
    "found",
    "more",
    "why",
    "beside",
    "tries",
    "again_ns",
)


@dataclass(frozen=True, slots=True)
class Closings:
    """What is written of a root's gaps, by gap; `problems` are sentences about what cannot be read."""

    of_gaps: Mapping[GapId, GapClosing]
    problems: tuple[str, ...] = ()

    def of_gap(self, gap: LossRow) -> GapClosing | None:
        """What history said of a row of the gap ledger; None while it was not asked."""
        return self.of_gaps.get((gap.session, gap.stream, gap.since_ns, end_of(gap)))

    def has_closed(self, gap: LossRow) -> bool:
        """Whether nothing of it is missing any more."""
        closing = self.of_gap(gap)
        return closing is not None and closing.state is ClosingState.CLOSED


def read_closings(root: Path) -> Closings:
    """All of a root; a row or a file that cannot be read costs itself: its gaps count as not asked about."""
    found: dict[GapId, GapClosing] = {}
    problems: list[str] = []
    for path in sorted((root / FOLDER).glob("*.csv")):
        try:
            known, damaged = _read(path)
        except OSError as error:
            problems.append(f"{FOLDER}/{path.name} cannot be read ({error.strerror})")
            continue
        found |= known
        if damaged:
            problems.append(
                f"{FOLDER}/{path.name}: {format_count(damaged, 'row')} cannot be read; the gaps are asked about again"
            )
    return Closings(found, tuple(problems))


def save_closings(root: Path, closings: Iterable[GapClosing]) -> None:
    """Add them, or put each in the place of an earlier one; OSError when the disk refuses, and each file is whole.

    A row that cannot be read goes: its gap is asked about again, and told again.
    """
    by_name: dict[str, list[GapClosing]] = {}
    for closing in closings:
        by_name.setdefault(new_york_date(utc_datetime(closing.since_ns)).isoformat(), []).append(closing)
    for name, of_day in by_name.items():
        path = root / FOLDER / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            known, _ = _read(path)
        except FileNotFoundError:
            known = {}
        known |= {closing.of: closing for closing in of_day}
        replace_file(path, _text(known.values()), durable=True)


def _text(closings: Iterable[GapClosing]) -> bytes:
    text = io.StringIO()
    rows = sorted(closings, key=lambda closing: (closing.since_ns, closing.of))
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *map(_row, rows)])
    return text.getvalue().encode()


def _row(closing: GapClosing) -> tuple[object, ...]:
    return (
        *closing.of,
        nanosecond_text(closing.since_ns),
        nanosecond_text(closing.until_ns),
        closing.state,
        closing.asked_at_ns,
        closing.recorded,
        closing.found,
        closing.more,
        closing.why,
        closing.beside,
        closing.tries,
        closing.again_ns,
    )


def _read(path: Path) -> tuple[dict[GapId, GapClosing], int]:
    """The closings of a file, and how many of its rows are none; OSError where it cannot be read."""
    closings: dict[GapId, GapClosing] = {}
    damaged = 0
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.DictReader(file)
        while True:
            try:
                closing = _closing(next(rows))
            except StopIteration:
                return closings, damaged
            except (csv.Error, KeyError, ValueError, TypeError):
                damaged += 1
            else:
                closings[closing.of] = closing


def _closing(row: Mapping[str, str]) -> GapClosing:
    counts = {name: int(row[name]) for name in ("recorded", "found", "more")}
    times = {name: int(row[name]) for name in ("since_ns", "until_ns", "asked_at_ns")}
    closing = GapClosing(
        session=row["session"],
        stream=row["stream"],
        state=ClosingState(row["state"]),
        why=row["why"],
        **times,
        **counts,
    )
    if row.get("tries") is None:  # of a version that did not say when again
        return closing.after(None, may_pass=closing.state is ClosingState.PARTLY)
    again_ns = int(row["again_ns"]) if row["again_ns"] else None
    return replace(closing, beside=int(row["beside"]), tries=int(row["tries"]), again_ns=again_ns)
