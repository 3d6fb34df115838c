"""Play a day, and say which law it broke."""

from __future__ import annotations

from dataclasses import dataclass

from tests.days.day import Day
from tests.days.stage import LawBroken, Stage
from tests.days.subjects import taking_part
from tests.days.troubles import bad_day


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a day ended: None where every law held."""

    day: Day
    broken: LawBroken | None
    notes: tuple[tuple[int, str], ...]
    checks: int


def play(day: Day) -> Outcome:
    """Play it once, from its beginning."""
    stage = Stage(day)
    broken = None
    try:
        stage.play(taking_part())
    except LawBroken as error:
        broken = error
    return Outcome(day, broken, tuple(stage.notes), stage.checks)


def play_seed(seed: int) -> Outcome:
    """Play that seed's day."""
    return play(bad_day(seed))
