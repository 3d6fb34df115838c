"""Bad days from a seed: which stretch of the exchange's time, from when to when, and what goes wrong in it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from tests.days.clocks import NS
from tests.days.day import Calendar, Day, Session, Trouble, instant
from tests.days.subjects import taking_part


def _sessions(*hours: tuple[str, str]) -> tuple[Session, ...]:
    return tuple(Session(instant(f"{day} 09:30"), instant(f"{day} {closes}")) for day, closes in hours)


CALENDARS: Final = (
    Calendar("an ordinary day", "2026-11-25 07:00", _sessions(("2026-11-25", "16:00"))),
    Calendar("an ordinary day", "2026-06-10 07:00", _sessions(("2026-06-10", "16:00"))),
    Calendar("a half day", "2026-11-27 07:00", _sessions(("2026-11-27", "13:00"))),
    Calendar("a holiday, and the day after", "2026-11-26 12:00", _sessions(("2026-11-27", "13:00"))),
    Calendar("over midnight", "2026-11-17 14:00", _sessions(("2026-11-17", "16:00"), ("2026-11-18", "16:00"))),
    Calendar("a weekend on which summer time begins", "2026-03-06 14:00",
             _sessions(("2026-03-06", "16:00"), ("2026-03-09", "16:00"))),
    Calendar("a weekend on which summer time ends", "2026-10-30 14:00",
             _sessions(("2026-10-30", "16:00"), ("2026-11-02", "16:00"))),
    Calendar("over the year's end", "2026-12-31 14:00", _sessions(("2026-12-31", "16:00"), ("2027-01-04", "16:00"))),
)  # fmt: skip


def bad_day(seed: int) -> Day:
    """That seed's day."""
    rng = random.Random(f"{seed}/day")
    # Ordinary days most of the time.
    calendar = rng.choice((*CALENDARS[:3] * 3, *CALENDARS))
    first, last = calendar.sessions[0], calendar.sessions[-1]
    earliest = instant(calendar.first)
    if len(calendar.sessions) > 1:
        start = rng.randint(first.closes_ns // NS - 3_600, first.closes_ns // NS - 300) * NS
        until = last.opens_ns + rng.randint(600, 3_600) * NS
    else:
        # As a capture does, half a minute before; or early; or in the midst of it.
        start = rng.choice(
            (last.opens_ns - 30 * NS, earliest, last.opens_ns - rng.randint(60, 5_400) * NS,
             last.opens_ns + rng.randint(60, 7_200) * NS)
        )  # fmt: skip
        until = min(max(start, last.opens_ns) + rng.randint(2_400, 9_000) * NS, last.closes_ns + 1_500 * NS)
        if rng.random() < 0.2:
            start, until = last.closes_ns - rng.randint(1_200, 5_400) * NS, last.closes_ns + 1_800 * NS
    day = Day(seed, calendar.title, start, until, calendar.sessions)
    more: dict[str, object] = {}
    troubles: list[Trouble] = []
    for subject in taking_part():
        chosen, wrong = subject.choose(day, random.Random(f"{seed}/{subject.name}"))
        more[subject.name] = chosen
        troubles.extend(wrong)
    return replace(day, troubles=tuple(sorted(troubles)), more=more)
