"""Play a day, and say which law it broke."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final
from unittest.mock import patch

from tests.days.day import Day
from tests.days.stage import LawBroken, Stage
from tests.days.subjects import taking_part
from tests.days.troubles import bad_day

PROCESS: Final = 4711
COMPUTER: Final = "days"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a day ended: None where every law held. `trace` is made of all that was done, and when."""

    day: Day
    broken: LawBroken | None
    notes: tuple[tuple[int, str], ...]
    checks: int
    trace: int

    @property
    def digest(self) -> str:
        """A few letters that differ where anything of the day does."""
        told = self.notes, self.checks, self.trace, str(self.broken)
        return blake2b(repr(told).encode(), digest_size=8).hexdigest()


def play(day: Day) -> Outcome:
    """Play it once, from its beginning."""
    with _nothing_from_outside():
        stage = Stage(day)
        broken = None
        try:
            stage.play(taking_part())
        except LawBroken as error:
            broken = error
        return Outcome(day, broken, tuple(stage.notes), stage.checks, stage.agenda.trace)


def play_seed(seed: int) -> Outcome:
    """Play that seed's day."""
    return play(bad_day(seed))


@contextmanager
def _nothing_from_outside() -> Iterator[None]:
    """Keep out of the day what would make of one seed two days.

    The product writes its process's number and its computer's name into names and notes, where a disk that takes a
    piece of them cuts elsewhere. And the collector of garbage comes when it likes: what it ends, such as a lock that a
    killed process held, has to end with the process.
    """
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        with (
            patch.object(os, "getpid", lambda: PROCESS),
            patch.object(socket, "gethostname", lambda: COMPUTER),
        ):
            yield
    finally:
        if was_collecting:
            gc.enable()
