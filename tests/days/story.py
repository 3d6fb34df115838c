"""What happened on a day, in words."""

from __future__ import annotations

from tests.days.day import clock_time
from tests.days.play import Outcome


def story(outcome: Outcome, most: int = 40) -> str:
    """One line: what happened when, the newest at the end."""
    day = outcome.day
    notes = [(day.start_ns, "start"), *outcome.notes]
    notes += [(edge, "open" if number == 0 else "close") for one in day.sessions
              for number, edge in enumerate((one.opens_ns, one.closes_ns)) if day.start_ns <= edge]  # fmt: skip
    end = day.until_ns if outcome.broken is None else outcome.broken.at_ns
    told = [f"{clock_time(at)} {what}" for at, what in sorted(notes, key=lambda note: note[0]) if at <= end]
    if len(told) > most:
        told = [told[0], f"… {len(told) - most} more …", *told[-most + 1 :]]
    if outcome.broken is not None:
        told.append(f"{outcome.broken} ")
    return f"seed {day.seed}, {day.title}: " + " · ".join(told).strip()
