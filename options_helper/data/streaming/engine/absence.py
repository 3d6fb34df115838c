"""Whether this process ran all the while, judged by when it looks; knows no thread and no clock."""

from __future__ import annotations

from typing import Final, NamedTuple

from options_helper.model.instants import NANOSECONDS

# A look that comes so much later than the one before was held up by no other thread: nothing ran. What is shorter
# costs nothing by itself, and a connection that is lost meanwhile has a gap of its own.
LATE_SECONDS: Final = 5.0


class Absence(NamedTuple):
    """A stretch in which this process did not run; epoch nanoseconds of the computer's clock."""

    since_ns: int
    until_ns: int
    # What measures stood still for so long of it: all of it where the computer slept, nothing where it was stopped.
    stood_still_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it was."""
        return (self.until_ns - self.since_ns) / NANOSECONDS


class AbsenceJudge:
    """Judges from looks that should come twice a second."""

    def __init__(self) -> None:
        self._looked_at: float | None = None
        self._counted_at = 0.0
        self.absent_seconds = 0.0

    def look(self, elapsed: float, monotonic: float, wall_ns: int) -> Absence | None:
        """The absence that ends with this look; None where there was none.

        `elapsed` are seconds that go on while the computer sleeps, those of `monotonic` may stand still; `wall_ns` is
        when it is now.
        """
        before, self._looked_at = self._looked_at, elapsed
        counted, self._counted_at = monotonic - self._counted_at, monotonic
        if before is None or elapsed - before < LATE_SECONDS:
            return None
        seconds = elapsed - before
        absence = Absence(wall_ns - int(seconds * NANOSECONDS), wall_ns, max(0.0, seconds - counted))
        self.absent_seconds += absence.seconds
        return absence
