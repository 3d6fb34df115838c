"""Who is asked: a REST side that is busy, slow, mute, wants silence, is late with a session and contradicts itself."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Final

from options_helper.data.rest.question import Failure
from options_helper.errors import RestError
from options_helper.ingest.jobs import JobName, Window
from options_helper.ingest.selection import OF_A_SESSION
from options_helper.ingest.store import Cell, Table
from options_helper.model.providers import FailureKind

COLUMNS: Final = ("job", "since", "until", "row")
SYMBOLS: Final = 2


class Archive:
    """What it answers depends on its dice, on what is asked, and on what is wrong with it."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.how = ""
        self.pause = 0.0  # that it wants, where that is wrong
        self.is_late = False  # with whole sessions

    def be_late(self) -> None:
        """Lack some or all of each session."""
        self.is_late = True

    def be_on_time(self) -> None:
        """Have all of it."""
        self.is_late = False

    def attempt(self) -> tuple[float, Failure | None]:
        """How long a request takes, and why it brings nothing; None: it brings its page."""
        dice = self._dice
        match self.how:
            case "busy":
                return 0.3, Failure(RestError("503", status=503), FailureKind.SERVER, passing=True)
            case "mute":
                return 20.0, Failure(RestError("no answer"), FailureKind.TIMEOUT, passing=True)
            case "silence":
                return 0.2, Failure(
                    RestError("429", status=429, retry_after=self.pause),
                    FailureKind.TOO_MANY,
                    passing=True,
                    pause=self.pause,
                )
            case "refused":
                return 0.2, Failure(RestError("403", status=403), FailureKind.REFUSED)
            case "slow":
                return dice.uniform(4.0, 19.0), None
            case _:
                return dice.uniform(0.05, 1.5), None

    def pages(self, job: JobName) -> int:
        """How many requests a window takes."""
        return 0 if job in (JobName.VOLATILITY, JobName.GAPS) else self._dice.choice((1, 1, 2, 4))

    def rows(self, job: JobName, window: Window) -> tuple[Table, int]:
        """The rows of a window, and how many symbols are missing."""
        missing = self._dice.choice((1, SYMBOLS)) if self.is_late and job in OF_A_SESSION else 0
        count = 0 if missing == SYMBOLS else self._dice.choice((1, 2, 3))
        return Table(COLUMNS, [self._row(job, window, number) for number in range(count)]), missing

    @staticmethod
    def _row(job: JobName, window: Window, number: int) -> tuple[Cell, ...]:
        return job, _text(window.since), _text(window.until), number


def _text(moment: datetime) -> str:
    return moment.isoformat()
