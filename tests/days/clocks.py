"""The clocks of the simulated computer: true time runs, and each of its clocks makes of that what it likes."""

from __future__ import annotations

from typing import Final

NS: Final = 1_000_000_000
_BOOTED_BEFORE: Final = 1_000.0


class Clocks:
    """True time in epoch nanoseconds, and what the computer reads.

    The wall clock can be set and can drift; the monotonic one stands still in a suspend, as on Linux, and `elapsed`
    goes on.
    """

    def __init__(self, start_ns: int) -> None:
        self.true_ns = start_ns
        self._start_ns = start_ns
        self._offset_ns = 0
        self._drift_ppm = 0.0
        self._stood_ns = 0

    def wall_ns(self) -> int:
        """What the wall clock shows."""
        return self.true_ns + self._offset_ns

    @property
    def offset_ns(self) -> int:
        """By so much the wall clock is ahead of true time."""
        return self._offset_ns

    def monotonic(self) -> float:
        """Seconds in which the computer was awake."""
        return _BOOTED_BEFORE + (self.true_ns - self._start_ns - self._stood_ns) / NS

    def elapsed(self) -> float:
        """Seconds, asleep or not."""
        return _BOOTED_BEFORE + (self.true_ns - self._start_ns) / NS

    def advance(self, true_ns: int) -> None:
        """Let true time pass until then."""
        if self._drift_ppm:
            self._offset_ns += int((true_ns - self.true_ns) * self._drift_ppm / 1e6)
        self.true_ns = true_ns

    def put_forward(self, seconds: float) -> None:
        """Set the wall clock; a negative number puts it back."""
        self._offset_ns += int(seconds * NS)

    def drift(self, parts_per_million: float) -> None:
        """From now on the wall clock gains so much."""
        self._drift_ppm = parts_per_million

    def stood_still(self, nanoseconds: int) -> None:
        """A suspend that lasted so long is over."""
        self._stood_ns += nanoseconds
