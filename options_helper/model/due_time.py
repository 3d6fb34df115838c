"""When the next round of something periodic is due; knows no thread or clock."""

from __future__ import annotations

from math import inf


class DueTime:
    """Rounds follow one another after `every` so many seconds, or sooner where somebody asks for one.

    All times are seconds of one clock that nobody sets. A round that is wanted while one is under way follows it.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._at = inf

    def within(self, now: float, seconds: float | None = None) -> None:
        """Let the next round begin then, if it is not due before; None: after the usual time."""
        self._at = min(self._at, now + (self._every if seconds is None else seconds))

    def left(self, now: float) -> float:
        """Seconds until the next round; it is due where there are none left."""
        return self._at - now

    def begin(self) -> None:
        """A round begins: the next one is not due until somebody says when."""
        self._at = inf
