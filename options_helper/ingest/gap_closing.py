"""What the job `gaps` asks of whoever closes the gaps of a recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from options_helper.data.rest.client import AlpacaRest


class GapReport(Protocol):
    """What became of the gaps that were looked at."""

    @property
    def words(self) -> Sequence[str]:
        """What was closed, partly closed or cannot be closed, and what is asked later; a sentence each."""

    @property
    def rows(self) -> int:
        """How many rows were added."""

    @property
    def unfinished(self) -> int:
        """How many gaps are left to another run, which may begin at once."""


class GapCloser(Protocol):
    """Closes what history can close of the gaps recorded below `root`; harmless when repeated.

    Blocks; OptionsHelperError where nothing could be done, RestStopped when the client was stopped meanwhile.
    """

    def __call__(
        self, root: Path, rest: AlpacaRest, *, now: datetime, gives_way: Callable[[], bool]
    ) -> GapReport:
        """Ask again for what may be asked for at `now`, no longer than one run, and until `gives_way` says so."""
